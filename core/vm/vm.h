/* VMs: claiming one for a job, its rows as one piece, the pieces its jobs are made of. */
#ifndef CORE_VM_H
#define CORE_VM_H

#include "core/place/place.h"
#include "core/run/run.h"

/* --- claiming a VM for a job (core/vm/claim.c) --- */
/* The VM, which no job holds and which is in a state to be changed in what it consists of: VM_NOT_FOUND, VM_LOCKED,
 * UNDO_PENDING, VM_STATE, HOST_DOWN. */
enum sv_err sv_vm_claim(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_vm *ret,
                        struct sv_error *err);
/* The same for a change of its devices: not under a guest saved with them, and a paused guest lets go of
 * nothing. */
enum sv_err sv_vm_claim_devices(struct sv_tx *tx, const struct sv_actor *who, const char *id, bool takes_away,
                                struct sv_vm *ret, struct sv_error *err);
/* A job of the kind for a claimed VM, in the transaction that claimed it; sarg may be NULL. VM_LOCKED. */
enum sv_err sv_vm_accept(struct sv_cloud *c, struct sv_tx *tx, const struct sv_vm *vm, const struct sv_job_kind *kind,
                         const char *sarg, int64_t iarg0, int64_t iarg1, struct sv_id *ret_startid,
                         struct sv_error *err);

/* --- VM rows as one piece (core/vm/rows.c) --- */
struct sv_vm_rows {
    struct sv_vm vm;
    struct sv_disk disks[SV_HV_MAX_DISKS];
    struct sv_nic nics[SV_HV_MAX_NICS];
    unsigned disk_count, nic_count;
};
/* Reads VM, disks and NICs in one snapshot; texts live in the arena. */
enum sv_err sv_vm_rows_read(struct sv_db *db, const struct sv_id *vm, struct sv_arena *a, struct sv_vm_rows *ret,
                            struct sv_error *err);
enum sv_err sv_vm_rows_in(struct sv_tx *tx, const struct sv_id *vm, struct sv_arena *a, struct sv_vm_rows *ret,
                          struct sv_error *err);
/* The hypervisor's definition that these rows ask for: without what is to go (`undo` of a disk, a NIC). */
enum sv_err sv_vm_rows_domain(struct sv_cloud *c, const struct sv_vm_rows *rows, struct sv_hv_domain *ret,
                              struct sv_error *err);
/* What a VM holds of its tenant's quota. */
struct sv_amounts sv_vm_rows_amounts(const struct sv_vm_rows *rows);

/* --- what goes along with a VM that is deleted --- */
/* Rooms above hand it in (core/cloud.c): VMs know nothing of their copies. */
struct sv_vm_company {
    enum sv_err (*drop)(struct sv_run *r, struct sv_error *err); /* a step of vm.delete */
    /* In the transaction that ends vm.delete; before the VM's row goes where it is `done`. */
    enum sv_err (*end)(struct sv_tx *tx, const struct sv_job *job, bool done, struct sv_error *err);
};

/* --- pieces of jobs (core/vm/steps.c) --- */
/* The rows of the job's VM and the driver of its host, where the storages of its disks are open. */
enum sv_err sv_step_begin(struct sv_run *r, struct sv_vm_rows *ret_rows, struct sv_hv_host **ret_host,
                          struct sv_error *err);
/* The definition := what these rows ask for, whatever those in the database say. */
enum sv_err sv_step_define_as(struct sv_run *r, const struct sv_vm_rows *rows, struct sv_hv_host *h,
                              struct sv_error *err);

/* Steps and undos as they stand in rows. */
enum sv_err sv_step_define(struct sv_run *r, struct sv_error *err); /* definition := rows */
/* Definition := rows without the device (disk, NIC) that the job's sarg names; its row stays until the job ends. */
enum sv_err sv_step_define_without(struct sv_run *r, struct sv_error *err);
enum sv_err sv_step_undefine(struct sv_run *r, struct sv_error *err);     /* stops first */
enum sv_err sv_step_drop_disks(struct sv_run *r, struct sv_error *err);   /* volumes of all disks */
enum sv_err sv_step_drop_network(struct sv_run *r, struct sv_error *err); /* NIC rows, then leases */

/* --- a guest's clock (core/vm/clock.c) --- */
/* [ms] how long the agent of a guest that was put back into memory may take to be heard of */
enum { SV_AGENT_BACK_MS = 5 * 1000 };
/* Sets it, waiting for the agent so long; the log says by how much (`say_all`: also when that is nothing), or that
 * nobody could. Never fails the job. */
void sv_clock_set(struct sv_run *r, struct sv_hv_host *h, int64_t wait_ms, bool say_all);

/* Inside the transaction that ends a job. */
/* Quota, host placement, disk and NIC rows, secrets: all the VM holds but its row. */
enum sv_err sv_step_release(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err);
/* RUNNING with the defined size as the live one, event. */
enum sv_err sv_step_running(struct sv_tx *tx, const struct sv_job *job, struct sv_error *err);
enum sv_err sv_step_stopped(struct sv_tx *tx, const struct sv_job *job, struct sv_error *err);

/* --- making a VM (core/vm/new.c) --- */
enum { SV_CREATE_ACCOUNT, SV_CREATE_FULL }; /* iarg of a job that makes a VM */
struct sv_vm_plan {
    const struct sv_job_kind *kind;
    const char *sarg; /* the job's; may be NULL */
    int64_t iarg[2];  /* likewise: SV_CREATE_... */
    struct sv_vm vm;  /* without host, address and time of creation */
    const struct sv_vpc *vpc;
    const struct sv_affinity *groups; /* that it is to be in */
    size_t group_count;
    struct sv_place **place;               /* of a request that makes several: made with its first; NULL for one */
    struct sv_disk disks[SV_HV_MAX_DISKS]; /* id, name, target, size, boot, template */
    unsigned disk_count;
    const char *vnc_password, *account_password; /* may be NULL */
};
/* Place on a host, address, rows, event, job. The tenant's quota is reserved by the caller, who knows how
 * many there are. */
enum sv_err sv_vm_plan_accept(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                              const struct sv_vm_plan *plan, struct sv_id *ret_startid, struct sv_error *err);

/* Steps, undos and ends as they stand in rows. */
enum sv_err sv_step_new_network(struct sv_run *r, struct sv_error *err);
enum sv_err sv_step_new_start(struct sv_run *r, struct sv_error *err);
enum sv_err sv_step_new_stop(struct sv_run *r, struct sv_error *err);
enum sv_err sv_step_new_end(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                            struct sv_error *err);
enum sv_err sv_step_new_left(struct sv_tx *tx, const struct sv_job *job, void *app, struct sv_error *err);

extern const struct sv_job_kind sv_kind_vm_create, sv_kind_vm_install, sv_kind_vm_start, sv_kind_vm_destroy,
    sv_kind_vm_shutdown, sv_kind_vm_restart, sv_kind_vm_suspend, sv_kind_vm_resume, sv_kind_vm_delete, sv_kind_vm_vcpus,
    sv_kind_vm_memory, sv_kind_disk_add, sv_kind_disk_remove, sv_kind_disk_extend, sv_kind_nic_add, sv_kind_nic_remove,
    sv_kind_vm_password, sv_kind_vm_agent, sv_kind_vm_vnc;

#endif
