/* Checks and small words shared by the rooms of the core. */
#include "core/internal.h"

#include "starvirt/mem.h"

static enum sv_err check_text(const char *s, size_t max, bool lines, enum sv_field field, struct sv_error *err)
{
    const size_t n = strlen(s);

    if (n > max)
        return sv_fail(err, SV_E_PARAM_LENGTH, field, sv_dec((int64_t)max).s);
    if (!sv_utf8_valid(s, n))
        return sv_fail(err, SV_E_PARAM_CHARS, field, "UTF-8");
    for (const char *p = s; *p; p++) {
        const unsigned char ch = (unsigned char)*p;

        if (ch == 0x7f || (ch < 0x20 && !(lines && (ch == '\n' || ch == '\t'))))
            return sv_fail(err, SV_E_PARAM_CHARS, field, "control characters");
    }
    return SV_OK;
}

enum sv_err sv_check_name(const char *name, enum sv_field field, struct sv_error *err)
{
    if (!name)
        return SV_OK;
    if (name[strspn(name, " \t")] == '\0')
        return sv_fail(err, SV_E_PARAM_MISSING, field);
    return check_text(name, SV_MAX_NAME, false, field, err);
}

enum sv_err sv_check_descr(const char *descr, enum sv_field field, struct sv_error *err)
{
    return descr ? check_text(descr, SV_MAX_DESC, true, field, err) : SV_OK;
}

enum sv_err sv_check_id(const char *text, enum sv_err not_found, enum sv_field field, struct sv_id *ret,
                        struct sv_error *err)
{
    if (!text || !sv_id_valid(text))
        return sv_fail(err, not_found, field);
    *ret = sv_id_from(text);
    return SV_OK;
}

const char *sv_vm_state_name(enum sv_vm_state s)
{
    static const char *const names[] = {
        [SV_VM_BUILDING] = "installing", [SV_VM_CLONING] = "cloning", [SV_VM_STOPPED] = "stopped",
        [SV_VM_RUNNING] = "running",     [SV_VM_PAUSED] = "paused",   [SV_VM_SAVED] = "saved",
        [SV_VM_FAILED] = "failed",       [SV_VM_UNKNOWN] = "unknown",
    };

    return names[s];
}

enum sv_err sv_locked_as(enum sv_err code, enum sv_err as, enum sv_field field, struct sv_error *err)
{
    if (code == SV_E_OBJECT_LOCKED && err) {
        err->code = as;
        err->field = field;
    }
    return code == SV_E_OBJECT_LOCKED ? as : code;
}

enum sv_err sv_cloud_event(struct sv_tx *tx, const char *type, const char *object_type, const struct sv_id *object,
                           const struct sv_id *tenant, const char *content, struct sv_error *err)
{
    const struct sv_event e = {
        .type = type, .object_type = object_type, .object = *object, .tenant = *tenant, .content = content};

    return sv_event_add(tx, &e, err);
}

/* How a job failed, as the error it failed with. */
static void job_error(const struct sv_job *job, struct sv_error *e)
{
    *e = (struct sv_error){.code = sv_err_by_symbol(job->error_symbol ? job->error_symbol : "")};
    for (unsigned i = 0; i < SV_ERR_ARGS; i++)
        SV_COPY(e->arg[i], job->error_args[i] ? job->error_args[i] : "");
}

void sv_job_info(const struct sv_job *job, enum sv_lang lang, char *buf, size_t size)
{
    struct sv_error e;

    buf[0] = '\0';
    if (!job->error_symbol || !job->error_symbol[0])
        return;
    job_error(job, &e);
    if (e.code == SV_ERR_COUNT)
        sv_copy(buf, size, job->error_symbol); /* of a newer program */
    else
        sv_err_text(&e, lang, buf, size);
}

enum sv_err sv_job_await(struct sv_cloud *c, const struct sv_id *startid, int64_t limit_ms, struct sv_arena *a,
                         struct sv_error *err)
{
    const struct sv_deadline d = sv_deadline_within(NULL, limit_ms);
    struct sv_job job;
    enum sv_err rc = sv_jobs_wait(c->jobs, startid, &d, a, &job, err);

    if (rc == SV_E_JOB_DEADLINE)
        return sv_fail(err, SV_E_STILL_RUNNING, SV_F_NONE, startid->s);
    if (rc || job.result == SV_JOB_DONE)
        return rc;
    job_error(&job, err);
    if (err->code == SV_OK || err->code == SV_ERR_COUNT)
        return sv_fail(err, SV_E_JOB_ABORTED, SV_F_NONE);
    return err->code;
}
