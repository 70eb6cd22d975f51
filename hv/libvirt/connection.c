#include "hv/libvirt/internal.h"

#include "starvirt/log.h"

#include <stdlib.h>

enum {
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MAX_MS = 30000,
    KEEPALIVE_S = 5,
    KEEPALIVE_COUNT = 3,
    CUT_MS = 1000, /* until libvirt has seen that a connection was shut down */
};

struct lv_host *lv_host_ref(struct lv_host *h)
{
    atomic_fetch_add(&h->refs, 1);
    return h;
}

void lv_host_unref(struct lv_host *h)
{
    if (atomic_fetch_sub(&h->refs, 1) != 1)
        return;
    lv_pool_free(&h->pool);
    lv_table_free(&h->table);
    lv_places_free(&h->places);
    pthread_cond_destroy(&h->woken);
    pthread_mutex_destroy(&h->mu);
    pthread_mutex_destroy(&h->ev_mu);
    free(h->uri);
    free(h->image_dir);
    free(h);
}

void lv_host_release(struct lv_host **h)
{
    lv_host_unref(*h);
}

void lv_host_lost(struct lv_host *h, virConnectPtr conn, const char *why)
{
    pthread_mutex_lock(&h->mu);
    bool lost = h->watched == conn && !h->dead;
    if (lost) {
        h->dead = true;
        h->up = false;
        h->life++;
        SV_COPY(h->why, why);
        pthread_cond_broadcast(&h->woken);
    }
    pthread_mutex_unlock(&h->mu);
    if (lost)
        lv_links_cut(h);
}

static bool should_go_on(struct lv_host *h)
{
    pthread_mutex_lock(&h->mu);
    bool yes = !h->closing;
    pthread_mutex_unlock(&h->mu);
    return yes;
}

static void pause_for(struct lv_host *h, int64_t ms)
{
    const struct sv_deadline d = sv_deadline_within(NULL, ms);
    pthread_mutex_lock(&h->mu);
    while (!h->closing && !sv_deadline_over(&d))
        lv_cond_wait(&h->woken, &h->mu, NULL, sv_deadline_left(&d));
    pthread_mutex_unlock(&h->mu);
}

static uint64_t watch(struct lv_host *h, virConnectPtr conn)
{
    pthread_mutex_lock(&h->mu);
    h->watched = conn;
    h->dead = false;
    uint64_t life = ++h->life;
    pthread_mutex_unlock(&h->mu);
    return life;
}

/* Calls may be made from here on; false when it was lost already. */
static bool publish(struct lv_host *h, virConnectPtr conn)
{
    pthread_mutex_lock(&h->mu);
    bool up = h->up = !h->dead;
    h->shared = h->in_process ? conn : NULL;
    pthread_mutex_unlock(&h->mu);
    h->base.connected = up;
    lv_table_new_epoch(&h->table);
    return up;
}

static void withdraw(struct lv_host *h)
{
    pthread_mutex_lock(&h->mu);
    h->up = false;
    h->shared = NULL;
    pthread_mutex_unlock(&h->mu);
    h->base.connected = false;
    lv_table_new_epoch(&h->table);
}

/* Over a connection of its own, as any call, since keep-alive goes on meanwhile. */
static bool find_type(struct lv_host *h, uint64_t life)
{
    struct lv_link link = LV_NO_LINK;
    char type[8] = "";
    if (h->type[0])
        return true;
    if (lv_link_open(h, &link, false, life))
        lv_domain_type(h, link.conn, type);
    lv_link_close(h, &link);
    pthread_mutex_lock(&h->mu);
    SV_COPY(h->type, type);
    pthread_mutex_unlock(&h->mu);
    if (type[0])
        sv_log(SV_LOG_INFO, "hv.domain_type", "host", h->base.name, "type", type, NULL);
    return type[0];
}

static void until_lost(struct lv_host *h)
{
    pthread_mutex_lock(&h->mu);
    while (!h->dead && !h->closing)
        pthread_cond_wait(&h->woken, &h->mu);
    pthread_mutex_unlock(&h->mu);
}

/* The end of the watched connection is waited for: libvirt then knows it, and asks nothing over it any more. */
static void end_watch(struct lv_host *h, struct lv_watch *w)
{
    const struct sv_deadline d = sv_deadline_within(NULL, CUT_MS);
    lv_link_cut(h, &w->link);
    pthread_mutex_lock(&h->mu);
    while (!h->dead && !h->in_process && !sv_deadline_over(&d))
        lv_cond_wait(&h->woken, &h->mu, NULL, sv_deadline_left(&d));
    h->watched = NULL;
    pthread_mutex_unlock(&h->mu);
    lv_watch_close(h, w);
}

/* The whole life of one connection. */
static void serve(struct lv_host *h, struct lv_watch *w)
{
    char why[sizeof(h->why)];
    uint64_t life = watch(h, w->link.conn);
    virConnectSetKeepAlive(w->link.conn, KEEPALIVE_S, KEEPALIVE_COUNT);
    if (find_type(h, life) && virConnectIsAlive(w->link.conn) == 1) {
        if (publish(h, w->link.conn)) {
            sv_log(SV_LOG_INFO, "hv.connected", "host", h->base.name, NULL);
            lv_tell_host(h, true, "");
            until_lost(h);
        }
        withdraw(h);
    }
    pthread_mutex_lock(&h->mu);
    bool closing = h->closing;
    SV_COPY(why, h->dead ? h->why : "the connection broke");
    pthread_mutex_unlock(&h->mu);
    if (!closing) {
        sv_log(SV_LOG_WARN, "hv.lost", "host", h->base.name, "why", why, NULL);
        lv_tell_host(h, false, why);
    }
    end_watch(h, w);
}

void *lv_keeper(void *host)
{
    struct lv_host *h = host;
    int64_t pause = BACKOFF_FIRST_MS;
    bool told = false;
    pthread_setname_np(pthread_self(), "hv-keeper");
    while (should_go_on(h)) {
        char why[160], plain[160];
        int64_t began = sv_mono_ms();
        struct lv_watch *w = lv_watch_open(h, why, sizeof(why));
        if (w) {
            serve(h, w);
            told = true;
        } else if (!told && should_go_on(h)) {
            sv_log(SV_LOG_WARN, "hv.cannot_connect", "host", h->base.name, "why", why, NULL);
            lv_plain_text(why, plain, sizeof(plain));
            lv_tell_host(h, false, plain);
            told = true;
        }
        /* An attempt that hung has waited long enough. */
        if (w || sv_mono_ms() - began > BACKOFF_MAX_MS / 2)
            pause = BACKOFF_FIRST_MS;
        pause_for(h, w ? BACKOFF_FIRST_MS / 10 : pause);
        pause = w ? BACKOFF_FIRST_MS : pause * 2 < BACKOFF_MAX_MS ? pause * 2 : BACKOFF_MAX_MS;
    }
    pthread_mutex_lock(&h->mu);
    h->keeper_ended = true;
    pthread_cond_broadcast(&h->woken);
    pthread_mutex_unlock(&h->mu);
    lv_host_unref(h);
    return NULL;
}
