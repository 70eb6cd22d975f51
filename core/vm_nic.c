/* NICs of a VM that exists (StarVCenter 2.5). Both operations answer when they are done, so each is a job
 * that is waited for: a crash in the middle is finished or undone at the next start. */
#include "core/internal.h"
#include "core/vm_steps.h"

enum { NIC_LIMIT_MS = 2 * 60 * 1000, ANSWER_LIMIT_MS = 45 * 1000 };

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

struct adding {
    struct sv_cloud *c;
    const struct sv_actor *who;
    const char *vm, *vpc;
    struct sv_id nic, startid;
};

static enum sv_err accept_add(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct adding *a = arg;
    struct sv_vm vm;
    struct sv_vm_rows rows;
    struct sv_vpc vpc;
    struct sv_id vpc_id;
    struct sv_nic n = {.id = sv_id_new(), .created = sv_tx_now(tx)};
    enum sv_err rc = sv_vm_claim_devices(tx, a->who, a->vm, false, &vm, err);

    if (!rc)
        rc = sv_check_id(a->vpc, SV_E_VPC_NOT_FOUND, SV_F_VPC, &vpc_id, err);
    if (!rc) /* of the VM's own tenant, also when an administrator asks */
        rc = sv_vpc_get(tx, sv_scope_tenant(&vm.tenant), &vpc_id, sv_tx_arena(tx), &vpc, err);
    if (!rc)
        rc = sv_vm_rows_in(tx, &vm.id, sv_tx_arena(tx), &rows, err);
    if (!rc && rows.nic_count >= SV_HV_MAX_NICS)
        rc = sv_fail(err, SV_E_NIC_LIMIT, SV_F_VM, sv_dec(SV_HV_MAX_NICS).s);
    if (!rc)
        rc = sv_vpc_next_ip(tx, &vpc, &n.ip, err);
    if (rc)
        return rc;
    n.tenant = vm.tenant;
    n.vm = vm.id;
    n.vpc = vpc.id;
    n.name = free_name(tx, &rows);
    sv_make_mac(n.mac);
    rc = sv_nic_insert(tx, &n, err);
    if (!rc)
        rc = sv_nic_refresh_ip(tx, &vm.id, err);
    if (!rc)
        rc = sv_vm_accept(a->c, tx, &vm, &sv_kind_nic_add, n.id.s, 0, 0, &a->startid, err);
    a->nic = n.id;
    return rc;
}

struct removing {
    struct sv_cloud *c;
    const struct sv_actor *who;
    const char *nic;
    struct sv_id startid;
};

static enum sv_err accept_remove(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct removing *a = arg;
    struct sv_nic n;
    struct sv_vm vm;
    struct sv_id id;
    enum sv_err rc = sv_check_id(a->nic, SV_E_NIC_NOT_FOUND, SV_F_NIC, &id, err);

    if (!rc)
        rc = sv_nic_get(tx, sv_scope_of(a->who), &id, sv_tx_arena(tx), &n, err);
    if (!rc)
        rc = sv_vm_claim_devices(tx, a->who, n.vm.s, true, &vm, err);
    return rc ? rc : sv_vm_accept(a->c, tx, &vm, &sv_kind_nic_remove, n.id.s, 0, 0, &a->startid, err);
}

enum sv_err sv_vm_nic_add(struct sv_cloud *c, const struct sv_actor *who, const char *vm, const char *vpc,
                          struct sv_arena *arena, struct sv_id *ret_nic, struct sv_error *err)
{
    struct adding a = {.c = c, .who = who, .vm = vm, .vpc = vpc};
    enum sv_err rc = sv_db_write(c->db, accept_add, &a, err);

    if (!rc)
        rc = sv_job_await(c, &a.startid, ANSWER_LIMIT_MS, arena, err);
    if (!rc)
        *ret_nic = a.nic;
    return rc;
}

enum sv_err sv_vm_nic_remove(struct sv_cloud *c, const struct sv_actor *who, const char *nic, struct sv_arena *arena,
                             struct sv_error *err)
{
    struct removing a = {.c = c, .who = who, .nic = nic};
    enum sv_err rc = sv_db_write(c->db, accept_remove, &a, err);

    return rc ? rc : sv_job_await(c, &a.startid, ANSWER_LIMIT_MS, arena, err);
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

static enum sv_err delete_row(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_nic_delete(tx, arg, err);
}

/* The row goes first, so that the lease is left out; by now no definition and no guest has the NIC. */
static enum sv_err drop(struct sv_run *r, struct sv_error *err)
{
    struct sv_vm_rows rows;
    struct sv_hv_nic n;
    struct sv_hv_host *h;
    struct sv_id vpc, id = sv_id_from(sv_run_job(r)->sarg);
    enum sv_err rc = begin(r, &rows, &h, &n, &vpc, err);

    if (!rc)
        rc = sv_db_write(sv_run_db(r), delete_row, &id, err);
    return rc || sv_id_empty(&vpc) ? rc : sv_network_apply(sv_run_app(r), &vpc, sv_run_deadline(r), err);
}

static enum sv_err define_without(struct sv_run *r, struct sv_error *err)
{
    const struct sv_id id = sv_id_from(sv_run_job(r)->sarg);
    struct sv_vm_rows rows;
    struct sv_hv_host *h;
    enum sv_err rc = sv_step_begin(r, &rows, &h, err);

    if (rc)
        return rc;
    for (unsigned i = 0; i < rows.nic_count; i++) {
        if (sv_id_eq(&rows.nics[i].id, &id)) {
            rows.nic_count--;
            memmove(&rows.nics[i], &rows.nics[i + 1], (rows.nic_count - i) * sizeof(rows.nics[0]));
            break;
        }
    }
    return sv_step_define_as(r, &rows, h, err);
}

/* --- ends and rows ---------------------------------------------------------------------------------- */

static enum sv_err end_add(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                           struct sv_error *err)
{
    const struct sv_id id = sv_id_from(job->sarg);

    (void)app;
    return result == SV_JOB_DONE ? sv_cloud_event(tx, "nic.add", "nic", &id, &job->tenant, job->object.s, err)
                                 : sv_nic_delete(tx, &id, err);
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
    {.name = "define",
     .title_zh = "更新定义",
     .title_en = "update the definition",
     .weight = 2,
     .run = sv_step_define,
     .undo = define_without},
    {.name = "attach",
     .title_zh = "接入网卡",
     .title_en = "plug the NIC in",
     .weight = 5,
     .run = attach,
     .undo = detach},
};
static const struct sv_step remove_steps[] = {
    {.name = "detach", .title_zh = "拔出网卡", .title_en = "unplug the NIC", .weight = 5, .run = detach},
    {.name = "define", .title_zh = "更新定义", .title_en = "update the definition", .weight = 2, .run = define_without},
    {.name = "network", .title_zh = "回收地址", .title_en = "take the address back", .weight = 3, .run = drop},
};

const struct sv_job_kind sv_kind_nic_add = {.name = "nic.add",
                                            .title_zh = "添加网卡",
                                            .title_en = "add NIC",
                                            .lock_code = SV_LOCK_MOVING,
                                            .deadline_ms = NIC_LIMIT_MS,
                                            .resumable = true,
                                            SV_STEPS(add_steps),
                                            .end = end_add};
const struct sv_job_kind sv_kind_nic_remove = {.name = "nic.remove",
                                               .title_zh = "删除网卡",
                                               .title_en = "remove NIC",
                                               .lock_code = SV_LOCK_MOVING,
                                               .deadline_ms = NIC_LIMIT_MS,
                                               .resumable = true,
                                               .no_cancel = true,
                                               SV_STEPS(remove_steps),
                                               .end = end_remove};
