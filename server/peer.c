#include "server/peer.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static struct sv_peer from_ip4(uint32_t ip)
{
    struct sv_peer p = {.net = {[10] = 0xff, [11] = 0xff}, .loopback = (ip >> 24) == 127};
    for (unsigned i = 0; i < 4; i++)
        p.net[12 + i] = (uint8_t)(ip >> (24 - 8 * i));
    return p;
}

static struct sv_peer from_ip6(const struct in6_addr *ip)
{
    if (IN6_IS_ADDR_V4MAPPED(ip)) {
        const uint8_t *b = &ip->s6_addr[12];
        return from_ip4((uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]);
    }
    struct sv_peer p = {.loopback = IN6_IS_ADDR_LOOPBACK(ip)};
    /* One customer holds a /64: counting single addresses would count nothing. */
    memcpy(p.net, ip->s6_addr, p.loopback ? 16 : 8);
    return p;
}

struct sv_peer sv_peer_of(const struct sockaddr *sa)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (sa && sa->sa_family == AF_INET) {
        memcpy(&v4, sa, sizeof(v4));
        return from_ip4(ntohl(v4.sin_addr.s_addr));
    }
    if (sa && sa->sa_family == AF_INET6) {
        memcpy(&v6, sa, sizeof(v6));
        return from_ip6(&v6.sin6_addr);
    }
    return (struct sv_peer){0};
}
