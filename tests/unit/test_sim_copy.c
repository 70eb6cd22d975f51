/* The simulator's copies of disks: what goes out comes back in, all at one moment; whatever happens nothing stays
 * under way; what a server that died left can be ended. */
#include "hv/sim/internal.h"
#include "starvirt/text.h"

#include "tests/unit/sim.h"

#include <fcntl.h>
#include <sys/stat.h>

static char dir[] = SIM_DIR;

static void fresh_dir(void)
{
    SV_COPY(dir, SIM_DIR);
    CHECK(mkdtemp(dir));
}

static struct sv_hv_copy copy_of(unsigned disk, const char *name)
{
    struct sv_hv_copy c = {.disk = disk_id(disk)};
    snprintf(c.path, sizeof(c.path), "%s/%s", dir, name);
    return c;
}

static struct sim_key key_of(const struct sv_id *id)
{
    struct sim_key k = {0};
    struct sv_error err;
    CHECK_INT(sim_key_of(id, &k, &err), SV_OK);
    return k;
}

static void write_disk(struct sv_hv_host *h, unsigned disk, const char *text)
{
    SV_AUTOFREE char *command = sv_asprintf("write=%s:%s", disk_id(disk).s, text);
    OK(SV_HV_CALL(h, control, command));
}

static void check_disk(struct sv_hv_host *h, unsigned disk, int64_t size, const char *text)
{
    const struct sv_id id = disk_id(disk);
    const struct sim_key k = key_of(&id);
    const struct sim_volume *v = sim_volume_get(sim_host_of(h), &k);
    CHECK(v);
    CHECK_INT(v->size, size);
    CHECK_STR(sim_volume_content(sim_host_of(h), &k), text);
}

static bool is_copying(struct sv_hv_host *h, unsigned n)
{
    const struct sv_id id = vm_id(n);
    const struct sim_key k = key_of(&id);
    const struct sim_domain *d = sim_table_get(&sim_host_of(h)->domains, &k);
    CHECK(d);
    return d->live.flags & SIM_COPYING;
}

static struct sv_hv *open_here(const char *uri)
{
    struct sv_hv *hv = sim_open_with(uri, dir, 0);
    expect_event("host1 host - 1");
    return hv;
}

/* VM 1 with disks 1 (vda) and 0x20 (vdb, 3 GiB). */
static void make_two(struct sv_hv_host *h)
{
    struct sv_hv_domain dom = vm_def(1);
    dom.disks[1] = (struct sv_hv_disk){.id = disk_id(0x20), .target = "vdb", .size = 3 * SV_GIB};
    dom.disk_count = 2;
    for (unsigned i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, volume_create, &dom.disks[i], NULL));
    OK(SV_HV_CALL(h, define, &dom, NULL));
    write_disk(h, 1, "system");
    write_disk(h, 0x20, "data");
}

struct steps {
    int64_t last, total;
    unsigned n;
};

static void on_step(void *arg, int64_t done, int64_t total)
{
    struct steps *s = arg;
    CHECK(done >= s->last && done <= total);
    s->last = done;
    s->total = total;
    s->n++;
}

static void out_and_in(void)
{
    fresh_dir();
    struct sv_hv *hv = open_here("sim://?control=1");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    const struct sv_hv_copy copies[] = {copy_of(1, "a"), copy_of(0x20, "b")};
    const struct sv_hv_disk disk = {.id = disk_id(0x20), .target = "vdb", .size = 3 * SV_GIB};
    struct steps steps = {0};
    struct sv_image image;
    bool quiesced = true;

    make_two(h);
    OK(SV_HV_CALL(h, copy_out, &id, copies, 2, &quiesced, on_step, &steps, NULL));
    CHECK(!quiesced); /* it is off: nobody was asked */
    CHECK_INT(steps.last, 4 * SV_GIB);
    CHECK_INT(steps.n, 2);
    CHECK(!is_copying(h, 1));
    OK(sv_image_check(copies[1].path, "qcow2", &image, err)); /* as the gate for templates wants them */
    CHECK_INT(image.virtual_size, 3 * SV_GIB);

    write_disk(h, 0x20, "overwritten");
    OK(SV_HV_CALL(h, start, &id, NULL));
    steps = (struct steps){0};
    FAILS(SV_HV_CALL(h, copy_in, &disk, copies[1].path, on_step, &steps, NULL), SV_E_HYPERVISOR);
    check_disk(h, 0x20, 3 * SV_GIB, "overwritten");
    OK(SV_HV_CALL(h, copy_out, &id, copies, 1, &quiesced, NULL, NULL, NULL));
    CHECK(quiesced);
    OK(SV_HV_CALL(h, destroy, &id, NULL));
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, copy_in, &disk, copies[1].path, NULL, NULL, NULL));
    check_disk(h, 0x20, 3 * SV_GIB, "data");
    check_disk(h, 1, SV_GIB, "system");
    sv_hv_close(hv);
    sim_dir_remove(dir);
}

static void into_others(void)
{
    fresh_dir();
    struct sv_hv *hv = open_here("sim://?control=1&storage=10G");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    const struct sv_hv_copy copy = copy_of(0x20, "b");
    struct sv_hv_disk larger = {.id = disk_id(0x30), .target = "vda", .size = 4 * SV_GIB};
    struct sv_hv_disk same = {.id = disk_id(0x31), .target = "vda", .size = SV_GIB};
    bool quiesced;

    make_two(h);
    OK(SV_HV_CALL(h, copy_out, &id, &copy, 1, &quiesced, NULL, NULL, NULL));
    OK(SV_HV_CALL(h, copy_in, &larger, copy.path, NULL, NULL, NULL)); /* made */
    check_disk(h, 0x30, 4 * SV_GIB, "data");
    FAILS(SV_HV_CALL(h, copy_in, &same, copy.path, NULL, NULL, NULL), SV_E_STORAGE_FULL); /* 3 of 2 that are left */
    OK(SV_HV_CALL(h, volume_delete, &larger.id, NULL));
    OK(SV_HV_CALL(h, copy_in, &same, copy.path, NULL, NULL, NULL));
    check_disk(h, 0x31, 3 * SV_GIB, "data"); /* never smaller than the image */
    FAILS(SV_HV_CALL(h, copy_in, &same, "/nonexistent", NULL, NULL, NULL), SV_E_STORAGE);
    FAILS(SV_HV_CALL(h, copy_in, &same, "/etc/passwd", NULL, NULL, NULL), SV_E_HYPERVISOR);
    check_disk(h, 0x31, 3 * SV_GIB, "data");
    sv_hv_close(hv);
    sim_dir_remove(dir);
}

static void faults_leave_nothing_under_way(void)
{
    fresh_dir();
    struct sv_hv *hv = open_here("sim://?control=1");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1), nobody = vm_id(9);
    const struct sv_hv_copy copies[] = {copy_of(1, "a"), copy_of(0x20, "b")}, lost = copy_of(1, "no/such/dir");
    const struct sv_hv_copy foreign = copy_of(0x99, "c");
    const struct sv_hv_disk disk = {.id = disk_id(1), .target = "vda", .size = SV_GIB};
    bool quiesced;

    make_two(h);
    FAILS(SV_HV_CALL(h, copy_out, &nobody, copies, 2, &quiesced, NULL, NULL, NULL), SV_E_DOMAIN_MISSING);
    FAILS(SV_HV_CALL(h, copy_out, &id, &foreign, 1, &quiesced, NULL, NULL, NULL), SV_E_DISK_FILE);
    FAILS(SV_HV_CALL(h, copy_out, &id, &lost, 1, &quiesced, NULL, NULL, NULL), SV_E_STORAGE);
    CHECK(!is_copying(h, 1));
    OK(SV_HV_CALL(h, control, "fail=copy_out:1"));
    FAILS(SV_HV_CALL(h, copy_out, &id, copies, 2, &quiesced, NULL, NULL, NULL), SV_E_HYPERVISOR);
    OK(SV_HV_CALL(h, control, "fail=copy_in:1"));
    OK(SV_HV_CALL(h, control, "fail=copy_out:0"));
    OK(SV_HV_CALL(h, copy_out, &id, copies, 2, &quiesced, NULL, NULL, NULL));
    write_disk(h, 1, "new");
    FAILS(SV_HV_CALL(h, copy_in, &disk, copies[0].path, NULL, NULL, NULL), SV_E_HYPERVISOR);
    check_disk(h, 1, SV_GIB, "new");
    CHECK(!is_copying(h, 1));
    OK(SV_HV_CALL(h, copy_abort, &nobody, NULL));
    OK(SV_HV_CALL(h, copy_abort, &id, NULL));
    sv_hv_close(hv);
    sim_dir_remove(dir);
}

/* Called off between its disks. */
static void cancelled(void)
{
    fresh_dir();
    struct sv_hv *hv = open_here("sim://?control=1");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    const struct sv_hv_copy copies[] = {copy_of(1, "a"), copy_of(0x20, "b")};
    atomic_bool cancel = true;
    const struct sv_deadline d = {.cancel = &cancel};
    bool quiesced;

    make_two(h);
    FAILS(SV_HV_CALL(h, copy_out, &id, copies, 2, &quiesced, NULL, NULL, &d), SV_E_JOB_CANCELLED);
    CHECK(!is_copying(h, 1));
    sv_hv_close(hv);
    sim_dir_remove(dir);
}

/* What is under way is in the journal, with what was restored. */
static void after_a_crash(void)
{
    fresh_dir();
    struct sv_hv *hv = open_here("sim://?control=1");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    const struct sv_hv_copy copies[] = {copy_of(1, "a"), copy_of(0x20, "b")};
    const struct sv_hv_disk disk = {.id = disk_id(0x20), .target = "vdb", .size = 5 * SV_GIB};
    struct sim_live live = {0};
    struct sv_error e;
    bool quiesced;

    make_two(h);
    OK(SV_HV_CALL(h, copy_out, &id, copies, 2, &quiesced, NULL, NULL, NULL));
    write_disk(h, 0x20, "overwritten");
    OK(SV_HV_CALL(h, copy_in, &disk, copies[1].path, NULL, NULL, NULL));
    const struct sim_key k = key_of(&id);
    struct sim_domain *dom = sim_table_get(&sim_host_of(h)->domains, &k);
    pthread_mutex_lock(&sim_host_of(h)->lock); /* as a server leaves it that dies while it copies */
    live = dom->live;
    live.flags |= SIM_COPYING;
    CHECK_INT(sim_guest_become(sim_host_of(h), dom, &live, &e), SV_OK);
    pthread_mutex_unlock(&sim_host_of(h)->lock);
    sv_hv_close(hv);

    hv = open_here("sim://?control=1");
    h = sv_hv_host_at(hv, 0);
    check_disk(h, 0x20, 5 * SV_GIB, "data");
    FAILS(SV_HV_CALL(h, copy_out, &id, copies, 2, &quiesced, NULL, NULL, NULL), SV_E_HYPERVISOR);
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, copy_abort, &id, NULL));
    OK(SV_HV_CALL(h, copy_out, &id, copies, 2, &quiesced, NULL, NULL, NULL));
    sv_hv_close(hv);
    sim_dir_remove(dir);
}

/* A volume on a template is one of its own afterwards, also when the journal is read again. */
static void stands_alone(void)
{
    fresh_dir();
    struct sv_hv *hv = open_here("sim://?control=1");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1), tmpl = disk_id(0x500);
    const struct sv_hv_copy copy = copy_of(1, "a");
    struct sv_hv_domain dom = vm_def(1);
    SV_AUTOFREE char *raw = sv_asprintf("%s/image", dir);
    const int fd = open(raw, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    int64_t size, virtual_size;
    bool quiesced;

    CHECK(fd >= 0 && ftruncate(fd, 1 << 20) == 0);
    close(fd);
    OK(SV_HV_CALL(h, template_put, &tmpl, raw, "raw", &size, &virtual_size, NULL, NULL, NULL));
    dom.disks[0].template_id = tmpl;
    OK(SV_HV_CALL(h, volume_create, &dom.disks[0], NULL));
    OK(SV_HV_CALL(h, define, &dom, NULL));
    write_disk(h, 1, "mine");
    OK(SV_HV_CALL(h, copy_out, &id, &copy, 1, &quiesced, NULL, NULL, NULL));
    OK(SV_HV_CALL(h, copy_in, &dom.disks[0], copy.path, NULL, NULL, NULL));
    OK(SV_HV_CALL(h, template_delete, &tmpl, NULL));
    OK(SV_HV_CALL(h, start, &id, NULL)); /* it would not, if it stood on the template */
    sv_hv_close(hv);
    hv = open_here("sim://?control=1");
    h = sv_hv_host_at(hv, 0);
    check_disk(h, 1, SV_GIB, "mine");
    OK(SV_HV_CALL(h, destroy, &id, NULL));
    OK(SV_HV_CALL(h, start, &id, NULL));
    sv_hv_close(hv);
    sim_dir_remove(dir);
}

CHECK_MAIN(T(out_and_in), T(into_others), T(faults_leave_nothing_under_way), T(cancelled), T(after_a_crash),
           T(stands_alone))
