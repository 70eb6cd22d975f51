#include "server/console_relay.h"
#include "server/http.h"
#include "server/websocket.h"
#include "starvirt/clock.h"
#include "starvirt/limits.h"
#include "starvirt/log.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    KEYS_MAX = 64 * 1024,      /* [bytes] on their way to the screen */
    KEYS_ROOM = 8 * 1024,      /* [bytes] the least room to read more for */
    PICTURE_MAX = 256 * 1024,  /* [bytes] on their way to the client */
    FRAMES_MAX = 64,           /* frames likewise: pongs are small */
    PIECE = 32 * 1024,         /* [bytes] read from a screen at a time */
    OPEN_LIMIT_MS = 15 * 1000, /* for a screen */
    CLOSE_LIMIT_MS = 3 * 1000, /* for a client to take its close frame */
    TICK_MS = 1000,            /* how exact time limits are */
    STOP_TICK_MS = 50,         /* the same once the server stops */
    EVENTS = 64,               /* of the kernel at a time */
};

struct console;
struct end {
    struct console *console;
    int fd;          /* -1 = none */
    uint32_t events; /* watched for; 0 = not in the set at all: an end that hung up would be told forever */
};

struct console {
    struct console *next, **link;
    uint64_t serial;
    struct sv_relay_client who;
    struct sv_place place; /* from admission until it closes */
    struct sv_relay *relay;
    struct sv_begun begun; /* from admission on */
    struct sv_ws *ws;
    struct end client, screen;
    struct end wire;       /* HTTPS: where the client's end can be written to, and seen to hang up */
    size_t unsent;         /* [bytes] that the TLS library has taken and not sent yet */
    bool broken;           /* nothing more can be said to the client */
    int64_t heard, pinged; /* [ms] monotonic */
    int64_t close_by;      /* [ms] monotonic; 0 = not closing */
    int64_t began;
    uint64_t keys, picture; /* [bytes] relayed */
    unsigned char *early;
    size_t early_at, early_n;
    unsigned char buf[KEYS_MAX];
    size_t at, n;
};

/* What other threads have for the relay's. */
struct mail {
    struct mail *next;
    struct console *add; /* or what became of a screen or, `over`, of a token: */
    uint64_t serial;
    bool over;
    int fd;
    enum sv_err code;
};

struct sv_relay {
    struct sv_server *server;
    int64_t silence_ms;
    pthread_t thread;
    int epoll, wake;
    struct console *first; /* the thread's own */
    int64_t looked;
    pthread_mutex_t lock; /* of what follows */
    struct mail *mail, **mail_last;
    bool stopping;
    int64_t stop_by;
    uint64_t next_serial;
    atomic_uint open;
    atomic_uint_least64_t total;
};

/* --- opening a screen, on a worker -------------------------------------------------------------------- */

struct opening {
    struct sv_work work;
    struct sv_relay *relay;
    uint64_t serial;
    struct sv_id tenant, vm;
    char request[32];
};

static void wake(struct sv_relay *r)
{
    const uint64_t one = 1;
    ssize_t n = write(r->wake, &one, sizeof(one));
    (void)n; /* full: it is awake anyway */
}

static void post(struct sv_relay *r, const struct mail *what)
{
    struct mail *m = sv_alloc(sizeof(*m));
    *m = *what;
    m->next = NULL;
    pthread_mutex_lock(&r->lock);
    *r->mail_last = m;
    r->mail_last = &m->next;
    pthread_mutex_unlock(&r->lock);
    wake(r);
}

static void open_screen(struct sv_work *w)
{
    struct opening *o = (struct opening *)(void *)w;
    struct sv_server *s = o->relay->server;
    const struct sv_deadline d = sv_deadline_within(NULL, OPEN_LIMIT_MS);
    struct sv_error err = {0};
    struct mail m = {.serial = o->serial, .fd = -1};
    sv_log_request(o->request);
    m.code = sv_vm_console_open(s->cloud, &o->tenant, &o->vm, &m.fd, &d, &err);
    if (m.code)
        sv_log(SV_LOG_WARN, "console.no_screen", "vm", o->vm.s, "error", sv_err_symbol(m.code), "text", err.arg[0],
               NULL);
    sv_log_request(NULL);
    post(o->relay, &m);
    free(o);
    sv_server_left(s, &s->handed);
}

static void ask_for_screen(struct sv_relay *r, const struct console *c)
{
    struct opening *o = sv_alloc(sizeof(*o));
    *o = (struct opening){
        .work.run = open_screen, .relay = r, .serial = c->serial, .tenant = c->who.tenant, .vm = c->who.vm};
    SV_COPY(o->request, c->who.request);
    atomic_fetch_add(&r->server->handed, 1);
    if (sv_workers_post(r->server->screens, &o->work))
        return;
    free(o);
    post(r, &(struct mail){.serial = c->serial, .fd = -1, .code = SV_E_OVERLOADED});
    sv_server_left(r->server, &r->server->handed);
}

/* --- the client's end ----------------------------------------------------------------------------------- */

static ssize_t from_client(void *arg, void *buf, size_t n)
{
    struct console *c = arg;
    if (KEYS_MAX - c->n < KEYS_ROOM || sv_ws_queued_frames(c->ws) > FRAMES_MAX)
        return SV_WS_AGAIN;
    if (c->early_at < c->early_n) {
        n = c->early_n - c->early_at < n ? c->early_n - c->early_at : n;
        memcpy(buf, c->early + c->early_at, n);
        c->early_at += n;
        return (ssize_t)n;
    }
    ssize_t got;
    do
        got = recv(c->client.fd, buf, n < KEYS_ROOM ? n : KEYS_ROOM, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        c->heard = sv_mono_ms();
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return SV_WS_AGAIN;
    return got > 0 ? got : SV_WS_BROKEN;
}

/* The HTTP library decrypts what comes, on its own thread; but what goes it would move by a few bytes at a time, so
 * that is encrypted here. One thread may receive while another sends. */
static ssize_t encrypt(struct console *c, const void *buf, size_t n)
{
    gnutls_session_t tls = c->who.socket.tls;
    ssize_t sent;
    if (c->unsent)
        n = c->unsent; /* the same bytes again, which it has already */
    do
        sent = c->unsent ? gnutls_record_send(tls, NULL, 0) : gnutls_record_send(tls, buf, n);
    while (sent == GNUTLS_E_INTERRUPTED);
    c->unsent = sent == GNUTLS_E_AGAIN ? n : 0;
    if (sent < 0)
        return sent == GNUTLS_E_AGAIN ? SV_WS_AGAIN : SV_WS_BROKEN;
    return sent;
}

static ssize_t to_client(void *arg, const void *buf, size_t n)
{
    struct console *c = arg;
    ssize_t sent;
    if (c->who.socket.tls)
        return encrypt(c, buf, n);
    do
        sent = send(c->client.fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? SV_WS_AGAIN : SV_WS_BROKEN;
    return sent;
}

/* from_client() made sure of the room. */
static void on_keys(void *arg, const void *p, size_t n)
{
    struct console *c = arg;
    if (c->close_by)
        return;
    if (n > KEYS_MAX - c->n) {
        c->broken = true;
        return;
    }
    if (c->at + c->n + n > KEYS_MAX) {
        memmove(c->buf, c->buf + c->at, c->n);
        c->at = 0;
    }
    memcpy(c->buf + c->at + c->n, p, n);
    c->n += n;
    c->keys += n;
}

static const struct sv_ws_transport transport = {.recv = from_client, .send = to_client, .data = on_keys};

/* --- one console ------------------------------------------------------------------------------------------ */

static void watch(const struct sv_relay *r, struct end *e, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = e};
    if (e->fd < 0 || events == e->events)
        return;
    int op = !e->events ? EPOLL_CTL_ADD : !events ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    if (epoll_ctl(r->epoll, op, e->fd, &ev) != 0)
        e->console->broken = true;
    e->events = events;
}

static void drop_screen(const struct sv_relay *r, struct console *c)
{
    if (c->screen.fd < 0)
        return;
    watch(r, &c->screen, 0);
    close(c->screen.fd);
    c->screen.fd = -1;
    c->n = 0;
}

static void end(const struct sv_relay *r, struct console *c, unsigned code, const char *why)
{
    if (c->close_by)
        return;
    c->close_by = sv_mono_ms() + CLOSE_LIMIT_MS;
    sv_share_give(r->server->shares, &c->place);
    drop_screen(r, c);
    sv_ws_close(c->ws, code, why);
    sv_log(SV_LOG_INFO, "console.closed", "vm", c->who.vm.s, "tenant", c->who.tenant.s, "by", c->who.request, "why",
           why, "ms", sv_dec(sv_mono_ms() - c->began).s, "in", sv_dec((int64_t)c->keys).s, "out",
           sv_dec((int64_t)c->picture).s, NULL);
}

/* False when the screen's stream has ended. */
static bool send_keys(struct console *c)
{
    while (c->n > 0 && c->screen.fd >= 0) {
        ssize_t sent = send(c->screen.fd, c->buf + c->at, c->n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        c->at += (size_t)sent;
        c->n -= (size_t)sent;
    }
    if (c->n == 0)
        c->at = 0;
    return true;
}

static bool take_picture(struct console *c)
{
    unsigned char piece[PIECE];
    while (c->screen.fd >= 0 && sv_ws_queued(c->ws) < PICTURE_MAX) {
        ssize_t got = recv(c->screen.fd, piece, sizeof(piece), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return true;
        if (got <= 0)
            return false;
        sv_ws_put(c->ws, piece, (size_t)got);
        c->picture += (uint64_t)got;
        if (!sv_ws_write(c->ws)) {
            c->broken = true;
            return true;
        }
    }
    return true;
}

static void set_watches(const struct sv_relay *r, struct console *c)
{
    const bool room = KEYS_MAX - c->n >= KEYS_ROOM && sv_ws_queued_frames(c->ws) <= FRAMES_MAX;
    const uint32_t in = room && sv_ws_wants_read(c->ws) ? EPOLLIN : 0U, out = sv_ws_wants_write(c->ws) ? EPOLLOUT : 0U;
    watch(r, &c->client, c->wire.fd < 0 ? in | out | EPOLLRDHUP : in);
    watch(r, &c->wire, out | EPOLLRDHUP);
    watch(r, &c->screen, (sv_ws_queued(c->ws) < PICTURE_MAX ? EPOLLIN : 0U) | (c->n ? EPOLLOUT : 0U));
}

/* Moves all that can be moved now. */
static void pump(const struct sv_relay *r, struct console *c)
{
    if (!sv_ws_read(c->ws))
        c->broken = true;
    bool screen = !c->broken && send_keys(c);
    if (screen && !c->broken)
        screen = take_picture(c);
    if (!c->broken && !screen)
        end(r, c, SV_CONSOLE_ENDED, "SCREEN_CLOSED");
    if (!c->broken && sv_ws_closing(c->ws))
        end(r, c, SV_CONSOLE_AWAY, "CLIENT"); /* it began: this only starts the clock */
    if (!c->broken && !sv_ws_write(c->ws))
        c->broken = true;
    set_watches(r, c);
}

static bool is_over(const struct console *c, int64_t now)
{
    bool said = c->close_by && !sv_ws_wants_read(c->ws) && !sv_ws_wants_write(c->ws);
    return c->broken || said || (c->close_by && now >= c->close_by);
}

static void discard(struct sv_relay *r, struct console *c)
{
    if (!c->close_by)
        end(r, c, SV_CONSOLE_AWAY, "CLIENT");
    sv_begun_forget(r->server->begun, &c->begun);
    drop_screen(r, c);
    watch(r, &c->client, 0);
    watch(r, &c->wire, 0);
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    sv_ws_free(c->ws);
    sv_http_give_back(c->who.socket.handle);
    free(c->early);
    explicit_bzero(c->buf, sizeof(c->buf)); /* somebody's password may have been typed */
    free(c);
    atomic_fetch_sub(&r->open, 1);
}

/* --- news from other threads --------------------------------------------------------------------------------- */

static void token_gone(struct sv_begun *b, const struct sv_error *why)
{
    struct console *c = (struct console *)(void *)((char *)b - offsetof(struct console, begun));
    post(c->relay, &(struct mail){.serial = c->serial, .over = true, .fd = -1, .code = why->code});
}

static void admit(struct sv_relay *r, struct console *c)
{
    /* Whoever asked for the address: the console is the tenant's that owns the VM. */
    const struct sv_actor owner = {.role = SV_ROLE_TENANT, .tenant = c->who.tenant};
    struct sv_error err = {0};
    c->link = &r->first;
    c->next = r->first;
    if (c->next)
        c->next->link = &c->next;
    r->first = c;
    c->began = c->heard = c->pinged = sv_mono_ms();
    sv_log(SV_LOG_INFO, "console.opened", "vm", c->who.vm.s, "tenant", c->who.tenant.s, "by", c->who.request, NULL);
    sv_begun_watch(r->server->begun, &c->begun, &c->who.actor, c->who.token_seen, token_gone);
    if (sv_share_take(r->server->shares, SV_SUPPLY_CONSOLES, &owner, &c->place, &err) != SV_OK)
        end(r, c, SV_CONSOLE_FULL, "CONSOLES_FULL");
    else
        ask_for_screen(r, c);
    pump(r, c);
}

static void got_news(struct sv_relay *r, const struct mail *m)
{
    struct console *c = r->first;
    while (c && c->serial != m->serial)
        c = c->next;
    if (!c || c->close_by) {
        if (m->fd >= 0)
            close(m->fd);
        return;
    }
    if (m->over) {
        end(r, c, SV_CONSOLE_TOKEN_OVER, sv_err_symbol(m->code));
        pump(r, c);
        return;
    }
    c->screen.fd = m->fd;
    if (m->code)
        end(r, c, m->code == SV_E_OVERLOADED ? SV_CONSOLE_FULL : SV_CONSOLE_NO_SCREEN, sv_err_symbol(m->code));
    pump(r, c);
}

static void take_mail(struct sv_relay *r)
{
    uint64_t drained;
    if (read(r->wake, &drained, sizeof(drained)) < 0)
        drained = 0;
    pthread_mutex_lock(&r->lock);
    struct mail *m = r->mail;
    r->mail = NULL;
    r->mail_last = &r->mail;
    pthread_mutex_unlock(&r->lock);
    while (m) {
        struct mail *next = m->next;
        if (m->add)
            admit(r, m->add);
        else
            got_news(r, m);
        free(m);
        m = next;
    }
}

/* --- the thread -------------------------------------------------------------------------------------------- */

static void look_at_clock(struct sv_relay *r, struct console *c, int64_t now, bool stopping)
{
    if (stopping)
        end(r, c, SV_CONSOLE_AWAY, "SHUTTING_DOWN");
    else if (now - c->heard >= r->silence_ms)
        end(r, c, SV_CONSOLE_SILENT, "SILENT");
    else if (now - c->heard >= r->silence_ms / 3 && now - c->pinged >= r->silence_ms / 3) {
        c->pinged = now;
        sv_ws_ping(c->ws);
    }
    pump(r, c);
}

static void look_at_all(struct sv_relay *r, bool stopping)
{
    int64_t now = sv_mono_ms();
    bool due = stopping || now - r->looked >= TICK_MS;
    for (struct console *c = r->first, *next; c; c = next) {
        next = c->next;
        if (due)
            look_at_clock(r, c, now, stopping);
        if (is_over(c, now))
            discard(r, c);
    }
    if (due)
        r->looked = now;
}

static bool is_stopping(struct sv_relay *r, bool *ret_late)
{
    pthread_mutex_lock(&r->lock);
    bool stopping = r->stopping;
    *ret_late = stopping && sv_mono_ms() >= r->stop_by;
    pthread_mutex_unlock(&r->lock);
    return stopping;
}

/* Who hangs up while nothing is read from them would not be heard; else what they sent before is read first. */
static bool is_gone(const struct end *e, uint32_t events)
{
    const struct console *c = e->console;
    bool unread = e == &c->client && c->wire.fd < 0 && !(e->events & EPOLLIN);
    return (e == &c->wire || unread) && events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
}

static void serve(struct sv_relay *r, const struct epoll_event *ev, int n)
{
    for (int i = 0; i < n; i++) {
        const struct end *e = ev[i].data.ptr;
        if (!e) {
            take_mail(r);
            continue;
        }
        if (is_gone(e, ev[i].events))
            e->console->broken = true;
        pump(r, e->console); /* discarded only after all events were looked at */
    }
}

static void *run(void *arg)
{
    struct sv_relay *r = arg;
    struct epoll_event ev[EVENTS];
    pthread_setname_np(pthread_self(), "consoles");
    for (bool stopping = false, late = false; !stopping || (r->first && !late);) {
        int limit = stopping ? STOP_TICK_MS : r->first ? TICK_MS : -1;
        serve(r, ev, epoll_wait(r->epoll, ev, EVENTS, limit));
        stopping = is_stopping(r, &late);
        look_at_all(r, stopping);
    }
    take_mail(r); /* who came in the last moment */
    while (r->first)
        discard(r, r->first);
    return NULL;
}

/* --- in ------------------------------------------------------------------------------------------------------ */

void sv_relay_add(struct sv_relay *r, const struct sv_relay_client *who)
{
    struct console *c = sv_alloc(sizeof(*c));
    c->who = *who;
    c->relay = r;
    c->client = (struct end){.console = c, .fd = who->socket.fd};
    c->wire = (struct end){.console = c, .fd = who->socket.tls ? who->socket.wire : -1};
    c->screen = (struct end){.console = c, .fd = -1};
    c->ws = sv_ws_new(&transport, c);
    c->early = sv_alloc(who->socket.early_len + 1);
    if (who->socket.early_len)
        memcpy(c->early, who->socket.early, who->socket.early_len);
    c->early_n = who->socket.early_len;
    fcntl(who->socket.fd, F_SETFL, fcntl(who->socket.fd, F_GETFL) | O_NONBLOCK);
    pthread_mutex_lock(&r->lock);
    bool stopping = r->stopping;
    c->serial = r->next_serial++;
    atomic_fetch_add(&r->open, 1);
    atomic_fetch_add(&r->total, 1);
    if (!stopping) {
        struct mail *m = sv_alloc(sizeof(*m));
        m->add = c;
        *r->mail_last = m;
        r->mail_last = &m->next;
    }
    pthread_mutex_unlock(&r->lock);
    if (!stopping) {
        wake(r);
        return;
    }
    sv_ws_close(c->ws, SV_CONSOLE_AWAY, "SHUTTING_DOWN");
    sv_ws_write(c->ws);
    sv_ws_free(c->ws);
    sv_http_give_back(who->socket.handle);
    free(c->early);
    free(c);
    atomic_fetch_sub(&r->open, 1);
}

unsigned sv_relay_open(const struct sv_relay *r)
{
    return atomic_load(&r->open);
}

uint64_t sv_relay_total(const struct sv_relay *r)
{
    return atomic_load(&r->total);
}

/* --- life ------------------------------------------------------------------------------------------------------ */

enum sv_err sv_relay_new(struct sv_server *s, int64_t silence_ms, struct sv_relay **ret, struct sv_error *err)
{
    struct sv_relay *r = sv_alloc(sizeof(*r));
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    r->server = s;
    r->silence_ms = silence_ms;
    r->mail_last = &r->mail;
    pthread_mutex_init(&r->lock, NULL);
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->epoll >= 0 && r->wake >= 0 && epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->wake, &ev) == 0 &&
        pthread_create(&r->thread, NULL, run, r) == 0) {
        *ret = r;
        return SV_OK;
    }
    sv_relay_free(r);
    return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "consoles");
}

void sv_relay_stop(struct sv_relay *r, int64_t ms)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    bool first = !r->stopping;
    r->stopping = true;
    r->stop_by = sv_mono_ms() + ms;
    pthread_mutex_unlock(&r->lock);
    if (!first)
        return;
    wake(r);
    pthread_join(r->thread, NULL);
}

void sv_relay_free(struct sv_relay *r)
{
    if (!r)
        return;
    for (struct mail *m = r->mail, *next; m; m = next) {
        next = m->next;
        if (m->fd >= 0 && !m->add)
            close(m->fd);
        free(m);
    }
    if (r->epoll >= 0)
        close(r->epoll);
    if (r->wake >= 0)
        close(r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r);
}
