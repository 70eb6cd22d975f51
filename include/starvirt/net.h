/* The network-engine interface. The engine is given the whole wanted state of one unit (a VPC, a router, a security
 * group, the filter of a NIC: net_wanted.h) and makes it so in one step; applying the same state twice changes nothing,
 * and nothing is patched. It keeps no state of its own that it cannot find again on the machine. Calls block; the
 * caller serialises those of one unit, and orders units: a group before filters that name it, filters before the group
 * goes. Units of different kinds and ids are applied side by side. */
#ifndef STARVIRT_NET_H
#define STARVIRT_NET_H

#include "starvirt/clock.h"
#include "starvirt/error.h"
#include "starvirt/hv.h"
#include "starvirt/id.h"
#include "starvirt/net_wanted.h"

struct sv_net;

struct sv_net_vpc {
    struct sv_id id;
    uint32_t base; /* network address, host byte order; gateway is base + 1 */
    unsigned prefix;
    struct sv_net_uplink uplink;
};

struct sv_net_nic {
    struct sv_id id;
    unsigned char mac[6];
    uint32_t ip;
    char hostname[64]; /* made by sv_net_hostname(): [a-z0-9-], never user text */
};

/* A network of the machine's own: a bridge on one of its physical interfaces. */
enum sv_net_host_type {
    SV_NET_FLAT, /* the interface whole, frames as they come; it is then used for nothing else */
    SV_NET_VLAN, /* the frames of one 802.1Q tag, without it; other tags and untagged frames are not touched */
};
#define SV_NET_DEVICE_LEN 15 /* bytes of a device name, the kernel's bound (IFNAMSIZ) */
#define SV_NET_NETNS_LEN  63
enum { SV_NET_VLAN_MIN = 1, SV_NET_VLAN_MAX = 4094 };
struct sv_net_host {
    struct sv_id id; /* any UUID, also one that somebody else made */
    enum sv_net_host_type type;
    char device[SV_NET_DEVICE_LEN + 1]; /* passes sv_net_word() */
    unsigned vlan;                      /* SV_NET_VLAN only, else 0 */
    char netns[SV_NET_NETNS_LEN + 1];   /* named network namespace that has the device; "" = the server's own */
};

struct sv_net_options {
    const char *data_dir; /* from the root; engine files under DIR/net */
    const char *outer;    /* bridge of the outer network (ovn: its name in ovn-bridge-mappings); NULL = there is none:
                           * mappings are books */
    const char *ovn_nb;   /* ovn: its northbound database, "unix:/PATH" or "tcp:ADDRESS:PORT", several between commas */
    const char *ovn_sb;   /* ovn: its southbound database, likewise; NULL = what hosts do is not known */
    const char *ovn_gateways; /* ovn: system-ids of the hosts that have the outer network, between commas */
    int64_t ovn_mtu;          /* ovn: of guests [bytes] */
    bool ovn_netdev;          /* ovn: the hosts' datapath is OVS's own, not the kernel's */
};

struct sv_net_ops {
    const char *name; /* "none", "sim", "linux", "ovn" */
    /* It applies nothing and has nothing: it is not told of units, nor looked at, and has no functions for filters,
     * groups and routers. */
    bool books_only;
    /* CONFIG with a clear line where the engine cannot work here (no root, no CAP_NET_ADMIN, no dnsmasq). */
    enum sv_err (*open)(const struct sv_net_options *opt, struct sv_net **ret, struct sv_error *err);
    void (*close)(struct sv_net *net); /* leaves the data plane as it is */
    /* Bridge, DHCP server and exactly these leases. */
    enum sv_err (*vpc_apply)(struct sv_net *net, const struct sv_net_vpc *vpc, const struct sv_net_nic *nics, size_t n,
                             const struct sv_deadline *d, struct sv_error *err);
    /* All of it goes; absent: success. */
    enum sv_err (*vpc_remove)(struct sv_net *net, const struct sv_id *vpc, const struct sv_deadline *d,
                              struct sv_error *err);
    /* The four looks (vpc_whole, filter_whole, group_whole, router_whole): is all of it as it was given? They change
     * nothing. What an engine cannot see counts as being so; NULL: all of it. The caller gives no unit that it tells
     * the engine of meanwhile. */
    enum sv_err (*vpc_whole)(struct sv_net *net, const struct sv_net_vpc *vpc, const struct sv_net_nic *nics, size_t n,
                             bool *ret, struct sv_error *err);
    /* How a NIC is plugged by the hypervisor: fills kind, bridge and tap. Pure. */
    void (*attach)(struct sv_net *net, const struct sv_id *vpc, const struct sv_id *nic, struct sv_hv_nic *ret);
    /* Makes it so, whatever was there of it before. NETNS_NOT_FOUND, NET_DEVICE_NOT_FOUND, NET_DEVICE_UNUSABLE
     * (with the reason: loopback, somebody else's bridge port, the machine's own address on a flat one). The
     * caller serialises all calls for networks of this kind, and sees to it that no two networks share a
     * device unless both are SV_NET_VLAN with different tags. */
    enum sv_err (*host_apply)(struct sv_net *net, const struct sv_net_host *want, const struct sv_deadline *d,
                              struct sv_error *err);
    /* All of it goes and the device is left as it was found; absent: success. */
    enum sv_err (*host_remove)(struct sv_net *net, const struct sv_id *id, const struct sv_deadline *d,
                               struct sv_error *err);
    /* Networks of this kind that the machine holds something of, as list(). */
    enum sv_err (*host_list)(struct sv_net *net, void (*row)(void *arg, const struct sv_id *id), void *arg,
                             struct sv_error *err);
    /* The filter of a NIC, also before its tap is there: in force before the guest's first packet. Groups that it names
     * and that were never applied count as empty. */
    enum sv_err (*filter_apply)(struct sv_net *net, const struct sv_net_filter *want, const struct sv_deadline *d,
                                struct sv_error *err);
    enum sv_err (*filter_remove)(struct sv_net *net, const struct sv_id *nic, const struct sv_deadline *d,
                                 struct sv_error *err);
    enum sv_err (*filter_whole)(struct sv_net *net, const struct sv_net_filter *want, bool *ret, struct sv_error *err);
    /* What of a NIC's rules is in force now, its groups' too; nothing for one that is not filtered. */
    enum sv_err (*filter_look)(struct sv_net *net, const struct sv_id *nic, sv_net_rule_fn *row, void *arg,
                               struct sv_error *err);
    enum sv_err (*filter_list)(struct sv_net *net, void (*row)(void *arg, const struct sv_id *nic), void *arg,
                               struct sv_error *err);
    /* For all NICs that are in it, at once. */
    enum sv_err (*group_apply)(struct sv_net *net, const struct sv_net_group *want, const struct sv_deadline *d,
                               struct sv_error *err);
    enum sv_err (*group_remove)(struct sv_net *net, const struct sv_id *group, const struct sv_deadline *d,
                                struct sv_error *err);
    enum sv_err (*group_whole)(struct sv_net *net, const struct sv_net_group *want, bool *ret, struct sv_error *err);
    enum sv_err (*group_list)(struct sv_net *net, void (*row)(void *arg, const struct sv_id *group), void *arg,
                              struct sv_error *err);
    /* Router, mappings, gates and balancers; VPCs get to it by their uplinks, in either order. */
    enum sv_err (*router_apply)(struct sv_net *net, const struct sv_net_router *want, const struct sv_deadline *d,
                                struct sv_error *err);
    enum sv_err (*router_remove)(struct sv_net *net, const struct sv_id *router, const struct sv_deadline *d,
                                 struct sv_error *err);
    enum sv_err (*router_whole)(struct sv_net *net, const struct sv_net_router *want, bool *ret, struct sv_error *err);
    enum sv_err (*router_look)(struct sv_net *net, const struct sv_id *router, struct sv_net_router_facts *ret,
                               struct sv_error *err);
    /* Rules of its gates that are in force, and the nodes of its balancers (within 2 s: a balancer that does not answer
     * is NETWORK). */
    enum sv_err (*router_rules)(struct sv_net *net, const struct sv_id *router, sv_net_rule_fn *row, void *arg,
                                struct sv_error *err);
    enum sv_err (*router_nodes)(struct sv_net *net, const struct sv_id *router, sv_net_node_fn *row, void *arg,
                                struct sv_error *err);
    enum sv_err (*router_list)(struct sv_net *net, void (*row)(void *arg, const struct sv_id *router), void *arg,
                               struct sv_error *err);
    /* VPCs that the machine holds something of (start-up: those unknown to the database are removed). */
    enum sv_err (*list)(struct sv_net *net, void (*row)(void *arg, const struct sv_id *vpc), void *arg,
                        struct sv_error *err);
};

struct sv_net {
    const struct sv_net_ops *ops;
};

extern const struct sv_net_ops sv_net_none_ops, sv_net_sim_ops, sv_net_linux_ops, sv_net_ovn_ops;
/* By name; CONFIG for an unknown one. */
enum sv_err sv_net_open(const char *name, const struct sv_net_options *opt, struct sv_net **ret, struct sv_error *err);
void sv_net_close(struct sv_net *net);
/* "vm-" + last 8 of the VM's id: a host name no user text can get into (threat 14). */
void sv_net_hostname(const struct sv_id *vm, char buf[64]);
/* A NIC's device on its host: "svt" and the last twelve digits of its id. */
void sv_net_tap(const struct sv_id *nic, char buf[SV_NET_DEVICE_LEN + 1]);
/* The bridge of a network on a physical interface: "svh" and twelve digits made from the whole id. */
void sv_net_host_name(const struct sv_id *id, char buf[SV_NET_DEVICE_LEN + 1]);
/* May be the name of a device or a namespace, and be an argument of `ip`: A-Z a-z 0-9 . _ - @, beginning with
 * none of the last three; its length is the caller's to check. */
bool sv_net_word(const char *name);

#endif
