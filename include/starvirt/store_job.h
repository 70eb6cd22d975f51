/* Jobs, their log, object locks, events. Used by jobs/ (which owns the meaning) and,
 * for reading, by core/. */
#ifndef STARVIRT_STORE_JOB_H
#define STARVIRT_STORE_JOB_H

#include "starvirt/note.h"
#include "starvirt/store.h"

/* StarVCenter appendix 4; also the wire codes. */
enum sv_job_result {
    SV_JOB_DONE = 0,
    SV_JOB_FAILED = 1,
    SV_JOB_RUNNING = 2,
    SV_JOB_QUEUED = 3,
    SV_JOB_LOST = 4,
    SV_JOB_TIMEOUT = 5,
    SV_JOB_ABORTED = 6,
    SV_JOB_CANCELLED = 7,
};
static inline bool sv_job_ended(enum sv_job_result r)
{
    return r != SV_JOB_RUNNING && r != SV_JOB_QUEUED;
}

struct sv_job {
    struct sv_id id, tenant, object, host /* may be empty */;
    const char *kind;        /* job kind row's name */
    const char *object_type; /* "vm", "template" */
    const char *object_name;
    int64_t iarg[2]; /* what the kind needs beyond the object */
    const char *sarg;
    enum sv_job_result result;
    unsigned percent;
    unsigned step;                             /* first step not recorded as done */
    bool undoing;                              /* failed or cancelled: steps before `step` are being undone */
    enum sv_job_result undo_result;            /* what it ends as after undoing */
    bool cancel;                               /* asked for */
    int64_t created, started, ended, deadline; /* deadline 0 = none until started */
    struct sv_id finishes;                     /* the job whose pending undo it finishes; empty: an ordinary one */
    const char *error_symbol, *error_args[SV_ERR_ARGS]; /* "" unless failed */
};
/* Counted among its tenant's jobs and open jobs. */
enum sv_err sv_job_insert(struct sv_tx *tx, const struct sv_job *j, struct sv_error *err);
/* The same within the tenant's quota of open jobs and so many `more`, none where it is 0: QUOTA_JOBS (arguments: open,
 * quota), nothing written then. */
enum sv_err sv_job_insert_bounded(struct sv_tx *tx, const struct sv_job *j, unsigned more, struct sv_error *err);
enum sv_err sv_job_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                       struct sv_job *ret, struct sv_error *err);
struct sv_job_filter {
    struct sv_id id, object;
    bool by_result;
    enum sv_job_result result;
};
enum sv_err sv_job_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_job_filter *f, const struct sv_page *p,
                        void (*row)(void *arg, const struct sv_job *j), void *arg, uint64_t *ret_total,
                        struct sv_error *err);
/* Queued and running ones in order of creation (start-up). Costs them, not the table. */
enum sv_err sv_job_list_open(struct sv_tx *tx, void (*row)(void *arg, const struct sv_job *j), void *arg,
                             struct sv_error *err);
/* The oldest open job whose sarg is this id (not empty): it uses the thing besides its own object. */
enum sv_err sv_job_open_for(struct sv_tx *tx, const struct sv_id *arg, struct sv_id *ret_job, bool *ret_found,
                            struct sv_error *err);
enum sv_err sv_job_start(struct sv_tx *tx, const struct sv_id *id, int64_t deadline,
                         struct sv_error *err); /* QUEUED -> RUNNING */
enum sv_err sv_job_step(struct sv_tx *tx, const struct sv_id *id, unsigned step, unsigned percent,
                        struct sv_error *err);
enum sv_err sv_job_percent(struct sv_tx *tx, const struct sv_id *id, unsigned percent, struct sv_error *err);
enum sv_err sv_job_undo(struct sv_tx *tx, const struct sv_id *id, unsigned step, enum sv_job_result ends_as,
                        const struct sv_error *why, struct sv_error *err);
enum sv_err sv_job_ask_cancel(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);
enum sv_err sv_job_end(struct sv_tx *tx, const struct sv_id *id, enum sv_job_result result, const struct sv_error *why,
                       struct sv_error *err);
/* Ended jobs (with log) older than this go. */
enum sv_err sv_job_expire(struct sv_tx *tx, int64_t older_than, struct sv_error *err);

struct sv_job_line {
    int64_t serial; /* 1.. within the job */
    int64_t time;
    int level; /* enum sv_level */
    enum sv_note note;
    const char *args[SV_ERR_ARGS];
};
enum sv_err sv_joblog_add(struct sv_tx *tx, const struct sv_id *job, int level, enum sv_note note,
                          const char *const args[SV_ERR_ARGS], struct sv_error *err);
enum sv_err sv_joblog_list(struct sv_tx *tx, const struct sv_id *job, int64_t after_serial,
                           void (*row)(void *arg, const struct sv_job_line *l), void *arg, struct sv_error *err);

/* Object locks: one object, one job. `code` is StarVCenter appendix 2. */
struct sv_lock {
    struct sv_id job;
    int code;
};
/* False (and *ret_held) when another job holds it. */
enum sv_err sv_lock_take(struct sv_tx *tx, const struct sv_id *object, const struct sv_id *job, int code,
                         bool *ret_taken, struct sv_lock *ret_held, struct sv_error *err);
enum sv_err sv_lock_get(struct sv_tx *tx, const struct sv_id *object, struct sv_lock *ret, bool *ret_held,
                        struct sv_error *err);
enum sv_err sv_lock_release(struct sv_tx *tx, const struct sv_id *object, const struct sv_id *job,
                            struct sv_error *err);

/* Every state change, numbered, replayable across restarts. */
struct sv_event {
    int64_t seq, time;
    const char *type; /* "vm.state", "job.end", ... */
    const char *object_type;
    struct sv_id object, tenant; /* tenant empty: admins only */
    const char *content;         /* short: new value */
};
enum sv_err sv_event_add(struct sv_tx *tx, const struct sv_event *e,
                         struct sv_error *err); /* seq and time are set here */
enum sv_err sv_event_list(struct sv_tx *tx, struct sv_scope scope, int64_t after_seq, unsigned limit,
                          void (*row)(void *arg, const struct sv_event *e), void *arg, struct sv_error *err);
enum sv_err sv_event_last(struct sv_tx *tx, int64_t *ret_seq, struct sv_error *err);
enum sv_err sv_event_expire(struct sv_tx *tx, int64_t older_than, struct sv_error *err);
/* Called on the writer thread after a commit that added events or job lines; must not block. */
typedef void (*sv_change_fn)(void *arg, const struct sv_id *job_or_null);
void sv_db_on_change(struct sv_db *db, sv_change_fn fn, void *arg);

#endif
