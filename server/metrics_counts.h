/* What is counted (metrics.c), for who writes it down (metrics_text.c). */
#ifndef STARVIRT_SERVER_METRICS_COUNTS_H
#define STARVIRT_SERVER_METRICS_COUNTS_H

#include "server/metrics.h"

/* Of the histogram of durations. */
struct sv_bucket {
    int64_t us; /* at most */
    const char *le;
};
enum { SV_BUCKETS = 15 };
extern const struct sv_bucket sv_buckets[SV_BUCKETS];

struct sv_count_cell {
    atomic_uint_least64_t us, bucket[SV_BUCKETS];
};

struct sv_count_line {
    const struct sv_route *route; /* NULL: pages and unknown paths */
    struct sv_count_cell cells[SV_OUT_COUNT];
};

struct sv_metrics {
    int64_t started; /* [ms] monotonic */
    atomic_uint_least64_t bytes_in, bytes_out;
    atomic_uint_least64_t bad_replies;
    atomic_uint_least64_t errors[SV_ERR_COUNT];
    size_t n;
    struct sv_count_line *lines; /* sorted by the route's address; NULL comes first */
};

uint64_t sv_count_get(const atomic_uint_least64_t *n);

#endif
