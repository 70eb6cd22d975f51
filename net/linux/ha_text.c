#include "net/linux/ha.h"

#include <stdio.h>

static void put_ip(struct sv_buf *b, uint32_t ip)
{
    char text[SV_IP4_LEN];
    sv_ip4_format(ip, text);
    sv_buf_puts(b, text);
}

/* --- nftables --- */

static void put_silent(struct sv_buf *b, const char *device)
{
    static const char *const hooks[] = {"ingress", "egress"};
    for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++)
        sv_buf_printf(b, "\tchain %s_%s {\n\t\ttype filter hook %s device \"%s\" priority -500; policy drop;\n\t}\n",
                      device, hooks[i], hooks[i], device);
}

void ha_silent_text(bool outer, struct sv_buf *ret)
{
    sv_buf_puts(ret, "add table netdev standby\ndelete table netdev standby\ntable netdev standby {\n");
    put_silent(ret, TRANSIT_DEV);
    if (outer)
        put_silent(ret, OUTER_DEV);
    sv_buf_puts(ret, "}\n");
}

void ha_speak_text(struct sv_buf *ret)
{
    sv_buf_puts(ret, "add table netdev standby\ndelete table netdev standby\n");
}

/* --- keepalived --- */

/* 0.2 s between its words: one that is silent for three of them and 0.12 s is taken for dead. Over unicast, as there is
 * one other. */
void ha_keepalived_text(const struct sv_id *router, unsigned instance, bool outer, struct sv_buf *ret)
{
    SV_AUTOFREE char *turn = ha_file(router, "turn", ROUTER_INSTANCES);
    sv_buf_printf(
        ret,
        "global_defs {\n    router_id %s.%u\n    vrrp_version 3\n    vrrp_priority -10\n    dynamic_interfaces\n"
        "    enable_script_security\n    script_user root\n}\n"
        "vrrp_instance router {\n    state BACKUP\n    nopreempt\n    interface " PAIR_DEV
        "\n    virtual_router_id 1\n    priority 100\n    advert_int 0.2\n    unicast_src_ip ",
        router->s, instance);
    put_ip(ret, HA_FIRST + instance);
    sv_buf_puts(ret, "\n    unicast_peer {\n        ");
    put_ip(ret, HA_FIRST + 1 - instance);
    sv_buf_puts(ret, "\n    }\n    track_interface {\n        " TRANSIT_DEV "\n");
    if (outer)
        sv_buf_puts(ret, "        " OUTER_DEV "\n");
    sv_buf_puts(ret, "    }\n    virtual_ipaddress {\n        ");
    put_ip(ret, HA_TOKEN);
    sv_buf_printf(ret, "/32 dev " PAIR_DEV "\n    }\n    notify \"/bin/sh %s %u\"\n}\n", turn, instance);
}

/* --- conntrackd --- */

/* Without windows of TCP: what was committed is not held to them (nor is what an instance had from earlier,
 * nf_conntrack_tcp_be_liberal). */
void ha_conntrackd_text(const struct sv_id *router, unsigned instance, struct sv_buf *ret)
{
    SV_AUTOFREE char *lock = ha_file(router, "conntrackd.lock", instance);
    SV_AUTOFREE char *sock = ha_file(router, "conntrackd.sock", instance);
    sv_buf_puts(ret,
                "Sync {\n    Mode FTFW {\n        PurgeTimeout 60\n        DisableExternalCache Off\n    }\n    UDP {\n"
                "        IPv4_address ");
    put_ip(ret, HA_FIRST + instance);
    sv_buf_puts(ret, "\n        IPv4_Destination_Address ");
    put_ip(ret, HA_FIRST + 1 - instance);
    sv_buf_puts(ret, "\n        Port 3780\n        Interface " PAIR_DEV "\n        SndSocketBuffer 1249280\n"
                     "        RcvSocketBuffer 1249280\n        Checksum on\n    }\n"
                     "    Options {\n        TCPWindowTracking Off\n    }\n}\n"
                     "General {\n    HashSize 32768\n    HashLimit 524288\n    LogFile Off\n    Syslog Off\n");
    sv_buf_printf(ret, "    LockFile %s\n    UNIX {\n        Path %s\n    }\n", lock, sock);
    sv_buf_puts(ret,
                "    NetlinkBufferSize 2097152\n    NetlinkBufferSizeMaxGrowth 8388608\n    NetlinkOverrunResync On\n"
                "    EventIterationLimit 100\n    Filter From Kernelspace {\n        Protocol Accept {\n"
                "            TCP\n            UDP\n            ICMP\n        }\n        Address Ignore {\n"
                "            IPv4_address 127.0.0.1\n            IPv4_address ");
    put_ip(ret, HA_FIRST - 1);
    sv_buf_printf(ret, "/%d\n        }\n    }\n}\n", HA_PREFIX);
}

/* --- the turn --- */

/* keepalived starts one for each change, at once and unordered, so what a call makes of it is what is the case when it
 * has the lock, not what its state was. A new HAProxy takes its nodes for healthy, where that of the silent one could
 * not reach any. */
void ha_turn_text(const struct sv_id *router, bool outer, struct sv_buf *ret)
{
    char token[SV_IP4_LEN], mac[SV_MAC_LEN];
    const char *tail = router->s + SV_ID_LEN - 12;
    sv_ip4_format(HA_TOKEN, token);
    id_mac(router, mac);
    sv_buf_printf(
        ret,
        "# One of a router's two instances speaks. keepalived says what an instance has come to (SELF INSTANCE NAME\n"
        "# STATE PRIORITY); starvirt says FORCE, and SELF is to speak. Any of them at any time, several at once.\n"
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
        "cd " HA_DIR "/%s || exit 1\n"
        "self=$1\nstate=$4\n"
        "netns() {\n    case $1 in\n    0) echo svr-%s ;;\n    1) echo svs-%s ;;\n    esac\n}\n"
        "run() {\n    in=$(netns \"$1\")\n    shift\n    nsenter --net=\"/run/netns/$in\" \"$@\"\n}\n"
        "leads() {\n    [ -n \"$(ip -n \"$(netns \"$1\")\" -4 -o addr show dev " PAIR_DEV " to %s)\" ]\n}\n"
        "silent() {\n    run \"$1\" nft list table netdev standby >/dev/null\n}\n",
        router->s, tail, tail, token);
    sv_buf_puts(ret, "exec 2>/dev/null 9>>lock\n"
                     "[ \"$state\" = FORCE ] || echo \"$state\" >\"state.$self\"\n"
                     "flock -w 10 9 || exit 1\n"
                     "if [ \"$state\" = FORCE ] || { [ \"$state\" = MASTER ] && leads \"$self\"; }; then\n"
                     "    to=$self\n"
                     "elif ! leads \"$self\" && leads $((1 - self)); then\n"
                     "    to=$((1 - self))\n"
                     "else\n    exit 0\nfi\n"
                     "from=$((1 - to))\n"
                     "run $from nft -f silent.nft\n"
                     "silent $to || exit 0\n"
                     "conntrackd -C conntrackd.conf.$to -c\n"
                     "run $to nft -f speak.nft || exit 1\n");
    /* An address that is set, to whatever, is announced (arp_notify). */
    sv_buf_printf(ret, "ip -n \"$(netns $to)\" -batch - <<EOF\nlink set dev " TRANSIT_DEV " address %s\n", mac);
    if (outer)
        sv_buf_printf(ret, "link set dev " OUTER_DEV " address %s\n", mac);
    sv_buf_puts(ret, "EOF\n"
                     "[ \"$state\" = FORCE ] || printf . >>turns\n"
                     "pid=$(cat balance.$to/haproxy.pid)\n"
                     "if [ -n \"$pid\" ] && [ \"$(cat \"/proc/$pid/comm\")\" = haproxy ]; then\n"
                     "    echo 1 >balance.$to/haproxy.state\n    kill -USR2 \"$pid\"\nfi\n"
                     "for order in -f -R -B; do\n    conntrackd -C conntrackd.conf.$to $order\ndone\n"
                     "conntrackd -C conntrackd.conf.$from -t\nexit 0\n");
}

/* --- looking --- */

static void cut(struct sv_buf *text, char *from, const char *to)
{
    const size_t n = (size_t)(to - from);
    memmove(from, to, text->n - (size_t)(to - text->p) + 1);
    text->n -= n;
}

void ha_common(struct sv_buf *text)
{
    static const char table[] = "table netdev standby {\n", end[] = "\n}\n", no_peer[] = " linkdown";
    char token[SV_IP4_LEN + 3];
    char *at = text->p ? strstr(text->p, table) : NULL;
    const char *to = at ? strstr(at, end) : NULL;
    if (to)
        cut(text, at, to + sizeof(end) - 1);
    while ((at = text->p ? strstr(text->p, no_peer) : NULL) != NULL)
        cut(text, at, at + sizeof(no_peer) - 1);
    token[0] = ' ';
    sv_ip4_format(HA_TOKEN, token + 1);
    sv_copy(token + strlen(token), sizeof(token) - strlen(token), "/");
    at = text->p ? strstr(text->p, token) : NULL;
    if (!at)
        return;
    to = at + strcspn(at, "\n");
    to += *to == '\n';
    while (at > text->p && at[-1] != '\n')
        at--;
    cut(text, at, to);
}
