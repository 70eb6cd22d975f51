#include "hv/libvirt/internal.h"

#include "starvirt/log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The event loop that libvirt is given instead of its own, because a loop of ours is asked about every socket
 * that libvirt wants watched: that is where link.c learns of a connection's socket, and where it keeps the loop
 * away from connections that carry calls.
 *
 * As libvirt wants it: everything may be called from any thread and from within callbacks; callbacks and the
 * functions that free their arguments run without the lock, on the loop's thread. */

struct entry {
    int id;
    bool gone;
    void *arg;
    virFreeCallback drop;
    /* a socket */
    int fd, events;
    virEventHandleCallback on_socket;
    /* or a timer */
    int every_ms; /* < 0: off */
    int64_t due;
    virEventTimeoutCallback on_timer;
};
struct entries {
    struct entry *v;
    size_t n, cap;
};
static struct {
    pthread_mutex_t mu;
    struct entries sockets, timers;
    int last_id, wake;
} loop = {.mu = PTHREAD_MUTEX_INITIALIZER, .wake = -1};

static void wake(void)
{
    const uint64_t one = 1;
    while (write(loop.wake, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

/* --- what libvirt calls; all under the lock --- */

static struct entry *find(struct entries *e, int id)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->v[i].id == id && !e->v[i].gone)
            return &e->v[i];
    return NULL;
}

static int add(struct entries *e, struct entry what)
{
    if (e->n == e->cap) {
        e->cap = e->cap ? e->cap * 2 : 16;
        e->v = sv_realloc(e->v, e->cap * sizeof(*e->v));
    }
    do
        loop.last_id = loop.last_id < INT32_MAX ? loop.last_id + 1 : 1;
    while (find(&loop.sockets, loop.last_id) || find(&loop.timers, loop.last_id));
    what.id = loop.last_id;
    e->v[e->n++] = what;
    wake();
    return what.id;
}

static int retire(struct entries *e, int id)
{
    pthread_mutex_lock(&loop.mu);
    struct entry *found = find(e, id);
    if (found)
        found->gone = true;
    pthread_mutex_unlock(&loop.mu);
    if (!found)
        return -1;
    wake();
    return 0;
}

static int add_socket(int fd, int events, virEventHandleCallback fn, void *arg, virFreeCallback drop)
{
    if (!lv_link_takes_socket(fd))
        return -1;
    pthread_mutex_lock(&loop.mu);
    int id = add(&loop.sockets,
                 (struct entry){.fd = fd, .events = events, .on_socket = fn, .arg = arg, .drop = drop, .every_ms = -1});
    pthread_mutex_unlock(&loop.mu);
    return id;
}

static void update_socket(int id, int events)
{
    pthread_mutex_lock(&loop.mu);
    struct entry *found = find(&loop.sockets, id);
    bool changed = found && found->events != events;
    if (changed)
        found->events = events;
    pthread_mutex_unlock(&loop.mu);
    if (changed)
        wake();
}

static int remove_socket(int id)
{
    return retire(&loop.sockets, id);
}

static void set_timer(struct entry *e, int ms)
{
    e->every_ms = ms;
    e->due = sv_mono_ms() + ms;
}

static int add_timer(int ms, virEventTimeoutCallback fn, void *arg, virFreeCallback drop)
{
    struct entry what = {.fd = -1, .on_timer = fn, .arg = arg, .drop = drop};
    set_timer(&what, ms);
    pthread_mutex_lock(&loop.mu);
    int id = add(&loop.timers, what);
    pthread_mutex_unlock(&loop.mu);
    return id;
}

static void update_timer(int id, int ms)
{
    pthread_mutex_lock(&loop.mu);
    struct entry *found = find(&loop.timers, id);
    if (found)
        set_timer(found, ms);
    pthread_mutex_unlock(&loop.mu);
    wake();
}

static int remove_timer(int id)
{
    return retire(&loop.timers, id);
}

/* --- a turn of the loop --- */

struct turn {
    struct pollfd *polled;
    int *ids; /* of those polled */
    size_t n;
};

static short to_poll(int events)
{
    return (short)((events & VIR_EVENT_HANDLE_READABLE ? POLLIN : 0) |
                   (events & VIR_EVENT_HANDLE_WRITABLE ? POLLOUT : 0));
}

static int from_poll(short events)
{
    return (events & POLLIN ? VIR_EVENT_HANDLE_READABLE : 0) | (events & POLLOUT ? VIR_EVENT_HANDLE_WRITABLE : 0) |
           (events & (POLLERR | POLLNVAL) ? VIR_EVENT_HANDLE_ERROR : 0) |
           (events & POLLHUP ? VIR_EVENT_HANDLE_HANGUP : 0);
}

/* Under the lock: what to wait for, and how long [ms]. A socket without events is left alone: a call has it. */
static int prepare(struct turn *t)
{
    int64_t now = sv_mono_ms(), wait = INT32_MAX;
    t->n = 0;
    t->polled = sv_realloc(t->polled, (loop.sockets.n + 1) * sizeof(*t->polled));
    t->ids = sv_realloc(t->ids, (loop.sockets.n + 1) * sizeof(*t->ids));
    t->polled[t->n++] = (struct pollfd){.fd = loop.wake, .events = POLLIN};
    for (size_t i = 0; i < loop.sockets.n; i++) {
        const struct entry *e = &loop.sockets.v[i];
        if (e->gone || !e->events)
            continue;
        t->ids[t->n] = e->id;
        t->polled[t->n++] = (struct pollfd){.fd = e->fd, .events = to_poll(e->events)};
    }
    for (size_t i = 0; i < loop.timers.n; i++) {
        const struct entry *e = &loop.timers.v[i];
        if (!e->gone && e->every_ms >= 0 && e->due - now < wait)
            wait = e->due > now ? e->due - now : 0;
    }
    return wait == INT32_MAX ? -1 : (int)wait;
}

/* Under the lock, which is left for callbacks; whatever they change is seen, since each is looked for anew. */
static void serve_sockets(const struct turn *t)
{
    for (size_t i = 1; i < t->n; i++) {
        const struct entry *e = t->polled[i].revents ? find(&loop.sockets, t->ids[i]) : NULL;
        if (!e || !e->events)
            continue;
        const struct entry copy = *e;
        int events = from_poll(t->polled[i].revents) & (copy.events | VIR_EVENT_HANDLE_ERROR | VIR_EVENT_HANDLE_HANGUP);
        pthread_mutex_unlock(&loop.mu);
        if (events)
            copy.on_socket(copy.id, copy.fd, events, copy.arg);
        pthread_mutex_lock(&loop.mu);
    }
}

static void serve_timers(void)
{
    int64_t now = sv_mono_ms();
    size_t n = loop.timers.n; /* those that callbacks add have their turn later */
    for (size_t i = 0; i < n; i++) {
        struct entry *e = &loop.timers.v[i];
        if (e->gone || e->every_ms < 0 || e->due > now)
            continue;
        e->due = now + e->every_ms;
        const struct entry copy = *e;
        pthread_mutex_unlock(&loop.mu);
        copy.on_timer(copy.id, copy.arg);
        pthread_mutex_lock(&loop.mu);
    }
}

/* Under the lock, which is left while they are freed. Only the loop's thread takes entries out. */
static void bury(struct entries *e)
{
    for (size_t i = 0; i < e->n;) {
        if (!e->v[i].gone) {
            i++;
            continue;
        }
        const struct entry copy = e->v[i];
        memmove(&e->v[i], &e->v[i + 1], (e->n - i - 1) * sizeof(*e->v));
        e->n--;
        pthread_mutex_unlock(&loop.mu);
        if (copy.drop)
            copy.drop(copy.arg);
        pthread_mutex_lock(&loop.mu);
    }
}

static void *run(void *arg)
{
    struct turn t = {0};
    (void)arg;
    pthread_setname_np(pthread_self(), "hv-events");
    pthread_mutex_lock(&loop.mu);
    for (;;) {
        uint64_t woken;
        int wait = prepare(&t);
        pthread_mutex_unlock(&loop.mu);
        int r = poll(t.polled, t.n, wait);
        if (r > 0 && t.polled[0].revents && read(loop.wake, &woken, sizeof(woken)) < 0 && errno != EAGAIN)
            sv_log(SV_LOG_ERROR, "hv.event_loop", "errno", sv_dec(errno).s, NULL);
        pthread_mutex_lock(&loop.mu);
        if (r > 0)
            serve_sockets(&t);
        serve_timers();
        bury(&loop.sockets);
        bury(&loop.timers);
    }
    return NULL;
}

bool lv_loop_start(void)
{
    pthread_t t;
    loop.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop.wake < 0)
        return false;
    virEventRegisterImpl(add_socket, update_socket, remove_socket, add_timer, update_timer, remove_timer);
    if (pthread_create(&t, NULL, run, NULL) != 0)
        return false;
    pthread_detach(t);
    return true;
}
