/* The watch: what only looking finds out. It writes figures that crossed their threshold, raises what rows or hosts say
 * should be raised, relieves what they say is over, and throws away what is old; always a bounded number of rows a
 * transaction, so that a hundred thousand alarms at once hold up nobody's writes. */
#include "core/alarm/internal.h"
#include "starvirt/log.h"
#include "starvirt/store_vm.h"

enum {
    PERIOD_MS = 2000,
    AT_ONCE = 256,              /* alarms a transaction */
    LOOK_AT = 5000,             /* that go on, a round */
    HOST_GRACE_MS = 30 * 1000,  /* from the start on, for a host to come */
    RULES_GRACE_MS = 30 * 1000, /* for the engine to take what it refused */
    SWEEP_EVERY = 30,           /* rounds */
    COUNT_ALL_EVERY = 15,       /* rounds, while there are many */
    MANY = 10000,
    PRUNE_EVERY = 1800
};
static const int64_t cert_before_ms = 30LL * 24 * 3600 * 1000, day_ms = 24LL * 3600 * 1000;

/* --- figures that crossed ------------------------------------------------------------------------------- */

struct crossings {
    struct sv_alarm_crossing v[AT_ONCE];
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
        l->n = sv_alarm_figures_due(l->s, l->v, AT_ONCE);
        if (l->n == 0)
            return true;
        if (sv_db_try(c->db, write_crossings, l, &e))
            return false;
        sv_alarm_figures_written(l->s, l->n);
    }
    return true;
}

/* --- what rows say -------------------------------------------------------------------------------------- */

struct found {
    struct sv_cloud *c;
    struct sv_tx *tx;
    struct sv_alarm_new due[3 * AT_ONCE];
    unsigned due_n;
    struct sv_alarm_key over[LOOK_AT];
    unsigned over_n;
    struct sv_alarm_key *at;
};

static const char *keep(struct found *f, const char *text)
{
    return text ? sv_arena_strdup(sv_tx_arena(f->tx), text) : NULL;
}

static void add_due(struct found *f, const struct sv_alarm_new *n)
{
    if (f->due_n < sizeof(f->due) / sizeof(f->due[0]))
        f->due[f->due_n++] = *n;
}

static void due_by_rows(void *arg, const struct sv_alarm *a)
{
    add_due(arg, &(struct sv_alarm_new){
                     .type = a->type, .object = a->object, .args = {a->args[0], a->args[1]}, .since = a->created});
}

static void is_over(void *arg, const struct sv_alarm_key *k)
{
    struct found *f = arg;

    if (f->over_n < LOOK_AT)
        f->over[f->over_n++] = *k;
}

/* Unless it is raised already. */
static enum sv_err due_unless_raised(struct found *f, const struct sv_alarm_new *n, struct sv_error *err)
{
    struct sv_alarm a;
    bool found = false;
    enum sv_err rc = sv_alarm_going_on(f->tx, n->type, &n->object, &a, &found, err);

    if (!rc && !found)
        add_due(f, n);
    return rc;
}

/* Its time of grace is the start's: one that was connected tells at once that it is lost (core/host/sync.c). */
static bool is_lost(struct sv_cloud *c, struct sv_cloud_host *h, char why[SV_HOST_WHY_LEN])
{
    bool lost;

    pthread_mutex_lock(&c->host_mutex);
    lost = h->state == SV_HOST_LOST || ((h->state == SV_HOST_UNREACHABLE || h->state == SV_HOST_CONNECTING) &&
                                        sv_mono_ms() - c->alarms->since > HOST_GRACE_MS);
    sv_copy(why, SV_HOST_WHY_LEN, h->why[0] ? h->why : "it does not answer");
    pthread_mutex_unlock(&c->host_mutex);
    return lost;
}

static enum sv_err look_at_hosts(struct found *f, struct sv_error *err)
{
    SV_CLEANUP(sv_hosts_let_go) struct sv_hosts_held held;
    char why[SV_HOST_WHY_LEN];
    enum sv_err rc = SV_OK;

    sv_hosts_hold(f->c, &held);
    for (unsigned i = 0; !rc && i < held.n; i++)
        if (is_lost(f->c, held.v[i], why))
            rc = due_unless_raised(f, &(struct sv_alarm_new){SV_ALARM_HOST_LOST, held.v[i]->id, .args = {keep(f, why)}},
                                   err);
    return rc;
}

/* The certificate is what it was at the start: another one comes with another start. */
static enum sv_err look_at_certificate(struct found *f, struct sv_error *err)
{
    const int64_t ends = f->c->alarms->opt.cert_ends, left = ends - sv_tx_now(f->tx);
    const struct sv_alarm_key key = {SV_ALARM_CERTIFICATE, f->c->admin};
    struct sv_alarm a;
    bool found = false;
    enum sv_err rc;

    if (ends && left < cert_before_ms)
        return due_unless_raised(
            f,
            &(struct sv_alarm_new){.type = key.type,
                                   .object = key.object,
                                   .args = {keep(f, sv_dec(ends).s), keep(f, sv_dec(left > 0 ? left / day_ms : 0).s)},
                                   .server = true},
            err);
    rc = sv_alarm_going_on(f->tx, key.type, &key.object, &a, &found, err);
    if (!rc && found)
        is_over(f, &key);
    return rc;
}

static enum sv_err look(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct found *f = arg;
    enum sv_err rc;

    f->tx = tx;
    rc = sv_alarm_look(tx, f->at, LOOK_AT, is_over, f, err);
    if (!rc)
        rc = sv_alarm_list_due(tx, sv_tx_now(tx) - RULES_GRACE_MS, AT_ONCE, due_by_rows, f, err);
    if (!rc)
        rc = look_at_hosts(f, err);
    return rc ? rc : look_at_certificate(f, err);
}

struct part {
    const struct found *f;
    unsigned from, to;
};

static enum sv_err write_over(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct part *p = arg;
    enum sv_err rc = SV_OK;

    for (unsigned i = p->from; !rc && i < p->to; i++)
        rc = sv_alarm_relieve(tx, p->f->over[i].type, &p->f->over[i].object, err);
    return rc;
}

static enum sv_err write_due(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct part *p = arg;
    enum sv_err rc = SV_OK;

    for (unsigned i = p->from; !rc && i < p->to; i++)
        rc = sv_alarm_raise(tx, &p->f->due[i], err);
    return rc;
}

static enum sv_err in_parts(struct sv_cloud *c, const struct found *f, unsigned n, sv_tx_fn fn, struct sv_error *err)
{
    enum sv_err rc = SV_OK;

    for (unsigned i = 0; !rc && i < n && !atomic_load(&c->alarms->stopping); i += AT_ONCE) {
        struct part p = {f, i, n - i < AT_ONCE ? n : i + AT_ONCE};

        rc = sv_db_try(c->db, fn, &p, err);
    }
    return rc;
}

/* What was read may be otherwise by now: then the next round sees it. */
static void follow_rows(struct sv_cloud *c, struct sv_alarm_key *at)
{
    SV_AUTOFREE struct found *f = sv_alloc(sizeof(*f));
    struct sv_error e;

    f->c = c;
    f->at = at;
    if (sv_db_read(c->db, look, f, &e) || in_parts(c, f, f->over_n, write_over, &e))
        return;
    (void)in_parts(c, f, f->due_n, write_due, &e);
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
        if (round % SWEEP_EVERY == 0)
            sv_alarm_figures_sweep(c->alarms, sv_mono_ms());
        if (!write_figures(c))
            continue;
        follow_rows(c, &at);
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

static enum sv_err set_hooks(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_alarms *s = arg;
    const char *urls[SV_MAX_HOOKS];

    for (unsigned i = 0; i < s->hook_count; i++)
        urls[i] = s->hooks[i].url;
    return sv_alarm_hooks_set(tx, urls, s->hook_count, err);
}

static enum sv_err read_rows(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    enum sv_err rc = sv_alarm_threshold_list(tx, take_threshold, arg, err);

    return rc ? rc : sv_alarm_list_going_on(tx, SV_ALARM_VM_CPU, SV_ALARM_STORAGE_FULL, take_raised, arg, err);
}

enum sv_err sv_alarms_start(struct sv_cloud *c, struct sv_error *err)
{
    struct sv_alarms *s = c->alarms;
    enum sv_err rc = sv_db_try(c->db, set_hooks, s, err);

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
