#include "api_fixture.h"

#include "starvirt/clock.h"

static char *decode(struct sv_buf *out)
{
    size_t n, bad;
    unsigned char *text = sv_alloc(out->n + 1);
    CHECK(memchr(out->p, '\n', out->n) == NULL);
    CHECK(sv_b64_decode(out->p, out->n, text, &n, &bad));
    sv_buf_free(out);
    return (char *)text;
}

struct made {
    struct sv_reply r;
    struct sv_route route;
    struct sv_buf json, out;
};

static struct made *start(void)
{
    struct made *m = sv_alloc(sizeof(*m));
    sv_reply_begin(&m->r, &sv_wire_starvcenter, &m->route, NULL, &m->json);
    return m;
}

static void finish(struct made *m, const struct sv_route *route, const char *want)
{
    m->route = *route;
    sv_reply_close(&m->r);
    sv_reply_finish(&m->r, &m->json, &m->out);
    char *got = decode(&m->out);
    CHECK_STR(got, want);
    free(got);
    sv_buf_free(&m->json);
    free(m);
}

static const struct sv_reply_row some[] = {SV_TEXT("a"), {0}};

static void nothing_written(void)
{
    finish(start(), &(struct sv_route){.data = SV_DATA_NONE}, "{\"result\":\"0\",\"data\":\"\"}");
    finish(start(), &(struct sv_route){.data = SV_DATA_LIST, .fields = some}, "{\"result\":\"0\",\"data\":[]}");
    finish(start(), &(struct sv_route){.data = SV_DATA_LIST}, "{\"result\":\"0\",\"data\":[]}");
    finish(start(), &(struct sv_route){.data = SV_DATA_OBJ}, "{\"result\":\"0\",\"data\":{}}");
    finish(start(), &(struct sv_route){.data = SV_DATA_OBJ, .fields = some}, "{\"result\":\"0\",\"data\":\"\"}");
}

static void object_of_every_value(void)
{
    struct made *m = start();
    struct sv_id id = {.s = "01900000-0000-7000-8000-000000000001"};
    int64_t when;
    CHECK(sv_time_parse("2030-01-31 12:34:56", &when));
    sv_reply_obj(&m->r);
    sv_put_str(&m->r, "str", "云\"<\n");
    sv_put_str(&m->r, "null", NULL);
    sv_put_id(&m->r, "id", &id);
    sv_put_id(&m->r, "noid", &(struct sv_id){0});
    sv_put_int(&m->r, "int", INT64_MIN);
    sv_put_num(&m->r, "num", -5);
    sv_put_bool(&m->r, "yes", true);
    sv_put_bool(&m->r, "no", false);
    sv_put_time(&m->r, "time", when);
    sv_put_time(&m->r, "never", 0);
    sv_put_ip(&m->r, "ip", 0x0a800001);
    sv_put_ip(&m->r, "noip", 0);
    sv_reply_end_obj(&m->r);
    finish(m, &(struct sv_route){.data = SV_DATA_OBJ},
           "{\"result\":\"0\",\"data\":{\"str\":\"云\\\"<\\n\",\"null\":\"\",\"id\":"
           "\"01900000-0000-7000-8000-000000000001\",\"noid\":\"\",\"int\":\"-9223372036854775808\",\"num\":-5,"
           "\"yes\":\"true\",\"no\":\"false\",\"time\":\"2030-01-31 12:34:56\",\"never\":\"\",\"ip\":\"10.128.0.1\","
           "\"noip\":\"\"}}");
}

static void list_with_count(void)
{
    struct made *m = start();
    sv_reply_list(&m->r);
    for (int i = 0; i < 2; i++) {
        sv_reply_obj(&m->r);
        sv_put_int(&m->r, "n", i);
        sv_reply_list_in(&m->r, "model");
        sv_reply_obj(&m->r);
        sv_put_str(&m->r, "value", "v");
        sv_reply_end_obj(&m->r);
        sv_reply_end_list(&m->r);
        sv_reply_end_obj(&m->r);
    }
    sv_reply_end_list(&m->r);
    m->r.has_count = true;
    m->r.count = 71;
    finish(m, &(struct sv_route){.data = SV_DATA_LIST},
           "{\"result\":\"0\",\"data\":[{\"n\":\"0\",\"model\":[{\"value\":\"v\"}]},{\"n\":\"1\",\"model\":[{\"value\":"
           "\"v\"}]}],\"dataCount\":71}");
}

static void list_of_none(void)
{
    struct made *m = start();
    sv_reply_list(&m->r);
    sv_reply_end_list(&m->r);
    m->r.has_count = true;
    finish(m, &(struct sv_route){.data = SV_DATA_LIST}, "{\"result\":\"0\",\"data\":[],\"dataCount\":0}");
}

static void startid_of_async_kinds_only(void)
{
    struct made *m = start();
    m->r.startid = (struct sv_id){.s = "01900000-0000-7000-8000-000000000001"};
    finish(m, &(struct sv_route){.kind = SV_ASYNC},
           "{\"result\":\"0\",\"data\":\"\",\"startid\":\"01900000-0000-7000-8000-000000000001\"}");
    m = start();
    m->r.startid = (struct sv_id){.s = "01900000-0000-7000-8000-000000000001"};
    finish(m, &(struct sv_route){.kind = SV_SYNC}, "{\"result\":\"0\",\"data\":\"\"}");
    finish(start(), &(struct sv_route){.kind = SV_ASYNC}, "{\"result\":\"0\",\"data\":\"\"}");
}

/* --- failures --------------------------------------------------------------------------------------- */

static void fails_as(const struct sv_error *e, const struct sv_route *route, enum sv_lang lang, const char *want)
{
    struct sv_buf out = {0};
    sv_reply_failure(&sv_wire_starvcenter, e, route, NULL, lang, &out);
    char *got = decode(&out);
    CHECK_STR(got, want);
    free(got);
}

static void failures(void)
{
    struct sv_error e;
    sv_fail(&e, SV_E_PARAM_MISSING, SV_F_NONE);
    SV_COPY(e.wire, "vm.id");
    fails_as(&e, NULL, SV_LANG_ZH,
             "{\"result\":\"1\",\"resultinfo\":\"缺少必需参数 vm.id\",\"error\":{\"code\":\"PARAM_MISSING\",\"field\":"
             "\"vm.id\",\"retry\":\"no\"}}");
    fails_as(&e, NULL, SV_LANG_EN,
             "{\"result\":\"1\",\"resultinfo\":\"the required parameter vm.id is missing\",\"error\":{\"code\":"
             "\"PARAM_MISSING\",\"field\":\"vm.id\",\"retry\":\"no\"}}");
    sv_fail(&e, SV_E_SHUTTING_DOWN, SV_F_NONE);
    fails_as(&e, NULL, SV_LANG_EN,
             "{\"result\":\"1\",\"resultinfo\":\"the server is stopping\",\"error\":{\"code\":\"SHUTTING_DOWN\","
             "\"retry\":\"safe\"}}");
}

/* The core names its own field; the route's rows turn it into the wire key, also one of the path. */
static void core_fields_become_wire_keys(void)
{
    struct sv_error e;
    sv_fail(&e, SV_E_VM_NOT_FOUND, SV_F_VM);
    fails_as(&e, &fixture_routes[0], SV_LANG_EN,
             "{\"result\":\"1\",\"resultinfo\":\"no such VM: vm.id\",\"error\":{\"code\":\"VM_NOT_FOUND\",\"field\":"
             "\"vm.id\",\"retry\":\"no\"}}");
    fails_as(&e, &fixture_routes[1], SV_LANG_EN,
             "{\"result\":\"1\",\"resultinfo\":\"no such VM: vmId\",\"error\":{\"code\":\"VM_NOT_FOUND\",\"field\":"
             "\"vmId\",\"retry\":\"no\"}}");
    sv_fail(&e, SV_E_VM_LOCKED, SV_F_DISK, "job-1");
    fails_as(&e, &fixture_routes[0], SV_LANG_EN,
             "{\"result\":\"1\",\"resultinfo\":\"the VM is locked by job job-1\",\"error\":{\"code\":\"VM_LOCKED\","
             "\"retry\":\"safe\"}}");
}

static void token_faults_are_1003(void)
{
    for (unsigned c = SV_OK + 1; c < SV_ERR_COUNT; c++) {
        struct sv_buf out = {0};
        struct sv_error e = {.code = (enum sv_err)c};
        sv_reply_failure(&sv_wire_starvcenter, &e, NULL, NULL, SV_LANG_EN, &out);
        char *got = decode(&out);
        bool token =
            c == SV_E_TOKEN_MISSING || c == SV_E_TOKEN_INVALID || c == SV_E_TOKEN_EXPIRED || c == SV_E_TOKEN_ENDED;
        CHECK(strncmp(got, token ? "{\"result\":\"1003\"," : "{\"result\":\"1\",", token ? 17 : 14) == 0);
        free(got);
    }
}

static void hostile_arguments(void)
{
    struct sv_error e;
    sv_fail(&e, SV_E_NOT_FOUND, SV_F_NONE, "\"}\n\xff</script>");
    fails_as(&e, NULL, SV_LANG_EN,
             "{\"result\":\"1\",\"resultinfo\":\"no such path: \\\"}\\n\xef\xbf\xbd</script>\",\"error\":{\"code\":"
             "\"NOT_FOUND\",\"retry\":\"no\"}}");
}

static void http_status(void)
{
    static const struct {
        enum sv_err code;
        int status;
    } faults[] = {{SV_E_BAD_REQUEST, 400},    {SV_E_NOT_FOUND, 404},  {SV_E_METHOD_NOT_ALLOWED, 405},
                  {SV_E_BODY_TOO_LARGE, 413}, {SV_E_MEDIA_TYPE, 415}, {SV_E_TOO_MANY_REQUESTS, 429},
                  {SV_E_OVERLOADED, 503},     {SV_E_SHARE_USED, 429}, {SV_E_SHUTTING_DOWN, 503},
                  {SV_E_NO_ROOM, 507},        {SV_E_DISK_FULL, 507},  {SV_E_DB_IO, 503}};
    for (unsigned c = SV_OK; c < SV_ERR_COUNT; c++) {
        int want = 200;
        for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
            if (faults[i].code == (enum sv_err)c)
                want = faults[i].status;
        CHECK_INT(sv_wire_status(&sv_wire_starvcenter, (enum sv_err)c), want);
    }
}

CHECK_MAIN(T(nothing_written), T(object_of_every_value), T(list_with_count), T(list_of_none),
           T(startid_of_async_kinds_only), T(failures), T(core_fields_become_wire_keys), T(token_faults_are_1003),
           T(hostile_arguments), T(http_status))
