#include "net/linux/internal.h"

#include <errno.h>
#include <unistd.h>

#include "starvirt/text.h"

struct state {
    struct device bridge, leg;
    int netns_fd;   /* -1 = there is none */
    bool gateway;   /* gw0 is in the namespace, */
    bool addressed; /* up and with the right address */
};

static void state_free(struct state *s)
{
    fd_closep(&s->netns_fd);
}

/* --- looking --- */

struct gateway {
    uint32_t ip; /* wanted */
    unsigned prefix;
    bool present, good;
};

static void look_gateway(void *arg)
{
    struct gateway *g = arg;
    struct device d = {0};
    g->present = device_look(GATEWAY_DEV, &d, NULL) == SV_OK && d.index;
    g->good = g->present && d.up && address_is(GATEWAY_DEV, g->ip, g->prefix);
}

static enum sv_err look(const struct vpc *v, struct state *s, struct sv_error *err)
{
    enum sv_err rc = device_look(v->names.bridge, &s->bridge, err);
    if (!rc)
        rc = device_look(v->names.leg, &s->leg, err);
    if (rc)
        return rc;
    fd_closep(&s->netns_fd);
    s->netns_fd = netns_open(v->names.netns_path);
    struct gateway g = {.ip = v->want->base + 1, .prefix = v->want->prefix};
    if (s->netns_fd >= 0)
        rc = netns_call(s->netns_fd, look_gateway, &g, err);
    s->gateway = g.present;
    s->addressed = g.good;
    return rc;
}

/* A device of that name which is not ours is left alone. An empty alias is ours, interrupted. */
static enum sv_err check_owner(const struct vpc *v, const struct state *s, struct sv_error *err)
{
    const struct device *b = &s->bridge;
    if (!b->index || (strcmp(b->kind, "bridge") == 0 && (!b->alias[0] || strcmp(b->alias, v->want->id.s) == 0)))
        return SV_OK;
    SV_AUTOFREE char *text = sv_asprintf("device %s belongs to something else", v->names.bridge);
    return sv_fail(err, SV_E_NETWORK, SV_F_NONE, text);
}

static bool is_whole(const struct vpc *v, const struct state *s)
{
    return s->bridge.index && s->bridge.up && s->bridge.tracked && strcmp(s->bridge.alias, v->want->id.s) == 0 &&
           s->leg.index && s->leg.up && s->leg.master == s->bridge.index && s->netns_fd >= 0 && s->addressed;
}

/* --- mending --- */

enum sv_err link_delete(const struct work *w, const char *device, struct sv_error *err)
{
    struct device d = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    enum sv_err rc = device_look(device, &d, err);
    if (rc || !d.index)
        return rc;
    sv_buf_printf(&b, "link del dev %s\n", device);
    rc = ip_batch(w, NULL, &b, err);
    if (rc == SV_E_NETWORK && device_look(device, &d, NULL) == SV_OK && !d.index)
        rc = SV_OK;
    return rc;
}

/* First round: everything exists, nothing is up yet, so that no packet passes before the switches are set. */
static enum sv_err create_missing(const struct vpc *v, const struct state *s, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    const struct names *n = &v->names;
    char mac[SV_MAC_LEN];
    id_mac(&v->want->id, mac);
    /* A veth pair is whole or not there; one whose other end is not in this namespace is of a lost one. */
    enum sv_err rc = s->gateway ? SV_OK : link_delete(&v->work, n->leg, err);
    if (rc)
        return rc;
    if (!s->bridge.index)
        sv_buf_printf(&b,
                      "link add name %s type bridge stp_state 0 forward_delay 0 nf_call_iptables 1 "
                      "nf_call_ip6tables 0 nf_call_arptables 0\n",
                      n->bridge);
    else if (!s->bridge.tracked)
        sv_buf_printf(&b, "link set dev %s type bridge nf_call_iptables 1\n", n->bridge);
    if (strcmp(s->bridge.alias, v->want->id.s) != 0)
        sv_buf_printf(&b, "link set dev %s alias %s\n", n->bridge, v->want->id.s);
    if (s->netns_fd < 0 && access(n->netns_path, F_OK) == 0)
        sv_buf_printf(&b, "netns del %s\n", n->netns);
    if (s->netns_fd < 0)
        sv_buf_printf(&b, "netns add %s\n", n->netns);
    if (!s->leg.index || !s->gateway)
        sv_buf_printf(&b, "link add name %s type veth peer name " GATEWAY_DEV " address %s netns %s\n", n->leg, mac,
                      n->netns);
    return ip_batch(&v->work, NULL, &b, err);
}

enum sv_err link_silence(const char *device, struct sv_error *err)
{
    if (sysctl_set("ipv6", device, "disable_ipv6", "1") && sysctl_set("ipv4", device, "arp_ignore", "8") &&
        sysctl_set("ipv4", device, "rp_filter", "1") && sysctl_set("ipv4", device, "forwarding", "0"))
        return SV_OK;
    return net_errno(err, "switch off protocols of", device);
}

/* A new namespace takes the machine's own setting, which may be to forward; uplink.c switches that on where it is
 * meant. */
static void silence_netns(void *arg)
{
    bool *ok = arg;
    *ok = sysctl_set("ipv6", "all", "disable_ipv6", "1") && sysctl_set("ipv6", "default", "disable_ipv6", "1") &&
          sysctl_set("ipv4", "all", "forwarding", "0");
}

/* --- guests' devices --- */

/* A tap that is not there belongs to a guest that does not run. */
static bool plugged(const struct state *s, const struct device *tap)
{
    return !tap->index || (tap->up && tap->master == s->bridge.index);
}

static enum sv_err plug_tap(void *arg, const char *tap, struct sv_error *err)
{
    const struct vpc *v = arg;
    struct device d = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    sv_buf_printf(&b, "link set dev %s master %s up\n", tap, v->names.bridge);
    enum sv_err rc = ip_batch(&v->work, NULL, &b, err);
    if (rc == SV_E_NETWORK && device_look(tap, &d, NULL) == SV_OK && !d.index)
        rc = SV_OK; /* its guest has stopped meanwhile */
    return rc;
}

/* Calls for each that is not in the bridge, or not up. */
static enum sv_err each_tap(const struct state *s, const struct sv_net_nic *nics, size_t n,
                            enum sv_err (*unplugged)(void *arg, const char *tap, struct sv_error *err), void *arg,
                            struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    SV_AUTOFD int fd = device_socket();
    for (size_t i = 0; !rc && i < n; i++) {
        struct device d = {0};
        char tap[16];
        tap_name(&nics[i].id, tap);
        rc = device_look_by(fd, tap, &d, err);
        if (!rc && !plugged(s, &d))
            rc = unplugged(arg, tap, err);
    }
    return rc;
}

static enum sv_err note_unplugged(void *arg, const char *tap, struct sv_error *err)
{
    (void)tap, (void)err;
    *(bool *)arg = false;
    return SV_OK;
}

static enum sv_err bring_up(const struct vpc *v, struct sv_error *err)
{
    char gateway[SV_IP4_LEN];
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf in = {0};
    sv_ip4_format(v->want->base + 1, gateway);
    sv_buf_printf(&in, "addr flush dev " GATEWAY_DEV "\naddr add %s/%u brd + dev " GATEWAY_DEV "\n", gateway,
                  v->want->prefix);
    sv_buf_puts(&in, "link set dev lo up\nlink set dev " GATEWAY_DEV " up\n");
    sv_buf_printf(&out, "link set dev %s master %s up\nlink set dev %s up\n", v->names.leg, v->names.bridge,
                  v->names.bridge);
    enum sv_err rc = ip_batch(&v->work, v->names.netns, &in, err);
    if (!rc)
        rc = ip_batch(&v->work, NULL, &out, err);
    return rc;
}

static enum sv_err mend(const struct vpc *v, struct state *s, struct sv_error *err)
{
    bool silent = false;
    enum sv_err rc = create_missing(v, s, err);
    if (!rc)
        rc = link_silence(v->names.bridge, err);
    if (!rc)
        rc = link_silence(v->names.leg, err);
    if (!rc)
        rc = look(v, s, err);
    if (!rc && s->netns_fd < 0)
        rc = net_errno(err, "open", v->names.netns_path);
    if (!rc)
        rc = netns_call(s->netns_fd, silence_netns, &silent, err);
    if (!rc && !silent)
        rc = sv_fail(err, SV_E_NETWORK, SV_F_NONE, "IPv6 and forwarding cannot be switched off in the namespace");
    return rc ? rc : bring_up(v, err);
}

enum sv_err link_ensure(const struct vpc *v, const struct sv_net_nic *nics, size_t n, struct sv_error *err)
{
    struct vpc plug = *v;
    SV_CLEANUP(state_free) struct state s = {.netns_fd = -1};
    enum sv_err rc = look(v, &s, err);
    if (!rc)
        rc = check_owner(v, &s, err);
    if (!rc && !is_whole(v, &s))
        rc = mend(v, &s, err);
    return rc ? rc : each_tap(&s, nics, n, plug_tap, &plug, err);
}

enum sv_err link_whole(const struct vpc *v, const struct sv_net_nic *nics, size_t n, bool *ret, struct sv_error *err)
{
    SV_CLEANUP(state_free) struct state s = {.netns_fd = -1};
    enum sv_err rc = look(v, &s, err);
    if (rc)
        return rc;
    *ret = is_whole(v, &s);
    return *ret ? each_tap(&s, nics, n, note_unplugged, ret, err) : SV_OK;
}

enum sv_err link_remove(const struct vpc *v, struct sv_error *err)
{
    SV_CLEANUP(state_free) struct state s = {.netns_fd = -1};
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    enum sv_err rc = look(v, &s, err);
    if (!rc)
        rc = check_owner(v, &s, err);
    if (rc)
        return rc;
    /* The leg first: a namespace takes its devices with it only some time after it is gone. */
    rc = link_delete(&v->work, v->names.leg, err);
    if (rc)
        return rc;
    if (s.netns_fd >= 0 || access(v->names.netns_path, F_OK) == 0)
        sv_buf_printf(&b, "netns del %s\n", v->names.netns);
    if (s.bridge.index)
        sv_buf_printf(&b, "link del dev %s\n", v->names.bridge);
    return ip_batch(&v->work, NULL, &b, err);
}
