/* Snapshots and backups. */
#ifndef CORE_COPY_H
#define CORE_COPY_H

#include "core/vm/vm.h"

/* --- backups (core/copy/backup_files.c) --- */
/* Removes directories of backups that no row knows. */
enum sv_err sv_backup_recover(struct sv_cloud *c, struct sv_error *err);

/* Of vm.delete: the files of the VM's backups that the job has locked; their rows at its end. */
extern const struct sv_vm_company sv_backup_company;

extern const struct sv_job_kind sv_kind_snapshot_create, sv_kind_snapshot_restore, sv_kind_snapshot_delete,
    sv_kind_backup_create, sv_kind_backup_restore, sv_kind_backup_delete, sv_kind_vm_clone;

#endif
