/* Packets between namespaces: sockets are made inside and used from here, so that nothing is started for them. */
#ifndef NET_TRAFFIC_H
#define NET_TRAFFIC_H

#include "net_sandbox.h"

enum { TRAFFIC_YES_MS = 3000, TRAFFIC_NO_MS = 300 };

/* A socket of the namespace ("" = the sandbox's own), bound to address:port; listening when it is TCP. */
int traffic_listen(const char *netns, int type, const char *address, uint16_t port);

/* A connection: both ends, and whom the one that was asked sees. -1 where there is none. */
struct flow {
    int client, server;
    uint32_t seen;
};
/* From the namespace to address:port; does it come out at `listener`? TCP is accepted, a datagram of UDP answered. */
bool flow_tcp(const char *netns, const char *address, uint16_t port, int listener, unsigned ms, struct flow *ret);
bool flow_udp(const char *netns, const char *address, uint16_t port, int listener, unsigned ms, uint32_t *ret_seen);
/* From this socket; 0 when nothing came. */
uint32_t udp_seen(int from, const char *address, uint16_t port, int listener);
/* Does a word get through, there and back? */
bool flow_lives(const struct flow *f, unsigned ms);
void flow_close(struct flow *f);

#endif
