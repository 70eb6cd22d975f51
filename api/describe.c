#include "api/internal.h"

/* What the descriptions share. */

const char *sv_type_name(enum sv_ptype type)
{
    static const char *const names[] = {
        [SV_T_STR] = "str",   [SV_T_ID] = "id",   [SV_T_INT] = "int",     [SV_T_BOOL] = "bool", [SV_T_ENUM] = "enum",
        [SV_T_IP] = "ip",     [SV_T_IPS] = "ips", [SV_T_PORTS] = "ports", [SV_T_TIME] = "time", [SV_T_PEM] = "pem",
        [SV_T_LIST] = "list", [SV_T_OBJ] = "obj", [SV_T_OBJS] = "objs",
    };
    return names[type];
}

const char *sv_kind_name(enum sv_kind kind)
{
    static const char *const names[] = {[SV_SYNC] = "sync", [SV_ASYNC] = "async", [SV_ASYNC_EACH] = "async-each"};
    return names[kind];
}

const char *sv_data_name(enum sv_data data)
{
    static const char *const names[] = {[SV_DATA_NONE] = "none", [SV_DATA_OBJ] = "obj", [SV_DATA_LIST] = "list"};
    return names[data];
}

const char *sv_role_name(enum sv_role role)
{
    return role == SV_ROLE_ADMIN ? "admin" : "tenant";
}

const char *sv_runs_name(enum sv_runs runs)
{
    static const char *const names[] = {
        [SV_RUN_READ] = "read", [SV_RUN_WRITE] = "write", [SV_RUN_WAIT] = "wait", [SV_RUN_TELL] = "tell"};
    return names[runs];
}

bool sv_has_params(const struct sv_route *r, enum sv_pin in)
{
    for (size_t i = 0; i < r->param_count; i++)
        if (r->params[i].in == in)
            return true;
    return false;
}

void sv_full_path(const struct sv_op *op, const struct sv_path_names *names, struct sv_buf *out)
{
    const char *p = op->route->path;
    struct sv_slice s;
    unsigned k = 0;
    sv_buf_add(out, op->dialect->base, strlen(op->dialect->base) - (*p ? 1 : 0));
    while (sv_next_segment(&p, false, &s)) {
        sv_buf_putc(out, '/');
        if (names && sv_is_template(s))
            sv_buf_printf(out, "{%s}", names->name[k++]);
        else
            sv_buf_add(out, s.p, s.n);
    }
}

bool sv_same_path(const struct sv_op *a, const struct sv_op *b)
{
    const char *p = a->route->path, *q = b->route->path;
    struct sv_slice s, t;
    if (a->dialect != b->dialect)
        return false;
    for (;;) {
        bool more = sv_next_segment(&p, false, &s);
        if (more != sv_next_segment(&q, false, &t))
            return false;
        if (!more)
            return true;
        bool both = sv_is_template(s) && sv_is_template(t);
        if (!both && (s.n != t.n || memcmp(s.p, t.p, s.n) != 0))
            return false;
    }
}

static bool any_secret(const struct sv_reply_row *f)
{
    for (; f && f->name; f++)
        if ((f->flags & SV_O_SECRET) || any_secret(f->sub))
            return true;
    return false;
}

bool sv_route_secret(const struct sv_route *route)
{
    return any_secret(route->fields);
}
