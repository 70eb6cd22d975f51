/* Opening and closing drivers of hosts that requests add and remove: on a thread of its own, since that may take a
 * moment, after the commit that made it so and in the order of commits. A crash in between is mended by the next start,
 * which opens what has a row. */
#include "core/host/host.h"
#include "starvirt/log.h"
#include "starvirt/thread.h"

struct errand {
    struct errand *next;
    struct sv_cloud *cloud;
    struct sv_cloud_host *closes; /* NULL: it opens */
    struct sv_id host;
    char *uri;
};

struct sv_host_door {
    struct sv_crew crew; /* its mutex guards the errands */
    struct errand *first, **last;
    bool running;
    atomic_bool stop; /* nobody waits for users of a host any more */
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

/* True: the driver is ours to close. False: the end of the server does it. */
static bool wait_for_users(struct sv_cloud *c, struct sv_cloud_host *h)
{
    pthread_mutex_lock(&c->host_mutex);
    while (h->users && !c->door->stop)
        sv_cond_wait(&c->host_change, &c->host_mutex, INT64_MAX);
    const bool free_now = h->users == 0 && !c->door->stop;
    for (unsigned i = 0; free_now && i < c->hv_count; i++)
        if (c->hvs[i] == h->hv->hv) {
            c->hvs[i] = c->hvs[--c->hv_count];
            break;
        }
    pthread_mutex_unlock(&c->host_mutex);
    return free_now;
}

static void close_host(const struct errand *e)
{
    struct sv_hv *hv = e->closes->hv->hv;

    if (!wait_for_users(e->cloud, e->closes))
        return;
    sv_hv_close(hv);
    sv_log(SV_LOG_INFO, "host.closed", "host", e->closes->name, NULL);
}

static enum sv_err find_row(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_host row;

    return sv_host_get(tx, arg, sv_tx_arena(tx), &row, err);
}

/* Removed after its row was looked at and before it could be found. */
static void close_if_gone(const struct errand *e)
{
    struct errand back = *e;
    struct sv_error err;

    if (sv_db_read(e->cloud->db, find_row, &back.host, &err) != SV_E_HOST_NOT_FOUND)
        return;
    back.closes = take_out(e->cloud, &e->host);
    if (back.closes)
        close_host(&back);
}

static void open_host(const struct errand *e)
{
    struct sv_error err;
    char text[256];

    if (sv_host_open_uri(e->cloud, e->uri, &e->host, &err) == SV_OK) {
        close_if_gone(e);
        return;
    }
    if (err.code == SV_E_HOST_NOT_FOUND) /* removed before it was opened */
        return;
    sv_err_text(&err, SV_LANG_EN, text, sizeof(text));
    sv_log(SV_LOG_WARN, "host.not_opened", "host", e->host.s, "error", text, NULL);
}

static struct errand *next_errand(struct sv_host_door *d)
{
    pthread_mutex_lock(&d->crew.mutex);
    struct errand *e = d->crew.stop ? NULL : d->first;
    if (e) {
        d->first = e->next;
        if (!d->first)
            d->last = &d->first;
    } else {
        sv_crew_leave(&d->crew, &d->running);
    }
    pthread_mutex_unlock(&d->crew.mutex);
    return e;
}

static void *run_errands(void *arg)
{
    struct sv_host_door *d = arg;

    pthread_setname_np(pthread_self(), "host-door");
    for (struct errand *e; (e = next_errand(d)) != NULL; errand_free(e)) {
        if (e->closes)
            close_host(e);
        else
            open_host(e);
    }
    return NULL;
}

static void post(struct errand *e)
{
    struct sv_host_door *d = e->cloud->door;

    pthread_mutex_lock(&d->crew.mutex);
    e->next = NULL;
    *d->last = e;
    d->last = &e->next;
    sv_crew_wake(&d->crew, &d->running, run_errands, d);
    pthread_mutex_unlock(&d->crew.mutex);
}

/* --- after the commit --- */

struct wish {
    struct sv_cloud *c;
    struct sv_id host;
    const char *uri; /* NULL: it goes */
};

static void committed(void *arg)
{
    const struct wish *w = arg;
    struct sv_cloud_host *h = w->uri ? NULL : take_out(w->c, &w->host);
    struct errand *e;

    if (!w->uri && !h)
        return;
    e = sv_alloc(sizeof(*e));
    *e = (struct errand){.cloud = w->c, .closes = h, .host = w->host, .uri = w->uri ? sv_strdup(w->uri) : NULL};
    post(e);
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
