#include "hv/libvirt/internal.h"

#include <libvirt/libvirt-qemu.h>
#include <stdlib.h>

/* A translated guest (no KVM) shares one cache of translated code among its vCPUs. QEMU 7.2 aborts, and
 * the guest with it, when a vCPU is added while no part of the cache is free: so that is looked at first. */

/* Digits after blanks; moves past them. */
static bool next_number(const char **at, int64_t *ret)
{
    char digits[24];
    *at += strspn(*at, " /");
    SV_COPY(digits, *at);
    digits[strspn(digits, "0123456789")] = '\0';
    *at += strlen(digits);
    return sv_parse_int(digits, ret);
}

/* "gen code size       31417555/33472512": a quarter must be free, more than all the parts that running
 * vCPUs may have begun. */
static bool has_free_quarter(const char *jit)
{
    static const char key[] = "gen code size";
    int64_t used, total;
    const char *at = strstr(jit, key);
    if (!at)
        return false;
    at += sizeof(key) - 1;
    return next_number(&at, &used) && next_number(&at, &total) && used / 3 < total / 4;
}

bool lv_may_add_vcpus(virDomainPtr d)
{
    char type[16] = "";
    char *jit = NULL;
    SV_AUTOFREE char *xml = virDomainGetXMLDesc(d, 0);
    if (!xml || !lv_xml_attr(xml, "domain", NULL, NULL, "type", type, sizeof(type)))
        return false;
    if (strcmp(type, "qemu") != 0)
        return true;
    if (virDomainQemuMonitorCommand(d, "info jit", &jit, VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP) < 0)
        return false;
    bool room = has_free_quarter(jit);
    free(jit);
    return room;
}
