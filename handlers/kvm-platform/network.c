/* NetworkHandler: networks on a physical interface (document, Network 1). Query and delete are ours. */
#include "handlers/kvm-platform/rows.h"

struct create_in {
    const char *id, *type, *device, *netns;
    struct sv_opt_int vlan;
};
/* What a type or a name must be is the core's to say: the document has codes for it. */
static const struct sv_param create_params[] = {
    ID("network_id", struct create_in, id, .flags = SV_P_REQUIRED, .field = SV_F_NETWORK,
       DOC("网络uuid", "UUID, the caller's own")),
    STR("network_type", struct create_in, type, .flags = SV_P_REQUIRED, .field = SV_F_NET_TYPE,
        DOC("网络类型:flat 或 vlan", "flat or vlan")),
    STR("physical_interface", struct create_in, device, .flags = SV_P_REQUIRED, .field = SV_F_NET_DEVICE,
        DOC("绑定的物理网卡名称", "the physical interface it is bound to")),
    INT("vlan_id", struct create_in, vlan, .flags = SV_P_OUR_MIN | SV_P_OUR_MAX, .min = SV_NET_VLAN_MIN,
        .max = SV_NET_VLAN_MAX, .field = SV_F_NET_VLAN, DOC("vlan id,vlan 网络必填", "VLAN id, for a vlan network")),
    STR("namespace", struct create_in, netns, .flags = SV_P_EXTENSION, .field = SV_F_NETNS,
        DOC("网卡所在的网络命名空间", "the network namespace that has the interface")),
};

static void put_name(struct sv_reply *out, const struct sv_id *id)
{
    char name[SV_NET_DEVICE_LEN + 1];

    sv_host_network_bridge(id, name);
    sv_put_str(out, "name", name);
}

static enum sv_err create(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct create_in *in = input;
    const struct sv_host_network_new n = {.id = in->id,
                                          .type = in->type,
                                          .device = in->device,
                                          .netns = in->netns,
                                          .vlan = in->vlan.set ? in->vlan.v : -1};
    struct sv_id id;
    enum sv_err rc = sv_host_network_create(c->cloud, c->tx, &c->actor, &n, &id, &c->job, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    put_name(out, &id);
    sv_reply_end_obj(out);
    return SV_OK;
}

struct query_in {
    const char *id;
};
static const struct sv_param query_params[] = {
    ID("network_id", struct query_in, id, .field = SV_F_NETWORK,
       DOC("网络uuid;缺省为全部", "one network; all unless given")),
};
static const struct sv_param delete_params[] = {
    ID("network_id", struct query_in, id, .flags = SV_P_REQUIRED, .field = SV_F_NETWORK,
       DOC("网络uuid", "the network")),
};

static void put_network(void *arg, const struct sv_host_network *n)
{
    struct sv_reply *out = arg;

    sv_reply_obj(out);
    sv_put_id(out, "network_id", &n->id);
    sv_put_str(out, "network_type", sv_host_network_type(n));
    sv_put_str(out, "physical_interface", n->device);
    sv_put_int(out, "vlan_id", n->vlan);
    sv_put_str(out, "namespace", n->netns);
    put_name(out, &n->id);
    sv_put_time(out, "created", n->created);
    sv_reply_end_obj(out);
}

static enum sv_err query(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct query_in *in = input;
    const struct sv_page all = {0};
    struct sv_host_network one;
    uint64_t total = 0;
    enum sv_err rc;

    sv_reply_obj(out);
    sv_reply_list_in(out, "networks");
    if (in->id) {
        rc = sv_host_network_find(c->tx, &c->actor, in->id, &one, c->err);
        if (!rc)
            put_network(out, &one);
    } else {
        rc = sv_host_network_search(c->tx, &c->actor, &all, put_network, out, &total, c->err);
    }
    sv_reply_end_list(out);
    sv_reply_end_obj(out);
    return info_failed(c, rc, SV_E_INFO_NETWORK);
}

static enum sv_err remove_network(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct query_in *in = input;
    enum sv_err rc = sv_host_network_remove(c->cloud, c->tx, &c->actor, in->id, &c->job, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_str(out, "network_id", in->id);
    sv_reply_end_obj(out);
    return SV_OK;
}

static const struct sv_reply_row network_rows[] = {SV_TEXT("network_id"),
                                                   SV_TEXT("network_type"),
                                                   SV_TEXT("physical_interface"),
                                                   SV_INT("vlan_id"),
                                                   SV_TEXT("namespace"),
                                                   SV_TEXT("name"),
                                                   SV_TIME("created"),
                                                   {0}};

static const struct sv_route routes[] = {
    {
        .section = "network",
        OPERATION("NetworkHandler", "create"),
        .runs = SV_RUN_WAIT,
        .role = SV_ROLE_ADMIN,
        SV_PARAMS(create_params),
        .in_size = sizeof(struct create_in),
        .data = SV_DATA_OBJ,
        SV_FIELDS(SV_TEXT("name")),
        .handler = create,
        DOC("创建网络", "create a network"),
    },
    {
        .section = "network",
        OPERATION("NetworkHandler", "query"),
        .runs = SV_RUN_READ,
        .role = SV_ROLE_ADMIN,
        .extension = true,
        SV_PARAMS(query_params),
        .in_size = sizeof(struct query_in),
        .data = SV_DATA_OBJ,
        SV_FIELDS(SV_OBJS("networks", network_rows)),
        .handler = query,
        DOC("查询网络", "find networks"),
    },
    {
        .section = "network",
        OPERATION("NetworkHandler", "delete"),
        .runs = SV_RUN_WAIT,
        .role = SV_ROLE_ADMIN,
        .extension = true,
        SV_PARAMS(delete_params),
        .in_size = sizeof(struct query_in),
        .data = SV_DATA_OBJ,
        SV_FIELDS(SV_TEXT("network_id")),
        .handler = remove_network,
        DOC("删除网络", "delete a network"),
    },
};
const struct sv_route_table sv_kvm_network = {routes, ROUTE_COUNT(routes)};
