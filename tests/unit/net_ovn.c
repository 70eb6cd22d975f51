#include "net_ovn.h"

#include <sys/socket.h>

#include "starvirt/clock.h"
#include "starvirt/text.h"

const struct ovn_host ovn_host_1 = {.netns = "", .database = "unix:/run/openvswitch/db.sock"};

/* --- guests --- */

/* The user-space datapath takes no frames whose checksums are still to be made. */
static void make_device(const struct ovn_host *host, const char *netns, const char *tap, const char *mac)
{
    CHECK_INT(RUN("ip", "netns", "add", netns), 0);
    CHECK_INT(RUN("ip", "link", "add", tap, "type", "veth", "peer", "name", "eth0", "address", mac, "netns", netns), 0);
    CHECK_INT(RUN("ip", "netns", "exec", netns, "ethtool", "-K", "eth0", "tx", "off"), 0);
    CHECK_INT(RUN("ethtool", "-K", tap, "tx", "off"), 0);
    if (host->netns[0]) {
        CHECK_INT(RUN("ip", "link", "set", tap, "netns", host->netns), 0);
        CHECK_INT(RUN("ip", "-n", host->netns, "link", "set", tap, "up"), 0);
    } else {
        CHECK_INT(RUN("ip", "link", "set", tap, "up"), 0);
    }
    CHECK_INT(RUN("ip", "-n", netns, "link", "set", "lo", "up"), 0);
    CHECK_INT(RUN("ip", "-n", netns, "link", "set", "eth0", "mtu", "1442", "up"), 0);
}

void ovn_plug(const struct ovn_host *host, const char *netns, const char *bridge, const char *mac, const char *iface_id)
{
    SV_AUTOFREE char *tap = sv_asprintf("p%s", netns);
    SV_AUTOFREE char *id = sv_asprintf("external_ids:iface-id=%s", iface_id);
    make_device(host, netns, tap, mac);
    CHECK_INT(RUN("ovs-vsctl", "--timeout=10", "--db", host->database, "add-port", bridge, tap, "--", "set",
                  "interface", tap, id),
              0);
}

void ovn_plug_nic(const struct ovn_host *host, const char *netns, const struct sv_net_nic *nic)
{
    char mac[SV_MAC_LEN];
    sv_mac_format(nic->mac, mac);
    ovn_plug(host, netns, "br-int", mac, nic->id.s);
}

void ovn_unplug(const struct ovn_host *host, const char *netns)
{
    SV_AUTOFREE char *tap = sv_asprintf("p%s", netns);
    CHECK_INT(RUN("ovs-vsctl", "--timeout=10", "--db", host->database, "del-port", tap), 0);
    guest_unplug(netns);
}

void ovn_plug_outside(const struct ovn_host *host)
{
    ovn_plug(host, "out", "br-ex", "02:00:00:00:00:99", "outside");
    CHECK_INT(RUN("ip", "-n", "out", "addr", "add", (OUTSIDE "/24"), "dev", "eth0"), 0);
}

/* --- packets --- */

static struct answerer *answerers;
static size_t answerer_count;

void ovn_listen(struct answerer *all, size_t n)
{
    answerers = all;
    answerer_count = n;
    for (size_t i = 0; i < n; i++)
        all[i].fd = traffic_listen(all[i].netns, all[i].type, "0.0.0.0", all[i].port);
}

const struct answerer *ovn_answerer(const char *name)
{
    for (size_t i = 0; i < answerer_count; i++) {
        SV_AUTOFREE char *own = sv_asprintf("%s:%u", answerers[i].netns, answerers[i].port);
        if (strcmp(own, name) == 0)
            return &answerers[i];
    }
    check_failed(__FILE__, __LINE__, "nobody is %s", name);
}

static bool comes_to(const char *netns, const char *ip, uint16_t port, const char *name, const char *from)
{
    const struct answerer *a = ovn_answerer(name);
    struct flow f = {.client = -1, .server = -1};
    char seen[SV_IP4_LEN];
    const bool came = a->type == SOCK_STREAM ? flow_tcp(netns, ip, port, a->fd, TRAFFIC_NO_MS, &f)
                                             : flow_udp(netns, ip, port, a->fd, TRAFFIC_NO_MS, &f.seen);
    flow_close(&f);
    sv_ip4_format(f.seen, seen);
    return came && (!from || strcmp(seen, from) == 0);
}

void ovn_expect(int line, bool want, const char *netns, const char *ip, uint16_t port, const char *name,
                const char *from)
{
    const struct sv_deadline limit = sv_deadline_within(NULL, 5000);
    while (comes_to(netns, ip, port, name, from) != want)
        if (sv_deadline_over(&limit))
            check_failed(__FILE__, line, "%s to %s:%u does%s come to %s (from %s)", netns, ip, port, want ? " not" : "",
                         name, from ? from : "anybody");
}

bool ovn_reaches(const char *netns, const char *ip, bool want)
{
    const struct sv_deadline limit = sv_deadline_within(NULL, 5000);
    while (ping(netns, ip) != want)
        if (sv_deadline_over(&limit))
            return !want;
    return want;
}

int64_t ovn_changes(void)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    int64_t n = -1;
    CHECK_INT(run_argv((const char *const[]){"sh", "-c", NB "get NB_Global . nb_cfg", NULL}, &out), 0);
    out.p[strcspn(out.p, "\n")] = '\0';
    CHECK(sv_parse_int(out.p, &n));
    return n;
}
