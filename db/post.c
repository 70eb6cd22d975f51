/* Handing closures to the writer, waiting for them, and what else is asked of it. */
#include <assert.h>
#include <semaphore.h>

#include "db/engine.h"
#include "starvirt/store_alarm.h"

void sv_queue_init(struct sv_queue *q)
{
    *q = (struct sv_queue){.tail = &q->head};
}

void sv_queue_add(struct sv_queue *q, struct sv_db_work *w)
{
    w->next = NULL;
    *q->tail = w;
    q->tail = &w->next;
    q->n++;
}

struct sv_db_work *sv_queue_take(struct sv_queue *q)
{
    struct sv_db_work *w = q->head;
    q->head = w->next;
    if (!q->head)
        q->tail = &q->head;
    q->n--;
    return w;
}

static bool on_writer(const struct sv_db *db)
{
    return pthread_equal(pthread_self(), db->writer);
}

void sv_db_post(struct sv_db *db, struct sv_db_work *w)
{
    assert(!db->read_only);
    pthread_mutex_lock(&db->mutex);
    /* After sv_db_close() began only the writer itself may add to what it still answers. */
    assert(!db->stop || on_writer(db));
    bool was_empty = !db->queue.head;
    w->number = ++db->posts;
    sv_queue_add(&db->queue, w);
    db->stats.queue = db->queue.n;
    pthread_mutex_unlock(&db->mutex);
    if (was_empty)
        pthread_cond_signal(&db->wake);
}

struct waiter {
    struct sv_db_work work;
    enum sv_err result;
    sem_t answered;
};

static void wake_waiter(struct sv_db_work *w, enum sv_err result)
{
    struct waiter *me = (struct waiter *)w; /* its first member */
    me->result = result;
    sem_post(&me->answered);
}

static enum sv_err write_and_wait(struct sv_db *db, sv_tx_fn fn, void *arg, bool at_once, struct sv_error *err)
{
    struct waiter me = {.work = {.fn = fn, .arg = arg, .done = wake_waiter, .at_once = at_once}};
    assert(!sv_tx_current && !on_writer(db));
    sem_init(&me.answered, 0, 0);
    sv_db_post(db, &me.work);
    while (sem_wait(&me.answered) != 0)
        ; /* EINTR: a signal for somebody else */
    sem_destroy(&me.answered);
    if (me.result != SV_OK && err)
        *err = me.work.err;
    return me.result;
}

enum sv_err sv_db_write(struct sv_db *db, sv_tx_fn fn, void *arg, struct sv_error *err)
{
    return write_and_wait(db, fn, arg, false, err);
}

enum sv_err sv_db_try(struct sv_db *db, sv_tx_fn fn, void *arg, struct sv_error *err)
{
    return write_and_wait(db, fn, arg, true, err);
}

void sv_db_on_change(struct sv_db *db, sv_change_fn fn, void *arg)
{
    pthread_mutex_lock(&db->mutex);
    db->change = fn;
    db->change_arg = arg;
    pthread_mutex_unlock(&db->mutex);
}

void sv_db_on_tokens(struct sv_db *db, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&db->mutex);
    db->tokens = fn;
    db->tokens_arg = arg;
    pthread_mutex_unlock(&db->mutex);
}

void sv_db_on_alarms(struct sv_db *db, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&db->mutex);
    db->alarms = fn;
    db->alarms_arg = arg;
    pthread_mutex_unlock(&db->mutex);
}

void sv_db_stats(struct sv_db *db, struct sv_db_stats *ret)
{
    pthread_mutex_lock(&db->mutex);
    *ret = db->stats;
    ret->inspected = atomic_load(&db->inspected);
    ret->damaged = atomic_load(&db->damaged);
    pthread_mutex_unlock(&db->mutex);
}
