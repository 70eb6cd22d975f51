/* The simulator's snapshots: what comes back, what does not, and that the journal has all of it. */
#include "hv/sim/internal.h"
#include "starvirt/text.h"

#include "tests/unit/sim.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char dir[] = SIM_DIR;

static void fresh_dir(void)
{
    SV_COPY(dir, SIM_DIR);
    CHECK(mkdtemp(dir));
}

static struct sim_key key_of(const struct sv_id *id)
{
    struct sim_key k = {0};
    struct sv_error err;

    CHECK_INT(sim_key_of(id, &k, &err), SV_OK);
    return k;
}

static struct sim_domain *domain(struct sv_hv_host *h, unsigned n)
{
    const struct sv_id id = vm_id(n);
    const struct sim_key k = key_of(&id);
    struct sim_domain *d = sim_table_get(&sim_host_of(h)->domains, &k);

    CHECK(d);
    return d;
}

static const char *content(struct sv_hv_host *h, unsigned disk)
{
    const struct sv_id id = disk_id(disk);
    const struct sim_key k = key_of(&id);

    return sim_volume_content(sim_host_of(h), &k);
}

static const char *words(struct sv_hv_host *h, unsigned n)
{
    return domain(h, n)->words ? domain(h, n)->words : "";
}

static void write_to(struct sv_hv_host *h, const struct sv_id *id, const char *text)
{
    SV_AUTOFREE char *command = sv_asprintf("write=%s:%s", id->s, text);

    OK(SV_HV_CALL(h, control, command));
}

static void write_disk(struct sv_hv_host *h, unsigned disk, const char *text)
{
    const struct sv_id id = disk_id(disk);
    write_to(h, &id, text);
}

static void write_memory(struct sv_hv_host *h, unsigned n, const char *text)
{
    const struct sv_id id = vm_id(n);
    write_to(h, &id, text);
}

static struct sv_id snap_id(unsigned n)
{
    struct sv_id id;
    snprintf(id.s, sizeof(id.s), "01890a5d-ac96-774b-9000-%012x", n);
    return id;
}

static bool take(struct sv_hv_host *h, unsigned n, unsigned snapshot)
{
    const struct sv_id vm = vm_id(n), id = snap_id(snapshot);
    bool memory = false;

    OK(SV_HV_CALL(h, snapshot_create, &vm, &id, &memory, NULL));
    return memory;
}

static void go_back(struct sv_hv_host *h, const struct sv_hv_domain *dom, unsigned snapshot, bool memory)
{
    const struct sv_id id = snap_id(snapshot);

    OK(SV_HV_CALL(h, snapshot_restore, dom, &id, memory, NULL));
}

static void drop(struct sv_hv_host *h, unsigned n, unsigned snapshot)
{
    const struct sv_id vm = vm_id(n), id = snap_id(snapshot);

    OK(SV_HV_CALL(h, snapshot_delete, &vm, &id, NULL));
}

static void start(struct sv_hv_host *h, unsigned n)
{
    const struct sv_id id = vm_id(n);
    OK(SV_HV_CALL(h, start, &id, NULL));
}

/* VM 1 with a second disk, off. */
static struct sv_hv_domain two_disks(struct sv_hv_host *h)
{
    struct sv_hv_domain dom = vm_def(1);

    dom.disks[dom.disk_count++] = (struct sv_hv_disk){.id = disk_id(2), .target = "vdb", .size = SV_GIB};
    OK(SV_HV_CALL(h, volume_create, &dom.disks[0], NULL));
    OK(SV_HV_CALL(h, volume_create, &dom.disks[1], NULL));
    OK(SV_HV_CALL(h, define, &dom, NULL));
    return dom;
}

/* --- contents --------------------------------------------------------------------------------------- */

static void a_volume_keeps_what_is_written(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id nobody = disk_id(99), gone = disk_id(1);
    char longest[SIM_CONTENT_MAX + 2];

    make_vm(h, 1);
    CHECK_STR(content(h, 1), "");
    write_disk(h, 1, "a:b = c");
    CHECK_STR(content(h, 1), "a:b = c");
    write_disk(h, 1, "");
    CHECK_STR(content(h, 1), "");
    memset(longest, 'x', sizeof(longest));
    longest[SIM_CONTENT_MAX] = '\0';
    write_disk(h, 1, longest);
    CHECK_STR(content(h, 1), longest);
    longest[SIM_CONTENT_MAX] = 'x';
    longest[SIM_CONTENT_MAX + 1] = '\0';
    SV_AUTOFREE char *too_long = sv_asprintf("write=%s:%s", gone.s, longest);
    FAILS(SV_HV_CALL(h, control, too_long), SV_E_STORAGE);
    SV_AUTOFREE char *unknown = sv_asprintf("write=%s:x", nobody.s);
    FAILS(SV_HV_CALL(h, control, unknown), SV_E_DISK_FILE);
    FAILS(SV_HV_CALL(h, control, "write=x"), SV_E_CONFIG);
    OK(SV_HV_CALL(h, volume_delete, &gone, NULL));
    CHECK_STR(content(h, 1), "");
    sv_hv_close(hv);
}

static void memory_is_forgotten(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    SV_AUTOFREE char *command = sv_asprintf("write=%s:x", id.s);

    make_vm(h, 1);
    FAILS(SV_HV_CALL(h, control, command), SV_E_HYPERVISOR); /* it is off */
    start(h, 1);
    write_memory(h, 1, "here");
    OK(SV_HV_CALL(h, suspend, &id, NULL));
    OK(SV_HV_CALL(h, resume, &id, NULL));
    CHECK_STR(words(h, 1), "here");
    OK(SV_HV_CALL(h, reset, &id, NULL));
    CHECK_STR(words(h, 1), "");
    write_memory(h, 1, "again");
    OK(SV_HV_CALL(h, destroy, &id, NULL));
    CHECK_STR(words(h, 1), "");
    sv_hv_close(hv);
}

/* --- restoring -------------------------------------------------------------------------------------- */

static void a_running_guest_goes_back_whole(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_hv_domain dom = two_disks(h);

    start(h, 1);
    write_disk(h, 1, "system");
    write_disk(h, 2, "data");
    write_memory(h, 1, "memory");
    CHECK(take(h, 1, 1));
    CHECK(take(h, 1, 1)); /* it is there already */
    write_disk(h, 1, "x");
    write_disk(h, 2, "y");
    write_memory(h, 1, "z");
    CHECK(take(h, 1, 1)); /* and stays what it was */
    go_back(h, &dom, 1, true);
    CHECK_STR(content(h, 1), "system");
    CHECK_STR(content(h, 2), "data");
    CHECK_STR(words(h, 1), "memory");
    const struct sv_hv_state s = state_of(h, 1);
    CHECK_INT(s.power, SV_HV_RUNNING);
    CHECK_INT(s.vcpus, 2);
    CHECK_INT(s.memory, SV_GIB);
    CHECK(s.agent);
    write_memory(h, 1, "z");
    go_back(h, &dom, 1, false); /* disks only: it is off */
    CHECK_INT(state_of(h, 1).power, SV_HV_OFF);
    CHECK_STR(content(h, 1), "system");
    go_back(h, &dom, 1, true); /* and from off */
    CHECK_STR(words(h, 1), "memory");
    sv_hv_close(hv);
}

static void what_was_asked_before_is_void(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?stop=1s");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_hv_domain dom = vm_def(1);
    const struct sv_id id = vm_id(1);
    bool by_agent;

    make_vm(h, 1);
    start(h, 1);
    CHECK(take(h, 1, 1));
    OK(SV_HV_CALL(h, shutdown, &id, &by_agent, NULL));
    go_back(h, &dom, 1, true);
    CHECK_INT(domain(h, 1)->live.flags & (SIM_STOPPING | SIM_REBOOTING), 0);
    sv_hv_close(hv);
}

static void the_disks_of_one_that_was_off(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_hv_domain dom = two_disks(h);
    const struct sv_id one = snap_id(1), other = snap_id(2), nobody = vm_id(9);
    bool memory;

    write_disk(h, 1, "then");
    CHECK(!take(h, 1, 1));
    start(h, 1);
    write_disk(h, 1, "now");
    FAILS(SV_HV_CALL(h, snapshot_restore, &dom, &one, true, NULL), SV_E_HYPERVISOR);
    CHECK_STR(content(h, 1), "now"); /* nothing was touched */
    CHECK_INT(state_of(h, 1).power, SV_HV_RUNNING);
    FAILS(SV_HV_CALL(h, snapshot_restore, &dom, &other, false, NULL), SV_E_HYPERVISOR);
    FAILS(SV_HV_CALL(h, snapshot_create, &nobody, &one, &memory, NULL), SV_E_DOMAIN_MISSING);
    go_back(h, &dom, 1, false);
    CHECK_STR(content(h, 1), "then");
    CHECK_STR(content(h, 2), "");
    CHECK_INT(state_of(h, 1).power, SV_HV_OFF);
    sv_hv_close(hv);
}

static void a_paused_guest_counts_as_running(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_hv_domain dom = vm_def(1);
    const struct sv_id id = vm_id(1);

    make_vm(h, 1);
    start(h, 1);
    write_memory(h, 1, "memory");
    OK(SV_HV_CALL(h, suspend, &id, NULL));
    CHECK(take(h, 1, 1));
    CHECK_INT(state_of(h, 1).power, SV_HV_PAUSED);
    go_back(h, &dom, 1, true);
    CHECK_INT(state_of(h, 1).power, SV_HV_RUNNING);
    CHECK_STR(words(h, 1), "memory");
    sv_hv_close(hv);
}

static void no_memory_after_a_vcpu_was_plugged(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);

    make_vm(h, 1);
    start(h, 1);
    CHECK(take(h, 1, 1));
    OK(SV_HV_CALL(h, set_vcpus, &id, 3, NULL));
    CHECK(!take(h, 1, 2));
    OK(SV_HV_CALL(h, destroy, &id, NULL));
    start(h, 1);
    CHECK(take(h, 1, 3));
    sv_hv_close(hv);
}

/* What came after the snapshot is none of its business; what grew stays grown. */
static void other_disks_and_sizes_stay(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    struct sv_hv_domain dom = two_disks(h);
    const struct sv_id id = vm_id(1), boot = disk_id(1);
    struct sv_hv_info info = {0};

    write_disk(h, 1, "then");
    write_disk(h, 2, "then");
    CHECK(!take(h, 1, 1));
    dom.disks[1] = (struct sv_hv_disk){.id = disk_id(3), .target = "vdc", .size = SV_GIB}; /* 2 went, 3 came */
    OK(SV_HV_CALL(h, volume_create, &dom.disks[1], NULL));
    OK(SV_HV_CALL(h, volume_resize, &id, &boot, 4 * SV_GIB, NULL));
    dom.disks[0].size = 4 * SV_GIB;
    for (unsigned n = 1; n <= 3; n++)
        write_disk(h, n, "now");
    go_back(h, &dom, 1, false);
    CHECK_STR(content(h, 1), "then");
    CHECK_STR(content(h, 2), "now");
    CHECK_STR(content(h, 3), "now");
    OK(SV_HV_CALL(h, info, &info, NULL));
    CHECK_INT(info.storage_used, 6 * SV_GIB);
    CHECK_INT(domain(h, 1)->def->disks, 2);
    CHECK_STR(sim_def_disks(domain(h, 1)->def)[1].target, "vdc");
    sv_hv_close(hv);
}

/* The memory knows the devices it ran with, also where the definition has others. */
static void memory_comes_with_its_devices(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    struct sv_hv_domain dom = two_disks(h);

    start(h, 1);
    CHECK(take(h, 1, 1));
    dom.disk_count = 1;
    go_back(h, &dom, 1, true);
    CHECK_INT(domain(h, 1)->def->disks, 1);
    CHECK_INT(sim_plugged(domain(h, 1))->disks, 2);
    sv_hv_close(hv);
}

/* --- many ------------------------------------------------------------------------------------------- */

enum { MANY = 64 };

static void write_number(struct sv_hv_host *h, unsigned n)
{
    write_disk(h, 1, sv_dec(n).s);
    write_memory(h, 1, sv_dec(n).s);
}

static void any_of_a_chain_may_go(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_hv_domain dom = vm_def(1);
    const struct sv_id gone = snap_id(0);

    make_vm(h, 1);
    start(h, 1);
    for (unsigned n = 0; n < MANY; n++) {
        write_number(h, n);
        CHECK(take(h, 1, n));
    }
    for (unsigned n = 0; n < MANY; n += 2)
        drop(h, 1, n);
    drop(h, 1, 0);
    drop(h, 9, 0); /* nor is there such a VM */
    CHECK_INT(sim_snapshots_count(domain(h, 1)), MANY / 2);
    FAILS(SV_HV_CALL(h, snapshot_restore, &dom, &gone, true, NULL), SV_E_HYPERVISOR);
    for (unsigned n = MANY - 1; n < MANY; n -= 2) {
        go_back(h, &dom, n, true);
        CHECK_STR(content(h, 1), sv_dec(n).s);
        CHECK_STR(words(h, 1), sv_dec(n).s);
    }
    sv_hv_close(hv);
}

static void they_go_with_their_domain(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);

    make_vm(h, 1);
    for (unsigned n = 0; n < 3; n++)
        take(h, 1, n);
    CHECK_INT(sim_host_of(h)->snapshot_count, 3);
    OK(SV_HV_CALL(h, undefine, &id, NULL));
    CHECK_INT(sim_host_of(h)->snapshot_count, 0);
    make_vm(h, 1);
    CHECK_INT(sim_snapshots_count(domain(h, 1)), 0);
    sv_hv_close(hv);
}

static void faults_have_names(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?fail=snapshot_create:1&fail=snapshot_restore:1&fail=snapshot_delete:1");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_hv_domain dom = vm_def(1);
    const struct sv_id id = snap_id(1);
    bool memory;

    make_vm(h, 1);
    FAILS(SV_HV_CALL(h, snapshot_create, &dom.id, &id, &memory, NULL), SV_E_HYPERVISOR);
    FAILS(SV_HV_CALL(h, snapshot_restore, &dom, &id, false, NULL), SV_E_HYPERVISOR);
    FAILS(SV_HV_CALL(h, snapshot_delete, &dom.id, &id, NULL), SV_E_HYPERVISOR);
    sv_hv_close(hv);
}

/* --- the journal ------------------------------------------------------------------------------------ */

static void check_all(struct sv_hv_host *h)
{
    const struct sv_hv_domain dom = vm_def(1);

    CHECK_INT(sim_host_of(h)->snapshot_count, MANY - 1);
    CHECK_STR(words(h, 1), "now");
    CHECK_STR(content(h, 1), "now");
    for (unsigned n = 1; n < MANY; n += 7) {
        go_back(h, &dom, n, true);
        CHECK_STR(content(h, 1), sv_dec(n).s);
        CHECK_STR(words(h, 1), sv_dec(n).s);
    }
    write_disk(h, 1, "now");
    write_memory(h, 1, "now");
}

static void all_of_it_is_replayed(void)
{
    fresh_dir();
    struct sv_hv *hv = sim_open_deaf("sim://", dir);
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);

    make_vm(h, 1);
    start(h, 1);
    for (unsigned n = 0; n < MANY; n++) {
        write_number(h, n);
        CHECK(take(h, 1, n));
    }
    drop(h, 1, 0);
    write_disk(h, 1, "now");
    write_memory(h, 1, "now");
    check_all(h);
    sv_hv_close(hv);
    for (int i = 0; i < 2; i++) {
        hv = sim_open_deaf("sim://", dir);
        check_all(sv_hv_host_at(hv, 0));
        sv_hv_close(hv);
    }
    sim_dir_remove(dir);
}

static off_t journal_size(void)
{
    SV_AUTOFREE char *path = sv_asprintf("%s/sim/host1.journal", dir);
    struct stat st;

    CHECK_INT(stat(path, &st), 0);
    return st.st_size;
}

static void a_rewritten_journal_has_it_all(void)
{
    fresh_dir();
    struct sv_hv *hv = sim_open_deaf("sim://", dir);
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);

    make_vm(h, 1);
    start(h, 1);
    for (unsigned n = 1; n < MANY; n++) {
        write_number(h, n);
        CHECK(take(h, 1, n));
    }
    for (unsigned i = 0; i < 40000; i++)
        write_disk(h, 1, i % 2 ? "now" : "then");
    write_memory(h, 1, "now");
    CHECK(journal_size() > 1 << 20);
    sv_hv_close(hv);
    hv = sim_open_deaf("sim://", dir);
    CHECK(journal_size() < 1 << 17);
    check_all(sv_hv_host_at(hv, 0));
    sv_hv_close(hv);
    hv = sim_open_deaf("sim://", dir);
    check_all(sv_hv_host_at(hv, 0));
    sv_hv_close(hv);
    sim_dir_remove(dir);
}

/* Many snapshots are no reason to write the file anew with every change. */
static void snapshots_are_no_bloat(void)
{
    fresh_dir();
    struct sv_hv *hv = sim_open_deaf("sim://", dir);
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);

    for (unsigned n = 0; n < 100; n++) {
        make_vm(h, n);
        for (unsigned i = 0; i < MANY; i++)
            take(h, n, n * MANY + i);
    }
    const off_t size = journal_size();
    sv_hv_close(hv);
    CHECK(size > 1 << 20);
    hv = sim_open_deaf("sim://", dir);
    CHECK_INT(journal_size(), size);
    CHECK_INT(sim_host_of(sv_hv_host_at(hv, 0))->snapshot_count, 100 * MANY);
    sv_hv_close(hv);
    sim_dir_remove(dir);
}

/* The child writes, takes, goes back and drops, and says so after each; killed at any moment, the parent finds
 * a disk with a whole content, and each snapshot whole or not at all. */
static void child(int out)
{
    struct sv_hv *hv = sim_open_deaf("sim://", dir);
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_hv_domain dom = vm_def(1);

    make_vm(h, 1);
    start(h, 1);
    for (unsigned n = 1;; n++) {
        write_number(h, n);
        take(h, 1, n);
        if (n > 3)
            drop(h, 1, n - 2);
        go_back(h, &dom, n, n % 2);
        start(h, 1);
        if (write(out, "+", 1) != 1)
            _exit(1);
    }
}

static void kill_after(unsigned acks)
{
    int fds[2], status;
    char c;

    CHECK_INT(pipe(fds), 0);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        child(fds[1]);
    }
    close(fds[1]);
    for (unsigned said = 0; said < acks && read(fds[0], &c, 1) == 1; said++)
        ;
    CHECK_INT(kill(pid, SIGKILL), 0);
    close(fds[0]);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void a_killed_server_loses_nothing(void)
{
    const struct sv_hv_domain dom = vm_def(1);

    for (unsigned round = 1; round < 12; round++) {
        fresh_dir();
        kill_after(round * round * 2);
        struct sv_hv *hv = sim_open_deaf("sim://", dir);
        struct sv_hv_host *h = sv_hv_host_at(hv, 0);
        int64_t last = 0;

        CHECK(sv_parse_int(content(h, 1), &last));
        CHECK(last >= round * round * 2);
        CHECK(sim_host_of(h)->snapshot_count >= 2 && sim_host_of(h)->snapshot_count <= 5);
        go_back(h, &dom, (unsigned)last - 1, true);
        CHECK_STR(content(h, 1), sv_dec(last - 1).s);
        CHECK_STR(words(h, 1), sv_dec(last - 1).s);
        sv_hv_close(hv);
        sim_dir_remove(dir);
    }
}

CHECK_MAIN(T(a_volume_keeps_what_is_written), T(memory_is_forgotten), T(a_running_guest_goes_back_whole),
           T(what_was_asked_before_is_void), T(the_disks_of_one_that_was_off), T(a_paused_guest_counts_as_running),
           T(no_memory_after_a_vcpu_was_plugged), T(other_disks_and_sizes_stay), T(memory_comes_with_its_devices),
           T(any_of_a_chain_may_go), T(they_go_with_their_domain), T(faults_have_names), T(all_of_it_is_replayed),
           T(a_rewritten_journal_has_it_all), T(snapshots_are_no_bloat), T(a_killed_server_loses_nothing))
