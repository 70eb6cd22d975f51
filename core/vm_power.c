/* Power of a VM: which action is a job of which kind, and the steps of those kinds (StarVCenter 2.2.4 -
 * 2.2.7, 2.2.14; design section 8). */
#include "core/internal.h"
#include "core/vm_steps.h"

/* [ms] how long a guest gets to do what it was asked */
enum { ASK_LIMIT_MS = 90 * 1000, REBOOT_LIMIT_MS = 60 * 1000, POWER_LIMIT_MS = 5 * 60 * 1000 };

#define BIT(s) (1U << (s))
enum { SETTLED = BIT(SV_VM_STOPPED) | BIT(SV_VM_RUNNING) | BIT(SV_VM_PAUSED) | BIT(SV_VM_SAVED) };

struct action_rule {
    const struct sv_job_kind *kind;
    unsigned from; /* states it may begin in */
};
static const struct action_rule rules[] = {
    [SV_VM_START] = {&sv_kind_vm_start, SETTLED},
    [SV_VM_DESTROY] = {&sv_kind_vm_destroy, SETTLED},
    [SV_VM_SHUTDOWN] = {&sv_kind_vm_shutdown, BIT(SV_VM_STOPPED) | BIT(SV_VM_RUNNING)},
    [SV_VM_RESTART] = {&sv_kind_vm_restart, BIT(SV_VM_RUNNING)},
    [SV_VM_SUSPEND] = {&sv_kind_vm_suspend, BIT(SV_VM_RUNNING) | BIT(SV_VM_PAUSED)},
    [SV_VM_RESUME] = {&sv_kind_vm_resume, BIT(SV_VM_RUNNING) | BIT(SV_VM_PAUSED)},
    [SV_VM_DELETE] = {&sv_kind_vm_delete, SETTLED | BIT(SV_VM_FAILED)},
};

/* A VM whose host does not answer is refused with the reason, not with a state. */
static enum sv_err check_state(struct sv_tx *tx, const struct sv_vm *vm, unsigned from, struct sv_error *err)
{
    struct sv_host h;
    enum sv_err rc;

    if (from & BIT(vm->state))
        return SV_OK;
    if (vm->state != SV_VM_UNKNOWN)
        return sv_fail(err, SV_E_VM_STATE, SV_F_VM, sv_vm_state_name(vm->state));
    rc = sv_host_get(tx, &vm->host, sv_tx_arena(tx), &h, err);
    return rc ? rc : sv_fail(err, SV_E_HOST_DOWN, SV_F_VM, h.name);
}

enum sv_err sv_vm_find(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_arena *a,
                       struct sv_vm *ret, struct sv_error *err)
{
    struct sv_id vid;
    enum sv_err rc = sv_check_id(id, SV_E_VM_NOT_FOUND, SV_F_VM, &vid, err);

    return rc ? rc : sv_vm_get(tx, sv_scope_of(who), &vid, a, ret, err);
}

/* The lock is asked before the state: while a job runs, the state is that job's to tell. */
static enum sv_err check_free(struct sv_tx *tx, const struct sv_vm *vm, struct sv_error *err)
{
    struct sv_lock lock;
    bool held;
    enum sv_err rc = sv_lock_get(tx, &vm->id, &lock, &held, err);

    return rc ? rc : held ? sv_fail(err, SV_E_VM_LOCKED, SV_F_VM, lock.job.s) : SV_OK;
}

enum sv_err sv_vm_claim(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_vm *ret,
                        struct sv_error *err)
{
    enum sv_err rc = sv_vm_find(tx, who, id, sv_tx_arena(tx), ret, err);

    if (!rc)
        rc = check_free(tx, ret, err);
    return rc ? rc : check_state(tx, ret, SETTLED, err);
}

enum sv_err sv_vm_claim_devices(struct sv_tx *tx, const struct sv_actor *who, const char *id, bool takes_away,
                                struct sv_vm *ret, struct sv_error *err)
{
    const unsigned from = BIT(SV_VM_STOPPED) | BIT(SV_VM_RUNNING) | (takes_away ? 0 : BIT(SV_VM_PAUSED));
    const enum sv_err rc = sv_vm_claim(tx, who, id, ret, err);

    return rc ? rc : check_state(tx, ret, from, err);
}

enum sv_err sv_vm_accept(struct sv_cloud *c, struct sv_tx *tx, const struct sv_vm *vm, const struct sv_job_kind *kind,
                         const char *sarg, int64_t iarg0, int64_t iarg1, struct sv_id *ret_startid,
                         struct sv_error *err)
{
    const struct sv_job_spec spec = {.kind = kind,
                                     .tenant = vm->tenant,
                                     .object = vm->id,
                                     .host = vm->host,
                                     .object_type = "vm",
                                     .object_name = vm->name,
                                     .iarg = {iarg0, iarg1},
                                     .sarg = sarg};

    return sv_locked_as(sv_jobs_accept(c->jobs, tx, &spec, ret_startid, err), SV_E_VM_LOCKED, SV_F_VM, err);
}

enum sv_err sv_vm_act(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                      enum sv_vm_action what, struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_vm vm;
    enum sv_err rc = sv_vm_find(tx, who, id, sv_tx_arena(tx), &vm, err);

    if (!rc)
        rc = check_free(tx, &vm, err);
    if (!rc)
        rc = check_state(tx, &vm, rules[what].from, err);
    return rc ? rc : sv_vm_accept(c, tx, &vm, rules[what].kind, NULL, 0, 0, ret_startid, err);
}

bool sv_vm_can_ask(const struct sv_vm *vm)
{
    return vm->state == SV_VM_RUNNING && !vm->locked;
}

/* --- resize: acceptance ----------------------------------------------------------------------------- */

/* Growth is reserved here, and the row shows it; what a shrink frees is given back when it is done. */
static enum sv_err grow_row(struct sv_tx *tx, const struct sv_vm *vm, int64_t vcpus, int64_t memory,
                            struct sv_error *err)
{
    const struct sv_amounts delta = {.vcpus = vcpus - vm->vcpus, .memory = memory - vm->memory};
    enum sv_err rc;

    if (delta.vcpus <= 0 && delta.memory <= 0)
        return SV_OK;
    rc = sv_tenant_reserve(tx, &vm->tenant, &delta, err);
    if (!rc)
        rc = sv_host_reserve(tx, &vm->host, delta.vcpus, delta.memory, err);
    return rc ? rc : sv_vm_set_size(tx, &vm->id, vcpus, memory, err);
}

/* One of the two at a time, as the document's operations are. */
enum sv_err sv_vm_resize(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                         int64_t vcpus, int64_t memory, struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_vm vm;
    enum sv_err rc = sv_vm_claim(tx, who, id, &vm, err);

    if (!rc && vcpus > SV_MAX_VCPUS)
        rc = sv_fail(err, SV_E_PARAM_RANGE, SV_F_VCPUS, "1-255");
    if (!rc)
        rc = grow_row(tx, &vm, vcpus ? vcpus : vm.vcpus, memory ? memory : vm.memory, err);
    if (rc)
        return rc;
    if (memory)
        return sv_vm_accept(c, tx, &vm, &sv_kind_vm_memory, NULL, vm.memory, memory, ret_startid, err);
    return sv_vm_accept(c, tx, &vm, &sv_kind_vm_vcpus, NULL, vm.vcpus, vcpus, ret_startid, err);
}

enum sv_err sv_vm_modify(struct sv_tx *tx, const struct sv_actor *who, const char *id, const char *name,
                         const char *descr, struct sv_error *err)
{
    struct sv_id vid;
    enum sv_err rc = sv_check_id(id, SV_E_VM_NOT_FOUND, SV_F_VM, &vid, err);

    if (!rc)
        rc = sv_check_name(name, SV_F_VM_NAME, err);
    if (!rc)
        rc = sv_check_descr(descr, SV_F_VM_DESC, err);
    return rc ? rc : sv_vm_rename(tx, sv_scope_of(who), &vid, name, descr, err);
}

/* Not while a job holds the VM: what it applies of the network reads the switch. */
enum sv_err sv_vm_switch_firewall(struct sv_tx *tx, const struct sv_actor *who, const char *id, bool on,
                                  struct sv_error *err)
{
    struct sv_vm vm;
    enum sv_err rc = sv_vm_claim(tx, who, id, &vm, err);

    if (rc || vm.firewalled == on)
        return rc;
    rc = sv_vm_set_firewalled(tx, &vm.id, on, err);
    return rc ? rc : sv_cloud_event(tx, "vm.firewall", "vm", &vm.id, &vm.tenant, on ? "on" : "off", err);
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
        return SV_HV_CALL(h, resume, vm, sv_run_deadline(r));
    if (s.power != SV_HV_SAVED)
        rc = sv_step_define(r, err);
    return rc ? rc : SV_HV_CALL(h, start, vm, sv_run_deadline(r));
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

/* --- ends ------------------------------------------------------------------------------------------- */

/* After a failure nobody knows what the guest does now: the sync thread asks the host. */
static enum sv_err ask_again(struct sv_cloud *c, struct sv_tx *tx, const struct sv_job *job)
{
    sv_sync_vm_released(c, tx, &job->object, true);
    return SV_OK;
}

static enum sv_err end_running(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                               struct sv_error *err)
{
    return result == SV_JOB_DONE ? sv_step_running(app, tx, job, err) : ask_again(app, tx, job);
}

static enum sv_err end_stopped(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                               struct sv_error *err)
{
    return result == SV_JOB_DONE ? sv_step_stopped(app, tx, job, err) : ask_again(app, tx, job);
}

static enum sv_err end_paused(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    enum sv_err rc;

    if (result != SV_JOB_DONE)
        return ask_again(app, tx, job);
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
    {.name = "resume", .title_zh = "唤醒云主机", .title_en = "resume the VM", .weight = 1, .run = resume},
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
