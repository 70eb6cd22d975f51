/* Raw disks have no header: what they hold says that they are disks, and how long they should be. */
#include "hv/image.h"

#include <endian.h>

enum {
    PROBE = 72 << 10, /* [bytes] where the superblocks of all file systems below begin */
    MBR_TABLE = 446,  /* four entries of 16 bytes */
    MBR_ENTRIES = 4,
    MBR_PROTECTS = 0xee, /* "there is a GPT": its size is often absurd */
};

/* Where a file system says how long it is: `count` blocks of `block` bytes (or 1 << block_log + block). */
struct superblock {
    unsigned at; /* of its magic */
    const char *magic;
    size_t n;
    unsigned count_at, count_width; /* [bytes]; 0 = it says nothing we read */
    unsigned block_at;              /* 0: `block` is its size */
    unsigned block;                 /* [bytes]; with `shifted` what the number at block_at shifts */
    bool big, shifted;
};

static const struct superblock superblocks[] = {
    {.at = 1080,
     .magic = "\x53\xef",
     .n = 2,
     .count_at = 1028,
     .count_width = 4,
     .block_at = 1048,
     .block = 1024,
     .shifted = true}, /* ext2, 3, 4 */
    {.at = 0, .magic = "XFSB", .n = 4, .count_at = 8, .count_width = 8, .block_at = 4, .big = true},
    {.at = 65600, .magic = "_BHRfS_M", .n = 8, .count_at = 65648, .count_width = 8, .block = 1},          /* btrfs */
    {.at = 32769, .magic = "CD001", .n = 5, .count_at = 32848, .count_width = 4, .block = 2048},          /* ISO 9660 */
    {.at = 1024, .magic = "\x10\x20\xf5\xf2", .n = 4, .count_at = 1060, .count_width = 8, .block = 4096}, /* f2fs */
    {.at = 32769, .magic = "BEA01", .n = 5},                                                              /* UDF */
    {.at = 4086, .magic = "SWAPSPACE2", .n = 10},
    {.at = 536, .magic = "LVM2 001", .n = 8},
    {.at = 65536 + 52, .magic = "ReIsEr", .n = 6},
    {.at = 32768, .magic = "JFS1", .n = 4},
    {.at = 1024, .magic = "H+", .n = 2},
    {.at = 1024, .magic = "HX", .n = 2},
    {.at = 4096, .magic = "\xfc\x4e\x2b\xa9", .n = 4}, /* Linux RAID */
};

struct probe {
    size_t n;
    unsigned char b[PROBE];
};

static void probe_read(const struct image_file *f, struct probe *p)
{
    p->n = f->size < PROBE ? (size_t)f->size : PROBE;
    if (!image_read(f, 0, p->b, p->n))
        p->n = 0;
}

static bool probe_has(const struct probe *p, size_t at, const void *bytes, size_t n)
{
    return p->n >= at + n && memcmp(p->b + at, bytes, n) == 0;
}

static uint64_t number(const struct probe *p, unsigned at, unsigned width, bool big)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < width && at + i < p->n; i++)
        v |= (uint64_t)p->b[at + i] << 8 * (big ? width - 1 - i : i);
    return v;
}

/* --- is it a disk? --- */

static unsigned gpt_sector(const struct probe *p)
{
    return probe_has(p, 512, "EFI PART", 8) ? 512 : probe_has(p, 4096, "EFI PART", 8) ? 4096 : 0;
}

static bool boots(const struct probe *p)
{
    return probe_has(p, 510, "\x55\xaa", 2);
}

static const struct superblock *find_superblock(const struct probe *p)
{
    for (size_t i = 0; i < sizeof(superblocks) / sizeof(superblocks[0]); i++)
        if (probe_has(p, superblocks[i].at, superblocks[i].magic, superblocks[i].n))
            return &superblocks[i];
    return NULL;
}

static bool is_blank(const struct probe *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->b[i])
            return false;
    return p->n >= IMAGE_SECTOR;
}

bool image_raw_known(const struct image_file *f)
{
    SV_AUTOFREE struct probe *p = sv_alloc(sizeof(*p));
    probe_read(f, p);
    return gpt_sector(p) || boots(p) || find_superblock(p) || is_blank(p);
}

/* --- is all of it there? --- */

static enum sv_err check_gpt(const struct image_file *f, const struct probe *p, unsigned sector, struct sv_error *err)
{
    const uint64_t backup = number(p, sector + 32, 8, false), last = number(p, sector + 48, 8, false);
    const uint64_t end = last > backup ? last : backup;
    return end >= (uint64_t)f->size / sector
               ? image_refuse(err, "it is cut short: its partition table (GPT) reaches past its end")
               : SV_OK;
}

/* The four entries make sense only together: a boot sector of another kind has code there. */
static bool is_mbr(const struct probe *p)
{
    unsigned used = 0;
    for (unsigned i = 0; i < MBR_ENTRIES; i++) {
        const unsigned char *e = p->b + MBR_TABLE + 16 * i;
        if (e[0] != 0 && e[0] != 0x80)
            return false;
        used += e[4] != 0;
    }
    return used > 0;
}

static enum sv_err check_mbr(const struct image_file *f, const struct probe *p, struct sv_error *err)
{
    for (unsigned i = 0; i < MBR_ENTRIES && is_mbr(p); i++) {
        const unsigned at = MBR_TABLE + 16 * i;
        const uint64_t first = number(p, at + 8, 4, false), n = number(p, at + 12, 4, false);
        if (p->b[at + 4] && p->b[at + 4] != MBR_PROTECTS && !image_has(f, first * 512, n * 512))
            return image_refuse(err, "it is cut short: its partition table (MBR) reaches past its end");
    }
    return SV_OK;
}

static enum sv_err check_superblock(const struct image_file *f, const struct probe *p, struct sv_error *err)
{
    const struct superblock *s = find_superblock(p);
    if (!s || !s->count_width)
        return SV_OK;
    const uint64_t count = number(p, s->count_at, s->count_width, s->big);
    uint64_t block = s->block_at ? number(p, s->block_at, 4, s->big) : s->block;
    if (s->shifted)
        block = block < 7 ? (uint64_t)s->block << block : 0;
    return block && count > (uint64_t)f->size / block
               ? image_refuse(err, "it is cut short: its file system reaches past its end")
               : SV_OK;
}

enum sv_err image_whole_raw(const struct image_file *f, struct sv_error *err)
{
    SV_AUTOFREE struct probe *p = sv_alloc(sizeof(*p));
    probe_read(f, p);
    const unsigned sector = gpt_sector(p);
    if (sector)
        return check_gpt(f, p, sector, err);
    enum sv_err rc = boots(p) ? check_mbr(f, p, err) : SV_OK;
    return rc ? rc : check_superblock(f, p, err);
}
