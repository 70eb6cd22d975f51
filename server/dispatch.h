/* The verdicts on a request, in this order: path and method, token, role, parameters, then the handler.
 *
 * READ routes run here and now, on the I/O thread: token and handler over one snapshot. WRITE routes are
 * checked here (token, role, parameters) and run as one transaction on the writer thread, which also
 * writes the reply; nothing else is on that path. BLOCK routes run on a worker.
 *
 * Idempotency-Key (routes that change something, methods POST, PUT, DELETE): the reply of the first
 * success is kept for 24 h under tenant and key, with a hash of method, path, query and body. The same
 * key with the same hash gets that reply, with another hash IDEMPOTENCY_MISMATCH. Failures are not kept:
 * they changed nothing and may be tried again. For WRITE routes reply and change are one transaction.
 * For BLOCK routes the reply is stored after the handler: when the program dies in between, or two with
 * the same key run at once, the handler may run twice. Replies that carry a secret (a field named like a
 * token or password) are not kept on disk: a repeated key there is refused, naming Idempotency-Key. An
 * uploaded file is not part of the hash. */
#ifndef STARVIRT_SERVER_DISPATCH_H
#define STARVIRT_SERVER_DISPATCH_H

#include "server/server.h"

enum sv_verdict {
    SV_ANSWERED,  /* the reply is in r */
    SV_HAND_OVER, /* suspend the connection, then sv_dispatch_hand_over(); after r->resume() run again */
};

/* The head is there. Finds the page or route; a route with a raw body also checks token and parameters,
 * so that strangers cannot fill the disk. When r->answered is set afterwards, the body need not be read. */
void sv_dispatch_head(struct sv_request *r);
/* The whole body is there, or r came back from another thread. */
enum sv_verdict sv_dispatch_run(struct sv_request *r);
void sv_dispatch_hand_over(struct sv_request *r);

/* Makes the failure reply. */
void sv_answer_failure(struct sv_request *r, const struct sv_error *e);
/* The same for one symbol with one argument. */
void sv_answer_error(struct sv_request *r, enum sv_err code, const char *arg);

/* Token -> r->actor, within a snapshot; counts wrong tokens against the peer. */
enum sv_err sv_dispatch_auth(struct sv_request *r, struct sv_tx *tx, struct sv_error *err);

/* What a route is to Idempotency-Key: does its reply carry a secret? (unit test) */
bool sv_route_secret(const struct sv_route *route);

#endif
