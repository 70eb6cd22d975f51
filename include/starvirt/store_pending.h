/* Undos that failed and are to be finished: what they were to remove is still there, so its rows and reservations are,
 * too. One row for a job that ended so; it goes when a later job has finished the undo, or with the object itself. */
#ifndef STARVIRT_STORE_PENDING_H
#define STARVIRT_STORE_PENDING_H

#include "starvirt/store.h"

struct sv_pending {
    struct sv_id job;      /* which ended with it; its row stays as long as this one */
    struct sv_id object;   /* the job's; empty where its kind takes no lock: then the object is as usable as ever */
    struct sv_id subject;  /* what was being made: the object itself, or a part of it */
    struct sv_id host;     /* may be empty */
    struct sv_id finisher; /* the open job that is at it; empty: none */
    unsigned step;         /* undos of the steps before this one are left */
    bool guest;            /* the guest has to take part: not while it is paused */
    unsigned tries;        /* that failed since */
    int64_t due;           /* [ms UTC] of the next one */
};

/* Adds or replaces the row of p->job. */
enum sv_err sv_pending_put(struct sv_tx *tx, const struct sv_pending *p, struct sv_error *err);
enum sv_err sv_pending_get(struct sv_tx *tx, const struct sv_id *job, struct sv_pending *ret, bool *ret_found,
                           struct sv_error *err);
enum sv_err sv_pending_drop(struct sv_tx *tx, const struct sv_id *job, struct sv_error *err);
enum sv_err sv_pending_list(struct sv_tx *tx, const struct sv_id *object,
                            void (*row)(void *arg, const struct sv_pending *p), void *arg, struct sv_error *err);
/* The one that is to take this away, which is a part of another object. */
enum sv_err sv_pending_of_part(struct sv_tx *tx, const struct sv_id *part, struct sv_id *ret_job, bool *ret_found,
                               struct sv_error *err);
enum sv_err sv_pending_any(struct sv_tx *tx, bool *ret, struct sv_error *err);
enum sv_err sv_pending_count(struct sv_tx *tx, int64_t *ret, struct sv_error *err);
/* Something has changed that they may have waited for: due at once. Not the one of the job `except` (NULL: none). */
enum sv_err sv_pending_hurry(struct sv_tx *tx, const struct sv_id *object_or_host, const struct sv_id *except,
                             struct sv_error *err);
/* Due, their object not locked, their host connected, the guest not paused where it has to take part; at most `limit`.
 */
enum sv_err sv_pending_ready(struct sv_tx *tx, unsigned limit, void (*row)(void *arg, const struct sv_pending *p),
                             void *arg, struct sv_error *err);
/* When the next one is due that is not yet; INT64_MAX: none. */
enum sv_err sv_pending_next(struct sv_tx *tx, int64_t *ret_due, struct sv_error *err);

#endif
