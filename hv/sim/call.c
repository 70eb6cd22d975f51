/* What a call goes through before it takes effect: a free slot, the delay, a hang, a fault. */
#include "hv/sim/internal.h"

/* A cancel flag wakes nobody, so who has one looks at it this often. */
enum { CANCEL_LOOK_US = 50000 };

/* One wait, until woken or until_us; the caller looks again at what it waits for. */
static void nap(struct sim_host *h, pthread_cond_t *c, int64_t until_us, const atomic_bool *cancel)
{
    if (cancel) {
        const int64_t look = sv_mono_us() + CANCEL_LOOK_US;
        until_us = look < until_us ? look : until_us;
    }
    h->inside++;
    if (until_us == INT64_MAX) {
        pthread_cond_wait(c, &h->lock);
    } else {
        const struct timespec ts = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
        pthread_cond_timedwait(c, &h->lock, &ts);
    }
    h->inside--;
    if (h->closing && h->inside == 0)
        pthread_cond_broadcast(&h->gate);
}

static uint64_t next_random(struct sim_host *h)
{
    uint64_t x = h->random += 0x9e3779b97f4a7c15U; /* splitmix64 */

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

static int64_t call_delay(struct sim_host *h)
{
    int64_t us = h->delay_us;

    if (h->jitter_us)
        us += (int64_t)(next_random(h) % (uint64_t)(2 * h->jitter_us + 1)) - h->jitter_us;
    return us > 0 ? us : 0;
}

static enum sv_err down(const struct sim_host *h, struct sv_error *err)
{
    return sv_fail(err, SV_E_HOST_DOWN, SV_F_NONE, h->base.name);
}

static bool gone(const struct sim_host *h)
{
    return h->closing || !atomic_load_explicit(&h->base.connected, memory_order_relaxed);
}

/* HOST_DOWN, JOB_CANCELLED and HOST_TIMEOUT, whichever already holds. */
static enum sv_err still_wanted(struct sim_host *h, const struct sv_deadline *d, struct sv_error *err)
{
    if (gone(h))
        return down(h, err);
    if (sv_deadline_cancelled(d))
        return sv_fail(err, SV_E_JOB_CANCELLED, SV_F_NONE);
    if (d && d->mono_ms && sv_deadline_over(d))
        return sv_fail(err, SV_E_HOST_TIMEOUT, SV_F_NONE, h->base.name);
    return SV_OK;
}

/* The same for a call that is out already: a host given up under it may have done it. */
static enum sv_err still_waiting(struct sim_host *h, const struct sv_deadline *d, struct sv_error *err)
{
    const enum sv_err rc = still_wanted(h, d, err);

    if (rc == SV_E_HOST_DOWN && h->given_up)
        return sv_fail(err, SV_E_HOST_TIMEOUT, SV_F_NONE, h->base.name);
    return rc;
}

static bool in_the_way(const struct sim_host *h)
{
    return h->hung || h->active >= h->sim->slots;
}

/* A call that has to wait is bounded by the host's limit as well as by its own deadline. */
static enum sv_err wait_turn(struct sim_host *h, const struct sv_deadline *limit, struct sv_error *err)
{
    enum sv_err rc = SV_OK;

    h->slot_waiters++;
    while (!rc && in_the_way(h)) {
        nap(h, &h->gate, limit->mono_ms * 1000, limit->cancel);
        rc = still_waiting(h, limit, err);
    }
    h->slot_waiters--;
    return rc;
}

static enum sv_err wait_delay(struct sim_host *h, int64_t us, const struct sv_deadline *limit, struct sv_error *err)
{
    const int64_t until = sv_mono_us() + us, over = limit->mono_ms * 1000;
    enum sv_err rc = SV_OK;

    while (!rc && (h->hung || sv_mono_us() < until)) {
        nap(h, &h->gate, h->hung || over < until ? over : until, limit->cancel);
        rc = still_waiting(h, limit, err);
    }
    return rc;
}

static enum sv_err happens(struct sim_host *h, double p, const char *what, enum sim_call call, struct sv_error *err)
{
    if (p <= 0 || (double)(next_random(h) >> 11) * 0x1p-53 >= p)
        return SV_OK;
    SV_AUTOFREE char *text = sv_asprintf("%s %s", what, sim_call_name(call));
    return sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, text);
}

enum sv_err sim_fault(struct sim_host *h, enum sim_call call, struct sv_error *err)
{
    return happens(h, h->fail[call], "simulated fault in", call, err);
}

static enum sv_err take_turn(struct sim_host *h, enum sim_call call, const struct sv_deadline *d, struct sv_error *err)
{
    const int64_t us = call_delay(h);
    enum sv_err rc = SV_OK;

    if (us || in_the_way(h)) {
        const struct sv_deadline limit = sv_deadline_within(d, h->sim->call_limit_ms);
        rc = wait_turn(h, &limit, err);
        if (rc)
            return rc;
        h->active++;
        rc = wait_delay(h, us, &limit, err);
    } else {
        h->active++;
    }
    if (!rc)
        rc = sim_fault(h, call, err);
    if (rc)
        h->active--;
    return rc;
}

static void wake_slot_waiters(struct sim_host *h)
{
    if (h->slot_waiters)
        pthread_cond_broadcast(&h->gate);
}

enum sv_err sim_enter(struct sim_host *h, enum sim_call call, const struct sv_deadline *d, struct sv_error *err)
{
    enum sv_err rc;

    pthread_mutex_lock(&h->lock);
    rc = still_wanted(h, d, err);
    if (!rc)
        rc = take_turn(h, call, d, err);
    if (rc) {
        wake_slot_waiters(h);
        pthread_mutex_unlock(&h->lock);
    }
    return rc;
}

void sim_leave_slot(struct sim_host *h)
{
    h->active--;
    wake_slot_waiters(h);
}

void sim_leave(struct sim_host *h)
{
    sim_leave_slot(h);
    pthread_mutex_unlock(&h->lock);
}

enum sv_err sim_answer(struct sim_host *h, enum sim_call call, enum sv_err rc, struct sv_error *err)
{
    if (!rc)
        rc = happens(h, h->lose[call], "simulated loss of the answer of", call, err);
    sim_leave(h);
    return rc;
}

struct sim_domain *sim_enter_vm(struct sim_host *h, enum sim_call call, const struct sv_id *vm,
                                const struct sv_deadline *dl, enum sv_err *ret_rc, struct sv_error *err)
{
    struct sim_key k = {0};

    *ret_rc = sim_key_of(vm, &k, err);
    if (!*ret_rc)
        *ret_rc = sim_enter(h, call, dl, err);
    if (*ret_rc)
        return NULL;
    struct sim_domain *d = sim_table_get(&h->domains, &k);
    if (!d) {
        sim_leave(h);
        *ret_rc = sv_fail(err, SV_E_DOMAIN_MISSING, SV_F_NONE);
    }
    return d;
}

bool sim_answers(const struct sim_host *h)
{
    return !h->hung && !gone(h);
}

enum sv_err sim_wait(struct sim_host *h, const struct sv_deadline *d, const char *what, struct sv_error *err)
{
    const enum sv_err rc = still_wanted(h, d, err);

    if (rc)
        return rc == SV_E_HOST_TIMEOUT ? sv_fail(err, SV_E_JOB_DEADLINE, SV_F_NONE, what) : rc;
    nap(h, &h->change, d && d->mono_ms ? d->mono_ms * 1000 : INT64_MAX, d ? d->cancel : NULL);
    return SV_OK;
}

void sim_link(struct sim_host *h, const char *why)
{
    const bool connected = !h->cut && !h->given_up;

    if (atomic_exchange(&h->base.connected, connected) == connected)
        return;
    if (!connected)
        sim_pools_forget(h);
    sim_tell_host(h, connected, why);
    pthread_cond_broadcast(&h->gate);
    pthread_cond_broadcast(&h->change);
}

void sim_hang(struct sim_host *h, bool hung)
{
    if (h->hung == hung)
        return;
    h->hung = hung;
    h->hang_epoch++;
    if (hung) {
        sim_timer_add(h, SIM_TIMER_HANG, NULL, h->hang_epoch, h->sim->call_limit_ms * 1000);
        return;
    }
    h->given_up = false;
    sim_link(h, "the host answers again");
    pthread_cond_broadcast(&h->gate);
    pthread_cond_broadcast(&h->change);
}

void sim_host_drain(struct sim_host *h)
{
    pthread_mutex_lock(&h->lock);
    h->closing = true;
    pthread_cond_broadcast(&h->gate);
    pthread_cond_broadcast(&h->change);
    while (h->inside > 0)
        pthread_cond_wait(&h->gate, &h->lock);
    pthread_mutex_unlock(&h->lock);
}
