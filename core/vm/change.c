/* Changes of a VM: what is accepted, and what is a row alone. The steps are in core/vm/change_steps.c. */
#include "core/network/network.h"
#include "core/vm/internal.h"

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
    enum sv_err rc = SV_OK;

    if (!vcpus == !memory)
        rc = sv_fail(err, vcpus ? SV_E_PARAM_CONFLICT : SV_E_PARAM_MISSING, SV_F_VCPUS, sv_arg_field(SV_F_MEMORY).s);
    if (!rc && vcpus)
        rc = sv_check_count(vcpus, 1, SV_MAX_VCPUS, SV_F_VCPUS, err);
    if (!rc && memory)
        rc = sv_check_memory(c, memory, err);
    if (!rc)
        rc = sv_vm_claim(tx, who, id, &vm, err);
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

struct filters {
    struct sv_cloud *cloud;
    struct sv_tx *tx;
    struct sv_error *err;
    enum sv_err rc;
};

static void touch_filter(void *arg, const struct sv_nic *n)
{
    struct filters *f = arg;

    if (!f->rc)
        f->rc = sv_unit_touch(f->cloud, f->tx, SV_UNIT_NIC, &n->id, f->err);
}

/* Not while a job holds the VM: what it applies of the network reads the switch. */
enum sv_err sv_vm_switch_firewall(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                                  bool on, struct sv_error *err)
{
    struct filters filters = {c, tx, err, SV_OK};
    struct sv_vm vm;
    enum sv_err rc = sv_vm_claim_in(tx, who, id, SV_VM_SETTLED, &vm, err);

    if (rc || vm.firewalled == on)
        return rc;
    rc = sv_vm_set_firewalled(tx, &vm.id, on, err);
    if (!rc)
        rc = sv_nic_list_vm(tx, sv_scope_system(), &vm.id, touch_filter, &filters, err);
    if (!rc)
        rc = filters.rc;
    return rc ? rc : sv_cloud_event(tx, "vm.firewall", "vm", &vm.id, &vm.tenant, on ? "on" : "off", err);
}
