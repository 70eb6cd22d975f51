/* Sealed secrets, kept in the transaction of what they belong to: a VM, a storage, a load balancer or an open
 * job, by kind ("vnc",
 * "ceph", ...). core/run/secret.c alone can open them. */
#ifndef STARVIRT_STORE_SECRET_H
#define STARVIRT_STORE_SECRET_H

#include "starvirt/store.h"

/* Instead of one that is there. */
enum sv_err sv_sealed_put(struct sv_tx *tx, const struct sv_id *owner, const char *kind, const void *p, size_t n,
                          struct sv_error *err);
/* *ret_n = 0 when there is none, or more than fits. */
enum sv_err sv_sealed_get(struct sv_tx *tx, const struct sv_id *owner, const char *kind, void *buf, size_t size,
                          size_t *ret_n, struct sv_error *err);
enum sv_err sv_sealed_drop(struct sv_tx *tx, const struct sv_id *owner, const char *kind, struct sv_error *err);
/* Drops what belongs to nobody: files of an earlier version may. */
enum sv_err sv_sealed_sweep(struct sv_tx *tx, struct sv_error *err);

#endif
