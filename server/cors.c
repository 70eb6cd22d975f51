#include "server/cors.h"
#include "server/console.h"

enum { MOST = 64 };

struct sv_cors {
    bool any;
    unsigned count;
    const char *origins[MOST];
};

/* A scheme and a host, as browsers write an origin. */
static bool is_origin(const char *text)
{
    const char *host = strstr(text, "://");
    return host && sv_console_base_ok(text) && !strchr(host + 3, '/');
}

bool sv_cors_parse(struct sv_arena *a, const char *list, const struct sv_cors **ret, struct sv_buf *why)
{
    struct sv_cors *c = sv_arena_alloc(a, sizeof(*c));
    *c = (struct sv_cors){.count = 0};
    for (const char *e = list; *(e += strspn(e, " \t,")); e += strcspn(e, " \t,")) {
        const char *origin = sv_arena_strndup(a, e, strcspn(e, " \t,"));
        const bool any = strcmp(origin, "*") == 0;
        if (c->count == MOST || (!any && !is_origin(origin))) {
            sv_buf_printf(why, "'%s' %s", origin,
                          c->count == MOST ? "is one too many" : "is neither * nor like https://cloud.example.org");
            return false;
        }
        c->any = c->any || any;
        c->origins[c->count++] = origin;
    }
    *ret = c;
    return true;
}

const char *sv_cors_origin(const struct sv_cors *c, const struct sv_request *r)
{
    if (!c || !r->origin)
        return NULL;
    if (c->any)
        return "*";
    for (unsigned i = 0; i < c->count; i++)
        if (sv_console_origin_is(r->origin, c->origins[i]))
            return r->origin;
    return NULL;
}

bool sv_cors_asks(const struct sv_cors *c, const struct sv_request *r)
{
    return r->asks_method && strcmp(r->method, "OPTIONS") == 0 && sv_cors_origin(c, r);
}

const char *sv_cors_headers(struct sv_request *r)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    sv_buf_puts(&b, "Content-Type, Accept-Language, Idempotency-Key");
    for (const char *const *h = sv_api_token_headers(r->server->api); *h; h++) {
        sv_buf_printf(&b, ", %s", *h);
        if (!strchr(*h, '_'))
            continue;
        const size_t at = b.n - strlen(*h); /* and its other spelling */
        sv_buf_printf(&b, ", %s", *h);
        for (char *p = b.p + at; *p && *p != ','; p++)
            *p = *p == '_' ? '-' : *p;
    }
    return sv_arena_strndup(r->arena, b.p, b.n);
}
