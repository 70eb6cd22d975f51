/* The parts of http: http.c takes requests, http_reply.c sends what came out. */
#ifndef STARVIRT_SERVER_HTTP_PARTS_H
#define STARVIRT_SERVER_HTTP_PARTS_H

#include <microhttpd.h>

#include "server/http.h"

/* The reply in r, to the library: which sends it once the whole body is there. */
enum MHD_Result sv_http_send(struct MHD_Connection *c, struct sv_request *r);
/* The reply in r, a refusal, at once and beside the library, while the body still comes. */
void sv_http_say_early(struct sv_request *r);
/* The same with the failure; `refuse` of each request. */
void sv_http_refuse(struct sv_request *r, const struct sv_error *why);

#endif
