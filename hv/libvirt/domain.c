#include "hv/libvirt/internal.h"

#include <stdlib.h>

/* Persistent definitions. */

/* The password that is there stays when none is given. */
static void keep_password(virDomainPtr d, struct sv_hv_domain *dom)
{
    char *xml = virDomainGetXMLDesc(d, VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_INACTIVE);
    if (!xml)
        return;
    lv_xml_attr(xml, "graphics", "type", "vnc", "passwd", dom->vnc_password, sizeof(dom->vnc_password));
    explicit_bzero(xml, strlen(xml));
    free(xml);
}

void lv_find_password(virConnectPtr conn, struct sv_hv_domain *dom)
{
    if (dom->vnc_password[0])
        return;
    LV_DOMAIN present = virDomainLookupByUUIDString(conn, dom->id.s);
    if (present)
        keep_password(present, dom);
}

/* What the host's CPU calls its virtualisation. */
static const char *own_feature(virConnectPtr conn)
{
    SV_AUTOFREE char *xml = virConnectGetCapabilities(conn);
    char vendor[32] = "";
    if (xml)
        lv_xml_text(xml, "vendor", vendor, sizeof(vendor));
    return strcmp(vendor, "Intel") == 0 ? "vmx" : strcmp(vendor, "AMD") == 0 ? "svm" : NULL;
}

/* NULL when the storage of a disk is not open here: a wrong path must not get into a definition. */
static char *domain_xml(struct lv_host *h, virConnectPtr conn, const struct sv_hv_domain *dom, const char *type,
                        struct sv_error *err)
{
    char *paths[SV_HV_MAX_DISKS] = {NULL};
    const struct lv_xml_env env = {
        .type = type, .image_dir = h->image_dir, .paths = paths, .nested = dom->nested ? own_feature(conn) : NULL};
    unsigned n = 0;
    while (n < dom->disk_count && (paths[n] = lv_disk_path(h, &dom->disks[n], err)) != NULL)
        n++;
    char *xml = n == dom->disk_count ? lv_domain_xml(dom, &env) : NULL;
    for (unsigned i = 0; i < n; i++)
        free(paths[i]);
    return xml;
}

static enum sv_err do_define(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    char type[sizeof(h->type)];
    pthread_mutex_lock(&h->mu);
    SV_COPY(type, h->type);
    pthread_mutex_unlock(&h->mu);
    lv_find_password(conn, op->dom);
    for (unsigned i = 0; i < op->dom->disk_count; i++)
        lv_volume_look(h, &op->dom->disks[i]);
    char *xml = domain_xml(h, conn, op->dom, type, err);
    if (!xml)
        return err->code;
    LV_DOMAIN d = virDomainDefineXMLFlags(conn, xml, 0);
    explicit_bzero(xml, strlen(xml));
    free(xml);
    if (!d)
        return lv_error(h, conn, "define", err);
    lv_table_set_ours(&h->table, &op->vm);
    return SV_OK;
}

enum sv_err lv_define(struct sv_hv_host *base, const struct sv_hv_domain *dom, const struct sv_deadline *d,
                      struct sv_error *err)
{
    LV_OP op = lv_op_new(&dom->id);
    op->dom = sv_alloc(sizeof(*op->dom));
    *op->dom = *dom;
    op->makes = op->settles = true;
    return lv_call(lv_host_of(base), op, do_define, LV_CALL_HOST, d, err);
}

static enum sv_err do_undefine(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    unsigned flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA;
    if (!h->is_test)
        flags |= VIR_DOMAIN_UNDEFINE_NVRAM | VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    if (virDomainIsActive(d) == 1)
        return sv_fail(err, SV_E_VM_STATE, SV_F_VM, lv_power_name(SV_HV_RUNNING));
    return virDomainUndefineFlags(d, flags) < 0 ? lv_error(h, conn, "undefine", err) : SV_OK;
}

enum sv_err lv_undefine(struct sv_hv_host *base, const struct sv_id *vm, const struct sv_deadline *d,
                        struct sv_error *err)
{
    LV_OP op = lv_op_new(vm);
    op->settles = true;
    enum sv_err rc = lv_call(lv_host_of(base), op, do_undefine, LV_CALL_HOST, d, err);
    if (rc && rc != SV_E_DOMAIN_MISSING)
        return rc;
    lv_table_drop(&lv_host_of(base)->table, vm);
    return SV_OK;
}
