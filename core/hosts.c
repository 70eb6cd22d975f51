/* The hosts: opened from their URIs, tied to their rows, and what drivers tell handed to the sync thread. */
#include <time.h>

#include "core/internal.h"
#include "core/sync.h"

static void on_host(void *arg, struct sv_hv_host *h, bool connected, const char *why)
{
    struct sv_cloud *c = arg;
    struct sv_cloud_host *host = sv_hv_user(h);

    sv_log(connected ? SV_LOG_INFO : SV_LOG_WARN, connected ? "host.connected" : "host.lost", "host",
           sv_hv_host_name(h), "why", why ? why : "", NULL);
    pthread_mutex_lock(&c->host_mutex);
    pthread_cond_broadcast(&c->host_change);
    pthread_mutex_unlock(&c->host_mutex);
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
    if (!rc)
        rc = sv_host_set_connected(tx, &a->id, false, err);
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

/* A row of an earlier configuration, whose driver is not here, must not look connected. */
static enum sv_err forget_connections(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct host_ids l = {.n = 0};
    enum sv_err rc = sv_host_list(tx, add_host, &l, err);

    (void)arg;
    for (unsigned i = 0; !rc && i < l.n; i++)
        rc = sv_host_set_connected(tx, &l.id[i], false, err);
    return rc;
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
            return sv_fail(err, SV_E_CONFIG, SV_F_NONE, "more than 256 hosts");
        rc = sv_db_write(c->db, tie, &a, err);
        c->hosts[c->host_count] = (struct sv_cloud_host){.id = a.id, .hv = a.hv, .cloud = c};
        sv_hv_set_user(a.hv, &c->hosts[c->host_count++]);
        /* Connected before it was tied? Then its event found nobody. */
        if (!rc && sv_hv_connected(a.hv))
            sv_sync_host(c, sv_hv_user(a.hv), true);
    }
    return rc;
}

enum sv_err sv_hosts_open(struct sv_cloud *c, const struct sv_cloud_options *opt, struct sv_error *err)
{
    enum sv_err rc = sv_db_write(c->db, forget_connections, NULL, err);

    c->hvs = sv_alloc(opt->connect_count * sizeof(*c->hvs) + 1);
    c->hosts = sv_alloc(SV_MAX_HOSTS * sizeof(*c->hosts));
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
    free(c->hvs);
    free(c->hosts);
    c->hvs = NULL;
    c->hosts = NULL;
}

struct sv_hv_host *sv_cloud_host_hv(const struct sv_cloud *c, const struct sv_id *host)
{
    for (unsigned i = 0; i < c->host_count; i++) {
        if (sv_id_eq(&c->hosts[i].id, host))
            return c->hosts[i].hv;
    }
    return NULL;
}

/* [ms] how long a job waits for its host, and how often it looks whether it was cancelled meanwhile */
enum { HOST_WAIT_MS = 60 * 1000, CANCEL_CHECK_MS = 200 };

void sv_hosts_init(struct sv_cloud *c)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&c->host_mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->host_change, &attr);
    pthread_mutex_init(&c->agent_mutex, NULL);
    pthread_cond_init(&c->agent_change, &attr);
    pthread_condattr_destroy(&attr);
}

static void wait_change(struct sv_cloud *c, struct sv_hv_host *h, const struct sv_deadline *d)
{
    struct timespec until;
    int64_t ms = sv_deadline_left(d);

    ms = sv_mono_ms() + (ms < CANCEL_CHECK_MS ? ms : CANCEL_CHECK_MS);
    until = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    pthread_mutex_lock(&c->host_mutex);
    if (!sv_hv_connected(h))
        pthread_cond_timedwait(&c->host_change, &c->host_mutex, &until);
    pthread_mutex_unlock(&c->host_mutex);
}

enum sv_err sv_host_wait(struct sv_cloud *c, struct sv_hv_host *h, const struct sv_deadline *d, struct sv_error *err)
{
    while (!sv_hv_connected(h)) {
        if (sv_deadline_cancelled(d))
            return sv_fail(err, SV_E_JOB_CANCELLED, SV_F_NONE);
        if (sv_deadline_over(d))
            return sv_fail(err, SV_E_HOST_DOWN, SV_F_NONE, sv_hv_host_name(h));
        wait_change(c, h, d);
    }
    return SV_OK;
}

/* Right after a start hosts are still connecting: a resumed job must not fail for that. */
enum sv_err sv_run_host(struct sv_run *r, struct sv_hv_host **ret, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    const struct sv_deadline d = sv_deadline_within(sv_run_deadline(r), HOST_WAIT_MS);
    const struct sv_job *job = sv_run_job(r);
    struct sv_hv_host *h = sv_cloud_host_hv(c, &job->host);
    enum sv_err rc = h ? sv_host_wait(c, h, &d, err) : sv_fail(err, SV_E_HOST_DOWN, SV_F_NONE, job->host.s);

    if (!rc)
        *ret = h;
    return rc;
}
