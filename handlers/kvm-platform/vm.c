/* VmHandler: ours, for the codes 30007, 30008 and 40502. */
#include "handlers/kvm-platform/rows.h"

struct vm_in {
    const char *id;
};
static const struct sv_param vm_params[] = {
    ID("vm_id", struct vm_in, id, .flags = SV_P_REQUIRED, .field = SV_F_VM, DOC("虚拟机编号", "the VM")),
};

static const char *const states[] = {
    [SV_VM_BUILDING] = "building", [SV_VM_CLONING] = "cloning", [SV_VM_STOPPED] = "stopped",
    [SV_VM_RUNNING] = "running",   [SV_VM_PAUSED] = "paused",   [SV_VM_SAVED] = "saved",
    [SV_VM_FAILED] = "failed",     [SV_VM_UNKNOWN] = "unknown",
};

static void put_fields(struct sv_reply *out, const struct sv_vm *vm)
{
    sv_reply_obj(out);
    sv_put_id(out, "vm_id", &vm->id);
    sv_put_str(out, "name", vm->name);
    sv_put_str(out, "state", states[vm->state]);
    sv_put_int(out, "vcpus", vm->vcpus);
    sv_put_int(out, "memory", vm->memory);
    sv_put_ip(out, "ip", vm->ip);
    sv_put_id(out, "host_id", &vm->host);
    sv_put_time(out, "created", vm->created);
    sv_reply_end_obj(out);
}

static void put_vm(void *arg, const struct sv_vm *vm)
{
    put_fields(arg, vm);
}

static enum sv_err list(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_vm_filter any = {.name = NULL};
    const struct sv_page all = {0};
    uint64_t total = 0;
    enum sv_err rc;

    (void)input;
    sv_reply_obj(out);
    sv_reply_list_in(out, "vms");
    rc = sv_vm_search(c->tx, &c->actor, NULL, &any, &all, put_vm, out, &total, c->err);
    sv_reply_end_list(out);
    sv_reply_end_obj(out);
    return info_failed(c, rc, SV_E_INFO_VM);
}

static enum sv_err query(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct vm_in *in = input;
    struct sv_vm vm;
    enum sv_err rc = sv_vm_find(c->tx, &c->actor, in->id, c->arena, &vm, c->err);

    if (!rc)
        put_fields(out, &vm);
    return info_failed(c, rc, SV_E_INFO_VM);
}

static enum sv_err shut_down(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct vm_in *in = input;
    enum sv_err rc = sv_vm_act(c->cloud, c->tx, &c->actor, in->id, SV_VM_SHUTDOWN, &c->job, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_str(out, "vm_id", in->id);
    sv_reply_end_obj(out);
    return SV_OK;
}

static const struct sv_reply_row vm_rows[] = {SV_TEXT("vm_id"),
                                              SV_TEXT("name"),
                                              SV_TEXT("state"),
                                              SV_INT("vcpus"),
                                              SV_INT("memory", .unit = "byte"),
                                              SV_TEXT("ip"),
                                              SV_TEXT("host_id"),
                                              SV_TIME("created"),
                                              {0}};

static const struct sv_route routes[] = {
    {
        .section = "vm",
        OPERATION("VmHandler", "list"),
        .runs = SV_RUN_READ,
        .extension = true,
        .data = SV_DATA_OBJ,
        SV_FIELDS(SV_OBJS("vms", vm_rows)),
        .handler = list,
        DOC("虚拟机列表", "list VMs"),
    },
    {
        .section = "vm",
        OPERATION("VmHandler", "query"),
        .runs = SV_RUN_READ,
        .extension = true,
        SV_PARAMS(vm_params),
        .in_size = sizeof(struct vm_in),
        .data = SV_DATA_OBJ,
        .fields = vm_rows,
        .handler = query,
        DOC("查询虚拟机", "show a VM"),
    },
    {
        .section = "vm",
        OPERATION("VmHandler", "shutdown"),
        .runs = SV_RUN_WAIT,
        .extension = true,
        SV_PARAMS(vm_params),
        .in_size = sizeof(struct vm_in),
        .data = SV_DATA_OBJ,
        SV_FIELDS(SV_TEXT("vm_id")),
        .handler = shut_down,
        DOC("虚拟机关机", "shut a VM down, answered when it is off"),
    },
};
const struct sv_route_table sv_kvm_vm = {routes, ROUTE_COUNT(routes)};
