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
    enum sv_err rc = sv_host_ensure(tx, &row, &a->id, err);

    s.host = a->id;
    return rc ? rc : sv_storage_ensure(tx, &s, &storage, err);
}

struct host_ids {
    struct sv_id id[SV_MAX_HOSTS];
    unsigned n;
};

static void add_host(void *arg, const struct sv_host *h)
{
    struct host_ids *l = arg;

    if (l->n < SV_MAX_HOSTS)
        l->id[l->n++] = h->id;
}

/* No host is connected before it says so; nor is one of an earlier configuration, whose driver is not here. */
static enum sv_err forget_connections(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct host_ids l = {.n = 0};
    enum sv_err rc = sv_host_list(tx, add_host, &l, err);

    (void)arg;
    for (unsigned i = 0; !rc && i < l.n; i++)
        rc = sv_host_set_connected(tx, &l.id[i], false, err);
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

static enum sv_err open_uri(struct sv_cloud *c, const char *uri, const struct sv_hv_options *opt, struct sv_error *err)
{
    const struct sv_hv_events events = {.arg = c, .host = on_host, .power = on_power, .agent = on_agent};
    SV_AUTOFREE char *images = sv_asprintf("%s/images", c->data_dir);
    struct sv_hv *hv;
    enum sv_err rc = sv_hv_open(uri, opt, &events, &hv, err);

    if (rc)
        return rc;
    c->hvs[c->hv_count++] = hv;
    for (unsigned i = 0; !rc && i < sv_hv_host_count(hv); i++) {
        struct tie_args a = {
            .hv = sv_hv_host_at(hv, i), .uri = uri, .image_dir = opt->image_dir ? opt->image_dir : images};

        if (c->host_count == SV_MAX_HOSTS)
            return sv_fail(err, SV_E_CONFIG, SV_F_NONE, "more than 1024 hosts");
        rc = sv_db_read(c->db, find_tied, &a, err);
        if (!rc && sv_id_empty(&a.id))
            rc = sv_db_try(c->db, tie, &a, err);
        c->hosts[c->host_count] = (struct sv_cloud_host){.id = a.id, .hv = a.hv, .cloud = c, .uri = a.uri};
        sv_host_tied(c, &c->hosts[c->host_count++]);
        /* Connected before it was tied? Then its event found nobody. */
        if (!rc && sv_hv_connected(a.hv))
            sv_sync_host(c, sv_hv_user(a.hv), true);
    }
    return rc;
}

enum sv_err sv_hosts_open(struct sv_cloud *c, const struct sv_cloud_options *opt, struct sv_error *err)
{
    enum sv_err rc = SV_OK;

    forget_all(c);
    c->hvs = sv_alloc(opt->connect_count * sizeof(*c->hvs) + 1);
    c->hosts = sv_alloc(SV_MAX_HOSTS * sizeof(*c->hosts));
    c->hosts_since = sv_mono_ms();
    for (unsigned i = 0; !rc && i < opt->connect_count; i++)
        rc = open_uri(c, opt->connect[i], &opt->hv, err);
    return rc;
}

void sv_hosts_close(struct sv_cloud *c)
{
    for (unsigned i = 0; i < c->hv_count; i++)
        sv_hv_close(c->hvs[i]);
    c->hv_count = 0;
    c->host_count = 0;
    sv_host_early_free(c);
    free(c->hvs);
    free(c->hosts);
    c->hvs = NULL;
    c->hosts = NULL;
}
