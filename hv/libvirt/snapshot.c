#include "hv/libvirt/internal.h"

#include "starvirt/text.h"

#include <libvirt/libvirt-qemu.h>
#include <stdlib.h>
#include <unistd.h>

/* Snapshots live inside the disks' own files, where libvirt and QEMU put them: they form trees, any of them
 * can go, and one can be gone back to again and again. Their name is our id.
 *
 * With memory, going back is libvirt's: it starts another QEMU with the devices of back then. Without, it
 * is done to the files of the guest that is off, and disks that came later stay as they are. */

enum { ASK_AGAIN_MS = 500 }; /* while another of libvirt's jobs has the domain */
#define MEMORY_MARGIN (64 * SV_MIB)

void lv_snapshot_free(virDomainSnapshotPtr *s)
{
    if (*s)
        virDomainSnapshotFree(*s);
    *s = NULL;
}
static bool is_up(enum sv_hv_power p)
{
    return p == SV_HV_RUNNING || p == SV_HV_PAUSED;
}

struct sv_deadline lv_firm(const struct sv_deadline *d)
{
    return (struct sv_deadline){.mono_ms = d ? d->mono_ms : 0};
}

struct lv_op *lv_snapshot_op(const struct sv_id *vm, const struct sv_id *snapshot)
{
    struct lv_op *op = lv_op_new(vm);
    op->snapshot = *snapshot;
    op->patient = true;
    return op;
}

static void pause_for(struct lv_table *t, int64_t ms, const struct sv_deadline *d)
{
    const struct sv_deadline pause = sv_deadline_within(d, ms);
    pthread_mutex_lock(&t->mu);
    while (!t->closing && !sv_deadline_over(&pause))
        lv_cond_wait(&t->changed, &t->mu, &pause, sv_deadline_left(&pause));
    pthread_mutex_unlock(&t->mu);
}

enum sv_err lv_when_free(struct lv_host *h, const struct lv_op *model, lv_fn fn, bool *ret_memory,
                         const struct sv_deadline *d, struct sv_error *err)
{
    for (;;) {
        LV_OP op = lv_snapshot_op(&model->vm, &model->snapshot);
        op->makes = model->makes;
        op->settles = model->settles;
        if (model->dom) {
            op->dom = sv_alloc(sizeof(*op->dom));
            *op->dom = *model->dom;
        }
        enum sv_err rc = lv_call(h, op, fn, LV_CALL_GUEST, d, err);
        if (!rc && ret_memory)
            *ret_memory = op->memory;
        if (rc != SV_E_HYPERVISOR || !op->pending || sv_deadline_left(d) <= ASK_AGAIN_MS)
            return rc;
        pause_for(&h->table, ASK_AGAIN_MS, d);
    }
}

enum sv_err lv_snapshot_failed(struct lv_host *h, virConnectPtr conn, struct lv_op *op, const char *what,
                               struct sv_error *err)
{
    op->pending = virGetLastErrorCode() == VIR_ERR_OPERATION_TIMEOUT;
    enum sv_err rc = lv_error(h, conn, what, err);
    struct sv_error ignored;
    LV_DOMAIN d = op->pending || rc == SV_E_HOST_TIMEOUT ? NULL : lv_lookup(h, conn, &op->vm, &ignored);
    return d ? lv_or_missing(h, d, rc, err) : rc;
}

enum sv_err lv_snapshot_find(struct lv_host *h, virConnectPtr conn, virDomainPtr d, struct lv_op *op,
                             virDomainSnapshotPtr *ret, struct sv_error *err)
{
    *ret = virDomainSnapshotLookupByName(d, op->snapshot.s, 0);
    if (*ret)
        return SV_OK;
    if (virGetLastErrorCode() != VIR_ERR_NO_DOMAIN_SNAPSHOT)
        return lv_snapshot_failed(h, conn, op, "snapshot", err);
    virResetLastError();
    return SV_OK;
}

/* --- create --- */

/* A QEMU is started with the vCPUs that are not plugged in; memory with more of them does not fit it. */
static bool has_plugged_vcpu(const char *xml)
{
    for (const char *at = strstr(xml, "<vcpu id="); at; at = strstr(at + 1, "<vcpu id=")) {
        SV_AUTOFREE char *tag = sv_asprintf("%.*s", (int)strcspn(at, ">"), at);
        if (strstr(tag, "enabled='yes'") && strstr(tag, "hotpluggable='yes'"))
            return true;
    }
    return false;
}

static bool holds_memory(virDomainSnapshotPtr s)
{
    char state[16] = "";
    SV_AUTOFREE char *xml = virDomainSnapshotGetXMLDesc(s, 0);
    return xml && lv_xml_text(xml, "state", state, sizeof(state)) && strcmp(state, "shutoff") != 0 &&
           !has_plugged_vcpu(xml);
}

/* A QEMU that finds no room for the memory leaves what it wrote in the disk's file, and every guest on that
 * storage stands still: so it is not let try. */
static enum sv_err check_room(struct lv_host *h, virConnectPtr conn, virDomainPtr d, struct sv_error *err)
{
    virDomainInfo info;
    if (virDomainGetInfo(d, &info) < 0)
        return lv_error(h, conn, "info", err);
    return lv_free_bytes(h->image_dir) < (int64_t)info.maxMem * 1024 + MEMORY_MARGIN
               ? sv_fail(err, SV_E_STORAGE_FULL, SV_F_NONE)
               : SV_OK;
}

static char *snapshot_xml(const struct sv_id *id)
{
    struct sv_buf out = {0};
    struct sv_xml x;
    sv_xml_init(&x, &out);
    sv_xml_open(&x, "domainsnapshot");
    sv_xml_leaf(&x, "name", id->s);
    sv_xml_close(&x);
    return sv_buf_steal(&out);
}

/* Asked for first and looked for afterwards: libvirt lists a snapshot that it is still making, but answers
 * the second request only when it is done with the first. */
static enum sv_err take(struct lv_host *h, virConnectPtr conn, virDomainPtr d, struct lv_op *op,
                        virDomainSnapshotPtr *ret, struct sv_error *err)
{
    struct sv_error ignored;
    SV_AUTOFREE char *xml = snapshot_xml(&op->snapshot);
    *ret = virDomainSnapshotCreateXML(d, xml, 0);
    if (*ret)
        return SV_OK;
    enum sv_err rc = lv_snapshot_failed(h, conn, op, "snapshot_create", err);
    if (rc == SV_E_HOST_TIMEOUT || op->pending)
        return rc;
    return lv_snapshot_find(h, conn, d, op, ret, &ignored) == SV_OK && *ret ? SV_OK : rc;
}

static enum sv_err do_create(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    enum sv_hv_power now;
    LV_SNAPSHOT made = NULL;
    LV_SNAPSHOT present = NULL;
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    enum sv_err rc = lv_power_of(h, conn, d, &now, err);
    if (!rc)
        rc = lv_snapshot_find(h, conn, d, op, &present, err);
    if (!rc && !present && is_up(now))
        rc = check_room(h, conn, d, err);
    if (!rc)
        rc = take(h, conn, d, op, &made, err);
    if (rc)
        return lv_unless_full(h->image_dir, rc, err);
    op->memory = holds_memory(made);
    return SV_OK;
}

/* --- what a libvirt that died may have left in files that it knows nothing of --- */

static enum sv_err do_files(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_SNAPSHOT present = NULL;
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    enum sv_err rc = lv_power_of(h, conn, d, &op->state.power, err);
    if (!rc)
        rc = lv_snapshot_find(h, conn, d, op, &present, err);
    if (rc || present)
        return rc;
    op->text = virDomainGetXMLDesc(d, 0);
    return op->text ? SV_OK : lv_error(h, conn, "xml", err);
}

static enum sv_err do_drop_live(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    char *answer = NULL;
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    SV_AUTOFREE char *command = sv_asprintf("delvm %s", op->snapshot.s);
    if (virDomainQemuMonitorCommand(d, command, &answer, VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP) < 0)
        return lv_snapshot_failed(h, conn, op, "delvm", err);
    free(answer);
    return SV_OK;
}

static enum sv_err drop_stray(struct lv_host *h, const struct lv_op *op, const struct sv_deadline *d,
                              struct sv_error *err)
{
    const char *at = op->text;
    bool asked = false;
    enum sv_err rc = SV_OK;
    for (char *path; !rc && (path = lv_next_file(&at)); free(path)) {
        bool holds = false;
        if (access(path, F_OK) == 0)
            rc = lv_qcow2_holds(path, &op->snapshot, &holds, d, err);
        if (rc || !holds || asked)
            continue;
        asked = is_up(op->state.power);
        rc = asked ? lv_when_free(h, op, do_drop_live, NULL, d, err) : lv_qcow2_drop(path, &op->snapshot, d, err);
    }
    return rc;
}

static enum sv_err sweep(struct lv_host *h, const struct sv_id *vm, const struct sv_id *snapshot,
                         const struct sv_deadline *d, struct sv_error *err)
{
    LV_OP op = lv_snapshot_op(vm, snapshot);
    enum sv_err rc = lv_call(h, op, do_files, LV_CALL_HOST, d, err);
    if (rc == SV_E_DOMAIN_MISSING)
        return SV_OK;
    return rc || !op->text ? rc : drop_stray(h, op, d, err);
}

enum sv_err lv_snapshot_create(struct sv_hv_host *base, const struct sv_id *vm, const struct sv_id *snapshot,
                               bool *ret_memory, const struct sv_deadline *d, struct sv_error *err)
{
    struct lv_host *h = lv_host_of(base);
    LV_HOLD(h);
    const struct sv_deadline within = lv_firm(d);
    if (sv_deadline_cancelled(d))
        return sv_fail(err, SV_E_JOB_CANCELLED, SV_F_NONE);
    const struct lv_op model = {.vm = *vm, .snapshot = *snapshot, .makes = true};
    enum sv_err rc = sweep(h, vm, snapshot, &within, err);
    return rc ? rc : lv_when_free(h, &model, do_create, ret_memory, &within, err);
}

/* --- delete --- */

static enum sv_err do_delete(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_SNAPSHOT s = NULL;
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    enum sv_err rc = lv_snapshot_find(h, conn, d, op, &s, err);
    if (rc || !s || virDomainSnapshotDelete(s, 0) >= 0)
        return rc;
    return lv_snapshot_failed(h, conn, op, "snapshot_delete", err);
}

enum sv_err lv_snapshot_delete(struct sv_hv_host *base, const struct sv_id *vm, const struct sv_id *snapshot,
                               const struct sv_deadline *d, struct sv_error *err)
{
    struct lv_host *h = lv_host_of(base);
    LV_HOLD(h);
    const struct sv_deadline within = lv_firm(d);
    const struct lv_op model = {.vm = *vm, .snapshot = *snapshot, .settles = true};
    enum sv_err rc = lv_when_free(h, &model, do_delete, NULL, &within, err);
    if (rc == SV_E_DOMAIN_MISSING)
        return SV_OK;
    return rc ? rc : sweep(h, vm, snapshot, &within, err);
}
