/* Counters and the Prometheus text. Counting is a few relaxed atomics, no lock. */
#ifndef STARVIRT_SERVER_METRICS_H
#define STARVIRT_SERVER_METRICS_H

#include "server/server.h"

/* How a request ended, for the label "outcome". */
enum sv_outcome {
    SV_OUT_OK,
    SV_OUT_REFUSED,  /* a business rule said no */
    SV_OUT_DENIED,   /* token or role */
    SV_OUT_PROTOCOL, /* not a request we understand: 4xx, 503 */
    SV_OUT_FAULT,    /* ours */
    SV_OUT_COUNT
};
enum sv_outcome sv_outcome_of(enum sv_err code);

struct sv_metrics *sv_metrics_new(const struct sv_api *api);
void sv_metrics_free(struct sv_metrics *m); /* NULL ok */
/* `route` NULL: a page or a path that is none of ours. */
void sv_metrics_request(struct sv_metrics *m, const struct sv_route *route, enum sv_err code, int64_t us);
/* A reply that its rows do not describe (--check-replies). */
void sv_metrics_bad_reply(struct sv_metrics *m);
void sv_metrics_bytes(struct sv_metrics *m, uint64_t in, uint64_t out);
void sv_metrics_write(struct sv_server *s, struct sv_buf *out);

#endif
