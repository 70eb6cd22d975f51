/* The host of a job: found, and waited for. */
#include "core/run/run.h"
#include "starvirt/thread.h"

/* Under host_mutex, as the next. */
static struct sv_cloud_host *find(const struct sv_cloud *c, const struct sv_id *id)
{
    for (unsigned i = 0; i < c->host_count; i++)
        if (sv_id_eq(&c->hosts[i]->id, id))
            return c->hosts[i];
    return NULL;
}

static void let_go(struct sv_cloud_host *h)
{
    if (--h->users == 0 && h->gone)
        pthread_cond_broadcast(&h->cloud->host_change);
}

struct sv_cloud_host *sv_host_hold(struct sv_cloud *c, const struct sv_id *id)
{
    pthread_mutex_lock(&c->host_mutex);
    struct sv_cloud_host *h = find(c, id);
    if (h)
        h->users++;
    pthread_mutex_unlock(&c->host_mutex);
    return h;
}

bool sv_host_use(struct sv_cloud_host *h)
{
    pthread_mutex_lock(&h->cloud->host_mutex);
    const bool there = !h->gone;
    h->users += there;
    pthread_mutex_unlock(&h->cloud->host_mutex);
    return there;
}

void sv_host_let_go(struct sv_cloud_host **at)
{
    struct sv_cloud_host *h = *at;

    *at = NULL;
    if (!h)
        return;
    pthread_mutex_lock(&h->cloud->host_mutex);
    let_go(h);
    pthread_mutex_unlock(&h->cloud->host_mutex);
}

void sv_hosts_hold(struct sv_cloud *c, struct sv_hosts_held *ret)
{
    pthread_mutex_lock(&c->host_mutex);
    *ret =
        (struct sv_hosts_held){.v = sv_alloc((c->host_count + 1) * sizeof(struct sv_cloud_host *)), .n = c->host_count};
    for (unsigned i = 0; i < ret->n; i++) {
        ret->v[i] = c->hosts[i];
        ret->v[i]->users++;
    }
    pthread_mutex_unlock(&c->host_mutex);
}

void sv_hosts_let_go(struct sv_hosts_held *held)
{
    if (held->n)
        pthread_mutex_lock(&held->v[0]->cloud->host_mutex);
    for (unsigned i = 0; i < held->n; i++)
        let_go(held->v[i]);
    if (held->n)
        pthread_mutex_unlock(&held->v[0]->cloud->host_mutex);
    free(held->v);
    *held = (struct sv_hosts_held){.n = 0};
}

unsigned sv_hosts_count(struct sv_cloud *c)
{
    pthread_mutex_lock(&c->host_mutex);
    const unsigned n = c->host_count;
    pthread_mutex_unlock(&c->host_mutex);
    return n;
}

struct sv_hv_host *sv_cloud_host_hv(struct sv_cloud *c, const struct sv_id *host)
{
    pthread_mutex_lock(&c->host_mutex);
    const struct sv_cloud_host *h = find(c, host);
    pthread_mutex_unlock(&c->host_mutex);
    return h ? h->hv : NULL;
}

/* [ms] how long a job waits for its host, and how often it looks whether it was cancelled meanwhile */
enum { HOST_WAIT_MS = 60 * 1000, CANCEL_CHECK_MS = 200 };

void sv_hosts_init(struct sv_cloud *c)
{
    pthread_mutex_init(&c->host_mutex, NULL);
    sv_cond_init(&c->host_change);
    pthread_mutex_init(&c->agent_mutex, NULL);
    sv_cond_init(&c->agent_change);
}

void sv_hosts_end(struct sv_cloud *c)
{
    pthread_mutex_destroy(&c->host_mutex);
    pthread_cond_destroy(&c->host_change);
    pthread_mutex_destroy(&c->agent_mutex);
    pthread_cond_destroy(&c->agent_change);
}

void sv_host_changed(struct sv_cloud *c)
{
    pthread_mutex_lock(&c->host_mutex);
    pthread_cond_broadcast(&c->host_change);
    pthread_mutex_unlock(&c->host_mutex);
}

static void wait_change(struct sv_cloud *c, struct sv_hv_host *h, const struct sv_deadline *d)
{
    const int64_t left = sv_deadline_left(d);

    pthread_mutex_lock(&c->host_mutex);
    if (!sv_hv_connected(h))
        sv_cond_wait(&c->host_change, &c->host_mutex, sv_mono_ms() + (left < CANCEL_CHECK_MS ? left : CANCEL_CHECK_MS));
    pthread_mutex_unlock(&c->host_mutex);
}

enum sv_err sv_host_wait(struct sv_cloud *c, struct sv_hv_host *h, const struct sv_deadline *d, struct sv_error *err)
{
    while (!sv_hv_connected(h)) {
        if (sv_deadline_cancelled(d))
            return sv_fail(err, SV_E_JOB_CANCELLED, SV_F_NONE);
        if (sv_deadline_over(d))
            return sv_fail(err, SV_E_HOST_DOWN, SV_F_NONE, sv_hv_host_name(h));
        wait_change(c, h, d);
    }
    return SV_OK;
}

/* Right after a start hosts are still connecting: a resumed job must not fail for that. */
enum sv_err sv_run_host(struct sv_run *r, struct sv_hv_host **ret, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    const struct sv_deadline d = sv_deadline_within(sv_run_deadline(r), HOST_WAIT_MS);
    const struct sv_job *job = sv_run_job(r);
    struct sv_hv_host *h = sv_cloud_host_hv(c, &job->host);
    enum sv_err rc = h ? sv_host_wait(c, h, &d, err) : sv_fail(err, SV_E_HOST_DOWN, SV_F_NONE, job->host.s);

    if (!rc)
        *ret = h;
    return rc;
}
