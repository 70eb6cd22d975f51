/* Bringing rows and hosts together (core/reconcile.c). */
#ifndef CORE_RECONCILE_H
#define CORE_RECONCILE_H

#include "core/internal.h"

/* Asks the host what it has and holds, writes what differs, then marks it connected. Blocks. Failures
 * are logged: the host stays as it was and is asked again at its next connect. */
void sv_reconcile_host(struct sv_cloud *c, struct sv_cloud_host *h);

/* The VM's state := what its host says, unless a job holds it (*ret_locked) or nothing differs. `live` may
 * be NULL. VM_NOT_FOUND for a VM that is not ours. Must not run inside a transaction. */
enum sv_err sv_settle_power(struct sv_cloud *c, const struct sv_id *vm, enum sv_hv_power now,
                            const struct sv_hv_state *live, bool *ret_locked, struct sv_error *err);

#endif
