#include "server/answer.h"
#include "server/body.h"
#include "server/cors.h"
#include "server/dispatch_parts.h"
#include "server/pages.h"
#include "server/upload.h"
#include "starvirt/limits.h"

#include <string.h>
#include <strings.h>

/* WRITE and WAIT, before they leave the I/O thread. An upload was checked at its head. */
static enum sv_verdict run_checked(struct sv_request *r)
{
    struct sv_error err = {0};
    if (!r->upload && sv_dispatch_check(r, &err) != SV_OK) {
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
    sv_dispatch_answer_ok(r);
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
    sv_dispatch_answer_ok(r);
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
        sv_dispatch_answer_ok(r);
        return;
    }
    if (!rc && r->match.route->raw_body) {
        rc = sv_dispatch_check(r, &err);
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
    const struct sv_input in = sv_dispatch_input(r);
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
        return sv_dispatch_written(r);
    if (!sv_id_empty(&r->job))
        return sv_dispatch_look(r); /* it ended, or time is up */
    if (r->match.choice && !choose(r))
        return SV_ANSWERED;
    switch (r->match.route->runs) {
    case SV_RUN_READ:
        return sv_dispatch_look(r);
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
        sv_dispatch_sleep(r);
        return;
    }
    if (r->page)
        sv_dispatch_probe(r);
    else if (r->upload)
        sv_dispatch_upload(r);
    else if (r->match.route->prepare)
        sv_dispatch_prepare(r);
    else
        sv_dispatch_write(r);
}
