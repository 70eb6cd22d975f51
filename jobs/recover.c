/* Start-up: every open job goes back to its lane, or ends here. Whether a running one goes on or is
 * undone is decided from its row when a worker has it (record.c). */
#include <stdlib.h>

#include "jobs/internal.h"

struct found {
    struct sv_id id, tenant, host;
    const struct sv_job_kind *kind;
    char kind_name[64];
    bool queued;
};

struct list {
    struct sv_jobs *jobs;
    struct found *p;
    size_t n, cap;
};

static void list_add(void *arg, const struct sv_job *j)
{
    struct list *l = arg;
    l->p = sv_grow(l->p, l->n, &l->cap, sizeof(*l->p));
    struct found *f = &l->p[l->n++];
    *f = (struct found){.id = j->id,
                        .tenant = j->tenant,
                        .host = j->host,
                        .kind = sv_jobs_kind(l->jobs, j->kind),
                        .queued = j->result == SV_JOB_QUEUED};
    SV_COPY(f->kind_name, j->kind);
}

static enum sv_err read_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_job_list_open(tx, list_add, arg, err);
}

enum { LOOK_MS = 50 }; /* how often a start looks whether anything can be written */

/* Endings posted together, so that they share commits, and waited for together. */
struct closing {
    struct sv_db_work work; /* first */
    struct jobs_ending ending;
    struct sv_error why;
    const struct sv_job_kind *kind;
    struct closings *all;
};

struct closings {
    struct sv_jobs *jobs;
    struct closing *p;
    size_t n;
    size_t open; /* jobs->mutex */
    bool left;   /* jobs->mutex: nobody waits for them, the last one frees all */
};

static void closings_free(struct closings *all)
{
    free(all->p);
    free(all);
}

static void closing_done(struct sv_db_work *w, enum sv_err result)
{
    struct closing *c = (struct closing *)w;
    struct sv_jobs *jobs = c->all->jobs;
    if (result)
        sv_log(sv_db_outage(result) ? SV_LOG_WARN : SV_LOG_ERROR, "job.close", "startid", c->ending.id.s, "error",
               sv_err_symbol(result), NULL);
    else if (!c->ending.gone)
        jobs_count_end(jobs, c->kind, c->ending.result);
    pthread_mutex_lock(&jobs->mutex);
    c->all->open--;
    const bool last = c->all->left && !c->all->open;
    pthread_cond_broadcast(&jobs->quiet);
    pthread_mutex_unlock(&jobs->mutex);
    if (last)
        closings_free(c->all);
}

static void close_job(struct closings *all, const struct found *f)
{
    struct closing *c = &all->p[all->n++];
    c->all = all;
    c->kind = f->kind;
    c->ending = (struct jobs_ending){.jobs = all->jobs, .id = f->id, .why = &c->why};
    c->ending.result = f->kind ? SV_JOB_LOST : SV_JOB_ABORTED;
    if (f->kind)
        (void)sv_fail(&c->why, SV_E_JOB_LOST, SV_F_NONE);
    else
        (void)sv_fail(&c->why, SV_E_UNSUPPORTED, SV_F_NONE, f->kind_name);
    if (!f->kind)
        sv_log(SV_LOG_ERROR, "job.unknown_kind", "startid", f->id.s, "kind", f->kind_name, NULL);
    c->work = (struct sv_db_work){.fn = jobs_end_tx, .arg = &c->ending, .done = closing_done};
    pthread_mutex_lock(&all->jobs->mutex);
    all->open++;
    pthread_mutex_unlock(&all->jobs->mutex);
    sv_db_post(all->jobs->db, &c->work);
}

/* While nothing can be written the start goes on without them. */
static void close_wait(struct closings *all)
{
    struct sv_jobs *jobs = all->jobs;
    bool over;
    pthread_mutex_lock(&jobs->mutex);
    while (all->open && sv_db_writable(jobs->db))
        jobs_cond_wait(&jobs->quiet, &jobs->mutex, sv_mono_ms() + LOOK_MS, &over);
    all->left = all->open > 0;
    const bool left = all->left; /* from here on theirs */
    pthread_mutex_unlock(&jobs->mutex);
    if (!left)
        closings_free(all);
}

static void enqueue(struct sv_jobs *jobs, const struct found *f)
{
    pthread_mutex_lock(&jobs->mutex);
    if (!jobs_item_find(jobs, &f->id))
        jobs_item_add(jobs, &f->id, &f->tenant, &f->host, f->kind);
    pthread_mutex_unlock(&jobs->mutex);
}

/* Accepted since this program started, before the engine did or while the list was read. */
static bool is_ours(struct sv_jobs *jobs, const struct found *f)
{
    pthread_mutex_lock(&jobs->mutex);
    bool ours = jobs_item_find(jobs, &f->id) != NULL;
    pthread_mutex_unlock(&jobs->mutex);
    return ours;
}

enum sv_err jobs_recover(struct sv_jobs *jobs, struct sv_error *err)
{
    struct list l = {.jobs = jobs};
    enum sv_err rc = sv_db_read(jobs->db, read_tx, &l, err);
    struct closings *all = sv_alloc(sizeof(*all));
    size_t closed;
    *all = (struct closings){.jobs = jobs, .p = sv_alloc(sizeof(struct closing) * (l.n + 1))};
    for (size_t i = 0; !rc && i < l.n; i++) {
        const struct found *f = &l.p[i];
        if (is_ours(jobs, f))
            continue;
        if (!f->kind || (f->queued && !jobs->requeue))
            close_job(all, f);
        else
            enqueue(jobs, f);
    }
    closed = all->n;
    close_wait(all);
    if (l.n)
        sv_log(SV_LOG_INFO, "jobs.recover", "open", sv_dec((int64_t)l.n).s, "closed", sv_dec((int64_t)closed).s, NULL);
    free(l.p);
    return rc;
}
