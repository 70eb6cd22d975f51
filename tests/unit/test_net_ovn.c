/* The OVN engine against a real OVN of one host, in namespaces of its own: northbound and southbound database, northd,
 * ovn-controller and Open vSwitch's user-space datapath. Guests are namespaces on br-int, packets are real. */
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "net_ovn.h"
#include "starvirt/clock.h"
#include "starvirt/proc.h"
#include "starvirt/text.h"

enum { SKIPPED = 77 };

static const struct sv_net_vpc vpc_a = {.id = ID("aaaaaaaaaaaa"), .base = IP(10, 128, 0, 0), .prefix = 24};
static const struct sv_net_vpc vpc_b = {.id = ID("bbbbbbbbbbbb"), .base = IP(10, 128, 1, 0), .prefix = 24};
/* Another tenant's: the same addresses. */
static const struct sv_net_vpc vpc_c = {.id = ID("cccccccccccc"), .base = IP(10, 128, 0, 0), .prefix = 24};

static const struct sv_net_nic nics_a[] = {
    {.id = ID("000000000001"), .mac = {0x52, 0x54, 0, 0, 0, 1}, .ip = IP(10, 128, 0, 5), .hostname = "vm-00000001"},
    {.id = ID("000000000002"), .mac = {0x52, 0x54, 0, 0, 0, 2}, .ip = IP(10, 128, 0, 6), .hostname = "vm-00000002"},
};
static const struct sv_net_nic nics_b[] = {
    {.id = ID("000000000003"), .mac = {0x52, 0x54, 0, 0, 0, 3}, .ip = IP(10, 128, 1, 5), .hostname = "vm-00000003"},
};
static const struct sv_net_nic nics_c[] = {
    {.id = ID("000000000004"), .mac = {0x52, 0x54, 0, 0, 0, 4}, .ip = IP(10, 128, 0, 6), .hostname = "vm-00000004"},
};
#define ROUTER IP(203, 0, 113, 2)
#define NAT_1  IP(203, 0, 113, 10)

/* --- a host with OVN --- */

static const struct sv_net_options options = {.data_dir = work,
                                              .outer = "phys",
                                              .ovn_nb = "unix:/run/ovn/ovnnb_db.sock",
                                              .ovn_gateways = "host1",
                                              .ovn_mtu = 1442,
                                              .ovn_netdev = true};

static void prepare(void)
{
    CHECK_INT(RUN(OVN_SANDBOX, "central"), 0);
    CHECK_INT(RUN(OVN_SANDBOX, "host", "host1", "127.0.0.1"), 0);
    ovn_plug_outside(&ovn_host_1);
    net_engine = "ovn";
    net_options = &options;
}

/* --- packets --- */

static struct answerer answerers[] = {{"a2", SOCK_STREAM, 80, -1}, {"a2", SOCK_STREAM, 81, -1},
                                      {"a2", SOCK_DGRAM, 53, -1},  {"b1", SOCK_STREAM, 80, -1},
                                      {"c1", SOCK_STREAM, 80, -1}, {"out", SOCK_STREAM, 80, -1}};

/* --- VPCs --- */

static void apply_vpcs(const struct sv_net_uplink *uplink)
{
    struct sv_net_vpc a = vpc_a, b = vpc_b;
    if (uplink) {
        a.uplink = *uplink;
        b.uplink = *uplink;
    }
    OK(net->ops->vpc_apply(net, &a, nics_a, 2, NULL, &err));
    OK(net->ops->vpc_apply(net, &b, nics_b, 1, NULL, &err));
}

static void gives_leases(void)
{
    apply_vpcs(NULL);
    OK(net->ops->vpc_apply(net, &vpc_c, nics_c, 1, NULL, &err));
    ovn_plug_nic(&ovn_host_1, "a1", &nics_a[0]);
    ovn_plug_nic(&ovn_host_1, "a2", &nics_a[1]);
    ovn_plug_nic(&ovn_host_1, "b1", &nics_b[0]);
    ovn_plug_nic(&ovn_host_1, "c1", &nics_c[0]);
    CHECK_STR(guest_dhcp("a1"), "10.128.0.5 24 10.128.0.1 vm-00000001");
    CHECK_STR(guest_dhcp("a2"), "10.128.0.6 24 10.128.0.1 vm-00000002");
    CHECK_STR(guest_dhcp("b1"), "10.128.1.5 24 10.128.1.1 vm-00000003");
    CHECK_STR(guest_dhcp("c1"), "10.128.0.6 24 10.128.0.1 vm-00000004");
    ovn_listen(answerers, sizeof(answerers) / sizeof(answerers[0]));
}

static void keeps_vpcs_apart(void)
{
    PINGS("a1", "10.128.0.6");
    COMES("a1", "10.128.0.6", 80, "a2:80", "10.128.0.5"); /* and not c1 */
    LOST("a1", "10.128.1.5", 80, "b1:80");
    NO_PINGS("a1", OUTSIDE);
}

static bool vpc_whole(void)
{
    bool ret = false;
    OK(net->ops->vpc_whole(net, &vpc_a, nics_a, 2, &ret, &err));
    return ret;
}

static void repeats_nothing(void)
{
    const int64_t before = ovn_changes();
    apply_vpcs(NULL);
    CHECK_INT(ovn_changes(), before);
    CHECK(vpc_whole());
    CHECK_INT(SH(NB "lsp-set-addresses 01900000-0000-7000-8000-000000000001 unknown"), 0);
    CHECK(!vpc_whole());
    CHECK_INT(ovn_changes(), before); /* looking changes nothing */
    apply_vpcs(NULL);
    CHECK(vpc_whole());
    CHECK_INT(ovn_changes(), before + 1);
    CHECK_INT(SH(NB "lsp-get-addresses 01900000-0000-7000-8000-000000000001 | grep -qx '52:54:00:00:00:01 10.128.0.5'"),
              0);
    /* Taken away by hand, and something put there: the one comes back, the other stays. */
    CHECK_INT(SH(NB "lsp-del 01900000-0000-7000-8000-000000000002 -- "
                    "lsp-add sv-01900000-0000-7000-8000-aaaaaaaaaaaa theirs"),
              0);
    CHECK(!vpc_whole());
    apply_vpcs(NULL);
    CHECK(vpc_whole());
    CHECK_INT(SH(NB "lsp-get-type theirs"), 0);
    CHECK_INT(SH(NB "lsp-del theirs"), 0);
    PINGS("a1", "10.128.0.6");
}

/* Units that need the same switch, and nobody has made it yet. */
static void *apply_one(void *arg)
{
    const struct sv_net_nic *n = arg;
    struct sv_net_filter f = {.nic = n->id, .vpc = ID("ffffffffffff"), .ip = n->ip, .on = true};
    struct sv_error why = {0};
    memcpy(f.mac, n->mac, sizeof(f.mac));
    return net->ops->filter_apply(net, &f, NULL, &why) ? arg : NULL;
}

static void makes_one_switch_side_by_side(void)
{
    enum { MANY = 8 };
    struct sv_net_nic nics[MANY];
    pthread_t threads[MANY];
    const struct sv_id vpc = ID("ffffffffffff");
    for (unsigned i = 0; i < MANY; i++) {
        nics[i] =
            (struct sv_net_nic){.id = sv_id_new(), .mac = {2, 0, 0, 0, 0, (unsigned char)i}, .ip = vpc_a.base + i};
        CHECK_INT(pthread_create(&threads[i], NULL, apply_one, &nics[i]), 0);
    }
    for (unsigned i = 0; i < MANY; i++) {
        void *failed;
        CHECK_INT(pthread_join(threads[i], &failed), 0);
        CHECK(!failed);
    }
    CHECK_INT(SH("test $(" NB "--bare --columns=_uuid find logical_switch name=sv-01900000-0000-7000-8000-ffffffffffff"
                 " | grep -c .) = 1"),
              0);
    for (unsigned i = 0; i < MANY; i++)
        OK(net->ops->filter_remove(net, &nics[i].id, NULL, &err));
    OK(net->ops->vpc_remove(net, &vpc, NULL, &err));
}

struct ids {
    struct sv_id v[32];
    size_t n;
};

static void note(void *arg, const struct sv_id *id)
{
    struct ids *ids = arg;
    CHECK(ids->n < 32);
    ids->v[ids->n++] = *id;
}

static void lists_what_is_its_own(void)
{
    struct ids ids = {0};
    CHECK_INT(SH(NB "ls-add sv-01900000-0000-7000-8000-dddddddddddd"), 0); /* somebody else's */
    OK(net->ops->list(net, note, &ids, &err));
    CHECK_INT(ids.n, 3);
}

/* --- who speaks --- */

static void nobody_speaks_for_others(void)
{
    const char *const other_ip[] = {"ip", "-n", "a1", "addr", "add", "10.128.0.77/24", "dev", "eth0", NULL};
    CHECK_INT(run_argv(other_ip, NULL), 0);
    CHECK_INT(
        RUN("ip", "netns", "exec", "a1", "busybox", "ping", "-c", "1", "-W", "1", "-I", "10.128.0.77", "10.128.0.6"),
        1);
    CHECK_INT(RUN("ip", "-n", "a1", "addr", "del", "10.128.0.77/24", "dev", "eth0"), 0);
    /* Its address stays, its MAC is another. */
    CHECK_INT(RUN("ip", "-n", "a1", "link", "set", "eth0", "address", "52:54:00:00:00:77"), 0);
    NO_PINGS("a1", "10.128.0.6");
    CHECK_INT(RUN("ip", "-n", "a1", "link", "set", "eth0", "address", "52:54:00:00:00:01"), 0);
    CHECK_INT(SH("ip -n a1 neigh flush all; ip -n a2 neigh flush all; ip -n a1 route replace default via 10.128.0.1"),
              0);
    PINGS("a1", "10.128.0.6");
    /* Nor IPv6, which a VPC has not. */
    CHECK_INT(RUN("ip", "netns", "exec", "a1", "busybox", "ping6", "-c", "1", "-W", "1", "fe80::5054:ff:fe00:2%eth0"),
              1);
}

/* --- rules --- */

static const struct sv_id group_1 = ID("0000000000f1");
static const struct sv_net_port_range http[] = {{80, 80}};
static const struct sv_net_range from_a1[] = {{IP(10, 128, 0, 5), IP(10, 128, 0, 5)}};
static const struct sv_net_rule let_http = {
    .id = ID("0000000000e1"), .in = true, .proto = SV_NET_TCP, .ports = {http, 1}};
static const struct sv_net_rule let_a1 = {.id = ID("0000000000e2"), .in = true, .src = {from_a1, 1}};

static struct sv_net_filter filter_a2(void)
{
    struct sv_net_filter f = {.nic = nics_a[1].id, .vpc = vpc_a.id, .ip = nics_a[1].ip, .on = true};
    memcpy(f.mac, nics_a[1].mac, sizeof(f.mac));
    return f;
}

static size_t rules_in_force(void)
{
    struct ids ids = {0};
    OK(net->ops->filter_look(net, &nics_a[1].id, note, &ids, &err));
    return ids.n;
}

static void filters_by_group(void)
{
    struct sv_net_filter f = filter_a2();
    struct sv_net_group g = {.id = group_1, .rules = {&let_http, 1}};
    f.groups = &group_1;
    f.group_count = 1;
    /* A group that was never applied is empty. */
    OK(net->ops->filter_apply(net, &f, NULL, &err));
    COMES("a1", "10.128.0.6", 81, "a2:81", "10.128.0.5");
    OK(net->ops->group_apply(net, &g, NULL, &err));
    COMES("a1", "10.128.0.6", 80, "a2:80", "10.128.0.5");
    LOST("a1", "10.128.0.6", 81, "a2:81");
    LOST("a1", "10.128.0.6", 53, "a2:53");
    NO_PINGS("a1", "10.128.0.6");
    PINGS("a2", "10.128.0.5"); /* answers belong to what was let out */
    bool filter = false, group = false;
    OK(net->ops->filter_whole(net, &f, &filter, &err));
    OK(net->ops->group_whole(net, &g, &group, &err));
    CHECK(filter && group && vpc_whole());
    CHECK_INT(SH(NB "acl-del $(" NB "--bare --columns=name find port_group external_ids:starvirt-kind=group)"), 0);
    OK(net->ops->group_whole(net, &g, &group, &err));
    CHECK(!group);
    OK(net->ops->group_apply(net, &g, NULL, &err));
    CHECK_STR(guest_dhcp("a2"), "10.128.0.6 24 10.128.0.1 vm-00000002");
    CHECK_INT(rules_in_force(), 1);
    const int64_t before = ovn_changes();
    OK(net->ops->group_apply(net, &g, NULL, &err));
    OK(net->ops->filter_apply(net, &f, NULL, &err));
    CHECK_INT(ovn_changes(), before);
}

/* What one allows passes, whatever the group drops. */
static void filters_by_nic(void)
{
    struct sv_net_filter f = filter_a2();
    f.groups = &group_1;
    f.group_count = 1;
    f.rules = (struct sv_net_rules){&let_a1, 1};
    OK(net->ops->filter_apply(net, &f, NULL, &err));
    COMES("a1", "10.128.0.6", 81, "a2:81", "10.128.0.5");
    COMES("a1", "10.128.0.6", 53, "a2:53", "10.128.0.5");
    CHECK_INT(rules_in_force(), 2);
    f.on = false;
    OK(net->ops->filter_apply(net, &f, NULL, &err));
    CHECK_INT(rules_in_force(), 0);
    PINGS("a1", "10.128.0.6");
    f = filter_a2();
    OK(net->ops->filter_apply(net, &f, NULL, &err));
    COMES("a1", "10.128.0.6", 81, "a2:81", "10.128.0.5");
    struct ids ids = {0};
    OK(net->ops->group_list(net, note, &ids, &err));
    CHECK_INT(ids.n, 1);
    OK(net->ops->group_remove(net, &group_1, NULL, &err));
    OK(net->ops->filter_remove(net, &nics_a[1].id, NULL, &err));
    ids.n = 0;
    OK(net->ops->group_list(net, note, &ids, &err));
    OK(net->ops->filter_list(net, note, &ids, &err));
    CHECK_INT(ids.n, 0);
    PINGS("a1", "10.128.0.6");
}

/* A connection whose rule goes is cut; another rule that goes cuts none. */
static void cuts_with_the_rule(void)
{
    const struct sv_net_rule both[] = {let_http, let_a1};
    struct sv_net_filter f = filter_a2();
    struct flow web, other;
    f.rules = (struct sv_net_rules){both, 2};
    OK(net->ops->filter_apply(net, &f, NULL, &err));
    CHECK(flow_tcp("a1", "10.128.0.6", 80, ovn_answerer("a2:80")->fd, TRAFFIC_YES_MS, &web));
    CHECK(flow_tcp("a1", "10.128.0.6", 81, ovn_answerer("a2:81")->fd, TRAFFIC_YES_MS, &other));
    CHECK(flow_lives(&other, TRAFFIC_YES_MS));
    f.rules = (struct sv_net_rules){both, 1};
    OK(net->ops->filter_apply(net, &f, NULL, &err));
    CHECK(flow_lives(&web, TRAFFIC_YES_MS));
    const struct sv_deadline limit = sv_deadline_within(NULL, 5000);
    while (flow_lives(&other, TRAFFIC_NO_MS))
        CHECK(!sv_deadline_over(&limit));
    CHECK(flow_lives(&web, TRAFFIC_YES_MS));
    flow_close(&web);
    flow_close(&other);
    OK(net->ops->filter_remove(net, &nics_a[1].id, NULL, &err));
}

/* --- routers --- */

static const struct sv_net_uplink uplink = {.router = ID("0000000000d1")};

static const struct sv_net_leg legs[] = {
    {.vpc = ID("aaaaaaaaaaaa"), .slot = 0, .base = IP(10, 128, 0, 0), .prefix = 24},
    {.vpc = ID("bbbbbbbbbbbb"), .slot = 1, .base = IP(10, 128, 1, 0), .prefix = 24},
};
static const uint32_t outer_ips[] = {ROUTER, NAT_1};

static struct sv_net_router router_1(void)
{
    return (struct sv_net_router){.id = uplink.router,
                                  .outer_ip = ROUTER,
                                  .outer_prefix = 24,
                                  .legs = legs,
                                  .leg_count = 2,
                                  .outer_ips = outer_ips,
                                  .outer_ip_count = 2};
}

static void routes(void)
{
    const struct sv_net_router r = router_1();
    struct sv_net_router_facts facts = {0};
    OK(net->ops->router_apply(net, &r, NULL, &err));
    apply_vpcs(&uplink);
    COMES("a1", "10.128.1.5", 80, "b1:80", "10.128.0.5");
    COMES("a1", OUTSIDE, 80, "out:80", "203.0.113.2");
    PINGS("b1", "10.128.0.6");
    NO_PINGS("c1", OUTSIDE);
    OK(net->ops->router_look(net, &r.id, &facts, &err));
    CHECK(facts.there);
    const int64_t before = ovn_changes();
    OK(net->ops->router_apply(net, &r, NULL, &err));
    CHECK_INT(ovn_changes(), before);
    bool whole = false;
    OK(net->ops->router_whole(net, &r, &whole, &err));
    CHECK(whole && vpc_whole());
    CHECK_INT(SH(NB "lr-nat-del $(" NB "--bare --columns=name find logical_router external_ids:starvirt-kind=router)"),
              0);
    OK(net->ops->router_whole(net, &r, &whole, &err));
    CHECK(!whole);
    OK(net->ops->router_apply(net, &r, NULL, &err));
    /* Nobody outside gets to inner addresses by the router. */
    CHECK_INT(RUN("ip", "-n", "out", "route", "add", "10.128.0.0/16", "via", "203.0.113.2"), 0);
    LOST("out", "10.128.0.6", 80, "a2:80");
}

static void maps(void)
{
    static const struct sv_net_range nowhere[] = {{IP(198, 51, 100, 0), IP(198, 51, 100, 255)}};
    struct sv_net_nat nats[] = {
        {.id = ID("0000000000c1"), .outer_ip = NAT_1, .inner_ip = IP(10, 128, 0, 6)},
        {.id = ID("0000000000c2"),
         .proto = SV_NET_TCP,
         .outer_ip = ROUTER,
         .inner_ip = IP(10, 128, 1, 5),
         .outer_port = 8080,
         .inner_port = 80},
        {.id = ID("0000000000c3"),
         .proto = SV_NET_UDP,
         .outer_ip = ROUTER,
         .inner_ip = IP(10, 128, 0, 6),
         .outer_port = 5353,
         .inner_port = 53},
    };
    struct sv_net_router r = router_1();
    r.nats = nats;
    r.nat_count = 3;
    OK(net->ops->router_apply(net, &r, NULL, &err));
    COMES("out", "203.0.113.10", 80, "a2:80", OUTSIDE);
    COMES("a2", OUTSIDE, 80, "out:80", "203.0.113.10");
    COMES("a1", OUTSIDE, 80, "out:80", "203.0.113.2");
    COMES("out", "203.0.113.2", 8080, "b1:80", OUTSIDE);
    COMES("out", "203.0.113.2", 5353, "a2:53", OUTSIDE);
    LOST("out", "203.0.113.2", 80, "b1:80");
    /* From inside, too. */
    COMES("a1", "203.0.113.2", 8080, "b1:80", NULL);
    COMES("b1", "203.0.113.2", 8080, "b1:80", NULL);
    COMES("a1", "203.0.113.10", 80, "a2:80", NULL);
    nats[1].sources = (struct sv_net_ranges){nowhere, 1};
    OK(net->ops->router_apply(net, &r, NULL, &err));
    LOST("out", "203.0.113.2", 8080, "b1:80");
    COMES("a1", "203.0.113.2", 8080, "b1:80", NULL);
    COMES("b1", OUTSIDE, 80, "out:80", "203.0.113.2"); /* answers pass */
    r.nat_count = 1;
    OK(net->ops->router_apply(net, &r, NULL, &err));
    LOST("a1", "203.0.113.2", 8080, "b1:80");
    COMES("out", "203.0.113.10", 80, "a2:80", OUTSIDE);
}

static void closes_gates(void)
{
    static const struct sv_net_port_range out_http[] = {{80, 80}};
    const struct sv_net_rule rules[] = {
        {.id = ID("0000000000e3"), .in = true, .proto = SV_NET_TCP, .ports = {http, 1}},
        {.id = ID("0000000000e4"), .proto = SV_NET_TCP, .ports = {out_http, 1}},
    };
    struct sv_net_gate gate = {.vpc = vpc_a.id, .closed = true};
    struct sv_net_router r = router_1();
    struct ids ids = {0};
    r.gates = &gate;
    r.gate_count = 1;
    OK(net->ops->router_apply(net, &r, NULL, &err));
    LOST("a1", "10.128.1.5", 80, "b1:80");
    LOST("b1", "10.128.0.6", 80, "a2:80");
    LOST("a1", OUTSIDE, 80, "out:80");
    COMES("a1", "10.128.0.6", 80, "a2:80", "10.128.0.5");
    PINGS("a1", "10.128.0.1");
    gate.rules = (struct sv_net_rules){rules, 2};
    OK(net->ops->router_apply(net, &r, NULL, &err));
    COMES("b1", "10.128.0.6", 80, "a2:80", "10.128.1.5");
    LOST("b1", "10.128.0.6", 81, "a2:81");
    NO_PINGS("b1", "10.128.0.6");
    COMES("a1", "10.128.1.5", 80, "b1:80", "10.128.0.5");
    NO_PINGS("a1", "10.128.1.5");
    OK(net->ops->router_rules(net, &r.id, note, &ids, &err));
    CHECK_INT(ids.n, 2);
    /* What the boundary lets pass still has to pass the filter. */
    struct sv_net_filter f = filter_a2();
    f.rules = (struct sv_net_rules){&let_a1, 1};
    OK(net->ops->filter_apply(net, &f, NULL, &err));
    LOST("b1", "10.128.0.6", 80, "a2:80");
    COMES("a1", "10.128.0.6", 80, "a2:80", "10.128.0.5");
    OK(net->ops->filter_remove(net, &nics_a[1].id, NULL, &err));
}

static const struct sv_net_node nodes[] = {
    {.id = ID("0000000000b1"), .ip = IP(10, 128, 0, 6), .port = 80, .weight = 1, .on = true},
    {.id = ID("0000000000b2"), .ip = IP(10, 128, 1, 5), .port = 80, .weight = 1, .on = true},
};
static const struct sv_net_node names[] = {
    {.id = ID("0000000000b3"), .ip = IP(10, 128, 0, 6), .port = 53, .weight = 1, .on = true}};
static const struct sv_net_node webs[] = {
    {.id = ID("0000000000b4"), .ip = IP(10, 128, 0, 6), .port = 8000, .weight = 1, .on = true},
    {.id = ID("0000000000b5"), .ip = IP(10, 128, 1, 5), .port = 8000, .weight = 9, .on = true},
    {.id = ID("0000000000b6"), .ip = IP(10, 128, 1, 5), .port = 8001, .weight = 9, .on = true}, /* nobody is there */
};
#define PLACE "169.254.240.1"
#define BALANCER(tail, kind, at, p, v)                                                                                 \
    {                                                                                                                  \
        .id = ID(tail), .proto = (kind), .ip = (at), .port = (p), .url_path = "", .check_path = "", .check_every = 1,  \
        .check_timeout = 1, .retries = 2, .idle_timeout = 60, .max_connections = 100, .nodes = (v),                    \
        .node_count = sizeof(v) / sizeof((v)[0])                                                                       \
    }

static void balances(void)
{
    struct sv_net_balancer b[] = {
        BALANCER("0000000000a1", SV_NET_BALANCE_TCP, ROUTER, 90, nodes),
        BALANCER("0000000000a2", SV_NET_BALANCE_UDP, ROUTER, 91, names),
        BALANCER("0000000000a3", SV_NET_BALANCE_TCP, IP(10, 128, 1, 9), 92, nodes),
    };
    const struct sv_net_gate closed = {.vpc = vpc_a.id, .closed = true};
    struct sv_net_router r = router_1();
    b[0].outer = b[1].outer = true;
    r.balancers = b;
    r.balancer_count = 3;
    OK(net->ops->router_apply(net, &r, NULL, &err));
    COMES("out", "203.0.113.2", 90, "a2:80", PLACE);
    COMES("out", "203.0.113.2", 90, "b1:80", PLACE);
    COMES("a1", "203.0.113.2", 90, "b1:80", PLACE);
    COMES("out", "203.0.113.2", 91, "a2:53", OUTSIDE); /* OVN's own */
    /* An address of a VPC: from that VPC and from another, and not from another tenant's. */
    COMES("b1", "10.128.1.9", 92, "a2:80", PLACE);
    COMES("a1", "10.128.1.9", 92, "b1:80", PLACE);
    LOST("c1", "10.128.1.9", 92, "a2:80");
    LOST("out", PLACE, 92, "a2:80");
    const int64_t before = ovn_changes();
    OK(net->ops->router_apply(net, &r, NULL, &err));
    CHECK_INT(ovn_changes(), before);
    /* They have their boundary in themselves. */
    r.gates = &closed;
    r.gate_count = 1;
    OK(net->ops->router_apply(net, &r, NULL, &err));
    LOST("b1", "10.128.0.6", 80, "a2:80");
    COMES("out", "203.0.113.2", 90, "a2:80", PLACE);
    COMES("a1", "203.0.113.2", 90, "b1:80", PLACE);
}

/* --- web, by weight, and with nodes that are asked --- */

static void serve_web(const char *netns, const char *port, const char *says)
{
    SV_AUTOFREE char *text =
        sv_asprintf("mkdir -p %s/%s && echo %s >%s/%s/index.html && ip netns exec %s busybox httpd -p %s -h %s/%s",
                    work, netns, says, work, netns, netns, port, work, netns);
    CHECK_INT(SH(text), 0);
}

/* How many of ten requests this node answers; -1 when one is not answered at all. */
static int answered_by(const char *netns, const char *url, const char *says)
{
    int n = 0;
    for (unsigned i = 0; i < 10; i++) {
        SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
        const char *const ask[] = {"ip", "netns", "exec", netns, "curl", "-s", "-m", "3", url, NULL};
        if (run_argv(ask, &out) != 0)
            return -1;
        n += strncmp(out.p, says, strlen(says)) == 0;
    }
    return n;
}

struct states {
    unsigned up, down, rows;
};
static void note_node(void *arg, const struct sv_net_node_fact *fact)
{
    struct states *s = arg;
    s->rows++;
    s->up += fact->state == SV_NET_NODE_UP;
    s->down += fact->state == SV_NET_NODE_DOWN;
}

static void balances_web(void)
{
    struct sv_net_balancer b = BALANCER("0000000000a4", SV_NET_BALANCE_HTTP, ROUTER, 80, webs);
    struct sv_net_router r = router_1();
    struct states s = {0};
    serve_web("a2", "8000", "two");
    serve_web("b1", "8000", "three");
    b.outer = true;
    b.policy = SV_NET_WRR;
    b.check_path = "/index.html";
    r.balancers = &b;
    r.balancer_count = 1;
    OK(net->ops->router_apply(net, &r, NULL, &err));
    const struct sv_deadline limit = sv_deadline_within(NULL, 10000);
    while (s.up != 2 || s.down != 1) {
        CHECK(!sv_deadline_over(&limit));
        s = (struct states){0};
        OK(net->ops->router_nodes(net, &r.id, note_node, &s, &err));
    }
    CHECK_INT(s.rows, 3);
    const int many = answered_by("out", "http://203.0.113.2/", "three");
    CHECK(many >= 8 && many <= 10);
    CHECK(answered_by("a1", "http://203.0.113.2/", "three") >= 8);
}

/* What is lost of the place comes back; without a balancer all of it goes. */
static void mends_the_place(void)
{
    struct sv_net_balancer b = BALANCER("0000000000a1", SV_NET_BALANCE_TCP, ROUTER, 90, nodes);
    struct sv_net_router r = router_1();
    struct sv_net_router_facts facts;
    b.outer = true;
    r.balancers = &b;
    r.balancer_count = 1;
    CHECK_INT(SH("ovs-vsctl del-port br-int svk0000000000d1"), 0);
    OK(net->ops->router_apply(net, &r, NULL, &err));
    COMES("out", "203.0.113.2", 90, "a2:80", PLACE);
    OK(net->ops->router_look(net, &r.id, &facts, &err));
    CHECK(facts.there);
    CHECK_INT(SH("ip link del svk0000000000d1"), 0);
    OK(net->ops->router_look(net, &r.id, &facts, &err));
    CHECK(!facts.there);
    bool whole = true;
    OK(net->ops->router_whole(net, &r, &whole, &err));
    CHECK(!whole);
    OK(net->ops->router_apply(net, &r, NULL, &err));
    COMES("out", "203.0.113.2", 90, "a2:80", PLACE);
    r.balancer_count = 0;
    OK(net->ops->router_apply(net, &r, NULL, &err));
    LOST("out", "203.0.113.2", 90, "a2:80");
    CHECK_INT(
        SH("! ip link show svk0000000000d1 && ! ip netns list | grep svr- && ! ovs-vsctl list-ports br-int | grep "
           "svk && ! pgrep -r R,S,D -x haproxy"),
        0);
    COMES("a1", "10.128.1.5", 80, "b1:80", "10.128.0.5");
}

/* --- ends --- */

static void removes_all(void)
{
    struct ids ids = {0};
    struct sv_net_balancer b = BALANCER("0000000000a1", SV_NET_BALANCE_TCP, ROUTER, 90, nodes);
    struct sv_net_router r = router_1();
    r.balancers = &b;
    r.balancer_count = 1;
    b.outer = true;
    OK(net->ops->router_apply(net, &r, NULL, &err));
    OK(net->ops->router_remove(net, &uplink.router, NULL, &err));
    CHECK_INT(SH("! ip netns list | grep svr- && ! ovs-vsctl list-ports br-int | grep svk"), 0);
    OK(net->ops->router_remove(net, &uplink.router, NULL, &err));
    apply_vpcs(NULL);
    LOST("a1", "10.128.1.5", 80, "b1:80");
    PINGS("a1", "10.128.0.6");
    OK(net->ops->vpc_remove(net, &vpc_a.id, NULL, &err));
    OK(net->ops->vpc_remove(net, &vpc_b.id, NULL, &err));
    OK(net->ops->vpc_remove(net, &vpc_c.id, NULL, &err));
    OK(net->ops->vpc_remove(net, &vpc_c.id, NULL, &err));
    NO_PINGS("a1", "10.128.0.6");
    OK(net->ops->list(net, note, &ids, &err));
    OK(net->ops->router_list(net, note, &ids, &err));
    CHECK_INT(ids.n, 0);
    /* Only the outer switch is left, and what was somebody else's. */
    CHECK_INT(SH("test $(" NB "--bare --columns=_uuid find logical_switch | grep -c .) = 2"), 0);
    for (const char *const *t = (const char *const[]){"acl", "dhcp_options", "nat", "load_balancer", "port_group",
                                                      "logical_router", "gateway_chassis", NULL};
         *t; t++) {
        SV_AUTOFREE char *count = sv_asprintf("test -z \"$(" NB "--bare --columns=_uuid find %s)\"", *t);
        CHECK_INT(SH(count), 0);
    }
}

static void fails_in_time(const char *want)
{
    const struct sv_deadline limit = sv_deadline_within(NULL, 1500);
    const int64_t before = sv_mono_ms();
    struct sv_net_vpc another = vpc_a;
    another.base = IP(10, 128, 9, 0);
    CHECK_INT(net->ops->vpc_apply(net, &another, NULL, 0, &limit, &err), SV_E_NETWORK);
    CHECK(sv_mono_ms() - before < 3000);
    if (!strstr(err.arg[0], want))
        check_failed(__FILE__, __LINE__, "\"%s\" instead of \"%s\"", err.arg[0], want);
}

static void says_who_hangs(void)
{
    CHECK_INT(SH("kill -STOP $(cat /run/ovn/northd.pid)"), 0);
    fails_in_time("ovn-northd does not follow");
    CHECK_INT(SH("kill -CONT $(cat /run/ovn/northd.pid)"), 0);
    OK(net->ops->vpc_apply(net, &vpc_a, nics_a, 2, NULL, &err));
    CHECK_INT(SH("kill -STOP $(cat /run/ovn/nb.pid)"), 0);
    fails_in_time("does not answer");
    CHECK_INT(SH("kill -CONT $(cat /run/ovn/nb.pid)"), 0);
    OK(net->ops->vpc_apply(net, &vpc_a, nics_a, 2, NULL, &err));
    CHECK_INT(SH("kill $(cat /run/ovn/nb.pid)"), 0);
    CHECK_INT(SH("for i in $(seq 100); do test -e /run/ovn/nb.pid || exit 0; sleep .05; done; exit 1"), 0);
    fails_in_time("northbound database at unix:/run/ovn/ovnnb_db.sock");
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {
        T(gives_leases),
        T(keeps_vpcs_apart),
        T(repeats_nothing),
        T(makes_one_switch_side_by_side),
        T(lists_what_is_its_own),
        T(nobody_speaks_for_others),
        T(filters_by_group),
        T(filters_by_nic),
        T(cuts_with_the_rule),
        T(routes),
        T(maps),
        T(closes_gates),
        T(balances),
        T(balances_web),
        T(mends_the_place),
        T(removes_all),
        T(says_who_hangs),
    };
    if (geteuid() == 0 && access("/usr/bin/ovn-northd", X_OK) != 0) {
        printf("SKIP: no OVN: scripts/install-packages ovn\n");
        return SKIPPED;
    }
    return net_sandbox(tests, sizeof(tests) / sizeof(tests[0]), prepare, argc, argv);
}
