/* Object locks: one object, one job. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_job.h"

enum { TAKE, GET, RELEASE };

static const char *const sql[] = {
    [TAKE] = "INSERT INTO lock(object_id, job_id, code) VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING",
    [GET] = "SELECT job_id, code FROM lock WHERE object_id = ?1",
    [RELEASE] = "DELETE FROM lock WHERE object_id = ?1 AND job_id = ?2",
};
SV_SQL_TABLE(sv_sql_lock, "lock", sql);

enum sv_err sv_lock_get(struct sv_tx *tx, const struct sv_id *object, struct sv_lock *ret, bool *ret_held,
                        struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_lock, GET);
    enum sv_err rc;

    sv_bind(st, "d", object);
    rc = sv_step(tx, st, ret_held, err);
    if (!rc && *ret_held)
        *ret = (struct sv_lock){.job = sv_col_id(st, 0), .code = (int)sv_col_int(st, 1)};
    return rc;
}

enum sv_err sv_lock_take(struct sv_tx *tx, const struct sv_id *object, const struct sv_id *job, int code,
                         bool *ret_taken, struct sv_lock *ret_held, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_lock, TAKE);
    bool held;
    int n;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "ddI", object, job, code);
    rc = sv_exec(tx, st, &n, err);
    if (rc)
        return rc;
    *ret_taken = n > 0;
    return n ? SV_OK : sv_lock_get(tx, object, ret_held, &held, err);
}

enum sv_err sv_lock_release(struct sv_tx *tx, const struct sv_id *object, const struct sv_id *job, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_lock, RELEASE);

    assert(tx->writable);
    sv_bind(st, "dd", object, job);
    return sv_exec(tx, st, NULL, err);
}
