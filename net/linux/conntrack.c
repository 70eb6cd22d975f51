/* Connections that the kernel remembers: those of one mark are forgotten, by the one message that this takes. */
#include "net/linux/router.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

struct question {
    struct nlmsghdr h;
    struct nfgenmsg m;
    struct nlattr mark_head;
    uint32_t mark;
    struct nlattr mask_head;
    uint32_t mask;
};

static int answer_of(int fd)
{
    _Alignas(struct nlmsghdr) char answer[1024];
    ssize_t n = recv(fd, answer, sizeof(answer), 0);
    const struct nlmsghdr *h = (const struct nlmsghdr *)(void *)answer;
    if (n < 0)
        return errno;
    if (!NLMSG_OK(h, (size_t)n) || h->nlmsg_type != NLMSG_ERROR)
        return EPROTO;
    return -((const struct nlmsgerr *)NLMSG_DATA(h))->error;
}

bool conntrack_forget(uint32_t mark)
{
    const struct question q = {
        .h = {.nlmsg_len = sizeof(q),
              .nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
              .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .m = {.nfgen_family = AF_INET, .version = NFNETLINK_V0},
        .mark_head = {.nla_len = sizeof(struct nlattr) + sizeof(uint32_t), .nla_type = CTA_MARK},
        .mark = htonl(mark),
        .mask_head = {.nla_len = sizeof(struct nlattr) + sizeof(uint32_t), .nla_type = CTA_MARK_MASK},
        .mask = UINT32_MAX,
    };
    SV_AUTOFD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    if (fd < 0 || send(fd, &q, sizeof(q), 0) < 0)
        return false;
    errno = answer_of(fd);
    return errno == 0 || errno == ENOENT;
}
