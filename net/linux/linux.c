#include "net/linux/filter.h"
#include "net/linux/router.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NETNS_DIR "/run/netns/"

/* --- names --- */

/* The last twelve hex digits: `tail` of a UUIDv7 is random. */
static const char *id_tail(const struct sv_id *id)
{
    return id->s + SV_ID_LEN - 12;
}

void name_of(const char *prefix, const struct sv_id *id, char *buf, size_t size)
{
    size_t n = strlen(prefix);
    sv_copy(buf, size, prefix);
    sv_copy(buf + n, size - n, sv_id_valid(id->s) ? id_tail(id) : "");
}

void vpc_netns_path(const struct sv_id *vpc, char buf[40])
{
    name_of(NETNS_DIR "sv-", vpc, buf, 40);
}

void names_of(const struct linux_net *net, const struct sv_id *vpc, struct names *ret)
{
    name_of(BRIDGE_PREFIX, vpc, ret->bridge, sizeof(ret->bridge));
    leg_name(vpc, ret->leg);
    name_of("sv-", vpc, ret->netns, sizeof(ret->netns));
    vpc_netns_path(vpc, ret->netns_path);
    ret->dir = sv_asprintf("%s/%s", net->dir, vpc->s);
}

void tap_name(const struct sv_id *nic, char buf[16])
{
    sv_net_tap(nic, buf);
}

void leg_name(const struct sv_id *vpc, char buf[16])
{
    name_of("svl", vpc, buf, 16);
}

void id_mac(const struct sv_id *id, char buf[SV_MAC_LEN])
{
    const char *t = id->s + SV_ID_LEN - 10; /* behind a locally administered byte, of the random part */
    snprintf(buf, SV_MAC_LEN, "02:%.2s:%.2s:%.2s:%.2s:%.2s", t, t + 2, t + 4, t + 6, t + 8);
}

void names_free(struct names *n)
{
    free(n->dir);
    n->dir = NULL;
}

/* --- open --- */

static enum sv_err config(struct sv_error *err, const char *why)
{
    return sv_fail(err, SV_E_CONFIG, SV_F_NONE, why);
}

static bool have_capability(unsigned cap)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capget, &head, data) != 0)
        return false;
    return (data[CAP_TO_INDEX(cap)].effective & CAP_TO_MASK(cap)) != 0;
}

static enum sv_err find_tools(struct linux_net *net, struct sv_error *err)
{
    net->ip = tool_find("ip");
    net->dnsmasq = tool_find("dnsmasq");
    net->setpriv = tool_find("setpriv");
    if (!net->ip)
        return config(err, "--network linux needs the program ip (package iproute2)");
    if (!net->dnsmasq)
        return config(err, "--network linux needs the program dnsmasq (package dnsmasq-base)");
    if (!net->setpriv)
        return config(err, "--network linux needs the program setpriv (package util-linux)");
    return SV_OK;
}

static enum sv_err make_dir(struct linux_net *net, const char *data_dir, struct sv_error *err)
{
    SV_AUTOFREE char *whole = realpath(data_dir, NULL);
    if (!whole)
        return net_errno(err, "open", data_dir);
    /* The path becomes an argument of dnsmasq's, which reads commas and line ends as its own. */
    for (const unsigned char *p = (const unsigned char *)whole; *p; p++)
        if (*p < ' ' || *p == ',' || *p == '"')
            return config(err, "--data has a comma, a quote or a control character in its path");
    net->dir = sv_asprintf("%s/net", whole);
    net->host_dir = sv_asprintf("%s/net-host", whole);
    if (mkdir(net->dir, 0700) != 0 && errno != EEXIST)
        return net_errno(err, "create", net->dir);
    net->router_dir = sv_asprintf("%s/net-router", whole);
    if (mkdir(net->host_dir, 0700) != 0 && errno != EEXIST)
        return net_errno(err, "create", net->host_dir);
    if (mkdir(net->router_dir, 0700) != 0 && errno != EEXIST)
        return net_errno(err, "create", net->router_dir);
    return SV_OK;
}

static enum sv_err find_outer(struct linux_net *net, const char *bridge, struct sv_error *err)
{
    struct device d = {0};
    if (!bridge)
        return SV_OK;
    if (!sv_net_word(bridge) || strlen(bridge) > SV_NET_DEVICE_LEN)
        return config(err, "--net.outer is no name of a bridge");
    enum sv_err rc = device_look(bridge, &d, err);
    if (rc)
        return rc;
    SV_AUTOFREE char *why = d.index ? sv_asprintf("--net.outer: %s is no bridge", bridge)
                                    : sv_asprintf("--net.outer: there is no bridge %s on this machine", bridge);
    if (strcmp(d.kind, "bridge") != 0)
        return config(err, why);
    net->outer = sv_strdup(bridge);
    return SV_OK;
}

static void linux_close(struct sv_net *base)
{
    struct linux_net *net = (struct linux_net *)base;
    free(net->dir);
    free(net->host_dir);
    free(net->router_dir);
    free(net->outer);
    free(net->ip);
    free(net->dnsmasq);
    free(net->setpriv);
    marks_free(net->marks);
    pthread_mutex_destroy(&net->filters);
    free(net);
}

static enum sv_err linux_open(const struct sv_net_options *opt, struct sv_net **ret, struct sv_error *err)
{
    if (!have_capability(CAP_NET_ADMIN) || !have_capability(CAP_SYS_ADMIN))
        return config(err, "--network linux needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN); use --network none without");
    struct linux_net *net = sv_alloc(sizeof(*net));
    net->head.ops = &sv_net_linux_ops;
    net->marks = marks_new();
    pthread_mutex_init(&net->filters, NULL);
    enum sv_err rc = find_tools(net, err);
    if (!rc)
        rc = make_dir(net, opt->data_dir, err);
    if (!rc)
        rc = find_outer(net, opt->outer, err);
    if (!rc)
        rc = filter_open(net, err);
    if (!rc)
        *ret = &net->head;
    else
        linux_close(&net->head);
    return rc;
}

/* --- VPCs --- */

static void vpc_free(struct vpc *v)
{
    names_free(&v->names);
}

void work_init(struct work *w, const struct sv_net *net, const struct sv_deadline *d)
{
    w->net = (const struct linux_net *)net;
    w->deadline = d ? *d : (struct sv_deadline){0};
}

static void vpc_init(struct vpc *v, const struct sv_net *net, const struct sv_net_vpc *want,
                     const struct sv_deadline *d)
{
    v->want = want;
    work_init(&v->work, net, d);
    names_of(v->work.net, &want->id, &v->names);
}

static enum sv_err check_vpc(const struct sv_net_vpc *vpc, struct sv_error *err)
{
    if (!sv_id_valid(vpc->id.s) || vpc->prefix < 8 || vpc->prefix > 30 || vpc->uplink.slot >= SV_NET_MAX_LEGS)
        return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, "not a VPC");
    return SV_OK;
}

static enum sv_err linux_apply(struct sv_net *net, const struct sv_net_vpc *vpc, const struct sv_net_nic *nics,
                               size_t n, const struct sv_deadline *d, struct sv_error *err)
{
    SV_CLEANUP(vpc_free) struct vpc v = {0};
    enum sv_err rc = check_vpc(vpc, err);
    if (rc)
        return rc;
    vpc_init(&v, net, vpc, d);
    /* First of all and last to go: what exists of a VPC is found again by its directory. */
    if (mkdir(v.names.dir, 0700) != 0 && errno != EEXIST)
        return net_errno(err, "create", v.names.dir);
    rc = link_ensure(&v, nics, n, err);
    if (!rc)
        rc = uplink_ensure(&v, err);
    return rc ? rc : dhcp_ensure(&v, nics, n, err);
}

static enum sv_err linux_remove(struct sv_net *net, const struct sv_id *vpc, const struct sv_deadline *d,
                                struct sv_error *err)
{
    SV_CLEANUP(vpc_free) struct vpc v = {0};
    const struct sv_net_vpc gone = {.id = *vpc, .prefix = 24};
    enum sv_err rc = check_vpc(&gone, err);
    if (rc)
        return rc;
    vpc_init(&v, net, &gone, d);
    rc = dhcp_remove(&v, err);
    if (!rc)
        rc = uplink_remove(&v, err);
    if (!rc)
        rc = link_remove(&v, err);
    if (!rc && rmdir(v.names.dir) != 0 && errno != ENOENT)
        rc = net_errno(err, "remove", v.names.dir);
    return rc;
}

static enum sv_err linux_whole(struct sv_net *net, const struct sv_net_vpc *vpc, const struct sv_net_nic *nics,
                               size_t n, bool *ret, struct sv_error *err)
{
    SV_CLEANUP(vpc_free) struct vpc v = {0};
    enum sv_err rc = check_vpc(vpc, err);
    if (rc)
        return rc;
    vpc_init(&v, net, vpc, NULL);
    rc = link_whole(&v, nics, n, ret, err);
    if (!rc && *ret)
        rc = uplink_whole(&v, ret, err);
    return rc || !*ret ? rc : dhcp_whole(&v, nics, n, ret, err);
}

static void linux_attach(struct sv_net *net, const struct sv_id *vpc, const struct sv_id *nic, struct sv_hv_nic *ret)
{
    (void)net;
    ret->kind = SV_HV_NIC_BRIDGE;
    name_of(BRIDGE_PREFIX, vpc, ret->bridge, sizeof(ret->bridge));
    tap_name(nic, ret->tap);
}

enum sv_err ids_in(const char *path, void (*row)(void *arg, const struct sv_id *id), void *arg, struct sv_error *err)
{
    DIR *dir = opendir(path);
    if (!dir)
        return net_errno(err, "open", path);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        const struct sv_id id = sv_id_from(e->d_name);
        if (!sv_id_empty(&id))
            row(arg, &id);
    }
    closedir(dir);
    return SV_OK;
}

static enum sv_err linux_list(struct sv_net *base, void (*row)(void *arg, const struct sv_id *vpc), void *arg,
                              struct sv_error *err)
{
    return ids_in(((const struct linux_net *)base)->dir, row, arg, err);
}

const struct sv_net_ops sv_net_linux_ops = {
    .name = "linux",
    .open = linux_open,
    .close = linux_close,
    .vpc_apply = linux_apply,
    .vpc_remove = linux_remove,
    .vpc_whole = linux_whole,
    .attach = linux_attach,
    .list = linux_list,
    .host_apply = host_apply,
    .host_remove = host_remove,
    .host_list = host_list,
    .router_apply = router_apply,
    .router_remove = router_remove,
    .router_whole = router_whole,
    .router_look = router_look,
    .router_rules = router_rules,
    .router_nodes = router_nodes,
    .router_list = router_list,
    .filter_apply = filter_apply,
    .filter_remove = filter_remove,
    .filter_whole = filter_whole,
    .filter_look = filter_look,
    .filter_list = filter_list,
    .group_apply = group_apply,
    .group_remove = group_remove,
    .group_whole = group_whole,
    .group_list = group_list,
};
