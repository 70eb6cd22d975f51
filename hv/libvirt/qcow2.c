#include "hv/libvirt/internal.h"

#include "starvirt/log.h"
#include "starvirt/proc.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* What is done to files of volumes that no QEMU has open, and what can be read of those that one has. The
 * format is always named: nothing looks into what a guest wrote. */

enum { TOOL_CPU_S = 600 };
#define TOOL_MEMORY (2LL << 30) /* [bytes] */
#define NEARLY_FULL SV_MIB      /* [bytes] free: nothing of a disk's gets written any more */

static enum sv_err tool(const char *const *argv, struct sv_buf *out, const struct sv_deadline *d, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    int status = -1;
    const struct sv_proc p = {
        .argv = argv, .out = out, .err = &text, .cpu_s = TOOL_CPU_S, .memory_bytes = TOOL_MEMORY, .deadline = d};
    enum sv_err rc = sv_proc_run(&p, &status, err);
    if (rc || status == 0)
        return rc;
    sv_log(SV_LOG_WARN, "hv.qemu_img", "what", argv[1], "status", sv_dec(status).s, "text", text.n ? text.p : "", NULL);
    if (text.n && strstr(text.p, "No space left on device"))
        return sv_fail(err, SV_E_STORAGE_FULL, SV_F_NONE);
    return sv_fail(err, SV_E_STORAGE, SV_F_NONE, "the disk's file cannot be read or changed");
}

enum sv_err lv_qcow2_create(const char *path, int64_t size, const struct sv_deadline *d, struct sv_error *err)
{
    const struct sv_dec bytes = sv_dec(size);
    const char *const argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", "--", path, bytes.s, NULL};
    return tool(argv, NULL, d, err);
}

enum sv_err lv_qcow2_grow(const char *path, int64_t size, const struct sv_deadline *d, struct sv_error *err)
{
    const struct sv_dec bytes = sv_dec(size);
    const char *const argv[] = {"qemu-img", "resize", "-q", "-f", "qcow2", "--", path, bytes.s, NULL};
    return tool(argv, NULL, d, err);
}

enum sv_err lv_qcow2_holds(const char *path, const struct sv_id *snapshot, bool *ret, const struct sv_deadline *d,
                           struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    const char *const argv[] = {"qemu-img", "info", "-U", "--output=json", "-f", "qcow2", "--", path, NULL};
    enum sv_err rc = tool(argv, &out, d, err);
    if (rc)
        return rc;
    SV_AUTOFREE char *name = sv_asprintf("\"name\": \"%s\"", snapshot->s);
    *ret = out.n && strstr(out.p, name);
    return SV_OK;
}

/* The command has no -f: the format is named with the file, whose commas are doubled there. */
static char *named(const char *path)
{
    struct sv_buf out = {0};
    sv_buf_printf(&out, "driver=qcow2,file.driver=file,file.filename=");
    for (const char *p = path; *p; p++)
        *p == ',' ? sv_buf_add(&out, ",,", 2) : sv_buf_add(&out, p, 1);
    return out.p;
}

enum sv_err lv_qcow2_apply(const char *path, const struct sv_id *snapshot, const struct sv_deadline *d,
                           struct sv_error *err)
{
    SV_AUTOFREE char *file = named(path);
    const char *const argv[] = {"qemu-img", "snapshot", "-q", "-a", snapshot->s, "--image-opts", file, NULL};
    return tool(argv, NULL, d, err);
}

enum sv_err lv_qcow2_drop(const char *path, const struct sv_id *snapshot, const struct sv_deadline *d,
                          struct sv_error *err)
{
    SV_AUTOFREE char *file = named(path);
    const char *const argv[] = {"qemu-img", "snapshot", "-q", "-d", snapshot->s, "--image-opts", file, NULL};
    return tool(argv, NULL, d, err);
}

char *lv_qcow2_backing(const char *path)
{
    struct {
        uint32_t magic, version;
        uint64_t at;
        uint32_t n;
    } __attribute__((packed)) head;
    char name[1024] = ""; /* no reader takes a longer one */
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    bool there = pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) && memcmp(&head.magic, "QFI\xfb", 4) == 0;
    const size_t n = there ? be32toh(head.n) : 0;
    there = n > 0 && n < sizeof(name) && pread(fd, name, n, (off_t)be64toh(head.at)) == (ssize_t)n;
    close(fd);
    return there ? sv_strdup(name) : NULL;
}

bool lv_qcow2_stands_alone(const char *path)
{
    unsigned char head[16];
    uint64_t backing = 0;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t n = pread(fd, head, sizeof(head), 0);
    close(fd);
    for (size_t i = 8; i < sizeof(head); i++)
        backing = backing << 8 | head[i];
    return n == (ssize_t)sizeof(head) && memcmp(head, "QFI\xfb", 4) == 0 && backing == 0;
}

enum sv_err lv_file_sync(const char *path, struct sv_error *err)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    const bool synced = fd >= 0 && fsync(fd) == 0;
    const int number = errno;
    if (fd >= 0)
        close(fd);
    if (synced)
        return SV_OK;
    return number == ENOSPC ? sv_fail(err, SV_E_STORAGE_FULL, SV_F_NONE)
                            : sv_fail(err, SV_E_STORAGE, SV_F_NONE, strerrordesc_np(number));
}

int64_t lv_free_bytes(const char *path)
{
    struct statvfs fs;
    return statvfs(path, &fs) == 0 ? (int64_t)fs.f_bavail * (int64_t)fs.f_frsize : INT64_MAX;
}

enum sv_err lv_unless_full(const char *path, enum sv_err rc, struct sv_error *err)
{
    return rc == SV_E_HYPERVISOR && lv_free_bytes(path) < NEARLY_FULL ? sv_fail(err, SV_E_STORAGE_FULL, SV_F_NONE) : rc;
}
