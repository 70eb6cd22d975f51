/* Inside db/: what the engine's own files share (db.c, writer.c, read.c, marks.c). Stores use internal.h. */
#ifndef DB_ENGINE_H
#define DB_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "db/internal.h"
#include "starvirt/store_job.h"
#include "starvirt/store_tenant.h"
#include "starvirt/thread.h"

/* --- what a closure leaves behind: takes effect after the commit, is cut off when the closure fails --- */

struct sv_hook {
    struct sv_hook *next;
    void (*fn)(void *arg);
    void *arg;
};
struct sv_mark_change {
    struct sv_mark_change *next;
    bool inserted; /* else deleted */
    struct sv_id tenant, id;
    int64_t created;
};
struct sv_changed_job {
    struct sv_changed_job *next;
    struct sv_id id;
};
/* Lists in the arena of the batch; the ends point at the last `next`, or into this struct: never copy an
 * sv_effects to another place but to put it back where it came from. */
struct sv_effects {
    struct sv_hook *hooks, **hooks_end;
    struct sv_mark_change *marks, **marks_end;
    struct sv_changed_job *jobs, **jobs_end;
    unsigned job_count;
    bool events, tokens, alarms;
};

void sv_effects_init(struct sv_effects *e);
/* After the commit, on the writer thread: each job once, in the order of its first change. */
void sv_effects_tell(struct sv_db *db, const struct sv_effects *e);
void sv_effects_cut(struct sv_effects *e, const struct sv_effects *was); /* back to what there was at that time */

/* --- the database --------------------------------------------------------------------------------------- */

struct sv_queue {
    struct sv_db_work *head, **tail;
    unsigned n;
};

/* The state of an outage; guarded by the mutex of the database, but for `writable`. */
struct sv_outage {
    enum sv_err code;  /* SV_OK: none */
    int64_t since;     /* [ms monotonic] */
    int64_t past_ms;   /* of those before */
    bool hurry;        /* nothing waits any more */
    atomic_bool works; /* !code, for everybody */
};

enum { SV_LIFE_ID = 32 };    /* hexadecimal digits */
enum { SV_BUSY_MS = 10000 }; /* [ms] a connection waits for another one */

struct sv_reader;
struct sv_db {
    char *dir, *path;
    int lock_fd; /* -1: none */
    bool locked; /* through it */
    bool read_only;
    struct sv_marks *marks;
    struct sv_reader *readers; /* guarded by the mutex of read.c */

    /* The writer thread's own. */
    struct sv_conn conn;
    struct sv_arena *arena;
    pthread_t writer;
    bool writer_runs;
    /* What could not be written and waits, in order; and closures that made the transaction fail, to be run alone. */
    struct sv_queue waiting, aside;
    struct sv_db_work *suspect;           /* in `waiting`: did the last attempt fail by it alone? NULL = none */
    bool probed;                          /* since then something else could be written */
    int64_t tried_at, retry_at, pause_ms; /* [ms monotonic] the last attempt of an outage; the next */
    uint64_t runs;                        /* of closures, since it was opened */
    int64_t commits;                      /* counted in the row `life` (db/life.c) */
    char life[SV_LIFE_ID + 1];            /* its id */
    char *mark_path;
    int mark_fd;    /* -1: none yet */
    dev_t file_dev; /* which file it is: a new connection must not open another */
    ino_t file_ino;

    /* The checkpoint thread's own. */
    struct sv_conn copier_conn;
    pthread_t copier;
    bool copier_runs;
    int copied_at; /* the writer's: length of the log when copying was last asked for */

    /* db/inspect.c */
    struct sv_conn inspector_conn;
    struct sv_crew inspectors; /* one, which ends when it has seen all */
    bool has_inspectors, inspecting;
    atomic_bool stop_inspector, inspected, damaged;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wake, wake_copier;
    struct sv_queue queue;
    uint64_t posts;
    bool stop, stop_copier, copy_wanted;
    sv_change_fn change;
    void *change_arg;
    void (*tokens)(void *arg);
    void *tokens_arg;
    void (*alarms)(void *arg);
    void *alarms_arg;
    struct sv_outage outage;
    struct sv_db_stats stats;
};

void sv_queue_init(struct sv_queue *q);
void sv_queue_add(struct sv_queue *q, struct sv_db_work *w);
struct sv_db_work *sv_queue_take(struct sv_queue *q); /* of one that is not empty */

/* --- outages (db/outage.c) --- */

/* What the connection's last error is to us; SV_E_DB for a fault of the statement itself. */
enum sv_err sv_conn_error(const struct sv_conn *conn);
/* On the writer, after each attempt: SV_OK, or how it failed and in whose words. */
void sv_outage_note(struct sv_db *db, enum sv_err code, const char *detail);
/* A connection that saw an I/O error may be of no use any more: another, where one opens. */
void sv_outage_reconnect(struct sv_db *db);
/* Which file is open, remembered for that. */
void sv_outage_know_file(struct sv_db *db);

/* --- is it the database that was here last? (db/life.c) --- */

/* Before the file is touched; of one that is there, before it is migrated: SV_E_DB_LOST. */
enum sv_err sv_life_expect(struct sv_db *db, const struct sv_db_options *opt, struct sv_error *err);
enum sv_err sv_life_compare(struct sv_db *db, const struct sv_db_options *opt, struct sv_error *err);
enum sv_err sv_life_begin(struct sv_db *db, struct sv_error *err);
void sv_life_mark(struct sv_db *db); /* on the writer, after a commit */

/* --- is all of it sound? (db/inspect.c) --- */

void sv_inspect_start(struct sv_db *db);
void sv_inspect_stop(struct sv_db *db);
void sv_db_damaged(struct sv_db *db, const char *what); /* told once */

enum sv_err sv_writer_start(struct sv_db *db, struct sv_error *err);
void sv_writer_stop(struct sv_db *db); /* answers what is queued first */

/* Copies the write-ahead log back into the file beside the writer, so that no commit waits for it. */
enum sv_err sv_checkpoint_start(struct sv_db *db, struct sv_error *err);
void sv_checkpoint_stop(struct sv_db *db);
/* On the writer, after a batch was answered. */
void sv_checkpoint_after(struct sv_db *db, int wal_pages);

/* A thread without signals: those are for the threads that ask for them. */
enum sv_err sv_db_thread(pthread_t *ret, const char *name, void *(*run)(void *), void *arg, struct sv_error *err);

void sv_readers_close(struct sv_db *db);
/* Wall clock that never goes back within the process. */
int64_t sv_db_now(void);
/* The transaction running on this thread, NULL outside of closures. */
extern _Thread_local struct sv_tx *sv_tx_current;

struct sv_marks *sv_marks_new(void);
void sv_marks_free(struct sv_marks *m);
/* Around the commit of a batch with mark changes: between the two no reader trusts the marks. */
void sv_marks_before_commit(struct sv_marks *m);
void sv_marks_after_commit(struct sv_marks *m, const struct sv_mark_change *changes /* NULL: commit failed */);
/* Which state of the marks a snapshot opened from now on may use. */
uint64_t sv_marks_version(struct sv_marks *m);

/* The engine's own statements. */
enum {
    SQL_BEGIN_READ,
    SQL_BEGIN_WRITE,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_SAVEPOINT,
    SQL_ROLLBACK_TO,
    SQL_RELEASE,
    SQL_COUNT_COMMIT,
    SQL_PROBE,
    SQL_OPEN_SNAPSHOT,
    SQL_MARKS_ALL,
    SQL_MARKS_TENANT,
    SQL_ENGINE_COUNT
};
extern struct sv_sql_table sv_sql_engine;

#endif
