#include "hv/libvirt/internal.h"

#include "starvirt/log.h"
#include "starvirt/text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* /dev/kvm that is there proves nothing: inside some other hypervisors guests are created, run their
 * firmware and stop at the first thing a kernel does. So a small program of our own is run (proof.S),
 * which does what kernels do and powers its machine off. Seen in time, KVM executes. */

enum {
    PROOF_MS = 5000,
    PROOF_MEMORY_MIB = 16,
    PROOF_BYTES = 64 * 1024, /* a disk that firmware finds large enough */
};

extern const char lv_proof_begin[], lv_proof_end[];

static void leaf(struct sv_xml *x, const char *name, const char *a, const char *b, const char *c, const char *d)
{
    sv_xml_open(x, name);
    sv_xml_attr(x, a, b);
    if (c)
        sv_xml_attr(x, c, d);
    sv_xml_close(x);
}

static void proof_disk(struct sv_xml *x, const char *path)
{
    sv_xml_open(x, "devices");
    sv_xml_open(x, "disk");
    sv_xml_attr(x, "type", "file");
    sv_xml_attr(x, "device", "disk");
    leaf(x, "driver", "name", "qemu", "type", "raw");
    leaf(x, "source", "file", path, NULL, NULL);
    leaf(x, "target", "dev", "hda", "bus", "ide");
    sv_xml_close(x);
    leaf(x, "memballoon", "model", "none", NULL, NULL);
    sv_xml_close(x);
}

/* Named by its id, as only our domains are: the event table knows it by that. Without our mark. */
static char *proof_xml(const struct sv_id *id, const char *type, const char *path)
{
    struct sv_buf out = {0};
    struct sv_xml x;
    sv_xml_init(&x, &out);
    sv_xml_open(&x, "domain");
    sv_xml_attr(&x, "type", type);
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
    leaf(&x, "boot", "dev", "hd", NULL, NULL);
    sv_xml_close(&x);
    sv_xml_open(&x, "features");
    sv_xml_empty(&x, "acpi");
    sv_xml_close(&x);
    sv_xml_leaf(&x, "on_poweroff", "destroy");
    sv_xml_leaf(&x, "on_reboot", "restart"); /* a fault resets: it never gets to the end */
    sv_xml_leaf(&x, "on_crash", "destroy");
    proof_disk(&x, path);
    sv_xml_close(&x);
    return sv_buf_steal(&out);
}

static bool write_disk(const char *path)
{
    size_t n = (size_t)(lv_proof_end - lv_proof_begin);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool ok = write(fd, lv_proof_begin, n) == (ssize_t)n && ftruncate(fd, PROOF_BYTES) == 0;
    return close(fd) == 0 && ok;
}

/* True when the guest powered itself off; anything else, or nothing, is no proof. */
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

static bool run_proof(struct lv_host *h, virConnectPtr conn, const struct sv_id *id, const char *type, const char *path)
{
    SV_AUTOFREE char *xml = proof_xml(id, type, path);
    bool proved = false;
    pthread_mutex_lock(&h->mu);
    h->proof = *id;
    pthread_mutex_unlock(&h->mu);
    lv_table_set_power(&h->table, id, SV_HV_ABSENT);
    /* AUTODESTROY: should we die here, nothing is left behind. */
    LV_DOMAIN d = virDomainCreateXML(conn, xml, VIR_DOMAIN_START_AUTODESTROY);
    if (d) {
        proved = ended_in_time(h, id);
        virDomainDestroy(d);
    } else {
        sv_log(SV_LOG_INFO, "hv.proof_refused", "host", h->base.name, "type", type, "text", virGetLastErrorMessage(),
               NULL);
    }
    virResetLastError();
    lv_table_drop(&h->table, id);
    return proved;
}

bool lv_executes(struct lv_host *h, virConnectPtr conn, const char *type)
{
    const struct sv_id id = sv_id_new();
    SV_AUTOFREE char *path = sv_asprintf("%s/%s" LV_PROOF_SUFFIX, h->image_dir, id.s);
    bool proved = write_disk(path) && run_proof(h, conn, &id, type, path);
    unlink(path);
    return proved;
}

static bool kvm_offered(virConnectPtr conn)
{
    SV_AUTOFREE char *caps = virConnectGetDomainCapabilities(conn, NULL, "x86_64", "pc", "kvm", 0);
    virResetLastError();
    return caps != NULL;
}

static void find_out(struct lv_host *h, virConnectPtr conn, char ret[8])
{
    if (h->remote) {
        sv_log(SV_LOG_WARN, "hv.type_not_proved", "host", h->base.name, "text",
               "nothing can be run on a remote host to find out: set hv.domain_type", NULL);
        sv_copy(ret, 8, "qemu");
        return;
    }
    bool kvm = kvm_offered(conn);
    if (kvm && !lv_executes(h, conn, "kvm")) {
        kvm = false;
        if (virConnectIsAlive(conn) != 1)
            return; /* nothing was learnt: asked again on the next connection */
        sv_log(SV_LOG_WARN, "hv.kvm_does_not_execute", "host", h->base.name, NULL);
    }
    sv_copy(ret, 8, kvm ? "kvm" : "qemu");
}

void lv_domain_type(struct lv_host *h, virConnectPtr conn, char ret[8])
{
    if (h->is_test)
        sv_copy(ret, 8, "test");
    else if (strcmp(h->wanted_type, "auto") != 0)
        sv_copy(ret, 8, h->wanted_type);
    else
        find_out(h, conn, ret);
}
