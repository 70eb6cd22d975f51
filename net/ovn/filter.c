/* Rules of NICs and of security groups: port groups with ACLs. A port is in the group of its NIC and in those of its
 * security groups. Who allows stands above who drops the rest, so that what one of them allows passes whatever the
 * others say, and a connection whose rule goes meets the rest's end. */
#include "net/ovn/internal.h"

static const char *const ends[2] = {"rest:out", "rest:in"};

void ovn_group_acls(struct ovn_plan *p, size_t holder, const char *group, const struct sv_net_rules *rules)
{
    bool any[2] = {false, false};
    for (size_t i = 0; i < rules->n; i++) {
        const struct sv_net_rule *r = &rules->v[i];
        SV_CLEANUP(sv_buf_free) struct sv_buf match = {0};
        sv_buf_printf(&match, "%s == @%s", r->in ? "outport" : "inport", group);
        ovn_match_rule(&match, r);
        const size_t acl = ovn_acl(p, holder, sv_arena_printf(p->arena, "rule:%s", r->id.s), r->in, OVN_PRIO_RULE,
                                   "allow-related", match.p);
        p->rows[acl].rule = sv_arena_strdup(p->arena, r->id.s);
        any[r->in] = true;
    }
    for (unsigned in = 0; in < 2; in++) {
        if (!any[in])
            continue;
        const char *all = sv_arena_printf(p->arena, "%s == @%s && ip", in ? "outport" : "inport", group);
        ovn_acl(p, holder, ends[in], in, OVN_PRIO_REST, "drop", all);
    }
}

void ovn_plan_group(const struct ovn_net *net, const struct sv_net_group *want, struct ovn_plan *p)
{
    ovn_plan_init(p, net->owner, "group", want->id.s);
    const char *name = ovn_group_name(p->arena, "group", &want->id);
    const size_t group = ovn_row(p, OVN_PORT_GROUP, "group");
    ovn_set(p, group, "name", name);
    ovn_group_acls(p, group, name, &want->rules);
}

void ovn_plan_filter(const struct ovn_net *net, const struct sv_net_filter *want, struct ovn_plan *p)
{
    static const struct sv_net_rules none = {0};
    ovn_plan_init(p, net->owner, "nic", want->nic.s);
    const size_t port = ovn_port_of(p, &want->vpc, &want->nic, want->mac, want->ip);
    const char *name = ovn_group_name(p->arena, "nic", &want->nic);
    const size_t own = ovn_row(p, OVN_PORT_GROUP, "group");
    ovn_set(p, own, "name", name);
    ovn_hold(p, own, "ports", port);
    ovn_group_acls(p, own, name, want->on ? &want->rules : &none);
    ovn_leave(p, OVN_PORT_GROUP, "group", "ports", port);
    for (size_t i = 0; want->on && i < want->group_count; i++) {
        const struct ovn_unit unit = {.kind = "group", .id = want->groups[i].s};
        const size_t group =
            ovn_row_of(p, OVN_PORT_GROUP, unit, "group", ovn_group_name(p->arena, "group", &want->groups[i]));
        ovn_hold(p, group, "ports", port);
    }
}
