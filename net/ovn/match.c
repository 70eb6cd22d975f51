/* What packets an ACL is about, in OVN's words; and the names and addresses that both sides of a unit derive. */
#include "net/ovn/internal.h"

/* --- names --- */

char *ovn_group_name(struct sv_arena *a, const char *kind, const struct sv_id *id)
{
    char *name = sv_arena_printf(a, "sv_%s_%s", kind, id->s);
    for (char *p = name; *p; p++)
        if (*p == '-')
            *p = '_';
    return name;
}

char *ovn_switch_name(struct sv_arena *a, const struct sv_id *vpc)
{
    return sv_arena_printf(a, "sv-%s", vpc->s);
}

char *ovn_ip(struct sv_arena *a, uint32_t ip)
{
    char text[SV_IP4_LEN];
    sv_ip4_format(ip, text);
    return sv_arena_strdup(a, text);
}

char *ovn_cidr(struct sv_arena *a, uint32_t base, unsigned prefix)
{
    return sv_arena_printf(a, "%s/%u", ovn_ip(a, base), prefix);
}

static char *mac_from(struct sv_arena *a, const char *text)
{
    unsigned char digest[SV_SHA256_LEN];
    char mac[SV_MAC_LEN];
    sv_sha256(text, strlen(text), digest);
    digest[0] = 0x0a; /* guests' begin with 52:54 */
    sv_mac_format(digest, mac);
    return sv_arena_strdup(a, mac);
}

char *ovn_mac_of(struct sv_arena *a, const struct sv_id *id)
{
    return mac_from(a, id->s);
}

char *ovn_mac_for(struct sv_arena *a, const char *part, const struct sv_id *id)
{
    return mac_from(a, sv_arena_printf(a, "%s:%s", part, id->s));
}

/* --- addresses --- */

static void add_cidr(struct sv_buf *b, uint32_t base, unsigned prefix)
{
    char text[SV_IP4_LEN];
    sv_ip4_format(base, text);
    sv_buf_puts(b, text);
    if (prefix < 32)
        sv_buf_printf(b, "/%u", prefix);
}

/* The fewest networks that are the range. */
static void add_range(struct sv_buf *b, const struct sv_net_range *r, const char **between)
{
    for (uint64_t at = r->first; at <= r->last;) {
        unsigned prefix = 32;
        while (prefix > 0) {
            const uint64_t size = (uint64_t)1 << (33 - prefix);
            if (at % size != 0 || at + size - 1 > r->last)
                break;
            prefix--;
        }
        sv_buf_puts(b, *between);
        *between = ", ";
        add_cidr(b, (uint32_t)at, prefix);
        at += (uint64_t)1 << (32 - prefix);
    }
}

void ovn_match_ranges(struct sv_buf *b, const char *field, const struct sv_net_ranges *r)
{
    const char *between = "";
    if (r->n == 0)
        return;
    sv_buf_printf(b, " && %s == {", field);
    for (size_t i = 0; i < r->n; i++)
        add_range(b, &r->v[i], &between);
    sv_buf_putc(b, '}');
}

/* --- protocol and ports --- */

static void add_ports(struct sv_buf *b, const char *proto, const struct sv_net_ports *p, const char **between)
{
    for (size_t i = 0; i < p->n; i++) {
        sv_buf_puts(b, *between);
        *between = " || ";
        if (p->v[i].first == p->v[i].last)
            sv_buf_printf(b, "%s.dst == %u", proto, p->v[i].first);
        else
            sv_buf_printf(b, "%u <= %s.dst <= %u", p->v[i].first, proto, p->v[i].last);
    }
}

static void match_proto(struct sv_buf *b, const char *first, const char *second, const struct sv_net_ports *p)
{
    const char *between = "";
    sv_buf_puts(b, " && ");
    if (p->n == 0) {
        sv_buf_puts(b, first);
        return;
    }
    sv_buf_putc(b, '(');
    add_ports(b, first, p, &between);
    if (second)
        add_ports(b, second, p, &between);
    sv_buf_putc(b, ')');
}

void ovn_match_rule(struct sv_buf *b, const struct sv_net_rule *r)
{
    sv_buf_puts(b, " && ip4");
    ovn_match_ranges(b, "ip4.src", &r->src);
    ovn_match_ranges(b, "ip4.dst", &r->dst);
    switch (r->proto) {
    case SV_NET_ANY:
        if (r->ports.n)
            match_proto(b, "tcp", "udp", &r->ports);
        break;
    case SV_NET_TCP:
        match_proto(b, "tcp", NULL, &r->ports);
        break;
    case SV_NET_UDP:
        match_proto(b, "udp", NULL, &r->ports);
        break;
    case SV_NET_ICMP:
        sv_buf_puts(b, " && icmp4");
        break;
    }
}
