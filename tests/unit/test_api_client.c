#include "api_fixture.h"

static void round_trip(void)
{
    static const char *const pairs[] = {
        "vm.name=云 a=b+c/", "vm.num=4", "vm.on=true", "list=a,b", "ip=", "zz=1", "vm.desc"};
    struct sv_buf body = {0};
    sv_client_body(&sv_wire_starvcenter, &fixture_routes[0], pairs, sizeof(pairs) / sizeof(pairs[0]), &body);
    CHECK(strncmp(body.p, "KEY_PARAM=", 10) == 0);
    CHECK(strcspn(body.p + 10, "+/= \n") == body.n - 10);
    struct sv_input in = {"application/x-www-form-urlencoded", body.p, body.n, NULL};
    struct bound b = bind_to(0, &in);
    CHECK_INT(b.code, SV_OK);
    const struct all_in *got = b.in;
    CHECK_STR(got->name, "云 a=b+c/");
    CHECK_INT(got->num.v, 4);
    CHECK(got->on.v);
    CHECK_INT(got->list.n, 2);
    CHECK_STR(got->list.v[1], "b");
    CHECK(got->ip == NULL && got->desc == NULL);
    CHECK_STR(b.unknown, "zz");
    bound_free(&b);
    sv_buf_free(&body);
}

static void nothing_to_say(void)
{
    static const char *const pairs[] = {"vmId=1", "since=2"};
    struct sv_buf body = {0};
    sv_client_body(&sv_wire_starvcenter, &fixture_routes[1], pairs, 2, &body); /* both belong into the URL */
    CHECK_STR(body.p, "KEY_PARAM=e30%3D");
    sv_buf_free(&body);
}

static bool reply_of(const char *json, bool pretty, struct sv_buf *out, bool *ret_ok)
{
    struct sv_buf base64 = {0};
    sv_b64_encode(&base64, json, strlen(json));
    bool ok = sv_client_reply(&sv_wire_starvcenter, 200, base64.p, base64.n, pretty, out, ret_ok);
    sv_buf_free(&base64);
    return ok;
}

static void replies(void)
{
    struct sv_buf out = {0};
    bool ok = false;
    CHECK(reply_of("{\"result\":\"0\",\"data\":[{\"url\":\"a/b\"}],\"dataCount\":5}", false, &out, &ok));
    CHECK(ok);
    CHECK_STR(out.p, "{\"result\":\"0\",\"data\":[{\"url\":\"a/b\"}],\"dataCount\":5}");
    sv_buf_free(&out);
    CHECK(reply_of("{\"result\":\"1003\"}", true, &out, &ok));
    CHECK(!ok);
    CHECK(strchr(out.p, '\n'));
    sv_buf_free(&out);
}

static void no_replies(void)
{
    static const char *const bad[] = {"", "[]", "{}", "{\"result\":\"0\"", "\"0\"", "null"};
    struct sv_buf out = {0};
    bool ok = false;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!reply_of(bad[i], false, &out, &ok));
    CHECK(!sv_client_reply(&sv_wire_starvcenter, 200, "<html>", 6, false, &out, &ok));
    CHECK(!sv_client_reply(&sv_wire_starvcenter, 200, "", 0, false, &out, &ok));
    CHECK(!ok);
    CHECK_INT(out.n, 0);
}

CHECK_MAIN(T(round_trip), T(nothing_to_say), T(replies), T(no_replies))
