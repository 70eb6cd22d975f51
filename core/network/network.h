/* VPCs, and what the machine holds of them. */
#ifndef CORE_NETWORK_H
#define CORE_NETWORK_H

#include "core/run/run.h"
#include "starvirt/store_unit.h"

/* --- network (core/network/network.c) --- */
/* Reads what a VPC should hold and makes it so. */
enum sv_err sv_network_apply(struct sv_cloud *c, const struct sv_id *vpc, const struct sv_deadline *d,
                             struct sv_error *err);
enum sv_err sv_network_remove(struct sv_cloud *c, const struct sv_id *vpc, const struct sv_deadline *d,
                              struct sv_error *err);
/* The VPCs of a VM's NICs, their groups and their filters: before the guest starts, or a NIC is plugged. */
enum sv_err sv_network_apply_vm(struct sv_cloud *c, const struct sv_id *vm, const struct sv_deadline *d,
                                struct sv_error *err);
/* Finishes deletions (start-up); the rest is the keeper's. */
enum sv_err sv_network_recover(struct sv_cloud *c, struct sv_error *err);

extern const struct sv_job_kind sv_kind_vpc_delete;

/* --- one at a time of a unit (core/network/turn.c) --- */
struct sv_turn {
    struct sv_id unit;
    struct sv_turn *next;
};
void sv_turns_init(struct sv_cloud *c);
void sv_turns_end(struct sv_cloud *c);
/* Whoever tells the engine of a unit takes its turn before it reads what the unit should be: of two the later one's
 * wish stands. NETWORK at the deadline. *ret stays where it is until the turn is given. */
enum sv_err sv_turn_take(struct sv_cloud *c, const struct sv_id *unit, const struct sv_deadline *d, struct sv_turn *ret,
                         struct sv_error *err);
void sv_turn_give(struct sv_cloud *c, struct sv_turn *turn);

/* --- units (core/network/keeper.c): what the engine is told, and told again until it is in force --- */
/* In the transaction that changes what the unit should be, before the row of an object that goes is deleted. After the
 * commit the keeper makes it so; a call of a route that runs SV_RUN_TELL is answered once all units that it touched
 * were told, or after 2 s. */
enum sv_err sv_unit_touch(struct sv_cloud *c, struct sv_tx *tx, enum sv_net_unit kind, const struct sv_id *id,
                          struct sv_error *err);
/* All that failed are told again at once. */
enum sv_err sv_unit_retry(struct sv_cloud *c, struct sv_tx *tx, struct sv_scope scope, struct sv_error *err);
void sv_keeper_new(struct sv_cloud *c, void (*news)(void *arg, const char *key), void *arg);
/* What the last run of the program did not see in force is told, and what the engine has and should not have, or lacks,
 * is mended: now and every minute. */
enum sv_err sv_keeper_start(struct sv_cloud *c, struct sv_error *err);
void sv_keeper_stop(struct sv_cloud *c); /* calls of the engine are cancelled and waited for */
void sv_keeper_free(struct sv_cloud *c);

/* --- which routers the engine has all of, as of when it was told or looked at last (core/network/online.c) --- */
/* NULL: the engine has nothing of it. What another instance took over meanwhile is counted and logged. */
void sv_set_online(struct sv_cloud *c, const struct sv_id *router, const struct sv_net_router_facts *facts);
/* *ret_active: which of its instances routes. */
bool sv_online(struct sv_cloud *c, const struct sv_id *router, unsigned *ret_active);
uint64_t sv_failovers(struct sv_cloud *c); /* seen since the start */

/* --- telling the engine of one unit (core/network/tell.c) --- */
const char *sv_unit_name(enum sv_net_unit kind); /* "vpc", "router", "group", "nic" */
struct sv_told {
    int64_t wish; /* what of it the engine was given; 0: nobody wished for a change */
    bool gone;    /* there is no such object: the engine was told to remove it */
};
/* In its turn: reads what it should be over one snapshot and tells the engine. `spare`: what is gone is left alone for
 * now, and *ret says so. */
enum sv_err sv_unit_tell(struct sv_cloud *c, enum sv_net_unit kind, const struct sv_id *id, bool spare,
                         const struct sv_deadline *d, struct sv_told *ret, struct sv_error *err);
/* Is it as rows say, as far as the engine can tell? One that it is told of just now counts as being so, one that is
 * gone, too. */
enum sv_err sv_unit_look(struct sv_cloud *c, enum sv_net_unit kind, const struct sv_id *id, bool *ret_whole,
                         struct sv_error *err);
/* In its turn: tells the engine that there is none, whatever rows say. */
enum sv_err sv_unit_remove(struct sv_cloud *c, enum sv_net_unit kind, const struct sv_id *id,
                           const struct sv_deadline *d, struct sv_error *err);

/* In the transaction that removes the row of a NIC, before it: its mappings, rules, places in groups and balancers go
 * with it, addresses and quotas are given back, units touched (core/network/nic_gone.c). */
enum sv_err sv_network_nic_gone(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *nic, struct sv_error *err);
/* That, and the row; of one (gone already: success), of all of a VM. Nobody else deletes rows of NICs. */
enum sv_err sv_network_nic_delete(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *nic, struct sv_error *err);
enum sv_err sv_network_nic_delete_vm(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *vm,
                                     struct sv_error *err);

/* --- texts of rows (core/network/ranges.c): "10.0.0.1, 10.1.0.0/16; 10.2.0.1-10.2.0.9", "80,443,8000:8080" ---
 * Sorted and put together, so that what they mean is one text. For `field`: PARAM_FORMAT (IPv6, host bits beyond the
 * mask, reversed, port 0), PARAM_RANGE (more than SV_MAX_RANGES of them). NULL, "", 0.0.0.0/0 and 1:65535 are any. A
 * range of ports may be written with "-", too. */
enum sv_err sv_parse_ranges(const char *text, enum sv_field field, struct sv_arena *a, struct sv_net_ranges *ret,
                            struct sv_error *err);
enum sv_err sv_parse_ports(const char *text, enum sv_field field, struct sv_arena *a, struct sv_net_ports *ret,
                           struct sv_error *err);
/* The one text, which rows keep and replies show: a network where a range is one, else first-last; "" any. */
const char *sv_ranges_text(const struct sv_net_ranges *r, struct sv_arena *a);
const char *sv_ports_text(const struct sv_net_ports *p, struct sv_arena *a);
enum { SV_MAX_RANGES = 64 };

/* --- networks on a physical interface (core/network/host_network.c) --- */
/* Takes down what has no row, makes the rest as its row says (start-up, before jobs go on). */
enum sv_err sv_host_network_recover(struct sv_cloud *c, struct sv_error *err);
extern const struct sv_job_kind sv_kind_network_create, sv_kind_network_delete;

#endif
