/* The engine's table: each call makes a plan and has it applied. Networks on physical interfaces are this machine's,
 * not OVN's: the Linux engine makes them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/ovn/router.h"
#include "net/tools.h"

static const struct ovn_net *of(const struct sv_net *net)
{
    return (const struct ovn_net *)net;
}

/* --- open --- */

static enum sv_err config(struct sv_error *err, const char *why)
{
    return sv_fail(err, SV_E_CONFIG, SV_F_NONE, why);
}

static enum sv_err file_failed(const char *what, const char *path, struct sv_error *err)
{
    const char *reason = strerrordesc_np(errno);
    SV_AUTOFREE char *text = sv_asprintf("%s %s: %s", what, path, reason ? reason : "unknown error");
    return sv_fail(err, SV_E_NETWORK, SV_F_NONE, text);
}

static bool read_owner(const char *path, struct sv_id *ret)
{
    char text[SV_ID_LEN + 2] = "";
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    text[n < 0 ? 0 : strcspn(text, "\n")] = '\0';
    *ret = sv_id_from(text);
    return !sv_id_empty(ret);
}

static bool write_owner(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    const ssize_t n = (ssize_t)strlen(text);
    const bool ok = fd >= 0 && write(fd, text, (size_t)n) == n && fsync(fd) == 0;
    return (fd < 0 || close(fd) == 0) && ok;
}

/* Made once: several servers may share a northbound database, and none touches the others' rows. */
static enum sv_err find_owner(struct ovn_net *net, const char *data_dir, struct sv_error *err)
{
    SV_AUTOFREE char *path = sv_asprintf("%s/net-ovn", data_dir);
    SV_AUTOFREE char *fresh = sv_asprintf("%s.new", path);
    struct sv_id id;
    if (!read_owner(path, &id)) {
        id = sv_id_new();
        if (!write_owner(fresh, id.s) || rename(fresh, path) != 0)
            return file_failed("write", path, err);
    }
    net->owner = sv_strdup(id.s);
    return SV_OK;
}

/* Names of chassis and of the outer network are words in OVN's own texts. */
static bool words(const char *list)
{
    SV_AUTOFREE char *all = sv_strdup(list);
    char *save = NULL;
    for (const char *one = strtok_r(all, ",", &save); one; one = strtok_r(NULL, ",", &save))
        if (!sv_net_word(one))
            return false;
    return list[strspn(list, ",")] != '\0';
}

static enum sv_err check_options(const struct sv_net_options *opt, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf why = {0};
    if (!opt->ovn_nb)
        return config(err, "--network ovn needs --ovn.nb ADDRESS, that of OVN's northbound database");
    const bool north = ovn_remotes_valid(opt->ovn_nb, &why);
    if (!north || (opt->ovn_sb && !ovn_remotes_valid(opt->ovn_sb, &why))) {
        SV_AUTOFREE char *text = sv_asprintf("--ovn.%s: %s", north ? "sb" : "nb", why.p);
        return config(err, text);
    }
    if (opt->outer && !sv_net_word(opt->outer))
        return config(err, "--net.outer is no name of ovn-bridge-mappings");
    if (opt->outer && !(opt->ovn_gateways && words(opt->ovn_gateways)))
        return config(err, "--net.outer needs --ovn.gateways NAME,...: the system-ids of the hosts that have it");
    return SV_OK;
}

static void ovn_close(struct sv_net *base)
{
    struct ovn_net *net = (struct ovn_net *)base;
    sv_net_close(net->host);
    free(net->host_why);
    free(net->owner);
    free(net->remotes);
    free(net->south);
    free(net->outer);
    free(net->gateways);
    free(net->place_dir);
    free(net->ovs);
    free(net->ip);
    free(net);
}

static void open_host(struct ovn_net *net, const struct sv_net_options *opt)
{
    struct sv_error err = {0};
    const struct sv_net_options plain = {.data_dir = opt->data_dir};
    if (sv_net_open("linux", &plain, &net->host, &err) != SV_OK)
        net->host_why = sv_strdup(err.arg[0]);
}

/* The database need not be there yet: what cannot be applied is told and tried again. */
static enum sv_err ovn_open(const struct sv_net_options *opt, struct sv_net **ret, struct sv_error *err)
{
    enum sv_err rc = check_options(opt, err);
    if (rc)
        return rc;
    struct ovn_net *net = sv_alloc(sizeof(*net));
    net->head.ops = &sv_net_ovn_ops;
    net->remotes = sv_strdup(opt->ovn_nb);
    net->south = sv_strdup(opt->ovn_sb);
    net->outer = sv_strdup(opt->outer);
    net->gateways = sv_strdup(opt->ovn_gateways);
    net->mtu = opt->ovn_mtu;
    net->netdev = opt->ovn_netdev;
    net->place_dir = sv_asprintf("%s/net-router", opt->data_dir);
    net->ovs = tool_find("ovs-vsctl");
    net->ip = tool_find("ip");
    rc = find_owner(net, opt->data_dir, err);
    if (rc) {
        ovn_close(&net->head);
        return rc;
    }
    open_host(net, opt);
    *ret = &net->head;
    return SV_OK;
}

/* --- VPCs --- */

static enum sv_err apply_plan(const struct sv_net *net, struct ovn_plan *p, const struct sv_deadline *d,
                              struct sv_error *err)
{
    const enum sv_err rc = ovn_apply(of(net), p, d, err);
    ovn_plan_free(p);
    return rc;
}

static enum sv_err vpc_apply(struct sv_net *net, const struct sv_net_vpc *vpc, const struct sv_net_nic *nics, size_t n,
                             const struct sv_deadline *d, struct sv_error *err)
{
    struct ovn_plan p;
    ovn_plan_vpc(of(net), vpc, nics, n, &p);
    return apply_plan(net, &p, d, err);
}

static enum sv_err is_plan(const struct sv_net *net, struct ovn_plan *p, bool *ret, struct sv_error *err)
{
    const enum sv_err rc = ovn_whole(of(net), p, ret, err);
    ovn_plan_free(p);
    return rc;
}

static enum sv_err vpc_whole(struct sv_net *net, const struct sv_net_vpc *vpc, const struct sv_net_nic *nics, size_t n,
                             bool *ret, struct sv_error *err)
{
    struct ovn_plan p;
    ovn_plan_vpc(of(net), vpc, nics, n, &p);
    return is_plan(net, &p, ret, err);
}

static enum sv_err vpc_remove(struct sv_net *net, const struct sv_id *vpc, const struct sv_deadline *d,
                              struct sv_error *err)
{
    return ovn_remove(of(net), "vpc", vpc, d, err);
}

static enum sv_err vpc_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *vpc), void *arg,
                            struct sv_error *err)
{
    return ovn_list(of(net), "vpc", row, arg, err);
}

static void attach(struct sv_net *net, const struct sv_id *vpc, const struct sv_id *nic, struct sv_hv_nic *ret)
{
    (void)vpc;
    ret->kind = SV_HV_NIC_OVS;
    SV_COPY(ret->bridge, OVN_BRIDGE);
    sv_net_tap(nic, ret->tap);
    ret->mtu = (unsigned)of(net)->mtu;
    ret->plain = of(net)->netdev;
}

/* --- filters and groups --- */

static enum sv_err filter_apply(struct sv_net *net, const struct sv_net_filter *want, const struct sv_deadline *d,
                                struct sv_error *err)
{
    struct ovn_plan p;
    ovn_plan_filter(of(net), want, &p);
    return apply_plan(net, &p, d, err);
}

static enum sv_err filter_whole(struct sv_net *net, const struct sv_net_filter *want, bool *ret, struct sv_error *err)
{
    struct ovn_plan p;
    ovn_plan_filter(of(net), want, &p);
    return is_plan(net, &p, ret, err);
}

static enum sv_err filter_remove(struct sv_net *net, const struct sv_id *nic, const struct sv_deadline *d,
                                 struct sv_error *err)
{
    return ovn_remove(of(net), "nic", nic, d, err);
}

static enum sv_err filter_look(struct sv_net *net, const struct sv_id *nic, sv_net_rule_fn *row, void *arg,
                               struct sv_error *err)
{
    return ovn_nic_rules(of(net), nic, row, arg, err);
}

static enum sv_err filter_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *nic), void *arg,
                               struct sv_error *err)
{
    return ovn_list(of(net), "nic", row, arg, err);
}

static enum sv_err group_apply(struct sv_net *net, const struct sv_net_group *want, const struct sv_deadline *d,
                               struct sv_error *err)
{
    struct ovn_plan p;
    ovn_plan_group(of(net), want, &p);
    return apply_plan(net, &p, d, err);
}

static enum sv_err group_whole(struct sv_net *net, const struct sv_net_group *want, bool *ret, struct sv_error *err)
{
    struct ovn_plan p;
    ovn_plan_group(of(net), want, &p);
    return is_plan(net, &p, ret, err);
}

static enum sv_err group_remove(struct sv_net *net, const struct sv_id *group, const struct sv_deadline *d,
                                struct sv_error *err)
{
    return ovn_remove(of(net), "group", group, d, err);
}

static enum sv_err group_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *group), void *arg,
                              struct sv_error *err)
{
    return ovn_list(of(net), "group", row, arg, err);
}

/* --- routers --- */

/* What can be is in force before the rest is told of. */
static enum sv_err router_apply(struct sv_net *net, const struct sv_net_router *want, const struct sv_deadline *d,
                                struct sv_error *err)
{
    struct ovn_plan p;
    const char *lacks = ovn_router_lacks(of(net), want);
    ovn_plan_router(of(net), want, &p);
    enum sv_err rc = apply_plan(net, &p, d, err);
    if (!rc)
        rc = ovn_place_apply(of(net), want, d, err);
    return !rc && lacks ? sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, lacks) : rc;
}

static enum sv_err router_whole(struct sv_net *net, const struct sv_net_router *want, bool *ret, struct sv_error *err)
{
    struct ovn_plan p;
    ovn_plan_router(of(net), want, &p);
    const enum sv_err rc = is_plan(net, &p, ret, err);
    return rc || !*ret ? rc : ovn_place_whole(of(net), &want->id, ret, err);
}

static enum sv_err router_remove(struct sv_net *net, const struct sv_id *router, const struct sv_deadline *d,
                                 struct sv_error *err)
{
    const enum sv_err rc = ovn_place_remove(of(net), router, d, err);
    return rc ? rc : ovn_remove(of(net), "router", router, d, err);
}

static enum sv_err router_look(struct sv_net *net, const struct sv_id *router, struct sv_net_router_facts *ret,
                               struct sv_error *err)
{
    bool whole = true;
    enum sv_err rc = ovn_router_look(of(net), router, ret, err);
    if (!rc)
        rc = ovn_place_whole(of(net), router, &whole, err);
    if (!rc)
        ret->there = ret->there && whole;
    return rc;
}

static enum sv_err router_rules(struct sv_net *net, const struct sv_id *router, sv_net_rule_fn *row, void *arg,
                                struct sv_error *err)
{
    return ovn_rules(of(net), "router", router, row, arg, err);
}

static enum sv_err router_nodes(struct sv_net *net, const struct sv_id *router, sv_net_node_fn *row, void *arg,
                                struct sv_error *err)
{
    const enum sv_err rc = ovn_router_nodes(of(net), router, row, arg, err);
    return rc ? rc : ovn_place_nodes(of(net), router, row, arg, err);
}

static enum sv_err router_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *router), void *arg,
                               struct sv_error *err)
{
    return ovn_list(of(net), "router", row, arg, err);
}

/* --- networks on physical interfaces --- */

static enum sv_err no_host(const struct sv_net *net, struct sv_error *err)
{
    return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, of(net)->host_why);
}

static enum sv_err host_apply(struct sv_net *net, const struct sv_net_host *want, const struct sv_deadline *d,
                              struct sv_error *err)
{
    struct sv_net *host = of(net)->host;
    return host ? host->ops->host_apply(host, want, d, err) : no_host(net, err);
}

static enum sv_err host_remove(struct sv_net *net, const struct sv_id *id, const struct sv_deadline *d,
                               struct sv_error *err)
{
    struct sv_net *host = of(net)->host;
    return host ? host->ops->host_remove(host, id, d, err) : no_host(net, err);
}

static enum sv_err host_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *id), void *arg,
                             struct sv_error *err)
{
    struct sv_net *host = of(net)->host;
    return host ? host->ops->host_list(host, row, arg, err) : SV_OK;
}

const struct sv_net_ops sv_net_ovn_ops = {
    .name = "ovn",
    .open = ovn_open,
    .close = ovn_close,
    .vpc_apply = vpc_apply,
    .vpc_remove = vpc_remove,
    .vpc_whole = vpc_whole,
    .attach = attach,
    .list = vpc_list,
    .host_apply = host_apply,
    .host_remove = host_remove,
    .host_list = host_list,
    .filter_apply = filter_apply,
    .filter_remove = filter_remove,
    .filter_whole = filter_whole,
    .filter_look = filter_look,
    .filter_list = filter_list,
    .group_apply = group_apply,
    .group_remove = group_remove,
    .group_whole = group_whole,
    .group_list = group_list,
    .router_apply = router_apply,
    .router_remove = router_remove,
    .router_whole = router_whole,
    .router_look = router_look,
    .router_rules = router_rules,
    .router_nodes = router_nodes,
    .router_list = router_list,
};
