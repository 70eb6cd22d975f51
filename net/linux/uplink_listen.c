/* Addresses of a VPC at which balancers of its router listen. The router's record names them; the gateway has a route
 * for each and answers ARP for it. A route is made last and goes first, so that routes tell what is there. */
#include "net/linux/router.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct addresses {
    uint32_t *v;
    size_t n, cap;
};

static void addresses_free(struct addresses *a)
{
    free(a->v);
}

static void add(struct addresses *a, uint32_t ip)
{
    a->v = sv_grow(a->v, a->n, &a->cap, sizeof(*a->v));
    a->v[a->n++] = ip;
}

static bool has(const struct addresses *a, uint32_t ip)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i] == ip)
            return true;
    return false;
}

/* --- wanted: lines "lo ADDRESS/32" of DIR/net-router/<id>/wanted --- */

static void read_line(const char *line, const struct sv_net_leg *leg, struct addresses *ret)
{
    static const char start[] = LISTEN_DEV " ";
    char text[SV_IP4_LEN];
    uint32_t ip;
    if (strncmp(line, start, sizeof(start) - 1) != 0)
        return;
    line += sizeof(start) - 1;
    size_t n = strcspn(line, "/\n");
    sv_copy(text, n < sizeof(text) ? n + 1 : sizeof(text), line);
    if (sv_ip4_parse(text, &ip) && (ip ^ leg->base) >> (32 - leg->prefix) == 0)
        add(ret, ip);
}

static enum sv_err look_wanted(const struct work *w, const struct sv_net_leg *leg, const struct sv_id *router,
                               struct addresses *ret, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    SV_AUTOFREE char *path = sv_asprintf("%s/%s/wanted", w->net->router_dir, router->s);
    enum sv_err rc = file_read(path, &text, err);
    for (const char *at = rc ? NULL : text.p; at && *at; at += strcspn(at, "\n"), at += *at == '\n')
        read_line(at, leg, ret);
    return rc;
}

/* --- there: routes of the gateway to one address --- */

struct look {
    struct addresses there;
    bool uplink;
};

/* Eight hexadecimal digits; 0 where they are none. */
static uint32_t hex(const char *p)
{
    static const char digits[] = "0123456789ABCDEF";
    uint32_t v = 0;
    for (unsigned i = 0; i < 8; i++) {
        const char *d = p[i] ? strchr(digits, p[i]) : NULL;
        if (!d)
            return 0;
        v = v << 4 | (uint32_t)(d - digits);
    }
    return v;
}

/* "up0<tab>destination<tab>gateway<tab>…": the router is the gateway of the default and of such addresses only. */
static void look_inside(void *arg)
{
    static const char start[] = UPLINK_DEV "\t";
    struct look *l = arg;
    char line[256], gateway[16];
    FILE *f = fopen("/proc/thread-self/net/route", "re");
    snprintf(gateway, sizeof(gateway), "\t%08X\t", htonl(TRANSIT_ROUTER));
    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, start, sizeof(start) - 1) != 0)
            continue;
        l->uplink = true;
        uint32_t destination = hex(line + sizeof(start) - 1);
        if (destination && strncmp(line + sizeof(start) - 1 + 8, gateway, strlen(gateway)) == 0)
            add(&l->there, ntohl(destination));
    }
    if (f)
        fclose(f);
}

/* --- the difference --- */

static void put(struct sv_buf *b, uint32_t ip, bool on)
{
    char text[SV_IP4_LEN], router[SV_IP4_LEN];
    sv_ip4_format(ip, text);
    sv_ip4_format(TRANSIT_ROUTER, router);
    if (on)
        sv_buf_printf(b, "neigh replace proxy %s dev " GATEWAY_DEV "\n", text);
    sv_buf_printf(b, "route %s %s via %s dev " UPLINK_DEV "%s\n", on ? "replace" : "del", text, router,
                  on ? " proto static" : "");
    if (!on)
        sv_buf_printf(b, "neigh del proxy %s dev " GATEWAY_DEV "\n", text);
}

static void look_free(struct look *l)
{
    addresses_free(&l->there);
}

/* Commands that make it so; none: it is. */
static enum sv_err difference(const struct work *w, const struct sv_net_leg *leg, const struct sv_id *router,
                              struct sv_buf *ret, struct sv_error *err)
{
    char path[40];
    SV_CLEANUP(addresses_free) struct addresses want = {0};
    SV_CLEANUP(look_free) struct look l = {0};
    vpc_netns_path(&leg->vpc, path);
    SV_AUTOFD int fd = netns_open(path);
    if (fd < 0)
        return SV_OK;
    enum sv_err rc = look_wanted(w, leg, router, &want, err);
    if (!rc)
        rc = netns_call(fd, look_inside, &l, err);
    if (rc || !l.uplink)
        return rc;
    for (size_t i = 0; i < l.there.n; i++)
        if (!has(&want, l.there.v[i]))
            put(ret, l.there.v[i], false);
    for (size_t i = 0; i < want.n; i++)
        if (!has(&l.there, want.v[i]))
            put(ret, want.v[i], true);
    return SV_OK;
}

enum sv_err uplink_listen(const struct work *w, const struct sv_net_leg *leg, const struct sv_id *router,
                          struct sv_error *err)
{
    char netns[20];
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    name_of("sv-", &leg->vpc, netns, sizeof(netns));
    const enum sv_err rc = difference(w, leg, router, &b, err);
    return rc ? rc : ip_batch(w, netns, &b, err);
}

enum sv_err uplink_listens(const struct work *w, const struct sv_net_leg *leg, const struct sv_id *router, bool *ret,
                           struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    const enum sv_err rc = difference(w, leg, router, &b, err);
    *ret = !rc && b.n == 0;
    return rc;
}
