/* What of nftables is in force, without its text: chains and rules as the kernel keeps them, numbers that it gave them
 * included, so that a digest says whether anybody has touched them. */
#include "net/linux/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_SIZE = 32 * 1024, ATTEMPTS = 5 };

struct question {
    struct nlmsghdr h;
    struct nfgenmsg m;
    char attrs[256];
};

struct look {
    int fd;
    const struct nft_chain *chain;
    uint64_t digest;
    uint32_t rules, uses;
    bool there;
    bool torn; /* what was asked for changed meanwhile */
};

/* FNV-1a */
static void mix(uint64_t *digest, const void *p, size_t n)
{
    const unsigned char *b = p;
    for (size_t i = 0; i < n; i++)
        *digest = (*digest ^ b[i]) * 0x100000001b3u;
}

/* --- asking --- */

static void put(struct question *q, uint16_t type, const char *text)
{
    const size_t n = strlen(text) + 1, at = NLMSG_ALIGN(q->h.nlmsg_len);
    const struct nlattr a = {.nla_len = (uint16_t)(NLA_HDRLEN + n), .nla_type = type};
    char *to = (char *)q + at;
    memcpy(to, &a, sizeof(a));
    memcpy(to + NLA_HDRLEN, text, n);
    q->h.nlmsg_len = (uint32_t)(at + NLA_ALIGN(a.nla_len));
}

static bool ask(const struct look *l, uint16_t type, uint16_t flags, uint16_t table, uint16_t chain)
{
    struct question q = {.h = {.nlmsg_len = NLMSG_LENGTH(sizeof(q.m)),
                               .nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type),
                               .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)},
                         .m = {.nfgen_family = l->chain->family, .version = NFNETLINK_V0}};
    put(&q, table, l->chain->table);
    put(&q, chain, l->chain->name);
    return send(l->fd, &q, q.h.nlmsg_len, 0) == (ssize_t)q.h.nlmsg_len;
}

/* --- reading --- */

static void read_chain(struct look *l, const struct nlattr *a, size_t left)
{
    l->there = true;
    while (left >= NLA_HDRLEN && a->nla_len >= NLA_HDRLEN && a->nla_len <= left) {
        const char *value = (const char *)a + NLA_HDRLEN;
        const int type = a->nla_type & NLA_TYPE_MASK;
        if (type == NFTA_CHAIN_HANDLE || type == NFTA_CHAIN_POLICY)
            mix(&l->digest, value, a->nla_len - NLA_HDRLEN);
        else if (type == NFTA_CHAIN_USE && a->nla_len == NLA_HDRLEN + sizeof(l->uses))
            memcpy(&l->uses, value, sizeof(l->uses));
        const size_t step = NLA_ALIGN(a->nla_len);
        left = step < left ? left - step : 0;
        a = (const struct nlattr *)(const void *)((const char *)a + step);
    }
    l->uses = ntohl(l->uses);
}

/* All of it: a rule that is replaced keeps its number. Ours count nothing, so that none changes by itself. */
static void read_rule(struct look *l, const struct nlattr *a, size_t left)
{
    l->rules++;
    mix(&l->digest, a, left);
}

/* One message; true: it was the last one. */
static bool read_message(struct look *l, const struct nlmsghdr *h, bool *ret_bad)
{
    const struct nlattr *attrs =
        (const struct nlattr *)(const void *)((const char *)h + NLMSG_LENGTH(sizeof(struct nfgenmsg)));
    const size_t head = NLMSG_LENGTH(sizeof(struct nfgenmsg)), n = h->nlmsg_len > head ? h->nlmsg_len - head : 0;
    l->torn |= (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
    if (h->nlmsg_type == NLMSG_DONE)
        return true;
    if (h->nlmsg_type == NLMSG_ERROR) {
        errno = -((const struct nlmsgerr *)NLMSG_DATA(h))->error;
        *ret_bad = errno != 0 && errno != ENOENT;
        return true;
    }
    if ((h->nlmsg_type & 0xff) == NFT_MSG_NEWCHAIN)
        read_chain(l, attrs, n);
    else if ((h->nlmsg_type & 0xff) == NFT_MSG_NEWRULE)
        read_rule(l, attrs, n);
    return !(h->nlmsg_flags & NLM_F_MULTI);
}

static bool answer(struct look *l)
{
    _Alignas(struct nlmsghdr) char answer[ANSWER_SIZE];
    bool last = false, bad = false;
    while (!last) {
        const ssize_t got = recv(l->fd, answer, sizeof(answer), 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        size_t left = (size_t)got;
        for (const struct nlmsghdr *h = (const void *)answer; !last && NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
            last = read_message(l, h, &bad);
    }
    return !bad;
}

/* --- the whole --- */

static bool look_at(struct look *l)
{
    l->rules = l->uses = 0;
    l->there = l->torn = false;
    return ask(l, NFT_MSG_GETCHAIN, 0, NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME) && answer(l) &&
           (!l->there || (ask(l, NFT_MSG_GETRULE, NLM_F_DUMP, NFTA_RULE_TABLE, NFTA_RULE_CHAIN) && answer(l)));
}

struct digest {
    const struct nft_chain *chains;
    size_t n;
    uint64_t value; /* 0: not all of them are there */
    int number;     /* errno of what went wrong */
};

static bool digest_one(int fd, const struct nft_chain *chain, struct digest *d)
{
    struct look l = {.fd = fd, .chain = chain};
    bool good = true;
    unsigned i = 0;
    do {
        l.digest = d->value;
        good = look_at(&l);
    } while (good && l.torn && ++i < ATTEMPTS);
    if (!good || l.torn)
        d->number = l.torn ? EAGAIN : errno;
    d->value = l.there && (!chain->called || l.uses > l.rules) ? l.digest : 0;
    return good && !l.torn && d->value;
}

static void digest_here(void *arg)
{
    struct digest *d = arg;
    SV_AUTOFD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    if (fd < 0)
        d->number = errno;
    d->value = 0xcbf29ce484222325u;
    for (size_t i = 0; fd >= 0 && i < d->n; i++)
        if (!digest_one(fd, &d->chains[i], d))
            return;
}

enum sv_err nft_digest(int netns_fd, const struct nft_chain *chains, size_t n, uint64_t *ret, struct sv_error *err)
{
    struct digest d = {.chains = chains, .n = n};
    enum sv_err rc = SV_OK;
    if (netns_fd >= 0)
        rc = netns_call(netns_fd, digest_here, &d, err);
    else
        digest_here(&d);
    if (rc)
        return rc;
    errno = d.number;
    if (d.number)
        return net_errno(err, "look at", "nftables");
    *ret = d.value;
    return SV_OK;
}
