/* Storages (StarVCenter 2.16; all but the search is ours) and disks without a VM (2.4.5). */
#include "handlers/starvcenter/rows.h"

struct search_in {
    struct sv_page_in page;
};
static const struct sv_param search_params[] = {
    PAGE_ROWS(struct search_in),
};

/* As the document writes them; a directory is ours. */
static const char *type_name(const char *type)
{
    if (strcmp(type, "ceph") == 0)
        return "CEPH";
    return strcmp(type, "nfs") == 0 ? "NFS" : "DIR";
}

static void put_storage(void *arg, const struct sv_storage *s)
{
    const bool ceph = strcmp(s->type, "ceph") == 0;
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    sv_put_id(r, "storage.id", &s->id);
    sv_put_str(r, "storage.name", s->name);
    sv_put_str(r, "storage.desc", s->descr);
    sv_put_time(r, "storage.createtime", s->created);
    sv_put_str(r, "storage.type", type_name(s->type));
    sv_put_bool(r, "storage.thin", true); /* qcow2 and RBD images take what is written */
    sv_put_int(r, "storage.size", s->size / SV_GIB);
    sv_put_str(r, "storage.location", s->location);
    sv_put_str(r, "storage.use.type", s->use == SV_STORAGE_MAIN ? "main" : "seconds");
    sv_put_int(r, "storage.usedsize", (s->used + SV_GIB - 1) / SV_GIB);
    sv_put_str(r, "storage.file.type", ceph ? "network" : "file");
    sv_put_str(r, "storage.io.auth", "rw"); /* none is opened for reading only */
    sv_put_str(r, "storage.ceph.monitorip", s->monitors);
    sv_put_str(r, "storage.ceph.poolname", s->pool);
    sv_put_id(r, "storage.hostid", &s->host);
    sv_put_bool(r, "storage.shared", s->shared);
    sv_reply_end_obj(r);
}

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct search_in *in = input;
    const struct sv_page page = sv_page_of(&in->page);
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_storage_search(c->tx, &c->actor, &page, put_storage, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

/* --- ours ------------------------------------------------------------------------------------------- */

static const char *const uses[] = {"main", "seconds", NULL};

static enum sv_storage_use use_of(const char *word)
{
    return word && strcmp(word, "seconds") == 0 ? SV_STORAGE_SECONDARY : SV_STORAGE_MAIN;
}

struct add_in {
    const char *name, *type, *location, *use, *host, *monitors, *pool, *user, *key, *desc;
};
static const struct sv_param add_params[] = {
    STR("storage.name", struct add_in, name, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_STORAGE_NAME, DOC("名称", "name")),
    STR("storage.type", struct add_in, type, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_STORAGE_TYPE, DOC("类型:dir、nfs、ceph", "dir, nfs or ceph")),
    STR("storage.location", struct add_in, location, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = 500,
        .field = SV_F_STORAGE_LOCATION,
        DOC("访问路径:目录、服务器:/导出目录,ceph 为任意名称",
            "a directory, server:/export, or any name of a Ceph pool")),
    ENUM("storage.use.type", struct add_in, use, .values = uses,
         DOC("用途(main:主存储;seconds:辅助存储)", "main: disks of VMs; seconds: backups")),
    ID("storage.hostid", struct add_in, host, .field = SV_F_HOST,
       DOC("主机编号;nfs、ceph 缺省为全部主机", "host; nfs and ceph: all hosts unless named")),
    STR("storage.ceph.monitorip", struct add_in, monitors, .flags = SV_P_OUR_MAX, .max = 500,
        .field = SV_F_CEPH_MONITORS, DOC("Ceph 监视器(以逗号隔开)", "Ceph monitors, host[:port], comma list")),
    STR("storage.ceph.poolname", struct add_in, pool, .flags = SV_P_OUR_MAX, .max = 63, .field = SV_F_CEPH_POOL,
        DOC("Ceph 池名称", "Ceph pool")),
    STR("storage.ceph.user", struct add_in, user, .flags = SV_P_OUR_MAX, .max = 63, .field = SV_F_CEPH_USER,
        DOC("Ceph 用户(不含 client.)", "Ceph user, without client.")),
    STR("storage.ceph.key", struct add_in, key, .flags = SV_P_OUR_MAX | SV_P_SECRET, .max = 127, .field = SV_F_CEPH_KEY,
        DOC("Ceph 认证密钥", "the user's key")),
    STR("storage.desc", struct add_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, DOC("描述", "description")),
};

static enum sv_err add(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct add_in *in = input;
    const struct sv_storage_new s = {.name = in->name,
                                     .descr = in->desc,
                                     .type = in->type,
                                     .location = in->location,
                                     .use = use_of(in->use),
                                     .host = in->host,
                                     .monitors = in->monitors,
                                     .pool = in->pool,
                                     .user = in->user,
                                     .key = in->key};
    struct sv_id id;
    enum sv_err rc = sv_storage_add(c->cloud, c->tx, &c->actor, &s, &id, &c->job, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "storage.id", &id);
    sv_reply_end_obj(out);
    return SV_OK;
}

struct modify_in {
    const char *id, *name, *desc, *use;
};
static const struct sv_param modify_params[] = {
    ID("storage.id", struct modify_in, id, REQUIRED, .field = SV_F_STORAGE, DOC("存储编号", "id of the storage")),
    STR("storage.name", struct modify_in, name, NAME_LEN, .field = SV_F_STORAGE_NAME, DOC("名称", "name")),
    STR("storage.desc", struct modify_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, DOC("描述", "description")),
    ENUM("storage.use.type", struct modify_in, use, .values = uses,
         DOC("用途(main:主存储;seconds:辅助存储)", "main: disks of VMs; seconds: backups")),
};

static enum sv_err modify(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct modify_in *in = input;
    const enum sv_storage_use use = use_of(in->use);

    (void)out;
    return sv_storage_modify(c->tx, &c->actor, in->id, in->name, in->desc, in->use ? &use : NULL, c->err);
}

static const struct sv_param refresh_params[] = {
    ID("storage.id", struct sv_id_in, id, REQUIRED, .field = SV_F_STORAGE, DOC("存储编号", "id of the storage")),
};

static enum sv_err refresh(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_storage_refresh(c->cloud, c->tx, &c->actor, in->id, &c->job, c->err);
}

static const struct sv_param remove_params[] = {
    PATH_ID("storageId", struct sv_id_in, id, SV_F_STORAGE, "存储编号", "id of the storage"),
};

static enum sv_err remove_storage(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_storage_remove(c->cloud, c->tx, &c->actor, in->id, &c->job, c->err);
}

/* --- disks without a VM ----------------------------------------------------------------------------- */

struct pv_in {
    const char *name, *desc, *storage, *use, *tenant;
    struct sv_opt_int size;
};
static const struct sv_param pv_params[] = {
    STR("vdisk.name", struct pv_in, name, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_DISK_NAME, DOC("磁盘名称", "name of the disk")),
    STR("vdisk.desc", struct pv_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, DOC("描述", "description")),
    INT("vdisk.size", struct pv_in, size, .flags = SV_P_REQUIRED | SV_P_MIN | SV_P_OUR_MAX, .min = 1,
        .max = SV_MAX_DISK_GIB, .unit = "GB", .field = SV_F_DISK_SIZE, DOC("容量", "size")),
    ID("vdisk.storageid", struct pv_in, storage, REQUIRED, .field = SV_F_STORAGE,
       DOC("存储编号(Ceph)", "id of a Ceph storage")),
    ENUM("vdisk.use.type", struct pv_in, use, SV_VALUES("vm", "volume"),
         DOC("vm:虚拟机可用;volume:k8s 等使用", "vm: for VMs; volume: for k8s and the like (default)")),
    TENANT_ROW(struct pv_in, tenant),
};

static enum sv_err create_pv(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct pv_in *in = input;
    const struct sv_pv_new v = {.name = in->name,
                                .descr = in->desc,
                                .storage = in->storage,
                                .tenant = in->tenant,
                                .use = in->use ? in->use : "volume",
                                .size = in->size.v * SV_GIB};

    (void)out;
    return sv_pv_make(c->cloud, c->tx, &c->actor, &v, &c->job, c->err);
}

static enum sv_err pv_created(struct sv_call *c, const void *input, struct sv_reply *out)
{
    struct sv_pv_made made;
    enum sv_err rc = sv_pv_made(c->cloud, c->tx, &c->actor, &c->job, &made, c->err);

    (void)input;
    if (rc)
        return rc;
    sv_reply_list(out);
    sv_reply_obj(out);
    sv_put_str(out, "ceph.key", made.key);
    sv_put_str(out, "ceph.poolname", made.pool);
    sv_put_str(out, "ceph.monitor", made.monitors);
    sv_put_str(out, "ceph.user", made.user);
    sv_put_id(out, "vdisk.id", &made.disk);
    sv_reply_end_obj(out);
    sv_reply_end_list(out);
    explicit_bzero(made.key, sizeof(made.key));
    return SV_OK;
}

static const struct sv_route routes[] = {
    {.section = "2.4.5",
     .method = "POST",
     .path = "cloudvm/vdisk/create/pv",
     .runs = SV_RUN_WAIT,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(pv_params),
     .in_size = sizeof(struct pv_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("ceph.key", .flags = SV_O_SECRET), SV_TEXT("ceph.poolname"), SV_TEXT("ceph.monitor"),
               SV_TEXT("ceph.user", .flags = SV_O_OURS), SV_TEXT("vdisk.id")),
     .handler = create_pv,
     .done = pv_created,
     DOC("创建空白磁盘-供PVC使用", "create a disk without a VM on a Ceph storage")},
    {.section = "2.16.1",
     .method = "POST",
     .path = "cloudstorage/search",
     .runs = SV_RUN_READ,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct search_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("storage.id"), SV_TEXT("storage.name"), SV_TEXT("storage.desc"), SV_TEXT("storage.createtime"),
               SV_TEXT("storage.type"), SV_TEXT("storage.thin"), SV_TEXT("storage.size"), SV_TEXT("storage.location"),
               SV_TEXT("storage.use.type"), SV_TEXT("storage.usedsize"), SV_TEXT("storage.file.type"),
               SV_TEXT("storage.io.auth"), SV_TEXT("storage.ceph.monitorip"),
               SV_TEXT("storage.ceph.poolname", .flags = SV_O_OURS), SV_TEXT("storage.hostid", .flags = SV_O_OURS),
               SV_TEXT("storage.shared", .flags = SV_O_OURS)),
     .handler = search,
     DOC("查询存储", "list storages")},
    {.section = "storages",
     .method = "POST",
     .path = "cloudstorage/add",
     .runs = SV_RUN_WAIT,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(add_params),
     .in_size = sizeof(struct add_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("storage.id")),
     .handler = add,
     .extension = true,
     DOC("新增存储", "add a directory, an NFS export or a Ceph pool")},
    {.section = "storages",
     .method = "PUT",
     .path = "cloudstorage/modify",
     .runs = SV_RUN_WRITE,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(modify_params),
     .in_size = sizeof(struct modify_in),
     .handler = modify,
     .extension = true,
     DOC("修改存储", "change a storage's name, description or use")},
    {.section = "storages",
     .method = "PUT",
     .path = "cloudstorage/refresh",
     .runs = SV_RUN_WAIT,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(refresh_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = refresh,
     .extension = true,
     DOC("刷新存储", "ask a storage how full it is")},
    {.section = "storages",
     .method = "DELETE",
     .path = "cloudstorage/{storageId}",
     .runs = SV_RUN_WAIT,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(remove_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = remove_storage,
     .extension = true,
     DOC("移除存储", "remove a storage that holds nothing")},
};
const struct sv_route_table sv_table_storage = {routes, ROUTE_COUNT(routes)};
