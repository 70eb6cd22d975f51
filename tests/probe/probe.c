/* Asks and answers, to see what packets reach.
 *
 *     probe serve NAME PORT...     answers at each port, of TCP and of UDP: "NAME ADDRESS", whom it sees asking; what
 *                                  comes over a connection afterwards goes back as it is
 *     probe ask MS [DEVICE]        stdin: a line "tcp|udp|icmp ADDRESS PORT" a question. All are asked at once, for MS
 *                                  milliseconds at most; a line each comes back: what was answered, "echo" of ICMP,
 *                                  "-" when nothing came
 *
 * Linked against libc alone, so that it can be copied into a guest. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1000, WORD = 64, REPEAT_MS = 150, CONNECTIONS = 256 };

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static unsigned number(const char *text)
{
    char *end;
    const unsigned long n = strtoul(text, &end, 10);
    if (end == text || *end || n > 65535)
        die(text);
    return (unsigned)n;
}

static int make_socket(int type, int protocol)
{
    const int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (fd < 0)
        die("socket");
    return fd;
}

/* --- answering --- */

static struct pollfd served[MOST];
static nfds_t served_n, listeners;
static int is_tcp[MOST];

static void serve_port(int type, uint16_t port)
{
    const int fd = make_socket(type, 0), on = 1;
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&any, sizeof(any)) || (type == SOCK_STREAM && listen(fd, 128)))
        die("bind");
    is_tcp[served_n] = type == SOCK_STREAM;
    served[served_n++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static int word_about(char *buf, const char *name, const struct sockaddr_in *peer)
{
    char ip[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &peer->sin_addr, ip, sizeof(ip));
    return snprintf(buf, WORD, "%s %s\n", name, ip);
}

/* The oldest goes when there are too many: who asked has its answer by then. */
static void take(int fd)
{
    if (served_n == listeners + CONNECTIONS) {
        close(served[listeners].fd);
        memmove(&served[listeners], &served[listeners + 1], (CONNECTIONS - 1) * sizeof(*served));
        served_n--;
    }
    served[served_n++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void answer_listener(nfds_t i, const char *name)
{
    struct sockaddr_in peer = {0};
    socklen_t len = sizeof(peer);
    char buf[WORD];
    if (is_tcp[i]) {
        const int fd = accept4(served[i].fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if (send(fd, buf, (size_t)word_about(buf, name, &peer), MSG_NOSIGNAL) > 0)
            take(fd);
        else
            close(fd);
    } else if (recvfrom(served[i].fd, buf, sizeof(buf), 0, (struct sockaddr *)&peer, &len) >= 0) {
        const size_t n = (size_t)word_about(buf, name, &peer);
        sendto(served[i].fd, buf, n, 0, (struct sockaddr *)&peer, len);
    }
}

/* Returns whether it is still there. */
static int answer_connection(nfds_t i)
{
    char buf[512];
    const ssize_t n = recv(served[i].fd, buf, sizeof(buf), 0);
    if ((n < 0 && errno == EAGAIN) || (n > 0 && send(served[i].fd, buf, (size_t)n, MSG_NOSIGNAL) == n))
        return 1;
    close(served[i].fd);
    served[i] = served[--served_n];
    return 0;
}

static void serve(const char *name)
{
    listeners = served_n;
    for (;;) {
        if (poll(served, served_n, -1) < 0)
            die("poll");
        for (nfds_t i = listeners; i < served_n;)
            i += !served[i].revents || answer_connection(i);
        for (nfds_t i = 0; i < listeners; i++)
            if (served[i].revents)
                answer_listener(i, name);
    }
}

/* --- asking --- */

struct question {
    char proto;
    struct sockaddr_in to;
    int fd; /* of TCP and UDP; -1 once it is over */
    char answer[WORD];
};
static struct question questions[MOST];
static size_t asked, open_n;
static const char *device;
static int echo_fd = -1;

static void bind_device(int fd)
{
    if (device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)))
        die("SO_BINDTODEVICE");
}

static uint16_t checksum(const struct icmphdr *h)
{
    uint16_t words[sizeof(*h) / 2] = {0};
    uint32_t sum = 0;
    memcpy(words, h, sizeof(words));
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        sum += words[i];
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t) ~(sum + (sum >> 16));
}

static void send_question(struct question *q)
{
    if (q->proto == 'u') {
        send(q->fd, "?", 1, MSG_NOSIGNAL);
        return;
    }
    struct icmphdr h = {.type = ICMP_ECHO};
    h.un.echo.id = htons((uint16_t)getpid());
    h.un.echo.sequence = htons((uint16_t)(q - questions));
    h.checksum = checksum(&h);
    sendto(echo_fd, &h, sizeof(h), 0, (const struct sockaddr *)&q->to, sizeof(q->to));
}

static void over(struct question *q)
{
    if (q->fd >= 0)
        close(q->fd);
    q->fd = -1;
    open_n--;
}

static void begin(struct question *q)
{
    q->fd = -1;
    open_n++;
    if (q->proto == 'i')
        return;
    q->fd = make_socket(q->proto == 't' ? SOCK_STREAM : SOCK_DGRAM, 0);
    bind_device(q->fd);
    if (connect(q->fd, (const struct sockaddr *)&q->to, sizeof(q->to)) && errno != EINPROGRESS)
        over(q); /* no way there */
}

static void read_questions(void)
{
    char proto[8], ip[INET_ADDRSTRLEN], port[8];
    while (asked < MOST && scanf("%7s %15s %7s", proto, ip, port) == 3) {
        struct question *q = &questions[asked++];
        *q = (struct question){.proto = proto[0], .fd = -1};
        q->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)number(port))};
        if (inet_pton(AF_INET, ip, &q->to.sin_addr) != 1)
            die("address");
    }
}

static int is_open(const struct question *q)
{
    return q->proto == 'i' ? !q->answer[0] : q->fd >= 0;
}

static void take_echo(void)
{
    struct {
        struct iphdr ip;
        struct icmphdr icmp;
    } p;
    struct sockaddr_in from = {0};
    socklen_t len = sizeof(from);
    while (recvfrom(echo_fd, &p, sizeof(p), 0, (struct sockaddr *)&from, &len) == (ssize_t)sizeof(p)) {
        const size_t i = ntohs(p.icmp.un.echo.sequence);
        if (p.icmp.type != ICMP_ECHOREPLY || p.icmp.un.echo.id != htons((uint16_t)getpid()) || i >= asked)
            continue;
        struct question *q = &questions[i];
        if (q->proto == 'i' && is_open(q) && q->to.sin_addr.s_addr == from.sin_addr.s_addr) {
            memcpy(q->answer, "echo", sizeof("echo"));
            over(q);
        }
    }
}

static void take_answer(struct question *q)
{
    const ssize_t n = recv(q->fd, q->answer, WORD - 1, 0);
    if (n < 0 && (errno == EAGAIN || (q->proto == 'u' && errno == ECONNREFUSED)))
        return;
    q->answer[n > 0 ? n : 0] = '\0';
    q->answer[strcspn(q->answer, "\n")] = '\0';
    over(q);
}

static void wait_answers(long until)
{
    struct pollfd fds[MOST + 1];
    struct question *whose[MOST + 1];
    nfds_t n = 0;
    fds[n++] = (struct pollfd){.fd = echo_fd, .events = POLLIN};
    for (size_t i = 0; i < asked; i++)
        if (questions[i].fd >= 0) {
            whose[n] = &questions[i];
            fds[n++] = (struct pollfd){.fd = questions[i].fd, .events = POLLIN};
        }
    const long left = until - now_ms();
    if (poll(fds, n, left > 0 ? (int)left : 0) <= 0)
        return;
    if (fds[0].revents)
        take_echo();
    for (nfds_t i = 1; i < n; i++)
        if (fds[i].revents)
            take_answer(whose[i]);
}

static void ask(long ms)
{
    const long end = now_ms() + ms;
    echo_fd = make_socket(SOCK_RAW, IPPROTO_ICMP);
    bind_device(echo_fd);
    read_questions();
    for (size_t i = 0; i < asked; i++)
        begin(&questions[i]);
    for (long next = 0; open_n && now_ms() < end;) {
        if (now_ms() >= next) {
            for (size_t i = 0; i < asked; i++)
                if (questions[i].proto != 't' && is_open(&questions[i]))
                    send_question(&questions[i]);
            next = now_ms() + REPEAT_MS;
        }
        wait_answers(next < end ? next : end);
    }
    for (size_t i = 0; i < asked; i++)
        puts(questions[i].answer[0] ? questions[i].answer : "-");
}

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "serve") == 0) {
        for (int i = 3; i < argc; i++) {
            serve_port(SOCK_STREAM, (uint16_t)number(argv[i]));
            serve_port(SOCK_DGRAM, (uint16_t)number(argv[i]));
        }
        puts("ready");
        fflush(stdout);
        serve(argv[2]);
    } else if (argc >= 3 && strcmp(argv[1], "ask") == 0) {
        device = argc > 3 ? argv[3] : NULL;
        ask(number(argv[2]));
    } else {
        fputs("usage: probe serve NAME PORT... | probe ask MS [DEVICE]\n", stderr);
        return 2;
    }
    return 0;
}
