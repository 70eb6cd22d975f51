/* What is told of figures: from memory and files, to who may see the object. */
#include "core/host/host.h"
#include "core/monitor/internal.h"
#include "core/vm/vm.h"

/* A sample stands for what is now as long as the next few may be late. */
static int64_t stale_us(const struct sv_monitor *m)
{
    return sv_gap_us(m->interval_ms) / 2;
}

static struct sv_monitor_figures nothing(const char *object)
{
    return (struct sv_monitor_figures){.object = object,
                                       .cpu = -1,
                                       .memory = -1,
                                       .vcpus = -1,
                                       .memory_size = -1,
                                       .memory_used = -1,
                                       .disk_used = -1,
                                       .rates = {-1, -1, -1, -1}};
}

/* `id` lives as long as what is given back. */
static struct sv_monitor_figures latest(struct sv_cloud *c, const struct sv_id *id)
{
    struct sv_monitor_figures f = nothing(id->s);
    struct sv_monitor *m = c->monitor;

    pthread_mutex_lock(&m->mutex);
    const struct sv_object_seen *o = sv_objects_find(&m->objects, id);
    if (o)
        f = sv_figures_of(o, sv_mono_us(), stale_us(m));
    pthread_mutex_unlock(&m->mutex);
    f.object = id->s;
    return f;
}

/* Its size is known without a sample. */
static struct sv_monitor_figures vm_figures(struct sv_cloud *c, const struct sv_vm *vm)
{
    struct sv_monitor_figures f = latest(c, &vm->id);

    f.vcpus = vm->live_vcpus ? vm->live_vcpus : vm->vcpus;
    f.memory_size = vm->live_memory ? vm->live_memory : vm->memory;
    return f;
}

enum sv_err sv_monitor_current(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                               struct sv_monitor_figures *ret, struct sv_error *err)
{
    struct sv_vm *seen = sv_arena_alloc(sv_tx_arena(tx), sizeof(*seen));
    enum sv_err rc = sv_vm_find(tx, who, vm, sv_tx_arena(tx), seen, err);

    if (!rc)
        *ret = vm_figures(c, seen);
    return rc;
}

static enum sv_err one_host(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *host,
                            struct sv_monitor_figures *ret, struct sv_error *err)
{
    struct sv_id *id = sv_arena_alloc(sv_tx_arena(tx), sizeof(*id));
    struct sv_host row;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = sv_check_id(host, SV_E_HOST_NOT_FOUND, SV_F_HOST, id, err);
    if (!rc)
        rc = sv_host_get(tx, id, sv_tx_arena(tx), &row, err);
    if (rc)
        return rc;
    *ret = latest(c, id);
    return SV_OK;
}

enum sv_err sv_monitor_currents(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, bool hosts,
                                const char *const *ids, size_t n,
                                void (*row)(void *arg, const struct sv_monitor_figures *f), void *arg,
                                struct sv_error *err)
{
    struct sv_monitor_figures f;
    enum sv_err rc = SV_OK;

    for (size_t i = 0; !rc && i < n; i++) {
        rc = hosts ? one_host(c, tx, who, ids[i], &f, err) : sv_monitor_current(c, tx, who, ids[i], &f, err);
        if (!rc)
            row(arg, &f);
    }
    return rc;
}

/* --- history --- */

struct past {
    struct sv_slot slot;         /* of what is written */
    bool any;                    /* of the minute that goes on: */
    struct sv_monitor_point now; /* its time is that of the line's last point */
};

static struct past past_of(struct sv_monitor *m, const struct sv_id *id, int64_t begun)
{
    struct past p = {.any = false};

    pthread_mutex_lock(&m->mutex);
    const struct sv_object_seen *o = sv_objects_find(&m->objects, id);
    if (o) {
        p.slot = o->slot;
        p.any = sv_minute_so_far(o, begun, &p.now);
    }
    pthread_mutex_unlock(&m->mutex);
    return p;
}

enum sv_err sv_monitor_history(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                               enum sv_monitor_line line, void (*row)(void *arg, const struct sv_monitor_point *p),
                               void *arg, struct sv_error *err)
{
    struct sv_monitor *m = c->monitor;
    const int64_t now = sv_now_ms(), begun = sv_line_begin(line, now);
    struct sv_monitor_point p;
    struct sv_vm seen;
    enum sv_err rc = sv_vm_find(tx, who, vm, sv_tx_arena(tx), &seen, err);

    if (rc)
        return rc;
    const struct past past = past_of(m, &seen.id, begun);
    if (past.slot.epoch)
        sv_rings_read(m->rings, past.slot, line, begun - sv_line_reach(line), begun, row, arg);
    if (past.slot.epoch && line != SV_LINE_MINUTE && sv_rings_fold(m->rings, past.slot, line, begun, &p))
        row(arg, &p);
    else if (past.any)
        row(arg, &past.now);
    return SV_OK;
}

/* --- devices --- */

struct devices {
    struct sv_object_seen seen; /* a copy: its devices are the arena's */
    bool fresh;
    size_t at; /* rows that were told */
    size_t rows;
    void (*disk)(void *arg, const struct sv_monitor_disk *d);
    void (*nic)(void *arg, const struct sv_monitor_nic *n);
    void *arg;
};

static void *copy(struct sv_arena *a, const void *v, size_t size)
{
    void *own = sv_arena_alloc(a, size ? size : 1);

    return size ? memcpy(own, v, size) : own;
}

static void look_at_devices(struct sv_monitor *m, const struct sv_id *vm, struct sv_arena *a, struct devices *d)
{
    pthread_mutex_lock(&m->mutex);
    const struct sv_object_seen *o = sv_objects_find(&m->objects, vm);
    if (o) {
        d->seen = *o;
        d->seen.disks = copy(a, o->disks, o->disk_count * sizeof(*o->disks));
        d->seen.nics = copy(a, o->nics, o->nic_count * sizeof(*o->nics));
        d->fresh = o->asked_us && sv_mono_us() - o->asked_us <= stale_us(m);
    }
    pthread_mutex_unlock(&m->mutex);
}

static void tell_disk(void *arg, const struct sv_disk *row)
{
    const struct devices *d = arg;
    struct sv_monitor_disk told = {.id = row->id,
                                   .time = d->seen.time,
                                   .read = -1,
                                   .written = -1,
                                   .reads = -1,
                                   .writes = -1,
                                   .size = row->size,
                                   .used = -1};

    for (unsigned i = 0; d->fresh && i < d->seen.disk_count; i++) {
        const struct sv_disk_seen *s = &d->seen.disks[i];

        if (strcmp(s->target, row->target) != 0)
            continue;
        told.read = s->read.rate;
        told.written = s->written.rate;
        told.reads = s->reads.rate;
        told.writes = s->writes.rate;
        told.used = s->held;
    }
    d->disk(d->arg, &told);
}

enum sv_err sv_monitor_disks(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                             void (*row)(void *arg, const struct sv_monitor_disk *d), void *arg, struct sv_error *err)
{
    struct devices d = {.disk = row, .arg = arg};
    struct sv_vm seen;
    enum sv_err rc = sv_vm_find(tx, who, vm, sv_tx_arena(tx), &seen, err);

    if (rc)
        return rc;
    look_at_devices(c->monitor, &seen.id, sv_tx_arena(tx), &d);
    return sv_disk_list_vm(tx, sv_scope_of(who), &seen.id, tell_disk, &d, err);
}

/* By the name of its tap; where nobody names taps both lists are in the order in which the NICs came. */
static const struct sv_nic_seen *seen_nic(const struct devices *d, const struct sv_nic *row)
{
    char tap[SV_NET_DEVICE_LEN + 1];

    if (!d->fresh)
        return NULL;
    sv_net_tap(&row->id, tap);
    for (unsigned i = 0; i < d->seen.nic_count; i++)
        if (strcmp(d->seen.nics[i].tap, tap) == 0)
            return &d->seen.nics[i];
    /* "svt..." where taps are named by us */
    const bool named = d->seen.nic_count && strncmp(d->seen.nics[0].tap, tap, 3) == 0;
    return !named && d->rows == d->seen.nic_count ? &d->seen.nics[d->at] : NULL;
}

static void count_nic(void *arg, const struct sv_nic *row)
{
    struct devices *d = arg;

    (void)row;
    d->rows++;
}

static void tell_nic(void *arg, const struct sv_nic *row)
{
    struct devices *d = arg;
    const struct sv_nic_seen *s = seen_nic(d, row);
    struct sv_monitor_nic told = {.id = row->id,
                                  .time = d->seen.time,
                                  .received = s ? (double)s->received.rate : -1,
                                  .sent = s ? (double)s->sent.rate : -1};

    memcpy(told.mac, row->mac, sizeof(told.mac));
    d->at++;
    d->nic(d->arg, &told);
}

enum sv_err sv_monitor_nics(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                            void (*row)(void *arg, const struct sv_monitor_nic *n), void *arg, struct sv_error *err)
{
    struct devices d = {.nic = row, .arg = arg};
    struct sv_vm seen;
    enum sv_err rc = sv_vm_find(tx, who, vm, sv_tx_arena(tx), &seen, err);

    if (rc)
        return rc;
    look_at_devices(c->monitor, &seen.id, sv_tx_arena(tx), &d);
    rc = sv_nic_list_vm(tx, sv_scope_of(who), &seen.id, count_nic, &d, err);
    return rc ? rc : sv_nic_list_vm(tx, sv_scope_of(who), &seen.id, tell_nic, &d, err);
}
