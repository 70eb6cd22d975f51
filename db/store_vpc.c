/* VPC rows: subnets cut from the supernet, addresses cut from subnets; always the lowest that is free. */
#include <assert.h>
#include <stdio.h>

#include "db/internal.h"
#include "starvirt/store_vm.h"
#include "starvirt/text.h"

#define COLS                                                                                                           \
    "id, tenant_id, name, descr, base, prefix, free_count, deleting, created,"                                         \
    " (SELECT router_id FROM router_leg WHERE vpc_id = vpc.id), gate"
#define SCOPED "(?2 = '' OR (tenant_id = ?2 AND deleting = 0))"

enum {
    INSERT,
    GET,
    LIST_ALL,
    LIST_TENANT,
    COUNT_ALL,
    COUNT_TENANT,
    LIST_DELETING,
    UPDATE,
    NICS,
    BEGIN_DELETE,
    DELETE,
    RETURN_QUOTA,
    COUNT_FREE,
};

static const char *const sql[] = {
    [INSERT] = "INSERT INTO vpc(id, tenant_id, name, descr, base, prefix, free_count, created)"
               " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [GET] = "SELECT " COLS " FROM vpc WHERE id = ?1 AND " SCOPED,
    [LIST_ALL] = "SELECT " COLS " FROM vpc WHERE ?1 = '' AND deleting = 0 ORDER BY created, id LIMIT ?2 OFFSET ?3",
    [LIST_TENANT] =
        "SELECT " COLS " FROM vpc WHERE tenant_id = ?1 AND deleting = 0 ORDER BY created, id LIMIT ?2 OFFSET ?3",
    [COUNT_ALL] = "SELECT count(*) FROM vpc WHERE ?1 = '' AND deleting = 0",
    [COUNT_TENANT] = "SELECT count(*) FROM vpc WHERE tenant_id = ?1 AND deleting = 0",
    [LIST_DELETING] = "SELECT " COLS " FROM vpc WHERE deleting = 1 ORDER BY created, id",
    [UPDATE] = "UPDATE vpc SET name = coalesce(?3, name), descr = coalesce(?4, descr) WHERE id = ?1 AND deleting = 0 "
               "AND " SCOPED,
    [NICS] = "SELECT count(*) FROM nic WHERE vpc_id = ?1",
    [BEGIN_DELETE] = "UPDATE vpc SET deleting = 1 WHERE id = ?1",
    [DELETE] = "DELETE FROM vpc WHERE id = ?1 RETURNING tenant_id, base, prefix",
    [RETURN_QUOTA] = "UPDATE tenant SET used_subnets = used_subnets - 1 WHERE id = ?1",
    [COUNT_FREE] = "UPDATE vpc SET free_count = free_count + ?2 WHERE id = ?1",
};
SV_SQL_TABLE(sv_sql_vpc, "vpc", sql);

static void read_row(sqlite3_stmt *st, struct sv_vpc *v)
{
    *v = (struct sv_vpc){.id = sv_col_id(st, 0),
                         .tenant = sv_col_id(st, 1),
                         .name = sv_col_text(st, 2),
                         .descr = sv_col_text(st, 3),
                         .base = (uint32_t)sv_col_int(st, 4),
                         .prefix = (unsigned)sv_col_int(st, 5),
                         .free_count = sv_col_int(st, 6),
                         .deleting = sv_col_int(st, 7) != 0,
                         .created = sv_col_int(st, 8),
                         .router = sv_col_id(st, 9),
                         .closed = sv_col_int(st, 10) != 0};
}

static enum sv_err each(struct sv_tx *tx, sqlite3_stmt *st, void (*row)(void *arg, const struct sv_vpc *v), void *arg,
                        struct sv_error *err)
{
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_vpc v;

        read_row(st, &v);
        row(arg, &v);
    }
    return rc;
}

/* --- allocation of subnets -------------------------------------------------------------------------- */

static const struct sv_id all_addresses = {.s = ""};

static int64_t last_of(int64_t base, unsigned prefix)
{
    return base + (1LL << (32 - prefix)) - 1;
}

/* Network, gateway and broadcast are not handed out. */
static int64_t first_host(int64_t base)
{
    return base + 2;
}
static int64_t last_host(int64_t base, unsigned prefix)
{
    return last_of(base, prefix) - 1;
}

static enum sv_err exhausted(uint32_t supernet, unsigned prefix, struct sv_error *err)
{
    char ip[SV_IP4_LEN], text[32];

    sv_ip4_format(supernet, ip);
    snprintf(text, sizeof(text), "%s/%u", ip, prefix);
    return sv_fail(err, SV_E_VPC_EXHAUSTED, SV_F_NONE, text);
}

/* The subnet is taken, its host addresses become free. */
static enum sv_err allocate(struct sv_tx *tx, const struct sv_vpc *v, uint32_t supernet, unsigned supernet_prefix,
                            int64_t *ret, struct sv_error *err)
{
    int64_t base = 0;
    bool found;
    enum sv_err rc = sv_range_find(tx, &all_addresses, supernet, last_of(supernet, supernet_prefix),
                                   1LL << (32 - v->prefix), &base, &found, err);

    if (!rc && !found)
        rc = exhausted(supernet, supernet_prefix, err);
    if (!rc)
        rc = sv_range_take(tx, &all_addresses, base, last_of(base, v->prefix), &found, err);
    if (!rc)
        rc = sv_range_give(tx, &v->id, first_host(base), last_host(base, v->prefix), err);
    if (!rc)
        *ret = base;
    return rc;
}

enum sv_err sv_vpc_insert(struct sv_tx *tx, struct sv_vpc *v, uint32_t supernet, unsigned supernet_prefix,
                          struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vpc, INSERT);
    int64_t base, hosts;
    enum sv_err rc;

    assert(tx->writable);
    rc = allocate(tx, v, supernet, supernet_prefix, &base, err);
    if (rc)
        return rc;
    hosts = last_host(base, v->prefix) - first_host(base) + 1;
    sv_bind(st, "ddttiiii", &v->id, &v->tenant, v->name, v->descr, base, (int64_t)v->prefix, hosts, v->created);
    rc = sv_exec(tx, st, NULL, err);
    if (rc)
        return rc;
    v->base = (uint32_t)base;
    v->free_count = hosts;
    return SV_OK;
}

/* --- reading ---------------------------------------------------------------------------------------- */

enum sv_err sv_vpc_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                       struct sv_vpc *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vpc, GET);
    bool row;
    enum sv_err rc;

    sv_bind(st, "dd", id, &scope.tenant);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_VPC_NOT_FOUND, SV_F_VPC);
    read_row(st, ret);
    ret->name = sv_arena_strdup(a, ret->name);
    ret->descr = sv_arena_strdup(a, ret->descr);
    return SV_OK;
}

enum sv_err sv_vpc_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_page *p,
                        void (*row)(void *arg, const struct sv_vpc *v), void *arg, uint64_t *ret_total,
                        struct sv_error *err)
{
    const bool all = sv_id_empty(&scope.tenant);
    SV_STMT count = sv_stmt(tx, &sv_sql_vpc, all ? COUNT_ALL : COUNT_TENANT);
    SV_STMT st = sv_stmt(tx, &sv_sql_vpc, all ? LIST_ALL : LIST_TENANT);
    bool more;
    enum sv_err rc;

    sv_bind(count, "d", &scope.tenant);
    rc = sv_step(tx, count, &more, err);
    if (rc)
        return rc;
    *ret_total = (uint64_t)sv_col_int(count, 0);
    sv_bind(st, "dii", &scope.tenant, sv_page_limit(p), (int64_t)p->offset);
    return each(tx, st, row, arg, err);
}

enum sv_err sv_vpc_list_deleting(struct sv_tx *tx, void (*row)(void *arg, const struct sv_vpc *v), void *arg,
                                 struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vpc, LIST_DELETING);

    return each(tx, st, row, arg, err);
}

enum sv_err sv_vpc_next_ip(struct sv_tx *tx, const struct sv_vpc *v, uint32_t *ret, struct sv_error *err)
{
    int64_t ip = 0;
    bool found;
    enum sv_err rc = sv_range_find(tx, &v->id, first_host(v->base), last_host(v->base, v->prefix), 1, &ip, &found, err);

    if (rc || !found)
        return rc ? rc : sv_fail(err, SV_E_VPC_FULL, SV_F_VPC, "1");
    *ret = (uint32_t)ip;
    return SV_OK;
}

/* --- changes ---------------------------------------------------------------------------------------- */

enum sv_err sv_vpc_update(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, const char *name,
                          const char *descr, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vpc, UPDATE);
    int n;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "ddTT", id, &scope.tenant, name, descr);
    rc = sv_exec(tx, st, &n, err);
    return rc ? rc : n ? SV_OK : sv_fail(err, SV_E_VPC_NOT_FOUND, SV_F_VPC);
}

enum sv_err sv_vpc_begin_delete(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT nics = sv_stmt(tx, &sv_sql_vpc, NICS);
    SV_STMT st = sv_stmt(tx, &sv_sql_vpc, BEGIN_DELETE);
    struct sv_vpc v;
    bool row;
    enum sv_err rc = sv_vpc_get(tx, scope, id, tx->arena, &v, err);

    assert(tx->writable);
    if (rc)
        return rc;
    sv_bind(nics, "d", id);
    rc = sv_step(tx, nics, &row, err);
    if (rc)
        return rc;
    if (sv_col_int(nics, 0))
        return sv_fail(err, SV_E_VPC_IN_USE, SV_F_VPC, sv_dec(sv_col_int(nics, 0)).s);
    sv_bind(st, "d", id);
    return sv_exec(tx, st, NULL, err);
}

static enum sv_err give_back(struct sv_tx *tx, const struct sv_id *id, const struct sv_id *tenant, int64_t base,
                             unsigned prefix, struct sv_error *err)
{
    SV_STMT quota = sv_stmt(tx, &sv_sql_vpc, RETURN_QUOTA);
    enum sv_err rc = sv_range_drop(tx, id, err);

    if (!rc)
        rc = sv_range_give(tx, &all_addresses, base, last_of(base, prefix), err);
    sv_bind(quota, "d", tenant);
    return rc ? rc : sv_exec(tx, quota, NULL, err);
}

enum sv_err sv_vpc_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vpc, DELETE);
    struct sv_id tenant;
    int64_t base;
    unsigned prefix;
    bool row;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "d", id);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row) /* gone already: a deletion finished twice after a crash */
        return rc;
    tenant = sv_col_id(st, 0);
    base = sv_col_int(st, 1);
    prefix = (unsigned)sv_col_int(st, 2);
    rc = sv_step(tx, st, &row, err); /* RETURNING: the statement ends with the next step */
    return rc ? rc : give_back(tx, id, &tenant, base, prefix, err);
}

/* --- addresses that are no NIC's ----------------------------------------------------------------------- */

static enum sv_err count_free(struct sv_tx *tx, const struct sv_id *vpc, int more, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vpc, COUNT_FREE);

    sv_bind(st, "dI", vpc, more);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_vpc_take_ip(struct sv_tx *tx, const struct sv_id *vpc, uint32_t ip, bool *ret_taken,
                           struct sv_error *err)
{
    enum sv_err rc = sv_range_take(tx, vpc, ip, ip, ret_taken, err);

    assert(tx->writable);
    return rc || !*ret_taken ? rc : count_free(tx, vpc, -1, err);
}

enum sv_err sv_vpc_give_ip(struct sv_tx *tx, const struct sv_id *vpc, uint32_t ip, struct sv_error *err)
{
    enum sv_err rc = sv_range_give(tx, vpc, ip, ip, err);

    assert(tx->writable);
    return rc ? rc : count_free(tx, vpc, 1, err);
}
