#include "hv/libvirt/internal.h"

/* Waiting is for events: libvirt is asked at the beginning, when something changed and when the
 * connection came back. Now and then it is asked anyhow: a guest that ends while a restarted libvirtd is
 * still picking it up ends without an event. */
enum { LOOK_ANYHOW_MS = 10000 };

/* A guest that died on its way down is down. */
static bool satisfies(enum sv_hv_power now, enum sv_hv_power want)
{
    return now == want || (want == SV_HV_OFF && now == SV_HV_CRASHED);
}

struct mark {
    uint64_t changes, epoch;
    bool closing, shutdown_asked;
};

static struct mark look(struct lv_table *t, const struct sv_id *vm)
{
    pthread_mutex_lock(&t->mu);
    const struct lv_vm *v = lv_table_get(t, vm);
    struct mark m = {
        .changes = v->changes, .epoch = t->epoch, .closing = t->closing, .shutdown_asked = v->shutdown_asked};
    pthread_mutex_unlock(&t->mu);
    return m;
}

static enum sv_err over(const struct sv_deadline *d, const char *what, struct sv_error *err)
{
    if (sv_deadline_cancelled(d))
        return sv_fail(err, SV_E_JOB_CANCELLED, SV_F_NONE);
    if (sv_deadline_over(d))
        return sv_fail(err, SV_E_JOB_DEADLINE, SV_F_NONE, what);
    return SV_OK;
}

/* Until the record or the connection changed (true), or there is no more time. */
static bool until_news(struct lv_table *t, const struct sv_id *vm, const struct mark *seen, const struct sv_deadline *d)
{
    pthread_mutex_lock(&t->mu);
    while (!t->closing && !sv_deadline_over(d) && !sv_deadline_cancelled(d) && t->epoch == seen->epoch &&
           lv_table_get(t, vm)->changes == seen->changes)
        lv_cond_wait(&t->changed, &t->mu, d, sv_deadline_left(d));
    bool news = t->epoch != seen->epoch || lv_table_get(t, vm)->changes != seen->changes;
    pthread_mutex_unlock(&t->mu);
    return news;
}

/* A guest that was still booting did not hear the button: it is pressed again. */
static void ask_again(struct lv_host *h, const struct sv_id *vm, const struct sv_deadline *d)
{
    struct sv_error ignored;
    bool by_agent;
    if (!sv_deadline_over(d) && !sv_deadline_cancelled(d))
        lv_shutdown(&h->base, vm, &by_agent, d, &ignored);
}

/* The state when the host can be asked. A short break of the connection is waited out: SV_OK with
 * *ret_known false means "look again". */
static enum sv_err ask(struct lv_host *h, const struct sv_id *vm, const struct mark *seen, struct sv_hv_state *ret,
                       bool *ret_known, const struct sv_deadline *d, struct sv_error *err)
{
    enum sv_err rc = sv_hv_ready(&h->base, true, err);
    if (!rc)
        rc = lv_state(&h->base, vm, ret, d, err);
    *ret_known = !rc;
    if (rc != SV_E_HOST_DOWN && rc != SV_E_HOST_TIMEOUT)
        return rc;
    const struct sv_deadline grace = sv_deadline_within(d, h->call_limit_ms);
    bool news = until_news(&h->table, vm, seen, &grace);
    return news || sv_deadline_cancelled(d) ? SV_OK : rc;
}

enum sv_err lv_wait_power(struct sv_hv_host *base, const struct sv_id *vm, enum sv_hv_power want,
                          const struct sv_deadline *d, struct sv_error *err)
{
    struct lv_host *h = lv_host_of(base);
    LV_HOLD(h);
    for (;;) {
        struct sv_hv_state now = {0};
        bool known = false;
        struct mark seen = look(&h->table, vm);
        enum sv_err rc = over(d, lv_power_name(want), err);
        if (!rc && seen.closing)
            rc = sv_fail(err, SV_E_HOST_DOWN, SV_F_NONE, base->name);
        if (!rc)
            rc = ask(h, vm, &seen, &now, &known, d, err);
        if (rc || (known && satisfies(now.power, want)))
            return rc;
        const struct sv_deadline look_anyhow = sv_deadline_within(d, LOOK_ANYHOW_MS);
        if (known && !until_news(&h->table, vm, &seen, &look_anyhow) && want == SV_HV_OFF && seen.shutdown_asked)
            ask_again(h, vm, d);
    }
}

enum sv_err lv_wait_reboot(struct sv_hv_host *base, const struct sv_id *vm, const struct sv_deadline *d,
                           struct sv_error *err)
{
    struct lv_table *t = &lv_host_of(base)->table;
    enum sv_err rc = SV_OK;
    LV_HOLD(lv_host_of(base));
    pthread_mutex_lock(&t->mu);
    lv_table_get(t, vm)->reboot_asked = true; /* after a restart of ours: the next one counts */
    while (!lv_table_get(t, vm)->rebooted && !t->closing && !(rc = over(d, "reboot", err)))
        lv_cond_wait(&t->changed, &t->mu, d, sv_deadline_left(d));
    if (!rc && t->closing)
        rc = sv_fail(err, SV_E_HOST_DOWN, SV_F_NONE, base->name);
    struct lv_vm *v = lv_table_get(t, vm);
    v->reboot_asked = v->rebooted = false;
    pthread_mutex_unlock(&t->mu);
    return rc;
}
