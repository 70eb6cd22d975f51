#include "net/balance/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ANSWER_MS = 2000,
    ANSWER_MAX = 8 * 1024 * 1024, /* bytes; 20,000 nodes have less */
};

/* Through the directory's descriptor: the path may be longer than an address of a socket can be. */
static int connect_to(const char *dir)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    SV_AUTOFD int at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    SV_AUTOFD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (at < 0 || fd < 0)
        return -1;
    snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d/haproxy.sock", at);
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
        return -1;
    int ret = fd;
    fd = -1;
    return ret;
}

static bool ready(int fd, short events, const struct sv_deadline *d)
{
    struct pollfd p = {.fd = fd, .events = events};
    int n;
    do {
        n = poll(&p, 1, (int)sv_deadline_left(d));
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

static bool send_all(int fd, const char *p, size_t n, const struct sv_deadline *d)
{
    while (n > 0) {
        const ssize_t done = send(fd, p, n, MSG_NOSIGNAL);
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        } else if (errno != EINTR && (errno != EAGAIN || !ready(fd, POLLOUT, d))) {
            return false;
        }
    }
    return true;
}

static bool receive_all(int fd, struct sv_buf *ret, const struct sv_deadline *d)
{
    char chunk[16 * 1024];
    while (ret->n < ANSWER_MAX && !sv_deadline_over(d)) {
        const ssize_t n = recv(fd, chunk, sizeof(chunk), 0);
        if (n == 0)
            return true;
        if (n > 0)
            sv_buf_add(ret, chunk, (size_t)n);
        else if (errno != EINTR && (errno != EAGAIN || !ready(fd, POLLIN, d)))
            return false;
    }
    return false;
}

enum sv_err haproxy_ask(const struct sv_deadline *d, const char *dir, const char *command, struct sv_buf *ret,
                        struct sv_error *err)
{
    const struct sv_deadline limit = sv_deadline_within(d, ANSWER_MS);
    SV_AUTOFD int fd = connect_to(dir);
    if (fd < 0 || !send_all(fd, command, strlen(command), &limit) || !send_all(fd, "\n", 1, &limit) ||
        !receive_all(fd, ret, &limit))
        return sv_fail(err, SV_E_NETWORK, SV_F_NONE, "haproxy does not answer");
    return SV_OK;
}
