#include "server/body.h"
#include "server/answer.h"
#include "server/multipart.h"
#include "server/upload.h"
#include "starvirt/limits.h"

#include <stdlib.h>
#include <strings.h>

/* --- the types of a file ------------------------------------------------------------------------------------ */

/* A file as it is. What clients call forms and texts is left out: curl -d and wget --post-file say so of what they
 * send, some with bytes dropped. */
static const char *const file_types[] = {"application/octet-stream", "binary/octet-stream", "application/x-",
                                         "application/vnd.", "image/"};
#define FORM_TYPE "application/x-www-form-urlencoded"
#define EXPECTED  "application/octet-stream (curl -T FILE), multipart/form-data with one file (curl -F file=@FILE)"

static bool begins(const char *text, const char *with)
{
    return strncasecmp(text, with, strlen(with)) == 0;
}

static bool is_file_type(const char *type)
{
    if (!type || !type[0])
        return true;
    if (begins(type, FORM_TYPE))
        return false;
    for (size_t i = 0; i < sizeof(file_types) / sizeof(file_types[0]); i++)
        if (begins(type, file_types[i]))
            return true;
    return false;
}

static void add_file(void *arg, const char *p, size_t n)
{
    struct sv_request *r = arg;
    if (!sv_upload_add(r->upload, p, n))
        abort(); /* there was room */
}

/* Other fields of a form are let pass, but not one that was meant to say something. */
static enum sv_err see_field(void *arg, const char *name, struct sv_error *err)
{
    const struct sv_request *r = arg;
    const struct sv_route *route = r->match.route;
    for (unsigned i = 0; i < route->param_count; i++)
        if (strcmp(route->params[i].name, name) == 0)
            return sv_fail(err, SV_E_BAD_REQUEST, SV_F_NONE, "multipart: a field that belongs into the query");
    return SV_OK;
}

enum sv_err sv_body_file_type(struct sv_request *r, struct sv_error *err)
{
    const struct sv_multipart_sink sink = {.file = add_file, .field = see_field, .arg = r};
    char boundary[SV_BOUNDARY_MAX + 1];
    if (!sv_multipart_type(r->content_type, boundary))
        return is_file_type(r->content_type) ? SV_OK : sv_fail(err, SV_E_MEDIA_TYPE, SV_F_NONE, EXPECTED);
    if (!boundary[0])
        return sv_fail(err, SV_E_BAD_REQUEST, SV_F_NONE, "multipart: the boundary in Content-Type");
    r->multipart = sv_arena_alloc(r->arena, sizeof(*r->multipart));
    sv_multipart_begin(r->multipart, boundary, &sink);
    return SV_OK;
}

/* --- bytes --------------------------------------------------------------------------------------------------- */

void sv_body_begin(struct sv_request *r)
{
    if (!r->answered && !r->upload && r->length > SV_MAX_BODY)
        sv_answer_error(r, SV_E_BODY_TOO_LARGE, sv_dec(SV_MAX_BODY).s);
    if (r->upload)
        sv_link_stage(r->conn, SV_LINK_SERVED, SV_UPLOAD_TIMEOUT_S);
    else if (r->chunked || r->length > 0)
        sv_link_stage(r->conn, SV_LINK_BODY, SV_REQUEST_TIMEOUT_S);
    if (!r->upload && r->length > 0 && !r->answered)
        sv_buf_reserve(&r->body, (size_t)r->length);
}

bool sv_body_end(struct sv_request *r, enum sv_body how)
{
    enum sv_body was = SV_BODY_COMING;
    return atomic_compare_exchange_strong(&r->coming, &was, how) || (was == how && how == SV_BODY_WHOLE);
}

/* What is answered while it still comes is read for nothing, so that its client comes to read the answer. */
static enum sv_body_word discard(struct sv_request *r, size_t n)
{
    const bool said = atomic_load(&r->coming) == SV_BODY_REFUSED;
    const int64_t most = r->known ? SV_MAX_DRAIN : SV_MAX_DRAIN_STRANGER;
    if (r->upload && r->drained == 0)
        sv_link_stage(r->conn, SV_LINK_BODY, SV_REQUEST_TIMEOUT_S);
    r->drained += (int64_t)n;
    if (r->drained > most)
        return SV_BODY_ENOUGH;
    /* a little more is waited for: the connection can be used again then */
    return said || r->drained <= SV_MAX_BODY ? SV_BODY_TAKEN : SV_BODY_ANSWER;
}

/* r is answered with the failure, unless another thread was quicker. */
static enum sv_body_word fail(struct sv_request *r, const struct sv_error *err)
{
    r->refuse(r, err);
    return SV_BODY_TAKEN;
}

static enum sv_body_word take_file(struct sv_request *r, const char *data, size_t n)
{
    struct sv_error err = {0};
    if (r->upload_fail.code != SV_OK)
        return fail(r, &r->upload_fail);
    if (sv_upload_size(r->upload) + (int64_t)n > SV_MAX_UPLOAD) {
        sv_fail(&err, SV_E_BODY_TOO_LARGE, SV_F_NONE, sv_dec(SV_MAX_UPLOAD).s);
        return fail(r, &err);
    }
    if (!r->multipart)
        return sv_upload_add(r->upload, data, n) ? SV_BODY_TAKEN : SV_BODY_LATER;
    if (!sv_upload_fits(r->upload, n + SV_MULTIPART_HELD))
        return SV_BODY_LATER;
    return sv_multipart_feed(r->multipart, data, n, &err) ? fail(r, &err) : SV_BODY_TAKEN;
}

enum sv_body_word sv_body_take(struct sv_request *r, const char *data, size_t n)
{
    if (atomic_load(&r->coming) == SV_BODY_REFUSED || r->answered)
        return discard(r, n);
    if (r->upload)
        return take_file(r, data, n);
    if (r->body.n + n > SV_MAX_BODY)
        sv_answer_error(r, SV_E_BODY_TOO_LARGE, sv_dec(SV_MAX_BODY).s);
    else
        sv_buf_add(&r->body, data, n);
    return SV_BODY_TAKEN;
}

/* Before what was taken is written: is there room? */
static enum sv_err grow(struct sv_request *r, struct sv_error *err)
{
    return sv_incoming_grow(r->server->cloud, &r->actor, r->claim, sv_upload_size(r->upload), err);
}

enum sv_err sv_body_file_end(struct sv_request *r, struct sv_error *err)
{
    enum sv_err rc = r->multipart ? sv_multipart_end(r->multipart, err) : SV_OK;
    if (!rc && sv_upload_size(r->upload) == 0)
        rc = sv_fail(err, SV_E_BAD_REQUEST, SV_F_NONE, "an empty file");
    if (!rc)
        rc = grow(r, err);
    return rc ? rc : sv_upload_finish(r->upload, err);
}

static void write_file(struct sv_work *w)
{
    struct sv_request *r = (struct sv_request *)(void *)((char *)w - offsetof(struct sv_request, work));
    struct sv_error err = {0};
    if (grow(r, &err) != SV_OK || sv_upload_flush(r->upload, &err) != SV_OK)
        r->upload_fail = err;
    sv_request_return(r);
}

void sv_body_hand_over(struct sv_request *r)
{
    sv_link_stage(r->conn, SV_LINK_SERVED, SV_UPLOAD_TIMEOUT_S);
    atomic_fetch_add(&r->server->handed, 1);
    r->work.run = write_file;
    if (sv_workers_post(r->server->disk, &r->work))
        return;
    sv_fail(&r->upload_fail, SV_E_OVERLOADED, SV_F_NONE, "disk threads");
    sv_request_return(r);
}
