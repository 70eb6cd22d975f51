/* Inside the cloud. */
#ifndef CORE_INTERNAL_H
#define CORE_INTERNAL_H

#include <pthread.h>
#include <stdlib.h>

#include "starvirt/core.h"
#include "starvirt/text.h"

struct sv_secrets;
struct sv_sync;

/* A host as the cloud knows it: the row's id and the driver's handle. Fixed after sv_cloud_new. */
struct sv_cloud_host {
    struct sv_id id;
    struct sv_hv_host *hv;
    struct sv_cloud *cloud;
};

enum { SV_VPC_LOCKS = 64 };

struct sv_cloud {
    char *data_dir, *import_dirs, *backup_dir;
    int64_t backup_keep; /* of a VM; 0 = all */
    struct sv_id admin;  /* the first tenant: tells this cloud from others */
    struct sv_db *db;
    struct sv_net *net;
    struct sv_jobs *jobs;
    struct sv_hv **hvs;
    unsigned hv_count;
    struct sv_cloud_host *hosts;
    unsigned host_count;
    uint32_t supernet;
    unsigned supernet_prefix, vpc_prefix;
    double vcpu_overcommit;
    pthread_mutex_t host_mutex;  /* only for host_change */
    pthread_cond_t host_change;  /* a host connected or was lost */
    pthread_mutex_t agent_mutex; /* only for agent_change and agent_waits */
    pthread_cond_t agent_change; /* somebody's agent came */
    struct sv_agent_wait *agent_waits;
    struct sv_secrets *secrets;
    struct sv_sync *sync;
    struct sv_addresses *addresses;
    pthread_mutex_t vpc_lock[SV_VPC_LOCKS]; /* striped by VPC id: reading the wanted state and applying it */
};

/* --- hosts (core/hosts.c) --- */
/* NULL where no driver serves the row (a host of an earlier configuration). */
struct sv_hv_host *sv_cloud_host_hv(const struct sv_cloud *c, const struct sv_id *host);
/* The same for a job: waits for a host that is not connected (yet) within the job's deadline, at most a
 * minute; then HOST_DOWN. */
/* Waits until the host is connected: HOST_DOWN at the deadline, JOB_CANCELLED. */
enum sv_err sv_host_wait(struct sv_cloud *c, struct sv_hv_host *h, const struct sv_deadline *d, struct sv_error *err);
enum sv_err sv_run_host(struct sv_run *r, struct sv_hv_host **ret, struct sv_error *err);
void sv_hosts_init(struct sv_cloud *c);
enum sv_err sv_hosts_open(struct sv_cloud *c, const struct sv_cloud_options *opt, struct sv_error *err);
void sv_hosts_close(struct sv_cloud *c);
/* The thread that carries what hypervisors tell into the database, and reconciles on connect. */
enum sv_err sv_sync_start(struct sv_cloud *c, struct sv_error *err);
void sv_sync_stop(struct sv_cloud *c); /* waits for its threads; what comes later is dropped */
void sv_sync_free(struct sv_cloud *c);
/* For the end of a job: once it is committed, what the host told of this VM while it was locked is looked
 * at; `ask`: the job failed, so the host itself is asked. */
void sv_sync_vm_released(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *vm, bool ask);

/* --- addresses that guests name (core/address.c) --- */
void sv_addresses_init(struct sv_cloud *c);
/* Asks the guest's agent, now and again until it names one; from any thread. */
void sv_address_ask(struct sv_cloud *c, struct sv_cloud_host *h, const struct sv_id *vm);
/* What a guest said, by line, as it is kept: by comma, only what is an address that reaches somebody. */
void sv_address_list(char *told, char *list, size_t size);
void sv_addresses_stop(struct sv_cloud *c); /* waits for its threads; what comes later is dropped */
void sv_addresses_free(struct sv_cloud *c);

/* --- secrets (core/secret.c): sealed in DIR/secrets, so that no file shows one --- */
enum sv_err sv_secrets_open(const char *data_dir, struct sv_secrets **ret, struct sv_error *err);
void sv_secrets_close(struct sv_secrets *s);
enum sv_err sv_secret_put(struct sv_secrets *s, const struct sv_id *owner, const char *kind, const char *value,
                          struct sv_error *err);
/* Absent: SV_OK with "" . */
enum sv_err sv_secret_get(struct sv_secrets *s, const struct sv_id *owner, const char *kind, char *buf, size_t size,
                          struct sv_error *err);
void sv_secret_drop(struct sv_secrets *s, const struct sv_id *owner, const char *kind);
/* Drops those of the kind whose owner `keep` does not claim. */
void sv_secret_sweep(struct sv_secrets *s, const char *kind, bool (*keep)(void *arg, const struct sv_id *owner),
                     void *arg);

/* --- storages besides the image directories (core/pool.c, core/storage.c) --- */
enum sv_hv_pool_kind sv_storage_kind(const char *type);
/* As a driver takes it, with the key: wipe it. */
enum sv_err sv_storage_pool(struct sv_secrets *secrets, const struct sv_storage *s, struct sv_hv_pool *ret,
                            struct sv_error *err);
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
/* Removes sealed keys of storages that never came to be: a crash left them before their acceptance. */
enum sv_err sv_storage_recover(struct sv_cloud *c, struct sv_error *err);
enum sv_err sv_disk_read(struct sv_cloud *c, const struct sv_id *id, struct sv_arena *a, struct sv_disk *ret,
                         struct sv_error *err);
/* What a driver takes for a row. */
struct sv_hv_disk sv_hv_disk_of(const struct sv_disk *d);
/* Disks without a VM (core/volume.c). */
enum sv_err sv_volume_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_disk *d, struct sv_id *ret_startid,
                             struct sv_error *err);
enum sv_err sv_volume_extend(struct sv_cloud *c, struct sv_tx *tx, const struct sv_disk *d, int64_t size,
                             struct sv_id *ret_startid, struct sv_error *err);

/* --- rules shared by rooms of the core (core/rules.c) --- */
/* A name for people: 1..SV_MAX_NAME bytes of valid UTF-8 without control characters. NULL passes. */
enum sv_err sv_check_name(const char *name, enum sv_field field, struct sv_error *err);
enum sv_err sv_check_descr(const char *descr, enum sv_field field, struct sv_error *err);
/* The id, or NOT_FOUND of the kind asked for when the text is no id at all. */
enum sv_err sv_check_id(const char *text, enum sv_err not_found, enum sv_field field, struct sv_id *ret,
                        struct sv_error *err);
const char *sv_vm_state_name(enum sv_vm_state s);
/* SV_E_OBJECT_LOCKED in the words of the object at hand. */
enum sv_err sv_locked_as(enum sv_err code, enum sv_err as, enum sv_field field, struct sv_error *err);
/* First start: the admin tenant and DIR/admin.token; a write closure, arg is the cloud. */
enum sv_err sv_tenant_first(struct sv_tx *tx, void *arg, struct sv_error *err);
/* Adds one event row. */
enum sv_err sv_cloud_event(struct sv_tx *tx, const char *type, const char *object_type, const struct sv_id *object,
                           const struct sv_id *tenant, const char *content, struct sv_error *err);

/* --- network (core/network.c) --- */
/* Reads what a VPC should hold and makes it so. */
enum sv_err sv_network_apply(struct sv_cloud *c, const struct sv_id *vpc, const struct sv_deadline *d,
                             struct sv_error *err);
enum sv_err sv_network_remove(struct sv_cloud *c, const struct sv_id *vpc, const struct sv_deadline *d,
                              struct sv_error *err);
/* All VPCs of one VM's NICs. */
enum sv_err sv_network_apply_vm(struct sv_cloud *c, const struct sv_id *vm, const struct sv_deadline *d,
                                struct sv_error *err);
/* Finishes deletions, removes what the machine holds of VPCs that are gone, mends the rest (start-up). */
enum sv_err sv_network_recover(struct sv_cloud *c, struct sv_error *err);

/* --- templates (core/template.c) --- */
/* Removes uploads that no import waits for: a crash left them between their arrival and their acceptance. */
enum sv_err sv_template_recover(struct sv_cloud *c, struct sv_error *err);

/* --- passwords of guests (core/vm_account.c, core/vm_guest.c) --- */
/* The guest's agent came up, or the guest ended; NULL: a host came or went. From drivers' threads. */
void sv_agent_news(struct sv_cloud *c, const struct sv_id *vm);
/* Removes sealed passwords that no job waits for: a crash left them between their sealing and the commit. */
enum sv_err sv_account_recover(struct sv_cloud *c, struct sv_error *err);
enum sv_err sv_check_password(const char *user, const char *password, struct sv_error *err);
/* "account": waits for the guest agent and sets root's password. Needed when iarg[SV_CREATE_ACCOUNT] is set. */
enum { SV_CREATE_ACCOUNT, SV_CREATE_FULL }; /* iarg of a job that makes a VM */
#define SV_SECRET_ACCOUNT "account"
enum sv_err sv_step_account(struct sv_run *r, struct sv_error *err);
bool sv_step_account_needed(const struct sv_job *job);

/* --- backups (core/backup_files.c) --- */
/* Removes directories of backups that no row knows. */
enum sv_err sv_backup_recover(struct sv_cloud *c, struct sv_error *err);

/* --- claiming a VM for a job (core/vm_power.c) --- */
/* The VM, which no job holds and which is in a state to be changed: VM_NOT_FOUND, VM_LOCKED, VM_STATE, HOST_DOWN. */
enum sv_err sv_vm_claim(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_vm *ret,
                        struct sv_error *err);
/* The same for a change of its devices: not under a guest saved with them, and a paused guest lets go of
 * nothing. */
enum sv_err sv_vm_claim_devices(struct sv_tx *tx, const struct sv_actor *who, const char *id, bool takes_away,
                                struct sv_vm *ret, struct sv_error *err);
/* A job of the kind for a claimed VM, in the transaction that claimed it; sarg may be NULL. VM_LOCKED. */
enum sv_err sv_vm_accept(struct sv_cloud *c, struct sv_tx *tx, const struct sv_vm *vm, const struct sv_job_kind *kind,
                         const char *sarg, int64_t iarg0, int64_t iarg1, struct sv_id *ret_startid,
                         struct sv_error *err);
void sv_make_mac(unsigned char mac[6]);
/* Waits for a job to end and answers as it ended; STILL_RUNNING when it takes longer. Blocks. */
enum sv_err sv_job_await(struct sv_cloud *c, const struct sv_id *startid, int64_t limit_ms, struct sv_arena *a,
                         struct sv_error *err);

/* --- VM rows as one piece (core/vm_rows.c) --- */
struct sv_vm_rows {
    struct sv_vm vm;
    struct sv_disk disks[SV_HV_MAX_DISKS];
    struct sv_nic nics[SV_HV_MAX_NICS];
    unsigned disk_count, nic_count;
};
/* Reads VM, disks and NICs in one snapshot; texts live in the arena. */
enum sv_err sv_vm_rows_read(struct sv_db *db, const struct sv_id *vm, struct sv_arena *a, struct sv_vm_rows *ret,
                            struct sv_error *err);
enum sv_err sv_vm_rows_in(struct sv_tx *tx, const struct sv_id *vm, struct sv_arena *a, struct sv_vm_rows *ret,
                          struct sv_error *err);
/* The hypervisor's definition that these rows ask for. */
enum sv_err sv_vm_rows_domain(struct sv_cloud *c, const struct sv_vm_rows *rows, struct sv_hv_domain *ret,
                              struct sv_error *err);
/* What a VM holds of its tenant's quota. */
struct sv_amounts sv_vm_rows_amounts(const struct sv_vm_rows *rows);

/* --- job kinds (rows next to their steps; the list is core/kinds.c) --- */
extern const struct sv_job_kind sv_kind_vm_create, sv_kind_vm_install, sv_kind_vm_start, sv_kind_vm_destroy,
    sv_kind_vm_shutdown, sv_kind_vm_restart, sv_kind_vm_suspend, sv_kind_vm_resume, sv_kind_vm_delete, sv_kind_vm_vcpus,
    sv_kind_vm_memory, sv_kind_disk_add, sv_kind_disk_remove, sv_kind_disk_extend, sv_kind_nic_add, sv_kind_nic_remove,
    sv_kind_vm_password, sv_kind_vm_agent, sv_kind_template_import, sv_kind_template_create, sv_kind_template_delete,
    sv_kind_snapshot_create, sv_kind_snapshot_restore, sv_kind_snapshot_delete, sv_kind_backup_create,
    sv_kind_backup_restore, sv_kind_backup_delete, sv_kind_vm_clone;

extern const struct sv_job_kind sv_kind_storage_add, sv_kind_storage_remove, sv_kind_disk_pv, sv_kind_disk_pv_remove,
    sv_kind_disk_pv_extend;

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
