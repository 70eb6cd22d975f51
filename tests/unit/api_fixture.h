/* A small dialect with every parameter type, and the way from a JSON text to its input struct. */
#ifndef STARVIRT_TESTS_API_FIXTURE_H
#define STARVIRT_TESTS_API_FIXTURE_H

#include "check.h"

#include "handlers/starvcenter/wire.h"
#include "starvirt/api.h"
#include "starvirt/limits.h"

#define BASE "/starvcenter/services/cloudresource/"

struct all_in {
    const char *name, *desc, *id, *mode, *ip, *ips, *ports, *pem, *code;
    struct sv_opt_int num, size, free, when;
    struct sv_opt_bool on;
    struct sv_strs list, two;
};
struct id_in {
    const char *id;
    struct sv_opt_int since, wait;
};

static inline enum sv_err served(struct sv_call *c, const void *in, struct sv_reply *out)
{
    (void)c, (void)in, (void)out;
    return SV_OK;
}

#define AT_STR(m) .offset = SV_OFF_STR(struct all_in, m)
#define AT_INT(m) .offset = SV_OFF_INT(struct all_in, m)
static const struct sv_param all_params[] = {
    {.name = "vm.name",
     .type = SV_T_STR,
     .flags = SV_P_REQUIRED,
     AT_STR(name),
     .max = SV_MAX_NAME,
     .field = SV_F_VM_NAME,
     .doc_zh = "名称",
     .doc_en = "name"},
    {.name = "vm.desc",
     .type = SV_T_STR,
     AT_STR(desc),
     .max = SV_MAX_DESC,
     .field = SV_F_VM_DESC,
     .doc_en = "<desc> & \"more\""},
    {.name = "vm.id", .type = SV_T_ID, AT_STR(id), .field = SV_F_VM},
    {.name = "mode", .type = SV_T_ENUM, AT_STR(mode), SV_VALUES("tcp", "UDP", "in out")},
    {.name = "ip", .type = SV_T_IP, AT_STR(ip)},
    {.name = "ips", .type = SV_T_IPS, AT_STR(ips)},
    {.name = "ports", .type = SV_T_PORTS, AT_STR(ports)},
    {.name = "pem", .type = SV_T_PEM, AT_STR(pem), .flags = SV_P_SECRET},
    {.name = "code", .type = SV_T_STR, AT_STR(code), .flags = SV_P_OUR_MIN | SV_P_OUR_MAX, .min = 4, .max = 8},
    {.name = "vm.num",
     .type = SV_T_INT,
     AT_INT(num),
     .flags = SV_P_MIN | SV_P_MAX,
     .min = 1,
     .max = 30,
     .field = SV_F_VM_COUNT,
     .unit = "MB"},
    {.name = "size", .type = SV_T_INT, AT_INT(size), .flags = SV_P_MIN | SV_P_OUR_MAX, .min = 1, .max = 100},
    {.name = "free", .type = SV_T_INT, AT_INT(free)},
    {.name = "when", .type = SV_T_TIME, AT_INT(when)},
    {.name = "vm.on", .type = SV_T_BOOL, .offset = SV_OFF_BOOL(struct all_in, on)},
    {.name = "list", .type = SV_T_LIST, .offset = SV_OFF_LIST(struct all_in, list)},
    {.name = "two",
     .type = SV_T_LIST,
     .flags = SV_P_EXTENSION | SV_P_MAX,
     .max = 2,
     .offset = SV_OFF_LIST(struct all_in, two)},
};
static const struct sv_param id_params[] = {
    {.name = "vmId", .type = SV_T_ID, .in = SV_IN_PATH, .offset = SV_OFF_STR(struct id_in, id), .field = SV_F_VM},
    {.name = "since",
     .type = SV_T_INT,
     .in = SV_IN_QUERY,
     .flags = SV_P_MIN,
     .min = 0,
     .offset = SV_OFF_INT(struct id_in, since)},
    {.name = "wait",
     .type = SV_T_INT,
     .in = SV_IN_QUERY,
     .flags = SV_P_MAX,
     .max = 60,
     .offset = SV_OFF_INT(struct id_in, wait)},
};
static const struct sv_param backup_params[] = {
    {.name = "backupId", .type = SV_T_ID, .in = SV_IN_PATH, .offset = SV_OFF_STR(struct id_in, id)},
};

#define DOC .doc_zh = "说明", .doc_en = "doc"
static const struct sv_route fixture_routes[] = {
    {.section = "2.2.1",
     .method = "POST",
     .path = "cloudvm/create",
     .kind = SV_ASYNC_EACH,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(all_params),
     .in_size = sizeof(struct all_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("vm.id"), SV_OBJS("model", NULL), SV_NUM("count")),
     .handler = served,
     DOC},
    {.section = "2.2.3",
     .method = "GET",
     .path = "cloudvm/{vmId}",
     SV_PARAMS(id_params),
     .in_size = sizeof(struct id_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("vm.id")),
     .handler = served,
     DOC},
    {.section = "2.2.7",
     .method = "DELETE",
     .path = "cloudvm/{vmId}",
     .kind = SV_ASYNC,
     SV_PARAMS(id_params),
     .in_size = sizeof(struct id_in),
     .handler = served,
     DOC},
    {.section = "2.2.15", .method = "PUT", .path = "cloudvm/cpu/modify", .kind = SV_ASYNC, .role = SV_ROLE_ADMIN, DOC},
    {.section = "2.6.1",
     .method = "GET",
     .path = "cloudvm/backup/{vmId}",
     SV_PARAMS(id_params),
     .in_size = sizeof(struct id_in),
     .data = SV_DATA_LIST,
     DOC},
    {.section = "2.6.3",
     .method = "DELETE",
     .path = "cloudvm/backup/{backupId}",
     SV_PARAMS(backup_params),
     .in_size = sizeof(struct id_in),
     .data = SV_DATA_OBJ,
     DOC},
    {.section = "2.17.5", .method = "POST", .path = "cloudsegroup/vnic/unbind", DOC},
    {.section = "2.12.3", .method = "PUT", .path = "cloudslb/modify", DOC},
    {.section = "cloud hosts",
     .method = "POST",
     .path = "cloudtemplate/upload",
     .raw_body = true,
     .extension = true,
     .runs = SV_RUN_WAIT,
     .handler = served,
     DOC},
    {.section = "2.12.4", .method = "DELETE", .path = "cloudslb/{slbid}", DOC},
};
static const struct sv_route_table fixture_table_0 = {fixture_routes,
                                                      sizeof(fixture_routes) / sizeof(fixture_routes[0])};
static const struct sv_route_table *const fixture_tables[] = {&fixture_table_0, NULL};
static const struct sv_dialect fixture_dialect = {.name = "starvcenter",
                                                  .title = "StarVCenter",
                                                  .base = BASE,
                                                  .describe = "/starvcenter/services",
                                                  .wire = &sv_wire_starvcenter,
                                                  .tables = fixture_tables};
static const struct sv_dialect *const fixture_dialects[] = {&fixture_dialect, NULL};

static inline struct sv_api *fixture_api(void)
{
    struct sv_api *api = NULL;
    struct sv_error err = {0};
    if (sv_api_new(fixture_dialects, &api, &err) != SV_OK)
        check_failed(__FILE__, __LINE__, "sv_api_new: %s", err.arg[0]);
    return api;
}

/* Percent-encoded KEY_PARAM=Base64(json). */
static inline void form_of(const char *json, size_t n, struct sv_buf *out)
{
    struct sv_buf base64 = {0};
    sv_b64_encode(&base64, json, n);
    sv_buf_puts(out, "KEY_PARAM=");
    for (size_t i = 0; i < base64.n; i++)
        strchr("+/=", base64.p[i]) ? sv_buf_printf(out, "%%%02X", base64.p[i]) : sv_buf_putc(out, base64.p[i]);
    sv_buf_free(&base64);
}

struct bound {
    enum sv_err code;
    struct sv_error err;
    struct sv_arena *arena;
    void *in;
    const char *unknown;
};
static inline struct bound bind_to(size_t route, const struct sv_input *in)
{
    struct sv_match m = {.dialect = &fixture_dialect, .route = &fixture_routes[route]};
    struct bound b = {.arena = sv_arena_new()};
    if (strchr(m.route->path, '{')) {
        m.path_value[0] = (struct sv_slice){"some-id/next", 7};
        m.path_values = 1;
    }
    const struct sv_unknown *unknown = NULL;
    b.code = sv_api_bind(&m, in, b.arena, &b.in, &unknown, &b.err);
    b.unknown = unknown ? unknown->list : NULL;
    return b;
}
static inline struct bound bind_json_n(const char *json, size_t n)
{
    struct sv_buf body = {0};
    form_of(json, n, &body);
    struct sv_input in = {"application/x-www-form-urlencoded", body.p, body.n, NULL};
    struct bound b = bind_to(0, &in);
    sv_buf_free(&body);
    return b;
}
static inline struct bound bind_json(const char *json)
{
    return bind_json_n(json, strlen(json));
}
/* A reason is never left in English for readers of Chinese. */
static inline void check_chinese(const struct bound *b)
{
    static const char *const english[] = {"expected", "missing", "twice", "too ", " not ",    "string",
                                          "integer",  "byte",    "digit", " key", "surrogate"};
    if (b->code == SV_OK)
        return;
    struct sv_buf out = {0};
    size_t n, bad;
    sv_reply_failure(&sv_wire_starvcenter, &b->err, NULL, NULL, SV_LANG_ZH, &out);
    unsigned char *text = sv_alloc(out.n + 1);
    CHECK(sv_b64_decode(out.p, out.n, text, &n, &bad));
    for (size_t i = 0; i < sizeof(english) / sizeof(english[0]); i++)
        if (strstr((char *)text, english[i]))
            check_failed(__FILE__, __LINE__, "left in English: %s", (char *)text);
    free(text);
    sv_buf_free(&out);
}
static inline void bound_free(struct bound *b)
{
    sv_arena_free(b->arena);
}

#endif
