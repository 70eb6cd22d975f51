/* What a file is, by what stands at known places in it. */
#include "hv/image.h"

#include "starvirt/text.h"

#include <ctype.h>
#include <stdio.h>

struct sign {
    unsigned at; /* [bytes] within the head */
    const char *bytes;
    size_t n;
    const char *what; /* of the formats that are taken: their name */
};
#define SIGN(at, bytes, what)                                                                                          \
    {                                                                                                                  \
        at, bytes, sizeof(bytes) - 1, what                                                                             \
    }
#define IS(what)      "this is " what ", not a disk image"
#define PACKED(what)  "this is " what ": unpack it first"
#define FOREIGN(what) "this is " what "; qcow2, raw and vmdk are taken"

/* Formats that QEMU could be talked into probing: none of them passes as raw, whatever was said (threats 1-4). */
static const struct sign taken[] = {
    SIGN(0, "QFI\xfb", "qcow2"),
    SIGN(0, "KDMV", "vmdk"),
};
static const struct sign foreign[] = {
    SIGN(0, "COWD", FOREIGN("VMDK of the old COWD kind")),
    SIGN(0, "# Disk DescriptorFile", FOREIGN("VMDK descriptor that names other files")),
    SIGN(0, "QED\0", FOREIGN("QED")),
    SIGN(0, "LUKS\xba\xbe", FOREIGN("LUKS")),
    SIGN(0, "SKUL\xba\xbe", FOREIGN("LUKS")),
    SIGN(0, "conectix", FOREIGN("VHD")),
    SIGN(0, "vhdxfile", FOREIGN("VHDX")),
    SIGN(0, "<<< ", FOREIGN("VDI")),
    SIGN(64, "\x7f\x10\xda\xbe", FOREIGN("VDI")),
    SIGN(0, "WithoutFreeSpace", FOREIGN("Parallels")),
    SIGN(0, "WithouFreSpacExt", FOREIGN("Parallels")),
    SIGN(0, "Bochs Virtual HD Image", FOREIGN("Bochs")),
    SIGN(0, "#!/bin/sh\n#V2.0 Format", FOREIGN("cloop")),
};

/* What people send in place of a disk. Long enough that no boot sector begins so by chance. */
static const struct sign others[] = {
    SIGN(257, "ustar", PACKED("a tar archive")),
    SIGN(0, "\x1f\x8b\x08", PACKED("gzip")),
    SIGN(0,
         "\xfd"
         "7zXZ\0",
         PACKED("xz")),
    SIGN(0, "\x28\xb5\x2f\xfd", PACKED("zstd")),
    SIGN(1, "\x2a\x4d\x18", PACKED("zstd or LZ4")),
    SIGN(0, "\x04\x22\x4d\x18", PACKED("LZ4")),
    SIGN(0, "\x02\x21\x4c\x18", PACKED("LZ4")),
    SIGN(0, "BZh", PACKED("bzip2")),
    SIGN(0, "LZIP", PACKED("lzip")),
    SIGN(0, "\x89LZO\0", PACKED("lzop")),
    SIGN(0, "PK\3\4", PACKED("zip")),
    SIGN(0, "PK\5\6", PACKED("zip")),
    SIGN(0, "PK\7\10", PACKED("zip")),
    SIGN(0, "7z\xbc\xaf\x27\x1c", PACKED("7z")),
    SIGN(0, "Rar!\x1a\7", PACKED("rar")),
    SIGN(0, "MSCF\0\0\0\0", PACKED("a cabinet archive")),
    SIGN(0, "xar!", PACKED("a xar archive")),
    SIGN(0, "070701", PACKED("a cpio archive")),
    SIGN(0, "070702", PACKED("a cpio archive")),
    SIGN(0, "070707", PACKED("a cpio archive")),
    SIGN(0, "!<arch>\n", IS("an ar archive or Debian package")),
    SIGN(0, "\xed\xab\xee\xdb", IS("an RPM package")),
    SIGN(0, "VMA\0", IS("a backup archive of Proxmox VE")),
    SIGN(0, "MSWIM\0\0\0", IS("a Windows image file (WIM)")),
    SIGN(0, "partclone-image", IS("a partclone archive")),
    SIGN(0, "\0ntfsclone-image", IS("an ntfsclone archive")),
    SIGN(0, "btrfs-stream\0", IS("a btrfs stream")),
    SIGN(0, "\x3a\xff\x26\xed", IS("an Android sparse image")),
    SIGN(0, "EVF\x09\x0d\x0a\xff", IS("an EnCase image")),
    SIGN(0, "hsqs", IS("a SquashFS, as containers use it")),
    SIGN(0, "\x45\x3d\xcd\x28", IS("a cramfs")),
    SIGN(1024, "\xe2\xe1\xf5\xe0", IS("an EROFS, as containers use it")),
    SIGN(0, "QEVM", IS("the saved state of a guest")),
    SIGN(0, "LibvirtQemudSave", IS("the saved state of a guest")),
    SIGN(514, "HdrS", IS("a Linux kernel")),
    SIGN(0,
         "\x7f"
         "ELF",
         IS("a program (ELF)")),
    SIGN(0, "%PDF-", IS("a PDF document")),
    SIGN(0, "\x89PNG\r\n", IS("a picture")),
    SIGN(0, "\xff\xd8\xff", IS("a picture")),
    SIGN(0, "GIF8", IS("a picture")),
    SIGN(0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", IS("an Office document")),
    SIGN(0, "SQLite format 3\0", IS("an SQLite database")),
    SIGN(0, "\xca\xfe\xba\xbe", IS("a Java or macOS program")),
};
/* Short: asked for only where nothing says that it is a disk. */
static const struct sign short_others[] = {
    SIGN(0, "MZ", IS("a program (DOS, Windows or EFI)")),
    SIGN(0, "\x1f\x9d", PACKED("compress")),
    SIGN(0, "\x5d\0\0", PACKED("LZMA")),
    SIGN(0, "\xc7\x71", PACKED("a cpio archive")),
    SIGN(0, "\x60\xea", PACKED("an ARJ archive")),
};

/* How a text begins, in small letters, blanks before it left out. */
static const struct {
    const char *begin, *has, *what;
} texts[] = {
    {"version https://git-lfs", NULL, "this is a Git LFS pointer: fetch the file itself (git lfs pull)"},
    {"<!doctype html", NULL, IS("an HTML page")},
    {"<html", NULL, IS("an HTML page")},
    {"<", "<html", IS("an HTML page")},
    {"<", "envelope", IS("an OVF description")},
    {"<", "<error>", IS("an error message in XML")},
    {"<?xml", NULL, IS("XML")},
    {"{", NULL, IS("JSON")},
    {"[", NULL, IS("JSON")},
    {"http/1.", NULL, IS("the head of an HTTP response")},
    {"--", "content-disposition:", IS("a form (multipart/form-data)")},
    {"-----begin", NULL, IS("a PEM file")},
    {"#!", NULL, IS("a script")},
    {"#cloud-config", NULL, IS("a cloud-init file")},
};

#define MATCH(f, table) find((f), (table), sizeof(table) / sizeof((table)[0]))

static const struct sign *find(const struct image_file *f, const struct sign *s, size_t n)
{
    for (const struct sign *end = s + n; s < end; s++)
        if (f->head_len >= s->at + s->n && memcmp(f->head + s->at, s->bytes, s->n) == 0)
            return s;
    return NULL;
}

/* VHD and DMG are known by their last 512 bytes. */
static bool has_foreign_trailer(const struct image_file *f)
{
    char tail[8];
    if (f->size < 512 || !image_read(f, f->size - 512, tail, sizeof(tail)))
        return false;
    return memcmp(tail, "conectix", 8) == 0 || memcmp(tail, "koly", 4) == 0;
}

/* --- texts --- */

/* UTF-8 without control characters; the head may end within a character. */
static bool is_text(const struct image_file *f)
{
    for (size_t i = 0; i < f->head_len; i++)
        if (f->head[i] == 0x7f || (f->head[i] < ' ' && !memchr("\n\r\t\f\b\x1b", f->head[i], 6)))
            return false;
    for (size_t less = 0; less < 4 && less < f->head_len; less++)
        if (sv_utf8_valid((const char *)f->head, f->head_len - less))
            return true;
    return false;
}

static const char *what_text(const struct image_file *f)
{
    char text[IMAGE_HEAD + 1];
    const char *at = text;
    size_t n = 0;
    if (f->head_len >= 2 && (memcmp(f->head, "\xff\xfe", 2) == 0 || memcmp(f->head, "\xfe\xff", 2) == 0))
        return IS("a text");
    if (!is_text(f))
        return NULL;
    for (; n < f->head_len; n++)
        text[n] = (char)tolower(f->head[n]);
    text[n] = '\0';
    if (strncmp(at, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    at += strspn(at, " \t\r\n");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strncmp(at, texts[i].begin, strlen(texts[i].begin)) == 0 && (!texts[i].has || strstr(at, texts[i].has)))
            return texts[i].what;
    return IS("a text");
}

/* --- the answer --- */

/* An OVA is a tar archive that begins with its description. */
static bool is_ova(const struct image_file *f)
{
    const size_t n = strnlen((const char *)f->head, 100);
    return n > 4 && strncasecmp((const char *)f->head + n - 4, ".ovf", 4) == 0;
}

/* What it is if it is no disk; NULL where nothing tells. */
static const char *what_else(const struct image_file *f)
{
    const struct sign *s = MATCH(f, others);
    if (s == &others[0] && is_ova(f))
        return "this is an OVA: unpack it and send the VMDK that is in it";
    if (s)
        return s->what;
    if (image_raw_known(f))
        return NULL;
    s = MATCH(f, short_others);
    return s ? s->what : what_text(f);
}

static enum sv_err misnamed(const char *format, const char *found, struct sv_error *err)
{
    char why[96];
    snprintf(why, sizeof(why), "named %.16s but the content is %s", format, found);
    return image_refuse(err, why);
}

/* Neither qcow2 nor vmdk, nor what must not pass as raw. */
static enum sv_err detect_raw(const struct image_file *f, const char *format, struct sv_error *err)
{
    const bool said = format && strcmp(format, "raw") == 0;
    const char *what = said ? NULL : what_else(f);
    if (what)
        return image_refuse(err, what);
    if (format && !said)
        return misnamed(format, "raw", err);
    if (said)
        return SV_OK;
    if (image_raw_known(f))
        return f->size % IMAGE_SECTOR == 0
                   ? SV_OK
                   : image_refuse(err, "it is cut short: a disk is a whole number of sectors (512 bytes)");
    return image_refuse(err, f->size < IMAGE_SECTOR
                                 ? "the file is smaller than a sector"
                                 : "no kind of disk image is known that looks like this; format=raw takes it as it is");
}

enum sv_err image_detect(const struct image_file *f, const char *format, const char **ret, struct sv_error *err)
{
    const struct sign *s = MATCH(f, foreign);
    enum sv_err rc = SV_OK;
    if (s)
        return image_refuse(err, s->what);
    s = MATCH(f, taken);
    if (s && format && strcmp(format, s->what) != 0)
        return misnamed(format, s->what, err);
    if (!s && has_foreign_trailer(f))
        return image_refuse(err, FOREIGN("VHD or DMG"));
    if (!s)
        rc = detect_raw(f, format, err);
    if (!rc)
        *ret = s ? s->what : "raw";
    return rc;
}
