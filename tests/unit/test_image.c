/* The image gate against files made to be refused (threats 1-3, 5, 7). */
#include "tests/unit/image_files.h"

#include <sys/stat.h>

/* --- qcow2 --- */

static void qcow2_refused(const char *why)
{
    write_file(q, sizeof(q));
    refused_as(NULL, why);
    refused_as("qcow2", why);
}

static void qcow2_good(void)
{
    for (uint32_t version = 2; version <= 3; version++) {
        good_qcow2(version);
        write_file(q, sizeof(q));
        taken_as(NULL, "qcow2", 64 << 20);
        taken_as("qcow2", "qcow2", 64 << 20);
        refused_as("raw", "named raw but the content is qcow2");
        refused_as("vmdk", "named vmdk");
    }
}

static void qcow2_backing_file(void)
{
    good_qcow2(3);
    put64(8, 512);
    put32(16, 11);
    memcpy(q + 512, "/etc/shadow", 11);
    qcow2_refused("backing file");
    good_qcow2(2);
    put64(8, 512);
    qcow2_refused("backing file");
    good_qcow2(3);
    put32(16, 11);
    qcow2_refused("backing file");
    good_qcow2(3);
    put32(104, 0xE2792ACA);
    put32(108, 3);
    qcow2_refused("backing file");
}

static void qcow2_data_file(void)
{
    good_qcow2(3);
    put64(72, 4);
    qcow2_refused("another file");
    good_qcow2(3);
    put32(104, 0x6803f857); /* a harmless extension first */
    put32(108, 5);
    put32(120, 0x44415441);
    put32(124, 11);
    memcpy(q + 128, "/etc/shadow", 11);
    qcow2_refused("external data file");
    good_qcow2(2);
    put32(72, 0x44415441);
    put32(76, 11);
    qcow2_refused("external data file");
}

static void qcow2_features(void)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        good_qcow2(3);
        put64(72, 1ULL << bit);
        write_file(q, sizeof(q));
        if (bit == 0 || bit == 3 || bit == 4)
            taken_as("qcow2", "qcow2", 64 << 20);
        else
            refused_as("qcow2", "");
    }
}

static void qcow2_encrypted(void)
{
    for (uint32_t method = 1; method < 4; method++) {
        good_qcow2(3);
        put32(32, method);
        qcow2_refused("encrypted");
    }
    good_qcow2(3);
    put32(104, 0x0537be77);
    put32(108, 16);
    qcow2_refused("encrypted");
}

static void qcow2_absurd(void)
{
    good_qcow2(1);
    qcow2_refused("versions 2 and 3");
    good_qcow2(4);
    qcow2_refused("versions 2 and 3");
    for (uint32_t bits = 0; bits < 256; bits++) {
        good_qcow2(3);
        put32(20, bits);
        if (bits < 9 || bits > 21)
            qcow2_refused("cluster size");
    }
    static const uint32_t lengths[] = {0, 72, 103, 105, 1 << 17, UINT32_MAX, UINT32_MAX - 7};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        good_qcow2(3);
        put32(100, lengths[i]);
        qcow2_refused("header length");
    }
    good_qcow2(3);
    put32(36, UINT32_MAX);
    qcow2_refused("tables");
    good_qcow2(3);
    put32(60, UINT32_MAX);
    qcow2_refused("tables");
    good_qcow2(3);
    put32(104, 0x12345678);
    put32(108, UINT32_MAX);
    qcow2_refused("extension");
}

static void qcow2_sizes(void)
{
    good_qcow2(3);
    put64(24, 0);
    qcow2_refused("zero");
    good_qcow2(3);
    put64(24, SV_MAX_IMAGE_VIRTUAL + 1);
    qcow2_refused("4 TiB");
    good_qcow2(3);
    put64(24, UINT64_MAX);
    qcow2_refused("4 TiB");
    good_qcow2(3);
    put64(24, SV_MAX_IMAGE_VIRTUAL);
    write_file(q, sizeof(q));
    taken_as("qcow2", "qcow2", SV_MAX_IMAGE_VIRTUAL);
}

/* Every prefix of a header is refused, not read past its end. */
static void qcow2_cut(void)
{
    for (size_t n = 4; n < 112; n++) {
        good_qcow2(3);
        write_file(q, n);
        refused_as("qcow2", "cut off");
    }
}

/* --- vmdk --- */

struct vmdk {
    uint64_t capacity, desc_offset, desc_size, gd_offset;
    const char *descriptor;
};

static const char good_descriptor[] = "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
                                      "createType=\"streamOptimized\"\n\nRW 131072 SPARSE \"disk.vmdk\"\n";

static void put_header(size_t at, const struct vmdk *m)
{
    uint32_t version = 1, gtes = 512;
    uint64_t grain = 128;
    memcpy(v + at, "KDMV", 4);
    memcpy(v + at + 4, &version, 4);
    memcpy(v + at + 12, &m->capacity, 8);
    memcpy(v + at + 20, &grain, 8);
    memcpy(v + at + 28, &m->desc_offset, 8);
    memcpy(v + at + 36, &m->desc_size, 8);
    memcpy(v + at + 44, &gtes, 4);
    memcpy(v + at + 56, &m->gd_offset, 8);
}

static void write_vmdk(const struct vmdk *m)
{
    memset(v, 0, sizeof(v));
    put_header(0, m);
    if (m->descriptor)
        memcpy(v + 512, m->descriptor, strlen(m->descriptor));
    write_file(v, sizeof(v));
}

static struct vmdk good_vmdk(void)
{
    return (struct vmdk){
        .capacity = 131072, .desc_offset = 1, .desc_size = 20, .gd_offset = 21, .descriptor = good_descriptor};
}

static void vmdk_good(void)
{
    struct vmdk m = good_vmdk();
    write_vmdk(&m);
    taken_as(NULL, "vmdk", 64 << 20);
    refused_as("raw", "named raw");
}

static void vmdk_descriptor_refused(const char *text, const char *why)
{
    struct vmdk m = good_vmdk();
    m.descriptor = text;
    write_vmdk(&m);
    refused_as("vmdk", why);
}

#define HEAD "# Disk DescriptorFile\nparentCID=ffffffff\ncreateType=\"monolithicSparse\"\n"

static void vmdk_extents(void)
{
    vmdk_descriptor_refused(HEAD "RW 100 FLAT \"/etc/shadow\" 0\n", "another file");
    vmdk_descriptor_refused(HEAD "RW 100 SPARSE \"/etc/shadow\"\n", "another file");
    vmdk_descriptor_refused(HEAD "RW 100 SPARSE \"../x.vmdk\"\n", "another file");
    vmdk_descriptor_refused(HEAD "RW 100 SPARSE \"nbd:host\"\n", "another file");
    vmdk_descriptor_refused(HEAD "  rdonly 100 flat \"shadow\" 0\n", "another file");
    vmdk_descriptor_refused(HEAD "RW 100 SPARSE \"a.vmdk\"\nRW 100 SPARSE \"b.vmdk\"\n", "one extent");
    vmdk_descriptor_refused(HEAD, "one extent");
    vmdk_descriptor_refused(HEAD "\rRW 100 FLAT \"x\" 0\r", "another file");
}

static void vmdk_kinds(void)
{
    static const char *const kinds[] = {
        "monolithicFlat", "twoGbMaxExtentFlat", "vmfs", "twoGbMaxExtentSparse", "", "x"};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "# Disk DescriptorFile\ncreateType=\"%s\"\nRW 100 SPARSE \"a.vmdk\"\n", kinds[i]);
        vmdk_descriptor_refused(text, "no other");
    }
    vmdk_descriptor_refused("RW 100 SPARSE \"a.vmdk\"\n", "one kind");
}

static void vmdk_parent(void)
{
    vmdk_descriptor_refused(HEAD "RW 100 SPARSE \"a.vmdk\"\nparentFileNameHint=\"/etc/shadow\"\n", "parent file");
    vmdk_descriptor_refused("parentCID=1234\ncreateType=\"monolithicSparse\"\nRW 100 SPARSE \"a.vmdk\"\n", "parent");
    /* Past the size that the header admits, yet in the stretch that readers take. */
    struct vmdk m = good_vmdk();
    m.desc_size = 1;
    write_vmdk(&m);
    memcpy(v + 512 + 4096, "parentFileNameHint=\"/etc/shadow\"", 32);
    write_file(v, sizeof(v));
    refused_as("vmdk", "parent file");
}

static void vmdk_headers(void)
{
    struct vmdk m = good_vmdk();
    m.capacity = 0; /* "look at the descriptor's extents" */
    write_vmdk(&m);
    refused_as("vmdk", "no capacity");
    m = good_vmdk();
    m.capacity = UINT64_MAX;
    write_vmdk(&m);
    refused_as("vmdk", "4 TiB");
    m = good_vmdk();
    m.desc_offset = 40;
    write_vmdk(&m);
    refused_as("vmdk", "embedded descriptor");
    m = good_vmdk();
    m.desc_size = 1 << 20;
    write_vmdk(&m);
    refused_as("vmdk", "embedded descriptor");
    for (size_t n = 4; n < 1024; n += 51) {
        m = good_vmdk();
        write_vmdk(&m);
        write_file(v, n);
        refused_as("vmdk", "cut off");
    }
}

/* The copy at the end is the one that counts. */
static void vmdk_footer(void)
{
    struct vmdk m = good_vmdk();
    m.gd_offset = UINT64_MAX;
    write_vmdk(&m);
    refused_as("vmdk", "footer");
    m.capacity = 0;
    put_header(sizeof(v) - 1024, &m);
    write_file(v, sizeof(v));
    refused_as("vmdk", "no capacity");
    m.capacity = 262144;
    put_header(sizeof(v) - 1024, &m);
    write_file(v, sizeof(v));
    refused_as("vmdk", "no mark of its end");
    v[sizeof(v) - 1536 + 12] = 3;
    write_file(v, sizeof(v));
    taken_as("vmdk", "vmdk", 128 << 20);
    v[sizeof(v) - 512 + 12] = 1; /* more was to come */
    write_file(v, sizeof(v));
    refused_as("vmdk", "no mark of its end");
}

/* --- the rest --- */

static void foreign_magic_is_not_raw(void)
{
    static const struct {
        const char *bytes;
        size_t n;
    } rows[] = {
        {"# Disk DescriptorFile\nRW 1 FLAT \"/etc/shadow\" 0\n", 48},
        {"COWD", 4},
        {"QED", 4},
        {"LUKS\xba\xbe", 6},
        {"conectix", 8},
        {"vhdxfile", 8},
        {"<<< Oracle VM VirtualBox Disk Image >>>", 39},
        {"WithoutFreeSpace", 16},
        {"WithouFreSpacExt", 16},
        {"Bochs Virtual HD Image", 22},
        {"#!/bin/sh\n#V2.0 Format", 22},
        {"QFI\xfb", 4},
        {"KDMV", 4},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        memset(v, 0, sizeof(v));
        memcpy(v, rows[i].bytes, rows[i].n);
        write_file(v, sizeof(v));
        refused_as("raw", "");
        refused_as(NULL, "");
    }
}

static void trailer_is_not_raw(void)
{
    memset(v, 0, sizeof(v));
    memcpy(v + sizeof(v) - 512, "conectix", 8);
    write_file(v, sizeof(v));
    refused_as("raw", "VHD");
}

static void raw_good(void)
{
    memset(v, 0, sizeof(v));
    v[510] = 0x55;
    v[511] = 0xaa;
    write_file(v, sizeof(v));
    taken_as("raw", "raw", sizeof(v));
    taken_as(NULL, "raw", sizeof(v));
    refused_as("qcow2", "named qcow2 but the content is raw");
    write_file("", 0);
    refused_as("raw", "empty");
    CHECK_INT(truncate(path, SV_MAX_IMAGE_VIRTUAL + 512), 0);
    refused_as("raw", "4 TiB");
}

static void not_regular(void)
{
    in_dir(path, sizeof(path), "image");
    unlink(path);
    refused_as("raw", "cannot be opened");
    CHECK_INT(symlink("/etc/shadow", path), 0);
    refused_as("raw", "symbolic link");
    unlink(path);
    CHECK_INT(mkfifo(path, 0600), 0);
    refused_as("raw", "not a regular file");
    unlink(path);
    CHECK_INT(mkdir(path, 0700), 0);
    refused_as("raw", "not a regular file");
    CHECK_INT(rmdir(path), 0);
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {
        T(qcow2_good),         T(qcow2_backing_file), T(qcow2_data_file),
        T(qcow2_features),     T(qcow2_encrypted),    T(qcow2_absurd),
        T(qcow2_sizes),        T(qcow2_cut),          T(vmdk_good),
        T(vmdk_extents),       T(vmdk_kinds),         T(vmdk_parent),
        T(vmdk_headers),       T(vmdk_footer),        T(foreign_magic_is_not_raw),
        T(trailer_is_not_raw), T(raw_good),           T(not_regular),
    };
    image_dir_make();
    int rc = check_run(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    image_dir_drop();
    return rc;
}
