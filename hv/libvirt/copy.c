#include "hv/libvirt/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Copies of disks out of the host and back in: of a guest that runs by its QEMU (copy_live.c), of one that
 * does not by its files. */

/* Bytes over several disks. */
struct sum {
    sv_hv_progress tell;
    void *arg;
    int64_t before, total;
};

static void add_up(void *arg, int64_t done, int64_t total)
{
    const struct sum *s = arg;
    (void)total;
    if (s->tell)
        s->tell(s->arg, s->before + done, s->total);
}

static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? sv_asprintf("%.*s", slash == path ? 1 : (int)(slash - path), path) : sv_strdup(".");
}

/* --- out --- */

struct look {
    const struct sv_id *disk;
    bool found;
};

static void look_at(void *arg, const struct sv_id *volume, bool is_template, int64_t bytes)
{
    struct look *l = arg;
    (void)bytes;
    l->found = l->found || (!is_template && sv_id_eq(volume, l->disk));
}

/* One without a file is in a Ceph pool, or lost. */
static enum sv_err check_file(struct lv_host *h, const struct sv_id *disk, const char *path,
                              const struct sv_deadline *d, struct sv_error *err)
{
    struct look l = {.disk = disk};
    enum sv_err rc = access(path, F_OK) != 0 ? lv_rbd_list(h, look_at, &l, d, err) : SV_OK;
    if (rc)
        return rc;
    return l.found ? sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, "a copy of a disk in a Ceph pool")
                   : lv_file_there(path, err);
}

static enum sv_err check_room(struct lv_host *h, const struct sv_hv_copy *copies, unsigned n,
                              const struct sv_deadline *d, struct sv_error *err)
{
    int64_t all = 0;
    for (unsigned i = 0; i < n; i++) {
        int64_t need = 0;
        SV_AUTOFREE char *path = lv_volume_find(h, &copies[i].disk);
        enum sv_err rc = check_file(h, &copies[i].disk, path, d, err);
        if (!rc)
            rc = sv_image_measure(path, &need, d, err);
        if (rc)
            return rc;
        all += need;
    }
    SV_AUTOFREE char *dir = dir_of(copies[0].path);
    return sv_image_room(dir, all, err);
}

/* They are ours before QEMU writes to them, and again afterwards: libvirt gives back what it lent. */
static enum sv_err make_files(struct lv_host *h, const struct sv_hv_copy *copies, unsigned n,
                              const struct sv_deadline *d, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    for (unsigned i = 0; !rc && i < n; i++) {
        int64_t size = 0;
        rc = lv_volume_size(h, &copies[i].disk, &size, err);
        if (!rc)
            rc = lv_qcow2_create(copies[i].path, size, d, err);
    }
    return rc;
}

static enum sv_err copy_files(struct lv_host *h, const struct sv_hv_copy *copies, unsigned n, struct sum *s,
                              const struct sv_deadline *d, struct sv_error *err)
{
    int64_t sizes[SV_HV_MAX_DISKS] = {0};
    enum sv_err rc = SV_OK;
    for (unsigned i = 0; !rc && i < n; i++) {
        rc = lv_volume_size(h, &copies[i].disk, &sizes[i], err);
        s->total += sizes[i];
    }
    for (unsigned i = 0; !rc && i < n; i++) {
        SV_AUTOFREE char *path = lv_volume_find(h, &copies[i].disk);
        rc = sv_image_copy(path, sizes[i], copies[i].path, add_up, s, d, err);
        s->before += sizes[i];
    }
    return rc;
}

/* Each stands alone, is a qcow2 and is on disk. */
static enum sv_err finish(const struct sv_hv_copy *copies, unsigned n, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    for (unsigned i = 0; !rc && i < n; i++) {
        struct sv_image image;
        rc = sv_image_check(copies[i].path, "qcow2", &image, err);
        if (rc)
            rc = sv_fail(err, SV_E_STORAGE, SV_F_NONE, "the copy is damaged");
        else
            rc = lv_file_sync(copies[i].path, err);
    }
    return rc;
}

static void remove_files(const struct sv_hv_copy *copies, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        unlink(copies[i].path);
}

static enum sv_err copy_out(struct lv_host *h, const struct sv_id *vm, const struct sv_hv_copy *copies, unsigned n,
                            bool *ret_quiesced, struct sum *s, const struct sv_deadline *d, struct sv_error *err)
{
    struct sv_hv_state now = {0};
    enum sv_err rc = lv_state(&h->base, vm, &now, d, err);
    if (!rc)
        rc = check_room(h, copies, n, d, err);
    if (rc)
        return rc;
    if (now.power != SV_HV_RUNNING && now.power != SV_HV_PAUSED)
        return copy_files(h, copies, n, s, d, err);
    rc = make_files(h, copies, n, d, err);
    if (!rc)
        rc = lv_copy_live(h, vm, copies, n, ret_quiesced, s->tell, s->arg, d, err);
    return lv_unless_full(copies[0].path, rc, err);
}

enum sv_err lv_copy_out(struct sv_hv_host *base, const struct sv_id *vm, const struct sv_hv_copy *copies, unsigned n,
                        bool *ret_quiesced, sv_hv_progress progress, void *arg, const struct sv_deadline *d,
                        struct sv_error *err)
{
    struct lv_host *h = lv_host_of(base);
    struct sum s = {.tell = progress, .arg = arg};
    bool quiesced = false;
    LV_HOLD(h);
    if (h->remote)
        return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, "copies of disks on a host behind a remote URI");
    if (n == 0 || n > SV_HV_MAX_DISKS)
        return sv_fail(err, SV_E_STORAGE, SV_F_NONE, "no disks");
    remove_files(copies, n);
    enum sv_err rc = copy_out(h, vm, copies, n, &quiesced, &s, d, err);
    if (!rc)
        rc = finish(copies, n, err);
    if (rc)
        remove_files(copies, n);
    else
        *ret_quiesced = quiesced;
    return rc;
}

/* --- in --- */

static enum sv_err fill(const struct sv_hv_disk *disk, const char *src, const struct sv_image *image, const char *part,
                        struct sum *s, const struct sv_deadline *d, struct sv_error *err)
{
    enum sv_err rc = sv_image_copy(src, image->virtual_size, part, add_up, s, d, err);
    if (!rc && image->virtual_size < disk->size)
        rc = lv_qcow2_grow(part, disk->size, d, err);
    return rc;
}

enum sv_err lv_copy_in(struct sv_hv_host *base, const struct sv_hv_disk *disk, const char *path,
                       sv_hv_progress progress, void *arg, const struct sv_deadline *d, struct sv_error *err)
{
    struct lv_host *h = lv_host_of(base);
    struct sum s = {.tell = progress, .arg = arg};
    struct sv_image image;
    int64_t need = 0;
    LV_HOLD(h);
    if (h->remote)
        return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, "disks on a host behind a remote URI");
    enum sv_err rc = sv_image_check(path, "qcow2", &image, err);
    if (!rc)
        rc = sv_image_measure(path, &need, d, err);
    if (rc)
        return rc;
    SV_AUTOFREE char *volume = lv_disk_path(h, disk, err);
    if (!volume)
        return err->code;
    SV_AUTOFREE char *dir = dir_of(volume);
    SV_AUTOFREE char *part = lv_volume_part(volume);
    s.total = image.virtual_size;
    rc = sv_image_room(dir, need, err);
    if (!rc)
        rc = fill(disk, path, &image, part, &s, d, err);
    if (!rc)
        rc = lv_volume_into_place(dir, part, volume, err);
    if (rc)
        unlink(part);
    return rc;
}
