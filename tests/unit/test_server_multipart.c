/* The file in a form, whatever pieces it comes in. */
#include "check.h"
#include "server/multipart.h"

static char got[4096], fields[256];
static size_t got_n, fields_n;

static void take(void *arg, const char *p, size_t n)
{
    (void)arg;
    CHECK(got_n + n < sizeof(got));
    memcpy(got + got_n, p, n);
    got_n += n;
}

static enum sv_err see(void *arg, const char *name, struct sv_error *err)
{
    (void)arg;
    if (strcmp(name, "bad") == 0)
        return sv_fail(err, SV_E_BAD_REQUEST, SV_F_NONE, "bad");
    fields_n += (size_t)snprintf(fields + fields_n, sizeof(fields) - fields_n, "%s;", name);
    CHECK(fields_n < sizeof(fields));
    return SV_OK;
}

static struct sv_error err;

/* In pieces of `step` bytes. */
static enum sv_err read_in(const char *boundary, const char *body, size_t n, size_t step)
{
    static const struct sv_multipart_sink sink = {take, see, NULL};
    struct sv_multipart m;
    enum sv_err rc = SV_OK;
    got_n = 0;
    fields[0] = '\0';
    fields_n = 0;
    sv_multipart_begin(&m, boundary, &sink);
    for (size_t i = 0; !rc && i < n; i += step)
        rc = sv_multipart_feed(&m, body + i, n - i < step ? n - i : step, &err);
    return rc ? rc : sv_multipart_end(&m, &err);
}

#define PART(disposition) "Content-Disposition: form-data; " disposition "\r\n\r\n"
#define FILE_PART         PART("name=\"file\"; filename=\"x\"")

static void gives(const char *boundary, const char *body, size_t n, const char *file, size_t file_n)
{
    for (size_t step = 1; step <= n; step++) {
        CHECK_INT(read_in(boundary, body, n, step), SV_OK);
        CHECK_INT(got_n, file_n);
        CHECK(memcmp(got, file, file_n) == 0);
    }
}
#define GIVES(boundary, body, file) gives(boundary, body, sizeof(body) - 1, file, sizeof(file) - 1)

static void refuses(const char *body, size_t n, const char *why)
{
    for (size_t step = 1; step <= n; step++) {
        CHECK_INT(read_in("b", body, n, step), SV_E_BAD_REQUEST);
        CHECK(strstr(err.arg[0], why));
    }
}
#define REFUSES(body, why) refuses(body, sizeof(body) - 1, why)

static void the_file_as_it_is(void)
{
    GIVES("b", "--b\r\n" FILE_PART "abc\r\n--b--\r\n", "abc");
    GIVES("b", "--b\r\n" FILE_PART "abc\r\n--b--", "abc");
    GIVES("b", "--b \t\r\n" FILE_PART "abc\r\n--b--epilogue\r\n--b\r\n", "abc");
    GIVES("b", "preamble\r\n--b\r\n" FILE_PART "\r\n--b--\r\n", "");
    GIVES("b", "--b\r\n" FILE_PART "--b--\r\n", "");
    /* what looks like the boundary, and bytes of all kinds */
    GIVES("bb", "--bb\r\n" FILE_PART "\0\r\n\r\r\n-\r\n--\r\n--b\r\r\n--bX\n--bb\r\n\r\n--bb--",
          "\0\r\n\r\r\n-\r\n--\r\n--b\r\r\n--bX\n--bb\r\n");
    GIVES("b", "--b\r\n" FILE_PART "\r\n\r\n\r\n--b--\r\n", "\r\n\r\n");
}

static void other_parts_are_passed(void)
{
    GIVES("b", "--b\r\n" PART("name=a") "1\r\n--b\r\n" FILE_PART "abc\r\n--b\r\n" PART("name=\"c d\"") "\r\n--b--\r\n",
          "abc");
    CHECK(strcmp(fields, "a;c d;") == 0);
    REFUSES("--b\r\n" PART("name=bad") "1\r\n--b--", "bad");
}

static void heads(void)
{
    GIVES("b", "--b\r\nContent-Type: text/plain\r\ncontent-disposition:form-data;filename=x;name=y\r\n\r\n1\r\n--b--",
          "1");
    GIVES("b", "--b\r\nContent-Transfer-Encoding: Binary\r\n" PART("name=x; filename*=UTF-8''%41") "1\r\n--b--", "1");
    GIVES("b", "--b\r\n" PART("name=x; filename=\"a;\\\" name=z\"") "1\r\n--b--", "1");
    REFUSES("--b\r\nContent-Transfer-Encoding: base64\r\n" FILE_PART "MQ==\r\n--b--", "Transfer-Encoding");
    REFUSES("--b\r\nContent-Encoding: gzip\r\n" FILE_PART "1\r\n--b--", "Content-Encoding");
    REFUSES("--b\r\nContent-Type: text/plain\r\n\r\n1\r\n--b--", "without Content-Disposition");
    REFUSES("--b\r\nContent-Disposition: attachment; filename=x\r\n\r\n1\r\n--b--", "Content-Disposition");
    REFUSES("--b\r\nContent-Disposition: form-data; filename=\"x\r\n\r\n1\r\n--b--", "Content-Disposition");
    REFUSES("--b\r\nContent-Disposition: form-data; filename=x; filename=y\r\n\r\n1\r\n--b--", "Content-Disposition");
    REFUSES("--b\r\nX: y\r\n z\r\n" FILE_PART "1\r\n--b--", "folded");
    REFUSES("--b\nX: y\r\n" FILE_PART "1\r\n--b--", "a line");
}

static void what_is_not_whole(void)
{
    static const char whole[] = "--b\r\n" FILE_PART "abc\r\n--b--";
    for (size_t n = 0; n < sizeof(whole) - 1; n++)
        CHECK_INT(read_in("b", whole, n, n + 1), SV_E_BAD_REQUEST);
    REFUSES("--b\r\n" PART("name=a") "1\r\n--b--", "no file");
    REFUSES("--b--", "no file");
    REFUSES("--b\r\n" FILE_PART "1\r\n--b\r\n" FILE_PART "2\r\n--b--", "more than one");
    REFUSES("--b\r\n" FILE_PART "1\r\n--bc\r\n" FILE_PART "2\r\n--b--", "goes on");
    REFUSES("just an image", "before its last boundary");
}

static void bounds(void)
{
    static char body[SV_MULTIPART_REST + 4096];
    memset(body, 'x', sizeof(body));
    CHECK_INT(read_in("b", body, sizeof(body), 4096), SV_E_BAD_REQUEST);
    CHECK(strstr(err.arg[0], "too much"));
    memcpy(body, "--b\r\n", 5);
    CHECK_INT(read_in("b", body, 4096, 7), SV_E_BAD_REQUEST);
    CHECK(strstr(err.arg[0], "too long"));
}

static void types(void)
{
    char b[SV_BOUNDARY_MAX + 1];
    CHECK(!sv_multipart_type(NULL, b) && !sv_multipart_type("multipart/form-dataX; boundary=b", b) &&
          !sv_multipart_type("multipart/mixed; boundary=b", b));
    CHECK(sv_multipart_type("multipart/form-data; boundary=----WebKit0", b) && strcmp(b, "----WebKit0") == 0);
    CHECK(sv_multipart_type("Multipart/Form-Data;charset=utf-8 ; BOUNDARY=\"a b:c\"", b) && strcmp(b, "a b:c") == 0);
    static const char *const bad[] = {
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"a ",
        "multipart/form-data; boundary=\"a \"",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=\"a\\\"b\"",
        "multipart/form-data; boundary=12345678901234567890123456789012345678901234567890123456789012345678901"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(sv_multipart_type(bad[i], b) && b[0] == '\0');
}

CHECK_MAIN(T(the_file_as_it_is), T(other_parts_are_passed), T(heads), T(what_is_not_whole), T(bounds), T(types))
