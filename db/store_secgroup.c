/* Security groups, and the NICs that are in them. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_rule.h"

#define SELECT                                                                                                         \
    "SELECT g.id, g.tenant_id, g.name, g.descr, g.created, t.name FROM secgroup g JOIN tenant t ON t.id = "            \
    "g.tenant_id "

enum {
    INSERT,
    GET,
    NICS,
    DELETE_RULES,
    DELETE,
    COUNT_TENANT,
    SCAN_ALL,
    SCAN_TENANT,
    BIND,
    UNBIND,
    LIST_NIC,
    LIST_VM,
    BOUND,
    COUNT_BOUND,
};

static const char *const sql[] = {
    [INSERT] = "INSERT INTO secgroup(id, tenant_id, name, descr, created) VALUES(?1, ?2, ?3, ?4, ?5)",
    [GET] = SELECT "WHERE g.id = ?1 AND (?2 = '' OR g.tenant_id = ?2)",
    [NICS] = "SELECT count(*) FROM secgroup_nic WHERE group_id = ?1",
    [DELETE_RULES] = "DELETE FROM rule WHERE group_id = ?1",
    [DELETE] = "DELETE FROM secgroup WHERE id = ?1",
    [COUNT_TENANT] = "SELECT count(*) FROM secgroup WHERE tenant_id = ?1",
    [SCAN_ALL] = "SELECT id, name FROM secgroup WHERE ?1 = '' ORDER BY created, id",
    [SCAN_TENANT] = "SELECT id, name FROM secgroup WHERE tenant_id = ?1 ORDER BY created, id",
    [BIND] = "INSERT INTO secgroup_nic(group_id, nic_id) VALUES(?1, ?2) ON CONFLICT DO NOTHING",
    [UNBIND] = "DELETE FROM secgroup_nic WHERE group_id = ?1 AND nic_id = ?2",
    [LIST_NIC] = "SELECT group_id FROM secgroup_nic WHERE nic_id = ?1 ORDER BY group_id",
    [LIST_VM] = "SELECT DISTINCT m.group_id FROM nic n JOIN secgroup_nic m ON m.nic_id = n.id WHERE n.vm_id = ?1"
                " ORDER BY m.group_id",
    [BOUND] = "SELECT m.nic_id FROM secgroup_nic m JOIN nic n ON n.id = m.nic_id WHERE m.group_id = ?1 AND (?2 = 0 OR"
              " n.ip = ?2) ORDER BY m.nic_id LIMIT ?3 OFFSET ?4",
    [COUNT_BOUND] = "SELECT count(*) FROM secgroup_nic m JOIN nic n ON n.id = m.nic_id WHERE m.group_id = ?1 AND"
                    " (?2 = 0 OR n.ip = ?2)",
};
SV_SQL_TABLE(sv_sql_secgroup, "secgroup", sql);

enum sv_err sv_secgroup_insert(struct sv_tx *tx, const struct sv_secgroup *g, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_secgroup, INSERT);

    assert(tx->writable);
    sv_bind(st, "ddtti", &g->id, &g->tenant, g->name, g->descr, g->created);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_secgroup_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                            struct sv_secgroup *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_secgroup, GET);
    bool row;
    enum sv_err rc;

    sv_bind(st, "dd", id, &scope.tenant);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_GROUP_NOT_FOUND, SV_F_GROUP);
    *ret = (struct sv_secgroup){.id = sv_col_id(st, 0),
                                .tenant = sv_col_id(st, 1),
                                .name = sv_arena_strdup(a, sv_col_text(st, 2)),
                                .descr = sv_arena_strdup(a, sv_col_text(st, 3)),
                                .created = sv_col_int(st, 4),
                                .tenant_name = sv_arena_strdup(a, sv_col_text(st, 5))};
    return SV_OK;
}

enum sv_err sv_secgroup_count_tenant(struct sv_tx *tx, const struct sv_id *tenant, int64_t *ret, struct sv_error *err)
{
    return sv_number_of(tx, &sv_sql_secgroup, COUNT_TENANT, tenant, ret, err);
}

enum sv_err sv_secgroup_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT rules = sv_stmt(tx, &sv_sql_secgroup, DELETE_RULES);
    SV_STMT st = sv_stmt(tx, &sv_sql_secgroup, DELETE);
    int64_t nics;
    enum sv_err rc = sv_number_of(tx, &sv_sql_secgroup, NICS, id, &nics, err);

    assert(tx->writable);
    if (rc || nics > 0)
        return rc ? rc : sv_fail(err, SV_E_GROUP_IN_USE, SV_F_GROUP, sv_dec(nics).s);
    sv_bind(rules, "d", id);
    rc = sv_exec(tx, rules, NULL, err);
    sv_bind(st, "d", id);
    return rc ? rc : sv_exec(tx, st, NULL, err);
}

/* --- search ----------------------------------------------------------------------------------------- */

typedef void (*group_fn)(void *arg, const struct sv_secgroup *g);

static enum sv_err find_one(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_found *found,
                            group_fn row, void *arg, struct sv_error *err)
{
    struct sv_secgroup g = {.name = ""};
    struct sv_error why;
    enum sv_err rc = sv_secgroup_get(tx, scope, id, tx->arena, &g, &why);

    if (rc == SV_E_GROUP_NOT_FOUND)
        return SV_OK;
    if (rc) {
        if (err)
            *err = why;
        return rc;
    }
    if (sv_found_shows(found, g.name))
        row(arg, &g);
    return SV_OK;
}

static enum sv_err scan(struct sv_tx *tx, struct sv_scope scope, struct sv_found *found, group_fn row, void *arg,
                        struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_secgroup, sv_id_empty(&scope.tenant) ? SCAN_ALL : SCAN_TENANT);
    bool more;
    enum sv_err rc;

    sv_bind(st, "d", &scope.tenant);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_id id = sv_col_id(st, 0);
        struct sv_secgroup g;

        if (!sv_found_shows(found, sv_col_text(st, 1)))
            continue;
        rc = sv_secgroup_get(tx, scope, &id, tx->arena, &g, err);
        if (rc)
            return rc;
        row(arg, &g);
    }
    return rc;
}

enum sv_err sv_secgroup_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_secgroup_filter *f,
                             const struct sv_page *p, group_fn row, void *arg, uint64_t *ret_total,
                             struct sv_error *err)
{
    struct sv_found found = sv_found_of(tx, p, f->name);
    const enum sv_err rc = sv_id_empty(&f->id) ? scan(tx, scope, &found, row, arg, err)
                                               : find_one(tx, scope, &f->id, &found, row, arg, err);

    if (!rc)
        *ret_total = found.total;
    return rc;
}

/* --- members ---------------------------------------------------------------------------------------- */

static enum sv_err change(struct sv_tx *tx, unsigned which, const struct sv_id *group, const struct sv_id *nic,
                          bool *ret_changed, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_secgroup, which);
    int n;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "dd", group, nic);
    rc = sv_exec(tx, st, &n, err);
    if (!rc)
        *ret_changed = n > 0;
    return rc;
}

enum sv_err sv_secgroup_bind(struct sv_tx *tx, const struct sv_id *group, const struct sv_id *nic, bool *ret_changed,
                             struct sv_error *err)
{
    return change(tx, BIND, group, nic, ret_changed, err);
}

enum sv_err sv_secgroup_unbind(struct sv_tx *tx, const struct sv_id *group, const struct sv_id *nic, bool *ret_changed,
                               struct sv_error *err)
{
    return change(tx, UNBIND, group, nic, ret_changed, err);
}

static enum sv_err list_ids(struct sv_tx *tx, unsigned which, const struct sv_id *of, struct sv_ids *ret,
                            struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_secgroup, which);
    bool more;
    enum sv_err rc;

    sv_bind(st, "d", of);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_id id = sv_col_id(st, 0);

        sv_ids_add(ret, &id);
    }
    return rc;
}

enum sv_err sv_secgroup_list_nic(struct sv_tx *tx, const struct sv_id *nic, struct sv_ids *ret, struct sv_error *err)
{
    return list_ids(tx, LIST_NIC, nic, ret, err);
}

enum sv_err sv_secgroup_list_vm(struct sv_tx *tx, const struct sv_id *vm, struct sv_ids *ret, struct sv_error *err)
{
    return list_ids(tx, LIST_VM, vm, ret, err);
}

enum sv_err sv_secgroup_nics(struct sv_tx *tx, const struct sv_id *group, uint32_t ip, const struct sv_page *p,
                             void (*row)(void *arg, const struct sv_nic *n), void *arg, uint64_t *ret_total,
                             struct sv_error *err)
{
    SV_STMT count = sv_stmt(tx, &sv_sql_secgroup, COUNT_BOUND);
    SV_STMT st = sv_stmt(tx, &sv_sql_secgroup, BOUND);
    bool more;
    enum sv_err rc;

    sv_bind(count, "di", group, (int64_t)ip);
    rc = sv_step(tx, count, &more, err);
    if (rc)
        return rc;
    *ret_total = (uint64_t)sv_col_int(count, 0);
    sv_bind(st, "diii", group, (int64_t)ip, sv_page_limit(p), (int64_t)p->offset);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_id id = sv_col_id(st, 0);
        struct sv_nic n;

        rc = sv_nic_get(tx, sv_scope_system(), &id, tx->arena, &n, err);
        if (rc)
            return rc;
        row(arg, &n);
    }
    return rc;
}
