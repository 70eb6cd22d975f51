#include "net/linux/ha.h"

#include <assert.h>
#include <inttypes.h>

#include "starvirt/text.h"

#define LINK_LOCAL "169.254.0.0/16"

/* --- pieces --- */

static void put_ip(struct sv_buf *b, uint32_t ip)
{
    char text[SV_IP4_LEN];
    sv_ip4_format(ip, text);
    sv_buf_puts(b, text);
}

static void put_net(struct sv_buf *b, uint32_t base, unsigned prefix)
{
    put_ip(b, base);
    sv_buf_printf(b, "/%u", prefix);
}

static const char *tail(const struct sv_id *id)
{
    return id->s + SV_ID_LEN - 12;
}

static void put_range(struct sv_buf *b, const char *key, const struct sv_net_range *r)
{
    sv_buf_printf(b, "%s ", key);
    put_ip(b, r->first);
    if (r->last != r->first) {
        sv_buf_putc(b, '-');
        put_ip(b, r->last);
    }
    sv_buf_putc(b, ' ');
}

static const char *proto_name(enum sv_net_proto proto)
{
    switch (proto) {
    case SV_NET_TCP:
        return "tcp";
    case SV_NET_UDP:
        return "udp";
    case SV_NET_ICMP:
        return "icmp";
    case SV_NET_ANY:
        break;
    }
    return "";
}

/* --- boundaries --- */

static bool gated(const struct sv_net_gate *g, bool in)
{
    bool any = g->closed;
    for (size_t i = 0; !any && i < g->rules.n; i++)
        any = g->rules.v[i].in == in;
    return any;
}

/* What a rule asks for: of each part one of its values, of one without values nothing. */
enum part { PART_PROTO, PART_SRC, PART_DST, PART_PORTS, PARTS };

static size_t values_of(const struct sv_net_rule *r, unsigned part)
{
    const size_t n[PARTS] = {
        [PART_PROTO] = r->proto != SV_NET_ANY ? 1 : (r->ports.n ? 2 : 0),
        [PART_SRC] = r->src.n,
        [PART_DST] = r->dst.n,
        [PART_PORTS] = r->ports.n,
    };
    return n[part];
}

/* `back`: of packets that answer. */
static void put_value(struct sv_buf *b, const struct sv_net_rule *r, unsigned part, size_t i, bool back)
{
    switch ((enum part)part) {
    case PART_PROTO:
        sv_buf_printf(b, "meta l4proto %s ", r->proto == SV_NET_ANY ? (i ? "udp" : "tcp") : proto_name(r->proto));
        break;
    case PART_SRC:
        put_range(b, back ? "ip daddr" : "ip saddr", &r->src.v[i]);
        break;
    case PART_DST:
        put_range(b, back ? "ip saddr" : "ip daddr", &r->dst.v[i]);
        break;
    case PART_PORTS:
        sv_buf_printf(b, "th %s %u", back ? "sport" : "dport", r->ports.v[i].first);
        if (r->ports.v[i].last != r->ports.v[i].first)
            sv_buf_printf(b, "-%u", r->ports.v[i].last);
        sv_buf_putc(b, ' ');
        break;
    case PARTS:
        break;
    }
}

static void put_single_values(struct sv_buf *b, const struct sv_net_rule *r, bool back)
{
    for (unsigned part = 0; part < PARTS; part++)
        if (values_of(r, part) == 1)
            put_value(b, r, part, 0, back);
}

static void put_verdict(struct sv_buf *b, const struct sv_net_rule *r, bool back)
{
    if (back)
        sv_buf_puts(b, "return\n");
    else
        sv_buf_printf(b, "return comment \"%s\"\n", r->id.s);
}

/* A line a value, not a set: for each set that a transaction makes the kernel looks through all of the table's. Of
 * several lists all but the last leave in the packet's mark how far it came. */
static void put_rule(struct sv_buf *b, const struct sv_net_rule *r, bool back)
{
    unsigned lists = 0, done = 0;
    for (unsigned part = 0; part < PARTS; part++)
        lists += values_of(r, part) > 1;
    if (lists > 1)
        sv_buf_puts(b, "\t\tmeta mark set 0\n");
    for (unsigned part = 0; part < PARTS; part++) {
        if (values_of(r, part) < 2)
            continue;
        for (size_t i = 0; i < values_of(r, part); i++) {
            sv_buf_puts(b, "\t\t");
            if (done)
                sv_buf_printf(b, "meta mark %u ", done);
            else
                put_single_values(b, r, back);
            put_value(b, r, part, i, back);
            if (done + 1 < lists)
                sv_buf_printf(b, "meta mark set %u\n", done + 1);
            else
                put_verdict(b, r, back);
        }
        done++;
    }
    if (lists == 0) {
        sv_buf_puts(b, "\t\t");
        put_single_values(b, r, back);
        put_verdict(b, r, back);
    }
}

static void put_gate_chain(struct sv_buf *b, const struct sv_net_gate *g, bool in, bool back)
{
    sv_buf_printf(b, "\tchain %s%s_%s {\n", in ? "in" : "out", back ? "_back" : "", tail(&g->vpc));
    for (size_t i = 0; i < g->rules.n; i++)
        if (g->rules.v[i].in == in)
            put_rule(b, &g->rules.v[i], back);
    sv_buf_puts(b, "\t\tdrop\n\t}\n");
}

static const struct sv_net_leg *leg_of(const struct sv_net_router *w, const struct sv_id *vpc)
{
    for (size_t i = 0; i < w->leg_count; i++)
        if (sv_id_eq(&w->legs[i].vpc, vpc))
            return &w->legs[i];
    return NULL;
}

static void put_gate_chains(struct sv_buf *b, const struct sv_net_router *w)
{
    for (size_t i = 0; i < w->gate_count; i++)
        for (unsigned k = 0; k < 4; k++)
            if (gated(&w->gates[i], k & 1) && leg_of(w, &w->gates[i].vpc))
                put_gate_chain(b, &w->gates[i], k & 1, k & 2);
}

/* Which boundary a packet passes: of its sender's VPC, or of its receiver's. */
static void put_gate_jumps(struct sv_buf *b, const struct sv_net_router *w, bool in, bool back)
{
    bool any = false;
    for (size_t i = 0; i < w->gate_count; i++) {
        const struct sv_net_leg *leg = leg_of(w, &w->gates[i].vpc);
        if (!leg || !gated(&w->gates[i], in))
            continue;
        if (any)
            sv_buf_puts(b, ", ");
        else
            sv_buf_printf(b, "\t\tct direction %s ip %s vmap { ", back ? "reply" : "original",
                          in == back ? "saddr" : "daddr");
        any = true;
        put_net(b, leg->base, leg->prefix);
        sv_buf_printf(b, " : jump %s%s_%s", in ? "in" : "out", back ? "_back" : "", tail(&w->gates[i].vpc));
    }
    if (any)
        sv_buf_puts(b, " }\n");
}

/* --- mappings --- */

static uint32_t hash_u32(uint32_t h, uint32_t v)
{
    const char bytes[4] = {(char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v};
    return sv_hash_on(h, bytes, sizeof(bytes));
}

/* All that a mapping says: connections of one that says something else by now are not its own. Never 0. */
static uint32_t mark_of(const struct sv_net_nat *n)
{
    uint32_t h = sv_hash(n->id.s);
    assert(n->sources.v || !n->sources.n);
    h = hash_u32(h, (uint32_t)n->proto);
    h = hash_u32(hash_u32(h, n->outer_ip), n->inner_ip);
    h = hash_u32(hash_u32(h, n->outer_port), n->inner_port);
    for (size_t i = 0; i < n->sources.n; i++)
        h = hash_u32(hash_u32(h, n->sources.v[i].first), n->sources.v[i].last);
    return h ? h : 1;
}

static void put_marks(struct sv_buf *b, const struct sv_net_router *w)
{
    for (size_t i = 0; i < w->nat_count; i++)
        sv_buf_printf(b, "%s%" PRIu32, i ? ", " : "{ ", mark_of(&w->nats[i]));
    sv_buf_puts(b, " }");
}

static void put_dnat_from(struct sv_buf *b, const struct sv_net_nat *n, const struct sv_net_range *source)
{
    sv_buf_puts(b, "\t\tip daddr ");
    put_ip(b, n->outer_ip);
    sv_buf_putc(b, ' ');
    if (source)
        put_range(b, "ip saddr", source);
    if (n->proto != SV_NET_ANY)
        sv_buf_printf(b, "%s dport %u ", proto_name(n->proto), n->outer_port);
    sv_buf_printf(b, "ct mark set %" PRIu32 " dnat to ", mark_of(n));
    put_ip(b, n->inner_ip);
    if (n->proto != SV_NET_ANY)
        sv_buf_printf(b, ":%u", n->inner_port);
    sv_buf_printf(b, " comment \"%s\"\n", n->id.s);
}

static void put_dnat(struct sv_buf *b, const struct sv_net_nat *n)
{
    if (n->sources.n == 0)
        put_dnat_from(b, n, NULL);
    for (size_t i = 0; i < n->sources.n; i++)
        put_dnat_from(b, n, &n->sources.v[i]);
}

/* Ports before whole addresses: what is named more closely counts. */
static void put_dnats(struct sv_buf *b, const struct sv_net_router *w)
{
    sv_buf_puts(b, "\tchain dstnat {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n");
    for (unsigned whole = 0; whole < 2; whole++)
        for (size_t i = 0; i < w->nat_count; i++)
            if ((w->nats[i].proto == SV_NET_ANY) == whole)
                put_dnat(b, &w->nats[i]);
    sv_buf_puts(b, "\t}\n");
}

/* Connections that leave as this address. Never 0. */
static uint32_t mark_of_source(uint32_t ip)
{
    uint32_t h = hash_u32(sv_hash("source"), ip);
    return h ? h : 1;
}

static void put_snat(struct sv_buf *b, uint32_t ip, bool mark)
{
    if (mark)
        sv_buf_printf(b, "ct mark set %" PRIu32 " ", mark_of_source(ip));
    sv_buf_puts(b, "snat to ");
    put_ip(b, ip);
    sv_buf_putc(b, '\n');
}

/* An address that is mapped one to one is seen outside as that address, whatever of it may come in. `mark`: the
 * connection has none yet. */
static void put_sources(struct sv_buf *b, const struct sv_net_router *w, const char *chain, bool mark)
{
    sv_buf_printf(b, "\tchain %s {\n", chain);
    for (size_t i = 0; i < w->nat_count; i++) {
        if (w->nats[i].proto != SV_NET_ANY)
            continue;
        sv_buf_puts(b, "\t\tip saddr ");
        put_ip(b, w->nats[i].inner_ip);
        sv_buf_putc(b, ' ');
        put_snat(b, w->nats[i].outer_ip, mark);
    }
    sv_buf_puts(b, "\t\t");
    put_snat(b, w->outer_ip, mark);
    sv_buf_puts(b, "\t}\n");
}

static void put_snats(struct sv_buf *b, const struct sv_net_router *w)
{
    put_sources(b, w, "leaves", true);
    put_sources(b, w, "returns", false);
    sv_buf_puts(b, "\tchain srcnat {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
                   "\t\toifname \"" OUTER_DEV "\" ip saddr @inside jump leaves\n"
                   /* A guest that asks for an address of its own tenant's: the answer has to come this way, too. */
                   "\t\toifname \"" TRANSIT_DEV "\" ct status dnat ip saddr @inside jump returns\n\t}\n");
}

/* --- what passes, what is answered --- */

static void put_inside(struct sv_buf *b, const struct sv_net_router *w)
{
    sv_buf_puts(b, "\tset inside {\n\t\ttype ipv4_addr; flags interval;\n");
    for (size_t i = 0; i < w->leg_count; i++) {
        sv_buf_puts(b, i ? ", " : "\t\telements = { ");
        put_net(b, w->legs[i].base, w->legs[i].prefix);
    }
    sv_buf_puts(b, w->leg_count ? " }\n\t}\n" : "\t}\n");
}

static void put_forward(struct sv_buf *b, const struct sv_net_router *w, bool outer)
{
    sv_buf_puts(b, "\tchain forwarded {\n\t\ttype filter hook forward priority filter; policy drop;\n"
                   "\t\tct state invalid drop\n"
                   "\t\tip saddr " LINK_LOCAL " drop\n\t\tip daddr " LINK_LOCAL " drop\n"
                   "\t\tiifname \"" TRANSIT_DEV "\" ip saddr != @inside drop\n");
    if (outer) {
        sv_buf_puts(b, "\t\tiifname \"" OUTER_DEV "\" ip saddr @inside drop\n\t\tct status dnat ");
        if (w->nat_count) {
            sv_buf_puts(b, "ct mark != ");
            put_marks(b, w);
            sv_buf_putc(b, ' ');
        }
        sv_buf_puts(b, "drop\n");
    }
    sv_buf_puts(b, "\t\tct state related meta l4proto icmp accept\n");
    for (unsigned k = 0; k < 4; k++)
        put_gate_jumps(b, w, k & 1, k & 2);
    sv_buf_puts(b, "\t\tiifname \"" TRANSIT_DEV "\" oifname \"" TRANSIT_DEV "\" accept\n");
    if (outer)
        sv_buf_puts(b, "\t\tiifname \"" TRANSIT_DEV "\" oifname \"" OUTER_DEV "\" accept\n"
                       "\t\tiifname \"" OUTER_DEV "\" oifname \"" TRANSIT_DEV "\" ct direction reply accept\n"
                       "\t\tiifname \"" OUTER_DEV "\" oifname \"" TRANSIT_DEV "\" ct status dnat accept\n");
    sv_buf_puts(b, "\t}\n");
}

static void put_input(struct sv_buf *b, const struct sv_net_router *w, bool outer)
{
    sv_buf_puts(b, "\tchain own {\n\t\ttype filter hook input priority filter; policy drop;\n"
                   "\t\tiifname \"lo\" accept\n\t\tct state established,related accept\n");
    if (w->ha)
        sv_buf_puts(b, "\t\tiifname \"" PAIR_DEV "\" accept\n");
    if (outer) {
        sv_buf_puts(b, "\t\tip daddr ");
        put_ip(b, w->outer_ip);
        sv_buf_puts(b, " icmp type echo-request accept\n");
    }
    for (size_t i = 0; i < w->balancer_count; i++) {
        const struct sv_net_balancer *l = &w->balancers[i];
        if (l->outer && !outer)
            continue;
        /* An inner address is not for who comes from outside, whatever way he sends it. */
        sv_buf_puts(b, l->outer ? "\t\tip daddr " : "\t\tiifname \"" TRANSIT_DEV "\" ip daddr ");
        put_ip(b, l->ip);
        sv_buf_printf(b, " %s dport %u accept comment \"%s\"\n", l->proto == SV_NET_BALANCE_UDP ? "udp" : "tcp",
                      l->port, l->id.s);
    }
    sv_buf_puts(b, "\t}\n");
}

void router_rules_text(const struct sv_net_router *want, bool outer, struct sv_buf *ret)
{
    /* "add" before "delete": there may be none. */
    sv_buf_puts(ret, "add table ip router\ndelete table ip router\ntable ip router {\n");
    put_inside(ret, want);
    put_gate_chains(ret, want);
    if (outer) {
        put_dnats(ret, want);
        put_snats(ret, want);
    }
    put_forward(ret, want, outer);
    put_input(ret, want, outer);
    sv_buf_puts(ret, "}\n");
}

/* --- addresses and routes --- */

static void put_address(struct sv_buf *b, const char *device, uint32_t ip, unsigned prefix)
{
    sv_buf_printf(b, "%s ", device);
    put_net(b, ip, prefix);
    sv_buf_putc(b, '\n');
}

/* Where balancers listen inside: an address of a VPC, which its gateway sends here. Several may share one. */
static bool listens_inside(const struct sv_net_router *w, size_t i)
{
    bool first = !w->balancers[i].outer;
    for (size_t k = 0; first && k < i; k++)
        first = w->balancers[k].outer || w->balancers[k].ip != w->balancers[i].ip;
    return first;
}

void router_addresses_text(const struct sv_net_router *want, unsigned instance, bool outer, struct sv_buf *ret)
{
    put_address(ret, TRANSIT_DEV, TRANSIT_ROUTER, TRANSIT_PREFIX);
    if (want->ha)
        put_address(ret, PAIR_DEV, HA_FIRST + instance, HA_PREFIX);
    if (outer) {
        put_address(ret, OUTER_DEV, want->outer_ip, want->outer_prefix);
        for (size_t i = 0; i < want->outer_ip_count; i++)
            if (want->outer_ips[i] != want->outer_ip)
                put_address(ret, OUTER_DEV, want->outer_ips[i], 32);
    }
    for (size_t i = 0; i < want->balancer_count; i++)
        if (listens_inside(want, i))
            put_address(ret, LISTEN_DEV, want->balancers[i].ip, 32);
}

/* The source of what the router says itself (balancers to their nodes, errors of ICMP): an address that leads back here
 * from any VPC. Transit addresses do not. */
static uint32_t own_source(const struct sv_net_router *w, bool outer)
{
    if (outer)
        return w->outer_ip;
    for (size_t i = 0; i < w->balancer_count; i++)
        if (!w->balancers[i].outer)
            return w->balancers[i].ip;
    return 0;
}

static void put_source(struct sv_buf *b, const struct sv_net_router *w, bool outer)
{
    uint32_t ip = own_source(w, outer);
    if (ip) {
        sv_buf_puts(b, " src ");
        put_ip(b, ip);
    }
    sv_buf_putc(b, '\n');
}

void router_routes_text(const struct sv_net_router *want, bool outer, struct sv_buf *ret)
{
    if (outer && want->outer_gateway) {
        sv_buf_puts(ret, "default via ");
        put_ip(ret, want->outer_gateway);
        sv_buf_puts(ret, " dev " OUTER_DEV " proto static");
        put_source(ret, want, outer);
    }
    for (size_t i = 0; i < want->leg_count; i++) {
        put_net(ret, want->legs[i].base, want->legs[i].prefix);
        sv_buf_puts(ret, " via ");
        put_ip(ret, TRANSIT_LEGS + want->legs[i].slot);
        sv_buf_puts(ret, " dev " TRANSIT_DEV " proto static");
        put_source(ret, want, outer);
    }
}

/* --- a VPC's gateway --- */

void uplink_rules_text(const struct sv_net_vpc *want, struct sv_buf *ret)
{
    sv_buf_puts(ret, "add table ip gateway\ndelete table ip gateway\ntable ip gateway {\n"
                     "\tchain forwarded {\n\t\ttype filter hook forward priority filter; policy drop;\n"
                     "\t\tip daddr " LINK_LOCAL " drop\n"
                     "\t\tiifname \"" GATEWAY_DEV "\" oifname \"" UPLINK_DEV "\" ip saddr ");
    put_net(ret, want->base, want->prefix);
    sv_buf_puts(ret, " accept\n\t\tiifname \"" UPLINK_DEV "\" oifname \"" GATEWAY_DEV "\" ip daddr ");
    put_net(ret, want->base, want->prefix);
    sv_buf_puts(ret, " accept\n\t}\n"
                     "\tchain own {\n\t\ttype filter hook input priority filter; policy drop;\n"
                     "\t\tiifname \"lo\" accept\n"
                     "\t\tiifname \"" GATEWAY_DEV "\" udp dport 67 accept\n"
                     "\t\tip daddr ");
    put_ip(ret, want->base + 1);
    sv_buf_puts(ret, " icmp type echo-request accept\n\t}\n}\n");
}
