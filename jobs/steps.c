/* A job through its steps. */
#include "jobs/internal.h"

static uint64_t weight_before(const struct sv_job_kind *kind, unsigned step)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < step; i++)
        sum += kind->steps[i].weight ? kind->steps[i].weight : 1;
    return sum;
}

unsigned jobs_step_count(const struct sv_job_kind *kind, const struct sv_job *job)
{
    unsigned n = kind->step_count;
    while (n && kind->steps[n - 1].needed && !kind->steps[n - 1].needed(job))
        n--;
    return n;
}

/* Never falls, and says 100 only when the job has ended. */
unsigned jobs_percent(const struct sv_run *r, unsigned steps_done, int64_t part, int64_t whole)
{
    double total = (double)weight_before(r->kind, r->step_count);
    double done = (double)weight_before(r->kind, steps_done);
    if (steps_done < r->step_count && whole > 0 && part > 0) {
        double share = part < whole ? (double)part / (double)whole : 1.0;
        done += share * ((double)weight_before(r->kind, steps_done + 1) - done);
    }
    unsigned percent = total > 0 ? (unsigned)(done * 100.0 / total) : 0;
    if (percent > 99)
        percent = 99;
    return percent > r->percent ? percent : r->percent;
}

static enum jobs_way turn_back(struct sv_run *r, enum sv_job_result result, unsigned undo_from)
{
    r->result = result;
    r->undo_from = r->again ? r->step_count : undo_from;
    return JOBS_WAY_UNDO;
}

/* While nothing can be written a job stands still: that is no time of its own. */
static void grant_outage(struct sv_run *r)
{
    const int64_t ms = sv_db_outage_ms(r->jobs->db);
    if (r->deadline.mono_ms)
        r->deadline.mono_ms += ms - r->outage_seen;
    r->outage_seen = ms;
}

/* May step `k` begin? */
static enum jobs_way at_boundary(struct sv_run *r, unsigned k)
{
    if (sv_deadline_cancelled(&r->deadline)) {
        (void)sv_fail(&r->why, SV_E_JOB_CANCELLED, SV_F_NONE);
        return turn_back(r, SV_JOB_CANCELLED, k);
    }
    grant_outage(r);
    if (sv_deadline_over(&r->deadline)) {
        (void)sv_fail(&r->why, SV_E_JOB_DEADLINE, SV_F_NONE, r->kind->steps[k].name);
        return turn_back(r, SV_JOB_TIMEOUT, k);
    }
    /* A job that could not go on after the restart is let through, within the stop's limit. */
    bool can_wait = r->kind->resumable && r->jobs->requeue;
    if (jobs_abandoned(r->jobs) || (can_wait && jobs_stopping(r->jobs)))
        return JOBS_WAY_LEAVE;
    return JOBS_WAY_STEPS;
}

static enum sv_job_result result_of(const struct sv_run *r, enum sv_err code)
{
    if (code == SV_E_JOB_CANCELLED)
        return SV_JOB_CANCELLED;
    /* The same call answers with its host's word when the job's time was shorter than its own. */
    if ((code == SV_E_JOB_DEADLINE || code == SV_E_HOST_TIMEOUT) && sv_deadline_over(&r->deadline))
        return SV_JOB_TIMEOUT;
    return SV_JOB_FAILED;
}

static enum jobs_way step_failed(struct sv_run *r, enum sv_err code, const struct sv_error *err)
{
    r->why = *err;
    r->why.code = code;
    jobs_error_pack(&r->why, r->last_error, sizeof(r->last_error));
    r->last = (struct jobs_line){
        .level = SV_LOG_ERROR, .note = SV_N_STEP_FAILED, .args = {r->kind->steps[r->step].name, r->last_error}};
    return turn_back(r, result_of(r, code), r->step + 1);
}

static void step_done(struct sv_run *r, unsigned k, bool goes_on)
{
    const struct sv_step *steps = r->kind->steps;
    r->percent = jobs_percent(r, k + 1, 0, 0);
    struct jobs_record rec = {.step_done = steps[k].name,
                              .step_begin = goes_on ? steps[k + 1].name : NULL,
                              .set_step = true,
                              .step = k + 1,
                              .percent = r->percent};
    if (!jobs_crash_is(r->jobs, r->kind, steps[k].name, "recorded")) {
        jobs_post(r, &rec);
        return;
    }
    jobs_record_now(r, &rec);
    jobs_crash_at(r->jobs, r->kind, steps[k].name, "recorded");
}

/* After the last step it is either cancelled or past cancelling, never both. */
static enum jobs_way past_last(struct sv_run *r)
{
    pthread_mutex_lock(&r->jobs->mutex);
    bool cancelled = atomic_load(&r->item->cancel);
    r->item->state = cancelled ? JOBS_UNDOING : JOBS_PAST_LAST;
    pthread_mutex_unlock(&r->jobs->mutex);
    if (cancelled) {
        (void)sv_fail(&r->why, SV_E_JOB_CANCELLED, SV_F_NONE);
        return turn_back(r, SV_JOB_CANCELLED, r->step_count);
    }
    r->result = SV_JOB_DONE;
    return JOBS_WAY_END;
}

static enum sv_err run_step(struct sv_run *r, unsigned k, struct sv_error *err)
{
    const struct sv_step *step = &r->kind->steps[k];
    r->step = k;
    jobs_crash_at(r->jobs, r->kind, step->name, "before");
    enum sv_err rc = step->run(r, err);
    sv_arena_reset(r->step_arena);
    if (!rc)
        jobs_crash_at(r->jobs, r->kind, step->name, "after");
    return rc;
}

enum jobs_way jobs_steps(struct sv_run *r)
{
    unsigned n = r->step_count;
    enum jobs_way way = JOBS_WAY_STEPS;
    if (r->job.step < n)
        way = at_boundary(r, r->job.step);
    for (unsigned k = r->job.step; k < n && way == JOBS_WAY_STEPS; k++) {
        struct sv_error err = {.code = SV_OK};
        enum sv_err rc = run_step(r, k, &err);
        if (rc == SV_E_SHUTTING_DOWN && sv_run_may_leave(r))
            return JOBS_WAY_LEAVE;
        if (rc)
            return step_failed(r, rc, &err);
        bool last = k + 1 == n;
        if (!last)
            way = at_boundary(r, k + 1);
        /* The end writes the last one's, unless a crash point wants it on its own. */
        if (!last || jobs_crash_is(r->jobs, r->kind, r->kind->steps[k].name, "recorded"))
            step_done(r, k, way == JOBS_WAY_STEPS && !last);
        else
            r->last =
                (struct jobs_line){.level = SV_LOG_INFO, .note = SV_N_STEP_DONE, .args = {r->kind->steps[k].name}};
    }
    return way == JOBS_WAY_STEPS ? past_last(r) : way;
}
