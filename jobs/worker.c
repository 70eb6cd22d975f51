/* A worker thread: takes a job, runs it to its end, takes the next. */
#include <stdlib.h>

#include "jobs/internal.h"

static void run(struct jobs_worker *w, struct jobs_item *item)
{
    struct sv_run r = {.jobs = w->jobs,
                       .item = item,
                       .kind = item->kind,
                       .job_arena = w->job_arena,
                       .step_arena = w->step_arena,
                       .last = {.note = SV_NOTE_COUNT}};
    sv_log_request(item->id.s);
    enum jobs_way way = jobs_begin(&r);
    if (way == JOBS_WAY_STEPS)
        way = jobs_steps(&r);
    if (way == JOBS_WAY_END)
        way = jobs_end(&r);
    /* A cancellation that came before the end was written turns the job round even now. */
    if (way == JOBS_WAY_UNDO)
        way = jobs_undo(&r);
    if (way == JOBS_WAY_END)
        (void)jobs_end(&r);
    sv_log_request(NULL);
    sv_arena_reset(w->step_arena);
    sv_arena_reset(w->job_arena);
}

/* False: idle for long and not needed. One worker stays, so that the next job need not wait for a
 * thread. */
static bool wait_for_work(struct sv_jobs *jobs)
{
    bool over = false;
    jobs->idle++;
    jobs_cond_wait(&jobs->work, &jobs->mutex, sv_mono_ms() + jobs->idle_ms, &over);
    jobs->idle--;
    return !over || jobs->worker_count == 1 || !TAILQ_EMPTY(&jobs->ready);
}

void *jobs_worker_main(void *worker)
{
    struct jobs_worker *w = worker;
    struct sv_jobs *jobs = w->jobs;
    w->job_arena = sv_arena_new();
    w->step_arena = sv_arena_new();
    pthread_mutex_lock(&jobs->mutex);
    jobs->starting--;
    bool stay = true;
    while (stay && !jobs->stopping) {
        struct jobs_item *item = jobs_item_take(jobs);
        if (!item) {
            stay = wait_for_work(jobs);
            continue;
        }
        jobs_wake(jobs);
        pthread_mutex_unlock(&jobs->mutex);
        run(w, item);
        pthread_mutex_lock(&jobs->mutex);
        jobs_item_finish(jobs, item);
    }
    sv_arena_free(w->job_arena);
    sv_arena_free(w->step_arena);
    jobs->worker_count--;
    TAILQ_REMOVE(&jobs->workers, w, link);
    TAILQ_INSERT_TAIL(&jobs->gone, w, link);
    pthread_cond_signal(&jobs->keeper);
    pthread_cond_broadcast(&jobs->quiet);
    pthread_mutex_unlock(&jobs->mutex);
    return NULL;
}
