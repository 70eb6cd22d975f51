/* Disk rows. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_vm.h"

#define COLS "id, tenant_id, vm_id, storage_id, template_id, name, descr, target, size, boot, ready, created"

enum { INSERT, USE, UNUSE, GET, LIST_VM, SET_READY, SET_SIZE, DELETE, DELETE_VM };

static const char *const sql[] = {
    [INSERT] = "INSERT INTO disk(" COLS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    [USE] = "UPDATE template SET disks = disks + 1 WHERE id = ?1",
    [UNUSE] =
        "UPDATE template SET disks = disks - (SELECT count(*) FROM disk WHERE vm_id = ?1 AND template_id = template.id)"
        " WHERE id IN (SELECT template_id FROM disk WHERE vm_id = ?1)",
    [GET] = "SELECT " COLS " FROM disk WHERE id = ?1 AND (?2 = '' OR tenant_id = ?2)",
    [LIST_VM] = "SELECT " COLS " FROM disk WHERE vm_id = ?1 AND (?2 = '' OR tenant_id = ?2) ORDER BY boot DESC, target",
    [SET_READY] = "UPDATE disk SET ready = ?2 WHERE id = ?1",
    [SET_SIZE] = "UPDATE disk SET size = ?2 WHERE id = ?1",
    [DELETE] = "DELETE FROM disk WHERE id = ?1",
    [DELETE_VM] = "DELETE FROM disk WHERE vm_id = ?1",
};
SV_SQL_TABLE(sv_sql_disk, "disk", sql);

static void read_row(sqlite3_stmt *st, struct sv_disk *d)
{
    *d = (struct sv_disk){.id = sv_col_id(st, 0),
                          .tenant = sv_col_id(st, 1),
                          .vm = sv_col_id(st, 2),
                          .storage = sv_col_id(st, 3),
                          .template_id = sv_col_id(st, 4),
                          .name = sv_col_text(st, 5),
                          .descr = sv_col_text(st, 6),
                          .target = sv_col_text(st, 7),
                          .size = sv_col_int(st, 8),
                          .boot = sv_col_int(st, 9) != 0,
                          .ready = sv_col_int(st, 10) != 0,
                          .created = sv_col_int(st, 11)};
}

enum sv_err sv_disk_insert(struct sv_tx *tx, const struct sv_disk *d, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_disk, INSERT);
    SV_STMT use = sv_stmt(tx, &sv_sql_disk, USE);
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "ddDdDtttiIIi", &d->id, &d->tenant, &d->vm, &d->storage, &d->template_id, d->name, d->descr, d->target,
            d->size, (int)d->boot, (int)d->ready, d->created);
    rc = sv_exec(tx, st, NULL, err);
    if (rc || sv_id_empty(&d->template_id))
        return rc;
    sv_bind(use, "d", &d->template_id);
    return sv_exec(tx, use, NULL, err);
}

enum sv_err sv_disk_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                        struct sv_disk *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_disk, GET);
    bool row;
    enum sv_err rc;

    sv_bind(st, "dd", id, &scope.tenant);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_DISK_NOT_FOUND, SV_F_DISK);
    read_row(st, ret);
    ret->name = sv_arena_strdup(a, ret->name);
    ret->descr = sv_arena_strdup(a, ret->descr);
    ret->target = sv_arena_strdup(a, ret->target);
    return SV_OK;
}

enum sv_err sv_disk_list_vm(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *vm,
                            void (*row)(void *arg, const struct sv_disk *d), void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_disk, LIST_VM);
    bool more;
    enum sv_err rc;

    sv_bind(st, "dd", vm, &scope.tenant);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_disk d;

        read_row(st, &d);
        row(arg, &d);
    }
    return rc;
}

enum sv_err sv_disk_set_ready(struct sv_tx *tx, const struct sv_id *id, bool ready, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_disk, SET_READY);

    assert(tx->writable);
    sv_bind(st, "dI", id, (int)ready);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_disk_set_size(struct sv_tx *tx, const struct sv_id *id, int64_t size, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_disk, SET_SIZE);

    assert(tx->writable);
    sv_bind(st, "di", id, size);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_disk_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_disk, DELETE);

    assert(tx->writable);
    sv_bind(st, "d", id);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_disk_delete_vm(struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err)
{
    SV_STMT unuse = sv_stmt(tx, &sv_sql_disk, UNUSE);
    SV_STMT st = sv_stmt(tx, &sv_sql_disk, DELETE_VM);
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(unuse, "d", vm);
    rc = sv_exec(tx, unuse, NULL, err);
    sv_bind(st, "d", vm);
    return rc ? rc : sv_exec(tx, st, NULL, err);
}
