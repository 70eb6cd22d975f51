/* Routers: one a tenant, and the VPCs that it leads to. */
#include "check.h"
#include "starvirt/store_router.h"
#include "store_fixture.h"

static struct sv_router router;
static struct sv_vpc vpcs[4];

struct seen {
    struct sv_id v[8];
    unsigned slot[8];
    unsigned n;
};

static void see_router(void *arg, const struct sv_router *r)
{
    struct seen *s = arg;
    s->v[s->n++] = r->id;
}

static void see_leg(void *arg, const struct sv_leg *l)
{
    struct seen *s = arg;
    s->slot[s->n] = l->slot;
    s->v[s->n++] = l->vpc;
}

static struct sv_router new_router(struct sv_tx *tx, const struct sv_id *tenant, bool ha)
{
    struct sv_router r = {.id = sv_id_new(), .tenant = *tenant, .name = "r", .descr = "", .ha = ha};
    r.created = sv_tx_now(tx);
    r.node[0] = r.id;
    if (ha)
        r.node[1] = sv_id_new();
    return r;
}

static enum sv_err make(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_arena *a = sv_tx_arena(tx);
    struct sv_router found;
    struct seen s = {.n = 0};
    uint64_t total;
    bool any;
    (void)arg;
    (void)err;
    WORKS(sv_router_of_tenant(tx, &w.a, a, &found, &any, &why));
    CHECK(!any);
    router = new_router(tx, &w.a, true);
    WORKS(sv_router_insert(tx, &router, &why));
    const struct sv_router other = new_router(tx, &w.b, false);
    WORKS(sv_router_insert(tx, &other, &why));
    WORKS(sv_router_get(tx, sv_scope_tenant(&w.a), &router.node[1], a, &found, &why)); /* by either instance */
    CHECK(sv_id_eq(&found.id, &router.id));
    CHECK(found.ha && sv_id_eq(&found.node[1], &router.node[1]));
    FAILS(sv_router_get(tx, sv_scope_tenant(&w.b), &router.id, a, &found, &why), SV_E_ROUTER_NOT_FOUND);
    WORKS(sv_router_of_tenant(tx, &w.b, a, &found, &any, &why));
    CHECK(any && !found.ha && sv_id_empty(&found.node[1]));
    WORKS(sv_router_list(tx, sv_scope_tenant(&w.a), NULL, &all_rows, see_router, &s, &total, &why));
    CHECK_INT(total, 1);
    WORKS(sv_router_list(tx, sv_scope_system(), "nobody", &all_rows, see_router, &s, &total, &why));
    CHECK_INT(total, 0);
    const struct sv_page second = {.offset = 1, .limit = 1};
    s.n = 0;
    WORKS(sv_router_list(tx, sv_scope_system(), NULL, &second, see_router, &s, &total, &why));
    CHECK_INT(total, 2);
    CHECK_INT(s.n, 1);
    CHECK(sv_id_eq(&s.v[0], &other.id));
    WORKS(sv_router_set_state(tx, &router.id, SV_ROUTER_READY, &why));
    WORKS(sv_router_get(tx, sv_scope_system(), &router.id, a, &found, &why));
    CHECK_INT(found.state, SV_ROUTER_READY);
    return SV_OK;
}

static bool add_leg(struct sv_tx *tx, const struct sv_vpc *v, unsigned slots)
{
    bool added = false;
    WORKS(sv_leg_insert(tx, &router.id, &v->id, slots, &added, &why));
    return added;
}

static enum sv_err legs(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct seen s = {.n = 0};
    struct sv_leg leg;
    int64_t mappings, balancers;
    bool found;
    (void)arg;
    (void)err;
    for (unsigned i = 0; i < 4; i++) {
        vpcs[i] = new_vpc(tx, &w.a, 24);
        WORKS(sv_vpc_insert(tx, &vpcs[i], 0x0a800000, 9, &why));
    }
    CHECK(add_leg(tx, &vpcs[0], 3));
    CHECK(add_leg(tx, &vpcs[1], 3));
    CHECK(add_leg(tx, &vpcs[2], 3));
    CHECK(!add_leg(tx, &vpcs[3], 3));
    WORKS(sv_leg_delete(tx, &vpcs[1].id, &why));
    CHECK(add_leg(tx, &vpcs[3], 3)); /* at the lowest slot that is free */
    WORKS(sv_leg_of_vpc(tx, &vpcs[3].id, &leg, &found, &why));
    CHECK(found);
    CHECK_INT(leg.slot, 1);
    WORKS(sv_leg_delete(tx, &vpcs[0].id, &why));
    CHECK(add_leg(tx, &vpcs[1], 3));
    WORKS(sv_leg_list(tx, &router.id, see_leg, &s, &why));
    CHECK_INT(s.n, 3);
    for (unsigned i = 0; i < 3; i++)
        CHECK_INT(s.slot[i], i);
    CHECK(sv_id_eq(&s.v[0], &vpcs[1].id));
    WORKS(sv_leg_of_vpc(tx, &vpcs[0].id, &leg, &found, &why));
    CHECK(!found);
    WORKS(sv_leg_uses(tx, &vpcs[1].id, &mappings, &balancers, &why));
    CHECK_INT(mappings + balancers, 0);
    WORKS(sv_router_uses(tx, &router, &mappings, &balancers, &why));
    CHECK_INT(mappings + balancers, 0);
    return SV_OK;
}

static enum sv_err unmake(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_router found;
    struct seen s = {.n = 0};
    (void)arg;
    (void)err;
    WORKS(sv_router_delete(tx, &router.id, &why));
    WORKS(sv_router_delete(tx, &router.id, &why)); /* it is gone already */
    FAILS(sv_router_get(tx, sv_scope_system(), &router.id, sv_tx_arena(tx), &found, &why), SV_E_ROUTER_NOT_FOUND);
    WORKS(sv_leg_list(tx, &router.id, see_leg, &s, &why));
    CHECK_INT(s.n, 0);
    return SV_OK;
}

static void rows(void)
{
    world_new();
    writing(make, NULL);
    writing(legs, NULL);
    writing(unmake, NULL);
    world_remove();
}

CHECK_MAIN(T(rows))
