/* The engine's life: made, started, kept, stopped. */
#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "jobs/internal.h"
#include "starvirt/path.h"
#include "starvirt/thread.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define JOBS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define JOBS_SANITIZED 1
#endif

/* Steps keep their working memory in arenas; sanitizers need far larger frames. */
#if defined(JOBS_SANITIZED)
#define JOBS_STACK (4096 * 1024)
#else
#define JOBS_STACK (256 * 1024)
#endif

void jobs_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_mono_ms, bool *ret_over)
{
    *ret_over = !sv_cond_wait(cond, mutex, until_mono_ms);
}

bool jobs_pause(struct sv_jobs *jobs, int64_t ms)
{
    int64_t until = sv_mono_ms() + ms;
    bool over = false;
    pthread_mutex_lock(&jobs->mutex);
    while (!jobs->stopping && !over)
        jobs_cond_wait(&jobs->quiet, &jobs->mutex, until, &over);
    bool stopping = jobs->stopping;
    pthread_mutex_unlock(&jobs->mutex);
    return !stopping;
}

bool jobs_stopping(struct sv_jobs *jobs)
{
    pthread_mutex_lock(&jobs->mutex);
    bool stopping = jobs->stopping;
    pthread_mutex_unlock(&jobs->mutex);
    return stopping;
}

bool jobs_abandoned(struct sv_jobs *jobs)
{
    return atomic_load_explicit(&jobs->abandoned, memory_order_acquire);
}

/* --- crash points --- */

/* One part of "kind:step:when"; false if it is empty or does not fit. */
static bool crash_part(const char **p, char *buf, size_t size)
{
    size_t n = strcspn(*p, ":");
    if (n == 0 || n >= size)
        return false;
    memcpy(buf, *p, n);
    buf[n] = '\0';
    *p += n;
    return true;
}

static bool crash_parse(const char *s, struct jobs_crash *ret)
{
    struct jobs_crash c = {.kind = ""};
    if (!crash_part(&s, c.kind, sizeof(c.kind)) || *s++ != ':' || !crash_part(&s, c.step, sizeof(c.step)) ||
        *s++ != ':' || !crash_part(&s, c.when, sizeof(c.when)) || *s)
        return false;
    *ret = c;
    return true;
}

bool jobs_crash_is(const struct sv_jobs *jobs, const struct sv_job_kind *kind, const char *step, const char *when)
{
    const struct jobs_crash *c = &jobs->crash;
    return c->kind[0] && strcmp(c->kind, kind->name) == 0 && strcmp(c->step, step) == 0 && strcmp(c->when, when) == 0;
}

void jobs_crash_at(const struct sv_jobs *jobs, const struct sv_job_kind *kind, const char *step, const char *when)
{
    if (jobs_crash_is(jobs, kind, step, when))
        kill(getpid(), SIGKILL);
}

/* --- made and freed --- */

enum sv_err sv_jobs_new(struct sv_db *db, const struct sv_job_kind *const *kinds, void *app,
                        const struct sv_jobs_options *opt, struct sv_jobs **ret, struct sv_error *err)
{
    struct jobs_crash crash = {.kind = ""};
    if (opt->crash_point && !crash_parse(opt->crash_point, &crash))
        return sv_fail_path(err, SV_E_CONFIG, "crash-point", opt->crash_point,
                            "expected KIND:STEP:before|after|recorded");
    struct sv_jobs *jobs = sv_alloc(sizeof(*jobs));
    jobs->db = db;
    jobs->kinds = kinds;
    while (kinds[jobs->kind_count])
        jobs->kind_count++;
    jobs->ended_by_kind = sv_alloc(sizeof(*jobs->ended_by_kind) * (jobs->kind_count + 1));
    jobs->app = app;
    jobs->released = opt->released;
    jobs->tell_ended = opt->ended;
    jobs->tell_arg = opt->ended_arg;
    jobs->slots = opt->slots_per_host ? opt->slots_per_host : 1;
    /* A quarter, at least one. A host that takes one job at a time takes one. */
    jobs->spare = jobs->slots > 1 ? (jobs->slots + 3) / 4 : 0;
    jobs->requeue = opt->requeue;
    jobs->keep_ms = opt->keep_ms;
    jobs->crash = crash;
    jobs->undo_wait_ms = 500;
    jobs->idle_ms = JOBS_IDLE_MS;
    jobs->expire_first_ms = JOBS_EXPIRE_FIRST_MS;
    pthread_mutex_init(&jobs->mutex, NULL);
    sv_cond_init(&jobs->work);
    sv_cond_init(&jobs->keeper);
    sv_cond_init(&jobs->quiet);
    TAILQ_INIT(&jobs->ready);
    TAILQ_INIT(&jobs->workers);
    TAILQ_INIT(&jobs->gone);
    *ret = jobs;
    return SV_OK;
}

void sv_jobs_free(struct sv_jobs *jobs)
{
    /* Threads that outlived the stop's limit still use it; the process is about to end. */
    if (!jobs || jobs_abandoned(jobs))
        return;
    sv_jobs_stop(jobs, 0);
    if (jobs_abandoned(jobs))
        return;
    jobs_queue_clear(jobs);
    pthread_cond_destroy(&jobs->work);
    pthread_cond_destroy(&jobs->keeper);
    pthread_cond_destroy(&jobs->quiet);
    pthread_mutex_destroy(&jobs->mutex);
    free(jobs->ended_by_kind);
    free(jobs);
}

const struct sv_job_kind *sv_jobs_kind(const struct sv_jobs *jobs, const char *name)
{
    for (unsigned i = 0; i < jobs->kind_count; i++)
        if (strcmp(jobs->kinds[i]->name, name) == 0)
            return jobs->kinds[i];
    return NULL;
}

/* --- the housekeeper: makes workers, buries those that left, deletes old jobs --- */

/* Without signals: those are for the threads that ask for them. */
static int thread_create(pthread_t *thread, void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, JOBS_STACK);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(thread, &attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

/* One at a time: a new worker that leaves something ready asks for the next. */
static bool worker_wanted(const struct sv_jobs *jobs)
{
    uint64_t most = (uint64_t)jobs->lane_count * (jobs->slots + jobs->spare);
    return jobs->open && !TAILQ_EMPTY(&jobs->ready) && !jobs->idle && !jobs->starting &&
           jobs->worker_count < JOBS_WORKERS_MAX && jobs->worker_count < most;
}

/* Under the mutex, so that the worker finds itself in the list with its thread known. */
static bool worker_make(struct sv_jobs *jobs)
{
    struct jobs_worker *w = sv_alloc(sizeof(*w));
    w->jobs = jobs;
    int rc = thread_create(&w->thread, jobs_worker_main, w);
    if (rc) {
        sv_log(SV_LOG_ERROR, "jobs.worker", "errno", sv_dec(rc).s, NULL);
        free(w);
        return false;
    }
    jobs->worker_count++;
    jobs->starting++;
    TAILQ_INSERT_TAIL(&jobs->workers, w, link);
    return true;
}

/* Joined, not detached: what a thread leaves to its exit (its reader connection) must be gone before
 * the database closes. */
static void bury(struct sv_jobs *jobs)
{
    struct jobs_worker *w;
    while ((w = TAILQ_FIRST(&jobs->gone))) {
        TAILQ_REMOVE(&jobs->gone, w, link);
        pthread_mutex_unlock(&jobs->mutex);
        pthread_join(w->thread, NULL);
        free(w);
        pthread_mutex_lock(&jobs->mutex);
    }
}

static enum sv_err expire_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_jobs *jobs = arg;
    return sv_job_expire(tx, sv_sure_ms() - jobs->keep_ms, err);
}

static void expire(struct sv_jobs *jobs)
{
    struct sv_error err;
    enum sv_err rc = sv_db_try(jobs->db, expire_tx, jobs, &err);
    if (!rc || sv_db_outage(rc)) /* the next time, then */
        return;
    char text[256];
    sv_err_text(&err, SV_LANG_EN, text, sizeof(text));
    sv_log(SV_LOG_ERROR, "jobs.expire", "error", text, NULL);
}

static void *keeper_main(void *arg)
{
    struct sv_jobs *jobs = arg;
    int64_t expire_at = jobs->keep_ms ? sv_mono_ms() + jobs->expire_first_ms : INT64_MAX;
    pthread_mutex_lock(&jobs->mutex);
    while (!jobs->stopping) {
        int64_t until = expire_at;
        bool over = false;
        bury(jobs);
        if (worker_wanted(jobs) && !worker_make(jobs) && until > sv_mono_ms() + 1000)
            until = sv_mono_ms() + 1000;
        if (!jobs->stopping)
            jobs_cond_wait(&jobs->keeper, &jobs->mutex, until, &over);
        if (sv_mono_ms() < expire_at || jobs->stopping)
            continue;
        pthread_mutex_unlock(&jobs->mutex);
        expire(jobs);
        pthread_mutex_lock(&jobs->mutex);
        expire_at = sv_mono_ms() + JOBS_EXPIRE_MS;
    }
    pthread_mutex_unlock(&jobs->mutex);
    return NULL;
}

/* --- started and stopped --- */

enum sv_err sv_jobs_start(struct sv_jobs *jobs, struct sv_error *err)
{
    assert(!jobs->open && !jobs->keeper_up);
    enum sv_err rc = jobs_recover(jobs, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&jobs->mutex);
    int e = thread_create(&jobs->keeper_thread, keeper_main, jobs);
    jobs->keeper_up = e == 0;
    jobs->open = e == 0;
    jobs_wake(jobs);
    pthread_mutex_unlock(&jobs->mutex);
    return e ? sv_fail(err, SV_E_SYSTEM, SV_F_NONE, strerror(e)) : SV_OK;
}

/* Leaves the workers that are still busy to themselves. */
static void abandon(struct sv_jobs *jobs)
{
    struct jobs_worker *w;
    atomic_store_explicit(&jobs->abandoned, true, memory_order_release);
    TAILQ_FOREACH(w, &jobs->workers, link)
    {
        pthread_detach(w->thread);
    }
    sv_log(SV_LOG_WARN, "jobs.stop", "left_running", sv_dec(jobs->running).s, NULL);
}

void sv_jobs_stop(struct sv_jobs *jobs, int64_t limit_ms)
{
    int64_t until = sv_mono_ms() + limit_ms;
    bool over = false;
    pthread_mutex_lock(&jobs->mutex);
    jobs->stopping = true;
    pthread_cond_broadcast(&jobs->work);
    pthread_cond_broadcast(&jobs->keeper);
    pthread_cond_broadcast(&jobs->quiet);
    bool join = jobs->keeper_up;
    jobs->keeper_up = false;
    pthread_mutex_unlock(&jobs->mutex);
    if (join)
        pthread_join(jobs->keeper_thread, NULL);
    pthread_mutex_lock(&jobs->mutex);
    while (jobs->worker_count && !over && !jobs_abandoned(jobs))
        jobs_cond_wait(&jobs->quiet, &jobs->mutex, until, &over);
    if (jobs->worker_count && !jobs_abandoned(jobs))
        abandon(jobs);
    bury(jobs);
    pthread_mutex_unlock(&jobs->mutex);
}
