/* Alarms: what is wrong with an object, from when on, and when it ended. StarVCenter 2.15.
 *
 * An alarm has a type and is of an object; there is one at a time for each pair. Whoever learns of it in a transaction
 * raises or relieves it there. What only looking finds out the watch finds (watch.c): figures over their threshold,
 * rules that do not get into force, undos that are left, objects that are gone.
 *
 * An alarm that somebody relieves by hand is closed, but what it is about goes on: it is not raised anew until that has
 * ended once. */
#ifndef CORE_ALARM_H
#define CORE_ALARM_H

#include "core/run/run.h"
#include "starvirt/core_alarm.h"

struct sv_alarm_new {
    enum sv_alarm_type type;
    struct sv_id object;
    const char *args[2]; /* of the text of its type (types.c); NULL = "" */
    int64_t since;       /* [ms UTC] when it began; 0 = now */
    bool server;         /* it is of this server, of which there is no row: whatever the id */
};
/* On the writer, in the transaction of what causes it. What is raised already, and an object that is not there, changes
 * nothing. Level and text are the type's; name and owner are the object's as they are now. */
enum sv_err sv_alarm_raise(struct sv_tx *tx, const struct sv_alarm_new *n, struct sv_error *err);
/* It has ended: likewise. Without an alarm nothing changes. */
enum sv_err sv_alarm_relieve(struct sv_tx *tx, enum sv_alarm_type type, const struct sv_id *object,
                             struct sv_error *err);

/* --- figures (figures.c) --- */
struct sv_alarm_figure {
    struct sv_id object;
    enum sv_alarm_type type; /* one with a threshold */
    int percent;             /* -1: not known */
};
/* What the sampler found in a tick. An alarm is raised when all figures of its minutes were at the threshold or above,
 * and relieved when all of as many minutes were SV_ALARM_MARGIN or more below it. Minutes begin anew behind a gap of
 * more than SV_ALARM_GAP_MS. Does not block; allocates only for a figure that comes to its threshold. Any thread. */
void sv_alarm_figures(struct sv_cloud *c, int64_t now_ms /* monotonic */, const struct sv_alarm_figure *f, size_t n);

/* --- life --- */
void sv_alarms_init(struct sv_cloud *c, const struct sv_alarm_options *opt);
/* Before jobs and hosts change anything: thresholds, hooks, what goes on. Then the threads. */
enum sv_err sv_alarms_start(struct sv_cloud *c, struct sv_error *err);
void sv_alarms_stop(struct sv_cloud *c); /* not begun: nothing, as for the next one */
void sv_alarms_free(struct sv_cloud *c);

#endif
