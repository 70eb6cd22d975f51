/* What stays free on a file system. */
#include "check.h"
#include "starvirt/limits.h"
#include "starvirt/room.h"

static void by_its_size(void)
{
    CHECK_INT(sv_room_reserve(24 * SV_MIB), 6 * SV_MIB);
    CHECK_INT(sv_room_reserve(4 * SV_GIB), SV_GIB);
    CHECK_INT(sv_room_reserve(20 * SV_GIB), SV_GIB);
    CHECK_INT(sv_room_reserve(100 * SV_GIB), 5 * SV_GIB);
    CHECK_INT(sv_room_reserve(1024 * SV_GIB), 10 * SV_GIB);
    CHECK_INT(sv_room_reserve(0), 0);
}

static void as_said(void)
{
    const struct statvfs fs = {.f_frsize = 4096, .f_blocks = 1000, .f_bavail = 100};
    sv_room_keep(0);
    CHECK_INT(sv_room_left(&fs), 100 * 4096);
    sv_room_keep(SV_MIB);
    CHECK_INT(sv_room_left(&fs), 100 * 4096 - SV_MIB);
    sv_room_keep(-1);
    CHECK_INT(sv_room_left(&fs), 100 * 4096 - 250 * 4096);
}

static void of_a_directory(void)
{
    struct sv_room room;
    struct sv_error err;
    CHECK_INT(sv_room_of("/", &room, &err), SV_OK);
    CHECK_INT(sv_room_of("/nowhere/at/all", &room, &err), SV_E_STORAGE);
}

CHECK_MAIN(T(by_its_size), T(as_said), T(of_a_directory))
