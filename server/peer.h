/* Addresses that ask: the other end of a connection as the kernel names it, or a client that a trusted proxy names. */
#ifndef STARVIRT_SERVER_PEER_H
#define STARVIRT_SERVER_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sockaddr;

enum { SV_PEER_BYTES = 16, SV_PEER_TEXT = 46 };

struct sv_peer {
    uint8_t address[SV_PEER_BYTES]; /* IPv6, or an IPv4 one mapped; all zero = none */
    uint8_t net[SV_PEER_BYTES];     /* who is counted: an IPv4 address (mapped), or the /64 of an IPv6 one */
    bool proxy;                     /* trusted (server/proxies.h): many stand behind it. Its owner's to set */
};

/* `sa` NULL or of another family: no address. */
struct sv_peer sv_peer_of(const struct sockaddr *sa);
/* "10.0.0.1", "10.0.0.1:80", "2001:db8::1", "[2001:db8::1]:80"; a port may be hidden ("_x", RFC 7239). False: none of
 * these. */
bool sv_peer_parse(const char *text, size_t n, struct sv_peer *ret);
bool sv_peer_same(const struct sv_peer *a, const struct sv_peer *b);
/* As people write it; "-" = none. */
void sv_peer_text(const struct sv_peer *p, char ret[SV_PEER_TEXT]);

#endif
