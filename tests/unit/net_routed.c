#include "net_routed.h"

#include <sys/socket.h>
#include <unistd.h>

const struct sv_id router_id = {"01900000-0000-7000-8000-eeeeeeeeeeee"};
const struct sv_net_leg legs[2] = {
    {.vpc = {"01900000-0000-7000-8000-aaaaaaaaaaaa"}, .slot = 0, .base = IP(10, 128, 0, 0), .prefix = 24},
    {.vpc = {"01900000-0000-7000-8000-bbbbbbbbbbbb"}, .slot = 7, .base = IP(10, 128, 1, 0), .prefix = 24},
};
static const uint32_t outer_ips[] = {IP(192, 0, 2, 5), IP(192, 0, 2, 10)};
const struct sv_net_router plain = {.id = {"01900000-0000-7000-8000-eeeeeeeeeeee"},
                                    .outer_ip = IP(192, 0, 2, 5),
                                    .outer_prefix = 24,
                                    .outer_gateway = IP(192, 0, 2, 100),
                                    .legs = legs,
                                    .leg_count = 2,
                                    .outer_ips = outer_ips,
                                    .outer_ip_count = 2};

int web_a1, web_a2, web_b1, dns_b1, web_client, dns_client, web_far, web_other;

/* --- setting up --- */

struct sv_net_vpc vpc(unsigned i, bool uplink)
{
    struct sv_net_vpc v = {.id = legs[i].vpc, .base = legs[i].base, .prefix = legs[i].prefix};
    if (uplink)
        v.uplink = (struct sv_net_uplink){.router = router_id, .slot = legs[i].slot};
    return v;
}

void apply_vpc(unsigned i, bool uplink)
{
    const struct sv_net_vpc v = vpc(i, uplink);
    OK(net->ops->vpc_apply(net, &v, NULL, 0, NULL, &err));
}

void apply(const struct sv_net_router *want)
{
    OK(net->ops->router_apply(net, want, NULL, &err));
}

static void plug(const char *name, const char *tap, const char *bridge, const char *address, const char *gateway)
{
    char mac[18];
    snprintf(mac, sizeof(mac), "52:54:00:00:%02x:%02x", name[0], name[1]);
    guest_plug(name, tap, bridge, mac);
    CHECK_INT(RUN("ip", "-n", name, "link", "set", "lo", "up"), 0);
    CHECK_INT(RUN("ip", "-n", name, "addr", "add", address, "dev", "eth0"), 0);
    if (gateway)
        CHECK_INT(RUN("ip", "-n", name, "route", "add", "default", "via", gateway), 0);
}

void make_outer_network(void)
{
    CHECK_INT(RUN("ip", "link", "add", "brx", "type", "bridge", "forward_delay", "0"), 0);
    CHECK_INT(RUN("ip", "link", "set", "brx", "up"), 0);
    plug("c1", "tapc1", "brx", (CLIENT "/24"), NULL);
    plug("c2", "tapc2", "brx", (OTHER_CLIENT "/24"), NULL);
    CHECK_INT(RUN("ip", "-n", "c1", "addr", "add", (FAR "/32"), "dev", "lo"), 0);
    /* Clients that would like to get in: they send what is for the inside to the router. */
    CHECK_INT(RUN("ip", "-n", "c2", "route", "add", "10.128.0.0/16", "via", OUR_OUTER), 0);
    CHECK_INT(RUN("ip", "-n", "c2", "route", "add", "169.254.0.0/16", "via", OUR_OUTER), 0);
    web_client = traffic_listen("c1", SOCK_STREAM, CLIENT, 80);
    dns_client = traffic_listen("c1", SOCK_DGRAM, CLIENT, 53);
    web_far = traffic_listen("c1", SOCK_STREAM, FAR, 80);
    web_other = traffic_listen("c2", SOCK_STREAM, OTHER_CLIENT, 80);
    outer = "brx";
}

void guests_up(void)
{
    plug("a1", "tapa1", "svbaaaaaaaaaaaa", "10.128.0.5/24", "10.128.0.1");
    plug("a2", "tapa2", "svbaaaaaaaaaaaa", "10.128.0.6/24", "10.128.0.1");
    plug("b1", "tapb1", "svbbbbbbbbbbbbb", "10.128.1.5/24", "10.128.1.1");
    web_a1 = traffic_listen("a1", SOCK_STREAM, "10.128.0.5", 80);
    web_a2 = traffic_listen("a2", SOCK_STREAM, "10.128.0.6", 80);
    web_b1 = traffic_listen("b1", SOCK_STREAM, "10.128.1.5", 80);
    dns_b1 = traffic_listen("b1", SOCK_DGRAM, "10.128.1.5", 53);
}

void up(const struct sv_net_router *want)
{
    apply_vpc(0, true);
    apply_vpc(1, true);
    apply(want);
    guests_up();
}

void remove_engine_side(void)
{
    OK(net->ops->router_remove(net, &router_id, NULL, &err));
    for (unsigned i = 0; i < 2; i++)
        OK(net->ops->vpc_remove(net, &legs[i].vpc, NULL, &err));
}

void guests_down(void)
{
    const int fds[] = {web_a1, web_a2, web_b1, dns_b1};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        close(fds[i]);
    guest_unplug("a1");
    guest_unplug("a2");
    guest_unplug("b1");
}

void down(void)
{
    guests_down();
    remove_engine_side();
}

/* --- asking --- */

bool tcp(const char *from, const char *to, uint16_t port, int listener)
{
    return flow_tcp(from, to, port, listener, TRAFFIC_YES_MS, NULL);
}

bool no_tcp(const char *from, const char *to, uint16_t port, int listener)
{
    return !flow_tcp(from, to, port, listener, TRAFFIC_NO_MS, NULL);
}

uint32_t tcp_seen(const char *from, const char *to, uint16_t port, int listener)
{
    struct flow f = {.client = -1, .server = -1};
    CHECK(flow_tcp(from, to, port, listener, TRAFFIC_YES_MS, &f));
    flow_close(&f);
    return f.seen;
}

bool whole(void)
{
    struct sv_net_router_facts facts = {0};
    OK(net->ops->router_look(net, &router_id, &facts, &err));
    CHECK_INT(facts.instances_up, facts.there ? 1 : facts.instances_up);
    CHECK_INT(facts.active, 0);
    return facts.there;
}

static void count_row(void *arg, const struct sv_id *id)
{
    (void)id;
    ++*(int *)arg;
}

int listed(void)
{
    int n = 0;
    OK(net->ops->router_list(net, count_row, &n, &err));
    return n;
}

int rules_in_force(void)
{
    int n = 0;
    OK(net->ops->router_rules(net, &router_id, count_row, &n, &err));
    return n;
}

bool reachable(void)
{
    return tcp("a1", "10.128.1.5", 80, web_b1) && tcp("b1", "10.128.0.6", 80, web_a2) && tcp("a1", FAR, 80, web_far) &&
           tcp("b1", CLIENT, 80, web_client);
}
