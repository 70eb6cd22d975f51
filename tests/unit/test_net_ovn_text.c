/* What is wanted as transactions of OVN's northbound database, against golden files: one operation a line. */
#include "net/ovn/router.h"

#include "tests/unit/golden.h"

#include <stdlib.h>

#define ID(tail)                                                                                                       \
    {                                                                                                                  \
        "01900000-0000-7000-8000-0000000000" tail                                                                      \
    }
#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

static char owner[] = "01900000-0000-7000-8000-00000000aaaa", outer[] = "phys", gateways[] = "host1,host2";
static const struct ovn_net net = {.owner = owner, .outer = outer, .gateways = gateways, .mtu = 1442};
static char ovs[] = "/usr/bin/ovs-vsctl"; /* this machine is one of OVN's hosts */
static const struct ovn_net host = {.owner = owner, .outer = outer, .gateways = gateways, .mtu = 1442, .ovs = ovs};

static const struct sv_net_range hosts[] = {{IP(10, 128, 0, 2), IP(10, 128, 0, 2)},
                                            {IP(10, 128, 0, 16), IP(10, 128, 0, 33)}};
static const struct sv_net_port_range ports[] = {{22, 22}, {8000, 8080}};
static const struct sv_net_rule rules[] = {
    {.id = ID("01"), .in = true, .proto = SV_NET_TCP, .src = {hosts, 2}, .ports = {ports, 2}},
    {.id = ID("02"), .in = true, .proto = SV_NET_ICMP},
    {.id = ID("03"), .ports = {ports, 1}},
    {.id = ID("04"), .dst = {hosts, 1}},
};
#define ALL(v) (v), sizeof(v) / sizeof((v)[0])

/* One operation a line. */
static void matches(const char *name, char *text)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf lines = {0};
    CHECK(text);
    for (const char *p = text; *p; p++) {
        if (strncmp(p, ",{\"op\"", 6) == 0) {
            sv_buf_puts(&lines, ",\n");
            continue;
        }
        sv_buf_putc(&lines, *p);
    }
    sv_buf_putc(&lines, '\n');
    matches_golden_file(name, lines.p);
    free(text);
}

/* Nothing is there yet. */
static void make(const char *name, struct ovn_plan *p)
{
    struct ovn_found nothing = {.uuids = sv_alloc((p->row_count + 1) * sizeof(*nothing.uuids))};
    matches(name, ovn_make_text(p, &nothing));
    CHECK(!ovn_same_text(p, &nothing));
    ovn_found_free(&nothing);
    ovn_plan_free(p);
}

static const struct sv_net_vpc vpc = {.id = ID("f0"), .base = IP(10, 128, 0, 0), .prefix = 24};
static const struct sv_net_nic nics[] = {
    {.id = ID("0c"), .mac = {0x52, 0x54, 0, 0xAB, 0, 1}, .ip = IP(10, 128, 0, 5), .hostname = "vm-00000001"},
    {.id = ID("0d"), .mac = {0x52, 0x54, 0, 0xAB, 0, 2}, .ip = IP(10, 128, 0, 6)},
};

static void vpcs(void)
{
    struct ovn_plan p;
    ovn_plan_vpc(&net, &vpc, ALL(nics), &p);
    matches("ovn_vpc_find.json", ovn_find_text(&p));
    make("ovn_vpc.json", &p);
}

/* Rows that were found are written over, one of a NIC that is gone is let go of. */
static void found(void)
{
    static const char answer[] =
        "[{\"rows\":[{\"_uuid\":[\"uuid\",\"00000000-0000-0000-0000-000000000001\"],\"external_ids\":[\"map\",["
        "[\"starvirt-row\",\"switch\"]]]}]},"
        "{\"rows\":[{\"_uuid\":[\"uuid\",\"00000000-0000-0000-0000-000000000002\"],\"external_ids\":[\"map\",["
        "[\"starvirt-row\",\"nic:01900000-0000-7000-8000-00000000000c\"]]]},"
        "{\"_uuid\":[\"uuid\",\"00000000-0000-0000-0000-000000000003\"],\"external_ids\":[\"map\",["
        "[\"starvirt-row\",\"nic:gone\"]]]}]},"
        "{\"rows\":[{\"_uuid\":[\"uuid\",\"00000000-0000-0000-0000-000000000004\"],\"external_ids\":[\"map\",["
        "[\"starvirt-row\",\"dhcp:01900000-0000-7000-8000-00000000000c\"]]]},"
        "{\"_uuid\":[\"uuid\",\"00000000-0000-0000-0000-000000000005\"],\"external_ids\":[\"map\",["
        "[\"starvirt-row\",\"dhcp:gone\"]]]}]},"
        "{\"rows\":[{\"_uuid\":[\"uuid\",\"00000000-0000-0000-0000-000000000006\"],\"external_ids\":[\"map\",["
        "[\"starvirt-row\",\"guard:ask\"]]]},"
        "{\"_uuid\":[\"uuid\",\"00000000-0000-0000-0000-000000000007\"],\"external_ids\":[\"map\",["
        "[\"starvirt-row\",\"guard:answer\"]]]},"
        "{\"_uuid\":[\"uuid\",\"00000000-0000-0000-0000-000000000008\"],\"external_ids\":[\"map\",["
        "[\"starvirt-row\",\"guard:other\"]]]}]}]";
    OVN_AUTOJSON json_object *json = json_tokener_parse(answer);
    struct ovn_found f;
    struct ovn_plan p;
    ovn_plan_vpc(&net, &vpc, nics, 1, &p);
    CHECK(ovn_found_read(&p, json, &f));
    CHECK_INT(f.stale_count, 2);
    matches("ovn_vpc_found.json", ovn_make_text(&p, &f));
    CHECK(!ovn_same_text(&p, &f));
    f.stale_count = 0;
    matches("ovn_vpc_same.json", ovn_same_text(&p, &f));
    ovn_found_free(&f);
    /* Answers that are none. */
    for (const char *const *bad = (const char *const[]){"[]", "{}", "[1,2,3,4]", "[{\"rows\":[{}]},{},{},{}]", NULL};
         *bad; bad++) {
        OVN_AUTOJSON json_object *other = json_tokener_parse(*bad);
        CHECK(!ovn_found_read(&p, other, &f));
        ovn_found_free(&f);
    }
    ovn_plan_free(&p);
}

static void filters(void)
{
    static const struct sv_id groups[] = {ID("a1"), ID("a2")};
    struct sv_net_filter f = {.nic = nics[0].id,
                              .vpc = vpc.id,
                              .mac = {0x52, 0x54, 0, 0xAB, 0, 1},
                              .ip = nics[0].ip,
                              .on = true,
                              .groups = groups,
                              .group_count = 2,
                              .rules = {ALL(rules)}};
    const struct sv_net_group g = {.id = groups[0], .rules = {&rules[1], 1}};
    struct ovn_plan p;
    ovn_plan_filter(&net, &f, &p);
    matches("ovn_filter_find.json", ovn_find_text(&p));
    make("ovn_filter.json", &p);
    f.on = false;
    ovn_plan_filter(&net, &f, &p);
    make("ovn_filter_off.json", &p);
    ovn_plan_group(&net, &g, &p);
    make("ovn_group.json", &p);
}

static struct sv_net_router router(void)
{
    static const struct sv_net_leg legs[] = {{.vpc = ID("f0"), .base = IP(10, 128, 0, 0), .prefix = 24},
                                             {.vpc = ID("f1"), .slot = 1, .base = IP(10, 128, 1, 0), .prefix = 24}};
    static const uint32_t outer_ips[] = {IP(203, 0, 113, 2), IP(203, 0, 113, 10)};
    static const struct sv_net_nat nats[] = {
        {.id = ID("c1"), .outer_ip = IP(203, 0, 113, 10), .inner_ip = IP(10, 128, 0, 6)},
        {.id = ID("c2"),
         .proto = SV_NET_UDP,
         .outer_ip = IP(203, 0, 113, 2),
         .inner_ip = IP(10, 128, 1, 5),
         .outer_port = 8080,
         .inner_port = 80,
         .sources = {hosts, 2}}};
    return (struct sv_net_router){.id = ID("d1"),
                                  .outer_ip = IP(203, 0, 113, 2),
                                  .outer_prefix = 24,
                                  .outer_gateway = IP(203, 0, 113, 1),
                                  .legs = legs,
                                  .leg_count = 2,
                                  .nats = nats,
                                  .nat_count = 2,
                                  .outer_ips = outer_ips,
                                  .outer_ip_count = 2};
}

static void routers(void)
{
    static const struct sv_net_node nodes[] = {
        {.id = ID("b1"), .ip = IP(10, 128, 0, 6), .port = 80, .weight = 1, .on = true},
        {.id = ID("b2"), .ip = IP(10, 128, 1, 5), .port = 80, .weight = 1, .on = false},
        {.id = ID("b3"), .ip = IP(10, 128, 1, 6), .port = 81, .weight = 1, .on = true}};
    struct sv_net_balancer balancers[] = {{.id = ID("e1"),
                                           .proto = SV_NET_BALANCE_TCP,
                                           .ip = IP(203, 0, 113, 2),
                                           .port = 443,
                                           .outer = true,
                                           .nodes = nodes,
                                           .node_count = 3},
                                          {.id = ID("e2"),
                                           .proto = SV_NET_BALANCE_HTTP,
                                           .ip = IP(10, 128, 0, 9),
                                           .port = 80,
                                           .nodes = nodes,
                                           .node_count = 3}};
    struct sv_net_router r = router();
    struct ovn_plan p;
    r.balancers = balancers;
    r.balancer_count = 2;
    r.ha = true;
    ovn_plan_router(&net, &r, &p);
    make("ovn_router.json", &p);
    CHECK(ovn_router_lacks(&net, &r));
    CHECK(!ovn_router_lacks(&host, &r));
    char one[] = "host1";
    struct ovn_net alone = host;
    alone.gateways = one;
    CHECK_STR(ovn_router_lacks(&alone, &r), "a router of two instances with one host in --ovn.gateways");
    r.ha = false;
    CHECK(!ovn_router_lacks(&alone, &r));
    r.ha = true;
    r.balancer_count = 1;
    CHECK(!ovn_router_lacks(&net, &r));
    balancers[0].policy = SV_NET_WLC;
    CHECK(ovn_router_lacks(&net, &r));
    CHECK(!ovn_router_lacks(&host, &r));
    r.outer_ip = 0;
    r.ha = false;
    ovn_plan_router(&net, &r, &p);
    make("ovn_router_inner.json", &p);
}

/* Where there is Open vSwitch: HAProxy and nginx on this machine, and OVN for what is plain. */
static void placed(void)
{
    static const struct sv_net_node node = {
        .id = ID("b1"), .ip = IP(10, 128, 0, 6), .port = 80, .weight = 3, .on = true};
    const struct sv_net_balancer balancers[] = {
        {.id = ID("e1"),
         .proto = SV_NET_BALANCE_TCP,
         .ip = IP(203, 0, 113, 2),
         .port = 443,
         .outer = true,
         .nodes = &node,
         .node_count = 1},
        {.id = ID("e2"),
         .proto = SV_NET_BALANCE_HTTP,
         .ip = IP(10, 128, 0, 9),
         .port = 80,
         .nodes = &node,
         .node_count = 1},
        {.id = ID("e3"),
         .proto = SV_NET_BALANCE_UDP,
         .ip = IP(10, 128, 0, 9),
         .port = 53,
         .nodes = &node,
         .node_count = 1},
        {.id = ID("e4"),
         .proto = SV_NET_BALANCE_UDP,
         .policy = SV_NET_WRR,
         .ip = IP(10, 128, 0, 9),
         .port = 54,
         .nodes = &node,
         .node_count = 1},
    };
    const struct sv_net_gate gate = {.vpc = ID("f0"), .closed = true};
    struct sv_net_router r = router();
    struct ovn_plan p;
    size_t n;
    r.balancers = balancers;
    r.balancer_count = 4;
    r.nat_count = 0;
    r.gates = &gate;
    r.gate_count = 1;
    ovn_plan_router(&host, &r, &p);
    make("ovn_router_placed.json", &p);
    /* Each listens by itself, and where it did when another one went. */
    struct sv_net_balancer *all = ovn_placed(&host, &r, &n);
    CHECK_INT(n, 3);
    const uint16_t port = all[2].bind_port;
    CHECK(all[0].bind_port != all[1].bind_port && all[1].bind_port != port && all[0].bind_port != port);
    CHECK_INT(all[0].ip, IP(203, 0, 113, 2));
    free(all);
    r.balancers = &balancers[3];
    r.balancer_count = 1;
    all = ovn_placed(&host, &r, &n);
    CHECK_INT(all[0].bind_port, port);
    free(all);
}

static void gates(void)
{
    const struct sv_net_gate gate[] = {{.vpc = ID("f0"), .closed = true}, {.vpc = ID("f1"), .rules = {ALL(rules)}}};
    struct sv_net_router r = router();
    struct ovn_plan p;
    r.nat_count = 0;
    r.outer_ip = 0;
    r.gates = gate;
    r.gate_count = 2;
    ovn_plan_router(&net, &r, &p);
    make("ovn_gates.json", &p);
}

/* --- what a boundary drops is what no rule allows --- */

struct drops {
    char text[4][1024];
    unsigned n;
};

static void note(void *arg, const char *match)
{
    struct drops *d = arg;
    CHECK(d->n < 4);
    SV_COPY(d->text[d->n], match);
    d->n++;
}

static void turned_around(void)
{
    static const struct sv_net_range low = {0, IP(127, 255, 255, 255)};
    const struct sv_net_rule all = {.in = true}, out = {.in = false},
                             some = {.in = true, .proto = SV_NET_TCP, .ports = {ports, 2}},
                             half = {.in = true, .src = {&low, 1}};
    struct drops d = {0};
    ovn_gate_drops(&(struct sv_net_rules){&all, 1}, true, note, &d);
    CHECK_INT(d.n, 0);
    ovn_gate_drops(&(struct sv_net_rules){&out, 1}, true, note, &d);
    CHECK_INT(d.n, 1);
    CHECK_STR(d.text[0], " && ip4");
    d.n = 0;
    ovn_gate_drops(&(struct sv_net_rules){&half, 1}, true, note, &d);
    CHECK_INT(d.n, 1);
    CHECK_STR(d.text[0], " && ip4.src == {128.0.0.0/1} && ip4");
    d.n = 0;
    ovn_gate_drops(&(struct sv_net_rules){&some, 1}, true, note, &d);
    CHECK_INT(d.n, 2);
    CHECK_STR(d.text[0], " && ip.proto != {1, 6, 17}");
    CHECK_STR(d.text[1],
              " && (icmp4 || 0 <= tcp.dst <= 21 || 23 <= tcp.dst <= 7999 || 8081 <= tcp.dst <= 65535 || udp)");
}

static void remotes(void)
{
    struct sv_buf why = {0};
    CHECK(ovn_remotes_valid("unix:/run/ovn/ovnnb_db.sock", &why));
    CHECK(ovn_remotes_valid("tcp:10.0.0.1:6641,tcp:10.0.0.2:6641,tcp:[::1]:6641", &why));
    CHECK(!why.n);
    for (const char *const *bad = (const char *const[]){"", ",", "unix:run", "tcp:host.example:6641", "tcp:10.0.0.1",
                                                        "ssl:10.0.0.1:6641", "10.0.0.1:6641", "tcp:10.0.0.1:x", NULL};
         *bad; bad++) {
        CHECK(!ovn_remotes_valid(*bad, &why));
        CHECK(why.n);
        sv_buf_free(&why);
    }
}

CHECK_MAIN(T(vpcs), T(found), T(filters), T(routers), T(placed), T(gates), T(turned_around), T(remotes))
