#include "api_fixture.h"

/* Bodies as clients send them -> the input struct of cloudvm/create, or an error. */

#define URLENCODED "application/x-www-form-urlencoded"
/* {"vm.name":"a>?b"}: its Base64 has '+', '/' and '=' */
#define RAW "eyJ2bS5uYW1lIjoiYT4/YiJ9"
/* {"vm.name":"xx>>"} and {"vm.name":"x~"} */
#define PLUS   "eyJ2bS5uYW1lIjoieHg+PiJ9"
#define PADDED "eyJ2bS5uYW1lIjoieH4ifQ=="

static struct bound bind_body(const char *type, const char *body, size_t n)
{
    struct sv_input in = {type, body, n, NULL};
    return bind_to(0, &in);
}

struct form_case {
    const char *type, *body;
    enum sv_err code;
    const char *want; /* vm.name, or a part of the error's argument */
};
static const struct form_case cases[] = {
    {URLENCODED, "KEY_PARAM=" RAW, SV_OK, "a>?b"},
    {URLENCODED, "KEY_PARAM=eyJ2bS5uYW1lIjoiYT4%2FYiJ9", SV_OK, "a>?b"},
    {URLENCODED, "KEY_PARAM=eyJ2bS5uYW1lIjoiYT4%2fYiJ9", SV_OK, "a>?b"},
    {URLENCODED, "KEY_PARAM=eyJ2bS5uYW1lIjoiYT4_YiJ9", SV_OK, "a>?b"},
    {URLENCODED, "KEY_PARAM=" PLUS, SV_OK, "xx>>"},
    {URLENCODED, "KEY_PARAM=eyJ2bS5uYW1lIjoieHg%2BPiJ9", SV_OK, "xx>>"},
    {URLENCODED, "KEY_PARAM=eyJ2bS5uYW1lIjoieHg PiJ9", SV_OK, "xx>>"},
    {URLENCODED, "KEY_PARAM=eyJ2bS5uYW1lIjoieHg%20PiJ9", SV_OK, "xx>>"},
    {URLENCODED, "KEY_PARAM=eyJ2bS5uYW1lIjoieHg-PiJ9", SV_OK, "xx>>"},
    {URLENCODED, "KEY_PARAM=" PADDED, SV_OK, "x~"},
    {URLENCODED, "KEY_PARAM=eyJ2bS5uYW1lIjoieH4ifQ%3D%3D", SV_OK, "x~"},
    {URLENCODED, "KEY_PARAM=eyJ2bS5uYW1lIjoieH4ifQ", SV_OK, "x~"},
    {URLENCODED, "KEY_PARAM=eyJ2bS5uYW1l\r\nIjoieH4i\nfQ==\r\n", SV_OK, "x~"},
    {URLENCODED, "KEY_PARAM=eyJ2bS5uYW1l%0D%0AIjoieH4ifQ%3D%3D%0A", SV_OK, "x~"},
    {URLENCODED, "KEY%5FPARAM=" RAW, SV_OK, "a>?b"},
    {URLENCODED, "&&a=b&KEY_PARAM=" RAW "&c=%zz&d&", SV_OK, "a>?b"},
    {URLENCODED, "KEY_TOKEN=t&KEY_PARAM=" RAW, SV_OK, "a>?b"},
    {URLENCODED "; charset=UTF-8", "KEY_PARAM=" RAW, SV_OK, "a>?b"},
    {NULL, "KEY_PARAM=" RAW, SV_OK, "a>?b"},
    {"", "KEY_PARAM=" RAW, SV_OK, "a>?b"},
    {" \t", "KEY_PARAM=" RAW, SV_OK, "a>?b"},
    {"Application/X-WWW-Form-URLEncoded ;charset=utf-8", "KEY_PARAM=" RAW, SV_OK, "a>?b"},
    /* refused */
    {URLENCODED, "KEY_PARAM=" RAW "&KEY_PARAM=" RAW, SV_E_BAD_REQUEST, "twice"},
    {URLENCODED, "KEY_PARAM=" RAW "&KEY%5fPARAM=" RAW, SV_E_BAD_REQUEST, "twice"},
    {URLENCODED, "KEY_PARAM=&KEY_PARAM=" RAW, SV_E_BAD_REQUEST, "twice"},
    {URLENCODED, "KEY_PARAM=%zz", SV_E_BAD_REQUEST, "hex"},
    {URLENCODED, "KEY_PARAM=abc%4", SV_E_BAD_REQUEST, "hex"},
    {URLENCODED, "KEY_PARAM=abc%", SV_E_BAD_REQUEST, "hex"},
    {URLENCODED, "KEY%ZZ=1", SV_E_BAD_REQUEST, "hex"},
    {URLENCODED, "key_param=" RAW, SV_E_BAD_REQUEST, "no field KEY_PARAM"},
    {URLENCODED, "{\"vm.name\":\"x\"}", SV_E_BAD_REQUEST, "no field KEY_PARAM"},
    {NULL, "{\"vm.name\":\"x\"}", SV_E_BAD_REQUEST, "no field KEY_PARAM"},
    {URLENCODED, "KEY_PARAM;x=" RAW, SV_E_BAD_REQUEST, "no field KEY_PARAM"},
    {URLENCODED, "KEY_PARAM=!!!!", SV_E_BAD_BASE64, "1"},
    {URLENCODED, "KEY_PARAM=QUJD{", SV_E_BAD_BASE64, "5"},
    {URLENCODED, "KEY_PARAM=QUI=QUI=", SV_E_BAD_BASE64, "5"},
    {URLENCODED, "KEY_PARAM=QUJD%00QUJD", SV_E_BAD_BASE64, "5"},
    {"text/plain", "KEY_PARAM=" RAW, SV_E_MEDIA_TYPE, "x-www-form-urlencoded"},
    {"application/octet-stream", "KEY_PARAM=" RAW, SV_E_MEDIA_TYPE, "multipart/form-data"},
    {";charset=UTF-8", "KEY_PARAM=" RAW, SV_E_MEDIA_TYPE, "multipart/form-data"},
    {"application/json", "{\"vm.name\":\"x\"}", SV_E_MEDIA_TYPE, "x-www-form-urlencoded"},
    {"application/x-www-form-urlencodedx", "KEY_PARAM=" RAW, SV_E_MEDIA_TYPE, "form"},
    /* no parameters: the required one is missing */
    {URLENCODED, "", SV_E_PARAM_MISSING, ""},
    {"application/json", "", SV_E_PARAM_MISSING, ""},
    {NULL, " \r\n", SV_E_PARAM_MISSING, ""},
    {URLENCODED, "KEY_PARAM=", SV_E_PARAM_MISSING, ""},
    {URLENCODED, "KEY_PARAM", SV_E_PARAM_MISSING, ""},
    {URLENCODED, "KEY_TOKEN=abc", SV_E_PARAM_MISSING, ""},
    {URLENCODED, "KEY_PARAM=e30=", SV_E_PARAM_MISSING, ""},
    {URLENCODED, "KEY_PARAM=IA==", SV_E_PARAM_MISSING, ""},
};

static void check_form(const struct form_case *c, size_t n)
{
    struct bound b = bind_body(c->type, c->body, n);
    if (b.code != c->code)
        check_failed(__FILE__, __LINE__, "'%s' gave %s (%s)", c->body, sv_err_symbol(b.code), b.err.arg[0]);
    if (b.code == SV_OK)
        CHECK_STR(((struct all_in *)b.in)->name, c->want);
    else if (!strstr(b.err.arg[0], c->want))
        check_failed(__FILE__, __LINE__, "'%s' says \"%s\"", c->body, b.err.arg[0]);
    check_chinese(&b);
    bound_free(&b);
}

static void bodies(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_form(&cases[i], strlen(cases[i].body));
}

/* --- multipart ----------------------------------------------------------------------------------- */

#define MP   "multipart/form-data; boundary=XyZ"
#define PART "Content-Disposition: form-data; name=\"KEY_PARAM\"\r\n\r\n"
static const struct form_case parts[] = {
    {MP, "--XyZ\r\n" PART RAW "\r\n--XyZ--\r\n", SV_OK, "a>?b"},
    {MP, "--XyZ\r\n" PART RAW "\r\n--XyZ--", SV_OK, "a>?b"},
    {MP, "preamble\r\n--XyZ  \r\n" PART RAW "\r\n--XyZ--\r\nepilogue", SV_OK, "a>?b"},
    {MP, "--XyZ\nContent-Disposition: form-data; name=KEY_PARAM\n\n" RAW "\n--XyZ--\n", SV_OK, "a>?b"},
    {MP,
     "--XyZ\r\nContent-Type: text/plain\r\ncontent-disposition:form-data;filename=\"a;name=b\"; NAME = "
     "\"KEY_PARAM\" ; x=y\r\n\r\n" RAW "\r\n--XyZ--",
     SV_OK, "a>?b"},
    {MP, "--XyZ\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\n--Xy\r\n--XyZ\r\n" PART PADDED "\r\n--XyZ--",
     SV_OK, "x~"},
    {"Multipart/Form-Data; charset=utf-8; boundary=\"a b;c\"", "--a b;c\r\n" PART PLUS "\r\n--a b;c--", SV_OK, "xx>>"},
    {MP, "--XyZ--", SV_E_PARAM_MISSING, ""},
    {MP, "--XyZ\r\n" PART "\r\n--XyZ--", SV_E_PARAM_MISSING, ""},
    {MP, "--XyZ\r\n" PART RAW, SV_E_BAD_REQUEST, "closing boundary"},
    {MP, "--XyZ\r\n" PART RAW "\r\n--XyZ\r\n", SV_E_BAD_REQUEST, "closing boundary"},
    {MP, "no boundary at all", SV_E_BAD_REQUEST, "closing boundary"},
    {MP, "--XyZ\r\nContent-Disposition: form-data; name=\"KEY_PARAM\"\r\n--XyZ--", SV_E_BAD_REQUEST,
     "closing boundary"},
    {MP, "--XyZabc\r\n" PART RAW "\r\n--XyZ--", SV_E_BAD_REQUEST, "alone on its line"},
    {MP, "--XyZ", SV_E_BAD_REQUEST, "alone on its line"},
    {MP, "--XyZ\r\n" PART RAW "\r\n--XyZ\r\n" PART RAW "\r\n--XyZ--", SV_E_BAD_REQUEST, "twice"},
    {MP, "--XyZ\r\nContent-Disposition: form-data; filename=\"KEY_PARAM\"\r\n\r\nx\r\n--XyZ--", SV_E_BAD_REQUEST,
     "no field"},
    {"multipart/form-data", "--XyZ--", SV_E_BAD_REQUEST, "no boundary"},
    {"multipart/form-data; boundary=", "--XyZ--", SV_E_BAD_REQUEST, "no boundary"},
    {"multipart/form-data; boundary=\"", "--XyZ--", SV_E_BAD_REQUEST, "no boundary"},
    {"multipart/form-data; boundary=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "x",
     SV_E_BAD_REQUEST, "no boundary"},
};

static void multipart(void)
{
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        check_form(&parts[i], strlen(parts[i].body));
}

/* Every prefix of a good body is an error or "missing", never a crash or a wrong name. */
static void multipart_cut_anywhere(void)
{
    const char *body = parts[2].body;
    size_t whole = (size_t)(strstr(body, "--\r\nepilogue") - body) + 2;
    for (size_t n = 1; n < whole; n++) {
        char *copy = malloc(n);
        memcpy(copy, body, n);
        struct bound b = bind_body(MP, copy, n);
        CHECK(b.code != SV_OK);
        bound_free(&b);
        free(copy);
    }
}

/* --- limits --------------------------------------------------------------------------------------- */

static void too_many_fields(void)
{
    struct sv_buf body = {0};
    for (int i = 1; i < SV_MAX_FORM_FIELDS; i++)
        sv_buf_puts(&body, "a=b&");
    size_t ok = body.n;
    sv_buf_puts(&body, "KEY_PARAM=" RAW);
    struct form_case c = {URLENCODED, body.p, SV_OK, "a>?b"};
    check_form(&c, body.n);
    body.n = ok;
    sv_buf_puts(&body, "a=b&KEY_PARAM=" RAW);
    c = (struct form_case){URLENCODED, body.p, SV_E_BAD_REQUEST, "too many form fields"};
    check_form(&c, body.n);
    sv_buf_free(&body);
}

static void too_large(void)
{
    struct sv_buf body = {0};
    sv_buf_puts(&body, "KEY_PARAM=" RAW);
    while (body.n < SV_MAX_BODY)
        sv_buf_putc(&body, '\n');
    struct form_case c = {URLENCODED, body.p, SV_OK, "a>?b"};
    check_form(&c, body.n);
    sv_buf_putc(&body, '\n');
    c = (struct form_case){URLENCODED, body.p, SV_E_BODY_TOO_LARGE, "1048576"};
    check_form(&c, body.n);
    sv_buf_free(&body);
}

static void not_a_string(void)
{
    static const char body[] = "a=\0&KEY_PARAM=" RAW;
    struct form_case c = {URLENCODED, body, SV_OK, "a>?b"};
    check_form(&c, sizeof(body) - 1);
}

/* --- path and query -------------------------------------------------------------------------------- */

struct query_case {
    const char *query;
    enum sv_err code;
    int64_t since; /* -1 = not set */
    const char *unknown;
};
static const struct query_case queries[] = {
    {NULL, SV_OK, -1, NULL},
    {"", SV_OK, -1, NULL},
    {"since=5&wait=60", SV_OK, 5, NULL},
    {"&&since=%35&", SV_OK, 5, NULL},
    {"since=", SV_OK, -1, NULL},
    {"since", SV_OK, -1, NULL},
    {"since=0&x=1&y", SV_OK, 0, "x,y"},
    {"since=1&since=2", SV_E_PARAM_CONFLICT, 0, NULL},
    {"since=abc", SV_E_PARAM_TYPE, 0, NULL},
    {"since=1.5", SV_E_PARAM_TYPE, 0, NULL},
    {"since=-1", SV_E_PARAM_RANGE, 0, NULL},
    {"wait=61", SV_E_PARAM_RANGE, 0, NULL},
    {"since=1%00", SV_E_PARAM_TYPE, 0, NULL},
    {"since=%zz", SV_E_BAD_REQUEST, 0, NULL},
};

static void path_and_query(void)
{
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        const struct query_case *c = &queries[i];
        struct sv_input in = {NULL, NULL, 0, c->query};
        struct bound b = bind_to(1, &in);
        if (b.code != c->code)
            check_failed(__FILE__, __LINE__, "?%s gave %s", c->query, sv_err_symbol(b.code));
        const struct id_in *got = b.in;
        if (b.code == SV_OK) {
            CHECK_STR(got->id, "some-id");
            CHECK_INT(got->since.set ? got->since.v : -1, c->since);
            CHECK_STR(b.unknown, c->unknown);
        }
        bound_free(&b);
    }
}

static void range_of_a_query(void)
{
    struct sv_input in = {NULL, NULL, 0, "since=-1"};
    struct bound b = bind_to(1, &in);
    CHECK_STR(b.err.wire, "since");
    CHECK_STR(b.err.arg[0], ">=0");
    bound_free(&b);
    in.query = "wait=61";
    b = bind_to(1, &in);
    CHECK_STR(b.err.arg[0], "<=60");
    bound_free(&b);
}

static void bad_path_values(void)
{
    static const struct {
        const char *value;
        enum sv_err code;
    } c[] = {{"ok", SV_OK},
             {"", SV_E_PARAM_MISSING},
             {"a\nb", SV_E_PARAM_CHARS},
             {"\xff", SV_E_PARAM_CHARS},
             {"'; drop table vm", SV_OK}};
    for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
        struct sv_match m = {.dialect = &fixture_dialect, .route = &fixture_routes[1]};
        struct sv_input in = {0};
        struct bound b = {.arena = sv_arena_new()};
        m.path_value[0] = (struct sv_slice){c[i].value, strlen(c[i].value)};
        m.path_values = 1;
        const struct sv_unknown *unknown = NULL;
        CHECK_INT(sv_api_bind(&m, &in, b.arena, &b.in, &unknown, &b.err), c[i].code);
        if (c[i].code != SV_OK) {
            CHECK_STR(b.err.wire, "vmId");
            CHECK_INT(b.err.field, SV_F_VM);
        }
        bound_free(&b);
    }
}

/* The body of an upload is no form, and a DELETE's body is read like any other. */
static void raw_and_delete_bodies(void)
{
    struct sv_input in = {"application/octet-stream", "QFI\xfb", 4, NULL};
    struct bound b = bind_to(8, &in);
    CHECK_INT(b.code, SV_OK);
    CHECK(b.in != NULL);
    bound_free(&b);
    in = (struct sv_input){URLENCODED, "KEY_PARAM=" RAW, strlen("KEY_PARAM=" RAW), NULL};
    b = bind_to(2, &in);
    CHECK_INT(b.code, SV_OK);
    CHECK_STR(b.unknown, "vm.name");
    bound_free(&b);
}

CHECK_MAIN(T(bodies), T(multipart), T(multipart_cut_anywhere), T(too_many_fields), T(too_large), T(not_a_string),
           T(path_and_query), T(range_of_a_query), T(bad_path_values), T(raw_and_delete_bodies))
