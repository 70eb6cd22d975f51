/* Definitions: kept in the compact form in which they are journaled. */
#include "hv/sim/internal.h"
#include "starvirt/text.h"

#include <stddef.h>
#include <stdlib.h>

/* An empty id is an all-zero key. */
static struct sim_key optional_key(const struct sv_id *id)
{
    struct sim_key k = {0};

    if (!sv_id_empty(id))
        (void)sim_key_of(id, &k, NULL);
    return k;
}

const struct sim_def_disk *sim_def_disks(const struct sim_def *def)
{
    return (const struct sim_def_disk *)(const void *)def->rest;
}

const struct sim_def_nic *sim_def_nics(const struct sim_def *def)
{
    return (const struct sim_def_nic *)(const void *)(sim_def_disks(def) + def->disks);
}

size_t sim_def_size(const struct sim_def *def)
{
    return sizeof(*def) + def->disks * sizeof(struct sim_def_disk) + def->nics * sizeof(struct sim_def_nic) +
           def->name_len;
}

static enum sv_err check(const struct sv_hv_domain *dom, struct sv_error *err)
{
    if (dom->vcpus < 1 || dom->vcpus > UINT16_MAX || dom->vcpus_max > UINT16_MAX)
        return sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, "invalid number of vCPUs");
    if (dom->memory < 1)
        return sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, "invalid memory size");
    if (dom->disk_count > SV_HV_MAX_DISKS || dom->nic_count > SV_HV_MAX_NICS)
        return sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, "too many devices");
    return SV_OK;
}

struct sim_def_disk sim_compact_disk(const struct sv_hv_disk *from)
{
    struct sim_def_disk to = {
        .id = optional_key(&from->id), .template_id = optional_key(&from->template_id), .size = from->size};

    SV_COPY(to.target, from->target);
    return to;
}

struct sim_def_nic sim_compact_nic(const struct sv_hv_nic *from)
{
    struct sim_def_nic to = {.id = optional_key(&from->id), .kind = (uint8_t)from->kind};

    memcpy(to.mac, from->mac, sizeof(to.mac));
    SV_COPY(to.bridge, from->bridge);
    SV_COPY(to.tap, from->tap);
    return to;
}

/* Of no password: zeroes. */
static void mark_password(const struct sim_key *k, const char *password, unsigned char mark[8])
{
    const size_t n = strnlen(password, SV_MAX_VNC_PASSWORD);
    unsigned char both[sizeof(*k) + SV_MAX_VNC_PASSWORD] = {0}, hash[SV_SHA256_LEN];

    if (n == 0)
        return;
    memcpy(both, k, sizeof(*k));
    memcpy(both + sizeof(*k), password, n);
    sv_sha256(both, sizeof(both), hash);
    memcpy(mark, hash, sizeof(((struct sim_def *)0)->vnc_mark));
    explicit_bzero(both, sizeof(both));
}

/* `old` may be NULL; an empty password keeps the old one's. */
static struct sim_def *compact(const struct sim_key *k, const struct sv_hv_domain *dom, const struct sim_def *old)
{
    const size_t name_len = strnlen(dom->name, SV_MAX_NAME);
    const struct sim_def head = {
        .memory = dom->memory,
        .memory_max = dom->memory_max > dom->memory ? dom->memory_max : dom->memory,
        .vcpus = (uint16_t)dom->vcpus,
        .vcpus_max = (uint16_t)(dom->vcpus_max > dom->vcpus ? dom->vcpus_max : dom->vcpus),
        .nested = dom->nested,
        .disks = (uint8_t)dom->disk_count,
        .nics = (uint8_t)dom->nic_count,
        .name_len = (uint8_t)name_len,
    };
    struct sim_def *def = sv_alloc(sim_def_size(&head));
    unsigned char *out = def->rest;

    memcpy(def, &head, sizeof(head));
    if (dom->vnc_password[0] || !old)
        mark_password(k, dom->vnc_password, def->vnc_mark);
    else
        memcpy(def->vnc_mark, old->vnc_mark, sizeof(def->vnc_mark));
    for (unsigned i = 0; i < dom->disk_count; i++, out += sizeof(struct sim_def_disk)) {
        const struct sim_def_disk disk = sim_compact_disk(&dom->disks[i]);
        memcpy(out, &disk, sizeof(disk));
    }
    for (unsigned i = 0; i < dom->nic_count; i++, out += sizeof(struct sim_def_nic)) {
        const struct sim_def_nic nic = sim_compact_nic(&dom->nics[i]);
        memcpy(out, &nic, sizeof(nic));
    }
    memcpy(out, dom->name, name_len);
    return def;
}

static void put_def(struct sim_host *h, const struct sim_key *k, struct sim_def *def)
{
    struct sim_domain *d = sim_table_get(&h->domains, k);

    if (!d) {
        d = sv_alloc(sizeof(*d));
        d->key = *k;
        d->live.power = SV_HV_OFF;
        sim_table_put(&h->domains, &d->key);
    }
    free(d->def);
    d->def = def;
}

void sim_domain_free(void *p)
{
    struct sim_domain *d = p;

    free(d->def);
    free(d->plugged);
    free(d->password);
    free(d->address);
    free(d->words);
    sim_load_forget(d);
    sim_snapshots_forget(d);
    free(d);
}

static void drop(struct sim_host *h, const struct sim_key *k)
{
    struct sim_domain *d = sim_table_take(&h->domains, k);

    if (!d)
        return;
    h->snapshot_count -= sim_snapshots_count(d);
    sim_domain_free(d);
}

/* --- the journal --- */

bool sim_domain_apply(struct sim_host *h, unsigned type, const struct sim_key *k, const unsigned char *p, size_t n)
{
    struct sim_domain *d;
    struct sim_def head;

    switch (type) {
    case SIM_REC_DEFINE:
        if (n < sizeof(head))
            return false;
        memcpy(&head, p, sizeof(head));
        if (sim_def_size(&head) != n)
            return false;
        put_def(h, k, memcpy(sv_alloc(n), p, n));
        return true;
    case SIM_REC_LIVE:
        d = sim_table_get(&h->domains, k);
        return d && sim_guest_live_apply(d, p, n);
    case SIM_REC_UNDEFINE:
        drop(h, k);
        return true;
    case SIM_REC_PLUGGED:
        d = sim_table_get(&h->domains, k);
        return d && sim_plugged_apply(d, p, n);
    case SIM_REC_PASSWORD:
        d = sim_table_get(&h->domains, k);
        return d && sim_password_apply(d, p, n);
    case SIM_REC_WORDS:
        d = sim_table_get(&h->domains, k);
        return d && sim_guest_words_apply(d, p, n);
    case SIM_REC_SNAPSHOT:
    case SIM_REC_UNSNAPSHOT:
        d = sim_table_get(&h->domains, k);
        return d && sim_snapshot_apply(h, d, type, p, n);
    }
    return false;
}

void sim_domain_each(struct sim_host *h, struct sim_rewrite *w)
{
    const struct sim_domain *d;

    for (size_t pos = 0; (d = sim_table_next(&h->domains, &pos));) {
        sim_journal_put(w, SIM_REC_DEFINE, &d->key, d->def, sim_def_size(d->def));
        sim_journal_put(w, SIM_REC_LIVE, &d->key, &d->live, sizeof(d->live));
        if (d->plugged)
            sim_journal_put(w, SIM_REC_PLUGGED, &d->key, d->plugged, sim_def_size(d->plugged));
        if (d->password)
            sim_journal_put(w, SIM_REC_PASSWORD, &d->key, d->password, sizeof(*d->password));
        if (d->words)
            sim_journal_put(w, SIM_REC_WORDS, &d->key, d->words, strlen(d->words));
        sim_snapshots_each(d, w);
    }
}

/* --- the calls --- */

enum sv_err sim_domain_define(struct sim_host *h, const struct sim_key *k, const struct sv_hv_domain *dom,
                              struct sv_error *err)
{
    struct sim_domain *d = sim_table_get(&h->domains, k);
    struct sim_def *def = compact(k, dom, d ? d->def : NULL);
    const size_t n = sim_def_size(def);
    enum sv_err rc = SV_OK;

    if (d && sim_def_size(d->def) == n && memcmp(d->def, def, n) == 0) {
        free(def);
        return SV_OK;
    }
    if (d)
        rc = sim_plugged_keep(h, d, def, err);
    if (!rc)
        rc = sim_record(h, SIM_REC_DEFINE, k, def, n, err);
    if (rc)
        free(def);
    else
        put_def(h, k, def);
    return rc;
}

enum sv_err sim_define(struct sv_hv_host *hh, const struct sv_hv_domain *dom, const struct sv_deadline *dl,
                       struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct sim_key k = {0};
    enum sv_err rc = sim_key_of(&dom->id, &k, err);

    if (!rc)
        rc = check(dom, err);
    if (!rc)
        rc = sim_enter(h, SIM_CALL_define, dl, err);
    if (rc)
        return rc;
    rc = sim_domain_define(h, &k, dom, err);
    sim_leave(h);
    return rc;
}

enum sv_err sim_undefine(struct sv_hv_host *hh, const struct sv_id *vm, const struct sv_deadline *dl,
                         struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct sim_key k = {0};
    enum sv_err rc = sim_key_of(vm, &k, err);

    if (!rc)
        rc = sim_enter(h, SIM_CALL_undefine, dl, err);
    if (rc)
        return rc;
    const struct sim_domain *d = sim_table_get(&h->domains, &k);
    if (d && sim_guest_runs(d))
        rc = sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, "the domain is running");
    else if (d)
        rc = sim_record(h, SIM_REC_UNDEFINE, &k, NULL, 0, err);
    if (!rc) {
        drop(h, &k);
        pthread_cond_broadcast(&h->change);
    }
    sim_leave(h);
    return rc;
}

enum sv_err sim_domain_set_vnc(struct sim_host *h, struct sim_domain *d, const char *password, struct sv_error *err)
{
    const size_t n = sim_def_size(d->def);
    struct sim_def *def = memcpy(sv_alloc(n), d->def, n);

    mark_password(&d->key, password, def->vnc_mark);
    const enum sv_err rc = sim_record(h, SIM_REC_DEFINE, &d->key, def, n, err);
    if (rc)
        free(def);
    else
        put_def(h, &d->key, def);
    return rc;
}

static struct sv_hv_state state_of(const struct sim_domain *d)
{
    return (struct sv_hv_state){
        .power = (enum sv_hv_power)d->live.power, .vcpus = d->live.vcpus, .memory = d->live.memory, .agent = d->agent};
}

enum sv_err sim_state(struct sv_hv_host *hh, const struct sv_id *vm, struct sv_hv_state *ret,
                      const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct sim_key k = {0};
    enum sv_err rc = sim_key_of(vm, &k, err);

    if (!rc)
        rc = sim_enter(h, SIM_CALL_state, dl, err);
    if (rc)
        return rc;
    const struct sim_domain *d = sim_table_get(&h->domains, &k);
    *ret = d ? state_of(d) : (struct sv_hv_state){.power = SV_HV_ABSENT};
    sim_leave(h);
    return SV_OK;
}

/* Rows are copied first: the callback must not run under the lock. */
enum sv_err sim_list(struct sv_hv_host *hh,
                     void (*row)(void *arg, const struct sv_id *vm, const char *name, const struct sv_hv_state *s),
                     void *arg, const struct sv_deadline *dl, struct sv_error *err)
{
    struct listed {
        struct sim_key key;
        struct sv_hv_state state;
    };
    struct sim_host *h = sim_host_of(hh);
    const enum sv_err rc = sim_enter(h, SIM_CALL_list, dl, err);
    size_t n = 0;

    if (rc)
        return rc;
    SV_AUTOFREE struct listed *all = sv_alloc((h->domains.n + 1) * sizeof(*all));
    const struct sim_domain *d;
    for (size_t pos = 0; (d = sim_table_next(&h->domains, &pos)); n++)
        all[n] = (struct listed){.key = d->key, .state = state_of(d)};
    sim_leave(h);
    for (size_t i = 0; i < n; i++) {
        const struct sv_id id = sim_key_id(&all[i].key);
        row(arg, &id, id.s, &all[i].state);
    }
    return SV_OK;
}
