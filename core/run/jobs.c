/* Jobs and events as their owners see them. */
#include "core/run/run.h"

enum sv_err sv_job_find(struct sv_tx *tx, const struct sv_actor *who, const char *startid, struct sv_arena *a,
                        struct sv_job *ret, struct sv_error *err)
{
    struct sv_id id;
    enum sv_err rc = sv_check_id(startid, SV_E_JOB_NOT_FOUND, SV_F_JOB, &id, err);

    return rc ? rc : sv_job_get(tx, sv_scope_of(who), &id, a, ret, err);
}

enum sv_err sv_job_cancel(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *startid,
                          enum sv_job_result *ret, struct sv_error *err)
{
    struct sv_id id;
    enum sv_err rc = sv_check_id(startid, SV_E_JOB_NOT_FOUND, SV_F_JOB, &id, err);

    return rc ? rc : sv_jobs_cancel(c->jobs, tx, sv_scope_of(who), &id, ret, err);
}

enum sv_err sv_job_search(struct sv_tx *tx, const struct sv_actor *who, const struct sv_job_filter *f,
                          const struct sv_page *p, void (*row)(void *arg, const struct sv_job *job), void *arg,
                          uint64_t *ret_total, struct sv_error *err)
{
    return sv_job_list(tx, sv_scope_of(who), f, p, row, arg, ret_total, err);
}

struct log_reader {
    void (*row)(void *arg, const struct sv_job_line *l);
    void *arg;
};

/* What a host is called is an administrator's business. */
static void hide_host(void *arg, const struct sv_job_line *l)
{
    const struct log_reader *to = arg;
    struct sv_job_line shown = *l;

    if (shown.note == SV_N_CHOSEN) {
        shown.note = SV_N_CHOSEN_UNNAMED;
        shown.args[0] = "";
    }
    to->row(to->arg, &shown);
}

enum sv_err sv_job_log(struct sv_tx *tx, const struct sv_actor *who, const struct sv_job *job, int64_t since,
                       void (*row)(void *arg, const struct sv_job_line *l), void *arg, struct sv_error *err)
{
    struct log_reader tenant = {row, arg};

    if (who->role == SV_ROLE_ADMIN)
        return sv_joblog_list(tx, &job->id, since, row, arg, err);
    if (!sv_id_eq(&job->tenant, &who->tenant))
        return sv_fail(err, SV_E_JOB_NOT_FOUND, SV_F_JOB);
    return sv_joblog_list(tx, &job->id, since, hide_host, &tenant, err);
}

enum sv_err sv_event_search(struct sv_tx *tx, const struct sv_actor *who, int64_t since, unsigned limit,
                            void (*row)(void *arg, const struct sv_event *e), void *arg, struct sv_error *err)
{
    return sv_event_list(tx, sv_scope_of(who), since, limit, row, arg, err);
}

const char *sv_job_title(struct sv_cloud *c, const struct sv_job *job, enum sv_lang lang)
{
    const struct sv_job_kind *k = sv_jobs_kind(c->jobs, job->kind);

    return !k ? job->kind : lang == SV_LANG_EN ? k->title_en : k->title_zh;
}

void sv_job_line_text(struct sv_cloud *c, const struct sv_job *job, const struct sv_job_line *line, enum sv_lang lang,
                      char *buf, size_t size)
{
    sv_jobs_note_text(c->jobs, job, line, lang, buf, size);
}
