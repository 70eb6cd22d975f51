/* Pieces that every job which makes a VM is made of (core/vm_new.c). */
#ifndef CORE_VM_NEW_H
#define CORE_VM_NEW_H

#include "core/internal.h"

struct sv_vm_plan {
    const struct sv_job_kind *kind;
    const char *sarg; /* the job's; may be NULL */
    int64_t iarg[2];  /* likewise: SV_CREATE_... */
    struct sv_vm vm;  /* without host, address and time of creation */
    const struct sv_vpc *vpc;
    struct sv_disk disks[SV_HV_MAX_DISKS]; /* id, name, target, size, boot, template */
    unsigned disk_count;
    const char *vnc_password, *account_password; /* may be NULL */
};
/* Place on a host, address, rows, event, job. The tenant's quota is reserved by the caller, who knows how
 * many there are. */
enum sv_err sv_vm_plan_accept(struct sv_cloud *c, struct sv_tx *tx, const struct sv_vm_plan *plan,
                              struct sv_id *ret_startid, struct sv_error *err);

/* Steps, undos and ends as they stand in rows. */
enum sv_err sv_step_new_network(struct sv_run *r, struct sv_error *err);
enum sv_err sv_step_new_start(struct sv_run *r, struct sv_error *err);
enum sv_err sv_step_new_stop(struct sv_run *r, struct sv_error *err);
enum sv_err sv_step_new_end(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                            struct sv_error *err);

#endif
