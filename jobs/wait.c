/* Waiting for one job from outside the engine. */
#include "jobs/internal.h"

struct look {
    const struct sv_id *id;
    struct sv_arena *a;
    struct sv_job *job;
};

static enum sv_err look_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct look *l = arg;
    return sv_job_get(tx, sv_scope_system(), l->id, l->a, l->job, err);
}

/* How many ended: read before looking, so that an end between look and wait is not slept over. */
static uint64_t ends(struct sv_jobs *jobs)
{
    uint64_t n;
    pthread_mutex_lock(&jobs->mutex);
    n = jobs->ends;
    pthread_mutex_unlock(&jobs->mutex);
    return n;
}

static bool wait_end(struct sv_jobs *jobs, uint64_t seen, int64_t until)
{
    bool over = false;
    pthread_mutex_lock(&jobs->mutex);
    while (jobs->ends == seen && !jobs->stopping && !over)
        jobs_cond_wait(&jobs->ended_one, &jobs->mutex, until, &over);
    over = over || jobs->stopping;
    pthread_mutex_unlock(&jobs->mutex);
    return !over;
}

enum sv_err sv_jobs_wait(struct sv_jobs *jobs, const struct sv_id *startid, const struct sv_deadline *d,
                         struct sv_arena *a, struct sv_job *ret_job, struct sv_error *err)
{
    struct look l = {startid, a, ret_job};
    for (;;) {
        uint64_t seen = ends(jobs);
        enum sv_err rc = sv_db_read(jobs->db, look_tx, &l, err);
        if (rc || sv_job_ended(ret_job->result))
            return rc;
        if (sv_deadline_over(d) || !wait_end(jobs, seen, d->mono_ms))
            return sv_fail(err, SV_E_JOB_DEADLINE, SV_F_NONE, startid->s);
    }
}
