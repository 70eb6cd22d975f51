/* Is all of a qcow2 there? Its tables are followed from the header to what they name. The tool's own check is run
 * besides; it lets pass what lacks less than a cluster, and the guest would read zeros there. */
#include "hv/image_qcow2.h"

#include <stdlib.h>

#define OFFSET_MASK  0x00fffffffffffe00ULL
#define COMPRESSED   (1ULL << 62)
#define READS_ZERO   (1ULL << 0)
#define MAX_REFTABLE (8 << 20) /* [bytes] more no reader takes */
enum { SUBCLUSTERS = 32 };

struct tables {
    const struct image_file *f;
    const struct sv_deadline *d;
    unsigned bits;    /* of a cluster */
    uint64_t cluster; /* [bytes] */
    uint64_t size;    /* [bytes] virtual */
    unsigned entry;   /* [bytes] of an entry of a second-level table */
    bool zeros;       /* version 3: entries that read as zero */
};

static enum sv_err cut(struct sv_error *err)
{
    return image_refuse(err, "it is cut short: the qcow2 has data or tables past its end");
}

/* A table as it is on disk. NULL with *ret_rc: not all of it is there. */
static uint64_t *table(const struct tables *t, uint64_t at, uint64_t bytes, struct sv_error *err)
{
    uint64_t *v = image_has(t->f, at, bytes) ? sv_alloc(bytes + 1) : NULL;
    if (v && image_read(t->f, (int64_t)at, v, bytes))
        return v;
    free(v);
    (void)cut(err);
    return NULL;
}

/* --- data --- */

/* The last byte of a cluster that a reader takes from the file; `at` is where it is for the guest. */
static uint64_t needed(const struct tables *t, const uint64_t *entry, uint64_t at)
{
    uint64_t n = t->cluster;
    if (t->entry > sizeof(*entry)) {
        const uint32_t allocated = (uint32_t)be64toh(entry[1]);
        n = allocated ? t->cluster / SUBCLUSTERS * (SUBCLUSTERS - (unsigned)__builtin_clz(allocated)) : 0;
    } else if (t->zeros && (be64toh(entry[0]) & READS_ZERO)) {
        n = 0;
    }
    return n < t->size - at ? n : t->size - at;
}

static enum sv_err check_data(const struct tables *t, const uint64_t *entry, uint64_t at, struct sv_error *err)
{
    const uint64_t e = be64toh(*entry);
    if (e & COMPRESSED) {
        const unsigned shift = 62 - (t->bits - 8);
        const uint64_t offset = e & ((1ULL << shift) - 1), sectors = (e >> shift & ((1ULL << (t->bits - 8)) - 1)) + 1;
        return image_has(t->f, offset & ~511ULL, sectors * 512) ? SV_OK : cut(err);
    }
    if (!(e & OFFSET_MASK))
        return SV_OK;
    return image_has(t->f, e & OFFSET_MASK, needed(t, entry, at)) ? SV_OK : cut(err);
}

/* The second-level table at `offset`, whose first entry is the guest's byte `at`. */
static enum sv_err check_l2(const struct tables *t, uint64_t offset, uint64_t at, struct sv_error *err)
{
    SV_AUTOFREE uint64_t *l2 = table(t, offset, t->cluster, err);
    enum sv_err rc = l2 ? SV_OK : err->code;
    const unsigned step = t->entry / (unsigned)sizeof(*l2);
    for (uint64_t i = 0; !rc && i < t->cluster / t->entry && at < t->size; i++, at += t->cluster)
        rc = check_data(t, l2 + i * step, at, err);
    return rc;
}

static enum sv_err check_l1(const struct tables *t, const struct qcow2_header *h, struct sv_error *err)
{
    const uint64_t spans = t->cluster / t->entry * t->cluster, n = (t->size + spans - 1) / spans;
    uint64_t met = 0;
    if (be32toh(h->l1_entries) < n)
        return image_refuse(err, "the qcow2 tables are too small for its size");
    if (!n)
        return SV_OK;
    SV_AUTOFREE uint64_t *l1 = table(t, be64toh(h->l1_offset), n * sizeof(*l1), err);
    enum sv_err rc = l1 ? SV_OK : err->code;
    for (uint64_t i = 0; !rc && i < n; i++) {
        const uint64_t offset = be64toh(l1[i]) & OFFSET_MASK;
        if (!offset)
            continue;
        if (++met > (uint64_t)t->f->size / t->cluster) /* or one table stands in for many: it costs to follow */
            return image_refuse(err, "the qcow2 has tables that overlap");
        rc = image_go_on(t->d, err);
        if (!rc)
            rc = check_l2(t, offset, i * spans, err);
    }
    return rc;
}

/* --- reference counts --- */

static enum sv_err check_refcounts(const struct tables *t, const struct qcow2_header *h, struct sv_error *err)
{
    const uint64_t bytes = (uint64_t)be32toh(h->refcount_clusters) * t->cluster;
    if (bytes > MAX_REFTABLE)
        return image_refuse(err, "the qcow2 tables are too large");
    SV_AUTOFREE uint64_t *blocks = table(t, be64toh(h->refcount_offset), bytes, err);
    enum sv_err rc = blocks ? SV_OK : err->code;
    for (uint64_t i = 0; !rc && i < bytes / sizeof(*blocks); i++) {
        const uint64_t block = be64toh(blocks[i]) & ~511ULL;
        if (block && !image_has(t->f, block, t->cluster))
            rc = cut(err);
    }
    return rc;
}

enum sv_err image_whole_qcow2(const struct image_file *f, const struct sv_deadline *d, struct sv_error *err)
{
    struct qcow2_header h;
    image_qcow2_header(f, &h);
    const unsigned bits = be32toh(h.cluster_bits);
    const bool extended = be32toh(h.version) > 2 && (be64toh(h.incompatible) & QCOW2_EXTENDED_L2);
    const struct tables t = {.f = f,
                             .d = d,
                             .bits = bits,
                             .cluster = 1ULL << bits,
                             .size = be64toh(h.size),
                             .entry = extended ? 16 : 8,
                             .zeros = be32toh(h.version) > 2};
    enum sv_err rc = check_l1(&t, &h, err);
    return rc ? rc : check_refcounts(&t, &h, err);
}
