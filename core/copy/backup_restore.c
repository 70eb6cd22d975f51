/* Restoring a VM in place: its disks become what the backup holds. The files are checked before the guest is
 * stopped; each disk is replaced whole or not at all. When some are and others are not, the VM stays off. */
#include "core/copy/backup.h"
#include "core/host/host.h"
#include "core/network/network.h"

enum { RESTORE_LIMIT_MS = 24 * 60 * 60 * 1000 };
enum { RAN = 0 }; /* iarg: the guest ran when the job was accepted */

/* --- what is known of the job's way so far ---------------------------------------------------------------- */

/* From its log, which is written before and after each disk is touched: it outlives a crash. */
struct way {
    const struct sv_job *job;
    unsigned begun, done;
    bool kept; /* the one that began was not changed after all */
};

static void see_line(void *arg, const struct sv_job_line *l)
{
    struct way *w = arg;

    w->begun += l->note == SV_N_DISK_RESTORING;
    w->done += l->note == SV_N_DISK_RESTORED;
    w->kept = w->kept || l->note == SV_N_DISKS_KEPT;
}

static enum sv_err read_way(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct way *w = arg;

    return sv_joblog_list(tx, &w->job->id, 0, see_line, w, err);
}

struct mark {
    const struct sv_job *job;
    enum sv_level level;
    enum sv_note note;
    const char *args[SV_ERR_ARGS];
    struct sv_id standalone; /* a disk that needs its template no more; empty: none */
};

static enum sv_err write_mark(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct mark *m = arg;
    enum sv_err rc = sv_joblog_add(tx, &m->job->id, (int)m->level, m->note, m->args, err);

    if (!rc && !sv_id_empty(&m->standalone))
        rc = sv_disk_set_standalone(tx, &m->standalone, err);
    return rc;
}

/* --- steps ------------------------------------------------------------------------------------------------ */

static enum sv_err begin(struct sv_run *r, struct sv_backup_rows *backup, struct sv_vm_rows *rows,
                         struct sv_hv_host **h, struct sv_error *err)
{
    const struct sv_id id = sv_id_from(sv_run_job(r)->sarg);
    enum sv_err rc = sv_backup_rows_read(sv_run_app(r), &id, sv_run_arena(r), backup, err);

    return rc ? rc : sv_step_begin(r, rows, h, err);
}

enum sv_err sv_step_backup_check(struct sv_run *r, struct sv_error *err)
{
    const struct sv_id id = sv_id_from(sv_run_job(r)->sarg);
    struct sv_backup_rows backup;
    enum sv_err rc = sv_backup_rows_read(sv_run_app(r), &id, sv_run_arena(r), &backup, err);

    return rc ? rc : sv_backup_check(r, &backup, err);
}

static enum sv_err stop(struct sv_run *r, struct sv_error *err)
{
    struct sv_hv_host *h;
    enum sv_err rc = sv_run_host(r, &h, err);

    return rc ? rc : SV_HV_CALL(h, destroy, &sv_run_job(r)->object, sv_run_deadline(r));
}

static enum sv_err boot(struct sv_run *r, struct sv_error *err)
{
    struct sv_hv_host *h;
    enum sv_err rc = sv_run_host(r, &h, err);

    if (!rc)
        rc = sv_network_apply_vm(sv_run_app(r), &sv_run_job(r)->object, sv_run_deadline(r), err);
    if (!rc)
        rc = sv_step_define(r, err);
    return rc ? rc : SV_HV_CALL(h, start, &sv_run_job(r)->object, sv_run_deadline(r));
}

/* A guest whose disks are all as they were runs again. */
static enum sv_err start_again(struct sv_run *r, struct sv_error *err)
{
    const struct sv_job *job = sv_run_job(r);
    struct way w = {.job = job};
    const enum sv_err rc = sv_db_read(sv_run_db(r), read_way, &w, err);

    if (rc || !job->iarg[RAN] || (w.begun && !w.kept))
        return rc;
    return boot(r, err);
}

struct loading {
    struct sv_run *r;
    struct sv_backup_rows backup;
    struct sv_vm_rows rows;
    const struct sv_disk *to[SV_HV_MAX_DISKS];
    struct sv_hv_host *h;
    struct sv_backup_progress p;
};

static enum sv_err load_one(struct loading *l, unsigned i, struct sv_error *err)
{
    const struct sv_backup_disk *from = &l->backup.disks[i];
    const struct sv_disk *to = l->to[i];
    const char *path = sv_backup_path(&l->backup, from, sv_run_arena(l->r));
    const struct sv_dec size = sv_bytes(from->bytes, 0);
    struct sv_hv_disk d = {.id = to->id, .size = to->size};
    struct mark m = {
        .job = sv_run_job(l->r), .level = SV_LOG_INFO, .note = SV_N_DISK_RESTORING, .args = {to->target, size.s}};
    enum sv_err rc = sv_db_write(sv_run_db(l->r), write_mark, &m, err);

    SV_COPY(d.target, to->target);
    if (to->elsewhere)
        d.pool = to->storage;
    sv_backup_progress_next(&l->p, from->bytes);
    if (!rc)
        rc = SV_HV_CALL(l->h, copy_in, &d, path, sv_backup_progress_copy, &l->p, sv_run_deadline(l->r));
    if (rc)
        return rc;
    m = (struct mark){
        .job = m.job, .level = SV_LOG_INFO, .note = SV_N_DISK_RESTORED, .args = {to->target}, .standalone = to->id};
    return sv_db_write(sv_run_db(l->r), write_mark, &m, err);
}

/* "vda, vdb" of the disks from `first` on, up to `end`. */
static const char *targets(const struct loading *l, unsigned first, unsigned end)
{
    const char *text = "";

    for (unsigned i = first; i < end; i++)
        text = sv_arena_printf(sv_run_arena(l->r), "%s%s%s", text, *text ? ", " : "", l->to[i]->target);
    return text;
}

/* A host that did not answer may have done it all the same. */
static bool is_certain(enum sv_err rc)
{
    return rc != SV_E_HOST_TIMEOUT && rc != SV_E_HOST_DOWN && rc != SV_E_JOB_DEADLINE;
}

/* Says, for people and for the undo, how the disks are left. */
static void tell_failure(const struct loading *l, unsigned at, enum sv_err rc)
{
    struct way w = {.job = sv_run_job(l->r)};
    struct sv_error e;
    struct mark m = {.job = w.job, .level = SV_LOG_INFO, .note = SV_N_DISKS_KEPT};

    if (sv_db_read(sv_run_db(l->r), read_way, &w, &e))
        return;
    if (at > 0 || w.done > 0 || w.begun > 1 || !is_certain(rc)) {
        m.level = SV_LOG_WARN;
        m.note = SV_N_RESTORE_PARTIAL;
        m.args[0] = at ? targets(l, 0, at) : "-";
        m.args[1] = targets(l, at, l->backup.disk_count);
    }
    (void)sv_db_write(sv_run_db(l->r), write_mark, &m, &e);
}

/* After a crash more may have been done than is recorded: a guest that runs from the restored disks already is
 * left alone, any other is not to. */
static enum sv_err make_way(const struct loading *l, bool *ret_loaded, struct sv_error *err)
{
    const struct sv_deadline *d = sv_run_deadline(l->r);
    struct way w = {.job = sv_run_job(l->r)};
    struct sv_hv_state now = {0};
    enum sv_err rc = SV_HV_CALL(l->h, state, &w.job->object, &now, d);

    if (!rc)
        rc = sv_db_read(sv_run_db(l->r), read_way, &w, err);
    if (rc || (now.power != SV_HV_RUNNING && now.power != SV_HV_PAUSED))
        return rc;
    *ret_loaded = w.done >= l->backup.disk_count;
    return *ret_loaded ? SV_OK : SV_HV_CALL(l->h, destroy, &w.job->object, d);
}

static enum sv_err load(struct sv_run *r, struct sv_error *err)
{
    struct loading l = {.r = r};
    bool loaded = false;
    unsigned i = 0;
    enum sv_err rc = begin(r, &l.backup, &l.rows, &l.h, err);

    if (!rc)
        rc = sv_backup_match(&l.backup, &l.rows, l.to, err);
    if (!rc)
        rc = make_way(&l, &loaded, err);
    if (rc || loaded)
        return rc;
    l.p = sv_backup_progress_of(r, &l.backup);
    while (!rc && i < l.backup.disk_count) {
        rc = load_one(&l, i, err);
        i += !rc;
    }
    if (rc)
        tell_failure(&l, i, rc);
    return rc;
}

static enum sv_err start_if_it_ran(struct sv_run *r, struct sv_error *err)
{
    return sv_run_job(r)->iarg[RAN] ? boot(r, err) : sv_step_define(r, err);
}

static enum sv_err end_restore(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                               struct sv_error *err)
{
    struct sv_vm vm;
    enum sv_err rc;

    (void)app;
    if (result != SV_JOB_DONE)
        return SV_OK;
    rc = job->iarg[RAN] ? sv_step_running(tx, job, err) : sv_step_stopped(tx, job, err);
    if (!rc)
        rc = sv_vm_get(tx, sv_scope_system(), &job->object, sv_tx_arena(tx), &vm, err);
    if (!rc && job->iarg[RAN]) /* it booted anew, with all that is defined */
        rc = sv_vm_set_live(tx, &job->object, vm.vcpus, vm.memory, err);
    return rc ? rc : sv_cloud_event(tx, "backup.restore", "vm", &job->object, &job->tenant, job->sarg, err);
}

/* --- rows --------------------------------------------------------------------------------------------------- */

static const struct sv_step restore_steps[] = {
    {.name = "check", .title_zh = "校验备份", .title_en = "check the backup", .weight = 2, .run = sv_step_backup_check},
    {.name = "stop",
     .title_zh = "停止云主机",
     .title_en = "stop the VM",
     .weight = 1,
     .run = stop,
     .undo = start_again},
    {.name = "load", .title_zh = "恢复磁盘", .title_en = "restore the disks", .weight = 6, .run = load},
    {.name = "start",
     .title_zh = "恢复运行状态",
     .title_en = "start the VM if it ran",
     .weight = 1,
     .run = start_if_it_ran},
};

const struct sv_job_kind sv_kind_backup_restore = {.name = "backup.restore",
                                                   .title_zh = "恢复云主机备份",
                                                   .title_en = "restore VM from backup",
                                                   .lock_code = SV_LOCK_MOVING,
                                                   .deadline_ms = RESTORE_LIMIT_MS,
                                                   .resumable = true,
                                                   SV_STEPS(restore_steps),
                                                   .end = end_restore};
