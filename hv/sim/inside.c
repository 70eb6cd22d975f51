/* What is done inside a guest by its agent, and the password of its screen. */
#include "hv/sim/internal.h"
#include "starvirt/text.h"

#include <stdlib.h>

bool sim_password_apply(struct sim_domain *d, const unsigned char *p, size_t n)
{
    if (n != sizeof(*d->password))
        return false;
    if (!d->password)
        d->password = sv_alloc(sizeof(*d->password));
    memcpy(d->password, p, n);
    return true;
}

static struct sim_password remember(const char *user, const char *password)
{
    struct sv_buf b = {0};
    struct sim_password made;

    sv_random(made.salt, sizeof(made.salt));
    sv_buf_add(&b, made.salt, sizeof(made.salt));
    sv_buf_add(&b, user, strlen(user) + 1);
    sv_buf_add(&b, password, strlen(password));
    sv_sha256(b.p, b.n, made.hash);
    explicit_bzero(b.p, b.n);
    sv_buf_free(&b);
    return made;
}

/* The agent works only while the guest does. */
static enum sv_err check_awake(const struct sim_domain *d, struct sv_error *err)
{
    if (d->live.power == SV_HV_RUNNING)
        return SV_OK;
    return sv_fail(err, SV_E_VM_STATE, SV_F_VM, d->live.power == SV_HV_PAUSED ? "paused" : "stopped");
}

enum sv_err sim_set_password(struct sv_hv_host *hh, const struct sv_id *vm, const char *user, const char *password,
                             const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    const struct sim_password made = remember(user, password);
    enum sv_err rc;
    struct sim_domain *d = sim_enter_vm(h, SIM_CALL_set_password, vm, dl, &rc, err);

    if (!d)
        return rc;
    rc = check_awake(d, err);
    if (!rc && !d->agent)
        rc = sv_fail(err, SV_E_VM_NO_AGENT, SV_F_VM);
    if (!rc)
        rc = sim_record(h, SIM_REC_PASSWORD, &d->key, &made, sizeof(made), err);
    if (!rc)
        (void)sim_password_apply(d, (const unsigned char *)&made, sizeof(made));
    sim_leave(h);
    return rc;
}

void sim_clock_stop(struct sim_domain *d)
{
    if (!d->paused)
        d->paused = sv_now_ms();
}

void sim_clock_go_on(struct sim_domain *d)
{
    if (d->paused)
        d->behind += sv_now_ms() - d->paused;
    d->paused = 0;
}

void sim_clock_reset(struct sim_domain *d)
{
    d->behind = d->paused = 0;
}

enum sv_err sim_set_time(struct sv_hv_host *hh, const struct sv_id *vm, int64_t *ret_behind,
                         const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    enum sv_err rc;
    struct sim_domain *d = sim_enter_vm(h, SIM_CALL_set_time, vm, dl, &rc, err);

    if (!d)
        return rc;
    rc = check_awake(d, err);
    if (!rc && !d->agent)
        rc = sv_fail(err, SV_E_VM_NO_AGENT, SV_F_VM);
    if (!rc) {
        *ret_behind = d->behind;
        d->behind = 0;
    }
    sim_leave(h);
    return rc;
}

/* An agent that was lost comes back; a guest that has none (agent=off) gets none. */
enum sv_err sim_agent_sync(struct sv_hv_host *hh, const struct sv_id *vm, const struct sv_deadline *dl,
                           struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    enum sv_err rc;
    struct sim_domain *d = sim_enter_vm(h, SIM_CALL_agent_sync, vm, dl, &rc, err);

    if (!d)
        return rc;
    rc = check_awake(d, err);
    if (!rc && !d->agent)
        rc = h->sim->conf.agent ? sim_guest_agent(h, d, true, err) : sv_fail(err, SV_E_VM_NO_AGENT, SV_F_VM);
    sim_leave(h);
    return rc;
}

/* A guest without a word on its addresses is not even asked: a hundred thousand would cost a call each. */
static bool has_address(struct sim_host *h, const struct sv_id *vm)
{
    struct sim_key k = {0};
    struct sv_error ignored;
    const struct sim_domain *d;
    bool has = false;

    if (sim_key_of(vm, &k, &ignored))
        return false;
    pthread_mutex_lock(&h->lock);
    d = sim_table_get(&h->domains, &k);
    has = d && d->address;
    pthread_mutex_unlock(&h->lock);
    return has;
}

enum sv_err sim_guest_addresses(struct sv_hv_host *hh, const struct sv_id *vm, char **ret, const struct sv_deadline *dl,
                                struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    enum sv_err rc;

    if (!has_address(h, vm))
        return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, "a simulated guest's own address");
    const struct sim_domain *d = sim_enter_vm(h, SIM_CALL_guest_addresses, vm, dl, &rc, err);
    if (!d)
        return rc;
    rc = check_awake(d, err);
    if (!rc && !d->agent)
        rc = sv_fail(err, SV_E_VM_NO_AGENT, SV_F_VM);
    if (!rc)
        *ret = sv_strdup(d->address ? d->address : "");
    sim_leave(h);
    return rc;
}

enum sv_err sim_set_vnc_password(struct sv_hv_host *hh, const struct sv_id *vm, const char *password,
                                 const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    enum sv_err rc;

    if (strlen(password) > SV_MAX_VNC_PASSWORD)
        return sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, "the VNC password is too long");
    struct sim_domain *d = sim_enter_vm(h, SIM_CALL_set_vnc_password, vm, dl, &rc, err);
    if (!d)
        return rc;
    rc = sim_domain_set_vnc(h, d, password, err);
    return sim_answer(h, SIM_CALL_set_vnc_password, rc, err);
}
