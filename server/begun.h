/* What was begun with a token and goes on after the token was looked at: requests that wait, uploads, consoles, the
 * standing of a connection. When the token is revoked, expires, or goes with its tenant, all of it is told within a
 * second; what was accepted (a job) is nobody's any more and goes on.
 *
 * A token is not told to be gone, it is found out: whenever rows of tokens changed, when the first of those watched
 * expires, and twice a second while one that can expire is watched (its time is the wall clock's, which is set), all
 * that are watched are looked up by the same rule that lets a request in (sv_auth_again()).
 * Threads: any. */
#ifndef STARVIRT_SERVER_BEGUN_H
#define STARVIRT_SERVER_BEGUN_H

#include "starvirt/core.h"

/* The caller's, valid until sv_begun_forget(); zeroed at first. */
struct sv_begun {
    /* SV_OK while the token is good; then TOKEN_INVALID or TOKEN_EXPIRED. May be read at any time. */
    _Atomic(enum sv_err) over;
    /* the room's */
    void (*ended)(struct sv_begun *b, const struct sv_error *why);
    struct token_watch *of; /* NULL = not watched */
    struct sv_begun *next, **link;
};

struct sv_begun_room;
struct sv_begun_room *sv_begun_room_new(struct sv_db *db);
/* No token is looked up any more; before the database closes. NULL ok. */
void sv_begun_room_stop(struct sv_begun_room *room);
void sv_begun_room_free(struct sv_begun_room *room); /* nothing is watched any more; NULL ok */

/* Rows of tokens changed: from the writer thread, after the commit. Never blocks. */
void sv_begun_changed(struct sv_begun_room *room);
/* To be read before the token is looked at, and given to sv_begun_watch(): so that nothing is missed between. */
uint64_t sv_begun_seen(struct sv_begun_room *room);

/* Watches the token that `who` showed. `ended` (may be NULL: `over` is enough) is called at most once, on another
 * thread, with the room's lock held: it must not block, nor call sv_begun_*. Watched already: nothing happens. */
void sv_begun_watch(struct sv_begun_room *room, struct sv_begun *b, const struct sv_actor *who, uint64_t seen,
                    void (*ended)(struct sv_begun *b, const struct sv_error *why));
/* Afterwards `ended` is neither running nor will it; `over` stays. Nothing happens when b is not watched. */
void sv_begun_forget(struct sv_begun_room *room, struct sv_begun *b);

struct sv_begun_stats {
    unsigned tokens, begun; /* watched */
    uint64_t ended;         /* since the start */
};
void sv_begun_stats(struct sv_begun_room *room, struct sv_begun_stats *ret);

#endif
