/* The parts of dispatch: each finds out, or does, one thing of a request and knows nothing of what comes next. */
#ifndef STARVIRT_SERVER_DISPATCH_PARTS_H
#define STARVIRT_SERVER_DISPATCH_PARTS_H

#include <stddef.h>

#include "server/dispatch.h"

#define CONTAINER(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

/* --- what lets it in, and the handler (dispatch_handler.c) --- */
void sv_dispatch_answer_ok(struct sv_request *r);
struct sv_input sv_dispatch_input(const struct sv_request *r);
/* Parameters, once. */
enum sv_err sv_dispatch_bind(struct sv_request *r, struct sv_error *err);
/* Token and role; `arg` is the request. */
enum sv_err sv_dispatch_check_tx(struct sv_tx *tx, void *arg, struct sv_error *err);
/* Token and role in a snapshot of their own, then parameters and Idempotency-Key. */
enum sv_err sv_dispatch_check(struct sv_request *r, struct sv_error *err);
struct sv_call sv_dispatch_call(struct sv_request *r, struct sv_tx *tx, struct sv_error *err);
/* Until when, told once: looking again does not make it longer. */
void sv_dispatch_wait_at_most(struct sv_request *r, int64_t ms);
/* Runs a handler of the route and writes its envelope; `waits` (may be NULL) tells that it wants to be parked. */
enum sv_err sv_dispatch_handle(struct sv_request *r, sv_handler handler, struct sv_tx *tx, bool *waits,
                               struct sv_error *err);

/* --- looking and waiting (dispatch_wait.c) --- */
/* Registers r, which keeps its place while it looks again and again. Not when the server stops (no error), or when its
 * tenant or all of them have as many waiting as they may. */
enum sv_err sv_dispatch_park(struct sv_request *r, struct sv_error *err);
/* Answers with what there is, or wants to be handed over and then to sleep. */
enum sv_verdict sv_dispatch_look(struct sv_request *r);
/* Sleeps until it is woken; something happened since it registered: back to look. */
void sv_dispatch_sleep(struct sv_request *r);

/* --- on other threads (dispatch_write.c): each gives the request back --- */
void sv_dispatch_write(struct sv_request *r);   /* its transaction */
void sv_dispatch_probe(struct sv_request *r);   /* of a page that asks the writer */
void sv_dispatch_upload(struct sv_request *r);  /* the end of its file, then the transaction */
void sv_dispatch_prepare(struct sv_request *r); /* `prepare` of its route, then the transaction */
/* The engine was told, or time is up: that the rows are written is what counts. */
enum sv_verdict sv_dispatch_written(struct sv_request *r);

#endif
