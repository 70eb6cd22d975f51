#include "server/links.h"
#include "starvirt/clock.h"
#include "starvirt/id.h"
#include "starvirt/limits.h"
#include "starvirt/mem.h"
#include "starvirt/thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    LOOK_MS = 2000,
    LOOK_HURRY_MS = 100,
    BUCKETS = 1024,
    ADDRESS_LEAST = 16, /* connections an address may have however many others there are */
    BATCH = 16,         /* of the limit, this part goes at a time: looking for the worst costs a look at all */
    NEW = 8             /* this part of a limit is kept for who has not spoken yet */
};

struct address {
    struct address *next; /* the bucket's */
    struct sv_link *first;
    struct sv_peer peer;
    unsigned count; /* without those cut */
    uint64_t came;  /* connections since it is here */
};

struct sv_links {
    pthread_mutex_t lock;
    pthread_cond_t change;
    pthread_t reaper;
    unsigned limit;
    uint64_t seed; /* which addresses share a bucket is not for them to choose */
    uint64_t came;
    struct address *buckets[BUCKETS];
    struct sv_links_stats stats; /* count: without those cut */
    int64_t hurry;               /* [ms] monotonic: no limit is later; 0 = not stopping */
    bool stopping;
};

/* --- cutting ---------------------------------------------------------------------------------------------- */

/* False when its stage is another by now. Only its I/O thread may close; it sees the end of the stream and does. */
static bool cut(struct sv_links *cs, struct sv_link *c, enum sv_link_stage seen)
{
    if (!atomic_compare_exchange_strong(&c->stage, &seen, SV_LINK_CUT))
        return false;
    shutdown(c->fd, SHUT_RDWR);
    cs->stats.count--;
    c->address->count--;
    return true;
}

struct candidate {
    struct sv_link *link;
    enum sv_link_stage stage;
    enum sv_worth worth;
    unsigned weight; /* connections of its address */
};

static enum sv_worth worth_of(enum sv_link_stage stage, bool good, bool is_new)
{
    switch (stage) {
    case SV_LINK_HEAD:
        return is_new ? SV_WORTH_NEW : good ? SV_WORTH_GOOD : SV_WORTH_NO_HEAD;
    case SV_LINK_BODY:
        return good ? SV_WORTH_GOOD : SV_WORTH_NO_BODY;
    case SV_LINK_REPLY:
        return good ? SV_WORTH_GOOD : SV_WORTH_REPLY;
    case SV_LINK_IDLE:
        return good ? SV_WORTH_GOOD_IDLE : SV_WORTH_IDLE;
    case SV_LINK_SERVED:
    case SV_LINK_CUT:
        break;
    }
    return SV_WORTH_SERVED;
}

static int by_worth(const void *x, const void *y)
{
    const struct candidate *a = x, *b = y;
    if (a->worth != b->worth)
        return a->worth < b->worth ? -1 : 1;
    if (a->weight != b->weight)
        return a->weight > b->weight ? -1 : 1;
    return a->link->serial < b->link->serial ? -1 : 1;
}

static size_t add_candidates(const struct address *a, uint64_t new_from, bool within, struct candidate *list)
{
    const unsigned weight = within ? 0 : a->peer.proxy ? 1 : a->count;
    size_t n = 0;
    for (struct sv_link *c = a->first; c; c = c->next) {
        enum sv_link_stage stage = atomic_load(&c->stage);
        bool is_new = (within ? c->address_serial : c->serial) >= new_from;
        enum sv_worth worth = worth_of(stage, atomic_load(&c->good), is_new);
        if (worth != SV_WORTH_SERVED)
            list[n++] = (struct candidate){.link = c, .stage = stage, .worth = worth, .weight = weight};
    }
    return n;
}

static uint64_t newest(uint64_t came, unsigned limit)
{
    uint64_t kept = limit / NEW ? limit / NEW : 1;
    return came > kept ? came - kept : 0;
}

/* Of one address, or of all (NULL). */
static unsigned cut_worst(struct sv_links *cs, struct address *only, unsigned limit)
{
    unsigned have = only ? only->count : cs->stats.count, wanted = have - limit + limit / BATCH, done = 0;
    SV_AUTOFREE struct candidate *list = sv_realloc(NULL, (have + 1) * sizeof(*list));
    size_t n = 0;
    if (only)
        n = add_candidates(only, newest(only->came, limit), true, list);
    for (unsigned b = 0; !only && b < BUCKETS; b++)
        for (const struct address *a = cs->buckets[b]; a; a = a->next)
            n += add_candidates(a, newest(cs->came, limit), false, list + n);
    qsort(list, n, sizeof(*list), by_worth);
    for (size_t i = 0; i < n && done < wanted; i++) {
        if (list[i].worth > SV_WORTH_NO_BODY && have - done <= limit)
            break; /* more than needed goes only of those that have not asked anything yet */
        done += cut(cs, list[i].link, list[i].stage);
    }
    return done;
}

static unsigned address_limit(const struct sv_links *cs, const struct address *a)
{
    if (a->peer.proxy)
        return cs->limit;
    unsigned others = cs->stats.count - a->count;
    unsigned half = others < cs->limit ? (cs->limit - others) / 2 : 0;
    return half > ADDRESS_LEAST ? half : ADDRESS_LEAST;
}

static void make_room(struct sv_links *cs, struct address *a)
{
    unsigned most = address_limit(cs, a);
    if (a->count > most)
        cs->stats.cut_address += cut_worst(cs, a, most);
    if (cs->stats.count > cs->limit)
        cs->stats.cut_full += cut_worst(cs, NULL, cs->limit);
}

/* --- time --------------------------------------------------------------------------------------------------- */

static void cut_late(struct sv_links *cs, const struct address *a, int64_t now)
{
    bool all = cs->hurry && cs->hurry <= now;
    for (struct sv_link *c = a->first; c; c = c->next) {
        enum sv_link_stage stage = atomic_load(&c->stage);
        int64_t expires = atomic_load(&c->expires);
        if (stage == SV_LINK_CUT || expires == 0)
            continue;
        if (expires <= now || (all && stage != SV_LINK_REPLY))
            cs->stats.cut_late += cut(cs, c, stage);
    }
}

static void *reap(void *arg)
{
    struct sv_links *cs = arg;
    pthread_mutex_lock(&cs->lock);
    while (!cs->stopping) {
        int64_t now = sv_mono_ms();
        for (unsigned b = 0; b < BUCKETS; b++)
            for (const struct address *a = cs->buckets[b]; a; a = a->next)
                cut_late(cs, a, now);
        int64_t pause = cs->hurry ? LOOK_HURRY_MS : LOOK_MS;
        /* An idle server does not wake up. */
        sv_cond_wait(&cs->change, &cs->lock, cs->stats.count > 0 ? now + pause : INT64_MAX);
    }
    pthread_mutex_unlock(&cs->lock);
    return NULL;
}

bool sv_link_stage(struct sv_link *c, enum sv_link_stage stage, unsigned seconds)
{
    enum sv_link_stage was = atomic_load_explicit(&c->stage, memory_order_relaxed);
    if (was == SV_LINK_CUT)
        return false;
    /* Without a limit first: a late look at the old one must not cut the new stage. */
    atomic_store_explicit(&c->expires, 0, memory_order_relaxed);
    if (!atomic_compare_exchange_strong(&c->stage, &was, stage))
        return false; /* only a cut can have come between */
    if (seconds)
        atomic_store_explicit(&c->expires, sv_mono_ms() + (int64_t)seconds * 1000, memory_order_relaxed);
    return true;
}

void sv_link_good(struct sv_link *c)
{
    atomic_store(&c->good, true);
}

static void token_gone(struct sv_begun *b, const struct sv_error *why)
{
    (void)why;
    struct sv_link *c = (struct sv_link *)(void *)((char *)b - offsetof(struct sv_link, begun));
    atomic_store(&c->good, false);
}

void sv_link_shown(struct sv_link *c, struct sv_begun_room *room, const struct sv_actor *who, uint64_t seen)
{
    if (atomic_load_explicit(&c->good, memory_order_relaxed) && sv_id_eq(&c->shown.token, &who->token))
        return;
    sv_link_forget(c, room);
    c->shown = *who;
    sv_link_good(c);
    sv_begun_watch(room, &c->begun, who, seen, token_gone);
}

void sv_link_forget(struct sv_link *c, struct sv_begun_room *room)
{
    sv_begun_forget(room, &c->begun);
}

void sv_links_hurry(struct sv_links *cs, unsigned seconds)
{
    pthread_mutex_lock(&cs->lock);
    cs->hurry = sv_mono_ms() + (int64_t)seconds * 1000;
    pthread_cond_signal(&cs->change);
    pthread_mutex_unlock(&cs->lock);
}

/* --- coming and going ------------------------------------------------------------------------------------------ */

/* Where the address is, or would be. */
static struct address **find(struct sv_links *cs, const struct sv_peer *peer)
{
    uint64_t h = cs->seed ^ 0xcbf29ce484222325u;
    for (size_t i = 0; i < sizeof(peer->net); i++)
        h = (h ^ peer->net[i]) * 0x100000001b3u;
    struct address **at = &cs->buckets[(h ^ h >> 32) % BUCKETS];
    while (*at && memcmp((*at)->peer.net, peer->net, sizeof(peer->net)) != 0)
        at = &(*at)->next;
    return at;
}

static struct address *address_of(struct sv_links *cs, const struct sv_peer *peer)
{
    struct address **at = find(cs, peer);
    if (!*at) {
        *at = sv_alloc(sizeof(**at));
        (*at)->peer = *peer;
        cs->stats.addresses++;
    }
    return *at;
}

static void enlist(struct sv_links *cs, struct sv_link *c, struct address *a)
{
    c->address = a;
    c->serial = cs->came++;
    c->address_serial = a->came++;
    c->next = a->first;
    c->link = &a->first;
    if (c->next)
        c->next->link = &c->next;
    a->first = c;
    a->count++;
    cs->stats.count++;
}

struct sv_link *sv_link_open(struct sv_links *cs, int fd, const struct sv_peer *peer)
{
    struct sv_link *c = sv_alloc(sizeof(*c));
    c->fd = fd;
    c->peer = *peer;
    sv_link_stage(c, SV_LINK_HEAD, SV_HEAD_TIMEOUT_S);
    pthread_mutex_lock(&cs->lock);
    if (cs->stats.count == 0)
        pthread_cond_signal(&cs->change);
    struct address *a = address_of(cs, peer);
    enlist(cs, c, a);
    make_room(cs, a);
    pthread_mutex_unlock(&cs->lock);
    return c;
}

void sv_link_close(struct sv_links *cs, struct sv_link *c)
{
    pthread_mutex_lock(&cs->lock);
    struct address *a = c->address;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    if (atomic_load(&c->stage) != SV_LINK_CUT) {
        a->count--;
        cs->stats.count--;
    }
    if (!a->first) {
        *find(cs, &a->peer) = a->next;
        cs->stats.addresses--;
        free(a);
    }
    pthread_mutex_unlock(&cs->lock);
    sv_arena_free(c->arena);
    free(c);
}

void sv_links_stats(struct sv_links *cs, struct sv_links_stats *ret)
{
    pthread_mutex_lock(&cs->lock);
    *ret = cs->stats;
    pthread_mutex_unlock(&cs->lock);
    ret->limit = cs->limit;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

struct sv_links *sv_links_new(unsigned limit)
{
    struct sv_links *cs = sv_alloc(sizeof(*cs));
    cs->limit = limit;
    sv_random(&cs->seed, sizeof(cs->seed));
    sv_cond_init(&cs->change);
    pthread_mutex_init(&cs->lock, NULL);
    if (pthread_create(&cs->reaper, NULL, reap, cs) != 0)
        abort(); /* at start-up only */
    return cs;
}

void sv_links_free(struct sv_links *cs)
{
    if (!cs)
        return;
    pthread_mutex_lock(&cs->lock);
    cs->stopping = true;
    pthread_cond_signal(&cs->change);
    pthread_mutex_unlock(&cs->lock);
    pthread_join(cs->reaper, NULL);
    pthread_cond_destroy(&cs->change);
    pthread_mutex_destroy(&cs->lock);
    free(cs);
}
