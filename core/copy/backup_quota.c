/* What the files of backups take of their tenant's quota: each when its size is known, all when the backup goes. */
#include "core/copy/backup.h"

struct bytes {
    const char *target; /* of which file alone; NULL = all */
    int64_t sum;
};

static void add_bytes(void *arg, const struct sv_backup_disk *d)
{
    struct bytes *b = arg;

    if (!b->target || strcmp(b->target, d->target) == 0)
        b->sum += d->bytes;
}

static void add_ready(void *arg, const struct sv_backup *b)
{
    if (b->state == SV_BACKUP_READY)
        sv_ids_add(arg, &b->id);
}

/* Of the VM's good backups: what goes when one more is good, and what the newest has. */
static enum sv_err look_back(const struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *vm, int64_t *ret_goes,
                             int64_t *ret_newest, struct sv_error *err)
{
    SV_CLEANUP(sv_ids_free) struct sv_ids all = {0};
    enum sv_err rc = sv_backup_list_vm(tx, sv_scope_system(), vm, add_ready, &all, err);

    *ret_goes = *ret_newest = 0;
    for (size_t i = 0; !rc && i < all.n; i++) {
        struct bytes b = {.target = NULL};

        rc = sv_backup_list_disks(tx, &all.v[i], add_bytes, &b, err);
        if (c->backup_keep > 0 && i + (size_t)c->backup_keep < all.n + 1)
            *ret_goes += b.sum;
        *ret_newest = b.sum;
    }
    return rc;
}

/* `more` bytes, beside those that go at the end. */
static enum sv_err reserve(struct sv_tx *tx, const struct sv_id *tenant, int64_t more, int64_t goes,
                           struct sv_error *err)
{
    const struct sv_amounts a = {.images = more - goes};
    const enum sv_err rc = sv_tenant_reserve(tx, tenant, &a, err);

    return rc ? rc : sv_tenant_book_images(tx, tenant, goes, err);
}

enum sv_err sv_backup_room(struct sv_cloud *c, struct sv_tx *tx, const struct sv_vm *vm, struct sv_error *err)
{
    int64_t goes, newest, least;
    enum sv_err rc = look_back(c, tx, &vm->id, &goes, &newest, err);

    least = newest > 0 ? newest : 1;
    if (!rc)
        rc = reserve(tx, &vm->tenant, least, goes, err);
    return rc ? rc : sv_tenant_book_images(tx, &vm->tenant, -least, err);
}

enum sv_err sv_backup_book(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *id, const char *target,
                           int64_t bytes, const char *sha256, struct sv_error *err)
{
    struct bytes had = {.target = target};
    int64_t goes = 0, newest;
    struct sv_backup b;
    enum sv_err rc = sv_backup_get(tx, sv_scope_system(), id, sv_tx_arena(tx), &b, err);

    if (!rc)
        rc = sv_backup_list_disks(tx, id, add_bytes, &had, err);
    if (!rc)
        rc = look_back(c, tx, &b.vm, &goes, &newest, err);
    if (!rc)
        rc = reserve(tx, &b.tenant, bytes - had.sum, goes, err);
    return rc ? rc : sv_backup_set_file(tx, id, target, bytes, sha256, err);
}

enum sv_err sv_backup_drop(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    struct bytes all = {.target = NULL};
    struct sv_error gone;
    struct sv_backup b;
    enum sv_err rc = sv_backup_get(tx, sv_scope_system(), id, sv_tx_arena(tx), &b, &gone);

    if (rc == SV_E_BACKUP_NOT_FOUND)
        return SV_OK;
    if (rc)
        return sv_backup_get(tx, sv_scope_system(), id, sv_tx_arena(tx), &b, err);
    rc = sv_backup_list_disks(tx, id, add_bytes, &all, err);
    if (!rc)
        rc = sv_tenant_book_images(tx, &b.tenant, -all.sum, err);
    return rc ? rc : sv_backup_delete(tx, id, err);
}
