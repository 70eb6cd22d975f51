#include "starvirt/room.h"
#include "starvirt/limits.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { PART = 20, LARGEST_PART = 4 };
#define LEAST (1 * SV_GIB)
#define MOST  (10 * SV_GIB)

static int64_t said = -1;

void sv_room_keep(int64_t bytes)
{
    said = bytes;
}

int64_t sv_room_reserve(int64_t size)
{
    int64_t reserve = size / PART;
    if (said >= 0)
        return said;
    reserve = reserve < LEAST ? LEAST : reserve > MOST ? MOST : reserve;
    return reserve < size / LARGEST_PART ? reserve : size / LARGEST_PART;
}

int64_t sv_room_left(const struct statvfs *fs)
{
    const int64_t block = (int64_t)fs->f_frsize;
    return (int64_t)fs->f_bavail * block - sv_room_reserve((int64_t)fs->f_blocks * block);
}

enum sv_err sv_room_of(const char *dir, struct sv_room *ret, struct sv_error *err)
{
    struct statvfs fs;
    struct stat st;
    if (statvfs(dir, &fs) < 0 || stat(dir, &st) < 0)
        return sv_fail(err, SV_E_STORAGE, SV_F_NONE, strerrordesc_np(errno));
    *ret = (struct sv_room){.device = st.st_dev, .left = sv_room_left(&fs)};
    return SV_OK;
}
