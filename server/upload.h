/* A request body on its way into a private file: DIR/upload/, mode 0600, a random name, never one from
 * the client (threats 6, 7). While it grows it is called .part-*, which the next start removes. */
#ifndef STARVIRT_SERVER_UPLOAD_H
#define STARVIRT_SERVER_UPLOAD_H

#include "server/workers.h"
#include "starvirt/error.h"

struct sv_upload;

/* Makes DIR/upload (0700) and removes what an earlier run left half done. */
enum sv_err sv_upload_prepare(const char *dir, struct sv_error *err);
enum sv_err sv_upload_open(const char *dir, struct sv_upload **ret, struct sv_error *err);
/* Copies into a buffer. False, and nothing is taken, when it is full: sv_upload_flush() has to come first. */
bool sv_upload_add(struct sv_upload *u, const void *p, size_t n);
bool sv_upload_fits(const struct sv_upload *u, size_t n); /* into the buffer */
/* Blocks on the disk, as the next one does: not for I/O threads. */
enum sv_err sv_upload_flush(struct sv_upload *u, struct sv_error *err);
/* It comes no further: the file's name and content go, the latter on one of these threads. Any thread; the file may be
 * being written by another. */
void sv_upload_discard(struct sv_upload *u, struct sv_workers *disk);
/* On disk, with its last name. */
enum sv_err sv_upload_finish(struct sv_upload *u, struct sv_error *err);
const char *sv_upload_path(const struct sv_upload *u); /* of the finished file */
int64_t sv_upload_size(const struct sv_upload *u);
/* Removes the file unless `keep` and finished. NULL ok. */
void sv_upload_close(struct sv_upload *u, bool keep);

#endif
