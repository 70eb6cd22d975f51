/* What lets an image in: conversion under limits, that leaves nothing when it fails (threats 4, 5, 7, 12). */
#include "starvirt/proc.h"

#include "tests/unit/image_files.h"

#include <dirent.h>
#include <sys/stat.h>

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
    CHECK_INT(sv_image_convert(path, "qcow2", dst, NULL, NULL, NULL, &err), SV_E_IMAGE_REFUSED);
    CHECK(strstr(err.arg[0], "overlap"));
    CHECK_INT(files_in_dir(), 1);
}

/* The same in small: each cluster is a few compressed bytes, and they are the same ones. */
static void convert_compressed_bomb(void)
{
    enum { CLUSTER = 2 << 20, ENTRIES = CLUSTER / 8, BITS = 62 - (21 - 8) };
    char dst[256];
    struct sv_error err = {0};
    uint64_t *table = sv_alloc(CLUSTER);
    in_dir(dst, sizeof(dst), "out");
    write_bomb();
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0);
    for (size_t i = 0; i < ENTRIES; i++) /* compressed, sixteen sectors */
        table[i] = htobe64(1ULL << 62 | 15ULL << BITS | 3LL * CLUSTER);
    put_at(fd, 2LL * CLUSTER, table, CLUSTER);
    close(fd);
    free(table);
    CHECK_INT(sv_image_convert(path, "qcow2", dst, NULL, NULL, NULL, &err), SV_E_IMAGE_REFUSED);
    CHECK(strstr(err.arg[0], "overlap"));
    CHECK_INT(files_in_dir(), 1);
}

/* --- what the tool is allowed --- */

static char tool_dir[] = "/tmp/starvirt-tool-XXXXXX";

static void in_tool_dir(char *buf, size_t size, const char *name)
{
    snprintf(buf, size, "%s/%s", tool_dir, name);
}

/* A qemu-img that comes first in PATH: notes what it is called with and allowed, then does as told. */
static void put_tool(const char *then)
{
    char file[256], old[4096];
    CHECK(mkdtemp(tool_dir));
    in_tool_dir(file, sizeof(file), "qemu-img");
    FILE *f = fopen(file, "w");
    CHECK(f);
    fprintf(f, "#!/bin/sh\necho \"$*\" >>%s/calls\ncat /proc/self/limits >>%s/limits\nPATH=${PATH#*:}\n%s\n", tool_dir,
            tool_dir, then);
    CHECK_INT(fchmod(fileno(f), 0755), 0);
    CHECK_INT(fclose(f), 0);
    snprintf(old, sizeof(old), "%s:%s", tool_dir, getenv("PATH"));
    CHECK_INT(setenv("PATH", old, 1), 0);
}

static void take_tool_away(void)
{
    static const char *const names[] = {"qemu-img", "calls", "limits"};
    char file[256];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        in_tool_dir(file, sizeof(file), names[i]);
        unlink(file);
    }
    CHECK_INT(rmdir(tool_dir), 0);
    memcpy(tool_dir + sizeof(tool_dir) - 7, "XXXXXX", 6);
    const char *path_now = getenv("PATH");
    const char *rest = path_now ? strchr(path_now, ':') : NULL;
    CHECK(rest);
    CHECK_INT(setenv("PATH", rest + 1, 1), 0);
}

static void noted(const char *name, char *buf, size_t size)
{
    char file[256];
    in_tool_dir(file, sizeof(file), name);
    int fd = open(file, O_RDONLY);
    CHECK(fd >= 0);
    ssize_t n = read(fd, buf, size - 1);
    CHECK(n >= 0);
    buf[n] = '\0';
    close(fd);
}

static unsigned lines_with(const char *text, const char *word)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, word)); at++)
        n++;
    return n;
}

/* Whatever the image says: its format is named on each call, and the calls have a limit of each kind. */
static void convert_has_limits(void)
{
    char dst[256], text[8192];
    struct sv_error err = {0};
    in_dir(dst, sizeof(dst), "out");
    memset(v, 7, sizeof(v));
    write_file(v, sizeof(v));
    put_tool("exec qemu-img \"$@\"");
    CHECK_INT(sv_image_convert(path, "raw", dst, NULL, NULL, NULL, &err), SV_OK);
    unlink(dst);
    noted("calls", text, sizeof(text));
    CHECK_INT(lines_with(text, "\n"), 2);
    CHECK_INT(lines_with(text, " -f raw -O qcow2 "), 2);
    noted("limits", text, sizeof(text));
    CHECK_INT(lines_with(text, "Max cpu time              unlimited"), 0);
    CHECK_INT(lines_with(text, "Max address space         2147483648 "), 2);
    CHECK_INT(lines_with(text, "Max core file size        0 "), 2);
    CHECK_INT(lines_with(text, "Max file size             unlimited"), 1); /* what only reads may */
    take_tool_away();
}

/* What it takes is known before anything is written. */
static void convert_needs_room(void)
{
    char dst[256];
    struct sv_error err = {0};
    in_dir(dst, sizeof(dst), "out");
    memset(v, 7, sizeof(v));
    write_file(v, sizeof(v));
    put_tool("[ $1 != measure ] || { echo '\"required\": 1152921504606846976,'; exit 0; }\nexit 9");
    CHECK_INT(sv_image_convert(path, "raw", dst, NULL, NULL, NULL, &err), SV_E_STORAGE_FULL);
    take_tool_away();
    CHECK_INT(files_in_dir(), 1);
}

/* An image that turns into another one after it was measured fills no storage. */
static void convert_no_more_than_measured(void)
{
    char dst[256];
    struct sv_error err = {0};
    in_dir(dst, sizeof(dst), "out");
    memset(v, 7, sizeof(v));
    write_file(v, sizeof(v));
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0);
    for (int64_t at = 0; at < 64LL << 20; at += (int64_t)sizeof(v))
        put_at(fd, at, v, sizeof(v));
    close(fd);
    put_tool("[ $1 != measure ] || { echo '\"required\": 65536,'; exit 0; }\nexec qemu-img \"$@\"");
    CHECK_INT(sv_image_convert(path, "raw", dst, NULL, NULL, NULL, &err), SV_E_IMAGE_REFUSED);
    CHECK(strstr(err.arg[0], "room"));
    take_tool_away();
    CHECK_INT(files_in_dir(), 1);
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {
        T(convert_each_format),           T(convert_stream_optimized),
        T(convert_leaves_nothing),        T(convert_bomb),
        T(convert_compressed_bomb),       T(convert_has_limits),
        T(convert_no_more_than_measured), T(convert_needs_room),
    };
    image_dir_make();
    int rc = check_run(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    image_dir_drop();
    return rc;
}
