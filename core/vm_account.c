/* The password of the guest's administrator, given when its VM is made (vm.account.pwd). The guest agent sets
 * it, so the last step of the job waits for the agent; a VM whose agent does not come is whole without it. */
#include <time.h>

#include "core/internal.h"

/* [ms] how long a guest gets to boot and bring its agent up, and how often a waiter looks whether its job was
 * cancelled or the server stops */
enum { AGENT_WAIT_MS = 120 * 1000, CANCEL_CHECK_MS = 200 };

/* --- waiting for an agent ------------------------------------------------------------------------------ */

struct sv_agent_wait {
    struct sv_id vm;
    bool news;
    struct sv_agent_wait *next;
};

void sv_agent_news(struct sv_cloud *c, const struct sv_id *vm)
{
    pthread_mutex_lock(&c->agent_mutex);
    for (struct sv_agent_wait *w = c->agent_waits; w; w = w->next)
        w->news |= !vm || sv_id_eq(&w->vm, vm);
    pthread_cond_broadcast(&c->agent_change);
    pthread_mutex_unlock(&c->agent_mutex);
}

/* From here on no news of the VM's agent is missed. */
static void begin_waiting(struct sv_cloud *c, struct sv_agent_wait *w)
{
    pthread_mutex_lock(&c->agent_mutex);
    w->next = c->agent_waits;
    c->agent_waits = w;
    pthread_mutex_unlock(&c->agent_mutex);
}

static void end_waiting(struct sv_cloud *c, const struct sv_agent_wait *w)
{
    pthread_mutex_lock(&c->agent_mutex);
    for (struct sv_agent_wait **at = &c->agent_waits; *at; at = &(*at)->next) {
        if (*at == w) {
            *at = w->next;
            break;
        }
    }
    pthread_mutex_unlock(&c->agent_mutex);
}

/* False: time is up, the job was cancelled, or the server stops. */
static bool wait_news(struct sv_run *r, struct sv_agent_wait *w, const struct sv_deadline *d)
{
    struct sv_cloud *c = sv_run_app(r);
    bool came;

    pthread_mutex_lock(&c->agent_mutex);
    while (!w->news && !sv_deadline_over(d) && !sv_deadline_cancelled(d) && !sv_run_may_leave(r)) {
        const int64_t left = sv_deadline_left(d);
        const int64_t ms = sv_mono_ms() + (left < CANCEL_CHECK_MS ? left : CANCEL_CHECK_MS);
        const struct timespec until = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

        pthread_cond_timedwait(&c->agent_change, &c->agent_mutex, &until);
    }
    came = w->news;
    w->news = false;
    pthread_mutex_unlock(&c->agent_mutex);
    return came;
}

/* --- the step ------------------------------------------------------------------------------------------ */

bool sv_step_account_needed(const struct sv_job *job)
{
    return job->iarg[SV_CREATE_ACCOUNT] != 0;
}

static enum sv_err until_set(struct sv_run *r, const char *password, const struct sv_deadline *d, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    struct sv_agent_wait w = {.vm = sv_run_job(r)->object};
    struct sv_hv_host *h;
    enum sv_err rc;

    begin_waiting(c, &w);
    do {
        rc = sv_run_host(r, &h, err);
        if (!rc)
            rc = SV_HV_CALL(h, set_password, &w.vm, "root", password, d);
    } while ((rc == SV_E_VM_NO_AGENT || rc == SV_E_HOST_DOWN) && wait_news(r, &w, d));
    end_waiting(c, &w);
    if (rc && sv_deadline_cancelled(d))
        return sv_fail(err, SV_E_JOB_CANCELLED, SV_F_NONE);
    return rc && sv_run_may_leave(r) ? sv_fail(err, SV_E_SHUTTING_DOWN, SV_F_NONE) : rc;
}

enum sv_err sv_step_account(struct sv_run *r, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    const struct sv_deadline d = sv_deadline_within(sv_run_deadline(r), AGENT_WAIT_MS);
    char password[SV_MAX_PASSWORD + 1];
    enum sv_err rc =
        sv_secret_get(c->secrets, &sv_run_job(r)->object, SV_SECRET_ACCOUNT, password, sizeof(password), err);

    if (!rc && !password[0])
        rc = sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "the sealed password is gone");
    if (!rc)
        rc = until_set(r, password, &d, err);
    explicit_bzero(password, sizeof(password));
    if (!rc)
        sv_run_note(r, SV_LOG_INFO, SV_N_PASSWORD_SET, "root", NULL);
    if (!rc || rc == SV_E_JOB_CANCELLED || rc == SV_E_SHUTTING_DOWN)
        return rc;
    sv_run_note_error(r, SV_LOG_WARN, SV_N_PASSWORD_LEFT, err);
    return SV_OK;
}

/* --- start-up ------------------------------------------------------------------------------------------ */

struct sweep {
    struct sv_tx *tx;
    struct sv_error *err;
    enum sv_err rc;
};

static bool is_awaited(void *arg, const struct sv_id *vm)
{
    struct sweep *s = arg;
    struct sv_lock lock;
    bool held = true;

    if (!s->rc)
        s->rc = sv_lock_get(s->tx, vm, &lock, &held, s->err);
    return s->rc || held;
}

static enum sv_err sweep(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_cloud *c = arg;
    struct sweep s = {.tx = tx, .err = err};

    sv_secret_sweep(c->secrets, SV_SECRET_ACCOUNT, is_awaited, &s);
    return s.rc;
}

enum sv_err sv_account_recover(struct sv_cloud *c, struct sv_error *err)
{
    return sv_db_read(c->db, sweep, c, err);
}
