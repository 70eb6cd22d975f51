/* Disks and NICs of running guests. Of guests that do not run only the definition counts, which is
 * define()'s: then there is nothing to do here. */
#include "hv/sim/internal.h"

static enum sv_err refused(struct sv_error *err, const char *why)
{
    return sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, why);
}

/* --- attach --- */

static enum sv_err plug_disk(struct sim_host *h, struct sim_domain *d, const struct sim_def_disk *disk,
                             struct sv_error *err)
{
    const struct sim_def *now = sim_plugged(d);
    const struct sim_def_disk *disks = sim_def_disks(now);
    struct sim_def_disk next[SV_HV_MAX_DISKS];

    for (unsigned i = 0; i < now->disks; i++) {
        if (sim_key_eq(&disks[i].id, &disk->id))
            return SV_OK;
        if (memcmp(disks[i].target, disk->target, sizeof(disk->target)) == 0)
            return refused(err, "the target is taken by another disk");
    }
    if (now->disks >= SV_HV_MAX_DISKS)
        return refused(err, "too many disks");
    const enum sv_err rc = sim_volume_there(h, &disk->id, err);
    if (rc)
        return rc;
    memcpy(next, disks, now->disks * sizeof(*disks));
    next[now->disks] = *disk;
    return sim_plug(h, d, next, now->disks + 1U, sim_def_nics(now), now->nics, err);
}

enum sv_err sim_disk_attach(struct sv_hv_host *hh, const struct sv_id *vm, const struct sv_hv_disk *disk,
                            const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    const struct sim_def_disk compact = sim_compact_disk(disk);
    enum sv_err rc;
    struct sim_domain *d = sim_enter_vm(h, SIM_CALL_disk_attach, vm, dl, &rc, err);

    if (!d)
        return rc == SV_E_DOMAIN_MISSING ? SV_OK : rc;
    if (sim_guest_runs(d))
        rc = plug_disk(h, d, &compact, err);
    return sim_answer(h, SIM_CALL_disk_attach, rc, err);
}

static enum sv_err plug_nic(struct sim_host *h, struct sim_domain *d, const struct sim_def_nic *nic,
                            struct sv_error *err)
{
    const struct sim_def *now = sim_plugged(d);
    const struct sim_def_nic *nics = sim_def_nics(now);
    struct sim_def_nic next[SV_HV_MAX_NICS];

    for (unsigned i = 0; i < now->nics; i++) {
        if (sim_key_eq(&nics[i].id, &nic->id))
            return SV_OK;
        if (memcmp(nics[i].mac, nic->mac, sizeof(nic->mac)) == 0)
            return refused(err, "the guest has a NIC of this MAC");
    }
    if (now->nics >= SV_HV_MAX_NICS)
        return refused(err, "too many NICs");
    memcpy(next, nics, now->nics * sizeof(*nics));
    next[now->nics] = *nic;
    return sim_plug(h, d, sim_def_disks(now), now->disks, next, now->nics + 1U, err);
}

enum sv_err sim_nic_attach(struct sv_hv_host *hh, const struct sv_id *vm, const struct sv_hv_nic *nic,
                           const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    const struct sim_def_nic compact = sim_compact_nic(nic);
    enum sv_err rc;
    struct sim_domain *d = sim_enter_vm(h, SIM_CALL_nic_attach, vm, dl, &rc, err);

    if (!d)
        return rc == SV_E_DOMAIN_MISSING ? SV_OK : rc;
    if (sim_guest_runs(d))
        rc = plug_nic(h, d, &compact, err);
    return sim_answer(h, SIM_CALL_nic_attach, rc, err);
}

/* --- detach: the guest has its say --- */

static int find_disk(const struct sim_def *def, const struct sim_key *id)
{
    for (int i = 0; i < def->disks; i++)
        if (sim_key_eq(&sim_def_disks(def)[i].id, id))
            return i;
    return -1;
}

static int find_nic(const struct sim_def *def, const struct sim_key *id)
{
    for (int i = 0; i < def->nics; i++)
        if (sim_key_eq(&sim_def_nics(def)[i].id, id))
            return i;
    return -1;
}

static enum sv_err unplug_disk(struct sim_host *h, struct sim_domain *d, unsigned at, struct sv_error *err)
{
    const struct sim_def *now = sim_plugged(d);
    struct sim_def_disk next[SV_HV_MAX_DISKS];

    memcpy(next, sim_def_disks(now), now->disks * sizeof(*next));
    memmove(&next[at], &next[at + 1], (now->disks - at - 1U) * sizeof(*next));
    return sim_plug(h, d, next, now->disks - 1U, sim_def_nics(now), now->nics, err);
}

static enum sv_err unplug_nic(struct sim_host *h, struct sim_domain *d, unsigned at, struct sv_error *err)
{
    const struct sim_def *now = sim_plugged(d);
    struct sim_def_nic next[SV_HV_MAX_NICS];

    memcpy(next, sim_def_nics(now), now->nics * sizeof(*next));
    memmove(&next[at], &next[at + 1], (now->nics - at - 1U) * sizeof(*next));
    return sim_plug(h, d, sim_def_disks(now), now->disks, next, now->nics - 1U, err);
}

struct device {
    enum sim_call call;
    int (*find)(const struct sim_def *def, const struct sim_key *id);
    enum sv_err (*unplug)(struct sim_host *h, struct sim_domain *d, unsigned at, struct sv_error *err);
};

/* A guest lets go when it hears of it: never when it is deaf (acpi=ignore), and while it is paused there is nothing to
 * wait for. */
static enum sv_err let_go(struct sim_host *h, const struct sim_key *vm, const struct sim_key *id,
                          const struct device *kind, const struct sv_deadline *dl, struct sv_error *err)
{
    for (;;) {
        struct sim_domain *d = sim_table_get(&h->domains, vm);
        if (sim_answers(h)) {
            const int at = d && sim_guest_runs(d) ? kind->find(sim_plugged(d), id) : -1;
            if (at < 0)
                return SV_OK;
            if (d->live.power == SV_HV_PAUSED)
                return sv_fail(err, SV_E_VM_STATE, SV_F_NONE, "paused");
            if (h->sim->conf.acpi && d->live.power == SV_HV_RUNNING)
                return kind->unplug(h, d, (unsigned)at, err);
        }
        const enum sv_err rc = sim_wait(h, dl, "the guest did not let go of the device", err);
        if (rc)
            return rc;
    }
}

static enum sv_err detach(struct sv_hv_host *hh, const struct sv_id *vm, const struct sv_id *id,
                          const struct device *kind, const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct sim_key vm_key = {0}, key = {0};
    enum sv_err rc = sim_key_of(vm, &vm_key, err);

    if (!rc)
        rc = sim_key_of(id, &key, err);
    if (!rc)
        rc = sim_enter(h, kind->call, dl, err);
    if (rc)
        return rc;
    sim_leave_slot(h);
    rc = let_go(h, &vm_key, &key, kind, dl, err);
    pthread_mutex_unlock(&h->lock);
    return rc;
}

enum sv_err sim_disk_detach(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_id *disk,
                            const struct sv_deadline *d, struct sv_error *err)
{
    static const struct device kind = {.call = SIM_CALL_disk_detach, .find = find_disk, .unplug = unplug_disk};

    return detach(h, vm, disk, &kind, d, err);
}

enum sv_err sim_nic_detach(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_hv_nic *nic,
                           const struct sv_deadline *d, struct sv_error *err)
{
    static const struct device kind = {.call = SIM_CALL_nic_detach, .find = find_nic, .unplug = unplug_nic};

    return detach(h, vm, &nic->id, &kind, d, err);
}
