#include "api/internal.h"

#include <stdalign.h>
#include <strings.h>

#include "starvirt/limits.h"

/* Checks of one route's rows. A row that lies fails at start, not at the first request that meets it. */

static enum sv_err bad(struct sv_error *err, const struct sv_route *r, const char *param, const char *what)
{
    char *text SV_AUTOFREE = sv_asprintf("route %s %s%s%s: %s", r->method ? r->method : "?", r->path ? r->path : "?",
                                         param ? " parameter " : "", param ? param : "", what);
    return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, text);
}

enum sv_method sv_method_of(const char *method)
{
    static const char *const names[SV_METHODS] = {
        [SV_GET] = "GET", [SV_POST] = "POST", [SV_PUT] = "PUT", [SV_DELETE] = "DELETE"};
    for (enum sv_method m = SV_GET; m < SV_METHODS; m++)
        if (method && strcmp(method, names[m]) == 0)
            return m;
    return SV_METHODS;
}

bool sv_is_template(struct sv_slice segment)
{
    return segment.n > 2 && segment.p[0] == '{' && segment.p[segment.n - 1] == '}';
}

static bool segment_clean(struct sv_slice s)
{
    struct sv_slice inner = sv_is_template(s) ? (struct sv_slice){s.p + 1, s.n - 2} : s;
    for (size_t i = 0; i < inner.n; i++)
        if ((unsigned char)inner.p[i] <= ' ' || strchr("{}%?#", inner.p[i]))
            return false;
    return true;
}

static enum sv_err check_path(const struct sv_route *r, struct sv_slice *ret_name, struct sv_error *err)
{
    if (!r->path || !*r->path || r->path[0] == '/' || strlen(r->path) > SV_MAX_PATH / 2)
        return bad(err, r, NULL, "the path is empty, too long or begins with '/'");
    size_t n = strlen(r->path);
    if (r->path[n - 1] == '/' || strstr(r->path, "//") || strpbrk(r->path, " \t"))
        return bad(err, r, NULL, "an empty segment or a blank in the path");
    const char *p = r->path;
    struct sv_slice s, name = {0};
    while (sv_next_segment(&p, &s)) {
        if (!segment_clean(s))
            return bad(err, r, NULL, "a segment has a blank, a brace or a reserved character");
        if (!sv_is_template(s))
            continue;
        if (name.p)
            return bad(err, r, NULL, "more than one {name}");
        name = (struct sv_slice){s.p + 1, s.n - 2};
    }
    *ret_name = name;
    return SV_OK;
}

static bool bounded(enum sv_ptype type)
{
    return type == SV_T_INT || type == SV_T_STR || type == SV_T_ID || type == SV_T_PEM || type == SV_T_LIST;
}

static enum sv_err check_bounds(const struct sv_route *r, const struct sv_param *p, struct sv_error *err)
{
    unsigned lo = p->flags & (SV_P_MIN | SV_P_OUR_MIN), hi = p->flags & (SV_P_MAX | SV_P_OUR_MAX);
    if (lo == (SV_P_MIN | SV_P_OUR_MIN) || hi == (SV_P_MAX | SV_P_OUR_MAX))
        return bad(err, r, p->name, "a bound is both the document's and ours");
    if ((lo || hi) && !bounded(p->type))
        return bad(err, r, p->name, "bounds on a type that has none");
    if (p->type == SV_T_INT && ((!lo && p->min) || (!hi && p->max)))
        return bad(err, r, p->name, "a bound without its flag");
    if (p->type != SV_T_INT && (p->min < 0 || p->max < 0))
        return bad(err, r, p->name, "a negative length");
    if (lo && (hi || (p->type != SV_T_INT && p->max)) && p->min > p->max)
        return bad(err, r, p->name, "min is over max");
    return SV_OK;
}

static enum sv_err check_values(const struct sv_route *r, const struct sv_param *p, struct sv_error *err)
{
    if ((p->type == SV_T_ENUM) != (p->values && p->values[0]))
        return bad(err, r, p->name, p->type == SV_T_ENUM ? "an enum without values" : "values on another type");
    for (size_t i = 0; p->values && p->values[i]; i++)
        for (size_t k = 0; k < i; k++)
            if (strcasecmp(p->values[i], p->values[k]) == 0)
                return bad(err, r, p->name, "a value is listed twice");
    return SV_OK;
}

static enum sv_err check_place(const struct sv_route *r, const struct sv_param *p, struct sv_slice name,
                               struct sv_error *err)
{
    size_t size = sv_param_size(p->type);
    if (size == 0)
        return bad(err, r, p->name, "unknown type");
    if (p->offset > r->in_size || size > r->in_size - p->offset)
        return bad(err, r, p->name, "its offset is past in_size");
    if (p->offset % alignof(int64_t) != 0)
        return bad(err, r, p->name, "its offset is not aligned");
    if (p->in != SV_IN_BODY && p->type == SV_T_LIST)
        return bad(err, r, p->name, "a list cannot come from the URL");
    if (p->in == SV_IN_PATH && (!name.p || strlen(p->name) != name.n || memcmp(p->name, name.p, name.n) != 0))
        return bad(err, r, p->name, "the path has no such {name}");
    if (p->in == SV_IN_BODY && r->raw_body)
        return bad(err, r, p->name, "the body is a file, it has no parameters");
    return SV_OK;
}

static enum sv_err check_param(const struct sv_route *r, const struct sv_param *p, struct sv_slice name,
                               struct sv_error *err)
{
    if (!p->name || !*p->name)
        return bad(err, r, "?", "no wire name");
    struct sv_slice whole = {p->name, strlen(p->name)}, trimmed = sv_trim_key(whole);
    if (trimmed.n != whole.n || whole.n >= sizeof(((struct sv_error *)0)->wire))
        return bad(err, r, p->name, "its wire name has blanks or '*' at an end, or is too long");
    enum sv_err e = check_place(r, p, name, err);
    if (e == SV_OK)
        e = check_bounds(r, p, err);
    if (e == SV_OK)
        e = check_values(r, p, err);
    return e;
}

static bool overlap(const struct sv_param *a, const struct sv_param *b)
{
    return a->offset < b->offset + sv_param_size(b->type) && b->offset < a->offset + sv_param_size(a->type);
}

static enum sv_err check_params(const struct sv_route *r, struct sv_slice name, struct sv_error *err)
{
    bool path_row = false;
    if ((r->params == NULL) != (r->param_count == 0) || r->param_count > SV_MAX_PARAMS)
        return bad(err, r, NULL, "params and param_count do not fit");
    for (size_t i = 0; i < r->param_count; i++) {
        const struct sv_param *p = &r->params[i];
        enum sv_err e = check_param(r, p, name, err);
        if (e != SV_OK)
            return e;
        path_row = path_row || p->in == SV_IN_PATH;
        for (size_t k = 0; k < i; k++) {
            if (r->params[k].in == p->in && strcmp(r->params[k].name, p->name) == 0)
                return bad(err, r, p->name, "listed twice");
            if (overlap(p, &r->params[k]))
                return bad(err, r, p->name, "shares its member with another row");
        }
    }
    if (name.p && !path_row && r->handler) /* a row that is not served yet binds nothing */
        return bad(err, r, NULL, "the {name} in the path has no parameter row");
    return SV_OK;
}

static enum sv_err check_reply(const struct sv_route *r, struct sv_error *err)
{
    const char *const *f = r->fields;
    for (const char *const *k = f; r->data == SV_DATA_NONE && k && *k; k++)
        if ((*k)[strlen(*k) - 1] != '+') /* ours may say more than the document, which prints nothing */
            return bad(err, r, NULL, "fields without data");
    if (r->kind == SV_ASYNC_EACH && r->data != SV_DATA_LIST)
        return bad(err, r, NULL, "async-each needs a list");
    for (size_t i = 0; f && f[i]; i++) {
        const char *type;
        struct sv_slice a = sv_field_name(f[i], &type);
        if (a.n == 0)
            return bad(err, r, NULL, "an empty reply field");
        for (size_t k = 0; k < i; k++) {
            struct sv_slice b = sv_field_name(f[k], &type);
            if (a.n == b.n && memcmp(a.p, b.p, a.n) == 0)
                return bad(err, r, f[i], "a reply field is listed twice");
        }
    }
    return SV_OK;
}

enum sv_err sv_route_check(const struct sv_route *r, struct sv_error *err)
{
    struct sv_slice name = {0};
    enum sv_method m = sv_method_of(r->method);
    if (m == SV_METHODS)
        return bad(err, r, NULL, "unknown method");
    if (!r->section || !*r->section)
        return bad(err, r, NULL, "no section");
    if (!r->doc_zh || !*r->doc_zh || !r->doc_en || !*r->doc_en)
        return bad(err, r, NULL, "no doc line");
    if (r->raw_body && m != SV_POST && m != SV_PUT)
        return bad(err, r, NULL, "a file as the body needs POST or PUT");
    enum sv_err e = check_path(r, &name, err);
    if (e == SV_OK)
        e = check_params(r, name, err);
    if (e == SV_OK)
        e = check_reply(r, err);
    return e;
}
