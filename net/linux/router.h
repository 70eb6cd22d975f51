/* Routers of the Linux engine. One router is
 *
 *     gateway of a VPC: up0 ══ veth svy… ── bridge svx… ── veth svz… ══ tr0 in namespace svr-…
 *     bridge of the outer network (--net.outer) ── veth svo… ══ out0 in the same
 *
 * and files under DIR/net-router/<router id>/. With HA there are two of that, ha.h. The dots are the last twelve hex
 * digits of the router's id, of svy… those of the VPC's. The transit network is link-local: its addresses are the
 * engine's own, and no guest reaches them. The legs of VPCs are isolated ports of the bridge: each speaks to the router
 * alone. What a VPC's gateway and a router make is theirs alone; each plugs the leg into the bridge when it finds the
 * other's part there, so either may come first, and both at once.
 *
 * All of one router's rules are one nftables table, which is replaced whole. A rule of a boundary is asked for each
 * packet, as a function of the connection (once as it is for the direction that opened it, once mirrored): so a rule
 * that goes cuts its connections, and all others never notice. Connections that are translated carry the
 * mark of what translates them, and are forgotten with it. */
#ifndef STARVIRT_NET_LINUX_ROUTER_H
#define STARVIRT_NET_LINUX_ROUTER_H

#include "net/linux/internal.h"

#define UPLINK_DEV  "up0"  /* in a VPC's gateway */
#define TRANSIT_DEV "tr0"  /* in the router */
#define LISTEN_DEV  "lo"   /* in the router: inner addresses that balancers listen at */
#define OUTER_DEV   "out0" /* in the router, when it has an outer address and there is an outer network */
#define PAIR_DEV    "ha0"  /* in a router of two instances: to the other one */
enum { ROUTER_INSTANCES = 2 };
/* Transit addresses: 169.254.240.0/21; the router's, and from where the VPCs' are counted by their slots. */
enum { TRANSIT_PREFIX = 21 };
#define TRANSIT_ROUTER 0xA9FEF001u
#define TRANSIT_LEGS   0xA9FEF100u

struct router_names {
    char netns[20], netns_path[40];
    char transit[16], port[16], outer_port[16]; /* transit: of both instances */
    char *dir;                                  /* DIR/net-router/<id>, likewise */
};
void router_names_of(const struct linux_net *net, const struct sv_id *router, unsigned instance,
                     struct router_names *ret);
void router_names_free(struct router_names *n);
/* Of a VPC: its leg's name in the machine's namespace. */
void router_leg_name(const struct sv_id *vpc, char buf[16]);
void router_transit_name(const struct sv_id *router, char buf[16]);

/* --- router_text.c: texts, pure --- */
/* The table of nftables, with what removes an earlier one. `outer`: it has a leg there. */
void router_rules_text(const struct sv_net_router *want, bool outer, struct sv_buf *ret);
/* Lines "DEVICE ADDRESS/PREFIX", as they have to be. */
void router_addresses_text(const struct sv_net_router *want, unsigned instance, bool outer, struct sv_buf *ret);
/* Lines as `ip route` prints them. */
void router_routes_text(const struct sv_net_router *want, bool outer, struct sv_buf *ret);
/* The table of a VPC's gateway with an uplink. */
void uplink_rules_text(const struct sv_net_vpc *want, struct sv_buf *ret);

/* --- uplink.c: a VPC's way to its router --- */
/* As want->uplink says: made, moved, or taken away. */
enum sv_err uplink_ensure(const struct vpc *v, struct sv_error *err);
enum sv_err uplink_whole(const struct vpc *v, bool *ret, struct sv_error *err);
enum sv_err uplink_remove(const struct vpc *v, struct sv_error *err);
/* The leg of a VPC is put into a router's transit bridge where both are there. */
enum sv_err uplink_plug(const struct work *w, const struct sv_id *vpc, const struct sv_id *router,
                        struct sv_error *err);

/* The gateway sends on what is for a balancer's address in its VPC, and answers ARP for it: as what was applied of the
 * router says. Nothing to do where the gateway or its uplink is not there. */
enum sv_err uplink_listen(const struct work *w, const struct sv_net_leg *leg, const struct sv_id *router,
                          struct sv_error *err);
enum sv_err uplink_listens(const struct work *w, const struct sv_net_leg *leg, const struct sv_id *router, bool *ret,
                           struct sv_error *err);

/* --- router_link.c: namespace, devices, addresses, routes --- */
/* One of its instances, during one call. */
struct router {
    struct work work;
    const struct sv_net_router *want;
    unsigned instance; /* 0, or 1 with HA */
    struct router_names names;
    bool outer;  /* has a leg on the outer network */
    bool silent; /* what is made anew of it does not speak (ha.h) */
};
/* Both, though a router may have the first only. */
struct routers {
    struct router v[ROUTER_INSTANCES];
};
/* Everything is there; the devices inside are not up yet when they were made now. */
enum sv_err router_link_ensure(const struct router *r, struct sv_error *err);
/* Addresses and routes as the texts say, and no others; the devices are up. */
enum sv_err router_link_address(const struct router *r, struct sv_error *err);
/* What is there of addresses and routes, as text; empty without a namespace. */
enum sv_err router_link_look(const struct router *r, struct sv_buf *ret, struct sv_error *err);
/* Devices are there, up, and in their bridges. */
enum sv_err router_link_whole(const struct router *r, bool *ret_whole, struct sv_error *err);
/* Of instance 0 with the transit bridge. */
enum sv_err router_link_remove(const struct router *r, struct sv_error *err);

/* --- router_record.c: what was applied of an instance ---
 * DIR/net-router/<id>/wanted has the texts, `found` what the kernel showed of them right after: the kernel's way to
 * print is not ours, and a change by anybody shows. Neither is believed where the kernel says something else. Those of
 * instance 1 are wanted.1 and found.1. */
struct record {
    struct sv_buf wanted, found;
};
void record_free(struct record *r);
enum sv_err record_read(const struct router *r, struct record *ret, struct sv_error *err);
/* `found` goes first and comes last: without it nothing counts as applied. */
enum sv_err record_write(const struct router *r, const struct record *rec, struct sv_error *err);
enum sv_err record_remove(const struct router *r, struct sv_error *err);
/* What the kernel shows now; empty where there is nothing to ask. */
enum sv_err found_now(const struct router *r, struct sv_buf *ret, struct sv_error *err);

/* --- announce.c --- */
/* Tells the outer network who has these addresses now (gratuitous ARP). Best effort. In the calling thread's
 * namespace. */
void announce(const char *device, const uint32_t *ips, size_t n);

/* --- conntrack.c --- */
/* Connections with this mark are forgotten: what is left of them begins anew. In the calling thread's namespace. */
bool conntrack_forget(uint32_t mark);

/* --- router.c, router_look.c: the rows of the engine's table --- */
void routers_init(struct routers *all, const struct sv_net *net, const struct sv_net_router *want,
                  const struct sv_deadline *d);
void routers_free(struct routers *r);
enum sv_err router_check(const struct sv_net_router *want, struct sv_error *err);
/* Are rules, addresses, routes and devices of an instance as r->want says? */
enum sv_err router_applied(const struct router *r, bool *ret, struct sv_error *err);
/* Where an instance's balancers have their files. */
char *router_balance_dir(const struct router *r);
enum sv_err router_apply(struct sv_net *net, const struct sv_net_router *want, const struct sv_deadline *d,
                         struct sv_error *err);
enum sv_err router_remove(struct sv_net *net, const struct sv_id *id, const struct sv_deadline *d,
                          struct sv_error *err);
enum sv_err router_whole(struct sv_net *net, const struct sv_net_router *want, bool *ret, struct sv_error *err);
enum sv_err router_look(struct sv_net *net, const struct sv_id *id, struct sv_net_router_facts *ret,
                        struct sv_error *err);
enum sv_err router_rules(struct sv_net *net, const struct sv_id *id, sv_net_rule_fn *row, void *arg,
                         struct sv_error *err);
enum sv_err router_nodes(struct sv_net *net, const struct sv_id *id, sv_net_node_fn *row, void *arg,
                         struct sv_error *err);
enum sv_err router_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *id), void *arg,
                        struct sv_error *err);

#endif
