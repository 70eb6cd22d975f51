#include "server/pages.h"
#include "server/console.h"
#include "server/dispatch.h"
#include "server/metrics.h"

#include <pthread.h>
#include <stdlib.h>

enum text { TEXT_HTML_ZH, TEXT_HTML_EN, TEXT_WADL, TEXT_OPENAPI, TEXT_COUNT };

struct sv_page_cache {
    pthread_mutex_t lock;
    struct sv_buf text[TEXT_COUNT]; /* never changed once there: replies point into it */
};

struct sv_page_cache *sv_page_cache_new(void)
{
    struct sv_page_cache *c = sv_alloc(sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void sv_page_cache_free(struct sv_page_cache *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < TEXT_COUNT; i++)
        sv_buf_free(&c->text[i]);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void make(const struct sv_api *api, enum text which, struct sv_buf *out)
{
    switch (which) {
    case TEXT_HTML_ZH:
        sv_describe_html(api, SV_LANG_ZH, out);
        break;
    case TEXT_HTML_EN:
        sv_describe_html(api, SV_LANG_EN, out);
        break;
    case TEXT_WADL:
        sv_describe_wadl(api, out);
        break;
    case TEXT_OPENAPI:
        sv_describe_openapi(api, out);
        break;
    case TEXT_COUNT:
        break;
    }
}

static void answer_text(struct sv_request *r, enum text which, const char *type)
{
    struct sv_page_cache *c = r->server->pages;
    pthread_mutex_lock(&c->lock);
    struct sv_buf *t = &c->text[which];
    if (!t->p)
        make(r->server->api, which, t);
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

static void answer_health(struct sv_request *r)
{
    r->fixed = "ok";
    r->fixed_len = 2;
}

static enum sv_err admin_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_request *r = arg;
    enum sv_err e = sv_dispatch_auth(r, tx, err);
    if (e == SV_OK && r->actor.role != SV_ROLE_ADMIN)
        return sv_fail(err, SV_E_ADMIN_ONLY, SV_F_NONE);
    return e;
}

/* Threat 28: a proxy on this machine makes everybody a loopback peer, so what came through one is not. */
static bool may_read_metrics(const struct sv_request *r)
{
    return r->server->metrics_public || (r->conn->peer.loopback && !r->proxied);
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

static const struct sv_page_row rows[] = {
    {.path = "/healthz", .answer = answer_health},
    {.path = "/metrics", .always = true, .answer = answer_metrics},
    {.path = "/openapi.json", .answer = answer_openapi},
    {.path = "/console/vm/", .below = true, .answer = sv_console_connect},
    {.path = "/console/", .below = true, .answer = sv_console_file},
    {.path = "/starvcenter/services", .answer = answer_services},
    {.path = "/starvcenter/services/openapi.json", .answer = answer_openapi},
};

const struct sv_page_row *sv_page_find(const struct sv_request *r)
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
    return NULL;
}
