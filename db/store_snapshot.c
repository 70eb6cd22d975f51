/* Snapshot rows: a tree a VM, and the disks each of them holds. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_copy.h"

#define COLS "id, tenant_id, vm_id, parent, name, descr, shape, memory, ready, current, created"

/* The column `ready`. */
enum { MAKING, READY, BROKEN };

enum {
    INSERT,
    ADD_DISK,
    GET,
    LIST_VM,
    LIST_DISKS,
    COUNT_VM,
    CURRENT,
    SET_SHAPE,
    SET_READY,
    NONE_CURRENT,
    SET_CURRENT,
    SET_DESCR,
    ADOPT,
    HAND_ON,
    DELETE_DISKS,
    DELETE,
    DELETE_DISKS_VM,
    DELETE_VM,
    OF_DISK,
};

static const char *const sql[] = {
    [INSERT] = "INSERT INTO snapshot(" COLS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [ADD_DISK] = "INSERT INTO snapshot_disk(snapshot_id, disk_id, size) VALUES(?1, ?2, ?3)",
    [GET] = "SELECT " COLS " FROM snapshot WHERE id = ?1 AND (?2 = '' OR tenant_id = ?2)",
    [LIST_VM] = "SELECT " COLS " FROM snapshot WHERE vm_id = ?1 AND (?2 = '' OR tenant_id = ?2) ORDER BY created, id",
    [LIST_DISKS] = "SELECT disk_id, size FROM snapshot_disk WHERE snapshot_id = ?1 ORDER BY disk_id",
    [COUNT_VM] = "SELECT count(*) FROM snapshot WHERE vm_id = ?1",
    [CURRENT] = "SELECT id FROM snapshot WHERE vm_id = ?1 AND current",
    [SET_SHAPE] = "UPDATE snapshot SET shape = ?2, memory = ?3 WHERE id = ?1",
    [SET_READY] = "UPDATE snapshot SET ready = ?2 WHERE id = ?1",
    [NONE_CURRENT] = "UPDATE snapshot SET current = 0 WHERE vm_id = (SELECT vm_id FROM snapshot WHERE id = ?1)"
                     " AND current",
    [SET_CURRENT] = "UPDATE snapshot SET current = 1 WHERE id = ?1",
    [SET_DESCR] = "UPDATE snapshot SET descr = ?3 WHERE id = ?1 AND (?2 = '' OR tenant_id = ?2)",
    [ADOPT] = "UPDATE snapshot SET parent = (SELECT parent FROM snapshot WHERE id = ?1)"
              " WHERE vm_id = (SELECT vm_id FROM snapshot WHERE id = ?1) AND parent = ?1",
    [HAND_ON] = "UPDATE snapshot SET current = 1 WHERE id = (SELECT parent FROM snapshot WHERE id = ?1 AND current)",
    [DELETE_DISKS] = "DELETE FROM snapshot_disk WHERE snapshot_id = ?1",
    [DELETE] = "DELETE FROM snapshot WHERE id = ?1",
    [DELETE_DISKS_VM] = "DELETE FROM snapshot_disk WHERE snapshot_id IN (SELECT id FROM snapshot WHERE vm_id = ?1)",
    [DELETE_VM] = "DELETE FROM snapshot WHERE vm_id = ?1",
    [OF_DISK] = "SELECT s.name FROM snapshot_disk d JOIN snapshot s ON s.id = d.snapshot_id WHERE d.disk_id = ?1"
                " LIMIT 1",
};
SV_SQL_TABLE(sv_sql_snapshot, "snapshot", sql);

static void read_row(sqlite3_stmt *st, struct sv_snapshot *s)
{
    const int64_t ready = sv_col_int(st, 8);

    *s = (struct sv_snapshot){.id = sv_col_id(st, 0),
                              .tenant = sv_col_id(st, 1),
                              .vm = sv_col_id(st, 2),
                              .parent = sv_col_id(st, 3),
                              .name = sv_col_text(st, 4),
                              .descr = sv_col_text(st, 5),
                              .shape = sv_col_text(st, 6),
                              .memory = sv_col_int(st, 7) != 0,
                              .ready = ready == READY,
                              .broken = ready == BROKEN,
                              .current = sv_col_int(st, 9) != 0,
                              .created = sv_col_int(st, 10)};
}

/* A statement of one id. */
static enum sv_err run_for(struct sv_tx *tx, unsigned which, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_snapshot, which);

    assert(tx->writable);
    sv_bind(st, "d", id);
    return sv_exec(tx, st, NULL, err);
}

static enum sv_err set_ready(struct sv_tx *tx, const struct sv_id *id, int to, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_snapshot, SET_READY);

    assert(tx->writable);
    sv_bind(st, "dI", id, to);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_snapshot_insert(struct sv_tx *tx, const struct sv_snapshot *s, const struct sv_id *disks,
                               const int64_t *sizes, unsigned n, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_snapshot, INSERT);
    SV_STMT add = sv_stmt(tx, &sv_sql_snapshot, ADD_DISK);
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "ddddtttIIIi", &s->id, &s->tenant, &s->vm, &s->parent, s->name, s->descr, s->shape, (int)s->memory,
            s->ready    ? READY
            : s->broken ? BROKEN
                        : MAKING,
            (int)s->current, s->created);
    rc = sv_exec(tx, st, NULL, err);
    for (unsigned i = 0; !rc && i < n; i++) {
        sv_bind(add, "ddi", &s->id, &disks[i], sizes[i]);
        rc = sv_exec(tx, add, NULL, err);
    }
    return rc;
}

enum sv_err sv_snapshot_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                            struct sv_snapshot *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_snapshot, GET);
    bool row;
    enum sv_err rc;

    sv_bind(st, "dd", id, &scope.tenant);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_SNAPSHOT_NOT_FOUND, SV_F_SNAPSHOT);
    read_row(st, ret);
    ret->name = sv_arena_strdup(a, ret->name);
    ret->descr = sv_arena_strdup(a, ret->descr);
    ret->shape = sv_arena_strdup(a, ret->shape);
    return SV_OK;
}

enum sv_err sv_snapshot_list_vm(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *vm,
                                void (*row)(void *arg, const struct sv_snapshot *s), void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_snapshot, LIST_VM);
    bool more;
    enum sv_err rc;

    sv_bind(st, "dd", vm, &scope.tenant);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_snapshot s;

        read_row(st, &s);
        row(arg, &s);
    }
    return rc;
}

enum sv_err sv_snapshot_list_disks(struct sv_tx *tx, const struct sv_id *id,
                                   void (*row)(void *arg, const struct sv_id *disk, int64_t size), void *arg,
                                   struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_snapshot, LIST_DISKS);
    bool more;
    enum sv_err rc;

    sv_bind(st, "d", id);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_id disk = sv_col_id(st, 0);

        row(arg, &disk, sv_col_int(st, 1));
    }
    return rc;
}

enum sv_err sv_snapshot_count(struct sv_tx *tx, const struct sv_id *vm, unsigned *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_snapshot, COUNT_VM);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", vm);
    rc = sv_step(tx, st, &row, err);
    if (!rc)
        *ret = row ? (unsigned)sv_col_int(st, 0) : 0;
    return rc;
}

enum sv_err sv_snapshot_current(struct sv_tx *tx, const struct sv_id *vm, struct sv_id *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_snapshot, CURRENT);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", vm);
    rc = sv_step(tx, st, &row, err);
    if (!rc)
        *ret = row ? sv_col_id(st, 0) : (struct sv_id){.s = ""};
    return rc;
}

enum sv_err sv_snapshot_set_shape(struct sv_tx *tx, const struct sv_id *id, const char *shape, bool memory,
                                  struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_snapshot, SET_SHAPE);

    assert(tx->writable);
    sv_bind(st, "dtI", id, shape, (int)memory);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_snapshot_taken(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    const enum sv_err rc = set_ready(tx, id, READY, err);

    return rc ? rc : sv_snapshot_set_current(tx, id, err);
}

enum sv_err sv_snapshot_set_broken(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    return set_ready(tx, id, BROKEN, err);
}

enum sv_err sv_snapshot_set_current(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    const enum sv_err rc = run_for(tx, NONE_CURRENT, id, err);

    return rc ? rc : run_for(tx, SET_CURRENT, id, err);
}

enum sv_err sv_snapshot_set_descr(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, const char *descr,
                                  struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_snapshot, SET_DESCR);
    int n;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "ddt", id, &scope.tenant, descr);
    rc = sv_exec(tx, st, &n, err);
    return rc || n ? rc : sv_fail(err, SV_E_SNAPSHOT_NOT_FOUND, SV_F_SNAPSHOT);
}

enum sv_err sv_snapshot_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    static const unsigned order[] = {ADOPT, HAND_ON, DELETE_DISKS, DELETE};
    enum sv_err rc = SV_OK;

    for (unsigned i = 0; !rc && i < sizeof(order) / sizeof(order[0]); i++)
        rc = run_for(tx, order[i], id, err);
    return rc;
}

enum sv_err sv_snapshot_delete_vm(struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err)
{
    const enum sv_err rc = run_for(tx, DELETE_DISKS_VM, vm, err);

    return rc ? rc : run_for(tx, DELETE_VM, vm, err);
}

enum sv_err sv_snapshot_of_disk(struct sv_tx *tx, const struct sv_id *disk, struct sv_arena *a, const char **ret_name,
                                struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_snapshot, OF_DISK);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", disk);
    rc = sv_step(tx, st, &row, err);
    if (!rc)
        *ret_name = row ? sv_arena_strdup(a, sv_col_text(st, 0)) : "";
    return rc;
}
