/* What the engine finds of load balancers, asked every few seconds, as asking may take long; and certificates that are
 * about to end. One thread; readers get what was found last. A round ends in time, however many do not answer: the next
 * goes on behind the router that was asked last. */
#include "core/alarm/alarm.h"
#include "core/balance/balance.h"
#include "starvirt/log.h"
#include "starvirt/thread.h"

enum { PERIOD_MS = 3000, TURN_MS = 200, WARN_AT_ONCE = 16 };
_Static_assert((int)SV_BALANCE_ROUND_MS < (int)PERIOD_MS, "a round is over when the next begins");
static const int64_t warn_before_ms = 30LL * 24 * 3600 * 1000;

/* A node, and the router in which it was seen. */
struct seen {
    struct sv_id router;
    struct sv_net_node_fact fact;
};
struct seen_list {
    struct seen *v; /* in order of nodes */
    size_t n, cap;
};
struct ending {
    struct sv_id slb;
    int64_t at;
};
struct endings {
    struct ending *v;
    size_t n, cap;
};

struct sv_balance {
    pthread_t thread;
    pthread_mutex_t mutex; /* the rest */
    pthread_cond_t change;
    bool stop;
    struct sv_id last; /* router asked; the thread's own */
    struct seen_list seen;
    struct endings endings;
};

/* --- one round ------------------------------------------------------------------------------------------- */

struct round {
    struct sv_ids routers;
    struct seen_list seen;
    struct endings endings;
};

static void add_router(void *arg, const struct sv_id *router)
{
    sv_ids_add(arg, router);
}

static void add_ending(void *arg, const struct sv_slb *b)
{
    struct endings *l = arg;

    l->v = sv_grow(l->v, l->n, &l->cap, sizeof(*l->v));
    l->v[l->n++] = (struct ending){b->id, b->cert_ends};
}

static enum sv_err read_round(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct round *r = arg;
    enum sv_err rc = sv_slb_list_routers(tx, add_router, &r->routers, err);

    return rc ? rc : sv_slb_list_certs(tx, add_ending, &r->endings, err);
}

static void add_seen(struct seen_list *l, const struct sv_id *router, const struct sv_net_node_fact *f)
{
    l->v = sv_grow(l->v, l->n, &l->cap, sizeof(*l->v));
    l->v[l->n++] = (struct seen){*router, *f};
}

struct asked {
    struct seen_list *to;
    const struct sv_id *router;
};

static void see(void *arg, const struct sv_net_node_fact *f)
{
    const struct asked *a = arg;

    add_seen(a->to, a->router, f);
}

/* Of a router that is being changed, or for which there was no time: what was seen before. */
static void see_again(const struct sv_balance *s, const struct sv_id *router, struct seen_list *to)
{
    for (size_t i = 0; i < s->seen.n; i++)
        if (sv_id_eq(&s->seen.v[i].router, router))
            add_seen(to, router, &s->seen.v[i].fact);
}

static void ask(struct sv_cloud *c, const struct sv_id *router, const struct sv_deadline *limit, struct round *r)
{
    const struct sv_deadline d = sv_deadline_within(limit, TURN_MS);
    struct asked a = {&r->seen, router};
    const size_t before = r->seen.n;
    struct sv_turn turn;
    struct sv_error e;

    if (sv_turn_take(c, router, &d, &turn, &e)) {
        see_again(c->balance, router, &r->seen);
        return;
    }
    if (c->net->ops->router_nodes(c->net, router, see, &a, &e))
        r->seen.n = before; /* not known */
    sv_turn_give(c, &turn);
}

static int by_node(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;

    return strcmp(x->fact.node.s, y->fact.node.s);
}

/* What was found takes the place of what was; that goes with the round. */
static void show(struct sv_balance *s, struct round *r)
{
    const struct seen_list seen = s->seen;
    const struct endings endings = s->endings;

    if (r->seen.n)
        qsort(r->seen.v, r->seen.n, sizeof(*r->seen.v), by_node);
    pthread_mutex_lock(&s->mutex);
    s->seen = r->seen;
    s->endings = r->endings;
    pthread_mutex_unlock(&s->mutex);
    r->seen = seen;
    r->endings = endings;
}

static bool is_stopped(struct sv_balance *s)
{
    bool stop;

    pthread_mutex_lock(&s->mutex);
    stop = s->stop;
    pthread_mutex_unlock(&s->mutex);
    return stop;
}

/* The first behind the one that was asked last. */
static size_t first_to_ask(const struct sv_balance *s, const struct sv_ids *routers)
{
    for (size_t i = 0; i < routers->n; i++)
        if (strcmp(routers->v[i].s, s->last.s) > 0)
            return i;
    return 0;
}

static void ask_all(struct sv_cloud *c, struct round *r)
{
    const struct sv_deadline limit = sv_deadline_within(NULL, SV_BALANCE_ROUND_MS);
    const size_t first = first_to_ask(c->balance, &r->routers);

    for (size_t i = 0; i < r->routers.n && !is_stopped(c->balance); i++) {
        const struct sv_id *router = &r->routers.v[(first + i) % r->routers.n];

        if (sv_deadline_over(&limit)) {
            see_again(c->balance, router, &r->seen);
            continue;
        }
        ask(c, router, &limit, r);
        c->balance->last = *router;
    }
}

static void go_round(struct sv_cloud *c)
{
    struct round r = {.seen = {.n = 0}};
    struct sv_error e;

    if (!sv_db_read(c->db, read_round, &r, &e)) {
        if (!c->net->ops->books_only)
            ask_all(c, &r);
        show(c->balance, &r);
    }
    sv_ids_free(&r.routers);
    free(r.seen.v);
    free(r.endings.v);
}

/* --- certificates that end -------------------------------------------------------------------------------- */

struct warnings {
    struct sv_slb v[WARN_AT_ONCE];
    unsigned n;
    struct sv_tx *tx;
};

static void add_warning(void *arg, const struct sv_slb *b)
{
    struct warnings *w = arg;

    if (w->n == WARN_AT_ONCE)
        return;
    w->v[w->n] = *b;
    w->v[w->n++].name = sv_arena_strdup(sv_tx_arena(w->tx), b->name);
}

static enum sv_err find_warnings(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct warnings *w = arg;

    w->n = 0;
    w->tx = tx;
    return sv_slb_list_ending(tx, sv_tx_now(tx) + warn_before_ms, WARN_AT_ONCE, add_warning, w, err);
}

/* Of a certificate that follows one that was ending, too: the watch has not seen yet that that one is gone. */
static enum sv_err raise_ending(struct sv_tx *tx, const struct sv_slb *b, struct sv_error *err)
{
    const int64_t left = b->cert_ends - sv_tx_now(tx);
    const struct sv_dec ends = sv_dec(b->cert_ends), days = sv_dec(left > 0 ? left / (24 * 3600 * 1000) : 0);
    const enum sv_err rc = sv_alarm_relieve(tx, SV_ALARM_CERTIFICATE, &b->id, err);

    return rc ? rc
              : sv_alarm_raise(
                    tx, &(struct sv_alarm_new){.type = SV_ALARM_CERTIFICATE, .object = b->id, .args = {ends.s, days.s}},
                    err);
}

/* Once for each certificate, in the transaction that says so. */
static enum sv_err warn(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct warnings *w = arg;
    enum sv_err rc = find_warnings(tx, w, err);

    for (unsigned i = 0; !rc && i < w->n; i++) {
        const struct sv_slb *b = &w->v[i];

        rc = sv_slb_warned(tx, &b->id, err);
        if (!rc)
            rc = sv_cloud_event(tx, "slb.certificate.ending", "slb", &b->id, &b->tenant, b->name, err);
        if (!rc)
            rc = raise_ending(tx, b, err);
    }
    return rc;
}

static void warn_of_certificates(struct sv_cloud *c)
{
    struct warnings w = {.n = 0};
    struct sv_error e;

    if (sv_db_read(c->db, find_warnings, &w, &e) || w.n == 0)
        return;
    if (sv_db_try(c->db, warn, &w, &e))
        return; /* the next round tries again */
    for (unsigned i = 0; i < w.n; i++)
        sv_log(SV_LOG_WARN, "slb.certificate.ending", "slb", w.v[i].id.s, "days",
               sv_dec((w.v[i].cert_ends - sv_now_ms()) / (24 * 3600 * 1000)).s, NULL);
}

/* --- the thread -------------------------------------------------------------------------------------------- */

static void *main_loop(void *arg)
{
    struct sv_cloud *c = arg;
    struct sv_balance *s = c->balance;

    while (!is_stopped(s)) {
        const int64_t next = sv_mono_ms() + PERIOD_MS;

        go_round(c);
        warn_of_certificates(c);
        pthread_mutex_lock(&s->mutex);
        while (!s->stop && sv_cond_wait(&s->change, &s->mutex, next))
            ;
        pthread_mutex_unlock(&s->mutex);
    }
    return NULL;
}

enum sv_err sv_balance_start(struct sv_cloud *c, struct sv_error *err)
{
    struct sv_balance *s = sv_alloc(sizeof(*s));

    pthread_mutex_init(&s->mutex, NULL);
    sv_cond_init(&s->change);
    c->balance = s;
    if (pthread_create(&s->thread, NULL, main_loop, c) == 0)
        return SV_OK;
    s->stop = true;
    return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "no thread");
}

void sv_balance_stop(struct sv_cloud *c)
{
    struct sv_balance *s = c->balance;

    if (!s || s->stop)
        return;
    pthread_mutex_lock(&s->mutex);
    s->stop = true;
    pthread_cond_broadcast(&s->change);
    pthread_mutex_unlock(&s->mutex);
    pthread_join(s->thread, NULL);
}

void sv_balance_free(struct sv_cloud *c)
{
    struct sv_balance *s = c->balance;

    if (!s)
        return;
    sv_balance_stop(c);
    pthread_mutex_destroy(&s->mutex);
    pthread_cond_destroy(&s->change);
    free(s->seen.v);
    free(s->endings.v);
    free(s);
    c->balance = NULL;
}

/* --- what is shown ------------------------------------------------------------------------------------------- */

enum sv_net_node_state sv_balance_node_state(struct sv_cloud *c, const struct sv_id *node)
{
    const struct seen key = {.fact = {.node = *node}};
    struct sv_balance *s = c->balance;
    const struct seen *found;
    enum sv_net_node_state state = SV_NET_NODE_UNKNOWN;

    if (!s)
        return state;
    pthread_mutex_lock(&s->mutex);
    found = s->seen.n ? bsearch(&key, s->seen.v, s->seen.n, sizeof(key), by_node) : NULL;
    if (found)
        state = found->fact.state;
    pthread_mutex_unlock(&s->mutex);
    return state;
}

struct figures {
    struct sv_slb_figures *v; /* in order of ids */
    size_t n, cap;
};

static int by_id(const void *a, const void *b)
{
    const struct sv_slb_figures *x = a, *y = b;

    return strcmp(x->id.s, y->id.s);
}

static void add_figures(struct figures *l, const struct sv_slb_figures *f)
{
    l->v = sv_grow(l->v, l->n, &l->cap, sizeof(*l->v));
    l->v[l->n++] = *f;
}

static void collect(struct sv_balance *s, struct figures *l)
{
    for (size_t i = 0; i < s->seen.n; i++) {
        const struct sv_net_node_fact *f = &s->seen.v[i].fact;
        struct sv_slb_figures one = {.id = f->balancer,
                                     .connections = f->connections,
                                     .sessions = f->sessions,
                                     .bytes_in = f->bytes_in,
                                     .bytes_out = f->bytes_out};

        one.nodes[f->state] = 1;
        add_figures(l, &one);
    }
    for (size_t i = 0; i < s->endings.n; i++)
        add_figures(l, &(struct sv_slb_figures){.id = s->endings.v[i].slb, .cert_ends = s->endings.v[i].at});
}

static void add_up(struct sv_slb_figures *to, const struct sv_slb_figures *f)
{
    for (unsigned i = 0; i <= SV_NET_NODE_OFF; i++)
        to->nodes[i] += f->nodes[i];
    to->connections += f->connections;
    to->sessions += f->sessions;
    to->bytes_in += f->bytes_in;
    to->bytes_out += f->bytes_out;
    to->cert_ends += f->cert_ends;
}

void sv_cloud_balancers(struct sv_cloud *c, void (*row)(void *arg, const struct sv_slb_figures *f), void *arg)
{
    struct sv_balance *s = c->balance;
    struct figures l = {.n = 0};

    if (!s)
        return;
    pthread_mutex_lock(&s->mutex);
    collect(s, &l);
    pthread_mutex_unlock(&s->mutex);
    if (l.n)
        qsort(l.v, l.n, sizeof(*l.v), by_id);
    for (size_t i = 0, end; i < l.n; i = end) {
        for (end = i + 1; end < l.n && sv_id_eq(&l.v[i].id, &l.v[end].id); end++)
            add_up(&l.v[i], &l.v[end]);
        row(arg, &l.v[i]);
    }
    free(l.v);
}
