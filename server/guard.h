/* Against guessing tokens (threat 34): an address whose tokens are wrong many times has to wait before it is told of
 * another that it is wrong, longer each time. Good tokens are none of its business: who shares an address with somebody
 * that guesses, or is misconfigured, is served all the same, and starts nobody anew. A small fixed table: an attacker
 * with many addresses displaces the oldest entries and never costs memory. Threads: any. */
#ifndef STARVIRT_SERVER_GUARD_H
#define STARVIRT_SERVER_GUARD_H

#include "server/peer.h"

enum {
    SV_GUARD_FREE = 20,         /* wrong tokens before the first wait */
    SV_GUARD_MAX_WAIT_S = 60,   /* [s] 1, 2, 4 ... up to this */
    SV_GUARD_FORGET_S = 15 * 60 /* [s] without a wrong token */
};

struct sv_guard;
struct sv_guard *sv_guard_new(void);
void sv_guard_free(struct sv_guard *g); /* NULL ok */

/* A wrong token of the address. 0 = counted; else [s] it has still to wait, and it does not count. *ret_held (may be
 * NULL): with this one the waiting began, or began anew. `now` is sv_mono_ms(). */
unsigned sv_guard_failed(struct sv_guard *g, const struct sv_peer *p, int64_t now, bool *ret_held);

#endif
