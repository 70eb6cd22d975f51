/* Routers with real packets: what passes, and what does not. */
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_routed.h"

/* --- tests: what reaches what --- */

static void vpcs_reach_each_other_and_outside(void)
{
    uint32_t seen = 0;
    up(&plain);
    CHECK(whole());
    CHECK_INT(tcp_seen("a1", "10.128.1.5", 80, web_b1), IP(10, 128, 0, 5)); /* not translated */
    CHECK(flow_udp("a2", "10.128.1.5", 53, dns_b1, TRAFFIC_YES_MS, &seen));
    CHECK_INT(seen, IP(10, 128, 0, 6));
    CHECK(ping("a1", "10.128.1.5"));
    CHECK(ping("b1", "10.128.0.6"));
    CHECK(ping("a1", "10.128.1.1")); /* the other's gateway */
    CHECK_INT(tcp_seen("a1", CLIENT, 80, web_client), IP(192, 0, 2, 5));
    CHECK_INT(tcp_seen("b1", FAR, 80, web_far), IP(192, 0, 2, 5)); /* past the gateway */
    CHECK(flow_udp("b1", CLIENT, 53, dns_client, TRAFFIC_YES_MS, &seen));
    CHECK_INT(seen, IP(192, 0, 2, 5));
    CHECK(ping("a1", FAR));
    CHECK(ping("c1", OUR_OUTER));
    down();
}

static void nothing_else_is_reached(void)
{
    up(&plain);
    int in_router = traffic_listen(ROUTER_NETNS, SOCK_STREAM, "0.0.0.0", 22);
    int in_gateway = traffic_listen("sv-aaaaaaaaaaaa", SOCK_STREAM, "0.0.0.0", 22);
    int in_machine = traffic_listen("", SOCK_STREAM, "0.0.0.0", 22);
    CHECK(reachable());
    /* From outside to inside, without a mapping. */
    CHECK(no_tcp("c2", "10.128.0.5", 80, web_a1));
    CHECK(!ping("c2", "10.128.0.5"));
    CHECK(!ping("c2", "169.254.240.1"));
    CHECK(!ping("c2", "169.254.241.0"));
    /* Of the router, of gateways and of the machine. */
    CHECK(no_tcp("a1", OUR_OUTER, 22, in_router));
    CHECK(no_tcp("a1", "169.254.240.1", 22, in_router));
    CHECK(no_tcp("c2", OUR_OUTER, 22, in_router));
    CHECK(no_tcp("c2", MAPPED, 22, in_router));
    CHECK(no_tcp("a1", "10.128.0.1", 22, in_gateway));
    CHECK(no_tcp("b1", "10.128.0.1", 22, in_gateway));
    static const char *const nobody[] = {"169.254.240.1", "169.254.241.0", "169.254.241.7", "169.254.169.254", MAPPED};
    for (size_t i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++)
        CHECK(!ping("a1", nobody[i]));
    CHECK_INT(RUN("ip", "addr", "add", "203.0.113.1/32", "dev", "lo"), 0);
    CHECK_INT(RUN("ip", "-n", "a1", "route", "add", "203.0.113.1", "dev", "eth0"), 0);
    CHECK(no_tcp("a1", "203.0.113.1", 22, in_machine));
    CHECK_INT(RUN("ip", "addr", "del", "203.0.113.1/32", "dev", "lo"), 0);
    /* A guest with a forged source: of the other VPC, and of nobody. */
    CHECK_INT(RUN("ip", "-n", "a1", "addr", "add", "10.128.1.77/32", "dev", "lo"), 0);
    CHECK(RUN("ip", "netns", "exec", "a1", "busybox", "ping", "-c", "1", "-W", "1", "-I", "10.128.1.77", CLIENT) != 0);
    close(in_router);
    close(in_gateway);
    close(in_machine);
    down();
}

/* Without an uplink, no way: also when the machine itself forwards, which new namespaces take over. */
static void without_a_router_nothing_passes(void)
{
    CHECK_INT(RUN("sysctl", "-q", "-w", "net.ipv4.ip_forward=1"), 0);
    up(&plain);
    CHECK(reachable());
    apply_vpc(0, false);
    CHECK(no_tcp("a1", "10.128.1.5", 80, web_b1));
    CHECK(no_tcp("b1", "10.128.0.5", 80, web_a1));
    CHECK(ping("a1", "10.128.0.1"));
    CHECK(tcp("b1", CLIENT, 80, web_client));
    CHECK_INT(if_nametoindex("svyaaaaaaaaaaaa"), 0);
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    CHECK_INT(
        run_argv((const char *const[]){"ip", "netns", "exec", "sv-aaaaaaaaaaaa", "nft", "list", "ruleset", NULL}, &out),
        0);
    CHECK_INT(out.n, 0);
    SV_CLEANUP(sv_buf_free) struct sv_buf on = {0};
    CHECK_INT(run_argv((const char *const[]){"ip", "netns", "exec", "sv-aaaaaaaaaaaa", "cat",
                                             "/proc/sys/net/ipv4/ip_forward", NULL},
                       &on),
              0);
    CHECK_STR(on.p, "0\n");
    apply_vpc(0, true);
    CHECK(reachable());
    down();
}

/* --- tests: mappings --- */

static const struct sv_net_range from_client[] = {{IP(192, 0, 2, 100), IP(192, 0, 2, 100)}};
static const struct sv_net_nat to_a1 = {
    .id = {"01900000-0000-7000-8000-000000000a01"}, .outer_ip = IP(192, 0, 2, 10), .inner_ip = IP(10, 128, 0, 5)};
static const struct sv_net_nat port_b1 = {.id = {"01900000-0000-7000-8000-000000000b01"},
                                          .proto = SV_NET_TCP,
                                          .outer_ip = IP(192, 0, 2, 5),
                                          .inner_ip = IP(10, 128, 1, 5),
                                          .outer_port = 8080,
                                          .inner_port = 80};
static const struct sv_net_nat port_b1_for_client = {.id = {"01900000-0000-7000-8000-000000000b02"},
                                                     .proto = SV_NET_TCP,
                                                     .outer_ip = IP(192, 0, 2, 5),
                                                     .inner_ip = IP(10, 128, 1, 5),
                                                     .outer_port = 8081,
                                                     .inner_port = 80,
                                                     .sources = {from_client, 1}};
static const struct sv_net_nat udp_b1 = {.id = {"01900000-0000-7000-8000-000000000b03"},
                                         .proto = SV_NET_UDP,
                                         .outer_ip = IP(192, 0, 2, 5),
                                         .inner_ip = IP(10, 128, 1, 5),
                                         .outer_port = 5353,
                                         .inner_port = 53};

static struct sv_net_router with_nats(const struct sv_net_nat *nats, size_t n)
{
    struct sv_net_router want = plain;
    want.nats = nats;
    want.nat_count = n;
    return want;
}

static void one_to_one(void)
{
    const struct sv_net_router want = with_nats(&to_a1, 1);
    up(&want);
    CHECK_INT(tcp_seen("c1", MAPPED, 80, web_a1), IP(192, 0, 2, 100));
    CHECK(ping("c2", MAPPED));
    CHECK_INT(tcp_seen("a1", CLIENT, 80, web_client), IP(192, 0, 2, 10));
    CHECK_INT(tcp_seen("a2", CLIENT, 80, web_client), IP(192, 0, 2, 5));
    /* From inside by the outer address: of another VPC, of its own, and its very self. */
    CHECK_INT(tcp_seen("b1", MAPPED, 80, web_a1), IP(192, 0, 2, 5));
    CHECK_INT(tcp_seen("a2", MAPPED, 80, web_a1), IP(192, 0, 2, 5));
    CHECK_INT(tcp_seen("a1", MAPPED, 80, web_a1), IP(192, 0, 2, 10));
    CHECK(ping("a2", MAPPED));
    down();
}

static void ports_and_their_sources(void)
{
    uint32_t seen = 0;
    const struct sv_net_nat nats[] = {port_b1, port_b1_for_client, udp_b1};
    const struct sv_net_router want = with_nats(nats, 3);
    up(&want);
    CHECK_INT(tcp_seen("c2", OUR_OUTER, 8080, web_b1), IP(192, 0, 2, 101));
    CHECK(tcp("c1", OUR_OUTER, 8081, web_b1));
    CHECK(no_tcp("c2", OUR_OUTER, 8081, web_b1));
    CHECK(no_tcp("c1", OUR_OUTER, 80, web_b1));
    CHECK(flow_udp("c2", OUR_OUTER, 5353, dns_b1, TRAFFIC_YES_MS, &seen));
    CHECK_INT(seen, IP(192, 0, 2, 101));
    CHECK(!flow_udp("c2", OUR_OUTER, 8080, dns_b1, TRAFFIC_NO_MS, NULL));
    CHECK(tcp("a1", OUR_OUTER, 8080, web_b1));
    CHECK_INT(tcp_seen("b1", OUR_OUTER, 8080, web_b1), IP(192, 0, 2, 5)); /* its own VPC, its very self */
    down();
}

static void a_mapping_takes_its_connections_along(void)
{
    const struct sv_net_nat nats[] = {to_a1, port_b1};
    struct sv_net_router want = with_nats(nats, 2);
    struct flow whole_flow, port_flow, out_flow;
    up(&want);
    CHECK(flow_tcp("c1", MAPPED, 80, web_a1, TRAFFIC_YES_MS, &whole_flow));
    CHECK(flow_tcp("c1", OUR_OUTER, 8080, web_b1, TRAFFIC_YES_MS, &port_flow));
    CHECK(flow_tcp("a2", CLIENT, 80, web_client, TRAFFIC_YES_MS, &out_flow));
    want.nat_count = 1;
    apply(&want);
    CHECK(!flow_lives(&port_flow, TRAFFIC_NO_MS));
    CHECK(flow_lives(&whole_flow, TRAFFIC_YES_MS));
    CHECK(flow_lives(&out_flow, TRAFFIC_YES_MS));
    CHECK(no_tcp("c1", OUR_OUTER, 8080, web_b1));
    want.nat_count = 0;
    apply(&want);
    CHECK(!flow_lives(&whole_flow, TRAFFIC_NO_MS));
    CHECK(flow_lives(&out_flow, TRAFFIC_YES_MS));
    /* What a guest sends on and on from one port leaves as the router is known now. */
    static const uint32_t moved[] = {IP(192, 0, 2, 6)};
    int port = traffic_listen("a1", SOCK_DGRAM, "10.128.0.5", 999);
    CHECK_INT(udp_seen(port, CLIENT, 53, dns_client), IP(192, 0, 2, 5));
    want.outer_ip = moved[0];
    want.outer_ips = moved;
    want.outer_ip_count = 1;
    apply(&want);
    CHECK_INT(udp_seen(port, CLIENT, 53, dns_client), IP(192, 0, 2, 6));
    CHECK(!flow_lives(&out_flow, TRAFFIC_NO_MS));
    close(port);
    flow_close(&whole_flow);
    flow_close(&port_flow);
    flow_close(&out_flow);
    down();
}

/* --- tests: boundaries --- */

static const struct sv_net_range b1_address[] = {{IP(10, 128, 1, 5), IP(10, 128, 1, 5)}};
static const struct sv_net_range a1_address[] = {{IP(10, 128, 0, 5), IP(10, 128, 0, 5)}};
static const struct sv_net_range clients[] = {{IP(192, 0, 2, 64), IP(192, 0, 2, 127)}};
static const struct sv_net_port_range web_ports[] = {{80, 80}, {8000, 8099}};
static const struct sv_net_rule in_web_from_a1 = {.id = {"01900000-0000-7000-8000-00000000c001"},
                                                  .in = true,
                                                  .proto = SV_NET_TCP,
                                                  .src = {a1_address, 1},
                                                  .dst = {b1_address, 1},
                                                  .ports = {web_ports, 2}};
static const struct sv_net_range a1_and_clients[] = {{IP(10, 128, 0, 5), IP(10, 128, 0, 5)},
                                                     {IP(192, 0, 2, 64), IP(192, 0, 2, 127)}};
static const struct sv_net_rule in_any_port_web = {.id = {"01900000-0000-7000-8000-00000000c002"},
                                                   .in = true,
                                                   .proto = SV_NET_ANY,
                                                   .src = {a1_and_clients, 2},
                                                   .ports = {web_ports, 2}};
static const struct sv_net_rule in_ping = {
    .id = {"01900000-0000-7000-8000-00000000c003"}, .in = true, .proto = SV_NET_ICMP};
static const struct sv_net_rule out_to_clients = {
    .id = {"01900000-0000-7000-8000-00000000c004"}, .in = false, .proto = SV_NET_ANY, .dst = {clients, 1}};

/* Of the second VPC. */
static struct sv_net_gate gate_b(bool closed, const struct sv_net_rule *rules, size_t n)
{
    return (struct sv_net_gate){.vpc = legs[1].vpc, .closed = closed, .rules = {rules, n}};
}

static void a_closed_boundary(void)
{
    struct sv_net_router want = with_nats(&port_b1, 1);
    struct sv_net_gate gate = gate_b(true, NULL, 0);
    want.gates = &gate;
    want.gate_count = 1;
    up(&want);
    CHECK_INT(rules_in_force(), 0);
    CHECK(no_tcp("a1", "10.128.1.5", 80, web_b1));
    CHECK(no_tcp("b1", "10.128.0.5", 80, web_a1));
    CHECK(no_tcp("b1", CLIENT, 80, web_client));
    CHECK(no_tcp("c1", OUR_OUTER, 8080, web_b1));
    CHECK(no_tcp("b1", OUR_OUTER, 8080, web_b1));
    CHECK(!ping("a1", "10.128.1.5"));
    CHECK(ping("b1", "10.128.1.1"));
    CHECK(tcp("a1", CLIENT, 80, web_client)); /* the other VPC's is open */

    const struct sv_net_rule rules[] = {in_web_from_a1, in_ping, out_to_clients};
    gate = gate_b(true, rules, 3);
    apply(&want);
    CHECK_INT(rules_in_force(), 3);
    CHECK(tcp("a1", "10.128.1.5", 80, web_b1));
    CHECK(no_tcp("a2", "10.128.1.5", 80, web_b1));
    CHECK(!flow_udp("a1", "10.128.1.5", 53, dns_b1, TRAFFIC_NO_MS, NULL));
    CHECK(ping("a2", "10.128.1.5"));
    CHECK(tcp("b1", CLIENT, 80, web_client));
    CHECK(flow_udp("b1", CLIENT, 53, dns_client, TRAFFIC_YES_MS, NULL));
    CHECK(ping("b1", CLIENT));
    CHECK(no_tcp("b1", FAR, 80, web_far));
    CHECK(no_tcp("b1", "10.128.0.5", 80, web_a1));
    CHECK(no_tcp("c1", OUR_OUTER, 8080, web_b1)); /* a mapping is no rule */
    down();
}

static void rules_of_an_open_boundary(void)
{
    struct sv_net_router want = with_nats(&port_b1, 1);
    const struct sv_net_gate gate = gate_b(false, &in_any_port_web, 1);
    want.gates = &gate;
    want.gate_count = 1;
    up(&want);
    CHECK_INT(rules_in_force(), 1);
    int other_port = traffic_listen("b1", SOCK_STREAM, "10.128.1.5", 8050);
    int udp_port = traffic_listen("b1", SOCK_DGRAM, "10.128.1.5", 8051);
    CHECK(tcp("a1", "10.128.1.5", 80, web_b1));
    CHECK(tcp("a1", "10.128.1.5", 8050, other_port));
    CHECK(flow_udp("a1", "10.128.1.5", 8051, udp_port, TRAFFIC_YES_MS, NULL));
    CHECK(no_tcp("a2", "10.128.1.5", 80, web_b1));
    close(other_port);
    close(udp_port);
    CHECK(tcp("c1", OUR_OUTER, 8080, web_b1));
    CHECK(!flow_udp("a1", "10.128.1.5", 53, dns_b1, TRAFFIC_NO_MS, NULL));
    CHECK(!ping("a1", "10.128.1.5"));
    CHECK(tcp("b1", CLIENT, 80, web_client)); /* the other direction has none */
    CHECK(ping("b1", "10.128.0.5"));
    down();
}

static void a_rule_takes_its_connections_along(void)
{
    const struct sv_net_rule rules[] = {in_web_from_a1, in_ping, out_to_clients};
    struct sv_net_router want = plain;
    struct sv_net_gate gate = gate_b(true, rules, 3);
    struct flow in, out;
    want.gates = &gate;
    want.gate_count = 1;
    up(&want);
    CHECK(flow_tcp("a1", "10.128.1.5", 80, web_b1, TRAFFIC_YES_MS, &in));
    CHECK(flow_tcp("b1", CLIENT, 80, web_client, TRAFFIC_YES_MS, &out));
    for (unsigned i = 0; i < 5; i++) { /* unrelated ones change */
        gate.rules.n = 3;
        apply(&want);
        const struct sv_net_rule others[] = {in_web_from_a1, out_to_clients};
        gate.rules = (struct sv_net_rules){others, 2};
        apply(&want);
        CHECK(flow_lives(&in, TRAFFIC_YES_MS));
        CHECK(flow_lives(&out, TRAFFIC_YES_MS));
        gate.rules = (struct sv_net_rules){rules, 3};
    }
    gate.rules = (struct sv_net_rules){rules + 1, 2};
    apply(&want);
    CHECK_INT(rules_in_force(), 2);
    CHECK(!flow_lives(&in, TRAFFIC_NO_MS));
    CHECK(flow_lives(&out, TRAFFIC_YES_MS));
    gate.rules = (struct sv_net_rules){rules + 1, 1};
    apply(&want);
    CHECK(!flow_lives(&out, TRAFFIC_NO_MS));
    flow_close(&in);
    flow_close(&out);
    down();
}

/* --- tests: balancers' addresses --- */

static const struct sv_net_node to_b1[] = {
    {.id = {"01900000-0000-7000-8000-00000000d0b1"}, .ip = IP(10, 128, 1, 5), .port = 80, .weight = 1, .on = true}};
#define BALANCER                                                                                                       \
    .policy = SV_NET_RR, .url_path = "", .check_path = "", .check_every = 2, .check_timeout = 1, .retries = 3,         \
    .idle_timeout = 60, .max_connections = 100, .nodes = to_b1, .node_count = 1
static const struct sv_net_balancer balancers[] = {
    {.id = {"01900000-0000-7000-8000-00000000d001"}, .ip = IP(10, 128, 0, 50), .port = 443, BALANCER},
    {.id = {"01900000-0000-7000-8000-00000000d002"}, .ip = IP(192, 0, 2, 10), .port = 443, .outer = true, BALANCER},
};

/* A word through the balancer to the guest behind it and back; what only knocks there are its checks. */
static bool balanced(const char *from, const char *to)
{
    bool lives = false;
    for (unsigned i = 0; !lives && i < 10; i++) {
        struct flow f = {.client = -1, .server = -1};
        if (!flow_tcp(from, to, 443, web_b1, TRAFFIC_YES_MS, &f))
            continue;
        lives = flow_lives(&f, TRAFFIC_NO_MS);
        flow_close(&f);
    }
    return lives;
}

static void count_node(void *arg, const struct sv_net_node_fact *fact)
{
    CHECK_STR(fact->node.s, to_b1[0].id.s);
    ++*(int *)arg;
}

static void a_balancer_is_reached(void)
{
    struct sv_net_router want = plain;
    int nodes = 0;
    if (RUN("which", "haproxy") != 0)
        return;
    want.balancers = balancers;
    want.balancer_count = 2;
    up(&want);
    int other_port = traffic_listen(ROUTER_NETNS, SOCK_STREAM, "0.0.0.0", 22);
    CHECK(balanced("a1", "10.128.0.50")); /* its own VPC's, by ARP */
    CHECK(balanced("b1", "10.128.0.50"));
    CHECK(balanced("c2", MAPPED));
    CHECK(balanced("a1", MAPPED));
    OK(net->ops->router_nodes(net, &router_id, count_node, &nodes, &err));
    CHECK_INT(nodes, 2);
    CHECK(no_tcp("a1", "10.128.0.50", 22, other_port));
    CHECK(no_tcp("c2", MAPPED, 22, other_port));
    CHECK(no_tcp("c2", "10.128.0.50", 443, web_b1)); /* an inner one is not for who comes from outside */
    CHECK(whole());
    char pid_file[200];
    SV_CLEANUP(sv_buf_free) struct sv_buf pid = {0};
    snprintf(pid_file, sizeof(pid_file), "%s/net-router/%s/balance/haproxy.pid", work, router_id.s);
    CHECK_INT(run_argv((const char *const[]){"cat", pid_file, NULL}, &pid), 0);
    pid.p[strcspn(pid.p, "\n")] = '\0';
    CHECK_INT(RUN("kill", "-9", pid.p), 0);
    for (int64_t end = sv_mono_us() + 5000000; whole() && sv_mono_us() < end;)
        sched_yield();
    CHECK(!whole());
    apply(&want);
    CHECK(whole());
    CHECK(balanced("c2", MAPPED));
    /* A gateway that is made again finds them, and they go with the balancer. */
    CHECK_INT(RUN("ip", "netns", "del", "sv-aaaaaaaaaaaa"), 0);
    apply_vpc(0, true);
    CHECK(balanced("a2", "10.128.0.50"));
    apply(&plain);
    CHECK(whole());
    CHECK(RUN("ip", "netns", "exec", "a2", "busybox", "arping", "-c", "1", "-w", "1", "-I", "eth0", "10.128.0.50") !=
          0);
    close(other_port);
    down();
}

/* Without an outer address: nodes of any VPC are reached, and answer. */
static void a_balancer_inside(void)
{
    struct sv_net_router want = plain;
    if (RUN("which", "haproxy") != 0)
        return;
    want.balancers = balancers;
    want.balancer_count = 2;
    want.outer_ip = 0;
    want.outer_ip_count = 0;
    up(&want);
    CHECK(balanced("a1", "10.128.0.50"));
    CHECK_INT(tcp_seen(ROUTER_NETNS, "10.128.0.5", 80, web_a1), IP(10, 128, 0, 50));
    CHECK(whole());
    down();
    CHECK_INT(listed(), 0);
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {T(vpcs_reach_each_other_and_outside),
                                              T(nothing_else_is_reached),
                                              T(without_a_router_nothing_passes),
                                              T(one_to_one),
                                              T(ports_and_their_sources),
                                              T(a_mapping_takes_its_connections_along),
                                              T(a_closed_boundary),
                                              T(rules_of_an_open_boundary),
                                              T(a_rule_takes_its_connections_along),
                                              T(a_balancer_is_reached),
                                              T(a_balancer_inside)};
    return net_sandbox(tests, sizeof(tests) / sizeof(tests[0]), make_outer_network, argc, argv);
}
