/* Where HAProxy and nginx run for OVN's routers: a namespace svr-… of this machine, its device in br-int. Nothing is
 * remembered: each call asks for what there is. The directory DIR/net-router/<id> comes first and goes last. */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/balance.h"
#include "net/ovn/router.h"
#include "net/tools.h"

#define INNER     "pl0"
#define OVS_LIMIT "--timeout=8" /* [s] */

struct place {
    const struct ovn_net *net;
    const struct sv_id *router;
    struct sv_deadline deadline;
    struct sv_arena *arena;
    const char *netns, *path, *device, *dir, *balance;
};

static void place_init(struct place *p, const struct ovn_net *net, const struct sv_id *router,
                       const struct sv_deadline *d)
{
    const struct sv_deadline none = {0};
    const char *tail = sv_id_valid(router->s) ? router->s + SV_ID_LEN - 12 : "";
    *p = (struct place){.net = net, .router = router, .deadline = d ? *d : none, .arena = sv_arena_new()};
    p->netns = sv_arena_printf(p->arena, "svr-%s", tail);
    p->path = sv_arena_printf(p->arena, "/run/netns/%s", p->netns);
    p->device = sv_arena_printf(p->arena, "svk%s", tail);
    p->dir = sv_arena_printf(p->arena, "%s/%s", net->place_dir, router->s);
    p->balance = sv_arena_printf(p->arena, "%s/balance", p->dir);
}

static void place_free(struct place *p)
{
    sv_arena_free(p->arena);
}

static enum sv_err run(const struct place *p, const char *const *argv, const char *input, struct sv_error *err)
{
    return program_run(&p->deadline, argv, input, 0, NULL, err);
}

static enum sv_err ip_batch(const struct place *p, bool inside, struct sv_buf *batch, struct sv_error *err)
{
    const char *const here[] = {p->net->ip, "-batch", "-", NULL};
    const char *const there[] = {p->net->ip, "-n", p->netns, "-batch", "-", NULL};
    return batch->n ? run(p, inside ? there : here, batch->p, err) : SV_OK;
}

/* --- the namespace and its device --- */

/* The user-space datapath hands frames on as they are: checksums have to be whole. In the calling thread's namespace.
 */
static bool make_checksums(const char *device)
{
    struct ethtool_value off = {.cmd = ETHTOOL_STXCSUM, .data = 0};
    struct ifreq ask = {.ifr_data = (void *)&off};
    SV_AUTOFD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    SV_COPY(ask.ifr_name, device);
    return fd >= 0 && ioctl(fd, SIOCETHTOOL, &ask) == 0;
}

struct inside {
    bool there, done;
};

static void look_inside(void *arg)
{
    ((struct inside *)arg)->there = if_nametoindex(INNER) != 0;
}

static void make_checksums_inside(void *arg)
{
    ((struct inside *)arg)->done = make_checksums(INNER);
}

static enum sv_err make_missing(const struct place *p, bool *ret_made, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    SV_AUTOFD int fd = netns_open(p->path);
    struct inside in = {0};
    enum sv_err rc = fd < 0 ? SV_OK : netns_call(fd, look_inside, &in, err);
    if (rc)
        return rc;
    if (fd < 0 && access(p->path, F_OK) == 0)
        sv_buf_printf(&b, "netns del %s\n", p->netns);
    if (fd < 0)
        sv_buf_printf(&b, "netns add %s\n", p->netns);
    const bool outside = if_nametoindex(p->device) != 0;
    if (outside && !in.there) /* of a namespace that was lost */
        sv_buf_printf(&b, "link del %s\n", p->device);
    *ret_made = !outside || !in.there;
    if (*ret_made)
        sv_buf_printf(&b, "link add name %s type veth peer name %s address %s netns %s\n", p->device, INNER,
                      ovn_place_mac(p->arena, p->router), p->netns);
    return ip_batch(p, false, &b, err);
}

static enum sv_err set_devices(const struct place *p, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf in = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    sv_buf_printf(&out, "link set dev %s mtu %lld up\n", p->device, (long long)p->net->mtu);
    sv_buf_printf(&in, "link set dev lo up\nlink set dev %s mtu %lld up\naddr replace %s dev %s\n", INNER,
                  (long long)p->net->mtu, ovn_cidr(p->arena, OVN_PLACE_IP, OVN_PLACE_PREFIX), INNER);
    sv_buf_printf(&in, "route replace default via %s\n", ovn_ip(p->arena, OVN_PLACE_GATEWAY));
    enum sv_err rc = ip_batch(p, false, &out, err);
    return rc ? rc : ip_batch(p, true, &in, err);
}

static enum sv_err set_checksums(const struct place *p, int netns_fd, struct sv_error *err)
{
    struct inside in = {0};
    if (!p->net->netdev)
        return SV_OK;
    enum sv_err rc = netns_call(netns_fd, make_checksums_inside, &in, err);
    if (!rc && !(in.done && make_checksums(p->device)))
        rc = net_errno(err, "turn off checksum offload of", p->device);
    return rc;
}

static enum sv_err plug(const struct place *p, struct sv_error *err)
{
    struct sv_arena *a = p->arena;
    const char *id = sv_arena_printf(a, "external_ids:iface-id=%s", ovn_place_port(a, p->router));
    const char *owner = sv_arena_printf(a, "external_ids:starvirt=%s", p->net->owner);
    return run(p,
               (const char *const[]){p->net->ovs, OVS_LIMIT, "--may-exist", "add-port", OVN_BRIDGE, p->device, "--",
                                     "set", "interface", p->device, id, owner, NULL},
               NULL, err);
}

static enum sv_err unplug(const struct place *p, struct sv_error *err)
{
    return run(p, (const char *const[]){p->net->ovs, OVS_LIMIT, "--if-exists", "del-port", OVN_BRIDGE, p->device, NULL},
               NULL, err);
}

/* --- applying --- */

static enum sv_err make_dir(const char *path, struct sv_error *err)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST ? SV_OK : net_errno(err, "create", path);
}

/* Open vSwitch holds on to a device that is gone: of another one of that name it has to be told. */
static enum sv_err make_device(const struct place *p, struct sv_error *err)
{
    bool made = false;
    enum sv_err rc = make_missing(p, &made, err);
    return rc || !made ? rc : unplug(p, err);
}

static enum sv_err serve(const struct place *p, const struct sv_net_balancer *v, size_t n, struct sv_error *err)
{
    enum sv_err rc = make_dir(p->net->place_dir, err);
    if (!rc)
        rc = make_dir(p->dir, err);
    if (!rc)
        rc = make_device(p, err);
    if (rc)
        return rc;
    SV_AUTOFD int fd = netns_open(p->path);
    if (fd < 0)
        return net_errno(err, "open", p->path);
    rc = set_devices(p, err);
    if (!rc)
        rc = set_checksums(p, fd, err);
    if (!rc)
        rc = plug(p, err);
    return rc ? rc : balance_apply(&p->deadline, fd, p->balance, v, n, err);
}

static enum sv_err delete_devices(const struct place *p, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    if (if_nametoindex(p->device) != 0)
        sv_buf_printf(&b, "link del %s\n", p->device);
    if (access(p->path, F_OK) == 0)
        sv_buf_printf(&b, "netns del %s\n", p->netns);
    return ip_batch(p, false, &b, err);
}

static enum sv_err end(const struct place *p, struct sv_error *err)
{
    if (access(p->dir, F_OK) != 0 && errno == ENOENT)
        return SV_OK;
    SV_AUTOFD int fd = netns_open(p->path);
    enum sv_err rc = balance_remove(&p->deadline, fd, p->balance, err);
    if (!rc && p->net->ovs)
        rc = unplug(p, err);
    if (!rc && p->net->ip)
        rc = delete_devices(p, err);
    if (!rc && rmdir(p->dir) != 0 && errno != ENOENT)
        rc = net_errno(err, "remove", p->dir);
    return rc;
}

enum sv_err ovn_place_apply(const struct ovn_net *net, const struct sv_net_router *want, const struct sv_deadline *d,
                            struct sv_error *err)
{
    SV_CLEANUP(place_free) struct place p;
    size_t n;
    SV_AUTOFREE struct sv_net_balancer *v = ovn_placed(net, want, &n);
    place_init(&p, net, &want->id, d);
    return n ? serve(&p, v, n, err) : end(&p, err);
}

enum sv_err ovn_place_remove(const struct ovn_net *net, const struct sv_id *router, const struct sv_deadline *d,
                             struct sv_error *err)
{
    SV_CLEANUP(place_free) struct place p;
    place_init(&p, net, router, d);
    return end(&p, err);
}

enum sv_err ovn_place_whole(const struct ovn_net *net, const struct sv_id *router, bool *ret, struct sv_error *err)
{
    SV_CLEANUP(place_free) struct place p;
    const struct sv_deadline limit = sv_deadline_within(NULL, NET_COMMAND_MS);
    place_init(&p, net, router, &limit);
    *ret = true;
    if (access(p.dir, F_OK) != 0 && errno == ENOENT)
        return SV_OK;
    SV_AUTOFD int fd = netns_open(p.path);
    *ret = fd >= 0 && if_nametoindex(p.device) != 0;
    return *ret ? balance_whole(&p.deadline, fd, p.balance, ret, err) : SV_OK;
}

enum sv_err ovn_place_nodes(const struct ovn_net *net, const struct sv_id *router, sv_net_node_fn *row, void *arg,
                            struct sv_error *err)
{
    SV_CLEANUP(place_free) struct place p;
    const struct sv_deadline limit = sv_deadline_within(NULL, NET_COMMAND_MS);
    place_init(&p, net, router, &limit);
    return balance_nodes(&p.deadline, p.balance, row, arg, err);
}
