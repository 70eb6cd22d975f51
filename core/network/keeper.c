/* What the engine is told, and told again until it is in force.
 *
 * A change touches units in its transaction: rows of net_unit, and after the commit entries of a queue in memory, which
 * a crew of threads works off. The row goes once the engine has taken what the row wished for, so that a crash in
 * between is mended by the next start. One more thread looks after time: units that failed and are due again, and once
 * a minute whether what the engine has is what rows say (reconcile.c). */
#include "core/network/keeper.h"
#include "starvirt/log.h"

#include <stdio.h>

enum {
    TELL_LIMIT_MS = 15 * 1000, /* a call of the engine; with SV_UNITS_AT_A_TIME, how long a tenant's can hold one up */
    IDLE_MS = 2000,            /* a thread that has nothing to do ends after */
};

/* All that one transaction touched, in its arena. */
struct touched {
    struct sv_keeper *keeper;
    uint64_t number;
    bool hurry; /* what failed is told again */
    struct sv_id hurry_tenant;
    struct touch {
        struct sv_unit_wish wish;
        struct touch *next;
    } * first, **end;
};

/* --- after the commit ----------------------------------------------------------------------------------- */

static void *tell_units(void *arg);

/* Under the mutex: there may be something to tell. */
static void wake_tellers(struct sv_keeper *k)
{
    struct sv_keeper_seat *seat = k->seats;

    if (!k->started || !sv_unit_queue_any(k->queue))
        return;
    if (k->idle) {
        pthread_cond_broadcast(&k->crew.change);
        return;
    }
    while (seat < k->seats + SV_UNITS_AT_A_TIME && seat->taken)
        seat++;
    if (seat < k->seats + SV_UNITS_AT_A_TIME)
        sv_crew_wake(&k->crew, &seat->taken, tell_units, seat);
}

static void committed(void *arg)
{
    const struct touched *t = arg;
    struct sv_keeper *k = t->keeper;

    pthread_mutex_lock(&k->crew.mutex);
    for (const struct touch *u = t->first; u; u = u->next)
        sv_unit_queue_add(k->queue, &u->wish);
    if (t->hurry)
        sv_unit_queue_hurry(k->queue, &t->hurry_tenant);
    sv_unit_queue_tick(k->queue, sv_mono_ms());
    wake_tellers(k);
    pthread_mutex_unlock(&k->crew.mutex);
}

/* What this transaction has touched so far; on the writer thread, as all that asks for it. */
static struct touched *touched_by(struct sv_keeper *k, struct sv_tx *tx)
{
    struct touched *t = k->touched;

    if (t && k->touched_number == sv_tx_number(tx))
        return t;
    t = sv_arena_alloc(sv_tx_arena(tx), sizeof(*t));
    *t = (struct touched){.keeper = k, .number = sv_tx_number(tx), .end = &t->first};
    k->touched = t;
    k->touched_number = t->number;
    sv_tx_on_commit(tx, committed, t);
    return t;
}

enum sv_err sv_unit_touch(struct sv_cloud *c, struct sv_tx *tx, enum sv_net_unit kind, const struct sv_id *id,
                          struct sv_error *err)
{
    struct sv_id tenant = {.s = ""};
    struct touched *all;
    struct touch *t;
    enum sv_err rc;

    if (c->net->ops->books_only)
        return SV_OK;
    rc = sv_unit_due(tx, kind, id, &tenant, err);
    if (rc)
        return rc;
    all = touched_by(c->keeper, tx);
    t = sv_arena_alloc(sv_tx_arena(tx), sizeof(*t));
    t->wish = (struct sv_unit_wish){.kind = kind, .id = *id, .tenant = tenant, .ticket = all->number};
    *all->end = t;
    all->end = &t->next;
    return SV_OK;
}

enum sv_err sv_unit_retry(struct sv_cloud *c, struct sv_tx *tx, struct sv_scope scope, struct sv_error *err)
{
    const enum sv_err rc = sv_unit_hurry_failed(tx, scope, err);

    if (!rc) {
        struct touched *all = touched_by(c->keeper, tx);

        all->hurry = true;
        all->hurry_tenant = scope.tenant;
    }
    return rc;
}

bool sv_cloud_touched(struct sv_cloud *c, const struct sv_tx *tx)
{
    const struct sv_keeper *k = c->keeper;

    return k->touched && k->touched_number == sv_tx_number(tx) && k->touched->first;
}

static void ticket_told(void *arg, uint64_t number)
{
    struct sv_keeper *k = arg;
    char key[64];

    snprintf(key, sizeof(key), SV_NEWS_TOLD "%llu", (unsigned long long)number);
    if (k->news)
        k->news(k->news_arg, key);
}

/* --- telling, on the threads of the crew ------------------------------------------------------------------ */

struct outcome {
    const struct sv_unit_item *item;
    int64_t wish;
    struct sv_error why;
};

static enum sv_err write_told(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct outcome *o = arg;

    return sv_unit_told(tx, o->item->kind, &o->item->id, o->wish, err);
}

static enum sv_err write_failed(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct outcome *o = arg;
    const struct sv_unit u = {.kind = o->item->kind,
                              .id = o->item->id,
                              .tenant = o->item->tenant,
                              .due = sv_tx_now(tx) + sv_unit_pause(o->item->failures + 1)};

    return sv_unit_failed(tx, &u, &o->why, err);
}

static void log_unit(enum sv_level level, const char *what, const struct sv_unit_item *item, const struct sv_error *why)
{
    char text[256] = "";

    if (why)
        sv_err_text(why, SV_LANG_EN, text, sizeof(text));
    sv_log(level, what, "kind", sv_unit_name(item->kind), "id", item->id.s, "tenant", item->tenant.s, "failures",
           sv_dec(item->failures).s, "error", text, NULL);
}

/* Under the mutex. */
static void settle(struct sv_keeper *k, const struct sv_unit_item *item, const struct sv_error *why)
{
    for (struct sv_keeper_check *c = k->checks; c; c = c->next) {
        for (size_t i = 0; i < c->n && c->open; i++) {
            struct sv_drift *d = &c->v[i];

            if (d->state != SV_DRIFT_OPEN || d->kind != item->kind || !sv_id_eq(&d->id, &item->id))
                continue;
            d->state = why ? SV_DRIFT_FAILED : SV_DRIFT_MENDED;
            d->ms = sv_mono_ms() - d->ms;
            if (why)
                d->why = *why;
            c->open--;
        }
    }
    if (k->checks)
        pthread_cond_broadcast(&k->checked);
}

/* The engine took it. Who waits for that does not wait for the row. */
static enum sv_unit_end told(struct sv_keeper *k, struct sv_unit_item *item, int64_t wish)
{
    struct outcome o = {.item = item, .wish = wish};
    struct sv_error e;

    pthread_mutex_lock(&k->crew.mutex);
    k->mended += item->mends;
    sv_unit_queue_answered(k->queue, item);
    settle(k, item, NULL);
    pthread_mutex_unlock(&k->crew.mutex);
    if (item->mends || item->failures)
        log_unit(item->mends ? SV_LOG_WARN : SV_LOG_INFO, item->mends ? "network.mended" : "network.told", item, NULL);
    if (wish && sv_db_write(k->cloud->db, write_told, &o, &e))
        log_unit(SV_LOG_WARN, "network.row", item, &e); /* told again by the next start */
    return SV_UNIT_TOLD;
}

/* The row says so before anybody hears of it. */
static enum sv_unit_end failed(struct sv_keeper *k, struct sv_unit_item *item, const struct sv_error *why)
{
    struct outcome o = {.item = item, .why = *why};
    struct sv_error e;

    if (!item->failures)
        log_unit(SV_LOG_ERROR, "network.failed", item, why);
    if (sv_db_write(k->cloud->db, write_failed, &o, &e))
        log_unit(SV_LOG_WARN, "network.row", item, &e);
    pthread_mutex_lock(&k->crew.mutex);
    k->failures++;
    settle(k, item, why);
    pthread_mutex_unlock(&k->crew.mutex);
    return SV_UNIT_FAILED;
}

static enum sv_unit_end tell(struct sv_keeper *k, struct sv_unit_item *item)
{
    const struct sv_deadline d = {.mono_ms = sv_mono_ms() + TELL_LIMIT_MS, .cancel = &k->cancel};
    const bool spare = item->kind == SV_UNIT_GROUP && !item->last;
    struct sv_told t = {.wish = 0};
    struct sv_error e;
    const enum sv_err rc = sv_unit_tell(k->cloud, item->kind, &item->id, spare, &d, &t, &e);

    if (rc && sv_deadline_cancelled(&d)) /* the program ends: no failure of the engine */
        return SV_UNIT_FAILED;
    if (rc)
        return failed(k, item, &e);
    return t.gone && spare ? SV_UNIT_AFTER_NICS : told(k, item, t.wish);
}

/* Under the mutex; NULL: it is time to leave. */
static struct sv_unit_item *next_unit(struct sv_keeper *k)
{
    struct sv_unit_item *item = NULL;
    bool in_time = true;

    /* Asked once more when time is up: whoever had something meanwhile still counted on this thread. */
    while (!k->crew.stop && !(item = sv_unit_queue_take(k->queue)) && in_time) {
        k->idle++;
        in_time = sv_cond_wait(&k->crew.change, &k->crew.mutex, sv_mono_ms() + IDLE_MS);
        k->idle--;
    }
    return item;
}

static void *tell_units(void *arg)
{
    struct sv_keeper_seat *seat = arg;
    struct sv_keeper *k = seat->keeper;
    struct sv_unit_item *item;

    pthread_mutex_lock(&k->crew.mutex);
    while ((item = next_unit(k))) {
        enum sv_unit_end how;

        wake_tellers(k); /* more at a time, if there is more */
        pthread_mutex_unlock(&k->crew.mutex);
        how = tell(k, item);
        pthread_mutex_lock(&k->crew.mutex);
        sv_unit_queue_end(k->queue, item, how, sv_mono_ms());
        if (how == SV_UNIT_FAILED)
            pthread_cond_signal(&k->sooner);
    }
    sv_crew_leave(&k->crew, &seat->taken);
    pthread_mutex_unlock(&k->crew.mutex);
    return NULL;
}

/* --- the thread that looks after time ---------------------------------------------------------------------- */

static void compare(struct sv_keeper *k, bool first)
{
    char text[256];
    struct sv_error e;

    if (!sv_keeper_compare(k, first, NULL, &e))
        return;
    sv_err_text(&e, SV_LANG_EN, text, sizeof(text));
    sv_log(SV_LOG_ERROR, "network.compare", "error", text, NULL);
}

static void *look_after(void *arg)
{
    struct sv_keeper *k = arg;
    int64_t look_at = 0;

    pthread_mutex_lock(&k->crew.mutex);
    while (!k->crew.stop) {
        int64_t due;

        if (sv_mono_ms() >= look_at) {
            pthread_mutex_unlock(&k->crew.mutex);
            compare(k, look_at == 0);
            pthread_mutex_lock(&k->crew.mutex);
            look_at = sv_mono_ms() + SV_KEEPER_LOOK_MS;
        }
        sv_unit_queue_tick(k->queue, sv_mono_ms());
        wake_tellers(k);
        due = sv_unit_queue_due(k->queue);
        if (!k->crew.stop) /* it may have come while the mutex was free */
            sv_cond_wait(&k->sooner, &k->crew.mutex, due < look_at ? due : look_at);
    }
    pthread_mutex_unlock(&k->crew.mutex);
    return NULL;
}

/* --- what differs ------------------------------------------------------------------------------------------ */

/* Under the mutex. */
static struct sv_drift *add_drift(struct sv_keeper_check *check, const struct sv_unit_wish *w)
{
    check->v = sv_grow(check->v, check->n, &check->cap, sizeof(*check->v));
    check->v[check->n] =
        (struct sv_drift){.kind = w->kind, .type = sv_unit_name(w->kind), .id = w->id, .tenant = w->tenant};
    return &check->v[check->n++];
}

void sv_keeper_wish(struct sv_keeper *k, const struct sv_unit_wish *w, struct sv_keeper_check *check)
{
    pthread_mutex_lock(&k->crew.mutex);
    if (check) {
        add_drift(check, w)->ms = sv_mono_ms();
        check->open++;
    }
    if (check || !sv_unit_queue_has(k->queue, w->kind, &w->id))
        sv_unit_queue_add(k->queue, w);
    wake_tellers(k);
    pthread_mutex_unlock(&k->crew.mutex);
}

void sv_keeper_unseen(struct sv_keeper *k, const struct sv_unit_wish *w, struct sv_keeper_check *check,
                      const struct sv_error *why)
{
    struct sv_drift *d;

    if (!check)
        return;
    pthread_mutex_lock(&k->crew.mutex);
    d = add_drift(check, w);
    d->state = SV_DRIFT_UNSEEN;
    d->why = *why;
    pthread_mutex_unlock(&k->crew.mutex);
}

static void take_out(struct sv_keeper *k, const struct sv_keeper_check *check)
{
    struct sv_keeper_check **at = &k->checks;

    while (*at != check)
        at = &(*at)->next;
    *at = check->next;
}

/* All that was found is told, or time is up. Under the mutex. */
static void wait_told(struct sv_keeper *k, const struct sv_keeper_check *check)
{
    const int64_t end = sv_mono_ms() + SV_CHECK_WAIT_MS;
    bool in_time = true;

    while (check->open && in_time && !k->crew.stop)
        in_time = sv_cond_wait(&k->checked, &k->crew.mutex, end);
    for (size_t i = 0; i < check->n; i++) {
        struct sv_drift *d = &check->v[i];

        if (d->state == SV_DRIFT_OPEN)
            d->ms = sv_mono_ms() - d->ms;
    }
}

enum sv_err sv_network_check(struct sv_cloud *c, const struct sv_actor *who, struct sv_arena *a, struct sv_drifts *ret,
                             struct sv_error *err)
{
    struct sv_keeper *k = c->keeper;
    struct sv_keeper_check check = {.v = NULL};
    enum sv_err rc = sv_admin_only(who, err);

    if (rc)
        return rc;
    pthread_mutex_lock(&k->crew.mutex);
    check.next = k->checks;
    k->checks = &check;
    pthread_mutex_unlock(&k->crew.mutex);
    rc = sv_keeper_compare(k, false, &check, err);
    pthread_mutex_lock(&k->crew.mutex);
    wait_told(k, &check);
    take_out(k, &check);
    pthread_mutex_unlock(&k->crew.mutex);
    if (!rc) {
        struct sv_drift *v = sv_arena_alloc(a, (check.n + 1) * sizeof(*v));

        if (check.n)
            memcpy(v, check.v, check.n * sizeof(*v));
        *ret = (struct sv_drifts){v, check.n};
    }
    free(check.v);
    return rc;
}

/* --- life --------------------------------------------------------------------------------------------------- */

void sv_keeper_new(struct sv_cloud *c, void (*news)(void *arg, const char *key), void *arg)
{
    struct sv_keeper *k = sv_alloc(sizeof(*k));

    k->cloud = c;
    k->news = news;
    k->news_arg = arg;
    sv_crew_init(&k->crew);
    sv_cond_init(&k->sooner);
    sv_cond_init(&k->checked);
    k->queue = sv_unit_queue_new(ticket_told, k);
    for (unsigned i = 0; i < SV_UNITS_AT_A_TIME; i++)
        k->seats[i].keeper = k;
    c->keeper = k;
}

static void add_open(void *arg, const struct sv_unit *u)
{
    const struct sv_unit_wish w = {.kind = u->kind, .id = u->id, .tenant = u->tenant, .failures = u->failures};

    sv_unit_queue_add(arg, &w);
}

static enum sv_err read_open(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_unit_list(tx, add_open, arg, err);
}

enum sv_err sv_keeper_start(struct sv_cloud *c, struct sv_error *err)
{
    struct sv_keeper *k = c->keeper;
    enum sv_err rc;

    pthread_mutex_lock(&k->crew.mutex);
    rc = sv_db_read(c->db, read_open, k->queue, err);
    if (!rc && pthread_create(&k->thread, NULL, look_after, k) != 0)
        rc = sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "no thread");
    k->started = !rc;
    pthread_mutex_unlock(&k->crew.mutex);
    return rc;
}

void sv_keeper_stop(struct sv_cloud *c)
{
    struct sv_keeper *k = c->keeper;

    atomic_store(&k->cancel, true);
    sv_crew_stop(&k->crew);
    pthread_mutex_lock(&k->crew.mutex);
    pthread_cond_signal(&k->sooner);
    pthread_cond_broadcast(&k->checked);
    pthread_mutex_unlock(&k->crew.mutex);
    if (k->started)
        pthread_join(k->thread, NULL);
    k->started = false;
}

void sv_keeper_free(struct sv_cloud *c)
{
    struct sv_keeper *k = c->keeper;

    sv_unit_queue_free(k->queue);
    sv_crew_free(&k->crew);
    pthread_cond_destroy(&k->sooner);
    pthread_cond_destroy(&k->checked);
    free(k);
    c->keeper = NULL;
}

void sv_cloud_network_stats(struct sv_cloud *c, struct sv_network_stats *ret)
{
    struct sv_keeper *k = c->keeper;
    struct sv_unit_counts n;

    pthread_mutex_lock(&k->crew.mutex);
    n = sv_unit_queue_counts(k->queue);
    *ret = (struct sv_network_stats){.waiting = n.waiting,
                                     .telling = n.telling,
                                     .failed = n.failed,
                                     .failures = k->failures,
                                     .mended = k->mended,
                                     .comparisons = k->comparisons,
                                     .comparing_us = k->comparing_us};
    pthread_mutex_unlock(&k->crew.mutex);
    ret->failovers = sv_failovers(c);
}
