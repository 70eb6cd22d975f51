/* Live connections and how long each may take (threat 18, slow requests): a client that trickles its head
 * or body is cut off by time, whatever it sends in between. Threads: open and close anywhere, the phase is
 * set by the thread that serves the connection. */
#ifndef STARVIRT_SERVER_LINKS_H
#define STARVIRT_SERVER_LINKS_H

#include "server/peer.h"

#include <stdatomic.h>

struct sv_arena;

struct sv_link {
    int fd;
    struct sv_peer peer;
    struct sv_arena *arena;       /* of the request being served; reset between requests */
    _Atomic int64_t expires;      /* [ms] monotonic, 0 = no limit now */
    struct sv_link *next, **link; /* the list's */
};

struct sv_links;
struct sv_links *sv_links_new(void);
/* All connections must be closed. NULL ok. */
void sv_links_free(struct sv_links *cs);
/* Starts with the time limit of an idle connection. */
struct sv_link *sv_link_open(struct sv_links *cs, int fd, const struct sv_peer *peer);
/* Before the descriptor is closed: afterwards its number may be another's. */
void sv_link_close(struct sv_links *cs, struct sv_link *c);
/* From now on `seconds` for the phase that begins; 0 = unlimited. */
void sv_link_limit(struct sv_link *c, unsigned seconds);
/* The server stops: who is still sending, or says nothing, is cut off after this. */
void sv_links_hurry(struct sv_links *cs, unsigned seconds);
unsigned sv_links_count(struct sv_links *cs);

#endif
