/* Snapshots of a VM: acceptance, steps and ends (StarVCenter 2.7; docs/ARCHITECTURE.md, "Snapshots").
 *
 * What a snapshot holds of a running guest goes back into the same devices and size only: its `shape`. All
 * else of a VM, its rows say: a restore changes what is on its disks, no row of a disk, a NIC or a size. */
#include "core/copy/copy.h"
#include "core/host/host.h"
#include "core/network/network.h"
#include "starvirt/store_copy.h"

/* [ms] memory is written out and read back whole; how long an answer is waited for */
enum { SNAPSHOT_LIMIT_MS = 60 * 60 * 1000, ANSWER_LIMIT_MS = 45 * 1000 };

/* --- shape ------------------------------------------------------------------------------------------- */

struct size {
    int64_t vcpus, memory;
};

static const char *join(struct sv_arena *a, const char *list, const struct sv_id *id)
{
    return sv_arena_printf(a, "%s%s%s", list, *list ? "," : "", id->s);
}

static const char *disk_list(const struct sv_vm_rows *rows, struct sv_arena *a)
{
    const char *list = "";

    for (unsigned i = 0; i < rows->disk_count; i++)
        list = join(a, list, &rows->disks[i].id);
    return list;
}

static const char *nic_list(const struct sv_vm_rows *rows, struct sv_arena *a)
{
    const char *list = "";

    for (unsigned i = 0; i < rows->nic_count; i++)
        list = join(a, list, &rows->nics[i].id);
    return list;
}

/* "off", or what a running guest has: "vCPU=2 memory=1073741824 disk=ID,ID NIC=ID". */
static const char *shape_of(const struct sv_vm_rows *rows, const struct size *live, struct sv_arena *a)
{
    if (!live)
        return "off";
    return sv_arena_printf(a, "vCPU=%lld memory=%lld disk=%s NIC=%s", (long long)live->vcpus, (long long)live->memory,
                           disk_list(rows, a), nic_list(rows, a));
}

static bool was_on(const struct sv_snapshot *s)
{
    return strcmp(s->shape, "off") != 0;
}

/* The first word of two shapes that differs: "vCPU"; NULL when they are the same. */
static const char *differs(const char *a, const char *b, struct sv_arena *arena)
{
    while (*a || *b) {
        const size_t n = strcspn(a, " "), m = strcspn(b, " ");

        if (n != m || memcmp(a, b, n) != 0)
            return sv_arena_strndup(arena, b, strcspn(b, "= "));
        a += n + (a[n] == ' ');
        b += m + (b[m] == ' ');
    }
    return NULL;
}

/* NULL: the memory goes back. Else why it does not. */
static const char *memory_left(const struct sv_snapshot *s, const struct sv_vm_rows *rows, struct sv_arena *a)
{
    const struct size size = {rows->vm.vcpus, rows->vm.memory};
    const char *what;

    if (!s->memory)
        return "a vCPU had been added to the running guest before the snapshot";
    what = differs(s->shape, shape_of(rows, &size, a), a);
    return what ? sv_arena_printf(a, "%s of the VM changed since the snapshot", what) : NULL;
}

/* --- acceptance -------------------------------------------------------------------------------------- */

static enum sv_err find(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_snapshot *ret,
                        struct sv_error *err)
{
    struct sv_id sid;
    enum sv_err rc = sv_check_id(id, SV_E_SNAPSHOT_NOT_FOUND, SV_F_SNAPSHOT, &sid, err);

    return rc ? rc : sv_snapshot_get(tx, sv_scope_of(who), &sid, sv_tx_arena(tx), ret, err);
}

static enum sv_err check_room(struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err)
{
    unsigned n;
    enum sv_err rc = sv_snapshot_count(tx, vm, &n, err);

    if (!rc && n >= SV_MAX_SNAPSHOTS)
        rc = sv_fail(err, SV_E_SNAPSHOT_LIMIT, SV_F_VM, sv_dec(SV_MAX_SNAPSHOTS).s);
    return rc;
}

static enum sv_err insert(struct sv_tx *tx, const struct sv_snapshot *s, struct sv_error *err)
{
    struct sv_vm_rows rows;
    struct sv_id disks[SV_HV_MAX_DISKS];
    int64_t sizes[SV_HV_MAX_DISKS];
    enum sv_err rc = sv_vm_rows_in(tx, &s->vm, sv_tx_arena(tx), &rows, err);

    for (unsigned i = 0; !rc && i < rows.disk_count; i++) {
        disks[i] = rows.disks[i].id;
        sizes[i] = rows.disks[i].size;
    }
    return rc ? rc : sv_snapshot_insert(tx, s, disks, sizes, rows.disk_count, err);
}

enum sv_err sv_snapshot_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                               const char *name, const char *descr, struct sv_snapshot_made *ret, struct sv_error *err)
{
    struct sv_snapshot s = {
        .id = sv_id_new(), .name = name, .descr = descr ? descr : "", .shape = "off", .created = sv_tx_now(tx)};
    struct sv_vm row;
    enum sv_err rc = sv_vm_claim_devices(tx, who, vm, false, &row, err);

    if (!rc)
        rc = sv_check_name(name, SV_F_SNAPSHOT_NAME, err);
    if (!rc)
        rc = sv_check_descr(descr, SV_F_SNAPSHOT_DESC, err);
    if (!rc)
        rc = check_room(tx, &row.id, err);
    if (!rc)
        rc = sv_snapshot_current(tx, &row.id, &s.parent, err);
    if (rc)
        return rc;
    s.tenant = row.tenant;
    s.vm = row.id;
    rc = insert(tx, &s, err);
    if (!rc)
        rc = sv_vm_accept(c, tx, &row, &sv_kind_snapshot_create, s.id.s, 0, 0, &ret->startid, err);
    ret->snapshot = s.id;
    return rc;
}

enum sv_err sv_snapshot_restore(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *snapshot,
                                struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_snapshot s;
    struct sv_vm vm;
    enum sv_err rc = find(tx, who, snapshot, &s, err);

    if (!rc)
        rc = sv_vm_claim_devices(tx, who, s.vm.s, false, &vm, err);
    if (!rc && !s.ready)
        rc = sv_fail(err, SV_E_SNAPSHOT_BROKEN, SV_F_SNAPSHOT);
    return rc ? rc : sv_vm_accept(c, tx, &vm, &sv_kind_snapshot_restore, s.id.s, 0, 0, ret_startid, err);
}

enum sv_err sv_snapshot_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *snapshot,
                               struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_snapshot s;
    struct sv_vm vm;
    enum sv_err rc = find(tx, who, snapshot, &s, err);

    if (!rc)
        rc = sv_vm_claim(tx, who, s.vm.s, &vm, err);
    return rc ? rc : sv_vm_accept(c, tx, &vm, &sv_kind_snapshot_delete, s.id.s, 0, 0, ret_startid, err);
}

enum sv_err sv_snapshot_search(struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                               void (*row)(void *arg, const struct sv_snapshot *s), void *arg, struct sv_error *err)
{
    struct sv_vm seen;
    enum sv_err rc = sv_vm_find(tx, who, vm, sv_tx_arena(tx), &seen, err);

    return rc ? rc : sv_snapshot_list_vm(tx, sv_scope_of(who), &seen.id, row, arg, err);
}

enum sv_err sv_snapshot_describe(struct sv_tx *tx, const struct sv_actor *who, const char *snapshot, const char *descr,
                                 struct sv_error *err)
{
    struct sv_snapshot s;
    enum sv_err rc = find(tx, who, snapshot, &s, err);

    if (!rc)
        rc = sv_check_descr(descr, SV_F_SNAPSHOT_DESC, err);
    return rc || !descr ? rc : sv_snapshot_set_descr(tx, sv_scope_of(who), &s.id, descr, err);
}

/* --- create ------------------------------------------------------------------------------------------ */

struct turned_out {
    struct sv_id snapshot;
    const char *shape;
    bool memory;
};

static enum sv_err write_shape(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct turned_out *t = arg;

    return sv_snapshot_set_shape(tx, &t->snapshot, t->shape, t->memory, err);
}

/* The host is asked what runs, not the row: a guest may have ended since the job was accepted. */
static enum sv_err take(struct sv_run *r, struct sv_error *err)
{
    struct turned_out out = {.snapshot = sv_id_from(sv_run_job(r)->sarg)};
    struct sv_vm_rows rows;
    struct sv_hv_host *h;
    struct sv_hv_state s = {0};
    enum sv_err rc = sv_step_begin(r, &rows, &h, err);

    if (!rc)
        rc = SV_HV_CALL(h, state, &rows.vm.id, &s, sv_run_deadline(r));
    if (!rc)
        rc = SV_HV_CALL(h, snapshot_create, &rows.vm.id, &out.snapshot, &out.memory, sv_run_deadline(r));
    if (rc)
        return rc;
    const bool on = out.memory || s.power == SV_HV_RUNNING || s.power == SV_HV_PAUSED;
    const struct size live = {s.vcpus ? s.vcpus : rows.vm.vcpus, s.memory ? s.memory : rows.vm.memory};
    out.shape = shape_of(&rows, on ? &live : NULL, sv_run_arena(r));
    rc = sv_db_write(sv_run_db(r), write_shape, &out, err);
    if (!rc)
        sv_run_note(r, SV_LOG_INFO, SV_N_SNAPSHOT_TAKEN, out.memory ? "disks + memory" : "disks", NULL);
    if (!rc && out.memory && s.power == SV_HV_RUNNING) /* it stood still while its memory was written */
        sv_clock_set(r, h, 0, false);
    return rc;
}

static enum sv_err drop(struct sv_run *r, struct sv_error *err)
{
    const struct sv_id id = sv_id_from(sv_run_job(r)->sarg);
    struct sv_hv_host *h;
    enum sv_err rc = sv_run_host(r, &h, err);

    return rc ? rc : SV_HV_CALL(h, snapshot_delete, &sv_run_job(r)->object, &id, sv_run_deadline(r));
}

static enum sv_err event(struct sv_tx *tx, const char *type, const struct sv_job *job, struct sv_error *err)
{
    const struct sv_id id = sv_id_from(job->sarg);

    return sv_cloud_event(tx, type, "snapshot", &id, &job->tenant, job->object.s, err);
}

static enum sv_err end_create(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    const struct sv_id id = sv_id_from(job->sarg);
    enum sv_err rc;

    (void)app;
    if (result != SV_JOB_DONE)
        return sv_snapshot_delete(tx, &id, err);
    rc = sv_snapshot_taken(tx, &id, err);
    return rc ? rc : event(tx, "snapshot.create", job, err);
}

/* --- restore ----------------------------------------------------------------------------------------- */

struct fetch {
    struct sv_id id;
    struct sv_arena *a;
    struct sv_snapshot ret;
};

static enum sv_err fetch(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct fetch *f = arg;

    return sv_snapshot_get(tx, sv_scope_system(), &f->id, f->a, &f->ret, err);
}

/* The rows do not change while the job holds the VM: each step comes to the same. */
static enum sv_err begin(struct sv_run *r, struct sv_vm_rows *rows, struct sv_hv_host **h, struct sv_snapshot *s,
                         const char **ret_left, struct sv_error *err)
{
    struct fetch f = {.id = sv_id_from(sv_run_job(r)->sarg), .a = sv_run_arena(r), .ret = {.shape = ""}};
    enum sv_err rc = sv_step_begin(r, rows, h, err);

    if (!rc)
        rc = sv_db_read(sv_run_db(r), fetch, &f, err);
    if (rc)
        return rc;
    *s = f.ret;
    *ret_left = was_on(s) ? memory_left(s, rows, sv_run_arena(r)) : NULL;
    return SV_OK;
}

static enum sv_err mend_network(struct sv_run *r, struct sv_error *err)
{
    return sv_network_apply_vm(sv_run_app(r), &sv_run_job(r)->object, sv_run_deadline(r), err);
}

static enum sv_err write_current(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_snapshot_set_current(tx, arg, err);
}

static enum sv_err go_back(struct sv_run *r, struct sv_error *err)
{
    struct sv_vm_rows rows;
    struct sv_hv_domain dom;
    struct sv_hv_host *h;
    struct sv_snapshot s;
    const char *left;
    enum sv_err rc = begin(r, &rows, &h, &s, &left, err);

    if (!rc)
        rc = sv_vm_rows_domain(sv_run_app(r), &rows, &dom, err);
    if (rc)
        return rc;
    if (left)
        sv_run_note(r, SV_LOG_WARN, SV_N_MEMORY_LEFT, left, NULL);
    rc = SV_HV_CALL(h, snapshot_restore, &dom, &s.id, was_on(&s) && !left, sv_run_deadline(r));
    return rc ? rc : sv_db_write(sv_run_db(r), write_current, &s.id, err);
}

/* A guest that ran then runs again, from its disks where its memory did not fit. */
static enum sv_err start(struct sv_run *r, struct sv_error *err)
{
    struct sv_vm_rows rows;
    struct sv_hv_host *h;
    struct sv_snapshot s;
    const char *left;
    enum sv_err rc = begin(r, &rows, &h, &s, &left, err);

    return rc || !left ? rc : SV_HV_CALL(h, start, &rows.vm.id, sv_run_deadline(r));
}

static enum sv_err set_clock(struct sv_run *r, struct sv_error *err)
{
    struct sv_vm_rows rows;
    struct sv_hv_host *h;
    struct sv_snapshot s;
    const char *left;
    const enum sv_err rc = begin(r, &rows, &h, &s, &left, err);

    if (!rc && was_on(&s) && !left)
        sv_clock_set(r, h, SV_AGENT_BACK_MS, true);
    return rc;
}

/* The guest runs in another process than before, with the size that the rows say. */
static enum sv_err runs_anew(struct sv_tx *tx, const struct sv_job *job, struct sv_error *err)
{
    struct sv_vm vm;
    enum sv_err rc = sv_step_running(tx, job, err);

    if (!rc)
        rc = sv_vm_get(tx, sv_scope_system(), &job->object, sv_tx_arena(tx), &vm, err);
    return rc ? rc : sv_vm_set_live(tx, &vm.id, vm.vcpus, vm.memory, err);
}

static enum sv_err end_restore(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                               struct sv_error *err)
{
    struct fetch f = {.id = sv_id_from(job->sarg), .a = sv_tx_arena(tx), .ret = {.shape = ""}};
    enum sv_err rc;

    (void)app;
    if (result != SV_JOB_DONE)
        return SV_OK;
    rc = fetch(tx, &f, err);
    if (!rc)
        rc = was_on(&f.ret) ? runs_anew(tx, job, err) : sv_step_stopped(tx, job, err);
    return rc ? rc : event(tx, "snapshot.restore", job, err);
}

/* --- delete ------------------------------------------------------------------------------------------ */

static enum sv_err write_broken(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_snapshot_set_broken(tx, arg, err);
}

/* Marked first: what is half gone must not be offered for a restore. */
static enum sv_err drop_for_good(struct sv_run *r, struct sv_error *err)
{
    struct sv_id id = sv_id_from(sv_run_job(r)->sarg);
    struct sv_hv_host *h;
    enum sv_err rc = sv_run_host(r, &h, err);

    if (!rc)
        rc = sv_db_write(sv_run_db(r), write_broken, &id, err);
    return rc ? rc : drop(r, err);
}

static enum sv_err end_delete(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    const struct sv_id id = sv_id_from(job->sarg);
    enum sv_err rc;

    (void)app;
    if (result != SV_JOB_DONE)
        return SV_OK;
    rc = sv_snapshot_delete(tx, &id, err);
    return rc ? rc : event(tx, "snapshot.delete", job, err);
}

/* --- rows -------------------------------------------------------------------------------------------- */

static const struct sv_step create_steps[] = {
    {.name = "take", .title_zh = "创建快照", .title_en = "take the snapshot", .weight = 1, .run = take, .undo = drop},
};
static const struct sv_step restore_steps[] = {
    {.name = "network", .title_zh = "检查网络", .title_en = "check network", .weight = 1, .run = mend_network},
    {.name = "restore", .title_zh = "还原快照", .title_en = "go back to the snapshot", .weight = 7, .run = go_back},
    {.name = "start", .title_zh = "启动云主机", .title_en = "start the VM", .weight = 2, .run = start},
    {.name = "clock", .title_zh = "校准时钟", .title_en = "set the guest's clock", .weight = 1, .run = set_clock},
};
static const struct sv_step delete_steps[] = {
    {.name = "drop", .title_zh = "删除快照", .title_en = "delete the snapshot", .weight = 1, .run = drop_for_good},
};

const struct sv_job_kind sv_kind_snapshot_create = {.name = "snapshot.create",
                                                    .title_zh = "创建快照",
                                                    .title_en = "create snapshot",
                                                    .lock_code = SV_LOCK_SNAPSHOT,
                                                    .deadline_ms = SNAPSHOT_LIMIT_MS,
                                                    .resumable = true,
                                                    .makes_sarg = true,
                                                    SV_STEPS(create_steps),
                                                    .end = end_create};
const struct sv_job_kind sv_kind_snapshot_restore = {.name = "snapshot.restore",
                                                     .title_zh = "还原快照",
                                                     .title_en = "restore snapshot",
                                                     .lock_code = SV_LOCK_SNAPSHOT_BACK,
                                                     .deadline_ms = SNAPSHOT_LIMIT_MS,
                                                     .resumable = true,
                                                     .no_cancel = true,
                                                     SV_STEPS(restore_steps),
                                                     .end = end_restore};
/* The document has no code of its own for it. */
const struct sv_job_kind sv_kind_snapshot_delete = {.name = "snapshot.delete",
                                                    .title_zh = "删除快照",
                                                    .title_en = "delete snapshot",
                                                    .lock_code = SV_LOCK_SNAPSHOT,
                                                    .deadline_ms = SNAPSHOT_LIMIT_MS,
                                                    .resumable = true,
                                                    .no_cancel = true,
                                                    .frees = true,
                                                    SV_STEPS(delete_steps),
                                                    .end = end_delete};
