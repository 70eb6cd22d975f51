/* Asking hosts: a few threads for all of them, each host once an interval and by one thread at a time. Hosts that did
 * not answer are asked more and more seldom, and never by more than half of the threads: one that hangs costs itself.
 */
#include "core/monitor/internal.h"
#include "starvirt/log.h"
#include "starvirt/thread.h"

enum {
    CALL_LIMIT_MS = 10 * 1000,
    SELDOM_MS = 5 * 60 * 1000, /* at least so often */
    LATE_INTERVALS = 3,
    LOOK_MS = 1000, /* hosts come and go: how soon that is seen */
};

/* --- turns; all under the mutex --- */

/* All at once at a start would be all at once for ever. */
static void first_turn(const struct sv_monitor *m, struct sv_cloud_host *h, unsigned n, int64_t now)
{
    h->turn.due_ms = now + (int64_t)(n * 37 % 100) * m->interval_ms / 100;
    h->turn.answered_ms = now;
}

static bool may_ask(const struct sv_monitor *m, const struct sv_cloud_host *h)
{
    return !h->turn.asking && (h->turn.failures == 0 || m->failing < SV_SAMPLERS / 2);
}

/* NULL: nobody can be asked; *ret_due is when that may be another. */
static struct sv_cloud_host *next_turn(const struct sv_monitor *m, const struct sv_hosts_held *hosts, int64_t now,
                                       int64_t *ret_due)
{
    struct sv_cloud_host *first = NULL;

    *ret_due = now + LOOK_MS;
    for (unsigned i = 0; i < hosts->n; i++) {
        struct sv_cloud_host *h = hosts->v[i];

        if (!h->turn.answered_ms)
            first_turn(m, h, i, now);
        if (may_ask(m, h) && (!first || h->turn.due_ms < first->turn.due_ms))
            first = h;
    }
    if (!first || first->turn.due_ms <= now)
        return first;
    if (first->turn.due_ms < *ret_due)
        *ret_due = first->turn.due_ms;
    return NULL;
}

static void answered(struct sv_monitor *m, struct sv_cloud_host *h, bool well, int64_t began_ms)
{
    struct sv_host_turn *t = &h->turn;
    const int64_t now = sv_mono_ms();
    int64_t wait = m->interval_ms;

    t->asking = false;
    t->failures = well ? 0 : t->failures + 1;
    for (unsigned i = 1; i < t->failures && wait < SELDOM_MS; i++)
        wait *= 2;
    if (well) {
        t->answered_ms = now;
        m->totals.samples++;
        t->due_ms += m->interval_ms; /* not from now: it would drift */
        if (t->due_ms < now)
            t->due_ms = now + m->interval_ms - (now - began_ms) % m->interval_ms;
    } else {
        m->totals.failures++;
        t->due_ms = now + (wait < SELDOM_MS ? wait : wait > m->interval_ms ? SELDOM_MS : m->interval_ms);
    }
}

/* --- asking --- */

struct answer {
    struct sv_monitor *m;
    double rates[4];
};

/* Under the driver's lock, maybe. */
static void take_vm(void *arg, const struct sv_hv_usage *u)
{
    struct answer *a = arg;
    struct sv_monitor *m = a->m;

    pthread_mutex_lock(&m->mutex);
    struct sv_object_seen *o = sv_objects_get(&m->objects, &u->vm, false);
    sv_seen_vm(o, u, sv_mono_us(), sv_gap_us(m->interval_ms));
    for (unsigned i = 0; i < 4; i++)
        a->rates[i] += o->rate[i] > 0 ? (double)o->rate[i] : 0;
    sv_monitor_tell_alarms(m, o);
    pthread_mutex_unlock(&m->mutex);
}

static bool ask(struct sv_monitor *m, struct sv_cloud_host *h)
{
    const struct sv_deadline d = sv_deadline_within(NULL, CALL_LIMIT_MS);
    struct answer a = {.m = m};
    struct sv_hv_host_usage usage;
    struct sv_error e, *const err = &e;

    if (SV_HV_CALL(h->hv, usage, &usage, take_vm, &a, &d) != SV_OK)
        return false;
    pthread_mutex_lock(&m->cloud->host_mutex);
    const int64_t cpus = h->told ? h->info.vcpus : -1;
    pthread_mutex_unlock(&m->cloud->host_mutex);
    pthread_mutex_lock(&m->mutex);
    struct sv_object_seen *o = sv_objects_get(&m->objects, &h->id, true);
    sv_seen_host(o, &usage, cpus, a.rates, sv_mono_us(), sv_gap_us(m->interval_ms));
    sv_monitor_tell_alarms(m, o);
    pthread_mutex_unlock(&m->mutex);
    return true;
}

/* Under the mutex, which is left while the host is asked. */
static void ask_turn(struct sv_monitor *m, struct sv_cloud_host *h)
{
    const bool failing = h->turn.failures > 0;
    const int64_t began = sv_mono_us();

    h->turn.asking = true;
    m->failing += failing;
    pthread_mutex_unlock(&m->mutex);
    const bool well = ask(m, h);
    pthread_mutex_lock(&m->mutex);
    m->failing -= failing;
    m->totals.took_us += well ? sv_mono_us() - began : 0;
    answered(m, h, well, began / 1000);
    pthread_cond_broadcast(&m->change);
}

void *sv_monitor_sample(void *arg)
{
    struct sv_monitor *m = arg;

    pthread_setname_np(pthread_self(), "monitor");
    while (!m->stop) {
        struct sv_hosts_held hosts;
        struct sv_cloud_host *h;
        int64_t due;

        sv_hosts_hold(m->cloud, &hosts);
        pthread_mutex_lock(&m->mutex);
        h = next_turn(m, &hosts, sv_mono_ms(), &due);
        if (h)
            ask_turn(m, h);
        pthread_mutex_unlock(&m->mutex);
        sv_hosts_let_go(&hosts);
        pthread_mutex_lock(&m->mutex);
        if (!h && !m->stop)
            sv_cond_wait(&m->change, &m->mutex, due);
        pthread_mutex_unlock(&m->mutex);
    }
    return NULL;
}

/* --- life --- */

enum sv_err sv_monitor_start(struct sv_cloud *c, int64_t interval_ms, struct sv_error *err)
{
    struct sv_monitor *m = sv_alloc(sizeof(*m));
    enum sv_err rc;

    *m = (struct sv_monitor){.cloud = c, .interval_ms = interval_ms};
    pthread_mutex_init(&m->mutex, NULL);
    sv_cond_init(&m->change);
    sv_objects_init(&m->objects);
    c->monitor = m;
    rc = sv_monitor_open_rings(m, err);
    if (rc || interval_ms <= 0)
        return rc;
    while (m->sampler_count < SV_SAMPLERS &&
           pthread_create(&m->samplers[m->sampler_count], NULL, sv_monitor_sample, m) == 0)
        m->sampler_count++;
    m->writer_started = pthread_create(&m->writer, NULL, sv_monitor_write, m) == 0;
    return m->sampler_count && m->writer_started ? SV_OK : sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "no more threads");
}

void sv_monitor_stop(struct sv_cloud *c)
{
    struct sv_monitor *m = c->monitor;

    if (!m)
        return;
    pthread_mutex_lock(&m->mutex);
    m->stop = true;
    pthread_cond_broadcast(&m->change);
    pthread_mutex_unlock(&m->mutex);
    while (m->sampler_count)
        pthread_join(m->samplers[--m->sampler_count], NULL);
    if (m->writer_started)
        pthread_join(m->writer, NULL);
    m->writer_started = false;
}

void sv_monitor_free(struct sv_cloud *c)
{
    struct sv_monitor *m = c->monitor;

    if (!m)
        return;
    sv_monitor_stop(c);
    sv_rings_close(m->rings);
    sv_objects_free(&m->objects);
    pthread_cond_destroy(&m->change);
    pthread_mutex_destroy(&m->mutex);
    free(m);
    c->monitor = NULL;
}

/* Under the mutex. */
static void add_host(const struct sv_monitor *m, const struct sv_cloud_host *h, struct sv_monitor_totals *t)
{
    const struct sv_object_seen *o = sv_objects_find(&m->objects, &h->id);

    t->hosts++;
    t->late += h->turn.answered_ms && sv_mono_ms() - h->turn.answered_ms > LATE_INTERVALS * m->interval_ms;
    if (!o)
        return;
    t->busy_cpus += o->cpu_percent > 0 && o->vcpus > 0 ? (double)o->cpu_percent / 100 * (double)o->vcpus : 0;
    t->memory_used += o->memory_used > 0 ? o->memory_used : 0;
}

struct sv_monitor_totals sv_monitor_totals(struct sv_cloud *c)
{
    struct sv_monitor *m = c->monitor;
    struct sv_monitor_totals t = {.hosts = 0};
    struct sv_hosts_held hosts;

    if (!m || m->interval_ms <= 0)
        return t;
    sv_hosts_hold(c, &hosts);
    pthread_mutex_lock(&m->mutex);
    t = m->totals;
    t.objects = m->objects.n;
    for (unsigned i = 0; i < hosts.n; i++)
        add_host(m, hosts.v[i], &t);
    pthread_mutex_unlock(&m->mutex);
    sv_hosts_let_go(&hosts);
    return t;
}
