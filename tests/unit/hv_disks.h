/* Disks of libvirt guests for the tests of snapshots and copies: written and read by patterns, outside of guests
 * by qemu-io, and under them by their QEMU. */
#ifndef STARVIRT_TESTS_HV_DISKS_H
#define STARVIRT_TESTS_HV_DISKS_H

#include "tests/unit/hv_libvirt.h"

#define PLACE "1M 64k" /* where patterns go, in disks of a GiB */

static inline char *path_of(const struct sv_id *disk)
{
    return sv_asprintf("%s/images/%s.qcow2", dir, disk->s);
}

static inline bool io(const char *path, const char *command)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    const char *const argv[] = {"qemu-io", "-f", "qcow2", "-c", command, path, NULL};
    const struct sv_proc p = {.argv = argv, .out = &out, .err = &out};
    int status = -1;
    CHECK_INT(sv_proc_run(&p, &status, err), SV_OK);
    return status == 0 && !strstr(out.p ? out.p : "", "verification failed");
}

static inline void fill_at(const char *path, int pattern, const char *place)
{
    SV_AUTOFREE char *command = sv_asprintf("write -P %d %s", pattern, place);
    CHECK(io(path, command));
}

static inline bool file_has_at(const char *path, int pattern, const char *place)
{
    SV_AUTOFREE char *command = sv_asprintf("read -P %d %s", pattern, place);
    return io(path, command);
}

static inline void fill(const struct sv_id *disk, int pattern)
{
    SV_AUTOFREE char *path = path_of(disk);
    fill_at(path, pattern, PLACE);
}

static inline bool has(const struct sv_id *disk, int pattern)
{
    SV_AUTOFREE char *path = path_of(disk);
    return file_has_at(path, pattern, PLACE);
}

static inline int64_t size_of(const struct sv_id *disk)
{
    int64_t size = 0;
    CHECK_INT(lv_volume_size(lv_host_of(h), disk, &size, err), SV_OK);
    return size;
}

/* Under a guest that runs: what it would write itself. */
static inline void fill_live(const struct sv_hv_domain *d, unsigned disk, int pattern)
{
    SV_AUTOFREE char *command = sv_asprintf(
        "qemu-io -d /machine/peripheral/virtio-disk%u/virtio-backend \"write -P %d " PLACE "\"", disk, pattern);
    const char *const argv[] = {"virsh", "-q", "-c", uri, "qemu-monitor-command", d->id.s, "--hmp", command, NULL};
    output_of(argv, NULL);
}

static inline unsigned count_in_file(const struct sv_id *disk, const struct sv_id *snapshot)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    SV_AUTOFREE char *path = path_of(disk);
    const char *const argv[] = {"qemu-img", "snapshot", "-U", "-l", path, NULL};
    unsigned n = 0;
    output_of(argv, &out);
    for (const char *at = out.p ? out.p : ""; (at = strstr(at, snapshot->s)); at++)
        n++;
    return n;
}

static inline bool defined_with(const struct sv_hv_domain *d, bool live, const char *text)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf xml = {0};
    const char *const argv[] = {
        "virsh", "-q", "-c", uri, "dumpxml", "--security-info", d->id.s, live ? NULL : "--inactive", NULL};
    output_of(argv, &xml);
    return strstr(xml.p, text) != NULL;
}

static inline struct sv_hv_domain two_disks(void)
{
    struct sv_hv_domain d = guest();
    d.disk_count = 2;
    d.disks[1] = (struct sv_hv_disk){.id = sv_id_new(), .target = "vdb", .size = SV_GIB};
    OK(h, volume_create, &d.disks[1], NULL);
    make(&d);
    return d;
}

static inline void unmake_two(const struct sv_hv_domain *d)
{
    unmake(d);
    OK(h, volume_delete, &d->disks[1].id, NULL);
}

static inline bool snapshot(const struct sv_hv_domain *d, const struct sv_id *id)
{
    bool memory = false;
    OK(h, snapshot_create, &d->id, id, &memory, NULL);
    return memory;
}

#endif
