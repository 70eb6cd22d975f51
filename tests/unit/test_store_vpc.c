/* Subnets and addresses: always the lowest free one, against a model; VPC rows, NIC rows, their scopes. */
#include "store_fixture.h"

#define NET     0x0A000000U /* 10.0.0.0 */
#define NET_LEN 20
#define UNIT    16 /* the smallest subnet of the model, a /28 */
#define UNITS   256
#define OTHER   0xC0A80000U /* 192.168.0.0/24 */

static uint32_t below(uint32_t n)
{
    static uint64_t state = 0x9E3779B97F4A7C15ULL;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 24) % n;
}

/* --- subnets against a model --------------------------------------------------------------------------------- */

struct model {
    bool used[UNITS];
    struct sv_vpc vpcs[UNITS];
    unsigned n;
};

static int model_lowest(const struct model *m, unsigned units)
{
    for (unsigned at = 0; at + units <= UNITS; at += units) {
        unsigned i = 0;
        while (i < units && !m->used[at + i])
            i++;
        if (i == units)
            return (int)at;
    }
    return -1;
}

static void model_set(struct model *m, const struct sv_vpc *v, bool used)
{
    unsigned at = (v->base - NET) / UNIT, units = (1U << (32 - v->prefix)) / UNIT;
    for (unsigned i = at; i < at + units; i++) {
        CHECK(m->used[i] != used);
        m->used[i] = used;
    }
}

static void insert_random(struct sv_tx *tx, struct model *m)
{
    struct sv_vpc v = new_vpc(tx, below(2) ? &w.a : &w.b, 28 - (below(3) ? below(4) : below(9)));
    int want = model_lowest(m, (1U << (32 - v.prefix)) / UNIT);
    if (want < 0) {
        FAILS(sv_vpc_insert(tx, &v, NET, NET_LEN, &why), SV_E_VPC_EXHAUSTED);
        CHECK_STR(why.arg[0], "10.0.0.0/20");
        return;
    }
    const struct sv_amounts one = {.subnets = 1};
    WORKS(sv_tenant_reserve(tx, &v.tenant, &one, &why));
    WORKS(sv_vpc_insert(tx, &v, NET, NET_LEN, &why));
    CHECK_INT(v.base, NET + (uint32_t)want * UNIT);
    CHECK_INT(v.free_count, (1 << (32 - v.prefix)) - 3);
    model_set(m, &v, true);
    m->vpcs[m->n++] = v;
}

static void delete_random(struct sv_tx *tx, struct model *m)
{
    if (m->n == 0)
        return;
    unsigned at = below(m->n);
    const struct sv_vpc v = m->vpcs[at];
    m->vpcs[at] = m->vpcs[--m->n];
    WORKS(sv_vpc_delete(tx, &v.id, &why));
    model_set(m, &v, false);
    WORKS(sv_vpc_delete(tx, &v.id, &why)); /* twice is as good as once */
}

static enum sv_err random_operations(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct model *m = arg;
    unsigned grow = below(100);
    (void)err;
    for (int i = 0; i < 60; i++) {
        if (below(100) < grow)
            insert_random(tx, m);
        else
            delete_random(tx, m);
    }
    return SV_OK;
}

static enum sv_err empty_model(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct model *m = arg;
    (void)err;
    while (m->n)
        delete_random(tx, m);
    return SV_OK;
}

static void subnets_are_the_lowest_free(void)
{
    static struct model m;
    m = (struct model){.n = 0};
    world_new();
    for (int round = 0; round < 60; round++) {
        writing(random_operations, &m);
        if (round % 10 == 0)
            world_sound();
    }
    writing(empty_model, &m);
    world_sound();
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM free_range"), 1);
    CHECK_INT(read_number(&w.f, "SELECT sum(used_subnets) FROM tenant"), 0);
    world_remove();
}

/* Supernets may change between starts: what one holds is not mistaken for what the other does. */
static enum sv_err two_supernets(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_vpc v[6];
    (void)arg;
    (void)err;
    for (int i = 0; i < 6; i++)
        v[i] = new_vpc(tx, &w.a, i < 4 ? 26 : 28);
    WORKS(sv_vpc_insert(tx, &v[0], OTHER, 24, &why));
    CHECK_INT(v[0].base, OTHER);
    WORKS(sv_vpc_insert(tx, &v[1], NET, NET_LEN, &why));
    CHECK_INT(v[1].base, NET);
    WORKS(sv_vpc_insert(tx, &v[2], OTHER, 24, &why));
    CHECK_INT(v[2].base, OTHER + 64);
    /* A supernet within another one. */
    WORKS(sv_vpc_insert(tx, &v[3], OTHER & 0xFFFF0000U, 16, &why));
    CHECK_INT(v[3].base, OTHER + 128);
    WORKS(sv_vpc_delete(tx, &v[0].id, &why));
    WORKS(sv_vpc_insert(tx, &v[4], OTHER, 24, &why));
    CHECK_INT(v[4].base, OTHER);
    WORKS(sv_vpc_insert(tx, &v[5], OTHER, 24, &why));
    CHECK_INT(v[5].base, OTHER + 16);
    struct sv_vpc wide = new_vpc(tx, &w.a, 23);
    FAILS(sv_vpc_insert(tx, &wide, OTHER, 24, &why), SV_E_VPC_EXHAUSTED);
    struct sv_vpc top = new_vpc(tx, &w.a, 24);
    WORKS(sv_vpc_insert(tx, &top, 0xFFFFFF00U, 24, &why)); /* up to the last address there is */
    CHECK_INT(top.base, 0xFFFFFF00U);
    struct sv_vpc after = new_vpc(tx, &w.a, 24);
    FAILS(sv_vpc_insert(tx, &after, 0xFFFFFF00U, 24, &why), SV_E_VPC_EXHAUSTED);
    return SV_E_VM_STATE; /* leaves nothing */
}

static void supernets(void)
{
    world_new();
    CHECK_INT(sv_db_write(w.f.db, two_supernets, NULL, &why), SV_E_VM_STATE);
    world_sound();
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM vpc"), 0);
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM free_range"), 1);
    world_remove();
}

/* --- addresses ------------------------------------------------------------------------------------------------ */

struct subnet {
    struct sv_vpc vpc;
    struct sv_id vm[256]; /* by address */
};

static struct sv_id join_at(struct sv_tx *tx, struct subnet *s, uint32_t ip)
{
    struct sv_vm vm = new_vm(tx, &w.a, "vm");
    vm.ip = ip;
    WORKS(sv_vm_insert(tx, &vm, &why));
    const struct sv_nic n = new_nic(tx, &w.a, &vm.id, &s->vpc, ip);
    WORKS(sv_nic_insert(tx, &n, &why));
    return vm.id;
}

static uint32_t join(struct sv_tx *tx, struct subnet *s)
{
    uint32_t ip;
    WORKS(sv_vpc_next_ip(tx, &s->vpc, &ip, &why));
    s->vm[ip - s->vpc.base] = join_at(tx, s, ip);
    return ip - s->vpc.base;
}

static void leave(struct sv_tx *tx, struct subnet *s, unsigned host)
{
    struct sv_id *vm = &s->vm[host];
    WORKS(sv_nic_delete_vm(tx, vm, &why));
    WORKS(sv_vm_delete(tx, vm, &why));
    *vm = no_id;
}

static int64_t free_now(struct sv_tx *tx, const struct subnet *s)
{
    struct sv_vpc v;
    WORKS(sv_vpc_get(tx, sv_scope_system(), &s->vpc.id, sv_tx_arena(tx), &v, &why));
    return v.free_count;
}

static enum sv_err make_subnet(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct subnet *s = arg;
    const struct sv_amounts one = {.subnets = 1};
    *s = (struct subnet){.vpc = new_vpc(tx, &w.a, 24)};
    WORKS(sv_tenant_reserve(tx, &w.a, &one, err));
    return sv_vpc_insert(tx, &s->vpc, NET, NET_LEN, err);
}

static void check_full(struct sv_tx *tx, const struct subnet *s)
{
    uint32_t ip = 77;
    CHECK_INT(free_now(tx, s), 0);
    FAILS(sv_vpc_next_ip(tx, &s->vpc, &ip, &why), SV_E_VPC_FULL);
    CHECK_INT(ip, 77);
    struct sv_vm vm = new_vm(tx, &w.a, "late");
    WORKS(sv_vm_insert(tx, &vm, &why));
    const struct sv_nic n = new_nic(tx, &w.a, &vm.id, &s->vpc, s->vpc.base + 9);
    FAILS(sv_nic_insert(tx, &n, &why), SV_E_VPC_FULL);
    WORKS(sv_vm_delete(tx, &vm.id, &why));
}

static enum sv_err use_addresses(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct subnet *s = arg;
    (void)err;
    for (unsigned i = 0; i < 253; i++)
        CHECK_INT(join(tx, s), i + 2); /* .1 is the gateway */
    check_full(tx, s);
    leave(tx, s, 100);
    leave(tx, s, 7);
    leave(tx, s, 254);
    CHECK_INT(free_now(tx, s), 3);
    CHECK_INT(join(tx, s), 7);
    CHECK_INT(join(tx, s), 100);
    CHECK_INT(join(tx, s), 254);
    check_full(tx, s);
    return SV_OK;
}

static enum sv_err random_addresses(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct subnet *s = arg;
    unsigned grow = 20 + below(60);
    (void)err;
    for (int i = 0; i < 100; i++) {
        unsigned lowest = 2, host = 2 + below(253);
        while (lowest < 255 && !sv_id_empty(&s->vm[lowest]))
            lowest++;
        if (below(100) < grow && lowest < 255)
            CHECK_INT(join(tx, s), lowest);
        else if (!sv_id_empty(&s->vm[host]))
            leave(tx, s, host);
    }
    return SV_OK;
}

static void addresses_are_the_lowest_free(void)
{
    static struct subnet s;
    world_new();
    writing(make_subnet, &s);
    writing(use_addresses, &s);
    for (int round = 0; round < 60; round++) {
        writing(random_addresses, &s);
        if (round % 15 == 0)
            world_sound_but_quota();
    }
    world_remove();
}

/* Only what the VPC hands out, and only once; a MAC once in the whole cloud. */
static enum sv_err wrong_addresses(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct subnet *s = arg;
    (void)err;
    struct sv_id vm = join_at(tx, s, s->vpc.base + 2);
    struct sv_id other = add_vm(tx, &w.a, "other");
    const uint32_t bad[] = {s->vpc.base,       s->vpc.base + 1, s->vpc.base + 2,    s->vpc.base + 255,
                            s->vpc.base + 256, s->vpc.base - 1, s->vpc.base + 1000, 0,
                            UINT32_MAX};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct sv_nic n = new_nic(tx, &w.a, &other, &s->vpc, bad[i]);
        FAILS(sv_nic_insert(tx, &n, &why), SV_E_DB);
    }
    (void)vm;
    return SV_E_VM_STATE;
}

static enum sv_err same_mac(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct subnet *s = arg;
    struct sv_id vm = add_vm(tx, &w.a, "vm");
    struct sv_nic one = new_nic(tx, &w.a, &vm, &s->vpc, s->vpc.base + 2), two = one;
    WORKS(sv_nic_insert(tx, &one, err));
    two.id = sv_id_new();
    two.ip++;
    FAILS(sv_nic_insert(tx, &two, &why), SV_E_DB);
    return SV_E_VM_STATE;
}

static void addresses_and_macs_are_unique(void)
{
    static struct subnet s;
    world_new();
    writing(make_subnet, &s);
    CHECK_INT(sv_db_write(w.f.db, wrong_addresses, &s, NULL), SV_E_VM_STATE);
    CHECK_INT(sv_db_write(w.f.db, same_mac, &s, NULL), SV_E_VM_STATE);
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM nic"), 0);
    world_sound();
    world_remove();
}

/* --- rows ----------------------------------------------------------------------------------------------------- */

struct seen {
    unsigned n;
    struct sv_id ids[64];
    struct sv_nic nic;
    char names[3][64];
};

static void see_vpc(void *arg, const struct sv_vpc *v)
{
    struct seen *s = arg;
    CHECK(s->n < 64);
    s->ids[s->n++] = v->id;
}

static void see_nic(void *arg, const struct sv_nic *n)
{
    struct seen *s = arg;
    s->ids[s->n++] = n->id;
    s->nic = *n;
    SV_COPY(s->names[0], n->name);
    SV_COPY(s->names[1], n->vm_name);
    SV_COPY(s->names[2], n->vpc_name);
}

static struct sv_vpc vpc_of_a, vpcs[10];

static enum sv_err make_rows(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_amounts five = {.subnets = 5};
    (void)arg;
    (void)err;
    WORKS(sv_tenant_reserve(tx, &w.a, &five, &why));
    WORKS(sv_tenant_reserve(tx, &w.b, &five, &why));
    for (int i = 0; i < 10; i++) {
        vpcs[i] = new_vpc(tx, i % 2 ? &w.b : &w.a, 24);
        vpcs[i].name = i % 2 ? "of b" : "of a";
        WORKS(sv_vpc_insert(tx, &vpcs[i], NET, NET_LEN, &why));
    }
    vpc_of_a = vpcs[0];
    return SV_OK;
}

static enum sv_err read_rows(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_arena *a = sv_tx_arena(tx);
    struct sv_vpc v = {.free_count = 5};
    const struct sv_id unknown = sv_id_new();
    (void)arg;
    (void)err;
    WORKS(sv_vpc_get(tx, sv_scope_tenant(&w.a), &vpc_of_a.id, a, &v, &why));
    CHECK(sv_id_eq(&v.id, &vpc_of_a.id) && sv_id_eq(&v.tenant, &w.a));
    CHECK_STR(v.name, "of a");
    CHECK_INT(v.base, NET);
    CHECK_INT(v.prefix, 24);
    CHECK_INT(v.free_count, 253);
    CHECK(!v.deleting);
    WORKS(sv_vpc_get(tx, sv_scope_system(), &vpc_of_a.id, a, &v, &why));
    v.free_count = 5;
    FAILS(sv_vpc_get(tx, sv_scope_tenant(&w.b), &vpc_of_a.id, a, &v, &why), SV_E_VPC_NOT_FOUND);
    CHECK_INT(why.field, SV_F_VPC);
    struct sv_error other = why;
    FAILS(sv_vpc_get(tx, sv_scope_tenant(&w.b), &unknown, a, &v, &why), SV_E_VPC_NOT_FOUND);
    CHECK(same_error(&other, &why));
    CHECK_INT(v.free_count, 5);
    for (uint64_t offset = 0; offset < 12; offset++) {
        for (unsigned limit = 0; limit < 7; limit++) {
            const struct sv_page p = {.offset = offset, .limit = limit};
            struct seen all = {.n = 0}, mine = {.n = 0};
            uint64_t total;
            WORKS(sv_vpc_list(tx, sv_scope_system(), &p, see_vpc, &all, &total, &why));
            CHECK_INT(total, 10);
            for (unsigned i = 0; i < all.n; i++)
                CHECK(sv_id_eq(&all.ids[i], &vpcs[offset + i].id));
            CHECK_INT(all.n, offset > 10 ? 0 : limit && limit < 10 - offset ? limit : 10 - offset);
            WORKS(sv_vpc_list(tx, sv_scope_tenant(&w.b), &p, see_vpc, &mine, &total, &why));
            CHECK_INT(total, 5);
            for (unsigned i = 0; i < mine.n; i++)
                CHECK(sv_id_eq(&mine.ids[i], &vpcs[2 * (offset + i) + 1].id));
            CHECK_INT(mine.n, offset > 5 ? 0 : limit && limit < 5 - offset ? limit : 5 - offset);
        }
    }
    return SV_OK;
}

static enum sv_err change_rows(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_arena *a = sv_tx_arena(tx);
    struct sv_vpc v;
    (void)arg;
    (void)err;
    FAILS(sv_vpc_update(tx, sv_scope_tenant(&w.b), &vpc_of_a.id, "x", NULL, &why), SV_E_VPC_NOT_FOUND);
    WORKS(sv_vpc_update(tx, sv_scope_tenant(&w.a), &vpc_of_a.id, NULL, "text", &why));
    WORKS(sv_vpc_get(tx, sv_scope_system(), &vpc_of_a.id, a, &v, &why));
    CHECK_STR(v.name, "of a");
    CHECK_STR(v.descr, "text");
    WORKS(sv_vpc_update(tx, sv_scope_system(), &vpc_of_a.id, "new", "", &why));
    WORKS(sv_vpc_get(tx, sv_scope_system(), &vpc_of_a.id, a, &v, &why));
    CHECK_STR(v.name, "new");
    CHECK_STR(v.descr, "");
    return SV_OK;
}

static enum sv_err use_nics(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct seen s = {.n = 0};
    struct sv_id vm = add_vm(tx, &w.a, "web");
    struct sv_nic n = new_nic(tx, &w.a, &vm, &vpc_of_a, vpc_of_a.base + 2);
    const unsigned char mac[6] = {0x52, 0x00, 0xFF, 0x0a, 0xB0, 0x01};
    (void)arg;
    (void)err;
    memcpy(n.mac, mac, 6);
    WORKS(sv_nic_insert(tx, &n, &why));
    FAILS(sv_vpc_begin_delete(tx, sv_scope_tenant(&w.a), &vpc_of_a.id, &why), SV_E_VPC_IN_USE);
    CHECK_STR(why.arg[0], "1");
    WORKS(sv_nic_list_vm(tx, sv_scope_tenant(&w.b), &vm, see_nic, &s, &why));
    WORKS(sv_nic_list_vpc(tx, sv_scope_tenant(&w.b), &vpc_of_a.id, see_nic, &s, &why));
    CHECK_INT(s.n, 0);
    WORKS(sv_nic_list_vm(tx, sv_scope_tenant(&w.a), &vm, see_nic, &s, &why));
    WORKS(sv_nic_list_vpc(tx, sv_scope_system(), &vpc_of_a.id, see_nic, &s, &why));
    CHECK_INT(s.n, 2);
    CHECK(sv_id_eq(&s.ids[0], &n.id) && sv_id_eq(&s.ids[1], &n.id));
    CHECK(sv_id_eq(&s.nic.vm, &vm) && sv_id_eq(&s.nic.vpc, &vpc_of_a.id) && sv_id_eq(&s.nic.tenant, &w.a));
    CHECK(memcmp(s.nic.mac, mac, 6) == 0);
    CHECK_INT(s.nic.ip, vpc_of_a.base + 2);
    CHECK_STR(s.names[0], "eth0");
    CHECK_STR(s.names[1], "web");
    CHECK_STR(s.names[2], "new");
    WORKS(sv_nic_delete_vm(tx, &vm, &why));
    WORKS(sv_nic_delete_vm(tx, &vm, &why));
    WORKS(sv_vm_delete(tx, &vm, &why));
    return SV_OK;
}

/* A VPC being deleted is gone for its tenant and takes no NIC. */
static enum sv_err delete_rows(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_arena *a = sv_tx_arena(tx);
    struct seen s = {.n = 0};
    struct sv_vpc v;
    uint64_t total;
    (void)arg;
    (void)err;
    FAILS(sv_vpc_begin_delete(tx, sv_scope_tenant(&w.b), &vpc_of_a.id, &why), SV_E_VPC_NOT_FOUND);
    WORKS(sv_vpc_begin_delete(tx, sv_scope_tenant(&w.a), &vpc_of_a.id, &why));
    FAILS(sv_vpc_begin_delete(tx, sv_scope_tenant(&w.a), &vpc_of_a.id, &why), SV_E_VPC_NOT_FOUND);
    FAILS(sv_vpc_get(tx, sv_scope_tenant(&w.a), &vpc_of_a.id, a, &v, &why), SV_E_VPC_NOT_FOUND);
    FAILS(sv_vpc_update(tx, sv_scope_tenant(&w.a), &vpc_of_a.id, "x", NULL, &why), SV_E_VPC_NOT_FOUND);
    WORKS(sv_vpc_get(tx, sv_scope_system(), &vpc_of_a.id, a, &v, &why));
    CHECK(v.deleting);
    WORKS(sv_vpc_list(tx, sv_scope_tenant(&w.a), &all_rows, see_vpc, &s, &total, &why));
    CHECK_INT(total, 4);
    CHECK_INT(s.n, 4);
    WORKS(sv_vpc_list(tx, sv_scope_system(), &all_rows, see_vpc, &s, &total, &why));
    CHECK_INT(total, 9);
    s.n = 0;
    WORKS(sv_vpc_list_deleting(tx, see_vpc, &s, &why));
    CHECK_INT(s.n, 1);
    CHECK(sv_id_eq(&s.ids[0], &vpc_of_a.id));
    struct sv_id vm = add_vm(tx, &w.a, "late");
    struct sv_nic n = new_nic(tx, &w.a, &vm, &vpc_of_a, vpc_of_a.base + 2);
    FAILS(sv_nic_insert(tx, &n, &why), SV_E_VPC_FULL);
    WORKS(sv_vm_delete(tx, &vm, &why));
    WORKS(sv_vpc_delete(tx, &vpc_of_a.id, &why));
    FAILS(sv_vpc_get(tx, sv_scope_system(), &vpc_of_a.id, a, &v, &why), SV_E_VPC_NOT_FOUND);
    return SV_OK;
}

static void rows(void)
{
    world_new();
    writing(make_rows, NULL);
    reading(read_rows, NULL);
    writing(change_rows, NULL);
    writing(use_nics, NULL);
    world_sound_but_quota();
    writing(delete_rows, NULL);
    world_sound();
    CHECK_INT(read_number(&w.f, "SELECT sum(used_subnets) FROM tenant"), 9);
    world_remove();
}

CHECK_MAIN(T(subnets_are_the_lowest_free), T(supernets), T(addresses_are_the_lowest_free),
           T(addresses_and_macs_are_unique), T(rows))
