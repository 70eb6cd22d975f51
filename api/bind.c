#include "api/internal.h"

#include <stdio.h>

#include "starvirt/limits.h"

/* A request's three places (path, query, body) -> a value for each row -> the input struct. */

struct binding {
    const struct sv_match *match;
    unsigned takes;
    struct sv_arena *arena;
    struct sv_error *err;
    const char *inside; /* the object that is read: "place.", "nics[1]."; "" = the outermost */
    struct sv_unknown unknown;
    char list[512];
    size_t list_n;
};
/* The rows of one object, and what came for each. */
struct rows {
    const struct sv_param *row;
    size_t count;
    const struct sv_value *value[SV_MAX_PARAMS]; /* NULL = did not come */
};

/* No half names; the rest is left out. */
static void list_unknown(struct binding *b, const char *name)
{
    const size_t room = sizeof(b->list) - b->list_n;
    const int n = snprintf(b->list + b->list_n, room, "%s%s", b->list_n ? "," : "", name);
    if ((size_t)n >= room)
        b->list[b->list_n] = '\0';
    b->list_n += (size_t)n < room ? (size_t)n : 0;
}

static const char *near_row(const struct rows *r, enum sv_pin in, struct sv_slice key)
{
    struct sv_near near = {.key = key};
    for (size_t i = 0; i < r->count; i++)
        if (r->row[i].in == in)
            sv_near_try(&near, r->row[i].name, strlen(r->row[i].name));
    return near.name.p; /* a row's name, whole */
}

static void note_unknown(struct binding *b, const struct rows *r, enum sv_pin in, struct sv_slice key)
{
    char shown[64];
    struct sv_unknown *u = &b->unknown;
    sv_printable(shown, sizeof(shown), key.p, key.n);
    const char *name = sv_arena_printf(b->arena, "%s%s", b->inside, shown);
    for (unsigned i = 0; i < u->n; i++)
        if (strcmp(u->key[i].name, name) == 0)
            return;
    list_unknown(b, name);
    if (u->n == SV_MAX_UNKNOWN) {
        u->more++;
        return;
    }
    u->key[u->n].name = name;
    u->key[u->n++].near = near_row(r, in, key);
}

/* Only a read that nothing but its address makes goes on: what else a query asks for may be to keep or to spare
 * something. */
static enum sv_err refuse_unknown(struct binding *b, const struct rows *r, struct sv_slice key)
{
    const char *near = near_row(r, SV_IN_QUERY, key);
    sv_fail(b->err, SV_E_PARAM_UNKNOWN, SV_F_NONE, "", "", near ? near : "");
    sv_printable(b->err->wire, sizeof(b->err->wire), key.p, key.n);
    return SV_E_PARAM_UNKNOWN;
}

/* SV_MAX_PARAMS if no row has this name. */
static size_t find_row(const struct rows *r, enum sv_pin in, struct sv_slice key)
{
    const struct sv_param *p = r->row;
    for (size_t i = 0; i < r->count; i++)
        if (p[i].in == in && p[i].name[0] == (key.n ? key.p[0] : '\0') && sv_slice_is(key, p[i].name))
            return i;
    return SV_MAX_PARAMS;
}

static enum sv_err offer(struct binding *b, struct rows *r, enum sv_pin in, struct sv_slice key,
                         const struct sv_value *v)
{
    size_t i = find_row(r, in, key);
    if (i == SV_MAX_PARAMS && in == SV_IN_QUERY && sv_method_of(b->match->route->method) != SV_GET)
        return refuse_unknown(b, r, key);
    if (i == SV_MAX_PARAMS) {
        note_unknown(b, r, in, key);
        return SV_OK;
    }
    /* "vm.id" and "vm.id*" are the same key: only one may come. */
    if (r->value[i])
        return sv_param_fail(b->err, SV_E_PARAM_CONFLICT, &r->row[i], "given twice");
    r->value[i] = v;
    return SV_OK;
}

static const struct sv_value *text_value(struct binding *b, struct sv_slice text)
{
    struct sv_value *v = sv_arena_alloc(b->arena, sizeof(*v));
    *v = (struct sv_value){.kind = SV_V_TEXT, .text = text};
    return v;
}

/* --- path and query ----------------------------------------------------------------------------- */

static void take_path(struct binding *b, struct rows *r)
{
    for (unsigned k = 0; k < b->match->path_values; k++) {
        size_t i = find_row(r, SV_IN_PATH, sv_path_name(b->match->route, k));
        if (i != SV_MAX_PARAMS)
            r->value[i] = text_value(b, b->match->path_value[k]);
    }
}

/* A part of the query that the wire reads as a part of the body. */
static bool is_wires(const struct binding *b, struct sv_slice key)
{
    const char *const *k = b->match->dialect->wire->query_keys;
    for (; k && *k && !b->match->route->raw_body; k++)
        if (sv_slice_is(key, *k))
            return true;
    return false;
}

static enum sv_err take_query_pair(struct binding *b, struct rows *r, const char *p, size_t n)
{
    const char *eq = memchr(p, '=', n);
    struct sv_slice key = {p, eq ? (size_t)(eq - p) : n}, text = {eq ? eq + 1 : p + n, eq ? n - key.n - 1 : 0};
    if (n == 0)
        return SV_OK;
    if (!sv_percent_decode(key, true, b->arena, &key) || !sv_percent_decode(text, true, b->arena, &text))
        return sv_fail(b->err, SV_E_BAD_REQUEST, SV_F_NONE, "'%' without two hex digits in the query");
    if (is_wires(b, key))
        return SV_OK;
    return offer(b, r, SV_IN_QUERY, key, text_value(b, text));
}

static enum sv_err take_query(struct binding *b, struct rows *r, const char *query)
{
    unsigned pairs = 0;
    while (query && *query) {
        const char *end = strchrnul(query, '&');
        if (++pairs > SV_MAX_FORM_FIELDS)
            return sv_fail(b->err, SV_E_BAD_REQUEST, SV_F_NONE, "too many query parameters");
        enum sv_err rc = take_query_pair(b, r, query, (size_t)(end - query));
        if (rc)
            return rc;
        query = *end ? end + 1 : end;
    }
    return SV_OK;
}

/* --- the body ------------------------------------------------------------------------------------ */

static bool only_blanks(struct sv_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!strchr(" \t\r\n", s.p[i]) || !s.p[i])
            return false;
    return true;
}

/* An integer past int64 is found before the rows are asked: give the error its row's own range. */
static void refine_range(const struct sv_route *route, struct sv_error *err)
{
    if (err->code != SV_E_PARAM_RANGE)
        return;
    const struct rows r = {.row = route->params, .count = route->param_count};
    size_t i = find_row(&r, SV_IN_BODY, (struct sv_slice){err->wire, strlen(err->wire)});
    if (i == SV_MAX_PARAMS)
        return;
    char range[64];
    sv_param_range(&r.row[i], range, sizeof(range));
    sv_param_fail(err, SV_E_PARAM_RANGE, &r.row[i], range[0] ? range : "-2^63 - 2^63-1");
}

/* Body -> m->body, once. */
static enum sv_err read_body(struct sv_match *m, const struct sv_input *in, struct sv_arena *a, struct sv_error *err)
{
    const struct sv_wire *w = m->dialect->wire;
    struct sv_slice json = {0};
    if (m->body_read || m->route->raw_body)
        return SV_OK;
    if (in->body && in->body_len > SV_MAX_BODY)
        return sv_fail(err, SV_E_BODY_TOO_LARGE, SV_F_NONE, sv_dec(SV_MAX_BODY).s);
    enum sv_err rc = w->read(in, a, &json, err);
    if (rc)
        return rc;
    m->body_read = true;
    if (only_blanks(json))
        return SV_OK;
    struct sv_value *root = sv_arena_alloc(a, sizeof(*root));
    rc = sv_json_tree(json.p, json.n, w->takes, a, root, err);
    if (!rc)
        m->body = root;
    else
        refine_range(m->route, err);
    return rc;
}

/* The keys that chose the route, and the one around the parameters, are no parameters. */
static bool is_frame(const struct sv_route *r, struct sv_slice key)
{
    for (const struct sv_key *k = r->keys; k && k->name; k++)
        if (sv_slice_is(key, k->name))
            return true;
    return r->under && sv_slice_is(key, r->under);
}

static enum sv_err not_an_object(const char *key, struct sv_error *err)
{
    sv_fail(err, SV_E_PARAM_TYPE, SV_F_NONE, "object");
    SV_COPY(err->wire, key);
    return SV_E_PARAM_TYPE;
}

static enum sv_err take_members(struct binding *b, struct rows *r, const struct sv_value *obj, bool frame)
{
    enum sv_err rc = SV_OK;
    for (size_t i = 0; obj && i < obj->members && !rc; i++)
        if (!frame || !is_frame(b->match->route, obj->member[i].key))
            rc = offer(b, r, SV_IN_BODY, obj->member[i].key, &obj->member[i].value);
    return rc;
}

static enum sv_err take_body(struct binding *b, struct rows *r)
{
    const struct sv_route *route = b->match->route;
    const struct sv_value *body = b->match->body;
    if (!route->under)
        return take_members(b, r, body, true);
    struct rows none = {0};
    enum sv_err rc = take_members(b, &none, body, true);
    const struct sv_value *inner = sv_member_of(body, route->under);
    if (rc || !inner || inner->kind == SV_V_ABSENT)
        return rc;
    return inner->kind == SV_V_OBJ ? take_members(b, r, inner, false) : not_an_object(route->under, b->err);
}

/* --- into the struct ------------------------------------------------------------------------------ */

static bool is_excused(const struct rows *r, const struct sv_param *p, const void *in)
{
    for (size_t i = 0; p->unless && i < r->count; i++)
        if (strcmp(r->row[i].name, p->unless) == 0)
            return ((const struct sv_opt_bool *)(const void *)((const char *)in + r->row[i].offset))->v;
    return false;
}

static enum sv_err fill(struct binding *b, const struct rows *r, void *in);

/* "mac" at fault inside "nics", element 1 -> "nics[1].mac" */
static void prefix_wire(struct sv_error *err, const struct sv_param *row, int64_t at)
{
    char inner[sizeof(err->wire)];
    SV_COPY(inner, err->wire);
    char *text SV_AUTOFREE =
        at < 0 ? sv_asprintf("%s.%s", row->name, inner) : sv_asprintf("%s[%s].%s", row->name, sv_dec(at).s, inner);
    SV_COPY(err->wire, text);
    err->field = SV_F_NONE;
}

/* `at`: which element, -1 = no list. */
static enum sv_err fill_sub(struct binding *b, const struct sv_param *row, const struct sv_value *v, int64_t at,
                            void *in)
{
    if (v->kind != SV_V_OBJ)
        return sv_param_fail(b->err, SV_E_PARAM_TYPE, row, at < 0 ? "object" : "list of objects");
    struct rows r = {.row = row->sub, .count = row->sub_count};
    const char *outside = b->inside;
    b->inside = at < 0 ? sv_arena_printf(b->arena, "%s%s.", outside, row->name)
                       : sv_arena_printf(b->arena, "%s%s[%s].", outside, row->name, sv_dec(at).s);
    enum sv_err rc = take_members(b, &r, v, false);
    if (!rc)
        rc = fill(b, &r, in);
    b->inside = outside;
    if (rc)
        prefix_wire(b->err, row, at);
    return rc;
}

static enum sv_err set_object(struct binding *b, const struct sv_param *row, const struct sv_value *v, void *in,
                              bool *ret_set)
{
    void *inner = sv_arena_alloc(b->arena, row->sub_size);
    enum sv_err rc = fill_sub(b, row, v, -1, inner);
    if (!rc) {
        *(const void **)((char *)in + row->offset) = inner;
        *ret_set = true;
    }
    return rc;
}

static enum sv_err set_objects(struct binding *b, const struct sv_param *row, const struct sv_value *v, void *in,
                               bool *ret_set)
{
    char range[64];
    int64_t limit = sv_param_limit(row);
    if (v->kind != SV_V_LIST)
        return sv_param_fail(b->err, SV_E_PARAM_TYPE, row, "list of objects");
    if ((int64_t)v->items > limit || (sv_param_has_min(row) && (int64_t)v->items < row->min)) {
        snprintf(range, sizeof(range), "%lld-%lld", (long long)row->min, (long long)limit);
        return sv_param_fail(b->err, SV_E_PARAM_RANGE, row, range);
    }
    char *all = sv_arena_alloc(b->arena, v->items ? v->items * row->sub_size : 1);
    enum sv_err rc = SV_OK;
    for (size_t i = 0; i < v->items && !rc; i++)
        rc = fill_sub(b, row, &v->item[i], (int64_t)i, all + i * row->sub_size);
    if (!rc) {
        *(struct sv_objs *)(void *)((char *)in + row->offset) = (struct sv_objs){.v = all, .n = v->items};
        *ret_set = v->items > 0;
    }
    return rc;
}

static enum sv_err set_row(struct binding *b, const struct sv_param *row, const struct sv_value *v, void *in,
                           bool *ret_set)
{
    *ret_set = false;
    if (row->type != SV_T_OBJ && row->type != SV_T_OBJS)
        return sv_param_set(row, v, b->takes, b->arena, in, ret_set, b->err);
    if (v->kind == SV_V_ABSENT)
        return SV_OK;
    return row->type == SV_T_OBJ ? set_object(b, row, v, in, ret_set) : set_objects(b, row, v, in, ret_set);
}

static enum sv_err fill(struct binding *b, const struct rows *r, void *in)
{
    static const struct sv_value absent = {.kind = SV_V_ABSENT};
    for (size_t i = 0; i < r->count; i++) {
        const struct sv_param *p = &r->row[i];
        bool set;
        enum sv_err rc = set_row(b, p, r->value[i] ? r->value[i] : &absent, in, &set);
        if (rc)
            return rc;
        if (!set && ((p->flags & SV_P_REQUIRED) || p->in == SV_IN_PATH) && !is_excused(r, p, in))
            return sv_param_fail(b->err, SV_E_PARAM_MISSING, p, "");
    }
    return SV_OK;
}

enum sv_err sv_api_bind(struct sv_match *m, const struct sv_input *in, struct sv_arena *a, void **ret_in,
                        const struct sv_unknown **ret_unknown, struct sv_error *err)
{
    struct sv_error local;
    struct binding b = {
        .match = m, .takes = m->dialect->wire->takes, .arena = a, .err = err ? err : &local, .inside = ""};
    struct rows r = {.row = m->route->params, .count = m->route->param_count};
    take_path(&b, &r);
    enum sv_err rc = take_query(&b, &r, in->query);
    if (!rc)
        rc = read_body(m, in, a, b.err);
    if (!rc)
        rc = take_body(&b, &r);
    if (rc)
        return rc;
    void *out = sv_arena_alloc(a, m->route->in_size ? m->route->in_size : 1);
    rc = fill(&b, &r, out);
    if (rc)
        return rc;
    *ret_in = out;
    if (b.unknown.n > 0) {
        b.unknown.list = sv_arena_strdup(a, b.list);
        *ret_unknown = memcpy(sv_arena_alloc(a, sizeof(b.unknown)), &b.unknown, sizeof(b.unknown));
    }
    return SV_OK;
}

/* --- which of several routes ------------------------------------------------------------------------ */

static bool meets(const struct sv_key *k, const struct sv_value *body)
{
    const struct sv_value *v = sv_member_of(body, k->name);
    if (!v || !k->value)
        return v != NULL;
    return (v->kind == SV_V_TEXT || v->kind == SV_V_INT) && sv_slice_is(v->text, k->value);
}

/* How many keys it asks for; -1 if one is not met. */
static int score(const struct sv_route *r, const struct sv_value *body)
{
    int n = 0;
    for (const struct sv_key *k = r->keys; k && k->name; k++, n++)
        if (!meets(k, body))
            return -1;
    return n;
}

/* Names what a client can mend: a key that every one of these routes wants, or the value it has. */
static enum sv_err no_route(const struct sv_op *first, const struct sv_value *body, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    char shown[SV_ERR_ARG_MAX];
    for (const struct sv_key *k = first->route->keys; k && k->name; k++) {
        const struct sv_value *v = sv_member_of(body, k->name);
        if (!k->value)
            continue;
        if (!v || v->kind == SV_V_ABSENT) {
            sv_fail(err, SV_E_PARAM_MISSING, SV_F_NONE, "");
            SV_COPY(err->wire, k->name);
            return SV_E_PARAM_MISSING;
        }
        char value[48];
        sv_printable(value, sizeof(value), v->text.p ? v->text.p : "", v->text.n);
        sv_buf_printf(&text, "%s%s=%s", text.n ? ", " : "", k->name, value);
    }
    for (size_t i = 0; body && i < body->members && i < 4 && !first->route->keys[0].value; i++) {
        char key[32];
        sv_printable(key, sizeof(key), body->member[i].key.p, body->member[i].key.n);
        sv_buf_printf(&text, "%s%s", text.n ? ", " : "", key);
    }
    sv_printable(shown, sizeof(shown), text.p ? text.p : "", text.n); /* cut between characters */
    return sv_fail(err, SV_E_UNKNOWN_OPERATION, SV_F_NONE, shown);
}

enum sv_err sv_api_choose(struct sv_match *m, const struct sv_input *in, struct sv_arena *a, struct sv_error *err)
{
    struct sv_error local;
    if (!m->choice)
        return SV_OK;
    err = err ? err : &local;
    enum sv_err rc = read_body(m, in, a, err);
    if (rc)
        return rc;
    const struct sv_op *best = NULL;
    int most = -1;
    for (const struct sv_op *op = m->choice; op; op = op->next) {
        int n = score(op->route, m->body);
        if (n > most) {
            most = n;
            best = op;
        }
    }
    if (!best)
        return no_route(m->choice, m->body, err);
    m->route = best->route;
    m->choice = NULL;
    return SV_OK;
}
