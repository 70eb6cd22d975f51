/* Undos that are still to be finished. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_pending.h"
#include "starvirt/store_vm.h"

#define COLS "job_id, object_id, subject_id, host_id, finisher, step, guest, tries, due"
_Static_assert(SV_VM_PAUSED == 4, "READY names the state by number");

enum { PUT, GET, DROP, LIST, OF_PART, ANY, COUNT, HURRY, READY, NEXT };

static const char *const sql[] = {
    [PUT] = "INSERT OR REPLACE INTO pending_undo(" COLS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [GET] = "SELECT " COLS " FROM pending_undo WHERE job_id = ?1",
    [DROP] = "DELETE FROM pending_undo WHERE job_id = ?1",
    [LIST] = "SELECT " COLS " FROM pending_undo WHERE object_id = ?1 ORDER BY job_id",
    [OF_PART] = "SELECT min(job_id) FROM pending_undo WHERE subject_id = ?1 AND object_id <> ?1",
    [ANY] = "SELECT EXISTS (SELECT 1 FROM pending_undo WHERE due >= 0)",
    [COUNT] = "SELECT count(*) FROM pending_undo",
    [HURRY] = "UPDATE pending_undo SET due = 0 WHERE (object_id = ?1 OR host_id = ?1) AND job_id <> ?2",
    [READY] = "SELECT " COLS " FROM pending_undo p WHERE due <= ?1 AND finisher = ''"
              " AND NOT EXISTS (SELECT 1 FROM lock WHERE object_id = p.object_id)"
              " AND (host_id = '' OR EXISTS (SELECT 1 FROM host WHERE id = p.host_id AND connected))"
              " AND NOT (guest AND EXISTS (SELECT 1 FROM vm WHERE id = p.object_id AND state = 4))"
              " ORDER BY due LIMIT ?2",
    [NEXT] = "SELECT coalesce(min(due), -1) FROM pending_undo WHERE due > ?1",
};
SV_SQL_TABLE(sv_sql_pending, "pending", sql);

static void read_row(sqlite3_stmt *st, struct sv_pending *p)
{
    *p = (struct sv_pending){.job = sv_col_id(st, 0),
                             .object = sv_col_id(st, 1),
                             .subject = sv_col_id(st, 2),
                             .host = sv_col_id(st, 3),
                             .finisher = sv_col_id(st, 4),
                             .step = (unsigned)sv_col_int(st, 5),
                             .guest = sv_col_int(st, 6) != 0,
                             .tries = (unsigned)sv_col_int(st, 7),
                             .due = sv_col_int(st, 8)};
}

enum sv_err sv_pending_put(struct sv_tx *tx, const struct sv_pending *p, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_pending, PUT);

    assert(tx->writable);
    sv_bind(st, "dddddIIIi", &p->job, &p->object, &p->subject, &p->host, &p->finisher, (int)p->step, (int)p->guest,
            (int)p->tries, p->due);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_pending_get(struct sv_tx *tx, const struct sv_id *job, struct sv_pending *ret, bool *ret_found,
                           struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_pending, GET);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", job);
    rc = sv_step(tx, st, &row, err);
    if (rc)
        return rc;
    *ret_found = row;
    if (row)
        read_row(st, ret);
    return SV_OK;
}

enum sv_err sv_pending_drop(struct sv_tx *tx, const struct sv_id *job, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_pending, DROP);

    assert(tx->writable);
    sv_bind(st, "d", job);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_pending_hurry(struct sv_tx *tx, const struct sv_id *object_or_host, const struct sv_id *except,
                             struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_pending, HURRY);
    const struct sv_id none = {.s = ""};

    assert(tx->writable);
    sv_bind(st, "dd", object_or_host, except ? except : &none);
    return sv_exec(tx, st, NULL, err);
}

static enum sv_err number(struct sv_tx *tx, sqlite3_stmt *st, int64_t *ret, struct sv_error *err)
{
    bool row;
    const enum sv_err rc = sv_step(tx, st, &row, err);

    if (!rc)
        *ret = sv_col_int(st, 0);
    return rc;
}

enum sv_err sv_pending_any(struct sv_tx *tx, bool *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_pending, ANY);
    int64_t any = 0;
    const enum sv_err rc = number(tx, st, &any, err);

    if (!rc)
        *ret = any != 0;
    return rc;
}

enum sv_err sv_pending_count(struct sv_tx *tx, int64_t *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_pending, COUNT);

    return number(tx, st, ret, err);
}

static enum sv_err each(struct sv_tx *tx, sqlite3_stmt *st, void (*row)(void *arg, const struct sv_pending *p),
                        void *arg, struct sv_error *err)
{
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_pending p;

        read_row(st, &p);
        row(arg, &p);
    }
    return rc;
}

enum sv_err sv_pending_list(struct sv_tx *tx, const struct sv_id *object,
                            void (*row)(void *arg, const struct sv_pending *p), void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_pending, LIST);

    sv_bind(st, "d", object);
    return each(tx, st, row, arg, err);
}

enum sv_err sv_pending_ready(struct sv_tx *tx, unsigned limit, void (*row)(void *arg, const struct sv_pending *p),
                             void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_pending, READY);

    sv_bind(st, "iI", tx->now, (int)limit);
    return each(tx, st, row, arg, err);
}

enum sv_err sv_pending_of_part(struct sv_tx *tx, const struct sv_id *part, struct sv_id *ret_job, bool *ret_found,
                               struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_pending, OF_PART);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", part);
    rc = sv_step(tx, st, &row, err);
    if (rc)
        return rc;
    *ret_job = sv_col_id(st, 0);
    *ret_found = !sv_id_empty(ret_job);
    return SV_OK;
}

enum sv_err sv_pending_next(struct sv_tx *tx, int64_t *ret_due, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_pending, NEXT);
    int64_t due = -1;
    enum sv_err rc;

    sv_bind(st, "i", tx->now);
    rc = number(tx, st, &due, err);
    if (!rc)
        *ret_due = due < 0 ? INT64_MAX : due;
    return rc;
}
