/* From rows to what an engine is given: filters, groups, boundaries. */
#include "core/network/wanted.h"
#include "starvirt/store_rule.h"
#include "store_fixture.h"

#define NET 0x0A000000U /* 10.0.0.0/8 */

static struct {
    struct sv_vpc vpc;
    struct sv_id vm, group[2];
    struct sv_nic nic;
    struct sv_id router;
} o;

static void add_rule(struct sv_tx *tx, enum sv_rule_kind kind, const struct sv_id *of, bool in, const char *srcs,
                     const char *ports)
{
    struct sv_rule r = {.id = sv_id_new(),
                        .tenant = w.a,
                        .kind = kind,
                        .in = in,
                        .proto = ports[0] ? SV_RULE_UDP : SV_RULE_ANY,
                        .srcs = srcs,
                        .dsts = "",
                        .ports = ports,
                        .descr = "",
                        .created = sv_tx_now(tx)};

    *(kind == SV_RULE_GROUP ? &r.group : &r.nic) = *of;
    WORKS(sv_rule_insert(tx, &r, &why));
}

static enum sv_err fill(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_amounts one = {.subnets = 1};
    uint32_t ip;
    bool changed;

    (void)arg, (void)err;
    o.vpc = new_vpc(tx, &w.a, 24);
    WORKS(sv_tenant_reserve(tx, &w.a, &one, &why));
    WORKS(sv_vpc_insert(tx, &o.vpc, NET, 8, &why));
    o.vm = add_vm(tx, &w.a, "web");
    WORKS(sv_vpc_next_ip(tx, &o.vpc, &ip, &why));
    o.nic = new_nic(tx, &w.a, &o.vm, &o.vpc, ip);
    WORKS(sv_nic_insert(tx, &o.nic, &why));
    WORKS(sv_nic_refresh_ip(tx, &o.vm, &why));
    for (unsigned i = 0; i < 2; i++) {
        const struct sv_secgroup g = {
            .id = sv_id_new(), .tenant = w.a, .name = "g", .descr = "", .created = sv_tx_now(tx)};

        WORKS(sv_secgroup_insert(tx, &g, &why));
        o.group[i] = g.id;
        WORKS(sv_secgroup_bind(tx, &g.id, &o.nic.id, &changed, &why));
    }
    return SV_OK;
}

static enum sv_err filters(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_arena *a = sv_tx_arena(tx);
    struct sv_net_filter f;
    struct sv_net_group g;
    bool there;

    (void)arg, (void)err;
    WORKS(sv_want_filter(tx, &o.nic.id, a, &f, &there, &why));
    CHECK(there && f.on && f.group_count == 2 && f.rules.n == 0 && f.ip == o.nic.ip && f.gateway == o.vpc.base + 1);
    CHECK(memcmp(f.mac, o.nic.mac, 6) == 0 && sv_id_eq(&f.vpc, &o.vpc.id));
    CHECK(sv_id_eq(&f.groups[0], &o.group[0]) && sv_id_eq(&f.groups[1], &o.group[1]));
    add_rule(tx, SV_RULE_NIC, &o.nic.id, true, "10.0.0.0/8,192.0.2.1-192.0.2.3", "80:82,443");
    add_rule(tx, SV_RULE_GATE, &o.nic.id, true, "", "");
    add_rule(tx, SV_RULE_GROUP, &o.group[0], false, "", "");
    WORKS(sv_vm_set_firewalled(tx, &o.vm, false, &why));
    WORKS(sv_want_filter(tx, &o.nic.id, a, &f, &there, &why));
    CHECK(there && !f.on && f.rules.n == 1);
    const struct sv_net_rule *r = &f.rules.v[0];
    CHECK(r->in && r->proto == SV_NET_UDP && r->src.n == 2 && r->dst.n == 0 && r->ports.n == 2);
    CHECK_INT(r->src.v[1].last - r->src.v[1].first, 2);
    CHECK(r->ports.v[0].first == 80 && r->ports.v[0].last == 82 && r->ports.v[1].last == 443);
    WORKS(sv_want_group(tx, &o.group[0], a, &g, &there, &why));
    CHECK(there && g.rules.n == 1 && !g.rules.v[0].in && g.rules.v[0].proto == SV_NET_ANY);
    WORKS(sv_want_group(tx, &o.group[1], a, &g, &there, &why));
    CHECK(there && g.rules.n == 0);
    return SV_OK;
}

static enum sv_err gone(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_net_filter f;
    struct sv_net_group g;
    bool there = true;

    (void)arg, (void)err;
    WORKS(sv_want_filter(tx, &o.vm, sv_tx_arena(tx), &f, &there, &why));
    CHECK(!there);
    there = true;
    WORKS(sv_want_group(tx, &o.vm, sv_tx_arena(tx), &g, &there, &why));
    CHECK(!there);
    return SV_OK;
}

static void what_filters_and_groups_should_be(void)
{
    world_new();
    writing(fill, NULL);
    writing(filters, NULL);
    reading(gone, NULL);
    world_sound_but_quota();
    world_remove();
}

static enum sv_err gates(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_net_router r = {.id = o.router};

    (void)err;
    WORKS(sv_want_gates(tx, sv_tx_arena(tx), &r, &why));
    CHECK_INT(r.gate_count, arg ? 1 : 0);
    if (!arg)
        return SV_OK;
    CHECK(sv_id_eq(&r.gates[0].vpc, &o.vpc.id) && !r.gates[0].closed);
    CHECK_INT(r.gates[0].rules.n, 2);
    CHECK(r.gates[0].rules.v[0].in && !r.gates[0].rules.v[1].in);
    return SV_OK;
}

static enum sv_err add_gates(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg, (void)err;
    add_rule(tx, SV_RULE_GATE, &o.nic.id, true, "", "53");
    add_rule(tx, SV_RULE_GATE, &o.nic.id, false, "", "");
    add_rule(tx, SV_RULE_NIC, &o.nic.id, false, "", "");
    return SV_OK;
}

static void what_boundaries_should_be(void)
{
    world_new();
    writing(fill, NULL);
    o.router = sv_id_new();
    SV_AUTOFREE char *rows =
        sv_asprintf("INSERT INTO router(id, tenant_id, name, descr, ha, state, created) VALUES('%s', '%s', 'r', '', 0,"
                    " 0, 1); INSERT INTO router_leg(vpc_id, router_id, slot, created) VALUES('%s', '%s', 0, 1)",
                    o.router.s, w.a.s, o.vpc.id.s, o.router.s);
    write_sql(&w.f, rows);
    reading(gates, NULL);
    writing(add_gates, NULL);
    reading(gates, &o);
    world_remove();
}

CHECK_MAIN(T(what_filters_and_groups_should_be), T(what_boundaries_should_be))
