#include "server/server.h"
#include "starvirt/clock.h"

void sv_request_return(struct sv_request *r)
{
    struct sv_server *s = r->server;
    r->resume(r); /* from here on r is its I/O thread's */
    sv_server_left(s, &s->handed);
}

void sv_server_left(struct sv_server *s, atomic_uint *count)
{
    if (atomic_fetch_sub(count, 1) != 1 || !atomic_load(&s->stopping))
        return;
    pthread_mutex_lock(&s->drain_lock);
    pthread_cond_broadcast(&s->drained);
    pthread_mutex_unlock(&s->drain_lock);
}

bool sv_server_drain(struct sv_server *s, int64_t limit_ms)
{
    int64_t end = sv_mono_ms() + limit_ms;
    struct timespec at = {.tv_sec = end / 1000, .tv_nsec = end % 1000 * 1000000};
    int waited = 0;
    pthread_mutex_lock(&s->drain_lock);
    while (waited == 0 && (atomic_load(&s->active) > 0 || atomic_load(&s->handed) > 0))
        waited = pthread_cond_timedwait(&s->drained, &s->drain_lock, &at);
    pthread_mutex_unlock(&s->drain_lock);
    return atomic_load(&s->active) == 0 && atomic_load(&s->handed) == 0;
}
