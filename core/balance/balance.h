/* Load balancers and their nodes. */
#ifndef CORE_BALANCE_H
#define CORE_BALANCE_H

#include "core/network/network.h"
#include "starvirt/core_balance.h"

/* --- a balancer's rows (core/balance/balancer.c) --- */
/* By its text; SLB_NOT_FOUND. Texts live as long as the transaction. */
enum sv_err sv_slb_find(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_slb *ret,
                        struct sv_error *err);
/* The engine has to be told of its router. */
enum sv_err sv_slb_touch(struct sv_cloud *c, struct sv_tx *tx, const struct sv_slb *b, struct sv_error *err);

/* "TCP", ... */
const char *sv_slb_proto_name(enum sv_slb_proto proto);

/* --- nodes (core/balance/node.c) --- */
/* A new node of the balancer; what sv_slb_node_add() says, but for the balancer. Touches nothing. */
enum sv_err sv_slb_put_node(struct sv_tx *tx, const struct sv_slb *b, const struct sv_slb_node_new *in,
                            struct sv_id *ret, struct sv_error *err);

/* --- where it listens (core/balance/listen.c) --- */
/* The VPC of an address inside, from its router's legs; SLB_ADDRESS. */
enum sv_err sv_slb_find_vpc(struct sv_tx *tx, struct sv_slb *b, struct sv_error *err);
/* That nobody else has address and port; the address is then the tenant's (outside), or none that a NIC gets (inside).
 * SLB_ADDRESS, SLB_PORT_TAKEN, OUTER_IP_*, QUOTA_IPS. Before its row says so. */
enum sv_err sv_slb_listen(struct sv_tx *tx, const struct sv_slb *b, struct sv_error *err);
/* Its row does not say so any more: the address is free again, unless somebody else uses it. */
enum sv_err sv_slb_hush(struct sv_tx *tx, const struct sv_slb *b, struct sv_error *err);

/* --- what the engine found (core/balance/states.c) --- */
/* One thread, that asks every few seconds, and warns of certificates that end. A round asks no further router after so
 * many ms; what is not asked shows what was found last. */
enum { SV_BALANCE_ROUND_MS = 2000 };
enum sv_err sv_balance_start(struct sv_cloud *c, struct sv_error *err);
void sv_balance_stop(struct sv_cloud *c); /* not begun: nothing, as the next one */
void sv_balance_free(struct sv_cloud *c);
enum sv_net_node_state sv_balance_node_state(struct sv_cloud *c, const struct sv_id *node);

#endif
