/* Consoles in a browser: the address that opens one, its page, and the web-socket behind it (threat 30).
 *
 * The token stands in the fragment of the page's address, which browsers send to nobody, and comes back as a
 * sub-protocol of the web-socket, which nobody logs. Before the 101 the server has checked the handshake, the
 * origin and the token; what can go wrong after that (the VM stopped, its host is away) is told by a close frame,
 * because browsers tell pages nothing else. */
#ifndef STARVIRT_SERVER_CONSOLE_H
#define STARVIRT_SERVER_CONSOLE_H

#include "server/server.h"

struct sv_console_options {
    const char *url;    /* where browsers reach this server; NULL = as the client did */
    bool tls;           /* this server speaks HTTPS */
    int64_t token_ms;   /* how long a token waits */
    int64_t silence_ms; /* a browser not heard for that long is gone */
};
struct sv_consoles;
enum sv_err sv_consoles_new(struct sv_server *s, const struct sv_console_options *opt, struct sv_consoles **ret,
                            struct sv_error *err);
/* Ends all of them, and says so to each; before sv_http_stop(). NULL ok. */
void sv_consoles_stop(struct sv_consoles *c, int64_t ms);
/* After the workers. NULL ok. */
void sv_consoles_free(struct sv_consoles *c);
void sv_consoles_count(struct sv_consoles *c, unsigned *ret_open, uint64_t *ret_total, unsigned *ret_tokens);

/* For struct sv_call; its console_arg is the request. */
const char *sv_console_url(const struct sv_call *call, const struct sv_id *tenant, const struct sv_id *vm,
                           const char *name);
/* Answers of pages: the web-socket of /console/vm/{id}, and the files of /console/. */
void sv_console_connect(struct sv_request *r);
void sv_console_file(struct sv_request *r);

/* True when it is the scheme, host and port of `base`, which may have a path. Exact but for case (unit test). */
bool sv_console_origin_is(const char *origin, const char *base);
/* "host", "host:port", "[v6]:port", and nothing that could mean more in an address (unit test). */
bool sv_console_host_ok(const char *host);
/* An option's value: http(s)://host[:port][/path] without a trailing slash. */
bool sv_console_base_ok(const char *url);

#endif
