/* Fills a data directory that the server has made, without the server: VMs that run on the simulator, with
 * their VPCs, disks, NICs, quota and places, and records of ended jobs. Everything goes through the stores
 * and the driver, so that `fsck` and the server find nothing wrong.
 *
 *     fill DIR TENANT VMS JOBS [URI]     prints the tenant's token; VMs go round all hosts of the URI */
#include "bench/yard.h"
#include "starvirt/hv.h"
#include "starvirt/store_catalog.h"
#include "starvirt/store_job.h"
#include "starvirt/store_tenant.h"
#include "starvirt/store_vm.h"
#include "starvirt/text.h"

enum { PER_VPC = 250, BATCH = 1000, VPC_PREFIX = 24 };
#define SUPERNET     0x0a800000U /* 10.128.0.0/9, the server's default */
#define SUPERNET_LEN 9U
#define DISK_SIZE    (20 * SV_GIB)
#define MEMORY       (2 * SV_GIB)

struct filler {
    struct sv_db *db;
    struct sv_hv *hv;
    struct sv_tenant tenant;
    struct home {
        struct sv_id host, storage;
    } homes[SV_MAX_HOSTS];
    unsigned home_count;
    struct sv_vpc vpc;
    long first, vms; /* this batch */
    unsigned tag;    /* makes MACs differ between tenants */
    struct sv_hv_domain *domains;
};

static void check(enum sv_err rc, const struct sv_error *err, const char *what)
{
    char text[512];

    if (rc == SV_OK)
        return;
    sv_err_text(err, SV_LANG_EN, text, sizeof(text));
    yard_die("%s: %s", what, text);
}

/* --- rows --- */

static void add_home(void *arg, const struct sv_host *h)
{
    struct filler *f = arg;

    if (h->index < 0 || h->index >= SV_MAX_HOSTS)
        yard_die("host %d", h->index);
    f->homes[h->index].host = h->id;
    f->home_count += 1;
}

static enum sv_err find_homes(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct filler *f = arg;
    enum sv_err rc = sv_host_list(tx, add_home, f, err);

    for (unsigned i = 0; !rc && i < f->home_count; i++)
        rc = sv_storage_of_host(tx, &f->homes[i].host, 0, &f->homes[i].storage, err);
    return rc;
}

static unsigned home_of(const struct filler *f, long n)
{
    return (unsigned)(n % f->home_count);
}

static enum sv_err add_tenant(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct filler *f = arg;
    unsigned char secret[32], hash[SV_SHA256_LEN];
    char text[65];
    const struct sv_token token = {
        .id = sv_id_new(), .tenant = f->tenant.id, .role = SV_ROLE_TENANT, .descr = "bench", .created = sv_tx_now(tx)};

    f->tenant.created = sv_tx_now(tx);
    enum sv_err rc = sv_tenant_insert(tx, &f->tenant, err);
    if (rc)
        return rc;
    sv_random(secret, sizeof(secret));
    sv_hex(secret, sizeof(secret), text);
    sv_sha256(text, 64, hash);
    rc = sv_token_insert(tx, &token, hash, err);
    if (!rc)
        printf("%s\n", text);
    return rc;
}

static enum sv_err add_vpc(struct filler *f, struct sv_tx *tx, long n, struct sv_error *err)
{
    const struct sv_amounts subnet = {.subnets = 1};
    char name[32];

    snprintf(name, sizeof(name), "vpc-%04ld", n / PER_VPC);
    f->vpc = (struct sv_vpc){.id = sv_id_new(),
                             .tenant = f->tenant.id,
                             .name = sv_arena_strdup(sv_tx_arena(tx), name),
                             .descr = "",
                             .prefix = VPC_PREFIX,
                             .created = sv_tx_now(tx)};
    const enum sv_err rc = sv_vpc_insert(tx, &f->vpc, SUPERNET, SUPERNET_LEN, err);
    return rc ? rc : sv_tenant_reserve(tx, &f->tenant.id, &subnet, err);
}

static void describe(struct filler *f, long n, struct sv_hv_domain *dom)
{
    *dom = (struct sv_hv_domain){.id = sv_id_new(),
                                 .vcpus = 2,
                                 .vcpus_max = 2,
                                 .memory = MEMORY,
                                 .memory_max = MEMORY,
                                 .disk_count = 1,
                                 .nic_count = 1};
    snprintf(dom->name, sizeof(dom->name), "vm-%s-%06ld", n % 3 ? "web" : "database", n);
    dom->disks[0] = (struct sv_hv_disk){.id = sv_id_new(), .target = "vda", .size = DISK_SIZE};
    dom->nics[0] = (struct sv_hv_nic){.id = sv_id_new(),
                                      .mac = {0x52, 0x54, (unsigned char)f->tag, (unsigned char)(n >> 16),
                                              (unsigned char)(n >> 8), (unsigned char)n}};
    sv_hex(dom->nics[0].id.s + SV_ID_LEN - 5, 5, dom->nics[0].tap);
}

static enum sv_err add_vm(struct filler *f, struct sv_tx *tx, long n, struct sv_hv_domain *dom, struct sv_error *err)
{
    const int64_t now = sv_tx_now(tx);
    const struct home *home = &f->homes[home_of(f, n)];
    enum sv_err rc = n % PER_VPC == 0 ? add_vpc(f, tx, n, err) : SV_OK;

    if (rc)
        return rc;
    describe(f, n, dom);
    const struct sv_amounts used = {.vcpus = dom->vcpus, .memory = dom->memory, .storage = DISK_SIZE};
    const struct sv_vm vm = {.id = dom->id,
                             .tenant = f->tenant.id,
                             .host = home->host,
                             .name = dom->name,
                             .descr = "",
                             .model = "",
                             .model_type = "",
                             .state = SV_VM_RUNNING,
                             .vcpus = dom->vcpus,
                             .memory = dom->memory,
                             .ip = f->vpc.base + 2 + (uint32_t)(n % PER_VPC),
                             .created = now};
    const struct sv_disk disk = {.id = dom->disks[0].id,
                                 .tenant = vm.tenant,
                                 .vm = vm.id,
                                 .storage = home->storage,
                                 .name = dom->name,
                                 .descr = "",
                                 .target = "vda",
                                 .size = DISK_SIZE,
                                 .boot = true,
                                 .ready = true,
                                 .created = now};
    struct sv_nic nic = {.id = dom->nics[0].id,
                         .tenant = vm.tenant,
                         .vm = vm.id,
                         .vpc = f->vpc.id,
                         .name = "eth0",
                         .ip = vm.ip,
                         .created = now};
    memcpy(nic.mac, dom->nics[0].mac, sizeof(nic.mac));
    rc = sv_vm_insert(tx, &vm, err);
    if (!rc)
        rc = sv_disk_insert(tx, &disk, err);
    if (!rc)
        rc = sv_nic_insert(tx, &nic, err);
    if (!rc)
        rc = sv_vm_set_live(tx, &vm.id, vm.vcpus, vm.memory, err);
    if (!rc)
        rc = sv_vm_set_agent(tx, &vm.id, true, err);
    if (!rc)
        rc = sv_host_reserve(tx, &home->host, vm.vcpus, vm.memory, err);
    return rc ? rc : sv_tenant_reserve(tx, &f->tenant.id, &used, err);
}

static enum sv_err add_vms(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct filler *f = arg;
    enum sv_err rc = SV_OK;

    for (long i = 0; !rc && i < f->vms; i++)
        rc = add_vm(f, tx, f->first + i, &f->domains[i], err);
    return rc;
}

static void add_domain(struct sv_hv_host *h, const struct sv_hv_domain *dom)
{
    struct sv_error e = {0}, *err = &e;

    check(SV_HV_CALL(h, volume_create, &dom->disks[0], NULL), err, "volume");
    check(SV_HV_CALL(h, define, dom, NULL), err, "define");
    check(SV_HV_CALL(h, start, &dom->id, NULL), err, "start");
}

static enum sv_err add_jobs(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct filler *f = arg;
    enum sv_err rc = SV_OK;

    for (long i = 0; !rc && i < f->vms; i++) {
        const struct sv_job job = {.id = sv_id_new(),
                                   .tenant = f->tenant.id,
                                   .object = sv_id_new(),
                                   .host = f->homes[0].host,
                                   .kind = "vm.start",
                                   .object_type = "vm",
                                   .object_name = "gone",
                                   .sarg = "",
                                   .result = SV_JOB_QUEUED,
                                   .created = sv_tx_now(tx),
                                   .error_symbol = ""};
        rc = sv_job_insert(tx, &job, err);
        if (!rc)
            rc = sv_job_start(tx, &job.id, 0, err);
        if (!rc)
            rc = sv_job_end(tx, &job.id, SV_JOB_DONE, NULL, err);
    }
    return rc;
}

/* --- the whole --- */

static void in_batches(struct filler *f, long total, sv_tx_fn fn, const char *what, bool domains)
{
    struct sv_error err = {0};

    for (f->first = 0; f->first < total; f->first += f->vms) {
        f->vms = total - f->first < BATCH ? total - f->first : BATCH;
        check(sv_db_write(f->db, fn, f, &err), &err, what);
        for (long i = 0; domains && i < f->vms; i++)
            add_domain(sv_hv_host_at(f->hv, home_of(f, f->first + i)), &f->domains[i]);
    }
}

static void no_breach(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "%s\n", line);
}

int main(int argc, char **argv)
{
    const struct sv_db_options db = {0};
    const struct sv_hv_events none = {0};
    static struct filler f;
    struct sv_error err = {0};
    unsigned breaches;

    if (argc != 5 && argc != 6)
        yard_die("usage: fill DIR TENANT VMS JOBS [URI]");
    const char *uri = argc == 6 ? argv[5] : "sim://";
    const long vms = yard_arg(argv[3], 0, 1000000), jobs = yard_arg(argv[4], 0, 10000000);
    const struct sv_hv_options hv = {.data_dir = argv[1]};
    f.tenant = (struct sv_tenant){.id = sv_id_new(), .name = argv[2], .descr = "", .quota = {-1, -1, -1, -1, -1, -1}};
    f.tag = (unsigned char)argv[2][0];
    f.domains = sv_alloc(BATCH * sizeof(*f.domains));
    check(sv_db_open(argv[1], &db, &f.db, &err), &err, argv[1]);
    check(sv_hv_open(uri, &hv, &none, &f.hv, &err), &err, uri);
    check(sv_db_read(f.db, find_homes, &f, &err), &err, "hosts");
    if (f.home_count != sv_hv_host_count(f.hv))
        yard_die("%u hosts have rows", f.home_count);
    check(sv_db_write(f.db, add_tenant, &f, &err), &err, "tenant");
    in_batches(&f, vms, add_vms, "VMs", true);
    in_batches(&f, jobs, add_jobs, "jobs", false);
    check(sv_db_fsck(f.db, no_breach, NULL, &breaches, &err), &err, "fsck");
    if (breaches)
        yard_die("fsck: %u breaches", breaches);
    sv_hv_close(f.hv);
    sv_db_close(f.db);
    free(f.domains);
    return 0;
}
