/* The watch: what only looking finds out. It writes figures that crossed their threshold, raises what rows or hosts say
 * should be raised, relieves what they say is over, and throws away what is old; always a bounded number of rows a
 * transaction, so that a hundred thousand alarms at once hold up nobody's writes. */
#include "core/alarm/internal.h"

enum {
    PERIOD_MS = 2000,
    STORAGES_EVERY = 5,   /* rounds */
    SWEEP_EVERY = 30,     /* rounds */
    COUNT_ALL_EVERY = 15, /* rounds, while there are many */
    MANY = 10000,
    PRUNE_EVERY = 1800 /* rounds */
};
static const int64_t day_ms = 24LL * 3600 * 1000;

/* --- figures that crossed ------------------------------------------------------------------------------- */

struct crossings {
    struct sv_alarm_crossing v[SV_ALARM_AT_ONCE];
    unsigned n;
    struct sv_alarms *s;
    int64_t mono_ms;
};

static enum sv_err write_one(struct sv_tx *tx, const struct crossings *l, const struct sv_alarm_crossing *x,
                             struct sv_error *err)
{
    const struct sv_dec percent = sv_dec(x->percent);
    const struct sv_dec value = sv_dec(sv_alarm_threshold_of(l->s, x->key.type).value);
    const struct sv_alarm_new n = {.type = x->key.type,
                                   .object = x->key.object,
                                   .args = {percent.s, value.s},
                                   .since = sv_tx_now(tx) - (l->mono_ms - x->since_ms)};

    return x->raise ? sv_alarm_raise(tx, &n, err) : sv_alarm_relieve(tx, x->key.type, &x->key.object, err);
}

static enum sv_err write_crossings(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct crossings *l = arg;
    enum sv_err rc = SV_OK;

    for (unsigned i = 0; !rc && i < l->n; i++)
        rc = write_one(tx, l, &l->v[i], err);
    return rc;
}

/* False: could not be written; the next round tries again. */
static bool write_figures(struct sv_cloud *c)
{
    SV_AUTOFREE struct crossings *l = sv_alloc(sizeof(*l));
    struct sv_error e;

    l->s = c->alarms;
    while (!atomic_load(&c->alarms->stopping)) {
        l->mono_ms = sv_mono_ms();
        l->n = sv_alarm_figures_due(l->s, l->v, SV_ALARM_AT_ONCE);
        if (l->n == 0)
            return true;
        if (sv_db_try(c->db, write_crossings, l, &e))
            return false;
        sv_alarm_figures_written(l->s, l->n);
    }
    return true;
}

/* --- figures for metrics, and what is old --------------------------------------------------------------- */

static void add_open(void *arg, enum sv_alarm_type type, enum sv_alarm_level level, int64_t n)
{
    struct sv_alarm_stats *s = arg;

    s->open[type][level] += (uint64_t)n;
}

static void add_pending(void *arg, const char *hook, int64_t n)
{
    struct sv_alarm_stats *s = arg;

    (void)hook;
    s->pending += (uint64_t)n;
}

static enum sv_err read_stats(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    enum sv_err rc = sv_alarm_count_open(tx, add_open, arg, err);

    return rc ? rc : sv_alarm_delivery_count(tx, add_pending, arg, err);
}

/* *ret_many: do not do so each round. */
static void count_all(struct sv_cloud *c, bool *ret_many)
{
    struct sv_alarms *s = c->alarms;
    struct sv_alarm_stats now = {.pending = 0};
    struct sv_error e;
    uint64_t all = 0;

    if (sv_db_read(c->db, read_stats, &now, &e))
        return;
    for (int t = 0; t < SV_ALARM_TYPES; t++)
        for (int l = 0; l < SV_ALARM_LEVELS; l++)
            all += now.open[t][l];
    *ret_many = all + now.pending > MANY;
    pthread_mutex_lock(&s->mutex);
    memcpy(s->stats.open, now.open, sizeof(now.open));
    s->stats.pending = now.pending;
    pthread_mutex_unlock(&s->mutex);
}

void sv_cloud_alarm_stats(struct sv_cloud *c, struct sv_alarm_stats *ret)
{
    pthread_mutex_lock(&c->alarms->mutex);
    *ret = c->alarms->stats;
    pthread_mutex_unlock(&c->alarms->mutex);
}

static enum sv_err read_oldest(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_alarm_oldest_of(tx, SV_MAX_ALARMS_KEPT, arg, err);
}

static enum sv_err expire(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const int64_t *before = arg;

    return sv_alarm_expire(tx, *before, err);
}

static void prune(struct sv_cloud *c)
{
    const int64_t keep_ms = c->alarms->opt.keep_ms;
    int64_t oldest = 0, before = sv_sure_ms() - (keep_ms ? keep_ms : SV_ALARM_KEEP_DAYS * day_ms);
    struct sv_error e;

    if (sv_db_read(c->db, read_oldest, &oldest, &e))
        return;
    if (oldest > before)
        before = oldest;
    (void)sv_db_try(c->db, expire, &before, &e);
}

/* --- the thread ----------------------------------------------------------------------------------------- */

static bool wait_round(struct sv_alarms *s)
{
    const int64_t next = sv_mono_ms() + PERIOD_MS;
    bool stop;

    pthread_mutex_lock(&s->mutex);
    while (!s->stop && sv_cond_wait(&s->change, &s->mutex, next))
        continue;
    stop = s->stop;
    pthread_mutex_unlock(&s->mutex);
    return !stop;
}

static void *watch(void *arg)
{
    struct sv_cloud *c = arg;
    struct sv_alarm_key at = {.object = {.s = ""}};
    bool many = false;

    for (unsigned round = 0; wait_round(c->alarms); round++) {
        if (!sv_db_writable(c->db))
            continue;
        if (round % STORAGES_EVERY == 0)
            sv_alarm_look_at_storages(c);
        if (round % SWEEP_EVERY == 0)
            sv_alarm_figures_sweep(c->alarms, sv_mono_ms());
        if (!write_figures(c))
            continue;
        sv_alarm_follow_rows(c, &at);
        if (!many || round % COUNT_ALL_EVERY == 0)
            count_all(c, &many);
        if (round % PRUNE_EVERY == 0)
            prune(c);
    }
    return NULL;
}

/* --- life ----------------------------------------------------------------------------------------------- */

static void to_tell(void *arg)
{
    struct sv_alarms *s = arg;

    pthread_mutex_lock(&s->mutex);
    s->posted++;
    pthread_cond_broadcast(&s->change);
    pthread_mutex_unlock(&s->mutex);
}

void sv_alarms_init(struct sv_cloud *c, const struct sv_alarm_options *opt)
{
    struct sv_alarms *s = sv_alloc(sizeof(*s));

    c->alarms = s;
    s->opt = *opt;
    s->since = sv_mono_ms();
    pthread_mutex_init(&s->mutex, NULL);
    sv_cond_init(&s->change);
    sv_alarm_figures_init(s);
    for (unsigned i = 0; i < opt->hook_count && i < SV_MAX_HOOKS; i++)
        s->hooks[s->hook_count++] = (struct sv_alarm_hook){.cloud = c, .url = sv_strdup(opt->hooks[i])};
}

static void take_threshold(void *arg, const struct sv_alarm_threshold *t)
{
    if (t->type < SV_ALARM_TYPES)
        sv_alarm_threshold_apply(arg, t);
}

static void take_raised(void *arg, const struct sv_alarm_key *k)
{
    struct sv_alarms *s = arg;

    if (sv_alarm_kind(k->type)->value > 0)
        sv_alarm_figure_is_raised(s, k, sv_mono_ms());
}

struct hooks {
    const char *urls[SV_MAX_HOOKS];
    unsigned n;
    bool differ;
};

static enum sv_err hooks_differ(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct hooks *h = arg;

    return sv_alarm_hooks_differ(tx, h->urls, h->n, &h->differ, err);
}

static enum sv_err write_hooks(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct hooks *h = arg;

    return sv_alarm_hooks_set(tx, h->urls, h->n, err);
}

/* A start that finds them as they were needs no room on the disk. */
static enum sv_err set_hooks(struct sv_cloud *c, struct sv_error *err)
{
    struct hooks h = {.n = c->alarms->hook_count};
    enum sv_err rc;

    for (unsigned i = 0; i < h.n; i++)
        h.urls[i] = c->alarms->hooks[i].url;
    rc = sv_db_read(c->db, hooks_differ, &h, err);
    return rc || !h.differ ? rc : sv_db_try(c->db, write_hooks, &h, err);
}

static enum sv_err read_rows(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    enum sv_err rc = sv_alarm_threshold_list(tx, take_threshold, arg, err);

    return rc ? rc : sv_alarm_list_going_on(tx, SV_ALARM_VM_CPU, SV_ALARM_STORAGE_FULL, take_raised, arg, err);
}

enum sv_err sv_alarms_start(struct sv_cloud *c, struct sv_error *err)
{
    struct sv_alarms *s = c->alarms;
    enum sv_err rc = set_hooks(c, err);

    if (!rc)
        rc = sv_db_read(c->db, read_rows, s, err);
    if (rc)
        return rc;
    sv_db_on_alarms(c->db, to_tell, s);
    if (pthread_create(&s->watch, NULL, watch, c) != 0)
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "no thread");
    s->started = true;
    return sv_alarm_hooks_start(c, err);
}

void sv_alarms_stop(struct sv_cloud *c)
{
    struct sv_alarms *s = c->alarms;

    if (!s)
        return;
    atomic_store(&s->stopping, true);
    pthread_mutex_lock(&s->mutex);
    s->stop = true;
    pthread_cond_broadcast(&s->change);
    pthread_mutex_unlock(&s->mutex);
    if (s->started)
        pthread_join(s->watch, NULL);
    s->started = false;
    sv_alarm_hooks_join(c);
}

void sv_alarms_free(struct sv_cloud *c)
{
    struct sv_alarms *s = c->alarms;

    if (!s)
        return;
    sv_alarms_stop(c);
    sv_db_on_alarms(c->db, NULL, NULL);
    for (unsigned i = 0; i < s->hook_count; i++)
        free(s->hooks[i].url);
    sv_alarm_figures_end(s);
    pthread_mutex_destroy(&s->mutex);
    pthread_cond_destroy(&s->change);
    free(s);
    c->alarms = NULL;
}
