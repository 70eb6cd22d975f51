#include "starvirt/std.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void sv_std_open(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); /* the lowest free number is fd */
}

static bool is_reader_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

bool sv_std_close(const char *program)
{
    const bool gone = is_reader_gone(), failed_before = ferror(stdout);
    const bool failed = fclose(stdout) != 0;
    if (!failed && !failed_before)
        return true;
    if (!gone && errno != EPIPE)
        fprintf(stderr, "%s: standard output: %s\n", program, failed ? strerror(errno) : "cannot be written");
    return false;
}
