#include "api/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "starvirt/limits.h"

/* A trie over path segments. A literal segment wins for good: "cloudvm/snapshot" without an id is no
 * such path and never the VM called "snapshot". */

/* --- building ----------------------------------------------------------------------------------- */

static int compare(const struct sv_edge *e, const char *seg, size_t n)
{
    if (e->n != n)
        return e->n < n ? -1 : 1;
    return memcmp(e->seg, seg, n);
}

/* Where `seg` is, or where it would go. */
static size_t position(const struct sv_node *node, const char *seg, size_t n, bool *ret_found)
{
    size_t lo = 0, hi = node->edge_count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = compare(&node->edges[mid], seg, n);
        if (c == 0) {
            *ret_found = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret_found = false;
    return lo;
}

static struct sv_node *grow(struct sv_node *node, struct sv_slice seg)
{
    if (sv_is_template(seg)) {
        if (!node->wild)
            node->wild = sv_alloc(sizeof(*node->wild));
        return node->wild;
    }
    bool found;
    size_t at = position(node, seg.p, seg.n, &found);
    if (found)
        return node->edges[at].node;
    node->edges = sv_realloc(node->edges, (node->edge_count + 1) * sizeof(*node->edges));
    memmove(&node->edges[at + 1], &node->edges[at], (node->edge_count - at) * sizeof(*node->edges));
    node->edge_count++;
    node->edges[at] = (struct sv_edge){seg.p, seg.n, sv_alloc(sizeof(*node))};
    return node->edges[at].node;
}

static struct sv_node *grow_path(struct sv_node *node, const char *path)
{
    struct sv_slice seg;
    while (sv_next_segment(&path, &seg))
        node = grow(node, seg);
    return node;
}

static void free_node(struct sv_node *node)
{
    if (!node)
        return;
    for (size_t i = 0; i < node->edge_count; i++)
        free_node(node->edges[i].node);
    free_node(node->wild);
    free(node->edges);
    free(node);
}

/* "cloudvm/cpu/modify" PUT -> "cloudvm_cpu_modify_put" */
static char *operation_id(const struct sv_dialect *prefix, const struct sv_route *r)
{
    char *id = sv_asprintf("%s%s%s_%s", prefix ? prefix->name : "", prefix ? "_" : "", r->path, r->method);
    char *to = id;
    size_t method_at = strlen(id) - strlen(r->method);
    for (size_t i = 0; id[i]; i++) {
        char c = id[i];
        bool upper = c >= 'A' && c <= 'Z';
        bool word = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (c == '{' || c == '}')
            continue;
        *to++ = i >= method_at && upper ? (char)(c | 0x20) : word ? c : '_';
    }
    *to = '\0';
    return id;
}

static enum sv_err add_route(struct sv_api *api, const struct sv_dialect *d, struct sv_node *base,
                             const struct sv_route *r, struct sv_error *err)
{
    enum sv_err e = sv_route_check(r, err);
    if (e != SV_OK)
        return e;
    struct sv_node *node = grow_path(base, r->path);
    const struct sv_route **slot = &node->by_method[sv_method_of(r->method)];
    char *id SV_AUTOFREE = operation_id(d == api->dialects[0] ? NULL : d, r);
    bool twice = *slot != NULL;
    for (size_t i = 0; i < api->op_count && !twice; i++)
        twice = strcmp(api->ops[i].id, id) == 0;
    if (twice) {
        char *text SV_AUTOFREE = sv_asprintf("route %s %s: there is another of the same name", r->method, r->path);
        return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, text);
    }
    *slot = r;
    node->any_route = true;
    api->ops[api->op_count++] = (struct sv_op){d, r, id};
    id = NULL;
    return SV_OK;
}

static size_t count_routes(const struct sv_dialect *d)
{
    size_t n = 0;
    for (const struct sv_route_table *const *t = d->tables; *t; t++)
        n += (*t)->count;
    return n;
}

static enum sv_err add_dialect(struct sv_api *api, const struct sv_dialect *d, struct sv_error *err)
{
    size_t n = d->base ? strlen(d->base) : 0;
    if (!d->name || !d->title || !d->describe || !d->tables || n == 0 || d->base[0] != '/' || d->base[n - 1] != '/')
        return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, "a dialect needs a name, a title, tables and a /base/");
    struct sv_node *base = grow_path(api->root, d->base);
    if (base->dialect)
        return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, "two dialects have the same base");
    base->dialect = d;
    api->ops = sv_realloc(api->ops, (api->op_count + count_routes(d) + 1) * sizeof(*api->ops));
    for (const struct sv_route_table *const *t = d->tables; *t; t++)
        for (size_t i = 0; i < (*t)->count; i++) {
            enum sv_err e = add_route(api, d, base, &(*t)->routes[i], err);
            if (e != SV_OK)
                return e;
        }
    return SV_OK;
}

enum sv_err sv_api_new(const struct sv_dialect *const *dialects, struct sv_api **ret, struct sv_error *err)
{
    struct sv_api *api = sv_alloc(sizeof(*api));
    api->dialects = dialects;
    api->root = sv_alloc(sizeof(*api->root));
    for (size_t i = 0; dialects[i]; i++) {
        enum sv_err e = add_dialect(api, dialects[i], err);
        if (e != SV_OK) {
            sv_api_free(api);
            return e;
        }
    }
    *ret = api;
    return SV_OK;
}

void sv_api_free(struct sv_api *api)
{
    if (!api)
        return;
    for (size_t i = 0; i < api->op_count; i++)
        free(api->ops[i].id);
    free(api->ops);
    free_node(api->root);
    free(api);
}

void sv_api_each(const struct sv_api *api, void (*fn)(void *arg, const struct sv_dialect *d, const struct sv_route *r),
                 void *arg)
{
    for (size_t i = 0; i < api->op_count; i++)
        fn(arg, api->ops[i].dialect, api->ops[i].route);
}

/* --- matching ----------------------------------------------------------------------------------- */

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

bool sv_next_segment(const char **p, struct sv_slice *ret)
{
    const char *s = *p;
    for (;;) {
        while (*s == '/' || blank(*s))
            s++;
        if (*s == '\0') {
            *p = s;
            return false;
        }
        const char *end = strchrnul(s, '/');
        *p = end;
        while (end > s && blank(end[-1]))
            end--;
        *ret = (struct sv_slice){s, (size_t)(end - s)};
        return true;
    }
}

static struct sv_node *literal(const struct sv_node *node, const char *seg, size_t n)
{
    bool found;
    size_t at = position(node, seg, n, &found);
    return found ? node->edges[at].node : NULL;
}

/* The document prints "cloud slb/modify": a blank inside a literal does not count. */
static struct sv_node *literal_squeezed(const struct sv_node *node, struct sv_slice seg)
{
    char tmp[128];
    size_t n = 0;
    for (size_t i = 0; i < seg.n; i++) {
        if (blank(seg.p[i]))
            continue;
        if (n == sizeof(tmp))
            return NULL;
        tmp[n++] = seg.p[i];
    }
    return n == seg.n ? NULL : literal(node, tmp, n);
}

static const struct sv_node *step(const struct sv_node *node, struct sv_slice seg, struct sv_match *m)
{
    struct sv_node *next = literal(node, seg.p, seg.n);
    if (!next)
        next = literal_squeezed(node, seg);
    if (!next && node->wild) {
        next = node->wild;
        m->path_value.p = seg.p;
        m->path_value.n = seg.n;
    }
    return next;
}

static void list_methods(const struct sv_node *node, char *buf, size_t size)
{
    size_t n = 0;
    buf[0] = '\0';
    for (enum sv_method m = SV_GET; m < SV_METHODS; m++)
        if (node->by_method[m] && n < size)
            n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? ", " : "", node->by_method[m]->method);
}

void sv_printable(char *dst, size_t size, const char *src, size_t n)
{
    bool utf8 = sv_utf8_valid(src, n);
    if (n >= size)
        n = size - 1;
    /* a cut may have left a part of a character */
    while (utf8 && n > 0 && !sv_utf8_valid(src, n))
        n--;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)src[i];
        dst[i] = c < ' ' || c == 0x7f || (c > 0x7f && !utf8) ? '?' : src[i];
    }
    dst[n] = '\0';
}

static enum sv_err not_found(const char *path, struct sv_error *err)
{
    char shown[SV_ERR_ARG_MAX];
    sv_printable(shown, sizeof(shown), path, strnlen(path, SV_MAX_PATH));
    return sv_fail(err, SV_E_NOT_FOUND, SV_F_NONE, shown);
}

enum sv_err sv_api_match(const struct sv_api *api, const char *method, const char *path, struct sv_match *ret,
                         struct sv_error *err)
{
    struct sv_slice seg;
    const char *p = path;
    const struct sv_node *node = api->root;
    *ret = (struct sv_match){0};
    if (path[0] != '/' || strnlen(path, SV_MAX_PATH + 1) > SV_MAX_PATH)
        return not_found(path, err);
    while (node && sv_next_segment(&p, &seg)) {
        node = step(node, seg, ret);
        if (node && node->dialect)
            ret->dialect = node->dialect;
    }
    if (!node || !node->any_route)
        return not_found(path, err);
    enum sv_method m = sv_method_of(method);
    if (m != SV_METHODS && node->by_method[m]) {
        ret->route = node->by_method[m];
        return SV_OK;
    }
    list_methods(node, ret->allow, sizeof(ret->allow));
    return sv_fail(err, SV_E_METHOD_NOT_ALLOWED, SV_F_NONE, ret->allow);
}
