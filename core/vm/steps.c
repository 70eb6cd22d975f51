/* Pieces that several VM jobs are made of. */
#include "core/alarm/alarm.h"
#include "core/host/host.h"
#include "core/network/network.h"
#include "core/storage/storage.h"
#include "core/vm/vm.h"
#include "starvirt/store_copy.h"
#include "starvirt/store_secret.h"

enum sv_err sv_step_begin(struct sv_run *r, struct sv_vm_rows *ret_rows, struct sv_hv_host **ret_host,
                          struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    enum sv_err rc = sv_vm_rows_read(c->db, &sv_run_job(r)->object, sv_run_arena(r), ret_rows, err);

    if (!rc)
        rc = sv_run_host(r, ret_host, err);
    if (rc)
        return rc;
    return sv_disks_open(c, *ret_host, ret_rows->disks, ret_rows->disk_count, sv_run_arena(r), sv_run_deadline(r), err);
}

enum sv_err sv_step_define_as(struct sv_run *r, const struct sv_vm_rows *rows, struct sv_hv_host *h,
                              struct sv_error *err)
{
    struct sv_hv_domain dom;
    enum sv_err rc = sv_vm_rows_domain(sv_run_app(r), rows, &dom, err);

    return rc ? rc : SV_HV_CALL(h, define, &dom, sv_run_deadline(r));
}

enum sv_err sv_step_define(struct sv_run *r, struct sv_error *err)
{
    struct sv_vm_rows rows;
    struct sv_hv_host *h;
    enum sv_err rc = sv_step_begin(r, &rows, &h, err);

    return rc ? rc : sv_step_define_as(r, &rows, h, err);
}

static void drop_at(void *all, size_t size, unsigned *count, unsigned at)
{
    char *one = (char *)all + at * size;

    (*count)--;
    memmove(one, one + size, (*count - at) * size);
}

enum sv_err sv_step_define_without(struct sv_run *r, struct sv_error *err)
{
    const struct sv_id device = sv_id_from(sv_run_job(r)->sarg);
    struct sv_vm_rows rows;
    struct sv_hv_host *h;
    enum sv_err rc = sv_step_begin(r, &rows, &h, err);

    if (rc)
        return rc;
    for (unsigned i = 0; i < rows.disk_count; i++)
        if (sv_id_eq(&rows.disks[i].id, &device))
            drop_at(rows.disks, sizeof(rows.disks[0]), &rows.disk_count, i);
    for (unsigned i = 0; i < rows.nic_count; i++)
        if (sv_id_eq(&rows.nics[i].id, &device))
            drop_at(rows.nics, sizeof(rows.nics[0]), &rows.nic_count, i);
    return sv_step_define_as(r, &rows, h, err);
}

enum sv_err sv_step_undefine(struct sv_run *r, struct sv_error *err)
{
    const struct sv_id *vm = &sv_run_job(r)->object;
    struct sv_hv_host *h;
    enum sv_err rc = sv_run_host(r, &h, err);

    if (!rc)
        rc = SV_HV_CALL(h, destroy, vm, sv_run_deadline(r));
    return rc ? rc : SV_HV_CALL(h, undefine, vm, sv_run_deadline(r));
}

enum sv_err sv_step_drop_disks(struct sv_run *r, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    struct sv_vm_rows rows;
    struct sv_hv_host *h;
    enum sv_err rc = sv_step_begin(r, &rows, &h, err);

    for (unsigned i = 0; !rc && i < rows.disk_count; i++) {
        rc = sv_step_disk_ready(c, &rows.disks[i].id, false, err);
        if (!rc)
            rc = SV_HV_CALL(h, volume_delete, &rows.disks[i].id, sv_run_deadline(r));
    }
    return rc;
}

struct going {
    struct sv_cloud *cloud;
    struct sv_id vm;
};

static enum sv_err delete_nics(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct going *g = arg;

    return sv_network_nic_delete_vm(g->cloud, tx, &g->vm, err);
}

/* The rows go first: the next apply, ours or a neighbour's, then leaves the leases out. An address is
 * given anew only after the domain that had it is gone, because this runs after its undefine. After a
 * crash between the two the rows no longer name the VPCs, so start-up applies every VPC the machine holds. */
enum sv_err sv_step_drop_network(struct sv_run *r, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    struct going g = {c, sv_run_job(r)->object};
    struct sv_vm_rows rows;
    enum sv_err rc = sv_vm_rows_read(c->db, &g.vm, sv_run_arena(r), &rows, err);

    if (!rc)
        rc = sv_db_write(c->db, delete_nics, &g, err);
    for (unsigned i = 0; !rc && i < rows.nic_count; i++)
        rc = sv_network_apply(c, &rows.nics[i].vpc, sv_run_deadline(r), err);
    return rc;
}

enum sv_err sv_step_release(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err)
{
    struct sv_vm_rows rows;
    struct sv_amounts held, back;
    const struct sv_id none = {.s = ""};
    enum sv_err rc = sv_vm_rows_in(tx, vm, sv_tx_arena(tx), &rows, err);

    if (!rc)
        rc = sv_affinity_leave(tx, vm, err);
    if (rc || sv_id_empty(&rows.vm.host)) /* a failed VM holds nothing any more, once it is undone */
        return rc;
    held = sv_vm_rows_amounts(&rows);
    back = (struct sv_amounts){.vcpus = -held.vcpus, .memory = -held.memory, .storage = -held.storage};
    rc = sv_tenant_reserve(tx, &rows.vm.tenant, &back, err);
    if (!rc && !sv_id_empty(&rows.vm.host))
        rc = sv_host_reserve(tx, &rows.vm.host, -rows.vm.vcpus, -rows.vm.memory, err);
    if (!rc)
        rc = sv_network_nic_delete_vm(c, tx, vm, err);
    if (!rc)
        rc = sv_snapshot_delete_vm(tx, vm, err);
    if (!rc)
        rc = sv_disk_delete_vm(tx, vm, err);
    if (!rc)
        rc = sv_vm_set_host(tx, vm, &none, err);
    return rc ? rc : sv_sealed_drop(tx, vm, SV_SECRET_VNC, err);
}

static enum sv_err enter(struct sv_tx *tx, const struct sv_job *job, enum sv_vm_state to, struct sv_error *err)
{
    enum sv_err rc = sv_vm_set_state(tx, &job->object, SV_VM_ANY, to, err);

    return rc ? rc : sv_cloud_event(tx, "vm.state", "vm", &job->object, &job->tenant, sv_vm_state_name(to), err);
}

enum sv_err sv_step_running(struct sv_tx *tx, const struct sv_job *job, struct sv_error *err)
{
    struct sv_vm vm;
    enum sv_err rc = sv_vm_get(tx, sv_scope_system(), &job->object, sv_tx_arena(tx), &vm, err);
    const bool was_running = !rc && vm.state == SV_VM_RUNNING;

    if (!rc)
        rc = enter(tx, job, SV_VM_RUNNING, err);
    if (!rc)
        rc = sv_alarm_relieve(tx, SV_ALARM_VM_CRASHED, &job->object, err);
    /* A guest that ran all along keeps the size it really has. */
    if (!rc && !was_running)
        rc = sv_vm_set_live(tx, &job->object, vm.vcpus, vm.memory, err);
    return rc;
}

enum sv_err sv_step_stopped(struct sv_tx *tx, const struct sv_job *job, struct sv_error *err)
{
    return enter(tx, job, SV_VM_STOPPED, err);
}
