/* A router as an engine is given it: its legs; what else it does its other parts say. */
#include "core/network/wanted.h"
#include "starvirt/store_router.h"

struct legs {
    struct sv_arena *arena;
    struct sv_net_leg *v;
    size_t n, cap;
};

static void want_leg(void *arg, const struct sv_leg *l)
{
    struct legs *to = arg;

    to->v = sv_arena_grow(to->arena, to->v, to->n, &to->cap, sizeof(*to->v));
    to->v[to->n++] = (struct sv_net_leg){.vpc = l->vpc, .slot = l->slot, .base = l->base, .prefix = l->prefix};
}

enum sv_err sv_want_legs(struct sv_tx *tx, struct sv_arena *a, struct sv_net_router *ret, struct sv_error *err)
{
    struct legs l = {.arena = a};
    const enum sv_err rc = sv_leg_list(tx, &ret->id, want_leg, &l, err);

    ret->legs = l.v;
    ret->leg_count = l.n;
    return rc;
}

enum sv_err sv_want_router(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *id, struct sv_arena *a,
                           struct sv_net_router *ret, bool *ret_there, struct sv_error *err)
{
    struct sv_router r;
    enum sv_err rc = sv_router_get(tx, sv_scope_system(), id, a, &r, err);

    if (rc && rc != SV_E_ROUTER_NOT_FOUND)
        return rc;
    *ret_there = !rc && r.state != SV_ROUTER_DELETING;
    if (!*ret_there)
        return SV_OK;
    *ret = (struct sv_net_router){.id = r.id, .ha = r.ha};
    rc = sv_want_nats(tx, &r.tenant, a, ret, err);
    if (!rc)
        rc = sv_want_legs(tx, a, ret, err);
    if (!rc)
        rc = sv_want_gates(tx, a, ret, err);
    return rc ? rc : sv_want_balancers(c, tx, a, ret, err);
}
