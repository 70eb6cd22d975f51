#include "server/guard.h"
#include "starvirt/id.h"
#include "starvirt/mem.h"

#include <pthread.h>
#include <stdlib.h>

enum { SETS = 256, WAYS = 4 };

struct entry {
    uint8_t net[16];
    unsigned failures; /* 0 = free */
    int64_t last, until;
};

struct sv_guard {
    pthread_mutex_t lock;
    uint64_t seed; /* which addresses share a set is not for them to choose */
    struct entry sets[SETS][WAYS];
};

struct sv_guard *sv_guard_new(void)
{
    struct sv_guard *g = sv_alloc(sizeof(*g));
    pthread_mutex_init(&g->lock, NULL);
    sv_random(&g->seed, sizeof(g->seed));
    return g;
}

void sv_guard_free(struct sv_guard *g)
{
    if (!g)
        return;
    pthread_mutex_destroy(&g->lock);
    free(g);
}

static struct entry *set_of(struct sv_guard *g, const struct sv_peer *p)
{
    uint64_t h = g->seed ^ 0xcbf29ce484222325u;
    for (size_t i = 0; i < sizeof(p->net); i++)
        h = (h ^ p->net[i]) * 0x100000001b3u;
    return g->sets[(h ^ h >> 32) % SETS];
}

static struct entry *find(struct sv_guard *g, const struct sv_peer *p)
{
    struct entry *set = set_of(g, p);
    for (unsigned i = 0; i < WAYS; i++)
        if (set[i].failures > 0 && memcmp(set[i].net, p->net, sizeof(p->net)) == 0)
            return &set[i];
    return NULL;
}

/* Anew at `had`, or (NULL) at a free place of the set, else at the one whose last failure is longest ago. */
static struct entry *claim(struct sv_guard *g, struct entry *had, const struct sv_peer *p)
{
    struct entry *set = set_of(g, p), *best = had ? had : &set[0];
    for (unsigned i = 0; !had && i < WAYS && best->failures > 0; i++)
        if (set[i].failures == 0 || set[i].last < best->last)
            best = &set[i];
    *best = (struct entry){0};
    memcpy(best->net, p->net, sizeof(best->net));
    return best;
}

/* Waits before the next, doubling. */
static void count(struct entry *e, int64_t now)
{
    e->failures++;
    e->last = now;
    if (e->failures >= SV_GUARD_FREE) {
        unsigned over = e->failures - SV_GUARD_FREE;
        int64_t wait = over < 6 ? (int64_t)1 << over : SV_GUARD_MAX_WAIT_S;
        e->until = now + wait * 1000;
    }
}

unsigned sv_guard_failed(struct sv_guard *g, const struct sv_peer *p, int64_t now, bool *ret_held)
{
    pthread_mutex_lock(&g->lock);
    struct entry *e = find(g, p);
    if (!e || now - e->last > SV_GUARD_FORGET_S * 1000)
        e = claim(g, e, p);
    int64_t left = e->until - now;
    if (left <= 0)
        count(e, now);
    if (ret_held)
        *ret_held = left <= 0 && e->until > now;
    pthread_mutex_unlock(&g->lock);
    return left > 0 ? (unsigned)((left + 999) / 1000) : 0;
}
