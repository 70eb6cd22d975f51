/* Snapshots of a domain: what was on its disks, and of a running guest its devices, size and memory. Each is
 * whole in itself, as an internal snapshot of a qcow2 image is: any of them may go, the others stay. */
#include "hv/sim/internal.h"

#include <stdlib.h>

static enum sv_err refused(struct sv_error *err, const char *why)
{
    return sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, why);
}

/* Journaled as it is: the head, disks, then the devices in the form of a definition. */
struct record {
    struct sim_key id;
    struct sim_live live;
    char words[SIM_CONTENT_MAX + 1]; /* what the guest's memory held */
    uint8_t memory, disks, reserved[6];
    unsigned char rest[];
};
struct record_disk {
    struct sim_key id;
    char content[SIM_CONTENT_MAX + 1];
};
_Static_assert(sizeof(struct record) + SV_HV_MAX_DISKS * sizeof(struct record_disk) + SIM_DEF_MAX <= SIM_RECORD_MAX,
               "a snapshot is one record");

struct sim_snapshot {
    struct sim_snapshot *next;
    int64_t made; /* [ms UTC] for the clock of a guest that goes back to it; of one that was replayed: then */
    size_t n;
    struct record *r;
};

static const struct record_disk *disks_of(const struct record *r)
{
    return (const struct record_disk *)(const void *)r->rest;
}

static const struct sim_def *devices_of(const struct record *r)
{
    return (const struct sim_def *)(const void *)(disks_of(r) + r->disks);
}

static size_t record_size(const struct record *r)
{
    return sizeof(*r) + r->disks * sizeof(struct record_disk) + sim_def_size(devices_of(r));
}

/* Where it hangs, or the end of the list. */
static struct sim_snapshot **find(struct sim_domain *d, const struct sim_key *id)
{
    struct sim_snapshot **at = &d->snapshots;

    while (*at && !sim_key_eq(&(*at)->r->id, id))
        at = &(*at)->next;
    return at;
}

static void put(struct sim_host *h, struct sim_domain *d, const void *p, size_t n)
{
    struct sim_snapshot *s = sv_alloc(sizeof(*s));

    s->made = sv_now_ms();
    s->n = n;
    s->r = memcpy(sv_alloc(n), p, n);
    *find(d, &s->r->id) = s;
    h->snapshot_count++;
}

static bool take_out(struct sim_snapshot **at)
{
    struct sim_snapshot *s = *at;

    if (!s)
        return false;
    *at = s->next;
    free(s->r);
    free(s);
    return true;
}

void sim_snapshots_forget(struct sim_domain *d)
{
    while (take_out(&d->snapshots))
        ;
}

size_t sim_snapshots_count(const struct sim_domain *d)
{
    size_t n = 0;

    for (const struct sim_snapshot *s = d->snapshots; s; s = s->next)
        n++;
    return n;
}

/* --- the journal --- */

static bool sound(const unsigned char *p, size_t n)
{
    const struct record *r = (const struct record *)(const void *)p;
    const size_t devices = n < sizeof(*r) ? n + 1 : sizeof(*r) + r->disks * sizeof(struct record_disk);

    return n >= devices + sizeof(struct sim_def) && record_size(r) == n;
}

bool sim_snapshot_apply(struct sim_host *h, struct sim_domain *d, unsigned type, const unsigned char *p, size_t n)
{
    struct sim_key id;

    if (type == SIM_REC_SNAPSHOT) {
        SV_AUTOFREE unsigned char *aligned = n ? memcpy(sv_alloc(n), p, n) : NULL;
        if (!aligned || !sound(aligned, n))
            return false;
        memcpy(&id, p, sizeof(id));
        h->snapshot_count -= take_out(find(d, &id));
        put(h, d, p, n);
        return true;
    }
    if (n != sizeof(id))
        return false;
    memcpy(&id, p, sizeof(id));
    h->snapshot_count -= take_out(find(d, &id));
    return true;
}

void sim_snapshots_each(const struct sim_domain *d, struct sim_rewrite *w)
{
    for (const struct sim_snapshot *s = d->snapshots; s; s = s->next)
        sim_journal_put(w, SIM_REC_SNAPSHOT, &d->key, s->r, s->n);
}

/* --- the calls --- */

static enum sv_err create(struct sim_host *h, struct sim_domain *d, const struct sim_key *id, bool *ret_memory,
                          struct sv_error *err)
{
    const struct sim_def *now = sim_plugged(d);
    unsigned char buf[SIM_RECORD_MAX] __attribute__((aligned(8))) = {0};
    struct record *r = (struct record *)(void *)buf;
    struct record_disk *disks = (struct record_disk *)(void *)r->rest;
    const struct sim_snapshot *there = *find(d, id);
    enum sv_err rc = SV_OK;

    if (there) {
        *ret_memory = there->r->memory;
        return SV_OK;
    }
    *r = (struct record){.id = *id, .live = d->live, .disks = now->disks};
    /* QEMU does not load what it saved after a vCPU was plugged in. */
    r->memory = sim_guest_runs(d) && !(d->live.flags & SIM_GROWN);
    SV_COPY(r->words, d->words ? d->words : "");
    for (unsigned i = 0; !rc && i < now->disks; i++) {
        disks[i].id = sim_def_disks(now)[i].id;
        SV_COPY(disks[i].content, sim_volume_content(h, &disks[i].id));
        rc = sim_volume_there(h, &disks[i].id, err);
    }
    memcpy(disks + r->disks, now, sim_def_size(now));
    if (!rc)
        rc = sim_record(h, SIM_REC_SNAPSHOT, &d->key, r, record_size(r), err);
    if (rc)
        return rc;
    put(h, d, r, record_size(r));
    *ret_memory = r->memory;
    return SV_OK;
}

enum sv_err sim_snapshot_create(struct sv_hv_host *hh, const struct sv_id *vm, const struct sv_id *snapshot,
                                bool *ret_memory, const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct sim_key id = {0};
    enum sv_err rc = sim_key_of(snapshot, &id, err);
    struct sim_domain *d = rc ? NULL : sim_enter_vm(h, SIM_CALL_snapshot_create, vm, dl, &rc, err);

    if (!d)
        return rc;
    rc = create(h, d, &id, ret_memory, err);
    sim_leave(h);
    return rc;
}

static bool has_disk(const struct sv_hv_domain *dom, const struct sim_key *id)
{
    const struct sv_id disk = sim_key_id(id);

    for (unsigned i = 0; i < dom->disk_count; i++)
        if (sv_id_eq(&dom->disks[i].id, &disk))
            return true;
    return false;
}

/* Sizes stay: what has grown is larger now than what it held then. */
static enum sv_err write_disks(struct sim_host *h, const struct sv_hv_domain *dom, const struct record *r,
                               struct sv_error *err)
{
    enum sv_err rc = SV_OK;

    for (unsigned i = 0; !rc && i < r->disks; i++)
        if (has_disk(dom, &disks_of(r)[i].id))
            rc = sim_volume_write(h, &disks_of(r)[i].id, disks_of(r)[i].content, err);
    return rc;
}

static enum sv_err wake(struct sim_host *h, struct sim_domain *d, const struct record *r, struct sv_error *err)
{
    struct sim_live next = r->live;

    next.power = SV_HV_RUNNING; /* also when it was paused */
    next.flags = d->live.flags;
    next.boots = d->live.boots;
    next.boots_asked = d->live.boots_asked;
    enum sv_err rc = sim_volumes_there(h, d, err);
    if (!rc)
        rc = sim_guest_become(h, d, &next, err);
    if (!rc)
        rc = sim_plug_like(h, d, devices_of(r), err);
    return rc ? rc : sim_guest_write(h, d, r->words, err);
}

/* Each part is a record of its own: killed in between, the whole is done again. */
static enum sv_err go_back(struct sim_host *h, struct sim_domain *d, const struct sv_hv_domain *dom,
                           const struct sim_key *id, bool memory, struct sv_error *err)
{
    const struct sim_snapshot *s = *find(d, id);
    enum sv_err rc = SV_OK;

    if (!s)
        return refused(err, "there is no such snapshot");
    if (memory && !s->r->memory)
        return refused(err, "the snapshot holds no memory");
    if (d->live.power != SV_HV_OFF)
        rc = sim_guest_off(h, d, SV_HV_OFF, err);
    if (!rc)
        rc = write_disks(h, dom, s->r, err);
    if (!rc)
        rc = sim_domain_define(h, &d->key, dom, err);
    if (!rc && memory)
        rc = wake(h, d, s->r, err);
    if (!rc && memory)
        d->behind = sv_now_ms() - s->made;
    return rc;
}

enum sv_err sim_snapshot_restore(struct sv_hv_host *hh, const struct sv_hv_domain *dom, const struct sv_id *snapshot,
                                 bool memory, const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct sim_key id = {0};
    enum sv_err rc = sim_key_of(snapshot, &id, err);
    struct sim_domain *d = rc ? NULL : sim_enter_vm(h, SIM_CALL_snapshot_restore, &dom->id, dl, &rc, err);

    if (!d)
        return rc;
    rc = go_back(h, d, dom, &id, memory, err);
    sim_leave(h);
    return rc;
}

enum sv_err sim_snapshot_delete(struct sv_hv_host *hh, const struct sv_id *vm, const struct sv_id *snapshot,
                                const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct sim_key id = {0};
    enum sv_err rc = sim_key_of(snapshot, &id, err);
    struct sim_domain *d = rc ? NULL : sim_enter_vm(h, SIM_CALL_snapshot_delete, vm, dl, &rc, err);

    if (!d)
        return rc == SV_E_DOMAIN_MISSING ? SV_OK : rc;
    if (*find(d, &id))
        rc = sim_record(h, SIM_REC_UNSNAPSHOT, &d->key, &id, sizeof(id), err);
    if (!rc)
        h->snapshot_count -= take_out(find(d, &id));
    sim_leave(h);
    return rc;
}
