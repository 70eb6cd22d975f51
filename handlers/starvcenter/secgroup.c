/* Security groups, their NICs and rules (StarVCenter 2.17, 2.18). */
#include "handlers/starvcenter/rule.h"
#include "starvirt/text.h"

/* --- groups ------------------------------------------------------------------------------------------- */

struct search_in {
    const char *id, *name;
    struct sv_page_in page;
};
static const struct sv_param search_params[] = {
    ID("securitygroup.id", struct search_in, id, .field = SV_F_GROUP, DOC("编号", "id")),
    STR("securitygroup.name", struct search_in, name, DOC("名称", "a part of the name")),
    PAGE_ROWS(struct search_in),
};

static void put_group(void *arg, const struct sv_secgroup *g)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    sv_put_id(r, "securitygroup.id", &g->id);
    sv_put_str(r, "securitygroup.name", g->name);
    sv_put_str(r, "securitygroup.desc", g->descr);
    sv_put_id(r, "securitygroup.appid", &g->tenant);
    sv_put_str(r, "securitygroup.appname", g->tenant_name);
    sv_put_time(r, "securitygroup.createtime", g->created);
    sv_reply_end_obj(r);
}

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct search_in *in = input;
    const struct sv_page p = sv_page_of(&in->page);
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_group_search(c->tx, &c->actor, in->id, in->name, &p, put_group, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

struct create_in {
    const char *name, *desc, *tenant;
};
static const struct sv_param create_params[] = {
    STR("securitygroup.name", struct create_in, name, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_GROUP_NAME, DOC("名称", "name")),
    STR("securitygroup.desc", struct create_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC,
        .field = SV_F_GROUP_DESC, DOC("描述", "description")),
    ID("securitygroup.appid", struct create_in, tenant, .field = SV_F_TENANT,
       DOC("安全组租户编号", "the tenant whose it is; one's own when absent")),
};

static enum sv_err create(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct create_in *in = input;
    struct sv_id id;
    const enum sv_err rc = sv_group_create(c->cloud, c->tx, &c->actor, in->tenant, in->name, in->desc, &id, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "securitygroup.id", &id);
    sv_reply_end_obj(out);
    return SV_OK;
}

static const struct sv_param remove_params[] = {
    PATH_ID("securitygroupid", struct sv_id_in, id, SV_F_GROUP, "安全组编号", "id of the group"),
};

static enum sv_err remove_group(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_group_remove(c->cloud, c->tx, &c->actor, in->id, c->err);
}

/* --- their NICs --------------------------------------------------------------------------------------- */

/* [bytes] more ids than a request of 1 MiB need have: 1,000, as of any list */
enum { NICS_LEN = SV_MAX_LIST_ITEMS * (SV_ID_LEN + 1) };

struct bind_in {
    const char *group, *nics;
};
static const struct sv_param bind_params[] = {
    ID("securitygroup.id", struct bind_in, group, REQUIRED, .field = SV_F_GROUP, DOC("安全组编号", "id of the group")),
    STR("vnic.id", struct bind_in, nics, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = NICS_LEN, .field = SV_F_NIC,
        DOC("云主机网卡编号(多个网卡编号以,隔开)", "ids of NICs, separated by commas")),
};

static enum sv_err put_nics(struct sv_call *c, const struct bind_in *in, bool bound)
{
    size_t n;
    const char *const *nics = sv_split_list(in->nics, c->arena, &n);

    return sv_group_put(c->cloud, c->tx, &c->actor, in->group, nics, n, bound, c->err);
}

static enum sv_err bind_nics(struct sv_call *c, const void *input, struct sv_reply *out)
{
    (void)out;
    return put_nics(c, input, true);
}

static enum sv_err unbind_nics(struct sv_call *c, const void *input, struct sv_reply *out)
{
    (void)out;
    return put_nics(c, input, false);
}

struct nics_in {
    const char *group, *ip;
    struct sv_page_in page;
};
static const struct sv_param nics_params[] = {
    ID("securitygroup.id", struct nics_in, group, REQUIRED, .field = SV_F_GROUP, DOC("安全组编号", "id of the group")),
    IP("vnic.ipaddress", struct nics_in, ip, .field = SV_F_NIC, DOC("网卡IP地址", "address of the NIC")),
    PAGE_ROWS(struct nics_in),
};

static enum sv_err search_nics(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct nics_in *in = input;
    const struct sv_page p = sv_page_of(&in->page);
    uint32_t ip = 0;
    enum sv_err rc;

    if (in->ip)
        sv_ip4_parse(in->ip, &ip); /* its type has seen to it that it is one */
    sv_reply_list(out);
    rc = sv_group_nics(c->tx, &c->actor, in->group, ip, &p, sv_put_nic, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

/* --- their rules -------------------------------------------------------------------------------------- */

/* The document's own spelling, here and below: "protocal". */
#define RULE_FIELDS                                                                                                    \
    SV_TEXT("aclrule_id"), SV_TEXT("aclrule_srcip"), SV_TEXT("aclrule_target"), SV_TEXT("aclrule_direction"),          \
        SV_TEXT("aclrule_vmport"), SV_TEXT("aclrule_protocal"), SV_TEXT("aclrule_securitygroupid")

static void put_rule_fields(struct sv_reply *r, const struct sv_rule *rule)
{
    sv_put_id(r, "aclrule_id", &rule->id);
    sv_put_str(r, "aclrule_srcip", rule->srcs);
    sv_put_str(r, "aclrule_target", rule->dsts);
    sv_put_str(r, "aclrule_direction", rule->in ? "in" : "out");
    sv_put_str(r, "aclrule_vmport", rule->ports);
    sv_put_str(r, "aclrule_protocal", sv_rule_proto_word(rule->proto));
    sv_put_id(r, "aclrule_securitygroupid", &rule->group);
}

struct rules_in {
    const char *groups, *id, *ports, *proto, *src, *dst, *way;
    struct sv_page_in page;
};
static const struct sv_param rules_params[] = {
    STR("aclrule.securitygroupid", struct rules_in, groups, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = NICS_LEN,
        .field = SV_F_GROUP, DOC("安全组编号(多个以,号隔开)", "ids of groups, separated by commas")),
    ID("aclrule.id", struct rules_in, id, .field = SV_F_RULE, DOC("安全组规则编号", "id of the rule")),
    PORTS("aclrule.vmport", struct rules_in, ports, .field = SV_F_RULE_PORTS,
          DOC("目标端口", "exactly these ports, however they are written")),
    ENUM("aclrule.protocal", struct rules_in, proto, PROTOCOLS, DOC("规则协议", "protocol")),
    STR("aclrule.srcip", struct rules_in, src, DOC("允许的访问来源(ip或cidr)", "where from; a part will do")),
    STR("aclrule.target", struct rules_in, dst, DOC("允许的访问目标(ip或cidr)", "where to; a part will do")),
    ENUM("aclrule.direction", struct rules_in, way, WAYS, DOC("规则方向(in/out)", "direction")),
    PAGE_ROWS(struct rules_in),
};

static void put_rule(void *arg, const struct sv_rule *rule)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    put_rule_fields(r, rule);
    sv_reply_end_obj(r);
}

static enum sv_err search_rules(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct rules_in *in = input;
    const struct sv_page p = sv_page_of(&in->page);
    const struct sv_rule_query q = {.id = in->id,
                                    .src = in->src,
                                    .dst = in->dst,
                                    .ports = in->ports,
                                    .kind = -1,
                                    .proto = in->proto ? (int)sv_rule_proto_of(in->proto) : -1,
                                    .way = sv_rule_way_of(in->way)};
    size_t n;
    const char *const *groups = sv_split_list(in->groups, c->arena, &n);
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_group_rules_search(c->tx, &c->actor, groups, n, &q, &p, put_rule, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

struct add_in {
    const char *group, *ports, *srcs, *dsts, *way, *proto;
};
static const struct sv_param add_params[] = {
    PORTS("aclrule.vmport", struct add_in, ports, .field = SV_F_RULE_PORTS,
          DOC("允许访问的目标端口", "ports; without a protocol those of TCP and UDP")),
    IPS("aclrule.srcip", struct add_in, srcs, .field = SV_F_RULE_SRC,
        DOC("允许的访问来源(ip或cidr,可混用,多个用逗号隔开)", "where from; anywhere when absent")),
    IPS("aclrule.target", struct add_in, dsts, .field = SV_F_RULE_DST,
        DOC("允许的访问目标(ip或cidr,可混用,多个用逗号隔开)", "where to; anywhere when absent")),
    ENUM("aclrule.direction", struct add_in, way, REQUIRED, WAYS, .field = SV_F_RULE_DIRECTION,
         DOC("规则方向(in/out)", "to the guests, or from them")),
    ENUM("aclrule.protocal", struct add_in, proto, PROTOCOLS, .field = SV_F_RULE_PROTO,
         DOC("允许访问协议(tcp/udp/icmp)", "any when absent")),
    ID("aclrule.securitygroupid", struct add_in, group, REQUIRED, .field = SV_F_GROUP,
       DOC("安全组编号", "id of the group")),
};

static enum sv_err add_rule(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct add_in *in = input;
    const struct sv_rule_new rule = {.way = sv_rule_way_of(in->way),
                                     .proto = sv_rule_proto_of(in->proto),
                                     .srcs = in->srcs,
                                     .dsts = in->dsts,
                                     .ports = in->ports};
    struct sv_id id;
    const enum sv_err rc = sv_group_rule_add(c->cloud, c->tx, &c->actor, in->group, &rule, &id, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "aclrule.id", &id);
    sv_reply_end_obj(out);
    return SV_OK;
}

static const struct sv_param remove_rule_params[] = {
    PATH_ID("ruleid", struct sv_id_in, id, SV_F_RULE, "规则编号", "id of the rule"),
};

static enum sv_err remove_rule(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_rule_remove(c->cloud, c->tx, &c->actor, in->id, true, c->err);
}

struct vm_in {
    const char *vm;
    struct sv_page_in page;
};
static const struct sv_param vm_params[] = {
    ID("vm.id", struct vm_in, vm, REQUIRED, .field = SV_F_VM, DOC("云主机编号", "id of the VM")),
    PAGE_ROWS(struct vm_in),
};

static void put_vm_rule(void *arg, const struct sv_rule *rule, bool in_force)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    put_rule_fields(r, rule);
    sv_put_str(r, "aclrule_securitygroupname", rule->group_name);
    sv_put_bool(r, "aclrule_status", in_force);
    sv_reply_end_obj(r);
}

static enum sv_err vm_rules(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct vm_in *in = input;
    const struct sv_page p = sv_page_of(&in->page);
    struct sv_rule_view view = {.look = sv_look_of(c), .row = put_vm_rule, .arg = out};
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_vm_rules(c->cloud, c->tx, &c->actor, in->vm, &p, &view, &out->count, c->err);
    rc = sv_reply_end_page(out, rc);
    if (!rc)
        sv_wait_for_look(c, &view.look);
    return rc;
}

/* --- what is not in force ----------------------------------------------------------------------------- */

struct issues_in {
    const char *vm, *group;
    struct sv_page_in page;
};
static const struct sv_param issues_params[] = {
    ID("vm.id", struct issues_in, vm, .field = SV_F_VM, DOC("云主机编号", "id of the VM")),
    ID("securitygroup.id", struct issues_in, group, .field = SV_F_GROUP, DOC("安全组编号", "id of the group")),
    PAGE_ROWS(struct issues_in),
};

static void put_issue(void *arg, const struct sv_rule_issue *i)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    sv_put_id(r, "issue.id", &i->unit);
    sv_put_id(r, "aclrule.id", &i->rule);
    sv_put_id(r, "vm.id", &i->vm);
    sv_put_int(r, "retry.num", i->failures);
    sv_reply_end_obj(r);
}

static enum sv_err search_issues(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct issues_in *in = input;
    const struct sv_page p = sv_page_of(&in->page);
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_rule_issue_search(c->tx, &c->actor, in->vm, in->group, &p, put_issue, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

static enum sv_err retry_issues(struct sv_call *c, const void *input, struct sv_reply *out)
{
    (void)input, (void)out;
    return sv_rule_issue_retry(c->cloud, c->tx, &c->actor, c->err);
}

static const struct sv_route routes[] = {
    {.section = "2.17.1",
     .method = "POST",
     .path = "cloudsegroup/search",
     .runs = SV_RUN_READ,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct search_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("securitygroup.id"), SV_TEXT("securitygroup.name"), SV_TEXT("securitygroup.desc"),
               SV_TEXT("securitygroup.appid"), SV_TEXT("securitygroup.appname"), SV_TEXT("securitygroup.createtime")),
     .handler = search,
     DOC("查询安全组", "list security groups")},
    {.section = "2.17.2",
     .method = "POST",
     .path = "cloudsegroup/create",
     .runs = SV_RUN_WRITE,
     SV_PARAMS(create_params),
     .in_size = sizeof(struct create_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("securitygroup.id")),
     .handler = create,
     DOC("创建安全组", "create a security group")},
    {.section = "2.17.3",
     .method = "DELETE",
     .path = "cloudsegroup/{securitygroupid}",
     .runs = SV_RUN_TELL,
     SV_PARAMS(remove_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = remove_group,
     DOC("删除安全组", "delete one that no NIC is in, with its rules")},
    {.section = "2.17.4",
     .method = "POST",
     .path = "cloudsegroup/vnic/bind",
     .runs = SV_RUN_TELL,
     SV_PARAMS(bind_params),
     .in_size = sizeof(struct bind_in),
     .handler = bind_nics,
     DOC("绑定云主机", "put NICs into a group, all or none")},
    {.section = "2.17.5",
     .method = "POST",
     .path = "cloudsegroup/vnic/unbind",
     .runs = SV_RUN_TELL,
     SV_PARAMS(bind_params),
     .in_size = sizeof(struct bind_in),
     .handler = unbind_nics,
     DOC("解绑云主机", "take NICs out of a group, all or none")},
    {.section = "2.17.6",
     .method = "POST",
     .path = "cloudsegroup/vnic/search",
     .runs = SV_RUN_READ,
     SV_PARAMS(nics_params),
     .in_size = sizeof(struct nics_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(NIC_FIELDS),
     .handler = search_nics,
     DOC("查询安全组绑定的网卡", "list the NICs of a group")},
    {.section = "2.18.1",
     .method = "POST",
     .path = "cloudsegroup/rule/search",
     .runs = SV_RUN_READ,
     SV_PARAMS(rules_params),
     .in_size = sizeof(struct rules_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(RULE_FIELDS),
     .handler = search_rules,
     DOC("查询安全组规则", "list the rules of groups")},
    {.section = "2.18.2",
     .method = "POST",
     .path = "cloudsegroup/rule/add",
     .runs = SV_RUN_TELL,
     SV_PARAMS(add_params),
     .in_size = sizeof(struct add_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("aclrule.id")),
     .handler = add_rule,
     DOC("添加安全组规则", "allow something to all NICs of a group")},
    {.section = "2.18.3",
     .method = "DELETE",
     .path = "cloudsegroup/rule/{ruleid}",
     .runs = SV_RUN_TELL,
     SV_PARAMS(remove_rule_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = remove_rule,
     DOC("删除安全组规则", "delete a rule of a group")},
    {.section = "2.18.4",
     .method = "POST",
     .path = "cloudsegroup/rule/vm",
     .runs = SV_RUN_READ,
     SV_PARAMS(vm_params),
     .in_size = sizeof(struct vm_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(RULE_FIELDS, SV_TEXT("aclrule_securitygroupname"), SV_BOOL("aclrule_status")),
     .handler = vm_rules,
     DOC("查询云主机相关的安全组规则", "list the rules of a VM's groups, and whether they are in force")},
    {.section = "2.18.5",
     .method = "POST",
     .path = "cloudsegroup/retryrule/search",
     .runs = SV_RUN_READ,
     SV_PARAMS(issues_params),
     .in_size = sizeof(struct issues_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("issue.id"), SV_TEXT("aclrule.id"), SV_TEXT("vm.id"), SV_INT("retry.num")),
     .handler = search_issues,
     DOC("查询安全组未生效规则", "list rules that are not in force, with what failed how often")},
    {.section = "2.18.6",
     .method = "PUT",
     .path = "cloudsegroup/retryrule/reset",
     .runs = SV_RUN_WRITE,
     .handler = retry_issues,
     DOC("重新补偿未生效规则", "try them again now")},
};
const struct sv_route_table sv_table_secgroup = {routes, ROUTE_COUNT(routes)};
