/* Pools of outer addresses. The free ones of a pool are ranges of a space with its id (store_range.c). */
#include <assert.h>
#include <stdio.h>

#include "db/internal.h"
#include "starvirt/store_address.h"
#include "starvirt/text.h"

#define COLS "id, type, name, descr, first, last, gateway, prefix, used, created"

enum { INSERT, GET, LIST, COUNT, BEHIND, VPC_BEHIND, USERS, DELETE };

static const char *const sql[] = {
    [INSERT] = "INSERT INTO pool(id, type, name, descr, first, last, gateway, prefix, created)"
               " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [GET] = "SELECT " COLS " FROM pool WHERE id = ?1",
    [LIST] = "SELECT " COLS " FROM pool WHERE type & ?1 ORDER BY created, id LIMIT ?2 OFFSET ?3",
    [COUNT] = "SELECT count(*) FROM pool WHERE type & ?1",
    /* pools do not overlap, nor do VPCs: the last that begins at a number or before is the one that can hold it */
    [BEHIND] = "SELECT " COLS " FROM pool WHERE first <= ?1 ORDER BY first DESC LIMIT 1",
    [VPC_BEHIND] = "SELECT base, prefix FROM vpc WHERE base <= ?1 ORDER BY base DESC LIMIT 1",
    [USERS] = "SELECT t.name, count(*) FROM outer_ip o JOIN tenant t ON t.id = o.tenant_id WHERE o.pool_id = ?1"
              " GROUP BY t.id ORDER BY count(*) DESC, t.name",
    [DELETE] = "DELETE FROM pool WHERE id = ?1",
};
SV_SQL_TABLE(sv_sql_pool, "pool", sql);

static void read_row(sqlite3_stmt *st, struct sv_pool *p)
{
    *p = (struct sv_pool){.id = sv_col_id(st, 0),
                          .type = (enum sv_pool_type)sv_col_int(st, 1),
                          .name = sv_col_text(st, 2),
                          .descr = sv_col_text(st, 3),
                          .first = (uint32_t)sv_col_int(st, 4),
                          .last = (uint32_t)sv_col_int(st, 5),
                          .gateway = (uint32_t)sv_col_int(st, 6),
                          .prefix = (unsigned)sv_col_int(st, 7),
                          .used = sv_col_int(st, 8),
                          .created = sv_col_int(st, 9)};
}

static void keep_row(sqlite3_stmt *st, struct sv_arena *a, struct sv_pool *p)
{
    read_row(st, p);
    p->name = sv_arena_strdup(a, p->name);
    p->descr = sv_arena_strdup(a, p->descr);
}

enum sv_err sv_pool_get(struct sv_tx *tx, const struct sv_id *id, struct sv_arena *a, struct sv_pool *ret,
                        struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_pool, GET);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", id);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_POOL_NOT_FOUND, SV_F_POOL);
    keep_row(st, a, ret);
    return SV_OK;
}

enum sv_err sv_pool_list(struct sv_tx *tx, enum sv_pool_type types, const struct sv_page *p,
                         void (*row)(void *arg, const struct sv_pool *pool), void *arg, uint64_t *ret_total,
                         struct sv_error *err)
{
    SV_STMT count = sv_stmt(tx, &sv_sql_pool, COUNT);
    SV_STMT st = sv_stmt(tx, &sv_sql_pool, LIST);
    bool more;
    enum sv_err rc;

    sv_bind(count, "I", (int)types);
    rc = sv_step(tx, count, &more, err);
    if (rc)
        return rc;
    *ret_total = (uint64_t)sv_col_int(count, 0);
    sv_bind(st, "Iii", (int)types, sv_page_limit(p), (int64_t)p->offset);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_pool pool;

        read_row(st, &pool);
        row(arg, &pool);
    }
    return rc;
}

enum sv_err sv_pool_overlap(struct sv_tx *tx, uint32_t first, uint32_t last, struct sv_arena *a, struct sv_pool *ret,
                            bool *ret_found, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_pool, BEHIND);
    bool row;
    enum sv_err rc;

    sv_bind(st, "i", (int64_t)last);
    rc = sv_step(tx, st, &row, err);
    if (rc)
        return rc;
    *ret_found = row && sv_col_int(st, 5) >= first;
    if (*ret_found)
        keep_row(st, a, ret);
    return SV_OK;
}

static enum sv_err check_pools(struct sv_tx *tx, const struct sv_pool *p, struct sv_error *err)
{
    struct sv_pool other = {.first = 0};
    char first[SV_IP4_LEN], last[SV_IP4_LEN], text[2 * SV_IP4_LEN + 8];
    bool found;
    enum sv_err rc = sv_pool_overlap(tx, p->first, p->last, tx->arena, &other, &found, err);

    if (rc || !found)
        return rc;
    sv_ip4_format(other.first, first);
    sv_ip4_format(other.last, last);
    snprintf(text, sizeof(text), "pool %s-%s", first, last);
    return sv_fail(err, SV_E_POOL_OVERLAP, SV_F_POOL_FIRST, text);
}

/* A VPC may lie outside of the supernet, which can be another one since the start. */
static enum sv_err check_vpcs(struct sv_tx *tx, const struct sv_pool *p, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_pool, VPC_BEHIND);
    char base[SV_IP4_LEN], text[SV_IP4_LEN + 16];
    bool row;
    enum sv_err rc;

    sv_bind(st, "i", (int64_t)p->last);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row || sv_col_int(st, 0) + (1LL << (32 - sv_col_int(st, 1))) <= p->first)
        return rc;
    sv_ip4_format((uint32_t)sv_col_int(st, 0), base);
    snprintf(text, sizeof(text), "VPC %s/%d", base, (int)sv_col_int(st, 1));
    return sv_fail(err, SV_E_POOL_OVERLAP, SV_F_POOL_FIRST, text);
}

enum sv_err sv_pool_insert(struct sv_tx *tx, const struct sv_pool *p, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_pool, INSERT);
    enum sv_err rc = check_pools(tx, p, err);

    assert(tx->writable && p->first <= p->last);
    if (!rc)
        rc = check_vpcs(tx, p, err);
    sv_bind(st, "dIttiiiIi", &p->id, (int)p->type, p->name, p->descr, (int64_t)p->first, (int64_t)p->last,
            (int64_t)p->gateway, (int)p->prefix, p->created);
    if (!rc)
        rc = sv_exec(tx, st, NULL, err);
    return rc ? rc : sv_range_give(tx, &p->id, p->first, p->last, err);
}

/* "a: 3, b: 1, ..." */
static enum sv_err users(struct sv_tx *tx, const struct sv_id *id, char *buf, size_t size, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_pool, USERS);
    size_t n = 0;
    bool more;
    enum sv_err rc;

    buf[0] = '\0';
    sv_bind(st, "d", id);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const char *name = sv_col_text(st, 0);

        if (n + strlen(name) + 32 > size) {
            snprintf(buf + n, size - n, ", ...");
            break;
        }
        n += (size_t)snprintf(buf + n, size - n, "%s%s: %lld", n ? ", " : "", name, (long long)sv_col_int(st, 1));
    }
    return rc;
}

enum sv_err sv_pool_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_pool, DELETE);
    char who[SV_ERR_ARG_MAX];
    struct sv_pool p = {.used = 0};
    enum sv_err rc = sv_pool_get(tx, id, tx->arena, &p, err);

    assert(tx->writable);
    if (!rc)
        rc = users(tx, id, who, sizeof(who), err);
    if (!rc && p.used)
        rc = sv_fail(err, SV_E_POOL_IN_USE, SV_F_POOL, sv_dec(p.used).s, who);
    if (!rc)
        rc = sv_range_drop(tx, id, err);
    sv_bind(st, "d", id);
    return rc ? rc : sv_exec(tx, st, NULL, err);
}
