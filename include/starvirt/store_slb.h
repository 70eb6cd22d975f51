/* Load balancers and their nodes (StarVCenter 2.12, 2.13). */
#ifndef STARVIRT_STORE_SLB_H
#define STARVIRT_STORE_SLB_H

#include "starvirt/store.h"

/* Kept in rows: never renumbered. UDP has ports of its own, the others share TCP's. */
enum sv_slb_proto { SV_SLB_TCP, SV_SLB_UDP, SV_SLB_HTTP, SV_SLB_HTTPS };
enum sv_slb_policy { SV_SLB_RR, SV_SLB_WRR, SV_SLB_WLC };

struct sv_slb {
    struct sv_id id, tenant, router;
    struct sv_id vpc; /* of an address inside; empty = an outer address */
    const char *name, *descr;
    bool enabled;
    bool own; /* nobody else may use the (outer) address */
    enum sv_slb_proto proto;
    enum sv_slb_policy policy;
    uint32_t ip; /* host byte order */
    unsigned port;
    unsigned real_port;                                /* what nodes usually listen on: told, not used */
    const char *url_path, *check_path;                 /* http(s); else "" */
    unsigned retries;                                  /* failures in a row until a node counts as down */
    unsigned check_every, check_timeout, idle_timeout; /* [s] */
    unsigned max_connections;
    int64_t cert_ends; /* [ms UTC] https; else 0 */
    int64_t created;
};
static inline bool sv_slb_outside(const struct sv_slb *b)
{
    return sv_id_empty(&b->vpc);
}
static inline bool sv_slb_is_http(const struct sv_slb *b)
{
    return b->proto == SV_SLB_HTTP || b->proto == SV_SLB_HTTPS;
}
typedef void sv_slb_fn(void *arg, const struct sv_slb *b);

/* SLB_PORT_TAKEN: another has this address and port (see sv_slb_at). */
enum sv_err sv_slb_insert(struct sv_tx *tx, const struct sv_slb *b, struct sv_error *err);
/* SLB_NOT_FOUND. */
enum sv_err sv_slb_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                       struct sv_slb *ret, struct sv_error *err);
/* All but what a balancer is made with: id, tenant, router, protocol, the URL's path, real_port, created. A new end of
 * the certificate is warned of anew. */
enum sv_err sv_slb_update(struct sv_tx *tx, const struct sv_slb *b, struct sv_error *err);
/* Its nodes go with it; its secrets and its address are the caller's to give back. */
enum sv_err sv_slb_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);

struct sv_slb_filter {
    struct sv_id id;
    const char *name;            /* substring */
    int enabled, proto, outside; /* -1 = any */
    uint32_t ip;                 /* 0 = any, as for the port */
    unsigned port;
    bool by_name; /* in order of names; else of creation */
};
enum sv_err sv_slb_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_slb_filter *f, const struct sv_page *p,
                        sv_slb_fn *row, void *arg, uint64_t *ret_total, struct sv_error *err);
/* In order of ids. */
enum sv_err sv_slb_list_router(struct sv_tx *tx, const struct sv_id *router, sv_slb_fn *row, void *arg,
                               struct sv_error *err);

/* --- what balancers hold, for those who want to take it away or use it, too --- */
enum sv_err sv_slb_count_tenant(struct sv_tx *tx, const struct sv_id *tenant, uint64_t *ret, struct sv_error *err);
/* A balancer at this address, other than `but` (may be empty). An outer address: `vpc` empty. At the port of TCP or
 * UDP; port 0: any of both. *ret empty: none. */
enum sv_err sv_slb_at(struct sv_tx *tx, const struct sv_id *vpc, uint32_t ip, bool udp, unsigned port,
                      const struct sv_id *but, struct sv_id *ret, struct sv_error *err);
/* One that has this outer address for itself; *ret empty: none. */
enum sv_err sv_slb_owner_of(struct sv_tx *tx, uint32_t ip, struct sv_id *ret, struct sv_error *err);
/* The VPC of the router's legs that the address lies in; *ret empty: none. */
enum sv_err sv_slb_leg_at(struct sv_tx *tx, const struct sv_id *router, uint32_t ip, struct sv_id *ret,
                          struct sv_error *err);

/* --- upkeep --- */
/* Routers that have an enabled balancer, in order of ids. */
enum sv_err sv_slb_list_routers(struct sv_tx *tx, void (*row)(void *arg, const struct sv_id *router), void *arg,
                                struct sv_error *err);
/* Those with a certificate. */
enum sv_err sv_slb_list_certs(struct sv_tx *tx, sv_slb_fn *row, void *arg, struct sv_error *err);
/* Those whose certificate ends before that time and was not warned of, at most `limit`. */
enum sv_err sv_slb_list_ending(struct sv_tx *tx, int64_t before, unsigned limit, sv_slb_fn *row, void *arg,
                               struct sv_error *err);
enum sv_err sv_slb_warned(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);

/* --- nodes --- */
struct sv_slb_node {
    struct sv_id id, tenant, slb, nic;
    struct sv_id vm, vpc; /* on reading: of the NIC, as the address */
    uint32_t ip;
    const char *name, *descr;
    bool enabled;
    unsigned port, weight;
    int64_t created;
};
typedef void sv_slb_node_fn(void *arg, const struct sv_slb_node *n);

/* SLB_NODE_EXISTS: this port of this NIC is a node of the balancer already. */
enum sv_err sv_slb_node_insert(struct sv_tx *tx, const struct sv_slb_node *n, struct sv_error *err);
/* SLB_NODE_NOT_FOUND. */
enum sv_err sv_slb_node_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                            struct sv_slb_node *ret, struct sv_error *err);
/* Port and weight; SLB_NODE_EXISTS. */
enum sv_err sv_slb_node_update(struct sv_tx *tx, const struct sv_slb_node *n, struct sv_error *err);
enum sv_err sv_slb_node_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);
enum sv_err sv_slb_node_count(struct sv_tx *tx, const struct sv_id *slb, uint64_t *ret, struct sv_error *err);
struct sv_slb_node_filter {
    struct sv_id id, slb;
    const char *name; /* substring */
    uint32_t ip;      /* 0 = any, as for the port */
    unsigned port;
    bool by_name;
};
enum sv_err sv_slb_node_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_slb_node_filter *f,
                             const struct sv_page *p, sv_slb_node_fn *row, void *arg, uint64_t *ret_total,
                             struct sv_error *err);
/* In order of ids. */
enum sv_err sv_slb_node_list_slb(struct sv_tx *tx, const struct sv_id *slb, sv_slb_node_fn *row, void *arg,
                                 struct sv_error *err);
/* Nodes of a NIC that is about to go; `router` is called for each router that had one, each once. */
enum sv_err sv_slb_node_drop_nic(struct sv_tx *tx, const struct sv_id *nic,
                                 void (*router)(void *arg, const struct sv_id *router), void *arg,
                                 struct sv_error *err);

#endif
