/* Creating VMs: acceptance (rules, reservations, rows, jobs: one transaction, all or nothing) and the
 * steps that make it true (StarVCenter 2.2.1; design section 8, "cloudvm/create"). */
#include <stdio.h>

#include "core/internal.h"
#include "core/vm_steps.h"

enum { DEFAULT_SYSDISK_GIB = 20 };

/* --- acceptance ------------------------------------------------------------------------------------- */

/* What every VM of one request shares, looked up once. */
struct order {
    const struct sv_vm_new *in;
    struct sv_vpc vpc;
    struct sv_id template_id; /* empty: blank system disk */
    const char *model, *model_type;
    int64_t sysdisk; /* [bytes] */
};

static enum sv_err check_numbers(const struct sv_vm_new *in, struct sv_error *err)
{
    if (in->count < 1 || in->count > SV_MAX_VM_BATCH)
        return sv_fail(err, SV_E_PARAM_RANGE, SV_F_VM_COUNT, "1-10");
    if (in->vcpus < 1 || in->vcpus > SV_MAX_VCPUS)
        return sv_fail(err, SV_E_PARAM_RANGE, SV_F_VCPUS, "1-255");
    if (in->memory < SV_MIB || in->memory / SV_MIB > SV_MAX_MEMORY_MIB)
        return sv_fail(err, SV_E_PARAM_RANGE, SV_F_MEMORY, "1-999999999");
    if (in->data_disks < 0 || in->data_disks > SV_MAX_DATA_DISKS)
        return sv_fail(err, SV_E_PARAM_RANGE, SV_F_DISK_COUNT, "0-16");
    if (in->data_disks > 0 && (in->data_disk_size < SV_GIB || in->data_disk_size / SV_GIB > SV_MAX_DISK_GIB))
        return sv_fail(err, in->data_disk_size ? SV_E_PARAM_RANGE : SV_E_PARAM_MISSING, SV_F_DISK_SIZE, "1-65536");
    if (in->data_disks == 0 && in->data_disk_size)
        return sv_fail(err, SV_E_PARAM_CONFLICT, SV_F_DISK_SIZE, "vm.vdisk.num = 0");
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
    return rc;
}

static enum sv_err use_template(struct sv_tx *tx, struct order *o, const struct sv_id *id, int64_t least,
                                struct sv_arena *a, struct sv_error *err)
{
    struct sv_template t;
    enum sv_err rc = sv_template_get(tx, sv_scope_tenant(&o->in->owner), id, a, &t, err);

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
    o->sysdisk = m.sysdisk ? m.sysdisk : DEFAULT_SYSDISK_GIB * SV_GIB;
    return SV_OK;
}

static enum sv_err look_up(struct sv_tx *tx, const struct sv_vm_new *in, struct sv_arena *a, struct order *o,
                           struct sv_error *err)
{
    struct sv_id id;
    enum sv_err rc;

    *o = (struct order){.in = in, .model = "", .model_type = ""};
    if (!in->model == !in->template_id)
        return sv_fail(err, in->model ? SV_E_PARAM_CONFLICT : SV_E_PARAM_MISSING,
                       in->model ? SV_F_TEMPLATE : SV_F_MODEL, "vm.tenant.model | vm.template.id");
    rc = sv_check_id(in->vpc, SV_E_VPC_NOT_FOUND, SV_F_VPC, &id, err);
    if (!rc)
        rc = sv_vpc_get(tx, sv_scope_tenant(&in->owner), &id, a, &o->vpc, err);
    if (!rc && o->vpc.free_count < in->count)
        rc = sv_fail(err, SV_E_VPC_FULL, SV_F_VPC, sv_dec(in->count).s);
    if (rc)
        return rc;
    if (in->model)
        return use_model(tx, o, a, err);
    rc = sv_check_id(in->template_id, SV_E_TEMPLATE_NOT_FOUND, SV_F_TEMPLATE, &id, err);
    return rc ? rc : use_template(tx, o, &id, 0, a, err);
}

static enum sv_err insert_disks(struct sv_tx *tx, const struct order *o, const struct sv_vm *vm,
                                const struct sv_id *storage, struct sv_error *err)
{
    enum sv_err rc = SV_OK;

    for (int64_t i = 0; !rc && i <= o->in->data_disks; i++) {
        char target[8], name[32];
        struct sv_disk d = {.id = sv_id_new(),
                            .tenant = vm->tenant,
                            .vm = vm->id,
                            .storage = *storage,
                            .descr = "",
                            .created = vm->created};

        snprintf(target, sizeof(target), "vd%c", (char)('a' + i));
        snprintf(name, sizeof(name), i ? "data-%d" : "system", (int)i);
        d.name = name;
        d.target = target;
        d.boot = i == 0;
        d.size = i ? o->in->data_disk_size : o->sysdisk;
        if (i == 0)
            d.template_id = o->template_id;
        rc = sv_disk_insert(tx, &d, err);
    }
    return rc;
}

/* 40 random bits under the locally administered prefix 52: a clash in a cloud of 100,000 NICs has odds of
 * one in 200, and the unique index turns it into a refusal that a retry mends. */
void sv_make_mac(unsigned char mac[6])
{
    mac[0] = 0x52;
    sv_random(mac + 1, 5);
}

static enum sv_err insert_nic(struct sv_tx *tx, const struct order *o, const struct sv_vm *vm, struct sv_error *err)
{
    struct sv_nic n = {.id = sv_id_new(),
                       .tenant = vm->tenant,
                       .vm = vm->id,
                       .vpc = o->vpc.id,
                       .name = "eth0",
                       .ip = vm->ip,
                       .created = vm->created};

    sv_make_mac(n.mac);
    return sv_nic_insert(tx, &n, err);
}

static enum sv_err accept_one(struct sv_cloud *c, struct sv_tx *tx, const struct order *o, int64_t number,
                              struct sv_vm_made *made, struct sv_error *err)
{
    const struct sv_vm_new *in = o->in;
    struct sv_vm vm = {.id = sv_id_new(),
                       .tenant = in->owner,
                       .template_id = o->template_id,
                       .descr = "",
                       .model = o->model,
                       .model_type = o->model_type,
                       .state = sv_id_empty(&o->template_id) ? SV_VM_BUILDING : SV_VM_CLONING,
                       .vcpus = in->vcpus,
                       .memory = in->memory,
                       .nested = in->nested,
                       .created = sv_tx_now(tx)};
    const bool clone = vm.state == SV_VM_CLONING;
    struct sv_id storage;
    enum sv_err rc;

    if (!in->name)
        snprintf(made->name, sizeof(made->name), "vm-%.8s", vm.id.s + SV_ID_LEN - 8);
    else if (in->count > 1)
        SV_COPY(made->name, sv_arena_printf(sv_tx_arena(tx), "%s-%d", in->name, (int)number));
    else
        SV_COPY(made->name, in->name);
    vm.name = made->name;
    rc = sv_host_place(tx, in->vcpus, in->memory, &vm.host, err);
    if (!rc)
        rc = sv_storage_of_host(tx, &vm.host, &storage, err);
    if (!rc)
        rc = sv_vpc_next_ip(tx, &o->vpc, &vm.ip, err);
    if (!rc)
        rc = sv_vm_insert(tx, &vm, err);
    if (!rc)
        rc = insert_disks(tx, o, &vm, &storage, err);
    if (!rc)
        rc = insert_nic(tx, o, &vm, err);
    if (!rc && in->vnc_password)
        rc = sv_secret_put(c->secrets, &vm.id, "vnc", in->vnc_password, err);
    if (!rc)
        rc = sv_cloud_event(tx, "vm.create", "vm", &vm.id, &vm.tenant, vm.name, err);
    if (!rc) {
        const struct sv_job_spec job = {.kind = clone ? &sv_kind_vm_create : &sv_kind_vm_install,
                                        .tenant = vm.tenant,
                                        .object = vm.id,
                                        .host = vm.host,
                                        .object_type = "vm",
                                        .object_name = vm.name};

        rc = sv_jobs_accept(c->jobs, tx, &job, &made->startid, err);
    }
    made->vm = vm.id;
    return rc;
}

enum sv_err sv_vm_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const struct sv_vm_new *in,
                         struct sv_vm_made *ret, struct sv_error *err)
{
    struct order o;
    struct sv_amounts need;
    enum sv_err rc = check_numbers(in, err);

    (void)who;
    if (!rc)
        rc = check_texts(in, err);
    if (!rc)
        rc = look_up(tx, in, sv_tx_arena(tx), &o, err);
    if (rc)
        return rc;
    /* Cannot overflow: every factor was bounded above. */
    need = (struct sv_amounts){.vcpus = in->vcpus * in->count,
                               .memory = in->memory * in->count,
                               .storage = (o.sysdisk + in->data_disks * in->data_disk_size) * in->count};
    rc = sv_tenant_reserve(tx, &in->owner, &need, err);
    for (int64_t i = 0; !rc && i < in->count; i++)
        rc = accept_one(c, tx, &o, i + 1, &ret[i], err);
    return rc;
}

/* --- steps ------------------------------------------------------------------------------------------ */

static enum sv_err make_disks(struct sv_run *r, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    struct sv_vm_rows rows;
    struct sv_hv_host *h;
    enum sv_err rc = sv_step_begin(r, &rows, &h, err);

    for (unsigned i = 0; !rc && i < rows.disk_count; i++) {
        const struct sv_disk *d = &rows.disks[i];
        struct sv_hv_disk v = {.id = d->id, .size = d->size, .template_id = d->template_id};

        SV_COPY(v.target, d->target);
        rc = SV_HV_CALL(h, volume_create, &v, sv_run_deadline(r));
        if (!rc)
            rc = sv_step_disk_ready(c, &d->id, true, err);
        if (!rc)
            sv_run_note(r, SV_LOG_INFO, SV_N_DISK_READY, d->target, sv_dec((d->size + SV_GIB - 1) / SV_GIB).s, NULL);
        sv_run_progress(r, i + 1, rows.disk_count);
    }
    return rc;
}

static enum sv_err make_network(struct sv_run *r, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    struct sv_vm_rows rows;
    enum sv_err rc = sv_vm_rows_read(c->db, &sv_run_job(r)->object, sv_run_arena(r), &rows, err);

    if (!rc)
        rc = sv_network_apply_vm(c, &rows.vm.id, sv_run_deadline(r), err);
    for (unsigned i = 0; !rc && i < rows.nic_count; i++) {
        char ip[SV_IP4_LEN];

        sv_ip4_format(rows.nics[i].ip, ip);
        sv_run_note(r, SV_LOG_INFO, SV_N_NIC_READY, rows.nics[i].name, ip, NULL);
    }
    return rc;
}

static enum sv_err start_new(struct sv_run *r, struct sv_error *err)
{
    struct sv_hv_host *h;
    enum sv_err rc = sv_run_host(r, &h, err);

    return rc ? rc : SV_HV_CALL(h, start, &sv_run_job(r)->object, sv_run_deadline(r));
}

static enum sv_err stop_new(struct sv_run *r, struct sv_error *err)
{
    struct sv_hv_host *h;
    enum sv_err rc = sv_run_host(r, &h, err);

    return rc ? rc : SV_HV_CALL(h, destroy, &sv_run_job(r)->object, sv_run_deadline(r));
}

/* What the VM held goes back, its name stays as FAILED so that its owner sees what happened. */
static enum sv_err give_up(struct sv_cloud *c, struct sv_tx *tx, const struct sv_job *job, struct sv_error *err)
{
    enum sv_err rc = job->undo_failed ? sv_step_leave_behind(tx, &job->object, err) : SV_OK;

    if (!rc)
        rc = sv_step_release(c, tx, &job->object, err);
    if (!rc)
        rc = sv_vm_set_state(tx, &job->object, SV_VM_ANY, SV_VM_FAILED, err);
    return rc ? rc
              : sv_cloud_event(tx, "vm.state", "vm", &job->object, &job->tenant, sv_vm_state_name(SV_VM_FAILED), err);
}

static enum sv_err end_create(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    struct sv_cloud *c = app;

    if (result != SV_JOB_DONE)
        return give_up(c, tx, job, err);
    return sv_step_running(c, tx, job, err);
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
     .run = make_network,
     .undo = sv_step_drop_network},
    {.name = "define",
     .title_zh = "定义云主机",
     .title_en = "define the VM",
     .weight = 15,
     .run = sv_step_define,
     .undo = sv_step_undefine},
    {.name = "start",
     .title_zh = "启动云主机",
     .title_en = "start the VM",
     .weight = 30,
     .run = start_new,
     .undo = stop_new},
};
#define CREATE_ROW                                                                                                     \
    .deadline_ms = 30 * 60 * 1000, .resumable = true, .steps = create_steps,                                           \
    .step_count = sizeof(create_steps) / sizeof(create_steps[0]), .end = end_create

const struct sv_job_kind sv_kind_vm_create = {
    .name = "vm.create", .title_zh = "开通云主机", .title_en = "create VM", .lock_code = SV_LOCK_CLONING, CREATE_ROW};
const struct sv_job_kind sv_kind_vm_install = {.name = "vm.install",
                                               .title_zh = "开通云主机(空系统盘)",
                                               .title_en = "create VM with an empty disk",
                                               .lock_code = SV_LOCK_INSTALLING,
                                               CREATE_ROW};
