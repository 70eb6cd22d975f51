/* Job rows. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_job.h"
#include "starvirt/store_tenant.h"

#define COLS                                                                                                           \
    "id, tenant_id, object_id, host_id, kind, object_type, object_name, iarg0, iarg1, sarg, result, percent, step, "   \
    "undoing,"                                                                                                         \
    " undo_result, cancel, created, started, ended, deadline, error, error_args, finishes"
#define PAGE  " LIMIT ?4 OFFSET ?5"
#define OPEN  "result IN (2, 3)"
#define ENDED "result NOT IN (2, 3)"
_Static_assert(SV_JOB_RUNNING == 2 && SV_JOB_QUEUED == 3, "OPEN and ENDED name the results by number");
/* Of tenant ?1 (empty: all), with result ?2 (-1: any), on object ?3. Each has the form that its index needs, and
 * names it where the planner, which keeps no statistics, would go by the tenant and look at all of its jobs. */
#define OF_ALL       " FROM job WHERE ?1 = '' AND ?2 < 0"
#define OF_TENANT    " FROM job WHERE tenant_id = ?1 AND ?2 < 0"
#define OPEN_ALL     " FROM job INDEXED BY job_open WHERE ?1 = '' AND result = ?2 AND " OPEN
#define OPEN_TENANT  " FROM job INDEXED BY job_open WHERE tenant_id = ?1 AND result = ?2 AND " OPEN
#define ENDED_ALL    " FROM job INDEXED BY job_result WHERE ?1 = '' AND result = ?2 AND " ENDED
#define ENDED_TENANT " FROM job INDEXED BY job_tenant_result WHERE tenant_id = ?1 AND result = ?2 AND " ENDED
#define OF_OBJECT    " FROM job WHERE object_id = ?3 AND (?1 = '' OR tenant_id = ?1) AND (?2 < 0 OR result = ?2)"
/* A job whose undo is still to be finished is needed for that. */
#define NEEDED "(SELECT j.seq FROM pending_undo p JOIN job j ON j.id = p.job_id WHERE p.due >= 0)"
#define OLD                                                                                                            \
    "(SELECT seq FROM job WHERE ended > 0 AND ended < ?1 AND seq NOT IN " NEEDED " ORDER BY ended, seq LIMIT ?2)"

/* Which jobs a list is about; each has a page forwards, a page backwards, and a count. */
enum set { SET_ALL, SET_TENANT, SET_OPEN, SET_OPEN_TENANT, SET_ENDED, SET_ENDED_TENANT, SET_OBJECT, SET_COUNT };

enum {
    INSERT,
    COUNT_ONE,
    COUNT_END,
    GET,
    FORWARDS,
    BACKWARDS = FORWARDS + SET_COUNT,
    COUNT = BACKWARDS + SET_COUNT,
    NOT_DONE_ALL = COUNT + SET_COUNT,
    NOT_DONE_TENANT,
    LIST_OPEN,
    OPEN_FOR,
    START,
    STEP,
    PERCENT,
    UNDO,
    ASK_CANCEL,
    END,
    COUNT_OLD,
    FORGET_NONE,
    EXPIRE_LOG,
    EXPIRE,
};

#define SET(which, from_where)                                                                                         \
    [FORWARDS + which] = "SELECT " COLS from_where " ORDER BY seq" PAGE,                                               \
                [BACKWARDS + which] = "SELECT " COLS from_where " ORDER BY seq DESC" PAGE

static const char *const sql[] = {
    [INSERT] = "INSERT INTO job(id, tenant_id, object_id, host_id, kind, object_type, object_name, iarg0, iarg1, sarg, "
               "result, created, finishes)"
               " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    /* one statement decides and takes; of a tenant without a row (it may be gone) any is taken. ?2: how many more than
     * its quota it may have, -1 any number */
    [COUNT_ONE] = "INSERT INTO job_count(tenant_id, jobs, open) SELECT ?1, 1, 1"
                  " WHERE ?2 < 0 OR coalesce((SELECT quota_jobs <> 0 FROM tenant WHERE id = ?1), 1)"
                  " ON CONFLICT DO UPDATE SET jobs = jobs + 1, open = open + 1 WHERE ?2 < 0 OR coalesce((SELECT"
                  " quota_jobs < 0 OR (quota_jobs > 0 AND job_count.open < quota_jobs + ?2) FROM tenant WHERE id = ?1),"
                  " 1)",
    [COUNT_END] = "UPDATE job_count SET open = open - 1 WHERE tenant_id = (SELECT tenant_id FROM job WHERE id = ?1)",
    [GET] = "SELECT " COLS " FROM job WHERE id = ?1 AND (?2 = '' OR tenant_id = ?2)",
    SET(SET_ALL, OF_ALL),
    SET(SET_TENANT, OF_TENANT),
    SET(SET_OPEN, OPEN_ALL),
    SET(SET_OPEN_TENANT, OPEN_TENANT),
    SET(SET_ENDED, ENDED_ALL),
    SET(SET_ENDED_TENANT, ENDED_TENANT),
    SET(SET_OBJECT, OF_OBJECT),
    [COUNT + SET_ALL] = "SELECT coalesce(sum(jobs), 0) FROM job_count WHERE ?1 = '' AND ?2 < 0",
    [COUNT + SET_TENANT] = "SELECT coalesce(sum(jobs), 0) FROM job_count WHERE tenant_id = ?1 AND ?2 < 0",
    [COUNT + SET_OPEN] = "SELECT count(*)" OPEN_ALL,
    [COUNT + SET_OPEN_TENANT] = "SELECT count(*)" OPEN_TENANT,
    [COUNT + SET_ENDED] = "SELECT count(*)" ENDED_ALL,
    [COUNT + SET_ENDED_TENANT] = "SELECT count(*)" ENDED_TENANT,
    [COUNT + SET_OBJECT] = "SELECT count(*)" OF_OBJECT,
    /* nearly all jobs are done: those are what is left of the kept total when the others are counted */
    [NOT_DONE_ALL] = "SELECT (SELECT count(*) FROM job INDEXED BY job_result WHERE result > 0 AND " ENDED "),"
                     " (SELECT count(*) FROM job INDEXED BY job_open WHERE ?1 = '' AND " OPEN ")",
    [NOT_DONE_TENANT] =
        "SELECT (SELECT count(*) FROM job INDEXED BY job_tenant_result WHERE tenant_id = ?1 AND result > 0 AND " ENDED
        "), (SELECT count(*) FROM job INDEXED BY job_open WHERE tenant_id = ?1 AND " OPEN ")",
    [LIST_OPEN] = "SELECT " COLS " FROM job WHERE " OPEN " ORDER BY seq",
    [OPEN_FOR] = "SELECT id FROM job WHERE sarg = ?1 AND sarg <> '' AND " OPEN " ORDER BY seq LIMIT 1",
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
    [COUNT_OLD] = "INSERT INTO job_count(tenant_id, jobs) SELECT tenant_id, -count(*) FROM job WHERE seq IN " OLD
                  " GROUP BY tenant_id ON CONFLICT DO UPDATE SET jobs = jobs + excluded.jobs",
    [FORGET_NONE] = "DELETE FROM job_count WHERE jobs = 0",
    [EXPIRE_LOG] = "DELETE FROM joblog WHERE job_id IN (SELECT id FROM job WHERE seq IN " OLD ")",
    [EXPIRE] = "DELETE FROM job WHERE seq IN " OLD,
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
                         .error_symbol = sv_col_text(st, 20),
                         .finishes = sv_col_id(st, 22)};
    sv_args_split(tx, sv_col_text(st, 21), j->error_args);
}

static void keep_texts(struct sv_arena *a, struct sv_job *j)
{
    j->kind = sv_arena_strdup(a, j->kind);
    j->object_type = sv_arena_strdup(a, j->object_type);
    j->object_name = sv_arena_strdup(a, j->object_name);
    j->sarg = sv_arena_strdup(a, j->sarg);
    j->error_symbol = sv_arena_strdup(a, j->error_symbol);
    for (unsigned i = 0; i < SV_ERR_ARGS; i++)
        j->error_args[i] = sv_arena_strdup(a, j->error_args[i]);
}

static enum sv_err refuse_for_quota(struct sv_tx *tx, const struct sv_id *tenant, struct sv_error *err)
{
    struct sv_tenant t;
    enum sv_err rc = sv_tenant_get(tx, sv_scope_system(), tenant, tx->arena, &t, err);

    return rc ? rc : sv_fail(err, SV_E_QUOTA_JOBS, SV_F_NONE, sv_dec(t.used.jobs).s, sv_dec(t.quota.jobs).s);
}

static enum sv_err count_one(struct sv_tx *tx, const struct sv_id *tenant, int more, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_job, COUNT_ONE);
    int n;
    enum sv_err rc;

    sv_bind(st, "dI", tenant, more);
    rc = sv_exec(tx, st, &n, err);
    return rc || n ? rc : refuse_for_quota(tx, tenant, err);
}

static enum sv_err insert(struct sv_tx *tx, const struct sv_job *j, int more, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_job, INSERT);
    enum sv_err rc;

    assert(tx->writable);
    rc = count_one(tx, &j->tenant, more, err);
    if (rc)
        return rc;
    sv_bind(st, "ddddtttiitIid", &j->id, &j->tenant, &j->object, &j->host, j->kind, j->object_type, j->object_name,
            j->iarg[0], j->iarg[1], j->sarg, (int)j->result, j->created, &j->finishes);
    rc = sv_exec(tx, st, NULL, err);
    if (!rc)
        sv_tx_job_changed(tx, &j->id);
    return rc;
}

enum sv_err sv_job_insert(struct sv_tx *tx, const struct sv_job *j, struct sv_error *err)
{
    return insert(tx, j, -1, err);
}

enum sv_err sv_job_insert_bounded(struct sv_tx *tx, const struct sv_job *j, unsigned more, struct sv_error *err)
{
    return insert(tx, j, (int)more, err);
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
    keep_texts(a, &j);
    *ret = j;
    return SV_OK;
}

/* --- lists ------------------------------------------------------------------------------------------ */

typedef void (*row_fn)(void *arg, const struct sv_job *j);

/* What a list is about, once and for all its statements. */
struct query {
    const struct sv_id *tenant, *object; /* empty: all */
    int result;                          /* -1: any */
    enum set set;
};

static enum set set_of(const struct query *q)
{
    const bool all = sv_id_empty(q->tenant);

    if (!sv_id_empty(q->object))
        return SET_OBJECT;
    if (q->result < 0)
        return all ? SET_ALL : SET_TENANT;
    if (sv_job_ended((enum sv_job_result)q->result))
        return all ? SET_ENDED : SET_ENDED_TENANT;
    return all ? SET_OPEN : SET_OPEN_TENANT;
}

static enum sv_err count_set(struct sv_tx *tx, const struct query *q, enum set set, uint64_t *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_job, COUNT + set);
    bool row;
    enum sv_err rc;

    sv_bind(st, set == SET_OBJECT ? "dId" : "dI", q->tenant, q->result, q->object);
    rc = sv_step(tx, st, &row, err);
    if (!rc)
        *ret = (uint64_t)sv_col_int(st, 0);
    return rc;
}

static enum sv_err count_done(struct sv_tx *tx, const struct query *q, uint64_t *ret, struct sv_error *err)
{
    const bool all = sv_id_empty(q->tenant);
    const struct query any = {.tenant = q->tenant, .object = q->object, .result = -1};
    SV_STMT st = sv_stmt(tx, &sv_sql_job, all ? NOT_DONE_ALL : NOT_DONE_TENANT);
    uint64_t jobs = 0;
    bool row;
    enum sv_err rc = count_set(tx, &any, set_of(&any), &jobs, err);

    if (rc)
        return rc;
    sv_bind(st, "d", q->tenant);
    rc = sv_step(tx, st, &row, err);
    if (!rc)
        *ret = jobs - (uint64_t)sv_col_int(st, 0) - (uint64_t)sv_col_int(st, 1);
    return rc;
}

static enum sv_err count_query(struct sv_tx *tx, const struct query *q, uint64_t *ret, struct sv_error *err)
{
    if (q->result == SV_JOB_DONE && q->set != SET_OBJECT)
        return count_done(tx, q, ret, err);
    return count_set(tx, q, q->set, ret, err);
}

static void bind_page(sqlite3_stmt *st, const struct query *q, uint64_t limit, uint64_t offset)
{
    sv_bind(st, "dIdii", q->tenant, q->result, q->object, (int64_t)limit, (int64_t)offset);
}

static enum sv_err forwards(struct sv_tx *tx, const struct query *q, uint64_t offset, uint64_t limit, row_fn row,
                            void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_job, FORWARDS + q->set);
    bool more;
    enum sv_err rc;

    bind_page(st, q, limit, offset);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_job j;

        read_row(tx, st, &j);
        row(arg, &j);
    }
    return rc;
}

/* From the end, which is nearer, and then turned round. */
static enum sv_err backwards(struct sv_tx *tx, const struct query *q, uint64_t offset, uint64_t limit, row_fn row,
                             void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_job, BACKWARDS + q->set);
    struct sv_job *jobs = sv_arena_alloc(tx->arena, limit * sizeof(*jobs));
    uint64_t n = 0;
    bool more;
    enum sv_err rc;

    bind_page(st, q, limit, offset);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        assert(n < limit);
        read_row(tx, st, &jobs[n]);
        keep_texts(tx->arena, &jobs[n++]);
    }
    while (!rc && n > 0)
        row(arg, &jobs[--n]);
    return rc;
}

static enum sv_err list_one(struct sv_tx *tx, const struct query *q, const struct sv_id *id, const struct sv_page *p,
                            row_fn row, void *arg, uint64_t *ret_total, struct sv_error *err)
{
    const struct sv_scope scope = {.tenant = *q->tenant};
    struct sv_error none;
    struct sv_job j = {.result = SV_JOB_LOST};
    enum sv_err rc = sv_job_get(tx, scope, id, tx->arena, &j, &none);

    if (rc && rc != SV_E_JOB_NOT_FOUND) {
        if (err)
            *err = none;
        return rc;
    }
    *ret_total = !rc && (q->result < 0 || (int)j.result == q->result) &&
                 (sv_id_empty(q->object) || sv_id_eq(q->object, &j.object));
    if (*ret_total && p->offset == 0)
        row(arg, &j);
    return SV_OK;
}

enum sv_err sv_job_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_job_filter *f, const struct sv_page *p,
                        row_fn row, void *arg, uint64_t *ret_total, struct sv_error *err)
{
    struct query q = {.tenant = &scope.tenant, .object = &f->object, .result = f->by_result ? (int)f->result : -1};
    uint64_t total = 0, n;
    enum sv_err rc;

    if (!sv_id_empty(&f->id))
        return list_one(tx, &q, &f->id, p, row, arg, ret_total, err);
    q.set = set_of(&q);
    rc = count_query(tx, &q, &total, err);
    if (rc)
        return rc;
    *ret_total = total;
    if (p->offset >= total)
        return SV_OK;
    n = total - p->offset;
    if (p->limit && p->limit < n)
        n = p->limit;
    /* A page of all rows is never turned round: it would have to be kept whole. */
    if (p->limit && p->offset > total / 2)
        return backwards(tx, &q, total - p->offset - n, n, row, arg, err);
    return forwards(tx, &q, p->offset, n, row, arg, err);
}

enum sv_err sv_job_list_open(struct sv_tx *tx, row_fn row, void *arg, struct sv_error *err)
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

enum sv_err sv_job_open_for(struct sv_tx *tx, const struct sv_id *arg, struct sv_id *ret_job, bool *ret_found,
                            struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_job, OPEN_FOR);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", arg);
    rc = sv_step(tx, st, &row, err);
    if (rc)
        return rc;
    *ret_found = row;
    if (row)
        *ret_job = sv_col_id(st, 0);
    return SV_OK;
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

    SV_STMT count = sv_stmt(tx, &sv_sql_job, COUNT_END);
    enum sv_err rc;

    sv_bind(st, "dIitt", id, (int)result, tx->now, why ? sv_err_symbol(why->code) : "", why ? join(tx, why) : "");
    sv_bind(count, "d", id);
    rc = change(tx, id, st, err);
    return rc ? rc : sv_exec(tx, count, NULL, err);
}

/* Some at a time: a million at once would hold up every writer for seconds. */
enum { EXPIRE_AT_ONCE = 1000 };

static enum sv_err run_expiry(struct sv_tx *tx, unsigned which, int64_t older_than, int *ret_n, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_job, which);

    sv_bind(st, which == FORGET_NONE ? "" : "iI", older_than, (int)EXPIRE_AT_ONCE);
    return sv_exec(tx, st, ret_n, err);
}

enum sv_err sv_job_expire(struct sv_tx *tx, int64_t older_than, struct sv_error *err)
{
    int n = 0;
    enum sv_err rc = run_expiry(tx, COUNT_OLD, older_than, NULL, err);

    assert(tx->writable);
    if (!rc)
        rc = run_expiry(tx, EXPIRE_LOG, older_than, NULL, err);
    if (!rc)
        rc = run_expiry(tx, EXPIRE, older_than, &n, err);
    if (!rc)
        rc = run_expiry(tx, FORGET_NONE, older_than, NULL, err);
    if (!rc && n == EXPIRE_AT_ONCE)
        sv_tx_go_on(tx, sv_job_expire, older_than);
    return rc;
}
