/* Outer addresses: always the lowest free one, against a model; pools that overlap nothing; who has what, and the
 * quota, exact whatever order things come and go in. */
#include "core/network/wanted.h"
#include "starvirt/store_address.h"
#include "starvirt/store_router.h"
#include "store_fixture.h"

#define NET   0xC6336400U /* 198.51.100.0/24 */
#define OTHER 0xCB007100U /* 203.0.113.0/24 */

static uint32_t below(uint32_t n)
{
    static uint64_t state = 0x9E3779B97F4A7C15ULL;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 24) % n;
}

static struct sv_pool new_pool(struct sv_tx *tx, enum sv_pool_type type, uint32_t first, uint32_t last)
{
    return (struct sv_pool){.id = sv_id_new(),
                            .type = type,
                            .name = "p",
                            .descr = "",
                            .first = first,
                            .last = last,
                            .gateway = (first & 0xFFFFFF00U) + 1,
                            .prefix = 24,
                            .created = sv_tx_now(tx)};
}

static struct sv_id add_pool(struct sv_tx *tx, enum sv_pool_type type, uint32_t first, uint32_t last)
{
    const struct sv_pool p = new_pool(tx, type, first, last);

    WORKS(sv_pool_insert(tx, &p, &why));
    return p.id;
}

static struct sv_id add_router(struct sv_tx *tx, const struct sv_id *tenant)
{
    const struct sv_id id = sv_id_new();
    const struct sv_router r = {
        .id = id, .tenant = *tenant, .name = "r", .descr = "", .state = SV_ROUTER_READY, .created = 1, .node = {id}};

    WORKS(sv_router_insert(tx, &r, &why));
    return id;
}

static int64_t used_by(struct sv_tx *tx, const struct sv_id *tenant)
{
    struct sv_tenant t = {.used = {.ips = -1}};

    WORKS(sv_tenant_get(tx, sv_scope_system(), tenant, sv_tx_arena(tx), &t, &why));
    return t.used.ips;
}

static int64_t used_of(struct sv_tx *tx, const struct sv_id *pool)
{
    struct sv_pool p = {.used = -1};

    WORKS(sv_pool_get(tx, pool, sv_tx_arena(tx), &p, &why));
    return p.used;
}

/* --- pools ------------------------------------------------------------------------------------------- */

static enum sv_err overlap_closure(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    static const struct {
        uint32_t first, last;
    } bad[] = {{NET + 10, NET + 10}, {NET + 20, NET + 20}, {NET + 5, NET + 10},
               {NET + 20, NET + 30}, {NET + 2, NET + 90},  {NET + 12, NET + 13}};
    struct sv_vpc v = new_vpc(tx, &w.a, 24);
    struct sv_pool found = {.first = 0};
    bool any;

    (void)arg, (void)err;
    add_pool(tx, SV_POOL_OUTER, NET + 10, NET + 20);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct sv_pool p = new_pool(tx, SV_POOL_SHARE, bad[i].first, bad[i].last);

        FAILS(sv_pool_insert(tx, &p, &why), SV_E_POOL_OVERLAP);
        CHECK_STR(why.arg[0], "pool 198.51.100.10-198.51.100.20");
    }
    add_pool(tx, SV_POOL_SHARE, NET + 9, NET + 9);
    add_pool(tx, SV_POOL_SHARE, NET + 21, NET + 22);
    WORKS(sv_pool_overlap(tx, NET + 11, NET + 11, sv_tx_arena(tx), &found, &any, &why));
    CHECK(any && found.first == NET + 10);
    WORKS(sv_pool_overlap(tx, NET + 23, NET + 200, sv_tx_arena(tx), &found, &any, &why));
    CHECK(!any);

    WORKS(sv_vpc_insert(tx, &v, OTHER, 24, &why));
    const struct sv_pool p = new_pool(tx, SV_POOL_OUTER, OTHER + 200, OTHER + 201);
    FAILS(sv_pool_insert(tx, &p, &why), SV_E_POOL_OVERLAP);
    CHECK_STR(why.arg[0], "VPC 203.0.113.0/24");
    const struct sv_pool behind = new_pool(tx, SV_POOL_OUTER, OTHER + 256, OTHER + 300);
    WORKS(sv_pool_insert(tx, &behind, &why));
    return SV_E_VM_STATE; /* leaves nothing */
}

static void pools_overlap_nothing(void)
{
    world_new();
    CHECK_INT(sv_db_write(w.f.db, overlap_closure, NULL, &why), SV_E_VM_STATE);
    world_sound();
    world_remove();
}

static void count_row(void *arg, const struct sv_pool *p)
{
    CHECK(p->used >= 0);
    ++*(int *)arg;
}

static enum sv_err pool_rows(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id a = add_pool(tx, SV_POOL_OUTER, NET + 10, NET + 20),
                       b = add_pool(tx, SV_POOL_SHARE, NET + 30, NET + 40);
    struct sv_pool got = {.first = 0};
    uint64_t total = 0;
    int n = 0;
    uint32_t ip;

    (void)arg, (void)err;
    WORKS(sv_pool_list(tx, SV_POOL_SHARE, &all_rows, count_row, &n, &total, &why));
    CHECK(n == 1 && total == 1);
    WORKS(sv_pool_list(tx, SV_POOL_ANY, &(struct sv_page){.offset = 1, .limit = 5}, count_row, &n, &total, &why));
    CHECK(n == 2 && total == 2);
    WORKS(sv_pool_get(tx, &a, sv_tx_arena(tx), &got, &why));
    CHECK(sv_pool_size(&got) == 11 && got.gateway == NET + 1 && got.prefix == 24 && got.type == SV_POOL_OUTER);

    WORKS(sv_outer_ip_take(tx, &w.a, 0, SV_POOL_OUTER, &no_id, &ip, &why));
    WORKS(sv_outer_ip_take(tx, &w.b, 0, SV_POOL_OUTER, &no_id, &ip, &why));
    WORKS(sv_outer_ip_take(tx, &w.b, 0, SV_POOL_OUTER, &no_id, &ip, &why));
    FAILS(sv_pool_delete(tx, &a, &why), SV_E_POOL_IN_USE);
    CHECK_STR(why.arg[0], "3");
    CHECK_STR(why.arg[1], "tenant b: 2, tenant a: 1");
    for (ip = NET + 10; ip < NET + 13; ip++)
        WORKS(sv_outer_ip_give(tx, ip, &why));
    WORKS(sv_pool_delete(tx, &a, &why));
    WORKS(sv_pool_delete(tx, &b, &why));
    FAILS(sv_pool_delete(tx, &b, &why), SV_E_POOL_NOT_FOUND);
    return SV_OK;
}

static void pools(void)
{
    world_new();
    writing(pool_rows, NULL);
    world_sound();
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM free_range"), 1);
    world_remove();
}

/* --- who has what ------------------------------------------------------------------------------------ */

static enum sv_err named_errors(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_amounts two = {-1, -1, -1, -1, 2, -1, -1};
    const struct sv_id pool = add_pool(tx, SV_POOL_OUTER, NET + 10, NET + 12);
    const struct sv_id poor = add_tenant(tx, "poor", &two);
    uint32_t ip = 77;

    (void)arg, (void)err;
    add_pool(tx, SV_POOL_SHARE, NET + 20, NET + 20);
    FAILS(sv_outer_ip_take(tx, &w.a, NET + 9, SV_POOL_ANY, &no_id, &ip, &why), SV_E_OUTER_IP_NOT_FOUND);
    FAILS(sv_outer_ip_take(tx, &w.a, NET + 13, SV_POOL_ANY, &no_id, &ip, &why), SV_E_OUTER_IP_NOT_FOUND);
    FAILS(sv_outer_ip_take(tx, &w.a, NET + 20, SV_POOL_OUTER, &no_id, &ip, &why), SV_E_OUTER_IP_POOL);
    CHECK_STR(why.arg[1], "share");
    CHECK_INT(ip, 77);
    WORKS(sv_outer_ip_take(tx, &poor, NET + 11, SV_POOL_ANY, &no_id, &ip, &why));
    CHECK_INT(ip, NET + 11);
    FAILS(sv_outer_ip_take(tx, &poor, NET + 11, SV_POOL_OUTER, &no_id, &ip, &why), SV_E_OUTER_IP_TAKEN);
    FAILS(sv_outer_ip_take(tx, &w.b, NET + 11, SV_POOL_OUTER, &no_id, &ip, &why), SV_E_OUTER_IP_TAKEN);
    CHECK_STR(why.arg[0], "198.51.100.11");
    FAILS(sv_outer_ip_join(tx, &w.b, NET + 11, SV_POOL_OUTER, &why), SV_E_OUTER_IP_TAKEN);
    FAILS(sv_outer_ip_join(tx, &poor, NET + 11, SV_POOL_SHARE, &why), SV_E_OUTER_IP_POOL);
    WORKS(sv_outer_ip_join(tx, &poor, NET + 11, SV_POOL_OUTER, &why)); /* once more, not twice */
    CHECK_INT(used_by(tx, &poor), 1);
    WORKS(sv_outer_ip_join(tx, &poor, NET + 20, SV_POOL_ANY, &why));
    CHECK_INT(used_by(tx, &poor), 2);
    FAILS(sv_outer_ip_take(tx, &w.a, 0, SV_POOL_SHARE, &no_id, &ip, &why), SV_E_OUTER_IP_NONE);
    CHECK_STR(why.arg[0], "share");
    WORKS(sv_outer_ip_take(tx, &w.a, 0, SV_POOL_OUTER, &no_id, &ip, &why));
    CHECK_INT(ip, NET + 10);
    WORKS(sv_outer_ip_take(tx, &w.a, 0, SV_POOL_OUTER, &no_id, &ip, &why));
    CHECK_INT(ip, NET + 12);
    CHECK_INT(used_of(tx, &pool), 3);
    FAILS(sv_outer_ip_take(tx, &w.a, 0, SV_POOL_OUTER, &no_id, &ip, &why), SV_E_OUTER_IP_NONE);
    for (ip = NET + 10; ip <= NET + 20; ip++)
        WORKS(sv_outer_ip_give(tx, ip, &why)); /* some nobody has */
    CHECK_INT(used_of(tx, &pool), 0);
    CHECK_INT(used_by(tx, &poor), 0);
    return SV_OK;
}

static enum sv_err beyond_the_quota(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_amounts none = {-1, -1, -1, -1, 0, -1, -1};
    const struct sv_id poor = add_tenant(tx, "none", &none);
    uint32_t ip;

    (void)arg;
    return sv_outer_ip_take(tx, &poor, 0, SV_POOL_OUTER, &no_id, &ip, err);
}

static void errors_have_names(void)
{
    world_new();
    writing(named_errors, NULL);
    FAILS(sv_db_write(w.f.db, beyond_the_quota, NULL, &why), SV_E_QUOTA_IPS);
    world_sound();
    world_remove();
}

static enum sv_err routers(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id r = add_router(tx, &w.a), s = add_router(tx, &w.b);
    struct sv_outer_ip o = {.ip = 0};
    uint32_t ip, other;
    bool found;

    (void)arg, (void)err;
    add_pool(tx, SV_POOL_OUTER, NET + 10, NET + 12);
    WORKS(sv_outer_ip_of_router(tx, &r, &o, &found, &why));
    CHECK(!found);
    WORKS(sv_outer_ip_take(tx, &w.a, 0, SV_POOL_OUTER, &r, &ip, &why));
    WORKS(sv_outer_ip_take(tx, &w.b, NET + 12, SV_POOL_OUTER, &s, &other, &why));
    WORKS(sv_outer_ip_of_router(tx, &r, &o, &found, &why));
    CHECK(found && o.ip == ip && o.gateway == NET + 1 && o.prefix == 24 && sv_id_eq(&o.router, &r));
    WORKS(sv_outer_ip_give(tx, ip, &why)); /* the router has it yet */
    CHECK_INT(used_by(tx, &w.a), 1);
    WORKS(sv_outer_ip_give_router(tx, &r, &why));
    CHECK_INT(used_by(tx, &w.a), 0);
    WORKS(sv_outer_ip_give_router(tx, &r, &why)); /* twice is as good as once */
    WORKS(sv_outer_ip_of_router(tx, &s, &o, &found, &why));
    CHECK(found && o.ip == NET + 12);
    WORKS(sv_outer_ip_get(tx, ip, &o, &found, &why));
    CHECK(!found);
    return SV_OK;
}

static void own_addresses_of_routers(void)
{
    world_new();
    writing(routers, NULL);
    world_sound();
    world_remove();
}

/* --- mappings ---------------------------------------------------------------------------------------- */

struct mapped {
    struct sv_id router;
    struct sv_vpc vpc;
    struct sv_nic nic, other;
};

static struct sv_nic add_nic(struct sv_tx *tx, const struct sv_vpc *vpc, uint32_t ip)
{
    struct sv_vm vm = new_vm(tx, &w.a, "web");
    struct sv_nic n;

    vm.ip = ip;
    WORKS(sv_vm_insert(tx, &vm, &why));
    n = new_nic(tx, &w.a, &vm.id, vpc, ip);
    WORKS(sv_nic_insert(tx, &n, &why));
    return n;
}

static struct mapped two_nics(struct sv_tx *tx)
{
    const struct sv_amounts one = {.subnets = 1};
    struct mapped m = {.router = add_router(tx, &w.a), .vpc = new_vpc(tx, &w.a, 24)};
    bool added;

    WORKS(sv_tenant_reserve(tx, &w.a, &one, &why));
    WORKS(sv_vpc_insert(tx, &m.vpc, 0x0A000000U, 24, &why));
    WORKS(sv_leg_insert(tx, &m.router, &m.vpc.id, 1, &added, &why));
    CHECK(added);
    m.nic = add_nic(tx, &m.vpc, 0x0A000002U);
    m.other = add_nic(tx, &m.vpc, 0x0A000003U);
    return m;
}

static struct sv_nat map(struct sv_tx *tx, const struct sv_nic *nic, enum sv_nat_proto proto, uint32_t ip,
                         unsigned port)
{
    const struct sv_nat n = {.id = sv_id_new(),
                             .tenant = nic->tenant,
                             .nic = nic->id,
                             .proto = proto,
                             .outer_ip = ip,
                             .outer_port = port,
                             .inner_port = port,
                             .sources = "",
                             .descr = "",
                             .created = sv_tx_now(tx)};

    WORKS(sv_outer_ip_join(tx, &nic->tenant, ip, SV_POOL_ANY, &why));
    WORKS(sv_nat_insert(tx, &n, &why));
    return n;
}

static void blocked(struct sv_tx *tx, uint32_t ip, enum sv_nat_proto proto, unsigned port, enum sv_err want)
{
    if (want)
        FAILS(sv_nat_check_port(tx, ip, proto, port, &why), want);
    else
        WORKS(sv_nat_check_port(tx, ip, proto, port, &why));
}

static void count_nat(void *arg, const struct sv_nat *n)
{
    CHECK_STR(n->vm_name, "web");
    ++*(int *)arg;
}

static int found(struct sv_tx *tx, const struct sv_nat_filter *f)
{
    uint64_t total = 0;
    int n = 0, second = 0;

    WORKS(sv_nat_list(tx, sv_scope_tenant(&w.b), f, &all_rows, count_nat, &n, &total, &why));
    CHECK(n == 0 && total == 0);
    WORKS(sv_nat_list(tx, sv_scope_system(), f, &(struct sv_page){.offset = 1, .limit = 1}, count_nat, &second, &total,
                      &why));
    WORKS(sv_nat_list(tx, sv_scope_tenant(&w.a), f, &all_rows, count_nat, &n, &total, &why));
    CHECK(n == (int)total && second == (n > 1));
    return n;
}

/* What an engine is given: in order of ids, a mapping of both protocols as two. */
static void wanted(struct sv_tx *tx, const struct sv_id *router)
{
    struct sv_net_router r = {.id = *router};
    unsigned protos[4] = {0};
    uint32_t own;

    WORKS(sv_outer_ip_take(tx, &w.a, NET + 11, SV_POOL_OUTER, router, &own, &why));
    WORKS(sv_want_nats(tx, &w.a, sv_tx_arena(tx), &r, &why));
    CHECK(r.outer_ip == NET + 11 && r.outer_prefix == 24 && r.outer_gateway == NET + 1);
    CHECK_INT((int)r.outer_ip_count, 3);
    for (size_t i = 0; i < r.outer_ip_count; i++)
        CHECK_INT(r.outer_ips[i], NET + 10 + i);
    CHECK_INT((int)r.nat_count, 4);
    for (size_t i = 0; i < r.nat_count; i++) {
        const struct sv_net_nat *n = &r.nats[i];

        CHECK(i == 0 || strcmp(r.nats[i - 1].id.s, n->id.s) <= 0);
        CHECK(n->sources.n == 0 && n->outer_port == n->inner_port && (n->proto == SV_NET_ANY) == (n->outer_port == 0));
        protos[n->proto]++;
    }
    CHECK(protos[SV_NET_ANY] == 1 && protos[SV_NET_TCP] == 2 && protos[SV_NET_UDP] == 1);
    WORKS(sv_outer_ip_give_router(tx, router, &why));
}

static enum sv_err use_mappings(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct mapped m = two_nics(tx);
    struct sv_id router, whole_of;
    struct sv_nat got = {.outer_ip = 0};
    int64_t n;
    bool leg;

    (void)arg, (void)err;
    add_pool(tx, SV_POOL_OUTER, NET + 10, NET + 12);
    WORKS(sv_nat_way(tx, &m.nic, &router, &leg, &why));
    CHECK(leg && sv_id_eq(&router, &m.router));
    const struct sv_nat tcp = map(tx, &m.nic, SV_NAT_TCP, NET + 10, 80);
    const struct sv_nat both = map(tx, &m.other, SV_NAT_BOTH, NET + 10, 53);
    const struct sv_nat whole = map(tx, &m.nic, SV_NAT_IP, NET + 12, 0);
    CHECK_INT(used_by(tx, &w.a), 2);
    blocked(tx, NET + 10, SV_NAT_TCP, 80, SV_E_OUTER_PORT_TAKEN);
    CHECK_STR(why.arg[2], tcp.id.s);
    blocked(tx, NET + 10, SV_NAT_BOTH, 80, SV_E_OUTER_PORT_TAKEN);
    blocked(tx, NET + 10, SV_NAT_UDP, 80, SV_OK);
    blocked(tx, NET + 10, SV_NAT_UDP, 53, SV_E_OUTER_PORT_TAKEN);
    blocked(tx, NET + 10, SV_NAT_TCP, 54, SV_OK);
    blocked(tx, NET + 12, SV_NAT_TCP, 54, SV_E_OUTER_IP_MAPPED);
    CHECK_STR(why.arg[1], whole.id.s);
    blocked(tx, NET + 11, SV_NAT_TCP, 80, SV_OK);
    WORKS(sv_nat_of_nic(tx, &m.nic.id, &whole_of, &why));
    CHECK(sv_id_eq(&whole_of, &whole.id));
    WORKS(sv_nat_of_nic(tx, &m.other.id, &whole_of, &why));
    CHECK(sv_id_empty(&whole_of));
    WORKS(sv_nat_get(tx, sv_scope_tenant(&w.a), &both.id, sv_tx_arena(tx), &got, &why));
    CHECK(got.inner_ip == 0x0A000003U && got.proto == SV_NAT_BOTH && sv_id_eq(&got.router, &m.router));
    WORKS(sv_router_set_state(tx, &m.router, SV_ROUTER_DELETING, &why));
    WORKS(sv_nat_way(tx, &m.nic, &router, &leg, &why));
    CHECK(!leg && sv_id_empty(&router));
    WORKS(sv_router_set_state(tx, &m.router, SV_ROUTER_READY, &why));
    FAILS(sv_nat_get(tx, sv_scope_tenant(&w.b), &both.id, sv_tx_arena(tx), &got, &why), SV_E_NAT_NOT_FOUND);
    CHECK_INT(found(tx, &(struct sv_nat_filter){.kind = SV_NAT_EVERY}), 3);
    CHECK_INT(found(tx, &(struct sv_nat_filter){.kind = SV_NAT_WHOLE}), 1);
    CHECK_INT(found(tx, &(struct sv_nat_filter){.kind = SV_NAT_PORTS, .outer_port = 53}), 1);
    CHECK_INT(found(tx, &(struct sv_nat_filter){.outer_part = "100.1", .router = m.router}), 3);
    CHECK_INT(found(tx, &(struct sv_nat_filter){.router = w.a}), 0);
    wanted(tx, &m.router);
    WORKS(sv_nat_drop_nic(tx, &m.nic.id, &n, &why));
    CHECK_INT(n, 2);
    CHECK_INT(used_by(tx, &w.a), 1); /* the other NIC has a port of it */
    WORKS(sv_nat_drop_nic(tx, &m.nic.id, &n, &why));
    CHECK_INT(n, 0);
    WORKS(sv_nat_delete(tx, &both, &why));
    CHECK_INT(used_by(tx, &w.a), 0);
    return SV_OK;
}

static void mappings(void)
{
    world_new();
    writing(use_mappings, NULL);
    world_sound_but_quota();
    world_remove();
}

/* --- against a model --------------------------------------------------------------------------------- */

enum { LAST = 60 };
struct model {
    struct sv_id owner[LAST + 1]; /* by offset in the network; two pools: 10..29 and 30..60 */
};

static uint32_t model_lowest(const struct model *m)
{
    for (uint32_t i = 10; i <= LAST; i++)
        if (sv_id_empty(&m->owner[i]))
            return i;
    return 0;
}

static void take_one(struct sv_tx *tx, struct model *m)
{
    const struct sv_id *tenant = below(2) ? &w.a : &w.b;
    const uint32_t named = below(3) ? 0 : 10 + below(LAST - 9), want = named ? named : model_lowest(m);
    uint32_t ip = 0;

    if (!want) {
        FAILS(sv_outer_ip_take(tx, tenant, 0, SV_POOL_OUTER, &no_id, &ip, &why), SV_E_OUTER_IP_NONE);
    } else if (!sv_id_empty(&m->owner[want])) {
        FAILS(sv_outer_ip_take(tx, tenant, NET + want, SV_POOL_OUTER, &no_id, &ip, &why), SV_E_OUTER_IP_TAKEN);
    } else {
        WORKS(sv_outer_ip_take(tx, tenant, named ? NET + named : 0, SV_POOL_OUTER, &no_id, &ip, &why));
        CHECK_INT(ip, NET + want);
        m->owner[want] = *tenant;
    }
}

static enum sv_err random_operations(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct model *m = arg;
    const unsigned grow = below(100);
    int64_t held = 0;

    (void)err;
    for (int i = 0; i < 80; i++) {
        const uint32_t at = 10 + below(LAST - 9);

        if (below(100) < grow) {
            take_one(tx, m);
        } else {
            WORKS(sv_outer_ip_give(tx, NET + at, &why));
            m->owner[at] = no_id;
        }
    }
    for (int i = 10; i <= LAST; i++)
        held += !sv_id_empty(&m->owner[i]);
    CHECK_INT(used_by(tx, &w.a) + used_by(tx, &w.b), held);
    return SV_OK;
}

static enum sv_err two_pools(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg, (void)err;
    add_pool(tx, SV_POOL_OUTER, NET + 30, NET + LAST); /* the higher one first: order is by address */
    add_pool(tx, SV_POOL_OUTER, NET + 10, NET + 29);
    return SV_OK;
}

/* The addresses that nothing uses are no fault here: this test knows no uses. */
static void but_unused(void *arg, const char *line)
{
    if (!strstr(line, "nothing uses it"))
        check_failed(__FILE__, __LINE__, "breach: %s", line);
    ++*(unsigned *)arg;
}

static void the_lowest_is_next(void)
{
    static struct model m;
    unsigned n, unused = 0;

    m = (struct model){.owner = {{.s = ""}}};
    world_new();
    writing(two_pools, NULL);
    for (int round = 0; round < 60; round++)
        writing(random_operations, &m);
    WORKS(sv_db_fsck(w.f.db, but_unused, &unused, &n, &why));
    world_remove();
}

CHECK_MAIN(T(pools_overlap_nothing), T(pools), T(errors_have_names), T(own_addresses_of_routers), T(mappings),
           T(the_lowest_is_next))
