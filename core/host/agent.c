/* Waiting for the agent of a guest. */
#include "core/host/host.h"
#include "starvirt/thread.h"

/* [ms] how often a waiter looks whether its job was cancelled or the server stops */
enum { CANCEL_CHECK_MS = 200 };

void sv_agent_news(struct sv_cloud *c, const struct sv_id *vm)
{
    pthread_mutex_lock(&c->agent_mutex);
    for (struct sv_agent_wait *w = c->agent_waits; w; w = w->next)
        w->news |= !vm || sv_id_eq(&w->vm, vm);
    pthread_cond_broadcast(&c->agent_change);
    pthread_mutex_unlock(&c->agent_mutex);
}

void sv_agent_wait_begin(struct sv_cloud *c, struct sv_agent_wait *w)
{
    pthread_mutex_lock(&c->agent_mutex);
    w->next = c->agent_waits;
    c->agent_waits = w;
    pthread_mutex_unlock(&c->agent_mutex);
}

void sv_agent_wait_end(struct sv_cloud *c, const struct sv_agent_wait *w)
{
    pthread_mutex_lock(&c->agent_mutex);
    for (struct sv_agent_wait **at = &c->agent_waits; *at; at = &(*at)->next) {
        if (*at == w) {
            *at = w->next;
            break;
        }
    }
    pthread_mutex_unlock(&c->agent_mutex);
}

bool sv_agent_wait_news(struct sv_run *r, struct sv_agent_wait *w, const struct sv_deadline *d)
{
    struct sv_cloud *c = sv_run_app(r);
    bool came;

    pthread_mutex_lock(&c->agent_mutex);
    while (!w->news && !sv_deadline_over(d) && !sv_deadline_cancelled(d) && !sv_run_may_leave(r)) {
        const int64_t left = sv_deadline_left(d);

        sv_cond_wait(&c->agent_change, &c->agent_mutex,
                     sv_mono_ms() + (left < CANCEL_CHECK_MS ? left : CANCEL_CHECK_MS));
    }
    came = w->news;
    w->news = false;
    pthread_mutex_unlock(&c->agent_mutex);
    return came;
}
