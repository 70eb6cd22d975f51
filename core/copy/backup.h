/* Backups, shared by the files of the core that make, read and remove them. */
#ifndef CORE_BACKUP_H
#define CORE_BACKUP_H

#include "core/copy/copy.h"
#include "starvirt/store_copy.h"

/* A backup with its disks, and where its files are. */
struct sv_backup_rows {
    struct sv_backup b;
    struct sv_backup_disk disks[SV_HV_MAX_DISKS];
    unsigned disk_count;
    const char *dir;
};
/* Texts live in the arena. BACKUP_NOT_FOUND. */
enum sv_err sv_backup_rows_in(struct sv_cloud *c, struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id,
                              struct sv_arena *a, struct sv_backup_rows *ret, struct sv_error *err);
enum sv_err sv_backup_rows_read(struct sv_cloud *c, const struct sv_id *id, struct sv_arena *a,
                                struct sv_backup_rows *ret, struct sv_error *err);
/* Also of one whose row is gone. */
enum sv_err sv_backup_dir_of(const struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *storage,
                             const struct sv_id *id, struct sv_arena *a, const char **ret, struct sv_error *err);
/* By the id as a client gave it. */
enum sv_err sv_backup_find(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                           struct sv_backup_rows *ret, struct sv_error *err);

/* --- who uses one (core/copy/backup.c) --- */
/* It is there to be read: BACKUP_LOCKED while it is made or removed, BACKUP_DAMAGED. A job that reads it
 * names it in its sarg: until that ends nobody removes it. */
enum sv_err sv_backup_claim(struct sv_tx *tx, const struct sv_backup *b, struct sv_error *err);
/* Nobody makes, reads or removes it: BACKUP_LOCKED. */
enum sv_err sv_backup_unused(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);
/* The job that removes its files, and its row where it is there still. `own`: nobody asked for it (QUOTA_JOBS is not
 * for it). */
enum sv_err sv_backup_accept_delete(struct sv_cloud *c, struct sv_tx *tx, const struct sv_backup *b, bool own,
                                    struct sv_id *ret_startid, struct sv_error *err);

/* --- what they take of the quota (core/copy/backup_quota.c) --- */
/* Is there room for one more, as large as the newest? QUOTA_IMAGES. What goes when it is good counts as free. */
enum sv_err sv_backup_room(struct sv_cloud *c, struct sv_tx *tx, const struct sv_vm *vm, struct sv_error *err);
/* The size of one of its files is known, once or again: QUOTA_IMAGES. */
enum sv_err sv_backup_book(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *id, const char *target,
                           int64_t bytes, const char *sha256, struct sv_error *err);
/* Its rows go, and what it took is given back. Gone already: success. */
enum sv_err sv_backup_drop(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);

/* --- which disk becomes what (core/copy/backup_match.c) --- */
/* Which of the VM's disks each disk of the backup goes to: the same one, else the one of its name. BACKUP_DISKS. */
enum sv_err sv_backup_match(const struct sv_backup_rows *backup, const struct sv_vm_rows *rows,
                            const struct sv_disk *ret[SV_HV_MAX_DISKS], struct sv_error *err);

/* --- files (core/copy/backup_files.c) --- */
const char *sv_backup_path(const struct sv_backup_rows *rows, const struct sv_backup_disk *d, struct sv_arena *a);
/* The directory of its files, marked as this cloud's. There already: success. */
enum sv_err sv_backup_dir_make(const struct sv_cloud *c, const char *dir, struct sv_error *err);
/* All of it. Absent: success. */
enum sv_err sv_backup_dir_remove(const char *dir, struct sv_error *err);
int64_t sv_backup_file_size(const char *path); /* 0 when it is not there */
/* Progress of a job over files that are worked on one after another. */
struct sv_backup_progress {
    struct sv_run *r;
    int64_t before, now, total; /* [bytes] of files done, of the one at hand, of all */
};
struct sv_backup_progress sv_backup_progress_of(struct sv_run *r, const struct sv_backup_rows *rows);
void sv_backup_progress_next(struct sv_backup_progress *p, int64_t bytes); /* before a file of so many bytes */
void sv_backup_progress_copy(void *arg, int64_t done, int64_t total);      /* sv_hv_progress */
/* Makes a file durable; its size and checksum. JOB_CANCELLED, JOB_DEADLINE, STORAGE. */
enum sv_err sv_backup_seal(struct sv_backup_progress *p, const char *path, int64_t *ret_bytes, char sha256[65],
                           struct sv_error *err);
/* The directory's entries are durable, too. */
enum sv_err sv_backup_dir_sync(const char *dir, struct sv_error *err);
/* All files against what is recorded, with a line of the log each; one that differs marks the backup as
 * DAMAGED and is BACKUP_DAMAGED. */
enum sv_err sv_backup_check(struct sv_run *r, const struct sv_backup_rows *rows, struct sv_error *err);

/* --- are they there (core/copy/backup_look.c) --- */
/* Which of a VM's backups have all their files, of the size recorded; those that were not looked at have not. Does not
 * block. */
void sv_backup_looked(struct sv_cloud *c, const struct sv_id *vm, const struct sv_backup_rows *rows, size_t n,
                      struct sv_look *look, struct sv_arena *a, bool *ret_there);

/* --- pieces of jobs --- */
/* A step that checks the files of the backup which the job's sarg names. */
enum sv_err sv_step_backup_check(struct sv_run *r, struct sv_error *err);

#endif
