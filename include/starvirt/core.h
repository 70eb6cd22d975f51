/* The cloud: rules, reservations, and the steps of its jobs. Knows no wire name and no SQL.
 *
 * Functions that take a `struct sv_tx *` run inside the caller's transaction (a write closure where they
 * change anything); the few that block take none and say so. Row types are the stores', their functions are
 * not for those who call here. Every function takes the actor and checks role (ADMIN_ONLY), scope (another
 * tenant's id answers as an unknown id) and bounds itself, whatever a dialect has checked already.
 *
 * Searches hand each row that the actor may see to a callback; its texts live until that returns. */
#ifndef STARVIRT_CORE_H
#define STARVIRT_CORE_H

#include "starvirt/hv.h"
#include "starvirt/jobs.h"
#include "starvirt/net.h"
#include "starvirt/store_catalog.h"
#include "starvirt/store_copy.h"
#include "starvirt/store_job.h"
#include "starvirt/store_network.h"
#include "starvirt/store_place.h"
#include "starvirt/store_rule.h"
#include "starvirt/store_tenant.h"
#include "starvirt/store_unit.h"
#include "starvirt/store_vm.h"

struct sv_cloud;

/* One message for a web hook. */
struct sv_hook_message {
    const char *url;
    const char *delivery; /* the same for each try of it */
    const char *body;
    size_t size;
};
struct sv_alarm_options {
    const char *const *hooks; /* URLs, none twice; at most SV_MAX_HOOKS */
    unsigned hook_count;
    int64_t keep_ms; /* relieved alarms; 0 = 90 days */
    /* Blocks, until the deadline at most. SV_OK: it was taken; else why it was not. From a thread of each hook. */
    enum sv_err (*send)(void *arg, const struct sv_hook_message *m, const struct sv_deadline *d, struct sv_error *err);
    void *send_arg;
    int64_t cert_ends; /* [ms UTC] the server's own certificate; 0 = none */
};
/* Of the hosts that can take a VM the one with the most free memory, or the one with the least. */
enum sv_place_policy { SV_PLACE_SPREAD, SV_PLACE_PACK };

struct sv_cloud_options {
    const char *data_dir;       /* from the root, as all paths: hypervisors have another working directory */
    struct sv_db *db;           /* open; stays the caller's */
    const char *const *connect; /* hypervisor URIs; the cloud opens and closes them */
    unsigned connect_count;
    struct sv_hv_options hv;
    struct sv_net *net; /* open; stays the caller's */
    uint32_t supernet;  /* VPCs are cut from it */
    unsigned supernet_prefix, vpc_prefix;
    const char *backup_dir;  /* NULL = DIR/backups */
    int64_t backup_keep;     /* backups kept of a VM; 0 = all */
    int64_t monitor_s;       /* [s] between two samples of what a host and its guests use; 0 = none */
    const char *import_dirs; /* comma list; templates by path come from below these; NULL = anywhere (admin) */
    enum sv_place_policy placement;
    double vcpu_overcommit; /* vCPUs placed per physical one; 0 = 8 */
    struct sv_jobs_options jobs;
    /* Something that a request may wait for was found out, under its key. From any thread, must not block. */
    void (*news)(void *arg, const char *key);
    void *news_arg;
    struct sv_alarm_options alarm;
};

/* What an answer says of things that may take their time (a disk, an engine): other threads look at them. */
#define SV_LOOK_KEY_LEN (8 + SV_ID_LEN + 1)
struct sv_look {
    int64_t since_us; /* as they are since then [sv_mono_us()] */
    bool last;        /* no more waiting: what was not looked at since counts as not there */
    bool later;       /* out: no row was given; ask again when `key` is told */
    char key[SV_LOOK_KEY_LEN];
};

/* --- life ---------------------------------------------------------------------------------------- */

/* First start makes the admin tenant and DIR/admin.token. Opens the hypervisors, makes the job engine. */
enum sv_err sv_cloud_new(const struct sv_cloud_options *opt, struct sv_cloud **ret, struct sv_error *err);
/* Reconciles, resumes jobs. Returns at once: hosts come in as they connect. */
enum sv_err sv_cloud_start(struct sv_cloud *c, struct sv_error *err);
void sv_cloud_stop(struct sv_cloud *c, int64_t limit_ms);
/* False: a thread that asks something that hangs was left behind; the engine of networks must stay open for it. */
bool sv_cloud_free(struct sv_cloud *c);
struct sv_db *sv_cloud_db(struct sv_cloud *c);
struct sv_jobs *sv_cloud_jobs(struct sv_cloud *c);
extern const struct sv_job_kind *const sv_cloud_kinds[]; /* every kind of job; NULL ends it */
/* Of the hosts that were given: `ready` ones can be used, `coming` ones have just been asked, or are being asked what
 * they have. */
struct sv_hosts_ready {
    unsigned total, ready, coming;
};
struct sv_hosts_ready sv_cloud_hosts_ready(struct sv_cloud *c);
/* Units of networks: those that wait to be told to the engine, are being told, failed and wait for their next try; and
 * since the start how often one failed, and how many were found otherwise than they should be and mended. */
struct sv_network_stats {
    unsigned waiting, telling, failed;
    uint64_t failures, mended;
    uint64_t failovers;                 /* routers of which another instance took over, as far as was seen */
    uint64_t comparisons, comparing_us; /* of what the engine has with what it should have, and how long they took */
};
void sv_cloud_network_stats(struct sv_cloud *c, struct sv_network_stats *ret);
/* What the engine has, held against rows now, and mended. */
enum sv_drift_state {
    SV_DRIFT_OPEN,   /* not mended yet */
    SV_DRIFT_MENDED, /* it is as it should be */
    SV_DRIFT_FAILED, /* the engine did not take it (why); it is told again */
    SV_DRIFT_UNSEEN, /* could not be looked at (why) */
};
struct sv_drift {
    enum sv_net_unit kind;
    const char *type;        /* "vpc", "router", "group", "nic" */
    struct sv_id id, tenant; /* tenant empty: nobody has such a thing, it was taken away */
    enum sv_drift_state state;
    int64_t ms; /* [ms] from when it was found to when it was mended, or failed, or the end */
    struct sv_error why;
};
struct sv_drifts {
    const struct sv_drift *v;
    size_t n;
};
/* For administrators. Blocks, for the comparison and then for up to SV_CHECK_WAIT_MS until what differs was told to the
 * engine; not on the writer thread. NETWORK when a kind of unit could not be looked at: the others were, and mended. */
enum sv_err sv_network_check(struct sv_cloud *c, const struct sv_actor *who, struct sv_arena *a, struct sv_drifts *ret,
                             struct sv_error *err);
/* Inside a write closure: has it touched units? Then SV_NEWS_TOLD and sv_tx_number() is the key of the news that the
 * engine was told of all of them, which comes after the commit. */
#define SV_NEWS_TOLD "told:"
bool sv_cloud_touched(struct sv_cloud *c, const struct sv_tx *tx);
/* Undos that failed and are to be finished, as of a moment ago. */
int64_t sv_cloud_undos_pending(struct sv_cloud *c);

/* --- who asks ------------------------------------------------------------------------------------- */

/* TOKEN_MISSING (NULL or ""), TOKEN_INVALID, TOKEN_EXPIRED. */
enum sv_err sv_auth(struct sv_cloud *c, struct sv_tx *tx, const char *token, struct sv_actor *ret,
                    struct sv_error *err);
/* Is `who`, found before, still what it was? For what takes time between its begin and its acceptance. TOKEN_INVALID,
 * TOKEN_EXPIRED. */
enum sv_err sv_auth_again(struct sv_tx *tx, const struct sv_actor *who, struct sv_error *err);
/* Where a user name comes beside the token: LOGIN_USER unless it is the name of the token's tenant. */
enum sv_err sv_login(struct sv_tx *tx, const struct sv_actor *who, const char *user, struct sv_arena *a,
                     struct sv_tenant *ret, struct sv_error *err);
/* Whose objects a request is about: `tenant` (text, may be NULL = the actor's own). A tenant may name
 * only itself; anything else is TENANT_NOT_FOUND. */
enum sv_err sv_owner(struct sv_tx *tx, const struct sv_actor *who, const char *tenant, struct sv_id *ret,
                     struct sv_error *err);

/* --- tenants, tokens, quota ------------------------------------------------------------------------ */

/* An amount of a quota that is not said: a new tenant gets the default (SV_DEFAULT_OPEN_JOBS, all else unlimited),
 * another keeps what it has. */
#define SV_QUOTA_UNSAID INT64_MIN

struct sv_tenant_new {
    const char *name, *descr;
    struct sv_amounts quota; /* -1 = unlimited, or SV_QUOTA_UNSAID */
};
#define SV_TOKEN_TEXT 65 /* 64 hex digits and NUL */
enum sv_err sv_tenant_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                             const struct sv_tenant_new *in, struct sv_id *ret, char token[SV_TOKEN_TEXT],
                             struct sv_error *err);
/* Administrators, as all that follows but sv_tenant_find(). */
enum sv_err sv_tenant_rename(struct sv_tx *tx, const struct sv_actor *who, const char *id, const char *name,
                             const char *descr, struct sv_error *err);
enum sv_err sv_tenant_remove(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_error *err);
enum sv_err sv_tenant_find(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_arena *a,
                           struct sv_tenant *ret, struct sv_error *err);
enum sv_err sv_tenant_search(struct sv_tx *tx, const struct sv_actor *who, const struct sv_tenant_filter *f,
                             const struct sv_page *p, void (*row)(void *arg, const struct sv_tenant *t), void *arg,
                             uint64_t *ret_total, struct sv_error *err);
/* -1 = unlimited, or SV_QUOTA_UNSAID. QUOTA_BELOW_USE, but for jobs: those end by themselves. */
enum sv_err sv_tenant_quota(struct sv_tx *tx, const struct sv_actor *who, const char *id,
                            const struct sv_amounts *quota, struct sv_error *err);
enum sv_err sv_token_issue(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *tenant,
                           enum sv_role role, int64_t expires, const char *descr, struct sv_id *ret,
                           char token[SV_TOKEN_TEXT], struct sv_error *err);
enum sv_err sv_token_revoke(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_error *err);
/* `tenant` NULL: of all. */
enum sv_err sv_token_search(struct sv_tx *tx, const struct sv_actor *who, const char *tenant, const struct sv_page *p,
                            void (*row)(void *arg, const struct sv_token *t), void *arg, uint64_t *ret_total,
                            struct sv_error *err);
/* Another DIR/admin.token, for whoever owns the directory: a new administrator's token, in force and then in the file
 * (0600). Those that the program had written there before are revoked (*ret_revoked of them), others stay. For the
 * server or, while none runs, for a program on its machine. Blocks. */
enum sv_err sv_admin_token_reset(struct sv_db *db, const char *dir, unsigned *ret_revoked, struct sv_error *err);

/* --- VPCs ----------------------------------------------------------------------------------------- */

/* `tenant` as sv_owner() takes it. */
enum sv_err sv_vpc_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *tenant,
                          const char *name, const char *descr, struct sv_arena *a, struct sv_vpc *ret,
                          struct sv_error *err);
enum sv_err sv_vpc_rename(struct sv_tx *tx, const struct sv_actor *who, const char *id, const char *name,
                          const char *descr, struct sv_error *err);
/* VPC_IN_USE while it has a NIC. Its job takes the data plane down, then the row. */
enum sv_err sv_vpc_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                          struct sv_id *ret_startid, struct sv_error *err);

/* `tenant` NULL: all that the actor sees. */
enum sv_err sv_vpc_search(struct sv_tx *tx, const struct sv_actor *who, const char *tenant, const struct sv_page *p,
                          void (*row)(void *arg, const struct sv_vpc *v), void *arg, uint64_t *ret_total,
                          struct sv_error *err);

/* --- rules and security groups (StarVCenter 2.3.9 - 2.3.11, 2.17, 2.18) ----------------------------- */

/* Each allows; a direction in which there is one lets pass nothing but what rules name. */
enum sv_rule_way { SV_WAY_UNSAID, SV_WAY_IN, SV_WAY_OUT };
struct sv_rule_new {
    enum sv_rule_way way;
    enum sv_rule_proto proto;
    const char *srcs, *dsts, *ports; /* lists as they were given; NULL any */
    const char *descr;
};
/* For the NIC with this address: at the boundary of its VPC (`gate`; unsaid is in), or its own. The guest's side of it
 * is that address, said or not (PARAM_CONFLICT). Ports need a protocol. RULE_EXISTS, RULE_LIMIT. */
enum sv_err sv_rule_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *ip, bool gate,
                        const struct sv_rule_new *in, struct sv_id *ret, struct sv_error *err);
/* Ports without a protocol are those of TCP and UDP. */
enum sv_err sv_group_rule_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *group,
                              const struct sv_rule_new *in, struct sv_id *ret, struct sv_error *err);
/* `of_group`: one of a group; else none of such. Otherwise RULE_NOT_FOUND. */
enum sv_err sv_rule_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                           bool of_group, struct sv_error *err);
struct sv_rule_query {
    const char *id, *router;     /* NULL = any, as all texts */
    const char *src, *dst, *vpc; /* substrings */
    const char *ports;           /* the same ones, however they are written */
    int kind, proto;             /* -1 = any */
    enum sv_rule_way way;
};
enum sv_err sv_rules_search(struct sv_tx *tx, const struct sv_actor *who, const struct sv_rule_query *q,
                            const struct sv_page *p, sv_rule_fn *row, void *arg, uint64_t *ret_total,
                            struct sv_error *err);
/* Of these groups, one after the other. GROUP_NOT_FOUND. */
enum sv_err sv_group_rules_search(struct sv_tx *tx, const struct sv_actor *who, const char *const *groups, size_t n,
                                  const struct sv_rule_query *q, const struct sv_page *p, sv_rule_fn *row, void *arg,
                                  uint64_t *ret_total, struct sv_error *err);
struct sv_rule_view {
    struct sv_look look;                                            /* what the engine does not say is not in force */
    void (*row)(void *arg, const struct sv_rule *r, bool in_force); /* on all NICs of the VM that are in the group */
    void *arg;
};
/* Of all groups that a NIC of the VM is in. Another thread asks the engine, which may take its time. */
enum sv_err sv_vm_rules(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                        const struct sv_page *p, struct sv_rule_view *view, uint64_t *ret_total, struct sv_error *err);

/* Rules that are not in force because the engine refused, or did not take, what they are part of. `vm`, `group`: ids,
 * NULL = any. */
enum sv_err sv_rule_issue_search(struct sv_tx *tx, const struct sv_actor *who, const char *vm, const char *group,
                                 const struct sv_page *p, void (*row)(void *arg, const struct sv_rule_issue *i),
                                 void *arg, uint64_t *ret_total, struct sv_error *err);
/* All that the actor sees are tried again at once. */
enum sv_err sv_rule_issue_retry(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, struct sv_error *err);

/* `tenant` as sv_owner() takes it. GROUP_LIMIT. */
enum sv_err sv_group_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *tenant,
                            const char *name, const char *descr, struct sv_id *ret, struct sv_error *err);
/* GROUP_IN_USE while a NIC is in it. */
enum sv_err sv_group_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                            struct sv_error *err);
enum sv_err sv_group_search(struct sv_tx *tx, const struct sv_actor *who, const char *id, const char *name,
                            const struct sv_page *p, void (*row)(void *arg, const struct sv_secgroup *g), void *arg,
                            uint64_t *ret_total, struct sv_error *err);
/* NICs of the group's tenant, all or none. Those that are in it already (`in`), or are not, stay so. NIC_GROUPS. */
enum sv_err sv_group_put(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *group,
                         const char *const *nics, size_t n, bool in, struct sv_error *err);
/* `ip` 0: any. */
enum sv_err sv_group_nics(struct sv_tx *tx, const struct sv_actor *who, const char *group, uint32_t ip,
                          const struct sv_page *p, void (*row)(void *arg, const struct sv_nic *n), void *arg,
                          uint64_t *ret_total, struct sv_error *err);

/* --- networks on a physical interface (the KVM platform's NetworkHandler): administrators only ------- */

struct sv_host_network_new {
    const char *id;            /* the caller's UUID */
    const char *type, *device; /* "flat", "vlan": NET_TYPE; the interface: NET_DEVICE_NAME */
    const char *netns;         /* network namespace that has the interface; NULL = the server's own */
    int64_t vlan;              /* SV_NET_VLAN_MIN..MAX, < 0 = none */
};
extern const char *const sv_host_network_types[]; /* by enum sv_net_host_type; NULL ends it */
const char *sv_host_network_type(const struct sv_host_network *n);
/* Its bridge. */
void sv_host_network_bridge(const struct sv_id *id, char buf[SV_NET_DEVICE_LEN + 1]);
/* A job that the request waits for. HOST_NETWORK_EXISTS, HOST_NETWORK_CLASH; the job ends with NET_DEVICE_NOT_FOUND,
 * NET_DEVICE_UNUSABLE, NETNS_NOT_FOUND. */
enum sv_err sv_host_network_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                                   const struct sv_host_network_new *in, struct sv_id *ret, struct sv_id *ret_startid,
                                   struct sv_error *err);
/* Likewise a job. HOST_NETWORK_LOCKED while another makes or removes it. */
enum sv_err sv_host_network_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                                   struct sv_id *ret_startid, struct sv_error *err);
/* Texts live as long as the transaction. */
enum sv_err sv_host_network_find(struct sv_tx *tx, const struct sv_actor *who, const char *id,
                                 struct sv_host_network *ret, struct sv_error *err);
enum sv_err sv_host_network_search(struct sv_tx *tx, const struct sv_actor *who, const struct sv_page *p,
                                   void (*row)(void *arg, const struct sv_host_network *n), void *arg,
                                   uint64_t *ret_total, struct sv_error *err);

/* --- VMs ------------------------------------------------------------------------------------------ */

struct sv_vm_new {
    const char *tenant;              /* as sv_owner() takes it */
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
    const char *labels;            /* that its host must have, "key=value", by comma; for administrators. NULL = none */
    const char *const *affinities; /* ids of groups of its tenant; may be NULL */
    size_t affinity_count;
};
struct sv_vm_made {
    struct sv_id vm, startid;
    char name[SV_MAX_NAME + 1];
};
/* All or nothing: rows, reservations and jobs of `count` VMs in one transaction. ret has room for count. HOST_NOT_READY
 * while no host is, or those that are have no room and others are about to be. */
enum sv_err sv_vm_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const struct sv_vm_new *in,
                         struct sv_vm_made *ret, struct sv_error *err);
/* --- affinity groups --- */
struct sv_affinity_new {
    const char *tenant; /* as sv_owner() takes it */
    const char *name, *descr;
    bool apart, strict;
};
/* AFFINITY_LIMIT. */
enum sv_err sv_affinity_create(struct sv_tx *tx, const struct sv_actor *who, const struct sv_affinity_new *in,
                               struct sv_id *ret, struct sv_error *err);
/* AFFINITY_IN_USE while VMs are in it. */
enum sv_err sv_affinity_remove(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_error *err);
enum sv_err sv_affinity_search(struct sv_tx *tx, const struct sv_actor *who, const char *name, const struct sv_page *p,
                               void (*row)(void *arg, const struct sv_affinity *g), void *arg, uint64_t *ret_total,
                               struct sv_error *err);
/* Ids of the groups of a VM, by comma. */
enum sv_err sv_vm_affinities(struct sv_tx *tx, const struct sv_actor *who, const struct sv_vm *vm, struct sv_arena *a,
                             const char **ret, struct sv_error *err);

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
/* `tenant` NULL: all that the actor sees; f->tenant is not for callers. */
enum sv_err sv_vm_search(struct sv_tx *tx, const struct sv_actor *who, const char *tenant, const struct sv_vm_filter *f,
                         const struct sv_page *p, void (*row)(void *arg, const struct sv_vm *vm), void *arg,
                         uint64_t *ret_total, struct sv_error *err);
enum sv_err sv_vm_modify(struct sv_tx *tx, const struct sv_actor *who, const char *id, const char *name,
                         const char *descr, struct sv_error *err);
/* May it be asked to reboot or shut down right now? It runs (every VM has ACPI, whether or not its agent
 * answers), its host is connected, and no job holds it. */
bool sv_vm_can_ask(const struct sv_vm *vm);
/* Is the address it was given among those that the guest names? Also true while it names none. */
bool sv_vm_address_agrees(const struct sv_vm *vm);

/* The switch of the VM's filters (StarVCenter 2.2.18). Off, rules and groups count for nothing. */
enum sv_err sv_vm_switch_firewall(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                                  bool on, struct sv_error *err);

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
enum sv_err sv_vm_nic_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                          const char *vpc, struct sv_id *ret_nic, struct sv_id *ret_startid, struct sv_error *err);
enum sv_err sv_vm_nic_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *nic,
                             struct sv_id *ret_startid, struct sv_error *err);

/* Of one VM. */
enum sv_err sv_vm_disk_search(struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                              void (*row)(void *arg, const struct sv_disk *d), void *arg, struct sv_error *err);
enum sv_err sv_vm_nic_search(struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                             void (*row)(void *arg, const struct sv_nic *n), void *arg, struct sv_error *err);

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
/* The others of the tree stay. */
enum sv_err sv_snapshot_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *snapshot,
                               struct sv_id *ret_startid, struct sv_error *err);
/* Of one VM. */
enum sv_err sv_snapshot_search(struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                               void (*row)(void *arg, const struct sv_snapshot *s), void *arg, struct sv_error *err);
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
/* BACKUP_LOCKED while it is made or read. */
enum sv_err sv_backup_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *backup,
                             struct sv_id *ret_startid, struct sv_error *err);
enum sv_err sv_backup_describe(struct sv_tx *tx, const struct sv_actor *who, const char *backup,
                               const char *descr /* NULL = unchanged */, struct sv_error *err);
struct sv_backup_view {
    struct sv_look look; /* at the files; what was not looked at is not usable */
    void (*row)(void *arg, const struct sv_backup *b, bool usable, int64_t bytes); /* `bytes`: of the files */
    void *arg;
};
/* Oldest first, also of a VM that is gone. Other threads look at the files: they may lie on a storage that hangs. */
enum sv_err sv_backup_list_of(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                              struct sv_backup_view *view, struct sv_arena *a, struct sv_error *err);
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
    const char *monitors, *pool, *user, *key; /* ceph: all four. The key is sealed and shown by sv_pv_make() only */
};
enum sv_err sv_storage_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                           const struct sv_storage_new *in, struct sv_id *ret, struct sv_id *ret_startid,
                           struct sv_error *err);
/* STORAGE_IN_USE; a host's own image directory stays. */
enum sv_err sv_storage_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                              struct sv_id *ret_startid, struct sv_error *err);
/* NULL = unchanged. */
enum sv_err sv_storage_modify(struct sv_tx *tx, const struct sv_actor *who, const char *id, const char *name,
                              const char *descr, const enum sv_storage_use *use, struct sv_error *err);
/* A job that asks the storage how full it is, one at a time: OBJECT_LOCKED. */
enum sv_err sv_storage_refresh(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                               struct sv_id *ret_startid, struct sv_error *err);

enum sv_err sv_storage_search(struct sv_tx *tx, const struct sv_actor *who, const struct sv_page *p,
                              void (*row)(void *arg, const struct sv_storage *s), void *arg, uint64_t *ret_total,
                              struct sv_error *err);
/* --- what hosts are: administrators only --------------------------------------------------------------- */

enum sv_fact { SV_FACT_CPU, SV_FACT_MEMORY, SV_FACT_HARDWARE };
struct sv_host_facts {
    const struct sv_host *host;
    struct sv_hv_info info; /* as it told when it connected last */
};
/* Hosts that have told of themselves since the start, `host` NULL: all. Without one: INFO_CPU, INFO_MEMORY,
 * INFO_HARDWARE, as `what` says. */
enum sv_err sv_host_facts(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, enum sv_fact what,
                          const char *host, void (*row)(void *arg, const struct sv_host_facts *f), void *arg,
                          struct sv_error *err);
enum sv_host_state {
    SV_HOST_CONNECTING,  /* not heard of yet */
    SV_HOST_PREPARING,   /* connected, and asked what it has */
    SV_HOST_READY,       /* can be used */
    SV_HOST_UNREACHABLE, /* could not be connected since the start; it is tried again and again */
    SV_HOST_LOST         /* was connected; likewise */
};
const char *sv_host_state_name(enum sv_host_state s);
#define SV_HOST_WHY_LEN 160
struct sv_host_status {
    char name[64], uri[128]; /* the URI without its query */
    enum sv_host_state state;
    char why[SV_HOST_WHY_LEN]; /* it is not ready, in English; "" = not known */
};
/* The hosts that were given, in their order, from what they told: asks none, and reads no row. */
enum sv_err sv_host_states(struct sv_cloud *c, const struct sv_actor *who,
                           void (*row)(void *arg, const struct sv_host_status *s), void *arg, struct sv_error *err);
/* --- hosts that come and go (StarVCenter 2.14 and ours); for administrators ------------------------------ */

/* NULL, and below 0 where a number: as it is, or the default of a new one. */
struct sv_host_wish {
    const char *name, *descr;
    const char *labels;                         /* "key=value", by comma; "" = none */
    int64_t vcpu_overcommit, memory_overcommit; /* [%]; 0 = the server's */
};
/* The host behind `uri`, which is connected from then on, as at every start. Accepted whether or not it can be reached.
 * HOST_URI: no driver takes it, it names several hosts, or it runs a program here; HOST_EXISTS, HOST_LIMIT, LABELS. */
enum sv_err sv_host_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *uri,
                        const struct sv_host_wish *w, struct sv_id *ret, struct sv_error *err);
enum sv_err sv_host_modify(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *host,
                           const struct sv_host_wish *w, struct sv_error *err);
/* Nothing new is placed there from the commit on; what is there stays, and the job says how much that is. HOST_LOCKED.
 */
enum sv_err sv_host_mend(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *host, bool on,
                         struct sv_id *ret_startid, struct sv_error *err);
/* HOST_IN_USE with what it holds; HOST_GIVEN: it would be back at the next start. */
enum sv_err sv_host_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *host,
                           struct sv_error *err);
enum sv_host_code {                            /* StarVCenter appendix 3 */
                    SV_HOST_CODE_LOOKING = -1, /* not heard of yet, or lost a moment ago */
                    SV_HOST_CODE_STOPPED = 0,  /* no driver serves it: of an earlier configuration */
                    SV_HOST_CODE_RUNS = 1,
                    SV_HOST_CODE_LOST = 2,
};
struct sv_host_shown {
    const struct sv_host *row;
    enum sv_host_code code;
    bool given;                 /* by the options */
    char why[SV_HOST_WHY_LEN];  /* it cannot be used, in English */
    char uri[128], address[64]; /* without what stands behind a '?'; "" on this machine */
    char kernel[64];            /* "" = not known */
    int64_t cores;              /* of all its sockets; 0 = not known */
};
/* `host` by id, `ip` by address, both exact; NULL = any. */
enum sv_err sv_host_search(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *host,
                           const char *ip, const struct sv_page *p,
                           void (*row)(void *arg, const struct sv_host_shown *h), void *arg, uint64_t *ret_total,
                           struct sv_error *err);

struct sv_service {
    const char *name, *kind /* "server", "network", "hypervisor" */, *version;
    bool up;
};
enum sv_err sv_service_search(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                              void (*row)(void *arg, const struct sv_service *s), void *arg, struct sv_error *err);

/* What hosts, storages and networks have in all; for everybody. */
struct sv_capacity {
    int64_t vcpus, memory, storage; /* [bytes] */
    int64_t ips;                    /* outer addresses */
};
enum sv_err sv_capacity(struct sv_tx *tx, const struct sv_actor *who, struct sv_capacity *ret, struct sv_error *err);

struct sv_pv_new {
    const char *name, *descr, *storage;
    const char *tenant; /* whose it is and whose quota; NULL = the actor's own */
    const char *use;    /* "vm", "volume" */
    int64_t size;       /* [bytes] */
};
struct sv_pv_made {
    struct sv_id disk;
    char key[128], pool[64], user[64], monitors[512]; /* what a client of Ceph needs */
};
/* Ceph storages only: STORAGE_TYPE. sv_vm_disk_remove() and _extend() take such a disk, too. */
enum sv_err sv_pv_make(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const struct sv_pv_new *in,
                       struct sv_id *ret_startid, struct sv_error *err);
/* Once that job is done: what it made. */
enum sv_err sv_pv_made(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const struct sv_id *startid,
                       struct sv_pv_made *ret, struct sv_error *err);

/* --- inside the guest (StarVCenter 2.2.10 - 2.2.13) ---------------------------------------------------- */

enum sv_err sv_vm_set_password(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                               const char *user /* NULL = root */, const char *password, struct sv_id *ret_startid,
                               struct sv_error *err);
enum sv_err sv_vm_agent_resume(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                               struct sv_id *ret_startid, struct sv_error *err);
/* `password` NULL: a random one. One at a time for a VM: VM_LOCKED. */
enum sv_err sv_vm_set_vnc_password(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                                   const char *password, struct sv_id *ret_startid, struct sv_error *err);
/* Once that job is done: what is in force. */
enum sv_err sv_vm_vnc_password(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                               const struct sv_id *startid, char ret[SV_MAX_VNC_PASSWORD + 1], struct sv_error *err);

/* --- the screen (StarVCenter 2.2.9) -------------------------------------------------------------------- */

/* Where a VNC client finds it; asks no host. VM_STATE when it has none now. */
enum sv_err sv_vm_console_address(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                                  struct sv_arena *a, struct sv_vm *ret, char host[64], unsigned *ret_port,
                                  struct sv_error *err);
/* A stream that speaks RFB, for somebody who was let in by a console token; the caller closes it. Blocks. */
enum sv_err sv_vm_console_open(struct sv_cloud *c, const struct sv_id *tenant, const struct sv_id *vm, int *ret_fd,
                               const struct sv_deadline *d, struct sv_error *err);

/* --- models and templates --------------------------------------------------------------------------- */

/* `type` NULL: adds a type. Administrators, as the two that follow. */
enum sv_err sv_model_add(struct sv_tx *tx, const struct sv_actor *who, const char *type, const char *label,
                         const char *value, const char *descr, struct sv_id *ret, struct sv_error *err);
enum sv_err sv_model_remove(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_error *err);
enum sv_err sv_model_set(struct sv_tx *tx, const struct sv_actor *who, const char *model, const char *template_id,
                         int64_t sysdisk, struct sv_error *err);

/* Types in order of creation, each (m NULL) followed by its models; for everybody. */
enum sv_err sv_model_search(struct sv_tx *tx, const struct sv_actor *who,
                            void (*row)(void *arg, const struct sv_model_type *t, const struct sv_model *m), void *arg,
                            struct sv_error *err);

struct sv_template_new {
    const char *name, *descr, *os, *format, *md5;
    const char *path;    /* a file on the server (admin), as sv_template_path() gave it, or: */
    const char *upload;  /* a private file the job may consume, */
    int64_t upload_size; /* of so many bytes */
};
/* Where a path leads, if it is one that may be imported: TEMPLATE_PATH. Blocks, for as long as the disk does that it
 * lies on. Of a tenant's nothing is looked at: the import refuses it. */
enum sv_err sv_template_path(struct sv_cloud *c, const struct sv_actor *who, const char *path, struct sv_arena *a,
                             const char **ret, struct sv_error *err);
/* The file of an upload that will have `announced` bytes (0: nobody knows), in `dir`: whether there is room for it
 * beside what other uploads have announced, and a reserve that no upload touches, and in the quota of its
 * tenant: NO_ROOM, QUOTA_IMAGES. */
struct sv_claim;
enum sv_err sv_incoming_begin(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *dir,
                              int64_t announced, struct sv_claim **ret, struct sv_error *err);
/* Before it grows to `size` bytes: the same, by what is free now. Blocks on the disk. */
enum sv_err sv_incoming_grow(struct sv_cloud *c, const struct sv_actor *who, struct sv_claim *k, int64_t size,
                             struct sv_error *err);
void sv_incoming_end(struct sv_claim *k); /* NULL ok */
enum sv_err sv_template_import(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                               const struct sv_template_new *in, struct sv_id *ret, struct sv_id *ret_startid,
                               struct sv_error *err);
/* Of the VM's system disk, as it is: name and descr of `in` only. It is the VM's tenant's. */
enum sv_err sv_template_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                               const struct sv_template_new *in, const char *vm, struct sv_id *ret,
                               struct sv_id *ret_startid, struct sv_error *err);
enum sv_err sv_template_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                               struct sv_id *ret_startid, struct sv_error *err);

/* The actor's own and those offered to all. */
enum sv_err sv_template_search(struct sv_tx *tx, const struct sv_actor *who, const struct sv_template_filter *f,
                               const struct sv_page *p, void (*row)(void *arg, const struct sv_template *t), void *arg,
                               uint64_t *ret_total, struct sv_error *err);

/* --- jobs ----------------------------------------------------------------------------------------- */

enum sv_err sv_job_find(struct sv_tx *tx, const struct sv_actor *who, const char *startid, struct sv_arena *a,
                        struct sv_job *ret, struct sv_error *err);
enum sv_err sv_job_cancel(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *startid,
                          enum sv_job_result *ret, struct sv_error *err);
/* How the job of a request that waits for it turned out: *ret_ended false while it is open; its error when it
 * failed. The startid is one that the caller was given at acceptance. */
enum sv_err sv_job_outcome(struct sv_tx *tx, const struct sv_id *startid, bool *ret_ended, struct sv_error *err);
enum sv_err sv_job_search(struct sv_tx *tx, const struct sv_actor *who, const struct sv_job_filter *f,
                          const struct sv_page *p, void (*row)(void *arg, const struct sv_job *job), void *arg,
                          uint64_t *ret_total, struct sv_error *err);
/* Lines of the log of a job, as it was found or searched, after the serial `since`. */
enum sv_err sv_job_log(struct sv_tx *tx, const struct sv_actor *who, const struct sv_job *job, int64_t since,
                       void (*row)(void *arg, const struct sv_job_line *l), void *arg, struct sv_error *err);
/* Changes of what the actor sees after the number `since`, the oldest first, at most `limit` of them. */
enum sv_err sv_event_search(struct sv_tx *tx, const struct sv_actor *who, int64_t since, unsigned limit,
                            void (*row)(void *arg, const struct sv_event *e), void *arg, struct sv_error *err);
/* For people: what kind of job it is, and a line of its log. */
const char *sv_job_title(struct sv_cloud *c, const struct sv_job *job, enum sv_lang lang);
void sv_job_line_text(struct sv_cloud *c, const struct sv_job *job, const struct sv_job_line *line, enum sv_lang lang,
                      char *buf, size_t size);
/* How it failed, for people; "" while it goes well. */
void sv_job_info(const struct sv_job *job, enum sv_lang lang, char *buf, size_t size);
void sv_template_info(const struct sv_template *t, enum sv_lang lang, char *buf, size_t size);

/* --- upkeep ---------------------------------------------------------------------------------------- */

/* Compares what the hosts behind `connect` really hold with the database: domains, volumes and templates,
 * both ways; calls breach per difference. Opens its own connections; blocks. For a stopped server
 * (starvirt fsck --connect). */
enum sv_err sv_audit_hosts(struct sv_db *db, const char *const *connect, unsigned n, const struct sv_hv_options *hv,
                           void (*breach)(void *arg, const char *line), void *arg, unsigned *ret_n,
                           struct sv_error *err);

#endif
