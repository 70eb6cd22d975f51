/* Routers (StarVCenter 2.9). Their rows are there from acceptance on; a job tells the engine of one that is made or
 * removed, and the keeper of what changes meanwhile. */
#include "core/router/router.h"

#include <stdio.h>

#include "starvirt/store_address.h"

/* --- shared ------------------------------------------------------------------------------------------- */

static enum sv_err view_of(struct sv_cloud *c, struct sv_tx *tx, const struct sv_router *r, struct sv_router_view *ret,
                           struct sv_error *err)
{
    struct sv_outer_ip o = {.ip = 0};
    bool found = false;
    const enum sv_err rc = sv_outer_ip_of_router(tx, &r->id, &o, &found, err);

    unsigned active;

    *ret = (struct sv_router_view){.row = *r, .ip = found ? o.ip : 0};
    ret->online = sv_online(c, &r->id, &active);
    ret->active = r->node[active < SV_ROUTER_NODES && r->ha ? active : 0];
    return rc;
}

static enum sv_err find_router(struct sv_tx *tx, const struct sv_actor *who, const char *node, struct sv_router *ret,
                               struct sv_error *err)
{
    struct sv_id id;
    enum sv_err rc = sv_check_id(node, SV_E_ROUTER_NOT_FOUND, SV_F_ROUTER, &id, err);

    return rc ? rc : sv_router_get(tx, sv_scope_of(who), &id, sv_tx_arena(tx), ret, err);
}

static enum sv_err find_vpc(struct sv_tx *tx, const struct sv_actor *who, const char *text, struct sv_vpc *ret,
                            struct sv_error *err)
{
    struct sv_id id;
    enum sv_err rc = sv_check_id(text, SV_E_VPC_NOT_FOUND, SV_F_VPC, &id, err);

    if (!rc)
        rc = sv_vpc_get(tx, sv_scope_of(who), &id, sv_tx_arena(tx), ret, err);
    return rc || !ret->deleting ? rc : sv_fail(err, SV_E_VPC_NOT_FOUND, SV_F_VPC);
}

/* "2 mappings, 1 balancer" */
static enum sv_err refuse_in_use(int64_t mappings, int64_t balancers, enum sv_field field, struct sv_error *err)
{
    char text[64] = "";
    size_t n = 0;

    if (mappings)
        n = (size_t)snprintf(text, sizeof(text), "%lld mapping%s", (long long)mappings, mappings > 1 ? "s" : "");
    if (balancers)
        snprintf(text + n, sizeof(text) - n, "%s%lld balancer%s", n ? ", " : "", (long long)balancers,
                 balancers > 1 ? "s" : "");
    return text[0] ? sv_fail(err, SV_E_ROUTER_IN_USE, field, text) : SV_OK;
}

/* --- made and removed --------------------------------------------------------------------------------- */

static enum sv_err accept_job(struct sv_cloud *c, struct sv_tx *tx, const struct sv_router *r,
                              const struct sv_job_kind *kind, struct sv_id *ret_startid, struct sv_error *err)
{
    const struct sv_job_spec spec = {
        .kind = kind, .tenant = r->tenant, .object = r->id, .object_type = "router", .object_name = r->name};

    return sv_locked_as(sv_jobs_accept(c->jobs, tx, &spec, ret_startid, err), SV_E_ROUTER_LOCKED, SV_F_ROUTER, err);
}

static enum sv_err check_only(struct sv_tx *tx, const struct sv_id *tenant, struct sv_error *err)
{
    struct sv_router there;
    bool found = false;
    const enum sv_err rc = sv_router_of_tenant(tx, tenant, sv_tx_arena(tx), &there, &found, err);

    return rc || !found ? rc : sv_fail(err, SV_E_ROUTER_EXISTS, SV_F_NONE, there.name);
}

static void no_row(void *arg, const struct sv_pool *p)
{
    (void)arg;
    (void)p;
}

/* `want` 0: the next, and none where there is no pool at all. */
static enum sv_err take_address(struct sv_tx *tx, const struct sv_router *r, uint32_t want, uint32_t *ret,
                                struct sv_error *err)
{
    const struct sv_page all = {0};
    uint64_t pools = 0;
    const enum sv_err rc = sv_pool_list(tx, SV_POOL_OUTER, &all, no_row, NULL, &pools, err);

    if (rc || (!pools && !want))
        return rc;
    return sv_outer_ip_take(tx, &r->tenant, want, SV_POOL_OUTER, &r->id, ret, err);
}

static enum sv_err check_new(struct sv_tx *tx, const struct sv_actor *who, const struct sv_router_new *in,
                             struct sv_router *r, uint32_t *ret_want, struct sv_error *err)
{
    enum sv_err rc = sv_owner(tx, who, in->tenant, &r->tenant, err);

    if (!rc)
        rc = sv_check_name(in->name, SV_F_ROUTER_NAME, err);
    if (!rc && in->ip && !sv_ip4_parse(in->ip, ret_want))
        rc = sv_fail(err, SV_E_PARAM_FORMAT, SV_F_OUTER_IP, "a.b.c.d");
    return rc ? rc : check_only(tx, &r->tenant, err);
}

enum sv_err sv_router_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                             const struct sv_router_new *in, struct sv_router_view *ret, struct sv_id *ret_startid,
                             struct sv_error *err)
{
    struct sv_router r = {.id = sv_id_new(), .descr = "", .ha = in->ha, .created = sv_tx_now(tx)};
    uint32_t want = 0, ip = 0;
    enum sv_err rc = check_new(tx, who, in, &r, &want, err);

    r.name = in->name ? in->name : sv_arena_printf(sv_tx_arena(tx), "vroute-%s", r.id.s + SV_ID_LEN - 8);
    r.node[0] = r.id;
    if (r.ha)
        r.node[1] = sv_id_new();
    if (!rc)
        rc = sv_router_insert(tx, &r, err);
    if (!rc)
        rc = take_address(tx, &r, want, &ip, err);
    if (!rc)
        rc = accept_job(c, tx, &r, &sv_kind_router_create, ret_startid, err);
    if (!rc)
        *ret = (struct sv_router_view){.row = r, .ip = ip};
    return rc;
}

enum sv_err sv_router_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *node,
                             struct sv_id *ret_startid, struct sv_error *err)
{
    int64_t mappings = 0, balancers = 0;
    struct sv_router r;
    enum sv_err rc = find_router(tx, who, node, &r, err);

    if (!rc)
        rc = sv_router_uses(tx, &r, &mappings, &balancers, err);
    if (!rc)
        rc = refuse_in_use(mappings, balancers, SV_F_ROUTER, err);
    if (!rc)
        rc = accept_job(c, tx, &r, &sv_kind_router_delete, ret_startid, err);
    return rc ? rc : sv_router_set_state(tx, &r.id, SV_ROUTER_DELETING, err);
}

/* --- shown -------------------------------------------------------------------------------------------- */

enum sv_err sv_router_show(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *node,
                           struct sv_router_view *ret, struct sv_error *err)
{
    struct sv_router r;
    const enum sv_err rc = find_router(tx, who, node, &r, err);

    return rc ? rc : view_of(c, tx, &r, ret, err);
}

struct shown {
    struct sv_cloud *c;
    struct sv_tx *tx;
    void (*row)(void *arg, const struct sv_router_view *v);
    void *arg;
    struct sv_error *err;
    enum sv_err rc;
};

static void show_row(void *arg, const struct sv_router *r)
{
    struct shown *s = arg;
    struct sv_router_view v;

    if (s->rc)
        return;
    s->rc = view_of(s->c, s->tx, r, &v, s->err);
    if (!s->rc)
        s->row(s->arg, &v);
}

enum sv_err sv_router_search(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *name,
                             const struct sv_page *p, void (*row)(void *arg, const struct sv_router_view *v), void *arg,
                             uint64_t *ret_total, struct sv_error *err)
{
    struct shown s = {.c = c, .tx = tx, .row = row, .arg = arg, .err = err};
    const enum sv_err rc = sv_router_list(tx, sv_scope_of(who), name, p, show_row, &s, ret_total, err);

    return rc ? rc : s.rc;
}

/* --- legs and boundaries -------------------------------------------------------------------------------- */

static enum sv_err check_unlocked(struct sv_tx *tx, const struct sv_router *r, struct sv_error *err)
{
    struct sv_lock lock;
    bool held = false;
    const enum sv_err rc = sv_lock_get(tx, &r->id, &lock, &held, err);

    return rc || !held ? rc : sv_fail(err, SV_E_ROUTER_LOCKED, SV_F_NONE, lock.job.s);
}

/* A VPC and the router of its tenant, which nothing is being done to. */
static enum sv_err find_both(struct sv_tx *tx, const struct sv_actor *who, const char *vpc, struct sv_vpc *v,
                             struct sv_router *ret, struct sv_error *err)
{
    bool found = false;
    enum sv_err rc = find_vpc(tx, who, vpc, v, err);

    if (!rc)
        rc = sv_router_of_tenant(tx, &v->tenant, sv_tx_arena(tx), ret, &found, err);
    if (rc || !found)
        return rc ? rc : sv_fail(err, SV_E_ROUTER_NONE, SV_F_NONE);
    return check_unlocked(tx, ret, err);
}

static enum sv_err touch_both(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *router, const struct sv_id *vpc,
                              struct sv_error *err)
{
    const enum sv_err rc = sv_unit_touch(c, tx, SV_UNIT_ROUTER, router, err);

    return rc ? rc : sv_unit_touch(c, tx, SV_UNIT_VPC, vpc, err);
}

static enum sv_err add_leg(struct sv_tx *tx, const struct sv_router *r, const struct sv_vpc *v, struct sv_error *err)
{
    struct sv_leg leg;
    bool found = false, added = false;
    enum sv_err rc = sv_leg_of_vpc(tx, &v->id, &leg, &found, err);

    if (!rc && found)
        rc = sv_fail(err, SV_E_LEG_EXISTS, SV_F_VPC, v->name);
    if (!rc)
        rc = sv_leg_insert(tx, &r->id, &v->id, SV_NET_MAX_LEGS, &added, err);
    return rc || added ? rc : sv_fail(err, SV_E_ROUTER_FULL, SV_F_NONE, sv_dec(SV_NET_MAX_LEGS).s);
}

enum sv_err sv_router_join(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vpc,
                           struct sv_error *err)
{
    struct sv_router r;
    struct sv_vpc v;
    enum sv_err rc = find_both(tx, who, vpc, &v, &r, err);

    if (!rc)
        rc = add_leg(tx, &r, &v, err);
    if (!rc)
        rc = touch_both(c, tx, &r.id, &v.id, err);
    return rc ? rc : sv_cloud_event(tx, "router.join", "router", &r.id, &r.tenant, v.name, err);
}

static enum sv_err check_leg_free(struct sv_tx *tx, const struct sv_vpc *v, struct sv_error *err)
{
    int64_t mappings = 0, balancers = 0;
    struct sv_leg leg;
    bool found = false;
    enum sv_err rc = sv_leg_of_vpc(tx, &v->id, &leg, &found, err);

    if (!rc && !found)
        rc = sv_fail(err, SV_E_ROUTER_NO_LEG, SV_F_VPC, v->name);
    if (!rc)
        rc = sv_leg_uses(tx, &v->id, &mappings, &balancers, err);
    return rc ? rc : refuse_in_use(mappings, balancers, SV_F_VPC, err);
}

enum sv_err sv_router_part(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vpc,
                           struct sv_error *err)
{
    struct sv_router r;
    struct sv_vpc v;
    enum sv_err rc = find_both(tx, who, vpc, &v, &r, err);

    if (!rc)
        rc = check_leg_free(tx, &v, err);
    if (!rc)
        rc = sv_leg_delete(tx, &v.id, err);
    if (!rc)
        rc = touch_both(c, tx, &r.id, &v.id, err);
    return rc ? rc : sv_cloud_event(tx, "router.part", "router", &r.id, &r.tenant, v.name, err);
}

enum sv_err sv_router_gate(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *vpc,
                           bool closed, struct sv_error *err)
{
    struct sv_leg leg;
    struct sv_vpc v;
    bool found = false;
    enum sv_err rc = find_vpc(tx, who, vpc, &v, err);

    if (!rc)
        rc = sv_gate_set(tx, &v.id, closed, err);
    if (!rc)
        rc = sv_leg_of_vpc(tx, &v.id, &leg, &found, err);
    if (!rc && found)
        rc = sv_unit_touch(c, tx, SV_UNIT_ROUTER, &leg.router, err);
    return rc ? rc : sv_cloud_event(tx, "vpc.gate", "vpc", &v.id, &v.tenant, closed ? "close" : "open", err);
}
