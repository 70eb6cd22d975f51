/* The verdicts on a request, in this order: path and method, token, role, parameters, then the handler.
 *
 * READ routes run here and now, on the I/O thread: token and handler over one snapshot. WRITE routes are
 * checked here (token, role, parameters) and run as one transaction on the writer thread, which also
 * writes the reply; nothing else is on that path. WAIT routes do the same, but what their transaction does
 * is to accept a job, and the job's end is the answer: the request is parked on it, no thread is held, and
 * after SV_ANSWER_WAIT_S the client is told that it is STILL_RUNNING, and how to ask for it. No room to
 * park: OVERLOADED, and nothing was accepted.
 *
 * Idempotency-Key (routes that change something, methods POST, PUT, DELETE): the reply of the first
 * success is kept for 24 h under tenant and key, with a hash of method, path, query and body, in the
 * transaction that makes the change. The same key with the same hash gets that reply, with another hash
 * IDEMPOTENCY_MISMATCH. Failures are not kept: they changed nothing and may be tried again. For WAIT
 * routes the key is bound to the job: who repeats it while the job runs waits for the same job, however
 * often the program died in between; when the job fails, all who wait are told, and the key is free again.
 * Replies that carry a secret (a row with SV_O_SECRET) are not kept on disk: a repeated
 * key there is refused, naming Idempotency-Key, unless the route can make the reply anew (`done`). An
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

#endif
