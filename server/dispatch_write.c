/* WRITE, WAIT and TELL: what runs on the writer thread, and on others before it. */
#include "server/answer.h"
#include "server/body.h"
#include "server/dispatch_parts.h"
#include "server/idem.h"
#include "starvirt/limits.h"
#include "starvirt/log.h"

#include <stdio.h>

/* --- WRITE and WAIT --------------------------------------------------------------------------------- */

/* Registers before the commit: the job cannot have ended yet, nor can it end unnoticed. No room: not accepted. */
static enum sv_err wait_for_job(struct sv_request *r, struct sv_error *err)
{
    snprintf(r->waiter.key, sizeof(r->waiter.key), SV_PARK_END "%s", r->job.s);
    sv_dispatch_wait_at_most(r, SV_ANSWER_WAIT_S * 1000);
    enum sv_err rc = sv_dispatch_park(r, err);
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
    sv_dispatch_wait_at_most(r, SV_TELL_WAIT_MS);
    (void)sv_dispatch_park(r, &ignored);
}

static enum sv_err run_once(struct sv_request *r, struct sv_tx *tx, struct sv_error *err)
{
    if (r->prepare_fail.code != SV_OK) {
        *err = r->prepare_fail;
        return err->code;
    }
    enum sv_err rc = sv_dispatch_handle(r, r->match.route->handler, tx, NULL, err);
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
        sv_dispatch_sleep(r);
        return;
    }
    if (r->waiting) { /* the commit failed: nothing was accepted */
        sv_park_remove(r->server->park, &r->waiter);
        r->waiting = false;
    }
    if (result != SV_OK)
        sv_answer_failure(r, &w->err);
    else if (sv_id_empty(&r->job)) /* else it has ended: dispatch looks how */
        sv_dispatch_answer_ok(r);
    sv_request_return(r);
}

/* The engine was told, or time is up: that the rows are written is what counts. */
enum sv_verdict sv_dispatch_written(struct sv_request *r)
{
    sv_request_waited(r);
    sv_dispatch_answer_ok(r);
    return SV_ANSWERED;
}

void sv_dispatch_write(struct sv_request *r)
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

void sv_dispatch_probe(struct sv_request *r)
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
        sv_dispatch_write(r);
        return;
    }
    sv_answer_failure(r, &err);
    sv_request_return(r);
}

void sv_dispatch_upload(struct sv_request *r)
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
    struct sv_call c = sv_dispatch_call(r, NULL, &err);
    sv_log_request(r->id);
    if (r->match.route->prepare(&c, r->in, NULL) != SV_OK)
        r->prepare_fail = err;
    r->prepared = c.prepared;
    sv_log_request(NULL);
    sv_dispatch_write(r);
}

void sv_dispatch_prepare(struct sv_request *r)
{
    r->work.run = prepare;
    if (sv_workers_post(r->server->paths, &r->work))
        return;
    sv_answer_error(r, SV_E_OVERLOADED, "threads for paths");
    sv_request_return(r);
}
