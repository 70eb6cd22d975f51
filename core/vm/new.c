/* Making a VM: its rows, and what the jobs that make one have in common. */
#include "core/host/host.h"
#include "core/network/network.h"
#include "core/vm/internal.h"
#include "starvirt/store_secret.h"

/* --- acceptance ------------------------------------------------------------------------------------- */

/* 40 random bits under the locally administered prefix 52: a clash in a cloud of 100,000 NICs has odds of
 * one in 200, and the unique index turns it into a refusal that a retry mends. */
void sv_make_mac(unsigned char mac[6])
{
    mac[0] = 0x52;
    sv_random(mac + 1, 5);
}

static enum sv_err insert_nic(struct sv_tx *tx, const struct sv_vpc *vpc, const struct sv_vm *vm, struct sv_error *err)
{
    struct sv_nic n = {.id = sv_id_new(),
                       .tenant = vm->tenant,
                       .vm = vm->id,
                       .vpc = vpc->id,
                       .name = "eth0",
                       .ip = vm->ip,
                       .created = vm->created};

    sv_make_mac(n.mac);
    return sv_nic_insert(tx, &n, err);
}

static int64_t disk_bytes(const struct sv_vm_plan *p)
{
    int64_t sum = 0;

    for (unsigned i = 0; i < p->disk_count; i++)
        sum += p->disks[i].size;
    return sum;
}

static enum sv_err insert_disks(struct sv_tx *tx, const struct sv_vm_plan *p, const struct sv_vm *vm,
                                struct sv_error *err)
{
    struct sv_id storage;
    enum sv_err rc = sv_storage_of_host(tx, &vm->host, disk_bytes(p), &storage, err);

    for (unsigned i = 0; !rc && i < p->disk_count; i++) {
        struct sv_disk d = p->disks[i];

        d.tenant = vm->tenant;
        d.vm = vm->id;
        d.storage = storage;
        d.created = vm->created;
        rc = sv_disk_insert(tx, &d, err);
    }
    return rc;
}

/* Of the hosts that the request has read, or as the only one that it places. */
static enum sv_err find_host(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                             const struct sv_vm_plan *p, struct sv_place **place, struct sv_placed *ret,
                             struct sv_error *err)
{
    const struct sv_place_order o = {.vcpus = p->vm.vcpus,
                                     .memory = p->vm.memory,
                                     .disks = disk_bytes(p),
                                     .labels = p->vm.labels,
                                     .groups = p->groups,
                                     .group_count = p->group_count};
    enum sv_err rc = *place ? SV_OK : sv_place_begin(c, tx, &o, place, err);

    if (!rc)
        rc = sv_place_take(*place, tx, ret, err);
    return rc == SV_E_NO_CAPACITY ? sv_host_none_fits(c, who, err) : rc;
}

enum sv_err sv_vm_plan_accept(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                              const struct sv_vm_plan *p, struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_vm vm = p->vm;
    struct sv_place *alone = NULL, **place = p->place ? p->place : &alone;
    struct sv_placed placed = {.total = 0};
    enum sv_err rc = find_host(c, tx, who, p, place, &placed, err);

    vm.host = placed.host;
    vm.created = sv_tx_now(tx);
    if (!rc)
        rc = sv_vpc_next_ip(tx, p->vpc, &vm.ip, err);
    if (!rc)
        rc = sv_vm_insert(tx, &vm, err);
    for (size_t i = 0; !rc && i < p->group_count; i++)
        rc = sv_affinity_join(tx, &p->groups[i].id, &vm.id, err);
    if (!rc)
        rc = insert_disks(tx, p, &vm, err);
    if (!rc)
        rc = insert_nic(tx, p->vpc, &vm, err);
    if (!rc && p->vnc_password)
        rc = sv_secret_put(c->secrets, tx, &vm.id, SV_SECRET_VNC, p->vnc_password, err);
    if (!rc)
        rc = sv_cloud_event(tx, "vm.create", "vm", &vm.id, &vm.tenant, vm.name, err);
    if (!rc)
        rc = sv_vm_accept(c, tx, &vm, p->kind, p->sarg, p->iarg[0], p->iarg[1], ret_startid, err);
    if (!rc)
        rc = sv_place_note(*place, tx, ret_startid, &placed, err);
    if (!rc && p->account_password)
        rc = sv_secret_put(c->secrets, tx, ret_startid, SV_SECRET_ACCOUNT, p->account_password, err);
    return rc;
}

/* --- steps ------------------------------------------------------------------------------------------ */

enum sv_err sv_step_new_network(struct sv_run *r, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    struct sv_vm_rows rows;
    enum sv_err rc = sv_vm_rows_read(c->db, &sv_run_job(r)->object, sv_run_arena(r), &rows, err);

    if (!rc)
        rc = sv_network_apply_vm(c, &rows.vm.id, sv_run_deadline(r), err);
    for (unsigned i = 0; !rc && i < rows.nic_count; i++) {
        char ip[SV_IP4_LEN];

        sv_ip4_format(rows.nics[i].ip, ip);
        sv_run_note(r, SV_LOG_INFO, SV_N_NIC_READY, rows.nics[i].name, ip, NULL);
    }
    return rc;
}

enum sv_err sv_step_new_start(struct sv_run *r, struct sv_error *err)
{
    struct sv_hv_host *h;
    enum sv_err rc = sv_run_host(r, &h, err);

    return rc ? rc : SV_HV_CALL(h, start, &sv_run_job(r)->object, sv_run_deadline(r));
}

enum sv_err sv_step_new_stop(struct sv_run *r, struct sv_error *err)
{
    struct sv_hv_host *h;
    enum sv_err rc = sv_run_host(r, &h, err);

    return rc ? rc : SV_HV_CALL(h, destroy, &sv_run_job(r)->object, sv_run_deadline(r));
}

/* Its owner sees what happened, also while what it left is still to be undone. */
enum sv_err sv_step_new_left(struct sv_tx *tx, const struct sv_job *job, void *app, struct sv_error *err)
{
    struct sv_vm vm;
    enum sv_err rc = sv_vm_get(tx, sv_scope_system(), &job->object, sv_tx_arena(tx), &vm, err);

    (void)app;
    if (rc || vm.state == SV_VM_FAILED)
        return rc;
    rc = sv_vm_set_state(tx, &job->object, SV_VM_ANY, SV_VM_FAILED, err);
    return rc ? rc
              : sv_cloud_event(tx, "vm.state", "vm", &job->object, &job->tenant, sv_vm_state_name(SV_VM_FAILED), err);
}

/* What the VM held goes back, its name stays as FAILED. */
static enum sv_err give_up(struct sv_tx *tx, const struct sv_job *job, void *app, struct sv_error *err)
{
    enum sv_err rc = sv_step_release(app, tx, &job->object, err);

    return rc ? rc : sv_step_new_left(tx, job, app, err);
}

enum sv_err sv_step_new_end(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                            struct sv_error *err)
{
    enum sv_err rc = sv_sealed_drop(tx, &job->id, SV_SECRET_ACCOUNT, err);

    if (rc)
        return rc;
    return result == SV_JOB_DONE ? sv_step_running(tx, job, err) : give_up(tx, job, app, err);
}
