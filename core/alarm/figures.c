/* Figures and their thresholds. Only those are remembered that are not calm, so that a cloud without trouble costs a
 * comparison a figure. */
#include "core/alarm/internal.h"

enum { BUCKETS_FIRST = 1024, SILENT_MS = 10 * 60 * 1000 };

struct sv_alarm_entry {
    struct sv_alarm_key key;
    struct sv_alarm_gauge gauge;
    struct sv_alarm_entry *next;     /* of its bucket */
    struct sv_alarm_entry *next_due; /* of those to be written */
};

void sv_alarm_figures_init(struct sv_alarms *s)
{
    pthread_mutex_init(&s->figures_mutex, NULL);
    s->bucket_count = BUCKETS_FIRST;
    s->buckets = sv_alloc(s->bucket_count * sizeof(*s->buckets));
    s->due_end = &s->due;
    for (int t = 0; t < SV_ALARM_TYPES; t++) {
        const struct sv_alarm_kind *k = sv_alarm_kind((enum sv_alarm_type)t);

        s->thresholds[t] = (struct sv_alarm_threshold){(enum sv_alarm_type)t, k->value, k->minutes, k->level};
    }
}

void sv_alarm_figures_end(struct sv_alarms *s)
{
    for (uint32_t i = 0; i < s->bucket_count; i++)
        for (struct sv_alarm_entry *e = s->buckets[i], *next; e; e = next) {
            next = e->next;
            free(e);
        }
    free(s->buckets);
    pthread_mutex_destroy(&s->figures_mutex);
}

void sv_alarm_threshold_apply(struct sv_alarms *s, const struct sv_alarm_threshold *t)
{
    pthread_mutex_lock(&s->figures_mutex);
    s->thresholds[t->type] = *t;
    pthread_mutex_unlock(&s->figures_mutex);
}

struct sv_alarm_threshold sv_alarm_threshold_of(struct sv_alarms *s, enum sv_alarm_type t)
{
    struct sv_alarm_threshold r;

    pthread_mutex_lock(&s->figures_mutex);
    r = s->thresholds[t];
    pthread_mutex_unlock(&s->figures_mutex);
    return r;
}

/* --- the table, under the mutex ------------------------------------------------------------------------- */

/* The end of an id is random. */
static uint32_t hash_of(const struct sv_id *id, enum sv_alarm_type type)
{
    return sv_hash_on(SV_HASH_BEGIN, id->s + SV_ID_LEN - 12, 12) * 31U + (uint32_t)type;
}

static struct sv_alarm_entry **place_of(const struct sv_alarms *s, const struct sv_id *id, enum sv_alarm_type type)
{
    struct sv_alarm_entry **at = &s->buckets[hash_of(id, type) & (s->bucket_count - 1)];

    while (*at && !((*at)->key.type == type && sv_id_eq(&(*at)->key.object, id)))
        at = &(*at)->next;
    return at;
}

static void grow(struct sv_alarms *s)
{
    const uint32_t count = s->bucket_count * 2;
    struct sv_alarm_entry **buckets = sv_alloc(count * sizeof(struct sv_alarm_entry *));

    for (uint32_t i = 0; i < s->bucket_count; i++)
        for (struct sv_alarm_entry *e = s->buckets[i], *next; e; e = next) {
            struct sv_alarm_entry **at = &buckets[hash_of(&e->key.object, e->key.type) & (count - 1)];

            next = e->next;
            e->next = *at;
            *at = e;
        }
    free(s->buckets);
    s->buckets = buckets;
    s->bucket_count = count;
}

static struct sv_alarm_entry *add_entry(struct sv_alarms *s, const struct sv_id *id, enum sv_alarm_type type)
{
    struct sv_alarm_entry *e = sv_alloc(sizeof(*e)), **at;

    if (s->entry_count >= s->bucket_count)
        grow(s);
    at = &s->buckets[hash_of(id, type) & (s->bucket_count - 1)];
    *e = (struct sv_alarm_entry){.key = {type, *id}, .next = *at};
    *at = e;
    s->entry_count++;
    return e;
}

static void drop_entry(struct sv_alarms *s, struct sv_alarm_entry **at)
{
    struct sv_alarm_entry *e = *at;

    if (!e)
        return;
    *at = e->next;
    s->entry_count--;
    free(e);
}

static bool is_due(const struct sv_alarm_entry *e)
{
    return e->gauge.state == SV_ALARM_GAUGE_RAISE || e->gauge.state == SV_ALARM_GAUGE_RELIEVE;
}

static void make_due(struct sv_alarms *s, struct sv_alarm_entry *e)
{
    e->next_due = NULL;
    *s->due_end = e;
    s->due_end = &e->next_due;
}

/* --- what the sampler found ----------------------------------------------------------------------------- */

static struct sv_alarm_gauge_rule rule_of(const struct sv_alarm_threshold *t)
{
    return (struct sv_alarm_gauge_rule){.value = t->value,
                                        .margin = t->value > 2 * SV_ALARM_MARGIN ? SV_ALARM_MARGIN : t->value / 2,
                                        .window_ms = t->minutes * 60 * 1000LL,
                                        .gap_ms = SV_ALARM_GAP_MS};
}

static void feed(struct sv_alarms *s, int64_t now_ms, const struct sv_alarm_figure *f)
{
    const struct sv_alarm_gauge_rule rule = rule_of(&s->thresholds[f->type]);
    struct sv_alarm_entry **at, *e;
    bool was_due;

    if (f->percent < 0 || (f->percent < rule.value && s->entry_count == 0))
        return;
    at = place_of(s, &f->object, f->type);
    if (!*at && f->percent < rule.value)
        return;
    e = *at ? *at : add_entry(s, &f->object, f->type);
    was_due = is_due(e);
    sv_alarm_gauge_feed(&e->gauge, &rule, now_ms, f->percent);
    if (e->gauge.state == SV_ALARM_GAUGE_CALM)
        drop_entry(s, at);
    else if (!was_due && is_due(e))
        make_due(s, e);
}

void sv_alarm_figures(struct sv_cloud *c, int64_t now_ms, const struct sv_alarm_figure *f, size_t n)
{
    struct sv_alarms *s = c->alarms;

    pthread_mutex_lock(&s->figures_mutex);
    for (size_t i = 0; i < n; i++)
        if (s->thresholds[f[i].type].value > 0)
            feed(s, now_ms, &f[i]);
    pthread_mutex_unlock(&s->figures_mutex);
}

/* --- what the watch does with it ------------------------------------------------------------------------ */

void sv_alarm_figure_is_raised(struct sv_alarms *s, const struct sv_alarm_key *k, int64_t now_ms)
{
    pthread_mutex_lock(&s->figures_mutex);
    if (!*place_of(s, &k->object, k->type))
        add_entry(s, &k->object, k->type)->gauge =
            (struct sv_alarm_gauge){.state = SV_ALARM_GAUGE_HIGH, .last = now_ms};
    pthread_mutex_unlock(&s->figures_mutex);
}

/* True: it is dropped. */
static bool sweep_one(struct sv_alarms *s, struct sv_alarm_entry **at, int64_t now_ms)
{
    struct sv_alarm_entry *e = *at;

    if (is_due(e) || now_ms - e->gauge.last <= SILENT_MS)
        return false;
    if (e->gauge.state == SV_ALARM_GAUGE_RISING) {
        drop_entry(s, at);
        return true;
    }
    /* A host or a storage that says nothing may be as full as it was. */
    if (sv_alarm_kind(e->key.type)->object == SV_ALARM_OF_VM) {
        e->gauge.state = SV_ALARM_GAUGE_RELIEVE;
        make_due(s, e);
    }
    return false;
}

void sv_alarm_figures_sweep(struct sv_alarms *s, int64_t now_ms)
{
    pthread_mutex_lock(&s->figures_mutex);
    for (uint32_t i = 0; s->entry_count > 0 && i < s->bucket_count; i++)
        for (struct sv_alarm_entry **at = &s->buckets[i]; *at;)
            if (!sweep_one(s, at, now_ms))
                at = &(*at)->next;
    pthread_mutex_unlock(&s->figures_mutex);
}

unsigned sv_alarm_figures_due(struct sv_alarms *s, struct sv_alarm_crossing *v, unsigned max)
{
    unsigned n = 0;

    pthread_mutex_lock(&s->figures_mutex);
    for (const struct sv_alarm_entry *e = s->due; e && n < max; e = e->next_due)
        v[n++] = (struct sv_alarm_crossing){
            .key = e->key,
            .raise = e->gauge.state == SV_ALARM_GAUGE_RAISE,
            .percent = e->gauge.percent,
            .since_ms = e->gauge.since,
        };
    pthread_mutex_unlock(&s->figures_mutex);
    return n;
}

void sv_alarm_figures_written(struct sv_alarms *s, unsigned n)
{
    pthread_mutex_lock(&s->figures_mutex);
    for (; n > 0 && s->due; n--) {
        struct sv_alarm_entry *e = s->due;

        s->due = e->next_due;
        if (!s->due)
            s->due_end = &s->due;
        if (e->gauge.state == SV_ALARM_GAUGE_RAISE)
            e->gauge.state = SV_ALARM_GAUGE_HIGH;
        else
            drop_entry(s, place_of(s, &e->key.object, e->key.type));
    }
    pthread_mutex_unlock(&s->figures_mutex);
}
