/* What lets a request in, and its handler: the call it gets, the reply it made. */
#include "server/answer.h"
#include "server/console.h"
#include "server/dispatch_parts.h"
#include "server/idem.h"
#include "server/metrics.h"
#include "server/upload.h"
#include "starvirt/limits.h"
#include "starvirt/log.h"

#include <string.h>

/* --- verdicts ----------------------------------------------------------------------------------- */

void sv_dispatch_answer_ok(struct sv_request *r)
{
    r->code = SV_OK;
    r->answered = true;
}

static enum sv_err check_role(const struct sv_request *r, struct sv_error *err)
{
    if (r->match.route->role == SV_ROLE_ADMIN && r->actor.role != SV_ROLE_ADMIN)
        return sv_fail(err, SV_E_ADMIN_ONLY, SV_F_NONE);
    return SV_OK;
}

struct sv_input sv_dispatch_input(const struct sv_request *r)
{
    return (struct sv_input){
        .content_type = r->match.route->raw_body ? NULL : r->content_type,
        .body = r->body.p,
        .body_len = r->body.n,
        .query = r->query,
    };
}

enum sv_err sv_dispatch_bind(struct sv_request *r, struct sv_error *err)
{
    if (r->in)
        return SV_OK;
    const struct sv_input in = sv_dispatch_input(r);
    return sv_api_bind(&r->match, &in, r->arena, &r->in, &r->unknown, err);
}

enum sv_err sv_dispatch_check_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_request *r = arg;
    if (r->match.route->open)
        return SV_OK;
    enum sv_err rc = sv_dispatch_auth(r, tx, err);
    return rc ? rc : check_role(r, err);
}

/* Token and role in a snapshot of their own, then parameters and Idempotency-Key. */
enum sv_err sv_dispatch_check(struct sv_request *r, struct sv_error *err)
{
    enum sv_err rc = sv_db_read(r->server->db, sv_dispatch_check_tx, r, err);
    if (!rc)
        rc = sv_dispatch_bind(r, err);
    return rc ? rc : sv_idem_prepare(r, err);
}

/* --- the handler --------------------------------------------------------------------------------- */

struct sv_call sv_dispatch_call(struct sv_request *r, struct sv_tx *tx, struct sv_error *err)
{
    return (struct sv_call){
        .cloud = r->server->cloud,
        .tx = tx,
        .job = r->job,
        .actor = r->actor,
        .route = r->match.route,
        .arena = r->arena,
        .asked_us = r->started_us,
        .lang = r->lang,
        .prepared = r->prepared,
        .upload_path = r->upload ? sv_upload_path(r->upload) : NULL,
        .upload_size = r->upload ? sv_upload_size(r->upload) : 0,
        .err = err,
        .console_url = sv_console_url,
        .console_arg = r,
        .wait_over = !r->waiting && r->waiter.over, /* while it is registered, the waiter is the park's */
    };
}

/* Until when, told once: looking again does not make it longer. */
void sv_dispatch_wait_at_most(struct sv_request *r, int64_t ms)
{
    if (!r->waited)
        r->waiter.deadline = sv_mono_ms() + ms;
    r->waited = true;
}

static void wait_for_key(struct sv_request *r, const struct sv_call *c)
{
    sv_dispatch_wait_at_most(r, c->wait_ms < SV_MAX_WAIT_S * 1000 ? c->wait_ms : SV_MAX_WAIT_S * 1000);
    if (!r->waiting) /* once registered, the park reads it; the second look asks for the same */
        SV_COPY(r->waiter.key, c->wait_key);
}

static void check_rows(struct sv_request *r, const struct sv_reply *reply, const struct sv_buf *json)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf found = {0};
    if (sv_reply_check(reply, json, &found))
        return;
    sv_metrics_bad_reply(r->server->metrics);
    sv_log(SV_LOG_ERROR, "reply.rows", "method", r->match.route->method, "route", r->match.route->path, "found",
           found.p, NULL);
}

/* What the handler made becomes the request's. */
static void finish_reply(struct sv_request *r, struct sv_reply *reply, struct sv_buf *json)
{
    r->reply.n = 0;
    sv_reply_close(reply);
    if (r->server->check_replies)
        check_rows(r, reply, json);
    sv_reply_finish(reply, json, &r->reply);
    if (reply->headers > 0)
        r->header = memcpy(sv_arena_alloc(r->arena, sizeof(reply->header)), reply->header, sizeof(reply->header));
    r->headers = reply->headers;
    r->status = (unsigned)sv_reply_status(reply);
    r->streams = reply->streams;
    r->stream = reply->stream;
    reply->streams = false; /* taken over */
}

/* Runs a handler of the route and writes its envelope; `waits` (may be NULL) tells that it wants to be parked. */
enum sv_err sv_dispatch_handle(struct sv_request *r, sv_handler handler, struct sv_tx *tx, bool *waits,
                               struct sv_error *err)
{
    const struct sv_route *route = r->match.route;
    if (!handler)
        return sv_fail(err, SV_E_NOT_IMPLEMENTED, SV_F_NONE, route->path);
    struct sv_call c = sv_dispatch_call(r, tx, err);
    SV_CLEANUP(sv_buf_free) struct sv_buf json = {0};
    SV_CLEANUP(sv_reply_drop) struct sv_reply reply;
    sv_reply_begin(&reply, r->match.dialect->wire, route, r->arena, &json);
    reply.unknown = r->unknown;
    reply.lang = r->lang;
    enum sv_err rc = handler(&c, r->in, &reply);
    if (rc)
        return rc;
    r->upload_keep = c.upload_keep;
    r->job = c.job;
    if (waits && c.wait_key && c.wait_ms > 0 && !c.wait_over) {
        *waits = true;
        wait_for_key(r, &c);
        return SV_OK;
    }
    if (route->done && handler != route->done && !sv_id_empty(&r->job))
        return SV_OK; /* it comes with the job's end */
    finish_reply(r, &reply, &json);
    return SV_OK;
}
