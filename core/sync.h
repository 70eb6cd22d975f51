/* What the sync thread takes from other threads (core/sync.c): none of these blocks. */
#ifndef CORE_SYNC_H
#define CORE_SYNC_H

#include "core/internal.h"

void sv_sync_token_used(struct sv_cloud *c, const struct sv_id *token);
void sv_sync_host(struct sv_cloud *c, struct sv_cloud_host *h, bool connected);
void sv_sync_power(struct sv_cloud *c, struct sv_cloud_host *h, const struct sv_id *vm, enum sv_hv_power now);
/* Reconcile this host with the database soon. */
void sv_sync_check_host(struct sv_cloud *c, struct sv_cloud_host *h);
void sv_sync_agent(struct sv_cloud *c, const struct sv_id *vm, bool up);

#endif
