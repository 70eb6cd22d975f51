/* Tenants and tokens (StarVCenter 2.1; the rest ours, group "tenants"). */
#include "handlers/starvcenter/rows.h"

static int64_t scaled(struct sv_opt_int v, int64_t unit)
{
    return !v.set || v.v < 0 ? -1 : v.v * unit;
}

/* --- create ----------------------------------------------------------------------------------------- */

struct create_in {
    const char *name, *desc;
    struct sv_opt_int cpu, memory, storage, subnets, ips;
};
#define QUOTA(key, m, f, u, zh, en)                                                                                    \
    INT(key, struct create_in, m, .flags = SV_P_OUR_MIN | SV_P_OUR_MAX, .min = -1, .max = SV_MAX_QUOTA, .unit = (u),   \
        .field = (f), DOC(zh ",缺省或 -1 表示不限", en "; absent or -1 = unlimited"))
static const struct sv_param create_params[] = {
    STR("app.name", struct create_in, name, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_TENANT_NAME, DOC("租户名称", "name of the tenant")),
    QUOTA("app.cpu.quota", cpu, SV_F_QUOTA_VCPUS, NULL, "CPU 配额", "vCPU quota"),
    QUOTA("app.memory.quota", memory, SV_F_QUOTA_MEMORY, "MB", "内存配额", "memory quota"),
    QUOTA("app.storage.quota", storage, SV_F_QUOTA_STORAGE, "GB", "存储配额", "storage quota"),
    QUOTA("app.portgroup.quota", subnets, SV_F_QUOTA_SUBNETS, NULL, "子网配额", "subnet quota"),
    QUOTA("app.outerip.quota", ips, SV_F_QUOTA_IPS, NULL, "外网 IP 配额", "outer IP quota"),
    STR("app.desc", struct create_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, DOC("描述", "description")),
};

static enum sv_err create(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct create_in *in = input;
    const struct sv_tenant_new t = {.name = in->name,
                                    .descr = in->desc,
                                    .quota = {.vcpus = scaled(in->cpu, 1),
                                              .memory = scaled(in->memory, SV_MIB),
                                              .storage = scaled(in->storage, SV_GIB),
                                              .subnets = scaled(in->subnets, 1),
                                              .ips = scaled(in->ips, 1),
                                              .jobs = SV_QUOTA_UNSAID,
                                              .images = SV_QUOTA_UNSAID}};
    char token[SV_TOKEN_TEXT];
    struct sv_id id;
    enum sv_err rc = sv_tenant_create(c->cloud, c->tx, &c->actor, &t, &id, token, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "app.id", &id);
    sv_put_str(out, "app.token", token);
    sv_reply_end_obj(out);
    return SV_OK;
}

/* --- search ----------------------------------------------------------------------------------------- */

struct search_in {
    const char *id, *name;
    struct sv_page_in page;
};
static const struct sv_param search_params[] = {
    ID("app.id", struct search_in, id, .field = SV_F_TENANT, DOC("租户编号", "id of the tenant")),
    STR("app.name", struct search_in, name, NAME_LEN, DOC("名称(模糊匹配)", "substring of the name")),
    PAGE_ROWS(struct search_in),
};

static int64_t shown(int64_t amount, int64_t unit)
{
    return amount < 0 ? -1 : amount / unit;
}

static void put_tenant(void *arg, const struct sv_tenant *t)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    sv_put_id(r, "app.id", &t->id);
    sv_put_str(r, "app.name", t->name);
    sv_put_str(r, "app.desc", t->descr);
    sv_put_time(r, "app.createtime", t->created);
    sv_put_int(r, "app.cpu.quota", t->quota.vcpus);
    sv_put_int(r, "app.memory.quota", shown(t->quota.memory, SV_MIB));
    sv_put_int(r, "app.storage.quota", shown(t->quota.storage, SV_GIB));
    sv_put_int(r, "app.portgroup.quota", t->quota.subnets);
    sv_put_int(r, "app.outerip.quota", t->quota.ips);
    sv_put_int(r, "app.image.quota", shown(sv_quota_images(&t->quota), SV_GIB));
    sv_put_int(r, "app.image.used", (t->used.images + SV_GIB - 1) / SV_GIB);
    sv_put_int(r, "app.job.quota", t->quota.jobs);
    sv_put_int(r, "app.job.open", t->used.jobs);
    sv_reply_end_obj(r);
}

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct search_in *in = input;
    const struct sv_tenant_filter f = {.id = sv_id_from(in->id), .name = in->name};
    const struct sv_page p = sv_page_of(&in->page);
    enum sv_err rc = SV_OK;

    sv_reply_list(out);
    if (!in->id || sv_id_valid(in->id))
        rc = sv_tenant_search(c->tx, &c->actor, &f, &p, put_tenant, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

/* --- modify, delete --------------------------------------------------------------------------------- */

struct modify_in {
    const char *id, *name, *desc;
    struct sv_opt_int jobs, images;
};
static const struct sv_param modify_params[] = {
    ID("app.id", struct modify_in, id, REQUIRED, .field = SV_F_TENANT, DOC("租户编号", "id of the tenant")),
    STR("app.name", struct modify_in, name, NAME_LEN, .field = SV_F_TENANT_NAME, DOC("名称", "name")),
    STR("app.desc", struct modify_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, DOC("描述", "description")),
    INT("app.job.quota", struct modify_in, jobs, .flags = SV_P_OUR_MIN | SV_P_OUR_MAX, .min = -1, .max = SV_MAX_QUOTA,
        .field = SV_F_QUOTA_JOBS, DOC("未结束任务数上限,-1 表示不限", "open jobs at a time; -1 = unlimited")),
    INT("app.image.quota", struct modify_in, images, .flags = SV_P_OUR_MIN | SV_P_OUR_MAX, .min = SV_QUOTA_AS_STORAGE,
        .max = SV_MAX_QUOTA, .unit = "GB", .field = SV_F_QUOTA_IMAGES,
        DOC("模板与备份文件配额,-1 表示不限,-2 表示与存储配额相同",
            "files of templates and backups; -1 = unlimited, -2 = as the storage quota")),
};

static enum sv_err modify(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct modify_in *in = input;
    const struct sv_amounts quota = {.vcpus = SV_QUOTA_UNSAID,
                                     .memory = SV_QUOTA_UNSAID,
                                     .storage = SV_QUOTA_UNSAID,
                                     .subnets = SV_QUOTA_UNSAID,
                                     .ips = SV_QUOTA_UNSAID,
                                     .jobs = in->jobs.set ? in->jobs.v : SV_QUOTA_UNSAID,
                                     .images = !in->images.set    ? SV_QUOTA_UNSAID
                                               : in->images.v < 0 ? in->images.v
                                                                  : in->images.v * SV_GIB};
    const enum sv_err rc = sv_tenant_rename(c->tx, &c->actor, in->id, in->name, in->desc, c->err);

    (void)out;
    return rc || (!in->jobs.set && !in->images.set) ? rc : sv_tenant_quota(c->tx, &c->actor, in->id, &quota, c->err);
}

static const struct sv_param remove_params[] = {
    PATH_ID("appId", struct sv_id_in, id, SV_F_TENANT, "租户编号", "id of the tenant"),
};

static enum sv_err remove_tenant(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_tenant_remove(c->tx, &c->actor, in->id, c->err);
}

/* --- tokens ----------------------------------------------------------------------------------------- */

struct token_in {
    const char *tenant, *role, *desc;
    struct sv_opt_int expire;
};
static const struct sv_param token_params[] = {
    ID("app.id", struct token_in, tenant, REQUIRED, .field = SV_F_TENANT, DOC("租户编号", "id of the tenant")),
    ENUM("token.role", struct token_in, role, SV_VALUES("tenant", "admin"), .field = SV_F_TOKEN_ROLE,
         DOC("角色,默认 tenant", "role, tenant unless given")),
    TIME("token.expire", struct token_in, expire, .field = SV_F_TOKEN_EXPIRY,
         DOC("失效时间,缺省永久有效", "end of validity; absent = never")),
    STR("token.desc", struct token_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, DOC("描述", "description")),
};

static enum sv_err token_create(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct token_in *in = input;
    const enum sv_role role = in->role && strcmp(in->role, "admin") == 0 ? SV_ROLE_ADMIN : SV_ROLE_TENANT;
    char token[SV_TOKEN_TEXT];
    struct sv_id id;
    enum sv_err rc = sv_token_issue(c->cloud, c->tx, &c->actor, in->tenant, role, in->expire.set ? in->expire.v : 0,
                                    in->desc, &id, token, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "token.id", &id);
    sv_put_str(out, "token.value", token);
    sv_reply_end_obj(out);
    return SV_OK;
}

struct token_search_in {
    const char *tenant;
    struct sv_page_in page;
};
static const struct sv_param token_search_params[] = {
    ID("app.id", struct token_search_in, tenant, .field = SV_F_TENANT, DOC("租户编号", "id of the tenant")),
    PAGE_ROWS(struct token_search_in),
};

static void put_token(void *arg, const struct sv_token *t)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    sv_put_id(r, "token.id", &t->id);
    sv_put_id(r, "app.id", &t->tenant);
    sv_put_str(r, "token.role", t->role == SV_ROLE_ADMIN ? "admin" : "tenant");
    sv_put_time(r, "token.createtime", t->created);
    sv_put_time(r, "token.expire", t->expires);
    sv_put_time(r, "token.lastused", t->last_used);
    sv_put_str(r, "token.desc", t->descr);
    sv_reply_end_obj(r);
}

static enum sv_err token_search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct token_search_in *in = input;
    const struct sv_page p = sv_page_of(&in->page);
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_token_search(c->tx, &c->actor, in->tenant, &p, put_token, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

static const struct sv_param revoke_params[] = {
    PATH_ID("tokenId", struct sv_id_in, id, SV_F_TOKEN, "令牌编号", "id of the token"),
};

static enum sv_err token_revoke(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_token_revoke(c->tx, &c->actor, in->id, c->err);
}

static const struct sv_route routes[] = {
    {.section = "2.1.1",
     .method = "POST",
     .path = "cloudTenant/create",
     .runs = SV_RUN_WRITE,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(create_params),
     .in_size = sizeof(struct create_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("app.id"), SV_TEXT("app.token", .flags = SV_O_OURS | SV_O_SECRET)),
     .handler = create,
     DOC("创建租户", "create a tenant; app.token is ours")},
    {.section = "tenants",
     .method = "POST",
     .path = "cloudTenant/search",
     .runs = SV_RUN_READ,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct search_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("app.id"), SV_TEXT("app.name"), SV_TEXT("app.desc"), SV_TEXT("app.createtime"),
               SV_TEXT("app.cpu.quota"), SV_TEXT("app.memory.quota"), SV_TEXT("app.storage.quota"),
               SV_TEXT("app.portgroup.quota"), SV_TEXT("app.outerip.quota"), SV_TEXT("app.image.quota"),
               SV_TEXT("app.image.used"), SV_TEXT("app.job.quota"), SV_TEXT("app.job.open")),
     .handler = search,
     .extension = true,
     DOC("查询租户", "list tenants")},
    {.section = "tenants",
     .method = "PUT",
     .path = "cloudTenant/modify",
     .runs = SV_RUN_WRITE,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(modify_params),
     .in_size = sizeof(struct modify_in),
     .handler = modify,
     .extension = true,
     DOC("修改租户的名称、描述和任务数上限", "change name, description and the bound on open jobs")},
    {.section = "tenants",
     .method = "DELETE",
     .path = "cloudTenant/{appId}",
     .runs = SV_RUN_WRITE,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(remove_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = remove_tenant,
     .extension = true,
     DOC("删除租户", "delete a tenant that owns nothing")},
    {.section = "tenants",
     .method = "POST",
     .path = "cloudTenant/token/create",
     .runs = SV_RUN_WRITE,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(token_params),
     .in_size = sizeof(struct token_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("token.id"), SV_TEXT("token.value", .flags = SV_O_SECRET)),
     .handler = token_create,
     .extension = true,
     DOC("签发令牌", "issue a token; its value is shown this once")},
    {.section = "tenants",
     .method = "POST",
     .path = "cloudTenant/token/search",
     .runs = SV_RUN_READ,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(token_search_params),
     .in_size = sizeof(struct token_search_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("token.id"), SV_TEXT("app.id"), SV_TEXT("token.role"), SV_TEXT("token.createtime"),
               SV_TEXT("token.expire"), SV_TEXT("token.lastused"), SV_TEXT("token.desc")),
     .handler = token_search,
     .extension = true,
     DOC("查询令牌", "list tokens, without their values")},
    {.section = "tenants",
     .method = "DELETE",
     .path = "cloudTenant/token/{tokenId}",
     .runs = SV_RUN_WRITE,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(revoke_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = token_revoke,
     .extension = true,
     DOC("吊销令牌", "revoke a token")},
};
const struct sv_route_table sv_table_tenant = {routes, ROUTE_COUNT(routes)};
