#include "starvirt/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 8 };

/* Through the directory's descriptor: that is short, whatever the path. */
int sv_control_socket(const char *dir, bool bound)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
    if (at < 0)
        return -1;
    snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/control", at);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bound)
        unlinkat(at, "control", 0); /* of a server that was killed */
    bool ok = fd >= 0 && (bound ? bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(fd, BACKLOG) == 0
                                : connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
    int e = errno;
    close(at);
    if (!ok && fd >= 0)
        close(fd);
    errno = e;
    return ok ? fd : -1;
}
