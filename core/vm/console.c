/* The screen of a VM (StarVCenter 2.2.9): where it is, and a stream to it. */
#include "core/run/run.h"

static enum sv_err hold_host(struct sv_cloud *c, const struct sv_vm *vm, struct sv_cloud_host **ret,
                             struct sv_error *err)
{
    *ret = sv_host_hold(c, &vm->host);
    return *ret ? SV_OK : sv_fail(err, SV_E_HOST_DOWN, SV_F_VM, vm->host.s);
}

/* A paused guest shows what it showed last. While its host is away nobody knows; the driver says so. */
static enum sv_err check_on(const struct sv_vm *vm, struct sv_error *err)
{
    if (vm->state == SV_VM_RUNNING || vm->state == SV_VM_PAUSED || vm->state == SV_VM_UNKNOWN)
        return SV_OK;
    return sv_fail(err, SV_E_VM_STATE, SV_F_VM, sv_vm_state_name(vm->state));
}

enum sv_err sv_vm_console_address(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                                  struct sv_arena *a, struct sv_vm *ret, char host[64], unsigned *ret_port,
                                  struct sv_error *err)
{
    SV_HOST h = NULL;
    struct sv_vm vm;
    enum sv_err rc = sv_vm_find(tx, who, id, a, &vm, err);

    if (!rc)
        rc = check_on(&vm, err);
    if (!rc)
        rc = hold_host(c, &vm, &h, err);
    if (!rc)
        rc = SV_HV_CALL(h->hv, console_address, &vm.id, host, ret_port);
    if (!rc)
        *ret = vm;
    return rc;
}

struct found {
    const struct sv_id *tenant, *id;
    struct sv_arena *a;
    struct sv_vm vm;
};

/* The token was given a moment ago: the VM may be gone, or off, since. */
static enum sv_err find(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct found *f = arg;
    enum sv_err rc = sv_vm_get(tx, sv_scope_tenant(f->tenant), f->id, f->a, &f->vm, err);

    return rc ? rc : check_on(&f->vm, err);
}

enum sv_err sv_vm_console_open(struct sv_cloud *c, const struct sv_id *tenant, const struct sv_id *vm, int *ret_fd,
                               const struct sv_deadline *d, struct sv_error *err)
{
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    struct found f = {.tenant = tenant, .id = vm, .a = a};
    SV_HOST h = NULL;
    enum sv_err rc = sv_db_read(c->db, find, &f, err);

    if (!rc)
        rc = hold_host(c, &f.vm, &h, err);
    return rc ? rc : SV_HV_CALL(h->hv, console_open, &f.vm.id, ret_fd, d);
}
