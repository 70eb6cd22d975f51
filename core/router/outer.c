/* Which outer addresses a tenant can map something onto (StarVCenter 2.11.1). */
#include "core/run/run.h"
#include "starvirt/core_address.h"

struct search {
    struct sv_tx *tx;
    const struct sv_outer_query *q;
    const struct sv_page *page;
    uint64_t total;
    void (*row)(void *arg, const struct sv_outer_choice *o);
    void *arg;
    struct sv_buf ports; /* of the address at hand */
    enum sv_err rc;
    struct sv_error *err;
};

static bool matches(const struct search *s, uint32_t ip)
{
    char text[SV_IP4_LEN];

    if (s->q->ip && s->q->ip != ip)
        return false;
    if (!s->q->part)
        return true;
    sv_ip4_format(ip, text);
    return strstr(text, s->q->part) != NULL;
}

static bool on_page(const struct search *s, uint64_t at)
{
    return at >= s->page->offset && (s->page->limit == 0 || at - s->page->offset < s->page->limit);
}

/* --- the tenant's own --------------------------------------------------------------------------------- */

static void add_port(void *arg, unsigned port)
{
    struct sv_buf *b = arg;

    sv_buf_printf(b, "%s%u", b->n ? "," : "", port);
}

/* Another port of it can be mapped: it is neither mapped whole nor a balancer's alone. */
static enum sv_err has_room(struct search *s, uint32_t ip, bool *ret)
{
    struct sv_error why;
    const enum sv_err rc = sv_nat_check_port(s->tx, ip, SV_NAT_BOTH, 0, &why);

    *ret = rc == SV_OK;
    if (rc != SV_E_OUTER_IP_MAPPED && rc != SV_E_OUTER_IP_OWN && rc) {
        if (s->err)
            *s->err = why;
        return rc;
    }
    return SV_OK;
}

static void see_own(void *arg, const struct sv_outer_ip *o)
{
    struct search *s = arg;
    bool room = false;

    if (s->rc || !(o->type & SV_POOL_OUTER) || !matches(s, o->ip))
        return;
    s->rc = has_room(s, o->ip, &room);
    if (s->rc || !room || !on_page(s, s->total++))
        return;
    s->ports.n = 0;
    s->rc = sv_outer_ip_ports(s->tx, o->ip, add_port, &s->ports, s->err);
    sv_buf_putc(&s->ports, '\0');
    if (!s->rc)
        s->row(s->arg,
               &(struct sv_outer_choice){.ip = o->ip, .gateway = o->gateway, .prefix = o->prefix, .ports = s->ports.p});
}

/* --- what is free ------------------------------------------------------------------------------------- */

static void see_free(void *arg, const struct sv_outer_free *f)
{
    struct search *s = arg;

    for (uint64_t ip = f->first; ip <= f->last; ip++)
        if (matches(s, (uint32_t)ip) && on_page(s, s->total++))
            s->row(s->arg, &(struct sv_outer_choice){
                               .ip = (uint32_t)ip, .gateway = f->gateway, .prefix = f->prefix, .ports = ""});
}

/* --- both --------------------------------------------------------------------------------------------- */

/* Whose addresses count, and whether anything can be mapped onto what was named at all. */
static enum sv_err for_whom(struct sv_tx *tx, const struct sv_actor *who, const struct sv_outer_query *q,
                            struct sv_id *ret_tenant, bool *ret_can, struct sv_error *err)
{
    struct sv_scope scope = sv_scope_of(who);
    struct sv_nic nic;
    struct sv_id router, nat;
    uint32_t ip = 0;
    enum sv_err rc = sv_owner(tx, who, q->tenant, ret_tenant, err);

    *ret_can = !q->inner;
    if (rc || !q->inner)
        return rc;
    if (q->tenant)
        scope = sv_scope_tenant(ret_tenant);
    if (!sv_ip4_parse(q->inner, &ip))
        return sv_fail(err, SV_E_PARAM_FORMAT, SV_F_NIC, "a.b.c.d");
    rc = sv_nic_get_ip(tx, scope, ip, sv_tx_arena(tx), &nic, err);
    if (rc)
        return rc == SV_E_NIC_NOT_FOUND ? SV_OK : rc;
    *ret_tenant = nic.tenant;
    rc = sv_nat_way(tx, &nic, &router, ret_can, err);
    if (!rc && q->whole)
        rc = sv_nat_of_nic(tx, &nic.id, &nat, err);
    if (!rc && q->whole && !sv_id_empty(&nat))
        *ret_can = false;
    return rc;
}

enum sv_err sv_outer_search(struct sv_tx *tx, const struct sv_actor *who, const struct sv_outer_query *q,
                            const struct sv_page *p, void (*row)(void *arg, const struct sv_outer_choice *o), void *arg,
                            uint64_t *ret_total, struct sv_error *err)
{
    struct search s = {.tx = tx, .q = q, .page = p, .row = row, .arg = arg, .err = err};
    struct sv_id tenant;
    bool can;
    enum sv_err rc = for_whom(tx, who, q, &tenant, &can, err);

    *ret_total = 0;
    if (rc || !can)
        return rc;
    if (!q->whole)
        rc = sv_outer_ip_list(tx, &tenant, see_own, &s, err);
    if (!rc)
        rc = s.rc;
    sv_buf_free(&s.ports);
    if (!rc)
        rc = sv_outer_ip_list_free(tx, q->port ? SV_POOL_OUTER : SV_POOL_ANY, see_free, &s, err);
    if (!rc)
        *ret_total = s.total;
    return rc;
}
