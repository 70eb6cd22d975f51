/* Room on file systems that the database may share: what uploads, copies, conversions and backups may take, and what
 * they leave free. Threads: any. */
#ifndef STARVIRT_ROOM_H
#define STARVIRT_ROOM_H

#include "starvirt/error.h"

#include <sys/statvfs.h>
#include <sys/types.h>

/* [bytes] that stay free on each file system; -1, as from the start: by its size. Before threads are made. */
void sv_room_keep(int64_t bytes);
/* By the size: a twentieth, 1 GiB at least and 10 GiB at most, but never more than a quarter. */
int64_t sv_room_reserve(int64_t size);
/* [bytes] above the reserve; negative where it is in use. */
int64_t sv_room_left(const struct statvfs *fs);

struct sv_room {
    dev_t device;
    int64_t left;
};
/* Of the file system that `dir` is on. STORAGE when it cannot be asked. Blocks on a disk that hangs. */
enum sv_err sv_room_of(const char *dir, struct sv_room *ret, struct sv_error *err);

#endif
