/* What goes along with a NIC. */
#include "core/network/network.h"
#include "starvirt/store_address.h"
#include "starvirt/store_rule.h"
#include "starvirt/store_slb.h"

/* The filter is left for the keeper: it goes once the row has. */
static enum sv_err drop_rules(struct sv_cloud *c, struct sv_tx *tx, const struct sv_nic *n, struct sv_error *err)
{
    struct sv_id router = {.s = ""};
    bool gate = false;
    enum sv_err rc = sv_unit_touch(c, tx, SV_UNIT_NIC, &n->id, err);

    if (!rc)
        rc = sv_rule_drop_nic(tx, &n->id, &gate, err);
    if (!rc && gate)
        rc = sv_gate_router(tx, &n->vpc, &router, err);
    return rc || sv_id_empty(&router) ? rc : sv_unit_touch(c, tx, SV_UNIT_ROUTER, &router, err);
}

struct nodes {
    struct sv_cloud *cloud;
    struct sv_tx *tx;
    struct sv_error *err;
    enum sv_err rc;
};

static void touch_router(void *arg, const struct sv_id *router)
{
    struct nodes *n = arg;

    if (!n->rc)
        n->rc = sv_unit_touch(n->cloud, n->tx, SV_UNIT_ROUTER, router, n->err);
}

static enum sv_err drop_nodes(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *nic, struct sv_error *err)
{
    struct nodes n = {c, tx, err, SV_OK};
    const enum sv_err rc = sv_slb_node_drop_nic(tx, nic, touch_router, &n, err);

    return rc ? rc : n.rc;
}

/* With the outer addresses that nothing else uses. */
static enum sv_err drop_mappings(struct sv_cloud *c, struct sv_tx *tx, const struct sv_nic *n, struct sv_error *err)
{
    struct sv_id router = {.s = ""};
    int64_t dropped = 0;
    bool leg;
    enum sv_err rc = sv_nat_drop_nic(tx, &n->id, &dropped, err);

    if (!rc && dropped)
        rc = sv_nat_way(tx, n, &router, &leg, err);
    return rc || sv_id_empty(&router) ? rc : sv_unit_touch(c, tx, SV_UNIT_ROUTER, &router, err);
}

enum sv_err sv_network_nic_gone(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *nic, struct sv_error *err)
{
    struct sv_nic n;
    struct sv_error why;
    enum sv_err rc = sv_nic_get(tx, sv_scope_system(), nic, sv_tx_arena(tx), &n, &why);

    if (rc == SV_E_NIC_NOT_FOUND) /* gone already: a step that runs again */
        return SV_OK;
    if (rc) {
        *err = why;
        return rc;
    }
    rc = drop_rules(c, tx, &n, err);
    if (!rc)
        rc = drop_mappings(c, tx, &n, err);
    return rc ? rc : drop_nodes(c, tx, &n.id, err);
}

enum sv_err sv_network_nic_delete(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *nic, struct sv_error *err)
{
    enum sv_err rc = sv_network_nic_gone(c, tx, nic, err);

    return rc ? rc : sv_nic_delete(tx, nic, err);
}

static void add_nic(void *arg, const struct sv_nic *n)
{
    sv_ids_add(arg, &n->id);
}

enum sv_err sv_network_nic_delete_vm(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err)
{
    SV_CLEANUP(sv_ids_free) struct sv_ids nics = {0};
    enum sv_err rc = sv_nic_list_vm(tx, sv_scope_system(), vm, add_nic, &nics, err);

    for (size_t i = 0; !rc && i < nics.n; i++)
        rc = sv_network_nic_gone(c, tx, &nics.v[i], err);
    return rc ? rc : sv_nic_delete_vm(tx, vm, err);
}
