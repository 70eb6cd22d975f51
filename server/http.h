/* HTTP: the only part that knows the HTTP library. Requests come in here, are filled in as struct
 * sv_request, answered by dispatch.c on this or another thread, and leave here. */
#ifndef STARVIRT_SERVER_HTTP_H
#define STARVIRT_SERVER_HTTP_H

#include "server/server.h"

struct sv_http;
struct sv_http_options {
    int fd;                         /* listening; closed by sv_http_quiesce() */
    unsigned threads;               /* I/O threads */
    const char *tls_cert, *tls_key; /* files, NULL = plain */
};
/* Serves at once. CONFIG for certificates that do not work. */
enum sv_err sv_http_start(struct sv_server *s, const struct sv_http_options *opt, struct sv_http **ret,
                          struct sv_error *err);
/* No new connections; those that are there go on. */
void sv_http_quiesce(struct sv_http *h);
/* Of a request that was taken: closes its socket. Any thread. */
void sv_http_give_back(void *handle);
/* Closes everything; what was taken has been given back. No request may be handed over any more. NULL ok. */
void sv_http_stop(struct sv_http *h);

#endif
