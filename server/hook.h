/* Web hooks: HTTP out, to URLs that the options name. Threat 25: what can be asked for from here must not be what only
 * this machine reaches. Nothing but http and https, no redirect, no proxy of the environment, and, unless the options
 * allow it, no address that is not the internet's; looked at when it is connected to, so that no name can say one
 * address first and then another. */
#ifndef STARVIRT_SERVER_HOOK_H
#define STARVIRT_SERVER_HOOK_H

#include "starvirt/core.h"

struct sockaddr;

struct sv_hooks {
    const char *url[SV_MAX_HOOKS];
    unsigned count;
    char *texts, *secret;
    bool private_ok;
};
/* `urls`: between commas, NULL = none. `secret_file`: needed where there are any; nobody else may read it, and it has
 * at least 16 bytes; a last newline is not of it. CONFIG names the option and what is wrong. */
enum sv_err sv_hooks_open(const char *urls, const char *secret_file, bool private_ok, struct sv_hooks *ret,
                          struct sv_error *err);
void sv_hooks_close(struct sv_hooks *h); /* zeroed is closed already */

/* POSTs the message: of struct sv_alarm_options, `arg` is the hooks. Taken is a status of 200 to 299. Headers:
 *   Content-Type: application/json
 *   X-Starvirt-Delivery: its id, the same for each try
 *   X-Starvirt-Timestamp: seconds since 1970
 *   X-Starvirt-Signature: sha256= and the HMAC-SHA256, in lower-case hex, of timestamp, '.' and body */
enum sv_err sv_hook_send(void *arg, const struct sv_hook_message *m, const struct sv_deadline *d, struct sv_error *err);

/* Is it an address of the internet: not private, shared, loopback, link-local, multicast, reserved, nor one of IPv6
 * that stands for one of IPv4? */
bool sv_hook_public(const struct sockaddr *a);

#endif
