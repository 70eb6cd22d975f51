/* What the sync thread takes from other threads (core/host/sync.c): none of these blocks. */
#ifndef CORE_SYNC_H
#define CORE_SYNC_H

#include "core/host/host.h"

void sv_sync_host(struct sv_cloud *c, struct sv_cloud_host *h, bool connected);
void sv_sync_power(struct sv_cloud *c, struct sv_cloud_host *h, const struct sv_id *vm, enum sv_hv_power now);
/* Reconcile this host with the database soon. */
void sv_sync_check_host(struct sv_cloud *c, struct sv_cloud_host *h);
void sv_sync_agent(struct sv_cloud *c, const struct sv_id *vm, bool up);
/* Something happened that a pending undo may have waited for. */
void sv_sync_pending(struct sv_cloud *c);

/* Accepts the jobs of those that are ready (core/host/pending.c); when to look again [ms UTC], INT64_MAX: never. */
int64_t sv_pending_go_on(struct sv_cloud *c);

#endif
