/* Alarms (StarVCenter 2.15): what is shown of them, their thresholds, web hooks. */
#ifndef STARVIRT_CORE_ALARM_H
#define STARVIRT_CORE_ALARM_H

#include "starvirt/core.h"
#include "starvirt/store_alarm.h"

/* What a type is (core/alarm/types.c). */
struct sv_alarm_kind {
    const char *symbol; /* as it is called everywhere: "vm.cpu" */
    enum sv_alarm_level level;
    enum sv_alarm_object object; /* what it mostly is of */
    int value;                   /* [%] the threshold where nobody set another; 0: it has none */
    unsigned minutes;
    /* {f}: the object's name; {0} {1}: args; {2}: since when. error: {0} is an error's symbol and {1} its first
     * argument, shown as its sentence at {0}. time: {0} is [ms UTC] */
    const char *text[2]; /* by enum sv_lang */
    bool error, time;
};
const struct sv_alarm_kind *sv_alarm_kind(enum sv_alarm_type t);
const char *sv_alarm_level_name(enum sv_alarm_level l);                      /* "high", "medium", "low" */
const char *sv_alarm_way_name(enum sv_alarm_way w);                          /* "none", "auto", "manual" */
const char *sv_alarm_object_name(enum sv_alarm_object o, enum sv_lang lang); /* "host", in Chinese "主机" */
/* By either name; -1: there is none. */
int sv_alarm_object_by_name(const char *name);
/* What it is, how much, since when. */
void sv_alarm_text(const struct sv_alarm *a, enum sv_lang lang, char *buf, size_t size);
enum { SV_ALARM_TEXT_LEN = 1024 };

/* The newest first. A tenant sees those of its own objects. PARAM_ENUM of a name of an object's type. */
struct sv_alarm_search {
    const char *object;      /* id; NULL: any, as for the rest */
    const char *object_type; /* a name of it */
    const char *level, *way;
    int64_t from, to; /* [ms UTC] raised within; 0: any */
};
enum sv_err sv_alarm_search(struct sv_tx *tx, const struct sv_actor *who, const struct sv_alarm_search *s,
                            const struct sv_page *p, sv_alarm_fn *row, void *arg, uint64_t *ret_total,
                            struct sv_error *err);
/* By hand. One that is relieved already stays as it is. ALARM_NOT_FOUND. */
enum sv_err sv_alarm_relieve_by_hand(struct sv_tx *tx, const struct sv_actor *who, const char *id,
                                     struct sv_error *err);

/* --- thresholds: administrators --- */
enum { SV_ALARM_MARGIN = 5, SV_ALARM_GAP_MS = 90 * 1000 };
/* Of all types that have one, in force. */
enum sv_err sv_alarm_thresholds(struct sv_cloud *c, const struct sv_actor *who,
                                void (*row)(void *arg, const struct sv_alarm_threshold *t), void *arg,
                                struct sv_error *err);
/* minutes 0, level NULL: unchanged. In force with the next figures. PARAM_ENUM, PARAM_RANGE. */
enum sv_err sv_alarm_threshold_set(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *type,
                                   int64_t value, int64_t minutes, const char *level, struct sv_error *err);

/* --- figures of their own, as they were seen last --- */
struct sv_alarm_stats {
    uint64_t open[SV_ALARM_TYPES][SV_ALARM_LEVELS];
    uint64_t pending;                  /* deliveries that wait, of all hooks */
    uint64_t sent, failures, given_up; /* since the start: told, tries in vain, told no more */
};
void sv_cloud_alarm_stats(struct sv_cloud *c, struct sv_alarm_stats *ret);

#endif
