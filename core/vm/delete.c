/* Deleting a VM: all that its host, its storages and its network hold, then what goes along with it. */
#include "core/host/host.h"
#include "core/vm/vm.h"

enum { DELETE_LIMIT_MS = 30 * 60 * 1000 };

static bool holds_nothing(const struct sv_vm *vm)
{
    return sv_id_empty(&vm->host);
}

static enum sv_err if_placed(struct sv_run *r, enum sv_err (*step)(struct sv_run *r, struct sv_error *err),
                             struct sv_error *err)
{
    struct sv_vm_rows rows;
    enum sv_err rc = sv_vm_rows_read(sv_run_db(r), &sv_run_job(r)->object, sv_run_arena(r), &rows, err);

    return rc || holds_nothing(&rows.vm) ? rc : step(r, err);
}

static enum sv_err undefine(struct sv_run *r, struct sv_error *err)
{
    return if_placed(r, sv_step_undefine, err);
}

static enum sv_err drop_network(struct sv_run *r, struct sv_error *err)
{
    return if_placed(r, sv_step_drop_network, err);
}

static enum sv_err drop_disks(struct sv_run *r, struct sv_error *err)
{
    return if_placed(r, sv_step_drop_disks, err);
}

/* Of those that the job has locked. */
static enum sv_err drop_company(struct sv_run *r, struct sv_error *err)
{
    const struct sv_cloud *c = sv_run_app(r);

    return c->company->drop(r, err);
}

static enum sv_err end_delete(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    struct sv_cloud *c = app;
    enum sv_err rc;

    if (result != SV_JOB_DONE)
        return c->company->end(tx, job, false, err);
    rc = c->company->end(tx, job, true, err);
    if (!rc)
        rc = sv_step_release(c, tx, &job->object, err);
    if (!rc)
        rc = sv_vm_delete(tx, &job->object, err);
    return rc ? rc : sv_cloud_event(tx, "vm.delete", "vm", &job->object, &job->tenant, "", err);
}

static const struct sv_step delete_steps[] = {
    {.name = "undefine", .title_zh = "停止并移除定义", .title_en = "stop and undefine", .weight = 3, .run = undefine},
    {.name = "network", .title_zh = "回收网络", .title_en = "take back addresses", .weight = 2, .run = drop_network},
    {.name = "disks", .title_zh = "删除磁盘", .title_en = "delete disks", .weight = 5, .run = drop_disks},
    {.name = "backups",
     .title_zh = "删除备份",
     .title_en = "delete backups that go with it",
     .weight = 1,
     .run = drop_company},
};

const struct sv_job_kind sv_kind_vm_delete = {.name = "vm.delete",
                                              .title_zh = "删除云主机",
                                              .title_en = "delete VM",
                                              .lock_code = SV_LOCK_STOPPING,
                                              .deadline_ms = DELETE_LIMIT_MS,
                                              .resumable = true,
                                              .no_cancel = true,
                                              .frees = true,
                                              .ends_object = true,
                                              SV_STEPS(delete_steps),
                                              .end = end_delete};
