#include "hv/image.h"

#include "starvirt/log.h"
#include "starvirt/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* A hostile image costs at most this much (threat 5): QEMU's thread pool alone reserves half a GiB. */
#define TOOL_MEMORY      (2LL << 30)  /* [bytes] address space */
#define TOOL_CPU_BASE    120          /* [s] */
#define TOOL_CPU_RATE    (50LL << 20) /* [bytes] of virtual size that earn another second */
#define MEASURE_CPU      60           /* [s] */
#define RESERVE_SHARE    20           /* a twentieth of the storage stays free */
#define ROOM_SLACK       (16LL << 20) /* [bytes] the copy may take beyond what was measured, */
#define ROOM_SLACK_SHARE 16           /* and a sixteenth of it: the image may change meanwhile, but not unpack */

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

static enum sv_err tool_failed(const char *what, int status, const struct sv_buf *text, struct sv_error *err)
{
    sv_log(SV_LOG_WARN, "image.tool_failed", "step", what, "status", sv_dec(status).s, "text", text->n ? text->p : "",
           NULL);
    if (text->n && strstr(text->p, "No space left on device"))
        return sv_fail(err, SV_E_STORAGE_FULL, SV_F_NONE);
    if (status > 128 || (text->n && strstr(text->p, "File too large")))
        return image_refuse(err, "reading it took more processor time, memory or room than allowed");
    return image_refuse(err, "it could not be read as what its header says");
}

/* Runs one qemu-img command on the descriptor's own file, which nobody can swap after the check. */
static enum sv_err run_tool(const char *what, const char *const *argv, struct sv_proc *p, struct sv_error *err)
{
    struct sv_buf text = {0};
    int status = -1;
    p->argv = argv;
    p->err = &text;
    p->memory_bytes = TOOL_MEMORY;
    enum sv_err e = sv_proc_run(p, &status, err);
    if (!e && status != 0)
        e = tool_failed(what, status, &text, err);
    sv_buf_free(&text);
    return e;
}

/* The bytes that the copy will take at most, as the tool counts from the image's own tables. */
static enum sv_err measure(const char *src, const char *format, int64_t *ret, const struct sv_deadline *d,
                           struct sv_error *err)
{
    struct sv_buf out = {0};
    const char *const argv[] = {"qemu-img", "measure", "-U", "--output=json", "-f", format, "-O", "qcow2", src, NULL};
    struct sv_proc p = {.out = &out, .cpu_s = MEASURE_CPU, .deadline = d};
    enum sv_err e = run_tool("measure", argv, &p, err);
    static const char key[] = "\"required\": ";
    const char *at = !e && out.n ? strstr(out.p, key) : NULL;
    char digits[24] = "";
    if (at)
        SV_COPY(digits, at + sizeof(key) - 1);
    digits[strspn(digits, "0123456789")] = '\0';
    if (!e && !sv_parse_int(digits, ret))
        e = image_refuse(err, "its size on disk cannot be told");
    sv_buf_free(&out);
    return e;
}

static enum sv_err room(const struct statvfs *fs, int64_t need, struct sv_error *err)
{
    const int64_t unit = (int64_t)fs->f_frsize;
    const int64_t left = (int64_t)fs->f_bavail * unit - (int64_t)fs->f_blocks / RESERVE_SHARE * unit;
    return need > left ? sv_fail(err, SV_E_STORAGE_FULL, SV_F_NONE) : SV_OK;
}

/* *ret: the bytes that the copy is allowed to take. */
static enum sv_err check_room(const char *src, const char *format, int dir, int64_t *ret, const struct sv_deadline *d,
                              struct sv_error *err)
{
    struct statvfs fs;
    int64_t need = 0;
    enum sv_err e = measure(src, format, &need, d, err);
    if (e)
        return e;
    if (fstatvfs(dir, &fs) != 0)
        return sv_fail(err, SV_E_STORAGE, SV_F_NONE, strerrordesc_np(errno));
    e = room(&fs, need, err);
    if (!e)
        *ret = need + need / ROOM_SLACK_SHARE + ROOM_SLACK;
    return e;
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
    return run_tool("convert", argv, &p, err);
}

/* What was made must pass the same gate, as a qcow2 that stands alone. */
static enum sv_err check_result(int fd, const char *tmp, struct sv_error *err)
{
    struct sv_image made;
    enum sv_err e = sv_image_check(tmp, "qcow2", &made, err);
    if (!e && (fchmod(fd, 0444) != 0 || fsync(fd) != 0))
        e = sv_fail(err, SV_E_STORAGE, SV_F_NONE, strerrordesc_np(errno));
    return e;
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
    SV_AUTOFREE char *src = sv_asprintf("/proc/%d/fd/%d", (int)getpid(), f->fd);
    int fd = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return sv_fail(err, errno == ENOSPC ? SV_E_STORAGE_FULL : SV_E_STORAGE, SV_F_NONE, strerrordesc_np(errno));
    int64_t limit = 0;
    enum sv_err e = check_room(src, image->format, dir, &limit, d, err);
    if (!e)
        e = copy(src, image->format, tmp, image->virtual_size, limit, progress, d, err);
    if (!e)
        e = check_result(fd, tmp, err);
    if (!e)
        e = into_place(dir, tmp, dst, err);
    if (e)
        unlink(tmp);
    close(fd);
    return e;
}

enum sv_err sv_image_convert(const char *src, const char *format, const char *dst, sv_hv_progress progress, void *arg,
                             const struct sv_deadline *d, struct sv_error *err)
{
    struct image_file f = {.fd = -1};
    struct sv_image image = {0};
    enum sv_err e = image_open(src, &f, err);
    if (e)
        return e;
    e = image_inspect(&f, format, &image, err);
    int dir = e ? -1 : open_dir_of(dst);
    if (!e && dir < 0)
        e = sv_fail(err, SV_E_STORAGE, SV_F_NONE, strerrordesc_np(errno));
    struct progress p = {.tell = progress, .arg = arg, .total = image.virtual_size};
    if (!e)
        e = convert_open(&f, &image, dst, dir, &p, d, err);
    if (dir >= 0)
        close(dir);
    image_close(&f);
    return e;
}

/* --- files of ours --- */

static enum sv_err unreadable(enum sv_err e, struct sv_error *err)
{
    return e == SV_E_IMAGE_REFUSED ? sv_fail(err, SV_E_STORAGE, SV_F_NONE, "the disk's file cannot be read") : e;
}

enum sv_err sv_image_copy(const char *src, int64_t size, const char *dst, sv_hv_progress progress, void *arg,
                          const struct sv_deadline *d, struct sv_error *err)
{
    struct progress p = {.tell = progress, .arg = arg, .total = size};
    enum sv_err e = copy(src, "qcow2", dst, size, 0, &p, d, err);
    if (e)
        unlink(dst);
    return unreadable(e, err);
}

enum sv_err sv_image_measure(const char *src, int64_t *ret, const struct sv_deadline *d, struct sv_error *err)
{
    return unreadable(measure(src, "qcow2", ret, d, err), err);
}

enum sv_err sv_image_room(const char *dir, int64_t bytes, struct sv_error *err)
{
    struct statvfs fs;
    if (statvfs(dir, &fs) != 0)
        return sv_fail(err, SV_E_STORAGE, SV_F_NONE, strerrordesc_np(errno));
    return room(&fs, bytes, err);
}
