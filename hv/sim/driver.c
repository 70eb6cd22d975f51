/* The driver's own thread: a queue of events and a heap of timers. */
#include "hv/sim/internal.h"

#include <stdlib.h>

struct sim_event {
    struct sim_event *next;
    struct sim_host *host;
    enum { EVENT_HOST, EVENT_POWER, EVENT_AGENT } kind;
    struct sim_key vm;
    enum sv_hv_power power;
    bool up;         /* connected, or the agent */
    const char *why; /* static text */
};

/* --- heap, earliest first --- */

static void heap_swap(struct sim_timer *a, struct sim_timer *b)
{
    const struct sim_timer t = *a;
    *a = *b;
    *b = t;
}

static void heap_push(struct sim_driver *d, const struct sim_timer *t)
{
    size_t i = d->timers++;

    if (d->timers > d->cap) {
        d->cap = d->cap ? d->cap * 2 : 16;
        d->heap = sv_realloc(d->heap, d->cap * sizeof(*d->heap));
    }
    d->heap[i] = *t;
    for (; i > 0 && d->heap[(i - 1) / 2].due_us > d->heap[i].due_us; i = (i - 1) / 2)
        heap_swap(&d->heap[i], &d->heap[(i - 1) / 2]);
}

static struct sim_timer heap_pop(struct sim_driver *d)
{
    const struct sim_timer top = d->heap[0];

    d->heap[0] = d->heap[--d->timers];
    for (size_t i = 0;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2; child++)
            if (child < d->timers && d->heap[child].due_us < d->heap[least].due_us)
                least = child;
        if (least == i)
            return top;
        heap_swap(&d->heap[i], &d->heap[least]);
        i = least;
    }
}

/* --- telling --- */

static void post(struct sim_host *h, const struct sim_event *what)
{
    struct sim_driver *d = &h->sim->driver;
    struct sim_event *e = sv_alloc(sizeof(*e));

    *e = *what;
    e->host = h;
    pthread_mutex_lock(&d->lock);
    *d->tail = e;
    d->tail = &e->next;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
}

void sim_tell_host(struct sim_host *h, bool connected, const char *why)
{
    post(h, &(struct sim_event){.kind = EVENT_HOST, .up = connected, .why = why});
}

void sim_tell_power(struct sim_host *h, const struct sim_domain *d)
{
    if (sv_hv_connected(&h->base))
        post(h, &(struct sim_event){.kind = EVENT_POWER, .vm = d->key, .power = (enum sv_hv_power)d->live.power});
}

void sim_tell_agent(struct sim_host *h, const struct sim_domain *d)
{
    if (sv_hv_connected(&h->base))
        post(h, &(struct sim_event){.kind = EVENT_AGENT, .vm = d->key, .up = d->agent});
}

void sim_timer_add(struct sim_host *h, enum sim_timer_kind kind, const struct sim_key *vm, uint32_t epoch,
                   int64_t in_us)
{
    struct sim_driver *d = &h->sim->driver;
    struct sim_timer t = {.due_us = sv_mono_us() + in_us, .host = h, .epoch = epoch, .kind = kind};

    if (vm)
        t.vm = *vm;
    pthread_mutex_lock(&d->lock);
    heap_push(d, &t);
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
}

/* --- the thread --- */

static void deliver(const struct sv_hv_events *ev, const struct sim_event *e)
{
    const struct sv_id vm = sim_key_id(&e->vm);

    switch (e->kind) {
    case EVENT_HOST:
        if (ev->host)
            ev->host(ev->arg, &e->host->base, e->up, e->why);
        break;
    case EVENT_POWER:
        if (ev->power)
            ev->power(ev->arg, &e->host->base, &vm, e->power);
        break;
    case EVENT_AGENT:
        if (ev->agent)
            ev->agent(ev->arg, &e->host->base, &vm, e->up);
        break;
    }
}

static void fire(const struct sim_timer *t)
{
    struct sim_host *h = t->host;

    pthread_mutex_lock(&h->lock);
    if (t->kind != SIM_TIMER_HANG) {
        sim_guest_timer(h, t);
    } else if (h->hung && h->hang_epoch == t->epoch) {
        h->given_up = true;
        sim_link(h, "the host did not answer in time");
    }
    pthread_mutex_unlock(&h->lock);
}

static void sleep_until_due(struct sim_driver *d)
{
    if (d->timers == 0) {
        pthread_cond_wait(&d->wake, &d->lock);
        return;
    }
    const int64_t due = d->heap[0].due_us;
    const struct timespec ts = {.tv_sec = due / 1000000, .tv_nsec = due % 1000000 * 1000};
    pthread_cond_timedwait(&d->wake, &d->lock, &ts);
}

static void *run(void *arg)
{
    struct sim_driver *d = arg;

    pthread_mutex_lock(&d->lock);
    while (!d->stop) {
        struct sim_event *e = d->head;
        if (e) {
            d->head = e->next;
            if (!d->head)
                d->tail = &d->head;
            pthread_mutex_unlock(&d->lock);
            deliver(&d->ev, e);
            free(e);
            pthread_mutex_lock(&d->lock);
        } else if (d->timers && d->heap[0].due_us <= sv_mono_us()) {
            const struct sim_timer t = heap_pop(d);
            pthread_mutex_unlock(&d->lock);
            fire(&t);
            pthread_mutex_lock(&d->lock);
        } else {
            sleep_until_due(d);
        }
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

void sim_driver_init(struct sim_driver *d, const struct sv_hv_events *ev)
{
    *d = (struct sim_driver){0};
    d->tail = &d->head;
    if (ev)
        d->ev = *ev;
    pthread_mutex_init(&d->lock, NULL);
    sv_cond_init(&d->wake);
}

enum sv_err sim_driver_start(struct sim_driver *d, struct sv_error *err)
{
    if (pthread_create(&d->thread, NULL, run, d) != 0)
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "the simulator's thread cannot be started");
    d->started = true;
    return SV_OK;
}

void sim_driver_stop(struct sim_driver *d)
{
    if (!d->started)
        return;
    pthread_mutex_lock(&d->lock);
    d->stop = true;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    d->started = false;
}

void sim_driver_free(struct sim_driver *d)
{
    while (d->head) {
        struct sim_event *e = d->head;
        d->head = e->next;
        free(e);
    }
    free(d->heap);
    pthread_cond_destroy(&d->wake);
    pthread_mutex_destroy(&d->lock);
}
