/* The hosts: opened from their URIs, tied to their rows, and what drivers tell handed to the sync thread. */
#include "core/host/sync.h"

static void on_host(void *arg, struct sv_hv_host *h, bool connected, const char *why)
{
    struct sv_cloud *c = arg;
    struct sv_cloud_host *host = sv_hv_user(h);

    sv_log(connected ? SV_LOG_INFO : SV_LOG_WARN, connected ? "host.connected" : "host.lost", "host",
           sv_hv_host_name(h), "why", why ? why : "", NULL);
    sv_host_news(c, h, connected, why ? why : "");
    sv_agent_news(c, NULL);
    /* Before its row is tied there is nobody to tell; sv_hosts_open asks again. */
    if (host)
        sv_sync_host(c, host, connected);
}

static void on_power(void *arg, struct sv_hv_host *h, const struct sv_id *vm, enum sv_hv_power now)
{
    struct sv_cloud_host *host = sv_hv_user(h);

    sv_agent_news(arg, vm); /* a guest that ended need not be waited for */
    if (host)               /* else it is about to be asked for everything */
        sv_sync_power(arg, host, vm, now);
}

static void on_agent(void *arg, struct sv_hv_host *h, const struct sv_id *vm, bool up)
{
    struct sv_cloud_host *host = sv_hv_user(h);

    if (up)
        sv_agent_news(arg, vm);
    if (up && host)
        sv_address_ask(arg, host, vm);
    sv_sync_agent(arg, vm, up);
}

struct tie_args {
    struct sv_hv_host *hv;
    const char *uri, *image_dir;
    const struct sv_id *row; /* of a host that a request added, which may be gone again; NULL: made at first sight */
    struct sv_id id;
};

/* Finds both rows as they should be; else `id` stays empty. A start must not wait for room on the disk when there is
 * nothing to write. */
static void compare_host(void *arg, const struct sv_host *h)
{
    struct tie_args *a = arg;

    if (h->index == (int)sv_hv_host_index(a->hv) && strcmp(h->uri, a->uri) == 0)
        a->id = h->id;
}

static enum sv_err find_tied(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct tie_args *a = arg;
    struct sv_storage s = {.location = ""};
    struct sv_id own;
    enum sv_err rc = sv_host_list(tx, compare_host, a, err);

    if (rc || sv_id_empty(&a->id))
        return rc;
    rc = sv_storage_own(tx, &a->id, &own, err);
    if (!rc)
        rc = sv_storage_get(tx, &own, sv_tx_arena(tx), &s, err);
    if (rc == SV_E_STORAGE_NOT_FOUND)
        rc = SV_OK;
    if (rc || strcmp(s.location, a->image_dir) != 0)
        a->id = (struct sv_id){.s = ""};
    return rc;
}

/* The row of a host and of its image directory, made at first sight. Not connected until it says so. */
static enum sv_err tie(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct tie_args *a = arg;
    const struct sv_host row = {.id = sv_id_new(),
                                .name = sv_hv_host_name(a->hv),
                                .descr = "",
                                .uri = a->uri,
                                .driver = sv_hv_driver_name(a->hv),
                                .index = (int)sv_hv_host_index(a->hv),
                                .created = sv_tx_now(tx)};
    struct sv_storage s = {.id = sv_id_new(),
                           .name = "local",
                           .descr = "",
                           .type = "dir",
                           .location = a->image_dir,
                           .created = sv_tx_now(tx)};
    struct sv_id storage;
    struct sv_host there;
    enum sv_err rc =
        a->row ? sv_host_get(tx, a->row, sv_tx_arena(tx), &there, err) : sv_host_ensure(tx, &row, &a->id, err);

    if (a->row)
        a->id = *a->row;

    s.host = a->id;
    return rc ? rc : sv_storage_ensure(tx, &s, &storage, err);
}

static void add_host(void *arg, const struct sv_host *h)
{
    sv_ids_add(arg, &h->id);
}

/* No host is connected before it says so; nor is one of an earlier configuration, whose driver is not here. */
static enum sv_err forget_connections(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_ids l SV_CLEANUP(sv_ids_free) = {0};
    enum sv_err rc = sv_host_list(tx, add_host, &l, err);

    (void)arg;
    for (size_t i = 0; !rc && i < l.n; i++)
        rc = sv_host_set_connected(tx, &l.v[i], false, err);
    return rc;
}

/* Before the first request: nobody may read that a guest of yesterday's host runs. On a full disk nobody waits for
 * it, but it is written before anything that a host tells. */
static void forget_all(struct sv_cloud *c)
{
    struct sv_error err;
    struct sv_db_work *w;

    if (!sv_db_try(c->db, forget_connections, NULL, &err))
        return;
    w = sv_alloc(sizeof(*w));
    *w = (struct sv_db_work){.fn = forget_connections};
    sv_db_post(c->db, w);
}

/* --- opening ----------------------------------------------------------------------------------------- */

/* From here on it is found. False: there are as many as there can be. */
static bool enter(struct sv_cloud *c, struct sv_cloud_host *h)
{
    pthread_mutex_lock(&c->host_mutex);
    const bool room = c->host_count < SV_MAX_HOSTS;
    if (room) {
        size_t cap = c->host_cap;
        c->hosts = sv_grow(c->hosts, c->host_count, &cap, sizeof(*c->hosts));
        c->host_cap = (unsigned)cap;
        c->hosts[c->host_count++] = h;
    }
    pthread_mutex_unlock(&c->host_mutex);
    return room;
}

static enum sv_err add_one(struct sv_cloud *c, struct tie_args *a, struct sv_error *err)
{
    enum sv_err rc = sv_db_read(c->db, find_tied, a, err);
    struct sv_cloud_host *h;

    if (!rc && sv_id_empty(&a->id))
        rc = sv_db_try(c->db, tie, a, err);
    if (rc)
        return rc;
    h = sv_alloc(sizeof(*h));
    *h = (struct sv_cloud_host){.id = a->id, .hv = a->hv, .cloud = c, .uri = sv_strdup(a->uri), .given = !a->row};
    SV_COPY(h->name, sv_hv_host_name(a->hv));
    if (!enter(c, h)) {
        free(h->uri);
        free(h);
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, "more than 1024 hosts");
    }
    sv_host_tied(c, h);
    /* Connected before it was tied? Then its event found nobody. */
    if (sv_hv_connected(a->hv))
        sv_sync_host(c, h, true);
    return SV_OK;
}

static void keep_driver(struct sv_cloud *c, struct sv_hv *hv)
{
    pthread_mutex_lock(&c->host_mutex);
    c->hvs = sv_realloc(c->hvs, (c->hv_count + 1) * sizeof(*c->hvs));
    c->hvs[c->hv_count++] = hv;
    pthread_mutex_unlock(&c->host_mutex);
}

enum sv_err sv_host_open_uri(struct sv_cloud *c, const char *uri, const struct sv_id *added, struct sv_error *err)
{
    const struct sv_hv_events events = {.arg = c, .host = on_host, .power = on_power, .agent = on_agent};
    SV_AUTOFREE char *images = sv_asprintf("%s/images", c->data_dir);
    struct tie_args a = {
        .uri = uri, .image_dir = c->hv_options.image_dir ? c->hv_options.image_dir : images, .row = added};
    struct sv_hv *hv;
    enum sv_err rc = sv_hv_open(uri, &c->hv_options, &events, &hv, err);

    if (rc)
        return rc;
    for (unsigned i = 0; !rc && i < sv_hv_host_count(hv); i++) {
        a.hv = sv_hv_host_at(hv, i);
        a.id = (struct sv_id){.s = ""};
        rc = add_one(c, &a, err);
    }
    if (rc && added) { /* its row went meanwhile: it has one host, which nobody found */
        const struct sv_hv_host *one = sv_hv_host_at(hv, 0);

        sv_hv_close(hv);
        sv_host_early_forget(c, one);
        return rc;
    }
    keep_driver(c, hv);
    return rc;
}

/* --- life -------------------------------------------------------------------------------------------- */

static bool is_given(const struct sv_cloud_options *opt, const char *uri)
{
    for (unsigned i = 0; i < opt->connect_count; i++)
        if (strcmp(opt->connect[i], uri) == 0)
            return true;
    return false;
}

struct added {
    struct row {
        struct sv_id id;
        char *uri;
    } * v;
    size_t n;
    const struct sv_cloud_options *opt;
};

static void note_added(void *arg, const struct sv_host *h)
{
    struct added *l = arg;

    if (!h->added || is_given(l->opt, h->uri))
        return;
    l->v = sv_realloc(l->v, (l->n + 1) * sizeof(*l->v));
    l->v[l->n++] = (struct row){h->id, sv_strdup(h->uri)};
}

static enum sv_err list_added(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_host_list(tx, note_added, arg, err);
}

/* Hosts that a request added. One that does not open must not keep the others from starting. */
static enum sv_err open_added(struct sv_cloud *c, const struct sv_cloud_options *opt, struct sv_error *err)
{
    struct added l = {.opt = opt};
    enum sv_err rc = sv_db_read(c->db, list_added, &l, err);

    for (size_t i = 0; i < l.n; i++) {
        struct sv_error ignored; /* the door's next try says why */

        if (!rc && sv_host_open_uri(c, l.v[i].uri, &l.v[i].id, &ignored) != SV_OK)
            sv_host_door_try(c, &l.v[i].id, l.v[i].uri);
        free(l.v[i].uri);
    }
    free(l.v);
    return rc;
}

enum sv_err sv_hosts_open(struct sv_cloud *c, const struct sv_cloud_options *opt, struct sv_error *err)
{
    enum sv_err rc = SV_OK;

    forget_all(c);
    c->hosts_since = sv_mono_ms();
    for (unsigned i = 0; !rc && i < opt->connect_count; i++)
        rc = sv_host_open_uri(c, opt->connect[i], NULL, err);
    return rc ? rc : open_added(c, opt, err);
}

void sv_hosts_close(struct sv_cloud *c)
{
    sv_host_door_stop(c);
    for (unsigned i = 0; i < c->hv_count; i++)
        sv_hv_close(c->hvs[i]);
    c->hv_count = 0;
    sv_host_early_free(c);
    free(c->hvs);
    c->hvs = NULL;
}

static void free_hosts(struct sv_cloud_host **v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        free(v[i]->uri);
        free(v[i]);
    }
    free(v);
}

void sv_hosts_free(struct sv_cloud *c)
{
    free_hosts(c->hosts, c->host_count);
    free_hosts(c->gone, c->gone_count);
    c->hosts = c->gone = NULL;
    c->host_count = c->gone_count = 0;
}
