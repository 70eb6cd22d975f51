/* A small cloud in a database of its own, for the tests of the stores: two tenants, a host, a storage. */
#ifndef STARVIRT_TESTS_STORE_FIXTURE_H
#define STARVIRT_TESTS_STORE_FIXTURE_H

#include "db_fixture.h"
#include "starvirt/limits.h"
#include "starvirt/store_catalog.h"
#include "starvirt/store_job.h"
#include "starvirt/store_tenant.h"
#include "starvirt/store_vm.h"
#include "starvirt/text.h"

struct world {
    struct fixture f;
    struct sv_id a, b; /* tenants */
    struct sv_id host, storage;
};

static struct world w; /* of the test that runs */

static const struct sv_amounts no_limit = {-1, -1, -1, -1, -1, -1, -1};
static const struct sv_id no_id = {.s = ""};
static const struct sv_page all_rows = {0};

/* The call must fail, and leave this error. */
static struct sv_error why __attribute__((unused));
#define FAILS(call, want)                                                                                              \
    do {                                                                                                               \
        CHECK_INT((call), (want));                                                                                     \
        CHECK_INT(why.code, (want));                                                                                   \
    } while (0)
#define WORKS(call) works(__FILE__, __LINE__, #call, (call))

static inline void works(const char *file, int line, const char *expr, enum sv_err code)
{
    if (code != SV_OK)
        check_failed(file, line, "%s: %s (%s)", expr, sv_err_symbol(code), why.arg[0]);
}

/* What is not there and what is another's must read the same. */
static inline bool same_error(const struct sv_error *a, const struct sv_error *b)
{
    bool same = a->code == b->code && a->field == b->field && a->element == b->element && strcmp(a->wire, b->wire) == 0;

    for (unsigned i = 0; i < SV_ERR_ARGS; i++)
        same = same && strcmp(a->arg[i], b->arg[i]) == 0;
    return same;
}

static inline struct sv_id add_tenant(struct sv_tx *tx, const char *name, const struct sv_amounts *quota)
{
    const struct sv_tenant t = {
        .id = sv_id_new(), .name = name, .descr = "", .created = sv_tx_now(tx), .quota = *quota};
    WORKS(sv_tenant_insert(tx, &t, &why));
    return t.id;
}

static inline struct sv_id add_host(struct sv_tx *tx, int index, int64_t vcpus, int64_t memory)
{
    const struct sv_host h = {.id = sv_id_new(),
                              .name = "host",
                              .descr = "",
                              .uri = "sim://",
                              .driver = "sim",
                              .index = index,
                              .created = sv_tx_now(tx)};
    struct sv_id id;
    WORKS(sv_host_ensure(tx, &h, &id, &why));
    WORKS(sv_host_set_capacity(tx, &id,
                               &(struct sv_host_capacity){.vcpus = vcpus,
                                                          .memory = memory,
                                                          .sockets = 1,
                                                          .cpu_vendor = "GenuineIntel",
                                                          .cpu_model = "model",
                                                          .os_version = "Debian 12",
                                                          .virt_version = "sim"},
                               100, &why));
    WORKS(sv_host_set_connected(tx, &id, true, &why));
    return id;
}

static inline struct sv_id add_storage(struct sv_tx *tx, const struct sv_id *host)
{
    const struct sv_storage s = {.id = sv_id_new(),
                                 .host = *host,
                                 .name = "images",
                                 .descr = "",
                                 .type = "dir",
                                 .location = "/images",
                                 .created = sv_tx_now(tx)};
    struct sv_id id;
    WORKS(sv_storage_ensure(tx, &s, &id, &why));
    return id;
}

/* Rows to change before they are inserted. */
static inline struct sv_vm new_vm(struct sv_tx *tx, const struct sv_id *tenant, const char *name)
{
    return (struct sv_vm){.id = sv_id_new(),
                          .tenant = *tenant,
                          .host = w.host,
                          .name = name,
                          .descr = "",
                          .model = "",
                          .model_type = "",
                          .state = SV_VM_RUNNING,
                          .vcpus = 1,
                          .memory = SV_GIB,
                          .created = sv_tx_now(tx)};
}

static inline struct sv_id add_vm(struct sv_tx *tx, const struct sv_id *tenant, const char *name)
{
    const struct sv_vm vm = new_vm(tx, tenant, name);
    WORKS(sv_vm_insert(tx, &vm, &why));
    return vm.id;
}

static inline struct sv_disk new_disk(struct sv_tx *tx, const struct sv_id *tenant, const struct sv_id *vm)
{
    return (struct sv_disk){.id = sv_id_new(),
                            .tenant = *tenant,
                            .vm = *vm,
                            .storage = w.storage,
                            .name = "system",
                            .descr = "",
                            .target = "vda",
                            .size = SV_GIB,
                            .boot = true,
                            .created = sv_tx_now(tx)};
}

static inline struct sv_vpc new_vpc(struct sv_tx *tx, const struct sv_id *tenant, unsigned prefix)
{
    return (struct sv_vpc){
        .id = sv_id_new(), .tenant = *tenant, .name = "net", .descr = "", .prefix = prefix, .created = sv_tx_now(tx)};
}

static inline struct sv_nic new_nic(struct sv_tx *tx, const struct sv_id *tenant, const struct sv_id *vm,
                                    const struct sv_vpc *vpc, uint32_t ip)
{
    struct sv_nic n = {.id = sv_id_new(),
                       .tenant = *tenant,
                       .vm = *vm,
                       .vpc = vpc->id,
                       .name = "eth0",
                       .mac = {0x52},
                       .ip = ip,
                       .created = sv_tx_now(tx)};
    sv_random(n.mac + 1, 5);
    return n;
}

static inline struct sv_job new_job(struct sv_tx *tx, const struct sv_id *tenant, const struct sv_id *object)
{
    return (struct sv_job){.id = sv_id_new(),
                           .tenant = *tenant,
                           .object = *object,
                           .host = w.host,
                           .kind = "vm.start",
                           .object_type = "vm",
                           .object_name = "vm-1",
                           .sarg = "",
                           .result = SV_JOB_QUEUED,
                           .created = sv_tx_now(tx),
                           .error_symbol = "",
                           .error_args = {"", "", ""}};
}

static inline enum sv_err fill_world(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    (void)err;
    w.a = add_tenant(tx, "tenant a", &no_limit);
    w.b = add_tenant(tx, "tenant b", &no_limit);
    w.host = add_host(tx, 0, 1000000, 1000000 * SV_GIB);
    w.storage = add_storage(tx, &w.host);
    return SV_OK;
}

/* The closure does its own checking; it must succeed. */
static inline void writing(sv_tx_fn fn, void *arg)
{
    WORKS(sv_db_write(w.f.db, fn, arg, &why));
}

static inline enum sv_err nothing(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)tx;
    (void)arg;
    (void)err;
    return SV_OK;
}

/* For work that goes on in closures of its own: each wait lets one more of them run. */
static inline void wait_for(const char *sql, int64_t want)
{
    for (int i = 0; i < 1000 && read_number(&w.f, sql) != want; i++)
        writing(nothing, NULL);
    CHECK_INT(read_number(&w.f, sql), want);
}

static inline void reading(sv_tx_fn fn, void *arg)
{
    WORKS(sv_db_read(w.f.db, fn, arg, &why));
}

static inline void world_new(void)
{
    w = (struct world){.f = fixture_new()};
    writing(fill_world, NULL);
}

static inline void count_breach(void *arg, const char *line)
{
    /* What VMs and disks take from tenant and host is reserved by core/, not by the stores. */
    if (!strstr(line, "used_vcpus") && !strstr(line, "used_memory") && !strstr(line, "used_storage"))
        check_failed(__FILE__, __LINE__, "breach: %s", line);
    ++*(unsigned *)arg;
}

/* What is kept must agree with what is counted. */
static inline void world_sound_but_quota(void)
{
    unsigned n, left_out = 0;
    WORKS(sv_db_fsck(w.f.db, count_breach, &left_out, &n, &why));
    CHECK_INT(n, left_out);
}

static inline void world_sound(void)
{
    unsigned n, left_out = 0;
    WORKS(sv_db_fsck(w.f.db, count_breach, &left_out, &n, &why));
    CHECK_INT(n, 0);
}

static inline void world_remove(void)
{
    fixture_remove(&w.f);
}

#endif
