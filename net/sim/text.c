#include "starvirt/text.h"
#include "net/sim/internal.h"

static void put_ip(struct sv_buf *out, uint32_t ip)
{
    char text[SV_IP4_LEN];

    sv_ip4_format(ip, text);
    sv_buf_puts(out, text);
}

/* " any", or " a-b,c-d" */
static void put_ranges(struct sv_buf *out, const struct sv_net_ranges *r)
{
    for (size_t i = 0; i < r->n; i++) {
        sv_buf_putc(out, i ? ',' : ' ');
        put_ip(out, r->v[i].first);
        sv_buf_putc(out, '-');
        put_ip(out, r->v[i].last);
    }
    if (!r->n)
        sv_buf_puts(out, " any");
}

static void put_ports(struct sv_buf *out, const struct sv_net_ports *p)
{
    for (size_t i = 0; i < p->n; i++)
        sv_buf_printf(out, "%c%u-%u", i ? ',' : ' ', p->v[i].first, p->v[i].last);
    if (!p->n)
        sv_buf_puts(out, " any");
}

static const char *proto_name(enum sv_net_proto p)
{
    static const char *const names[] = {
        [SV_NET_ANY] = "any", [SV_NET_TCP] = "tcp", [SV_NET_UDP] = "udp", [SV_NET_ICMP] = "icmp"};

    return names[p];
}

static void put_rules(struct sv_buf *out, const struct sv_net_rules *rules)
{
    for (size_t i = 0; i < rules->n; i++) {
        const struct sv_net_rule *r = &rules->v[i];

        sv_buf_printf(out, "rule %s %s %s", r->id.s, r->in ? "in" : "out", proto_name(r->proto));
        put_ranges(out, &r->src);
        put_ranges(out, &r->dst);
        put_ports(out, &r->ports);
        sv_buf_putc(out, '\n');
    }
}

void sim_net_vpc_text(struct sv_buf *out, const struct sv_net_vpc *vpc, const struct sv_net_nic *nics, size_t n)
{
    sv_buf_puts(out, "subnet ");
    put_ip(out, vpc->base);
    sv_buf_printf(out, "/%u\n", vpc->prefix);
    if (!sv_id_empty(&vpc->uplink.router))
        sv_buf_printf(out, "uplink %s %u\n", vpc->uplink.router.s, vpc->uplink.slot);
    for (size_t i = 0; i < n; i++) {
        char mac[SV_MAC_LEN];

        sv_mac_format(nics[i].mac, mac);
        sv_buf_printf(out, "nic %s %s ", nics[i].id.s, mac);
        put_ip(out, nics[i].ip);
        sv_buf_printf(out, " %s\n", nics[i].hostname);
    }
}

void sim_net_filter_text(struct sv_buf *out, const struct sv_net_filter *f)
{
    char mac[SV_MAC_LEN];

    sv_mac_format(f->mac, mac);
    sv_buf_printf(out, "vpc %s\nmac %s\nip ", f->vpc.s, mac);
    put_ip(out, f->ip);
    sv_buf_printf(out, "\nfilter %s\n", f->on ? "on" : "off");
    for (size_t i = 0; i < f->group_count; i++)
        sv_buf_printf(out, "group %s\n", f->groups[i].s);
    put_rules(out, &f->rules);
}

void sim_net_group_text(struct sv_buf *out, const struct sv_net_group *g)
{
    sv_buf_puts(out, "group\n");
    put_rules(out, &g->rules);
}

static void put_nats(struct sv_buf *out, const struct sv_net_router *r)
{
    for (size_t i = 0; i < r->nat_count; i++) {
        const struct sv_net_nat *n = &r->nats[i];

        sv_buf_printf(out, "nat %s %s ", n->id.s, proto_name(n->proto));
        put_ip(out, n->outer_ip);
        sv_buf_printf(out, ":%u ", n->outer_port);
        put_ip(out, n->inner_ip);
        sv_buf_printf(out, ":%u", n->inner_port);
        put_ranges(out, &n->sources);
        sv_buf_putc(out, '\n');
    }
}

static void put_gates(struct sv_buf *out, const struct sv_net_router *r)
{
    for (size_t i = 0; i < r->gate_count; i++) {
        sv_buf_printf(out, "gate %s %s\n", r->gates[i].vpc.s, r->gates[i].closed ? "closed" : "open");
        put_rules(out, &r->gates[i].rules);
    }
}

/* Whether there is a key is told, not which. */
/* The key in it is secret: its digest tells one from another. */
static void put_pem(struct sv_buf *out, const char *pem)
{
    unsigned char digest[SV_SHA256_LEN];

    if (!pem) {
        sv_buf_puts(out, "no");
        return;
    }
    sv_sha256(pem, strlen(pem), digest);
    for (unsigned i = 0; i < 8; i++)
        sv_buf_printf(out, "%02x", digest[i]);
}

static void put_balancers(struct sv_buf *out, const struct sv_net_router *r)
{
    static const char *const protos[] = {[SV_NET_BALANCE_TCP] = "tcp",
                                         [SV_NET_BALANCE_UDP] = "udp",
                                         [SV_NET_BALANCE_HTTP] = "http",
                                         [SV_NET_BALANCE_HTTPS] = "https"};
    static const char *const policies[] = {[SV_NET_RR] = "rr", [SV_NET_WRR] = "wrr", [SV_NET_WLC] = "wlc"};

    for (size_t i = 0; i < r->balancer_count; i++) {
        const struct sv_net_balancer *b = &r->balancers[i];

        sv_buf_printf(out, "balancer %s %s %s %s ", b->id.s, protos[b->proto], policies[b->policy],
                      b->outer ? "outer" : "inner");
        put_ip(out, b->ip);
        sv_buf_printf(out, ":%u pem=", b->port);
        put_pem(out, b->pem);
        sv_buf_printf(out, " url=%s check=%s %u %u %u %u %u\n", b->url_path, b->check_path, b->check_every,
                      b->check_timeout, b->retries, b->idle_timeout, b->max_connections);
        for (size_t j = 0; j < b->node_count; j++) {
            const struct sv_net_node *n = &b->nodes[j];

            sv_buf_printf(out, "node %s %s %s %u ", b->id.s, n->id.s, n->on ? "on" : "off", n->weight);
            put_ip(out, n->ip);
            sv_buf_printf(out, ":%u\n", n->port);
        }
    }
}

void sim_net_router_text(struct sv_buf *out, const struct sv_net_router *r)
{
    sv_buf_printf(out, "ha %s\nouter ", r->ha ? "on" : "off");
    put_ip(out, r->outer_ip);
    sv_buf_printf(out, "/%u ", r->outer_prefix);
    put_ip(out, r->outer_gateway);
    for (size_t i = 0; i < r->outer_ip_count; i++) {
        sv_buf_puts(out, i ? " " : "\nanswers ");
        put_ip(out, r->outer_ips[i]);
    }
    sv_buf_putc(out, '\n');
    for (size_t i = 0; i < r->leg_count; i++) {
        sv_buf_printf(out, "leg %s %u ", r->legs[i].vpc.s, r->legs[i].slot);
        put_ip(out, r->legs[i].base);
        sv_buf_printf(out, "/%u\n", r->legs[i].prefix);
    }
    put_nats(out, r);
    put_gates(out, r);
    put_balancers(out, r);
}
