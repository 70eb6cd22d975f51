/* What a step may ask of the job that runs it. */
#include <stdarg.h>

#include "jobs/internal.h"

const struct sv_job *sv_run_job(const struct sv_run *r)
{
    return sv_id_empty(&r->first.id) ? &r->job : &r->first;
}

void *sv_run_app(const struct sv_run *r)
{
    return r->jobs->app;
}

struct sv_db *sv_run_db(const struct sv_run *r)
{
    return r->jobs->db;
}

struct sv_arena *sv_run_arena(struct sv_run *r)
{
    return r->step_arena;
}

const struct sv_deadline *sv_run_deadline(const struct sv_run *r)
{
    return &r->deadline;
}

bool sv_run_may_leave(const struct sv_run *r)
{
    return !r->undoing && r->kind->resumable && r->jobs->requeue && jobs_stopping(r->jobs);
}

void sv_run_note(struct sv_run *r, enum sv_level level, enum sv_note note, ...)
{
    struct jobs_line line = {.level = level, .note = note};
    char clean[SV_ERR_ARGS][JOBS_ARG_MAX];
    va_list ap;
    va_start(ap, note);
    for (unsigned i = 0; i < SV_ERR_ARGS; i++) {
        const char *arg = va_arg(ap, const char *);
        if (!arg)
            break;
        SV_COPY(clean[i], arg);
        jobs_clean(clean[i]);
        line.args[i] = clean[i];
    }
    va_end(ap);
    jobs_post(r, &(struct jobs_record){.line = &line});
}

void sv_run_note_error(struct sv_run *r, enum sv_level level, enum sv_note note, const struct sv_error *why)
{
    char packed[640];
    jobs_error_pack(why, packed, sizeof(packed));
    struct jobs_line line = {.level = level, .note = note, .args = {packed}};
    jobs_post(r, &(struct jobs_record){.line = &line});
}

void sv_run_progress(struct sv_run *r, int64_t done, int64_t total)
{
    int64_t now = sv_mono_ms();
    unsigned percent = jobs_percent(r, r->step, done, total);
    if (r->undoing || percent == r->percent || (r->progress_at && now - r->progress_at < JOBS_PROGRESS_MS))
        return;
    r->progress_at = now;
    r->percent = percent;
    jobs_post(r, &(struct jobs_record){.set_percent = true, .percent = percent});
}
