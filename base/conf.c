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

static enum sv_err refuse(const char *path, unsigned line, const char *why, struct sv_error *err)
{
    SV_AUTOFREE char *text = sv_asprintf("%s:%u: %s", path, line, why);
    return sv_fail(err, SV_E_CONFIG, SV_F_NONE, text);
}

static enum sv_err take_line(char *text, sv_conf_fn fn, void *arg, const char **ret_why, struct sv_error *inner)
{
    char *name = trim(text);
    if (*name == '\0' || *name == '#')
        return SV_OK;
    char *eq = strchr(name, '=');
    if (!eq) {
        *ret_why = "expected name = value";
        return SV_E_CONFIG;
    }
    *eq = '\0';
    enum sv_err r = fn(arg, trim(name), unquote(trim(eq + 1)), inner);
    *ret_why = inner->arg[0];
    return r;
}

enum sv_err sv_conf_read(const char *path, sv_conf_fn fn, void *arg, struct sv_error *err)
{
    SV_CLEANUP(close_file) FILE *f = fopen(path, "re");
    if (!f) {
        SV_AUTOFREE char *text = sv_asprintf("%s: %s", path, strerror(errno));
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, text);
    }
    SV_AUTOFREE char *line = NULL;
    size_t cap = 0;
    for (unsigned n = 1; getline(&line, &cap, f) >= 0; n++) {
        const char *why = NULL;
        struct sv_error inner = {0};
        if (take_line(line, fn, arg, &why, &inner) != SV_OK)
            return refuse(path, n, why, err);
    }
    if (ferror(f))
        return refuse(path, 0, strerror(errno), err);
    return SV_OK;
}
