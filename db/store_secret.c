/* Sealed secrets. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_job.h"
#include "starvirt/store_secret.h"

enum { PUT, GET, DROP, SWEEP };

_Static_assert(SV_JOB_RUNNING == 2 && SV_JOB_QUEUED == 3, "SV_SQL_OWNED names open jobs by number");

static const char *const sql[] = {
    [PUT] = "INSERT OR REPLACE INTO secret(owner_id, kind, sealed) VALUES(?1, ?2, ?3)",
    [GET] = "SELECT sealed FROM secret WHERE owner_id = ?1 AND kind = ?2",
    [DROP] = "DELETE FROM secret WHERE owner_id = ?1 AND kind = ?2",
    [SWEEP] = "DELETE FROM secret WHERE NOT (" SV_SQL_OWNED ")",
};
SV_SQL_TABLE(sv_sql_secret, "secret", sql);

enum sv_err sv_sealed_put(struct sv_tx *tx, const struct sv_id *owner, const char *kind, const void *p, size_t n,
                          struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_secret, PUT);

    assert(tx->writable);
    sv_bind(st, "dtb", owner, kind, p, (int)n);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_sealed_get(struct sv_tx *tx, const struct sv_id *owner, const char *kind, void *buf, size_t size,
                          size_t *ret_n, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_secret, GET);
    bool row;
    enum sv_err rc;

    sv_bind(st, "dt", owner, kind);
    rc = sv_step(tx, st, &row, err);
    if (rc)
        return rc;
    const size_t n = row ? (size_t)sqlite3_column_bytes(st, 0) : 0;
    *ret_n = n <= size ? n : 0;
    if (*ret_n)
        memcpy(buf, sqlite3_column_blob(st, 0), n);
    return SV_OK;
}

enum sv_err sv_sealed_drop(struct sv_tx *tx, const struct sv_id *owner, const char *kind, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_secret, DROP);

    assert(tx->writable);
    sv_bind(st, "dt", owner, kind);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_sealed_sweep(struct sv_tx *tx, struct sv_error *err)
{
    assert(tx->writable);
    return sv_exec(tx, sv_stmt(tx, &sv_sql_secret, SWEEP), NULL, err);
}
