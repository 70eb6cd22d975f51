#include "net_frames.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/linux/internal.h"
#include "net_sandbox.h"

enum { ETH = 14, IP = 20, WAIT_MS = 5000 };

/* --- sockets --- */

struct making {
    int domain, type, protocol, fd;
};

static void make_socket(void *arg)
{
    struct making *m = arg;
    m->fd = socket(m->domain, m->type | SOCK_CLOEXEC, m->protocol);
}

int socket_in(const char *netns, int domain, int type, int protocol)
{
    struct making m = {.domain = domain, .type = type, .protocol = protocol, .fd = -1};
    SV_AUTOFREE char *path = sv_asprintf("/run/netns/%s", netns);
    SV_AUTOFD int fd = netns_open(path);
    CHECK(fd >= 0);
    OK(netns_call(fd, make_socket, &m, &err));
    CHECK(m.fd >= 0);
    return m.fd;
}

void station_open(struct station *s)
{
    struct ifreq r = {.ifr_name = "eth0"};
    s->wire = socket_in(s->netns, AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    CHECK_INT(ioctl(s->wire, SIOCGIFINDEX, &r), 0);
    const struct sockaddr_ll a = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = r.ifr_ifindex};
    CHECK_INT(bind(s->wire, (const struct sockaddr *)(const void *)&a, sizeof(a)), 0);
    frames_drain(s);
}

void station_close(struct station *s)
{
    fd_closep(&s->wire);
}

/* --- making --- */

void frame_set(struct frame *f, size_t at, const void *bytes, size_t n)
{
    CHECK(at + n <= sizeof(f->b));
    memcpy(f->b + at, bytes, n);
    if (f->n < at + n)
        f->n = at + n;
}

static void set16(struct frame *f, size_t at, unsigned v)
{
    const unsigned char b[] = {(unsigned char)(v >> 8), (unsigned char)v};
    frame_set(f, at, b, sizeof(b));
}

static void set32(struct frame *f, size_t at, uint32_t v)
{
    set16(f, at, v >> 16);
    set16(f, at + 2, v & 0xffff);
}

static uint32_t sum(const struct frame *f, size_t from, size_t to, uint32_t start)
{
    for (size_t i = from; i < to; i += 2)
        start += (uint32_t)f->b[i] << 8 | (i + 1 < to ? f->b[i + 1] : 0u);
    return start;
}

static unsigned folded(uint32_t s)
{
    s = (s >> 16) + (s & 0xffff);
    s += s >> 16;
    return ~s & 0xffff;
}

static struct frame frame_eth(const struct station *from, const unsigned char *dst, uint16_t type)
{
    static const unsigned char all[6] = {255, 255, 255, 255, 255, 255};
    struct frame f = {.n = 0};
    frame_set(&f, 0, dst ? dst : all, 6);
    frame_set(&f, F_ETH_SRC, from->mac, 6);
    set16(&f, 12, type);
    return f;
}

static size_t l4_size(enum frame_proto proto)
{
    return proto == F_TCP ? 20 : 8;
}

static void put_l4(struct frame *f, enum frame_proto proto, uint16_t sport, uint16_t dport, uint32_t src, uint32_t dst)
{
    static const char cookie[8] = "starvirt";
    const size_t at = ETH + IP, head = l4_size(proto), all = head + sizeof(cookie);
    const uint32_t pseudo = (src >> 16) + (src & 0xffff) + (dst >> 16) + (dst & 0xffff) + proto + (uint32_t)all;
    frame_set(f, at + head, cookie, sizeof(cookie));
    if (proto == F_ICMP) {
        set16(f, at, 8 << 8); /* echo */
        set16(f, at + 4, sport);
        set16(f, at + 2, folded(sum(f, at, f->n, 0)));
        return;
    }
    set16(f, at, sport);
    set16(f, at + 2, dport);
    if (proto == F_TCP) {
        set32(f, at + 4, 1000);
        set16(f, at + 12, 5 << 12 | 0x02); /* SYN */
        set16(f, at + 14, 8192);
    } else {
        set16(f, at + 4, (unsigned)all);
    }
    set16(f, at + (proto == F_TCP ? 16 : 6), folded(sum(f, at, f->n, pseudo)));
}

struct frame frame_ip(const struct station *from, const unsigned char *dst_mac, uint32_t dst, enum frame_proto proto,
                      uint16_t sport, uint16_t dport)
{
    struct frame f = frame_eth(from, dst_mac, ETH_P_IP);
    set16(&f, ETH, 0x4500);
    set16(&f, ETH + 2, (unsigned)(IP + l4_size(proto) + 8));
    set32(&f, ETH + 4, 0);
    set16(&f, ETH + 8, 64u << 8 | proto);
    set16(&f, ETH + 10, 0);
    set32(&f, ETH + 12, from->ip);
    set32(&f, ETH + 16, dst);
    set16(&f, ETH + 10, folded(sum(&f, ETH, ETH + IP, 0)));
    put_l4(&f, proto, sport, dport, from->ip, dst);
    return f;
}

struct frame frame_arp(const struct station *from, int op, uint32_t target)
{
    static const unsigned char head[] = {0, 1, 8, 0, 6, 4, 0};
    struct frame f = frame_eth(from, NULL, ETH_P_ARP);
    const unsigned char o = (unsigned char)op;
    frame_set(&f, ETH, head, sizeof(head));
    frame_set(&f, ETH + 7, &o, 1);
    frame_set(&f, F_ARP_MAC, from->mac, 6);
    set32(&f, F_ARP_IP, from->ip);
    frame_set(&f, F_ARP_IP + 4, "\0\0\0\0\0\0", 6);
    set32(&f, F_ARP_IP + 10, target);
    return f;
}

struct frame frame_other(const struct station *from, uint16_t type)
{
    struct frame f = frame_eth(from, NULL, type);
    frame_set(&f, ETH, "some bytes that nobody has to understand at all....", 50);
    return f;
}

struct frame frame_tagged(struct frame f, unsigned vlan)
{
    struct frame r = {.n = 0};
    frame_set(&r, 0, f.b, 12);
    set16(&r, 12, ETH_P_8021Q);
    set16(&r, 14, vlan);
    frame_set(&r, 16, f.b + 12, f.n - 12);
    return r;
}

/* --- sending and catching --- */

void frame_send(const struct station *from, const struct frame *f)
{
    CHECK_INT(send(from->wire, f->b, f->n, 0), (ssize_t)f->n);
}

void frames_drain(const struct station *at)
{
    char b[2048];
    while (recv(at->wire, b, sizeof(b), MSG_DONTWAIT) >= 0)
        ;
}

/* The next frame that came in, not those that went out. */
static ssize_t next(const struct station *at, unsigned char *b, size_t size)
{
    for (;;) {
        struct sockaddr_ll a = {.sll_family = AF_PACKET};
        socklen_t len = sizeof(a);
        struct pollfd p = {.fd = at->wire, .events = POLLIN};
        if (poll(&p, 1, WAIT_MS) != 1)
            check_failed(__FILE__, __LINE__, "no frame at %s within %d ms", at->netns, WAIT_MS);
        ssize_t n = recvfrom(at->wire, b, size, 0, (struct sockaddr *)(void *)&a, &len);
        CHECK(n >= 0);
        if (a.sll_pkttype != PACKET_OUTGOING)
            return n;
    }
}

typedef bool matches_fn(const unsigned char *b, size_t n, const void *want);

static bool came(const struct station *at, const struct station *fence, matches_fn *matches, const void *want)
{
    static uint32_t round;
    const struct frame last = frame_arp(fence, F_ARP_REQUEST, 0xC6336400 + (++round & 0xff)); /* 198.51.100.x */
    unsigned char b[2048];
    bool seen = false;
    frame_send(fence, &last);
    for (;;) {
        ssize_t n = next(at, b, sizeof(b));
        if ((size_t)n >= last.n && memcmp(b, last.b, last.n) == 0)
            return seen;
        seen |= matches(b, (size_t)n, want);
    }
}

static bool same_frame(const unsigned char *b, size_t n, const void *want)
{
    const struct frame *f = want;
    return n >= f->n && memcmp(b, f->b, f->n) == 0;
}

bool frame_came(const struct station *at, const struct station *fence, const struct frame *want)
{
    return came(at, fence, same_frame, want);
}

struct kind {
    enum frame_proto proto;
    uint32_t src;
    uint16_t sport, dport;
};

static unsigned get16(const unsigned char *b)
{
    return (unsigned)b[0] << 8 | b[1];
}

static bool same_kind(const unsigned char *b, size_t n, const void *want)
{
    const struct kind *k = want;
    return n >= ETH + IP + 8 && get16(b + 12) == ETH_P_IP && b[ETH + 9] == k->proto &&
           (get16(b + ETH + 12) << 16 | get16(b + ETH + 14)) == k->src &&
           (!k->sport || get16(b + ETH + IP) == k->sport) && (!k->dport || get16(b + ETH + IP + 2) == k->dport);
}

bool packet_came(const struct station *at, const struct station *fence, enum frame_proto proto, uint32_t src,
                 uint16_t sport, uint16_t dport)
{
    const struct kind k = {.proto = proto, .src = src, .sport = sport, .dport = dport};
    return came(at, fence, same_kind, &k);
}

bool frame_passes(const struct station *from, const struct station *to, const struct frame *f)
{
    frames_drain(to);
    frame_send(from, f);
    return frame_came(to, from, f);
}
