/* Figures for metrics. */
#include "jobs/internal.h"

void sv_jobs_stats(struct sv_jobs *jobs, struct sv_jobs_stats *ret)
{
    pthread_mutex_lock(&jobs->mutex);
    *ret = (struct sv_jobs_stats){.queued = jobs->queued, .running = jobs->running, .workers = jobs->worker_count};
    memcpy(ret->ended, jobs->ended, sizeof(ret->ended));
    pthread_mutex_unlock(&jobs->mutex);
}

/* `fn` is called without the mutex: it may ask the engine again. */
void sv_jobs_stats_kinds(struct sv_jobs *jobs, void (*fn)(void *arg, const char *kind, int result, uint64_t n),
                         void *arg)
{
    for (unsigned i = 0; i < jobs->kind_count; i++) {
        uint64_t n[JOBS_RESULTS];
        pthread_mutex_lock(&jobs->mutex);
        memcpy(n, jobs->ended_by_kind[i], sizeof(n));
        pthread_mutex_unlock(&jobs->mutex);
        for (int result = 0; result < JOBS_RESULTS; result++)
            if (n[result])
                fn(arg, jobs->kinds[i]->name, result, n[result]);
    }
}
