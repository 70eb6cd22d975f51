#include "hv/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the first bytes of a file can claim. Formats that QEMU could be talked into probing are listed
 * so that none of them passes as "raw" (threats 1-4); only rows with a format are let in. */
struct magic {
    const char *bytes;
    size_t n;
    const char *format; /* NULL = refused */
    const char *what;
};

static const struct magic magics[] = {
    {"QFI\xfb", 4, "qcow2", "qcow2"},
    {"KDMV", 4, "vmdk", "VMDK"},
    {"COWD", 4, NULL, "VMDK of the old COWD kind"},
    {"# Disk DescriptorFile", 21, NULL, "VMDK descriptor that names other files"},
    {"QED", 4, NULL, "QED"},
    {"LUKS\xba\xbe", 6, NULL, "LUKS"},
    {"SKUL\xba\xbe", 6, NULL, "LUKS"},
    {"conectix", 8, NULL, "VHD"},
    {"vhdxfile", 8, NULL, "VHDX"},
    {"<<< ", 4, NULL, "VDI"},
    {"WithoutFreeSpace", 16, NULL, "Parallels"},
    {"WithouFreSpacExt", 16, NULL, "Parallels"},
    {"Bochs Virtual HD Image", 22, NULL, "Bochs"},
    {"#!/bin/sh\n#V2.0 Format", 22, NULL, "cloop"},
    {"\x1f\x8b", 2, NULL, "gzip, unpack it first"},
    {"\xfd"
     "7zXZ",
     6, NULL, "xz, unpack it first"},
    {"\x28\xb5\x2f\xfd", 4, NULL, "zstd, unpack it first"},
    {"BZh", 3, NULL, "bzip2, unpack it first"},
    {"PK\x03\x04", 4, NULL, "zip, unpack it first"},
    {"7z\xbc\xaf\x27\x1c", 6, NULL, "7z, unpack it first"},
};

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

static const struct magic *find_magic(const struct image_file *f)
{
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
        if (f->head_len >= magics[i].n && memcmp(f->head, magics[i].bytes, magics[i].n) == 0)
            return &magics[i];
    return NULL;
}

/* VHD and DMG are known by their last 512 bytes. */
static bool has_foreign_trailer(const struct image_file *f)
{
    char tail[8];
    if (f->size < 512 || !image_read(f, f->size - 512, tail, sizeof(tail)))
        return false;
    return memcmp(tail, "conectix", 8) == 0 || memcmp(tail, "koly", 4) == 0;
}

static enum sv_err detect(const struct image_file *f, const char **ret_format, struct sv_error *err)
{
    const struct magic *m = find_magic(f);
    char why[96];
    if (m && !m->format) {
        snprintf(why, sizeof(why), "this is %s; qcow2, raw and vmdk are taken", m->what);
        return image_refuse(err, why);
    }
    if (!m && has_foreign_trailer(f))
        return image_refuse(err, "this is VHD or DMG; qcow2, raw and vmdk are taken");
    *ret_format = m ? m->format : "raw";
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
    const char *found = "raw";
    int64_t virtual_size = f->size;
    enum sv_err e = detect(f, &found, err);
    if (e)
        return e;
    if (format && strcmp(format, found) != 0) {
        char why[96];
        snprintf(why, sizeof(why), "named %.16s but the content is %s", format, found);
        return image_refuse(err, why);
    }
    if (strcmp(found, "qcow2") == 0)
        e = image_check_qcow2(f, &virtual_size, err);
    else if (strcmp(found, "vmdk") == 0)
        e = image_check_vmdk(f, &virtual_size, err);
    if (!e)
        e = check_size(virtual_size, err);
    if (e)
        return e;
    *ret = (struct sv_image){.size = f->size, .virtual_size = virtual_size};
    SV_COPY(ret->format, found);
    return SV_OK;
}

enum sv_err sv_image_check(const char *path, const char *format, struct sv_image *ret, struct sv_error *err)
{
    struct image_file f = {.fd = -1};
    enum sv_err e = image_open(path, &f, err);
    if (e)
        return e;
    e = image_inspect(&f, format, ret, err);
    image_close(&f);
    return e;
}
