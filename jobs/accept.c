/* What others ask of the engine inside their own write closures: take this job, cancel that one. */
#include <assert.h>

#include "jobs/internal.h"

/* Lives in the transaction's arena: nothing is left behind when it rolls back. */
struct hook {
    struct sv_jobs *jobs;
    const struct sv_job_kind *kind;
    struct sv_id id, tenant, host;
};

static void *hook_new(struct sv_tx *tx, struct sv_jobs *jobs, const struct sv_job_kind *kind, const struct sv_job *job)
{
    struct hook *h = sv_arena_alloc(sv_tx_arena(tx), sizeof(*h));
    *h = (struct hook){.jobs = jobs, .kind = kind, .id = job->id, .tenant = job->tenant, .host = job->host};
    return h;
}

/* --- accept --- */

static void enqueue(void *arg)
{
    const struct hook *h = arg;
    struct sv_jobs *jobs = h->jobs;
    pthread_mutex_lock(&jobs->mutex);
    if (!jobs->stopping && !jobs_item_find(jobs, &h->id)) {
        jobs_item_add(jobs, &h->id, &h->tenant, &h->host, h->kind);
        jobs_wake(jobs);
    }
    pthread_mutex_unlock(&jobs->mutex);
}

/* Asked before anything is written, so that a caller may go on after a refusal. */
static enum sv_err refuse_locked(struct sv_tx *tx, const struct sv_id *object, struct sv_error *err)
{
    struct sv_lock held;
    bool is_held = false;
    enum sv_err rc = sv_lock_get(tx, object, &held, &is_held, err);
    if (rc)
        return rc;
    return is_held ? sv_fail(err, SV_E_OBJECT_LOCKED, SV_F_NONE, held.job.s) : SV_OK;
}

static enum sv_err take_lock(struct sv_tx *tx, const struct sv_job *job, int code, struct sv_error *err)
{
    struct sv_lock held;
    bool taken = false;
    enum sv_err rc = sv_lock_take(tx, &job->object, &job->id, code, &taken, &held, err);
    if (rc)
        return rc;
    return taken ? SV_OK : sv_fail(err, SV_E_OBJECT_LOCKED, SV_F_NONE, held.job.s);
}

static enum sv_err announce(struct sv_tx *tx, const struct sv_job *job, struct sv_error *err)
{
    const bool finishes = !sv_id_empty(&job->finishes);
    struct jobs_line line = {.level = SV_LOG_INFO,
                             .note = finishes ? SV_N_FINISHES : SV_N_ACCEPTED,
                             .args = {finishes ? job->finishes.s : job->kind}};
    enum sv_err rc = jobs_line_add(tx, &job->id, &line, err);
    if (rc)
        return rc;
    struct sv_event e = {.type = "job.accepted",
                         .object_type = job->object_type,
                         .object = job->object,
                         .tenant = job->tenant,
                         .content = sv_arena_printf(sv_tx_arena(tx), "%s %s", job->kind, job->id.s)};
    return sv_event_add(tx, &e, err);
}

static const char *text(const char *s)
{
    return s ? s : "";
}

enum sv_err sv_jobs_accept(struct sv_jobs *jobs, struct sv_tx *tx, const struct sv_job_spec *spec,
                           struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_job job = {.id = sv_id_new(),
                         .tenant = spec->tenant,
                         .object = spec->object,
                         .host = spec->host,
                         .kind = spec->kind->name,
                         .object_type = text(spec->object_type),
                         .object_name = text(spec->object_name),
                         .iarg = {spec->iarg[0], spec->iarg[1]},
                         .sarg = text(spec->sarg),
                         .result = SV_JOB_QUEUED,
                         .created = sv_tx_now(tx),
                         .finishes = spec->finishes,
                         .error_symbol = "",
                         .error_args = {"", "", ""}};
    int code = spec->kind->lock_code;
    assert(sv_jobs_kind(jobs, spec->kind->name) == spec->kind);
    if (jobs_stopping(jobs))
        return sv_fail(err, SV_E_SHUTTING_DOWN, SV_F_NONE);
    enum sv_err rc = code ? refuse_locked(tx, &spec->object, err) : SV_OK;
    if (!rc)
        rc = spec->own ? sv_job_insert(tx, &job, err)
                       : sv_job_insert_bounded(tx, &job, spec->kind->frees ? JOBS_TO_FREE : 0, err);
    if (!rc && code)
        rc = take_lock(tx, &job, code, err);
    if (!rc)
        rc = announce(tx, &job, err);
    if (rc)
        return rc;
    sv_tx_on_commit(tx, enqueue, hook_new(tx, jobs, spec->kind, &job));
    *ret_startid = job.id;
    return SV_OK;
}

/* --- cancel --- */

static void forget_queued(void *arg)
{
    const struct hook *h = arg;
    struct sv_jobs *jobs = h->jobs;
    pthread_mutex_lock(&jobs->mutex);
    struct jobs_item *item = jobs_item_find(jobs, &h->id);
    /* Taken by a worker just now: it finds the row ended and lets go of it. */
    if (item && item->state == JOBS_QUEUED)
        jobs_item_drop(jobs, item);
    pthread_mutex_unlock(&jobs->mutex);
    jobs_count_end(jobs, h->kind, SV_JOB_CANCELLED);
}

static void raise_flag(void *arg)
{
    const struct hook *h = arg;
    struct sv_jobs *jobs = h->jobs;
    pthread_mutex_lock(&jobs->mutex);
    struct jobs_item *item = jobs_item_find(jobs, &h->id);
    if (item)
        atomic_store(&item->cancel, true);
    pthread_mutex_unlock(&jobs->mutex);
}

/* A queued row means that nothing of it has run: a job begins by a write that is waited for. */
static enum sv_err cancel_queued(struct sv_jobs *jobs, struct sv_tx *tx, const struct sv_job *job,
                                 enum sv_job_result *ret, struct sv_error *err)
{
    struct sv_error why;
    struct jobs_line asked = {.level = SV_LOG_INFO, .note = SV_N_CANCEL_ASKED};
    struct jobs_ending e = {.jobs = jobs, .id = job->id, .result = SV_JOB_CANCELLED, .why = &why, .last = &asked};
    memset(&why, 0, sizeof(why));
    (void)sv_fail(&why, SV_E_JOB_CANCELLED, SV_F_NONE);
    enum sv_err rc = jobs_end_tx(tx, &e, err);
    if (rc)
        return rc;
    sv_tx_on_commit(tx, forget_queued, hook_new(tx, jobs, sv_jobs_kind(jobs, job->kind), job));
    *ret = SV_JOB_CANCELLED;
    return SV_OK;
}

static bool too_late(struct sv_jobs *jobs, const struct sv_job *job)
{
    const struct sv_job_kind *kind = sv_jobs_kind(jobs, job->kind);
    if (sv_job_ended(job->result) || job->undoing || !kind || kind->no_cancel)
        return true;
    unsigned steps = jobs_step_count(kind, job);
    if (steps && job->step >= steps)
        return true;
    pthread_mutex_lock(&jobs->mutex);
    const struct jobs_item *item = jobs_item_find(jobs, &job->id);
    bool late = item && (item->state == JOBS_PAST_LAST || item->state == JOBS_UNDOING);
    pthread_mutex_unlock(&jobs->mutex);
    return late;
}

enum sv_err sv_jobs_cancel(struct sv_jobs *jobs, struct sv_tx *tx, struct sv_scope scope, const struct sv_id *startid,
                           enum sv_job_result *ret, struct sv_error *err)
{
    struct sv_job job;
    enum sv_err rc = sv_job_get(tx, scope, startid, sv_tx_arena(tx), &job, err);
    if (rc)
        return rc;
    if (!sv_id_empty(&job.finishes))
        return sv_fail(err, SV_E_JOB_TOO_LATE, SV_F_JOB);
    if (job.result == SV_JOB_QUEUED)
        return cancel_queued(jobs, tx, &job, ret, err);
    if (too_late(jobs, &job))
        return sv_fail(err, SV_E_JOB_TOO_LATE, SV_F_JOB);
    struct jobs_line asked = {.level = SV_LOG_INFO, .note = SV_N_CANCEL_ASKED};
    if (!job.cancel) {
        rc = sv_job_ask_cancel(tx, &job.id, err);
        if (!rc)
            rc = jobs_line_add(tx, &job.id, &asked, err);
        if (rc)
            return rc;
        sv_tx_on_commit(tx, raise_flag, hook_new(tx, jobs, NULL, &job));
    }
    *ret = SV_JOB_RUNNING;
    return SV_OK;
}
