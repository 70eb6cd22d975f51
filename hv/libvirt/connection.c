#include "hv/libvirt/internal.h"

#include "starvirt/log.h"

#include <stdlib.h>

enum {
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MAX_MS = 30000,
    KEEPALIVE_S = 5,
    KEEPALIVE_COUNT = 3,
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

virConnectPtr lv_host_conn(struct lv_host *h)
{
    pthread_mutex_lock(&h->mu);
    virConnectPtr conn = h->conn;
    if (conn)
        virConnectRef(conn);
    pthread_mutex_unlock(&h->mu);
    return conn;
}

void lv_host_lost(struct lv_host *h, virConnectPtr conn, const char *why)
{
    pthread_mutex_lock(&h->mu);
    if (h->watched == conn && !h->dead) {
        h->dead = true;
        SV_COPY(h->why, why);
        pthread_cond_broadcast(&h->woken);
    }
    pthread_mutex_unlock(&h->mu);
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

static void watch(struct lv_host *h, virConnectPtr conn)
{
    pthread_mutex_lock(&h->mu);
    h->watched = conn;
    h->dead = false;
    pthread_mutex_unlock(&h->mu);
}

static void publish(struct lv_host *h, virConnectPtr conn)
{
    pthread_mutex_lock(&h->mu);
    h->conn = conn;
    pthread_mutex_unlock(&h->mu);
    h->base.connected = conn != NULL;
    lv_table_new_epoch(&h->table);
}

static void find_type(struct lv_host *h, virConnectPtr conn)
{
    char type[8] = "";
    if (h->type[0])
        return;
    lv_domain_type(h, conn, type);
    pthread_mutex_lock(&h->mu);
    SV_COPY(h->type, type);
    pthread_mutex_unlock(&h->mu);
    if (type[0])
        sv_log(SV_LOG_INFO, "hv.domain_type", "host", h->base.name, "type", type, NULL);
}

static void until_lost(struct lv_host *h)
{
    pthread_mutex_lock(&h->mu);
    while (!h->dead && !h->closing)
        pthread_cond_wait(&h->woken, &h->mu);
    pthread_mutex_unlock(&h->mu);
}

/* The whole life of one connection. */
static void serve(struct lv_host *h, virConnectPtr conn)
{
    int ids[LV_EVENTS];
    watch(h, conn);
    virConnectSetKeepAlive(conn, KEEPALIVE_S, KEEPALIVE_COUNT);
    lv_events_register(h, conn, ids);
    find_type(h, conn);
    if (h->type[0] && virConnectIsAlive(conn) == 1) {
        publish(h, conn);
        sv_log(SV_LOG_INFO, "hv.connected", "host", h->base.name, NULL);
        lv_tell_host(h, true, "");
        until_lost(h);
        publish(h, NULL);
    }
    char why[sizeof(h->why)];
    pthread_mutex_lock(&h->mu);
    h->watched = NULL;
    bool closing = h->closing;
    SV_COPY(why, h->dead ? h->why : "the connection broke");
    pthread_mutex_unlock(&h->mu);
    if (!closing) {
        sv_log(SV_LOG_WARN, "hv.lost", "host", h->base.name, "why", why, NULL);
        lv_tell_host(h, false, why);
    }
    lv_events_deregister(conn, ids);
    virConnectClose(conn);
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
        virConnectPtr conn = lv_open(h, why, sizeof(why));
        if (conn) {
            serve(h, conn);
            told = true;
            if (sv_mono_ms() - began > BACKOFF_MAX_MS)
                pause = BACKOFF_FIRST_MS;
        } else if (!told && should_go_on(h)) {
            sv_log(SV_LOG_WARN, "hv.cannot_connect", "host", h->base.name, "why", why, NULL);
            lv_plain_text(why, plain, sizeof(plain));
            lv_tell_host(h, false, plain);
            told = true;
        }
        pause_for(h, conn ? BACKOFF_FIRST_MS / 10 : pause);
        pause = conn ? BACKOFF_FIRST_MS : pause * 2 < BACKOFF_MAX_MS ? pause * 2 : BACKOFF_MAX_MS;
    }
    pthread_mutex_lock(&h->mu);
    h->keeper_ended = true;
    pthread_cond_broadcast(&h->woken);
    pthread_mutex_unlock(&h->mu);
    lv_host_unref(h);
    return NULL;
}
