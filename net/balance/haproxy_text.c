#include "net/balance/internal.h"

#include <stdio.h>

#include "starvirt/text.h"

enum {
    CONNECTIONS_MAX = 20000, /* of one router, all its balancers together */
    CONNECT_MAX_S = 10,      /* a node that takes longer is none */
    REQUEST_MAX_S = 10,      /* a client's whole head */
};

/* --- what gets into a line --- */

/* Of a path, RFC 3986 without the quote; nothing among it ends a word or a line, or is a variable of HAProxy's. */
static bool path_ok(const char *path)
{
    static const char taken[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-._~!&()*+,;=:@%?$";
    return path[0] == '\0' || (path[0] == '/' && path[strspn(path, taken)] == '\0');
}

static bool node_ok(const struct sv_net_node *n)
{
    return sv_id_valid(n->id.s) && n->ip != 0 && n->port != 0 && n->weight > 0;
}

static bool is_http(const struct sv_net_balancer *b)
{
    return b->proto == SV_NET_BALANCE_HTTP || b->proto == SV_NET_BALANCE_HTTPS;
}

static enum sv_err check(const struct sv_net_balancer *b, struct sv_error *err)
{
    if (!sv_id_valid(b->id.s) || b->ip == 0 || b->port == 0)
        return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, "not a balancer");
    if (is_http(b) && (!path_ok(b->url_path) || !path_ok(b->check_path)))
        return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, "a path that HAProxy would not take for one");
    for (size_t i = 0; i < b->node_count; i++)
        if (!node_ok(&b->nodes[i]))
            return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, "not a node");
    return SV_OK;
}

static unsigned at_most(unsigned value, unsigned most)
{
    return value < most ? value : most;
}

/* --- nodes --- */

void haproxy_server_name(const struct sv_net_node *node, char buf[BALANCE_NAME_MAX])
{
    char ip[SV_IP4_LEN];
    sv_ip4_format(node->ip, ip);
    snprintf(buf, BALANCE_NAME_MAX, "%s:%s:%u", node->id.s, ip, node->port);
}

unsigned haproxy_weight(const struct sv_net_balancer *b, const struct sv_net_node *node)
{
    return b->policy == SV_NET_RR ? 1 : node->weight;
}

void haproxy_check_words(const struct sv_net_balancer *b, struct sv_buf *ret)
{
    sv_buf_printf(ret, "check inter %us fall %u rise 2", b->check_every, b->retries);
}

static void add_servers(const struct sv_net_balancer *b, struct sv_buf *out)
{
    for (size_t i = 0; i < b->node_count; i++) {
        const struct sv_net_node *node = &b->nodes[i];
        char name[BALANCE_NAME_MAX], ip[SV_IP4_LEN];
        haproxy_server_name(node, name);
        sv_ip4_format(node->ip, ip);
        sv_buf_printf(out, "  server %s %s:%u weight %u%s\n", name, ip, node->port, haproxy_weight(b, node),
                      node->on ? "" : " disabled");
    }
}

/* --- one balancer --- */

/* Requests below the path only; one that climbs out of it is not below. */
static void add_path(const struct sv_net_balancer *b, struct sv_buf *out)
{
    size_t n = strlen(b->url_path);
    while (n > 0 && b->url_path[n - 1] == '/')
        n--;
    if (n == 0)
        return;
    sv_buf_printf(out, "  http-request deny deny_status 404 unless { path %.*s } || { path_beg %.*s/ }\n", (int)n,
                  b->url_path, (int)n, b->url_path);
    sv_buf_puts(out, "  http-request deny deny_status 400 if { path,url_dec -m sub /../ } || { path,url_dec -m end /.. "
                     "}\n");
}

static void add_frontend(const struct sv_net_balancer *b, struct sv_buf *out)
{
    char ip[SV_IP4_LEN];
    const bool tls = b->proto == SV_NET_BALANCE_HTTPS;
    sv_ip4_format(b->bind_ip ? b->bind_ip : b->ip, ip);
    sv_buf_printf(out, "\nfrontend f-%s\n  mode %s\n  bind %s:%u", b->id.s, is_http(b) ? "http" : "tcp", ip,
                  b->bind_ip ? b->bind_port : b->port);
    if (tls)
        sv_buf_printf(out, " ssl crt %s.pem alpn h2,http/1.1", b->id.s);
    sv_buf_printf(out, "\n  maxconn %u\n  timeout client %us\n", b->max_connections, b->idle_timeout);
    if (is_http(b)) {
        sv_buf_printf(out,
                      "  timeout http-request %us\n  option forwardfor\n"
                      "  http-request set-header X-Forwarded-Proto %s\n",
                      at_most(b->idle_timeout, REQUEST_MAX_S), tls ? "https" : "http");
        add_path(b, out);
    }
    sv_buf_printf(out, "  default_backend b-%s\n", b->id.s);
}

/* Without a path a connection is enough. The Host is the balancer's own: a node with several sites has one for it. */
static void add_check(const struct sv_net_balancer *b, struct sv_buf *out)
{
    char ip[SV_IP4_LEN];
    if (!is_http(b) || !b->check_path[0])
        return;
    sv_ip4_format(b->ip, ip);
    sv_buf_printf(out,
                  "  option httpchk\n  http-check send meth GET uri %s ver HTTP/1.1 hdr Host %s\n"
                  "  http-check expect status 200-399\n",
                  b->check_path, ip);
}

static const char *algorithm(enum sv_net_policy policy)
{
    switch (policy) {
    case SV_NET_RR:
    case SV_NET_WRR:
        return "roundrobin";
    case SV_NET_WLC:
        return "leastconn";
    }
    return "";
}

static void add_backend(const struct sv_net_balancer *b, bool nodes, struct sv_buf *out)
{
    sv_buf_printf(out, "\nbackend b-%s\n  mode %s\n  balance %s\n", b->id.s, is_http(b) ? "http" : "tcp",
                  algorithm(b->policy));
    sv_buf_printf(out, "  timeout connect %us\n  timeout server %us\n  timeout check %us\n",
                  at_most(b->check_timeout, CONNECT_MAX_S), b->idle_timeout, b->check_timeout);
    /* A node that takes no connection costs the client nothing: the next one is asked. */
    sv_buf_puts(out, "  retries 3\n  option redispatch 1\n");
    add_check(b, out);
    sv_buf_puts(out, "  default-server ");
    haproxy_check_words(b, out);
    sv_buf_putc(out, '\n');
    if (nodes)
        add_servers(b, out);
}

/* --- the whole --- */

static void add_all(const struct balancers *b, bool nodes, struct sv_buf *out)
{
    unsigned most = 0;
    for (size_t i = 0; i < b->n; i++)
        most = at_most(most + at_most(b->v[i]->max_connections, CONNECTIONS_MAX), CONNECTIONS_MAX);
    sv_buf_puts(out, "  user haproxy\n  group haproxy\n  chroot /var/lib/haproxy\n  nbthread 1\n");
    sv_buf_printf(out, "  maxconn %u\n  no strict-limits\n", most + 100);
    /* Workers of before a change stay as long as connections of before it. */
    sv_buf_puts(out, "  hard-stop-after 1h\n"
                     "  stats socket unix@haproxy.sock mode 600 level admin expose-fd listeners\n"
                     "  server-state-file haproxy.state\n"
                     "  ssl-default-bind-options ssl-min-ver TLSv1.2\n"
                     "  tune.ssl.default-dh-param 2048\n"
                     "\ndefaults\n  load-server-state-from-file global\n");
    for (size_t i = 0; i < b->n; i++) {
        add_frontend(b->v[i], out);
        add_backend(b->v[i], nodes, out);
    }
}

static void digest(const struct balancers *b, char shape[BALANCE_SHAPE_LEN + 1])
{
    SV_CLEANUP(sv_buf_free) struct sv_buf bare = {0};
    unsigned char sum[SV_SHA256_LEN];
    add_all(b, false, &bare);
    sv_sha256(bare.p, bare.n, sum);
    sv_hex(sum, BALANCE_SHAPE_LEN / 2, shape);
}

enum sv_err haproxy_text(const struct balancers *b, struct sv_buf *ret, char shape[BALANCE_SHAPE_LEN + 1],
                         struct sv_error *err)
{
    for (size_t i = 0; i < b->n; i++) {
        enum sv_err rc = check(b->v[i], err);
        if (rc)
            return rc;
    }
    digest(b, shape);
    sv_buf_printf(ret, "# Made by starvirt and made anew with each change.\nglobal\n  description %s\n", shape);
    add_all(b, true, ret);
    return SV_OK;
}
