/* Reading the kernel directly: three small messages instead of three processes whose output would have
 * to be parsed. */
#include "net/linux/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
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

/* What is here belongs to the kind, which comes first. */
static void read_bridge(const struct rtattr *data, struct device *d)
{
    int left = (int)RTA_PAYLOAD(data);
    for (const struct rtattr *a = RTA_DATA(data); RTA_OK(a, left); a = RTA_NEXT(a, left))
        if (a->rta_type == IFLA_BR_NF_CALL_IPTABLES)
            d->tracked = *(const unsigned char *)RTA_DATA(a) != 0;
}

static void read_kind(const struct rtattr *info, struct device *d)
{
    int left = (int)RTA_PAYLOAD(info);
    for (const struct rtattr *a = RTA_DATA(info); RTA_OK(a, left); a = RTA_NEXT(a, left))
        if (a->rta_type == IFLA_INFO_KIND)
            copy_attr(d->kind, sizeof(d->kind), a);
        else if (a->rta_type == IFLA_INFO_DATA && strcmp(d->kind, "bridge") == 0)
            read_bridge(a, d);
}

static void read_link(const struct nlmsghdr *h, struct device *d)
{
    const struct ifinfomsg *m = NLMSG_DATA(h);
    d->index = m->ifi_index;
    d->up = (m->ifi_flags & IFF_UP) != 0;
    d->loopback = (m->ifi_flags & IFF_LOOPBACK) != 0;
    d->promisc = (m->ifi_flags & IFF_PROMISC) != 0;
    d->ethernet = m->ifi_type == ARPHRD_ETHER;
    int left = (int)IFLA_PAYLOAD(h);
    for (const struct rtattr *a = IFLA_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == IFLA_MASTER)
            memcpy(&d->master, RTA_DATA(a), sizeof(d->master));
        else if (a->rta_type == IFLA_MTU)
            memcpy(&d->mtu, RTA_DATA(a), sizeof(d->mtu));
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

int device_socket(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

enum sv_err device_look(const char *name, struct device *ret, struct sv_error *err)
{
    SV_AUTOFD int fd = device_socket();
    return device_look_by(fd, name, ret, err);
}

enum sv_err device_look_by(int fd, const char *name, struct device *ret, struct sv_error *err)
{
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

/* --- addresses --- */

static bool ask_address(int fd, struct ifreq *r, unsigned long request, uint32_t *ret)
{
    struct sockaddr_in a;
    if (ioctl(fd, request, r) != 0)
        return false;
    memcpy(&a, &r->ifr_addr, sizeof(a));
    *ret = ntohl(a.sin_addr.s_addr);
    return true;
}

bool address_is(const char *device, uint32_t ip, unsigned prefix)
{
    uint32_t is_ip = 0, is_mask = 0;
    struct ifreq r = {.ifr_name = ""};
    SV_AUTOFD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    SV_COPY(r.ifr_name, device);
    return fd >= 0 && ask_address(fd, &r, SIOCGIFADDR, &is_ip) && ask_address(fd, &r, SIOCGIFNETMASK, &is_mask) &&
           is_ip == ip && is_mask == ~(uint32_t)0 << (32 - prefix);
}

/* --- switches --- */

bool sysctl_write(const char *key, const char *value)
{
    SV_AUTOFREE char *path = sv_asprintf("/proc/sys/net/%s", key);
    SV_AUTOFD int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT;
    return write(fd, value, strlen(value)) == (ssize_t)strlen(value);
}

bool sysctl_set(const char *family, const char *device, const char *key, const char *value)
{
    SV_AUTOFREE char *whole = sv_asprintf("%s/conf/%s/%s", family, device, key);
    return sysctl_write(whole, value);
}

bool forwards(void)
{
    char value = '0';
    SV_AUTOFD int fd = open("/proc/sys/net/ipv4/conf/all/forwarding", O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, &value, 1) == 1 && value != '0';
}
