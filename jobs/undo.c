/* A job back through the steps it took: newest first, the failed one included. */
#include <stdlib.h>

#include "jobs/internal.h"

static void line(struct sv_run *r, enum sv_level level, enum sv_note note, const char *a0, const char *a1)
{
    struct jobs_line l = {.level = level, .note = note, .args = {a0, a1}};
    jobs_post(r, &(struct jobs_record){.line = &l});
}

/* False when stopping: the next start goes on here. */
static bool undo_step(struct sv_run *r, const struct sv_step *step)
{
    struct sv_error err = {.code = SV_OK};
    enum sv_err rc = SV_OK;
    int64_t wait = r->jobs->undo_wait_ms;
    line(r, SV_LOG_INFO, SV_N_UNDO_BEGIN, step->name, NULL);
    for (unsigned try = 0; try < JOBS_UNDO_TRIES; try++, wait *= 4) {
        if (try && !jobs_pause(r->jobs, wait))
            return false;
        r->deadline = (struct sv_deadline){.mono_ms = sv_mono_ms() + JOBS_UNDO_MS};
        rc = step->undo(r, &err);
        sv_arena_reset(r->step_arena);
        if (rc == SV_OK)
            return true;
    }
    char packed[640];
    r->job.undo_failed = true;
    err.code = rc;
    jobs_error_pack(&err, packed, sizeof(packed));
    line(r, SV_LOG_ERROR, SV_N_UNDO_FAILED, step->name, packed);
    sv_log(SV_LOG_ERROR, "job.undo", "startid", r->job.id.s, "kind", r->kind->name, "step", step->name, "error",
           sv_err_symbol(rc), NULL);
    return true;
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

enum jobs_way jobs_undo(struct sv_run *r)
{
    const struct sv_step *steps = r->kind->steps;
    mark(r);
    if (!has_undo(r))
        return JOBS_WAY_END;
    if (!r->job.undoing && !jobs_write_undo(r))
        return JOBS_WAY_LEAVE;
    for (unsigned k = r->undo_from; k-- > 0;) {
        if (jobs_stopping(r->jobs))
            return JOBS_WAY_LEAVE;
        r->step = k;
        if (steps[k].undo) {
            jobs_crash_at(r->jobs, r->kind, steps[k].name, "undo-before");
            if (!undo_step(r, &steps[k]))
                return JOBS_WAY_LEAVE;
            jobs_crash_at(r->jobs, r->kind, steps[k].name, "undo-after");
        }
        jobs_post(r, &(struct jobs_record){.set_step = true, .step = k, .percent = r->percent});
    }
    return JOBS_WAY_END;
}
