/* DIR/control: what the owner of a data directory asks of the server that runs on it (server/control.h), and how both
 * find the socket. One request a connection, a word; the reply is "0 TEXT", or "1 TEXT" that says why not, and the end
 * of the stream. */
#ifndef STARVIRT_CONTROL_H
#define STARVIRT_CONTROL_H

#include <stdbool.h>

#define SV_CONTROL_TOKEN_RESET "token-reset" /* sv_admin_token_reset(); TEXT: how many were revoked */

enum { SV_CONTROL_MAX = 256 }; /* [bytes] of a request or a reply */

/* A socket bound to DIR/control, which is removed first, and listening; or connected to it. The path may be longer than
 * an address of a socket. -1 and errno. */
int sv_control_socket(const char *dir, bool bound);

#endif
