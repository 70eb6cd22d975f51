/* The target of a request (RFC 9112 3.2), as it stands in the request line. */
#ifndef STARVIRT_SERVER_URI_H
#define STARVIRT_SERVER_URI_H

#include <stdbool.h>
#include <stddef.h>

struct sv_arena;

struct sv_uri {
    const char *path;      /* decoded, "%2F" excepted: an encoded slash parts no segments. "*" of OPTIONS */
    const char *query;     /* raw, without '?'; NULL = none */
    const char *authority; /* of the absolute form; NULL: the Host header has it */
};
/* NULL, or why `raw` is none (text that lasts). */
const char *sv_uri_parse(struct sv_arena *a, const char *raw, struct sv_uri *ret);
/* uri-host [":" port] of RFC 9110 7.2; "" is one, too. */
bool sv_uri_host_ok(const char *host, size_t n);

#endif
