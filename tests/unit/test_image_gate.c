/* The gate against everything that qemu-img can make here: each format and option, whole and cut short. What is let
 * in reads back as what was written, byte for byte; everything else is refused with a reason and leaves nothing.
 *
 *     test_image_gate            as the suite runs it: 4 MiB, 20 cuts each
 *     test_image_gate --large    64 MiB, 200 cuts each; minutes */
#include "starvirt/proc.h"

#include "tests/unit/check.h"

#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "starvirt/hv.h"
#include "starvirt/log.h"
#include "starvirt/mem.h"

static int64_t disk_size = (4 << 20) + 512; /* [bytes] no whole number of clusters */
static unsigned cuts = 20;
static bool blank; /* nothing is written: the images are those of qemu-img create */

struct row {
    const char *format;
    const char *options; /* of -o */
    bool packed;         /* -c */
    const char *taken;   /* what the gate calls it; NULL = it takes none of these */
};
static const struct row rows[] = {
    {"raw", NULL, false, "raw"},
    {"qcow2", NULL, false, "qcow2"},
    {"qcow2", NULL, true, "qcow2"},
    {"qcow2", "compression_type=zstd", false, "qcow2"},
    {"qcow2", "compression_type=zstd", true, "qcow2"},
    {"qcow2", "compat=0.10", false, "qcow2"},
    {"qcow2", "compat=0.10", true, "qcow2"},
    {"qcow2", "cluster_size=512", false, "qcow2"},
    {"qcow2", "cluster_size=512", true, "qcow2"},
    {"qcow2", "cluster_size=2M", false, "qcow2"},
    {"qcow2", "cluster_size=2M", true, "qcow2"},
    {"qcow2", "cluster_size=2M,compression_type=zstd", true, "qcow2"},
    {"qcow2", "preallocation=metadata", false, "qcow2"},
    {"qcow2", "preallocation=falloc", false, "qcow2"},
    {"qcow2", "preallocation=full", false, "qcow2"},
    {"qcow2", "lazy_refcounts=on", false, "qcow2"},
    {"qcow2", "refcount_bits=1", false, "qcow2"},
    {"qcow2", "refcount_bits=64", false, "qcow2"},
    {"qcow2", "extended_l2=on", false, "qcow2"},
    {"qcow2", "extended_l2=on", true, "qcow2"},
    {"qcow2", "extended_l2=on,cluster_size=16k", false, "qcow2"},
    {"qcow2", "extended_l2=on,cluster_size=2M,compression_type=zstd", true, "qcow2"},
    {"qcow2", "extended_l2=on,preallocation=metadata", false, "qcow2"},
    {"vmdk", NULL, false, "vmdk"},
    {"vmdk", "subformat=monolithicSparse,adapter_type=lsilogic,hwversion=10", false, "vmdk"},
    {"vmdk", "adapter_type=buslogic,toolsversion=1", false, "vmdk"},
    {"vmdk", "compat6=on", false, "vmdk"},
    {"vmdk", "zeroed_grain=on", false, "vmdk"},
    {"vmdk", "subformat=streamOptimized", false, "vmdk"},
    {"vmdk", "subformat=streamOptimized,adapter_type=legacyESX", false, "vmdk"},
    {"vmdk", "subformat=monolithicFlat", false, NULL},
    {"vmdk", "subformat=twoGbMaxExtentSparse", false, NULL},
    {"vmdk", "subformat=twoGbMaxExtentFlat", false, NULL},
    {"qcow", NULL, false, NULL},
    {"qed", NULL, false, NULL},
    {"qed", "cluster_size=4k,table_size=2", false, NULL},
    {"vdi", NULL, false, NULL},
    {"vdi", "static=on", false, NULL},
    {"vhdx", NULL, false, NULL},
    {"vhdx", "subformat=fixed", false, NULL},
    {"vhdx", "block_size=1M,log_size=2M,block_state_zero=on", false, NULL},
    {"vpc", NULL, false, NULL},
    {"vpc", "force_size=on", false, NULL},
    {"vpc", "subformat=fixed,force_size=on", false, NULL},
    {"parallels", NULL, false, NULL},
    {"parallels", "cluster_size=64k", false, NULL},
};

static char dir[] = "/tmp/starvirt-gate-XXXXXX";
static struct {
    unsigned images, cuts, taken, refused;
} count;

static char *in_dir(const char *name)
{
    return sv_asprintf("%s/%s", dir, name);
}

static void empty_dir(void)
{
    DIR *d = opendir(dir);
    CHECK(d);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
}

static int tool(const char *const *argv)
{
    struct sv_error err;
    int status = -1;
    CHECK_INT(sv_proc_run(&(struct sv_proc){.argv = argv}, &status, &err), SV_OK);
    return status;
}

static void tool_well(const char *const *argv)
{
    const int status = tool(argv);
    if (status != 0)
        check_failed(__FILE__, __LINE__, "%s %s ... %s ended with %d", argv[0], argv[1], argv[5], status);
}

/* --- what is written: a disk with a partition to its end, data, holes, and data at the end --- */

static void write_source(const char *path)
{
    enum { PIECE = 32 << 10 };
    SV_AUTOFREE uint32_t *piece = sv_alloc(PIECE);
    uint64_t state = 8;
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK_INT(ftruncate(fd, disk_size), 0);
    for (int64_t at = 0; at < disk_size; at += PIECE) {
        if (at / PIECE % 5 == 3)
            continue;
        for (size_t i = 0; i < PIECE / sizeof(*piece); i++) { /* half of it packs well, and nothing of it is zero */
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            piece[i] = at / PIECE % 2 ? (uint32_t)(state >> 32) | 1 : (uint32_t)(at / PIECE) + 1;
        }
        const size_t n = disk_size - at < PIECE ? (size_t)(disk_size - at) : PIECE;
        CHECK_INT(pwrite(fd, piece, n, at), n);
    }
    unsigned char mbr[512] = {[446 + 4] = 0x83, [446 + 8] = 1, [510] = 0x55, [511] = 0xaa};
    const uint32_t sectors = htole32((uint32_t)(disk_size / 512) - 1);
    memcpy(mbr + 446 + 12, &sectors, sizeof(sectors));
    CHECK_INT(pwrite(fd, mbr, sizeof(mbr), 0), sizeof(mbr));
    close(fd);
}

/* What `convert` makes of a disk, and what `create` makes of nothing. */
static void create(const struct row *r, const char *image)
{
    const struct sv_dec size = sv_dec(disk_size);
    const char *argv[16] = {"qemu-img", "create", "-q", "-f", r->format};
    unsigned n = 5;
    if (r->options) {
        argv[n++] = "-o";
        argv[n++] = r->options;
    }
    argv[n++] = image;
    argv[n++] = size.s;
    tool_well(argv);
}

static void make(const struct row *r, const char *source, const char *image)
{
    const char *argv[16] = {"qemu-img", "convert", "-f", "raw", "-O", r->format};
    unsigned n = 6;
    if (blank) {
        create(r, image);
        return;
    }
    if (r->packed)
        argv[n++] = "-c";
    if (r->options) {
        argv[n++] = "-o";
        argv[n++] = r->options;
    }
    argv[n++] = source;
    argv[n++] = image;
    tool_well(argv);
}

/* --- the gate --- */

static unsigned left_over(void)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    CHECK(d);
    for (struct dirent *e; (e = readdir(d));)
        n += strncmp(e->d_name, "out", 3) == 0;
    closedir(d);
    return n;
}

/* True where it was let in, and then it reads back as it was written. */
static bool passes(const struct row *r, const char *image, const char *format, const char *source, int64_t size)
{
    SV_AUTOFREE char *out = in_dir("out");
    struct sv_error err = {0};
    struct sv_image made;
    const char *const compare[] = {"qemu-img", "compare", "-f", "raw", "-F", "qcow2", source, out, NULL};
    const enum sv_err rc = sv_image_convert(image, format, out, NULL, NULL, NULL, &err);
    if (rc) {
        if (rc != SV_E_IMAGE_REFUSED || strlen(err.arg[0]) < 10)
            check_failed(__FILE__, __LINE__, "%s %s, %lld bytes: %s \"%s\"", r->format, r->options ? r->options : "",
                         (long long)size, sv_err_symbol(rc), err.arg[0]);
        CHECK_INT(left_over(), 0);
        return false;
    }
    CHECK_INT(sv_image_check(out, "qcow2", &made, &err), SV_OK);
    if (made.virtual_size != disk_size || tool(compare) != 0)
        check_failed(__FILE__, __LINE__,
                     "%s %s%s, %lld bytes, named %s: let in, and reads otherwise than it was written", r->format,
                     r->options ? r->options : "", r->packed ? " (packed)" : "", (long long)size,
                     format ? format : "nothing");
    unlink(out);
    return true;
}

/* Evenly over the file, in the middle of sectors, too, and closer to its end than any block of it. */
static int64_t cut_at(int64_t size, unsigned i)
{
    static const int64_t back[] = {1, 511, 512, 513, 4096, 65536};
    const unsigned near = sizeof(back) / sizeof(back[0]);
    if (i < near)
        return size > back[i] ? size - back[i] : 0;
    return size * (cuts - 1 - i) / (cuts - near) / 3 * 3;
}

static void try_whole(const struct row *r, const char *image, const char *source, int64_t size)
{
    for (int named = 0; named < 2; named++) {
        const char *format = !named ? NULL : r->taken ? r->taken : "raw";
        const bool taken = passes(r, image, format, source, size);
        if (taken != (r->taken != NULL))
            check_failed(__FILE__, __LINE__, "%s %s is %s", r->format, r->options, taken ? "let in" : "refused");
    }
}

static bool starts_blank(const char *path)
{
    unsigned char head[512] = {0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK(pread(fd, head, sizeof(head), 0) >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof(head); i++)
        if (head[i])
            return false;
    return true;
}

static void try_cuts(const struct row *r, const char *image, const char *source, int64_t size)
{
    for (unsigned i = 0; i < cuts; i++) {
        const int64_t at = cut_at(size, i);
        struct stat st;
        CHECK_INT(stat(image, &st), 0);
        if (st.st_size < at)
            make(r, source, image);
        CHECK_INT(truncate(image, at), 0);
        if (blank && starts_blank(image)) /* nothing is left that says what it was: zeros cut short are zeros */
            continue;
        const bool taken = passes(r, image, NULL, source, at);
        if (r->taken)
            CHECK_INT(passes(r, image, r->taken, source, at), taken);
        (taken ? &count.taken : &count.refused)[0]++;
        count.cuts++;
    }
}

static void try_row(const struct row *r, const char *source)
{
    SV_AUTOFREE char *image = in_dir("image");
    struct stat st;
    make(r, source, image);
    CHECK_INT(stat(image, &st), 0);
    count.images++;
    try_whole(r, image, source, st.st_size);
    try_cuts(r, image, source, st.st_size);
}

static void tell(void)
{
    printf("%s: %u images, %u cuts: %u let in as they were written, %u refused with a reason\n",
           blank ? "create" : "convert", count.images, count.cuts, count.taken, count.refused);
    memset(&count, 0, sizeof(count));
    empty_dir();
}

static void what_convert_makes(void)
{
    SV_AUTOFREE char *source = in_dir("source");
    blank = false;
    write_source(source);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        try_row(&rows[i], source);
    tell();
}

static void what_create_makes(void)
{
    SV_AUTOFREE char *source = in_dir("source");
    blank = true;
    const int fd = open(source, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK_INT(ftruncate(fd, disk_size), 0);
    close(fd);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (!rows[i].packed)
            try_row(&rows[i], source);
    tell();
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {T(what_convert_makes), T(what_create_makes)};
    if (argc > 1 && strcmp(argv[1], "--large") == 0) {
        disk_size = (64 << 20) + 512;
        cuts = 200;
        argv[1] = argv[0];
        argv++;
        argc--;
    }
    sv_log_level(SV_LOG_ERROR);
    CHECK(mkdtemp(dir));
    const int rc = check_run(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    empty_dir();
    CHECK_INT(rmdir(dir), 0);
    return rc;
}
