#include "api_fixture.h"

/* What the strict reader refuses, through the whole way of a request. */

struct json_case {
    const char *json;
    enum sv_err code;
    const char *says;
};
static const struct json_case cases[] = {
    {"{\"vm.name\":\"x\"}", SV_OK, ""},
    {" \t\r\n{ \"vm.name\" : \"x\" } \r\n", SV_OK, ""},
    {"{\"vm.name\":\"x\",\"n\":null,\"t\":[true,false,null,-0,0.5,1e+9,1E-2],\"o\":{\"a\":{}}}", SV_OK, ""},
    {"{\"vm.name\":\"\\u4e91\\ud83d\\ude00\\n\\\\\\/\\\"\"}", SV_E_PARAM_CHARS, "U+000A"},
    /* not an object */
    {"[]", SV_E_BAD_JSON, "object expected"},
    {"null", SV_E_BAD_JSON, "object expected"},
    {"\"x\"", SV_E_BAD_JSON, "object expected"},
    {"\xef\xbb\xbf{}", SV_E_BAD_JSON, "object expected"},
    {"{\"vm.name\":\"x\"}{}", SV_E_BAD_JSON, "text after"},
    {"{\"vm.name\":\"x\"} x", SV_E_BAD_JSON, "text after"},
    {"{\"vm.name\":\"x\"", SV_E_BAD_JSON, "expected"},
    {"{", SV_E_BAD_JSON, "key in double quotes"},
    {"{\"a\":", SV_E_BAD_JSON, "unexpected end"},
    {"{\"a\" 1}", SV_E_BAD_JSON, "':'"},
    {"{\"a\":1 \"b\":2}", SV_E_BAD_JSON, "','"},
    {"{\"a\":[1 2]}", SV_E_BAD_JSON, "','"},
    /* what the dialect tolerates: full-width commas and colons, and a last comma; outside of strings */
    {"{\"vm.name\":\"x\",}", SV_OK, ""},
    {"{\"vm.name\":\"x\" , \r\n}", SV_OK, ""},
    {"{\"vm.name\"：\"x\"，\"a\" ： 1 ，\n}", SV_OK, ""},
    {"{\"vm.name\":\"x\",\"a\":[1，2,{\"b\"：3，}，],}", SV_OK, ""},
    {"{\"vm.name\":\"x\",,}", SV_E_BAD_JSON, "key in double quotes expected, found ',' (U+002C) at byte 16"},
    {"{\"vm.name\":\"x\"，，}", SV_E_BAD_JSON, "key in double quotes expected, found '，' (U+FF0C) at byte 18"},
    {"{\"a\":[1，，2]}", SV_E_BAD_JSON, "value expected, found '，' (U+FF0C) at byte 11"},
    {"{，}", SV_E_BAD_JSON, "key in double quotes expected, found '，' (U+FF0C) at byte 2"},
    {"{\"a\":[，]}", SV_E_BAD_JSON, "value expected, found '，' (U+FF0C) at byte 7"},
    {"{\"a\"：：1}", SV_E_BAD_JSON, "value expected, found '：' (U+FF1A) at byte 8"},
    {"{\"a\"；1}", SV_E_BAD_JSON, "':' expected, found '；' (U+FF1B) at byte 5"},
    {"{\"a\":1}，", SV_E_BAD_JSON, "text after the object, found '，' (U+FF0C) at byte 8"},
    {"{\"a\":1，", SV_E_BAD_JSON, "key in double quotes expected, found the end at byte 10"},
    {"{\"a\":1\xef\xbc", SV_E_BAD_JSON, "not UTF-8 at byte 7"},
    /* the character that stands there, and where */
    {"{\"vm.desc\":\"云主机\", “vm.name”:\"x\"}", SV_E_BAD_JSON,
     "key in double quotes expected, found '“' (U+201C) at byte 25"},
    {"{\"a\" 1}", SV_E_BAD_JSON, "':' expected, found '1' (U+0031) at byte 6"},
    {"{\"a\":1\xc2\xa0}", SV_E_BAD_JSON, "',' or '}' expected, found '\xc2\xa0' (U+00A0) at byte 7"},
    {"{\"a\":\"x\\q\"}", SV_E_BAD_JSON, "unknown escape, found 'q' (U+0071) at byte 9"},
    {"{\"a\":\"x\ny\"}", SV_E_BAD_JSON, "raw control character in a string, found U+000A at byte 8"},
    {"{\"a\":truf}", SV_E_BAD_JSON, "value expected, found 'f' (U+0066) at byte 9"},
    {"{\"a\":tru", SV_E_BAD_JSON, "value expected, found the end at byte 9"},
    {"{\"a\":1,\"a\":2}", SV_E_BAD_JSON, "duplicate key \"a\" at byte 8"},
    {"{\"a\":01}", SV_E_BAD_JSON, "leading zero at byte 6"},
    {"{\"a\":\"x\\ud800\"}", SV_E_BAD_JSON, "lone surrogate at byte 8"},
    {"\xef\xbb\xbf{}", SV_E_BAD_JSON, "object expected, found U+FEFF at byte 1"},
    {"{\"a\":😀}", SV_E_BAD_JSON, "value expected, found '😀' (U+1F600) at byte 6"},
    {"{,}", SV_E_BAD_JSON, "key in double quotes"},
    {"{\"a\":[}", SV_E_BAD_JSON, "value expected"},
    /* what other parsers take */
    {"{'vm.name':'x'}", SV_E_BAD_JSON, "double quotes"},
    {"{\"vm.name\":'x'}", SV_E_BAD_JSON, "value expected"},
    {"{vm:1}", SV_E_BAD_JSON, "double quotes"},
    {"{\"a\":NaN}", SV_E_BAD_JSON, "value expected"},
    {"{\"a\":Infinity}", SV_E_BAD_JSON, "value expected"},
    {"{\"a\":-Infinity}", SV_E_BAD_JSON, "value expected"},
    {"{\"a\":TRUE}", SV_E_BAD_JSON, "value expected"},
    {"{\"a\":nul}", SV_E_BAD_JSON, "value expected"},
    {"{\"a\":truex}", SV_E_BAD_JSON, "','"},
    {"{\"a\":/**/1}", SV_E_BAD_JSON, "value expected"},
    {"{\"a\":1}//x", SV_E_BAD_JSON, "text after"},
    {"{\"a\":01}", SV_E_BAD_JSON, "leading zero"},
    {"{\"a\":-01}", SV_E_BAD_JSON, "leading zero"},
    {"{\"a\":+1}", SV_E_BAD_JSON, "value expected"},
    {"{\"a\":.5}", SV_E_BAD_JSON, "value expected"},
    {"{\"a\":5.}", SV_E_BAD_JSON, "digit"},
    {"{\"a\":1e}", SV_E_BAD_JSON, "digit"},
    {"{\"a\":-}", SV_E_BAD_JSON, "value expected"},
    {"{\"a\":0x10}", SV_E_BAD_JSON, "','"},
    /* strings */
    {"{\"vm.name\":\"a\nb\"}", SV_E_BAD_JSON, "control character"},
    {"{\"vm.name\":\"a\\n\tb\"}", SV_E_BAD_JSON, "control character"},
    {"{\"vm.name\":\"\\u0000\"}", SV_E_BAD_JSON, "\\u0000"},
    {"{\"a\\u0000b\":1}", SV_E_BAD_JSON, "\\u0000"},
    {"{\"vm.name\":\"\\ud800\"}", SV_E_BAD_JSON, "surrogate"},
    {"{\"vm.name\":\"\\udc00\"}", SV_E_BAD_JSON, "surrogate"},
    {"{\"vm.name\":\"\\ud800\\u0041\"}", SV_E_BAD_JSON, "surrogate"},
    {"{\"vm.name\":\"\\ud800x\"}", SV_E_BAD_JSON, "surrogate"},
    {"{\"\\ud800\":1}", SV_E_BAD_JSON, "surrogate"},
    {"{\"vm.name\":\"\\u12g4\"}", SV_E_BAD_JSON, "hex"},
    {"{\"vm.name\":\"\\u12", SV_E_BAD_JSON, "hex"},
    {"{\"vm.name\":\"\\x41\"}", SV_E_BAD_JSON, "escape"},
    {"{\"vm.name\":\"\\", SV_E_BAD_JSON, "unfinished"},
    {"{\"vm.name\":\"abc", SV_E_BAD_JSON, "unfinished"},
    {"{\"vm.name\":\"\\n abc", SV_E_BAD_JSON, "unfinished"},
    {"{\"vm.name\":\"\xff\"}", SV_E_BAD_JSON, "UTF-8"},
    {"{\"vm.name\":\"\xc0\xaf\"}", SV_E_BAD_JSON, "UTF-8"},
    {"{\"vm.name\":\"\xed\xa0\x80\"}", SV_E_BAD_JSON, "UTF-8"},
    {"{\"vm.name\":\"\xf4\x90\x80\x80\"}", SV_E_BAD_JSON, "UTF-8"},
    /* duplicates, at any level and in any spelling */
    {"{\"vm.name\":\"x\",\"vm.name\":\"y\"}", SV_E_BAD_JSON, "duplicate key \"vm.name\""},
    {"{\"vm.name\":\"x\",\"vm\\u002ename\":\"y\"}", SV_E_BAD_JSON, "duplicate key \"vm.name\""},
    {"{\"\\\"\":1,\"\\u0022\":2}", SV_E_BAD_JSON, "duplicate key"},
    {"{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}", SV_E_BAD_JSON, "duplicate key"},
    {"{\"a\":{\"b\":1,\"b\":2}}", SV_E_BAD_JSON, "duplicate key \"b\""},
    {"{\"a\":[{\"b\":1,\"b\":2}]}", SV_E_BAD_JSON, "duplicate key \"b\""},
    {"{\"\":1,\"\":2}", SV_E_BAD_JSON, "duplicate key"},
    {"{\"vm.name\":\"x\",\"a\":{\"b\":1},\"c\":{\"b\":1},\"b\":3}", SV_OK, ""},
    {"{\"vm.name\":\"x\",\"a\":{\"vm.name\":1}}", SV_OK, ""},
    /* integers are refused, not saturated */
    {"{\"vm.name\":\"x\",\"free\":9223372036854775807}", SV_OK, ""},
    {"{\"vm.name\":\"x\",\"free\":-9223372036854775808}", SV_OK, ""},
    {"{\"vm.name\":\"x\",\"free\":9223372036854775808}", SV_E_PARAM_RANGE, "2^63"},
    {"{\"vm.name\":\"x\",\"free\":-9223372036854775809}", SV_E_PARAM_RANGE, "2^63"},
    {"{\"vm.name\":\"x\",\"vm.num\":99999999999999999999999}", SV_E_PARAM_RANGE, "1-30"},
    {"{\"vm.name\":\"x\",\"vm.num*\":99999999999999999999999}", SV_E_PARAM_RANGE, "1-30"},
    {"{\"vm.name\":\"x\",\"zzz\":99999999999999999999999}", SV_E_PARAM_RANGE, "2^63"},
    {"{\"vm.name\":\"x\",\"zzz\":[99999999999999999999999]}", SV_E_BAD_JSON, "out of range"},
    {"{\"vm.name\":\"x\",\"zzz\":1e999}", SV_OK, ""},
};

static void texts(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct json_case *c = &cases[i];
        struct bound b = bind_json(c->json);
        if (b.code != c->code || !strstr(b.err.arg[0], c->says))
            check_failed(__FILE__, __LINE__, "%s gave %s \"%s\"", c->json, sv_err_symbol(b.code), b.err.arg[0]);
        check_chinese(&b);
        bound_free(&b);
    }
}

static void nul_bytes(void)
{
    static const char in_string[] = "{\"vm.name\":\"a\0b\"}", after[] = "{\"vm.name\":\"a\"}\0";
    struct bound b = bind_json_n(in_string, sizeof(in_string) - 1);
    CHECK_INT(b.code, SV_E_BAD_JSON);
    bound_free(&b);
    b = bind_json_n(after, sizeof(after) - 1);
    CHECK_INT(b.code, SV_E_BAD_JSON);
    bound_free(&b);
}

/* Cut short, no text is taken for whole and nothing is read past its end. */
static void cut_anywhere(void)
{
    static const char whole[] = "{\"vm.name\":\"\\u4e91\\ud83d\\ude00x\",\"a\":[1.5e3,true,{\"b\":null}]}";
    for (size_t n = 1; n < sizeof(whole) - 1; n++) {
        struct bound b = bind_json_n(whole, n);
        CHECK_INT(b.code, SV_E_BAD_JSON);
        bound_free(&b);
    }
    struct bound b = bind_json(whole);
    CHECK_INT(b.code, SV_OK);
    CHECK_STR(((struct all_in *)b.in)->name, "云😀x");
    bound_free(&b);
}

static enum sv_err nested(unsigned levels, char open, char close)
{
    struct sv_buf json = {0};
    sv_buf_puts(&json, "{\"vm.name\":\"x\",\"a\":");
    for (unsigned i = 0; i < levels; i++)
        sv_buf_puts(&json, open == '{' ? "{\"a\":" : "[");
    sv_buf_puts(&json, "1");
    for (unsigned i = 0; i < levels; i++)
        sv_buf_putc(&json, close);
    sv_buf_putc(&json, '}');
    struct bound b = bind_json(json.p);
    enum sv_err e = b.code;
    if (e != SV_OK)
        CHECK(strstr(b.err.arg[0], "deep"));
    bound_free(&b);
    sv_buf_free(&json);
    return e;
}

static void depth(void)
{
    CHECK_INT(nested(SV_MAX_JSON_DEPTH - 1, '{', '}'), SV_OK);
    CHECK_INT(nested(SV_MAX_JSON_DEPTH, '{', '}'), SV_E_BAD_JSON);
    CHECK_INT(nested(SV_MAX_JSON_DEPTH - 1, '[', ']'), SV_OK);
    CHECK_INT(nested(SV_MAX_JSON_DEPTH, '[', ']'), SV_E_BAD_JSON);
    CHECK_INT(nested(100000, '[', ']'), SV_E_BAD_JSON);
}

static enum sv_err many_keys(unsigned n, const char **ret_says)
{
    static char says[SV_ERR_ARG_MAX];
    struct sv_buf json = {0};
    sv_buf_puts(&json, "{\"vm.name\":\"x\"");
    for (unsigned i = 1; i < n; i++)
        sv_buf_printf(&json, ",\"k%u\":%u", i, i);
    sv_buf_putc(&json, '}');
    struct bound b = bind_json(json.p);
    enum sv_err e = b.code;
    SV_COPY(says, b.err.arg[0]);
    *ret_says = says;
    if (e == SV_OK) {
        CHECK(strncmp(b.unknown, "k1,k2,k3", 8) == 0);
        CHECK(strlen(b.unknown) < 512);
    }
    bound_free(&b);
    sv_buf_free(&json);
    return e;
}

static void number_of_keys(void)
{
    const char *says;
    CHECK_INT(many_keys(SV_MAX_JSON_KEYS, &says), SV_OK);
    CHECK_INT(many_keys(SV_MAX_JSON_KEYS + 1, &says), SV_E_BAD_JSON);
    CHECK(strstr(says, "too many keys"));
    CHECK_INT(many_keys(40000, &says), SV_E_BAD_JSON);
}

static void number_of_values(void)
{
    struct sv_buf json = {0};
    sv_buf_puts(&json, "{\"vm.name\":\"x\",\"a\":[0");
    for (int i = 0; i < 100000; i++)
        sv_buf_puts(&json, ",0");
    sv_buf_puts(&json, "]}");
    struct bound b = bind_json(json.p);
    CHECK_INT(b.code, SV_E_BAD_JSON);
    CHECK(strstr(b.err.arg[0], "too many values"));
    bound_free(&b);
    sv_buf_free(&json);
}

/* A key with an escape is copied: the copy must not cost the rest of the document each time. */
static void escaped_keys_stay_cheap(void)
{
    struct sv_buf json = {0};
    sv_buf_puts(&json, "{\"vm.name\":\"x\",\"a\":[{}");
    for (int i = 0; i < 8000; i++)
        sv_buf_puts(&json, ",{\"\\u0041\":0}");
    sv_buf_puts(&json, "],\"pad\":\"");
    while (json.n < 700000)
        sv_buf_puts(&json, "padding padding padding ");
    sv_buf_puts(&json, "\"}");
    struct bound b = bind_json(json.p);
    CHECK_INT(b.code, SV_OK);
    bound_free(&b);
    sv_buf_free(&json);
}

CHECK_MAIN(T(texts), T(nul_bytes), T(cut_anywhere), T(depth), T(number_of_keys), T(number_of_values),
           T(escaped_keys_stay_cheap))
