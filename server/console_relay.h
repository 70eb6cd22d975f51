/* Open consoles: bytes between web-sockets and screens, all on one thread. A console holds a bounded amount of
 * memory: who does not read is not read from. Threads: sv_relay_add any, the rest one at a time. */
#ifndef STARVIRT_SERVER_CONSOLE_RELAY_H
#define STARVIRT_SERVER_CONSOLE_RELAY_H

#include "server/server.h"

/* Close codes of ours; the reason that goes with them is a word for the page. */
enum {
    SV_CONSOLE_AWAY = 1001,      /* SHUTTING_DOWN */
    SV_CONSOLE_FULL = 1013,      /* CONSOLES_FULL, OVERLOADED */
    SV_CONSOLE_ENDED = 4001,     /* SCREEN_CLOSED: the VM stopped */
    SV_CONSOLE_NO_SCREEN = 4002, /* the symbol of an error */
    SV_CONSOLE_SILENT = 4003,    /* SILENT: the client is gone */
    SV_CONSOLE_TOKEN_OVER = 4004 /* TOKEN_INVALID, TOKEN_EXPIRED: of the token that its address was asked with */
};

struct sv_relay;
/* `silence_ms`: a client that has not been heard for that long is gone. */
enum sv_err sv_relay_new(struct sv_server *s, int64_t silence_ms, struct sv_relay **ret, struct sv_error *err);
/* Tells every client, gives them `ms` to take it. What comes later is closed at once. NULL ok. */
void sv_relay_stop(struct sv_relay *r, int64_t ms);
void sv_relay_free(struct sv_relay *r); /* stopped; NULL ok */

/* A web-socket past its handshake. */
struct sv_relay_client {
    struct sv_id tenant, vm; /* the VM and its owner */
    struct sv_actor actor;   /* asked for the address; the console ends with the token */
    uint64_t token_seen;     /* as of sv_begun_watch() */
    char request[32];        /* id, for the log */
    struct sv_taken socket;
};
void sv_relay_add(struct sv_relay *r, const struct sv_relay_client *c);
/* With those being refused or closed. */
unsigned sv_relay_open(const struct sv_relay *r);
uint64_t sv_relay_total(const struct sv_relay *r);

#endif
