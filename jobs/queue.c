/* Lanes and the items in them. A hung host fills the slots of its own lane and no other's. */
#include <stdlib.h>

#include "jobs/internal.h"

static unsigned hash_of(const struct sv_id *id)
{
    uint32_t h = 2166136261u;
    for (const char *p = id->s; *p; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    return h & (JOBS_HASH - 1);
}

static struct jobs_lane *lane_of(struct sv_jobs *jobs, const struct sv_id *host)
{
    struct jobs_lane **head = &jobs->lanes[hash_of(host)];
    for (struct jobs_lane *l = *head; l; l = l->hash_next)
        if (sv_id_eq(&l->host, host))
            return l;
    struct jobs_lane *l = sv_alloc(sizeof(*l));
    l->host = *host;
    TAILQ_INIT(&l->queue);
    l->hash_next = *head;
    *head = l;
    jobs->lane_count++;
    return l;
}

/* Puts the lane where its state says; to the end of the ready list, so that lanes take turns. */
static void lane_update(struct sv_jobs *jobs, struct jobs_lane *l)
{
    bool ready = !TAILQ_EMPTY(&l->queue) && l->running < jobs->slots;
    if (ready && !l->ready)
        TAILQ_INSERT_TAIL(&jobs->ready, l, link);
    if (!ready && l->ready)
        TAILQ_REMOVE(&jobs->ready, l, link);
    l->ready = ready;
}

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

void jobs_item_add(struct sv_jobs *jobs, const struct sv_id *id, const struct sv_id *host,
                   const struct sv_job_kind *kind)
{
    struct jobs_item *item = sv_alloc(sizeof(*item));
    struct jobs_item **head = &jobs->items[hash_of(id)];
    item->id = *id;
    item->kind = kind;
    item->lane = lane_of(jobs, host);
    item->hash_next = *head;
    *head = item;
    TAILQ_INSERT_TAIL(&item->lane->queue, item, link);
    jobs->queued++;
    lane_update(jobs, item->lane);
}

struct jobs_item *jobs_item_take(struct sv_jobs *jobs)
{
    if (!jobs->open || jobs->stopping || TAILQ_EMPTY(&jobs->ready))
        return NULL;
    struct jobs_lane *l = TAILQ_FIRST(&jobs->ready);
    struct jobs_item *item = TAILQ_FIRST(&l->queue);
    TAILQ_REMOVE(&l->queue, item, link);
    TAILQ_REMOVE(&jobs->ready, l, link);
    l->ready = false;
    l->running++;
    lane_update(jobs, l);
    item->state = JOBS_RUNNING;
    jobs->queued--;
    jobs->running++;
    return item;
}

void jobs_item_drop(struct sv_jobs *jobs, struct jobs_item *item)
{
    TAILQ_REMOVE(&item->lane->queue, item, link);
    lane_update(jobs, item->lane);
    unhash(jobs, item);
    jobs->queued--;
    free(item);
}

void jobs_item_finish(struct sv_jobs *jobs, struct jobs_item *item)
{
    item->lane->running--;
    lane_update(jobs, item->lane);
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
        for (struct jobs_lane *l = jobs->lanes[b], *next; l; l = next) {
            next = l->hash_next;
            free(l);
        }
    }
}
