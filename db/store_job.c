/* Job rows. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_job.h"

#define COLS                                                                                                           \
    "id, tenant_id, object_id, host_id, kind, object_type, object_name, iarg0, iarg1, sarg, result, percent, step, "   \
    "undoing,"                                                                                                         \
    " undo_result, cancel, created, started, ended, deadline, error, error_args"
#define FILTER " AND (?2 = '' OR id = ?2) AND (?4 < 0 OR result = ?4)"
#define OPEN   "result IN (2, 3)"
_Static_assert(SV_JOB_RUNNING == 2 && SV_JOB_QUEUED == 3, "OPEN names the results by number");

enum {
    INSERT,
    GET,
    LIST_ALL,
    LIST_TENANT,
    LIST_OBJECT,
    COUNT_ALL,
    COUNT_TENANT,
    COUNT_OBJECT,
    LIST_OPEN,
    START,
    STEP,
    PERCENT,
    UNDO,
    ASK_CANCEL,
    END,
    EXPIRE_LOG,
    EXPIRE,
};

static const char *const sql[] = {
    [INSERT] = "INSERT INTO job(id, tenant_id, object_id, host_id, kind, object_type, object_name, iarg0, iarg1, sarg, "
               "result, created)"
               " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    [GET] = "SELECT " COLS " FROM job WHERE id = ?1 AND (?2 = '' OR tenant_id = ?2)",
    [LIST_ALL] = "SELECT " COLS " FROM job WHERE ?1 = '' AND ?3 = ''" FILTER " ORDER BY created, id LIMIT ?5 OFFSET ?6",
    [LIST_TENANT] =
        "SELECT " COLS " FROM job WHERE tenant_id = ?1 AND ?3 = ''" FILTER " ORDER BY created, id LIMIT ?5 OFFSET ?6",
    [LIST_OBJECT] = "SELECT " COLS " FROM job WHERE object_id = ?3 AND (?1 = '' OR tenant_id = ?1)" FILTER
                    " ORDER BY created, id LIMIT ?5 OFFSET ?6",
    [COUNT_ALL] = "SELECT count(*) FROM job WHERE ?1 = '' AND ?3 = ''" FILTER,
    [COUNT_TENANT] = "SELECT count(*) FROM job WHERE tenant_id = ?1 AND ?3 = ''" FILTER,
    [COUNT_OBJECT] = "SELECT count(*) FROM job WHERE object_id = ?3 AND (?1 = '' OR tenant_id = ?1)" FILTER,
    [LIST_OPEN] = "SELECT " COLS " FROM job WHERE " OPEN " ORDER BY created, id",
    [START] = "UPDATE job SET result = 2, started = ?2, deadline = ?3 WHERE id = ?1 AND result = 3",
    [STEP] = "UPDATE job SET step = ?2, percent = max(percent, ?3) WHERE id = ?1 AND " OPEN,
    [PERCENT] = "UPDATE job SET percent = max(percent, ?2) WHERE id = ?1 AND " OPEN,
    [UNDO] = "UPDATE job SET undoing = 1, step = ?2, undo_result = ?3, error = ?4, error_args = ?5, result = 2,"
             " started = CASE WHEN started = 0 THEN ?6 ELSE started END WHERE id = ?1 AND " OPEN,
    [ASK_CANCEL] = "UPDATE job SET cancel = 1 WHERE id = ?1 AND " OPEN,
    [END] =
        "UPDATE job SET result = ?2, undoing = 0, ended = ?3, percent = CASE WHEN ?2 = 0 THEN 100 ELSE percent END,"
        " error = CASE WHEN ?4 = '' THEN error ELSE ?4 END, error_args = CASE WHEN ?4 = '' THEN error_args ELSE ?5 END"
        " WHERE id = ?1 AND " OPEN,
    [EXPIRE_LOG] = "DELETE FROM joblog WHERE job_id IN (SELECT id FROM job WHERE ended > 0 AND ended < ?1)",
    [EXPIRE] = "DELETE FROM job WHERE ended > 0 AND ended < ?1",
};
SV_SQL_TABLE(sv_sql_job, "job", sql);

static const char *join(struct sv_tx *tx, const struct sv_error *e)
{
    const char *const args[SV_ERR_ARGS] = {e->arg[0], e->arg[1], e->arg[2]};

    return sv_args_join(tx, args);
}

static void read_row(struct sv_tx *tx, sqlite3_stmt *st, struct sv_job *j)
{
    *j = (struct sv_job){.id = sv_col_id(st, 0),
                         .tenant = sv_col_id(st, 1),
                         .object = sv_col_id(st, 2),
                         .host = sv_col_id(st, 3),
                         .kind = sv_col_text(st, 4),
                         .object_type = sv_col_text(st, 5),
                         .object_name = sv_col_text(st, 6),
                         .iarg = {sv_col_int(st, 7), sv_col_int(st, 8)},
                         .sarg = sv_col_text(st, 9),
                         .result = (enum sv_job_result)sv_col_int(st, 10),
                         .percent = (unsigned)sv_col_int(st, 11),
                         .step = (unsigned)sv_col_int(st, 12),
                         .undoing = sv_col_int(st, 13) != 0,
                         .undo_result = (enum sv_job_result)sv_col_int(st, 14),
                         .cancel = sv_col_int(st, 15) != 0,
                         .created = sv_col_int(st, 16),
                         .started = sv_col_int(st, 17),
                         .ended = sv_col_int(st, 18),
                         .deadline = sv_col_int(st, 19),
                         .error_symbol = sv_col_text(st, 20)};
    sv_args_split(tx, sv_col_text(st, 21), j->error_args);
}

enum sv_err sv_job_insert(struct sv_tx *tx, const struct sv_job *j, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_job, INSERT);

    assert(tx->writable);
    sv_bind(st, "ddddtttiitIi", &j->id, &j->tenant, &j->object, &j->host, j->kind, j->object_type, j->object_name,
            j->iarg[0], j->iarg[1], j->sarg, (int)j->result, j->created);
    sv_tx_job_changed(tx, &j->id);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_job_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                       struct sv_job *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_job, GET);
    struct sv_job j;
    bool row;
    enum sv_err rc;

    sv_bind(st, "dd", id, &scope.tenant);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_JOB_NOT_FOUND, SV_F_JOB);
    read_row(tx, st, &j);
    j.kind = sv_arena_strdup(a, j.kind);
    j.object_type = sv_arena_strdup(a, j.object_type);
    j.object_name = sv_arena_strdup(a, j.object_name);
    j.sarg = sv_arena_strdup(a, j.sarg);
    j.error_symbol = sv_arena_strdup(a, j.error_symbol);
    for (unsigned i = 0; i < SV_ERR_ARGS; i++)
        j.error_args[i] = sv_arena_strdup(a, j.error_args[i]);
    *ret = j;
    return SV_OK;
}

enum sv_err sv_job_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_job_filter *f, const struct sv_page *p,
                        void (*row)(void *arg, const struct sv_job *j), void *arg, uint64_t *ret_total,
                        struct sv_error *err)
{
    const bool object = !sv_id_empty(&f->object), all = sv_id_empty(&scope.tenant);
    SV_STMT count = sv_stmt(tx, &sv_sql_job, object ? COUNT_OBJECT : all ? COUNT_ALL : COUNT_TENANT);
    SV_STMT st = sv_stmt(tx, &sv_sql_job, object ? LIST_OBJECT : all ? LIST_ALL : LIST_TENANT);
    const int result = f->by_result ? (int)f->result : -1;
    bool more;
    enum sv_err rc;

    sv_bind(count, "dddI", &scope.tenant, &f->id, &f->object, result);
    rc = sv_step(tx, count, &more, err);
    if (rc)
        return rc;
    *ret_total = (uint64_t)sv_col_int(count, 0);
    sv_bind(st, "dddIii", &scope.tenant, &f->id, &f->object, result, p->limit ? (int64_t)p->limit : -1,
            (int64_t)p->offset);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_job j;

        read_row(tx, st, &j);
        row(arg, &j);
    }
    return rc;
}

enum sv_err sv_job_list_open(struct sv_tx *tx, void (*row)(void *arg, const struct sv_job *j), void *arg,
                             struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_job, LIST_OPEN);
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_job j;

        read_row(tx, st, &j);
        row(arg, &j);
    }
    return rc;
}

static enum sv_err change(struct sv_tx *tx, const struct sv_id *id, sqlite3_stmt *st, struct sv_error *err)
{
    int n;
    enum sv_err rc;

    assert(tx->writable);
    rc = sv_exec(tx, st, &n, err);
    if (!rc && !n)
        rc = sv_fail(err, SV_E_JOB_NOT_FOUND, SV_F_JOB);
    if (!rc)
        sv_tx_job_changed(tx, id);
    return rc;
}

enum sv_err sv_job_start(struct sv_tx *tx, const struct sv_id *id, int64_t deadline, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_job, START);

    sv_bind(st, "dii", id, tx->now, deadline);
    return change(tx, id, st, err);
}

enum sv_err sv_job_step(struct sv_tx *tx, const struct sv_id *id, unsigned step, unsigned percent, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_job, STEP);

    sv_bind(st, "dii", id, (int64_t)step, (int64_t)percent);
    return change(tx, id, st, err);
}

enum sv_err sv_job_percent(struct sv_tx *tx, const struct sv_id *id, unsigned percent, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_job, PERCENT);

    sv_bind(st, "di", id, (int64_t)percent);
    return change(tx, id, st, err);
}

enum sv_err sv_job_undo(struct sv_tx *tx, const struct sv_id *id, unsigned step, enum sv_job_result ends_as,
                        const struct sv_error *why, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_job, UNDO);

    sv_bind(st, "diItti", id, (int64_t)step, (int)ends_as, why ? sv_err_symbol(why->code) : "",
            why ? join(tx, why) : "", tx->now);
    return change(tx, id, st, err);
}

enum sv_err sv_job_ask_cancel(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_job, ASK_CANCEL);

    sv_bind(st, "d", id);
    return change(tx, id, st, err);
}

enum sv_err sv_job_end(struct sv_tx *tx, const struct sv_id *id, enum sv_job_result result, const struct sv_error *why,
                       struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_job, END);

    sv_bind(st, "dIitt", id, (int)result, tx->now, why ? sv_err_symbol(why->code) : "", why ? join(tx, why) : "");
    return change(tx, id, st, err);
}

enum sv_err sv_job_expire(struct sv_tx *tx, int64_t older_than, struct sv_error *err)
{
    SV_STMT log = sv_stmt(tx, &sv_sql_job, EXPIRE_LOG);
    SV_STMT st = sv_stmt(tx, &sv_sql_job, EXPIRE);
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(log, "i", older_than);
    rc = sv_exec(tx, log, NULL, err);
    sv_bind(st, "i", older_than);
    return rc ? rc : sv_exec(tx, st, NULL, err);
}
