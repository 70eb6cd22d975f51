/* Nodes of load balancers (StarVCenter 2.13). */
#include "handlers/starvcenter/rows.h"
#include "starvirt/core_balance.h"

/* --- rows of a new one; the order is the document's ------------------------------------------------------- */

#define RANGE(lo, hi) .flags = SV_P_MIN | SV_P_MAX, .min = (lo), .max = (hi)
#define NODE_ROWS(slbid)                                                                                               \
    STR("realnode.name", struct sv_node_in, name, NAME_LEN, .field = SV_F_NODE_NAME,                                   \
        DOC("名称", "name; made from the id when absent")),                                                            \
        STR("realnode.desc", struct sv_node_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC,                       \
            .field = SV_F_NODE_DESC, DOC("描述", "description")),                                                      \
        slbid,                                                                                                         \
        {.name = "realnode.ip",                                                                                        \
         .type = SV_T_IP,                                                                                              \
         .flags = SV_P_REQUIRED,                                                                                       \
         .offset = SV_OFF_STR(struct sv_node_in, ip),                                                                  \
         .field = SV_F_NODE_IP,                                                                                        \
         DOC("后端IP", "address of one of the VM's NICs")},                                                            \
        INT("realnode.port", struct sv_node_in, port, .flags = SV_P_REQUIRED | SV_P_MIN | SV_P_MAX, .min = 1,          \
            .max = SV_MAX_PORT, .field = SV_F_NODE_PORT, DOC("后端端口", "port that the VM listens on")),              \
        ID("realnode.vmid", struct sv_node_in, vm, REQUIRED, .field = SV_F_VM, DOC("虚拟机编号", "id of the VM")),     \
        INT("realnode.weight", struct sv_node_in, weight, RANGE(1, SV_MAX_SLB_WEIGHT), .field = SV_F_NODE_WEIGHT,      \
            DOC("权重,默认 1", "weight, 1 unless given"))

const struct sv_param sv_node_params[SV_NODE_ROWS] = {
    NODE_ROWS(
        ID("realnode.slbid", struct sv_node_in, slb, DOC("不使用:即所新增的负载均衡", "not used: it is the new one"))),
};
static const struct sv_param add_params[] = {
    NODE_ROWS(ID("realnode.slbid", struct sv_node_in, slb, REQUIRED, .field = SV_F_SLB,
                 DOC("负载均衡编号", "id of the load balancer"))),
};

static struct sv_slb_node_new node_of(const struct sv_node_in *in)
{
    return (struct sv_slb_node_new){.name = in->name,
                                    .descr = in->desc,
                                    .vm = in->vm,
                                    .ip = in->ip,
                                    .port = in->port.v,
                                    .weight = in->weight.set ? in->weight.v : -1};
}

const struct sv_slb_node_new *sv_nodes_of(struct sv_arena *a, const struct sv_objs *nodes)
{
    const struct sv_node_in *in = nodes->v;
    struct sv_slb_node_new *all = sv_arena_alloc(a, (nodes->n + 1) * sizeof(*all));

    for (size_t i = 0; i < nodes->n; i++)
        all[i] = node_of(&in[i]);
    return all;
}

static enum sv_err add(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_node_in *in = input;
    const struct sv_slb_node_new n = node_of(in);
    struct sv_id id;
    enum sv_err rc = sv_slb_node_add(c->cloud, c->tx, &c->actor, in->slb, &n, &id, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "realnode.id", &id);
    sv_reply_end_obj(out);
    return SV_OK;
}

/* --- changes ------------------------------------------------------------------------------------------- */

struct modify_in {
    const char *id;
    struct sv_opt_int port, weight;
};
static const struct sv_param modify_params[] = {
    ID("realnode.id", struct modify_in, id, REQUIRED, .field = SV_F_NODE, DOC("编号", "id of the node")),
    INT("realnode.port", struct modify_in, port, RANGE(1, SV_MAX_PORT), .field = SV_F_NODE_PORT,
        DOC("后端端口", "port that the VM listens on")),
    INT("realnode.weight", struct modify_in, weight, RANGE(1, SV_MAX_SLB_WEIGHT), .field = SV_F_NODE_WEIGHT,
        DOC("权重", "weight")),
};

static enum sv_err modify(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct modify_in *in = input;

    (void)out;
    return sv_slb_node_modify(c->cloud, c->tx, &c->actor, in->id, in->port.set ? in->port.v : -1,
                              in->weight.set ? in->weight.v : -1, c->err);
}

static const struct sv_param remove_params[] = {
    PATH_ID("realnodeid", struct sv_id_in, id, SV_F_NODE, "编号", "id of the node"),
};

static enum sv_err remove_node(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_slb_node_remove(c->cloud, c->tx, &c->actor, in->id, c->err);
}

/* --- search --------------------------------------------------------------------------------------------- */

struct search_in {
    const char *id, *name, *ip, *order, *slb;
    struct sv_opt_int port;
    struct sv_page_in page;
};
static const struct sv_param search_params[] = {
    ID("realnode.id", struct search_in, id, .field = SV_F_NODE, DOC("编号", "id of the node")),
    STR("realnode.name", struct search_in, name, NAME_LEN, .field = SV_F_NODE_NAME, DOC("名称", "part of the name")),
    {.name = "realnode.ip",
     .type = SV_T_IP,
     .offset = SV_OFF_STR(struct search_in, ip),
     .field = SV_F_NODE_IP,
     DOC("后端IP", "address")},
    INT("realnode.port", struct search_in, port, RANGE(1, SV_MAX_PORT), .field = SV_F_NODE_PORT,
        DOC("后端端口", "port")),
    ORDER_ROW(struct search_in, order),
    PAGE_ROWS(struct search_in),
    ID("realnode.slbid", struct search_in, slb, .flags = SV_P_EXTENSION, .field = SV_F_SLB,
       DOC("负载均衡编号", "id of the load balancer")),
};

static const char *const states[] = {
    [SV_NET_NODE_UNKNOWN] = "unknown", [SV_NET_NODE_UP] = "up", [SV_NET_NODE_DOWN] = "down", [SV_NET_NODE_OFF] = "off"};

static void put_node(void *arg, const struct sv_slb_node *n, enum sv_net_node_state state)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    sv_put_id(r, "realnode.id", &n->id);
    sv_put_str(r, "realnode.name", n->name);
    sv_put_str(r, "realnode.desc", n->descr);
    sv_put_time(r, "realnode.createtime", n->created);
    sv_put_id(r, "realnode.slbid", &n->slb);
    sv_put_bool(r, "realnode.enable", n->enabled);
    sv_put_ip(r, "realnode.ip", n->ip);
    sv_put_int(r, "realnode.port", n->port);
    sv_put_id(r, "realnode.vmid", &n->vm);
    sv_put_int(r, "realnode.weight", n->weight);
    sv_put_str(r, "realnode.state", states[state]);
    sv_reply_end_obj(r);
}

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct search_in *in = input;
    const struct sv_page page = sv_page_of(&in->page);
    struct sv_slb_node_filter f = {
        .name = in->name, .port = in->port.set ? (unsigned)in->port.v : 0, .by_name = sv_is_by_name(in->order)};
    enum sv_err rc;

    if (in->ip)
        sv_ip4_parse(in->ip, &f.ip);
    sv_reply_list(out);
    rc = sv_slb_node_search(c->cloud, c->tx, &c->actor, in->id, in->slb, &f, &page, put_node, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

static const struct sv_route routes[] = {
    {.section = "2.13.1",
     .method = "POST",
     .path = "cloudslb/realnode/search",
     .runs = SV_RUN_READ,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct search_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("realnode.id"), SV_TEXT("realnode.name"), SV_TEXT("realnode.desc"),
               SV_TEXT("realnode.createtime"), SV_TEXT("realnode.slbid"), SV_TEXT("realnode.enable"),
               SV_TEXT("realnode.ip"), SV_TEXT("realnode.port"), SV_TEXT("realnode.vmid"), SV_TEXT("realnode.weight"),
               SV_TEXT("realnode.state", .flags = SV_O_OURS)),
     .handler = search,
     DOC("查询SLB后端节点", "list nodes; realnode.state is what health checks found: up, down, off or unknown")},
    {.section = "2.13.2",
     .method = "POST",
     .path = "cloudslb/realnode/add",
     .runs = SV_RUN_TELL,
     SV_PARAMS(add_params),
     .in_size = sizeof(struct sv_node_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("realnode.id")),
     .handler = add,
     DOC("新增SLB后端节点", "add a node to a load balancer")},
    {.section = "2.13.3",
     .method = "PUT",
     .path = "cloudslb/realnode/modify",
     .runs = SV_RUN_TELL,
     SV_PARAMS(modify_params),
     .in_size = sizeof(struct modify_in),
     .handler = modify,
     DOC("修改SLB后端节点", "change a node's port or weight")},
    {.section = "2.13.4",
     .method = "DELETE",
     .path = "cloudslb/realnode/{realnodeid}",
     .runs = SV_RUN_TELL,
     SV_PARAMS(remove_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = remove_node,
     DOC("删除SLB后端节点", "take a node out of its load balancer")},
};
const struct sv_route_table sv_table_realnode = {routes, ROUTE_COUNT(routes)};
