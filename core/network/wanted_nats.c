/* What a router does with outer addresses: its own, all that it answers for, and what they are mapped onto. */
#include "core/network/wanted.h"
#include "starvirt/store_address.h"

struct nats {
    struct sv_arena *a;
    struct sv_net_nat *v;
    size_t n, cap;
    enum sv_err rc;
    struct sv_error *err;
};

static void add(struct nats *w, const struct sv_net_nat *n)
{
    w->v = sv_arena_grow(w->a, w->v, w->n, &w->cap, sizeof(*w->v));
    w->v[w->n++] = *n;
}

/* One of both protocols is two of the same id. */
static void see_nat(void *arg, const struct sv_nat *row)
{
    struct nats *w = arg;
    struct sv_net_nat n = {.id = row->id,
                           .proto = SV_NET_ANY,
                           .outer_ip = row->outer_ip,
                           .inner_ip = row->inner_ip,
                           .outer_port = (uint16_t)row->outer_port,
                           .inner_port = (uint16_t)row->inner_port};

    if (!w->rc)
        w->rc = sv_parse_ranges(row->sources, SV_F_SOURCES, w->a, &n.sources, w->err);
    if (w->rc)
        return;
    if (row->proto == SV_NAT_IP)
        add(w, &n);
    n.proto = SV_NET_TCP;
    if (row->proto & SV_NAT_TCP)
        add(w, &n);
    n.proto = SV_NET_UDP;
    if (row->proto & SV_NAT_UDP)
        add(w, &n);
}

struct ips {
    struct sv_arena *a;
    struct sv_net_router *router;
    uint32_t *v;
    size_t n, cap;
};

static void see_ip(void *arg, const struct sv_outer_ip *o)
{
    struct ips *w = arg;

    if (sv_id_eq(&o->router, &w->router->id)) {
        w->router->outer_ip = o->ip;
        w->router->outer_prefix = o->prefix;
        w->router->outer_gateway = o->gateway;
    }
    w->v = sv_arena_grow(w->a, w->v, w->n, &w->cap, sizeof(*w->v));
    w->v[w->n++] = o->ip;
}

enum sv_err sv_want_nats(struct sv_tx *tx, const struct sv_id *tenant, struct sv_arena *a, struct sv_net_router *ret,
                         struct sv_error *err)
{
    struct nats nats = {.a = a, .err = err};
    struct ips ips = {.a = a, .router = ret};
    enum sv_err rc = sv_outer_ip_list(tx, tenant, see_ip, &ips, err);

    if (!rc)
        rc = sv_nat_list_tenant(tx, tenant, see_nat, &nats, err);
    if (!rc)
        rc = nats.rc;
    if (rc)
        return rc;
    ret->outer_ips = ips.v;
    ret->outer_ip_count = ips.n;
    ret->nats = nats.v;
    ret->nat_count = nats.n;
    return SV_OK;
}
