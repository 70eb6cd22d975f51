/* Writing: one thread, group commit. Producers queue closures; the writer runs all that wait in one
 * transaction, each in a savepoint, and answers them after one commit.
 *
 * In an outage (db/outage.c) a batch that could not be written is taken apart: what may fail is answered, the rest
 * waits in its order and is tried again, together with what came meanwhile, soon when there is new work and else ever
 * less often. A closure whose own reading made the transaction fail (a page that cannot be read) is set aside and run
 * alone, so that it holds up nobody: but only when it fails once more after a commit without it, of nothing else, could
 * be written. Till then nobody passes it by. */
#include <signal.h>
#include <stdlib.h>

#include "db/engine.h"
#include "starvirt/clock.h"
#include "starvirt/log.h"
#include "starvirt/thread.h"

/* Bounds how long the first of a batch waits for the last. */
#define BATCH_MAX 512

/* [ms] in an outage: between an attempt and the next one that new work asks for; else, doubling. */
enum { TRY_SOON_MS = 20, TRY_MAX_MS = 1000 };

struct batch {
    struct sv_tx tx; /* of the closure that runs */
    struct sv_effects effects;
    struct sv_db_work *works[BATCH_MAX];
    enum sv_err results[BATCH_MAX];
    unsigned count;
    int culprit;             /* which closure lost the transaction; -1 = none */
    bool single;             /* one that was set aside */
    bool probe;              /* nothing: whether anything can be written, now that there is a suspect */
    enum sv_err outage;      /* when it was put together */
    struct sv_queue refused; /* not tried, because not all that waits before it could be */
};

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
    if (tx->conn->trouble) /* it may have gone on all the same */
        code = tx->conn->trouble;
    if (code == SV_OK)
        code = run_sql(tx, SQL_RELEASE, &w->err);
    if (code != SV_OK && !transaction_lost(tx)) {
        run_sql(tx, SQL_ROLLBACK_TO, NULL);
        run_sql(tx, SQL_RELEASE, NULL);
    }
    return code;
}

/* An outage's error stands, whatever the closure made of it. */
static enum sv_err run_closure(struct batch *b, struct sv_db_work *w)
{
    const struct sv_effects before = b->effects;
    struct sv_conn *conn = b->tx.conn;
    w->err.code = SV_OK;
    b->tx.now = sv_db_now();
    b->tx.number = ++b->tx.db->runs;
    conn->trouble = SV_OK;
    enum sv_err code = run_in_savepoint(&b->tx, w);
    if (code == SV_OK)
        return SV_OK;
    sv_effects_cut(&b->effects, &before);
    if (conn->trouble)
        code = conn->trouble;
    if (w->err.code != code) /* the closure gave a code and no more */
        sv_fail(&w->err, code, SV_F_NONE);
    return code;
}

static enum sv_err run_closures(struct batch *b, struct sv_error *err)
{
    enum sv_err code = run_sql(&b->tx, SQL_BEGIN_WRITE, err);
    if (code != SV_OK)
        return code;
    for (unsigned i = 0; i < b->count; i++) {
        b->results[i] = run_closure(b, b->works[i]);
        if (transaction_lost(&b->tx)) {
            b->culprit = (int)i;
            *err = b->works[i]->err;
            return sv_db_outage(err->code) ? err->code : sv_fail(err, SV_E_DB, SV_F_NONE, err->arg[0]);
        }
    }
    return SV_OK;
}

/* Every commit that changes something is counted (db/life.c). */
static enum sv_err count_commit(struct sv_db *db, struct batch *b, int changes, struct sv_error *err)
{
    if (sqlite3_total_changes(db->conn.db) == changes)
        return SV_OK;
    SV_STMT st = sv_stmt(&b->tx, &sv_sql_engine, SQL_COUNT_COMMIT);
    sv_bind(st, "i", db->commits + 1);
    enum sv_err code = sv_exec(&b->tx, st, NULL, err);
    if (code == SV_OK)
        db->commits++;
    return code;
}

static enum sv_err commit(struct sv_db *db, struct batch *b, struct sv_error *err)
{
    bool marks = b->effects.marks != NULL;
    if (marks)
        sv_marks_before_commit(db->marks);
    enum sv_err code = run_sql(&b->tx, SQL_COMMIT, err);
    if (marks)
        sv_marks_after_commit(db->marks, code == SV_OK ? b->effects.marks : NULL);
    return code;
}

static enum sv_err attempt(struct sv_db *db, struct batch *b, int64_t *ret_us, struct sv_error *err)
{
    const int64_t commits = db->commits;
    const int changes = sqlite3_total_changes(db->conn.db);
    b->tx = (struct sv_tx){.conn = &db->conn, .db = db, .arena = db->arena, .writable = true, .effects = &b->effects};
    b->culprit = -1;
    sv_effects_init(&b->effects);
    db->conn.trouble = SV_OK;
    enum sv_err code = run_closures(b, err);
    if (code == SV_OK && b->count == 0)
        code = run_sql(&b->tx, SQL_PROBE, err);
    if (code == SV_OK)
        code = count_commit(db, b, changes, err);
    const int64_t start = sv_mono_us();
    if (code == SV_OK)
        code = commit(db, b, err);
    *ret_us = sv_mono_us() - start;
    if (code == SV_OK) {
        if (db->commits != commits)
            sv_life_mark(db);
        return SV_OK;
    }
    db->commits = commits;
    if (!transaction_lost(&b->tx))
        run_sql(&b->tx, SQL_ROLLBACK, NULL);
    return code;
}

static bool may_wait(struct sv_db *db, const struct sv_db_work *w)
{
    pthread_mutex_lock(&db->mutex);
    const bool ends = db->stop || db->outage.hurry;
    pthread_mutex_unlock(&db->mutex);
    return !ends && !w->at_once;
}

/* At its place in the order of posts. */
static void put_back(struct sv_queue *q, struct sv_db_work *w)
{
    struct sv_db_work **at = &q->head;
    while (*at && (*at)->number < w->number)
        at = &(*at)->next;
    w->next = *at;
    *at = w;
    if (!w->next)
        q->tail = &w->next;
    q->n++;
}

static void take_out(struct sv_queue *q, const struct sv_db_work *w)
{
    struct sv_db_work **at = &q->head;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    if (!*at)
        q->tail = at;
    q->n--;
}

/* Out of the batch goes what is to wait: all of it when the attempt failed (`why`), else those that failed alone. */
static void keep_waiting(struct sv_db *db, struct batch *b, const struct sv_error *why)
{
    unsigned answered = 0;
    for (unsigned i = 0; i < b->count; i++) {
        struct sv_db_work *w = b->works[i];
        if (why && why->code != w->err.code)
            w->err = *why;
        if (why)
            b->results[i] = why->code;
        if (sv_db_outage(b->results[i]) && may_wait(db, w)) {
            put_back(why ? &db->waiting : &db->aside, w);
            continue;
        }
        b->works[answered] = w;
        b->results[answered++] = b->results[i];
    }
    b->count = answered;
}

/* The next attempt: later than the last pause, and soon after it began to fail. */
static void pause_longer(struct sv_db *db)
{
    db->tried_at = sv_mono_ms();
    db->pause_ms = db->pause_ms ? db->pause_ms * 2 : TRY_SOON_MS;
    if (db->pause_ms > TRY_MAX_MS)
        db->pause_ms = TRY_MAX_MS;
    db->retry_at = db->tried_at + db->pause_ms;
}

static bool is_in(const struct sv_queue *q, const struct sv_db_work *w)
{
    const struct sv_db_work *at = q->head;
    while (at && at != w)
        at = at->next;
    return at != NULL;
}

/* After all that waits was put back. Whose closure lost the transaction may be the only one that cannot be written: a
 * suspect, for which a probe comes next and then the same batch again. */
static void suspect(struct sv_db *db, struct sv_db_work *culprit, bool proved)
{
    const struct sv_db_work *before = db->suspect;
    db->suspect = NULL;
    if (!culprit || !is_in(&db->waiting, culprit))
        return;
    if (!proved) {
        db->suspect = culprit;
    } else if (before == culprit) {
        take_out(&db->waiting, culprit);
        put_back(&db->aside, culprit);
    }
}

static struct sv_db_work *culprit_of(const struct batch *b, const struct sv_error *why)
{
    const bool own = b->culprit >= 0 && !b->single && sv_db_outage(why->code) && why->code != SV_E_DISK_FULL;
    return own ? b->works[b->culprit] : NULL;
}

static void attempt_failed(struct sv_db *db, struct batch *b, const struct sv_error *why)
{
    struct sv_db_work *culprit = culprit_of(b, why);
    if (!sv_db_outage(why->code))
        sv_log(SV_LOG_ERROR, "db.batch_failed", "error", why->arg[0], "closures", sv_dec(b->count).s, NULL);
    else if (!b->single || db->outage.code) /* one that fails alone is no outage */
        sv_outage_note(db, why->code, why->arg[0]);
    keep_waiting(db, b, why);
    suspect(db, culprit, db->probed);
    db->probed = false;
    sv_effects_init(&b->effects);
    pause_longer(db);
}

static void attempt_done(struct sv_db *db, struct batch *b)
{
    db->probed = b->probe;
    if (!b->probe)
        db->suspect = NULL;
    if (db->outage.code)
        sv_outage_note(db, SV_OK, "");
    keep_waiting(db, b, NULL);
    if (!db->aside.head)
        db->pause_ms = 0;
    else if (b->single || !db->pause_ms)
        pause_longer(db);
}

static void run_batch(struct sv_db *db, struct batch *b)
{
    struct sv_error why = {.code = SV_OK};
    const unsigned count = b->count;
    int64_t us;
    if (db->outage.code && db->outage.code != SV_E_DISK_FULL)
        sv_outage_reconnect(db);
    if (attempt(db, b, &us, &why) == SV_OK)
        attempt_done(db, b);
    else
        attempt_failed(db, b, &why);
    pthread_mutex_lock(&db->mutex);
    db->stats.writes += count;
    db->stats.commits++;
    db->stats.commit_us_last = us;
    db->stats.waiting = db->waiting.n + db->aside.n;
    if (why.code == SV_OK)
        db->stats.committed_at = sv_mono_ms();
    pthread_mutex_unlock(&db->mutex);
}

/* --- after the commit ------------------------------------------------------------------------------------ */

static void answer(struct sv_db_work *w, enum sv_err result)
{
    if (w->done) {
        w->done(w, result);
        return;
    }
    if (result != SV_OK)
        sv_log(sv_db_outage(result) ? SV_LOG_WARN : SV_LOG_ERROR, "db.post_failed", "error", sv_err_symbol(result),
               "detail", w->err.arg[0], NULL);
    free(w);
}

static void answer_batch(struct sv_db *db, struct batch *b)
{
    for (const struct sv_hook *h = b->effects.hooks; h; h = h->next)
        h->fn(h->arg);
    sv_effects_tell(db, &b->effects);
    for (unsigned i = 0; i < b->count; i++)
        answer(b->works[i], b->results[i]);
    while (b->refused.head) {
        struct sv_db_work *w = sv_queue_take(&b->refused);
        answer(w, sv_fail(&w->err, b->outage, SV_F_NONE));
    }
    sv_arena_reset(db->arena);
    sv_checkpoint_after(db, db->conn.wal_pages);
}

/* --- the thread ------------------------------------------------------------------------------------------- */

/* Under the mutex: until when there is nothing to do [ms monotonic]; 0: there is something now. */
static int64_t idle_until(const struct sv_db *db)
{
    const bool some = db->queue.head || db->waiting.head || db->aside.head;
    if (db->stop || db->suspect || (db->outage.hurry && some))
        return 0;
    if (db->outage.code)
        return db->queue.head ? db->tried_at + TRY_SOON_MS : db->retry_at;
    if (db->queue.head || db->waiting.head)
        return 0;
    return db->aside.head ? db->retry_at : INT64_MAX;
}

/* More waits than a batch holds: nobody passes it by. */
static void pass_queue(struct sv_db *db, struct batch *b)
{
    while (db->queue.head) {
        struct sv_db_work *w = sv_queue_take(&db->queue);
        sv_queue_add(w->at_once ? &b->refused : &db->waiting, w);
    }
}

static void fill_batch(struct sv_db *db, struct batch *b)
{
    const bool ordinary = db->waiting.head || db->queue.head;
    b->probe = db->suspect && !db->probed;
    b->outage = db->outage.code;
    b->single = !db->suspect && db->aside.head && (!ordinary || (!db->outage.code && sv_mono_ms() >= db->retry_at));
    if (b->single)
        b->works[b->count++] = sv_queue_take(&db->aside);
    if (b->single || b->probe)
        return;
    while (b->count < BATCH_MAX && (db->waiting.head || db->queue.head))
        b->works[b->count++] = sv_queue_take(db->waiting.head ? &db->waiting : &db->queue);
    if (db->outage.code && b->count == BATCH_MAX)
        pass_queue(db, b);
}

/* Waits for work; false when there is none and none will come. In an outage also without work, to see whether it is
 * over. */
static bool take(struct sv_db *db, struct batch *b)
{
    b->count = 0;
    sv_queue_init(&b->refused);
    pthread_mutex_lock(&db->mutex);
    for (int64_t until; (until = idle_until(db)) > sv_mono_ms();)
        sv_cond_wait(&db->wake, &db->mutex, until);
    if (db->stop || db->outage.hurry)
        db->suspect = NULL;
    const bool over = db->stop && !db->queue.head && !db->waiting.head && !db->aside.head;
    fill_batch(db, b);
    db->stats.queue = db->queue.n;
    pthread_mutex_unlock(&db->mutex);
    return !over;
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

enum sv_err sv_db_probe(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    return run_sql(tx, SQL_PROBE, err);
}
