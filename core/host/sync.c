/* From what hypervisors tell to rows. One thread takes everything in order; what needs to ask a host (and
 * so may hang with it) runs on a thread of that host, one at a time. */
#include "core/host/sync.h"
#include "core/alarm/alarm.h"
#include "core/host/news.h"
#include "core/host/reconcile.h"
#include "starvirt/log.h"
#include "starvirt/thread.h"

/* What a VM's host told last. */
struct told {
    struct sv_id vm;
    enum sv_hv_power power;
    struct sv_cloud_host *host;
};

struct told_list {
    struct told *v;
    size_t n, cap;
};

/* What a host's thread is to ask next. */
struct sv_host_asking {
    struct sv_host_asking *next;
    struct sv_cloud_host *host;
    bool running, all;
    struct told_list vms;
};

struct sv_sync {
    pthread_t thread;
    pthread_cond_t more;
    struct sv_news_queue news;
    bool started;
    int64_t look_at;             /* the sync thread's own: when pending undos are due [ms UTC] */
    struct sv_crew crew;         /* a thread for each host that is asked; its mutex guards all of this */
    struct sv_host_asking *work; /* of every host that was ever asked */
    /* The sync thread's own: of VMs that a job holds; looked at when it is over. */
    struct told_list aside;
};

static void add_told(struct told_list *l, const struct told *t)
{
    l->v = sv_grow(l->v, l->n, &l->cap, sizeof(*l->v));
    l->v[l->n++] = *t;
}

static void push(struct sv_cloud *c, struct sv_news n)
{
    struct sv_sync *s = c->sync;

    pthread_mutex_lock(&s->crew.mutex);
    if (!s->crew.stop) { /* else the next start reconciles */
        sv_news_add(&s->news, &n);
        pthread_cond_signal(&s->more);
    }
    pthread_mutex_unlock(&s->crew.mutex);
}

void sv_sync_token_used(struct sv_cloud *c, const struct sv_id *token)
{
    if (sv_db_writable(c->db)) /* it is used again */
        push(c, (struct sv_news){.what = SV_NEWS_TOKEN, .id = *token});
}
void sv_sync_host(struct sv_cloud *c, struct sv_cloud_host *h, bool connected)
{
    push(c, (struct sv_news){.what = connected ? SV_NEWS_HOST_UP : SV_NEWS_HOST_DOWN, .host = h});
}
void sv_sync_power(struct sv_cloud *c, struct sv_cloud_host *h, const struct sv_id *vm, enum sv_hv_power now)
{
    push(c, (struct sv_news){.what = SV_NEWS_POWER, .id = *vm, .power = now, .host = h});
}
void sv_sync_agent(struct sv_cloud *c, const struct sv_id *vm, bool up)
{
    push(c, (struct sv_news){.what = up ? SV_NEWS_AGENT_UP : SV_NEWS_AGENT_DOWN, .id = *vm});
}
void sv_sync_check_host(struct sv_cloud *c, struct sv_cloud_host *h)
{
    push(c, (struct sv_news){.what = SV_NEWS_ASK, .host = h});
}

void sv_sync_pending(struct sv_cloud *c)
{
    push(c, (struct sv_news){.what = SV_NEWS_PENDING});
}

struct release {
    struct sv_cloud *c;
    struct sv_id vm, host;
    bool ask;
};

static void look_at_pending(void *arg)
{
    sv_sync_pending(arg);
}

/* What a job did to its object, or that it is free again, may be what one waits for; not the failure of a try. */
static void wake_pending(struct sv_tx *tx, const struct sv_job *job, void *app)
{
    struct sv_error ignored;
    bool any = false;

    if (sv_pending_any(tx, &any, &ignored) || (!any && !sv_cloud_undos_pending(app)))
        return;
    if (any && sv_id_empty(&job->finishes))
        (void)sv_pending_hurry(tx, &job->object, &job->id, &ignored);
    sv_tx_on_commit(tx, look_at_pending, app);
}

static void released(void *arg)
{
    const struct release *r = arg;

    SV_HOST h = r->ask ? sv_host_hold(r->c, &r->host) : NULL;

    push(r->c, (struct sv_news){.what = SV_NEWS_RELEASED, .id = r->vm});
    if (h)
        sv_sync_check_host(r->c, h);
}

/* After a failure nobody knows what the guest does now. */
void sv_sync_released(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app)
{
    struct release *r;
    struct sv_vm row;
    struct sv_error ignored;

    wake_pending(tx, job, app);
    if (strcmp(job->object_type, "vm") != 0)
        return;
    r = sv_arena_alloc(sv_tx_arena(tx), sizeof(*r));
    *r = (struct release){.c = app, .vm = job->object, .ask = result != SV_JOB_DONE};
    if (r->ask && !sv_vm_get(tx, sv_scope_system(), &r->vm, sv_tx_arena(tx), &row, &ignored))
        r->host = row.host;
    sv_tx_on_commit(tx, released, r);
}

/* --- on the host's thread --------------------------------------------------------------------------- */

struct asker {
    struct sv_cloud *c;
    struct sv_host_asking *work;
};

/* What there is to do; false, and the thread counts no more: nothing, or the end. */
static bool next_work(struct sv_sync *s, struct sv_host_asking *w, bool *ret_all, struct told_list *ret_vms)
{
    bool more;

    pthread_mutex_lock(&s->crew.mutex);
    more = !s->crew.stop && (w->all || w->vms.n);
    if (more) {
        *ret_all = w->all;
        *ret_vms = w->vms;
        w->all = false;
        w->vms = (struct told_list){0};
    } else {
        sv_crew_leave(&s->crew, &w->running);
    }
    pthread_mutex_unlock(&s->crew.mutex);
    return more;
}

/* [ms] between attempts to ask a host that is connected and did not answer */
enum { PAUSE_FIRST_MS = 1000, PAUSE_MAX_MS = 30 * 1000 };

/* Nobody else would ask it again; sooner when there is news of it. */
static void pause_asking(struct sv_sync *s, struct sv_host_asking *w, int64_t ms)
{
    const int64_t until = sv_mono_ms() + ms;

    pthread_mutex_lock(&s->crew.mutex);
    while (!s->crew.stop && !w->all && sv_cond_wait(&s->crew.change, &s->crew.mutex, until))
        continue;
    w->all = true;
    pthread_mutex_unlock(&s->crew.mutex);
}

/* Lets go of the host. False: it is connected and did not answer. */
static bool ask_once(struct sv_cloud *c, struct sv_cloud_host *h, bool all, const struct told_list *vms)
{
    bool answered = !all || sv_reconcile_host(c, h);

    for (size_t i = 0; i < vms->n; i++) {
        bool locked = false;

        answered &= sv_reconcile_vm(c, h, &vms->v[i].vm, vms->v[i].power, &locked);
        if (locked)
            sv_sync_power(c, h, &vms->v[i].vm, vms->v[i].power);
    }
    sv_sync_pending(c);
    answered |= !sv_hv_connected(h->hv);
    sv_host_let_go(&h);
    return answered;
}

static void *ask_host(void *arg)
{
    SV_AUTOFREE struct asker *a = arg;
    struct sv_cloud_host *h = a->work->host;
    int64_t pause = PAUSE_FIRST_MS;
    struct told_list vms;
    bool all;

    while (next_work(a->c->sync, a->work, &all, &vms)) {
        const bool again = sv_host_use(h) && !ask_once(a->c, h, all, &vms);

        free(vms.v);
        if (!again)
            continue;
        pause_asking(a->c->sync, a->work, pause);
        pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
    }
    return NULL;
}

static struct sv_host_asking *work_of(struct sv_sync *s, struct sv_cloud_host *h)
{
    if (!h->asking) {
        h->asking = sv_alloc(sizeof(*h->asking));
        h->asking->host = h;
        h->asking->next = s->work;
        s->work = h->asking;
    }
    return h->asking;
}

/* `vm` NULL: everything. */
static void begin_asking(struct sv_cloud *c, struct sv_cloud_host *h, const struct told *vm)
{
    struct sv_sync *s = c->sync;
    struct asker *a = sv_alloc(sizeof(*a));
    struct sv_host_asking *w;

    pthread_mutex_lock(&s->crew.mutex);
    w = work_of(s, h);
    if (vm)
        add_told(&w->vms, vm);
    else
        w->all = true;
    *a = (struct asker){c, w};
    if (!sv_crew_wake(&s->crew, &w->running, ask_host, a))
        free(a);
    pthread_mutex_unlock(&s->crew.mutex);
}

/* --- on the sync thread ----------------------------------------------------------------------------- */

static void set_aside(struct sv_sync *s, const struct told *t)
{
    for (size_t i = 0; i < s->aside.n; i++) {
        if (sv_id_eq(&s->aside.v[i].vm, &t->vm)) {
            s->aside.v[i] = *t;
            return;
        }
    }
    add_told(&s->aside, t);
}

static bool take_aside(struct sv_sync *s, const struct sv_id *vm, struct told *ret)
{
    for (size_t i = 0; i < s->aside.n; i++) {
        if (!sv_id_eq(&s->aside.v[i].vm, vm))
            continue;
        *ret = s->aside.v[i];
        s->aside.v[i] = s->aside.v[--s->aside.n];
        return true;
    }
    return false;
}

static void log_error(const char *what, const struct sv_error *e)
{
    char text[256];

    sv_err_text(e, SV_LANG_EN, text, sizeof(text));
    sv_log(sv_db_outage(e->code) ? SV_LOG_WARN : SV_LOG_ERROR, what, "error", text, NULL);
}

/* What the host's thread learnt before may be written after this: while it is at work the row is not to be trusted. */
static bool asks(struct sv_sync *s, struct sv_cloud_host *h)
{
    pthread_mutex_lock(&s->crew.mutex);
    const bool running = work_of(s, h)->running;
    pthread_mutex_unlock(&s->crew.mutex);
    return running;
}

/* What differs is not believed but asked: what was told may be older than what a job did since. */
static void power_changed(struct sv_cloud *c, const struct told *t)
{
    bool locked = false, differs = false;
    struct sv_error e;
    const enum sv_err rc = sv_power_differs(c, &t->vm, t->power, &locked, &differs, &e);

    if (rc && rc != SV_E_VM_NOT_FOUND)
        log_error("sync.power", &e);
    if (sv_db_outage(rc)) /* nobody can tell now: asked until somebody can */
        begin_asking(c, t->host, NULL);
    else if (!rc && locked)
        set_aside(c->sync, t);
    else if (!rc && (differs || asks(c->sync, t->host)))
        begin_asking(c, t->host, t);
}

/* What is known of it now. */
static const char *why_lost(const struct sv_cloud_host *h, struct sv_tx *tx)
{
    const char *why;

    pthread_mutex_lock(&h->cloud->host_mutex);
    why = sv_arena_strdup(sv_tx_arena(tx), h->why[0] ? h->why : "it does not answer");
    pthread_mutex_unlock(&h->cloud->host_mutex);
    return why;
}

static enum sv_err write_lost(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_cloud_host *h = arg;
    const struct sv_id nobody = {.s = ""};
    struct sv_host row;
    enum sv_err rc = sv_host_get(tx, &h->id, sv_tx_arena(tx), &row, err);

    if (rc)
        return rc == SV_E_HOST_NOT_FOUND ? SV_OK : rc; /* it was removed */
    rc = sv_host_set_connected(tx, &h->id, false, err);

    if (!rc)
        rc = sv_cloud_event(tx, "host.lost", "host", &h->id, &nobody, h->name, err);
    return rc ? rc
              : sv_alarm_raise(
                    tx, &(struct sv_alarm_new){.type = SV_ALARM_HOST_LOST, .object = h->id, .args = {why_lost(h, tx)}},
                    err);
}

/* What waited for this host. */
static enum sv_err write_hurry(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_cloud_host *h = arg;

    return sv_pending_hurry(tx, &h->id, NULL, err);
}

struct agent_args {
    struct sv_id vm;
    bool up;
};

static enum sv_err write_agent(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct agent_args *a = arg;

    return sv_vm_set_agent(tx, &a->vm, a->up, err);
}

static enum sv_err write_used(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_token_touch(tx, arg, sv_tx_now(tx), err);
}

static void handle(struct sv_cloud *c, struct sv_news *it)
{
    struct agent_args agent = {it->id, it->what == SV_NEWS_AGENT_UP};
    struct told told = {it->id, it->power, it->host};
    struct sv_error e;
    enum sv_err rc = SV_OK;

    switch (it->what) {
    case SV_NEWS_HOST_UP:
        rc = sv_db_write(c->db, write_hurry, it->host, &e);
        begin_asking(c, it->host, NULL);
        break;
    case SV_NEWS_ASK:
        begin_asking(c, it->host, NULL);
        break;
    case SV_NEWS_HOST_DOWN:
        rc = sv_db_write(c->db, write_lost, it->host, &e);
        break;
    case SV_NEWS_POWER:
        power_changed(c, &told);
        break;
    case SV_NEWS_AGENT_UP:
    case SV_NEWS_AGENT_DOWN:
        rc = sv_db_write(c->db, write_agent, &agent, &e);
        if (rc == SV_E_VM_NOT_FOUND) /* its VM went meanwhile */
            rc = SV_OK;
        break;
    case SV_NEWS_TOKEN:
        rc = sv_db_write(c->db, write_used, &it->id, &e);
        break;
    case SV_NEWS_PENDING: /* after all that is in the list, once */
        c->sync->look_at = 0;
        break;
    case SV_NEWS_RELEASED:
        if (take_aside(c->sync, &it->id, &told))
            power_changed(c, &told);
        break;
    }
    if (rc)
        log_error("sync", &e);
}

/* --- upkeep: what is kept for a while only ----------------------------------------------------------- */

enum { UPKEEP_EVERY_MS = 3600 * 1000 };
static const int64_t hour_ms = 3600 * 1000LL, keep_events_ms = 30 * 24 * 3600 * 1000LL;

static enum sv_err expire(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const int64_t now = sv_sure_ms();
    enum sv_err rc = sv_idem_expire(tx, now - SV_IDEMPOTENCY_HOURS * hour_ms, err);

    (void)arg;
    return rc ? rc : sv_event_expire(tx, now - keep_events_ms, err);
}

static void upkeep(struct sv_cloud *c)
{
    struct sv_error e;

    if (sv_db_try(c->db, expire, NULL, &e))
        log_error("upkeep", &e);
}

/* [ms] until pending undos are looked at. */
static int64_t until_look(const struct sv_sync *s)
{
    const int64_t left = s->look_at - sv_now_ms();

    return left < 0 ? 0 : left < UPKEEP_EVERY_MS ? left : UPKEEP_EVERY_MS;
}

static void look_round(struct sv_cloud *c, int64_t *upkeep_at)
{
    if (until_look(c->sync) == 0)
        c->sync->look_at = sv_pending_go_on(c);
    if (sv_mono_ms() < *upkeep_at)
        return;
    upkeep(c);
    *upkeep_at = sv_mono_ms() + UPKEEP_EVERY_MS;
}

/* Under the mutex: something came, it is time to stop (false: neither, it is time to look round). */
static bool wait_more(struct sv_sync *s, int64_t upkeep_at)
{
    const int64_t look = sv_mono_ms() + until_look(s), until = look < upkeep_at ? look : upkeep_at;

    while (!s->news.head && !s->crew.stop) {
        if (!sv_cond_wait(&s->more, &s->crew.mutex, until))
            return false;
    }
    return true;
}

static void *sync_main(void *arg)
{
    struct sv_cloud *c = arg;
    struct sv_sync *s = c->sync;
    int64_t upkeep_at = sv_mono_ms() + UPKEEP_EVERY_MS;

    pthread_mutex_lock(&s->crew.mutex);
    for (;;) {
        struct sv_news *list;

        if (!wait_more(s, upkeep_at)) {
            pthread_mutex_unlock(&s->crew.mutex);
            look_round(c, &upkeep_at);
            pthread_mutex_lock(&s->crew.mutex);
            continue;
        }
        if (!s->news.head)
            break;
        list = sv_news_take(&s->news);
        pthread_mutex_unlock(&s->crew.mutex);
        while (list) {
            SV_AUTOFREE struct sv_news *it = list;

            list = it->next;
            handle(c, it);
        }
        pthread_mutex_lock(&s->crew.mutex);
    }
    pthread_mutex_unlock(&s->crew.mutex);
    return NULL;
}

enum sv_err sv_sync_start(struct sv_cloud *c, struct sv_error *err)
{
    struct sv_sync *s = sv_alloc(sizeof(*s));

    sv_news_init(&s->news);
    sv_crew_init(&s->crew);
    sv_cond_init(&s->more);
    c->sync = s;
    if (pthread_create(&s->thread, NULL, sync_main, c) != 0)
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "no thread");
    s->started = true;
    return SV_OK;
}

/* A host thread may hang with its host for one call limit at most: it is waited for. */
void sv_sync_stop(struct sv_cloud *c)
{
    struct sv_sync *s = c->sync;

    if (!s || !s->started)
        return;
    sv_crew_stop(&s->crew);
    pthread_mutex_lock(&s->crew.mutex);
    pthread_cond_broadcast(&s->more);
    pthread_mutex_unlock(&s->crew.mutex);
    pthread_join(s->thread, NULL);
    s->started = false;
}

/* Once no driver can call any more. */
void sv_sync_free(struct sv_cloud *c)
{
    struct sv_sync *s = c->sync;

    if (!s)
        return;
    sv_sync_stop(c);
    sv_crew_free(&s->crew);
    pthread_cond_destroy(&s->more);
    for (struct sv_host_asking *w = s->work, *next; w; w = next) {
        next = w->next;
        free(w->vms.v);
        free(w);
    }
    free(s->aside.v);
    free(s);
    c->sync = NULL;
}
