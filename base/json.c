#include <stdlib.h>

#include "base/internal.h"
#include "starvirt/text.h"

#define MAX_DEPTH 63 /* bits of sv_json.filled */

size_t sv_dec_write(char buf[24], int64_t v)
{
    char rev[24];
    size_t n = 0, len = 0;
    uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
    do {
        rev[n++] = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (v < 0)
        buf[len++] = '-';
    while (n > 0)
        buf[len++] = rev[--n];
    return len;
}

void sv_json_init(struct sv_json *j, struct sv_buf *out)
{
    *j = (struct sv_json){.out = out};
}

static void put_escape(struct sv_buf *out, unsigned char c)
{
    static const char short_form[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'};
    if (c < sizeof(short_form) && short_form[c]) {
        char e[2] = {'\\', short_form[c]};
        sv_buf_add(out, e, 2);
        return;
    }
    char u[6] = {'\\', 'u', '0', '0'};
    u[4] = "0123456789abcdef"[c >> 4];
    u[5] = "0123456789abcdef"[c & 15];
    sv_buf_add(out, u, 6);
}

/* Bytes that may be copied as they are: printable ASCII but '"' and '\\'. */
static inline bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

#define BYTES(c) (UINT64_C(0x0101010101010101) * (c))

/* Some byte of v is zero. */
static inline uint64_t has_zero(uint64_t v)
{
    return (v - BYTES(1)) & ~v & BYTES(0x80);
}

/* All eight bytes at p are plain. */
static inline bool eight_plain(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    uint64_t below_blank = (v - BYTES(0x20)) & ~v;
    return (((v | below_blank) & BYTES(0x80)) | has_zero(v ^ BYTES('"')) | has_zero(v ^ BYTES('\\'))) == 0;
}

/* How many bytes from p on may be copied; a reply is nearly all of this kind, so it goes by eights. */
static inline size_t plain_run(const char *p, size_t n)
{
    size_t i = 0;
    while (n - i >= 8 && eight_plain(p + i))
        i += 8;
    /* The rest of a long one by a last eight that overlaps. */
    if (n >= 8 && n - i < 8 && eight_plain(p + n - 8))
        return n;
    while (i < n && is_plain((unsigned char)p[i]))
        i++;
    return i;
}

static inline void ensure(struct sv_buf *out, size_t more)
{
    if (more >= out->cap - out->n)
        sv_buf_reserve(out, more);
}

/* From the first byte that is not plain: whole runs again, stopping at what must change. */
static void put_escaped(struct sv_buf *out, const char *s, size_t n)
{
    size_t run = 0, i = 0;
    while (i < n) {
        i += plain_run(s + i, n - i);
        if (i == n)
            break;
        unsigned char c = (unsigned char)s[i];
        size_t seq = c >= 0x80 ? sv_utf8_seq(s + i, n - i) : 0;
        if (seq) {
            i += seq;
            continue;
        }
        sv_buf_add(out, s + run, i - run);
        if (c >= 0x80)
            sv_buf_puts(out, SV_UTF8_REPLACEMENT);
        else
            put_escape(out, c);
        run = ++i;
    }
    sv_buf_add(out, s + run, n - run);
}

/* The string in its quotes and, after a key, the colon. */
static inline void put_string(struct sv_buf *out, const char *s, size_t n, bool is_key)
{
    size_t plain = plain_run(s, n);
    ensure(out, n + 3);
    char *o = out->p + out->n;
    *o++ = '"';
    memcpy(o, s, plain);
    o += plain;
    if (plain < n) {
        out->n = (size_t)(o - out->p);
        put_escaped(out, s + plain, n - plain);
        ensure(out, 2);
        o = out->p + out->n;
    }
    *o++ = '"';
    if (is_key)
        *o++ = ':';
    *o = '\0';
    out->n = (size_t)(o - out->p);
}

/* The comma and the key before any value. */
static inline void begin(struct sv_json *j, const char *key)
{
    uint64_t bit = UINT64_C(1) << j->depth;
    if (j->filled & bit) {
        ensure(j->out, 1);
        j->out->p[j->out->n++] = ',';
    }
    j->filled |= bit;
    if (key)
        put_string(j->out, key, strlen(key), true);
}

static void enter(struct sv_json *j, const char *key, char bracket)
{
    begin(j, key);
    if (j->depth >= MAX_DEPTH)
        abort();
    j->depth++;
    j->filled &= ~(UINT64_C(1) << j->depth);
    sv_buf_putc(j->out, bracket);
}

static void leave(struct sv_json *j, char bracket)
{
    if (j->depth == 0)
        abort();
    j->depth--;
    sv_buf_putc(j->out, bracket);
}

void sv_json_obj(struct sv_json *j, const char *key)
{
    enter(j, key, '{');
}

void sv_json_arr(struct sv_json *j, const char *key)
{
    enter(j, key, '[');
}

void sv_json_end_obj(struct sv_json *j)
{
    leave(j, '}');
}

void sv_json_end_arr(struct sv_json *j)
{
    leave(j, ']');
}

void sv_json_strn(struct sv_json *j, const char *key, const char *v, size_t n)
{
    begin(j, key);
    put_string(j->out, v ? v : "", v ? n : 0, false);
}

void sv_json_str(struct sv_json *j, const char *key, const char *v)
{
    sv_json_strn(j, key, v, v ? strlen(v) : 0);
}

void sv_json_int(struct sv_json *j, const char *key, int64_t v)
{
    char dec[24];
    begin(j, key);
    sv_buf_add(j->out, dec, sv_dec_write(dec, v));
}

void sv_json_intstr(struct sv_json *j, const char *key, int64_t v)
{
    char dec[26];
    begin(j, key);
    size_t n = sv_dec_write(dec + 1, v);
    dec[0] = dec[n + 1] = '"';
    sv_buf_add(j->out, dec, n + 2);
}

void sv_json_null(struct sv_json *j, const char *key)
{
    begin(j, key);
    sv_buf_puts(j->out, "null");
}

void sv_json_raw(struct sv_json *j, const char *key, const char *json)
{
    begin(j, key);
    sv_buf_puts(j->out, json);
}

void sv_json_bool(struct sv_json *j, const char *key, bool v)
{
    begin(j, key);
    sv_buf_puts(j->out, v ? "true" : "false");
}

void sv_json_boolstr(struct sv_json *j, const char *key, bool v)
{
    begin(j, key);
    sv_buf_puts(j->out, v ? "\"true\"" : "\"false\"");
}
