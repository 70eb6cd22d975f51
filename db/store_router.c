/* Routers and their legs. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_router.h"

#define COLS                                                                                                           \
    "r.id, r.tenant_id, r.name, r.descr, r.ha, r.state, r.created,"                                                    \
    " coalesce((SELECT id FROM router_node WHERE router_id = r.id AND slot = 1), '')"

enum {
    INSERT,
    INSERT_NODE,
    GET,
    OF_TENANT,
    LIST,
    SET_STATE,
    DELETE_NODES,
    DELETE_LEGS,
    DELETE,
    USES,
    LEG_SLOT,
    LEG_INSERT,
    LEG_DELETE,
    LEG_OF_VPC,
    LEG_LIST,
    LEG_USES,
    GATE,
};

static const char *const sql[] = {
    [INSERT] = "INSERT INTO router(id, tenant_id, name, descr, ha, state, created) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [INSERT_NODE] = "INSERT INTO router_node(id, router_id, slot) VALUES(?1, ?2, ?3)",
    [GET] = "SELECT " COLS " FROM router_node n JOIN router r ON r.id = n.router_id WHERE n.id = ?1 AND (?2 = '' OR"
            " r.tenant_id = ?2)",
    [OF_TENANT] = "SELECT " COLS " FROM router r WHERE r.tenant_id = ?1",
    [LIST] = "SELECT " COLS " FROM router r WHERE (?1 = '' OR r.tenant_id = ?1) ORDER BY r.created, r.id",
    [SET_STATE] = "UPDATE router SET state = ?2 WHERE id = ?1",
    [DELETE_NODES] = "DELETE FROM router_node WHERE router_id = ?1",
    [DELETE_LEGS] = "DELETE FROM router_leg WHERE router_id = ?1",
    [DELETE] = "DELETE FROM router WHERE id = ?1",
    [USES] = "SELECT (SELECT count(*) FROM nat WHERE tenant_id = ?2), (SELECT count(*) FROM slb WHERE router_id = ?1)",
    /* the first that is free: 0, or behind one whose follower is free */
    [LEG_SLOT] = "SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM router_leg WHERE router_id = ?1 AND slot = 0) THEN 0 ELSE"
                 " (SELECT l.slot + 1 FROM router_leg l WHERE l.router_id = ?1 AND NOT EXISTS (SELECT 1 FROM router_leg"
                 " n WHERE n.router_id = ?1 AND n.slot = l.slot + 1) ORDER BY l.slot LIMIT 1) END",
    [LEG_INSERT] = "INSERT INTO router_leg(vpc_id, router_id, slot, created) VALUES(?1, ?2, ?3, ?4)",
    [LEG_DELETE] = "DELETE FROM router_leg WHERE vpc_id = ?1",
    [LEG_OF_VPC] = "SELECT l.router_id, l.vpc_id, l.slot, v.base, v.prefix FROM router_leg l JOIN vpc v ON v.id ="
                   " l.vpc_id WHERE l.vpc_id = ?1",
    [LEG_LIST] = "SELECT l.router_id, l.vpc_id, l.slot, v.base, v.prefix FROM router_leg l CROSS JOIN vpc v ON v.id ="
                 " l.vpc_id WHERE l.router_id = ?1 ORDER BY l.slot",
    [LEG_USES] = "SELECT (SELECT count(*) FROM vpc v JOIN nat m ON m.tenant_id = v.tenant_id JOIN nic n ON n.id ="
                 " m.nic_id WHERE v.id = ?1 AND n.vpc_id = ?1), (SELECT count(*) FROM router_leg l JOIN slb b ON"
                 " b.router_id = l.router_id WHERE l.vpc_id = ?1 AND (b.vpc_id = ?1 OR EXISTS (SELECT 1 FROM slb_node"
                 " s JOIN nic n ON n.id = s.nic_id WHERE s.slb_id = b.id AND n.vpc_id = ?1)))",
    [GATE] = "UPDATE vpc SET gate = ?2 WHERE id = ?1",
};
SV_SQL_TABLE(sv_sql_router, "router", sql);

static void read_row(sqlite3_stmt *st, struct sv_router *r)
{
    *r = (struct sv_router){.id = sv_col_id(st, 0),
                            .tenant = sv_col_id(st, 1),
                            .name = sv_col_text(st, 2),
                            .descr = sv_col_text(st, 3),
                            .ha = sv_col_int(st, 4) != 0,
                            .state = (enum sv_router_state)sv_col_int(st, 5),
                            .created = sv_col_int(st, 6),
                            .node = {sv_col_id(st, 0), sv_col_id(st, 7)}};
}

static void keep_texts(struct sv_router *r, struct sv_arena *a)
{
    r->name = sv_arena_strdup(a, r->name);
    r->descr = sv_arena_strdup(a, r->descr);
}

static enum sv_err insert_node(struct sv_tx *tx, const struct sv_router *r, unsigned slot, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_router, INSERT_NODE);

    sv_bind(st, "ddI", &r->node[slot], &r->id, (int)slot);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_router_insert(struct sv_tx *tx, const struct sv_router *r, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_router, INSERT);
    enum sv_err rc;

    assert(tx->writable && sv_id_eq(&r->id, &r->node[0]) && r->ha == !sv_id_empty(&r->node[1]));
    sv_bind(st, "ddttIIi", &r->id, &r->tenant, r->name, r->descr, (int)r->ha, (int)r->state, r->created);
    rc = sv_exec(tx, st, NULL, err);
    for (unsigned i = 0; !rc && i < (r->ha ? 2U : 1U); i++)
        rc = insert_node(tx, r, i, err);
    return rc;
}

enum sv_err sv_router_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *node, struct sv_arena *a,
                          struct sv_router *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_router, GET);
    bool row;
    enum sv_err rc;

    sv_bind(st, "dd", node, &scope.tenant);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_ROUTER_NOT_FOUND, SV_F_ROUTER);
    read_row(st, ret);
    keep_texts(ret, a);
    return SV_OK;
}

enum sv_err sv_router_of_tenant(struct sv_tx *tx, const struct sv_id *tenant, struct sv_arena *a, struct sv_router *ret,
                                bool *ret_found, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_router, OF_TENANT);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", tenant);
    rc = sv_step(tx, st, &row, err);
    if (rc)
        return rc;
    *ret_found = row;
    if (!row)
        return SV_OK;
    read_row(st, ret);
    keep_texts(ret, a);
    return SV_OK;
}

/* There are few: one a tenant. What matches is counted, and the page of it given. */
enum sv_err sv_router_list(struct sv_tx *tx, struct sv_scope scope, const char *name, const struct sv_page *p,
                           sv_router_fn *row, void *arg, uint64_t *ret_total, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_router, LIST);
    struct sv_found found = sv_found_of(tx, p, name);
    bool more;
    enum sv_err rc;

    sv_bind(st, "d", &scope.tenant);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_router r;

        read_row(st, &r);
        if (sv_found_shows(&found, r.name))
            row(arg, &r);
    }
    if (!rc)
        *ret_total = found.total;
    return rc;
}

enum sv_err sv_router_set_state(struct sv_tx *tx, const struct sv_id *id, enum sv_router_state state,
                                struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_router, SET_STATE);

    assert(tx->writable);
    sv_bind(st, "dI", id, (int)state);
    return sv_exec(tx, st, NULL, err);
}

static enum sv_err run_for(struct sv_tx *tx, unsigned which, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_router, which);

    assert(tx->writable);
    sv_bind(st, "d", id);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_router_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    enum sv_err rc = run_for(tx, DELETE_LEGS, id, err);

    if (!rc)
        rc = run_for(tx, DELETE_NODES, id, err);
    return rc ? rc : run_for(tx, DELETE, id, err);
}

static enum sv_err two_counts(struct sv_tx *tx, sqlite3_stmt *st, int64_t *ret_first, int64_t *ret_second,
                              struct sv_error *err)
{
    bool row;
    const enum sv_err rc = sv_step(tx, st, &row, err);

    if (rc)
        return rc;
    *ret_first = sv_col_int(st, 0);
    *ret_second = sv_col_int(st, 1);
    return SV_OK;
}

enum sv_err sv_router_uses(struct sv_tx *tx, const struct sv_router *r, int64_t *ret_mappings, int64_t *ret_balancers,
                           struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_router, USES);

    sv_bind(st, "dd", &r->id, &r->tenant);
    return two_counts(tx, st, ret_mappings, ret_balancers, err);
}

/* --- legs ------------------------------------------------------------------------------------------- */

static void read_leg(sqlite3_stmt *st, struct sv_leg *l)
{
    *l = (struct sv_leg){.router = sv_col_id(st, 0),
                         .vpc = sv_col_id(st, 1),
                         .slot = (unsigned)sv_col_int(st, 2),
                         .base = (uint32_t)sv_col_int(st, 3),
                         .prefix = (unsigned)sv_col_int(st, 4)};
}

enum sv_err sv_leg_insert(struct sv_tx *tx, const struct sv_id *router, const struct sv_id *vpc, unsigned slots,
                          bool *ret_added, struct sv_error *err)
{
    SV_STMT find = sv_stmt(tx, &sv_sql_router, LEG_SLOT);
    SV_STMT st = sv_stmt(tx, &sv_sql_router, LEG_INSERT);
    int64_t slot;
    bool row;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(find, "d", router);
    rc = sv_step(tx, find, &row, err);
    if (rc)
        return rc;
    slot = sv_col_int(find, 0);
    *ret_added = slot < slots;
    if (!*ret_added)
        return SV_OK;
    sv_bind(st, "ddii", vpc, router, slot, sv_tx_now(tx));
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_leg_delete(struct sv_tx *tx, const struct sv_id *vpc, struct sv_error *err)
{
    return run_for(tx, LEG_DELETE, vpc, err);
}

enum sv_err sv_leg_of_vpc(struct sv_tx *tx, const struct sv_id *vpc, struct sv_leg *ret, bool *ret_found,
                          struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_router, LEG_OF_VPC);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", vpc);
    rc = sv_step(tx, st, &row, err);
    if (rc)
        return rc;
    *ret_found = row;
    if (row)
        read_leg(st, ret);
    return SV_OK;
}

enum sv_err sv_leg_list(struct sv_tx *tx, const struct sv_id *router, void (*row)(void *arg, const struct sv_leg *l),
                        void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_router, LEG_LIST);
    bool more;
    enum sv_err rc;

    sv_bind(st, "d", router);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_leg l;

        read_leg(st, &l);
        row(arg, &l);
    }
    return rc;
}

enum sv_err sv_leg_uses(struct sv_tx *tx, const struct sv_id *vpc, int64_t *ret_mappings, int64_t *ret_balancers,
                        struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_router, LEG_USES);

    sv_bind(st, "d", vpc);
    return two_counts(tx, st, ret_mappings, ret_balancers, err);
}

enum sv_err sv_gate_set(struct sv_tx *tx, const struct sv_id *vpc, bool closed, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_router, GATE);

    assert(tx->writable);
    sv_bind(st, "dI", vpc, (int)closed);
    return sv_exec(tx, st, NULL, err);
}
