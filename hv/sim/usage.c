/* What guests use: rates that a test sets, counted by the clock of the machine, so that whoever asks twice finds
 * exactly the rate between. Counters outlive the server as a hypervisor's do, as long as nobody set a rate. */
#include "hv/sim/internal.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* Of each disk and of each NIC, [bytes/s]; the rest in percent. */
struct rates {
    int64_t cpu, memory, disk;
    int64_t read, written, received, sent;
};
struct counts {
    int64_t cpu_ns, read, written, received, sent;
};
struct sim_load {
    struct rates rates;
    struct counts at; /* at since_us */
};

enum { BLOCK = 4096 }; /* [bytes] of a request */

/* As much as an idle guest does. */
static const struct rates idle = {
    .cpu = 5, .memory = 25, .disk = 50, .read = 4096, .written = 8192, .received = 2048, .sent = 1024};

static struct rates rates_of(const struct sim_domain *d)
{
    return d->load ? d->load->rates : idle;
}

/* In whole microseconds of at most a century: no product overflows 128 bits, and the sums fit. */
static int64_t grown(int64_t rate, int64_t us)
{
    return (int64_t)((__int128)rate * us / 1000000);
}

static struct counts count(const struct sim_domain *d, int64_t now_us)
{
    const struct rates r = rates_of(d);
    struct counts c = d->load ? d->load->at : (struct counts){0};
    const int64_t us = now_us - d->since_us;

    if (d->live.power != SV_HV_RUNNING)
        return c;
    c.cpu_ns += grown(r.cpu * 10000000 * d->live.vcpus, us); /* a percent of a second */
    c.read += grown(r.read, us);
    c.written += grown(r.written, us);
    c.received += grown(r.received, us);
    c.sent += grown(r.sent, us);
    return c;
}

void sim_load_forget(struct sim_domain *d)
{
    free(d->load);
    d->load = NULL;
}

void sim_load_begin(struct sim_domain *d)
{
    sim_load_forget(d);
    d->since_us = sv_mono_us();
}

/* What it has used so far no longer follows from a rate. */
void sim_load_turn(struct sim_domain *d)
{
    const int64_t now = sv_mono_us();
    const struct counts c = count(d, now);

    if (!sim_guest_runs(d))
        return;
    if (!d->load) {
        d->load = sv_alloc(sizeof(*d->load));
        d->load->rates = idle;
    }
    d->load->at = c;
    d->since_us = now;
}

static const struct {
    const char *key;
    size_t at;
    int64_t max; /* percent; 0: bytes */
} keys[] = {
    {"cpu", offsetof(struct rates, cpu), 100},     {"mem", offsetof(struct rates, memory), 100},
    {"disk", offsetof(struct rates, disk), 100},   {"read", offsetof(struct rates, read), 0},
    {"write", offsetof(struct rates, written), 0}, {"rx", offsetof(struct rates, received), 0},
    {"tx", offsetof(struct rates, sent), 0},
};

static bool set_rate(struct rates *r, const char *key, const char *value)
{
    int64_t v;

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strcmp(keys[i].key, key) != 0)
            continue;
        if (!sim_parse_size(value, &v) || v < 0 || v > (keys[i].max ? keys[i].max : 1LL << 40))
            return false;
        memcpy((char *)r + keys[i].at, &v, sizeof(v));
        return true;
    }
    return false;
}

enum sv_err sim_load_set(struct sim_domain *d, const char *text, struct sv_error *err)
{
    SV_AUTOFREE char *pairs = sv_strdup(text);
    struct rates r = rates_of(d);
    char *rest = NULL;

    for (char *pair = strtok_r(pairs, ",", &rest); pair; pair = strtok_r(NULL, ",", &rest)) {
        char *value = strchr(pair, '=');
        if (value)
            *value++ = '\0';
        if (!value || !set_rate(&r, pair, value))
            return sv_fail(
                err, SV_E_CONFIG, SV_F_NONE,
                "simulator: load= knows cpu, mem and disk in percent, read, write, rx and tx in bytes a second");
    }
    if (!sim_guest_runs(d))
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, "simulator: load= is for a guest that runs");
    sim_load_turn(d);
    d->load->rates = r;
    return SV_OK;
}

static void fill_devices(const struct sim_domain *d, const struct rates *r, const struct counts *c,
                         struct sv_hv_usage *u)
{
    const struct sim_def *def = sim_plugged(d);
    const struct sim_def_disk *disks = sim_def_disks(def);
    const struct sim_def_nic *nics = sim_def_nics(def);

    u->disk_count = def->disks;
    for (unsigned i = 0; i < u->disk_count; i++) {
        struct sim_def_disk disk;
        memcpy(&disk, &disks[i], sizeof(disk)); /* behind a head of any length */
        u->disks[i] = (struct sv_hv_disk_usage){.read = c->read,
                                                .written = c->written,
                                                .reads = c->read / BLOCK,
                                                .writes = c->written / BLOCK,
                                                .size = disk.size,
                                                .held = (int64_t)((__int128)disk.size * r->disk / 100)};
        SV_COPY(u->disks[i].target, disk.target);
    }
    u->nic_count = def->nics;
    for (unsigned i = 0; i < u->nic_count; i++) {
        struct sim_def_nic nic;
        memcpy(&nic, &nics[i], sizeof(nic));
        u->nics[i] = (struct sv_hv_nic_usage){.received = c->received, .sent = c->sent};
        if (nic.tap[0])
            SV_COPY(u->nics[i].tap, nic.tap);
        else /* nobody named it: as a hypervisor would */
            snprintf(u->nics[i].tap, sizeof(u->nics[i].tap), "vnet%u", i);
    }
}

static void fill(const struct sim_domain *d, int64_t now_us, struct sv_hv_usage *u)
{
    const struct rates r = rates_of(d);
    const struct counts c = count(d, now_us);

    u->vm = sim_key_id(&d->key);
    u->cpu_ns = c.cpu_ns;
    u->vcpus = d->live.vcpus;
    u->memory = d->live.memory;
    u->memory_used = (int64_t)((__int128)d->live.memory * r.memory / 100);
    fill_devices(d, &r, &c, u);
}

/* The host is busy with its guests and with nothing else. */
static void add_to_host(const struct sim_domain *d, const struct sv_hv_usage *u, struct sv_hv_host_usage *host,
                        int64_t *rate)
{
    host->memory_used += u->memory;
    if (d->live.power == SV_HV_RUNNING)
        *rate += rates_of(d).cpu * d->live.vcpus;
}

enum sv_err sim_usage(struct sv_hv_host *hh, struct sv_hv_host_usage *ret,
                      void (*row)(void *arg, const struct sv_hv_usage *u), void *arg, const struct sv_deadline *dl,
                      struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    const enum sv_err rc = sim_enter(h, SIM_CALL_usage, dl, err);
    struct sv_hv_host_usage host = {.memory = sim_conf_memory(&h->sim->conf, h->base.index),
                                    .storage_size = h->sim->conf.storage};
    struct sv_hv_usage u;
    int64_t busy = 0;

    if (rc)
        return rc;
    const int64_t now = sv_mono_us();
    size_t at = 0;
    for (const struct sim_domain *d; (d = sim_table_next(&h->domains, &at)) != NULL;) {
        if (!sim_guest_runs(d))
            continue;
        fill(d, now, &u);
        row(arg, &u);
        add_to_host(d, &u, &host, &busy);
    }
    host.storage_used = h->storage_used;
    /* Grows by what they use now: a sum over guests that come and go would not. */
    h->cpu_busy += grown(busy * 10000, now - h->cpu_asked_us);
    h->cpu_asked_us = now;
    host.cpu_busy = h->cpu_busy;
    host.cpu_all = grown(1000000 * sim_conf_vcpus(&h->sim->conf, h->base.index), now);
    *ret = host;
    sim_leave(h);
    return SV_OK;
}
