/* What libvirt itself takes to define and start a domain: its in-process test driver, no guest behind it.
 *
 *     limit_libvirt [URI [N]]     one JSON line, domains a second, one thread */
#include "bench/yard.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

static void quiet(void *arg, virErrorPtr e)
{
    (void)arg, (void)e;
}

static virDomainPtr define(virConnectPtr c, long i)
{
    char xml[1024];

    snprintf(xml, sizeof(xml),
             "<domain type='test'><name>limit-%06ld</name><memory unit='MiB'>512</memory><vcpu>2</vcpu>"
             "<os><type arch='i686'>hvm</type></os><devices><disk type='file' device='disk'>"
             "<source file='/nowhere/%06ld.qcow2'/><target dev='vda'/></disk>"
             "<interface type='network'><source network='default'/></interface></devices></domain>",
             i, i);
    virDomainPtr d = virDomainDefineXML(c, xml);
    if (!d)
        yard_die("define: %s", virGetLastErrorMessage());
    return d;
}

int main(int argc, char **argv)
{
    const char *uri = argc > 1 ? argv[1] : "test:///default";
    const long n = argc > 2 ? yard_arg(argv[2], 1, 10000) : 500;
    virDomainPtr *domains = calloc((size_t)n, sizeof(virDomainPtr));

    virSetErrorFunc(NULL, quiet);
    virConnectPtr c = virConnectOpen(uri);
    if (!c || !domains)
        yard_die("%s: %s", uri, virGetLastErrorMessage());
    const double t0 = yard_now();
    for (long i = 0; i < n; i++)
        domains[i] = define(c, i);
    const double t1 = yard_now();
    for (long i = 0; i < n; i++)
        if (virDomainCreate(domains[i]) != 0)
            yard_die("create: %s", virGetLastErrorMessage());
    const double t2 = yard_now();
    for (long i = 0; i < n; i++) {
        if (virDomainDestroy(domains[i]) != 0 || virDomainUndefine(domains[i]) != 0)
            yard_die("destroy: %s", virGetLastErrorMessage());
        virDomainFree(domains[i]);
    }
    const double t3 = yard_now();
    printf("{\"define\": %.0f, \"create\": %.0f, \"define_create\": %.0f, \"destroy_undefine\": %.0f}\n",
           (double)n / (t1 - t0), (double)n / (t2 - t1), (double)n / (t2 - t0), (double)n / (t3 - t2));
    virConnectClose(c);
    free(domains);
    return 0;
}
