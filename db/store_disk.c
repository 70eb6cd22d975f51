/* Disk rows. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_vm.h"

#define COLS "id, tenant_id, vm_id, storage_id, template_id, name, descr, target, size, boot, ready, created, use"
#define READ                                                                                                           \
    COLS ", (SELECT own = 0 FROM storage WHERE storage.id = storage_id),"                                              \
         " (SELECT min(job_id) FROM pending_undo WHERE subject_id = disk.id)"

enum {
    INSERT,
    USE,
    UNUSE,
    PROMISE,
    RESIZE_PROMISE,
    BREAK_PROMISE,
    BREAK_PROMISES,
    GET,
    LIST_VM,
    LIST_VOLUMES,
    SET_READY,
    SET_SIZE,
    UNUSE_ONE,
    STANDALONE,
    DELETE,
    DELETE_VM
};

static const char *const sql[] = {
    [INSERT] = "INSERT INTO disk(" COLS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    [USE] = "UPDATE template SET disks = disks + 1 WHERE id = ?1",
    [UNUSE] =
        "UPDATE template SET disks = disks - (SELECT count(*) FROM disk WHERE vm_id = ?1 AND template_id = template.id)"
        " WHERE id IN (SELECT template_id FROM disk WHERE vm_id = ?1)",
    /* storage.promised is kept: placement looks at it for every new disk */
    [PROMISE] = "UPDATE storage SET promised = promised + ?2 WHERE id = ?1",
    [RESIZE_PROMISE] = "UPDATE storage SET promised = promised + ?2 - (SELECT size FROM disk WHERE id = ?1)"
                       " WHERE id = (SELECT storage_id FROM disk WHERE id = ?1)",
    [BREAK_PROMISE] = "UPDATE storage SET promised = promised - (SELECT size FROM disk WHERE id = ?1)"
                      " WHERE id = (SELECT storage_id FROM disk WHERE id = ?1)",
    [BREAK_PROMISES] = "UPDATE storage SET promised = promised - (SELECT sum(size) FROM disk WHERE vm_id = ?1 AND"
                       " storage_id = storage.id) WHERE id IN (SELECT storage_id FROM disk WHERE vm_id = ?1)",
    [GET] = "SELECT " READ " FROM disk WHERE id = ?1 AND (?2 = '' OR tenant_id = ?2)",
    [LIST_VM] = "SELECT " READ " FROM disk WHERE vm_id = ?1 AND (?2 = '' OR tenant_id = ?2) ORDER BY boot DESC, target",
    [LIST_VOLUMES] = "SELECT " READ " FROM disk WHERE storage_id IN (SELECT id FROM storage WHERE host_id = ?1 AND"
                     " type = 'ceph') AND vm_id IS NULL",
    [SET_READY] = "UPDATE disk SET ready = ?2 WHERE id = ?1",
    [SET_SIZE] = "UPDATE disk SET size = ?2 WHERE id = ?1",
    [UNUSE_ONE] = "UPDATE template SET disks = disks - 1 WHERE id = (SELECT template_id FROM disk WHERE id = ?1)",
    [STANDALONE] = "UPDATE disk SET template_id = NULL WHERE id = ?1",
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
                          .created = sv_col_int(st, 11),
                          .use = sv_col_text(st, 12),
                          .elsewhere = sv_col_int(st, 13) != 0,
                          .undo = sv_col_id(st, 14)};
}

enum sv_err sv_disk_insert(struct sv_tx *tx, const struct sv_disk *d, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_disk, INSERT);
    SV_STMT use = sv_stmt(tx, &sv_sql_disk, USE);
    SV_STMT promise = sv_stmt(tx, &sv_sql_disk, PROMISE);
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "ddDdDtttiIIit", &d->id, &d->tenant, &d->vm, &d->storage, &d->template_id, d->name, d->descr, d->target,
            d->size, (int)d->boot, (int)d->ready, d->created, d->use);
    rc = sv_exec(tx, st, NULL, err);
    sv_bind(promise, "di", &d->storage, d->size);
    if (!rc)
        rc = sv_exec(tx, promise, NULL, err);
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
    ret->use = sv_arena_strdup(a, ret->use);
    return SV_OK;
}

static enum sv_err each(struct sv_tx *tx, sqlite3_stmt *st, void (*row)(void *arg, const struct sv_disk *d), void *arg,
                        struct sv_error *err)
{
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_disk d;

        read_row(st, &d);
        row(arg, &d);
    }
    return rc;
}

enum sv_err sv_disk_list_vm(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *vm,
                            void (*row)(void *arg, const struct sv_disk *d), void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_disk, LIST_VM);

    sv_bind(st, "dd", vm, &scope.tenant);
    return each(tx, st, row, arg, err);
}

enum sv_err sv_disk_list_volumes(struct sv_tx *tx, const struct sv_id *host,
                                 void (*row)(void *arg, const struct sv_disk *d), void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_disk, LIST_VOLUMES);

    sv_bind(st, "d", host);
    return each(tx, st, row, arg, err);
}

enum sv_err sv_disk_set_ready(struct sv_tx *tx, const struct sv_id *id, bool ready, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_disk, SET_READY);

    assert(tx->writable);
    sv_bind(st, "dI", id, (int)ready);
    return sv_exec(tx, st, NULL, err);
}

/* Before the change: what is promised is told by the size that is there. */
static enum sv_err run(struct sv_tx *tx, unsigned which, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_disk, which);

    assert(tx->writable);
    sv_bind(st, "d", id);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_disk_set_size(struct sv_tx *tx, const struct sv_id *id, int64_t size, struct sv_error *err)
{
    SV_STMT promise = sv_stmt(tx, &sv_sql_disk, RESIZE_PROMISE);
    SV_STMT st = sv_stmt(tx, &sv_sql_disk, SET_SIZE);
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(promise, "di", id, size);
    rc = sv_exec(tx, promise, NULL, err);
    sv_bind(st, "di", id, size);
    return rc ? rc : sv_exec(tx, st, NULL, err);
}

enum sv_err sv_disk_set_standalone(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    const enum sv_err rc = run(tx, UNUSE_ONE, id, err);

    return rc ? rc : run(tx, STANDALONE, id, err);
}

enum sv_err sv_disk_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    enum sv_err rc = run(tx, BREAK_PROMISE, id, err);

    return rc ? rc : run(tx, DELETE, id, err);
}

enum sv_err sv_disk_delete_vm(struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err)
{
    enum sv_err rc = run(tx, UNUSE, vm, err);

    if (!rc)
        rc = run(tx, BREAK_PROMISES, vm, err);
    return rc ? rc : run(tx, DELETE_VM, vm, err);
}
