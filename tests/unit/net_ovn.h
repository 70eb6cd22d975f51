/* A real OVN for tests (scripts/ovn-sandbox) within net_sandbox(): hosts, "guests" that are namespaces on their br-int,
 * and packets between these. */
#ifndef NET_OVN_H
#define NET_OVN_H

#include "net_traffic.h"

#define ID(tail)                                                                                                       \
    {                                                                                                                  \
        "01900000-0000-7000-8000-" tail                                                                                \
    }
#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

#define SH(text) RUN("sh", "-c", text)
#define NB       "ovn-nbctl --timeout=20 "

/* A host's namespace ("" = the sandbox's own) and where its daemons are reached. */
struct ovn_host {
    const char *netns, *database;
};
extern const struct ovn_host ovn_host_1;

/* A namespace with eth0 on a bridge of the host. */
void ovn_plug(const struct ovn_host *host, const char *netns, const char *bridge, const char *mac,
              const char *iface_id);
void ovn_plug_nic(const struct ovn_host *host, const char *netns, const struct sv_net_nic *nic);
void ovn_unplug(const struct ovn_host *host, const char *netns);
/* Somebody in the outer network, "out". */
#define OUTSIDE "203.0.113.99"
void ovn_plug_outside(const struct ovn_host *host);

/* Who answers, and on which port; fd is ovn_listen()'s. */
struct answerer {
    const char *netns;
    int type;
    uint16_t port;
    int fd;
};
void ovn_listen(struct answerer *all, size_t n);
/* "a2:80", one of these. */
const struct answerer *ovn_answerer(const char *name);

/* Does what is sent to ip:port come to that one, as from `from` (NULL = anybody)? Within 5 s: a first packet is lost
 * now and then while OVN asks for a neighbour, and the datapath's cache may say for half a second more what was before.
 */
void ovn_expect(int line, bool want, const char *netns, const char *ip, uint16_t port, const char *name,
                const char *from);
#define COMES(netns, ip, port, name, from) ovn_expect(__LINE__, true, netns, ip, port, name, from)
#define LOST(netns, ip, port, name)        ovn_expect(__LINE__, false, netns, ip, port, name, NULL)
bool ovn_reaches(const char *netns, const char *ip, bool want);
#define PINGS(netns, ip)    CHECK(ovn_reaches(netns, ip, true))
#define NO_PINGS(netns, ip) CHECK(!ovn_reaches(netns, ip, false))

/* "nb_cfg" counts what was asked of OVN. */
int64_t ovn_changes(void);

#endif
