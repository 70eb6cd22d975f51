/* The thread that writes down what a minute had, and makes hours of minutes and days of hours. */
#include "core/monitor/internal.h"
#include "starvirt/log.h"
#include "starvirt/thread.h"

#include <stdio.h>

enum {
    PIECE = 1024,              /* objects under one hold of the mutex */
    SWEEP_MS = 60 * 60 * 1000, /* who went is forgotten so often */
};

/* Points of a minute on their way to the files: the mutex is not held for those. */
struct batch {
    struct written {
        struct sv_id id;
        struct sv_slot slot;
        struct sv_monitor_point point;
    } v[PIECE];
    size_t n;
};

/* --- the rings' objects --- */

struct found {
    struct sv_monitor *m;
    int64_t newest_ms;
};

static void found_slot(void *arg, const struct sv_id *object, struct sv_slot slot, int64_t written_ms)
{
    struct found *f = arg;

    /* Whether it is a host is known when it is sampled. */
    sv_objects_get(&f->m->objects, object, false)->slot = slot;
    if (written_ms > f->newest_ms)
        f->newest_ms = written_ms;
}

enum sv_err sv_monitor_open_rings(struct sv_monitor *m, struct sv_error *err)
{
    SV_AUTOFREE char *dir = sv_asprintf("%s/monitor", m->cloud->data_dir);
    struct found f = {.m = m};
    enum sv_err rc = sv_rings_open(dir, &m->rings, found_slot, &f, err);

    m->written_ms = f.newest_ms;
    return rc;
}

/* --- a minute --- */

/* One of a bucket at a time: a pass over the table sees each object that stays once. */
static size_t gather(struct sv_monitor *m, size_t bucket, int64_t begin_ms, struct batch *b)
{
    b->n = 0;
    pthread_mutex_lock(&m->mutex);
    for (; bucket < m->objects.bucket_count; bucket++) {
        size_t here = 0;

        for (const struct sv_object_seen *o = m->objects.buckets[bucket]; o; o = o->next)
            here++;
        if (b->n + here > PIECE)
            break;
        for (struct sv_object_seen *o = m->objects.buckets[bucket]; o; o = o->next) {
            struct written *w = &b->v[b->n];

            if (!sv_minute_of(o, begin_ms, &w->point))
                continue;
            w->id = o->id;
            w->slot = o->slot;
            b->n++;
        }
    }
    pthread_mutex_unlock(&m->mutex);
    return bucket;
}

/* Only this thread gives slots out and takes them back. */
static bool have_slot(struct sv_monitor *m, struct written *w)
{
    if (w->slot.epoch)
        return true;
    if (!sv_rings_take(m->rings, &w->id, &w->slot))
        return false;
    pthread_mutex_lock(&m->mutex);
    struct sv_object_seen *o = sv_objects_find(&m->objects, &w->id);
    if (o)
        o->slot = w->slot;
    pthread_mutex_unlock(&m->mutex);
    return true;
}

static void count_points(struct sv_monitor *m, uint64_t well, uint64_t lost)
{
    pthread_mutex_lock(&m->mutex);
    m->totals.points += well;
    m->totals.lost += lost;
    pthread_mutex_unlock(&m->mutex);
    if (lost && !m->losing)
        sv_log(SV_LOG_WARN, "monitor.lost", "why", "points cannot be written: is the disk full?", NULL);
    if (!lost && well && m->losing)
        sv_log(SV_LOG_INFO, "monitor.written", "why", "points are written again", NULL);
    if (lost || well)
        m->losing = lost > 0;
}

static void write_batch(struct sv_monitor *m, struct batch *b)
{
    uint64_t well = 0;

    for (size_t i = 0; i < b->n; i++)
        well += have_slot(m, &b->v[i]) && sv_rings_write(m->rings, b->v[i].slot, SV_LINE_MINUTE, &b->v[i].point);
    count_points(m, well, b->n - well);
}

static void write_minute(struct sv_monitor *m, int64_t begin_ms)
{
    SV_AUTOFREE struct batch *b = sv_alloc(sizeof(*b));

    for (size_t bucket = 0; bucket < m->objects.bucket_count;) {
        const size_t next = gather(m, bucket, begin_ms, b);

        if (next == bucket) /* more than fit in one bucket: no such table */
            break;
        write_batch(m, b);
        bucket = next;
    }
}

/* --- hours and days --- */

static size_t list_slots(struct sv_monitor *m, struct sv_slot **ret)
{
    size_t n = 0;

    pthread_mutex_lock(&m->mutex);
    *ret = sv_alloc((m->objects.n + 1) * sizeof(**ret));
    for (size_t i = 0; i < m->objects.bucket_count; i++)
        for (const struct sv_object_seen *o = m->objects.buckets[i]; o; o = o->next)
            if (o->slot.epoch)
                (*ret)[n++] = o->slot;
    pthread_mutex_unlock(&m->mutex);
    return n;
}

static void fold_all(struct sv_monitor *m, enum sv_monitor_line line, int64_t begin_ms)
{
    SV_AUTOFREE struct sv_slot *slots = NULL;
    const size_t n = list_slots(m, &slots);
    uint64_t well = 0, lost = 0;

    for (size_t i = 0; i < n && !m->stop; i++) {
        struct sv_monitor_point p;

        if (!sv_rings_fold(m->rings, slots[i], line, begin_ms, &p))
            continue;
        if (sv_rings_write(m->rings, slots[i], line, &p))
            well++;
        else
            lost++;
    }
    count_points(m, well, lost);
}

/* Those that went on when the last point was written and do so no more. */
static void fold_ended(struct sv_monitor *m, int64_t last_ms, int64_t now_ms)
{
    for (enum sv_monitor_line line = SV_LINE_HOUR; last_ms > 0 && line < SV_LINES; line++) {
        const int64_t begin = sv_line_begin(line, last_ms);

        if (sv_line_begin(line, now_ms) != begin)
            fold_all(m, line, begin);
    }
}

/* --- who went --- */

static void know_vm(void *arg, const struct sv_id *id)
{
    sv_ids_add(arg, id);
}

static void know_host(void *arg, const struct sv_host *h)
{
    know_vm(arg, &h->id);
}

static enum sv_err read_known(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    enum sv_err rc = sv_vm_each_id(tx, know_vm, arg, err);

    return rc ? rc : sv_host_list(tx, know_host, arg, err);
}

/* Not in the rows, and not seen of late: one that is being made may have no row in what was read. */
static bool has_gone(const struct sv_monitor *m, const struct sv_object_seen *o, const struct sv_ids *known)
{
    return (!o->asked_us || sv_mono_us() - o->asked_us > sv_gap_us(m->interval_ms)) && !sv_ids_have(known, &o->id);
}

static size_t forget_gone(struct sv_monitor *m, const struct sv_ids *known, struct sv_slot **ret)
{
    SV_AUTOFREE struct sv_id *gone = NULL;
    size_t n = 0;

    pthread_mutex_lock(&m->mutex);
    gone = sv_alloc((m->objects.n + 1) * sizeof(*gone));
    *ret = sv_alloc((m->objects.n + 1) * sizeof(**ret));
    for (size_t i = 0; i < m->objects.bucket_count; i++)
        for (const struct sv_object_seen *o = m->objects.buckets[i]; o; o = o->next)
            if (has_gone(m, o, known)) {
                (*ret)[n] = o->slot;
                gone[n++] = o->id;
            }
    for (size_t i = 0; i < n; i++)
        sv_objects_drop(&m->objects, &gone[i]);
    pthread_mutex_unlock(&m->mutex);
    return n;
}

static void sweep(struct sv_monitor *m)
{
    SV_AUTOFREE struct sv_slot *slots = NULL;
    struct sv_ids known = {0};
    struct sv_error err;
    size_t n = 0;

    if (sv_db_read(m->cloud->db, read_known, &known, &err) == SV_OK) {
        sv_ids_sort(&known);
        n = forget_gone(m, &known, &slots);
    }
    for (size_t i = 0; i < n; i++)
        sv_rings_give(m->rings, slots[i]);
    sv_ids_free(&known);
}

/* --- the thread --- */

void *sv_monitor_write(void *arg)
{
    struct sv_monitor *m = arg;
    int64_t minute = sv_line_begin(SV_LINE_MINUTE, sv_now_ms()), swept = 0;

    pthread_setname_np(pthread_self(), "monitor-write");
    pthread_mutex_lock(&m->mutex);
    while (!m->stop) {
        const int64_t now = sv_now_ms(), begun = sv_line_begin(SV_LINE_MINUTE, now);

        if (begun == minute) {
            sv_cond_wait(&m->change, &m->mutex, sv_mono_ms() + (sv_line_end(SV_LINE_MINUTE, minute) - now));
            continue;
        }
        pthread_mutex_unlock(&m->mutex);
        fold_ended(m, m->written_ms, now);
        write_minute(m, minute);
        fold_ended(m, minute, now);
        m->written_ms = 0; /* of an earlier life: done */
        minute = begun;
        if (!swept || sv_mono_ms() - swept > SWEEP_MS) {
            sweep(m);
            swept = sv_mono_ms();
        }
        pthread_mutex_lock(&m->mutex);
    }
    pthread_mutex_unlock(&m->mutex);
    write_minute(m, minute); /* what there is of it */
    return NULL;
}
