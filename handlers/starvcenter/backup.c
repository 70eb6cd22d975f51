/* Backups of a VM (StarVCenter 2.6; a new VM from one is ours). */
#include "handlers/starvcenter/rows.h"

static const struct sv_param list_params[] = {
    PATH_ID("vmId", struct sv_id_in, id, SV_F_VM, "云主机编号", "id of the VM, also of one that is gone"),
};

static const char *const state_names[] = {
    [SV_BACKUP_MAKING] = "making",
    [SV_BACKUP_READY] = "ready",
    [SV_BACKUP_DAMAGED] = "damaged",
};

static void put_backup(void *arg, const struct sv_backup *b, bool usable, int64_t bytes)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    sv_put_id(r, "backup.id", &b->id);
    sv_put_str(r, "backup.name", b->name);
    sv_put_str(r, "backup.desc", b->descr);
    sv_put_id(r, "backup.vmid", &b->vm);
    sv_put_time(r, "backup.createtime", b->created);
    sv_put_bool(r, "backup.enable", usable);
    sv_put_int(r, "backup.size", bytes);
    sv_put_str(r, "backup.state", state_names[b->state]);
    sv_put_bool(r, "backup.quiesced", b->quiesced);
    sv_reply_end_obj(r);
}

static enum sv_err list(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;
    struct sv_backup_view view = {.look = sv_look_of(c), .row = put_backup, .arg = out};
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_backup_list_of(c->cloud, c->tx, &c->actor, in->id, &view, c->arena, c->err);
    sv_reply_end_list(out);
    if (!rc)
        sv_wait_for_look(c, &view.look);
    return rc;
}

struct create_in {
    const char *vm, *name, *desc;
};
static const struct sv_param create_params[] = {
    ID("backup.vmid", struct create_in, vm, REQUIRED, .field = SV_F_VM, DOC("云主机编号", "id of the VM")),
    STR("backup.name", struct create_in, name, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_BACKUP_NAME, DOC("名称", "name")),
    STR("backup.desc", struct create_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, .field = SV_F_BACKUP_DESC,
        DOC("描述", "description")),
};

static enum sv_err create(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct create_in *in = input;
    struct sv_id id;
    enum sv_err rc =
        sv_backup_create(c->cloud, c->tx, &c->actor, in->vm, in->name, in->desc, &id, &out->startid, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "backup.id", &id);
    sv_reply_end_obj(out);
    return SV_OK;
}

static const struct sv_param remove_params[] = {
    PATH_ID("backupId", struct sv_id_in, id, SV_F_BACKUP, "备份编号", "id of the backup"),
};

static enum sv_err remove_backup(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_backup_remove(c->cloud, c->tx, &c->actor, in->id, &c->job, c->err);
}

static const struct sv_param restore_params[] = {
    ID("backup.id", struct sv_id_in, id, REQUIRED, .field = SV_F_BACKUP, DOC("备份编号", "id of the backup")),
};

static enum sv_err restore(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    return sv_backup_restore(c->cloud, c->tx, &c->actor, in->id, &out->startid, c->err);
}

struct modify_in {
    const char *id, *desc;
};
static const struct sv_param modify_params[] = {
    ID("backup.id", struct modify_in, id, REQUIRED, .field = SV_F_BACKUP, DOC("备份编号", "id of the backup")),
    STR("backup.desc", struct modify_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, .field = SV_F_BACKUP_DESC,
        DOC("描述", "description")),
};

static enum sv_err modify(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct modify_in *in = input;

    (void)out;
    return sv_backup_describe(c->tx, &c->actor, in->id, in->desc, c->err);
}

struct clone_in {
    const char *id, *name, *vpc;
};
static const struct sv_param clone_params[] = {
    ID("backup.id", struct clone_in, id, REQUIRED, .field = SV_F_BACKUP, DOC("备份编号", "id of the backup")),
    STR("vm.name", struct clone_in, name, NAME_LEN, .field = SV_F_VM_NAME,
        DOC("名称,缺省为原名称加 -clone", "name; that of the VM and \"-clone\" when absent")),
    ID("vnic.portgroupid", struct clone_in, vpc, .field = SV_F_VPC,
       DOC("私网编号,云主机已删除时必需",
           "id of the VPC; that of the VM's first NIC when absent, required when the VM is gone")),
};

static enum sv_err clone_backup(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct clone_in *in = input;
    struct sv_vm_made made;
    enum sv_err rc = sv_backup_clone(c->cloud, c->tx, &c->actor, in->id, in->name, in->vpc, &made, c->err);

    if (!rc)
        sv_put_made(out, &made, 1);
    return rc;
}

static const struct sv_route routes[] = {
    {.section = "2.6.1",
     .method = "GET",
     .path = "cloudvm/backup/{vmId}",
     .runs = SV_RUN_READ,
     SV_PARAMS(list_params),
     .in_size = sizeof(struct sv_id_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("backup.id"), SV_TEXT("backup.name"), SV_TEXT("backup.desc"), SV_TEXT("backup.vmid"),
               SV_TEXT("backup.createtime"), SV_TEXT("backup.enable"), SV_TEXT("backup.size", .flags = SV_O_OURS),
               SV_TEXT("backup.state", .flags = SV_O_OURS), SV_TEXT("backup.quiesced", .flags = SV_O_OURS)),
     .handler = list,
     DOC("获取云主机备份", "list a VM's backups, oldest first")},
    {.section = "2.6.2",
     .method = "POST",
     .path = "cloudvm/backup/create",
     .kind = SV_ASYNC,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(create_params),
     .in_size = sizeof(struct create_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("backup.id")),
     .handler = create,
     DOC("创建云主机备份", "copy all disks of a VM, also while it runs")},
    {.section = "2.6.3",
     .method = "DELETE",
     .path = "cloudvm/backup/{backupId}",
     .runs = SV_RUN_WAIT,
     SV_PARAMS(remove_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = remove_backup,
     DOC("删除云主机备份", "delete a backup")},
    {.section = "2.6.4",
     .method = "PUT",
     .path = "cloudvm/backup/restore",
     .kind = SV_ASYNC,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(restore_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = restore,
     DOC("恢复云主机备份", "make a VM's disks what the backup holds; it is stopped for that, and started if it ran")},
    {.section = "2.6.5",
     .method = "PUT",
     .path = "cloudvm/backup/modify",
     .runs = SV_RUN_WRITE,
     SV_PARAMS(modify_params),
     .in_size = sizeof(struct modify_in),
     .handler = modify,
     DOC("修改云主机备份信息", "change a backup's description")},
    {.section = "cloud hosts",
     .method = "POST",
     .path = "cloudvm/backup/clone",
     .kind = SV_ASYNC_EACH,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(clone_params),
     .in_size = sizeof(struct clone_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("vm.id"), SV_TEXT("vm.name"), SV_TEXT("jobstartid")),
     .handler = clone_backup,
     .extension = true,
     DOC("由备份开通云主机", "create a VM from a backup and start it, also when the VM of the backup is gone")},
};
const struct sv_route_table sv_table_backup = {routes, ROUTE_COUNT(routes)};
