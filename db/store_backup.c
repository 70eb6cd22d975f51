/* Backup rows and those of their disks. They outlive the VM: its id and those of its disks may name nothing. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_copy.h"

#define COLS        "id, tenant_id, vm_id, storage_id, vm_name, name, descr, state, quiesced, vcpus, memory, nested, created"
#define OF_SCOPE(n) "(?" #n " = '' OR tenant_id = ?" #n ")"

enum { INSERT, INSERT_DISK, GET, LIST_VM, LIST, LIST_DISKS, SET_FILE, SET_STATE, SET_DESCR, DELETE_DISKS, DELETE };

static const char *const sql[] = {
    [INSERT] = "INSERT INTO backup(" COLS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    [INSERT_DISK] = "INSERT INTO backup_disk(backup_id, target, disk_id, boot, size, bytes, sha256)"
                    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [GET] = "SELECT " COLS " FROM backup WHERE id = ?1 AND " OF_SCOPE(2),
    [LIST_VM] = "SELECT " COLS " FROM backup WHERE vm_id = ?1 AND " OF_SCOPE(2) " ORDER BY created, id",
    [LIST] = "SELECT " COLS " FROM backup WHERE " OF_SCOPE(1),
    [LIST_DISKS] = "SELECT target, disk_id, boot, size, bytes, sha256 FROM backup_disk WHERE backup_id = ?1"
                   " ORDER BY boot DESC, target",
    [SET_FILE] = "UPDATE backup_disk SET bytes = ?3, sha256 = ?4 WHERE backup_id = ?1 AND target = ?2",
    [SET_STATE] = "UPDATE backup SET state = ?2, quiesced = ?3 WHERE id = ?1",
    [SET_DESCR] = "UPDATE backup SET descr = ?3 WHERE id = ?1 AND " OF_SCOPE(2),
    [DELETE_DISKS] = "DELETE FROM backup_disk WHERE backup_id = ?1",
    [DELETE] = "DELETE FROM backup WHERE id = ?1",
};
SV_SQL_TABLE(sv_sql_backup, "backup", sql);

static void read_row(sqlite3_stmt *st, struct sv_backup *b)
{
    *b = (struct sv_backup){.id = sv_col_id(st, 0),
                            .tenant = sv_col_id(st, 1),
                            .vm = sv_col_id(st, 2),
                            .storage = sv_col_id(st, 3),
                            .vm_name = sv_col_text(st, 4),
                            .name = sv_col_text(st, 5),
                            .descr = sv_col_text(st, 6),
                            .state = (enum sv_backup_state)sv_col_int(st, 7),
                            .quiesced = sv_col_int(st, 8) != 0,
                            .vcpus = sv_col_int(st, 9),
                            .memory = sv_col_int(st, 10),
                            .nested = sv_col_int(st, 11) != 0,
                            .created = sv_col_int(st, 12)};
}

static enum sv_err not_found(struct sv_error *err)
{
    return sv_fail(err, SV_E_BACKUP_NOT_FOUND, SV_F_BACKUP);
}

static enum sv_err insert_disk(struct sv_tx *tx, const struct sv_id *backup, const struct sv_backup_disk *d,
                               struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_backup, INSERT_DISK);

    sv_bind(st, "dtdIiit", backup, d->target, &d->disk, (int)d->boot, d->size, d->bytes, d->sha256);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_backup_insert(struct sv_tx *tx, const struct sv_backup *b, const struct sv_backup_disk *disks,
                             unsigned n, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_backup, INSERT);
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "dddDtttIIiiIi", &b->id, &b->tenant, &b->vm, &b->storage, b->vm_name, b->name, b->descr, (int)b->state,
            (int)b->quiesced, b->vcpus, b->memory, (int)b->nested, b->created);
    rc = sv_exec(tx, st, NULL, err);
    for (unsigned i = 0; !rc && i < n; i++)
        rc = insert_disk(tx, &b->id, &disks[i], err);
    return rc;
}

enum sv_err sv_backup_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                          struct sv_backup *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_backup, GET);
    struct sv_backup b;
    bool row;
    enum sv_err rc;

    sv_bind(st, "dd", id, &scope.tenant);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : not_found(err);
    read_row(st, &b);
    b.vm_name = sv_arena_strdup(a, b.vm_name);
    b.name = sv_arena_strdup(a, b.name);
    b.descr = sv_arena_strdup(a, b.descr);
    *ret = b;
    return SV_OK;
}

static enum sv_err each_row(struct sv_tx *tx, sqlite3_stmt *st, void (*row)(void *arg, const struct sv_backup *b),
                            void *arg, struct sv_error *err)
{
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_backup b;

        read_row(st, &b);
        row(arg, &b);
    }
    return rc;
}

enum sv_err sv_backup_list_vm(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *vm,
                              void (*row)(void *arg, const struct sv_backup *b), void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_backup, LIST_VM);

    sv_bind(st, "dd", vm, &scope.tenant);
    return each_row(tx, st, row, arg, err);
}

enum sv_err sv_backup_list(struct sv_tx *tx, struct sv_scope scope, void (*row)(void *arg, const struct sv_backup *b),
                           void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_backup, LIST);

    sv_bind(st, "d", &scope.tenant);
    return each_row(tx, st, row, arg, err);
}

enum sv_err sv_backup_list_disks(struct sv_tx *tx, const struct sv_id *id,
                                 void (*row)(void *arg, const struct sv_backup_disk *d), void *arg,
                                 struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_backup, LIST_DISKS);
    bool more;
    enum sv_err rc;

    sv_bind(st, "d", id);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_backup_disk d = {.target = sv_col_text(st, 0),
                                         .disk = sv_col_id(st, 1),
                                         .boot = sv_col_int(st, 2) != 0,
                                         .size = sv_col_int(st, 3),
                                         .bytes = sv_col_int(st, 4),
                                         .sha256 = sv_col_text(st, 5)};
        row(arg, &d);
    }
    return rc;
}

static enum sv_err change(struct sv_tx *tx, sqlite3_stmt *st, struct sv_error *err)
{
    int n;
    enum sv_err rc;

    assert(tx->writable);
    rc = sv_exec(tx, st, &n, err);
    return rc ? rc : n ? SV_OK : not_found(err);
}

enum sv_err sv_backup_set_file(struct sv_tx *tx, const struct sv_id *id, const char *target, int64_t bytes,
                               const char *sha256, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_backup, SET_FILE);

    sv_bind(st, "dtit", id, target, bytes, sha256);
    return change(tx, st, err);
}

enum sv_err sv_backup_set_state(struct sv_tx *tx, const struct sv_id *id, enum sv_backup_state to, bool quiesced,
                                struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_backup, SET_STATE);

    sv_bind(st, "dII", id, (int)to, (int)quiesced);
    return change(tx, st, err);
}

enum sv_err sv_backup_set_descr(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, const char *descr,
                                struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_backup, SET_DESCR);

    sv_bind(st, "ddt", id, &scope.tenant, descr);
    return change(tx, st, err);
}

/* Gone already: success. */
enum sv_err sv_backup_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT disks = sv_stmt(tx, &sv_sql_backup, DELETE_DISKS);
    SV_STMT st = sv_stmt(tx, &sv_sql_backup, DELETE);
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(disks, "d", id);
    rc = sv_exec(tx, disks, NULL, err);
    sv_bind(st, "d", id);
    return rc ? rc : sv_exec(tx, st, NULL, err);
}
