/* Which unit of networks is told next. A structure in memory: no thread, no clock, no database of its own; its owner
 * (keeper.c) guards it.
 *
 * Tenants take turns, and each has few units that are told at a time; of those that failed the last time there are few
 * at a time in all: so neither one tenant whose engine calls hang nor many that did hold up the others. Of one tenant,
 * VPCs come before routers, groups before filters, which name them; a group that is to be removed waits for filters,
 * which may name it still, but not for those that failed. */
#ifndef CORE_NETWORK_UNIT_QUEUE_H
#define CORE_NETWORK_UNIT_QUEUE_H

#include "core/network/network.h"

enum {
    SV_UNITS_AT_A_TIME = 16,  /* that are told */
    SV_UNITS_OF_TENANT = 3,   /* of these, of one tenant */
    SV_UNITS_THAT_FAILED = 8, /* of these, that failed the last time */
    SV_UNIT_PAUSE_MS = 1000,  /* after the first failure; doubles */
    SV_UNIT_PAUSE_MAX_MS = 60 * 1000
};

struct sv_unit_queue;
/* A unit that has to be told, or is being told. Fields are the queue's. */
struct sv_unit_item {
    enum sv_net_unit kind;
    struct sv_id id, tenant;
    unsigned failures; /* in a row */
    bool mends;        /* nobody wished for something new: it was found otherwise than it should be */
    bool last;         /* a group that goes, and the filters that might name it were told */
};

/* Called when all units of a ticket were told: each was taken or failed once. */
typedef void sv_ticket_fn(void *arg, uint64_t ticket);

struct sv_unit_queue *sv_unit_queue_new(sv_ticket_fn *told, void *arg);
void sv_unit_queue_free(struct sv_unit_queue *q); /* nothing is being told any more; NULL ok */

struct sv_unit_wish {
    enum sv_net_unit kind;
    struct sv_id id, tenant;
    uint64_t ticket;   /* who waits; 0: nobody */
    unsigned failures; /* so far, of one that is not in the queue */
    bool mends;
};
/* It is to be told, now, also when it waits after a failure; while it is being told, once more. All wishes of a ticket
 * come in a row, before anything else is asked of the queue. */
void sv_unit_queue_add(struct sv_unit_queue *q, const struct sv_unit_wish *w);
/* The next one to tell, which is being told from here on; NULL: none now. */
struct sv_unit_item *sv_unit_queue_take(struct sv_unit_queue *q);
bool sv_unit_queue_any(const struct sv_unit_queue *q); /* would take() give one? */
/* Those that failed and are due at `now` [ms] can be taken from here on. */
void sv_unit_queue_tick(struct sv_unit_queue *q, int64_t now);
/* None of those that failed is due before [ms]; INT64_MAX: there are none. */
int64_t sv_unit_queue_due(const struct sv_unit_queue *q);

/* The engine answered: who waits for it is called. It is still being told, till sv_unit_queue_end(). */
void sv_unit_queue_answered(struct sv_unit_queue *q, struct sv_unit_item *item);
enum sv_unit_end {
    SV_UNIT_TOLD,
    SV_UNIT_FAILED,     /* again after a pause */
    SV_UNIT_AFTER_NICS, /* again when no filter of its tenant has to be told */
};
/* It is not told any more; `item` is not the caller's from here on. */
void sv_unit_queue_end(struct sv_unit_queue *q, struct sv_unit_item *item, enum sv_unit_end how, int64_t now);
/* [ms] until the next try of one that failed so many times. */
int64_t sv_unit_pause(unsigned failures);
/* Is there this unit? */
bool sv_unit_queue_has(struct sv_unit_queue *q, enum sv_net_unit kind, const struct sv_id *id);
/* Those of a tenant (empty: all) that failed are due at once. */
void sv_unit_queue_hurry(struct sv_unit_queue *q, const struct sv_id *tenant);

struct sv_unit_counts {
    unsigned waiting, telling, failed; /* failed: those that wait for their next try */
};
struct sv_unit_counts sv_unit_queue_counts(const struct sv_unit_queue *q);

#endif
