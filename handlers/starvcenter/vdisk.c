/* Disks of a VM (StarVCenter 2.4.1 - 2.4.4). */
#include "handlers/starvcenter/rows.h"

struct add_in {
    const char *vm, *desc;
    struct sv_opt_int size;
};
static const struct sv_param add_params[] = {
    ID("vdisk.vmid", struct add_in, vm, REQUIRED, .field = SV_F_VM, DOC("虚拟机编号", "id of the VM")),
    STR("vdisk.desc", struct add_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, DOC("描述", "description")),
    INT("vdisk.size", struct add_in, size, .flags = SV_P_REQUIRED | SV_P_MIN | SV_P_OUR_MAX, .min = 1,
        .max = SV_MAX_DISK_GIB, .unit = "GB", .field = SV_F_DISK_SIZE, DOC("容量", "size")),
};

static enum sv_err add(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct add_in *in = input;
    struct sv_disk_made made;
    enum sv_err rc = sv_vm_disk_add(c->cloud, c->tx, &c->actor, in->vm, in->size.v * SV_GIB, in->desc, &made, c->err);

    if (rc)
        return rc;
    out->startid = made.startid;
    sv_reply_obj(out);
    sv_put_id(out, "vdisk.id", &made.disk);
    sv_put_str(out, "vdisk.devname", made.target);
    sv_reply_end_obj(out);
    return SV_OK;
}

static const struct sv_param remove_params[] = {
    PATH_ID("vdiskId", struct sv_id_in, id, SV_F_DISK, "磁盘编号", "id of the disk"),
};

static enum sv_err remove_disk(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    return sv_vm_disk_remove(c->cloud, c->tx, &c->actor, in->id, &out->startid, c->err);
}

struct extend_in {
    const char *id;
    struct sv_opt_int size;
};
static const struct sv_param extend_params[] = {
    ID("vdisk.id", struct extend_in, id, REQUIRED, .field = SV_F_DISK, DOC("磁盘编号", "id of the disk")),
    INT("vdisk.size", struct extend_in, size, .flags = SV_P_REQUIRED | SV_P_MIN | SV_P_OUR_MAX, .min = 1,
        .max = SV_MAX_DISK_GIB, .unit = "GB", .field = SV_F_DISK_SIZE, DOC("扩容后的容量", "size after growing")),
};

static enum sv_err extend(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct extend_in *in = input;

    return sv_vm_disk_extend(c->cloud, c->tx, &c->actor, in->id, in->size.v * SV_GIB, &out->startid, c->err);
}

static const struct sv_param search_params[] = {
    ID("vdisk.vmid", struct sv_id_in, id, REQUIRED, .field = SV_F_VM, DOC("云主机编号", "id of the VM")),
};

static void put_disk(void *arg, const struct sv_disk *d)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    sv_put_id(r, "vdisk.id", &d->id);
    sv_put_str(r, "vdisk.name", d->name);
    sv_put_str(r, "vdisk.devname", d->target);
    sv_put_str(r, "vdisk.desc", d->descr);
    sv_put_time(r, "vdisk.createtime", d->created);
    sv_put_id(r, "vdisk.vmid", &d->vm);
    sv_put_int(r, "vdisk.size", (d->size + SV_GIB - 1) / SV_GIB);
    sv_put_id(r, "vdisk.undo.startid", &d->undo);
    sv_reply_end_obj(r);
}

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_vm_disk_search(c->tx, &c->actor, in->id, put_disk, out, c->err);
    sv_reply_end_list(out);
    return rc;
}

static const struct sv_route routes[] = {
    {.section = "2.4.1",
     .method = "POST",
     .path = "cloudvm/vdisk/add",
     .kind = SV_ASYNC,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(add_params),
     .in_size = sizeof(struct add_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("vdisk.id"), SV_TEXT("vdisk.devname")),
     .handler = add,
     DOC("添加云主机磁盘", "add a disk, plugged in when the VM runs")},
    {.section = "2.4.2",
     .method = "DELETE",
     .path = "cloudvm/vdisk/{vdiskId}",
     .kind = SV_ASYNC,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(remove_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = remove_disk,
     DOC("删除云主机磁盘", "unplug and delete a disk, not the boot disk")},
    {.section = "2.4.3",
     .method = "PUT",
     .path = "cloudvm/vdisk/extend",
     .kind = SV_ASYNC,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(extend_params),
     .in_size = sizeof(struct extend_in),
     .handler = extend,
     DOC("扩容云主机磁盘", "grow a disk, also while the VM runs")},
    {.section = "2.4.4",
     .method = "POST",
     .path = "cloudvm/vdisk/search",
     .runs = SV_RUN_READ,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct sv_id_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("vdisk.id"), SV_TEXT("vdisk.name"), SV_TEXT("vdisk.devname"), SV_TEXT("vdisk.desc"),
               SV_TEXT("vdisk.createtime"), SV_TEXT("vdisk.vmid"), SV_TEXT("vdisk.size"),
               SV_TEXT("vdisk.undo.startid", .flags = SV_O_OURS)),
     .handler = search,
     DOC("查询云主机磁盘", "list a VM's disks")},
};
const struct sv_route_table sv_table_vdisk = {routes, ROUTE_COUNT(routes)};
