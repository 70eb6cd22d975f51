/* A hash table by id; ids are random at their end. */
#include "core/monitor/internal.h"

enum { FIRST_BUCKETS = 256 };

static size_t hash_of(const struct sv_id *id)
{
    size_t h = 5381;

    for (const char *p = id->s; *p; p++)
        h = h * 33 ^ (unsigned char)*p;
    return h;
}

void sv_objects_init(struct sv_objects *o)
{
    *o = (struct sv_objects){.buckets = sv_alloc(FIRST_BUCKETS * sizeof(struct sv_object_seen *)),
                             .bucket_count = FIRST_BUCKETS};
}

static void object_free(struct sv_object_seen *s)
{
    free(s->disks);
    free(s->nics);
    free(s);
}

void sv_objects_free(struct sv_objects *o)
{
    for (size_t i = 0; i < o->bucket_count; i++)
        for (struct sv_object_seen *s = o->buckets[i], *next; s; s = next) {
            next = s->next;
            object_free(s);
        }
    free(o->buckets);
    *o = (struct sv_objects){.n = 0};
}

static struct sv_object_seen **place_of(const struct sv_objects *o, const struct sv_id *id)
{
    struct sv_object_seen **at = &o->buckets[hash_of(id) & (o->bucket_count - 1)];

    while (*at && !sv_id_eq(&(*at)->id, id))
        at = &(*at)->next;
    return at;
}

struct sv_object_seen *sv_objects_find(const struct sv_objects *o, const struct sv_id *id)
{
    return *place_of(o, id);
}

static void grow(struct sv_objects *o)
{
    const struct sv_objects old = *o;

    o->bucket_count *= 2;
    o->buckets = sv_alloc(o->bucket_count * sizeof(struct sv_object_seen *));
    for (size_t i = 0; i < old.bucket_count; i++)
        for (struct sv_object_seen *s = old.buckets[i], *next; s; s = next) {
            struct sv_object_seen **at = &o->buckets[hash_of(&s->id) & (o->bucket_count - 1)];

            next = s->next;
            s->next = *at;
            *at = s;
        }
    free(old.buckets);
}

struct sv_object_seen *sv_objects_get(struct sv_objects *o, const struct sv_id *id, bool is_host)
{
    struct sv_object_seen **at = place_of(o, id);

    if (*at)
        return *at;
    if (o->n >= o->bucket_count) {
        grow(o);
        at = place_of(o, id);
    }
    *at = sv_alloc(sizeof(**at));
    **at = (struct sv_object_seen){.id = *id,
                                   .is_host = is_host,
                                   .cpu = {-1, -1},
                                   .cpu_all = {-1, -1},
                                   .cpu_percent = -1,
                                   .rate = {-1, -1, -1, -1},
                                   .vcpus = -1,
                                   .memory = -1,
                                   .memory_used = -1,
                                   .disk_used = -1};
    o->n++;
    return *at;
}

void sv_objects_drop(struct sv_objects *o, const struct sv_id *id)
{
    struct sv_object_seen **at = place_of(o, id), *s = *at;

    if (!s)
        return;
    *at = s->next;
    o->n--;
    object_free(s);
}
