/* Finding a VM, and claiming it for a job: what a change needs before it is accepted. */
#include "core/vm/internal.h"

/* A VM whose host does not answer is refused with the reason, not with a state. */
static enum sv_err check_state(struct sv_tx *tx, const struct sv_vm *vm, unsigned from, struct sv_error *err)
{
    struct sv_host h;
    enum sv_err rc;

    if (from & SV_VM_BIT(vm->state))
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

enum sv_err sv_vm_claim_in(struct sv_tx *tx, const struct sv_actor *who, const char *id, unsigned from,
                           struct sv_vm *ret, struct sv_error *err)
{
    enum sv_err rc = sv_vm_find(tx, who, id, sv_tx_arena(tx), ret, err);

    if (!rc)
        rc = check_free(tx, ret, err);
    return rc ? rc : check_state(tx, ret, from, err);
}

enum sv_err sv_vm_claim(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_vm *ret,
                        struct sv_error *err)
{
    const enum sv_err rc = sv_vm_claim_in(tx, who, id, SV_VM_SETTLED, ret, err);

    return rc || sv_id_empty(&ret->undo) ? rc : sv_fail(err, SV_E_UNDO_PENDING, SV_F_VM, ret->undo.s);
}

enum sv_err sv_vm_claim_devices(struct sv_tx *tx, const struct sv_actor *who, const char *id, bool takes_away,
                                struct sv_vm *ret, struct sv_error *err)
{
    const unsigned from =
        SV_VM_BIT(SV_VM_STOPPED) | SV_VM_BIT(SV_VM_RUNNING) | (takes_away ? 0 : SV_VM_BIT(SV_VM_PAUSED));
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

bool sv_vm_can_ask(const struct sv_vm *vm)
{
    return vm->state == SV_VM_RUNNING && !vm->locked;
}
