#include "api/internal.h"

/* The words that URLs and bodies are made of. Stands below all other files of this room. */

/* --- methods and paths -------------------------------------------------------------------------- */

enum sv_method sv_method_of(const char *method)
{
    static const char *const names[SV_METHODS] = {
        [SV_GET] = "GET", [SV_POST] = "POST", [SV_PUT] = "PUT", [SV_DELETE] = "DELETE", [SV_PATCH] = "PATCH"};
    for (enum sv_method m = SV_GET; m < SV_METHODS; m++)
        if (method && strcmp(method, names[m]) == 0)
            return m;
    return SV_METHODS;
}

bool sv_is_template(struct sv_slice segment)
{
    return segment.n > 2 && segment.p[0] == '{' && segment.p[segment.n - 1] == '}';
}

bool sv_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool sv_next_segment(const char **p, bool blanks, struct sv_slice *ret)
{
    const char *s = *p;
    for (;;) {
        while (*s == '/' || (blanks && sv_blank(*s)))
            s++;
        if (*s == '\0') {
            *p = s;
            return false;
        }
        const char *end = strchrnul(s, '/');
        *p = end;
        while (blanks && end > s && sv_blank(end[-1]))
            end--;
        *ret = (struct sv_slice){s, (size_t)(end - s)};
        return true;
    }
}

/* --- keys and values ---------------------------------------------------------------------------- */

struct sv_slice sv_trim_key(struct sv_slice key)
{
    while (key.n > 0 && strchr(" \t\r\n", key.p[0]))
        key.p++, key.n--;
    while (key.n > 0 && strchr(" \t\r\n*", key.p[key.n - 1]))
        key.n--;
    return key;
}

void sv_printable(char *dst, size_t size, const char *src, size_t n)
{
    bool utf8 = sv_utf8_valid(src, n);
    if (n >= size)
        n = size - 1;
    /* a cut may have left a part of a character */
    while (utf8 && n > 0 && !sv_utf8_valid(src, n))
        n--;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)src[i];
        dst[i] = c < ' ' || c == 0x7f || (c > 0x7f && !utf8) ? '?' : src[i];
    }
    dst[n] = '\0';
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool sv_percent_decode(struct sv_slice in, bool plus_is_blank, struct sv_arena *a, struct sv_slice *ret)
{
    if (!memchr(in.p, '%', in.n) && !(plus_is_blank && memchr(in.p, '+', in.n))) {
        *ret = in;
        return true;
    }
    char *out = sv_arena_alloc(a, in.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '%') {
            int hi = i + 2 < in.n ? hex(in.p[i + 1]) : -1, lo = i + 2 < in.n ? hex(in.p[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return false;
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        out[n++] = c;
    }
    *ret = (struct sv_slice){out, n};
    return true;
}

bool sv_slice_is(struct sv_slice s, const char *text)
{
    return s.n == strlen(text) && (s.n == 0 || memcmp(s.p, text, s.n) == 0);
}

struct sv_slice sv_path_name(const struct sv_route *r, unsigned at)
{
    const char *p = r->path;
    struct sv_slice s;
    while (sv_next_segment(&p, false, &s))
        if (sv_is_template(s) && at-- == 0)
            return (struct sv_slice){s.p + 1, s.n - 2};
    return (struct sv_slice){0};
}

const struct sv_param *sv_path_row(const struct sv_route *r, unsigned at)
{
    const struct sv_slice name = sv_path_name(r, at);
    for (size_t i = 0; i < r->param_count; i++)
        if (r->params[i].in == SV_IN_PATH && sv_slice_is(name, r->params[i].name))
            return &r->params[i];
    return NULL;
}
