/* Mappings of outer addresses, one to one and by port (StarVCenter 2.3.5 - 2.3.8, 2.9.5). */
#include "handlers/starvcenter/rows.h"
#include "starvirt/core_address.h"

#define PORT(key, st, m, ...) INT(key, st, m, .min = 1, .max = UINT16_MAX, __VA_ARGS__)
#define BOUNDS                SV_P_MIN | SV_P_MAX

/* --- one to one --------------------------------------------------------------------------------------- */

struct connect_in {
    const char *vm, *outer, *sources, *desc;
};
static const struct sv_param connect_params[] = {
    ID("vm.id", struct connect_in, vm, REQUIRED, .field = SV_F_VM, DOC("云主机编号", "id of the VM: its first NIC")),
    IP("vm.outer.ipaddress", struct connect_in, outer, .field = SV_F_OUTER_IP,
       DOC("外网IP地址", "an address that nobody has; absent: the next free one of the shared pools")),
    IPS("vm.allow.srcip", struct connect_in, sources, .field = SV_F_SOURCES,
        DOC("允许访问的来源IP(ip或cidr,可混用,多个用逗号隔开)", "who may come in this way; absent: anybody")),
    STR("desc", struct connect_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, DOC("描述", "description")),
};

static enum sv_err connect_vm(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct connect_in *in = input;
    const struct sv_nat_whole want = {.vm = in->vm, .outer = in->outer, .sources = in->sources, .descr = in->desc};
    uint32_t ip;
    const enum sv_err rc = sv_nat_connect(c->cloud, c->tx, &c->actor, &want, &ip, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_ip(out, "tenant.shareip", ip);
    sv_reply_end_obj(out);
    return SV_OK;
}

struct share_in {
    const char *vm_name, *ip;
    struct sv_page_in page;
};
static const struct sv_param share_params[] = {
    STR("vm.name", struct share_in, vm_name, DOC("云主机名称(模糊匹配)", "a part of the VM's name")),
    STR("tenant.shareip", struct share_in, ip, DOC("租户共享网IP地址(模糊匹配)", "a part of the outer address")),
    PAGE_ROWS_NEEDED(struct share_in),
};

static void put_share(void *arg, const struct sv_nat *n)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    sv_put_id(r, "nat.id", &n->id);
    sv_put_id(r, "vm.id", &n->vm);
    sv_put_str(r, "vm.name", n->vm_name);
    sv_put_ip(r, "tenant.shareip", n->outer_ip);
    sv_reply_end_obj(r);
}

static enum sv_err share_search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct share_in *in = input;
    const struct sv_page p = sv_page_of(&in->page);
    const struct sv_nat_filter f = {.vm_name = in->vm_name, .outer_part = in->ip, .kind = SV_NAT_WHOLE};
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_nat_search(c->tx, &c->actor, NULL, NULL, &f, &p, put_share, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

/* --- by port ------------------------------------------------------------------------------------------ */

static const char *const protos[] = {"tcp", "udp", "both", NULL}; /* from SV_NAT_TCP on */
_Static_assert(SV_NAT_TCP == 1 && SV_NAT_UDP == 2 && SV_NAT_BOTH == 3, "their order");

struct port_in {
    const char *inner, *outer, *proto, *sources, *desc;
    struct sv_opt_int inner_port, outer_port;
};
static const struct sv_param port_params[] = {
    IP("innerIp", struct port_in, inner, REQUIRED, .field = SV_F_NIC,
       DOC("虚拟机内网IP", "address of a NIC, in a VPC at the router")),
    PORT("innerPort", struct port_in, inner_port, .flags = SV_P_REQUIRED | BOUNDS, .field = SV_F_INNER_PORT,
         DOC("映射内网端口", "port inside")),
    IP("ipaddress", struct port_in, outer, REQUIRED, .field = SV_F_OUTER_IP,
       DOC("映射外网IP地址", "outer address: one that nobody has, or the tenant's own")),
    PORT("outerPort", struct port_in, outer_port, .flags = SV_P_REQUIRED | BOUNDS, .field = SV_F_OUTER_PORT,
         DOC("映射外网端口", "port outside")),
    ENUM("protocal", struct port_in, proto, REQUIRED, .values = protos, .our_values = 1, DOC("协议", "protocol")),
    IPS("sourceIp", struct port_in, sources, .field = SV_F_SOURCES,
        DOC("允许的访问的来源(ip或cidr,多个用逗号隔开)", "who may come in this way; absent: anybody")),
    STR("desc", struct port_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, DOC("描述", "description")),
};

static enum sv_nat_proto proto_of(const char *text)
{
    if (text == protos[0])
        return SV_NAT_TCP;
    return text == protos[1] ? SV_NAT_UDP : SV_NAT_BOTH;
}

static enum sv_err map_port(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct port_in *in = input;
    const struct sv_nat_port want = {.inner = in->inner,
                                     .outer = in->outer,
                                     .inner_port = in->inner_port.v,
                                     .outer_port = in->outer_port.v,
                                     .proto = proto_of(in->proto),
                                     .sources = in->sources,
                                     .descr = in->desc};
    struct sv_id id;
    const enum sv_err rc = sv_nat_map_port(c->cloud, c->tx, &c->actor, &want, &id, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "nat.id", &id);
    sv_reply_end_obj(out);
    return SV_OK;
}

/* --- both --------------------------------------------------------------------------------------------- */

static const struct sv_param remove_params[] = {
    PATH_ID("natId", struct sv_id_in, id, SV_F_NAT, "映射编号", "id of the mapping"),
};

static enum sv_err remove_nat(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;
    const enum sv_err rc = sv_nat_remove(c->cloud, c->tx, &c->actor, in->id, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_reply_end_obj(out);
    return SV_OK;
}

struct search_in {
    const char *outer, *type, *inner, *router, *tenant;
    struct sv_opt_int outer_port, inner_port;
    struct sv_page_in page;
};
static const struct sv_param search_params[] = {
    IP("natOuterip", struct search_in, outer, .field = SV_F_OUTER_IP, DOC("外网IP", "outer address")),
    ENUM("natType", struct search_in, type, SV_VALUES("ip", "port"),
         DOC("映射类型(ip,port)", "one to one, or by port")),
    PORT("natOuterport", struct search_in, outer_port, .flags = BOUNDS, .field = SV_F_OUTER_PORT,
         DOC("外网端口", "port outside")),
    PORT("natInnerport", struct search_in, inner_port, .flags = BOUNDS, .field = SV_F_INNER_PORT,
         DOC("内网端口", "port inside")),
    IP("natInnerip", struct search_in, inner, .field = SV_F_NIC, DOC("内网IP", "address inside")),
    ID("natVrouteid", struct search_in, router, DOC("云路由ID", "id of the router")),
    ID("natAppid", struct search_in, tenant, .field = SV_F_TENANT, DOC("租户编号", "id of the tenant")),
    PAGE_ROWS(struct search_in),
};

/* "" where the whole address is mapped. */
static void put_port(struct sv_reply *r, const char *key, unsigned port)
{
    sv_put_str(r, key, port ? sv_dec(port).s : "");
}

static void put_nat(void *arg, const struct sv_nat *n)
{
    struct sv_reply *r = arg;
    const bool whole = n->proto == SV_NAT_IP;

    sv_reply_obj(r);
    sv_put_id(r, "nat_id", &n->id);
    sv_put_str(r, "nat_type", whole ? "ip" : "port");
    sv_put_str(r, "nat_protocal", whole ? "" : protos[n->proto - SV_NAT_TCP]);
    sv_put_ip(r, "nat_outerip", n->outer_ip);
    put_port(r, "nat_outerport", n->outer_port);
    sv_put_ip(r, "nat_innerip", n->inner_ip);
    put_port(r, "nat_innerport", n->inner_port);
    sv_put_time(r, "nat_usedtime", n->created);
    sv_put_id(r, "net_vmid", &n->vm);
    sv_put_str(r, "net_vmname", n->vm_name);
    sv_put_id(r, "nat_vnetid", &n->vpc);
    sv_put_id(r, "nat_vrouteid", &n->router);
    sv_put_str(r, "nat_desc", n->descr);
    sv_put_str(r, "nat_srcip", n->sources);
    sv_reply_end_obj(r);
}

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct search_in *in = input;
    const struct sv_page p = sv_page_of(&in->page);
    struct sv_nat_filter f = {.outer_port = (unsigned)in->outer_port.v, .inner_port = (unsigned)in->inner_port.v};
    enum sv_err rc;

    /* the rows have seen to that these are addresses */
    if (in->outer)
        sv_ip4_parse(in->outer, &f.outer_ip);
    if (in->inner)
        sv_ip4_parse(in->inner, &f.inner_ip);
    if (in->type)
        f.kind = strcmp(in->type, "ip") == 0 ? SV_NAT_WHOLE : SV_NAT_PORTS;
    sv_reply_list(out);
    rc = sv_nat_search(c->tx, &c->actor, in->tenant, in->router, &f, &p, put_nat, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

static const struct sv_route routes[] = {
    {.section = "2.3.5",
     .method = "POST",
     .path = "cloudnetwork/sharenet/connect",
     .runs = SV_RUN_TELL,
     SV_PARAMS(connect_params),
     .in_size = sizeof(struct connect_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("tenant.shareip")),
     .handler = connect_vm,
     DOC("云主机-添加IP映射", "map an outer address onto a VM, one to one")},
    {.section = "2.3.6",
     .method = "POST",
     .path = "cloudnetwork/sharenet/search",
     .runs = SV_RUN_READ,
     SV_PARAMS(share_params),
     .in_size = sizeof(struct share_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("nat.id"), SV_TEXT("vm.id"), SV_TEXT("vm.name"), SV_TEXT("tenant.shareip")),
     .handler = share_search,
     DOC("查询租户间IP映射清单", "list mappings one to one")},
    {.section = "2.3.7",
     .method = "POST",
     .path = "cloudnetwork/portMapping/create",
     .runs = SV_RUN_TELL,
     SV_PARAMS(port_params),
     .in_size = sizeof(struct port_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("nat.id", .flags = SV_O_OURS)),
     .handler = map_port,
     DOC("添加端口映射", "map a port of an outer address onto a NIC")},
    {.section = "2.3.8",
     .method = "DELETE",
     .path = "cloudnetwork/ipmapping/{natId}",
     .runs = SV_RUN_TELL,
     SV_PARAMS(remove_params),
     .in_size = sizeof(struct sv_id_in),
     .data = SV_DATA_OBJ,
     .handler = remove_nat,
     DOC("删除IP/Port映射", "delete a mapping; its address is given back with the last use")},
    {.section = "2.9.5",
     .method = "POST",
     .path = "vroute/Mapping/search",
     .runs = SV_RUN_READ,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct search_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("nat_id"), SV_TEXT("nat_type"), SV_TEXT("nat_protocal"), SV_TEXT("nat_outerip"),
               SV_TEXT("nat_outerport"), SV_TEXT("nat_innerip"), SV_TEXT("nat_innerport"), SV_TEXT("nat_usedtime"),
               SV_TEXT("net_vmid"), SV_TEXT("net_vmname"), SV_TEXT("nat_vnetid"), SV_TEXT("nat_vrouteid"),
               SV_TEXT("nat_desc"), SV_TEXT("nat_srcip")),
     .handler = search,
     DOC("查询云路由的映射管理", "list mappings of both kinds")},
};
const struct sv_route_table sv_table_mapping = {routes, ROUTE_COUNT(routes)};
