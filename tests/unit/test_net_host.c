/* Networks on a physical interface, with real frames: one end of a veth pair is the interface, the other the wire.
 * The far end of the wire lives in a namespace, where the same engine can make networks, too. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "net_sandbox.h"
#include "starvirt/clock.h"
#include "starvirt/hv.h"

#define WIRE      "outside" /* namespace of the far end */
#define ETHERTYPE 0x88b5    /* for experiments: nobody else sends it */
enum { FRAME = 64, WAIT_MS = 2000, SILENCE_MS = 150 };

static const struct sv_net_host flat = {
    .id = {"5b0503ba-1af4-11ea-baa2-000c2902e179"}, .type = SV_NET_FLAT, .device = "eth9"};
static const struct sv_net_host tag_10 = {
    .id = {"5b0503bb-1af4-11ea-baa2-000c2902e179"}, .type = SV_NET_VLAN, .device = "eth9", .vlan = 10};
static const struct sv_net_host tag_20 = {
    .id = {"5b0503bc-1af4-11ea-baa2-000c2902e179"}, .type = SV_NET_VLAN, .device = "eth9", .vlan = 4094};
static const struct sv_net_host far_10 = {
    .id = {"5b0503bd-1af4-11ea-baa2-000c2902e179"}, .type = SV_NET_VLAN, .device = "wire", .vlan = 10, .netns = WIRE};

/* --- helpers --- */

static void wire_up(void)
{
    CHECK_INT(RUN("ip", "netns", "add", WIRE), 0);
    CHECK_INT(RUN("ip", "link", "add", "eth9", "type", "veth", "peer", "name", "wire", "netns", WIRE), 0);
    CHECK_INT(RUN("ip", "-n", WIRE, "link", "set", "wire", "up"), 0);
}

static void wire_down(void)
{
    CHECK_INT(RUN("ip", "link", "del", "eth9"), 0);
    CHECK_INT(RUN("ip", "netns", "del", WIRE), 0);
}

static enum sv_err apply(const struct sv_net_host *want)
{
    const struct sv_deadline limit = sv_deadline_within(NULL, 20000);
    return net->ops->host_apply(net, want, &limit, &err);
}

static void drop(const struct sv_net_host *one)
{
    OK(net->ops->host_remove(net, &one->id, NULL, &err));
}

static void count_row(void *arg, const struct sv_id *id)
{
    (void)id;
    ++*(int *)arg;
}

static int listed(void)
{
    int n = 0;
    OK(net->ops->host_list(net, count_row, &n, &err));
    return n;
}

static const char *bridge_of(const struct sv_net_host *n)
{
    static char name[4][SV_NET_DEVICE_LEN + 1];
    static unsigned next;
    char *buf = name[next++ % 4];
    sv_net_host_name(&n->id, buf);
    return buf;
}

static void plug(const char *netns, const struct sv_net_host *n)
{
    char tap[16];
    snprintf(tap, sizeof(tap), "tap-%s", netns);
    guest_plug(netns, tap, bridge_of(n), "52:54:00:00:00:09");
}

static bool shows(const char *what)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    CHECK_INT(run_argv((const char *const[]){"ip", "-d", "link", NULL}, &out), 0);
    return out.p && strstr(out.p, what) != NULL;
}

struct opening {
    const char *netns, *device;
    int fd;
};

static void *open_there(void *arg)
{
    struct opening *o = arg;
    char path[128];
    snprintf(path, sizeof(path), "/run/netns/%s", o->netns);
    int ns = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(ns >= 0);
    CHECK_INT(setns(ns, CLONE_NEWNET), 0);
    close(ns);
    o->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    struct sockaddr_ll at = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(o->device)};
    CHECK(o->fd >= 0);
    CHECK_INT(bind(o->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    const int on = 1;
    CHECK_INT(setsockopt(o->fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)), 0);
    return NULL;
}

/* A socket for whole frames on a device of a namespace. Of all types: only those still show their tag. */
static int listen_on(const char *netns, const char *device)
{
    struct opening o = {.netns = netns, .device = device, .fd = -1};
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, open_there, &o), 0);
    pthread_join(thread, NULL);
    return o.fd;
}

/* tag < 0: without one. To everybody. */
static void send_frame(int fd, int tag, unsigned char mark)
{
    unsigned char f[FRAME] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1};
    size_t at = 12;
    if (tag >= 0) {
        f[at++] = 0x81;
        f[at++] = 0x00;
        f[at++] = (unsigned char)(tag >> 8);
        f[at++] = (unsigned char)tag;
    }
    f[at++] = ETHERTYPE >> 8;
    f[at++] = ETHERTYPE & 0xff;
    f[at] = mark;
    CHECK_INT(send(fd, f, sizeof(f), 0), (int)sizeof(f));
}

static int tag_in(struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        struct tpacket_auxdata aux;
        if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
            continue;
        memcpy(&aux, CMSG_DATA(c), sizeof(aux));
        if (aux.tp_status & TP_STATUS_VLAN_VALID)
            return aux.tp_vlan_tci & 0xfff;
    }
    return -1;
}

/* The mark of the next frame that came from elsewhere, 0 when none comes; its tag, -1 = none. */
static int next_frame(int fd, int wait_ms, int *ret_tag)
{
    const int64_t until = sv_mono_ms() + wait_ms;
    for (int64_t left = wait_ms; left > 0; left = until - sv_mono_ms()) {
        unsigned char f[2048];
        _Alignas(struct cmsghdr) char control[256];
        struct sockaddr_ll from;
        struct iovec v = {.iov_base = f, .iov_len = sizeof(f)};
        struct msghdr m = {.msg_name = &from,
                           .msg_namelen = sizeof(from),
                           .msg_iov = &v,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof(control)};
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, (int)left) <= 0 || recvmsg(fd, &m, MSG_DONTWAIT) < 15)
            continue;
        *ret_tag = tag_in(&m);
        if (from.sll_pkttype != PACKET_OUTGOING && f[12] == ETHERTYPE >> 8 && f[13] == (ETHERTYPE & 0xff))
            return f[14];
    }
    return 0;
}

static bool hears(int fd, unsigned char mark, int tag)
{
    int got = -2;
    return next_frame(fd, WAIT_MS, &got) == mark && got == tag;
}

/* Sent until it is heard: a device that came up takes its first frames some time later. */
static bool gets_through(int from, int tag, int to, unsigned char mark)
{
    int got;
    for (const int64_t until = sv_mono_ms() + WAIT_MS; sv_mono_ms() < until;) {
        send_frame(from, tag, mark);
        if (next_frame(to, SILENCE_MS, &got) == mark)
            return true;
    }
    return false;
}

static bool silent(int fd)
{
    int tag;
    return next_frame(fd, SILENCE_MS, &tag) == 0;
}

/* --- tests --- */

static void a_tag_reaches_its_bridge_and_no_other(void)
{
    wire_up();
    OK(apply(&tag_10));
    OK(apply(&tag_20));
    plug("g10", &tag_10);
    plug("g20", &tag_20);
    const int out = listen_on(WIRE, "wire"), g10 = listen_on("g10", "eth0"), g20 = listen_on("g20", "eth0");

    send_frame(out, 10, 1);
    CHECK(hears(g10, 1, -1));
    send_frame(out, 4094, 2);
    CHECK(hears(g20, 2, -1));
    send_frame(out, 11, 3);
    send_frame(out, -1, 4);
    send_frame(out, 10, 5);
    CHECK(hears(g10, 5, -1)); /* neither 3 nor 4 before it */
    CHECK(silent(g20));

    send_frame(g10, -1, 6);
    CHECK(hears(out, 6, 10));
    send_frame(g20, -1, 7);
    CHECK(hears(out, 7, 4094));
    CHECK(silent(g10)); /* nothing of 4094, nor its own back */
    /* A guest's own tag stays within its network's. */
    send_frame(g10, 4094, 8);
    CHECK(silent(g20));
    close(out);
    close(g10);
    close(g20);
    guest_unplug("g10");
    guest_unplug("g20");
    drop(&tag_10);
    drop(&tag_20);
    wire_down();
}

static void two_machines_meet_in_a_vlan(void)
{
    wire_up();
    OK(apply(&tag_10));
    OK(apply(&tag_20));
    OK(apply(&far_10));
    plug("g10", &tag_10);
    plug("g20", &tag_20);
    CHECK_INT(RUN("ip", "-n", WIRE, "addr", "add", "10.9.0.2/24", "dev", bridge_of(&far_10)), 0);
    CHECK_INT(RUN("ip", "netns", "exec", WIRE, "sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=0"), 0);
    SV_AUTOFREE char *key = sv_asprintf("net.ipv4.conf.%s.arp_ignore=0", bridge_of(&far_10));
    CHECK_INT(RUN("ip", "netns", "exec", WIRE, "sysctl", "-qw", key), 0);
    CHECK_INT(RUN("ip", "-n", "g10", "addr", "add", "10.9.0.1/24", "dev", "eth0"), 0);
    CHECK_INT(RUN("ip", "-n", "g20", "addr", "add", "10.9.0.1/24", "dev", "eth0"), 0);
    CHECK(ping("g10", "10.9.0.2"));
    CHECK(!ping("g20", "10.9.0.2"));
    guest_unplug("g10");
    guest_unplug("g20");
    drop(&tag_10);
    drop(&tag_20);
    drop(&far_10);
    CHECK_INT(RUN("ip", "-n", WIRE, "link", "show", "dev", bridge_of(&far_10)), 1);
    wire_down();
}

static void a_flat_network_is_the_wire_itself(void)
{
    wire_up();
    OK(apply(&flat));
    plug("g1", &flat);
    const int out = listen_on(WIRE, "wire"), g1 = listen_on("g1", "eth0");
    send_frame(out, -1, 1);
    CHECK(hears(g1, 1, -1));
    send_frame(out, 10, 2);
    CHECK(hears(g1, 2, 10));
    send_frame(g1, -1, 3);
    CHECK(hears(out, 3, -1));
    close(out);
    close(g1);
    guest_unplug("g1");
    drop(&flat);
    wire_down();
}

static void removing_gives_the_device_back(void)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf qdisc = {0};
    wire_up();
    OK(apply(&tag_10));
    OK(apply(&tag_20));
    CHECK_INT(listed(), 2);
    CHECK(shows("svp") && shows("svu") && shows("svh") && shows("PROMISC"));
    drop(&tag_10);
    CHECK(shows("PROMISC")); /* the other still needs it */
    drop(&tag_20);
    drop(&tag_20); /* absent: success */
    CHECK(!shows("svp") && !shows("svu") && !shows("svh") && !shows("PROMISC") &&
          !shows("eth9@if2: <BROADCAST,MULTICAST,UP"));
    CHECK_INT(run_argv((const char *const[]){"tc", "qdisc", "show", "dev", "eth9", NULL}, &qdisc), 0);
    CHECK(!qdisc.p || !strstr(qdisc.p, "clsact"));
    OK(apply(&flat));
    drop(&flat);
    CHECK_INT(listed(), 0);
    CHECK(!shows("svh"));
    wire_down();
}

static void what_somebody_else_set_stays(void)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf qdisc = {0};
    wire_up();
    CHECK_INT(RUN("ip", "link", "set", "eth9", "up", "promisc", "on"), 0);
    CHECK_INT(RUN("tc", "qdisc", "add", "dev", "eth9", "clsact"), 0);
    OK(apply(&tag_10));
    drop(&tag_10);
    CHECK(shows("PROMISC,UP"));
    CHECK_INT(run_argv((const char *const[]){"tc", "qdisc", "show", "dev", "eth9", NULL}, &qdisc), 0);
    CHECK(strstr(qdisc.p, "clsact"));
    wire_down();
}

static void applying_twice_changes_nothing(void)
{
    wire_up();
    OK(apply(&tag_10));
    const unsigned bridge = if_nametoindex(bridge_of(&tag_10));
    SV_AUTOFREE char *leg = sv_asprintf("svu%s", bridge_of(&tag_10) + 3);
    const unsigned before = if_nametoindex(leg);
    CHECK(bridge && before);
    OK(apply(&tag_10));
    CHECK_INT(if_nametoindex(bridge_of(&tag_10)), bridge);
    CHECK_INT(if_nametoindex(leg), before);
    CHECK_INT(listed(), 1);
    drop(&tag_10);
    wire_down();
}

static void drift_is_mended(void)
{
    wire_up();
    OK(apply(&tag_10));
    SV_AUTOFREE char *port = sv_asprintf("svp%s", bridge_of(&tag_10) + 3);
    plug("g10", &tag_10);
    const int out = listen_on(WIRE, "wire"), g10 = listen_on("g10", "eth0");
    const char *const harm[][7] = {{"ip", "link", "set", port, "nomaster", NULL},
                                   {"ip", "link", "del", port, NULL},
                                   {"ip", "link", "set", "eth9", "down", NULL},
                                   {"tc", "qdisc", "del", "dev", "eth9", "clsact", NULL}};
    for (unsigned i = 0; i < sizeof(harm) / sizeof(harm[0]); i++) {
        CHECK_INT(run_argv(harm[i], NULL), 0);
        if (i != 2) { /* a wire without carrier takes nothing */
            send_frame(out, 10, 100);
            CHECK(silent(g10));
        }
        OK(apply(&tag_10));
        CHECK(gets_through(out, 10, g10, (unsigned char)(1 + i)));
    }
    close(out);
    close(g10);
    guest_unplug("g10");
    drop(&tag_10);
    wire_down();
}

static void another_place_of_the_same_network_is_taken(void)
{
    struct sv_net_host moved = tag_10;
    moved.vlan = 30;
    wire_up();
    OK(apply(&tag_10));
    OK(apply(&moved));
    plug("g10", &moved);
    const int out = listen_on(WIRE, "wire"), g10 = listen_on("g10", "eth0");
    send_frame(out, 10, 1);
    send_frame(out, 30, 2);
    CHECK(hears(g10, 2, -1));
    close(out);
    close(g10);
    guest_unplug("g10");
    drop(&moved);
    wire_down();
}

static void unusable_devices_are_refused(void)
{
    struct sv_net_host n = tag_10;
    wire_up();
    SV_COPY(n.device, "nosuch");
    CHECK_INT(apply(&n), SV_E_NET_DEVICE_NOT_FOUND);
    SV_COPY(n.device, "lo");
    CHECK_INT(apply(&n), SV_E_NET_DEVICE_UNUSABLE);
    SV_COPY(n.device, "eth9");
    SV_COPY(n.netns, "nosuch");
    CHECK_INT(apply(&n), SV_E_NETNS_NOT_FOUND);

    CHECK_INT(RUN("ip", "addr", "add", "192.0.2.9/24", "dev", "eth9"), 0);
    CHECK_INT(apply(&flat), SV_E_NET_DEVICE_UNUSABLE);
    CHECK(strstr(err.arg[1], "own address"));
    OK(apply(&tag_10)); /* takes nothing from the address */
    CHECK_INT(RUN("ip", "-n", WIRE, "addr", "add", "192.0.2.10/24", "dev", "wire"), 0);
    CHECK_INT(RUN("busybox", "ping", "-c", "1", "-W", "2", "192.0.2.10"), 0);
    drop(&tag_10);
    CHECK_INT(RUN("ip", "addr", "flush", "dev", "eth9"), 0);

    CHECK_INT(RUN("ip", "link", "add", "br-other", "type", "bridge"), 0);
    CHECK_INT(RUN("ip", "link", "set", "eth9", "master", "br-other"), 0);
    CHECK_INT(apply(&flat), SV_E_NET_DEVICE_UNUSABLE);
    CHECK_INT(apply(&tag_10), SV_E_NET_DEVICE_UNUSABLE);
    SV_COPY(n.netns, "");
    SV_COPY(n.device, "br-other");
    CHECK_INT(apply(&n), SV_E_NET_DEVICE_UNUSABLE);
    CHECK_INT(RUN("ip", "link", "del", "br-other"), 0);
    CHECK_INT(listed(), 0); /* refused: nothing was made */
    CHECK(!shows("svh"));
    wire_down();
}

static void a_lost_device_or_namespace_does_not_hold_up_removal(void)
{
    wire_up();
    OK(apply(&tag_10));
    OK(apply(&far_10));
    CHECK_INT(RUN("ip", "netns", "del", WIRE), 0); /* the wire with it */
    CHECK(if_nametoindex("eth9") == 0 || RUN("ip", "link", "del", "eth9") == 0);
    drop(&tag_10);
    drop(&far_10);
    CHECK_INT(listed(), 0);
    CHECK(!shows("svh") && !shows("svp"));
}

static void words_and_names(void)
{
    char a[SV_NET_DEVICE_LEN + 1], b[SV_NET_DEVICE_LEN + 1];
    sv_net_host_name(&flat.id, a);
    sv_net_host_name(&tag_10.id, b); /* the same tail: ids of one machine */
    CHECK_INT(strlen(a), SV_NET_DEVICE_LEN);
    CHECK(strcmp(a, b) != 0);
    CHECK(sv_net_word("ens224") && sv_net_word("eth0.5") && sv_net_word("wl-p_1@x"));
    const char *const bad[] = {"", ".", "..", "-x", "a b", "a\nlink del dev lo", "a/b", "a;b", "\"", "a#b", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!sv_net_word(bad[i]));
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {T(words_and_names),
                                              T(a_tag_reaches_its_bridge_and_no_other),
                                              T(two_machines_meet_in_a_vlan),
                                              T(a_flat_network_is_the_wire_itself),
                                              T(removing_gives_the_device_back),
                                              T(what_somebody_else_set_stays),
                                              T(applying_twice_changes_nothing),
                                              T(drift_is_mended),
                                              T(another_place_of_the_same_network_is_taken),
                                              T(unusable_devices_are_refused),
                                              T(a_lost_device_or_namespace_does_not_hold_up_removal)};
    return net_sandbox(tests, sizeof(tests) / sizeof(tests[0]), NULL, argc, argv);
}
