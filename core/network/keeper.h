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
};

/* Tells what is in rows and not with the engine, and the other way round. `first`: also all that is there, once after a
 * start, because another version of the program may say it in other words. */
void sv_keeper_compare(struct sv_keeper *k, bool first);
/* Unless it is waited for anyhow. */
void sv_keeper_wish(struct sv_keeper *k, const struct sv_unit_wish *w);

#endif
