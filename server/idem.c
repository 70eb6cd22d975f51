#include "server/idem.h"
#include "server/answer.h"
#include "server/dispatch.h"
#include "starvirt/limits.h"

#include <string.h>

/* Stands for a reply that carried a secret; no reply of any wire looks like it. */
#define NOT_KEPT "-"

static enum sv_err check_key(const char *key, struct sv_error *err)
{
    size_t n = strlen(key);
    if (n == 0 || n > SV_MAX_IDEMPOTENCY_KEY)
        return sv_fail(err, SV_E_BAD_REQUEST, SV_F_NONE, "Idempotency-Key");
    for (const char *p = key; *p; p++)
        if (*p <= ' ' || *p > '~')
            return sv_fail(err, SV_E_BAD_REQUEST, SV_F_NONE, "Idempotency-Key");
    return SV_OK;
}

/* Each part with its length, so that no two requests run together to the same text. */
static void add_part(struct sv_buf *all, const char *p, size_t n)
{
    sv_buf_printf(all, "%zu:", n);
    sv_buf_add(all, p, n);
}

static void hash_request(struct sv_request *r)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf all = {0};
    add_part(&all, r->method, strlen(r->method));
    add_part(&all, r->path, strlen(r->path));
    add_part(&all, r->query ? r->query : "", r->query ? strlen(r->query) : 0);
    add_part(&all, r->body.p ? r->body.p : "", r->body.n);
    sv_sha256(all.p, all.n, r->idem_hash);
}

enum sv_err sv_idem_prepare(struct sv_request *r, struct sv_error *err)
{
    if (!r->idempotency_key)
        return SV_OK;
    if (strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0) {
        r->idempotency_key = NULL;
        return SV_OK;
    }
    if (check_key(r->idempotency_key, err) != SV_OK)
        return err->code;
    hash_request(r);
    return SV_OK;
}

/* What is kept: the body, and before it, where there is more than that, a line for the status and for each header,
 * each begun by a byte that no body begins with. */
#define MORE '\x01'

static const char *kept_text(const struct sv_request *r, struct sv_buf *out)
{
    const char *body = r->reply.p ? r->reply.p : "";
    if (r->status == 200 && r->headers == 0)
        return body;
    sv_buf_printf(out, "%c%u\n", MORE, r->status);
    for (unsigned i = 0; i < r->headers; i++)
        sv_buf_printf(out, "%c%s\n%s\n", MORE, r->header[i].name, r->header[i].value);
    sv_buf_puts(out, body);
    return out->p;
}

static const char *take_line(struct sv_arena *a, const char **text)
{
    size_t n = strcspn(*text, "\n");
    const char *line = sv_arena_strndup(a, *text, n);
    *text += n + ((*text)[n] == '\n');
    return line;
}

static void give_again(struct sv_request *r, const char *text)
{
    struct sv_reply_header *h = sv_arena_alloc(r->arena, SV_MAX_REPLY_HEADERS * sizeof(*h));
    int64_t status = 200;
    if (*text == MORE) {
        text++;
        sv_parse_int(take_line(r->arena, &text), &status);
    }
    for (r->headers = 0; *text == MORE && r->headers < SV_MAX_REPLY_HEADERS; r->headers++) {
        text++;
        h[r->headers].name = take_line(r->arena, &text);
        h[r->headers].value = take_line(r->arena, &text);
    }
    r->header = h;
    r->status = (unsigned)status;
    r->reply.n = 0;
    sv_buf_puts(&r->reply, text);
}

enum sv_err sv_idem_replay(struct sv_request *r, struct sv_tx *tx, bool *ret_replayed, struct sv_error *err)
{
    struct sv_idem found;
    bool any = false;
    if (!r->idempotency_key)
        return SV_OK;
    enum sv_err rc = sv_idem_find(tx, &r->actor.tenant, r->idempotency_key, r->arena, &found, &any, err);
    if (rc || !any)
        return rc;
    if (memcmp(found.hash, r->idem_hash, sizeof(found.hash)) != 0)
        return sv_fail(err, SV_E_IDEMPOTENCY_MISMATCH, SV_F_NONE);
    r->job = found.job;
    if (strcmp(found.reply, NOT_KEPT) == 0 && !r->match.route->done) {
        sv_fail(err, SV_E_PARAM_CONFLICT, SV_F_NONE, "the first reply carried a secret and was not kept");
        SV_COPY(err->wire, "Idempotency-Key");
        return err->code;
    }
    give_again(r, found.reply);
    *ret_replayed = true;
    return SV_OK;
}

enum sv_err sv_idem_keep(struct sv_request *r, struct sv_tx *tx, struct sv_error *err)
{
    if (!r->idempotency_key)
        return SV_OK;
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    const bool not_kept = sv_route_secret(r->match.route) || r->streams;
    struct sv_idem keep = {.job = r->job, .reply = not_kept ? NOT_KEPT : kept_text(r, &text)};
    memcpy(keep.hash, r->idem_hash, sizeof(keep.hash));
    return sv_idem_insert(tx, &r->actor.tenant, r->idempotency_key, &keep, err);
}
