#include "server/share.h"
#include "starvirt/limits.h"
#include "starvirt/mem.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUCKETS = 256 };

const struct sv_supply_row sv_supplies[SV_SUPPLY_COUNT] = {
    [SV_SUPPLY_POLLS] = {"long polls", "long_polls", SV_MAX_POLLS},
    [SV_SUPPLY_PARKED] = {"requests that wait for a job", "parked", SV_MAX_PARKED},
    [SV_SUPPLY_UPLOADS] = {"uploads", "uploads", SV_MAX_UPLOADS},
    [SV_SUPPLY_CONSOLES] = {"consoles", "consoles", SV_MAX_CONSOLES},
};

/* Served connections are not cut to make room: places for others must be left when all supplies are used up. */
_Static_assert((SV_MAX_POLLS + SV_MAX_PARKED + SV_MAX_UPLOADS + SV_MAX_CONSOLES) * 8 <= SV_MAX_CONNECTIONS * 7,
               "supplies leave no connections for anything else");

/* One tenant's places in one supply; lives as long as it has some. */
struct holder {
    struct holder *next;
    struct sv_id tenant;
    unsigned n;
};

struct supply {
    struct sv_supply_stats stats; /* tenants and most are counted when asked for */
    struct holder *buckets[BUCKETS];
};

struct sv_shares {
    pthread_mutex_t lock;
    struct supply supplies[SV_SUPPLY_COUNT];
};

static unsigned share_of(unsigned limit, enum sv_role role)
{
    unsigned quarter = limit / 4 ? limit / 4 : 1;
    return role == SV_ROLE_ADMIN && limit > quarter ? limit - quarter : quarter;
}

static unsigned reserve_of(unsigned limit)
{
    return limit / 16;
}

struct sv_shares *sv_shares_new(unsigned most)
{
    struct sv_shares *s = sv_alloc(sizeof(*s));
    pthread_mutex_init(&s->lock, NULL);
    for (unsigned i = 0; i < SV_SUPPLY_COUNT; i++) {
        uint64_t limit = sv_supplies[i].limit;
        if (most < SV_MAX_CONNECTIONS)
            limit = limit * most / SV_MAX_CONNECTIONS;
        s->supplies[i].stats.limit = limit ? (unsigned)limit : 1;
    }
    return s;
}

void sv_shares_free(struct sv_shares *s)
{
    if (!s)
        return;
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Where the tenant's holder is, or would be. */
static struct holder **find(struct supply *y, const struct sv_id *tenant)
{
    struct holder **at = &y->buckets[sv_hash(tenant->s) % BUCKETS];
    while (*at && !sv_id_eq(&(*at)->tenant, tenant))
        at = &(*at)->next;
    return at;
}

static enum sv_err check(struct supply *y, enum sv_supply of, const struct sv_actor *who, unsigned own,
                         struct sv_error *err)
{
    unsigned limit = y->stats.limit, kept = own ? reserve_of(limit) : 0;
    char text[SV_ERR_ARG_MAX];
    if (own >= share_of(limit, who->role)) {
        y->stats.refused_share++;
        return sv_fail(err, SV_E_SHARE_USED, SV_F_NONE, sv_supplies[of].name, sv_dec(own).s);
    }
    if (y->stats.used + kept < limit)
        return SV_OK;
    y->stats.refused_supply++;
    snprintf(text, sizeof(text), "%u %s", y->stats.used, sv_supplies[of].name);
    return sv_fail(err, SV_E_OVERLOADED, SV_F_NONE, text);
}

enum sv_err sv_share_take(struct sv_shares *s, enum sv_supply of, const struct sv_actor *who, struct sv_place *p,
                          struct sv_error *err)
{
    struct supply *y = &s->supplies[of];
    pthread_mutex_lock(&s->lock);
    struct holder **at = find(y, &who->tenant);
    enum sv_err rc = check(y, of, who, *at ? (*at)->n : 0, err);
    if (!rc) {
        if (!*at) {
            *at = sv_alloc(sizeof(**at));
            (*at)->tenant = who->tenant;
        }
        (*at)->n++;
        y->stats.used++;
        *p = (struct sv_place){.holder = *at, .of = of};
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void sv_share_give(struct sv_shares *s, struct sv_place *p)
{
    if (!p->holder)
        return;
    struct supply *y = &s->supplies[p->of];
    pthread_mutex_lock(&s->lock);
    y->stats.used--;
    if (--p->holder->n == 0) {
        struct holder **at = find(y, &p->holder->tenant);
        *at = p->holder->next;
        free(p->holder);
    }
    pthread_mutex_unlock(&s->lock);
    p->holder = NULL;
}

void sv_shares_stats(struct sv_shares *s, enum sv_supply of, struct sv_supply_stats *ret)
{
    const struct supply *y = &s->supplies[of];
    pthread_mutex_lock(&s->lock);
    *ret = y->stats;
    for (unsigned b = 0; b < BUCKETS; b++)
        for (const struct holder *h = y->buckets[b]; h; h = h->next) {
            ret->tenants++;
            if (h->n > ret->most)
                ret->most = h->n;
        }
    pthread_mutex_unlock(&s->lock);
}
