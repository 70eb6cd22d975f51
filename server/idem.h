/* Idempotency-Key; the rules are in dispatch.h. */
#ifndef STARVIRT_SERVER_IDEM_H
#define STARVIRT_SERVER_IDEM_H

#include "server/server.h"

/* Checks the key and hashes the request; drops the key where it has no meaning (reads). */
enum sv_err sv_idem_prepare(struct sv_request *r, struct sv_error *err);
/* The kept reply, when there is one, becomes the reply of r. */
enum sv_err sv_idem_replay(struct sv_request *r, struct sv_tx *tx, bool *ret_replayed, struct sv_error *err);
/* Keeps r's reply. */
enum sv_err sv_idem_keep(struct sv_request *r, struct sv_tx *tx, struct sv_error *err);

#endif
