#include "hv/libvirt/internal.h"

#include "starvirt/log.h"
#include "starvirt/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files of the image directory. Names are made of ids only:
 *
 *     <id>.qcow2             a disk
 *     <id>.template.qcow2    a template: stands alone, read-only, shared by the disks on top of it
 *     <name>.part-<random>   one of them being made; put in place by rename
 *     <id>.proof             a boot sector that shows whether KVM executes (domain_type.c)
 *
 * The last two are gone when the program is, or swept away at its next start.
 *
 * A disk names its template relative to itself, so that the directory can move. Disks may also live in the
 * directory of a storage (pool.c), under the same names; there they name their template by its whole path. */

#define DISK_SUFFIX     ".qcow2"
#define TEMPLATE_SUFFIX ".template.qcow2"
#define PART_MARK       ".part-"

enum { TOOL_CPU_S = 60 };
#define TOOL_MEMORY (2LL << 30) /* [bytes] */

char *lv_volume_path(const char *image_dir, const struct sv_id *id, bool is_template)
{
    return sv_asprintf("%s/%s%s", image_dir, id->s, is_template ? TEMPLATE_SUFFIX : DISK_SUFFIX);
}

static enum sv_err storage_fail(struct sv_error *err, int number)
{
    return number == ENOSPC || number == EDQUOT ? sv_fail(err, SV_E_STORAGE_FULL, SV_F_NONE)
                                                : sv_fail(err, SV_E_STORAGE, SV_F_NONE, strerrordesc_np(number));
}

static enum sv_err only_local(struct lv_host *h, struct sv_error *err)
{
    return h->remote ? sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, "disks on a host behind a remote URI") : SV_OK;
}

static enum sv_err valid(const struct sv_id *id, struct sv_error *err)
{
    return sv_id_valid(id->s) ? SV_OK : sv_fail(err, SV_E_STORAGE, SV_F_NONE, "not an id");
}

/* --- the directory --- */

static enum sv_err sync_dir(const char *dir, struct sv_error *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return storage_fail(err, errno);
    enum sv_err rc = fsync(fd) == 0 ? SV_OK : storage_fail(err, errno);
    close(fd);
    return rc;
}

/* Guests run as another user: each directory on the way must let it pass. */
void lv_volume_warn_if_hidden(const char *dir)
{
    SV_AUTOFREE char *at = sv_strdup(dir);
    for (char *slash = at + strlen(at); slash && slash > at; slash = strrchr(at, '/')) {
        struct stat st;
        *slash = '\0';
        if (at[0] && stat(at, &st) == 0 && !(st.st_mode & S_IXOTH))
            sv_log(SV_LOG_WARN, "hv.images_hidden", "dir", at, "text",
                   "QEMU's user may not pass this directory; set hv.image_dir or chmod o+x", NULL);
    }
}

static bool id_before(const char *name, const char *suffix, struct sv_id *ret)
{
    char id[SV_ID_LEN + 1];
    if (strlen(name) < SV_ID_LEN || strncmp(name + SV_ID_LEN, suffix, strlen(suffix)) != 0)
        return false;
    memcpy(id, name, SV_ID_LEN);
    id[SV_ID_LEN] = '\0';
    *ret = sv_id_from(id);
    return !sv_id_empty(ret);
}

bool lv_volume_named(const char *path, struct sv_id *ret, bool *ret_template)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    *ret_template = id_before(name, TEMPLATE_SUFFIX, ret);
    return *ret_template || id_before(name, DISK_SUFFIX, ret);
}

static bool is_part(const char *name)
{
    struct sv_id id;
    return id_before(name, DISK_SUFFIX PART_MARK, &id) || id_before(name, TEMPLATE_SUFFIX PART_MARK, &id) ||
           id_before(name, LV_PROOF_SUFFIX, &id);
}

void lv_volume_sweep(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        if (is_part(e->d_name) && unlinkat(dirfd(d), e->d_name, 0) == 0)
            sv_log(SV_LOG_INFO, "hv.swept", "file", e->d_name, NULL);
    if (d)
        closedir(d);
}

enum sv_err lv_volume_prepare(const char *image_dir, struct sv_error *err)
{
    struct stat st;
    if (mkdir(image_dir, 0711) != 0 && errno != EEXIST)
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, "the image directory cannot be made");
    if (stat(image_dir, &st) != 0 || !S_ISDIR(st.st_mode) || access(image_dir, W_OK) != 0)
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, "the image directory cannot be used");
    if (st.st_uid == geteuid() && (st.st_mode & 07777) != 0711)
        chmod(image_dir, 0711); /* nobody lists it, QEMU opens by name */
    lv_volume_warn_if_hidden(image_dir);
    lv_volume_sweep(image_dir);
    return SV_OK;
}

static enum sv_err delete_in(const char *dir, const struct sv_id *id, bool is_template, struct sv_error *err)
{
    SV_AUTOFREE char *path = lv_volume_path(dir, id, is_template);
    if (unlink(path) != 0)
        return errno == ENOENT ? SV_OK : storage_fail(err, errno);
    return sync_dir(dir, err);
}

static enum sv_err delete_template(struct lv_host *h, const struct sv_id *id, struct sv_error *err)
{
    enum sv_err rc = only_local(h, err);
    if (!rc)
        rc = valid(id, err);
    return rc ? rc : delete_in(h->image_dir, id, true, err);
}

/* From wherever it may be. */
static enum sv_err delete_disk(struct lv_host *h, const struct sv_id *id, struct sv_error *err)
{
    struct sv_id place;
    bool more = true;
    enum sv_err rc = delete_in(h->image_dir, id, false, err);
    for (size_t i = 0; !rc && more; i++) {
        SV_AUTOFREE char *dir = lv_place_at(h, i, &place, &more);
        if (dir)
            rc = delete_in(dir, id, false, err);
    }
    return rc;
}

/* --- disks --- */

static enum sv_err tool_failed(int status, const struct sv_buf *text, struct sv_error *err)
{
    sv_log(SV_LOG_WARN, "hv.qemu_img", "status", sv_dec(status).s, "text", text->n ? text->p : "", NULL);
    if (text->n && strstr(text->p, "No space left on device"))
        return storage_fail(err, ENOSPC);
    return sv_fail(err, SV_E_STORAGE, SV_F_NONE, "the disk could not be made");
}

static enum sv_err run_create(const char *part, const char *backing, int64_t size, const struct sv_deadline *d,
                              struct sv_error *err)
{
    struct sv_buf text = {0};
    struct sv_dec bytes = sv_dec(size);
    int status = -1;
    const char *const blank[] = {"qemu-img", "create", "-q", "-f", "qcow2", "--", part, bytes.s, NULL};
    const char *const overlay[] = {"qemu-img", "create", "-q", "-f", "qcow2", "-b", backing,
                                   "-F",       "qcow2",  "--", part, bytes.s, NULL};
    const struct sv_proc p = {.argv = backing ? overlay : blank,
                              .err = &text,
                              .cpu_s = TOOL_CPU_S,
                              .memory_bytes = TOOL_MEMORY,
                              .deadline = d};
    enum sv_err rc = sv_proc_run(&p, &status, err);
    if (!rc && status != 0)
        rc = tool_failed(status, &text, err);
    sv_buf_free(&text);
    return rc;
}

/* Out of the header: a disk on a template is none that the gate would let in. */
static enum sv_err read_size(const char *path, int64_t *ret, struct sv_error *err)
{
    unsigned char head[32];
    uint64_t size = 0;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return storage_fail(err, errno);
    ssize_t n = pread(fd, head, sizeof(head), 0);
    close(fd);
    for (size_t i = 24; i < 32; i++)
        size = size << 8 | head[i];
    if (n != (ssize_t)sizeof(head) || memcmp(head, "QFI\xfb", 4) != 0 || size > INT64_MAX)
        return sv_fail(err, SV_E_STORAGE, SV_F_NONE, "the disk's file is damaged");
    *ret = (int64_t)size;
    return SV_OK;
}

/* A copy that needs its template no more, grown to the size wanted. */
static enum sv_err run_copy(const char *image_dir, const char *part, const struct sv_hv_disk *disk,
                            const struct sv_deadline *d, struct sv_error *err)
{
    SV_AUTOFREE char *from = lv_volume_path(image_dir, &disk->template_id, true);
    int64_t size = 0;
    enum sv_err rc = sv_image_convert(from, "qcow2", part, disk->progress, disk->progress_arg, d, err);
    if (!rc)
        rc = read_size(part, &size, err);
    return rc || size >= disk->size ? rc : lv_qcow2_grow(part, disk->size, d, err);
}

/* Complete and on disk before it has its name. */
enum sv_err lv_volume_into_place(const char *dir, const char *part, const char *path, struct sv_error *err)
{
    int fd = open(part, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return storage_fail(err, errno);
    enum sv_err rc = fchmod(fd, 0600) == 0 && fsync(fd) == 0 ? SV_OK : storage_fail(err, errno);
    close(fd);
    if (!rc && rename(part, path) != 0)
        rc = storage_fail(err, errno);
    return rc ? rc : sync_dir(dir, err);
}

/* A disk smaller than its template would cut off the guest's file system. */
static enum sv_err check_template(const char *image_dir, const struct sv_hv_disk *disk, struct sv_error *err)
{
    struct sv_image image;
    if (sv_id_empty(&disk->template_id))
        return SV_OK;
    SV_AUTOFREE char *path = lv_volume_path(image_dir, &disk->template_id, true);
    enum sv_err rc = lv_file_there(path, err);
    if (!rc && sv_image_check(path, "qcow2", &image, err))
        rc = sv_fail(err, SV_E_STORAGE, SV_F_NONE, "the template's file on this host is damaged");
    if (rc)
        return rc;
    if (disk->size < image.virtual_size) {
        SV_AUTOFREE char *least = sv_asprintf(">= %lld GB", (long long)((image.virtual_size + SV_GIB - 1) / SV_GIB));
        return sv_fail(err, SV_E_PARAM_RANGE, SV_F_DISK_SIZE, least);
    }
    return SV_OK;
}

/* `path` is in `dir`, the template in the image directory. */
char *lv_volume_part(const char *path)
{
    unsigned char salt[8];
    char hex[2 * sizeof(salt) + 1];
    sv_random(salt, sizeof(salt));
    sv_hex(salt, sizeof(salt), hex);
    return sv_asprintf("%s" PART_MARK "%s", path, hex);
}

static enum sv_err make_disk(const char *image_dir, const char *dir, const struct sv_hv_disk *disk, const char *path,
                             const struct sv_deadline *d, struct sv_error *err)
{
    SV_AUTOFREE char *part = lv_volume_part(path);
    SV_AUTOFREE char *backing = sv_id_empty(&disk->template_id) ? NULL
                                : strcmp(dir, image_dir) == 0   ? sv_asprintf("%s" TEMPLATE_SUFFIX, disk->template_id.s)
                                                                : lv_volume_path(image_dir, &disk->template_id, true);
    enum sv_err rc =
        disk->full && backing ? run_copy(image_dir, part, disk, d, err) : run_create(part, backing, disk->size, d, err);
    if (!rc)
        rc = lv_volume_into_place(dir, part, path, err);
    if (rc)
        unlink(part);
    return rc;
}

enum sv_err lv_volume_create(struct sv_hv_host *base, const struct sv_hv_disk *disk, const struct sv_deadline *d,
                             struct sv_error *err)
{
    struct lv_host *h = lv_host_of(base);
    LV_HOLD(h);
    enum sv_err rc = valid(&disk->id, err);
    if (!rc && lv_place_is_rbd(h, &disk->pool))
        return lv_rbd_create(h, disk, d, err);
    if (!rc)
        rc = only_local(h, err);
    if (rc)
        return rc;
    SV_AUTOFREE char *dir = lv_place_dir(h, &disk->pool, err);
    if (!dir)
        return err->code;
    SV_AUTOFREE char *path = lv_volume_path(dir, &disk->id, false);
    if (access(path, F_OK) == 0)
        return SV_OK;
    rc = check_template(h->image_dir, disk, err);
    return rc ? rc : make_disk(h->image_dir, dir, disk, path, d, err);
}

enum sv_err lv_volume_delete(struct sv_hv_host *base, const struct sv_id *disk, const struct sv_deadline *d,
                             struct sv_error *err)
{
    struct lv_host *h = lv_host_of(base);
    LV_HOLD(h);
    struct sv_id first;
    bool any;
    free(lv_place_at(h, 0, &first, &any));
    enum sv_err rc = any ? SV_OK : only_local(h, err); /* on a remote host there may be Ceph */
    if (!rc)
        rc = valid(disk, err);
    if (rc)
        return rc;
    SV_AUTOFREE char *path = lv_volume_find(h, disk);
    const bool file = access(path, F_OK) == 0;
    if (!h->remote)
        rc = delete_disk(h, disk, err);
    return rc || file ? rc : lv_rbd_delete(h, disk, d, err);
}

enum sv_err lv_volume_size(struct lv_host *h, const struct sv_id *disk, int64_t *ret, struct sv_error *err)
{
    enum sv_err rc = only_local(h, err);
    if (!rc)
        rc = valid(disk, err);
    if (rc)
        return rc;
    SV_AUTOFREE char *path = lv_volume_find(h, disk);
    rc = lv_file_there(path, err);
    return rc ? rc : read_size(path, ret, err);
}

void lv_volume_look(struct lv_host *h, struct sv_hv_disk *disk)
{
    if (sv_id_empty(&disk->template_id))
        return;
    SV_AUTOFREE char *path = lv_volume_find(h, &disk->id);
    if (lv_qcow2_stands_alone(path))
        disk->template_id = (struct sv_id){0};
}

enum sv_err lv_volume_grow(struct lv_host *h, const struct sv_id *disk, int64_t bytes, const struct sv_deadline *d,
                           struct sv_error *err)
{
    SV_AUTOFREE char *path = lv_volume_find(h, disk);
    return lv_qcow2_grow(path, bytes, d, err);
}

/* --- templates --- */

static enum sv_err template_sizes(const char *path, int64_t *ret_size, int64_t *ret_virtual, struct sv_error *err)
{
    struct sv_image image;
    enum sv_err rc = sv_image_check(path, "qcow2", &image, err);
    if (!rc) {
        *ret_size = image.size;
        *ret_virtual = image.virtual_size;
    }
    return rc;
}

enum sv_err lv_template_put(struct sv_hv_host *base, const struct sv_id *tmpl, const char *path, const char *format,
                            int64_t *ret_size, int64_t *ret_virtual, sv_hv_progress progress, void *arg,
                            const struct sv_deadline *d, struct sv_error *err)
{
    struct lv_host *h = lv_host_of(base);
    LV_HOLD(h);
    enum sv_err rc = only_local(h, err);
    if (!rc)
        rc = valid(tmpl, err);
    if (rc)
        return rc;
    SV_AUTOFREE char *dst = lv_volume_path(h->image_dir, tmpl, true);
    if (access(dst, F_OK) != 0)
        rc = sv_image_convert(path, format, dst, progress, arg, d, err);
    return rc ? rc : template_sizes(dst, ret_size, ret_virtual, err);
}

enum sv_err lv_template_delete(struct sv_hv_host *base, const struct sv_id *tmpl, const struct sv_deadline *d,
                               struct sv_error *err)
{
    (void)d;
    return delete_template(lv_host_of(base), tmpl, err);
}

/* --- list --- */

static bool whole_name(const char *name, const char *suffix, struct sv_id *ret)
{
    return id_before(name, suffix, ret) && strlen(name) == SV_ID_LEN + strlen(suffix);
}

typedef void (*volume_row)(void *arg, const struct sv_id *volume, bool is_template, int64_t bytes);

static enum sv_err list_dir(const char *path, volume_row row, void *arg, struct sv_error *err)
{
    struct sv_id id;
    DIR *dir = opendir(path);
    if (!dir)
        return storage_fail(err, errno);
    for (struct dirent *e; (e = readdir(dir));) {
        struct stat st;
        bool tmpl = whole_name(e->d_name, TEMPLATE_SUFFIX, &id);
        if ((tmpl || whole_name(e->d_name, DISK_SUFFIX, &id)) &&
            fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            row(arg, &id, tmpl, (int64_t)st.st_blocks * 512);
    }
    closedir(dir);
    return SV_OK;
}

enum sv_err lv_list_volumes(struct sv_hv_host *base, volume_row row, void *arg, const struct sv_deadline *d,
                            struct sv_error *err)
{
    struct lv_host *h = lv_host_of(base);
    LV_HOLD(h);
    struct sv_id place;
    bool more = true;
    enum sv_err rc = only_local(h, err);
    if (!rc)
        rc = list_dir(h->image_dir, row, arg, err);
    for (size_t i = 0; !rc && more; i++) {
        SV_AUTOFREE char *dir = lv_place_at(h, i, &place, &more);
        if (dir)
            rc = list_dir(dir, row, arg, err);
    }
    return rc ? rc : lv_rbd_list(h, row, arg, d, err);
}
