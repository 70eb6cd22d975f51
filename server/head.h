/* The head of a request: what each header means to us, and which heads are refused (threat 18: request
 * smuggling shapes that the HTTP library lets through). */
#ifndef STARVIRT_SERVER_HEAD_H
#define STARVIRT_SERVER_HEAD_H

#include "server/server.h"

/* Before the headers come. Sets path and query. `uri` is the target as it stands in the request line. */
void sv_head_begin(struct sv_request *r, const char *uri);
/* Each header, in order; texts must live as long as the request. Blanks around the value do not count. */
void sv_head_field(struct sv_request *r, const char *name, size_t name_len, const char *value, size_t value_len);
/* Sets `fault`, unless there is one, and `unframed`. `why` lasts. */
void sv_head_unframe(struct sv_request *r, const char *why);
/* After the last: `chunked`, `length` and `fault` say now where the body ends. */
void sv_head_framed(struct sv_request *r);
/* And once method and version ("HTTP/1.1") are known: what is missing. */
void sv_head_end(struct sv_request *r, const char *method, const char *version);

#endif
