#include "hv/libvirt/internal.h"

#include "starvirt/log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection of libvirt's client and its socket.
 *
 * libvirt 9.0 leaves a watch on the stack of a call that has returned when another thread makes it look up from
 * its waiting: another caller, or the event loop that sends a keep-alive message (CVE-2024-4418). So no connection
 * has two threads here. One of a thread that calls is not given to the event loop: nothing but its thread ever
 * touches it, and libvirt asks for no keep-alive on it. The one that carries events has the loop alone, once it
 * was set up.
 *
 * A call that hangs ends when its socket is shut down, from outside of libvirt, under a number of our own: the
 * number that libvirt has may be closed and somebody else's at any time. */

/* What this thread is opening: libvirt offers the socket to the event loop while it does so. */
static _Thread_local struct {
    struct lv_host *host;
    struct lv_link *link;
} opening;

static bool is_socket(int fd)
{
    int type;
    socklen_t size = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

bool lv_link_takes_socket(int fd)
{
    struct lv_host *h = opening.host;
    struct lv_link *l = opening.link;
    if (!l || l->fd >= 0 || !is_socket(fd))
        return true; /* a driver's inside this process */
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return l->events;
    pthread_mutex_lock(&h->mu);
    l->fd = own;
    if (l->cut)
        shutdown(own, SHUT_RDWR);
    pthread_mutex_unlock(&h->mu);
    return l->events;
}

/* Under h->mu. */
static void cut(struct lv_link *l)
{
    l->cut = true;
    if (l->fd >= 0)
        shutdown(l->fd, SHUT_RDWR);
}

void lv_link_cut(struct lv_host *h, struct lv_link *l)
{
    pthread_mutex_lock(&h->mu);
    cut(l);
    pthread_mutex_unlock(&h->mu);
}

void lv_links_cut(struct lv_host *h)
{
    pthread_mutex_lock(&h->mu);
    for (struct lv_link *l = h->links; l; l = l->next)
        if (!l->events)
            cut(l);
    pthread_mutex_unlock(&h->mu);
}

bool lv_link_open(struct lv_host *h, struct lv_link *l, bool events, uint64_t life)
{
    l->events = events;
    l->life = life;
    pthread_mutex_lock(&h->mu);
    l->cut = l->cut || h->closing || (!events && h->life != life);
    l->next = h->links;
    h->links = l;
    if (!events && h->shared) {
        l->conn = h->shared;
        virConnectRef(l->conn);
    }
    bool open_one = !l->conn && !l->cut;
    pthread_mutex_unlock(&h->mu);
    if (open_one) {
        opening.host = h;
        opening.link = l;
        l->conn = virConnectOpen(h->uri);
        opening.link = NULL;
    }
    return l->conn != NULL;
}

void lv_link_close(struct lv_host *h, struct lv_link *l)
{
    if (l->conn)
        virConnectClose(l->conn);
    pthread_mutex_lock(&h->mu);
    struct lv_link **at = &h->links;
    while (*at && *at != l)
        at = &(*at)->next;
    if (*at)
        *at = l->next;
    pthread_mutex_unlock(&h->mu);
    if (l->fd >= 0)
        close(l->fd);
    *l = LV_NO_LINK;
}

/* Its other end has gone: nobody was there to see it. */
static bool hung_up(const struct lv_link *l)
{
    struct pollfd p = {.fd = l->fd, .events = POLLRDHUP};
    return l->fd >= 0 && poll(&p, 1, 0) > 0;
}

virConnectPtr lv_link_use(struct lv_host *h, struct lv_link *l)
{
    pthread_mutex_lock(&h->mu);
    bool up = h->up;
    uint64_t life = h->life;
    bool stale = l->conn && (l->life != life || l->cut || !up);
    if (stale)
        cut(l); /* its closing asks nobody */
    pthread_mutex_unlock(&h->mu);
    if (stale || (l->conn && hung_up(l)))
        lv_link_close(h, l);
    if (!up)
        return NULL;
    if (!l->conn && !lv_link_open(h, l, false, life)) {
        sv_log(SV_LOG_WARN, "hv.no_connection", "host", h->base.name, "text", virGetLastErrorMessage(), NULL);
        lv_link_close(h, l);
    }
    virResetLastError();
    return l->conn;
}
