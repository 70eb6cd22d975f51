#include "server/idem.h"
#include "server/dispatch.h"
#include "starvirt/limits.h"

#include <string.h>

/* Stands for a reply that carried a secret; no Base64 text looks like it. */
#define NOT_KEPT "-"

/* Length of a field's name without the marks behind it ("name[]", "name#", "name+"). */
static size_t bare_len(const char *field)
{
    return strcspn(field, "[#+");
}

static bool ends_with(const char *s, size_t n, const char *tail)
{
    size_t m = strlen(tail);
    return n >= m && memcmp(s + n - m, tail, m) == 0;
}

bool sv_route_secret(const struct sv_route *route)
{
    static const char *const tails[] = {".token", "token.value", ".key", "passwd", "pwd"};
    for (const char *const *f = route->fields; f && *f; f++)
        for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++)
            if (ends_with(*f, bare_len(*f), tails[i]))
                return true;
    return false;
}

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
    if (strcmp(r->method, "GET") == 0) {
        r->idempotency_key = NULL;
        return SV_OK;
    }
    if (check_key(r->idempotency_key, err) != SV_OK)
        return err->code;
    hash_request(r);
    return SV_OK;
}

enum sv_err sv_idem_replay(struct sv_request *r, struct sv_tx *tx, bool *ret_replayed, struct sv_error *err)
{
    struct sv_idem found;
    bool any = false;
    if (!r->idempotency_key)
        return SV_OK;
    enum sv_err e = sv_idem_find(tx, &r->actor.tenant, r->idempotency_key, r->arena, &found, &any, err);
    if (e != SV_OK || !any)
        return e;
    if (memcmp(found.hash, r->idem_hash, sizeof(found.hash)) != 0)
        return sv_fail(err, SV_E_IDEMPOTENCY_MISMATCH, SV_F_NONE);
    if (strcmp(found.reply, NOT_KEPT) == 0) {
        sv_fail(err, SV_E_PARAM_CONFLICT, SV_F_NONE, "the first reply carried a secret and was not kept");
        SV_COPY(err->wire, "Idempotency-Key");
        return err->code;
    }
    r->reply.n = 0;
    sv_buf_puts(&r->reply, found.reply);
    *ret_replayed = true;
    return SV_OK;
}

enum sv_err sv_idem_keep(struct sv_request *r, struct sv_tx *tx, struct sv_error *err)
{
    if (!r->idempotency_key)
        return SV_OK;
    struct sv_idem keep = {.reply = sv_route_secret(r->match.route) ? NOT_KEPT : r->reply.p};
    memcpy(keep.hash, r->idem_hash, sizeof(keep.hash));
    return sv_idem_insert(tx, &r->actor.tenant, r->idempotency_key, &keep, err);
}
