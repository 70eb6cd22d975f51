/* The hosts: opened, listened to, brought together with the rows. */
#ifndef CORE_HOST_H
#define CORE_HOST_H

#include "core/run/run.h"

/* --- life (core/host/hosts.c) --- */
enum sv_err sv_hosts_open(struct sv_cloud *c, const struct sv_cloud_options *opt, struct sv_error *err);
/* Closes what drivers there are; what they told may be looked at until the second. */
void sv_hosts_close(struct sv_cloud *c);
void sv_hosts_free(struct sv_cloud *c);
/* Opens one URI: its hosts are tied to their rows, and found from here on. `added`: the row of the host that a request
 * added; HOST_NOT_FOUND when that has gone. Blocks as long as the driver takes to prepare; connecting goes on behind.
 */
enum sv_err sv_host_open_uri(struct sv_cloud *c, const char *uri, const struct sv_id *added, struct sv_error *err);

/* --- hosts that come and go (core/host/door.c) --- */
void sv_host_door_new(struct sv_cloud *c);
void sv_host_door_stop(struct sv_cloud *c); /* waits for its thread */
void sv_host_door_free(struct sv_cloud *c);
/* Opened by its thread, again and again until it opens. */
void sv_host_door_try(struct sv_cloud *c, const struct sv_id *host, const char *uri);
/* After the commit of `tx`, and without holding it up. */
void sv_host_door_open(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *host, const char *uri);
void sv_host_door_close(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *host);
extern const struct sv_job_kind sv_kind_host_mend;

/* --- what hosts are (core/host/facts.c) --- */
/* At a connect. */
void sv_host_told(struct sv_cloud *c, struct sv_cloud_host *h, const struct sv_hv_info *info);
int64_t sv_vcpu_overcommit(const struct sv_cloud *c); /* [%] of hosts that say nothing else */

/* --- which can be used (core/host/ready.c) --- */
/* From drivers' threads: it connected, was lost, or could not be connected. */
void sv_host_news(struct sv_cloud *c, struct sv_hv_host *hv, bool connected, const char *why);
/* Its row is there: from here on the driver's handle knows it. */
void sv_host_tied(struct sv_cloud *c, struct sv_cloud_host *h);
void sv_host_early_forget(struct sv_cloud *c, const struct sv_hv_host *hv);
void sv_host_early_free(struct sv_cloud *c);
/* What it has is in its row, or could not be found out. */
void sv_host_prepared(struct sv_cloud *c, struct sv_cloud_host *h, const struct sv_error *failed /* NULL = it is */);
/* HOST_NOT_READY, in words for `who`. */
enum sv_err sv_host_not_ready(struct sv_cloud *c, const struct sv_actor *who, struct sv_error *err);
/* After NO_CAPACITY of the rows, in `err`: left as it is, or HOST_NOT_READY while no host is ready or more are coming.
 */
enum sv_err sv_host_none_fits(struct sv_cloud *c, const struct sv_actor *who, struct sv_error *err);

/* --- what hosts tell (core/host/sync.c) --- */
/* The thread that carries what hypervisors tell into the database, and reconciles on connect. */
enum sv_err sv_sync_start(struct sv_cloud *c, struct sv_error *err);
void sv_sync_stop(struct sv_cloud *c); /* waits for its threads; what comes later is dropped */
void sv_sync_free(struct sv_cloud *c);
/* The engine calls it at the end of every job that held a lock. Where that was a VM's: once it is committed, what
 * the host told of the VM meanwhile is looked at; when the job failed, the host itself is asked. */
void sv_sync_released(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app);
/* The token was used: written down soon. Does not block. */
void sv_sync_token_used(struct sv_cloud *c, const struct sv_id *token);

/* --- addresses that guests name (core/host/address.c) --- */
void sv_addresses_init(struct sv_cloud *c);
/* Asks the guest's agent, now and again until it names one; from any thread. */
void sv_address_ask(struct sv_cloud *c, struct sv_cloud_host *h, const struct sv_id *vm);
/* What a guest said, by line, as it is kept: by comma, each once and in one spelling, only what is an address that
 * reaches somebody. What does not fit is left out, but none of the VM's `own`, which others are compared with. */
void sv_address_list(const char *told, const uint32_t *own, unsigned own_count, char *list, size_t size);
void sv_addresses_stop(struct sv_cloud *c); /* waits for its threads; what comes later is dropped */
void sv_addresses_free(struct sv_cloud *c);

/* --- waiting for a guest's agent (core/host/agent.c) --- */
struct sv_agent_wait {
    struct sv_id vm;
    bool news;
    struct sv_agent_wait *next;
};
/* The guest's agent came up, or the guest ended; NULL: a host came or went. From drivers' threads. */
void sv_agent_news(struct sv_cloud *c, const struct sv_id *vm);
/* From here on no news of the VM's agent is missed. `w` stays where it is until sv_agent_wait_end(). */
void sv_agent_wait_begin(struct sv_cloud *c, struct sv_agent_wait *w);
void sv_agent_wait_end(struct sv_cloud *c, const struct sv_agent_wait *w);
/* False: time is up, the job was cancelled, or the server stops. */
bool sv_agent_wait_news(struct sv_run *r, struct sv_agent_wait *w, const struct sv_deadline *d);

#endif
