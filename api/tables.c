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

static bool segment_clean(struct sv_slice s)
{
    struct sv_slice inner = sv_is_template(s) ? (struct sv_slice){s.p + 1, s.n - 2} : s;
    for (size_t i = 0; i < inner.n; i++)
        if ((unsigned char)inner.p[i] <= ' ' || strchr("{}%?#", inner.p[i]))
            return false;
    return true;
}

static bool same(struct sv_slice a, struct sv_slice b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

static enum sv_err check_path(const struct sv_route *r, struct sv_error *err)
{
    if (!r->path || r->path[0] == '/' || strlen(r->path) > SV_MAX_PATH / 2)
        return bad(err, r, NULL, "there is no path, or it is too long or begins with '/'");
    size_t n = strlen(r->path);
    if ((n > 0 && r->path[n - 1] == '/') || strstr(r->path, "//") || strpbrk(r->path, " \t"))
        return bad(err, r, NULL, "an empty segment or a blank in the path");
    const char *p = r->path;
    struct sv_slice s, name;
    unsigned names = 0;
    while (sv_next_segment(&p, false, &s)) {
        if (!segment_clean(s))
            return bad(err, r, NULL, "a segment has a blank, a brace or a reserved character");
        if (!sv_is_template(s))
            continue;
        name = (struct sv_slice){s.p + 1, s.n - 2};
        for (unsigned i = 0; i < names; i++)
            if (same(sv_path_name(r, i), name))
                return bad(err, r, NULL, "a {name} stands twice in the path");
        if (++names > SV_MAX_PATH_VALUES)
            return bad(err, r, NULL, "too many {name}s in the path");
    }
    return SV_OK;
}

static bool path_has(const struct sv_route *r, const char *name)
{
    for (unsigned i = 0; sv_path_name(r, i).p; i++)
        if (sv_slice_is(sv_path_name(r, i), name))
            return true;
    return false;
}

static bool bounded(enum sv_ptype type)
{
    return type == SV_T_INT || type == SV_T_STR || type == SV_T_ID || type == SV_T_PEM || type == SV_T_LIST ||
           type == SV_T_OBJS;
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

/* The rows of one object; `in_size` is that of its struct. */
static enum sv_err check_rows(const struct sv_route *r, const struct sv_param *rows, size_t count, size_t in_size,
                              unsigned depth, struct sv_error *err);

static enum sv_err check_sub(const struct sv_route *r, const struct sv_param *p, unsigned depth, struct sv_error *err)
{
    if ((p->type == SV_T_OBJ || p->type == SV_T_OBJS) != (p->sub != NULL))
        return bad(err, r, p->name, p->sub ? "rows inside a type that has none" : "an object without rows");
    if (!p->sub)
        return SV_OK;
    if (depth > 8 || p->sub_size == 0 || p->sub_size % alignof(int64_t) != 0)
        return bad(err, r, p->name, "its objects are nested too deep, or have no size");
    for (size_t i = 0; i < p->sub_count; i++)
        if (p->sub[i].in != SV_IN_BODY)
            return bad(err, r, p->name, "a row inside an object is not of the body");
    return check_rows(r, p->sub, p->sub_count, p->sub_size, depth + 1, err);
}

static enum sv_err check_place(const struct sv_route *r, const struct sv_param *p, size_t in_size, struct sv_error *err)
{
    size_t size = sv_param_size(p->type);
    if (size == 0)
        return bad(err, r, p->name, "unknown type");
    if (p->offset > in_size || size > in_size - p->offset)
        return bad(err, r, p->name, "its offset is past in_size");
    if (p->offset % alignof(int64_t) != 0)
        return bad(err, r, p->name, "its offset is not aligned");
    if (p->in != SV_IN_BODY && (p->type == SV_T_LIST || p->type == SV_T_OBJ || p->type == SV_T_OBJS))
        return bad(err, r, p->name, "a list or an object cannot come from the URL");
    if (p->in == SV_IN_PATH && !path_has(r, p->name))
        return bad(err, r, p->name, "the path has no such {name}");
    if (p->in == SV_IN_BODY && r->raw_body)
        return bad(err, r, p->name, "the body is a file, it has no parameters");
    return SV_OK;
}

static enum sv_err check_param(const struct sv_route *r, const struct sv_param *p, size_t in_size, unsigned depth,
                               struct sv_error *err)
{
    if (!p->name || !*p->name)
        return bad(err, r, "?", "no wire name");
    struct sv_slice whole = {p->name, strlen(p->name)}, trimmed = sv_trim_key(whole);
    if (trimmed.n != whole.n || whole.n >= sizeof(((struct sv_error *)0)->wire))
        return bad(err, r, p->name, "its wire name has blanks or '*' at an end, or is too long");
    enum sv_err rc = check_place(r, p, in_size, err);
    if (!rc)
        rc = check_bounds(r, p, err);
    if (!rc)
        rc = check_values(r, p, err);
    if (!rc)
        rc = check_sub(r, p, depth, err);
    return rc;
}

static bool overlap(const struct sv_param *a, const struct sv_param *b)
{
    return a->offset < b->offset + sv_param_size(b->type) && b->offset < a->offset + sv_param_size(a->type);
}

static enum sv_err check_rows(const struct sv_route *r, const struct sv_param *rows, size_t count, size_t in_size,
                              unsigned depth, struct sv_error *err)
{
    if ((rows == NULL) != (count == 0) || count > SV_MAX_PARAMS)
        return bad(err, r, NULL, "params and param_count do not fit");
    for (size_t i = 0; i < count; i++) {
        const struct sv_param *p = &rows[i];
        enum sv_err rc = check_param(r, p, in_size, depth, err);
        if (rc)
            return rc;
        for (size_t k = 0; k < i; k++) {
            if (rows[k].in == p->in && strcmp(rows[k].name, p->name) == 0)
                return bad(err, r, p->name, "listed twice");
            if (overlap(p, &rows[k]))
                return bad(err, r, p->name, "shares its member with another row");
        }
    }
    return SV_OK;
}

static enum sv_err check_params(const struct sv_route *r, struct sv_error *err)
{
    enum sv_err rc = check_rows(r, r->params, r->param_count, r->in_size, 0, err);
    /* a row that is not served yet binds nothing */
    for (unsigned k = 0; !rc && r->handler && sv_path_name(r, k).p; k++) {
        bool has_row = false;
        for (size_t i = 0; i < r->param_count; i++)
            has_row = has_row || (r->params[i].in == SV_IN_PATH && sv_slice_is(sv_path_name(r, k), r->params[i].name));
        if (!has_row)
            return bad(err, r, NULL, "the {name} in the path has no parameter row");
    }
    return rc;
}

static enum sv_err check_fields(const struct sv_route *r, const struct sv_reply_row *f, unsigned depth,
                                struct sv_error *err)
{
    for (const struct sv_reply_row *a = f; a && a->name; a++) {
        if (!*a->name)
            return bad(err, r, NULL, "an empty reply field");
        for (const struct sv_reply_row *b = f; b < a; b++)
            if (strcmp(a->name, b->name) == 0)
                return bad(err, r, a->name, "a reply field is listed twice");
        if (a->sub && a->type != SV_O_OBJ && a->type != SV_O_OBJS)
            return bad(err, r, a->name, "rows inside a reply field that has none");
        enum sv_err rc = depth < 8 ? check_fields(r, a->sub, depth + 1, err)
                                   : bad(err, r, a->name, "reply fields are nested too deep");
        if (rc)
            return rc;
    }
    return SV_OK;
}

static enum sv_err check_status(const struct sv_route *r, struct sv_error *err)
{
    if (r->ok && (r->ok < 200 || r->ok > 299))
        return bad(err, r, NULL, "a status of success lies between 200 and 299");
    if (r->ok == 204 && (r->data != SV_DATA_NONE || r->gives_file))
        return bad(err, r, NULL, "status 204 has no body");
    return SV_OK;
}

static enum sv_err check_reply(const struct sv_route *r, struct sv_error *err)
{
    for (const struct sv_reply_row *f = r->fields; r->data == SV_DATA_NONE && f && f->name; f++)
        if (!(f->flags & SV_O_OURS)) /* ours may say more than the document, which prints nothing */
            return bad(err, r, NULL, "fields without data");
    if (r->kind == SV_ASYNC_EACH && r->data != SV_DATA_LIST)
        return bad(err, r, NULL, "async-each needs a list");
    enum sv_err rc = check_fields(r, r->fields, 0, err);
    return rc ? rc : check_status(r, err);
}

enum sv_err sv_route_check(const struct sv_route *r, struct sv_error *err)
{
    enum sv_method m = sv_method_of(r->method);
    if (m == SV_METHODS)
        return bad(err, r, NULL, "unknown method");
    if (!r->section || !*r->section)
        return bad(err, r, NULL, "no section");
    if (!r->doc_zh || !*r->doc_zh || !r->doc_en || !*r->doc_en)
        return bad(err, r, NULL, "no doc line");
    if (r->raw_body && m != SV_POST && m != SV_PUT)
        return bad(err, r, NULL, "a file as the body needs POST or PUT");
    enum sv_err rc = check_path(r, err);
    if (!rc)
        rc = check_params(r, err);
    if (!rc)
        rc = check_reply(r, err);
    return rc;
}
