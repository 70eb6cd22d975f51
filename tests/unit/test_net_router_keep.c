/* Routers are kept as they should be: in any order, twice, after harm, after a kill, and gone when they are gone. */
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net_routed.h"

static void either_may_come_first(void)
{
    apply(&plain);
    apply_vpc(0, true);
    apply_vpc(1, true);
    guests_up();
    CHECK(reachable());
    down();
}

static void *apply_router_there(void *arg)
{
    struct sv_error e = {0};
    return net->ops->router_apply(net, arg, NULL, &e) == SV_OK ? NULL : sv_strdup(e.arg[0]);
}

static void *apply_vpc_there(void *arg)
{
    struct sv_error e = {0};
    return net->ops->vpc_apply(net, arg, NULL, 0, NULL, &e) == SV_OK ? NULL : sv_strdup(e.arg[0]);
}

static void both_at_once(void)
{
    for (unsigned round = 0; round < 3; round++) {
        pthread_t threads[3];
        struct sv_net_vpc v[] = {vpc(0, true), vpc(1, true)};
        struct sv_net_router want = plain;
        CHECK_INT(pthread_create(&threads[0], NULL, apply_vpc_there, &v[0]), 0);
        CHECK_INT(pthread_create(&threads[1], NULL, apply_router_there, &want), 0);
        CHECK_INT(pthread_create(&threads[2], NULL, apply_vpc_there, &v[1]), 0);
        for (unsigned i = 0; i < 3; i++) {
            void *why = NULL;
            pthread_join(threads[i], &why);
            CHECK_STR((const char *)why, NULL);
        }
        guests_up();
        CHECK(reachable());
        down();
    }
}

/* --- tests: keeping it so --- */

static struct stat stat_of(const char *name)
{
    struct stat st = {0};
    char path[300];
    snprintf(path, sizeof(path), "%s/net-router/%s/%s", work, router_id.s, name);
    CHECK_INT(stat(path, &st), 0);
    return st;
}

static void applying_twice_changes_nothing(void)
{
    struct flow f;
    up(&plain);
    CHECK(flow_tcp("a1", CLIENT, 80, web_client, TRAFFIC_YES_MS, &f));
    unsigned transit = if_nametoindex("svxeeeeeeeeeeee");
    const struct stat before = stat_of("found");
    int64_t t0 = sv_mono_us();
    apply(&plain);
    int64_t t1 = sv_mono_us();
    apply_vpc(0, true);
    int64_t t2 = sv_mono_us();
    fprintf(stderr, "  router again %lld us, VPC again %lld us\n", (long long)(t1 - t0), (long long)(t2 - t1));
    const struct stat after = stat_of("found");
    CHECK_INT(before.st_ino, after.st_ino);
    CHECK_INT(if_nametoindex("svxeeeeeeeeeeee"), transit);
    CHECK(flow_lives(&f, TRAFFIC_YES_MS));
    flow_close(&f);
    down();
}

static void addresses_come_and_go(void)
{
    static const uint32_t one[] = {IP(192, 0, 2, 5)};
    static const uint32_t moved[] = {IP(192, 0, 2, 6), IP(192, 0, 2, 10)};
    struct sv_net_router want = plain;
    up(&want);
    CHECK_INT(RUN("ip", "netns", "exec", "c1", "busybox", "arping", "-c", "1", "-w", "2", "-I", "eth0", MAPPED), 0);
    want.outer_ips = one;
    want.outer_ip_count = 1;
    apply(&want);
    CHECK(RUN("ip", "netns", "exec", "c1", "busybox", "arping", "-c", "1", "-w", "1", "-I", "eth0", MAPPED) != 0);
    CHECK(reachable());
    want.outer_ip = moved[0];
    want.outer_ips = moved;
    want.outer_ip_count = 2;
    want.leg_count = 1;
    apply(&want);
    CHECK(whole());
    CHECK_INT(tcp_seen("a1", FAR, 80, web_far), IP(192, 0, 2, 6));
    CHECK(no_tcp("b1", FAR, 80, web_far));
    want.outer_ip = 0;
    want.outer_ip_count = 0;
    want.leg_count = 2;
    apply(&want);
    CHECK(whole());
    CHECK_INT(if_nametoindex("svoeeeeeeeeeeee"), 0);
    CHECK(no_tcp("a1", CLIENT, 80, web_client));
    CHECK(tcp("a1", "10.128.1.5", 80, web_b1));
    apply(&plain);
    CHECK(whole());
    CHECK(reachable());
    down();
}

static bool vpc_whole(void)
{
    const struct sv_net_vpc v = vpc(0, true);
    bool ret = false;
    OK(net->ops->vpc_whole(net, &v, NULL, 0, &ret, &err));
    return ret;
}

static bool router_whole(void)
{
    bool ret = false;
    OK(net->ops->router_whole(net, &plain, &ret, &err));
    return ret;
}

static void drift_is_mended(void)
{
    static const char *const harm[][12] = {
        {"ip", "netns", "exec", ROUTER_NETNS, "nft", "flush", "ruleset"},
        {"ip", "netns", "exec", ROUTER_NETNS, "nft", "add", "rule", "ip", "router", "own", "accept"},
        {"ip", "netns", "exec", ROUTER_NETNS, "busybox", "sysctl", "-q", "-w", "net.ipv4.ip_forward=0"},
        {"ip", "-n", ROUTER_NETNS, "addr", "flush", "dev", "out0"},
        {"ip", "-n", ROUTER_NETNS, "link", "set", "tr0", "down"},
        {"ip", "-n", ROUTER_NETNS, "route", "del", "10.128.1.0/24"},
        {"ip", "-n", ROUTER_NETNS, "route", "add", "10.99.0.0/24", "via", "192.0.2.101"},
        {"ip", "link", "set", "svoeeeeeeeeeeee", "nomaster"},
        {"ip", "link", "del", "svzeeeeeeeeeeee"},
        {"ip", "link", "del", "svxeeeeeeeeeeee"},
        {"ip", "netns", "del", ROUTER_NETNS},
    };
    up(&plain);
    for (size_t i = 0; i < sizeof(harm) / sizeof(harm[0]); i++) {
        CHECK_INT(run_argv(harm[i], NULL), 0);
        CHECK(!whole() && !router_whole());
        int64_t t0 = sv_mono_us();
        apply(&plain);
        fprintf(stderr, "  %s %s %s %s %s %s: %lld us\n", harm[i][0], harm[i][1], harm[i][2], harm[i][3],
                harm[i][4] ? harm[i][4] : "", harm[i][5] ? harm[i][5] : "", (long long)(sv_mono_us() - t0));
        CHECK(whole() && router_whole());
        CHECK(reachable());
    }
    /* Of a VPC's way to it. */
    static const char *const uplink_harm[][12] = {
        {"ip", "-n", "sv-aaaaaaaaaaaa", "route", "del", "default"},
        {"ip", "-n", "sv-aaaaaaaaaaaa", "addr", "flush", "dev", "up0"},
        {"ip", "netns", "exec", "sv-aaaaaaaaaaaa", "nft", "flush", "ruleset"},
        {"ip", "netns", "exec", "sv-aaaaaaaaaaaa", "nft", "insert", "rule", "ip", "gateway", "forwarded", "accept"},
        {"ip", "netns", "exec", "sv-aaaaaaaaaaaa", "nft", "flush", "chain", "ip", "gateway", "own"},
        {"ip", "netns", "exec", "sv-aaaaaaaaaaaa", "busybox", "sysctl", "-q", "-w", "net.ipv4.ip_forward=0"},
        {"ip", "link", "set", "svyaaaaaaaaaaaa", "nomaster"},
        {"ip", "link", "del", "svyaaaaaaaaaaaa"},
        {"ip", "netns", "del", "sv-aaaaaaaaaaaa"},
    };
    for (size_t i = 0; i < sizeof(uplink_harm) / sizeof(uplink_harm[0]); i++) {
        fprintf(stderr, "  %s %s\n", uplink_harm[i][3], uplink_harm[i][4] ? uplink_harm[i][4] : "");
        CHECK(vpc_whole());
        CHECK_INT(run_argv(uplink_harm[i], NULL), 0);
        CHECK(!vpc_whole());
        apply_vpc(0, true);
        CHECK(vpc_whole());
        CHECK(reachable());
        CHECK(!ping("a1", "169.254.241.0"));
    }
    down();
}

static void remove_leaves_nothing(void)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf links = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf spaces = {0};
    up(&plain);
    CHECK_INT(listed(), 1);
    down();
    remove_engine_side(); /* absent: success */
    CHECK_INT(listed(), 0);
    CHECK(!whole());
    CHECK_INT(rules_in_force(), 0);
    CHECK_INT(run_argv((const char *const[]){"ip", "-o", "link", NULL}, &links), 0);
    CHECK(!strstr(links.p, "sv"));
    CHECK_INT(run_argv((const char *const[]){"ip", "netns", NULL}, &spaces), 0);
    CHECK(!strstr(spaces.p, "sv"));
    char path[300];
    snprintf(path, sizeof(path), "%s/net-router/%s", work, router_id.s);
    CHECK(access(path, F_OK) != 0);
}

/* A call that is killed at any moment: its process, which has its own engine, ends; the next call makes it whole, or
 * takes all of it away. */
static void killed_after(int64_t us, void (*call)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        call();
        _exit(0);
    }
    int64_t end = sv_mono_us() + us;
    int status = 0;
    while (sv_mono_us() < end && waitpid(pid, &status, WNOHANG) == 0)
        sched_yield();
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) > 0) {
    }
}

static void apply_all(void)
{
    apply_vpc(0, true);
    apply(&plain);
    apply_vpc(1, true);
}

static void a_killed_call_is_finished_by_the_next(void)
{
    int64_t t0 = sv_mono_us();
    apply_all();
    const int64_t step = (sv_mono_us() - t0) / 12 + 1;
    remove_engine_side();
    for (int i = 0; i < 14; i++) {
        killed_after(step * i, apply_all);
        apply_all();
        CHECK(whole());
        guests_up();
        CHECK(reachable());
        guests_down();
        killed_after(step * i / 2, remove_engine_side);
        remove_engine_side();
        CHECK_INT(listed(), 0);
        CHECK_INT(if_nametoindex("svxeeeeeeeeeeee"), 0);
        CHECK(access("/run/netns/" ROUTER_NETNS, F_OK) != 0);
    }
}

static void what_cannot_be(void)
{
    struct sv_net *other = NULL;
    struct sv_net_options opt = {.data_dir = work, .outer = "nobridge"};
    CHECK_INT(sv_net_open("linux", &opt, &other, &err), SV_E_CONFIG);
    CHECK(strstr(err.arg[0], "--net.outer: there is no bridge nobridge"));
    opt.outer = "lo";
    CHECK_INT(sv_net_open("linux", &opt, &other, &err), SV_E_CONFIG);
    CHECK(strstr(err.arg[0], "lo is no bridge"));
    CHECK_INT(listed(), 0);
    CHECK_INT(RUN("ip", "link", "add", "svxeeeeeeeeeeee", "type", "bridge"), 0);
    CHECK_INT(RUN("ip", "link", "set", "svxeeeeeeeeeeee", "alias", "somebody"), 0);
    CHECK_INT(net->ops->router_apply(net, &plain, NULL, &err), SV_E_NETWORK);
    CHECK(strstr(err.arg[0], "belongs to something else"));
    CHECK_INT(RUN("ip", "link", "del", "svxeeeeeeeeeeee"), 0);
    OK(net->ops->router_remove(net, &router_id, NULL, &err));
}

/* An engine without an outer network: what needs one is left out, the rest is as ever. */
static void without_an_outer_network(void)
{
    struct sv_net *with = net;
    const struct sv_net_options opt = {.data_dir = work};
    const struct sv_net_nat nat = {
        .id = {"01900000-0000-7000-8000-000000000a01"}, .outer_ip = IP(192, 0, 2, 10), .inner_ip = IP(10, 128, 0, 5)};
    struct sv_net_router want = plain;
    want.nats = &nat;
    want.nat_count = 1;
    OK(sv_net_open("linux", &opt, &net, &err));
    up(&want);
    CHECK(whole());
    CHECK(tcp("a1", "10.128.1.5", 80, web_b1));
    CHECK(no_tcp("a1", CLIENT, 80, web_client));
    CHECK_INT(if_nametoindex("svoeeeeeeeeeeee"), 0);
    down();
    sv_net_close(net);
    net = with;
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {T(either_may_come_first),   T(both_at_once),
                                              T(what_cannot_be),          T(applying_twice_changes_nothing),
                                              T(addresses_come_and_go),   T(drift_is_mended),
                                              T(remove_leaves_nothing),   T(a_killed_call_is_finished_by_the_next),
                                              T(without_an_outer_network)};
    return net_sandbox(tests, sizeof(tests) / sizeof(tests[0]), make_outer_network, argc, argv);
}
