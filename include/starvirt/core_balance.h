/* Load balancers (StarVCenter 2.12) and their nodes (2.13): rules, and what the engine found. */
#ifndef STARVIRT_CORE_BALANCE_H
#define STARVIRT_CORE_BALANCE_H

#include "starvirt/core.h"
#include "starvirt/store_slb.h"

/* Of a new one and of a change; NULL and -1 are not said: what is the rule for a new one, what is there for a change.
 */
struct sv_slb_settings {
    const char *name, *descr;
    const char *ip;                                            /* dotted */
    int own;                                                   /* outer addresses only; true for a new one */
    int64_t port;                                              /* SV_MIN_SLB_PORT.. */
    int policy;                                                /* enum sv_slb_policy; SV_SLB_RR */
    int64_t retries, check_every, check_timeout, idle_timeout; /* SV_SLB_DEFAULT_* */
    int64_t max_connections;
    const char *check_path; /* http(s) only; as the URL's path */
};
enum {
    SV_SLB_DEFAULT_RETRIES = 3,
    SV_SLB_DEFAULT_EVERY = 5, /* [s], as the next two */
    SV_SLB_DEFAULT_TIMEOUT = 5,
    SV_SLB_DEFAULT_IDLE = 60,
    SV_SLB_DEFAULT_CONNECTIONS = 1000
};
struct sv_slb_node_new {
    const char *name, *descr; /* NULL: made from the id; none */
    const char *vm, *ip;      /* an address of one of the VM's NICs, in a VPC of the balancer's router */
    int64_t port, weight;     /* weight -1 = 1 */
};
struct sv_slb_new {
    const char *tenant; /* as sv_owner() takes it */
    const char *router; /* an id of one of its instances */
    enum sv_slb_proto proto;
    bool outside;
    int64_t real_port;      /* -1 = the port */
    const char *url_path;   /* http(s) only; NULL = "/" */
    const char *cert, *key; /* https: both, and no other */
    struct sv_slb_settings set;
    const struct sv_slb_node_new *nodes;
    size_t node_count;
};
/* It is on from the start. ROUTER_NOT_FOUND, SLB_LIMIT, SLB_ADDRESS, SLB_PORT_TAKEN and what goes with addresses
 * (QUOTA_IPS, OUTER_IP_*), what is wrong with a certificate, what sv_slb_node_add() says: err->element is the node's.
 */
enum sv_err sv_slb_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const struct sv_slb_new *in,
                       struct sv_id *ret, struct sv_error *err);
enum sv_err sv_slb_modify(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                          const struct sv_slb_settings *set, struct sv_error *err);
enum sv_err sv_slb_switch(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id, bool on,
                          struct sv_error *err);
/* SLB_NO_CERTIFICATE unless it is of https. */
enum sv_err sv_slb_certify(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                           const char *cert, const char *key, struct sv_error *err);
/* With its nodes. */
enum sv_err sv_slb_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                          struct sv_error *err);
/* `tenant` NULL: all that the actor sees; `id` NULL: any. */
enum sv_err sv_slb_search(struct sv_tx *tx, const struct sv_actor *who, const char *tenant, const char *id,
                          const struct sv_slb_filter *f, const struct sv_page *p, sv_slb_fn *row, void *arg,
                          uint64_t *ret_total, struct sv_error *err);
/* It is https, and what it shows is valid now. */
bool sv_slb_certified(const struct sv_slb *b);

/* SLB_NODE_ADDRESS, SLB_NODE_EXISTS, SLB_NODE_LIMIT, VM_NOT_FOUND. */
enum sv_err sv_slb_node_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *slb,
                            const struct sv_slb_node_new *in, struct sv_id *ret, struct sv_error *err);
/* -1 = as it is. */
enum sv_err sv_slb_node_modify(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                               int64_t port, int64_t weight, struct sv_error *err);
enum sv_err sv_slb_node_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                               struct sv_error *err);
/* With what the engine found of each a few seconds ago at most; SV_NET_NODE_UNKNOWN: nothing. `id`, `slb` NULL: any. */
enum sv_err sv_slb_node_search(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                               const char *slb, const struct sv_slb_node_filter *f, const struct sv_page *p,
                               void (*row)(void *arg, const struct sv_slb_node *n, enum sv_net_node_state state),
                               void *arg, uint64_t *ret_total, struct sv_error *err);

/* What was found of all balancers, for /metrics; from any thread, asks nobody. */
struct sv_slb_figures {
    struct sv_id id;
    unsigned nodes[SV_NET_NODE_OFF + 1]; /* by enum sv_net_node_state */
    uint64_t connections, sessions, bytes_in, bytes_out;
    int64_t cert_ends; /* [ms UTC]; 0 = has none */
};
void sv_cloud_balancers(struct sv_cloud *c, void (*row)(void *arg, const struct sv_slb_figures *f), void *arg);

#endif
