/* Quotas (StarVCenter 2.10). */
#include "handlers/starvcenter/rows.h"

static enum sv_err search(struct sv_call *c, const void *in, struct sv_reply *out)
{
    struct sv_capacity all;
    enum sv_err rc = sv_capacity(c->tx, &c->actor, &all, c->err);

    (void)in;
    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_num(out, "cpu", all.vcpus);
    sv_put_num(out, "memory", all.memory / SV_MIB);
    sv_put_num(out, "storage", all.storage / SV_GIB);
    sv_put_num(out, "ip", all.ips);
    sv_reply_end_obj(out);
    return SV_OK;
}

struct modify_in {
    const char *tenant;
    struct sv_opt_int cpu, memory, storage, ip, vpc;
};
#define QUOTA(key, m, f, u, zh, en)                                                                                    \
    INT(key, struct modify_in, m, .flags = SV_P_REQUIRED | SV_P_OUR_MIN | SV_P_OUR_MAX, .min = -1,                     \
        .max = SV_MAX_QUOTA, .unit = (u), .field = (f), DOC(zh ",-1 表示不限", en "; -1 = unlimited"))
static const struct sv_param modify_params[] = {
    ID("tenantId", struct modify_in, tenant, REQUIRED, .field = SV_F_TENANT, DOC("租户编号", "id of the tenant")),
    QUOTA("cpu", cpu, SV_F_QUOTA_VCPUS, NULL, "CPU 核数", "vCPUs"),
    QUOTA("memory", memory, SV_F_QUOTA_MEMORY, "MB", "内存大小", "memory"),
    QUOTA("storage", storage, SV_F_QUOTA_STORAGE, "GB", "存储大小", "storage"),
    QUOTA("ip", ip, SV_F_QUOTA_IPS, NULL, "外网 IP 个数", "outer IPs"),
    QUOTA("vpc", vpc, SV_F_QUOTA_SUBNETS, NULL, "子网个数", "subnets"),
};

static int64_t scaled(struct sv_opt_int v, int64_t unit)
{
    return v.v < 0 ? -1 : v.v * unit;
}

static enum sv_err modify(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct modify_in *in = input;
    const struct sv_amounts quota = {.vcpus = scaled(in->cpu, 1),
                                     .memory = scaled(in->memory, SV_MIB),
                                     .storage = scaled(in->storage, SV_GIB),
                                     .subnets = scaled(in->vpc, 1),
                                     .ips = scaled(in->ip, 1),
                                     .jobs = SV_QUOTA_UNSAID,
                                     .images = SV_QUOTA_UNSAID};

    (void)out;
    return sv_tenant_quota(c->tx, &c->actor, in->tenant, &quota, c->err);
}

static const struct sv_param usable_params[] = {
    ID("tenant.id", struct sv_id_in, id, REQUIRED, .field = SV_F_TENANT, DOC("租户编号", "id of the tenant")),
};

/* What is left and what it is of; -1 where there is no limit. Storage in use counts a part of a GB whole. */
static void put_pair(struct sv_reply *r, const char *left, const char *whole, int64_t quota, int64_t used, int64_t unit)
{
    sv_put_num(r, left, quota < 0 ? -1 : quota > used ? (quota - used) / unit : 0);
    sv_put_num(r, whole, quota < 0 ? -1 : quota / unit);
}

static enum sv_err usable(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;
    struct sv_tenant t;
    enum sv_err rc = sv_tenant_find(c->tx, &c->actor, in->id, c->arena, &t, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    put_pair(out, "cpu", "countCpu", t.quota.vcpus, t.used.vcpus, 1);
    put_pair(out, "memory", "countMemory", t.quota.memory, t.used.memory, SV_MIB);
    put_pair(out, "storage", "countStorage", t.quota.storage, t.used.storage, SV_GIB);
    put_pair(out, "outerIpSize", "countOuterIpSize", t.quota.ips, t.used.ips, 1);
    put_pair(out, "portGroupSize", "countPortGroupSize", t.quota.subnets, t.used.subnets, 1);
    put_pair(out, "oss", "countOss", 0, 0, 1); /* no object storage */
    sv_reply_end_obj(out);
    return SV_OK;
}

static const struct sv_route routes[] = {
    {.section = "2.10.1",
     .method = "POST",
     .path = "resourcequota/search",
     .runs = SV_RUN_READ,
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_NUM("cpu"), SV_NUM("memory"), SV_NUM("storage"), SV_NUM("ip")),
     .handler = search,
     DOC("查询资源池总配额", "what hosts, storages and pools hold in total")},
    {.section = "2.10.2",
     .method = "PUT",
     .path = "resourcequota/modify",
     .runs = SV_RUN_WRITE,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(modify_params),
     .in_size = sizeof(struct modify_in),
     .handler = modify,
     DOC("更新租户配额", "set a tenant's quotas")},
    {.section = "2.10.3",
     .method = "POST",
     .path = "resourcequota/usableQuota",
     .runs = SV_RUN_READ,
     SV_PARAMS(usable_params),
     .in_size = sizeof(struct sv_id_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_NUM("cpu"), SV_NUM("memory"), SV_NUM("storage"), SV_NUM("outerIpSize"), SV_NUM("portGroupSize"),
               SV_NUM("oss"), SV_NUM("countCpu"), SV_NUM("countMemory"), SV_NUM("countStorage"),
               SV_NUM("countOuterIpSize"), SV_NUM("countPortGroupSize"), SV_NUM("countOss")),
     .handler = usable,
     DOC("查询租户可用配额", "what a tenant may still use")},
};
const struct sv_route_table sv_table_quota = {routes, ROUTE_COUNT(routes)};
