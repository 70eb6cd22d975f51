#include "hv/libvirt/internal.h"

#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

/* What a host has. */

int lv_node_memory(virConnectPtr conn, virNodeMemoryStats rows[LV_NODE_ROWS])
{
    int n = 0; /* the library takes the exact number of rows and no other */
    if (virNodeGetMemoryStats(conn, VIR_NODE_MEMORY_STATS_ALL_CELLS, NULL, &n, 0) != 0 || n <= 0 || n > LV_NODE_ROWS ||
        virNodeGetMemoryStats(conn, VIR_NODE_MEMORY_STATS_ALL_CELLS, rows, &n, 0) != 0)
        return 0;
    return n;
}

/* The node's own figure counts one NUMA node on some machines: the total over all is asked first. */
static int64_t memory_of(virConnectPtr conn, const virNodeInfo *node)
{
    virNodeMemoryStats rows[LV_NODE_ROWS];
    const int n = lv_node_memory(conn, rows);
    for (int i = 0; i < n; i++)
        if (strcmp(rows[i].field, VIR_NODE_MEMORY_STATS_TOTAL) == 0)
            return (int64_t)rows[i].value * 1024;
    virResetLastError();
    return (int64_t)node->memory * 1024;
}

static void versions(virConnectPtr conn, struct sv_hv_info *ret)
{
    unsigned long hv = 0, lib = 0;
    const char *type = virConnectGetType(conn);
    virConnectGetVersion(conn, &hv);
    virConnectGetLibVersion(conn, &lib);
    snprintf(ret->virt_version, sizeof(ret->virt_version), "%s %lu.%lu.%lu, libvirt %lu.%lu.%lu", type ? type : "?",
             hv / 1000000, hv / 1000 % 1000, hv % 1000, lib / 1000000, lib / 1000 % 1000, lib % 1000);
}

static void cpu_vendor(virConnectPtr conn, struct sv_hv_info *ret)
{
    SV_AUTOFREE char *xml = virConnectGetCapabilities(conn);
    if (xml)
        lv_xml_text(xml, "vendor", ret->cpu_vendor, sizeof(ret->cpu_vendor));
}

/* PRETTY_NAME="Debian GNU/Linux 12 (bookworm)" */
static void os_version(struct sv_hv_info *ret)
{
    static const char key[] = "PRETTY_NAME=";
    char line[256];
    FILE *f = fopen("/etc/os-release", "re");
    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, key, sizeof(key) - 1) != 0)
            continue;
        char *v = line + sizeof(key) - 1;
        v += *v == '"';
        v[strcspn(v, "\"\n")] = '\0';
        SV_COPY(ret->os_version, v);
    }
    if (f)
        fclose(f);
}

static void kernel(struct sv_hv_info *ret)
{
    struct utsname u;
    if (uname(&u) == 0)
        SV_COPY(ret->kernel, u.release);
}

void lv_storage_of(const char *dir, int64_t *ret_size, int64_t *ret_used)
{
    struct statvfs fs;
    if (statvfs(dir, &fs) != 0)
        return;
    *ret_size = (int64_t)fs.f_blocks * (int64_t)fs.f_frsize;
    *ret_used = *ret_size - (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
}

static enum sv_err do_info(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    virNodeInfo node;
    if (virNodeGetInfo(conn, &node) < 0)
        return lv_error(h, conn, "node_info", err);
    op->info.vcpus = node.cpus;
    op->info.mhz = node.mhz;
    op->info.sockets = (int64_t)node.nodes * node.sockets;
    op->info.cores = node.cores;
    op->info.threads = node.threads;
    SV_COPY(op->info.cpu_model, node.model);
    op->info.memory = memory_of(conn, &node);
    versions(conn, &op->info);
    cpu_vendor(conn, &op->info);
    if (!h->remote) {
        os_version(&op->info);
        kernel(&op->info);
        lv_storage_of(h->image_dir, &op->info.storage_size, &op->info.storage_used);
    }
    pthread_mutex_lock(&h->mu);
    SV_COPY(op->info.domain_type, h->type);
    pthread_mutex_unlock(&h->mu);
    virResetLastError();
    return virConnectIsAlive(conn) == 1 ? SV_OK : lv_error(h, conn, "info", err);
}

enum sv_err lv_info(struct sv_hv_host *base, struct sv_hv_info *ret, const struct sv_deadline *d, struct sv_error *err)
{
    LV_OP op = lv_op_new(NULL);
    enum sv_err rc = lv_call(lv_host_of(base), op, do_info, LV_CALL_HOST, d, err);
    if (!rc)
        *ret = op->info;
    return rc;
}
