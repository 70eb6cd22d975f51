#include "api/internal.h"

#include <stdio.h>

/* OpenAPI 3.1 of one dialect. Where a wire packs its JSON, contentEncoding, contentMediaType and contentSchema tell, so
 * that a generator sees the fields and not a string. */

struct doc {
    struct sv_json *j;
    const struct sv_api *api;
    const struct sv_dialect *dialect;
    const struct sv_wire_doc *how; /* never NULL */
};

/* --- requests ----------------------------------------------------------------------------------- */

static void ref(struct sv_json *j, const char *key, const char *target)
{
    sv_json_obj(j, key);
    sv_json_str(j, "$ref", target);
    sv_json_end_obj(j);
}

static void url_param(struct sv_json *j, const struct sv_param *p, const char *name)
{
    bool path = p->in == SV_IN_PATH;
    sv_json_obj(j, NULL);
    sv_json_str(j, "name", name);
    sv_json_str(j, "in", path ? "path" : "query");
    sv_json_bool(j, "required", path || (p->flags & SV_P_REQUIRED) != 0);
    sv_schema_param(j, "schema", p);
    sv_json_end_obj(j);
}

/* A route that is not served yet may have no row for a {name}; the path still has it. */
static void unbound_path_param(struct sv_json *j, const char *name)
{
    sv_json_obj(j, NULL);
    sv_json_str(j, "name", name);
    sv_json_str(j, "in", "path");
    sv_json_bool(j, "required", true);
    sv_schema_type(j, "schema", "string");
    sv_json_end_obj(j);
}

static const struct sv_param *path_row(const struct sv_route *r, struct sv_slice name)
{
    for (size_t i = 0; i < r->param_count; i++)
        if (r->params[i].in == SV_IN_PATH && sv_slice_is(name, r->params[i].name))
            return &r->params[i];
    return NULL;
}

static void parameters(const struct doc *d, const struct sv_op *op, const struct sv_path_names *names)
{
    const struct sv_route *r = op->route;
    struct sv_json *j = d->j;
    sv_json_arr(j, "parameters");
    for (unsigned k = 0; k < names->n; k++) {
        const struct sv_param *row = path_row(r, sv_path_name(r, k));
        if (row)
            url_param(j, row, names->name[k]);
        else
            unbound_path_param(j, names->name[k]);
    }
    for (size_t i = 0; i < r->param_count; i++)
        if (r->params[i].in == SV_IN_QUERY)
            url_param(j, &r->params[i], r->params[i].name);
    ref(j, NULL, "#/components/parameters/AcceptLanguage");
    if (sv_method_of(r->method) != SV_GET)
        ref(j, NULL, "#/components/parameters/IdempotencyKey");
    sv_json_end_arr(j);
}

static void base64_json(struct sv_json *j)
{
    sv_json_str(j, "type", "string");
    sv_json_str(j, "contentEncoding", "base64");
    sv_json_str(j, "contentMediaType", "application/json");
}

/* The JSON of the parameters; of several operations, one of theirs. */
static bool body_schema(struct sv_json *j, const char *key, const struct sv_op *op)
{
    bool required = false;
    if (!op->next)
        return sv_schema_body(j, key, op->route);
    sv_json_obj(j, key);
    sv_json_arr(j, "oneOf");
    for (; op; op = op->next)
        required = sv_schema_body(j, NULL, op->route) || required;
    sv_json_end_arr(j);
    sv_json_end_obj(j);
    return required;
}

static bool form_body(const struct doc *d, const struct sv_op *op)
{
    struct sv_json *j = d->j;
    sv_json_obj(j, d->how->body_type);
    sv_json_obj(j, "schema");
    sv_json_str(j, "type", "object");
    sv_json_obj(j, "properties");
    sv_json_obj(j, d->how->body_field);
    base64_json(j);
    bool required = body_schema(j, "contentSchema", op);
    sv_json_end_obj(j);
    sv_json_end_obj(j);
    if (required)
        sv_schema_strings(j, "required", (const char *const[]){d->how->body_field, NULL});
    sv_json_end_obj(j);
    sv_json_end_obj(j);
    return required;
}

static bool json_body(struct sv_json *j, const struct sv_op *op)
{
    sv_json_obj(j, "application/json");
    bool required = body_schema(j, "schema", op);
    sv_json_end_obj(j);
    return required;
}

static bool has_body(const struct sv_op *op)
{
    for (; op; op = op->next)
        if (op->route->keys || op->route->under || sv_has_params(op->route, SV_IN_BODY))
            return true;
    return false;
}

static void request_body(const struct doc *d, const struct sv_op *op)
{
    struct sv_json *j = d->j;
    bool required = true;
    if (!op->route->raw_body && !has_body(op))
        return;
    sv_json_obj(j, "requestBody");
    sv_json_obj(j, "content");
    if (op->route->raw_body) {
        sv_json_obj(j, "application/octet-stream");
        sv_json_end_obj(j);
    } else {
        required = d->how->body_field ? form_body(d, op) : json_body(j, op);
    }
    sv_json_end_obj(j);
    sv_json_bool(j, "required", required);
    sv_json_end_obj(j);
}

/* --- replies ------------------------------------------------------------------------------------ */

/* "key": what success looks like. */
static void success_schema(const struct doc *d, const char *key, const struct sv_route *r)
{
    const struct sv_wire *w = d->dialect->wire;
    const char *data = r->data_key ? r->data_key : w->data_key;
    if (!d->how->success && !data) {
        sv_schema_data(d->j, key, w, r);
        return;
    }
    sv_json_obj(d->j, key);
    if (d->how->success) {
        d->how->success(d->j, w, r);
    } else {
        sv_json_str(d->j, "type", "object");
        sv_json_obj(d->j, "properties");
        sv_schema_data(d->j, data, w, r);
        sv_json_end_obj(d->j);
    }
    sv_json_end_obj(d->j);
}

static int ok_status(const struct sv_route *r)
{
    return r->ok ? r->ok : 200;
}

/* Failures come with the status of success, too: then each reply is one or the other. */
static bool fails_alike(const struct doc *d)
{
    return d->dialect->wire->ok_key != NULL;
}

static void reply_schema(const struct doc *d, const char *key, const struct sv_op *op, int status)
{
    struct sv_json *j = d->j;
    if (!op->next && !fails_alike(d)) {
        success_schema(d, key, op->route);
        return;
    }
    sv_json_obj(j, key);
    sv_json_arr(j, "oneOf");
    for (; op; op = op->next)
        if (ok_status(op->route) == status)
            success_schema(d, NULL, op->route);
    if (fails_alike(d))
        ref(j, NULL, "#/components/schemas/Failure");
    sv_json_end_arr(j);
    sv_json_end_obj(j);
}

static void reply_content(const struct doc *d, const struct sv_op *op, int status)
{
    struct sv_json *j = d->j;
    if (status == 204)
        return;
    sv_json_obj(j, "content");
    if (op->route->gives_file) {
        sv_json_obj(j, "application/octet-stream");
        sv_json_end_obj(j);
    } else if (d->how->reply_type) {
        sv_json_obj(j, d->how->reply_type);
        sv_json_obj(j, "schema");
        base64_json(j);
        reply_schema(d, "contentSchema", op, status);
        sv_json_end_obj(j);
        sv_json_end_obj(j);
    } else {
        sv_json_obj(j, "application/json");
        reply_schema(d, "schema", op, status);
        sv_json_end_obj(j);
    }
    sv_json_end_obj(j);
}

static bool status_before(const struct sv_op *first, const struct sv_op *op)
{
    for (; first != op; first = first->next)
        if (ok_status(first->route) == ok_status(op->route))
            return true;
    return false;
}

static void responses(const struct doc *d, const struct sv_op *first)
{
    struct sv_json *j = d->j;
    sv_json_obj(j, "responses");
    for (const struct sv_op *op = first; op; op = op->next) {
        if (status_before(first, op))
            continue;
        sv_json_obj(j, sv_dec(ok_status(op->route)).s);
        sv_json_str(j, "description",
                    fails_alike(d) ? "Every business result; its code tells success from failure" : "Success");
        reply_content(d, first, ok_status(op->route));
        sv_json_end_obj(j);
    }
    ref(j, "default", "#/components/responses/Fault");
    sv_json_end_obj(j);
}

/* --- operations --------------------------------------------------------------------------------- */

static void ours(struct sv_json *j, const struct sv_route *r)
{
    sv_json_obj(j, "x-starvirt");
    sv_json_str(j, "section", r->section);
    sv_json_str(j, "role", sv_role_name(r->role));
    sv_json_str(j, "kind", sv_kind_name(r->kind));
    sv_json_bool(j, "extension", r->extension);
    sv_json_bool(j, "served", r->handler != NULL);
    sv_json_end_obj(j);
}

static void titles(struct sv_json *j, const char *key, const struct sv_op *op, bool english)
{
    struct sv_buf text SV_CLEANUP(sv_buf_free) = {0};
    for (const struct sv_op *o = op; o; o = o->next)
        sv_buf_printf(&text, "%s%s", o == op ? "" : "; ", english ? o->route->doc_en : o->route->doc_zh);
    sv_json_str(j, key, text.p);
}

static void operation(const struct doc *d, const struct sv_op *op, const struct sv_path_names *names)
{
    const struct sv_route *r = op->route;
    struct sv_json *j = d->j;
    static const char *const keys[SV_METHODS] = {
        [SV_GET] = "get", [SV_POST] = "post", [SV_PUT] = "put", [SV_DELETE] = "delete", [SV_PATCH] = "patch"};
    sv_json_obj(j, keys[sv_method_of(r->method)]);
    sv_json_str(j, "operationId", op->id);
    sv_json_arr(j, "tags");
    if (*r->path)
        sv_json_strn(j, NULL, r->path, strcspn(r->path, "/"));
    else
        sv_json_str(j, NULL, d->dialect->name);
    sv_json_end_arr(j);
    titles(j, "summary", op, true);
    titles(j, "description", op, false);
    if (r->open) {
        sv_json_arr(j, "security");
        sv_json_end_arr(j);
    }
    parameters(d, op, names);
    request_body(d, op);
    responses(d, op);
    ours(j, r);
    sv_json_end_obj(j);
}

/* Paths that differ only in the spelling of a {name} are one path to OpenAPI: there they then share "{id}". */
static void shared_names(const struct sv_api *api, size_t first, struct sv_path_names *ret)
{
    *ret = (struct sv_path_names){0};
    for (unsigned k = 0; sv_path_name(api->ops[first].route, k).p; k++) {
        struct sv_slice mine = sv_path_name(api->ops[first].route, k);
        sv_printable(ret->name[k], sizeof(ret->name[k]), mine.p, mine.n);
        ret->n++;
        for (size_t i = first + 1; i < api->op_count; i++)
            if (sv_same_path(&api->ops[first], &api->ops[i]) &&
                !sv_slice_is(sv_path_name(api->ops[i].route, k), ret->name[k]))
                snprintf(ret->name[k], sizeof(ret->name[k]), k ? "id%u" : "id", k);
    }
}

static bool seen_before(const struct sv_api *api, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (sv_same_path(&api->ops[i], &api->ops[at]))
            return true;
    return false;
}

/* One of several with the same method and path: described with the first. */
static bool follows(const struct sv_api *api, size_t at)
{
    for (size_t i = 0; i < at; i++)
        for (const struct sv_op *o = api->ops[i].next; o; o = o->next)
            if (o == &api->ops[at])
                return true;
    return false;
}

static void paths(const struct doc *d)
{
    const struct sv_api *api = d->api;
    sv_json_obj(d->j, "paths");
    for (size_t i = 0; i < api->op_count; i++) {
        struct sv_path_names names;
        if (api->ops[i].dialect != d->dialect || seen_before(api, i))
            continue;
        struct sv_buf path SV_CLEANUP(sv_buf_free) = {0};
        shared_names(api, i, &names);
        sv_full_path(&api->ops[i], &names, &path);
        sv_json_obj(d->j, path.p);
        for (size_t k = i; k < api->op_count; k++)
            if (sv_same_path(&api->ops[i], &api->ops[k]) && !follows(api, k))
                operation(d, &api->ops[k], &names);
        sv_json_end_obj(d->j);
    }
    sv_json_end_obj(d->j);
}

/* --- components --------------------------------------------------------------------------------- */

static void header_param(struct sv_json *j, const char *key, const char *name, const char *text)
{
    sv_json_obj(j, key);
    sv_json_str(j, "name", name);
    sv_json_str(j, "in", "header");
    sv_json_bool(j, "required", false);
    sv_json_str(j, "description", text);
    sv_schema_type(j, "schema", "string");
    sv_json_end_obj(j);
}

static void fault_response(const struct doc *d)
{
    struct sv_json *j = d->j;
    sv_json_obj(j, "Fault");
    sv_json_str(j, "description",
                fails_alike(d) ? "A fault of the protocol: 400, 404, 405, 413, 415, 429, 503, 507" : "Failure");
    sv_json_obj(j, "content");
    sv_json_obj(j, d->how->reply_type ? d->how->reply_type : "application/json");
    if (d->how->reply_type) {
        sv_json_obj(j, "schema");
        base64_json(j);
        ref(j, "contentSchema", "#/components/schemas/Failure");
        sv_json_end_obj(j);
    } else {
        ref(j, "schema", "#/components/schemas/Failure");
    }
    for (int i = 0; i < 3; i++)
        sv_json_end_obj(j);
}

static void security_schemes(const struct doc *d)
{
    struct sv_json *j = d->j;
    sv_json_obj(j, "securitySchemes");
    for (const struct sv_token_row *t = d->dialect->wire->tokens; t->header; t++) {
        sv_json_obj(j, t->header);
        sv_json_str(j, "type", "apiKey");
        sv_json_str(j, "in", "header");
        sv_json_str(j, "name", t->header);
        if (t->scheme)
            sv_json_str(j, "description", t->scheme);
        sv_json_end_obj(j);
    }
    sv_json_end_obj(j);
}

static void components(const struct doc *d)
{
    struct sv_json *j = d->j;
    sv_json_obj(j, "components");
    security_schemes(d);
    sv_json_obj(j, "parameters");
    header_param(j, "AcceptLanguage", "Accept-Language", "\"en\": error texts in English; else in Chinese");
    header_param(j, "IdempotencyKey", "Idempotency-Key",
                 "The same key and body within 24 h give the first reply again, startid included");
    sv_json_end_obj(j);
    sv_json_obj(j, "responses");
    fault_response(d);
    sv_json_end_obj(j);
    sv_json_obj(j, "schemas");
    sv_json_obj(j, "Failure");
    sv_json_str(j, "type", "object");
    if (d->how->failure)
        d->how->failure(j);
    sv_json_end_obj(j);
    sv_json_end_obj(j);
    sv_json_end_obj(j);
}

static void info(const struct doc *d)
{
    sv_json_obj(d->j, "info");
    sv_json_str(d->j, "title", d->dialect->title);
    sv_json_str(d->j, "version", STARVIRT_VERSION);
    if (d->how->info)
        sv_json_str(d->j, "description", d->how->info);
    sv_json_end_obj(d->j);
}

static void security(const struct doc *d)
{
    sv_json_arr(d->j, "security");
    for (const struct sv_token_row *t = d->dialect->wire->tokens; t->header; t++) {
        sv_json_obj(d->j, NULL);
        sv_json_arr(d->j, t->header);
        sv_json_end_arr(d->j);
        sv_json_end_obj(d->j);
    }
    sv_json_end_arr(d->j);
}

void sv_describe_openapi(const struct sv_api *api, const struct sv_dialect *dialect, struct sv_buf *out)
{
    static const struct sv_wire_doc bare = {0};
    struct sv_json json;
    const struct doc doc = {
        .j = &json, .api = api, .dialect = dialect, .how = dialect->wire->doc ? dialect->wire->doc : &bare};
    sv_json_init(&json, out);
    sv_json_obj(&json, NULL);
    sv_json_str(&json, "openapi", "3.1.0");
    info(&doc);
    security(&doc);
    paths(&doc);
    components(&doc);
    sv_json_end_obj(&json);
    sv_buf_putc(out, '\n');
}
