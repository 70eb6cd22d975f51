/* What all requests share, and the request itself. No HTTP library here: http.c fills a request in and
 * sends what comes out; dispatch.c decides; the rest helps. */
#ifndef STARVIRT_SERVER_SERVER_H
#define STARVIRT_SERVER_SERVER_H

#include "server/begun.h"
#include "server/hangup.h"
#include "server/links.h"
#include "server/park.h"
#include "server/share.h"
#include "server/workers.h"
#include "starvirt/api.h"
#include "starvirt/core.h"

#include <pthread.h>

struct sv_guard;
struct sv_proxies;
struct sv_cors;
struct sv_metrics;
struct sv_page_cache;
struct sv_consoles;
struct sv_multipart;
struct sv_upload;

struct sv_server {
    const struct sv_api *api;
    struct sv_cloud *cloud;
    struct sv_db *db;
    struct sv_guard *guard;
    const struct sv_proxies *proxies; /* trusted; NULL = none */
    const struct sv_cors *cors;       /* other origins; NULL = none */
    struct sv_workers *disk;          /* write uploads */
    struct sv_workers *paths;         /* look at files that administrators name: their disks may hang */
    struct sv_workers *screens;       /* ask hosts for the screens of consoles */
    struct sv_park *park;
    struct sv_metrics *metrics;
    struct sv_page_cache *pages;
    struct sv_links *links;
    struct sv_shares *shares;
    struct sv_hangups *hangups;
    struct sv_begun_room *begun;
    struct sv_consoles *consoles;
    const char *upload_dir; /* DIR/upload */
    bool metrics_public;
    bool check_replies; /* against their rows; for tests */
    bool log_requests;  /* the level shows info lines */
    char id_prefix[9];  /* of request ids: tells one run of the program from another */
    atomic_uint_least64_t next_id;
    atomic_uint active; /* requests from head to last byte of the reply */
    atomic_uint handed; /* of these, with another thread than their I/O thread */
    atomic_bool stopping;
    atomic_int closed; /* an enum sv_err: why the database is not open yet, and nothing can be answered; 0: it is */
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

/* How far a body is. Whoever leads it out of COMING answers the request. */
enum sv_body { SV_BODY_COMING, SV_BODY_WHOLE, SV_BODY_REFUSED };

/* A page outside the dialects: health, metrics, descriptions. */
struct sv_request;
struct sv_page_row {
    const char *path;
    bool below;   /* of all paths that begin so, and go on */
    bool always;  /* also while the server stops */
    bool figures; /* for monitoring: also on the listener of that */
    /* True: something is to be written first, to see whether that works; `answer` then runs on the writer thread.
     * NULL = never. */
    bool (*probes)(struct sv_request *r);
    void (*answer)(struct sv_request *r);
};

enum { SV_HEAD_FIELDS = 20 };
#define SV_ALL_METHODS "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"

struct sv_request {
    struct sv_server *server;
    struct sv_link *conn;
    struct sv_peer client; /* whose request it is: the connection's other end, or whom that names as a trusted proxy */
    const struct sv_dialect *on; /* the dialect whose listener this is; NULL = the main one */
    bool metrics_only;           /* by the listener that has /metrics, for whoever reaches it */
    struct sv_arena *arena;
    char id[32];
    int64_t started_us;

    /* the head; texts live in the arena or until the reply is sent */
    const char *method, *path, *query, *authority; /* the last three: of server/uri.h */
    const char *content_type, *token, *idempotency_key;
    const char *tokens[SV_MAX_TOKEN_ROWS]; /* values of sv_api_token_headers(); `token` is one of them, dispatch.c's */
    const char *x_forwarded_for, *forwarded, *asks_method; /* Access-Control-Request-Method */
    const char *host, *origin, *upgrade, *connection_options, *languages, *ws_key, *ws_version, *ws_protocols;
    enum sv_lang lang;
    const char *fault;         /* why this is no proper HTTP request, NULL = it is */
    bool seen[SV_HEAD_FIELDS]; /* head.c's */
    const char *head_tail;     /* framing.c's: the end of the last value */
    bool head_read, head_done, chunked;
    bool unframed;   /* with a fault: where the body ends nobody can say */
    bool expects;    /* waits for a word before it sends its body */
    int64_t length;  /* Content-Length, -1 = none */
    int64_t drained; /* [bytes] read and thrown away */

    /* the body: in memory, or in a file for routes with raw_body */
    struct sv_buf body;
    struct sv_upload *upload;
    struct sv_error upload_fail;    /* of a thread that wrote it; code SV_OK: none */
    struct sv_claim *claim;         /* the room it takes */
    struct sv_multipart *multipart; /* the form around it; NULL = none */
    _Atomic enum sv_body coming;

    /* found out by dispatch.c */
    const struct sv_page_row *page;
    unsigned described; /* of a description: which dialect */
    struct sv_match match;
    struct sv_actor actor;
    bool known;            /* actor is set: the token was good */
    uint64_t token_seen;   /* sv_begun_seen() before that */
    struct sv_begun begun; /* watches the token while `watched` */
    bool watched;
    void *in;
    const struct sv_unknown *unknown; /* parameter keys nobody knows; NULL = none */
    unsigned char idem_hash[SV_SHA256_LEN];
    bool upload_keep;
    struct sv_place upload_place;
    const void *prepared;         /* by the route's `prepare` */
    struct sv_error prepare_fail; /* code SV_OK: it went well */
    struct sv_id job;             /* its end is the answer; empty = none */
    struct sv_id console_tenant, console_vm;

    /* being run */
    struct sv_db_work write;
    struct sv_work work;
    struct sv_waiter waiter;
    bool waiting; /* the waiter is registered */
    bool waited;  /* it has a deadline */
    bool written; /* TELL: what it asked for is written, and only the engine is waited for */
    struct sv_place place;
    struct sv_watch watch;
    void (*gone)(struct sv_request *r);
    atomic_bool hung_up; /* the client went while the request waited */
    /* Gives the request back to its I/O thread; set by http.c. After the call it is not the caller's. */
    void (*resume)(struct sv_request *r);
    /* Answers with the failure while the body still comes, which is then read for nothing: from any thread that knows
     * the request to be there. Nothing happens when the whole body is there, or another was quicker. */
    void (*refuse)(struct sv_request *r, const struct sv_error *why);
    void *connection; /* http.c's */
    bool left;        /* no longer counted as active */

    /* the reply */
    bool answered;
    enum sv_err code;
    unsigned status;         /* of HTTP */
    const char *type;        /* content type of a page; NULL = the wire's */
    const char *csp, *cache; /* of a page; NULL = nothing active, and not kept */
    struct sv_buf reply;
    const char *fixed; /* a reply that outlives the request, instead of `reply` */
    size_t fixed_len;
    const struct sv_reply_header *header; /* of a handler */
    unsigned headers;
    const char *challenge; /* WWW-Authenticate; NULL = none */
    bool streams;          /* `stream` instead of `reply` */
    struct sv_stream stream;
    unsigned retry_after; /* [s], 0 = no header */
    bool close;           /* the connection is not to be used again */
    /* With status 101: the socket leaves HTTP and is the callee's. Runs on the I/O thread. */
    void (*take)(struct sv_request *r, const struct sv_taken *t);
    char ws_accept[32];
};

/* Gives r back to its I/O thread, for whoever was handed it. */
void sv_request_return(struct sv_request *r);

/* For requests that take long, with r->actor set: their token is watched, `ended` as of sv_begun_watch(), until the end
 * of the request, or until they wait for something else. */
void sv_request_begun(struct sv_request *r, void (*ended)(struct sv_begun *b, const struct sv_error *why));

/* For requests that wait long for something else than their own work (a change, a job): before r waits, it takes a
 * place of the supply, and its client and its token are watched. When the client goes, hung_up is set, when the token
 * does, begun.over, and then `gone` called: on another thread, with a lock held under which it may wake and return r,
 * but neither block nor end the waiting. It may come before r really waits: look at sv_request_hurried() after r can be
 * woken. Calling it again keeps the place. SHARE_USED, OVERLOADED. */
enum sv_err sv_request_wait(struct sv_request *r, enum sv_supply of, void (*gone)(struct sv_request *r),
                            struct sv_error *err);
/* Nobody waits for the answer any more, or it must not be given. */
bool sv_request_hurried(const struct sv_request *r);
/* The waiting is over: nobody is watched, the place is given back. For the thread that has r; may be called at any
 * time, and is at the end of each request. */
void sv_request_waited(struct sv_request *r);

/* Counts `active` or `handed` down and tells who waits for the end. */
void sv_server_left(struct sv_server *s, atomic_uint *count);
/* Waits until no request is active or handed over; false when the limit came first. */
bool sv_server_drain(struct sv_server *s, int64_t limit_ms);

#endif
