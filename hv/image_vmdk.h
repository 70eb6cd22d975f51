/* The header of a VMDK, for what reads it (hv/image_vmdk*.c). */
#ifndef STARVIRT_HV_IMAGE_VMDK_H
#define STARVIRT_HV_IMAGE_VMDK_H

#include "hv/image.h"

#include <endian.h>

/* Sparse extent header, little-endian on disk; the fields are not aligned. */
struct vmdk_header {
    uint32_t magic, version, flags;
    uint64_t capacity, grain;        /* [sectors] */
    uint64_t desc_offset, desc_size; /* [sectors] */
    uint32_t gtes_per_gt;
    uint64_t rgd_offset, gd_offset, overhead;
    uint8_t unclean, eol[4];
    uint16_t compression;
} __attribute__((packed));

enum { VMDK_ZEROED = 1 << 2, VMDK_COMPRESSED = 1 << 16 }; /* flags: entry 1 is a grain of zeros; grains are packed */
#define VMDK_GD_AT_END UINT64_MAX

/* The one that counts, checked: the first, or its copy at the end of a stream. */
enum sv_err image_vmdk_header(const struct image_file *f, struct vmdk_header *ret, struct sv_error *err);

#endif
