/* What a running job leaves on disk on its way. Its beginning, its turn to undoing and its end are
 * waited for; steps done are not: they can run again, and recovery undoes past what is recorded. */
#include <stdlib.h>

#include "jobs/internal.h"

static void log_failed(const struct sv_run *r, const char *what, const struct sv_error *err)
{
    char text[512];
    sv_err_text(err, SV_LANG_EN, text, sizeof(text));
    sv_log(sv_db_outage(err->code) ? SV_LOG_WARN : SV_LOG_ERROR, "job.write", "startid", r->item->id.s, "kind",
           r->kind->name, "what", what, "error", text, NULL);
}

/* A closure the job cannot go on without: the database waits until it can be written, for as long as it takes. What
 * fails otherwise, or because the server stops, is left for the next start. */
static bool write_or_leave(const struct sv_run *r, sv_tx_fn fn, void *arg, const char *what)
{
    struct sv_error err = {.code = SV_OK};
    if (jobs_abandoned(r->jobs))
        return false;
    if (!sv_db_write(r->jobs->db, fn, arg, &err))
        return true;
    log_failed(r, what, &err);
    return false;
}

/* --- begin --- */

struct begin {
    struct sv_run *r;
    enum jobs_way way;
};

static enum sv_err line(struct sv_tx *tx, const struct sv_run *r, enum sv_note note, const char *arg,
                        struct sv_error *err)
{
    struct jobs_line l = {.level = SV_LOG_INFO, .note = note, .args = {arg}};
    return jobs_line_add(tx, &r->job.id, &l, err);
}

static enum sv_err start_tx(struct sv_tx *tx, struct sv_run *r, struct sv_error *err)
{
    int64_t deadline = r->kind->deadline_ms ? sv_tx_now(tx) + r->kind->deadline_ms : 0;
    enum sv_err rc = sv_job_start(tx, &r->job.id, deadline, err);
    if (!rc)
        rc = line(tx, r, SV_N_STARTED, NULL, err);
    if (!rc && r->step_count)
        rc = line(tx, r, SV_N_STEP_BEGIN, r->kind->steps[0].name, err);
    r->job.result = SV_JOB_RUNNING;
    r->job.started = sv_tx_now(tx);
    r->job.deadline = deadline;
    r->job.step = 0;
    return rc;
}

static enum sv_err resume_tx(struct sv_tx *tx, struct sv_run *r, struct sv_error *err)
{
    unsigned k = r->job.step;
    r->again = true;
    if (k >= r->step_count)
        return SV_OK;
    enum sv_err rc = line(tx, r, SV_N_RESUMED, r->kind->steps[k].name, err);
    return rc ? rc : line(tx, r, SV_N_STEP_BEGIN, r->kind->steps[k].name, err);
}

/* An interrupted undoing knows how it ends; its error is in the row. */
static void continue_undo(struct sv_run *r)
{
    const struct sv_job *j = &r->job;
    bool sound = sv_job_ended(j->undo_result) && j->undo_result != SV_JOB_DONE;
    enum sv_err code = sv_err_by_symbol(j->error_symbol ? j->error_symbol : "");
    r->result = sound ? j->undo_result : SV_JOB_ABORTED;
    r->undo_from = j->step < r->step_count ? j->step : r->step_count;
    r->why.code = code == SV_ERR_COUNT || code == SV_OK ? SV_E_JOB_ABORTED : code;
    for (unsigned i = 0; i < SV_ERR_ARGS; i++)
        SV_COPY(r->why.arg[i], j->error_args[i] ? j->error_args[i] : "");
}

/* It ran when the server stopped and cannot go on. More steps may have run than are recorded. */
static void undo_interrupted(struct sv_run *r)
{
    r->result = r->job.cancel ? SV_JOB_CANCELLED : SV_JOB_ABORTED;
    (void)sv_fail(&r->why, r->job.cancel ? SV_E_JOB_CANCELLED : SV_E_JOB_ABORTED, SV_F_NONE);
    r->undo_from = r->step_count;
}

static enum sv_err begin_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct begin *b = arg;
    struct sv_run *r = b->r;
    sv_arena_reset(r->job_arena); /* of a run before this one, which was taken back */
    enum sv_err rc = sv_job_get(tx, sv_scope_system(), &r->item->id, r->job_arena, &r->job, err);
    if (rc)
        return rc;
    r->percent = r->job.percent;
    r->step_count = jobs_step_count(r->kind, &r->job);
    if (sv_job_ended(r->job.result)) {
        b->way = JOBS_WAY_LEAVE; /* cancelled between the queue and here */
        return SV_OK;
    }
    if (!sv_id_empty(&r->job.finishes)) {
        b->way = JOBS_WAY_UNDO;
        return jobs_begin_finisher(tx, r, err);
    }
    if (r->job.result == SV_JOB_QUEUED) {
        b->way = JOBS_WAY_STEPS;
        return start_tx(tx, r, err);
    }
    if (!r->job.undoing && r->kind->resumable && r->jobs->requeue && !r->job.cancel) {
        b->way = JOBS_WAY_STEPS;
        return resume_tx(tx, r, err);
    }
    b->way = JOBS_WAY_UNDO;
    if (r->job.undoing)
        continue_undo(r);
    else
        undo_interrupted(r);
    return SV_OK;
}

static void set_deadline(struct sv_run *r)
{
    r->deadline = (struct sv_deadline){.cancel = &r->item->cancel};
    if (!r->job.deadline)
        return;
    /* Of one that goes on after a restart: what is left by the wall clock, which may have been set. */
    int64_t left = r->again ? r->job.deadline - sv_now_ms() : r->kind->deadline_ms;
    if (left > r->kind->deadline_ms)
        left = r->kind->deadline_ms;
    r->deadline.mono_ms = sv_mono_ms() + (left > 0 ? left : 0);
}

enum jobs_way jobs_begin(struct sv_run *r)
{
    struct begin b = {.r = r, .way = JOBS_WAY_LEAVE};
    if (!write_or_leave(r, begin_tx, &b, "begin"))
        return JOBS_WAY_LEAVE;
    set_deadline(r);
    r->outage_seen = sv_db_outage_ms(r->jobs->db);
    return b.way;
}

/* --- on the way --- */

/* Owns its texts: the run goes on while it waits for the writer. */
struct post {
    struct sv_db_work work; /* first */
    struct sv_id id;
    struct jobs_record rec;
    struct jobs_line line;
    char *args[SV_ERR_ARGS];
};

static enum sv_err add_step_line(struct sv_tx *tx, const struct sv_id *id, enum sv_note note, const char *step,
                                 struct sv_error *err)
{
    struct jobs_line l = {.level = SV_LOG_INFO, .note = note, .args = {step}};
    return step ? jobs_line_add(tx, id, &l, err) : SV_OK;
}

static enum sv_err post_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct post *p = arg;
    const struct jobs_record *rec = &p->rec;
    enum sv_err rc = SV_OK;
    if (rec->set_step)
        rc = sv_job_step(tx, &p->id, rec->step, rec->percent, err);
    else if (rec->set_percent)
        rc = sv_job_percent(tx, &p->id, rec->percent, err);
    if (!rc)
        rc = add_step_line(tx, &p->id, SV_N_STEP_DONE, rec->step_done, err);
    if (!rc)
        rc = add_step_line(tx, &p->id, SV_N_STEP_BEGIN, rec->step_begin, err);
    if (!rc && rec->line)
        rc = jobs_line_add(tx, &p->id, &p->line, err);
    return rc;
}

static void post_free(struct post *p)
{
    for (unsigned i = 0; i < SV_ERR_ARGS; i++)
        free(p->args[i]);
    free(p);
}

static void post_done(struct sv_db_work *w, enum sv_err result)
{
    struct post *p = (struct post *)w;
    if (result)
        sv_log(sv_db_outage(result) ? SV_LOG_WARN : SV_LOG_ERROR, "job.record", "startid", p->id.s, "error",
               sv_err_symbol(result), NULL);
    post_free(p);
}

static struct post *post_new(const struct sv_run *r, const struct jobs_record *rec)
{
    struct post *p = sv_alloc(sizeof(*p));
    p->id = r->item->id;
    p->rec = *rec;
    if (rec->line) {
        p->line = *rec->line;
        for (unsigned i = 0; i < SV_ERR_ARGS; i++)
            p->line.args[i] = p->args[i] = sv_strdup(rec->line->args[i]);
        p->rec.line = &p->line;
    }
    p->work.fn = post_tx;
    p->work.arg = p;
    p->work.done = post_done;
    return p;
}

/* Percent alone is made again by the next step done: in an outage it need not wait with the rest. */
static bool can_be_missed(const struct jobs_record *rec)
{
    return !rec->set_step && !rec->line && !rec->step_done && !rec->step_begin;
}

void jobs_post(struct sv_run *r, const struct jobs_record *rec)
{
    if (can_be_missed(rec) && !sv_db_writable(r->jobs->db))
        return;
    if (!jobs_abandoned(r->jobs))
        sv_db_post(r->jobs->db, &post_new(r, rec)->work);
}

void jobs_record_now(struct sv_run *r, const struct jobs_record *rec)
{
    struct post *p = post_new(r, rec);
    (void)write_or_leave(r, post_tx, p, "record");
    post_free(p);
}

/* --- turn back, end --- */

static enum sv_err undo_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_run *r = arg;
    enum sv_err rc = SV_OK;
    if (r->last.note != SV_NOTE_COUNT)
        rc = jobs_line_add(tx, &r->job.id, &r->last, err);
    return rc ? rc : sv_job_undo(tx, &r->job.id, r->undo_from, r->result, &r->why, err);
}

bool jobs_write_undo(struct sv_run *r)
{
    if (!write_or_leave(r, undo_tx, r, "undo"))
        return false;
    r->last.note = SV_NOTE_COUNT;
    return true;
}

enum jobs_way jobs_end(struct sv_run *r)
{
    if (!sv_id_empty(&r->first.id)) { /* its own result: whether the undo is finished */
        r->result = r->left ? SV_JOB_FAILED : SV_JOB_DONE;
        r->why = r->undo_why;
    }
    struct jobs_ending e = {.jobs = r->jobs,
                            .left = r->left,
                            .id = r->job.id,
                            .result = r->result,
                            .why = r->result == SV_JOB_DONE ? NULL : &r->why,
                            .last = r->last.note == SV_NOTE_COUNT ? NULL : &r->last};
    jobs_crash_at(r->jobs, r->kind, "end", "before");
    if (!write_or_leave(r, jobs_end_tx, &e, "end") || e.gone)
        return JOBS_WAY_LEAVE;
    if (e.cancel_first) {
        r->result = SV_JOB_CANCELLED;
        (void)sv_fail(&r->why, SV_E_JOB_CANCELLED, SV_F_NONE);
        r->undo_from = r->step_count;
        return JOBS_WAY_UNDO;
    }
    jobs_crash_at(r->jobs, r->kind, "end", "after");
    jobs_count_end(r->jobs, r->kind, e.result);
    return JOBS_WAY_LEAVE;
}
