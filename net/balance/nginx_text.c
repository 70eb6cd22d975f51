#include "net/balance/internal.h"

#include "starvirt/text.h"

enum {
    SESSIONS_MAX = 20000, /* of one router, all its balancers together */
    CONNECTIONS_OF_ONE = 2,
};

static enum sv_err check(const struct sv_net_balancer *b, struct sv_error *err)
{
    bool ok = sv_id_valid(b->id.s) && b->ip != 0 && b->port != 0;
    for (size_t i = 0; i < b->node_count; i++)
        ok = ok && b->nodes[i].ip != 0 && b->nodes[i].port != 0 && b->nodes[i].weight > 0;
    return ok ? SV_OK : sv_fail(err, SV_E_INTERNAL, SV_F_NONE, "not a balancer");
}

static void add_balancer(const struct sv_net_balancer *b, struct sv_buf *out)
{
    char ip[SV_IP4_LEN];
    sv_buf_printf(out, "\n  upstream u-%s {\n", b->id.s);
    if (b->policy == SV_NET_WLC)
        sv_buf_puts(out, "    least_conn;\n");
    for (size_t i = 0; i < b->node_count; i++) {
        const struct sv_net_node *node = &b->nodes[i];
        sv_ip4_format(node->ip, ip);
        sv_buf_printf(out, "    server %s:%u weight=%u max_fails=%u fail_timeout=%us%s;\n", ip, node->port,
                      haproxy_weight(b, node), b->retries, b->check_every, node->on ? "" : " down");
    }
    sv_ip4_format(b->bind_ip ? b->bind_ip : b->ip, ip);
    sv_buf_printf(out, "  }\n  server {\n    listen %s:%u udp;\n    proxy_pass u-%s;\n", ip,
                  b->bind_ip ? b->bind_port : b->port, b->id.s);
    sv_buf_printf(out, "    proxy_timeout %us;\n    limit_conn balancers %u;\n  }\n", b->idle_timeout,
                  b->max_connections);
}

static unsigned sessions(const struct balancers *b)
{
    unsigned most = 0;
    for (size_t i = 0; i < b->n && most < SESSIONS_MAX; i++)
        most += b->v[i]->max_connections;
    return most < SESSIONS_MAX ? most : SESSIONS_MAX;
}

enum sv_err nginx_text(const struct balancers *b, struct sv_buf *ret, struct sv_error *err)
{
    sv_buf_puts(ret, "# Made by starvirt and made anew with each change.\n"
                     "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n"
                     "user www-data;\nworker_processes 1;\npid nginx.pid;\nerror_log nginx.log emerg;\n");
    sv_buf_printf(ret, "events {\n  worker_connections %u;\n}\n", CONNECTIONS_OF_ONE * sessions(b) + 100);
    sv_buf_puts(ret, "stream {\n  limit_conn_zone $server_addr:$server_port zone=balancers:1m;\n"
                     "  limit_conn_log_level error;\n");
    for (size_t i = 0; i < b->n; i++) {
        enum sv_err rc = check(b->v[i], err);
        if (rc)
            return rc;
        /* nginx takes no balancer without nodes; nobody listens for it then. */
        if (b->v[i]->node_count > 0)
            add_balancer(b->v[i], ret);
    }
    sv_buf_puts(ret, "}\n");
    return SV_OK;
}
