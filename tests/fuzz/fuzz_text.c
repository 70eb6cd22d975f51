/* Text that tenants chose (names, descriptions) through everything that writes or reads it. */
#include <string.h>

#include "starvirt/clock.h"
#include "starvirt/text.h"
#include "tests/fuzz/fuzz.h"

/* One JSON string: no raw control character, no quote but the outer two, valid UTF-8. */
static void json(const char *s, size_t n)
{
    struct sv_buf out = {0};
    struct sv_json j;
    sv_json_init(&j, &out);
    sv_json_strn(&j, NULL, s, n);
    MUST(sv_utf8_valid(out.p, out.n));
    MUST(out.n >= 2 && out.p[0] == '"' && out.p[out.n - 1] == '"');
    for (size_t i = 1; i < out.n - 1; i++) {
        MUST((unsigned char)out.p[i] >= 0x20 && out.p[i] != '"');
        if (out.p[i] == '\\')
            MUST(++i < out.n - 1);
    }
    sv_buf_free(&out);
}

/* Markup comes from the writer alone, whatever the text holds. */
static void xml(const char *s)
{
    struct sv_buf out = {0};
    struct sv_xml x;
    size_t open = 0, quotes = 0;
    sv_xml_init(&x, &out);
    sv_xml_open(&x, "a");
    sv_xml_attr(&x, "v", s);
    sv_xml_leaf(&x, "b", s);
    sv_xml_close(&x);
    MUST(sv_utf8_valid(out.p, out.n));
    for (size_t i = 0; i < out.n; i++) {
        open += out.p[i] == '<';
        quotes += out.p[i] == '"';
    }
    MUST(open == 4 && quotes == 2);
    sv_buf_free(&out);
}

/* What a parser accepts is written back as it was. */
static void parsers(const char *s)
{
    char buf[64];
    uint32_t ip;
    int64_t v;
    if (sv_ip4_parse(s, &ip)) {
        sv_ip4_format(ip, buf);
        MUST(strcmp(buf, s) == 0);
    }
    if (sv_time_parse(s, &v) && v != 0) {
        sv_time_format(v, buf);
        MUST(strcmp(buf, s) == 0);
    }
    if (sv_parse_int(s, &v)) {
        snprintf(buf, sizeof(buf), "%lld", (long long)v);
        const char *digits = s + strspn(s, "-0");
        MUST(v == 0 ? *digits == '\0' : strcmp(buf + (v < 0), digits) == 0);
    }
}

/* A cut text is a prefix, fits, and is as valid as the whole was. */
static void copies(const char *s)
{
    char dst[17];
    size_t whole = strlen(s);
    SV_COPY(dst, s);
    size_t n = strlen(dst);
    MUST(n < sizeof(dst) && n <= whole && memcmp(dst, s, n) == 0);
    MUST(n + 4 > sizeof(dst) - 1 || n == whole);
    MUST(!sv_utf8_valid(s, whole) || sv_utf8_valid(dst, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SV_AUTOFREE char *s = sv_alloc(size + 1);
    if (size > 0)
        memcpy(s, data, size);
    json((const char *)data, size);
    xml(s);
    parsers(s);
    copies(s);
    return 0;
}
