/* The image gate against files made to be refused (threats 1-5, 7, 12), and the way in for good ones. */
#include "starvirt/hv.h"
#include "starvirt/mem.h"
#include "starvirt/proc.h"

#include "tests/unit/check.h"

#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/starvirt-image-XXXXXX";
static char path[256];

static void in_dir(char *buf, size_t size, const char *name)
{
    snprintf(buf, size, "%s/%s", dir, name);
}

static void write_file(const void *data, size_t n)
{
    in_dir(path, sizeof(path), "image");
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0);
    CHECK_INT(write(fd, data, n), n);
    close(fd);
}

static void refused_as(const char *format, const char *why)
{
    struct sv_error err = {0};
    struct sv_image image = {.size = -5};
    CHECK_INT(sv_image_check(path, format, &image, &err), SV_E_IMAGE_REFUSED);
    if (!strstr(err.arg[0], why))
        check_failed(__FILE__, __LINE__, "refused with \"%s\", expected \"%s\"", err.arg[0], why);
    CHECK_INT(image.size, -5);
}

static void taken_as(const char *format, const char *found, int64_t virtual_size)
{
    struct sv_error err = {0};
    struct sv_image image;
    if (sv_image_check(path, format, &image, &err))
        check_failed(__FILE__, __LINE__, "refused: %s", err.arg[0]);
    CHECK_STR(image.format, found);
    CHECK_INT(image.virtual_size, virtual_size);
}

/* --- qcow2 --- */

static unsigned char q[1024];

static void put32(size_t at, uint32_t v)
{
    v = htobe32(v);
    memcpy(q + at, &v, 4);
}

static void put64(size_t at, uint64_t v)
{
    v = htobe64(v);
    memcpy(q + at, &v, 8);
}

static void good_qcow2(uint32_t version)
{
    memset(q, 0, sizeof(q));
    memcpy(q, "QFI\xfb", 4);
    put32(4, version);
    put32(20, 16);
    put64(24, 64 << 20);
    put32(36, 1);
    put64(40, 3 << 16);
    put64(48, 1 << 16);
    put32(56, 1);
    if (version == 3) {
        put32(96, 4);
        put32(100, 104);
    }
}

static void qcow2_refused(const char *why)
{
    write_file(q, sizeof(q));
    refused_as(NULL, why);
    refused_as("qcow2", why);
}

static void qcow2_good(void)
{
    for (uint32_t v = 2; v <= 3; v++) {
        good_qcow2(v);
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

static unsigned char v[64 * 1024];

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
    taken_as("vmdk", "vmdk", 128 << 20);
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
        {"\x1f\x8b", 2},
        {"\xfd"
         "7zXZ",
         6},
        {"PK\x03\x04", 4},
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

/* --- conversion --- */

static unsigned files_in_dir(void)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    CHECK(d);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void tool(const char *const *argv)
{
    struct sv_error err;
    int status = -1;
    CHECK_INT(sv_proc_run(&(struct sv_proc){.argv = argv}, &status, &err), SV_OK);
    CHECK_INT(status, 0);
}

struct seen {
    int64_t last, total;
    unsigned calls;
};

static void on_progress(void *arg, int64_t done, int64_t total)
{
    struct seen *s = arg;
    CHECK(done >= s->last && done <= total);
    *s = (struct seen){.last = done, .total = total, .calls = s->calls + 1};
}

static void converts(const char *format)
{
    char dst[256];
    struct sv_image made;
    struct sv_error err = {0};
    struct seen seen = {0};
    in_dir(dst, sizeof(dst), "-o.qcow2");
    if (sv_image_convert(path, format, dst, on_progress, &seen, NULL, &err))
        check_failed(__FILE__, __LINE__, "%s: %s %s", format, sv_err_symbol(err.code), err.arg[0]);
    CHECK_INT(sv_image_check(dst, "qcow2", &made, &err), SV_OK);
    CHECK_INT(made.virtual_size, 8 << 20);
    CHECK(seen.calls > 0);
    CHECK_INT(seen.last, seen.total);
    struct stat st;
    CHECK_INT(stat(dst, &st), 0);
    CHECK_INT(st.st_mode & 07777, 0444);
    CHECK_INT(files_in_dir(), 2);
    unlink(dst);
}

static void convert_each_format(void)
{
    static const char *const formats[] = {"raw", "qcow2", "vmdk"};
    in_dir(path, sizeof(path), "image");
    for (size_t i = 0; i < 3; i++) {
        const char *const argv[] = {"qemu-img", "create", "-q", "-f", formats[i], path, "8M", NULL};
        unlink(path);
        tool(argv);
        converts(formats[i]);
    }
}

static void convert_stream_optimized(void)
{
    in_dir(path, sizeof(path), "image");
    char raw[256];
    in_dir(raw, sizeof(raw), "raw");
    const char *const create[] = {"qemu-img", "create", "-q", "-f", "raw", raw, "8M", NULL};
    const char *const to_vmdk[] = {"qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized",
                                   raw,        path,      NULL};
    unlink(path);
    tool(create);
    tool(to_vmdk);
    unlink(raw);
    converts("vmdk");
}

/* Refused, broken or cancelled: nothing is left behind. */
static void convert_leaves_nothing(void)
{
    char dst[256];
    struct sv_error err;
    in_dir(dst, sizeof(dst), "out");
    good_qcow2(3);
    put64(72, 4);
    write_file(q, sizeof(q));
    CHECK_INT(sv_image_convert(path, "qcow2", dst, NULL, NULL, NULL, &err), SV_E_IMAGE_REFUSED);
    good_qcow2(3);
    put64(40, 12345); /* no place for a table */
    write_file(q, sizeof(q));
    CHECK_INT(sv_image_convert(path, "qcow2", dst, NULL, NULL, NULL, &err), SV_E_IMAGE_REFUSED);
    CHECK(!strstr(err.arg[0], dir));
    memset(v, 7, sizeof(v));
    write_file(v, sizeof(v));
    atomic_bool cancel = true;
    struct sv_deadline d = {.cancel = &cancel};
    CHECK_INT(sv_image_convert(path, "raw", dst, NULL, NULL, &d, &err), SV_E_JOB_CANCELLED);
    CHECK_INT(files_in_dir(), 1);
}

static void put_at(int fd, int64_t at, const void *data, size_t n)
{
    CHECK_INT(pwrite(fd, data, n, at), n);
}

/* A bomb: all tables lead to one cluster, so that 8 MiB on disk unpack to more than the storage has. */
static void write_bomb(void)
{
    enum { CLUSTER = 2 << 20, ENTRIES = CLUSTER / 8 };
    uint64_t *table = sv_alloc(CLUSTER);
    good_qcow2(3);
    put32(20, 21);
    put64(24, SV_MAX_IMAGE_VIRTUAL);
    put32(36, 8);
    put64(40, CLUSTER);
    put64(48, 4LL * CLUSTER);
    write_file(q, sizeof(q));
    int fd = open(path, O_WRONLY);
    for (size_t i = 0; i < ENTRIES; i++)
        table[i] = htobe64(2LL * CLUSTER);
    put_at(fd, CLUSTER, table, 8 * sizeof(*table));
    for (size_t i = 0; i < ENTRIES; i++)
        table[i] = htobe64(3LL * CLUSTER);
    put_at(fd, 2LL * CLUSTER, table, CLUSTER);
    memset(table, 0xa5, CLUSTER);
    put_at(fd, 3LL * CLUSTER, table, CLUSTER);
    close(fd);
    free(table);
}

static void convert_bomb(void)
{
    char dst[256];
    struct sv_error err = {0};
    in_dir(dst, sizeof(dst), "out");
    write_bomb();
    CHECK_INT(sv_image_convert(path, "qcow2", dst, NULL, NULL, NULL, &err), SV_E_STORAGE_FULL);
    CHECK_INT(files_in_dir(), 1);
}

static void begin(void)
{
    CHECK(mkdtemp(dir));
}

static void end(void)
{
    in_dir(path, sizeof(path), "image");
    unlink(path);
    CHECK_INT(rmdir(dir), 0);
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {
        T(qcow2_good),
        T(qcow2_backing_file),
        T(qcow2_data_file),
        T(qcow2_features),
        T(qcow2_encrypted),
        T(qcow2_absurd),
        T(qcow2_sizes),
        T(qcow2_cut),
        T(vmdk_good),
        T(vmdk_extents),
        T(vmdk_kinds),
        T(vmdk_parent),
        T(vmdk_headers),
        T(vmdk_footer),
        T(foreign_magic_is_not_raw),
        T(trailer_is_not_raw),
        T(raw_good),
        T(not_regular),
        T(convert_each_format),
        T(convert_stream_optimized),
        T(convert_leaves_nothing),
        T(convert_bomb),
    };
    begin();
    int rc = check_run(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    end();
    return rc;
}
