#include "hv/image.h"

#include "starvirt/log.h"
#include "starvirt/proc.h"
#include "starvirt/room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOOL_CPU_BASE    120          /* [s] */
#define TOOL_CPU_RATE    (50LL << 20) /* [bytes] of virtual size that earn another second */
#define ROOM_SLACK       (16LL << 20) /* [bytes] the copy may take beyond what was measured, */
#define ROOM_SLACK_SHARE 16           /* of what is measured: the image may change meanwhile, but not unpack */

struct progress {
    sv_hv_progress tell;
    void *arg;
    int64_t total;
    char last[32]; /* tail of what came, a report may be split */
    size_t n;
};

/* "(12.34/100%)", the end of what came: permille, -1 if it is no report. */
static int64_t parse_permille(const char *s)
{
    static const char tail[] = "/100%)";
    char digits[8];
    int64_t whole;
    const char *from = strrchr(s, '('), *dot = from ? strchr(from, '.') : NULL;
    if (!dot || dot == from + 1 || dot - from > 4 || dot[1] < '0' || dot[1] > '9' || !strstr(dot, tail))
        return -1;
    memcpy(digits, from + 1, (size_t)(dot - from - 1));
    digits[dot - from - 1] = '\0';
    return sv_parse_int(digits, &whole) && whole >= 0 && whole <= 100 ? whole * 10 + (dot[1] - '0') : -1;
}

static void on_output(void *arg, const char *chunk, size_t n)
{
    struct progress *p = arg;
    for (size_t i = 0; i < n; i++) {
        if (p->n == sizeof(p->last) - 1) {
            memmove(p->last, p->last + 1, p->n - 1);
            p->n--;
        }
        p->last[p->n++] = chunk[i];
        p->last[p->n] = '\0';
        if (chunk[i] != ')')
            continue;
        int64_t permille = parse_permille(p->last);
        if (permille >= 0 && p->tell)
            p->tell(p->arg, p->total * permille / 1000, p->total);
        p->n = 0;
    }
}

static enum sv_err room(const struct statvfs *fs, int64_t need, struct sv_error *err)
{
    return need > sv_room_left(fs) ? sv_fail(err, SV_E_STORAGE_FULL, SV_F_NONE) : SV_OK;
}

/* *ret: the bytes that the copy is allowed to take. */
static enum sv_err check_room(const char *src, const char *format, int dir, int64_t *ret, const struct sv_deadline *d,
                              struct sv_error *err)
{
    struct statvfs fs;
    int64_t need = 0;
    enum sv_err rc = image_tool_measure(src, format, &need, d, err);
    if (rc)
        return rc;
    if (fstatvfs(dir, &fs) != 0)
        return sv_fail(err, SV_E_STORAGE, SV_F_NONE, strerrordesc_np(errno));
    rc = room(&fs, need, err);
    if (!rc)
        *ret = need + need / ROOM_SLACK_SHARE + ROOM_SLACK;
    return rc;
}

/* `limit`: no file grows past it; 0 = none. */
static enum sv_err copy(const char *src, const char *format, const char *tmp, int64_t virtual_size, int64_t limit,
                        struct progress *progress, const struct sv_deadline *d, struct sv_error *err)
{
    const char *const argv[] = {"qemu-img", "convert", "-p", "-f", format, "-O", "qcow2", "--", src, tmp, NULL};
    struct sv_proc p = {
        .cpu_s = TOOL_CPU_BASE + virtual_size / TOOL_CPU_RATE,
        .file_bytes = limit,
        .deadline = d,
        .on_output = on_output,
        .arg = progress,
    };
    return image_tool("convert", argv, &p, err);
}

/* What was made must pass the same gate, as a qcow2 that stands alone. */
static enum sv_err check_result(int fd, const char *tmp, struct sv_error *err)
{
    struct sv_image made;
    enum sv_err rc = sv_image_check(tmp, "qcow2", &made, err);
    if (!rc && (fchmod(fd, 0444) != 0 || fsync(fd) != 0))
        rc = sv_fail(err, SV_E_STORAGE, SV_F_NONE, strerrordesc_np(errno));
    return rc;
}

static enum sv_err into_place(int dir, const char *tmp, const char *dst, struct sv_error *err)
{
    if (rename(tmp, dst) == 0 && fsync(dir) == 0)
        return SV_OK;
    return sv_fail(err, errno == ENOSPC ? SV_E_STORAGE_FULL : SV_E_STORAGE, SV_F_NONE, strerrordesc_np(errno));
}

static int open_dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    SV_AUTOFREE char *dir = slash ? sv_strdup(path) : sv_strdup(".");
    if (slash)
        dir[slash == path ? 1 : slash - path] = '\0';
    return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static enum sv_err convert_open(const struct image_file *f, const struct sv_image *image, const char *dst, int dir,
                                struct progress *progress, const struct sv_deadline *d, struct sv_error *err)
{
    unsigned char salt[8];
    char hex[2 * sizeof(salt) + 1];
    sv_random(salt, sizeof(salt));
    sv_hex(salt, sizeof(salt), hex);
    SV_AUTOFREE char *tmp = sv_asprintf("%s%s.part-%s", dst[0] == '/' ? "" : "./", dst, hex);
    SV_AUTOFREE char *src = image_tool_name(f);
    int fd = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return sv_fail(err, errno == ENOSPC ? SV_E_STORAGE_FULL : SV_E_STORAGE, SV_F_NONE, strerrordesc_np(errno));
    int64_t limit = 0;
    enum sv_err rc = check_room(src, image->format, dir, &limit, d, err);
    if (!rc)
        rc = copy(src, image->format, tmp, image->virtual_size, limit, progress, d, err);
    if (!rc)
        rc = check_result(fd, tmp, err);
    if (!rc)
        rc = into_place(dir, tmp, dst, err);
    if (rc)
        unlink(tmp);
    close(fd);
    return rc;
}

enum sv_err sv_image_convert(const char *src, const char *format, const char *dst, sv_hv_progress progress, void *arg,
                             const struct sv_deadline *d, struct sv_error *err)
{
    struct image_file f = {.fd = -1};
    struct sv_image image = {0};
    enum sv_err rc = image_open(src, &f, err);
    if (rc)
        return rc;
    rc = image_inspect(&f, format, &image, err);
    if (!rc)
        rc = image_sound(&f, image.format, d, err);
    int dir = rc ? -1 : open_dir_of(dst);
    if (!rc && dir < 0)
        rc = sv_fail(err, SV_E_STORAGE, SV_F_NONE, strerrordesc_np(errno));
    struct progress p = {.tell = progress, .arg = arg, .total = image.virtual_size};
    if (!rc)
        rc = convert_open(&f, &image, dst, dir, &p, d, err);
    if (dir >= 0)
        close(dir);
    image_close(&f);
    return rc;
}

/* --- files of ours --- */

static enum sv_err unreadable(enum sv_err rc, struct sv_error *err)
{
    return rc == SV_E_IMAGE_REFUSED ? sv_fail(err, SV_E_STORAGE, SV_F_NONE, "the disk's file cannot be read") : rc;
}

enum sv_err sv_image_copy(const char *src, int64_t size, const char *dst, sv_hv_progress progress, void *arg,
                          const struct sv_deadline *d, struct sv_error *err)
{
    struct progress p = {.tell = progress, .arg = arg, .total = size};
    enum sv_err rc = copy(src, "qcow2", dst, size, 0, &p, d, err);
    if (rc)
        unlink(dst);
    return unreadable(rc, err);
}

enum sv_err sv_image_measure(const char *src, int64_t *ret, const struct sv_deadline *d, struct sv_error *err)
{
    return unreadable(image_tool_measure(src, "qcow2", ret, d, err), err);
}

enum sv_err sv_image_room(const char *dir, int64_t bytes, struct sv_error *err)
{
    struct statvfs fs;
    if (statvfs(dir, &fs) != 0)
        return sv_fail(err, SV_E_STORAGE, SV_F_NONE, strerrordesc_np(errno));
    return room(&fs, bytes, err);
}
