#include <stdio.h>
#include <stdlib.h>

#include "starvirt/mem.h"

void sv_buf_reserve(struct sv_buf *b, size_t more)
{
    size_t need;
    if (__builtin_add_overflow(b->n, more, &need) || need > SIZE_MAX / 4)
        abort();
    if (need < b->cap) /* one byte stays for the NUL */
        return;
    size_t cap = b->cap ? b->cap : 256;
    while (cap <= need)
        cap *= 2;
    b->p = sv_realloc(b->p, cap);
    b->cap = cap;
}

void sv_buf_add(struct sv_buf *b, const void *p, size_t n)
{
    sv_buf_reserve(b, n);
    if (n > 0)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = '\0';
}

void sv_buf_puts(struct sv_buf *b, const char *s)
{
    sv_buf_add(b, s, strlen(s));
}

void sv_buf_putc(struct sv_buf *b, char c)
{
    sv_buf_reserve(b, 1);
    b->p[b->n++] = c;
    b->p[b->n] = '\0';
}

void sv_buf_printf(struct sv_buf *b, const char *fmt, ...)
{
    va_list ap;
    sv_buf_reserve(b, 128);
    va_start(ap, fmt);
    int n = vsnprintf(b->p + b->n, b->cap - b->n, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    if ((size_t)n >= b->cap - b->n) {
        sv_buf_reserve(b, (size_t)n);
        va_start(ap, fmt);
        vsnprintf(b->p + b->n, b->cap - b->n, fmt, ap);
        va_end(ap);
    }
    b->n += (size_t)n;
}

void sv_buf_free(struct sv_buf *b)
{
    free(b->p);
    *b = (struct sv_buf){0};
}

char *sv_buf_steal(struct sv_buf *b)
{
    sv_buf_reserve(b, 0);
    char *p = b->p;
    p[b->n] = '\0';
    *b = (struct sv_buf){0};
    return p;
}
