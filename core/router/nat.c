/* Mappings of outer addresses onto NICs, whole or by port. An address is a tenant's from its first use to its last. */
#include <stdio.h>

#include "core/network/network.h"
#include "starvirt/core_address.h"

/* --- what both kinds need ----------------------------------------------------------------------------- */

/* The tenant's router, which has to have a leg in the NIC's VPC. */
static enum sv_err find_way(struct sv_tx *tx, const struct sv_nic *nic, enum sv_field field, struct sv_id *ret_router,
                            struct sv_error *err)
{
    bool leg = false;
    enum sv_err rc = sv_nat_way(tx, nic, ret_router, &leg, err);

    if (!rc && sv_id_empty(ret_router))
        rc = sv_fail(err, SV_E_ROUTER_NONE, field);
    if (!rc && !leg)
        rc = sv_fail(err, SV_E_ROUTER_NO_LEG, field, nic->vpc.s);
    return rc;
}

static enum sv_err read_sources(struct sv_tx *tx, const char *text, const char **ret, struct sv_error *err)
{
    struct sv_net_ranges r = {.n = 0};
    const enum sv_err rc = sv_parse_ranges(text, SV_F_SOURCES, sv_tx_arena(tx), &r, err);

    if (!rc)
        *ret = sv_ranges_text(&r, sv_tx_arena(tx));
    return rc;
}

static enum sv_err read_ip(const char *text, enum sv_field field, uint32_t *ret, struct sv_error *err)
{
    return text && sv_ip4_parse(text, ret) ? SV_OK : sv_fail(err, SV_E_PARAM_FORMAT, field, "a.b.c.d");
}

/* "198.51.100.7:80 -> 10.128.0.5:8080 (tcp)" */
static enum sv_err event(struct sv_tx *tx, const char *type, const struct sv_nat *n, struct sv_error *err)
{
    char outer[SV_IP4_LEN], inner[SV_IP4_LEN], text[96];

    sv_ip4_format(n->outer_ip, outer);
    sv_ip4_format(n->inner_ip, inner);
    if (n->proto == SV_NAT_IP)
        snprintf(text, sizeof(text), "%s -> %s", outer, inner);
    else
        snprintf(text, sizeof(text), "%s:%u -> %s:%u (%s)", outer, n->outer_port, inner, n->inner_port,
                 sv_nat_proto_name(n->proto));
    return sv_cloud_event(tx, type, "mapping", &n->id, &n->tenant, text, err);
}

/* The address is the tenant's already. */
static enum sv_err make(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *router, const struct sv_nic *nic,
                        struct sv_nat *n, struct sv_error *err)
{
    enum sv_err rc;

    n->id = sv_id_new();
    n->tenant = nic->tenant;
    n->nic = nic->id;
    n->inner_ip = nic->ip;
    n->created = sv_tx_now(tx);
    rc = sv_nat_insert(tx, n, err);
    if (!rc)
        rc = sv_unit_touch(c, tx, SV_UNIT_ROUTER, router, err);
    return rc ? rc : event(tx, "mapping.create", n, err);
}

/* --- one to one --------------------------------------------------------------------------------------- */

struct first_nic {
    struct sv_nic nic;
    bool there;
};

static void see_first(void *arg, const struct sv_nic *n)
{
    struct first_nic *f = arg;

    if (!f->there)
        *f = (struct first_nic){.nic = {.id = n->id, .tenant = n->tenant, .vm = n->vm, .vpc = n->vpc, .ip = n->ip},
                                .there = true};
}

/* The NIC that vm.ip is of. */
static enum sv_err nic_of(struct sv_tx *tx, const struct sv_actor *who, const char *vm, struct sv_nic *ret,
                          struct sv_error *err)
{
    struct first_nic f = {.there = false};
    struct sv_vm row;
    struct sv_id id, nat;
    enum sv_err rc = sv_check_id(vm, SV_E_VM_NOT_FOUND, SV_F_VM, &id, err);

    if (!rc)
        rc = sv_vm_get(tx, sv_scope_of(who), &id, sv_tx_arena(tx), &row, err);
    if (!rc)
        rc = sv_nic_list_vm(tx, sv_scope_of(who), &id, see_first, &f, err);
    if (!rc && !f.there)
        rc = sv_fail(err, SV_E_VM_NO_NIC, SV_F_VM);
    if (!rc)
        rc = sv_nat_of_nic(tx, &f.nic.id, &nat, err);
    if (!rc && !sv_id_empty(&nat))
        rc = sv_fail(err, SV_E_NIC_MAPPED, SV_F_VM, nat.s);
    if (!rc)
        *ret = f.nic;
    return rc;
}

enum sv_err sv_nat_connect(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                           const struct sv_nat_whole *in, uint32_t *ret, struct sv_error *err)
{
    struct sv_nat n = {.proto = SV_NAT_IP, .descr = in->descr ? in->descr : ""};
    struct sv_nic nic;
    struct sv_id router;
    uint32_t want = 0;
    enum sv_err rc = sv_check_descr(in->descr, SV_F_NONE, err);

    if (!rc)
        rc = read_sources(tx, in->sources, &n.sources, err);
    if (!rc && in->outer)
        rc = read_ip(in->outer, SV_F_OUTER_IP, &want, err);
    if (!rc)
        rc = nic_of(tx, who, in->vm, &nic, err);
    if (!rc)
        rc = find_way(tx, &nic, SV_F_VM, &router, err);
    if (!rc)
        rc = sv_outer_ip_take(tx, &nic.tenant, want, in->outer ? SV_POOL_ANY : SV_POOL_SHARE, &(struct sv_id){.s = ""},
                              &n.outer_ip, err);
    if (!rc)
        rc = make(c, tx, &router, &nic, &n, err);
    if (!rc)
        *ret = n.outer_ip;
    return rc;
}

/* --- by port ------------------------------------------------------------------------------------------ */

static enum sv_err read_port(int64_t port, enum sv_field field, unsigned *ret, struct sv_error *err)
{
    const enum sv_err rc = sv_check_count(port, 1, UINT16_MAX, field, err);

    if (!rc)
        *ret = (unsigned)port;
    return rc;
}

static enum sv_err read_new(struct sv_tx *tx, const struct sv_nat_port *in, struct sv_nat *n, uint32_t *ret_inner,
                            struct sv_error *err)
{
    enum sv_err rc = sv_check_descr(in->descr, SV_F_NONE, err);

    n->descr = in->descr ? in->descr : "";
    n->proto = in->proto;
    if (!rc)
        rc = read_sources(tx, in->sources, &n->sources, err);
    if (!rc)
        rc = read_ip(in->inner, SV_F_NIC, ret_inner, err);
    if (!rc)
        rc = read_ip(in->outer, SV_F_OUTER_IP, &n->outer_ip, err);
    if (!rc)
        rc = read_port(in->inner_port, SV_F_INNER_PORT, &n->inner_port, err);
    return rc ? rc : read_port(in->outer_port, SV_F_OUTER_PORT, &n->outer_port, err);
}

enum sv_err sv_nat_map_port(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                            const struct sv_nat_port *in, struct sv_id *ret, struct sv_error *err)
{
    struct sv_nat n = {.outer_ip = 0};
    struct sv_nic nic;
    struct sv_id router;
    uint32_t inner = 0;
    enum sv_err rc = read_new(tx, in, &n, &inner, err);

    if (!rc)
        rc = sv_nic_get_ip(tx, sv_scope_of(who), inner, sv_tx_arena(tx), &nic, err);
    if (!rc)
        rc = find_way(tx, &nic, SV_F_NIC, &router, err);
    if (!rc)
        rc = sv_outer_ip_join(tx, &nic.tenant, n.outer_ip, SV_POOL_OUTER, err);
    if (!rc)
        rc = sv_nat_check_port(tx, n.outer_ip, n.proto, n.outer_port, err);
    if (!rc)
        rc = make(c, tx, &router, &nic, &n, err);
    if (!rc)
        *ret = n.id;
    return rc;
}

/* --- both --------------------------------------------------------------------------------------------- */

enum sv_err sv_nat_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                          struct sv_error *err)
{
    struct sv_nat n;
    struct sv_id nid;
    enum sv_err rc = sv_check_id(id, SV_E_NAT_NOT_FOUND, SV_F_NAT, &nid, err);

    if (!rc)
        rc = sv_nat_get(tx, sv_scope_of(who), &nid, sv_tx_arena(tx), &n, err);
    if (!rc && !sv_id_empty(&n.router))
        rc = sv_unit_touch(c, tx, SV_UNIT_ROUTER, &n.router, err);
    if (!rc)
        rc = sv_nat_delete(tx, &n, err);
    return rc ? rc : event(tx, "mapping.delete", &n, err);
}

enum sv_err sv_nat_search(struct sv_tx *tx, const struct sv_actor *who, const char *tenant, const char *router,
                          const struct sv_nat_filter *f, const struct sv_page *p, sv_nat_fn *row, void *arg,
                          uint64_t *ret_total, struct sv_error *err)
{
    struct sv_scope scope = sv_scope_of(who);
    struct sv_nat_filter want = *f;
    const enum sv_err rc = tenant ? sv_owner(tx, who, tenant, &scope.tenant, err) : SV_OK;

    if (rc)
        return rc;
    *ret_total = 0;
    if (router && !sv_id_valid(router))
        return SV_OK;
    if (router)
        want.router = sv_id_from(router);
    return sv_nat_list(tx, scope, &want, p, row, arg, ret_total, err);
}
