#include "server/hangup.h"
#include "starvirt/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS = 64 };

struct sv_hangups {
    pthread_mutex_t lock;
    pthread_t thread;
    int epoll, stop;
    struct sv_watch **by_fd; /* an event may come late: its number and serial say whether it still counts */
    int size;
    uint32_t next_serial;
    unsigned count;
};

static void remove_watch(struct sv_hangups *h, struct sv_watch *w)
{
    epoll_ctl(h->epoll, EPOLL_CTL_DEL, w->fd, NULL);
    h->by_fd[w->fd] = NULL;
    w->serial = 0;
    h->count--;
}

static void tell(struct sv_hangups *h, uint64_t data)
{
    int fd = (int)(data & UINT32_MAX);
    pthread_mutex_lock(&h->lock);
    struct sv_watch *w = fd < h->size ? h->by_fd[fd] : NULL;
    if (w && w->serial == data >> 32) {
        remove_watch(h, w);
        w->gone(w);
    }
    pthread_mutex_unlock(&h->lock);
}

static void *run(void *arg)
{
    struct sv_hangups *h = arg;
    struct epoll_event ev[EVENTS];
    pthread_setname_np(pthread_self(), "hangups");
    for (;;) {
        int n = epoll_wait(h->epoll, ev, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (ev[i].data.u64 == 0)
                return NULL;
            tell(h, ev[i].data.u64);
        }
    }
}

struct sv_hangups *sv_hangups_new(void)
{
    struct sv_hangups *h = sv_alloc(sizeof(*h));
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 0};
    pthread_mutex_init(&h->lock, NULL);
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    h->stop = eventfd(0, EFD_CLOEXEC);
    if (h->epoll < 0 || h->stop < 0 || epoll_ctl(h->epoll, EPOLL_CTL_ADD, h->stop, &ev) != 0 ||
        pthread_create(&h->thread, NULL, run, h) != 0)
        abort(); /* at start-up only */
    return h;
}

void sv_hangups_free(struct sv_hangups *h)
{
    const uint64_t one = 1;
    if (!h)
        return;
    while (write(h->stop, &one, sizeof(one)) < 0)
        ;
    pthread_join(h->thread, NULL);
    close(h->epoll);
    close(h->stop);
    pthread_mutex_destroy(&h->lock);
    free(h->by_fd);
    free(h);
}

static void reach(struct sv_hangups *h, int fd)
{
    if (fd < h->size)
        return;
    int size = fd + 1 > 2 * h->size ? fd + 1 : 2 * h->size;
    h->by_fd = sv_realloc(h->by_fd, (size_t)size * sizeof(struct sv_watch *));
    for (; h->size < size; h->size++)
        h->by_fd[h->size] = NULL;
}

void sv_hangup_watch(struct sv_hangups *h, struct sv_watch *w)
{
    struct epoll_event ev = {.events = EPOLLRDHUP};
    pthread_mutex_lock(&h->lock);
    if (++h->next_serial == 0)
        h->next_serial = 1;
    ev.data.u64 = (uint64_t)h->next_serial << 32 | (uint32_t)w->fd;
    if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, w->fd, &ev) == 0) { /* else its end is seen when it is answered */
        reach(h, w->fd);
        h->by_fd[w->fd] = w;
        w->serial = h->next_serial;
        h->count++;
    }
    pthread_mutex_unlock(&h->lock);
}

void sv_hangup_forget(struct sv_hangups *h, struct sv_watch *w)
{
    pthread_mutex_lock(&h->lock);
    if (w->serial)
        remove_watch(h, w);
    pthread_mutex_unlock(&h->lock);
}

unsigned sv_hangups_count(struct sv_hangups *h)
{
    pthread_mutex_lock(&h->lock);
    unsigned n = h->count;
    pthread_mutex_unlock(&h->lock);
    return n;
}
