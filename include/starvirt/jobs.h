/* The job engine (docs/ARCHITECTURE.md, "A job"): durable queue, workers, steps with undo, log, progress, cancel,
 * deadline, recovery. It knows kinds as rows and objects as ids; what they mean is core's. */
#ifndef STARVIRT_JOBS_H
#define STARVIRT_JOBS_H

#include "starvirt/clock.h"
#include "starvirt/log.h"
#include "starvirt/store_job.h"
#include "starvirt/store_pending.h"

struct sv_jobs;
struct sv_run; /* a job being run, handed to its steps */

/* A step knows only ids: everything it needs it reads anew, so that it can run again after a crash.
 * `run` and `undo` must be idempotent, and `undo` must cope with a `run` that never began or stopped
 * anywhere. They block on the worker's thread and keep to sv_run_deadline(). */
struct sv_step {
    const char *name; /* stable: crash points and tests name it */
    const char *title_zh, *title_en;
    unsigned weight; /* share of percent */
    enum sv_err (*run)(struct sv_run *r, struct sv_error *err);
    enum sv_err (*undo)(struct sv_run *r, struct sv_error *err); /* NULL = nothing to undo */
    /* Undoing goes backwards, and an undo that failed stops all that are left: what they would take away may be in
     * use still. But not this one, which needs nothing of those of later steps. */
    bool undo_alone;
    /* The guest has to take part in the undo: VM_STATE, at once, while it is paused. */
    bool undo_guest;
    /* Of the last steps of a kind only: false ends the job before it, for a job that does not need it. Tells
     * by what never changes of a job. NULL = always needed. */
    bool (*needed)(const struct sv_job *job);
};

struct sv_job_kind {
    const char *name; /* "vm.create"; stable, it is in the database */
    const char *title_zh, *title_en;
    int lock_code;       /* StarVCenter appendix 2; 0 = takes no lock */
    int64_t deadline_ms; /* from its start; 0 = none */
    bool resumable;      /* after a restart: go on at the first open step; else undo and end as 6 */
    bool no_cancel;      /* once it runs it cannot be cancelled (JOB_TOO_LATE): it destroys as it goes */
    bool makes_sarg;     /* what it makes is named by its sarg, the object is what that becomes a part of */
    bool frees;          /* takes away and nothing else: accepted also where a tenant has as many open jobs as it may */
    bool ends_object;    /* done, its object is gone, and with it what was pending for it */
    const struct sv_step *steps;
    unsigned step_count;
    /* Runs in the transaction that ends the job, just before the lock is released: the object's final
     * state and the release of reservations. `result` says how it ended. Must not fail for a sound
     * database (an error ends the process' trust in it: logged, retried at next start). Runs once: of a job whose
     * undo is pending in the transaction that ends the job that finished it. */
    enum sv_err (*end)(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                       struct sv_error *err);
    /* In the transaction that ends a job whose undo is pending, instead of `end`: says so on the object, and keeps
     * what is reserved. NULL = the row of the pending undo says enough. */
    enum sv_err (*left)(struct sv_tx *tx, const struct sv_job *job, void *app, struct sv_error *err);
};

#define SV_STEPS(array) .steps = (array), .step_count = sizeof(array) / sizeof((array)[0])

struct sv_jobs_options {
    unsigned slots_per_host; /* jobs running at a time on one host; jobs without a host share one lane. Tenants take
                                turns. With more than one slot, a quarter more (at least one) may run: one each of
                                tenants that have nothing running there */
    bool requeue;            /* false: after a restart queued -> 4, running -> undone, 6 */
    const char *crash_point; /* tests: "vm.create:define:before" | ":after" | ":recorded", "vm.create:end:before";
                                undo: "vm.create:define:undo-before" | ":undo-after". The process kills
                                itself (SIGKILL) there. NULL in production. */
    int64_t keep_ms;         /* ended jobs are deleted after this; 0 = kept */
    /* Within the transaction that ends a job: the object it had locked is free again. NULL = nobody minds. */
    void (*released)(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app);
    /* A job has ended, and that is on disk. On the writer thread: must not block. NULL = nobody waits. */
    void (*ended)(void *arg, const struct sv_id *startid);
    void *ended_arg;
};

/* `kinds` (an array of pointers, NULL-terminated) and `app` (handed to steps) outlive the engine. */
enum sv_err sv_jobs_new(struct sv_db *db, const struct sv_job_kind *const *kinds, void *app,
                        const struct sv_jobs_options *opt, struct sv_jobs **ret, struct sv_error *err);
/* Reads open jobs and starts working. Call once everything the steps need is there. */
enum sv_err sv_jobs_start(struct sv_jobs *jobs, struct sv_error *err);
/* Takes no new job, lets running steps end (at most limit_ms), leaves the rest for the next start. A job
 * that could not go on then (not resumable) may run to its end within the limit. Steps that are still
 * running after it are abandoned (sv_jobs_stats: running > 0): then end the process without closing the
 * database or anything else they use. */
void sv_jobs_stop(struct sv_jobs *jobs, int64_t limit_ms);
void sv_jobs_free(struct sv_jobs *jobs);

/* Acceptance, inside the caller's write closure: job row, lock, first log line, event; queued once the
 * commit is on disk. Refusal: OBJECT_LOCKED with the running startid (callers with a better word for
 * their object, VM_LOCKED, map it), or QUOTA_JOBS; nothing was written then.
 * Events: "job.accepted" with content "KIND STARTID", at the end "job.end" with "KIND STARTID RESULT". */
struct sv_job_spec {
    const struct sv_job_kind *kind;
    struct sv_id tenant, object, host;
    const char *object_type, *object_name;
    int64_t iarg[2];
    const char *sarg; /* never a secret */
    bool own; /* of the program's own accord, not asked for: counted, but never refused for the tenant's quota */
    struct sv_id finishes; /* sv_jobs_finish_undo()'s */
};
enum sv_err sv_jobs_accept(struct sv_jobs *jobs, struct sv_tx *tx, const struct sv_job_spec *spec,
                           struct sv_id *ret_startid, struct sv_error *err);

/* Asks for cancellation inside a write closure. *ret: SV_JOB_CANCELLED for a queued job (it will be
 * undone and end as 7 at once), SV_JOB_RUNNING when it is being cancelled, JOB_TOO_LATE otherwise. */
enum sv_err sv_jobs_cancel(struct sv_jobs *jobs, struct sv_tx *tx, struct sv_scope scope, const struct sv_id *startid,
                           enum sv_job_result *ret, struct sv_error *err);

/* A job of the same kind that finishes a pending undo: it takes the object's lock, runs the undos that are left, and
 * settles the object as the first job would have. It cannot be cancelled; one that fails leaves the row for the next.
 * Within a write closure that found the row ready. OBJECT_LOCKED, SHUTTING_DOWN, UNSUPPORTED (a kind of an older
 * program). */
enum sv_err sv_jobs_finish_undo(struct sv_jobs *jobs, struct sv_tx *tx, const struct sv_pending *pending,
                                struct sv_id *ret_startid, struct sv_error *err);

/* The kind's row, NULL if unknown (a job of an older program). */
const struct sv_job_kind *sv_jobs_kind(const struct sv_jobs *jobs, const char *name);

/* A log line for people. The log keeps names of kinds and steps, and errors as symbol and arguments
 * (separated by 0x1e); here they become titles and sentences. Use this, not sv_note_text(). */
void sv_jobs_note_text(const struct sv_jobs *jobs, const struct sv_job *job, const struct sv_job_line *line,
                       enum sv_lang lang, char *buf, size_t size);

/* --- for steps --- */
/* The job; where its undo is being finished, still the one that began. */
const struct sv_job *sv_run_job(const struct sv_run *r);
void *sv_run_app(const struct sv_run *r);
struct sv_db *sv_run_db(const struct sv_run *r);
/* Memory until the step returns. */
struct sv_arena *sv_run_arena(struct sv_run *r);
/* The job's deadline and cancel flag. Undos get a fresh deadline and no cancel flag. */
const struct sv_deadline *sv_run_deadline(const struct sv_run *r);
/* The server is stopping and the job goes on with this step after the next start: one that only waits may
 * return SHUTTING_DOWN now, which leaves it so. */
bool sv_run_may_leave(const struct sv_run *r);
/* A line of the job log; NULL-terminated string arguments (at most 3). */
void sv_run_note(struct sv_run *r, enum sv_level level, enum sv_note note, ...) __attribute__((sentinel));
/* The same about an error that does not end the job: {0} of the note, in each reader's language. */
void sv_run_note_error(struct sv_run *r, enum sv_level level, enum sv_note note, const struct sv_error *why);
/* Progress within the step; written at most twice a second. */
void sv_run_progress(struct sv_run *r, int64_t done, int64_t total);

struct sv_jobs_stats {
    unsigned queued, running, workers;
    uint64_t ended[8]; /* by result since start */
};
void sv_jobs_stats(struct sv_jobs *jobs, struct sv_jobs_stats *ret);
/* By kind and result since start; fn is called for each pair that happened. */
void sv_jobs_stats_kinds(struct sv_jobs *jobs, void (*fn)(void *arg, const char *kind, int result, uint64_t n),
                         void *arg);

#endif
