#include "handlers/starvcenter/wire.h"

/* How this wire is described. */

static void success(struct sv_json *j, const struct sv_wire *w, const struct sv_route *r)
{
    bool started = r->kind == SV_ASYNC;
    const char *const required[] = {"result", "data", started ? "startid" : NULL, NULL};
    sv_json_str(j, "type", "object");
    sv_json_obj(j, "properties");
    sv_json_obj(j, "result");
    sv_json_str(j, "const", "0");
    sv_json_end_obj(j);
    sv_schema_data(j, "data", w, r);
    if (started)
        sv_schema_type(j, "startid", "string");
    if (r->data == SV_DATA_LIST)
        sv_schema_type(j, "dataCount", "integer");
    sv_schema_type(j, "warning", "string");
    sv_json_end_obj(j);
    sv_schema_strings(j, "required", required);
}

static void error_schema(struct sv_json *j)
{
    static const char *const required[] = {"code", "retry", NULL};
    sv_json_obj(j, "error");
    sv_json_str(j, "type", "object");
    sv_json_obj(j, "properties");
    sv_json_obj(j, "code");
    sv_json_arr(j, "enum");
    for (unsigned c = SV_OK + 1; c < SV_ERR_COUNT; c++)
        sv_json_str(j, NULL, sv_err_symbol((enum sv_err)c));
    sv_json_end_arr(j);
    sv_json_end_obj(j);
    sv_schema_type(j, "field", "string");
    sv_json_obj(j, "retry");
    sv_json_arr(j, "enum");
    for (unsigned r = SV_RETRY_NO; r <= SV_RETRY_UNKNOWN; r++)
        sv_json_str(j, NULL, sv_retry_name((enum sv_retry)r));
    sv_json_end_arr(j);
    sv_json_end_obj(j);
    sv_json_end_obj(j);
    sv_schema_strings(j, "required", required);
    sv_json_end_obj(j);
}

static void failure(struct sv_json *j)
{
    static const char *const required[] = {"result", "resultinfo", "error", NULL};
    static const char *const results[] = {"1", "1003", NULL};
    sv_json_obj(j, "properties");
    sv_json_obj(j, "result");
    sv_schema_strings(j, "enum", results);
    sv_json_end_obj(j);
    sv_schema_type(j, "resultinfo", "string");
    error_schema(j);
    sv_json_end_obj(j);
    sv_schema_strings(j, "required", required);
}

static const char *const samples[] = {
    "{\"result\":\"0\",\"data\":...,\"startid\":\"...\",\"dataCount\":...,\"warning\":\"...\"}",
    "{\"result\":\"1\",\"resultinfo\":\"...\",\"error\":{\"code\":\"VM_LOCKED\",\"field\":\"vm.id\","
    "\"retry\":\"safe\"}}",
    NULL,
};

const struct sv_wire_doc sv_wire_doc_starvcenter = {
    .info = "KEY_PARAM is Base64 of a UTF-8 JSON object, sent as application/x-www-form-urlencoded or "
            "multipart/form-data; replies are Base64 of a JSON envelope. Numbers and booleans may be sent as "
            "strings; values come back as strings. Full-width commas and colons between members and a comma behind the "
            "last one are tolerated. KEY_PARAM may stand in the query instead. Parameters that are not known are named "
            "in `warning` of a reply; in a query they are refused, but for GET.",
    .call =
        {"请求头 KEY_TOKEN(或 KEY-TOKEN)为租户令牌;业务参数为 JSON 对象,UTF-8 编码后做 Base64,放入表单字段 KEY_PARAM "
         "(application/x-www-form-urlencoded 或 multipart/form-data)。数字和布尔值也可以写成字符串。"
         "对象成员之间的全角逗号、冒号以及最后多余的逗号可以接受;KEY_PARAM 也可放在查询串中。"
         "未知参数在返回的 warning 中列出;查询串中的未知参数除 GET 外一律拒绝。编号不区分大小写。"
         "请求头 Idempotency-Key 相同且内容相同时,24 小时内返回第一次的结果。"
         "请求头 Accept-Language: en 使错误信息为英文。",
         "The header KEY_TOKEN (or KEY-TOKEN) carries the tenant's token. Parameters are a JSON object, encoded in "
         "UTF-8 "
         "and then Base64, in the form field KEY_PARAM (application/x-www-form-urlencoded or "
         "multipart/form-data). Numbers and booleans may be sent as strings. Full-width commas and colons between "
         "members and a comma behind the last one are tolerated; KEY_PARAM may stand in the query instead. "
         "Parameters that are not known are named in warning of the reply; in a query they are refused, but for "
         "GET. Ids may be written in either case. With the same "
         "Idempotency-Key and the same body the first reply comes again for 24 hours. "
         "Accept-Language: en gives error texts in English."},
    .reply = {"返回内容为 Base64 编码的 JSON。result 为 0 表示成功,1 表示失败,1003 表示令牌缺失、无效或过期。"
              "data 中的值均为字符串。异步操作返回 startid,用 joblog/{startid} 查询进度和日志。",
              "A reply is Base64 of JSON. result is 0 for success, 1 for failure and 1003 for a missing, "
              "invalid or expired token. Values in data are strings. An asynchronous operation returns "
              "startid: joblog/{startid} shows its progress and log."},
    .samples = samples,
    .body_type = "application/x-www-form-urlencoded",
    .body_field = "KEY_PARAM",
    .reply_type = "text/plain",
    .success = success,
    .failure = failure,
};
