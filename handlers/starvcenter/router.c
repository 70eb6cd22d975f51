/* Routers (StarVCenter 2.9), and the boundary of a VPC (2.3.12). */
#include "handlers/starvcenter/rows.h"
#include "starvirt/core_router.h"

/* --- create ------------------------------------------------------------------------------------------- */

struct create_in {
    const char *name, *ip, *tenant;
    struct sv_opt_bool ha;
};
static const struct sv_param create_params[] = {
    STR("vroute.name", struct create_in, name, NAME_LEN, .field = SV_F_ROUTER_NAME,
        DOC("云路由名称", "name; made from the id when absent")),
    BOOL("vroute.ha.enable", struct create_in, ha, DOC("是否高可用", "two instances, of which one routes")),
    {.name = "vroute.manageip",
     .type = SV_T_IP,
     .offset = SV_OFF_STR(struct create_in, ip),
     .field = SV_F_OUTER_IP,
     DOC("管理地址(外网)", "its address outside, of an outer pool; the next that is free when absent")},
    TENANT_ROW(struct create_in, tenant),
};

/* Both instances are made by one job. */
static enum sv_err create(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct create_in *in = input;
    const struct sv_router_new r = {.tenant = in->tenant, .name = in->name, .ip = in->ip, .ha = in->ha.v};
    struct sv_router_view made;
    struct sv_id startid;
    const enum sv_err rc = sv_router_create(c->cloud, c->tx, &c->actor, &r, &made, &startid, c->err);

    if (rc)
        return rc;
    sv_reply_list(out);
    for (unsigned i = 0; i < SV_ROUTER_NODES && !sv_id_empty(&made.row.node[i]); i++) {
        sv_reply_obj(out);
        sv_put_id(out, "vm.id", &made.row.node[i]);
        sv_put_str(out, "vm.name", made.row.name);
        sv_put_ip(out, "vm.manageip", made.ip);
        sv_put_id(out, "jobstartid", &startid);
        sv_reply_end_obj(out);
    }
    sv_reply_end_list(out);
    return SV_OK;
}

/* --- delete, show, search ------------------------------------------------------------------------------- */

static const struct sv_param node_params[] = {
    PATH_ID("vmId", struct sv_id_in, id, SV_F_ROUTER, "云路由编号", "id of either instance"),
};

static enum sv_err remove_router(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    return sv_router_remove(c->cloud, c->tx, &c->actor, in->id, &out->startid, c->err);
}

#define ROUTER_FIELDS                                                                                                  \
    SV_TEXT("vroute.id"), SV_TEXT("vroute.name"), SV_TEXT("vroute.desc"), SV_TEXT("vroute.createtime"),                \
        SV_TEXT("vroute.register.address"), SV_TEXT("vroute.online"), SV_TEXT("vroute.manageip"),                      \
        SV_TEXT("vroute.active", .flags = SV_O_OURS)

static void put_router(void *arg, const struct sv_router_view *v)
{
    struct sv_reply *out = arg;

    sv_reply_obj(out);
    sv_put_id(out, "vroute.id", &v->row.id);
    sv_put_str(out, "vroute.name", v->row.name);
    sv_put_str(out, "vroute.desc", v->row.descr);
    sv_put_time(out, "vroute.createtime", v->row.created);
    sv_put_ip(out, "vroute.register.address", v->ip);
    sv_put_bool(out, "vroute.online", v->online);
    sv_put_ip(out, "vroute.manageip", v->ip);
    sv_put_id(out, "vroute.active", &v->active);
    sv_reply_end_obj(out);
}

static enum sv_err show(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;
    struct sv_router_view v;
    const enum sv_err rc = sv_router_show(c->cloud, c->tx, &c->actor, in->id, &v, c->err);

    if (!rc)
        put_router(out, &v);
    return rc;
}

struct search_in {
    const char *name;
    struct sv_page_in page;
};
static const struct sv_param search_params[] = {
    STR("vroute.name", struct search_in, name, NAME_LEN, DOC("云路由名称(部分)", "a part of the name")),
    PAGE_ROWS(struct search_in),
};

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct search_in *in = input;
    const struct sv_page p = sv_page_of(&in->page);
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_router_search(c->cloud, c->tx, &c->actor, in->name, &p, put_router, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

/* --- VPCs of a router ----------------------------------------------------------------------------------- */

static const struct sv_param vpc_params[] = {
    ID("portgroup.id", struct sv_id_in, id, REQUIRED, .field = SV_F_VPC, DOC("子网编号", "id of the VPC")),
};

static enum sv_err join(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_router_join(c->cloud, c->tx, &c->actor, in->id, c->err);
}

static enum sv_err part(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_router_part(c->cloud, c->tx, &c->actor, in->id, c->err);
}

struct gate_in {
    const char *id, *type;
};
static const struct sv_param gate_params[] = {
    ID("portgroup.id", struct gate_in, id, REQUIRED, .field = SV_F_VPC, DOC("子网编号", "id of the VPC")),
    ENUM("type", struct gate_in, type, REQUIRED, SV_VALUES("open", "close"),
         DOC("open 开启/close 关闭", "close: its boundary lets pass what rules allow only")),
};

static enum sv_err gate(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct gate_in *in = input;

    (void)out;
    return sv_router_gate(c->cloud, c->tx, &c->actor, in->id, strcmp(in->type, "close") == 0, c->err);
}

static const struct sv_route routes[] = {
    {.section = "2.3.12",
     .method = "POST",
     .path = "cloudnetwork/netgate",
     .runs = SV_RUN_TELL,
     SV_PARAMS(gate_params),
     .in_size = sizeof(struct gate_in),
     .handler = gate,
     DOC("子网边界防火墙开启与关闭", "open or close the boundary of a VPC")},
    {.section = "2.9.1",
     .method = "POST",
     .path = "vroute/create",
     .kind = SV_ASYNC_EACH,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(create_params),
     .in_size = sizeof(struct create_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("vm.id"), SV_TEXT("vm.name"), SV_TEXT("vm.manageip"), SV_TEXT("jobstartid")),
     .handler = create,
     DOC("创建云路由", "make the tenant's router")},
    {.section = "2.9.2",
     .method = "POST",
     .path = "vroute/vpcAdd",
     .runs = SV_RUN_TELL,
     SV_PARAMS(vpc_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = join,
     DOC("云路由添加子网接入", "lead the tenant's router to a VPC")},
    {.section = "2.9.3",
     .method = "POST",
     .path = "vroute/vpcDelete",
     .runs = SV_RUN_TELL,
     SV_PARAMS(vpc_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = part,
     DOC("云路由删除子网接入", "take a VPC off the router")},
    {.section = "2.9.4",
     .method = "GET",
     .path = "vroute/{vmId}",
     .runs = SV_RUN_READ,
     SV_PARAMS(node_params),
     .in_size = sizeof(struct sv_id_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(ROUTER_FIELDS),
     .handler = show,
     DOC("获取云路由详细", "show one router")},
    {.section = "routers",
     .method = "POST",
     .path = "vroute/search",
     .extension = true,
     .runs = SV_RUN_READ,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct search_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(ROUTER_FIELDS),
     .handler = search,
     DOC("查询云路由", "list routers")},
    {.section = "routers",
     .method = "DELETE",
     .path = "vroute/{vmId}",
     .kind = SV_ASYNC,
     .extension = true,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(node_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = remove_router,
     DOC("删除云路由", "remove a router that has no mappings and no balancers")},
};
const struct sv_route_table sv_table_router = {routes, ROUTE_COUNT(routes)};
