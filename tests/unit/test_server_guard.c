#include "check.h"
#include "server/guard.h"

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
    CHECK(peer4("127.0.0.1").loopback && peer4("127.9.9.9").loopback && !peer4("128.0.0.1").loopback);
    CHECK(peer6("::1").loopback && !peer6("::2").loopback && peer6("::ffff:127.0.0.1").loopback);
    CHECK(same(peer4("10.0.0.1"), peer6("::ffff:10.0.0.1")));
    CHECK(same(peer6("2001:db8::1"), peer6("2001:db8::ffff:1")));
    CHECK(!same(peer6("2001:db8::1"), peer6("2001:db8:0:1::1")));
    CHECK(!sv_peer_of(NULL).loopback);
}

static void waits_double(void)
{
    struct sv_guard *g = sv_guard_new();
    struct sv_peer p = peer4("10.0.0.1"), other = peer4("10.0.0.2");
    int64_t now = 1000000;
    for (int i = 0; i < SV_GUARD_FREE - 1; i++)
        sv_guard_failed(g, &p, now);
    CHECK_INT(sv_guard_wait(g, &p, now), 0);
    static const unsigned waits[] = {1, 2, 4, 8, 16, 32, 60, 60};
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        sv_guard_failed(g, &p, now);
        CHECK_INT(sv_guard_wait(g, &p, now), waits[i]);
        CHECK_INT(sv_guard_wait(g, &other, now), 0);
        now += waits[i] * 1000;
        CHECK_INT(sv_guard_wait(g, &p, now), 0);
    }
    sv_guard_free(g);
}

static void good_token_clears(void)
{
    struct sv_guard *g = sv_guard_new();
    struct sv_peer p = peer4("10.0.0.1");
    for (int i = 0; i < SV_GUARD_FREE; i++)
        sv_guard_failed(g, &p, 5000);
    CHECK_INT(sv_guard_wait(g, &p, 5000), 1);
    sv_guard_cleared(g, &p);
    CHECK_INT(sv_guard_wait(g, &p, 5000), 0);
    sv_guard_failed(g, &p, 5000);
    CHECK_INT(sv_guard_wait(g, &p, 5000), 0);
    sv_guard_free(g);
}

static void forgets(void)
{
    struct sv_guard *g = sv_guard_new();
    struct sv_peer p = peer4("10.0.0.1");
    for (int i = 0; i < SV_GUARD_FREE - 1; i++)
        sv_guard_failed(g, &p, 5000);
    int64_t later = 5001 + SV_GUARD_FORGET_S * 1000;
    CHECK_INT(sv_guard_wait(g, &p, later), 0);
    sv_guard_failed(g, &p, later);
    CHECK_INT(sv_guard_wait(g, &p, later), 0);
    sv_guard_free(g);
}

/* Many addresses displace each other; one that goes on failing is still caught. */
static void bounded(void)
{
    struct sv_guard *g = sv_guard_new();
    struct sv_peer hot = peer4("10.255.0.1");
    for (unsigned i = 0; i < 20000; i++) {
        char ip[32];
        snprintf(ip, sizeof(ip), "10.%u.%u.%u", i >> 16 & 255, i >> 8 & 255, i & 255);
        struct sv_peer p = peer4(ip);
        sv_guard_failed(g, &p, (int64_t)i);
    }
    for (int i = 0; i < SV_GUARD_FREE; i++)
        sv_guard_failed(g, &hot, 20000);
    CHECK_INT(sv_guard_wait(g, &hot, 20000), 1);
    sv_guard_free(g);
}

CHECK_MAIN(T(peers), T(waits_double), T(good_token_clears), T(forgets), T(bounded))
