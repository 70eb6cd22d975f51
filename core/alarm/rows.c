/* What rows and hosts say of alarms: which are over, and which are due. What was read may be otherwise when it is
 * written: the next round sees that. */
#include "core/alarm/internal.h"
#include "starvirt/store_catalog.h"

enum {
    LOOK_AT = 5000,             /* that go on, a round */
    HOST_GRACE_MS = 15 * 1000,  /* from the start on, for a host to come */
    RULES_GRACE_MS = 10 * 1000, /* for the engine to take what it refused */
};
static const int64_t cert_before_ms = 30LL * 24 * 3600 * 1000, day_ms = 24LL * 3600 * 1000;

struct found {
    struct sv_cloud *c;
    struct sv_tx *tx;
    struct sv_arena *arena; /* texts outlive the look */
    struct sv_alarm_new due[3 * SV_ALARM_AT_ONCE];
    unsigned due_n;
    struct sv_alarm_key over[LOOK_AT];
    unsigned over_n;
    struct sv_alarm_key *at;
};

static const char *keep(struct found *f, const char *text)
{
    return text ? sv_arena_strdup(f->arena, text) : NULL;
}

static void add_due(struct found *f, const struct sv_alarm_new *n)
{
    if (f->due_n < sizeof(f->due) / sizeof(f->due[0]))
        f->due[f->due_n++] = *n;
}

static void due_by_rows(void *arg, const struct sv_alarm *a)
{
    struct found *f = arg;

    add_due(f, &(struct sv_alarm_new){.type = a->type,
                                      .object = a->object,
                                      .args = {keep(f, a->args[0]), keep(f, a->args[1])},
                                      .since = a->created});
}

static void is_over(void *arg, const struct sv_alarm_key *k)
{
    struct found *f = arg;

    if (f->over_n < LOOK_AT)
        f->over[f->over_n++] = *k;
}

struct storages {
    struct sv_alarm_figure *v;
    size_t n, cap;
};

static void add_storage(void *arg, const struct sv_storage *s)
{
    struct storages *l = arg;
    const int percent = s->size <= 0 ? -1 : s->used >= s->size ? 100 : (int)((double)s->used * 100 / (double)s->size);

    l->v = sv_grow(l->v, l->n, &l->cap, sizeof(*l->v));
    l->v[l->n++] = (struct sv_alarm_figure){s->id, SV_ALARM_STORAGE_FULL, percent};
}

static enum sv_err read_storages(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_page all = {.limit = 0};
    uint64_t total;

    return sv_storage_list(tx, &all, add_storage, arg, &total, err);
}

void sv_alarm_look_at_storages(struct sv_cloud *c)
{
    struct storages l = {.n = 0};
    struct sv_error e;

    if (!sv_db_read(c->db, read_storages, &l, &e))
        sv_alarm_figures(c, sv_mono_ms(), l.v, l.n);
    free(l.v);
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
        rc = sv_alarm_list_due(tx, sv_tx_now(tx) - RULES_GRACE_MS, SV_ALARM_AT_ONCE, due_by_rows, f, err);
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

    for (unsigned i = 0; !rc && i < n && !atomic_load(&c->alarms->stopping); i += SV_ALARM_AT_ONCE) {
        struct part p = {f, i, n - i < SV_ALARM_AT_ONCE ? n : i + SV_ALARM_AT_ONCE};

        rc = sv_db_try(c->db, fn, &p, err);
    }
    return rc;
}

void sv_alarm_follow_rows(struct sv_cloud *c, struct sv_alarm_key *at)
{
    SV_AUTOFREE struct found *f = sv_alloc(sizeof(*f));
    SV_CLEANUP(sv_arena_freep) struct sv_arena *arena = sv_arena_new();
    struct sv_error e;

    f->c = c;
    f->at = at;
    f->arena = arena;
    if (sv_db_read(c->db, look, f, &e) || in_parts(c, f, f->over_n, write_over, &e))
        return;
    (void)in_parts(c, f, f->due_n, write_due, &e);
}
