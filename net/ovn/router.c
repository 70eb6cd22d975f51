/* A router: legs into the VPCs' switches, a port on the outer one, translations, balancers. OVN routes between legs on
 * each host; what crosses the outer port passes one of the hosts that have the outer network. */
#include "net/ovn/router.h"

static char *leg_port(struct sv_arena *a, const char *prefix, const struct sv_id *router, const struct sv_id *vpc)
{
    return sv_arena_printf(a, "%s-%s-%s", prefix, router->s, vpc->s);
}

size_t ovn_router_side(struct ovn_building *b, size_t sw, const char *key, const char *name)
{
    const size_t port = ovn_row(b->p, OVN_SWITCH_PORT, key);
    ovn_set(b->p, port, "name", name);
    ovn_set(b->p, port, "type", "router");
    ovn_set(b->p, port, "addresses", "router");
    ovn_hold(b->p, sw, "ports", port);
    return port;
}

static void plan_leg(struct ovn_building *b, size_t i)
{
    struct sv_arena *a = b->p->arena;
    const struct sv_net_leg *leg = &b->want->legs[i];
    const char *name = leg_port(a, "svr", &b->want->id, &leg->vpc);
    const size_t sw = b->switches[i] = ovn_switch_of(b->p, &leg->vpc);
    const size_t port = ovn_row(b->p, OVN_ROUTER_PORT, sv_arena_printf(a, "leg:%s", leg->vpc.s));
    ovn_set(b->p, port, "name", name);
    ovn_set(b->p, port, "mac", ovn_mac_of(a, &leg->vpc));
    ovn_set(b->p, port, "networks", ovn_cidr(a, leg->base + 1, leg->prefix));
    ovn_hold(b->p, b->router, "ports", port);
    const size_t side =
        ovn_router_side(b, sw, sv_arena_printf(a, "side:%s", leg->vpc.s), leg_port(a, "svs", &b->want->id, &leg->vpc));
    ovn_set_map(b->p, side, "options", OVN_MAP("router-port", name));
}

/* --- outside --- */

/* The switch of the outer network is everybody's who has a router; it stays. */
static size_t outer_switch(struct ovn_building *b)
{
    struct sv_arena *a = b->p->arena;
    const struct ovn_unit unit = {.kind = "outer", .id = b->net->outer};
    const size_t sw = ovn_row_of(b->p, OVN_SWITCH, unit, "switch", sv_arena_printf(a, "sv-outer-%s", b->net->owner));
    const size_t local =
        ovn_row_of(b->p, OVN_SWITCH_PORT, unit, "localnet", sv_arena_printf(a, "svl-outer-%s", b->net->owner));
    ovn_set(b->p, local, "type", "localnet");
    ovn_set(b->p, local, "addresses", "unknown");
    ovn_set_map(b->p, local, "options", OVN_MAP("network_name", b->net->outer));
    ovn_hold(b->p, sw, "ports", local);
    return sw;
}

static void plan_chassis(struct ovn_building *b, size_t port, const char *name, const char *chassis, int priority)
{
    struct sv_arena *a = b->p->arena;
    const size_t row = ovn_row(b->p, OVN_CHASSIS, sv_arena_printf(a, "chassis:%s", chassis));
    ovn_set(b->p, row, "name", sv_arena_printf(a, "%s_%s", name, chassis));
    ovn_set(b->p, row, "chassis_name", chassis);
    ovn_set_int(b->p, row, "priority", priority);
    ovn_hold(b->p, port, "gateway_chassis", row);
}

/* With HA all hosts that have the outer network, the first one that lives; else one, by the router's id. */
static void plan_gateways(struct ovn_building *b, size_t port, const char *name)
{
    enum { MAX_GATEWAYS = 16, FIRST_PRIORITY = 100 };
    const char *all[MAX_GATEWAYS];
    unsigned n = 0;
    char *save = NULL, *list = sv_arena_strdup(b->p->arena, b->net->gateways);
    for (char *one = strtok_r(list, ",", &save); one && n < MAX_GATEWAYS; one = strtok_r(NULL, ",", &save))
        all[n++] = one;
    for (unsigned i = 0; i < n; i++)
        if (b->want->ha || i == sv_hash(b->want->id.s) % n)
            plan_chassis(b, port, name, all[i], FIRST_PRIORITY - (int)i);
}

/* Nobody outside reaches inner addresses by taking the router for theirs: what comes in is for an outer address. */
static void plan_shield(struct ovn_building *b, size_t sw, const char *port)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf ours = {0};
    const char *all = sv_arena_printf(b->p->arena, "outport == \"%s\" && ip4", port);
    sv_buf_printf(&ours, "%s && ip4.dst == {%s", all, ovn_ip(b->p->arena, b->want->outer_ip));
    for (size_t i = 0; i < b->want->outer_ip_count; i++)
        sv_buf_printf(&ours, ", %s", ovn_ip(b->p->arena, b->want->outer_ips[i]));
    sv_buf_puts(&ours, "}");
    ovn_acl(b->p, sw, "shield:ours", true, OVN_PRIO_GUARD, "allow", ours.p);
    ovn_acl(b->p, sw, "shield", true, OVN_PRIO_GATE, "drop", all);
}

static void plan_outer(struct ovn_building *b)
{
    struct sv_arena *a = b->p->arena;
    const struct sv_net_router *w = b->want;
    const char *name = sv_arena_printf(a, "svo-%s", w->id.s), *side = sv_arena_printf(a, "svx-%s", w->id.s);
    const size_t sw = outer_switch(b), port = ovn_row(b->p, OVN_ROUTER_PORT, "outer");
    ovn_set(b->p, port, "name", name);
    ovn_set(b->p, port, "mac", ovn_mac_of(a, &w->id));
    ovn_set(b->p, port, "networks", ovn_cidr(a, w->outer_ip, w->outer_prefix));
    ovn_hold(b->p, b->router, "ports", port);
    plan_gateways(b, port, name);
    const size_t on_switch = ovn_router_side(b, sw, "outer-side", side);
    ovn_set_map(b->p, on_switch, "options", OVN_MAP("router-port", name, "nat-addresses", "router"));
    plan_shield(b, sw, side);
    if (!w->outer_gateway)
        return;
    const size_t route = ovn_row(b->p, OVN_ROUTE, "route");
    ovn_set(b->p, route, "ip_prefix", "0.0.0.0/0");
    ovn_set(b->p, route, "nexthop", ovn_ip(a, w->outer_gateway));
    ovn_set(b->p, route, "output_port", name);
    ovn_hold(b->p, b->router, "static_routes", route);
}

/* --- translations --- */

static void plan_nat(struct ovn_building *b, const char *key, const char *type, uint32_t outer, const char *inner)
{
    const size_t nat = ovn_row(b->p, OVN_NAT, key);
    ovn_set(b->p, nat, "type", type);
    ovn_set(b->p, nat, "external_ip", ovn_ip(b->p->arena, outer));
    ovn_set(b->p, nat, "logical_ip", inner);
    ovn_hold(b->p, b->router, "nat", nat);
}

/* A mapping takes its connections along, as everywhere; balancers' end by themselves. */
static void plan_port(struct ovn_building *b, const char *key, const struct sv_net_nat *n)
{
    const size_t lb = ovn_plan_balancer(b, key, n->proto == SV_NET_TCP ? "tcp" : "udp",
                                        ovn_endpoint(b->p->arena, n->outer_ip, n->outer_port),
                                        ovn_endpoint(b->p->arena, n->inner_ip, n->inner_port));

    ovn_set_map(b->p, lb, "options", OVN_MAP("ct_flush", "true"));
}

static void plan_mapping(struct ovn_building *b, const struct sv_net_nat *n)
{
    const char *key = sv_arena_printf(b->p->arena, "nat:%s", n->id.s);

    if (n->proto == SV_NET_ANY)
        plan_nat(b, key, "dnat_and_snat", n->outer_ip, ovn_ip(b->p->arena, n->inner_ip));
    else
        plan_port(b, key, n);
}

static bool leg_has(const struct sv_net_leg *leg, uint32_t ip)
{
    return leg->prefix > 0 && (ip ^ leg->base) >> (32 - leg->prefix) == 0;
}

struct sources {
    struct ovn_building *b;
    const struct sv_net_nat *nat;
    size_t leg;
    const char *at;
    unsigned n;
};

static void drop_source(void *arg, const char *match)
{
    struct sources *s = arg;
    struct sv_arena *a = s->b->p->arena;
    ovn_acl(s->b->p, s->b->switches[s->leg], sv_arena_printf(a, "sources:%s:%u", s->nat->id.s, s->n++), true,
            OVN_PRIO_GATE, "drop", sv_arena_printf(a, "%s%s", s->at, match));
}

/* The tenant's own may always. */
static struct sv_net_ranges allowed_sources(struct ovn_building *b, const struct sv_net_nat *n)
{
    const struct sv_net_router *w = b->want;
    struct sv_net_range *all =
        sv_arena_alloc(b->p->arena, (n->sources.n + w->leg_count + w->outer_ip_count) * sizeof(*all));
    size_t count = 0;
    for (size_t i = 0; i < n->sources.n; i++)
        all[count++] = n->sources.v[i];
    for (size_t i = 0; i < w->leg_count; i++)
        all[count++] = (struct sv_net_range){
            w->legs[i].base, w->legs[i].base + (uint32_t)(((uint64_t)1 << (32 - w->legs[i].prefix)) - 1)};
    for (size_t i = 0; i < w->outer_ip_count; i++)
        all[count++] = (struct sv_net_range){w->outer_ips[i], w->outer_ips[i]};
    return (struct sv_net_ranges){all, count};
}

/* Who may come in this way is asked where it gets in: of what the router hands to the VPC's switch. */
static void plan_sources(struct ovn_building *b, const struct sv_net_nat *n, size_t leg)
{
    struct sv_arena *a = b->p->arena;
    const struct sv_net_rule may = {.in = true, .src = allowed_sources(b, n)};
    const struct sv_net_rules rules = {&may, 1};
    const char *side = leg_port(a, "svs", &b->want->id, &b->want->legs[leg].vpc);
    struct sources s = {.b = b, .nat = n, .leg = leg};
    s.at = sv_arena_printf(a, "inport == \"%s\" && ip4.dst == %s", side, ovn_ip(a, n->inner_ip));
    if (n->proto != SV_NET_ANY)
        s.at = sv_arena_printf(a, "%s && %s.dst == %u", s.at, n->proto == SV_NET_TCP ? "tcp" : "udp", n->inner_port);
    ovn_gate_drops(&rules, true, drop_source, &s);
    ovn_track(b->p, b->switches[leg], sv_arena_printf(a, "track:%s", n->id.s));
}

static void plan_restrictions(struct ovn_building *b)
{
    for (size_t i = 0; i < b->want->nat_count; i++)
        for (size_t k = 0; b->want->nats[i].sources.n && k < b->want->leg_count; k++)
            if (leg_has(&b->want->legs[k], b->want->nats[i].inner_ip))
                plan_sources(b, &b->want->nats[i], k);
}

/* --- all of it --- */

static void plan_gates(struct ovn_building *b)
{
    for (size_t i = 0; i < b->want->gate_count; i++)
        for (size_t k = 0; k < b->want->leg_count; k++)
            if (sv_id_eq(&b->want->gates[i].vpc, &b->want->legs[k].vpc))
                ovn_plan_gate(b, b->switches[k], &b->want->legs[k], &b->want->gates[i],
                              leg_port(b->p->arena, "svs", &b->want->id, &b->want->legs[k].vpc));
}

void ovn_plan_router(const struct ovn_net *net, const struct sv_net_router *want, struct ovn_plan *p)
{
    struct ovn_building b = {.net = net, .want = want, .p = p};
    const bool outer = want->outer_ip && net->outer;
    ovn_plan_init(p, net->owner, "router", want->id.s);
    b.router = ovn_row(p, OVN_ROUTER, "router");
    b.switches = sv_arena_alloc(p->arena, (want->leg_count + 1) * sizeof(*b.switches));
    ovn_set(p, b.router, "name", sv_arena_printf(p->arena, "sv-%s", want->id.s));
    for (size_t i = 0; i < want->leg_count; i++)
        plan_leg(&b, i);
    plan_gates(&b);
    if (outer)
        plan_outer(&b);
    for (size_t i = 0; outer && i < want->leg_count; i++)
        plan_nat(&b, sv_arena_printf(p->arena, "snat:%s", want->legs[i].vpc.s), "snat", want->outer_ip,
                 ovn_cidr(p->arena, want->legs[i].base, want->legs[i].prefix));
    for (size_t i = 0; outer && i < want->nat_count; i++)
        plan_mapping(&b, &want->nats[i]);
    if (outer)
        plan_restrictions(&b);
    ovn_plan_balancers(&b);
}

/* --- what is not there --- */

static bool same_ranges(const struct sv_net_ranges *a, const struct sv_net_ranges *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->v, b->v, a->n * sizeof(*a->v)) == 0);
}

static bool same_target(const struct sv_net_nat *a, const struct sv_net_nat *b)
{
    return a->inner_ip == b->inner_ip && (a->proto == SV_NET_ANY || b->proto == SV_NET_ANY ||
                                          (a->proto == b->proto && a->inner_port == b->inner_port));
}

/* At the switch nobody knows any more which of them a connection came through: it has to please both. */
static bool sources_differ(const struct sv_net_router *w)
{
    for (size_t i = 0; i < w->nat_count; i++)
        for (size_t k = i + 1; k < w->nat_count; k++)
            if (same_target(&w->nats[i], &w->nats[k]) && !same_ranges(&w->nats[i].sources, &w->nats[k].sources))
                return true;
    return false;
}

const char *ovn_router_lacks(const struct ovn_net *net, const struct sv_net_router *want)
{
    /* Without an outer port there is nothing that one host does alone. */
    if (want->ha && want->outer_ip && net->outer && !strchr(net->gateways, ','))
        return "a router of two instances with one host in --ovn.gateways";
    for (size_t i = 0; i < want->balancer_count; i++)
        if (ovn_server_of(net, &want->balancers[i]) == OVN_NOBODY)
            return "balancers of http, https, weights and least connections without Open vSwitch on this machine";
    return sources_differ(want) ? "several mappings to one inner port with different sources with --network ovn" : NULL;
}
