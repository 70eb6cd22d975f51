/* Rules as rows (StarVCenter 2.3.9 - 2.3.11, 2.18.1 - 2.18.4). */
#include <stdio.h>

#include "core/firewall/firewall.h"

/* --- making one --------------------------------------------------------------------------------------- */

/* The lists as one text each: what means the same is the same. */
static enum sv_err put_lists(const struct sv_rule_new *in, struct sv_arena *a, struct sv_rule *r, struct sv_error *err)
{
    struct sv_net_ranges srcs, dsts;
    struct sv_net_ports ports;
    enum sv_err rc = sv_parse_ranges(in->srcs, SV_F_RULE_SRC, a, &srcs, err);

    if (!rc)
        rc = sv_parse_ranges(in->dsts, SV_F_RULE_DST, a, &dsts, err);
    if (!rc)
        rc = sv_parse_ports(in->ports, SV_F_RULE_PORTS, a, &ports, err);
    if (rc)
        return rc;
    r->srcs = sv_ranges_text(&srcs, a);
    r->dsts = sv_ranges_text(&dsts, a);
    r->ports = sv_ports_text(&ports, a);
    return SV_OK;
}

static enum sv_err check_ports(const struct sv_rule *r, struct sv_error *err)
{
    if (r->ports[0] && r->proto == SV_RULE_ICMP)
        return sv_fail(err, SV_E_PARAM_CONFLICT, SV_F_RULE_PORTS, "ICMP has no ports");
    if (r->ports[0] && r->proto == SV_RULE_ANY && r->kind != SV_RULE_GROUP)
        return sv_fail(err, SV_E_PARAM_MISSING, SV_F_RULE_PROTO);
    return SV_OK;
}

static enum sv_err begin(struct sv_tx *tx, const struct sv_rule_new *in, enum sv_rule_kind kind, struct sv_rule *ret,
                         struct sv_error *err)
{
    enum sv_err rc = sv_check_descr(in->descr, SV_F_RULE_DESC, err);

    *ret = (struct sv_rule){.id = sv_id_new(),
                            .kind = kind,
                            .in = in->way != SV_WAY_OUT,
                            .proto = in->proto,
                            .descr = in->descr ? in->descr : "",
                            .created = sv_tx_now(tx)};
    if (!rc)
        rc = put_lists(in, sv_tx_arena(tx), ret, err);
    if (!rc)
        rc = check_ports(ret, err);
    if (!rc && in->way == SV_WAY_UNSAID && kind != SV_RULE_GATE)
        rc = sv_fail(err, SV_E_PARAM_MISSING, SV_F_RULE_DIRECTION);
    return rc;
}

/* The guest's side of a rule is its own address, whether that was said or not. */
static enum sv_err put_guest(const struct sv_nic *n, struct sv_arena *a, struct sv_rule *r, struct sv_error *err)
{
    const char **side = r->in ? &r->dsts : &r->srcs;
    char ip[SV_IP4_LEN];

    sv_ip4_format(n->ip, ip);
    if ((*side)[0] && strcmp(*side, ip) != 0)
        return sv_fail(err, SV_E_PARAM_CONFLICT, r->in ? SV_F_RULE_DST : SV_F_RULE_SRC,
                       "this side of the rule is the guest's own address");
    *side = sv_arena_strdup(a, ip);
    r->nic = n->id;
    r->tenant = n->tenant;
    return SV_OK;
}

static enum sv_err check_place(struct sv_tx *tx, const struct sv_rule *r, struct sv_error *err)
{
    static const struct {
        int64_t max;
        const char *of;
    } limits[] = {
        [SV_RULE_GATE] = {SV_MAX_RULES_GATE, "the boundary of the VPC"},
        [SV_RULE_NIC] = {SV_MAX_RULES_NIC, "the NIC"},
        [SV_RULE_GROUP] = {SV_MAX_RULES_GROUP, "the security group"},
    };
    const enum sv_field field = r->kind == SV_RULE_GROUP ? SV_F_GROUP : SV_F_NIC;
    struct sv_rule_place place;
    int64_t all;
    enum sv_err rc = sv_rule_look_around(tx, r, &place, err);

    if (!rc && !sv_id_empty(&place.same))
        return sv_fail(err, SV_E_RULE_EXISTS, SV_F_RULE, place.same.s);
    if (!rc && place.count >= limits[r->kind].max)
        return sv_fail(err, SV_E_RULE_LIMIT, field, sv_dec(limits[r->kind].max).s, limits[r->kind].of);
    if (!rc)
        rc = sv_rule_count_tenant(tx, &r->tenant, &all, err);
    if (!rc && all >= SV_MAX_RULES)
        return sv_fail(err, SV_E_RULE_LIMIT, field, sv_dec(SV_MAX_RULES).s, "the tenant");
    return rc;
}

static enum sv_err touch(struct sv_cloud *c, struct sv_tx *tx, const struct sv_rule *r, struct sv_error *err)
{
    struct sv_id router = {.s = ""};
    struct sv_nic n;
    enum sv_err rc;

    if (r->kind == SV_RULE_GROUP)
        return sv_unit_touch(c, tx, SV_UNIT_GROUP, &r->group, err);
    if (r->kind == SV_RULE_NIC)
        return sv_unit_touch(c, tx, SV_UNIT_NIC, &r->nic, err);
    rc = sv_nic_get(tx, sv_scope_system(), &r->nic, sv_tx_arena(tx), &n, err);
    if (!rc)
        rc = sv_gate_router(tx, &n.vpc, &router, err);
    return rc || sv_id_empty(&router) ? rc : sv_unit_touch(c, tx, SV_UNIT_ROUTER, &router, err);
}

static enum sv_err end(struct sv_cloud *c, struct sv_tx *tx, const struct sv_rule *r, struct sv_id *ret,
                       struct sv_error *err)
{
    const struct sv_id *of = r->kind == SV_RULE_GROUP ? &r->group : &r->nic;
    enum sv_err rc = check_place(tx, r, err);

    if (!rc)
        rc = sv_rule_insert(tx, r, err);
    if (!rc)
        rc = touch(c, tx, r, err);
    if (!rc)
        rc = sv_cloud_event(tx, "rule.add", "rule", &r->id, &r->tenant, of->s, err);
    if (!rc)
        *ret = r->id;
    return rc;
}

enum sv_err sv_rule_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *ip, bool gate,
                        const struct sv_rule_new *in, struct sv_id *ret, struct sv_error *err)
{
    struct sv_rule r;
    struct sv_nic n;
    uint32_t addr;
    enum sv_err rc = begin(tx, in, gate ? SV_RULE_GATE : SV_RULE_NIC, &r, err);

    if (!rc && !sv_ip4_parse(ip, &addr))
        rc = sv_fail(err, SV_E_PARAM_FORMAT, SV_F_NIC, "IPv4 (a.b.c.d)");
    if (!rc)
        rc = sv_nic_get_ip(tx, sv_scope_of(who), addr, sv_tx_arena(tx), &n, err);
    if (!rc)
        rc = put_guest(&n, sv_tx_arena(tx), &r, err);
    return rc ? rc : end(c, tx, &r, ret, err);
}

enum sv_err sv_group_rule_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *group,
                              const struct sv_rule_new *in, struct sv_id *ret, struct sv_error *err)
{
    struct sv_rule r;
    struct sv_secgroup g;
    enum sv_err rc = begin(tx, in, SV_RULE_GROUP, &r, err);

    if (!rc)
        rc = sv_group_find(tx, who, group, &g, err);
    if (rc)
        return rc;
    r.group = g.id;
    r.tenant = g.tenant;
    return end(c, tx, &r, ret, err);
}

enum sv_err sv_rule_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                           bool of_group, struct sv_error *err)
{
    struct sv_rule r;
    struct sv_id rid;
    enum sv_err rc = sv_check_id(id, SV_E_RULE_NOT_FOUND, SV_F_RULE, &rid, err);

    if (!rc)
        rc = sv_rule_get(tx, sv_scope_of(who), &rid, of_group, sv_tx_arena(tx), &r, err);
    if (!rc)
        rc = touch(c, tx, &r, err);
    if (!rc)
        rc = sv_rule_delete(tx, &rid, err);
    return rc ? rc : sv_cloud_event(tx, "rule.remove", "rule", &rid, &r.tenant, (of_group ? &r.group : &r.nic)->s, err);
}

/* --- searches ----------------------------------------------------------------------------------------- */

/* An id in a search: *ret_none where the text is none, so that nothing is called that. */
static struct sv_id take_id(const char *text, bool *ret_none)
{
    struct sv_id id = {.s = ""};

    if (text && !sv_id_read(text, strlen(text), &id))
        *ret_none = true;
    return id;
}

static enum sv_err filter_of(const struct sv_rule_query *q, struct sv_arena *a, struct sv_rule_filter *ret,
                             bool *ret_none, struct sv_error *err)
{
    struct sv_net_ports ports;
    enum sv_err rc = sv_parse_ports(q->ports, SV_F_RULE_PORTS, a, &ports, err);

    if (rc)
        return rc;
    *ret_none = false;
    *ret = (struct sv_rule_filter){.id = take_id(q->id, ret_none),
                                   .router = take_id(q->router, ret_none),
                                   .kind = q->kind,
                                   .proto = q->proto,
                                   .in = q->way == SV_WAY_UNSAID ? -1 : q->way == SV_WAY_IN,
                                   .src = q->src,
                                   .dst = q->dst,
                                   .vpc = q->vpc,
                                   .ports = q->ports ? sv_ports_text(&ports, a) : NULL};
    return SV_OK;
}

enum sv_err sv_rules_search(struct sv_tx *tx, const struct sv_actor *who, const struct sv_rule_query *q,
                            const struct sv_page *p, sv_rule_fn *row, void *arg, uint64_t *ret_total,
                            struct sv_error *err)
{
    struct sv_rule_filter f;
    bool none;
    enum sv_err rc = filter_of(q, sv_tx_arena(tx), &f, &none, err);

    if (!rc && none)
        *ret_total = 0;
    return rc || none ? rc : sv_rule_search(tx, sv_scope_of(who), &f, p, row, arg, ret_total, err);
}

enum sv_err sv_group_rules_search(struct sv_tx *tx, const struct sv_actor *who, const char *const *groups, size_t n,
                                  const struct sv_rule_query *q, const struct sv_page *p, sv_rule_fn *row, void *arg,
                                  uint64_t *ret_total, struct sv_error *err)
{
    SV_CLEANUP(sv_ids_free) struct sv_ids ids = {0};
    struct sv_rule_filter f;
    bool none;
    enum sv_err rc = filter_of(q, sv_tx_arena(tx), &f, &none, err);

    for (size_t i = 0; !rc && i < n; i++) {
        struct sv_secgroup g;

        rc = sv_group_find(tx, who, groups[i], &g, err);
        if (!rc)
            sv_ids_add(&ids, &g.id);
    }
    if (!rc && none)
        *ret_total = 0;
    return rc || none ? rc : sv_rule_search_groups(tx, ids.v, ids.n, &f, p, row, arg, ret_total, err);
}

/* --- what is not in force ------------------------------------------------------------------------------- */

enum sv_err sv_rule_issue_search(struct sv_tx *tx, const struct sv_actor *who, const char *vm, const char *group,
                                 const struct sv_page *p, void (*row)(void *arg, const struct sv_rule_issue *i),
                                 void *arg, uint64_t *ret_total, struct sv_error *err)
{
    bool none = false;
    const struct sv_rule_issue_filter f = {.vm = take_id(vm, &none), .group = take_id(group, &none)};

    if (!none)
        return sv_rule_issues(tx, sv_scope_of(who), &f, p, row, arg, ret_total, err);
    *ret_total = 0;
    return SV_OK;
}

enum sv_err sv_rule_issue_retry(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, struct sv_error *err)
{
    return sv_unit_retry(c, tx, sv_scope_of(who), err);
}

/* --- what of a VM's rules is in force ------------------------------------------------------------------- */

struct vm_rules {
    const struct sv_rule_view *view;
    struct sv_id nics[SV_HV_MAX_NICS];
    struct sv_ids groups[SV_HV_MAX_NICS]; /* of each NIC */
    size_t n;
    struct sv_ids in_force[SV_HV_MAX_NICS];
};

static void add_nic(void *arg, const struct sv_nic *n)
{
    struct vm_rules *v = arg;

    if (v->n < SV_HV_MAX_NICS)
        v->nics[v->n++] = n->id;
}

static void give(void *arg, const struct sv_rule *r)
{
    const struct vm_rules *v = arg;
    bool holds = true;

    for (size_t i = 0; i < v->n; i++)
        holds = holds && (!sv_ids_have(&v->groups[i], &r->group) || sv_ids_have(&v->in_force[i], &r->id));
    v->view->row(v->view->arg, r, holds);
}

static enum sv_err read_vm(struct sv_tx *tx, const struct sv_actor *who, const char *vm, struct sv_vm *ret,
                           struct vm_rules *v, struct sv_error *err)
{
    struct sv_id id;
    enum sv_err rc = sv_check_id(vm, SV_E_VM_NOT_FOUND, SV_F_VM, &id, err);

    if (!rc)
        rc = sv_vm_get(tx, sv_scope_of(who), &id, sv_tx_arena(tx), ret, err);
    if (!rc)
        rc = sv_nic_list_vm(tx, sv_scope_system(), &id, add_nic, v, err);
    for (size_t i = 0; !rc && i < v->n; i++)
        rc = sv_secgroup_list_nic(tx, &v->nics[i], &v->groups[i], err);
    return rc;
}

static enum sv_err give_rules(struct sv_tx *tx, const struct sv_id *vm, const struct sv_page *p, struct vm_rules *v,
                              uint64_t *ret_total, struct sv_error *err)
{
    static const struct sv_rule_filter any = {.kind = -1, .proto = -1, .in = -1};
    SV_CLEANUP(sv_ids_free) struct sv_ids groups = {0};
    enum sv_err rc = sv_secgroup_list_vm(tx, vm, &groups, err);

    return rc ? rc : sv_rule_search_groups(tx, groups.v, groups.n, &any, p, give, v, ret_total, err);
}

enum sv_err sv_vm_rules(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                        const struct sv_page *p, struct sv_rule_view *view, uint64_t *ret_total, struct sv_error *err)
{
    struct vm_rules v = {.view = view};
    struct sv_vm row;
    enum sv_err rc = read_vm(tx, who, vm, &row, &v, err);

    if (!rc)
        sv_rules_looked(c, &row.id, v.nics, v.n, &view->look, v.in_force);
    if (!rc && !view->look.later)
        rc = give_rules(tx, &row.id, p, &v, ret_total, err);
    for (size_t i = 0; i < v.n; i++) {
        sv_ids_free(&v.groups[i]);
        sv_ids_free(&v.in_force[i]);
    }
    return rc;
}
