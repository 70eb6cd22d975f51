#include "server/listen.h"
#include "starvirt/mem.h"
#include "starvirt/path.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST_HANDED = 3, BACKLOG = 4096 };

/* Is there a socket of the service manager? The variables are not for our children. */
static bool is_handed_over(void)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    int64_t p, n;
    bool ours = pid && fds && sv_parse_int(pid, &p) && p == getpid() && sv_parse_int(fds, &n) && n >= 1;
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return ours;
}

static enum sv_err take_handed_over(int *ret_fd, struct sv_error *err)
{
    int flags = fcntl(FIRST_HANDED, F_GETFL), listens = 0;
    socklen_t size = sizeof(listens);
    if (flags < 0 || getsockopt(FIRST_HANDED, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || !listens ||
        fcntl(FIRST_HANDED, F_SETFD, FD_CLOEXEC) < 0 || fcntl(FIRST_HANDED, F_SETFL, flags | O_NONBLOCK) < 0)
        return sv_fail_path(err, SV_E_CONFIG, NULL, "LISTEN_FDS", "descriptor 3 is not a listening socket");
    *ret_fd = FIRST_HANDED;
    return SV_OK;
}

/* NULL, or what is wrong with it. */
static const char *split(const char *spec, char *host, size_t host_size, const char **ret_port)
{
    const char *colon = strrchr(spec, ':');
    int64_t port;
    if (strstr(spec, "://"))
        return "is a URL, expected ADDRESS:PORT";
    if (!colon || strchr(colon, ']'))
        return "has no port, expected ADDRESS:PORT such as 127.0.0.1:18081";
    if (!sv_parse_int(colon + 1, &port) || port < 0 || port > 65535)
        return "the port is a number from 0 to 65535";
    size_t n = (size_t)(colon - spec);
    if (n >= 2 && spec[0] == '[' && spec[n - 1] == ']') {
        spec++;
        n -= 2;
    } else if (memchr(spec, ':', n)) {
        return "an IPv6 address stands in brackets: [::1]:18081";
    }
    if (n >= host_size)
        return "the address is too long";
    memcpy(host, spec, n);
    host[n] = '\0';
    *ret_port = colon + 1;
    return NULL;
}

static int bind_to(const struct addrinfo *ai)
{
    int one = 1;
    int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, ai->ai_protocol);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int e = errno;
    close(fd);
    errno = e;
    return -1;
}

enum sv_err sv_listen_open(const char *option, const char *spec, int *ret_fd, struct sv_error *err)
{
    char host[64];
    const char *port;
    if (is_handed_over())
        return take_handed_over(ret_fd, err);
    const char *wrong = split(spec, host, sizeof(host), &port);
    if (wrong)
        return sv_fail_path(err, SV_E_CONFIG, option, spec, wrong);
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
    };
    struct addrinfo *found;
    if (getaddrinfo(host[0] ? host : NULL, port, &hints, &found) != 0)
        return sv_fail_path(err, SV_E_CONFIG, option, spec,
                            "not a numeric address; 127.0.0.1 or [::1] is this machine, no address is all of them");
    int fd = bind_to(found);
    int e = errno;
    freeaddrinfo(found);
    if (fd < 0)
        return sv_fail_path(err, SV_E_SYSTEM, option, spec, strerror(e)); /* of the machine, as it is just now */
    *ret_fd = fd;
    return SV_OK;
}

void sv_listen_name(int fd, char *buf, size_t size)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    char host[64], port[16];
    sv_copy(buf, size, "?");
    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        return;
    if (getnameinfo((struct sockaddr *)&sa, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    if (strchr(host, ':'))
        snprintf(buf, size, "[%s]:%s", host, port);
    else
        snprintf(buf, size, "%s:%s", host, port);
}

void sv_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t n = path ? strlen(path) : 0;
    if (n == 0 || n >= sizeof(sa.sun_path))
        return;
    memcpy(sa.sun_path, path, n);
    if (path[0] == '@')
        sa.sun_path[0] = '\0'; /* an abstract name */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sa,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    close(fd);
}
