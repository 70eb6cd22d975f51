/* Pools of outer addresses (ours), and which of them can be mapped (StarVCenter 2.11). */
#include "handlers/starvcenter/rows.h"
#include "starvirt/core_address.h"

static void put_mask(struct sv_reply *r, const char *key, unsigned prefix)
{
    sv_put_ip(r, key, ~(uint32_t)((1ULL << (32 - prefix)) - 1));
}

/* --- pools ------------------------------------------------------------------------------------------- */

static const char *const types[] = {"outer", "share", NULL}; /* from SV_POOL_OUTER on */
_Static_assert(SV_POOL_OUTER == 1 && SV_POOL_SHARE == 2, "their order");

static enum sv_pool_type type_of(const char *text)
{
    if (!text)
        return SV_POOL_ANY;
    return text == types[1] ? SV_POOL_SHARE : SV_POOL_OUTER;
}

struct add_in {
    const char *name, *type, *first, *last, *gateway, *netmask, *desc;
};
#define ADDRESS(key, m, f, zh, en) IP(key, struct add_in, m, REQUIRED, .field = (f), DOC(zh, en))
static const struct sv_param add_params[] = {
    STR("pool.name", struct add_in, name, NAME_LEN, .field = SV_F_POOL_NAME,
        DOC("名称", "name; made from the id when absent")),
    ENUM("pool.type", struct add_in, type, REQUIRED, .values = types,
         DOC("类型(outer:云路由、端口映射、负载均衡;share:云主机 IP 映射)",
             "outer: for routers, port mappings and load balancers; share: for VMs, one to one")),
    ADDRESS("pool.start", first, SV_F_POOL_FIRST, "起始地址", "first address"),
    ADDRESS("pool.end", last, SV_F_POOL_LAST, "结束地址", "last address"),
    ADDRESS("pool.gateway", gateway, SV_F_POOL_GATEWAY, "网关", "gateway of the outer network"),
    ADDRESS("pool.netmask", netmask, SV_F_POOL_NETMASK, "子网掩码", "netmask of the outer network"),
    STR("pool.desc", struct add_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, DOC("描述", "description")),
};

static enum sv_err add(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct add_in *in = input;
    const struct sv_pool_new pool = {.name = in->name,
                                     .descr = in->desc,
                                     .type = type_of(in->type),
                                     .first = in->first,
                                     .last = in->last,
                                     .gateway = in->gateway,
                                     .netmask = in->netmask};
    struct sv_id id;
    const enum sv_err rc = sv_pool_add(c->cloud, c->tx, &c->actor, &pool, &id, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "pool.id", &id);
    sv_reply_end_obj(out);
    return SV_OK;
}

struct search_in {
    const char *type;
    struct sv_page_in page;
};
static const struct sv_param search_params[] = {
    ENUM("pool.type", struct search_in, type, .values = types, DOC("类型", "type")),
    PAGE_ROWS(struct search_in),
};

static void put_pool(void *arg, const struct sv_pool *p)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    sv_put_id(r, "pool.id", &p->id);
    sv_put_str(r, "pool.name", p->name);
    sv_put_str(r, "pool.type", types[p->type - SV_POOL_OUTER]);
    sv_put_ip(r, "pool.start", p->first);
    sv_put_ip(r, "pool.end", p->last);
    sv_put_ip(r, "pool.gateway", p->gateway);
    put_mask(r, "pool.netmask", p->prefix);
    sv_put_int(r, "pool.total", sv_pool_size(p));
    sv_put_int(r, "pool.used", p->used);
    sv_put_str(r, "pool.desc", p->descr);
    sv_reply_end_obj(r);
}

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct search_in *in = input;
    const struct sv_page p = sv_page_of(&in->page);
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_pool_search(c->tx, &c->actor, type_of(in->type), &p, put_pool, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

static const struct sv_param remove_params[] = {
    PATH_ID("poolId", struct sv_id_in, id, SV_F_POOL, "地址池编号", "id of the pool"),
};

static enum sv_err remove_pool(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_pool_remove(c->tx, &c->actor, in->id, c->err);
}

/* --- what can be mapped ------------------------------------------------------------------------------ */

struct choice_in {
    const char *inner, *type, *part, *tenant, *only;
    struct sv_page_in page;
};
static const struct sv_param choice_params[] = {
    IP("inner.ip", struct choice_in, inner, .field = SV_F_NIC,
       DOC("内网IP", "address of the NIC that is to be mapped")),
    ENUM("nat.type", struct choice_in, type, SV_VALUES("ip", "port"),
         DOC("映射类型(ip,port)", "ip: addresses that nobody has; port: of pools for ports, with ports taken")),
    STR("ipaddress", struct choice_in, part, DOC("外网IP(模糊查询)", "a part of the outer address")),
    ID("tenant.id", struct choice_in, tenant, .field = SV_F_TENANT,
       DOC("租户编号", "tenant, for administrators; absent: the caller's own")),
    IP("ipaddress.only", struct choice_in, only, .field = SV_F_OUTER_IP, DOC("外网IP(精确查询)", "the outer address")),
    PAGE_ROWS(struct choice_in),
};

struct choices {
    struct sv_reply *r;
    bool whole;
};

static void put_choice(void *arg, const struct sv_outer_choice *o)
{
    const struct choices *w = arg;

    sv_reply_obj(w->r);
    sv_put_ip(w->r, "ipaddress", o->ip);
    if (!w->whole) /* "not there where the type of mapping is ip" */
        sv_put_str(w->r, "ports", o->ports);
    sv_put_ip(w->r, "gateway", o->gateway);
    put_mask(w->r, "netmask", o->prefix);
    sv_reply_end_obj(w->r);
}

static enum sv_err choices(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct choice_in *in = input;
    const struct sv_page p = sv_page_of(&in->page);
    struct choices w = {.r = out, .whole = in->type && strcmp(in->type, "ip") == 0};
    struct sv_outer_query q = {
        .tenant = in->tenant, .inner = in->inner, .part = in->part, .whole = w.whole, .port = in->type && !w.whole};
    enum sv_err rc;

    if (in->only)
        sv_ip4_parse(in->only, &q.ip); /* the row has seen to that it is one */
    sv_reply_list(out);
    rc = sv_outer_search(c->tx, &c->actor, &q, &p, put_choice, &w, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

static const struct sv_route routes[] = {
    {.section = "2.11.1",
     .method = "POST",
     .path = "cloudip/mapping/outerIp/search",
     .runs = SV_RUN_READ,
     SV_PARAMS(choice_params),
     .in_size = sizeof(struct choice_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("ipaddress"), SV_TEXT("ports", .flags = SV_O_OPTIONAL), SV_TEXT("gateway"), SV_TEXT("netmask")),
     .handler = choices,
     DOC("映射功能查询外网IP列表", "outer addresses that something can be mapped onto")},
    {.section = "addresses",
     .method = "POST",
     .path = "cloudip/pool/add",
     .runs = SV_RUN_WRITE,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(add_params),
     .in_size = sizeof(struct add_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("pool.id")),
     .handler = add,
     .extension = true,
     DOC("新增 IP 地址池", "add a pool of outer addresses")},
    {.section = "addresses",
     .method = "POST",
     .path = "cloudip/pool/search",
     .runs = SV_RUN_READ,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct search_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("pool.id"), SV_TEXT("pool.name"), SV_TEXT("pool.type"), SV_TEXT("pool.start"),
               SV_TEXT("pool.end"), SV_TEXT("pool.gateway"), SV_TEXT("pool.netmask"), SV_INT("pool.total"),
               SV_INT("pool.used"), SV_TEXT("pool.desc")),
     .handler = search,
     .extension = true,
     DOC("查询 IP 地址池", "list pools of outer addresses")},
    {.section = "addresses",
     .method = "DELETE",
     .path = "cloudip/pool/{poolId}",
     .runs = SV_RUN_WRITE,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(remove_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = remove_pool,
     .extension = true,
     DOC("删除 IP 地址池", "delete a pool that nobody has an address of")},
};
const struct sv_route_table sv_table_address = {routes, ROUTE_COUNT(routes)};
