/* Snapshots of a VM (StarVCenter 2.7). */
#include "handlers/starvcenter/rows.h"

static const struct sv_param list_params[] = {
    PATH_ID("vmId", struct sv_id_in, id, SV_F_VM, "云主机编号", "id of the VM"),
};

static void put_snapshot(void *arg, const struct sv_snapshot *s)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    sv_put_id(r, "snapshot.id", &s->id);
    sv_put_str(r, "snapshot.name", s->name);
    sv_put_str(r, "snapshot.desc", s->descr);
    sv_put_id(r, "snapshot.vmid", &s->vm);
    sv_put_time(r, "snapshot.createtime", s->created);
    sv_put_bool(r, "snapshot.enable", s->ready);
    sv_put_bool(r, "snapshot.memory", s->memory);
    sv_put_id(r, "snapshot.parent", &s->parent);
    sv_put_bool(r, "snapshot.current", s->current);
    sv_reply_end_obj(r);
}

static enum sv_err list(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_snapshot_search(c->tx, &c->actor, in->id, put_snapshot, out, c->err);
    sv_reply_end_list(out);
    return rc;
}

struct create_in {
    const char *vm, *name, *desc;
};
static const struct sv_param create_params[] = {
    ID("snapshot.vmid", struct create_in, vm, REQUIRED, .field = SV_F_VM, DOC("虚拟机编号", "id of the VM")),
    STR("snapshot.name", struct create_in, name, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_SNAPSHOT_NAME, DOC("名称", "name")),
    STR("snapshot.desc", struct create_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, .field = SV_F_SNAPSHOT_DESC,
        DOC("描述", "description")),
};

static enum sv_err create(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct create_in *in = input;
    struct sv_snapshot_made made;
    enum sv_err rc = sv_snapshot_create(c->cloud, c->tx, &c->actor, in->vm, in->name, in->desc, &made, c->err);

    if (rc)
        return rc;
    out->startid = made.startid;
    sv_reply_obj(out);
    sv_put_id(out, "snapshot.id", &made.snapshot);
    sv_reply_end_obj(out);
    return SV_OK;
}

static const struct sv_param restore_params[] = {
    ID("snapshot.id", struct sv_id_in, id, REQUIRED, .field = SV_F_SNAPSHOT, DOC("编号", "id of the snapshot")),
};

static enum sv_err restore(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    return sv_snapshot_restore(c->cloud, c->tx, &c->actor, in->id, &out->startid, c->err);
}

static const struct sv_param remove_params[] = {
    PATH_ID("snapshotId", struct sv_id_in, id, SV_F_SNAPSHOT, "快照编号", "id of the snapshot"),
};

static enum sv_err remove_snapshot(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_snapshot_remove(c->cloud, c->tx, &c->actor, in->id, &c->job, c->err);
}

struct modify_in {
    const char *id, *desc;
};
static const struct sv_param modify_params[] = {
    ID("snapshot.id", struct modify_in, id, REQUIRED, .field = SV_F_SNAPSHOT, DOC("编号", "id of the snapshot")),
    STR("snapshot.desc", struct modify_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, .field = SV_F_SNAPSHOT_DESC,
        DOC("描述", "description")),
};

static enum sv_err modify(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct modify_in *in = input;

    (void)out;
    return sv_snapshot_describe(c->tx, &c->actor, in->id, in->desc, c->err);
}

static const struct sv_route routes[] = {
    {.section = "2.7.1",
     .method = "GET",
     .path = "cloudvm/snapshot/{vmId}",
     .runs = SV_RUN_READ,
     SV_PARAMS(list_params),
     .in_size = sizeof(struct sv_id_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("snapshot.id"), SV_TEXT("snapshot.name"), SV_TEXT("snapshot.desc"), SV_TEXT("snapshot.vmid"),
               SV_TEXT("snapshot.createtime"), SV_TEXT("snapshot.enable"),
               SV_TEXT("snapshot.memory", .flags = SV_O_OURS), SV_TEXT("snapshot.parent", .flags = SV_O_OURS),
               SV_TEXT("snapshot.current", .flags = SV_O_OURS)),
     .handler = list,
     DOC("获取云主机快照", "list a VM's snapshots, oldest first")},
    {.section = "2.7.2",
     .method = "POST",
     .path = "cloudvm/snapshot/create",
     .kind = SV_ASYNC,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(create_params),
     .in_size = sizeof(struct create_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("snapshot.id")),
     .handler = create,
     DOC("创建云主机快照", "take a snapshot of a VM's disks, and of its memory when it runs")},
    {.section = "2.7.3",
     .method = "PUT",
     .path = "cloudvm/snapshot/restore",
     .kind = SV_ASYNC,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(restore_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = restore,
     DOC("恢复云主机快照", "go back to a snapshot")},
    {.section = "2.7.4",
     .method = "DELETE",
     .path = "cloudvm/snapshot/{snapshotId}",
     .runs = SV_RUN_WAIT,
     SV_PARAMS(remove_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = remove_snapshot,
     DOC("删除云主机快照", "delete a snapshot, any of the tree")},
    {.section = "2.7.5",
     .method = "PUT",
     .path = "cloudvm/snapshot/modify",
     .runs = SV_RUN_WRITE,
     SV_PARAMS(modify_params),
     .in_size = sizeof(struct modify_in),
     .handler = modify,
     DOC("修改虚拟机快照信息", "change a snapshot's description")},
};
const struct sv_route_table sv_table_snapshot = {routes, ROUTE_COUNT(routes)};
