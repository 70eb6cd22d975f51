/* Storages, their volumes and disks without a VM. */
#ifndef CORE_STORAGE_H
#define CORE_STORAGE_H

#include "core/run/run.h"

/* May it be one? Its type as the rows have it (core/storage/check.c). Touches no disk and no host. */
enum sv_err sv_storage_check_new(const struct sv_cloud *c, const struct sv_storage_new *in, const char **ret_type,
                                 struct sv_error *err);
enum sv_err sv_storage_check_use(enum sv_storage_use use, struct sv_error *err);
enum sv_hv_pool_kind sv_storage_kind(const char *type);
enum sv_err sv_storage_read(struct sv_cloud *c, const struct sv_id *id, struct sv_arena *a, struct sv_storage *ret,
                            struct sv_error *err);
/* Before anything is done there: the host may have forgotten it. An image directory is always open. */
enum sv_err sv_storage_open(struct sv_cloud *c, struct sv_hv_host *h, const struct sv_id *id, struct sv_arena *a,
                            const struct sv_deadline *d, struct sv_error *err);
/* Those of some disks. */
enum sv_err sv_disks_open(struct sv_cloud *c, struct sv_hv_host *h, const struct sv_disk *disks, unsigned n,
                          struct sv_arena *a, const struct sv_deadline *d, struct sv_error *err);
enum sv_err sv_step_open_disk(struct sv_run *r, struct sv_hv_host *h, const struct sv_id *disk, struct sv_error *err);
/* How full it is, asked and written down. */
enum sv_err sv_storage_measure(struct sv_cloud *c, struct sv_hv_host *h, const struct sv_id *id,
                               const struct sv_deadline *d, struct sv_error *err);
/* All of a host; each is told with its failure, NULL = it is open. */
enum sv_err sv_storages_open_all(struct sv_db *db, struct sv_secrets *secrets, struct sv_hv_host *h,
                                 const struct sv_id *host,
                                 void (*each)(void *arg, const struct sv_storage *s, const struct sv_error *failed),
                                 void *arg, unsigned *ret_failed, struct sv_error *err);
/* The same at a connect, and how full they are. True: all are open. */
bool sv_storages_connect(struct sv_cloud *c, struct sv_cloud_host *h);
/* Has the host any to open? */
bool sv_storages_any(struct sv_cloud *c, const struct sv_id *host);
enum sv_err sv_disk_read(struct sv_cloud *c, const struct sv_id *id, struct sv_arena *a, struct sv_disk *ret,
                         struct sv_error *err);
/* What a driver takes for a row. */
struct sv_hv_disk sv_hv_disk_of(const struct sv_disk *d);
/* Disks without a VM (core/storage/pv.c). */
enum sv_err sv_pv_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_disk *d, struct sv_id *ret_startid,
                         struct sv_error *err);
enum sv_err sv_pv_extend(struct sv_cloud *c, struct sv_tx *tx, const struct sv_disk *d, int64_t size,
                         struct sv_id *ret_startid, struct sv_error *err);

/* Is the volume there? Written at once where it is not, else soon. */
enum sv_err sv_step_disk_ready(struct sv_cloud *c, const struct sv_id *disk, bool ready, struct sv_error *err);

extern const struct sv_job_kind sv_kind_storage_add, sv_kind_storage_remove, sv_kind_storage_refresh, sv_kind_disk_pv,
    sv_kind_disk_pv_remove, sv_kind_disk_pv_extend;

#endif
