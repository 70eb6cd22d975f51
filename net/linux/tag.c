/* 802.1Q tags by two tiny BPF programs. Every kernel of the last ten years runs them; VLAN devices and bridge
 * filtering are options that small kernels leave out, and two ways of doing one thing would need two proofs.
 * The programs stand before the device's own receive handler, so that all other frames go their way unseen. */
#include "net/linux/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Ours among the filters of a device: one priority a tag. */
enum { PRIORITY = 0x5000, VID_MASK = 0x0fff };

/* --- programs --- */

#define LOAD(dst, field)                                                                                               \
    ((struct bpf_insn){BPF_LDX | BPF_MEM | BPF_W, (dst), BPF_REG_6, (short)offsetof(struct __sk_buff, field), 0})
#define SET(dst, value)     ((struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_K, (dst), 0, 0, (value)})
#define COPY(dst, src)      ((struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_X, (dst), (src), 0, 0})
#define AND(dst, value)     ((struct bpf_insn){BPF_ALU64 | BPF_AND | BPF_K, (dst), 0, 0, (value)})
#define UNLESS(r, v, ahead) ((struct bpf_insn){BPF_JMP | BPF_JNE | BPF_K, (r), 0, (ahead), (v)})
#define CALL(helper)        ((struct bpf_insn){BPF_JMP | BPF_CALL, 0, 0, 0, (helper)})
#define END                 ((struct bpf_insn){BPF_JMP | BPF_EXIT, 0, 0, 0, 0})

static int load(const struct bpf_insn *code, size_t n)
{
    union bpf_attr a = {.prog_type = BPF_PROG_TYPE_SCHED_CLS,
                        .insns = (uintptr_t)code,
                        .insn_cnt = (unsigned)n,
                        .license = (uintptr_t) ""};
    return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof(a));
}

/* Of one tag: take it off and send the frame out of `leg`. All others: the next filter's. */
static int load_untag(int leg, unsigned vlan)
{
    const struct bpf_insn code[] = {
        COPY(BPF_REG_6, BPF_REG_1),
        LOAD(BPF_REG_2, vlan_present),
        UNLESS(BPF_REG_2, 1, 12),
        LOAD(BPF_REG_2, vlan_proto),
        UNLESS(BPF_REG_2, htons(ETH_P_8021Q), 10),
        LOAD(BPF_REG_2, vlan_tci),
        AND(BPF_REG_2, VID_MASK),
        UNLESS(BPF_REG_2, (int)vlan, 7),
        COPY(BPF_REG_1, BPF_REG_6),
        CALL(BPF_FUNC_skb_vlan_pop),
        UNLESS(BPF_REG_0, 0, 6),
        SET(BPF_REG_1, leg),
        SET(BPF_REG_2, 0),
        CALL(BPF_FUNC_redirect),
        END,
        SET(BPF_REG_0, TC_ACT_UNSPEC),
        END,
        SET(BPF_REG_0, TC_ACT_SHOT),
        END,
    };
    return load(code, sizeof(code) / sizeof(code[0]));
}

/* Whatever comes: tag it and send it out of `device`. */
static int load_tag(int device, unsigned vlan)
{
    const struct bpf_insn code[] = {
        COPY(BPF_REG_6, BPF_REG_1),
        SET(BPF_REG_2, htons(ETH_P_8021Q)),
        SET(BPF_REG_3, (int)vlan),
        CALL(BPF_FUNC_skb_vlan_push),
        UNLESS(BPF_REG_0, 0, 4),
        SET(BPF_REG_1, device),
        SET(BPF_REG_2, 0),
        CALL(BPF_FUNC_redirect),
        END,
        SET(BPF_REG_0, TC_ACT_SHOT),
        END,
    };
    return load(code, sizeof(code) / sizeof(code[0]));
}

/* --- traffic control --- */

struct question {
    struct nlmsghdr h;
    struct tcmsg t;
    char attrs[128];
};

static struct rtattr *put(struct question *q, unsigned short type, const void *data, size_t n)
{
    struct rtattr *a = (struct rtattr *)(void *)((char *)q + NLMSG_ALIGN(q->h.nlmsg_len));
    a->rta_type = type;
    a->rta_len = (unsigned short)RTA_LENGTH(n);
    if (n)
        memcpy(RTA_DATA(a), data, n);
    q->h.nlmsg_len = NLMSG_ALIGN(q->h.nlmsg_len) + (unsigned)RTA_ALIGN(a->rta_len);
    return a;
}

/* 0, or the number of what went wrong. */
static int ask(struct question *q)
{
    _Alignas(struct nlmsghdr) char answer[4096];
    SV_AUTOFD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    q->h.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    if (fd < 0 || send(fd, q, q->h.nlmsg_len, 0) < 0)
        return errno;
    for (;;) {
        ssize_t n = recv(fd, answer, sizeof(answer), 0);
        if (n < 0)
            return errno;
        for (const struct nlmsghdr *h = (const struct nlmsghdr *)(void *)answer; NLMSG_OK(h, (size_t)n);
             h = NLMSG_NEXT(h, n))
            if (h->nlmsg_type == NLMSG_ERROR)
                return -((const struct nlmsgerr *)NLMSG_DATA(h))->error;
    }
}

static struct question about(unsigned short type, unsigned short flags, int device)
{
    struct question q = {.h = {.nlmsg_type = type, .nlmsg_flags = flags}};
    q.t.tcm_ifindex = device;
    q.h.nlmsg_len = NLMSG_LENGTH(sizeof(q.t));
    return q;
}

static struct question about_qdisc(unsigned short type, unsigned short flags, int device)
{
    struct question q = about(type, flags, device);
    q.t.tcm_parent = TC_H_CLSACT;
    q.t.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
    return q;
}

static struct question about_filter(unsigned short type, unsigned short flags, int device, unsigned vlan)
{
    struct question q = about(type, flags, device);
    q.t.tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
    q.t.tcm_handle = 1;
    q.t.tcm_info = TC_H_MAKE((PRIORITY + vlan) << 16, htons(ETH_P_ALL));
    return q;
}

bool tag_ready(int device)
{
    struct question q = about_qdisc(RTM_GETQDISC, 0, device);
    return ask(&q) == 0;
}

static int add_qdisc(int device)
{
    struct question q = about_qdisc(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, device);
    put(&q, TCA_KIND, "clsact", sizeof("clsact"));
    int number = ask(&q);
    return number == EEXIST ? 0 : number;
}

static int add_filter(int device, unsigned vlan, int program)
{
    static const char name[] = "starvirt";
    const uint32_t flags = TCA_BPF_FLAG_ACT_DIRECT;
    struct question q = about_filter(RTM_NEWTFILTER, NLM_F_CREATE, device, vlan);
    put(&q, TCA_KIND, "bpf", sizeof("bpf"));
    struct rtattr *options = put(&q, TCA_OPTIONS, NULL, 0);
    put(&q, TCA_BPF_FD, &program, sizeof(program));
    put(&q, TCA_BPF_NAME, name, sizeof(name));
    put(&q, TCA_BPF_FLAGS, &flags, sizeof(flags));
    options->rta_len = (unsigned short)((char *)&q + q.h.nlmsg_len - (char *)options);
    return ask(&q);
}

/* Takes the program. */
static enum sv_err hang(int device, unsigned vlan, int program, struct sv_error *err)
{
    SV_AUTOFD int fd = program;
    if (fd < 0)
        return net_errno(err, "load the program of", "VLAN tags");
    errno = add_qdisc(device);
    if (errno == 0)
        errno = add_filter(device, vlan, fd);
    return errno == 0 ? SV_OK : net_errno(err, "set the filter of", "VLAN tags");
}

enum sv_err tag_set(int device, int leg, unsigned vlan, struct sv_error *err)
{
    enum sv_err rc = hang(leg, vlan, load_tag(device, vlan), err);
    return rc ? rc : hang(device, vlan, load_untag(leg, vlan), err);
}

enum sv_err tag_clear(int device, unsigned vlan, bool qdisc, struct sv_error *err)
{
    struct question filter = about_filter(RTM_DELTFILTER, 0, device, vlan);
    struct question carrier = about_qdisc(RTM_DELQDISC, 0, device);
    if (!tag_ready(device))
        return SV_OK;
    errno = ask(&filter);
    if (qdisc && (errno == 0 || errno == ENOENT))
        errno = ask(&carrier);
    return errno == 0 || errno == ENOENT ? SV_OK : net_errno(err, "remove the filter of", "VLAN tags");
}
