/* The devices of a running guest. They are those it was defined with until one is plugged or unplugged, or
 * until the definition changes under it; only then is there a record of them, in the form of a definition
 * of which nothing but the devices counts. */
#include "hv/sim/internal.h"

#include <stdlib.h>

const struct sim_def *sim_plugged(const struct sim_domain *d)
{
    return d->plugged ? d->plugged : d->def;
}

static size_t devices_size(const struct sim_def *def)
{
    return def->disks * sizeof(struct sim_def_disk) + def->nics * sizeof(struct sim_def_nic);
}

static bool same_devices(const struct sim_def *a, const struct sim_def *b)
{
    return a->disks == b->disks && a->nics == b->nics && memcmp(a->rest, b->rest, devices_size(a)) == 0;
}

static struct sim_def *devices_only(const struct sim_def_disk *disks, unsigned disk_count,
                                    const struct sim_def_nic *nics, unsigned nic_count)
{
    const size_t disk_bytes = disk_count * sizeof(*disks), nic_bytes = nic_count * sizeof(*nics);
    struct sim_def *def = sv_alloc(sizeof(*def) + disk_bytes + nic_bytes);

    *def = (struct sim_def){.disks = (uint8_t)disk_count, .nics = (uint8_t)nic_count};
    if (disk_bytes)
        memcpy(def->rest, disks, disk_bytes);
    if (nic_bytes)
        memcpy(def->rest + disk_bytes, nics, nic_bytes);
    return def;
}

void sim_plugged_forget(struct sim_domain *d)
{
    free(d->plugged);
    d->plugged = NULL;
}

bool sim_plugged_apply(struct sim_domain *d, const unsigned char *p, size_t n)
{
    struct sim_def head;

    if (n < sizeof(head))
        return false;
    memcpy(&head, p, sizeof(head));
    if (sim_def_size(&head) != n || !sim_guest_runs(d))
        return false;
    sim_plugged_forget(d);
    d->plugged = memcpy(sv_alloc(n), p, n);
    return true;
}

static enum sv_err set(struct sim_host *h, struct sim_domain *d, struct sim_def *plugged, struct sv_error *err)
{
    const enum sv_err rc = sim_record(h, SIM_REC_PLUGGED, &d->key, plugged, sim_def_size(plugged), err);

    if (rc) {
        free(plugged);
        return rc;
    }
    sim_plugged_forget(d);
    d->plugged = plugged;
    return SV_OK;
}

enum sv_err sim_plug(struct sim_host *h, struct sim_domain *d, const struct sim_def_disk *disks, unsigned disk_count,
                     const struct sim_def_nic *nics, unsigned nic_count, struct sv_error *err)
{
    return set(h, d, devices_only(disks, disk_count, nics, nic_count), err);
}

enum sv_err sim_plug_like(struct sim_host *h, struct sim_domain *d, const struct sim_def *devices, struct sv_error *err)
{
    if (same_devices(sim_plugged(d), devices))
        return SV_OK;
    return sim_plug(h, d, sim_def_disks(devices), devices->disks, sim_def_nics(devices), devices->nics, err);
}

enum sv_err sim_plugged_keep(struct sim_host *h, struct sim_domain *d, const struct sim_def *next, struct sv_error *err)
{
    const struct sim_def *now = d->def;

    if (!sim_guest_runs(d) || d->plugged || same_devices(now, next))
        return SV_OK;
    return sim_plug(h, d, sim_def_disks(now), now->disks, sim_def_nics(now), now->nics, err);
}
