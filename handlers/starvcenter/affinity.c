/* Affinity groups (ours). */
#include "handlers/starvcenter/rows.h"

struct create_in {
    const char *name, *desc, *policy, *tenant;
    struct sv_opt_bool strict;
};
static const struct sv_param create_params[] = {
    STR("affinity.name", struct create_in, name, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_AFFINITY_NAME, DOC("名称", "name")),
    STR("affinity.desc", struct create_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, .field = SV_F_AFFINITY_DESC,
        DOC("描述", "description")),
    ENUM("affinity.policy", struct create_in, policy, SV_VALUES("together", "apart"), REQUIRED,
         DOC("同一物理机或不同物理机", "on one host, or on different ones")),
    BOOL("affinity.strict", struct create_in, strict,
         DOC("不能满足时拒绝创建,默认 false", "refuse a VM where that cannot be; false unless given")),
    TENANT_ROW(struct create_in, tenant),
};

static enum sv_err create(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct create_in *in = input;
    const struct sv_affinity_new g = {.tenant = in->tenant,
                                      .name = in->name,
                                      .descr = in->desc,
                                      .apart = strcmp(in->policy, "apart") == 0,
                                      .strict = in->strict.v};
    struct sv_id id;
    const enum sv_err rc = sv_affinity_create(c->tx, &c->actor, &g, &id, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "affinity.id", &id);
    sv_reply_end_obj(out);
    return SV_OK;
}

struct search_in {
    const char *name;
    struct sv_page_in page;
};
static const struct sv_param search_params[] = {
    STR("affinity.name", struct search_in, name, DOC("名称", "a part of the name")),
    PAGE_ROWS(struct search_in),
};

static void put_group(void *arg, const struct sv_affinity *g)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    sv_put_id(r, "affinity.id", &g->id);
    sv_put_str(r, "affinity.name", g->name);
    sv_put_str(r, "affinity.desc", g->descr);
    sv_put_str(r, "affinity.policy", g->apart ? "apart" : "together");
    sv_put_bool(r, "affinity.strict", g->strict);
    sv_put_id(r, "affinity.appid", &g->tenant);
    sv_put_time(r, "affinity.createtime", g->created);
    sv_put_str(r, "vm.id", g->vms);
    sv_reply_end_obj(r);
}

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct search_in *in = input;
    const struct sv_page p = sv_page_of(&in->page);
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_affinity_search(c->tx, &c->actor, in->name, &p, put_group, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

static const struct sv_param remove_params[] = {
    PATH_ID("affinityId", struct sv_id_in, id, SV_F_AFFINITY, "亲和组编号", "id of the group"),
};

static enum sv_err remove_group(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_affinity_remove(c->tx, &c->actor, in->id, c->err);
}

static const struct sv_route routes[] = {
    {.section = "affinity",
     .method = "POST",
     .path = "cloudaffinity/create",
     .extension = true,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(create_params),
     .in_size = sizeof(struct create_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("affinity.id")),
     .handler = create,
     DOC("创建亲和组", "create a group of VMs that belong together or apart")},
    {.section = "affinity",
     .method = "POST",
     .path = "cloudaffinity/search",
     .extension = true,
     .runs = SV_RUN_READ,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct search_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("affinity.id"), SV_TEXT("affinity.name"), SV_TEXT("affinity.desc"), SV_TEXT("affinity.policy"),
               SV_TEXT("affinity.strict"), SV_TEXT("affinity.appid"), SV_TEXT("affinity.createtime"), SV_TEXT("vm.id")),
     .handler = search,
     DOC("查询亲和组", "list affinity groups")},
    {.section = "affinity",
     .method = "DELETE",
     .path = "cloudaffinity/{affinityId}",
     .extension = true,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(remove_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = remove_group,
     DOC("删除亲和组", "delete one that no VM is in")},
};
const struct sv_route_table sv_table_affinity = {routes, ROUTE_COUNT(routes)};
