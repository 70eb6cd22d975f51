/* What networks should be: plain structs, made from rows by core (core/network/wanted.h) and given to an engine, which
 * turns them into its own text. Addresses are IPv4 in host byte order, ports 1..65535. An engine keeps nothing it is
 * given: all pointers are the caller's and valid during the call. Lists are sorted as said, without doubles, so that
 * the same wish gives the same text. */
#ifndef STARVIRT_NET_WANTED_H
#define STARVIRT_NET_WANTED_H

#include <stddef.h>

#include "starvirt/id.h"

enum sv_net_proto { SV_NET_ANY, SV_NET_TCP, SV_NET_UDP, SV_NET_ICMP };

struct sv_net_range {
    uint32_t first, last; /* one address: first = last */
};
/* Sorted, not overlapping; n = 0: any address. */
struct sv_net_ranges {
    const struct sv_net_range *v;
    size_t n;
};
struct sv_net_port_range {
    uint16_t first, last;
};
/* Sorted, not overlapping; n = 0: any port. TCP and UDP only. */
struct sv_net_ports {
    const struct sv_net_port_range *v;
    size_t n;
};

/* --- rules: each allows. A direction in which there is one lets pass nothing but what one of them names, and what
 * belongs to a connection that one of them let pass. A rule that goes takes its connections along. --- */
struct sv_net_rule {
    struct sv_id id;
    bool in;                       /* to the guest; else from it */
    enum sv_net_proto proto;       /* SV_NET_ANY: with ports TCP and UDP, without all of IP */
    struct sv_net_ranges src, dst; /* of the packet that opens the connection */
    struct sv_net_ports ports;     /* destination */
};
struct sv_net_rules {
    const struct sv_net_rule *v; /* in order of ids */
    size_t n;
};

/* A security group: rules that several NICs share. */
struct sv_net_group {
    struct sv_id id;
    struct sv_net_rules rules;
};

/* The filter of one NIC. That it speaks as itself only (MAC, IP, ARP, no DHCP server) holds always. */
struct sv_net_filter {
    struct sv_id nic, vpc;
    unsigned char mac[6];
    uint32_t ip, gateway;       /* its own; base + 1 of its VPC, where its DHCP server is (0: not known) */
    bool on;                    /* the VM's switch; off: groups and rules count for nothing */
    const struct sv_id *groups; /* in order of ids */
    size_t group_count;
    struct sv_net_rules rules; /* of this NIC alone (net_inner) */
};

/* --- routers --- */

/* Where a VPC's own gateway (base + 1) sends what is not for the VPC: the router's transit network. */
struct sv_net_uplink {
    struct sv_id router; /* empty = the VPC has no router */
    unsigned slot;       /* this VPC's place on it, 0..SV_NET_MAX_LEGS-1 */
};
enum { SV_NET_MAX_LEGS = 1000 };

struct sv_net_leg {
    struct sv_id vpc;
    unsigned slot; /* as in its uplink */
    uint32_t base;
    unsigned prefix;
};

/* One to one (port 0: all of IP, both ways) or one port, of an outer address. */
struct sv_net_nat {
    struct sv_id id;
    enum sv_net_proto proto; /* SV_NET_ANY: one to one; else TCP or UDP */
    uint32_t outer_ip, inner_ip;
    uint16_t outer_port, inner_port;
    struct sv_net_ranges sources; /* who may come in this way */
};

/* At the boundary of a VPC: what passes between it and anything else. */
struct sv_net_gate {
    struct sv_id vpc;
    bool closed; /* nothing passes but what the rules allow, in either direction (2.3.12) */
    struct sv_net_rules rules;
};

enum sv_net_balancer_proto { SV_NET_BALANCE_TCP, SV_NET_BALANCE_UDP, SV_NET_BALANCE_HTTP, SV_NET_BALANCE_HTTPS };
enum sv_net_policy { SV_NET_RR, SV_NET_WRR, SV_NET_WLC };
struct sv_net_node {
    struct sv_id id;
    uint32_t ip;
    uint16_t port;
    unsigned weight; /* 1..10 */
    bool on;
};
struct sv_net_balancer {
    struct sv_id id;
    enum sv_net_balancer_proto proto;
    enum sv_net_policy policy;
    uint32_t ip;
    uint16_t port;
    uint32_t bind_ip; /* where the engine brings what is for it, when that is not ip and port; 0 = there */
    uint16_t bind_port;
    bool outer;             /* ip is an outer address; else one of a VPC's */
    const char *url_path;   /* http(s): requests below it; "" = all */
    const char *check_path; /* http(s): GET has to answer 2xx or 3xx; "" = a connection is enough */
    unsigned check_every;   /* [s] */
    unsigned check_timeout; /* [s] */
    unsigned retries;       /* failures in a row until a node counts as down */
    unsigned idle_timeout;  /* [s] connections without traffic */
    unsigned max_connections;
    const char *pem;                 /* https: key and certificate chain, secret; else NULL */
    const struct sv_net_node *nodes; /* in order of ids */
    size_t node_count;
};

struct sv_net_router {
    struct sv_id id;
    bool ha;
    uint32_t outer_ip; /* its own, that guests are seen as outside; 0 = there is none */
    unsigned outer_prefix;
    uint32_t outer_gateway;
    const struct sv_net_leg *legs; /* in order of slots */
    size_t leg_count;
    const struct sv_net_nat *nats; /* in order of ids, as all that follows */
    size_t nat_count;
    const uint32_t *outer_ips; /* all outer addresses that it answers for, its own too; ascending */
    size_t outer_ip_count;
    const struct sv_net_gate *gates; /* in order of VPCs: those that are closed or have rules */
    size_t gate_count;
    const struct sv_net_balancer *balancers; /* those that are on */
    size_t balancer_count;
};

/* --- what is there --- */

/* A rule, as the engine found it in force. */
typedef void sv_net_rule_fn(void *arg, const struct sv_id *rule);

enum sv_net_node_state { SV_NET_NODE_UNKNOWN, SV_NET_NODE_UP, SV_NET_NODE_DOWN, SV_NET_NODE_OFF };
struct sv_net_node_fact {
    struct sv_id balancer, node;
    enum sv_net_node_state state;
    uint64_t connections, sessions, bytes_in, bytes_out;
};
typedef void sv_net_node_fn(void *arg, const struct sv_net_node_fact *fact);

struct sv_net_router_facts {
    bool there;            /* all of it is as it was applied */
    unsigned active;       /* which of its instances routes: 0, or 1 with HA */
    unsigned instances_up; /* 0..2 */
    uint64_t failovers;    /* HA: how often the other one took over by itself; begins anew with the instances */
};

#endif
