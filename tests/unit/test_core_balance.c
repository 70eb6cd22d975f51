/* Load balancers: what is refused and why, what addresses are taken and given back, and what an engine is given. */
#include <poll.h>
#include <stdatomic.h>

#include "certificates.h"
#include "cloud_fixture.h"
#include "core/balance/balance.h"
#include "core/network/wanted.h"
#include "starvirt/certificate.h"
#include "starvirt/store_address.h"

#define OUTER 0xC6336400U /* 198.51.100.0/24 */

/* Of tenant a, but for what is called theirs. */
static struct sv_id router, theirs, vm, their_vm, nic;
static struct sv_vpc vpc, loose; /* with a leg; without one */
static struct sv_buf cert, key, other_key;

/* --- the world ------------------------------------------------------------------------------------------- */

static void __attribute__((format(printf, 2, 3))) script(struct sv_tx *tx, const char *fmt, ...)
{
    va_list ap;
    char *sql SV_AUTOFREE = NULL;

    va_start(ap, fmt);
    CHECK(vasprintf(&sql, fmt, ap) >= 0);
    va_end(ap);
    WORKS(run_script(tx, sql, &why));
}

static struct sv_id add_router(struct sv_tx *tx, const struct sv_id *of)
{
    const struct sv_id id = sv_id_new();

    script(tx,
           "INSERT INTO router(id, tenant_id, name, descr, ha, state, created) VALUES('%s', '%s', 'r', '', 0, 1, 1);"
           "INSERT INTO router_node(id, router_id, slot) VALUES('%s', '%s', 0)",
           id.s, of->s, id.s, id.s);
    return id;
}

static struct sv_vpc add_vpc(struct sv_tx *tx)
{
    const struct sv_amounts one = {.subnets = 1};
    struct sv_vpc v = new_vpc(tx, &w.a, 24);

    WORKS(sv_tenant_reserve(tx, &w.a, &one, &why));
    WORKS(sv_vpc_insert(tx, &v, 10U << 24, 8, &why));
    return v;
}

static struct sv_id add_nic(struct sv_tx *tx, const struct sv_id *of, const struct sv_vpc *v, uint32_t ip)
{
    const struct sv_nic n = new_nic(tx, &w.a, of, v, ip);

    WORKS(sv_nic_insert(tx, &n, &why));
    WORKS(sv_nic_refresh_ip(tx, of, &why));
    return n.id;
}

static enum sv_err fill(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_pool pool = {.id = sv_id_new(),
                                 .type = SV_POOL_OUTER,
                                 .name = "p",
                                 .descr = "",
                                 .first = OUTER + 10,
                                 .last = OUTER + 19,
                                 .gateway = OUTER + 1,
                                 .prefix = 24,
                                 .created = 1};

    (void)arg, (void)err;
    router = add_router(tx, &w.a);
    theirs = add_router(tx, &w.b);
    vpc = add_vpc(tx);
    loose = add_vpc(tx);
    script(tx, "INSERT INTO router_leg(vpc_id, router_id, slot, created) VALUES('%s', '%s', 0, 1)", vpc.id.s, router.s);
    vm = add_vm(tx, &w.a, "mine");
    their_vm = add_vm(tx, &w.b, "theirs");
    nic = add_nic(tx, &vm, &vpc, vpc.base + 2);
    add_nic(tx, &vm, &vpc, vpc.base + 3);
    add_nic(tx, &vm, &loose, loose.base + 2);
    WORKS(sv_pool_insert(tx, &pool, &why));
    return SV_OK;
}

static void make_certificates(void)
{
    struct made one = certificate_make("one", NULL, -3600, 20 * 24 * 3600), two = certificate_make("two", NULL, -1, 60);

    certificate_pem(&one, &cert);
    certificate_key_pem(&one, &key);
    certificate_key_pem(&two, &other_key);
    certificate_forget(&one);
    certificate_forget(&two);
}

static void begin(void)
{
    open_cloud();
    writing(fill, NULL);
    make_certificates();
}

static void end(void)
{
    world_sound_but_quota();
    sv_buf_free(&cert);
    sv_buf_free(&key);
    sv_buf_free(&other_key);
    close_cloud();
}

/* --- calls, each a transaction that leaves nothing where it fails ------------------------------------------- */

static const struct sv_slb_settings nothing_said = {.own = -1,
                                                    .port = -1,
                                                    .policy = -1,
                                                    .retries = -1,
                                                    .check_every = -1,
                                                    .check_timeout = -1,
                                                    .idle_timeout = -1,
                                                    .max_connections = -1};

static struct sv_slb_new good(const char *ip, int64_t port)
{
    struct sv_slb_new in = {.router = router.s, .proto = SV_SLB_TCP, .outside = true, .real_port = -1};

    in.set = nothing_said;
    in.set.name = "b";
    in.set.ip = ip;
    in.set.port = port;
    return in;
}

static struct sv_id made;

static enum sv_err add_closure(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_slb_add(cloud, tx, &tenant, arg, &made, err);
}

static enum sv_err add(struct sv_slb_new in)
{
    return sv_db_write(w.f.db, add_closure, &in, &why);
}

struct modify {
    struct sv_id id;
    struct sv_slb_settings set;
};

static enum sv_err modify_closure(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct modify *m = arg;

    return sv_slb_modify(cloud, tx, &tenant, m->id.s, &m->set, err);
}

static enum sv_err modify(struct sv_id id, struct sv_slb_settings set)
{
    struct modify m = {id, set};

    return sv_db_write(w.f.db, modify_closure, &m, &why);
}

static enum sv_err remove_closure(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_slb_remove(cloud, tx, &tenant, ((const struct sv_id *)arg)->s, err);
}

static enum sv_err drop(struct sv_id id)
{
    return sv_db_write(w.f.db, remove_closure, &id, &why);
}

static struct sv_slb_node_new node_at(const char *ip)
{
    return (struct sv_slb_node_new){.vm = vm.s, .ip = ip, .port = 80, .weight = -1};
}

struct node_call {
    struct sv_id slb;
    struct sv_slb_node_new in;
};

static enum sv_err node_closure(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct node_call *n = arg;

    return sv_slb_node_add(cloud, tx, &tenant, n->slb.s, &n->in, &made, err);
}

static enum sv_err add_node(struct sv_id slb, struct sv_slb_node_new in)
{
    struct node_call n = {slb, in};

    return sv_db_write(w.f.db, node_closure, &n, &why);
}

static const char *inside(unsigned host)
{
    static char text[SV_IP4_LEN];

    sv_ip4_format(vpc.base + host, text);
    return text;
}

#define REFUSES(change, want, at)                                                                                      \
    do {                                                                                                               \
        struct sv_slb_new in = good("198.51.100.10", 80);                                                              \
        in.change;                                                                                                     \
        FAILS(add(in), want);                                                                                          \
        CHECK_INT(why.field, at);                                                                                      \
    } while (0)

/* --- what is refused ------------------------------------------------------------------------------------- */

static void bad_input_names_its_field(void)
{
    static const char *const paths[] = {"/a b", "/a\"", "/a'", "/a\nb", "/a\\", "/a#b", "/{x}", "/a\tb", "/\xc3\xa4"};

    begin();
    REFUSES(set.name = NULL, SV_E_PARAM_MISSING, SV_F_SLB_NAME);
    REFUSES(set.name = "a\nb", SV_E_PARAM_CHARS, SV_F_SLB_NAME);
    REFUSES(set.ip = NULL, SV_E_PARAM_MISSING, SV_F_SLB_IP);
    REFUSES(set.ip = "fe80::1", SV_E_PARAM_FORMAT, SV_F_SLB_IP);
    REFUSES(set.port = -1, SV_E_PARAM_MISSING, SV_F_SLB_PORT);
    REFUSES(set.port = 49, SV_E_PARAM_RANGE, SV_F_SLB_PORT);
    REFUSES(set.port = 65536, SV_E_PARAM_RANGE, SV_F_SLB_PORT);
    REFUSES(real_port = 0, SV_E_PARAM_RANGE, SV_F_SLB_REAL_PORT);
    REFUSES(set.retries = 11, SV_E_PARAM_RANGE, SV_F_SLB_RETRIES);
    REFUSES(set.check_every = 51, SV_E_PARAM_RANGE, SV_F_SLB_EVERY);
    REFUSES(set.check_timeout = 0, SV_E_PARAM_RANGE, SV_F_SLB_TIMEOUT);
    REFUSES(set.idle_timeout = 121, SV_E_PARAM_RANGE, SV_F_SLB_IDLE);
    REFUSES(set.max_connections = 9, SV_E_PARAM_RANGE, SV_F_SLB_CONNECTIONS);
    REFUSES(set.policy = 3, SV_E_PARAM_ENUM, SV_F_SLB_POLICY);
    REFUSES(url_path = "/x", SV_E_PARAM_CONFLICT, SV_F_SLB_URL);
    REFUSES(set.check_path = "/x", SV_E_PARAM_CONFLICT, SV_F_SLB_CHECK);
    REFUSES(cert = cert.p, SV_E_PARAM_CONFLICT, SV_F_SLB_CERT);
    REFUSES(router = vm.s, SV_E_ROUTER_NOT_FOUND, SV_F_ROUTER);
    REFUSES(router = theirs.s, SV_E_ROUTER_NOT_FOUND, SV_F_ROUTER);
    REFUSES(tenant = w.b.s, SV_E_TENANT_NOT_FOUND, SV_F_TENANT);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct sv_slb_new in = good("198.51.100.10", 80);

        in.proto = SV_SLB_HTTP;
        in.url_path = paths[i];
        FAILS(add(in), SV_E_PARAM_CHARS);
        CHECK_INT(why.field, SV_F_SLB_URL);
        in.url_path = NULL;
        in.set.check_path = paths[i];
        FAILS(add(in), SV_E_PARAM_CHARS);
        CHECK_INT(why.field, SV_F_SLB_CHECK);
    }
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM slb"), 0);
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM outer_ip"), 0);
    end();
}

static void certificates_are_looked_at(void)
{
    struct sv_slb_new in;

    begin();
    in = good("198.51.100.10", 443);
    in.proto = SV_SLB_HTTPS;
    FAILS(add(in), SV_E_PARAM_MISSING);
    CHECK_INT(why.field, SV_F_SLB_CERT);
    in.cert = cert.p;
    FAILS(add(in), SV_E_PARAM_MISSING);
    CHECK_INT(why.field, SV_F_SLB_KEY);
    in.key = other_key.p;
    FAILS(add(in), SV_E_CERTIFICATE);
    in.key = key.p;
    WORKS(add(in));
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM secret WHERE instr(sealed, 'PRIVATE KEY')"), 0);
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM secret WHERE kind = 'cert'"), 1);
    world_sound_but_quota();
    WORKS(drop(made));
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM secret WHERE kind = 'cert'"), 0);
    end();
}

/* --- addresses ------------------------------------------------------------------------------------------- */

static struct sv_slb_new shared(const char *ip, int64_t port, enum sv_slb_proto proto)
{
    struct sv_slb_new in = good(ip, port);

    in.set.own = 0;
    in.proto = proto;
    return in;
}

static void outer_addresses_are_shared_by_port(void)
{
    struct sv_slb_settings alone = nothing_said, moved = nothing_said;
    struct sv_id first, udp;

    begin();
    FAILS(add(good("203.0.113.1", 80)), SV_E_OUTER_IP_NOT_FOUND);
    WORKS(add(shared("198.51.100.10", 80, SV_SLB_TCP)));
    first = made;
    FAILS(add(shared("198.51.100.10", 80, SV_SLB_HTTP)), SV_E_SLB_PORT_TAKEN);
    CHECK(strstr(why.arg[1], first.s) != NULL);
    FAILS(add(good("198.51.100.10", 81)), SV_E_SLB_ADDRESS);
    WORKS(add(shared("198.51.100.10", 80, SV_SLB_UDP)));
    udp = made;
    CHECK_INT(read_number(&w.f, "SELECT used_ips FROM tenant WHERE name = 'tenant a'"), 1);

    alone.own = 1;
    FAILS(modify(first, alone), SV_E_SLB_ADDRESS);
    WORKS(drop(udp));
    WORKS(modify(first, alone));
    FAILS(add(shared("198.51.100.10", 81, SV_SLB_TCP)), SV_E_SLB_ADDRESS);
    moved.ip = "198.51.100.11";
    WORKS(modify(first, moved));
    CHECK_INT(read_number(&w.f, "SELECT ip & 255 FROM outer_ip"), 11);
    WORKS(drop(first));
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM outer_ip"), 0);
    end();
}

static enum sv_err map_closure(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id whole = sv_id_new(), port = sv_id_new();

    (void)arg, (void)err;
    WORKS(sv_outer_ip_join(tx, &w.a, OUTER + 12, SV_POOL_OUTER, &why));
    WORKS(sv_outer_ip_join(tx, &w.a, OUTER + 13, SV_POOL_OUTER, &why));
    script(tx,
           "INSERT INTO nat(id, tenant_id, nic_id, outer_ip, proto, outer_port, inner_port, srcs, descr, created)"
           " VALUES('%s', '%s', '%s', %u, 0, 0, 0, '', '', 1), ('%s', '%s', '%s', %u, 1, 80, 8080, '', '', 1)",
           whole.s, w.a.s, nic.s, OUTER + 12, port.s, w.a.s, nic.s, OUTER + 13);
    return SV_OK;
}

static void mappings_come_first(void)
{
    begin();
    writing(map_closure, NULL);
    FAILS(add(shared("198.51.100.12", 81, SV_SLB_TCP)), SV_E_SLB_ADDRESS);
    FAILS(add(shared("198.51.100.13", 80, SV_SLB_TCP)), SV_E_SLB_PORT_TAKEN);
    FAILS(add(good("198.51.100.13", 81)), SV_E_SLB_ADDRESS);
    WORKS(add(shared("198.51.100.13", 80, SV_SLB_UDP)));
    WORKS(add(shared("198.51.100.13", 81, SV_SLB_TCP)));
    end();
}

static struct sv_slb_new within(unsigned host, int64_t port)
{
    struct sv_slb_new in = good(inside(host), port);

    in.outside = false;
    return in;
}

static enum sv_err next_ip(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_vpc_next_ip(tx, &vpc, arg, err);
}

static void inner_addresses_are_kept_from_nics(void)
{
    struct sv_slb_settings own = nothing_said, moved = nothing_said;
    struct sv_id first, second;
    uint32_t ip;

    begin();
    FAILS(add(within(1, 80)), SV_E_SLB_ADDRESS); /* the gateway */
    CHECK_STR(why.arg[1], "it is the VPC's gateway");
    FAILS(add(within(2, 80)), SV_E_SLB_ADDRESS); /* a NIC's */
    FAILS(add(within(255, 80)), SV_E_SLB_ADDRESS);
    FAILS(add(within(256 + 4, 80)), SV_E_SLB_ADDRESS); /* a VPC without a leg */
    CHECK_STR(why.arg[1], "it is in no VPC of the router");
    WORKS(add(within(4, 80)));
    first = made;
    WORKS(add(within(4, 81)));
    second = made;
    FAILS(add(within(4, 81)), SV_E_SLB_PORT_TAKEN);
    reading(next_ip, &ip);
    CHECK_INT(ip - vpc.base, 5);
    own.own = 0;
    FAILS(modify(first, own), SV_E_PARAM_CONFLICT);
    CHECK_INT(why.field, SV_F_SLB_OWN);
    WORKS(drop(first));
    reading(next_ip, &ip);
    CHECK_INT(ip - vpc.base, 5);
    moved.ip = inside(9);
    WORKS(modify(second, moved));
    reading(next_ip, &ip);
    CHECK_INT(ip - vpc.base, 4);
    world_sound_but_quota();
    WORKS(drop(second));
    end();
}

/* --- nodes ------------------------------------------------------------------------------------------------- */

static void touch_nobody(void *arg, const struct sv_id *id)
{
    CHECK_STR(id->s, router.s);
    ++*(unsigned *)arg;
}

static enum sv_err drop_nic(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_slb_node_drop_nic(tx, &nic, touch_nobody, arg, err);
}

static void nodes_are_the_tenants_nics(void)
{
    struct sv_slb_node_new n, pair[2];
    struct sv_slb_new in;
    char lost[SV_IP4_LEN];
    unsigned routers = 0;
    struct sv_id slb;

    begin();
    WORKS(add(good("198.51.100.10", 80)));
    slb = made;
    WORKS(add_node(slb, node_at(inside(2))));
    FAILS(add_node(slb, node_at(inside(2))), SV_E_SLB_NODE_EXISTS);
    FAILS(add_node(slb, node_at(inside(9))), SV_E_SLB_NODE_ADDRESS);
    sv_ip4_format(loose.base + 2, lost);
    FAILS(add_node(slb, node_at(lost)), SV_E_SLB_NODE_ADDRESS);
    n = node_at(inside(2));
    n.vm = their_vm.s;
    FAILS(add_node(slb, n), SV_E_VM_NOT_FOUND);
    n = node_at(inside(2));
    n.port = 0;
    FAILS(add_node(slb, n), SV_E_PARAM_RANGE);
    n.port = 81;
    n.weight = 11;
    FAILS(add_node(slb, n), SV_E_PARAM_RANGE);
    n.weight = 10;
    WORKS(add_node(slb, n));
    WORKS(sv_db_write(w.f.db, drop_nic, &routers, &why));
    CHECK_INT(routers, 1);
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM slb_node"), 0);

    in = good("198.51.100.11", 80);
    pair[0] = node_at(inside(2));
    pair[1] = node_at(lost);
    in.nodes = pair;
    in.node_count = 2;
    FAILS(add(in), SV_E_SLB_NODE_ADDRESS);
    CHECK_INT(why.element, 2);
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM slb"), 1);
    end();
}

/* --- what an engine is given --------------------------------------------------------------------------------- */

static enum sv_err want(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_net_router *r = arg;
    struct sv_arena *a SV_CLEANUP(sv_arena_freep) = sv_arena_new();
    const struct sv_net_balancer *b;

    (void)err;
    WORKS(sv_want_balancers(cloud, tx, a, r, &why));
    CHECK_INT(r->balancer_count, 2); /* one of three is off */
    b = &r->balancers[0];
    CHECK(b->proto == SV_NET_BALANCE_HTTPS && b->policy == SV_NET_WRR && b->outer && b->ip == OUTER + 10);
    CHECK(b->port == 443 && b->max_connections == 50 && b->retries == SV_SLB_DEFAULT_RETRIES);
    CHECK_STR(b->url_path, "/shop");
    CHECK_STR(b->check_path, "/shop/health?deep=1");
    CHECK(strstr(b->pem, "BEGIN CERTIFICATE") && strstr(b->pem, "PRIVATE KEY"));
    CHECK_INT(b->node_count, 2);
    CHECK(strcmp(b->nodes[0].id.s, b->nodes[1].id.s) < 0);
    CHECK(b->nodes[0].ip == vpc.base + 2 && b->nodes[0].weight == 1 && b->nodes[0].on);
    CHECK(b->nodes[1].ip == vpc.base + 3 && b->nodes[1].weight == 7);
    b = &r->balancers[1];
    CHECK(!b->outer && b->ip == vpc.base + 4 && !b->pem && b->node_count == 0);
    CHECK_STR(b->url_path, "");
    r->balancers = NULL;
    return SV_OK;
}

static enum sv_err switch_off(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    return sv_slb_switch(cloud, tx, &tenant, made.s, false, err);
}

static void engines_are_given_what_rows_say(void)
{
    struct sv_net_ops ops = sv_net_none_ops;
    struct sv_net_router r = {.ha = false};
    struct sv_slb_node_new pair[2];
    char two[SV_IP4_LEN];
    struct sv_slb_new in;

    begin();
    ops.books_only = false; /* one that has to be told */
    net->ops = &ops;
    SV_COPY(two, inside(2));
    pair[0] = node_at(two);
    pair[1] = node_at(inside(3));
    pair[1].weight = 7;
    in = good("198.51.100.10", 443);
    in.proto = SV_SLB_HTTPS;
    in.cert = cert.p;
    in.key = key.p;
    in.url_path = "/shop";
    in.set.check_path = "/shop/health?deep=1";
    in.set.policy = SV_SLB_WRR;
    in.set.max_connections = 50;
    in.nodes = pair;
    in.node_count = 2;
    WORKS(add(in));
    WORKS(add(within(4, 80)));
    WORKS(add(within(5, 80)));
    writing(switch_off, NULL);
    r.id = router;
    reading(want, &r);
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM net_unit"), 1); /* the router */
    net->ops = &sv_net_none_ops;
    end();
}

/* --- what the engine finds ----------------------------------------------------------------------------------- */

static struct sv_id up_node;

static enum sv_err say_up(struct sv_net *engine, const struct sv_id *id, sv_net_node_fn *row, void *arg,
                          struct sv_error *err)
{
    const struct sv_net_node_fact f = {
        .balancer = made, .node = up_node, .state = SV_NET_NODE_UP, .connections = 3, .bytes_in = 10};

    (void)engine, (void)err;
    CHECK_STR(id->s, router.s);
    row(arg, &f);
    return SV_OK;
}

static void see_figures(void *arg, const struct sv_slb_figures *f)
{
    *(struct sv_slb_figures *)arg = *f;
}

/* The figures come with the first round of a thread: there is nobody to be told by. */
static struct sv_slb_figures figures_soon(void)
{
    struct sv_slb_figures f = {.connections = 0};
    const int64_t end = sv_mono_ms() + 60 * 1000;

    while ((!f.nodes[SV_NET_NODE_UP] || !f.cert_ends) && sv_mono_ms() < end) {
        writing(nothing, NULL);
        sv_cloud_balancers(cloud, see_figures, &f);
    }
    return f;
}

static void states_and_endings_are_told(void)
{
    struct sv_net_ops ops = sv_net_none_ops;
    struct sv_slb_figures f;
    struct sv_slb_new in;

    begin();
    ops.router_nodes = say_up;
    ops.books_only = false;
    net->ops = &ops;
    in = good("198.51.100.10", 443);
    in.proto = SV_SLB_HTTPS;
    in.cert = cert.p;
    in.key = key.p;
    WORKS(add(in));
    up_node = sv_id_new();
    CHECK_INT(sv_balance_node_state(cloud, &up_node), SV_NET_NODE_UNKNOWN);
    WORKS(sv_balance_start(cloud, &why));
    f = figures_soon();
    CHECK(sv_id_eq(&f.id, &made) && f.nodes[SV_NET_NODE_UP] == 1 && f.connections == 3 && f.bytes_in == 10);
    CHECK(f.cert_ends > sv_now_ms());
    CHECK_INT(sv_balance_node_state(cloud, &up_node), SV_NET_NODE_UP);
    wait_for("SELECT count(*) FROM event WHERE type = 'slb.certificate.ending'", 1); /* it ends in 20 days */
    CHECK_INT(read_number(&w.f, "SELECT cert_warned FROM slb"), 1);
    sv_balance_stop(cloud);
    net->ops = &sv_net_none_ops;
    end();
}

/* An engine whose every router takes longer than a round may: the second that is asked sees the first shown already. */
struct slow {
    struct sv_id asked[2];
    atomic_uint n;
};
static struct slow slow;

static enum sv_err take_long(struct sv_net *engine, const struct sv_id *id, sv_net_node_fn *row, void *arg,
                             struct sv_error *err)
{
    const struct sv_net_node_fact f = {.balancer = made, .node = *id, .state = SV_NET_NODE_UP};
    const unsigned n = atomic_load(&slow.n);
    const int64_t end = sv_mono_ms() + SV_BALANCE_ROUND_MS + 10;

    (void)engine, (void)err;
    while (sv_mono_ms() < end)
        CHECK(poll(NULL, 0, (int)(end - sv_mono_ms())) == 0);
    row(arg, &f);
    if (n < 2) {
        if (n == 1)
            CHECK_INT(sv_balance_node_state(cloud, &slow.asked[0]), SV_NET_NODE_UP);
        slow.asked[n] = *id;
        atomic_store(&slow.n, n + 1);
    }
    return SV_OK;
}

static enum sv_err balance_theirs(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_slb b = {.id = sv_id_new(),
                             .tenant = w.b,
                             .router = theirs,
                             .name = "b",
                             .descr = "",
                             .enabled = true,
                             .ip = OUTER + 11,
                             .port = 80,
                             .url_path = "",
                             .check_path = ""};

    (void)err;
    *(struct sv_id *)arg = b.id;
    WORKS(sv_slb_insert(tx, &b, &why));
    return SV_OK;
}

static enum sv_err forget_theirs(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)err;
    WORKS(sv_slb_delete(tx, arg, &why));
    return SV_OK;
}

static void a_round_ends_in_time(void)
{
    const int64_t end_ms = sv_mono_ms() + 60 * 1000;
    struct sv_net_ops ops = sv_net_none_ops;
    struct sv_id other;

    begin();
    ops.router_nodes = take_long;
    ops.books_only = false;
    net->ops = &ops;
    WORKS(add(good("198.51.100.10", 443)));
    writing(balance_theirs, &other);
    WORKS(sv_balance_start(cloud, &why));
    while (atomic_load(&slow.n) < 2 && sv_mono_ms() < end_ms)
        writing(nothing, NULL);
    sv_balance_stop(cloud);
    CHECK_INT(atomic_load(&slow.n), 2);
    CHECK(!sv_id_eq(&slow.asked[0], &slow.asked[1])); /* the next round begins with the other */
    net->ops = &sv_net_none_ops;
    writing(forget_theirs, &other);
    end();
}

CHECK_MAIN(T(bad_input_names_its_field), T(certificates_are_looked_at), T(outer_addresses_are_shared_by_port),
           T(mappings_come_first), T(inner_addresses_are_kept_from_nics), T(nodes_are_the_tenants_nics),
           T(engines_are_given_what_rows_say), T(states_and_endings_are_told), T(a_round_ends_in_time))
