/* VPC rows: subnets cut from the supernet, addresses cut from subnets; always the lowest that is free. */
#include <assert.h>
#include <stdio.h>

#include "db/internal.h"
#include "starvirt/store_vm.h"
#include "starvirt/text.h"

#define COLS   "id, tenant_id, name, descr, base, prefix, free_count, deleting, created"
#define SCOPED "(?2 = '' OR (tenant_id = ?2 AND deleting = 0))"

enum {
    INSERT,
    FREE_FIRST,
    FREE_AFTER,
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
    IP_USED,
    IP_AFTER,
    HINT,
    SET_HINT,
    LOWER_HINT,
};

static const char *const sql[] = {
    [INSERT] = "INSERT INTO vpc(id, tenant_id, name, descr, base, prefix, last, free_count, created)"
               " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    /* does anything overlap [?1, ?2]? subnets never overlap, so the last that begins at or before ?2 tells */
    [FREE_FIRST] = "SELECT last FROM vpc WHERE base <= ?2 ORDER BY base DESC LIMIT 1",
    /* ends of subnets behind which a new one of ?3 addresses may fit: the first with room up to its neighbour */
    [FREE_AFTER] = "SELECT last + 1 FROM vpc v WHERE last + 1 >= ?1 AND last < ?2 AND NOT EXISTS"
                   " (SELECT 1 FROM vpc n WHERE n.base > v.last AND n.base <= ((v.last + ?3) / ?3) * ?3 + ?3 - 1) "
                   "ORDER BY base LIMIT 1",
    [GET] = "SELECT " COLS " FROM vpc WHERE id = ?1 AND " SCOPED,
    [LIST_ALL] = "SELECT " COLS " FROM vpc WHERE ?1 = '' AND deleting = 0 ORDER BY created, id LIMIT ?2 OFFSET ?3",
    [LIST_TENANT] =
        "SELECT " COLS " FROM vpc WHERE tenant_id = ?1 AND deleting = 0 ORDER BY created, id LIMIT ?2 OFFSET ?3",
    [COUNT_ALL] = "SELECT count(*) FROM vpc WHERE ?1 = '' AND deleting = 0",
    [COUNT_TENANT] = "SELECT count(*) FROM vpc WHERE tenant_id = ?1 AND deleting = 0",
    [LIST_DELETING] = "SELECT " COLS " FROM vpc WHERE deleting = 1",
    [UPDATE] = "UPDATE vpc SET name = coalesce(?3, name), descr = coalesce(?4, descr) WHERE id = ?1 AND deleting = 0 "
               "AND " SCOPED,
    [NICS] = "SELECT count(*) FROM nic WHERE vpc_id = ?1",
    [BEGIN_DELETE] = "UPDATE vpc SET deleting = 1 WHERE id = ?1",
    [DELETE] = "DELETE FROM vpc WHERE id = ?1 RETURNING tenant_id, base",
    [RETURN_QUOTA] = "UPDATE tenant SET used_subnets = used_subnets - 1 WHERE id = ?1",
    [IP_USED] = "SELECT 1 FROM nic WHERE vpc_id = ?1 AND ip = ?2",
    /* the first address behind a used one that is not used itself */
    [IP_AFTER] = "SELECT ip + 1 FROM nic a WHERE vpc_id = ?1 AND ip >= ?2 AND NOT EXISTS"
                 " (SELECT 1 FROM nic b WHERE b.vpc_id = a.vpc_id AND b.ip = a.ip + 1) ORDER BY ip LIMIT 1",
    [HINT] = "SELECT value FROM counter WHERE name = 'subnet_hint'",
    [SET_HINT] = "UPDATE counter SET value = ?1 WHERE name = 'subnet_hint'",
    [LOWER_HINT] = "UPDATE counter SET value = min(value, ?1) WHERE name = 'subnet_hint'",
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
                         .created = sv_col_int(st, 8)};
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

static enum sv_err free_base(struct sv_tx *tx, int64_t first, int64_t end, int64_t size, int64_t *ret, bool *ret_found,
                             struct sv_error *err)
{
    SV_STMT lowest = sv_stmt(tx, &sv_sql_vpc, FREE_FIRST);
    SV_STMT after = sv_stmt(tx, &sv_sql_vpc, FREE_AFTER);
    bool row;
    enum sv_err rc;

    sv_bind(lowest, "ii", first, first + size - 1);
    rc = sv_step(tx, lowest, &row, err);
    if (rc)
        return rc;
    if (!row || sv_col_int(lowest, 0) < first) {
        *ret = first;
        *ret_found = true;
        return SV_OK;
    }
    sv_bind(after, "iii", first, end - 1, size);
    rc = sv_step(tx, after, &row, err);
    if (rc)
        return rc;
    *ret_found = row;
    if (row) {
        *ret = (sv_col_int(after, 0) + size - 1) / size * size; /* aligned as a subnet must be */
        *ret_found = *ret + size <= end;
    }
    return SV_OK;
}

/* The search begins where the last one ended, or where a subnet came free below: allocating the n-th
 * subnet must not walk over the n before it. */
static enum sv_err allocate(struct sv_tx *tx, int64_t supernet, int64_t end, int64_t size, int64_t *ret,
                            bool *ret_found, struct sv_error *err)
{
    SV_STMT hint = sv_stmt(tx, &sv_sql_vpc, HINT);
    SV_STMT set = sv_stmt(tx, &sv_sql_vpc, SET_HINT);
    bool row;
    enum sv_err rc = sv_step(tx, hint, &row, err);
    const int64_t from = !rc && row ? (sv_col_int(hint, 0) + size - 1) / size * size : 0;

    if (!rc)
        rc = free_base(tx, from > supernet && from < end ? from : supernet, end, size, ret, ret_found, err);
    if (!rc && !*ret_found)
        rc = free_base(tx, supernet, end, size, ret, ret_found, err);
    if (rc || !*ret_found)
        return rc;
    sv_bind(set, "i", *ret + size);
    return sv_exec(tx, set, NULL, err);
}

enum sv_err sv_vpc_insert(struct sv_tx *tx, struct sv_vpc *v, uint32_t supernet, unsigned supernet_prefix,
                          struct sv_error *err)
{
    const int64_t size = 1LL << (32 - v->prefix), end = (int64_t)supernet + (1LL << (32 - supernet_prefix));
    SV_STMT st = sv_stmt(tx, &sv_sql_vpc, INSERT);
    int64_t base;
    bool found;
    enum sv_err rc;

    assert(tx->writable);
    rc = allocate(tx, supernet, end, size, &base, &found, err);
    if (rc)
        return rc;
    if (!found) {
        char ip[SV_IP4_LEN], text[32];

        sv_ip4_format(supernet, ip);
        snprintf(text, sizeof(text), "%s/%u", ip, supernet_prefix);
        return sv_fail(err, SV_E_VPC_EXHAUSTED, SV_F_NONE, text);
    }
    v->base = (uint32_t)base;
    v->free_count = size - 3; /* network, gateway, broadcast */
    sv_bind(st, "ddttiiiii", &v->id, &v->tenant, v->name, v->descr, base, (int64_t)v->prefix, base + size - 1,
            v->free_count, v->created);
    return sv_exec(tx, st, NULL, err);
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
    sv_bind(st, "dii", &scope.tenant, p->limit ? (int64_t)p->limit : -1, (int64_t)p->offset);
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
    const int64_t first = (int64_t)v->base + 2, last = (int64_t)v->base + (1LL << (32 - v->prefix)) - 2;
    SV_STMT used = sv_stmt(tx, &sv_sql_vpc, IP_USED);
    SV_STMT after = sv_stmt(tx, &sv_sql_vpc, IP_AFTER);
    bool row;
    enum sv_err rc;

    sv_bind(used, "di", &v->id, first);
    rc = sv_step(tx, used, &row, err);
    if (rc)
        return rc;
    if (!row) {
        *ret = (uint32_t)first;
        return SV_OK;
    }
    sv_bind(after, "di", &v->id, first);
    rc = sv_step(tx, after, &row, err);
    if (rc)
        return rc;
    if (!row || sv_col_int(after, 0) > last)
        return sv_fail(err, SV_E_VPC_FULL, SV_F_VPC, "1");
    *ret = (uint32_t)sv_col_int(after, 0);
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

enum sv_err sv_vpc_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vpc, DELETE);
    SV_STMT back = sv_stmt(tx, &sv_sql_vpc, RETURN_QUOTA);
    SV_STMT hint = sv_stmt(tx, &sv_sql_vpc, LOWER_HINT);
    struct sv_id tenant;
    int64_t base;
    bool row;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "d", id);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row) /* gone already: a deletion finished twice after a crash */
        return rc;
    tenant = sv_col_id(st, 0);
    base = sv_col_int(st, 1);
    rc = sv_step(tx, st, &row, err);
    sv_bind(hint, "i", base);
    if (!rc)
        rc = sv_exec(tx, hint, NULL, err);
    sv_bind(back, "d", &tenant);
    return rc ? rc : sv_exec(tx, back, NULL, err);
}
