/* What filters and groups should be: rows of rules become ranges of numbers. */
#include "core/network/rules.h"

_Static_assert((int)SV_RULE_ANY == SV_NET_ANY && (int)SV_RULE_TCP == SV_NET_TCP && (int)SV_RULE_UDP == SV_NET_UDP &&
                   (int)SV_RULE_ICMP == SV_NET_ICMP,
               "rows and engines number protocols alike");

static enum sv_err convert(const struct sv_rule *r, struct sv_arena *a, struct sv_net_rule *ret, struct sv_error *err)
{
    enum sv_err rc;

    *ret = (struct sv_net_rule){.id = r->id, .in = r->in, .proto = (enum sv_net_proto)r->proto};
    rc = sv_parse_ranges(r->srcs, SV_F_RULE_SRC, a, &ret->src, err);
    if (!rc)
        rc = sv_parse_ranges(r->dsts, SV_F_RULE_DST, a, &ret->dst, err);
    return rc ? rc : sv_parse_ports(r->ports, SV_F_RULE_PORTS, a, &ret->ports, err);
}

void sv_rule_rows_add(void *arg, const struct sv_rule *r)
{
    struct sv_rule_rows *rows = arg;

    if (rows->rc)
        return;
    rows->v = sv_arena_grow(rows->arena, rows->v, rows->n, &rows->cap, sizeof(*rows->v));
    rows->rc = convert(r, rows->arena, &rows->v[rows->n++], rows->err);
}

enum sv_err sv_rule_rows_end(const struct sv_rule_rows *rows, enum sv_err rc, struct sv_net_rules *ret)
{
    *ret = (struct sv_net_rules){rows->v, rows->n};
    return rc ? rc : rows->rc;
}

/* What is gone makes an empty wish and no error. */
static enum sv_err unless_gone(enum sv_err rc, enum sv_err gone, bool *ret_there, const struct sv_error *why,
                               struct sv_error *err)
{
    *ret_there = !rc;
    if (!rc || rc == gone)
        return SV_OK;
    *err = *why;
    return rc;
}

static enum sv_err put_groups(struct sv_tx *tx, struct sv_arena *a, struct sv_net_filter *f, struct sv_error *err)
{
    SV_CLEANUP(sv_ids_free) struct sv_ids groups = {0};
    enum sv_err rc = sv_secgroup_list_nic(tx, &f->nic, &groups, err);
    struct sv_id *v;

    if (rc || groups.n == 0)
        return rc;
    v = sv_arena_alloc(a, groups.n * sizeof(*v));
    memcpy(v, groups.v, groups.n * sizeof(*v));
    f->groups = v;
    f->group_count = groups.n;
    return SV_OK;
}

enum sv_err sv_want_filter(struct sv_tx *tx, const struct sv_id *nic, struct sv_arena *a, struct sv_net_filter *ret,
                           bool *ret_there, struct sv_error *err)
{
    struct sv_rule_rows rows = {.arena = a, .err = err};
    struct sv_nic n;
    struct sv_vm vm;
    struct sv_vpc vpc;
    struct sv_error why;
    enum sv_err rc =
        unless_gone(sv_nic_get(tx, sv_scope_system(), nic, a, &n, &why), SV_E_NIC_NOT_FOUND, ret_there, &why, err);

    if (rc || !*ret_there)
        return rc;
    rc = sv_vm_get(tx, sv_scope_system(), &n.vm, a, &vm, err);
    if (!rc)
        rc = sv_vpc_get(tx, sv_scope_system(), &n.vpc, a, &vpc, err);
    if (rc)
        return rc;
    *ret = (struct sv_net_filter){.nic = n.id, .vpc = n.vpc, .ip = n.ip, .gateway = vpc.base + 1, .on = vm.firewalled};
    memcpy(ret->mac, n.mac, sizeof(ret->mac));
    rc = put_groups(tx, a, ret, err);
    if (!rc)
        rc = sv_rule_list_nic(tx, nic, sv_rule_rows_add, &rows, err);
    return sv_rule_rows_end(&rows, rc, &ret->rules);
}

enum sv_err sv_want_group(struct sv_tx *tx, const struct sv_id *group, struct sv_arena *a, struct sv_net_group *ret,
                          bool *ret_there, struct sv_error *err)
{
    struct sv_rule_rows rows = {.arena = a, .err = err};
    struct sv_secgroup g;
    struct sv_error why;
    enum sv_err rc = unless_gone(sv_secgroup_get(tx, sv_scope_system(), group, a, &g, &why), SV_E_GROUP_NOT_FOUND,
                                 ret_there, &why, err);

    if (rc || !*ret_there)
        return rc;
    *ret = (struct sv_net_group){.id = g.id};
    rc = sv_rule_list_group(tx, group, sv_rule_rows_add, &rows, err);
    return sv_rule_rows_end(&rows, rc, &ret->rules);
}
