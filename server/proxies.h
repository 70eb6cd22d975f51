/* Proxies that the configuration trusts, and the clients that they name (threat 27).
 *
 * A proxy adds whom it serves to the right end of X-Forwarded-For or Forwarded (RFC 7239); what stands left of what
 * trusted proxies have added is anybody's word. So the list is read from the right, as long as each address is a
 * trusted proxy's; the first that is none is the client. A hop that names nobody ("unknown", "_hidden", what cannot be
 * read) ends the reading: then the proxy before it counts. Proxies write one of the two headers and pass the other on
 * as it came: where both are there and name different clients, neither is believed, and the proxy itself counts. */
#ifndef STARVIRT_SERVER_PROXIES_H
#define STARVIRT_SERVER_PROXIES_H

#include "server/peer.h"
#include "starvirt/mem.h"
#include "starvirt/text.h"

struct sv_proxies;

/* "10.0.0.1,10.1.0.0/16,fd00::/8"; lives in the arena. False: `why` says what is wrong. */
bool sv_proxies_parse(struct sv_arena *a, const char *list, const struct sv_proxies **ret, struct sv_buf *why);
/* p NULL: none is trusted. */
bool sv_proxies_trust(const struct sv_proxies *p, const struct sv_peer *peer);
/* Whose request it is that came from `peer` with these values, NULL = no such header; several lines are one list. */
struct sv_peer sv_proxies_client(const struct sv_proxies *p, const struct sv_peer *peer, const char *x_forwarded_for,
                                 const char *forwarded);

#endif
