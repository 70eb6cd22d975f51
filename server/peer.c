#include "server/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static struct sv_peer from_ip6(const struct in6_addr *ip)
{
    struct sv_peer p = {.proxy = false};
    memcpy(p.address, ip->s6_addr, sizeof(p.address));
    /* One customer holds a /64: counting single addresses would count nothing. */
    bool whole = IN6_IS_ADDR_V4MAPPED(ip) || IN6_IS_ADDR_LOOPBACK(ip);
    memcpy(p.net, ip->s6_addr, whole ? sizeof(p.net) : sizeof(p.net) / 2);
    return p;
}

static struct sv_peer from_ip4(const struct in_addr *ip)
{
    struct in6_addr mapped = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&mapped.s6_addr[12], ip, 4);
    return from_ip6(&mapped);
}

struct sv_peer sv_peer_of(const struct sockaddr *sa)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (sa && sa->sa_family == AF_INET) {
        memcpy(&v4, sa, sizeof(v4));
        return from_ip4(&v4.sin_addr);
    }
    if (sa && sa->sa_family == AF_INET6) {
        memcpy(&v6, sa, sizeof(v6));
        return from_ip6(&v6.sin6_addr);
    }
    return (struct sv_peer){0};
}

/* A number, or a name that hides it. */
static bool is_port(const char *p, size_t n)
{
    const char *of = "0123456789";
    size_t i = 0;
    if (n > 0 && p[0] == '_') {
        of = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
        i = 1;
    } else if (n > 5) {
        return false;
    }
    for (size_t first = i; i < n; i++)
        if (!strchr(of, p[i]) || i - first > 64)
            return false;
    return n > 0;
}

bool sv_peer_parse(const char *text, size_t n, struct sv_peer *ret)
{
    char host[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    const bool bracket = n > 0 && text[0] == '[';
    const char *end = bracket ? memchr(text, ']', n) : memchr(text, ':', n);
    if (bracket && !end)
        return false;
    if (!bracket && end && memchr(end + 1, ':', n - (size_t)(end + 1 - text)))
        end = NULL; /* IPv6 as it is */
    const char *begin = text + bracket, *rest = end ? end + bracket : text + n;
    const size_t host_n = (size_t)((end ? end : text + n) - begin), left = n - (size_t)(rest - text);
    if (host_n >= sizeof(host) || (left > 0 && (rest[0] != ':' || !is_port(rest + 1, left - 1))))
        return false;
    memcpy(host, begin, host_n);
    host[host_n] = '\0';
    if (memchr(host, '\0', host_n))
        return false;
    if (!bracket && inet_pton(AF_INET, host, &v4) == 1) {
        *ret = from_ip4(&v4);
        return true;
    }
    if ((!bracket && end) || inet_pton(AF_INET6, host, &v6) != 1)
        return false;
    *ret = from_ip6(&v6);
    return true;
}

bool sv_peer_same(const struct sv_peer *a, const struct sv_peer *b)
{
    return memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

void sv_peer_text(const struct sv_peer *p, char ret[SV_PEER_TEXT])
{
    static const struct sv_peer none;
    struct in6_addr ip;
    memcpy(&ip, p->address, sizeof(ip));
    bool v4 = IN6_IS_ADDR_V4MAPPED(&ip);
    if (sv_peer_same(p, &none) || !inet_ntop(v4 ? AF_INET : AF_INET6, p->address + (v4 ? 12 : 0), ret, SV_PEER_TEXT))
        snprintf(ret, SV_PEER_TEXT, "-");
}
