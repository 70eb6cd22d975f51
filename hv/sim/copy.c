/* Copies of disks: small real files, sound qcow2 images of the right virtual size whose header carries the
 * text that the simulated volume holds. What is under way is in the journal: as with a real hypervisor it
 * outlives the server that asked for it. */
#include "hv/sim/internal.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Four tables one after another, a cluster each but the last: header, refcount table, refcount block, L1. */
enum {
    CLUSTER_BITS = 16,
    CLUSTER = 1 << CLUSTER_BITS,
    L1_SPAN_BITS = CLUSTER_BITS + CLUSTER_BITS - 3, /* bytes behind one entry of the L1 table */
    EXT_CONTENT = 0x5356534d,                       /* "SVSM" */
};
struct header {
    uint32_t magic, version;
    uint64_t backing_offset;
    uint32_t backing_size, cluster_bits;
    uint64_t size;
    uint32_t crypt_method, l1_entries;
    uint64_t l1_offset, refcount_offset;
    uint32_t refcount_clusters, snapshots;
    uint64_t snapshots_offset;
    uint32_t ext_type, ext_len;
    char content[SIM_CONTENT_MAX + 1 + 16]; /* and the extension that ends the list */
};
_Static_assert(offsetof(struct header, ext_type) == 72, "a qcow2 header of version 2");

struct image {
    struct sim_key volume;
    const char *path;
    int64_t size;
    char content[SIM_CONTENT_MAX + 1];
};

static enum sv_err refused(struct sv_error *err, const char *why)
{
    return sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, why);
}

static enum sv_err file_failed(const char *what, struct sv_error *err)
{
    SV_AUTOFREE char *text = sv_asprintf("copy: %s: %s", what, strerror(errno));

    return sv_fail(err, errno == ENOSPC ? SV_E_STORAGE_FULL : SV_E_STORAGE, SV_F_NONE, text);
}

/* --- files -------------------------------------------------------------------------------------------- */

static bool put(int fd, const void *p, size_t n, int64_t at)
{
    return pwrite(fd, p, n, at) == (ssize_t)n;
}

static bool write_image(int fd, const struct image *image)
{
    const int64_t entries = (image->size + (1LL << L1_SPAN_BITS) - 1) >> L1_SPAN_BITS;
    const int64_t clusters = 3 + (entries * 8 + CLUSTER - 1) / CLUSTER;
    const uint64_t block = htobe64(2 * CLUSTER);
    uint16_t one = htobe16(1);
    struct header h = {.magic = htobe32(0x514649fb),
                       .version = htobe32(2),
                       .cluster_bits = htobe32(CLUSTER_BITS),
                       .size = htobe64((uint64_t)image->size),
                       .l1_entries = htobe32((uint32_t)entries),
                       .l1_offset = htobe64(3 * CLUSTER),
                       .refcount_offset = htobe64(CLUSTER),
                       .refcount_clusters = htobe32(1),
                       .ext_type = htobe32(EXT_CONTENT),
                       .ext_len = htobe32((uint32_t)strlen(image->content))};
    bool good = ftruncate(fd, clusters * CLUSTER) == 0;

    SV_COPY(h.content, image->content);
    good = good && put(fd, &h, sizeof(h), 0) && put(fd, &block, sizeof(block), CLUSTER);
    for (int64_t i = 0; good && i < clusters; i++)
        good = put(fd, &one, sizeof(one), 2 * CLUSTER + i * (int64_t)sizeof(one));
    return good;
}

static enum sv_err write_file(const struct image *image, struct sv_error *err)
{
    const int fd = open(image->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good;
    int why;

    if (fd < 0)
        return file_failed("the file cannot be made", err);
    good = write_image(fd, image);
    why = errno;
    good = close(fd) == 0 && good;
    errno = why;
    return good ? SV_OK : file_failed("the file cannot be written", err);
}

/* A file of another maker has no text in it, which is no fault. */
static enum sv_err read_file(struct image *image, struct sv_error *err)
{
    const int fd = open(image->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct header h = {0};
    ssize_t n;

    if (fd < 0)
        return file_failed("the file cannot be opened", err);
    n = read(fd, &h, sizeof(h));
    close(fd);
    if (n < (ssize_t)offsetof(struct header, ext_type) || h.magic != htobe32(0x514649fb))
        return refused(err, "this is no qcow2 image");
    image->size = (int64_t)be64toh(h.size);
    if (h.ext_type == htobe32(EXT_CONTENT) && be32toh(h.ext_len) <= SIM_CONTENT_MAX)
        memcpy(image->content, h.content, be32toh(h.ext_len));
    return SV_OK;
}

void sim_image_content(const char *path, char content[SIM_CONTENT_MAX + 1])
{
    struct image image = {.path = path};
    struct sv_error ignored;

    (void)read_file(&image, &ignored);
    sv_copy(content, SIM_CONTENT_MAX + 1, image.content);
}

/* --- out ---------------------------------------------------------------------------------------------- */

static enum sv_err set_copying(struct sim_host *h, struct sim_domain *d, bool on, struct sv_error *err)
{
    struct sim_live next = d->live;

    next.flags = (uint8_t)(on ? next.flags | SIM_COPYING : next.flags & ~SIM_COPYING);
    return next.flags == d->live.flags ? SV_OK : sim_guest_become(h, d, &next, err);
}

/* All at one moment: under one lock. */
static enum sv_err take(struct sim_host *h, struct sim_domain *d, struct image *images, unsigned n, bool *ret_quiesced,
                        struct sv_error *err)
{
    enum sv_err rc = SV_OK;

    if (d->live.flags & SIM_COPYING)
        return refused(err, "disks of this domain are being copied already");
    for (unsigned i = 0; !rc && i < n; i++) {
        rc = sim_volume_there(h, &images[i].volume, err);
        if (rc)
            return rc;
        images[i].size = sim_volume_get(h, &images[i].volume)->size;
        SV_COPY(images[i].content, sim_volume_content(h, &images[i].volume));
    }
    *ret_quiesced = d->live.power == SV_HV_RUNNING && d->agent;
    return set_copying(h, d, true, err);
}

/* Whatever happened: also on a host that hangs, nothing stays. */
static void let_go(struct sim_host *h, const struct sv_id *vm)
{
    struct sim_key k = {0};
    struct sv_error e;

    if (sim_key_of(vm, &k, &e))
        return;
    pthread_mutex_lock(&h->lock);
    struct sim_domain *d = sim_table_get(&h->domains, &k);
    if (d)
        (void)set_copying(h, d, false, &e);
    pthread_mutex_unlock(&h->lock);
}

/* Each disk takes as long as a call does, and may fail as one. */
static enum sv_err write_files(struct sim_host *h, const struct image *images, unsigned n, sv_hv_progress progress,
                               void *arg, const struct sv_deadline *dl, struct sv_error *err)
{
    int64_t done = 0, total = 0;
    enum sv_err rc = SV_OK;

    for (unsigned i = 0; i < n; i++)
        total += images[i].size;
    for (unsigned i = 0; !rc && i < n; i++) {
        rc = sim_enter(h, SIM_CALL_copy_out, dl, err);
        if (rc)
            return rc;
        sim_leave(h);
        rc = write_file(&images[i], err);
        done += images[i].size;
        if (!rc && progress)
            progress(arg, done, total);
    }
    return rc;
}

enum sv_err sim_copy_out(struct sv_hv_host *hh, const struct sv_id *vm, const struct sv_hv_copy *copies, unsigned n,
                         bool *ret_quiesced, sv_hv_progress progress, void *arg, const struct sv_deadline *dl,
                         struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    SV_AUTOFREE struct image *images = sv_alloc((n + 1) * sizeof(*images));
    bool quiesced = false;
    enum sv_err rc = SV_OK;

    for (unsigned i = 0; !rc && i < n; i++) {
        images[i].path = copies[i].path;
        if (copies[i].path[0] != '/') /* QEMU has a working directory of its own */
            return refused(err, "the file of a copy is named from the root");
        rc = sim_key_of(&copies[i].disk, &images[i].volume, err);
    }
    struct sim_domain *d = rc ? NULL : sim_enter_vm(h, SIM_CALL_copy_out, vm, dl, &rc, err);
    if (!d)
        return rc;
    rc = take(h, d, images, n, &quiesced, err);
    sim_leave(h);
    if (rc)
        return rc;
    rc = write_files(h, images, n, progress, arg, dl, err);
    let_go(h, vm);
    if (!rc)
        *ret_quiesced = quiesced;
    return rc;
}

enum sv_err sim_copy_abort(struct sv_hv_host *hh, const struct sv_id *vm, const struct sv_deadline *dl,
                           struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    enum sv_err rc;
    struct sim_domain *d = sim_enter_vm(h, SIM_CALL_copy_abort, vm, dl, &rc, err);

    if (!d)
        return rc == SV_E_DOMAIN_MISSING ? SV_OK : rc;
    rc = set_copying(h, d, false, err);
    sim_leave(h);
    return rc;
}

/* --- in ----------------------------------------------------------------------------------------------- */

static bool in_use(const struct sim_host *h, const struct sim_key *volume)
{
    const struct sim_domain *d;

    for (size_t pos = 0; (d = sim_table_next(&h->domains, &pos));) {
        if (!sim_guest_runs(d))
            continue;
        const struct sim_def *now = sim_plugged(d);
        for (unsigned i = 0; i < now->disks; i++)
            if (sim_key_eq(&sim_def_disks(now)[i].id, volume))
                return true;
    }
    return false;
}

enum sv_err sim_copy_in(struct sv_hv_host *hh, const struct sv_hv_disk *disk, const char *path, sv_hv_progress progress,
                        void *arg, const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct image image = {.path = path};
    struct sim_key pool = {0};
    enum sv_err rc = sim_key_of(&disk->id, &image.volume, err);

    if (!rc && !sv_id_empty(&disk->pool))
        rc = sim_key_of(&disk->pool, &pool, err);
    if (!rc)
        rc = read_file(&image, err);
    if (!rc && progress)
        progress(arg, image.size / 2, image.size);
    if (!rc)
        rc = sim_enter(h, SIM_CALL_copy_in, dl, err);
    if (rc)
        return rc;
    if (image.size < disk->size)
        image.size = disk->size;
    if (in_use(h, &image.volume))
        rc = refused(err, "a running guest has the volume");
    else
        rc = sim_volume_put(h, &image.volume, &pool, image.size, image.content, err);
    sim_leave(h);
    if (!rc && progress)
        progress(arg, image.size, image.size);
    return rc;
}
