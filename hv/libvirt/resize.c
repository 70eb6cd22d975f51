#include "hv/libvirt/internal.h"

#include "starvirt/text.h"

#include <stdlib.h>

/* Only growth is done live: a vCPU taken from a running QEMU 7.2 can hang it at the next hot-plug. */

static enum sv_err cannot(struct sv_error *err, const char *why)
{
    return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, why);
}

static enum sv_err running(struct lv_host *h, virConnectPtr conn, virDomainPtr d, virDomainInfo *ret,
                           struct sv_error *err)
{
    if (virDomainGetInfo(d, ret) < 0)
        return lv_error(h, conn, "info", err);
    if (ret->state == VIR_DOMAIN_RUNNING || ret->state == VIR_DOMAIN_BLOCKED)
        return SV_OK;
    return cannot(err, "live change of a guest that is not running");
}

static enum sv_err do_set_vcpus(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    virDomainInfo now;
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    enum sv_err rc = running(h, conn, d, &now, err);
    if (rc || op->value == now.nrVirtCpu)
        return rc;
    if (op->value < now.nrVirtCpu)
        return cannot(err, "live removal of vCPUs");
    if (op->value > virDomainGetVcpusFlags(d, VIR_DOMAIN_VCPU_LIVE | VIR_DOMAIN_VCPU_MAXIMUM))
        return cannot(err, "more vCPUs than the running guest has room for");
    if (!lv_may_add_vcpus(d))
        return cannot(err, "more vCPUs while the translator's cache is full");
    if (virDomainSetVcpusFlags(d, (unsigned)op->value, VIR_DOMAIN_VCPU_LIVE) < 0)
        return lv_error(h, conn, "set_vcpus", err);
    return SV_OK;
}

static char *dimm_xml(int64_t bytes)
{
    struct sv_buf out = {0};
    struct sv_xml x;
    sv_xml_init(&x, &out);
    sv_xml_open(&x, "memory");
    sv_xml_attr(&x, "model", "dimm");
    sv_xml_open(&x, "target");
    sv_xml_open(&x, "size");
    sv_xml_attr(&x, "unit", "KiB");
    sv_xml_text(&x, sv_dec(bytes / 1024).s);
    sv_xml_close(&x);
    sv_xml_leaf(&x, "node", "0");
    sv_xml_close(&x);
    sv_xml_close(&x);
    return sv_buf_steal(&out);
}

/* 0 for a guest without room. */
static int64_t room_of(virDomainPtr d)
{
    char kib[32];
    int64_t n = 0;
    SV_AUTOFREE char *xml = virDomainGetXMLDesc(d, 0);
    const char *at = xml ? strstr(xml, "<maxMemory ") : NULL;
    at = at ? strchr(at, '>') : NULL;
    if (!at)
        return 0;
    SV_COPY(kib, at + 1);
    kib[strcspn(kib, "<")] = '\0';
    return sv_parse_int(kib, &n) ? n * 1024 : 0;
}

static enum sv_err do_set_memory(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    virDomainInfo now;
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    enum sv_err rc = running(h, conn, d, &now, err);
    int64_t more = op->value - (int64_t)now.maxMem * 1024;
    if (rc || more == 0)
        return rc;
    if (more < 0)
        return cannot(err, "live removal of memory");
    if (more % (LV_DIMM_UNIT_MIB * SV_MIB) != 0)
        return cannot(err, "live growth of memory by less than a multiple of 128 MiB");
    if (op->value > room_of(d))
        return cannot(err, "more memory than the running guest has room for");
    SV_AUTOFREE char *xml = dimm_xml(more);
    return virDomainAttachDeviceFlags(d, xml, VIR_DOMAIN_AFFECT_LIVE) < 0 ? lv_error(h, conn, "set_memory", err)
                                                                          : SV_OK;
}

static enum sv_err grow(struct sv_hv_host *h, const struct sv_id *vm, int64_t value, lv_fn fn,
                        const struct sv_deadline *d, struct sv_error *err)
{
    LV_OP op = lv_op_new(vm);
    op->value = value;
    return lv_call(lv_host_of(h), op, fn, LV_CALL_HOST, d, err);
}

enum sv_err lv_set_vcpus(struct sv_hv_host *h, const struct sv_id *vm, int64_t vcpus, const struct sv_deadline *d,
                         struct sv_error *err)
{
    return grow(h, vm, vcpus, do_set_vcpus, d, err);
}

enum sv_err lv_set_memory(struct sv_hv_host *h, const struct sv_id *vm, int64_t bytes, const struct sv_deadline *d,
                          struct sv_error *err)
{
    return grow(h, vm, bytes, do_set_memory, d, err);
}
