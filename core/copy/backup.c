/* Backups: acceptance, rules and who may use one when (StarVCenter 2.6; restoring to a new VM is ours). */
#include "core/copy/backup.h"

#include <stdio.h>

/* --- rows --------------------------------------------------------------------------------------------- */

struct collect {
    struct sv_backup_rows *rows;
    struct sv_arena *a;
};

static void add_disk(void *arg, const struct sv_backup_disk *d)
{
    const struct collect *c = arg;
    struct sv_backup_disk *to;

    if (c->rows->disk_count == SV_HV_MAX_DISKS)
        return;
    to = &c->rows->disks[c->rows->disk_count++];
    *to = *d;
    to->target = sv_arena_strdup(c->a, d->target);
    to->sha256 = sv_arena_strdup(c->a, d->sha256);
}

enum sv_err sv_backup_dir_of(const struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *storage,
                             const struct sv_id *id, struct sv_arena *a, const char **ret, struct sv_error *err)
{
    struct sv_storage s;
    enum sv_err rc;

    if (sv_id_empty(storage)) {
        *ret = sv_arena_printf(a, "%s/%s", c->backup_dir, id->s);
        return SV_OK;
    }
    rc = sv_storage_get(tx, storage, a, &s, err);
    if (!rc)
        *ret = sv_arena_printf(a, "%s/backups/%s", s.location, id->s);
    return rc;
}

enum sv_err sv_backup_rows_in(struct sv_cloud *c, struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id,
                              struct sv_arena *a, struct sv_backup_rows *ret, struct sv_error *err)
{
    struct collect all = {ret, a};
    enum sv_err rc;

    *ret = (struct sv_backup_rows){.disk_count = 0};
    rc = sv_backup_get(tx, scope, id, a, &ret->b, err);
    if (!rc)
        rc = sv_backup_list_disks(tx, id, add_disk, &all, err);
    return rc ? rc : sv_backup_dir_of(c, tx, &ret->b.storage, id, a, &ret->dir, err);
}

struct read_args {
    struct sv_cloud *c;
    const struct sv_id *id;
    struct sv_arena *a;
    struct sv_backup_rows *ret;
};

static enum sv_err read_rows(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct read_args *r = arg;

    return sv_backup_rows_in(r->c, tx, sv_scope_system(), r->id, r->a, r->ret, err);
}

enum sv_err sv_backup_rows_read(struct sv_cloud *c, const struct sv_id *id, struct sv_arena *a,
                                struct sv_backup_rows *ret, struct sv_error *err)
{
    struct read_args r = {c, id, a, ret};

    return sv_db_read(c->db, read_rows, &r, err);
}

enum sv_err sv_backup_find(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                           struct sv_backup_rows *ret, struct sv_error *err)
{
    struct sv_id bid;
    const enum sv_err rc = sv_check_id(id, SV_E_BACKUP_NOT_FOUND, SV_F_BACKUP, &bid, err);

    return rc ? rc : sv_backup_rows_in(c, tx, sv_scope_of(who), &bid, sv_tx_arena(tx), ret, err);
}

/* --- who uses one --------------------------------------------------------------------------------------- */

static enum sv_err used_by(const struct sv_id *job, struct sv_error *err)
{
    return sv_fail(err, SV_E_BACKUP_LOCKED, SV_F_BACKUP, job->s);
}

/* Locked itself: somebody removes it. */
static enum sv_err not_locked(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    struct sv_lock lock;
    bool held;
    const enum sv_err rc = sv_lock_get(tx, id, &lock, &held, err);

    return rc || !held ? rc : used_by(&lock.job, err);
}

enum sv_err sv_backup_unused(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    struct sv_id job;
    bool used;
    enum sv_err rc = not_locked(tx, id, err);

    if (!rc)
        rc = sv_job_open_for(tx, id, &job, &used, err);
    if (!rc && !used)
        rc = sv_pending_of_part(tx, id, &job, &used, err);
    return rc || !used ? rc : used_by(&job, err);
}

enum sv_err sv_backup_claim(struct sv_tx *tx, const struct sv_backup *b, struct sv_error *err)
{
    enum sv_err rc = b->state == SV_BACKUP_MAKING ? sv_backup_unused(tx, &b->id, err) : not_locked(tx, &b->id, err);

    if (!rc && b->state != SV_BACKUP_READY)
        rc = sv_fail(err, SV_E_BACKUP_DAMAGED, SV_F_BACKUP, b->name);
    return rc;
}

/* --- create ----------------------------------------------------------------------------------------------- */

static void prefer_secondary(void *arg, const struct sv_storage *s)
{
    struct sv_id *found = arg;

    if (sv_id_empty(found) && s->ready && s->use == SV_STORAGE_SECONDARY && strcmp(s->type, "dir") == 0)
        *found = s->id;
}

static unsigned copy_disks(const struct sv_vm_rows *rows, struct sv_backup_disk *to)
{
    for (unsigned i = 0; i < rows->disk_count; i++) {
        const struct sv_disk *d = &rows->disks[i];

        to[i] =
            (struct sv_backup_disk){.target = d->target, .disk = d->id, .boot = d->boot, .size = d->size, .sha256 = ""};
    }
    return rows->disk_count;
}

static enum sv_err check_texts(const char *name, const char *descr, struct sv_error *err)
{
    const enum sv_err rc = sv_check_name(name, SV_F_BACKUP_NAME, err);

    return rc ? rc : sv_check_descr(descr, SV_F_BACKUP_DESC, err);
}

enum sv_err sv_backup_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                             const char *name, const char *descr, struct sv_id *ret, struct sv_id *ret_startid,
                             struct sv_error *err)
{
    struct sv_backup_disk disks[SV_HV_MAX_DISKS];
    struct sv_vm_rows rows;
    struct sv_vm vm;
    struct sv_backup b = {.id = sv_id_new(), .name = name, .descr = descr ? descr : "", .created = sv_tx_now(tx)};
    enum sv_err rc = sv_vm_claim(tx, who, id, &vm, err);

    if (!rc)
        rc = check_texts(name, descr, err);
    if (!rc)
        rc = sv_vm_rows_in(tx, &vm.id, sv_tx_arena(tx), &rows, err);
    if (!rc)
        rc = sv_storage_list_host(tx, &vm.host, prefer_secondary, &b.storage, err);
    if (rc)
        return rc;
    b.tenant = vm.tenant;
    b.vm = vm.id;
    b.vm_name = vm.name;
    b.state = SV_BACKUP_MAKING;
    b.vcpus = vm.vcpus;
    b.memory = vm.memory;
    b.nested = vm.nested;
    rc = sv_backup_room(c, tx, &vm, err);
    if (!rc)
        rc = sv_backup_insert(tx, &b, disks, copy_disks(&rows, disks), err);
    if (!rc)
        rc = sv_vm_accept(c, tx, &vm, &sv_kind_backup_create, b.id.s, 0, 0, ret_startid, err);
    if (!rc)
        *ret = b.id;
    return rc;
}

/* --- restore ------------------------------------------------------------------------------------------------ */

static void first_name(void *arg, const struct sv_snapshot *s)
{
    char *name = arg;

    if (!name[0])
        sv_copy(name, SV_MAX_NAME + 1, s->name);
}

/* They live in the volumes that would be replaced. */
static enum sv_err no_snapshots(struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err)
{
    char name[SV_MAX_NAME + 1] = "";
    const enum sv_err rc = sv_snapshot_list_vm(tx, sv_scope_system(), vm, first_name, name, err);

    return rc || !name[0] ? rc : sv_fail(err, SV_E_SNAPSHOT_HOLDS, SV_F_VM, name);
}

static enum sv_err claim_vm(struct sv_tx *tx, const struct sv_actor *who, const struct sv_backup *b, struct sv_vm *ret,
                            struct sv_error *err)
{
    struct sv_vm there;
    enum sv_err rc = sv_vm_get(tx, sv_scope_tenant(&b->tenant), &b->vm, sv_tx_arena(tx), &there, err);

    if (rc == SV_E_VM_NOT_FOUND)
        return sv_fail(err, SV_E_BACKUP_NO_VM, SV_F_BACKUP);
    return rc ? rc : sv_vm_claim_devices(tx, who, b->vm.s, false, ret, err);
}

enum sv_err sv_backup_restore(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                              struct sv_id *ret_startid, struct sv_error *err)
{
    const struct sv_disk *to[SV_HV_MAX_DISKS];
    struct sv_backup_rows backup;
    struct sv_vm_rows rows;
    struct sv_vm vm;
    enum sv_err rc = sv_backup_find(c, tx, who, id, &backup, err);

    if (!rc)
        rc = sv_backup_claim(tx, &backup.b, err);
    if (!rc)
        rc = claim_vm(tx, who, &backup.b, &vm, err);
    if (!rc)
        rc = no_snapshots(tx, &vm.id, err);
    if (!rc)
        rc = sv_vm_rows_in(tx, &vm.id, sv_tx_arena(tx), &rows, err);
    if (!rc)
        rc = sv_backup_match(&backup, &rows, to, err);
    return rc ? rc
              : sv_vm_accept(c, tx, &vm, &sv_kind_backup_restore, backup.b.id.s, vm.state != SV_VM_STOPPED, 0,
                             ret_startid, err);
}

/* --- delete, describe ------------------------------------------------------------------------------------------ */

enum sv_err sv_backup_accept_delete(struct sv_cloud *c, struct sv_tx *tx, const struct sv_backup *b, bool own,
                                    struct sv_id *ret_startid, struct sv_error *err)
{
    const struct sv_job_spec spec = {.kind = &sv_kind_backup_delete,
                                     .tenant = b->tenant,
                                     .object = b->id,
                                     .object_type = "backup",
                                     .object_name = b->name,
                                     .sarg = b->storage.s,
                                     .own = own};

    return sv_locked_as(sv_jobs_accept(c->jobs, tx, &spec, ret_startid, err), SV_E_BACKUP_LOCKED, SV_F_BACKUP, err);
}

enum sv_err sv_backup_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                             struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_backup_rows rows;
    enum sv_err rc = sv_backup_find(c, tx, who, id, &rows, err);

    if (!rc)
        rc = sv_backup_unused(tx, &rows.b.id, err);
    return rc ? rc : sv_backup_accept_delete(c, tx, &rows.b, false, ret_startid, err);
}

enum sv_err sv_backup_describe(struct sv_tx *tx, const struct sv_actor *who, const char *id, const char *descr,
                               struct sv_error *err)
{
    struct sv_backup b;
    struct sv_id bid;
    enum sv_err rc = sv_check_id(id, SV_E_BACKUP_NOT_FOUND, SV_F_BACKUP, &bid, err);

    if (!rc)
        rc = sv_check_descr(descr, SV_F_BACKUP_DESC, err);
    if (!rc)
        rc = sv_backup_get(tx, sv_scope_of(who), &bid, sv_tx_arena(tx), &b, err);
    return rc || !descr ? rc : sv_backup_set_descr(tx, sv_scope_of(who), &bid, descr, err);
}

/* --- delete with its VM ------------------------------------------------------------------------------------------ */

static void add_id(void *arg, const struct sv_backup *b)
{
    sv_ids_add(arg, &b->id);
}

/* One that failed and is still to be undone goes with its VM in any case. */
static enum sv_err take_along(struct sv_tx *tx, const struct sv_id *backup, const struct sv_id *startid,
                              struct sv_error *err)
{
    struct sv_lock held;
    struct sv_id job;
    bool taken = true, pending;
    enum sv_err rc = sv_pending_of_part(tx, backup, &job, &pending, err);

    if (rc || pending)
        return rc;
    rc = sv_backup_unused(tx, backup, err);
    if (!rc)
        rc = sv_lock_take(tx, backup, startid, SV_LOCK_MOVING, &taken, &held, err);
    return rc || taken ? rc : used_by(&held.job, err);
}

/* Which backups go with the VM is what its job has locked here, and nothing else. */
enum sv_err sv_vm_delete_with_backups(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                                      struct sv_id *ret_startid, struct sv_error *err)
{
    SV_CLEANUP(sv_ids_free) struct sv_ids all = {0};
    struct sv_id startid;
    enum sv_err rc = sv_vm_act(c, tx, who, vm, SV_VM_DELETE, &startid, err);

    if (!rc) {
        const struct sv_id id = sv_id_from(vm);

        rc = sv_backup_list_vm(tx, sv_scope_of(who), &id, add_id, &all, err);
    }
    for (size_t i = 0; !rc && i < all.n; i++)
        rc = take_along(tx, &all.v[i], &startid, err);
    if (!rc)
        *ret_startid = startid;
    return rc;
}

struct held {
    struct sv_cloud *c;
    const struct sv_job *job;
    struct sv_arena *a;
    struct sv_ids all; /* the VM's backups that the job has locked */
};

static enum sv_err list_held(struct sv_tx *tx, struct held *h, struct sv_error *err)
{
    struct sv_ids mine = {0};
    enum sv_err rc = sv_backup_list_vm(tx, sv_scope_system(), &h->job->object, add_id, &h->all, err);

    for (size_t i = 0; !rc && i < h->all.n; i++) {
        struct sv_lock lock;
        bool held;

        rc = sv_lock_get(tx, &h->all.v[i], &lock, &held, err);
        if (!rc && held && sv_id_eq(&lock.job, &h->job->id))
            h->all.v[mine.n++] = h->all.v[i];
    }
    h->all.n = mine.n;
    return rc;
}

static enum sv_err read_held(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return list_held(tx, arg, err);
}

static enum sv_err drop_backups(struct sv_run *r, struct sv_error *err)
{
    struct held h = {.c = sv_run_app(r), .job = sv_run_job(r)};
    enum sv_err rc = sv_db_read(sv_run_db(r), read_held, &h, err);

    for (size_t i = 0; !rc && i < h.all.n; i++) {
        struct sv_backup_rows rows;

        rc = sv_backup_rows_read(h.c, &h.all.v[i], sv_run_arena(r), &rows, err);
        if (!rc)
            rc = sv_backup_dir_remove(rows.dir, err);
        sv_run_progress(r, (int64_t)i + 1, (int64_t)h.all.n);
    }
    sv_ids_free(&h.all);
    return rc;
}

static enum sv_err end_vm_delete(struct sv_tx *tx, const struct sv_job *job, bool done, struct sv_error *err)
{
    struct held h = {.job = job};
    enum sv_err rc = list_held(tx, &h, err);

    for (size_t i = 0; !rc && i < h.all.n; i++) {
        rc = sv_lock_release(tx, &h.all.v[i], &job->id, err);
        if (!rc && done)
            rc = sv_backup_drop(tx, &h.all.v[i], err);
        if (!rc && done)
            rc = sv_cloud_event(tx, "backup.delete", "backup", &h.all.v[i], &job->tenant, job->object.s, err);
    }
    sv_ids_free(&h.all);
    return rc;
}

const struct sv_vm_company sv_backup_company = {drop_backups, end_vm_delete};

/* --- what a VM has ------------------------------------------------------------------------------------------------ */

struct rows {
    struct sv_id vm;
    struct sv_backup_rows *v;
    size_t n;
};

static enum sv_err read_of(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                           struct sv_arena *a, struct rows *ret, struct sv_error *err)
{
    const struct sv_scope scope = sv_scope_of(who);
    struct sv_ids ids = {0};
    struct sv_vm row;
    enum sv_err rc = sv_check_id(vm, SV_E_VM_NOT_FOUND, SV_F_VM, &ret->vm, err);

    if (!rc)
        rc = sv_backup_list_vm(tx, scope, &ret->vm, add_id, &ids, err);
    if (!rc && ids.n == 0) /* a VM that is gone is known by its backups only */
        rc = sv_vm_get(tx, scope, &ret->vm, a, &row, err);
    ret->v = sv_arena_alloc(a, (ids.n + 1) * sizeof(*ret->v));
    for (ret->n = 0; !rc && ret->n < ids.n; ret->n++)
        rc = sv_backup_rows_in(c, tx, scope, &ids.v[ret->n], a, &ret->v[ret->n], err);
    sv_ids_free(&ids);
    return rc;
}

enum sv_err sv_backup_list_of(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                              struct sv_backup_view *view, struct sv_arena *a, struct sv_error *err)
{
    struct rows l;
    const enum sv_err rc = read_of(c, tx, who, vm, a, &l, err);
    bool *there;

    if (rc)
        return rc;
    there = sv_arena_alloc(a, (l.n + 1) * sizeof(*there));
    sv_backup_looked(c, &l.vm, l.v, l.n, &view->look, a, there);
    if (view->look.later)
        return SV_OK;
    for (size_t i = 0; i < l.n; i++) {
        const struct sv_backup_rows *b = &l.v[i];
        int64_t bytes = 0;

        for (unsigned k = 0; k < b->disk_count; k++)
            bytes += b->disks[k].bytes;
        view->row(view->arg, &b->b, b->b.state == SV_BACKUP_READY && there[i], bytes);
    }
    return SV_OK;
}
