#include "net/linux/router.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void send_one(int fd, const struct sockaddr_ll *to, const unsigned char *mac, uint32_t ip)
{
    const uint32_t wire = htonl(ip);
    struct ether_arp a = {.ea_hdr = {.ar_hrd = htons(ARPHRD_ETHER),
                                     .ar_pro = htons(ETHERTYPE_IP),
                                     .ar_hln = ETH_ALEN,
                                     .ar_pln = sizeof(wire),
                                     .ar_op = htons(ARPOP_REQUEST)}};
    memcpy(a.arp_sha, mac, ETH_ALEN);
    memcpy(a.arp_spa, &wire, sizeof(wire));
    memcpy(a.arp_tpa, &wire, sizeof(wire));
    (void)!sendto(fd, &a, sizeof(a), 0, (const struct sockaddr *)to, sizeof(*to));
}

void announce(const char *device, const uint32_t *ips, size_t n)
{
    struct ifreq r = {.ifr_name = ""};
    SV_AUTOFD int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    SV_COPY(r.ifr_name, device);
    if (fd < 0 || ioctl(fd, SIOCGIFINDEX, &r) != 0)
        return;
    struct sockaddr_ll to = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(ETHERTYPE_ARP),
                             .sll_ifindex = r.ifr_ifindex,
                             .sll_halen = ETH_ALEN};
    memset(to.sll_addr, 0xff, ETH_ALEN);
    if (ioctl(fd, SIOCGIFHWADDR, &r) != 0)
        return;
    for (size_t i = 0; i < n; i++)
        send_one(fd, &to, (const unsigned char *)r.ifr_hwaddr.sa_data, ips[i]);
}
