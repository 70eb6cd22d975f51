/* A VM with its disks and NICs as one piece, and the definition it asks of the hypervisor. */
#include "core/storage/storage.h"
#include "core/vm/vm.h"

struct collect {
    struct sv_vm_rows *rows;
    struct sv_arena *a;
};

/* Texts of a listed row live only in the callback; what outlives it is copied. */
static void add_disk(void *arg, const struct sv_disk *d)
{
    const struct collect *c = arg;
    struct sv_disk *to;

    if (c->rows->disk_count == SV_HV_MAX_DISKS)
        return;
    to = &c->rows->disks[c->rows->disk_count++];
    *to = *d;
    to->name = sv_arena_strdup(c->a, d->name);
    to->descr = sv_arena_strdup(c->a, d->descr);
    to->target = sv_arena_strdup(c->a, d->target);
}

static void add_nic(void *arg, const struct sv_nic *n)
{
    const struct collect *c = arg;
    struct sv_nic *to;

    if (c->rows->nic_count == SV_HV_MAX_NICS)
        return;
    to = &c->rows->nics[c->rows->nic_count++];
    *to = *n;
    to->name = sv_arena_strdup(c->a, n->name);
    to->vm_name = sv_arena_strdup(c->a, n->vm_name);
    to->vpc_name = sv_arena_strdup(c->a, n->vpc_name);
}

enum sv_err sv_vm_rows_in(struct sv_tx *tx, const struct sv_id *vm, struct sv_arena *a, struct sv_vm_rows *ret,
                          struct sv_error *err)
{
    struct collect c = {ret, a};
    enum sv_err rc;

    memset(ret, 0, sizeof(*ret));
    rc = sv_vm_get(tx, sv_scope_system(), vm, a, &ret->vm, err);
    if (!rc)
        rc = sv_disk_list_vm(tx, sv_scope_system(), vm, add_disk, &c, err);
    if (!rc)
        rc = sv_nic_list_vm(tx, sv_scope_system(), vm, add_nic, &c, err);
    return rc;
}

struct read_args {
    const struct sv_id *vm;
    struct sv_arena *a;
    struct sv_vm_rows *ret;
};

static enum sv_err read_rows(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct read_args *r = arg;

    return sv_vm_rows_in(tx, r->vm, r->a, r->ret, err);
}

enum sv_err sv_vm_rows_read(struct sv_db *db, const struct sv_id *vm, struct sv_arena *a, struct sv_vm_rows *ret,
                            struct sv_error *err)
{
    struct read_args r = {vm, a, ret};

    return sv_db_read(db, read_rows, &r, err);
}

/* Room for live growth: vCPUs up to this many, memory up to this multiple; beyond, at next start. */
enum { VCPUS_ROOM = 16, MEMORY_ROOM = 4 };

static int64_t more(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

enum sv_err sv_vm_rows_domain(struct sv_cloud *c, const struct sv_vm_rows *rows, struct sv_hv_domain *ret,
                              struct sv_error *err)
{
    struct sv_hv_domain d = {
        .id = rows->vm.id,
        .vcpus = rows->vm.vcpus,
        .vcpus_max = more(rows->vm.vcpus, VCPUS_ROOM),
        .memory = rows->vm.memory,
        .memory_max = rows->vm.memory * MEMORY_ROOM,
        .nested = rows->vm.nested,
    };
    enum sv_err rc =
        sv_secret_read(c->secrets, c->db, &rows->vm.id, SV_SECRET_VNC, d.vnc_password, sizeof(d.vnc_password), err);

    if (rc)
        return rc;
    SV_COPY(d.name, rows->vm.name);
    for (unsigned i = 0; i < rows->disk_count; i++)
        if (sv_id_empty(&rows->disks[i].undo))
            d.disks[d.disk_count++] = sv_hv_disk_of(&rows->disks[i]);
    for (unsigned i = 0; i < rows->nic_count; i++) {
        const struct sv_nic *from = &rows->nics[i];
        struct sv_hv_nic *to = &d.nics[d.nic_count];

        if (!sv_id_empty(&from->undo))
            continue;
        to->id = from->id;
        memcpy(to->mac, from->mac, sizeof(to->mac));
        c->net->ops->attach(c->net, &from->vpc, &from->id, to);
        d.nic_count++;
    }
    *ret = d;
    return SV_OK;
}

struct sv_amounts sv_vm_rows_amounts(const struct sv_vm_rows *rows)
{
    struct sv_amounts a = {.vcpus = rows->vm.vcpus, .memory = rows->vm.memory};

    for (unsigned i = 0; i < rows->disk_count; i++)
        a.storage += rows->disks[i].size;
    return a;
}
