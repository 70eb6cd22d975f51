/* Changing a VM's size: steps and ends. More comes live where the guest can take it, less only at the next
 * start. */
#include "core/host/host.h"
#include "core/vm/vm.h"

enum { RESIZE_LIMIT_MS = 5 * 60 * 1000 };
enum { BEFORE = 0, AFTER = 1 }; /* iarg of both resize kinds */

/* --- resize ----------------------------------------------------------------------------------------- */

/* What differs between the two kinds. */
struct size_rule {
    const char *name;
    int64_t (*live)(const struct sv_hv_state *s);
    enum sv_err (*grow)(struct sv_hv_host *h, const struct sv_id *vm, int64_t to, const struct sv_deadline *d,
                        struct sv_error *err);
};

static int64_t live_vcpus(const struct sv_hv_state *s)
{
    return s->vcpus;
}
static int64_t live_memory(const struct sv_hv_state *s)
{
    return s->memory;
}
static enum sv_err grow_vcpus(struct sv_hv_host *h, const struct sv_id *vm, int64_t to, const struct sv_deadline *d,
                              struct sv_error *err)
{
    return SV_HV_CALL(h, set_vcpus, vm, to, d);
}
static enum sv_err grow_memory(struct sv_hv_host *h, const struct sv_id *vm, int64_t to, const struct sv_deadline *d,
                               struct sv_error *err)
{
    return SV_HV_CALL(h, set_memory, vm, to, d);
}

static const struct size_rule vcpu_rule = {"vCPU", live_vcpus, grow_vcpus};
static const struct size_rule memory_rule = {"memory", live_memory, grow_memory};

static const struct size_rule *rule_of(const struct sv_job *job)
{
    return strcmp(job->kind, sv_kind_vm_memory.name) == 0 ? &memory_rule : &vcpu_rule;
}

struct live_args {
    struct sv_id vm;
    struct sv_hv_state state;
};

static enum sv_err write_live(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct live_args *a = arg;

    return sv_vm_set_live(tx, &a->vm, a->state.vcpus, a->state.memory, err);
}

static enum sv_err record_live(struct sv_run *r, struct sv_hv_host *h, struct sv_error *err)
{
    struct live_args a = {.vm = sv_run_job(r)->object};
    enum sv_err rc = SV_HV_CALL(h, state, &a.vm, &a.state, sv_run_deadline(r));

    return rc ? rc : sv_db_write(sv_run_db(r), write_live, &a, err);
}

/* A guest that cannot grow now is no failure: the definition holds the new size for its next start. */
static enum sv_err grow_live(struct sv_run *r, struct sv_error *err)
{
    const struct sv_job *job = sv_run_job(r);
    const struct size_rule *rule = rule_of(job);
    const int64_t to = job->iarg[AFTER];
    struct sv_hv_host *h;
    struct sv_hv_state s = {0};
    enum sv_err rc = sv_run_host(r, &h, err);

    if (!rc)
        rc = SV_HV_CALL(h, state, &job->object, &s, sv_run_deadline(r));
    if (rc || s.power != SV_HV_RUNNING || rule->live(&s) == to)
        return rc;
    if (to < rule->live(&s)) {
        sv_run_note(r, SV_LOG_INFO, SV_N_NEXT_START, rule->name, NULL);
        return SV_OK;
    }
    rc = rule->grow(h, &job->object, to, sv_run_deadline(r), err);
    if (!rc) {
        sv_run_note(r, SV_LOG_INFO, SV_N_LIVE_DONE, rule->name, NULL);
        return record_live(r, h, err);
    }
    if (rc != SV_E_UNSUPPORTED && rc != SV_E_HYPERVISOR)
        return rc;
    sv_run_note(r, SV_LOG_WARN, SV_N_LIVE_FAILED, rule->name, err->arg[0], NULL);
    sv_run_note(r, SV_LOG_INFO, SV_N_NEXT_START, rule->name, NULL);
    return SV_OK;
}

/* The definition with the size the job is about, whatever the row says now: on the way down the row keeps
 * the old size, and with it the reservation, until the job is done. */
static enum sv_err define_with(struct sv_run *r, int64_t size, struct sv_error *err)
{
    struct sv_vm_rows rows;
    struct sv_hv_host *h;
    enum sv_err rc = sv_step_begin(r, &rows, &h, err);

    if (rc)
        return rc;
    if (rule_of(sv_run_job(r)) == &memory_rule)
        rows.vm.memory = size;
    else
        rows.vm.vcpus = size;
    return sv_step_define_as(r, &rows, h, err);
}

static enum sv_err define_new(struct sv_run *r, struct sv_error *err)
{
    return define_with(r, sv_run_job(r)->iarg[AFTER], err);
}

static enum sv_err define_old(struct sv_run *r, struct sv_error *err)
{
    return define_with(r, sv_run_job(r)->iarg[BEFORE], err);
}

/* Settles on the smaller of the two where that is what came out: growth that failed, or a shrink that
 * went through. Both only give back, so neither can be refused. */
static enum sv_err end_resize(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    const bool memory = rule_of(job) == &memory_rule, done = result == SV_JOB_DONE;
    const int64_t from = job->iarg[done ? BEFORE : AFTER], to = job->iarg[done ? AFTER : BEFORE];
    const struct sv_amounts back = {.vcpus = memory ? 0 : to - from, .memory = memory ? to - from : 0};
    struct sv_vm vm;
    enum sv_err rc;

    (void)app;
    if (to >= from)
        return SV_OK;
    rc = sv_vm_get(tx, sv_scope_system(), &job->object, sv_tx_arena(tx), &vm, err);
    if (!rc)
        rc = sv_vm_set_size(tx, &vm.id, memory ? vm.vcpus : to, memory ? to : vm.memory, err);
    if (!rc)
        rc = sv_tenant_reserve(tx, &vm.tenant, &back, err);
    return rc ? rc : sv_host_reserve(tx, &vm.host, back.vcpus, back.memory, err);
}

/* --- rows ------------------------------------------------------------------------------------------- */

static const struct sv_step resize_steps[] = {
    {.name = "define",
     .title_zh = "更新定义",
     .title_en = "update the definition",
     .weight = 1,
     .run = define_new,
     .undo = define_old},
    {.name = "live", .title_zh = "在线调整", .title_en = "change the running guest", .weight = 2, .run = grow_live},
};
const struct sv_job_kind sv_kind_vm_vcpus = {.name = "vm.vcpus",
                                             .title_zh = "修改 CPU",
                                             .title_en = "change vCPUs",
                                             .lock_code = SV_LOCK_STARTING,
                                             .deadline_ms = RESIZE_LIMIT_MS,
                                             .resumable = true,
                                             SV_STEPS(resize_steps),
                                             .end = end_resize};
const struct sv_job_kind sv_kind_vm_memory = {.name = "vm.memory",
                                              .title_zh = "修改内存",
                                              .title_en = "change memory",
                                              .lock_code = SV_LOCK_STARTING,
                                              .deadline_ms = RESIZE_LIMIT_MS,
                                              .resumable = true,
                                              SV_STEPS(resize_steps),
                                              .end = end_resize};
