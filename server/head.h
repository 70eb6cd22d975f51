/* The head of a request: what each header means to us, and which heads are refused (threat 18: request
 * smuggling shapes that the HTTP library lets through). */
#ifndef STARVIRT_SERVER_HEAD_H
#define STARVIRT_SERVER_HEAD_H

#include "server/server.h"

/* Before the headers come. Sets path limits and query. `uri` is the raw target. */
void sv_head_begin(struct sv_request *r, const char *uri);
/* Each header, in order; texts must live as long as the request. */
void sv_head_field(struct sv_request *r, const char *name, size_t name_len, const char *value, size_t value_len);
/* After the last: what is missing. `version` is "HTTP/1.1". */
void sv_head_end(struct sv_request *r, const char *version);

#endif
