/* Who asks, and the failure reply. */
#ifndef STARVIRT_SERVER_ANSWER_H
#define STARVIRT_SERVER_ANSWER_H

#include "server/server.h"

/* Makes the failure reply. */
void sv_answer_failure(struct sv_request *r, const struct sv_error *e);
/* The same for one symbol with one argument. */
void sv_answer_error(struct sv_request *r, enum sv_err code, const char *arg);

/* Token -> r->actor, within a snapshot; counts wrong tokens against the peer. */
enum sv_err sv_dispatch_auth(struct sv_request *r, struct sv_tx *tx, struct sv_error *err);

#endif
