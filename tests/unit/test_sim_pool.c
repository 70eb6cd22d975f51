/* Storages of simulated hosts: opened, measured, closed, forgotten with the connection; volumes on them. */
#include "hv/sim/internal.h"

#include "tests/unit/sim.h"

static char dir[] = SIM_DIR;

static struct sv_hv_pool dir_pool(unsigned n)
{
    return (struct sv_hv_pool){.id = disk_id(0x900000 + n), .kind = SV_HV_POOL_DIR, .path = "/srv/more"};
}

static struct sv_hv_pool ceph_pool(unsigned n)
{
    return (struct sv_hv_pool){.id = disk_id(0x910000 + n),
                               .kind = SV_HV_POOL_RBD,
                               .monitors = "10.0.0.1",
                               .rbd_pool = "rbd",
                               .rbd_user = "admin",
                               .rbd_key = "a2V5"};
}

static struct sv_hv_disk disk_on(unsigned n, const struct sv_hv_pool *pool, int64_t size)
{
    return (struct sv_hv_disk){.id = disk_id(n), .target = "vdb", .size = size, .pool = pool->id};
}

static void check_used(struct sv_hv_host *h, const struct sv_hv_pool *pool, int64_t want)
{
    int64_t size = 0, used = -1;

    OK(SV_HV_CALL(h, pool_info, &pool->id, &size, &used, NULL));
    CHECK_INT(size, 8 * SV_GIB);
    CHECK_INT(used, want);
}

static int64_t used_here(struct sv_hv_host *h)
{
    struct sv_hv_info info = {0};

    OK(SV_HV_CALL(h, info, &info, NULL));
    return info.storage_used;
}

static void count_volume(void *arg, const struct sv_id *volume, bool is_template, int64_t bytes)
{
    (void)volume;
    (void)is_template;
    (void)bytes;
    ++*(unsigned *)arg;
}

static unsigned listed(struct sv_hv_host *h)
{
    unsigned n = 0;

    OK(SV_HV_CALL(h, list_volumes, count_volume, &n, NULL));
    return n;
}

static void volumes_live_where_they_were_put(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?storage=4G&pool=8G");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_hv_pool a = dir_pool(1), b = ceph_pool(1);
    const struct sv_hv_disk on_a = disk_on(1, &a, 3 * SV_GIB), on_b = disk_on(2, &b, SV_GIB),
                            much = disk_on(3, &a, 6 * SV_GIB);

    FAILS(SV_HV_CALL(h, volume_create, &on_a, NULL), SV_E_STORAGE);
    for (int i = 0; i < 2; i++) {
        OK(SV_HV_CALL(h, pool_open, &a, NULL));
        OK(SV_HV_CALL(h, pool_open, &b, NULL));
    }
    for (int i = 0; i < 2; i++) {
        OK(SV_HV_CALL(h, volume_create, &on_a, NULL));
        OK(SV_HV_CALL(h, volume_create, &on_b, NULL));
    }
    check_used(h, &a, 3 * SV_GIB);
    check_used(h, &b, SV_GIB);
    CHECK_INT(used_here(h), 0);
    FAILS(SV_HV_CALL(h, volume_create, &much, NULL), SV_E_STORAGE_FULL);
    OK(SV_HV_CALL(h, volume_resize, &on_a.id, &on_a.id, 8 * SV_GIB, NULL));
    FAILS(SV_HV_CALL(h, volume_resize, &on_a.id, &on_a.id, 9 * SV_GIB, NULL), SV_E_STORAGE_FULL);
    check_used(h, &a, 8 * SV_GIB);
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, volume_delete, &on_a.id, NULL));
    check_used(h, &a, 0);
    CHECK_INT(listed(h), 1);
    sv_hv_close(hv);
}

/* A closed storage hides what is on it; nothing of it is lost, and nothing there is deleted by mistake. */
static void a_closed_storage_hides_its_volumes(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?pool=8G");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_hv_pool a = dir_pool(1);
    const struct sv_hv_disk d = disk_on(1, &a, SV_GIB);
    int64_t size, used;

    OK(SV_HV_CALL(h, pool_open, &a, NULL));
    OK(SV_HV_CALL(h, volume_create, &d, NULL));
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, pool_close, &a.id, NULL));
    FAILS(SV_HV_CALL(h, pool_info, &a.id, &size, &used, NULL), SV_E_STORAGE);
    FAILS(SV_HV_CALL(h, volume_resize, &d.id, &d.id, 2 * SV_GIB, NULL), SV_E_STORAGE);
    FAILS(SV_HV_CALL(h, volume_create, &d, NULL), SV_E_STORAGE);
    OK(SV_HV_CALL(h, volume_delete, &d.id, NULL));
    CHECK_INT(listed(h), 0);
    OK(SV_HV_CALL(h, pool_open, &a, NULL));
    CHECK_INT(listed(h), 1);
    check_used(h, &a, SV_GIB);
    sv_hv_close(hv);
}

static void what_no_host_takes(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    struct sv_hv_pool p = dir_pool(1);

    SV_COPY(p.path, "relative");
    FAILS(SV_HV_CALL(h, pool_open, &p, NULL), SV_E_STORAGE);
    p.kind = SV_HV_POOL_NFS;
    FAILS(SV_HV_CALL(h, pool_open, &p, NULL), SV_E_STORAGE);
    SV_COPY(p.path, "nas:/export");
    OK(SV_HV_CALL(h, pool_open, &p, NULL));
    p = ceph_pool(1);
    SV_COPY(p.rbd_key, "!");
    FAILS(SV_HV_CALL(h, pool_open, &p, NULL), SV_E_STORAGE);
    p = ceph_pool(1);
    p.rbd_user[0] = '\0';
    FAILS(SV_HV_CALL(h, pool_open, &p, NULL), SV_E_STORAGE);
    SV_COPY(p.id.s, "no id");
    FAILS(SV_HV_CALL(h, pool_open, &p, NULL), SV_E_HYPERVISOR);
    sv_hv_close(hv);
}

static void faults_come_as_asked_for(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?fail=pool_open:1&fail=pool_info:1&fail=pool_close:1");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_hv_pool a = dir_pool(1);
    int64_t size, used;

    FAILS(SV_HV_CALL(h, pool_open, &a, NULL), SV_E_HYPERVISOR);
    FAILS(SV_HV_CALL(h, pool_info, &a.id, &size, &used, NULL), SV_E_HYPERVISOR);
    FAILS(SV_HV_CALL(h, pool_close, &a.id, NULL), SV_E_HYPERVISOR);
    sv_hv_close(hv);
}

static void a_lost_connection_forgets_them(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?pool=8G");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_hv_pool a = dir_pool(1);
    const struct sv_hv_disk d = disk_on(1, &a, SV_GIB);
    struct sv_error why;

    OK(SV_HV_CALL(h, pool_open, &a, NULL));
    OK(SV_HV_CALL(h, volume_create, &d, NULL));
    CHECK_INT(h->ops->control(h, "down=1", &why), SV_OK);
    FAILS(SV_HV_CALL(h, pool_open, &a, NULL), SV_E_HOST_DOWN);
    CHECK_INT(h->ops->control(h, "down=0", &why), SV_OK);
    CHECK_INT(listed(h), 0);
    OK(SV_HV_CALL(h, pool_open, &a, NULL));
    CHECK_INT(listed(h), 1);
    sv_hv_close(hv);
}

/* The volumes are in the journal with their storage; the storage itself is told anew. */
static void volumes_outlive_the_process(void)
{
    const struct sv_hv_pool a = dir_pool(1);
    const struct sv_hv_disk d = disk_on(1, &a, SV_GIB);
    struct sv_hv *hv;

    SV_COPY(dir, SIM_DIR);
    CHECK(mkdtemp(dir));
    hv = sim_open_deaf("sim://?pool=8G", dir);
    OK(SV_HV_CALL(sv_hv_host_at(hv, 0), pool_open, &a, NULL));
    OK(SV_HV_CALL(sv_hv_host_at(hv, 0), volume_create, &d, NULL));
    make_vm(sv_hv_host_at(hv, 0), 9);
    OK(SV_HV_CALL(sv_hv_host_at(hv, 0), volume_resize, &d.id, &d.id, 2 * SV_GIB, NULL));
    sv_hv_close(hv);
    for (int i = 0; i < 2; i++) {
        hv = sim_open_deaf("sim://?pool=8G", dir);
        CHECK_INT(listed(sv_hv_host_at(hv, 0)), 1);
        CHECK_INT(used_here(sv_hv_host_at(hv, 0)), SV_GIB);
        OK(SV_HV_CALL(sv_hv_host_at(hv, 0), pool_open, &a, NULL));
        check_used(sv_hv_host_at(hv, 0), &a, 2 * SV_GIB);
        sv_hv_close(hv);
    }
    sim_dir_remove(dir);
}

/* A guest does not start while the storage of one of its disks is not open. */
static void a_guest_needs_its_storage(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?pool=8G");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_hv_pool a = dir_pool(1);
    struct sv_hv_domain dom = vm_def(1);

    dom.disks[0].pool = a.id;
    OK(SV_HV_CALL(h, pool_open, &a, NULL));
    OK(SV_HV_CALL(h, volume_create, &dom.disks[0], NULL));
    OK(SV_HV_CALL(h, define, &dom, NULL));
    OK(SV_HV_CALL(h, pool_close, &a.id, NULL));
    FAILS(SV_HV_CALL(h, start, &dom.id, NULL), SV_E_STORAGE);
    OK(SV_HV_CALL(h, pool_open, &a, NULL));
    OK(SV_HV_CALL(h, start, &dom.id, NULL));
    sv_hv_close(hv);
}

CHECK_MAIN(T(volumes_live_where_they_were_put), T(a_closed_storage_hides_its_volumes), T(what_no_host_takes),
           T(faults_come_as_asked_for), T(a_lost_connection_forgets_them), T(volumes_outlive_the_process),
           T(a_guest_needs_its_storage))
