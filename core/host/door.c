/* Opening and closing drivers of hosts that requests add and remove: on a thread of its own, since that may take a
 * moment, after the commit that made it so. A driver is closed once nobody holds its host; nothing else waits for
 * that. A crash in between is mended by the next start,
 * which opens what has a row. */
#include "core/host/host.h"
#include "starvirt/log.h"
#include "starvirt/thread.h"

struct errand {
    struct errand *next;
    struct sv_cloud *cloud;
    struct sv_cloud_host *closes; /* NULL: it opens */
    unsigned tries;               /* in vain, */
    int64_t due_ms;               /* [ms monotonic] and when the next is due */
    struct sv_id host;
    char *uri;
};

struct sv_host_door {
    struct sv_crew crew; /* its mutex guards the errands; taken before host_mutex */
    struct errand *first, **last;
    bool running;
    atomic_bool stop; /* what is left is the end's */
};

void sv_host_door_new(struct sv_cloud *c)
{
    struct sv_host_door *d = sv_alloc(sizeof(*d));

    sv_crew_init(&d->crew);
    d->last = &d->first;
    c->door = d;
}

void sv_host_door_stop(struct sv_cloud *c)
{
    c->door->stop = true;
    sv_host_changed(c);
    sv_crew_stop(&c->door->crew);
}

static void errand_free(struct errand *e)
{
    free(e->uri);
    free(e);
}

void sv_host_door_free(struct sv_cloud *c)
{
    for (struct errand *e = c->door->first, *next; e; e = next) {
        next = e->next;
        errand_free(e);
    }
    sv_crew_free(&c->door->crew);
    free(c->door);
    c->door = NULL;
}

/* --- errands --- */

/* From here on nobody finds it. NULL: it was never opened. */
static struct sv_cloud_host *take_out(struct sv_cloud *c, const struct sv_id *host)
{
    struct sv_cloud_host *h = NULL;

    pthread_mutex_lock(&c->host_mutex);
    for (unsigned i = 0; i < c->host_count && !h; i++) {
        if (!sv_id_eq(&c->hosts[i]->id, host))
            continue;
        h = c->hosts[i];
        memmove(&c->hosts[i], &c->hosts[i + 1], (--c->host_count - i) * sizeof(struct sv_cloud_host *));
        c->gone = sv_realloc(c->gone, (c->gone_count + 1) * sizeof(struct sv_cloud_host *));
        c->gone[c->gone_count++] = h;
        h->gone = true;
    }
    pthread_mutex_unlock(&c->host_mutex);
    return h;
}

static void close_host(const struct errand *e)
{
    sv_hv_close(e->closes->hv->hv);
    sv_log(SV_LOG_INFO, "host.closed", "host", e->closes->name, NULL);
}

static enum sv_err find_row(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_host row;

    return sv_host_get(tx, arg, sv_tx_arena(tx), &row, err);
}

/* Removed after its row was looked at and before it could be found: closed before anything else, since its URI may be
 * the next to be opened. */
static void close_if_gone(const struct errand *e)
{
    struct sv_host_door *d = e->cloud->door;
    struct errand *back;
    struct sv_id id = e->host;
    struct sv_error err;

    if (sv_db_read(e->cloud->db, find_row, &id, &err) != SV_E_HOST_NOT_FOUND)
        return;
    struct sv_cloud_host *h = take_out(e->cloud, &id);
    if (!h)
        return;
    back = sv_alloc(sizeof(*back));
    pthread_mutex_lock(&d->crew.mutex);
    *back = (struct errand){.next = d->first, .cloud = e->cloud, .closes = h, .host = id};
    if (!d->first)
        d->last = &back->next;
    d->first = back;
    pthread_mutex_unlock(&d->crew.mutex);
}

/* False: in vain, and worth another try. */
static bool open_host(const struct errand *e)
{
    struct sv_error err;
    char text[256];

    if (sv_host_open_uri(e->cloud, e->uri, &e->host, &err) == SV_OK) {
        close_if_gone(e);
        return true;
    }
    if (err.code == SV_E_HOST_NOT_FOUND) /* removed before it was opened */
        return true;
    sv_err_text(&err, SV_LANG_EN, text, sizeof(text));
    sv_log(SV_LOG_WARN, "host.not_opened", "host", e->host.s, "error", text, NULL);
    return false;
}

/* Under both mutexes, as the next two. Nobody waits for another host's users; but what is behind a URI is closed before
 * that is opened again. */
static bool can_go(const struct sv_host_door *d, const struct errand *e)
{
    if (e->closes)
        return e->closes->users == 0;
    if (e->due_ms > sv_mono_ms())
        return false;
    for (const struct errand *before = d->first; before != e; before = before->next)
        if (before->closes && strcmp(before->closes->uri, e->uri) == 0)
            return false;
    return true;
}

/* Its driver is the door's to close from here on, not the end's. */
static void own_driver(struct sv_cloud *c, const struct sv_hv *hv)
{
    for (unsigned i = 0; i < c->hv_count; i++)
        if (c->hvs[i] == hv) {
            c->hvs[i] = c->hvs[--c->hv_count];
            return;
        }
}

static struct errand *take_errand(struct sv_cloud *c)
{
    struct sv_host_door *d = c->door;
    struct errand **at = &d->first, *e;

    while (*at && !can_go(d, *at))
        at = &(*at)->next;
    e = *at;
    if (!e)
        return NULL;
    *at = e->next;
    if (!*at)
        d->last = at;
    if (e->closes)
        own_driver(c, e->closes->hv->hv);
    return e;
}

/* When the next one is due that was in vain. */
static int64_t next_due(const struct sv_host_door *d)
{
    int64_t due = INT64_MAX;

    for (const struct errand *e = d->first; e; e = e->next)
        if (e->due_ms && e->due_ms < due)
            due = e->due_ms;
    return due;
}

/* NULL, and the thread counts no more: there is none, or it is the end. */
static struct errand *next_errand(struct sv_cloud *c)
{
    struct sv_host_door *d = c->door;
    struct errand *e;

    pthread_mutex_lock(&d->crew.mutex);
    pthread_mutex_lock(&c->host_mutex);
    while (!(e = d->stop ? NULL : take_errand(c)) && d->first && !d->stop) {
        const int64_t due = next_due(d);

        pthread_mutex_unlock(&d->crew.mutex); /* who posts one takes host_mutex to tell */
        sv_cond_wait(&c->host_change, &c->host_mutex, due);
        pthread_mutex_unlock(&c->host_mutex);
        pthread_mutex_lock(&d->crew.mutex);
        pthread_mutex_lock(&c->host_mutex);
    }
    pthread_mutex_unlock(&c->host_mutex);
    if (!e)
        sv_crew_leave(&d->crew, &d->running);
    pthread_mutex_unlock(&d->crew.mutex);
    return e;
}

static void *run_errands(void *arg);

static void post(struct errand *e)
{
    struct sv_cloud *c = e->cloud;
    struct sv_host_door *d = c->door;

    pthread_mutex_lock(&d->crew.mutex);
    e->next = NULL;
    *d->last = e;
    d->last = &e->next;
    sv_crew_wake(&d->crew, &d->running, run_errands, c);
    pthread_mutex_unlock(&d->crew.mutex);
    sv_host_changed(c);
}

/* The disk is full, a directory cannot be used: it may be otherwise soon. */
static void try_later(struct errand *e)
{
    enum { FIRST_MS = 2000, MOST_MS = 5 * 60 * 1000 };
    const int64_t wait = (int64_t)FIRST_MS << (e->tries < 8 ? e->tries : 8);

    e->tries++;
    e->due_ms = sv_mono_ms() + (wait < MOST_MS ? wait : MOST_MS);
    post(e);
}

static void *run_errands(void *arg)
{
    pthread_setname_np(pthread_self(), "host-door");
    for (struct errand *e; (e = next_errand(arg)) != NULL;) {
        if (e->closes)
            close_host(e);
        else if (!open_host(e)) {
            try_later(e);
            continue;
        }
        errand_free(e);
    }
    return NULL;
}

/* --- after the commit --- */

struct wish {
    struct sv_cloud *c;
    struct sv_id host;
    const char *uri; /* NULL: it goes */
};

static void send(struct sv_cloud *c, struct sv_cloud_host *closes, const struct sv_id *host, const char *uri)
{
    struct errand *e = sv_alloc(sizeof(*e));

    *e = (struct errand){.cloud = c, .closes = closes, .host = *host, .uri = uri ? sv_strdup(uri) : NULL};
    post(e);
}

void sv_host_door_try(struct sv_cloud *c, const struct sv_id *host, const char *uri)
{
    send(c, NULL, host, uri);
}

static void committed(void *arg)
{
    const struct wish *w = arg;
    struct sv_cloud_host *h = w->uri ? NULL : take_out(w->c, &w->host);

    if (w->uri || h)
        send(w->c, h, &w->host, w->uri);
}

static void wish(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *host, const char *uri)
{
    struct wish *w = sv_arena_alloc(sv_tx_arena(tx), sizeof(*w));

    *w = (struct wish){c, *host, uri ? sv_arena_strdup(sv_tx_arena(tx), uri) : NULL};
    sv_tx_on_commit(tx, committed, w);
}

void sv_host_door_open(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *host, const char *uri)
{
    wish(c, tx, host, uri);
}

void sv_host_door_close(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *host)
{
    wish(c, tx, host, NULL);
}
