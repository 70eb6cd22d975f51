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

/* Copies whole runs and stops only at what must change. */
static void put_string(struct sv_buf *out, const char *s, size_t n)
{
    size_t run = 0, i = 0;
    sv_buf_reserve(out, n + 2);
    sv_buf_putc(out, '"');
    while (i < n) {
        unsigned char c = (unsigned char)s[i];
        if (is_plain(c)) {
            i++;
            continue;
        }
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
    sv_buf_putc(out, '"');
}

/* The comma and the key before any value. */
static void begin(struct sv_json *j, const char *key)
{
    uint64_t bit = UINT64_C(1) << j->depth;
    if (j->filled & bit)
        sv_buf_putc(j->out, ',');
    j->filled |= bit;
    if (key) {
        put_string(j->out, key, strlen(key));
        sv_buf_putc(j->out, ':');
    }
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
    put_string(j->out, v ? v : "", v ? n : 0);
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
