/* VMs: create, list, show, rename (StarVCenter 2.2.1 - 2.2.3, 2.2.8). */
#include "handlers/starvcenter/rows.h"

/* --- states, appendix 1 ----------------------------------------------------------------------------- */

static const int state_codes[] = {
    [SV_VM_BUILDING] = 3, [SV_VM_CLONING] = 4, [SV_VM_STOPPED] = 0, [SV_VM_RUNNING] = 1,
    [SV_VM_PAUSED] = 2,   [SV_VM_SAVED] = 2,   [SV_VM_FAILED] = -2, [SV_VM_UNKNOWN] = -1,
};

static const struct sv_code code_names[] = {
    {-2, "创建失败", "failed"}, {-1, "故障检测中", "unknown"}, {0, "停止", "stopped"},   {1, "运行", "running"},
    {2, "休眠", "paused"},      {3, "安装中", "installing"},   {4, "克隆中", "cloning"}, {0}};

/* The core states behind one code: one or two. */
static void states_of(int64_t code, enum sv_vm_state ret[2])
{
    unsigned n = 0;

    for (unsigned s = 0; s < sizeof(state_codes) / sizeof(state_codes[0]); s++) {
        if (state_codes[s] == code && n < 2)
            ret[n++] = (enum sv_vm_state)s;
    }
    if (n == 1)
        ret[1] = ret[0];
}

#define VM_FIELDS                                                                                                      \
    SV_TEXT("vm.id"), SV_TEXT("vm.name"), SV_TEXT("vm.desc"), SV_TEXT("vm.createtime"), SV_TEXT("vm.state"),           \
        SV_TEXT("vm.vcpu.num"), SV_TEXT("vm.memory.mem"), SV_TEXT("vm.tenant.type"), SV_TEXT("vm.tenant.model"),       \
        SV_TEXT("vm.ip"), SV_TEXT("vm.reboot.enable"), SV_TEXT("vm.shutdown.enable"),                                  \
        SV_TEXT("vm.firewalld.enable", .flags = SV_O_OURS), SV_TEXT("vm.guest.ip", .flags = SV_O_OURS),                \
        SV_TEXT("vm.undo.startid", .flags = SV_O_OURS)

static void put_fields(struct sv_reply *r, const struct sv_vm *vm)
{
    const bool can_ask = sv_vm_can_ask(vm);

    sv_put_id(r, "vm.id", &vm->id);
    sv_put_str(r, "vm.name", vm->name);
    sv_put_str(r, "vm.desc", vm->descr);
    sv_put_time(r, "vm.createtime", vm->created);
    sv_put_int(r, "vm.state", state_codes[vm->state]);
    sv_put_int(r, "vm.vcpu.num", vm->vcpus);
    sv_put_int(r, "vm.memory.mem", vm->memory / SV_MIB);
    sv_put_str(r, "vm.tenant.type", vm->model_type);
    sv_put_str(r, "vm.tenant.model", vm->model);
    sv_put_ip(r, "vm.ip", vm->ip);
    sv_put_bool(r, "vm.reboot.enable", can_ask);
    sv_put_bool(r, "vm.shutdown.enable", can_ask);
    sv_put_bool(r, "vm.firewalld.enable", vm->firewalled);
    sv_put_str(r, "vm.guest.ip", sv_vm_address_agrees(vm) ? "" : vm->guest_ips);
    sv_put_id(r, "vm.undo.startid", &vm->undo);
}

void sv_put_vm(struct sv_reply *r, const struct sv_vm *vm)
{
    sv_reply_obj(r);
    put_fields(r, vm);
    sv_reply_end_obj(r);
}

/* --- create ----------------------------------------------------------------------------------------- */

struct create_in {
    const char *name, *model, *template_id, *vpc, *vnc_password, *account_password, *clone, *tenant, *labels, *groups;
    struct sv_opt_int vcpus, memory, count, disks, disk_size;
    struct sv_opt_bool nested;
};
static const struct sv_param create_params[] = {
    STR("vm.name", struct create_in, name, NAME_LEN, .field = SV_F_VM_NAME,
        DOC("名称", "name; made from the id when absent")),
    STR("vm.tenant.model", struct create_in, model, NAME_LEN, .field = SV_F_MODEL,
        DOC("云主机型号(与模板二选一)", "model; either this or a template")),
    ID("vm.template.id", struct create_in, template_id, .field = SV_F_TEMPLATE,
       DOC("云主机模板编号", "template; either this or a model")),
    INT("vm.vcpu.num", struct create_in, vcpus, .flags = SV_P_REQUIRED | SV_P_MIN | SV_P_OUR_MAX, .min = 1,
        .max = SV_MAX_VCPUS, .field = SV_F_VCPUS, DOC("CPU 核数", "vCPUs")),
    INT("vm.memory.mem", struct create_in, memory, .flags = SV_P_REQUIRED | SV_P_MIN | SV_P_OUR_MAX, .min = 1,
        .max = SV_MAX_MEMORY_MIB, .unit = "MB", .field = SV_F_MEMORY, DOC("内存", "memory")),
    ID("vnic.portgroupid", struct create_in, vpc, REQUIRED, .field = SV_F_VPC, DOC("私网编号", "id of the VPC")),
    INT("vm.num", struct create_in, count, .flags = SV_P_MIN | SV_P_MAX, .min = 1, .max = SV_MAX_VM_BATCH,
        .field = SV_F_VM_COUNT, DOC("创建数量,默认 1", "how many, 1 unless given")),
    STR("vm.vncpasswd", struct create_in, vnc_password, .flags = SV_P_OUR_MAX | SV_P_SECRET, .max = SV_MAX_VNC_PASSWORD,
        .field = SV_F_VNC_PASSWORD, DOC("远程连接密码", "VNC password")),
    STR("vm.account.pwd", struct create_in, account_password, .flags = SV_P_OUR_MAX | SV_P_SECRET,
        .max = SV_MAX_PASSWORD, .field = SV_F_PASSWORD,
        DOC("系统账号密码(由客户机代理设置)", "password of the guest's root, set by its agent")),
    BOOL("vm.hyperv.enable", struct create_in, nested, .field = SV_F_NESTED,
         DOC("CPU 虚拟化支持", "show CPU virtualisation to the guest")),
    INT("vm.vdisk.num", struct create_in, disks, .flags = SV_P_MIN | SV_P_OUR_MAX, .min = 0, .max = SV_MAX_DATA_DISKS,
        .field = SV_F_DISK_COUNT, DOC("数据盘数量", "data disks")),
    INT("vm.vdisk.size", struct create_in, disk_size, .flags = SV_P_MIN | SV_P_OUR_MAX, .min = 1,
        .max = SV_MAX_DISK_GIB, .unit = "GB", .field = SV_F_DISK_SIZE, DOC("每块数据盘容量", "size of each data disk")),
    ENUM("vm.clone", struct create_in, clone, SV_VALUES("linked", "full"), .flags = SV_P_EXTENSION,
         DOC("系统盘克隆方式,默认 linked",
             "linked (unless given): the system disk stands on the template; full: a copy")),
    STR("vm.affinity.id", struct create_in, groups, .flags = SV_P_EXTENSION, .field = SV_F_AFFINITY,
        DOC("亲和组编号(多个用逗号隔开)", "ids of affinity groups, by comma")),
    STR("vm.host.labels", struct create_in, labels, .flags = SV_P_EXTENSION, .field = SV_F_HOST_LABELS,
        DOC("物理机须有的标签(key=value,多个用逗号隔开,仅管理员)",
            "labels that its host must have, key=value by comma; for administrators")),
    TENANT_ROW(struct create_in, tenant),
};

void sv_put_made(struct sv_reply *out, const struct sv_vm_made *made, int64_t n)
{
    sv_reply_list(out);
    for (int64_t i = 0; i < n; i++) {
        sv_reply_obj(out);
        sv_put_id(out, "vm.id", &made[i].vm);
        sv_put_str(out, "vm.name", made[i].name);
        sv_put_id(out, "jobstartid", &made[i].startid);
        sv_reply_end_obj(out);
    }
    sv_reply_end_list(out);
}

static enum sv_err create(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct create_in *in = input;
    size_t group_count = 0;
    const char *const *groups = in->groups ? sv_split_list(in->groups, c->arena, &group_count) : NULL;
    const struct sv_vm_new v = {.tenant = in->tenant,
                                .name = in->name,
                                .model = in->model,
                                .template_id = in->template_id,
                                .vpc = in->vpc,
                                .vcpus = in->vcpus.v,
                                .memory = in->memory.v * SV_MIB,
                                .count = in->count.set ? in->count.v : 1,
                                .vnc_password = in->vnc_password,
                                .account_password = in->account_password,
                                .full = in->clone && strcmp(in->clone, "full") == 0,
                                .nested = in->nested.set && in->nested.v,
                                .labels = in->labels,
                                .affinities = groups,
                                .affinity_count = group_count,
                                .data_disks = in->disks.v,
                                .data_disk_size = in->disk_size.v * SV_GIB};
    struct sv_vm_made made[SV_MAX_VM_BATCH];
    const enum sv_err rc = sv_vm_create(c->cloud, c->tx, &c->actor, &v, made, c->err);
    if (!rc)
        sv_put_made(out, made, v.count);
    return rc;
}

/* --- search, show ----------------------------------------------------------------------------------- */

struct search_in {
    const char *name, *id, *ip, *host, *tenant;
    struct sv_opt_int state;
    struct sv_page_in page;
};
static const struct sv_param search_params[] = {
    STR("vm.name", struct search_in, name, NAME_LEN, DOC("名称(模糊匹配)", "substring of the name")),
    STR("vm.id", struct search_in, id, NAME_LEN, DOC("编号(模糊匹配)", "substring of the id")),
    INT("vm.state", struct search_in, state, .codes = code_names, DOC("状态码(附表1)", "state code, appendix 1")),
    STR("vm.ip", struct search_in, ip, NAME_LEN, DOC("IP 地址", "address")),
    ID("vm.hostid", struct search_in, host, .field = SV_F_HOST, DOC("物理机编号(精准查询)", "id of the host, exact")),
    PAGE_ROWS(struct search_in),
    TENANT_ROW(struct search_in, tenant),
};

static void put_row(void *arg, const struct sv_vm *vm)
{
    sv_put_vm(arg, vm);
}

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct search_in *in = input;
    const struct sv_page p = sv_page_of(&in->page);
    struct sv_vm_filter f = {
        .name = in->name, .id = in->id, .ip = in->ip, .host = sv_id_from(in->host), .by_state = in->state.set};
    enum sv_err rc = SV_OK;

    if (in->state.set)
        states_of(in->state.v, f.states);
    sv_reply_list(out);
    if (!in->host || sv_id_valid(in->host))
        rc = sv_vm_search(c->tx, &c->actor, in->tenant, &f, &p, put_row, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

static const struct sv_param show_params[] = {
    PATH_ID("vmId", struct sv_id_in, id, SV_F_VM, "虚拟机编号", "id of the VM"),
};

static enum sv_err show(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;
    const char *groups;
    struct sv_vm vm;
    enum sv_err rc = sv_vm_find(c->tx, &c->actor, in->id, c->arena, &vm, c->err);

    if (!rc)
        rc = sv_vm_affinities(c->tx, &c->actor, &vm, c->arena, &groups, c->err);
    if (rc)
        return rc;
    sv_reply_obj(out);
    put_fields(out, &vm);
    sv_put_str(out, "vm.affinity.id", groups);
    sv_reply_end_obj(out);
    return SV_OK;
}

/* --- modify ----------------------------------------------------------------------------------------- */

struct modify_in {
    const char *id, *name, *desc;
};
static const struct sv_param modify_params[] = {
    ID("vm.id", struct modify_in, id, REQUIRED, .field = SV_F_VM, DOC("虚拟机编号", "id of the VM")),
    STR("vm.name", struct modify_in, name, NAME_LEN, .field = SV_F_VM_NAME, DOC("名称", "name")),
    STR("vm.desc", struct modify_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, .field = SV_F_VM_DESC,
        DOC("描述", "description")),
};

static enum sv_err modify(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct modify_in *in = input;

    (void)out;
    return sv_vm_modify(c->tx, &c->actor, in->id, in->name, in->desc, c->err);
}

/* --- the switch of its filters ----------------------------------------------------------------------- */

struct firewall_in {
    const char *id;
    struct sv_opt_bool on;
};
static const struct sv_param firewall_params[] = {
    ID("vm.id", struct firewall_in, id, REQUIRED, .field = SV_F_VM, DOC("云主机编号", "id of the VM")),
    BOOL("vm.firewalld.enable", struct firewall_in, on, REQUIRED,
         DOC("开关标志 true(开启)|false(关闭)", "true: its filters are in force")),
};

static enum sv_err switch_firewall(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct firewall_in *in = input;
    enum sv_err rc = sv_vm_switch_firewall(c->cloud, c->tx, &c->actor, in->id, in->on.v, c->err);

    if (rc)
        return rc;
    sv_reply_list(out); /* as the document shows it, empty */
    sv_reply_end_list(out);
    return SV_OK;
}

static const struct sv_route routes[] = {
    {.section = "2.2.1",
     .method = "POST",
     .path = "cloudvm/create",
     .kind = SV_ASYNC_EACH,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(create_params),
     .in_size = sizeof(struct create_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("vm.id"), SV_TEXT("vm.name"), SV_TEXT("jobstartid")),
     .handler = create,
     DOC("开通云主机", "create VMs and start them")},
    {.section = "2.2.2",
     .method = "POST",
     .path = "cloudvm/search",
     .runs = SV_RUN_READ,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct search_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(VM_FIELDS),
     .handler = search,
     DOC("查询云主机", "list VMs")},
    {.section = "2.2.3",
     .method = "GET",
     .path = "cloudvm/{vmId}",
     .runs = SV_RUN_READ,
     SV_PARAMS(show_params),
     .in_size = sizeof(struct sv_id_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(VM_FIELDS, SV_TEXT("vm.affinity.id", .flags = SV_O_OURS)),
     .handler = show,
     DOC("获取云主机详细", "show one VM")},
    {.section = "2.2.8",
     .method = "PUT",
     .path = "cloudvm/modify",
     .runs = SV_RUN_WRITE,
     SV_PARAMS(modify_params),
     .in_size = sizeof(struct modify_in),
     .handler = modify,
     DOC("修改云主机", "change name and description")},
    {.section = "2.2.18",
     .method = "POST",
     .path = "cloudvm/switchfirewalld",
     .runs = SV_RUN_TELL,
     SV_PARAMS(firewall_params),
     .in_size = sizeof(struct firewall_in),
     .data = SV_DATA_LIST,
     .handler = switch_firewall,
     DOC("访问控制开关", "switch the VM's filters on or off")},
};
const struct sv_route_table sv_table_vm = {routes, ROUTE_COUNT(routes)};
