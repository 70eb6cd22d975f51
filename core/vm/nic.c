/* NICs of a VM that exists (StarVCenter 2.5). Both operations are answered by the end of their job: a crash in the
 * middle is finished or undone at the next start. */
#include "core/network/network.h"
#include "core/vm/internal.h"

enum { NIC_LIMIT_MS = 2 * 60 * 1000 };

/* --- acceptance ------------------------------------------------------------------------------------- */

/* "eth" with the lowest number no NIC of the VM has. */
static const char *free_name(struct sv_tx *tx, const struct sv_vm_rows *rows)
{
    for (unsigned n = 0;; n++) {
        const char *name = sv_arena_printf(sv_tx_arena(tx), "eth%u", n);
        bool used = false;

        for (unsigned i = 0; i < rows->nic_count; i++)
            used = used || strcmp(rows->nics[i].name, name) == 0;
        if (!used)
            return name;
    }
}

enum sv_err sv_vm_nic_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                          const char *vpc, struct sv_id *ret_nic, struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_vm row;
    struct sv_vm_rows rows;
    struct sv_vpc to;
    struct sv_id vpc_id;
    struct sv_nic n = {.id = sv_id_new(), .created = sv_tx_now(tx)};
    enum sv_err rc = sv_vm_claim_devices(tx, who, vm, false, &row, err);

    if (!rc)
        rc = sv_check_id(vpc, SV_E_VPC_NOT_FOUND, SV_F_VPC, &vpc_id, err);
    if (!rc) /* of the VM's own tenant, also when an administrator asks */
        rc = sv_vpc_get(tx, sv_scope_tenant(&row.tenant), &vpc_id, sv_tx_arena(tx), &to, err);
    if (!rc)
        rc = sv_vm_rows_in(tx, &row.id, sv_tx_arena(tx), &rows, err);
    if (!rc && rows.nic_count >= SV_HV_MAX_NICS)
        rc = sv_fail(err, SV_E_NIC_LIMIT, SV_F_VM, sv_dec(SV_HV_MAX_NICS).s);
    if (!rc)
        rc = sv_vpc_next_ip(tx, &to, &n.ip, err);
    if (rc)
        return rc;
    n.tenant = row.tenant;
    n.vm = row.id;
    n.vpc = to.id;
    n.name = free_name(tx, &rows);
    sv_make_mac(n.mac);
    rc = sv_nic_insert(tx, &n, err);
    if (!rc)
        rc = sv_nic_refresh_ip(tx, &row.id, err);
    if (!rc)
        *ret_nic = n.id;
    return rc ? rc : sv_vm_accept(c, tx, &row, &sv_kind_nic_add, n.id.s, 0, 0, ret_startid, err);
}

enum sv_err sv_vm_nic_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *nic,
                             struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_nic n;
    struct sv_vm vm;
    struct sv_id id;
    enum sv_err rc = sv_check_id(nic, SV_E_NIC_NOT_FOUND, SV_F_NIC, &id, err);

    if (!rc)
        rc = sv_nic_get(tx, sv_scope_of(who), &id, sv_tx_arena(tx), &n, err);
    if (!rc)
        rc = sv_vm_claim_devices(tx, who, n.vm.s, true, &vm, err);
    return rc ? rc : sv_vm_accept(c, tx, &vm, &sv_kind_nic_remove, n.id.s, 0, 0, ret_startid, err);
}

/* --- steps ------------------------------------------------------------------------------------------ */

/* How the NIC the job is about is plugged; *ret_vpc empty when its row is gone. */
static enum sv_err begin(struct sv_run *r, struct sv_vm_rows *rows, struct sv_hv_host **h, struct sv_hv_nic *ret,
                         struct sv_id *ret_vpc, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    const struct sv_id id = sv_id_from(sv_run_job(r)->sarg);
    enum sv_err rc = sv_step_begin(r, rows, h, err);

    *ret_vpc = (struct sv_id){.s = ""};
    for (unsigned i = 0; !rc && i < rows->nic_count; i++) {
        const struct sv_nic *n = &rows->nics[i];

        if (!sv_id_eq(&n->id, &id))
            continue;
        *ret = (struct sv_hv_nic){.id = n->id};
        memcpy(ret->mac, n->mac, sizeof(ret->mac));
        c->net->ops->attach(c->net, &n->vpc, &n->id, ret);
        *ret_vpc = n->vpc;
    }
    return rc;
}

static enum sv_err attach(struct sv_run *r, struct sv_error *err)
{
    struct sv_vm_rows rows;
    struct sv_hv_nic n;
    struct sv_hv_host *h;
    struct sv_id vpc;
    enum sv_err rc = begin(r, &rows, &h, &n, &vpc, err);

    return rc || sv_id_empty(&vpc) ? rc : SV_HV_CALL(h, nic_attach, &rows.vm.id, &n, sv_run_deadline(r));
}

static enum sv_err detach(struct sv_run *r, struct sv_error *err)
{
    struct sv_vm_rows rows;
    struct sv_hv_nic n;
    struct sv_hv_host *h;
    struct sv_id vpc;
    enum sv_err rc = begin(r, &rows, &h, &n, &vpc, err);

    return rc || sv_id_empty(&vpc) ? rc : SV_HV_CALL(h, nic_detach, &rows.vm.id, &n, sv_run_deadline(r));
}

static enum sv_err network(struct sv_run *r, struct sv_error *err)
{
    return sv_network_apply_vm(sv_run_app(r), &sv_run_job(r)->object, sv_run_deadline(r), err);
}

struct going {
    struct sv_cloud *cloud;
    struct sv_id nic;
};

static enum sv_err delete_row(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct going *g = arg;

    return sv_network_nic_delete(g->cloud, tx, &g->nic, err);
}

/* The row goes first, so that the lease is left out; by now no definition and no guest has the NIC. */
static enum sv_err drop(struct sv_run *r, struct sv_error *err)
{
    struct sv_vm_rows rows;
    struct sv_hv_nic n;
    struct sv_hv_host *h;
    struct sv_id vpc;
    struct going g = {sv_run_app(r), sv_id_from(sv_run_job(r)->sarg)};
    enum sv_err rc = begin(r, &rows, &h, &n, &vpc, err);

    if (!rc)
        rc = sv_db_write(sv_run_db(r), delete_row, &g, err);
    return rc || sv_id_empty(&vpc) ? rc : sv_network_apply(sv_run_app(r), &vpc, sv_run_deadline(r), err);
}

/* --- ends and rows ---------------------------------------------------------------------------------- */

static enum sv_err end_add(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                           struct sv_error *err)
{
    const struct sv_id id = sv_id_from(job->sarg);

    return result == SV_JOB_DONE ? sv_cloud_event(tx, "nic.add", "nic", &id, &job->tenant, job->object.s, err)
                                 : sv_network_nic_delete(app, tx, &id, err);
}

static enum sv_err end_remove(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    const struct sv_id id = sv_id_from(job->sarg);

    (void)app;
    return result == SV_JOB_DONE ? sv_cloud_event(tx, "nic.remove", "nic", &id, &job->tenant, job->object.s, err)
                                 : SV_OK;
}

static const struct sv_step add_steps[] = {
    {.name = "network",
     .title_zh = "准备网络",
     .title_en = "prepare network",
     .weight = 3,
     .run = network,
     .undo = drop},
    SV_STEP_DEFINE_WITH,
    {.name = "attach",
     .title_zh = "接入网卡",
     .title_en = "plug the NIC in",
     .weight = 5,
     .run = attach,
     .undo = detach,
     .undo_guest = true},
};
static const struct sv_step remove_steps[] = {
    {.name = "detach", .title_zh = "拔出网卡", .title_en = "unplug the NIC", .weight = 5, .run = detach},
    SV_STEP_DEFINE_WITHOUT,
    {.name = "network", .title_zh = "回收地址", .title_en = "take the address back", .weight = 3, .run = drop},
};

const struct sv_job_kind sv_kind_nic_add = {.name = "nic.add",
                                            .title_zh = "添加网卡",
                                            .title_en = "add NIC",
                                            .lock_code = SV_LOCK_MOVING,
                                            .deadline_ms = NIC_LIMIT_MS,
                                            .resumable = true,
                                            .makes_sarg = true,
                                            SV_STEPS(add_steps),
                                            .end = end_add};
const struct sv_job_kind sv_kind_nic_remove = {.name = "nic.remove",
                                               .title_zh = "删除网卡",
                                               .title_en = "remove NIC",
                                               .lock_code = SV_LOCK_MOVING,
                                               .deadline_ms = NIC_LIMIT_MS,
                                               .resumable = true,
                                               .no_cancel = true,
                                               .frees = true,
                                               SV_STEPS(remove_steps),
                                               .end = end_remove};
