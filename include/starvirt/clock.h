/* Time: wall clock for people and rows, monotonic for deadlines.
 *
 * The machine's wall clock is set: by hand, by NTP, by a hypervisor that resumes the machine, and now and then wrongly.
 * It is held against the clock that runs since the boot. Drift and steps of up to a second are followed. A larger step,
 * ahead or back, is believed once it has stood for SV_CLOCK_DOUBT_MS; until then time goes on as before, and when the
 * clock comes back to where it was within an hour after that, it is believed at once. */
#ifndef STARVIRT_CLOCK_H
#define STARVIRT_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t sv_now_ms(void); /* [ms] since 1970, UTC */
/* The same for what cannot be undone, as throwing away what is old: a clock that was set ahead is not believed in the
 * first hour after that. */
int64_t sv_sure_ms(void);
int64_t sv_mono_ms(void); /* [ms] monotonic */
int64_t sv_mono_us(void); /* [us] monotonic */

enum {
    SV_CLOCK_DRIFT_MS = 1000,
    SV_CLOCK_DOUBT_MS = 20 * 1000,
    SV_CLOCK_HOUR_MS = 3600 * 1000,
};
/* What is known of the wall clock; zeroed at first. Offsets are [ms] wall less boot. */
struct sv_clock {
    bool known;
    int64_t offset; /* believed */
    bool doubting;
    int64_t doubted, since; /* an offset that is seen and not believed, [ms boot] since when */
    bool stepped;
    int64_t before, stepped_at; /* what was believed before the last step, [ms boot] when that was */
};
/* The wall time to go by, given what both clocks say. *ret_step = by how much it was set just now, mostly 0. */
int64_t sv_clock_judge(struct sv_clock *c, int64_t wall_ms, int64_t boot_ms, int64_t *ret_step);
int64_t sv_clock_sure(const struct sv_clock *c, int64_t now_ms, int64_t boot_ms);

#define SV_TIME_LEN 19
/* "YYYY-MM-DD HH:MM:SS" in the server's zone; 0 gives "". buf holds SV_TIME_LEN + 1. Thread-safe and
 * cheap (one conversion a second is cached per thread). */
void sv_time_format(int64_t utc_ms, char buf[SV_TIME_LEN + 1]);
/* The reverse; false if `s` is not exactly that form or not a real date. */
bool sv_time_parse(const char *s, int64_t *ret_utc_ms);

/* How long a blocking call may take and whether somebody wants it to stop. Both may be absent. */
struct sv_deadline {
    int64_t mono_ms;           /* 0 = none */
    const atomic_bool *cancel; /* NULL = none */
};
/* [ms] left, 0 when over, INT64_MAX without a deadline. */
int64_t sv_deadline_left(const struct sv_deadline *d);
bool sv_deadline_over(const struct sv_deadline *d);      /* time is up */
bool sv_deadline_cancelled(const struct sv_deadline *d); /* somebody cancelled */
/* The earlier of `d` and `ms` from now, same cancel flag. */
struct sv_deadline sv_deadline_within(const struct sv_deadline *d, int64_t ms);

#endif
