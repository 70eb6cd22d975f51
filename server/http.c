#include "server/http.h"
#include "server/answer.h"
#include "server/body.h"
#include "server/cors.h"
#include "server/dispatch.h"
#include "server/framing.h"
#include "server/head.h"
#include "server/metrics.h"
#include "server/proxies.h"
#include "server/upload.h"
#include "starvirt/clock.h"
#include "starvirt/limits.h"
#include "starvirt/log.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STREAM_BLOCK = 64 * 1024 /* [bytes] asked of a stream at a time */ };

struct sv_http {
    struct MHD_Daemon *daemon;
    struct sv_server *server;
    const struct sv_dialect *on;
    bool metrics_only;
    bool quiesced;
    int listen_fd; /* the library's */
};

/* --- connections ----------------------------------------------------------------------------------- */

static void on_connection(void *cls, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode what)
{
    struct sv_http *h = cls;
    switch (what) {
    case MHD_CONNECTION_NOTIFY_STARTED: {
        const union MHD_ConnectionInfo *addr = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        const union MHD_ConnectionInfo *fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct sv_peer peer = sv_peer_of(addr ? addr->client_addr : NULL);
        peer.proxy = sv_proxies_trust(h->server->proxies, &peer);
        *context = sv_link_open(h->server->links, fd ? fd->connect_fd : -1, &peer);
        break;
    }
    case MHD_CONNECTION_NOTIFY_CLOSED:
        sv_link_forget(*context, h->server->begun);
        sv_link_close(h->server->links, *context);
        *context = NULL;
        break;
    }
}

static void refuse(struct sv_request *r, const struct sv_error *why);

static void resume(struct sv_request *r)
{
    MHD_resume_connection(r->connection);
}

/* The request line is there: the request begins. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *c)
{
    struct sv_http *h = cls;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct sv_link *conn = info->socket_context;
    if (!conn->arena)
        conn->arena = sv_arena_new();
    sv_link_stage(conn, SV_LINK_HEAD, SV_HEAD_TIMEOUT_S);
    struct sv_request *r = sv_arena_alloc(conn->arena, sizeof(*r));
    r->server = h->server;
    r->conn = conn;
    conn->request = r;
    r->on = h->on;
    r->metrics_only = h->metrics_only;
    r->arena = conn->arena;
    r->connection = c;
    r->resume = resume;
    r->refuse = refuse;
    r->started_us = sv_mono_us();
    uint64_t n = atomic_fetch_add_explicit(&h->server->next_id, 1, memory_order_relaxed);
    snprintf(r->id, sizeof(r->id), "%s-%llx", h->server->id_prefix, (unsigned long long)n);
    sv_head_begin(r, uri);
    atomic_fetch_add(&h->server->active, 1);
    return r;
}

static void on_completed(void *cls, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode why)
{
    struct sv_http *h = cls;
    struct sv_request *r = *context;
    (void)c;
    (void)why;
    if (!r)
        return;
    struct sv_link *conn = r->conn;
    sv_request_waited(r);
    sv_upload_close(r->upload, r->upload_keep && r->code == SV_OK);
    sv_incoming_end(r->claim);
    sv_share_give(h->server->shares, &r->upload_place);
    sv_buf_free(&r->body);
    sv_buf_free(&r->reply);
    if (r->streams)
        sv_stream_close(&r->stream);
    *context = NULL;
    conn->request = NULL;
    bool left = r->left;
    sv_arena_reset(conn->arena); /* r was in it */
    sv_link_stage(conn, SV_LINK_IDLE, SV_IDLE_TIMEOUT_S);
    if (!left)
        sv_server_left(h->server, &h->server->active);
}

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

static enum MHD_Result send_reply(struct MHD_Connection *c, struct sv_request *r)
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

static void say_early(struct sv_request *r)
{
    if (sv_body_end(r, SV_BODY_REFUSED))
        say(r);
}

static void refuse(struct sv_request *r, const struct sv_error *why)
{
    if (!sv_body_end(r, SV_BODY_REFUSED))
        return;
    sv_answer_failure(r, why);
    say(r);
}

/* --- the way of a request ------------------------------------------------------------------------------ */

/* A refusal is best sent after the body: a client that is still sending might see a broken connection instead of the
 * answer. Not so when it asked first. */
static bool asked_first(const struct sv_request *r)
{
    return r->expects && (r->chunked || r->length > 0);
}

/* Now, and the connection goes. */
static enum MHD_Result answer_head(struct MHD_Connection *c, struct sv_request *r)
{
    r->close = true;
    if (asked_first(r) || !(r->chunked || r->length > 0))
        return send_reply(c, r);
    say_early(r);
    return MHD_YES;
}

static enum MHD_Result take_head(struct MHD_Connection *c, struct sv_request *r, const char *method,
                                 const char *version)
{
    r->head_done = true;
    sv_framing_read(c, r);
    sv_framing_check_end(c, r, method);
    sv_head_end(r, method, version);
    r->client = sv_proxies_client(r->server->proxies, &r->conn->peer, r->x_forwarded_for, r->forwarded);
    if (r->fault) {
        r->close = true;
        sv_answer_error(r, SV_E_BAD_REQUEST, r->fault);
        return r->unframed ? send_reply(c, r) : answer_head(c, r);
    }
    sv_dispatch_head(r);
    sv_body_begin(r);
    if (r->answered && (asked_first(r) || r->length > SV_MAX_BODY))
        return answer_head(c, r);
    return MHD_YES;
}

static enum MHD_Result take_body(struct MHD_Connection *c, struct sv_request *r, const char *data, size_t *size)
{
    const size_t n = *size;
    *size = 0;
    switch (sv_body_take(r, data, n)) {
    case SV_BODY_TAKEN:
        break;
    case SV_BODY_LATER: /* left where it is: the library goes on calling within one chunked body, suspended or not */
        *size = n;
        MHD_suspend_connection(c);
        sv_body_hand_over(r); /* r is another thread's now */
        break;
    case SV_BODY_ANSWER:
        say_early(r);
        break;
    case SV_BODY_ENOUGH:
        return MHD_NO;
    }
    return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **context)
{
    struct sv_request *r = *context;
    (void)cls;
    (void)url; /* decoded by the library; ours is of head.c */
    if (!r->head_done)
        return take_head(c, r, method, version);
    if (*size > 0)
        return take_body(c, r, data, size);
    if (!sv_body_end(r, SV_BODY_WHOLE))
        return MHD_NO; /* it has its answer, or will have in a moment */
    if (!sv_link_stage(r->conn, SV_LINK_SERVED, 0))
        return MHD_NO; /* cut off to make room, and nothing was done yet */
    r->close = r->close || (r->chunked && sv_framing_has_trailers(c));
    switch (sv_dispatch_run(r)) {
    case SV_HAND_OVER:
        MHD_suspend_connection(c);
        sv_dispatch_hand_over(r); /* r is another thread's now */
        return MHD_YES;
    case SV_ANSWERED:
        break;
    }
    return send_reply(c, r);
}

/* --- start and stop --------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 0))) static void on_log(void *cls, const char *fmt, va_list ap)
{
    char text[512];
    (void)cls;
    vsnprintf(text, sizeof(text), fmt, ap);
    text[strcspn(text, "\n")] = '\0';
    sv_log(SV_LOG_DEBUG, "http", "text", text, NULL);
}

static struct MHD_Daemon *start(struct sv_http *h, const struct sv_http_options *opt)
{
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, opt->tls ? opt->tls->cert : NULL},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, opt->tls ? opt->tls->key : NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG |
                     (opt->tls ? (unsigned)MHD_USE_TLS : 0u);
    /* Ours decide (links.c), and each thread has the same part of the library's; those cut off still count there until
     * their thread has closed them. */
    unsigned most = (opt->connections + opt->connections / 4) * (opt->threads > 1 ? opt->threads : 1);
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
                            MHD_OPTION_LISTEN_SOCKET, (MHD_socket)opt->fd, MHD_OPTION_THREAD_POOL_SIZE,
                            opt->threads > 1 ? opt->threads : 0u, MHD_OPTION_URI_LOG_CALLBACK, on_uri, h,
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
                            h, MHD_OPTION_CONNECTION_LIMIT, most, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)SV_IDLE_TIMEOUT_S, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY,
                            opt->tls ? tls : none, MHD_OPTION_END);
}

enum sv_err sv_http_start(struct sv_server *s, const struct sv_http_options *opt, struct sv_http **ret,
                          struct sv_error *err)
{
    struct sv_http *h = sv_alloc(sizeof(*h));
    h->server = s;
    h->listen_fd = opt->fd;
    h->on = opt->on;
    h->metrics_only = opt->metrics_only;
    h->daemon = start(h, opt);
    if (h->daemon) {
        *ret = h;
        return SV_OK;
    }
    close(opt->fd);
    free(h);
    return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "HTTP does not start; --log.level debug says why");
}

/* Not MHD_quiesce_daemon(): with epoll, it and its threads race for taking the socket out of the set, and who
 * comes second aborts the process. Instead the number comes to stand for something that is never ready; the
 * socket itself goes, so that clients are refused at once. The library closes the number at the end. */
void sv_http_quiesce(struct sv_http *h)
{
    if (h->quiesced)
        return;
    h->quiesced = true;
    int nothing = eventfd(0, EFD_CLOEXEC);
    if (nothing < 0)
        return; /* new requests are told that the server stops */
    dup3(nothing, h->listen_fd, O_CLOEXEC);
    close(nothing);
}

void sv_http_stop(struct sv_http *h)
{
    if (!h)
        return;
    if (h->daemon)
        MHD_stop_daemon(h->daemon);
    free(h);
}
