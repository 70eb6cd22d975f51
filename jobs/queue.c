/* Lanes, the tenants' shares of them, and the items in those. A hung host fills the slots of its own lane and no
 * other's; a tenant with ten thousand jobs delays another's one by the job that ends next. Nothing here depends on how
 * many jobs, shares or lanes there are. */
#include <stdlib.h>

#include "jobs/internal.h"

static unsigned hash_of(const struct sv_id *id)
{
    return sv_hash(id->s) & (JOBS_HASH - 1);
}

/* --- lanes and shares --- */

static struct jobs_lane *lane_of(struct sv_jobs *jobs, const struct sv_id *host)
{
    struct jobs_lane **head = &jobs->lanes[hash_of(host)];
    for (struct jobs_lane *l = *head; l; l = l->hash_next)
        if (sv_id_eq(&l->host, host))
            return l;
    struct jobs_lane *l = sv_alloc(sizeof(*l));
    l->host = *host;
    TAILQ_INIT(&l->idle);
    TAILQ_INIT(&l->busy);
    l->hash_next = *head;
    *head = l;
    jobs->lane_count++;
    return l;
}

/* The share that gets the next free slot; NULL: none may run now. */
static struct jobs_share *lane_next(const struct sv_jobs *jobs, const struct jobs_lane *l)
{
    struct jobs_share *s = l->running < jobs->slots + jobs->spare ? TAILQ_FIRST(&l->idle) : NULL;
    if (!s && l->running < jobs->slots)
        s = TAILQ_FIRST(&l->busy);
    return s;
}

/* Puts the lane where its state says; to the end of the ready list, so that lanes take turns. */
static void lane_update(struct sv_jobs *jobs, struct jobs_lane *l)
{
    bool ready = lane_next(jobs, l) != NULL;
    if (ready && !l->ready)
        TAILQ_INSERT_TAIL(&jobs->ready, l, link);
    if (!ready && l->ready)
        TAILQ_REMOVE(&jobs->ready, l, link);
    l->ready = ready;
}

static struct jobs_share **share_head(struct sv_jobs *jobs, const struct sv_id *host, const struct sv_id *tenant)
{
    return &jobs->shares[sv_hash_on(sv_hash(host->s), tenant->s, strlen(tenant->s)) & (JOBS_HASH - 1)];
}

static struct jobs_share *share_of(struct sv_jobs *jobs, const struct sv_id *host, const struct sv_id *tenant)
{
    struct jobs_share **head = share_head(jobs, host, tenant);
    for (struct jobs_share *s = *head; s; s = s->hash_next)
        if (sv_id_eq(&s->tenant, tenant) && sv_id_eq(&s->lane->host, host))
            return s;
    struct jobs_share *s = sv_alloc(sizeof(*s));
    s->lane = lane_of(jobs, host);
    s->tenant = *tenant;
    TAILQ_INIT(&s->queue);
    s->hash_next = *head;
    *head = s;
    return s;
}

/* Out of the list it waits in, so that share_update() puts it at the end of one. */
static void share_leave(struct jobs_share *s)
{
    if (s->in)
        TAILQ_REMOVE(s->in, s, link);
    s->in = NULL;
}

/* Puts the share where its state says, and its lane; frees it with its last job. */
static void share_update(struct sv_jobs *jobs, struct jobs_share *s)
{
    struct jobs_lane *l = s->lane;
    struct jobs_shares *in = TAILQ_EMPTY(&s->queue) ? NULL : s->running ? &l->busy : &l->idle;
    if (in != s->in) {
        share_leave(s);
        if (in)
            TAILQ_INSERT_TAIL(in, s, link);
        s->in = in;
    }
    lane_update(jobs, l);
    if (in || s->running)
        return;
    struct jobs_share **p = share_head(jobs, &l->host, &s->tenant);
    while (*p != s)
        p = &(*p)->hash_next;
    *p = s->hash_next;
    free(s);
}

/* --- items --- */

struct jobs_item *jobs_item_find(struct sv_jobs *jobs, const struct sv_id *id)
{
    struct jobs_item *i = jobs->items[hash_of(id)];
    while (i && !sv_id_eq(&i->id, id))
        i = i->hash_next;
    return i;
}

static void unhash(struct sv_jobs *jobs, struct jobs_item *item)
{
    struct jobs_item **p = &jobs->items[hash_of(&item->id)];
    while (*p != item)
        p = &(*p)->hash_next;
    *p = item->hash_next;
}

void jobs_item_add(struct sv_jobs *jobs, const struct sv_id *id, const struct sv_id *tenant, const struct sv_id *host,
                   const struct sv_job_kind *kind)
{
    struct jobs_item *item = sv_alloc(sizeof(*item));
    struct jobs_item **head = &jobs->items[hash_of(id)];
    item->id = *id;
    item->kind = kind;
    item->share = share_of(jobs, host, tenant);
    item->hash_next = *head;
    *head = item;
    TAILQ_INSERT_TAIL(&item->share->queue, item, link);
    jobs->queued++;
    share_update(jobs, item->share);
}

struct jobs_item *jobs_item_take(struct sv_jobs *jobs)
{
    if (!jobs->open || jobs->stopping || TAILQ_EMPTY(&jobs->ready))
        return NULL;
    struct jobs_lane *l = TAILQ_FIRST(&jobs->ready);
    struct jobs_share *s = lane_next(jobs, l);
    struct jobs_item *item = TAILQ_FIRST(&s->queue);
    TAILQ_REMOVE(&s->queue, item, link);
    TAILQ_REMOVE(&jobs->ready, l, link);
    l->ready = false;
    l->running++;
    share_leave(s);
    s->running++;
    share_update(jobs, s);
    item->state = JOBS_RUNNING;
    jobs->queued--;
    jobs->running++;
    return item;
}

void jobs_item_drop(struct sv_jobs *jobs, struct jobs_item *item)
{
    TAILQ_REMOVE(&item->share->queue, item, link);
    share_update(jobs, item->share);
    unhash(jobs, item);
    jobs->queued--;
    free(item);
}

void jobs_item_finish(struct sv_jobs *jobs, struct jobs_item *item)
{
    item->share->lane->running--;
    item->share->running--;
    share_update(jobs, item->share);
    unhash(jobs, item);
    jobs->running--;
    free(item);
}

/* An idle worker that was woken already may be counted as idle still: whoever takes a job wakes the
 * next one if there is more to take. */
void jobs_wake(struct sv_jobs *jobs)
{
    if (!jobs->open || TAILQ_EMPTY(&jobs->ready))
        return;
    if (jobs->idle)
        pthread_cond_signal(&jobs->work);
    else
        pthread_cond_signal(&jobs->keeper);
}

void jobs_queue_clear(struct sv_jobs *jobs)
{
    for (unsigned b = 0; b < JOBS_HASH; b++) {
        for (struct jobs_item *i = jobs->items[b], *next; i; i = next) {
            next = i->hash_next;
            free(i);
        }
        for (struct jobs_share *s = jobs->shares[b], *next; s; s = next) {
            next = s->hash_next;
            free(s);
        }
        for (struct jobs_lane *l = jobs->lanes[b], *next; l; l = next) {
            next = l->hash_next;
            free(l);
        }
    }
}
