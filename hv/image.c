#include "hv/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum sv_err image_refuse(struct sv_error *err, const char *why)
{
    return sv_fail(err, SV_E_IMAGE_REFUSED, SV_F_NONE, why);
}

bool image_read(const struct image_file *f, int64_t at, void *buf, size_t n)
{
    size_t got = 0;
    if (at < 0 || at > f->size || n > (uint64_t)(f->size - at))
        return false;
    while (got < n) {
        ssize_t r = pread(f->fd, (char *)buf + got, n - got, at + (int64_t)got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return false;
        got += (size_t)r;
    }
    return true;
}

bool image_has(const struct image_file *f, uint64_t at, uint64_t n)
{
    return at <= (uint64_t)f->size && n <= (uint64_t)f->size - at;
}

void image_close(struct image_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

enum sv_err image_open(const char *path, struct image_file *ret, struct sv_error *err)
{
    struct image_file f = {.fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)};
    struct stat st;
    if (f.fd < 0) {
        char why[64];
        snprintf(why, sizeof(why), "the file cannot be opened: %s", strerrordesc_np(errno));
        return image_refuse(err, errno == ELOOP ? "the file is a symbolic link" : why);
    }
    if (fstat(f.fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        image_close(&f);
        return image_refuse(err, "not a regular file");
    }
    f.size = st.st_size;
    f.head_len = f.size < IMAGE_HEAD ? (size_t)f.size : IMAGE_HEAD;
    if (f.size == 0 || !image_read(&f, 0, f.head, f.head_len)) {
        image_close(&f);
        return image_refuse(err, "the file is empty or cannot be read");
    }
    *ret = f;
    return SV_OK;
}

static enum sv_err check_size(int64_t virtual_size, struct sv_error *err)
{
    if (virtual_size <= 0)
        return image_refuse(err, "the virtual size is zero");
    if (virtual_size > SV_MAX_IMAGE_VIRTUAL)
        return image_refuse(err, "the virtual size is over the limit of 4 TiB");
    return SV_OK;
}

enum sv_err image_inspect(const struct image_file *f, const char *format, struct sv_image *ret, struct sv_error *err)
{
    const char *found = NULL;
    int64_t virtual_size = (f->size + IMAGE_SECTOR - 1) / IMAGE_SECTOR * IMAGE_SECTOR;
    enum sv_err rc = image_detect(f, format, &found, err);
    if (rc)
        return rc;
    if (strcmp(found, "qcow2") == 0)
        rc = image_check_qcow2(f, &virtual_size, err);
    else if (strcmp(found, "vmdk") == 0)
        rc = image_check_vmdk(f, &virtual_size, err);
    if (!rc)
        rc = check_size(virtual_size, err);
    if (rc)
        return rc;
    *ret = (struct sv_image){.size = f->size, .virtual_size = virtual_size};
    SV_COPY(ret->format, found);
    return SV_OK;
}

enum sv_err sv_image_check(const char *path, const char *format, struct sv_image *ret, struct sv_error *err)
{
    struct image_file f = {.fd = -1};
    enum sv_err rc = image_open(path, &f, err);
    if (rc)
        return rc;
    rc = image_inspect(&f, format, ret, err);
    image_close(&f);
    return rc;
}
