/* HTTP: the only part that knows the HTTP library. Requests come in here, are filled in as struct
 * sv_request, answered by dispatch.c on this or another thread, and leave here. */
#ifndef STARVIRT_SERVER_HTTP_H
#define STARVIRT_SERVER_HTTP_H

#include "server/server.h"
#include "server/tls.h"

struct sv_http;
struct sv_http_options {
    int fd;                      /* listening; closed by sv_http_quiesce() */
    const struct sv_dialect *on; /* served here alone; NULL = the main listener */
    bool metrics_only;           /* /metrics and what tells health, without a token, and nothing else */
    unsigned threads;            /* I/O threads */
    unsigned connections;        /* at a time, as of the links */
    const struct sv_tls *tls;    /* NULL = plain; stays the caller's, past sv_http_stop() */
};
/* Serves at once. */
enum sv_err sv_http_start(struct sv_server *s, const struct sv_http_options *opt, struct sv_http **ret,
                          struct sv_error *err);
/* No new connections; those that are there go on. */
void sv_http_quiesce(struct sv_http *h);
/* Of a request that was taken: closes its socket. Any thread. */
void sv_http_give_back(void *handle);
/* Closes everything; what was taken has been given back. No request may be handed over any more. NULL ok. */
void sv_http_stop(struct sv_http *h);

#endif
