/* A new VM from a backup (ours): also when the VM of the backup is gone. */
#include <stdio.h>

#include "core/copy/backup.h"
#include "core/storage/storage.h"

enum { CLONE_LIMIT_MS = 24 * 60 * 60 * 1000 };

/* --- acceptance ----------------------------------------------------------------------------------------- */

static enum sv_err first_vpc(struct sv_tx *tx, const struct sv_id *vm, struct sv_id *ret, struct sv_error *err)
{
    struct sv_vm_rows rows;
    struct sv_error gone;
    const enum sv_err rc = sv_vm_rows_in(tx, vm, sv_tx_arena(tx), &rows, &gone);

    if (!rc && rows.nic_count > 0) {
        *ret = rows.nics[0].vpc;
        return SV_OK;
    }
    if (rc && rc != SV_E_VM_NOT_FOUND) {
        *err = gone;
        return rc;
    }
    return sv_fail(err, SV_E_PARAM_MISSING, SV_F_VPC);
}

static enum sv_err find_vpc(struct sv_tx *tx, const struct sv_backup *b, const char *id, struct sv_vpc *ret,
                            struct sv_error *err)
{
    struct sv_id vpc;
    enum sv_err rc = id ? sv_check_id(id, SV_E_VPC_NOT_FOUND, SV_F_VPC, &vpc, err) : first_vpc(tx, &b->vm, &vpc, err);

    /* of the backup's own tenant, also when an administrator asks */
    return rc ? rc : sv_vpc_get(tx, sv_scope_tenant(&b->tenant), &vpc, sv_tx_arena(tx), ret, err);
}

/* Those of the VM that was copied, while it is there. */
static enum sv_err find_labels(struct sv_tx *tx, const struct sv_id *vm, const char **ret, struct sv_error *err)
{
    struct sv_vm from = {.labels = ""};
    const enum sv_err rc = sv_vm_get(tx, sv_scope_system(), vm, sv_tx_arena(tx), &from, err);

    *ret = from.labels;
    return rc == SV_E_VM_NOT_FOUND ? SV_OK : rc;
}

static void name_clone(const struct sv_backup *b, const char *name, char made[SV_MAX_NAME + 1])
{
    static const char suffix[] = "-clone";
    char stem[SV_MAX_NAME + 2 - sizeof(suffix)];

    SV_COPY(stem, b->vm_name);
    if (name)
        sv_copy(made, SV_MAX_NAME + 1, name);
    else
        snprintf(made, SV_MAX_NAME + 1, "%s%s", stem, suffix);
}

static struct sv_amounts plan_disks(struct sv_vm_plan *p, const struct sv_backup_rows *from, struct sv_arena *a)
{
    struct sv_amounts need = {.vcpus = from->b.vcpus, .memory = from->b.memory};

    p->disk_count = from->disk_count;
    for (unsigned i = 0; i < from->disk_count; i++) {
        const struct sv_backup_disk *d = &from->disks[i];

        p->disks[i] = (struct sv_disk){.id = sv_id_new(),
                                       .name = d->boot ? "system" : sv_arena_printf(a, "data-%s", d->target),
                                       .descr = "",
                                       .target = d->target,
                                       .boot = d->boot,
                                       .size = d->size};
        need.storage += d->size;
    }
    return need;
}

enum sv_err sv_backup_clone(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                            const char *name, const char *vpc_id, struct sv_vm_made *ret, struct sv_error *err)
{
    struct sv_backup_rows from;
    struct sv_vpc vpc;
    const char *labels;
    enum sv_err rc = sv_backup_find(c, tx, who, id, &from, err);

    if (!rc)
        rc = sv_check_name(name, SV_F_VM_NAME, err);
    if (!rc)
        rc = sv_backup_claim(tx, &from.b, err);
    if (!rc)
        rc = find_vpc(tx, &from.b, vpc_id, &vpc, err);
    if (!rc)
        rc = find_labels(tx, &from.b.vm, &labels, err);
    if (rc)
        return rc;
    name_clone(&from.b, name, ret->name);
    struct sv_vm_plan p = {.kind = &sv_kind_vm_clone,
                           .sarg = from.b.id.s,
                           .vm = {.id = sv_id_new(),
                                  .tenant = from.b.tenant,
                                  .name = ret->name,
                                  .descr = "",
                                  .model = "",
                                  .model_type = "",
                                  .labels = labels,
                                  .state = SV_VM_CLONING,
                                  .vcpus = from.b.vcpus,
                                  .memory = from.b.memory,
                                  .nested = from.b.nested},
                           .vpc = &vpc};
    const struct sv_amounts need = plan_disks(&p, &from, sv_tx_arena(tx));

    ret->vm = p.vm.id;
    rc = sv_tenant_reserve(tx, &from.b.tenant, &need, err);
    return rc ? rc : sv_vm_plan_accept(c, tx, who, &p, &ret->startid, err);
}

/* --- steps ---------------------------------------------------------------------------------------------- */

struct filling {
    struct sv_run *r;
    struct sv_backup_rows from;
    struct sv_vm_rows rows;
    struct sv_hv_host *h;
    struct sv_backup_progress p;
};

static enum sv_err fill_one(struct filling *f, const struct sv_disk *to, const struct sv_backup_disk *from,
                            struct sv_error *err)
{
    const char *path = sv_backup_path(&f->from, from, sv_run_arena(f->r));
    struct sv_hv_disk d = {.id = to->id, .size = to->size};
    enum sv_err rc;

    SV_COPY(d.target, to->target);
    if (to->elsewhere)
        d.pool = to->storage;
    sv_backup_progress_next(&f->p, from->bytes);
    rc = SV_HV_CALL(f->h, copy_in, &d, path, sv_backup_progress_copy, &f->p, sv_run_deadline(f->r));
    if (!rc)
        rc = sv_step_disk_ready(sv_run_app(f->r), &to->id, true, err);
    if (!rc)
        sv_run_note(f->r, SV_LOG_INFO, SV_N_DISK_READY, to->target, sv_bytes(to->size, SV_OF_DISK).s, NULL);
    return rc;
}

/* After a crash more may have been done than is recorded: a disk that is there may have been written to since. */
static enum sv_err fill_disks(struct sv_run *r, struct sv_error *err)
{
    struct filling f = {.r = r};
    struct sv_hv_state now = {0};
    const struct sv_id id = sv_id_from(sv_run_job(r)->sarg);
    const struct sv_disk *to[SV_HV_MAX_DISKS];
    enum sv_err rc = sv_backup_rows_read(sv_run_app(r), &id, sv_run_arena(r), &f.from, err);

    if (!rc)
        rc = sv_step_begin(r, &f.rows, &f.h, err);
    if (!rc)
        rc = sv_backup_match(&f.from, &f.rows, to, err);
    if (!rc)
        rc = SV_HV_CALL(f.h, state, &sv_run_job(r)->object, &now, sv_run_deadline(r));
    if (rc || now.power == SV_HV_RUNNING || now.power == SV_HV_PAUSED)
        return rc;
    f.p = sv_backup_progress_of(r, &f.from);
    for (unsigned i = 0; !rc && i < f.from.disk_count; i++)
        if (!to[i]->ready)
            rc = fill_one(&f, to[i], &f.from.disks[i], err);
    return rc;
}

/* --- rows ----------------------------------------------------------------------------------------------- */

static const struct sv_step clone_steps[] = {
    {.name = "check",
     .title_zh = "校验备份",
     .title_en = "check the backup",
     .weight = 15,
     .run = sv_step_backup_check},
    {.name = "disks",
     .title_zh = "准备磁盘",
     .title_en = "prepare disks",
     .weight = 50,
     .run = fill_disks,
     .undo = sv_step_drop_disks},
    {.name = "network",
     .title_zh = "准备网络",
     .title_en = "prepare network",
     .weight = 10,
     .run = sv_step_new_network,
     .undo = sv_step_drop_network},
    {.name = "define",
     .title_zh = "定义云主机",
     .title_en = "define the VM",
     .weight = 10,
     .run = sv_step_define,
     .undo = sv_step_undefine},
    {.name = "start",
     .title_zh = "启动云主机",
     .title_en = "start the VM",
     .weight = 15,
     .run = sv_step_new_start,
     .undo = sv_step_new_stop},
};

const struct sv_job_kind sv_kind_vm_clone = {.name = "vm.clone",
                                             .title_zh = "由备份开通云主机",
                                             .title_en = "create VM from backup",
                                             .lock_code = SV_LOCK_CLONING,
                                             .deadline_ms = CLONE_LIMIT_MS,
                                             .resumable = true,
                                             SV_STEPS(clone_steps),
                                             .left = sv_step_new_left,
                                             .end = sv_step_new_end};
