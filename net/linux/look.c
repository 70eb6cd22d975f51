/* Reading the kernel directly: three small messages instead of three processes whose output would have
 * to be parsed. */
#include "net/linux/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

/* --- devices --- */

static void copy_attr(char *dst, size_t size, const struct rtattr *a)
{
    size_t n = RTA_PAYLOAD(a);
    if (n >= size)
        n = size - 1;
    memcpy(dst, RTA_DATA(a), n);
    dst[n] = '\0';
}

static void read_kind(const struct rtattr *info, struct device *d)
{
    int left = (int)RTA_PAYLOAD(info);
    for (const struct rtattr *a = RTA_DATA(info); RTA_OK(a, left); a = RTA_NEXT(a, left))
        if (a->rta_type == IFLA_INFO_KIND)
            copy_attr(d->kind, sizeof(d->kind), a);
}

static void read_link(const struct nlmsghdr *h, struct device *d)
{
    const struct ifinfomsg *m = NLMSG_DATA(h);
    d->index = m->ifi_index;
    d->up = (m->ifi_flags & IFF_UP) != 0;
    int left = (int)IFLA_PAYLOAD(h);
    for (const struct rtattr *a = IFLA_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == IFLA_MASTER)
            memcpy(&d->master, RTA_DATA(a), sizeof(d->master));
        else if (a->rta_type == IFLA_IFALIAS)
            copy_attr(d->alias, sizeof(d->alias), a);
        else if (a->rta_type == IFLA_LINKINFO)
            read_kind(a, d);
    }
}

static ssize_t ask_link(int fd, const char *name, void *answer, size_t size)
{
    struct {
        struct nlmsghdr h;
        struct ifinfomsg m;
        char attrs[RTA_SPACE(IFNAMSIZ)];
    } q = {.h = {.nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST}, .m = {.ifi_family = AF_UNSPEC}};
    struct rtattr *a = (struct rtattr *)(void *)q.attrs;
    size_t n = strlen(name) + 1;
    a->rta_type = IFLA_IFNAME;
    a->rta_len = (unsigned short)RTA_LENGTH(n);
    memcpy(RTA_DATA(a), name, n);
    q.h.nlmsg_len = (unsigned)(NLMSG_LENGTH(sizeof(q.m)) + RTA_ALIGN(a->rta_len));
    if (send(fd, &q, q.h.nlmsg_len, 0) < 0)
        return -1;
    return recv(fd, answer, size, 0);
}

enum sv_err device_look(const char *name, struct device *ret, struct sv_error *err)
{
    SV_AUTOFD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    _Alignas(struct nlmsghdr) char answer[16384];
    ssize_t n = fd < 0 ? -1 : ask_link(fd, name, answer, sizeof(answer));
    const struct nlmsghdr *h = (const struct nlmsghdr *)(void *)answer;
    if (n < 0 || !NLMSG_OK(h, (size_t)n))
        return net_errno(err, "look at device", name);
    struct device d = {0};
    if (h->nlmsg_type == RTM_NEWLINK) {
        read_link(h, &d);
    } else if (h->nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr *e = NLMSG_DATA(h);
        errno = -e->error;
        if (errno != ENODEV)
            return net_errno(err, "look at device", name);
    }
    *ret = d;
    return SV_OK;
}

/* --- namespaces --- */

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

/* --- switches --- */

bool sysctl_set(const char *family, const char *device, const char *key, const char *value)
{
    SV_AUTOFREE char *path = sv_asprintf("/proc/sys/net/%s/conf/%s/%s", family, device, key);
    SV_AUTOFD int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT;
    return write(fd, value, strlen(value)) == (ssize_t)strlen(value);
}
