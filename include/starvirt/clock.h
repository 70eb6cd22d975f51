/* Time: wall clock for people and rows, monotonic for deadlines. */
#ifndef STARVIRT_CLOCK_H
#define STARVIRT_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t sv_now_ms(void);  /* [ms] since 1970, UTC */
int64_t sv_mono_ms(void); /* [ms] monotonic */
int64_t sv_mono_us(void); /* [us] monotonic */

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
