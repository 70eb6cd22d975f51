/* Frames made by hand, sent and caught in the namespaces of "guests" (net_sandbox.h). A device named eth0 each. */
#ifndef NET_FRAMES_H
#define NET_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct frame {
    unsigned char b[256];
    size_t n;
};

struct station {
    const char *netns;
    unsigned char mac[6];
    uint32_t ip;
    int wire; /* raw socket on its eth0 */
};

/* A socket of another namespace: it stays there whoever uses it. */
int socket_in(const char *netns, int domain, int type, int protocol);
/* Opens `wire`. */
void station_open(struct station *s);
void station_close(struct station *s);

enum frame_proto { F_ICMP = 1, F_TCP = 6, F_UDP = 17 };
/* IPv4 with checksums; dst_mac NULL = broadcast. */
struct frame frame_ip(const struct station *from, const unsigned char *dst_mac, uint32_t dst, enum frame_proto proto,
                      uint16_t sport, uint16_t dport);
enum { F_ARP_REQUEST = 1, F_ARP_REPLY = 2 };
struct frame frame_arp(const struct station *from, int op, uint32_t target);
/* Ethertype `type` with some bytes behind it. */
struct frame frame_other(const struct station *from, uint16_t type);
/* The same frame with an 802.1Q tag. */
struct frame frame_tagged(struct frame f, unsigned vlan);
/* Any change of addresses by hand. */
void frame_set(struct frame *f, size_t at, const void *bytes, size_t n);
enum { F_ETH_SRC = 6, F_ARP_MAC = 22, F_ARP_IP = 28 };

void frame_send(const struct station *from, const struct frame *f);
/* Forgets what came so far. */
void frames_drain(const struct station *at);
/* Did `want` come in, before a frame that `fence` sends now and that no filter of a speaking NIC stops? */
bool frame_came(const struct station *at, const struct station *fence, const struct frame *want);
/* Some IPv4 packet of this kind (ports 0: any), likewise. */
bool packet_came(const struct station *at, const struct station *fence, enum frame_proto proto, uint32_t src,
                 uint16_t sport, uint16_t dport);
/* Drains, sends, looks: frame_came() with the sender as fence. */
bool frame_passes(const struct station *from, const struct station *to, const struct frame *f);

#endif
