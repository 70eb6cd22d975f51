/* What is done to a VM as a job: power, size, deletion (StarVCenter 2.2.4 - 2.2.7, 2.2.14 - 2.2.16). */
#include "handlers/starvcenter/rows.h"

static const struct sv_param vm_params[] = {
    ID("vm.id", struct sv_id_in, id, REQUIRED, .field = SV_F_VM, DOC("虚拟机编号", "id of the VM")),
};

/* One handler a power verb: the route's row cannot carry a value to the handler, so the verb is its name. */
#define ACTION(fn, what)                                                                                               \
    static enum sv_err fn(struct sv_call *c, const void *input, struct sv_reply *out)                                  \
    {                                                                                                                  \
        const struct sv_id_in *in = input;                                                                             \
                                                                                                                       \
        return sv_vm_act(c->cloud, c->tx, &c->actor, in->id, (what), &out->startid, c->err);                           \
    }
ACTION(start, SV_VM_START)
ACTION(destroy, SV_VM_DESTROY)
ACTION(shut_down, SV_VM_SHUTDOWN)
ACTION(restart, SV_VM_RESTART)
ACTION(suspend, SV_VM_SUSPEND)
ACTION(resume, SV_VM_RESUME)

struct delete_in {
    const char *id, *backups;
};
static const struct sv_param delete_params[] = {
    PATH_ID("vmId", struct delete_in, id, SV_F_VM, "虚拟机编号", "id of the VM"),
    ENUM("backups", struct delete_in, backups, .in = SV_IN_QUERY, .flags = SV_P_EXTENSION, SV_VALUES("keep", "delete"),
         DOC("备份是保留(默认)还是一并删除",
             "whether its backups are kept, as they are unless asked for, or go with it")),
};

static enum sv_err delete_vm(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct delete_in *in = input;

    if (in->backups && strcmp(in->backups, "delete") == 0)
        return sv_vm_delete_with_backups(c->cloud, c->tx, &c->actor, in->id, &out->startid, c->err);
    return sv_vm_act(c->cloud, c->tx, &c->actor, in->id, SV_VM_DELETE, &out->startid, c->err);
}

struct size_in {
    const char *id;
    struct sv_opt_int value;
};
static const struct sv_param vcpu_params[] = {
    ID("vm.id", struct size_in, id, REQUIRED, .field = SV_F_VM, DOC("虚拟机编号", "id of the VM")),
    INT("vm.vcpu.num", struct size_in, value, .flags = SV_P_REQUIRED | SV_P_MIN | SV_P_OUR_MAX, .min = 1,
        .max = SV_MAX_VCPUS, .field = SV_F_VCPUS, DOC("CPU 核数", "vCPUs")),
};
static const struct sv_param memory_params[] = {
    ID("vm.id", struct size_in, id, REQUIRED, .field = SV_F_VM, DOC("虚拟机编号", "id of the VM")),
    INT("vm.memory.mem", struct size_in, value, .flags = SV_P_REQUIRED | SV_P_MIN | SV_P_MAX, .min = 1,
        .max = SV_MAX_MEMORY_MIB, .unit = "MB", .field = SV_F_MEMORY, DOC("内存", "memory")),
};

static enum sv_err set_vcpus(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct size_in *in = input;

    return sv_vm_resize(c->cloud, c->tx, &c->actor, in->id, in->value.v, 0, &out->startid, c->err);
}

static enum sv_err set_memory(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct size_in *in = input;

    return sv_vm_resize(c->cloud, c->tx, &c->actor, in->id, 0, in->value.v * SV_MIB, &out->startid, c->err);
}

#define ASYNC(params_, in_) .kind = SV_ASYNC, .runs = SV_RUN_WRITE, SV_PARAMS(params_), .in_size = sizeof(in_)

static const struct sv_route routes[] = {
    {.section = "2.2.4",
     .method = "PUT",
     .path = "cloudvm/start",
     ASYNC(vm_params, struct sv_id_in),
     .handler = start,
     DOC("启动云主机", "start a VM")},
    {.section = "2.2.5",
     .method = "PUT",
     .path = "cloudvm/destroy",
     ASYNC(vm_params, struct sv_id_in),
     .handler = destroy,
     DOC("云主机关闭电源", "power a VM off")},
    {.section = "2.2.6",
     .method = "PUT",
     .path = "cloudvm/shutdown",
     ASYNC(vm_params, struct sv_id_in),
     .handler = shut_down,
     DOC("云主机关闭系统", "ask the guest to shut down")},
    {.section = "2.2.7",
     .method = "DELETE",
     .path = "cloudvm/{vmId}",
     ASYNC(delete_params, struct delete_in),
     .handler = delete_vm,
     DOC("删除云主机", "delete a VM with its disks, NICs and addresses")},
    {.section = "2.2.14",
     .method = "PUT",
     .path = "cloudvm/restart",
     ASYNC(vm_params, struct sv_id_in),
     .handler = restart,
     DOC("重启云主机", "reboot the guest, reset it if it does not obey")},
    {.section = "2.2.15",
     .method = "PUT",
     .path = "cloudvm/cpu/modify",
     ASYNC(vcpu_params, struct size_in),
     .handler = set_vcpus,
     DOC("修改云主机 CPU", "change vCPUs: more live, fewer at next start")},
    {.section = "2.2.16",
     .method = "PUT",
     .path = "cloudvm/mem/modify",
     ASYNC(memory_params, struct size_in),
     .handler = set_memory,
     DOC("修改云主机内存", "change memory: more live where the guest can, less at next start")},
    {.section = "cloud hosts",
     .method = "PUT",
     .path = "cloudvm/suspend",
     ASYNC(vm_params, struct sv_id_in),
     .handler = suspend,
     .extension = true,
     DOC("休眠云主机", "pause a VM")},
    {.section = "cloud hosts",
     .method = "PUT",
     .path = "cloudvm/resume",
     ASYNC(vm_params, struct sv_id_in),
     .handler = resume,
     .extension = true,
     DOC("唤醒云主机", "let a paused VM run again")},
};
const struct sv_route_table sv_table_power = {routes, ROUTE_COUNT(routes)};
