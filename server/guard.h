/* Against guessing tokens (threat 34): an address whose tokens are wrong many times in a row has to wait,
 * longer each time. A small fixed table: an attacker with many addresses displaces the oldest entries and
 * never costs memory. Threads: any. While no address is in the table nothing is locked. */
#ifndef STARVIRT_SERVER_GUARD_H
#define STARVIRT_SERVER_GUARD_H

#include "server/peer.h"

enum {
    SV_GUARD_FREE = 20,         /* wrong tokens in a row before the first wait */
    SV_GUARD_MAX_WAIT_S = 60,   /* [s] 1, 2, 4 ... up to this */
    SV_GUARD_FORGET_S = 15 * 60 /* [s] without a wrong token */
};

struct sv_guard;
struct sv_guard *sv_guard_new(void);
void sv_guard_free(struct sv_guard *g); /* NULL ok */

/* [s] the address has still to wait, 0 = go on. `now` is sv_mono_ms(). */
unsigned sv_guard_wait(struct sv_guard *g, const struct sv_peer *p, int64_t now);
void sv_guard_failed(struct sv_guard *g, const struct sv_peer *p, int64_t now);
/* A good token: the address starts anew. */
void sv_guard_cleared(struct sv_guard *g, const struct sv_peer *p);

#endif
