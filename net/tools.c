#include "net/tools.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "starvirt/proc.h"

void fd_closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

char *tool_find(const char *name)
{
    /* Not PATH: a daemon is often started without the system directories in it. */
    static const char *const dirs[] = {"/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"};
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        char *path = sv_asprintf("%s/%s", dirs[i], name);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

enum sv_err net_errno(struct sv_error *err, const char *what, const char *path)
{
    const char *reason = strerrordesc_np(errno);
    SV_AUTOFREE char *text = sv_asprintf("%s %s: %s", what, path, reason ? reason : "unknown error");
    return sv_fail(err, SV_E_NETWORK, SV_F_NONE, text);
}

static enum sv_err program_failed(const char *name, int status, const struct sv_buf *said, struct sv_error *err)
{
    const char *slash = strrchr(name, '/');
    size_t line = said->p ? strcspn(said->p, "\n") : 0;
    SV_AUTOFREE char *text =
        sv_asprintf("%s ended with %d: %.*s", slash ? slash + 1 : name, status, (int)line, said->p ? said->p : "");
    return sv_fail(err, SV_E_NETWORK, SV_F_NONE, text);
}

enum sv_err program_run(const struct sv_deadline *d, const char *const *argv, const char *input, int netns_fd,
                        struct sv_buf *out, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf said = {0};
    struct sv_deadline limit = sv_deadline_within(d, NET_COMMAND_MS);
    struct sv_proc p = {.argv = argv,
                        .input = input,
                        .input_len = input ? strlen(input) : 0,
                        .out = out,
                        .err = &said,
                        .deadline = &limit,
                        .netns_fd = netns_fd};
    int status = 0;
    enum sv_err rc = sv_proc_run(&p, &status, err);
    if (!rc && status != 0)
        rc = program_failed(argv[0], status, &said, err);
    return rc;
}

/* --- files --- */

static int read_all(int fd, struct sv_buf *ret)
{
    char chunk[8192];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n == 0)
            return 0;
        if (n > 0)
            sv_buf_add(ret, chunk, (size_t)n);
        else if (errno != EINTR)
            return -1;
    }
}

enum sv_err file_read(const char *path, struct sv_buf *ret, struct sv_error *err)
{
    SV_AUTOFD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return SV_OK;
    if (fd < 0 || read_all(fd, ret) != 0)
        return net_errno(err, "read", path);
    return SV_OK;
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno != EINTR)
            return -1;
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        }
    }
    return 0;
}

bool same_text(const struct sv_buf *a, const struct sv_buf *b)
{
    return a->n == b->n && (!a->p || !b->p || memcmp(a->p, b->p, a->n) == 0);
}

/* Not flushed to the disk: what a power cut tears is seen as different and written again. */
static enum sv_err file_replace(const char *path, const void *text, size_t n, struct sv_error *err)
{
    SV_AUTOFREE char *next = sv_asprintf("%s.new", path);
    SV_AUTOFD int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write_all(fd, text, n) != 0)
        return net_errno(err, "write", next);
    if (rename(next, path) != 0)
        return net_errno(err, "rename", next);
    return SV_OK;
}

enum sv_err file_write(const char *path, const void *text, size_t n, bool *ret_changed, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf old = {0};
    enum sv_err rc = file_read(path, &old, err);
    if (rc)
        return rc;
    bool changed = old.n != n || (n > 0 && memcmp(old.p, text, n) != 0) || (n == 0 && access(path, F_OK) != 0);
    if (changed)
        rc = file_replace(path, n ? text : "", n, err);
    if (!rc)
        *ret_changed = changed;
    return rc;
}

enum sv_err file_remove(const char *path, struct sv_error *err)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return net_errno(err, "remove", path);
    return SV_OK;
}
