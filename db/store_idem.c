/* Replies kept for Idempotency-Key. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/clock.h"
#include "starvirt/limits.h"
#include "starvirt/store_tenant.h"

enum { HASH_LEN = 32 };
enum { FIND, INSERT, FORGET, EXPIRE };

static const char *const sql[] = {
    [FIND] = "SELECT hash, reply, job_id FROM idem WHERE tenant_id = ?1 AND key = ?2 AND created > ?3",
    /* an expired key may be used anew */
    [INSERT] = ("INSERT OR REPLACE INTO idem(tenant_id, key, hash, reply, created, job_id)"
                " VALUES(?1, ?2, ?3, ?4, ?5, ?6)"),
    [FORGET] = "DELETE FROM idem WHERE job_id = ?1 AND job_id <> ''",
    [EXPIRE] = ("DELETE FROM idem WHERE (tenant_id, key) IN (SELECT tenant_id, key FROM idem WHERE created < ?1"
                " ORDER BY created LIMIT ?2)"),
};
SV_SQL_TABLE(sv_sql_idem, "idem", sql);

enum sv_err sv_idem_find(struct sv_tx *tx, const struct sv_id *tenant, const char *key, struct sv_arena *a,
                         struct sv_idem *ret, bool *ret_found, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_idem, FIND);
    bool row;
    enum sv_err rc;

    /* Too young a while longer does no harm, too old would do the same twice: less what the clock may be ahead. */
    const int64_t now = tx->now - (sv_now_ms() - sv_sure_ms());
    sv_bind(st, "dti", tenant, key, now - SV_IDEMPOTENCY_HOURS * 3600000LL);
    rc = sv_step(tx, st, &row, err);
    if (rc)
        return rc;
    *ret_found = row && sqlite3_column_bytes(st, 0) == HASH_LEN;
    if (*ret_found) {
        memcpy(ret->hash, sqlite3_column_blob(st, 0), HASH_LEN);
        ret->reply = sv_arena_strdup(a, sv_col_text(st, 1));
        ret->job = sv_col_id(st, 2);
    }
    return SV_OK;
}

enum sv_err sv_idem_insert(struct sv_tx *tx, const struct sv_id *tenant, const char *key, const struct sv_idem *i,
                           struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_idem, INSERT);

    assert(tx->writable);
    sv_bind(st, "dtbtid", tenant, key, i->hash, (int)HASH_LEN, i->reply, tx->now, &i->job);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_idem_forget(struct sv_tx *tx, const struct sv_id *job, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_idem, FORGET);

    assert(tx->writable);
    sv_bind(st, "d", job);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_idem_expire(struct sv_tx *tx, int64_t older_than, struct sv_error *err)
{
    return sv_expire(tx, &sv_sql_idem, EXPIRE, older_than, sv_idem_expire, err);
}
