/* A closed-loop HTTP client: N connections, each sends its next request when the last one is answered.
 *
 *     load [-c CONNS] [-t TOKEN] [-j JOBLOG_PATH] [-o REPLIES] PORT FILE
 *
 * FILE: one request a line, METHOD, path and form body (may be empty) separated by tabs; each is sent
 * once. -j: the reply accepts a job; follow it by long polls of JOBLOG_PATH/{startid} until it has ended,
 * and count that as the latency. -o: the decoded replies, one a line, in order of arrival.
 * Prints one JSON line; a reply that is not 200 with result "0" is an error. */
#include "bench/yard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_CONNS = 1024, STALL_MS = 120000 };

struct line {
    char *method, *path, *body;
};
struct conn {
    int fd;
    struct yard_text out, in;
    size_t sent;
    double began;
    char job[40]; /* being followed; "" = none */
    long serial;  /* of the last log line seen */
};

static struct {
    const char *token, *joblog;
    FILE *replies;
    struct line *lines;
    size_t count, next, done, errors;
    double *latency;
    char first_error[256];
    int epoll;
    uint16_t port;
} load;

/* --- requests --- */

static void read_lines(const char *path)
{
    FILE *f = fopen(path, "re");
    char *text = NULL;
    size_t cap = 0, room = 0;
    ssize_t n;

    if (!f)
        yard_die("%s cannot be read", path);
    while ((n = getline(&text, &cap, f)) > 0) {
        if (load.count == room) {
            room = room ? room * 2 : 1024;
            load.lines = realloc(load.lines, room * sizeof(*load.lines));
            if (!load.lines)
                yard_die("out of memory");
        }
        if (text[n - 1] == '\n')
            text[n - 1] = '\0';
        char *rest = text;
        struct line l = {.method = strsep(&rest, "\t"), .path = strsep(&rest, "\t"), .body = rest ? rest : text + n};
        if (!l.path)
            yard_die("%s: METHOD, path and body expected: %s", path, text);
        load.lines[load.count++] = l;
        text = NULL; /* the line is kept */
        cap = 0;
    }
    free(text);
    fclose(f);
}

static void compose(struct conn *c, const char *method, const char *path, const char *body)
{
    char head[1024];
    const size_t body_n = strlen(body);
    int n = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n", method, path, load.port);

    c->out.n = c->sent = 0;
    yard_put(&c->out, head, (size_t)n);
    if (load.token) {
        n = snprintf(head, sizeof(head), "KEY_TOKEN: %s\r\n", load.token);
        yard_put(&c->out, head, (size_t)n);
    }
    if (body_n) {
        n = snprintf(head, sizeof(head), "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n",
                     body_n);
        yard_put(&c->out, head, (size_t)n);
    }
    YARD_LIT(&c->out, "\r\n");
    yard_put(&c->out, body, body_n);
    c->in.n = 0;
}

static void push(struct conn *c)
{
    while (c->sent < c->out.n) {
        const ssize_t n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL);
        if (n < 0)
            yard_die("the server closed a connection");
        c->sent += (size_t)n;
    }
}

/* False when there is nothing left to send. */
static bool send_next(struct conn *c)
{
    if (load.next == load.count)
        return false;
    const struct line *l = &load.lines[load.next++];
    compose(c, l->method, l->path, l->body);
    c->job[0] = '\0';
    c->serial = 0;
    c->began = yard_now();
    push(c);
    return true;
}

static void send_poll(struct conn *c)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s?since=%ld&wait=50", load.joblog, c->job, c->serial);
    compose(c, "GET", path, "");
    push(c);
}

/* --- replies --- */

/* The value of a Content-Length field of the head, which ends at `end`. */
static size_t body_length(const char *head, const char *end)
{
    for (const char *p = head; p < end; p = strstr(p, "\r\n") + 2)
        if (strncasecmp(p, "Content-Length:", 15) == 0)
            return (size_t)strtoul(p + 15, NULL, 10);
    yard_die("a reply without Content-Length");
}

/* The text of a string member, NULL when it is not there. */
static const char *member(const char *json, const char *key, char *out, size_t size)
{
    const char *p = strstr(json, key);
    if (!p)
        return NULL;
    p += strlen(key);
    const size_t n = strcspn(p, "\"");
    snprintf(out, size, "%.*s", (int)n, p);
    return out;
}

static long last_serial(const char *json)
{
    static const char key[] = "\"log.serial\":\"";
    long serial = 0;

    for (const char *p = strstr(json, key); p; p = strstr(p, key)) {
        p += sizeof(key) - 1;
        serial = strtol(p, NULL, 10);
    }
    return serial;
}

static void finish(struct conn *c, bool ok, const char *json)
{
    load.latency[load.done++] = yard_now() - c->began;
    if (!ok && load.errors++ == 0)
        snprintf(load.first_error, sizeof(load.first_error), "%s", json);
    if (load.replies)
        fprintf(load.replies, "%s\n", json);
    if (!send_next(c)) {
        epoll_ctl(load.epoll, EPOLL_CTL_DEL, c->fd, NULL);
        close(c->fd);
    }
}

static void follow(struct conn *c, const char *json)
{
    char value[64];

    if (!c->job[0]) {
        if (!member(json, "\"startid\":\"", c->job, sizeof(c->job)) || !c->job[0])
            if (!member(json, "\"jobstartid\":\"", c->job, sizeof(c->job)))
                yard_die("no job in the reply: %s", json);
        send_poll(c);
        return;
    }
    if (!member(json, "\"job.result\":\"", value, sizeof(value)))
        yard_die("not a job: %s", json);
    if (value[0] == '2' || value[0] == '3') {
        const long serial = last_serial(json);
        c->serial = serial > c->serial ? serial : c->serial;
        send_poll(c);
        return;
    }
    finish(c, value[0] == '0', json);
}

/* A whole reply is in. */
static void answered(struct conn *c, const char *body, size_t n)
{
    static struct yard_text text;
    const bool http_ok = strncmp(c->in.p, "HTTP/1.1 200", 12) == 0;

    yard_room(&text, n + 4);
    text.n = 0;
    const long len = yard_b64_decode(body, n, text.p);
    text.p[len > 0 ? len : 0] = '\0';
    const bool ok = http_ok && strncmp(text.p, "{\"result\":\"0\"", 13) == 0;
    if (ok && load.joblog)
        follow(c, text.p);
    else
        finish(c, ok, text.p);
}

static void readable(struct conn *c)
{
    char *room = yard_room(&c->in, 65536 + 1);
    const ssize_t n = recv(c->fd, room, 65536, 0);

    if (n <= 0)
        yard_die("the server closed a connection");
    c->in.n += (size_t)n;
    c->in.p[c->in.n] = '\0';
    const char *end = strstr(c->in.p, "\r\n\r\n");
    if (!end)
        return;
    const size_t head = (size_t)(end + 4 - c->in.p), body = body_length(c->in.p, end);
    if (c->in.n >= head + body)
        answered(c, c->in.p + head, body);
}

/* --- the loop --- */

static void dial(struct conn *c)
{
    const struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(load.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    const int on = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
        yard_die("port %u does not answer: %s", load.port, strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &ev);
}

static void run(long conns)
{
    static struct conn all[MAX_CONNS];
    struct epoll_event events[64];

    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    for (long i = 0; i < conns; i++)
        dial(&all[i]);
    for (long i = 0; i < conns; i++)
        if (!send_next(&all[i]))
            break;
    while (load.done < load.count) {
        const int n = epoll_wait(load.epoll, events, 64, STALL_MS);
        if (n <= 0)
            yard_die("no reply for %d s, %zu of %zu done", STALL_MS / 1000, load.done, load.count);
        for (int i = 0; i < n; i++)
            readable(events[i].data.ptr);
    }
}

static void report(double seconds)
{
    struct yard_text t = {0};

    qsort(load.latency, load.done, sizeof(*load.latency), yard_cmp);
    yard_put_str(&t, load.first_error, strlen(load.first_error));
    printf("{\"n\": %zu, \"errors\": %zu, \"first_error\": %.*s, \"seconds\": %.4f, \"rps\": %.1f, \"p50_us\": %.1f, "
           "\"p90_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n",
           load.done, load.errors, (int)t.n, t.p, seconds, (double)load.done / seconds,
           yard_quantile(load.latency, load.done, 0.5) * 1e6, yard_quantile(load.latency, load.done, 0.9) * 1e6,
           yard_quantile(load.latency, load.done, 0.99) * 1e6, yard_quantile(load.latency, load.done, 1) * 1e6);
    free(t.p);
}

int main(int argc, char **argv)
{
    long conns = 1;
    int opt;

    while ((opt = getopt(argc, argv, "c:t:j:o:")) != -1) {
        switch (opt) {
        case 'c':
            conns = yard_arg(optarg, 1, MAX_CONNS);
            break;
        case 't':
            load.token = optarg;
            break;
        case 'j':
            load.joblog = optarg;
            break;
        case 'o':
            load.replies = fopen(optarg, "we");
            break;
        default:
            yard_die("usage: load [-c CONNS] [-t TOKEN] [-j JOBLOG_PATH] [-o REPLIES] PORT FILE");
        }
    }
    if (argc - optind != 2)
        yard_die("usage: load [-c CONNS] [-t TOKEN] [-j JOBLOG_PATH] [-o REPLIES] PORT FILE");
    load.port = (uint16_t)yard_arg(argv[optind], 1, 65535);
    read_lines(argv[optind + 1]);
    load.latency = calloc(load.count + 1, sizeof(*load.latency));
    if (!load.latency || load.count == 0)
        yard_die("nothing to send");
    yard_b64_init();
    const double t = yard_now();
    run(conns < (long)load.count ? conns : (long)load.count);
    report(yard_now() - t);
    return load.replies && fclose(load.replies) != 0;
}
