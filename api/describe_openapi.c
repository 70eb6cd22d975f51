#include "api/internal.h"

/* OpenAPI 3.1: the Base64 envelopes are described with contentEncoding, contentMediaType and contentSchema,
 * so that a generator sees the fields and not a string. */

/* --- schemas of parameters ---------------------------------------------------------------------- */

static void described(struct sv_json *j, const struct sv_param *p)
{
    const char *en = p->doc_en ? p->doc_en : "", *zh = p->doc_zh ? p->doc_zh : "";
    char *text SV_AUTOFREE = sv_asprintf("%s%s%s%s%s%s", en, *en && *zh ? " / " : "", zh, p->unit ? " [" : "",
                                         p->unit ? p->unit : "", p->unit ? "]" : "");
    if (*text)
        sv_json_str(j, "description", text);
}

static void enum_schema(struct sv_json *j, const struct sv_param *p)
{
    sv_json_str(j, "type", "string");
    sv_json_arr(j, "enum");
    for (size_t i = 0; p->values[i]; i++)
        sv_json_str(j, NULL, p->values[i]);
    sv_json_end_arr(j);
}

static void int_schema(struct sv_json *j, const struct sv_param *p)
{
    sv_json_str(j, "type", "integer");
    sv_json_str(j, "format", "int64");
    if (sv_param_has_min(p))
        sv_json_int(j, "minimum", p->min);
    if (sv_param_has_max(p))
        sv_json_int(j, "maximum", p->max);
}

static void list_schema(struct sv_json *j, const struct sv_param *p)
{
    sv_json_str(j, "type", "array");
    sv_json_obj(j, "items");
    sv_json_str(j, "type", "string");
    sv_json_end_obj(j);
    if (sv_param_has_min(p))
        sv_json_int(j, "minItems", p->min);
    sv_json_int(j, "maxItems", sv_param_limit(p));
}

static void string_schema(struct sv_json *j, const struct sv_param *p, const char *format, const char *pattern)
{
    sv_json_str(j, "type", "string");
    if (format)
        sv_json_str(j, "format", format);
    if (pattern)
        sv_json_str(j, "pattern", pattern);
    if (p->flags & SV_P_REQUIRED)
        sv_json_int(j, "minLength", 1);
    sv_json_int(j, "maxLength", sv_param_limit(p));
}

static void param_schema(struct sv_json *j, const char *key, const struct sv_param *p)
{
    sv_json_obj(j, key);
    switch (p->type) {
    case SV_T_STR:
    case SV_T_ID:
    case SV_T_IPS:
    case SV_T_PORTS:
    case SV_T_PEM:
        string_schema(j, p, NULL, NULL);
        break;
    case SV_T_IP:
        string_schema(j, p, "ipv4", NULL);
        break;
    case SV_T_TIME:
        string_schema(j, p, NULL, "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$");
        break;
    case SV_T_INT:
        int_schema(j, p);
        break;
    case SV_T_BOOL:
        sv_json_str(j, "type", "boolean");
        break;
    case SV_T_ENUM:
        enum_schema(j, p);
        break;
    case SV_T_LIST:
        list_schema(j, p);
        break;
    }
    described(j, p);
    if (p->flags & SV_P_SECRET)
        sv_json_bool(j, "writeOnly", true);
    if (p->flags & SV_P_EXTENSION)
        sv_json_bool(j, "x-starvirt-extension", true);
    sv_json_end_obj(j);
}

/* --- requests ----------------------------------------------------------------------------------- */

static void ref(struct sv_json *j, const char *key, const char *target)
{
    sv_json_obj(j, key);
    sv_json_str(j, "$ref", target);
    sv_json_end_obj(j);
}

static void url_param(struct sv_json *j, const struct sv_param *p, const char *path_name)
{
    bool path = p->in == SV_IN_PATH;
    sv_json_obj(j, NULL);
    sv_json_str(j, "name", path ? path_name : p->name);
    sv_json_str(j, "in", path ? "path" : "query");
    sv_json_bool(j, "required", path || (p->flags & SV_P_REQUIRED) != 0);
    param_schema(j, "schema", p);
    sv_json_end_obj(j);
}

/* A route that is not served yet may have no row for its {name}; the path still has it. */
static void unbound_path_param(struct sv_json *j, const char *path_name)
{
    sv_json_obj(j, NULL);
    sv_json_str(j, "name", path_name);
    sv_json_str(j, "in", "path");
    sv_json_bool(j, "required", true);
    sv_json_obj(j, "schema");
    sv_json_str(j, "type", "string");
    sv_json_end_obj(j);
    sv_json_end_obj(j);
}

static void parameters(struct sv_json *j, const struct sv_route *r, const char *path_name)
{
    sv_json_arr(j, "parameters");
    if (path_name && !sv_has_params(r, SV_IN_PATH))
        unbound_path_param(j, path_name);
    for (size_t i = 0; i < r->param_count; i++)
        if (r->params[i].in != SV_IN_BODY)
            url_param(j, &r->params[i], path_name);
    ref(j, NULL, "#/components/parameters/AcceptLanguage");
    if (sv_method_of(r->method) != SV_GET)
        ref(j, NULL, "#/components/parameters/IdempotencyKey");
    sv_json_end_arr(j);
}

/* The object inside KEY_PARAM; true if one of its keys is required. */
static bool key_param_schema(struct sv_json *j, const struct sv_route *r)
{
    bool required = false;
    sv_json_obj(j, "contentSchema");
    sv_json_str(j, "type", "object");
    sv_json_obj(j, "properties");
    for (size_t i = 0; i < r->param_count; i++)
        if (r->params[i].in == SV_IN_BODY) {
            param_schema(j, r->params[i].name, &r->params[i]);
            required = required || (r->params[i].flags & SV_P_REQUIRED);
        }
    sv_json_end_obj(j);
    if (required) {
        sv_json_arr(j, "required");
        for (size_t i = 0; i < r->param_count; i++)
            if (r->params[i].in == SV_IN_BODY && (r->params[i].flags & SV_P_REQUIRED))
                sv_json_str(j, NULL, r->params[i].name);
        sv_json_end_arr(j);
    }
    sv_json_end_obj(j);
    return required;
}

static void base64_json(struct sv_json *j)
{
    sv_json_str(j, "type", "string");
    sv_json_str(j, "contentEncoding", "base64");
    sv_json_str(j, "contentMediaType", "application/json");
}

static void form_body(struct sv_json *j, const struct sv_route *r)
{
    sv_json_obj(j, "requestBody");
    sv_json_obj(j, "content");
    sv_json_obj(j, "application/x-www-form-urlencoded");
    sv_json_obj(j, "schema");
    sv_json_str(j, "type", "object");
    sv_json_obj(j, "properties");
    sv_json_obj(j, "KEY_PARAM");
    base64_json(j);
    bool required = key_param_schema(j, r);
    sv_json_end_obj(j);
    sv_json_end_obj(j);
    if (required) {
        sv_json_arr(j, "required");
        sv_json_str(j, NULL, "KEY_PARAM");
        sv_json_end_arr(j);
    }
    sv_json_end_obj(j);
    sv_json_end_obj(j);
    sv_json_end_obj(j);
    sv_json_bool(j, "required", required);
    sv_json_end_obj(j);
}

static void request_body(struct sv_json *j, const struct sv_route *r)
{
    if (sv_has_params(r, SV_IN_BODY)) {
        form_body(j, r);
    } else if (r->raw_body) {
        sv_json_obj(j, "requestBody");
        sv_json_obj(j, "content");
        sv_json_obj(j, "application/octet-stream");
        sv_json_end_obj(j);
        sv_json_end_obj(j);
        sv_json_bool(j, "required", true);
        sv_json_end_obj(j);
    }
}

/* --- replies ------------------------------------------------------------------------------------ */

static void fields_schema(struct sv_json *j, const char *key, const struct sv_route *r)
{
    sv_json_obj(j, key);
    sv_json_str(j, "type", "object");
    sv_json_obj(j, "properties");
    for (size_t i = 0; r->fields && r->fields[i]; i++) {
        const char *type;
        char name[128];
        struct sv_slice s = sv_field_name(r->fields[i], &type);
        sv_printable(name, sizeof(name), s.p, s.n);
        sv_json_obj(j, name);
        sv_json_str(j, "type", type);
        sv_json_end_obj(j);
    }
    sv_json_end_obj(j);
    sv_json_end_obj(j);
}

static void data_schema(struct sv_json *j, const struct sv_route *r)
{
    switch (r->data) {
    case SV_DATA_NONE:
        sv_json_obj(j, "data");
        sv_json_str(j, "const", "");
        sv_json_end_obj(j);
        break;
    case SV_DATA_OBJ:
        fields_schema(j, "data", r);
        break;
    case SV_DATA_LIST:
        sv_json_obj(j, "data");
        sv_json_str(j, "type", "array");
        fields_schema(j, "items", r);
        sv_json_end_obj(j);
        break;
    }
}

static void strings(struct sv_json *j, const char *key, const char *const *v)
{
    sv_json_arr(j, key);
    for (; *v; v++)
        sv_json_str(j, NULL, *v);
    sv_json_end_arr(j);
}

static void typed(struct sv_json *j, const char *key, const char *type)
{
    sv_json_obj(j, key);
    sv_json_str(j, "type", type);
    sv_json_end_obj(j);
}

static void success_schema(struct sv_json *j, const struct sv_route *r)
{
    bool started = r->kind == SV_ASYNC;
    const char *const required[] = {"result", "data", started ? "startid" : NULL, NULL};
    sv_json_obj(j, NULL);
    sv_json_str(j, "type", "object");
    sv_json_obj(j, "properties");
    sv_json_obj(j, "result");
    sv_json_str(j, "const", "0");
    sv_json_end_obj(j);
    data_schema(j, r);
    if (started)
        typed(j, "startid", "string");
    if (r->data == SV_DATA_LIST)
        typed(j, "dataCount", "integer");
    sv_json_end_obj(j);
    strings(j, "required", required);
    sv_json_end_obj(j);
}

static void responses(struct sv_json *j, const struct sv_route *r)
{
    sv_json_obj(j, "responses");
    sv_json_obj(j, "200");
    sv_json_str(j, "description", "Every business result; \"result\" tells success from failure");
    sv_json_obj(j, "content");
    sv_json_obj(j, "text/plain");
    sv_json_obj(j, "schema");
    base64_json(j);
    sv_json_obj(j, "contentSchema");
    sv_json_arr(j, "oneOf");
    success_schema(j, r);
    ref(j, NULL, "#/components/schemas/Failure");
    sv_json_end_arr(j);
    for (int i = 0; i < 5; i++)
        sv_json_end_obj(j);
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

static void operation(struct sv_json *j, const struct sv_op *op, const char *path_name)
{
    const struct sv_route *r = op->route;
    static const char *const keys[SV_METHODS] = {
        [SV_GET] = "get", [SV_POST] = "post", [SV_PUT] = "put", [SV_DELETE] = "delete"};
    sv_json_obj(j, keys[sv_method_of(r->method)]);
    sv_json_str(j, "operationId", op->id);
    sv_json_arr(j, "tags");
    sv_json_strn(j, NULL, r->path, strcspn(r->path, "/"));
    sv_json_end_arr(j);
    sv_json_str(j, "summary", r->doc_en);
    sv_json_str(j, "description", r->doc_zh);
    parameters(j, r, path_name);
    request_body(j, r);
    responses(j, r);
    ours(j, r);
    sv_json_end_obj(j);
}

/* Paths that differ only in the spelling of {name} are one path to OpenAPI: they then share "{id}". */
static const char *shared_name(const struct sv_api *api, size_t first, char *buf, size_t size)
{
    struct sv_slice mine = sv_path_name(api->ops[first].route);
    if (!mine.p)
        return NULL;
    sv_printable(buf, size, mine.p, mine.n);
    for (size_t i = first + 1; i < api->op_count; i++) {
        struct sv_slice other = sv_path_name(api->ops[i].route);
        if (sv_same_path(&api->ops[first], &api->ops[i]) && (other.n != mine.n || memcmp(other.p, mine.p, mine.n) != 0))
            return "id";
    }
    return buf;
}

static bool seen_before(const struct sv_api *api, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (sv_same_path(&api->ops[i], &api->ops[at]))
            return true;
    return false;
}

static void paths(struct sv_json *j, const struct sv_api *api)
{
    sv_json_obj(j, "paths");
    for (size_t i = 0; i < api->op_count; i++) {
        char buf[64];
        if (seen_before(api, i))
            continue;
        struct sv_buf path SV_CLEANUP(sv_buf_free) = {0};
        const char *name = shared_name(api, i, buf, sizeof(buf));
        sv_full_path(&api->ops[i], name, &path);
        sv_json_obj(j, path.p);
        for (size_t k = i; k < api->op_count; k++)
            if (sv_same_path(&api->ops[i], &api->ops[k]))
                operation(j, &api->ops[k], name);
        sv_json_end_obj(j);
    }
    sv_json_end_obj(j);
}

/* --- components --------------------------------------------------------------------------------- */

static void failure_schema(struct sv_json *j)
{
    static const char *const required[] = {"result", "resultinfo", "error", NULL};
    static const char *const inner[] = {"code", "retry", NULL};
    static const char *const results[] = {"1", "1003", NULL};
    sv_json_obj(j, "Failure");
    sv_json_str(j, "type", "object");
    sv_json_obj(j, "properties");
    sv_json_obj(j, "result");
    strings(j, "enum", results);
    sv_json_end_obj(j);
    typed(j, "resultinfo", "string");
    sv_json_obj(j, "error");
    sv_json_str(j, "type", "object");
    sv_json_obj(j, "properties");
    sv_json_obj(j, "code");
    sv_json_arr(j, "enum");
    for (unsigned c = SV_OK + 1; c < SV_ERR_COUNT; c++)
        sv_json_str(j, NULL, sv_err_symbol((enum sv_err)c));
    sv_json_end_arr(j);
    sv_json_end_obj(j);
    typed(j, "field", "string");
    sv_json_obj(j, "retry");
    sv_json_arr(j, "enum");
    for (unsigned r = SV_RETRY_NO; r <= SV_RETRY_UNKNOWN; r++)
        sv_json_str(j, NULL, sv_retry_name((enum sv_retry)r));
    sv_json_end_arr(j);
    sv_json_end_obj(j);
    sv_json_end_obj(j);
    strings(j, "required", inner);
    sv_json_end_obj(j);
    sv_json_end_obj(j);
    strings(j, "required", required);
    sv_json_end_obj(j);
}

static void header_param(struct sv_json *j, const char *key, const char *name, const char *doc)
{
    sv_json_obj(j, key);
    sv_json_str(j, "name", name);
    sv_json_str(j, "in", "header");
    sv_json_bool(j, "required", false);
    sv_json_str(j, "description", doc);
    typed(j, "schema", "string");
    sv_json_end_obj(j);
}

static void fault_response(struct sv_json *j)
{
    sv_json_obj(j, "Fault");
    sv_json_str(j, "description", "A fault of the protocol: 400, 404, 405, 413, 415, 429, 503");
    sv_json_obj(j, "content");
    sv_json_obj(j, "text/plain");
    sv_json_obj(j, "schema");
    base64_json(j);
    ref(j, "contentSchema", "#/components/schemas/Failure");
    for (int i = 0; i < 4; i++)
        sv_json_end_obj(j);
}

static void components(struct sv_json *j)
{
    sv_json_obj(j, "components");
    sv_json_obj(j, "securitySchemes");
    sv_json_obj(j, "KEY_TOKEN");
    sv_json_str(j, "type", "apiKey");
    sv_json_str(j, "in", "header");
    sv_json_str(j, "name", "KEY_TOKEN");
    sv_json_end_obj(j);
    sv_json_end_obj(j);
    sv_json_obj(j, "parameters");
    header_param(j, "AcceptLanguage", "Accept-Language", "\"en\": resultinfo in English; else in Chinese");
    header_param(j, "IdempotencyKey", "Idempotency-Key",
                 "The same key and body within 24 h give the first reply again, startid included");
    sv_json_end_obj(j);
    sv_json_obj(j, "responses");
    fault_response(j);
    sv_json_end_obj(j);
    sv_json_obj(j, "schemas");
    failure_schema(j);
    sv_json_end_obj(j);
    sv_json_end_obj(j);
}

static void info(struct sv_json *j, const struct sv_api *api)
{
    sv_json_obj(j, "info");
    sv_json_str(j, "title", api->dialects[0] ? api->dialects[0]->title : "starvirt");
    sv_json_str(j, "version", STARVIRT_VERSION);
    sv_json_str(j, "description",
                "KEY_PARAM is Base64 of a UTF-8 JSON object, sent as application/x-www-form-urlencoded or "
                "multipart/form-data; replies are Base64 of a JSON envelope. Numbers and booleans may be sent as "
                "strings; values come back as strings.");
    sv_json_end_obj(j);
}

void sv_describe_openapi(const struct sv_api *api, struct sv_buf *out)
{
    struct sv_json json, *j = &json;
    sv_json_init(j, out);
    sv_json_obj(j, NULL);
    sv_json_str(j, "openapi", "3.1.0");
    info(j, api);
    sv_json_arr(j, "security");
    sv_json_obj(j, NULL);
    sv_json_arr(j, "KEY_TOKEN");
    sv_json_end_arr(j);
    sv_json_end_obj(j);
    sv_json_end_arr(j);
    paths(j, api);
    components(j);
    sv_json_end_obj(j);
    sv_buf_putc(out, '\n');
}
