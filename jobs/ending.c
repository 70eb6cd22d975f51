/* The transaction that ends a job: object, lock, result, log and event change together. */
#include "jobs/internal.h"

enum sv_err jobs_line_add(struct sv_tx *tx, const struct sv_id *id, const struct jobs_line *line, struct sv_error *err)
{
    return sv_joblog_add(tx, id, (int)line->level, line->note, line->args, err);
}

static struct jobs_line end_line(enum sv_job_result result, const struct sv_error *why, char *buf, size_t size)
{
    static const struct {
        enum sv_level level;
        enum sv_note note;
    } rows[JOBS_RESULTS] = {
        [SV_JOB_DONE] = {SV_LOG_INFO, SV_N_DONE},        [SV_JOB_FAILED] = {SV_LOG_ERROR, SV_N_FAILED},
        [SV_JOB_LOST] = {SV_LOG_ERROR, SV_N_LOST},       [SV_JOB_TIMEOUT] = {SV_LOG_ERROR, SV_N_FAILED},
        [SV_JOB_ABORTED] = {SV_LOG_ERROR, SV_N_ABORTED}, [SV_JOB_CANCELLED] = {SV_LOG_WARN, SV_N_CANCELLED},
    };
    struct jobs_line line = {.level = rows[result].level, .note = rows[result].note};
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

static enum sv_err end_job(struct sv_tx *tx, const struct jobs_ending *e, const struct sv_job *job,
                           struct sv_error *err)
{
    const struct sv_job_kind *kind = sv_jobs_kind(e->jobs, job->kind);
    char packed[640];
    enum sv_err rc = SV_OK;
    if (e->last)
        rc = jobs_line_add(tx, &job->id, e->last, err);
    if (!rc && kind && kind->end)
        rc = kind->end(tx, job, e->result, e->jobs->app, err);
    /* A job of an unknown kind may hold a lock all the same; releasing none is no error. */
    if (!rc && (!kind || kind->lock_code))
        rc = sv_lock_release(tx, &job->object, &job->id, err);
    if (!rc)
        rc = sv_job_end(tx, &job->id, e->result, e->why, err);
    struct jobs_line line = end_line(e->result, e->why, packed, sizeof(packed));
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
    job.undo_failed = e->undo_failed;
    e->gone = sv_job_ended(job.result);
    e->cancel_first = !e->gone && e->result == SV_JOB_DONE && job.cancel;
    return e->gone || e->cancel_first ? SV_OK : end_job(tx, e, &job, err);
}

void jobs_count_end(struct sv_jobs *jobs, const struct sv_job_kind *kind, enum sv_job_result result)
{
    pthread_mutex_lock(&jobs->mutex);
    jobs->ended[result]++;
    jobs->ends++;
    pthread_cond_broadcast(&jobs->ended_one);
    for (unsigned i = 0; i < jobs->kind_count; i++)
        if (jobs->kinds[i] == kind)
            jobs->ended_by_kind[i][result]++;
    pthread_mutex_unlock(&jobs->mutex);
}
