#include "server/park.h"
#include "starvirt/clock.h"
#include "starvirt/mem.h"
#include "starvirt/thread.h"

#include <pthread.h>
#include <stdlib.h>

enum { BUCKETS = 256 };

struct sv_park {
    pthread_mutex_t lock;
    pthread_cond_t sooner; /* the timer has to look again */
    pthread_t timer;
    unsigned count;
    int64_t next;       /* the timer sleeps until then; INT64_MAX = for good */
    int64_t events_due; /* 0 = no "events" change is waiting to be told */
    int64_t events_last;
    bool stopping;
    struct sv_waiter *buckets[BUCKETS];
};

static struct sv_waiter **bucket_of(struct sv_park *p, const char *key)
{
    return &p->buckets[sv_hash(key) % BUCKETS];
}

static void unlist(struct sv_park *p, struct sv_waiter *w)
{
    if (!w->listed)
        return;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    w->listed = false;
    p->count--;
}

static void push(struct sv_waiter **list, struct sv_waiter *w)
{
    w->next = *list;
    *list = w;
}

/* Takes w off and, when it sleeps, onto the list of those to call once the lock is free. */
static void ring(struct sv_park *p, struct sv_waiter *w, bool over, struct sv_waiter **to_call)
{
    unlist(p, w);
    w->changed = true;
    w->over = over;
    if (w->asleep)
        push(to_call, w);
}

static void call(struct sv_waiter *list)
{
    while (list) {
        struct sv_waiter *w = list;
        list = w->next; /* read before the call: it gives the waiter away */
        w->woken(w);
    }
}

static void ring_key(struct sv_park *p, const char *key, struct sv_waiter **to_call)
{
    for (struct sv_waiter *w = *bucket_of(p, key), *next; w; w = next) {
        next = w->next;
        if (strcmp(w->key, key) == 0)
            ring(p, w, false, to_call);
    }
}

/* Rings those whose time is over and finds the next time to look. */
static void ring_due(struct sv_park *p, int64_t now, struct sv_waiter **to_call)
{
    p->next = INT64_MAX;
    for (unsigned b = 0; b < BUCKETS; b++)
        for (struct sv_waiter *w = p->buckets[b], *next; w; w = next) {
            next = w->next;
            if (w->deadline <= now || p->stopping)
                ring(p, w, true, to_call);
            else if (w->deadline < p->next)
                p->next = w->deadline;
        }
    if (p->events_due && p->events_due <= now) {
        p->events_due = 0;
        p->events_last = now;
        ring_key(p, "events", to_call);
    }
    if (p->events_due && p->events_due < p->next)
        p->next = p->events_due;
}

static void *run_timer(void *arg)
{
    struct sv_park *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        struct sv_waiter *to_call = NULL;
        ring_due(p, sv_mono_ms(), &to_call);
        if (to_call) {
            pthread_mutex_unlock(&p->lock);
            call(to_call);
            pthread_mutex_lock(&p->lock);
        } else {
            sv_cond_wait(&p->sooner, &p->lock, p->next);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct sv_park *sv_park_new(void)
{
    struct sv_park *p = sv_alloc(sizeof(*p));
    sv_cond_init(&p->sooner);
    pthread_mutex_init(&p->lock, NULL);
    p->next = INT64_MAX;
    if (pthread_create(&p->timer, NULL, run_timer, p) != 0)
        abort(); /* at start-up only; without it no long poll would ever end */
    return p;
}

void sv_park_free(struct sv_park *p)
{
    if (!p)
        return;
    sv_park_stop(p);
    pthread_join(p->timer, NULL);
    pthread_cond_destroy(&p->sooner);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static void look_at(struct sv_park *p, int64_t when)
{
    if (when < p->next) {
        p->next = when;
        pthread_cond_signal(&p->sooner);
    }
}

bool sv_park_add(struct sv_park *p, struct sv_waiter *w)
{
    pthread_mutex_lock(&p->lock);
    bool ok = !p->stopping;
    if (ok) {
        struct sv_waiter **head = bucket_of(p, w->key);
        w->asleep = w->changed = w->over = false;
        w->listed = true;
        w->next = *head;
        w->link = head;
        if (w->next)
            w->next->link = &w->next;
        *head = w;
        p->count++;
        look_at(p, w->deadline);
    }
    pthread_mutex_unlock(&p->lock);
    return ok;
}

bool sv_park_sleep(struct sv_park *p, struct sv_waiter *w)
{
    pthread_mutex_lock(&p->lock);
    w->asleep = !w->changed;
    bool ok = w->asleep;
    pthread_mutex_unlock(&p->lock);
    return ok;
}

void sv_park_remove(struct sv_park *p, struct sv_waiter *w)
{
    pthread_mutex_lock(&p->lock);
    unlist(p, w);
    pthread_mutex_unlock(&p->lock);
}

void sv_park_hurry(struct sv_park *p, struct sv_waiter *w)
{
    struct sv_waiter *to_call = NULL;
    pthread_mutex_lock(&p->lock);
    if (w->listed)
        ring(p, w, true, &to_call);
    pthread_mutex_unlock(&p->lock);
    call(to_call);
}

void sv_park_wake(struct sv_park *p, const char *key)
{
    struct sv_waiter *to_call = NULL;
    pthread_mutex_lock(&p->lock);
    if (strcmp(key, "events") != 0) {
        ring_key(p, key, &to_call);
    } else if (p->events_due == 0 && p->count > 0) {
        int64_t soonest = p->events_last + SV_PARK_EVENTS_MS, now = sv_mono_ms();
        p->events_due = soonest > now ? soonest : now;
        look_at(p, p->events_due);
    }
    pthread_mutex_unlock(&p->lock);
    call(to_call);
}

void sv_park_stop(struct sv_park *p)
{
    struct sv_waiter *to_call = NULL;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    ring_due(p, INT64_MAX, &to_call);
    pthread_cond_signal(&p->sooner);
    pthread_mutex_unlock(&p->lock);
    call(to_call);
}

unsigned sv_park_count(struct sv_park *p)
{
    pthread_mutex_lock(&p->lock);
    unsigned n = p->count;
    pthread_mutex_unlock(&p->lock);
    return n;
}
