#include "starvirt/thread.h"

#include <errno.h>
#include <time.h>

#include "starvirt/clock.h"

void sv_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t mono;

    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &mono);
    pthread_condattr_destroy(&mono);
}

bool sv_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t mono_ms)
{
    const struct timespec at = {.tv_sec = mono_ms / 1000, .tv_nsec = mono_ms % 1000 * 1000000};

    if (mono_ms != INT64_MAX)
        return pthread_cond_timedwait(cond, mutex, &at) != ETIMEDOUT;
    pthread_cond_wait(cond, mutex);
    return true;
}

void sv_crew_init(struct sv_crew *crew)
{
    *crew = (struct sv_crew){.threads = 0};
    pthread_mutex_init(&crew->mutex, NULL);
    sv_cond_init(&crew->change);
    sv_cond_init(&crew->left);
}

void sv_crew_free(struct sv_crew *crew)
{
    pthread_mutex_destroy(&crew->mutex);
    pthread_cond_destroy(&crew->change);
    pthread_cond_destroy(&crew->left);
}

bool sv_crew_wake(struct sv_crew *crew, bool *running, void *(*fn)(void *arg), void *arg)
{
    pthread_t t;

    pthread_cond_broadcast(&crew->change);
    if (crew->stop || *running || pthread_create(&t, NULL, fn, arg) != 0)
        return false;
    pthread_detach(t);
    *running = true;
    crew->threads++;
    return true;
}

void sv_crew_leave(struct sv_crew *crew, bool *running)
{
    *running = false;
    crew->threads--;
    pthread_cond_broadcast(&crew->left);
}

void sv_crew_stop(struct sv_crew *crew)
{
    sv_crew_stop_within(crew, INT64_MAX);
}

bool sv_crew_stop_within(struct sv_crew *crew, int64_t limit_ms)
{
    const int64_t until = limit_ms == INT64_MAX ? INT64_MAX : sv_mono_ms() + limit_ms;
    bool all;

    pthread_mutex_lock(&crew->mutex);
    crew->stop = true;
    pthread_cond_broadcast(&crew->change);
    while (crew->threads && sv_cond_wait(&crew->left, &crew->mutex, until))
        continue;
    all = crew->threads == 0;
    pthread_mutex_unlock(&crew->mutex);
    return all;
}
