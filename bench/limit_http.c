/* The least an HTTP service on libmicrohttpd and SQLite can cost on this machine, one mode a program run.
 *
 *     limit_http PORT MODE DB     MODE: fixed list_hand get_hand accept_group accept_direct
 *
 * POST / with the form field KEY_PARAM = Base64(JSON), or GET (show): the reply is Base64(JSON). Two
 * threads, as the daemon's default. Serves until SIGTERM, then prints requests and CPU time on stderr. */
#include "bench/yard_db.h"

#include <arpa/inet.h>
#include <json-c/json.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

enum mode { FIXED, LIST_HAND, GET_HAND, ACCEPT_GROUP, ACCEPT_DIRECT };
static const char *const mode_names[] = {[FIXED] = "fixed",
                                         [LIST_HAND] = "list_hand",
                                         [GET_HAND] = "get_hand",
                                         [ACCEPT_GROUP] = "accept_group",
                                         [ACCEPT_DIRECT] = "accept_direct"};
enum { THREADS = 2, FIXED_BYTES = 200, BODY_MAX = 4096 };

struct request {
    struct MHD_PostProcessor *form;
    struct MHD_Connection *conn;
    struct request *next;
    char param[BODY_MAX];
    size_t n;
    long vm;
    int64_t job;
    bool accepted;
};

/* A thread's own connection, statements and buffers. */
static _Thread_local struct {
    struct yard_db db;
    struct json_tokener *tok;
    struct yard_text json;
} mine;

static enum mode mode;
static const char *db_path;
static struct MHD_Response *fixed_reply;
static atomic_long requests;

static void thread_init(void)
{
    if (mine.tok)
        return;
    mine.tok = json_tokener_new();
    yard_db_open(&mine.db, db_path);
}

/* --- group commit: one writer takes all that waits, commits once, lets all go --- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct request *first, **last;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER, .last = &queue.first};

static void enqueue(struct request *r)
{
    MHD_suspend_connection(r->conn);
    pthread_mutex_lock(&queue.lock);
    r->next = NULL;
    *queue.last = r;
    queue.last = &r->next;
    pthread_cond_signal(&queue.more);
    pthread_mutex_unlock(&queue.lock);
}

static struct request *take_all(void)
{
    pthread_mutex_lock(&queue.lock);
    while (!queue.first)
        pthread_cond_wait(&queue.more, &queue.lock);
    struct request *all = queue.first;
    queue.first = NULL;
    queue.last = &queue.first;
    pthread_mutex_unlock(&queue.lock);
    return all;
}

static void *writer(void *arg)
{
    (void)arg;
    thread_init();
    for (;;) {
        struct request *all = take_all();
        yard_db_begin(&mine.db);
        for (struct request *r = all; r; r = r->next)
            r->job = yard_db_accept(&mine.db, r->vm);
        yard_db_commit(&mine.db);
        while (all) {
            struct request *next = all->next;
            all->accepted = true;
            MHD_resume_connection(all->conn);
            all = next;
        }
    }
    return NULL;
}

/* --- a request --- */

static enum MHD_Result on_field(void *cls, enum MHD_ValueKind kind, const char *key, const char *filename,
                                const char *type, const char *encoding, const char *data, uint64_t off, size_t size)
{
    struct request *r = cls;

    (void)kind, (void)filename, (void)type, (void)encoding;
    if (strcmp(key, "KEY_PARAM") != 0)
        return MHD_YES;
    if (off + size > sizeof(r->param))
        return MHD_NO;
    memcpy(r->param + off, data, size);
    r->n = (size_t)off + size;
    return MHD_YES;
}

static enum MHD_Result send_json(struct MHD_Connection *conn)
{
    char *out = malloc((mine.json.n + 2) / 3 * 4);
    if (!out)
        yard_die("out of memory");
    const size_t n = yard_b64_encode(mine.json.p, mine.json.n, out);
    struct MHD_Response *resp = MHD_create_response_from_buffer(n, out, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header(resp, "Content-Type", "text/plain; charset=UTF-8");
    const enum MHD_Result rc = MHD_queue_response(conn, MHD_HTTP_OK, resp);
    MHD_destroy_response(resp);
    return rc;
}

static enum MHD_Result send_job(struct request *r)
{
    mine.json.n = 0;
    YARD_LIT(&mine.json, "{\"result\":\"0\",\"data\":\"\",\"startid\":\"");
    yard_put_int(&mine.json, r->job);
    YARD_LIT(&mine.json, "\"}");
    return send_json(r->conn);
}

/* The parameters as json-c reads them; NULL when there are none. */
static struct json_object *parse(const struct request *r)
{
    char text[BODY_MAX];
    const long n = r->n ? yard_b64_decode(r->param, r->n, text) : -1;

    if (n < 0)
        return NULL;
    json_tokener_reset(mine.tok);
    return json_tokener_parse_ex(mine.tok, text, (int)n);
}

static long int_of(struct json_object *o, const char *key, long absent)
{
    struct json_object *v;
    return json_object_object_get_ex(o, key, &v) ? (long)json_object_get_int64(v) : absent;
}

static enum MHD_Result serve(struct request *r)
{
    static atomic_long turn;

    if (mode == FIXED)
        return MHD_queue_response(r->conn, MHD_HTTP_OK, fixed_reply);
    thread_init();
    if (r->accepted)
        return send_job(r);
    struct json_object *in = parse(r);
    if (!in && mode != GET_HAND)
        return MHD_NO;
    r->vm = atomic_fetch_add(&turn, 1) * 7919 % YARD_VMS;
    mine.json.n = 0;
    enum MHD_Result rc = MHD_YES;
    switch (mode) {
    case FIXED:
        break;
    case LIST_HAND:
        yard_db_page(&mine.db, int_of(in, "page.startnum", 1), &mine.json);
        rc = send_json(r->conn);
        break;
    case GET_HAND:
        yard_db_get(&mine.db, r->vm, &mine.json);
        rc = send_json(r->conn);
        break;
    case ACCEPT_GROUP:
        enqueue(r);
        break;
    case ACCEPT_DIRECT:
        yard_db_begin(&mine.db);
        r->job = yard_db_accept(&mine.db, r->vm);
        yard_db_commit(&mine.db);
        rc = send_job(r);
        break;
    }
    json_object_put(in);
    return rc;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_n, void **state)
{
    struct request *r = *state;

    (void)cls, (void)url, (void)version;
    if (!r) {
        r = calloc(1, sizeof(*r));
        if (!r)
            yard_die("out of memory");
        r->conn = conn;
        if (strcmp(method, "GET") != 0)
            r->form = MHD_create_post_processor(conn, 1024, on_field, r);
        *state = r;
        return MHD_YES;
    }
    if (*upload_n) {
        if (r->form)
            MHD_post_process(r->form, upload, *upload_n);
        *upload_n = 0;
        return MHD_YES;
    }
    return serve(r);
}

static void on_end(void *cls, struct MHD_Connection *conn, void **state, enum MHD_RequestTerminationCode how)
{
    struct request *r = *state;

    (void)cls, (void)conn, (void)how;
    if (!r)
        return;
    if (r->form)
        MHD_destroy_post_processor(r->form);
    free(r);
    *state = NULL;
    atomic_fetch_add(&requests, 1);
}

static struct MHD_Daemon *start(uint16_t port)
{
    const struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | (mode == ACCEPT_GROUP ? MHD_ALLOW_SUSPEND_RESUME : 0);

    return MHD_start_daemon(flags, port, NULL, NULL, on_request, NULL, MHD_OPTION_SOCK_ADDR, &addr,
                            MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS, MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL,
                            MHD_OPTION_CONNECTION_LIMIT, 1024U, MHD_OPTION_END);
}

static void report(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    const double us =
        (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    const long n = atomic_load(&requests);
    fprintf(stderr, "%s: %ld requests, %.1f us CPU each\n", mode_names[mode], n, n ? us / (double)n : 0);
}

int main(int argc, char **argv)
{
    static char reply[FIXED_BYTES];
    sigset_t set;
    pthread_t thread;
    int sig;

    if (argc != 4)
        yard_die("usage: limit_http PORT MODE DB");
    for (mode = FIXED; strcmp(mode_names[mode], argv[2]) != 0;)
        if (++mode > ACCEPT_DIRECT)
            yard_die("modes: fixed list_hand get_hand accept_group accept_direct");
    db_path = argv[3];
    yard_b64_init();
    yard_db_seed(db_path);
    memset(reply, 'A', sizeof(reply));
    fixed_reply = MHD_create_response_from_buffer(sizeof(reply), reply, MHD_RESPMEM_PERSISTENT);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (mode == ACCEPT_GROUP && pthread_create(&thread, NULL, writer, NULL) != 0)
        yard_die("no thread");
    if (!start((uint16_t)yard_arg(argv[1], 1, 65535)))
        yard_die("port %s cannot be served", argv[1]);
    puts("ready");
    fflush(stdout);
    do
        sigwait(&set, &sig);
    while (sig != SIGTERM);
    report();
    _Exit(0); /* the bare limit does not tidy up: nothing after this is measured */
}
