/* A job back through the steps it took: newest first, the failed one included. */
#include <stdlib.h>

#include "jobs/internal.h"

static void line(struct sv_run *r, enum sv_level level, enum sv_note note, const char *a0, const char *a1)
{
    struct jobs_line l = {.level = level, .note = note, .args = {a0, a1}};
    jobs_post(r, &(struct jobs_record){.line = &l});
}

enum outcome {
    UNDONE,
    NOT_UNDONE,
    STOPPING, /* the next start goes on here */
};

/* Of an error of ours the operator hears once; of a guest that is paused it is none. */
static enum outcome gave_up(struct sv_run *r, const struct sv_step *step, enum sv_err rc, struct sv_error *err)
{
    const bool known = rc == SV_E_VM_STATE || !sv_id_empty(&r->first.id);
    char packed[640];
    err->code = rc;
    jobs_error_pack(err, packed, sizeof(packed));
    line(r, SV_LOG_ERROR, SV_N_UNDO_FAILED, step->name, packed);
    sv_log(known ? SV_LOG_WARN : SV_LOG_ERROR, "job.undo", "startid", r->job.id.s, "kind", r->kind->name, "step",
           step->name, "error", sv_err_symbol(rc), NULL);
    r->undo_why = *err;
    return NOT_UNDONE;
}

/* A state of the guest that does not allow it is not waited out: its VM is locked, and the owner is who ends it. */
static enum outcome undo_step(struct sv_run *r, const struct sv_step *step)
{
    const bool later = !sv_id_empty(&r->first.id);
    const int64_t until = sv_mono_ms() + (later && step->undo_guest ? JOBS_UNDO_GUEST_MS : JOBS_UNDO_MS);
    struct sv_error err = {.code = SV_OK};
    enum sv_err rc = SV_OK;
    int64_t wait = r->jobs->undo_wait_ms;
    line(r, SV_LOG_INFO, SV_N_UNDO_BEGIN, step->name, NULL);
    for (unsigned try = 0; try < JOBS_UNDO_TRIES && sv_mono_ms() < until && rc != SV_E_VM_STATE; try++, wait *= 4) {
        if (try && !jobs_pause(r->jobs, wait))
            return STOPPING;
        r->deadline = (struct sv_deadline){.mono_ms = until};
        rc = step->undo(r, &err);
        sv_arena_reset(r->step_arena);
        if (!rc)
            return UNDONE;
    }
    return gave_up(r, step, rc, &err);
}

static bool has_undo(const struct sv_run *r)
{
    for (unsigned k = 0; k < r->undo_from; k++)
        if (r->kind->steps[k].undo)
            return true;
    return false;
}

/* From here on a cancellation is too late. */
static void mark(struct sv_run *r)
{
    pthread_mutex_lock(&r->jobs->mutex);
    r->item->state = JOBS_UNDOING;
    pthread_mutex_unlock(&r->jobs->mutex);
    r->undoing = true;
}

/* One step back. What is left stays left: the record stands still there, so that a restart begins with it. */
static enum outcome step_back(struct sv_run *r, unsigned k)
{
    const struct sv_step *step = &r->kind->steps[k];
    enum outcome out = UNDONE;
    r->step = k;
    if (step->undo && (!r->left || step->undo_alone)) {
        jobs_crash_at(r->jobs, r->kind, step->name, "undo-before");
        out = undo_step(r, step);
        if (out == UNDONE)
            jobs_crash_at(r->jobs, r->kind, step->name, "undo-after");
    }
    if (out == NOT_UNDONE && !r->left)
        r->left = k + 1;
    if (out != STOPPING && !r->left)
        jobs_post(r, &(struct jobs_record){.set_step = true, .step = k, .percent = r->percent});
    return out;
}

enum jobs_way jobs_undo(struct sv_run *r)
{
    mark(r);
    if (!has_undo(r))
        return JOBS_WAY_END;
    if (!r->job.undoing && !jobs_write_undo(r))
        return JOBS_WAY_LEAVE;
    for (unsigned k = r->undo_from; k-- > 0;)
        if (jobs_stopping(r->jobs) || step_back(r, k) == STOPPING)
            return JOBS_WAY_LEAVE;
    return JOBS_WAY_END;
}
