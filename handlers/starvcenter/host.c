/* Hypervisor hosts (StarVCenter 2.14), and ours: hosts that come, go and are looked after. */
#include "handlers/starvcenter/rows.h"

#define LABELS_ROW(st, m)                                                                                              \
    STR("host.labels", st, m, .flags = SV_P_OUR_MAX, .max = SV_MAX_STR, .field = SV_F_LABELS,                          \
        DOC("标签(key=value,以逗号分隔)", "labels: key=value, by comma"))
#define OVERCOMMIT_ROW(key, st, m, f, most, zh, en)                                                                    \
    INT(key, st, m, .flags = SV_P_MIN | SV_P_OUR_MAX, .min = 0, .max = (most), .field = (f), .unit = "%", DOC(zh, en))
#define WISH_ROWS(st)                                                                                                  \
    STR("host.desc", st, wish.desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, DOC("描述", "description")),            \
        LABELS_ROW(st, wish.labels),                                                                                   \
        OVERCOMMIT_ROW("host.vcpu.overcommit", st, wish.vcpus, SV_F_VCPU_OVERCOMMIT, 6400,                             \
                       "vCPU 超分(%,0 为服务默认)", "vCPUs placed for 100 that it has; 0: as the server's option"),    \
        OVERCOMMIT_ROW("host.memory.overcommit", st, wish.memory, SV_F_MEMORY_OVERCOMMIT, 1000,                        \
                       "内存超分(%,0 为不超分)", "memory placed for 100 that it has; 0: 100")

struct wish_in {
    const char *name, *desc, *labels;
    struct sv_opt_int vcpus, memory;
};

static struct sv_host_wish wish_of(const struct wish_in *in)
{
    return (struct sv_host_wish){.name = in->name,
                                 .descr = in->desc,
                                 .labels = in->labels,
                                 .vcpu_overcommit = in->vcpus.set ? in->vcpus.v : -1,
                                 .memory_overcommit = in->memory.set ? in->memory.v : -1};
}

/* --- search --- */

struct search_in {
    const char *id, *ip;
    struct sv_page_in page;
};
static const struct sv_param search_params[] = {
    ID("host.id", struct search_in, id, .field = SV_F_HOST, DOC("编号(精准查询)", "one host")),
    IP("host.ip", struct search_in, ip, DOC("主机IP(精准查询)", "its address, exact")),
    PAGE_ROWS(struct search_in),
};

static void put_host(void *arg, const struct sv_host_shown *s)
{
    const struct sv_host *h = s->row;
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    sv_put_id(r, "host.id", &h->id);
    sv_put_str(r, "host.name", h->name);
    sv_put_str(r, "host.desc", h->descr);
    sv_put_int(r, "host.state", (int)s->code);
    sv_put_bool(r, "host.isconnected", h->connected);
    sv_put_time(r, "host.createtime", h->created);
    sv_put_str(r, "host.register.address", s->address);
    sv_put_str(r, "host.authentication", "1");
    sv_put_bool(r, "host.ismending", h->maintenance);
    sv_put_str(r, "host.os.product", h->os_version);
    sv_put_str(r, "host.os.bit", h->real_vcpus ? "64" : ""); /* no other is supported */
    sv_put_str(r, "host.os.versoin", s->kernel);
    sv_put_str(r, "host.virt.versoin", h->virt_version);
    sv_put_str(r, "host.cpu.vendor", h->cpu_vendor);
    sv_put_int(r, "host.cpu.num", s->cores ? s->cores : h->real_vcpus);
    sv_put_int(r, "host.cpus", h->sockets);
    sv_put_int(r, "host.mem.size", (h->real_memory + SV_GIB / 2) / SV_GIB);
    sv_put_str(r, "host.uri", s->uri);
    sv_put_str(r, "host.cpu.model", h->cpu_model);
    sv_put_str(r, "host.labels", h->labels);
    sv_put_int(r, "host.vcpu.overcommit", h->vcpu_overcommit);
    sv_put_int(r, "host.memory.overcommit", h->memory_overcommit);
    sv_put_int(r, "host.vcpu.placeable", h->vcpus);
    sv_put_int(r, "host.vcpu.placed", h->used_vcpus);
    sv_put_int(r, "host.memory.placeable", h->memory / SV_MIB);
    sv_put_int(r, "host.memory.placed", h->used_memory / SV_MIB);
    sv_put_bool(r, "host.isgiven", s->given);
    sv_put_str(r, "host.why", s->why);
    sv_reply_end_obj(r);
}

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct search_in *in = input;
    const struct sv_page page = sv_page_of(&in->page);
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_host_search(c->cloud, c->tx, &c->actor, in->id, in->ip, &page, put_host, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

/* --- add, modify, maintenance, remove --- */

struct add_in {
    struct wish_in wish;
    const char *uri;
};
static const struct sv_param add_params[] = {
    STR("host.name", struct add_in, wish.name, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_HOST_NAME, DOC("名称", "name")),
    STR("host.uri", struct add_in, uri, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_STR,
        .field = SV_F_HOST_URI, DOC("libvirt 地址", "its hypervisor: qemu+tls://HOST/system, qemu:///system, sim://")),
    WISH_ROWS(struct add_in),
};

static enum sv_err add(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct add_in *in = input;
    const struct sv_host_wish w = wish_of(&in->wish);
    struct sv_id id;
    enum sv_err rc = sv_host_add(c->cloud, c->tx, &c->actor, in->uri, &w, &id, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "host.id", &id);
    sv_reply_end_obj(out);
    return SV_OK;
}

struct modify_in {
    struct wish_in wish;
    const char *id;
};
static const struct sv_param modify_params[] = {
    ID("host.id", struct modify_in, id, REQUIRED, .field = SV_F_HOST, DOC("编号", "id of the host")),
    STR("host.name", struct modify_in, wish.name, NAME_LEN, .field = SV_F_HOST_NAME, DOC("名称", "name")),
    WISH_ROWS(struct modify_in),
};

static enum sv_err modify(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct modify_in *in = input;
    const struct sv_host_wish w = wish_of(&in->wish);

    (void)out;
    return sv_host_modify(c->cloud, c->tx, &c->actor, in->id, &w, c->err);
}

struct mending_in {
    const char *id;
    struct sv_opt_bool on;
};
static const struct sv_param mending_params[] = {
    ID("host.id", struct mending_in, id, REQUIRED, .field = SV_F_HOST, DOC("编号", "id of the host")),
    BOOL("host.ismending", struct mending_in, on, REQUIRED, DOC("是否为运维模式", "in maintenance, or out of it")),
};

static enum sv_err mending(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct mending_in *in = input;

    return sv_host_mend(c->cloud, c->tx, &c->actor, in->id, in->on.v, &out->startid, c->err);
}

static const struct sv_param remove_params[] = {
    PATH_ID("hostId", struct sv_id_in, id, SV_F_HOST, "主机编号", "id of the host"),
};

static enum sv_err remove_host(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_host_remove(c->cloud, c->tx, &c->actor, in->id, c->err);
}

static const struct sv_route routes[] = {
    {.section = "2.14",
     .method = "POST",
     .path = "cloudhost/search",
     .role = SV_ROLE_ADMIN,
     .runs = SV_RUN_READ,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct search_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("host.id"), SV_TEXT("host.name"), SV_TEXT("host.desc"), SV_TEXT("host.state"),
               SV_TEXT("host.isconnected"), SV_TEXT("host.createtime"), SV_TEXT("host.register.address"),
               SV_TEXT("host.authentication"), SV_TEXT("host.ismending"), SV_TEXT("host.os.product"),
               SV_TEXT("host.os.bit"), SV_TEXT("host.os.versoin"), SV_TEXT("host.virt.versoin"),
               SV_TEXT("host.cpu.vendor"), SV_TEXT("host.cpu.num"), SV_TEXT("host.cpus"), SV_TEXT("host.mem.size"),
               SV_TEXT("host.uri", .flags = SV_O_OURS), SV_TEXT("host.cpu.model", .flags = SV_O_OURS),
               SV_TEXT("host.labels", .flags = SV_O_OURS), SV_TEXT("host.vcpu.overcommit", .flags = SV_O_OURS),
               SV_TEXT("host.memory.overcommit", .flags = SV_O_OURS),
               SV_TEXT("host.vcpu.placeable", .flags = SV_O_OURS), SV_TEXT("host.vcpu.placed", .flags = SV_O_OURS),
               SV_TEXT("host.memory.placeable", .flags = SV_O_OURS), SV_TEXT("host.memory.placed", .flags = SV_O_OURS),
               SV_TEXT("host.isgiven", .flags = SV_O_OURS), SV_TEXT("host.why", .flags = SV_O_OURS)),
     .handler = search,
     DOC("查询物理机列表", "list hypervisor hosts")},
    {.section = "hosts",
     .method = "POST",
     .path = "cloudhost/add",
     .role = SV_ROLE_ADMIN,
     .extension = true,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(add_params),
     .in_size = sizeof(struct add_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("host.id")),
     .handler = add,
     DOC("新增主机", "add a host, which is connected from then on")},
    {.section = "hosts",
     .method = "PUT",
     .path = "cloudhost/modify",
     .role = SV_ROLE_ADMIN,
     .extension = true,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(modify_params),
     .in_size = sizeof(struct modify_in),
     .handler = modify,
     DOC("修改主机", "change a host's name, labels or overcommit")},
    {.section = "hosts",
     .method = "PUT",
     .path = "cloudhost/mending",
     .role = SV_ROLE_ADMIN,
     .extension = true,
     .kind = SV_ASYNC,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(mending_params),
     .in_size = sizeof(struct mending_in),
     .handler = mending,
     DOC("主机维护", "begin or end a host's maintenance: nothing new is placed there")},
    {.section = "hosts",
     .method = "DELETE",
     .path = "cloudhost/{hostId}",
     .role = SV_ROLE_ADMIN,
     .extension = true,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(remove_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = remove_host,
     DOC("移除主机", "remove a host that holds nothing")},
};
const struct sv_route_table sv_table_host = {routes, ROUTE_COUNT(routes)};
