#include "hv/image_vmdk.h"

#include <ctype.h>

enum {
    DESC_AT = 1,    /* [sectors] where readers look for the descriptor whatever the header says */
    DESC_READ = 20, /* [sectors] how much of it they read */
    DESC_MAX = 128, /* [sectors] */
    MAX_GTES = 512,
    MAX_GD_BYTES = 32 << 20,
};

static enum sv_err check_header(const struct vmdk_header *h, struct sv_error *err)
{
    uint64_t grain = le64toh(h->grain), capacity = le64toh(h->capacity);
    if (le32toh(h->version) < 1 || le32toh(h->version) > 3)
        return image_refuse(err, "the VMDK has an unknown version");
    /* A reader takes capacity 0 to mean: follow the extents that the descriptor names. */
    if (capacity == 0)
        return image_refuse(err, "the VMDK has no capacity of its own");
    if (capacity > SV_MAX_IMAGE_VIRTUAL / IMAGE_SECTOR)
        return image_refuse(err, "the virtual size is over the limit of 4 TiB");
    if (grain < 8 || grain > 128 * 1024 || (grain & (grain - 1)) || le32toh(h->gtes_per_gt) == 0 ||
        le32toh(h->gtes_per_gt) > MAX_GTES)
        return image_refuse(err, "the VMDK tables are absurd");
    if (capacity / grain / le32toh(h->gtes_per_gt) > MAX_GD_BYTES / sizeof(uint32_t))
        return image_refuse(err, "the VMDK tables are too large");
    if (le16toh(h->compression) > 1)
        return image_refuse(err, "the VMDK has an unknown compression");
    return SV_OK;
}

/* A line of the descriptor, blanks trimmed. */
static bool next_line(const char **at, const char **line, size_t *n)
{
    if (!**at)
        return false;
    size_t len = strcspn(*at, "\r\n");
    const char *s = *at, *end = *at + len;
    *at = end + (*end != '\0');
    while (s < end && isspace((unsigned char)*s))
        s++;
    while (end > s && isspace((unsigned char)end[-1]))
        end--;
    *line = s;
    *n = (size_t)(end - s);
    return true;
}

static bool starts(const char *line, size_t n, const char *word)
{
    return n >= strlen(word) && strncasecmp(line, word, strlen(word)) == 0;
}

static bool is_extent(const char *line, size_t n)
{
    return starts(line, n, "RW ") || starts(line, n, "RDONLY ") || starts(line, n, "NOACCESS ");
}

/* RW <sectors> SPARSE "<name>": the name is this file's own, so it has no directory part. */
static bool is_own_extent(const char *line, size_t n)
{
    const char *type = memmem(line, n, " SPARSE \"", 9);
    if (!type || n < 10 || line[n - 1] != '"')
        return false;
    const char *name = type + 9, *end = line + n - 1;
    if (name >= end)
        return false;
    for (const char *p = name; p < end; p++)
        if (*p == '/' || *p == '\\' || *p == '"' || *p == ':')
            return false;
    return true;
}

static bool is_known_type(const char *line, size_t n)
{
    static const char *const types[] = {"monolithicSparse", "streamOptimized"};
    const char *v = memchr(line, '=', n);
    size_t rest = v ? n - (size_t)(v + 1 - line) : 0;
    for (size_t i = 0; v && i < 2; i++) {
        size_t len = strlen(types[i]);
        if (rest == len + 2 && v[1] == '"' && v[len + 2] == '"' && memcmp(v + 2, types[i], len) == 0)
            return true;
    }
    return false;
}

static enum sv_err check_descriptor(const char *text, struct sv_error *err)
{
    unsigned extents = 0, kinds = 0;
    const char *at = text, *line;
    size_t n;
    while (next_line(&at, &line, &n)) {
        if (is_extent(line, n)) {
            extents++;
            if (!is_own_extent(line, n))
                return image_refuse(err, "the VMDK names another file as an extent");
        }
        if (starts(line, n, "createType")) {
            kinds++;
            if (!is_known_type(line, n))
                return image_refuse(err, "VMDK kinds monolithicSparse and streamOptimized are taken, no other");
        }
        if (starts(line, n, "parentCID") && !memmem(line, n, "ffffffff", 8))
            return image_refuse(err, "the VMDK has a parent");
    }
    if (extents != 1 || kinds != 1)
        return image_refuse(err, "the VMDK must have one extent and one kind");
    return SV_OK;
}

static enum sv_err check_embedded(const struct image_file *f, const struct vmdk_header *h, struct sv_error *err)
{
    uint64_t at = le64toh(h->desc_offset), n = le64toh(h->desc_size);
    if (at != DESC_AT || n == 0 || n > DESC_MAX)
        return image_refuse(err, "the VMDK has no embedded descriptor where it belongs");
    /* Readers look at a fixed stretch: what they would see is searched too, past any NUL. */
    size_t want = (size_t)(n > DESC_READ ? n : DESC_READ) * IMAGE_SECTOR;
    size_t have = (uint64_t)(f->size - IMAGE_SECTOR) < want ? (size_t)(f->size - IMAGE_SECTOR) : want;
    SV_AUTOFREE char *text = sv_alloc(want + 1);
    if (have < n * IMAGE_SECTOR || !image_read(f, IMAGE_SECTOR, text, have))
        return image_refuse(err, "the VMDK descriptor is cut off");
    for (size_t i = 0; i < have; i++)
        if (strncasecmp(text + i, "parentFileNameHint", 18) == 0)
            return image_refuse(err, "the VMDK names a parent file");
    text[n * IMAGE_SECTOR] = '\0';
    return check_descriptor(text, err);
}

/* The last three sectors of a stream: a marker, a copy of the header, a marker. */
enum { FOOTER = 3 * IMAGE_SECTOR, MARK_TYPE = 12, MARK_END = 0, MARK_FOOTER = 3 };

static bool is_marker(const unsigned char *sector, uint32_t type)
{
    uint32_t size, is;
    memcpy(&size, sector + 8, sizeof(size));
    memcpy(&is, sector + MARK_TYPE, sizeof(is));
    return size == 0 && le32toh(is) == type;
}

/* With the directory at the end, a copy of the header there counts instead of the first. */
static enum sv_err check_footer(const struct image_file *f, struct vmdk_header *h, struct sv_error *err)
{
    unsigned char end[FOOTER];
    struct vmdk_header last;
    if (f->size % IMAGE_SECTOR != 0 || !image_read(f, f->size - FOOTER, end, sizeof(end)))
        return image_refuse(err, "the VMDK footer is cut off");
    memcpy(&last, end + IMAGE_SECTOR, sizeof(last));
    if (memcmp(&last.magic, "KDMV", 4) != 0 || last.desc_offset != h->desc_offset)
        return image_refuse(err, "the VMDK footer is cut off or does not fit its header");
    *h = last;
    enum sv_err rc = check_header(h, err);
    if (!rc && (!is_marker(end, MARK_FOOTER) || !is_marker(end + FOOTER - IMAGE_SECTOR, MARK_END)))
        rc = image_refuse(err, "the VMDK has no mark of its end");
    return rc;
}

enum sv_err image_vmdk_header(const struct image_file *f, struct vmdk_header *ret, struct sv_error *err)
{
    struct vmdk_header h;
    if (f->size < 2 * IMAGE_SECTOR)
        return image_refuse(err, "the VMDK header is cut off");
    memcpy(&h, f->head, sizeof(h));
    enum sv_err rc = check_header(&h, err);
    if (!rc && le64toh(h.gd_offset) == VMDK_GD_AT_END)
        rc = check_footer(f, &h, err);
    if (!rc)
        *ret = h;
    return rc;
}

enum sv_err image_check_vmdk(const struct image_file *f, int64_t *ret_virtual, struct sv_error *err)
{
    struct vmdk_header h = {0}, first;
    if (f->size < 2 * IMAGE_SECTOR)
        return image_refuse(err, "the VMDK header is cut off");
    memcpy(&first, f->head, sizeof(first));
    enum sv_err rc = check_header(&first, err);
    if (!rc)
        rc = check_embedded(f, &first, err);
    if (!rc)
        rc = image_vmdk_header(f, &h, err);
    if (!rc)
        *ret_virtual = (int64_t)le64toh(h.capacity) * IMAGE_SECTOR;
    return rc;
}
