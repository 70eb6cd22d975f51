/* What balancers become as text, and what is read out of what HAProxy prints; nothing runs. */
#include "golden.h"
#include "net/balance/internal.h"

#define ID(n)                                                                                                          \
    {                                                                                                                  \
        "0190aaaa-bbbb-7ccc-8ddd-0000000000" n                                                                         \
    }

static const struct sv_net_node nodes[] = {{ID("11"), 0x0A800105, 8080, 1, true},
                                           {ID("12"), 0x0A800106, 8080, 5, true},
                                           {ID("13"), 0x0A800207, 80, 10, false}};

static struct sv_net_balancer balancer(enum sv_net_balancer_proto proto, enum sv_net_policy policy, const char *id)
{
    struct sv_net_balancer b = {.proto = proto,
                                .policy = policy,
                                .ip = 0xC6336402,
                                .port = 80,
                                .url_path = "",
                                .check_path = "",
                                .check_every = 5,
                                .check_timeout = 3,
                                .retries = 3,
                                .idle_timeout = 30,
                                .max_connections = 1000,
                                .nodes = nodes,
                                .node_count = 3};
    SV_COPY(b.id.s, "0190aaaa-bbbb-7ccc-8ddd-0000000000");
    memcpy(b.id.s + SV_ID_LEN - 2, id, 3);
    return b;
}

static void text_of(const struct sv_net_balancer *v, size_t n, struct sv_buf *out, char shape[BALANCE_SHAPE_LEN + 1])
{
    struct sv_error err;
    const struct sv_net_balancer *list[8];
    for (size_t i = 0; i < n; i++)
        list[i] = &v[i];
    CHECK_INT(haproxy_text(&(struct balancers){list, n}, out, shape, &err), SV_OK);
}

static void haproxy_golden(void)
{
    char shape[BALANCE_SHAPE_LEN + 1];
    struct sv_buf out = {0};
    struct sv_net_balancer v[] = {
        balancer(SV_NET_BALANCE_TCP, SV_NET_RR, "01"), balancer(SV_NET_BALANCE_HTTP, SV_NET_WRR, "02"),
        balancer(SV_NET_BALANCE_HTTPS, SV_NET_WLC, "03"), balancer(SV_NET_BALANCE_HTTP, SV_NET_RR, "04")};
    v[1].url_path = "/shop/";
    v[1].check_path = "/shop/health?deep=1&x=%20;$a";
    v[1].idle_timeout = 5;
    v[2].port = 443;
    v[2].check_path = "/";
    v[2].check_timeout = 300;
    v[3].url_path = "/";
    v[3].node_count = 0;
    v[3].max_connections = 4000000000U;
    text_of(v, 4, &out, shape);
    matches_golden_file("balance_haproxy.cfg", out.p);
    sv_buf_free(&out);
}

static void nginx_golden(void)
{
    struct sv_error err;
    struct sv_buf out = {0};
    struct sv_net_balancer v[] = {balancer(SV_NET_BALANCE_UDP, SV_NET_RR, "01"),
                                  balancer(SV_NET_BALANCE_UDP, SV_NET_WLC, "02"),
                                  balancer(SV_NET_BALANCE_UDP, SV_NET_WRR, "03")};
    v[1].port = 53;
    v[2].node_count = 0;
    const struct sv_net_balancer *list[] = {&v[0], &v[1], &v[2]};
    CHECK_INT(nginx_text(&(struct balancers){list, 3}, &out, &err), SV_OK);
    matches_golden_file("balance_nginx.conf", out.p);
    sv_buf_free(&out);
}

/* The shape is all that a running HAProxy cannot be told. */
static void shape(void)
{
    struct sv_net_node some[3];
    char a[BALANCE_SHAPE_LEN + 1], b[BALANCE_SHAPE_LEN + 1];
    struct sv_buf out = {0};
    struct sv_net_balancer x = balancer(SV_NET_BALANCE_TCP, SV_NET_WRR, "01");
    text_of(&x, 1, &out, a);
    memcpy(some, nodes, sizeof(some));
    some[0].weight = 9;
    some[1].on = false;
    x.nodes = some;
    x.node_count = 2;
    x.policy = SV_NET_RR; /* the same algorithm, other weights */
    text_of(&x, 1, &out, b);
    CHECK_STR(b, a);
    x.retries++;
    text_of(&x, 1, &out, b);
    CHECK(strcmp(a, b) != 0);
    sv_buf_free(&out);
}

static void nothing_breaks_out(void)
{
    static const char *const bad[] = {"/a\nbind *:1",
                                      "/a b",
                                      "/a\"",
                                      "/a'b",
                                      "a",
                                      "/a\\",
                                      "/a#b",
                                      "/a\t",
                                      "/{",
                                      "/é",
                                      "/\r",
                                      ("/a\x01"
                                       "b"),
                                      "/a[b]"};
    char ignored[BALANCE_SHAPE_LEN + 1];
    for (size_t i = 0; i < 2 * sizeof(bad) / sizeof(bad[0]); i++) {
        struct sv_error err;
        struct sv_buf out = {0};
        struct sv_net_balancer b = balancer(SV_NET_BALANCE_HTTP, SV_NET_RR, "01");
        const struct sv_net_balancer *list[] = {&b};
        *(i % 2 ? &b.url_path : &b.check_path) = bad[i / 2];
        CHECK_INT(haproxy_text(&(struct balancers){list, 1}, &out, ignored, &err), SV_E_INTERNAL);
        CHECK(!out.p);
        sv_buf_free(&out);
    }
    struct sv_error err;
    struct sv_buf out = {0};
    struct sv_net_balancer b = balancer(SV_NET_BALANCE_TCP, SV_NET_RR, "01");
    const struct sv_net_balancer *list[] = {&b};
    SV_COPY(b.id.s, "x\nuser root");
    CHECK_INT(haproxy_text(&(struct balancers){list, 1}, &out, ignored, &err), SV_E_INTERNAL);
    CHECK_INT(nginx_text(&(struct balancers){list, 1}, &out, &err), SV_E_INTERNAL);
    sv_buf_free(&out);
}

/* --- what is read --- */

#define NODE(n, at) "0190aaaa-bbbb-7ccc-8ddd-0000000000" n ":" at
#define BACKEND     "b-0190aaaa-bbbb-7ccc-8ddd-000000000001"
#define HEAD        "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight rest\n"

static bool read_text(const char *text, struct running *ret)
{
    struct sv_buf b = {0};
    sv_buf_puts(&b, text);
    const bool done = running_read(&b, ret);
    sv_buf_free(&b);
    return done;
}

static void changes(void)
{
    struct running is;
    struct sv_buf out = {0};
    struct sv_net_balancer b = balancer(SV_NET_BALANCE_TCP, SV_NET_WRR, "01");
    const struct sv_net_balancer *list[] = {&b};
    const struct balancers want = {list, 1};
    CHECK(read_text(
        "Name: HAProxy\nPid: 42\ndescription: abc\n\n1\n" HEAD "3 " BACKEND " 1 " NODE(
            "11", "10.128.1.5:8080") " 10.128.1.5 0 0 1 1 7 8\n"
                                     "3 " BACKEND " 2 " NODE(
                                         "12", "10.128.1.6:8080") " 10.128.1.6 2 1 4 1 7 8\n"
                                                                  "3 " BACKEND " 9 " NODE(
                                                                      "12",
                                                                      "10.128.1.6:80") " 10.128.1.6 2 0 5 5 7 8\n",
        &is));
    CHECK_INT(is.pid, 42);
    CHECK_STR(is.shape, "abc");
    running_changes(&is, &want, &out);
    CHECK_STR(
        out.p,
        "set server " BACKEND "/" NODE(
            "12",
            "10.128.1.6:8080") " weight 5\n"
                               "set server " BACKEND "/" NODE(
                                   "12",
                                   "10.128.1.6:8080") " state ready\n"
                                                      "add server " BACKEND "/" NODE(
                                                          "13",
                                                          "10.128.2.7:80") " 10.128.2.7:80 "
                                                                           "check inter 5s fall 3 rise 2 weight 10\n"
                                                                           "enable health " BACKEND "/" NODE(
                                                                               "13",
                                                                               "10.128.2.7:80") "\n"
                                                                                                "set server " BACKEND
                                                                                                "/" NODE(
                                                                                                    "12",
                                                                                                    "10.128.1.6:"
                                                                                                    "80") " state "
                                                                                                          "maint\n"
                                                                                                          "del "
                                                                                                          "server"
                                                                                                          " " BACKEND
                                                                                                          "/" NODE(
                                                                                                              "12",
                                                                                                              "10."
                                                                                                              "128"
                                                                                                              ".1."
                                                                                                              "6:"
                                                                                                              "80") "\n");
    sv_buf_free(&out);
    running_state(&is, &want, &out);
    CHECK_STR(out.p, "1\n3 " BACKEND " 1 " NODE("11", "10.128.1.5:8080") " 10.128.1.5 0 0 1 1 7 8\n");
    sv_buf_free(&out);
    running_free(&is);
}

static void odd_answers(void)
{
    static const char *const none[] = {"",
                                       "\n",
                                       "Pid: 1\n",
                                       "Pid: x\ndescription: y\n" HEAD,
                                       "Pid: 1\n" HEAD,
                                       "Pid: 1\ndescription: y\n# be_name srv_name\n",
                                       "Unknown command\n"};
    struct running is;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        CHECK(!read_text(none[i], &is));
    /* Cut rows count for nothing, long names are cut. */
    CHECK(read_text("Pid: 1\ndescription: y\n" HEAD "3 b 1\n\n 3\n4 b 2 "
                    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn a 0 0 "
                    "99999999999999999999999 1",
                    &is));
    CHECK_INT(is.n, 1);
    CHECK_INT(strlen(is.v[0].name), BALANCE_NAME_MAX - 1);
    CHECK_INT(is.v[0].weight, 0);
    running_free(&is);
}

struct seen {
    unsigned n;
    struct sv_net_node_fact last;
};

static void note(void *arg, const struct sv_net_node_fact *f)
{
    struct seen *s = arg;
    s->n++;
    s->last = *f;
}

static struct seen facts(const char *text)
{
    struct seen s = {0};
    struct sv_buf b = {0};
    sv_buf_puts(&b, text);
    running_facts(&b, note, &s);
    sv_buf_free(&b);
    return s;
}

#define STAT "# pxname,svname,qcur,scur,stot,bin,bout,status,last_chk,x\n"

static void node_facts(void)
{
    struct seen s =
        facts(STAT BACKEND "," NODE("11", "10.0.0.1:80") ",0,3,17,100,18446744073709551000,UP 1/3,\"a,\"\"b\nc\",\n");
    CHECK_INT(s.n, 1);
    CHECK_STR(s.last.node.s, "0190aaaa-bbbb-7ccc-8ddd-000000000011");
    CHECK_STR(s.last.balancer.s, "0190aaaa-bbbb-7ccc-8ddd-000000000001");
    CHECK_INT(s.last.state, SV_NET_NODE_UP);
    CHECK(s.last.connections == 3 && s.last.sessions == 17 && s.last.bytes_in == 100);
    CHECK_INT(facts(STAT BACKEND "," NODE("11", "1") ",,,,,,DOWN (agent),,\n").last.state, SV_NET_NODE_DOWN);
    CHECK_INT(facts(STAT BACKEND "," NODE("11", "1") ",,,,,,MAINT,,\n").last.state, SV_NET_NODE_OFF);
    CHECK_INT(facts(STAT BACKEND "," NODE("11", "1") ",,,,,,UPSIDE,,\n").last.state, SV_NET_NODE_UNKNOWN);
    /* Frontends, sums, what is cut, what is none. */
    static const char *const none[] = {"",
                                       "\n",
                                       "#",
                                       "# ",
                                       "# pxname",
                                       "\"",
                                       STAT,
                                       STAT "f-x,FRONTEND,,1,1,1,1,OPEN\n",
                                       STAT BACKEND ",BACKEND,,1,1,1,1,UP\n",
                                       STAT BACKEND "," NODE("11", "1") ",0,3\n",
                                       STAT "\"" BACKEND "," NODE("11", "1"),
                                       STAT ",,,,,,,,,,,,,\n\n\n,\n"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        CHECK_INT(facts(none[i]).n, 0);
}

/* Every beginning of an answer, and every answer with one byte that is another's: no row that is none, no byte beyond.
 */
static void cut_and_broken(void)
{
    static const char text[] = STAT BACKEND "," NODE("11", "1") ",0,3,17,1,1,UP,\"a,\"\"b\",\n" BACKEND
                                                                "," NODE("12", "1") ",0,3,17,1,1,UP,,\n";
    static const char odd[] = "\",\n# \0\xff";
    for (size_t n = 0; n < sizeof(text); n++) {
        SV_AUTOFREE char *part = sv_asprintf("%.*s", (int)n, text);
        CHECK(facts(part).n <= 2);
        for (size_t k = 0; k < sizeof(odd) - 1; k++) {
            SV_AUTOFREE char *whole = sv_strdup(text);
            struct seen s = {0};
            struct sv_buf b = {0};
            if (n < sizeof(text) - 1)
                whole[n] = odd[k];
            sv_buf_add(&b, whole, sizeof(text) - 1);
            running_facts(&b, note, &s);
            CHECK(s.n <= 3);
            sv_buf_free(&b);
        }
    }
}

CHECK_MAIN(T(haproxy_golden), T(nginx_golden), T(shape), T(nothing_breaks_out), T(changes), T(odd_answers),
           T(node_facts), T(cut_and_broken))
