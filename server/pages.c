#include "server/pages.h"
#include "server/answer.h"
#include "server/console.h"
#include "server/metrics.h"
#include "starvirt/clock.h"

#include <pthread.h>
#include <stdlib.h>

enum text { TEXT_HTML_ZH, TEXT_HTML_EN, TEXT_WADL, TEXT_OPENAPI, TEXT_COUNT };

/* Of each dialect, in the order of sv_api_dialects(). */
struct sv_page_cache {
    pthread_mutex_t lock;
    size_t dialects;
    struct sv_buf (*text)[TEXT_COUNT]; /* never changed once there: replies point into it */
};

struct sv_page_cache *sv_page_cache_new(const struct sv_api *api)
{
    struct sv_page_cache *c = sv_alloc(sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    while (sv_api_dialects(api)[c->dialects])
        c->dialects++;
    c->text = sv_alloc((c->dialects + 1) * sizeof(*c->text));
    return c;
}

void sv_page_cache_free(struct sv_page_cache *c)
{
    if (!c)
        return;
    for (size_t d = 0; d < c->dialects; d++)
        for (unsigned i = 0; i < TEXT_COUNT; i++)
            sv_buf_free(&c->text[d][i]);
    free(c->text);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void make(const struct sv_api *api, const struct sv_dialect *d, enum text which, struct sv_buf *out)
{
    switch (which) {
    case TEXT_HTML_ZH:
        sv_describe_html(api, d, SV_LANG_ZH, out);
        break;
    case TEXT_HTML_EN:
        sv_describe_html(api, d, SV_LANG_EN, out);
        break;
    case TEXT_WADL:
        sv_describe_wadl(api, d, out);
        break;
    case TEXT_OPENAPI:
        sv_describe_openapi(api, d, out);
        break;
    case TEXT_COUNT:
        break;
    }
}

static void answer_text(struct sv_request *r, enum text which, const char *type)
{
    struct sv_page_cache *c = r->server->pages;
    pthread_mutex_lock(&c->lock);
    struct sv_buf *t = &c->text[r->described][which];
    if (!t->p)
        make(r->server->api, sv_api_dialects(r->server->api)[r->described], which, t);
    r->fixed = t->p ? t->p : "";
    r->fixed_len = t->n;
    pthread_mutex_unlock(&c->lock);
    r->type = type;
}

static void answer_openapi(struct sv_request *r)
{
    answer_text(r, TEXT_OPENAPI, "application/json; charset=UTF-8");
}

static void answer_services(struct sv_request *r)
{
    if (r->query && strncmp(r->query, "_wadl", 5) == 0)
        answer_text(r, TEXT_WADL, "application/xml; charset=UTF-8");
    else
        answer_text(r, r->lang == SV_LANG_EN ? TEXT_HTML_EN : TEXT_HTML_ZH, "text/html; charset=UTF-8");
}

/* [ms] a commit this fresh shows that writing works; else health is asked by writing */
enum { FRESH_MS = 1000 };

static bool health_probes(struct sv_request *r)
{
    struct sv_db_stats db;
    if (atomic_load_explicit(&r->server->closed, memory_order_acquire) || atomic_load(&r->server->stopping))
        return false;
    sv_db_stats(r->server->db, &db);
    return db.outage || sv_mono_ms() - db.committed_at > FRESH_MS;
}

/* One line a trouble, for people; machines go by the status. */
static void answer_health(struct sv_request *r)
{
    struct sv_db_stats db = {.outage = (enum sv_err)atomic_load_explicit(&r->server->closed, memory_order_acquire)};
    if (!db.outage)
        sv_db_stats(r->server->db, &db);
    r->reply.n = 0;
    if (db.outage == SV_E_DISK_FULL)
        sv_buf_puts(&r->reply, "disk full: nothing can be written until there is room\n");
    else if (db.outage || db.waiting)
        sv_buf_puts(&r->reply, "database: its file cannot be written at the moment\n");
    if (db.damaged)
        sv_buf_puts(&r->reply, "database: damaged, the log says where\n");
    r->status = r->reply.n ? 503 : 200;
    if (r->status == 200)
        sv_buf_puts(&r->reply, "ok");
}

static enum sv_err known_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_dispatch_auth(arg, tx, err);
}

static enum sv_err admin_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_request *r = arg;
    enum sv_err rc = sv_dispatch_auth(r, tx, err);
    if (!rc && r->actor.role != SV_ROLE_ADMIN)
        return sv_fail(err, SV_E_ADMIN_ONLY, SV_F_NONE);
    return rc;
}

/* Threat 28: whoever connects from this machine may be a proxy that serves anybody, so where a request comes from does
 * not count. */
static bool may_read_metrics(const struct sv_request *r)
{
    return r->server->metrics_public || r->metrics_only;
}

static void answer_metrics(struct sv_request *r)
{
    struct sv_error err = {0};
    if (!may_read_metrics(r) && sv_db_read(r->server->db, admin_tx, r, &err) != SV_OK) {
        sv_answer_failure(r, &err);
        if (r->status == 200)
            r->status = 403; /* scrapers go by the status */
        return;
    }
    sv_metrics_write(r->server, &r->reply);
    r->type = "text/plain; version=0.0.4; charset=UTF-8";
}

static void put_state(void *arg, const struct sv_host_status *s)
{
    struct sv_json *j = arg;
    sv_json_obj(j, NULL);
    sv_json_str(j, "name", s->name);
    sv_json_str(j, "uri", s->uri);
    sv_json_str(j, "state", sv_host_state_name(s->state));
    sv_json_str(j, "reason", s->why);
    sv_json_end_obj(j);
}

/* Where hosts are and what keeps them away is for administrators; how many there are, for everybody who waits. */
static void answer_ready(struct sv_request *r)
{
    const struct sv_hosts_ready hosts = sv_cloud_hosts_ready(r->server->cloud);
    const bool ready = hosts.ready > 0 && hosts.coming == 0;
    struct sv_error err = {0};
    struct sv_json j;
    if (r->token && sv_db_read(r->server->db, known_tx, r, &err) != SV_OK) {
        sv_answer_failure(r, &err);
        if (r->status == 200)
            r->status = 403;
        return;
    }
    sv_json_init(&j, &r->reply);
    sv_json_obj(&j, NULL);
    sv_json_bool(&j, "ready", ready);
    sv_json_int(&j, "total", hosts.total);
    sv_json_int(&j, "usable", hosts.ready);
    sv_json_int(&j, "coming", hosts.coming);
    if (r->known && r->actor.role == SV_ROLE_ADMIN) {
        sv_json_arr(&j, "hosts");
        sv_host_states(r->server->cloud, &r->actor, put_state, &j, &err);
        sv_json_end_arr(&j);
    }
    sv_json_end_obj(&j);
    r->type = "application/json; charset=UTF-8";
    if (!ready) {
        r->status = 503;
        r->retry_after = 1;
    }
}

static const struct sv_page_row rows[] = {
    {.path = "/healthz", .figures = true, .probes = health_probes, .answer = answer_health},
    {.path = "/readyz", .figures = true, .answer = answer_ready},
    {.path = "/metrics", .always = true, .figures = true, .answer = answer_metrics},
    {.path = "/openapi.json", .answer = answer_openapi},
    {.path = "/console/vm/", .below = true, .answer = sv_console_connect},
    {.path = "/console/", .below = true, .answer = sv_console_file},
};

/* Below what a dialect calls its place: "" and "/openapi.json". */
static const struct sv_page_row description[] = {
    {.path = "", .answer = answer_services},
    {.path = "/openapi.json", .answer = answer_openapi},
};

static const struct sv_page_row *find_description(struct sv_request *r, size_t n)
{
    const struct sv_dialect *const *d = sv_api_dialects(r->server->api);
    for (size_t i = 0; d[i]; i++) {
        size_t k = strlen(d[i]->describe);
        if (k > n || memcmp(d[i]->describe, r->path, k) != 0)
            continue;
        for (size_t p = 0; p < sizeof(description) / sizeof(description[0]); p++)
            if (strlen(description[p].path) == n - k && memcmp(description[p].path, r->path + k, n - k) == 0) {
                r->described = (unsigned)i;
                return &description[p];
            }
    }
    return NULL;
}

const struct sv_page_row *sv_page_find(struct sv_request *r)
{
    if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0)
        return NULL;
    size_t n = strlen(r->path);
    while (n > 1 && r->path[n - 1] == '/')
        n--;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t k = strlen(rows[i].path);
        if (rows[i].below ? strncmp(rows[i].path, r->path, k) == 0 : k == n && memcmp(rows[i].path, r->path, n) == 0)
            return &rows[i];
    }
    return find_description(r, n);
}
