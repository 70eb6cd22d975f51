/* A figure and its threshold, as a state of its own: pure, for one figure. */
#ifndef CORE_ALARM_GAUGE_H
#define CORE_ALARM_GAUGE_H

#include <stdbool.h>
#include <stdint.h>

enum sv_alarm_gauge_state {
    SV_ALARM_GAUGE_CALM,    /* nothing to remember */
    SV_ALARM_GAUGE_RISING,  /* at the threshold or above, since `since` */
    SV_ALARM_GAUGE_RAISE,   /* for as long as it takes: to be raised */
    SV_ALARM_GAUGE_HIGH,    /* raised */
    SV_ALARM_GAUGE_FALLING, /* raised, and well below since `since` */
    SV_ALARM_GAUGE_RELIEVE, /* to be relieved */
};
struct sv_alarm_gauge {
    enum sv_alarm_gauge_state state;
    int percent;         /* the last figure */
    int64_t since, last; /* [ms monotonic] */
};
struct sv_alarm_gauge_rule {
    int value;  /* [%] */
    int margin; /* [%] below it is well below */
    int64_t window_ms, gap_ms;
};
/* A figure [%], -1: not known, which says nothing. Times never go back. States that wait to be written stay. */
void sv_alarm_gauge_feed(struct sv_alarm_gauge *g, const struct sv_alarm_gauge_rule *r, int64_t now_ms, int percent);

#endif
