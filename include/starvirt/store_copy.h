/* What is kept of a VM's past: snapshots, which live in its disks, and backups, which outlive it
 * (StarVCenter 2.6, 2.7). */
#ifndef STARVIRT_STORE_COPY_H
#define STARVIRT_STORE_COPY_H

#include "starvirt/store.h"

/* Snapshots of one VM form a tree. */
struct sv_snapshot {
    struct sv_id id, tenant, vm;
    struct sv_id parent; /* empty at the root */
    const char *name, *descr;
    const char *shape; /* the devices the guest had: memory goes back into the same ones only */
    bool memory;       /* holds the memory of a running guest */
    bool ready;        /* it was taken; false while its job runs */
    bool broken;       /* its deletion began and failed: not ready, and not worth restoring */
    bool current;      /* the VM's disks stem from it; at most one of a VM */
    int64_t created;
};
/* With the disks it holds. */
enum sv_err sv_snapshot_insert(struct sv_tx *tx, const struct sv_snapshot *s, const struct sv_id *disks,
                               const int64_t *sizes, unsigned n, struct sv_error *err);
enum sv_err sv_snapshot_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                            struct sv_snapshot *ret, struct sv_error *err); /* SNAPSHOT_NOT_FOUND */
enum sv_err sv_snapshot_list_vm(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *vm,
                                void (*row)(void *arg, const struct sv_snapshot *s), void *arg, struct sv_error *err);
enum sv_err sv_snapshot_list_disks(struct sv_tx *tx, const struct sv_id *id,
                                   void (*row)(void *arg, const struct sv_id *disk, int64_t size), void *arg,
                                   struct sv_error *err);
enum sv_err sv_snapshot_count(struct sv_tx *tx, const struct sv_id *vm, unsigned *ret, struct sv_error *err);
enum sv_err sv_snapshot_current(struct sv_tx *tx, const struct sv_id *vm, struct sv_id *ret /* empty: none */,
                                struct sv_error *err);
/* As it turned out. */
enum sv_err sv_snapshot_set_shape(struct sv_tx *tx, const struct sv_id *id, const char *shape, bool memory,
                                  struct sv_error *err);
/* Ready, and current instead of what was. */
enum sv_err sv_snapshot_taken(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);
enum sv_err sv_snapshot_set_broken(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);
enum sv_err sv_snapshot_set_current(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);
enum sv_err sv_snapshot_set_descr(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, const char *descr,
                                  struct sv_error *err);
/* Its children become its parent's; so does current. Gone already: success. */
enum sv_err sv_snapshot_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);
enum sv_err sv_snapshot_delete_vm(struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err);
/* The name of a snapshot that holds the disk, "" when none does. */
enum sv_err sv_snapshot_of_disk(struct sv_tx *tx, const struct sv_id *disk, struct sv_arena *a, const char **ret_name,
                                struct sv_error *err);

enum sv_backup_state { SV_BACKUP_MAKING, SV_BACKUP_READY, SV_BACKUP_DAMAGED };
struct sv_backup {
    struct sv_id id, tenant;
    struct sv_id vm;      /* may be gone */
    struct sv_id storage; /* empty: the server's own directory */
    const char *vm_name, *name, *descr;
    enum sv_backup_state state;
    bool quiesced;
    int64_t vcpus, memory /* [bytes] */;
    bool nested;
    int64_t created;
};
struct sv_backup_disk {
    const char *target;
    struct sv_id disk; /* may be gone */
    bool boot;
    int64_t size;  /* [bytes] of the disk */
    int64_t bytes; /* of the file */
    const char *sha256;
};
enum sv_err sv_backup_insert(struct sv_tx *tx, const struct sv_backup *b, const struct sv_backup_disk *disks,
                             unsigned n, struct sv_error *err);
enum sv_err sv_backup_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                          struct sv_backup *ret, struct sv_error *err); /* BACKUP_NOT_FOUND */
/* Oldest first; also of a VM that is gone. */
enum sv_err sv_backup_list_vm(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *vm,
                              void (*row)(void *arg, const struct sv_backup *b), void *arg, struct sv_error *err);
/* All of the scope's, for sweeping their directories. */
enum sv_err sv_backup_list(struct sv_tx *tx, struct sv_scope scope, void (*row)(void *arg, const struct sv_backup *b),
                           void *arg, struct sv_error *err);
/* Boot disk first, then by target. */
enum sv_err sv_backup_list_disks(struct sv_tx *tx, const struct sv_id *id,
                                 void (*row)(void *arg, const struct sv_backup_disk *d), void *arg,
                                 struct sv_error *err);
enum sv_err sv_backup_set_file(struct sv_tx *tx, const struct sv_id *id, const char *target, int64_t bytes,
                               const char *sha256, struct sv_error *err);
enum sv_err sv_backup_set_state(struct sv_tx *tx, const struct sv_id *id, enum sv_backup_state to, bool quiesced,
                                struct sv_error *err);
enum sv_err sv_backup_set_descr(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, const char *descr,
                                struct sv_error *err);
enum sv_err sv_backup_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err); /* with its disks' rows */

#endif
