/* The jobs that make and remove backups: all disks at one moment, then their checksums; what is older than
 * the number to be kept goes with the success of a new one. */
#include "core/alarm/alarm.h"
#include "core/copy/backup.h"
#include "core/host/host.h"

enum { CREATE_LIMIT_MS = 24 * 60 * 60 * 1000, DELETE_LIMIT_MS = 30 * 60 * 1000 };

/* --- create ------------------------------------------------------------------------------------------- */

static enum sv_err begin(struct sv_run *r, struct sv_backup_rows *rows, struct sv_error *err)
{
    const struct sv_id id = sv_id_from(sv_run_job(r)->sarg);

    return sv_backup_rows_read(sv_run_app(r), &id, sv_run_arena(r), rows, err);
}

struct quiesced {
    struct sv_id id;
    bool yes;
};

static enum sv_err write_quiesced(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct quiesced *q = arg;

    return sv_backup_set_state(tx, &q->id, SV_BACKUP_MAKING, q->yes, err);
}

static enum sv_err name_copies(struct sv_run *r, const struct sv_backup_rows *rows, struct sv_hv_copy *copies,
                               struct sv_error *err)
{
    for (unsigned i = 0; i < rows->disk_count; i++) {
        const char *path = sv_backup_path(rows, &rows->disks[i], sv_run_arena(r));

        if (strlen(path) >= sizeof(copies[i].path))
            return sv_fail(err, SV_E_STORAGE, SV_F_NONE, "backup: the name of the directory is too long");
        copies[i].disk = rows->disks[i].disk;
        SV_COPY(copies[i].path, path);
    }
    return SV_OK;
}

static void on_progress(void *arg, int64_t done, int64_t total)
{
    sv_run_progress(arg, done, total);
}

/* What an earlier run, which a crash ended, left on the host is ended first. */
static enum sv_err copy(struct sv_run *r, struct sv_error *err)
{
    const struct sv_id *vm = &sv_run_job(r)->object;
    const struct sv_deadline *d = sv_run_deadline(r);
    struct sv_hv_copy copies[SV_HV_MAX_DISKS];
    struct sv_backup_rows rows;
    struct sv_hv_state now = {0};
    struct sv_hv_host *h;
    struct quiesced q = {.id = sv_id_from(sv_run_job(r)->sarg)};
    enum sv_err rc = begin(r, &rows, err);

    if (!rc)
        rc = name_copies(r, &rows, copies, err);
    if (!rc)
        rc = sv_run_host(r, &h, err);
    if (!rc)
        rc = SV_HV_CALL(h, copy_abort, vm, d);
    if (!rc)
        rc = SV_HV_CALL(h, state, vm, &now, d);
    if (!rc)
        rc = sv_backup_dir_make(sv_run_app(r), rows.dir, err);
    if (!rc)
        rc = SV_HV_CALL(h, copy_out, vm, copies, rows.disk_count, &q.yes, on_progress, r, d);
    if (!rc && q.yes)
        sv_run_note(r, SV_LOG_INFO, SV_N_QUIESCED, NULL);
    else if (!rc && (now.power == SV_HV_RUNNING || now.power == SV_HV_PAUSED))
        sv_run_note(r, SV_LOG_WARN, SV_N_NOT_QUIESCED, NULL);
    return rc ? rc : sv_db_write(sv_run_db(r), write_quiesced, &q, err);
}

/* The files go in any case, also while the host cannot be told to end the copy. */
static enum sv_err drop_copy(struct sv_run *r, struct sv_error *err)
{
    struct sv_backup_rows rows;
    struct sv_hv_host *h;
    enum sv_err rc = begin(r, &rows, err), aborted;

    if (rc)
        return rc;
    aborted = sv_run_host(r, &h, err);
    if (!aborted)
        aborted = SV_HV_CALL(h, copy_abort, &sv_run_job(r)->object, sv_run_deadline(r));
    rc = aborted ? sv_backup_dir_remove(rows.dir, NULL) : sv_backup_dir_remove(rows.dir, err);
    return aborted ? aborted : rc;
}

struct file_args {
    struct sv_cloud *c;
    struct sv_id id;
    const char *target;
    int64_t bytes;
    char sha256[65];
};

static enum sv_err write_file(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct file_args *a = arg;

    return sv_backup_book(a->c, tx, &a->id, a->target, a->bytes, a->sha256, err);
}

static enum sv_err seal(struct sv_run *r, struct sv_error *err)
{
    struct sv_backup_progress p;
    struct sv_backup_rows rows;
    enum sv_err rc = begin(r, &rows, err);

    if (rc)
        return rc;
    for (unsigned i = 0; i < rows.disk_count; i++)
        rows.disks[i].bytes = sv_backup_file_size(sv_backup_path(&rows, &rows.disks[i], sv_run_arena(r)));
    p = sv_backup_progress_of(r, &rows);
    for (unsigned i = 0; !rc && i < rows.disk_count; i++) {
        const struct sv_backup_disk *d = &rows.disks[i];
        struct file_args a = {.c = sv_run_app(r), .id = rows.b.id, .target = d->target};

        sv_backup_progress_next(&p, d->bytes);
        rc = sv_backup_seal(&p, sv_backup_path(&rows, d, sv_run_arena(r)), &a.bytes, a.sha256, err);
        if (!rc)
            rc = sv_db_write(sv_run_db(r), write_file, &a, err);
        if (!rc)
            sv_run_note(r, SV_LOG_INFO, SV_N_BACKUP_TAKEN, d->target, sv_bytes(a.bytes, 0).s, a.sha256, NULL);
    }
    return rc ? rc : sv_backup_dir_sync(rows.dir, err);
}

/* --- keeping N ------------------------------------------------------------------------------------------ */

struct ready {
    struct sv_arena *a;
    struct sv_backup *v;
    size_t n, cap;
};

static void add_ready(void *arg, const struct sv_backup *b)
{
    struct ready *l = arg;

    if (b->state != SV_BACKUP_READY)
        return;
    l->v = sv_grow(l->v, l->n, &l->cap, sizeof(*l->v));
    l->v[l->n] = *b;
    l->v[l->n++].name = sv_arena_strdup(l->a, b->name);
}

static enum sv_err expire_one(struct sv_cloud *c, struct sv_tx *tx, const struct sv_job *job, const struct sv_backup *b,
                              struct sv_error *err)
{
    const struct sv_dec keep = sv_dec(c->backup_keep);
    const char *const args[SV_ERR_ARGS] = {b->name, keep.s};
    struct sv_id startid;
    enum sv_err rc = sv_backup_unused(tx, &b->id, err);

    if (rc == SV_E_BACKUP_LOCKED) /* is read or removed just now: the next backup looks again */
        return SV_OK;
    if (!rc)
        rc = sv_backup_accept_delete(c, tx, b, true, &startid, err);
    if (rc == SV_E_SHUTTING_DOWN) /* likewise */
        return SV_OK;
    if (!rc)
        rc = sv_backup_drop(tx, &b->id, err);
    if (!rc)
        rc = sv_cloud_event(tx, "backup.delete", "backup", &b->id, &b->tenant, b->vm.s, err);
    return rc ? rc : sv_joblog_add(tx, &job->id, SV_LOG_INFO, SV_N_BACKUP_EXPIRED, args, err);
}

/* In the transaction that makes the new one good, and never before: neither a failure nor a cancellation of
 * it costs an old one. Their rows go here, their files by jobs of their own. The new one stays, also when others are
 * dated later: the clock was ahead then. */
static enum sv_err expire(struct sv_cloud *c, struct sv_tx *tx, const struct sv_job *job, struct sv_error *err)
{
    struct ready l = {.a = sv_tx_arena(tx)};
    enum sv_err rc = SV_OK;
    size_t left;

    if (c->backup_keep <= 0)
        return SV_OK;
    rc = sv_backup_list_vm(tx, sv_scope_system(), &job->object, add_ready, &l, err);
    left = l.n;
    for (size_t i = 0; !rc && i < l.n && left > (size_t)c->backup_keep; i++) {
        if (strcmp(l.v[i].id.s, job->sarg) == 0)
            continue;
        rc = expire_one(c, tx, job, &l.v[i], err);
        left--;
    }
    free(l.v);
    return rc;
}

static enum sv_err raise_failed(struct sv_tx *tx, const struct sv_job *job, struct sv_error *err)
{
    const bool known = job->error_symbol && job->error_symbol[0];
    const struct sv_alarm_new failed = {
        .type = SV_ALARM_BACKUP,
        .object = job->object,
        .args = {known ? job->error_symbol : sv_err_symbol(SV_E_JOB_ABORTED), known ? job->error_args[0] : NULL}};

    return sv_alarm_raise(tx, &failed, err);
}

static enum sv_err give_up(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result,
                           const struct sv_id *id, struct sv_error *err)
{
    enum sv_err rc = sv_backup_drop(tx, id, err);

    if (!rc && result != SV_JOB_CANCELLED)
        rc = raise_failed(tx, job, err);
    return rc ? rc : sv_cloud_event(tx, "backup.failed", "backup", id, &job->tenant, job->object.s, err);
}

static enum sv_err end_create(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    const struct sv_id id = sv_id_from(job->sarg);
    struct sv_backup b;
    enum sv_err rc;

    if (result != SV_JOB_DONE)
        return give_up(tx, job, result, &id, err);
    rc = sv_backup_get(tx, sv_scope_system(), &id, sv_tx_arena(tx), &b, err);
    if (!rc)
        rc = sv_backup_set_state(tx, &id, SV_BACKUP_READY, b.quiesced, err);
    if (!rc)
        rc = expire(app, tx, job, err);
    if (!rc)
        rc = sv_alarm_relieve(tx, SV_ALARM_BACKUP, &job->object, err);
    return rc ? rc : sv_cloud_event(tx, "backup.ready", "backup", &id, &job->tenant, job->object.s, err);
}

/* --- delete --------------------------------------------------------------------------------------------- */

struct dir_args {
    struct sv_run *r;
    const char *dir;
};

static enum sv_err read_dir(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct dir_args *a = arg;
    const struct sv_job *job = sv_run_job(a->r);
    const struct sv_id storage = sv_id_from(job->sarg);

    return sv_backup_dir_of(sv_run_app(a->r), tx, &storage, &job->object, sv_run_arena(a->r), &a->dir, err);
}

/* Files, then the row: what is left by a crash between them is still known. */
static enum sv_err drop_files(struct sv_run *r, struct sv_error *err)
{
    struct dir_args a = {.r = r};
    const enum sv_err rc = sv_db_read(sv_run_db(r), read_dir, &a, err);

    return rc ? rc : sv_backup_dir_remove(a.dir, err);
}

static enum sv_err end_delete(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    struct sv_backup b;
    struct sv_error gone;
    enum sv_err rc;

    (void)app;
    if (result != SV_JOB_DONE)
        return SV_OK;
    rc = sv_backup_get(tx, sv_scope_system(), &job->object, sv_tx_arena(tx), &b, &gone);
    if (rc == SV_E_BACKUP_NOT_FOUND) /* it went when there were too many */
        return SV_OK;
    rc = sv_backup_drop(tx, &job->object, err);
    return rc ? rc : sv_cloud_event(tx, "backup.delete", "backup", &job->object, &job->tenant, b.vm.s, err);
}

/* --- rows ----------------------------------------------------------------------------------------------- */

static const struct sv_step create_steps[] = {
    {.name = "copy", .title_zh = "复制磁盘", .title_en = "copy the disks", .weight = 8, .run = copy, .undo = drop_copy},
    {.name = "checksum", .title_zh = "计算校验和", .title_en = "take the checksums", .weight = 2, .run = seal},
};
static const struct sv_step delete_steps[] = {
    {.name = "files", .title_zh = "删除备份文件", .title_en = "delete the files", .weight = 1, .run = drop_files},
};

const struct sv_job_kind sv_kind_backup_create = {.name = "backup.create",
                                                  .title_zh = "创建云主机备份",
                                                  .title_en = "back up VM",
                                                  .lock_code = SV_LOCK_MOVING,
                                                  .deadline_ms = CREATE_LIMIT_MS,
                                                  .resumable = true,
                                                  .makes_sarg = true,
                                                  SV_STEPS(create_steps),
                                                  .end = end_create};
const struct sv_job_kind sv_kind_backup_delete = {.name = "backup.delete",
                                                  .title_zh = "删除云主机备份",
                                                  .title_en = "delete backup",
                                                  .lock_code = SV_LOCK_MOVING,
                                                  .deadline_ms = DELETE_LIMIT_MS,
                                                  .resumable = true,
                                                  .no_cancel = true,
                                                  .frees = true,
                                                  .ends_object = true,
                                                  SV_STEPS(delete_steps),
                                                  .end = end_delete};
