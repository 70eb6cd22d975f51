/* VPCs (StarVCenter 2.3.1 - 2.3.4). */
#include <stdio.h>

#include "handlers/starvcenter/rows.h"

static void put_cidr(struct sv_reply *r, const struct sv_vpc *v)
{
    char ip[SV_IP4_LEN], cidr[SV_IP4_LEN + 4];

    sv_ip4_format(v->base, ip);
    snprintf(cidr, sizeof(cidr), "%s/%u", ip, v->prefix);
    sv_put_str(r, "vpc.cidr", cidr);
    sv_put_ip(r, "vpc.gateway", v->base + 1);
}

struct create_in {
    const char *name, *desc, *tenant;
};
static const struct sv_param create_params[] = {
    STR("vpc.name", struct create_in, name, NAME_LEN, .field = SV_F_VPC_NAME,
        DOC("名称", "name; made from the id when absent")),
    STR("vpc.desc", struct create_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, DOC("描述", "description")),
    TENANT_ROW(struct create_in, tenant),
};

static enum sv_err create(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct create_in *in = input;
    struct sv_vpc v;
    const enum sv_err rc =
        sv_vpc_create(c->cloud, c->tx, &c->actor, in->tenant, in->name, in->desc, c->arena, &v, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "vpc.id", &v.id);
    sv_put_str(out, "vpc.name", v.name);
    put_cidr(out, &v);
    sv_reply_end_obj(out);
    return SV_OK;
}

struct modify_in {
    const char *id, *name, *desc;
};
static const struct sv_param modify_params[] = {
    ID("vpc.id", struct modify_in, id, REQUIRED, .field = SV_F_VPC, DOC("网络编号", "id of the VPC")),
    STR("vpc.name", struct modify_in, name, NAME_LEN, .field = SV_F_VPC_NAME, DOC("名称", "name")),
    STR("vpc.desc", struct modify_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, DOC("描述", "description")),
};

static enum sv_err modify(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct modify_in *in = input;

    (void)out;
    return sv_vpc_rename(c->tx, &c->actor, in->id, in->name, in->desc, c->err);
}

static const struct sv_param delete_params[] = {
    ID("vpc.id", struct sv_id_in, id, REQUIRED, .field = SV_F_VPC, DOC("网络编号", "id of the VPC")),
};

static enum sv_err delete_vpc(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_vpc_remove(c->cloud, c->tx, &c->actor, in->id, &c->job, c->err);
}

struct search_in {
    const char *tenant;
    struct sv_page_in page;
};
static const struct sv_param search_params[] = {
    PAGE_ROWS(struct search_in),
    TENANT_ROW(struct search_in, tenant),
};

static void put_vpc(void *arg, const struct sv_vpc *v)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    sv_put_id(r, "vpc.id", &v->id);
    sv_put_str(r, "vpc.name", v->name);
    put_cidr(r, v);
    sv_put_int(r, "vpc.usable.ipcount", v->free_count);
    sv_put_str(r, "vpc.desc", v->descr);
    sv_put_time(r, "vpc.createtime", v->created);
    sv_put_id(r, "vpc.vroute.id", &v->router);
    sv_put_str(r, "vpc.netgate", v->closed ? "close" : "open");
    sv_reply_end_obj(r);
}

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct search_in *in = input;
    const struct sv_page p = sv_page_of(&in->page);
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_vpc_search(c->tx, &c->actor, in->tenant, &p, put_vpc, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

static const struct sv_route routes[] = {
    {.section = "2.3.1",
     .method = "POST",
     .path = "cloudnetwork/vpc/create",
     .runs = SV_RUN_WRITE,
     SV_PARAMS(create_params),
     .in_size = sizeof(struct create_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("vpc.id"), SV_TEXT("vpc.name"), SV_TEXT("vpc.cidr"), SV_TEXT("vpc.gateway")),
     .handler = create,
     DOC("开通租户私有网络", "create a VPC")},
    {.section = "2.3.2",
     .method = "PUT",
     .path = "cloudnetwork/vpc/modify",
     .runs = SV_RUN_WRITE,
     SV_PARAMS(modify_params),
     .in_size = sizeof(struct modify_in),
     .handler = modify,
     DOC("修改租户私有网络", "change name and description")},
    {.section = "2.3.3",
     .method = "POST",
     .path = "cloudnetwork/vpc/delete",
     .runs = SV_RUN_WAIT,
     SV_PARAMS(delete_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = delete_vpc,
     DOC("删除租户私有网络", "delete a VPC that has no NICs")},
    {.section = "2.3.4",
     .method = "POST",
     .path = "cloudnetwork/vpc/search",
     .runs = SV_RUN_READ,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct search_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("vpc.id"), SV_TEXT("vpc.name"), SV_TEXT("vpc.cidr"), SV_TEXT("vpc.gateway"),
               SV_TEXT("vpc.usable.ipcount"), SV_TEXT("vpc.desc"), SV_TEXT("vpc.createtime"),
               SV_TEXT("vpc.vroute.id", .flags = SV_O_OURS), SV_TEXT("vpc.netgate", .flags = SV_O_OURS)),
     .handler = search,
     DOC("查询租户私有网络", "list VPCs")},
};
const struct sv_route_table sv_table_vpc = {routes, ROUTE_COUNT(routes)};
