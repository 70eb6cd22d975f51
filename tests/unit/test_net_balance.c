/* HAProxy and nginx in a namespace, as a router has one, with real nodes and clients (balance_peer.py) beyond it. */
#include "certificates.h"
#include "net/balance.h"
#include "net_sandbox.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "starvirt/certificate.h"
#include "starvirt/clock.h"
#include "starvirt/proc.h"
#include "starvirt/text.h"

#define ROUTER "10.9.0.1"
#define PYTHON "/usr/bin/python3"

enum { NODES = 3, ADDRESS = 0x0A090001, FIRST_NODE = 0x0A090101, HTTP = 8000, TCP = 9000 };

static char *peer; /* balance_peer.py */
static char *dir;
static int netns = -1;
static int nodes_stdin = -1;
static pid_t nodes_pid;
static struct sv_net_node nodes[NODES];
static struct sv_net_balancer tcp, http, https, udp;
static struct sv_certificate first, second;

/* --- the stage --- */

static void start_nodes(void)
{
    const char *const argv[] = {PYTHON, peer, "nodes", "10.9.1.1", "a", "10.9.1.2", "b", "10.9.1.3", "c", NULL};
    OK(sv_proc_start(argv, &nodes_stdin, &nodes_pid, &err));
}

static void node_is(const char *what, const char *name)
{
    SV_AUTOFREE char *line = sv_asprintf("%s %s\n", what, name);
    CHECK_INT(write(nodes_stdin, line, strlen(line)), (long)strlen(line));
}

static void make_certificate(const char *name, struct sv_certificate *ret)
{
    struct made m = certificate_make(name, NULL, -60, 3600);
    struct sv_buf pem = {0};
    struct sv_certificate_fault fault;
    certificate_pem(&m, &pem);
    certificate_key_pem(&m, &pem);
    CHECK(sv_certificate_read(pem.p, pem.p, ret, &fault));
    sv_buf_free(&pem);
    certificate_forget(&m);
}

static struct sv_net_balancer balancer(enum sv_net_balancer_proto proto, uint16_t port)
{
    return (struct sv_net_balancer){.id = sv_id_new(),
                                    .proto = proto,
                                    .policy = SV_NET_RR,
                                    .ip = ADDRESS,
                                    .port = port,
                                    .url_path = "/",
                                    .check_path = proto == SV_NET_BALANCE_HTTP ? "/check" : "",
                                    .check_every = 1,
                                    .check_timeout = 1,
                                    .retries = 2,
                                    .idle_timeout = 20,
                                    .max_connections = 1000,
                                    .pem = proto == SV_NET_BALANCE_HTTPS ? first.pem : NULL,
                                    .nodes = nodes,
                                    .node_count = NODES};
}

static void wires(void)
{
    CHECK_INT(RUN("ip", "netns", "add", "lb"), 0);
    CHECK_INT(RUN("ip", "link", "add", "out", "type", "veth", "peer", "name", "in", "netns", "lb"), 0);
    CHECK_INT(RUN("ip", "addr", "add", "10.9.0.2/24", "dev", "out"), 0);
    CHECK_INT(RUN("ip", "link", "set", "out", "up"), 0);
    CHECK_INT(RUN("ip", "-n", "lb", "link", "set", "in", "up"), 0);
    CHECK_INT(RUN("ip", "-n", "lb", "link", "set", "lo", "up"), 0);
    CHECK_INT(RUN("ip", "addr", "add", "10.9.1.1/24", "dev", "lo"), 0);
    CHECK_INT(RUN("ip", "addr", "add", "10.9.1.2/24", "dev", "lo"), 0);
    CHECK_INT(RUN("ip", "addr", "add", "10.9.1.3/24", "dev", "lo"), 0);
    netns = open("/run/netns/lb", O_RDONLY | O_CLOEXEC);
    CHECK(netns >= 0);
}

/* After the first balancer: its address need not be there before. */
static void address(void)
{
    CHECK_INT(RUN("ip", "-n", "lb", "addr", "add", (ROUTER "/24"), "dev", "in"), 0);
    CHECK_INT(RUN("ip", "-n", "lb", "route", "add", "10.9.1.0/24", "via", "10.9.0.2"), 0);
}

static void values(void)
{
    make_certificate("first", &first);
    make_certificate("second", &second);
    for (unsigned i = 0; i < NODES; i++)
        nodes[i] = (struct sv_net_node){sv_id_new(), FIRST_NODE + i, TCP, i + 1, true};
    tcp = balancer(SV_NET_BALANCE_TCP, 7001);
    udp = balancer(SV_NET_BALANCE_UDP, 7001);
    http = balancer(SV_NET_BALANCE_HTTP, 80);
    https = balancer(SV_NET_BALANCE_HTTPS, 443);
}

static void apply_n(const struct sv_net_balancer *v, size_t n)
{
    const struct sv_deadline limit = sv_deadline_within(NULL, 20000);
    OK(balance_apply(&limit, netns, dir, v, n, &err));
}
#define APPLY(...)                                                                                                     \
    apply_n((const struct sv_net_balancer[]){__VA_ARGS__},                                                             \
            sizeof((const struct sv_net_balancer[]){__VA_ARGS__}) / sizeof(struct sv_net_balancer))

/* --- asking --- */

static void ask(struct sv_buf *out, const char *what, const char *a, const char *b, const char *c, const char *d)
{
    const char *const argv[] = {PYTHON, peer, what, a, b, c, d, NULL};
    CHECK_INT(run_argv(argv, out), 0);
    CHECK(out->p);
}

static bool said(const struct sv_buf *b, const char *what)
{
    return b->p && strstr(b->p, what);
}

static void expect_get(const char *url, const char *first_line, const char *within)
{
    struct sv_buf out = {0};
    ask(&out, "get", url, NULL, NULL, NULL);
    if (strncmp(out.p, first_line, strlen(first_line)) != 0 || !said(&out, within))
        check_failed(__FILE__, __LINE__, "%s: %s", url, out.p);
    sv_buf_free(&out);
}

static double share(const struct sv_buf *out, const char *name)
{
    SV_AUTOFREE char *at = sv_asprintf("%s ", name);
    const char *p = strstr(out->p, at);
    return p ? strtod(p + strlen(at), NULL) : 0;
}

/* Of 3,000, within 5 % of what is right. */
static void distribution(struct sv_net_balancer *b, enum sv_net_policy policy, const char *window, const double *want)
{
    static const char *const names[NODES] = {"a", "b", "c"};
    struct sv_buf out = {0};
    b->policy = policy;
    const int64_t begin = sv_mono_ms();
    APPLY(*b);
    const int64_t applied = sv_mono_ms();
    ask(&out, "hold", ROUTER, "7001", "3000", window);
    printf("  policy %d: applied in %lld ms, 3,000 in %lld ms\n", policy, (long long)(applied - begin),
           (long long)(sv_mono_ms() - applied));
    for (unsigned i = 0; i < NODES; i++) {
        const double got = share(&out, names[i]);
        if (got < want[i] * 0.95 || got > want[i] * 1.05)
            check_failed(__FILE__, __LINE__, "policy %d: %s", policy, out.p);
    }
    sv_buf_free(&out);
}

/* --- what HAProxy says --- */

struct states {
    enum sv_net_node_state of[NODES];
    uint64_t sessions[NODES];
    const struct sv_net_balancer *b;
};

static void note_state(void *arg, const struct sv_net_node_fact *f)
{
    struct states *s = arg;
    for (unsigned i = 0; i < NODES; i++)
        if (sv_id_eq(&f->node, &nodes[i].id) && sv_id_eq(&f->balancer, &s->b->id)) {
            s->of[i] = f->state;
            s->sessions[i] = f->sessions;
        }
}

static struct states states(const struct sv_net_balancer *b)
{
    struct states s = {.b = b};
    OK(balance_nodes(NULL, dir, note_state, &s, &err));
    return s;
}

/* How long it took [ms]. */
static int64_t wait_state(const struct sv_net_balancer *b, unsigned node, enum sv_net_node_state want)
{
    const int64_t begin = sv_mono_ms();
    while (states(b).of[node] != want) {
        if (sv_mono_ms() - begin > 20000)
            check_failed(__FILE__, __LINE__, "node %u is not %d", node, want);
        poll(NULL, 0, 10);
    }
    return sv_mono_ms() - begin;
}

static char *slurp(const char *name)
{
    struct sv_buf b = {0};
    SV_AUTOFREE char *path = sv_asprintf("%s/%s", dir, name);
    const char *const argv[] = {"cat", path, NULL};
    CHECK_INT(run_argv(argv, &b), 0);
    return sv_buf_steal(&b);
}

static pid_t master(const char *name)
{
    SV_AUTOFREE char *text = slurp(name);
    return (pid_t)strtol(text, NULL, 10);
}

/* How many are in the namespace. */
static unsigned processes(void)
{
    struct sv_buf out = {0};
    unsigned n = 0;
    const char *const argv[] = {"ip", "netns", "pids", "lb", NULL};
    CHECK_INT(run_argv(argv, &out), 0);
    for (const char *p = out.p; p && *p; p++)
        n += *p == '\n';
    sv_buf_free(&out);
    return n;
}

static pid_t worker(void)
{
    struct sv_buf out = {0};
    SV_AUTOFREE char *parent = sv_asprintf("%d", (int)master("haproxy.pid"));
    const char *const argv[] = {"pgrep", "-n", "-P", parent, NULL};
    CHECK_INT(run_argv(argv, &out), 0);
    const pid_t pid = (pid_t)strtol(out.p, NULL, 10);
    sv_buf_free(&out);
    return pid;
}

/* --- tests --- */

static void before_its_address_is_there(void)
{
    wires();
    values();
    start_nodes();
    APPLY(tcp);
    address();
}

static void distributes(void)
{
    static const double even[] = {1000, 1000, 1000}, weighted[] = {500, 1000, 1500};
    for (unsigned i = 0; i < NODES; i++)
        wait_state(&tcp, i, SV_NET_NODE_UP);
    distribution(&tcp, SV_NET_RR, "1", even);
    distribution(&tcp, SV_NET_WRR, "1", weighted);
    distribution(&tcp, SV_NET_WLC, "240", weighted);
    CHECK(states(&tcp).sessions[2] > 1000);
}

/* The same once more: no process, no file is another's. */
static void twice_is_nothing(void)
{
    struct stat a, b;
    SV_AUTOFREE char *cfg = sv_asprintf("%s/haproxy.cfg", dir);
    APPLY(tcp, http, https, udp);
    const pid_t pid = worker();
    CHECK_INT(stat(cfg, &a), 0);
    const int64_t begin = sv_mono_ms();
    APPLY(tcp, http, https, udp);
    printf("  nothing to do: %lld ms\n", (long long)(sv_mono_ms() - begin));
    CHECK_INT(stat(cfg, &b), 0);
    CHECK(a.st_ino == b.st_ino && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec);
    CHECK_INT(worker(), pid);
}

static void speaks_http(void)
{
    struct sv_net_node web[NODES];
    memcpy(web, nodes, sizeof(web));
    for (unsigned i = 0; i < NODES; i++)
        web[i].port = HTTP;
    struct sv_net_balancer h = http, s = https;
    h.nodes = s.nodes = web;
    APPLY(h, s);
    expect_get("http://" ROUTER ":80/x", "200 ", "x-forwarded-for: 10.9.0.2");
    expect_get("https://" ROUTER ":443/x", "200 first", "x-forwarded-proto: https");
    /* Another certificate, in the worker that runs. */
    const pid_t pid = worker();
    s.pem = second.pem;
    APPLY(h, s);
    CHECK_INT(worker(), pid);
    expect_get("https://" ROUTER ":443/x", "200 second", "/x");
    /* Also in the files: the next one has it, too. */
    h.url_path = "/app/";
    APPLY(h, s);
    expect_get("https://" ROUTER ":443/x", "200 second", "/x");
    expect_get("http://" ROUTER ":80/app", "200 ", "GET /app");
    expect_get("http://" ROUTER ":80/app/y", "200 ", "GET /app/y");
    expect_get("http://" ROUTER ":80/apple", "404 ", "");
    expect_get("http://" ROUTER ":80/app/../y", "400 ", "");
    expect_get("http://" ROUTER ":80/app/%2e%2e/y", "400 ", "");
}

static void finds_a_dead_node(void)
{
    APPLY(tcp);
    for (unsigned i = 0; i < NODES; i++)
        wait_state(&tcp, i, SV_NET_NODE_UP);
    node_is("down", "b");
    const int64_t took = wait_state(&tcp, 1, SV_NET_NODE_DOWN);
    printf("  found dead after %lld ms\n", (long long)took);
    /* retries * check_every, and one check more; the rest is the machine's. */
    CHECK(took < tcp.retries * tcp.check_every * 1000 + 1000 + 2000);
    struct sv_buf out = {0};
    ask(&out, "hold", ROUTER, "7001", "30", "1");
    if (said(&out, "b ") || share(&out, "a") + share(&out, "c") != 30)
        check_failed(__FILE__, __LINE__, "%s", out.p);
    sv_buf_free(&out);
    /* What is known of nodes is known after a reload. */
    tcp.idle_timeout++;
    APPLY(tcp);
    CHECK_INT(states(&tcp).of[1], SV_NET_NODE_DOWN);
    node_is("up", "b");
    wait_state(&tcp, 1, SV_NET_NODE_UP);
}

/* Weights, nodes that come and go and rest, in the worker that runs; and the file says the same. */
static void changes_in_place(void)
{
    struct sv_net_node some[NODES];
    struct sv_net_balancer b = tcp;
    b.policy = SV_NET_WRR;
    APPLY(b);
    const pid_t pid = worker();
    memcpy(some, nodes, sizeof(some));
    b.nodes = some;
    some[0].weight = 7;
    some[1].on = false;
    APPLY(b);
    CHECK_INT(states(&b).of[1], SV_NET_NODE_OFF);
    struct sv_buf out = {0};
    ask(&out, "hold", ROUTER, "7001", "100", "1");
    CHECK(share(&out, "a") > 66 && share(&out, "a") < 74 && share(&out, "a") + share(&out, "c") == 100);
    sv_buf_free(&out);
    some[1].on = true;
    b.node_count = 2;
    APPLY(b);
    CHECK_INT(states(&b).of[2], SV_NET_NODE_UNKNOWN);
    b.node_count = 3;
    APPLY(b);
    CHECK_INT(worker(), pid);
    SV_AUTOFREE char *text = slurp("haproxy.cfg");
    CHECK(strstr(text, "10.9.1.1:9000 weight 7\n") && strstr(text, "10.9.1.3:9000 weight 3\n"));
    wait_state(&b, 2, SV_NET_NODE_UP);
}

static void change(struct sv_net_balancer *b, struct sv_net_balancer *s, struct sv_net_node *some, unsigned i)
{
    some[0].weight = 1 + i % 10;
    if (i % 3 == 0)
        some[1].on = !some[1].on;
    b->node_count = i % 4 == 1 ? 2 : 3;
    if (i % 5 == 0)
        b->idle_timeout++;
    s->pem = i % 2 ? first.pem : second.pem;
    b->policy = i % 7 == 0 ? SV_NET_WLC : SV_NET_WRR;
}

static void changes_cost_no_request(void)
{
    struct sv_net_node some[NODES];
    struct sv_net_balancer h = http, s = https;
    SV_AUTOFREE char *file = sv_asprintf("%s/load", work);
    const char *const argv[] = {PYTHON, peer, "load", ("http://" ROUTER ":80/"), file, "1000", NULL};
    int in = -1, status = -1;
    pid_t pid = 0;
    memcpy(some, nodes, sizeof(some));
    for (unsigned i = 0; i < NODES; i++)
        some[i].port = HTTP;
    h.nodes = s.nodes = some;
    APPLY(tcp, h, s);
    OK(sv_proc_start(argv, &in, &pid, &err));
    const int64_t begin = sv_mono_ms();
    for (unsigned i = 1; i <= 20; i++) {
        change(&h, &s, some, i);
        APPLY(tcp, h, s);
    }
    printf("  20 changes: %lld ms\n", (long long)(sv_mono_ms() - begin));
    close(in);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    struct sv_buf out = {0};
    const char *const cat[] = {"cat", file, NULL};
    CHECK_INT(run_argv(cat, &out), 0);
    printf("  %s", out.p);
    CHECK(strncmp(out.p, "bad 0 [] download 200 4000000 good 1", 36) == 0);
    sv_buf_free(&out);
}

static void echoes_udp(void)
{
    struct sv_buf out = {0};
    struct sv_net_balancer u = udp;
    struct sv_net_node some[NODES];
    memcpy(some, nodes, sizeof(some));
    u.nodes = some;
    u.policy = SV_NET_WRR;
    APPLY(u);
    ask(&out, "udp", ROUTER, "7001", "60", NULL);
    CHECK(said(&out, "a 10") && said(&out, "b 20") && said(&out, "c 30") && !said(&out, "lost"));
    sv_buf_free(&out);
    /* Taken anew by the nginx that runs. */
    const pid_t pid = master("nginx.pid");
    some[2].on = false;
    APPLY(u);
    CHECK_INT(master("nginx.pid"), pid);
    ask(&out, "udp", ROUTER, "7001", "30", NULL);
    CHECK(said(&out, "a 10") && said(&out, "b 20") && !said(&out, "c "));
    sv_buf_free(&out);
    APPLY(u);
}

static void refused(struct sv_net_balancer b, enum sv_err code, const char *why)
{
    const struct sv_net_balancer both[] = {b, udp};
    CHECK_INT(balance_apply(NULL, netns, dir, both, b.proto == SV_NET_BALANCE_UDP ? 1 : 2, &err), code);
    if (strncmp(err.arg[0], why, strlen(why)) != 0)
        check_failed(__FILE__, __LINE__, "%s", err.arg[0]);
}

static void refuses_what_does_not_load(void)
{
    struct sv_net_balancer b = tcp, h = http, s = https, u = udp;
    APPLY(tcp, udp);
    const pid_t pid = worker(), udp_pid = master("nginx.pid");
    SV_AUTOFREE char *before = slurp("haproxy.cfg");
    b.check_every = 0; /* HAProxy takes no such interval */
    refused(b, SV_E_NETWORK, "haproxy: ");
    h.check_path = "/x\nbind";
    refused(h, SV_E_INTERNAL, "a path");
    s.pem = "-----BEGIN CERTIFICATE-----\nbind\n";
    refused(s, SV_E_INTERNAL, "a balancer without a certificate");
    SV_AUTOFREE char *after = slurp("haproxy.cfg");
    CHECK_STR(after, before);
    CHECK_INT(worker(), pid);
    u.max_connections = 0; /* nginx takes no such limit */
    refused(u, SV_E_NETWORK, "nginx: ");
    CHECK_INT(master("nginx.pid"), udp_pid);
    struct sv_buf out = {0};
    ask(&out, "udp", ROUTER, "7001", "3", NULL);
    CHECK(!said(&out, "lost"));
    sv_buf_free(&out);
}

/* The first of its namespace of processes, as this one is, gets the daemons as children. */
static void kill_hard(pid_t pid)
{
    CHECK_INT(kill(pid, SIGKILL), 0);
    CHECK_INT(waitpid(pid, NULL, 0), pid);
}

static bool whole(void)
{
    bool ret = false;
    OK(balance_whole(NULL, netns, dir, &ret, &err));
    return ret;
}

static void comes_back_after_kills(void)
{
    APPLY(tcp, udp);
    CHECK(whole());
    kill_hard(master("nginx.pid"));
    CHECK(!whole());
    APPLY(tcp, udp);
    CHECK(whole());
    kill_hard(master("haproxy.pid"));
    CHECK(!whole());
    kill_hard(master("nginx.pid"));
    const int64_t begin = sv_mono_ms();
    APPLY(tcp, udp);
    printf("  back after %lld ms\n", (long long)(sv_mono_ms() - begin));
    CHECK_INT(processes(), 4);
    struct sv_buf out = {0};
    ask(&out, "hold", ROUTER, "7001", "3", "1");
    ask(&out, "udp", ROUTER, "7001", "3", NULL);
    CHECK(!said(&out, "lost"));
    sv_buf_free(&out);
    /* Only the worker; then without the file that says which process it is. */
    const pid_t whole = master("haproxy.pid");
    kill(worker(), SIGKILL);
    CHECK_INT(waitpid(whole, NULL, 0), whole);
    APPLY(tcp, udp);
    SV_AUTOFREE char *pid_file = sv_asprintf("%s/haproxy.pid", dir);
    const pid_t pid = worker();
    CHECK_INT(unlink(pid_file), 0);
    tcp.retries = 3; /* another shape */
    APPLY(tcp, udp);
    CHECK_INT(kill(pid, 0), 0);
}

static unsigned occurrences(const struct sv_buf *b, const char *what)
{
    unsigned n = 0;
    for (const char *p = b->p; (p = strstr(p, what)) != NULL; p++)
        n++;
    return n;
}

/* The socket is root's, what serves is nobody. */
static void has_no_rights(void)
{
    struct stat st;
    SV_AUTOFREE char *path = sv_asprintf("%s/haproxy.sock", dir);
    CHECK_INT(stat(dir, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0700);
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    CHECK_INT(st.st_uid, 0);
    struct sv_buf out = {0};
    const char *const argv[] = {"sh", "-c", "for p in $(ip netns pids lb); do cat /proc/$p/status; done", NULL};
    CHECK_INT(run_argv(argv, &out), 0);
    /* But for the two masters. */
    CHECK_INT(occurrences(&out, "CapEff:\t0000000000000000"), occurrences(&out, "CapEff:") - 2);
    CHECK(!said(&out, "NoNewPrivs:\t0"));
    sv_buf_free(&out);
}

static void leaves_nothing(void)
{
    OK(balance_remove(NULL, netns, dir, &err));
    OK(balance_remove(NULL, netns, dir, &err));
    CHECK_INT(processes(), 0);
    CHECK(access(dir, F_OK) != 0);
    struct states s = states(&tcp);
    CHECK_INT(s.of[0], SV_NET_NODE_UNKNOWN);
    close(nodes_stdin);
    CHECK_INT(waitpid(nodes_pid, NULL, 0), nodes_pid);
    close(netns);
    sv_certificate_free(&first);
    sv_certificate_free(&second);
    CHECK_INT(RUN("ip", "netns", "del", "lb"), 0);
}

static const struct check_test tests[] = {
    T(before_its_address_is_there),
    T(distributes),
    T(twice_is_nothing),
    T(speaks_http),
    T(finds_a_dead_node),
    T(changes_in_place),
    T(changes_cost_no_request),
    T(echoes_udp),
    T(refuses_what_does_not_load),
    T(comes_back_after_kills),
    T(has_no_rights),
    T(leaves_nothing),
};

static void prepare(void)
{
    dir = sv_asprintf("%s/balance of a router", work);
}

int main(int argc, char **argv)
{
    peer = realpath(BALANCE_PEER, NULL);
    CHECK(peer);
    const int status = net_sandbox(tests, sizeof(tests) / sizeof(tests[0]), prepare, argc, argv);
    free(peer);
    free(dir);
    return status;
}
