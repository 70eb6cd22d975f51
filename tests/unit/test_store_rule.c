/* Rules and security groups as rows: scopes, pages, doubles, and what goes with a NIC. */
#include "starvirt/store_rule.h"
#include "store_fixture.h"

#define NET 0x0A000000U /* 10.0.0.0/8 */

static struct {
    struct sv_vpc vpc;
    struct sv_id vm, other_vm;
    struct sv_nic nic, other;
    struct sv_id group, second;
} o;

static struct sv_nic add_nic(struct sv_tx *tx, const struct sv_id *vm)
{
    struct sv_nic n;
    uint32_t ip;

    WORKS(sv_vpc_next_ip(tx, &o.vpc, &ip, &why));
    n = new_nic(tx, &w.a, vm, &o.vpc, ip);
    WORKS(sv_nic_insert(tx, &n, &why));
    WORKS(sv_nic_refresh_ip(tx, vm, &why));
    return n;
}

static struct sv_id add_group(struct sv_tx *tx, const struct sv_id *tenant, const char *name)
{
    const struct sv_secgroup g = {
        .id = sv_id_new(), .tenant = *tenant, .name = name, .descr = "", .created = sv_tx_now(tx)};

    WORKS(sv_secgroup_insert(tx, &g, &why));
    return g.id;
}

static struct sv_rule new_rule(struct sv_tx *tx, enum sv_rule_kind kind, const struct sv_id *of, const char *ports)
{
    struct sv_rule r = {.id = sv_id_new(),
                        .tenant = w.a,
                        .kind = kind,
                        .in = true,
                        .proto = SV_RULE_TCP,
                        .srcs = "10.0.0.0/8",
                        .dsts = "",
                        .ports = ports,
                        .descr = "",
                        .created = sv_tx_now(tx)};

    *(kind == SV_RULE_GROUP ? &r.group : &r.nic) = *of;
    return r;
}

static struct sv_id add_rule(struct sv_tx *tx, enum sv_rule_kind kind, const struct sv_id *of, const char *ports)
{
    const struct sv_rule r = new_rule(tx, kind, of, ports);

    WORKS(sv_rule_insert(tx, &r, &why));
    return r.id;
}

static enum sv_err fill(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_amounts one = {.subnets = 1};

    (void)arg, (void)err;
    o.vpc = new_vpc(tx, &w.a, 24);
    WORKS(sv_tenant_reserve(tx, &w.a, &one, &why));
    WORKS(sv_vpc_insert(tx, &o.vpc, NET, 8, &why));
    o.vm = add_vm(tx, &w.a, "web");
    o.other_vm = add_vm(tx, &w.a, "db");
    o.nic = add_nic(tx, &o.vm);
    o.other = add_nic(tx, &o.other_vm);
    o.group = add_group(tx, &w.a, "front");
    o.second = add_group(tx, &w.a, "back");
    return SV_OK;
}

static void begin(void)
{
    world_new();
    writing(fill, NULL);
}

static void end(void)
{
    world_sound_but_quota();
    world_remove();
}

/* --- what is seen, as one text: the ports --- */

static struct sv_buf seen;

static void see(void *arg, const struct sv_rule *r)
{
    (void)arg;
    sv_buf_printf(&seen, "%s%s", seen.n ? " " : "", r->ports);
}

static const char *take(void)
{
    static char text[256];

    SV_COPY(text, seen.p ? seen.p : "");
    sv_buf_free(&seen);
    return text;
}

static const struct sv_rule_filter any = {.kind = -1, .proto = -1, .in = -1};

static const char *found(struct sv_tx *tx, const struct sv_id *tenant, const struct sv_rule_filter *f, uint64_t want)
{
    uint64_t total = 99;

    WORKS(sv_rule_search(tx, (struct sv_scope){*tenant}, f, &all_rows, see, NULL, &total, &why));
    CHECK_INT(total, want);
    return take();
}

/* --- tests --- */

static enum sv_err look_around(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_rule r = new_rule(tx, SV_RULE_GROUP, &o.group, "80");
    struct sv_rule_place p;
    const struct sv_id first = add_rule(tx, SV_RULE_GROUP, &o.group, "80");
    int64_t n;

    (void)arg, (void)err;
    add_rule(tx, SV_RULE_GROUP, &o.group, "81");
    WORKS(sv_rule_look_around(tx, &r, &p, &why));
    CHECK_INT(p.count, 2);
    CHECK_STR(p.same.s, first.s);
    r.in = false;
    WORKS(sv_rule_look_around(tx, &r, &p, &why));
    CHECK(sv_id_empty(&p.same));
    r = new_rule(tx, SV_RULE_GROUP, &o.second, "80");
    WORKS(sv_rule_look_around(tx, &r, &p, &why));
    CHECK(p.count == 0 && sv_id_empty(&p.same));
    /* a NIC's own and those of the boundary are two places; the boundary is all NICs' of the VPC */
    add_rule(tx, SV_RULE_NIC, &o.nic.id, "80");
    const struct sv_id gate = add_rule(tx, SV_RULE_GATE, &o.nic.id, "80");
    r = new_rule(tx, SV_RULE_GATE, &o.other.id, "80");
    WORKS(sv_rule_look_around(tx, &r, &p, &why));
    CHECK_INT(p.count, 1);
    CHECK_STR(p.same.s, gate.s);
    r = new_rule(tx, SV_RULE_NIC, &o.other.id, "80");
    WORKS(sv_rule_look_around(tx, &r, &p, &why));
    CHECK_INT(p.count, 0);
    WORKS(sv_rule_count_tenant(tx, &w.a, &n, &why));
    CHECK_INT(n, 4);
    return SV_OK;
}

static void doubles_are_found_where_they_count(void)
{
    begin();
    writing(look_around, NULL);
    end();
}

static enum sv_err search_nics(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_rule_filter f = any;
    struct sv_rule r;
    const struct sv_id of_group = add_rule(tx, SV_RULE_GROUP, &o.group, "1");
    const struct sv_id of_nic = add_rule(tx, SV_RULE_NIC, &o.nic.id, "2");

    (void)arg, (void)err;
    add_rule(tx, SV_RULE_GATE, &o.other.id, "3");
    CHECK_STR(found(tx, &w.a, &any, 2), "2 3");
    CHECK_STR(found(tx, &no_id, &any, 2), "2 3");
    CHECK_STR(found(tx, &w.b, &any, 0), "");
    f.kind = SV_RULE_GATE;
    CHECK_STR(found(tx, &w.a, &f, 1), "3");
    f = any;
    f.ports = "2";
    CHECK_STR(found(tx, &w.a, &f, 1), "2");
    f.ports = "";
    CHECK_STR(found(tx, &w.a, &f, 0), "");
    f = any;
    f.src = "0.0.0/8";
    CHECK_STR(found(tx, &w.a, &f, 2), "2 3");
    f.dst = "10";
    CHECK_STR(found(tx, &w.a, &f, 0), "");
    f = any;
    f.vpc = o.vpc.id.s + 10;
    f.id = of_nic;
    CHECK_STR(found(tx, &w.a, &f, 1), "2");
    f = any;
    f.router = o.vpc.id;
    CHECK_STR(found(tx, &w.a, &f, 0), "");
    WORKS(sv_rule_get(tx, sv_scope_tenant(&w.a), &of_nic, false, sv_tx_arena(tx), &r, &why));
    FAILS(sv_rule_get(tx, sv_scope_tenant(&w.a), &of_nic, true, sv_tx_arena(tx), &r, &why), SV_E_RULE_NOT_FOUND);
    FAILS(sv_rule_get(tx, sv_scope_tenant(&w.b), &of_nic, false, sv_tx_arena(tx), &r, &why), SV_E_RULE_NOT_FOUND);
    FAILS(sv_rule_get(tx, sv_scope_tenant(&w.a), &of_group, false, sv_tx_arena(tx), &r, &why), SV_E_RULE_NOT_FOUND);
    WORKS(sv_rule_get(tx, sv_scope_system(), &of_group, true, sv_tx_arena(tx), &r, &why));
    CHECK_STR(r.group.s, o.group.s);
    CHECK(sv_id_empty(&r.nic) && r.in && r.proto == SV_RULE_TCP);
    return SV_OK;
}

static void searches_see_ones_own(void)
{
    begin();
    writing(search_nics, NULL);
    end();
}

static enum sv_err search_groups(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    static const struct {
        struct sv_page page;
        const char *want;
    } pages[] = {
        {{0, 0}, "1 2 3 4 5"}, {{0, 3}, "1 2 3"}, {{1, 3}, "2 3 4"}, {{3, 3}, "4 5"},       {{4, 1}, "5"},
        {{2, 1}, "3"},         {{5, 3}, ""},      {{9, 9}, ""},      {{0, 5}, "1 2 3 4 5"},
    };
    const struct sv_id groups[] = {o.group, o.second};
    uint64_t total;

    (void)arg, (void)err;
    for (unsigned i = 0; i < 5; i++)
        add_rule(tx, SV_RULE_GROUP, &groups[i > 2], sv_arena_strdup(sv_tx_arena(tx), sv_dec(i + 1).s));
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        WORKS(sv_rule_search_groups(tx, groups, 2, &any, &pages[i].page, see, NULL, &total, &why));
        CHECK_INT(total, 5);
        CHECK_STR(take(), pages[i].want);
    }
    WORKS(sv_rule_search_groups(tx, groups + 1, 1, &any, &all_rows, see, NULL, &total, &why));
    CHECK_STR(take(), "4 5");
    return SV_OK;
}

static void pages_go_over_groups(void)
{
    begin();
    writing(search_groups, NULL);
    end();
}

static void count_nic(void *arg, const struct sv_nic *n)
{
    (void)n;
    ++*(unsigned *)arg;
}

static enum sv_err members(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    SV_CLEANUP(sv_ids_free) struct sv_ids ids = {0};
    bool changed, gate;
    unsigned n = 0;
    uint64_t total;

    (void)arg, (void)err;
    WORKS(sv_secgroup_bind(tx, &o.group, &o.nic.id, &changed, &why));
    CHECK(changed);
    WORKS(sv_secgroup_bind(tx, &o.group, &o.nic.id, &changed, &why));
    CHECK(!changed);
    WORKS(sv_secgroup_bind(tx, &o.group, &o.other.id, &changed, &why));
    WORKS(sv_secgroup_bind(tx, &o.second, &o.nic.id, &changed, &why));
    WORKS(sv_secgroup_list_nic(tx, &o.nic.id, &ids, &why));
    CHECK_INT(ids.n, 2);
    WORKS(sv_secgroup_nics(tx, &o.group, 0, &(struct sv_page){1, 1}, count_nic, &n, &total, &why));
    CHECK(n == 1 && total == 2);
    WORKS(sv_secgroup_nics(tx, &o.group, o.other.ip, &all_rows, count_nic, &n, &total, &why));
    CHECK(n == 2 && total == 1);
    FAILS(sv_secgroup_delete(tx, &o.group, &why), SV_E_GROUP_IN_USE);
    CHECK_STR(why.arg[0], "2");
    WORKS(sv_secgroup_unbind(tx, &o.group, &o.other.id, &changed, &why));
    CHECK(changed);
    WORKS(sv_secgroup_unbind(tx, &o.group, &o.other.id, &changed, &why));
    CHECK(!changed);
    add_rule(tx, SV_RULE_GROUP, &o.group, "80");
    add_rule(tx, SV_RULE_NIC, &o.nic.id, "81");
    WORKS(sv_rule_drop_nic(tx, &o.nic.id, &gate, &why));
    CHECK(!gate);
    add_rule(tx, SV_RULE_GATE, &o.nic.id, "82");
    WORKS(sv_rule_drop_nic(tx, &o.nic.id, &gate, &why));
    CHECK(gate);
    WORKS(sv_nic_delete(tx, &o.nic.id, &why));
    WORKS(sv_rule_list_group(tx, &o.group, see, NULL, &why));
    CHECK_STR(take(), "80");
    WORKS(sv_secgroup_delete(tx, &o.group, &why));
    WORKS(sv_rule_list_group(tx, &o.group, see, NULL, &why));
    CHECK_STR(take(), "");
    return SV_OK;
}

static void nothing_stays_behind(void)
{
    begin();
    writing(members, NULL);
    end();
}

static void see_group(void *arg, const struct sv_secgroup *g)
{
    (void)arg;
    sv_buf_printf(&seen, "%s%s/%s", seen.n ? " " : "", g->name, g->tenant_name);
}

static const char *groups(struct sv_tx *tx, const struct sv_id *tenant, const char *name, const struct sv_id *id,
                          struct sv_page page, uint64_t want)
{
    const struct sv_secgroup_filter f = {.id = *id, .name = name};
    uint64_t total;

    WORKS(sv_secgroup_list(tx, (struct sv_scope){*tenant}, &f, &page, see_group, NULL, &total, &why));
    CHECK_INT(total, want);
    return take();
}

static enum sv_err list_groups(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id theirs = add_group(tx, &w.b, "theirs");

    (void)arg, (void)err;
    CHECK_STR(groups(tx, &w.a, NULL, &no_id, all_rows, 2), "front/tenant a back/tenant a");
    CHECK_STR(groups(tx, &w.a, NULL, &no_id, (struct sv_page){1, 1}, 2), "back/tenant a");
    CHECK_STR(groups(tx, &w.a, "FRO", &no_id, all_rows, 1), "front/tenant a");
    CHECK_STR(groups(tx, &w.a, NULL, &theirs, all_rows, 0), "");
    CHECK_STR(groups(tx, &no_id, NULL, &theirs, all_rows, 1), "theirs/tenant b");
    CHECK_STR(groups(tx, &no_id, "x", &theirs, all_rows, 0), "");
    return SV_OK;
}

static void groups_are_listed(void)
{
    begin();
    writing(list_groups, NULL);
    end();
}

CHECK_MAIN(T(doubles_are_found_where_they_count), T(searches_see_ones_own), T(pages_go_over_groups),
           T(nothing_stays_behind), T(groups_are_listed))
