#include "server/dispatch.h"
#include "server/console.h"
#include "server/guard.h"
#include "server/idem.h"
#include "server/pages.h"
#include "server/upload.h"
#include "starvirt/clock.h"
#include "starvirt/limits.h"
#include "starvirt/log.h"

#include <stdio.h>
#include <stdlib.h>

#define CONTAINER(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

/* --- replies ------------------------------------------------------------------------------------ */

void sv_answer_failure(struct sv_request *r, const struct sv_error *e)
{
    r->reply.n = 0;
    sv_reply_failure(e, r->match.route, r->lang, &r->reply);
    r->code = e->code;
    r->status = (unsigned)sv_err_http_status(e->code);
    r->answered = true;
    int64_t wait;
    if (e->code == SV_E_TOO_MANY_REQUESTS && sv_parse_int(e->arg[0], &wait))
        r->retry_after = (unsigned)wait;
    else if (r->status == 503)
        r->retry_after = 1;
    if (e->code == SV_E_SHUTTING_DOWN)
        r->close = true;
}

void sv_answer_error(struct sv_request *r, enum sv_err code, const char *arg)
{
    struct sv_error e = {0};
    sv_fail(&e, code, SV_F_NONE, arg);
    sv_answer_failure(r, &e);
}

static void answer_ok(struct sv_request *r)
{
    r->code = SV_OK;
    r->status = 200;
    r->answered = true;
}

/* --- verdicts ----------------------------------------------------------------------------------- */

enum sv_err sv_dispatch_auth(struct sv_request *r, struct sv_tx *tx, struct sv_error *err)
{
    struct sv_guard *guard = r->server->guard;
    unsigned wait = r->token ? sv_guard_wait(guard, &r->conn->peer, sv_mono_ms()) : 0;
    if (wait > 0)
        return sv_fail(err, SV_E_TOO_MANY_REQUESTS, SV_F_NONE, sv_dec(wait).s);
    enum sv_err e = sv_auth(r->server->cloud, tx, r->token, &r->actor, err);
    r->known = e == SV_OK;
    if (e == SV_OK)
        sv_guard_cleared(guard, &r->conn->peer);
    else if (e == SV_E_TOKEN_INVALID)
        sv_guard_failed(guard, &r->conn->peer, sv_mono_ms());
    return e;
}

static enum sv_err check_role(const struct sv_request *r, struct sv_error *err)
{
    if (r->match.route->role == SV_ROLE_ADMIN && r->actor.role != SV_ROLE_ADMIN)
        return sv_fail(err, SV_E_ADMIN_ONLY, SV_F_NONE);
    return SV_OK;
}

static enum sv_err bind_params(struct sv_request *r, struct sv_error *err)
{
    if (r->in)
        return SV_OK;
    const struct sv_input in = {
        .content_type = r->match.route->raw_body ? NULL : r->content_type,
        .body = r->body.p,
        .body_len = r->body.n,
        .query = r->query,
    };
    return sv_api_bind(&r->match, &in, r->arena, &r->in, &r->unknown, err);
}

static enum sv_err check_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_request *r = arg;
    enum sv_err e = sv_dispatch_auth(r, tx, err);
    return e == SV_OK ? check_role(r, err) : e;
}

/* Token and role in a snapshot of their own, then parameters and Idempotency-Key. */
static enum sv_err check(struct sv_request *r, struct sv_error *err)
{
    enum sv_err e = sv_db_read(r->server->db, check_tx, r, err);
    if (e == SV_OK)
        e = bind_params(r, err);
    return e == SV_OK ? sv_idem_prepare(r, err) : e;
}

/* --- the handler --------------------------------------------------------------------------------- */

/* Runs the handler and writes its envelope; `waits` (may be NULL) tells that it wants to be parked. */
static enum sv_err run_handler(struct sv_request *r, struct sv_tx *tx, bool *waits, struct sv_error *err)
{
    const struct sv_route *route = r->match.route;
    if (!route->handler)
        return sv_fail(err, SV_E_NOT_IMPLEMENTED, SV_F_NONE, route->path);
    struct sv_call c = {
        .cloud = r->server->cloud,
        .tx = tx,
        .actor = r->actor,
        .route = route,
        .arena = r->arena,
        .lang = r->lang,
        .upload_path = r->upload ? sv_upload_path(r->upload) : NULL,
        .err = err,
        .console_url = sv_console_url,
        .console_arg = r,
        .wait_over = !r->waiting && r->waiter.over, /* while it is registered, the waiter is the park's */
    };
    SV_CLEANUP(sv_buf_free) struct sv_buf json = {0};
    struct sv_reply reply;
    sv_reply_begin(&reply, &json);
    enum sv_err e = route->handler(&c, r->in, &reply);
    if (e != SV_OK)
        return e;
    r->upload_keep = c.upload_keep;
    if (waits && c.wait_key && c.wait_ms > 0 && !c.wait_over) {
        *waits = true;
        if (!r->waited) {
            int64_t ms = c.wait_ms < SV_MAX_WAIT_S * 1000 ? c.wait_ms : SV_MAX_WAIT_S * 1000;
            r->waiter.deadline = sv_mono_ms() + ms;
            r->waited = true;
        }
        if (!r->waiting) /* once registered, the park reads it; the second look asks for the same */
            SV_COPY(r->waiter.key, c.wait_key);
        return SV_OK;
    }
    r->reply.n = 0;
    sv_reply_finish(&reply, route, &json, &r->reply);
    return SV_OK;
}

/* --- READ, and long polls ------------------------------------------------------------------------- */

struct reading {
    struct sv_request *r;
    bool waits;
};

static enum sv_err read_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct reading *g = arg;
    enum sv_err e = check_tx(tx, g->r, err);
    if (e == SV_OK)
        e = bind_params(g->r, err);
    return e == SV_OK ? run_handler(g->r, tx, &g->waits, err) : e;
}

static bool start_waiting(struct sv_request *r)
{
    r->waiting = sv_park_add(r->server->park, &r->waiter);
    if (r->waiting)
        return true;
    if (atomic_load(&r->server->stopping))
        r->waiter.over = true; /* answer with what there is */
    else
        sv_answer_error(r, SV_E_OVERLOADED, "long polls");
    return !r->answered;
}

static enum sv_verdict run_read(struct sv_request *r)
{
    struct sv_error err = {0};
    while (!r->answered) {
        struct reading g = {.r = r};
        enum sv_err e = sv_db_read(r->server->db, read_tx, &g, &err);
        if (e != SV_OK)
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
    return SV_ANSWERED;
}

static void woken(struct sv_waiter *w)
{
    struct sv_request *r = CONTAINER(w, struct sv_request, waiter);
    r->waiting = false;
    sv_request_return(r);
}

/* --- WRITE ---------------------------------------------------------------------------------------- */

static enum sv_err write_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_request *r = arg;
    bool replayed = false;
    sv_log_request(r->id);
    enum sv_err e = sv_idem_replay(r, tx, &replayed, err);
    if (e == SV_OK && !replayed) {
        e = run_handler(r, tx, NULL, err);
        if (e == SV_OK)
            e = sv_idem_keep(r, tx, err);
    }
    sv_log_request(NULL);
    return e;
}

static void write_done(struct sv_db_work *w, enum sv_err result)
{
    struct sv_request *r = CONTAINER(w, struct sv_request, write);
    if (result == SV_OK)
        answer_ok(r);
    else
        sv_answer_failure(r, &w->err);
    sv_request_return(r);
}

static void post_write(struct sv_request *r)
{
    r->write = (struct sv_db_work){.fn = write_tx, .arg = r, .done = write_done};
    sv_db_post(r->server->db, &r->write);
}

/* --- BLOCK, and the end of an upload ---------------------------------------------------------------- */

struct replaying {
    struct sv_request *r;
    bool replayed;
};

static enum sv_err replay_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct replaying *p = arg;
    return sv_idem_replay(p->r, tx, &p->replayed, err);
}

static enum sv_err keep_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_idem_keep(arg, tx, err);
}

static enum sv_err run_block(struct sv_request *r, struct sv_error *err)
{
    struct replaying p = {.r = r};
    enum sv_err e = r->idempotency_key ? sv_db_read(r->server->db, replay_tx, &p, err) : SV_OK;
    if (e != SV_OK || p.replayed)
        return e;
    e = run_handler(r, NULL, NULL, err);
    if (e != SV_OK || !r->idempotency_key)
        return e;
    struct sv_error lost = {0};
    if (sv_db_write(r->server->db, keep_tx, r, &lost) != SV_OK)
        sv_log(SV_LOG_ERROR, "idempotency.lost", "error", sv_err_symbol(lost.code), NULL); /* the work is done */
    return SV_OK;
}

static void work_run(struct sv_work *w)
{
    struct sv_request *r = CONTAINER(w, struct sv_request, work);
    struct sv_error err = {0};
    sv_log_request(r->id);
    enum sv_err e = r->upload ? sv_upload_finish(r->upload, &err) : SV_OK;
    bool then_write = e == SV_OK && r->match.route->runs == SV_RUN_WRITE;
    if (e == SV_OK && !then_write)
        e = run_block(r, &err);
    sv_log_request(NULL);
    if (then_write) {
        post_write(r);
        return;
    }
    if (e == SV_OK)
        answer_ok(r);
    else
        sv_answer_failure(r, &err);
    sv_request_return(r);
}

static void post_work(struct sv_request *r)
{
    r->work.run = work_run;
    if (sv_workers_post(r->server->workers, &r->work))
        return;
    sv_answer_error(r, SV_E_OVERLOADED, "workers");
    sv_request_return(r);
}

/* --- the way of a request ---------------------------------------------------------------------------- */

/* WRITE and BLOCK, before they leave the I/O thread. An upload was checked at its head. */
static enum sv_verdict run_checked(struct sv_request *r)
{
    struct sv_error err = {0};
    if (!r->upload && check(r, &err) != SV_OK) {
        sv_answer_failure(r, &err);
        return SV_ANSWERED;
    }
    return SV_HAND_OVER;
}

void sv_dispatch_head(struct sv_request *r)
{
    struct sv_error err = {0};
    r->page = sv_page_find(r);
    if (atomic_load_explicit(&r->server->stopping, memory_order_relaxed) && !(r->page && r->page->always)) {
        sv_answer_error(r, SV_E_SHUTTING_DOWN, NULL);
        return;
    }
    if (r->page)
        return;
    enum sv_err e = sv_api_match(r->server->api, r->method, r->path, &r->match, &err);
    if (e == SV_OK && r->match.route->raw_body) {
        e = check(r, &err);
        if (e == SV_OK)
            e = sv_upload_open(r->server->upload_dir, &r->upload, &err);
    }
    if (e != SV_OK)
        sv_answer_failure(r, &err);
}

enum sv_verdict sv_dispatch_run(struct sv_request *r)
{
    if (r->answered)
        return SV_ANSWERED;
    if (r->page) {
        r->code = SV_OK;
        r->status = 200;
        r->page->answer(r);
        r->answered = true;
        return SV_ANSWERED;
    }
    switch (r->match.route->runs) {
    case SV_RUN_READ:
        return run_read(r);
    case SV_RUN_WRITE:
    case SV_RUN_BLOCK:
        break;
    }
    return run_checked(r);
}

void sv_dispatch_hand_over(struct sv_request *r)
{
    atomic_fetch_add(&r->server->handed, 1);
    if (r->waiting) {
        r->waiter.woken = woken;
        if (!sv_park_sleep(r->server->park, &r->waiter)) {
            r->waiting = false;
            sv_request_return(r);
        }
        return;
    }
    if (r->upload || r->match.route->runs == SV_RUN_BLOCK)
        post_work(r);
    else
        post_write(r);
}
