#include "hv/libvirt/internal.h"

#include "starvirt/log.h"
#include "starvirt/text.h"

#include <stdlib.h>

/* /dev/kvm that is there proves nothing: nested inside other hypervisors guests are created and never
 * execute. So one is run: its firmware finds nothing to boot and resets the machine, which ends this
 * guest. Seen in time, KVM executes code. */

enum {
    PROOF_MS = 5000,
    PROOF_MEMORY_MIB = 16,
};

static char *proof_xml(const struct sv_id *id)
{
    struct sv_buf out = {0};
    struct sv_xml x;
    sv_xml_init(&x, &out);
    sv_xml_open(&x, "domain");
    sv_xml_attr(&x, "type", "kvm");
    /* Named by its id, as only our domains are: the event table knows it by that. */
    sv_xml_leaf(&x, "name", id->s);
    sv_xml_leaf(&x, "uuid", id->s);
    sv_xml_leaf(&x, "title", "starvirt: does KVM execute?");
    sv_xml_open(&x, "memory");
    sv_xml_attr(&x, "unit", "MiB");
    sv_xml_text(&x, sv_dec(PROOF_MEMORY_MIB).s);
    sv_xml_close(&x);
    sv_xml_leaf(&x, "vcpu", "1");
    sv_xml_open(&x, "os");
    sv_xml_open(&x, "type");
    sv_xml_attr(&x, "arch", "x86_64");
    sv_xml_attr(&x, "machine", "pc");
    sv_xml_text(&x, "hvm");
    sv_xml_close(&x);
    sv_xml_open(&x, "boot");
    sv_xml_attr(&x, "dev", "hd");
    sv_xml_close(&x);
    sv_xml_open(&x, "bios");
    sv_xml_attr(&x, "rebootTimeout", "0");
    sv_xml_close(&x);
    sv_xml_close(&x);
    sv_xml_open(&x, "features");
    sv_xml_empty(&x, "acpi");
    sv_xml_close(&x);
    sv_xml_leaf(&x, "on_poweroff", "destroy");
    sv_xml_leaf(&x, "on_reboot", "destroy");
    sv_xml_leaf(&x, "on_crash", "destroy");
    sv_xml_open(&x, "devices");
    sv_xml_open(&x, "memballoon");
    sv_xml_attr(&x, "model", "none");
    sv_xml_close(&x);
    sv_xml_close(&x);
    sv_xml_close(&x);
    return sv_buf_steal(&out);
}

/* True when the guest ended itself; a crash is no proof. */
static bool ended_in_time(struct lv_host *h, const struct sv_id *id)
{
    const struct sv_deadline d = sv_deadline_within(NULL, PROOF_MS);
    struct lv_table *t = &h->table;
    pthread_mutex_lock(&t->mu);
    for (;;) {
        enum sv_hv_power now = lv_table_get(t, id)->power;
        if (now == SV_HV_OFF || now == SV_HV_CRASHED || now == SV_HV_PAUSED || sv_deadline_over(&d)) {
            pthread_mutex_unlock(&t->mu);
            return now == SV_HV_OFF;
        }
        lv_cond_wait(&t->changed, &t->mu, NULL, sv_deadline_left(&d));
    }
}

static bool kvm_offered(virConnectPtr conn)
{
    SV_AUTOFREE char *caps = virConnectGetDomainCapabilities(conn, NULL, "x86_64", "pc", "kvm", 0);
    virResetLastError();
    return caps != NULL;
}

static bool kvm_executes(struct lv_host *h, virConnectPtr conn)
{
    const struct sv_id id = sv_id_new();
    SV_AUTOFREE char *xml = proof_xml(&id);
    bool proved = false;
    /* AUTODESTROY: should we die here, nothing is left behind. */
    LV_DOMAIN d = virDomainCreateXML(conn, xml, VIR_DOMAIN_START_AUTODESTROY);
    if (d) {
        proved = ended_in_time(h, &id);
        virDomainDestroy(d);
    } else {
        sv_log(SV_LOG_INFO, "hv.kvm_refused", "host", h->base.name, "text", virGetLastErrorMessage(), NULL);
    }
    virResetLastError();
    lv_table_drop(&h->table, &id);
    return proved;
}

void lv_domain_type(struct lv_host *h, virConnectPtr conn, char ret[8])
{
    if (h->is_test) {
        sv_copy(ret, 8, "test");
        return;
    }
    if (strcmp(h->wanted_type, "auto") != 0) {
        sv_copy(ret, 8, h->wanted_type);
        return;
    }
    bool kvm = kvm_offered(conn);
    if (kvm && !kvm_executes(h, conn)) {
        kvm = false;
        if (virConnectIsAlive(conn) != 1)
            return; /* nothing was learnt: asked again on the next connection */
        sv_log(SV_LOG_WARN, "hv.kvm_does_not_execute", "host", h->base.name, NULL);
    }
    sv_copy(ret, 8, kvm ? "kvm" : "qemu");
}
