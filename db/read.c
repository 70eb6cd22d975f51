/* Reading: a connection per thread and database, one snapshot per closure. */
#include <assert.h>
#include <stdlib.h>

#include "db/engine.h"
#include "starvirt/clock.h"

_Thread_local struct sv_tx *sv_tx_current;

/* Belongs to its thread; its connection goes with the thread or with the database, whichever ends first. */
struct sv_reader {
    struct sv_reader *next_of_thread;
    struct sv_reader *next_of_db, **place_of_db;
    _Atomic(struct sv_db *) db; /* NULL: the database was closed, the struct may be used again */
    struct sv_conn conn;
    struct sv_arena *arena;
};

static pthread_mutex_t readers_mutex = PTHREAD_MUTEX_INITIALIZER; /* all lists "of_db" */
static pthread_key_t thread_key;
static pthread_once_t thread_key_once = PTHREAD_ONCE_INIT;

/* --- life of a reader --------------------------------------------------------------------------------- */

/* Under the mutex. */
static void reader_detach(struct sv_reader *r)
{
    *r->place_of_db = r->next_of_db;
    if (r->next_of_db)
        r->next_of_db->place_of_db = r->place_of_db;
    sv_conn_close(&r->conn);
    sv_arena_free(r->arena);
    r->arena = NULL;
    atomic_store_explicit(&r->db, NULL, memory_order_release);
}

static void thread_ends(void *list)
{
    pthread_mutex_lock(&readers_mutex);
    for (struct sv_reader *r = list, *next; r; r = next) {
        next = r->next_of_thread;
        if (atomic_load_explicit(&r->db, memory_order_acquire))
            reader_detach(r);
        free(r);
    }
    pthread_mutex_unlock(&readers_mutex);
}

static void make_thread_key(void)
{
    if (pthread_key_create(&thread_key, thread_ends) != 0)
        abort();
}

void sv_readers_close(struct sv_db *db)
{
    pthread_mutex_lock(&readers_mutex);
    while (db->readers)
        reader_detach(db->readers);
    pthread_mutex_unlock(&readers_mutex);
}

/* This thread's struct with that database; NULL asks for one to use again. */
static struct sv_reader *reader_with(struct sv_reader *list, const struct sv_db *db)
{
    for (struct sv_reader *r = list; r; r = r->next_of_thread)
        if (atomic_load_explicit(&r->db, memory_order_acquire) == db)
            return r;
    return NULL;
}

static void reader_attach(struct sv_reader *r, struct sv_db *db)
{
    pthread_mutex_lock(&readers_mutex);
    r->next_of_db = db->readers;
    if (r->next_of_db)
        r->next_of_db->place_of_db = &r->next_of_db;
    r->place_of_db = &db->readers;
    db->readers = r;
    atomic_store_explicit(&r->db, db, memory_order_release);
    pthread_mutex_unlock(&readers_mutex);
}

static enum sv_err reader_make(struct sv_reader *list, struct sv_db *db, struct sv_reader **ret, struct sv_error *err)
{
    struct sv_conn conn;
    enum sv_err code = sv_conn_open(db->path, true, &conn, err);
    if (code != SV_OK)
        return code;
    struct sv_reader *r = reader_with(list, NULL);
    if (!r) {
        r = sv_alloc(sizeof(*r));
        r->next_of_thread = list;
        pthread_setspecific(thread_key, r);
    }
    r->conn = conn;
    r->arena = sv_arena_new();
    reader_attach(r, db);
    *ret = r;
    return SV_OK;
}

static enum sv_err reader_get(struct sv_db *db, struct sv_reader **ret, struct sv_error *err)
{
    pthread_once(&thread_key_once, make_thread_key);
    struct sv_reader *list = pthread_getspecific(thread_key);
    *ret = reader_with(list, db);
    return *ret ? SV_OK : reader_make(list, db, ret, err);
}

/* --- reading ------------------------------------------------------------------------------------------ */

static enum sv_err run_sql(struct sv_tx *tx, unsigned index, struct sv_error *err)
{
    return sv_exec(tx, sv_stmt(tx, &sv_sql_engine, index), NULL, err);
}

/* After an I/O error the next reading begins with a new connection. */
static void drop_if_troubled(struct sv_reader *r)
{
    if (!r->conn.trouble)
        return;
    pthread_mutex_lock(&readers_mutex);
    reader_detach(r);
    pthread_mutex_unlock(&readers_mutex);
}

enum sv_err sv_db_read(struct sv_db *db, sv_tx_fn fn, void *arg, struct sv_error *err)
{
    struct sv_reader *r;
    assert(!sv_tx_current);
    enum sv_err code = reader_get(db, &r, err);
    if (code != SV_OK)
        return code;
    struct sv_tx tx = {.conn = &r->conn, .db = db, .arena = r->arena, .now = sv_db_now()};
    tx.marks_version = sv_marks_version(db->marks);
    code = run_sql(&tx, SQL_BEGIN_READ, err);
    if (code != SV_OK)
        goto out;
    sv_tx_current = &tx;
    code = fn(&tx, arg, err);
    sv_tx_current = NULL;
    if (r->conn.trouble && code != r->conn.trouble) /* whatever the closure made of it */
        code = sv_fail(err, r->conn.trouble, SV_F_NONE);
    /* Nothing was changed: how the snapshot ends cannot fail the reading. */
    run_sql(&tx, SQL_COMMIT, NULL);
    sv_arena_reset(r->arena);
out:
    drop_if_troubled(r);
    return code;
}

/* --- what every transaction has ------------------------------------------------------------------------- */

struct sv_arena *sv_tx_arena(struct sv_tx *tx)
{
    return tx->arena;
}

int64_t sv_tx_now(const struct sv_tx *tx)
{
    return tx->now;
}

uint64_t sv_tx_number(const struct sv_tx *tx)
{
    return tx->number;
}

/* Does not go back with what a clock is corrected by all the time; with more it does, for it was wrong. */
int64_t sv_db_now(void)
{
    static _Atomic int64_t last;
    int64_t now = sv_now_ms();
    int64_t seen = atomic_load_explicit(&last, memory_order_relaxed);
    while ((seen < now || seen - now > SV_CLOCK_DRIFT_MS) && !atomic_compare_exchange_weak(&last, &seen, now))
        ;
    return seen < now || seen - now > SV_CLOCK_DRIFT_MS ? now : seen;
}
