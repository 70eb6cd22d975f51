#include "starvirt/conf.h"
#include "starvirt/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void close_file(FILE **f)
{
    if (*f)
        fclose(*f);
}

static char *trim(char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    size_t n = strlen(s);
    while (n > 0 && strchr(" \t\r\n", s[n - 1]))
        s[--n] = '\0';
    return s;
}

static char *unquote(char *s)
{
    size_t n = strlen(s);
    if (n >= 2 && s[0] == '"' && s[n - 1] == '"') {
        s[n - 1] = '\0';
        return s + 1;
    }
    return s;
}

static enum sv_err take_line(char *text, sv_conf_fn fn, void *arg, struct sv_buf *why)
{
    char *name = trim(text);
    if (*name == '\0' || *name == '#')
        return SV_OK;
    char *eq = strchr(name, '=');
    if (!eq) {
        sv_buf_puts(why, "expected name = value");
        return SV_E_CONFIG;
    }
    *eq = '\0';
    return fn(arg, trim(name), unquote(trim(eq + 1)), why);
}

static enum sv_err unreadable(const char *path, struct sv_buf *why)
{
    const int code = errno;
    sv_buf_printf(why, "%s: %s", path, strerror(code));
    return SV_E_CONFIG;
}

enum sv_err sv_conf_read(const char *path, sv_conf_fn fn, void *arg, struct sv_buf *why)
{
    SV_CLEANUP(close_file) FILE *f = fopen(path, "re");
    if (!f)
        return unreadable(path, why);
    SV_AUTOFREE char *line = NULL;
    size_t cap = 0;
    for (unsigned n = 1; getline(&line, &cap, f) >= 0; n++) {
        SV_CLEANUP(sv_buf_free) struct sv_buf inner = {0};
        if (take_line(line, fn, arg, &inner)) {
            sv_buf_printf(why, "%s:%u: %s", path, n, inner.p);
            return SV_E_CONFIG;
        }
    }
    return ferror(f) ? unreadable(path, why) : SV_OK; /* a directory, too, shows at the first read */
}
