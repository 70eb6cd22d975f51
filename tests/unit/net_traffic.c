#include "net_traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/linux/internal.h"
#include "starvirt/text.h"

struct made {
    int type, fd;
};

static void make_socket(void *arg)
{
    struct made *m = arg;
    m->fd = socket(AF_INET, m->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int socket_in(const char *netns, int type)
{
    struct made m = {.type = type, .fd = -1};
    if (netns[0]) {
        char path[100];
        snprintf(path, sizeof(path), "/run/netns/%s", netns);
        SV_AUTOFD int fd = netns_open(path);
        CHECK(fd >= 0);
        OK(netns_call(fd, make_socket, &m, &err));
    } else {
        make_socket(&m);
    }
    CHECK(m.fd >= 0);
    return m.fd;
}

static struct sockaddr_in to_address(const char *address, uint16_t port)
{
    uint32_t ip = 0;
    CHECK(sv_ip4_parse(address, &ip));
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(ip)}};
}

int traffic_listen(const char *netns, int type, const char *address, uint16_t port)
{
    const struct sockaddr_in a = to_address(address, port);
    const int on = 1;
    int fd = socket_in(netns, type);
    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    CHECK_INT(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
    if (type == SOCK_STREAM)
        CHECK_INT(listen(fd, 64), 0);
    return fd;
}

static bool ready(int fd, short events, unsigned ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, (int)ms) == 1;
}

bool flow_tcp(const char *netns, const char *address, uint16_t port, int listener, unsigned ms, struct flow *ret)
{
    const struct sockaddr_in to = to_address(address, port);
    struct sockaddr_in from = {0};
    socklen_t n = sizeof(from);
    int number = 0;
    socklen_t number_n = sizeof(number);
    struct flow f = {.client = socket_in(netns, SOCK_STREAM), .server = -1};
    if (connect(f.client, (const struct sockaddr *)&to, sizeof(to)) != 0 && errno == EINPROGRESS &&
        ready(f.client, POLLOUT, ms) && getsockopt(f.client, SOL_SOCKET, SO_ERROR, &number, &number_n) == 0 &&
        number == 0 && ready(listener, POLLIN, ms))
        f.server = accept4(listener, (struct sockaddr *)&from, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
    f.seen = ntohl(from.sin_addr.s_addr);
    bool done = f.server >= 0;
    if (done && ret)
        *ret = f;
    else
        flow_close(&f);
    return done;
}

bool flow_udp(const char *netns, const char *address, uint16_t port, int listener, unsigned ms, uint32_t *ret_seen)
{
    const struct sockaddr_in to = to_address(address, port);
    struct sockaddr_in from = {0};
    socklen_t n = sizeof(from);
    char word[8];
    SV_AUTOFD int fd = socket_in(netns, SOCK_DGRAM);
    bool done = connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 && send(fd, "ask", 3, 0) == 3 &&
                ready(listener, POLLIN, ms) &&
                recvfrom(listener, word, sizeof(word), 0, (struct sockaddr *)&from, &n) == 3 &&
                sendto(listener, "answer", 6, 0, (const struct sockaddr *)&from, n) == 6 && ready(fd, POLLIN, ms) &&
                recv(fd, word, sizeof(word), 0) == 6;
    if (ret_seen)
        *ret_seen = ntohl(from.sin_addr.s_addr);
    return done;
}

uint32_t udp_seen(int from, const char *address, uint16_t port, int listener)
{
    const struct sockaddr_in to = to_address(address, port);
    struct sockaddr_in who = {0};
    socklen_t n = sizeof(who);
    char word[8];
    CHECK_INT(sendto(from, "ask", 3, 0, (const struct sockaddr *)&to, sizeof(to)), 3);
    if (!ready(listener, POLLIN, TRAFFIC_YES_MS) ||
        recvfrom(listener, word, sizeof(word), 0, (struct sockaddr *)&who, &n) != 3)
        return 0;
    return ntohl(who.sin_addr.s_addr);
}

static bool word_passes(int from, int to, unsigned ms)
{
    char word[8];
    return send(from, "word", 4, MSG_NOSIGNAL) == 4 && ready(to, POLLIN, ms) && recv(to, word, sizeof(word), 0) == 4;
}

bool flow_lives(const struct flow *f, unsigned ms)
{
    return word_passes(f->client, f->server, ms) && word_passes(f->server, f->client, ms);
}

void flow_close(struct flow *f)
{
    fd_closep(&f->client);
    fd_closep(&f->server);
}
