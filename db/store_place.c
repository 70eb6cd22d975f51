/* What placement looks at. */
#include "starvirt/store_place.h"
#include "db/internal.h"
#include "starvirt/store_catalog.h"

#define FOR_DISKS "use = 0 AND ready = 1 AND type IN ('dir', 'nfs')"

enum { ROOMS };

static const char *const sql[] = {
    /* those beside the image directories are few: an index of all that disks go to has the rest */
    [ROOMS] =
        "SELECT id, labels, connected, maintenance, vcpus - used_vcpus, memory - used_memory,"
        " EXISTS (SELECT 1 FROM storage WHERE host_id = host.id AND " FOR_DISKS ") OR EXISTS (SELECT 1 FROM storage"
        " WHERE shared = 1 AND " FOR_DISKS ") FROM host",
};
SV_SQL_TABLE(sv_sql_place, "place", sql);

_Static_assert(SV_STORAGE_MAIN == 0, "FOR_DISKS names the use by number");

enum sv_err sv_host_rooms(struct sv_tx *tx, void (*row)(void *arg, const struct sv_host_room *h), void *arg,
                          struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_place, ROOMS);
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_host_room h = {.id = sv_col_id(st, 0),
                                       .labels = sv_col_text(st, 1),
                                       .connected = sv_col_int(st, 2) != 0,
                                       .maintenance = sv_col_int(st, 3) != 0,
                                       .vcpus = sv_col_int(st, 4),
                                       .memory = sv_col_int(st, 5),
                                       .storage = sv_col_int(st, 6) != 0};

        row(arg, &h);
    }
    return rc;
}
