/* Tokens, and the replies kept for Idempotency-Key. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/limits.h"
#include "starvirt/store_tenant.h"

enum { HASH_LEN = 32 };
#define COLS "id, tenant_id, role, descr, created, expires, last_used"

enum { INSERT, FIND, GET, LIST, LIST_TENANT, COUNT, COUNT_TENANT, DELETE, TOUCH };

static const char *const sql[] = {
    [INSERT] =
        "INSERT INTO token(id, tenant_id, role, hash, descr, created, expires) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [FIND] = "SELECT " COLS " FROM token WHERE hash = ?1",
    [GET] = "SELECT " COLS " FROM token WHERE id = ?1",
    [LIST] = "SELECT " COLS " FROM token WHERE ?1 = '' ORDER BY created, id LIMIT ?2 OFFSET ?3",
    [LIST_TENANT] = "SELECT " COLS " FROM token WHERE tenant_id = ?1 ORDER BY created, id LIMIT ?2 OFFSET ?3",
    [COUNT] = "SELECT count(*) FROM token WHERE ?1 = ''",
    [COUNT_TENANT] = "SELECT count(*) FROM token WHERE tenant_id = ?1",
    [DELETE] = "DELETE FROM token WHERE id = ?1 AND (?2 = '' OR tenant_id = ?2)",
    [TOUCH] =
        ("UPDATE token SET last_used = CASE WHEN last_used > ?2 + 60000 THEN ?2 ELSE max(last_used, ?2) END WHERE "
         "id = ?1"),
};
SV_SQL_TABLE(sv_sql_token, "token", sql);

static void read_row(sqlite3_stmt *st, struct sv_token *t)
{
    *t = (struct sv_token){.id = sv_col_id(st, 0),
                           .tenant = sv_col_id(st, 1),
                           .role = sv_col_int(st, 2) ? SV_ROLE_ADMIN : SV_ROLE_TENANT,
                           .descr = sv_col_text(st, 3),
                           .created = sv_col_int(st, 4),
                           .expires = sv_col_int(st, 5),
                           .last_used = sv_col_int(st, 6)};
}

enum sv_err sv_token_insert(struct sv_tx *tx, const struct sv_token *t, const unsigned char hash[32],
                            struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_token, INSERT);

    assert(tx->writable);
    sv_bind(st, "ddIbtii", &t->id, &t->tenant, (int)t->role, hash, (int)HASH_LEN, t->descr, t->created, t->expires);
    return sv_exec(tx, st, NULL, err);
}

/* The one that the bound statement finds. */
static enum sv_err get_one(struct sv_tx *tx, sqlite3_stmt *st, struct sv_token *ret, struct sv_error *err)
{
    struct sv_token t;
    bool row;
    enum sv_err rc = sv_step(tx, st, &row, err);

    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_TOKEN_INVALID, SV_F_NONE);
    read_row(st, &t);
    if (t.expires && t.expires <= tx->now)
        return sv_fail(err, SV_E_TOKEN_EXPIRED, SV_F_NONE);
    t.descr = ""; /* who asks, not what it was made for */
    *ret = t;
    return SV_OK;
}

enum sv_err sv_token_find(struct sv_tx *tx, const unsigned char hash[32], struct sv_token *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_token, FIND);

    sv_bind(st, "b", hash, (int)HASH_LEN);
    return get_one(tx, st, ret, err);
}

enum sv_err sv_token_get(struct sv_tx *tx, const struct sv_id *id, struct sv_token *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_token, GET);

    sv_bind(st, "d", id);
    return get_one(tx, st, ret, err);
}

enum sv_err sv_token_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *tenant, const struct sv_page *p,
                          void (*row)(void *arg, const struct sv_token *t), void *arg, uint64_t *ret_total,
                          struct sv_error *err)
{
    const bool all = sv_id_empty(&scope.tenant) && sv_id_empty(tenant);
    const struct sv_id *one = sv_id_empty(&scope.tenant) ? tenant : &scope.tenant;
    SV_STMT count = sv_stmt(tx, &sv_sql_token, all ? COUNT : COUNT_TENANT);
    SV_STMT st = sv_stmt(tx, &sv_sql_token, all ? LIST : LIST_TENANT);
    bool more;
    enum sv_err rc;

    if (!sv_id_empty(&scope.tenant) && !sv_id_empty(tenant) && !sv_id_eq(&scope.tenant, tenant)) {
        *ret_total = 0;
        return SV_OK;
    }
    sv_bind(count, "d", one);
    rc = sv_step(tx, count, &more, err);
    if (rc)
        return rc;
    *ret_total = (uint64_t)sv_col_int(count, 0);
    sv_bind(st, "dii", one, sv_page_limit(p), (int64_t)p->offset);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_token t;

        read_row(st, &t);
        row(arg, &t);
    }
    return rc;
}

enum sv_err sv_token_delete(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_token, DELETE);
    int n;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "dd", id, &scope.tenant);
    sv_tx_tokens_gone(tx);
    rc = sv_exec(tx, st, &n, err);
    return rc ? rc : n ? SV_OK : sv_fail(err, SV_E_TOKEN_NOT_FOUND, SV_F_TOKEN);
}

enum sv_err sv_token_touch(struct sv_tx *tx, const struct sv_id *id, int64_t when, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_token, TOUCH);

    assert(tx->writable);
    sv_bind(st, "di", id, when);
    return sv_exec(tx, st, NULL, err);
}
