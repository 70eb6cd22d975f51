/* The OVN engine on two hosts, each with its own Open vSwitch and ovn-controller in a namespace, tunnels between them:
 * who reaches whom across, and what is told and in force while one of OVN's daemons is gone. */
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "net_ovn.h"
#include "starvirt/clock.h"
#include "starvirt/text.h"

enum { SKIPPED = 77 };

static const struct ovn_host host_2 = {.netns = "host2", .database = "unix:/run/host2/db.sock"};

static const struct sv_id router_id = ID("0000000000d1");
static const struct sv_net_vpc vpc_a = {
    .id = ID("aaaaaaaaaaaa"), .base = IP(10, 128, 0, 0), .prefix = 24, .uplink = {.router = ID("0000000000d1")}};
static const struct sv_net_vpc vpc_b = {
    .id = ID("bbbbbbbbbbbb"), .base = IP(10, 128, 1, 0), .prefix = 24, .uplink = {.router = ID("0000000000d1")}};
/* a1, a2; b1: the second and the third are on the other host. */
static const struct sv_net_nic nics_a[] = {
    {.id = ID("000000000001"), .mac = {0x52, 0x54, 0, 0, 0, 1}, .ip = IP(10, 128, 0, 5), .hostname = "vm-00000001"},
    {.id = ID("000000000002"), .mac = {0x52, 0x54, 0, 0, 0, 2}, .ip = IP(10, 128, 0, 6), .hostname = "vm-00000002"},
};
static const struct sv_net_nic nic_b = {
    .id = ID("000000000003"), .mac = {0x52, 0x54, 0, 0, 0, 3}, .ip = IP(10, 128, 1, 5), .hostname = "vm-00000003"};

static const struct sv_net_options options = {.data_dir = work,
                                              .outer = "phys",
                                              .ovn_nb = "unix:/run/ovn/ovnnb_db.sock",
                                              .ovn_sb = "unix:/run/ovn/ovnsb_db.sock",
                                              .ovn_gateways = "host1",
                                              .ovn_mtu = 1442,
                                              .ovn_netdev = true};

#define ON_HOST_2 "env", "OVS_RUNDIR=/run/host2", "ip", "netns", "exec", "host2"

static void prepare(void)
{
    CHECK_INT(RUN(OVN_SANDBOX, "central"), 0);
    CHECK_INT(RUN(OVN_SANDBOX, "host", "host1", "10.84.0.1"), 0);
    CHECK_INT(RUN("ip", "netns", "add", "host2"), 0);
    CHECK_INT(RUN("ip", "-n", "host2", "link", "set", "lo", "up"), 0);
    CHECK_INT(RUN("ip", "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", "host2"), 0);
    CHECK_INT(RUN(ON_HOST_2, OVN_SANDBOX, "host", "host2", "10.84.0.2"), 0);
    CHECK_INT(RUN(OVN_SANDBOX, "wire", "wire", "10.84.0.1/24"), 0);
    CHECK_INT(RUN(ON_HOST_2, OVN_SANDBOX, "wire", "wire", "10.84.0.2/24"), 0);
    ovn_plug_outside(&ovn_host_1);
    net_engine = "ovn";
    net_options = &options;
}

static struct answerer answerers[] = {
    {"a1", SOCK_STREAM, 80, -1}, {"a2", SOCK_STREAM, 80, -1},  {"a2", SOCK_STREAM, 81, -1},
    {"b1", SOCK_STREAM, 80, -1}, {"out", SOCK_STREAM, 80, -1},
};

/* --- over tunnels --- */

static void apply_all(void)
{
    OK(net->ops->vpc_apply(net, &vpc_a, nics_a, 2, NULL, &err));
    OK(net->ops->vpc_apply(net, &vpc_b, &nic_b, 1, NULL, &err));
}

static void reaches_the_other_host(void)
{
    apply_all();
    ovn_plug_nic(&ovn_host_1, "a1", &nics_a[0]);
    ovn_plug_nic(&host_2, "a2", &nics_a[1]);
    ovn_plug_nic(&host_2, "b1", &nic_b);
    CHECK_STR(guest_dhcp("a1"), "10.128.0.5 24 10.128.0.1 vm-00000001");
    CHECK_STR(guest_dhcp("a2"), "10.128.0.6 24 10.128.0.1 vm-00000002");
    CHECK_STR(guest_dhcp("b1"), "10.128.1.5 24 10.128.1.1 vm-00000003");
    ovn_listen(answerers, sizeof(answerers) / sizeof(answerers[0]));
    PINGS("a1", "10.128.0.6");
    COMES("a1", "10.128.0.6", 80, "a2:80", "10.128.0.5");
    COMES("a2", "10.128.0.5", 80, "a1:80", "10.128.0.6");
    LOST("a1", "10.128.1.5", 80, "b1:80"); /* there is no router yet */
}

/* The host that has the outer network routes for the other one's guests. */
static void routes_for_the_other_host(void)
{
    static const struct sv_net_leg legs[] = {
        {.vpc = ID("aaaaaaaaaaaa"), .slot = 0, .base = IP(10, 128, 0, 0), .prefix = 24},
        {.vpc = ID("bbbbbbbbbbbb"), .slot = 1, .base = IP(10, 128, 1, 0), .prefix = 24},
    };
    static const uint32_t outer_ips[] = {IP(203, 0, 113, 2), IP(203, 0, 113, 10)};
    const struct sv_net_nat nat = {.id = ID("0000000000c1"), .outer_ip = outer_ips[1], .inner_ip = IP(10, 128, 0, 6)};
    const struct sv_net_router r = {.id = router_id,
                                    .outer_ip = outer_ips[0],
                                    .outer_prefix = 24,
                                    .legs = legs,
                                    .leg_count = 2,
                                    .outer_ips = outer_ips,
                                    .outer_ip_count = 2,
                                    .nats = &nat,
                                    .nat_count = 1};
    OK(net->ops->router_apply(net, &r, NULL, &err));
    COMES("a1", "10.128.1.5", 80, "b1:80", "10.128.0.5");
    COMES("b1", "10.128.0.5", 80, "a1:80", "10.128.1.5");
    COMES("b1", OUTSIDE, 80, "out:80", "203.0.113.2");
    COMES("out", "203.0.113.10", 80, "a2:80", OUTSIDE);
    COMES("a2", OUTSIDE, 80, "out:80", "203.0.113.10");
}

static const struct sv_net_port_range http[] = {{80, 80}};
static const struct sv_net_rule let_http = {
    .id = ID("0000000000e1"), .in = true, .proto = SV_NET_TCP, .ports = {http, 1}};

static struct sv_net_filter filter_a2(void)
{
    struct sv_net_filter f = {
        .nic = nics_a[1].id, .vpc = vpc_a.id, .ip = nics_a[1].ip, .on = true, .rules = {&let_http, 1}};
    memcpy(f.mac, nics_a[1].mac, sizeof(f.mac));
    return f;
}

static void close_a2(void)
{
    const struct sv_net_filter f = filter_a2();
    OK(net->ops->filter_apply(net, &f, NULL, &err));
}

static void open_a2(void)
{
    OK(net->ops->filter_remove(net, &nics_a[1].id, NULL, &err));
}

static void filters_on_the_other_host(void)
{
    COMES("a1", "10.128.0.6", 81, "a2:81", "10.128.0.5");
    close_a2();
    LOST("a1", "10.128.0.6", 81, "a2:81");
    LOST("b1", "10.128.0.6", 81, "a2:81");
    NO_PINGS("a1", "10.128.0.6");
    COMES("a1", "10.128.0.6", 80, "a2:80", "10.128.0.5");
    COMES("b1", "10.128.0.6", 80, "a2:80", "10.128.1.5");
    open_a2();
    COMES("a1", "10.128.0.6", 81, "a2:81", "10.128.0.5");
}

/* --- while one of OVN's daemons is gone --- */

#define KILL(how, what) SH("kill -" how " $(cat " what ".pid)")
#define NORTHD          "/run/ovn/northd"
#define DATABASE        "/run/ovn/nb"
#define CONTROLLER      "/run/host2/controller"

/* What holds the socket is gone, too, once it is not a process any more. */
static void end(const char *what)
{
    SV_AUTOFREE char *text =
        sv_asprintf("pid=$(cat %s.pid); kill -KILL $pid; for i in $(seq 200); do "
                    "case $(cut -d' ' -f3 /proc/$pid/stat 2>/dev/null) in ''|Z) exit 0;; esac; sleep .02; done; exit 1",
                    what);
    CHECK_INT(SH(text), 0);
}

static void start(const char *what)
{
    CHECK_INT(RUN(OVN_SANDBOX, "start", what), 0);
}

/* Fails with that word, when the time it is given is over at the latest. */
static void fails_in_time(int line, const char *want)
{
    const struct sv_deadline limit = sv_deadline_within(NULL, 1200);
    const struct sv_net_filter f = filter_a2();
    const int64_t before = sv_mono_ms();
    const enum sv_err rc = net->ops->filter_apply(net, &f, &limit, &err);
    if (rc != SV_E_NETWORK || !strstr(err.arg[0], want))
        check_failed(__FILE__, line, "%s \"%s\" instead of \"%s\"", sv_err_symbol(rc), err.arg[0], want);
    CHECK(sv_mono_ms() - before < 2500);
}
#define FAILS(want) fails_in_time(__LINE__, want)

static void count_rule(void *arg, const struct sv_id *rule)
{
    (void)rule;
    ++*(size_t *)arg;
}

/* Rules of a2 that are in force; -1 and a reason when that is not known. */
static int rules_in_force(void)
{
    size_t n = 0;
    const enum sv_err rc = net->ops->filter_look(net, &nics_a[1].id, count_rule, &n, &err);
    CHECK(rc == SV_OK || (rc == SV_E_NETWORK && n == 0));
    return rc ? -1 : (int)n;
}

/* Within 5 s. */
static void expect_one_rule(int line)
{
    const struct sv_deadline limit = sv_deadline_within(NULL, 5000);
    while (rules_in_force() != 1)
        if (sv_deadline_over(&limit))
            check_failed(__FILE__, line, "no rule is in force: %s", err.arg[0]);
}
#define ONE_RULE() expect_one_rule(__LINE__)

/* Rows of a first call that were never translated are not in force because a second one finds them there. */
static void says_so_each_time_while_northd_is_gone(void)
{
    end(NORTHD);
    FAILS("ovn-northd does not follow");
    FAILS("ovn-northd does not follow");
    CHECK_INT(rules_in_force(), -1);
    COMES("a1", "10.128.0.6", 81, "a2:81", "10.128.0.5");
    start("northd");
    close_a2();
    LOST("a1", "10.128.0.6", 81, "a2:81");
    ONE_RULE();
    /* What goes is no more gone than what comes is there. */
    end(NORTHD);
    const struct sv_deadline limit = sv_deadline_within(NULL, 1200);
    CHECK_INT(net->ops->filter_remove(net, &nics_a[1].id, &limit, &err), SV_E_NETWORK);
    CHECK_INT(net->ops->filter_remove(net, &nics_a[1].id, &limit, &err), SV_E_NETWORK);
    start("northd");
    open_a2();
    COMES("a1", "10.128.0.6", 81, "a2:81", "10.128.0.5");
}

/* A host that does not follow holds nobody up for longer than half a second, but its rules are not in force; its guests
 * go on as they were, and once it is back it does all that it has missed, without the server. */
static void goes_on_without_a_host(void)
{
    end(CONTROLLER);
    const int64_t before = sv_mono_ms();
    close_a2();
    CHECK(sv_mono_ms() - before < 2000);
    COMES("a1", "10.128.0.6", 81, "a2:81", "10.128.0.5");
    CHECK_INT(rules_in_force(), -1);
    CHECK_STR(err.arg[0], "host host2 does not follow OVN's southbound database");
    CHECK_INT(RUN(ON_HOST_2, OVN_SANDBOX, "start", "controller"), 0);
    ONE_RULE();
    LOST("a1", "10.128.0.6", 81, "a2:81");
    COMES("a1", "10.128.0.6", 80, "a2:80", "10.128.0.5");
    open_a2();
    COMES("a1", "10.128.0.6", 81, "a2:81", "10.128.0.5");
}

struct call {
    struct sv_error why;
    enum sv_err rc;
};

static void *apply_filter(void *arg)
{
    struct call *c = arg;
    const struct sv_net_filter f = filter_a2();
    c->rc = net->ops->filter_apply(net, &f, NULL, &c->why);
    return NULL;
}

/* Somebody waits for the database. */
static void wait_asked(void)
{
    const struct sv_deadline limit = sv_deadline_within(NULL, 5000);
    while (SH("ss -xaHn src /run/ovn/ovnnb_db.sock | awk '$3 > 0 {found = 1} END {exit !found}'") != 0)
        CHECK(!sv_deadline_over(&limit));
}

/* The database ends while it is asked: that is told at once, nothing is half there, and the next call does it. */
static void outlives_the_database(void)
{
    pthread_t thread;
    struct call c = {.rc = SV_OK};
    CHECK_INT(KILL("STOP", DATABASE), 0);
    CHECK_INT(pthread_create(&thread, NULL, apply_filter, &c), 0);
    wait_asked();
    const int64_t before = sv_mono_ms();
    end(DATABASE);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK(sv_mono_ms() - before < 5000);
    CHECK_INT(c.rc, SV_E_NETWORK);
    CHECK(strstr(c.why.arg[0], "northbound database at unix:/run/ovn/ovnnb_db.sock: "));
    FAILS("northbound database at unix:/run/ovn/ovnnb_db.sock: ");
    COMES("a1", "10.128.0.6", 81, "a2:81", "10.128.0.5");
    start("nb");
    close_a2();
    LOST("a1", "10.128.0.6", 81, "a2:81");
    CHECK_INT(SH("test $(" NB "--bare --columns=_uuid find acl external_ids:starvirt-kind=nic | grep -c .) = 2"), 0);
    open_a2();
}

/* It ends while northd is waited for: the change is there, and is waited for again. */
static void outlives_the_database_while_it_waits(void)
{
    pthread_t thread;
    struct call c = {.rc = SV_OK};
    const int64_t before = ovn_changes();
    const struct sv_deadline limit = sv_deadline_within(NULL, 5000);
    CHECK_INT(KILL("STOP", NORTHD), 0);
    CHECK_INT(pthread_create(&thread, NULL, apply_filter, &c), 0);
    while (ovn_changes() == before)
        CHECK(!sv_deadline_over(&limit));
    end(DATABASE);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_INT(c.rc, SV_E_NETWORK);
    CHECK(strstr(c.why.arg[0], "northbound database at unix:/run/ovn/ovnnb_db.sock: "));
    start("nb");
    FAILS("ovn-northd does not follow");
    CHECK_INT(KILL("CONT", NORTHD), 0);
    close_a2();
    LOST("a1", "10.128.0.6", 81, "a2:81");
    CHECK_INT(ovn_changes(), before + 1);
    open_a2();
}

/* The southbound one: northd and the hosts come back to it by themselves. */
static void outlives_the_southbound_database(void)
{
    close_a2();
    end("/run/ovn/sb");
    CHECK_INT(rules_in_force(), -1);
    CHECK(strstr(err.arg[0], "southbound database at unix:/run/ovn/ovnsb_db.sock: "));
    const struct sv_deadline limit = sv_deadline_within(NULL, 1200);
    CHECK_INT(net->ops->filter_remove(net, &nics_a[1].id, &limit, &err), SV_E_NETWORK);
    LOST("a1", "10.128.0.6", 81, "a2:81");
    start("sb");
    open_a2();
    close_a2();
    LOST("a1", "10.128.0.6", 81, "a2:81");
    COMES("b1", "10.128.0.6", 80, "a2:80", "10.128.1.5");
    open_a2();
}

/* One of several addresses is that of a machine which is switched off. */
static void asks_the_next_address(void)
{
    struct sv_net_options several = options;
    struct sv_net *other = NULL;
    const struct sv_deadline limit = sv_deadline_within(NULL, 1000);
    const struct sv_net_filter f = filter_a2();
    several.ovn_nb = "tcp:10.84.0.77:6641,unix:/run/ovn/ovnnb_db.sock";
    OK(sv_net_open("ovn", &several, &other, &err));
    OK(other->ops->filter_apply(other, &f, &limit, &err));
    sv_net_close(other);
    open_a2();
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {
        T(reaches_the_other_host),
        T(routes_for_the_other_host),
        T(filters_on_the_other_host),
        T(says_so_each_time_while_northd_is_gone),
        T(goes_on_without_a_host),
        T(outlives_the_database),
        T(outlives_the_database_while_it_waits),
        T(outlives_the_southbound_database),
        T(asks_the_next_address),
    };
    if (geteuid() == 0 && access("/usr/bin/ovn-northd", X_OK) != 0) {
        printf("SKIP: no OVN: scripts/install-packages ovn\n");
        return SKIPPED;
    }
    return net_sandbox(tests, sizeof(tests) / sizeof(tests[0]), prepare, argc, argv);
}
