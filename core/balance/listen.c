/* Where a load balancer listens. Outside: an address of a pool, alone on it or beside mappings and other balancers on
 * other ports. Inside: an address of a VPC that its router leads to, which no NIC has; several balancers may share it.
 * TCP and UDP have ports of their own. */
#include "core/balance/balance.h"
#include "starvirt/store_address.h"

static enum sv_err refuse(const struct sv_slb *b, const char *why, struct sv_error *err)
{
    char ip[SV_IP4_LEN];

    sv_ip4_format(b->ip, ip);
    return sv_fail(err, SV_E_SLB_ADDRESS, SV_F_SLB_IP, ip, why);
}

static enum sv_err taken(const struct sv_slb *b, const char *by, const struct sv_id *id, struct sv_error *err)
{
    SV_AUTOFREE char *who = sv_asprintf("%s %s", by, id->s);

    return sv_fail(err, SV_E_SLB_PORT_TAKEN, SV_F_SLB_PORT, sv_dec(b->port).s, who);
}

/* --- outside ------------------------------------------------------------------------------------------ */

/* Other balancers there: one that has the address for itself is alone. */
static enum sv_err check_alone(struct sv_tx *tx, const struct sv_slb *b, struct sv_error *err)
{
    struct sv_id other, owner = {.s = ""};
    enum sv_err rc = sv_slb_at(tx, &b->vpc, b->ip, false, 0, &b->id, &other, err);

    if (rc || sv_id_empty(&other))
        return rc;
    if (b->own)
        return refuse(b, "another load balancer uses it", err);
    rc = sv_slb_owner_of(tx, b->ip, &owner, err);
    return rc || sv_id_empty(&owner) ? rc : refuse(b, "another load balancer has it for itself", err);
}

static enum sv_err check_mappings(struct sv_tx *tx, const struct sv_slb *b, struct sv_error *err)
{
    const enum sv_nat_proto proto = b->proto == SV_SLB_UDP ? SV_NAT_UDP : SV_NAT_TCP;
    enum sv_nat_proto mapped;
    struct sv_id nat;
    enum sv_err rc = sv_nat_at(tx, b->ip, proto, b->own ? 0 : b->port, &nat, &mapped, err);

    if (rc || sv_id_empty(&nat))
        return rc;
    if (mapped == SV_NAT_IP)
        return refuse(b, "it is mapped to a VM", err);
    return b->own ? refuse(b, "a port of it is mapped to a VM", err) : taken(b, "mapping", &nat, err);
}

static enum sv_err check_router(struct sv_tx *tx, const struct sv_slb *b, struct sv_error *err)
{
    struct sv_outer_ip o;
    bool found = false;
    enum sv_err rc = b->own ? sv_outer_ip_get(tx, b->ip, &o, &found, err) : SV_OK;

    return rc || !found || sv_id_empty(&o.router) ? rc : refuse(b, "it is a router's own", err);
}

static enum sv_err join(struct sv_tx *tx, const struct sv_slb *b, struct sv_error *err)
{
    enum sv_err rc = sv_outer_ip_join(tx, &b->tenant, b->ip, SV_POOL_OUTER, err);

    if (rc && err->field == SV_F_OUTER_IP)
        err->field = SV_F_SLB_IP;
    return rc;
}

static enum sv_err listen_outside(struct sv_tx *tx, const struct sv_slb *b, struct sv_error *err)
{
    enum sv_err rc = join(tx, b, err);

    if (!rc)
        rc = check_router(tx, b, err);
    if (!rc)
        rc = check_mappings(tx, b, err);
    return rc ? rc : check_alone(tx, b, err);
}

/* --- inside ------------------------------------------------------------------------------------------- */

enum sv_err sv_slb_find_vpc(struct sv_tx *tx, struct sv_slb *b, struct sv_error *err)
{
    struct sv_vpc v;
    enum sv_err rc = sv_slb_leg_at(tx, &b->router, b->ip, &b->vpc, err);

    if (!rc && sv_id_empty(&b->vpc))
        rc = refuse(b, "it is in no VPC of the router", err);
    if (!rc)
        rc = sv_vpc_get(tx, sv_scope_system(), &b->vpc, sv_tx_arena(tx), &v, err);
    if (!rc && b->ip == v.base + 1)
        rc = refuse(b, "it is the VPC's gateway", err);
    return rc;
}

/* Does a balancer hold the address already, perhaps this one? */
static enum sv_err is_held(struct sv_tx *tx, const struct sv_slb *b, bool *ret, struct sv_error *err)
{
    const struct sv_id nobody = {.s = ""};
    struct sv_id holder;
    enum sv_err rc = sv_slb_at(tx, &b->vpc, b->ip, false, 0, &nobody, &holder, err);

    if (!rc)
        *ret = !sv_id_empty(&holder);
    return rc;
}

static enum sv_err listen_inside(struct sv_tx *tx, const struct sv_slb *b, struct sv_error *err)
{
    bool held = false, free_one = true;
    enum sv_err rc = is_held(tx, b, &held, err);

    if (!rc && !held)
        rc = sv_vpc_take_ip(tx, &b->vpc, b->ip, &free_one, err);
    return rc || free_one ? rc : refuse(b, "it is not a free address of the VPC", err);
}

/* --- both --------------------------------------------------------------------------------------------- */

enum sv_err sv_slb_listen(struct sv_tx *tx, const struct sv_slb *b, struct sv_error *err)
{
    struct sv_id other;
    enum sv_err rc = sv_slb_outside(b) ? listen_outside(tx, b, err) : listen_inside(tx, b, err);

    if (!rc)
        rc = sv_slb_at(tx, &b->vpc, b->ip, b->proto == SV_SLB_UDP, b->port, &b->id, &other, err);
    return rc || sv_id_empty(&other) ? rc : taken(b, "load balancer", &other, err);
}

enum sv_err sv_slb_hush(struct sv_tx *tx, const struct sv_slb *b, struct sv_error *err)
{
    bool held = false;
    enum sv_err rc;

    if (sv_slb_outside(b))
        return sv_outer_ip_give(tx, b->ip, err);
    rc = is_held(tx, b, &held, err);
    return rc || held ? rc : sv_vpc_give_ip(tx, &b->vpc, b->ip, err);
}
