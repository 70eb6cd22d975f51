#include "net/tools.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <sys/vfs.h>
#include <unistd.h>

int netns_open(const char *path)
{
    struct statfs fs;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && (fstatfs(fd, &fs) != 0 || fs.f_type != NSFS_MAGIC))
        fd_closep(&fd);
    return fd;
}

struct call {
    int netns_fd, number;
    void (*fn)(void *arg);
    void *arg;
};

static void *call_there(void *arg)
{
    struct call *c = arg;
    if (setns(c->netns_fd, CLONE_NEWNET) == 0)
        c->fn(c->arg);
    else
        c->number = errno;
    return NULL;
}

enum sv_err netns_call(int netns_fd, void (*fn)(void *arg), void *arg, struct sv_error *err)
{
    struct call c = {.netns_fd = netns_fd, .fn = fn, .arg = arg};
    pthread_t thread;
    int number = pthread_create(&thread, NULL, call_there, &c);
    if (number == 0)
        pthread_join(thread, NULL);
    errno = number ? number : c.number;
    if (errno != 0)
        return net_errno(err, "enter", "network namespace");
    return SV_OK;
}
