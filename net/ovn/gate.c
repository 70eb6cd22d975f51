/* The boundary of a VPC. A packet has to pass the boundary and its NIC's filter, but OVN asks one list of rules, the
 * highest first: what the boundary's rules do not let pass is dropped above the filters', and the rest goes on to them.
 * So allowing rules are turned around: by source, then by destination, the space of addresses falls into parts in each
 * of which the same rules hold; of each part what none of them allows. */
#include <stdlib.h>

#include "net/ovn/router.h"

/* The rules that hold in a part, and where it is. */
struct part {
    bool *holds; /* a rule each */
    struct sv_net_range *ranges;
    size_t n, cap;
};
struct parts {
    struct part *v;
    size_t n, cap;
};

static void parts_free(struct parts *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->v[i].holds);
        free(p->v[i].ranges);
    }
    free(p->v);
    *p = (struct parts){0};
}

static int by_number(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static const struct sv_net_ranges *side_of(const struct sv_net_rule *r, bool src)
{
    return src ? &r->src : &r->dst;
}

static bool has(const struct sv_net_ranges *r, uint64_t at)
{
    for (size_t i = 0; i < r->n; i++)
        if (at >= r->v[i].first && at <= r->v[i].last)
            return true;
    return r->n == 0;
}

/* Where the answer may change: 0, beginnings, and what comes behind ends. The last one is past all addresses. */
static size_t edges_of(const struct sv_net_rules *rules, bool src, uint64_t **ret)
{
    size_t n = 2;
    for (size_t i = 0; i < rules->n; i++)
        n += 2 * side_of(&rules->v[i], src)->n;
    uint64_t *edges = sv_alloc(n * sizeof(*edges));
    n = 1;
    for (size_t i = 0; i < rules->n; i++) {
        const struct sv_net_ranges *r = side_of(&rules->v[i], src);
        for (size_t k = 0; k < r->n; k++) {
            edges[n++] = r->v[k].first;
            edges[n++] = (uint64_t)r->v[k].last + 1;
        }
    }
    edges[n++] = (uint64_t)UINT32_MAX + 1;
    qsort(edges, n, sizeof(*edges), by_number);
    *ret = edges;
    return n;
}

/* The part in which just these rules hold; `holds` is the callee's. */
static struct part *part_of(struct parts *p, bool *holds, size_t rules)
{
    for (size_t i = 0; i < p->n; i++)
        if (memcmp(p->v[i].holds, holds, rules * sizeof(*holds)) == 0) {
            free(holds);
            return &p->v[i];
        }
    p->v = sv_grow(p->v, p->n, &p->cap, sizeof(*p->v));
    p->v[p->n] = (struct part){.holds = holds};
    return &p->v[p->n++];
}

static void part_add(struct part *p, uint32_t first, uint32_t last)
{
    if (p->n && (uint64_t)p->ranges[p->n - 1].last + 1 == first) {
        p->ranges[p->n - 1].last = last;
        return;
    }
    p->ranges = sv_grow(p->ranges, p->n, &p->cap, sizeof(*p->ranges));
    p->ranges[p->n++] = (struct sv_net_range){first, last};
}

/* Of the rules for which `among` says so. */
static void split(const struct sv_net_rules *rules, const bool *among, bool src, struct parts *ret)
{
    SV_AUTOFREE uint64_t *edges = NULL;
    const size_t n = edges_of(rules, src, &edges);
    *ret = (struct parts){0};
    for (size_t i = 0; i + 1 < n; i++) {
        if (edges[i] == edges[i + 1])
            continue;
        bool *holds = sv_alloc((rules->n + 1) * sizeof(*holds));
        for (size_t k = 0; k < rules->n; k++)
            holds[k] = among[k] && has(side_of(&rules->v[k], src), edges[i]);
        part_add(part_of(ret, holds, rules->n), (uint32_t)edges[i], (uint32_t)(edges[i + 1] - 1));
    }
}

/* --- protocols and ports --- */

static bool covers(const struct sv_net_rule *r, enum sv_net_proto proto, unsigned port)
{
    if (r->proto != SV_NET_ANY && r->proto != proto)
        return false;
    if (r->ports.n == 0)
        return true;
    for (size_t i = 0; port && i < r->ports.n; i++)
        if (port >= r->ports.v[i].first && port <= r->ports.v[i].last)
            return true;
    return false;
}

static bool passes(const struct sv_net_rules *rules, const bool *holds, enum sv_net_proto proto, unsigned port)
{
    for (size_t i = 0; i < rules->n; i++)
        if (holds[i] && covers(&rules->v[i], proto, port))
            return true;
    return false;
}

static void alternative(struct sv_buf *b, const char *text)
{
    sv_buf_puts(b, b->n ? " || " : "");
    sv_buf_puts(b, text);
}

/* The next port from which on another answer may hold. */
static unsigned next_edge(const struct sv_net_rules *rules, unsigned port)
{
    unsigned next = UINT16_MAX + 1;
    for (size_t i = 0; i < rules->n; i++)
        for (size_t k = 0; k < rules->v[i].ports.n; k++) {
            const struct sv_net_port_range *r = &rules->v[i].ports.v[k];
            if (r->first > port && r->first < next)
                next = r->first;
            if (r->last >= port && r->last + 1u < next)
                next = r->last + 1u;
        }
    return next;
}

/* The ports that no rule lets pass, as ranges. */
static void closed_ports(struct sv_buf *b, const struct sv_net_rules *rules, const bool *holds, enum sv_net_proto proto)
{
    const char *name = proto == SV_NET_TCP ? "tcp" : "udp";
    for (unsigned first = 0, end; first <= UINT16_MAX; first = end) {
        const bool open = passes(rules, holds, proto, first);
        end = next_edge(rules, first);
        while (end <= UINT16_MAX && passes(rules, holds, proto, end) == open)
            end = next_edge(rules, end);
        SV_AUTOFREE char *text =
            first == 0 && end > UINT16_MAX ? sv_strdup(name) : sv_asprintf("%u <= %s.dst <= %u", first, name, end - 1);
        if (!open)
            alternative(b, text);
    }
}

/* Of ICMP, TCP and UDP; "" when everything passes. */
static void closed_protocols(struct sv_buf *b, const struct sv_net_rules *rules, const bool *holds)
{
    if (!passes(rules, holds, SV_NET_ICMP, 0))
        alternative(b, "icmp4");
    closed_ports(b, rules, holds, SV_NET_TCP);
    closed_ports(b, rules, holds, SV_NET_UDP);
}

/* --- parts as expressions --- */

static bool all_of_ip(const struct sv_net_rules *rules, const bool *holds)
{
    for (size_t i = 0; i < rules->n; i++)
        if (holds[i] && rules->v[i].proto == SV_NET_ANY && rules->v[i].ports.n == 0)
            return true;
    return false;
}

static bool any_of(const struct sv_net_rules *rules, const bool *holds)
{
    for (size_t i = 0; i < rules->n; i++)
        if (holds[i])
            return true;
    return false;
}

static void match_part(struct sv_buf *b, const char *field, const struct part *p)
{
    const bool all = p->n == 1 && p->ranges[0].first == 0 && p->ranges[0].last == UINT32_MAX;
    const struct sv_net_ranges r = {.v = p->ranges, .n = all ? 0 : p->n};
    ovn_match_ranges(b, field, &r);
}

/* What is neither ICMP nor TCP nor UDP apart: OVN multiplies what is made of "not". */
static void drop_of_part(const struct sv_net_rules *rules, const bool *holds, const char *where,
                         void (*drop)(void *arg, const char *match), void *arg)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf what = {0};
    if (all_of_ip(rules, holds))
        return;
    if (!any_of(rules, holds)) {
        SV_AUTOFREE char *all = sv_asprintf("%s && ip4", where);
        drop(arg, all);
        return;
    }
    closed_protocols(&what, rules, holds);
    SV_AUTOFREE char *other = sv_asprintf("%s && ip.proto != {1, 6, 17}", where);
    SV_AUTOFREE char *these = sv_asprintf("%s && (%s)", where, what.n ? what.p : "");
    drop(arg, other);
    if (what.n)
        drop(arg, these);
}

void ovn_gate_drops(const struct sv_net_rules *rules, bool in, void (*drop)(void *arg, const char *match), void *arg)
{
    SV_CLEANUP(parts_free) struct parts by_src = {0};
    SV_AUTOFREE bool *mine = sv_alloc((rules->n + 1) * sizeof(*mine));
    for (size_t i = 0; i < rules->n; i++)
        mine[i] = rules->v[i].in == in;
    split(rules, mine, true, &by_src);
    for (size_t i = 0; i < by_src.n; i++) {
        SV_CLEANUP(parts_free) struct parts by_dst = {0};
        split(rules, by_src.v[i].holds, false, &by_dst);
        for (size_t k = 0; k < by_dst.n; k++) {
            SV_CLEANUP(sv_buf_free) struct sv_buf where = {0};
            match_part(&where, "ip4.src", &by_src.v[i]);
            match_part(&where, "ip4.dst", &by_dst.v[k]);
            drop_of_part(rules, by_dst.v[k].holds, where.p ? where.p : "", drop, arg);
        }
    }
}

/* --- ACLs --- */

struct gate {
    struct ovn_plan *p;
    size_t sw;
    const char *vpc, *at; /* where packets pass the boundary */
    bool in;
    unsigned n;
};

static void drop_acl(void *arg, const char *match)
{
    struct gate *g = arg;
    struct sv_arena *a = g->p->arena;
    ovn_acl(g->p, g->sw, sv_arena_printf(a, "gate:%s:%s:%u", g->vpc, g->in ? "in" : "out", g->n++), g->in,
            OVN_PRIO_GATE, "drop", sv_arena_printf(a, "%s%s", g->at, match));
}

/* The gateway itself belongs to the VPC, and the router's balancers have their boundary in themselves: who serves them
 * comes in to nodes, and guests come out to them. */
static size_t add_always(struct gate *g, const struct ovn_building *b, uint32_t gateway, struct sv_net_rule *rules,
                         size_t n)
{
    struct sv_arena *a = g->p->arena;
    size_t count;
    SV_AUTOFREE struct sv_net_balancer *placed = ovn_placed(b->net, b->want, &count);
    struct sv_net_range *at = sv_arena_alloc(a, (count + 2) * sizeof(*at));
    at[0] = (struct sv_net_range){gateway, gateway};
    at[1] = (struct sv_net_range){OVN_PLACE_IP, OVN_PLACE_IP};
    rules[n] = (struct sv_net_rule){.in = g->in};
    *(g->in ? &rules[n].src : &rules[n].dst) = (struct sv_net_ranges){at, 1};
    n++;
    if (count) { /* what opened a connection is for the balancer's address, what follows is for the place's */
        rules[n] = (struct sv_net_rule){.in = g->in};
        *(g->in ? &rules[n].src : &rules[n].dst) = (struct sv_net_ranges){at + 1, 1};
        n++;
    }
    for (size_t i = 0; !g->in && i < count; i++) {
        struct sv_net_port_range *port = sv_arena_alloc(a, sizeof(*port));
        *port = (struct sv_net_port_range){placed[i].port, placed[i].port};
        at[i + 2] = (struct sv_net_range){placed[i].ip, placed[i].ip};
        rules[n++] = (struct sv_net_rule){.proto = placed[i].proto == SV_NET_BALANCE_UDP ? SV_NET_UDP : SV_NET_TCP,
                                          .dst = {at + i + 2, 1},
                                          .ports = {port, 1}};
    }
    return n;
}

static void plan_direction(struct gate *g, const struct ovn_building *b, const struct sv_net_gate *gate,
                           uint32_t gateway)
{
    struct sv_net_rule *rules =
        sv_arena_alloc(g->p->arena, (gate->rules.n + b->want->balancer_count + 2) * sizeof(*rules));
    bool any = gate->closed;
    for (size_t i = 0; i < gate->rules.n; i++) {
        any = any || gate->rules.v[i].in == g->in;
        rules[i] = gate->rules.v[i];
    }
    const struct sv_net_rules all = {rules, add_always(g, b, gateway, rules, gate->rules.n)};
    if (any)
        ovn_gate_drops(&all, g->in, drop_acl, g);
}

static char *ids_of(struct sv_arena *a, const struct sv_net_rules *rules)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    for (size_t i = 0; i < rules->n; i++)
        sv_buf_printf(&b, "%s%s", i ? "," : "", rules->v[i].id.s);
    return b.n ? sv_arena_strdup(a, b.p) : NULL;
}

void ovn_plan_gate(struct ovn_building *b, size_t sw, const struct sv_net_leg *leg, const struct sv_net_gate *gate,
                   const char *side)
{
    struct ovn_plan *p = b->p;
    struct gate in = {
        .p = p, .sw = sw, .vpc = leg->vpc.s, .in = true, .at = sv_arena_printf(p->arena, "inport == \"%s\"", side)};
    struct gate out = {.p = p,
                       .sw = sw,
                       .vpc = leg->vpc.s,
                       .at = sv_arena_printf(p->arena, "eth.dst == %s", ovn_mac_of(p->arena, &leg->vpc))};
    plan_direction(&in, b, gate, leg->base + 1);
    plan_direction(&out, b, gate, leg->base + 1);
    const size_t track = ovn_track(p, sw, sv_arena_printf(p->arena, "gate:%s", leg->vpc.s));
    p->rows[track].rule = ids_of(p->arena, &gate->rules);
}
