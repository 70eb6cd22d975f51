/* NICs of a VM (StarVCenter 2.5; deletion is ours). */
#include "handlers/starvcenter/rows.h"

static const struct sv_param search_params[] = {
    ID("vnic.vmid", struct sv_id_in, id, REQUIRED, .field = SV_F_VM, DOC("云主机编号", "id of the VM")),
};

void sv_put_nic(void *arg, const struct sv_nic *n)
{
    struct sv_reply *r = arg;
    char mac[SV_MAC_LEN];

    sv_mac_format(n->mac, mac);
    sv_reply_obj(r);
    sv_put_id(r, "vnic.id", &n->id);
    sv_put_str(r, "vnic.name", n->name);
    sv_put_str(r, "vnic.desc", "");
    sv_put_time(r, "vnic.createtime", n->created);
    sv_put_id(r, "vnic.vmid", &n->vm);
    sv_put_str(r, "vnic.macaddress", mac);
    sv_put_ip(r, "vnic.ipaddress", n->ip);
    sv_put_id(r, "vnic.vpc.id", &n->vpc);
    sv_put_str(r, "vnic.vpc.name", n->vpc_name);
    sv_put_id(r, "vnic.undo.startid", &n->undo);
    sv_reply_end_obj(r);
}

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_vm_nic_search(c->tx, &c->actor, in->id, sv_put_nic, out, c->err);
    sv_reply_end_list(out);
    return rc;
}

struct add_in {
    const char *vm, *vpc;
};
static const struct sv_param add_params[] = {
    ID("vnic.vmid", struct add_in, vm, REQUIRED, .field = SV_F_VM, DOC("云主机编号", "id of the VM")),
    ID("vnic.portgroupid", struct add_in, vpc, REQUIRED, .field = SV_F_VPC, DOC("私网编号", "id of the VPC")),
};

static enum sv_err add(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct add_in *in = input;
    struct sv_id nic;
    enum sv_err rc = sv_vm_nic_add(c->cloud, c->tx, &c->actor, in->vm, in->vpc, &nic, &c->job, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "vnic.id", &nic);
    sv_reply_end_obj(out);
    return SV_OK;
}

static const struct sv_param remove_params[] = {
    PATH_ID("vnicId", struct sv_id_in, id, SV_F_NIC, "网卡编号", "id of the NIC"),
};

static enum sv_err remove_nic(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_vm_nic_remove(c->cloud, c->tx, &c->actor, in->id, &c->job, c->err);
}

static const struct sv_route routes[] = {
    {.section = "2.5.1",
     .method = "POST",
     .path = "cloudvm/vnic/search",
     .runs = SV_RUN_READ,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct sv_id_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(NIC_FIELDS),
     .handler = search,
     DOC("获取云主机网卡", "list a VM's NICs")},
    {.section = "2.5.2",
     .method = "POST",
     .path = "cloudvm/vnic/add",
     .runs = SV_RUN_WAIT,
     SV_PARAMS(add_params),
     .in_size = sizeof(struct add_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("vnic.id")),
     .handler = add,
     DOC("添加网卡", "add a NIC, plugged in when the VM runs")},
    {.section = "cloud hosts",
     .method = "DELETE",
     .path = "cloudvm/vnic/{vnicId}",
     .runs = SV_RUN_WAIT,
     SV_PARAMS(remove_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = remove_nic,
     .extension = true,
     DOC("删除网卡", "unplug and delete a NIC")},
};
const struct sv_route_table sv_table_vnic = {routes, ROUTE_COUNT(routes)};
