#include "hv/libvirt/internal.h"

#include "starvirt/log.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    CANCEL_LOOK_MS = 100,          /* how soon a cancel is seen */
    PATIENCE_MS = 6 * 3600 * 1000, /* for calls that move bytes */
    LONGEST_MS = 24 * 3600 * 1000, /* what is longer is for ever */
    LINK_IDLE_MS = 60000,          /* a thread without work keeps its connection so long */
};

void lv_cond_wait(pthread_cond_t *c, pthread_mutex_t *mu, const struct sv_deadline *d, int64_t ms)
{
    if (d && d->cancel && ms > CANCEL_LOOK_MS)
        ms = CANCEL_LOOK_MS;
    sv_cond_wait(c, mu, ms > LONGEST_MS ? INT64_MAX : sv_mono_ms() + ms);
}

/* --- operations --- */

struct lv_op *lv_op_new(const struct sv_id *vm)
{
    struct lv_op *op = sv_alloc(sizeof(*op));
    op->refs = 1;
    op->fd = -1;
    if (vm)
        op->vm = *vm;
    return op;
}

void lv_op_unref(struct lv_op **at)
{
    struct lv_op *op = *at;
    *at = NULL;
    if (!op || atomic_fetch_sub(&op->refs, 1) != 1)
        return;
    if (op->dom)
        explicit_bzero(op->dom->vnc_password, sizeof(op->dom->vnc_password));
    free(op->dom);
    if (op->secret)
        explicit_bzero(op->secret, strlen(op->secret));
    free(op->secret);
    free(op->user);
    if (op->storage)
        explicit_bzero(op->storage, sizeof(*op->storage));
    free(op->storage);
    free(op->text);
    if (op->fd >= 0)
        close(op->fd);
    for (size_t i = 0; i < op->row_count; i++)
        free(op->rows[i].name);
    free(op->rows);
    free(op->usage);
    free(op);
}

/* --- the pool --- */

void lv_pool_init(struct lv_pool *p, unsigned max)
{
    pthread_mutex_init(&p->mu, NULL);
    sv_cond_init(&p->work);
    sv_cond_init(&p->done);
    p->last = &p->first;
    p->max = max;
}

void lv_pool_free(struct lv_pool *p)
{
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->mu);
}

static unsigned cap(const struct lv_pool *p, enum lv_kind kind)
{
    unsigned half = p->max / 2;
    return kind == LV_CALL_HOST ? p->max : half ? half : 1;
}

/* No thread of this kind will come free by itself. */
static bool all_lost(const struct lv_pool *p, enum lv_kind kind)
{
    return p->lost[LV_CALL_HOST] + p->lost[LV_CALL_GUEST] >= p->max || p->lost[kind] >= cap(p, kind);
}

static void enqueue(struct lv_pool *p, struct lv_op *op)
{
    *p->last = op;
    p->last = &op->next;
    op->next = NULL;
    p->queued++;
}

static bool unqueue(struct lv_pool *p, struct lv_op *op)
{
    for (struct lv_op **at = &p->first; *at; at = &(*at)->next)
        if (*at == op) {
            *at = op->next;
            if (p->last == &op->next)
                p->last = at;
            p->queued--;
            return true;
        }
    return false;
}

static struct lv_op *next_op(struct lv_pool *p)
{
    for (struct lv_op *op = p->first; op; op = op->next)
        if (p->running[op->kind] < cap(p, op->kind) && unqueue(p, op))
            return op;
    return NULL;
}

static enum sv_err run(struct lv_host *h, struct lv_link *link, struct lv_op *op, struct sv_error *err)
{
    virConnectPtr conn = lv_link_use(h, link);
    return conn ? op->fn(h, conn, op, err) : sv_fail(err, SV_E_HOST_DOWN, SV_F_NONE, h->base.name);
}

/* Under p->mu. */
static void lose(struct lv_pool *p, struct lv_op *op)
{
    p->lost[op->kind]++;
    op->next = p->lost_ops;
    p->lost_ops = op;
}

/* Under p->mu. */
static void found_again(struct lv_pool *p, struct lv_op *op)
{
    struct lv_op **at = &p->lost_ops;
    while (*at != op)
        at = &(*at)->next;
    *at = op->next;
    p->lost[op->kind]--;
}

/* Under p->mu, which is left while the call runs. */
static void serve(struct lv_host *h, struct lv_link *link, struct lv_op *op)
{
    struct lv_pool *p = &h->pool;
    struct sv_error err = {0};
    op->phase = LV_RUNNING;
    p->running[op->kind]++;
    pthread_mutex_unlock(&p->mu);
    enum sv_err rc = run(h, link, op, &err);
    pthread_mutex_lock(&p->mu);
    p->running[op->kind]--;
    op->rc = rc;
    op->err = err;
    op->phase = LV_DONE;
    if (op->left) {
        found_again(p, op);
        sv_log(SV_LOG_INFO, "hv.late_answer", "host", h->base.name, "result", rc ? sv_err_symbol(rc) : "OK", NULL);
    }
    pthread_cond_broadcast(&p->done);
    /* Another of its kind may have waited for the cap. */
    pthread_cond_signal(&p->work);
}

/* Under p->mu. False when nothing came for so long that the connection can go. */
static bool rest(struct lv_pool *p, bool connected)
{
    const struct sv_deadline d = sv_deadline_within(NULL, LINK_IDLE_MS);
    p->idle++;
    if (connected)
        lv_cond_wait(&p->work, &p->mu, NULL, LINK_IDLE_MS);
    else
        pthread_cond_wait(&p->work, &p->mu);
    p->idle--;
    return !connected || !sv_deadline_over(&d);
}

static void *worker(void *arg)
{
    struct lv_host *h = arg;
    struct lv_pool *p = &h->pool;
    struct lv_link link = LV_NO_LINK;
    pthread_setname_np(pthread_self(), "hv-call");
    pthread_mutex_lock(&p->mu);
    while (!p->closing) {
        struct lv_op *op = next_op(p);
        if (op) {
            serve(h, &link, op);
            lv_op_unref(&op);
            continue;
        }
        if (!rest(p, link.conn) && !p->queued) {
            pthread_mutex_unlock(&p->mu);
            lv_link_close(h, &link);
            pthread_mutex_lock(&p->mu);
        }
    }
    pthread_mutex_unlock(&p->mu);
    lv_link_close(h, &link);
    pthread_mutex_lock(&p->mu);
    p->threads--;
    pthread_cond_broadcast(&p->done);
    pthread_mutex_unlock(&p->mu);
    lv_host_unref(h);
    return NULL;
}

/* Under p->mu. */
static bool more_threads(struct lv_host *h)
{
    struct lv_pool *p = &h->pool;
    pthread_t t;
    if (p->idle >= p->queued || p->threads >= p->max)
        return true;
    if (pthread_create(&t, NULL, worker, h) != 0)
        return p->threads > 0;
    lv_host_ref(h); /* it cannot have got past p->mu yet */
    pthread_detach(t);
    p->threads++;
    return true;
}

void lv_pool_close(struct lv_pool *p, int64_t ms)
{
    const struct sv_deadline d = sv_deadline_within(NULL, ms);
    pthread_mutex_lock(&p->mu);
    p->closing = true;
    while (p->first) {
        struct lv_op *op = p->first;
        unqueue(p, op);
        op->phase = LV_DONE;
        op->rc = sv_fail(&op->err, SV_E_HOST_DOWN, SV_F_NONE, "closing");
        lv_op_unref(&op);
    }
    pthread_cond_broadcast(&p->work);
    pthread_cond_broadcast(&p->done);
    while (p->threads && !sv_deadline_over(&d))
        lv_cond_wait(&p->done, &p->mu, &d, sv_deadline_left(&d));
    pthread_mutex_unlock(&p->mu);
}

/* --- waiting for one --- */

/* Under p->mu: the waiter goes; what runs goes on alone. */
static void leave(struct lv_pool *p, struct lv_op *op)
{
    op->left = true;
    if (op->phase == LV_RUNNING) {
        lose(p, op);
    } else if (unqueue(p, op)) {
        atomic_fetch_sub(&op->refs, 1); /* the worker's; the waiter still holds its own */
    }
}

/* Under p->mu: until a call ends, unless there is no time for that. */
static enum sv_err await_any(struct lv_host *h, const struct sv_deadline *d, struct sv_error *err)
{
    struct lv_pool *p = &h->pool;
    if (p->closing)
        return sv_fail(err, SV_E_HOST_DOWN, SV_F_NONE, h->base.name);
    if (sv_deadline_cancelled(d))
        return sv_fail(err, SV_E_JOB_CANCELLED, SV_F_NONE);
    if (sv_deadline_over(d))
        return sv_fail(err, SV_E_HOST_TIMEOUT, SV_F_NONE, h->base.name);
    lv_cond_wait(&p->done, &p->mu, d, sv_deadline_left(d));
    return SV_OK;
}

/* Under p->mu. */
static enum sv_err await(struct lv_host *h, struct lv_op *op, const struct sv_deadline *d, struct sv_error *err)
{
    struct lv_pool *p = &h->pool;
    while (op->phase != LV_DONE) {
        enum sv_err rc = await_any(h, d, err);
        if (rc) {
            leave(p, op);
            return rc;
        }
    }
    if (op->rc && err)
        *err = op->err;
    return op->rc;
}

static enum sv_err submit(struct lv_host *h, struct lv_op *op, struct sv_error *err)
{
    struct lv_pool *p = &h->pool;
    if (p->closing)
        return sv_fail(err, SV_E_HOST_DOWN, SV_F_NONE, h->base.name);
    if (all_lost(p, op->kind))
        return sv_fail(err, SV_E_HOST_TIMEOUT, SV_F_NONE, h->base.name);
    atomic_fetch_add(&op->refs, 1);
    enqueue(p, op);
    if (!more_threads(h)) {
        leave(p, op);
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "no more threads");
    }
    pthread_cond_signal(&p->work);
    return SV_OK;
}

/* --- what was given up --- */

/* Under p->mu. */
static bool makes_something(const struct lv_pool *p, const struct sv_id *vm)
{
    for (const struct lv_op *op = p->lost_ops; op; op = op->next)
        if (op->makes && sv_id_eq(&op->vm, vm))
            return true;
    return false;
}

enum sv_err lv_settle(struct lv_host *h, const struct sv_id *vm, bool *ret_waited, const struct sv_deadline *d,
                      struct sv_error *err)
{
    struct lv_pool *p = &h->pool;
    const struct sv_deadline within = sv_deadline_within(d, h->call_limit_ms);
    enum sv_err rc = SV_OK;
    pthread_mutex_lock(&p->mu);
    bool waits = makes_something(p, vm);
    if (ret_waited)
        *ret_waited = waits;
    for (; waits && !rc; waits = makes_something(p, vm))
        rc = await_any(h, &within, err);
    pthread_mutex_unlock(&p->mu);
    return rc;
}

enum sv_err lv_call(struct lv_host *h, struct lv_op *op, lv_fn fn, enum lv_kind kind, const struct sv_deadline *d,
                    struct sv_error *err)
{
    const struct sv_deadline within = sv_deadline_within(d, op->patient ? PATIENCE_MS : h->call_limit_ms);
    LV_HOLD(h);
    op->fn = fn;
    op->kind = kind;
    op->phase = LV_QUEUED;
    enum sv_err rc = op->settles ? lv_settle(h, &op->vm, NULL, &within, err) : SV_OK;
    if (rc)
        return rc;
    pthread_mutex_lock(&h->pool.mu);
    rc = submit(h, op, err);
    if (!rc)
        rc = await(h, op, &within, err);
    pthread_mutex_unlock(&h->pool.mu);
    return rc;
}

void lv_post(struct lv_host *h, const struct sv_id *vm, lv_fn fn)
{
    struct sv_error err;
    LV_OP op = lv_op_new(vm);
    LV_HOLD(h);
    op->fn = fn;
    op->kind = LV_CALL_HOST;
    op->phase = LV_QUEUED;
    pthread_mutex_lock(&h->pool.mu);
    enum sv_err rc = submit(h, op, &err);
    pthread_mutex_unlock(&h->pool.mu);
    if (rc)
        sv_log(SV_LOG_DEBUG, "hv.not_posted", "host", h->base.name, "result", sv_err_symbol(rc), NULL);
}
