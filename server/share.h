/* What all tenants share and nobody may take whole: places for long polls, parked requests, uploads, consoles.
 * A supply is a row; who asks for a place of it gets one, or is told what is used up (always safe to retry):
 * - a tenant holds at most a quarter (SHARE_USED), an administrator's tenant three quarters;
 * - the last sixteenth is left to those who hold none yet, so that four tenants do not shut out a fifth (OVERLOADED).
 * Threads: any. */
#ifndef STARVIRT_SERVER_SHARE_H
#define STARVIRT_SERVER_SHARE_H

#include "starvirt/actor.h"
#include "starvirt/error.h"

enum sv_supply { SV_SUPPLY_POLLS, SV_SUPPLY_PARKED, SV_SUPPLY_UPLOADS, SV_SUPPLY_CONSOLES, SV_SUPPLY_COUNT };

struct sv_supply_row {
    const char *name;  /* as errors say it */
    const char *label; /* as metrics say it */
    unsigned limit;    /* places in all */
};
extern const struct sv_supply_row sv_supplies[SV_SUPPLY_COUNT];

/* A place that is held, or none ({0}). Belongs to one thread at a time. */
struct sv_place {
    struct holder *holder; /* the room's own; NULL = none */
    enum sv_supply of;
};

struct sv_shares;
/* `most`: places in all supplies together, as many as there are connections; supplies are scaled down to it. */
struct sv_shares *sv_shares_new(unsigned most);
void sv_shares_free(struct sv_shares *s); /* all places given back; NULL ok */

/* SHARE_USED or OVERLOADED. `p` holds nothing before. */
enum sv_err sv_share_take(struct sv_shares *s, enum sv_supply of, const struct sv_actor *who, struct sv_place *p,
                          struct sv_error *err);
/* Nothing happens when `p` holds nothing. */
void sv_share_give(struct sv_shares *s, struct sv_place *p);

struct sv_supply_stats {
    unsigned limit, used;
    unsigned tenants, most;                 /* who hold some, and what one of them holds at most */
    uint64_t refused_share, refused_supply; /* since the start */
};
void sv_shares_stats(struct sv_shares *s, enum sv_supply of, struct sv_supply_stats *ret);

#endif
