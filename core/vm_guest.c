/* What is done inside or beside a guest: passwords and its agent (StarVCenter 2.2.10 - 2.2.13). */
#include "core/internal.h"
#include "core/vm_steps.h"

enum { GUEST_LIMIT_MS = 2 * 60 * 1000, CALL_LIMIT_MS = 20 * 1000 };
static const char secret_kind[] = "pwd"; /* sealed until its job ends; one job a VM, so one a VM */

/* --- passwords of the guest's users ------------------------------------------------------------------ */

enum sv_err sv_check_password(const char *user, const char *password, struct sv_error *err)
{
    const size_t n = strlen(password);

    if (n == 0 || n > SV_MAX_PASSWORD)
        return sv_fail(err, SV_E_PARAM_LENGTH, SV_F_PASSWORD, sv_dec(SV_MAX_PASSWORD).s);
    /* the guest's own tools take a colon or a line end for a separator */
    if (user && (!user[0] || strlen(user) > 64 || strpbrk(user, ":\n\r,= ")))
        return sv_fail(err, SV_E_PARAM_CHARS, SV_F_USER, ": , = blank");
    return sv_check_descr(password, SV_F_PASSWORD, err);
}

enum sv_err sv_vm_set_password(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                               const char *user, const char *password, struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_vm vm;
    enum sv_err rc = sv_vm_claim(tx, who, id, &vm, err);

    if (!rc)
        rc = sv_check_password(user, password, err);
    if (!rc)
        rc = sv_vm_accept(c, tx, &vm, &sv_kind_vm_password, user ? user : "root", 0, 0, ret_startid, err);
    return rc ? rc : sv_secret_put(c->secrets, &vm.id, secret_kind, password, err);
}

static enum sv_err set_password(struct sv_run *r, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    const struct sv_job *job = sv_run_job(r);
    char password[SV_MAX_PASSWORD + 1];
    struct sv_hv_host *h;
    enum sv_err rc = sv_secret_get(c->secrets, &job->object, secret_kind, password, sizeof(password), err);

    if (!rc)
        rc = sv_run_host(r, &h, err);
    if (!rc)
        rc = SV_HV_CALL(h, set_password, &job->object, job->sarg, password, sv_run_deadline(r));
    explicit_bzero(password, sizeof(password));
    return rc;
}

static enum sv_err end_password(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                                struct sv_error *err)
{
    struct sv_cloud *c = app;

    (void)tx, (void)result, (void)err;
    sv_secret_drop(c->secrets, &job->object, secret_kind);
    return SV_OK;
}

/* --- the agent --------------------------------------------------------------------------------------- */

enum sv_err sv_vm_agent_resume(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                               struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_vm vm;
    enum sv_err rc = sv_vm_claim(tx, who, id, &vm, err);

    return rc ? rc : sv_vm_accept(c, tx, &vm, &sv_kind_vm_agent, NULL, 0, 0, ret_startid, err);
}

static enum sv_err sync_agent(struct sv_run *r, struct sv_error *err)
{
    struct sv_hv_host *h;
    enum sv_err rc = sv_run_host(r, &h, err);

    return rc ? rc : SV_HV_CALL(h, agent_sync, &sv_run_job(r)->object, sv_run_deadline(r));
}

static enum sv_err end_agent(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                             struct sv_error *err)
{
    (void)tx, (void)app;
    return result == SV_JOB_DONE ? sv_vm_set_agent(tx, &job->object, true, err) : SV_OK;
}

/* --- the console's password ---------------------------------------------------------------------------- */

struct vnc {
    struct sv_cloud *c;
    const struct sv_actor *who;
    const char *id, *password;
    struct sv_vm vm;
    struct sv_arena *a;
};

static enum sv_err find_vm(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct vnc *v = arg;
    enum sv_err rc = sv_vm_find(tx, v->who, v->id, v->a, &v->vm, err);

    if (!rc && v->vm.state != SV_VM_FAILED && v->vm.state != SV_VM_BUILDING && v->vm.state != SV_VM_CLONING)
        return SV_OK;
    return rc ? rc : sv_fail(err, SV_E_VM_STATE, SV_F_VM, sv_vm_state_name(v->vm.state));
}

/* Letters and digits that cannot be mistaken for each other; eight of them are 46 bits. */
static void make_password(char made[SV_MAX_VNC_PASSWORD + 1])
{
    static const char alphabet[] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    unsigned char raw[SV_MAX_VNC_PASSWORD];
    unsigned n = 0;

    while (n < SV_MAX_VNC_PASSWORD) {
        sv_random(raw, sizeof(raw));
        for (unsigned i = 0; i < sizeof(raw) && n < SV_MAX_VNC_PASSWORD; i++) {
            if (raw[i] < 256 / (sizeof(alphabet) - 1) * (sizeof(alphabet) - 1)) /* no letter likelier than another */
                made[n++] = alphabet[raw[i] % (sizeof(alphabet) - 1)];
        }
    }
    made[n] = '\0';
}

/* The host first: a password that is not in force must not be what the next definition carries. Both are
 * absolute, so a repeat after a failure between them mends it. */
enum sv_err sv_vm_set_vnc_password(struct sv_cloud *c, const struct sv_actor *who, const char *id, const char *password,
                                   char made[SV_MAX_VNC_PASSWORD + 1], struct sv_arena *a, struct sv_error *err)
{
    const struct sv_deadline d = sv_deadline_within(NULL, CALL_LIMIT_MS);
    struct vnc v = {.c = c, .who = who, .id = id, .a = a};
    struct sv_hv_host *h;
    enum sv_err rc;

    if (password && (!password[0] || strlen(password) > SV_MAX_VNC_PASSWORD))
        return sv_fail(err, SV_E_PARAM_LENGTH, SV_F_VNC_PASSWORD, sv_dec(SV_MAX_VNC_PASSWORD).s);
    rc = password ? sv_check_name(password, SV_F_VNC_PASSWORD, err) : SV_OK;
    if (!rc)
        rc = sv_db_read(c->db, find_vm, &v, err);
    if (rc)
        return rc;
    if (password)
        sv_copy(made, SV_MAX_VNC_PASSWORD + 1, password);
    else
        make_password(made);
    h = sv_cloud_host_hv(c, &v.vm.host);
    if (!h)
        return sv_fail(err, SV_E_HOST_DOWN, SV_F_VM, v.vm.host.s);
    rc = SV_HV_CALL(h, set_vnc_password, &v.vm.id, made, &d);
    return rc ? rc : sv_secret_put(c->secrets, &v.vm.id, "vnc", made, err);
}

/* --- rows -------------------------------------------------------------------------------------------- */

static const struct sv_step password_steps[] = {
    {.name = "password", .title_zh = "设置密码", .title_en = "set the password", .weight = 1, .run = set_password},
};
static const struct sv_step agent_steps[] = {
    {.name = "sync", .title_zh = "同步代理", .title_en = "synchronise with the agent", .weight = 1, .run = sync_agent},
};

const struct sv_job_kind sv_kind_vm_password = {.name = "vm.password",
                                                .title_zh = "重置系统管理员密码",
                                                .title_en = "set a guest password",
                                                .lock_code = SV_LOCK_MOVING,
                                                .deadline_ms = GUEST_LIMIT_MS,
                                                .resumable = true,
                                                SV_STEPS(password_steps),
                                                .end = end_password};
const struct sv_job_kind sv_kind_vm_agent = {.name = "vm.agent",
                                             .title_zh = "唤醒云主机代理服务",
                                             .title_en = "wake the guest agent",
                                             .lock_code = SV_LOCK_MOVING,
                                             .deadline_ms = GUEST_LIMIT_MS,
                                             .resumable = true,
                                             SV_STEPS(agent_steps),
                                             .end = end_agent};
