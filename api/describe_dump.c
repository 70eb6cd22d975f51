#include "api/internal.h"

/* One JSON line an operation, to be compared with the document's own data: bounds and parameters that are
 * ours stay out of it. */

static void dump_param(struct sv_json *j, const struct sv_param *p)
{
    sv_json_obj(j, NULL);
    sv_json_str(j, "name", p->name);
    sv_json_str(j, "type", sv_type_name(p->type));
    sv_json_bool(j, "required", (p->flags & SV_P_REQUIRED) != 0);
    if (p->flags & SV_P_MIN)
        sv_json_int(j, "min", p->min);
    if (p->flags & SV_P_MAX)
        sv_json_int(j, "max", p->max);
    if (p->values) {
        sv_json_arr(j, "enum");
        for (size_t i = 0; p->values[i]; i++)
            sv_json_str(j, NULL, p->values[i]);
        sv_json_end_arr(j);
    }
    sv_json_end_obj(j);
}

static void dump_fields(struct sv_json *j, const struct sv_route *r)
{
    const char *type;
    sv_json_arr(j, "fields");
    for (size_t i = 0; r->fields && r->fields[i]; i++) {
        const char *end = strchr(r->fields[i], '+');
        if (end && !end[1]) /* ours, no part of the document's contract */
            continue;
        struct sv_slice name = sv_field_name(r->fields[i], &type);
        sv_json_strn(j, NULL, name.p, name.n);
    }
    sv_json_end_arr(j);
}

static void dump_op(struct sv_json *j, const struct sv_route *r)
{
    sv_json_obj(j, NULL);
    sv_json_str(j, "section", r->section);
    sv_json_str(j, "method", r->method);
    sv_json_str(j, "path", r->path);
    sv_json_str(j, "kind", sv_kind_name(r->kind));
    sv_json_arr(j, "params");
    for (size_t i = 0; i < r->param_count; i++)
        if (r->params[i].in == SV_IN_BODY && !(r->params[i].flags & SV_P_EXTENSION))
            dump_param(j, &r->params[i]);
    sv_json_end_arr(j);
    sv_json_str(j, "data", sv_data_name(r->data));
    dump_fields(j, r);
    sv_json_str(j, "role", sv_role_name(r->role));
    sv_json_str(j, "runs", sv_runs_name(r->runs));
    sv_json_bool(j, "extension", r->extension);
    sv_json_bool(j, "served", r->handler != NULL);
    sv_json_end_obj(j);
}

void sv_describe_dump(const struct sv_api *api, struct sv_buf *out)
{
    for (size_t i = 0; i < api->op_count; i++) {
        struct sv_json j;
        sv_json_init(&j, out);
        dump_op(&j, api->ops[i].route);
        sv_buf_putc(out, '\n');
    }
}
