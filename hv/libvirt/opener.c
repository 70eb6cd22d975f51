#include "hv/libvirt/internal.h"

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

static void start_library(void)
{
    virSetErrorFunc(NULL, quiet);
    library_ok = virInitialize() >= 0 && lv_loop_start();
}

bool lv_library_ready(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_library);
    return library_ok;
}

/* --- the connection that carries events --- */

static bool open_watch(struct lv_host *h, struct lv_watch *w)
{
    if (!lv_link_open(h, &w->link, true, 0))
        return false;
    lv_events_register(h, w->link.conn, w->ids);
    return true;
}

void lv_watch_close(struct lv_host *h, struct lv_watch *w)
{
    lv_link_cut(h, &w->link);
    if (w->link.conn)
        lv_events_deregister(w->link.conn, w->ids);
    lv_link_close(h, &w->link);
    free(w);
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
    struct lv_watch *watch;
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
    struct lv_watch *w = a->watch;
    bool ok = open_watch(h, w);
    char why[sizeof(a->why)] = "";
    if (!ok)
        SV_COPY(why, virGetLastErrorMessage());
    pthread_mutex_lock(&a->mu);
    bool keep = ok && !a->left;
    a->watch = keep ? w : NULL;
    SV_COPY(a->why, why);
    a->ended = true;
    pthread_cond_broadcast(&a->done);
    attempt_unref(a);
    if (!keep)
        lv_watch_close(h, w);
    pthread_mutex_lock(&h->mu);
    h->openers--;
    pthread_mutex_unlock(&h->mu);
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

struct lv_watch *lv_watch_open(struct lv_host *h, char *why, size_t size)
{
    const struct sv_deadline d = sv_deadline_within(NULL, OPEN_LIMIT_MS);
    struct attempt *a = sv_alloc(sizeof(*a));
    struct lv_watch *w = sv_alloc(sizeof(*w));
    *a = (struct attempt){.host = h, .refs = 2, .watch = w};
    w->link = LV_NO_LINK;
    pthread_mutex_init(&a->mu, NULL);
    sv_cond_init(&a->done);
    pthread_mutex_lock(&a->mu);
    if (!begin(a)) {
        sv_copy(why, size, "earlier attempts to connect still hang");
        a->refs--;
        attempt_unref(a);
        free(w);
        return NULL;
    }
    while (!a->ended && !sv_deadline_over(&d) && !closing(h))
        lv_cond_wait(&a->done, &a->mu, NULL, 200);
    a->left = true;
    if (!a->ended)
        lv_link_cut(h, &w->link);
    w = a->ended ? a->watch : NULL;
    sv_copy(why, size, a->ended ? a->why : "the connection is not answered");
    attempt_unref(a);
    return w;
}
