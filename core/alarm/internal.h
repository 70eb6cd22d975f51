/* The alarms' own. */
#ifndef CORE_ALARM_INTERNAL_H
#define CORE_ALARM_INTERNAL_H

#include "core/alarm/alarm.h"
#include "core/alarm/gauge.h"
#include "starvirt/thread.h"

struct sv_alarm_entry;

/* A web hook and the thread that tells it. */
struct sv_alarm_hook {
    struct sv_cloud *cloud;
    char *url;
    pthread_t thread;
    bool started;
};

struct sv_alarms {
    struct sv_alarm_options opt;
    struct sv_alarm_hook hooks[SV_MAX_HOOKS];
    unsigned hook_count;
    pthread_t watch;
    bool started;
    atomic_bool stopping; /* for calls that block */
    int64_t since;        /* [ms monotonic] of the start */

    pthread_mutex_t mutex; /* what follows; `change` */
    pthread_cond_t change; /* there is something to tell, or it is time to stop */
    bool stop;
    uint64_t posted; /* counts commits that added deliveries */
    struct sv_alarm_stats stats;

    pthread_mutex_t figures_mutex; /* what follows */
    struct sv_alarm_threshold thresholds[SV_ALARM_TYPES];
    struct sv_alarm_entry **buckets; /* figures that are not calm */
    uint32_t bucket_count, entry_count;
    struct sv_alarm_entry *due, **due_end; /* those to be written */
};

/* --- figures.c --- */
void sv_alarm_figures_init(struct sv_alarms *s);
void sv_alarm_figures_end(struct sv_alarms *s);
/* It was raised before the start. */
void sv_alarm_figure_is_raised(struct sv_alarms *s, const struct sv_alarm_key *k, int64_t now_ms);
/* Forgets figures that nobody has told for long: a VM that is off uses nothing, so its alarm is due to be relieved. */
void sv_alarm_figures_sweep(struct sv_alarms *s, int64_t now_ms);
struct sv_alarm_crossing {
    struct sv_alarm_key key;
    bool raise;
    int percent;
    int64_t since_ms; /* [ms monotonic] */
};
/* The first `max` that are due; they stay so until they are written. */
unsigned sv_alarm_figures_due(struct sv_alarms *s, struct sv_alarm_crossing *v, unsigned max);
/* The first `n` that are due are on disk. */
void sv_alarm_figures_written(struct sv_alarms *s, unsigned n);
void sv_alarm_threshold_apply(struct sv_alarms *s, const struct sv_alarm_threshold *t);
struct sv_alarm_threshold sv_alarm_threshold_of(struct sv_alarms *s, enum sv_alarm_type t);

/* --- rows.c --- */
enum { SV_ALARM_AT_ONCE = 256 }; /* alarms a transaction */
/* Relieves and raises what rows and hosts say, `*at` being how far it has looked: a round looks at some. */
void sv_alarm_follow_rows(struct sv_cloud *c, struct sv_alarm_key *at);

/* How full they are, as their rows say. */
void sv_alarm_look_at_storages(struct sv_cloud *c);

/* --- raise.c --- */
/* NULL, "": *ret stays. PARAM_ENUM. */
enum sv_err sv_alarm_level_of(const char *name, int *ret, struct sv_error *err);

/* --- deliver.c --- */
enum sv_err sv_alarm_hooks_start(struct sv_cloud *c, struct sv_error *err);
void sv_alarm_hooks_join(struct sv_cloud *c);
void sv_alarm_body(const struct sv_alarm_delivery *d, struct sv_buf *out);

#endif
