/* The image gate's own parts (hv/image*.c only): each format reads its header itself, because the tools
 * that would tell us about a hostile file are the ones it attacks. */
#ifndef STARVIRT_HV_IMAGE_H
#define STARVIRT_HV_IMAGE_H

#include "starvirt/hv.h"
#include "starvirt/mem.h"

struct sv_proc;

enum { IMAGE_HEAD = 4096, IMAGE_SECTOR = 512 };

struct image_file {
    int fd;
    int64_t size;
    size_t head_len; /* bytes of head that exist */
    unsigned char head[IMAGE_HEAD];
};

/* Opens without following links or blocking on a FIFO; regular files only. */
enum sv_err image_open(const char *path, struct image_file *ret, struct sv_error *err);
void image_close(struct image_file *f);
/* As sv_image_check, on an open file. */
enum sv_err image_inspect(const struct image_file *f, const char *format, struct sv_image *ret, struct sv_error *err);
/* Reads exactly n bytes at `at`; false when the file has no such bytes. */
bool image_read(const struct image_file *f, int64_t at, void *buf, size_t n);
/* Does the file have n bytes at `at`? Both may be absurd. */
bool image_has(const struct image_file *f, uint64_t at, uint64_t n);
enum sv_err image_refuse(struct sv_error *err, const char *why);

/* --- what a file is (image_kind.c) --- */
/* *ret: "qcow2", "vmdk" or "raw", by content; `format` NULL = nobody said. What is none of them is refused with a
 * word on what it is. */
enum sv_err image_detect(const struct image_file *f, const char *format, const char **ret, struct sv_error *err);
/* A boot sector, a partition table, a file system, or nothing but zeros where they would be (image_raw.c). */
bool image_raw_known(const struct image_file *f);

/* The checks of one format's header, after its magic was seen: fill *ret_virtual or refuse. */
enum sv_err image_check_qcow2(const struct image_file *f, int64_t *ret_virtual, struct sv_error *err);
enum sv_err image_check_vmdk(const struct image_file *f, int64_t *ret_virtual, struct sv_error *err);

/* --- is all of it there? For files whose header was let in: refuse what names bytes past the end. --- */
enum sv_err image_whole(const struct image_file *f, const char *format, const struct sv_deadline *d,
                        struct sv_error *err);
enum sv_err image_whole_qcow2(const struct image_file *f, const struct sv_deadline *d, struct sv_error *err);
enum sv_err image_whole_vmdk(const struct image_file *f, const struct sv_deadline *d, struct sv_error *err);
enum sv_err image_whole_raw(const struct image_file *f, struct sv_error *err);
/* Past its deadline or cancelled: for loops over tables. */
enum sv_err image_go_on(const struct sv_deadline *d, struct sv_error *err);

/* --- qemu-img under limits (image_tool.c) --- */
#define IMAGE_LOOK_CPU 60 /* [s] a command that only reads tables */
/* The name by which the tool reads an open file, which nobody can swap after the check. Caller frees. */
char *image_tool_name(const struct image_file *f);
enum sv_err image_tool(const char *what, const char *const *argv, struct sv_proc *p, struct sv_error *err);
/* The bytes that a qcow2 copy of it takes at most, as the tool counts from the image's own tables. */
enum sv_err image_tool_measure(const char *src, const char *format, int64_t *ret, const struct sv_deadline *d,
                               struct sv_error *err);
/* What the tool itself says of it: leaks pass, errors are refused. */
enum sv_err image_tool_check(const char *src, const char *format, const struct sv_deadline *d, struct sv_error *err);
/* Whole, and its own tool finds no fault in it. */
enum sv_err image_sound(const struct image_file *f, const char *format, const struct sv_deadline *d,
                        struct sv_error *err);

#endif
