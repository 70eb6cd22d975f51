/* The simulator's own contract: an in-memory cloud that behaves as hypervisors do, with a journal that
 * outlives the process.
 *
 * One `struct sim_host` a host, each with its lock, tables and journal; templates are one library that
 * every host sees, volumes are a host's own. Locks are taken in the order host, templates, driver, and
 * never held while a callback runs or anybody waits (waits are on the host's own condition). */
#ifndef HV_SIM_INTERNAL_H
#define HV_SIM_INTERNAL_H

#include "starvirt/hv.h"
#include "starvirt/mem.h"
#include "starvirt/thread.h"

#include <pthread.h>

/* The calls of the driver table: what faults are named by, and the order of sim_host.fail. */
/* clang-format off */
#define SIM_CALLS(X) \
    X(info) X(volume_create) X(volume_delete) X(template_put) X(template_delete) X(define) X(undefine) \
    X(start) X(destroy) X(shutdown) X(reboot) X(reset) X(wait_power) X(wait_reboot) X(suspend) X(resume) \
    X(set_vcpus) X(set_memory) X(disk_attach) X(disk_detach) X(volume_resize) X(nic_attach) X(nic_detach) \
    X(set_password) X(set_time) X(agent_sync) X(set_vnc_password) X(guest_addresses) X(console_open) X(snapshot_create) \
    X(snapshot_restore) X(snapshot_delete) X(copy_out) X(copy_abort) X(copy_in) X(state) X(list) X(list_volumes) \
    X(usage) X(pool_open) X(pool_close) X(pool_info)
#define SIM_CALL_ENUM(name) SIM_CALL_##name,
enum sim_call { SIM_CALLS(SIM_CALL_ENUM) SIM_CALL_COUNT };
#undef SIM_CALL_ENUM
/* clang-format on */

/* --- table.c: hash table of entries that begin with their key; it does not own them --- */
struct sim_key {
    unsigned char b[16]; /* the id's 128 bits: 16 bytes instead of 37 */
};
struct sim_table {
    struct sim_key **slots;
    size_t cap, n;
};
/* HYPERVISOR for an id that is none. */
enum sv_err sim_key_of(const struct sv_id *id, struct sim_key *ret, struct sv_error *err);
struct sv_id sim_key_id(const struct sim_key *k);
bool sim_key_eq(const struct sim_key *a, const struct sim_key *b);
bool sim_key_empty(const struct sim_key *k);
void *sim_table_get(const struct sim_table *t, const struct sim_key *k); /* NULL = absent */
void sim_table_put(struct sim_table *t, struct sim_key *entry);          /* its key must be absent */
void *sim_table_take(struct sim_table *t, const struct sim_key *k);      /* out of the table; NULL = absent */
/* Next entry at or after *pos, which starts at 0; NULL at the end. */
void *sim_table_next(const struct sim_table *t, size_t *pos);
void sim_table_free(struct sim_table *t, void (*entry)(void *e));

/* --- journal.c: append-only records, one write(2) each. All NULL-dir journals keep nothing. --- */
struct sim_journal {
    int fd;     /* -1 = memory only */
    char *path; /* NULL = memory only */
    uint64_t bytes, records;
    bool torn; /* half a record is behind `bytes`, of a disk that was full */
};
/* One replayed record; false = this program cannot have written it. */
typedef bool (*sim_apply)(void *arg, unsigned type, const struct sim_key *k, const unsigned char *p, size_t n);
/* Opens or makes DIR/sim/NAME.journal, takes its lock, replays it, cuts a torn last record. STORAGE
 * when it is damaged elsewhere, SYSTEM when another process has it. */
enum sv_err sim_journal_open(struct sim_journal *j, const char *data_dir, const char *name, sim_apply apply, void *arg,
                             struct sv_error *err);
/* STORAGE, STORAGE_FULL: nothing was appended. */
enum sv_err sim_journal_add(struct sim_journal *j, unsigned type, const struct sim_key *k, const void *p, size_t n,
                            struct sv_error *err);
/* True when dead records outweigh `live` ones by far: more readily at the open than in passing. */
bool sim_journal_bloated(const struct sim_journal *j, size_t live, bool at_open);
/* New file of what `each` writes with sim_journal_put, then renamed over the old one. */
struct sim_rewrite;
void sim_journal_put(struct sim_rewrite *w, unsigned type, const struct sim_key *k, const void *p, size_t n);
enum sv_err sim_journal_rewrite(struct sim_journal *j, void (*each)(void *arg, struct sim_rewrite *w), void *arg,
                                struct sv_error *err);
void sim_journal_close(struct sim_journal *j);

/* --- what a host holds --- */
enum {
    SIM_REC_DEFINE = 1,
    SIM_REC_LIVE,
    SIM_REC_UNDEFINE,
    SIM_REC_VOLUME,
    SIM_REC_DROP,
    SIM_REC_PLUGGED,
    SIM_REC_PASSWORD,
    SIM_REC_CONTENT,
    SIM_REC_WORDS,
    SIM_REC_SNAPSHOT,
    SIM_REC_UNSNAPSHOT,
};

enum {
    SIM_AGENT_OFF = 1, /* agent=<vm>:0 */
    SIM_AGENT_ON = 2,  /* agent=<vm>:1 */
    SIM_STOPPING = 4,  /* a guest that is on its way down */
    SIM_REBOOTING = 8, /* or down and up again */
    SIM_GROWN = 16,    /* a vCPU was added to the running guest */
    SIM_COPYING = 32,  /* its disks are being copied */
};
/* Journaled as it is; all fields of it count, no padding. */
struct sim_live {
    int64_t memory, memory_max; /* of the running guest [bytes] */
    uint16_t vcpus, vcpus_max;
    uint16_t boots, boots_asked; /* reboots seen; the count when reboot() was last asked */
    uint8_t power, flags;
    uint8_t reserved[6];
};
_Static_assert(sizeof(struct sim_live) == 32, "journal format");

/* The persistent definition, compact: head, disks, nics, name. Journaled as it is. */
struct sim_def_disk {
    struct sim_key id, template_id;
    int64_t size;
    char target[8];
};
struct sim_def_nic {
    struct sim_key id;
    unsigned char mac[6];
    uint8_t kind, reserved;
    char bridge[16], tap[16];
};
struct sim_def {
    int64_t memory, memory_max;
    uint16_t vcpus, vcpus_max;
    uint8_t nested, disks, nics, name_len;
    unsigned char vnc_mark[8]; /* tells one VNC password from another; the journal holds none */
    unsigned char rest[];
};
enum {
    SIM_DEF_MAX = sizeof(struct sim_def) + SV_HV_MAX_DISKS * sizeof(struct sim_def_disk) +
                  SV_HV_MAX_NICS * sizeof(struct sim_def_nic) + SV_MAX_NAME,
    SIM_CONTENT_MAX = 63,      /* [bytes] of the short text that stands for all the bytes of a volume or a memory */
    SIM_RECORD_MAX = 16 << 10, /* [bytes] behind the key of a record of the journal */
};
_Static_assert(SIM_DEF_MAX <= SIM_RECORD_MAX, "a definition is one record");

/* The password set last inside a guest: enough to recognise it, not to learn it. Journaled as it is. */
struct sim_password {
    unsigned char salt[16], hash[32]; /* SHA-256 of salt, user, NUL, password */
};

struct sim_domain {
    struct sim_key key;
    struct sim_def *def;
    struct sim_def *plugged;       /* devices of the running guest where they are not the defined ones; else NULL */
    struct sim_password *password; /* NULL = none was set */
    char *address;                 /* the guest's own word on its addresses, by a switch; NULL = it has none */
    struct sim_snapshot *snapshots;
    char *words; /* what was written to the running guest's memory; NULL = nothing since it booted */
    struct sim_live live;
    uint32_t epoch; /* of the current boot: timers of an older one are void */
    uint16_t def_len;
    bool agent; /* up */
    /* [ms] how far the guest's clock is behind, and when it was paused (0: it is not). Forgotten with the process. */
    int64_t behind, paused;
    int64_t since_us;      /* [us monotonic] when what it uses began to count; 0: with the machine */
    struct sim_load *load; /* what it uses from then on, and used before; NULL = what guests use by default */
};
/* As time goes by: the guest is paused, goes on, or boots. */
void sim_clock_stop(struct sim_domain *d);
void sim_clock_go_on(struct sim_domain *d);
void sim_clock_reset(struct sim_domain *d);

struct sim_volume { /* or a template */
    struct sim_key key;
    struct sim_key template_id;
    struct sim_key pool;  /* none: the image directory */
    int64_t size;         /* [bytes] */
    int64_t virtual_size; /* template: of its image */
    char *content;        /* what was written to it; NULL = nothing yet */
};

/* --- uri.c --- */
enum { SIM_NAME_MAX = 32 };
struct sim_conf {
    unsigned hosts, seed;
    int64_t delay_us, jitter_us, boot_us, stop_us;
    int64_t vcpus, memory, storage; /* of each host that says nothing of its own; storage 0 = the default */
    struct {
        int64_t vcpus, memory; /* 0 = as the others */
    } own[SV_MAX_HOSTS];
    int64_t pool; /* [bytes] of each storage besides */
    bool agent, acpi, control;
    char name[SIM_NAME_MAX + 1]; /* of its hosts, before their number */
    double fail[SIM_CALL_COUNT];
    bool hang[SV_MAX_HOSTS];
};
static inline int64_t sim_conf_vcpus(const struct sim_conf *c, int host)
{
    return c->own[host].vcpus ? c->own[host].vcpus : c->vcpus;
}
static inline int64_t sim_conf_memory(const struct sim_conf *c, int host)
{
    return c->own[host].memory ? c->own[host].memory : c->memory;
}
/* CONFIG naming the key at fault. */
enum sv_err sim_conf_parse(const char *uri, struct sim_conf *ret, struct sv_error *err);
/* "20ms", "1s", "500us"; a bare number is [ms]. */
bool sim_parse_time(const char *s, int64_t *ret_us);
/* "start:0.01" into fail[]. */
enum sv_err sim_parse_fail(const char *s, double fail[SIM_CALL_COUNT], struct sv_error *err);
const char *sim_call_name(enum sim_call call);

/* --- driver.c: the thread that delivers events and runs the guests' own time --- */
enum sim_timer_kind {
    SIM_TIMER_AGENT,  /* booted: the agent comes up */
    SIM_TIMER_STOP,   /* the guest has shut down */
    SIM_TIMER_REBOOT, /* the guest is down and up again */
    SIM_TIMER_HANG,   /* a hung host is given up */
};
struct sim_host;
struct sim_timer {
    int64_t due_us;
    struct sim_host *host;
    struct sim_key vm;
    uint32_t epoch;
    enum sim_timer_kind kind;
};
struct sim_driver {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct sim_event *head, **tail;
    struct sim_timer *heap;
    size_t timers, cap;
    bool started, stop;
    struct sv_hv_events ev;
};
void sim_driver_init(struct sim_driver *d, const struct sv_hv_events *ev);
enum sv_err sim_driver_start(struct sim_driver *d, struct sv_error *err);
void sim_driver_stop(struct sim_driver *d); /* joins the thread */
void sim_driver_free(struct sim_driver *d); /* undelivered events are dropped */
/* Queue an event; called under the host's lock, so that order of events is order of changes. Those of
 * domains are lost while the host is not connected, as a real connection loses them. */
void sim_tell_host(struct sim_host *h, bool connected, const char *why);
void sim_tell_power(struct sim_host *h, const struct sim_domain *d);
void sim_tell_agent(struct sim_host *h, const struct sim_domain *d);
void sim_timer_add(struct sim_host *h, enum sim_timer_kind kind, const struct sim_key *vm, uint32_t epoch,
                   int64_t in_us);

/* --- hosts --- */
struct sim_templates {
    pthread_mutex_t lock;
    struct sim_table table;
    struct sim_journal journal;
};
struct sim {
    struct sv_hv base;
    struct sim_conf conf;
    struct sim_driver driver;
    struct sim_templates templates;
    struct sim_watch *watch; /* control files; NULL = none */
    struct sim_screens *screens;
    int64_t call_limit_ms;
    unsigned slots; /* calls under way at a time on one host */
};
struct sim_host {
    struct sv_hv_host base;
    struct sim *sim;
    pthread_mutex_t lock;
    pthread_cond_t gate;   /* hang, down, a free slot, the end */
    pthread_cond_t change; /* power, reboots, the end */
    struct sim_table domains, volumes;
    struct sim_table pools; /* open ones */
    struct sim_journal journal;
    int64_t storage_used;
    int64_t cpu_busy, cpu_asked_us; /* [us] of usage() */
    size_t snapshot_count;          /* of all domains */
    uint64_t random;
    int64_t delay_us, jitter_us;
    double fail[SIM_CALL_COUNT], lose[SIM_CALL_COUNT];
    unsigned active, slot_waiters; /* calls under way; calls that wait for a slot */
    unsigned inside;               /* threads that wait in here */
    uint32_t hang_epoch;
    bool hung, given_up, cut, closing;
};

/* --- sim.c --- */
/* Journals one change of the locked host, before it is made in memory. */
enum sv_err sim_record(struct sim_host *h, unsigned type, const struct sim_key *k, const void *p, size_t n,
                       struct sv_error *err);

/* --- call.c: what a call goes through before it takes effect --- */
/* Slot, delay, hang, faults. On SV_OK the host is locked and sim_leave must follow. */
enum sv_err sim_enter(struct sim_host *h, enum sim_call call, const struct sv_deadline *d, struct sv_error *err);
void sim_leave(struct sim_host *h);
/* Before a wait: the slot comes free, the lock stays. Ends with an unlock instead of sim_leave. */
void sim_leave_slot(struct sim_host *h);
/* sim_enter, and the domain; NULL: *ret_rc says why (DOMAIN_MISSING, too), and the host is left again. */
struct sim_domain *sim_enter_vm(struct sim_host *h, enum sim_call call, const struct sv_id *vm,
                                const struct sv_deadline *d, enum sv_err *ret_rc, struct sv_error *err);
/* Leaves after the call took effect: `rc`, or HYPERVISOR with the probability lose= gives the call. */
enum sv_err sim_answer(struct sim_host *h, enum sim_call call, enum sv_err rc, struct sv_error *err);
/* HYPERVISOR with the probability fail= gives the call. */
enum sv_err sim_fault(struct sim_host *h, enum sim_call call, struct sv_error *err);
bool sim_answers(const struct sim_host *h); /* neither hung nor lost */
/* Waits for some change on the locked host; HOST_DOWN, JOB_CANCELLED, JOB_DEADLINE with `what`. */
enum sv_err sim_wait(struct sim_host *h, const struct sv_deadline *d, const char *what, struct sv_error *err);
/* connected := neither cut nor given up; tells of a change. Under the host's lock. */
void sim_link(struct sim_host *h, const char *why);
void sim_hang(struct sim_host *h, bool hung);
/* A host dies with its waiters let go; afterwards nobody is in it. */
void sim_host_drain(struct sim_host *h);

/* --- domain.c: definitions --- */
bool sim_domain_apply(struct sim_host *h, unsigned type, const struct sim_key *k, const unsigned char *p, size_t n);
void sim_domain_each(struct sim_host *h, struct sim_rewrite *w);
void sim_domain_free(void *d);
/* Journals the definition and makes it so; a running guest keeps its devices. */
enum sv_err sim_domain_define(struct sim_host *h, const struct sim_key *k, const struct sv_hv_domain *dom,
                              struct sv_error *err);
enum sv_err sim_define(struct sv_hv_host *h, const struct sv_hv_domain *dom, const struct sv_deadline *d,
                       struct sv_error *err);
enum sv_err sim_undefine(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                         struct sv_error *err);
enum sv_err sim_state(struct sv_hv_host *h, const struct sv_id *vm, struct sv_hv_state *ret,
                      const struct sv_deadline *d, struct sv_error *err);
enum sv_err sim_list(struct sv_hv_host *h,
                     void (*row)(void *arg, const struct sv_id *vm, const char *name, const struct sv_hv_state *s),
                     void *arg, const struct sv_deadline *d, struct sv_error *err);
const struct sim_def_disk *sim_def_disks(const struct sim_def *def);
const struct sim_def_nic *sim_def_nics(const struct sim_def *def);
struct sim_def_disk sim_compact_disk(const struct sv_hv_disk *from);
struct sim_def_nic sim_compact_nic(const struct sv_hv_nic *from);
/* Journals the definition anew with this VNC password. */
enum sv_err sim_domain_set_vnc(struct sim_host *h, struct sim_domain *d, const char *password, struct sv_error *err);

/* --- plugged.c: what a running guest has. All under the host's lock. --- */
const struct sim_def *sim_plugged(const struct sim_domain *d);
/* Journals and makes it so that the running guest has these. */
enum sv_err sim_plug(struct sim_host *h, struct sim_domain *d, const struct sim_def_disk *disks, unsigned disk_count,
                     const struct sim_def_nic *nics, unsigned nic_count, struct sv_error *err);
/* So that it has those of this definition. */
enum sv_err sim_plug_like(struct sim_host *h, struct sim_domain *d, const struct sim_def *devices,
                          struct sv_error *err);
/* Before its definition changes: what a running guest has stays as it is. */
enum sv_err sim_plugged_keep(struct sim_host *h, struct sim_domain *d, const struct sim_def *next,
                             struct sv_error *err);
bool sim_plugged_apply(struct sim_domain *d, const unsigned char *p, size_t n); /* replay */
void sim_plugged_forget(struct sim_domain *d);                                  /* it stopped */
size_t sim_def_size(const struct sim_def *def);

/* --- device.c: disks and NICs that come and go --- */
enum sv_err sim_disk_attach(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_hv_disk *disk,
                            const struct sv_deadline *d, struct sv_error *err);
enum sv_err sim_disk_detach(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_id *disk,
                            const struct sv_deadline *d, struct sv_error *err);
enum sv_err sim_nic_attach(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_hv_nic *nic,
                           const struct sv_deadline *d, struct sv_error *err);
enum sv_err sim_nic_detach(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_hv_nic *nic,
                           const struct sv_deadline *d, struct sv_error *err);

/* --- inside.c: the guest's users and its agent --- */
enum sv_err sim_set_password(struct sv_hv_host *h, const struct sv_id *vm, const char *user, const char *password,
                             const struct sv_deadline *d, struct sv_error *err);
enum sv_err sim_agent_sync(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                           struct sv_error *err);
enum sv_err sim_set_time(struct sv_hv_host *h, const struct sv_id *vm, int64_t *ret_behind, const struct sv_deadline *d,
                         struct sv_error *err);
enum sv_err sim_set_vnc_password(struct sv_hv_host *h, const struct sv_id *vm, const char *password,
                                 const struct sv_deadline *d, struct sv_error *err);
enum sv_err sim_guest_addresses(struct sv_hv_host *h, const struct sv_id *vm, char **ret, const struct sv_deadline *d,
                                struct sv_error *err);
bool sim_password_apply(struct sim_domain *d, const unsigned char *p, size_t n); /* replay */

/* --- usage.c: what guests use, all of it made up. Forgotten with the process. Under the host's lock. --- */
/* "cpu=50,mem=30,disk=40,read=1M,write=2M,rx=100K,tx=50K": CONFIG naming what is wrong. */
enum sv_err sim_load_set(struct sim_domain *d, const char *text, struct sv_error *err);
void sim_load_begin(struct sim_domain *d); /* it was started */
void sim_load_turn(struct sim_domain *d);  /* before it is paused or goes on */
void sim_load_forget(struct sim_domain *d);
enum sv_err sim_usage(struct sv_hv_host *h, struct sv_hv_host_usage *ret,
                      void (*row)(void *arg, const struct sv_hv_usage *u), void *arg, const struct sv_deadline *d,
                      struct sv_error *err);
/* "256G" */
bool sim_parse_size(const char *s, int64_t *ret);

/* --- console.c: screens --- */
struct sim_screens *sim_screens_new(void);
void sim_screens_free(struct sim_screens *s);
/* Under the host's lock: whose guest stopped sees no more of it. */
void sim_screens_power(struct sim_host *h, const struct sim_domain *d);
enum sv_err sim_console_address(struct sv_hv_host *h, const struct sv_id *vm, char host[64], unsigned *ret_port,
                                struct sv_error *err);
enum sv_err sim_console_open(struct sv_hv_host *h, const struct sv_id *vm, int *ret_fd, const struct sv_deadline *d,
                             struct sv_error *err);

/* --- guest.c: what happens to a guest. All under the host's lock. --- */
/* Journals `next` and makes it so, with its events and timers. */
enum sv_err sim_guest_become(struct sim_host *h, struct sim_domain *d, const struct sim_live *next,
                             struct sv_error *err);
void sim_guest_revive(struct sim_host *h, struct sim_domain *d); /* after a replay: agent and timers */
/* Sets the timer of what a guest was asked to do and has not done yet. */
void sim_guest_go_on(struct sim_host *h, const struct sim_domain *d);
void sim_guest_timer(struct sim_host *h, const struct sim_timer *t);
enum sv_err sim_guest_off(struct sim_host *h, struct sim_domain *d, enum sv_hv_power how, struct sv_error *err);
enum sv_err sim_guest_agent(struct sim_host *h, struct sim_domain *d, bool on, struct sv_error *err);
void sim_guest_address(struct sim_host *h, struct sim_domain *d, const char *address); /* says so when asked */
bool sim_guest_runs(const struct sim_domain *d);
/* Journals what the memory of a running guest holds; a boot and an end forget it. HYPERVISOR when it does not
 * run. */
enum sv_err sim_guest_write(struct sim_host *h, struct sim_domain *d, const char *words, struct sv_error *err);
/* Replay. */
bool sim_guest_live_apply(struct sim_domain *d, const unsigned char *p, size_t n);
bool sim_guest_words_apply(struct sim_domain *d, const unsigned char *p, size_t n);

/* --- power.c: the calls that change or await power --- */
enum sv_err sim_start(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d, struct sv_error *err);
enum sv_err sim_destroy(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                        struct sv_error *err);
enum sv_err sim_shutdown(struct sv_hv_host *h, const struct sv_id *vm, bool *ret_by_agent, const struct sv_deadline *d,
                         struct sv_error *err);
enum sv_err sim_reboot(struct sv_hv_host *h, const struct sv_id *vm, bool *ret_by_agent, const struct sv_deadline *d,
                       struct sv_error *err);
enum sv_err sim_reset(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d, struct sv_error *err);
enum sv_err sim_wait_power(struct sv_hv_host *h, const struct sv_id *vm, enum sv_hv_power want,
                           const struct sv_deadline *d, struct sv_error *err);
enum sv_err sim_wait_reboot(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                            struct sv_error *err);
enum sv_err sim_suspend(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                        struct sv_error *err);
enum sv_err sim_resume(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d, struct sv_error *err);
enum sv_err sim_set_vcpus(struct sv_hv_host *h, const struct sv_id *vm, int64_t vcpus, const struct sv_deadline *d,
                          struct sv_error *err);
enum sv_err sim_set_memory(struct sv_hv_host *h, const struct sv_id *vm, int64_t bytes, const struct sv_deadline *d,
                           struct sv_error *err);

/* --- pool.c: storages besides the image directory --- */
struct sim_pool {
    struct sim_key key;
    enum sv_hv_pool_kind kind;
    int64_t used; /* [bytes] */
};
enum sv_err sim_pool_open(struct sv_hv_host *h, const struct sv_hv_pool *pool, const struct sv_deadline *d,
                          struct sv_error *err);
enum sv_err sim_pool_close(struct sv_hv_host *h, const struct sv_id *pool, const struct sv_deadline *d,
                           struct sv_error *err);
enum sv_err sim_pool_info(struct sv_hv_host *h, const struct sv_id *pool, int64_t *ret_size, int64_t *ret_used,
                          const struct sv_deadline *d, struct sv_error *err);
void sim_pools_forget(struct sim_host *h);
/* A volume that can be seen: in the image directory or in an open storage. NULL = none. */
struct sim_volume *sim_volume_get(const struct sim_host *h, const struct sim_key *volume);
void sim_pool_charge(struct sim_host *h, const struct sim_key *pool, int64_t delta);
/* STORAGE when it is not open, STORAGE_FULL. */
enum sv_err sim_pool_room(const struct sim_host *h, const struct sim_key *pool, int64_t bytes, struct sv_error *err);

/* --- storage.c: volumes and templates --- */
/* What was written to it, "" for nothing or no such volume; until the host is left. */
const char *sim_volume_content(const struct sim_host *h, const struct sim_key *volume);
/* What sim_copy_out() wrote into this file, "" for any other. */
void sim_image_content(const char *path, char content[SIM_CONTENT_MAX + 1]);
/* Journals it and makes it so; what it is already costs nothing. STORAGE when there is no such volume or the
 * text is too long. */
enum sv_err sim_volume_write(struct sim_host *h, const struct sim_key *volume, const char *text, struct sv_error *err);
bool sim_volume_apply(struct sim_host *h, unsigned type, const struct sim_key *k, const unsigned char *p, size_t n);
void sim_volume_each(struct sim_host *h, struct sim_rewrite *w);
void sim_volume_free(void *v); /* NULL ok */
enum sv_err sim_templates_open(struct sim *s, const char *data_dir, struct sv_error *err);
void sim_templates_close(struct sim *s);
/* STORAGE naming what is missing; what a hypervisor says when a guest's image is not there. */
enum sv_err sim_volumes_there(struct sim_host *h, const struct sim_domain *d, struct sv_error *err);
enum sv_err sim_volume_there(struct sim_host *h, const struct sim_key *volume, struct sv_error *err);
enum sv_err sim_volume_resize(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_id *disk, int64_t bytes,
                              const struct sv_deadline *d, struct sv_error *err);
enum sv_err sim_volume_create(struct sv_hv_host *h, const struct sv_hv_disk *disk, const struct sv_deadline *d,
                              struct sv_error *err);
enum sv_err sim_volume_delete(struct sv_hv_host *h, const struct sv_id *disk, const struct sv_deadline *d,
                              struct sv_error *err);
enum sv_err sim_template_put(struct sv_hv_host *h, const struct sv_id *tmpl, const char *path, const char *format,
                             int64_t *ret_size, int64_t *ret_virtual, sv_hv_progress progress, void *arg,
                             const struct sv_deadline *d, struct sv_error *err);
enum sv_err sim_template_delete(struct sv_hv_host *h, const struct sv_id *tmpl, const struct sv_deadline *d,
                                struct sv_error *err);
enum sv_err sim_list_volumes(struct sv_hv_host *h,
                             void (*row)(void *arg, const struct sv_id *volume, bool is_template, int64_t bytes),
                             void *arg, const struct sv_deadline *d, struct sv_error *err);

/* --- snapshot.c --- */
enum sv_err sim_snapshot_create(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_id *snapshot,
                                bool *ret_memory, const struct sv_deadline *d, struct sv_error *err);
enum sv_err sim_snapshot_restore(struct sv_hv_host *h, const struct sv_hv_domain *dom, const struct sv_id *snapshot,
                                 bool memory, const struct sv_deadline *d, struct sv_error *err);
enum sv_err sim_snapshot_delete(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_id *snapshot,
                                const struct sv_deadline *d, struct sv_error *err);
void sim_snapshots_forget(struct sim_domain *d);
size_t sim_snapshots_count(const struct sim_domain *d);
bool sim_snapshot_apply(struct sim_host *h, struct sim_domain *d, unsigned type, const unsigned char *p, size_t n);
void sim_snapshots_each(const struct sim_domain *d, struct sim_rewrite *w);

/* The volume := this, made where it is not there; standalone. Under the host's lock. */
enum sv_err sim_volume_put(struct sim_host *h, const struct sim_key *volume, const struct sim_key *pool, int64_t size,
                           const char *content, struct sv_error *err);

/* --- copy.c: disks as files --- */
enum sv_err sim_copy_out(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_hv_copy *copies, unsigned n,
                         bool *ret_quiesced, sv_hv_progress progress, void *arg, const struct sv_deadline *d,
                         struct sv_error *err);
enum sv_err sim_copy_abort(struct sv_hv_host *h, const struct sv_id *vm, const struct sv_deadline *d,
                           struct sv_error *err);
enum sv_err sim_copy_in(struct sv_hv_host *h, const struct sv_hv_disk *disk, const char *path, sv_hv_progress progress,
                        void *arg, const struct sv_deadline *d, struct sv_error *err);

/* --- control.c --- */
enum sv_err sim_control(struct sv_hv_host *h, const char *command, struct sv_error *err);
/* Executes and unlinks the files of DIR/sim/control, each "host:command". */
enum sv_err sim_watch_start(struct sim *s, const char *data_dir, struct sv_error *err);
void sim_watch_stop(struct sim *s);

static inline struct sim_host *sim_host_of(struct sv_hv_host *h)
{
    return (struct sim_host *)(void *)h;
}
static inline struct sim *sim_of(struct sv_hv *hv)
{
    return (struct sim *)(void *)hv;
}

#endif
