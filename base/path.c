#include "starvirt/path.h"
#include "starvirt/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Names that libvirt's XML, and JSON, can carry: others are found out only when the first VM is made. */
static const char *unfit(const char *path)
{
    if (*path == '\0')
        return "empty";
    if (path[0] == '~' && (path[1] == '/' || path[1] == '\0'))
        return "only a shell knows what ~ is";
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return "has a control character";
    return sv_utf8_valid(path, strlen(path)) ? NULL : "is not UTF-8";
}

/* "/a//./b/" is "/a/b"; ".." stays: what it leads to depends on links. */
static char *tidy(const char *path)
{
    struct sv_buf out = {0};
    for (const char *p = path; *p;) {
        const size_t n = strcspn(p, "/");
        if (n > 1 || (n == 1 && p[0] != '.')) {
            sv_buf_putc(&out, '/');
            sv_buf_add(&out, p, n);
        }
        p += n + (p[n] == '/');
    }
    if (out.n == 0)
        sv_buf_putc(&out, '/');
    return sv_buf_steal(&out);
}

char *sv_path_absolute(const char *path, const char *base, const char **ret_why)
{
    SV_AUTOFREE char *here = NULL;
    *ret_why = unfit(path);
    if (*ret_why)
        return NULL;
    if (path[0] != '/' && !base) {
        here = getcwd(NULL, 0);
        /* one outside of our root shows as "(unreachable)/..." */
        *ret_why = here && here[0] == '/' ? unfit(here) : "is relative, and the working directory is gone";
        if (*ret_why)
            return NULL;
        base = here;
    }
    SV_AUTOFREE char *whole = path[0] == '/' ? sv_strdup(path) : sv_asprintf("%s/%s", base, path);
    char *made = tidy(whole);
    if (strlen(made) <= SV_PATH_MAX)
        return made;
    free(made);
    *ret_why = "is longer than 400 bytes";
    return NULL;
}

char *sv_path_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == path ? sv_strdup("/") : sv_asprintf("%.*s", (int)(slash - path), path);
}

enum sv_err sv_fail_path(struct sv_error *err, enum sv_err code, const char *what, const char *path, const char *why)
{
    const size_t n = strlen(path), rest = (what ? strlen(what) + 1 : 0) + strlen(why) + strlen(": ");
    const size_t room = rest + 24 < SV_ERR_ARG_MAX ? SV_ERR_ARG_MAX - 1 - rest : 24;
    const char *from = path;
    if (n > room) {
        from = path + n - (room - strlen("…"));
        while ((*from & 0xC0) == 0x80)
            from++;
    }
    SV_AUTOFREE char *text =
        sv_asprintf("%s%s%s%s: %s", what ? what : "", what ? " " : "", from == path ? "" : "…", from, why);
    return sv_fail(err, code, SV_F_NONE, text);
}
