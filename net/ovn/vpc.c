/* A VPC: switch, ports, DHCP. */
#include "net/ovn/internal.h"

#define LEASE_S "43200"

size_t ovn_acl(struct ovn_plan *p, size_t holder, const char *key, bool in, int priority, const char *action,
               const char *match)
{
    const size_t acl = ovn_row(p, OVN_ACL, key);
    ovn_set(p, acl, "direction", in ? "to-lport" : "from-lport");
    ovn_set_int(p, acl, "priority", priority);
    ovn_set(p, acl, "match", match);
    ovn_set(p, acl, "action", action);
    ovn_hold(p, holder, "acls", acl);
    return acl;
}

size_t ovn_track(struct ovn_plan *p, size_t sw, const char *key)
{
    return ovn_acl(p, sw, key, false, OVN_PRIO_TRACK, "allow-related", "ip4");
}

static const char *nic_key(struct ovn_plan *p, const struct sv_id *nic)
{
    return sv_arena_printf(p->arena, "nic:%s", nic->s);
}

/* It speaks as itself only: port security drops any other MAC and IP address, in ARP, too. */
static void set_port(struct ovn_plan *p, size_t port, const unsigned char mac[6], uint32_t ip)
{
    char text[SV_MAC_LEN];
    sv_mac_format(mac, text);
    const char *self = sv_arena_printf(p->arena, "%s %s", text, ovn_ip(p->arena, ip));
    ovn_set(p, port, "addresses", self);
    ovn_set(p, port, "port_security", self);
}

size_t ovn_switch_of(struct ovn_plan *p, const struct sv_id *vpc)
{
    const struct ovn_unit unit = {.kind = "vpc", .id = vpc->s};
    return ovn_row_of(p, OVN_SWITCH, unit, "switch", ovn_switch_name(p->arena, vpc));
}

size_t ovn_port_of(struct ovn_plan *p, const struct sv_id *vpc, const struct sv_id *nic, const unsigned char mac[6],
                   uint32_t ip)
{
    const struct ovn_unit unit = {.kind = "vpc", .id = vpc->s};
    const size_t sw = ovn_switch_of(p, vpc), port = ovn_row_of(p, OVN_SWITCH_PORT, unit, nic_key(p, nic), nic->s);
    set_port(p, port, mac, ip);
    ovn_hold(p, sw, "ports", port);
    return port;
}

/* An empty host name says none. OVN's own names are texts in texts. */
static void set_dhcp(const struct ovn_net *net, struct ovn_plan *p, size_t dhcp, const struct sv_net_vpc *vpc,
                     const struct sv_net_nic *nic)
{
    const char *gateway = ovn_ip(p->arena, vpc->base + 1);
    const char *pairs[] = {"server_id",  gateway,
                           "server_mac", ovn_mac_of(p->arena, &vpc->id),
                           "lease_time", LEASE_S,
                           "router",     gateway,
                           "mtu",        sv_arena_printf(p->arena, "%lld", (long long)net->mtu),
                           "hostname",   sv_arena_printf(p->arena, "\"%s\"", nic->hostname),
                           NULL};
    if (!nic->hostname[0])
        pairs[10] = NULL;
    ovn_set(p, dhcp, "cidr", ovn_cidr(p->arena, vpc->base, vpc->prefix));
    ovn_set_map(p, dhcp, "options", pairs);
}

static void plan_nic(const struct ovn_net *net, struct ovn_plan *p, size_t sw, const struct sv_net_vpc *vpc,
                     const struct sv_net_nic *nic)
{
    const size_t dhcp = ovn_row(p, OVN_DHCP, sv_arena_printf(p->arena, "dhcp:%s", nic->id.s));
    const size_t port = ovn_row(p, OVN_SWITCH_PORT, nic_key(p, &nic->id));
    set_dhcp(net, p, dhcp, vpc, nic);
    ovn_set(p, port, "name", nic->id.s);
    set_port(p, port, nic->mac, nic->ip);
    ovn_set_row(p, port, "dhcpv4_options", dhcp);
    ovn_hold(p, sw, "ports", port);
}

/* What holds for every guest, whatever its rules say: asking for its address is allowed, answering is not. IPv4 and ARP
 * pass, anything else does not. */
static void plan_guards(struct ovn_plan *p, size_t sw, const struct sv_net_vpc *vpc)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf asks = {0};
    sv_buf_printf(&asks, "ip4.dst == {255.255.255.255, %s} && udp.src == 68 && udp.dst == 67",
                  ovn_ip(p->arena, vpc->base + 1));
    ovn_acl(p, sw, "guard:ask", false, OVN_PRIO_GUARD, "allow", asks.p);
    ovn_acl(p, sw, "guard:answer", false, OVN_PRIO_GUARD, "drop", "ip4 && udp.src == 67");
    ovn_acl(p, sw, "guard:other", false, OVN_PRIO_GUARD, "drop", "!ip4 && !arp");
}

void ovn_plan_vpc(const struct ovn_net *net, const struct sv_net_vpc *vpc, const struct sv_net_nic *nics, size_t n,
                  struct ovn_plan *p)
{
    ovn_plan_init(p, net->owner, "vpc", vpc->id.s);
    const size_t sw = ovn_row(p, OVN_SWITCH, "switch");
    ovn_set(p, sw, "name", ovn_switch_name(p->arena, &vpc->id));
    plan_guards(p, sw, vpc);
    for (size_t i = 0; i < n; i++)
        plan_nic(net, p, sw, vpc, &nics[i]);
}
