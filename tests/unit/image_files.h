/* Images made by hand, for the tests of the gate and of what comes behind it. */
#ifndef STARVIRT_TESTS_IMAGE_FILES_H
#define STARVIRT_TESTS_IMAGE_FILES_H

#include "starvirt/hv.h"
#include "starvirt/mem.h"

#include "tests/unit/check.h"

#include <endian.h>
#include <fcntl.h>
#include <unistd.h>

static char dir[] = "/tmp/starvirt-image-XXXXXX";
static char path[256];

static void in_dir(char *buf, size_t size, const char *name)
{
    snprintf(buf, size, "%s/%s", dir, name);
}

static void write_file(const void *data, size_t n)
{
    in_dir(path, sizeof(path), "image");
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0);
    CHECK_INT(write(fd, data, n), n);
    close(fd);
}

static unsigned char q[1024];

static inline void put32(size_t at, uint32_t v)
{
    v = htobe32(v);
    memcpy(q + at, &v, 4);
}

static inline void put64(size_t at, uint64_t v)
{
    v = htobe64(v);
    memcpy(q + at, &v, 8);
}

static inline void good_qcow2(uint32_t version)
{
    memset(q, 0, sizeof(q));
    memcpy(q, "QFI\xfb", 4);
    put32(4, version);
    put32(20, 16);
    put64(24, 64 << 20);
    put32(36, 1);
    put64(40, 3 << 16);
    put64(48, 1 << 16);
    put32(56, 1);
    if (version == 3) {
        put32(96, 4);
        put32(100, 104);
    }
}

static unsigned char v[64 * 1024];

static inline void refused_as(const char *format, const char *why)
{
    struct sv_error err = {0};
    struct sv_image image = {.size = -5};
    CHECK_INT(sv_image_check(path, format, &image, &err), SV_E_IMAGE_REFUSED);
    if (!strstr(err.arg[0], why))
        check_failed(__FILE__, __LINE__, "refused with \"%s\", expected \"%s\"", err.arg[0], why);
    CHECK_INT(image.size, -5);
}

static inline void taken_as(const char *format, const char *found, int64_t virtual_size)
{
    struct sv_error err = {0};
    struct sv_image image;
    if (sv_image_check(path, format, &image, &err))
        check_failed(__FILE__, __LINE__, "refused: %s", err.arg[0]);
    CHECK_STR(image.format, found);
    CHECK_INT(image.virtual_size, virtual_size);
}

static void image_dir_make(void)
{
    CHECK(mkdtemp(dir));
}

static void image_dir_drop(void)
{
    in_dir(path, sizeof(path), "image");
    unlink(path);
    CHECK_INT(rmdir(dir), 0);
}

#endif
