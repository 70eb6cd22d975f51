/* What guests and hosts use: asked for, remembered, written down. */
#ifndef CORE_MONITOR_H
#define CORE_MONITOR_H

#include "core/run/run.h"
#include "starvirt/core_monitor.h"

/* `interval_ms` between two questions to a host; 0 = nobody is asked, and there are no figures. */
enum sv_err sv_monitor_start(struct sv_cloud *c, int64_t interval_ms, struct sv_error *err);
void sv_monitor_stop(struct sv_cloud *c); /* waits for its threads, which may wait for a host's call */
void sv_monitor_free(struct sv_cloud *c); /* NULL ok */

#endif
