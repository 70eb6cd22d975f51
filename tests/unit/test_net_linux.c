/* The Linux engine against the real kernel and the real dnsmasq, in namespaces of its own: nothing of the
 * machine is touched, and all of it ends with the process. */
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "net_sandbox.h"
#include "starvirt/net.h"
#include "starvirt/proc.h"
#include "starvirt/text.h"

static const struct sv_net_vpc vpc_a = {
    .id = {"01900000-0000-7000-8000-aaaaaaaaaaaa"}, .base = 0x0A800000, .prefix = 24};
static const struct sv_net_vpc vpc_b = {
    .id = {"01900000-0000-7000-8000-bbbbbbbbbbbb"}, .base = 0x0A800100, .prefix = 24};
static const struct sv_net_nic nic_1 = {.id = {"01900000-0000-7000-8000-000000000001"},
                                        .mac = {0x52, 0x54, 0, 0, 0, 1},
                                        .ip = 0x0A800005,
                                        .hostname = "vm-00000001"};
static const struct sv_net_nic nic_2 = {.id = {"01900000-0000-7000-8000-000000000002"},
                                        .mac = {0x52, 0x54, 0, 0, 0, 2},
                                        .ip = 0x0A800006,
                                        .hostname = "vm-00000002"};
#define BRIDGE_A "svbaaaaaaaaaaaa"
#define NETNS_A  "sv-aaaaaaaaaaaa"
#define BRIDGE_B "svbbbbbbbbbbbbb"

/* --- helpers --- */

static char *file_text(const char *name)
{
    static char text[8192];
    char path[256];
    snprintf(path, sizeof(path), "%s/net/%s", work, name);
    FILE *f = fopen(path, "r");
    if (!f)
        return NULL;
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    return text;
}
#define FILE_A(name) file_text("01900000-0000-7000-8000-aaaaaaaaaaaa/" name)

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static bool cmdline_has(const char *pid, const char *word)
{
    char path[300], text[4096];
    snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    return memmem(text, n, word, strlen(word)) != NULL;
}

/* How many processes of our PID namespace have the word in their arguments; the last one's pid. */
static int processes(const char *word, pid_t *ret_pid)
{
    int n = 0;
    DIR *d = opendir("/proc");
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        int64_t pid;
        if (sv_parse_int(e->d_name, &pid) && pid > 1 && cmdline_has(e->d_name, word)) {
            n++;
            if (ret_pid)
                *ret_pid = (pid_t)pid;
        }
    }
    closedir(d);
    return n;
}

static int dnsmasqs(pid_t *ret_pid)
{
    return processes("--dhcp-leasefile=", ret_pid);
}

static void count_row(void *arg, const struct sv_id *vpc)
{
    (void)vpc;
    ++*(int *)arg;
}

static int listed(void)
{
    int n = 0;
    OK(net->ops->list(net, count_row, &n, &err));
    return n;
}

static enum sv_err apply(const struct sv_net_vpc *vpc, const struct sv_net_nic *nics, size_t n)
{
    const struct sv_deadline limit = sv_deadline_within(NULL, 20000);
    return net->ops->vpc_apply(net, vpc, nics, n, &limit, &err);
}

static bool whole(const struct sv_net_nic *nics, size_t n)
{
    bool ret = false;
    OK(net->ops->vpc_whole(net, &vpc_a, nics, n, &ret, &err));
    return ret;
}

static void remove_all(void)
{
    OK(net->ops->vpc_remove(net, &vpc_a.id, NULL, &err));
    OK(net->ops->vpc_remove(net, &vpc_b.id, NULL, &err));
}

static struct stat stat_of(const char *name)
{
    struct stat st = {0};
    char path[256];
    snprintf(path, sizeof(path), "%s/net/%s/%s", work, vpc_a.id.s, name);
    CHECK_INT(stat(path, &st), 0);
    return st;
}

/* --- tests --- */

static void applying_twice_changes_nothing(void)
{
    pid_t first = 0, second = 0;
    int64_t t0 = sv_mono_us();
    OK(apply(&vpc_a, &nic_1, 1));
    int64_t t1 = sv_mono_us();
    CHECK_INT(dnsmasqs(&first), 1);
    CHECK_STR(FILE_A("hosts"), "52:54:00:00:00:01,10.128.0.5,vm-00000001\n");
    unsigned bridge = if_nametoindex(BRIDGE_A);
    CHECK(bridge != 0);
    struct stat before = stat_of("hosts");
    int64_t t2 = sv_mono_us();
    OK(apply(&vpc_a, &nic_1, 1));
    int64_t t3 = sv_mono_us();
    fprintf(stderr, "  first apply %lld us, second %lld us\n", (long long)(t1 - t0), (long long)(t3 - t2));
    struct stat after = stat_of("hosts");
    CHECK_INT(dnsmasqs(&second), 1);
    CHECK_INT(first, second);
    CHECK_INT(before.st_ino, after.st_ino);
    CHECK_INT(if_nametoindex(BRIDGE_A), bridge);
    CHECK_INT(listed(), 1);
    remove_all();
}

static void dnsmasq_outlives_the_server(void)
{
    pid_t first = 0, second = 0;
    const struct sv_net_options opt = {.data_dir = work};
    OK(apply(&vpc_a, &nic_1, 1));
    CHECK_INT(dnsmasqs(&first), 1);
    CHECK_INT(getsid(first) == getsid(0), 0);
    sv_net_close(net);
    OK(sv_net_open("linux", &opt, &net, &err));
    CHECK_INT(listed(), 1);
    OK(apply(&vpc_a, &nic_1, 1));
    CHECK_INT(dnsmasqs(&second), 1);
    CHECK_INT(first, second);
    remove_all();
}

static void remove_leaves_nothing(void)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf links = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf spaces = {0};
    OK(apply(&vpc_a, &nic_1, 1));
    OK(apply(&vpc_b, NULL, 0));
    CHECK_INT(dnsmasqs(NULL), 2);
    CHECK_INT(listed(), 2);
    remove_all();
    remove_all(); /* absent: success */
    CHECK_INT(dnsmasqs(NULL), 0);
    CHECK_INT(listed(), 0);
    CHECK_INT(run_argv((const char *const[]){"ip", "-o", "link", NULL}, &links), 0);
    CHECK(strstr(links.p, " lo:"));
    CHECK(!strstr(links.p, "svb") && !strstr(links.p, "svl"));
    CHECK_INT(run_argv((const char *const[]){"ip", "netns", NULL}, &spaces), 0);
    CHECK(spaces.n == 0 || !strstr(spaces.p, "sv-"));
    char path[300];
    snprintf(path, sizeof(path), "%s/net/%s", work, vpc_a.id.s);
    CHECK(!exists(path));
}

static void a_guest_gets_exactly_its_address(void)
{
    OK(apply(&vpc_a, &nic_1, 1));
    guest_plug("g1", "tapg1", BRIDGE_A, "52:54:00:00:00:01");
    CHECK_STR(guest_dhcp("g1"), "10.128.0.5 24 10.128.0.1 vm-00000001");
    CHECK(ping("g1", "10.128.0.1"));
    guest_plug("g3", "tapg3", BRIDGE_A, "52:54:00:00:00:03");
    CHECK(guest_dhcp("g3") == NULL);
    guest_unplug("g3");
    guest_unplug("g1");
    remove_all();
}

static void an_added_nic_is_served_at_once(void)
{
    const struct sv_net_nic both[] = {nic_2, nic_1};
    pid_t first = 0, second = 0;
    OK(apply(&vpc_a, &nic_1, 1));
    CHECK_INT(dnsmasqs(&first), 1);
    OK(apply(&vpc_a, both, 2));
    CHECK_INT(dnsmasqs(&second), 1);
    CHECK_INT(first, second); /* the others' leases were not touched */
    CHECK_STR(FILE_A("hosts"), "52:54:00:00:00:01,10.128.0.5,vm-00000001\n52:54:00:00:00:02,10.128.0.6,vm-00000002\n");
    guest_plug("g2", "tapg2", BRIDGE_A, "52:54:00:00:00:02");
    CHECK_STR(guest_dhcp("g2"), "10.128.0.6 24 10.128.0.1 vm-00000002");
    guest_unplug("g2");
    remove_all();
}

static void no_lease_outlives_its_nic(void)
{
    const struct sv_net_nic both[] = {nic_1, nic_2};
    struct sv_net_nic heir = nic_2; /* another NIC gets the address of the first */
    heir.ip = nic_1.ip;
    OK(apply(&vpc_a, both, 2));
    guest_plug("g1", "tapg1", BRIDGE_A, "52:54:00:00:00:01");
    CHECK(guest_dhcp("g1"));
    CHECK(strstr(FILE_A("leases"), "52:54:00:00:00:01 10.128.0.5 "));
    OK(apply(&vpc_a, &nic_2, 1));
    CHECK(!strstr(FILE_A("hosts"), "52:54:00:00:00:01"));
    CHECK(!strstr(FILE_A("leases"), "52:54:00:00:00:01"));
    CHECK(guest_dhcp("g1") == NULL);
    guest_plug("g2", "tapg2", BRIDGE_A, "52:54:00:00:00:02");
    CHECK_STR(guest_dhcp("g2"), "10.128.0.6 24 10.128.0.1 vm-00000002");
    OK(apply(&vpc_a, &heir, 1));
    CHECK(!strstr(FILE_A("leases"), "10.128.0.6"));
    CHECK_STR(guest_dhcp("g2"), "10.128.0.5 24 10.128.0.1 vm-00000002");
    /* The lease of a NIC that stays is kept over the restart. */
    const struct sv_net_nic heir_and_other[] = {heir,
                                                {.mac = {2, 0, 0, 0, 0, 9}, .ip = 0x0A800009, .hostname = "vm-9"}};
    OK(apply(&vpc_a, heir_and_other, 2));
    OK(apply(&vpc_a, &heir, 1));
    CHECK(strstr(FILE_A("leases"), "52:54:00:00:00:02 10.128.0.5 "));
    guest_unplug("g1");
    guest_unplug("g2");
    remove_all();
}

static void drift_is_mended(void)
{
    pid_t pid = 0, other = 0;
    OK(apply(&vpc_a, &nic_1, 1));
    guest_plug("g1", "tapg1", BRIDGE_A, "52:54:00:00:00:01");

    CHECK_INT(dnsmasqs(&pid), 1);
    CHECK_INT(kill(pid, SIGKILL), 0);
    waitpid(pid, NULL, 0);
    OK(apply(&vpc_a, &nic_1, 1));
    CHECK_INT(dnsmasqs(&other), 1);
    CHECK(guest_dhcp("g1"));

    CHECK_INT(RUN("ip", "link", "set", "svlaaaaaaaaaaaa", "nomaster"), 0);
    CHECK(guest_dhcp("g1") == NULL);
    OK(apply(&vpc_a, &nic_1, 1));
    CHECK(guest_dhcp("g1"));

    CHECK_INT(RUN("ip", "-n", NETNS_A, "addr", "flush", "dev", "gw0"), 0);
    OK(apply(&vpc_a, &nic_1, 1));
    CHECK(ping("g1", "10.128.0.1"));

    CHECK_INT(RUN("ip", "link", "del", BRIDGE_A), 0);
    OK(apply(&vpc_a, &nic_1, 1));
    CHECK_INT(RUN("ip", "link", "set", "tapg1", "master", BRIDGE_A), 0);
    CHECK(guest_dhcp("g1"));

    CHECK_INT(RUN("ip", "netns", "del", NETNS_A), 0); /* dnsmasq lives on in a namespace without a name */
    OK(apply(&vpc_a, &nic_1, 1));
    CHECK_INT(dnsmasqs(NULL), 1);
    CHECK(guest_dhcp("g1"));

    char path[300];
    snprintf(path, sizeof(path), "%s/net/%s/dnsmasq.pid", work, vpc_a.id.s);
    CHECK_INT(unlink(path), 0); /* still found, not started twice */
    OK(apply(&vpc_a, &nic_1, 1));
    CHECK_INT(dnsmasqs(NULL), 1);
    guest_unplug("g1");
    remove_all();
    CHECK_INT(dnsmasqs(NULL), 0);
}

/* What somebody does to a VPC whose guest's tap is svt000000000001: seen, and mended by the next call. */
static void drift_is_seen(void)
{
    static const char *const harm[][12] = {
        {"ip", "link", "set", BRIDGE_A, "down"},
        {"ip", "link", "set", BRIDGE_A, "type", "bridge", "nf_call_iptables", "0"},
        {"ip", "link", "set", "svlaaaaaaaaaaaa", "nomaster"},
        {"ip", "link", "set", "svlaaaaaaaaaaaa", "down"},
        {"ip", "-n", NETNS_A, "link", "set", "gw0", "down"},
        {"ip", "-n", NETNS_A, "addr", "flush", "dev", "gw0"},
        {"ip", "link", "set", "svt000000000001", "nomaster"},
        {"ip", "link", "set", "svt000000000001", "master", "other"},
        {"ip", "link", "set", "svt000000000001", "down"},
        {"ip", "link", "del", BRIDGE_A},
        {"ip", "netns", "del", NETNS_A},
    };
    pid_t pid = 0;
    OK(apply(&vpc_a, &nic_1, 1));
    CHECK_INT(RUN("ip", "link", "add", "other", "type", "bridge"), 0);
    CHECK_INT(RUN("ip", "tuntap", "add", "dev", "svt000000000001", "mode", "tap"), 0);
    CHECK(!whole(&nic_1, 1));
    OK(apply(&vpc_a, &nic_1, 1));
    CHECK(whole(&nic_1, 1));
    CHECK(!whole(&nic_1, 0)); /* another wish */
    for (size_t i = 0; i < sizeof(harm) / sizeof(harm[0]); i++) {
        CHECK_INT(run_argv(harm[i], NULL), 0);
        fprintf(stderr, "  %s %s %s %s\n", harm[i][1], harm[i][2], harm[i][3], harm[i][4] ? harm[i][4] : "");
        CHECK(!whole(&nic_1, 1));
        OK(apply(&vpc_a, &nic_1, 1));
        CHECK(whole(&nic_1, 1));
    }
    CHECK_INT(dnsmasqs(&pid), 1);
    CHECK_INT(kill(pid, SIGKILL), 0);
    waitpid(pid, NULL, 0);
    CHECK(!whole(&nic_1, 1));
    OK(apply(&vpc_a, &nic_1, 1));
    CHECK(whole(&nic_1, 1));
    CHECK_INT(RUN("ip", "link", "del", "svt000000000001"), 0);
    CHECK(whole(&nic_1, 1)); /* its guest has stopped */
    CHECK_INT(RUN("ip", "link", "del", "other"), 0);
    remove_all();
    CHECK(!whole(NULL, 0));
}

/* A pid file that names somebody else's process must not end that one. */
static void a_foreign_process_is_left_alone(void)
{
    char path[300];
    pid_t pid = 0;
    OK(apply(&vpc_a, NULL, 0));
    CHECK_INT(dnsmasqs(&pid), 1);
    pid_t stranger = fork();
    if (stranger == 0) {
        execlp("sleep", "sleep", "60", (char *)NULL);
        _exit(127);
    }
    snprintf(path, sizeof(path), "%s/net/%s/dnsmasq.pid", work, vpc_a.id.s);
    FILE *f = fopen(path, "w");
    CHECK(f);
    fprintf(f, "%d\n", (int)stranger);
    fclose(f);
    remove_all();
    CHECK_INT(waitpid(stranger, NULL, WNOHANG), 0);
    CHECK_INT(dnsmasqs(NULL), 0);
    kill(stranger, SIGKILL);
    waitpid(stranger, NULL, 0);
}

static void a_foreign_bridge_is_left_alone(void)
{
    CHECK_INT(RUN("ip", "link", "add", BRIDGE_A, "type", "bridge"), 0);
    CHECK_INT(RUN("ip", "link", "set", BRIDGE_A, "alias", "somebody"), 0);
    CHECK_INT(apply(&vpc_a, NULL, 0), SV_E_NETWORK);
    CHECK(strstr(err.arg[0], "belongs to something else"));
    CHECK_INT(net->ops->vpc_remove(net, &vpc_a.id, NULL, &err), SV_E_NETWORK);
    CHECK(if_nametoindex(BRIDGE_A) != 0);
    CHECK_INT(RUN("ip", "link", "del", BRIDGE_A), 0);
    remove_all();
}

static void two_vpcs_do_not_reach_each_other(void)
{
    OK(apply(&vpc_a, &nic_1, 1));
    OK(apply(&vpc_b, NULL, 0));
    guest_plug("g1", "tapg1", BRIDGE_A, "52:54:00:00:00:01");
    guest_plug("g2", "tapg2", BRIDGE_B, "52:54:00:00:00:02");
    CHECK(guest_dhcp("g1"));
    CHECK_INT(RUN("ip", "-n", "g2", "addr", "add", "10.128.1.5/24", "dev", "eth0"), 0);
    CHECK_INT(RUN("ip", "-n", "g2", "route", "add", "default", "via", "10.128.1.1"), 0);
    CHECK(ping("g1", "10.128.0.1"));
    CHECK(ping("g2", "10.128.1.1"));
    CHECK(!ping("g1", "10.128.1.5"));
    CHECK(!ping("g1", "10.128.1.1"));
    CHECK(!ping("g2", "10.128.0.5"));
    /* Also not by pretending to be on the other's subnet. */
    CHECK_INT(RUN("ip", "-n", "g2", "addr", "add", "10.128.0.77/24", "dev", "eth0"), 0);
    CHECK(!ping("g2", "10.128.0.5"));
    guest_unplug("g1");
    guest_unplug("g2");
    remove_all();
}

/* The machine has no address in a VPC and does not answer there for those it has elsewhere. */
static void the_host_is_silent(void)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    OK(apply(&vpc_a, &nic_1, 1));
    CHECK_INT(RUN("ip", "addr", "add", "192.0.2.1/32", "dev", "lo"), 0);
    guest_plug("g1", "tapg1", BRIDGE_A, "52:54:00:00:00:01");
    CHECK(guest_dhcp("g1"));
    CHECK_INT(RUN("ip", "-n", "g1", "route", "add", "192.0.2.1", "dev", "eth0"), 0);
    CHECK(RUN("ip", "netns", "exec", "g1", "busybox", "arping", "-c", "2", "-w", "2", "-I", "eth0", "192.0.2.1") != 0);
    CHECK_INT(run_argv((const char *const[]){"ip", "-o", "addr", "show", "dev", BRIDGE_A, NULL}, &out), 0);
    CHECK_INT(out.n, 0);
    CHECK_INT(RUN("ip", "addr", "del", "192.0.2.1/32", "dev", "lo"), 0);
    guest_unplug("g1");
    remove_all();
}

static void *apply_and_remove(void *arg)
{
    const struct sv_net_vpc *vpc = arg;
    struct sv_error e = {0};
    bool ok = true;
    for (int i = 0; ok && i < 2; i++)
        ok = net->ops->vpc_apply(net, vpc, NULL, 0, NULL, &e) == SV_OK;
    ok = ok && net->ops->vpc_remove(net, &vpc->id, NULL, &e) == SV_OK;
    return ok ? NULL : sv_strdup(e.arg[0]);
}

static void many_vpcs_at_a_time(void)
{
    enum { MANY = 12 };
    pthread_t threads[MANY];
    struct sv_net_vpc vpcs[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        vpcs[i] = (struct sv_net_vpc){.id = sv_id_new(), .base = 0x0A810000 + (i << 8), .prefix = 24};
        CHECK_INT(pthread_create(&threads[i], NULL, apply_and_remove, &vpcs[i]), 0);
    }
    for (unsigned i = 0; i < MANY; i++) {
        void *why = NULL;
        pthread_join(threads[i], &why);
        CHECK_STR((const char *)why, NULL);
    }
    CHECK_INT(dnsmasqs(NULL), 0);
    CHECK_INT(listed(), 0);
}

static void a_bad_host_name_is_refused(void)
{
    struct sv_net_nic bad = nic_1;
    SV_COPY(bad.hostname, "a\ndhcp-script=/bin/sh");
    CHECK_INT(apply(&vpc_a, &bad, 1), SV_E_INTERNAL);
    CHECK_INT(dnsmasqs(NULL), 0);
    remove_all();
}

static void names_and_plugs(void)
{
    char host[64];
    struct sv_hv_nic plug = {0};
    struct sv_net *none = NULL;
    const struct sv_net_options opt = {.data_dir = work};
    net->ops->attach(net, &vpc_a.id, &nic_1.id, &plug);
    CHECK_INT(plug.kind, SV_HV_NIC_BRIDGE);
    CHECK_STR(plug.bridge, BRIDGE_A);
    CHECK_STR(plug.tap, "svt000000000001");
    sv_net_hostname(&nic_1.id, host);
    CHECK_STR(host, "vm-00000001");
    OK(sv_net_open("none", &opt, &none, &err));
    none->ops->attach(none, &vpc_a.id, &nic_1.id, &plug);
    CHECK_INT(plug.kind, SV_HV_NIC_ISOLATED);
    CHECK_STR(plug.tap, "");
    sv_net_close(none);
    CHECK_INT(sv_net_open("ovn", &opt, &none, &err), SV_E_CONFIG); /* of what database? */
    CHECK_INT(sv_net_open("x", &opt, &none, &err), SV_E_CONFIG);
}

static void without_rights_it_says_so(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct sv_net *mine = NULL;
        const struct sv_net_options opt = {.data_dir = work};
        CHECK_INT(setresuid(65534, 65534, 65534), 0);
        CHECK_INT(sv_net_open("linux", &opt, &mine, &err), SV_E_CONFIG);
        CHECK(strstr(err.arg[0], "CAP_NET_ADMIN"));
        _exit(0);
    }
    int status = -1;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {T(names_and_plugs),
                                              T(without_rights_it_says_so),
                                              T(applying_twice_changes_nothing),
                                              T(dnsmasq_outlives_the_server),
                                              T(remove_leaves_nothing),
                                              T(a_guest_gets_exactly_its_address),
                                              T(an_added_nic_is_served_at_once),
                                              T(no_lease_outlives_its_nic),
                                              T(drift_is_mended),
                                              T(drift_is_seen),
                                              T(a_foreign_process_is_left_alone),
                                              T(a_foreign_bridge_is_left_alone),
                                              T(two_vpcs_do_not_reach_each_other),
                                              T(the_host_is_silent),
                                              T(many_vpcs_at_a_time),
                                              T(a_bad_host_name_is_refused)};
    return net_sandbox(tests, sizeof(tests) / sizeof(tests[0]), NULL, argc, argv);
}
