/* The password of the guest's administrator, given when its VM is made (vm.account.pwd). The guest agent sets
 * it, so the last step of the job waits for the agent; a VM whose agent does not come is whole without it. */
#include "core/host/host.h"
#include "core/vm/internal.h"

/* [ms] how long a guest gets to boot and bring its agent up */
enum { AGENT_WAIT_MS = 120 * 1000 };

/* --- the step ------------------------------------------------------------------------------------------ */

bool sv_step_account_needed(const struct sv_job *job)
{
    return job->iarg[SV_CREATE_ACCOUNT] != 0;
}

static enum sv_err until_set(struct sv_run *r, const char *password, const struct sv_deadline *d, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    struct sv_agent_wait w = {.vm = sv_run_job(r)->object};
    struct sv_hv_host *h;
    enum sv_err rc;

    sv_agent_wait_begin(c, &w);
    do {
        rc = sv_run_host(r, &h, err);
        if (!rc)
            rc = SV_HV_CALL(h, set_password, &w.vm, "root", password, d);
    } while ((rc == SV_E_VM_NO_AGENT || rc == SV_E_HOST_DOWN) && sv_agent_wait_news(r, &w, d));
    sv_agent_wait_end(c, &w);
    if (rc && sv_deadline_cancelled(d))
        return sv_fail(err, SV_E_JOB_CANCELLED, SV_F_NONE);
    return rc && sv_run_may_leave(r) ? sv_fail(err, SV_E_SHUTTING_DOWN, SV_F_NONE) : rc;
}

enum sv_err sv_step_account(struct sv_run *r, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    const struct sv_deadline d = sv_deadline_within(sv_run_deadline(r), AGENT_WAIT_MS);
    char password[SV_MAX_PASSWORD + 1];
    enum sv_err rc =
        sv_secret_read(c->secrets, c->db, &sv_run_job(r)->id, SV_SECRET_ACCOUNT, password, sizeof(password), err);

    if (!rc && !password[0])
        rc = sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "the sealed password is gone");
    if (!rc)
        rc = until_set(r, password, &d, err);
    explicit_bzero(password, sizeof(password));
    if (!rc)
        sv_run_note(r, SV_LOG_INFO, SV_N_PASSWORD_SET, "root", NULL);
    if (!rc || rc == SV_E_JOB_CANCELLED || rc == SV_E_SHUTTING_DOWN)
        return rc;
    sv_run_note_error(r, SV_LOG_WARN, SV_N_PASSWORD_LEFT, err);
    return SV_OK;
}
