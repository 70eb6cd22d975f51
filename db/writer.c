/* Writing: one thread, group commit. Producers queue closures; the writer runs all that wait in one
 * transaction, each in a savepoint, and answers them after one commit. */
#include <assert.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>

#include "db/engine.h"
#include "starvirt/clock.h"
#include "starvirt/log.h"

/* Bounds how long the first of a batch waits for the last. */
#define BATCH_MAX 512

struct batch {
    struct sv_tx tx; /* of the closure that runs */
    struct sv_effects effects;
    struct sv_db_work *works[BATCH_MAX];
    enum sv_err results[BATCH_MAX];
    unsigned count;
};

/* --- what closures leave behind ------------------------------------------------------------------------- */

static void effects_init(struct sv_effects *e)
{
    *e = (struct sv_effects){.hooks_end = &e->hooks, .marks_end = &e->marks, .jobs_end = &e->jobs};
}

/* Back to what was there when `was` was taken. */
static void effects_cut(struct sv_effects *e, const struct sv_effects *was)
{
    *e = *was;
    *e->hooks_end = NULL;
    *e->marks_end = NULL;
    *e->jobs_end = NULL;
}

void sv_tx_on_commit(struct sv_tx *tx, void (*fn)(void *arg), void *arg)
{
    assert(tx->writable);
    struct sv_hook *h = sv_arena_alloc(tx->arena, sizeof(*h));
    *h = (struct sv_hook){.fn = fn, .arg = arg};
    *tx->effects->hooks_end = h;
    tx->effects->hooks_end = &h->next;
}

void sv_tx_job_changed(struct sv_tx *tx, const struct sv_id *job)
{
    assert(tx->writable);
    struct sv_changed_job *j = sv_arena_alloc(tx->arena, sizeof(*j));
    j->id = *job;
    *tx->effects->jobs_end = j;
    tx->effects->jobs_end = &j->next;
    tx->effects->job_count++;
}

void sv_tx_events_added(struct sv_tx *tx)
{
    assert(tx->writable);
    tx->effects->events = true;
}

/* --- work in several closures --------------------------------------------------------------------------- */

struct rest {
    struct sv_db_work work; /* first: freed as one piece when it is done */
    struct sv_db *db;
    enum sv_err (*fn)(struct sv_tx *tx, int64_t number, struct sv_error *err);
    int64_t number;
};

static enum sv_err run_rest(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct rest *r = arg;
    return r->fn(tx, r->number, err);
}

static void post_rest(void *arg)
{
    const struct rest *r = arg;
    pthread_mutex_lock(&r->db->mutex);
    bool stop = r->db->stop;
    pthread_mutex_unlock(&r->db->mutex);
    if (stop)
        return;
    struct rest *own = sv_alloc(sizeof(*own));
    *own = *r;
    own->work.fn = run_rest;
    own->work.arg = own;
    sv_db_post(own->db, &own->work);
}

void sv_tx_go_on(struct sv_tx *tx, enum sv_err (*fn)(struct sv_tx *tx, int64_t number, struct sv_error *err),
                 int64_t number)
{
    struct rest *r = sv_arena_alloc(tx->arena, sizeof(*r));
    *r = (struct rest){.db = tx->db, .fn = fn, .number = number};
    sv_tx_on_commit(tx, post_rest, r);
}

enum sv_err sv_expire(struct sv_tx *tx, const struct sv_sql_table *table, unsigned index, int64_t older_than,
                      enum sv_err (*again)(struct sv_tx *tx, int64_t older_than, struct sv_error *err),
                      struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, table, index);
    int n;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "iI", older_than, (int)SV_EXPIRE_AT_ONCE);
    rc = sv_exec(tx, st, &n, err);
    if (!rc && n == SV_EXPIRE_AT_ONCE)
        sv_tx_go_on(tx, again, older_than);
    return rc;
}

/* --- one batch ------------------------------------------------------------------------------------------ */

static enum sv_err run_sql(struct sv_tx *tx, unsigned index, struct sv_error *err)
{
    return sv_exec(tx, sv_stmt(tx, &sv_sql_engine, index), NULL, err);
}

/* A full disk or an I/O error rolls back the whole transaction, not only the savepoint. */
static bool transaction_lost(const struct sv_tx *tx)
{
    return sqlite3_get_autocommit(tx->conn->db);
}

static enum sv_err run_in_savepoint(struct sv_tx *tx, struct sv_db_work *w)
{
    enum sv_err code = run_sql(tx, SQL_SAVEPOINT, &w->err);
    if (code != SV_OK)
        return code;
    sv_tx_current = tx;
    code = w->fn(tx, w->arg, &w->err);
    sv_tx_current = NULL;
    if (code == SV_OK)
        code = run_sql(tx, SQL_RELEASE, &w->err);
    if (code != SV_OK && !transaction_lost(tx)) {
        run_sql(tx, SQL_ROLLBACK_TO, NULL);
        run_sql(tx, SQL_RELEASE, NULL);
    }
    return code;
}

static enum sv_err run_closure(struct batch *b, struct sv_db_work *w)
{
    const struct sv_effects before = b->effects;
    w->err.code = SV_OK;
    b->tx.now = sv_db_now();
    enum sv_err code = run_in_savepoint(&b->tx, w);
    if (code == SV_OK)
        return SV_OK;
    effects_cut(&b->effects, &before);
    if (w->err.code != code) /* the closure gave a code and no more */
        sv_fail(&w->err, code, SV_F_NONE);
    return code;
}

static void fail_all(struct batch *b, const struct sv_error *why)
{
    sv_log(SV_LOG_ERROR, "db.batch_failed", "error", why->arg[0], "closures", sv_dec(b->count).s, NULL);
    for (unsigned i = 0; i < b->count; i++) {
        b->results[i] = SV_E_DB;
        b->works[i]->err = *why;
    }
    effects_init(&b->effects);
}

static enum sv_err run_closures(struct batch *b, struct sv_error *err)
{
    enum sv_err code = run_sql(&b->tx, SQL_BEGIN_WRITE, err);
    if (code != SV_OK)
        return code;
    for (unsigned i = 0; i < b->count; i++) {
        b->results[i] = run_closure(b, b->works[i]);
        if (transaction_lost(&b->tx)) {
            *err = b->works[i]->err;
            err->code = SV_E_DB;
            return SV_E_DB;
        }
    }
    return SV_OK;
}

static enum sv_err commit(struct sv_db *db, struct batch *b, struct sv_error *err)
{
    bool marks = b->effects.marks != NULL;
    if (marks)
        sv_marks_before_commit(db->marks);
    enum sv_err code = run_sql(&b->tx, SQL_COMMIT, err);
    if (marks)
        sv_marks_after_commit(db->marks, code == SV_OK ? b->effects.marks : NULL);
    if (code != SV_OK && !transaction_lost(&b->tx))
        run_sql(&b->tx, SQL_ROLLBACK, NULL);
    return code;
}

static void run_batch(struct sv_db *db, struct batch *b)
{
    struct sv_error why;
    b->tx = (struct sv_tx){.conn = &db->conn, .db = db, .arena = db->arena, .writable = true, .effects = &b->effects};
    effects_init(&b->effects);
    enum sv_err code = run_closures(b, &why);
    int64_t start = sv_mono_us();
    if (code == SV_OK)
        code = commit(db, b, &why);
    int64_t end = sv_mono_us();
    if (code != SV_OK)
        fail_all(b, &why);
    pthread_mutex_lock(&db->mutex);
    db->stats.writes += b->count;
    db->stats.commits++;
    db->stats.commit_us_last = end - start;
    pthread_mutex_unlock(&db->mutex);
}

/* --- after the commit ------------------------------------------------------------------------------------ */

static uint32_t hash_id(const struct sv_id *id)
{
    uint32_t h = 2166136261U;
    for (const char *s = id->s; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619U;
    return h;
}

/* Calls once per distinct job, in order of first change. */
static void tell_jobs(const struct sv_effects *e, struct sv_arena *arena, sv_change_fn change, void *arg)
{
    uint32_t size = 4;
    while (size < e->job_count * 2)
        size *= 2;
    const struct sv_id **seen = sv_arena_alloc(arena, size * sizeof(*seen));
    for (const struct sv_changed_job *j = e->jobs; j; j = j->next) {
        uint32_t i = hash_id(&j->id) & (size - 1);
        while (seen[i] && !sv_id_eq(seen[i], &j->id))
            i = (i + 1) & (size - 1);
        if (seen[i])
            continue;
        seen[i] = &j->id;
        change(arg, &j->id);
    }
}

static void tell_changes(struct sv_db *db, const struct sv_effects *e)
{
    pthread_mutex_lock(&db->mutex);
    sv_change_fn change = db->change;
    void *arg = db->change_arg;
    pthread_mutex_unlock(&db->mutex);
    if (!change)
        return;
    if (e->jobs)
        tell_jobs(e, db->arena, change, arg);
    if (e->events)
        change(arg, NULL);
}

static void answer(struct sv_db_work *w, enum sv_err result)
{
    if (w->done) {
        w->done(w, result);
        return;
    }
    if (result != SV_OK)
        sv_log(SV_LOG_ERROR, "db.post_failed", "error", sv_err_symbol(result), "detail", w->err.arg[0], NULL);
    free(w);
}

static void answer_batch(struct sv_db *db, struct batch *b)
{
    for (const struct sv_hook *h = b->effects.hooks; h; h = h->next)
        h->fn(h->arg);
    tell_changes(db, &b->effects);
    for (unsigned i = 0; i < b->count; i++)
        answer(b->works[i], b->results[i]);
    sv_arena_reset(db->arena);
    sv_checkpoint_after(db, db->conn.wal_pages);
}

/* --- the thread ------------------------------------------------------------------------------------------- */

/* Waits for work; false when there is none and none will come. */
static bool take(struct sv_db *db, struct batch *b)
{
    struct sv_queue *q = &db->queue;
    b->count = 0;
    pthread_mutex_lock(&db->mutex);
    while (!q->head && !db->stop)
        pthread_cond_wait(&db->wake, &db->mutex);
    while (q->head && b->count < BATCH_MAX) {
        b->works[b->count++] = q->head;
        q->head = q->head->next;
    }
    if (!q->head)
        q->tail = &q->head;
    db->stats.queue -= b->count;
    pthread_mutex_unlock(&db->mutex);
    return b->count > 0;
}

static void *writer_main(void *arg)
{
    struct sv_db *db = arg;
    struct batch *b = sv_alloc(sizeof(*b));
    while (take(db, b)) {
        run_batch(db, b);
        answer_batch(db, b);
    }
    free(b);
    return NULL;
}

enum sv_err sv_db_thread(pthread_t *ret, const char *name, void *(*run)(void *), void *arg, struct sv_error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(ret, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, strerror(rc));
    pthread_setname_np(*ret, name);
    return SV_OK;
}

enum sv_err sv_writer_start(struct sv_db *db, struct sv_error *err)
{
    db->arena = sv_arena_new();
    enum sv_err code = sv_db_thread(&db->writer, "db-writer", writer_main, db, err);
    db->writer_runs = code == SV_OK;
    return code;
}

void sv_writer_stop(struct sv_db *db)
{
    if (db->writer_runs) {
        pthread_mutex_lock(&db->mutex);
        db->stop = true;
        pthread_cond_signal(&db->wake);
        pthread_mutex_unlock(&db->mutex);
        pthread_join(db->writer, NULL);
        db->writer_runs = false;
    }
    sv_arena_free(db->arena);
    db->arena = NULL;
}

/* --- producers -------------------------------------------------------------------------------------------- */

static bool on_writer(const struct sv_db *db)
{
    return pthread_equal(pthread_self(), db->writer);
}

void sv_db_post(struct sv_db *db, struct sv_db_work *w)
{
    assert(!db->read_only);
    w->next = NULL;
    pthread_mutex_lock(&db->mutex);
    /* After sv_db_close() began only the writer itself may add to what it still answers. */
    assert(!db->stop || on_writer(db));
    bool was_empty = !db->queue.head;
    *db->queue.tail = w;
    db->queue.tail = &w->next;
    db->stats.queue++;
    pthread_mutex_unlock(&db->mutex);
    if (was_empty)
        pthread_cond_signal(&db->wake);
}

struct waiter {
    struct sv_db_work work;
    enum sv_err result;
    sem_t answered;
};

static void wake_waiter(struct sv_db_work *w, enum sv_err result)
{
    struct waiter *me = (struct waiter *)w; /* its first member */
    me->result = result;
    sem_post(&me->answered);
}

enum sv_err sv_db_write(struct sv_db *db, sv_tx_fn fn, void *arg, struct sv_error *err)
{
    struct waiter me;
    assert(!sv_tx_current && !on_writer(db));
    me.work.fn = fn;
    me.work.arg = arg;
    me.work.done = wake_waiter;
    sem_init(&me.answered, 0, 0);
    sv_db_post(db, &me.work);
    while (sem_wait(&me.answered) != 0)
        ; /* EINTR: a signal for somebody else */
    sem_destroy(&me.answered);
    if (me.result != SV_OK && err)
        *err = me.work.err;
    return me.result;
}

void sv_db_on_change(struct sv_db *db, sv_change_fn fn, void *arg)
{
    pthread_mutex_lock(&db->mutex);
    db->change = fn;
    db->change_arg = arg;
    pthread_mutex_unlock(&db->mutex);
}

void sv_db_stats(struct sv_db *db, struct sv_db_stats *ret)
{
    pthread_mutex_lock(&db->mutex);
    *ret = db->stats;
    pthread_mutex_unlock(&db->mutex);
}
