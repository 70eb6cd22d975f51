/* Affinity groups, and the VMs that are in them. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_place.h"

enum { INSERT, GET, COUNT_TENANT, VMS, DELETE, SCAN_ALL, SCAN_TENANT, JOIN, LEAVE, HOSTS, OF_VM };

static const char *const sql[] = {
    [INSERT] = "INSERT INTO affinity(id, tenant_id, name, descr, apart, strict, created) VALUES(?1, ?2, ?3, ?4, ?5, ?6,"
               " ?7)",
    [GET] = "SELECT id, tenant_id, name, descr, apart, strict, created, (SELECT group_concat(vm_id) FROM affinity_vm"
            " WHERE affinity_id = ?1) FROM affinity WHERE id = ?1 AND (?2 = '' OR tenant_id = ?2)",
    [COUNT_TENANT] = "SELECT count(*) FROM affinity WHERE tenant_id = ?1",
    [VMS] = "SELECT count(*) FROM affinity_vm WHERE affinity_id = ?1",
    [DELETE] = "DELETE FROM affinity WHERE id = ?1",
    [SCAN_ALL] = "SELECT id, name FROM affinity WHERE ?1 = '' ORDER BY created, id",
    [SCAN_TENANT] = "SELECT id, name FROM affinity WHERE tenant_id = ?1 ORDER BY created, id",
    [JOIN] = "INSERT INTO affinity_vm(vm_id, affinity_id) VALUES(?1, ?2)",
    [LEAVE] = "DELETE FROM affinity_vm WHERE vm_id = ?1",
    [HOSTS] = "SELECT v.host_id, count(*) FROM affinity_vm m JOIN vm v ON v.id = m.vm_id WHERE m.affinity_id = ?1 AND"
              " v.host_id IS NOT NULL GROUP BY v.host_id",
    [OF_VM] = "SELECT group_concat(affinity_id) FROM affinity_vm WHERE vm_id = ?1",
};
SV_SQL_TABLE(sv_sql_affinity, "affinity", sql);

enum sv_err sv_affinity_insert(struct sv_tx *tx, const struct sv_affinity *g, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_affinity, INSERT);

    assert(tx->writable);
    sv_bind(st, "ddttIIi", &g->id, &g->tenant, g->name, g->descr, (int)g->apart, (int)g->strict, g->created);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_affinity_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                            struct sv_affinity *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_affinity, GET);
    bool row;
    enum sv_err rc;

    sv_bind(st, "dd", id, &scope.tenant);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_AFFINITY_NOT_FOUND, SV_F_AFFINITY);
    *ret = (struct sv_affinity){.id = sv_col_id(st, 0),
                                .tenant = sv_col_id(st, 1),
                                .name = sv_arena_strdup(a, sv_col_text(st, 2)),
                                .descr = sv_arena_strdup(a, sv_col_text(st, 3)),
                                .apart = sv_col_int(st, 4) != 0,
                                .strict = sv_col_int(st, 5) != 0,
                                .created = sv_col_int(st, 6),
                                .vms = sv_arena_strdup(a, sv_col_text(st, 7))};
    return SV_OK;
}

enum sv_err sv_affinity_count_tenant(struct sv_tx *tx, const struct sv_id *tenant, int64_t *ret, struct sv_error *err)
{
    return sv_number_of(tx, &sv_sql_affinity, COUNT_TENANT, tenant, ret, err);
}

enum sv_err sv_affinity_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_affinity, DELETE);
    int64_t vms;
    enum sv_err rc = sv_number_of(tx, &sv_sql_affinity, VMS, id, &vms, err);

    assert(tx->writable);
    if (rc || vms > 0)
        return rc ? rc : sv_fail(err, SV_E_AFFINITY_IN_USE, SV_F_AFFINITY, sv_dec(vms).s);
    sv_bind(st, "d", id);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_affinity_list(struct sv_tx *tx, struct sv_scope scope, const char *name, const struct sv_page *p,
                             void (*row)(void *arg, const struct sv_affinity *g), void *arg, uint64_t *ret_total,
                             struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_affinity, sv_id_empty(&scope.tenant) ? SCAN_ALL : SCAN_TENANT);
    struct sv_found found = sv_found_of(tx, p, name);
    bool more;
    enum sv_err rc;

    sv_bind(st, "d", &scope.tenant);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_id id = sv_col_id(st, 0);
        struct sv_affinity g;

        if (!sv_found_shows(&found, sv_col_text(st, 1)))
            continue;
        rc = sv_affinity_get(tx, scope, &id, tx->arena, &g, err);
        if (rc)
            return rc;
        row(arg, &g);
    }
    if (!rc)
        *ret_total = found.total;
    return rc;
}

enum sv_err sv_affinity_join(struct sv_tx *tx, const struct sv_id *group, const struct sv_id *vm, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_affinity, JOIN);

    assert(tx->writable);
    sv_bind(st, "dd", vm, group);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_affinity_leave(struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_affinity, LEAVE);

    assert(tx->writable);
    sv_bind(st, "d", vm);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_affinity_hosts(struct sv_tx *tx, const struct sv_id *group,
                              void (*row)(void *arg, const struct sv_id *host, int64_t vms), void *arg,
                              struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_affinity, HOSTS);
    bool more;
    enum sv_err rc;

    sv_bind(st, "d", group);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_id host = sv_col_id(st, 0);

        row(arg, &host, sv_col_int(st, 1));
    }
    return rc;
}

enum sv_err sv_affinity_of_vm(struct sv_tx *tx, const struct sv_id *vm, struct sv_arena *a, const char **ret,
                              struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_affinity, OF_VM);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", vm);
    rc = sv_step(tx, st, &row, err);
    if (!rc)
        *ret = sv_arena_strdup(a, sv_col_text(st, 0));
    return rc;
}
