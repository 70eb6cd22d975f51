#include "hv/libvirt/internal.h"

#include <stdlib.h>

/* Going back to a snapshot: with its memory, or to its disks only (snapshot.c). */

static enum sv_err gone(struct sv_error *err)
{
    return sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, "the host has no such snapshot");
}

/* The definition inside a snapshot holds the password of back then; it gets the one of now before anybody
 * can be let in by the other. */
static char *with_password(const char *xml, const char *password)
{
    static const char old[] = " passwd='";
    struct sv_buf out = {0};
    char *ours = lv_graphics_xml(password);
    const char *attr = strstr(ours, " passwd=\"");
    const int n = (int)(strchr(attr + sizeof(old) - 1, '"') + 1 - attr);
    const char *from = xml;
    for (const char *at = strstr(xml, old); at; at = strstr(at, old)) {
        sv_buf_add(&out, from, (size_t)(at - from));
        sv_buf_add(&out, attr, (size_t)n);
        from = at + sizeof(old) - 1;
        from += strcspn(from, "'") + 1;
        at = from;
    }
    sv_buf_puts(&out, from);
    explicit_bzero(ours, strlen(ours));
    free(ours);
    return sv_buf_steal(&out);
}

static void forget(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

static enum sv_err renew_password(struct lv_host *h, virConnectPtr conn, virDomainPtr d, struct lv_op *op,
                                  virDomainSnapshotPtr s, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    lv_find_password(conn, op->dom);
    char *xml = virDomainSnapshotGetXMLDesc(s, VIR_DOMAIN_SNAPSHOT_XML_SECURE);
    if (!xml)
        return lv_snapshot_failed(h, conn, op, "snapshot_xml", err);
    char *renewed = with_password(xml, op->dom->vnc_password);
    virDomainSnapshotPtr again = virDomainSnapshotCreateXML(d, renewed, VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE);
    if (!again)
        rc = lv_snapshot_failed(h, conn, op, "snapshot_redefine", err);
    lv_snapshot_free(&again);
    forget(renewed);
    forget(xml);
    return rc;
}

/* A memory image of another kind would come back at the next start, onto disks that are no longer its. */
static enum sv_err drop_saved(struct lv_host *h, virConnectPtr conn, virDomainPtr d, struct lv_op *op,
                              struct sv_error *err)
{
    if (virDomainHasManagedSaveImage(d, 0) == 1 && virDomainManagedSaveRemove(d, 0) < 0)
        return lv_snapshot_failed(h, conn, op, "managed_save_remove", err);
    return SV_OK;
}

/* The snapshot to go back to, and no other memory of the guest beside it. */
static enum sv_err find_alone(struct lv_host *h, virConnectPtr conn, virDomainPtr d, struct lv_op *op,
                              virDomainSnapshotPtr *ret, struct sv_error *err)
{
    enum sv_err rc = lv_snapshot_find(h, conn, d, op, ret, err);
    if (!rc && !*ret)
        rc = gone(err);
    return rc ? rc : drop_saved(h, conn, d, op, err);
}

static enum sv_err do_revert(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_SNAPSHOT s = NULL;
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    enum sv_err rc = find_alone(h, conn, d, op, &s, err);
    if (!rc)
        rc = renew_password(h, conn, d, op, s, err);
    if (!rc && virDomainRevertToSnapshot(s, VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING) < 0)
        rc = lv_snapshot_failed(h, conn, op, "snapshot_revert", err);
    return rc;
}

static enum sv_err revert(struct lv_host *h, struct sv_hv_domain *dom, const struct sv_id *snapshot,
                          const struct sv_deadline *d, struct sv_error *err)
{
    struct sv_error ignored;
    const struct lv_op model = {.vm = dom->id, .snapshot = *snapshot, .dom = dom};
    enum sv_err rc = lv_when_free(h, &model, do_revert, NULL, d, err);
    if (rc == SV_E_HOST_DOWN || rc == SV_E_HOST_TIMEOUT || rc == SV_E_DOMAIN_MISSING)
        return rc;
    if (rc)
        lv_define(&h->base, dom, d, &ignored); /* libvirt has its old one by now */
    else
        rc = lv_define(&h->base, dom, d, err);
    for (unsigned i = 0; !rc && i < dom->disk_count; i++)
        rc = lv_volume_resize(&h->base, &dom->id, &dom->disks[i].id, dom->disks[i].size, d, err);
    return rc;
}

static enum sv_err do_members(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_SNAPSHOT s = NULL;
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    enum sv_err rc = find_alone(h, conn, d, op, &s, err);
    if (rc)
        return rc;
    op->text = virDomainSnapshotGetXMLDesc(s, 0);
    return op->text ? SV_OK : lv_snapshot_failed(h, conn, op, "snapshot_xml", err);
}

static bool is_member(const struct lv_op *op, const struct sv_hv_disk *disk)
{
    SV_AUTOFREE char *mark = lv_disk_mark(&disk->id);
    return strstr(op->text, mark) != NULL;
}

/* All of the disks or none: each is looked into before the first is changed. */
static enum sv_err check_disks(struct lv_host *h, const struct lv_op *op, const struct sv_hv_domain *dom,
                               const struct sv_deadline *d, struct sv_error *err)
{
    for (unsigned i = 0; i < dom->disk_count; i++) {
        bool holds = false;
        if (!is_member(op, &dom->disks[i]))
            continue;
        SV_AUTOFREE char *path = lv_volume_find(h, &dom->disks[i].id);
        enum sv_err rc = lv_file_there(path, err);
        if (!rc)
            rc = lv_qcow2_holds(path, &op->snapshot, &holds, d, err);
        if (!rc && !holds)
            rc = sv_fail(err, SV_E_STORAGE, SV_F_NONE, "the disk no longer holds the snapshot");
        if (rc)
            return rc;
    }
    return SV_OK;
}

static enum sv_err apply_disk(struct lv_host *h, const struct lv_op *op, const struct sv_hv_disk *disk,
                              const struct sv_deadline *d, struct sv_error *err)
{
    int64_t size = 0;
    SV_AUTOFREE char *path = lv_volume_find(h, &disk->id);
    enum sv_err rc = lv_qcow2_apply(path, &op->snapshot, d, err);
    if (!rc)
        rc = lv_volume_size(h, &disk->id, &size, err);
    if (!rc && size < disk->size)
        rc = lv_volume_grow(h, &disk->id, disk->size, d, err);
    return rc ? rc : lv_file_sync(path, err);
}

static enum sv_err apply(struct lv_host *h, const struct sv_hv_domain *dom, const struct sv_id *snapshot,
                         const struct sv_deadline *d, struct sv_error *err)
{
    LV_OP op = lv_snapshot_op(&dom->id, snapshot);
    enum sv_err rc = lv_destroy(&h->base, &dom->id, d, err);
    if (!rc)
        rc = lv_call(h, op, do_members, LV_CALL_GUEST, d, err);
    if (!rc)
        rc = check_disks(h, op, dom, d, err);
    for (unsigned i = 0; !rc && i < dom->disk_count; i++)
        if (is_member(op, &dom->disks[i]))
            rc = apply_disk(h, op, &dom->disks[i], d, err);
    return rc ? rc : lv_define(&h->base, dom, d, err);
}

enum sv_err lv_snapshot_restore(struct sv_hv_host *base, const struct sv_hv_domain *dom, const struct sv_id *snapshot,
                                bool memory, const struct sv_deadline *d, struct sv_error *err)
{
    struct lv_host *h = lv_host_of(base);
    LV_HOLD(h);
    const struct sv_deadline within = lv_firm(d);
    if (!memory)
        return apply(h, dom, snapshot, &within, err);
    struct sv_hv_domain *wanted = sv_alloc(sizeof(*wanted));
    *wanted = *dom;
    enum sv_err rc = revert(h, wanted, snapshot, &within, err);
    explicit_bzero(wanted->vnc_password, sizeof(wanted->vnc_password));
    free(wanted);
    return rc;
}
