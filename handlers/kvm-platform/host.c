/* HostHandler: ours, for the codes 40001 to 40501. All from rows and from what hosts told: nothing waits for one. */
#include "handlers/kvm-platform/rows.h"

struct host_in {
    const char *id;
};
static const struct sv_param host_params[] = {
    ID("host_id", struct host_in, id, .field = SV_F_HOST, DOC("主机编号;缺省为全部", "one host; all unless given")),
};

static void put_head(struct sv_reply *out, const struct sv_host *h)
{
    sv_reply_obj(out);
    sv_put_id(out, "host_id", &h->id);
    sv_put_str(out, "host", h->name);
}

static void put_cpu(void *arg, const struct sv_host_facts *f)
{
    struct sv_reply *out = arg;

    put_head(out, f->host);
    sv_put_str(out, "model", f->info.cpu_model);
    sv_put_str(out, "vendor", f->info.cpu_vendor);
    sv_put_int(out, "cpus", f->info.vcpus);
    sv_put_int(out, "sockets", f->info.sockets);
    sv_put_int(out, "cores", f->info.cores);
    sv_put_int(out, "threads", f->info.threads);
    sv_put_int(out, "mhz", f->info.mhz);
    sv_put_int(out, "vcpus_placed", f->host->used_vcpus);
    sv_reply_end_obj(out);
}

static void put_memory(void *arg, const struct sv_host_facts *f)
{
    struct sv_reply *out = arg;

    put_head(out, f->host);
    sv_put_int(out, "total", f->info.memory);
    sv_put_int(out, "placed", f->host->used_memory);
    sv_put_int(out, "free", f->info.memory - f->host->used_memory);
    sv_reply_end_obj(out);
}

static void put_hardware(void *arg, const struct sv_host_facts *f)
{
    struct sv_reply *out = arg;

    put_head(out, f->host);
    sv_put_str(out, "cpu_model", f->info.cpu_model);
    sv_put_int(out, "cpus", f->info.vcpus);
    sv_put_int(out, "memory", f->info.memory);
    sv_put_int(out, "storage", f->info.storage_size);
    sv_put_str(out, "os", f->info.os_version);
    sv_put_str(out, "hypervisor", f->info.virt_version);
    sv_put_bool(out, "connected", f->host->connected);
    sv_reply_end_obj(out);
}

static enum sv_err facts(struct sv_call *c, const char *host, enum sv_fact what, enum sv_err as,
                         void (*put)(void *arg, const struct sv_host_facts *f), struct sv_reply *out)
{
    enum sv_err rc;

    sv_reply_obj(out);
    sv_reply_list_in(out, "hosts");
    rc = sv_host_facts(c->cloud, c->tx, &c->actor, what, host, put, out, c->err);
    sv_reply_end_list(out);
    sv_reply_end_obj(out);
    return info_failed(c, rc, as);
}

static enum sv_err cpu(struct sv_call *c, const void *input, struct sv_reply *out)
{
    return facts(c, ((const struct host_in *)input)->id, SV_FACT_CPU, SV_E_INFO_CPU, put_cpu, out);
}

static enum sv_err memory(struct sv_call *c, const void *input, struct sv_reply *out)
{
    return facts(c, ((const struct host_in *)input)->id, SV_FACT_MEMORY, SV_E_INFO_MEMORY, put_memory, out);
}

static enum sv_err hardware(struct sv_call *c, const void *input, struct sv_reply *out)
{
    return facts(c, ((const struct host_in *)input)->id, SV_FACT_HARDWARE, SV_E_INFO_HARDWARE, put_hardware, out);
}

/* --- what is no host's alone ------------------------------------------------------------------------ */

static void put_storage(void *arg, const struct sv_storage *s)
{
    struct sv_reply *out = arg;

    sv_reply_obj(out);
    sv_put_id(out, "storage_id", &s->id);
    sv_put_id(out, "host_id", &s->host);
    sv_put_str(out, "name", s->name);
    sv_put_str(out, "type", s->type);
    sv_put_str(out, "location", s->location);
    sv_put_int(out, "size", s->size);
    sv_put_int(out, "used", s->used);
    sv_reply_end_obj(out);
}

static enum sv_err storage(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_page all = {0};
    uint64_t total = 0;
    enum sv_err rc;

    (void)input;
    sv_reply_obj(out);
    sv_reply_list_in(out, "storages");
    rc = sv_storage_search(c->tx, &c->actor, &all, put_storage, out, &total, c->err);
    sv_reply_end_list(out);
    sv_reply_end_obj(out);
    return info_failed(c, rc, SV_E_INFO_STORAGE);
}

static void put_network(void *arg, const struct sv_host_network *n)
{
    char bridge[SV_NET_DEVICE_LEN + 1];
    struct sv_reply *out = arg;

    sv_host_network_bridge(&n->id, bridge);
    sv_reply_obj(out);
    sv_put_id(out, "id", &n->id);
    sv_put_str(out, "kind", sv_host_network_type(n));
    sv_put_str(out, "name", bridge);
    sv_reply_end_obj(out);
}

static void put_vpc(void *arg, const struct sv_vpc *v)
{
    struct sv_reply *out = arg;

    sv_reply_obj(out);
    sv_put_id(out, "id", &v->id);
    sv_put_str(out, "kind", "vpc");
    sv_put_str(out, "name", v->name);
    sv_reply_end_obj(out);
}

static enum sv_err network(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_page all = {0};
    uint64_t total = 0;
    enum sv_err rc;

    (void)input;
    sv_reply_obj(out);
    sv_reply_list_in(out, "networks");
    rc = sv_host_network_search(c->tx, &c->actor, &all, put_network, out, &total, c->err);
    if (!rc)
        rc = sv_vpc_search(c->tx, &c->actor, NULL, &all, put_vpc, out, &total, c->err);
    sv_reply_end_list(out);
    sv_reply_end_obj(out);
    return info_failed(c, rc, SV_E_INFO_NETWORK);
}

static void put_service(void *arg, const struct sv_service *s)
{
    struct sv_reply *out = arg;

    sv_reply_obj(out);
    sv_put_str(out, "name", s->name);
    sv_put_str(out, "kind", s->kind);
    sv_put_str(out, "version", s->version);
    sv_put_bool(out, "up", s->up);
    sv_reply_end_obj(out);
}

static enum sv_err services(struct sv_call *c, const void *input, struct sv_reply *out)
{
    enum sv_err rc;

    (void)input;
    sv_reply_obj(out);
    sv_reply_list_in(out, "services");
    rc = sv_service_search(c->cloud, c->tx, &c->actor, put_service, out, c->err);
    sv_reply_end_list(out);
    sv_reply_end_obj(out);
    return info_failed(c, rc, SV_E_INFO_SERVICES);
}

/* --- rows ------------------------------------------------------------------------------------------- */

static const struct sv_reply_row cpu_rows[] = {SV_TEXT("host_id"),
                                               SV_TEXT("host"),
                                               SV_TEXT("model"),
                                               SV_TEXT("vendor"),
                                               SV_INT("cpus"),
                                               SV_INT("sockets"),
                                               SV_INT("cores"),
                                               SV_INT("threads"),
                                               SV_INT("mhz"),
                                               SV_INT("vcpus_placed"),
                                               {0}};
static const struct sv_reply_row memory_rows[] = {SV_TEXT("host_id"),
                                                  SV_TEXT("host"),
                                                  SV_INT("total", .unit = "byte"),
                                                  SV_INT("placed", .unit = "byte"),
                                                  SV_INT("free", .unit = "byte"),
                                                  {0}};
static const struct sv_reply_row hardware_rows[] = {SV_TEXT("host_id"),
                                                    SV_TEXT("host"),
                                                    SV_TEXT("cpu_model"),
                                                    SV_INT("cpus"),
                                                    SV_INT("memory", .unit = "byte"),
                                                    SV_INT("storage", .unit = "byte"),
                                                    SV_TEXT("os"),
                                                    SV_TEXT("hypervisor"),
                                                    SV_BOOL("connected"),
                                                    {0}};
static const struct sv_reply_row storage_rows[] = {SV_TEXT("storage_id"),
                                                   SV_TEXT("host_id"),
                                                   SV_TEXT("name"),
                                                   SV_TEXT("type"),
                                                   SV_TEXT("location"),
                                                   SV_INT("size", .unit = "byte"),
                                                   SV_INT("used", .unit = "byte"),
                                                   {0}};
static const struct sv_reply_row network_rows[] = {SV_TEXT("id"), SV_TEXT("kind"), SV_TEXT("name"), {0}};
static const struct sv_reply_row service_rows[] = {
    SV_TEXT("name"), SV_TEXT("kind"), SV_TEXT("version"), SV_BOOL("up"), {0}};

#define READS(command, key, rows, fn, zh, en)                                                                          \
    .section = "host", OPERATION("HostHandler", (command)), .runs = SV_RUN_READ, .role = SV_ROLE_ADMIN,                \
    .extension = true, .data = SV_DATA_OBJ, SV_FIELDS(SV_OBJS((key), (rows))), .handler = (fn), DOC((zh), (en))
#define OF_HOST SV_PARAMS(host_params), .in_size = sizeof(struct host_in)

static const struct sv_route routes[] = {
    {READS("cpu", "hosts", cpu_rows, cpu, "查询CPU信息", "CPUs of hosts"), OF_HOST},
    {READS("memory", "hosts", memory_rows, memory, "查询内存信息", "memory of hosts"), OF_HOST},
    {READS("hardware", "hosts", hardware_rows, hardware, "查询机器硬件信息", "hardware of hosts"), OF_HOST},
    {READS("storage", "storages", storage_rows, storage, "查询存储信息", "storages")},
    {READS("network", "networks", network_rows, network, "查询网络信息", "networks")},
    {READS("services", "services", service_rows, services, "查询系统服务信息", "services")},
};
const struct sv_route_table sv_kvm_host = {routes, ROUTE_COUNT(routes)};
