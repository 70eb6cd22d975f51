/* A router with two VPCs, their guests (a1, a2; b1) and clients on an outer network (c1, also its gateway, and c2), all
 * of them namespaces. */
#ifndef NET_ROUTED_H
#define NET_ROUTED_H

#include "net_traffic.h"

#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))
#define ROUTER_NETNS   "svr-eeeeeeeeeeee"
#define CLIENT         "192.0.2.100" /* also the outer network's gateway; behind it: */
#define FAR            "198.51.100.1"
#define OTHER_CLIENT   "192.0.2.101"
#define OUR_OUTER      "192.0.2.5"
#define MAPPED         "192.0.2.10"

extern const struct sv_id router_id;
extern const struct sv_net_leg legs[2];
extern const struct sv_net_router plain; /* both legs, two outer addresses, nothing else */
/* What listens: at port 80 (web), 53 (dns). */
extern int web_a1, web_a2, web_b1, dns_b1, web_client, dns_client, web_far, web_other;

/* For net_sandbox(). */
void make_outer_network(void);
struct sv_net_vpc vpc(unsigned i, bool uplink);
void apply_vpc(unsigned i, bool uplink);
void apply(const struct sv_net_router *want);
void remove_engine_side(void);
void guests_up(void);
void guests_down(void);
/* All of it, with its guests. */
void up(const struct sv_net_router *want);
void down(void);

bool tcp(const char *from, const char *to, uint16_t port, int listener);
bool no_tcp(const char *from, const char *to, uint16_t port, int listener);
/* As whom the sender is seen. */
uint32_t tcp_seen(const char *from, const char *to, uint16_t port, int listener);
/* Every guest reaches the other VPC and the outer network. */
bool reachable(void);
bool whole(void);
int listed(void);
int rules_in_force(void);

#endif
