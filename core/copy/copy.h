/* Snapshots and backups. */
#ifndef CORE_COPY_H
#define CORE_COPY_H

#include "core/vm/vm.h"

/* --- backups (core/copy/backup_files.c) --- */
/* Removes directories of backups that no row knows. */
enum sv_err sv_backup_recover(struct sv_cloud *c, struct sv_error *err);

/* --- looking at files (core/copy/backup_look.c) --- */
/* `news` (may be NULL) is told a key that somebody may wait for; from any thread, must not block. */
void sv_looks_init(struct sv_cloud *c, void (*news)(void *arg, const char *key), void *arg);
void sv_looks_free(struct sv_cloud *c);
/* The key under which it is told that the files of a VM's backups were looked at. */
void sv_backups_key(const struct sv_id *vm, char key[SV_BACKUPS_KEY_LEN]);

/* Of vm.delete: the files of the VM's backups that the job has locked; their rows at its end. */
extern const struct sv_vm_company sv_backup_company;

extern const struct sv_job_kind sv_kind_snapshot_create, sv_kind_snapshot_restore, sv_kind_snapshot_delete,
    sv_kind_backup_create, sv_kind_backup_restore, sv_kind_backup_delete, sv_kind_vm_clone;

#endif
