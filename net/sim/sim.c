/* The operations: the switches are asked, then the books are kept. */
#include <stdio.h>
#include <stdlib.h>

#include "net/sim/internal.h"

static struct sim_net *sim_of(struct sv_net *net)
{
    return (struct sim_net *)(void *)net;
}

static enum sv_err sim_open(const struct sv_net_options *opt, struct sv_net **ret, struct sv_error *err)
{
    struct sim_net *net = sv_alloc(sizeof(*net));
    enum sv_err rc;

    net->base.ops = &sv_net_sim_ops;
    net->dir = sv_asprintf("%s/net/sim", opt->data_dir);
    rc = sim_net_books_open(net->dir, err);
    if (rc) {
        sv_net_close(&net->base);
        return rc;
    }
    *ret = &net->base;
    return SV_OK;
}

static void sim_close(struct sv_net *net)
{
    free(sim_of(net)->dir);
    free(net);
}

static enum sv_err put(struct sv_net *net, const char *op, enum sim_net_kind kind, const struct sv_id *id,
                       const struct sv_buf *text, const struct sv_deadline *d, struct sv_error *err)
{
    enum sv_err rc = sim_net_switches(sim_of(net), op, id, d, err);

    if (!rc)
        rc = sim_net_put(sim_of(net), kind, id, text, err);
    sim_net_dies(sim_of(net), "die-after", op, id);
    return rc;
}

static enum sv_err drop(struct sv_net *net, const char *op, enum sim_net_kind kind, const struct sv_id *id,
                        const struct sv_deadline *d, struct sv_error *err)
{
    enum sv_err rc = sim_net_switches(sim_of(net), op, id, d, err);

    if (!rc)
        rc = sim_net_drop(sim_of(net), kind, id, err);
    sim_net_dies(sim_of(net), "die-after", op, id);
    return rc;
}

/* --- VPCs, and networks on a physical interface --- */

static enum sv_err sim_vpc_apply(struct sv_net *net, const struct sv_net_vpc *vpc, const struct sv_net_nic *nics,
                                 size_t n, const struct sv_deadline *d, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};

    sim_net_vpc_text(&text, vpc, nics, n);
    return put(net, "vpc_apply", SIM_NET_VPC, &vpc->id, &text, d, err);
}

static enum sv_err sim_vpc_remove(struct sv_net *net, const struct sv_id *vpc, const struct sv_deadline *d,
                                  struct sv_error *err)
{
    return drop(net, "vpc_remove", SIM_NET_VPC, vpc, d, err);
}

static enum sv_err is_text(struct sv_net *net, enum sim_net_kind kind, const struct sv_id *id,
                           const struct sv_buf *want, bool *ret, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf is = {0};
    bool there = false;
    const enum sv_err rc = sim_net_get(sim_of(net), kind, id, &is, &there, err);

    *ret = !rc && there && is.n == want->n && (!want->n || memcmp(is.p, want->p, is.n) == 0);
    return rc;
}

static enum sv_err sim_vpc_whole(struct sv_net *net, const struct sv_net_vpc *vpc, const struct sv_net_nic *nics,
                                 size_t n, bool *ret, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};

    sim_net_vpc_text(&text, vpc, nics, n);
    return is_text(net, SIM_NET_VPC, &vpc->id, &text, ret, err);
}

static enum sv_err sim_vpc_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *vpc), void *arg,
                                struct sv_error *err)
{
    return sim_net_list(sim_of(net), SIM_NET_VPC, row, arg, err);
}

static enum sv_err sim_host_apply(struct sv_net *net, const struct sv_net_host *want, const struct sv_deadline *d,
                                  struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};

    sv_buf_printf(&text, "device %s %u\n", want->device, want->vlan);
    return put(net, "host_apply", SIM_NET_HOST, &want->id, &text, d, err);
}

static enum sv_err sim_host_remove(struct sv_net *net, const struct sv_id *id, const struct sv_deadline *d,
                                   struct sv_error *err)
{
    return drop(net, "host_remove", SIM_NET_HOST, id, d, err);
}

static enum sv_err sim_host_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *id), void *arg,
                                 struct sv_error *err)
{
    return sim_net_list(sim_of(net), SIM_NET_HOST, row, arg, err);
}

/* --- what is in force, from the books --- */

/* Calls fn for each line that begins with `word` and an id: with the id, and with what comes behind it. */
static void each_line(const struct sv_buf *text, const char *word,
                      void (*fn)(void *arg, const struct sv_id *id, const char *rest), void *arg)
{
    const size_t n = strlen(word);

    for (const char *p = text->p ? text->p : ""; *p; p += strcspn(p, "\n"), p += *p == '\n') {
        SV_AUTOFREE char *id = NULL;
        struct sv_id found;

        if (strncmp(p, word, n) != 0 || p[n] != ' ')
            continue;
        id = sv_asprintf("%.*s", SV_ID_LEN, p + n + 1);
        found = sv_id_from(id);
        if (!sv_id_empty(&found))
            fn(arg, &found, p + n + 1 + SV_ID_LEN);
    }
}

struct rules {
    struct sv_net *net;
    sv_net_rule_fn *row;
    void *arg;
    struct sv_error *err;
    enum sv_err rc;
};

static void add_rule(void *arg, const struct sv_id *id, const char *rest)
{
    const struct rules *r = arg;

    (void)rest;
    r->row(r->arg, id);
}

static void add_rules_of_group(void *arg, const struct sv_id *group, const char *rest)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    struct rules *r = arg;
    bool there;

    (void)rest;
    if (r->rc)
        return;
    r->rc = sim_net_get(sim_of(r->net), SIM_NET_GROUP, group, &text, &there, r->err);
    each_line(&text, "rule", add_rule, r);
}

static enum sv_err rules_of(struct sv_net *net, enum sim_net_kind kind, const struct sv_id *id, sv_net_rule_fn *row,
                            void *arg, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    struct rules r = {.net = net, .row = row, .arg = arg, .err = err};
    bool there;

    r.rc = sim_net_get(sim_of(net), kind, id, &text, &there, err);
    if (r.rc || !there || strstr(text.p ? text.p : "", "\nfilter off\n"))
        return r.rc;
    each_line(&text, "rule", add_rule, &r);
    each_line(&text, "group", add_rules_of_group, &r);
    return r.rc;
}

/* --- filters and groups --- */

static enum sv_err sim_filter_apply(struct sv_net *net, const struct sv_net_filter *want, const struct sv_deadline *d,
                                    struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};

    sim_net_filter_text(&text, want);
    return put(net, "filter_apply", SIM_NET_FILTER, &want->nic, &text, d, err);
}

static enum sv_err sim_filter_remove(struct sv_net *net, const struct sv_id *nic, const struct sv_deadline *d,
                                     struct sv_error *err)
{
    return drop(net, "filter_remove", SIM_NET_FILTER, nic, d, err);
}

static enum sv_err sim_filter_look(struct sv_net *net, const struct sv_id *nic, sv_net_rule_fn *row, void *arg,
                                   struct sv_error *err)
{
    const enum sv_err rc = sim_net_switches(sim_of(net), "filter_look", nic, NULL, err);

    return rc ? rc : rules_of(net, SIM_NET_FILTER, nic, row, arg, err);
}

static enum sv_err sim_filter_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *nic), void *arg,
                                   struct sv_error *err)
{
    return sim_net_list(sim_of(net), SIM_NET_FILTER, row, arg, err);
}

static enum sv_err sim_group_apply(struct sv_net *net, const struct sv_net_group *want, const struct sv_deadline *d,
                                   struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};

    sim_net_group_text(&text, want);
    return put(net, "group_apply", SIM_NET_GROUP, &want->id, &text, d, err);
}

static enum sv_err sim_group_remove(struct sv_net *net, const struct sv_id *group, const struct sv_deadline *d,
                                    struct sv_error *err)
{
    return drop(net, "group_remove", SIM_NET_GROUP, group, d, err);
}

static enum sv_err sim_group_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *group), void *arg,
                                  struct sv_error *err)
{
    return sim_net_list(sim_of(net), SIM_NET_GROUP, row, arg, err);
}

/* --- routers --- */

static enum sv_err sim_router_apply(struct sv_net *net, const struct sv_net_router *want, const struct sv_deadline *d,
                                    struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};

    sim_net_router_text(&text, want);
    return put(net, "router_apply", SIM_NET_ROUTER, &want->id, &text, d, err);
}

static enum sv_err sim_router_remove(struct sv_net *net, const struct sv_id *router, const struct sv_deadline *d,
                                     struct sv_error *err)
{
    return drop(net, "router_remove", SIM_NET_ROUTER, router, d, err);
}

static enum sv_err sim_router_whole(struct sv_net *net, const struct sv_net_router *want, bool *ret,
                                    struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};

    sim_net_router_text(&text, want);
    return is_text(net, SIM_NET_ROUTER, &want->id, &text, ret, err);
}

static enum sv_err sim_router_look(struct sv_net *net, const struct sv_id *router, struct sv_net_router_facts *ret,
                                   struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    bool there;
    const enum sv_err rc = sim_net_get(sim_of(net), SIM_NET_ROUTER, router, &text, &there, err);

    if (rc)
        return rc;
    *ret = (struct sv_net_router_facts){.there = there};
    if (there)
        ret->instances_up = strstr(text.p ? text.p : "", "ha on") ? 2 : 1;
    if (ret->instances_up == 2)
        ret->active = sim_net_second(sim_of(net), router);
    ret->failovers = ret->active;
    return SV_OK;
}

static enum sv_err sim_router_rules(struct sv_net *net, const struct sv_id *router, sv_net_rule_fn *row, void *arg,
                                    struct sv_error *err)
{
    return rules_of(net, SIM_NET_ROUTER, router, row, arg, err);
}

struct nodes {
    sv_net_node_fn *row;
    void *arg;
};

/* "node BALANCER NODE on|off ...": what is on is up. */
static void add_node(void *arg, const struct sv_id *balancer, const char *rest)
{
    const struct nodes *n = arg;
    SV_AUTOFREE char *id = sv_asprintf("%.*s", SV_ID_LEN, rest + 1);
    const struct sv_net_node_fact fact = {
        .balancer = *balancer,
        .node = sv_id_from(id),
        .state = strncmp(rest + 1 + SV_ID_LEN, " on", 3) == 0 ? SV_NET_NODE_UP : SV_NET_NODE_OFF,
    };

    n->row(n->arg, &fact);
}

static enum sv_err sim_router_nodes(struct sv_net *net, const struct sv_id *router, sv_net_node_fn *row, void *arg,
                                    struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    struct nodes n = {row, arg};
    bool there;
    const enum sv_err rc = sim_net_get(sim_of(net), SIM_NET_ROUTER, router, &text, &there, err);

    if (!rc && there)
        each_line(&text, "node", add_node, &n);
    return rc;
}

static enum sv_err sim_router_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *router), void *arg,
                                   struct sv_error *err)
{
    return sim_net_list(sim_of(net), SIM_NET_ROUTER, row, arg, err);
}

/* Its NICs lead nowhere. */
static void sim_attach(struct sv_net *net, const struct sv_id *vpc, const struct sv_id *nic, struct sv_hv_nic *ret)
{
    sv_net_none_ops.attach(net, vpc, nic, ret);
}

const struct sv_net_ops sv_net_sim_ops = {
    .name = "sim",
    .open = sim_open,
    .close = sim_close,
    .vpc_apply = sim_vpc_apply,
    .vpc_remove = sim_vpc_remove,
    .vpc_whole = sim_vpc_whole,
    .attach = sim_attach,
    .list = sim_vpc_list,
    .host_apply = sim_host_apply,
    .host_remove = sim_host_remove,
    .host_list = sim_host_list,
    .filter_apply = sim_filter_apply,
    .filter_remove = sim_filter_remove,
    .filter_look = sim_filter_look,
    .filter_list = sim_filter_list,
    .group_apply = sim_group_apply,
    .group_remove = sim_group_remove,
    .group_list = sim_group_list,
    .router_apply = sim_router_apply,
    .router_remove = sim_router_remove,
    .router_whole = sim_router_whole,
    .router_look = sim_router_look,
    .router_rules = sim_router_rules,
    .router_nodes = sim_router_nodes,
    .router_list = sim_router_list,
};
