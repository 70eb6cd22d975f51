#include "server/answer.h"
#include "server/guard.h"
#include "starvirt/clock.h"
#include "starvirt/log.h"

void sv_answer_failure(struct sv_request *r, const struct sv_error *e)
{
    const struct sv_wire *w = sv_api_wire(r->server->api, r->on, &r->match);
    r->reply.n = 0;
    r->headers = 0;
    sv_reply_failure(w, e, r->match.route, r->in, r->lang, &r->reply);
    r->code = e->code;
    r->status = (unsigned)sv_wire_status(w, e->code);
    if (r->status == 401)
        r->challenge = w->challenge;
    r->answered = true;
    int64_t wait;
    if (e->code == SV_E_TOO_MANY_REQUESTS && sv_parse_int(e->arg[0], &wait))
        r->retry_after = (unsigned)wait;
    else if (r->status == 503 || r->status == 429 || r->status == 507 || e->code == SV_E_HOST_NOT_READY)
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

/* A wrong token: told so, unless its address has to wait. */
static enum sv_err count_wrong(struct sv_request *r, struct sv_error *err)
{
    char client[SV_PEER_TEXT];
    bool held = false;
    unsigned wait = sv_guard_failed(r->server->guard, &r->client, sv_mono_ms(), &held);
    if (held) {
        sv_peer_text(&r->client, client);
        sv_log(SV_LOG_WARN, "tokens.wrong", "client", client, NULL);
    }
    return wait > 0 ? sv_fail(err, SV_E_TOO_MANY_REQUESTS, SV_F_NONE, sv_dec(wait).s) : SV_E_TOKEN_INVALID;
}

enum sv_err sv_dispatch_auth(struct sv_request *r, struct sv_tx *tx, struct sv_error *err)
{
    const bool known = r->known;
    if (!known)
        r->token_seen = sv_begun_seen(r->server->begun);
    enum sv_err rc = sv_auth(r->server->cloud, tx, r->token, &r->actor, err);
    r->known = !rc;
    if (!rc && !known)
        sv_link_shown(r->conn, r->server->begun, &r->actor, r->token_seen);
    /* One that was good and is not any more is no guess. */
    return rc == SV_E_TOKEN_INVALID && !known ? count_wrong(r, err) : rc;
}
