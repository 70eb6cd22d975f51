#include "server/links.h"
#include "starvirt/clock.h"
#include "starvirt/limits.h"
#include "starvirt/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { LOOK_MS = 2000, LOOK_HURRY_MS = 100 };

struct sv_links {
    pthread_mutex_t lock;
    pthread_cond_t change;
    pthread_t reaper;
    struct sv_link *first;
    unsigned count;
    int64_t hurry; /* [ms] monotonic: no limit is later; 0 = not stopping */
    bool stopping;
};

static void cut_expired(struct sv_links *cs, int64_t now)
{
    bool all = cs->hurry && cs->hurry <= now;
    for (struct sv_link *c = cs->first; c; c = c->next) {
        int64_t expires = atomic_load_explicit(&c->expires, memory_order_relaxed);
        if (expires == 0 || (expires > now && !all))
            continue;
        /* Only the I/O thread may close; it sees the end of the stream and does. */
        shutdown(c->fd, SHUT_RDWR);
        atomic_store_explicit(&c->expires, 0, memory_order_relaxed);
    }
}

static void *reap(void *arg)
{
    struct sv_links *cs = arg;
    pthread_mutex_lock(&cs->lock);
    while (!cs->stopping) {
        int64_t now = sv_mono_ms();
        cut_expired(cs, now);
        int64_t next = now + (cs->hurry ? LOOK_HURRY_MS : LOOK_MS);
        struct timespec at = {.tv_sec = next / 1000, .tv_nsec = next % 1000 * 1000000};
        if (cs->first)
            pthread_cond_timedwait(&cs->change, &cs->lock, &at);
        else
            pthread_cond_wait(&cs->change, &cs->lock); /* an idle server does not wake up */
    }
    pthread_mutex_unlock(&cs->lock);
    return NULL;
}

struct sv_links *sv_links_new(void)
{
    struct sv_links *cs = sv_alloc(sizeof(*cs));
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&cs->change, &mono);
    pthread_condattr_destroy(&mono);
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

struct sv_link *sv_link_open(struct sv_links *cs, int fd, const struct sv_peer *peer)
{
    struct sv_link *c = sv_alloc(sizeof(*c));
    c->fd = fd;
    c->peer = *peer;
    sv_link_limit(c, SV_IDLE_TIMEOUT_S);
    pthread_mutex_lock(&cs->lock);
    c->next = cs->first;
    c->link = &cs->first;
    if (c->next)
        c->next->link = &c->next;
    else
        pthread_cond_signal(&cs->change);
    cs->first = c;
    cs->count++;
    pthread_mutex_unlock(&cs->lock);
    return c;
}

void sv_link_close(struct sv_links *cs, struct sv_link *c)
{
    pthread_mutex_lock(&cs->lock);
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    cs->count--;
    pthread_mutex_unlock(&cs->lock);
    sv_arena_free(c->arena);
    free(c);
}

void sv_link_limit(struct sv_link *c, unsigned seconds)
{
    int64_t at = seconds ? sv_mono_ms() + (int64_t)seconds * 1000 : 0;
    atomic_store_explicit(&c->expires, at, memory_order_relaxed);
}

void sv_links_hurry(struct sv_links *cs, unsigned seconds)
{
    pthread_mutex_lock(&cs->lock);
    cs->hurry = sv_mono_ms() + (int64_t)seconds * 1000;
    pthread_cond_signal(&cs->change);
    pthread_mutex_unlock(&cs->lock);
}

unsigned sv_links_count(struct sv_links *cs)
{
    pthread_mutex_lock(&cs->lock);
    unsigned n = cs->count;
    pthread_mutex_unlock(&cs->lock);
    return n;
}
