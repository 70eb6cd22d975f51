/* The calls that change or await a guest's power. */
#include "hv/sim/internal.h"

static enum sv_err not_running(struct sv_error *err)
{
    return sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, "the domain is not running");
}

static enum sv_err start(struct sim_host *h, struct sim_domain *d, struct sv_error *err)
{
    struct sim_live next = d->live;

    if (d->live.power == SV_HV_RUNNING)
        return SV_OK;
    if (d->live.power == SV_HV_PAUSED)
        return sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, "the domain is paused");
    const enum sv_err rc = sim_volumes_there(h, d, err);
    if (rc)
        return rc;
    next.power = SV_HV_RUNNING;
    next.vcpus = d->def->vcpus;
    next.vcpus_max = d->def->vcpus_max;
    next.memory = d->def->memory;
    next.memory_max = d->def->memory_max;
    return sim_guest_become(h, d, &next, err);
}

enum sv_err sim_start(struct sv_hv_host *hh, const struct sv_id *vm, const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    enum sv_err rc;
    struct sim_domain *d = sim_enter_vm(h, SIM_CALL_start, vm, dl, &rc, err);

    if (!d)
        return rc;
    rc = start(h, d, err);
    sim_leave(h);
    return rc;
}

enum sv_err sim_destroy(struct sv_hv_host *hh, const struct sv_id *vm, const struct sv_deadline *dl,
                        struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    enum sv_err rc;
    struct sim_domain *d = sim_enter_vm(h, SIM_CALL_destroy, vm, dl, &rc, err);

    if (!d)
        return rc == SV_E_DOMAIN_MISSING ? SV_OK : rc;
    if (d->live.power != SV_HV_OFF)
        rc = sim_guest_off(h, d, SV_HV_OFF, err);
    sim_leave(h);
    return rc;
}

/* Asks a guest that can hear: done at once when stop= is 0, else begun. */
static enum sv_err ask(struct sim_host *h, struct sim_domain *d, unsigned flag, struct sv_error *err)
{
    const bool heard = h->sim->conf.acpi && d->live.power == SV_HV_RUNNING;
    const bool under_way = d->live.flags & (SIM_STOPPING | SIM_REBOOTING);
    struct sim_live next = d->live;

    if (flag == SIM_REBOOTING)
        next.boots_asked = next.boots;
    if (!heard || under_way)
        return flag == SIM_REBOOTING ? sim_guest_become(h, d, &next, err) : SV_OK;
    if (h->sim->conf.stop_us == 0 && flag == SIM_STOPPING)
        return sim_guest_off(h, d, SV_HV_OFF, err);
    if (h->sim->conf.stop_us == 0) {
        next.boots++;
        return sim_guest_become(h, d, &next, err);
    }
    next.flags |= (uint8_t)flag;
    const enum sv_err rc = sim_guest_become(h, d, &next, err);
    if (!rc)
        sim_guest_go_on(h, d);
    return rc;
}

enum sv_err sim_shutdown(struct sv_hv_host *hh, const struct sv_id *vm, bool *ret_by_agent,
                         const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    enum sv_err rc;
    struct sim_domain *d = sim_enter_vm(h, SIM_CALL_shutdown, vm, dl, &rc, err);

    if (!d)
        return rc;
    const bool by_agent = d->agent;
    if (sim_guest_runs(d))
        rc = ask(h, d, SIM_STOPPING, err);
    sim_leave(h);
    if (!rc)
        *ret_by_agent = by_agent;
    return rc;
}

enum sv_err sim_reboot(struct sv_hv_host *hh, const struct sv_id *vm, bool *ret_by_agent, const struct sv_deadline *dl,
                       struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    enum sv_err rc;
    struct sim_domain *d = sim_enter_vm(h, SIM_CALL_reboot, vm, dl, &rc, err);

    if (!d)
        return rc;
    const bool by_agent = d->agent;
    rc = sim_guest_runs(d) ? ask(h, d, SIM_REBOOTING, err) : not_running(err);
    sim_leave(h);
    if (!rc)
        *ret_by_agent = by_agent;
    return rc;
}

enum sv_err sim_reset(struct sv_hv_host *hh, const struct sv_id *vm, const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    enum sv_err rc;
    struct sim_domain *d = sim_enter_vm(h, SIM_CALL_reset, vm, dl, &rc, err);

    if (!d)
        return rc;
    struct sim_live next = d->live;
    next.flags &= (uint8_t) ~(SIM_STOPPING | SIM_REBOOTING);
    next.boots++;
    rc = sim_guest_runs(d) ? sim_guest_become(h, d, &next, err) : not_running(err);
    sim_leave(h);
    return rc;
}

static enum sv_err turn(struct sv_hv_host *hh, enum sim_call call, const struct sv_id *vm, enum sv_hv_power to,
                        const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    enum sv_err rc;
    struct sim_domain *d = sim_enter_vm(h, call, vm, dl, &rc, err);

    if (!d)
        return rc;
    struct sim_live next = d->live;
    next.power = (uint8_t)to;
    if (!sim_guest_runs(d))
        rc = not_running(err);
    else if (d->live.power != to)
        rc = sim_guest_become(h, d, &next, err);
    if (!rc && to == SV_HV_RUNNING) {
        sim_clock_go_on(d);
        sim_guest_go_on(h, d);
    } else if (!rc) {
        sim_clock_stop(d);
    }
    sim_leave(h);
    return rc;
}

enum sv_err sim_suspend(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *dl,
                        struct sv_error *err)
{
    return turn(h, SIM_CALL_suspend, vm, SV_HV_PAUSED, dl, err);
}

enum sv_err sim_resume(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *dl, struct sv_error *err)
{
    return turn(h, SIM_CALL_resume, vm, SV_HV_RUNNING, dl, err);
}

/* --- waiting --- */

/* A wait takes no slot and no delay: it is the hypervisor's events that end it, which a hung host does
 * not send. */
static enum sv_err enter_wait(struct sim_host *h, enum sim_call call, const struct sv_id *vm, struct sim_key *ret_key,
                              struct sv_error *err)
{
    enum sv_err rc = sim_key_of(vm, ret_key, err);

    if (rc)
        return rc;
    pthread_mutex_lock(&h->lock);
    rc = sim_fault(h, call, err);
    if (rc)
        pthread_mutex_unlock(&h->lock);
    return rc;
}

enum sv_err sim_wait_power(struct sv_hv_host *hh, const struct sv_id *vm, enum sv_hv_power want,
                           const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct sim_key k = {0};
    enum sv_err rc = enter_wait(h, SIM_CALL_wait_power, vm, &k, err);

    if (rc)
        return rc;
    for (;;) {
        const struct sim_domain *d = sim_table_get(&h->domains, &k);
        const enum sv_hv_power now = d ? (enum sv_hv_power)d->live.power : SV_HV_ABSENT;
        if (sim_answers(h) && now == want)
            break;
        if (sim_answers(h) && !d)
            rc = sv_fail(err, SV_E_DOMAIN_MISSING, SV_F_NONE);
        else
            rc = sim_wait(h, dl, "the VM did not reach the wanted power state", err);
        if (rc)
            break;
    }
    pthread_mutex_unlock(&h->lock);
    return rc;
}

enum sv_err sim_wait_reboot(struct sv_hv_host *hh, const struct sv_id *vm, const struct sv_deadline *dl,
                            struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct sim_key k = {0};
    enum sv_err rc = enter_wait(h, SIM_CALL_wait_reboot, vm, &k, err);

    if (rc)
        return rc;
    for (;;) {
        const struct sim_domain *d = sim_table_get(&h->domains, &k);
        if (sim_answers(h) && d && d->live.boots != d->live.boots_asked)
            break;
        if (sim_answers(h) && !d)
            rc = sv_fail(err, SV_E_DOMAIN_MISSING, SV_F_NONE);
        else if (sim_answers(h) && !sim_guest_runs(d))
            rc = not_running(err);
        else
            rc = sim_wait(h, dl, "the guest did not reboot", err);
        if (rc)
            break;
    }
    pthread_mutex_unlock(&h->lock);
    return rc;
}

/* --- live growth --- */

static enum sv_err unsupported(struct sv_error *err, const char *what)
{
    return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, what);
}

enum sv_err sim_set_vcpus(struct sv_hv_host *hh, const struct sv_id *vm, int64_t vcpus, const struct sv_deadline *dl,
                          struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    enum sv_err rc;
    struct sim_domain *d = sim_enter_vm(h, SIM_CALL_set_vcpus, vm, dl, &rc, err);

    if (!d)
        return rc;
    struct sim_live next = d->live;
    if (!sim_guest_runs(d))
        rc = unsupported(err, "live vCPUs of a guest that is off");
    else if (vcpus < d->live.vcpus)
        rc = unsupported(err, "fewer vCPUs live");
    else if (vcpus > d->live.vcpus_max)
        rc = unsupported(err, "more vCPUs than the guest started with room for");
    else if (vcpus != d->live.vcpus) {
        next.vcpus = (uint16_t)vcpus;
        next.flags |= SIM_GROWN;
        rc = sim_guest_become(h, d, &next, err);
    }
    sim_leave(h);
    return rc;
}

enum sv_err sim_set_memory(struct sv_hv_host *hh, const struct sv_id *vm, int64_t bytes, const struct sv_deadline *dl,
                           struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    enum sv_err rc;
    struct sim_domain *d = sim_enter_vm(h, SIM_CALL_set_memory, vm, dl, &rc, err);

    if (!d)
        return rc;
    struct sim_live next = d->live;
    if (!sim_guest_runs(d))
        rc = unsupported(err, "live memory of a guest that is off");
    else if (bytes < d->live.memory)
        rc = unsupported(err, "less memory live");
    else if (bytes > d->live.memory_max)
        rc = unsupported(err, "more memory than the guest started with room for");
    else if (bytes != d->live.memory) {
        next.memory = bytes;
        rc = sim_guest_become(h, d, &next, err);
    }
    sim_leave(h);
    return rc;
}
