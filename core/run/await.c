/* How a job ended, in words and as an error. */
#include "core/run/run.h"

/* As it was before it became a row. */
static void stored_error(const char *symbol, const char *const args[SV_ERR_ARGS], struct sv_error *e)
{
    *e = (struct sv_error){.code = sv_err_by_symbol(symbol ? symbol : "")};
    for (unsigned i = 0; i < SV_ERR_ARGS; i++)
        SV_COPY(e->arg[i], args[i] ? args[i] : "");
}

static void stored_text(const char *symbol, const char *const args[SV_ERR_ARGS], enum sv_lang lang, char *buf,
                        size_t size)
{
    struct sv_error e;

    buf[0] = '\0';
    if (!symbol || !symbol[0])
        return;
    stored_error(symbol, args, &e);
    if (e.code == SV_ERR_COUNT)
        sv_copy(buf, size, symbol); /* of a newer program */
    else
        sv_err_text(&e, lang, buf, size);
}

void sv_job_info(const struct sv_job *job, enum sv_lang lang, char *buf, size_t size)
{
    stored_text(job->error_symbol, job->error_args, lang, buf, size);
}

void sv_template_info(const struct sv_template *t, enum sv_lang lang, char *buf, size_t size)
{
    stored_text(t->error_symbol, t->error_args, lang, buf, size);
}

/* A row that is gone is of a job that went well: a failure would have taken its Idempotency-Key along. */
enum sv_err sv_job_outcome(struct sv_tx *tx, const struct sv_id *startid, bool *ret_ended, struct sv_error *err)
{
    struct sv_job job;
    enum sv_err rc = sv_job_get(tx, sv_scope_system(), startid, sv_tx_arena(tx), &job, err);

    *ret_ended = rc == SV_E_JOB_NOT_FOUND || (!rc && sv_job_ended(job.result));
    if (rc == SV_E_JOB_NOT_FOUND)
        return SV_OK;
    if (rc || !*ret_ended || job.result == SV_JOB_DONE)
        return rc;
    stored_error(job.error_symbol, job.error_args, err);
    if (err->code == SV_OK || err->code == SV_ERR_COUNT)
        return sv_fail(err, SV_E_JOB_ABORTED, SV_F_NONE);
    return err->code;
}
