#include "net/linux/internal.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
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

static void name_of(const char *prefix, const struct sv_id *id, char *buf, size_t size)
{
    size_t n = strlen(prefix);
    sv_copy(buf, size, prefix);
    sv_copy(buf + n, size - n, sv_id_valid(id->s) ? id_tail(id) : "");
}

void names_of(const struct linux_net *net, const struct sv_id *vpc, struct names *ret)
{
    name_of("svb", vpc, ret->bridge, sizeof(ret->bridge));
    name_of("svl", vpc, ret->leg, sizeof(ret->leg));
    name_of("sv-", vpc, ret->netns, sizeof(ret->netns));
    name_of(NETNS_DIR "sv-", vpc, ret->netns_path, sizeof(ret->netns_path));
    ret->dir = sv_asprintf("%s/%s", net->dir, vpc->s);
}

void tap_name(const struct sv_id *nic, char buf[16])
{
    name_of("svt", nic, buf, 16);
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
    if (mkdir(net->dir, 0700) != 0 && errno != EEXIST)
        return net_errno(err, "create", net->dir);
    return SV_OK;
}

static void linux_close(struct sv_net *base)
{
    struct linux_net *net = (struct linux_net *)base;
    free(net->dir);
    free(net->ip);
    free(net->dnsmasq);
    free(net->setpriv);
    free(net);
}

static enum sv_err linux_open(const struct sv_net_options *opt, struct sv_net **ret, struct sv_error *err)
{
    if (!have_capability(CAP_NET_ADMIN) || !have_capability(CAP_SYS_ADMIN))
        return config(err, "--network linux needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN); use --network none without");
    struct linux_net *net = sv_alloc(sizeof(*net));
    net->head.ops = &sv_net_linux_ops;
    enum sv_err rc = find_tools(net, err);
    if (rc == SV_OK)
        rc = make_dir(net, opt->data_dir, err);
    if (rc == SV_OK)
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

static void vpc_init(struct vpc *v, const struct sv_net *net, const struct sv_net_vpc *want,
                     const struct sv_deadline *d)
{
    v->net = (const struct linux_net *)net;
    v->want = want;
    v->deadline = d ? *d : (struct sv_deadline){0};
    names_of(v->net, &want->id, &v->names);
}

static enum sv_err check_vpc(const struct sv_net_vpc *vpc, struct sv_error *err)
{
    if (!sv_id_valid(vpc->id.s) || vpc->prefix < 8 || vpc->prefix > 30)
        return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, "not a VPC");
    return SV_OK;
}

static enum sv_err linux_apply(struct sv_net *net, const struct sv_net_vpc *vpc, const struct sv_net_nic *nics,
                               size_t n, const struct sv_deadline *d, struct sv_error *err)
{
    SV_CLEANUP(vpc_free) struct vpc v = {0};
    enum sv_err rc = check_vpc(vpc, err);
    if (rc != SV_OK)
        return rc;
    vpc_init(&v, net, vpc, d);
    /* First of all and last to go: what exists of a VPC is found again by its directory. */
    if (mkdir(v.names.dir, 0700) != 0 && errno != EEXIST)
        return net_errno(err, "create", v.names.dir);
    rc = link_ensure(&v, nics, n, err);
    return rc == SV_OK ? dhcp_ensure(&v, nics, n, err) : rc;
}

static enum sv_err linux_remove(struct sv_net *net, const struct sv_id *vpc, const struct sv_deadline *d,
                                struct sv_error *err)
{
    SV_CLEANUP(vpc_free) struct vpc v = {0};
    const struct sv_net_vpc gone = {.id = *vpc, .prefix = 24};
    enum sv_err rc = check_vpc(&gone, err);
    if (rc != SV_OK)
        return rc;
    vpc_init(&v, net, &gone, d);
    rc = dhcp_remove(&v, err);
    if (rc == SV_OK)
        rc = link_remove(&v, err);
    if (rc == SV_OK && rmdir(v.names.dir) != 0 && errno != ENOENT)
        rc = net_errno(err, "remove", v.names.dir);
    return rc;
}

static void linux_attach(struct sv_net *net, const struct sv_id *vpc, const struct sv_id *nic, struct sv_hv_nic *ret)
{
    (void)net;
    ret->kind = SV_HV_NIC_BRIDGE;
    name_of("svb", vpc, ret->bridge, sizeof(ret->bridge));
    tap_name(nic, ret->tap);
}

static enum sv_err linux_list(struct sv_net *base, void (*row)(void *arg, const struct sv_id *vpc), void *arg,
                              struct sv_error *err)
{
    const struct linux_net *net = (const struct linux_net *)base;
    DIR *dir = opendir(net->dir);
    if (!dir)
        return net_errno(err, "open", net->dir);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        const struct sv_id id = sv_id_from(e->d_name);
        if (!sv_id_empty(&id))
            row(arg, &id);
    }
    closedir(dir);
    return SV_OK;
}

const struct sv_net_ops sv_net_linux_ops = {
    .name = "linux",
    .open = linux_open,
    .close = linux_close,
    .vpc_apply = linux_apply,
    .vpc_remove = linux_remove,
    .attach = linux_attach,
    .list = linux_list,
};
