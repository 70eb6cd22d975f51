/* The Linux engine, inside. A network on a physical interface stands in host.c. One VPC is
 *
 *     guests' taps ── bridge svb… ── veth svl… ══ gw0 in namespace sv-… : gateway address, dnsmasq
 *
 * and files under DIR/net/<vpc id>/. The dots are the last twelve hex digits of the VPC's id: its random
 * part, short enough for a device name. The bridge carries the whole id as its alias, so that a device
 * of somebody else is never taken for ours. The machine itself has no address in a VPC.
 *
 * Nothing is remembered between calls: each looks at the kernel, the process and the files, and mends
 * what differs. (But for marks.c, what filters and gateways are held against: without it they count as changed.) */
#ifndef STARVIRT_NET_LINUX_INTERNAL_H
#define STARVIRT_NET_LINUX_INTERNAL_H

#include <pthread.h>
#include <sys/types.h>

#include "net/tools.h"
#include "starvirt/mem.h"
#include "starvirt/net.h"
#include "starvirt/proc.h"
#include "starvirt/text.h"

#define GATEWAY_DEV   "gw0"
#define BRIDGE_PREFIX "svb"
#define TAP_PREFIX    "svt"

struct linux_net {
    struct sv_net head;
    char *dir;                    /* DIR/net, absolute: a directory a VPC */
    char *host_dir;               /* DIR/net-host: a file a network on a physical interface */
    char *router_dir;             /* DIR/net-router: a directory a router */
    char *outer;                  /* bridge of the outer network; NULL = there is none */
    char *ip, *dnsmasq, *setpriv; /* absolute paths */
    struct marks *marks;
    pthread_mutex_t filters; /* what is in force for all NICs changes, and is looked at, under it */
    uint64_t base;           /* digest of that; 0 = unknown */
};

/* Everything that is derived from a VPC's id. */
struct names {
    char bridge[16], leg[16], netns[20], netns_path[40];
    char *dir; /* DIR/net/<id> */
};
void names_of(const struct linux_net *net, const struct sv_id *vpc, struct names *ret);
void names_free(struct names *n);
void vpc_netns_path(const struct sv_id *vpc, char buf[40]);
/* A prefix and the last twelve hex digits of an id. */
void name_of(const char *prefix, const struct sv_id *id, char *buf, size_t size);
/* The names in a directory that are ids. */
enum sv_err ids_in(const char *path, void (*row)(void *arg, const struct sv_id *id), void *arg, struct sv_error *err);
void tap_name(const struct sv_id *nic, char buf[16]);
/* Devices of one id keep their address when they are made again, so that no neighbour has to learn. */
void id_mac(const struct sv_id *id, char buf[SV_MAC_LEN]);
void leg_name(const struct sv_id *vpc, char buf[16]); /* from its bridge to its gateway */

/* What one call works with. */
struct work {
    const struct linux_net *net;
    struct sv_deadline deadline; /* absent parts as in clock.h */
};

void work_init(struct work *w, const struct sv_net *net, const struct sv_deadline *d);

/* A VPC during one call. */
struct vpc {
    struct work work;
    const struct sv_net_vpc *want;
    struct names names;
};

/* --- tools.c: programs --- */
/* Runs argv; anything but exit code 0 is NETWORK with the program's own first line. */
enum sv_err tool_run(const struct work *w, const char *const *argv, const char *input, int netns_fd,
                     struct sv_error *err);
/* Likewise; what it says is added to *ret, at most 1 MiB. */
enum sv_err tool_output(const struct work *w, const char *const *argv, struct sv_buf *ret, struct sv_error *err);
/* `ip [-n netns] -batch -`; nothing to do when `batch` is empty. */
enum sv_err ip_batch(const struct work *w, const char *netns, const struct sv_buf *batch, struct sv_error *err);
/* --- look.c: what the kernel holds --- */
struct device {
    int index;                            /* 0 = there is none */
    int master;                           /* index of its bridge */
    bool up, loopback, ethernet, promisc; /* promisc: because somebody said so */
    bool tracked;                         /* a bridge that hands IPv4 to the ip family, for connection tracking */
    unsigned mtu;
    char kind[16], alias[64];
};
enum sv_err device_look(const char *name, struct device *ret, struct sv_error *err);
/* Through a socket of device_socket(), for many of them. */
int device_socket(void);
enum sv_err device_look_by(int fd, const char *name, struct device *ret, struct sv_error *err);
/* Does it forward IPv4? In the calling thread's namespace. */
bool forwards(void);
/* Has it this address and no other before it? In the calling thread's namespace. */
bool address_is(const char *device, uint32_t ip, unsigned prefix);
/* /proc/sys/net/ipv4/conf/DEV/KEY; a kernel without the key has nothing to switch off. */
bool sysctl_set(const char *family, const char *device, const char *key, const char *value);

/* Another key of /proc/sys/net/, as "ipv4/neigh/gw0/proxy_delay". */
bool sysctl_write(const char *key, const char *value);

/* --- nft.c: nftables. Any thread; netns_fd < 0: the machine's own namespace. NETWORK with nft's own first line. --- */
/* One transaction: all of the text's commands are in force, or none. n = strlen(text). */
enum sv_err nft_run(int netns_fd, const char *text, size_t n, struct sv_error *err);
/* What a command ("list table ip x") prints is added to *ret; a table that is not there is an error. */
enum sv_err nft_look(int netns_fd, const char *command, struct sv_buf *ret, struct sv_error *err);

/* --- nft_digest.c --- */
struct nft_chain {
    unsigned char family; /* NFPROTO_… */
    const char *table, *name;
    bool called; /* another chain or a map has to lead to it */
};
/* Another one after any change of any of these chains by anybody, applying the same text again included; 0 when one is
 * not there or not called. Costs two short questions a chain. */
enum sv_err nft_digest(int netns_fd, const struct nft_chain *chains, size_t n, uint64_t *ret, struct sv_error *err);

/* --- marks.c: digests of what was applied by this process; any thread --- */
struct marks *marks_new(void);
void marks_free(struct marks *m);                                         /* NULL ok */
void marks_set(struct marks *m, const struct sv_id *id, uint64_t digest); /* 0: forgotten */
uint64_t marks_get(struct marks *m, const struct sv_id *id);              /* 0: there is none */

/* --- tag.c: 802.1Q tags without VLAN devices and without bridge filtering --- */
/* Frames that come in on `device` (an index) with this tag lose it and leave through `leg`; what comes in on `leg`
 * gets the tag and leaves through `device`. Replaces what was there of it. In the calling thread's namespace. */
enum sv_err tag_set(int device, int leg, unsigned vlan, struct sv_error *err);
/* From `device` only: what hangs on the leg goes with it. `qdisc`: also what carried it. Absent: success. */
enum sv_err tag_clear(int device, unsigned vlan, bool qdisc, struct sv_error *err);
/* Has the device what filters hang on? */
bool tag_ready(int device);

/* --- host.c: networks on a physical interface; the rows of the engine's table --- */
enum sv_err host_apply(struct sv_net *net, const struct sv_net_host *want, const struct sv_deadline *d,
                       struct sv_error *err);
enum sv_err host_remove(struct sv_net *net, const struct sv_id *id, const struct sv_deadline *d, struct sv_error *err);
enum sv_err host_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *id), void *arg,
                      struct sv_error *err);

/* --- host_record.c: what was made of such a network, and how its device was found --- */
struct host_record {
    struct sv_net_host host;
    bool was_up, was_promisc, had_qdisc; /* before the first network on this device */
};
/* False: there is none. */
enum sv_err host_record_read(const struct linux_net *net, const struct sv_id *id, bool *ret_there,
                             struct host_record *ret, struct sv_error *err);
enum sv_err host_record_write(const struct linux_net *net, const struct host_record *r, struct sv_error *err);
enum sv_err host_record_remove(const struct linux_net *net, const struct sv_id *id, struct sv_error *err);
/* Another network on the same device. */
enum sv_err host_record_sibling(const struct linux_net *net, const struct sv_net_host *of, bool *ret_there,
                                struct host_record *ret, struct sv_error *err);

/* --- link.c: bridge, namespace, veth, gateway address --- */
/* NICs of running guests are plugged into the bridge, wherever they were. */
enum sv_err link_ensure(const struct vpc *v, const struct sv_net_nic *nics, size_t n, struct sv_error *err);
enum sv_err link_whole(const struct vpc *v, const struct sv_net_nic *nics, size_t n, bool *ret, struct sv_error *err);
enum sv_err link_remove(const struct vpc *v, struct sv_error *err);
/* One of a pair may go by itself meanwhile, with the other's namespace: absent is success. */
enum sv_err link_delete(const struct work *w, const char *device, struct sv_error *err);
/* The machine neither speaks through this device nor listens: no IPv6, no answer to ARP, no source accepted. */
enum sv_err link_silence(const char *device, struct sv_error *err);

/* --- dhcp.c: dnsmasq and its leases --- */
enum sv_err dhcp_ensure(const struct vpc *v, const struct sv_net_nic *nics, size_t n, struct sv_error *err);
enum sv_err dhcp_whole(const struct vpc *v, const struct sv_net_nic *nics, size_t n, bool *ret, struct sv_error *err);
enum sv_err dhcp_remove(const struct vpc *v, struct sv_error *err);

/* --- lease.c: the texts dnsmasq reads and writes --- */
/* The hosts file: one line a NIC, sorted by address. INTERNAL when a host name could break out of its line. */
enum sv_err hosts_text(const struct sv_net_nic *nics, size_t n, struct sv_buf *ret, struct sv_error *err);
/* True when every line of `old` is also in `text`: nothing was taken away or changed. */
bool hosts_only_added(const struct sv_buf *old, const struct sv_buf *text);
/* Keeps the leases that belong to one of the NICs; true when any other was dropped. */
bool leases_filter(const struct sv_buf *leases, const struct sv_net_nic *nics, size_t n, struct sv_buf *ret);

#endif
