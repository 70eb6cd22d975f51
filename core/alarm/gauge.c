#include "core/alarm/gauge.h"

/* One figure on the other side of its line, or a gap behind which nobody knows, and the time begins anew. */
static void count(struct sv_alarm_gauge *g, enum sv_alarm_gauge_state counting, enum sv_alarm_gauge_state done,
                  bool gap, const struct sv_alarm_gauge_rule *r, int64_t now_ms)
{
    if (g->state != counting || gap) {
        g->state = counting;
        g->since = now_ms;
    }
    if (now_ms - g->since >= r->window_ms)
        g->state = done;
}

void sv_alarm_gauge_feed(struct sv_alarm_gauge *g, const struct sv_alarm_gauge_rule *r, int64_t now_ms, int percent)
{
    const bool gap = now_ms - g->last > r->gap_ms;

    if (percent < 0)
        return;
    g->percent = percent;
    g->last = now_ms;
    switch (g->state) {
    case SV_ALARM_GAUGE_CALM:
    case SV_ALARM_GAUGE_RISING:
        if (percent >= r->value)
            count(g, SV_ALARM_GAUGE_RISING, SV_ALARM_GAUGE_RAISE, gap, r, now_ms);
        else
            g->state = SV_ALARM_GAUGE_CALM;
        break;
    case SV_ALARM_GAUGE_HIGH:
    case SV_ALARM_GAUGE_FALLING:
        if (percent <= r->value - r->margin)
            count(g, SV_ALARM_GAUGE_FALLING, SV_ALARM_GAUGE_RELIEVE, gap, r, now_ms);
        else
            g->state = SV_ALARM_GAUGE_HIGH;
        break;
    case SV_ALARM_GAUGE_RAISE:
    case SV_ALARM_GAUGE_RELIEVE:
        break;
    }
}
