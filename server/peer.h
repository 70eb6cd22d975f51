/* The other end of a connection, as the kernel names it; headers that claim another are never believed. */
#ifndef STARVIRT_SERVER_PEER_H
#define STARVIRT_SERVER_PEER_H

#include <stdbool.h>
#include <stdint.h>

struct sockaddr;

struct sv_peer {
    uint8_t net[16]; /* who is counted: an IPv4 address (mapped), or the /64 of an IPv6 one */
    bool loopback;
};

/* `sa` NULL or of another family: no address, not loopback. */
struct sv_peer sv_peer_of(const struct sockaddr *sa);

#endif
