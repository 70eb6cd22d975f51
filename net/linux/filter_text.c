/* Filters as nftables' own text: pure, so that what the kernel is given can be read in tests/golden.
 *
 * One table of the bridge family holds everything that belongs to a NIC or a group. A frame of a guest passes
 *
 *     bridge prerouting   its NIC's chain _self: does it speak as itself?
 *     ip prerouting       (through br_netfilter) tracked, in the zone of its bridge; what tracking found becomes a mark
 *     bridge forward      `from`: what its sender may send; then `to`: what its receiver may be sent
 *
 * Tracking is not to be had in the bridge family of every kernel, but the mark is. A packet in the direction in which
 * its connection was opened is judged by the rules each time; one of the other direction by the same rules turned
 * round (chains _back), and only if there is such a connection. So a rule that goes takes its connections along in
 * both directions with the transaction that removes it, nothing has to be looked for in the table of connections, and
 * all others flow on. Without br_netfilter nothing is an answer: more is denied, never less.
 *
 * Devices are matched by name and need not be there yet. What comes from a tap of ours without a chain is dropped. */
#include "net/linux/filter.h"

#include <linux/netfilter.h>
#include <stdio.h>

#include "starvirt/text.h"

/* Bits of the packet mark; the others are left to whoever uses them. */
#define REPLY   "0x01000000" /* the direction opposite to the one in which the connection was opened */
#define RELATED "0x02000000" /* an error that is about a connection */
#define LIMITED "0x04000000" /* a group had rules for this direction, none of them fitted */
#define FITS_1  "0x08000000" /* inside a rule: of its lists, so many fit so far */
#define FITS_2  "0x10000000"
#define OTHERS  "0xe0ffffff" /* all bits but these */
#define FRESH   "0xe3ffffff" /* all but those of a judgement: the last three */
#define NO_FITS "0xe7ffffff"

/* Before everything else that people put into these hooks (libvirt's nwfilter, ebtables). Chains of hooks are made
 * anew each time: adding a rule twice would have it there twice. The seed is given because a random one would move
 * every connection to another zone. */
static const char base_text[] =
    "table bridge " FILTER_TABLE " {\n"
    "\tmap nics_self { type ifname : verdict; }\n"
    "\tmap nics_in { type ifname : verdict; }\n"
    "\tmap nics_in_back { type ifname : verdict; }\n"
    "\tmap nics_out { type ifname : verdict; }\n"
    "\tmap nics_out_back { type ifname : verdict; }\n"
    "\tchain first { type filter hook prerouting priority -310; policy accept; }\n"
    "\tchain host_in { type filter hook input priority -310; policy accept; }\n"
    "\tchain host_out { type filter hook output priority -310; policy accept; }\n"
    "\tchain from { type filter hook forward priority -310; policy accept; }\n"
    "\tchain to { type filter hook forward priority -309; policy accept; }\n"
    "}\n"
    "table ip " FILTER_TABLE " {\n"
    "\tchain zone { type filter hook prerouting priority -310; policy accept; }\n"
    "\tchain state { type filter hook prerouting priority -190; policy accept; }\n"
    "}\n"
    "flush chain bridge " FILTER_TABLE " first\n"
    "flush chain bridge " FILTER_TABLE " host_in\n"
    "flush chain bridge " FILTER_TABLE " host_out\n"
    "flush chain bridge " FILTER_TABLE " from\n"
    "flush chain bridge " FILTER_TABLE " to\n"
    "flush chain ip " FILTER_TABLE " zone\n"
    "flush chain ip " FILTER_TABLE " state\n"
    "table bridge " FILTER_TABLE " {\n"
    "\tchain first {\n"
    "\t\tiifname vmap @nics_self\n"
    "\t\tiifname \"" TAP_PREFIX "*\" drop\n"
    "\t}\n"
    "\tchain host_in {\n" /* the machine and the guests have nothing to say to each other */
    "\t\tiifname \"" TAP_PREFIX "*\" drop\n"
    "\t}\n"
    "\tchain host_out {\n"
    "\t\toifname \"" TAP_PREFIX "*\" drop\n"
    "\t}\n"
    "\tchain from {\n"
    "\t\tiifname != \"" TAP_PREFIX "*\" accept\n"
    "\t\tether type arp accept\n"
    "\t\tmeta mark and " RELATED " == " RELATED " accept\n"
    "\t\tmeta mark set meta mark and " FRESH "\n"
    "\t\tmeta mark and " REPLY " == 0 iifname vmap @nics_out\n"
    "\t\tmeta mark and " REPLY " == " REPLY " iifname vmap @nics_in_back\n"
    "\t\tdrop\n"
    "\t}\n"
    "\tchain to {\n"
    "\t\toifname != \"" TAP_PREFIX "*\" accept\n"
    "\t\tether type arp accept\n"
    "\t\tether type != ip drop\n"
    "\t\tmeta mark and " RELATED " == " RELATED " accept\n"
    "\t\tmeta mark set meta mark and " FRESH "\n"
    "\t\tmeta mark and " REPLY " == 0 oifname vmap @nics_in\n"
    "\t\tmeta mark and " REPLY " == " REPLY " oifname vmap @nics_out_back\n"
    "\t\tdrop\n"
    "\t}\n"
    "}\n"
    "table ip " FILTER_TABLE " {\n"
    "\tchain zone {\n"
    "\t\tiifname \"" BRIDGE_PREFIX "*\" meta mark set meta mark and " OTHERS "\n"
    "\t\tiifname \"" BRIDGE_PREFIX "*\" ct zone set jhash iif mod 65535 seed 0x1 offset 1\n"
    "\t}\n"
    "\tchain state {\n"
    "\t\tiifname \"" BRIDGE_PREFIX "*\" ct state established ct direction reply meta mark set meta mark or " REPLY "\n"
    "\t\tiifname \"" BRIDGE_PREFIX "*\" ip protocol icmp ct state related meta mark set meta mark or " RELATED "\n"
    "\t}\n"
    "}\n";

void filter_base_text(struct sv_buf *ret)
{
    sv_buf_puts(ret, base_text);
}

/* --- names --- */

enum part { SELF, IN, IN_BACK, OUT, OUT_BACK, PARTS };
#define GROUP_FIRST IN /* groups have no _self */
static const char *const part_names[PARTS] = {"self", "in", "in_back", "out", "out_back"};

/* A name may have no dashes. */
static void digits_of(const struct sv_id *id, char buf[SV_ID_LEN + 1])
{
    for (const char *p = id->s; *p; p++)
        if (*p != '-')
            *buf++ = *p;
    *buf = '\0';
}

struct chain {
    const char *prefix; /* FILTER_NIC or FILTER_GROUP */
    char digits[SV_ID_LEN + 1];
};

static struct chain chain_of(const char *prefix, const struct sv_id *id)
{
    struct chain c = {.prefix = prefix};
    digits_of(id, c.digits);
    return c;
}

static void put_chain(struct sv_buf *b, const struct chain *c, enum part part)
{
    sv_buf_printf(b, "%s%s_%s", c->prefix, c->digits, part_names[part]);
}

/* "`verb` chain bridge TABLE NAME" for each part. */
static void each_chain(struct sv_buf *b, const char *verb, const struct chain *c, enum part first)
{
    for (enum part p = first; p < PARTS; p++) {
        sv_buf_printf(b, "%s chain bridge " FILTER_TABLE " ", verb);
        put_chain(b, c, p);
        sv_buf_putc(b, '\n');
    }
}

/* There, and empty. */
static void fresh_chains(struct sv_buf *b, const struct chain *c, enum part first)
{
    each_chain(b, "add", c, first);
    each_chain(b, "flush", c, first);
}

static void open_chain(struct sv_buf *b, const struct chain *c, enum part part)
{
    sv_buf_puts(b, "\tchain ");
    put_chain(b, c, part);
    sv_buf_puts(b, " {\n");
}

void filter_chains_of(const char *prefix, const struct sv_id *id, struct filter_chains *ret)
{
    const bool nic = strcmp(prefix, FILTER_NIC) == 0; /* a map leads to each; to a group's whoever is in it */
    const struct chain c = chain_of(prefix, id);
    ret->n = 0;
    for (enum part p = nic ? SELF : GROUP_FIRST; p < PARTS; p++) {
        char *name = ret->names[ret->n];
        snprintf(name, FILTER_CHAIN_NAME, "%s%s_%s", c.prefix, c.digits, part_names[p]);
        ret->v[ret->n++] = (struct nft_chain){NFPROTO_BRIDGE, FILTER_TABLE, name, nic};
    }
}

void filter_base_chains(struct filter_chains *ret)
{
    static const char *const bridge[] = {"first", "host_in", "host_out", "from", "to"}, *const ip[] = {"zone", "state"};
    ret->n = 0;
    for (size_t i = 0; i < sizeof(bridge) / sizeof(bridge[0]); i++)
        ret->v[ret->n++] = (struct nft_chain){NFPROTO_BRIDGE, FILTER_TABLE, bridge[i], false};
    for (size_t i = 0; i < sizeof(ip) / sizeof(ip[0]); i++)
        ret->v[ret->n++] = (struct nft_chain){NFPROTO_IPV4, FILTER_TABLE, ip[i], false};
}

/* --- a rule ---
 * Without sets of nftables', which would be natural for lists: for each one that is made the kernel walks through all
 * of its table, so a thousand rules with lists would hold up everybody's changes for half a minute. What a rule lists
 * is a line each. Of several lists all but the last leave a bit in the mark, so that lines are added and not
 * multiplied. */

enum list { SRC, DST, PORTS, LISTS };

/* 0: anything goes. */
static size_t list_n(const struct sv_net_rule *r, enum list list)
{
    if (list == PORTS)
        return r->proto == SV_NET_ICMP ? 0 : r->ports.n;
    const struct sv_net_ranges *l = list == SRC ? &r->src : &r->dst;
    return l->n && l->v[0].first == 0 && l->v[0].last == UINT32_MAX ? 0 : l->n;
}

static void put_range(struct sv_buf *b, const char *what, const struct sv_net_range *r)
{
    char first[SV_IP4_LEN], last[SV_IP4_LEN];
    sv_ip4_format(r->first, first);
    sv_ip4_format(r->last, last);
    if (r->first == r->last)
        sv_buf_printf(b, "ip %s %s ", what, first);
    else
        sv_buf_printf(b, "ip %s %s-%s ", what, first, last);
}

static void put_port(struct sv_buf *b, const char *what, const struct sv_net_port_range *p)
{
    if (p->first == p->last)
        sv_buf_printf(b, "th %s %u ", what, p->first);
    else
        sv_buf_printf(b, "th %s %u-%u ", what, p->first, p->last);
}

/* `back`: turned round, for the answers. */
static void put_value(struct sv_buf *b, const struct sv_net_rule *r, bool back, enum list list, size_t i)
{
    switch (list) {
    case SRC:
        put_range(b, back ? "daddr" : "saddr", &r->src.v[i]);
        break;
    case DST:
        put_range(b, back ? "saddr" : "daddr", &r->dst.v[i]);
        break;
    case PORTS:
        put_port(b, back ? "sport" : "dport", &r->ports.v[i]);
        break;
    case LISTS:
        break;
    }
}

/* What the lists before have to have left. */
static void put_fits(struct sv_buf *b, unsigned stage)
{
    static const char *const texts[] = {"", "meta mark and " FITS_1 " == " FITS_1 " ",
                                        "meta mark and " FITS_2 " == " FITS_2 " "};
    sv_buf_printf(b, "\t\t%s", texts[stage]);
}

static void put_stage(struct sv_buf *b, const struct sv_net_rule *r, bool back, enum list list, unsigned stage)
{
    for (size_t i = 0; i < list_n(r, list); i++) {
        put_fits(b, stage);
        put_value(b, r, back, list, i);
        sv_buf_printf(b, "meta mark set meta mark or %s\n", stage ? FITS_2 : FITS_1);
    }
}

/* What is one value only, and the i-th of list `last`. */
static void put_accept(struct sv_buf *b, const struct sv_net_rule *r, bool back, const char *proto, unsigned stage,
                       enum list last, size_t i)
{
    put_fits(b, stage);
    sv_buf_puts(b, proto);
    for (enum list l = SRC; l < LISTS; l++)
        if (l == last || list_n(r, l) == 1)
            put_value(b, r, back, l, l == last ? i : 0);
    sv_buf_printf(b, "accept comment \"%s\"\n", r->id.s);
}

static void put_accepts(struct sv_buf *b, const struct sv_net_rule *r, bool back, unsigned stage, enum list last,
                        size_t i)
{
    const bool some = r->proto == SV_NET_ANY && r->ports.n;
    if (r->proto == SV_NET_ANY && !some)
        put_accept(b, r, back, "", stage, last, i);
    if (r->proto == SV_NET_TCP || some)
        put_accept(b, r, back, "ip protocol tcp ", stage, last, i);
    if (r->proto == SV_NET_UDP || some)
        put_accept(b, r, back, "ip protocol udp ", stage, last, i);
    if (r->proto == SV_NET_ICMP)
        put_accept(b, r, back, "ip protocol icmp ", stage, last, i);
}

static void put_rule(struct sv_buf *b, const struct sv_net_rule *r, bool back)
{
    enum list last = LISTS;
    unsigned stage = 0;
    for (enum list l = SRC; l < LISTS; l++)
        if (list_n(r, l) > 1)
            last = l;
    for (enum list l = SRC; last < LISTS && l < last; l++)
        if (list_n(r, l) > 1)
            put_stage(b, r, back, l, stage++);
    const size_t n = last < LISTS ? list_n(r, last) : 1;
    for (size_t i = 0; i < n; i++)
        put_accepts(b, r, back, stage, last, i);
    if (stage)
        sv_buf_puts(b, "\t\tmeta mark set meta mark and " NO_FITS "\n");
}

static bool part_in(enum part part)
{
    return part == IN || part == IN_BACK;
}

static bool part_back(enum part part)
{
    return part == IN_BACK || part == OUT_BACK;
}

/* True: there were some for this direction. */
static bool put_rules(struct sv_buf *b, const struct sv_net_rules *rules, enum part part)
{
    bool some = false;
    for (size_t i = 0; i < rules->n; i++)
        if (rules->v[i].in == part_in(part)) {
            put_rule(b, &rules->v[i], part_back(part));
            some = true;
        }
    return some;
}

/* --- groups --- */

void filter_group_text(const struct sv_net_group *want, struct sv_buf *ret)
{
    const struct chain c = chain_of(FILTER_GROUP, &want->id);
    sv_buf_puts(ret, "add table bridge " FILTER_TABLE "\n");
    fresh_chains(ret, &c, GROUP_FIRST);
    sv_buf_puts(ret, "table bridge " FILTER_TABLE " {\n");
    for (enum part p = GROUP_FIRST; p < PARTS; p++) {
        open_chain(ret, &c, p);
        if (put_rules(ret, &want->rules, p))
            sv_buf_puts(ret, "\t\tmeta mark set meta mark or " LIMITED "\n");
        sv_buf_puts(ret, "\t}\n");
    }
    sv_buf_puts(ret, "}\n");
}

void filter_group_gone_text(const struct sv_id *group, struct sv_buf *ret)
{
    const struct chain c = chain_of(FILTER_GROUP, group);
    sv_buf_puts(ret, "add table bridge " FILTER_TABLE "\n");
    fresh_chains(ret, &c, GROUP_FIRST);
    each_chain(ret, "delete", &c, GROUP_FIRST);
}

/* --- NICs --- */

static void each_element(struct sv_buf *b, const char *verb, const struct sv_id *nic, const struct chain *c)
{
    char tap[16];
    tap_name(nic, tap);
    for (enum part p = SELF; p < PARTS; p++) {
        sv_buf_printf(b, "%s element bridge " FILTER_TABLE " nics_%s { \"%s\" : goto ", verb, part_names[p], tap);
        put_chain(b, c, p);
        sv_buf_puts(b, " }\n");
    }
}

static void put_arp(struct sv_buf *b, const char *operation, const char *mac, const char *ip)
{
    sv_buf_printf(b,
                  "\t\tether type arp arp htype 1 arp ptype 0x0800 arp hlen 6 arp plen 4 arp operation %s arp saddr "
                  "ether %s arp saddr ip %s accept\n",
                  operation, mac, ip);
}

/* IPv4 and ARP as itself, and nothing else: no tags, no IPv6, no DHCP server. With the address 0.0.0.0 it may only ask
 * for its own, by DHCP, and whether somebody else has it (RFC 5227). `ether type` and not `meta protocol`: the latter
 * looks behind a tag. */
static void put_self(struct sv_buf *b, const struct sv_net_filter *want)
{
    char mac[SV_MAC_LEN], ip[SV_IP4_LEN];
    sv_mac_format(want->mac, mac);
    sv_ip4_format(want->ip, ip);
    sv_buf_printf(b, "\t\tether saddr != %s drop\n", mac);
    sv_buf_printf(
        b,
        "\t\tether type arp arp htype 1 arp ptype 0x0800 arp hlen 6 arp plen 4 arp operation request arp saddr "
        "ether %s arp saddr ip { 0.0.0.0, %s } accept\n",
        mac, ip);
    put_arp(b, "request", mac, "0.0.0.0");
    put_arp(b, "request", mac, ip);
    put_arp(b, "reply", mac, ip);
    sv_buf_puts(b, "\t\tether type != ip drop\n");
    sv_buf_puts(b, "\t\tudp sport 67 drop\n\t\tudp dport 68 drop\n");
    sv_buf_printf(b, "\t\tip saddr %s accept\n", ip);
    sv_buf_puts(b, "\t\tip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept\n\t\tdrop\n");
}

/* The VPC's own DHCP server, which is behind the leg. What is routed to the guest comes that way, too, but never from
 * the gateway's own address. */
static void put_dhcp(struct sv_buf *b, const struct sv_net_filter *want, enum part part)
{
    char leg[16], gateway[SV_IP4_LEN];
    const bool known = want->gateway != 0;
    leg_name(&want->vpc, leg);
    sv_ip4_format(want->gateway, gateway);
    if (part == IN || part == OUT_BACK) {
        sv_buf_printf(b, "\t\tiifname \"%s\" %s%s%sudp sport 67 udp dport 68 accept\n", leg, known ? "ip saddr " : "",
                      known ? gateway : "", known ? " " : "");
        return;
    }
    const char *const to[] = {gateway, "255.255.255.255"};
    for (size_t i = known ? 0 : 1; i < sizeof(to) / sizeof(to[0]); i++)
        sv_buf_printf(b, "\t\toifname \"%s\" ip daddr %s udp sport 68 udp dport 67 accept\n", leg, to[i]);
}

static void put_jumps(struct sv_buf *b, const struct sv_net_filter *want, enum part part)
{
    for (size_t i = 0; i < want->group_count; i++) {
        const struct chain group = chain_of(FILTER_GROUP, &want->groups[i]);
        sv_buf_puts(b, "\t\tjump ");
        put_chain(b, &group, part);
        sv_buf_putc(b, '\n');
    }
}

static void put_judgement(struct sv_buf *b, const struct sv_net_filter *want, enum part part)
{
    bool closed = false;
    if (want->on) {
        put_dhcp(b, want, part);
        put_jumps(b, want, part);
        closed = put_rules(b, &want->rules, part);
    }
    if (!closed && want->on && want->group_count)
        sv_buf_puts(b, "\t\tmeta mark and " LIMITED " == " LIMITED " drop\n");
    sv_buf_puts(b, closed ? "\t\tdrop\n" : "\t\taccept\n");
}

void filter_nic_text(const struct sv_net_filter *want, struct sv_buf *ret)
{
    const struct chain c = chain_of(FILTER_NIC, &want->nic);
    filter_base_text(ret);
    for (size_t i = 0; want->on && i < want->group_count; i++) {
        const struct chain group = chain_of(FILTER_GROUP, &want->groups[i]);
        each_chain(ret, "add", &group, GROUP_FIRST); /* may not have been applied yet */
    }
    fresh_chains(ret, &c, SELF);
    sv_buf_puts(ret, "table bridge " FILTER_TABLE " {\n");
    for (enum part p = SELF; p < PARTS; p++) {
        open_chain(ret, &c, p);
        if (p == SELF)
            put_self(ret, want);
        else
            put_judgement(ret, want, p);
        sv_buf_puts(ret, "\t}\n");
    }
    sv_buf_puts(ret, "}\n");
    each_element(ret, "add", &want->nic, &c);
}

void filter_nic_gone_text(const struct sv_id *nic, struct sv_buf *ret)
{
    const struct chain c = chain_of(FILTER_NIC, nic);
    filter_base_text(ret);
    fresh_chains(ret, &c, SELF);
    each_element(ret, "add", nic, &c); /* what is not there cannot be deleted */
    each_element(ret, "delete", nic, &c);
    each_chain(ret, "delete", &c, SELF);
}

/* --- reading --- */

void filter_look_text(const char *prefix, const struct sv_id *id, bool in, struct sv_buf *ret)
{
    const struct chain c = chain_of(prefix, id);
    sv_buf_puts(ret, "list chain bridge " FILTER_TABLE " ");
    put_chain(ret, &c, in ? IN : OUT); /* the others say the same turned round */
}

/* 32 digits as the id that they were. */
static bool id_of_digits(const char *digits, struct sv_id *ret)
{
    char text[SV_ID_LEN + 1];
    for (size_t i = 0; i < SV_ID_LEN; i++) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        text[i] = dash ? '-' : *digits;
        digits += !dash && *digits;
    }
    text[SV_ID_LEN] = '\0';
    return sv_id_read(text, SV_ID_LEN, ret);
}

/* Every `before` DIGITS `_in` `behind`: of the parts of an object one is enough. */
static void each_digits(const char *text, const char *before, const char *behind, filter_id_fn *row, void *arg)
{
    for (const char *at = text; at && (at = strstr(at, before)) != NULL;) {
        struct sv_id id;
        at += strlen(before);
        const char *end = at + strcspn(at, "_");
        if (strncmp(end, "_in", 3) == 0 && strncmp(end + 3, behind, strlen(behind)) == 0 && id_of_digits(at, &id))
            row(arg, &id);
    }
}

void filter_read_chains(const char *text, const char *prefix, filter_id_fn *row, void *arg)
{
    SV_AUTOFREE char *before = sv_asprintf("chain %s", prefix);
    each_digits(text, before, " {", row, arg);
}

void filter_read_groups(const char *text, filter_id_fn *row, void *arg)
{
    each_digits(text, "jump " FILTER_GROUP, "\n", row, arg);
}

void filter_read_rules(const char *text, filter_id_fn *row, void *arg)
{
    static const char before[] = "comment \"";
    struct sv_id last = {""};
    for (const char *at = text; at && (at = strstr(at, before)) != NULL;) {
        struct sv_id id;
        at += strlen(before);
        if (!sv_id_read(at, strcspn(at, "\""), &id) || sv_id_eq(&id, &last))
            continue;
        row(arg, &id);
        last = id;
    }
}
