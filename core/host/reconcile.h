/* Bringing rows and hosts together (core/host/reconcile.c). */
#ifndef CORE_RECONCILE_H
#define CORE_RECONCILE_H

#include "core/host/host.h"

/* Asks the host what it has and holds, writes what differs, then marks it connected. Blocks. False after
 * a failure, which is logged: the host stays as it was. */
bool sv_reconcile_host(struct sv_cloud *c, struct sv_cloud_host *h);

/* Does the row say otherwise? Not while a job holds the VM (*ret_locked). VM_NOT_FOUND for a VM that is not
 * ours. Must not run inside a transaction. */
enum sv_err sv_power_differs(struct sv_cloud *c, const struct sv_id *vm, enum sv_hv_power now, bool *ret_locked,
                             bool *ret_differs, struct sv_error *err);
/* An event may be old by the time it is looked at, and a job have gone by: the host is asked what holds now,
 * and that is written. `told` is what the event said. Blocks; failures are logged. *ret_locked: a
 * job holds the VM by now. False: the database failed, ask again. */
bool sv_reconcile_vm(struct sv_cloud *c, struct sv_cloud_host *h, const struct sv_id *vm, enum sv_hv_power told,
                     bool *ret_locked);

#endif
