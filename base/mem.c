#include "starvirt/mem.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/internal.h"

static void *check_memory(void *p)
{
    if (!p) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return p;
}

void *sv_alloc(size_t size)
{
    return check_memory(calloc(1, size ? size : 1));
}

void *sv_realloc(void *p, size_t size)
{
    return check_memory(realloc(p, size ? size : 1));
}

void *sv_grow(void *p, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return p;
    *cap = *cap ? *cap * 2 : 16;
    return sv_realloc(p, *cap * size);
}

char *sv_strdup(const char *s)
{
    return s ? check_memory(strdup(s)) : NULL;
}

char *sv_asprintf(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    return check_memory(n < 0 ? NULL : s);
}

void sv_freep(void *pp)
{
    void **p = pp;
    free(*p);
    *p = NULL;
}

void sv_copy(char *dst, size_t size, const char *src)
{
    size_t n = src ? strlen(src) : 0;
    if (size == 0)
        return;
    if (n >= size)
        n = sv_utf8_cut(src, size - 1);
    if (n > 0)
        memmove(dst, src, n);
    dst[n] = '\0';
}

bool sv_parse_int(const char *s, int64_t *ret)
{
    if (!s)
        return false;
    bool negative = *s == '-';
    const char *p = s + negative;
    if (*p == '\0')
        return false;
    /* Summed below zero, where INT64_MIN has room. */
    int64_t v = 0;
    for (; *p; p++) {
        if (*p < '0' || *p > '9')
            return false;
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, *p - '0', &v))
            return false;
    }
    if (!negative && v == INT64_MIN)
        return false;
    *ret = negative ? v : -v;
    return true;
}

unsigned sv_edit_distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    unsigned rows[3][MAX], *before = rows[0], *last = rows[1], *now = rows[2];
    const size_t n = strlen(a), m = strlen(b);
    if (n >= MAX || m >= MAX)
        return 99;
    for (unsigned j = 0; j <= m; j++)
        last[j] = j;
    for (unsigned i = 1; i <= n; i++) {
        now[0] = i;
        for (unsigned j = 1; j <= m; j++) {
            const unsigned changed = last[j - 1] + (a[i - 1] != b[j - 1]);
            const unsigned one_more = 1 + (last[j] < now[j - 1] ? last[j] : now[j - 1]);
            now[j] = changed < one_more ? changed : one_more;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[m];
}
