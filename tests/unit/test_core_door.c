/* The core is the door: its public functions ask for role, scope and bounds themselves, whoever calls. */
#include "cloud_fixture.h"
#include "starvirt/core_address.h"
#include "starvirt/core_alarm.h"

static const char no_such[] = "00000000-0000-7000-8000-000000000000";

/* --- what is for administrators ------------------------------------------------------------------------ */

static void no_row(void *arg, const void *row)
{
    (void)arg, (void)row;
    check_failed(__FILE__, __LINE__, "a tenant was shown a row");
}

#define DOOR(name) static enum sv_err name(struct sv_tx *tx, const struct sv_actor *who, struct sv_error *err)

static uint64_t total;
static struct sv_id made, startid;
static char token[SV_TOKEN_TEXT];

DOOR(tenant_create)
{
    const struct sv_tenant_new in = {.name = "x", .quota = {-1, -1, -1, -1, -1}};
    return sv_tenant_create(cloud, tx, who, &in, &made, token, err);
}
DOOR(tenant_rename)
{
    return sv_tenant_rename(tx, who, who->tenant.s, "x", NULL, err);
}
DOOR(tenant_remove)
{
    return sv_tenant_remove(tx, who, w.b.s, err);
}
DOOR(tenant_quota)
{
    return sv_tenant_quota(tx, who, w.a.s, &no_limit, err);
}
DOOR(tenant_search)
{
    const struct sv_tenant_filter f = {.name = NULL};
    return sv_tenant_search(tx, who, &f, &all_rows, (void (*)(void *, const struct sv_tenant *))no_row, NULL, &total,
                            err);
}
DOOR(token_issue)
{
    return sv_token_issue(cloud, tx, who, w.a.s, SV_ROLE_ADMIN, 0, NULL, &made, token, err);
}
DOOR(token_revoke)
{
    return sv_token_revoke(tx, who, no_such, err);
}
DOOR(token_search)
{
    return sv_token_search(tx, who, w.a.s, &all_rows, (void (*)(void *, const struct sv_token *))no_row, NULL, &total,
                           err);
}
DOOR(model_add)
{
    return sv_model_add(tx, who, NULL, "label", "value", NULL, &made, err);
}
DOOR(model_remove)
{
    return sv_model_remove(tx, who, no_such, err);
}
DOOR(model_set)
{
    return sv_model_set(tx, who, "value", NULL, 0, err);
}
DOOR(template_by_path)
{
    const struct sv_template_new in = {.name = "x", .path = "/etc/passwd"};
    return sv_template_import(cloud, tx, who, &in, &made, &startid, err);
}
DOOR(alarm_thresholds)
{
    (void)tx;
    return sv_alarm_thresholds(cloud, who, (void (*)(void *, const struct sv_alarm_threshold *))no_row, NULL, err);
}
DOOR(alarm_threshold_set)
{
    return sv_alarm_threshold_set(cloud, tx, who, "vm.cpu", 50, 0, NULL, err);
}
DOOR(storage_add)
{
    const struct sv_storage_new in = {.name = "x", .type = "dir", .location = "/x/y"};
    return sv_storage_add(cloud, tx, who, &in, &made, &startid, err);
}
DOOR(storage_remove)
{
    return sv_storage_remove(cloud, tx, who, w.storage.s, &startid, err);
}
DOOR(storage_modify)
{
    return sv_storage_modify(tx, who, w.storage.s, "x", NULL, NULL, err);
}
DOOR(storage_refresh)
{
    return sv_storage_refresh(cloud, tx, who, w.storage.s, &startid, err);
}
DOOR(storage_search)
{
    return sv_storage_search(tx, who, &all_rows, (void (*)(void *, const struct sv_storage *))no_row, NULL, &total,
                             err);
}
DOOR(volume_make)
{
    const struct sv_pv_new in = {.name = "x", .storage = w.storage.s, .use = "volume", .size = SV_GIB};
    return sv_pv_make(cloud, tx, who, &in, &startid, err);
}
DOOR(volume_made)
{
    struct sv_pv_made v;
    const struct sv_id id = sv_id_from(no_such);
    return sv_pv_made(cloud, tx, who, &id, &v, err);
}

DOOR(host_network_create)
{
    const struct sv_host_network_new in = {.id = no_such, .type = "flat", .device = "eth9", .vlan = -1};
    return sv_host_network_create(cloud, tx, who, &in, &made, &startid, err);
}
DOOR(host_network_remove)
{
    return sv_host_network_remove(cloud, tx, who, no_such, &startid, err);
}
DOOR(host_network_find)
{
    struct sv_host_network n;
    return sv_host_network_find(tx, who, no_such, &n, err);
}
DOOR(host_network_search)
{
    return sv_host_network_search(tx, who, &all_rows, (void (*)(void *, const struct sv_host_network *))no_row, NULL,
                                  &total, err);
}

DOOR(pool_add)
{
    const struct sv_pool_new in = {.type = SV_POOL_OUTER,
                                   .first = "198.51.100.9",
                                   .last = "198.51.100.9",
                                   .gateway = "198.51.100.1",
                                   .netmask = "255.255.255.0"};
    return sv_pool_add(cloud, tx, who, &in, &made, err);
}
DOOR(pool_remove)
{
    return sv_pool_remove(tx, who, no_such, err);
}
DOOR(pool_search)
{
    return sv_pool_search(tx, who, SV_POOL_ANY, &all_rows, (void (*)(void *, const struct sv_pool *))no_row, NULL,
                          &total, err);
}

struct door {
    const char *name;
    enum sv_err (*go)(struct sv_tx *tx, const struct sv_actor *who, struct sv_error *err);
    bool shows_rows; /* an administrator would see some */
};
#define ROW(name, ...)                                                                                                 \
    {                                                                                                                  \
#name, name, __VA_ARGS__                                                                                       \
    }
static const struct door doors[] = {
    ROW(tenant_create),
    ROW(tenant_rename),
    ROW(tenant_remove),
    ROW(tenant_quota),
    ROW(tenant_search, true),
    ROW(token_issue),
    ROW(token_revoke),
    ROW(token_search, true),
    ROW(model_add),
    ROW(model_remove),
    ROW(model_set),
    ROW(template_by_path),
    ROW(alarm_thresholds, true),
    ROW(alarm_threshold_set),
    ROW(storage_add),
    ROW(storage_remove),
    ROW(storage_modify),
    ROW(storage_refresh),
    ROW(storage_search, true),
    ROW(volume_make),
    ROW(volume_made),
    ROW(host_network_create),
    ROW(host_network_remove),
    ROW(host_network_find),
    ROW(host_network_search),
    ROW(pool_add),
    ROW(pool_remove),
    ROW(pool_search),
};

struct passing {
    const struct door *door;
    const struct sv_actor *who;
    enum sv_err code;
};

static enum sv_err pass(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct passing *p = arg;

    p->code = p->door->go(tx, p->who, err);
    return SV_E_UNSUPPORTED; /* nothing stays */
}

static enum sv_err knock(const struct door *d, const struct sv_actor *who)
{
    struct passing p = {d, who, SV_OK};
    struct sv_error ignored;

    CHECK_INT(sv_db_write(w.f.db, pass, &p, &ignored), SV_E_UNSUPPORTED);
    return p.code;
}

static void tenants_get_admin_only(void)
{
    open_cloud();
    for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++) {
        const enum sv_err rc = knock(&doors[i], &tenant);

        if (rc != SV_E_ADMIN_ONLY)
            check_failed(__FILE__, __LINE__, "%s: %s", doors[i].name, sv_err_symbol(rc));
        if (!doors[i].shows_rows && knock(&doors[i], &admin) == SV_E_ADMIN_ONLY)
            check_failed(__FILE__, __LINE__, "%s: refused to an administrator, too", doors[i].name);
    }
    close_cloud();
}

/* --- another tenant's ------------------------------------------------------------------------------------ */

static struct sv_id theirs; /* a VM of tenant b */

static enum sv_err add_theirs(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg, (void)err;
    theirs = add_vm(tx, &w.b, "theirs");
    return SV_OK;
}

static void count(void *arg, const void *row)
{
    (void)row;
    ++*(unsigned *)arg;
}

/* Every function that names a VM, with another tenant's. */
static enum sv_err another_tenants_vm(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_vm_filter any = {.name = NULL};
    struct sv_vm vm;
    struct sv_disk_made disk;
    struct sv_snapshot_made snap;
    struct sv_vm_made vms[1];
    const struct sv_vm_new in = {
        .tenant = w.b.s, .template_id = no_such, .vpc = no_such, .vcpus = 1, .memory = SV_GIB, .count = 1};
    const struct sv_template_new t = {.name = "x"};
    const char *id = theirs.s;
    unsigned n = 0, port;
    char host[64];
    const struct sv_nat_whole map = {.vm = id};
    uint32_t ip;

    (void)arg, (void)err;
    FAILS(sv_nat_connect(cloud, tx, &tenant, &map, &ip, &why), SV_E_VM_NOT_FOUND);
    FAILS(sv_vm_find(tx, &tenant, id, sv_tx_arena(tx), &vm, &why), SV_E_VM_NOT_FOUND);
    for (int act = SV_VM_START; act <= SV_VM_DELETE; act++)
        FAILS(sv_vm_act(cloud, tx, &tenant, id, (enum sv_vm_action)act, &startid, &why), SV_E_VM_NOT_FOUND);
    FAILS(sv_vm_resize(cloud, tx, &tenant, id, 2, 0, &startid, &why), SV_E_VM_NOT_FOUND);
    FAILS(sv_vm_modify(tx, &tenant, id, "x", NULL, &why), SV_E_VM_NOT_FOUND);
    FAILS(sv_vm_switch_firewall(cloud, tx, &tenant, id, false, &why), SV_E_VM_NOT_FOUND);
    FAILS(sv_vm_disk_add(cloud, tx, &tenant, id, SV_GIB, NULL, &disk, &why), SV_E_VM_NOT_FOUND);
    FAILS(sv_vm_disk_search(tx, &tenant, id, (void (*)(void *, const struct sv_disk *))count, &n, &why),
          SV_E_VM_NOT_FOUND);
    FAILS(sv_vm_nic_search(tx, &tenant, id, (void (*)(void *, const struct sv_nic *))count, &n, &why),
          SV_E_VM_NOT_FOUND);
    FAILS(sv_vm_nic_add(cloud, tx, &tenant, id, no_such, &made, &startid, &why), SV_E_VM_NOT_FOUND);
    FAILS(sv_snapshot_create(cloud, tx, &tenant, id, "x", NULL, &snap, &why), SV_E_VM_NOT_FOUND);
    FAILS(sv_snapshot_search(tx, &tenant, id, (void (*)(void *, const struct sv_snapshot *))count, &n, &why),
          SV_E_VM_NOT_FOUND);
    FAILS(sv_backup_create(cloud, tx, &tenant, id, "x", NULL, &made, &startid, &why), SV_E_VM_NOT_FOUND);
    FAILS(sv_vm_delete_with_backups(cloud, tx, &tenant, id, &startid, &why), SV_E_VM_NOT_FOUND);
    FAILS(sv_vm_set_password(cloud, tx, &tenant, id, NULL, "secret", &startid, &why), SV_E_VM_NOT_FOUND);
    FAILS(sv_vm_agent_resume(cloud, tx, &tenant, id, &startid, &why), SV_E_VM_NOT_FOUND);
    FAILS(sv_vm_console_address(cloud, tx, &tenant, id, sv_tx_arena(tx), &vm, host, &port, &why), SV_E_VM_NOT_FOUND);
    FAILS(sv_template_create(cloud, tx, &tenant, &t, id, &made, &startid, &why), SV_E_VM_NOT_FOUND);
    /* and in another tenant's name */
    FAILS(sv_vm_create(cloud, tx, &tenant, &in, vms, &why), SV_E_TENANT_NOT_FOUND);
    FAILS(sv_vm_search(tx, &tenant, w.b.s, &any, &all_rows, (void (*)(void *, const struct sv_vm *))count, &n, &total,
                       &why),
          SV_E_TENANT_NOT_FOUND);
    WORKS(sv_vm_search(tx, &tenant, NULL, &any, &all_rows, (void (*)(void *, const struct sv_vm *))count, &n, &total,
                       &why));
    CHECK_INT(n, 0);
    WORKS(sv_vm_search(tx, &admin, NULL, &any, &all_rows, (void (*)(void *, const struct sv_vm *))count, &n, &total,
                       &why));
    CHECK_INT(n, 1);
    return SV_OK;
}

static void another_tenants_is_unknown(void)
{
    open_cloud();
    writing(add_theirs, NULL);
    writing(another_tenants_vm, NULL);
    close_cloud();
}

/* Outside of any transaction: it waits for the engine. */
static void comparing_networks_is_for_administrators(void)
{
    SV_CLEANUP(sv_arena_freep) struct sv_arena *arena = sv_arena_new();
    struct sv_drifts found = {.n = 1};
    open_cloud();
    CHECK_INT(sv_network_check(cloud, &tenant, arena, &found, &why), SV_E_ADMIN_ONLY);
    CHECK_INT(found.n, 1);
    close_cloud();
}

/* --- bounds ------------------------------------------------------------------------------------------------ */

#define REFUSES(change, want, at)                                                                                      \
    do {                                                                                                               \
        struct sv_vm_new in = good;                                                                                    \
        in.change;                                                                                                     \
        FAILS(sv_vm_create(cloud, tx, &tenant, &in, vms, &why), want);                                                 \
        CHECK_INT(why.field, at);                                                                                      \
    } while (0)

static enum sv_err out_of_bounds(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_vm_new good = {
        .template_id = no_such, .vpc = no_such, .vcpus = 1, .memory = SV_GIB, .count = 1, .name = "x"};
    struct sv_vm_made vms[SV_MAX_VM_BATCH];
    struct sv_amounts quota = {-1, -1, -1, -1, -1};
    struct sv_disk_made disk;
    char long_name[SV_MAX_NAME + 2];
    const char *id = theirs.s;

    (void)arg, (void)err;
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    REFUSES(count = 0, SV_E_PARAM_RANGE, SV_F_VM_COUNT);
    REFUSES(count = SV_MAX_VM_BATCH + 1, SV_E_PARAM_RANGE, SV_F_VM_COUNT);
    REFUSES(vcpus = 0, SV_E_PARAM_RANGE, SV_F_VCPUS);
    REFUSES(vcpus = SV_MAX_VCPUS + 1, SV_E_PARAM_RANGE, SV_F_VCPUS);
    REFUSES(memory = SV_MIN_MEMORY - 1, SV_E_PARAM_RANGE, SV_F_MEMORY);
    REFUSES(memory = SV_MAX_MEMORY + 1, SV_E_PARAM_RANGE, SV_F_MEMORY);
    REFUSES(data_disks = SV_MAX_DATA_DISKS + 1, SV_E_PARAM_RANGE, SV_F_DISK_COUNT);
    REFUSES(data_disks = 1, SV_E_PARAM_MISSING, SV_F_DISK_SIZE);
    REFUSES(data_disk_size = SV_GIB, SV_E_PARAM_CONFLICT, SV_F_DISK_SIZE);
    CHECK_INT(sv_field_of_arg(why.arg[0]), SV_F_DISK_COUNT);
    REFUSES(name = long_name, SV_E_PARAM_LENGTH, SV_F_VM_NAME);
    REFUSES(name = "\xff", SV_E_PARAM_CHARS, SV_F_VM_NAME);
    REFUSES(model = "m", SV_E_PARAM_CONFLICT, SV_F_TEMPLATE);
    REFUSES(template_id = NULL, SV_E_PARAM_MISSING, SV_F_MODEL);
    REFUSES(vpc = NULL, SV_E_VPC_NOT_FOUND, SV_F_VPC);
    FAILS(sv_vm_resize(cloud, tx, &admin, id, 0, 0, &startid, &why), SV_E_PARAM_MISSING);
    FAILS(sv_vm_resize(cloud, tx, &admin, id, 1, SV_GIB, &startid, &why), SV_E_PARAM_CONFLICT);
    FAILS(sv_vm_resize(cloud, tx, &admin, id, -1, 0, &startid, &why), SV_E_PARAM_RANGE);
    FAILS(sv_vm_resize(cloud, tx, &admin, id, 0, SV_MAX_MEMORY + 1, &startid, &why), SV_E_PARAM_RANGE);
    FAILS(sv_vm_act(cloud, tx, &admin, id, (enum sv_vm_action)99, &startid, &why), SV_E_PARAM_ENUM);
    FAILS(sv_vm_disk_add(cloud, tx, &admin, id, SV_MAX_DISK + 1, NULL, &disk, &why), SV_E_PARAM_RANGE);
    FAILS(sv_vm_disk_add(cloud, tx, &admin, id, SV_MIN_DISK - 1, NULL, &disk, &why), SV_E_PARAM_RANGE);
    quota.memory = SV_MAX_QUOTA_MEMORY + 1;
    FAILS(sv_tenant_quota(tx, &admin, w.a.s, &quota, &why), SV_E_PARAM_RANGE);
    quota.memory = -7;
    FAILS(sv_tenant_quota(tx, &admin, w.a.s, &quota, &why), SV_E_PARAM_RANGE);
    FAILS(sv_token_issue(cloud, tx, &admin, w.a.s, (enum sv_role)7, 0, NULL, &made, token, &why), SV_E_PARAM_ENUM);
    FAILS(sv_model_set(tx, &admin, "value", NULL, SV_MAX_DISK + 1, &why), SV_E_PARAM_RANGE);
    FAILS(sv_storage_modify(tx, &admin, w.storage.s, NULL, NULL, &(enum sv_storage_use){9}, &why), SV_E_PARAM_ENUM);
    return SV_OK;
}

static void bounds_hold_whoever_calls(void)
{
    open_cloud();
    writing(add_theirs, NULL);
    writing(out_of_bounds, NULL);
    close_cloud();
}

CHECK_MAIN(T(tenants_get_admin_only), T(comparing_networks_is_for_administrators), T(another_tenants_is_unknown),
           T(bounds_hold_whoever_calls))
