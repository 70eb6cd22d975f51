/* Load balancers and their nodes: what is one at an address, who sees them, what goes with what. */
#include "check.h"
#include "starvirt/store_address.h"
#include "starvirt/store_slb.h"
#include "store_fixture.h"

#define OUTER 0xC633640AU /* 198.51.100.10 */

static struct sv_id routers[2]; /* of tenants a and b */
static struct sv_vpc vpc;
static struct sv_id nic, whole_nic;

struct seen {
    struct sv_id v[8];
    unsigned n;
};

static void see_slb(void *arg, const struct sv_slb *b)
{
    struct seen *s = arg;
    s->v[s->n++] = b->id;
}

static void see_node(void *arg, const struct sv_slb_node *n)
{
    struct seen *s = arg;
    s->v[s->n++] = n->id;
}

static void see_id(void *arg, const struct sv_id *id)
{
    struct seen *s = arg;
    s->v[s->n++] = *id;
}

#define SAW(s, id)                                                                                                     \
    do {                                                                                                               \
        CHECK_INT((s).n, 1);                                                                                           \
        CHECK_STR((s).v[0].s, (id).s);                                                                                 \
    } while (0)

/* --- the world ------------------------------------------------------------------------------------------ */

static struct sv_id add_router(struct sv_tx *tx, const struct sv_id *tenant)
{
    const struct sv_id id = sv_id_new();
    SV_AUTOFREE char *sql = sv_asprintf(
        "INSERT INTO router(id, tenant_id, name, descr, ha, state, created) VALUES('%s', '%s', 'r', '', 0, 1, 1);"
        "INSERT INTO router_node VALUES('%s', '%s', 0)",
        id.s, tenant->s, id.s, id.s);
    WORKS(run_script(tx, sql, &why));
    return id;
}

static struct sv_id add_nic(struct sv_tx *tx, const struct sv_id *vm, uint32_t ip)
{
    const struct sv_nic n = new_nic(tx, &w.a, vm, &vpc, ip);
    WORKS(sv_nic_insert(tx, &n, &why));
    return n.id;
}

static enum sv_err fill(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    (void)err;
    routers[0] = add_router(tx, &w.a);
    routers[1] = add_router(tx, &w.b);
    vpc = new_vpc(tx, &w.a, 24);
    WORKS(sv_vpc_insert(tx, &vpc, 10U << 24, 8, &why));
    const struct sv_id vm = add_vm(tx, &w.a, "v");
    nic = add_nic(tx, &vm, vpc.base + 2);
    whole_nic = add_nic(tx, &vm, vpc.base + 3);
    return SV_OK;
}

static void begin(void)
{
    world_new();
    writing(fill, NULL);
}

static struct sv_slb new_slb(struct sv_tx *tx, unsigned of, const char *name, unsigned port)
{
    return (struct sv_slb){.id = sv_id_new(),
                           .tenant = of ? w.b : w.a,
                           .router = routers[of],
                           .name = name,
                           .descr = "about",
                           .enabled = true,
                           .ip = OUTER,
                           .port = port,
                           .real_port = 8080,
                           .policy = SV_SLB_WRR,
                           .url_path = "",
                           .check_path = "",
                           .retries = 3,
                           .check_every = 5,
                           .check_timeout = 4,
                           .idle_timeout = 60,
                           .max_connections = 1000,
                           .created = sv_tx_now(tx)};
}

static struct sv_slb_node new_node(struct sv_tx *tx, const struct sv_slb *b, unsigned port)
{
    return (struct sv_slb_node){.id = sv_id_new(),
                                .tenant = b->tenant,
                                .slb = b->id,
                                .nic = nic,
                                .name = "node",
                                .descr = "",
                                .enabled = true,
                                .port = port,
                                .weight = 7,
                                .created = sv_tx_now(tx)};
}

/* --- balancers ------------------------------------------------------------------------------------------ */

static void check_same(const struct sv_slb *got, const struct sv_slb *want)
{
    CHECK(sv_id_eq(&got->id, &want->id) && sv_id_eq(&got->tenant, &want->tenant));
    CHECK(sv_id_eq(&got->router, &want->router) && sv_id_eq(&got->vpc, &want->vpc));
    CHECK_STR(got->name, want->name);
    CHECK_STR(got->descr, want->descr);
    CHECK_STR(got->url_path, want->url_path);
    CHECK_STR(got->check_path, want->check_path);
    CHECK(got->enabled == want->enabled && got->own == want->own && got->proto == want->proto);
    CHECK_INT(got->policy, want->policy);
    CHECK_INT(got->ip, want->ip);
    CHECK_INT(got->port, want->port);
    CHECK_INT(got->real_port, want->real_port);
    CHECK_INT(got->retries, want->retries);
    CHECK_INT(got->check_every, want->check_every);
    CHECK_INT(got->check_timeout, want->check_timeout);
    CHECK_INT(got->idle_timeout, want->idle_timeout);
    CHECK_INT(got->max_connections, want->max_connections);
    CHECK_INT(got->cert_ends, want->cert_ends);
    CHECK_INT(got->created, want->created);
}

static enum sv_err keep(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_slb b = new_slb(tx, 0, "web", 80), found;
    struct sv_error theirs;
    (void)arg;
    (void)err;
    WORKS(sv_slb_insert(tx, &b, &why));
    WORKS(sv_slb_get(tx, sv_scope_tenant(&w.a), &b.id, sv_tx_arena(tx), &found, &why));
    check_same(&found, &b);
    FAILS(sv_slb_get(tx, sv_scope_tenant(&w.b), &b.id, sv_tx_arena(tx), &found, &why), SV_E_SLB_NOT_FOUND);
    theirs = why;
    FAILS(sv_slb_get(tx, sv_scope_system(), &w.a, sv_tx_arena(tx), &found, &why), SV_E_SLB_NOT_FOUND);
    CHECK(same_error(&theirs, &why));
    b.vpc = vpc.id;
    b.name = "inside";
    b.descr = "";
    b.enabled = false;
    b.ip = vpc.base + 9;
    b.own = true;
    b.port = 81;
    b.policy = SV_SLB_WLC;
    b.check_path = "/up";
    b.retries = 4;
    b.check_every = 6;
    b.check_timeout = 2;
    b.idle_timeout = 61;
    b.max_connections = 0;
    b.cert_ends = 5;
    WORKS(sv_slb_update(tx, &b, &why));
    WORKS(sv_slb_get(tx, sv_scope_system(), &b.id, sv_tx_arena(tx), &found, &why));
    check_same(&found, &b);
    return SV_OK;
}

static void all_of_a_balancer_is_kept(void)
{
    begin();
    writing(keep, NULL);
    world_remove();
}

static struct sv_id at(struct sv_tx *tx, const struct sv_id *in, uint32_t ip, bool udp, unsigned port,
                       const struct sv_id *but)
{
    struct sv_id id = w.a;
    WORKS(sv_slb_at(tx, in, ip, udp, port, but, &id, &why));
    return id;
}

static enum sv_err collide(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_slb tcp = new_slb(tx, 0, "tcp", 53);
    struct sv_slb udp = new_slb(tx, 0, "udp", 53), third = new_slb(tx, 0, "third", 53), inner = third;
    struct sv_id id;
    (void)arg;
    (void)err;
    WORKS(sv_slb_insert(tx, &tcp, &why));
    udp.proto = SV_SLB_UDP; /* has ports of its own */
    WORKS(sv_slb_insert(tx, &udp, &why));
    third.proto = SV_SLB_HTTP; /* shares TCP's */
    FAILS(sv_slb_insert(tx, &third, &why), SV_E_SLB_PORT_TAKEN);
    CHECK_STR(why.arg[0], "53");
    third.port = 54;
    WORKS(sv_slb_insert(tx, &third, &why));
    third.port = 53;
    FAILS(sv_slb_update(tx, &third, &why), SV_E_SLB_PORT_TAKEN);
    inner.id = sv_id_new();
    inner.vpc = vpc.id; /* the number means another address there */
    WORKS(sv_slb_insert(tx, &inner, &why));
    inner.id = sv_id_new();
    FAILS(sv_slb_insert(tx, &inner, &why), SV_E_SLB_PORT_TAKEN);

    id = at(tx, &no_id, OUTER, false, 53, &no_id);
    CHECK(sv_id_eq(&id, &tcp.id));
    id = at(tx, &no_id, OUTER, true, 53, &no_id);
    CHECK(sv_id_eq(&id, &udp.id));
    id = at(tx, &no_id, OUTER, true, 53, &udp.id);
    CHECK(sv_id_empty(&id));
    id = at(tx, &no_id, OUTER + 1, false, 0, &no_id);
    CHECK(sv_id_empty(&id));
    id = at(tx, &no_id, OUTER, false, 0, &no_id);
    CHECK(!sv_id_empty(&id));
    id = at(tx, &vpc.id, OUTER, false, 54, &no_id);
    CHECK(sv_id_empty(&id));
    WORKS(sv_slb_owner_of(tx, OUTER, &id, &why));
    CHECK(sv_id_empty(&id));
    third.own = true;
    third.port = 54;
    third.ip = OUTER + 1;
    WORKS(sv_slb_update(tx, &third, &why));
    WORKS(sv_slb_owner_of(tx, OUTER + 1, &id, &why));
    CHECK(sv_id_eq(&id, &third.id));
    return SV_OK;
}

static void an_address_has_each_port_once(void)
{
    begin();
    writing(collide, NULL);
    world_remove();
}

static unsigned listed(struct sv_tx *tx, struct sv_scope scope, struct sv_slb_filter f, struct seen *s)
{
    uint64_t total;
    s->n = 0;
    WORKS(sv_slb_list(tx, scope, &f, &all_rows, see_slb, s, &total, &why));
    CHECK_INT(total, s->n);
    return s->n;
}

#define ANY .enabled = -1, .proto = -1, .outside = -1

static enum sv_err list(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_slb b[3] = {new_slb(tx, 0, "zeta", 80), new_slb(tx, 0, "alpha", 81), new_slb(tx, 1, "theirs", 80)};
    const struct sv_scope mine = sv_scope_tenant(&w.a), all = sv_scope_system();
    const struct sv_page second = {.offset = 1, .limit = 1};
    struct seen s = {.n = 0};
    uint64_t n;
    (void)arg;
    (void)err;
    b[1].enabled = false;
    b[1].proto = SV_SLB_UDP;
    b[1].created++; /* in this order */
    b[2].ip = OUTER + 1;
    b[2].created += 2;
    for (unsigned i = 0; i < 3; i++)
        WORKS(sv_slb_insert(tx, &b[i], &why));
    CHECK_INT(listed(tx, all, (struct sv_slb_filter){ANY}, &s), 3);
    CHECK_INT(listed(tx, mine, (struct sv_slb_filter){ANY, .by_name = true}, &s), 2);
    CHECK(sv_id_eq(&s.v[0], &b[1].id));
    CHECK_INT(listed(tx, mine, (struct sv_slb_filter){ANY, .id = b[2].id}, &s), 0);
    listed(tx, mine, (struct sv_slb_filter){ANY, .name = "lph"}, &s);
    SAW(s, b[1].id);
    listed(tx, all, (struct sv_slb_filter){ANY, .ip = OUTER + 1}, &s);
    SAW(s, b[2].id);
    listed(tx, mine, (struct sv_slb_filter){ANY, .port = 81}, &s);
    SAW(s, b[1].id);
    listed(tx, mine, (struct sv_slb_filter){.enabled = 1, .proto = -1, .outside = 1}, &s);
    SAW(s, b[0].id);
    listed(tx, mine, (struct sv_slb_filter){.enabled = -1, .proto = SV_SLB_UDP, .outside = -1}, &s);
    SAW(s, b[1].id);
    CHECK_INT(listed(tx, mine, (struct sv_slb_filter){.enabled = -1, .proto = -1}, &s), 0); /* inside */
    s.n = 0;
    WORKS(sv_slb_list(tx, mine, &(struct sv_slb_filter){ANY}, &second, see_slb, &s, &n, &why));
    SAW(s, b[1].id);
    CHECK_INT(n, 2);
    WORKS(sv_slb_count_tenant(tx, &w.a, &n, &why));
    CHECK_INT(n, 2);
    s.n = 0;
    WORKS(sv_slb_list_router(tx, &routers[1], see_slb, &s, &why));
    SAW(s, b[2].id);
    b[0].enabled = false;
    WORKS(sv_slb_update(tx, &b[0], &why));
    s.n = 0;
    WORKS(sv_slb_list_routers(tx, see_id, &s, &why)); /* with an enabled one */
    SAW(s, routers[1]);
    return SV_OK;
}

static void lists_keep_to_their_filters(void)
{
    begin();
    writing(list, NULL);
    world_remove();
}

static enum sv_err expire(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_slb b = new_slb(tx, 0, "tls", 443), plain = new_slb(tx, 0, "plain", 80);
    struct seen s = {.n = 0};
    (void)arg;
    (void)err;
    b.proto = SV_SLB_HTTPS;
    b.cert_ends = 1000;
    WORKS(sv_slb_insert(tx, &b, &why));
    WORKS(sv_slb_insert(tx, &plain, &why));
    WORKS(sv_slb_list_certs(tx, see_slb, &s, &why));
    SAW(s, b.id);
    s.n = 0;
    WORKS(sv_slb_list_ending(tx, 1000, 5, see_slb, &s, &why));
    CHECK_INT(s.n, 0);
    WORKS(sv_slb_list_ending(tx, 1001, 5, see_slb, &s, &why));
    SAW(s, b.id);
    WORKS(sv_slb_warned(tx, &b.id, &why));
    s.n = 0;
    WORKS(sv_slb_list_ending(tx, 1001, 5, see_slb, &s, &why));
    CHECK_INT(s.n, 0);
    b.name = "renamed"; /* the same certificate: nothing new to warn of */
    WORKS(sv_slb_update(tx, &b, &why));
    WORKS(sv_slb_list_ending(tx, 1001, 5, see_slb, &s, &why));
    CHECK_INT(s.n, 0);
    b.cert_ends = 900;
    WORKS(sv_slb_update(tx, &b, &why));
    WORKS(sv_slb_list_ending(tx, 1001, 5, see_slb, &s, &why));
    SAW(s, b.id);
    return SV_OK;
}

static void an_ending_certificate_is_warned_of_once(void)
{
    begin();
    writing(expire, NULL);
    world_remove();
}

/* --- nodes ---------------------------------------------------------------------------------------------- */

static enum sv_err nodes_closure(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_slb one = new_slb(tx, 0, "one", 80), two = new_slb(tx, 0, "two", 81);
    struct sv_slb_node n = new_node(tx, &one, 80), other = new_node(tx, &one, 80), found;
    struct seen s = {.n = 0};
    uint64_t count;
    (void)arg;
    (void)err;
    WORKS(sv_slb_insert(tx, &one, &why));
    WORKS(sv_slb_insert(tx, &two, &why));
    WORKS(sv_slb_node_insert(tx, &n, &why));
    FAILS(sv_slb_node_insert(tx, &other, &why), SV_E_SLB_NODE_EXISTS);
    other.port = 8080;
    WORKS(sv_slb_node_insert(tx, &other, &why));
    other.port = 80;
    FAILS(sv_slb_node_update(tx, &other, &why), SV_E_SLB_NODE_EXISTS);
    other.port = 8081;
    other.weight = 9;
    WORKS(sv_slb_node_update(tx, &other, &why));
    WORKS(sv_slb_node_get(tx, sv_scope_tenant(&w.a), &other.id, sv_tx_arena(tx), &found, &why));
    CHECK(found.port == 8081 && found.weight == 9 && found.enabled);
    CHECK_INT(found.ip, vpc.base + 2); /* its NIC's */
    CHECK(sv_id_eq(&found.vpc, &vpc.id));
    FAILS(sv_slb_node_get(tx, sv_scope_tenant(&w.b), &other.id, sv_tx_arena(tx), &found, &why),
          SV_E_SLB_NODE_NOT_FOUND);
    WORKS(sv_slb_node_count(tx, &one.id, &count, &why));
    CHECK_INT(count, 2);
    WORKS(sv_slb_node_list(tx, sv_scope_tenant(&w.a), &(struct sv_slb_node_filter){.slb = one.id, .port = 8081},
                           &all_rows, see_node, &s, &count, &why));
    SAW(s, other.id);
    s.n = 0;
    WORKS(sv_slb_node_list(tx, sv_scope_tenant(&w.b), &(struct sv_slb_node_filter){.slb = one.id}, &all_rows, see_node,
                           &s, &count, &why));
    CHECK_INT(s.n, 0);
    WORKS(sv_slb_node_delete(tx, &n.id, &why));
    WORKS(sv_slb_node_list_slb(tx, &one.id, see_node, &s, &why));
    SAW(s, other.id);
    n = new_node(tx, &two, 80);
    WORKS(sv_slb_node_insert(tx, &n, &why));
    WORKS(sv_slb_delete(tx, &one.id, &why)); /* with its nodes, and no others */
    WORKS(sv_slb_node_count(tx, &one.id, &count, &why));
    CHECK_INT(count, 0);
    other = new_node(tx, &two, 81);
    WORKS(sv_slb_node_insert(tx, &other, &why));
    s.n = 0;
    WORKS(sv_slb_node_drop_nic(tx, &nic, see_id, &s, &why)); /* both; their router is told of once */
    SAW(s, routers[0]);
    WORKS(sv_slb_node_count(tx, &two.id, &count, &why));
    CHECK_INT(count, 0);
    return SV_OK;
}

static void a_node_is_a_port_of_a_nic(void)
{
    begin();
    writing(nodes_closure, NULL);
    world_remove();
}

/* --- beside mappings ------------------------------------------------------------------------------------ */

static struct sv_id map(struct sv_tx *tx, uint32_t ip, const struct sv_id *to, enum sv_nat_proto proto, unsigned port)
{
    const struct sv_nat n = {.id = sv_id_new(),
                             .tenant = w.a,
                             .nic = *to,
                             .proto = proto,
                             .outer_ip = ip,
                             .outer_port = port,
                             .inner_port = port,
                             .sources = "",
                             .descr = "",
                             .created = sv_tx_now(tx)};
    WORKS(sv_nat_insert(tx, &n, &why));
    return n.id;
}

static struct sv_id mapped(struct sv_tx *tx, uint32_t ip, enum sv_nat_proto proto, unsigned port,
                           enum sv_nat_proto *ret)
{
    struct sv_id id = w.a;
    WORKS(sv_nat_at(tx, ip, proto, port, &id, ret, &why));
    return id;
}

static enum sv_err map_ports(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    SV_AUTOFREE char *addresses = sv_asprintf(
        "INSERT INTO pool VALUES('o', 1, 'o', '', %u, %u, %u, 24, 2, 1); INSERT INTO outer_ip VALUES(%u, 'o', '%s', '',"
        " 1), (%u, 'o', '%s', '', 1)",
        OUTER, OUTER + 1, OUTER - 9, OUTER, w.a.s, OUTER + 1, w.a.s);
    enum sv_nat_proto proto;
    struct sv_id udp, both, whole, id;
    (void)arg;
    (void)err;
    WORKS(run_script(tx, addresses, &why));
    udp = map(tx, OUTER, &nic, SV_NAT_UDP, 53);
    both = map(tx, OUTER, &nic, SV_NAT_BOTH, 54);
    whole = map(tx, OUTER + 1, &whole_nic, SV_NAT_IP, 0);
    id = mapped(tx, OUTER, SV_NAT_UDP, 53, &proto);
    CHECK(sv_id_eq(&id, &udp) && proto == SV_NAT_UDP);
    id = mapped(tx, OUTER, SV_NAT_TCP, 53, &proto);
    CHECK(sv_id_empty(&id));
    id = mapped(tx, OUTER, SV_NAT_TCP, 54, &proto);
    CHECK(sv_id_eq(&id, &both) && proto == SV_NAT_BOTH);
    id = mapped(tx, OUTER, SV_NAT_TCP, 0, &proto); /* any */
    CHECK(!sv_id_empty(&id));
    id = mapped(tx, OUTER + 1, SV_NAT_TCP, 1, &proto);
    CHECK(sv_id_eq(&id, &whole) && proto == SV_NAT_IP);
    id = mapped(tx, OUTER + 2, SV_NAT_TCP, 0, &proto);
    CHECK(sv_id_empty(&id));
    return SV_OK;
}

static void mappings_of_an_address_are_found(void)
{
    begin();
    writing(map_ports, NULL);
    world_remove();
}

CHECK_MAIN(T(all_of_a_balancer_is_kept), T(an_address_has_each_port_once), T(lists_keep_to_their_filters),
           T(an_ending_certificate_is_warned_of_once), T(a_node_is_a_port_of_a_nic),
           T(mappings_of_an_address_are_found))
