/* Rules of NICs and of the boundaries of VPCs (StarVCenter 2.3.9 - 2.3.11). */
#include "handlers/starvcenter/rule.h"

#define KINDS SV_VALUES("net_gate", "net_inner")

static bool is_gate(const char *kind)
{
    return strcmp(kind, "net_gate") == 0;
}

/* --- what rules of all kinds share -------------------------------------------------------------------- */

enum sv_rule_proto sv_rule_proto_of(const char *word)
{
    if (!word)
        return SV_RULE_ANY;
    return strcmp(word, "tcp") == 0 ? SV_RULE_TCP : strcmp(word, "udp") == 0 ? SV_RULE_UDP : SV_RULE_ICMP;
}

const char *sv_rule_proto_word(enum sv_rule_proto proto)
{
    static const char *const words[] = {
        [SV_RULE_ANY] = "", [SV_RULE_TCP] = "tcp", [SV_RULE_UDP] = "udp", [SV_RULE_ICMP] = "icmp"};

    return words[proto];
}

enum sv_rule_way sv_rule_way_of(const char *word)
{
    if (!word)
        return SV_WAY_UNSAID;
    return strcmp(word, "in") == 0 ? SV_WAY_IN : SV_WAY_OUT;
}

/* --- operations --------------------------------------------------------------------------------------- */

struct search_in {
    const char *target, *vpc, *kind, *ports, *router;
    struct sv_page_in page;
};
static const struct sv_param search_params[] = {
    STR("aclrule_target", struct search_in, target,
        DOC("规则控制的目标对象(模糊匹配)", "what it controls; a part will do")),
    STR("aclrule_vnetid", struct search_in, vpc, DOC("子网编号(模糊匹配)", "id of the VPC; a part will do")),
    ENUM("aclrule_type", struct search_in, kind, KINDS, DOC("策略类型", "of the boundary, or of the NIC")),
    STR("aclrule_vmport", struct search_in, ports, .field = SV_F_RULE_PORTS,
        DOC("端口", "exactly these ports, however they are written")),
    ID("aclrule_vrouteid", struct search_in, router, DOC("云路由编号", "id of the router")),
    PAGE_ROWS_NEEDED(struct search_in),
};

static void put_rule(void *arg, const struct sv_rule *rule)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    sv_put_id(r, "aclrule_id", &rule->id);
    sv_put_str(r, "aclrule_type", rule->kind == SV_RULE_GATE ? "net_gate" : "net_inner");
    sv_put_id(r, "aclrule_vrouteid", &rule->router);
    sv_put_id(r, "aclrule_vnetid", &rule->vpc);
    sv_put_str(r, "aclrule_target", rule->dsts);
    sv_put_str(r, "vmname", rule->vm_name);
    sv_put_str(r, "aclrule_srcip", rule->srcs);
    sv_put_str(r, "aclrule_vmport", rule->ports);
    sv_put_str(r, "aclrule_protocal", sv_rule_proto_word(rule->proto));
    sv_put_str(r, "aclrule_vroutename", rule->router_name);
    sv_put_str(r, "aclrule_appname", rule->tenant_name);
    sv_put_id(r, "aclrule_appid", &rule->tenant);
    sv_put_str(r, "aclrule_direction", rule->in ? "in" : "out");
    sv_put_str(r, "aclrule_desc", rule->descr);
    sv_reply_end_obj(r);
}

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct search_in *in = input;
    const struct sv_page p = sv_page_of(&in->page);
    const struct sv_rule_query q = {.router = in->router,
                                    .dst = in->target,
                                    .vpc = in->vpc,
                                    .ports = in->ports,
                                    .kind = !in->kind           ? -1
                                            : is_gate(in->kind) ? SV_RULE_GATE
                                                                : SV_RULE_NIC,
                                    .proto = -1};
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_rules_search(c->tx, &c->actor, &q, &p, put_rule, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

struct add_in {
    const char *ip, *kind, *desc, *way, *dsts, *ports, *srcs, *proto;
};
static const struct sv_param add_params[] = {
    IP("vm.ip", struct add_in, ip, REQUIRED, .field = SV_F_NIC,
       DOC("被控制云主机IP地址", "address of the NIC that it is about")),
    ENUM("aclrule.type", struct add_in, kind, REQUIRED, KINDS,
         DOC("防火墙类型(net_gate:网络边界,net_inner:网络内部)", "of the boundary of its VPC, or of the NIC")),
    STR("aclrule.desc", struct add_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, .field = SV_F_RULE_DESC,
        DOC("防火墙描述", "description")),
    ENUM("allow.direction", struct add_in, way, WAYS, .field = SV_F_RULE_DIRECTION,
         DOC("in:入站,out:出站,若aclrule.type为net_inner时必须", "needed for net_inner; else in")),
    IPS("allow.dstips", struct add_in, dsts, .field = SV_F_RULE_DST,
        DOC("允许访问的目标(若allow.direction为in,则该值为vm.ip的值)", "where to; of in: vm.ip, or nothing")),
    PORTS("allow.internalport", struct add_in, ports, .field = SV_F_RULE_PORTS,
          DOC("允许访问端口(如80:83,85,87)", "ports; need a protocol")),
    IPS("allow.sourceips", struct add_in, srcs, .field = SV_F_RULE_SRC,
        DOC("允许IP访问来源(若allow.direction为out,则该值为vm.ip的值)", "where from; of out: vm.ip, or nothing")),
    ENUM("allow.protocol", struct add_in, proto, PROTOCOLS, .field = SV_F_RULE_PROTO,
         DOC("允许访问协议(不指定时填空;存在allow.internalport时必选)", "any when absent")),
};

static enum sv_err add(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct add_in *in = input;
    const struct sv_rule_new rule = {.way = sv_rule_way_of(in->way),
                                     .proto = sv_rule_proto_of(in->proto),
                                     .srcs = in->srcs,
                                     .dsts = in->dsts,
                                     .ports = in->ports,
                                     .descr = in->desc};
    struct sv_id id;
    const enum sv_err rc = sv_rule_add(c->cloud, c->tx, &c->actor, in->ip, is_gate(in->kind), &rule, &id, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "rule.id", &id);
    sv_reply_end_obj(out);
    return SV_OK;
}

static const struct sv_param remove_params[] = {
    PATH_ID("ruleId", struct sv_id_in, id, SV_F_RULE, "规则编号", "id of the rule"),
};

static enum sv_err remove_rule(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_rule_remove(c->cloud, c->tx, &c->actor, in->id, false, c->err);
}

static const struct sv_route routes[] = {
    {.section = "2.3.9",
     .method = "POST",
     .path = "cloudnetwork/acessrule/search",
     .runs = SV_RUN_READ,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct search_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("aclrule_id"), SV_TEXT("aclrule_type"), SV_TEXT("aclrule_vrouteid"), SV_TEXT("aclrule_vnetid"),
               SV_TEXT("aclrule_target"), SV_TEXT("vmname"), SV_TEXT("aclrule_srcip"), SV_TEXT("aclrule_vmport"),
               SV_TEXT("aclrule_protocal"), SV_TEXT("aclrule_vroutename"), SV_TEXT("aclrule_appname"),
               SV_TEXT("aclrule_appid"), SV_TEXT("aclrule_direction", .flags = SV_O_OURS),
               SV_TEXT("aclrule_desc", .flags = SV_O_OURS)),
     .handler = search,
     DOC("查询访问控制规则", "list rules of NICs and of boundaries")},
    {.section = "2.3.10",
     .method = "POST",
     .path = "cloudnetwork/acessrule/add",
     .runs = SV_RUN_TELL,
     SV_PARAMS(add_params),
     .in_size = sizeof(struct add_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("rule.id")),
     .handler = add,
     DOC("添加访问控制规则", "allow something at a NIC or at the boundary of its VPC")},
    {.section = "2.3.11",
     .method = "DELETE",
     .path = "cloudnetwork/acessrule/{ruleId}",
     .runs = SV_RUN_TELL,
     SV_PARAMS(remove_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = remove_rule,
     DOC("删除访问控制规则", "delete such a rule")},
};
const struct sv_route_table sv_table_rule = {routes, ROUTE_COUNT(routes)};
