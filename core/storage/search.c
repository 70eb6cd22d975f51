/* What an actor sees of storages, and of all there is. */
#include "core/storage/storage.h"

enum sv_err sv_storage_search(struct sv_tx *tx, const struct sv_actor *who, const struct sv_page *p,
                              void (*row)(void *arg, const struct sv_storage *s), void *arg, uint64_t *ret_total,
                              struct sv_error *err)
{
    const enum sv_err rc = sv_admin_only(who, err);

    return rc ? rc : sv_storage_list(tx, p, row, arg, ret_total, err);
}

enum sv_err sv_capacity(struct sv_tx *tx, const struct sv_actor *who, struct sv_capacity *ret, struct sv_error *err)
{
    struct sv_capacity all = {0};
    const enum sv_err rc = sv_host_totals(tx, &all.vcpus, &all.memory, &all.storage, &all.ips, err);

    (void)who;
    if (!rc)
        *ret = all;
    return rc;
}
