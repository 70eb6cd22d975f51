/* Creating VMs: acceptance (rules, reservations, rows, jobs: one transaction, all or nothing) and the
 * steps that make it true (StarVCenter 2.2.1). */
#include <stdio.h>

#include "core/storage/storage.h"
#include "core/vm/internal.h"

/* --- acceptance ------------------------------------------------------------------------------------- */

/* What every VM of one request shares, looked up once. */
struct order {
    const struct sv_actor *who;
    const struct sv_vm_new *in;
    struct sv_id owner;
    struct sv_vpc vpc;
    struct sv_id template_id; /* empty: blank system disk */
    const char *model, *model_type;
    int64_t sysdisk; /* [bytes] */
    const char *labels;
    struct sv_affinity groups[SV_MAX_AFFINITIES_VM];
    size_t group_count;
    struct sv_place *place;
};

static enum sv_err check_numbers(struct sv_cloud *c, const struct sv_vm_new *in, struct sv_error *err)
{
    enum sv_err rc = sv_check_count(in->count, 1, SV_MAX_VM_BATCH, SV_F_VM_COUNT, err);

    if (!rc)
        rc = sv_check_count(in->vcpus, 1, SV_MAX_VCPUS, SV_F_VCPUS, err);
    if (!rc)
        rc = sv_check_memory(c, in->memory, err);
    if (!rc)
        rc = sv_check_count(in->data_disks, 0, SV_MAX_DATA_DISKS, SV_F_DISK_COUNT, err);
    if (rc)
        return rc;
    if (in->data_disks > 0)
        return in->data_disk_size ? sv_check_disk(in->data_disk_size, err)
                                  : sv_fail(err, SV_E_PARAM_MISSING, SV_F_DISK_SIZE);
    if (in->data_disk_size)
        return sv_fail(err, SV_E_PARAM_CONFLICT, SV_F_DISK_SIZE, sv_arg_field(SV_F_DISK_COUNT).s);
    return SV_OK;
}

static enum sv_err check_texts(const struct sv_vm_new *in, struct sv_error *err)
{
    enum sv_err rc = sv_check_name(in->name, SV_F_VM_NAME, err);

    /* "-10" is appended to the names of a batch */
    if (!rc && in->name && in->count > 1 && strlen(in->name) > SV_MAX_NAME - 3)
        rc = sv_fail(err, SV_E_PARAM_LENGTH, SV_F_VM_NAME, sv_dec(SV_MAX_NAME - 3).s);
    if (!rc && in->vnc_password && strlen(in->vnc_password) > SV_MAX_VNC_PASSWORD)
        rc = sv_fail(err, SV_E_PARAM_LENGTH, SV_F_VNC_PASSWORD, sv_dec(SV_MAX_VNC_PASSWORD).s);
    if (!rc && in->account_password)
        rc = sv_check_password(NULL, in->account_password, err);
    return rc;
}

static enum sv_err use_template(struct sv_tx *tx, struct order *o, const struct sv_id *id, int64_t least,
                                struct sv_arena *a, struct sv_error *err)
{
    struct sv_template t;
    enum sv_err rc = sv_template_get(tx, sv_scope_tenant(&o->owner), id, a, &t, err);

    if (rc)
        return rc;
    if (t.state != SV_TEMPLATE_READY)
        return sv_fail(err, SV_E_TEMPLATE_STATE, SV_F_TEMPLATE,
                       t.state == SV_TEMPLATE_IMPORTING ? "importing" : "not usable");
    o->template_id = t.id;
    o->sysdisk = least > t.virtual_size ? least : t.virtual_size;
    return SV_OK;
}

static enum sv_err use_model(struct sv_tx *tx, struct order *o, struct sv_arena *a, struct sv_error *err)
{
    struct sv_model m;
    enum sv_err rc = sv_model_get(tx, o->in->model, a, &m, err);

    if (rc)
        return rc;
    o->model = m.value;
    o->model_type = m.type;
    if (!sv_id_empty(&m.template_id))
        return use_template(tx, o, &m.template_id, m.sysdisk, a, err);
    o->sysdisk = m.sysdisk ? m.sysdisk : SV_DEFAULT_SYSDISK;
    return SV_OK;
}

/* What hosts are labelled with is an administrator's business, and so is asking for it. */
static enum sv_err use_labels(struct order *o, struct sv_arena *a, struct sv_error *err)
{
    o->labels = "";
    if (!o->in->labels)
        return SV_OK;
    if (o->who->role != SV_ROLE_ADMIN)
        return sv_fail(err, SV_E_ADMIN_ONLY, SV_F_HOST_LABELS);
    return sv_labels_read(o->in->labels, SV_F_HOST_LABELS, a, &o->labels, err);
}

/* Each once; of the VM's tenant, also when an administrator asks. */
static enum sv_err use_groups(struct sv_tx *tx, struct order *o, struct sv_error *err)
{
    enum sv_err rc = SV_OK;

    if (o->in->affinity_count > SV_MAX_AFFINITIES_VM)
        return sv_fail(err, SV_E_AFFINITY_LIMIT, SV_F_AFFINITY, sv_dec(SV_MAX_AFFINITIES_VM).s);
    for (size_t i = 0; !rc && i < o->in->affinity_count; i++) {
        struct sv_affinity *g = &o->groups[o->group_count];
        bool twice = false;

        rc = sv_affinity_find(tx, sv_scope_tenant(&o->owner), o->in->affinities[i], g, err);
        for (size_t k = 0; !rc && k < o->group_count; k++)
            twice = twice || sv_id_eq(&o->groups[k].id, &g->id);
        o->group_count += !rc && !twice;
    }
    return rc;
}

static enum sv_err look_up(struct sv_tx *tx, const struct sv_actor *who, const struct sv_vm_new *in, struct sv_arena *a,
                           struct order *o, struct sv_error *err)
{
    struct sv_id id;
    enum sv_err rc;

    *o = (struct order){.who = who, .in = in, .model = "", .model_type = ""};
    if (!in->model == !in->template_id)
        return in->model ? sv_fail(err, SV_E_PARAM_CONFLICT, SV_F_TEMPLATE, sv_arg_field(SV_F_MODEL).s)
                         : sv_fail(err, SV_E_PARAM_MISSING, SV_F_MODEL, sv_arg_field(SV_F_TEMPLATE).s);
    rc = use_labels(o, a, err);
    if (!rc)
        rc = sv_owner(tx, who, in->tenant, &o->owner, err);
    if (!rc)
        rc = use_groups(tx, o, err);
    if (!rc)
        rc = sv_check_id(in->vpc, SV_E_VPC_NOT_FOUND, SV_F_VPC, &id, err);
    if (!rc)
        rc = sv_vpc_get(tx, sv_scope_tenant(&o->owner), &id, a, &o->vpc, err);
    if (!rc && o->vpc.free_count < in->count)
        rc = sv_fail(err, SV_E_VPC_FULL, SV_F_VPC, sv_dec(in->count).s);
    if (rc)
        return rc;
    if (in->model)
        return use_model(tx, o, a, err);
    rc = sv_check_id(in->template_id, SV_E_TEMPLATE_NOT_FOUND, SV_F_TEMPLATE, &id, err);
    return rc ? rc : use_template(tx, o, &id, 0, a, err);
}

static void plan_disks(struct sv_vm_plan *p, const struct order *o, struct sv_arena *a)
{
    p->disk_count = 1 + (unsigned)o->in->data_disks;
    for (unsigned i = 0; i < p->disk_count; i++) {
        p->disks[i] = (struct sv_disk){.id = sv_id_new(),
                                       .name = i ? sv_arena_printf(a, "data-%u", i) : "system",
                                       .descr = "",
                                       .target = sv_arena_printf(a, "vd%c", (char)('a' + i)),
                                       .boot = i == 0,
                                       .size = i ? o->in->data_disk_size : o->sysdisk};
    }
    p->disks[0].template_id = o->template_id;
}

static enum sv_err accept_one(struct sv_cloud *c, struct sv_tx *tx, struct order *o, int64_t number,
                              struct sv_vm_made *made, struct sv_error *err)
{
    const struct sv_vm_new *in = o->in;
    const bool clone = !sv_id_empty(&o->template_id);
    struct sv_vm_plan p = {
        .kind = clone ? &sv_kind_vm_create : &sv_kind_vm_install,
        .vm = {.id = sv_id_new(),
               .tenant = o->owner,
               .template_id = o->template_id,
               .name = made->name,
               .descr = "",
               .model = o->model,
               .model_type = o->model_type,
               .labels = o->labels,
               .state = clone ? SV_VM_CLONING : SV_VM_BUILDING,
               .vcpus = in->vcpus,
               .memory = in->memory,
               .nested = in->nested},
        .vpc = &o->vpc,
        .groups = o->groups,
        .group_count = o->group_count,
        .place = &o->place,
        .vnc_password = in->vnc_password,
        .account_password = in->account_password,
        .iarg = {[SV_CREATE_ACCOUNT] = in->account_password != NULL, [SV_CREATE_FULL] = in->full && clone}};

    if (!in->name)
        snprintf(made->name, sizeof(made->name), "vm-%.8s", p.vm.id.s + SV_ID_LEN - 8);
    else if (in->count > 1)
        SV_COPY(made->name, sv_arena_printf(sv_tx_arena(tx), "%s-%d", in->name, (int)number));
    else
        SV_COPY(made->name, in->name);
    made->vm = p.vm.id;
    plan_disks(&p, o, sv_tx_arena(tx));
    return sv_vm_plan_accept(c, tx, o->who, &p, &made->startid, err);
}

enum sv_err sv_vm_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const struct sv_vm_new *in,
                         struct sv_vm_made *ret, struct sv_error *err)
{
    struct order o;
    struct sv_amounts need;
    enum sv_err rc = check_numbers(c, in, err);

    if (!rc)
        rc = check_texts(in, err);
    if (!rc)
        rc = look_up(tx, who, in, sv_tx_arena(tx), &o, err);
    if (rc)
        return rc;
    /* Cannot overflow: every factor was bounded above. */
    need = (struct sv_amounts){.vcpus = in->vcpus * in->count,
                               .memory = in->memory * in->count,
                               .storage = (o.sysdisk + in->data_disks * in->data_disk_size) * in->count};
    rc = sv_tenant_reserve(tx, &o.owner, &need, err);
    for (int64_t i = 0; !rc && i < in->count; i++)
        rc = accept_one(c, tx, &o, i + 1, &ret[i], err);
    return rc;
}

/* --- steps ------------------------------------------------------------------------------------------ */

static void on_progress(void *arg, int64_t done, int64_t total)
{
    sv_run_progress(arg, done, total);
}

static enum sv_err write_standalone(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_disk_set_standalone(tx, arg, err);
}

/* A full copy needs its template until it is there, and no longer. */
static enum sv_err make_full(struct sv_run *r, struct sv_hv_host *h, struct sv_hv_disk *v, struct sv_error *err)
{
    enum sv_err rc;

    v->full = true;
    v->progress = on_progress;
    v->progress_arg = r;
    rc = SV_HV_CALL(h, volume_create, v, sv_run_deadline(r));
    return rc ? rc : sv_db_write(sv_run_db(r), write_standalone, &v->id, err);
}

static enum sv_err make_disks(struct sv_run *r, struct sv_error *err)
{
    const bool full = sv_run_job(r)->iarg[SV_CREATE_FULL] != 0;
    struct sv_cloud *c = sv_run_app(r);
    struct sv_vm_rows rows;
    struct sv_hv_host *h;
    enum sv_err rc = sv_step_begin(r, &rows, &h, err);

    for (unsigned i = 0; !rc && i < rows.disk_count; i++) {
        const struct sv_disk *d = &rows.disks[i];
        struct sv_hv_disk v = sv_hv_disk_of(d);

        rc = full && !sv_id_empty(&v.template_id) ? make_full(r, h, &v, err)
                                                  : SV_HV_CALL(h, volume_create, &v, sv_run_deadline(r));
        if (!rc)
            rc = sv_step_disk_ready(c, &d->id, true, err);
        if (!rc)
            sv_run_note(r, SV_LOG_INFO, SV_N_DISK_READY, d->target, sv_bytes(d->size, SV_OF_DISK).s, NULL);
        sv_run_progress(r, i + 1, rows.disk_count);
    }
    return rc;
}

/* Without KVM the guest's own virtualisation is emulated, too: it works, slowly. */
static void note_nested(struct sv_run *r, struct sv_hv_host *h)
{
    struct sv_hv_info info;
    struct sv_error e, *const err = &e;

    if (!SV_HV_CALL(h, info, &info, sv_run_deadline(r)) && strcmp(info.domain_type, "qemu") == 0)
        sv_run_note(r, SV_LOG_WARN, SV_N_NESTED_EMULATED, NULL);
}

static enum sv_err define_new(struct sv_run *r, struct sv_error *err)
{
    struct sv_vm_rows rows;
    struct sv_hv_host *h;
    enum sv_err rc = sv_step_define(r, err);

    if (!rc)
        rc = sv_step_begin(r, &rows, &h, err);
    if (!rc && rows.vm.nested)
        note_nested(r, h);
    return rc;
}

static const struct sv_step create_steps[] = {
    {.name = "disks",
     .title_zh = "准备磁盘",
     .title_en = "prepare disks",
     .weight = 40,
     .run = make_disks,
     .undo = sv_step_drop_disks},
    {.name = "network",
     .title_zh = "准备网络",
     .title_en = "prepare network",
     .weight = 15,
     .run = sv_step_new_network,
     .undo = sv_step_drop_network},
    {.name = "define",
     .title_zh = "定义云主机",
     .title_en = "define the VM",
     .weight = 15,
     .run = define_new,
     .undo = sv_step_undefine},
    {.name = "start",
     .title_zh = "启动云主机",
     .title_en = "start the VM",
     .weight = 30,
     .run = sv_step_new_start,
     .undo = sv_step_new_stop},
    {.name = "password",
     .title_zh = "设置系统账号密码",
     .title_en = "set the administrator's password",
     .weight = 20,
     .run = sv_step_account,
     .needed = sv_step_account_needed},
};
#define CREATE_ROW                                                                                                     \
    .deadline_ms = 30 * 60 * 1000, .resumable = true, .steps = create_steps,                                           \
    .step_count = sizeof(create_steps) / sizeof(create_steps[0]), .end = sv_step_new_end, .left = sv_step_new_left

const struct sv_job_kind sv_kind_vm_create = {
    .name = "vm.create", .title_zh = "开通云主机", .title_en = "create VM", .lock_code = SV_LOCK_CLONING, CREATE_ROW};
const struct sv_job_kind sv_kind_vm_install = {.name = "vm.install",
                                               .title_zh = "开通云主机(空系统盘)",
                                               .title_en = "create VM with an empty disk",
                                               .lock_code = SV_LOCK_INSTALLING,
                                               CREATE_ROW};
