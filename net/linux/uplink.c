#include "net/linux/router.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <stdio.h>

#include "starvirt/text.h"

/* What of the way to the router is there, seen in the gateway's namespace. */
struct uplink {
    const struct vpc *v;
    bool present, good, forwards;
    bool switched; /* written: what the kernel may do with packets */
};

static uint32_t transit_of(const struct sv_net_vpc *want)
{
    return TRANSIT_LEGS + want->uplink.slot;
}

/* --- in the namespace --- */

/* /proc/net/route: "device<tab>destination<tab>gateway<tab>…", hexadecimal, as the kernel stores them. */
static bool default_is_router(void)
{
    char line[256], want[64];
    FILE *f = fopen("/proc/thread-self/net/route", "re");
    bool found = false;
    int n = snprintf(want, sizeof(want), UPLINK_DEV "\t00000000\t%08X\t", htonl(TRANSIT_ROUTER));
    while (f && !found && fgets(line, sizeof(line), f))
        found = strncmp(line, want, (size_t)n) == 0;
    if (f)
        fclose(f);
    return found;
}

static void look_inside(void *arg)
{
    struct uplink *u = arg;
    struct device d = {0};
    u->present = device_look(UPLINK_DEV, &d, NULL) == SV_OK && d.index;
    u->good =
        u->present && d.up && address_is(UPLINK_DEV, transit_of(u->v->want), TRANSIT_PREFIX) && default_is_router();
    u->forwards = forwards();
}

/* Strict: a source that does not lead back where it came from is forged. A redirect would tell guests of the transit
 * network. Forwarding last. */
static void switch_on(void *arg)
{
    static const char *const devices[] = {"all", "default", GATEWAY_DEV, UPLINK_DEV};
    struct uplink *u = arg;
    u->switched = true;
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
        u->switched = u->switched && sysctl_set("ipv4", devices[i], "send_redirects", "0") &&
                      sysctl_set("ipv4", devices[i], "rp_filter", "1") &&
                      sysctl_set("ipv4", devices[i], "accept_source_route", "0") &&
                      sysctl_set("ipv4", devices[i], "arp_ignore", "1") &&
                      sysctl_set("ipv4", devices[i], "arp_announce", "2");
    u->switched = u->switched && sysctl_set("ipv4", "all", "forwarding", "1") &&
                  /* Who asks for a balancer's address hears at once. */
                  sysctl_write("ipv4/neigh/" GATEWAY_DEV "/proxy_delay", "0");
}

static void switch_off(void *arg)
{
    struct uplink *u = arg;
    u->switched = sysctl_set("ipv4", "all", "forwarding", "0");
}

static enum sv_err call_switch(int netns_fd, void (*fn)(void *arg), struct uplink *u, struct sv_error *err)
{
    enum sv_err rc = netns_call(netns_fd, fn, u, err);
    if (!rc && !u->switched)
        rc = sv_fail(err, SV_E_NETWORK, SV_F_NONE, "forwarding cannot be switched in the namespace");
    return rc;
}

/* --- plugging --- */

/* True also where the other part is not there yet. */
static enum sv_err look_plug(const struct sv_id *vpc, const struct sv_id *router, bool *ret_plugged,
                             struct sv_error *err)
{
    char leg[16], transit[16];
    struct device l = {0}, t = {0};
    router_leg_name(vpc, leg);
    router_transit_name(router, transit);
    enum sv_err rc = device_look(leg, &l, err);
    if (!rc)
        rc = device_look(transit, &t, err);
    if (!rc)
        *ret_plugged = !l.index || !t.index || strcmp(l.kind, "veth") != 0 || (l.master == t.index && l.up);
    return rc;
}

enum sv_err uplink_plug(const struct work *w, const struct sv_id *vpc, const struct sv_id *router, struct sv_error *err)
{
    char leg[16], transit[16];
    bool plugged = true;
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    router_leg_name(vpc, leg);
    router_transit_name(router, transit);
    enum sv_err rc = look_plug(vpc, router, &plugged, err);
    if (rc || plugged)
        return rc;
    sv_buf_printf(&b, "link set dev %s master %s\nlink set dev %s type bridge_slave isolated on\nlink set dev %s up\n",
                  leg, transit, leg, leg);
    return ip_batch(w, NULL, &b, err);
}

/* The leg hangs on another router's bridge than it should. */
static enum sv_err unplug_other(const struct vpc *v, const char *leg, struct sv_error *err)
{
    char transit[16];
    struct device l = {0}, t = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    router_transit_name(&v->want->uplink.router, transit);
    enum sv_err rc = device_look(leg, &l, err);
    if (!rc)
        rc = device_look(transit, &t, err);
    if (!rc && l.master && l.master != t.index)
        sv_buf_printf(&b, "link set dev %s nomaster\n", leg);
    return rc ? rc : ip_batch(&v->work, NULL, &b, err);
}

/* --- making --- */

static enum sv_err create(const struct vpc *v, const char *leg, struct sv_error *err)
{
    char mac[SV_MAC_LEN];
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    enum sv_err rc = link_delete(&v->work, leg, err); /* its other end is of a namespace that is gone */
    if (rc)
        return rc;
    id_mac(&v->want->id, mac);
    sv_buf_printf(&b, "link add name %s type veth peer name " UPLINK_DEV " address %s netns %s\n", leg, mac,
                  v->names.netns);
    rc = ip_batch(&v->work, NULL, &b, err);
    return rc ? rc : link_silence(leg, err);
}

static enum sv_err address(const struct vpc *v, struct sv_error *err)
{
    char own[SV_IP4_LEN], router[SV_IP4_LEN], gateway[SV_IP4_LEN];
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    sv_ip4_format(transit_of(v->want), own);
    sv_ip4_format(TRANSIT_ROUTER, router);
    sv_ip4_format(v->want->base + 1, gateway);
    /* The gateway's own words (errors of ICMP) come from the address that guests know. */
    sv_buf_printf(&b,
                  "addr flush dev " UPLINK_DEV "\naddr add %s/%d dev " UPLINK_DEV "\nlink set dev " UPLINK_DEV " up\n"
                  "route replace default via %s dev " UPLINK_DEV " proto static src %s\n",
                  own, TRANSIT_PREFIX, router, gateway);
    return ip_batch(&v->work, v->names.netns, &b, err);
}

/* The rules of the gateway: see nft_digest(). */
static enum sv_err look_rules(int netns_fd, uint64_t *ret, struct sv_error *err)
{
    static const struct nft_chain chains[] = {{NFPROTO_IPV4, "gateway", "forwarded", false},
                                              {NFPROTO_IPV4, "gateway", "own", false}};
    return nft_digest(netns_fd, chains, sizeof(chains) / sizeof(chains[0]), ret, err);
}

static enum sv_err put_rules(const struct vpc *v, int netns_fd, struct sv_error *err)
{
    uint64_t digest = 0;
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    uplink_rules_text(v->want, &text);
    enum sv_err rc = nft_run(netns_fd, text.p, text.n, err);
    if (!rc)
        rc = look_rules(netns_fd, &digest, err);
    marks_set(v->work.net->marks, &v->want->id, digest);
    return rc;
}

static struct sv_net_leg leg_of(const struct vpc *v)
{
    return (struct sv_net_leg){.vpc = v->want->id, .base = v->want->base, .prefix = v->want->prefix};
}

static enum sv_err make(const struct vpc *v, int netns_fd, struct sv_error *err)
{
    char leg[16];
    struct uplink u = {.v = v};
    router_leg_name(&v->want->id, leg);
    enum sv_err rc = netns_call(netns_fd, look_inside, &u, err);
    if (!rc && !u.present)
        rc = create(v, leg, err);
    if (!rc)
        rc = unplug_other(v, leg, err);
    if (!rc) /* before anything is forwarded */
        rc = put_rules(v, netns_fd, err);
    if (!rc)
        rc = call_switch(netns_fd, switch_on, &u, err);
    if (!rc && !u.good)
        rc = address(v, err);
    if (!rc)
        rc = uplink_plug(&v->work, &v->want->id, &v->want->uplink.router, err);
    const struct sv_net_leg about = leg_of(v);
    return rc ? rc : uplink_listen(&v->work, &about, &v->want->uplink.router, err);
}

/* The leg goes last: it is what tells that there was an uplink. */
static enum sv_err unmake(const struct vpc *v, int netns_fd, struct sv_error *err)
{
    static const char text[] = "add table ip gateway\ndelete table ip gateway\n";
    struct uplink u = {.v = v};
    enum sv_err rc = call_switch(netns_fd, switch_off, &u, err);
    if (!rc)
        rc = nft_run(netns_fd, text, strlen(text), err);
    return rc ? rc : uplink_remove(v, err);
}

enum sv_err uplink_ensure(const struct vpc *v, struct sv_error *err)
{
    char leg[16];
    struct device l = {0};
    SV_AUTOFD int fd = netns_open(v->names.netns_path);
    router_leg_name(&v->want->id, leg);
    enum sv_err rc = device_look(leg, &l, err);
    if (rc)
        return rc;
    if (fd < 0)
        return net_errno(err, "open", v->names.netns_path);
    if (!sv_id_empty(&v->want->uplink.router))
        return make(v, fd, err);
    return l.index ? unmake(v, fd, err) : SV_OK;
}

static enum sv_err look_uplink(const struct vpc *v, int netns_fd, bool *ret, struct sv_error *err)
{
    struct uplink u = {.v = v};
    uint64_t digest = 0;
    bool plugged = false, listens = false;
    const struct sv_net_leg about = leg_of(v);
    enum sv_err rc = netns_call(netns_fd, look_inside, &u, err);
    if (!rc)
        rc = look_rules(netns_fd, &digest, err);
    if (!rc)
        rc = look_plug(&v->want->id, &v->want->uplink.router, &plugged, err);
    if (!rc)
        rc = uplink_listens(&v->work, &about, &v->want->uplink.router, &listens, err);
    *ret = !rc && u.good && u.forwards && digest && digest == marks_get(v->work.net->marks, &v->want->id) && plugged &&
           listens;
    return rc;
}

enum sv_err uplink_whole(const struct vpc *v, bool *ret, struct sv_error *err)
{
    char leg[16];
    struct device l = {0};
    SV_AUTOFD int fd = netns_open(v->names.netns_path);
    router_leg_name(&v->want->id, leg);
    *ret = false;
    if (fd < 0)
        return SV_OK;
    if (!sv_id_empty(&v->want->uplink.router))
        return look_uplink(v, fd, ret, err);
    const enum sv_err rc = device_look(leg, &l, err);
    *ret = !rc && !l.index;
    return rc;
}

enum sv_err uplink_remove(const struct vpc *v, struct sv_error *err)
{
    char leg[16];
    marks_set(v->work.net->marks, &v->want->id, 0);
    router_leg_name(&v->want->id, leg);
    return link_delete(&v->work, leg, err);
}
