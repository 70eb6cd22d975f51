/* The toy dialect through the toolkit's entry points: what a wire other than StarVCenter's comes to. */
#include "check.h"

#include "starvirt/dialects.h"
#include "starvirt/limits.h"
#include "tests/toy/toy.h"

static const struct sv_dialect *const dialects[] = {&sv_dialect_starvcenter, &toy_dialect, NULL};
static struct sv_api *api;
static struct sv_arena *a;

static void setup(void)
{
    struct sv_error err = {0};
    sv_arena_free(a);
    a = sv_arena_new();
    if (!api && sv_api_new(dialects, &api, &err) != SV_OK)
        check_failed(__FILE__, __LINE__, "sv_api_new: %s", err.arg[0]);
}

struct done {
    enum sv_err code;
    int status;
    struct sv_error err;
    struct sv_match m;
    struct sv_reply reply;
    struct sv_buf body;
    const char *unknown;
    struct sv_buf found; /* of sv_reply_check() */
};

/* A request as the server takes it. */
static struct done ask(const char *method, const char *path, const char *query, const char *body)
{
    struct done d = {0};
    struct sv_buf json SV_CLEANUP(sv_buf_free) = {0};
    const struct sv_input in = {"application/json; charset=utf-8", body, body ? strlen(body) : 0, query};
    const struct sv_unknown *unknown = NULL;
    void *input = NULL;
    setup();
    d.code = sv_api_match(api, &toy_dialect, method, path, &d.m, &d.err);
    if (d.code == SV_OK)
        d.code = sv_api_choose(&d.m, &in, a, &d.err);
    if (d.code == SV_OK)
        d.code = sv_api_bind(&d.m, &in, a, &input, &unknown, &d.err);
    d.unknown = unknown ? unknown->list : NULL;
    if (d.code == SV_OK) {
        struct sv_call c = {.route = d.m.route, .arena = a, .err = &d.err};
        sv_reply_begin(&d.reply, &toy_wire, d.m.route, a, &json);
        d.code = d.m.route->handler(&c, input, &d.reply);
    }
    if (d.code != SV_OK) {
        sv_reply_failure(&toy_wire, &d.err, d.m.route, NULL, SV_LANG_EN, &d.body);
        d.status = sv_wire_status(&toy_wire, d.code);
        return d;
    }
    sv_reply_close(&d.reply);
    sv_reply_check(&d.reply, &json, &d.found);
    sv_reply_finish(&d.reply, &json, &d.body);
    d.status = sv_reply_status(&d.reply);
    return d;
}

static void expect(struct done *d, int status, const char *body)
{
    CHECK_STR(d->body.p ? d->body.p : "", body);
    CHECK_INT(d->status, status);
    sv_buf_free(&d->body);
    sv_buf_free(&d->found);
}

/* --- requests -------------------------------------------------------------------------------------- */

static void nested_objects_in_and_out(void)
{
    struct done d = ask("PATCH", "/boxes/b 1/things/t2", NULL,
                        "{\"name\":\"n\",\"size\":5,\"on\":true,\"tags\":[\"x\",\"y\"],\"place\":{\"x\":1,\"y\":-2},"
                        "\"parts\":[{\"id\":\"p\",\"weight\":3},{\"id\":\"q\",\"colour\":1}],\"shape\":{}}");
    CHECK_STR(d.unknown, "shape,parts[1].colour");
    CHECK(!d.found.p);
    expect(&d, 200,
           "{\"id\":\"t2\",\"box\":\"b "
           "1\",\"name\":\"n\",\"size\":5,\"on\":true,\"made\":\"2026-01-02T03:04:05Z\",\"tags\":["
           "\"x\",\"y\"],\"place\":{\"x\":1,\"y\":-2},\"parts\":[{\"id\":\"p\",\"weight\":3},{\"id\":\"q\",\"weight\":"
           "0}]}");
}

static void absent_is_null_or_left_out(void)
{
    struct done d = ask("PATCH", "/boxes/b/things/t", NULL, "{\"place\":null,\"parts\":[],\"name\":null}");
    CHECK(!d.unknown && !d.found.p);
    expect(&d, 200,
           "{\"id\":\"t\",\"box\":\"b\",\"name\":\"\",\"size\":0,\"on\":false,\"made\":null,\"tags\":[],\"parts\":[]}");
}

struct bad_case {
    const char *body;
    enum sv_err code;
    const char *wire;
};
static void faults_name_the_place(void)
{
    static const struct bad_case cases[] = {
        {"{\"size\":\"5\"}", SV_E_PARAM_TYPE, "size"}, /* this wire is strict about types */
        {"{\"on\":\"true\"}", SV_E_PARAM_TYPE, "on"},
        {"{\"name\":5}", SV_E_PARAM_TYPE, "name"},
        {"{\"place\":[]}", SV_E_PARAM_TYPE, "place"},
        {"{\"place\":{}}", SV_E_PARAM_MISSING, "place.x"},
        {"{\"place\":{\"x\":\"1\"}}", SV_E_PARAM_TYPE, "place.x"},
        {"{\"parts\":{}}", SV_E_PARAM_TYPE, "parts"},
        {"{\"parts\":[1]}", SV_E_PARAM_TYPE, "parts"},
        {"{\"parts\":[{\"id\":\"a\"},{}]}", SV_E_PARAM_MISSING, "parts[1].id"},
        {"{\"parts\":[{\"id\":\"a\",\"weight\":11}]}", SV_E_PARAM_RANGE, "parts[0].weight"},
        {"{\"parts\":[{\"id\":\"a\"},{\"id\":\"a\"},{\"id\":\"a\"},{\"id\":\"a\"}]}", SV_E_PARAM_RANGE, "parts"},
        {"{\"size\":99999999999999999999}", SV_E_PARAM_RANGE, "size"},
        {"[]", SV_E_BAD_JSON, ""},
        {"{\"size\":5,}", SV_E_BAD_JSON, ""},
        {"{\"name*\":\"x\",\"name*\":\"y\"}", SV_E_BAD_JSON, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct done d = ask("PATCH", "/boxes/b/things/t", NULL, cases[i].body);
        if (d.code != cases[i].code || strcmp(d.err.wire, cases[i].wire) != 0)
            check_failed(__FILE__, __LINE__, "%s gave %s at %s", cases[i].body, sv_err_symbol(d.code), d.err.wire);
        sv_buf_free(&d.body);
    }
    struct done d = ask("PATCH", "/boxes/b/things/t", NULL, "{\"name*\":\"x\"}"); /* no stars in this wire */
    CHECK_STR(d.unknown, "name*");
    sv_buf_free(&d.body);
}

static void media_types(void)
{
    static const struct {
        const char *type;
        enum sv_err code;
    } cases[] = {{NULL, SV_OK},
                 {"application/json", SV_OK},
                 {"APPLICATION/JSON;x=y", SV_OK},
                 {"text/plain", SV_E_MEDIA_TYPE},
                 {"application/jsonp", SV_E_MEDIA_TYPE},
                 {"application/x-www-form-urlencoded", SV_E_MEDIA_TYPE}};
    setup();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct sv_input in = {cases[i].type, "{}", 2, NULL};
        struct sv_slice json;
        CHECK_INT(sv_json_read(&in, a, &json, NULL), cases[i].code);
    }
    const struct sv_input null = {"application/json", "null", 4, NULL}, none = {"text/plain", NULL, 0, NULL};
    struct sv_slice json;
    CHECK_INT(sv_json_read(&null, a, &json, NULL), SV_OK);
    CHECK(!json.p);
    CHECK_INT(sv_json_read(&none, a, &json, NULL), SV_OK);
    CHECK(!json.p);
}

static void the_body_tells_the_operation(void)
{
    struct done d = ask("POST", "/boxes/b/things/t/action", NULL, "{\"start\":null}");
    expect(&d, 202, "{\"did\":\"start\",\"force\":false}");
    d = ask("POST", "/boxes/b/things/t/action", NULL, "{\"stop\":{\"force\":true}}");
    expect(&d, 202, "{\"did\":\"stop\",\"force\":true}");
    d = ask("POST", "/boxes/b/things/t/action", NULL, "{\"stop\":{}}");
    CHECK_STR(d.err.wire, "force");
    expect(
        &d, 400,
        "{\"error\":{\"code\":400,\"word\":\"PARAM_MISSING\",\"message\":\"the required parameter force is missing\","
        "\"field\":\"force\"}}");
    d = ask("POST", "/boxes/b/things/t/action", NULL, "{\"stop\":5}");
    CHECK_INT(d.code, SV_E_PARAM_TYPE);
    sv_buf_free(&d.body);
    d = ask("POST", "/boxes/b/things/t/action", NULL, "{\"jump\":{},\"high\":1}");
    expect(&d, 400,
           "{\"error\":{\"code\":400,\"word\":\"UNKNOWN_OPERATION\",\"message\":\"no such operation: jump, high\"}}");
    d = ask("POST", "/", NULL, "{\"handler\":\"Thing\",\"command\":\"add\",\"data\":{\"name\":\"n\"}}");
    CHECK(!d.unknown);
    expect(&d, 200, "{\"did\":\"add\",\"name\":\"n\"}");
    d = ask("POST", "/", NULL, "{\"handler\":\"Thing\",\"command\":\"fly\"}");
    expect(&d, 400,
           "{\"error\":{\"code\":400,\"word\":\"UNKNOWN_OPERATION\",\"message\":\"no such operation: handler=Thing, "
           "command=fly\"}}");
    d = ask("POST", "/", NULL, "{\"handler\":\"Thing\"}");
    CHECK_INT(d.code, SV_E_PARAM_MISSING);
    CHECK_STR(d.err.wire, "command");
    sv_buf_free(&d.body);
    d = ask("POST", "/", NULL, NULL);
    CHECK_INT(d.code, SV_E_PARAM_MISSING);
    sv_buf_free(&d.body);
    d = ask("POST", "/", NULL, "{");
    CHECK_INT(d.code, SV_E_BAD_JSON);
    sv_buf_free(&d.body);
}

/* --- replies --------------------------------------------------------------------------------------- */

static void statuses_and_headers(void)
{
    struct done d = ask("POST", "/boxes/b/things", NULL, "{\"thing\":{\"name\":\"n\"}}");
    CHECK_INT(d.reply.headers, 1);
    CHECK_STR(d.reply.header[0].name, "Location");
    CHECK(strncmp(d.reply.header[0].value, "/boxes/b/things/0", 17) == 0);
    CHECK(strncmp(d.body.p, "{\"thing\":{\"id\":\"0", 16) == 0);
    CHECK_INT(d.status, 201);
    CHECK(!d.found.p);
    sv_buf_free(&d.body);
    d = ask("DELETE", "/boxes/b/things/t", NULL, NULL);
    expect(&d, 204, "");
    d = ask("GET", "/boxes/b/things/none", NULL, NULL);
    expect(
        &d, 404,
        "{\"error\":{\"code\":404,\"word\":\"VM_NOT_FOUND\",\"message\":\"no such VM: thing\",\"field\":\"thing\"}}");
}

static void headers_cannot_be_split(void)
{
    struct sv_buf json = {0};
    struct sv_reply r;
    setup();
    sv_reply_begin(&r, &toy_wire, toy_dialect.tables[0]->routes, a, &json);
    for (int i = 0; i < SV_MAX_REPLY_HEADERS + 1; i++)
        sv_reply_header(&r, "Location", "/a\r\nSet-Cookie: b");
    CHECK_INT(r.headers, SV_MAX_REPLY_HEADERS);
    CHECK_STR(r.header[0].value, "/a  Set-Cookie: b");
    sv_buf_free(&json);
}

static void marker_paging(void)
{
    unsigned seen = 0;
    char query[64] = "";
    for (int page = 0; page < 3; page++) {
        struct done d = ask("GET", "/boxes/b/things", query[0] ? query : NULL, NULL);
        CHECK_INT(d.status, 200);
        CHECK(!d.found.p);
        for (const char *p = d.body.p; (p = strstr(p, "\"id\":")); p++)
            seen++;
        const char *next = strstr(d.body.p, "\"next\":\"");
        CHECK((next != NULL) == (page < 2));
        if (next)
            snprintf(query, sizeof(query), "marker=%.*s", (int)strcspn(next + 8, "\""), next + 8);
        sv_buf_free(&d.body);
    }
    CHECK_INT(seen, TOY_THINGS);
}

static void windows(void)
{
    const struct sv_page_in none = {0}, third = {.at = {3, true}, .size = {10, true}}, sized = {.size = {10, true}};
    struct sv_window w = sv_page_by_number(&none, 1, 30);
    CHECK(w.offset == 0 && w.limit == 0);
    w = sv_page_by_number(&third, 1, 30);
    CHECK(w.offset == 20 && w.limit == 10);
    w = sv_page_by_number(&third, 0, 30);
    CHECK(w.offset == 30 && w.limit == 10);
    w = sv_page_by_number(&sized, 0, 30);
    CHECK(w.offset == 0 && w.limit == 10);
    w = sv_page_by_offset(&third, 30);
    CHECK(w.offset == 3 && w.limit == 10);
    w = sv_page_by_offset(&none, 30);
    CHECK(w.offset == 0 && w.limit == 30);
}

static void wrong_rows_are_found(void)
{
    struct done d = ask("POST", "/", NULL, "{\"handler\":\"Thing\",\"command\":\"drop\",\"data\":{\"name\":\"n\"}}");
    CHECK_STR(d.found.p, "data.never: missing\n");
    sv_buf_free(&d.found);
    sv_buf_free(&d.body);
}

static const struct sv_reply_row check_inner[] = {SV_INT("n"), {0}};
static const struct sv_route check_route = {
    .data = SV_DATA_OBJ,
    SV_FIELDS(SV_TEXT("s"), SV_BOOL("b", .flags = SV_O_OPTIONAL), SV_OBJS("l", check_inner), SV_TEXTS("t"))};
/* Each way of being wrong. */
static void check_by_row(void)
{
    static const struct {
        const char *json, *found;
    } cases[] = {
        {"{\"s\":\"\",\"l\":[{\"n\":1}],\"t\":[\"x\"],\"b\":null}", NULL},
        {"{\"s\":5,\"l\":[],\"t\":[],\"x\":1}", "data.s: int\ndata.x: no such row\n"},
        {"{\"s\":\"\",\"l\":[{\"n\":\"1\"},{},3],\"t\":[]}",
         "data.l[0].n: string\ndata.l[1].n: missing\ndata.l[2]: no object\n"},
        {"{\"s\":\"\",\"l\":{},\"t\":[1],\"b\":\"true\"}",
         "data.l: object\ndata.t: an element is no string\ndata.b: string\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sv_buf json = {0}, found = {0};
        const struct sv_reply r = {.wire = &toy_wire, .route = &check_route};
        sv_buf_puts(&json, cases[i].json);
        CHECK_INT(sv_reply_check(&r, &json, &found), cases[i].found == NULL);
        CHECK_STR(found.p, cases[i].found);
        sv_buf_free(&json);
        sv_buf_free(&found);
    }
}

/* What was opened is closed, whether it is sent or not. */
static void streams(void)
{
    char buf[64];
    struct done d = ask("GET", "/boxes/b/things/t/file", "how=stream", NULL);
    CHECK(d.reply.streams && d.reply.stream.size == TOY_FILE && !d.body.p && !d.found.p);
    CHECK_INT(d.reply.stream.read(d.reply.stream.arg, 25, buf, 3), 3);
    CHECK(memcmp(buf, "zab", 3) == 0);
    CHECK_INT(d.reply.stream.read(d.reply.stream.arg, TOY_FILE - 1, buf, sizeof(buf)), 1);
    CHECK_INT(d.reply.stream.read(d.reply.stream.arg, TOY_FILE, buf, sizeof(buf)), 0);
    sv_reply_drop(&d.reply);
    CHECK(!d.reply.streams);
    d = ask("GET", "/boxes/b/things/t/file", NULL, NULL);
    CHECK(d.reply.streams && !d.reply.stream.read && d.reply.stream.fd >= 0);
    sv_reply_drop(&d.reply);
    d = ask("GET", "/boxes/b/things/t/file", "how=refused", NULL);
    CHECK_INT(d.code, SV_E_VM_NOT_FOUND);
    sv_reply_drop(&d.reply);
    sv_buf_free(&d.body);
}

/* --- routing and descriptions ---------------------------------------------------------------------- */

static void listeners_are_apart(void)
{
    struct sv_match m;
    setup();
    CHECK_INT(sv_api_match(api, NULL, "GET", "/versions", &m, NULL), SV_E_NOT_FOUND);
    CHECK(sv_api_wire(api, NULL, &m) == sv_dialect_starvcenter.wire);
    CHECK_INT(sv_api_match(api, &toy_dialect, "GET", "/versions", &m, NULL), SV_OK);
    CHECK_INT(sv_api_match(api, &toy_dialect, "GET", "/starvcenter/services/cloudresource/cloudvm/x", &m, NULL),
              SV_E_NOT_FOUND);
    CHECK(sv_api_wire(api, &toy_dialect, &m) == &toy_wire);
    CHECK_INT(sv_api_match(api, &toy_dialect, "OPTIONS", "/boxes/b/things/t", &m, NULL), SV_OK);
    CHECK_STR(m.allow, "GET, DELETE, PATCH, HEAD, OPTIONS");
    CHECK_INT(sv_api_match(api, &toy_dialect, "GET", "/boxes/b/ things", &m, NULL), SV_E_NOT_FOUND); /* strict */
    static const char *const headers[] = {"KEY_TOKEN", "X-Toy-Token", "Authorization"};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        CHECK_STR(sv_api_token_headers(api)[i], headers[i]);
}

static void described_apart(void)
{
    struct sv_buf toy = {0}, star = {0}, html = {0}, wadl = {0};
    setup();
    sv_describe_openapi(api, &toy_dialect, &toy);
    sv_describe_openapi(api, &sv_dialect_starvcenter, &star);
    sv_describe_html(api, &toy_dialect, SV_LANG_EN, &html);
    sv_describe_wadl(api, &toy_dialect, &wadl);
    CHECK(!strstr(toy.p, "KEY_PARAM") && !strstr(toy.p, "base64") && !strstr(star.p, "/boxes"));
    CHECK(!strstr(html.p, "KEY_PARAM") && !strstr(wadl.p, "KEY_PARAM"));
    static const char *const parts[] = {
        "\"/boxes/{box}/things/{thing}\":{\"get\":{\"operationId\":\"toy_boxes_box_things_thing_get\"",
        "\"patch\":{",
        "\"201\":{",
        "\"202\":{",
        "\"204\":{\"description\":\"Success\"}",
        "\"oneOf\":[{\"type\":\"object\",\"properties\":{\"start\":{\"type\":\"object\"",
        "\"handler\":{\"const\":\"Thing\"},\"command\":{\"const\":\"add\"}",
        "\"parts\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"",
        "\"application/octet-stream\":{}",
        "\"X-Toy-Token\":{\"type\":\"apiKey\"",
        "\"security\":[],",
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (!strstr(toy.p, parts[i]))
            check_failed(__FILE__, __LINE__, "the description has no %s", parts[i]);
    sv_buf_free(&toy);
    sv_buf_free(&star);
    sv_buf_free(&html);
    sv_buf_free(&wadl);
}

/* --- the other side -------------------------------------------------------------------------------- */

static void client_side(void)
{
    const char *const pairs[] = {"box=b", "name=n", "size=5", "on=true", "place={\"x\":1}", "tags=a,b"};
    const struct sv_route *r = toy_dialect.tables[0]->routes;
    struct sv_buf body = {0}, out = {0};
    bool ok = false;
    sv_client_body(&toy_wire, &r[0], pairs, sizeof(pairs) / sizeof(pairs[0]), &body);
    CHECK_STR(body.p, "{\"thing\":{\"name\":\"n\",\"size\":5,\"on\":true,\"place\":{\"x\":1},\"tags\":[\"a\",\"b\"]}}");
    sv_buf_free(&body);
    sv_client_body(&toy_wire, &r[9], pairs + 1, 1, &body);
    CHECK_STR(body.p, "{\"handler\":\"Thing\",\"command\":\"add\",\"data\":{\"name\":\"n\"}}");
    sv_buf_free(&body);
    CHECK(sv_client_reply(&toy_wire, 201, "{\"a\":1}", 7, false, &out, &ok) && ok);
    CHECK_STR(out.p, "{\"a\":1}");
    sv_buf_free(&out);
    CHECK(sv_client_reply(&toy_wire, 404, "{\"a\":1}", 7, false, &out, &ok) && !ok);
    sv_buf_free(&out);
    CHECK(sv_client_reply(&toy_wire, 204, "", 0, false, &out, &ok) && ok);
    sv_buf_free(&out);
    CHECK(!sv_client_reply(&toy_wire, 200, "<html>", 6, false, &out, &ok));
    sv_arena_free(a);
    sv_api_free(api);
}

CHECK_MAIN(T(nested_objects_in_and_out), T(absent_is_null_or_left_out), T(faults_name_the_place), T(media_types),
           T(the_body_tells_the_operation), T(statuses_and_headers), T(headers_cannot_be_split), T(marker_paging),
           T(windows), T(wrong_rows_are_found), T(check_by_row), T(streams), T(listeners_are_apart), T(described_apart),
           T(client_side))
