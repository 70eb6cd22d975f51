#include "hv/libvirt/internal.h"

#include "starvirt/log.h"

#include <stdlib.h>

enum {
    OPEN_LIMIT_MS = 30000, /* connecting and shaking hands */
    MAX_OPENERS = 3,       /* attempts that hang at a time */
};

/* --- the library --- */

static bool library_ok;

static void quiet(void *arg, virErrorPtr e)
{
    (void)arg;
    (void)e; /* each caller logs its own */
}

static void *event_loop(void *arg)
{
    (void)arg;
    pthread_setname_np(pthread_self(), "hv-events");
    for (;;)
        if (virEventRunDefaultImpl() < 0)
            sv_log(SV_LOG_ERROR, "hv.event_loop", "text", virGetLastErrorMessage(), NULL);
    return NULL;
}

static void start_library(void)
{
    pthread_t t;
    virSetErrorFunc(NULL, quiet);
    if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
        return;
    library_ok = pthread_create(&t, NULL, event_loop, NULL) == 0;
    if (library_ok)
        pthread_detach(t);
}

bool lv_library_ready(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_library);
    return library_ok;
}

/* --- one attempt --- */

/* Shared by the keeper and the thread that tries; a daemon that is stopped takes the connection and never
 * answers, so the keeper may have to go. */
struct attempt {
    struct lv_host *host;
    pthread_mutex_t mu;
    pthread_cond_t done;
    unsigned refs;
    bool ended, left;
    virConnectPtr conn;
    char why[160];
};

static void attempt_unref(struct attempt *a)
{
    unsigned left = --a->refs;
    pthread_mutex_unlock(&a->mu);
    if (left)
        return;
    pthread_cond_destroy(&a->done);
    pthread_mutex_destroy(&a->mu);
    free(a);
}

static void *opener(void *arg)
{
    struct attempt *a = arg;
    struct lv_host *h = a->host;
    virConnectPtr conn = virConnectOpen(h->uri);
    pthread_mutex_lock(&h->mu);
    h->openers--;
    pthread_mutex_unlock(&h->mu);
    pthread_mutex_lock(&a->mu);
    if (!conn)
        SV_COPY(a->why, virGetLastErrorMessage());
    if (conn && a->left)
        virConnectClose(conn);
    else
        a->conn = conn;
    a->ended = true;
    pthread_cond_broadcast(&a->done);
    attempt_unref(a);
    lv_host_unref(h);
    return NULL;
}

static bool begin(struct attempt *a)
{
    struct lv_host *h = a->host;
    pthread_t t;
    pthread_mutex_lock(&h->mu);
    bool may = h->openers < MAX_OPENERS;
    h->openers += may;
    pthread_mutex_unlock(&h->mu);
    if (!may)
        return false;
    lv_host_ref(h);
    if (pthread_create(&t, NULL, opener, a) == 0) {
        pthread_detach(t);
        return true;
    }
    pthread_mutex_lock(&h->mu);
    h->openers--;
    pthread_mutex_unlock(&h->mu);
    lv_host_unref(h);
    return false;
}

static bool closing(struct lv_host *h)
{
    pthread_mutex_lock(&h->mu);
    bool yes = h->closing;
    pthread_mutex_unlock(&h->mu);
    return yes;
}

virConnectPtr lv_open(struct lv_host *h, char *why, size_t size)
{
    const struct sv_deadline d = sv_deadline_within(NULL, OPEN_LIMIT_MS);
    struct attempt *a = sv_alloc(sizeof(*a));
    *a = (struct attempt){.host = h, .refs = 2};
    pthread_mutex_init(&a->mu, NULL);
    lv_cond_init(&a->done);
    pthread_mutex_lock(&a->mu);
    if (!begin(a)) {
        sv_copy(why, size, "earlier attempts to connect still hang");
        a->refs--;
        attempt_unref(a);
        return NULL;
    }
    while (!a->ended && !sv_deadline_over(&d) && !closing(h))
        lv_cond_wait(&a->done, &a->mu, NULL, 200);
    a->left = true;
    virConnectPtr conn = a->conn;
    sv_copy(why, size, a->ended ? a->why : "the connection is not answered");
    attempt_unref(a);
    return conn;
}
