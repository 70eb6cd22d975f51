#include "api/internal.h"

/* One JSON line an operation, to be compared with the document's own data: bounds and parameters that are
 * ours stay out of it. */

static void dump_params(struct sv_json *j, const char *key, const struct sv_param *p, size_t n);

static void dump_values(struct sv_json *j, const struct sv_param *p)
{
    size_t n = 0;

    while (p->values[n])
        n++;
    sv_json_arr(j, "enum");
    for (size_t i = 0; i + p->our_values < n; i++)
        sv_json_str(j, NULL, p->values[i]);
    sv_json_end_arr(j);
}

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
    if (p->values)
        dump_values(j, p);
    if (p->sub)
        dump_params(j, "params", p->sub, p->sub_count);
    sv_json_end_obj(j);
}

static void dump_params(struct sv_json *j, const char *key, const struct sv_param *p, size_t n)
{
    sv_json_arr(j, key);
    for (size_t i = 0; i < n; i++)
        if (p[i].in == SV_IN_BODY && !(p[i].flags & SV_P_EXTENSION))
            dump_param(j, &p[i]);
    sv_json_end_arr(j);
}

static void dump_fields(struct sv_json *j, const struct sv_route *r)
{
    sv_json_arr(j, "fields");
    for (const struct sv_reply_row *f = r->fields; f && f->name; f++)
        if (!(f->flags & SV_O_OURS)) /* no part of the document's contract */
            sv_json_str(j, NULL, f->name);
    sv_json_end_arr(j);
}

static void dump_keys(struct sv_json *j, const struct sv_route *r)
{
    sv_json_obj(j, "keys");
    for (const struct sv_key *k = r->keys; k && k->name; k++)
        if (k->value)
            sv_json_str(j, k->name, k->value);
        else
            sv_json_null(j, k->name);
    sv_json_end_obj(j);
}

static void dump_op(struct sv_json *j, const struct sv_dialect *d, const struct sv_route *r)
{
    sv_json_obj(j, NULL);
    sv_json_str(j, "section", r->section);
    sv_json_str(j, "method", r->method);
    sv_json_str(j, "path", r->path);
    sv_json_str(j, "kind", sv_kind_name(r->kind));
    dump_params(j, "params", r->params, r->param_count);
    sv_json_str(j, "data", sv_data_name(r->data));
    dump_fields(j, r);
    sv_json_str(j, "role", sv_role_name(r->role));
    sv_json_str(j, "runs", sv_runs_name(r->runs));
    sv_json_bool(j, "extension", r->extension);
    sv_json_bool(j, "served", r->handler != NULL);
    sv_json_str(j, "dialect", d->name);
    if (r->keys)
        dump_keys(j, r);
    if (r->under)
        sv_json_str(j, "under", r->under);
    sv_json_end_obj(j);
}

void sv_describe_dump(const struct sv_api *api, struct sv_buf *out)
{
    for (size_t i = 0; i < api->op_count; i++) {
        struct sv_json j;
        sv_json_init(&j, out);
        dump_op(&j, api->ops[i].dialect, api->ops[i].route);
        sv_buf_putc(out, '\n');
    }
}
