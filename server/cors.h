/* Pages of other origins (the Fetch standard's CORS): which may read what is answered here. Off unless configured.
 * Tokens come in headers that a page sets itself, never from cookies, so no credentials are allowed along; the origin
 * of a console's web-socket is another matter (server/console.c). */
#ifndef STARVIRT_SERVER_CORS_H
#define STARVIRT_SERVER_CORS_H

#include "server/server.h"

enum { SV_CORS_KEEP_S = 7200 }; /* [s] a browser may keep what it was told before a request */

/* "https://a.example,http://b.example:8080", or "*"; lives in the arena. False: `why` says what is wrong. */
bool sv_cors_parse(struct sv_arena *a, const char *list, const struct sv_cors **ret, struct sv_buf *why);
/* What Access-Control-Allow-Origin says to r; NULL: nothing. c NULL: nobody is allowed. */
const char *sv_cors_origin(const struct sv_cors *c, const struct sv_request *r);
/* A browser asks before it sends (an OPTIONS that the page did not make). */
bool sv_cors_asks(const struct sv_cors *c, const struct sv_request *r);
/* Headers that a page may send: those of tokens, and those that mean something here. */
const char *sv_cors_headers(struct sv_request *r);

#endif
