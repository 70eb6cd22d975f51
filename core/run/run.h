/* What every room of the core may use: rules, secrets, the host of a job. */
#ifndef CORE_RUN_H
#define CORE_RUN_H

#include "core/run/cloud.h"

/* --- rules shared by rooms of the core (core/run/rules.c) --- */
/* A name for people: 1..SV_MAX_NAME bytes of valid UTF-8 without control characters. NULL passes. */
enum sv_err sv_check_name(const char *name, enum sv_field field, struct sv_error *err);
enum sv_err sv_check_descr(const char *descr, enum sv_field field, struct sv_error *err);
/* PARAM_RANGE outside of min..max, counts or (how: of sv_bytes) bytes. */
enum sv_err sv_check_count(int64_t v, int64_t min, int64_t max, enum sv_field field, struct sv_error *err);
enum sv_err sv_check_bytes(int64_t v, int64_t min, int64_t max, unsigned how, enum sv_field field,
                           struct sv_error *err);
enum sv_err sv_check_disk(int64_t size, struct sv_error *err); /* SV_F_DISK_SIZE */
/* SV_F_MEMORY: as much as a guest needs on any of the hosts. */
enum sv_err sv_check_memory(struct sv_cloud *c, int64_t bytes, struct sv_error *err);
/* The id, or NOT_FOUND of the kind asked for when the text is no id at all. */
enum sv_err sv_check_id(const char *text, enum sv_err not_found, enum sv_field field, struct sv_id *ret,
                        struct sv_error *err);
const char *sv_vm_state_name(enum sv_vm_state s);
/* SV_E_OBJECT_LOCKED in the words of the object at hand. */
enum sv_err sv_locked_as(enum sv_err code, enum sv_err as, enum sv_field field, struct sv_error *err);
/* ADMIN_ONLY for a tenant. */
enum sv_err sv_admin_only(const struct sv_actor *who, struct sv_error *err);
/* Adds one event row. */
enum sv_err sv_cloud_event(struct sv_tx *tx, const char *type, const char *object_type, const struct sv_id *object,
                           const struct sv_id *tenant, const char *content, struct sv_error *err);

/* --- the host of a job (core/run/host.c) --- */
void sv_hosts_init(struct sv_cloud *c);
void sv_hosts_end(struct sv_cloud *c);
/* The host, held: NULL where no driver serves the row (of an earlier configuration, or removed). Any thread. */
struct sv_cloud_host *sv_host_hold(struct sv_cloud *c, const struct sv_id *id);
/* The same of one that is known: false when it was removed. */
bool sv_host_use(struct sv_cloud_host *h);
void sv_host_let_go(struct sv_cloud_host **h); /* for SV_CLEANUP, too; NULL ok */
#define SV_HOST SV_CLEANUP(sv_host_let_go) struct sv_cloud_host *
/* All that are there now, held. */
struct sv_hosts_held {
    struct sv_cloud_host **v;
    unsigned n;
};
void sv_hosts_hold(struct sv_cloud *c, struct sv_hosts_held *ret);
void sv_hosts_let_go(struct sv_hosts_held *held); /* for SV_CLEANUP, too */
#define SV_HOSTS SV_CLEANUP(sv_hosts_let_go) struct sv_hosts_held
unsigned sv_hosts_count(struct sv_cloud *c);
/* The driver's handle of a host that a row keeps from being removed: an open job's, or that of a VM that a job holds.
 */
struct sv_hv_host *sv_cloud_host_hv(struct sv_cloud *c, const struct sv_id *host);
/* Waits until the host is connected: HOST_DOWN at the deadline, JOB_CANCELLED. */
enum sv_err sv_host_wait(struct sv_cloud *c, struct sv_hv_host *h, const struct sv_deadline *d, struct sv_error *err);
/* The same for a job: waits for a host that is not connected (yet) within the job's deadline, at most a
 * minute; then HOST_DOWN. */
enum sv_err sv_run_host(struct sv_run *r, struct sv_hv_host **ret, struct sv_error *err);
/* A host came or went: whoever waits looks again. From any thread. */
void sv_host_changed(struct sv_cloud *c);

/* --- room (core/run/room.c): files that grow, and what stays free on their file system --- */
struct sv_claim;
void sv_rooms_init(struct sv_cloud *c);
void sv_rooms_end(struct sv_cloud *c);
/* A file in `dir` that will have `announced` bytes (0: nobody knows); `tenant`: whose, may be empty. NO_ROOM where it
 * would go below the reserve, with what others have announced. Any thread, as for all of these. */
enum sv_err sv_room_claim(struct sv_cloud *c, const char *dir, const struct sv_id *tenant, int64_t announced,
                          struct sv_claim **ret, struct sv_error *err);
/* Before it grows to `size`: NO_ROOM. */
enum sv_err sv_room_grow(struct sv_claim *k, int64_t size, struct sv_error *err);
/* [bytes] that files of the tenant have announced or have, but this one's (may be NULL). */
int64_t sv_room_claimed(struct sv_cloud *c, const struct sv_id *tenant, const struct sv_claim *but);
void sv_room_release(struct sv_claim *k); /* NULL ok */

/* --- looking at what may hang (core/run/look.c): files on a storage, an engine --- */
/* A question. What `question` makes goes through `look`, is kept for a minute, and is freed by `free`. */
struct sv_look_kind {
    const char *news;             /* told is "<news>:<object>" */
    void *(*question)(void *arg); /* never NULL. With `answers` under a mutex: neither blocks */
    void (*look)(void *seen);     /* may block, for ever too: touches nothing but `seen` and the engine */
    bool (*answers)(const void *seen, void *arg); /* it is what was asked for: takes from it what is wanted */
    void (*free)(void *seen);
};
/* Is it known what is so since look->since_us? Else a thread looks, one for each place of a kind, and tells look->key;
 * unless it is for the last time `look` says so. Does not block; any thread. `arg`: of the kind's functions. */
bool sv_looked(struct sv_cloud *c, const struct sv_look_kind *kind, const struct sv_id *place,
               const struct sv_id *object, struct sv_look *look, void *arg);
/* `news` (may be NULL) is told a key that somebody may wait for; from any thread, must not block. */
void sv_looks_init(struct sv_cloud *c, void (*news)(void *arg, const char *key), void *arg);
/* False: what is looked at hangs, for 2 s. That thread is left behind, and may touch the engine still. */
bool sv_looks_free(struct sv_cloud *c);

/* --- secrets (core/run/secret.c): sealed rows, so that no file shows one --- */
#define SV_SECRET_VNC         "vnc"      /* of a VM, in force; of the job that sets it, until its end */
#define SV_SECRET_CEPH        "ceph"     /* of a storage: the key of its user */
#define SV_SECRET_ACCOUNT     "account"  /* of the job that makes a VM */
#define SV_SECRET_PASSWORD    "pwd"      /* of the job that sets it */
#define SV_SECRET_CERTIFICATE "cert"     /* of a load balancer: its chain and key, as PEM */
enum { SV_MAX_SECRET = 3 * SV_MAX_PEM }; /* [bytes] of a value */
enum sv_err sv_secrets_open(const char *data_dir, struct sv_secrets **ret, struct sv_error *err);
void sv_secrets_close(struct sv_secrets *s);
/* Sealed files of an earlier version become rows. */
enum sv_err sv_secrets_take(struct sv_secrets *s, struct sv_db *db, struct sv_error *err);
enum sv_err sv_secret_put(struct sv_secrets *s, struct sv_tx *tx, const struct sv_id *owner, const char *kind,
                          const char *value, struct sv_error *err);
/* Absent: SV_OK with "" . */
enum sv_err sv_secret_get(struct sv_secrets *s, struct sv_tx *tx, const struct sv_id *owner, const char *kind,
                          char *buf, size_t size, struct sv_error *err);
/* The same over a snapshot of its own, for steps. */
enum sv_err sv_secret_read(struct sv_secrets *s, struct sv_db *db, const struct sv_id *owner, const char *kind,
                           char *buf, size_t size, struct sv_error *err);

/* Lock codes, StarVCenter appendix 2. */
enum {
    SV_LOCK_SNAPSHOT = 5,
    SV_LOCK_SNAPSHOT_BACK = 6,
    SV_LOCK_STARTING = 7,
    SV_LOCK_STOPPING = 8,
    SV_LOCK_IMPORTING = 10,
    SV_LOCK_INSTALLING = 12,
    SV_LOCK_CLONING = 13,
    SV_LOCK_MOVING = 14,
};

#endif
