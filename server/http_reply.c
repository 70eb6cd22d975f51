/* Replies: the head, bodies whole or made while they are sent, sockets that leave HTTP, answers while a body still
 * comes. */
#include "server/answer.h"
#include "server/body.h"
#include "server/cors.h"
#include "server/http_parts.h"
#include "server/metrics.h"
#include "server/upload.h"
#include "starvirt/clock.h"
#include "starvirt/limits.h"
#include "starvirt/log.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { STREAM_BLOCK = 64 * 1024 /* [bytes] asked of a stream at a time */ };

/* --- replies ----------------------------------------------------------------------------------------- */

static void log_request(struct sv_request *r, size_t bytes, int64_t us)
{
    bool ours = r->code != SV_OK && sv_err_is_ours(r->code);
    if (!ours && !r->server->log_requests)
        return;
    const struct sv_route *route = r->match.route;
    char client[SV_PEER_TEXT];
    sv_peer_text(&r->client, client);
    sv_log_request(r->id);
    sv_log(ours ? SV_LOG_ERROR : SV_LOG_INFO, "request", "method", route ? route->method : r->method, "route",
           route     ? route->path
           : r->page ? r->page->path
                     : "-",
           "status", sv_dec(r->status).s, "result", r->code == SV_OK ? "OK" : sv_err_symbol(r->code), "us",
           sv_dec(us).s, "bytes", sv_dec((int64_t)bytes).s, "client", client, "tenant",
           r->known ? r->actor.tenant.s : "-", "token", r->known ? r->actor.token.s : "-",
           r->unknown ? "unknown" : NULL, r->unknown ? r->unknown->list : NULL, NULL);
    sv_log_request(NULL);
}

static void add_cors(struct sv_request *r, struct MHD_Response *m)
{
    const struct sv_cors *cors = r->server->cors;
    const char *origin = sv_cors_origin(cors, r);
    if (cors)
        MHD_add_response_header(m, "Vary", "Origin");
    if (!origin)
        return;
    MHD_add_response_header(m, "Access-Control-Allow-Origin", origin);
    MHD_add_response_header(m, "Access-Control-Expose-Headers", "*");
    if (!sv_cors_asks(cors, r))
        return;
    MHD_add_response_header(m, "Access-Control-Allow-Methods", r->match.allow);
    MHD_add_response_header(m, "Access-Control-Allow-Headers", sv_cors_headers(r));
    MHD_add_response_header(m, "Access-Control-Max-Age", sv_dec(SV_CORS_KEEP_S).s);
}

static void add_headers(struct sv_request *r, struct MHD_Response *m)
{
    const char *type = r->streams ? r->stream.type : r->type;
    if (!type)
        type = sv_api_wire(r->server->api, r->on, &r->match)->type;
    if (r->status != 204)
        MHD_add_response_header(m, "Content-Type", type);
    MHD_add_response_header(m, "X-Request-Id", r->id);
    MHD_add_response_header(m, "Cache-Control", r->cache ? r->cache : "no-store");
    MHD_add_response_header(m, "X-Content-Type-Options", "nosniff");
    if (r->type) {
        MHD_add_response_header(m, "Content-Security-Policy",
                                r->csp ? r->csp : "default-src 'none'; style-src 'unsafe-inline'");
        MHD_add_response_header(m, "X-Frame-Options", "DENY");
        MHD_add_response_header(m, "Referrer-Policy", "no-referrer");
    }
    add_cors(r, m);
    if (r->match.allow[0])
        MHD_add_response_header(m, "Allow", r->match.allow);
    if (r->challenge)
        MHD_add_response_header(m, "WWW-Authenticate", r->challenge);
    for (unsigned i = 0; i < r->headers; i++)
        MHD_add_response_header(m, r->header[i].name, r->header[i].value);
    if (r->retry_after)
        MHD_add_response_header(m, "Retry-After", sv_dec(r->retry_after).s);
    if (r->close)
        MHD_add_response_header(m, "Connection", "close");
}

/* --- sockets that leave HTTP ------------------------------------------------------------------------------ */

static void on_upgrade(void *cls, struct MHD_Connection *c, void *context, const char *early, size_t early_len,
                       MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
    struct sv_request *r = cls;
    struct sv_server *s = r->server;
    const union MHD_ConnectionInfo *tls = MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    const struct sv_taken taken = {.fd = fd,
                                   .early = early,
                                   .early_len = early_len,
                                   .handle = handle,
                                   .tls = tls ? tls->tls_session : NULL,
                                   .wire = r->conn->fd};
    const int on = 1, off = 0;
    (void)context;
    /* The library leaves a socket as a reply needs it: with small pieces held back until an acknowledgement comes. */
    setsockopt(taken.wire, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
    setsockopt(taken.wire, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    r->left = true; /* r stays until the socket is given back, but nobody is waiting for it */
    r->take(r, &taken);
    sv_server_left(s, &s->active);
}

void sv_http_give_back(void *handle)
{
    MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
}

static enum MHD_Result send_upgrade(struct MHD_Connection *c, struct sv_request *r)
{
    struct MHD_Response *m = MHD_create_response_for_upgrade(on_upgrade, r);
    if (!m)
        return MHD_NO;
    MHD_add_response_header(m, "Upgrade", "websocket");
    MHD_add_response_header(m, "Sec-WebSocket-Accept", r->ws_accept);
    MHD_add_response_header(m, "Sec-WebSocket-Protocol", "binary");
    MHD_add_response_header(m, "X-Request-Id", r->id);
    sv_metrics_request(r->server->metrics, NULL, SV_OK, sv_mono_us() - r->started_us);
    log_request(r, 0, sv_mono_us() - r->started_us);
    enum MHD_Result ok = MHD_queue_response(c, MHD_HTTP_SWITCHING_PROTOCOLS, m);
    MHD_destroy_response(m);
    return ok;
}

/* --- bodies made while they are sent --------------------------------------------------------------------- */

static ssize_t read_stream(void *cls, uint64_t at, char *buf, size_t size)
{
    const struct sv_stream *s = cls;
    ssize_t n = s->read(s->arg, at, buf, size);
    return n > 0 ? n : n == 0 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void end_stream(void *cls)
{
    struct sv_stream *s = cls;
    sv_stream_close(s);
    free(s);
}

/* A file is the library's to send and to close. */
static struct MHD_Response *stream_response(struct sv_request *r, size_t *ret_n)
{
    struct sv_stream *s = &r->stream;
    struct MHD_Response *m;
    *ret_n = s->size > 0 ? (size_t)s->size : 0;
    if (!s->read) {
        m = MHD_create_response_from_fd64((uint64_t)*ret_n, s->fd);
        if (m)
            s->fd = -1;
        return m;
    }
    struct sv_stream *copy = sv_alloc(sizeof(*copy));
    *copy = *s;
    m = MHD_create_response_from_callback(s->size < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)s->size, STREAM_BLOCK, read_stream,
                                          copy, end_stream);
    if (m)
        *s = (struct sv_stream){.fd = -1, .type = s->type};
    else
        free(copy);
    return m;
}

static void count_reply(struct sv_request *r, size_t n)
{
    int64_t us = sv_mono_us() - r->started_us;
    sv_metrics_request(r->server->metrics, r->match.route, r->code, us);
    sv_metrics_bytes(r->server->metrics, r->upload ? (uint64_t)sv_upload_size(r->upload) : r->body.n, n);
    log_request(r, n, us);
}

enum MHD_Result sv_http_send(struct MHD_Connection *c, struct sv_request *r)
{
    if (r->take)
        return send_upgrade(c, r);
    size_t n = r->fixed ? r->fixed_len : r->reply.n;
    struct MHD_Response *m;
    if (r->streams)
        m = stream_response(r, &n);
    else if (r->fixed)
        m = MHD_create_response_from_buffer(n, (void *)(uintptr_t)r->fixed, MHD_RESPMEM_PERSISTENT);
    else
        m = MHD_create_response_from_buffer(n, sv_buf_steal(&r->reply), MHD_RESPMEM_MUST_FREE);
    if (!m)
        return MHD_NO;
    add_headers(r, m);
    sv_link_stage(r->conn, SV_LINK_REPLY, atomic_load(&r->conn->good) ? 0 : SV_REPLY_TIMEOUT_S);
    count_reply(r, n);
    enum MHD_Result ok = MHD_queue_response(c, r->status, m);
    MHD_destroy_response(m);
    return ok;
}

/* --- an answer while the body still comes ------------------------------------------------------------------ */

static enum MHD_Result add_line(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    sv_buf_printf(cls, "%s: %s\r\n", name, value);
    return MHD_YES;
}

/* As the library would send it, which takes no answer from now until the whole body is there. */
static void write_answer(struct sv_request *r, struct sv_buf *out)
{
    struct MHD_Response *m = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!m)
        return;
    add_headers(r, m);
    sv_buf_printf(out, "HTTP/1.1 %u %s\r\n", r->status, MHD_get_reason_phrase_for(r->status));
    MHD_get_response_headers(m, add_line, out);
    sv_buf_printf(out, "Content-Length: %zu\r\n\r\n", r->reply.n);
    sv_buf_add(out, r->reply.p, r->reply.n);
    MHD_destroy_response(m);
}

/* What is in r->reply, to a socket that nobody else writes to while a body comes; what does not fit at once is lost,
 * as it would be on a connection that breaks. */
static void say(struct sv_request *r)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    const union MHD_ConnectionInfo *tls = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    ssize_t sent;
    r->close = true;
    write_answer(r, &out);
    do
        sent = tls ? gnutls_record_send(tls->tls_session, out.p, out.n)
                   : send(r->conn->fd, out.p, out.n, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (tls ? sent == GNUTLS_E_INTERRUPTED : sent < 0 && errno == EINTR);
    sv_link_stage(r->conn, SV_LINK_BODY, SV_REQUEST_TIMEOUT_S); /* so long it is read from */
    count_reply(r, r->reply.n);
    if (r->upload)
        sv_upload_discard(r->upload, r->server->disk);
}

void sv_http_say_early(struct sv_request *r)
{
    if (sv_body_end(r, SV_BODY_REFUSED))
        say(r);
}

void sv_http_refuse(struct sv_request *r, const struct sv_error *why)
{
    if (!sv_body_end(r, SV_BODY_REFUSED))
        return;
    sv_answer_failure(r, why);
    say(r);
}
