#include "handlers/kvm-platform/wire.h"
#include "handlers/kvm-platform/errors.h"

/* The document names no header; these are what clients of such platforms send. */
static const struct sv_token_row tokens[] = {
    {.header = "X-Auth-Token"}, {.header = "Authorization", .scheme = "Bearer"}, {0}};

SV_ERR_TABLE(errors, SV_KVM_PLATFORM_ERRORS);

static void begin(struct sv_reply *r)
{
    sv_json_obj(&r->j, NULL);
    sv_json_int(&r->j, "code", 0);
    sv_json_str(&r->j, "msg", "成功");
}

static void failure(const struct sv_fault *f, struct sv_buf *out)
{
    struct sv_json j;
    sv_json_init(&j, out);
    sv_json_obj(&j, NULL);
    sv_json_int(&j, "code", f->row->code);
    sv_json_str(&j, "msg", f->text);
    sv_json_obj(&j, "data");
    sv_json_str(&j, "error", sv_err_symbol(f->e->code));
    if (f->field[0])
        sv_json_str(&j, "field", f->field);
    sv_json_str(&j, "retry", sv_retry_name(sv_err_retry(f->e->code)));
    sv_json_end_obj(&j);
    sv_json_end_obj(&j);
}

/* --- descriptions --------------------------------------------------------------------------------- */

static void success_schema(struct sv_json *j, const struct sv_wire *w, const struct sv_route *r)
{
    static const char *const required[] = {"code", "msg", "data", NULL};
    sv_json_str(j, "type", "object");
    sv_json_obj(j, "properties");
    sv_json_obj(j, "code");
    sv_json_int(j, "const", 0);
    sv_json_end_obj(j);
    sv_schema_type(j, "msg", "string");
    sv_schema_data(j, "data", w, r);
    sv_schema_type(j, "warning", "string");
    sv_json_end_obj(j);
    sv_schema_strings(j, "required", required);
}

static void failure_schema(struct sv_json *j)
{
    static const char *const required[] = {"code", "msg", "data", NULL};
    sv_json_obj(j, "properties");
    sv_schema_type(j, "code", "integer");
    sv_schema_type(j, "msg", "string");
    sv_schema_type(j, "data", "object");
    sv_json_end_obj(j);
    sv_schema_strings(j, "required", required);
}

static const char *const samples[] = {
    "{\"code\":0,\"msg\":\"成功\",\"data\":{\"name\":\"svh...\"}}",
    "{\"code\":30003,\"msg\":\"...\",\"data\":{\"error\":\"NET_DEVICE_NOT_FOUND\",\"field\":\"physical_interface\","
    "\"retry\":\"no\"}}",
    NULL,
};

static const struct sv_wire_doc doc = {
    .info = "POST / with {command, handler, data}; replies are {code, msg, data}, code 0 is success.",
    .call = {"POST 根路径,JSON 请求体 {command, handler, data};令牌放在请求头 X-Auth-Token 或 Authorization: Bearer。",
             "POST to the root with the JSON object {command, handler, data}; the token stands in the header "
             "X-Auth-Token or Authorization: Bearer."},
    .reply = {"返回 {code, msg, data},code 为 0 表示成功,其余见返回码表。",
              "A reply is {code, msg, data}; code 0 is success, all others stand in the table of codes."},
    .samples = samples,
    .success = success_schema,
    .failure = failure_schema,
};

const struct sv_wire sv_wire_kvm_platform = {
    .tokens = tokens,
    .takes = SV_TAKES_NUM_TEXT | SV_TAKES_BOOL_TEXT,
    .time = SV_TIME_LOCAL,
    .body_name = "the body",
    .errors = errors,
    .type = "application/json; charset=UTF-8",
    .read = sv_json_read,
    .data_key = "data",
    .begin = begin,
    .failure = failure,
    .warning = "warning",
    .client_type = "application/json",
    .ok_key = "code",
    .ok_value = "0",
    .doc = &doc,
};
