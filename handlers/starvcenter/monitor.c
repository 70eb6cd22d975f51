/* What VMs and hosts use (StarVCenter 2.8). No figure is "". */
#include "handlers/starvcenter/rows.h"
#include "starvirt/core_monitor.h"

#include <stdio.h>

/* --- figures as the document writes them --- */

static void put_count(struct sv_reply *r, const char *key, int64_t v)
{
    if (v < 0)
        sv_put_str(r, key, "");
    else
        sv_put_int(r, key, v);
}

static void put_units(struct sv_reply *r, const char *key, int64_t bytes, int64_t unit)
{
    put_count(r, key, bytes < 0 ? -1 : bytes / unit);
}

/* KB/s with two places. */
static void put_speed(struct sv_reply *r, const char *key, double v)
{
    char text[32] = "";

    if (v >= 0)
        snprintf(text, sizeof(text), "%.2f", v / 1024);
    sv_put_str(r, key, text);
}

static void put_rate(struct sv_reply *r, const char *key, double v)
{
    put_count(r, key, v < 0 ? -1 : (int64_t)(v + 0.5));
}

/* --- current --- */

/* `monitor.obj.type` is "vm" and nothing else, but for many at once. */
#define VM_ROWS(st)                                                                                                    \
    ENUM("monitor.obj.type", st, type, SV_VALUES("vm"), REQUIRED, DOC("监控对象类型", "kind of the object")),          \
        ID("monitor.obj", st, vm, REQUIRED, .field = SV_F_VM, DOC("云主机编号", "id of the VM"))

struct vm_in {
    const char *type, *vm;
};
static const struct sv_param vm_params[] = {VM_ROWS(struct vm_in)};

static void put_figures(struct sv_reply *r, const struct sv_monitor_figures *f)
{
    sv_put_str(r, "monitor.obj", f->object);
    sv_put_time(r, "monitor.createtime", f->time);
    put_count(r, "monitor.cpu.rate", f->cpu);
    put_count(r, "monitor.mem.rate", f->memory);
    put_count(r, "monitor.cpu.num", f->vcpus);
    put_units(r, "monitor.mem.size", f->memory_size, SV_MIB);
    put_units(r, "monitor.mem.usedsize", f->memory_used, SV_MIB);
}

static enum sv_err current(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct vm_in *in = input;
    struct sv_monitor_figures f;
    enum sv_err rc = sv_monitor_current(c->cloud, c->tx, &c->actor, in->vm, &f, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    put_figures(out, &f);
    sv_reply_end_obj(out);
    return SV_OK;
}

struct currents_in {
    const char *type;
    struct sv_strs ids;
};
static const struct sv_param currents_params[] = {
    ENUM("monitor.obj.type", struct currents_in, type, SV_VALUES("vm", "host"), REQUIRED,
         DOC("监控对象类型(vm:虚拟机,host:主机)", "kind of the objects")),
    LIST("monitor.objids", struct currents_in, ids, REQUIRED, DOC("监控对象编号列表", "ids of the objects")),
};

static void put_one(void *arg, const struct sv_monitor_figures *f)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    put_figures(r, f);
    put_units(r, "monitor.disk.usedsize", f->disk_used, SV_MIB);
    sv_reply_end_obj(r);
}

static enum sv_err currents(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct currents_in *in = input;
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_monitor_currents(c->cloud, c->tx, &c->actor, strcmp(in->type, "host") == 0, in->ids.v, in->ids.n, put_one,
                             out, c->err);
    sv_reply_end_list(out);
    if (rc == SV_E_VM_NOT_FOUND || rc == SV_E_HOST_NOT_FOUND)
        SV_COPY(c->err->wire, "monitor.objids");
    return rc;
}

/* --- history --- */

struct history_in {
    const char *type, *vm, *line;
};
static const struct sv_param history_params[] = {
    VM_ROWS(struct history_in),
    ENUM("lineType", struct history_in, line, SV_VALUES("minute", "hour", "day"), REQUIRED,
         DOC("minute:分钟线,hour:小时线,day:日线", "minutes of a day, hours of a month, days of a year")),
};

/* One point a row; each operation has columns of its own. */
struct history {
    struct sv_reply *out;
    const char *vm;
    void (*columns)(struct sv_reply *r, const struct sv_monitor_point *p);
};

static void put_point(void *arg, const struct sv_monitor_point *p)
{
    const struct history *h = arg;

    sv_reply_obj(h->out);
    sv_put_str(h->out, "monitor.obj", h->vm);
    sv_put_time(h->out, "monitor.createtime", p->time);
    h->columns(h->out, p);
    sv_reply_end_obj(h->out);
}

static enum sv_monitor_line line_of(const char *name)
{
    return strcmp(name, "minute") == 0 ? SV_LINE_MINUTE : strcmp(name, "hour") == 0 ? SV_LINE_HOUR : SV_LINE_DAY;
}

static enum sv_err history(struct sv_call *c, const struct history_in *in, struct sv_reply *out,
                           void (*columns)(struct sv_reply *r, const struct sv_monitor_point *p))
{
    struct history h = {out, in->vm, columns};
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_monitor_history(c->cloud, c->tx, &c->actor, in->vm, line_of(in->line), put_point, &h, c->err);
    sv_reply_end_list(out);
    return rc;
}

static void compute_columns(struct sv_reply *r, const struct sv_monitor_point *p)
{
    put_count(r, "monitor.cpu.rate", p->cpu);
    put_count(r, "monitor.mem.rate", p->memory);
}

static void disk_columns(struct sv_reply *r, const struct sv_monitor_point *p)
{
    put_speed(r, "monitor.disk.writespeed", p->rates.written);
    put_speed(r, "monitor.disk.readspeed", p->rates.read);
}

static void net_columns(struct sv_reply *r, const struct sv_monitor_point *p)
{
    put_speed(r, "monitor.net.downspeed", p->rates.received);
    put_speed(r, "monitor.net.upspeed", p->rates.sent);
}

static enum sv_err compute_history(struct sv_call *c, const void *input, struct sv_reply *out)
{
    return history(c, input, out, compute_columns);
}

static enum sv_err disk_history(struct sv_call *c, const void *input, struct sv_reply *out)
{
    return history(c, input, out, disk_columns);
}

static enum sv_err net_history(struct sv_call *c, const void *input, struct sv_reply *out)
{
    return history(c, input, out, net_columns);
}

/* --- each disk, each NIC --- */

struct each {
    struct sv_reply *out;
    const char *vm;
};

static void put_disk(void *arg, const struct sv_monitor_disk *d)
{
    const struct each *e = arg;

    sv_reply_obj(e->out);
    sv_put_str(e->out, "monitor.obj", e->vm);
    sv_put_id(e->out, "monitor.diskid", &d->id);
    sv_put_time(e->out, "monitor.createtime", d->time);
    put_speed(e->out, "monitor.disk.writespeed", d->written);
    put_speed(e->out, "monitor.disk.readspeed", d->read);
    put_units(e->out, "monitor.disk.size", d->size, 1024);
    put_rate(e->out, "monitor.disk.rqbs", d->reads);
    put_rate(e->out, "monitor.disk.wqbs", d->writes);
    put_units(e->out, "monitor.disk.usedsize", d->used, 1024);
    sv_reply_end_obj(e->out);
}

static enum sv_err every_disk(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct vm_in *in = input;
    struct each e = {out, in->vm};
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_monitor_disks(c->cloud, c->tx, &c->actor, in->vm, put_disk, &e, c->err);
    sv_reply_end_list(out);
    return rc;
}

static void put_nic(void *arg, const struct sv_monitor_nic *n)
{
    const struct each *e = arg;
    char mac[SV_MAC_LEN];

    sv_mac_format(n->mac, mac);
    sv_reply_obj(e->out);
    sv_put_str(e->out, "monitor.obj", e->vm);
    sv_put_id(e->out, "monitor.netcardid", &n->id);
    sv_put_str(e->out, "monitor.netcardmac", mac);
    sv_put_time(e->out, "monitor.createtime", n->time);
    put_speed(e->out, "monitor.net.downspeed", n->received);
    put_speed(e->out, "monitor.net.upspeed", n->sent);
    sv_reply_end_obj(e->out);
}

static enum sv_err every_net(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct vm_in *in = input;
    struct each e = {out, in->vm};
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_monitor_nics(c->cloud, c->tx, &c->actor, in->vm, put_nic, &e, c->err);
    sv_reply_end_list(out);
    return rc;
}

/* --- rows --- */

#define COMPUTE_FIELDS                                                                                                 \
    SV_TEXT("monitor.obj"), SV_TEXT("monitor.createtime"), SV_TEXT("monitor.cpu.rate"), SV_TEXT("monitor.mem.rate")
#define CURRENT_FIELDS                                                                                                 \
    COMPUTE_FIELDS, SV_TEXT("monitor.cpu.num"), SV_TEXT("monitor.mem.size"), SV_TEXT("monitor.mem.usedsize")

static const struct sv_route routes[] = {
    {.section = "2.8.1",
     .method = "POST",
     .path = "cloudmonitor/compute/current",
     .runs = SV_RUN_READ,
     SV_PARAMS(vm_params),
     .in_size = sizeof(struct vm_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(CURRENT_FIELDS),
     .handler = current,
     DOC("查询CPU/MEM性能监控数据(实时)", "CPU and memory that a VM uses now")},
    {.section = "2.8.2",
     .method = "POST",
     .path = "cloudmonitor/compute/history",
     .runs = SV_RUN_READ,
     SV_PARAMS(history_params),
     .in_size = sizeof(struct history_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(COMPUTE_FIELDS),
     .handler = compute_history,
     DOC("查询CPU/MEM监控数据(历史)", "CPU and memory that a VM used, oldest first")},
    {.section = "2.8.3",
     .method = "POST",
     .path = "cloudmonitor/disk/history",
     .runs = SV_RUN_READ,
     SV_PARAMS(history_params),
     .in_size = sizeof(struct history_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("monitor.obj"), SV_TEXT("monitor.createtime"), SV_TEXT("monitor.disk.writespeed"),
               SV_TEXT("monitor.disk.readspeed")),
     .handler = disk_history,
     DOC("查询磁盘IO监控数据(历史)", "what a VM read and wrote on all its disks, oldest first")},
    {.section = "2.8.4",
     .method = "POST",
     .path = "cloudmonitor/net/history",
     .runs = SV_RUN_READ,
     SV_PARAMS(history_params),
     .in_size = sizeof(struct history_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("monitor.obj"), SV_TEXT("monitor.createtime"), SV_TEXT("monitor.net.downspeed"),
               SV_TEXT("monitor.net.upspeed")),
     .handler = net_history,
     DOC("查询网络IO监控数据(历史)", "what a VM received and sent on all its NICs, oldest first")},
    {.section = "2.8.5",
     .method = "POST",
     .path = "cloudmonitor/everydisk/current",
     .runs = SV_RUN_READ,
     SV_PARAMS(vm_params),
     .in_size = sizeof(struct vm_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("monitor.obj"), SV_TEXT("monitor.diskid"), SV_TEXT("monitor.createtime"),
               SV_TEXT("monitor.disk.writespeed"), SV_TEXT("monitor.disk.readspeed"), SV_TEXT("monitor.disk.size"),
               SV_TEXT("monitor.disk.rqbs"), SV_TEXT("monitor.disk.wqbs"), SV_TEXT("monitor.disk.usedsize")),
     .handler = every_disk,
     DOC("查询磁盘IO监控数据(实时-分磁盘)", "what a VM reads and writes now, by disk")},
    {.section = "2.8.6",
     .method = "POST",
     .path = "cloudmonitor/everynet/current",
     .runs = SV_RUN_READ,
     SV_PARAMS(vm_params),
     .in_size = sizeof(struct vm_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("monitor.obj"), SV_TEXT("monitor.netcardid"), SV_TEXT("monitor.netcardmac"),
               SV_TEXT("monitor.createtime"), SV_TEXT("monitor.net.downspeed"), SV_TEXT("monitor.net.upspeed")),
     .handler = every_net,
     DOC("查询网络IO监控数据(实时-分网卡)", "what a VM receives and sends now, by NIC")},
    {.section = "2.8.7",
     .method = "POST",
     .path = "cloudmonitor/compute/currents",
     .runs = SV_RUN_READ,
     SV_PARAMS(currents_params),
     .in_size = sizeof(struct currents_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(CURRENT_FIELDS, SV_TEXT("monitor.disk.usedsize")),
     .handler = currents,
     DOC("查询计算性能监控数据(实时，批量)", "what many VMs, or hosts, use now")},
};
const struct sv_route_table sv_table_monitor = {routes, ROUTE_COUNT(routes)};
