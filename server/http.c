#include "server/http.h"
#include "server/dispatch.h"
#include "server/head.h"
#include "server/metrics.h"
#include "server/upload.h"
#include "starvirt/clock.h"
#include "starvirt/limits.h"
#include "starvirt/log.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    DRAIN_MAX = 16 * SV_MAX_BODY, /* [bytes] of a refused body that are read */
    PEM_FILE_MAX = 1024 * 1024,
};

struct sv_http {
    struct MHD_Daemon *daemon;
    struct sv_server *server;
    bool quiesced;
    int listen_fd; /* the library's */
    char *cert, *key;
};

/* --- connections ----------------------------------------------------------------------------------- */

static void on_connection(void *cls, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode what)
{
    struct sv_http *h = cls;
    switch (what) {
    case MHD_CONNECTION_NOTIFY_STARTED: {
        const union MHD_ConnectionInfo *addr = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        const union MHD_ConnectionInfo *fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
        const struct sv_peer peer = sv_peer_of(addr ? addr->client_addr : NULL);
        *context = sv_link_open(h->server->links, fd ? fd->connect_fd : -1, &peer);
        break;
    }
    case MHD_CONNECTION_NOTIFY_CLOSED:
        sv_link_close(h->server->links, *context);
        *context = NULL;
        break;
    }
}

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
    sv_link_limit(conn, SV_REQUEST_TIMEOUT_S);
    struct sv_request *r = sv_arena_alloc(conn->arena, sizeof(*r));
    r->server = h->server;
    r->conn = conn;
    r->arena = conn->arena;
    r->connection = c;
    r->resume = resume;
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
    sv_upload_close(r->upload, r->upload_keep && r->code == SV_OK);
    sv_buf_free(&r->body);
    sv_buf_free(&r->reply);
    *context = NULL;
    bool left = r->left;
    sv_arena_reset(conn->arena); /* r was in it */
    sv_link_limit(conn, SV_IDLE_TIMEOUT_S);
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
    sv_log_request(r->id);
    sv_log(ours ? SV_LOG_ERROR : SV_LOG_INFO, "request", "method", route ? route->method : r->method, "route",
           route     ? route->path
           : r->page ? r->page->path
                     : "-",
           "status", sv_dec(r->status).s, "result", r->code == SV_OK ? "OK" : sv_err_symbol(r->code), "us",
           sv_dec(us).s, "bytes", sv_dec((int64_t)bytes).s, "tenant", r->known ? r->actor.tenant.s : "-", "token",
           r->known ? r->actor.token.s : "-", r->unknown ? "unknown" : NULL, r->unknown, NULL);
    sv_log_request(NULL);
}

static void add_headers(struct sv_request *r, struct MHD_Response *m)
{
    MHD_add_response_header(m, "Content-Type", r->type ? r->type : "text/plain; charset=UTF-8");
    MHD_add_response_header(m, "X-Request-Id", r->id);
    MHD_add_response_header(m, "Cache-Control", r->cache ? r->cache : "no-store");
    MHD_add_response_header(m, "X-Content-Type-Options", "nosniff");
    if (r->type) {
        MHD_add_response_header(m, "Content-Security-Policy",
                                r->csp ? r->csp : "default-src 'none'; style-src 'unsafe-inline'");
        MHD_add_response_header(m, "X-Frame-Options", "DENY");
        MHD_add_response_header(m, "Referrer-Policy", "no-referrer");
    }
    if (r->status == 405 && r->match.allow[0])
        MHD_add_response_header(m, "Allow", r->match.allow);
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

static enum MHD_Result send_reply(struct MHD_Connection *c, struct sv_request *r)
{
    if (r->take)
        return send_upgrade(c, r);
    size_t n = r->fixed ? r->fixed_len : r->reply.n;
    struct MHD_Response *m;
    if (r->fixed)
        m = MHD_create_response_from_buffer(n, (void *)(uintptr_t)r->fixed, MHD_RESPMEM_PERSISTENT);
    else
        m = MHD_create_response_from_buffer(n, sv_buf_steal(&r->reply), MHD_RESPMEM_MUST_FREE);
    if (!m)
        return MHD_NO;
    add_headers(r, m);
    int64_t us = sv_mono_us() - r->started_us;
    sv_metrics_request(r->server->metrics, r->match.route, r->code, us);
    sv_metrics_bytes(r->server->metrics, r->upload ? (uint64_t)sv_upload_size(r->upload) : r->body.n, n);
    log_request(r, n, us);
    enum MHD_Result ok = MHD_queue_response(c, r->status, m);
    MHD_destroy_response(m);
    return ok;
}

/* --- the way of a request ------------------------------------------------------------------------------ */

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_size,
                                 const char *value, size_t value_size)
{
    (void)kind;
    sv_head_field(cls, key, key_size, value, value_size);
    return MHD_YES;
}

static void check_length(struct sv_request *r)
{
    int64_t limit = r->upload ? SV_MAX_UPLOAD : SV_MAX_BODY;
    if (!r->answered && r->length > limit)
        sv_answer_error(r, SV_E_BODY_TOO_LARGE, sv_dec(limit).s);
}

/* A refusal is best sent after the body: a client that is still sending would see a broken connection instead
 * of the answer. Not so when it asked first, or when the body is too large to be read for nothing. */
static bool worth_draining(const struct sv_request *r)
{
    return !(r->expects && (r->chunked || r->length > 0)) && r->length <= DRAIN_MAX;
}

static enum MHD_Result take_head(struct MHD_Connection *c, struct sv_request *r, const char *method, const char *url,
                                 const char *version)
{
    r->head_done = true;
    r->method = method;
    r->path = url;
    MHD_get_connection_values_n(c, MHD_HEADER_KIND, on_header, r);
    sv_head_end(r, version);
    if (r->fault) {
        r->close = true;
        sv_answer_error(r, SV_E_BAD_REQUEST, r->fault);
        return send_reply(c, r);
    }
    sv_dispatch_head(r);
    check_length(r);
    if (r->upload)
        sv_link_limit(r->conn, 0); /* may take long; only silence ends it */
    if (r->answered && !worth_draining(r)) {
        r->close = true;
        return send_reply(c, r);
    }
    if (!r->upload && r->length > 0 && !r->answered)
        sv_buf_reserve(&r->body, (size_t)r->length);
    return MHD_YES;
}

static void flush_upload(struct sv_work *w)
{
    struct sv_request *r = (struct sv_request *)(void *)((char *)w - offsetof(struct sv_request, work));
    struct sv_error err = {0};
    if (sv_upload_flush(r->upload, &err) != SV_OK)
        sv_answer_failure(r, &err);
    sv_request_return(r);
}

/* True when the bytes were taken. They are left where they are while the buffer is written: the library goes
 * on calling within one chunked body, suspended or not, as long as all is taken. */
static bool take_upload(struct MHD_Connection *c, struct sv_request *r, const char *data, size_t n)
{
    if (sv_upload_size(r->upload) + (int64_t)n > SV_MAX_UPLOAD) {
        sv_answer_error(r, SV_E_BODY_TOO_LARGE, sv_dec(SV_MAX_UPLOAD).s);
        return true;
    }
    if (sv_upload_add(r->upload, data, n))
        return true;
    MHD_suspend_connection(c);
    atomic_fetch_add(&r->server->handed, 1);
    r->work.run = flush_upload;
    if (!sv_workers_post(r->server->workers, &r->work)) {
        sv_answer_error(r, SV_E_OVERLOADED, "workers");
        sv_request_return(r);
    }
    return false;
}

static enum MHD_Result take_body(struct MHD_Connection *c, struct sv_request *r, const char *data, size_t *size)
{
    size_t n = *size;
    if (r->answered) {
        *size = 0;
        r->drained += (int64_t)n;
        return r->drained > DRAIN_MAX ? MHD_NO : MHD_YES;
    }
    if (r->upload) {
        if (take_upload(c, r, data, n))
            *size = 0;
        return MHD_YES; /* r may be another thread's by now */
    }
    *size = 0;
    if (r->body.n + n > SV_MAX_BODY)
        sv_answer_error(r, SV_E_BODY_TOO_LARGE, sv_dec(SV_MAX_BODY).s);
    else
        sv_buf_add(&r->body, data, n);
    return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **context)
{
    struct sv_request *r = *context;
    (void)cls;
    if (!r->head_done)
        return take_head(c, r, method, url, version);
    if (*size > 0)
        return take_body(c, r, data, size);
    sv_link_limit(r->conn, 0);
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

static enum sv_err read_pem(const char *path, char **ret, struct sv_error *err)
{
    char text[SV_ERR_ARG_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    SV_AUTOFREE char *pem = sv_alloc(PEM_FILE_MAX + 1);
    ssize_t n = fd >= 0 ? read(fd, pem, PEM_FILE_MAX) : -1;
    int e = errno;
    if (fd >= 0)
        close(fd);
    if (n <= 0) {
        snprintf(text, sizeof(text), "%s: %s", path, n < 0 ? strerror(e) : "empty");
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, text);
    }
    *ret = sv_strdup(pem);
    return SV_OK;
}

static struct MHD_Daemon *start(struct sv_http *h, const struct sv_http_options *opt)
{
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, h->cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, h->key},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG |
                     (opt->tls_cert ? (unsigned)MHD_USE_TLS : 0u);
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET,
        (MHD_socket)opt->fd, MHD_OPTION_THREAD_POOL_SIZE, opt->threads > 1 ? opt->threads : 0u,
        MHD_OPTION_URI_LOG_CALLBACK, on_uri, h, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_CONNECTION_LIMIT, (unsigned)SV_MAX_CONNECTIONS,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)SV_MAX_CONNECTIONS_PER_IP, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)SV_IDLE_TIMEOUT_S, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_ARRAY, opt->tls_cert ? tls : none, MHD_OPTION_END);
}

enum sv_err sv_http_start(struct sv_server *s, const struct sv_http_options *opt, struct sv_http **ret,
                          struct sv_error *err)
{
    struct sv_http *h = sv_alloc(sizeof(*h));
    h->server = s;
    h->listen_fd = opt->fd;
    enum sv_err e = SV_OK;
    if (opt->tls_cert) {
        e = read_pem(opt->tls_cert, &h->cert, err);
        if (e == SV_OK)
            e = read_pem(opt->tls_key, &h->key, err);
    }
    if (e == SV_OK && !(h->daemon = start(h, opt)))
        e = sv_fail(err, SV_E_CONFIG, SV_F_NONE,
                    opt->tls_cert ? "HTTPS does not start: certificate or key" : "HTTP does not start");
    if (e != SV_OK) {
        close(opt->fd);
        h->quiesced = true;
        sv_http_stop(h);
        return e;
    }
    *ret = h;
    return SV_OK;
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
    if (h->key)
        explicit_bzero(h->key, strlen(h->key));
    free(h->cert);
    free(h->key);
    free(h);
}
