/* The simulator as a hypervisor: what each call does, does again, and refuses; faults, hangs, events. */
#include "hv/sim/internal.h"

#include "tests/unit/sim.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

static struct sv_deadline within(int64_t ms)
{
    return sv_deadline_within(NULL, ms);
}

/* --- the URI --- */

static void uri_says_what_it_takes(void)
{
    static const struct {
        const char *uri, *says;
    } bad[] = {
        {"sim://?host=3", "no key 'host', known: hosts name delay jitter fail hang cpus"},
        {"sim://?hosts=0", "hosts= takes 1-1024"},
        {"sim://?hosts=1025", "hosts= takes 1-1024"},
        {"sim://?delay=fast", "delay= takes a time"},
        {"sim://?delay=99999999999999999999s", "delay= takes a time"},
        {"sim://?fail=start", "fail= takes CALL:PROBABILITY"},
        {"sim://?fail=start:2", "fail= takes CALL:PROBABILITY"},
        {"sim://?fail=strat:0.5", "fail= knows no call 'strat'"},
        {"sim://?hang=host2", "hang= names a host past hosts="},
        {"sim://?mem=lots", "mem= takes a size"},
        {"sim://?mem.host1=lots", "no key 'mem.host1'"},
        {"sim://?cpus.host2=4", "cpus.hostN= or mem.hostN= names a host past hosts="},
        {"sim://?seed.host1=4", "no key 'seed.host1'"},
        {"sim://?agent=maybe", "agent= takes on or off"},
        {"sim://elsewhere", "takes no host name"},
    };
    const struct sv_hv_options opt = {0};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sv_hv *hv = NULL;
        struct sv_error err = {0};
        CHECK_INT(sv_hv_open(bad[i].uri, &opt, NULL, &hv, &err), SV_E_CONFIG);
        if (!strstr(err.arg[0], bad[i].says))
            check_failed(__FILE__, __LINE__, "%s: \"%s\", expected \"%s\"", bad[i].uri, err.arg[0], bad[i].says);
        CHECK(!hv);
    }
}

static void uri_is_understood(void)
{
    struct sv_hv *hv = sim_open_with("sim://?hosts=3&delay=1ms&jitter=500us&fail=start:0&fail=info:0.0&cpus=64&mem=256G"
                                     "&storage=10T&boot=0&stop=0&agent=off&acpi=on&seed=7&control=0",
                                     NULL, 0);
    struct sv_hv_info info = {0};

    CHECK_INT(sv_hv_host_count(hv), 3);
    CHECK_STR(sv_hv_host_name(sv_hv_host_at(hv, 2)), "host3");
    CHECK_STR(sv_hv_driver_name(sv_hv_host_at(hv, 2)), "sim");
    CHECK(sv_hv_connected(sv_hv_host_at(hv, 2)));
    OK(SV_HV_CALL(sv_hv_host_at(hv, 1), info, &info, NULL));
    CHECK_INT(info.vcpus, 64);
    CHECK_INT(info.memory, 256 * SV_GIB);
    CHECK_INT(info.storage_size, 10240 * SV_GIB);
    CHECK_INT(info.storage_used, 0);
    sv_hv_close(hv);
}

static void hosts_may_be_unequal(void)
{
    struct sv_hv *hv = sim_open_with("sim://?hosts=3&cpus=64&mem.host2=128G&cpus.host3=8&mem=256G", NULL, 0);
    static const int64_t has[3][2] = {{64, 256}, {64, 128}, {8, 256}};

    for (unsigned i = 0; i < 3; i++) {
        struct sv_hv_info info = {0};
        OK(SV_HV_CALL(sv_hv_host_at(hv, i), info, &info, NULL));
        CHECK(info.vcpus == has[i][0] && info.memory == has[i][1] * SV_GIB);
    }
    sv_hv_close(hv);
}

static void storages_of_all_hosts_can_be_summed(void)
{
    struct sv_hv *hv = sim_open_with("sim://?hosts=256", NULL, 0);
    int64_t sum = 0;

    for (unsigned i = 0; i < 256; i++) {
        struct sv_hv_info info = {0};
        OK(SV_HV_CALL(sv_hv_host_at(hv, i), info, &info, NULL));
        CHECK(!__builtin_add_overflow(sum, info.storage_size, &sum));
    }
    CHECK_INT(sum, 1LL << 60);
    sv_hv_close(hv);
}

/* --- volumes and templates --- */

struct found {
    unsigned volumes, templates;
    int64_t bytes;
};
static void count_row(void *arg, const struct sv_id *id, bool is_template, int64_t bytes)
{
    struct found *f = arg;
    CHECK(sv_id_valid(id->s));
    f->volumes += !is_template;
    f->templates += is_template;
    f->bytes += bytes;
}

static struct found found_on(struct sv_hv_host *h)
{
    struct found f = {0};
    OK(SV_HV_CALL(h, list_volumes, count_row, &f, NULL));
    return f;
}

static void volumes_are_idempotent(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?storage=3G");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    struct sv_hv_disk disk = {.id = disk_id(1), .target = "vda", .size = SV_GIB};
    struct sv_hv_info info = {0};

    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, volume_create, &disk, NULL));
    CHECK_INT(found_on(h).volumes, 1);
    OK(SV_HV_CALL(h, info, &info, NULL));
    CHECK_INT(info.storage_used, SV_GIB);

    disk.id = disk_id(2);
    disk.size = 2 * SV_GIB + 1;
    FAILS(SV_HV_CALL(h, volume_create, &disk, NULL), SV_E_STORAGE_FULL);
    disk.size = 2 * SV_GIB;
    OK(SV_HV_CALL(h, volume_create, &disk, NULL));
    disk.id = disk_id(3);
    disk.size = 0;
    FAILS(SV_HV_CALL(h, volume_create, &disk, NULL), SV_E_STORAGE);

    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, volume_delete, &disk.id, NULL));
    const struct sv_id first = disk_id(1);
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, volume_delete, &first, NULL));
    OK(SV_HV_CALL(h, info, &info, NULL));
    CHECK_INT(info.storage_used, 2 * SV_GIB);
    sv_hv_close(hv);
}

static void progress_is_told(void *arg, int64_t done, int64_t total)
{
    CHECK_INT(done, total);
    ++*(int *)arg;
}

static void templates_pass_the_gate_and_are_seen_by_all_hosts(void)
{
    struct sv_hv *hv = sim_open_with("sim://?hosts=2", NULL, 0);
    struct sv_hv_host *h = sv_hv_host_at(hv, 0), *other = sv_hv_host_at(hv, 1);
    const struct sv_id t = disk_id(9);
    char path[] = "/tmp/starvirt-sim-image-XXXXXX";
    int64_t size = -1, virtual_size = -1;
    int told = 0;

    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    FAILS(SV_HV_CALL(h, template_put, &t, path, "vmdk", &size, &virtual_size, NULL, NULL, NULL), SV_E_IMAGE_REFUSED);
    CHECK_INT(size, -1);
    CHECK_INT(ftruncate(fd, 1 << 20), 0);
    close(fd);
    OK(SV_HV_CALL(h, template_put, &t, path, "raw", &size, &virtual_size, progress_is_told, &told, NULL));
    CHECK_INT(virtual_size, 1 << 20);
    CHECK_INT(told, 1);
    unlink(path);
    OK(SV_HV_CALL(other, template_put, &t, path, "raw", &size, &virtual_size, NULL, NULL, NULL));

    struct sv_hv_domain dom = vm_def(1);
    dom.disks[0].template_id = disk_id(8);
    FAILS(SV_HV_CALL(other, volume_create, &dom.disks[0], NULL), SV_E_TEMPLATE_FILE);
    dom.disks[0].template_id = t;
    OK(SV_HV_CALL(other, volume_create, &dom.disks[0], NULL));
    OK(SV_HV_CALL(other, define, &dom, NULL));
    CHECK_INT(found_on(other).templates, 1);
    CHECK_INT(found_on(other).volumes, 1);
    CHECK_INT(found_on(h).volumes, 0);

    OK(SV_HV_CALL(other, start, &dom.id, NULL));
    OK(SV_HV_CALL(other, destroy, &dom.id, NULL));
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, template_delete, &t, NULL));
    FAILS(SV_HV_CALL(other, start, &dom.id, NULL), SV_E_TEMPLATE_FILE); /* its backing file is gone */
    sv_hv_close(hv);
}

/* --- definitions and power --- */

static void calls_on_an_absent_domain(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1), none = {.s = ""};
    const struct sv_deadline soon = within(SIM_WAIT_S * 1000);
    struct sv_hv_state s;
    bool by_agent;

    CHECK_INT(state_of(h, 1).power, SV_HV_ABSENT);
    OK(SV_HV_CALL(h, undefine, &id, NULL));
    OK(SV_HV_CALL(h, destroy, &id, NULL));
    OK(SV_HV_CALL(h, wait_power, &id, SV_HV_ABSENT, &soon));
    FAILS(SV_HV_CALL(h, start, &id, NULL), SV_E_DOMAIN_MISSING);
    FAILS(SV_HV_CALL(h, shutdown, &id, &by_agent, NULL), SV_E_DOMAIN_MISSING);
    FAILS(SV_HV_CALL(h, reboot, &id, &by_agent, NULL), SV_E_DOMAIN_MISSING);
    FAILS(SV_HV_CALL(h, reset, &id, NULL), SV_E_DOMAIN_MISSING);
    FAILS(SV_HV_CALL(h, suspend, &id, NULL), SV_E_DOMAIN_MISSING);
    FAILS(SV_HV_CALL(h, resume, &id, NULL), SV_E_DOMAIN_MISSING);
    FAILS(SV_HV_CALL(h, set_vcpus, &id, 2, NULL), SV_E_DOMAIN_MISSING);
    FAILS(SV_HV_CALL(h, set_memory, &id, 2, NULL), SV_E_DOMAIN_MISSING);
    FAILS(SV_HV_CALL(h, wait_power, &id, SV_HV_RUNNING, &soon), SV_E_DOMAIN_MISSING);
    FAILS(SV_HV_CALL(h, wait_reboot, &id, &soon), SV_E_DOMAIN_MISSING);
    FAILS(SV_HV_CALL(h, state, &none, &s, NULL), SV_E_HYPERVISOR);
    expect_no_event();
    sv_hv_close(hv);
}

static void power_is_idempotent(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    bool by_agent = false;

    make_vm(h, 1);
    make_vm(h, 1);
    CHECK_INT(state_of(h, 1).power, SV_HV_OFF);
    CHECK_INT(state_of(h, 1).vcpus, 0);
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, start, &id, NULL));
    CHECK_INT(state_of(h, 1).power, SV_HV_RUNNING);
    CHECK_INT(state_of(h, 1).vcpus, 2);
    CHECK_INT(state_of(h, 1).memory, SV_GIB);
    CHECK(state_of(h, 1).agent);
    FAILS(SV_HV_CALL(h, undefine, &id, NULL), SV_E_HYPERVISOR);
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, suspend, &id, NULL));
    CHECK_INT(state_of(h, 1).power, SV_HV_PAUSED);
    FAILS(SV_HV_CALL(h, start, &id, NULL), SV_E_HYPERVISOR);
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, resume, &id, NULL));
    OK(SV_HV_CALL(h, reset, &id, NULL));
    OK(SV_HV_CALL(h, shutdown, &id, &by_agent, NULL));
    CHECK(by_agent);
    OK(SV_HV_CALL(h, shutdown, &id, &by_agent, NULL));
    CHECK(!by_agent);
    CHECK_INT(state_of(h, 1).power, SV_HV_OFF);
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, destroy, &id, NULL));
    FAILS(SV_HV_CALL(h, reset, &id, NULL), SV_E_HYPERVISOR);
    FAILS(SV_HV_CALL(h, suspend, &id, NULL), SV_E_HYPERVISOR);
    for (int i = 0; i < 2; i++)
        OK(SV_HV_CALL(h, undefine, &id, NULL));
    CHECK_INT(state_of(h, 1).power, SV_HV_ABSENT);

    static const char *const events[] = {
        "host1 power 01 2", "host1 agent 01 1", /* started once */
        "host1 power 01 3", "host1 power 01 2", /* paused, resumed */
        "host1 agent 01 0", "host1 agent 01 1", /* reset */
        "host1 agent 01 0", "host1 power 01 1", /* shut down */
    };
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        expect_event(events[i]);
    expect_no_event();
    sv_hv_close(hv);
}

static void start_needs_the_volumes(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_hv_domain dom = vm_def(1);

    OK(SV_HV_CALL(h, define, &dom, NULL));
    FAILS(SV_HV_CALL(h, start, &dom.id, NULL), SV_E_DISK_FILE);
    OK(SV_HV_CALL(h, volume_create, &dom.disks[0], NULL));
    OK(SV_HV_CALL(h, start, &dom.id, NULL));
    sv_hv_close(hv);
}

static void live_growth_keeps_to_what_the_guest_started_with(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    struct sv_hv_domain dom = vm_def(1);

    make_vm(h, 1);
    FAILS(SV_HV_CALL(h, set_vcpus, &dom.id, 3, NULL), SV_E_UNSUPPORTED);
    FAILS(SV_HV_CALL(h, set_memory, &dom.id, 2 * SV_GIB, NULL), SV_E_UNSUPPORTED);
    OK(SV_HV_CALL(h, start, &dom.id, NULL));
    dom.vcpus = dom.vcpus_max = 8;
    dom.memory = dom.memory_max = 8 * SV_GIB;
    OK(SV_HV_CALL(h, define, &dom, NULL)); /* the running guest goes on as it is */
    CHECK_INT(state_of(h, 1).vcpus, 2);
    for (int i = 0; i < 2; i++) {
        OK(SV_HV_CALL(h, set_vcpus, &dom.id, 4, NULL));
        OK(SV_HV_CALL(h, set_memory, &dom.id, 4 * SV_GIB, NULL));
    }
    FAILS(SV_HV_CALL(h, set_vcpus, &dom.id, 5, NULL), SV_E_UNSUPPORTED);
    FAILS(SV_HV_CALL(h, set_vcpus, &dom.id, 3, NULL), SV_E_UNSUPPORTED);
    FAILS(SV_HV_CALL(h, set_memory, &dom.id, 5 * SV_GIB, NULL), SV_E_UNSUPPORTED);
    FAILS(SV_HV_CALL(h, set_memory, &dom.id, SV_GIB, NULL), SV_E_UNSUPPORTED);
    CHECK_INT(state_of(h, 1).vcpus, 4);
    CHECK_INT(state_of(h, 1).memory, 4 * SV_GIB);
    OK(SV_HV_CALL(h, destroy, &dom.id, NULL));
    OK(SV_HV_CALL(h, start, &dom.id, NULL));
    CHECK_INT(state_of(h, 1).vcpus, 8);
    CHECK_INT(state_of(h, 1).memory, 8 * SV_GIB);
    sv_hv_close(hv);
}

struct listed {
    unsigned n, running;
};
static void list_row(void *arg, const struct sv_id *vm, const char *name, const struct sv_hv_state *s)
{
    struct listed *l = arg;
    CHECK_STR(vm->s, name);
    l->n++;
    l->running += s->power == SV_HV_RUNNING;
}

static void list_is_complete(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    struct listed l = {0};

    for (unsigned i = 0; i < 500; i++)
        make_vm(h, i);
    for (unsigned i = 0; i < 500; i += 2) {
        const struct sv_id id = vm_id(i);
        OK(SV_HV_CALL(h, start, &id, NULL));
    }
    for (unsigned i = 1; i < 500; i += 4) {
        const struct sv_id id = vm_id(i);
        OK(SV_HV_CALL(h, undefine, &id, NULL));
    }
    OK(SV_HV_CALL(h, list, list_row, &l, NULL));
    CHECK_INT(l.n, 375);
    CHECK_INT(l.running, 250);
    sv_hv_close(hv);
}

/* --- the guest's own time --- */

static void guests_take_their_time(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?boot=30ms&stop=30ms");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    const struct sv_deadline soon = within(SIM_WAIT_S * 1000);
    bool by_agent = true;

    make_vm(h, 1);
    OK(SV_HV_CALL(h, start, &id, NULL));
    expect_event("host1 power 01 2");
    expect_event("host1 agent 01 1");
    OK(SV_HV_CALL(h, reboot, &id, &by_agent, NULL));
    CHECK(by_agent);
    OK(SV_HV_CALL(h, wait_reboot, &id, &soon));
    expect_event("host1 agent 01 0");
    OK(SV_HV_CALL(h, shutdown, &id, &by_agent, NULL));
    CHECK_INT(state_of(h, 1).power, SV_HV_RUNNING);
    OK(SV_HV_CALL(h, wait_power, &id, SV_HV_OFF, &soon));

    /* Paused guests do nothing; resumed ones do what they were asked. */
    OK(SV_HV_CALL(h, start, &id, NULL));
    OK(SV_HV_CALL(h, suspend, &id, NULL));
    OK(SV_HV_CALL(h, shutdown, &id, &by_agent, NULL));
    OK(SV_HV_CALL(h, resume, &id, NULL));
    CHECK_INT(state_of(h, 1).power, SV_HV_RUNNING);
    OK(SV_HV_CALL(h, shutdown, &id, &by_agent, NULL));
    OK(SV_HV_CALL(h, suspend, &id, NULL));
    const struct sv_deadline past_stop = within(90);
    FAILS(SV_HV_CALL(h, wait_power, &id, SV_HV_OFF, &past_stop), SV_E_JOB_DEADLINE);
    OK(SV_HV_CALL(h, resume, &id, NULL));
    OK(SV_HV_CALL(h, wait_power, &id, SV_HV_OFF, &soon));
    sv_hv_close(hv);
}

static void deaf_guests_ignore_requests(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?acpi=ignore&agent=off");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    const struct sv_deadline past = within(50);
    bool by_agent = true;

    make_vm(h, 1);
    OK(SV_HV_CALL(h, start, &id, NULL));
    CHECK(!state_of(h, 1).agent);
    OK(SV_HV_CALL(h, reboot, &id, &by_agent, NULL));
    CHECK(!by_agent);
    FAILS(SV_HV_CALL(h, wait_reboot, &id, &past), SV_E_JOB_DEADLINE);
    OK(SV_HV_CALL(h, shutdown, &id, &by_agent, NULL));
    const struct sv_deadline again = within(50);
    FAILS(SV_HV_CALL(h, wait_power, &id, SV_HV_OFF, &again), SV_E_JOB_DEADLINE);
    OK(SV_HV_CALL(h, reset, &id, NULL));
    OK(SV_HV_CALL(h, wait_reboot, &id, &again)); /* a reset is a boot, too; over already, but it is so */
    sv_hv_close(hv);
}

static void admin_switches(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    char command[80];

    make_vm(h, 1);
    OK(SV_HV_CALL(h, start, &id, NULL));
    snprintf(command, sizeof(command), "agent=%s:0", id.s);
    OK(SV_HV_CALL(h, control, command));
    CHECK(!state_of(h, 1).agent);
    snprintf(command, sizeof(command), "agent=%s:1", id.s);
    OK(SV_HV_CALL(h, control, command));
    snprintf(command, sizeof(command), "crash=%s", id.s);
    OK(SV_HV_CALL(h, control, command));
    CHECK_INT(state_of(h, 1).power, SV_HV_CRASHED);
    OK(SV_HV_CALL(h, start, &id, NULL));
    snprintf(command, sizeof(command), "stop=%s", id.s);
    OK(SV_HV_CALL(h, control, command));
    CHECK_INT(state_of(h, 1).power, SV_HV_OFF);
    FAILS(SV_HV_CALL(h, control, "explode=now"), SV_E_CONFIG);
    FAILS(SV_HV_CALL(h, control, "hang=perhaps"), SV_E_CONFIG);
    FAILS(SV_HV_CALL(h, control, "delay=long"), SV_E_CONFIG);
    FAILS(SV_HV_CALL(h, control, "crash=nobody"), SV_E_HYPERVISOR);
    FAILS(SV_HV_CALL(h, control, "crash=01890a5d-ac96-774b-bcce-0000000000ff"), SV_E_DOMAIN_MISSING);

    static const char *const events[] = {
        "host1 power 01 2", "host1 agent 01 1", "host1 agent 01 0", "host1 agent 01 1", "host1 agent 01 0",
        "host1 power 01 5", "host1 power 01 2", "host1 agent 01 1", "host1 agent 01 0", "host1 power 01 1",
    };
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        expect_event(events[i]);
    expect_no_event();
    sv_hv_close(hv);
}

static void control_files_reach_a_host(void)
{
    char dir[] = SIM_DIR, path[128], tmp[128];

    CHECK(mkdtemp(dir));
    struct sv_hv *hv = sim_open_with("sim://?hosts=2&control=1", dir, 0);
    expect_event("host1 host - 1");
    expect_event("host2 host - 1");
    static const char *const texts[] = {"host2:down=1\n", "nonsense", "host2:down=0"};
    static const char *const events[] = {"host2 host - 0", NULL, "host2 host - 1"};
    for (int i = 0; i < 3; i++) {
        snprintf(tmp, sizeof(tmp), "%s/sim/control/.new", dir);
        snprintf(path, sizeof(path), "%s/sim/control/%d", dir, i);
        FILE *f = fopen(tmp, "we");
        CHECK(f && fputs(texts[i], f) >= 0 && fclose(f) == 0);
        CHECK_INT(rename(tmp, path), 0);
        if (events[i])
            expect_event(events[i]);
    }
    sv_hv_close(hv);
    sim_dir_remove(dir);
}

/* --- faults, hangs, deadlines --- */

static void faults_come_as_often_as_asked(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?fail=start:1&fail=state:0.25&seed=3");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    unsigned failed = 0;

    make_vm(h, 1);
    FAILS(SV_HV_CALL(h, start, &id, NULL), SV_E_HYPERVISOR);
    OK(SV_HV_CALL(h, control, "fail=start:0"));
    OK(SV_HV_CALL(h, start, &id, NULL));
    for (int i = 0; i < 4000; i++) {
        struct sv_error err_, *err = &err_;
        struct sv_hv_state s;
        failed += SV_HV_CALL(h, state, &id, &s, NULL) != SV_OK;
    }
    CHECK(failed > 850 && failed < 1150);
    OK(SV_HV_CALL(h, control, "fail=wait_power:1"));
    FAILS(SV_HV_CALL(h, wait_power, &id, SV_HV_RUNNING, NULL), SV_E_HYPERVISOR);
    sv_hv_close(hv);
}

static void delays_are_kept_and_cut_short(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?delay=40ms&jitter=10ms");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    atomic_bool cancel = true;
    struct sv_hv_info info = {0};

    const int64_t before = sv_mono_us();
    OK(SV_HV_CALL(h, info, &info, NULL));
    CHECK(sv_mono_us() - before >= 30000);
    const struct sv_deadline tight = within(5);
    FAILS(SV_HV_CALL(h, info, &info, &tight), SV_E_HOST_TIMEOUT);
    const struct sv_deadline unwanted = {.cancel = &cancel};
    FAILS(SV_HV_CALL(h, info, &info, &unwanted), SV_E_JOB_CANCELLED);
    OK(SV_HV_CALL(h, control, "delay=0"));
    sv_hv_close(hv);
}

static void a_hung_host_costs_a_timeout_and_goes_down(void)
{
    struct sv_hv *hv = sim_open_with("sim://?hosts=2&hang=host2", NULL, 100);
    struct sv_hv_host *good = sv_hv_host_at(hv, 0), *hung = sv_hv_host_at(hv, 1);
    struct sv_hv_info info = {0};

    expect_event("host1 host - 1");
    expect_event("host2 host - 1");
    const struct sv_deadline tight = within(10);
    FAILS(SV_HV_CALL(hung, info, &info, &tight), SV_E_HOST_TIMEOUT);
    FAILS(SV_HV_CALL(hung, info, &info, NULL), SV_E_HOST_TIMEOUT);
    OK(SV_HV_CALL(good, info, &info, NULL));
    expect_event("host2 host - 0");
    FAILS(SV_HV_CALL(hung, info, &info, NULL), SV_E_HOST_DOWN);
    OK(hung->ops->control(hung, "hang=0", err));
    expect_event("host2 host - 1");
    OK(SV_HV_CALL(hung, info, &info, NULL));
    expect_no_event();
    sv_hv_close(hv);
}

struct caller {
    struct sv_hv_host *h;
    struct sv_deadline d;
    struct sv_id vm;
    unsigned first;
    enum sv_err got;
    atomic_bool out;
};

static void *call_info(void *arg)
{
    struct caller *c = arg;
    struct sv_hv_info info = {0};
    struct sv_error err;

    atomic_store(&c->out, true);
    c->got = c->h->ops->info(c->h, &info, &c->d, &err);
    return NULL;
}

static void *call_wait(void *arg)
{
    struct caller *c = arg;
    struct sv_error err;

    atomic_store(&c->out, true);
    c->got = c->h->ops->wait_power(c->h, &c->vm, SV_HV_RUNNING, &c->d, &err);
    return NULL;
}

/* A blocked call is let go by what happens to its host; whether it is inside already or only about to
 * be makes no difference to the answer. */
static enum sv_err released_by(struct sv_hv_host *h, void *(*call)(void *), atomic_bool *cancel, const char *command)
{
    struct caller c = {.h = h, .vm = vm_id(1), .d = {.cancel = cancel}};
    pthread_t t;

    CHECK_INT(pthread_create(&t, NULL, call, &c), 0);
    while (!atomic_load(&c.out))
        sched_yield();
    if (command)
        OK(h->ops->control(h, command, err));
    else
        atomic_store(cancel, true);
    pthread_join(t, NULL);
    return c.got;
}

static void blocked_calls_are_let_go(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    atomic_bool cancel = false;

    make_vm(h, 1);
    OK(SV_HV_CALL(h, control, "hang=1"));
    CHECK_INT(released_by(h, call_info, NULL, "hang=0"), SV_OK);
    OK(SV_HV_CALL(h, control, "hang=1"));
    CHECK_INT(released_by(h, call_info, &cancel, NULL), SV_E_JOB_CANCELLED);
    CHECK_INT(released_by(h, call_info, NULL, "down=1"), SV_E_HOST_DOWN);
    OK(h->ops->control(h, "down=0", err));
    OK(h->ops->control(h, "hang=0", err));
    cancel = false;
    CHECK_INT(released_by(h, call_wait, &cancel, NULL), SV_E_JOB_CANCELLED);
    CHECK_INT(released_by(h, call_wait, NULL, "down=1"), SV_E_HOST_DOWN);
    OK(h->ops->control(h, "down=0", err));
    sv_hv_close(hv);
}

static unsigned waiting_in(struct sv_hv_host *hh)
{
    struct sim_host *h = sim_host_of(hh);

    pthread_mutex_lock(&h->lock);
    const unsigned n = h->inside;
    pthread_mutex_unlock(&h->lock);
    return n;
}

static void closing_lets_blocked_calls_go(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?hang=host1");
    struct caller c = {.h = sv_hv_host_at(hv, 0)};
    struct caller w = {.h = sv_hv_host_at(hv, 0), .vm = vm_id(1)};
    pthread_t t[2];

    CHECK_INT(pthread_create(&t[0], NULL, call_info, &c), 0);
    CHECK_INT(pthread_create(&t[1], NULL, call_wait, &w), 0);
    while (waiting_in(c.h) < 2)
        sched_yield();
    sv_hv_close(hv);
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
    CHECK_INT(c.got, SV_E_HOST_DOWN);
    CHECK_INT(w.got, SV_E_HOST_DOWN);
}

/* --- many at a time --- */

enum { WORKERS = 8, VMS_EACH = 40 };

static void *churn(void *arg)
{
    const struct caller *c = arg;

    for (unsigned i = c->first; i < c->first + VMS_EACH; i++) {
        const struct sv_id id = vm_id(i);
        const struct sv_hv_domain dom = vm_def(i);
        const struct sv_deadline d = within(SIM_WAIT_S * 1000);
        make_vm(c->h, i);
        OK(SV_HV_CALL(c->h, start, &id, &d));
        OK(SV_HV_CALL(c->h, destroy, &id, &d));
        OK(SV_HV_CALL(c->h, wait_power, &id, SV_HV_OFF, &d));
        OK(SV_HV_CALL(c->h, undefine, &id, &d));
        OK(SV_HV_CALL(c->h, volume_delete, &dom.disks[0].id, &d));
    }
    return NULL;
}

/* Events of one VM come in the order things happened, whoever caused them. */
static void order_is_kept_under_load(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?delay=100us");
    struct caller c[WORKERS];
    pthread_t t[WORKERS];
    char last[256] = {0};

    for (unsigned i = 0; i < WORKERS; i++) {
        c[i] = (struct caller){.h = sv_hv_host_at(hv, 0), .first = i * 256};
        CHECK_INT(pthread_create(&t[i], NULL, churn, &c[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(t[i], NULL);
    const unsigned want = 1 + WORKERS * VMS_EACH * 4; /* running, agent up, agent down, off */
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += SIM_WAIT_S;
    pthread_mutex_lock(&seen.lock);
    while (seen.n < want && pthread_cond_timedwait(&seen.more, &seen.lock, &until) == 0)
        ;
    CHECK_INT(seen.n, want);
    unsigned runs = 0;
    for (unsigned i = 1; i < seen.n; i++) {
        static const char head[] = "host1 power ";
        const char *line = seen.lines[i];
        if (strncmp(line, head, sizeof(head) - 1) != 0)
            continue;
        const unsigned long vm = strtoul(line + sizeof(head) - 1, NULL, 16);
        const char now = (char)(line[strlen(line) - 1] - '0');
        runs += now == SV_HV_RUNNING;
        last[vm & 255] = now; /* workers share these two digits; they differ in the rest */
    }
    pthread_mutex_unlock(&seen.lock);
    CHECK_INT(runs, WORKERS * VMS_EACH);
    for (unsigned i = 0; i < VMS_EACH; i++)
        CHECK_INT(last[i], SV_HV_OFF);
    sv_hv_close(hv);
}

CHECK_MAIN(T(uri_says_what_it_takes), T(uri_is_understood), T(hosts_may_be_unequal),
           T(storages_of_all_hosts_can_be_summed), T(volumes_are_idempotent),
           T(templates_pass_the_gate_and_are_seen_by_all_hosts), T(calls_on_an_absent_domain), T(power_is_idempotent),
           T(start_needs_the_volumes), T(live_growth_keeps_to_what_the_guest_started_with), T(list_is_complete),
           T(guests_take_their_time), T(deaf_guests_ignore_requests), T(admin_switches), T(control_files_reach_a_host),
           T(faults_come_as_often_as_asked), T(delays_are_kept_and_cut_short),
           T(a_hung_host_costs_a_timeout_and_goes_down), T(blocked_calls_are_let_go), T(closing_lets_blocked_calls_go),
           T(order_is_kept_under_load))
