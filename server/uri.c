#include "server/uri.h"
#include "starvirt/limits.h"
#include "starvirt/mem.h"
#include "starvirt/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const schemes[] = {"http://", "https://"};

/* How much of it is a scheme; 0 = not the absolute form. */
static size_t scheme_length(const char *raw)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (strncasecmp(raw, schemes[i], strlen(schemes[i])) == 0)
            return strlen(schemes[i]);
    return 0;
}

/* What is not of ASCII is let through, as browsers and curl send it. */
static bool is_printable(const char *raw)
{
    for (; *raw; raw++)
        if ((unsigned char)*raw <= ' ' || *raw == 0x7f || *raw == '#')
            return false;
    return true;
}

bool sv_uri_host_ok(const char *host, size_t n)
{
    const char *rest = host, *end = host + n;
    if (n > 0 && *host == '[') {
        rest = memchr(host, ']', n);
        if (!rest || rest - host < 3 || strspn(host + 1, "0123456789abcdefABCDEF:.vV") != (size_t)(rest - host - 1))
            return false;
        rest++;
    }
    while (rest < end && *rest != ':') {
        if (*host == '[' || *rest == '\0' ||
            !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=%", *rest))
            return false;
        rest++;
    }
    for (rest += rest < end; rest < end; rest++)
        if (*rest < '0' || *rest > '9')
            return false;
    return true;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char *decode(char *path)
{
    char *to = path;
    for (const char *p = path; *p; p++) {
        if (*p != '%') {
            *to++ = *p;
            continue;
        }
        int high = hex(p[1]), low = high < 0 ? -1 : hex(p[2]);
        if (low < 0)
            return "'%' without two hex digits in the path";
        char c = (char)(high * 16 + low);
        if (c == '\0')
            return "NUL in path";
        if (c == '/') {
            *to++ = '%';
            continue; /* its digits stay, too */
        }
        *to++ = c;
        p += 2;
    }
    *to = '\0';
    return NULL;
}

/* The authority of the absolute form; *rest is then where the path begins. */
static const char *take_authority(struct sv_arena *a, const char **rest, struct sv_uri *ret)
{
    size_t skip = scheme_length(*rest);
    if (skip == 0)
        return "target of the request";
    *rest += skip;
    size_t n = strcspn(*rest, "/?");
    if (n == 0 || **rest == ':' || !sv_uri_host_ok(*rest, n))
        return "authority of the request's target";
    ret->authority = sv_arena_strndup(a, *rest, n);
    *rest += n;
    return NULL;
}

const char *sv_uri_parse(struct sv_arena *a, const char *raw, struct sv_uri *ret)
{
    *ret = (struct sv_uri){.path = "/"};
    if (strcmp(raw, "*") == 0) {
        ret->path = "*";
        return NULL;
    }
    if (!is_printable(raw))
        return "target of the request";
    const char *why = *raw == '/' ? NULL : take_authority(a, &raw, ret);
    if (why)
        return why;
    size_t n = strcspn(raw, "?");
    if (raw[n] == '?')
        ret->query = sv_arena_strdup(a, raw + n + 1);
    if (n > SV_MAX_PATH)
        return "path too long";
    if (n == 0)
        return NULL;
    char *path = sv_arena_strndup(a, raw, n);
    ret->path = path;
    return decode(path);
}
