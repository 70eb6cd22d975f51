#include "hv/libvirt/internal.h"

#include <stddef.h>
#include <stdlib.h>

/* What guests and the host have used: one call for all guests, one for the host's CPUs, one for its memory. */

/* --- a guest --- */

/* What a record says, before it is put together. */
struct told {
    struct sv_hv_usage usage;
    int64_t available, usable, unused; /* [bytes] of the guest's memory, by its own word */
};
struct field {
    const char *name;
    size_t at;
    int64_t unit;
};
#define IN_GUEST(member) offsetof(struct told, usage.member)
static const struct field of_guest[] = {
    {"cpu.time", IN_GUEST(cpu_ns), 1},
    {"vcpu.current", IN_GUEST(vcpus), 1},
    {"balloon.current", IN_GUEST(memory), 1024},
    {"balloon.available", offsetof(struct told, available), 1024},
    {"balloon.usable", offsetof(struct told, usable), 1024},
    {"balloon.unused", offsetof(struct told, unused), 1024},
    {NULL, 0, 0},
};
#define IN_DISK(member) offsetof(struct sv_hv_disk_usage, member)
static const struct field of_disk[] = {
    {"rd.bytes", IN_DISK(read), 1},
    {"wr.bytes", IN_DISK(written), 1},
    {"rd.reqs", IN_DISK(reads), 1},
    {"wr.reqs", IN_DISK(writes), 1},
    {"capacity", IN_DISK(size), 1},
    {"allocation", IN_DISK(held), 1},
    {NULL, 0, 0},
};
/* The driver counts from the guest's side, whatever the tap says. */
#define IN_NIC(member) offsetof(struct sv_hv_nic_usage, member)
static const struct field of_nic[] = {
    {"rx.bytes", IN_NIC(received), 1},
    {"tx.bytes", IN_NIC(sent), 1},
    {NULL, 0, 0},
};

static int64_t value_of(const virTypedParameter *p)
{
    switch ((virTypedParameterType)p->type) {
    case VIR_TYPED_PARAM_INT:
        return p->value.i;
    case VIR_TYPED_PARAM_UINT:
        return p->value.ui;
    case VIR_TYPED_PARAM_LLONG:
        return p->value.l;
    case VIR_TYPED_PARAM_ULLONG:
        return p->value.ul > INT64_MAX ? -1 : (int64_t)p->value.ul;
    case VIR_TYPED_PARAM_DOUBLE:
    case VIR_TYPED_PARAM_BOOLEAN:
    case VIR_TYPED_PARAM_STRING:
        break;
    }
    return -1;
}

static void put(const struct field *fields, const char *name, const virTypedParameter *p, void *into)
{
    for (; fields->name; fields++) {
        int64_t v = value_of(p);
        if (strcmp(fields->name, name) != 0)
            continue;
        if (v > 0 && __builtin_mul_overflow(v, fields->unit, &v))
            v = -1;
        memcpy((char *)into + fields->at, &v, sizeof(v));
        return;
    }
}

/* "block.12.rd.bytes" is of the 12th: "rd.bytes". NULL: of none, or of one past what fits. */
static const char *of_device(const char *field, const char *prefix, unsigned max, unsigned *ret)
{
    const size_t n = strlen(prefix);
    const char *p = field + n;
    unsigned i = 0;
    if (strncmp(field, prefix, n) != 0)
        return NULL;
    for (; *p >= '0' && *p <= '9' && i < max; p++)
        i = 10 * i + (unsigned)(*p - '0');
    if (*p != '.' || p == field + n || i >= max)
        return NULL;
    *ret = i;
    return p + 1;
}

static void put_device(const virTypedParameter *p, struct sv_hv_usage *u)
{
    unsigned i;
    const char *name = of_device(p->field, "block.", SV_HV_MAX_DISKS, &i);
    if (name) {
        u->disk_count = u->disk_count > i ? u->disk_count : i + 1;
        if (strcmp(name, "name") == 0 && p->type == VIR_TYPED_PARAM_STRING)
            SV_COPY(u->disks[i].target, p->value.s);
        put(of_disk, name, p, &u->disks[i]);
        return;
    }
    name = of_device(p->field, "net.", SV_HV_MAX_NICS, &i);
    if (!name)
        return;
    u->nic_count = u->nic_count > i ? u->nic_count : i + 1;
    if (strcmp(name, "name") == 0 && p->type == VIR_TYPED_PARAM_STRING)
        SV_COPY(u->nics[i].tap, p->value.s);
    put(of_nic, name, p, &u->nics[i]);
}

static void nothing_known(struct told *t)
{
    struct sv_hv_usage *u = &t->usage;
    *t = (struct told){.available = -1, .usable = -1, .unused = -1};
    u->cpu_ns = u->vcpus = u->memory = u->memory_used = -1;
    for (unsigned i = 0; i < SV_HV_MAX_DISKS; i++)
        u->disks[i] =
            (struct sv_hv_disk_usage){.read = -1, .written = -1, .reads = -1, .writes = -1, .size = -1, .held = -1};
    for (unsigned i = 0; i < SV_HV_MAX_NICS; i++)
        u->nics[i] = (struct sv_hv_nic_usage){.received = -1, .sent = -1};
}

/* What no program could have, as `free` shows it; of a guest too old to say what is usable, all that is not empty. What
 * QEMU holds for the guest is another thing and says nothing of this. */
static int64_t memory_used(const struct told *t)
{
    const int64_t left = t->usable >= 0 ? t->usable : t->unused;
    return t->available < 0 || left < 0 || left > t->available ? -1 : t->available - left;
}

static void read_record(virDomainStatsRecordPtr r, struct sv_hv_usage *ret)
{
    struct told t;
    nothing_known(&t);
    for (int i = 0; i < r->nparams; i++) {
        put(of_guest, r->params[i].field, &r->params[i], &t);
        put_device(&r->params[i], &t.usage);
    }
    t.usage.memory_used = memory_used(&t);
    *ret = t.usage;
}

/* --- the host --- */

static void host_cpu(virConnectPtr conn, struct sv_hv_host_usage *u)
{
    virNodeCPUStats rows[LV_NODE_ROWS];
    int n = 0; /* as of lv_node_memory() */
    int64_t idle = 0, all = 0;
    u->cpu_all = u->cpu_busy = -1;
    if (virNodeGetCPUStats(conn, VIR_NODE_CPU_STATS_ALL_CPUS, NULL, &n, 0) != 0 || n <= 0 || n > LV_NODE_ROWS ||
        virNodeGetCPUStats(conn, VIR_NODE_CPU_STATS_ALL_CPUS, rows, &n, 0) != 0)
        return;
    for (int i = 0; i < n; i++) {
        const int64_t v = rows[i].value > INT64_MAX / LV_NODE_ROWS ? 0 : (int64_t)rows[i].value;
        if (strcmp(rows[i].field, VIR_NODE_CPU_STATS_UTILIZATION) == 0)
            return; /* a share since nobody knows when */
        all += v;
        if (strcmp(rows[i].field, VIR_NODE_CPU_STATS_IDLE) == 0 ||
            strcmp(rows[i].field, VIR_NODE_CPU_STATS_IOWAIT) == 0)
            idle += v;
    }
    u->cpu_all = all;
    u->cpu_busy = all - idle;
}

static void host_memory(virConnectPtr conn, struct sv_hv_host_usage *u)
{
    virNodeMemoryStats rows[LV_NODE_ROWS];
    const int n = lv_node_memory(conn, rows);
    int64_t total = 0, left = 0;
    u->memory = u->memory_used = -1;
    for (int i = 0; i < n; i++) {
        const int64_t v = (int64_t)rows[i].value * 1024;
        if (strcmp(rows[i].field, VIR_NODE_MEMORY_STATS_TOTAL) == 0)
            total = v;
        else /* free, buffers, cached */
            left += v;
    }
    if (total <= 0)
        return;
    u->memory = total;
    u->memory_used = left < total ? total - left : 0;
}

static void read_host(struct lv_host *h, virConnectPtr conn, struct sv_hv_host_usage *u)
{
    host_cpu(conn, u);
    host_memory(conn, u);
    u->storage_size = u->storage_used = -1;
    if (!h->remote)
        lv_storage_of(h->image_dir, &u->storage_size, &u->storage_used);
    virResetLastError();
}

/* --- the call --- */

enum {
    WANTED = VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_VCPU |
             VIR_DOMAIN_STATS_INTERFACE | VIR_DOMAIN_STATS_BLOCK,
};

/* One guest that hangs holds this call once, and is passed over from then on: a call is under way on it. */
static enum sv_err do_usage(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    virDomainStatsRecordPtr *rows = NULL;
    int n = virConnectGetAllDomainStats(conn, h->is_test ? VIR_DOMAIN_STATS_STATE : WANTED, &rows,
                                        VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE |
                                            (h->is_test ? 0 : VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT));
    if (n < 0)
        return lv_error(h, conn, "usage", err);
    op->usage = sv_alloc((size_t)(n ? n : 1) * sizeof(*op->usage));
    for (int i = 0; i < n; i++) {
        struct sv_hv_usage *u = &op->usage[op->usage_count];
        read_record(rows[i], u);
        if (lv_is_ours(h, rows[i]->dom, &u->vm))
            op->usage_count++;
    }
    virDomainStatsRecordListFree(rows);
    read_host(h, conn, &op->host_usage);
    return virConnectIsAlive(conn) == 1 ? SV_OK : lv_error(h, conn, "usage", err);
}

enum sv_err lv_usage(struct sv_hv_host *base, struct sv_hv_host_usage *ret,
                     void (*row)(void *arg, const struct sv_hv_usage *u), void *arg, const struct sv_deadline *d,
                     struct sv_error *err)
{
    LV_OP op = lv_op_new(NULL);
    enum sv_err rc = lv_call(lv_host_of(base), op, do_usage, LV_CALL_HOST, d, err);
    for (size_t i = 0; !rc && i < op->usage_count; i++)
        row(arg, &op->usage[i]);
    if (!rc)
        *ret = op->host_usage;
    return rc;
}
