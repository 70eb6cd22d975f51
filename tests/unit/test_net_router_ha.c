/* Routers of two instances: one routes, and the other takes over, whatever happens to the first. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net_routed.h"
#include "starvirt/clock.h"
#include "starvirt/proc.h"

#define SECOND_NETNS "svs-eeeeeeeeeeee"
#define RUN_DIR      "/run/starvirt/01900000-0000-7000-8000-eeeeeeeeeeee"
enum { EVENT_MS = 10000 };

static const char *const spaces[] = {ROUTER_NETNS, SECOND_NETNS};
static const char *const ports[][2] = {{"svzeeeeeeeeeeee", "svoeeeeeeeeeeee"}, {"svweeeeeeeeeeee", "svqeeeeeeeeeeee"}};

static const struct sv_net_nat port_b1 = {.id = {"01900000-0000-7000-8000-000000000b01"},
                                          .proto = SV_NET_TCP,
                                          .outer_ip = IP(192, 0, 2, 10),
                                          .inner_ip = IP(10, 128, 1, 5),
                                          .outer_port = 8080,
                                          .inner_port = 80};
/* Out of VPC a goes web only, and nothing comes in. */
static const struct sv_net_port_range web[] = {{80, 80}};
static const struct sv_net_rule only_web = {
    .id = {"01900000-0000-7000-8000-0000000000c1"}, .proto = SV_NET_TCP, .ports = {web, 1}};
static const struct sv_net_rule pings = {.id = {"01900000-0000-7000-8000-0000000000c2"}, .proto = SV_NET_ICMP};

static struct sv_net_router two(void)
{
    struct sv_net_router want = plain;
    want.ha = true;
    return want;
}

static struct sv_net_router_facts facts(void)
{
    struct sv_net_router_facts f = {0};
    OK(net->ops->router_look(net, &router_id, &f, &err));
    return f;
}

static bool is_silent(unsigned i)
{
    return RUN("ip", "netns", "exec", spaces[i], "nft", "list", "table", "netdev", "standby") == 0;
}

/* All of it, and just one speaks. */
static bool both_whole(void)
{
    const struct sv_net_router_facts f = facts();
    return f.there && f.instances_up == 2 && !is_silent(f.active) && is_silent(1 - f.active);
}

static bool wait_for(bool (*is_so)(void))
{
    const struct sv_deadline limit = sv_deadline_within(NULL, EVENT_MS);
    while (!is_so())
        if (sv_deadline_over(&limit))
            return false;
    return true;
}

static unsigned want_active;
static bool other_is_active(void)
{
    return facts().active == want_active;
}

static pid_t pid_in(const char *text)
{
    return (pid_t)strtol(text, NULL, 10);
}

/* Of a daemon of an instance. */
static pid_t pid_of(const char *file, unsigned i)
{
    char path[200], text[32] = "";
    snprintf(path, sizeof(path), RUN_DIR "/%s.%u", file, i);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    CHECK(fgets(text, sizeof(text), f));
    fclose(f);
    return pid_in(text);
}

/* Whose command line has this; 0 where there is none. */
static pid_t running(const char *words)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    run_argv((const char *const[]){"pgrep", "-f", "--", words, NULL}, &out);
    return out.p ? pid_in(out.p) : 0;
}

static pid_t conntrackd_of(unsigned i)
{
    return running(i ? "-d -C " RUN_DIR "/conntrackd.conf.1" : "-d -C " RUN_DIR "/conntrackd.conf.0");
}

/* Answers to two questions for an address, on the outer network. */
static int arp_answers(const char *address)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    int n = 0;
    run_argv((const char *const[]){"ip", "netns", "exec", "c1", "busybox", "arping", "-b", "-c", "2", "-w", "2", "-I",
                                   "eth0", address, NULL},
             &out);
    for (const char *at = out.p; at && (at = strstr(at, "reply from")) != NULL; at++)
        n++;
    return n;
}

/* --- traffic that goes on --- */

/* From `from` to `to`, each byte at its place; paced, so that it lasts. */
struct pump {
    int from, to;
    atomic_bool stop;
    size_t sent, got;
    int64_t gap_us; /* longest without a byte */
    bool right;
    pthread_t writer, reader;
};

static unsigned char byte_at(size_t at)
{
    return (unsigned char)(at * 2654435761U >> 13);
}

static void *pump_write(void *arg)
{
    struct pump *p = arg;
    unsigned char chunk[8000];
    while (!atomic_load(&p->stop)) {
        struct pollfd ready = {.fd = p->from, .events = POLLOUT};
        for (size_t i = 0; i < sizeof(chunk); i++)
            chunk[i] = byte_at(p->sent + i);
        const ssize_t n = send(p->from, chunk, sizeof(chunk), MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            break;
        if (n > 0)
            p->sent += (size_t)n;
        poll(&ready, n > 0 ? 0 : 1, n > 0 ? 2 : 100);
    }
    shutdown(p->from, SHUT_WR);
    return NULL;
}

static void *pump_read(void *arg)
{
    struct pump *p = arg;
    unsigned char chunk[16000];
    int64_t last = sv_mono_us();
    p->right = true;
    for (;;) {
        struct pollfd ready = {.fd = p->to, .events = POLLIN};
        if (poll(&ready, 1, EVENT_MS) != 1)
            return NULL;
        const ssize_t n = recv(p->to, chunk, sizeof(chunk), 0);
        const int64_t now = sv_mono_us();
        if (n <= 0)
            return NULL;
        p->gap_us = now - last > p->gap_us ? now - last : p->gap_us;
        last = now;
        for (ssize_t i = 0; i < n; i++)
            p->right = p->right && chunk[i] == byte_at(p->got + (size_t)i);
        p->got += (size_t)n;
    }
}

static void pump_begin(struct pump *p, int from, int to)
{
    *p = (struct pump){.from = from, .to = to};
    CHECK_INT(pthread_create(&p->writer, NULL, pump_write, p), 0);
    CHECK_INT(pthread_create(&p->reader, NULL, pump_read, p), 0);
}

/* All that was sent came. */
static void pump_end(struct pump *p)
{
    atomic_store(&p->stop, true);
    pthread_join(p->writer, NULL);
    pthread_join(p->reader, NULL);
    CHECK(p->right);
    CHECK(p->sent > 0);
    CHECK_INT(p->got, p->sent);
}

/* Pings every 20 ms from a1 to the outer network. */
struct pinger {
    struct sv_buf said;
    struct sv_proc proc;
    pthread_t thread;
};

static void *ping_on(void *arg)
{
    struct pinger *p = arg;
    int status = -1;
    struct sv_error e;
    sv_proc_run(&p->proc, &status, &e);
    return NULL;
}

static int lost_pings(const struct pinger *p)
{
    static const char head[] = "statistics ---\n", got[] = " packets transmitted, ";
    const char *at = p->said.p ? strstr(p->said.p, head) : NULL, *then = at ? strstr(at, got) : NULL;
    CHECK(then);
    return (int)(strtol(at + sizeof(head) - 1, NULL, 10) - strtol(then + sizeof(got) - 1, NULL, 10));
}

/* --- failing over --- */

static void kill_both(unsigned i)
{
    const pid_t parent = pid_of("keepalived.pid", i), child = pid_of("keepalived.vrrp", i);
    CHECK_INT(kill(parent, SIGKILL), 0);
    kill(child, SIGKILL);
}

static void end_keepalived(unsigned i)
{
    CHECK_INT(kill(pid_of("keepalived.pid", i), SIGTERM), 0);
}

static void cut_outer(unsigned i)
{
    CHECK_INT(RUN("ip", "link", "set", ports[i][1], "down"), 0);
}

static void cut_transit(unsigned i)
{
    CHECK_INT(RUN("ip", "-n", spaces[i], "link", "set", "tr0", "down"), 0);
}

/* What is under way when the active one fails does not notice, but for a pause. */
static void fail_over(const char *name, void (*harm)(unsigned i), const struct sv_net_router *want)
{
    struct flow out = {0}, in = {0};
    struct pump up_stream, down_stream;
    static const char *const argv[] = {"ip",   "netns", "exec", "a1", "busybox", "ping", "-q", "-i",
                                       "0.02", "-c",    "100",  "-W", "1",       FAR,    NULL};
    struct pinger p = {.said = {0}};
    p.proc = (struct sv_proc){.argv = argv, .out = &p.said};
    const struct sv_net_router_facts before = facts();
    CHECK(before.there);
    CHECK(flow_tcp("a1", FAR, 80, web_far, TRAFFIC_YES_MS, &out));
    CHECK_INT(out.seen, IP(192, 0, 2, 5));
    CHECK(flow_tcp("c1", MAPPED, 8080, web_b1, TRAFFIC_YES_MS, &in));
    pump_begin(&down_stream, out.server, out.client); /* a download through SNAT */
    pump_begin(&up_stream, in.server, in.client);     /* one through a port mapping */
    CHECK_INT(pthread_create(&p.thread, NULL, ping_on, &p), 0);
    while (down_stream.got < 100000 || up_stream.got < 100000)
        sched_yield();
    harm(before.active);
    want_active = 1 - before.active;
    CHECK(wait_for(other_is_active));
    CHECK(is_silent(before.active) || access(spaces[before.active], F_OK) != 0);
    pthread_join(p.thread, NULL);
    pump_end(&down_stream);
    pump_end(&up_stream);
    flow_close(&out);
    flow_close(&in);
    fprintf(stderr, "  %s: %d of 100 pings lost; pauses %lld ms (SNAT, %zu kB), %lld ms (mapping, %zu kB)\n", name,
            lost_pings(&p), (long long)(down_stream.gap_us / 1000), down_stream.got / 1000,
            (long long)(up_stream.gap_us / 1000), up_stream.got / 1000);
    CHECK(lost_pings(&p) < 50);
    sv_buf_free(&p.said);
    /* The rules of the one that took over are the same. */
    CHECK_INT(arp_answers(OUR_OUTER), 2);
    CHECK_INT(rules_in_force(), 2);
    CHECK(tcp("a1", FAR, 80, web_far));
    CHECK(no_tcp("a1", "192.0.2.100", 81, web_client));
    CHECK(no_tcp("c2", "10.128.1.5", 80, web_b1));
    CHECK_INT(facts().failovers, before.failovers + 1);
    apply(want);
    CHECK(both_whole());
    CHECK_INT(facts().active, want_active);
}

static void the_other_takes_over(void)
{
    static const struct {
        const char *name;
        void (*harm)(unsigned i);
    } harms[] = {{"keepalived killed", kill_both},
                 {"keepalived ended", end_keepalived},
                 {"outer leg down", cut_outer},
                 {"transit leg down", cut_transit}};
    const struct sv_net_rule rules[] = {only_web, pings};
    const struct sv_net_gate gate = {.vpc = legs[0].vpc, .rules = {rules, 2}};
    struct sv_net_router want = two();
    want.nats = &port_b1;
    want.nat_count = 1;
    want.gates = &gate;
    want.gate_count = 1;
    up(&want);
    CHECK(both_whole());
    for (size_t i = 0; i < sizeof(harms) / sizeof(harms[0]); i++)
        fail_over(harms[i].name, harms[i].harm, &want);
    down();
}

/* --- keeping it so --- */

static void two_instances_route_as_one(void)
{
    const struct sv_net_router want = two();
    int64_t t0 = sv_mono_us();
    apply(&want);
    fprintf(stderr, "  made in %lld ms\n", (long long)((sv_mono_us() - t0) / 1000));
    apply_vpc(0, true);
    apply_vpc(1, true);
    guests_up();
    CHECK(both_whole());
    CHECK_INT(facts().active, 0);
    CHECK_INT(facts().failovers, 0);
    CHECK(reachable());
    CHECK_INT(arp_answers(OUR_OUTER), 2);
    /* Nobody reaches what is between the two. */
    CHECK(!ping("a1", "169.254.248.1"));
    CHECK(!ping("a1", "169.254.248.3"));
    const pid_t keepalived = pid_of("keepalived.pid", 0), conntrackd = conntrackd_of(1);
    CHECK(keepalived && conntrackd);
    struct flow f;
    CHECK(flow_tcp("a1", CLIENT, 80, web_client, TRAFFIC_YES_MS, &f));
    t0 = sv_mono_us();
    apply(&want);
    fprintf(stderr, "  again %lld ms\n", (long long)((sv_mono_us() - t0) / 1000));
    CHECK_INT(pid_of("keepalived.pid", 0), keepalived);
    CHECK_INT(conntrackd_of(1), conntrackd);
    CHECK_INT(facts().active, 0);
    CHECK(flow_lives(&f, TRAFFIC_YES_MS));
    flow_close(&f);
    down();
    CHECK(access("/run/starvirt", F_OK) != 0);
    CHECK(access("/run/netns/" SECOND_NETNS, F_OK) != 0);
    CHECK_INT(running(RUN_DIR), 0);
    CHECK_INT(if_nametoindex("svweeeeeeeeeeee") + if_nametoindex("svqeeeeeeeeeeee"), 0);
    CHECK_INT(listed(), 0);
}

static bool as_wanted(const struct sv_net_router *want)
{
    bool ret = false;
    OK(net->ops->router_whole(net, want, &ret, &err));
    return ret;
}

static void drift_is_mended(void)
{
    static const char *const harm[][12] = {
        {"ip", "netns", "exec", SECOND_NETNS, "nft", "flush", "ruleset"},
        {"ip", "netns", "exec", ROUTER_NETNS, "nft", "flush", "ruleset"},
        {"ip", "-n", SECOND_NETNS, "addr", "flush", "dev", "out0"},
        {"ip", "-n", ROUTER_NETNS, "link", "set", "ha0", "down"},
        {"ip", "-n", SECOND_NETNS, "link", "del", "ha0"},
        {"ip", "link", "del", "svqeeeeeeeeeeee"},
        {"ip", "link", "del", "svxeeeeeeeeeeee"},
        {"ip", "netns", "del", SECOND_NETNS},
        {"ip", "netns", "del", ROUTER_NETNS},
    };
    const struct sv_net_router want = two();
    up(&want);
    CHECK(both_whole());
    for (size_t i = 0; i < sizeof(harm) / sizeof(harm[0]); i++) {
        CHECK_INT(run_argv(harm[i], NULL), 0);
        CHECK(!both_whole());
        CHECK(!as_wanted(&want));
        int64_t t0 = sv_mono_us();
        apply(&want);
        fprintf(stderr, "  %s %s %s %s %s: %lld ms, active %u\n", harm[i][1], harm[i][2], harm[i][3],
                harm[i][4] ? harm[i][4] : "", harm[i][5] ? harm[i][5] : "", (long long)((sv_mono_us() - t0) / 1000),
                facts().active);
        CHECK(both_whole());
        CHECK(as_wanted(&want));
        CHECK(reachable());
    }
    CHECK_INT(arp_answers(OUR_OUTER), 2);
    const unsigned standby = 1 - facts().active;
    CHECK_INT(kill(conntrackd_of(0), SIGKILL), 0);
    CHECK(!both_whole());
    CHECK(!as_wanted(&want) && !as_wanted(&plain));
    CHECK_INT(kill(pid_of("keepalived.pid", standby), SIGKILL), 0);
    apply(&want);
    CHECK(both_whole());
    CHECK(reachable());
    down();
}

static bool nobody_leads(void)
{
    return RUN("grep", "-q", "FAULT", (RUN_DIR "/state.0")) == 0 &&
           RUN("grep", "-q", "FAULT", (RUN_DIR "/state.1")) == 0;
}

/* The two lose each other: the one that routed goes on. */
static void without_a_leader_nothing_stops(void)
{
    struct flow f;
    const struct sv_net_router want = two();
    up(&want);
    CHECK(flow_tcp("a1", FAR, 80, web_far, TRAFFIC_YES_MS, &f));
    CHECK_INT(RUN("ip", "-n", ROUTER_NETNS, "link", "del", "ha0"), 0);
    CHECK(wait_for(nobody_leads));
    CHECK(flow_lives(&f, TRAFFIC_YES_MS));
    CHECK_INT(arp_answers(OUR_OUTER), 2);
    CHECK(!is_silent(0) && is_silent(1));
    CHECK_INT(facts().active, 0);
    CHECK(!facts().there);
    flow_close(&f);
    apply(&want);
    CHECK(both_whole());
    down();
}

/* A connection lives through all of it: one instance, two, the other of the two, one again. */
static void on_and_off_while_it_routes(void)
{
    struct flow out, in;
    struct sv_net_router one = plain, want = two();
    one.nats = want.nats = &port_b1;
    one.nat_count = want.nat_count = 1;
    up(&one);
    CHECK(whole());
    CHECK(flow_tcp("a1", FAR, 80, web_far, TRAFFIC_YES_MS, &out));
    CHECK(flow_tcp("c1", MAPPED, 8080, web_b1, TRAFFIC_YES_MS, &in));
    apply(&want);
    CHECK(both_whole());
    CHECK_INT(facts().active, 0);
    CHECK(flow_lives(&out, TRAFFIC_YES_MS));
    end_keepalived(0);
    want_active = 1;
    CHECK(wait_for(other_is_active));
    CHECK(flow_lives(&out, TRAFFIC_YES_MS) && flow_lives(&in, TRAFFIC_YES_MS));
    apply(&want);
    CHECK(both_whole());
    CHECK_INT(facts().active, 1);
    apply(&one); /* while the second has it */
    CHECK(whole());
    CHECK(flow_lives(&out, TRAFFIC_YES_MS) && flow_lives(&in, TRAFFIC_YES_MS));
    CHECK(access("/run/netns/" SECOND_NETNS, F_OK) != 0);
    CHECK(access(RUN_DIR, F_OK) != 0);
    CHECK_INT(if_nametoindex("svweeeeeeeeeeee"), 0);
    flow_close(&out);
    flow_close(&in);
    apply(&want);
    CHECK(both_whole());
    CHECK(reachable());
    down();
}

/* There and back again, with connections of before, of between, and none of what has ended. */
static void and_back(void)
{
    struct flow first, second;
    struct sv_net_router want = two();
    up(&want);
    CHECK(flow_tcp("a1", FAR, 80, web_far, TRAFFIC_YES_MS, &first));
    end_keepalived(0);
    want_active = 1;
    CHECK(wait_for(other_is_active));
    CHECK(flow_tcp("b1", FAR, 80, web_far, TRAFFIC_YES_MS, &second));
    apply(&want);
    end_keepalived(1);
    want_active = 0;
    CHECK(wait_for(other_is_active));
    CHECK(flow_lives(&first, TRAFFIC_YES_MS));
    CHECK(flow_lives(&second, TRAFFIC_YES_MS));
    CHECK_INT(facts().failovers, 2);
    /* A whole instance is lost in between. */
    CHECK_INT(RUN("ip", "netns", "del", SECOND_NETNS), 0);
    apply(&want);
    CHECK(both_whole());
    end_keepalived(0);
    want_active = 1;
    CHECK(wait_for(other_is_active));
    CHECK(flow_lives(&first, TRAFFIC_YES_MS));
    CHECK(flow_lives(&second, TRAFFIC_YES_MS));
    flow_close(&first);
    flow_close(&second);
    down();
}

/* --- balancers --- */

struct echo {
    int listener;
    atomic_bool stop;
    pthread_t thread;
};

static void *echo_on(void *arg)
{
    struct echo *e = arg;
    struct pollfd v[64] = {{.fd = e->listener, .events = POLLIN}};
    nfds_t n = 1;
    char word[64];
    while (!atomic_load(&e->stop)) {
        if (poll(v, n, 100) <= 0)
            continue;
        for (nfds_t i = n; i-- > 1;) {
            if (!v[i].revents)
                continue;
            const ssize_t got = recv(v[i].fd, word, sizeof(word), 0);
            if (got > 0) {
                (void)!send(v[i].fd, word, (size_t)got, MSG_NOSIGNAL);
            } else {
                close(v[i].fd);
                v[i] = v[--n];
            }
        }
        if (v[0].revents && n < sizeof(v) / sizeof(v[0])) {
            const int fd = accept4(e->listener, NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0)
                v[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
        }
    }
    while (n-- > 1)
        close(v[n].fd);
    return NULL;
}

static void count_up(void *arg, const struct sv_net_node_fact *fact)
{
    *(int *)arg += fact->state == SV_NET_NODE_UP;
}

static bool node_is_up(void)
{
    int n = 0;
    OK(net->ops->router_nodes(net, &router_id, count_up, &n, &err));
    return n == 1;
}

static bool balancer_answers(void)
{
    return RUN("sh", "-c", "[ \"$(echo hello | ip netns exec c1 busybox nc -w 1 " OUR_OUTER " 90)\" = hello ]") == 0;
}

static void balancers_go_along(void)
{
    const struct sv_net_node node = {
        .id = {"01900000-0000-7000-8000-0000000000f1"}, .ip = IP(10, 128, 0, 5), .port = 90, .weight = 1, .on = true};
    const struct sv_net_balancer balancer = {.id = {"01900000-0000-7000-8000-0000000000f0"},
                                             .proto = SV_NET_BALANCE_TCP,
                                             .ip = IP(192, 0, 2, 5),
                                             .port = 90,
                                             .outer = true,
                                             .url_path = "",
                                             .check_path = "",
                                             .check_every = 1,
                                             .check_timeout = 1,
                                             .retries = 1,
                                             .idle_timeout = 30,
                                             .max_connections = 100,
                                             .nodes = &node,
                                             .node_count = 1};
    struct sv_net_router want = two();
    struct echo e = {.listener = -1};
    want.balancers = &balancer;
    want.balancer_count = 1;
    up(&want);
    e.listener = traffic_listen("a1", SOCK_STREAM, "10.128.0.5", 90);
    CHECK_INT(pthread_create(&e.thread, NULL, echo_on, &e), 0);
    CHECK(both_whole());
    CHECK(wait_for(node_is_up));
    CHECK(balancer_answers());
    for (unsigned i = 0; i < 2; i++) {
        end_keepalived(i);
        want_active = 1 - i;
        CHECK(wait_for(other_is_active));
        int64_t t0 = sv_mono_us();
        CHECK(wait_for(balancer_answers));
        fprintf(stderr, "  answers %lld ms after the other took over\n", (long long)((sv_mono_us() - t0) / 1000));
        CHECK(wait_for(node_is_up));
        apply(&want);
        CHECK(both_whole());
    }
    atomic_store(&e.stop, true);
    pthread_join(e.thread, NULL);
    close(e.listener);
    down();
}

/* --- a call that is killed --- */

static void apply_all(void)
{
    const struct sv_net_router want = two();
    apply_vpc(0, true);
    apply(&want);
    apply_vpc(1, true);
}

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

static void a_killed_call_is_finished_by_the_next(void)
{
    int64_t t0 = sv_mono_us();
    apply_all();
    const int64_t step = (sv_mono_us() - t0) / 6 + 1;
    remove_engine_side();
    for (int i = 0; i < 7; i++) {
        killed_after(step * i, apply_all);
        apply_all();
        CHECK(both_whole());
        guests_up();
        CHECK(reachable());
        guests_down();
        killed_after(step * i / 3, remove_engine_side);
        remove_engine_side();
        CHECK_INT(listed(), 0);
        CHECK_INT(if_nametoindex("svxeeeeeeeeeeee"), 0);
        CHECK(access("/run/netns/" SECOND_NETNS, F_OK) != 0);
        CHECK(access(RUN_DIR, F_OK) != 0);
        CHECK_INT(running(RUN_DIR), 0);
    }
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {T(two_instances_route_as_one),
                                              T(the_other_takes_over),
                                              T(and_back),
                                              T(on_and_off_while_it_routes),
                                              T(without_a_leader_nothing_stops),
                                              T(balancers_go_along),
                                              T(drift_is_mended),
                                              T(a_killed_call_is_finished_by_the_next)};
    return net_sandbox(tests, sizeof(tests) / sizeof(tests[0]), make_outer_network, argc, argv);
}
