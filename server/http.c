#include "server/answer.h"
#include "server/body.h"
#include "server/dispatch.h"
#include "server/framing.h"
#include "server/head.h"
#include "server/http_parts.h"
#include "server/proxies.h"
#include "server/upload.h"
#include "starvirt/clock.h"
#include "starvirt/limits.h"
#include "starvirt/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

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
    r->refuse = sv_http_refuse;
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
        return sv_http_send(c, r);
    sv_http_say_early(r);
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
        return r->unframed ? sv_http_send(c, r) : answer_head(c, r);
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
        sv_http_say_early(r);
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
    return sv_http_send(c, r);
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
