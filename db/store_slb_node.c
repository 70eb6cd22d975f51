/* Nodes of load balancers: each is a port of a NIC. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_slb.h"

#define SELECT                                                                                                         \
    "SELECT s.id, s.tenant_id, s.slb_id, s.nic_id, n.vm_id, n.vpc_id, n.ip, s.name, s.descr, s.enabled, s.port,"       \
    " s.weight, s.created FROM slb_node s JOIN nic n ON n.id = s.nic_id "
#define LIST(where, order)                                                                                             \
    SELECT "WHERE " where " AND (?2 = '' OR s.id = ?2) AND (?3 = '' OR s.slb_id = ?3) AND (?4 = 0 OR n.ip = ?4)"       \
           " AND (?5 = 0 OR s.port = ?5) ORDER BY " order

enum {
    INSERT,
    GET,
    UPDATE,
    DELETE,
    COUNT,
    LIST_ALL,
    LIST_ALL_BY_NAME,
    LIST_TENANT,
    LIST_TENANT_BY_NAME,
    LIST_SLB,
    ROUTERS_OF_NIC,
    DROP_NIC,
};

static const char *const sql[] = {
    [INSERT] = "INSERT INTO slb_node(id, tenant_id, slb_id, nic_id, name, descr, enabled, port, weight, created)"
               " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [GET] = SELECT "WHERE s.id = ?1 AND (?2 = '' OR s.tenant_id = ?2)",
    [UPDATE] = "UPDATE slb_node SET port = ?2, weight = ?3 WHERE id = ?1",
    [DELETE] = "DELETE FROM slb_node WHERE id = ?1",
    [COUNT] = "SELECT count(*) FROM slb_node WHERE slb_id = ?1",
    [LIST_ALL] = LIST("?1 = ''", "s.created, s.id"),
    [LIST_ALL_BY_NAME] = LIST("?1 = ''", "s.name, s.id"),
    [LIST_TENANT] = LIST("s.tenant_id = ?1", "s.created, s.id"),
    [LIST_TENANT_BY_NAME] = LIST("s.tenant_id = ?1", "s.name, s.id"),
    [LIST_SLB] = SELECT "WHERE s.slb_id = ?1 ORDER BY s.id",
    [ROUTERS_OF_NIC] = "SELECT DISTINCT b.router_id FROM slb_node s JOIN slb b ON b.id = s.slb_id WHERE s.nic_id = ?1",
    [DROP_NIC] = "DELETE FROM slb_node WHERE nic_id = ?1",
};
SV_SQL_TABLE(sv_sql_slb_node, "slb_node", sql);

static void read_row(sqlite3_stmt *st, struct sv_slb_node *n)
{
    *n = (struct sv_slb_node){.id = sv_col_id(st, 0),
                              .tenant = sv_col_id(st, 1),
                              .slb = sv_col_id(st, 2),
                              .nic = sv_col_id(st, 3),
                              .vm = sv_col_id(st, 4),
                              .vpc = sv_col_id(st, 5),
                              .ip = (uint32_t)sv_col_int(st, 6),
                              .name = sv_col_text(st, 7),
                              .descr = sv_col_text(st, 8),
                              .enabled = sv_col_int(st, 9) != 0,
                              .port = (unsigned)sv_col_int(st, 10),
                              .weight = (unsigned)sv_col_int(st, 11),
                              .created = sv_col_int(st, 12)};
}

static enum sv_err unless_there(struct sv_tx *tx, enum sv_err rc, unsigned port, struct sv_error *err)
{
    return rc == SV_E_DB && sv_is_conflict(tx) ? sv_fail(err, SV_E_SLB_NODE_EXISTS, SV_F_NODE_PORT, sv_dec(port).s)
                                               : rc;
}

enum sv_err sv_slb_node_insert(struct sv_tx *tx, const struct sv_slb_node *n, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb_node, INSERT);

    assert(tx->writable);
    sv_bind(st, "ddddttIIIi", &n->id, &n->tenant, &n->slb, &n->nic, n->name, n->descr, (int)n->enabled, (int)n->port,
            (int)n->weight, n->created);
    return unless_there(tx, sv_exec(tx, st, NULL, err), n->port, err);
}

enum sv_err sv_slb_node_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                            struct sv_slb_node *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb_node, GET);
    bool row;
    enum sv_err rc;

    sv_bind(st, "dd", id, &scope.tenant);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_SLB_NODE_NOT_FOUND, SV_F_NODE);
    read_row(st, ret);
    ret->name = sv_arena_strdup(a, ret->name);
    ret->descr = sv_arena_strdup(a, ret->descr);
    return SV_OK;
}

enum sv_err sv_slb_node_update(struct sv_tx *tx, const struct sv_slb_node *n, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb_node, UPDATE);

    assert(tx->writable);
    sv_bind(st, "dII", &n->id, (int)n->port, (int)n->weight);
    return unless_there(tx, sv_exec(tx, st, NULL, err), n->port, err);
}

enum sv_err sv_slb_node_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb_node, DELETE);

    assert(tx->writable);
    sv_bind(st, "d", id);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_slb_node_count(struct sv_tx *tx, const struct sv_id *slb, uint64_t *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb_node, COUNT);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", slb);
    rc = sv_step(tx, st, &row, err);
    if (!rc)
        *ret = (uint64_t)sv_col_int(st, 0);
    return rc;
}

static unsigned which_list(struct sv_scope scope, const struct sv_slb_node_filter *f)
{
    if (sv_id_empty(&scope.tenant))
        return f->by_name ? LIST_ALL_BY_NAME : LIST_ALL;
    return f->by_name ? LIST_TENANT_BY_NAME : LIST_TENANT;
}

enum sv_err sv_slb_node_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_slb_node_filter *f,
                             const struct sv_page *p, sv_slb_node_fn *row, void *arg, uint64_t *ret_total,
                             struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb_node, which_list(scope, f));
    struct sv_found found = sv_found_of(tx, p, f->name);
    bool more;
    enum sv_err rc;

    sv_bind(st, "dddiI", &scope.tenant, &f->id, &f->slb, (int64_t)f->ip, (int)f->port);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_slb_node n;

        read_row(st, &n);
        if (sv_found_shows(&found, n.name))
            row(arg, &n);
    }
    if (!rc)
        *ret_total = found.total;
    return rc;
}

enum sv_err sv_slb_node_list_slb(struct sv_tx *tx, const struct sv_id *slb, sv_slb_node_fn *row, void *arg,
                                 struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb_node, LIST_SLB);
    bool more;
    enum sv_err rc;

    sv_bind(st, "d", slb);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_slb_node n;

        read_row(st, &n);
        row(arg, &n);
    }
    return rc;
}

enum sv_err sv_slb_node_drop_nic(struct sv_tx *tx, const struct sv_id *nic,
                                 void (*router)(void *arg, const struct sv_id *router), void *arg, struct sv_error *err)
{
    SV_STMT routers = sv_stmt(tx, &sv_sql_slb_node, ROUTERS_OF_NIC);
    SV_STMT st = sv_stmt(tx, &sv_sql_slb_node, DROP_NIC);
    bool more;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(routers, "d", nic);
    while (!(rc = sv_step(tx, routers, &more, err)) && more) {
        const struct sv_id id = sv_col_id(routers, 0);

        router(arg, &id);
    }
    if (rc)
        return rc;
    sv_bind(st, "d", nic);
    return sv_exec(tx, st, NULL, err);
}
