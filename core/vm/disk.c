/* Disks of a VM that exists: added, grown, removed; running guests by hot-plug (StarVCenter 2.4). */
#include <stdio.h>

#include "core/storage/storage.h"
#include "core/vm/internal.h"
#include "starvirt/store_copy.h"

enum { DISK_LIMIT_MS = 10 * 60 * 1000 };
enum { BEFORE = 0, AFTER = 1 }; /* iarg of extend */

/* --- acceptance ------------------------------------------------------------------------------------- */

static enum sv_err reserve(struct sv_tx *tx, const struct sv_id *tenant, int64_t bytes, struct sv_error *err)
{
    const struct sv_amounts a = {.storage = bytes};

    return sv_tenant_reserve(tx, tenant, &a, err);
}

/* The lowest letter no disk of the VM has. */
static enum sv_err free_target(const struct sv_vm_rows *rows, char target[8], struct sv_error *err)
{
    if (rows->disk_count >= SV_HV_MAX_DISKS)
        return sv_fail(err, SV_E_DISK_LIMIT, SV_F_VM, sv_dec(SV_HV_MAX_DISKS).s);
    for (int letter = 'a'; letter <= 'z'; letter++) {
        bool used = false;

        snprintf(target, 8, "vd%c", letter);
        for (unsigned i = 0; i < rows->disk_count; i++)
            used = used || strcmp(rows->disks[i].target, target) == 0;
        if (!used)
            return SV_OK;
    }
    return sv_fail(err, SV_E_DISK_LIMIT, SV_F_VM, sv_dec(SV_HV_MAX_DISKS).s);
}

enum sv_err sv_vm_disk_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                           int64_t size, const char *descr, struct sv_disk_made *ret, struct sv_error *err)
{
    struct sv_vm vm;
    struct sv_vm_rows rows;
    struct sv_disk d = {.id = sv_id_new(), .descr = descr ? descr : "", .size = size, .created = sv_tx_now(tx)};
    enum sv_err rc = sv_check_disk(size, err);

    if (!rc)
        rc = sv_check_descr(descr, SV_F_NONE, err);
    if (!rc)
        rc = sv_vm_claim_devices(tx, who, id, false, &vm, err);
    if (!rc)
        rc = sv_vm_rows_in(tx, &vm.id, sv_tx_arena(tx), &rows, err);
    if (!rc)
        rc = free_target(&rows, ret->target, err);
    if (!rc)
        rc = reserve(tx, &vm.tenant, size, err);
    if (!rc)
        rc = sv_storage_of_host(tx, &vm.host, size, &d.storage, err);
    if (rc)
        return rc;
    d.tenant = vm.tenant;
    d.vm = vm.id;
    d.target = ret->target;
    d.name = sv_arena_printf(sv_tx_arena(tx), "data-%s", ret->target);
    rc = sv_disk_insert(tx, &d, err);
    if (!rc)
        rc = sv_vm_accept(c, tx, &vm, &sv_kind_disk_add, d.id.s, 0, size, &ret->startid, err);
    ret->disk = d.id;
    return rc;
}

/* The VM is empty for a disk without one. */
static enum sv_err find_disk(struct sv_tx *tx, const struct sv_actor *who, const char *id, bool takes_away,
                             struct sv_disk *d, struct sv_vm *vm, struct sv_error *err)
{
    struct sv_id did;
    enum sv_err rc = sv_check_id(id, SV_E_DISK_NOT_FOUND, SV_F_DISK, &did, err);

    *vm = (struct sv_vm){.name = ""};
    if (!rc)
        rc = sv_disk_get(tx, sv_scope_of(who), &did, sv_tx_arena(tx), d, err);
    return rc || sv_id_empty(&d->vm) ? rc : sv_vm_claim_devices(tx, who, d->vm.s, takes_away, vm, err);
}

/* A snapshot of it could no longer be restored whole. */
static enum sv_err check_not_held(struct sv_tx *tx, const struct sv_disk *d, struct sv_error *err)
{
    const char *name = "";
    enum sv_err rc = sv_snapshot_of_disk(tx, &d->id, sv_tx_arena(tx), &name, err);

    return rc || !*name ? rc : sv_fail(err, SV_E_SNAPSHOT_HOLDS, SV_F_DISK, name);
}

enum sv_err sv_vm_disk_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *disk,
                              struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_disk d;
    struct sv_vm vm;
    enum sv_err rc = find_disk(tx, who, disk, true, &d, &vm, err);

    if (!rc && sv_id_empty(&vm.id))
        return sv_pv_remove(c, tx, &d, ret_startid, err);
    if (!rc && d.boot)
        rc = sv_fail(err, SV_E_DISK_IS_BOOT, SV_F_DISK);
    if (!rc)
        rc = check_not_held(tx, &d, err);
    return rc ? rc : sv_vm_accept(c, tx, &vm, &sv_kind_disk_remove, d.id.s, 0, 0, ret_startid, err);
}

enum sv_err sv_vm_disk_extend(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *disk,
                              int64_t size, struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_disk d;
    struct sv_vm vm;
    enum sv_err rc = find_disk(tx, who, disk, false, &d, &vm, err);

    if (!rc)
        rc = sv_check_disk(size, err);
    if (!rc && size < d.size)
        rc = sv_fail(err, SV_E_DISK_SHRINK, SV_F_DISK_SIZE, sv_bytes(d.size, SV_OF_DISK).s);
    if (!rc && sv_id_empty(&vm.id))
        return sv_pv_extend(c, tx, &d, size, ret_startid, err);
    if (!rc)
        rc = reserve(tx, &vm.tenant, size - d.size, err);
    if (!rc)
        rc = sv_disk_set_size(tx, &d.id, size, err);
    return rc ? rc : sv_vm_accept(c, tx, &vm, &sv_kind_disk_extend, d.id.s, d.size, size, ret_startid, err);
}

/* --- steps ------------------------------------------------------------------------------------------ */

/* The rows, the host, and the disk the job is about; *ret_disk NULL when its row is gone. */
static enum sv_err begin(struct sv_run *r, struct sv_vm_rows *rows, struct sv_hv_host **h, struct sv_hv_disk *ret_disk,
                         bool *ret_found, struct sv_error *err)
{
    const struct sv_id id = sv_id_from(sv_run_job(r)->sarg);
    enum sv_err rc = sv_step_begin(r, rows, h, err);

    *ret_found = false;
    for (unsigned i = 0; !rc && i < rows->disk_count; i++) {
        const struct sv_disk *d = &rows->disks[i];

        if (!sv_id_eq(&d->id, &id))
            continue;
        *ret_disk = sv_hv_disk_of(d);
        *ret_found = true;
    }
    return rc;
}

static enum sv_err make_volume(struct sv_run *r, struct sv_error *err)
{
    struct sv_vm_rows rows;
    struct sv_hv_disk d;
    struct sv_hv_host *h;
    bool found;
    enum sv_err rc = begin(r, &rows, &h, &d, &found, err);

    if (!rc && found)
        rc = SV_HV_CALL(h, volume_create, &d, sv_run_deadline(r));
    if (!rc && found)
        sv_run_note(r, SV_LOG_INFO, SV_N_DISK_READY, d.target, sv_bytes(d.size, SV_OF_DISK).s, NULL);
    return rc;
}

/* Marked first: a crash in between must not leave a row that claims its volume is there. */
static enum sv_err drop_volume(struct sv_run *r, struct sv_error *err)
{
    const struct sv_id id = sv_id_from(sv_run_job(r)->sarg);
    struct sv_hv_host *h;
    enum sv_err rc = sv_run_host(r, &h, err);

    if (!rc)
        rc = sv_step_open_disk(r, h, &id, err);
    if (!rc)
        rc = sv_step_disk_ready(sv_run_app(r), &id, false, err);
    return rc ? rc : SV_HV_CALL(h, volume_delete, &id, sv_run_deadline(r));
}

static enum sv_err attach(struct sv_run *r, struct sv_error *err)
{
    struct sv_vm_rows rows;
    struct sv_hv_disk d;
    struct sv_hv_host *h;
    bool found;
    enum sv_err rc = begin(r, &rows, &h, &d, &found, err);

    return rc || !found ? rc : SV_HV_CALL(h, disk_attach, &rows.vm.id, &d, sv_run_deadline(r));
}

static enum sv_err detach(struct sv_run *r, struct sv_error *err)
{
    const struct sv_id id = sv_id_from(sv_run_job(r)->sarg);
    struct sv_hv_host *h;
    enum sv_err rc = sv_run_host(r, &h, err);

    return rc ? rc : SV_HV_CALL(h, disk_detach, &sv_run_job(r)->object, &id, sv_run_deadline(r));
}

static enum sv_err grow(struct sv_run *r, struct sv_error *err)
{
    const struct sv_job *job = sv_run_job(r);
    const struct sv_id id = sv_id_from(job->sarg);
    struct sv_hv_host *h;
    enum sv_err rc = sv_run_host(r, &h, err);

    if (!rc)
        rc = sv_step_open_disk(r, h, &id, err);
    return rc ? rc : SV_HV_CALL(h, volume_resize, &job->object, &id, job->iarg[AFTER], sv_run_deadline(r));
}

/* --- ends ------------------------------------------------------------------------------------------- */

static enum sv_err forget_disk(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    struct sv_disk d;
    struct sv_error gone;
    enum sv_err rc = sv_disk_get(tx, sv_scope_system(), id, sv_tx_arena(tx), &d, &gone);

    if (rc == SV_E_DISK_NOT_FOUND) /* its VM was given up with it */
        return SV_OK;
    if (rc)
        *err = gone;
    else
        rc = reserve(tx, &d.tenant, -d.size, err);
    return rc ? rc : sv_disk_delete(tx, id, err);
}

static enum sv_err end_add(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                           struct sv_error *err)
{
    const struct sv_id id = sv_id_from(job->sarg);
    enum sv_err rc;

    (void)app;
    if (result != SV_JOB_DONE)
        return forget_disk(tx, &id, err);
    rc = sv_disk_set_ready(tx, &id, true, err);
    return rc ? rc : sv_cloud_event(tx, "disk.add", "disk", &id, &job->tenant, job->object.s, err);
}

static enum sv_err end_remove(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    const struct sv_id id = sv_id_from(job->sarg);
    enum sv_err rc;

    (void)app;
    if (result != SV_JOB_DONE)
        return SV_OK;
    rc = forget_disk(tx, &id, err);
    return rc ? rc : sv_cloud_event(tx, "disk.remove", "disk", &id, &job->tenant, job->object.s, err);
}

static enum sv_err end_extend(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    const struct sv_id id = sv_id_from(job->sarg);
    enum sv_err rc;

    (void)app;
    if (result == SV_JOB_DONE)
        return sv_cloud_event(tx, "disk.extend", "disk", &id, &job->tenant, sv_bytes(job->iarg[AFTER], SV_OF_DISK).s,
                              err);
    rc = sv_disk_set_size(tx, &id, job->iarg[BEFORE], err);
    return rc ? rc : reserve(tx, &job->tenant, job->iarg[BEFORE] - job->iarg[AFTER], err);
}

/* --- rows ------------------------------------------------------------------------------------------- */

static const struct sv_step add_steps[] = {
    {.name = "volume",
     .title_zh = "准备磁盘",
     .title_en = "prepare the disk",
     .weight = 6,
     .run = make_volume,
     .undo = drop_volume},
    SV_STEP_DEFINE_WITH,
    {.name = "attach",
     .title_zh = "挂载磁盘",
     .title_en = "plug the disk in",
     .weight = 2,
     .run = attach,
     .undo = detach,
     .undo_guest = true},
};
static const struct sv_step remove_steps[] = {
    {.name = "detach", .title_zh = "卸载磁盘", .title_en = "unplug the disk", .weight = 4, .run = detach},
    SV_STEP_DEFINE_WITHOUT,
    {.name = "volume", .title_zh = "删除磁盘", .title_en = "delete the disk", .weight = 4, .run = drop_volume},
};
static const struct sv_step extend_steps[] = {
    {.name = "grow", .title_zh = "扩容磁盘", .title_en = "grow the disk", .weight = 1, .run = grow},
};

const struct sv_job_kind sv_kind_disk_add = {.name = "disk.add",
                                             .title_zh = "添加云主机磁盘",
                                             .title_en = "add disk",
                                             .lock_code = SV_LOCK_MOVING,
                                             .deadline_ms = DISK_LIMIT_MS,
                                             .resumable = true,
                                             .makes_sarg = true,
                                             SV_STEPS(add_steps),
                                             .end = end_add};
const struct sv_job_kind sv_kind_disk_remove = {.name = "disk.remove",
                                                .title_zh = "删除云主机磁盘",
                                                .title_en = "remove disk",
                                                .lock_code = SV_LOCK_MOVING,
                                                .deadline_ms = DISK_LIMIT_MS,
                                                .resumable = true,
                                                .no_cancel = true,
                                                .frees = true,
                                                SV_STEPS(remove_steps),
                                                .end = end_remove};
const struct sv_job_kind sv_kind_disk_extend = {.name = "disk.extend",
                                                .title_zh = "扩容云主机磁盘",
                                                .title_en = "grow disk",
                                                .lock_code = SV_LOCK_MOVING,
                                                .deadline_ms = DISK_LIMIT_MS,
                                                .resumable = true,
                                                .no_cancel = true,
                                                SV_STEPS(extend_steps),
                                                .end = end_extend};
