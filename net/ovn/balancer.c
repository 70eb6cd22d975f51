/* Balancers in OVN's words. A plain one of udp is a load balancer of OVN's. Any other is HAProxy's or nginx's, in the
 * router's place on this machine (place.c), which hangs on the router by a switch of its own; a load balancer of OVN's
 * with the place as its only node brings there what is for it, so that clients are seen as who they are. */
#include <stdio.h>

#include "net/ovn/internal.h"
#include "net/ovn/router.h"

enum { PLACE_FIRST = 10000, PLACE_PORTS = 20000 }; /* below those that connections are made from */

enum ovn_server ovn_server_of(const struct ovn_net *net, const struct sv_net_balancer *b)
{
    const bool plain = b->policy == SV_NET_RR;
    switch (b->proto) {
    case SV_NET_BALANCE_UDP:
        return plain ? OVN_ITSELF : net->ovs ? OVN_PLACE : OVN_NOBODY;
    case SV_NET_BALANCE_TCP:
        return net->ovs ? OVN_PLACE : plain ? OVN_ITSELF : OVN_NOBODY;
    case SV_NET_BALANCE_HTTP:
    case SV_NET_BALANCE_HTTPS:
        return net->ovs ? OVN_PLACE : OVN_NOBODY;
    }
    return OVN_NOBODY;
}

/* Without an outer network there is no outer address to listen at. */
static bool listens(const struct ovn_net *net, const struct sv_net_router *w, const struct sv_net_balancer *b)
{
    return !b->outer || (net->outer && w->outer_ip);
}

struct sv_net_balancer *ovn_placed(const struct ovn_net *net, const struct sv_net_router *w, size_t *ret_n)
{
    struct sv_net_balancer *v = sv_alloc((w->balancer_count + 1) * sizeof(*v));
    size_t n = 0;
    for (size_t i = 0; i < w->balancer_count; i++) {
        const struct sv_net_balancer *b = &w->balancers[i];
        if (ovn_server_of(net, b) != OVN_PLACE || !listens(net, w, b))
            continue;
        /* By its id, so that it stays where it is while others come and go; two of one port go next to each other. */
        uint16_t port = (uint16_t)(PLACE_FIRST + sv_hash(b->id.s) % PLACE_PORTS);
        for (size_t k = 0; k < n; k++)
            if (v[k].bind_port == port) {
                port++;
                k = (size_t)-1;
            }
        v[n] = *b;
        v[n].bind_ip = OVN_PLACE_IP;
        v[n++].bind_port = port;
    }
    *ret_n = n;
    return v;
}

/* --- the place, as OVN sees it --- */

char *ovn_place_port(struct sv_arena *a, const struct sv_id *router)
{
    return sv_arena_printf(a, "svk-%s", router->s);
}

char *ovn_place_mac(struct sv_arena *a, const struct sv_id *router)
{
    return ovn_mac_for(a, "place", router);
}

/* It hears what its balancers listen at, and answers; it asks nodes. */
static void plan_rules(struct ovn_building *b, size_t sw, const char *port, const struct sv_net_balancer *v, size_t n)
{
    struct sv_arena *a = b->p->arena;
    SV_CLEANUP(sv_buf_free) struct sv_buf hears = {0};
    const char *to = sv_arena_printf(a, "outport == \"%s\" && ip4", port);
    sv_buf_printf(&hears, "%s && (", to);
    for (size_t i = 0; i < n; i++)
        sv_buf_printf(&hears, "%s%s.dst == %u", i ? " || " : "", v[i].proto == SV_NET_BALANCE_UDP ? "udp" : "tcp",
                      v[i].bind_port);
    sv_buf_putc(&hears, ')');
    ovn_acl(b->p, sw, "place:hears", true, OVN_PRIO_RULE, "allow-related", hears.p);
    ovn_acl(b->p, sw, "place:rest", true, OVN_PRIO_REST, "drop", to);
    ovn_track(b->p, sw, "place:asks");
}

static void plan_place(struct ovn_building *b, const struct sv_net_balancer *v, size_t n)
{
    struct sv_arena *a = b->p->arena;
    const struct sv_id *router = &b->want->id;
    const char *gate = sv_arena_printf(a, "svkr-%s", router->s), *port = ovn_place_port(a, router);
    const char *self = sv_arena_printf(a, "%s %s", ovn_place_mac(a, router), ovn_ip(a, OVN_PLACE_IP));
    const size_t sw = ovn_row(b->p, OVN_SWITCH, "place"), up = ovn_row(b->p, OVN_ROUTER_PORT, "place"),
                 here = ovn_row(b->p, OVN_SWITCH_PORT, "place");
    ovn_set(b->p, sw, "name", sv_arena_printf(a, "svk-%s", router->s));
    ovn_set(b->p, up, "name", gate);
    ovn_set(b->p, up, "mac", ovn_mac_for(a, "place-gateway", router));
    ovn_set(b->p, up, "networks", ovn_cidr(a, OVN_PLACE_GATEWAY, OVN_PLACE_PREFIX));
    ovn_hold(b->p, b->router, "ports", up);
    ovn_set_map(b->p, ovn_router_side(b, sw, "place-side", sv_arena_printf(a, "svks-%s", router->s)), "options",
                OVN_MAP("router-port", gate));
    ovn_set(b->p, here, "name", port);
    ovn_set(b->p, here, "addresses", self);
    ovn_set(b->p, here, "port_security", self);
    ovn_hold(b->p, sw, "ports", here);
    plan_rules(b, sw, port, v, n);
}

/* --- balancers --- */

/* On the router for who comes from outside, and on the switches for guests: they get to it without the router, and
 * the answers on the same way back. */
size_t ovn_plan_balancer(struct ovn_building *b, const char *key, const char *proto, const char *vip, const char *to)
{
    struct ovn_plan *p = b->p;
    const size_t lb = ovn_row(p, OVN_BALANCER, key);
    ovn_set(p, lb, "name", sv_arena_printf(p->arena, "sv-%s", key));
    ovn_set(p, lb, "protocol", proto);
    ovn_set_map(p, lb, "vips", OVN_MAP(vip, to));
    ovn_leave(p, OVN_SWITCH, "vpc", "load_balancer", lb);
    ovn_hold(p, b->router, "load_balancer", lb);
    for (size_t i = 0; i < b->want->leg_count; i++)
        ovn_hold(p, b->switches[i], "load_balancer", lb);
    return lb;
}

char *ovn_endpoint(struct sv_arena *a, uint32_t ip, unsigned port)
{
    return sv_arena_printf(a, "%s:%u", ovn_ip(a, ip), port);
}

static size_t plan_one(struct ovn_building *b, const struct sv_net_balancer *w, const char *to)
{
    struct sv_arena *a = b->p->arena;
    return ovn_plan_balancer(b, sv_arena_printf(a, "balancer:%s", w->id.s),
                             w->proto == SV_NET_BALANCE_UDP ? "udp" : "tcp", ovn_endpoint(a, w->ip, w->port), to);
}

static void plan_own(struct ovn_building *b, const struct sv_net_balancer *w)
{
    struct sv_arena *a = b->p->arena;
    SV_CLEANUP(sv_buf_free) struct sv_buf to = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf nodes = {0};
    for (size_t i = 0; i < w->node_count; i++) {
        sv_buf_printf(&nodes, "%s%s", nodes.n ? "," : "", w->nodes[i].id.s);
        if (w->nodes[i].on)
            sv_buf_printf(&to, "%s%s", to.n ? "," : "", ovn_endpoint(a, w->nodes[i].ip, w->nodes[i].port));
    }
    const size_t lb = plan_one(b, w, to.p ? to.p : "");
    b->p->rows[lb].nodes = nodes.n ? sv_arena_strdup(a, nodes.p) : NULL;
}

void ovn_plan_balancers(struct ovn_building *b)
{
    const struct sv_net_router *w = b->want;
    size_t n;
    SV_AUTOFREE struct sv_net_balancer *placed = ovn_placed(b->net, w, &n);
    for (size_t i = 0; i < w->balancer_count; i++)
        if (ovn_server_of(b->net, &w->balancers[i]) == OVN_ITSELF && listens(b->net, w, &w->balancers[i]))
            plan_own(b, &w->balancers[i]);
    if (n)
        plan_place(b, placed, n);
    for (size_t i = 0; i < n; i++)
        plan_one(b, &placed[i], ovn_endpoint(b->p->arena, placed[i].bind_ip, placed[i].bind_port));
}
