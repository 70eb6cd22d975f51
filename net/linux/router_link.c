#include "net/linux/ha.h"

#include <errno.h>
#include <unistd.h>

/* --- looking --- */

struct devices {
    struct device transit, port, outer_port, outer_bridge;
    struct device inside, outer, pair; /* in the namespace */
    bool forwards;
    int netns_fd; /* -1 = there is none */
};

static void devices_free(struct devices *d)
{
    fd_closep(&d->netns_fd);
}

static void look_inside(void *arg)
{
    struct devices *d = arg;
    device_look(TRANSIT_DEV, &d->inside, NULL);
    device_look(OUTER_DEV, &d->outer, NULL);
    device_look(PAIR_DEV, &d->pair, NULL);
    d->forwards = forwards();
}

static enum sv_err look(const struct router *r, struct devices *d, struct sv_error *err)
{
    const struct router_names *n = &r->names;
    const char *bridge = r->work.net->outer;
    enum sv_err rc = device_look(n->transit, &d->transit, err);
    if (!rc)
        rc = device_look(n->port, &d->port, err);
    if (!rc)
        rc = device_look(n->outer_port, &d->outer_port, err);
    if (!rc && bridge)
        rc = device_look(bridge, &d->outer_bridge, err);
    if (rc)
        return rc;
    fd_closep(&d->netns_fd);
    d->netns_fd = netns_open(n->netns_path);
    d->inside = d->outer = d->pair = (struct device){0};
    return d->netns_fd >= 0 ? netns_call(d->netns_fd, look_inside, d, err) : SV_OK;
}

/* As with VPCs: a bridge of that name which is not ours is left alone. An empty alias is ours, interrupted. */
static enum sv_err check_owner(const struct router *r, const struct devices *d, struct sv_error *err)
{
    const struct device *t = &d->transit;
    if (!t->index || (strcmp(t->kind, "bridge") == 0 && (!t->alias[0] || strcmp(t->alias, r->want->id.s) == 0)))
        return SV_OK;
    SV_AUTOFREE char *text = sv_asprintf("device %s belongs to something else", r->names.transit);
    return sv_fail(err, SV_E_NETWORK, SV_F_NONE, text);
}

static enum sv_err check_outer(const struct router *r, const struct devices *d, struct sv_error *err)
{
    if (!r->outer || d->outer_bridge.index)
        return SV_OK;
    SV_AUTOFREE char *text = sv_asprintf("the bridge %s of --net.outer is gone", r->work.net->outer);
    return sv_fail(err, SV_E_NETWORK, SV_F_NONE, text);
}

/* --- making --- */

/* A pair is whole or not there; one whose inner end is not in this namespace is of a lost one. */
static enum sv_err delete_lost(const struct router *r, const struct devices *d, struct sv_error *err)
{
    enum sv_err rc = d->inside.index ? SV_OK : link_delete(&r->work, r->names.port, err);
    if (!rc && (!r->outer || !d->outer.index))
        rc = link_delete(&r->work, r->names.outer_port, err);
    return rc;
}

static void put_pair(struct sv_buf *b, const struct router *r, const char *name, const char *peer)
{
    char mac[SV_MAC_LEN];
    id_mac(&r->want->id, mac);
    sv_buf_printf(b, "link add name %s type veth peer name %s address %s netns %s\n", name, peer, mac, r->names.netns);
}

static enum sv_err create_missing(const struct router *r, const struct devices *d, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    const struct router_names *n = &r->names;
    if (!d->transit.index)
        sv_buf_printf(&b,
                      "link add name %s type bridge stp_state 0 forward_delay 0 nf_call_iptables 0 "
                      "nf_call_ip6tables 0 nf_call_arptables 0\n",
                      n->transit);
    if (strcmp(d->transit.alias, r->want->id.s) != 0)
        sv_buf_printf(&b, "link set dev %s alias %s\n", n->transit, r->want->id.s);
    if (d->netns_fd < 0 && access(n->netns_path, F_OK) == 0)
        sv_buf_printf(&b, "netns del %s\n", n->netns);
    if (d->netns_fd < 0)
        sv_buf_printf(&b, "netns add %s\n", n->netns);
    if (!d->inside.index)
        put_pair(&b, r, n->port, TRANSIT_DEV);
    if (r->outer && !d->outer.index)
        put_pair(&b, r, n->outer_port, OUTER_DEV);
    return ip_batch(&r->work, NULL, &b, err);
}

/* Strict reverse paths: nothing from outside comes with a source inside. ARP for what is on that device only, so that
 * neither network hears of the other's addresses. Forwarding is on before there is an address or a rule: the rules'
 * text comes before the devices are up. */
static void switch_inside(void *arg)
{
    static const char *const devices[] = {"all", "default", "lo", TRANSIT_DEV, OUTER_DEV};
    static const char *const keys[][2] = {{"send_redirects", "0"},
                                          {"accept_redirects", "0"},
                                          {"secure_redirects", "0"},
                                          {"accept_source_route", "0"},
                                          {"rp_filter", "1"},
                                          {"arp_ignore", "1"},
                                          {"arp_announce", "2"},
                                          {"proxy_arp", "0"},
                                          /* Of two instances the one that begins to speak (ha.h). */
                                          {"arp_notify", "1"},
                                          /* An address that goes does not take its neighbours along. */
                                          {"promote_secondaries", "1"}};
    bool *ok = arg;
    *ok = sysctl_set("ipv6", "all", "disable_ipv6", "1") && sysctl_set("ipv6", "default", "disable_ipv6", "1") &&
          sysctl_set("ipv4", "all", "forwarding", "1");
    for (size_t i = 0; *ok && i < sizeof(devices) / sizeof(devices[0]); i++)
        for (size_t k = 0; *ok && k < sizeof(keys) / sizeof(keys[0]); k++)
            *ok = sysctl_set("ipv4", devices[i], keys[k][0], keys[k][1]);
}

static enum sv_err silence(const struct router *r, struct sv_error *err)
{
    enum sv_err rc = link_silence(r->names.transit, err);
    if (!rc)
        rc = link_silence(r->names.port, err);
    if (!rc && r->outer)
        rc = link_silence(r->names.outer_port, err);
    return rc;
}

static enum sv_err plug_ports(const struct router *r, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    const struct router_names *n = &r->names;
    sv_buf_printf(&b, "link set dev %s up\nlink set dev %s master %s up\n", n->transit, n->port, n->transit);
    if (r->outer)
        sv_buf_printf(&b, "link set dev %s master %s up\n", n->outer_port, r->work.net->outer);
    return ip_batch(&r->work, NULL, &b, err);
}

static bool ports_whole(const struct router *r, const struct devices *d)
{
    return d->transit.index && d->transit.up && strcmp(d->transit.alias, r->want->id.s) == 0 && d->netns_fd >= 0 &&
           d->forwards && d->port.index && d->port.up && d->port.master == d->transit.index && d->inside.index &&
           (r->outer ? d->outer_port.index && d->outer_port.up && d->outer.index && d->outer_bridge.index &&
                           d->outer_port.master == d->outer_bridge.index
                     : !d->outer_port.index);
}

static enum sv_err mend(const struct router *r, struct devices *d, struct sv_error *err)
{
    bool switched = false;
    enum sv_err rc = delete_lost(r, d, err);
    if (!rc)
        rc = create_missing(r, d, err);
    if (!rc)
        rc = silence(r, err);
    if (!rc)
        rc = look(r, d, err);
    if (!rc && d->netns_fd < 0)
        rc = net_errno(err, "open", r->names.netns_path);
    if (!rc)
        rc = netns_call(d->netns_fd, switch_inside, &switched, err);
    if (!rc && !switched)
        rc = sv_fail(err, SV_E_NETWORK, SV_F_NONE, "forwarding cannot be switched in the namespace");
    if (!rc && r->silent)
        rc = ha_silence(r, err);
    return rc ? rc : plug_ports(r, err);
}

enum sv_err router_link_ensure(const struct router *r, struct sv_error *err)
{
    SV_CLEANUP(devices_free) struct devices d = {.netns_fd = -1};
    enum sv_err rc = look(r, &d, err);
    if (!rc)
        rc = check_owner(r, &d, err);
    if (!rc)
        rc = check_outer(r, &d, err);
    if (rc || ports_whole(r, &d))
        return rc;
    return mend(r, &d, err);
}

enum sv_err router_link_whole(const struct router *r, bool *ret_whole, struct sv_error *err)
{
    SV_CLEANUP(devices_free) struct devices d = {.netns_fd = -1};
    enum sv_err rc = look(r, &d, err);
    if (!rc)
        *ret_whole = ports_whole(r, &d) && d.inside.up && (!r->outer || d.outer.up) && (!d.pair.index || d.pair.up);
    return rc;
}

/* --- addresses and routes --- */

static enum sv_err ask(const struct router *r, const char *const *argv, struct sv_buf *ret, struct sv_error *err)
{
    return tool_output(&r->work, argv, ret, err);
}

static enum sv_err look_addresses(const struct router *r, struct sv_buf *ret, struct sv_error *err)
{
    const char *const argv[] = {r->work.net->ip, "-n", r->names.netns, "-o", "-4", "addr", "show", NULL};
    return ask(r, argv, ret, err);
}

static enum sv_err look_routes(const struct router *r, struct sv_buf *ret, struct sv_error *err)
{
    const char *const argv[] = {r->work.net->ip, "-n", r->names.netns, "-4", "route", "show", NULL};
    return ask(r, argv, ret, err);
}

enum sv_err router_link_look(const struct router *r, struct sv_buf *ret, struct sv_error *err)
{
    SV_AUTOFD int fd = netns_open(r->names.netns_path);
    if (fd < 0)
        return SV_OK;
    enum sv_err rc = look_addresses(r, ret, err);
    return rc ? rc : look_routes(r, ret, err);
}

/* The next line without its end and what blanks are before that; false when there is none. */
static bool next_line(const char **at, const char **ret, size_t *ret_n)
{
    if (!*at || !**at)
        return false;
    size_t n = strcspn(*at, "\n");
    *ret = *at;
    *at += n + ((*at)[n] == '\n');
    while (n > 0 && (*ret)[n - 1] == ' ')
        n--;
    *ret_n = n;
    return true;
}

static bool has_line(const struct sv_buf *text, const char *line, size_t n)
{
    const char *at = text->p, *other;
    size_t other_n;
    while (next_line(&at, &other, &other_n))
        if (other_n == n && memcmp(other, line, n) == 0)
            return true;
    return false;
}

/* Of `text` what `other` has not: "VERB LINE". Lines that the kernel made go by themselves. */
static void put_difference(struct sv_buf *b, const char *verb, const struct sv_buf *text, const struct sv_buf *other)
{
    const char *at = text->p, *line;
    size_t n;
    while (next_line(&at, &line, &n))
        if (!has_line(other, line, n) && !memmem(line, n, " proto kernel ", 14))
            sv_buf_printf(b, "%s %.*s\n", verb, (int)n, line);
}

/* Word `index` of a line; empty where there is none. */
static const char *word(const char *line, size_t n, unsigned index, size_t *ret_n)
{
    const char *end = line + n;
    for (;; index--) {
        while (line < end && *line == ' ')
            line++;
        const char *blank = memchr(line, ' ', (size_t)(end - line));
        *ret_n = (size_t)((blank ? blank : end) - line);
        if (index == 0 || *ret_n == 0)
            return line;
        line += *ret_n;
    }
}

/* "2: out0    inet 192.0.2.5/24 brd …" becomes "out0 192.0.2.5/24". */
static void address_lines(const struct sv_buf *said, struct sv_buf *ret)
{
    const char *at = said->p, *line;
    size_t n, device_n, address_n;
    while (next_line(&at, &line, &n)) {
        const char *device = word(line, n, 1, &device_n), *address = word(line, n, 3, &address_n);
        if (address_n < 4 || memcmp(address, "127.", 4) != 0)
            sv_buf_printf(ret, "%.*s %.*s\n", (int)device_n, device, (int)address_n, address);
    }
}

/* keepalived's, to come and go (ha.h). */
static bool is_token(const char *line, size_t n)
{
    char token[SV_IP4_LEN];
    sv_ip4_format(HA_TOKEN, token);
    return memmem(line, n, token, strlen(token)) != NULL;
}

/* "VERB out0 192.0.2.5/24" to ip's order of words. */
static void put_addresses(struct sv_buf *b, const char *verb, const struct sv_buf *text, const struct sv_buf *other)
{
    const char *at = text->p, *line;
    size_t n;
    while (next_line(&at, &line, &n)) {
        size_t device = strcspn(line, " ");
        if (!has_line(other, line, n) && !is_token(line, n))
            sv_buf_printf(b, "addr %s %.*s dev %.*s\n", verb, (int)(n - device - 1), line + device + 1, (int)device,
                          line);
    }
}

/* New addresses, then routes that name them, then old ones: a route goes with the address that it names. */
static enum sv_err mend_addresses(const struct router *r, const struct sv_buf *want, const struct sv_buf *is,
                                  struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    put_addresses(&b, "add", want, is);
    sv_buf_puts(&b, "link set dev lo up\nlink set dev " TRANSIT_DEV " up\n");
    if (r->outer)
        sv_buf_puts(&b, "link set dev " OUTER_DEV " up\n");
    if (r->want->ha)
        sv_buf_puts(&b, "link set dev " PAIR_DEV " up\n");
    return ip_batch(&r->work, r->names.netns, &b, err);
}

/* One that only changes is replaced in place; what is left over then goes. */
static enum sv_err mend_routes(const struct router *r, const char *verb, bool theirs, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf want = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf is = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    router_routes_text(r->want, r->outer, &want);
    enum sv_err rc = look_routes(r, &is, err);
    put_difference(&b, verb, theirs ? &is : &want, theirs ? &want : &is);
    return rc ? rc : ip_batch(&r->work, r->names.netns, &b, err);
}

static enum sv_err drop_addresses(const struct router *r, const struct sv_buf *want, const struct sv_buf *is,
                                  struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    put_addresses(&b, "del", is, want);
    return ip_batch(&r->work, r->names.netns, &b, err);
}

enum sv_err router_link_address(const struct router *r, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf want = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf said = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf is = {0};
    router_addresses_text(r->want, r->instance, r->outer, &want);
    enum sv_err rc = look_addresses(r, &said, err);
    address_lines(&said, &is);
    if (!rc)
        rc = mend_addresses(r, &want, &is, err);
    if (!rc)
        rc = mend_routes(r, "route replace", false, err);
    if (!rc)
        rc = mend_routes(r, "route del", true, err);
    return rc ? rc : drop_addresses(r, &want, &is, err);
}

/* --- removing --- */

enum sv_err router_link_remove(const struct router *r, struct sv_error *err)
{
    SV_CLEANUP(devices_free) struct devices d = {.netns_fd = -1};
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    const struct router_names *n = &r->names;
    enum sv_err rc = look(r, &d, err);
    if (!rc)
        rc = check_owner(r, &d, err);
    if (rc)
        return rc;
    /* The ports first: a namespace takes its devices with it only some time after it is gone. */
    rc = link_delete(&r->work, n->outer_port, err);
    if (!rc)
        rc = link_delete(&r->work, n->port, err);
    if (rc)
        return rc;
    if (d.netns_fd >= 0 || access(n->netns_path, F_OK) == 0)
        sv_buf_printf(&b, "netns del %s\n", n->netns);
    if (d.transit.index && r->instance == 0)
        sv_buf_printf(&b, "link del dev %s\n", n->transit);
    return ip_batch(&r->work, NULL, &b, err);
}
