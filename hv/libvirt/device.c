#include "hv/libvirt/internal.h"

#include "starvirt/text.h"

#include <stdlib.h>
#include <unistd.h>

/* Disks and NICs of running guests. What is plugged in is found in the live definition by what is ours in
 * it, a disk by its serial, a NIC by its MAC; what a guest was asked to let go of is gone when it is no
 * longer there. Guests that do not run have only their definition, which is define()'s. */

enum { ASK_AGAIN_MS = 5000 };

/* --- in the XML --- */

char *lv_xml_around(const char *xml, const char *elem, const char *mark)
{
    SV_AUTOFREE char *open = sv_asprintf("<%s ", elem);
    SV_AUTOFREE char *shut = sv_asprintf("</%s>", elem);
    for (const char *at = strstr(xml, open); at; at = strstr(at + 1, open)) {
        const char *end = strstr(at, shut);
        if (!end)
            return NULL;
        char *found = sv_asprintf("%.*s%s", (int)(end - at), at, shut);
        if (strstr(found, mark))
            return found;
        free(found);
    }
    return NULL;
}

char *lv_disk_mark(const struct sv_id *disk)
{
    char serial[LV_SERIAL_LEN + 1];
    lv_disk_serial(disk, serial);
    return sv_asprintf("<serial>%s</serial>", serial);
}

static char *nic_mark(const struct sv_hv_nic *n)
{
    char mac[SV_MAC_LEN];
    sv_mac_format(n->mac, mac);
    return sv_asprintf("<mac address='%s'/>", mac);
}

enum sv_err lv_live_xml(struct lv_host *h, virConnectPtr conn, virDomainPtr d, char **ret, struct sv_error *err)
{
    enum sv_hv_power now;
    enum sv_err rc = lv_power_of(h, conn, d, &now, err);
    *ret = NULL;
    if (rc || (now != SV_HV_RUNNING && now != SV_HV_PAUSED))
        return rc;
    char *xml = virDomainGetXMLDesc(d, 0);
    if (!xml)
        return lv_error(h, conn, "xml", err);
    *ret = xml;
    return SV_OK;
}

/* --- in and out --- */

static char *live_part(virDomainPtr d, const char *elem, const char *mark)
{
    SV_AUTOFREE char *xml = virDomainGetXMLDesc(d, 0);
    return xml ? lv_xml_around(xml, elem, mark) : NULL;
}

static bool is_there(virDomainPtr d, const char *elem, const char *mark)
{
    SV_AUTOFREE char *found = live_part(d, elem, mark);
    return found != NULL;
}

enum sv_err lv_plug(struct lv_host *h, virConnectPtr conn, virDomainPtr d, const char *elem, const char *mark,
                    const char *xml, struct sv_error *err)
{
    SV_AUTOFREE char *live = NULL;
    enum sv_err rc = lv_live_xml(h, conn, d, &live, err);
    if (rc || !live)
        return rc;
    SV_AUTOFREE char *present = lv_xml_around(live, elem, mark);
    if (present || virDomainAttachDeviceFlags(d, xml, VIR_DOMAIN_AFFECT_LIVE) >= 0)
        return SV_OK;
    rc = lv_error(h, conn, "attach", err);
    return rc != SV_E_HOST_TIMEOUT && is_there(d, elem, mark) ? SV_OK : rc;
}

/* The guest was asked before and has not answered: QEMU does not take a second question. */
static bool asked_already(void)
{
    const char *text = virGetLastErrorMessage();
    return text && strstr(text, "in the process of unplug");
}

/* It has been asked, and answers when it runs again. */
static enum sv_err refuse_paused(struct lv_host *h, virConnectPtr conn, virDomainPtr d, struct sv_error *err)
{
    enum sv_hv_power now;
    const enum sv_err rc = lv_power_of(h, conn, d, &now, err);
    return rc || now != SV_HV_PAUSED ? rc : sv_fail(err, SV_E_VM_STATE, SV_F_NONE, "paused");
}

/* What somebody plugs in, such as a server that was killed meanwhile, shows only when that call is through: one behind
 * it waits for that. */
static enum sv_err let_others_end(struct lv_host *h, virConnectPtr conn, virDomainPtr d, struct sv_error *err)
{
    virDomainMemoryStatStruct one;
    if (virDomainMemoryStats(d, &one, 1, 0) >= 0)
        return SV_OK;
    const int code = virGetLastErrorCode();
    const bool told = code == VIR_ERR_OPERATION_INVALID || code == VIR_ERR_NO_SUPPORT || code == VIR_ERR_NO_DOMAIN;
    if (told)
        virResetLastError();
    return told ? SV_OK : lv_error(h, conn, "memory_stats", err);
}

enum sv_err lv_unplug(struct lv_host *h, virConnectPtr conn, virDomainPtr d, const char *elem, const char *mark,
                      bool *ret_pending, struct sv_error *err)
{
    SV_AUTOFREE char *live = NULL;
    enum sv_err rc = lv_live_xml(h, conn, d, &live, err);
    *ret_pending = false;
    if (rc || !live)
        return rc;
    SV_AUTOFREE char *present = lv_xml_around(live, elem, mark);
    if (!present) {
        rc = let_others_end(h, conn, d, err);
        present = rc ? NULL : live_part(d, elem, mark);
    }
    if (!present)
        return rc;
    if (virDomainDetachDeviceFlags(d, present, VIR_DOMAIN_AFFECT_LIVE) < 0 && !asked_already())
        rc = lv_error(h, conn, "detach", err);
    if (rc == SV_E_HOST_TIMEOUT)
        return rc;
    virResetLastError();
    *ret_pending = is_there(d, elem, mark);
    return *ret_pending ? rc ? rc : refuse_paused(h, conn, d, err) : SV_OK;
}

/* --- until the guest has let go --- */

struct seen {
    uint64_t unplugged, changes, epoch;
};

static struct seen look(struct lv_table *t, const struct sv_id *vm)
{
    pthread_mutex_lock(&t->mu);
    const struct lv_vm *v = lv_table_get(t, vm);
    struct seen s = {.unplugged = v->unplugged, .changes = v->changes, .epoch = t->epoch};
    pthread_mutex_unlock(&t->mu);
    return s;
}

static void until_news(struct lv_table *t, const struct sv_id *vm, const struct seen *s, const struct sv_deadline *d)
{
    const struct sv_deadline within = sv_deadline_within(d, ASK_AGAIN_MS);
    pthread_mutex_lock(&t->mu);
    while (!t->closing && !sv_deadline_over(&within) && !sv_deadline_cancelled(d) && t->epoch == s->epoch &&
           lv_table_get(t, vm)->unplugged == s->unplugged && lv_table_get(t, vm)->changes == s->changes)
        lv_cond_wait(&t->changed, &t->mu, &within, sv_deadline_left(&within));
    pthread_mutex_unlock(&t->mu);
}

static struct lv_op *copy_of(const struct lv_op *model)
{
    struct lv_op *op = lv_op_new(&model->vm);
    op->disk = model->disk;
    op->nic = model->nic;
    op->settles = true; /* or it would not be there yet, and then be there */
    return op;
}

static enum sv_err late(struct sv_error *err)
{
    return sv_fail(err, SV_E_JOB_DEADLINE, SV_F_NONE, "the guest did not let go of the device");
}

enum sv_err lv_until_unplugged(struct lv_host *h, const struct lv_op *model, lv_fn fn, const struct sv_deadline *d,
                               struct sv_error *err)
{
    LV_HOLD(h);
    for (;;) {
        const struct seen before = look(&h->table, &model->vm);
        LV_OP op = copy_of(model);
        enum sv_err rc = lv_call(h, op, fn, LV_CALL_GUEST, d, err);
        if (rc == SV_E_DOMAIN_MISSING)
            return SV_OK;
        if (rc)
            return rc == SV_E_HOST_TIMEOUT && sv_deadline_over(d) ? late(err) : rc;
        if (!op->pending)
            return SV_OK;
        until_news(&h->table, &model->vm, &before, d);
        if (sv_deadline_cancelled(d))
            return sv_fail(err, SV_E_JOB_CANCELLED, SV_F_NONE);
        if (sv_deadline_over(d))
            return late(err);
    }
}

/* --- disks --- */

static enum sv_err do_disk_attach(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    SV_AUTOFREE char *mark = lv_disk_mark(&op->disk.id);
    SV_AUTOFREE char *path = lv_disk_path(h, &op->disk, err);
    if (!path)
        return err->code;
    lv_volume_look(h, &op->disk);
    SV_AUTOFREE char *xml = lv_disk_xml(&op->disk, path, h->image_dir);
    enum sv_err rc = lv_plug(h, conn, d, "disk", mark, xml, err);
    struct sv_error why;
    if (!rc || rc == SV_E_HOST_TIMEOUT || lv_place_is_rbd(h, &op->disk.pool) || !lv_file_there(path, &why))
        return rc;
    *err = why;
    return why.code;
}

static enum sv_err do_disk_detach(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    SV_AUTOFREE char *mark = lv_disk_mark(&op->disk.id);
    return lv_unplug(h, conn, d, "disk", mark, &op->pending, err);
}

enum sv_err lv_disk_attach(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_hv_disk *disk,
                           const struct sv_deadline *d, struct sv_error *err)
{
    LV_OP op = lv_op_new(vm);
    op->disk = *disk;
    op->makes = true;
    enum sv_err rc = lv_call(lv_host_of(h), op, do_disk_attach, LV_CALL_HOST, d, err);
    return rc == SV_E_DOMAIN_MISSING ? SV_OK : rc;
}

enum sv_err lv_disk_detach(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_id *disk,
                           const struct sv_deadline *d, struct sv_error *err)
{
    const struct lv_op model = {.vm = *vm, .disk = {.id = *disk}};
    return lv_until_unplugged(lv_host_of(h), &model, do_disk_detach, d, err);
}

/* --- NICs --- */

static enum sv_err do_nic_attach(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    SV_AUTOFREE char *mark = nic_mark(&op->nic);
    SV_AUTOFREE char *xml = lv_nic_xml(&op->nic);
    return lv_plug(h, conn, d, "interface", mark, xml, err);
}

static enum sv_err do_nic_detach(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    SV_AUTOFREE char *mark = nic_mark(&op->nic);
    return lv_unplug(h, conn, d, "interface", mark, &op->pending, err);
}

enum sv_err lv_nic_attach(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_hv_nic *nic,
                          const struct sv_deadline *d, struct sv_error *err)
{
    LV_OP op = lv_op_new(vm);
    op->nic = *nic;
    op->makes = true;
    enum sv_err rc = lv_call(lv_host_of(h), op, do_nic_attach, LV_CALL_HOST, d, err);
    return rc == SV_E_DOMAIN_MISSING ? SV_OK : rc;
}

enum sv_err lv_nic_detach(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_hv_nic *nic,
                          const struct sv_deadline *d, struct sv_error *err)
{
    const struct lv_op model = {.vm = *vm, .nic = *nic};
    return lv_until_unplugged(lv_host_of(h), &model, do_nic_detach, d, err);
}

/* --- growth --- */

/* Through the QEMU that has the disk open; without one op->pending stays and the file can be changed. */
static enum sv_err do_live_resize(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    SV_AUTOFREE char *live = NULL;
    char target[16];
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    op->pending = true;
    enum sv_err rc = lv_live_xml(h, conn, d, &live, err);
    if (rc || !live)
        return rc;
    SV_AUTOFREE char *mark = lv_disk_mark(&op->disk.id);
    SV_AUTOFREE char *present = lv_xml_around(live, "disk", mark);
    if (!present || !lv_xml_attr(present, "target", NULL, NULL, "dev", target, sizeof(target)))
        return SV_OK;
    op->pending = false;
    if (virDomainBlockResize(d, target, (unsigned long long)op->value, VIR_DOMAIN_BLOCK_RESIZE_BYTES) < 0)
        return lv_error(h, conn, "resize", err);
    return SV_OK;
}

enum sv_err lv_volume_resize(struct sv_hv_host *base, const struct sv_id *vm, const struct sv_id *disk, int64_t bytes,
                             const struct sv_deadline *d, struct sv_error *err)
{
    struct lv_host *h = lv_host_of(base);
    LV_HOLD(h);
    int64_t now = 0;
    bool in_ceph = false;
    SV_AUTOFREE char *path = lv_volume_find(h, disk);
    enum sv_err rc = access(path, F_OK) != 0 ? lv_rbd_resize(h, disk, bytes, &in_ceph, d, err) : SV_OK;
    if (rc || in_ceph)
        return rc;
    rc = lv_volume_size(h, disk, &now, err);
    if (rc || bytes == now)
        return rc;
    if (bytes < now)
        return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, "a smaller disk");
    LV_OP op = lv_op_new(vm);
    op->disk.id = *disk;
    op->value = bytes;
    rc = lv_call(h, op, do_live_resize, LV_CALL_HOST, d, err);
    if (rc == SV_E_DOMAIN_MISSING || (!rc && op->pending))
        return lv_volume_grow(h, disk, bytes, d, err);
    return rc;
}
