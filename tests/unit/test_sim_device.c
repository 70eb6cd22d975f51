/* The simulator's devices that come and go, growing volumes, and what is done inside a guest. */
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

/* What the simulator itself holds of VM n. */
static const struct sim_domain *domain(struct sv_hv_host *h, unsigned n)
{
    const struct sv_id id = vm_id(n);
    struct sim_key k = {0};
    struct sv_error err;

    CHECK_INT(sim_key_of(&id, &k, &err), SV_OK);
    const struct sim_domain *d = sim_table_get(&sim_host_of(h)->domains, &k);
    CHECK(d);
    return d;
}

/* "vda vdb / 2 NICs", as the running guest has them. */
static void check_devices(struct sv_hv_host *h, unsigned n, const char *want)
{
    const struct sim_def *now = sim_plugged(domain(h, n));
    char got[256] = "";
    size_t at = 0;

    for (unsigned i = 0; i < now->disks; i++)
        at += (size_t)snprintf(got + at, sizeof(got) - at, "%.8s ", sim_def_disks(now)[i].target);
    snprintf(got + at, sizeof(got) - at, "/ %d NICs", now->nics);
    CHECK_STR(got, want);
}

static struct sv_hv_disk data_disk(unsigned n, const char *target)
{
    struct sv_hv_disk d = {.id = disk_id(n), .size = SV_GIB};
    SV_COPY(d.target, target);
    return d;
}

static struct sv_hv_nic more_nic(unsigned n)
{
    return (struct sv_hv_nic){.id = disk_id(n), .tap = "tap1", .mac = {0x52, 0x54, 0, 0, 1, (unsigned char)n}};
}

static void disks_come_and_go(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    const struct sv_hv_disk b = data_disk(0x20, "vdb"), c = data_disk(0x21, "vdb");

    make_vm(h, 1);
    OK(SV_HV_CALL(h, disk_attach, &id, &b, NULL)); /* it is off: nothing to do, not even a volume is asked for */
    OK(SV_HV_CALL(h, disk_detach, &id, &b.id, NULL));
    OK(SV_HV_CALL(h, start, &id, NULL));
    FAILS(SV_HV_CALL(h, disk_attach, &id, &b, NULL), SV_E_DISK_FILE);
    OK(SV_HV_CALL(h, volume_create, &b, NULL));
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, disk_attach, &id, &b, NULL));
    check_devices(h, 1, "vda vdb / 1 NICs");
    CHECK_INT(domain(h, 1)->def->disks, 1); /* the definition is another matter */
    OK(SV_HV_CALL(h, volume_create, &c, NULL));
    FAILS(SV_HV_CALL(h, disk_attach, &id, &c, NULL), SV_E_HYPERVISOR); /* vdb is taken */
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, disk_detach, &id, &b.id, NULL));
    OK(SV_HV_CALL(h, disk_attach, &id, &c, NULL));
    check_devices(h, 1, "vda vdb / 1 NICs");
    OK(SV_HV_CALL(h, destroy, &id, NULL));
    check_devices(h, 1, "vda / 1 NICs"); /* a start takes what is defined */
    OK(SV_HV_CALL(h, start, &id, NULL));
    check_devices(h, 1, "vda / 1 NICs");
    sv_hv_close(hv);
}

static void no_more_disks_than_a_guest_holds(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    char target[8];

    make_vm(h, 1);
    OK(SV_HV_CALL(h, start, &id, NULL));
    for (unsigned i = 1; i <= SV_HV_MAX_DISKS; i++) {
        snprintf(target, sizeof(target), "vd%c", 'a' + i);
        const struct sv_hv_disk d = data_disk(0x20 + i, target);
        OK(SV_HV_CALL(h, volume_create, &d, NULL));
        if (i < SV_HV_MAX_DISKS)
            OK(SV_HV_CALL(h, disk_attach, &id, &d, NULL));
        else
            FAILS(SV_HV_CALL(h, disk_attach, &id, &d, NULL), SV_E_HYPERVISOR);
    }
    CHECK_INT(sim_plugged(domain(h, 1))->disks, SV_HV_MAX_DISKS);
    sv_hv_close(hv);
}

static void nics_come_and_go(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    struct sv_hv_nic n = more_nic(0x30), same = n;

    make_vm(h, 1);
    OK(SV_HV_CALL(h, nic_attach, &id, &n, NULL));
    OK(SV_HV_CALL(h, nic_detach, &id, &n, NULL));
    OK(SV_HV_CALL(h, start, &id, NULL));
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, nic_attach, &id, &n, NULL));
    check_devices(h, 1, "vda / 2 NICs");
    same.id = disk_id(0x31);
    FAILS(SV_HV_CALL(h, nic_attach, &id, &same, NULL), SV_E_HYPERVISOR);
    for (unsigned i = 2; i < SV_HV_MAX_NICS; i++) {
        const struct sv_hv_nic more = more_nic(0x40 + i);
        OK(SV_HV_CALL(h, nic_attach, &id, &more, NULL));
    }
    const struct sv_hv_nic ninth = more_nic(0x50);
    FAILS(SV_HV_CALL(h, nic_attach, &id, &ninth, NULL), SV_E_HYPERVISOR);
    check_devices(h, 1, "vda / 8 NICs");
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, nic_detach, &id, &n, NULL));
    check_devices(h, 1, "vda / 7 NICs");
    sv_hv_close(hv);
}

/* Of a domain that is not there: nothing to plug, but nobody to talk to either. */
static void absent_domains(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    const struct sv_hv_disk b = data_disk(0x20, "vdb");
    const struct sv_hv_nic n = more_nic(0x30);

    OK(SV_HV_CALL(h, disk_attach, &id, &b, NULL));
    OK(SV_HV_CALL(h, disk_detach, &id, &b.id, NULL));
    OK(SV_HV_CALL(h, nic_attach, &id, &n, NULL));
    OK(SV_HV_CALL(h, nic_detach, &id, &n, NULL));
    FAILS(SV_HV_CALL(h, set_password, &id, "root", "x", NULL), SV_E_DOMAIN_MISSING);
    FAILS(SV_HV_CALL(h, agent_sync, &id, NULL), SV_E_DOMAIN_MISSING);
    FAILS(SV_HV_CALL(h, set_vnc_password, &id, "x", NULL), SV_E_DOMAIN_MISSING);
    sv_hv_close(hv);
}

static void a_running_guest_keeps_its_devices_when_it_is_defined_anew(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    struct sv_hv_domain dom = vm_def(1);
    const struct sv_hv_disk b = data_disk(0x20, "vdb");

    make_vm(h, 1);
    OK(SV_HV_CALL(h, start, &dom.id, NULL));
    dom.vcpus = 4;
    OK(SV_HV_CALL(h, define, &dom, NULL));
    CHECK(!domain(h, 1)->plugged); /* costs nothing while it is the same */
    OK(SV_HV_CALL(h, volume_create, &b, NULL));
    dom.disks[dom.disk_count++] = b;
    OK(SV_HV_CALL(h, define, &dom, NULL));
    check_devices(h, 1, "vda / 1 NICs");
    OK(SV_HV_CALL(h, disk_attach, &dom.id, &b, NULL));
    check_devices(h, 1, "vda vdb / 1 NICs");
    dom.disk_count--;
    OK(SV_HV_CALL(h, define, &dom, NULL));
    check_devices(h, 1, "vda vdb / 1 NICs");
    OK(SV_HV_CALL(h, disk_detach, &dom.id, &b.id, NULL));
    check_devices(h, 1, "vda / 1 NICs");
    sv_hv_close(hv);
}

static void a_paused_guest_lets_go_when_it_runs_on(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    const struct sv_hv_disk b = data_disk(0x20, "vdb");

    make_vm(h, 1);
    OK(SV_HV_CALL(h, start, &id, NULL));
    OK(SV_HV_CALL(h, volume_create, &b, NULL));
    OK(SV_HV_CALL(h, disk_attach, &id, &b, NULL));
    OK(SV_HV_CALL(h, suspend, &id, NULL));
    FAILS(SV_HV_CALL(h, disk_detach, &id, &b.id, NULL), SV_E_VM_STATE); /* at once */
    check_devices(h, 1, "vda vdb / 1 NICs");
    OK(SV_HV_CALL(h, resume, &id, NULL));
    OK(SV_HV_CALL(h, disk_detach, &id, &b.id, NULL));
    check_devices(h, 1, "vda / 1 NICs");

    /* Stopping it lets go, too. */
    OK(SV_HV_CALL(h, disk_attach, &id, &b, NULL));
    OK(SV_HV_CALL(h, suspend, &id, NULL));
    OK(SV_HV_CALL(h, destroy, &id, NULL));
    OK(SV_HV_CALL(h, disk_detach, &id, &b.id, NULL));
    sv_hv_close(hv);
}

static void a_deaf_guest_never_lets_go(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?acpi=ignore");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_hv_domain dom = vm_def(1);
    struct sv_deadline short_while = sv_deadline_within(NULL, 50);

    make_vm(h, 1);
    OK(SV_HV_CALL(h, start, &dom.id, NULL));
    FAILS(SV_HV_CALL(h, disk_detach, &dom.id, &dom.disks[0].id, &short_while), SV_E_JOB_DEADLINE);
    short_while = sv_deadline_within(NULL, 50);
    FAILS(SV_HV_CALL(h, nic_detach, &dom.id, &dom.nics[0], &short_while), SV_E_JOB_DEADLINE);
    check_devices(h, 1, "vda / 1 NICs");
    sv_hv_close(hv);
}

static void volumes_grow_and_never_shrink(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?storage=4G");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_hv_domain dom = vm_def(1);
    const struct sv_id none = disk_id(0x99);
    struct sv_hv_info info = {0};

    make_vm(h, 1);
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, volume_resize, &dom.id, &dom.disks[0].id, 2 * SV_GIB, NULL));
    OK(SV_HV_CALL(h, info, &info, NULL));
    CHECK_INT(info.storage_used, 2 * SV_GIB);
    FAILS(SV_HV_CALL(h, volume_resize, &dom.id, &dom.disks[0].id, SV_GIB, NULL), SV_E_UNSUPPORTED);
    FAILS(SV_HV_CALL(h, volume_resize, &dom.id, &dom.disks[0].id, 5 * SV_GIB, NULL), SV_E_STORAGE_FULL);
    FAILS(SV_HV_CALL(h, volume_resize, &dom.id, &none, 5 * SV_GIB, NULL), SV_E_DISK_FILE);
    OK(SV_HV_CALL(h, volume_resize, &dom.id, &dom.disks[0].id, 4 * SV_GIB, NULL));
    OK(SV_HV_CALL(h, volume_delete, &dom.disks[0].id, NULL));
    OK(SV_HV_CALL(h, info, &info, NULL));
    CHECK_INT(info.storage_used, 0);
    sv_hv_close(hv);
}

static bool knows(const struct sim_domain *d, const char *user, const char *password)
{
    unsigned char hash[32];
    struct sv_buf b = {0};

    sv_buf_add(&b, d->password->salt, sizeof(d->password->salt));
    sv_buf_add(&b, user, strlen(user) + 1);
    sv_buf_add(&b, password, strlen(password));
    sv_sha256(b.p, b.n, hash);
    sv_buf_free(&b);
    return memcmp(hash, d->password->hash, sizeof(hash)) == 0;
}

static void passwords_need_an_agent_that_can_hear(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?boot=30ms");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    char command[80];

    make_vm(h, 1);
    FAILS(SV_HV_CALL(h, set_password, &id, "root", "secret", NULL), SV_E_VM_STATE);
    FAILS(SV_HV_CALL(h, agent_sync, &id, NULL), SV_E_VM_STATE);
    OK(SV_HV_CALL(h, start, &id, NULL));
    expect_event("host1 power 01 2");
    expect_event("host1 agent 01 1");
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, set_password, &id, "root", "secret", NULL));
    CHECK(knows(domain(h, 1), "root", "secret"));
    CHECK(!knows(domain(h, 1), "root", "Secret") && !knows(domain(h, 1), "admin", "secret"));
    OK(SV_HV_CALL(h, suspend, &id, NULL));
    FAILS(SV_HV_CALL(h, set_password, &id, "root", "other", NULL), SV_E_VM_STATE);
    OK(SV_HV_CALL(h, resume, &id, NULL));
    snprintf(command, sizeof(command), "agent=%s:0", id.s);
    OK(SV_HV_CALL(h, control, command));
    FAILS(SV_HV_CALL(h, set_password, &id, "root", "other", NULL), SV_E_VM_NO_AGENT);
    CHECK(knows(domain(h, 1), "root", "secret"));
    expect_event("host1 power 01 3");
    expect_event("host1 power 01 2");
    expect_event("host1 agent 01 0");
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, agent_sync, &id, NULL));
    expect_event("host1 agent 01 1");
    expect_no_event();
    OK(SV_HV_CALL(h, set_password, &id, "admin", "other", NULL));
    CHECK(knows(domain(h, 1), "admin", "other"));
    sv_hv_close(hv);
}

static void a_guest_without_an_agent_gets_none(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?agent=off");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);

    make_vm(h, 1);
    OK(SV_HV_CALL(h, start, &id, NULL));
    FAILS(SV_HV_CALL(h, set_password, &id, "root", "secret", NULL), SV_E_VM_NO_AGENT);
    FAILS(SV_HV_CALL(h, agent_sync, &id, NULL), SV_E_VM_NO_AGENT);
    CHECK(!domain(h, 1)->password);
    sv_hv_close(hv);
}

/* Only the one that has a word on its addresses is asked, and only while its agent hears. */
static void a_guest_says_what_it_was_told_to(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1), nobody = vm_id(9);
    char command[96], *said = NULL;

    make_vm(h, 1);
    FAILS(SV_HV_CALL(h, guest_addresses, &nobody, &said, NULL), SV_E_UNSUPPORTED);
    OK(SV_HV_CALL(h, start, &id, NULL));
    expect_event("host1 power 01 2");
    expect_event("host1 agent 01 1");
    FAILS(SV_HV_CALL(h, guest_addresses, &id, &said, NULL), SV_E_UNSUPPORTED);
    snprintf(command, sizeof(command), "address=%s:10.0.0.1,fe80::1", id.s);
    OK(SV_HV_CALL(h, control, command));
    expect_event("host1 agent 01 1"); /* which is when it is asked */
    OK(SV_HV_CALL(h, guest_addresses, &id, &said, NULL));
    CHECK_STR(said, "10.0.0.1\nfe80::1");
    free(said);
    OK(SV_HV_CALL(h, control, "fail=guest_addresses:1"));
    FAILS(SV_HV_CALL(h, guest_addresses, &id, &said, NULL), SV_E_HYPERVISOR);
    OK(SV_HV_CALL(h, control, "fail=guest_addresses:0"));
    OK(SV_HV_CALL(h, suspend, &id, NULL));
    FAILS(SV_HV_CALL(h, guest_addresses, &id, &said, NULL), SV_E_VM_STATE);
    FAILS(SV_HV_CALL(h, control, "address=x"), SV_E_CONFIG);
    sv_hv_close(hv);
}

static int64_t copied;
static void on_progress(void *arg, int64_t done, int64_t total)
{
    CHECK(arg == &copied && done == total);
    copied = done;
}

/* A file that copy_out() wrote becomes a template; disks of it hold what it held, linked or full. */
static void templates_hand_on_what_they_hold(void)
{
    struct sv_hv *hv = (fresh_dir(), sim_open_deaf("sim://", dir));
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1), tmpl = disk_id(0x70);
    struct sv_hv_copy copy = {.disk = vm_def(1).disks[0].id};
    struct sv_hv_disk linked = data_disk(0x71, "vdb"), full = data_disk(0x72, "vdc");
    int64_t size = 0, virtual_size = 0;
    char command[96];
    bool quiesced;

    make_vm(h, 1);
    snprintf(command, sizeof(command), "write=%s:a word", copy.disk.s);
    OK(SV_HV_CALL(h, control, command));
    snprintf(copy.path, sizeof(copy.path), "%s/copy.qcow2", dir);
    OK(SV_HV_CALL(h, copy_out, &id, &copy, 1, &quiesced, NULL, NULL, NULL));
    OK(SV_HV_CALL(h, template_put, &tmpl, copy.path, "qcow2", &size, &virtual_size, NULL, NULL, NULL));
    linked.size = full.size = virtual_size + SV_GIB;
    linked.template_id = full.template_id = tmpl;
    full.full = true;
    full.progress = on_progress;
    full.progress_arg = &copied;
    copied = 0;
    OK(SV_HV_CALL(h, volume_create, &linked, NULL));
    OK(SV_HV_CALL(h, volume_create, &full, NULL));
    CHECK_INT(copied, full.size);
    for (int again = 0; again < 2; again++) {
        struct sim_key a = {0}, b = {0};
        struct sv_error why;

        h = sv_hv_host_at(hv, 0);
        CHECK_INT(sim_key_of(&linked.id, &a, &why) + sim_key_of(&full.id, &b, &why), 0);
        CHECK_STR(sim_volume_content(sim_host_of(h), &a), "a word");
        CHECK_STR(sim_volume_content(sim_host_of(h), &b), "a word");
        CHECK(sim_volume_there(sim_host_of(h), &a, &why) == SV_OK &&
              sim_volume_there(sim_host_of(h), &b, &why) == SV_OK);
        if (again) { /* without its template the copy is whole, the other is not */
            OK(SV_HV_CALL(h, template_delete, &tmpl, NULL));
            CHECK(sim_volume_there(sim_host_of(h), &a, &why) != SV_OK);
            CHECK_INT(sim_volume_there(sim_host_of(h), &b, &why), SV_OK);
        }
        sv_hv_close(hv);
        hv = sim_open_deaf("sim://", dir);
    }
    sv_hv_close(hv);
    sim_dir_remove(dir);
}

/* The simulator keeps a mark of the password, which tells one from another and no more. */
static void the_screen_has_one_password(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_hv_domain dom = vm_def(1);
    unsigned char eight[8], six[8];
    static const unsigned char none[8];

    make_vm(h, 1);
    CHECK_INT(memcmp(domain(h, 1)->def->vnc_mark, none, 8), 0);
    OK(SV_HV_CALL(h, set_vnc_password, &dom.id, "eight888", NULL));
    memcpy(eight, domain(h, 1)->def->vnc_mark, 8);
    CHECK(memcmp(eight, none, 8) != 0 && memcmp(eight, "eight888", 8) != 0);
    OK(SV_HV_CALL(h, start, &dom.id, NULL));
    OK(SV_HV_CALL(h, set_vnc_password, &dom.id, "six", NULL));
    memcpy(six, domain(h, 1)->def->vnc_mark, 8);
    CHECK(memcmp(six, none, 8) != 0 && memcmp(six, eight, 8) != 0);
    OK(SV_HV_CALL(h, define, &dom, NULL)); /* an empty one keeps it */
    CHECK_INT(memcmp(domain(h, 1)->def->vnc_mark, six, 8), 0);
    FAILS(SV_HV_CALL(h, set_vnc_password, &dom.id, "nine99999", NULL), SV_E_HYPERVISOR);
    CHECK_INT(memcmp(domain(h, 1)->def->vnc_mark, six, 8), 0);
    OK(SV_HV_CALL(h, set_vnc_password, &dom.id, "eight888", NULL));
    CHECK_INT(memcmp(domain(h, 1)->def->vnc_mark, eight, 8), 0);
    sv_hv_close(hv);
}

static void every_call_fails_by_its_name(void)
{
    static const char *const calls[] = {"disk_attach", "disk_detach",  "volume_resize", "nic_attach",
                                        "nic_detach",  "set_password", "agent_sync",    "set_vnc_password"};
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    const struct sv_hv_disk b = data_disk(0x20, "vdb");
    const struct sv_hv_nic n = more_nic(0x30);
    char command[64];

    make_vm(h, 1);
    OK(SV_HV_CALL(h, start, &id, NULL));
    OK(SV_HV_CALL(h, volume_create, &b, NULL));
    for (int p = 1; p >= 0; p--) {
        for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
            snprintf(command, sizeof(command), "fail=%s:%d", calls[i], p);
            OK(SV_HV_CALL(h, control, command));
        }
        const enum sv_err want = p ? SV_E_HYPERVISOR : SV_OK;
        struct sv_error e, *const err = &e;
        CHECK_INT(SV_HV_CALL(h, disk_attach, &id, &b, NULL), want);
        CHECK_INT(SV_HV_CALL(h, volume_resize, &id, &b.id, 2 * SV_GIB, NULL), want);
        CHECK_INT(SV_HV_CALL(h, disk_detach, &id, &b.id, NULL), want);
        CHECK_INT(SV_HV_CALL(h, nic_attach, &id, &n, NULL), want);
        CHECK_INT(SV_HV_CALL(h, nic_detach, &id, &n, NULL), want);
        CHECK_INT(SV_HV_CALL(h, set_password, &id, "root", "x", NULL), want);
        CHECK_INT(SV_HV_CALL(h, agent_sync, &id, NULL), want);
        CHECK_INT(SV_HV_CALL(h, set_vnc_password, &id, "x", NULL), want);
    }
    sv_hv_close(hv);
}

static void hangs_bound_them(void)
{
    struct sv_hv *hv = sim_open_with("sim://", NULL, 50);
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    const struct sv_hv_disk b = data_disk(0x20, "vdb");

    make_vm(h, 1);
    OK(SV_HV_CALL(h, start, &id, NULL));
    OK(SV_HV_CALL(h, control, "hang=1"));
    FAILS(SV_HV_CALL(h, disk_attach, &id, &b, NULL), SV_E_HOST_TIMEOUT);
    struct sv_error e; /* straight: it may have been given up by now */
    CHECK_INT(h->ops->control(h, "hang=0", &e), SV_OK);
    sv_hv_close(hv);
}

static bool file_has(const char *path, const char *text)
{
    char bytes[65536];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    const ssize_t n = read(fd, bytes, sizeof(bytes));
    close(fd);
    CHECK(n > 0 && (size_t)n < sizeof(bytes));
    return memmem(bytes, (size_t)n, text, strlen(text));
}

static void all_of_it_is_replayed(void)
{
    fresh_dir();
    struct sv_hv *hv = sim_open_deaf("sim://", dir);
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_hv_domain one = vm_def(1), two = vm_def(2), three = vm_def(3);
    struct sv_hv_domain four = vm_def(4);
    const struct sv_hv_disk b = data_disk(0x20, "vdb");
    const struct sv_hv_nic n = more_nic(0x30);
    char journal[128];
    struct sv_hv_info info = {0};

    for (unsigned i = 1; i <= 4; i++) {
        const struct sv_id id = vm_id(i);
        make_vm(h, i);
        OK(SV_HV_CALL(h, start, &id, NULL));
    }
    OK(SV_HV_CALL(h, volume_create, &b, NULL));
    OK(SV_HV_CALL(h, disk_attach, &one.id, &b, NULL));
    OK(SV_HV_CALL(h, volume_resize, &one.id, &b.id, 3 * SV_GIB, NULL));
    OK(SV_HV_CALL(h, nic_attach, &two.id, &n, NULL));
    OK(SV_HV_CALL(h, nic_detach, &two.id, &two.nics[0], NULL));
    OK(SV_HV_CALL(h, set_password, &two.id, "root", "canary-of-the-guest", NULL));
    OK(SV_HV_CALL(h, nic_attach, &three.id, &n, NULL));
    OK(SV_HV_CALL(h, destroy, &three.id, NULL));
    four.disks[four.disk_count++] = b;
    OK(SV_HV_CALL(h, define, &four, NULL));
    sv_hv_close(hv);
    snprintf(journal, sizeof(journal), "%s/sim/host1.journal", dir);
    CHECK(!file_has(journal, "canary"));

    hv = sim_open_deaf("sim://", dir);
    h = sv_hv_host_at(hv, 0);
    check_devices(h, 1, "vda vdb / 1 NICs");
    check_devices(h, 2, "vda / 1 NICs");
    CHECK_INT(memcmp(sim_def_nics(sim_plugged(domain(h, 2)))[0].mac, n.mac, sizeof(n.mac)), 0);
    CHECK(knows(domain(h, 2), "root", "canary-of-the-guest"));
    check_devices(h, 3, "vda / 1 NICs");
    check_devices(h, 4, "vda / 1 NICs");
    CHECK_INT(domain(h, 4)->def->disks, 2);
    OK(SV_HV_CALL(h, info, &info, NULL));
    CHECK_INT(info.storage_used, 7 * SV_GIB);
    sv_hv_close(hv);
    sim_dir_remove(dir);
}

/* The journal is rewritten from memory: what is plugged and known must be in it again. */
static void a_rewritten_journal_has_it_all(void)
{
    fresh_dir();
    struct sv_hv *hv = sim_open_deaf("sim://", dir);
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    const struct sv_hv_disk b = data_disk(0x20, "vdb");
    char journal[128];
    struct stat st;

    make_vm(h, 1);
    OK(SV_HV_CALL(h, start, &id, NULL));
    OK(SV_HV_CALL(h, volume_create, &b, NULL));
    OK(SV_HV_CALL(h, set_password, &id, "root", "secret", NULL));
    for (unsigned i = 0; i < 10000; i++) {
        OK(SV_HV_CALL(h, disk_attach, &id, &b, NULL));
        if (i < 9999)
            OK(SV_HV_CALL(h, disk_detach, &id, &b.id, NULL));
    }
    sv_hv_close(hv);
    snprintf(journal, sizeof(journal), "%s/sim/host1.journal", dir);
    CHECK(stat(journal, &st) == 0 && st.st_size > 1 << 20);
    for (int i = 0; i < 2; i++) {
        hv = sim_open_deaf("sim://", dir);
        CHECK(stat(journal, &st) == 0 && st.st_size < 2000);
        check_devices(sv_hv_host_at(hv, 0), 1, "vda vdb / 1 NICs");
        CHECK(knows(domain(sv_hv_host_at(hv, 0), 1), "root", "secret"));
        sv_hv_close(hv);
    }
    sim_dir_remove(dir);
}

CHECK_MAIN(T(disks_come_and_go), T(no_more_disks_than_a_guest_holds), T(nics_come_and_go), T(absent_domains),
           T(a_running_guest_keeps_its_devices_when_it_is_defined_anew), T(a_paused_guest_lets_go_when_it_runs_on),
           T(a_deaf_guest_never_lets_go), T(volumes_grow_and_never_shrink), T(passwords_need_an_agent_that_can_hear),
           T(a_guest_without_an_agent_gets_none), T(the_screen_has_one_password), T(a_guest_says_what_it_was_told_to),
           T(templates_hand_on_what_they_hold), T(every_call_fails_by_its_name), T(hangs_bound_them),
           T(all_of_it_is_replayed), T(a_rewritten_journal_has_it_all))
