/* Figures of the stores on this machine, printed; the checks are only that the answers are right. With
 * STARVIRT_FULL=1 in the environment the tables have the size of a large cloud, else a tenth of it. */
#include "starvirt/clock.h"
#include "store_fixture.h"

#define SUPERNET     0x0A800000U /* 10.128.0.0/9 */
#define SUPERNET_LEN 9
#define TENANTS      10

static long sized(long full)
{
    return getenv("STARVIRT_FULL") ? full : full / 10;
}

/* --- filling ------------------------------------------------------------------------------------------------- */

struct fill {
    struct sv_id tenant;
    struct sv_vpc vpc;
    long first, n, total;
    int64_t us;
};

static void fill_one(struct sv_tx *tx, struct fill *f, long i)
{
    uint32_t ip;
    char name[32];
    snprintf(name, sizeof(name), "vm-%s-%06ld", i % 3 ? "web" : "database", i);
    if (i % 200 == 0) {
        f->vpc = new_vpc(tx, &f->tenant, 24);
        WORKS(sv_vpc_insert(tx, &f->vpc, SUPERNET, SUPERNET_LEN, &why));
    }
    WORKS(sv_vpc_next_ip(tx, &f->vpc, &ip, &why));
    struct sv_vm vm = new_vm(tx, &f->tenant, name);
    vm.ip = ip;
    WORKS(sv_vm_insert(tx, &vm, &why));
    const struct sv_disk disk = new_disk(tx, &f->tenant, &vm.id);
    WORKS(sv_disk_insert(tx, &disk, &why));
    const struct sv_nic nic = new_nic(tx, &f->tenant, &vm.id, &f->vpc, ip);
    WORKS(sv_nic_insert(tx, &nic, &why));
    const struct sv_job job = new_job(tx, &f->tenant, &vm.id);
    WORKS(sv_job_insert(tx, &job, &why));
    struct sv_lock held;
    bool taken;
    WORKS(sv_lock_take(tx, &vm.id, &job.id, 13, &taken, &held, &why));
    const char *const args[SV_ERR_ARGS] = {"vm.create"};
    WORKS(sv_joblog_add(tx, &job.id, 1, SV_N_ACCEPTED, args, &why));
    const struct sv_event e = {
        .type = "vm.create", .object_type = "vm", .object = vm.id, .tenant = f->tenant, .content = name};
    WORKS(sv_event_add(tx, &e, &why));
}

static enum sv_err fill_some(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct fill *f = arg;
    (void)err;
    int64_t start = sv_mono_us();
    for (long i = f->first; i < f->first + f->n; i++)
        fill_one(tx, f, i);
    f->us += sv_mono_us() - start;
    return SV_OK;
}

static void fill_tenant(const struct sv_id *tenant, long vms)
{
    struct fill f = {.tenant = *tenant, .n = 200};
    int64_t start = sv_mono_us();
    for (f.first = 0; f.first < vms; f.first += f.n)
        writing(fill_some, &f);
    printf("create rows (VM, disk, NIC, job, lock, log, event): %.1f us each, %.1f with commits of %ld\n",
           (double)f.us / (double)vms, (double)(sv_mono_us() - start) / (double)vms, f.n);
}

static enum sv_err add_tenants(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_id *ids = arg;
    char name[32];
    (void)err;
    for (int i = 0; i < TENANTS; i++) {
        snprintf(name, sizeof(name), "tenant %d", i);
        ids[i] = add_tenant(tx, name, &no_limit);
    }
    return SV_OK;
}

/* --- reading ------------------------------------------------------------------------------------------------- */

struct query {
    struct sv_id tenant;
    struct sv_vm_filter filter;
    struct sv_job_filter jobs;
    struct sv_page page;
    uint64_t total;
    long rows;
};

static void count_row(void *arg, const struct sv_vm *v)
{
    ((struct query *)arg)->rows += v->name[0] != '\0';
}

static enum sv_err list_vms(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct query *q = arg;
    return sv_vm_list(tx, sv_scope_tenant(&q->tenant), &q->filter, &q->page, count_row, q, &q->total, err);
}

static void count_job(void *arg, const struct sv_job *j)
{
    ((struct query *)arg)->rows += j->kind[0] != '\0';
}

static enum sv_err list_jobs(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct query *q = arg;
    return sv_job_list(tx, sv_scope_tenant(&q->tenant), &q->jobs, &q->page, count_job, q, &q->total, err);
}

/* The best of a few rounds: what the work costs, not what else the machine does. */
static double timed(sv_tx_fn fn, struct query *q, int times)
{
    double best = 1e9;
    for (int round = 0; round < 5; round++) {
        int64_t start = sv_mono_us();
        for (int i = 0; i < times; i++) {
            q->rows = 0;
            reading(fn, q);
        }
        double us = (double)(sv_mono_us() - start) / times;
        best = us < best ? us : best;
    }
    return best;
}

static void print_pages(const char *what, sv_tx_fn fn, struct query q, uint64_t rows)
{
    const uint64_t at[] = {0, rows / 2 / 30 * 30, (rows - 1) / 30 * 30};
    double us[3];
    for (int i = 0; i < 3; i++) {
        q.page = (struct sv_page){.offset = at[i], .limit = 30};
        us[i] = timed(fn, &q, 200);
        CHECK_INT(q.total, rows);
        CHECK_INT(q.rows, i < 2 ? 30 : rows - at[i]);
    }
    printf("%s: page of 30 at start %.1f, middle %.1f, end %.1f us\n", what, us[0], us[1], us[2]);
}

static void print_search(const char *what, const struct sv_id *tenant, const char *name, long rows, long found)
{
    struct query q = {.tenant = *tenant, .filter = {.name = name}, .page = {.limit = 30}};
    double us = timed(list_vms, &q, 3);
    CHECK_INT(q.total, found);
    printf("%s \"%s\", %ld of %ld: %.1f us per 1,000 rows\n", what, name, found, rows, us * 1000 / (double)rows);
}

static void vms(void)
{
    const long n = sized(100000), each = n / TENANTS;
    struct sv_id ids[TENANTS];
    world_new();
    writing(add_tenants, ids);
    fill_tenant(&w.a, n);
    for (int i = 0; i < TENANTS; i++)
        fill_tenant(&ids[i], each);

    print_pages("one tenant with all", list_vms, (struct query){.tenant = w.a}, (uint64_t)n);
    print_pages("one tenant of ten", list_vms, (struct query){.tenant = ids[4]}, (uint64_t)each);
    print_pages("all tenants", list_vms, (struct query){.tenant = no_id}, (uint64_t)(2 * n));
    print_search("search", &w.a, "no such name", n, 0);
    print_search("search", &w.a, "DATA", n, (n + 2) / 3);
    print_search("search of ten", &ids[3], "no such name", each, 0);
    print_search("search", &no_id, "no such name", 2 * n, 0);
    struct query running = {
        .tenant = w.a, .filter = {.by_state = true, .states = {SV_VM_RUNNING, SV_VM_RUNNING}}, .page = {.limit = 30}};
    double us = timed(list_vms, &running, 1);
    CHECK_INT(running.total, n);
    printf("by state: %.1f us per 1,000 rows\n", us * 1000 / (double)n);
    struct query whole = {.tenant = w.a};
    us = timed(list_vms, &whole, 1);
    CHECK_INT(whole.rows, n);
    printf("all %ld rows: %.1f ms (%.2f us a row)\n", n, us / 1000, us / (double)n);
    world_remove();
}

/* --- jobs ---------------------------------------------------------------------------------------------------- */

static enum sv_err fill_jobs(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct fill *f = arg;
    (void)err;
    int64_t start = sv_mono_us();
    for (long i = f->first; i < f->first + f->n; i++) {
        struct sv_job job = new_job(tx, &f->tenant, &w.host);
        job.object = sv_id_new();
        WORKS(sv_job_insert(tx, &job, &why));
        if (i >= f->total - 20) /* the last stay queued */
            continue;
        WORKS(sv_job_start(tx, &job.id, 0, &why));
        WORKS(sv_job_end(tx, &job.id, i % 100 ? SV_JOB_DONE : SV_JOB_FAILED, NULL, &why));
    }
    f->us += sv_mono_us() - start;
    return SV_OK;
}

static struct sv_job any_job;

static void keep_job(void *arg, const struct sv_job *j)
{
    count_job(arg, j);
    any_job.id = j->id;
    any_job.object = j->object;
}

static enum sv_err find_job(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct query *q = arg;
    return sv_job_list(tx, sv_scope_tenant(&q->tenant), &q->jobs, &q->page, keep_job, q, &q->total, err);
}

static void print_one(const char *what, struct query q)
{
    double us = timed(list_jobs, &q, 3);
    printf("%s: %.1f us (%llu of them)\n", what, us, (unsigned long long)q.total);
}

static enum sv_err expire_jobs(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    return sv_job_expire(tx, INT64_MAX, err);
}

static void jobs(void)
{
    const long n = sized(1000000);
    struct fill f = {.tenant = no_id, .n = 1000, .total = n};
    world_new();
    f.tenant = w.a;
    for (f.first = 0; f.first < n; f.first += f.n)
        writing(fill_jobs, &f);
    printf("job accepted, started, ended: %.1f us\n", (double)f.us / (double)n);
    print_pages("jobs of a tenant", list_jobs, (struct query){.tenant = w.a}, (uint64_t)n);
    print_pages("jobs of all", list_jobs, (struct query){.tenant = no_id}, (uint64_t)n);
    struct query middle = {.tenant = w.a, .page = {.offset = (uint64_t)n / 2, .limit = 1}};
    reading(find_job, &middle);
    print_one("job by id", (struct query){.tenant = w.a, .jobs = {.id = any_job.id}});
    print_one("jobs by object", (struct query){.tenant = w.a, .jobs = {.object = any_job.object}});
    for (int admin = 0; admin < 2; admin++) {
        struct query q = {.tenant = admin ? no_id : w.a, .jobs = {.by_result = true}, .page = {.limit = 30}};
        q.jobs.result = SV_JOB_DONE;
        print_one(admin ? "jobs done, all" : "jobs done", q);
        q.jobs.result = SV_JOB_FAILED;
        print_one(admin ? "jobs failed, all" : "jobs failed", q);
        q.jobs.result = SV_JOB_QUEUED;
        print_one(admin ? "jobs queued, all" : "jobs queued", q);
    }
    int64_t start = sv_mono_us();
    writing(expire_jobs, NULL);
    printf("expire, one call: %.1f ms\n", (double)(sv_mono_us() - start) / 1000);
    world_remove();
}

/* --- VPCs ---------------------------------------------------------------------------------------------------- */

static struct sv_id vpcs[10000];
static double vpc_us;

static enum sv_err add_vpcs(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const long n = *(long *)arg;
    int64_t last = 0;
    (void)err;
    for (long i = 0; i < n; i++) {
        struct sv_vpc v = new_vpc(tx, &w.a, 24);
        int64_t start = sv_mono_us();
        WORKS(sv_vpc_insert(tx, &v, SUPERNET, SUPERNET_LEN, &why));
        CHECK_INT(v.base, SUPERNET + (uint32_t)i * 256);
        vpcs[i] = v.id;
        last = i >= n - 100 ? last + sv_mono_us() - start : 0;
    }
    vpc_us = (double)last / 100;
    return SV_OK;
}

/* One goes, one comes, and one more: the worst for who looks from below. */
static enum sv_err churn_vpcs(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const long n = *(long *)arg;
    (void)err;
    int64_t start = sv_mono_us();
    for (long i = 0; i < 200; i++) {
        long at = i * 7919 % n;
        struct sv_vpc v = new_vpc(tx, &w.a, 24), more = new_vpc(tx, &w.a, 24);
        WORKS(sv_vpc_delete(tx, &vpcs[at], &why));
        WORKS(sv_vpc_insert(tx, &v, SUPERNET, SUPERNET_LEN, &why));
        CHECK_INT(v.base, SUPERNET + (uint32_t)at * 256);
        vpcs[at] = v.id;
        WORKS(sv_vpc_insert(tx, &more, SUPERNET, SUPERNET_LEN, &why));
    }
    vpc_us = (double)(sv_mono_us() - start) / 200;
    return SV_OK;
}

static void subnets(void)
{
    long n = sized(10000);
    world_new();
    writing(add_vpcs, &n);
    printf("VPC number %ld: %.1f us\n", n, vpc_us);
    writing(churn_vpcs, &n);
    printf("VPC gone and two made among %ld: %.1f us\n", n, vpc_us);
    world_remove();
}

CHECK_MAIN(T(vms), T(jobs), T(subnets))
