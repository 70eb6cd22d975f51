#include <stdio.h>

#include "base/internal.h"
#include "starvirt/mem.h"
#include "starvirt/text.h"

#include <string.h>

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

size_t sv_utf8_span(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        size_t k = sv_utf8_seq(s + i, n - i);
        if (k == 0)
            break;
        i += k;
    }
    return i;
}

bool sv_utf8_valid(const char *s, size_t n)
{
    return sv_utf8_span(s, n) == n;
}

/* --- for people ------------------------------------------------------------------------------------- */

uint32_t sv_utf8_char(const char *p, size_t *ret_n)
{
    static const unsigned char lead[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    const unsigned char *u = (const unsigned char *)p;
    size_t k = u[0] < 0x80 ? 1 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
    uint32_t c = u[0] & lead[k];
    for (size_t i = 1; i < k; i++)
        c = c << 6 | (u[i] & 0x3f);
    *ret_n = k;
    return c;
}

bool sv_utf8_hidden(uint32_t c)
{
    static const struct {
        uint32_t from, to;
    } hidden[] = {{0, 0x1f},        {0x7f, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},   {0x200b, 0x200f},
                  {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f}};
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        if (c >= hidden[i].from && c <= hidden[i].to)
            return true;
    return false;
}

enum { ESCAPE = 7 }; /* the most bytes of one: \ue0001 */

void sv_show(char *dst, size_t size, const char *src, size_t n, unsigned max)
{
    static const char more[] = "…";
    size_t used = 0;
    dst[0] = '\0';
    for (size_t i = 0, k; i < n; i += k, max--) {
        const size_t room = size - used;
        const uint32_t c = sv_utf8_char(src + i, &k);
        if (max == 0 || room < ESCAPE + sizeof(more)) {
            snprintf(dst + used, room, "%s", room >= sizeof(more) ? more : "");
            return;
        }
        if (sv_utf8_hidden(c))
            used += (size_t)snprintf(dst + used, room, "\\u%04x", (unsigned)c);
        else
            used += (size_t)snprintf(dst + used, room, "%.*s", (int)k, src + i);
    }
}

void sv_utf8_show(struct sv_buf *out, const char *text)
{
    for (size_t n = strlen(text); n > 0;) {
        size_t k = sv_utf8_seq(text, n);
        if (k > 0 && (unsigned char)*text >= ' ' && *text != 0x7f)
            sv_buf_add(out, text, k);
        else
            sv_buf_printf(out, "\\x%02x", (unsigned char)*text);
        text += k ? k : 1;
        n -= k ? k : 1;
    }
}
