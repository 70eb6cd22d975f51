#include "check.h"
#include "server/guard.h"
#include "server/proxies.h"

#include <arpa/inet.h>

static struct sv_peer peer4(const char *ip)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    CHECK(inet_pton(AF_INET, ip, &sa.sin_addr) == 1);
    return sv_peer_of((struct sockaddr *)&sa);
}

static struct sv_peer peer6(const char *ip)
{
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6};
    CHECK(inet_pton(AF_INET6, ip, &sa.sin6_addr) == 1);
    return sv_peer_of((struct sockaddr *)&sa);
}

static bool same(struct sv_peer a, struct sv_peer b)
{
    return memcmp(a.net, b.net, sizeof(a.net)) == 0;
}

static void peers(void)
{
    CHECK(same(peer4("10.0.0.1"), peer6("::ffff:10.0.0.1")));
    CHECK(same(peer6("2001:db8::1"), peer6("2001:db8::ffff:1")));
    CHECK(!same(peer6("2001:db8::1"), peer6("2001:db8:0:1::1")));
    CHECK(!same(peer6("::1"), peer6("::2")));
}

static void waits_double(void)
{
    struct sv_guard *g = sv_guard_new();
    struct sv_peer p = peer4("10.0.0.1"), other = peer4("10.0.0.2");
    int64_t now = 1000000;
    bool held = true;
    for (int i = 0; i < SV_GUARD_FREE - 1; i++)
        CHECK(sv_guard_failed(g, &p, now, &held) == 0 && !held);
    static const unsigned waits[] = {1, 2, 4, 8, 16, 32, 60, 60};
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        CHECK(sv_guard_failed(g, &p, now, &held) == 0 && held); /* told, and from now on it waits */
        CHECK_INT(sv_guard_failed(g, &p, now, &held), waits[i]);
        CHECK(!held);
        CHECK_INT(sv_guard_failed(g, &p, now + 999, NULL), waits[i]);
        if (waits[i] > 1)
            CHECK_INT(sv_guard_failed(g, &p, now + 1000, NULL), waits[i] - 1);
        CHECK_INT(sv_guard_failed(g, &other, now, &held), 0);
        now += waits[i] * 1000;
    }
    sv_guard_free(g);
}

static void forgets(void)
{
    struct sv_guard *g = sv_guard_new();
    struct sv_peer p = peer4("10.0.0.1");
    bool held;
    for (int i = 0; i < SV_GUARD_FREE - 1; i++)
        sv_guard_failed(g, &p, 5000, NULL);
    int64_t later = 5001 + SV_GUARD_FORGET_S * 1000;
    CHECK(sv_guard_failed(g, &p, later, &held) == 0 && !held);
    sv_guard_free(g);
}

/* Many addresses displace each other, never one that goes on failing. */
static void bounded(void)
{
    struct sv_guard *g = sv_guard_new();
    struct sv_peer hot = peer4("10.255.0.1");
    bool held = false;
    for (unsigned i = 0; i < 20000; i++) {
        struct sockaddr_in6 sa = {.sin6_family = AF_INET6,
                                  .sin6_addr.s6_addr = {0x20, 1, 0xd, 0xb8, 0, 0, i >> 8 & 255, i & 255}};
        struct sv_peer p = sv_peer_of((struct sockaddr *)&sa);
        sv_guard_failed(g, &p, (int64_t)i, NULL);
    }
    for (int i = 0; i < SV_GUARD_FREE; i++)
        CHECK_INT(sv_guard_failed(g, &hot, 20000, &held), 0);
    CHECK(held);
    CHECK_INT(sv_guard_failed(g, &hot, 20000, NULL), 1);
    sv_guard_free(g);
}

static const struct {
    const char *text, *address; /* NULL: none */
} addresses[] = {
    {"10.0.0.1", "10.0.0.1"},
    {"10.0.0.1:80", "10.0.0.1"},
    {"10.0.0.1:_x", "10.0.0.1"},
    {"::1", "::1"},
    {"2001:DB8::1", "2001:db8::1"},
    {"[2001:db8::1]", "2001:db8::1"},
    {"[2001:db8::1]:65535", "2001:db8::1"},
    {"[2001:db8::1]:_p-1", "2001:db8::1"},
    {"::ffff:10.0.0.1", "10.0.0.1"},
    {"[::ffff:10.0.0.1]:1", "10.0.0.1"},
    {"", NULL},
    {"unknown", NULL},
    {"_hidden", NULL},
    {"10.0.0", NULL},
    {"10.0.0.1:", NULL},
    {"10.0.0.1:x", NULL},
    {"10.0.0.1:123456", NULL},
    {"[10.0.0.1]", NULL},
    {"[::1", NULL},
    {"[::1]x", NULL},
    {"fe80::1%eth0", NULL},
    {"localhost", NULL},
    {"10.0.0.1 ", NULL},
    {"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111", NULL},
};

static void texts(void)
{
    char text[SV_PEER_TEXT];
    struct sv_peer p;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        bool ok = sv_peer_parse(addresses[i].text, strlen(addresses[i].text), &p);
        if (ok != (addresses[i].address != NULL))
            check_failed(__FILE__, __LINE__, "'%s': %s", addresses[i].text, ok ? "taken" : "refused");
        if (!ok)
            continue;
        sv_peer_text(&p, text);
        CHECK_STR(text, addresses[i].address);
    }
    p = sv_peer_of(NULL);
    sv_peer_text(&p, text);
    CHECK_STR(text, "-");
}

static struct sv_arena *a;

static const struct {
    const char *list;
    bool ok;
} lists[] = {
    {"10.0.0.1", true},        {"10.0.0.0/8, ::1 fd00::/8", true},
    {"0.0.0.0/0", true},       {"::/0", true},
    {"10.0.0.1/32", true},     {"2001:db8::/33", true},
    {"10.0.0.1/8", false},     {"10.0.0.0/33", false},
    {"10.0.0.0/", false},      {"10.0.0.0/-1", false},
    {"2001:db8::1/64", false}, {"::/129", false},
    {"10.0.0.1:80", false},    {"[::1]", false},
    {"proxy.example", false},  {"10.0.0.0/8/8", false},
    {"10.0.0.0/0", false},     {"::1/0", false},
};

static void lists_of_proxies(void)
{
    struct sv_buf why = {0};
    const struct sv_proxies *p;
    a = sv_arena_new();
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if (sv_proxies_parse(a, lists[i].list, &p, &why) != lists[i].ok)
            check_failed(__FILE__, __LINE__, "'%s'", lists[i].list);
    sv_buf_free(&why);
    CHECK(sv_proxies_parse(a, "10.0.0.0/8,172.16.0.0/12,2001:db8::/33", &p, &why));
    static const struct {
        const char *address;
        bool trusted;
    } who[] = {{"10.255.0.1", true},  {"11.0.0.0", false},        {"172.31.255.255", true},
               {"172.32.0.0", false}, {"2001:db8:7fff::1", true}, {"2001:db8:8000::1", false},
               {"::10.0.0.1", false}, {"::ffff:10.0.0.1", true}};
    for (size_t i = 0; i < sizeof(who) / sizeof(who[0]); i++) {
        struct sv_peer peer;
        CHECK(sv_peer_parse(who[i].address, strlen(who[i].address), &peer));
        if (sv_proxies_trust(p, &peer) != who[i].trusted)
            check_failed(__FILE__, __LINE__, "'%s'", who[i].address);
    }
    struct sv_peer peer = peer4("10.0.0.1");
    CHECK(!sv_proxies_trust(NULL, &peer));
}

static const struct {
    const char *plain, *forwarded, *client;
} hops[] = {
    {NULL, NULL, "10.0.0.1"},
    {"203.0.113.9", NULL, "203.0.113.9"},
    {" 203.0.113.9:443 ", NULL, "203.0.113.9"},
    {"\"203.0.113.9\"", NULL, "203.0.113.9"},
    {"2001:db8::1", NULL, "2001:db8::1"},
    {"[2001:db8::1]:443", NULL, "2001:db8::1"},
    {"198.51.100.1, 203.0.113.9", NULL, "203.0.113.9"}, /* the left one is anybody's word */
    {"198.51.100.1, 203.0.113.9, 10.0.0.2", NULL, "203.0.113.9"},
    {"198.51.100.1,,203.0.113.9 ,, 10.0.0.2,", NULL, "203.0.113.9"},
    {"10.0.0.3, 10.0.0.2", NULL, "10.0.0.3"}, /* all trusted: the one farthest away */
    {"203.0.113.9, unknown", NULL, "10.0.0.1"},
    {"203.0.113.9, unknown, 10.0.0.2", NULL, "10.0.0.2"},
    {"127.0.0.1", NULL, "127.0.0.1"},
    {"203.0.113.9, x\"", NULL, "10.0.0.1"},
    {"", NULL, "10.0.0.1"},
    {NULL, "for=203.0.113.9", "203.0.113.9"},
    {NULL, "For=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"},
    {NULL, "proto=https ; FOR=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"},
    {NULL, "for=\"203.0.113.9:_port\"", "203.0.113.9"},
    {NULL, "for=\"203\\.0.113.9\"", "203.0.113.9"},
    {NULL, "for=198.51.100.1, for=203.0.113.9, for=10.0.0.2", "203.0.113.9"},
    {NULL, "for=203.0.113.9, for=unknown", "10.0.0.1"},
    {NULL, "for=203.0.113.9, for=_secret, for=10.0.0.2", "10.0.0.2"},
    {NULL, "for=203.0.113.9, by=10.0.0.2", "10.0.0.1"},
    {NULL, "for=203.0.113.9;for=203.0.113.10", "10.0.0.1"},
    {NULL, "host=\"a,for=1.2.3.4\";for=203.0.113.9", "203.0.113.9"},
    {NULL, "for=", "10.0.0.1"},
    {"203.0.113.9", "for=203.0.113.9", "203.0.113.9"},
    {"203.0.113.9", "for=198.51.100.1", "10.0.0.1"}, /* which of them does the proxy write? */
    {"203.0.113.9", "for=unknown", "10.0.0.1"},
};

static void clients_of_proxies(void)
{
    struct sv_buf why = {0};
    const struct sv_proxies *p;
    struct sv_peer proxy = peer4("10.0.0.1"), other = peer4("192.0.2.1"), found;
    char text[SV_PEER_TEXT];
    CHECK(sv_proxies_parse(a, "10.0.0.0/29", &p, &why));
    for (size_t i = 0; i < sizeof(hops) / sizeof(hops[0]); i++) {
        found = sv_proxies_client(p, &proxy, hops[i].plain, hops[i].forwarded);
        sv_peer_text(&found, text);
        if (strcmp(text, hops[i].client) != 0)
            check_failed(__FILE__, __LINE__, "row %zu: %s instead of %s", i, text, hops[i].client);
        found = sv_proxies_client(p, &other, hops[i].plain, hops[i].forwarded);
        CHECK(sv_peer_same(&found, &other));
        found = sv_proxies_client(NULL, &proxy, hops[i].plain, hops[i].forwarded);
        CHECK(sv_peer_same(&found, &proxy));
    }
    struct sv_buf many = {0};
    for (unsigned i = 0; i < 5000; i++)
        sv_buf_puts(&many, "10.0.0.2,");
    found = sv_proxies_client(p, &proxy, many.p, NULL);
    sv_peer_text(&found, text);
    CHECK_STR(text, "10.0.0.2");
    sv_buf_free(&many);
    sv_arena_free(a);
}

CHECK_MAIN(T(peers), T(waits_double), T(forgets), T(bounded), T(texts), T(lists_of_proxies), T(clients_of_proxies))
