#include "server/server.h"
#include "starvirt/clock.h"
#include "starvirt/thread.h"

void sv_request_return(struct sv_request *r)
{
    struct sv_server *s = r->server;
    r->resume(r); /* from here on r is its I/O thread's */
    sv_server_left(s, &s->handed);
}

static void client_gone(struct sv_watch *w)
{
    struct sv_request *r = (struct sv_request *)(void *)((char *)w - offsetof(struct sv_request, watch));
    atomic_store(&r->hung_up, true);
    r->gone(r);
}

void sv_request_begun(struct sv_request *r, void (*ended)(struct sv_begun *b, const struct sv_error *why))
{
    struct sv_begun_room *room = r->server->begun;
    if (r->watched)
        sv_begun_forget(room, &r->begun);
    sv_begun_watch(room, &r->begun, &r->actor, r->token_seen, ended);
    r->watched = true;
}

static void token_gone(struct sv_begun *b, const struct sv_error *why)
{
    (void)why;
    struct sv_request *r = (struct sv_request *)(void *)((char *)b - offsetof(struct sv_request, begun));
    r->gone(r);
}

bool sv_request_hurried(const struct sv_request *r)
{
    return atomic_load(&r->hung_up) || atomic_load(&r->begun.over) != SV_OK;
}

enum sv_err sv_request_wait(struct sv_request *r, enum sv_supply of, void (*gone)(struct sv_request *r),
                            struct sv_error *err)
{
    struct sv_server *s = r->server;
    if (r->place.holder)
        return SV_OK;
    enum sv_err rc = sv_share_take(s->shares, of, &r->actor, &r->place, err);
    if (rc)
        return rc;
    r->gone = gone;
    r->watch.fd = r->conn->fd;
    r->watch.gone = client_gone;
    sv_hangup_watch(s->hangups, &r->watch);
    sv_request_begun(r, token_gone);
    return SV_OK;
}

void sv_request_waited(struct sv_request *r)
{
    if (r->watched)
        sv_begun_forget(r->server->begun, &r->begun);
    r->watched = false;
    if (!r->place.holder)
        return;
    sv_hangup_forget(r->server->hangups, &r->watch);
    sv_share_give(r->server->shares, &r->place);
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
    bool in_time = true;
    pthread_mutex_lock(&s->drain_lock);
    while (in_time && (atomic_load(&s->active) > 0 || atomic_load(&s->handed) > 0))
        in_time = sv_cond_wait(&s->drained, &s->drain_lock, end);
    pthread_mutex_unlock(&s->drain_lock);
    return atomic_load(&s->active) == 0 && atomic_load(&s->handed) == 0;
}
