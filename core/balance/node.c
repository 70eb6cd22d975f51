/* Nodes of load balancers (StarVCenter 2.13): a port of a NIC of one of the tenant's VMs, where the router leads to. */
#include "core/balance/balance.h"
#include "starvirt/limits.h"

/* --- which NIC ------------------------------------------------------------------------------------------- */

struct wanted_nic {
    uint32_t ip;
    struct sv_id nic, vpc; /* empty: not found yet */
};

static void look_at_nic(void *arg, const struct sv_nic *n)
{
    struct wanted_nic *w = arg;

    if (n->ip != w->ip)
        return;
    w->nic = n->id;
    w->vpc = n->vpc;
}

static enum sv_err refuse(const char *ip, const char *why, struct sv_error *err)
{
    return sv_fail(err, SV_E_SLB_NODE_ADDRESS, SV_F_NODE_IP, ip, why);
}

/* Of a VM of the balancer's tenant, whoever asks: the link is no way to another's. */
static enum sv_err find_nic(struct sv_tx *tx, const struct sv_slb *b, const struct sv_slb_node_new *in,
                            struct sv_id *ret, struct sv_error *err)
{
    const struct sv_scope scope = {.tenant = b->tenant};
    struct wanted_nic w = {.ip = 0};
    struct sv_id vm, leg;
    struct sv_vm row;
    enum sv_err rc = sv_check_id(in->vm, SV_E_VM_NOT_FOUND, SV_F_VM, &vm, err);

    if (!rc)
        rc = sv_vm_get(tx, scope, &vm, sv_tx_arena(tx), &row, err);
    if (!rc && (!in->ip || !sv_ip4_parse(in->ip, &w.ip)))
        rc = sv_fail(err, SV_E_PARAM_FORMAT, SV_F_NODE_IP, "IPv4 (a.b.c.d)");
    if (!rc)
        rc = sv_nic_list_vm(tx, scope, &vm, look_at_nic, &w, err);
    if (!rc && sv_id_empty(&w.nic))
        rc = refuse(in->ip, "no NIC of the VM has it", err);
    if (!rc)
        rc = sv_slb_leg_at(tx, &b->router, w.ip, &leg, err);
    if (!rc && !sv_id_eq(&leg, &w.vpc))
        rc = refuse(in->ip, "it is in no VPC of the router", err);
    if (!rc)
        *ret = w.nic;
    return rc;
}

/* --- changes --------------------------------------------------------------------------------------------- */

static enum sv_err check_numbers(int64_t port, int64_t weight, struct sv_error *err)
{
    enum sv_err rc = sv_check_count(port, 1, SV_MAX_PORT, SV_F_NODE_PORT, err);

    return rc ? rc : sv_check_count(weight, 1, SV_MAX_SLB_WEIGHT, SV_F_NODE_WEIGHT, err);
}

static enum sv_err check_room(struct sv_tx *tx, const struct sv_id *slb, struct sv_error *err)
{
    uint64_t n;
    enum sv_err rc = sv_slb_node_count(tx, slb, &n, err);

    return rc || n < SV_MAX_SLB_NODES ? rc
                                      : sv_fail(err, SV_E_SLB_NODE_LIMIT, SV_F_SLB_NODES, sv_dec(SV_MAX_SLB_NODES).s);
}

enum sv_err sv_slb_put_node(struct sv_tx *tx, const struct sv_slb *b, const struct sv_slb_node_new *in,
                            struct sv_id *ret, struct sv_error *err)
{
    const int64_t weight = in->weight < 0 ? 1 : in->weight;
    struct sv_slb_node n = {.id = sv_id_new(),
                            .tenant = b->tenant,
                            .slb = b->id,
                            .descr = in->descr ? in->descr : "",
                            .enabled = true,
                            .created = sv_tx_now(tx)};
    enum sv_err rc = sv_check_name(in->name, SV_F_NODE_NAME, err);

    if (!rc)
        rc = sv_check_descr(in->descr, SV_F_NODE_DESC, err);
    if (!rc)
        rc = check_numbers(in->port, weight, err);
    if (!rc)
        rc = find_nic(tx, b, in, &n.nic, err);
    if (!rc)
        rc = check_room(tx, &b->id, err);
    if (rc)
        return rc;
    n.name = in->name ? in->name : sv_arena_printf(sv_tx_arena(tx), "node-%s", n.id.s + SV_ID_LEN - 8);
    n.port = (unsigned)in->port;
    n.weight = (unsigned)weight;
    rc = sv_slb_node_insert(tx, &n, err);
    if (!rc)
        *ret = n.id;
    return rc;
}

enum sv_err sv_slb_node_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *slb,
                            const struct sv_slb_node_new *in, struct sv_id *ret, struct sv_error *err)
{
    struct sv_slb b;
    enum sv_err rc = sv_slb_find(tx, who, slb, &b, err);

    if (!rc)
        rc = sv_slb_put_node(tx, &b, in, ret, err);
    return rc ? rc : sv_slb_touch(c, tx, &b, err);
}

static enum sv_err find_node(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_slb_node *ret,
                             struct sv_slb *ret_slb, struct sv_error *err)
{
    struct sv_id nid;
    enum sv_err rc = sv_check_id(id, SV_E_SLB_NODE_NOT_FOUND, SV_F_NODE, &nid, err);

    if (!rc)
        rc = sv_slb_node_get(tx, sv_scope_of(who), &nid, sv_tx_arena(tx), ret, err);
    return rc ? rc : sv_slb_get(tx, sv_scope_system(), &ret->slb, sv_tx_arena(tx), ret_slb, err);
}

enum sv_err sv_slb_node_modify(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                               int64_t port, int64_t weight, struct sv_error *err)
{
    struct sv_slb_node n;
    struct sv_slb b;
    enum sv_err rc = find_node(tx, who, id, &n, &b, err);

    if (rc)
        return rc;
    port = port < 0 ? n.port : port;
    weight = weight < 0 ? n.weight : weight;
    rc = check_numbers(port, weight, err);
    if (rc)
        return rc;
    n.port = (unsigned)port;
    n.weight = (unsigned)weight;
    rc = sv_slb_node_update(tx, &n, err);
    return rc ? rc : sv_slb_touch(c, tx, &b, err);
}

enum sv_err sv_slb_node_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                               struct sv_error *err)
{
    struct sv_slb_node n;
    struct sv_slb b;
    enum sv_err rc = find_node(tx, who, id, &n, &b, err);

    if (!rc)
        rc = sv_slb_node_delete(tx, &n.id, err);
    return rc ? rc : sv_slb_touch(c, tx, &b, err);
}

/* --- search ------------------------------------------------------------------------------------------------ */

struct seen {
    struct sv_cloud *c;
    void (*row)(void *arg, const struct sv_slb_node *n, enum sv_net_node_state state);
    void *arg;
};

static void see(void *arg, const struct sv_slb_node *n)
{
    const struct seen *s = arg;

    s->row(s->arg, n, sv_balance_node_state(s->c, &n->id));
}

enum sv_err sv_slb_node_search(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                               const char *slb, const struct sv_slb_node_filter *f, const struct sv_page *p,
                               void (*row)(void *arg, const struct sv_slb_node *n, enum sv_net_node_state state),
                               void *arg, uint64_t *ret_total, struct sv_error *err)
{
    struct sv_slb_node_filter exact = *f;
    struct seen s = {c, row, arg};

    if ((id && !sv_id_valid(id)) || (slb && !sv_id_valid(slb))) { /* nobody's */
        *ret_total = 0;
        return SV_OK;
    }
    exact.id = sv_id_from(id);
    exact.slb = sv_id_from(slb);
    return sv_slb_node_list(tx, sv_scope_of(who), &exact, p, see, &s, ret_total, err);
}
