#include "base/internal.h"
#include "starvirt/mem.h"

static bool is_tail(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

size_t sv_utf8_seq(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    if (n == 0)
        return 0;
    if (u[0] < 0x80)
        return 1;
    if (u[0] >= 0xC2 && u[0] <= 0xDF)
        return n >= 2 && is_tail(u[1]) ? 2 : 0;
    if ((u[0] & 0xF0) == 0xE0) {
        if (n < 3 || !is_tail(u[1]) || !is_tail(u[2]))
            return 0;
        /* overlong forms and the surrogates D800-DFFF */
        if ((u[0] == 0xE0 && u[1] < 0xA0) || (u[0] == 0xED && u[1] > 0x9F))
            return 0;
        return 3;
    }
    if (u[0] >= 0xF0 && u[0] <= 0xF4) {
        if (n < 4 || !is_tail(u[1]) || !is_tail(u[2]) || !is_tail(u[3]))
            return 0;
        /* overlong forms and what lies past U+10FFFF */
        if ((u[0] == 0xF0 && u[1] < 0x90) || (u[0] == 0xF4 && u[1] > 0x8F))
            return 0;
        return 4;
    }
    return 0;
}

size_t sv_utf8_cut(const char *s, size_t max)
{
    size_t n = max;
    while (n > 0 && max - n < 3 && is_tail((unsigned char)s[n]))
        n--;
    /* Not UTF-8 at all: a byte is as good as another. */
    return is_tail((unsigned char)s[n]) ? max : n;
}

bool sv_utf8_valid(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t k = sv_utf8_seq(s + i, n - i);
        if (k == 0)
            return false;
        i += k;
    }
    return true;
}
