/* What is done inside or beside a guest: passwords and its agent (StarVCenter 2.2.10 - 2.2.13). */
#include "core/vm/internal.h"
#include "starvirt/store_secret.h"

enum { GUEST_LIMIT_MS = 2 * 60 * 1000, CALL_LIMIT_MS = 20 * 1000 };

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
    enum sv_err rc = sv_vm_claim_in(tx, who, id, SV_VM_SETTLED, &vm, err);

    if (!rc)
        rc = sv_check_password(user, password, err);
    if (!rc)
        rc = sv_vm_accept(c, tx, &vm, &sv_kind_vm_password, user ? user : "root", 0, 0, ret_startid, err);
    return rc ? rc : sv_secret_put(c->secrets, tx, ret_startid, SV_SECRET_PASSWORD, password, err);
}

static enum sv_err set_password(struct sv_run *r, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    const struct sv_job *job = sv_run_job(r);
    char password[SV_MAX_PASSWORD + 1];
    struct sv_hv_host *h;
    enum sv_err rc = sv_secret_read(c->secrets, c->db, &job->id, SV_SECRET_PASSWORD, password, sizeof(password), err);

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
    (void)result, (void)app;
    return sv_sealed_drop(tx, &job->id, SV_SECRET_PASSWORD, err);
}

/* --- the agent --------------------------------------------------------------------------------------- */

enum sv_err sv_vm_agent_resume(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                               struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_vm vm;
    enum sv_err rc = sv_vm_claim_in(tx, who, id, SV_VM_SETTLED, &vm, err);

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

/* A VM that a job holds may have it set, too: the console is wanted while a backup runs. */
static enum sv_err claim_screen(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                                struct sv_vm *ret, struct sv_error *err)
{
    const struct sv_hv_host *h;
    struct sv_id job;
    bool open = false;
    enum sv_err rc = sv_vm_find(tx, who, id, sv_tx_arena(tx), ret, err);

    if (rc)
        return rc;
    if (ret->state == SV_VM_FAILED || ret->state == SV_VM_BUILDING || ret->state == SV_VM_CLONING)
        return sv_fail(err, SV_E_VM_STATE, SV_F_VM, sv_vm_state_name(ret->state));
    h = sv_cloud_host_hv(c, &ret->host);
    if (!h || !sv_hv_connected(h))
        return sv_fail(err, SV_E_HOST_DOWN, SV_F_VM, h ? sv_hv_host_name(h) : ret->host.s);
    rc = sv_job_open_for(tx, &ret->id, &job, &open, err); /* of two at once nobody could tell which one stands */
    return rc || !open ? rc : sv_fail(err, SV_E_VM_LOCKED, SV_F_VM, job.s);
}

enum sv_err sv_vm_set_vnc_password(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                                   const char *password, struct sv_id *ret_startid, struct sv_error *err)
{
    char made[SV_MAX_VNC_PASSWORD + 1];
    struct sv_vm vm;
    enum sv_err rc = SV_OK;

    if (password && (!password[0] || strlen(password) > SV_MAX_VNC_PASSWORD))
        return sv_fail(err, SV_E_PARAM_LENGTH, SV_F_VNC_PASSWORD, sv_dec(SV_MAX_VNC_PASSWORD).s);
    if (password)
        rc = sv_check_name(password, SV_F_VNC_PASSWORD, err);
    if (!rc)
        rc = claim_screen(c, tx, who, id, &vm, err);
    if (!rc)
        rc = sv_vm_accept(c, tx, &vm, &sv_kind_vm_vnc, vm.id.s, 0, 0, ret_startid, err);
    if (rc)
        return rc;
    if (password)
        SV_COPY(made, password);
    else
        make_password(made);
    rc = sv_secret_put(c->secrets, tx, ret_startid, SV_SECRET_VNC, made, err);
    explicit_bzero(made, sizeof(made));
    return rc;
}

/* `owner`: of the password, the job or the VM. */
static enum sv_err put_vnc(struct sv_run *r, const struct sv_id *owner, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    const struct sv_job *job = sv_run_job(r);
    char password[SV_MAX_VNC_PASSWORD + 1];
    struct sv_hv_host *h;
    enum sv_err rc = sv_secret_read(c->secrets, c->db, owner, SV_SECRET_VNC, password, sizeof(password), err);

    if (!rc)
        rc = sv_run_host(r, &h, err);
    if (!rc)
        rc = SV_HV_CALL(h, set_vnc_password, &job->object, password, sv_run_deadline(r));
    explicit_bzero(password, sizeof(password));
    return rc;
}

static enum sv_err set_vnc(struct sv_run *r, struct sv_error *err)
{
    return put_vnc(r, &sv_run_job(r)->id, err);
}

/* A host that did not answer may have taken it all the same: what is kept is to be what is in force. */
static enum sv_err put_back_vnc(struct sv_run *r, struct sv_error *err)
{
    const enum sv_err rc = put_vnc(r, &sv_run_job(r)->object, err);

    return rc == SV_E_DOMAIN_MISSING ? SV_OK : rc;
}

/* Kept once it is in force: the next definition must not carry another. */
static enum sv_err keep_vnc(struct sv_cloud *c, struct sv_tx *tx, const struct sv_job *job, struct sv_error *err)
{
    char password[SV_MAX_VNC_PASSWORD + 1];
    struct sv_error gone;
    struct sv_vm vm;
    enum sv_err rc = sv_vm_get(tx, sv_scope_system(), &job->object, sv_tx_arena(tx), &vm, &gone);

    if (rc == SV_E_VM_NOT_FOUND) /* deleted meanwhile */
        return SV_OK;
    if (rc) {
        *err = gone;
        return rc;
    }
    rc = sv_secret_get(c->secrets, tx, &job->id, SV_SECRET_VNC, password, sizeof(password), err);
    if (!rc)
        rc = sv_secret_put(c->secrets, tx, &vm.id, SV_SECRET_VNC, password, err);
    explicit_bzero(password, sizeof(password));
    return rc;
}

static enum sv_err end_vnc(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                           struct sv_error *err)
{
    enum sv_err rc = result == SV_JOB_DONE ? keep_vnc(app, tx, job, err) : SV_OK;

    return rc ? rc : sv_sealed_drop(tx, &job->id, SV_SECRET_VNC, err);
}

enum sv_err sv_vm_vnc_password(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                               const struct sv_id *startid, char ret[SV_MAX_VNC_PASSWORD + 1], struct sv_error *err)
{
    struct sv_job job;
    enum sv_err rc = sv_job_get(tx, sv_scope_of(who), startid, sv_tx_arena(tx), &job, err);

    if (!rc)
        rc = sv_secret_get(c->secrets, tx, &job.object, SV_SECRET_VNC, ret, SV_MAX_VNC_PASSWORD + 1, err);
    return rc || ret[0] ? rc : sv_fail(err, SV_E_VM_NOT_FOUND, SV_F_VM);
}

/* --- rows -------------------------------------------------------------------------------------------- */

static const struct sv_step password_steps[] = {
    {.name = "password", .title_zh = "设置密码", .title_en = "set the password", .weight = 1, .run = set_password},
};
static const struct sv_step vnc_steps[] = {
    {.name = "vnc",
     .title_zh = "设置密码",
     .title_en = "set the password",
     .weight = 1,
     .run = set_vnc,
     .undo = put_back_vnc},
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
/* Takes no lock, see claim_screen(). */
const struct sv_job_kind sv_kind_vm_vnc = {.name = "vm.vnc",
                                           .title_zh = "设置远程连接密码",
                                           .title_en = "set the VNC password",
                                           .deadline_ms = CALL_LIMIT_MS,
                                           .resumable = true,
                                           .no_cancel = true,
                                           SV_STEPS(vnc_steps),
                                           .end = end_vnc};
