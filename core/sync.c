/* From what hypervisors tell to rows. One thread takes everything in order; what needs to ask a host (and
 * so may hang with it) runs on a thread of that host, one at a time. */
#include <errno.h>
#include <time.h>

#include "core/reconcile.h"
#include "core/sync.h"
#include "starvirt/log.h"

enum what { HOST_UP, HOST_DOWN, POWER, AGENT_UP, AGENT_DOWN, TOKEN, RELEASED, ASK };

struct item {
    enum what what;
    enum sv_hv_power power;
    struct sv_id id;
    struct sv_cloud_host *host;
    struct item *next;
};

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
struct host_work {
    struct sv_cloud_host *host;
    bool running, all;
    struct told_list vms;
};

struct sv_sync {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t more, idle, again;
    struct item *head, **tail;
    bool started, stop;
    unsigned askers; /* host threads alive */
    struct host_work work[SV_MAX_HOSTS];
    unsigned work_count;
    /* The sync thread's own: of VMs that a job holds; looked at when it is over. */
    struct told_list aside;
};

static void add_told(struct told_list *l, const struct told *t)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->v = sv_realloc(l->v, l->cap * sizeof(*l->v));
    }
    l->v[l->n++] = *t;
}

static void push(struct sv_cloud *c, struct item it)
{
    struct sv_sync *s = c->sync;
    struct item *i = sv_alloc(sizeof(*i));

    *i = it;
    pthread_mutex_lock(&s->mutex);
    if (s->stop) { /* the next start reconciles */
        free(i);
    } else {
        *s->tail = i;
        s->tail = &i->next;
        pthread_cond_signal(&s->more);
    }
    pthread_mutex_unlock(&s->mutex);
}

void sv_sync_token_used(struct sv_cloud *c, const struct sv_id *token)
{
    push(c, (struct item){.what = TOKEN, .id = *token});
}
void sv_sync_host(struct sv_cloud *c, struct sv_cloud_host *h, bool connected)
{
    push(c, (struct item){.what = connected ? HOST_UP : HOST_DOWN, .host = h});
}
void sv_sync_power(struct sv_cloud *c, struct sv_cloud_host *h, const struct sv_id *vm, enum sv_hv_power now)
{
    push(c, (struct item){.what = POWER, .id = *vm, .power = now, .host = h});
}
void sv_sync_agent(struct sv_cloud *c, const struct sv_id *vm, bool up)
{
    push(c, (struct item){.what = up ? AGENT_UP : AGENT_DOWN, .id = *vm});
}
void sv_sync_check_host(struct sv_cloud *c, struct sv_cloud_host *h)
{
    push(c, (struct item){.what = ASK, .host = h});
}

struct release {
    struct sv_cloud *c;
    struct sv_id vm, host;
    bool ask;
};

static void released(void *arg)
{
    SV_AUTOFREE struct release *r = arg;

    push(r->c, (struct item){.what = RELEASED, .id = r->vm});
    for (unsigned i = 0; r->ask && i < r->c->host_count; i++) {
        if (sv_id_eq(&r->c->hosts[i].id, &r->host))
            sv_sync_check_host(r->c, &r->c->hosts[i]);
    }
}

void sv_sync_vm_released(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *vm, bool ask)
{
    struct release *r = sv_alloc(sizeof(*r)); /* outlives the transaction */
    struct sv_vm row;
    struct sv_error ignored;

    *r = (struct release){.c = c, .vm = *vm, .ask = ask};
    if (ask && !sv_vm_get(tx, sv_scope_system(), vm, sv_tx_arena(tx), &row, &ignored))
        r->host = row.host;
    sv_tx_on_commit(tx, released, r);
}

/* --- on the host's thread --------------------------------------------------------------------------- */

struct asker {
    struct sv_cloud *c;
    struct host_work *work;
};

/* What there is to do; false, and the thread counts no more: nothing, or the end. */
static bool next_work(struct sv_sync *s, struct host_work *w, bool *ret_all, struct told_list *ret_vms)
{
    bool more;

    pthread_mutex_lock(&s->mutex);
    more = !s->stop && (w->all || w->vms.n);
    if (more) {
        *ret_all = w->all;
        *ret_vms = w->vms;
        w->all = false;
        w->vms = (struct told_list){0};
    } else {
        w->running = false;
        s->askers--;
        pthread_cond_broadcast(&s->idle);
    }
    pthread_mutex_unlock(&s->mutex);
    return more;
}

/* [ms] between attempts to ask a host that is connected and did not answer */
enum { PAUSE_FIRST_MS = 1000, PAUSE_MAX_MS = 30 * 1000 };

/* Nobody else would ask it again; sooner when there is news of it. */
static void pause_asking(struct sv_sync *s, struct host_work *w, int64_t ms)
{
    const int64_t until = sv_mono_ms() + ms;
    const struct timespec at = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};

    pthread_mutex_lock(&s->mutex);
    while (!s->stop && !w->all && pthread_cond_timedwait(&s->again, &s->mutex, &at) == 0)
        continue;
    w->all = true;
    pthread_mutex_unlock(&s->mutex);
}

static void *ask_host(void *arg)
{
    SV_AUTOFREE struct asker *a = arg;
    struct sv_cloud_host *h = a->work->host;
    int64_t pause = PAUSE_FIRST_MS;
    struct told_list vms;
    bool all;

    while (next_work(a->c->sync, a->work, &all, &vms)) {
        const bool answered = !all || sv_reconcile_host(a->c, h);

        for (size_t i = 0; i < vms.n; i++) {
            if (!sv_reconcile_vm(a->c, h, &vms.v[i].vm, vms.v[i].power))
                sv_sync_power(a->c, h, &vms.v[i].vm, vms.v[i].power);
        }
        free(vms.v);
        if (answered || !sv_hv_connected(h->hv))
            continue;
        pause_asking(a->c->sync, a->work, pause);
        pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
    }
    return NULL;
}

static struct host_work *work_of(struct sv_sync *s, struct sv_cloud_host *h)
{
    for (unsigned i = 0; i < s->work_count; i++) {
        if (s->work[i].host == h)
            return &s->work[i];
    }
    s->work[s->work_count].host = h;
    return &s->work[s->work_count++];
}

/* `vm` NULL: everything. */
static void begin_asking(struct sv_cloud *c, struct sv_cloud_host *h, const struct told *vm)
{
    struct sv_sync *s = c->sync;
    struct host_work *w;
    pthread_t t;

    pthread_mutex_lock(&s->mutex);
    w = work_of(s, h);
    if (vm)
        add_told(&w->vms, vm);
    else
        w->all = true;
    pthread_cond_broadcast(&s->again);
    if (!w->running && !s->stop) {
        struct asker *a = sv_alloc(sizeof(*a));

        *a = (struct asker){c, w};
        w->running = pthread_create(&t, NULL, ask_host, a) == 0;
        if (w->running) {
            pthread_detach(t);
            s->askers++;
        } else {
            free(a);
        }
    }
    pthread_mutex_unlock(&s->mutex);
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
    sv_log(SV_LOG_ERROR, what, "error", text, NULL);
}

/* What differs is not believed but asked: what was told may be older than what a job did since. */
static void power_changed(struct sv_cloud *c, const struct told *t)
{
    bool locked = false, differs = false;
    struct sv_error e;
    const enum sv_err rc = sv_power_differs(c, &t->vm, t->power, &locked, &differs, &e);

    if (rc && rc != SV_E_VM_NOT_FOUND)
        log_error("sync.power", &e);
    if (!rc && locked)
        set_aside(c->sync, t);
    else if (!rc && differs)
        begin_asking(c, t->host, t);
}

static enum sv_err write_lost(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_cloud_host *h = arg;
    const struct sv_id nobody = {.s = ""};
    enum sv_err rc = sv_host_set_connected(tx, &h->id, false, err);

    return rc ? rc : sv_cloud_event(tx, "host.lost", "host", &h->id, &nobody, sv_hv_host_name(h->hv), err);
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

static void handle(struct sv_cloud *c, struct item *it)
{
    struct agent_args agent = {it->id, it->what == AGENT_UP};
    struct told told = {it->id, it->power, it->host};
    struct sv_error e;
    enum sv_err rc = SV_OK;

    switch (it->what) {
    case HOST_UP:
    case ASK:
        begin_asking(c, it->host, NULL);
        break;
    case HOST_DOWN:
        rc = sv_db_write(c->db, write_lost, it->host, &e);
        break;
    case POWER:
        power_changed(c, &told);
        break;
    case AGENT_UP:
    case AGENT_DOWN:
        rc = sv_db_write(c->db, write_agent, &agent, &e);
        if (rc == SV_E_VM_NOT_FOUND) /* its VM went meanwhile */
            rc = SV_OK;
        break;
    case TOKEN:
        rc = sv_db_write(c->db, write_used, &it->id, &e);
        break;
    case RELEASED:
        if (take_aside(c->sync, &it->id, &told))
            power_changed(c, &told);
        break;
    }
    if (rc)
        log_error("sync", &e);
}

/* --- upkeep: what is kept for a while only ----------------------------------------------------------- */

enum { UPKEEP_EVERY_S = 3600 };
static const int64_t hour_ms = 3600 * 1000LL, keep_events_ms = 30 * 24 * 3600 * 1000LL;

static enum sv_err expire(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const int64_t now = sv_tx_now(tx);
    enum sv_err rc = sv_idem_expire(tx, now - SV_IDEMPOTENCY_HOURS * hour_ms, err);

    (void)arg;
    return rc ? rc : sv_event_expire(tx, now - keep_events_ms, err);
}

static void upkeep(struct sv_cloud *c)
{
    struct sv_error e;

    if (sv_db_write(c->db, expire, NULL, &e))
        log_error("upkeep", &e);
}

/* Under the mutex: something came, it is time to stop (false: neither, an hour went by). */
static bool wait_more(struct sv_sync *s)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += UPKEEP_EVERY_S;
    while (!s->head && !s->stop) {
        if (pthread_cond_timedwait(&s->more, &s->mutex, &until) == ETIMEDOUT)
            return false;
    }
    return true;
}

static void *sync_main(void *arg)
{
    struct sv_cloud *c = arg;
    struct sv_sync *s = c->sync;

    pthread_mutex_lock(&s->mutex);
    for (;;) {
        struct item *list;

        if (!wait_more(s)) {
            pthread_mutex_unlock(&s->mutex);
            upkeep(c);
            pthread_mutex_lock(&s->mutex);
            continue;
        }
        if (!s->head)
            break;
        list = s->head;
        s->head = NULL;
        s->tail = &s->head;
        pthread_mutex_unlock(&s->mutex);
        while (list) {
            SV_AUTOFREE struct item *it = list;

            list = it->next;
            handle(c, it);
        }
        pthread_mutex_lock(&s->mutex);
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

enum sv_err sv_sync_start(struct sv_cloud *c, struct sv_error *err)
{
    struct sv_sync *s = sv_alloc(sizeof(*s));
    pthread_condattr_t mono;

    s->tail = &s->head;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->more, NULL);
    pthread_cond_init(&s->idle, NULL);
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&s->again, &mono);
    pthread_condattr_destroy(&mono);
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
    pthread_mutex_lock(&s->mutex);
    s->stop = true;
    pthread_cond_broadcast(&s->more);
    pthread_cond_broadcast(&s->again);
    while (s->askers)
        pthread_cond_wait(&s->idle, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
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
    pthread_mutex_destroy(&s->mutex);
    pthread_cond_destroy(&s->more);
    pthread_cond_destroy(&s->idle);
    pthread_cond_destroy(&s->again);
    for (unsigned i = 0; i < s->work_count; i++)
        free(s->work[i].vms.v);
    free(s->aside.v);
    free(s);
    c->sync = NULL;
}
