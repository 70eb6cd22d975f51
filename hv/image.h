/* The image gate's own parts (hv/image*.c only): each format reads its header itself, because the tools
 * that would tell us about a hostile file are the ones it attacks. */
#ifndef STARVIRT_HV_IMAGE_H
#define STARVIRT_HV_IMAGE_H

#include "starvirt/hv.h"
#include "starvirt/mem.h"

enum { IMAGE_HEAD = 4096 };

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
enum sv_err image_refuse(struct sv_error *err, const char *why);

/* The checks of one format, after its magic was seen: fill *ret_virtual or refuse. */
enum sv_err image_check_qcow2(const struct image_file *f, int64_t *ret_virtual, struct sv_error *err);
enum sv_err image_check_vmdk(const struct image_file *f, int64_t *ret_virtual, struct sv_error *err);

#endif
