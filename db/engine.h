/* Inside db/: what the engine's own files share (db.c, writer.c, read.c, marks.c). Stores use internal.h. */
#ifndef DB_ENGINE_H
#define DB_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "db/internal.h"
#include "starvirt/store_job.h"

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
    bool events;
};

/* --- the database --------------------------------------------------------------------------------------- */

struct sv_queue {
    struct sv_db_work *head, **tail;
};

struct sv_reader;
struct sv_db {
    char *dir, *path;
    int lock_fd; /* -1: none */
    bool read_only;
    struct sv_marks *marks;
    struct sv_reader *readers; /* guarded by the mutex of read.c */

    /* The writer thread's own. */
    struct sv_conn conn;
    struct sv_arena *arena;
    pthread_t writer;
    bool writer_runs;

    /* The checkpoint thread's own. */
    struct sv_conn copier_conn;
    pthread_t copier;
    bool copier_runs;
    int copied_at; /* the writer's: length of the log when copying was last asked for */

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wake, wake_copier;
    struct sv_queue queue;
    bool stop, stop_copier, copy_wanted;
    sv_change_fn change;
    void *change_arg;
    struct sv_db_stats stats;
};

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
    SQL_OPEN_SNAPSHOT,
    SQL_MARKS_ALL,
    SQL_MARKS_TENANT,
    SQL_ENGINE_COUNT
};
extern struct sv_sql_table sv_sql_engine;

#endif
