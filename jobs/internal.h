/* The engine's own types. Lock order: sv_jobs.mutex is a leaf, nothing is called while it is held that
 * blocks or takes another lock. The writer thread takes it in hooks, so it is held only for list work. */
#ifndef STARVIRT_JOBS_INTERNAL_H
#define STARVIRT_JOBS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "starvirt/db.h"
#include "starvirt/jobs.h"
#include "starvirt/mem.h"

#define JOBS_WORKERS_MAX     256
#define JOBS_IDLE_MS         10000 /* an idle worker leaves after this; one stays */
#define JOBS_UNDO_MS         60000 /* what all tries of an undo may take */
#define JOBS_UNDO_GUEST_MS   10000 /* the same when it is finished later and waits for a guest: its VM is locked */
#define JOBS_UNDO_TRIES      3
#define JOBS_EXPIRE_MS       (3600LL * 1000)
#define JOBS_EXPIRE_FIRST_MS (60LL * 1000)
#define JOBS_TO_FREE         64 /* open jobs beyond its quota that a tenant may have to free what it holds */
#define JOBS_PROGRESS_MS     500
#define JOBS_HASH            1024 /* buckets, a power of two */
#define JOBS_ARG_MAX         512  /* [bytes] of an argument of a step's note */
#define JOBS_RESULTS         8

enum jobs_state {
    JOBS_QUEUED,
    JOBS_RUNNING,
    JOBS_PAST_LAST, /* its last step succeeded: too late to cancel */
    JOBS_UNDOING,
};

/* An open job in memory: what it needs to be found and picked; the rest is read from its row. */
struct jobs_item {
    struct sv_id id;
    const struct sv_job_kind *kind;
    struct jobs_share *share;
    enum jobs_state state;       /* mutex */
    atomic_bool cancel;          /* the run's cancel flag, read by its blocking calls */
    TAILQ_ENTRY(jobs_item) link; /* in share->queue while JOBS_QUEUED */
    struct jobs_item *hash_next;
};
TAILQ_HEAD(jobs_items, jobs_item);

/* What one tenant has in one lane: first come, first served. It is there while it has a job, queued or running. */
struct jobs_share {
    struct jobs_lane *lane;
    struct sv_id tenant;
    struct jobs_items queue;
    unsigned running;
    struct jobs_shares *in; /* the list of its lane that it waits in; NULL: nothing queued */
    TAILQ_ENTRY(jobs_share) link;
    struct jobs_share *hash_next;
};
TAILQ_HEAD(jobs_shares, jobs_share);

/* The queue of one host. Tenants take turns: those that run nothing here come before those that do, each of the two
 * in the order in which they came to wait. `running` is at most slots_per_host, and up to sv_jobs.spare more for
 * tenants that run nothing here: whose jobs are long fills the slots, and yet others come in at once. */
struct jobs_lane {
    struct sv_id host;             /* empty: jobs that belong to no host */
    struct jobs_shares idle, busy; /* shares with queued jobs, by whether they run one */
    unsigned running;
    bool ready; /* in sv_jobs.ready: has a job that may run now */
    TAILQ_ENTRY(jobs_lane) link;
    struct jobs_lane *hash_next;
};
TAILQ_HEAD(jobs_lanes, jobs_lane);

struct jobs_worker {
    struct sv_jobs *jobs;
    pthread_t thread;
    TAILQ_ENTRY(jobs_worker) link;
    struct sv_arena *job_arena, *step_arena; /* the worker's, reset between jobs and steps */
};
TAILQ_HEAD(jobs_workers, jobs_worker);

struct jobs_crash {
    char kind[64], step[64], when[16];
};

struct sv_jobs {
    struct sv_db *db;
    const struct sv_job_kind *const *kinds;
    unsigned kind_count;
    void *app;
    void (*released)(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app);
    void (*tell_ended)(void *arg, const struct sv_id *startid);
    void *tell_arg;
    unsigned slots, spare;
    bool requeue;
    int64_t keep_ms;
    struct jobs_crash crash; /* kind "" = none */
    /* Waits; tests shorten them. */
    int64_t undo_wait_ms; /* the first of its back-off */
    int64_t idle_ms, expire_first_ms;

    pthread_mutex_t mutex;
    pthread_cond_t work;   /* to idle workers */
    pthread_cond_t keeper; /* to the housekeeper */
    pthread_cond_t quiet;  /* a worker left, or we are stopping */
    /* all below: mutex */
    struct jobs_item *items[JOBS_HASH];
    struct jobs_lane *lanes[JOBS_HASH];
    struct jobs_share *shares[JOBS_HASH];
    struct jobs_lanes ready;
    unsigned lane_count, queued, running;
    struct jobs_workers workers, gone;
    unsigned worker_count, idle, starting;
    bool open; /* workers may take jobs */
    bool stopping;
    bool keeper_up;
    pthread_t keeper_thread;
    uint64_t ended[JOBS_RESULTS];
    uint64_t (*ended_by_kind)[JOBS_RESULTS];

    atomic_bool abandoned; /* the stop's limit is over: nothing may touch the database any more */
};

struct jobs_line {
    enum sv_level level;
    enum sv_note note;
    const char *args[SV_ERR_ARGS];
};

/* A job on a worker. */
struct sv_run {
    struct sv_jobs *jobs;
    struct jobs_item *item;
    const struct sv_job_kind *kind;
    struct sv_arena *job_arena, *step_arena;
    struct sv_job job;   /* texts in job_arena */
    struct sv_job first; /* likewise: the job whose undo this one finishes; id empty: none */
    struct sv_deadline deadline;
    int64_t outage_seen; /* [ms] of the database's outages that the deadline knows of */
    unsigned step_count; /* of this job */
    unsigned step;       /* the one being run or undone */
    unsigned percent;    /* highest written */
    int64_t progress_at;
    bool undoing;
    bool again; /* goes on after a restart: steps past the recorded one may have run */
    /* How it ends, once that is known. */
    enum sv_job_result result;
    struct sv_error why;
    unsigned undo_from; /* steps before this are to be undone */
    unsigned left;      /* undos of steps before this could not be; 0 = none */
    struct sv_error undo_why;
    struct jobs_line last; /* about the last step, not written yet; note SV_NOTE_COUNT = none */
    char last_error[640];
};

/* What becomes of a run next. */
enum jobs_way {
    JOBS_WAY_STEPS,
    JOBS_WAY_UNDO,
    JOBS_WAY_END,
    JOBS_WAY_LEAVE, /* for the next start, or it ended meanwhile */
};

/* queue.c; callers hold the mutex */
struct jobs_item *jobs_item_find(struct sv_jobs *jobs, const struct sv_id *id);
void jobs_item_add(struct sv_jobs *jobs, const struct sv_id *id, const struct sv_id *tenant, const struct sv_id *host,
                   const struct sv_job_kind *kind);
struct jobs_item *jobs_item_take(struct sv_jobs *jobs);              /* NULL: nothing to do */
void jobs_item_drop(struct sv_jobs *jobs, struct jobs_item *item);   /* a queued one */
void jobs_item_finish(struct sv_jobs *jobs, struct jobs_item *item); /* a taken one */
void jobs_wake(struct sv_jobs *jobs);                                /* somebody takes what is ready */
void jobs_queue_clear(struct sv_jobs *jobs);

/* engine.c */
void jobs_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_mono_ms, bool *ret_over);
bool jobs_pause(struct sv_jobs *jobs, int64_t ms); /* false: stopping */
bool jobs_stopping(struct sv_jobs *jobs);
bool jobs_abandoned(struct sv_jobs *jobs);
void jobs_crash_at(const struct sv_jobs *jobs, const struct sv_job_kind *kind, const char *step, const char *when);
bool jobs_crash_is(const struct sv_jobs *jobs, const struct sv_job_kind *kind, const char *step, const char *when);

/* worker.c */
void *jobs_worker_main(void *worker);

/* steps.c: a job forward; undo.c: and back */
enum jobs_way jobs_steps(struct sv_run *r);
unsigned jobs_step_count(const struct sv_job_kind *kind, const struct sv_job *job); /* those it needs */
enum jobs_way jobs_undo(struct sv_run *r);
unsigned jobs_percent(const struct sv_run *r, unsigned steps_done, int64_t part, int64_t whole);

/* record.c: what goes to disk */
enum jobs_way jobs_begin(struct sv_run *r);
enum jobs_way jobs_end(struct sv_run *r);
bool jobs_write_undo(struct sv_run *r); /* false: could not, leave */
struct jobs_record {
    const char *step_done; /* lines, NULL = none */
    const char *step_begin;
    bool set_step;
    unsigned step; /* with set_step */
    bool set_percent;
    unsigned percent;
    const struct jobs_line *line;
};
void jobs_post(struct sv_run *r, const struct jobs_record *rec);
/* The same, on disk when it returns. */
void jobs_record_now(struct sv_run *r, const struct jobs_record *rec);

/* ending.c: the transaction that ends a job */
struct jobs_ending {
    struct sv_jobs *jobs;
    struct sv_id id;
    enum sv_job_result result;
    const struct sv_error *why;   /* NULL when done */
    const struct jobs_line *last; /* written first; NULL = none */
    unsigned left;                /* undos of steps before this are left; 0 = none */
    bool cancel_first;            /* out: not ended, a cancellation came before */
    bool gone;                    /* out: had ended already */
};
enum sv_err jobs_end_tx(struct sv_tx *tx, void *ending, struct sv_error *err);
/* Counts it once it is on disk. */
void jobs_count_end(struct sv_jobs *jobs, const struct sv_job_kind *kind, enum sv_job_result result);
enum sv_err jobs_line_add(struct sv_tx *tx, const struct sv_id *id, const struct jobs_line *line, struct sv_error *err);

/* pending.c: undos that are left. In the transaction that ends a job with one; that begins, that ends its finisher. */
enum sv_err jobs_leave(struct sv_tx *tx, const struct jobs_ending *e, const struct sv_job_kind *kind,
                       const struct sv_job *job, struct sv_error *err);
enum sv_err jobs_begin_finisher(struct sv_tx *tx, struct sv_run *r, struct sv_error *err);
enum sv_err jobs_end_finisher(struct sv_tx *tx, const struct jobs_ending *e, const struct sv_job_kind *kind,
                              const struct sv_job *job, struct sv_error *err);
/* What is pending for an object that has gone is undone with it. */
enum sv_err jobs_settle_object(struct sv_tx *tx, const struct jobs_ending *e, const struct sv_id *object,
                               struct sv_error *err);

/* recover.c */
enum sv_err jobs_recover(struct sv_jobs *jobs, struct sv_error *err);

/* text.c: an error as one argument of a note, and back */
void jobs_error_pack(const struct sv_error *e, char *buf, size_t size);
void jobs_error_unpack(const char *packed, struct sv_error *ret);
/* Blanks for control characters, but those of amounts and fields: separators in the database, line breaks in a log. */
void jobs_clean(char *s);

#endif
