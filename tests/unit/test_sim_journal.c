/* The simulator's journal: what the hypervisor remembers when the server dies at any moment. */
#include "hv/sim/internal.h"
#include "tests/unit/sim.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char dir[] = SIM_DIR;
static char journal[128];

static void fresh_dir(void)
{
    SV_COPY(dir, SIM_DIR);
    CHECK(mkdtemp(dir));
    snprintf(journal, sizeof(journal), "%s/sim/host1.journal", dir);
}

static struct sv_hv *reopen(const char *uri)
{
    struct sv_hv *hv = sim_open_with(uri, dir, 0);
    expect_event("host1 host - 1");
    return hv;
}

static off_t journal_size(void)
{
    struct stat st;
    CHECK_INT(stat(journal, &st), 0);
    return st.st_size;
}

struct tally {
    unsigned n, running;
};
static void tally_row(void *arg, const struct sv_id *vm, const char *name, const struct sv_hv_state *s)
{
    struct tally *t = arg;
    (void)vm;
    (void)name;
    t->n++;
    t->running += s->power == SV_HV_RUNNING;
}

static struct tally tally_of(struct sv_hv *hv)
{
    struct tally t = {0};
    OK(SV_HV_CALL(sv_hv_host_at(hv, 0), list, tally_row, &t, NULL));
    return t;
}

static void start_vm(struct sv_hv *hv, unsigned n)
{
    const struct sv_id id = vm_id(n);
    make_vm(sv_hv_host_at(hv, 0), n);
    OK(SV_HV_CALL(sv_hv_host_at(hv, 0), start, &id, NULL));
}

static void everything_is_replayed(void)
{
    fresh_dir();
    struct sv_hv *hv = reopen("sim://?stop=1s");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    struct sv_id id = vm_id(1);
    struct sv_hv_info info;
    bool by_agent;

    for (unsigned i = 1; i <= 5; i++)
        start_vm(hv, i);
    OK(SV_HV_CALL(h, set_vcpus, &id, 3, NULL));
    id = vm_id(2);
    OK(SV_HV_CALL(h, suspend, &id, NULL));
    id = vm_id(3);
    OK(SV_HV_CALL(h, destroy, &id, NULL));
    OK(SV_HV_CALL(h, undefine, &id, NULL));
    const struct sv_id gone = disk_id(3);
    OK(SV_HV_CALL(h, volume_delete, &gone, NULL));
    id = vm_id(4);
    OK(SV_HV_CALL(h, shutdown, &id, &by_agent, NULL));
    id = vm_id(5);
    OK(SV_HV_CALL(h, reboot, &id, &by_agent, NULL));
    sv_hv_close(hv);

    hv = reopen("sim://?stop=20ms");
    h = sv_hv_host_at(hv, 0);
    CHECK_INT(state_of(h, 1).power, SV_HV_RUNNING);
    CHECK_INT(state_of(h, 1).vcpus, 3);
    CHECK(state_of(h, 1).agent);
    CHECK_INT(state_of(h, 2).power, SV_HV_PAUSED);
    CHECK_INT(state_of(h, 3).power, SV_HV_ABSENT);
    OK(SV_HV_CALL(h, info, &info, NULL));
    CHECK_INT(info.storage_used, 4 * SV_GIB);
    /* What guests were asked to do while the server died they still do. */
    const struct sv_deadline soon = sv_deadline_within(NULL, SIM_WAIT_S * 1000);
    id = vm_id(4);
    OK(SV_HV_CALL(h, wait_power, &id, SV_HV_OFF, &soon));
    id = vm_id(5);
    OK(SV_HV_CALL(h, wait_reboot, &id, &soon));
    sv_hv_close(hv);
    sim_dir_remove(dir);
}

static void an_empty_password_keeps_the_old_one(void)
{
    fresh_dir();
    struct sv_hv *hv = reopen("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    struct sv_hv_domain dom = vm_def(1);

    SV_COPY(dom.vnc_password, "secret78");
    OK(SV_HV_CALL(h, define, &dom, NULL));
    const off_t before = journal_size();
    dom.vnc_password[0] = '\0';
    OK(SV_HV_CALL(h, define, &dom, NULL)); /* changes nothing: not a byte is written */
    CHECK_INT(journal_size(), before);
    SV_COPY(dom.vnc_password, "other");
    OK(SV_HV_CALL(h, define, &dom, NULL));
    CHECK(journal_size() > before);
    /* The file outlives the process: passwords are not in it. */
    char text[65536];
    const int fd = open(journal, O_RDONLY);
    const ssize_t n = read(fd, text, sizeof(text));
    close(fd);
    CHECK(n > 0 && (size_t)n < sizeof(text));
    CHECK(!memmem(text, (size_t)n, "secret78", 8) && !memmem(text, (size_t)n, "other", 5));
    struct stat st;
    CHECK_INT(stat(journal, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    sv_hv_close(hv);
    sim_dir_remove(dir);
}

static void one_process_at_a_time(void)
{
    fresh_dir();
    struct sv_hv *hv = reopen("sim://"), *second = NULL;
    const struct sv_hv_options opt = {.data_dir = dir};
    struct sv_error err = {0};

    CHECK_INT(sv_hv_open("sim://", &opt, NULL, &second, &err), SV_E_SYSTEM);
    CHECK(!second);
    sv_hv_close(hv);
    hv = reopen("sim://");
    sv_hv_close(hv);
    sim_dir_remove(dir);
}

/* The last record is cut off at every length, and every time the state before it comes back. */
static void a_torn_record_is_cut(void)
{
    fresh_dir();
    struct sv_hv *hv = reopen("sim://");
    start_vm(hv, 1);
    const off_t sound = journal_size();
    const struct sv_hv_domain dom = vm_def(2);
    OK(SV_HV_CALL(sv_hv_host_at(hv, 0), define, &dom, NULL));
    const off_t whole = journal_size();
    sv_hv_close(hv);

    sv_log_level(SV_LOG_ERROR);
    for (off_t size = whole - 1; size >= sound; size -= size - sound > 8 ? 7 : 1) {
        CHECK_INT(truncate(journal, size), 0);
        hv = reopen("sim://");
        CHECK_INT(journal_size(), sound);
        CHECK_INT(tally_of(hv).n, 1);
        CHECK_INT(tally_of(hv).running, 1);
        OK(SV_HV_CALL(sv_hv_host_at(hv, 0), define, &dom, NULL));
        CHECK_INT(journal_size(), whole);
        sv_hv_close(hv);
    }
    CHECK_INT(truncate(journal, 3), 0); /* not even the head was written */
    hv = reopen("sim://");
    CHECK_INT(tally_of(hv).n, 0);
    sv_hv_close(hv);
    sv_log_level(SV_LOG_INFO);
    sim_dir_remove(dir);
}

static bool count_record(void *arg, unsigned type, const struct sim_key *k, const unsigned char *p, size_t n)
{
    (void)type, (void)k, (void)p, (void)n;
    *(unsigned *)arg += 1;
    return true;
}

/* A journal of these bytes: SV_OK and how many records it has, or the refusal. */
static enum sv_err opened(const char *bytes, size_t size, unsigned *ret_records, struct sv_error *err)
{
    struct sim_journal j;
    const int fd = open(journal, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK_INT(write(fd, bytes, size), (ssize_t)size);
    close(fd);
    *ret_records = 0;
    const enum sv_err rc = sim_journal_open(&j, dir, "host1", count_record, ret_records, err);
    sim_journal_close(&j);
    return rc;
}

static size_t read_journal(char *buf, size_t size)
{
    const int fd = open(journal, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    const ssize_t n = read(fd, buf, size);
    CHECK(n > 0 && (size_t)n < size);
    close(fd);
    return (size_t)n;
}

/* Every bit of it, those that say how long a record is as well; and every length. */
static void one_bit_is_refused_by_name(void)
{
    char whole[4096], bytes[4096];
    struct sv_error err;
    unsigned records, all, before = 0;
    fresh_dir();
    struct sv_hv *hv = reopen("sim://");
    start_vm(hv, 1);
    start_vm(hv, 2);
    sv_hv_close(hv);
    const size_t size = read_journal(whole, sizeof(whole));
    sv_log_level(SV_LOG_ERROR);
    CHECK_INT(opened(whole, size, &all, &err), SV_OK);
    CHECK(all > 4);
    for (size_t bit = 0; bit < size * 8; bit++) {
        memcpy(bytes, whole, size);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        if (opened(bytes, size, &records, &err) != SV_E_STORAGE)
            check_failed(__FILE__, __LINE__, "bit %zu of byte %zu: %u of %u records", bit % 8, bit / 8, records, all);
        CHECK(strstr(err.arg[0], "host1.journal is damaged at byte ") && strstr(err.arg[0], "move it away"));
        CHECK_INT(read_journal(bytes, sizeof(bytes)), size); /* left as it is */
    }
    for (size_t cut = 0; cut <= size; cut++, before = records) {
        CHECK_INT(opened(whole, cut, &records, &err), SV_OK);
        CHECK(records == before || records == before + 1);
    }
    CHECK_INT(before, all);
    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes, whole, size);
    CHECK_INT(opened(bytes, sizeof(bytes), &records, &err), SV_E_STORAGE); /* a machine that crashed leaves zeros */
    CHECK_INT(opened("#!/bin/sh\n", 10, &records, &err), SV_E_STORAGE);
    CHECK_INT(opened("#!", 2, &records, &err), SV_E_STORAGE);
    sv_log_level(SV_LOG_INFO);
    sim_dir_remove(dir);
}

/* Records as an earlier program wrote them, without a check of their own. */
static void an_older_journal_is_read(void)
{
    char bytes[4096];
    struct sv_error err;
    unsigned records, all;
    fresh_dir();
    struct sv_hv *hv = reopen("sim://");
    start_vm(hv, 1);
    sv_hv_close(hv);
    const size_t size = read_journal(bytes, sizeof(bytes));
    CHECK_INT(opened(bytes, size, &all, &err), SV_OK);
    for (size_t at = 8; at < size;) {
        uint16_t n;
        uint32_t sum = 2166136261U;
        memcpy(&n, bytes + at + 4, sizeof(n));
        bytes[at + 7] = 0;
        for (size_t i = at + 4; i < at + 24 + n; i++)
            sum = (sum ^ (unsigned char)bytes[i]) * 16777619U;
        memcpy(bytes + at, &sum, sizeof(sum));
        at += 24U + n;
    }
    CHECK_INT(opened(bytes, size, &records, &err), SV_OK);
    CHECK_INT(records, all);
    bytes[60] ^= 1;
    CHECK_INT(opened(bytes, size, &records, &err), SV_E_STORAGE);
    sim_dir_remove(dir);
}

/* The disk is full in the middle of a record: nothing of it stays, and nothing is written behind it. */
static void a_full_disk_tears_nothing(void)
{
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    const struct sv_hv_domain dom = vm_def(2);
    struct rlimit little = all;
    fresh_dir();
    struct sv_hv *hv = reopen("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    start_vm(hv, 1);
    const off_t sound = journal_size();
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t room = 0; room < 60; room += 7) {
        little.rlim_cur = (rlim_t)sound + room;
        CHECK_INT(setrlimit(RLIMIT_FSIZE, &little), 0);
        struct sv_error e, *const err = &e;
        CHECK(SV_HV_CALL(h, define, &dom, NULL) != SV_OK);
        CHECK_INT(journal_size(), sound);
    }
    little.rlim_cur = RLIM_INFINITY;
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &little), 0);
    OK(SV_HV_CALL(h, define, &dom, NULL));
    sv_hv_close(hv);
    hv = reopen("sim://");
    CHECK_INT(tally_of(hv).n, 2);
    sv_hv_close(hv);
    sim_dir_remove(dir);
}

/* The child starts VM after VM and says so; killed at any moment, what it said is true. */
static void child(int out)
{
    struct sv_hv *hv = sim_open_deaf("sim://", dir);

    for (unsigned i = 0;; i++) {
        start_vm(hv, i);
        if (write(out, "+", 1) != 1)
            _exit(1);
    }
}

static unsigned kill_after(unsigned acks)
{
    int fds[2], status;
    unsigned said = 0;
    char c;

    CHECK_INT(pipe(fds), 0);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        child(fds[1]);
    }
    close(fds[1]);
    while (said < acks && read(fds[0], &c, 1) == 1)
        said++;
    CHECK_INT(kill(pid, SIGKILL), 0);
    while (read(fds[0], &c, 1) == 1)
        said++;
    close(fds[0]);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return said;
}

static void a_killed_server_loses_nothing(void)
{
    for (unsigned round = 0; round < 12; round++) {
        fresh_dir();
        const unsigned said = kill_after(1 + round * round * 3);
        struct sv_hv *hv = reopen("sim://");
        const struct tally t = tally_of(hv);
        CHECK(t.running == said || t.running == said + 1);
        CHECK(t.n == t.running || t.n == t.running + 1);
        for (unsigned i = 0; i < said; i++)
            CHECK_INT(state_of(sv_hv_host_at(hv, 0), i).power, SV_HV_RUNNING);
        sv_hv_close(hv);
        sim_dir_remove(dir);
    }
}

static void a_bloated_journal_is_rewritten(void)
{
    fresh_dir();
    struct sv_hv *hv = sim_open_deaf("sim://", dir);
    const struct sv_id id = vm_id(1);

    start_vm(hv, 1);
    for (unsigned i = 0; i < 20000; i++) {
        OK(SV_HV_CALL(sv_hv_host_at(hv, 0), suspend, &id, NULL));
        OK(SV_HV_CALL(sv_hv_host_at(hv, 0), resume, &id, NULL));
    }
    CHECK(journal_size() > 1 << 20);
    sv_hv_close(hv);
    for (int i = 0; i < 2; i++) { /* the second time there is nothing to rewrite */
        hv = reopen("sim://");
        CHECK(journal_size() < 1000);
        CHECK_INT(state_of(sv_hv_host_at(hv, 0), 1).power, SV_HV_RUNNING);
        CHECK_INT(tally_of(hv).n, 1);
        sv_hv_close(hv);
    }
    sim_dir_remove(dir);
}

static void a_long_life_does_not_fill_the_disk(void)
{
    fresh_dir();
    struct sv_hv *hv = sim_open_deaf("sim://", dir);
    const struct sv_id id = vm_id(1);
    off_t largest = 0;

    start_vm(hv, 1);
    for (unsigned i = 0; i < 200000; i++) {
        OK(SV_HV_CALL(sv_hv_host_at(hv, 0), suspend, &id, NULL));
        OK(SV_HV_CALL(sv_hv_host_at(hv, 0), resume, &id, NULL));
        if (i % 1000 == 0 && journal_size() > largest)
            largest = journal_size();
    }
    CHECK(largest > 8 << 20 && largest < 18 << 20);
    CHECK(journal_size() < largest); /* it was rewritten under way, and nothing was lost */
    sv_hv_close(hv);
    hv = reopen("sim://");
    CHECK_INT(state_of(sv_hv_host_at(hv, 0), 1).power, SV_HV_RUNNING);
    sv_hv_close(hv);
    sim_dir_remove(dir);
}

static long resident_kib(void)
{
    char text[128] = "", *second;
    FILE *f = fopen("/proc/self/statm", "re");

    CHECK(f && fgets(text, sizeof(text), f));
    fclose(f);
    CHECK((second = strchr(text, ' ')) != NULL);
    return strtol(second, NULL, 10) * sysconf(_SC_PAGESIZE) / 1024;
}

static void a_hundred_thousand(void)
{
    enum { MANY = 100000 };
    fresh_dir();
    struct sv_hv *hv = sim_open_deaf("sim://", dir);
    for (unsigned i = 0; i < MANY; i++)
        start_vm(hv, i);
    const off_t bytes = journal_size();
    sv_hv_close(hv);

    const long before = resident_kib();
    const int64_t t0 = sv_mono_us();
    hv = sim_open_deaf("sim://", dir);
    const int64_t us = sv_mono_us() - t0;
    CHECK_INT(tally_of(hv).running, MANY);
    printf("100,000 running domains: opened in %lld ms from %lld KiB of journal, resident +%ld KiB\n",
           (long long)us / 1000, (long long)bytes / 1024, resident_kib() - before);
    sv_hv_close(hv);
    sim_dir_remove(dir);
}

CHECK_MAIN(T(everything_is_replayed), T(an_empty_password_keeps_the_old_one), T(one_process_at_a_time),
           T(a_torn_record_is_cut), T(one_bit_is_refused_by_name), T(an_older_journal_is_read),
           T(a_full_disk_tears_nothing), T(a_killed_server_loses_nothing), T(a_bloated_journal_is_rewritten),
           T(a_long_life_does_not_fill_the_disk), T(a_hundred_thousand))
