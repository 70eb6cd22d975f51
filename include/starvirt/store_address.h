/* Addresses of the outside: pools of them, who has which, and what is mapped onto them. IPv4 in host byte order. */
#ifndef STARVIRT_STORE_ADDRESS_H
#define STARVIRT_STORE_ADDRESS_H

#include "starvirt/store_vm.h"

/* Where one of several will do, they are added. */
enum sv_pool_type {
    SV_POOL_OUTER = 1, /* for routers, port mappings and balancers */
    SV_POOL_SHARE = 2, /* for VMs: one to one */
    SV_POOL_ANY = 3,
};
static inline const char *sv_pool_type_name(enum sv_pool_type type)
{
    static const char *const names[] = {
        [SV_POOL_OUTER] = "outer", [SV_POOL_SHARE] = "share", [SV_POOL_ANY] = "outer, share"};

    return names[type];
}

struct sv_pool {
    struct sv_id id;
    enum sv_pool_type type;
    const char *name, *descr;
    uint32_t first, last; /* all in the gateway's network; none of them its address, nor the gateway, nor broadcast */
    uint32_t gateway;
    unsigned prefix;
    int64_t used; /* addresses that somebody has, kept */
    int64_t created;
};
static inline int64_t sv_pool_size(const struct sv_pool *p)
{
    return (int64_t)p->last - p->first + 1;
}

/* POOL_OVERLAP with another pool, or with a VPC that there is. All of it is free then. */
enum sv_err sv_pool_insert(struct sv_tx *tx, const struct sv_pool *p, struct sv_error *err);
enum sv_err sv_pool_get(struct sv_tx *tx, const struct sv_id *id, struct sv_arena *a, struct sv_pool *ret,
                        struct sv_error *err);
/* In order of creation. */
enum sv_err sv_pool_list(struct sv_tx *tx, enum sv_pool_type types, const struct sv_page *p,
                         void (*row)(void *arg, const struct sv_pool *pool), void *arg, uint64_t *ret_total,
                         struct sv_error *err);
/* One that overlaps [first, last]; *ret_found false: none does. */
enum sv_err sv_pool_overlap(struct sv_tx *tx, uint32_t first, uint32_t last, struct sv_arena *a, struct sv_pool *ret,
                            bool *ret_found, struct sv_error *err);
/* POOL_IN_USE (how many addresses, by whom). */
enum sv_err sv_pool_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);

/* An address that a tenant has: it counts in the tenant's quota from the first use to the last. */
struct sv_outer_ip {
    uint32_t ip;
    struct sv_id pool, tenant;
    struct sv_id router; /* it is that router's own; else empty */
    enum sv_pool_type type;
    uint32_t gateway; /* of the pool, as the next one */
    unsigned prefix;
    int64_t created;
};
/* For a tenant that has no use of it yet: `want`, or with 0 the lowest that is free in a pool of `types`. `router`: it
 * becomes that router's own; may be empty. OUTER_IP_NONE, OUTER_IP_NOT_FOUND, OUTER_IP_POOL (in one of another type),
 * OUTER_IP_TAKEN, QUOTA_IPS. */
enum sv_err sv_outer_ip_take(struct sv_tx *tx, const struct sv_id *tenant, uint32_t want, enum sv_pool_type types,
                             const struct sv_id *router, uint32_t *ret, struct sv_error *err);
/* The same for one more use of `ip`, where the tenant may have it already; OUTER_IP_TAKEN: somebody else has. What may
 * be beside what is the caller's to ask. */
enum sv_err sv_outer_ip_join(struct sv_tx *tx, const struct sv_id *tenant, uint32_t ip, enum sv_pool_type types,
                             struct sv_error *err);
/* After a use of it ended (its row is gone): back to the pool and the quota, unless a router, a mapping or a balancer
 * still uses it. Of an address that nobody has: nothing. */
enum sv_err sv_outer_ip_give(struct sv_tx *tx, uint32_t ip, struct sv_error *err);
/* The same for the router's own, which is its own no longer. */
enum sv_err sv_outer_ip_give_router(struct sv_tx *tx, const struct sv_id *router, struct sv_error *err);
enum sv_err sv_outer_ip_get(struct sv_tx *tx, uint32_t ip, struct sv_outer_ip *ret, bool *ret_found,
                            struct sv_error *err);
enum sv_err sv_outer_ip_of_router(struct sv_tx *tx, const struct sv_id *router, struct sv_outer_ip *ret,
                                  bool *ret_found, struct sv_error *err);
/* Ascending. */
enum sv_err sv_outer_ip_list(struct sv_tx *tx, const struct sv_id *tenant,
                             void (*row)(void *arg, const struct sv_outer_ip *o), void *arg, struct sv_error *err);
/* Ranges of addresses in pools of `types` that nobody has, ascending; with the pool's gateway and prefix. */
struct sv_outer_free {
    uint32_t first, last, gateway;
    unsigned prefix;
};
enum sv_err sv_outer_ip_list_free(struct sv_tx *tx, enum sv_pool_type types,
                                  void (*row)(void *arg, const struct sv_outer_free *f), void *arg,
                                  struct sv_error *err);
/* Ports of it that mappings and balancers have, of TCP or UDP; ascending, each once. */
enum sv_err sv_outer_ip_ports(struct sv_tx *tx, uint32_t ip, void (*row)(void *arg, unsigned port), void *arg,
                              struct sv_error *err);

/* --- mappings -------------------------------------------------------------------------------------------- */

/* What of an address is mapped; the last two may be added. Kept in rows: never renumbered. */
enum sv_nat_proto { SV_NAT_IP = 0 /* all of it, one to one */, SV_NAT_TCP = 1, SV_NAT_UDP = 2, SV_NAT_BOTH = 3 };
static inline const char *sv_nat_proto_name(enum sv_nat_proto proto)
{
    static const char *const names[] = {
        [SV_NAT_IP] = "ip", [SV_NAT_TCP] = "tcp", [SV_NAT_UDP] = "udp", [SV_NAT_BOTH] = "both"};

    return names[proto];
}

struct sv_nat {
    struct sv_id id, tenant, nic;
    struct sv_id vm, vpc; /* on reading: of the NIC, as the next two */
    const char *vm_name;
    uint32_t inner_ip;
    struct sv_id router; /* on reading: the tenant's */
    enum sv_nat_proto proto;
    uint32_t outer_ip;               /* the tenant has it */
    unsigned outer_port, inner_port; /* 0 with SV_NAT_IP */
    const char *sources, *descr;     /* sources: as sv_ranges_text() writes them, "" = any */
    int64_t created;
};
typedef void sv_nat_fn(void *arg, const struct sv_nat *n);

enum sv_err sv_nat_insert(struct sv_tx *tx, const struct sv_nat *n, struct sv_error *err);
enum sv_err sv_nat_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                       struct sv_nat *ret, struct sv_error *err);
/* Its address is given back with the last use. */
enum sv_err sv_nat_delete(struct sv_tx *tx, const struct sv_nat *n, struct sv_error *err);
struct sv_nat_filter {
    const char *vm_name, *outer_part; /* substrings */
    uint32_t outer_ip, inner_ip;
    struct sv_id router; /* that router's tenant's; an id of any of its instances */
    enum { SV_NAT_EVERY, SV_NAT_WHOLE, SV_NAT_PORTS } kind;
    unsigned outer_port, inner_port; /* 0 = any */
};
enum sv_err sv_nat_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_nat_filter *f, const struct sv_page *p,
                        sv_nat_fn *row, void *arg, uint64_t *ret_total, struct sv_error *err);
/* In order of ids. */
enum sv_err sv_nat_list_tenant(struct sv_tx *tx, const struct sv_id *tenant, sv_nat_fn *row, void *arg,
                               struct sv_error *err);
/* All of a NIC that is about to go, with their addresses. *ret: how many there were. */
enum sv_err sv_nat_drop_nic(struct sv_tx *tx, const struct sv_id *nic, int64_t *ret, struct sv_error *err);
/* The one-to-one mapping of a NIC; *ret empty: it has none. */
enum sv_err sv_nat_of_nic(struct sv_tx *tx, const struct sv_id *nic, struct sv_id *ret, struct sv_error *err);
/* A mapping of the outer address: of all of it, which comes first, or of this port of what the protocol means; port 0:
 * of any. *ret empty: none. */
enum sv_err sv_nat_at(struct sv_tx *tx, uint32_t ip, enum sv_nat_proto proto, unsigned port, struct sv_id *ret,
                      enum sv_nat_proto *ret_proto, struct sv_error *err);
/* May the port of the outer address be mapped? OUTER_IP_MAPPED, OUTER_IP_OWN (a balancer has it for itself),
 * OUTER_PORT_TAKEN (by a mapping or a balancer). */
enum sv_err sv_nat_check_port(struct sv_tx *tx, uint32_t ip, enum sv_nat_proto proto, unsigned port,
                              struct sv_error *err);
/* How the outside reaches a NIC: its tenant's router, and whether that has a leg in the NIC's VPC. *ret_router empty:
 * there is none, or it is about to go. */
enum sv_err sv_nat_way(struct sv_tx *tx, const struct sv_nic *nic, struct sv_id *ret_router, bool *ret_leg,
                       struct sv_error *err);

#endif
