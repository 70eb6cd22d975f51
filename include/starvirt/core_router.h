/* Routers (StarVCenter 2.9): one a tenant, the VPCs that it leads to, their boundaries. */
#ifndef STARVIRT_CORE_ROUTER_H
#define STARVIRT_CORE_ROUTER_H

#include "starvirt/core.h"
#include "starvirt/store_router.h"

struct sv_router_new {
    const char *tenant; /* as sv_owner() takes it */
    const char *name;   /* NULL: made from the id */
    const char *ip;     /* its address outside, dotted; NULL: the next that is free, or none where there is no pool */
    bool ha;
};
/* What is known of a router. */
struct sv_router_view {
    struct sv_router row;
    uint32_t ip;         /* its own address outside; 0: none */
    bool online;         /* the engine has all of it, as of when it was told or looked at last */
    struct sv_id active; /* the instance that routes, likewise; the first where nothing is known */
};

/* Accepts the job that makes it. ROUTER_EXISTS, and of addresses what sv_outer_ip_take() has. */
enum sv_err sv_router_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                             const struct sv_router_new *in, struct sv_router_view *ret, struct sv_id *ret_startid,
                             struct sv_error *err);
/* Accepts the job that removes it, its legs too. ROUTER_IN_USE while it has mappings or balancers. */
enum sv_err sv_router_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *node,
                             struct sv_id *ret_startid, struct sv_error *err);
/* By the id of either instance. Texts live in the transaction's arena. */
enum sv_err sv_router_show(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *node,
                           struct sv_router_view *ret, struct sv_error *err);
enum sv_err sv_router_search(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *name,
                             const struct sv_page *p, void (*row)(void *arg, const struct sv_router_view *v), void *arg,
                             uint64_t *ret_total, struct sv_error *err);

/* The router of the VPC's tenant leads to it: ROUTER_NONE, ROUTER_LOCKED, ROUTER_FULL, LEG_EXISTS. */
enum sv_err sv_router_join(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vpc,
                           struct sv_error *err);
/* And no longer: ROUTER_NO_LEG, ROUTER_IN_USE while mappings or balancers need it. */
enum sv_err sv_router_part(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vpc,
                           struct sv_error *err);
/* The boundary of a VPC lets pass what rules allow only, or what no rule forbids; kept also without a router. */
enum sv_err sv_router_gate(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vpc,
                           bool closed, struct sv_error *err);

#endif
