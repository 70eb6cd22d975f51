/* The room's own contract: objects and their figures.
 *
 * One mutex guards the table and all that is in it. It is a leaf: held while a host's answer is taken over (also under
 * a driver's own lock), for a minute's points of a piece of the table, and for a read; never across a call of a host, a
 * file or the database. */
#ifndef CORE_MONITOR_INTERNAL_H
#define CORE_MONITOR_INTERNAL_H

#include "core/monitor/monitor.h"
#include "core/monitor/ring.h"

/* --- objects.c: by id --- */

/* The counter when it was last seen, and how fast it grew since the time before; -1 = not known. */
struct sv_gauge {
    int64_t count;
    float rate; /* [1/s] */
};
struct sv_disk_seen {
    char target[8];
    struct sv_gauge read, written, reads, writes;
    int64_t size, held;
};
struct sv_nic_seen {
    char tap[16];
    struct sv_gauge received, sent;
};
/* Of a minute that goes on. */
struct sv_sum {
    float sum;
    uint16_t n;
};
enum { SV_SUM_CPU, SV_SUM_MEMORY, SV_SUM_READ, SV_SUM_WRITTEN, SV_SUM_RECEIVED, SV_SUM_SENT, SV_SUMS };

struct sv_object_seen {
    struct sv_object_seen *next;
    struct sv_id id;
    bool is_host;
    uint8_t disk_count, nic_count;
    struct sv_disk_seen *disks;
    struct sv_nic_seen *nics;
    int64_t asked_us;             /* [us monotonic] of the last sample; 0 = none in this life of the server */
    int64_t time;                 /* [ms] of it */
    struct sv_gauge cpu, cpu_all; /* a VM's: [ns]; a host's: two counters in one unit */
    float cpu_percent, rate[4];   /* latest; rate: as in struct sv_monitor_rates */
    int64_t vcpus, memory, memory_used, disk_used;
    struct sv_sum sums[SV_SUMS];
    struct sv_slot slot;
};

struct sv_objects {
    struct sv_object_seen **buckets;
    size_t bucket_count, n;
};
void sv_objects_init(struct sv_objects *o);
void sv_objects_free(struct sv_objects *o);
struct sv_object_seen *sv_objects_find(const struct sv_objects *o, const struct sv_id *id);        /* NULL = none */
struct sv_object_seen *sv_objects_get(struct sv_objects *o, const struct sv_id *id, bool is_host); /* made if need be */
void sv_objects_drop(struct sv_objects *o, const struct sv_id *id);

/* --- rates.c: what counters say; pure. --- */
/* Between two samples that lie longer apart [us] than this nobody knows what was: no rates. */
int64_t sv_gap_us(int64_t interval_ms);
/* The guest's next sample, taken at now_us. */
void sv_seen_vm(struct sv_object_seen *o, const struct sv_hv_usage *u, int64_t now_us, int64_t gap_us);
/* The host's; `rates` of all its guests together. */
void sv_seen_host(struct sv_object_seen *o, const struct sv_hv_host_usage *u, int64_t cpus, const double rates[4],
                  int64_t now_us, int64_t gap_us);
/* The latest figures; none of a sample older than `stale_us`. */
struct sv_monitor_figures sv_figures_of(const struct sv_object_seen *o, int64_t now_us, int64_t stale_us);
/* What the minute has had so far; false: nothing. The second begins it anew. */
bool sv_minute_so_far(const struct sv_object_seen *o, int64_t begin_ms, struct sv_monitor_point *ret);
bool sv_minute_of(struct sv_object_seen *o, int64_t begin_ms, struct sv_monitor_point *ret);

/* --- the room's state --- */
enum { SV_SAMPLERS = 4 };
struct sv_monitor {
    struct sv_cloud *cloud;
    int64_t interval_ms;
    struct sv_rings *rings; /* NULL: there is no history */
    pthread_mutex_t mutex;
    pthread_cond_t change; /* it is time to stop */
    atomic_bool stop;
    struct sv_objects objects;
    struct sv_monitor_totals totals;
    unsigned failing; /* of the threads: ask hosts that did not answer last time */
    pthread_t samplers[SV_SAMPLERS], writer;
    unsigned sampler_count;
    bool writer_started;
    /* The writing thread's: */
    int64_t written_ms; /* [ms] when a point was written last, in an earlier life of the server */
    bool losing;        /* points cannot be written */
};
/* The object's last sample, held against thresholds (alarms.c). */
void sv_monitor_tell_alarms(struct sv_monitor *m, const struct sv_object_seen *o);
void *sv_monitor_sample(void *monitor); /* a thread (sampler.c) */
void *sv_monitor_write(void *monitor);  /* a thread (minutes.c) */
/* The rings' objects, as they are opened (minutes.c). */
enum sv_err sv_monitor_open_rings(struct sv_monitor *m, struct sv_error *err);

#endif
