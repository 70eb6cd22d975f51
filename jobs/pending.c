/* An undo that failed: what is left of it is kept as a row, and a job of the same kind finishes it later. What the
 * first job made stays as it is until then, with all that is reserved for it: its kind's end() waits. */
#include "jobs/internal.h"
#include "starvirt/store_pending.h"

/* [ms] A try that waits for a guest locks its VM for as long. */
enum { FIRST_MS = 1000, FIRST_GUEST_MS = 10 * 1000, LONGEST_MS = 3600 * 1000 };

/* Doubling, at most an hour. */
static int64_t pause_after(const struct sv_pending *p)
{
    const int64_t first = p->guest ? FIRST_GUEST_MS : FIRST_MS;
    const int64_t ms = p->tries < 16 ? first << p->tries : LONGEST_MS;

    return ms < LONGEST_MS ? ms : LONGEST_MS;
}

static enum sv_err note(struct sv_tx *tx, const struct sv_id *job, enum sv_note what, const char *arg,
                        struct sv_error *err)
{
    const struct jobs_line line = {.level = SV_LOG_WARN, .note = what, .args = {arg}};

    return jobs_line_add(tx, job, &line, err);
}

enum sv_err jobs_leave(struct sv_tx *tx, const struct jobs_ending *e, const struct sv_job_kind *kind,
                       const struct sv_job *job, struct sv_error *err)
{
    const struct sv_id none = {.s = ""}, *object = kind->lock_code ? &job->object : &none;
    struct sv_pending p = {.job = job->id,
                           .object = *object,
                           .subject = kind->makes_sarg ? sv_id_from(job->sarg) : *object,
                           .host = job->host,
                           .step = e->left,
                           .guest = kind->steps[e->left - 1].undo_guest};
    enum sv_err rc;

    p.due = sv_tx_now(tx) + pause_after(&p);
    rc = sv_pending_put(tx, &p, err);
    if (!rc)
        rc = note(tx, &job->id, p.guest ? SV_N_UNDO_PENDING_GUEST : SV_N_UNDO_PENDING, NULL, err);
    return rc || !kind->left ? rc : kind->left(tx, job, e->jobs->app, err);
}

static enum sv_err try_later(struct sv_tx *tx, const struct jobs_ending *e, const struct sv_job_kind *kind,
                             struct sv_pending *p, struct sv_error *err)
{
    p->finisher = (struct sv_id){.s = ""};
    p->tries++;
    if (kind && e->left) {
        p->step = e->left;
        p->guest = kind->steps[e->left - 1].undo_guest;
    }
    p->due = sv_tx_now(tx) + pause_after(p);
    return sv_pending_put(tx, p, err);
}

/* As if the first job ended only now. */
static enum sv_err settle(struct sv_tx *tx, const struct jobs_ending *e, const struct sv_id *job,
                          const struct sv_id *finisher, struct sv_error *err)
{
    struct sv_job first;
    enum sv_err rc = sv_job_get(tx, sv_scope_system(), job, sv_tx_arena(tx), &first, err);
    const struct sv_job_kind *kind = rc ? NULL : sv_jobs_kind(e->jobs, first.kind);

    if (!rc && kind && kind->end)
        rc = kind->end(tx, &first, first.result, e->jobs->app, err);
    if (!rc)
        rc = note(tx, job, SV_N_UNDO_FINISHED, finisher->s, err);
    return rc ? rc : sv_pending_drop(tx, job, err);
}

struct pending_jobs {
    struct sv_arena *a;
    struct pending_job {
        struct sv_id id;
        struct pending_job *next;
    } * first;
};

static void add_job(void *arg, const struct sv_pending *p)
{
    struct pending_jobs *all = arg;
    struct pending_job *one = sv_arena_alloc(all->a, sizeof(*one));

    *one = (struct pending_job){p->job, all->first};
    all->first = one;
}

enum sv_err jobs_settle_object(struct sv_tx *tx, const struct jobs_ending *e, const struct sv_id *object,
                               struct sv_error *err)
{
    struct pending_jobs all = {.a = sv_tx_arena(tx)};
    enum sv_err rc = sv_pending_list(tx, object, add_job, &all, err);

    for (const struct pending_job *j = all.first; !rc && j; j = j->next)
        rc = settle(tx, e, &j->id, &e->id, err);
    return rc;
}

enum sv_err jobs_end_finisher(struct sv_tx *tx, const struct jobs_ending *e, const struct sv_job_kind *kind,
                              const struct sv_job *job, struct sv_error *err)
{
    struct sv_pending p;
    bool found = false;
    enum sv_err rc = sv_pending_get(tx, &job->finishes, &p, &found, err);

    if (rc || !found) /* its object went meanwhile */
        return rc;
    return kind && e->result == SV_JOB_DONE ? settle(tx, e, &p.job, &job->id, err) : try_later(tx, e, kind, &p, err);
}

enum sv_err jobs_begin_finisher(struct sv_tx *tx, struct sv_run *r, struct sv_error *err)
{
    struct sv_pending p = {.step = 0};
    bool found = false;
    enum sv_err rc = sv_pending_get(tx, &r->job.finishes, &p, &found, err);

    if (!rc)
        rc = sv_job_get(tx, sv_scope_system(), &r->job.finishes, r->job_arena, &r->first, err);
    if (!rc && r->job.result == SV_JOB_QUEUED)
        rc = sv_job_undo(tx, &r->job.id, p.step, r->first.result, NULL, err);
    if (rc)
        return rc;
    r->undo_from = p.step < r->step_count ? p.step : r->step_count;
    r->job.undoing = true;
    return SV_OK;
}

/* Of a kind without a lock it is the argument that keeps two apart. */
static enum sv_err refuse_busy(struct sv_tx *tx, const struct sv_job *job, struct sv_error *err)
{
    const struct sv_id arg = sv_id_from(job->sarg);
    struct sv_id other;
    bool open = false;
    enum sv_err rc = sv_job_open_for(tx, &arg, &other, &open, err);

    return rc || !open ? rc : sv_fail(err, SV_E_OBJECT_LOCKED, SV_F_NONE, other.s);
}

enum sv_err sv_jobs_finish_undo(struct sv_jobs *jobs, struct sv_tx *tx, const struct sv_pending *pending,
                                struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_job first;
    struct sv_pending p = *pending;
    enum sv_err rc = sv_job_get(tx, sv_scope_system(), &p.job, sv_tx_arena(tx), &first, err);
    const struct sv_job_kind *kind = rc ? NULL : sv_jobs_kind(jobs, first.kind);

    if (!rc && !kind)
        rc = sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, first.kind);
    if (!rc && kind && !kind->lock_code)
        rc = refuse_busy(tx, &first, err);
    if (rc || !kind)
        return rc;
    const struct sv_job_spec spec = {.kind = kind,
                                     .tenant = first.tenant,
                                     .object = first.object,
                                     .host = first.host,
                                     .object_type = first.object_type,
                                     .object_name = first.object_name,
                                     .iarg = {first.iarg[0], first.iarg[1]},
                                     .sarg = first.sarg,
                                     .own = true,
                                     .finishes = first.id};
    rc = sv_jobs_accept(jobs, tx, &spec, &p.finisher, err);
    if (!rc)
        *ret_startid = p.finisher;
    return rc ? rc : sv_pending_put(tx, &p, err);
}
