/* Routers: one a tenant, and the VPCs that it leads to. */
#ifndef STARVIRT_STORE_ROUTER_H
#define STARVIRT_STORE_ROUTER_H

#include "starvirt/store.h"

enum sv_router_state { SV_ROUTER_MAKING, SV_ROUTER_READY, SV_ROUTER_DELETING };
enum { SV_ROUTER_NODES = 2 };

struct sv_router {
    struct sv_id id, tenant;
    const char *name, *descr;
    bool ha;
    enum sv_router_state state;
    int64_t created;
    struct sv_id node[SV_ROUTER_NODES]; /* its instances; the first is its own id, the second empty without HA */
};
typedef void sv_router_fn(void *arg, const struct sv_router *r);

/* With its instances; the tenant has none yet. */
enum sv_err sv_router_insert(struct sv_tx *tx, const struct sv_router *r, struct sv_error *err);
/* By the id of any of its instances. */
enum sv_err sv_router_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *node, struct sv_arena *a,
                          struct sv_router *ret, struct sv_error *err);
/* The tenant's; *ret_found false: it has none. */
enum sv_err sv_router_of_tenant(struct sv_tx *tx, const struct sv_id *tenant, struct sv_arena *a, struct sv_router *ret,
                                bool *ret_found, struct sv_error *err);
/* Those whose name has `name` in it; NULL: all. */
enum sv_err sv_router_list(struct sv_tx *tx, struct sv_scope scope, const char *name, const struct sv_page *p,
                           sv_router_fn *row, void *arg, uint64_t *ret_total, struct sv_error *err);
enum sv_err sv_router_set_state(struct sv_tx *tx, const struct sv_id *id, enum sv_router_state state,
                                struct sv_error *err);
/* With its instances and legs; absent: nothing. Nothing else refers to it any more. */
enum sv_err sv_router_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);
/* Mappings of its tenant, its balancers. */
enum sv_err sv_router_uses(struct sv_tx *tx, const struct sv_router *r, int64_t *ret_mappings, int64_t *ret_balancers,
                           struct sv_error *err);

/* --- legs --- */
struct sv_leg {
    struct sv_id router, vpc;
    unsigned slot;
    uint32_t base; /* of the VPC */
    unsigned prefix;
};
/* At the lowest slot below `slots` that is free; *ret_added false: none is. The VPC has no leg yet. */
enum sv_err sv_leg_insert(struct sv_tx *tx, const struct sv_id *router, const struct sv_id *vpc, unsigned slots,
                          bool *ret_added, struct sv_error *err);
enum sv_err sv_leg_delete(struct sv_tx *tx, const struct sv_id *vpc, struct sv_error *err); /* absent: nothing */
enum sv_err sv_leg_of_vpc(struct sv_tx *tx, const struct sv_id *vpc, struct sv_leg *ret, bool *ret_found,
                          struct sv_error *err);
/* In order of slots. */
enum sv_err sv_leg_list(struct sv_tx *tx, const struct sv_id *router, void (*row)(void *arg, const struct sv_leg *l),
                        void *arg, struct sv_error *err);
/* What goes over this leg: mappings to NICs of the VPC; balancers that have an address or a node in it. */
enum sv_err sv_leg_uses(struct sv_tx *tx, const struct sv_id *vpc, int64_t *ret_mappings, int64_t *ret_balancers,
                        struct sv_error *err);

/* The boundary of a VPC. */
enum sv_err sv_gate_set(struct sv_tx *tx, const struct sv_id *vpc, bool closed, struct sv_error *err);

#endif
