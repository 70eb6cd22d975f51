/* The transaction that ends a job: object, lock, result, log and event change together. */
#include "jobs/internal.h"
#include "starvirt/store_tenant.h"

enum sv_err jobs_line_add(struct sv_tx *tx, const struct sv_id *id, const struct jobs_line *line, struct sv_error *err)
{
    return sv_joblog_add(tx, id, (int)line->level, line->note, line->args, err);
}

static struct jobs_line end_line(enum sv_job_result result, bool left, const struct sv_error *why, char *buf,
                                 size_t size)
{
    static const struct {
        enum sv_level level;
        enum sv_note note, left;
    } rows[JOBS_RESULTS] = {
        [SV_JOB_DONE] = {SV_LOG_INFO, SV_N_DONE},
        [SV_JOB_FAILED] = {SV_LOG_ERROR, SV_N_FAILED},
        [SV_JOB_LOST] = {SV_LOG_ERROR, SV_N_LOST},
        [SV_JOB_TIMEOUT] = {SV_LOG_ERROR, SV_N_FAILED},
        [SV_JOB_ABORTED] = {SV_LOG_ERROR, SV_N_ABORTED, SV_N_ABORTED_LEFT},
        [SV_JOB_CANCELLED] = {SV_LOG_WARN, SV_N_CANCELLED, SV_N_CANCELLED_LEFT},
    };
    const bool other = left && (result == SV_JOB_ABORTED || result == SV_JOB_CANCELLED);
    struct jobs_line line = {.level = rows[result].level, .note = other ? rows[result].left : rows[result].note};
    if (line.note == SV_N_FAILED && why) {
        jobs_error_pack(why, buf, size);
        line.args[0] = buf;
    }
    return line;
}

static enum sv_err add_event(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result,
                             struct sv_error *err)
{
    struct sv_event e = {.type = "job.end",
                         .object_type = job->object_type,
                         .object = job->object,
                         .tenant = job->tenant,
                         .content = sv_arena_printf(sv_tx_arena(tx), "%s %s %d", job->kind, job->id.s, (int)result)};
    return sv_event_add(tx, &e, err);
}

/* In the transaction's arena: gone when it rolls back. */
struct told {
    const struct sv_jobs *jobs;
    struct sv_id id;
};

static void tell_ended(void *arg)
{
    const struct told *t = arg;
    t->jobs->tell_ended(t->jobs->tell_arg, &t->id);
}

static void tell_on_commit(struct sv_tx *tx, const struct sv_jobs *jobs, const struct sv_id *id)
{
    struct told *t = sv_arena_alloc(sv_tx_arena(tx), sizeof(*t));
    *t = (struct told){jobs, *id};
    sv_tx_on_commit(tx, tell_ended, t);
}

/* A job of an unknown kind may hold a lock all the same; releasing none is no error. */
static enum sv_err release(struct sv_tx *tx, const struct sv_jobs *jobs, const struct sv_job *job,
                           enum sv_job_result result, struct sv_error *err)
{
    enum sv_err rc = sv_lock_release(tx, &job->object, &job->id, err);
    if (!rc && jobs->released)
        jobs->released(tx, job, result, jobs->app);
    return rc;
}

/* What becomes of the object. */
static enum sv_err settle(struct sv_tx *tx, const struct jobs_ending *e, const struct sv_job_kind *kind,
                          const struct sv_job *job, struct sv_error *err)
{
    enum sv_err rc;
    if (!sv_id_empty(&job->finishes))
        return jobs_end_finisher(tx, e, kind, job, err);
    if (!kind)
        return SV_OK;
    if (e->left)
        return jobs_leave(tx, e, kind, job, err);
    rc = kind->ends_object && e->result == SV_JOB_DONE ? jobs_settle_object(tx, e, &job->object, err) : SV_OK;
    return rc || !kind->end ? rc : kind->end(tx, job, e->result, e->jobs->app, err);
}

static enum sv_err end_job(struct sv_tx *tx, const struct jobs_ending *e, const struct sv_job *job,
                           struct sv_error *err)
{
    const struct sv_job_kind *kind = sv_jobs_kind(e->jobs, job->kind);
    char packed[640];
    enum sv_err rc = SV_OK;
    if (e->last)
        rc = jobs_line_add(tx, &job->id, e->last, err);
    if (!rc)
        rc = settle(tx, e, kind, job, err);
    /* Also where there was no lock: somebody sees to the undo that is left. */
    if (!rc && (!kind || kind->lock_code || e->left))
        rc = release(tx, e->jobs, job, e->result, err);
    if (!rc && e->result != SV_JOB_DONE)
        rc = sv_idem_forget(tx, &job->id, err);
    if (!rc && e->jobs->tell_ended)
        tell_on_commit(tx, e->jobs, &job->id);
    if (!rc)
        rc = sv_job_end(tx, &job->id, e->result, e->why, err);
    struct jobs_line line = end_line(e->result, e->left, e->why, packed, sizeof(packed));
    if (!rc)
        rc = jobs_line_add(tx, &job->id, &line, err);
    return rc ? rc : add_event(tx, job, e->result, err);
}

enum sv_err jobs_end_tx(struct sv_tx *tx, void *ending, struct sv_error *err)
{
    struct jobs_ending *e = ending;
    struct sv_job job;
    e->cancel_first = false;
    e->gone = false;
    enum sv_err rc = sv_job_get(tx, sv_scope_system(), &e->id, sv_tx_arena(tx), &job, err);
    if (rc)
        return rc;
    if (e->why) {
        job.error_symbol = sv_err_symbol(e->why->code);
        for (unsigned i = 0; i < SV_ERR_ARGS; i++)
            job.error_args[i] = e->why->arg[i];
    }
    e->gone = sv_job_ended(job.result);
    e->cancel_first = !e->gone && e->result == SV_JOB_DONE && job.cancel;
    return e->gone || e->cancel_first ? SV_OK : end_job(tx, e, &job, err);
}

void jobs_count_end(struct sv_jobs *jobs, const struct sv_job_kind *kind, enum sv_job_result result)
{
    pthread_mutex_lock(&jobs->mutex);
    jobs->ended[result]++;
    for (unsigned i = 0; i < jobs->kind_count; i++)
        if (jobs->kinds[i] == kind)
            jobs->ended_by_kind[i][result]++;
    pthread_mutex_unlock(&jobs->mutex);
}
