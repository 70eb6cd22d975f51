/* Outer addresses that tenants have: from the first use of one to its last. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_address.h"
#include "starvirt/store_tenant.h"
#include "starvirt/text.h"

#define SELECT                                                                                                         \
    "SELECT o.ip, o.pool_id, o.tenant_id, o.router_id, p.type, p.gateway, p.prefix, o.created FROM outer_ip o JOIN"    \
    " pool p ON p.id = o.pool_id "

enum { ROOM, HOLDER, INSERT, COUNT_IN, GET, OF_ROUTER, LIST, LIST_FREE, PORTS, LEAVE_ROUTER, GIVE, COUNT_OUT };

static const char *const sql[] = {
    /* pools in order of addresses do not overlap: the lowest free one is in the first that has one */
    [ROOM] = "SELECT id, first, last FROM pool WHERE type & ?1 AND used < last - first + 1 ORDER BY first LIMIT 1",
    [HOLDER] = "SELECT id, last, type FROM pool WHERE first <= ?1 ORDER BY first DESC LIMIT 1",
    [INSERT] = "INSERT INTO outer_ip(ip, pool_id, tenant_id, router_id, created) VALUES(?1, ?2, ?3, ?4, ?5)",
    [COUNT_IN] = "UPDATE pool SET used = used + 1 WHERE id = ?1",
    [GET] = SELECT "WHERE o.ip = ?1",
    [OF_ROUTER] = SELECT "WHERE o.router_id = ?1 AND o.router_id <> ''",
    [LIST] = SELECT "WHERE o.tenant_id = ?1 ORDER BY o.ip",
    [LIST_FREE] = ("SELECT r.base, r.last, p.gateway, p.prefix FROM pool p CROSS JOIN free_range r ON r.space = p.id"
                   " WHERE p.type & ?1 ORDER BY p.first, r.last"),
    [PORTS] = ("SELECT outer_port FROM nat WHERE outer_ip = ?1 AND proto <> 0 UNION SELECT port FROM slb WHERE ip = ?1"
               " AND outside ORDER BY 1"),
    [LEAVE_ROUTER] = "UPDATE outer_ip SET router_id = '' WHERE router_id = ?1 AND router_id <> ''",
    [GIVE] = ("DELETE FROM outer_ip WHERE ip = ?1 AND router_id = '' AND NOT EXISTS (SELECT 1 FROM nat WHERE outer_ip ="
              " ?1) AND NOT EXISTS (SELECT 1 FROM slb WHERE ip = ?1 AND outside) RETURNING pool_id, tenant_id"),
    [COUNT_OUT] = "UPDATE pool SET used = used - 1 WHERE id = ?1",
};
SV_SQL_TABLE(sv_sql_outer_ip, "outer_ip", sql);

static void read_row(sqlite3_stmt *st, struct sv_outer_ip *o)
{
    *o = (struct sv_outer_ip){.ip = (uint32_t)sv_col_int(st, 0),
                              .pool = sv_col_id(st, 1),
                              .tenant = sv_col_id(st, 2),
                              .router = sv_col_id(st, 3),
                              .type = (enum sv_pool_type)sv_col_int(st, 4),
                              .gateway = (uint32_t)sv_col_int(st, 5),
                              .prefix = (unsigned)sv_col_int(st, 6),
                              .created = sv_col_int(st, 7)};
}

static struct sv_dec shown(uint32_t ip)
{
    struct sv_dec d;

    _Static_assert(sizeof(d.s) >= SV_IP4_LEN, "an address fits");
    sv_ip4_format(ip, d.s);
    return d;
}

/* --- taking ------------------------------------------------------------------------------------------ */

static enum sv_err lowest(struct sv_tx *tx, enum sv_pool_type types, struct sv_id *ret_pool, uint32_t *ret,
                          struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_outer_ip, ROOM);
    int64_t ip = 0;
    bool found;
    enum sv_err rc;

    sv_bind(st, "I", (int)types);
    rc = sv_step(tx, st, &found, err);
    if (rc || !found)
        return rc ? rc : sv_fail(err, SV_E_OUTER_IP_NONE, SV_F_OUTER_IP, sv_pool_type_name(types));
    *ret_pool = sv_col_id(st, 0);
    rc = sv_range_find(tx, ret_pool, sv_col_int(st, 1), sv_col_int(st, 2), 1, &ip, &found, err);
    if (!rc && !found)
        rc = sv_fail(err, SV_E_DB, SV_F_NONE, "a pool counts more free addresses than it has");
    if (!rc)
        *ret = (uint32_t)ip;
    return rc;
}

static enum sv_err pool_of(struct sv_tx *tx, uint32_t ip, enum sv_pool_type types, struct sv_id *ret,
                           struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_outer_ip, HOLDER);
    bool found;
    enum sv_err rc;

    sv_bind(st, "i", (int64_t)ip);
    rc = sv_step(tx, st, &found, err);
    if (rc)
        return rc;
    if (!found || sv_col_int(st, 1) < ip)
        return sv_fail(err, SV_E_OUTER_IP_NOT_FOUND, SV_F_OUTER_IP, shown(ip).s);
    if (!(sv_col_int(st, 2) & types))
        return sv_fail(err, SV_E_OUTER_IP_POOL, SV_F_OUTER_IP, shown(ip).s,
                       sv_pool_type_name((enum sv_pool_type)sv_col_int(st, 2)), sv_pool_type_name(types));
    *ret = sv_col_id(st, 0);
    return SV_OK;
}

static enum sv_err count(struct sv_tx *tx, unsigned which, const struct sv_id *pool, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_outer_ip, which);

    sv_bind(st, "d", pool);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_outer_ip_take(struct sv_tx *tx, const struct sv_id *tenant, uint32_t want, enum sv_pool_type types,
                             const struct sv_id *router, uint32_t *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_outer_ip, INSERT);
    const struct sv_amounts one = {.ips = 1};
    uint32_t ip = want;
    struct sv_id pool;
    bool taken;
    enum sv_err rc = want ? pool_of(tx, want, types, &pool, err) : lowest(tx, types, &pool, &ip, err);

    assert(tx->writable);
    if (!rc)
        rc = sv_range_take(tx, &pool, ip, ip, &taken, err);
    if (!rc && !taken)
        rc = sv_fail(err, SV_E_OUTER_IP_TAKEN, SV_F_OUTER_IP, shown(ip).s);
    if (!rc)
        rc = sv_tenant_reserve(tx, tenant, &one, err);
    sv_bind(st, "iddti", (int64_t)ip, &pool, tenant, router->s, sv_tx_now(tx));
    if (!rc)
        rc = sv_exec(tx, st, NULL, err);
    if (!rc)
        rc = count(tx, COUNT_IN, &pool, err);
    if (!rc)
        *ret = ip;
    return rc;
}

enum sv_err sv_outer_ip_join(struct sv_tx *tx, const struct sv_id *tenant, uint32_t ip, enum sv_pool_type types,
                             struct sv_error *err)
{
    struct sv_outer_ip o;
    bool found;
    enum sv_err rc = sv_outer_ip_get(tx, ip, &o, &found, err);

    if (rc)
        return rc;
    if (!found)
        return sv_outer_ip_take(tx, tenant, ip, types, &(struct sv_id){.s = ""}, &ip, err);
    if (!(o.type & types))
        return sv_fail(err, SV_E_OUTER_IP_POOL, SV_F_OUTER_IP, shown(ip).s, sv_pool_type_name(o.type),
                       sv_pool_type_name(types));
    return sv_id_eq(&o.tenant, tenant) ? SV_OK : sv_fail(err, SV_E_OUTER_IP_TAKEN, SV_F_OUTER_IP, shown(ip).s);
}

/* --- giving back ------------------------------------------------------------------------------------- */

enum sv_err sv_outer_ip_give(struct sv_tx *tx, uint32_t ip, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_outer_ip, GIVE);
    const struct sv_amounts one = {.ips = -1};
    struct sv_id pool, tenant;
    bool row;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "i", (int64_t)ip);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc;
    pool = sv_col_id(st, 0);
    tenant = sv_col_id(st, 1);
    rc = sv_step(tx, st, &row, err); /* RETURNING: the statement ends with the next step */
    if (!rc)
        rc = sv_range_give(tx, &pool, ip, ip, err);
    if (!rc)
        rc = count(tx, COUNT_OUT, &pool, err);
    return rc ? rc : sv_tenant_reserve(tx, &tenant, &one, err);
}

enum sv_err sv_outer_ip_give_router(struct sv_tx *tx, const struct sv_id *router, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_outer_ip, LEAVE_ROUTER);
    struct sv_outer_ip own;
    bool found;
    enum sv_err rc = sv_outer_ip_of_router(tx, router, &own, &found, err);

    assert(tx->writable);
    if (rc || !found)
        return rc;
    sv_bind(st, "d", router);
    rc = sv_exec(tx, st, NULL, err);
    return rc ? rc : sv_outer_ip_give(tx, own.ip, err);
}

/* --- reading ----------------------------------------------------------------------------------------- */

static enum sv_err one(struct sv_tx *tx, sqlite3_stmt *st, struct sv_outer_ip *ret, bool *ret_found,
                       struct sv_error *err)
{
    const enum sv_err rc = sv_step(tx, st, ret_found, err);

    if (!rc && *ret_found)
        read_row(st, ret);
    return rc;
}

enum sv_err sv_outer_ip_get(struct sv_tx *tx, uint32_t ip, struct sv_outer_ip *ret, bool *ret_found,
                            struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_outer_ip, GET);

    sv_bind(st, "i", (int64_t)ip);
    return one(tx, st, ret, ret_found, err);
}

enum sv_err sv_outer_ip_of_router(struct sv_tx *tx, const struct sv_id *router, struct sv_outer_ip *ret,
                                  bool *ret_found, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_outer_ip, OF_ROUTER);

    sv_bind(st, "d", router);
    return one(tx, st, ret, ret_found, err);
}

enum sv_err sv_outer_ip_list(struct sv_tx *tx, const struct sv_id *tenant,
                             void (*row)(void *arg, const struct sv_outer_ip *o), void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_outer_ip, LIST);
    bool more;
    enum sv_err rc;

    sv_bind(st, "d", tenant);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_outer_ip o;

        read_row(st, &o);
        row(arg, &o);
    }
    return rc;
}

enum sv_err sv_outer_ip_list_free(struct sv_tx *tx, enum sv_pool_type types,
                                  void (*row)(void *arg, const struct sv_outer_free *f), void *arg,
                                  struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_outer_ip, LIST_FREE);
    bool more;
    enum sv_err rc;

    sv_bind(st, "I", (int)types);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_outer_free f = {.first = (uint32_t)sv_col_int(st, 0),
                                        .last = (uint32_t)sv_col_int(st, 1),
                                        .gateway = (uint32_t)sv_col_int(st, 2),
                                        .prefix = (unsigned)sv_col_int(st, 3)};

        row(arg, &f);
    }
    return rc;
}

enum sv_err sv_outer_ip_ports(struct sv_tx *tx, uint32_t ip, void (*row)(void *arg, unsigned port), void *arg,
                              struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_outer_ip, PORTS);
    bool more;
    enum sv_err rc;

    sv_bind(st, "i", (int64_t)ip);
    while (!(rc = sv_step(tx, st, &more, err)) && more)
        row(arg, (unsigned)sv_col_int(st, 0));
    return rc;
}
