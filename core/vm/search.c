/* What an actor sees of VMs. */
#include "core/vm/vm.h"

enum sv_err sv_vm_search(struct sv_tx *tx, const struct sv_actor *who, const char *tenant, const struct sv_vm_filter *f,
                         const struct sv_page *p, void (*row)(void *arg, const struct sv_vm *vm), void *arg,
                         uint64_t *ret_total, struct sv_error *err)
{
    struct sv_vm_filter mine = *f;
    enum sv_err rc = SV_OK;

    mine.tenant = (struct sv_id){.s = ""};
    if (tenant)
        rc = sv_owner(tx, who, tenant, &mine.tenant, err);
    return rc ? rc : sv_vm_list(tx, sv_scope_of(who), &mine, p, row, arg, ret_total, err);
}

enum sv_err sv_vm_disk_search(struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                              void (*row)(void *arg, const struct sv_disk *d), void *arg, struct sv_error *err)
{
    struct sv_vm seen;
    enum sv_err rc = sv_vm_find(tx, who, vm, sv_tx_arena(tx), &seen, err);

    return rc ? rc : sv_disk_list_vm(tx, sv_scope_of(who), &seen.id, row, arg, err);
}

enum sv_err sv_vm_nic_search(struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                             void (*row)(void *arg, const struct sv_nic *n), void *arg, struct sv_error *err)
{
    struct sv_vm seen;
    enum sv_err rc = sv_vm_find(tx, who, vm, sv_tx_arena(tx), &seen, err);

    return rc ? rc : sv_nic_list_vm(tx, sv_scope_of(who), &seen.id, row, arg, err);
}
