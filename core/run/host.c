/* The host of a job: found, and waited for. */
#include "core/run/run.h"
#include "starvirt/thread.h"

struct sv_hv_host *sv_cloud_host_hv(const struct sv_cloud *c, const struct sv_id *host)
{
    for (unsigned i = 0; i < c->host_count; i++) {
        if (sv_id_eq(&c->hosts[i].id, host))
            return c->hosts[i].hv;
    }
    return NULL;
}

void sv_hosts_hold(struct sv_cloud *c, struct sv_hosts_held *ret)
{
    *ret =
        (struct sv_hosts_held){.v = sv_alloc((c->host_count + 1) * sizeof(struct sv_cloud_host *)), .n = c->host_count};
    for (unsigned i = 0; i < ret->n; i++)
        ret->v[i] = &c->hosts[i];
}

void sv_hosts_let_go(struct sv_hosts_held *held)
{
    free(held->v);
    *held = (struct sv_hosts_held){.n = 0};
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
