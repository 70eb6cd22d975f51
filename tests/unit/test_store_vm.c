/* VM rows and their lists: scope, filters, pages against a plain sort, states, disks. */
#include <ctype.h>

#include "store_fixture.h"

#define VMS 400

static uint32_t below(uint32_t n)
{
    static uint64_t state = 88172645463325252ULL;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 24) % n;
}

/* --- the model: what was inserted, in order of creation -------------------------------------------------------- */

struct known {
    struct sv_id id, tenant, host;
    char name[64];
    enum sv_vm_state state;
    int64_t created;
};

static struct known vms[VMS];
static unsigned vm_count;
static struct sv_id hosts[3]; /* the last is not connected */

static const char *const name_parts[] = {"web",    "WEB", "Data_Base", "100%",  "per%cent", "under_score", "a.b*c?[d]",
                                         "云主机", "x",   "aab",       "'; --", "\\",       "Ümlaut"};

static int by_creation(const void *a, const void *b)
{
    const struct known *x = a, *y = b;
    if (x->created != y->created)
        return x->created < y->created ? -1 : 1;
    return strcmp(x->id.s, y->id.s);
}

static void insert_random(struct sv_tx *tx)
{
    struct known *k = &vms[vm_count++];
    struct sv_vm vm = new_vm(tx, below(3) ? &w.a : &w.b, k->name);
    vm.state = (enum sv_vm_state)below(SV_VM_UNKNOWN);
    vm.host = vm.state == SV_VM_FAILED ? no_id : hosts[below(3)];
    if (below(8) == 0) /* as if the clock had been wrong */
        vm.created -= below(1000);
    *k = (struct known){.id = vm.id, .tenant = vm.tenant, .host = vm.host, .state = vm.state, .created = vm.created};
    snprintf(k->name, sizeof(k->name), "%s-%s-%u", name_parts[below(13)], name_parts[below(13)], below(100));
    vm.name = k->name;
    WORKS(sv_vm_insert(tx, &vm, &why));
}

static enum sv_err fill(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    (void)err;
    vm_count = 0;
    hosts[0] = w.host;
    hosts[1] = add_host(tx, 1, 100, SV_GIB);
    hosts[2] = add_host(tx, 2, 100, SV_GIB);
    WORKS(sv_host_set_connected(tx, &hosts[2], false, &why));
    while (vm_count < VMS)
        insert_random(tx);
    qsort(vms, vm_count, sizeof(vms[0]), by_creation);
    return SV_OK;
}

static enum sv_vm_state seen_state(const struct known *k)
{
    bool settled = k->state >= SV_VM_STOPPED && k->state <= SV_VM_SAVED;
    return settled && sv_id_eq(&k->host, &hosts[2]) ? SV_VM_UNKNOWN : k->state;
}

static bool contains(const char *text, const char *part)
{
    size_t n = part ? strlen(part) : 0;
    for (const char *s = text; strlen(s) >= n; s++) {
        size_t i = 0;
        while (i < n && (part[i] & 0x80 ? s[i] == part[i] : tolower(s[i]) == tolower(part[i])))
            i++;
        if (i == n)
            return true;
    }
    return false;
}

static bool wanted(const struct known *k, const struct sv_id *tenant, const struct sv_vm_filter *f)
{
    if (!sv_id_empty(tenant) && !sv_id_eq(tenant, &k->tenant))
        return false;
    if (!sv_id_empty(&f->tenant) && !sv_id_eq(&f->tenant, &k->tenant))
        return false;
    if (f->by_state && seen_state(k) != f->states[0] && seen_state(k) != f->states[1])
        return false;
    if (!sv_id_empty(&f->host) && !sv_id_eq(&f->host, &k->host))
        return false;
    return contains(k->name, f->name) && contains(k->id.s, f->id);
}

/* --- pages ------------------------------------------------------------------------------------------------------ */

struct page {
    const struct known *rows[VMS];
    unsigned n;
};

static void see_vm(void *arg, const struct sv_vm *v)
{
    struct page *p = arg;
    unsigned i = 0;
    while (i < vm_count && !sv_id_eq(&vms[i].id, &v->id))
        i++;
    CHECK(i < vm_count && p->n < VMS);
    CHECK_STR(v->name, vms[i].name);
    CHECK_INT(v->state, seen_state(&vms[i]));
    CHECK(sv_id_eq(&v->tenant, &vms[i].tenant) && sv_id_eq(&v->host, &vms[i].host));
    CHECK_INT(v->created, vms[i].created);
    p->rows[p->n++] = &vms[i];
}

static uint64_t compare(struct sv_tx *tx, const struct sv_id *tenant, const struct sv_vm_filter *f, struct sv_page p)
{
    const struct known *all[VMS];
    struct page got = {.n = 0};
    unsigned n = 0, at = 0;
    uint64_t total = 12345;
    for (unsigned i = 0; i < vm_count; i++)
        if (wanted(&vms[i], tenant, f))
            all[n++] = &vms[i];
    WORKS(sv_vm_list(tx, sv_scope_tenant(tenant), f, &p, see_vm, &got, &total, &why));
    CHECK_INT(total, n);
    for (uint64_t i = p.offset; i < n && (!p.limit || i < p.offset + p.limit); i++, at++)
        CHECK(at < got.n && got.rows[at] == all[i]);
    CHECK_INT(got.n, at);
    return total;
}

static enum sv_err compare_many(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    static const char *const texts[] = {"web",  "wEb", "%",    "_",  "100%", "r%c",   "r_s", "A.B*C",
                                        "云主", "",    "none", "-1", "\\",   "'",     "aab", "ab",
                                        "ü",    "Ü",   "x-",   "*",  "[d",   "[a-z]", "-"};
    const struct sv_id *const tenants[] = {&w.a, &w.b, &no_id};
    unsigned found = 0, empty = 0;
    (void)arg;
    (void)err;
    for (int i = 0; i < 3000; i++) {
        struct sv_vm_filter f = {.name = NULL};
        char id_part[SV_ID_LEN + 1];
        struct sv_page p = {.offset = below(4) ? below(60) : below(VMS + 50), .limit = below(5) ? 1 + below(30) : 0};
        if (below(2))
            f.name = texts[below(sizeof(texts) / sizeof(texts[0]))];
        if (below(4) == 0) {
            unsigned from = below(30);
            SV_COPY(id_part, vms[below(VMS)].id.s + from);
            id_part[1 + below(6)] = '\0';
            for (char *c = id_part; *c; c++)
                *c = (char)(below(2) ? toupper(*c) : *c);
            f.id = id_part;
        }
        if (below(3) == 0) {
            f.by_state = true;
            f.states[0] = (enum sv_vm_state)below(8);
            f.states[1] = below(2) ? f.states[0] : (enum sv_vm_state)below(8);
        }
        if (below(4) == 0)
            f.host = hosts[below(3)];
        if (below(6) == 0)
            f.tenant = *tenants[below(3)];
        *(compare(tx, tenants[below(3)], &f, p) ? &found : &empty) += 1;
    }
    CHECK(found > 500 && empty > 100); /* both kinds were tried */
    return SV_OK;
}

static void lists(void)
{
    world_new();
    writing(fill, NULL);
    reading(compare_many, NULL);
    writing(compare_many, NULL);
    CHECK_INT(read_number(&w.f, "SELECT value FROM counter WHERE name = 'vm'"), VMS);
    CHECK_INT(read_number(&w.f, "SELECT sum(vm_count) FROM tenant"), VMS);
    world_remove();
}

/* --- one row ------------------------------------------------------------------------------------------------------ */

static enum sv_err get_and_change(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_arena *a = sv_tx_arena(tx);
    const struct sv_scope mine = sv_scope_tenant(&w.a), other = sv_scope_tenant(&w.b);
    const struct sv_id unknown = sv_id_new();
    struct sv_vm in = new_vm(tx, &w.a, "vm"), v = {.vcpus = 77};
    (void)arg;
    (void)err;
    in.descr = "text";
    in.model = "m.small";
    in.model_type = "general";
    in.state = SV_VM_BUILDING;
    in.vcpus = 3;
    in.memory = 5 * SV_GIB;
    in.nested = true;
    WORKS(sv_vm_insert(tx, &in, &why));
    WORKS(sv_vm_get(tx, mine, &in.id, a, &v, &why));
    CHECK_STR(v.name, "vm");
    CHECK_STR(v.descr, "text");
    CHECK_STR(v.model, "m.small");
    CHECK_STR(v.model_type, "general");
    CHECK(v.nested && !v.agent && sv_id_empty(&v.template_id) && sv_id_eq(&v.host, &w.host));
    CHECK_INT(v.vcpus, 3);
    CHECK_INT(v.memory, 5 * SV_GIB);
    CHECK_INT(v.live_vcpus, 0);
    CHECK_INT(v.state, SV_VM_BUILDING);

    v.vcpus = 77;
    FAILS(sv_vm_get(tx, other, &in.id, a, &v, &why), SV_E_VM_NOT_FOUND);
    struct sv_error outside = why;
    FAILS(sv_vm_get(tx, other, &unknown, a, &v, &why), SV_E_VM_NOT_FOUND);
    CHECK(same_error(&outside, &why));
    CHECK_INT(why.field, SV_F_VM);
    CHECK_INT(v.vcpus, 77);

    bool changed = false;
    CHECK(v.firewalled && !v.locked);
    CHECK_STR(v.guest_ips, "");
    WORKS(sv_vm_set_firewalled(tx, &in.id, false, &why));
    WORKS(sv_vm_set_guest_ips(tx, &in.id, "10.0.0.1,::2", &changed, &why));
    CHECK(changed);
    WORKS(sv_vm_set_guest_ips(tx, &in.id, "10.0.0.1,::2", &changed, &why));
    CHECK(!changed);
    WORKS(sv_vm_get(tx, mine, &in.id, a, &v, &why));
    CHECK(!v.firewalled);
    CHECK_STR(v.guest_ips, "10.0.0.1,::2");
    WORKS(sv_vm_set_state(tx, &in.id, SV_VM_ANY, SV_VM_RUNNING, &why));
    WORKS(sv_vm_get(tx, mine, &in.id, a, &v, &why));
    CHECK_STR(v.guest_ips, "10.0.0.1,::2");
    WORKS(sv_vm_set_state(tx, &in.id, SV_VM_ANY, SV_VM_STOPPED, &why));
    WORKS(sv_vm_get(tx, mine, &in.id, a, &v, &why));
    CHECK_STR(v.guest_ips, "");
    WORKS(sv_vm_set_guest_ips(tx, &in.id, "10.0.0.1", &changed, &why)); /* told late: it ended meanwhile */
    CHECK(!changed);
    WORKS(sv_vm_set_state(tx, &in.id, SV_VM_ANY, SV_VM_BUILDING, &why));
    FAILS(sv_vm_set_firewalled(tx, &unknown, true, &why), SV_E_VM_NOT_FOUND);

    FAILS(sv_vm_rename(tx, other, &in.id, "x", NULL, &why), SV_E_VM_NOT_FOUND);
    WORKS(sv_vm_rename(tx, mine, &in.id, NULL, "other", &why));
    WORKS(sv_vm_rename(tx, mine, &in.id, "new", NULL, &why));
    WORKS(sv_vm_set_size(tx, &in.id, 4, SV_GIB, &why));
    WORKS(sv_vm_set_host(tx, &in.id, &no_id, &why));
    WORKS(sv_vm_get(tx, sv_scope_system(), &in.id, a, &v, &why));
    CHECK_STR(v.name, "new");
    CHECK_STR(v.descr, "other");
    CHECK_INT(v.vcpus, 4);
    CHECK_INT(v.memory, SV_GIB);
    CHECK(sv_id_empty(&v.host));
    FAILS(sv_vm_set_size(tx, &unknown, 1, 1, &why), SV_E_VM_NOT_FOUND);
    FAILS(sv_vm_set_live(tx, &unknown, 1, 1, &why), SV_E_VM_NOT_FOUND);
    FAILS(sv_vm_set_agent(tx, &unknown, true, &why), SV_E_VM_NOT_FOUND);
    FAILS(sv_vm_set_host(tx, &unknown, &no_id, &why), SV_E_VM_NOT_FOUND);
    FAILS(sv_vm_delete(tx, &unknown, &why), SV_E_VM_NOT_FOUND);
    struct sv_vm nobodys = new_vm(tx, &unknown, "vm");
    FAILS(sv_vm_insert(tx, &nobodys, &why), SV_E_DB);
    WORKS(sv_vm_delete(tx, &in.id, &why));
    FAILS(sv_vm_get(tx, mine, &in.id, a, &v, &why), SV_E_VM_NOT_FOUND);
    return SV_OK;
}

static struct sv_vm read_vm(struct sv_tx *tx, const struct sv_id *id)
{
    struct sv_vm v;
    WORKS(sv_vm_get(tx, sv_scope_system(), id, sv_tx_arena(tx), &v, &why));
    return v;
}

/* Each state claims from each mask; only what is in the mask moves, and only a running guest keeps figures. */
static enum sv_err claims(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id unknown = sv_id_new();
    (void)arg;
    (void)err;
    for (unsigned from = 0; from < SV_VM_UNKNOWN; from++) {
        for (unsigned to = 0; to < SV_VM_UNKNOWN; to++) {
            for (int in_mask = 0; in_mask < 2; in_mask++) {
                struct sv_vm vm = new_vm(tx, &w.a, "vm");
                const unsigned bit = 1U << from;
                const bool runs = to == SV_VM_RUNNING || to == SV_VM_PAUSED;
                vm.state = (enum sv_vm_state)from;
                WORKS(sv_vm_insert(tx, &vm, &why));
                WORKS(sv_vm_set_live(tx, &vm.id, 2, SV_GIB, &why));
                WORKS(sv_vm_set_agent(tx, &vm.id, true, &why));
                if (in_mask) {
                    WORKS(sv_vm_set_state(tx, &vm.id, bit, (enum sv_vm_state)to, &why));
                } else {
                    FAILS(sv_vm_set_state(tx, &vm.id, SV_VM_ANY & ~bit, (enum sv_vm_state)to, &why), SV_E_VM_STATE);
                    FAILS(sv_vm_set_state(tx, &vm.id, 0, (enum sv_vm_state)to, &why), SV_E_VM_STATE);
                }
                const struct sv_vm v = read_vm(tx, &vm.id);
                CHECK_INT(v.state, in_mask ? to : from);
                CHECK(v.agent == (!in_mask || runs));
                CHECK_INT(v.live_vcpus, !in_mask || runs ? 2 : 0);
                CHECK_INT(v.live_memory, !in_mask || runs ? SV_GIB : 0);
                WORKS(sv_vm_delete(tx, &vm.id, &why));
            }
        }
    }
    FAILS(sv_vm_set_state(tx, &unknown, SV_VM_ANY, SV_VM_RUNNING, &why), SV_E_VM_STATE);
    return SV_OK;
}

static enum sv_err unknown_while_down(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    (void)err;
    for (unsigned s = 0; s < SV_VM_UNKNOWN; s++) {
        struct sv_vm vm = new_vm(tx, &w.a, "vm");
        const bool settled = s >= SV_VM_STOPPED && s <= SV_VM_SAVED;
        vm.state = (enum sv_vm_state)s;
        WORKS(sv_vm_insert(tx, &vm, &why));
        WORKS(sv_host_set_connected(tx, &w.host, false, &why));
        CHECK_INT(read_vm(tx, &vm.id).state, settled ? SV_VM_UNKNOWN : s);
        WORKS(sv_host_set_connected(tx, &w.host, true, &why));
        CHECK_INT(read_vm(tx, &vm.id).state, s);
        WORKS(sv_vm_set_host(tx, &vm.id, &no_id, &why));
        CHECK_INT(read_vm(tx, &vm.id).state, settled ? SV_VM_UNKNOWN : s);
        WORKS(sv_vm_delete(tx, &vm.id, &why));
    }
    return SV_OK;
}

static void one_row(void)
{
    world_new();
    writing(get_and_change, NULL);
    writing(claims, NULL);
    writing(unknown_while_down, NULL);
    CHECK_INT(read_number(&w.f, "SELECT value FROM counter WHERE name = 'vm'"), 0);
    CHECK_INT(read_number(&w.f, "SELECT sum(vm_count) FROM tenant"), 0);
    world_sound();
    world_remove();
}

/* Many hosts may be down at once. */
static enum sv_err many_down(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_id ids[300], vm[300];
    (void)arg;
    (void)err;
    for (int i = 0; i < 300; i++) {
        ids[i] = add_host(tx, i + 1, 1, SV_GIB);
        struct sv_vm v = new_vm(tx, &w.a, "vm");
        v.host = ids[i];
        WORKS(sv_vm_insert(tx, &v, &why));
        vm[i] = v.id;
        if (i % 3)
            WORKS(sv_host_set_connected(tx, &ids[i], false, &why));
    }
    for (int i = 0; i < 300; i++)
        CHECK_INT(read_vm(tx, &vm[i]).state, i % 3 ? SV_VM_UNKNOWN : SV_VM_RUNNING);
    return SV_OK;
}

static void many_hosts_down(void)
{
    world_new();
    writing(many_down, NULL);
    world_remove();
}

/* --- by address --------------------------------------------------------------------------------------------------- */

struct count {
    unsigned n;
    struct sv_id last;
};

static void count_vm(void *arg, const struct sv_vm *v)
{
    struct count *c = arg;
    c->n++;
    c->last = v->id;
}

static uint64_t with_ip(struct sv_tx *tx, const struct sv_id *tenant, const char *ip, const char *name, struct count *c)
{
    const struct sv_vm_filter f = {.ip = ip, .name = name};
    uint64_t total = 99;
    *c = (struct count){.n = 0};
    WORKS(sv_vm_list(tx, sv_scope_tenant(tenant), &f, &all_rows, count_vm, c, &total, &why));
    CHECK_INT(total, c->n);
    return total;
}

static enum sv_err search_by_ip(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_vpc v[2] = {new_vpc(tx, &w.a, 24), new_vpc(tx, &w.b, 24)};
    struct sv_id vm[2];
    const struct sv_amounts one = {.subnets = 1};
    struct count c;
    (void)arg;
    (void)err;
    for (int i = 0; i < 2; i++) {
        WORKS(sv_tenant_reserve(tx, i ? &w.b : &w.a, &one, &why));
        struct sv_vm row = new_vm(tx, i ? &w.b : &w.a, "web");
        WORKS(sv_vpc_insert(tx, &v[i], 0x0A800000U, 9, &why));
        row.ip = v[i].base + 2;
        WORKS(sv_vm_insert(tx, &row, &why));
        struct sv_nic first = new_nic(tx, &row.tenant, &row.id, &v[i], row.ip), second = first;
        WORKS(sv_nic_insert(tx, &first, &why));
        second.id = sv_id_new();
        second.ip++;
        second.mac[5] ^= 1;
        WORKS(sv_nic_insert(tx, &second, &why));
        vm[i] = row.id;
    }
    CHECK_INT(with_ip(tx, &w.a, "10.128.0.2", NULL, &c), 1);
    CHECK(sv_id_eq(&c.last, &vm[0]));
    CHECK_INT(with_ip(tx, &no_id, "10.128.1.2", "WEB", &c), 1);
    CHECK(sv_id_eq(&c.last, &vm[1]));
    CHECK_INT(with_ip(tx, &no_id, "10.128.1.2", "db", &c), 0);
    CHECK_INT(with_ip(tx, &w.a, "10.128.1.2", NULL, &c), 0); /* another tenant's */
    CHECK_INT(with_ip(tx, &w.a, "10.128.0.3", NULL, &c), 0); /* of its second NIC */
    static const char *const none[] = {"10.128.0.4", "10.128.2.2", "9.0.0.1", "0.0.0.0", "10.128.0", "", "x"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        CHECK_INT(with_ip(tx, &no_id, none[i], NULL, &c), 0);
    WORKS(sv_nic_delete_vm(tx, &vm[0], &why));
    CHECK_INT(read_vm(tx, &vm[0]).ip, 0); /* what has no NIC has no address */
    CHECK_INT(with_ip(tx, &no_id, "10.128.0.2", NULL, &c), 0);
    return SV_OK;
}

static void by_ip(void)
{
    world_new();
    writing(search_by_ip, NULL);
    world_sound_but_quota();
    world_remove();
}

/* --- of a host, disks --------------------------------------------------------------------------------------------- */

static enum sv_err of_a_host(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_id other = add_host(tx, 1, 10, SV_GIB);
    struct count c = {.n = 0};
    (void)arg;
    (void)err;
    for (unsigned s = 0; s < SV_VM_UNKNOWN; s++) {
        struct sv_vm vm = new_vm(tx, s % 2 ? &w.a : &w.b, "vm");
        vm.state = (enum sv_vm_state)s;
        WORKS(sv_vm_insert(tx, &vm, &why));
    }
    WORKS(sv_vm_list_host(tx, &w.host, count_vm, &c, &why));
    CHECK_INT(c.n, 4); /* stopped, running, paused, saved */
    WORKS(sv_vm_list_host(tx, &other, count_vm, &c, &why));
    CHECK_INT(c.n, 4);
    return SV_OK;
}

struct disks {
    unsigned n;
    char targets[8][8];
    struct sv_disk last;
};

static void see_disk(void *arg, const struct sv_disk *d)
{
    struct disks *s = arg;
    SV_COPY(s->targets[s->n], d->target);
    s->n++;
    s->last = *d;
}

static enum sv_err disks_of_a_vm(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    static const char *const targets[] = {"vdc", "vda", "vdb"};
    struct sv_arena *a = sv_tx_arena(tx);
    struct sv_id vm = add_vm(tx, &w.a, "vm"), last = no_id;
    struct disks s = {.n = 0};
    struct sv_disk d = {.size = 7};
    (void)arg;
    (void)err;
    for (int i = 0; i < 3; i++) {
        struct sv_disk in = new_disk(tx, &w.a, &vm);
        in.target = targets[i];
        in.boot = i == 2;
        in.size = (i + 1) * SV_GIB;
        WORKS(sv_disk_insert(tx, &in, &why));
        last = in.id;
    }
    struct sv_disk twice = new_disk(tx, &w.a, &vm);
    FAILS(sv_disk_insert(tx, &twice, &why), SV_E_DB); /* the same target */
    WORKS(sv_disk_list_vm(tx, sv_scope_tenant(&w.b), &vm, see_disk, &s, &why));
    CHECK_INT(s.n, 0);
    WORKS(sv_disk_list_vm(tx, sv_scope_tenant(&w.a), &vm, see_disk, &s, &why));
    CHECK_INT(s.n, 3);
    CHECK_STR(s.targets[0], "vdb");
    CHECK_STR(s.targets[1], "vda");
    CHECK_STR(s.targets[2], "vdc");
    FAILS(sv_disk_get(tx, sv_scope_tenant(&w.b), &last, a, &d, &why), SV_E_DISK_NOT_FOUND);
    CHECK_INT(why.field, SV_F_DISK);
    CHECK_INT(d.size, 7);
    WORKS(sv_disk_get(tx, sv_scope_tenant(&w.a), &last, a, &d, &why));
    CHECK(!d.ready && d.boot && sv_id_eq(&d.vm, &vm) && sv_id_eq(&d.storage, &w.storage));
    CHECK_INT(d.size, 3 * SV_GIB);
    WORKS(sv_disk_set_ready(tx, &last, true, &why));
    WORKS(sv_disk_get(tx, sv_scope_system(), &last, a, &d, &why));
    CHECK(d.ready);
    FAILS(sv_vm_delete(tx, &vm, &why), SV_E_DB); /* its disks are there */
    WORKS(sv_disk_delete_vm(tx, &vm, &why));
    FAILS(sv_disk_get(tx, sv_scope_system(), &last, a, &d, &why), SV_E_DISK_NOT_FOUND);
    WORKS(sv_vm_delete(tx, &vm, &why));
    return SV_OK;
}

static void hosts_and_disks(void)
{
    world_new();
    writing(of_a_host, NULL);
    writing(disks_of_a_vm, NULL);
    world_remove();
}

CHECK_MAIN(T(lists), T(one_row), T(many_hosts_down), T(by_ip), T(hosts_and_disks))
