#include <b64/cencode.h>

#include "check.h"
#include "starvirt/id.h"
#include "starvirt/text.h"

static unsigned rnd(unsigned below)
{
    uint32_t v;
    sv_random(&v, sizeof(v));
    return v % below;
}

/* Decodes into memory of exactly n bytes, so that the sanitizer sees one byte too many. */
static bool decode(const char *in, size_t n, struct sv_buf *out, size_t *bad)
{
    SV_AUTOFREE char *copy = sv_realloc(NULL, n);
    SV_AUTOFREE unsigned char *raw = sv_realloc(NULL, n);
    size_t len = 0;
    memcpy(copy, in, n);
    if (!sv_b64_decode(copy, n, raw, &len, bad))
        return false;
    CHECK(len <= n);
    out->n = 0;
    sv_buf_add(out, raw, len);
    return true;
}

static void expect(const char *in, const char *want)
{
    struct sv_buf out = {0};
    size_t bad = 0;
    if (!decode(in, strlen(in), &out, &bad))
        check_failed(__FILE__, __LINE__, "'%s' is refused at %zu", in, bad);
    CHECK_STR(out.p, want);
    sv_buf_free(&out);
}

static void expect_bad(const char *in, size_t position)
{
    struct sv_buf out = {0};
    size_t bad = 0;
    if (decode(in, strlen(in), &out, &bad))
        check_failed(__FILE__, __LINE__, "'%s' is accepted", in);
    if (bad != position)
        check_failed(__FILE__, __LINE__, "'%s' is refused at %zu, not %zu", in, bad, position);
    sv_buf_free(&out);
}

static void rfc_vectors(void)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sv_buf out = {0};
        sv_b64_encode(&out, rows[i][0], strlen(rows[i][0]));
        CHECK_STR(out.p, rows[i][1]);
        expect(rows[i][1], rows[i][0]);
        sv_buf_free(&out);
    }
}

static void tolerance(void)
{
    expect("Zm9vYg", "foob");             /* no padding */
    expect("Zm9v\r\nYmFy\r\n", "foobar"); /* MIME lines */
    expect("\nZ\nm\n9\nv\n", "foo");
    expect("Zg=\n=", "f");
    expect("Pj4-", ">>>"); /* URL-safe */
    expect("Pz8_", "???");
    expect("Pj4+", ">>>");
    expect("Pj4 ", ">>>"); /* a '+' lost in a form */
    expect("eyJhIjoi5LqRIn0=", "{\"a\":\"云\"}");
    expect("", "");
    expect("\r\n", "");
}

static void refusals(void)
{
    expect_bad("Zm9v!", 5);
    expect_bad("{\"a\":1}", 1);
    expect_bad("Zm9v\tYmFy", 5);
    expect_bad("Zm9v\xC3\xA9", 5);
    expect_bad("Zm9v\x7F", 5);
    expect_bad("Z", 1); /* six bits are no byte */
    expect_bad("Zm9vY", 5);
    expect_bad("Z===", 2);
    expect_bad("=", 1);
    expect_bad("Zm9v=", 5); /* nothing to pad */
    expect_bad("Zg=", 3);   /* half a padding */
    expect_bad("Zg===", 5);
    expect_bad("Zg==Zg==", 5); /* two texts */
    expect_bad("Zg== ", 5);
    size_t bad = 0, n = 77;
    unsigned char out[8];
    CHECK(!sv_b64_decode("Zm\0v", 4, out, &n, &bad));
    CHECK_INT(bad, 3);
    CHECK_INT(n, 77); /* written on success only */
}

static void every_character(void)
{
    static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_ \r\n";
    for (int c = 1; c < 256; c++) {
        char in[6] = {'A', 'A', 'A', (char)c, 'A', 'A'};
        struct sv_buf out = {0};
        size_t bad = 0;
        /* A line end leaves five data characters, one too many for a byte: seen as truncated. */
        bool ok = decode(in, c == '\r' || c == '\n' ? 5 : 6, &out, &bad);
        CHECK_INT(ok, strchr(good, c) != NULL);
        if (!ok)
            CHECK_INT(bad, c == '=' ? 5 : 4); /* '=' pads, but then nothing may follow */
        sv_buf_free(&out);
    }
}

/* Breaks lines, drops padding and swaps alphabets at random: the meaning must stay. */
static void mangle(const struct sv_buf *in, struct sv_buf *out)
{
    bool pad = rnd(2);
    for (size_t i = 0; i < in->n; i++) {
        char c = in->p[i];
        if (rnd(10) == 0)
            sv_buf_puts(out, rnd(2) ? "\r\n" : "\n");
        if (c == '=' && !pad)
            continue;
        if (c == '+')
            c = "+- "[rnd(3)];
        if (c == '/')
            c = "/_"[rnd(2)];
        sv_buf_putc(out, c);
    }
}

static void round_trips(void)
{
    for (int round = 0; round < 3000; round++) {
        size_t n = rnd(round % 10 ? 200 : 5000);
        SV_AUTOFREE unsigned char *data = sv_realloc(NULL, n);
        struct sv_buf enc = {0}, mangled = {0}, dec = {0};
        size_t bad = 0;
        sv_random(data, n);
        sv_buf_puts(&enc, "x"); /* appends, does not overwrite */
        sv_b64_encode(&enc, data, n);
        CHECK_INT(enc.n, 1 + (n + 2) / 3 * 4);
        CHECK_INT(enc.p[enc.n], 0);
        memmove(enc.p, enc.p + 1, enc.n--);
        CHECK(decode(enc.p, enc.n, &dec, &bad));
        CHECK_INT(dec.n, n);
        CHECK(n == 0 || memcmp(dec.p, data, n) == 0);
        mangle(&enc, &mangled);
        CHECK(decode(mangled.p ? mangled.p : "", mangled.n, &dec, &bad));
        CHECK_INT(dec.n, n);
        CHECK(n == 0 || memcmp(dec.p, data, n) == 0);
        if (enc.n > 0) {
            size_t at = rnd((unsigned)enc.n);
            enc.p[at] = "!*\t.,\x01\xFF"[rnd(7)];
            CHECK(!decode(enc.p, enc.n, &dec, &bad));
            CHECK_INT(bad, at + 1);
        }
        sv_buf_free(&enc);
        sv_buf_free(&mangled);
        sv_buf_free(&dec);
    }
}

/* The table encoder against the library's, whose line ends are taken out. */
static void same_as_libb64(void)
{
    for (int round = 0; round < 500; round++) {
        char data[600], ref[1000];
        size_t n = rnd(sizeof(data)), len = 0;
        sv_random(data, sizeof(data));
        base64_encodestate st;
        base64_init_encodestate(&st);
        int k = base64_encode_block(data, (int)n, ref, &st);
        k += base64_encode_blockend(ref + k, &st);
        for (int i = 0; i < k; i++)
            if (ref[i] != '\n')
                ref[len++] = ref[i];
        struct sv_buf enc = {0};
        sv_b64_encode(&enc, data, n);
        CHECK_INT(enc.n, len);
        CHECK(memcmp(enc.p, ref, len) == 0);
        sv_buf_free(&enc);
    }
}

CHECK_MAIN(T(rfc_vectors), T(tolerance), T(refusals), T(every_character), T(round_trips), T(same_as_libb64))
