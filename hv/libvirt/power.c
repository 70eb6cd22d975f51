#include "hv/libvirt/internal.h"

/* Power: every call looks first, so that a step that runs again after a crash finds its work done. */

static enum sv_err refuse(enum sv_hv_power p, struct sv_error *err)
{
    return sv_fail(err, SV_E_VM_STATE, SV_F_VM, lv_power_name(p));
}

/* One operation on a domain in a known state. */
typedef enum sv_err (*act)(struct lv_host *h, virConnectPtr conn, virDomainPtr d, enum sv_hv_power now,
                           struct lv_op *op, struct sv_error *err);

static enum sv_err with_domain(struct lv_host *h, virConnectPtr conn, struct lv_op *op, act fn, struct sv_error *err)
{
    enum sv_hv_power now = SV_HV_ABSENT;
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    enum sv_err rc = lv_power_of(h, conn, d, &now, err);
    return rc ? rc : fn(h, conn, d, now, op, err);
}

/* A failure that leaves the domain as wanted is none: it got there by itself in between. */
static enum sv_err result(struct lv_host *h, virConnectPtr conn, virDomainPtr d, int r, const char *what,
                          enum sv_hv_power want, struct sv_error *err)
{
    enum sv_hv_power now = SV_HV_ABSENT;
    struct sv_error again;
    if (r >= 0)
        return SV_OK;
    enum sv_err rc = lv_error(h, conn, what, err);
    if (rc != SV_E_HOST_TIMEOUT && lv_power_of(h, conn, d, &now, &again) == SV_OK && now == want)
        return SV_OK;
    return rc;
}

/* --- start, destroy, suspend, resume, reset --- */

static enum sv_err act_start(struct lv_host *h, virConnectPtr conn, virDomainPtr d, enum sv_hv_power now,
                             struct lv_op *op, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    lv_table_set_starting(&h->table, &op->vm, true);
    if (now == SV_HV_PAUSED)
        rc = result(h, conn, d, virDomainResume(d), "resume", SV_HV_RUNNING, err);
    else if (now != SV_HV_RUNNING)
        rc = result(h, conn, d, virDomainCreateWithFlags(d, 0), "start", SV_HV_RUNNING, err);
    if (rc)
        rc = lv_or_missing(h, d, rc, err);
    if (!rc)
        lv_screen_look(h, d, &op->vm); /* before anybody hears that it runs */
    lv_table_set_starting(&h->table, &op->vm, false);
    return rc;
}

static enum sv_err act_destroy(struct lv_host *h, virConnectPtr conn, virDomainPtr d, enum sv_hv_power now,
                               struct lv_op *op, struct sv_error *err)
{
    if (now != SV_HV_RUNNING && now != SV_HV_PAUSED)
        return SV_OK;
    enum sv_err rc = result(h, conn, d, virDomainDestroyFlags(d, 0), "destroy", SV_HV_OFF, err);
    if (!rc)
        lv_table_set_power(&h->table, &op->vm, SV_HV_OFF); /* should the event be lost, waiters know */
    return rc;
}

static enum sv_err act_suspend(struct lv_host *h, virConnectPtr conn, virDomainPtr d, enum sv_hv_power now,
                               struct lv_op *op, struct sv_error *err)
{
    (void)op;
    if (now == SV_HV_PAUSED)
        return SV_OK;
    if (now != SV_HV_RUNNING)
        return refuse(now, err);
    return result(h, conn, d, virDomainSuspend(d), "suspend", SV_HV_PAUSED, err);
}

static enum sv_err act_resume(struct lv_host *h, virConnectPtr conn, virDomainPtr d, enum sv_hv_power now,
                              struct lv_op *op, struct sv_error *err)
{
    (void)op;
    if (now == SV_HV_RUNNING)
        return SV_OK;
    if (now != SV_HV_PAUSED)
        return refuse(now, err);
    return result(h, conn, d, virDomainResume(d), "resume", SV_HV_RUNNING, err);
}

static enum sv_err act_reset(struct lv_host *h, virConnectPtr conn, virDomainPtr d, enum sv_hv_power now,
                             struct lv_op *op, struct sv_error *err)
{
    (void)op;
    if (now != SV_HV_RUNNING)
        return refuse(now, err);
    return virDomainReset(d, 0) < 0 ? lv_error(h, conn, "reset", err) : SV_OK;
}

/* --- asking the guest --- */

static bool ask_agent(struct lv_host *h, virConnectPtr conn, virDomainPtr d, struct lv_op *op,
                      int (*ask)(virDomainPtr d, unsigned flags), unsigned flag)
{
    struct sv_error ignored;
    if (h->is_test || !lv_agent_up(h, d, &op->vm))
        return false;
    if (ask(d, flag) >= 0) {
        op->by_agent = true;
        return true;
    }
    lv_error(h, conn, "agent", &ignored); /* logged; the power button is next */
    return false;
}

static enum sv_err act_shutdown(struct lv_host *h, virConnectPtr conn, virDomainPtr d, enum sv_hv_power now,
                                struct lv_op *op, struct sv_error *err)
{
    if (now == SV_HV_PAUSED)
        return refuse(now, err); /* it cannot hear */
    if (now != SV_HV_RUNNING)
        return SV_OK;
    lv_table_ask_shutdown(&h->table, &op->vm);
    if (ask_agent(h, conn, d, op, virDomainShutdownFlags, VIR_DOMAIN_SHUTDOWN_GUEST_AGENT))
        return SV_OK;
    int r = h->is_test ? virDomainShutdown(d) : virDomainShutdownFlags(d, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN);
    return result(h, conn, d, r, "shutdown", SV_HV_OFF, err);
}

static enum sv_err act_reboot(struct lv_host *h, virConnectPtr conn, virDomainPtr d, enum sv_hv_power now,
                              struct lv_op *op, struct sv_error *err)
{
    if (now != SV_HV_RUNNING)
        return refuse(now, err);
    lv_table_ask_reboot(&h->table, &op->vm);
    if (ask_agent(h, conn, d, op, virDomainReboot, VIR_DOMAIN_REBOOT_GUEST_AGENT))
        return SV_OK;
    int r = virDomainReboot(d, h->is_test ? 0 : VIR_DOMAIN_REBOOT_ACPI_POWER_BTN);
    return r < 0 ? lv_error(h, conn, "reboot", err) : SV_OK;
}

/* --- the rows --- */

#define ON_THREAD(name)                                                                                                \
    static enum sv_err do_##name(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)        \
    {                                                                                                                  \
        return with_domain(h, conn, op, act_##name, err);                                                              \
    }
ON_THREAD(start)
ON_THREAD(destroy)
ON_THREAD(suspend)
ON_THREAD(resume)
ON_THREAD(reset)
ON_THREAD(shutdown)
ON_THREAD(reboot)

static enum sv_err simple(struct sv_hv_host *h, const struct sv_id *vm, lv_fn fn, const struct sv_deadline *d,
                          struct sv_error *err)
{
    LV_OP op = lv_op_new(vm);
    return lv_call(lv_host_of(h), op, fn, LV_CALL_HOST, d, err);
}

enum sv_err lv_start(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d, struct sv_error *err)
{
    LV_OP op = lv_op_new(vm);
    op->makes = true;
    return lv_call(lv_host_of(h), op, do_start, LV_CALL_HOST, d, err);
}

/* At once, for that ends calls which hang; but a start that was given up may come to its end only now. */
enum sv_err lv_destroy(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d, struct sv_error *err)
{
    bool waited = false;
    enum sv_err rc = simple(h, vm, do_destroy, d, err);
    if (!rc)
        rc = lv_settle(lv_host_of(h), vm, &waited, d, err);
    if (!rc && waited)
        rc = simple(h, vm, do_destroy, d, err);
    return rc == SV_E_DOMAIN_MISSING ? SV_OK : rc;
}

enum sv_err lv_suspend(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d, struct sv_error *err)
{
    return simple(h, vm, do_suspend, d, err);
}

enum sv_err lv_resume(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d, struct sv_error *err)
{
    return simple(h, vm, do_resume, d, err);
}

enum sv_err lv_reset(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d, struct sv_error *err)
{
    return simple(h, vm, do_reset, d, err);
}

static enum sv_err asking(struct sv_hv_host *h, const struct sv_id *vm, lv_fn fn, bool *ret_by_agent,
                          const struct sv_deadline *d, struct sv_error *err)
{
    LV_OP op = lv_op_new(vm);
    enum sv_err rc = lv_call(lv_host_of(h), op, fn, LV_CALL_GUEST, d, err);
    if (!rc)
        *ret_by_agent = op->by_agent;
    return rc;
}

enum sv_err lv_shutdown(struct sv_hv_host *h, const struct sv_id *vm, bool *ret_by_agent, const struct sv_deadline *d,
                        struct sv_error *err)
{
    return asking(h, vm, do_shutdown, ret_by_agent, d, err);
}

enum sv_err lv_reboot(struct sv_hv_host *h, const struct sv_id *vm, bool *ret_by_agent, const struct sv_deadline *d,
                      struct sv_error *err)
{
    return asking(h, vm, do_reboot, ret_by_agent, d, err);
}
