/* Load balancers as an engine is given them. */
#include "core/network/wanted.h"
#include "starvirt/limits.h"
#include "starvirt/store_slb.h"

_Static_assert((int)SV_SLB_TCP == (int)SV_NET_BALANCE_TCP && (int)SV_SLB_UDP == (int)SV_NET_BALANCE_UDP &&
                   (int)SV_SLB_HTTP == (int)SV_NET_BALANCE_HTTP && (int)SV_SLB_HTTPS == (int)SV_NET_BALANCE_HTTPS,
               "rows number protocols as engines do");
_Static_assert((int)SV_SLB_RR == (int)SV_NET_RR && (int)SV_SLB_WRR == (int)SV_NET_WRR &&
                   (int)SV_SLB_WLC == (int)SV_NET_WLC,
               "and policies");

struct balancers {
    struct sv_arena *a;
    struct sv_net_balancer *v;
    size_t n, cap;
};
struct nodes {
    struct sv_arena *a;
    struct sv_net_node *v;
    size_t n, cap;
};

static void want_balancer(void *arg, const struct sv_slb *b)
{
    struct balancers *l = arg;

    if (!b->enabled)
        return;
    l->v = sv_arena_grow(l->a, l->v, l->n, &l->cap, sizeof(*l->v));
    l->v[l->n++] = (struct sv_net_balancer){
        .id = b->id,
        .proto = (enum sv_net_balancer_proto)b->proto,
        .policy = (enum sv_net_policy)b->policy,
        .ip = b->ip,
        .port = (uint16_t)b->port,
        .outer = sv_slb_outside(b),
        .url_path = strcmp(b->url_path, "/") == 0 ? "" : sv_arena_strdup(l->a, b->url_path),
        .check_path = sv_arena_strdup(l->a, b->check_path),
        .check_every = b->check_every,
        .check_timeout = b->check_timeout,
        .retries = b->retries,
        .idle_timeout = b->idle_timeout,
        .max_connections = b->max_connections,
    };
}

static void want_node(void *arg, const struct sv_slb_node *n)
{
    struct nodes *l = arg;

    l->v = sv_arena_grow(l->a, l->v, l->n, &l->cap, sizeof(*l->v));
    l->v[l->n++] = (struct sv_net_node){
        .id = n->id, .ip = n->ip, .port = (uint16_t)n->port, .weight = n->weight, .on = n->enabled};
}

static enum sv_err add_nodes(struct sv_tx *tx, struct sv_arena *a, struct sv_net_balancer *b, struct sv_error *err)
{
    struct nodes l = {.a = a};
    const enum sv_err rc = sv_slb_node_list_slb(tx, &b->id, want_node, &l, err);

    b->nodes = l.v;
    b->node_count = l.n;
    return rc;
}

static void wipe(char **pem)
{
    if (*pem)
        explicit_bzero(*pem, SV_MAX_SECRET);
    free(*pem);
}

static enum sv_err add_pem(struct sv_cloud *c, struct sv_tx *tx, struct sv_arena *a, struct sv_net_balancer *b,
                           struct sv_error *err)
{
    SV_CLEANUP(wipe) char *pem = sv_alloc(SV_MAX_SECRET + 1);
    enum sv_err rc = sv_secret_get(c->secrets, tx, &b->id, SV_SECRET_CERTIFICATE, pem, SV_MAX_SECRET + 1, err);

    if (!rc)
        b->pem = sv_arena_strdup(a, pem);
    return rc;
}

enum sv_err sv_want_balancers(struct sv_cloud *c, struct sv_tx *tx, struct sv_arena *a, struct sv_net_router *ret,
                              struct sv_error *err)
{
    struct balancers l = {.a = a};
    enum sv_err rc = sv_slb_list_router(tx, &ret->id, want_balancer, &l, err);

    for (size_t i = 0; !rc && i < l.n; i++) {
        rc = add_nodes(tx, a, &l.v[i], err);
        if (!rc && l.v[i].proto == SV_NET_BALANCE_HTTPS)
            rc = add_pem(c, tx, a, &l.v[i], err);
    }
    ret->balancers = l.v;
    ret->balancer_count = l.n;
    return rc;
}
