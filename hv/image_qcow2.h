/* The header of a qcow2 image, for what reads it (hv/image_qcow2*.c). */
#ifndef STARVIRT_HV_IMAGE_QCOW2_H
#define STARVIRT_HV_IMAGE_QCOW2_H

#include "hv/image.h"

#include <endian.h>

/* The header as the format's specification has it, big-endian on disk. */
struct qcow2_header {
    uint32_t magic, version;
    uint64_t backing_offset;
    uint32_t backing_size, cluster_bits;
    uint64_t size;
    uint32_t crypt_method, l1_entries;
    uint64_t l1_offset, refcount_offset;
    uint32_t refcount_clusters, snapshots;
    uint64_t snapshots_offset;
    /* version 3 */
    uint64_t incompatible, compatible, autoclear;
    uint32_t refcount_order, header_length;
    uint8_t compression, pad[7];
};
_Static_assert(sizeof(struct qcow2_header) == 112, "the header has no holes");

#define QCOW2_EXTENDED_L2 (1ULL << 4) /* incompatible feature: a bitmap of subclusters behind each entry */

/* What the file has of it; fields that are not there are zero. */
void image_qcow2_header(const struct image_file *f, struct qcow2_header *ret);

#endif
