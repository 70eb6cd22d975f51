#include "server/upload.h"
#include "starvirt/id.h"
#include "starvirt/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1024 * 1024 };
#define PART ".part-"

struct sv_upload {
    char *part, *path; /* path: NULL until finished */
    int fd;
    int64_t size;
    size_t n;
    char buf[BUFFER];
};

static enum sv_err fail(const char *what, int e, struct sv_error *err)
{
    if (e == ENOSPC || e == EDQUOT)
        return sv_fail(err, SV_E_NO_ROOM, SV_F_NONE, sv_bytes(1, 0).s, sv_bytes(0, 0).s);
    char text[SV_ERR_ARG_MAX];
    snprintf(text, sizeof(text), "%s: %s", what, strerror(e));
    return sv_fail(err, SV_E_STORAGE, SV_F_NONE, text);
}

enum sv_err sv_upload_prepare(const char *dir, struct sv_error *err)
{
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return fail("upload directory", errno, err);
    DIR *d = opendir(dir);
    if (!d)
        return fail("upload directory", errno, err);
    for (struct dirent *e; (e = readdir(d));)
        if (strncmp(e->d_name, PART, strlen(PART)) == 0)
            unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    return SV_OK;
}

enum sv_err sv_upload_open(const char *dir, struct sv_upload **ret, struct sv_error *err)
{
    unsigned char random[16];
    char name[2 * sizeof(random) + 1];
    sv_random(random, sizeof(random));
    sv_hex(random, sizeof(random), name);
    SV_AUTOFREE char *part = sv_asprintf("%s/" PART "%s", dir, name);
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail("upload", errno, err);
    struct sv_upload *u = sv_realloc(NULL, sizeof(*u)); /* the buffer need not be zeroed */
    u->fd = fd;
    u->size = 0;
    u->n = 0;
    u->path = NULL;
    u->part = part;
    part = NULL;
    *ret = u;
    return SV_OK;
}

bool sv_upload_fits(const struct sv_upload *u, size_t n)
{
    return n <= sizeof(u->buf) - u->n;
}

bool sv_upload_add(struct sv_upload *u, const void *p, size_t n)
{
    if (n > sizeof(u->buf))
        abort(); /* more than fits even when empty: the connection's own buffer is far smaller */
    if (!sv_upload_fits(u, n))
        return false;
    memcpy(u->buf + u->n, p, n);
    u->n += n;
    u->size += (int64_t)n;
    return true;
}

enum sv_err sv_upload_flush(struct sv_upload *u, struct sv_error *err)
{
    for (size_t done = 0; done < u->n;) {
        ssize_t w = write(u->fd, u->buf + done, u->n - done);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return fail("upload", errno, err);
        done += (size_t)w;
    }
    u->n = 0;
    return SV_OK;
}

struct discarding {
    struct sv_work work; /* first: it is what the threads know */
    int fd;
};

static void discard(struct sv_work *w)
{
    struct discarding *d = (struct discarding *)(void *)w;
    const int rc = ftruncate(d->fd, 0); /* else it goes when it is closed */
    (void)rc;
    close(d->fd);
    free(d);
}

void sv_upload_discard(struct sv_upload *u, struct sv_workers *disk)
{
    int fd = fcntl(u->fd, F_DUPFD_CLOEXEC, 0);
    unlink(u->part);
    if (fd < 0)
        return;
    struct discarding *d = sv_alloc(sizeof(*d));
    *d = (struct discarding){.work.run = discard, .fd = fd};
    if (sv_workers_post(disk, &d->work))
        return;
    close(fd);
    free(d);
}

/* DIR/upload/.part-abc -> DIR/upload/abc */
static char *final_name(const char *part)
{
    const char *base = strrchr(part, '/') + 1;
    return sv_asprintf("%.*s%s", (int)(base - part), part, base + strlen(PART));
}

enum sv_err sv_upload_finish(struct sv_upload *u, struct sv_error *err)
{
    if (sv_upload_flush(u, err) != SV_OK)
        return err->code;
    if (fsync(u->fd) < 0)
        return fail("upload", errno, err);
    char *path = final_name(u->part);
    if (rename(u->part, path) < 0) {
        int e = errno;
        free(path);
        return fail("upload", e, err);
    }
    u->path = path;
    return SV_OK;
}

const char *sv_upload_path(const struct sv_upload *u)
{
    return u->path;
}

int64_t sv_upload_size(const struct sv_upload *u)
{
    return u->size;
}

void sv_upload_close(struct sv_upload *u, bool keep)
{
    if (!u)
        return;
    close(u->fd);
    if (!keep || !u->path)
        unlink(u->path ? u->path : u->part);
    free(u->path);
    free(u->part);
    free(u);
}
