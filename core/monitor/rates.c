/* What counters say. A counter that went back was begun anew: nothing is known of that interval. */
#include "core/monitor/internal.h"

int64_t sv_gap_us(int64_t interval_ms)
{
    return interval_ms * 1000 * 5;
}

/* `us` since the sample before; 0 = nothing is known of what was between. */
static void next(struct sv_gauge *g, int64_t count, int64_t us)
{
    g->rate =
        g->count >= 0 && count >= g->count && us > 0 ? (float)((double)(count - g->count) * 1e6 / (double)us) : -1;
    g->count = count;
}

static int64_t since_last(const struct sv_object_seen *o, int64_t now_us, int64_t gap_us)
{
    const int64_t us = now_us - o->asked_us;

    return o->asked_us && us > 0 && us <= gap_us ? us : 0;
}

static void sum_rate(float *sum, const struct sv_gauge *g)
{
    if (g->rate >= 0)
        *sum = *sum < 0 ? g->rate : *sum + g->rate;
}

/* --- a minute's sums --- */

static void sum_add(struct sv_sum *s, double v)
{
    if (v < 0)
        return;
    s->sum += (float)v;
    s->n++;
}

static double sum_mean(const struct sv_sum *s)
{
    return s->n ? (double)s->sum / s->n : -1;
}

static double memory_percent(const struct sv_object_seen *o)
{
    if (o->memory <= 0 || o->memory_used < 0)
        return -1;
    return o->memory_used >= o->memory ? 100 : (double)o->memory_used * 100 / (double)o->memory;
}

static void remember(struct sv_object_seen *o, int64_t now_us)
{
    o->asked_us = now_us;
    o->time = sv_now_ms();
    sum_add(&o->sums[SV_SUM_CPU], o->cpu_percent);
    sum_add(&o->sums[SV_SUM_MEMORY], memory_percent(o));
    for (unsigned i = 0; i < 4; i++)
        sum_add(&o->sums[SV_SUM_READ + i], o->rate[i]);
}

static int rounded(double v)
{
    return v < 0 ? -1 : v >= 100 ? 100 : (int)(v + 0.5);
}

bool sv_minute_so_far(const struct sv_object_seen *o, int64_t begin_ms, struct sv_monitor_point *ret)
{
    bool any = false;

    for (unsigned i = 0; i < SV_SUMS; i++)
        any = any || o->sums[i].n > 0;
    *ret = (struct sv_monitor_point){.time = begin_ms,
                                     .cpu = rounded(sum_mean(&o->sums[SV_SUM_CPU])),
                                     .memory = rounded(sum_mean(&o->sums[SV_SUM_MEMORY])),
                                     .rates = {.read = sum_mean(&o->sums[SV_SUM_READ]),
                                               .written = sum_mean(&o->sums[SV_SUM_WRITTEN]),
                                               .received = sum_mean(&o->sums[SV_SUM_RECEIVED]),
                                               .sent = sum_mean(&o->sums[SV_SUM_SENT])}};
    return any;
}

bool sv_minute_of(struct sv_object_seen *o, int64_t begin_ms, struct sv_monitor_point *ret)
{
    const bool any = sv_minute_so_far(o, begin_ms, ret);

    memset(o->sums, 0, sizeof(o->sums));
    return any;
}

/* --- a guest --- */

/* What was not there last time begins here. */
static struct sv_disk_seen *disk_of(struct sv_disk_seen *old, unsigned n, const struct sv_hv_disk_usage *u)
{
    for (unsigned i = 0; i < n; i++)
        if (strcmp(old[i].target, u->target) == 0)
            return &old[i];
    return NULL;
}

static struct sv_nic_seen *nic_of(struct sv_nic_seen *old, unsigned n, const struct sv_hv_nic_usage *u)
{
    for (unsigned i = 0; i < n; i++)
        if (strcmp(old[i].tap, u->tap) == 0)
            return &old[i];
    return NULL;
}

/* Devices come and go seldom: their places are made anew only then. */
static void match_disks(struct sv_object_seen *o, const struct sv_hv_usage *u)
{
    bool same = o->disk_count == u->disk_count;

    for (unsigned i = 0; same && i < u->disk_count; i++)
        same = strcmp(o->disks[i].target, u->disks[i].target) == 0;
    if (same)
        return;
    struct sv_disk_seen *v = sv_alloc((u->disk_count + 1) * sizeof(*v));
    for (unsigned i = 0; i < u->disk_count; i++) {
        const struct sv_disk_seen *was = disk_of(o->disks, o->disk_count, &u->disks[i]);

        v[i] =
            was ? *was
                : (struct sv_disk_seen){.read = {-1, -1}, .written = {-1, -1}, .reads = {-1, -1}, .writes = {-1, -1}};
        SV_COPY(v[i].target, u->disks[i].target);
    }
    free(o->disks);
    o->disks = v;
    o->disk_count = (uint8_t)u->disk_count;
}

static void match_nics(struct sv_object_seen *o, const struct sv_hv_usage *u)
{
    bool same = o->nic_count == u->nic_count;

    for (unsigned i = 0; same && i < u->nic_count; i++)
        same = strcmp(o->nics[i].tap, u->nics[i].tap) == 0;
    if (same)
        return;
    struct sv_nic_seen *v = sv_alloc((u->nic_count + 1) * sizeof(*v));
    for (unsigned i = 0; i < u->nic_count; i++) {
        const struct sv_nic_seen *was = nic_of(o->nics, o->nic_count, &u->nics[i]);

        v[i] = was ? *was : (struct sv_nic_seen){.received = {-1, -1}, .sent = {-1, -1}};
        SV_COPY(v[i].tap, u->nics[i].tap);
    }
    free(o->nics);
    o->nics = v;
    o->nic_count = (uint8_t)u->nic_count;
}

static void next_disks(struct sv_object_seen *o, const struct sv_hv_usage *u, int64_t us)
{
    match_disks(o, u);
    o->disk_used = u->disk_count ? 0 : -1;
    for (unsigned i = 0; i < u->disk_count; i++) {
        struct sv_disk_seen *d = &o->disks[i];

        next(&d->read, u->disks[i].read, us);
        next(&d->written, u->disks[i].written, us);
        next(&d->reads, u->disks[i].reads, us);
        next(&d->writes, u->disks[i].writes, us);
        d->size = u->disks[i].size;
        d->held = u->disks[i].held;
        o->disk_used = o->disk_used < 0 || d->held < 0 ? -1 : o->disk_used + d->held;
        sum_rate(&o->rate[0], &d->read);
        sum_rate(&o->rate[1], &d->written);
    }
}

static void next_nics(struct sv_object_seen *o, const struct sv_hv_usage *u, int64_t us)
{
    match_nics(o, u);
    for (unsigned i = 0; i < u->nic_count; i++) {
        next(&o->nics[i].received, u->nics[i].received, us);
        next(&o->nics[i].sent, u->nics[i].sent, us);
        sum_rate(&o->rate[2], &o->nics[i].received);
        sum_rate(&o->rate[3], &o->nics[i].sent);
    }
}

void sv_seen_vm(struct sv_object_seen *o, const struct sv_hv_usage *u, int64_t now_us, int64_t gap_us)
{
    const int64_t us = since_last(o, now_us, gap_us);

    for (unsigned i = 0; i < 4; i++)
        o->rate[i] = -1;
    next(&o->cpu, u->cpu_ns, us);
    o->vcpus = u->vcpus;
    o->cpu_percent = o->cpu.rate >= 0 && u->vcpus > 0 ? o->cpu.rate / 1e7F / (float)u->vcpus : -1;
    if (o->cpu_percent > 100)
        o->cpu_percent = 100;
    o->memory = u->memory;
    o->memory_used = u->memory_used;
    next_disks(o, u, us);
    next_nics(o, u, us);
    remember(o, now_us);
}

/* --- a host --- */

void sv_seen_host(struct sv_object_seen *o, const struct sv_hv_host_usage *u, int64_t cpus, const double rates[4],
                  int64_t now_us, int64_t gap_us)
{
    const int64_t us = since_last(o, now_us, gap_us);

    next(&o->cpu, u->cpu_busy, us);
    next(&o->cpu_all, u->cpu_all, us);
    o->cpu_percent = o->cpu.rate >= 0 && o->cpu_all.rate > 0 ? o->cpu.rate / o->cpu_all.rate * 100 : -1;
    if (o->cpu_percent > 100)
        o->cpu_percent = 100;
    o->vcpus = cpus;
    o->memory = u->memory;
    o->memory_used = u->memory_used;
    o->disk_used = u->storage_used;
    for (unsigned i = 0; i < 4; i++)
        o->rate[i] = us ? (float)rates[i] : -1;
    remember(o, now_us);
}

/* --- what is told of them --- */

struct sv_monitor_figures sv_figures_of(const struct sv_object_seen *o, int64_t now_us, int64_t stale_us)
{
    const bool fresh = o->asked_us && now_us - o->asked_us <= stale_us;
    struct sv_monitor_figures f = {.object = o->id.s,
                                   .time = o->time,
                                   .cpu = -1,
                                   .memory = -1,
                                   .vcpus = -1,
                                   .memory_size = -1,
                                   .memory_used = -1,
                                   .disk_used = -1,
                                   .rates = {-1, -1, -1, -1}};

    if (!fresh)
        return f;
    f.cpu = rounded(o->cpu_percent);
    f.memory = rounded(memory_percent(o));
    f.vcpus = o->vcpus;
    f.memory_size = o->memory;
    f.memory_used = o->memory_used;
    f.disk_used = o->disk_used;
    f.rates = (struct sv_monitor_rates){o->rate[0], o->rate[1], o->rate[2], o->rate[3]};
    return f;
}
