/* Networks on a physical interface:
 *
 *     flat   guests' taps ── bridge svh… ── the interface
 *     vlan   guests' taps ── bridge svh… ── veth svp… ══ svu… ── tag.c ── the interface
 *
 * The dots are twelve digits made from the network's id. The bridge carries the whole id as its alias. */
#include "net/linux/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#define NETNS_DIR "/run/netns/"

/* One call. */
struct host_work {
    struct work work;
    struct sv_net_host want;
    char bridge[16], port[16], leg[16]; /* port: in the bridge; leg: its other end */
    struct sv_error *err;
    enum sv_err rc;
};

static void host_work_init(struct host_work *h, const struct sv_net *net, const struct sv_net_host *want,
                           const struct sv_deadline *d, struct sv_error *err)
{
    *h = (struct host_work){.want = *want, .err = err};
    work_init(&h->work, net, d);
    sv_net_host_name(&want->id, h->bridge);
    SV_COPY(h->port, h->bridge);
    SV_COPY(h->leg, h->bridge);
    h->port[2] = 'p';
    h->leg[2] = 'u';
}

/* Runs fn where the device lives. */
static enum sv_err there(struct host_work *h, void (*fn)(void *arg))
{
    SV_AUTOFD int fd = -1;
    if (h->want.netns[0]) {
        SV_AUTOFREE char *path = sv_asprintf(NETNS_DIR "%s", h->want.netns);
        fd = netns_open(path);
        if (fd < 0)
            return sv_fail(h->err, SV_E_NETNS_NOT_FOUND, SV_F_NETNS, h->want.netns);
        enum sv_err rc = netns_call(fd, fn, h, h->err);
        return rc ? rc : h->rc;
    }
    fn(h);
    return h->rc;
}

/* --- looking --- */

struct devices {
    struct device physical, bridge, port, leg;
};

static enum sv_err look(struct host_work *h, struct devices *ret)
{
    const struct {
        const char *name;
        struct device *to;
    } all[] = {{h->want.device, &ret->physical}, {h->bridge, &ret->bridge}, {h->port, &ret->port}, {h->leg, &ret->leg}};
    enum sv_err rc = SV_OK;
    for (size_t i = 0; !rc && i < sizeof(all) / sizeof(all[0]); i++)
        rc = device_look(all[i].name, all[i].to, h->err);
    return rc;
}

static enum sv_err unusable(struct host_work *h, const char *why)
{
    return sv_fail(h->err, SV_E_NET_DEVICE_UNUSABLE, SV_F_NET_DEVICE, h->want.device, why);
}

static bool reaches_others(const struct sockaddr *a)
{
    struct sockaddr_in6 six;
    if (a->sa_family != AF_INET6)
        return a->sa_family == AF_INET;
    memcpy(&six, a, sizeof(six));
    return !IN6_IS_ADDR_LINKLOCAL(&six.sin6_addr);
}

static enum sv_err has_address(struct host_work *h, bool *ret)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0)
        return net_errno(h->err, "look at addresses of", h->want.device);
    *ret = false;
    for (const struct ifaddrs *a = all; a; a = a->ifa_next)
        if (a->ifa_addr && strcmp(a->ifa_name, h->want.device) == 0 && reaches_others(a->ifa_addr))
            *ret = true;
    freeifaddrs(all);
    return SV_OK;
}

/* A tag takes nothing from whoever uses the device; a flat network takes it whole. */
static enum sv_err check_device(struct host_work *h, const struct devices *d)
{
    bool addressed = false;
    enum sv_err rc = SV_OK;
    const struct device *p = &d->physical;
    if (!p->index)
        return sv_fail(h->err, SV_E_NET_DEVICE_NOT_FOUND, SV_F_NET_DEVICE, h->want.device);
    if (p->loopback || !p->ethernet)
        return unusable(h, "not an Ethernet interface");
    if (strcmp(p->kind, "bridge") == 0 || strcmp(p->kind, "tun") == 0)
        return unusable(h, "a bridge or a guest's own");
    if (p->master && (h->want.type == SV_NET_VLAN || p->master != d->bridge.index))
        return unusable(h, "it belongs to another bridge or bond");
    if (h->want.type == SV_NET_FLAT)
        rc = has_address(h, &addressed);
    return !rc && addressed ? unusable(h, "the machine's own address is on it and would be cut off") : rc;
}

/* An empty alias is ours, interrupted. */
static enum sv_err check_owner(struct host_work *h, const struct device *bridge)
{
    if (!bridge->index ||
        (strcmp(bridge->kind, "bridge") == 0 && (!bridge->alias[0] || strcmp(bridge->alias, h->want.id.s) == 0)))
        return SV_OK;
    SV_AUTOFREE char *text = sv_asprintf("device %s belongs to something else", h->bridge);
    return sv_fail(h->err, SV_E_NETWORK, SV_F_NONE, text);
}

/* --- making --- */

/* Before anything is changed: how the device was, unless an earlier network on it has noted that. */
static enum sv_err note_device(struct host_work *h, const struct device *p)
{
    struct host_record r = {
        .was_up = p->up, .was_promisc = p->promisc, .had_qdisc = tag_ready(p->index), .host = h->want};
    struct host_record before;
    bool known = false;
    enum sv_err rc = host_record_read(h->work.net, &h->want.id, &known, &before, h->err);
    if (!rc && !known)
        rc = host_record_sibling(h->work.net, &h->want, &known, &before, h->err);
    if (!rc && known) {
        r = before;
        r.host = h->want;
    }
    return rc ? rc : host_record_write(h->work.net, &r, h->err);
}

static enum sv_err make_bridge(struct host_work *h, const struct devices *d)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    if (!d->bridge.index)
        sv_buf_printf(&b,
                      "link add name %s type bridge stp_state 0 forward_delay 0 nf_call_iptables 0 "
                      "nf_call_ip6tables 0 nf_call_arptables 0\n",
                      h->bridge);
    if (strcmp(d->bridge.alias, h->want.id.s) != 0)
        sv_buf_printf(&b, "link set dev %s alias %s\n", h->bridge, h->want.id.s);
    if (d->bridge.mtu != d->physical.mtu)
        sv_buf_printf(&b, "link set dev %s mtu %u\n", h->bridge, d->physical.mtu);
    enum sv_err rc = ip_batch(&h->work, NULL, &b, h->err);
    return rc ? rc : link_silence(h->bridge, h->err);
}

static enum sv_err make_flat(struct host_work *h, const struct devices *d)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    if (!d->physical.master)
        sv_buf_printf(&b, "link set dev %s master %s\n", h->want.device, h->bridge);
    if (!d->physical.up)
        sv_buf_printf(&b, "link set dev %s up\n", h->want.device);
    if (!d->bridge.up)
        sv_buf_printf(&b, "link set dev %s up\n", h->bridge);
    return ip_batch(&h->work, NULL, &b, h->err);
}

static enum sv_err make_legs(struct host_work *h, const struct devices *d)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    if (!d->port.index || !d->leg.index)
        sv_buf_printf(&b, "link add name %s mtu %u type veth peer name %s mtu %u\n", h->port, d->physical.mtu, h->leg,
                      d->physical.mtu);
    enum sv_err rc = ip_batch(&h->work, NULL, &b, h->err);
    if (!rc)
        rc = link_silence(h->port, h->err);
    return rc ? rc : link_silence(h->leg, h->err);
}

static enum sv_err make_vlan(struct host_work *h, struct devices *d)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    enum sv_err rc = make_legs(h, d);
    if (!rc)
        rc = look(h, d);
    if (rc)
        return rc;
    if (d->port.master != d->bridge.index || !d->port.up)
        sv_buf_printf(&b, "link set dev %s master %s up\n", h->port, h->bridge);
    if (!d->leg.up)
        sv_buf_printf(&b, "link set dev %s up\n", h->leg);
    if (!d->bridge.up)
        sv_buf_printf(&b, "link set dev %s up\n", h->bridge);
    /* The interface itself would drop frames for the guests' addresses, and may drop tags it was not told of. */
    if (!d->physical.promisc || !d->physical.up)
        sv_buf_printf(&b, "link set dev %s promisc on up\n", h->want.device);
    rc = ip_batch(&h->work, NULL, &b, h->err);
    return rc ? rc : tag_set(d->physical.index, d->leg.index, h->want.vlan, h->err);
}

static void apply_there(void *arg)
{
    struct host_work *h = arg;
    struct devices d = {0};
    h->rc = look(h, &d);
    if (!h->rc)
        h->rc = check_device(h, &d);
    if (!h->rc)
        h->rc = check_owner(h, &d.bridge);
    if (!h->rc)
        h->rc = note_device(h, &d.physical);
    if (!h->rc)
        h->rc = make_bridge(h, &d);
    if (!h->rc)
        h->rc = h->want.type == SV_NET_FLAT ? make_flat(h, &d) : make_vlan(h, &d);
}

static bool well_formed(const struct sv_net_host *w)
{
    const bool tagged = w->type == SV_NET_VLAN;
    return sv_id_valid(w->id.s) && sv_net_word(w->device) && (!w->netns[0] || sv_net_word(w->netns)) &&
           (tagged ? w->vlan >= SV_NET_VLAN_MIN && w->vlan <= SV_NET_VLAN_MAX : w->vlan == 0);
}

static bool same_place(const struct sv_net_host *a, const struct sv_net_host *b)
{
    return a->type == b->type && a->vlan == b->vlan && strcmp(a->device, b->device) == 0 &&
           strcmp(a->netns, b->netns) == 0;
}

enum sv_err host_apply(struct sv_net *net, const struct sv_net_host *want, const struct sv_deadline *d,
                       struct sv_error *err)
{
    struct host_work h;
    struct host_record before;
    bool known = false;
    if (!well_formed(want))
        return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, "not a network");
    host_work_init(&h, net, want, d, err);
    enum sv_err rc = host_record_read(h.work.net, &want->id, &known, &before, err);
    if (!rc && known && !same_place(&before.host, want))
        rc = host_remove(net, &want->id, d, err);
    return rc ? rc : there(&h, apply_there);
}

/* --- taking down --- */

static enum sv_err give_back(struct host_work *h, const struct devices *d)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    struct host_record r, other;
    bool known = false, shared = false;
    enum sv_err rc = host_record_read(h->work.net, &h->want.id, &known, &r, h->err);
    if (!rc)
        rc = host_record_sibling(h->work.net, &h->want, &shared, &other, h->err);
    if (rc || !known || !d->physical.index)
        return rc;
    if (h->want.type == SV_NET_VLAN)
        rc = tag_clear(d->physical.index, h->want.vlan, !r.had_qdisc && !shared, h->err);
    if (h->want.type == SV_NET_FLAT && d->physical.master && d->physical.master == d->bridge.index)
        sv_buf_printf(&b, "link set dev %s nomaster\n", h->want.device);
    if (!shared && !r.was_promisc && d->physical.promisc)
        sv_buf_printf(&b, "link set dev %s promisc off\n", h->want.device);
    if (!shared && !r.was_up && d->physical.up)
        sv_buf_printf(&b, "link set dev %s down\n", h->want.device);
    return rc ? rc : ip_batch(&h->work, NULL, &b, h->err);
}

static void remove_there(void *arg)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    struct host_work *h = arg;
    struct devices d = {0};
    h->rc = look(h, &d);
    if (!h->rc)
        h->rc = check_owner(h, &d.bridge);
    if (!h->rc)
        h->rc = give_back(h, &d);
    if (d.port.index)
        sv_buf_printf(&b, "link del dev %s\n", h->port);
    if (d.bridge.index)
        sv_buf_printf(&b, "link del dev %s\n", h->bridge);
    if (!h->rc)
        h->rc = ip_batch(&h->work, NULL, &b, h->err);
}

enum sv_err host_remove(struct sv_net *net, const struct sv_id *id, const struct sv_deadline *d, struct sv_error *err)
{
    struct host_work h;
    struct host_record r;
    bool known = false;
    enum sv_err rc = host_record_read((const struct linux_net *)net, id, &known, &r, err);
    if (!rc && known) {
        host_work_init(&h, net, &r.host, d, err);
        rc = there(&h, remove_there);
        if (rc == SV_E_NETNS_NOT_FOUND) /* and all its devices with it */
            rc = SV_OK;
    }
    return rc ? rc : host_record_remove((const struct linux_net *)net, id, err);
}

enum sv_err host_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *id), void *arg,
                      struct sv_error *err)
{
    return ids_in(((const struct linux_net *)net)->host_dir, row, arg, err);
}
