#include "hv/libvirt/internal.h"

#include "starvirt/log.h"
#include "starvirt/proc.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

/* A guest's file systems are held still by its agent while a copy begins. A guest that stays frozen is as
 * good as dead, so that is watched by a process of its own: it thaws unless it is told that somebody did,
 * also when this process is killed. */

enum {
    FREEZE_CALL_MS = (LV_AGENT_S + 10) * 1000, /* the agent's time, and libvirt's for talking to it */
    THAW_CALL_MS = 30000,
};

/* --- the watchdog --- */

static enum sv_err start_watchdog(struct lv_host *h, const struct sv_id *vm, struct lv_frozen *f, struct sv_error *err)
{
    const char *const argv[] = {"/proc/self/exe", "--thaw", h->uri, vm->s, NULL};
    return sv_proc_start(argv, &f->watchdog, &f->pid, err);
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

static void *reaper(void *arg)
{
    reap((pid_t)(intptr_t)arg);
    return NULL;
}

/* It goes on alone for as long as it takes. */
static void leave_alone(pid_t pid)
{
    pthread_t t;
    if (pthread_create(&t, NULL, reaper, (void *)(intptr_t)pid) == 0)
        pthread_detach(t);
}

static void end_watchdog(struct lv_frozen *f, bool thawed)
{
    const char ok = LV_THAW_OK;
    if (f->watchdog < 0)
        return;
    const bool told = thawed && write(f->watchdog, &ok, 1) == 1;
    close(f->watchdog);
    f->watchdog = -1;
    if (told)
        reap(f->pid);
    else
        leave_alone(f->pid);
}

/* --- calls --- */

static enum sv_err do_look(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    enum sv_err rc = lv_power_of(h, conn, d, &op->state.power, err);
    op->state.agent = !rc && op->state.power == SV_HV_RUNNING && lv_agent_up(h, d, &op->vm);
    return rc;
}

static enum sv_err do_freeze(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    if (lv_agent_bound(d) < 0 || virDomainFSFreeze(d, NULL, 0, 0) < 0)
        return lv_error(h, conn, "freeze", err);
    return SV_OK;
}

static enum sv_err do_thaw(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    const int n = virDomainFSThaw(d, NULL, 0, 0);
    if (n < 0 && virDomainIsActive(d) == 1)
        return lv_error(h, conn, "thaw", err);
    virResetLastError();
    op->value = n < 0 ? 0 : n;
    return SV_OK;
}

static bool agent_answers(struct lv_host *h, const struct sv_id *vm, const struct sv_deadline *d)
{
    struct sv_error ignored;
    LV_OP op = lv_op_new(vm);
    return lv_call(h, op, do_look, LV_CALL_GUEST, d, &ignored) == SV_OK && op->state.agent;
}

void lv_freeze(struct lv_host *h, const struct sv_id *vm, struct lv_frozen *ret, const struct sv_deadline *d)
{
    struct sv_error e = {0};
    *ret = (struct lv_frozen){.watchdog = -1};
    if (!agent_answers(h, vm, d))
        return;
    if (start_watchdog(h, vm, ret, &e) != SV_OK) {
        sv_log(SV_LOG_WARN, "hv.no_watchdog", "vm", vm->s, "text", e.arg[0], NULL);
        return; /* nobody is frozen unwatched */
    }
    ret->asked = true;
    LV_OP op = lv_op_new(vm);
    const struct sv_deadline within = sv_deadline_within(d, FREEZE_CALL_MS);
    if (lv_call(h, op, do_freeze, LV_CALL_GUEST, &within, &e) != SV_OK)
        sv_log(SV_LOG_INFO, "hv.not_frozen", "vm", vm->s, "text", e.arg[0], NULL);
}

bool lv_thaw(struct lv_host *h, const struct sv_id *vm, struct lv_frozen *f)
{
    struct sv_error e = {0};
    if (!f->asked)
        return false;
    /* Also when there is no time left and when somebody cancelled. */
    const struct sv_deadline within = sv_deadline_within(NULL, THAW_CALL_MS);
    LV_OP op = lv_op_new(vm);
    enum sv_err rc = lv_call(h, op, do_thaw, LV_CALL_GUEST, &within, &e);
    if (rc == SV_E_DOMAIN_MISSING)
        rc = SV_OK;
    if (rc)
        sv_log(SV_LOG_ERROR, "hv.not_thawed", "vm", vm->s, "text", e.arg[0], NULL);
    f->asked = false;
    end_watchdog(f, !rc);
    return !rc && op->value > 0;
}

void lv_thaw_left(struct lv_host *h, const struct sv_id *vm)
{
    const struct sv_deadline within = sv_deadline_within(NULL, THAW_CALL_MS);
    struct lv_frozen f = {.asked = agent_answers(h, vm, &within), .watchdog = -1};
    lv_thaw(h, vm, &f);
}
