#include "hv/libvirt/internal.h"

#include <libvirt/libvirt-qemu.h>
#include <stdio.h>
#include <stdlib.h>

/* A translated guest (no KVM) shares one cache of translated code among its vCPUs. QEMU 7.2 aborts, and
 * the guest with it, when a vCPU is added while no part of the cache is free: so that is looked at first. */

/* A quarter must be free: more than all the parts that running vCPUs may have begun. */
static bool has_free_quarter(const char *jit)
{
    static const char key[] = "gen code size";
    unsigned long long used, total;
    const char *at = strstr(jit, key);
    return at && sscanf(at + sizeof(key) - 1, " %20llu/%20llu", &used, &total) == 2 && used / 3 < total / 4;
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
