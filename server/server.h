/* What all requests share, and the request itself. No HTTP library here: http.c fills a request in and
 * sends what comes out; dispatch.c decides; the rest helps. */
#ifndef STARVIRT_SERVER_SERVER_H
#define STARVIRT_SERVER_SERVER_H

#include "server/links.h"
#include "server/park.h"
#include "server/workers.h"
#include "starvirt/api.h"
#include "starvirt/core.h"

#include <pthread.h>

struct sv_guard;
struct sv_metrics;
struct sv_page_cache;
struct sv_consoles;
struct sv_upload;

struct sv_server {
    const struct sv_api *api;
    struct sv_cloud *cloud;
    struct sv_db *db;
    struct sv_guard *guard;
    struct sv_workers *workers;
    struct sv_park *park;
    struct sv_metrics *metrics;
    struct sv_page_cache *pages;
    struct sv_links *links;
    struct sv_consoles *consoles;
    const char *upload_dir; /* DIR/upload */
    bool metrics_public;
    bool log_requests; /* the level shows info lines */
    char id_prefix[9]; /* of request ids: tells one run of the program from another */
    atomic_uint_least64_t next_id;
    atomic_uint active; /* requests from head to last byte of the reply */
    atomic_uint handed; /* of these, with another thread than their I/O thread */
    atomic_bool stopping;
    pthread_mutex_t drain_lock; /* for waiting until both are 0, once `stopping` is set */
    pthread_cond_t drained;
};

/* A socket that left HTTP. */
struct sv_taken {
    int fd;            /* to read from; to write to as well unless `tls` is set */
    const void *early; /* bytes that came already, until take() returns */
    size_t early_len;
    void *handle; /* goes to sv_http_give_back(), from any thread, which closes it */
    void *tls;    /* HTTPS: the gnutls session to write to */
    int wire;     /* and the socket under it, to watch only */
};

/* A page outside the dialects: health, metrics, descriptions. */
struct sv_request;
struct sv_page_row {
    const char *path;
    bool below;  /* of all paths that begin so, and go on */
    bool always; /* also while the server stops */
    void (*answer)(struct sv_request *r);
};

enum { SV_HEAD_FIELDS = 17 };

struct sv_request {
    struct sv_server *server;
    struct sv_link *conn;
    struct sv_arena *arena;
    char id[32];
    int64_t started_us;

    /* the head; texts live in the arena or until the reply is sent */
    const char *method, *path;
    const char *query; /* raw, without '?'; NULL = none */
    const char *content_type, *token, *idempotency_key;
    const char *host, *origin, *upgrade, *connection_options, *ws_key, *ws_version, *ws_protocols;
    enum sv_lang lang;
    bool proxied;              /* came through a proxy: the peer is not the client */
    const char *fault;         /* why this is no proper HTTP request, NULL = it is */
    bool seen[SV_HEAD_FIELDS]; /* head.c's */
    bool head_done, chunked;
    bool expects;    /* waits for a word before it sends its body */
    int64_t length;  /* Content-Length, -1 = none */
    int64_t drained; /* [bytes] read and thrown away */

    /* the body: in memory, or in a file for routes with raw_body */
    struct sv_buf body;
    struct sv_upload *upload;

    /* found out by dispatch.c */
    const struct sv_page_row *page;
    struct sv_match match;
    struct sv_actor actor;
    bool known; /* actor is set: the token was good */
    void *in;
    const char *unknown; /* parameter keys nobody knows, for the log */
    unsigned char idem_hash[SV_SHA256_LEN];
    bool upload_keep;
    struct sv_id console_tenant, console_vm;

    /* being run */
    struct sv_db_work write;
    struct sv_work work;
    struct sv_waiter waiter;
    bool waiting; /* the waiter is registered */
    bool waited;  /* it has a deadline */
    /* Gives the request back to its I/O thread; set by http.c. After the call it is not the caller's. */
    void (*resume)(struct sv_request *r);
    void *connection; /* http.c's */
    bool left;        /* no longer counted as active */

    /* the reply */
    bool answered;
    enum sv_err code;
    unsigned status;         /* of HTTP */
    const char *type;        /* content type; NULL = the envelope's */
    const char *csp, *cache; /* of a page; NULL = nothing active, and not kept */
    struct sv_buf reply;
    const char *fixed; /* a reply that outlives the request, instead of `reply` */
    size_t fixed_len;
    unsigned retry_after; /* [s], 0 = no header */
    bool close;           /* the connection is not to be used again */
    /* With status 101: the socket leaves HTTP and is the callee's. Runs on the I/O thread. */
    void (*take)(struct sv_request *r, const struct sv_taken *t);
    char ws_accept[32];
};

/* Gives r back to its I/O thread, for whoever was handed it. */
void sv_request_return(struct sv_request *r);

/* Counts `active` or `handed` down and tells who waits for the end. */
void sv_server_left(struct sv_server *s, atomic_uint *count);
/* Waits until no request is active or handed over; false when the limit came first. */
bool sv_server_drain(struct sv_server *s, int64_t limit_ms);

#endif
