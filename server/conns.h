/* Live connections and how long each may take (threat 18, slow requests): a client that trickles its head
 * or body is cut off by time, whatever it sends in between. Threads: open and close anywhere, the phase is
 * set by the thread that serves the connection. */
#ifndef STARVIRT_SERVER_CONNS_H
#define STARVIRT_SERVER_CONNS_H

#include "server/peer.h"

#include <stdatomic.h>

struct sv_arena;

struct sv_conn {
    int fd;
    struct sv_peer peer;
    struct sv_arena *arena;       /* of the request being served; reset between requests */
    _Atomic int64_t expires;      /* [ms] monotonic, 0 = no limit now */
    struct sv_conn *next, **link; /* the list's */
};

struct sv_conns;
struct sv_conns *sv_conns_new(void);
/* All connections must be closed. NULL ok. */
void sv_conns_free(struct sv_conns *cs);
/* Starts with the time limit of an idle connection. */
struct sv_conn *sv_conn_open(struct sv_conns *cs, int fd, const struct sv_peer *peer);
/* Before the descriptor is closed: afterwards its number may be another's. */
void sv_conn_close(struct sv_conns *cs, struct sv_conn *c);
/* From now on `seconds` for the phase that begins; 0 = unlimited. */
void sv_conn_limit(struct sv_conn *c, unsigned seconds);
unsigned sv_conns_count(struct sv_conns *cs);

#endif
