/* The screens of simulated guests: an RFB 3.8 server in miniature (RFC 6143), one thread for all of them.
 *
 * A screen shows colour bars and, below, one block for each key that was pressed, so that a viewer sees what
 * it typed; viewers of one guest see the same. Nothing is kept of a guest that nobody looks at. */
#include "hv/sim/internal.h"
#include "starvirt/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WIDTH = 640,
    HEIGHT = 400,
    BARS = 8,
    KEYS = 64,      /* remembered and shown */
    BLOCK = 20,     /* [pixels] a key's block with its margin */
    KEYS_TOP = 240, /* [pixels] where the blocks begin */
    MAX_VIEWERS = 256,
    IN_MAX = 4096,
    PIXEL_MAX = 4,
    OUT_MAX = WIDTH * PIXEL_MAX + 64, /* a line of the picture, and what else is said at a time */
};

struct screen {
    struct screen *next;
    const struct sim_host *host;
    struct sim_key vm;
    unsigned viewers, key_count;
    uint32_t keys[KEYS];
    uint64_t changes;
};

/* How a viewer wants its pixels. */
struct format {
    unsigned bytes, max[3], shift[3]; /* red, green, blue */
    bool big;
};

enum talk { TALK_VERSION, TALK_SECURITY, TALK_INIT, TALK_RUNNING };

struct viewer {
    struct viewer *next;
    struct screen *screen;
    int fd;
    enum talk talk;
    bool over, wants, whole; /* wants: asked for a picture; whole: even if nothing changed */
    uint64_t seen;           /* changes of the screen that it has been shown */
    unsigned line;           /* of the picture being sent; HEIGHT = none */
    uint64_t skip;           /* [bytes] of a message that are of no interest */
    struct format format;
    size_t in_n, out_at, out_n;
    unsigned char in[IN_MAX], out[OUT_MAX];
};

struct sim_screens {
    pthread_mutex_t lock; /* a leaf; the thread leaves it only to wait */
    pthread_t thread;
    int wake;
    bool started, stop;
    unsigned viewer_count;
    struct screen *screens;
    struct viewer *viewers;
};

/* --- out ------------------------------------------------------------------------------------------------ */

static void put(struct viewer *v, const void *p, size_t n)
{
    if (v->out_n + n > sizeof(v->out)) {
        v->over = true;
        return;
    }
    memcpy(v->out + v->out_n, p, n);
    v->out_n += n;
}

static void put8(struct viewer *v, unsigned x)
{
    const unsigned char b = (unsigned char)x;
    put(v, &b, 1);
}

static void put16(struct viewer *v, unsigned x)
{
    put8(v, x >> 8 & 0xff);
    put8(v, x & 0xff);
}

static void put32(struct viewer *v, uint32_t x)
{
    put16(v, x >> 16);
    put16(v, x & 0xffff);
}

static void put_pixel(struct viewer *v, uint32_t rgb)
{
    const struct format *f = &v->format;
    uint32_t x = 0;

    for (unsigned i = 0; i < 3; i++)
        x |= ((rgb >> (16 - 8 * i) & 0xff) * f->max[i] / 255) << f->shift[i];
    for (unsigned i = 0; i < f->bytes; i++)
        put8(v, x >> 8 * (f->big ? f->bytes - 1 - i : i) & 0xff);
}

/* Colours that are far apart, for numbers that are not. */
static uint32_t key_colour(uint32_t key)
{
    return (key * 2654435761U >> 8 & 0xffffff) | 0x404040;
}

static uint32_t pixel(const struct screen *s, unsigned x, unsigned y)
{
    static const uint32_t bars[BARS] = {0xffffff, 0xffff00, 0x00ffff, 0x00ff00, 0xff00ff, 0xff0000, 0x0000ff, 0x303030};

    if (y < KEYS_TOP - BLOCK)
        return bars[x * BARS / WIDTH];
    if (y < KEYS_TOP || x % BLOCK < 2 || y % BLOCK < 2)
        return 0;
    const unsigned at = (y - KEYS_TOP) / BLOCK * (WIDTH / BLOCK) + x / BLOCK;
    return at < s->key_count ? key_colour(s->keys[at]) : 0;
}

/* Begins a picture when one is due, and goes on with one under way, as far as the buffer reaches. */
static void draw(struct viewer *v)
{
    if (v->line == HEIGHT && v->wants && (v->whole || v->seen != v->screen->changes)) {
        v->wants = v->whole = false;
        v->seen = v->screen->changes;
        v->line = 0;
        put16(v, 0); /* FramebufferUpdate, padding */
        put16(v, 1);
        put16(v, 0);
        put16(v, 0);
        put16(v, WIDTH);
        put16(v, HEIGHT);
        put32(v, 0); /* raw */
    }
    while (v->line < HEIGHT && v->out_n + WIDTH * v->format.bytes <= sizeof(v->out)) {
        for (unsigned x = 0; x < WIDTH; x++)
            put_pixel(v, pixel(v->screen, x, v->line));
        v->line++;
    }
}

static void flush(struct viewer *v)
{
    while (!v->over) {
        if (v->out_at == v->out_n) {
            v->out_at = v->out_n = 0;
            if (v->talk == TALK_RUNNING)
                draw(v);
            if (v->out_n == 0)
                return;
        }
        const ssize_t n = send(v->fd, v->out + v->out_at, v->out_n - v->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            v->over = errno != EAGAIN;
            return;
        }
        v->out_at += (size_t)n;
    }
}

/* --- in: each takes a message that is there whole, or says how much of it is still to come ------------------ */

static unsigned get16(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static uint32_t get32(const unsigned char *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void set_format(struct viewer *v, const unsigned char *p)
{
    const struct format f = {.bytes = p[4] / 8U,
                             .big = p[6],
                             .max = {get16(p + 8), get16(p + 10), get16(p + 12)},
                             .shift = {p[14], p[15], p[16]}};
    const bool true_colour = p[7] && (f.bytes == 1 || f.bytes == 2 || f.bytes == 4);

    if (true_colour && f.shift[0] < 32 && f.shift[1] < 32 && f.shift[2] < 32)
        v->format = f;
    else
        v->over = true;
}

static void press(struct screen *s, uint32_t key)
{
    if (s->key_count == KEYS)
        memmove(s->keys, s->keys + 1, --s->key_count * sizeof(s->keys[0]));
    s->keys[s->key_count++] = key;
    s->changes++;
}

static void send_init(struct viewer *v)
{
    static const char name[] = "starvirt simulator";

    put16(v, WIDTH);
    put16(v, HEIGHT);
    put(v, "\x20\x18\x00\x01\x00\xff\x00\xff\x00\xff\x10\x08\x00\x00\x00\x00", 16);
    put32(v, sizeof(name) - 1);
    put(v, name, sizeof(name) - 1);
    v->talk = TALK_RUNNING;
}

static size_t take_message(struct viewer *v, const unsigned char *p, size_t n)
{
    static const unsigned char size[] = {20, 0, 4, 10, 8, 6, 8};

    if (p[0] >= sizeof(size) || size[p[0]] == 0) {
        v->over = true;
        return 0;
    }
    if (n < size[p[0]])
        return 0;
    switch (p[0]) {
    case 0:
        set_format(v, p);
        break;
    case 2:
        v->skip = 4 * (uint64_t)get16(p + 2);
        break;
    case 3:
        v->wants = true;
        v->whole |= !p[1];
        break;
    case 4:
        if (p[1])
            press(v->screen, get32(p + 4));
        break;
    case 6:
        v->skip = get32(p + 4);
        break;
    }
    return size[p[0]];
}

static size_t take(struct viewer *v, const unsigned char *p, size_t n)
{
    switch (v->talk) {
    case TALK_VERSION:
        if (n < 12)
            return 0;
        put(v, "\x01\x01", 2); /* one security type: none. Who got this far was let in. */
        v->talk = TALK_SECURITY;
        v->over = memcmp(p, "RFB 003.008\n", 12) != 0;
        return 12;
    case TALK_SECURITY:
        put32(v, 0);
        v->talk = TALK_INIT;
        v->over = p[0] != 1;
        return 1;
    case TALK_INIT:
        send_init(v);
        return 1;
    case TALK_RUNNING:
        break;
    }
    return take_message(v, p, n);
}

static void take_all(struct viewer *v)
{
    size_t at = 0;

    while (at < v->in_n && !v->over) {
        size_t used = v->in_n - at;
        if (v->skip) {
            used = used < v->skip ? used : (size_t)v->skip;
            v->skip -= used;
        } else {
            used = take(v, v->in + at, used);
            if (used == 0)
                break;
        }
        at += used;
    }
    v->in_n -= at;
    memmove(v->in, v->in + at, v->in_n);
}

static void hear(struct viewer *v)
{
    const ssize_t n = recv(v->fd, v->in + v->in_n, sizeof(v->in) - v->in_n, 0);

    if (n > 0) {
        v->in_n += (size_t)n;
        take_all(v);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        v->over = true;
    }
}

/* --- viewers and screens, under the lock ---------------------------------------------------------------------- */

static struct screen *screen_find(struct sim_screens *s, const struct sim_host *h, const struct sim_key *vm)
{
    for (struct screen *c = s->screens; c; c = c->next)
        if (c->host == h && sim_key_eq(&c->vm, vm))
            return c;
    return NULL;
}

static struct screen *screen_get(struct sim_screens *s, const struct sim_host *h, const struct sim_key *vm)
{
    struct screen *c = screen_find(s, h, vm);

    if (!c) {
        c = sv_alloc(sizeof(*c));
        *c = (struct screen){.next = s->screens, .host = h, .vm = *vm};
        s->screens = c;
    }
    return c;
}

static void screen_drop(struct sim_screens *s, struct screen *c)
{
    struct screen **at = &s->screens;

    if (--c->viewers > 0)
        return;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    free(c);
}

static void drop_ended(struct sim_screens *s)
{
    for (struct viewer **at = &s->viewers; *at;) {
        struct viewer *v = *at;
        if (!v->over) {
            at = &v->next;
            continue;
        }
        *at = v->next;
        s->viewer_count--;
        screen_drop(s, v->screen);
        close(v->fd);
        free(v);
    }
}

static void wake(const struct sim_screens *s)
{
    const uint64_t one = 1;
    ssize_t n = write(s->wake, &one, sizeof(one));
    (void)n; /* full: it is awake anyway */
}

/* --- the thread ---------------------------------------------------------------------------------------------- */

static nfds_t watch(const struct sim_screens *s, struct pollfd *ret)
{
    nfds_t n = 0;

    ret[n++] = (struct pollfd){.fd = s->wake, .events = POLLIN};
    for (const struct viewer *v = s->viewers; v; v = v->next) {
        const bool busy = v->out_at < v->out_n; /* who does not read is not read from either */
        ret[n++] = (struct pollfd){.fd = v->fd, .events = busy ? POLLOUT : POLLIN};
    }
    return n;
}

static void serve(struct sim_screens *s, const struct pollfd *fds, nfds_t n)
{
    for (struct viewer *v = s->viewers; v; v = v->next)
        for (nfds_t i = 1; i < n; i++)
            if (fds[i].fd == v->fd && fds[i].revents & (POLLIN | POLLHUP | POLLERR) && v->out_at == v->out_n)
                hear(v);
    for (struct viewer *v = s->viewers; v; v = v->next)
        flush(v); /* also those whose screen was changed by another */
    drop_ended(s);
}

static void *run(void *arg)
{
    struct sim_screens *s = arg;
    struct pollfd fds[MAX_VIEWERS + 1];
    uint64_t drained;

    pthread_setname_np(pthread_self(), "sim-screens");
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        drop_ended(s);
        const nfds_t n = watch(s, fds);
        pthread_mutex_unlock(&s->lock);
        poll(fds, n, -1);
        if (fds[0].revents && read(s->wake, &drained, sizeof(drained)) < 0)
            drained = 0;
        pthread_mutex_lock(&s->lock);
        serve(s, fds, n);
    }
    for (struct viewer *v = s->viewers; v; v = v->next)
        v->over = true;
    drop_ended(s);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

struct sim_screens *sim_screens_new(void)
{
    struct sim_screens *s = sv_alloc(sizeof(*s));

    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void sim_screens_free(struct sim_screens *s)
{
    pthread_mutex_lock(&s->lock);
    const bool started = s->started;
    s->stop = true;
    wake(s);
    pthread_mutex_unlock(&s->lock);
    if (started)
        pthread_join(s->thread, NULL);
    if (s->wake >= 0)
        close(s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void sim_screens_power(struct sim_host *h, const struct sim_domain *d)
{
    struct sim_screens *s = h->sim->screens;

    if (d->live.power == SV_HV_RUNNING || d->live.power == SV_HV_PAUSED)
        return;
    pthread_mutex_lock(&s->lock);
    for (struct viewer *v = s->viewers; v; v = v->next)
        if (v->screen->host == h && sim_key_eq(&v->screen->vm, &d->key))
            v->over = true;
    wake(s);
    pthread_mutex_unlock(&s->lock);
}

/* Takes `fd` when it succeeds. */
static enum sv_err add_viewer(struct sim_screens *s, const struct sim_host *h, const struct sim_key *vm, int fd,
                              struct sv_error *err)
{
    enum sv_err rc = SV_OK;

    pthread_mutex_lock(&s->lock);
    if (!s->started)
        s->started = s->wake >= 0 && pthread_create(&s->thread, NULL, run, s) == 0;
    if (!s->started || s->stop || s->viewer_count == MAX_VIEWERS)
        rc = sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, "the simulator shows no more screens");
    if (!rc) {
        struct viewer *v = sv_alloc(sizeof(*v));
        v->next = s->viewers;
        v->screen = screen_get(s, h, vm);
        v->screen->viewers++;
        v->fd = fd;
        v->line = HEIGHT;
        v->format = (struct format){.bytes = 4, .max = {255, 255, 255}, .shift = {16, 8, 0}};
        put(v, "RFB 003.008\n", 12);
        s->viewers = v;
        s->viewer_count++;
        wake(s);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* --- rows of the driver's table -------------------------------------------------------------------------------- */

static enum sv_err check_screen(const struct sim_domain *d, struct sv_error *err)
{
    if (d->live.power == SV_HV_RUNNING || d->live.power == SV_HV_PAUSED)
        return SV_OK;
    return sv_fail(err, SV_E_VM_STATE, SV_F_VM, "stopped");
}

/* Addresses for documentation (RFC 5737): nothing listens there, and nothing else is reached by mistake. */
enum sv_err sim_console_address(struct sv_hv_host *hh, const struct sv_id *vm, char host[64], unsigned *ret_port,
                                struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct sim_key k;
    enum sv_err rc = sim_key_of(vm, &k, err);

    if (rc)
        return rc;
    pthread_mutex_lock(&h->lock);
    const struct sim_domain *d = sim_table_get(&h->domains, &k);
    rc = d ? check_screen(d, err) : sv_fail(err, SV_E_DOMAIN_MISSING, SV_F_VM);
    pthread_mutex_unlock(&h->lock);
    if (rc)
        return rc;
    snprintf(host, 64, "192.0.2.%u", h->base.index % 254 + 1);
    *ret_port = 5900 + ((unsigned)k.b[14] << 8 | k.b[15]) % 10000;
    return SV_OK;
}

enum sv_err sim_console_open(struct sv_hv_host *hh, const struct sv_id *vm, int *ret_fd, const struct sv_deadline *dl,
                             struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    int pair[2];
    enum sv_err rc;
    const struct sim_domain *d = sim_enter_vm(h, SIM_CALL_console_open, vm, dl, &rc, err);

    if (!d)
        return rc;
    rc = check_screen(d, err);
    if (!rc && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        rc = sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "sockets");
    if (!rc) {
        rc = add_viewer(h->sim->screens, h, &d->key, pair[0], err);
        if (rc) {
            close(pair[0]);
            close(pair[1]);
        }
    }
    sim_leave(h);
    if (!rc)
        *ret_fd = pair[1];
    return rc;
}
