/* Outer addresses: pools (ours), mappings (StarVCenter 2.3.5 - 2.3.8, 2.9.5), and what can be mapped (2.11.1). */
#ifndef STARVIRT_CORE_ADDRESS_H
#define STARVIRT_CORE_ADDRESS_H

#include "starvirt/core.h"
#include "starvirt/store_address.h"

/* --- pools: administrators only ---------------------------------------------------------------------- */

struct sv_pool_new {
    const char *name, *descr; /* name NULL: made from the id */
    enum sv_pool_type type;
    const char *first, *last, *gateway, *netmask; /* dotted */
};
/* PARAM_FORMAT, PARAM_CONFLICT; POOL_OVERLAP with another pool, a VPC, what VPCs are cut from, or addresses that are
 * nobody's. */
enum sv_err sv_pool_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const struct sv_pool_new *in,
                        struct sv_id *ret, struct sv_error *err);
enum sv_err sv_pool_search(struct sv_tx *tx, const struct sv_actor *who, enum sv_pool_type types,
                           const struct sv_page *p, void (*row)(void *arg, const struct sv_pool *pool), void *arg,
                           uint64_t *ret_total, struct sv_error *err);
/* POOL_IN_USE. */
enum sv_err sv_pool_remove(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_error *err);

/* --- mappings ---------------------------------------------------------------------------------------- */

struct sv_nat_whole {
    const char *vm;      /* its first NIC */
    const char *outer;   /* dotted, of any pool; NULL: the lowest that is free in a pool for VMs */
    const char *sources; /* who may come in this way; NULL: anybody */
    const char *descr;
};
/* Both ways, one a NIC, and nothing else uses the address. VM_NO_NIC, NIC_MAPPED, ROUTER_NONE, ROUTER_NO_LEG, and what
 * sv_outer_ip_take() says. */
enum sv_err sv_nat_connect(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                           const struct sv_nat_whole *in, uint32_t *ret, struct sv_error *err);
struct sv_nat_port {
    const char *inner; /* address of a NIC */
    const char *outer; /* of a pool of type outer: free, or the tenant's own */
    int64_t inner_port, outer_port;
    enum sv_nat_proto proto; /* not SV_NAT_IP */
    const char *sources, *descr;
};
/* NIC_NOT_FOUND (SV_F_NIC), ROUTER_NONE, ROUTER_NO_LEG; what sv_outer_ip_join() and sv_nat_check_port() say. */
enum sv_err sv_nat_map_port(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                            const struct sv_nat_port *in, struct sv_id *ret, struct sv_error *err);
enum sv_err sv_nat_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                          struct sv_error *err);
/* `tenant` NULL: all that the actor sees. `router`, text, NULL: any; it goes into the filter. */
enum sv_err sv_nat_search(struct sv_tx *tx, const struct sv_actor *who, const char *tenant, const char *router,
                          const struct sv_nat_filter *f, const struct sv_page *p, sv_nat_fn *row, void *arg,
                          uint64_t *ret_total, struct sv_error *err);

/* --- what can be mapped ------------------------------------------------------------------------------ */

struct sv_outer_query {
    const char *tenant; /* as sv_owner() takes it; with `inner`: the one whose NIC that is */
    const char *inner;  /* dotted: for the NIC that has it. NULL: for any */
    const char *part;   /* substring of the address */
    uint32_t ip;        /* 0 = any */
    bool whole, port;   /* for a mapping one to one; for one by port; neither: for any of both */
};
struct sv_outer_choice {
    uint32_t ip, gateway;
    unsigned prefix;
    const char *ports; /* taken already, by comma; "" = nobody has the address */
};
/* First the tenant's own that have room for another port, then what is free, each ascending. */
enum sv_err sv_outer_search(struct sv_tx *tx, const struct sv_actor *who, const struct sv_outer_query *q,
                            const struct sv_page *p, void (*row)(void *arg, const struct sv_outer_choice *o), void *arg,
                            uint64_t *ret_total, struct sv_error *err);

#endif
