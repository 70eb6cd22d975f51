/* Routers of the OVN engine: what their parts share. router.c legs, the outer port, translations; balancer.c balancers
 * as rows, place.c where HAProxy and nginx run. */
#ifndef STARVIRT_NET_OVN_ROUTER_H
#define STARVIRT_NET_OVN_ROUTER_H

#include "net/ovn/internal.h"

struct ovn_building {
    const struct ovn_net *net;
    const struct sv_net_router *want;
    struct ovn_plan *p;
    size_t router;
    size_t *switches; /* of the legs, in their order */
};
/* A switch's port to a router's one. */
size_t ovn_router_side(struct ovn_building *b, size_t sw, const char *key, const char *name);

/* --- balancer.c --- */
/* Link-local, one network a router: nothing else is in it, and no guest has such an address. Nodes see OVN_PLACE_IP. */
#define OVN_PLACE_IP      0xA9FEF001u
#define OVN_PLACE_GATEWAY 0xA9FEF002u
enum { OVN_PLACE_PREFIX = 30 };

/* Who serves a balancer: a load balancer of OVN's; HAProxy or nginx in the place; nobody, since this machine has no
 * Open vSwitch to plug one into. */
enum ovn_server { OVN_ITSELF, OVN_PLACE, OVN_NOBODY };
enum ovn_server ovn_server_of(const struct ovn_net *net, const struct sv_net_balancer *b);
/* Those that the place serves, with bind_ip and bind_port. Free with free(). */
struct sv_net_balancer *ovn_placed(const struct ovn_net *net, const struct sv_net_router *w, size_t *ret_n);
/* Its port in OVN, which br-int knows it by, and its address there. */
char *ovn_place_port(struct sv_arena *a, const struct sv_id *router);
char *ovn_place_mac(struct sv_arena *a, const struct sv_id *router);
void ovn_plan_balancers(struct ovn_building *b);
/* A load balancer of OVN's: "IP:PORT" to "IP:PORT,…". */
size_t ovn_plan_balancer(struct ovn_building *b, const char *key, const char *proto, const char *vip, const char *to);
char *ovn_endpoint(struct sv_arena *a, uint32_t ip, unsigned port);

/* --- place.c: a namespace of this machine, plugged into br-int, with the balancers of one router --- */
/* As wanted: made, or taken away when it serves none. */
enum sv_err ovn_place_apply(const struct ovn_net *net, const struct sv_net_router *want, const struct sv_deadline *d,
                            struct sv_error *err);
enum sv_err ovn_place_remove(const struct ovn_net *net, const struct sv_id *router, const struct sv_deadline *d,
                             struct sv_error *err);
/* Does all run that should, and is it plugged in? Nothing should where it serves none. */
enum sv_err ovn_place_whole(const struct ovn_net *net, const struct sv_id *router, bool *ret, struct sv_error *err);
/* How its nodes are; nothing where it serves none. */
enum sv_err ovn_place_nodes(const struct ovn_net *net, const struct sv_id *router, sv_net_node_fn *row, void *arg,
                            struct sv_error *err);

#endif
