/* Disks without a VM ("pv"), on Ceph storages, for clusters that mount them themselves (StarVCenter 2.4.5). They
 * count in their tenant's storage quota as disks do. */
#include "core/storage/storage.h"

enum { PV_LIMIT_MS = 10 * 60 * 1000 };
enum { BEFORE = 0, AFTER = 1 }; /* iarg of extend */

static enum sv_err reserve(struct sv_tx *tx, const struct sv_id *tenant, int64_t bytes, struct sv_error *err)
{
    const struct sv_amounts a = {.storage = bytes};

    return sv_tenant_reserve(tx, tenant, &a, err);
}

/* --- acceptance ------------------------------------------------------------------------------------- */

static enum sv_err accept_job(struct sv_cloud *c, struct sv_tx *tx, const struct sv_disk *d, const struct sv_id *host,
                              const struct sv_job_kind *kind, int64_t before, int64_t after, struct sv_id *ret,
                              struct sv_error *err)
{
    const struct sv_job_spec spec = {.kind = kind,
                                     .tenant = d->tenant,
                                     .object = d->id,
                                     .host = *host,
                                     .object_type = "disk",
                                     .object_name = d->name,
                                     .iarg = {before, after},
                                     .sarg = d->id.s};

    return sv_jobs_accept(c->jobs, tx, &spec, ret, err);
}

static enum sv_err find_ceph(struct sv_tx *tx, const char *id, struct sv_storage *ret, struct sv_error *err)
{
    struct sv_id sid;
    enum sv_err rc = sv_check_id(id, SV_E_STORAGE_NOT_FOUND, SV_F_STORAGE, &sid, err);

    if (!rc)
        rc = sv_storage_get(tx, &sid, sv_tx_arena(tx), ret, err);
    if (!rc && !ret->ready)
        rc = sv_fail(err, SV_E_STORAGE_NOT_FOUND, SV_F_STORAGE);
    if (!rc && sv_storage_kind(ret->type) != SV_HV_POOL_RBD)
        rc = sv_fail(err, SV_E_STORAGE_TYPE, SV_F_STORAGE, ret->type, "ceph");
    return rc;
}

enum sv_err sv_pv_make(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const struct sv_pv_new *in,
                       struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_storage s;
    struct sv_disk d = {.id = sv_id_new(),
                        .name = in->name,
                        .descr = in->descr ? in->descr : "",
                        .target = "",
                        .size = in->size,
                        .use = in->use,
                        .created = sv_tx_now(tx)};
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = sv_check_name(in->name, SV_F_DISK_NAME, err);
    if (!rc)
        rc = sv_check_descr(in->descr, SV_F_NONE, err);
    if (!rc)
        rc = sv_check_disk(in->size, err);
    if (!rc && strcmp(in->use, "vm") != 0 && strcmp(in->use, "volume") != 0)
        rc = sv_fail(err, SV_E_PARAM_ENUM, SV_F_DISK, "vm, volume");
    if (!rc)
        rc = find_ceph(tx, in->storage, &s, err);
    if (!rc)
        rc = sv_owner(tx, who, in->tenant, &d.tenant, err);
    if (!rc)
        rc = reserve(tx, &d.tenant, d.size, err);
    if (rc)
        return rc;
    d.storage = s.id;
    rc = sv_disk_insert(tx, &d, err);
    return rc ? rc : accept_job(c, tx, &d, &s.host, &sv_kind_disk_pv, 0, d.size, ret_startid, err);
}

enum sv_err sv_pv_made(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const struct sv_id *startid,
                       struct sv_pv_made *ret, struct sv_error *err)
{
    struct sv_job job;
    struct sv_disk d;
    struct sv_storage s;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = sv_job_get(tx, sv_scope_system(), startid, sv_tx_arena(tx), &job, err);
    if (!rc)
        rc = sv_disk_get(tx, sv_scope_system(), &job.object, sv_tx_arena(tx), &d, err);
    if (!rc)
        rc = sv_storage_get(tx, &d.storage, sv_tx_arena(tx), &s, err);
    if (!rc)
        rc = sv_secret_get(c->secrets, tx, &s.id, SV_SECRET_CEPH, ret->key, sizeof(ret->key), err);
    if (rc)
        return rc;
    ret->disk = d.id;
    SV_COPY(ret->pool, s.pool);
    SV_COPY(ret->monitors, s.monitors);
    SV_COPY(ret->user, s.user);
    return SV_OK;
}

static enum sv_err host_of(struct sv_tx *tx, const struct sv_disk *d, struct sv_id *ret, struct sv_error *err)
{
    struct sv_storage s;
    enum sv_err rc = sv_storage_get(tx, &d->storage, sv_tx_arena(tx), &s, err);

    if (!rc)
        *ret = s.host;
    return rc;
}

enum sv_err sv_pv_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_disk *d, struct sv_id *ret_startid,
                         struct sv_error *err)
{
    struct sv_id host;
    enum sv_err rc = host_of(tx, d, &host, err);

    return rc ? rc : accept_job(c, tx, d, &host, &sv_kind_disk_pv_remove, 0, 0, ret_startid, err);
}

enum sv_err sv_pv_extend(struct sv_cloud *c, struct sv_tx *tx, const struct sv_disk *d, int64_t size,
                         struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_id host;
    enum sv_err rc = host_of(tx, d, &host, err);

    if (!rc && !sv_id_empty(&d->undo))
        rc = sv_fail(err, SV_E_UNDO_PENDING, SV_F_DISK, d->undo.s);
    if (!rc)
        rc = accept_job(c, tx, d, &host, &sv_kind_disk_pv_extend, d->size, size, ret_startid, err);
    if (!rc)
        rc = reserve(tx, &d->tenant, size - d->size, err);
    return rc ? rc : sv_disk_set_size(tx, &d->id, size, err);
}

/* --- steps ------------------------------------------------------------------------------------------ */

/* The row and its host, the storage open there; *ret_found false when the row is gone. */
static enum sv_err begin(struct sv_run *r, struct sv_disk *d, struct sv_hv_host **h, bool *ret_found,
                         struct sv_error *err)
{
    enum sv_err rc = sv_run_host(r, h, err);

    *ret_found = false;
    if (!rc)
        rc = sv_disk_read(sv_run_app(r), &sv_run_job(r)->object, sv_run_arena(r), d, err);
    if (rc == SV_E_DISK_NOT_FOUND)
        return SV_OK;
    *ret_found = !rc;
    return rc ? rc : sv_disks_open(sv_run_app(r), *h, d, 1, sv_run_arena(r), sv_run_deadline(r), err);
}

static enum sv_err make(struct sv_run *r, struct sv_error *err)
{
    struct sv_hv_host *h;
    struct sv_hv_disk v;
    struct sv_disk d;
    bool found;
    enum sv_err rc = begin(r, &d, &h, &found, err);

    if (rc || !found)
        return rc;
    v = sv_hv_disk_of(&d);
    return SV_HV_CALL(h, volume_create, &v, sv_run_deadline(r));
}

/* Marked first: a crash in between must not leave a row that claims its volume is there. */
static enum sv_err drop(struct sv_run *r, struct sv_error *err)
{
    struct sv_hv_host *h;
    struct sv_disk d;
    bool found;
    enum sv_err rc = begin(r, &d, &h, &found, err);

    if (!rc && found)
        rc = sv_step_disk_ready(sv_run_app(r), &d.id, false, err);
    return rc || !found ? rc : SV_HV_CALL(h, volume_delete, &d.id, sv_run_deadline(r));
}

static enum sv_err grow(struct sv_run *r, struct sv_error *err)
{
    const struct sv_job *job = sv_run_job(r);
    struct sv_hv_host *h;
    struct sv_disk d;
    bool found;
    enum sv_err rc = begin(r, &d, &h, &found, err);

    return rc || !found ? rc : SV_HV_CALL(h, volume_resize, &job->object, &d.id, job->iarg[AFTER], sv_run_deadline(r));
}

/* --- ends ------------------------------------------------------------------------------------------- */

static enum sv_err forget(struct sv_tx *tx, const struct sv_job *job, struct sv_error *err)
{
    struct sv_disk d;
    struct sv_error gone;
    enum sv_err rc = sv_disk_get(tx, sv_scope_system(), &job->object, sv_tx_arena(tx), &d, &gone);

    if (rc == SV_E_DISK_NOT_FOUND) /* its making was undone with its removal */
        return SV_OK;
    if (rc)
        *err = gone;
    else
        rc = reserve(tx, &d.tenant, -d.size, err);
    return rc ? rc : sv_disk_delete(tx, &d.id, err);
}

static enum sv_err end_make(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                            struct sv_error *err)
{
    enum sv_err rc;

    (void)app;
    if (result != SV_JOB_DONE)
        return forget(tx, job, err);
    rc = sv_disk_set_ready(tx, &job->object, true, err);
    return rc ? rc : sv_cloud_event(tx, "disk.add", "disk", &job->object, &job->tenant, job->object_name, err);
}

static enum sv_err end_remove(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    enum sv_err rc;

    (void)app;
    if (result != SV_JOB_DONE)
        return SV_OK;
    rc = forget(tx, job, err);
    return rc ? rc : sv_cloud_event(tx, "disk.remove", "disk", &job->object, &job->tenant, job->object_name, err);
}

static enum sv_err end_extend(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    enum sv_err rc;

    (void)app;
    if (result == SV_JOB_DONE)
        return sv_cloud_event(tx, "disk.extend", "disk", &job->object, &job->tenant,
                              sv_bytes(job->iarg[AFTER], SV_OF_DISK).s, err);
    rc = sv_disk_set_size(tx, &job->object, job->iarg[BEFORE], err);
    return rc ? rc : reserve(tx, &job->tenant, job->iarg[BEFORE] - job->iarg[AFTER], err);
}

/* --- rows ------------------------------------------------------------------------------------------- */

static const struct sv_step pv_steps[] = {
    {.name = "volume", .title_zh = "准备磁盘", .title_en = "prepare the disk", .weight = 1, .run = make, .undo = drop},
};
static const struct sv_step pv_remove_steps[] = {
    {.name = "volume", .title_zh = "删除磁盘", .title_en = "delete the disk", .weight = 1, .run = drop},
};
static const struct sv_step pv_extend_steps[] = {
    {.name = "grow", .title_zh = "扩容磁盘", .title_en = "grow the disk", .weight = 1, .run = grow},
};

const struct sv_job_kind sv_kind_disk_pv = {.name = "disk.pv",
                                            .title_zh = "创建空白磁盘",
                                            .title_en = "create a disk without a VM",
                                            .lock_code = SV_LOCK_MOVING,
                                            .deadline_ms = PV_LIMIT_MS,
                                            .resumable = true,
                                            SV_STEPS(pv_steps),
                                            .end = end_make};
const struct sv_job_kind sv_kind_disk_pv_remove = {.name = "disk.pv_remove",
                                                   .title_zh = "删除空白磁盘",
                                                   .title_en = "delete a disk without a VM",
                                                   .lock_code = SV_LOCK_MOVING,
                                                   .deadline_ms = PV_LIMIT_MS,
                                                   .resumable = true,
                                                   .no_cancel = true,
                                                   .frees = true,
                                                   .ends_object = true,
                                                   SV_STEPS(pv_remove_steps),
                                                   .end = end_remove};
const struct sv_job_kind sv_kind_disk_pv_extend = {.name = "disk.pv_extend",
                                                   .title_zh = "扩容空白磁盘",
                                                   .title_en = "grow a disk without a VM",
                                                   .lock_code = SV_LOCK_MOVING,
                                                   .deadline_ms = PV_LIMIT_MS,
                                                   .resumable = true,
                                                   .no_cancel = true,
                                                   SV_STEPS(pv_extend_steps),
                                                   .end = end_extend};
