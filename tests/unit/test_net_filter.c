/* The filters of NICs, with real frames: what a guest may say, and what rules let pass. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/linux/internal.h"
#include "net_frames.h"
#include "net_sandbox.h"
#include "starvirt/clock.h"
#include "starvirt/text.h"

#define BRIDGE "svbaaaaaaaaaaaa"
#define NETNS  "sv-aaaaaaaaaaaa"
#define ID(n)                                                                                                          \
    {                                                                                                                  \
        "01900000-0000-7000-8000-00000000000" #n                                                                       \
    }

#define VPC_ID                                                                                                         \
    {                                                                                                                  \
        "01900000-0000-7000-8000-aaaaaaaaaaaa"                                                                         \
    }
static const struct sv_net_vpc vpc = {.id = VPC_ID, .base = 0x0A800000, .prefix = 24};
static const struct sv_net_vpc vpc_b = {
    .id = {"01900000-0000-7000-8000-bbbbbbbbbbbb"}, .base = 0x0A800100, .prefix = 24};
static const struct sv_id group_id = {"01900000-0000-7000-8000-00000000006a"};

static struct station g1 = {"g1", {0x52, 0x54, 0, 0, 0, 1}, 0x0A800005, -1};
static struct station g2 = {"g2", {0x52, 0x54, 0, 0, 0, 2}, 0x0A800006, -1};
static const struct sv_net_filter open_1 = {
    .nic = ID(1), .vpc = VPC_ID, .mac = {0x52, 0x54, 0, 0, 0, 1}, .ip = 0x0A800005, .gateway = 0x0A800001, .on = true};
static const struct sv_net_filter open_2 = {
    .nic = ID(2), .vpc = VPC_ID, .mac = {0x52, 0x54, 0, 0, 0, 2}, .ip = 0x0A800006, .gateway = 0x0A800001, .on = true};
static const struct sv_net_range range_1 = {0x0A800005, 0x0A800005};
static const struct sv_net_port_range port_53 = {53, 53}, port_80 = {80, 80}, port_67 = {67, 67};
#define PORTS(p)                                                                                                       \
    {                                                                                                                  \
        &(p), 1                                                                                                        \
    }
/* In: from the first guest only. */
static const struct sv_net_rule in_udp_53 = {
    .id = ID(a), .in = true, .proto = SV_NET_UDP, .src = {&range_1, 1}, .ports = PORTS(port_53)};
static const struct sv_net_rule in_tcp_80 = {.id = ID(b), .in = true, .proto = SV_NET_TCP, .ports = PORTS(port_80)};
static const struct sv_net_rule in_icmp = {.id = ID(c), .in = true, .proto = SV_NET_ICMP};
static const struct sv_net_rule out_tcp_80 = {.id = ID(d), .proto = SV_NET_TCP, .ports = PORTS(port_80)};
static const struct sv_net_rule out_any = {.id = ID(e)};
static const struct sv_net_rule in_any_53 = {.id = ID(f), .in = true, .ports = PORTS(port_53)};
static const struct sv_net_rule in_67 = {.id = ID(8), .in = true, .proto = SV_NET_TCP, .ports = PORTS(port_67)};

/* --- the stage --- */

static void plug(struct station *s, const struct sv_net_filter *f, const struct sv_net_vpc *in)
{
    char tap[16], mac[SV_MAC_LEN], ip[SV_IP4_LEN], gateway[SV_IP4_LEN];
    struct sv_hv_nic nic = {0};
    net->ops->attach(net, &in->id, &f->nic, &nic);
    SV_COPY(tap, nic.tap);
    sv_mac_format(s->mac, mac);
    sv_ip4_format(s->ip, ip);
    sv_ip4_format(f->gateway, gateway);
    SV_AUTOFREE char *address = sv_asprintf("%s/24", ip);
    guest_plug(s->netns, tap, nic.bridge, mac);
    CHECK_INT(RUN("ip", "-n", s->netns, "addr", "add", address, "dev", "eth0"), 0);
    CHECK_INT(RUN("ip", "-n", s->netns, "route", "add", "default", "via", gateway), 0);
    station_open(s);
}

/* So that no packet waits for an answer to ARP. */
static void know(const struct station *a, const struct station *b)
{
    char mac[SV_MAC_LEN], ip[SV_IP4_LEN];
    sv_mac_format(b->mac, mac);
    sv_ip4_format(b->ip, ip);
    CHECK_INT(RUN("ip", "-n", a->netns, "neigh", "replace", ip, "lladdr", mac, "dev", "eth0"), 0);
}

static enum sv_err apply(const struct sv_net_filter *f)
{
    return net->ops->filter_apply(net, f, NULL, &err);
}

static void enter(void)
{
    OK(net->ops->vpc_apply(net, &vpc, NULL, 0, NULL, &err));
    OK(apply(&open_1));
    OK(apply(&open_2));
    plug(&g1, &open_1, &vpc);
    plug(&g2, &open_2, &vpc);
    know(&g1, &g2);
    know(&g2, &g1);
}

static void leave(void)
{
    station_close(&g1);
    station_close(&g2);
    guest_unplug("g1");
    guest_unplug("g2");
    OK(net->ops->filter_remove(net, &open_1.nic, NULL, &err));
    OK(net->ops->filter_remove(net, &open_2.nic, NULL, &err));
    OK(net->ops->group_remove(net, &group_id, NULL, &err));
    OK(net->ops->vpc_remove(net, &vpc.id, NULL, &err));
}

static void apply_rules(const struct sv_net_filter *base, const struct sv_net_rule *v, size_t n)
{
    struct sv_net_filter f = *base;
    f.rules = (struct sv_net_rules){v, n};
    OK(apply(&f));
}

static void apply_group(const struct sv_net_rule *v, size_t n)
{
    const struct sv_net_group g = {.id = group_id, .rules = {v, n}};
    OK(net->ops->group_apply(net, &g, NULL, &err));
}

/* A packet that opens a connection. */
static bool opens(const struct station *from, const struct station *to, enum frame_proto proto, uint16_t dport)
{
    static uint16_t sport = 20000;
    const struct frame f = frame_ip(from, to->mac, to->ip, proto, ++sport, dport);
    return frame_passes(from, to, &f);
}

static bool answers(const struct station *from, const struct station *to, enum frame_proto proto, uint16_t sport,
                    uint16_t dport)
{
    const struct frame f = frame_ip(from, to->mac, to->ip, proto, sport, dport);
    return frame_passes(from, to, &f);
}

/* --- speaking as itself --- */

struct forgery {
    const char *what;
    struct frame f;
    bool passes;
};

static struct frame with(struct frame f, size_t at, const void *bytes, size_t n)
{
    frame_set(&f, at, bytes, n);
    return f;
}

static void a_guest_speaks_as_itself_only(void)
{
    static const unsigned char bpdu[6] = {1, 0x80, 0xc2, 0, 0, 0};
    enter();
    struct station other_ip = g1, no_ip = g1, gateway = g1, other_mac = g1;
    other_ip.ip = 0x0A800007;
    no_ip.ip = 0;
    gateway.ip = 0x0A800001;
    other_mac.mac[5] = 9;
    const uint32_t all = UINT32_MAX;
    const struct forgery cases[] = {
        {"a packet of its own", frame_ip(&g1, g2.mac, g2.ip, F_UDP, 5, 6), true},
        {"another MAC", frame_ip(&other_mac, g2.mac, g2.ip, F_UDP, 5, 6), false},
        {"another IP", frame_ip(&other_ip, g2.mac, g2.ip, F_UDP, 5, 6), false},
        {"the gateway's IP", frame_ip(&gateway, g2.mac, g2.ip, F_UDP, 5, 6), false},
        {"no IP", frame_ip(&no_ip, g2.mac, g2.ip, F_UDP, 5, 6), false},
        {"no IP, to port 67 of one", frame_ip(&no_ip, g2.mac, g2.ip, F_UDP, 68, 67), false},
        {"a DHCP question", frame_ip(&no_ip, NULL, all, F_UDP, 68, 67), true},
        {"a DHCP answer", frame_ip(&g1, g2.mac, g2.ip, F_UDP, 67, 68), false},
        {"a DHCP answer to all", frame_ip(&g1, NULL, all, F_UDP, 67, 68), false},
        {"a DHCP answer as the gateway", frame_ip(&gateway, NULL, all, F_UDP, 67, 68), false},
        {"a DHCP answer from another port", frame_ip(&g1, NULL, all, F_UDP, 66, 68), false},
        {"an ARP question", frame_arp(&g1, F_ARP_REQUEST, g2.ip), true},
        {"an ARP answer", frame_arp(&g1, F_ARP_REPLY, g2.ip), true},
        {"an ARP probe", frame_arp(&no_ip, F_ARP_REQUEST, g2.ip), true},
        {"an ARP answer of nobody", frame_arp(&no_ip, F_ARP_REPLY, g2.ip), false},
        {"an ARP answer as another", frame_arp(&other_ip, F_ARP_REPLY, g2.ip), false},
        {"an ARP question as the gateway", frame_arp(&gateway, F_ARP_REQUEST, g2.ip), false},
        {"ARP with another MAC inside", with(frame_arp(&g1, F_ARP_REPLY, g2.ip), F_ARP_MAC, other_mac.mac, 6), false},
        {"ARP with another MAC outside", with(frame_arp(&g1, F_ARP_REPLY, g2.ip), F_ETH_SRC, other_mac.mac, 6), false},
        {"ARP with another format inside", with(frame_arp(&g1, F_ARP_REPLY, g2.ip), 14, "\0\6", 2), false},
        {"a reverse ARP", with(frame_arp(&g1, 3, g2.ip), 12, "\x80\x35", 2), false},
        {"IPv6", frame_other(&g1, ETH_P_IPV6), false},
        {"LLDP", frame_other(&g1, 0x88cc), false},
        {"PPPoE", frame_other(&g1, 0x8864), false},
        {"a spanning tree", with(frame_other(&g1, 38), 0, bpdu, 6), false},
        {"a tag before IP", frame_tagged(frame_ip(&g1, g2.mac, g2.ip, F_UDP, 5, 6), 7), false},
        {"a tag of none before IP", frame_tagged(frame_ip(&g1, g2.mac, g2.ip, F_UDP, 5, 6), 0), false},
        {"a tag before ARP", frame_tagged(frame_arp(&g1, F_ARP_REPLY, g2.ip), 7), false},
        {"a tag before a forged ARP", frame_tagged(frame_arp(&gateway, F_ARP_REPLY, g2.ip), 0), false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (frame_passes(&g1, &g2, &cases[i].f) != cases[i].passes)
            check_failed(__FILE__, __LINE__, "%s: %s", cases[i].what, cases[i].passes ? "stopped" : "passed");
    leave();
}

/* Nothing comes, and nothing can be waited for: what is sent is there when send() returns, or never. */
static bool silent(const struct station *from, const struct station *to)
{
    const struct frame f = frame_ip(from, to->mac, to->ip, F_UDP, 7, 7);
    const struct frame a = frame_arp(from, F_ARP_REQUEST, to->ip);
    unsigned char b[2048];
    frames_drain(to);
    frame_send(from, &f);
    frame_send(from, &a);
    struct pollfd p = {.fd = to->wire, .events = POLLIN};
    while (poll(&p, 1, 200) == 1) {
        ssize_t n = recv(to->wire, b, sizeof(b), 0);
        if (n > 12 && memcmp(b + F_ETH_SRC, from->mac, 6) == 0)
            return false;
    }
    return true;
}

static void without_a_filter_a_tap_is_mute(void)
{
    enter();
    CHECK(!silent(&g1, &g2));
    OK(net->ops->filter_remove(net, &open_1.nic, NULL, &err));
    CHECK(silent(&g1, &g2));
    OK(net->ops->filter_remove(net, &open_1.nic, NULL, &err)); /* absent: success */
    OK(apply(&open_1));
    CHECK(!silent(&g1, &g2));
    leave();
}

/* Taps that were there before the server. */
static void open_closes(void)
{
    const struct sv_net_options opt = {.data_dir = work};
    enter();
    CHECK_INT(RUN("nft", "flush", "ruleset"), 0);
    CHECK(!silent(&g1, &g2));
    sv_net_close(net);
    OK(sv_net_open("linux", &opt, &net, &err));
    CHECK(silent(&g1, &g2));
    OK(apply(&open_1));
    OK(apply(&open_2));
    CHECK(!silent(&g1, &g2));
    sv_net_close(net); /* and what is in force stays so */
    OK(sv_net_open("linux", &opt, &net, &err));
    CHECK(!silent(&g1, &g2));
    leave();
}

static void without_br_netfilter_it_says_so(void)
{
    static const char at[] = "/proc/sys/net/bridge";
    const struct sv_net_options opt = {.data_dir = work};
    struct sv_net *other = NULL;
    CHECK_INT(mount("tmpfs", at, "tmpfs", 0, NULL), 0);
    CHECK_INT(sv_net_open("linux", &opt, &other, &err), SV_E_CONFIG);
    CHECK(strstr(err.arg[0], "br_netfilter"));
    CHECK_INT(umount(at), 0);
}

static void the_machine_is_out_of_reach(void)
{
    enter();
    CHECK_INT(RUN("ip", "addr", "add", "10.128.0.99/24", "dev", BRIDGE), 0);
    CHECK(!ping("g1", "10.128.0.99"));
    CHECK(ping("g1", "10.128.0.1"));
    leave();
}

/* --- rules --- */

static void a_direction_without_rules_is_open(void)
{
    enter();
    CHECK(opens(&g1, &g2, F_UDP, 53));
    CHECK(opens(&g1, &g2, F_TCP, 80));
    CHECK(opens(&g1, &g2, F_ICMP, 0));
    apply_rules(&open_2, &in_udp_53, 1);
    CHECK(opens(&g1, &g2, F_UDP, 53));
    CHECK(!opens(&g1, &g2, F_UDP, 54));
    CHECK(!opens(&g1, &g2, F_TCP, 53));
    CHECK(!opens(&g1, &g2, F_ICMP, 0));
    CHECK(opens(&g2, &g1, F_TCP, 99)); /* the other direction */
    apply_rules(&open_1, &out_tcp_80, 1);
    CHECK(!opens(&g1, &g2, F_UDP, 53)); /* both are asked */
    apply_rules(&open_2, NULL, 0);
    CHECK(opens(&g1, &g2, F_TCP, 80));
    CHECK(!opens(&g1, &g2, F_TCP, 81));
    CHECK(opens(&g2, &g1, F_UDP, 99));
    leave();
}

static void kinds_of_rules(void)
{
    static const struct sv_net_range ranges[] = {{0x0A800002, 0x0A800004}, {0x0A800006, 0x0A8000FE}};
    static const struct sv_net_range around_1[] = {{0x0A800001, 0x0A800001}, {0x0A800004, 0x0A800005}};
    static const struct sv_net_range everything = {0, UINT32_MAX};
    static const struct sv_net_port_range ports[] = {{22, 22}, {8000, 8080}};
    enter();
    struct sv_net_rule r = {.id = ID(a), .in = true, .proto = SV_NET_TCP, .ports = {ports, 2}};
    apply_rules(&open_2, &r, 1);
    CHECK(opens(&g1, &g2, F_TCP, 22) && opens(&g1, &g2, F_TCP, 8000) && opens(&g1, &g2, F_TCP, 8080));
    CHECK(!opens(&g1, &g2, F_TCP, 23) && !opens(&g1, &g2, F_TCP, 7999) && !opens(&g1, &g2, F_TCP, 8081));
    r.src = (struct sv_net_ranges){ranges, 2};
    apply_rules(&open_2, &r, 1);
    CHECK(!opens(&g1, &g2, F_TCP, 22));
    r.src = (struct sv_net_ranges){&everything, 1};
    r.dst = (struct sv_net_ranges){ranges, 2};
    apply_rules(&open_2, &r, 1);
    CHECK(opens(&g1, &g2, F_TCP, 22));
    r.src = r.dst; /* three lists: each has to fit */
    apply_rules(&open_2, &r, 1);
    CHECK(!opens(&g1, &g2, F_TCP, 22));
    r.src = (struct sv_net_ranges){around_1, 2};
    apply_rules(&open_2, &r, 1);
    CHECK(opens(&g1, &g2, F_TCP, 22) && opens(&g1, &g2, F_TCP, 8001) && !opens(&g1, &g2, F_TCP, 23));
    CHECK(!opens(&g1, &g2, F_UDP, 22));
    r.dst = (struct sv_net_ranges){around_1, 2};
    apply_rules(&open_2, &r, 1);
    CHECK(!opens(&g1, &g2, F_TCP, 22));
    /* What one rule found of its lists is nothing to the next. */
    const struct sv_net_rule next[] = {r, {.id = ID(b), .in = true, .src = {ranges, 2}, .dst = {ranges, 2}}};
    apply_rules(&open_2, next, 2);
    CHECK(!opens(&g1, &g2, F_TCP, 22));
    apply_rules(&open_2, &in_any_53, 1);
    CHECK(opens(&g1, &g2, F_TCP, 53) && opens(&g1, &g2, F_UDP, 53));
    CHECK(!opens(&g1, &g2, F_UDP, 54) && !opens(&g1, &g2, F_ICMP, 0));
    apply_rules(&open_2, &in_icmp, 1);
    CHECK(opens(&g1, &g2, F_ICMP, 0) && ping("g1", "10.128.0.6"));
    CHECK(!opens(&g1, &g2, F_UDP, 53));
    apply_rules(&open_1, &out_any, 1);
    CHECK(ping("g1", "10.128.0.6"));
    leave();
}

static void the_switch_counts(void)
{
    enter();
    struct sv_net_filter f = open_2;
    f.rules = (struct sv_net_rules){&in_tcp_80, 1};
    f.groups = &group_id;
    f.group_count = 1;
    apply_group(&in_icmp, 1);
    OK(apply(&f));
    CHECK(!opens(&g1, &g2, F_UDP, 53));
    f.on = false;
    OK(apply(&f));
    CHECK(opens(&g1, &g2, F_UDP, 53));
    struct station other = g2;
    other.ip++;
    const struct frame forged = frame_ip(&other, g1.mac, g1.ip, F_UDP, 5, 6);
    CHECK(!frame_passes(&g2, &g1, &forged)); /* not for anti-spoofing */
    leave();
}

/* A connection flows on while other rules change, and is cut both ways when its own goes. */
static void udp_is_cut_with_its_rule(void)
{
    const struct sv_net_rule both[] = {in_udp_53, in_tcp_80};
    enter();
    apply_rules(&open_1, &out_any, 1);
    apply_rules(&open_2, (const struct sv_net_rule[]){in_udp_53, out_tcp_80}, 2); /* it may open nothing but tcp 80 */
    CHECK(!answers(&g2, &g1, F_UDP, 53, 7001));                                   /* no such connection */
    CHECK(answers(&g1, &g2, F_UDP, 7001, 53));
    CHECK(answers(&g2, &g1, F_UDP, 53, 7001));
    CHECK(!answers(&g2, &g1, F_UDP, 54, 7001));
    apply_rules(&open_2, (const struct sv_net_rule[]){in_udp_53, in_tcp_80, out_tcp_80}, 3);
    CHECK(answers(&g2, &g1, F_UDP, 53, 7001)); /* a stream of answers alone, too */
    CHECK(answers(&g1, &g2, F_UDP, 7001, 53));
    apply_rules(&open_2, (const struct sv_net_rule[]){in_tcp_80, out_tcp_80}, 2);
    CHECK(!answers(&g2, &g1, F_UDP, 53, 7001));
    CHECK(!answers(&g1, &g2, F_UDP, 7001, 53));
    CHECK(!answers(&g2, &g1, F_UDP, 53, 7001));
    apply_rules(&open_2, both, 2);
    CHECK(answers(&g1, &g2, F_UDP, 7001, 53));
    CHECK(answers(&g2, &g1, F_UDP, 53, 7001));
    /* The opener's own rule. */
    apply_rules(&open_1, &out_tcp_80, 1);
    CHECK(!answers(&g1, &g2, F_UDP, 7001, 53));
    CHECK(!answers(&g2, &g1, F_UDP, 53, 7001));
    leave();
}

static void wait_for(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    CHECK_INT(poll(&p, 1, 5000), 1);
}

/* One of each: connected, and accepted. */
static void tcp_open(int fds[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(g2.ip)};
    int one = 1, listener = socket_in("g2", AF_INET, SOCK_STREAM, 0);
    CHECK_INT(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
    CHECK_INT(bind(listener, (const struct sockaddr *)(const void *)&a, sizeof(a)), 0);
    CHECK_INT(listen(listener, 1), 0);
    fds[0] = socket_in("g1", AF_INET, SOCK_STREAM, 0);
    CHECK_INT(connect(fds[0], (const struct sockaddr *)(const void *)&a, sizeof(a)), 0);
    wait_for(listener, POLLIN);
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(fds[1] >= 0);
    close(listener);
}

static void tcp_flows(int from, int to)
{
    char b[4];
    CHECK_INT(send(from, "ping", 4, 0), 4);
    wait_for(to, POLLIN);
    CHECK_INT(recv(to, b, 4, MSG_WAITALL), 4);
}

static bool tcp_segment_came(int from, const struct station *sender, const struct station *to)
{
    frames_drain(to);
    CHECK_INT(send(from, "ping", 4, 0), 4);
    return packet_came(to, sender, F_TCP, sender->ip, 0, 0);
}

static void tcp_is_cut_with_its_rule(void)
{
    int fds[2];
    enter();
    apply_rules(&open_1, (const struct sv_net_rule[]){in_67, out_tcp_80}, 2);
    apply_rules(&open_2, (const struct sv_net_rule[]){in_tcp_80, out_tcp_80}, 2);
    tcp_open(fds);
    tcp_flows(fds[0], fds[1]);
    tcp_flows(fds[1], fds[0]);
    apply_rules(&open_2, (const struct sv_net_rule[]){in_udp_53, in_tcp_80}, 2);
    tcp_flows(fds[1], fds[0]);
    tcp_flows(fds[0], fds[1]);
    apply_rules(&open_2, (const struct sv_net_rule[]){in_udp_53}, 1);
    CHECK(!tcp_segment_came(fds[1], &g2, &g1));
    CHECK(!tcp_segment_came(fds[0], &g1, &g2));
    CHECK(!tcp_segment_came(fds[1], &g2, &g1));
    close(fds[0]);
    close(fds[1]);
    leave();
}

/* --- groups --- */

static void a_group_is_changed_once_for_all(void)
{
    enter();
    struct sv_net_filter one = open_1, two = open_2;
    one.groups = two.groups = &group_id;
    one.group_count = two.group_count = 1;
    OK(apply(&one)); /* never applied: empty */
    OK(apply(&two));
    CHECK(opens(&g1, &g2, F_UDP, 53));
    apply_group((const struct sv_net_rule[]){in_tcp_80, out_any}, 2);
    CHECK(!opens(&g1, &g2, F_UDP, 53));
    CHECK(!opens(&g2, &g1, F_UDP, 53));
    CHECK(opens(&g1, &g2, F_TCP, 80) && opens(&g2, &g1, F_TCP, 80));
    apply_rules(&two, &in_udp_53, 1); /* own rules beside the group's */
    CHECK(opens(&g1, &g2, F_UDP, 53) && opens(&g1, &g2, F_TCP, 80) && !opens(&g1, &g2, F_ICMP, 0));
    CHECK(answers(&g1, &g2, F_UDP, 7001, 53));
    apply_group(&in_icmp, 1);
    CHECK(opens(&g1, &g2, F_ICMP, 0) && !opens(&g1, &g2, F_TCP, 80) && !opens(&g2, &g1, F_TCP, 80));
    CHECK(answers(&g2, &g1, F_UDP, 53, 7001)); /* untouched by it */
    apply_group(NULL, 0);
    CHECK(opens(&g2, &g1, F_TCP, 80) && !opens(&g1, &g2, F_TCP, 80));            /* the second has one of its own */
    CHECK_INT(net->ops->group_remove(net, &group_id, NULL, &err), SV_E_NETWORK); /* still named */
    OK(apply(&open_1));
    OK(apply(&open_2));
    OK(net->ops->group_remove(net, &group_id, NULL, &err));
    leave();
}

/* --- reading back --- */

static void add_id(void *arg, const struct sv_id *id)
{
    sv_ids_add(arg, id);
}

/* The last characters of the ids of what is in force, sorted. */
static const char *looked(const struct sv_id *nic)
{
    static char text[32];
    struct sv_ids ids = {0};
    OK(net->ops->filter_look(net, nic, add_id, &ids, &err));
    sv_ids_sort(&ids);
    CHECK(ids.n < sizeof(text));
    for (size_t i = 0; i < ids.n; i++)
        text[i] = ids.v[i].s[SV_ID_LEN - 1];
    text[ids.n] = '\0';
    sv_ids_free(&ids);
    return text;
}

static size_t listed(bool groups)
{
    struct sv_ids ids = {0};
    OK((groups ? net->ops->group_list : net->ops->filter_list)(net, add_id, &ids, &err));
    const size_t n = ids.n;
    sv_ids_free(&ids);
    return n;
}

static void looking_is_reading_the_kernel(void)
{
    struct sv_net_filter f = open_1;
    const struct sv_net_rule own[] = {in_tcp_80, out_tcp_80};
    f.groups = &group_id;
    f.group_count = 1;
    f.rules = (struct sv_net_rules){own, 2};
    CHECK_INT(listed(false), 0);
    CHECK_INT(listed(true), 0);
    CHECK_STR(looked(&open_1.nic), "");
    OK(apply(&f));
    OK(apply(&open_2));
    CHECK_STR(looked(&open_1.nic), "bd");
    apply_group((const struct sv_net_rule[]){in_udp_53, out_any}, 2);
    CHECK_STR(looked(&open_1.nic), "abde");
    CHECK_STR(looked(&open_2.nic), "");
    CHECK_INT(listed(false), 2);
    CHECK_INT(listed(true), 1);
    f.on = false;
    OK(apply(&f));
    CHECK_STR(looked(&open_1.nic), "");
    CHECK_INT(RUN("nft", "flush", "ruleset"), 0);
    CHECK_INT(listed(false), 0);
    CHECK_INT(listed(true), 0);
    CHECK_STR(looked(&open_1.nic), "");
    OK(net->ops->filter_remove(net, &open_1.nic, NULL, &err));
    OK(net->ops->filter_remove(net, &open_2.nic, NULL, &err));
    OK(net->ops->group_remove(net, &group_id, NULL, &err));
}

/* --- others at the same machine --- */

static void flushed_by_somebody_and_mended(void)
{
    enter();
    apply_rules(&open_2, &in_tcp_80, 1);
    CHECK(!opens(&g1, &g2, F_UDP, 53));
    CHECK_INT(RUN("nft", "flush", "ruleset"), 0);
    CHECK(opens(&g1, &g2, F_UDP, 53));
    OK(apply(&open_1));
    OK(apply(&open_2));
    apply_rules(&open_2, &in_tcp_80, 1);
    CHECK(opens(&g1, &g2, F_TCP, 80));
    CHECK(!opens(&g1, &g2, F_UDP, 53));
    leave();
}

static void other_tables_are_left_alone(void)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf before = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf after = {0};
    const char *const list[] = {"nft", "list", "table", "ip", "libvirt_network", NULL};
    CHECK_INT(RUN("nft", "add table ip libvirt_network { chain forward { type filter hook forward priority filter; "
                         "policy accept; ip saddr 192.0.2.1 counter drop; }; }"),
              0);
    CHECK_INT(run_argv(list, &before), 0);
    enter();
    leave();
    CHECK_INT(run_argv(list, &after), 0);
    CHECK_STR(after.p, before.p);
    CHECK_INT(RUN("nft", "delete table ip libvirt_network"), 0);
}

/* Fails closed: without br_netfilter there are no answers, and the VPC's next apply mends it. */
static void tracking_switched_off_closes(void)
{
    enter();
    apply_rules(&open_1, (const struct sv_net_rule[]){in_67, out_any}, 2);
    CHECK(ping("g1", "10.128.0.6"));
    CHECK_INT(RUN("ip", "link", "set", BRIDGE, "type", "bridge", "nf_call_iptables", "0"), 0);
    CHECK(!ping("g1", "10.128.0.6"));
    OK(net->ops->vpc_apply(net, &vpc, NULL, 0, NULL, &err));
    CHECK(ping("g1", "10.128.0.6"));
    leave();
}

/* --- DHCP --- */

static void dhcp_works_behind_closed_rules(void)
{
    const struct sv_net_nic nic = {.id = open_1.nic, .mac = {0x52, 0x54, 0, 0, 0, 1}, .ip = g1.ip, .hostname = "vm-1"};
    enter();
    OK(net->ops->vpc_apply(net, &vpc, &nic, 1, NULL, &err));
    apply_rules(&open_1, (const struct sv_net_rule[]){in_67, out_tcp_80}, 2);
    CHECK_STR(guest_dhcp("g1"), "10.128.0.5 24 10.128.0.1 vm-1");
    CHECK(!ping("g1", "10.128.0.1"));
    leave();
}

/* --- two bridges --- */

static void forward(const char *netns, const char *dev, const char *address, const char *to, const char *via)
{
    CHECK_INT(RUN("ip", "-n", netns, "addr", "add", address, "dev", dev), 0);
    CHECK_INT(RUN("ip", "-n", netns, "link", "set", dev, "up"), 0);
    CHECK_INT(RUN("ip", "-n", netns, "route", "add", to, "via", via), 0);
    CHECK_INT(RUN("ip", "netns", "exec", netns, "busybox", "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"), 0);
}

static void both_bridges_judge(void)
{
    static struct station g3 = {"g3", {0x52, 0x54, 0, 0, 0, 3}, 0x0A800105, -1};
    struct sv_net_filter open_3 = {.nic = ID(3), .vpc = vpc_b.id, .ip = g3.ip, .gateway = 0x0A800101, .on = true};
    memcpy(open_3.mac, g3.mac, 6);
    enter();
    OK(net->ops->vpc_apply(net, &vpc_b, NULL, 0, NULL, &err));
    OK(apply(&open_3));
    plug(&g3, &open_3, &vpc_b);
    CHECK_INT(RUN("ip", "link", "add", "x1", "netns", NETNS, "type", "veth", "peer", "name", "x2", "netns",
                  "sv-bbbbbbbbbbbb"),
              0);
    CHECK_INT(RUN("ip", "-n", NETNS, "addr", "add", "192.0.2.1/30", "dev", "x1"), 0);
    CHECK_INT(RUN("ip", "-n", NETNS, "link", "set", "x1", "up"), 0);
    forward("sv-bbbbbbbbbbbb", "x2", "192.0.2.2/30", "10.128.0.0/24", "192.0.2.1");
    CHECK_INT(RUN("ip", "-n", NETNS, "route", "add", "10.128.1.0/24", "via", "192.0.2.2"), 0);
    CHECK_INT(RUN("ip", "netns", "exec", NETNS, "busybox", "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"), 0);
    CHECK(ping("g1", "10.128.1.5"));
    CHECK(ping("g3", "10.128.0.5"));
    /* The receiver's rules, although the sender's bridge has let it pass. */
    apply_rules(&open_3, (const struct sv_net_rule[]){in_tcp_80, out_tcp_80}, 2);
    CHECK(!ping("g1", "10.128.1.5"));
    CHECK(!ping("g3", "10.128.0.5"));
    apply_rules(&open_3, (const struct sv_net_rule[]){in_icmp, out_tcp_80}, 2);
    CHECK(ping("g1", "10.128.1.5"));
    CHECK(!ping("g3", "10.128.0.5"));
    /* And the sender's. */
    apply_rules(&open_1, &out_tcp_80, 1);
    CHECK(!ping("g1", "10.128.1.5"));
    station_close(&g3);
    guest_unplug("g3");
    OK(net->ops->filter_remove(net, &open_3.nic, NULL, &err));
    OK(net->ops->vpc_remove(net, &vpc_b.id, NULL, &err));
    leave();
}

/* The bridges' own switch is enough; the namespace's is for all bridges, and most machines leave it off. */
static void switch_off(void)
{
    CHECK_INT(RUN("busybox", "sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=0"), 0);
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {T(a_guest_speaks_as_itself_only),
                                              T(without_a_filter_a_tap_is_mute),
                                              T(open_closes),
                                              T(without_br_netfilter_it_says_so),
                                              T(the_machine_is_out_of_reach),
                                              T(a_direction_without_rules_is_open),
                                              T(kinds_of_rules),
                                              T(the_switch_counts),
                                              T(udp_is_cut_with_its_rule),
                                              T(tcp_is_cut_with_its_rule),
                                              T(a_group_is_changed_once_for_all),
                                              T(looking_is_reading_the_kernel),
                                              T(flushed_by_somebody_and_mended),
                                              T(other_tables_are_left_alone),
                                              T(tracking_switched_off_closes),
                                              T(dhcp_works_behind_closed_rules),
                                              T(both_bridges_judge)};
    return net_sandbox(tests, sizeof(tests) / sizeof(tests[0]), switch_off, argc, argv);
}
