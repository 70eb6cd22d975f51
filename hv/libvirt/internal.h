/* The libvirt driver's own contract.
 *
 * One URI is one host. Threads of a host: the keeper (connects, watches, reconnects), up to
 * threads_per_host workers that run calls, each over a connection of its own, and the process-wide event
 * loop. Every thread and every callback that libvirt holds owns a reference to the host, so that a call
 * that never comes back keeps only memory: nobody waits for it. What belongs to a connection (a
 * virDomainPtr, say) stays with the thread that has it.
 *
 * Locks, all leaves: h->mu (connections), pool.mu (calls), table.mu (what events told). None is held
 * across a libvirt call or together with another. ev_mu is held while the owner's callback runs, so
 * that none runs after sv_hv_close. */
#ifndef HV_LIBVIRT_INTERNAL_H
#define HV_LIBVIRT_INTERNAL_H

#include "starvirt/hv.h"
#include "starvirt/mem.h"
#include "starvirt/thread.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>

struct lv_host;
struct lv_op;

/* --- vm_table.c: what events told about domains, by id --- */
struct lv_vm {
    struct lv_vm *next;
    struct sv_id id;
    bool ours;     /* our metadata was seen */
    int agent;     /* 1 up, 0 down, -1 not known yet */
    bool rebooted; /* a reboot event came after `reboot_asked` was set */
    bool reboot_asked;
    bool shutdown_asked;    /* and not down since */
    uint64_t changes;       /* rises with every power event */
    uint64_t unplugged;     /* rises with every device that the guest let go of */
    uint64_t jobs;          /* rises with every job of libvirt's that ended */
    enum sv_hv_power power; /* the last one's */
    char screen_host[64];   /* where its VNC server listens */
    unsigned screen_port;   /* 0 = not known */
    bool starting;          /* by us, who look for its screen */
};
enum { LV_BUCKETS = 1024 };
struct lv_table {
    pthread_mutex_t mu;
    pthread_cond_t changed;
    uint64_t epoch; /* rises when the connection comes or goes */
    bool closing;
    struct lv_vm *bucket[LV_BUCKETS];
};
void lv_table_init(struct lv_table *t);
void lv_table_free(struct lv_table *t);
/* Under t->mu: the record of `vm`, made when there is none. */
struct lv_vm *lv_table_get(struct lv_table *t, const struct sv_id *vm);
/* Under t->mu: NULL when there is none. */
struct lv_vm *lv_table_find(struct lv_table *t, const struct sv_id *vm);
void lv_table_drop(struct lv_table *t, const struct sv_id *vm);
void lv_table_set_ours(struct lv_table *t, const struct sv_id *vm);
bool lv_table_is_ours(struct lv_table *t, const struct sv_id *vm);
void lv_table_set_agent(struct lv_table *t, const struct sv_id *vm, int agent);
int lv_table_agent(struct lv_table *t, const struct sv_id *vm);
void lv_table_set_power(struct lv_table *t, const struct sv_id *vm, enum sv_hv_power power);
void lv_table_set_power_if_known(struct lv_table *t, const struct sv_id *vm, enum sv_hv_power power);
void lv_table_ask_shutdown(struct lv_table *t, const struct sv_id *vm);
void lv_table_set_unplugged(struct lv_table *t, const struct sv_id *vm);
void lv_table_set_job_ended(struct lv_table *t, const struct sv_id *vm);
void lv_table_ask_reboot(struct lv_table *t, const struct sv_id *vm);
void lv_table_set_rebooted(struct lv_table *t, const struct sv_id *vm);
void lv_table_set_starting(struct lv_table *t, const struct sv_id *vm, bool starting);
bool lv_table_is_starting(struct lv_table *t, const struct sv_id *vm);
void lv_table_set_screen(struct lv_table *t, const struct sv_id *vm, const char *host, unsigned port);
/* The connection came or went: what agents do is no longer known, waiters look again. */
void lv_table_new_epoch(struct lv_table *t);
/* Waiters leave. */
void lv_table_close(struct lv_table *t);

/* --- call.c: calls on the host's own threads --- */
enum lv_kind {
    LV_CALL_HOST,  /* answered by libvirt and QEMU */
    LV_CALL_GUEST, /* may wait for a guest: at most half of the threads, so that no tenant can take all */
    LV_CALL_KINDS,
};
/* One piece of work. Reads and writes only `op`; `conn` is referenced for its time. */
typedef enum sv_err (*lv_fn)(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err);

struct lv_row {
    struct sv_id vm; /* empty: not ours */
    char *name;
    struct sv_hv_state state;
};
/* Arguments and results of a call, shared by waiter and worker: both hold a reference, results are read
 * only after lv_call returned SV_OK. */
struct lv_op {
    struct sv_id vm;
    int64_t value;
    struct sv_hv_domain *dom; /* owned */
    struct sv_hv_disk disk;
    struct sv_hv_nic nic;
    char *user, *secret;        /* owned, the secret is wiped */
    struct sv_hv_pool *storage; /* owned, wiped */
    char *text;                 /* owned */
    bool pending;               /* asked for and not done yet */
    struct sv_id snapshot;
    bool memory;         /* of a snapshot */
    int64_t done, total; /* [bytes] of a copy */
    struct sv_hv_state state;
    struct sv_hv_info info;
    bool by_agent;
    int fd;              /* owned; -1 = none */
    struct lv_row *rows; /* owned */
    size_t row_count;
    struct sv_hv_usage *usage; /* owned */
    size_t usage_count;
    struct sv_hv_host_usage host_usage;
    /* call.c's */
    atomic_uint refs;
    lv_fn fn;
    enum lv_kind kind;
    bool patient; /* moves bytes: only the deadline limits it, not the call limit */
    bool makes;   /* comes to be even where nobody waits any more, which whoever undoes it has to see */
    bool settles; /* waits for such ones of its VM first */
    enum { LV_QUEUED, LV_RUNNING, LV_DONE } phase;
    bool left; /* nobody waits any more */
    enum sv_err rc;
    struct sv_error err;
    struct lv_op *next;
};
struct lv_pool {
    pthread_mutex_t mu;
    pthread_cond_t work, done;
    struct lv_op *first, **last;
    struct lv_op *lost_ops;
    unsigned max, threads, idle, queued;
    unsigned running[LV_CALL_KINDS], lost[LV_CALL_KINDS]; /* lost: running with nobody waiting */
    bool closing;
};
void lv_pool_init(struct lv_pool *p, unsigned max);
void lv_pool_free(struct lv_pool *p);
/* Idle threads end; busy ones get `ms`, then they are left behind. */
void lv_pool_close(struct lv_pool *p, int64_t ms);
struct lv_op *lv_op_new(const struct sv_id *vm); /* vm may be NULL */
void lv_op_unref(struct lv_op **op);             /* for SV_CLEANUP */
#define LV_OP SV_CLEANUP(lv_op_unref) struct lv_op *
/* Runs fn on a thread of the host, at most until the deadline or the call limit: HOST_TIMEOUT,
 * JOB_CANCELLED, HOST_DOWN, or what fn returned. All threads hung: HOST_TIMEOUT at once. */
enum sv_err lv_call(struct lv_host *h, struct lv_op *op, lv_fn fn, enum lv_kind kind, const struct sv_deadline *d,
                    struct sv_error *err);
/* The same with nobody waiting for what comes of it. Any thread. */
void lv_post(struct lv_host *h, const struct sv_id *vm, lv_fn fn);
/* Waits until calls on this VM that were given up and make something have ended: HOST_TIMEOUT, JOB_CANCELLED,
 * HOST_DOWN. *ret_waited: there were some. */
enum sv_err lv_settle(struct lv_host *h, const struct sv_id *vm, bool *ret_waited, const struct sv_deadline *d,
                      struct sv_error *err);
/* On a condition of sv_cond_init(): waits at most `ms` and, when somebody may cancel, a tenth of a second. */
void lv_cond_wait(pthread_cond_t *c, pthread_mutex_t *mu, const struct sv_deadline *d, int64_t ms);

/* --- pool.c: where volumes live besides the image directory --- */
struct lv_place {
    struct sv_id id;
    enum sv_hv_pool_kind kind;
    char *dir; /* NULL: Ceph */
    bool made; /* the directory was not there before */
};
struct lv_places {
    pthread_mutex_t mu;
    struct lv_place *v;
    size_t n;
};
void lv_places_init(struct lv_places *p);
void lv_places_free(struct lv_places *p);

/* --- connection.c --- */
struct lv_host {
    struct sv_hv_host base;
    atomic_uint refs;
    char *uri, *image_dir;
    bool remote, is_test; /* is_test: libvirt's own test driver, which knows few flags */
    bool in_process;      /* a driver without a daemon: no sockets, its state is this process's */
    char wanted_type[8];
    int64_t call_limit_ms;

    pthread_mutex_t ev_mu;
    struct sv_hv_events ev;
    bool ev_off;

    pthread_mutex_t mu;
    pthread_cond_t woken;
    bool up;               /* calls may be made */
    uint64_t life;         /* rises with every connection that carries events, and with its loss */
    struct lv_link *links; /* all that are open or being opened */
    virConnectPtr shared;  /* in_process, while up: what all threads use */
    virConnectPtr watched; /* the one whose death counts, not a reference */
    bool dead, closing, keeper_ended;
    char why[160];      /* last reason for being down */
    char type[8];       /* "kvm", "qemu", "test"; "" until known */
    struct sv_id proof; /* the last guest that was to prove one: nobody else's business */
    unsigned openers;   /* connection attempts that have not come back */

    struct lv_pool pool;
    struct lv_table table;
    struct lv_places places;
};
struct lv_host *lv_host_ref(struct lv_host *h);
void lv_host_unref(struct lv_host *h);
/* Every call that came in holds the host until it returns, also beyond sv_hv_close. */
void lv_host_release(struct lv_host **h); /* for SV_CLEANUP */
#define LV_HOLD(h) SV_CLEANUP(lv_host_release) struct lv_host *held __attribute__((unused)) = lv_host_ref(h)
/* `conn` was seen dead: when it is the one that is watched, calls are broken off and the keeper takes it
 * from there. Never blocks. */
void lv_host_lost(struct lv_host *h, virConnectPtr conn, const char *why);
void *lv_keeper(void *host);
static inline struct lv_host *lv_host_of(struct sv_hv_host *h)
{
    return (struct lv_host *)h;
}

/* --- loop.c: libvirt's event loop --- */
/* Once, before any connection. False when that fails. */
bool lv_loop_start(void);

/* --- link.c: connections, and how to break them off --- */
/* Its thread's, but for `fd` and `cut`, which h->mu guards. */
struct lv_link {
    struct lv_link *next;
    virConnectPtr conn;
    bool events;   /* the keeper's, served by the event loop; otherwise nothing but its thread touches it */
    uint64_t life; /* of the host, when it was opened */
    int fd;        /* its socket under a number of ours; -1: none, or not known yet */
    bool cut;      /* shut down: whatever is under way over it fails */
};
#define LV_NO_LINK ((struct lv_link){.fd = -1})
/* Opens LV_NO_LINK; of one for calls nothing comes once the host's life is another. May hang, until it is cut. After
 * false as after true: lv_link_close. */
bool lv_link_open(struct lv_host *h, struct lv_link *l, bool events, uint64_t life);
/* May hang, unless it was cut. */
void lv_link_close(struct lv_host *h, struct lv_link *l);
/* The connection of a thread that calls, opened when there is none that is good; NULL when the host is down. Not a
 * reference. May hang, until it is cut. */
virConnectPtr lv_link_use(struct lv_host *h, struct lv_link *l);
/* Any thread. Never block. The second: all that are for calls. */
void lv_link_cut(struct lv_host *h, struct lv_link *l);
void lv_links_cut(struct lv_host *h);
/* For the event loop: whether it may watch this socket. */
bool lv_link_takes_socket(int fd);

/* --- opener.c: one attempt to connect and to register for events, bounded in time --- */
enum { LV_EVENTS = 5 };
struct lv_watch {
    struct lv_link link;
    int ids[LV_EVENTS]; /* libvirt's, of the callbacks */
};
/* NULL and *why when that fails. */
struct lv_watch *lv_watch_open(struct lv_host *h, char *why, size_t size);
/* Breaks it off first, so that nothing is asked. */
void lv_watch_close(struct lv_host *h, struct lv_watch *w);
/* Libvirt and its event loop, once for the process; false when that fails. */
bool lv_library_ready(void);

/* --- URIs (uri.c) --- */
enum sv_err lv_check_uri(const char *uri, struct sv_error *err);
/* Of a request, which the options' writer need not be: nothing that runs a program here, or reads a file. */
enum sv_err lv_check_asked_uri(const char *uri, unsigned *ret_hosts, struct sv_error *err);

/* --- events.c --- */
void lv_events_register(struct lv_host *h, virConnectPtr conn, int ids[LV_EVENTS]);
void lv_events_deregister(virConnectPtr conn, const int ids[LV_EVENTS]);
void lv_tell_host(struct lv_host *h, bool connected, const char *why);

/* --- error.c --- */
/* Turns libvirt's last error into ours: the full text goes to the log, a trimmed one to the client. */
enum sv_err lv_error(struct lv_host *h, virConnectPtr conn, const char *what, struct sv_error *err);
/* The same for a text that came otherwise. */
enum sv_err lv_error_text(struct lv_host *h, const char *what, int code, const char *text, struct sv_error *err);
/* One line without paths or command lines of the host (threat 24). */
void lv_plain_text(const char *text, char *buf, size_t size);

/* [bytes] With 1 MiB not even the firmware gets as far as the boot sector; no system that has virtio runs in less. */
#define LV_LEAST_MEMORY (16 * SV_MIB)

/* --- xml_scan.c: attributes out of XML that libvirt wrote --- */
/* Value of `attr` in the first <elem> whose attribute `key` is `value` (key NULL: any). */
bool lv_xml_attr(const char *xml, const char *elem, const char *key, const char *value, const char *attr, char *buf,
                 size_t size);
/* Text of the first <elem> without attributes. */
bool lv_xml_text(const char *xml, const char *elem, char *buf, size_t size);

/* --- domain_xml.c --- */
#define LV_METADATA_URI  "urn:starvirt:vm:1"
#define LV_AGENT_CHANNEL "org.qemu.guest_agent.0"
struct lv_xml_env {
    const char *type, *image_dir;
    char *const *paths; /* of the domain's disks; NULL: all in the image directory */
    const char *nested; /* the host CPU's own virtualisation: "vmx", "svm"; NULL: not known */
};
/* Pure. The caller frees. */
char *lv_domain_xml(const struct sv_hv_domain *dom, const struct lv_xml_env *env);
/* Its parts, as they stand in it. */
char *lv_disk_xml(const struct sv_hv_disk *d, const char *path, const char *image_dir);
char *lv_nic_xml(const struct sv_hv_nic *n);
char *lv_channel_xml(void); /* the guest agent's */
char *lv_graphics_xml(const char *password);
enum { LV_SERIAL_LEN = 20 }; /* what virtio-blk carries */
void lv_disk_serial(const struct sv_id *disk, char serial[LV_SERIAL_LEN + 1]);
enum { LV_DIMM_UNIT_MIB = 128, LV_DIMM_SLOTS = 16 };

/* --- domain_type.c --- */
/* "kvm" or "qemu": what guests of this host shall be. `auto` runs a guest to find out. */
void lv_domain_type(struct lv_host *h, virConnectPtr conn, char ret[8]);
/* Runs the proof as a guest of this type. */
bool lv_executes(struct lv_host *h, virConnectPtr conn, const char *type);
#define LV_PROOF_SUFFIX ".proof"

/* --- domain.c, state.c, power.c, wait.c, resize.c, info.c: rows of the driver table --- */
/* DOMAIN_MISSING or another failure when NULL. */
virDomainPtr lv_lookup(struct lv_host *h, virConnectPtr conn, const struct sv_id *vm, struct sv_error *err);
void lv_domain_free(virDomainPtr *d); /* for SV_CLEANUP */
#define LV_DOMAIN SV_CLEANUP(lv_domain_free) virDomainPtr
enum sv_err lv_power_of(struct lv_host *h, virConnectPtr conn, virDomainPtr d, enum sv_hv_power *ret,
                        struct sv_error *err);
/* What a node says of its memory [KiB]: how many rows; 0 = nothing. */
enum { LV_NODE_ROWS = 16 };
int lv_node_memory(virConnectPtr conn, virNodeMemoryStats rows[LV_NODE_ROWS]);
/* [bytes] of a file system; untouched when it cannot be asked. */
void lv_storage_of(const char *dir, int64_t *ret_size, int64_t *ret_used);
bool lv_agent_up(struct lv_host *h, virDomainPtr d, const struct sv_id *vm);
/* Before it is asked: libvirt gives an agent all the time in the world, and with it a thread of the host that its guest
 * would hold as long as it likes. -1 as of libvirt. */
enum { LV_AGENT_S = 20 };
int lv_agent_bound(virDomainPtr d);
bool lv_is_ours(struct lv_host *h, virDomainPtr d, struct sv_id *ret);
const char *lv_power_name(enum sv_hv_power p);

enum sv_err lv_define(struct sv_hv_host *h, const struct sv_hv_domain *dom, const struct sv_deadline *d,
                      struct sv_error *err);
enum sv_err lv_undefine(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                        struct sv_error *err);
enum sv_err lv_state(struct sv_hv_host *h, const struct sv_id *vm, struct sv_hv_state *ret, const struct sv_deadline *d,
                     struct sv_error *err);
enum sv_err lv_list(struct sv_hv_host *h,
                    void (*row)(void *arg, const struct sv_id *vm, const char *name, const struct sv_hv_state *s),
                    void *arg, const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_usage(struct sv_hv_host *h, struct sv_hv_host_usage *ret,
                     void (*row)(void *arg, const struct sv_hv_usage *u), void *arg, const struct sv_deadline *d,
                     struct sv_error *err);
enum sv_err lv_info(struct sv_hv_host *h, struct sv_hv_info *ret, const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_start(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_destroy(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_shutdown(struct sv_hv_host *h, const struct sv_id *vm, bool *ret_by_agent, const struct sv_deadline *d,
                        struct sv_error *err);
enum sv_err lv_reboot(struct sv_hv_host *h, const struct sv_id *vm, bool *ret_by_agent, const struct sv_deadline *d,
                      struct sv_error *err);
enum sv_err lv_reset(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_suspend(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_resume(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_wait_power(struct sv_hv_host *h, const struct sv_id *vm, enum sv_hv_power want,
                          const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_wait_reboot(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                           struct sv_error *err);
enum sv_err lv_set_vcpus(struct sv_hv_host *h, const struct sv_id *vm, int64_t vcpus, const struct sv_deadline *d,
                         struct sv_error *err);
enum sv_err lv_set_memory(struct sv_hv_host *h, const struct sv_id *vm, int64_t bytes, const struct sv_deadline *d,
                          struct sv_error *err);

/* Into dom, unless it has one: the password that is there. */
void lv_find_password(virConnectPtr conn, struct sv_hv_domain *dom);

/* --- device.c: what comes and goes while a guest runs --- */
char *lv_disk_mark(const struct sv_id *disk); /* stands in the XML of a disk and nowhere else; the caller frees */
/* The whole <elem> around the first `mark`, as libvirt wrote it; NULL when there is none. The caller frees. */
char *lv_xml_around(const char *xml, const char *elem, const char *mark);
/* Its live definition when the guest runs or is paused; NULL with SV_OK when it does not. The caller frees. */
enum sv_err lv_live_xml(struct lv_host *h, virConnectPtr conn, virDomainPtr d, char **ret, struct sv_error *err);
/* Plugs `xml` in, unless <elem> with `mark` is there. */
enum sv_err lv_plug(struct lv_host *h, virConnectPtr conn, virDomainPtr d, const char *elem, const char *mark,
                    const char *xml, struct sv_error *err);
/* Asks the guest for <elem> with `mark`; *ret_pending while it has not let go. */
enum sv_err lv_unplug(struct lv_host *h, virConnectPtr conn, virDomainPtr d, const char *elem, const char *mark,
                      bool *ret_pending, struct sv_error *err);
/* Calls fn, which sets op->pending, again whenever the guest let go of something, until it is done. */
enum sv_err lv_until_unplugged(struct lv_host *h, const struct lv_op *model, lv_fn fn, const struct sv_deadline *d,
                               struct sv_error *err);
enum sv_err lv_disk_attach(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_hv_disk *disk,
                           const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_disk_detach(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_id *disk,
                           const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_nic_attach(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_hv_nic *nic,
                          const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_nic_detach(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_hv_nic *nic,
                          const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_volume_resize(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_id *disk, int64_t bytes,
                             const struct sv_deadline *d, struct sv_error *err);

/* --- console.c: where screens are, and the way to them --- */
/* Remembers where the screen is, out of the definition of a running guest. */
void lv_screen_note(struct lv_host *h, const struct sv_id *vm, const char *xml);
/* The guest started: looks for its screen, on this thread or (after an event) later on one of the host's. */
void lv_screen_look(struct lv_host *h, virDomainPtr d, const struct sv_id *vm);
void lv_screen_started(struct lv_host *h, const struct sv_id *vm);
enum sv_err lv_console_address(struct sv_hv_host *h, const struct sv_id *vm, char host[64], unsigned *ret_port,
                               struct sv_error *err);
enum sv_err lv_console_open(struct sv_hv_host *h, const struct sv_id *vm, int *ret_fd, const struct sv_deadline *d,
                            struct sv_error *err);

/* --- inside.c: a guest's users, its agent, its screen --- */
enum sv_err lv_set_password(struct sv_hv_host *h, const struct sv_id *vm, const char *user, const char *password,
                            const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_agent_sync(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                          struct sv_error *err);
enum sv_err lv_guest_addresses(struct sv_hv_host *h, const struct sv_id *vm, char **ret, const struct sv_deadline *d,
                               struct sv_error *err);
enum sv_err lv_set_time(struct sv_hv_host *h, const struct sv_id *vm, int64_t *ret_behind, const struct sv_deadline *d,
                        struct sv_error *err);
enum sv_err lv_set_vnc_password(struct sv_hv_host *h, const struct sv_id *vm, const char *password,
                                const struct sv_deadline *d, struct sv_error *err);

/* --- tcg.c --- */
/* False where adding a vCPU to the running guest would kill it. */
bool lv_may_add_vcpus(virDomainPtr d);

/* --- pool.c, rbd.c: storages besides the image directory --- */
/* The directory that new volumes of a storage go to (empty id: the image directory); NULL: STORAGE. */
char *lv_place_dir(struct lv_host *h, const struct sv_id *pool, struct sv_error *err);
bool lv_place_is_rbd(struct lv_host *h, const struct sv_id *pool);
/* The i-th storage: its directory, NULL for a Ceph pool and past the end (*ret_more false). The caller frees. */
char *lv_place_at(struct lv_host *h, size_t i, struct sv_id *ret_id, bool *ret_more);
/* A volume's file wherever it is; where it would be in the image directory when it is nowhere. */
char *lv_volume_find(struct lv_host *h, const struct sv_id *disk);
/* The same, but in its pool when the disk names one: STORAGE and NULL when that is not open. */
char *lv_disk_path(struct lv_host *h, const struct sv_hv_disk *disk, struct sv_error *err);
enum sv_err lv_place_open(struct sv_hv_host *h, const struct sv_hv_pool *pool, const struct sv_deadline *d,
                          struct sv_error *err);
enum sv_err lv_place_close(struct sv_hv_host *h, const struct sv_id *pool, const struct sv_deadline *d,
                           struct sv_error *err);
enum sv_err lv_place_info(struct sv_hv_host *h, const struct sv_id *pool, int64_t *ret_size, int64_t *ret_used,
                          const struct sv_deadline *d, struct sv_error *err);
void lv_storage_free(virStoragePoolPtr *p); /* for SV_CLEANUP */
#define LV_STORAGE SV_CLEANUP(lv_storage_free) virStoragePoolPtr
virStoragePoolPtr lv_storage_lookup(virConnectPtr conn, const struct sv_id *id); /* NULL: none */
/* lv_error, as a fault of the storage. */
enum sv_err lv_storage_error(struct lv_host *h, virConnectPtr conn, const char *what, struct sv_error *err);
/* Pure; the key is not in it. */
char *lv_rbd_xml(const struct sv_hv_pool *pool);
enum sv_err lv_rbd_secret(struct lv_host *h, virConnectPtr conn, const struct sv_hv_pool *pool, struct sv_error *err);
void lv_rbd_forget(virConnectPtr conn, const struct sv_id *pool);
enum sv_err lv_rbd_create(struct lv_host *h, const struct sv_hv_disk *disk, const struct sv_deadline *d,
                          struct sv_error *err);
/* Absent from all of them: success. */
enum sv_err lv_rbd_delete(struct lv_host *h, const struct sv_id *disk, const struct sv_deadline *d,
                          struct sv_error *err);
enum sv_err lv_rbd_resize(struct lv_host *h, const struct sv_id *disk, int64_t bytes, bool *ret_found,
                          const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_rbd_list(struct lv_host *h,
                        void (*row)(void *arg, const struct sv_id *volume, bool is_template, int64_t bytes), void *arg,
                        const struct sv_deadline *d, struct sv_error *err);

/* --- missing.c: files that somebody took away --- */
/* DISK_FILE or TEMPLATE_FILE, with the id, where the file or the template that it stands on is gone. */
enum sv_err lv_file_there(const char *path, struct sv_error *err);
enum sv_err lv_disk_there(struct lv_host *h, const struct sv_id *disk, struct sv_error *err);
/* After a failure that may come of it, out of the files of the VM's definition; else the failure as it was. */
enum sv_err lv_or_missing(struct lv_host *h, virDomainPtr d, enum sv_err rc, struct sv_error *err);
/* The file of the disk that begins at or after `*at` in a definition, which moves on; NULL after the last. */
char *lv_next_file(const char **at);

/* --- volume.c: files of the image directory, named <id>.qcow2 and <id>.template.qcow2 --- */
enum sv_err lv_volume_prepare(const char *image_dir, struct sv_error *err);
char *lv_volume_path(const char *image_dir, const struct sv_id *id, bool is_template);
/* What a path of these is of; false for any other. */
bool lv_volume_named(const char *path, struct sv_id *ret, bool *ret_template);
/* Removes what was being made there when the program died. */
void lv_volume_sweep(const char *dir);
void lv_volume_warn_if_hidden(const char *dir);
enum sv_err lv_volume_create(struct sv_hv_host *h, const struct sv_hv_disk *disk, const struct sv_deadline *d,
                             struct sv_error *err);
enum sv_err lv_volume_delete(struct sv_hv_host *h, const struct sv_id *disk, const struct sv_deadline *d,
                             struct sv_error *err);
/* Of the file: its virtual size, and more of it while no QEMU has it open. */
enum sv_err lv_volume_size(struct lv_host *h, const struct sv_id *disk, int64_t *ret, struct sv_error *err);
enum sv_err lv_volume_grow(struct lv_host *h, const struct sv_id *disk, int64_t bytes, const struct sv_deadline *d,
                           struct sv_error *err);
/* A disk that was made whole stands on no template any more, whatever is wanted of it: clears the template. */
void lv_volume_look(struct lv_host *h, struct sv_hv_disk *disk);
/* A new name for what becomes `path`, and complete and on disk before it has that one. */
char *lv_volume_part(const char *path);
enum sv_err lv_volume_into_place(const char *dir, const char *part, const char *path, struct sv_error *err);
enum sv_err lv_template_put(struct sv_hv_host *h, const struct sv_id *tmpl, const char *path, const char *format,
                            int64_t *ret_size, int64_t *ret_virtual, sv_hv_progress progress, void *arg,
                            const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_template_delete(struct sv_hv_host *h, const struct sv_id *tmpl, const struct sv_deadline *d,
                               struct sv_error *err);
enum sv_err lv_list_volumes(struct sv_hv_host *h,
                            void (*row)(void *arg, const struct sv_id *volume, bool is_template, int64_t bytes),
                            void *arg, const struct sv_deadline *d, struct sv_error *err);

/* --- qcow2.c: files of disks --- */
enum sv_err lv_qcow2_create(const char *path, int64_t size, const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_qcow2_grow(const char *path, int64_t size, const struct sv_deadline *d, struct sv_error *err);
/* Also of one that a QEMU has open. */
enum sv_err lv_qcow2_holds(const char *path, const struct sv_id *snapshot, bool *ret, const struct sv_deadline *d,
                           struct sv_error *err);
enum sv_err lv_qcow2_apply(const char *path, const struct sv_id *snapshot, const struct sv_deadline *d,
                           struct sv_error *err);
enum sv_err lv_qcow2_drop(const char *path, const struct sv_id *snapshot, const struct sv_deadline *d,
                          struct sv_error *err);
bool lv_qcow2_stands_alone(const char *path); /* false also for what is none */
/* The name of the file that it stands on, as it is in the header; NULL = none, or it cannot be read. Caller frees. */
char *lv_qcow2_backing(const char *path);
enum sv_err lv_file_sync(const char *path, struct sv_error *err);
int64_t lv_free_bytes(const char *path); /* of its file system */
/* QEMU often says "input/output error" only: STORAGE_FULL instead of HYPERVISOR where no room is left. */
enum sv_err lv_unless_full(const char *path, enum sv_err rc, struct sv_error *err);

/* --- snapshot.c, restore.c --- */
void lv_snapshot_free(virDomainSnapshotPtr *s); /* for SV_CLEANUP */
#define LV_SNAPSHOT SV_CLEANUP(lv_snapshot_free) virDomainSnapshotPtr
struct lv_op *lv_snapshot_op(const struct sv_id *vm, const struct sv_id *snapshot);
/* NULL with SV_OK when libvirt has none of this name. */
enum sv_err lv_snapshot_find(struct lv_host *h, virConnectPtr conn, virDomainPtr d, struct lv_op *op,
                             virDomainSnapshotPtr *ret, struct sv_error *err);
/* lv_error; op->pending when the domain is busy. */
enum sv_err lv_snapshot_failed(struct lv_host *h, virConnectPtr conn, struct lv_op *op, const char *what,
                               struct sv_error *err);
/* Calls fn again as long as it finds the domain busy: a server that died may have left libvirt at work. The
 * model: vm, snapshot and dom. */
enum sv_err lv_when_free(struct lv_host *h, const struct lv_op *model, lv_fn fn, bool *ret_memory,
                         const struct sv_deadline *d, struct sv_error *err);
/* For what cannot be broken off, since libvirt goes on with it anyhow: no cancel. */
struct sv_deadline lv_firm(const struct sv_deadline *d);
enum sv_err lv_snapshot_create(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_id *snapshot,
                               bool *ret_memory, const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_snapshot_restore(struct sv_hv_host *h, const struct sv_hv_domain *dom, const struct sv_id *snapshot,
                                bool memory, const struct sv_deadline *d, struct sv_error *err);
enum sv_err lv_snapshot_delete(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_id *snapshot,
                               const struct sv_deadline *d, struct sv_error *err);

/* --- freeze.c, thaw.c: file systems of guests held still --- */
enum { LV_THAW_ANYHOW_S = 60 };
struct lv_frozen {
    bool asked;
    int watchdog; /* pipe to it, -1 without */
    pid_t pid;
};
/* Where the agent answers. Whatever comes of it: lv_thaw follows. */
void lv_freeze(struct lv_host *h, const struct sv_id *vm, struct lv_frozen *ret, const struct sv_deadline *d);
/* True when it was frozen up to now. */
bool lv_thaw(struct lv_host *h, const struct sv_id *vm, struct lv_frozen *f);
/* What a server that died may have left frozen. */
void lv_thaw_left(struct lv_host *h, const struct sv_id *vm);
enum { LV_THAW_OK = 'k' }; /* what the watchdog wants to hear */

/* --- copy.c, copy_live.c --- */
enum sv_err lv_copy_out(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_hv_copy *copies, unsigned n,
                        bool *ret_quiesced, sv_hv_progress progress, void *arg, const struct sv_deadline *d,
                        struct sv_error *err);
enum sv_err lv_copy_abort(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                          struct sv_error *err);
enum sv_err lv_copy_in(struct sv_hv_host *h, const struct sv_hv_disk *disk, const char *path, sv_hv_progress progress,
                       void *arg, const struct sv_deadline *d, struct sv_error *err);
/* While the guest runs; the files are there, as large as their disks. */
enum sv_err lv_copy_live(struct lv_host *h, const struct sv_id *vm, const struct sv_hv_copy *copies, unsigned n,
                         bool *ret_quiesced, sv_hv_progress progress, void *arg, const struct sv_deadline *d,
                         struct sv_error *err);

#endif
