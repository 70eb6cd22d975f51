#include "api_fixture.h"

#include "starvirt/clock.h"

/* One key beside a valid name -> the error, its key and its argument, or the value read as text. */

static void describe_all(const struct all_in *in, struct sv_buf *out)
{
    const char *const texts[] = {in->desc, in->id, in->mode, in->ip, in->ips, in->ports, in->pem, in->code};
    const struct sv_opt_int ints[] = {in->num, in->size, in->free};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i])
            sv_buf_printf(out, "%s;", texts[i]);
    for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++)
        if (ints[i].set)
            sv_buf_printf(out, "%lld;", (long long)ints[i].v);
    if (in->on.set)
        sv_buf_puts(out, in->on.v ? "true;" : "false;");
    for (size_t i = 0; i < in->list.n; i++)
        sv_buf_printf(out, "[%s]", in->list.v[i]);
    for (size_t i = 0; i < in->two.n; i++)
        sv_buf_printf(out, "[%s]", in->two.v[i]);
}

struct param_case {
    const char *member;
    enum sv_err code;
    const char *want; /* the values read, or the error's argument */
};
static const struct param_case cases[] = {
    /* strings */
    {"\"vm.desc\":\"说明\"", SV_OK, "说明;"},
    {"\"vm.desc\":\"a\\n\\tb\"", SV_OK, "a\n\tb;"},
    {"\"vm.desc\":\"a\\rb\"", SV_E_PARAM_CHARS, "U+000D"},
    {"\"vm.desc\":\"a\\u001bb\"", SV_E_PARAM_CHARS, "U+001B"},
    {"\"vm.desc\":\"a\\u007fb\"", SV_E_PARAM_CHARS, "U+007F"},
    {"\"vm.desc\":7", SV_OK, "7;"},
    {"\"vm.desc\":1.50", SV_OK, "1.50;"},
    {"\"vm.desc\":true", SV_E_PARAM_TYPE, "string"},
    {"\"vm.desc\":[]", SV_OK, ""},
    {"\"vm.desc\":[\"a\"]", SV_E_PARAM_TYPE, "string"},
    {"\"vm.desc\":{\"a\":1}", SV_E_PARAM_TYPE, "string"},
    {"\"vm.desc\":{}", SV_E_PARAM_TYPE, "string"},
    {"\"vm.desc\":null", SV_OK, ""},
    {"\"vm.desc\":\"\"", SV_OK, ""},
    {"\" vm.desc *\":\"x\"", SV_OK, "x;"},
    {"\"vm.desc**\":\"x\"", SV_OK, "x;"},
    {"\"vm.desc\":\"x\",\"vm.desc*\":\"y\"", SV_E_PARAM_CONFLICT, "given twice"},
    {"\"VM.DESC\":\"x\"", SV_OK, ""},
    {"\"vm.id\":\"../../etc/passwd\"", SV_OK, "../../etc/passwd;"},
    {"\"vm.id\":\"a\\nb\"", SV_E_PARAM_CHARS, "U+000A"},
    {"\"code\":\"abc\"", SV_E_PARAM_RANGE, "4-8 B"},
    {"\"code\":\"abcd\"", SV_OK, "abcd;"},
    {"\"code\":\"abcdefgh\"", SV_OK, "abcdefgh;"},
    {"\"code\":\"abcdefghi\"", SV_E_PARAM_LENGTH, "8"},
    {"\"code\":\"云云云\"", SV_E_PARAM_LENGTH, "8"},
    /* integers */
    {"\"vm.num\":4", SV_OK, "4;"},
    {"\"vm.num\":\"4\"", SV_OK, "4;"},
    {"\"vm.num*\":\"30\"", SV_OK, "30;"},
    {"\"vm.num\":0", SV_E_PARAM_RANGE, "1-30"},
    {"\"vm.num\":31", SV_E_PARAM_RANGE, "1-30"},
    {"\"vm.num\":\"-5\"", SV_E_PARAM_RANGE, "1-30"},
    {"\"vm.num\":\"99999999999999999999999999999999999999\"", SV_E_PARAM_RANGE, "1-30"},
    {"\"vm.num\":3.5", SV_E_PARAM_TYPE, "integer"},
    {"\"vm.num\":3.0", SV_E_PARAM_TYPE, "integer"},
    {"\"vm.num\":1e1", SV_E_PARAM_TYPE, "integer"},
    {"\"vm.num\":\"12abc\"", SV_E_PARAM_TYPE, "integer"},
    {"\"vm.num\":\" 4\"", SV_E_PARAM_TYPE, "integer"},
    {"\"vm.num\":\"+4\"", SV_E_PARAM_TYPE, "integer"},
    {"\"vm.num\":\"-\"", SV_E_PARAM_TYPE, "integer"},
    {"\"vm.num\":\"0x4\"", SV_E_PARAM_TYPE, "integer"},
    {"\"vm.num\":true", SV_E_PARAM_TYPE, "integer"},
    {"\"vm.num\":[4]", SV_E_PARAM_TYPE, "integer"},
    {"\"vm.num\":\"\"", SV_OK, ""},
    {"\"vm.num\":null", SV_OK, ""},
    {"\"size\":0", SV_E_PARAM_RANGE, "1-100"},
    {"\"size\":101", SV_E_PARAM_RANGE, "1-100"},
    {"\"free\":-9223372036854775808", SV_OK, "-9223372036854775808;"},
    {"\"free\":\"9223372036854775807\"", SV_OK, "9223372036854775807;"},
    {"\"free\":\"9223372036854775808\"", SV_E_PARAM_RANGE, "-2^63 - 2^63-1"},
    /* booleans */
    {"\"vm.on\":true", SV_OK, "true;"},
    {"\"vm.on\":false", SV_OK, "false;"},
    {"\"vm.on\":\"true\"", SV_OK, "true;"},
    {"\"vm.on\":\"False\"", SV_OK, "false;"},
    {"\"vm.on\":\"\"", SV_OK, ""},
    {"\"vm.on\":1", SV_E_PARAM_TYPE, "true, false"},
    {"\"vm.on\":\"yes\"", SV_E_PARAM_TYPE, "true, false"},
    {"\"vm.on\":\"true \"", SV_E_PARAM_TYPE, "true, false"},
    {"\"vm.on\":[true]", SV_E_PARAM_TYPE, "true, false"},
    /* enums: the row's own spelling comes out */
    {"\"mode\":\"tcp\"", SV_OK, "tcp;"},
    {"\"mode\":\"TCP\"", SV_OK, "tcp;"},
    {"\"mode\":\"udp\"", SV_OK, "UDP;"},
    {"\"mode\":\"icmp\"", SV_E_PARAM_ENUM, "tcp, UDP, in out"},
    {"\"mode\":\"tc\"", SV_E_PARAM_ENUM, "tcp, UDP, in out"},
    {"\"mode\":3", SV_E_PARAM_ENUM, "tcp, UDP, in out"},
    {"\"mode\":true", SV_E_PARAM_TYPE, "string"},
    /* addresses */
    {"\"ip\":\"10.0.0.1\"", SV_OK, "10.0.0.1;"},
    {"\"ip\":\"10.0.0.256\"", SV_E_PARAM_FORMAT, "IPv4 (a.b.c.d)"},
    {"\"ip\":\"10.0.0\"", SV_E_PARAM_FORMAT, "IPv4 (a.b.c.d)"},
    {"\"ip\":\"10.0.0.1/24\"", SV_E_PARAM_FORMAT, "IPv4 (a.b.c.d)"},
    {"\"ip\":\"10.0.0.1 \"", SV_E_PARAM_FORMAT, "IPv4 (a.b.c.d)"},
    {"\"ip\":\"::1\"", SV_E_PARAM_FORMAT, "IPv4 (a.b.c.d)"},
    {"\"ip\":5", SV_E_PARAM_FORMAT, "IPv4 (a.b.c.d)"},
    {"\"ip\":\"10.0.0.1\\nx\"", SV_E_PARAM_CHARS, "U+000A"},
    {"\"ips\":\"10.0.0.1, 10.1.0.0/16 ,0.0.0.0/0\"", SV_OK, "10.0.0.1,10.1.0.0/16,0.0.0.0/0;"},
    {"\"ips\":\"10.0.0.1,\"", SV_E_PARAM_FORMAT, "a.b.c.d[/0-32],..."},
    {"\"ips\":\",10.0.0.1\"", SV_E_PARAM_FORMAT, "a.b.c.d[/0-32],..."},
    {"\"ips\":\" \"", SV_E_PARAM_FORMAT, "a.b.c.d[/0-32],..."},
    {"\"ips\":\"10.0.0.0/33\"", SV_E_PARAM_FORMAT, "a.b.c.d[/0-32],..."},
    {"\"ips\":\"10.0.0.0/-1\"", SV_E_PARAM_FORMAT, "a.b.c.d[/0-32],..."},
    {"\"ips\":\"10.0.0.0/\"", SV_E_PARAM_FORMAT, "a.b.c.d[/0-32],..."},
    {"\"ips\":\"10.0.0.1-10.0.0.9, 10.1.0.0/16\"", SV_OK, "10.0.0.1-10.0.0.9,10.1.0.0/16;"},
    {"\"ips\":\"10.0.0.1-\"", SV_E_PARAM_FORMAT, "a.b.c.d[/0-32],..."},
    {"\"ips\":\"10.0.0.0/8/8\"", SV_E_PARAM_FORMAT, "a.b.c.d[/0-32],..."},
    {"\"ports\":\"80\"", SV_OK, "80;"},
    {"\"ports\":80", SV_OK, "80;"},
    {"\"ports\":\"22, 80:90,65535\"", SV_OK, "22,80:90,65535;"},
    {"\"ports\":\"0\"", SV_E_PARAM_FORMAT, "1-65535[:1-65535],..."},
    {"\"ports\":\"65536\"", SV_E_PARAM_FORMAT, "1-65535[:1-65535],..."},
    {"\"ports\":\"90:80\"", SV_E_PARAM_FORMAT, "1-65535[:1-65535],..."},
    {"\"ports\":\"80:\"", SV_E_PARAM_FORMAT, "1-65535[:1-65535],..."},
    {"\"ports\":\"1:2:3\"", SV_E_PARAM_FORMAT, "1-65535[:1-65535],..."},
    {"\"ports\":\"80-90\"", SV_E_PARAM_FORMAT, "1-65535[:1-65535],..."},
    {"\"ports\":\"80;id\"", SV_E_PARAM_FORMAT, "1-65535[:1-65535],..."},
    /* times */
    {"\"when\":\"2030-02-30 00:00:00\"", SV_E_PARAM_FORMAT, "YYYY-MM-DD HH:MM:SS"},
    {"\"when\":\"2030-01-01\"", SV_E_PARAM_FORMAT, "YYYY-MM-DD HH:MM:SS"},
    {"\"when\":\"2030-01-01 00:00:00Z\"", SV_E_PARAM_FORMAT, "YYYY-MM-DD HH:MM:SS"},
    {"\"when\":1700000000", SV_E_PARAM_TYPE, "YYYY-MM-DD HH:MM:SS"},
    /* keys and certificates */
    {"\"pem\":\"-----BEGIN X-----\\nAA\\r\\n-----END X-----\\n\"", SV_OK,
     "-----BEGIN X-----\nAA\r\n-----END X-----\n;"},
    {"\"pem\":\"-----BEGIN X-----\\nAA\"", SV_E_PARAM_FORMAT, "PEM (-----BEGIN ... -----END ...)"},
    {"\"pem\":\"AAAA\"", SV_E_PARAM_FORMAT, "PEM (-----BEGIN ... -----END ...)"},
    {"\"pem\":\"-----BEGIN X-----\\u0007-----END X-----\"", SV_E_PARAM_CHARS, "U+0007"},
    {"\"pem\":5", SV_E_PARAM_TYPE, "string"},
    /* lists */
    {"\"list\":[\"a\",\"b\"]", SV_OK, "[a][b]"},
    {"\"list\":[1,\"b\"]", SV_OK, "[1][b]"},
    {"\"list\":[]", SV_OK, ""},
    {"\"list\":\"a\"", SV_E_PARAM_TYPE, "list of strings"},
    {"\"list\":{}", SV_E_PARAM_TYPE, "list of strings"},
    {"\"list\":[[]]", SV_E_PARAM_TYPE, "list of strings"},
    {"\"list\":[{}]", SV_E_PARAM_TYPE, "list of strings"},
    {"\"list\":[null]", SV_E_PARAM_TYPE, "list of strings"},
    {"\"list\":[\"\"]", SV_E_PARAM_TYPE, "list of strings"},
    {"\"list\":[true]", SV_E_PARAM_TYPE, "list of strings"},
    {"\"list\":[\"a\\u0001\"]", SV_E_PARAM_CHARS, "U+0001"},
    {"\"two\":[\"a\",\"b\"]", SV_OK, "[a][b]"},
    {"\"two\":[\"a\",\"b\",\"c\"]", SV_E_PARAM_RANGE, "0-2"},
};

/* The first key of the member, without blanks and stars. */
static void key_of(const char *member, char *key, size_t size)
{
    const char *p = strchr(member, '"') + 1;
    while (*p == ' ')
        p++;
    snprintf(key, size, "%.*s", (int)strcspn(p, " *\""), p);
}

static void check_param(const struct param_case *c)
{
    char *json = sv_asprintf("{\"vm.name\":\"n\",%s}", c->member), key[64];
    struct bound b = bind_json(json);
    struct sv_buf got = {0};
    sv_buf_puts(&got, "");
    key_of(c->member, key, sizeof(key));
    if (b.code == SV_OK)
        describe_all(b.in, &got);
    else
        sv_buf_puts(&got, b.err.arg[0]);
    if (b.code != c->code || strcmp(got.p, c->want) != 0)
        check_failed(__FILE__, __LINE__, "%s gave %s \"%s\"", json, sv_err_symbol(b.code), got.p);
    if (b.code != SV_OK)
        CHECK_STR(b.err.wire, key);
    check_chinese(&b);
    sv_buf_free(&got);
    bound_free(&b);
    free(json);
}

static void values(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_param(&cases[i]);
}

static void required(void)
{
    static const char *const missing[] = {"{}", "{\"vm.name\":\"\"}", "{\"vm.name\":null}", "{\"vm.desc\":\"x\"}"};
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        struct bound b = bind_json(missing[i]);
        CHECK_INT(b.code, SV_E_PARAM_MISSING);
        CHECK_STR(b.err.wire, "vm.name");
        CHECK_INT(b.err.field, SV_F_VM_NAME);
        CHECK(b.in == NULL);
        bound_free(&b);
    }
}

static void names_have_no_lines(void)
{
    struct bound b = bind_json("{\"vm.name\":\"a\\nb\"}");
    CHECK_INT(b.code, SV_E_PARAM_CHARS);
    CHECK_STR(b.err.arg[0], "U+000A");
    bound_free(&b);
}

static void times_in_the_zone(void)
{
    struct bound b = bind_json("{\"vm.name\":\"n\",\"when\":\"2030-01-31 12:34:56\"}");
    char text[SV_TIME_LEN + 1];
    CHECK_INT(b.code, SV_OK);
    const struct all_in *in = b.in;
    CHECK(in->when.set);
    sv_time_format(in->when.v, text);
    CHECK_STR(text, "2030-01-31 12:34:56");
    bound_free(&b);
}

static enum sv_err string_of(const char *key, size_t n, struct sv_error *ret_err)
{
    struct sv_buf json = {0};
    sv_buf_printf(&json, "{%s\"%s\":\"", strcmp(key, "vm.name") ? "\"vm.name\":\"n\"," : "", key);
    for (size_t i = 0; i < n; i++)
        sv_buf_putc(&json, 'x');
    sv_buf_puts(&json, "\"}");
    struct bound b = bind_json(json.p);
    enum sv_err e = b.code;
    *ret_err = b.err;
    bound_free(&b);
    sv_buf_free(&json);
    return e;
}

static void lengths(void)
{
    static const struct {
        const char *key;
        size_t limit;
    } c[] = {{"vm.name", SV_MAX_NAME}, {"vm.desc", SV_MAX_DESC}, {"vm.id", SV_MAX_STR}};
    struct sv_error err;
    for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
        CHECK_INT(string_of(c[i].key, c[i].limit, &err), SV_OK);
        CHECK_INT(string_of(c[i].key, c[i].limit + 1, &err), SV_E_PARAM_LENGTH);
        CHECK_STR(err.wire, c[i].key);
        CHECK_STR(err.arg[0], sv_dec((int64_t)c[i].limit).s);
    }
    CHECK_INT(string_of("pem", SV_MAX_PEM, &err), SV_E_PARAM_FORMAT);
    CHECK_INT(string_of("pem", SV_MAX_PEM + 1, &err), SV_E_PARAM_LENGTH);
}

static enum sv_err list_of(int n)
{
    struct sv_buf json = {0};
    sv_buf_puts(&json, "{\"vm.name\":\"n\",\"list\":[");
    for (int i = 0; i < n; i++)
        sv_buf_printf(&json, "%s\"%d\"", i ? "," : "", i);
    sv_buf_puts(&json, "]}");
    struct bound b = bind_json(json.p);
    enum sv_err e = b.code;
    if (e == SV_OK)
        CHECK_INT(((struct all_in *)b.in)->list.n, n);
    bound_free(&b);
    sv_buf_free(&json);
    return e;
}

static void list_lengths(void)
{
    CHECK_INT(list_of(SV_MAX_LIST_ITEMS), SV_OK);
    CHECK_INT(list_of(SV_MAX_LIST_ITEMS + 1), SV_E_PARAM_RANGE);
}

static void unknown_keys_are_named(void)
{
    struct bound b = bind_json("{\"vm.name\":\"n\",\"zz*\":\"secret\",\"a b\":1,\"\\n\":2}");
    CHECK_INT(b.code, SV_OK);
    CHECK_STR(b.unknown, "zz,a b,");
    bound_free(&b);
    b = bind_json("{\"vm.name\":\"n\"}");
    CHECK(b.unknown == NULL);
    bound_free(&b);
}

/* No error repeats what was sent: it may have been a password. */
static void errors_keep_values_out(void)
{
    static const char *const sent[] = {"\"pem\":\"hunter2secret\"",      "\"mode\":\"hunter2secret\"",
                                       "\"code\":\"hunter2secret\"",     "\"vm.num\":\"hunter2secret\"",
                                       "\"ip\":\"hunter2secret\"",       "\"vm.id\":\"hunter2secret\\u0001\"",
                                       "\"vm.desc\":[\"hunter2secret\"]"};
    for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
        char *json = sv_asprintf("{\"vm.name\":\"n\",%s}", sent[i]), text[512];
        struct bound b = bind_json(json);
        CHECK(b.code != SV_OK);
        sv_err_text(&b.err, SV_LANG_EN, text, sizeof(text));
        CHECK(!strstr(text, "hunter2"));
        bound_free(&b);
        free(json);
    }
}

/* The struct lives in the arena and not in the body. */
static void strings_are_copies(void)
{
    struct sv_buf body = {0};
    static const char json[] = "{\"vm.name\":\"n\",\"vm.id\":\"i\",\"list\":[\"l\"]}";
    form_of(json, sizeof(json) - 1, &body);
    struct sv_input in = {"application/x-www-form-urlencoded", body.p, body.n, NULL};
    struct bound b = bind_to(0, &in);
    CHECK_INT(b.code, SV_OK);
    memset(body.p, 'Z', body.n);
    sv_buf_free(&body);
    const struct all_in *got = b.in;
    CHECK_STR(got->name, "n");
    CHECK_STR(got->id, "i");
    CHECK_STR(got->list.v[0], "l");
    bound_free(&b);
}

CHECK_MAIN(T(values), T(required), T(names_have_no_lines), T(times_in_the_zone), T(lengths), T(list_lengths),
           T(unknown_keys_are_named), T(errors_keep_values_out), T(strings_are_copies))
