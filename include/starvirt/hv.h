/* The hypervisor interface: one `struct sv_hv_host` for each host behind a URI.
 *
 * Calls block, keep to their deadline and never outlast it: a hung hypervisor costs HOST_TIMEOUT, a lost
 * one HOST_DOWN. Every call is idempotent as its line says, because job steps run again after a crash.
 * Objects are named by our ids; drivers derive file and domain names from ids only, never from user
 * text. Threads: any, many at a time. hv/ knows nothing of the database; what it learns goes up through
 * `struct sv_hv_events`, called from the driver's own threads, which must not be held up. */
#ifndef STARVIRT_HV_H
#define STARVIRT_HV_H

#include "starvirt/clock.h"
#include "starvirt/error.h"
#include "starvirt/id.h"
#include "starvirt/limits.h"

struct sv_hv;      /* everything behind one URI */
struct sv_hv_host; /* one host of it; lives as long as the sv_hv */

enum sv_hv_power {
    SV_HV_ABSENT, /* no such domain */
    SV_HV_OFF,
    SV_HV_RUNNING,
    SV_HV_PAUSED,
    SV_HV_SAVED,
    SV_HV_CRASHED,
};

struct sv_hv_events {
    void *arg;
    void (*host)(void *arg, struct sv_hv_host *h, bool connected, const char *why);
    /* A domain of ours changed by itself or through us. */
    void (*power)(void *arg, struct sv_hv_host *h, const struct sv_id *vm, enum sv_hv_power now);
    void (*agent)(void *arg, struct sv_hv_host *h, const struct sv_id *vm, bool up);
};

struct sv_hv_options {
    const char
        *data_dir; /* DIR, from the root as all paths: images in DIR/images, the simulator's journal in DIR/sim */
    const char *domain_type;   /* "auto", "kvm", "qemu" */
    const char *image_dir;     /* NULL = DIR/images */
    int64_t call_limit_ms;     /* a single hypervisor call, 0 = 30,000 */
    unsigned threads_per_host; /* calls under way at a time, 0 = 8 */
};

/* Parses the URI and prepares; returns at once, connecting goes on in the background and is told through
 * events. SV_E_CONFIG for a URI nobody takes. `ev` is copied, its arg outlives the sv_hv. */
enum sv_err sv_hv_open(const char *uri, const struct sv_hv_options *opt, const struct sv_hv_events *ev,
                       struct sv_hv **ret, struct sv_error *err);
/* Of a URI that a request names: which driver takes it, and how many hosts are behind it. Opens nothing. SV_E_CONFIG,
 * too, for one that runs a program on this machine, reads a file of it, or has a password in it. */
enum sv_err sv_hv_check(const char *uri, const char **ret_driver, unsigned *ret_hosts, struct sv_error *err);
/* Stops threads (a hung call is left behind, not waited for); running VMs are not touched. NULL ok. */
void sv_hv_close(struct sv_hv *hv);
unsigned sv_hv_host_count(const struct sv_hv *hv);
struct sv_hv_host *sv_hv_host_at(struct sv_hv *hv, unsigned i);
const char *sv_hv_host_name(const struct sv_hv_host *h);
const char *sv_hv_driver_name(const struct sv_hv_host *h); /* "libvirt", "sim" */
int64_t sv_hv_least_memory(const struct sv_hv_host *h);    /* [bytes] no guest runs with less there */
unsigned sv_hv_host_index(const struct sv_hv_host *h);
bool sv_hv_connected(const struct sv_hv_host *h);
/* Owner's pointer, for events. */
void sv_hv_set_user(struct sv_hv_host *h, void *user);
void *sv_hv_user(const struct sv_hv_host *h);

struct sv_hv_info {
    int64_t vcpus, memory;              /* physical; memory [bytes] */
    int64_t storage_size, storage_used; /* of the image directory [bytes] */
    int64_t mhz, sockets, cores,
        threads; /* of its CPUs: clock; sockets, cores of each, threads of each core; 0 = not known */
    char cpu_model[64];
    char cpu_vendor[64], os_version[128], virt_version[64], domain_type[16];
    char kernel[64]; /* release; "" = not known */
};

enum { SV_HV_MAX_DISKS = SV_MAX_DATA_DISKS + 1, SV_HV_MAX_NICS = 8 };

/* Where volumes live. The image directory is always there; others are told to the driver with pool_open(). */
enum sv_hv_pool_kind { SV_HV_POOL_DIR, SV_HV_POOL_NFS, SV_HV_POOL_RBD };
struct sv_hv_pool {
    struct sv_id id;
    enum sv_hv_pool_kind kind;
    bool known;                                    /* it was open before: a DIR without the mark of then is refused */
    char path[512];                                /* DIR: absolute; NFS: "server:/export" */
    char monitors[512];                            /* RBD: comma list of address[:port] */
    char rbd_pool[64], rbd_user[64], rbd_key[128]; /* RBD; the key is a secret */
};

typedef void (*sv_hv_progress)(void *arg, int64_t done, int64_t total);

struct sv_hv_disk {
    struct sv_id id;
    char target[8];           /* "vda" */
    int64_t size;             /* [bytes] */
    struct sv_id template_id; /* qcow2 overlay of it; empty = blank */
    bool full;                /* a copy of the template of its own instead of an overlay; matters at creation only */
    struct sv_id pool;        /* empty = the image directory when it is made, wherever its id is found later */
    sv_hv_progress progress;  /* of a full copy; NULL = nobody asks. With its argument: */
    void *progress_arg;
};

enum sv_hv_nic_kind {
    SV_HV_NIC_ISOLATED, /* a tap that leads nowhere (--network none) */
    SV_HV_NIC_BRIDGE,   /* a tap on `bridge` */
    SV_HV_NIC_OVS,      /* a tap on the Open vSwitch bridge `bridge`, told there by the NIC's id */
};
struct sv_hv_nic {
    struct sv_id id;
    enum sv_hv_nic_kind kind;
    char bridge[16], tap[16]; /* tap: device name on the host */
    unsigned char mac[6];
    unsigned mtu; /* that the guest is told [bytes]; 0 = nothing is said */
    bool plain;   /* frames as on a wire: no checksums left to be made, no segments to be cut */
};

/* The whole wanted definition of a VM. */
struct sv_hv_domain {
    struct sv_id id;
    char name[SV_MAX_NAME + 1]; /* title for people; the domain itself is named by its id */
    int64_t vcpus, vcpus_max;
    int64_t memory, memory_max;                 /* [bytes]; memory_max > memory leaves room for live growth */
    bool nested;                                /* show nested virtualisation to the guest */
    char vnc_password[SV_MAX_VNC_PASSWORD + 1]; /* "" = nobody can open the console by password */
    unsigned disk_count, nic_count;
    struct sv_hv_disk disks[SV_HV_MAX_DISKS]; /* boot disk first */
    struct sv_hv_nic nics[SV_HV_MAX_NICS];
};

struct sv_hv_state {
    enum sv_hv_power power;
    int64_t vcpus, memory; /* of the running guest; 0 when off */
    bool agent;            /* the guest agent's channel is open */
};

/* What a running guest has used since it was started, and what it has. Counters begin anew with it, with a device that
 * is plugged anew, and where the driver says so; -1 = not known. */
struct sv_hv_disk_usage {
    char target[8];
    int64_t read, written; /* [bytes] */
    int64_t reads, writes; /* requests */
    int64_t size, held;    /* [bytes]: as the guest sees it, and on its storage */
};
struct sv_hv_nic_usage {
    char tap[16];
    int64_t received, sent; /* [bytes] by the guest */
};
struct sv_hv_usage {
    struct sv_id vm;
    int64_t cpu_ns; /* [ns] of all its vCPUs */
    int64_t vcpus;
    int64_t memory, memory_used; /* [bytes]; used: the guest's own word, what it could not give to a program */
    unsigned disk_count, nic_count;
    struct sv_hv_disk_usage disks[SV_HV_MAX_DISKS];
    struct sv_hv_nic_usage nics[SV_HV_MAX_NICS];
};
/* The same of the host. */
struct sv_hv_host_usage {
    int64_t cpu_busy, cpu_all;          /* of all its CPUs: at work, and in all, in one unit */
    int64_t memory, memory_used;        /* [bytes] */
    int64_t storage_size, storage_used; /* [bytes] of the image directory */
};

/* A copy of a disk, as a standalone qcow2 file of ours. */
struct sv_hv_copy {
    struct sv_id disk;
    char path[512];
};

/* Driver table: exactly one row a driver. Called by SV_HV_CALL() only, which checks that the host is connected
 * and that the driver has the function; arguments are the caller's to check. */
struct sv_hv_ops {
    const char *name;
    const char *const *schemes; /* NULL-terminated: "sim://", "qemu", ... matched against the URI's start */
    int64_t least_memory;       /* [bytes] no guest runs with less */
    enum sv_err (*open)(const char *uri, const struct sv_hv_options *opt, const struct sv_hv_events *ev,
                        struct sv_hv **ret, struct sv_error *err);
    /* For sv_hv_check(). Pure. */
    enum sv_err (*check)(const char *uri, unsigned *ret_hosts, struct sv_error *err);
    void (*close)(struct sv_hv *hv);
    enum sv_err (*info)(struct sv_hv_host *h, struct sv_hv_info *ret, const struct sv_deadline *d,
                        struct sv_error *err);
    /* Creates the volume of a disk; there already with the same id: success. */
    enum sv_err (*volume_create)(struct sv_hv_host *h, const struct sv_hv_disk *disk, const struct sv_deadline *d,
                                 struct sv_error *err);
    /* Absent: success. */
    enum sv_err (*volume_delete)(struct sv_hv_host *h, const struct sv_id *disk, const struct sv_deadline *d,
                                 struct sv_error *err);
    /* Through the image gate (threats 1-7): `path` is a local file of named or, when NULL, detected format;
     * ends as a standalone qcow2 of the host. Absent source with the template there: success. */
    enum sv_err (*template_put)(struct sv_hv_host *h, const struct sv_id *tmpl, const char *path, const char *format,
                                int64_t *ret_size, int64_t *ret_virtual, sv_hv_progress progress, void *arg,
                                const struct sv_deadline *d, struct sv_error *err);
    enum sv_err (*template_delete)(struct sv_hv_host *h, const struct sv_id *tmpl, const struct sv_deadline *d,
                                   struct sv_error *err);
    /* Persistent definition := this. Creates or replaces; a running guest goes on as it is. An empty
     * vnc_password keeps the one that is there. */
    enum sv_err (*define)(struct sv_hv_host *h, const struct sv_hv_domain *dom, const struct sv_deadline *d,
                          struct sv_error *err);
    /* Must be off. Absent: success. */
    enum sv_err (*undefine)(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                            struct sv_error *err);
    /* Running already: success. Returns when it runs. */
    enum sv_err (*start)(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                         struct sv_error *err);
    /* Power off at once; off or absent: success. */
    enum sv_err (*destroy)(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                           struct sv_error *err);
    /* Ask the guest (agent if up, else ACPI: *ret_by_agent says which) and return without waiting. */
    enum sv_err (*shutdown)(struct sv_hv_host *h, const struct sv_id *vm, bool *ret_by_agent,
                            const struct sv_deadline *d, struct sv_error *err);
    enum sv_err (*reboot)(struct sv_hv_host *h, const struct sv_id *vm, bool *ret_by_agent, const struct sv_deadline *d,
                          struct sv_error *err);
    enum sv_err (*reset)(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                         struct sv_error *err);
    /* Waits (by events, no polling loop of calls) until power == want; JOB_DEADLINE / JOB_CANCELLED. */
    enum sv_err (*wait_power)(struct sv_hv_host *h, const struct sv_id *vm, enum sv_hv_power want,
                              const struct sv_deadline *d, struct sv_error *err);
    /* Waits until the guest rebooted after the call of reboot() (event); JOB_DEADLINE if it did not. */
    enum sv_err (*wait_reboot)(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                               struct sv_error *err);
    enum sv_err (*suspend)(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                           struct sv_error *err);
    enum sv_err (*resume)(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                          struct sv_error *err);
    /* Live growth of a running guest to an absolute value; UNSUPPORTED when it cannot be done live. */
    enum sv_err (*set_vcpus)(struct sv_hv_host *h, const struct sv_id *vm, int64_t vcpus, const struct sv_deadline *d,
                             struct sv_error *err);
    enum sv_err (*set_memory)(struct sv_hv_host *h, const struct sv_id *vm, int64_t bytes, const struct sv_deadline *d,
                              struct sv_error *err);
    /* --- parts of a VM that come and go while it exists. The persistent definition is define()'s; these
     * change the running guest only, and do nothing (success) when it is off or absent. --- */
    /* There already: success. */
    enum sv_err (*disk_attach)(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_hv_disk *disk,
                               const struct sv_deadline *d, struct sv_error *err);
    /* Returns when the guest has let go of it; JOB_DEADLINE when it does not, VM_STATE at once when it is paused and
     * so cannot. Gone already: success. */
    enum sv_err (*disk_detach)(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_id *disk,
                               const struct sv_deadline *d, struct sv_error *err);
    /* Grows the volume to `bytes`, off or running (the guest sees it at once). That size already: success;
     * never shrinks (UNSUPPORTED). */
    enum sv_err (*volume_resize)(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_id *disk, int64_t bytes,
                                 const struct sv_deadline *d, struct sv_error *err);
    enum sv_err (*nic_attach)(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_hv_nic *nic,
                              const struct sv_deadline *d, struct sv_error *err);
    enum sv_err (*nic_detach)(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_hv_nic *nic,
                              const struct sv_deadline *d, struct sv_error *err);
    /* Through the guest agent: VM_NO_AGENT when it is not there, VM_STATE when the guest does not run. */
    enum sv_err (*set_password)(struct sv_hv_host *h, const struct sv_id *vm, const char *user, const char *password,
                                const struct sv_deadline *d, struct sv_error *err);
    /* Brings the agent's channel back: asks it to synchronise, re-plugs the channel if it does not answer. */
    enum sv_err (*agent_sync)(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                              struct sv_error *err);
    /* The guest's clock := the host's, by its agent: VM_NO_AGENT, VM_STATE as above. *ret_behind [ms]: by how much it
     * was wrong, negative when it was ahead. */
    enum sv_err (*set_time)(struct sv_hv_host *h, const struct sv_id *vm, int64_t *ret_behind,
                            const struct sv_deadline *d, struct sv_error *err);
    /* Live and persistent. */
    enum sv_err (*set_vnc_password)(struct sv_hv_host *h, const struct sv_id *vm, const char *password,
                                    const struct sv_deadline *d, struct sv_error *err);
    /* --- storages: pools of volumes besides the image directory --- */
    /* From now on volumes may live there. Open already: success; anything but DIR is made or mounted by the
     * hypervisor. STORAGE says why it cannot be used. Nothing of it outlives the connection: repeat it. */
    enum sv_err (*pool_open)(struct sv_hv_host *h, const struct sv_hv_pool *pool, const struct sv_deadline *d,
                             struct sv_error *err);
    enum sv_err (*pool_close)(struct sv_hv_host *h, const struct sv_id *pool, const struct sv_deadline *d,
                              struct sv_error *err);
    /* [bytes]; asks the storage itself. */
    enum sv_err (*pool_info)(struct sv_hv_host *h, const struct sv_id *pool, int64_t *ret_size, int64_t *ret_used,
                             const struct sv_deadline *d, struct sv_error *err);
    /* --- snapshots: all disks, and the memory when the guest runs --- */
    /* There already: success. *ret_memory: it holds memory that can be restored (not after a vCPU was
     * plugged in live). A paused guest counts as running. */
    enum sv_err (*snapshot_create)(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_id *snapshot,
                                   bool *ret_memory, const struct sv_deadline *d, struct sv_error *err);
    /* Disks named in dom that the snapshot holds := as they were; the definition := dom. `memory`: the guest
     * runs on from where it was, else it is off afterwards. Whatever the guest did before ends. */
    enum sv_err (*snapshot_restore)(struct sv_hv_host *h, const struct sv_hv_domain *dom, const struct sv_id *snapshot,
                                    bool memory, const struct sv_deadline *d, struct sv_error *err);
    /* Any of a chain, off or running; the others stay. Absent: success. */
    enum sv_err (*snapshot_delete)(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_id *snapshot,
                                   const struct sv_deadline *d, struct sv_error *err);
    /* --- copies of disks (backups, templates of VMs) --- */
    /* All at one moment, while the guest runs or not; frozen by the agent where it answers (*ret_quiesced).
     * Replaces what is at the paths. Whatever happens the guest is thawed and no block job stays. */
    enum sv_err (*copy_out)(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_hv_copy *copies, unsigned n,
                            bool *ret_quiesced, sv_hv_progress progress, void *arg, const struct sv_deadline *d,
                            struct sv_error *err);
    /* Ends what a server that died left of copy_out(): thaws, ends its job. The files are the caller's. */
    enum sv_err (*copy_abort)(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                              struct sv_error *err);
    /* The volume := the image at `path`, grown to disk->size when larger; made or replaced whole, never
     * half. No guest may have it open. */
    enum sv_err (*copy_in)(struct sv_hv_host *h, const struct sv_hv_disk *disk, const char *path,
                           sv_hv_progress progress, void *arg, const struct sv_deadline *d, struct sv_error *err);
    /* --- console --- */
    /* Where a VNC client finds the screen; from what the driver has seen, never asks. VM_STATE when it is not
     * known to run. `host` [46]. */
    enum sv_err (*console_address)(struct sv_hv_host *h, const struct sv_id *vm, char host[64], unsigned *ret_port,
                                   struct sv_error *err);
    /* A connected stream socket that speaks RFB and asks for no password where the driver can do so; the
     * caller closes it. */
    enum sv_err (*console_open)(struct sv_hv_host *h, const struct sv_id *vm, int *ret_fd, const struct sv_deadline *d,
                                struct sv_error *err);
    /* Addresses the guest itself names (agent), "\n"-separated, all of them: text of the guest's choice, which the
     * caller frees. VM_NO_AGENT. */
    enum sv_err (*guest_addresses)(struct sv_hv_host *h, const struct sv_id *vm, char **ret,
                                   const struct sv_deadline *d, struct sv_error *err);
    /* ABSENT is an answer, not an error. */
    enum sv_err (*state)(struct sv_hv_host *h, const struct sv_id *vm, struct sv_hv_state *ret,
                         const struct sv_deadline *d, struct sv_error *err);
    /* All domains, in one call where the driver can; id empty for a domain that is not ours (name set). */
    enum sv_err (*list)(struct sv_hv_host *h,
                        void (*row)(void *arg, const struct sv_id *vm, const char *name, const struct sv_hv_state *s),
                        void *arg, const struct sv_deadline *d, struct sv_error *err);
    /* What the host and all its running guests of ours have used, in one call. A guest that is busy with another call
     * has only what can be said without asking it. */
    enum sv_err (*usage)(struct sv_hv_host *h, struct sv_hv_host_usage *ret,
                         void (*row)(void *arg, const struct sv_hv_usage *u), void *arg, const struct sv_deadline *d,
                         struct sv_error *err);
    /* All volumes and templates of the image directory by id (for fsck and tests). */
    enum sv_err (*list_volumes)(struct sv_hv_host *h,
                                void (*row)(void *arg, const struct sv_id *volume, bool is_template, int64_t bytes),
                                void *arg, const struct sv_deadline *d, struct sv_error *err);
    /* The program's admin switches (simulator: "fail=start:1", "hang=1", "hang=0", "crash=<vm id>");
     * UNSUPPORTED for real hypervisors. May be NULL. */
    enum sv_err (*control)(struct sv_hv_host *h, const char *command, struct sv_error *err);
};

/* Common head of every driver's host struct; drivers embed it first. */
struct sv_hv_host {
    const struct sv_hv_ops *ops;
    struct sv_hv *hv;
    unsigned index;
    char name[64];
    _Atomic bool connected;
    void *_Atomic user; /* set by the owner while events may already come */
};
/* Common head of every driver's sv_hv. */
struct sv_hv {
    const struct sv_hv_ops *ops;
    struct sv_hv_host **hosts;
    unsigned host_count;
};

/* The rows, in order of asking. */
extern const struct sv_hv_ops sv_hv_sim_ops, sv_hv_libvirt_ops;

/* The one way to call a driver: HOST_DOWN when the host is not connected, UNSUPPORTED when the driver has no
 * such function, else what the function returns. Uses the caller's `err`. */
#define SV_HV_CALL(h, fn, ...)                                                                                         \
    (sv_hv_ready((h), (h)->ops->fn != NULL, err) ? err->code : (h)->ops->fn((h), ##__VA_ARGS__, err))
enum sv_err sv_hv_ready(struct sv_hv_host *h, bool has_function, struct sv_error *err);

/* --- the image gate (hv/image.c), shared by drivers --- */
struct sv_image {
    char format[8]; /* "qcow2", "raw", "vmdk" */
    int64_t size, virtual_size;
};
/* Opens (no symlinks, regular file), reads headers itself, refuses backing files, data files, unknown
 * incompatible features, VMDK extents and sub-types outside the list, oversize. `format` NULL = detect: raw
 * is then what has a boot sector, a partition table, a file system or nothing but zeros; "raw" takes whatever is
 * no other format of QEMU's. IMAGE_REFUSED says why. */
enum sv_err sv_image_check(const char *path, const char *format, struct sv_image *ret, struct sv_error *err);
/* That, and all that its tables name is there (of raw: what its partition table or file system says). */
enum sv_err sv_image_whole(const char *path, const char *format, struct sv_image *ret, const struct sv_deadline *d,
                           struct sv_error *err);
/* That, and qemu-img check finds no errors; SYSTEM where there is no qemu-img. */
enum sv_err sv_image_sound(const char *path, const char *format, struct sv_image *ret, const struct sv_deadline *d,
                           struct sv_error *err);
/* A sound image by qemu-img convert with named formats and limits into a new standalone qcow2, atomically. */
enum sv_err sv_image_convert(const char *src, const char *format, const char *dst, sv_hv_progress progress, void *arg,
                             const struct sv_deadline *d, struct sv_error *err);
/* The same without the gate, for a qcow2 of ours with what it stands on, `size` bytes to its guest. Makes
 * dst, removes it on failure; its flushing and naming are the caller's. */
enum sv_err sv_image_copy(const char *src, int64_t size, const char *dst, sv_hv_progress progress, void *arg,
                          const struct sv_deadline *d, struct sv_error *err);
/* The bytes that a standalone copy takes at most, also while a guest writes to it. */
enum sv_err sv_image_measure(const char *src, int64_t *ret, const struct sv_deadline *d, struct sv_error *err);
/* STORAGE_FULL unless a file system has this much room and keeps its reserve. */
enum sv_err sv_image_room(const char *dir, int64_t bytes, struct sv_error *err);

/* The program's hidden mode --thaw: a process that waits until it is told, on stdin, that a guest's file
 * systems were thawed, and thaws them by itself when the one who froze them is gone. The exit code. */
int sv_hv_thaw(const char *uri, const char *domain);

#endif
