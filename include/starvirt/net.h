/* The network-engine interface (design section 7). The engine is given the whole wanted state of a VPC
 * and makes it so; applying the same state twice changes nothing. It keeps no state of its own that it
 * cannot find again on the machine. Calls block; per VPC the caller serialises. */
#ifndef STARVIRT_NET_H
#define STARVIRT_NET_H

#include "starvirt/clock.h"
#include "starvirt/error.h"
#include "starvirt/hv.h"
#include "starvirt/id.h"

struct sv_net;

struct sv_net_vpc {
    struct sv_id id;
    uint32_t base; /* network address, host byte order; gateway is base + 1 */
    unsigned prefix;
};

struct sv_net_nic {
    struct sv_id id;
    unsigned char mac[6];
    uint32_t ip;
    char hostname[64]; /* made by sv_net_hostname(): [a-z0-9-], never user text */
};

struct sv_net_options {
    const char *data_dir; /* engine files under DIR/net */
};

struct sv_net_ops {
    const char *name; /* "none", "linux" */
    /* CONFIG with a clear line where the engine cannot work here (no root, no CAP_NET_ADMIN, no dnsmasq). */
    enum sv_err (*open)(const struct sv_net_options *opt, struct sv_net **ret, struct sv_error *err);
    void (*close)(struct sv_net *net); /* leaves the data plane as it is */
    /* Bridge, DHCP server and exactly these leases. */
    enum sv_err (*vpc_apply)(struct sv_net *net, const struct sv_net_vpc *vpc, const struct sv_net_nic *nics, size_t n,
                             const struct sv_deadline *d, struct sv_error *err);
    /* All of it goes; absent: success. */
    enum sv_err (*vpc_remove)(struct sv_net *net, const struct sv_id *vpc, const struct sv_deadline *d,
                              struct sv_error *err);
    /* How a NIC is plugged by the hypervisor: fills kind, bridge and tap. Pure. */
    void (*attach)(struct sv_net *net, const struct sv_id *vpc, const struct sv_id *nic, struct sv_hv_nic *ret);
    /* VPCs that the machine holds something of (start-up: those unknown to the database are removed). */
    enum sv_err (*list)(struct sv_net *net, void (*row)(void *arg, const struct sv_id *vpc), void *arg,
                        struct sv_error *err);
};

struct sv_net {
    const struct sv_net_ops *ops;
};

extern const struct sv_net_ops sv_net_none_ops, sv_net_linux_ops;
/* By name; CONFIG for an unknown one ("ovn" is not there yet and says so). */
enum sv_err sv_net_open(const char *name, const struct sv_net_options *opt, struct sv_net **ret, struct sv_error *err);
void sv_net_close(struct sv_net *net);
/* "vm-" + last 8 of the VM's id: a host name no user text can get into (threat 14). */
void sv_net_hostname(const struct sv_id *vm, char buf[64]);

#endif
