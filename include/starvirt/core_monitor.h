/* What guests and hosts use (StarVCenter 2.8): sampled in the background, read from memory and from files of its own. A
 * read never waits for a host. */
#ifndef STARVIRT_CORE_MONITOR_H
#define STARVIRT_CORE_MONITOR_H

#include "starvirt/core.h"

/* Rates [bytes/s]; below 0 = no figure. */
struct sv_monitor_rates {
    double read, written, received, sent;
};
/* The latest of a VM or a host; -1 = no figure, as all are of a guest that does not run and in the first interval. */
struct sv_monitor_figures {
    const char *object;                                 /* its id */
    int64_t time;                                       /* [ms] of the sample; 0 = there was none */
    int cpu, memory;                                    /* [%] */
    int64_t vcpus, memory_size, memory_used, disk_used; /* [bytes] */
    struct sv_monitor_rates rates;                      /* of all its disks and NICs */
};
struct sv_monitor_point {
    int64_t time; /* [ms] when its minute, hour or day began */
    int cpu, memory;
    struct sv_monitor_rates rates;
};
struct sv_monitor_disk {
    struct sv_id id;
    int64_t time;
    double read, written; /* [bytes/s] */
    double reads, writes; /* [requests/s] */
    int64_t size, used;   /* [bytes] */
};
struct sv_monitor_nic {
    struct sv_id id;
    unsigned char mac[6];
    int64_t time;
    double received, sent; /* [bytes/s] by the guest */
};

/* A VM's; VM_NOT_FOUND. */
enum sv_err sv_monitor_current(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                               struct sv_monitor_figures *ret, struct sv_error *err);
/* Of many, in the order asked for; `hosts`: they are hosts, ADMIN_ONLY. One that is not there fails them all, by its
 * name. */
enum sv_err sv_monitor_currents(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, bool hosts,
                                const char *const *ids, size_t n,
                                void (*row)(void *arg, const struct sv_monitor_figures *f), void *arg,
                                struct sv_error *err);
/* Minutes of a day, hours of a month, days of a year: oldest first, those for which there is any figure; of the one
 * that still goes on what is known so far. */
enum sv_monitor_line { SV_LINE_MINUTE, SV_LINE_HOUR, SV_LINE_DAY, SV_LINES };
enum sv_err sv_monitor_history(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                               enum sv_monitor_line line, void (*row)(void *arg, const struct sv_monitor_point *p),
                               void *arg, struct sv_error *err);
/* Every disk and every NIC that the VM has, with figures or without. */
enum sv_err sv_monitor_disks(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                             void (*row)(void *arg, const struct sv_monitor_disk *d), void *arg, struct sv_error *err);
enum sv_err sv_monitor_nics(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vm,
                            void (*row)(void *arg, const struct sv_monitor_nic *n), void *arg, struct sv_error *err);

/* For metrics: sums over all hosts, and how sampling goes. */
struct sv_monitor_totals {
    unsigned hosts, late;                     /* asked; of these without an answer for three intervals */
    size_t objects;                           /* that there are figures of */
    uint64_t samples, failures, points, lost; /* answers of hosts, and refusals; points written, and not */
    int64_t took_us;                          /* [us] of all answers together */
    double busy_cpus;                         /* CPUs at work */
    int64_t memory_used;                      /* [bytes] */
};
struct sv_monitor_totals sv_monitor_totals(struct sv_cloud *c);

#endif
