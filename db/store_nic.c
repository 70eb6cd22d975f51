/* NIC rows; each holds one address of its VPC. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_vm.h"
#include "starvirt/text.h"

#define SELECT                                                                                                         \
    "SELECT n.id, n.tenant_id, n.vm_id, n.vpc_id, n.name, v.name, p.name, n.mac, n.ip, n.created,"                     \
    " (SELECT min(job_id) FROM pending_undo WHERE subject_id = n.id) FROM nic n"                                       \
    " JOIN vm v ON v.id = n.vm_id JOIN vpc p ON p.id = n.vpc_id "

enum { INSERT, TAKE, GIVE_BACK, HELD, NO_IP, LIST_VM, LIST_VPC, GET, GET_IP, GIVE_ONE, DELETE, REFRESH_IP, DELETE_VM };

static const char *const sql[] = {
    [INSERT] =
        "INSERT INTO nic(id, tenant_id, vm_id, vpc_id, name, mac, ip, created) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [TAKE] = "UPDATE vpc SET free_count = free_count - 1 WHERE id = ?1 AND free_count > 0 AND deleting = 0",
    [GIVE_BACK] =
        "UPDATE vpc SET free_count = free_count + (SELECT count(*) FROM nic WHERE vm_id = ?1 AND vpc_id = vpc.id)"
        " WHERE id IN (SELECT vpc_id FROM nic WHERE vm_id = ?1)",
    [HELD] = "SELECT vpc_id, ip FROM nic WHERE vm_id = ?1",
    [NO_IP] = "UPDATE vm SET ip = 0 WHERE id = ?1 AND ip <> 0",
    [LIST_VM] = SELECT "WHERE n.vm_id = ?1 AND (?2 = '' OR n.tenant_id = ?2) ORDER BY n.created, n.id",
    [LIST_VPC] = SELECT "WHERE n.vpc_id = ?1 AND (?2 = '' OR n.tenant_id = ?2) ORDER BY n.ip",
    [GET] = SELECT "WHERE n.id = ?1 AND (?2 = '' OR n.tenant_id = ?2)",
    [GET_IP] = SELECT "WHERE n.ip = ?1 AND (?2 = '' OR n.tenant_id = ?2) ORDER BY n.id LIMIT 1",
    [GIVE_ONE] = "UPDATE vpc SET free_count = free_count + 1 WHERE id = (SELECT vpc_id FROM nic WHERE id = ?1)",
    [DELETE] = "DELETE FROM nic WHERE id = ?1 RETURNING vm_id, vpc_id, ip",
    [REFRESH_IP] = "UPDATE vm SET ip = coalesce((SELECT ip FROM nic WHERE vm_id = ?1 ORDER BY created, id LIMIT 1), 0) "
                   "WHERE id = ?1",
    [DELETE_VM] = "DELETE FROM nic WHERE vm_id = ?1",
};
SV_SQL_TABLE(sv_sql_nic, "nic", sql);

static void read_row(sqlite3_stmt *st, struct sv_nic *n)
{
    *n = (struct sv_nic){.id = sv_col_id(st, 0),
                         .tenant = sv_col_id(st, 1),
                         .vm = sv_col_id(st, 2),
                         .vpc = sv_col_id(st, 3),
                         .name = sv_col_text(st, 4),
                         .vm_name = sv_col_text(st, 5),
                         .vpc_name = sv_col_text(st, 6),
                         .ip = (uint32_t)sv_col_int(st, 8),
                         .created = sv_col_int(st, 9),
                         .undo = sv_col_id(st, 10)};
    sv_mac_parse(sv_col_text(st, 7), n->mac);
}

enum sv_err sv_nic_insert(struct sv_tx *tx, const struct sv_nic *n, struct sv_error *err)
{
    SV_STMT take = sv_stmt(tx, &sv_sql_nic, TAKE);
    SV_STMT st = sv_stmt(tx, &sv_sql_nic, INSERT);
    char mac[SV_MAC_LEN];
    int changes;
    bool taken;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(take, "d", &n->vpc);
    rc = sv_exec(tx, take, &changes, err);
    if (rc || !changes)
        return rc ? rc : sv_fail(err, SV_E_VPC_FULL, SV_F_VPC, "1");
    sv_mac_format(n->mac, mac);
    sv_bind(st, "ddddttii", &n->id, &n->tenant, &n->vm, &n->vpc, n->name, mac, (int64_t)n->ip, n->created);
    rc = sv_exec(tx, st, NULL, err);
    if (!rc)
        rc = sv_range_take(tx, &n->vpc, n->ip, n->ip, &taken, err);
    return rc || taken ? rc : sv_fail(err, SV_E_DB, SV_F_NONE, "the address is not one that its VPC hands out");
}

static enum sv_err list(struct sv_tx *tx, unsigned which, struct sv_scope scope, const struct sv_id *id,
                        void (*row)(void *arg, const struct sv_nic *n), void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_nic, which);
    bool more;
    enum sv_err rc;

    sv_bind(st, "dd", id, &scope.tenant);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_nic n;

        read_row(st, &n);
        row(arg, &n);
    }
    return rc;
}

enum sv_err sv_nic_list_vm(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *vm,
                           void (*row)(void *arg, const struct sv_nic *n), void *arg, struct sv_error *err)
{
    return list(tx, LIST_VM, scope, vm, row, arg, err);
}

enum sv_err sv_nic_list_vpc(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *vpc,
                            void (*row)(void *arg, const struct sv_nic *n), void *arg, struct sv_error *err)
{
    return list(tx, LIST_VPC, scope, vpc, row, arg, err);
}

static enum sv_err get(struct sv_tx *tx, sqlite3_stmt *st, struct sv_arena *a, struct sv_nic *ret, struct sv_error *err)
{
    bool row;
    enum sv_err rc = sv_step(tx, st, &row, err);

    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_NIC_NOT_FOUND, SV_F_NIC);
    read_row(st, ret);
    ret->name = sv_arena_strdup(a, ret->name);
    ret->vm_name = sv_arena_strdup(a, ret->vm_name);
    ret->vpc_name = sv_arena_strdup(a, ret->vpc_name);
    return SV_OK;
}

enum sv_err sv_nic_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                       struct sv_nic *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_nic, GET);

    sv_bind(st, "dd", id, &scope.tenant);
    return get(tx, st, a, ret, err);
}

enum sv_err sv_nic_get_ip(struct sv_tx *tx, struct sv_scope scope, uint32_t ip, struct sv_arena *a, struct sv_nic *ret,
                          struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_nic, GET_IP);

    sv_bind(st, "id", (int64_t)ip, &scope.tenant);
    return get(tx, st, a, ret, err);
}

enum sv_err sv_nic_refresh_ip(struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_nic, REFRESH_IP);

    assert(tx->writable);
    sv_bind(st, "d", vm);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_nic_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT give = sv_stmt(tx, &sv_sql_nic, GIVE_ONE);
    SV_STMT st = sv_stmt(tx, &sv_sql_nic, DELETE);
    struct sv_id vm, vpc;
    int64_t ip;
    bool row;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(give, "d", id);
    rc = sv_exec(tx, give, NULL, err);
    sv_bind(st, "d", id);
    if (!rc)
        rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc;
    vm = sv_col_id(st, 0);
    vpc = sv_col_id(st, 1);
    ip = sv_col_int(st, 2);
    rc = sv_step(tx, st, &row, err); /* RETURNING: the statement ends with the next step */
    if (!rc)
        rc = sv_range_give(tx, &vpc, ip, ip, err);
    return rc ? rc : sv_nic_refresh_ip(tx, &vm, err);
}

static enum sv_err give_addresses(struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err)
{
    SV_STMT held = sv_stmt(tx, &sv_sql_nic, HELD);
    bool more;
    enum sv_err rc;

    sv_bind(held, "d", vm);
    while (!(rc = sv_step(tx, held, &more, err)) && more) {
        const struct sv_id vpc = sv_col_id(held, 0);
        const int64_t ip = sv_col_int(held, 1);

        rc = sv_range_give(tx, &vpc, ip, ip, err);
        if (rc)
            return rc;
    }
    return rc;
}

enum sv_err sv_nic_delete_vm(struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err)
{
    SV_STMT give = sv_stmt(tx, &sv_sql_nic, GIVE_BACK);
    SV_STMT no_ip = sv_stmt(tx, &sv_sql_nic, NO_IP);
    SV_STMT st = sv_stmt(tx, &sv_sql_nic, DELETE_VM);
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(give, "d", vm);
    rc = sv_exec(tx, give, NULL, err);
    if (!rc)
        rc = give_addresses(tx, vm, err);
    sv_bind(no_ip, "d", vm);
    if (!rc)
        rc = sv_exec(tx, no_ip, NULL, err);
    sv_bind(st, "d", vm);
    return rc ? rc : sv_exec(tx, st, NULL, err);
}
