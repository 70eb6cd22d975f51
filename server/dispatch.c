#include "server/dispatch.h"
#include "server/answer.h"
#include "server/body.h"
#include "server/console.h"
#include "server/cors.h"
#include "server/idem.h"
#include "server/metrics.h"
#include "server/pages.h"
#include "server/upload.h"
#include "starvirt/clock.h"
#include "starvirt/limits.h"
#include "starvirt/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONTAINER(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

/* --- verdicts ----------------------------------------------------------------------------------- */

static void answer_ok(struct sv_request *r)
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

static struct sv_input input_of(const struct sv_request *r)
{
    return (struct sv_input){
        .content_type = r->match.route->raw_body ? NULL : r->content_type,
        .body = r->body.p,
        .body_len = r->body.n,
        .query = r->query,
    };
}

static enum sv_err bind_params(struct sv_request *r, struct sv_error *err)
{
    if (r->in)
        return SV_OK;
    const struct sv_input in = input_of(r);
    return sv_api_bind(&r->match, &in, r->arena, &r->in, &r->unknown, err);
}

static enum sv_err check_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_request *r = arg;
    if (r->match.route->open)
        return SV_OK;
    enum sv_err rc = sv_dispatch_auth(r, tx, err);
    return rc ? rc : check_role(r, err);
}

/* Token and role in a snapshot of their own, then parameters and Idempotency-Key. */
static enum sv_err check(struct sv_request *r, struct sv_error *err)
{
    enum sv_err rc = sv_db_read(r->server->db, check_tx, r, err);
    if (!rc)
        rc = bind_params(r, err);
    return rc ? rc : sv_idem_prepare(r, err);
}

/* --- the handler --------------------------------------------------------------------------------- */

static struct sv_call new_call(struct sv_request *r, struct sv_tx *tx, struct sv_error *err)
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
static void wait_at_most(struct sv_request *r, int64_t ms)
{
    if (!r->waited)
        r->waiter.deadline = sv_mono_ms() + ms;
    r->waited = true;
}

static void wait_for_key(struct sv_request *r, const struct sv_call *c)
{
    wait_at_most(r, c->wait_ms < SV_MAX_WAIT_S * 1000 ? c->wait_ms : SV_MAX_WAIT_S * 1000);
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
static enum sv_err run_handler(struct sv_request *r, sv_handler handler, struct sv_tx *tx, bool *waits,
                               struct sv_error *err)
{
    const struct sv_route *route = r->match.route;
    if (!handler)
        return sv_fail(err, SV_E_NOT_IMPLEMENTED, SV_F_NONE, route->path);
    struct sv_call c = new_call(r, tx, err);
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

/* --- READ, long polls, and requests that a job answers --------------------------------------------- */

struct looking {
    struct sv_request *r;
    bool waits;
};

static enum sv_err read_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct looking *g = arg;
    enum sv_err rc = check_tx(tx, g->r, err);
    if (!rc)
        rc = bind_params(g->r, err);
    return rc ? rc : run_handler(g->r, g->r->match.route->handler, tx, &g->waits, err);
}

static enum sv_err ended_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct looking *g = arg;
    struct sv_request *r = g->r;
    bool ended = false;
    enum sv_err rc = sv_auth_again(tx, &r->actor, err);
    if (rc == SV_E_TOKEN_INVALID || rc == SV_E_TOKEN_EXPIRED) /* what the job made is not for this client any more */
        return sv_fail(err, SV_E_TOKEN_ENDED, SV_F_NONE, r->job.s);
    if (!rc)
        rc = sv_job_outcome(tx, &r->job, &ended, err);
    if (rc)
        return rc;
    if (ended)
        return r->match.route->done ? run_handler(r, r->match.route->done, tx, NULL, err) : SV_OK;
    if (!r->waiting && r->waiter.over)
        return sv_fail(err, SV_E_STILL_RUNNING, SV_F_NONE, r->job.s);
    g->waits = true;
    return SV_OK;
}

/* Who hung up has waited long enough; whose token is not good any more is told so. */
static void client_gone(struct sv_request *r)
{
    sv_park_hurry(r->server->park, &r->waiter);
}

/* Registers r, which keeps its place while it looks again and again. Not when the server stops (no error), or when its
 * tenant or all of them have as many waiting as they may. */
static enum sv_err park(struct sv_request *r, struct sv_error *err)
{
    enum sv_supply of = r->match.route->runs == SV_RUN_READ ? SV_SUPPLY_POLLS : SV_SUPPLY_PARKED;
    enum sv_err rc = sv_request_wait(r, of, client_gone, err);
    if (rc)
        return rc;
    r->waiting = sv_park_add(r->server->park, &r->waiter);
    if (r->waiting && sv_request_hurried(r)) /* before it could be found there */
        client_gone(r);
    return SV_OK;
}

/* No room in the park: a poll is refused, a job that was accepted goes on without its client. */
static void start_waiting(struct sv_request *r)
{
    struct sv_error err = {0};
    enum sv_err rc = park(r, &err);
    if (rc && sv_id_empty(&r->job))
        sv_answer_failure(r, &err);
    else if (!r->waiting)
        r->waiter.over = true; /* answer with what there is */
}

static enum sv_verdict look(struct sv_request *r)
{
    struct sv_error err = {0};
    sv_tx_fn fn = sv_id_empty(&r->job) ? read_tx : ended_tx;
    while (!r->answered) {
        struct looking g = {.r = r};
        enum sv_err rc = sv_db_read(r->server->db, fn, &g, &err);
        if (rc)
            sv_answer_failure(r, &err);
        else if (!g.waits)
            answer_ok(r);
        else if (r->waiting)
            return SV_HAND_OVER; /* looked once more after registering, still nothing */
        else
            start_waiting(r);
    }
    if (r->waiting)
        sv_park_remove(r->server->park, &r->waiter);
    r->waiting = false;
    sv_request_waited(r);
    return SV_ANSWERED;
}

static void woken(struct sv_waiter *w)
{
    struct sv_request *r = CONTAINER(w, struct sv_request, waiter);
    r->waiting = false;
    sv_request_return(r);
}

/* Sleeps until it is woken; something happened since it registered: back to look. */
static void sleep_parked(struct sv_request *r)
{
    r->waiter.woken = woken;
    if (sv_park_sleep(r->server->park, &r->waiter))
        return;
    r->waiting = false;
    sv_request_return(r);
}

/* --- WRITE and WAIT --------------------------------------------------------------------------------- */

/* Registers before the commit: the job cannot have ended yet, nor can it end unnoticed. No room: not accepted. */
static enum sv_err wait_for_job(struct sv_request *r, struct sv_error *err)
{
    snprintf(r->waiter.key, sizeof(r->waiter.key), SV_PARK_END "%s", r->job.s);
    wait_at_most(r, SV_ANSWER_WAIT_S * 1000);
    enum sv_err rc = park(r, err);
    return rc || r->waiting ? rc : sv_fail(err, SV_E_SHUTTING_DOWN, SV_F_NONE);
}

/* The engine hears of it after the commit. Waiting for that is a courtesy: where there is no place, the answer comes
 * without. */
static void wait_for_engine(struct sv_request *r, const struct sv_tx *tx)
{
    struct sv_error ignored;
    if (!sv_cloud_touched(r->server->cloud, tx))
        return;
    snprintf(r->waiter.key, sizeof(r->waiter.key), SV_NEWS_TOLD "%llu", (unsigned long long)sv_tx_number(tx));
    wait_at_most(r, SV_TELL_WAIT_MS);
    (void)park(r, &ignored);
}

static enum sv_err run_once(struct sv_request *r, struct sv_tx *tx, struct sv_error *err)
{
    if (r->prepare_fail.code != SV_OK) {
        *err = r->prepare_fail;
        return err->code;
    }
    enum sv_err rc = run_handler(r, r->match.route->handler, tx, NULL, err);
    return rc ? rc : sv_idem_keep(r, tx, err);
}

static enum sv_err write_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_request *r = arg;
    bool replayed = false, ended = false;
    sv_log_request(r->id);
    enum sv_err rc = r->match.route->open ? SV_OK : sv_auth_again(tx, &r->actor, err);
    if (!rc)
        rc = sv_idem_replay(r, tx, &replayed, err);
    if (!rc && !replayed)
        rc = run_once(r, tx, err);
    if (!rc && replayed && !sv_id_empty(&r->job))
        rc = sv_job_outcome(tx, &r->job, &ended, err);
    if (!rc && !ended && !sv_id_empty(&r->job))
        rc = wait_for_job(r, err);
    else if (!rc && !replayed && r->match.route->runs == SV_RUN_TELL)
        wait_for_engine(r, tx);
    sv_log_request(NULL);
    return rc;
}

static void write_done(struct sv_db_work *w, enum sv_err result)
{
    struct sv_request *r = CONTAINER(w, struct sv_request, write);
    sv_incoming_end(r->claim); /* accepted, it counts with its row */
    r->claim = NULL;
    if (result == SV_OK && r->waiting) {
        r->written = sv_id_empty(&r->job);
        sleep_parked(r);
        return;
    }
    if (r->waiting) { /* the commit failed: nothing was accepted */
        sv_park_remove(r->server->park, &r->waiter);
        r->waiting = false;
    }
    if (result != SV_OK)
        sv_answer_failure(r, &w->err);
    else if (sv_id_empty(&r->job)) /* else it has ended: dispatch looks how */
        answer_ok(r);
    sv_request_return(r);
}

/* The engine was told, or time is up: that the rows are written is what counts. */
static enum sv_verdict answer_written(struct sv_request *r)
{
    sv_request_waited(r);
    answer_ok(r);
    return SV_ANSWERED;
}

static void post_write(struct sv_request *r)
{
    r->write = (struct sv_db_work){.fn = write_tx, .arg = r, .done = write_done, .at_once = true};
    sv_db_post(r->server->db, &r->write);
}

/* --- pages that ask the writer --- */

static void probe_done(struct sv_db_work *w, enum sv_err result)
{
    struct sv_request *r = CONTAINER(w, struct sv_request, write);
    (void)result; /* the page tells what came of it */
    r->page->answer(r);
    r->answered = true;
    sv_request_return(r);
}

static void post_probe(struct sv_request *r)
{
    r->write = (struct sv_db_work){.fn = sv_db_probe, .done = probe_done, .at_once = true};
    sv_db_post(r->server->db, &r->write);
}

/* --- the end of an upload ----------------------------------------------------------------------------- */

static void finish_upload(struct sv_work *w)
{
    struct sv_request *r = CONTAINER(w, struct sv_request, work);
    struct sv_error err = {0};
    if (sv_body_file_end(r, &err) == SV_OK) {
        post_write(r);
        return;
    }
    sv_answer_failure(r, &err);
    sv_request_return(r);
}

static void post_upload(struct sv_request *r)
{
    r->work.run = finish_upload;
    if (sv_workers_post(r->server->disk, &r->work))
        return;
    sv_answer_error(r, SV_E_OVERLOADED, "disk threads");
    sv_request_return(r);
}

/* --- before the handler -------------------------------------------------------------------------------- */

static void prepare(struct sv_work *w)
{
    struct sv_request *r = CONTAINER(w, struct sv_request, work);
    struct sv_error err = {0};
    struct sv_call c = new_call(r, NULL, &err);
    sv_log_request(r->id);
    if (r->match.route->prepare(&c, r->in, NULL) != SV_OK)
        r->prepare_fail = err;
    r->prepared = c.prepared;
    sv_log_request(NULL);
    post_write(r);
}

static void post_prepare(struct sv_request *r)
{
    r->work.run = prepare;
    if (sv_workers_post(r->server->paths, &r->work))
        return;
    sv_answer_error(r, SV_E_OVERLOADED, "threads for paths");
    sv_request_return(r);
}

/* --- the way of a request ---------------------------------------------------------------------------- */

/* WRITE and WAIT, before they leave the I/O thread. An upload was checked at its head. */
static enum sv_verdict run_checked(struct sv_request *r)
{
    struct sv_error err = {0};
    if (!r->upload && check(r, &err) != SV_OK) {
        sv_answer_failure(r, &err);
        return SV_ANSWERED;
    }
    return SV_HAND_OVER;
}

/* Without a scheme's word before it; NULL if another stands there. */
static const char *without_scheme(const char *value, const char *scheme)
{
    size_t n = scheme ? strlen(scheme) : 0;
    if (n == 0)
        return value;
    if (strncasecmp(value, scheme, n) != 0 || value[n] != ' ')
        return NULL;
    return value + n + strspn(value + n, " ");
}

/* The token where a wire has it: the first row whose header came. */
static const char *token_by(const struct sv_request *r, const struct sv_token_row *t)
{
    const char *const *headers = sv_api_token_headers(r->server->api);
    const char *token = NULL;
    for (; t->header && !token; t++)
        for (unsigned i = 0; headers[i]; i++)
            if (strcasecmp(headers[i], t->header) == 0 && r->tokens[i])
                token = without_scheme(r->tokens[i], t->scheme);
    return token;
}

/* Where the dialect has it; of a page, which is none's, where any has it. */
static void take_token(struct sv_request *r)
{
    const struct sv_dialect *const *d = sv_api_dialects(r->server->api);
    if (!r->page)
        r->token = token_by(r, sv_api_wire(r->server->api, r->on, &r->match)->tokens);
    for (; r->page && *d && !r->token; d++)
        r->token = token_by(r, (*d)->wire->tokens);
}

static void token_ended(struct sv_begun *b, const struct sv_error *why)
{
    struct sv_request *r = CONTAINER(b, struct sv_request, begun);
    r->refuse(r, why);
}

static enum sv_err claim_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_request *r = arg;
    return sv_incoming_begin(r->server->cloud, tx, &r->actor, r->server->upload_dir, r->length > 0 ? r->length : 0,
                             &r->claim, err);
}

static enum sv_err begin_upload(struct sv_request *r, struct sv_error *err)
{
    if (r->length > SV_MAX_UPLOAD)
        return sv_fail(err, SV_E_BODY_TOO_LARGE, SV_F_NONE, sv_dec(SV_MAX_UPLOAD).s);
    enum sv_err rc = sv_body_file_type(r, err);
    if (!rc)
        rc = sv_share_take(r->server->shares, SV_SUPPLY_UPLOADS, &r->actor, &r->upload_place, err);
    if (!rc)
        rc = sv_db_read(r->server->db, claim_tx, r, err);
    if (!rc)
        rc = sv_upload_open(r->server->upload_dir, &r->upload, err);
    if (rc)
        return rc;
    sv_request_begun(r, token_ended);
    return SV_OK;
}

/* "OPTIONS *" asks of the server as a whole (RFC 9110 9.3.7). */
static bool is_about_all(struct sv_request *r)
{
    if (strcmp(r->path, "*") != 0)
        return false;
    SV_COPY(r->match.allow, SV_ALL_METHODS);
    r->status = 204;
    answer_ok(r);
    return true;
}

/* The browser's own question is answered before anything else is looked at, so that the page sees the real answer. */
static bool is_asked_before(struct sv_request *r)
{
    struct sv_error err = {0};
    if (!sv_cors_asks(r->server->cors, r))
        return false;
    if (sv_api_match(r->server->api, r->on, r->method, r->path, &r->match, &err) != SV_OK)
        SV_COPY(r->match.allow, SV_ALL_METHODS);
    r->status = 204;
    answer_ok(r);
    return true;
}

void sv_dispatch_head(struct sv_request *r)
{
    struct sv_error err = {0};
    if (is_about_all(r) || is_asked_before(r))
        return;
    r->page = r->on ? NULL : sv_page_find(r);
    if (r->metrics_only && !(r->page && r->page->figures)) {
        sv_answer_error(r, SV_E_NOT_FOUND, r->path);
        return;
    }
    if (atomic_load_explicit(&r->server->stopping, memory_order_relaxed) && !(r->page && r->page->always)) {
        sv_answer_error(r, SV_E_SHUTTING_DOWN, NULL);
        return;
    }
    const enum sv_err closed = (enum sv_err)atomic_load_explicit(&r->server->closed, memory_order_acquire);
    if (closed && !(r->page && r->page->probes)) {
        sv_answer_error(r, closed, NULL);
        return;
    }
    if (r->page) {
        take_token(r);
        return;
    }
    enum sv_err rc = sv_api_match(r->server->api, r->on, r->method, r->path, &r->match, &err);
    take_token(r);
    if (!rc && r->match.options) {
        r->status = 204;
        answer_ok(r);
        return;
    }
    if (!rc && r->match.route->raw_body) {
        rc = check(r, &err);
        if (!rc)
            rc = begin_upload(r, &err);
    }
    if (rc)
        sv_answer_failure(r, &err);
}

/* Several operations at one path: the body tells which. */
static bool choose(struct sv_request *r)
{
    struct sv_error err = {0};
    const struct sv_input in = input_of(r);
    if (sv_api_choose(&r->match, &in, r->arena, &err) == SV_OK)
        return true;
    sv_answer_failure(r, &err);
    return false;
}

enum sv_verdict sv_dispatch_run(struct sv_request *r)
{
    if (r->answered)
        return SV_ANSWERED;
    if (r->page) {
        r->code = SV_OK;
        r->status = 200;
        if (r->page->probes && r->page->probes(r))
            return SV_HAND_OVER;
        r->page->answer(r);
        r->answered = true;
        return SV_ANSWERED;
    }
    if (r->written)
        return answer_written(r);
    if (!sv_id_empty(&r->job))
        return look(r); /* it ended, or time is up */
    if (r->match.choice && !choose(r))
        return SV_ANSWERED;
    switch (r->match.route->runs) {
    case SV_RUN_READ:
        return look(r);
    case SV_RUN_WRITE:
    case SV_RUN_WAIT:
    case SV_RUN_TELL:
        break;
    }
    return run_checked(r);
}

void sv_dispatch_hand_over(struct sv_request *r)
{
    atomic_fetch_add(&r->server->handed, 1);
    if (r->waiting) {
        sleep_parked(r);
        return;
    }
    if (r->page)
        post_probe(r);
    else if (r->upload)
        post_upload(r);
    else if (r->match.route->prepare)
        post_prepare(r);
    else
        post_write(r);
}
