/* Power of a VM: which action is a job of which kind, and the steps of those kinds (StarVCenter 2.2.4 -
 * 2.2.7, 2.2.14). */
#include "core/host/host.h"
#include "core/network/network.h"
#include "core/vm/internal.h"

/* [ms] how long a guest gets to do what it was asked */
enum { ASK_LIMIT_MS = 90 * 1000, REBOOT_LIMIT_MS = 60 * 1000, POWER_LIMIT_MS = 5 * 60 * 1000 };

struct action_rule {
    const struct sv_job_kind *kind;
    unsigned from; /* states it may begin in */
};
static const struct action_rule rules[] = {
    [SV_VM_START] = {&sv_kind_vm_start, SV_VM_SETTLED},
    [SV_VM_DESTROY] = {&sv_kind_vm_destroy, SV_VM_SETTLED},
    [SV_VM_SHUTDOWN] = {&sv_kind_vm_shutdown, SV_VM_BIT(SV_VM_STOPPED) | SV_VM_BIT(SV_VM_RUNNING)},
    [SV_VM_RESTART] = {&sv_kind_vm_restart, SV_VM_BIT(SV_VM_RUNNING)},
    [SV_VM_SUSPEND] = {&sv_kind_vm_suspend, SV_VM_BIT(SV_VM_RUNNING) | SV_VM_BIT(SV_VM_PAUSED)},
    [SV_VM_RESUME] = {&sv_kind_vm_resume, SV_VM_BIT(SV_VM_RUNNING) | SV_VM_BIT(SV_VM_PAUSED)},
    [SV_VM_DELETE] = {&sv_kind_vm_delete, SV_VM_SETTLED | SV_VM_BIT(SV_VM_FAILED)},
};

enum sv_err sv_vm_act(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                      enum sv_vm_action what, struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_vm vm;
    enum sv_err rc;

    if ((unsigned)what >= sizeof(rules) / sizeof(rules[0]))
        return sv_fail(err, SV_E_PARAM_ENUM, SV_F_VM);
    rc = sv_vm_claim_in(tx, who, id, rules[what].from, &vm, err);

    return rc ? rc : sv_vm_accept(c, tx, &vm, rules[what].kind, NULL, 0, 0, ret_startid, err);
}

/* --- steps ------------------------------------------------------------------------------------------ */

static enum sv_err power_of(struct sv_run *r, struct sv_hv_host **ret_host, struct sv_hv_state *ret,
                            struct sv_error *err)
{
    struct sv_hv_host *h;
    enum sv_err rc = sv_run_host(r, &h, err);

    if (!rc)
        rc = SV_HV_CALL(h, state, &sv_run_job(r)->object, ret, sv_run_deadline(r));
    if (!rc)
        *ret_host = h;
    return rc;
}

static enum sv_err mend_network(struct sv_run *r, struct sv_error *err)
{
    return sv_network_apply_vm(sv_run_app(r), &sv_run_job(r)->object, sv_run_deadline(r), err);
}

/* A guest that boots anew boots what the rows say, also where the definition was lost or a change of it
 * broke off half-way. */
static enum sv_err start(struct sv_run *r, struct sv_error *err)
{
    const struct sv_id *vm = &sv_run_job(r)->object;
    struct sv_hv_host *h;
    struct sv_hv_state s = {0};
    enum sv_err rc = power_of(r, &h, &s, err);

    if (rc)
        return rc;
    if (s.power == SV_HV_RUNNING) {
        sv_run_note(r, SV_LOG_INFO, SV_N_ALREADY_RUNNING, NULL);
        return SV_OK;
    }
    if (s.power == SV_HV_PAUSED)
        rc = SV_HV_CALL(h, resume, vm, sv_run_deadline(r));
    else if (s.power != SV_HV_SAVED)
        rc = sv_step_define(r, err);
    if (!rc && s.power != SV_HV_PAUSED)
        rc = SV_HV_CALL(h, start, vm, sv_run_deadline(r));
    if (!rc && (s.power == SV_HV_PAUSED || s.power == SV_HV_SAVED)) /* it goes on where it was */
        sv_clock_set(r, h, s.power == SV_HV_SAVED ? SV_AGENT_BACK_MS : 0, true);
    return rc;
}

static enum sv_err destroy(struct sv_run *r, struct sv_error *err)
{
    struct sv_hv_host *h;
    struct sv_hv_state s = {0};
    enum sv_err rc = power_of(r, &h, &s, err);

    if (rc)
        return rc;
    if (s.power == SV_HV_OFF || s.power == SV_HV_ABSENT) {
        sv_run_note(r, SV_LOG_INFO, SV_N_ALREADY_STOPPED, NULL);
        return SV_OK;
    }
    return SV_HV_CALL(h, destroy, &sv_run_job(r)->object, sv_run_deadline(r));
}

static void note_asked(struct sv_run *r, bool by_agent, const char *what)
{
    sv_run_note(r, SV_LOG_INFO, by_agent ? SV_N_ASKED_AGENT : SV_N_ASKED_ACPI, what, NULL);
}

static enum sv_err ask_shutdown(struct sv_run *r, struct sv_error *err)
{
    struct sv_hv_host *h;
    struct sv_hv_state s = {0};
    bool by_agent = false;
    enum sv_err rc = power_of(r, &h, &s, err);

    if (rc)
        return rc;
    if (s.power == SV_HV_OFF || s.power == SV_HV_ABSENT) {
        sv_run_note(r, SV_LOG_INFO, SV_N_ALREADY_STOPPED, NULL);
        return SV_OK;
    }
    rc = SV_HV_CALL(h, shutdown, &sv_run_job(r)->object, &by_agent, sv_run_deadline(r));
    if (!rc)
        note_asked(r, by_agent, "shutdown");
    return rc;
}

/* The guest is left running when it does not obey: pulling the plug is another operation. */
static enum sv_err wait_off(struct sv_run *r, struct sv_error *err)
{
    struct sv_hv_host *h;
    struct sv_hv_state s = {0};
    enum sv_err rc = power_of(r, &h, &s, err);

    if (rc || s.power == SV_HV_OFF || s.power == SV_HV_ABSENT)
        return rc;
    rc = SV_HV_CALL(h, wait_power, &sv_run_job(r)->object, SV_HV_OFF, sv_run_deadline(r));
    return rc == SV_E_JOB_DEADLINE ? sv_fail(err, SV_E_SHUTDOWN_TIMEOUT, SV_F_VM) : rc;
}

static enum sv_err reboot(struct sv_run *r, struct sv_error *err)
{
    const struct sv_id *vm = &sv_run_job(r)->object;
    const struct sv_deadline polite = sv_deadline_within(sv_run_deadline(r), REBOOT_LIMIT_MS);
    struct sv_hv_host *h;
    bool by_agent = false;
    enum sv_err rc = sv_run_host(r, &h, err);

    if (!rc)
        rc = SV_HV_CALL(h, reboot, vm, &by_agent, &polite);
    if (!rc) {
        note_asked(r, by_agent, "reboot");
        rc = SV_HV_CALL(h, wait_reboot, vm, &polite);
    }
    if (rc != SV_E_JOB_DEADLINE || sv_deadline_over(sv_run_deadline(r)))
        return rc;
    sv_run_note(r, SV_LOG_WARN, SV_N_RESET_FORCED, NULL);
    return SV_HV_CALL(h, reset, vm, sv_run_deadline(r));
}

static enum sv_err suspend(struct sv_run *r, struct sv_error *err)
{
    struct sv_hv_host *h;
    enum sv_err rc = sv_run_host(r, &h, err);

    return rc ? rc : SV_HV_CALL(h, suspend, &sv_run_job(r)->object, sv_run_deadline(r));
}

static enum sv_err resume(struct sv_run *r, struct sv_error *err)
{
    struct sv_hv_host *h;
    enum sv_err rc = sv_run_host(r, &h, err);

    return rc ? rc : SV_HV_CALL(h, resume, &sv_run_job(r)->object, sv_run_deadline(r));
}

static enum sv_err set_clock(struct sv_run *r, struct sv_error *err)
{
    struct sv_hv_host *h;
    const enum sv_err rc = sv_run_host(r, &h, err);

    if (!rc)
        sv_clock_set(r, h, 0, true);
    return rc;
}

/* --- ends ------------------------------------------------------------------------------------------- */

static enum sv_err end_running(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                               struct sv_error *err)
{
    (void)app;
    return result == SV_JOB_DONE ? sv_step_running(tx, job, err) : SV_OK;
}

static enum sv_err end_stopped(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                               struct sv_error *err)
{
    (void)app;
    return result == SV_JOB_DONE ? sv_step_stopped(tx, job, err) : SV_OK;
}

static enum sv_err end_paused(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    enum sv_err rc;

    (void)app;
    if (result != SV_JOB_DONE)
        return SV_OK;
    rc = sv_vm_set_state(tx, &job->object, SV_VM_ANY, SV_VM_PAUSED, err);
    return rc ? rc
              : sv_cloud_event(tx, "vm.state", "vm", &job->object, &job->tenant, sv_vm_state_name(SV_VM_PAUSED), err);
}

/* --- rows ------------------------------------------------------------------------------------------- */

static const struct sv_step start_steps[] = {
    {.name = "network", .title_zh = "检查网络", .title_en = "check network", .weight = 20, .run = mend_network},
    {.name = "start", .title_zh = "启动云主机", .title_en = "start the VM", .weight = 80, .run = start},
};
static const struct sv_step destroy_steps[] = {
    {.name = "destroy", .title_zh = "关闭电源", .title_en = "power off", .weight = 1, .run = destroy},
};
static const struct sv_step shutdown_steps[] = {
    {.name = "ask", .title_zh = "请求关机", .title_en = "ask the guest to shut down", .weight = 1, .run = ask_shutdown},
    {.name = "wait", .title_zh = "等待关机", .title_en = "wait for the guest", .weight = 9, .run = wait_off},
};
static const struct sv_step restart_steps[] = {
    {.name = "reboot", .title_zh = "重启系统", .title_en = "reboot the guest", .weight = 1, .run = reboot},
};
static const struct sv_step suspend_steps[] = {
    {.name = "suspend", .title_zh = "休眠云主机", .title_en = "suspend the VM", .weight = 1, .run = suspend},
};
static const struct sv_step resume_steps[] = {
    {.name = "resume", .title_zh = "唤醒云主机", .title_en = "resume the VM", .weight = 3, .run = resume},
    {.name = "clock", .title_zh = "校准时钟", .title_en = "set the guest's clock", .weight = 1, .run = set_clock},
};

#define POWER_KIND(id, zh, en, lock, limit, how)                                                                       \
    const struct sv_job_kind sv_kind_vm_##id = {.name = "vm." #id,                                                     \
                                                .title_zh = zh,                                                        \
                                                .title_en = en,                                                        \
                                                .lock_code = SV_LOCK_##lock,                                           \
                                                .deadline_ms = limit,                                                  \
                                                .resumable = true,                                                     \
                                                SV_STEPS(id##_steps),                                                  \
                                                .end = end_##how}
POWER_KIND(start, "启动云主机", "start VM", STARTING, POWER_LIMIT_MS, running);
POWER_KIND(destroy, "云主机关闭电源", "power off VM", STOPPING, POWER_LIMIT_MS, stopped);
POWER_KIND(shutdown, "云主机关闭系统", "shut down VM", STOPPING, ASK_LIMIT_MS, stopped);
POWER_KIND(restart, "重启云主机", "restart VM", STARTING, POWER_LIMIT_MS, running);
POWER_KIND(suspend, "休眠云主机", "suspend VM", STOPPING, POWER_LIMIT_MS, paused);
POWER_KIND(resume, "唤醒云主机", "resume VM", STARTING, POWER_LIMIT_MS, running);
