/* Live connections: how long each may take, and which go first when places run short (threat 18).
 *
 * A client that trickles its head, its body or the taking of its reply is cut off by time, whatever it sends in
 * between. An address (a /64 of IPv6) holds at most half of the connections that others leave: 2048 of 4096 when it is
 * alone, 1365 each when there are two, fewer with more. Nobody is refused at the door for that: who comes is let in,
 * and what is least worth keeping goes, of the address that has too many, or of all when the total is reached. The
 * order is that of `enum sv_worth`; among equals the address with the most, then the oldest. What is being served never
 * goes.
 *
 * A trusted proxy (`peer.proxy`) is many clients: it has no limit of its own, and each of its connections weighs as one
 * of an address that has no other.
 *
 * Threads: open and close anywhere, the stage is set by the thread that serves the connection. */
#ifndef STARVIRT_SERVER_LINKS_H
#define STARVIRT_SERVER_LINKS_H

#include "server/begun.h"
#include "server/peer.h"

#include <stdatomic.h>

struct sv_arena;
struct sv_request;

enum sv_link_stage {
    SV_LINK_HEAD,   /* no whole head yet, of the first or a later request */
    SV_LINK_BODY,   /* head without its whole body */
    SV_LINK_SERVED, /* a request is being answered, an upload taken, a console shown */
    SV_LINK_REPLY,  /* the reply is on its way */
    SV_LINK_IDLE,   /* between requests */
    SV_LINK_CUT     /* told to go; its thread has not closed it yet */
};

/* What goes first. */
enum sv_worth {
    SV_WORTH_NO_HEAD,
    SV_WORTH_NO_BODY,
    SV_WORTH_IDLE,
    SV_WORTH_REPLY,
    SV_WORTH_GOOD_IDLE, /* has shown a good token: idle, */
    SV_WORTH_GOOD,      /* or sending, or taking its reply */
    SV_WORTH_NEW,       /* no head, but among the last eighth to come: places kept for who has not spoken yet */
    SV_WORTH_SERVED     /* stays */
};

struct sv_link {
    int fd;
    struct sv_peer peer;
    struct sv_arena *arena;     /* of the request being served; reset between requests */
    struct sv_request *request; /* that one, from its first line on; NULL = between two. Its thread's */
    _Atomic int64_t expires;    /* [ms] monotonic, 0 = no limit now */
    _Atomic enum sv_link_stage stage;
    atomic_bool good;                /* has shown a good token, and it still is */
    struct sv_actor shown;           /* whose that was */
    struct sv_begun begun;           /* watches it */
    uint64_t serial, address_serial; /* which in order, of all and of its address */
    struct address *address;
    struct sv_link *next, **link; /* the address's list */
};

struct sv_links;
/* `limit`: connections at a time. */
struct sv_links *sv_links_new(unsigned limit);
/* All connections must be closed. NULL ok. */
void sv_links_free(struct sv_links *cs);
/* Starts with the stage and time limit of a head. May cut others, or this one when its address has nothing better. */
struct sv_link *sv_link_open(struct sv_links *cs, int fd, const struct sv_peer *peer);
/* Before the descriptor is closed: afterwards its number may be another's. */
void sv_link_close(struct sv_links *cs, struct sv_link *c);
/* From now on `seconds` for the stage that begins; 0 = unlimited. False when it was cut: what it asked for is not to
 * be begun any more, its socket is shut down already. */
bool sv_link_stage(struct sv_link *c, enum sv_link_stage stage, unsigned seconds);
void sv_link_good(struct sv_link *c); /* has shown a good token */
/* The same, with the token: what that is worth lasts as long as the token. By the thread that serves it; `seen` as of
 * sv_begun_watch(). sv_link_close() must be preceded by sv_link_forget() then. */
void sv_link_shown(struct sv_link *c, struct sv_begun_room *room, const struct sv_actor *who, uint64_t seen);
void sv_link_forget(struct sv_link *c, struct sv_begun_room *room);
/* The server stops: who is still sending, or says nothing, is cut off after this. */
void sv_links_hurry(struct sv_links *cs, unsigned seconds);

struct sv_links_stats {
    unsigned limit, count, addresses;
    uint64_t cut_late, cut_address, cut_full; /* since the start: time was up, address had too many, all were taken */
};
void sv_links_stats(struct sv_links *cs, struct sv_links_stats *ret);

#endif
