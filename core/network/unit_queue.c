#include "core/network/unit_queue.h"

enum { BUCKETS = 1024, SHARE_BUCKETS = 256 };

/* A request that waits until all units which it touched were told. */
struct ticket {
    uint64_t number;
    unsigned units;
};

struct wait {
    struct ticket *ticket;
    struct wait *next;
};

enum place { READY, TELLING, LATER };

struct entry {
    struct sv_unit_item item; /* first: what the owner has of it */
    enum place place;
    bool again;  /* touched while it was being told */
    int64_t due; /* LATER */
    struct share *share;
    struct wait *waits, *answered_waits; /* for the next answer; for the one that is asked for */
    struct entry *hash_next;
    struct entry *next, **link; /* of the list of its place: its share's ready ones, or those that wait */
};

struct list {
    struct entry *head, **tail;
};

/* What a tenant has in the queue. */
struct share {
    struct sv_id tenant;
    struct list ready[SV_UNIT_KINDS];
    unsigned entries, telling;
    unsigned groups_telling;
    unsigned filters_open;       /* ready or being told, but for those that failed */
    struct share *next, *before; /* a ring */
    struct share *hash_next;
};

struct sv_unit_queue {
    sv_ticket_fn *told;
    void *arg;
    struct entry *bucket[BUCKETS];
    struct share *share_bucket[SHARE_BUCKETS];
    struct share *ring; /* whose turn it is; NULL: nobody has anything */
    struct list later;
    int64_t later_due;   /* none of them is due before */
    struct ticket *open; /* that wishes are added to */
    struct sv_unit_counts counts;
    unsigned failed_telling;
};

/* --- lists ------------------------------------------------------------------------------------------ */

static void list_init(struct list *l)
{
    *l = (struct list){.tail = &l->head};
}

static void list_add(struct list *l, struct entry *e)
{
    e->next = NULL;
    e->link = l->tail;
    *l->tail = e;
    l->tail = &e->next;
}

static void list_take(struct list *l, struct entry *e)
{
    *e->link = e->next;
    if (e->next)
        e->next->link = e->link;
    else
        l->tail = e->link;
}

/* --- shares ----------------------------------------------------------------------------------------- */

static struct share **share_slot(struct sv_unit_queue *q, const struct sv_id *tenant)
{
    struct share **at = &q->share_bucket[sv_hash(tenant->s) % SHARE_BUCKETS];

    while (*at && !sv_id_eq(&(*at)->tenant, tenant))
        at = &(*at)->hash_next;
    return at;
}

/* At the end of the turn. */
static struct share *add_share(struct sv_unit_queue *q, const struct sv_id *tenant)
{
    struct share *s = sv_alloc(sizeof(*s));

    s->tenant = *tenant;
    for (unsigned i = 0; i < SV_UNIT_KINDS; i++)
        list_init(&s->ready[i]);
    s->next = s->before = s;
    if (q->ring) {
        s->next = q->ring;
        s->before = q->ring->before;
        s->before->next = s->next->before = s;
    } else {
        q->ring = s;
    }
    *share_slot(q, tenant) = s;
    return s;
}

static void drop_share(struct sv_unit_queue *q, struct share *s)
{
    struct share **slot = share_slot(q, &s->tenant);

    *slot = s->hash_next;
    s->before->next = s->next;
    s->next->before = s->before;
    if (q->ring == s)
        q->ring = s->next == s ? NULL : s->next;
    free(s);
}

/* --- entries ---------------------------------------------------------------------------------------- */

static struct entry **slot_of(struct sv_unit_queue *q, enum sv_net_unit kind, const struct sv_id *id)
{
    struct entry **at = &q->bucket[sv_hash(id->s) % BUCKETS];

    while (*at && ((*at)->item.kind != kind || !sv_id_eq(&(*at)->item.id, id)))
        at = &(*at)->hash_next;
    return at;
}

static bool blocks_groups(const struct entry *e)
{
    return e->item.kind == SV_UNIT_NIC && !e->item.failures && e->place != LATER;
}

/* Counted where it is; `by` 1 when it came there, -1 when it leaves. */
static void count(struct sv_unit_queue *q, const struct entry *e, unsigned by)
{
    switch (e->place) {
    case READY:
        q->counts.waiting += by;
        break;
    case TELLING:
        q->counts.telling += by;
        e->share->telling += by;
        e->share->groups_telling += e->item.kind == SV_UNIT_GROUP ? by : 0;
        q->failed_telling += e->item.failures ? by : 0;
        break;
    case LATER:
        q->counts.failed += by;
        break;
    }
    e->share->filters_open += blocks_groups(e) ? by : 0;
}

static void enter(struct sv_unit_queue *q, struct entry *e, enum place place)
{
    e->place = place;
    count(q, e, 1);
    if (place == READY)
        list_add(&e->share->ready[e->item.kind], e);
    else if (place == LATER)
        list_add(&q->later, e);
    if (place == LATER && e->due < q->later_due)
        q->later_due = e->due;
}

static void leave(struct sv_unit_queue *q, struct entry *e)
{
    if (e->place == READY)
        list_take(&e->share->ready[e->item.kind], e);
    else if (e->place == LATER)
        list_take(&q->later, e);
    count(q, e, -1U);
}

static struct entry *add_entry(struct sv_unit_queue *q, const struct sv_unit_wish *w)
{
    struct share *s = *share_slot(q, &w->tenant);
    struct entry *e = sv_alloc(sizeof(*e));

    e->item = (struct sv_unit_item){
        .kind = w->kind, .id = w->id, .tenant = w->tenant, .failures = w->failures, .mends = w->mends};
    e->share = s ? s : add_share(q, &w->tenant);
    e->share->entries++;
    *slot_of(q, w->kind, &w->id) = e;
    enter(q, e, READY);
    return e;
}

static void drop_entry(struct sv_unit_queue *q, struct entry *e)
{
    struct entry **slot = slot_of(q, e->item.kind, &e->item.id);

    *slot = e->hash_next;
    if (--e->share->entries == 0)
        drop_share(q, e->share);
    free(e);
}

/* --- tickets ---------------------------------------------------------------------------------------- */

static void wait_for(struct sv_unit_queue *q, struct entry *e, uint64_t number)
{
    struct wait *w = sv_alloc(sizeof(*w));

    if (!q->open || q->open->number != number) {
        q->open = sv_alloc(sizeof(*q->open));
        q->open->number = number;
    }
    q->open->units++;
    *w = (struct wait){.ticket = q->open, .next = e->waits};
    e->waits = w;
}

static void answer(struct sv_unit_queue *q, struct wait *list)
{
    while (list) {
        struct wait *w = list;
        struct ticket *t = w->ticket;

        list = w->next;
        free(w);
        if (--t->units)
            continue;
        q->told(q->arg, t->number);
        if (q->open == t)
            q->open = NULL;
        free(t);
    }
}

/* --- the owner's ------------------------------------------------------------------------------------- */

struct sv_unit_queue *sv_unit_queue_new(sv_ticket_fn *told, void *arg)
{
    struct sv_unit_queue *q = sv_alloc(sizeof(*q));

    q->told = told;
    q->arg = arg;
    list_init(&q->later);
    q->later_due = INT64_MAX;
    return q;
}

/* Nobody is told any more: who waits is woken by other means. */
static void no_answer(void *arg, uint64_t ticket)
{
    (void)arg;
    (void)ticket;
}

void sv_unit_queue_free(struct sv_unit_queue *q)
{
    if (!q)
        return;
    q->told = no_answer;
    for (unsigned i = 0; i < BUCKETS; i++) {
        while (q->bucket[i]) {
            struct entry *e = q->bucket[i];

            answer(q, e->waits);
            answer(q, e->answered_waits);
            drop_entry(q, e);
        }
    }
    free(q);
}

void sv_unit_queue_add(struct sv_unit_queue *q, const struct sv_unit_wish *w)
{
    struct entry *e = *slot_of(q, w->kind, &w->id);

    if (!e)
        e = add_entry(q, w);
    else if (e->place == TELLING)
        e->again = true;
    if (e->place == LATER) {
        leave(q, e);
        enter(q, e, READY);
    }
    e->item.mends &= w->mends;
    if (w->ticket)
        wait_for(q, e, w->ticket);
}

bool sv_unit_queue_has(struct sv_unit_queue *q, enum sv_net_unit kind, const struct sv_id *id)
{
    return *slot_of(q, kind, id) != NULL;
}

static bool may_go(const struct sv_unit_queue *q, const struct entry *e)
{
    if (e->item.failures && q->failed_telling >= SV_UNITS_THAT_FAILED)
        return false;
    if (e->item.kind == SV_UNIT_NIC && e->share->groups_telling)
        return false;
    return !e->item.last || !e->share->filters_open;
}

/* Of one tenant. A few at the head that may not go are passed by; more of them are not looked through. */
static struct entry *next_of(const struct sv_unit_queue *q, const struct share *s)
{
    enum { LOOK_AT = 32 };

    if (s->telling >= SV_UNITS_OF_TENANT)
        return NULL;
    for (unsigned kind = 0; kind < SV_UNIT_KINDS; kind++) {
        struct entry *e = s->ready[kind].head;

        for (unsigned i = 0; e && i < LOOK_AT; i++, e = e->next) {
            if (may_go(q, e))
                return e;
        }
    }
    return NULL;
}

static struct entry *find_next(const struct sv_unit_queue *q)
{
    struct share *s = q->ring;
    struct entry *e = NULL;

    if (!s || q->counts.telling >= SV_UNITS_AT_A_TIME || !q->counts.waiting)
        return NULL;
    do {
        e = next_of(q, s);
        s = s->next;
    } while (!e && s != q->ring);
    return e;
}

void sv_unit_queue_tick(struct sv_unit_queue *q, int64_t now)
{
    if (now < q->later_due)
        return;
    q->later_due = INT64_MAX;
    for (struct entry *e = q->later.head, *next; e; e = next) {
        next = e->next;
        if (e->due <= now) {
            leave(q, e);
            enter(q, e, READY);
        } else if (e->due < q->later_due) {
            q->later_due = e->due;
        }
    }
}

int64_t sv_unit_queue_due(const struct sv_unit_queue *q)
{
    return q->later_due;
}

bool sv_unit_queue_any(const struct sv_unit_queue *q)
{
    return find_next(q) != NULL;
}

struct sv_unit_item *sv_unit_queue_take(struct sv_unit_queue *q)
{
    struct entry *e = find_next(q);

    if (!e)
        return NULL;
    leave(q, e);
    enter(q, e, TELLING);
    q->ring = e->share->next;
    e->again = false;
    e->answered_waits = e->waits;
    e->waits = NULL;
    return &e->item;
}

void sv_unit_queue_answered(struct sv_unit_queue *q, struct sv_unit_item *item)
{
    struct entry *e = (struct entry *)(void *)item;

    answer(q, e->answered_waits);
    e->answered_waits = NULL;
}

int64_t sv_unit_pause(unsigned failures)
{
    int64_t ms = SV_UNIT_PAUSE_MS;

    while (failures-- > 1 && ms < SV_UNIT_PAUSE_MAX_MS)
        ms *= 2;
    return ms < SV_UNIT_PAUSE_MAX_MS ? ms : SV_UNIT_PAUSE_MAX_MS;
}

/* Who waits for it waits for the answer of the next time, in front of those who came since. */
static void wait_on(struct entry *e)
{
    struct wait **end = &e->answered_waits;

    while (*end)
        end = &(*end)->next;
    *end = e->waits;
    e->waits = e->answered_waits;
    e->answered_waits = NULL;
}

void sv_unit_queue_end(struct sv_unit_queue *q, struct sv_unit_item *item, enum sv_unit_end how, int64_t now)
{
    struct entry *e = (struct entry *)(void *)item;

    if (how == SV_UNIT_AFTER_NICS)
        wait_on(e);
    else
        sv_unit_queue_answered(q, item);
    leave(q, e);
    item->last |= how == SV_UNIT_AFTER_NICS;
    item->failures = how == SV_UNIT_TOLD ? 0 : item->failures + (how == SV_UNIT_FAILED);
    e->due = now + sv_unit_pause(item->failures);
    if (how == SV_UNIT_TOLD && !e->again)
        drop_entry(q, e);
    else
        enter(q, e, how == SV_UNIT_FAILED && !e->again ? LATER : READY);
}

void sv_unit_queue_hurry(struct sv_unit_queue *q, const struct sv_id *tenant)
{
    for (struct entry *e = q->later.head; e; e = e->next) {
        if (sv_id_empty(tenant) || sv_id_eq(&e->item.tenant, tenant))
            e->due = q->later_due = 0;
    }
}

struct sv_unit_counts sv_unit_queue_counts(const struct sv_unit_queue *q)
{
    return q->counts;
}
