/* Load balancers. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_slb.h"

#define COLS                                                                                                           \
    "id, tenant_id, router_id, vpc_id, name, descr, enabled, proto, ip, own, port, real_port, policy, url_path,"       \
    " check_path, retries, check_every, check_timeout, idle_timeout, max_connections, cert_ends, created"
#define LIST(where, order)                                                                                             \
    "SELECT " COLS " FROM slb WHERE " where                                                                            \
    " AND (?2 = '' OR id = ?2) AND (?3 < 0 OR enabled = ?3) AND (?4 < 0 OR proto = ?4)"                                \
    " AND (?5 < 0 OR outside = ?5) AND (?6 = 0 OR ip = ?6) AND (?7 = 0 OR port = ?7) ORDER BY " order
#define AT " AND id <> ?4 AND (?2 = 0 OR (port = ?2 AND (proto = 1) = ?3)) LIMIT 1"

enum {
    INSERT,
    GET,
    UPDATE,
    DROP_NODES,
    DELETE,
    LIST_ALL,
    LIST_ALL_BY_NAME,
    LIST_TENANT,
    LIST_TENANT_BY_NAME,
    LIST_ROUTER,
    COUNT_TENANT,
    AT_OUTER,
    AT_INNER,
    OWNER_OF,
    LEG_AT,
    ROUTERS,
    CERTS,
    ENDING,
    WARNED,
};

_Static_assert(SV_SLB_UDP == 1, "the statements and two indexes name UDP by number");

static const char *const sql[] = {
    [INSERT] = "INSERT INTO slb(" COLS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,"
               " ?17, ?18, ?19, ?20, ?21, ?22)",
    [GET] = "SELECT " COLS " FROM slb WHERE id = ?1 AND (?2 = '' OR tenant_id = ?2)",
    [UPDATE] = "UPDATE slb SET vpc_id = ?2, name = ?3, descr = ?4, enabled = ?5, ip = ?6, own = ?7, port = ?8,"
               " policy = ?9, check_path = ?10, retries = ?11, check_every = ?12, check_timeout = ?13,"
               " idle_timeout = ?14, max_connections = ?15, cert_warned = cert_warned AND cert_ends = ?16,"
               " cert_ends = ?16 WHERE id = ?1",
    [DROP_NODES] = "DELETE FROM slb_node WHERE slb_id = ?1",
    [DELETE] = "DELETE FROM slb WHERE id = ?1",
    [LIST_ALL] = LIST("?1 = ''", "created, id"),
    [LIST_ALL_BY_NAME] = LIST("?1 = ''", "name, id"),
    [LIST_TENANT] = LIST("tenant_id = ?1", "created, id"),
    [LIST_TENANT_BY_NAME] = LIST("tenant_id = ?1", "name, id"),
    [LIST_ROUTER] = "SELECT " COLS " FROM slb WHERE router_id = ?1 ORDER BY id",
    [COUNT_TENANT] = "SELECT count(*) FROM slb WHERE tenant_id = ?1",
    [AT_OUTER] = "SELECT id FROM slb WHERE outside AND ip = ?1" AT,
    [AT_INNER] = "SELECT id FROM slb WHERE vpc_id = ?5 AND ip = ?1" AT,
    [OWNER_OF] = "SELECT id FROM slb WHERE outside AND ip = ?1 AND own LIMIT 1",
    [LEG_AT] =
        "SELECT v.id FROM router_leg l JOIN vpc v ON v.id = l.vpc_id WHERE l.router_id = ?1 AND ?2 BETWEEN v.base"
        " AND v.base + (1 << (32 - v.prefix)) - 1",
    [ROUTERS] = "SELECT id FROM router r WHERE EXISTS (SELECT 1 FROM slb WHERE router_id = r.id AND enabled)"
                " ORDER BY id",
    [CERTS] = "SELECT " COLS " FROM slb WHERE cert_ends <> 0",
    [ENDING] = "SELECT " COLS " FROM slb WHERE cert_ends <> 0 AND cert_ends < ?1 AND NOT cert_warned LIMIT ?2",
    [WARNED] = "UPDATE slb SET cert_warned = 1 WHERE id = ?1",
};
SV_SQL_TABLE(sv_sql_slb, "slb", sql);

static void read_row(sqlite3_stmt *st, struct sv_slb *b)
{
    *b = (struct sv_slb){.id = sv_col_id(st, 0),
                         .tenant = sv_col_id(st, 1),
                         .router = sv_col_id(st, 2),
                         .vpc = sv_col_id(st, 3),
                         .name = sv_col_text(st, 4),
                         .descr = sv_col_text(st, 5),
                         .enabled = sv_col_int(st, 6) != 0,
                         .proto = (enum sv_slb_proto)sv_col_int(st, 7),
                         .ip = (uint32_t)sv_col_int(st, 8),
                         .own = sv_col_int(st, 9) != 0,
                         .port = (unsigned)sv_col_int(st, 10),
                         .real_port = (unsigned)sv_col_int(st, 11),
                         .policy = (enum sv_slb_policy)sv_col_int(st, 12),
                         .url_path = sv_col_text(st, 13),
                         .check_path = sv_col_text(st, 14),
                         .retries = (unsigned)sv_col_int(st, 15),
                         .check_every = (unsigned)sv_col_int(st, 16),
                         .check_timeout = (unsigned)sv_col_int(st, 17),
                         .idle_timeout = (unsigned)sv_col_int(st, 18),
                         .max_connections = (unsigned)sv_col_int(st, 19),
                         .cert_ends = sv_col_int(st, 20),
                         .created = sv_col_int(st, 21)};
}

static enum sv_err each(struct sv_tx *tx, sqlite3_stmt *st, sv_slb_fn *row, void *arg, struct sv_error *err)
{
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_slb b;

        read_row(st, &b);
        row(arg, &b);
    }
    return rc;
}

/* --- a balancer --------------------------------------------------------------------------------------- */

/* The rules looked before: this is for whoever forgot to. */
static enum sv_err unless_taken(struct sv_tx *tx, enum sv_err rc, unsigned port, struct sv_error *err)
{
    return rc == SV_E_DB && sv_is_conflict(tx)
               ? sv_fail(err, SV_E_SLB_PORT_TAKEN, SV_F_SLB_PORT, sv_dec(port).s, "another load balancer")
               : rc;
}

enum sv_err sv_slb_insert(struct sv_tx *tx, const struct sv_slb *b, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb, INSERT);

    assert(tx->writable);
    sv_bind(st, "dddDttIIiIIIIttIIIIIii", &b->id, &b->tenant, &b->router, &b->vpc, b->name, b->descr, (int)b->enabled,
            (int)b->proto, (int64_t)b->ip, (int)b->own, (int)b->port, (int)b->real_port, (int)b->policy, b->url_path,
            b->check_path, (int)b->retries, (int)b->check_every, (int)b->check_timeout, (int)b->idle_timeout,
            (int)b->max_connections, b->cert_ends, b->created);
    return unless_taken(tx, sv_exec(tx, st, NULL, err), b->port, err);
}

enum sv_err sv_slb_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                       struct sv_slb *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb, GET);
    bool row;
    enum sv_err rc;

    sv_bind(st, "dd", id, &scope.tenant);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_SLB_NOT_FOUND, SV_F_SLB);
    read_row(st, ret);
    ret->name = sv_arena_strdup(a, ret->name);
    ret->descr = sv_arena_strdup(a, ret->descr);
    ret->url_path = sv_arena_strdup(a, ret->url_path);
    ret->check_path = sv_arena_strdup(a, ret->check_path);
    return SV_OK;
}

enum sv_err sv_slb_update(struct sv_tx *tx, const struct sv_slb *b, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb, UPDATE);

    assert(tx->writable);
    sv_bind(st, "dDttIiIIItIIIIIi", &b->id, &b->vpc, b->name, b->descr, (int)b->enabled, (int64_t)b->ip, (int)b->own,
            (int)b->port, (int)b->policy, b->check_path, (int)b->retries, (int)b->check_every, (int)b->check_timeout,
            (int)b->idle_timeout, (int)b->max_connections, b->cert_ends);
    return unless_taken(tx, sv_exec(tx, st, NULL, err), b->port, err);
}

enum sv_err sv_slb_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT nodes = sv_stmt(tx, &sv_sql_slb, DROP_NODES);
    SV_STMT st = sv_stmt(tx, &sv_sql_slb, DELETE);
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(nodes, "d", id);
    rc = sv_exec(tx, nodes, NULL, err);
    sv_bind(st, "d", id);
    return rc ? rc : sv_exec(tx, st, NULL, err);
}

/* --- lists -------------------------------------------------------------------------------------------- */

static unsigned which_list(struct sv_scope scope, const struct sv_slb_filter *f)
{
    if (sv_id_empty(&scope.tenant))
        return f->by_name ? LIST_ALL_BY_NAME : LIST_ALL;
    return f->by_name ? LIST_TENANT_BY_NAME : LIST_TENANT;
}

enum sv_err sv_slb_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_slb_filter *f, const struct sv_page *p,
                        sv_slb_fn *row, void *arg, uint64_t *ret_total, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb, which_list(scope, f));
    struct sv_found found = sv_found_of(tx, p, f->name);
    bool more;
    enum sv_err rc;

    sv_bind(st, "ddIIIiI", &scope.tenant, &f->id, f->enabled, f->proto, f->outside, (int64_t)f->ip, (int)f->port);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_slb b;

        read_row(st, &b);
        if (sv_found_shows(&found, b.name))
            row(arg, &b);
    }
    if (!rc)
        *ret_total = found.total;
    return rc;
}

enum sv_err sv_slb_list_router(struct sv_tx *tx, const struct sv_id *router, sv_slb_fn *row, void *arg,
                               struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb, LIST_ROUTER);

    sv_bind(st, "d", router);
    return each(tx, st, row, arg, err);
}

/* --- what balancers hold ------------------------------------------------------------------------------ */

enum sv_err sv_slb_count_tenant(struct sv_tx *tx, const struct sv_id *tenant, uint64_t *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb, COUNT_TENANT);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", tenant);
    rc = sv_step(tx, st, &row, err);
    if (!rc)
        *ret = (uint64_t)sv_col_int(st, 0);
    return rc;
}

static enum sv_err one(struct sv_tx *tx, sqlite3_stmt *st, struct sv_id *ret, struct sv_error *err)
{
    bool row;
    enum sv_err rc = sv_step(tx, st, &row, err);

    if (!rc)
        *ret = row ? sv_col_id(st, 0) : (struct sv_id){.s = ""};
    return rc;
}

enum sv_err sv_slb_at(struct sv_tx *tx, const struct sv_id *vpc, uint32_t ip, bool udp, unsigned port,
                      const struct sv_id *but, struct sv_id *ret, struct sv_error *err)
{
    const bool outer = sv_id_empty(vpc);
    SV_STMT st = sv_stmt(tx, &sv_sql_slb, outer ? AT_OUTER : AT_INNER);

    sv_bind(st, outer ? "iIId" : "iIIdd", (int64_t)ip, (int)port, (int)udp, but, vpc);
    return one(tx, st, ret, err);
}

enum sv_err sv_slb_owner_of(struct sv_tx *tx, uint32_t ip, struct sv_id *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb, OWNER_OF);

    sv_bind(st, "i", (int64_t)ip);
    return one(tx, st, ret, err);
}

enum sv_err sv_slb_leg_at(struct sv_tx *tx, const struct sv_id *router, uint32_t ip, struct sv_id *ret,
                          struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb, LEG_AT);

    sv_bind(st, "di", router, (int64_t)ip);
    return one(tx, st, ret, err);
}

/* --- upkeep ------------------------------------------------------------------------------------------- */

enum sv_err sv_slb_list_routers(struct sv_tx *tx, void (*row)(void *arg, const struct sv_id *router), void *arg,
                                struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb, ROUTERS);
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_id id = sv_col_id(st, 0);

        row(arg, &id);
    }
    return rc;
}

enum sv_err sv_slb_list_certs(struct sv_tx *tx, sv_slb_fn *row, void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb, CERTS);

    return each(tx, st, row, arg, err);
}

enum sv_err sv_slb_list_ending(struct sv_tx *tx, int64_t before, unsigned limit, sv_slb_fn *row, void *arg,
                               struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb, ENDING);

    sv_bind(st, "ii", before, (int64_t)limit);
    return each(tx, st, row, arg, err);
}

enum sv_err sv_slb_warned(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_slb, WARNED);

    assert(tx->writable);
    sv_bind(st, "d", id);
    return sv_exec(tx, st, NULL, err);
}
