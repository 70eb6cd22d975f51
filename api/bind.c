#include "api/internal.h"

#include <stdio.h>

#include "starvirt/limits.h"

/* A request's three places (path, query, KEY_PARAM) -> a value for each row -> the input struct. */

struct binding {
    const struct sv_match *match;
    struct sv_arena *arena;
    struct sv_error *err;
    const struct sv_value *value[SV_MAX_PARAMS]; /* by row; NULL = did not come */
    char unknown[512];                           /* comma list for the log */
    size_t unknown_n;
};

static const struct sv_param *rows(const struct binding *b)
{
    return b->match->route->params;
}

static void note_unknown(struct binding *b, struct sv_slice key)
{
    char shown[64];
    sv_printable(shown, sizeof(shown), key.p, key.n);
    if (b->unknown_n >= sizeof(b->unknown))
        return;
    int n =
        snprintf(b->unknown + b->unknown_n, sizeof(b->unknown) - b->unknown_n, "%s%s", b->unknown_n ? "," : "", shown);
    if (b->unknown_n + (size_t)n >= sizeof(b->unknown))
        b->unknown[b->unknown_n] = '\0'; /* no half names; the rest is left out */
    b->unknown_n += (size_t)n;
}

/* SV_MAX_PARAMS if no row has this name. */
static size_t find_row(const struct binding *b, enum sv_pin in, struct sv_slice key)
{
    const struct sv_param *p = rows(b);
    for (size_t i = 0; i < b->match->route->param_count; i++)
        if (p[i].in == in && p[i].name[0] == (key.n ? key.p[0] : '\0') && strlen(p[i].name) == key.n &&
            memcmp(p[i].name, key.p, key.n) == 0)
            return i;
    return SV_MAX_PARAMS;
}

static enum sv_err offer(struct binding *b, enum sv_pin in, struct sv_slice key, const struct sv_value *v)
{
    size_t i = find_row(b, in, key);
    if (i == SV_MAX_PARAMS) {
        note_unknown(b, key);
        return SV_OK;
    }
    /* "vm.id" and "vm.id*" are the same key: only one may come. */
    if (b->value[i])
        return sv_param_fail(b->err, SV_E_PARAM_CONFLICT, &rows(b)[i], "given twice");
    b->value[i] = v;
    return SV_OK;
}

static const struct sv_value *text_value(struct binding *b, struct sv_slice text)
{
    struct sv_value *v = sv_arena_alloc(b->arena, sizeof(*v));
    *v = (struct sv_value){.kind = SV_V_TEXT, .text = text};
    return v;
}

static void take_path(struct binding *b)
{
    const struct sv_route *r = b->match->route;
    for (size_t i = 0; i < r->param_count; i++)
        if (r->params[i].in == SV_IN_PATH)
            b->value[i] = text_value(b, (struct sv_slice){b->match->path_value.p, b->match->path_value.n});
}

static enum sv_err take_query_pair(struct binding *b, const char *p, size_t n)
{
    const char *eq = memchr(p, '=', n);
    struct sv_slice key = {p, eq ? (size_t)(eq - p) : n}, text = {eq ? eq + 1 : p + n, eq ? n - key.n - 1 : 0};
    if (n == 0)
        return SV_OK;
    if (!sv_percent_decode(key, true, b->arena, &key) || !sv_percent_decode(text, true, b->arena, &text))
        return sv_fail(b->err, SV_E_BAD_REQUEST, SV_F_NONE, "'%' without two hex digits in the query");
    return offer(b, SV_IN_QUERY, key, text_value(b, text));
}

static enum sv_err take_query(struct binding *b, const char *query)
{
    unsigned pairs = 0;
    while (query && *query) {
        const char *end = strchrnul(query, '&');
        if (++pairs > SV_MAX_FORM_FIELDS)
            return sv_fail(b->err, SV_E_BAD_REQUEST, SV_F_NONE, "too many query parameters");
        enum sv_err e = take_query_pair(b, query, (size_t)(end - query));
        if (e != SV_OK)
            return e;
        query = *end ? end + 1 : end;
    }
    return SV_OK;
}

static bool only_blanks(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n", p[i]) || !p[i])
            return false;
    return true;
}

/* An integer past int64 is found before the rows are asked: give the error its row's own range. */
static void refine_range(struct binding *b)
{
    if (!b->err || b->err->code != SV_E_PARAM_RANGE)
        return;
    struct sv_slice key = {b->err->wire, strlen(b->err->wire)};
    size_t i = find_row(b, SV_IN_BODY, key);
    if (i == SV_MAX_PARAMS)
        return;
    char range[64];
    sv_param_range(&rows(b)[i], range, sizeof(range));
    sv_param_fail(b->err, SV_E_PARAM_RANGE, &rows(b)[i], range[0] ? range : "-2^63 - 2^63-1");
}

static enum sv_err take_json(struct binding *b, struct sv_slice base64)
{
    size_t n, bad, count;
    unsigned char *json = sv_arena_alloc(b->arena, base64.n + 1);
    struct sv_member *m;
    if (!sv_b64_decode(base64.p, base64.n, json, &n, &bad))
        return sv_fail(b->err, SV_E_BAD_BASE64, SV_F_NONE, sv_dec((int64_t)bad).s);
    if (only_blanks((const char *)json, n))
        return SV_OK;
    enum sv_err e = sv_json_members((const char *)json, n, b->arena, &m, &count, b->err);
    if (e != SV_OK) {
        refine_range(b);
        return e;
    }
    for (size_t i = 0; i < count && e == SV_OK; i++)
        e = offer(b, SV_IN_BODY, m[i].key, &m[i].value);
    return e;
}

static enum sv_err take_body(struct binding *b, const struct sv_input *in)
{
    struct sv_slice key_param;
    if (b->match->route->raw_body)
        return SV_OK;
    enum sv_err e = sv_form_key_param(in, b->arena, &key_param, b->err);
    if (e == SV_OK && key_param.n > 0)
        e = take_json(b, key_param);
    return e;
}

static enum sv_err fill(struct binding *b, void *in)
{
    static const struct sv_value absent = {.kind = SV_V_ABSENT};
    const struct sv_route *r = b->match->route;
    for (size_t i = 0; i < r->param_count; i++) {
        const struct sv_param *p = &r->params[i];
        bool set;
        enum sv_err e = sv_param_set(p, b->value[i] ? b->value[i] : &absent, b->arena, in, &set, b->err);
        if (e != SV_OK)
            return e;
        if (!set && ((p->flags & SV_P_REQUIRED) || p->in == SV_IN_PATH))
            return sv_param_fail(b->err, SV_E_PARAM_MISSING, p, "");
    }
    return SV_OK;
}

enum sv_err sv_api_bind(const struct sv_match *m, const struct sv_input *in, struct sv_arena *a, void **ret_in,
                        const char **ret_unknown, struct sv_error *err)
{
    struct sv_error local;
    struct binding b = {.match = m, .arena = a, .err = err ? err : &local};
    take_path(&b);
    enum sv_err e = take_query(&b, in->query);
    if (e == SV_OK)
        e = take_body(&b, in);
    if (e != SV_OK)
        return e;
    void *out = sv_arena_alloc(a, m->route->in_size ? m->route->in_size : 1);
    e = fill(&b, out);
    if (e != SV_OK)
        return e;
    *ret_in = out;
    *ret_unknown = b.unknown[0] ? sv_arena_strdup(a, b.unknown) : NULL;
    return SV_OK;
}
