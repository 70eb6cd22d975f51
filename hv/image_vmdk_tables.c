/* Is all of a VMDK there? Its directory and grain tables are followed to the grains that they name. */
#include "hv/image_vmdk.h"

#include <stdlib.h>

struct tables {
    const struct image_file *f;
    const struct sv_deadline *d;
    uint64_t capacity, grain; /* [sectors] */
    uint32_t gtes;            /* entries of a grain table */
    bool packed, zeros;
};

/* Before the bytes of a packed grain. */
struct grain_marker {
    uint64_t lba;
    uint32_t size; /* [bytes] */
} __attribute__((packed));

static enum sv_err cut(struct sv_error *err)
{
    return image_refuse(err, "it is cut short: the VMDK has data or tables past its end");
}

static uint32_t *table(const struct tables *t, uint64_t sector, uint64_t entries, struct sv_error *err)
{
    const uint64_t bytes = entries * sizeof(uint32_t), at = sector * IMAGE_SECTOR;
    uint32_t *v = sector < UINT64_MAX / IMAGE_SECTOR && image_has(t->f, at, bytes) ? sv_alloc(bytes + 1) : NULL;
    if (v && image_read(t->f, (int64_t)at, v, bytes))
        return v;
    free(v);
    (void)cut(err);
    return NULL;
}

/* `at`: where it is for the guest [sectors]. */
static enum sv_err check_grain(const struct tables *t, uint64_t sector, uint64_t at, struct sv_error *err)
{
    struct grain_marker m;
    uint64_t n = (t->grain < t->capacity - at ? t->grain : t->capacity - at) * IMAGE_SECTOR;
    if (sector == 0 || (sector == 1 && t->zeros))
        return SV_OK;
    if (t->packed) {
        if (!image_read(t->f, (int64_t)(sector * IMAGE_SECTOR), &m, sizeof(m)))
            return cut(err);
        n = (sizeof(m) + le32toh(m.size) + IMAGE_SECTOR - 1) / IMAGE_SECTOR * IMAGE_SECTOR;
    }
    return image_has(t->f, sector * IMAGE_SECTOR, n) ? SV_OK : cut(err);
}

static enum sv_err check_grains(const struct tables *t, uint64_t sector, uint64_t at, struct sv_error *err)
{
    SV_AUTOFREE uint32_t *gt = table(t, sector, t->gtes, err);
    enum sv_err rc = gt ? image_go_on(t->d, err) : err->code;
    for (uint32_t i = 0; !rc && i < t->gtes && at < t->capacity; i++, at += t->grain)
        rc = check_grain(t, le32toh(gt[i]), at, err);
    return rc;
}

enum sv_err image_whole_vmdk(const struct image_file *f, const struct sv_deadline *d, struct sv_error *err)
{
    struct vmdk_header h;
    uint64_t met = 0;
    enum sv_err rc = image_vmdk_header(f, &h, err);
    if (rc)
        return rc;
    const uint32_t flags = le32toh(h.flags);
    const struct tables t = {.f = f,
                             .d = d,
                             .capacity = le64toh(h.capacity),
                             .grain = le64toh(h.grain),
                             .gtes = le32toh(h.gtes_per_gt),
                             .packed = flags & VMDK_COMPRESSED,
                             .zeros = flags & VMDK_ZEROED};
    const uint64_t spans = t.grain * t.gtes, n = (t.capacity + spans - 1) / spans;
    SV_AUTOFREE uint32_t *gd = table(&t, le64toh(h.gd_offset), n, err);
    rc = gd ? SV_OK : err->code;
    for (uint64_t i = 0; !rc && i < n; i++) {
        if (!gd[i])
            continue;
        if (++met > (uint64_t)f->size / (t.gtes * sizeof(uint32_t))) /* or one stands in for many: it costs to follow */
            return image_refuse(err, "the VMDK has tables that overlap");
        rc = check_grains(&t, le32toh(gd[i]), i * spans, err);
    }
    return rc;
}
