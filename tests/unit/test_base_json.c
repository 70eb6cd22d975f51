#include <json-c/json.h>

#include "check.h"
#include "starvirt/id.h"
#include "starvirt/text.h"

static void expect_str(const char *v, const char *want)
{
    struct sv_buf out = {0};
    struct sv_json j;
    sv_json_init(&j, &out);
    sv_json_str(&j, NULL, v);
    CHECK_STR(out.p, want);
    sv_buf_free(&out);
}

static void shapes(void)
{
    struct sv_buf out = {0};
    struct sv_json j;
    sv_json_init(&j, &out);
    sv_json_obj(&j, NULL);
    sv_json_str(&j, "result", "0");
    sv_json_arr(&j, "data");
    sv_json_obj(&j, NULL);
    sv_json_intstr(&j, "vm.cpunum", -5);
    sv_json_boolstr(&j, "on", true);
    sv_json_end_obj(&j);
    sv_json_obj(&j, NULL);
    sv_json_end_obj(&j);
    sv_json_str(&j, NULL, NULL);
    sv_json_int(&j, NULL, INT64_MIN);
    sv_json_end_arr(&j);
    sv_json_arr(&j, "empty");
    sv_json_end_arr(&j);
    sv_json_bool(&j, "t", true);
    sv_json_bool(&j, "f", false);
    sv_json_boolstr(&j, "fs", false);
    sv_json_int(&j, "dataCount", 1);
    sv_json_strn(&j, "n", "abcdef", 3);
    sv_json_end_obj(&j);
    CHECK_STR(out.p, "{\"result\":\"0\",\"data\":[{\"vm.cpunum\":\"-5\",\"on\":\"true\"},{},\"\","
                     "-9223372036854775808],\"empty\":[],\"t\":true,\"f\":false,\"fs\":\"false\",\"dataCount\":1,"
                     "\"n\":\"abc\"}");
    CHECK_INT(j.depth, 0);
    sv_buf_free(&out);
}

static void escapes(void)
{
    expect_str("", "\"\"");
    expect_str("plain a/b", "\"plain a/b\"");
    expect_str("\"\\", "\"\\\"\\\\\"");
    expect_str("\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"");
    expect_str("\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\"");
    expect_str("云主机😀é", "\"云主机😀é\"");
}

static void bad_utf8(void)
{
    expect_str("a\xFFz", "\"a\xEF\xBF\xBDz\"");
    expect_str("\xC0\xAF", "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");                 /* overlong '/' */
    expect_str("\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""); /* surrogate */
    expect_str("\xF4\x90\x80\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
    expect_str("\xE4\xBA", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""); /* cut short */
    struct sv_buf out = {0};
    struct sv_json j;
    sv_json_init(&j, &out);
    sv_json_strn(&j, NULL, "a\0b", 3);
    CHECK_STR(out.p, "\"a\\u0000b\"");
    sv_buf_free(&out);
}

/* Random bytes, weighted to what hurts: the output parses, and valid input comes back the same. */
static void any_bytes(void)
{
    static const char *const pieces[] = {"\"", "\\", "\n",   "\x01",     "a",    "zz",
                                         "云", "😀",  "\xFF", "\xE4\xBA", "\x80", "/"};
    for (int round = 0; round < 3000; round++) {
        struct sv_buf in = {0}, out = {0};
        struct sv_json j;
        unsigned char r[40];
        sv_random(r, sizeof(r));
        sv_buf_puts(&in, "");
        for (unsigned i = 0; i < r[0] % 30u; i++)
            sv_buf_puts(&in, pieces[r[i + 1] % (sizeof(pieces) / sizeof(pieces[0]))]);
        sv_json_init(&j, &out);
        sv_json_obj(&j, NULL);
        sv_json_strn(&j, in.p, in.p, in.n);
        sv_json_end_obj(&j);
        CHECK(sv_utf8_valid(out.p, out.n));
        struct json_tokener *t = json_tokener_new();
        json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        struct json_object *o = json_tokener_parse_ex(t, out.p, (int)out.n + 1), *v = NULL;
        CHECK_INT(json_tokener_get_error(t), json_tokener_success);
        if (sv_utf8_valid(in.p, in.n)) {
            CHECK(json_object_object_get_ex(o, in.p, &v));
            CHECK_STR(json_object_get_string(v), in.p);
        }
        json_object_put(o);
        json_tokener_free(t);
        sv_buf_free(&in);
        sv_buf_free(&out);
    }
}

static void deepest(void)
{
    struct sv_buf out = {0};
    struct sv_json j;
    sv_json_init(&j, &out);
    for (int i = 0; i < 63; i++)
        sv_json_arr(&j, NULL);
    sv_json_int(&j, NULL, 1);
    sv_json_int(&j, NULL, 2);
    for (int i = 0; i < 63; i++)
        sv_json_end_arr(&j);
    CHECK_INT(out.n, 63 * 2 + 3);
    CHECK(strstr(out.p, "[1,2]"));
    sv_buf_free(&out);
}

CHECK_MAIN(T(shapes), T(escapes), T(bad_utf8), T(any_bytes), T(deepest))
