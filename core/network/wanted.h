/* From rows to what an engine is given. Each function reads a snapshot, keeps what it returns in the arena and decides
 * nothing that is not in rows, so that the same rows make the same wish. An object that is gone makes an empty one:
 * *ret_there false. */
#ifndef CORE_NETWORK_WANTED_H
#define CORE_NETWORK_WANTED_H

#include "core/network/network.h"
#include "starvirt/net_wanted.h"

/* Bridge, leases and uplink of a VPC. One that is being deleted is not there. */
struct sv_want_vpc {
    struct sv_net_vpc net;
    const struct sv_net_nic *nics;
    size_t nic_count;
};
enum sv_err sv_want_vpc(struct sv_tx *tx, const struct sv_id *id, struct sv_arena *a, struct sv_want_vpc *ret,
                        bool *ret_there, struct sv_error *err);
enum sv_err sv_want_router(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *id, struct sv_arena *a,
                           struct sv_net_router *ret, bool *ret_there, struct sv_error *err);
enum sv_err sv_want_filter(struct sv_tx *tx, const struct sv_id *nic, struct sv_arena *a, struct sv_net_filter *ret,
                           bool *ret_there, struct sv_error *err);
enum sv_err sv_want_group(struct sv_tx *tx, const struct sv_id *group, struct sv_arena *a, struct sv_net_group *ret,
                          bool *ret_there, struct sv_error *err);
/* Parts of a router: fill legs, gates; mappings and the outer addresses; balancers (their secrets: c). */
enum sv_err sv_want_legs(struct sv_tx *tx, struct sv_arena *a, struct sv_net_router *ret, struct sv_error *err);
enum sv_err sv_want_gates(struct sv_tx *tx, struct sv_arena *a, struct sv_net_router *ret, struct sv_error *err);
enum sv_err sv_want_nats(struct sv_tx *tx, const struct sv_id *tenant, struct sv_arena *a, struct sv_net_router *ret,
                         struct sv_error *err);
enum sv_err sv_want_balancers(struct sv_cloud *c, struct sv_tx *tx, struct sv_arena *a, struct sv_net_router *ret,
                              struct sv_error *err);

#endif
