#include "hv/libvirt/internal.h"

#include "starvirt/text.h"

#include <stdlib.h>

/* Copies of disks that a guest writes to: QEMU makes them, all as of one moment. What it does is asked for
 * once a second and when libvirt tells that a job has ended. */

enum {
    LOOK_MS = 1000,
    ABORT_MS = 30000, /* for a job that is told to end */
};

struct live {
    struct lv_host *h;
    const struct sv_id *vm;
    const struct sv_hv_copy *copies;
    unsigned n;
    sv_hv_progress progress;
    void *arg;
};

/* --- beginning --- */

static void disk_row(struct sv_xml *x, const char *target, const char *path)
{
    sv_xml_open(x, "disk");
    sv_xml_attr(x, "name", target);
    sv_xml_attr(x, "backup", "yes");
    sv_xml_attr(x, "type", "file");
    sv_xml_open(x, "driver");
    sv_xml_attr(x, "type", "qcow2");
    sv_xml_close(x);
    sv_xml_open(x, "target");
    sv_xml_attr(x, "file", path);
    sv_xml_close(x);
    sv_xml_close(x);
}

/* NULL when the guest has no such disk. */
static char *backup_xml(const char *live, const struct sv_hv_copy *copies, unsigned n)
{
    struct sv_buf out = {0};
    struct sv_xml x;
    bool all = true;
    sv_xml_init(&x, &out);
    sv_xml_open(&x, "domainbackup");
    sv_xml_attr(&x, "mode", "push");
    sv_xml_open(&x, "disks");
    for (unsigned i = 0; i < n && all; i++) {
        char target[16] = "";
        SV_AUTOFREE char *mark = lv_disk_mark(&copies[i].disk);
        SV_AUTOFREE char *disk = lv_xml_around(live, "disk", mark);
        all = disk && lv_xml_attr(disk, "target", NULL, NULL, "dev", target, sizeof(target));
        if (all)
            disk_row(&x, target, copies[i].path);
    }
    sv_xml_close(&x);
    sv_xml_close(&x);
    if (!all)
        sv_buf_free(&out);
    return all ? sv_buf_steal(&out) : NULL;
}

static enum sv_err do_live_xml(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    enum sv_err rc = lv_live_xml(h, conn, d, &op->text, err);
    if (!rc && !op->text)
        rc = sv_fail(err, SV_E_VM_STATE, SV_F_VM, lv_power_name(SV_HV_OFF));
    return rc;
}

static enum sv_err do_begin(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    return virDomainBackupBegin(d, op->text, NULL, VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL) < 0
               ? lv_error(h, conn, "backup", err)
               : SV_OK;
}

static enum sv_err begin_with(const struct live *c, const char *xml, bool *ret_quiesced, const struct sv_deadline *d,
                              struct sv_error *err)
{
    struct lv_frozen frozen;
    LV_OP op = lv_op_new(c->vm);
    op->text = sv_strdup(xml);
    op->makes = true;
    lv_freeze(c->h, c->vm, &frozen, d);
    enum sv_err rc = lv_call(c->h, op, do_begin, LV_CALL_HOST, d, err);
    *ret_quiesced = lv_thaw(c->h, c->vm, &frozen);
    return rc;
}

static enum sv_err begin(const struct live *c, bool *ret_quiesced, const struct sv_deadline *d, struct sv_error *err)
{
    LV_OP op = lv_op_new(c->vm);
    enum sv_err rc = lv_call(c->h, op, do_live_xml, LV_CALL_HOST, d, err);
    if (rc)
        return rc;
    SV_AUTOFREE char *xml = backup_xml(op->text, c->copies, c->n);
    if (!xml)
        return sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, "the guest does not have the disk");
    return begin_with(c, xml, ret_quiesced, d, err);
}

/* --- what the job does --- */

static int64_t number(const virTypedParameterPtr params, int n, const char *name)
{
    unsigned long long v = 0;
    return virTypedParamsGetULLong(params, n, name, &v) == 1 ? (int64_t)v : 0;
}

/* -1: no such job is known. */
static int operation(const virTypedParameterPtr params, int n)
{
    int op = -1;
    return virTypedParamsGetInt(params, n, VIR_DOMAIN_JOB_OPERATION, &op) == 1 ? op : -1;
}

static enum sv_err lost(struct sv_error *err)
{
    return sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, "nobody knows how the copy ended");
}

/* How the last one ended. */
static enum sv_err outcome(struct lv_host *h, virConnectPtr conn, virDomainPtr d, struct lv_op *op,
                           struct sv_error *err)
{
    virTypedParameterPtr params = NULL;
    const char *text = NULL;
    int n = 0, type = VIR_DOMAIN_JOB_NONE;
    const unsigned flags = VIR_DOMAIN_JOB_STATS_COMPLETED | VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED;
    if (virDomainGetJobStats(d, &type, &params, &n, flags) < 0)
        return lv_error(h, conn, "job", err);
    enum sv_err rc = SV_OK;
    if (operation(params, n) != VIR_DOMAIN_JOB_OPERATION_BACKUP) {
        rc = lost(err);
    } else if (type == VIR_DOMAIN_JOB_COMPLETED) {
        op->done = op->total = number(params, n, VIR_DOMAIN_JOB_DISK_TOTAL);
    } else {
        virTypedParamsGetString(params, n, VIR_DOMAIN_JOB_ERRMSG, &text);
        rc = lv_error_text(h, "backup_job", VIR_ERR_OPERATION_FAILED, text ? text : "the copy broke off", err);
    }
    virTypedParamsFree(params, n);
    return rc;
}

/* op->pending while it runs. */
static enum sv_err do_look(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    virTypedParameterPtr params = NULL;
    int n = 0, type = VIR_DOMAIN_JOB_NONE;
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    if (virDomainGetJobStats(d, &type, &params, &n, 0) < 0)
        return lv_error(h, conn, "job", err);
    op->pending = type != VIR_DOMAIN_JOB_NONE && operation(params, n) == VIR_DOMAIN_JOB_OPERATION_BACKUP;
    op->done = number(params, n, VIR_DOMAIN_JOB_DISK_PROCESSED);
    op->total = number(params, n, VIR_DOMAIN_JOB_DISK_TOTAL);
    virTypedParamsFree(params, n);
    return op->pending ? SV_OK : outcome(h, conn, d, op, err);
}

/* op->pending while there is one that may still run. */
static enum sv_err do_abort(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    virTypedParameterPtr params = NULL;
    int n = 0, type = VIR_DOMAIN_JOB_NONE;
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    if (virDomainIsActive(d) != 1)
        return SV_OK;
    if (virDomainGetJobStats(d, &type, &params, &n, 0) < 0)
        return lv_error(h, conn, "job", err);
    op->pending = type != VIR_DOMAIN_JOB_NONE && operation(params, n) == VIR_DOMAIN_JOB_OPERATION_BACKUP;
    virTypedParamsFree(params, n);
    if (op->pending && virDomainAbortJob(d) < 0)
        virResetLastError(); /* it has just ended, or it is asked again */
    return SV_OK;
}

/* --- until it has ended --- */

struct mark {
    uint64_t jobs, changes, epoch;
};

static struct mark look(struct lv_table *t, const struct sv_id *vm)
{
    pthread_mutex_lock(&t->mu);
    const struct lv_vm *v = lv_table_get(t, vm);
    const struct mark m = {.jobs = v->jobs, .changes = v->changes, .epoch = t->epoch};
    pthread_mutex_unlock(&t->mu);
    return m;
}

static void until_news(struct lv_table *t, const struct sv_id *vm, const struct mark *m, const struct sv_deadline *d)
{
    const struct sv_deadline within = sv_deadline_within(d, LOOK_MS);
    pthread_mutex_lock(&t->mu);
    while (!t->closing && !sv_deadline_over(&within) && !sv_deadline_cancelled(d) && t->epoch == m->epoch &&
           lv_table_get(t, vm)->jobs == m->jobs && lv_table_get(t, vm)->changes == m->changes)
        lv_cond_wait(&t->changed, &t->mu, &within, sv_deadline_left(&within));
    pthread_mutex_unlock(&t->mu);
}

static bool closing(struct lv_table *t)
{
    pthread_mutex_lock(&t->mu);
    const bool yes = t->closing;
    pthread_mutex_unlock(&t->mu);
    return yes;
}

static enum sv_err end_job(struct lv_host *h, const struct sv_id *vm, struct sv_error *err)
{
    const struct sv_deadline within = sv_deadline_within(NULL, ABORT_MS);
    for (;;) {
        const struct mark m = look(&h->table, vm);
        LV_OP op = lv_op_new(vm);
        op->settles = true;
        enum sv_err rc = lv_call(h, op, do_abort, LV_CALL_HOST, &within, err);
        if (rc || !op->pending)
            return rc == SV_E_DOMAIN_MISSING ? SV_OK : rc;
        until_news(&h->table, vm, &m, &within);
        if (sv_deadline_over(&within))
            return sv_fail(err, SV_E_HOST_TIMEOUT, SV_F_NONE, h->base.name);
    }
}

static enum sv_err over(const struct live *c, const struct sv_deadline *d, struct sv_error *err)
{
    if (closing(&c->h->table))
        return sv_fail(err, SV_E_HOST_DOWN, SV_F_NONE, c->h->base.name);
    if (sv_deadline_cancelled(d))
        return sv_fail(err, SV_E_JOB_CANCELLED, SV_F_NONE);
    if (sv_deadline_over(d))
        return sv_fail(err, SV_E_JOB_DEADLINE, SV_F_NONE, "copying the disks");
    return SV_OK;
}

/* A break of the connection is waited out: QEMU goes on copying. */
static bool comes_back(const struct live *c, const struct sv_deadline *d)
{
    const struct sv_deadline within = sv_deadline_within(d, c->h->call_limit_ms);
    while (!c->h->base.connected && !sv_deadline_over(&within) && !sv_deadline_cancelled(d) && !closing(&c->h->table)) {
        const struct mark m = look(&c->h->table, c->vm);
        until_news(&c->h->table, c->vm, &m, &within);
    }
    return c->h->base.connected;
}

/* *ret_ended when it is known to have ended well. */
static enum sv_err ask(const struct live *c, bool *ret_ended, const struct sv_deadline *d, struct sv_error *err)
{
    LV_OP op = lv_op_new(c->vm);
    enum sv_err rc = lv_call(c->h, op, do_look, LV_CALL_HOST, d, err);
    if (rc == SV_E_HOST_DOWN || rc == SV_E_HOST_TIMEOUT)
        return comes_back(c, d) ? over(c, d, err) : rc;
    if (rc)
        return rc;
    *ret_ended = !op->pending;
    if (c->progress)
        c->progress(c->arg, op->done, op->total);
    return SV_OK;
}

static enum sv_err await(const struct live *c, const struct sv_deadline *d, struct sv_error *err)
{
    for (;;) {
        const struct mark m = look(&c->h->table, c->vm);
        bool ended = false;
        enum sv_err rc = ask(c, &ended, d, err);
        if (rc || ended)
            return rc;
        until_news(&c->h->table, c->vm, &m, d);
        rc = over(c, d, err);
        if (rc)
            return rc;
    }
}

enum sv_err lv_copy_live(struct lv_host *h, const struct sv_id *vm, const struct sv_hv_copy *copies, unsigned n,
                         bool *ret_quiesced, sv_hv_progress progress, void *arg, const struct sv_deadline *d,
                         struct sv_error *err)
{
    const struct live c = {.h = h, .vm = vm, .copies = copies, .n = n, .progress = progress, .arg = arg};
    struct sv_error ignored;
    enum sv_err rc = begin(&c, ret_quiesced, d, err);
    if (!rc)
        rc = await(&c, d, err);
    if (rc && rc != SV_E_VM_STATE)
        end_job(h, vm, &ignored);
    return rc;
}

enum sv_err lv_copy_abort(struct sv_hv_host *base, const struct sv_id *vm, const struct sv_deadline *d,
                          struct sv_error *err)
{
    struct lv_host *h = lv_host_of(base);
    LV_HOLD(h);
    (void)d; /* ends what must end, in a time of its own */
    lv_thaw_left(h, vm);
    return end_job(h, vm, err);
}
