/* A template made of a VM: its system disk is copied out as it is, running or not, and imported like any image.
 * The VM is the job's object, so nothing changes it meanwhile; the template is the job's argument. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/host/host.h"
#include "core/image/template.h"
#include "core/vm/vm.h"

enum { CREATE_LIMIT_MS = 8 * 60 * 60 * 1000 };

char *sv_template_copy_path(const struct sv_cloud *c, const struct sv_id *id)
{
    return sv_asprintf("%s/copy/%s.qcow2", c->data_dir, id->s);
}

/* --- acceptance ----------------------------------------------------------------------------------------- */

static const char *os_of(struct sv_tx *tx, const struct sv_vm *vm)
{
    struct sv_template t;
    struct sv_error none;

    if (sv_id_empty(&vm->template_id))
        return "";
    return sv_template_get(tx, sv_scope_system(), &vm->template_id, sv_tx_arena(tx), &t, &none) ? "" : t.os;
}

/* Its size is known when it is made, and reserved then. */
static enum sv_err something_left(struct sv_tx *tx, const struct sv_id *tenant, struct sv_error *err)
{
    const struct sv_amounts least = {.images = 1};
    const enum sv_err rc = sv_tenant_reserve(tx, tenant, &least, err);

    return rc ? rc : sv_tenant_book_images(tx, tenant, -least.images, err);
}

enum sv_err sv_template_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                               const struct sv_template_new *in, const char *vm_id, struct sv_id *ret,
                               struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_vm vm;
    struct sv_template t = {.id = sv_id_new(),
                            .name = in->name,
                            .descr = in->descr ? in->descr : "",
                            .format = "qcow2",
                            .md5 = "",
                            .sha256 = "",
                            .state = SV_TEMPLATE_IMPORTING,
                            .created = sv_tx_now(tx)};
    enum sv_err rc = sv_vm_claim_devices(tx, who, vm_id, false, &vm, err);

    if (!rc)
        rc = sv_check_name(in->name, SV_F_TEMPLATE_NAME, err);
    if (!rc)
        rc = sv_check_descr(in->descr, SV_F_NONE, err);
    if (rc)
        return rc;
    t.tenant = vm.tenant;
    t.os = os_of(tx, &vm);
    SV_AUTOFREE char *source = sv_template_copy_path(c, &t.id);
    t.source = source;
    rc = something_left(tx, &t.tenant, err);
    if (!rc)
        rc = sv_template_insert(tx, &t, err);
    if (!rc)
        rc = sv_vm_accept(c, tx, &vm, &sv_kind_template_create, t.id.s, 1, 0, ret_startid, err);
    if (!rc)
        *ret = t.id;
    return rc;
}

/* --- steps ---------------------------------------------------------------------------------------------- */

static void on_progress(void *arg, int64_t done, int64_t total)
{
    sv_run_progress(arg, done, total);
}

/* Nobody lists it; QEMU, which may be another user, opens by name. */
static enum sv_err make_dir(const struct sv_cloud *c, struct sv_error *err)
{
    SV_AUTOFREE char *dir = sv_asprintf("%s/copy", c->data_dir);

    if (mkdir(dir, 0711) == 0 || errno == EEXIST)
        return SV_OK;
    return errno == ENOSPC ? sv_fail(err, SV_E_STORAGE_FULL, SV_F_NONE)
                           : sv_fail(err, SV_E_STORAGE, SV_F_NONE, "the directory of copies cannot be made");
}

static enum sv_err name_copy(const struct sv_vm_rows *rows, const struct sv_template *t, struct sv_hv_copy *ret,
                             struct sv_error *err)
{
    if (!rows->disk_count || !rows->disks[0].boot || !rows->disks[0].ready)
        return sv_fail(err, SV_E_VM_STATE, SV_F_VM, "without a system disk");
    if (strlen(t->source) >= sizeof(ret->path))
        return sv_fail(err, SV_E_STORAGE, SV_F_NONE, "the name of the data directory is too long");
    ret->disk = rows->disks[0].id;
    SV_COPY(ret->path, t->source);
    return SV_OK;
}

/* What an earlier run, which a crash ended, left on the host is ended first. */
static enum sv_err copy(struct sv_run *r, struct sv_error *err)
{
    const struct sv_deadline *d = sv_run_deadline(r);
    struct sv_hv_state now = {0};
    struct sv_vm_rows rows;
    struct sv_hv_copy one;
    struct sv_template t;
    struct sv_hv_host *h;
    bool quiesced = false;
    enum sv_err rc = sv_template_read(r, &t, err);

    if (rc || t.state == SV_TEMPLATE_READY)
        return rc;
    rc = sv_step_begin(r, &rows, &h, err);
    if (!rc)
        rc = name_copy(&rows, &t, &one, err);
    if (!rc)
        rc = SV_HV_CALL(h, copy_abort, &rows.vm.id, d);
    if (!rc)
        rc = SV_HV_CALL(h, state, &rows.vm.id, &now, d);
    if (!rc)
        rc = make_dir(sv_run_app(r), err);
    if (!rc)
        rc = SV_HV_CALL(h, copy_out, &rows.vm.id, &one, 1, &quiesced, on_progress, r, d);
    if (!rc && quiesced)
        sv_run_note(r, SV_LOG_INFO, SV_N_QUIESCED, NULL);
    else if (!rc && (now.power == SV_HV_RUNNING || now.power == SV_HV_PAUSED))
        sv_run_note(r, SV_LOG_WARN, SV_N_NOT_QUIESCED, NULL);
    return rc;
}

/* The file goes in any case, also while the host cannot be told to end the copy. */
static enum sv_err drop_copy(struct sv_run *r, struct sv_error *err)
{
    struct sv_template t;
    struct sv_hv_host *h;
    enum sv_err rc = sv_template_read(r, &t, err);

    if (rc)
        return rc;
    rc = sv_run_host(r, &h, err);
    if (!rc)
        rc = SV_HV_CALL(h, copy_abort, &sv_run_job(r)->object, sv_run_deadline(r));
    if (t.source[0])
        unlink(t.source);
    return rc;
}

/* --- end ------------------------------------------------------------------------------------------------ */

static enum sv_err end_create(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    struct sv_template t;

    (void)app;
    return sv_template_end_making(tx, job, result == SV_JOB_DONE, &t, err);
}

static const struct sv_step create_steps[] = {
    {.name = "copy",
     .title_zh = "复制系统盘",
     .title_en = "copy the system disk",
     .weight = 6,
     .run = copy,
     .undo = drop_copy},
    {.name = "import",
     .title_zh = "导入镜像",
     .title_en = "import the image",
     .weight = 4,
     .run = sv_step_template_import,
     .undo = sv_step_template_drop},
};

const struct sv_job_kind sv_kind_template_create = {.name = "template.create",
                                                    .title_zh = "由云主机制作模板",
                                                    .title_en = "make a template of a VM",
                                                    .lock_code = SV_LOCK_CLONING,
                                                    .deadline_ms = CREATE_LIMIT_MS,
                                                    .resumable = true,
                                                    .makes_sarg = true,
                                                    .left = sv_template_left,
                                                    .steps = create_steps,
                                                    .step_count = sizeof(create_steps) / sizeof(create_steps[0]),
                                                    .end = end_create};
