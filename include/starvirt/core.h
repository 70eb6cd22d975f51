/* The cloud: rules, reservations, and the steps of its jobs. Knows no wire name and no SQL.
 *
 * Functions that take a `struct sv_tx *` run inside the caller's transaction (a write closure where they
 * change anything); the few that block take none and say so. Row types are the stores'. Every function
 * that names an object checks it against the actor: another tenant's id answers as an unknown id. */
#ifndef STARVIRT_CORE_H
#define STARVIRT_CORE_H

#include "starvirt/hv.h"
#include "starvirt/jobs.h"
#include "starvirt/net.h"
#include "starvirt/store_catalog.h"
#include "starvirt/store_copy.h"
#include "starvirt/store_job.h"
#include "starvirt/store_tenant.h"
#include "starvirt/store_vm.h"

struct sv_cloud;

struct sv_cloud_options {
    const char *data_dir;
    struct sv_db *db;           /* open; stays the caller's */
    const char *const *connect; /* hypervisor URIs; the cloud opens and closes them */
    unsigned connect_count;
    struct sv_hv_options hv;
    struct sv_net *net; /* open; stays the caller's */
    uint32_t supernet;  /* VPCs are cut from it */
    unsigned supernet_prefix, vpc_prefix;
    const char *backup_dir;  /* NULL = DIR/backups */
    int64_t backup_keep;     /* backups kept of a VM; 0 = all */
    const char *import_dirs; /* comma list; templates by path come from below these; NULL = anywhere (admin) */
    double vcpu_overcommit;  /* vCPUs placed per physical one; 0 = 8 */
    struct sv_jobs_options jobs;
};

/* --- life ---------------------------------------------------------------------------------------- */

/* First start makes the admin tenant and DIR/admin.token. Opens the hypervisors, makes the job engine. */
enum sv_err sv_cloud_new(const struct sv_cloud_options *opt, struct sv_cloud **ret, struct sv_error *err);
/* Reconciles, resumes jobs. Returns at once: hosts come in as they connect. */
enum sv_err sv_cloud_start(struct sv_cloud *c, struct sv_error *err);
void sv_cloud_stop(struct sv_cloud *c, int64_t limit_ms);
void sv_cloud_free(struct sv_cloud *c);
struct sv_db *sv_cloud_db(struct sv_cloud *c);
struct sv_jobs *sv_cloud_jobs(struct sv_cloud *c);
extern const struct sv_job_kind *const sv_cloud_kinds[]; /* every kind of job; NULL ends it */
unsigned sv_cloud_hosts_connected(struct sv_cloud *c, unsigned *ret_total);

/* --- who asks ------------------------------------------------------------------------------------- */

/* TOKEN_MISSING (NULL or ""), TOKEN_INVALID, TOKEN_EXPIRED. */
enum sv_err sv_auth(struct sv_cloud *c, struct sv_tx *tx, const char *token, struct sv_actor *ret,
                    struct sv_error *err);
/* Whose objects a request is about: `tenant` (text, may be NULL = the actor's own). A tenant may name
 * only itself; anything else is TENANT_NOT_FOUND. */
enum sv_err sv_owner(struct sv_tx *tx, const struct sv_actor *who, const char *tenant, struct sv_id *ret,
                     struct sv_error *err);

/* --- tenants, tokens, quota (design section 3) ------------------------------------------------------ */

struct sv_tenant_new {
    const char *name, *descr;
    struct sv_amounts quota; /* -1 = unlimited */
};
#define SV_TOKEN_TEXT 65 /* 64 hex digits and NUL */
enum sv_err sv_tenant_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                             const struct sv_tenant_new *in, struct sv_id *ret, char token[SV_TOKEN_TEXT],
                             struct sv_error *err);
enum sv_err sv_tenant_rename(struct sv_tx *tx, const struct sv_actor *who, const char *id, const char *name,
                             const char *descr, struct sv_error *err);
enum sv_err sv_tenant_remove(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_error *err);
enum sv_err sv_tenant_find(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_arena *a,
                           struct sv_tenant *ret, struct sv_error *err);
enum sv_err sv_tenant_quota(struct sv_tx *tx, const struct sv_actor *who, const char *id,
                            const struct sv_amounts *quota, struct sv_error *err);
enum sv_err sv_token_issue(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *tenant,
                           enum sv_role role, int64_t expires, const char *descr, struct sv_id *ret,
                           char token[SV_TOKEN_TEXT], struct sv_error *err);
enum sv_err sv_token_revoke(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_error *err);

/* --- VPCs ----------------------------------------------------------------------------------------- */

enum sv_err sv_vpc_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *owner, const char *name,
                          const char *descr, struct sv_arena *a, struct sv_vpc *ret, struct sv_error *err);
enum sv_err sv_vpc_rename(struct sv_tx *tx, const struct sv_actor *who, const char *id, const char *name,
                          const char *descr, struct sv_error *err);
/* Blocks: takes the data plane down, then the row. Opens its own transactions. */
enum sv_err sv_vpc_remove(struct sv_cloud *c, const struct sv_actor *who, const char *id, struct sv_error *err);

/* --- VMs ------------------------------------------------------------------------------------------ */

struct sv_vm_new {
    struct sv_id owner;
    const char *name;                /* NULL = made from the id */
    const char *model, *template_id; /* exactly one */
    const char *vpc;
    int64_t vcpus, memory; /* memory [bytes] */
    int64_t count;         /* 1..SV_MAX_VM_BATCH */
    const char *vnc_password;
    const char *account_password; /* of root inside; set by the guest agent once it is up. NULL = as in the image */
    bool nested;
    bool full;                          /* the system disk is a copy of the template instead of standing on it */
    int64_t data_disks, data_disk_size; /* size [bytes] */
};
struct sv_vm_made {
    struct sv_id vm, startid;
    char name[SV_MAX_NAME + 1];
};
/* All or nothing: rows, reservations and jobs of `count` VMs in one transaction. ret has room for count. */
enum sv_err sv_vm_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const struct sv_vm_new *in,
                         struct sv_vm_made *ret, struct sv_error *err);
enum sv_vm_action {
    SV_VM_START,
    SV_VM_DESTROY,
    SV_VM_SHUTDOWN,
    SV_VM_RESTART,
    SV_VM_SUSPEND,
    SV_VM_RESUME,
    SV_VM_DELETE
};
enum sv_err sv_vm_act(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                      enum sv_vm_action what, struct sv_id *ret_startid, struct sv_error *err);
enum sv_err sv_vm_resize(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                         int64_t vcpus /* 0 = as is */, int64_t memory /* 0 = as is */, struct sv_id *ret_startid,
                         struct sv_error *err);
enum sv_err sv_vm_find(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_arena *a,
                       struct sv_vm *ret, struct sv_error *err);
enum sv_err sv_vm_modify(struct sv_tx *tx, const struct sv_actor *who, const char *id, const char *name,
                         const char *descr, struct sv_error *err);
/* May it be asked to reboot or shut down right now? It runs (every VM has ACPI, whether or not its agent
 * answers), its host is connected, and no job holds it. */
bool sv_vm_can_ask(const struct sv_vm *vm);
/* Is the address it was given among those that the guest names? Also true while it names none. */
bool sv_vm_address_agrees(const struct sv_vm *vm);

/* The switch of the VM's filters (StarVCenter 2.2.18). A change of the row alone: filters are applied by it. */
enum sv_err sv_vm_switch_firewall(struct sv_tx *tx, const struct sv_actor *who, const char *id, bool on,
                                  struct sv_error *err);

/* --- disks and NICs of a VM (StarVCenter 2.4, 2.5) ---------------------------------------------------- */

struct sv_disk_made {
    struct sv_id disk, startid;
    char target[8];
};
enum sv_err sv_vm_disk_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                           int64_t size /* [bytes] */, const char *descr, struct sv_disk_made *ret,
                           struct sv_error *err);
/* Not the boot disk. */
enum sv_err sv_vm_disk_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *disk,
                              struct sv_id *ret_startid, struct sv_error *err);
/* Only grows. */
enum sv_err sv_vm_disk_extend(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *disk,
                              int64_t size, struct sv_id *ret_startid, struct sv_error *err);
/* Both block until it is done: each is a job that is waited for, so a crash in the middle is finished or undone. */
enum sv_err sv_vm_nic_add(struct sv_cloud *c, const struct sv_actor *who, const char *vm, const char *vpc,
                          struct sv_arena *a, struct sv_id *ret_nic, struct sv_error *err);
enum sv_err sv_vm_nic_remove(struct sv_cloud *c, const struct sv_actor *who, const char *nic, struct sv_arena *a,
                             struct sv_error *err);

/* --- snapshots (StarVCenter 2.7) ----------------------------------------------------------------------- */

struct sv_snapshot_made {
    struct sv_id snapshot, startid;
};
/* Of the VM's disks, and of the memory when it runs. SNAPSHOT_LIMIT. */
enum sv_err sv_snapshot_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                               const char *name, const char *descr, struct sv_snapshot_made *ret, struct sv_error *err);
/* Disks as they were; a guest that ran then runs afterwards, from its memory when the VM still has the same
 * devices and size, else from its disks. One that was off is off. SNAPSHOT_BROKEN. */
enum sv_err sv_snapshot_restore(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *snapshot,
                                struct sv_id *ret_startid, struct sv_error *err);
/* Blocks: a job that is waited for. The others of the tree stay. */
enum sv_err sv_snapshot_remove(struct sv_cloud *c, const struct sv_actor *who, const char *snapshot, struct sv_arena *a,
                               struct sv_error *err);
enum sv_err sv_snapshot_describe(struct sv_tx *tx, const struct sv_actor *who, const char *snapshot,
                                 const char *descr /* NULL = unchanged */, struct sv_error *err);

/* --- backups (StarVCenter 2.6) -------------------------------------------------------------------------- */

/* A full copy of all disks, running or not. */
enum sv_err sv_backup_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                             const char *name, const char *descr, struct sv_id *ret, struct sv_id *ret_startid,
                             struct sv_error *err);
/* The VM's disks become what they were; it runs afterwards if it does now. Disks that grew keep their size,
 * disks that came later stay as they are. BACKUP_NO_VM, BACKUP_LOCKED, BACKUP_DAMAGED, BACKUP_DISKS,
 * SNAPSHOT_HOLDS. */
enum sv_err sv_backup_restore(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *backup,
                              struct sv_id *ret_startid, struct sv_error *err);
/* A new VM of the backup's disks and size. `name` NULL: the VM's and "-clone"; `vpc` NULL: that of the VM's first
 * NIC, where there is one. */
enum sv_err sv_backup_clone(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *backup,
                            const char *name, const char *vpc, struct sv_vm_made *ret, struct sv_error *err);
/* Blocks: a job that is waited for. BACKUP_LOCKED while it is made or read. */
enum sv_err sv_backup_remove(struct sv_cloud *c, const struct sv_actor *who, const char *backup, struct sv_arena *a,
                             struct sv_error *err);
enum sv_err sv_backup_describe(struct sv_tx *tx, const struct sv_actor *who, const char *backup,
                               const char *descr /* NULL = unchanged */, struct sv_error *err);
/* Oldest first, also of a VM that is gone. Blocks: `usable` is what the files say now. `bytes`: of the files. */
enum sv_err sv_backup_list_of(struct sv_cloud *c, const struct sv_actor *who, const char *vm,
                              void (*row)(void *arg, const struct sv_backup *b, bool usable, int64_t bytes), void *arg,
                              struct sv_arena *a, struct sv_error *err);
/* Deletes the VM, and its backups in the same job. BACKUP_LOCKED. */
enum sv_err sv_vm_delete_with_backups(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                                      struct sv_id *ret_startid, struct sv_error *err);

/* --- storages (StarVCenter 2.16; adding and removing is ours), disks without a VM (2.4.5): administrators ---- */

struct sv_storage_new {
    const char *name, *descr;
    const char *type;     /* dir, nfs, ceph */
    const char *location; /* dir: its path; nfs: "server:/export"; ceph: any name */
    enum sv_storage_use use;
    const char *host;                         /* NULL: the only one; nfs and ceph: all of them */
    const char *monitors, *pool, *user, *key; /* ceph: all four. The key is sealed and shown by sv_volume_make() only */
};
/* Both block: jobs that are waited for. */
enum sv_err sv_storage_add(struct sv_cloud *c, const struct sv_actor *who, const struct sv_storage_new *in,
                           struct sv_arena *a, struct sv_id *ret, struct sv_error *err);
/* STORAGE_IN_USE; a host's own image directory stays. */
enum sv_err sv_storage_remove(struct sv_cloud *c, const struct sv_actor *who, const char *id, struct sv_arena *a,
                              struct sv_error *err);
/* NULL = unchanged. */
enum sv_err sv_storage_modify(struct sv_tx *tx, const char *id, const char *name, const char *descr,
                              const enum sv_storage_use *use, struct sv_error *err);
/* Blocks: asks the storage how full it is. */
enum sv_err sv_storage_refresh(struct sv_cloud *c, const char *id, struct sv_arena *a, struct sv_error *err);

struct sv_volume_new {
    const char *name, *descr, *storage;
    const char *tenant; /* whose it is and whose quota; NULL = the actor's own */
    const char *use;    /* "vm", "volume" */
    int64_t size;       /* [bytes] */
};
struct sv_volume_made {
    struct sv_id disk;
    char key[128], pool[64], user[64], monitors[512]; /* what a client of Ceph needs */
};
/* Blocks. Ceph storages only: STORAGE_TYPE. sv_vm_disk_remove() and _extend() take such a disk, too. */
enum sv_err sv_volume_make(struct sv_cloud *c, const struct sv_actor *who, const struct sv_volume_new *in,
                           struct sv_arena *a, struct sv_volume_made *ret, struct sv_error *err);

/* --- inside the guest (StarVCenter 2.2.10 - 2.2.13) ---------------------------------------------------- */

enum sv_err sv_vm_set_password(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                               const char *user /* NULL = root */, const char *password, struct sv_id *ret_startid,
                               struct sv_error *err);
enum sv_err sv_vm_agent_resume(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                               struct sv_id *ret_startid, struct sv_error *err);
/* Blocks. `password` NULL: a random one, written to made[]. */
enum sv_err sv_vm_set_vnc_password(struct sv_cloud *c, const struct sv_actor *who, const char *vm, const char *password,
                                   char made[SV_MAX_VNC_PASSWORD + 1], struct sv_arena *a, struct sv_error *err);

/* --- the screen (StarVCenter 2.2.9) -------------------------------------------------------------------- */

/* Where a VNC client finds it; asks no host. VM_STATE when it has none now. */
enum sv_err sv_vm_console_address(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                                  struct sv_arena *a, struct sv_vm *ret, char host[64], unsigned *ret_port,
                                  struct sv_error *err);
/* A stream that speaks RFB, for somebody who was let in by a console token; the caller closes it. Blocks. */
enum sv_err sv_vm_console_open(struct sv_cloud *c, const struct sv_id *tenant, const struct sv_id *vm, int *ret_fd,
                               const struct sv_deadline *d, struct sv_error *err);

/* --- models and templates --------------------------------------------------------------------------- */

enum sv_err sv_model_add(struct sv_tx *tx, const char *type, const char *label, const char *value, const char *descr,
                         struct sv_id *ret, struct sv_error *err); /* type "tenant_type" adds a type */
enum sv_err sv_model_remove(struct sv_tx *tx, const char *id, struct sv_error *err);
enum sv_err sv_model_set(struct sv_tx *tx, const struct sv_actor *who, const char *model, const char *template_id,
                         int64_t sysdisk, struct sv_error *err);

struct sv_template_new {
    const char *name, *descr, *os, *format, *md5;
    const char *path;   /* a file on the server (admin), or: */
    const char *upload; /* a private file the job may consume */
};
enum sv_err sv_template_import(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                               const struct sv_template_new *in, struct sv_id *ret, struct sv_id *ret_startid,
                               struct sv_error *err);
/* Of the VM's system disk, as it is: name and descr of `in` only. It is the VM's tenant's. */
enum sv_err sv_template_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                               const struct sv_template_new *in, const char *vm, struct sv_id *ret,
                               struct sv_id *ret_startid, struct sv_error *err);
enum sv_err sv_template_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                               struct sv_id *ret_startid, struct sv_error *err);

/* --- jobs ----------------------------------------------------------------------------------------- */

enum sv_err sv_job_find(struct sv_tx *tx, const struct sv_actor *who, const char *startid, struct sv_arena *a,
                        struct sv_job *ret, struct sv_error *err);
enum sv_err sv_job_cancel(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *startid,
                          enum sv_job_result *ret, struct sv_error *err);
/* What a client reads as job.resultinfo: the failure's text, "" while it goes well. */
void sv_job_info(const struct sv_job *job, enum sv_lang lang, char *buf, size_t size);

/* --- upkeep ---------------------------------------------------------------------------------------- */

/* Compares what the hosts behind `connect` really hold with the database: domains, volumes and templates,
 * both ways; calls breach per difference. Opens its own connections; blocks. For a stopped server
 * (starvirt fsck --connect). */
enum sv_err sv_audit_hosts(struct sv_db *db, const char *const *connect, unsigned n, const struct sv_hv_options *hv,
                           void (*breach)(void *arg, const char *line), void *arg, unsigned *ret_n,
                           struct sv_error *err);

#endif
