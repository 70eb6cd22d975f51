#include "api/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

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
    while (sv_next_segment(&path, false, &seg))
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

/* "cloudvm/cpu/modify" PUT -> "cloudvm_cpu_modify_put"; routes of one path add their keys. */
static char *operation_id(const struct sv_dialect *prefix, const struct sv_route *r)
{
    struct sv_buf b = {0};
    if (prefix)
        sv_buf_printf(&b, "%s_", prefix->name);
    sv_buf_puts(&b, r->path);
    for (const struct sv_key *k = r->keys; k && k->name; k++)
        sv_buf_printf(&b, "_%s", k->value ? k->value : k->name);
    sv_buf_printf(&b, "_%s", r->method);
    char *id = sv_buf_steal(&b), *to = id;
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

static enum sv_err bad_dialect(const struct sv_dialect *d, const char *what, struct sv_error *err)
{
    char *text SV_AUTOFREE = sv_asprintf("dialect %s: %s", d->name ? d->name : "?", what);
    return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, text);
}

static bool same_keys(const struct sv_route *a, const struct sv_route *b)
{
    const struct sv_key *k = a->keys, *l = b->keys;
    for (; k && k->name && l && l->name; k++, l++)
        if (strcmp(k->name, l->name) != 0 || strcmp(k->value ? k->value : "", l->value ? l->value : "") != 0)
            return false;
    return !(k && k->name) && !(l && l->name);
}

/* Another route at this place: only if keys tell them apart. */
static bool clashes(const struct sv_op *first, const struct sv_op *op)
{
    for (const struct sv_op *o = first; o; o = o->next)
        if (same_keys(o->route, op->route) || o->route->open != op->route->open || o->route->raw_body ||
            op->route->raw_body)
            return true;
    return false;
}

static enum sv_err add_route(struct sv_api *api, const struct sv_dialect *d, struct sv_node *base,
                             const struct sv_route *r, struct sv_error *err)
{
    enum sv_err rc = sv_route_check(r, err);
    if (rc)
        return rc;
    struct sv_node *node = grow_path(base, r->path);
    struct sv_op **slot = &node->by_method[sv_method_of(r->method)];
    struct sv_op *op = &api->ops[api->op_count];
    *op = (struct sv_op){.dialect = d, .route = r};
    char *id SV_AUTOFREE = operation_id(d == api->dialects[0] ? NULL : d, r);
    bool twice = clashes(*slot, op);
    for (size_t i = 0; i < api->op_count && !twice; i++)
        twice = strcmp(api->ops[i].id, id) == 0;
    if (twice) {
        char *text SV_AUTOFREE = sv_asprintf("route %s %s: there is another of the same name", r->method, r->path);
        return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, text);
    }
    op->id = sv_strdup(id);
    while (*slot)
        slot = &(*slot)->next;
    *slot = op;
    node->any_route = true;
    api->op_count++;
    return SV_OK;
}

static size_t count_routes(const struct sv_dialect *d)
{
    size_t n = 0;
    for (const struct sv_route_table *const *t = d->tables; t && *t; t++)
        n += (*t)->count;
    return n;
}

static enum sv_err add_token_headers(struct sv_api *api, const struct sv_dialect *d, struct sv_error *err)
{
    for (const struct sv_token_row *t = d->wire->tokens; t->header; t++) {
        size_t n = 0;
        while (api->token_headers[n] && strcasecmp(api->token_headers[n], t->header) != 0)
            n++;
        if (n == SV_MAX_TOKEN_ROWS)
            return bad_dialect(d, "too many headers for tokens", err);
        api->token_headers[n] = t->header;
    }
    return SV_OK;
}

/* A tree of its own, or the main one. */
static struct sv_tree *tree_of(struct sv_api *api, const struct sv_dialect *d)
{
    struct sv_tree *t = &api->trees[0];
    if (d->own_listener) {
        t = &api->trees[api->tree_count++];
        *t = (struct sv_tree){.on = d, .root = sv_alloc(sizeof(*t->root))};
    }
    t->blanks = t->blanks || (d->wire->takes & SV_TAKES_BLANKS);
    return t;
}

static enum sv_err add_dialect(struct sv_api *api, const struct sv_dialect *d, struct sv_error *err)
{
    size_t n = d->base ? strlen(d->base) : 0;
    const struct sv_wire *w = d->wire;
    if (!d->name || !d->title || !d->describe || !d->tables || n == 0 || d->base[0] != '/' || d->base[n - 1] != '/')
        return bad_dialect(d, "it needs a name, a title, tables and a /base/", err);
    if (!w || !w->tokens || !w->body_name || !w->errors || !w->type || !w->read || !w->failure)
        return bad_dialect(d, "it needs a wire with tokens, body_name, errors, type, read and failure", err);
    struct sv_node *base = grow_path(tree_of(api, d)->root, d->base);
    if (base->dialect || (n == 1 && !d->own_listener))
        return bad_dialect(d, "another dialect has the same base", err);
    base->dialect = d;
    enum sv_err rc = add_token_headers(api, d, err);
    for (const struct sv_route_table *const *t = d->tables; *t; t++)
        for (size_t i = 0; i < (*t)->count && !rc; i++)
            rc = add_route(api, d, base, &(*t)->routes[i], err);
    return rc;
}

enum sv_err sv_api_new(const struct sv_dialect *const *dialects, struct sv_api **ret, struct sv_error *err)
{
    struct sv_api *api = sv_alloc(sizeof(*api));
    size_t routes = 0, n = 0;
    for (; dialects[n]; n++)
        routes += count_routes(dialects[n]);
    api->dialects = dialects;
    api->ops = sv_alloc((routes + 1) * sizeof(*api->ops));
    api->trees = sv_alloc((n + 1) * sizeof(*api->trees));
    api->trees[0].root = sv_alloc(sizeof(*api->trees[0].root));
    api->tree_count = 1;
    for (size_t i = 0; dialects[i]; i++) {
        enum sv_err rc = add_dialect(api, dialects[i], err);
        if (rc) {
            sv_api_free(api);
            return rc;
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
    for (size_t i = 0; i < api->tree_count; i++)
        free_node(api->trees[i].root);
    free(api->trees);
    free(api);
}

const struct sv_dialect *const *sv_api_dialects(const struct sv_api *api)
{
    return api->dialects;
}

const char *const *sv_api_token_headers(const struct sv_api *api)
{
    return api->token_headers;
}

void sv_api_each(const struct sv_api *api, void (*fn)(void *arg, const struct sv_dialect *d, const struct sv_route *r),
                 void *arg)
{
    for (size_t i = 0; i < api->op_count; i++)
        fn(arg, api->ops[i].dialect, api->ops[i].route);
}

/* --- matching ----------------------------------------------------------------------------------- */

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
        if (sv_blank(seg.p[i]))
            continue;
        if (n == sizeof(tmp))
            return NULL;
        tmp[n++] = seg.p[i];
    }
    return n == seg.n ? NULL : literal(node, tmp, n);
}

static const struct sv_node *step(const struct sv_node *node, bool blanks, struct sv_slice seg, struct sv_match *m)
{
    struct sv_node *next = literal(node, seg.p, seg.n);
    if (!next && blanks)
        next = literal_squeezed(node, seg);
    if (!next && node->wild && m->path_values < SV_MAX_PATH_VALUES) {
        next = node->wild;
        m->path_value[m->path_values++] = seg;
    }
    return next;
}

/* What follows from the routes, too: HEAD from GET, OPTIONS always. */
static void list_methods(const struct sv_node *node, char *buf, size_t size)
{
    size_t n = 0;
    buf[0] = '\0';
    for (enum sv_method m = SV_GET; m < SV_METHODS; m++)
        if (node->by_method[m] && n < size)
            n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? ", " : "", node->by_method[m]->route->method);
    if (n < size)
        snprintf(buf + n, size - n, "%s, OPTIONS", node->by_method[SV_GET] ? ", HEAD" : "");
}

/* Where the walk along a path ended. */
struct walk {
    const struct sv_node *node, *from; /* `from`: where it took its last step */
    struct sv_slice seg;               /* that step's */
};

/* The literal beside a step that is like it; "" = none. */
static struct sv_slice near_literal(const struct walk *w)
{
    struct sv_near near = {.key = w->seg};
    for (size_t i = 0; w->from && i < w->from->edge_count; i++)
        sv_near_try(&near, w->from->edges[i].seg, w->from->edges[i].n);
    return near.name.p ? near.name : (struct sv_slice){"", 0};
}

static enum sv_err not_found(const char *path, const struct walk *w, struct sv_error *err)
{
    char shown[SV_ERR_ARG_MAX], near[SV_ERR_ARG_MAX];
    const struct sv_slice literal = near_literal(w);
    sv_printable(shown, sizeof(shown), path, strnlen(path, SV_MAX_PATH));
    sv_printable(near, sizeof(near), literal.p, literal.n);
    return sv_fail(err, SV_E_NOT_FOUND, SV_F_NONE, shown, "", near);
}

/* w->node is the node of the path, or NULL; m->dialect as far as it goes. */
static void find_node(const struct sv_tree *t, const char *path, struct sv_match *m, struct walk *w)
{
    const struct sv_node *node = t->root;
    bool blanks = t->blanks;
    m->dialect = node->dialect;
    while (node && sv_next_segment(&path, blanks, &w->seg)) {
        w->from = node;
        node = step(node, blanks, w->seg, m);
        if (node && node->dialect) {
            m->dialect = node->dialect;
            blanks = node->dialect->wire->takes & SV_TAKES_BLANKS;
        }
    }
    w->node = node && node->any_route ? node : NULL;
}

/* Does the last step stand for an id that this cannot be? Then it is a word that nobody has, and the methods of what it
 * happens to lie beside are not its own. */
static bool is_no_id(const struct walk *w, const struct sv_match *m)
{
    struct sv_id id;
    if (!w->from || w->node != w->from->wild || m->path_values == 0)
        return false;
    for (enum sv_method k = SV_GET; k < SV_METHODS; k++) {
        const struct sv_op *op = w->node->by_method[k];
        const struct sv_param *row = op ? sv_path_row(op->route, m->path_values - 1) : NULL;
        if (row && row->type != SV_T_ID)
            return false;
    }
    return !sv_id_read(w->seg.p, w->seg.n, &id);
}

static const struct sv_tree *tree_on(const struct sv_api *api, const struct sv_dialect *on)
{
    for (size_t i = 1; i < api->tree_count; i++)
        if (api->trees[i].on == on)
            return &api->trees[i];
    return &api->trees[0];
}

enum sv_err sv_api_match(const struct sv_api *api, const struct sv_dialect *on, const char *method, const char *path,
                         struct sv_match *ret, struct sv_error *err)
{
    *ret = (struct sv_match){0};
    struct walk w = {0};
    enum sv_method m = sv_method_of(strcmp(method, "HEAD") == 0 ? "GET" : method);
    if (path[0] != '/' || strnlen(path, SV_MAX_PATH + 1) > SV_MAX_PATH)
        return not_found(path, &w, err);
    find_node(tree_on(api, on), path, ret, &w);
    if (!w.node)
        return not_found(path, &w, err);
    const struct sv_op *op = m != SV_METHODS ? w.node->by_method[m] : NULL;
    if (op) {
        ret->route = op->route;
        ret->choice = op->next || op->route->keys ? op : NULL;
        return SV_OK;
    }
    ret->options = strcmp(method, "OPTIONS") == 0;
    if (!ret->options && is_no_id(&w, ret))
        return not_found(path, &w, err);
    list_methods(w.node, ret->allow, sizeof(ret->allow));
    return ret->options ? SV_OK : sv_fail(err, SV_E_METHOD_NOT_ALLOWED, SV_F_NONE, ret->allow);
}

const struct sv_wire *sv_api_wire(const struct sv_api *api, const struct sv_dialect *on, const struct sv_match *m)
{
    const struct sv_dialect *d = m->dialect ? m->dialect : on;
    return d ? d->wire : api->dialects[0]->wire;
}
