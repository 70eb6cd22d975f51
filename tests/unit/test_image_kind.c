/* What the gate calls a disk where no format was named, and what it says of everything else. */
#include "tests/unit/image_files.h"

enum { SIZE = sizeof(v) };

struct row {
    size_t at;
    const char *bytes;
    size_t n;
    const char *word;
};
#define ROW(at, bytes, word)                                                                                           \
    {                                                                                                                  \
        at, bytes, sizeof(bytes) - 1, word                                                                             \
    }

/* Neither zeros nor text around it. */
static void write_row(const struct row *r)
{
    memset(v, 0xc3, SIZE);
    memcpy(v + r->at, r->bytes, r->n);
    write_file(v, SIZE);
}

static void what_else_there_is(void)
{
    static const struct row rows[] = {
        ROW(257,
            "ustar\0"
            "00",
            "tar"),
        ROW(0, "\x1f\x8b\x08", "gzip"),
        ROW(0,
            "\xfd"
            "7zXZ\0",
            "xz"),
        ROW(0, "\x28\xb5\x2f\xfd", "zstd"),
        ROW(0, "\x50\x2a\x4d\x18", "zstd"),
        ROW(0, "\x04\x22\x4d\x18", "LZ4"),
        ROW(0, "BZh91AY&SY", "bzip2"),
        ROW(0, "PK\3\4", "zip"),
        ROW(0, "7z\xbc\xaf\x27\x1c", "7z"),
        ROW(0, "Rar!\x1a\7\1\0", "rar"),
        ROW(0, "070701", "cpio"),
        ROW(0, "\xc7\x71", "cpio"),
        ROW(0, "hsqs", "SquashFS"),
        ROW(1024, "\xe2\xe1\xf5\xe0", "EROFS"),
        ROW(0, "%PDF-1.7", "PDF"),
        ROW(0,
            "\x7f"
            "ELF",
            "ELF"),
        ROW(0, "MZ", "program"),
        ROW(514, "HdrS", "Linux kernel"),
        ROW(0, "!<arch>\n", "Debian package"),
        ROW(0, "\xed\xab\xee\xdb", "RPM"),
        ROW(0, "VMA\0", "Proxmox"),
        ROW(0, "partclone-image", "partclone"),
        ROW(0, "SQLite format 3\0", "SQLite"),
        ROW(0, "\x5d\0\0", "LZMA"),
        ROW(0, "\xff\xfeh\0", "text"),
        ROW(0, "\xc3", "no kind of disk image"),
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_row(&rows[i]);
        refused_as(NULL, rows[i].word);
        if (i + 1 < sizeof(rows) / sizeof(rows[0]))
            refused_as("qcow2", rows[i].word);
        taken_as("raw", "raw", SIZE);
    }
}

static void an_ova(void)
{
    memset(v, 0, SIZE);
    memcpy(v, "appliance.OVF", 13);
    memcpy(v + 257,
           "ustar\0"
           "00",
           8);
    write_file(v, SIZE);
    refused_as(NULL, "OVA");
    refused_as("vmdk", "OVA");
    taken_as("raw", "raw", SIZE);
}

static void texts(void)
{
    static const struct {
        const char *text, *word;
    } rows[] = {
        {"<!DOCTYPE html>\n<html><title>404 Not Found</title></html>\n", "HTML"},
        {"\xef\xbb\xbf\n  <HTML>\n", "HTML"},
        {"<?xml version='1.0'?>\n<!-- x --><html xmlns='x'/>\n", "HTML"},
        {"<?xml version=\"1.0\"?>\n<Envelope ovf:version=\"1.0\"/>\n", "OVF"},
        {"<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code></Error>", "error message"},
        {"{\"message\": \"Not Found\"}", "JSON"},
        {"[1, 2]\n", "JSON"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS"},
        {"HTTP/1.1 302 Found\r\nLocation: x\r\n\r\n", "HTTP"},
        {"--xYz\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nQFI", "form"},
        {"-----BEGIN CERTIFICATE-----\n", "PEM"},
        {"#!/bin/sh\nexit 0\n", "script"},
        {"d41d8cd98f00b204e9800998ecf8427e  disk.img\n", "text"},
        {"UklGRgAAAAA=\n", "text"},
        {"\xe4\xb8\xad\xe6\x96\x87\n", "text"},
        {"x", "text"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const size_t n = strlen(rows[i].text);
        write_file(rows[i].text, n);
        refused_as(NULL, rows[i].word);
        refused_as("qcow2", rows[i].word);
        taken_as("raw", "raw", (int64_t)(n + 511) / 512 * 512);
    }
}

static void less_than_a_sector(void)
{
    memset(v, 0, SIZE);
    write_file(v, 511);
    refused_as(NULL, "smaller than a sector");
    write_file(v, 0);
    refused_as(NULL, "empty");
    refused_as("raw", "empty");
}

static const struct row disks[] = {
    ROW(510, "\x55\xaa", NULL),          ROW(512, "EFI PART", NULL), ROW(4096, "EFI PART", NULL),
    ROW(1080, "\x53\xef", NULL),         ROW(0, "XFSB", NULL),       ROW(32769, "CD001", NULL),
    ROW(4086, "SWAPSPACE2", NULL),       ROW(536, "LVM2 001", NULL), ROW(1024, "\x10\x20\xf5\xf2", NULL),
    ROW(4096, "\xfc\x4e\x2b\xa9", NULL),
};

static void disks_without_a_name(void)
{
    for (size_t i = 0; i < sizeof(disks) / sizeof(disks[0]); i++) {
        write_row(&disks[i]);
        taken_as(NULL, "raw", SIZE);
        write_file(v, SIZE - 1);
        refused_as(NULL, "whole number of sectors");
    }
    memset(v, 0, SIZE);
    write_file(v, SIZE);
    taken_as(NULL, "raw", SIZE);
}

/* --- what they say of their length --- */

static void whole(const char *why)
{
    struct sv_error err = {0};
    struct sv_image image;
    write_file(v, SIZE);
    for (int named = 0; named < 2; named++) {
        enum sv_err rc = sv_image_whole(path, named ? "raw" : NULL, &image, NULL, &err);
        CHECK_INT(rc, why ? SV_E_IMAGE_REFUSED : SV_OK);
        if (why && !strstr(err.arg[0], why))
            check_failed(__FILE__, __LINE__, "refused with \"%s\", expected \"%s\"", err.arg[0], why);
    }
}

static void put_le(size_t at, uint64_t n, size_t width)
{
    n = htole64(n);
    memcpy(v + at, &n, width);
}

static void put_be(size_t at, uint64_t n, size_t width)
{
    n = htobe64(n << 8 * (8 - width));
    memcpy(v + at, &n, width);
}

static void tables_past_the_end(void)
{
    for (unsigned over = 0; over < 2; over++) {
        const uint64_t sectors = SIZE / 512 + over;
        memset(v, 0, SIZE);
        memcpy(v + 510, "\x55\xaa", 2);
        v[446 + 16 + 4] = 0x83;
        put_le(446 + 16 + 8, 2, 4);
        put_le(446 + 16 + 12, sectors - 2, 4);
        whole(over ? "MBR" : NULL);
        v[446] = 0x33; /* no table, but code */
        whole(NULL);
        memset(v, 0, SIZE);
        memcpy(v + 512, "EFI PART", 8);
        put_le(512 + 32, sectors - 1, 8);
        put_le(512 + 48, 3, 8);
        whole(over ? "GPT" : NULL);
        put_le(512 + 32, 3, 8);
        put_le(512 + 48, sectors - 1, 8);
        whole(over ? "GPT" : NULL);
    }
}

static void file_systems_past_the_end(void)
{
    for (unsigned over = 0; over < 2; over++) {
        memset(v, 0, SIZE);
        memcpy(v + 1080, "\x53\xef", 2);
        put_le(1048, 1, 4);
        put_le(1028, SIZE / 2048 + over, 4);
        whole(over ? "file system" : NULL);
        put_le(1048, 77, 4); /* no such block size: it is none */
        whole(NULL);
        memset(v, 0, SIZE);
        memcpy(v, "XFSB", 4);
        put_be(4, 4096, 4);
        put_be(8, SIZE / 4096 + over, 8);
        whole(over ? "file system" : NULL);
        memset(v, 0, SIZE);
        memcpy(v + 32769, "CD001", 5);
        put_le(32848, SIZE / 2048 + over, 4);
        whole(over ? "file system" : NULL);
    }
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {
        T(what_else_there_is),
        T(an_ova),
        T(texts),
        T(less_than_a_sector),
        T(disks_without_a_name),
        T(tables_past_the_end),
        T(file_systems_past_the_end),
    };
    image_dir_make();
    int rc = check_run(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    image_dir_drop();
    return rc;
}
