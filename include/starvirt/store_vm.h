/* VMs with their disks and NICs (StarVCenter 2.2, 2.4, 2.5). */
#ifndef STARVIRT_STORE_VM_H
#define STARVIRT_STORE_VM_H

#include "starvirt/store.h"

/* Wider than any one dialect; each dialect maps it to its own codes. */
enum sv_vm_state {
    SV_VM_BUILDING, /* blank or from an empty model */
    SV_VM_CLONING,  /* from a template */
    SV_VM_STOPPED,
    SV_VM_RUNNING,
    SV_VM_PAUSED,
    SV_VM_SAVED,
    SV_VM_FAILED,  /* creation failed: holds its name only, no resource once that is undone (`undo` is empty) */
    SV_VM_UNKNOWN, /* its host is not connected; derived on reading, never stored */
};

struct sv_vm {
    struct sv_id id, tenant, host, template_id;
    const char *name, *descr;
    const char *model, *model_type; /* values, "" without a model */
    const char *labels;             /* that its host must have, "key=value", by comma, sorted; "" none */
    enum sv_vm_state state;         /* on reading: UNKNOWN while the host is not connected */
    int64_t vcpus, memory /* [bytes] */;
    int64_t live_vcpus, live_memory; /* what the running guest has; 0 when it does not run */
    uint32_t ip;                     /* of the first NIC, 0 = none */
    bool nested, agent;              /* nested virtualisation; the guest agent answers */
    bool firewalled;                 /* its filters are in force */
    bool locked;                     /* a job holds it; on reading */
    struct sv_id undo;               /* on reading: a job on it whose undo is pending; empty = none */
    const char *guest_ips;           /* addresses the guest itself names, by comma; "" = not known */
    int64_t created;
};

enum sv_err sv_vm_insert(struct sv_tx *tx, const struct sv_vm *vm, struct sv_error *err); /* also tenant.vm_count */
enum sv_err sv_vm_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                      struct sv_vm *ret, struct sv_error *err);
struct sv_vm_filter {
    struct sv_id tenant;   /* admin naming one tenant; empty = all in scope */
    const char *name, *id; /* substrings */
    bool by_state;
    enum sv_vm_state states[2]; /* either of these two */
    const char *ip;             /* exact, dotted */
    struct sv_id host;
};
/* Unfiltered: the total comes from the kept counter and any page costs the page (rank marks). */
enum sv_err sv_vm_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_vm_filter *f, const struct sv_page *p,
                       void (*row)(void *arg, const struct sv_vm *vm), void *arg, uint64_t *ret_total,
                       struct sv_error *err);
enum sv_err sv_vm_rename(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, const char *name,
                         const char *descr /* NULL = unchanged */, struct sv_error *err);
/* UPDATE ... WHERE id=? AND state IN (from mask, bit per state); VM_STATE when no row matched. Entering
 * any state but RUNNING and PAUSED clears agent, guest_ips and live figures. */
enum sv_err sv_vm_set_state(struct sv_tx *tx, const struct sv_id *id, unsigned from_mask, enum sv_vm_state to,
                            struct sv_error *err);
#define SV_VM_ANY 0xffU
enum sv_err sv_vm_set_size(struct sv_tx *tx, const struct sv_id *id, int64_t vcpus, int64_t memory,
                           struct sv_error *err);
enum sv_err sv_vm_set_live(struct sv_tx *tx, const struct sv_id *id, int64_t vcpus, int64_t memory,
                           struct sv_error *err);
enum sv_err sv_vm_set_agent(struct sv_tx *tx, const struct sv_id *id, bool up, struct sv_error *err);
enum sv_err sv_vm_set_firewalled(struct sv_tx *tx, const struct sv_id *id, bool on, struct sv_error *err);
/* *ret_changed false: they were that already. Only of a VM that runs, is paused or is being made. */
enum sv_err sv_vm_set_guest_ips(struct sv_tx *tx, const struct sv_id *id, const char *ips, bool *ret_changed,
                                struct sv_error *err);
enum sv_err sv_vm_set_host(struct sv_tx *tx, const struct sv_id *id, const struct sv_id *host, struct sv_error *err);
/* The VM, its disks and NICs must be gone already for the latter two (asserted by foreign keys). */
enum sv_err sv_vm_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);
/* VMs of a host that should exist there (not BUILDING/CLONING/FAILED), for reconciliation. */
enum sv_err sv_vm_list_host(struct sv_tx *tx, const struct sv_id *host, void (*row)(void *arg, const struct sv_vm *vm),
                            void *arg, struct sv_error *err);
/* All there are, in no order. */
enum sv_err sv_vm_each_id(struct sv_tx *tx, void (*row)(void *arg, const struct sv_id *vm), void *arg,
                          struct sv_error *err);

struct sv_disk {
    struct sv_id id, tenant, vm /* may be empty */, storage, template_id /* backing, may be empty */;
    const char *name, *descr;
    const char *target; /* "vda" */
    int64_t size;       /* [bytes] */
    bool boot;
    bool ready;        /* the volume exists on the storage */
    bool elsewhere;    /* on reading: on another storage than its host's image directory */
    struct sv_id undo; /* on reading: it is to go, which is pending for this job; empty = it stays */
    const char *use;   /* of one without a VM: "vm", "volume"; else NULL or "" */
    int64_t created;
};
enum sv_err sv_disk_insert(struct sv_tx *tx, const struct sv_disk *d, struct sv_error *err);
enum sv_err sv_disk_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                        struct sv_disk *ret, struct sv_error *err);
/* Of one VM, boot disk first, then by target. */
enum sv_err sv_disk_list_vm(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *vm,
                            void (*row)(void *arg, const struct sv_disk *d), void *arg, struct sv_error *err);
/* Of no VM, on storages that were added through `host`. */
enum sv_err sv_disk_list_volumes(struct sv_tx *tx, const struct sv_id *host,
                                 void (*row)(void *arg, const struct sv_disk *d), void *arg, struct sv_error *err);
enum sv_err sv_disk_set_ready(struct sv_tx *tx, const struct sv_id *id, bool ready, struct sv_error *err);
enum sv_err sv_disk_set_size(struct sv_tx *tx, const struct sv_id *id, int64_t size, struct sv_error *err);
/* It needs its template no more. */
enum sv_err sv_disk_set_standalone(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);
enum sv_err sv_disk_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);
enum sv_err sv_disk_delete_vm(struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err); /* all of a VM */

struct sv_nic {
    struct sv_id id, tenant, vm, vpc;
    const char *name, *vm_name, *vpc_name; /* the latter two on reading only */
    unsigned char mac[6];
    uint32_t ip;
    int64_t created;
    struct sv_id undo; /* on reading: it is to go, which is pending for this job; empty = it stays */
};
/* Also takes one from vpc.free_count; NIC addresses are unique in a VPC, MACs everywhere (indexes). */
enum sv_err sv_nic_insert(struct sv_tx *tx, const struct sv_nic *n, struct sv_error *err);
enum sv_err sv_nic_list_vm(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *vm,
                           void (*row)(void *arg, const struct sv_nic *n), void *arg, struct sv_error *err);
enum sv_err sv_nic_list_vpc(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *vpc,
                            void (*row)(void *arg, const struct sv_nic *n), void *arg, struct sv_error *err);
enum sv_err sv_nic_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                       struct sv_nic *ret, struct sv_error *err);
/* By its address: VPCs share none. */
enum sv_err sv_nic_get_ip(struct sv_tx *tx, struct sv_scope scope, uint32_t ip, struct sv_arena *a, struct sv_nic *ret,
                          struct sv_error *err);
/* One; gives its address back and makes vm.ip the oldest NIC's that is left. Gone already: success. */
enum sv_err sv_nic_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);
/* vm.ip := address of its oldest NIC, 0 without one. */
enum sv_err sv_nic_refresh_ip(struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err);
enum sv_err sv_nic_delete_vm(struct sv_tx *tx, const struct sv_id *vm,
                             struct sv_error *err); /* all; gives addresses back */

struct sv_vpc {
    struct sv_id id, tenant;
    const char *name, *descr;
    uint32_t base; /* network address */
    unsigned prefix;
    int64_t free_count; /* usable addresses left, kept */
    bool deleting;
    int64_t created;
    struct sv_id router; /* that leads there; read only; empty = none does */
    bool closed;         /* its boundary lets pass what rules allow only; read only */
};
/* Allocates the lowest free subnet of `prefix` bits in supernet/supernet_prefix (VPC_EXHAUSTED) and
 * sets v->base; free_count = 2^(32-prefix) - 3. */
enum sv_err sv_vpc_insert(struct sv_tx *tx, struct sv_vpc *v, uint32_t supernet, unsigned supernet_prefix,
                          struct sv_error *err);
enum sv_err sv_vpc_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                       struct sv_vpc *ret, struct sv_error *err); /* a deleting VPC is not found in a tenant scope */
enum sv_err sv_vpc_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_page *p,
                        void (*row)(void *arg, const struct sv_vpc *v), void *arg, uint64_t *ret_total,
                        struct sv_error *err); /* without deleting ones */
enum sv_err sv_vpc_list_deleting(struct sv_tx *tx, void (*row)(void *arg, const struct sv_vpc *v), void *arg,
                                 struct sv_error *err);
enum sv_err sv_vpc_update(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, const char *name,
                          const char *descr, struct sv_error *err);
/* VPC_IN_USE with the number of NICs, else marks it. */
enum sv_err sv_vpc_begin_delete(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_error *err);
enum sv_err sv_vpc_delete(struct sv_tx *tx, const struct sv_id *id,
                          struct sv_error *err); /* also gives the subnet quota back */
/* Lowest free host address (.2 up to the last but broadcast; .1 is the gateway). VPC_FULL. */
enum sv_err sv_vpc_next_ip(struct sv_tx *tx, const struct sv_vpc *v, uint32_t *ret, struct sv_error *err);
/* For something other than a NIC: no NIC gets the address from here on. *ret_taken false, and nothing changed: it is
 * not free, or none that the VPC hands out. */
enum sv_err sv_vpc_take_ip(struct sv_tx *tx, const struct sv_id *vpc, uint32_t ip, bool *ret_taken,
                           struct sv_error *err);
enum sv_err sv_vpc_give_ip(struct sv_tx *tx, const struct sv_id *vpc, uint32_t ip, struct sv_error *err);

#endif
