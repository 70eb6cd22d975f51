/* The database: SQLite in WAL mode, one writer thread with group commit, a reader connection a thread.
 *
 * A transaction (`struct sv_tx`) exists only inside a closure: sv_db_write() and sv_db_post() run it on
 * the writer thread inside a savepoint, sv_db_read() on the calling thread over one snapshot. A write
 * closure that fails is rolled back alone; one fsync answers the whole batch. Because there is one
 * writer, what a write closure reads cannot change under it: rules checked there are exact under races.
 * Closures must not block, and must not call sv_db_* again (asserted).
 *
 * An outage: the file cannot be written (a full disk, an I/O error, a file system remounted read-only, somebody else's
 * lock). Writes wait for as long as it takes and are done in their order, each once, when it is over; so a closure may
 * run again after a run whose writes were taken back, and must begin anew from its argument. Only what says so
 * (`at_once`, sv_db_try) fails meanwhile, with DISK_FULL, DB_IO or DB_DAMAGED. Reading goes on. Whatever a closure
 * makes of such an error, its caller gets that error. */
#ifndef STARVIRT_DB_H
#define STARVIRT_DB_H

#include "starvirt/error.h"

struct sv_db;
struct sv_tx;

typedef enum sv_err (*sv_tx_fn)(struct sv_tx *tx, void *arg, struct sv_error *err);

struct sv_db_options {
    bool create;    /* make the directory and file when absent */
    bool read_only; /* no writer, no migration (fsck, command line) */
    bool inspect;   /* look through the whole file beside the work (sv_db_stats: inspected, damaged) */
    /* A database that is not the one that was here last is refused (SV_E_DB_LOST) unless: */
    bool accept_old;    /* it is an older one, put back knowingly */
    bool new_cloud;     /* there is none, and that is known */
    const char *traces; /* what else the directory has of an earlier cloud; NULL = nothing */
};

/* Opens DIR/starvirt.db, takes DIR/lock, applies pending migrations. SV_E_DB_NEWER, SV_E_DB_LOCKED, SV_E_DB_LOST; an
 * outage's error when trying again may help. */
enum sv_err sv_db_open(const char *dir, const struct sv_db_options *opt, struct sv_db **ret, struct sv_error *err);
/* Answers all queued writes, then closes. NULL ok. */
void sv_db_close(struct sv_db *db);

/* Runs fn on the writer; returns after its batch is on disk. Any thread but the writer. */
enum sv_err sv_db_write(struct sv_db *db, sv_tx_fn fn, void *arg, struct sv_error *err);
/* The same for what is tried again later anyway: fails during an outage. */
enum sv_err sv_db_try(struct sv_db *db, sv_tx_fn fn, void *arg, struct sv_error *err);

/* The same without waiting. `done` (may be NULL) runs on the writer thread once the batch is on disk,
 * or the closure failed; it must not block. The struct belongs to the caller until `done` returns; with
 * done NULL it must come from sv_alloc() and is freed by the database. Order of posts is kept. */
struct sv_db_work {
    sv_tx_fn fn;
    void *arg;
    void (*done)(struct sv_db_work *w, enum sv_err result);
    struct sv_error err;
    bool at_once; /* fails during an outage; fn runs once at most */
    /* The database's: */
    struct sv_db_work *next;
    uint64_t number; /* in the order of posts */
};
void sv_db_post(struct sv_db *db, struct sv_db_work *w);

/* Is it an outage's error: the same write may succeed later? */
bool sv_db_outage(enum sv_err code);
/* Could the last write be done? From any thread, at no cost. */
bool sv_db_writable(struct sv_db *db);
/* [ms] of outages since the start, the present one included. */
int64_t sv_db_outage_ms(struct sv_db *db);
/* The process is about to end: from here on nothing waits, what cannot be written fails. */
void sv_db_hurry(struct sv_db *db);
/* A closure that writes a few bytes, to find out whether writing works. */
enum sv_err sv_db_probe(struct sv_tx *tx, void *arg, struct sv_error *err);

/* Runs fn over a read snapshot on this thread. Nested reads on one thread are refused (asserted). */
enum sv_err sv_db_read(struct sv_db *db, sv_tx_fn fn, void *arg, struct sv_error *err);

/* Inside a write closure: call fn(arg) after the commit, on the writer thread, in order; dropped when
 * the closure or the commit fails (then `arg` is not touched: let it live in longer-lived memory). */
void sv_tx_on_commit(struct sv_tx *tx, void (*fn)(void *arg), void *arg);
/* Memory that lives as long as the closure runs (and, on the writer, through its on_commit hooks). */
struct sv_arena;
struct sv_arena *sv_tx_arena(struct sv_tx *tx);
/* The time of the transaction [ms UTC]: one value for all its rows. */
int64_t sv_tx_now(const struct sv_tx *tx);
/* Inside a write closure: the number of this run of it, which no other run has while the database is open. */
uint64_t sv_tx_number(const struct sv_tx *tx);

/* Figures for metrics. */
struct sv_db_stats {
    uint64_t writes, commits; /* closures run, batches committed */
    uint64_t queue;           /* closures waiting now */
    int64_t commit_us_last;
    int64_t committed_at; /* [ms monotonic] of the last commit */
    enum sv_err outage;   /* SV_OK: writing works */
    uint64_t waiting;     /* closures that wait for the end of the outage */
    uint64_t outages;     /* since the start */
    uint64_t failures;    /* attempts to write that failed in them */
    bool inspected;       /* the whole file was looked through since the start */
    bool damaged;         /* and something in it is spoiled, or was met so */
};
void sv_db_stats(struct sv_db *db, struct sv_db_stats *ret);

/* Checks every invariant (docs/ARCHITECTURE, "Invariants"): quota counters against owned rows, free
 * counts, foreign keys, locks against jobs, leases, states. Calls `breach` with one line each; *ret_n =
 * how many. Works on a live database. */
enum sv_err sv_db_fsck(struct sv_db *db, void (*breach)(void *arg, const char *line), void *arg, unsigned *ret_n,
                       struct sv_error *err);

/* Prepares every statement of every store on the current schema (unit test). */
enum sv_err sv_db_check_statements(struct sv_db *db, struct sv_error *err);

#endif
