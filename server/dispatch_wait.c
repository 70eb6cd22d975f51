/* READ, long polls, and requests that a job answers: looking, and being parked in between. */
#include "server/answer.h"
#include "server/dispatch_parts.h"

struct looking {
    struct sv_request *r;
    bool waits;
};

static enum sv_err read_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct looking *g = arg;
    enum sv_err rc = sv_dispatch_check_tx(tx, g->r, err);
    if (!rc)
        rc = sv_dispatch_bind(g->r, err);
    return rc ? rc : sv_dispatch_handle(g->r, g->r->match.route->handler, tx, &g->waits, err);
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
        return r->match.route->done ? sv_dispatch_handle(r, r->match.route->done, tx, NULL, err) : SV_OK;
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
enum sv_err sv_dispatch_park(struct sv_request *r, struct sv_error *err)
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
    enum sv_err rc = sv_dispatch_park(r, &err);
    if (rc && sv_id_empty(&r->job))
        sv_answer_failure(r, &err);
    else if (!r->waiting)
        r->waiter.over = true; /* answer with what there is */
}

enum sv_verdict sv_dispatch_look(struct sv_request *r)
{
    struct sv_error err = {0};
    sv_tx_fn fn = sv_id_empty(&r->job) ? read_tx : ended_tx;
    while (!r->answered) {
        struct looking g = {.r = r};
        enum sv_err rc = sv_db_read(r->server->db, fn, &g, &err);
        if (rc)
            sv_answer_failure(r, &err);
        else if (!g.waits)
            sv_dispatch_answer_ok(r);
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
void sv_dispatch_sleep(struct sv_request *r)
{
    r->waiter.woken = woken;
    if (sv_park_sleep(r->server->park, &r->waiter))
        return;
    r->waiting = false;
    sv_request_return(r);
}
