/* Pieces that several VM jobs are made of (core/vm_steps.c). */
#ifndef CORE_VM_STEPS_H
#define CORE_VM_STEPS_H

#include "core/internal.h"

/* The rows of the job's VM and the driver of its host, where the storages of its disks are open. */
enum sv_err sv_step_begin(struct sv_run *r, struct sv_vm_rows *ret_rows, struct sv_hv_host **ret_host,
                          struct sv_error *err);
/* The definition := what these rows ask for, whatever those in the database say. */
enum sv_err sv_step_define_as(struct sv_run *r, const struct sv_vm_rows *rows, struct sv_hv_host *h,
                              struct sv_error *err);
enum sv_err sv_step_disk_ready(struct sv_cloud *c, const struct sv_id *disk, bool ready, struct sv_error *err);

/* Steps and undos as they stand in rows. */
enum sv_err sv_step_define(struct sv_run *r, struct sv_error *err);       /* definition := rows */
enum sv_err sv_step_undefine(struct sv_run *r, struct sv_error *err);     /* stops first */
enum sv_err sv_step_drop_disks(struct sv_run *r, struct sv_error *err);   /* volumes of all disks */
enum sv_err sv_step_drop_network(struct sv_run *r, struct sv_error *err); /* NIC rows, then leases */

/* Inside the transaction that ends a job. */
/* Quota, host placement, disk and NIC rows, secrets: all the VM holds but its row. */
enum sv_err sv_step_release(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err);
/* Notes domain and volumes as leftovers of its host: it could not be reached to remove them. */
enum sv_err sv_step_leave_behind(struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err);
/* One volume likewise. */
enum sv_err sv_step_leave_volume(struct sv_tx *tx, const struct sv_id *host, const struct sv_id *disk,
                                 struct sv_error *err);
/* RUNNING with the defined size as the live one, event. */
enum sv_err sv_step_running(struct sv_cloud *c, struct sv_tx *tx, const struct sv_job *job, struct sv_error *err);
enum sv_err sv_step_stopped(struct sv_cloud *c, struct sv_tx *tx, const struct sv_job *job, struct sv_error *err);

#endif
