/* What the yardsticks are made of: the cheapest honest way to do each part of a request, with nothing of
 * the product in it. No authentication, no validation, no tenancy, no state checks. */
#ifndef BENCH_YARD_H
#define BENCH_YARD_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline double yard_now(void) /* [s] */
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

__attribute__((noreturn, format(printf, 1, 2))) static inline void yard_die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

/* A decimal argument within bounds. */
static inline long yard_arg(const char *s, long least, long most)
{
    char *end;
    const long v = strtol(s, &end, 10);
    if (*s == '\0' || *end || v < least || v > most)
        yard_die("%s: a number from %ld to %ld expected", s, least, most);
    return v;
}

static inline int yard_cmp(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of n sorted samples. */
static inline double yard_quantile(const double *sorted, size_t n, double q)
{
    const size_t i = (size_t)(q * (double)n);
    return n == 0 ? 0 : sorted[i < n ? i : n - 1];
}

/* --- growing text --- */
struct yard_text {
    char *p;
    size_t n, cap;
};

static inline char *yard_room(struct yard_text *t, size_t more)
{
    if (!t->p || t->n + more > t->cap) {
        t->cap = (t->n + more) * 2 + 1024;
        t->p = realloc(t->p, t->cap);
        if (!t->p)
            yard_die("out of memory");
    }
    return t->p + t->n;
}

static inline void yard_put(struct yard_text *t, const char *s, size_t n)
{
    memcpy(yard_room(t, n), s, n);
    t->n += n;
}
#define YARD_LIT(t, s) yard_put((t), (s), sizeof(s) - 1)

static inline void yard_put_int(struct yard_text *t, int64_t v)
{
    char digits[24];
    yard_put(t, digits, (size_t)snprintf(digits, sizeof(digits), "%lld", (long long)v));
}

/* A JSON string with what must be escaped escaped. */
static inline void yard_put_str(struct yard_text *t, const char *s, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    char *out = yard_room(t, 6 * n + 2);
    *out++ = '"';
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            *out++ = (char)c;
        } else if (c >= 0x20) {
            *out++ = '\\';
            *out++ = (char)c;
        } else {
            memcpy(out, "\\u00", 4);
            out[4] = hex[c >> 4];
            out[5] = hex[c & 15];
            out += 6;
        }
    }
    *out++ = '"';
    t->n = (size_t)(out - t->p);
}

/* --- Base64 by table: two characters a look-up --- */
static const char yard_b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static char yard_b64_pairs[4096][2];
static signed char yard_b64_value[256];

static inline void yard_b64_init(void)
{
    memset(yard_b64_value, -1, sizeof(yard_b64_value));
    for (int i = 0; i < 64; i++)
        yard_b64_value[(unsigned char)yard_b64[i]] = (signed char)i;
    for (int i = 0; i < 4096; i++) {
        yard_b64_pairs[i][0] = yard_b64[i >> 6];
        yard_b64_pairs[i][1] = yard_b64[i & 63];
    }
}

/* Returns the length; out has room for 4 * ((n + 2) / 3). */
static inline size_t yard_b64_encode(const char *in, size_t n, char *out)
{
    const unsigned char *s = (const unsigned char *)in;
    char *o = out;
    for (; n >= 3; s += 3, n -= 3, o += 4) {
        const uint32_t x = (uint32_t)s[0] << 16 | (uint32_t)s[1] << 8 | s[2];
        memcpy(o, yard_b64_pairs[x >> 12], 2);
        memcpy(o + 2, yard_b64_pairs[x & 4095], 2);
    }
    if (n) {
        const uint32_t x = (uint32_t)s[0] << 16 | (n > 1 ? (uint32_t)s[1] << 8 : 0);
        *o++ = yard_b64[x >> 18];
        *o++ = yard_b64[x >> 12 & 63];
        *o++ = n > 1 ? yard_b64[x >> 6 & 63] : '=';
        *o++ = '=';
    }
    return (size_t)(o - out);
}

/* Returns the length, -1 for what is not padded Base64. */
static inline long yard_b64_decode(const char *in, size_t n, char *out)
{
    char *o = out;
    if (n == 0 || n % 4)
        return -1;
    const size_t pad = (in[n - 1] == '=') + (in[n - 2] == '=' && in[n - 1] == '=');
    for (size_t i = 0; i < n; i += 4) {
        uint32_t x = 0;
        for (size_t j = 0; j < 4; j++) {
            const int v = i + j >= n - pad ? 0 : yard_b64_value[(unsigned char)in[i + j]];
            if (v < 0)
                return -1;
            x = x << 6 | (uint32_t)v;
        }
        *o++ = (char)(x >> 16);
        *o++ = (char)(x >> 8);
        *o++ = (char)x;
    }
    return (long)(o - out) - (long)pad;
}

#endif
