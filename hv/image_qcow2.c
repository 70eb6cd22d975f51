#include "hv/image_qcow2.h"

enum {
    V2_LENGTH = 72,
    V3_LENGTH = 104,
    MIN_CLUSTER_BITS = 9,
    MAX_CLUSTER_BITS = 21,
    MAX_SNAPSHOTS = 65536,
    MAX_EXTENSIONS = 64,
    MAX_L1_BYTES = 32 << 20,
};

/* Incompatible features that convert reads correctly; the data file bit and all others are refused. */
#define INCOMPAT_DIRTY       (1ULL << 0)
#define INCOMPAT_CORRUPT     (1ULL << 1)
#define INCOMPAT_DATA_FILE   (1ULL << 2)
#define INCOMPAT_COMPRESSION (1ULL << 3)
#define INCOMPAT_TAKEN       (INCOMPAT_DIRTY | INCOMPAT_COMPRESSION | QCOW2_EXTENDED_L2)

enum {
    EXT_END = 0,
    EXT_BACKING_FORMAT = (int)0xE2792ACA,
    EXT_DATA_FILE = 0x44415441,
    EXT_ENCRYPTION = 0x0537BE77,
};

static enum sv_err check_extensions(const struct image_file *f, int64_t at, int64_t end, struct sv_error *err)
{
    for (unsigned i = 0; i < MAX_EXTENSIONS; i++) {
        uint32_t row[2];
        if (at + 8 > end)
            return SV_OK;
        if (!image_read(f, at, row, sizeof(row)))
            return image_refuse(err, "a qcow2 header extension is cut off");
        int32_t type = (int32_t)be32toh(row[0]);
        uint32_t len = be32toh(row[1]);
        if (type == EXT_END)
            return SV_OK;
        if (type == EXT_DATA_FILE)
            return image_refuse(err, "the qcow2 names an external data file");
        if (type == EXT_BACKING_FORMAT)
            return image_refuse(err, "the qcow2 names the format of a backing file");
        if (type == EXT_ENCRYPTION)
            return image_refuse(err, "the qcow2 is encrypted");
        at += 8 + (((int64_t)len + 7) & ~7LL);
        if (at > end)
            return image_refuse(err, "a qcow2 header extension is longer than its cluster");
    }
    return image_refuse(err, "the qcow2 has too many header extensions");
}

static enum sv_err check_incompatible(uint64_t bits, struct sv_error *err)
{
    if (bits & INCOMPAT_DATA_FILE)
        return image_refuse(err, "the qcow2 keeps its data in another file");
    if (bits & INCOMPAT_CORRUPT)
        return image_refuse(err, "the qcow2 is marked corrupt");
    if (bits & ~INCOMPAT_TAKEN)
        return image_refuse(err, "the qcow2 has unknown incompatible features");
    return SV_OK;
}

static enum sv_err check_v3(const struct qcow2_header *h, uint32_t length, struct sv_error *err)
{
    enum sv_err rc = check_incompatible(be64toh(h->incompatible), err);
    if (rc)
        return rc;
    if (length < V3_LENGTH || length % 8 != 0 || length > (1U << be32toh(h->cluster_bits)))
        return image_refuse(err, "the qcow2 header length is absurd");
    if (be32toh(h->refcount_order) > 6)
        return image_refuse(err, "the qcow2 refcount width is absurd");
    if (length > V3_LENGTH && h->compression > 1)
        return image_refuse(err, "the qcow2 has an unknown compression");
    return SV_OK;
}

static enum sv_err check_fields(const struct qcow2_header *h, struct sv_error *err)
{
    uint32_t bits = be32toh(h->cluster_bits);
    if (h->backing_offset || h->backing_size)
        return image_refuse(err, "the qcow2 has a backing file");
    if (h->crypt_method)
        return image_refuse(err, "the qcow2 is encrypted");
    if (bits < MIN_CLUSTER_BITS || bits > MAX_CLUSTER_BITS)
        return image_refuse(err, "the qcow2 cluster size is absurd");
    if ((uint64_t)be32toh(h->l1_entries) * 8 > MAX_L1_BYTES || be32toh(h->snapshots) > MAX_SNAPSHOTS)
        return image_refuse(err, "the qcow2 tables are too large");
    if (be64toh(h->size) > SV_MAX_IMAGE_VIRTUAL)
        return image_refuse(err, "the virtual size is over the limit of 4 TiB");
    return SV_OK;
}

void image_qcow2_header(const struct image_file *f, struct qcow2_header *ret)
{
    *ret = (struct qcow2_header){0};
    memcpy(ret, f->head, f->head_len < sizeof(*ret) ? f->head_len : sizeof(*ret));
}

enum sv_err image_check_qcow2(const struct image_file *f, int64_t *ret_virtual, struct sv_error *err)
{
    struct qcow2_header h;
    if (f->head_len < V2_LENGTH)
        return image_refuse(err, "the qcow2 header is cut off");
    image_qcow2_header(f, &h);
    uint32_t version = be32toh(h.version);
    uint32_t length = version == 2 ? V2_LENGTH : be32toh(h.header_length);
    if (version != 2 && version != 3)
        return image_refuse(err, "qcow2 versions 2 and 3 are taken, no other");
    if (version == 3 && f->head_len < sizeof(h))
        return image_refuse(err, "the qcow2 header is cut off");
    enum sv_err rc = check_fields(&h, err);
    if (!rc && version == 3)
        rc = check_v3(&h, length, err);
    if (!rc)
        rc = check_extensions(f, length, 1LL << be32toh(h.cluster_bits), err);
    if (!rc)
        *ret_virtual = (int64_t)be64toh(h.size);
    return rc;
}
