/* The keeper's own: keeper.c and reconcile.c. */
#ifndef CORE_NETWORK_KEEPER_H
#define CORE_NETWORK_KEEPER_H

#include "core/network/unit_queue.h"
#include "starvirt/thread.h"

enum { SV_KEEPER_LOOK_MS = 60 * 1000 }; /* between two comparisons of what is and what should be */

struct sv_keeper_seat {
    struct sv_keeper *keeper;
    bool taken; /* a thread has it */
};

/* A comparison that somebody waits for: what differed, and what became of it. */
struct sv_keeper_check {
    struct sv_drift *v;
    size_t n, cap, open; /* open: told neither with success nor in vain yet */
    struct sv_keeper_check *next;
};

struct sv_keeper {
    struct sv_cloud *cloud;
    void (*news)(void *arg, const char *key);
    void *news_arg;
    atomic_bool cancel; /* of calls of the engine */
    pthread_t thread;   /* looks after time */
    bool started;
    /* The writer thread's own: what the transaction of this number has touched. */
    struct touched *touched;
    uint64_t touched_number;
    struct sv_crew crew; /* its mutex guards what follows */
    pthread_cond_t sooner;
    struct sv_unit_queue *queue;
    struct sv_keeper_seat seats[SV_UNITS_AT_A_TIME];
    unsigned idle; /* threads of the crew that wait for work */
    uint64_t failures, mended;
    uint64_t comparisons, comparing_us;
    struct sv_keeper_check *checks;
    pthread_cond_t checked; /* one of them has none open */
};

/* Tells what is in rows and not, or otherwise, with the engine, and the other way round. `first`: also all that is
 * there, once after a start, because another version of the program may say it in other words. `check`: NULL for
 * nobody's. The first kind that could not be looked at is the error; the others were. */
enum sv_err sv_keeper_compare(struct sv_keeper *k, bool first, struct sv_keeper_check *check, struct sv_error *err);
/* It differs. Told unless it is waited for anyhow; of a check always, also when it waits after a failure. */
void sv_keeper_wish(struct sv_keeper *k, const struct sv_unit_wish *w, struct sv_keeper_check *check);
/* Could not be looked at. */
void sv_keeper_unseen(struct sv_keeper *k, const struct sv_unit_wish *w, struct sv_keeper_check *check,
                      const struct sv_error *why);

#endif
