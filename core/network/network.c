/* From rows to the data plane: what a VPC should hold is read and applied in its turn, so that of two jobs the later
 * one's wish stands. */
#include "core/network/wanted.h"
#include "starvirt/log.h"
#include "starvirt/store_router.h"
#include "starvirt/store_rule.h"

struct nics {
    struct sv_arena *arena;
    struct sv_net_nic *v;
    size_t n, cap;
};

static void want_nic(void *arg, const struct sv_nic *n)
{
    struct nics *to = arg;
    struct sv_net_nic *nic;

    to->v = sv_arena_grow(to->arena, to->v, to->n, &to->cap, sizeof(*to->v));
    nic = &to->v[to->n++];
    *nic = (struct sv_net_nic){.id = n->id, .ip = n->ip};
    memcpy(nic->mac, n->mac, sizeof(nic->mac));
    sv_net_hostname(&n->vm, nic->hostname);
}

static enum sv_err want_uplink(struct sv_tx *tx, const struct sv_id *vpc, struct sv_net_uplink *ret,
                               struct sv_error *err)
{
    struct sv_leg leg;
    bool found = false;
    const enum sv_err rc = sv_leg_of_vpc(tx, vpc, &leg, &found, err);

    if (!rc && found)
        *ret = (struct sv_net_uplink){.router = leg.router, .slot = leg.slot};
    return rc;
}

enum sv_err sv_want_vpc(struct sv_tx *tx, const struct sv_id *id, struct sv_arena *a, struct sv_want_vpc *ret,
                        bool *ret_there, struct sv_error *err)
{
    struct nics nics = {.arena = a};
    struct sv_vpc v;
    enum sv_err rc = sv_vpc_get(tx, sv_scope_system(), id, sv_tx_arena(tx), &v, err);

    if (rc && rc != SV_E_VPC_NOT_FOUND)
        return rc;
    *ret_there = !rc && !v.deleting;
    if (!*ret_there)
        return SV_OK;
    rc = sv_nic_list_vpc(tx, sv_scope_system(), id, want_nic, &nics, err);
    *ret = (struct sv_want_vpc){
        .net = {.id = v.id, .base = v.base, .prefix = v.prefix}, .nics = nics.v, .nic_count = nics.n};
    return rc ? rc : want_uplink(tx, id, &ret->net.uplink, err);
}

/* A VPC that is being deleted is left to the job that does it. */
enum sv_err sv_network_apply(struct sv_cloud *c, const struct sv_id *vpc, const struct sv_deadline *d,
                             struct sv_error *err)
{
    struct sv_told told;

    return sv_unit_tell(c, SV_UNIT_VPC, vpc, true, d, &told, err);
}

static enum sv_err drop_row(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_vpc_delete(tx, arg, err);
}

typedef enum sv_err (*write_fn)(struct sv_db *db, sv_tx_fn fn, void *arg, struct sv_error *err);

static enum sv_err remove_net(struct sv_cloud *c, const struct sv_id *vpc, write_fn write, const struct sv_deadline *d,
                              struct sv_error *err)
{
    struct sv_id id = *vpc;
    struct sv_turn turn;
    enum sv_err rc = sv_turn_take(c, vpc, d, &turn, err);

    if (rc)
        return rc;
    rc = c->net->ops->vpc_remove(c->net, vpc, d, err);
    if (!rc)
        rc = write(c->db, drop_row, &id, err);
    sv_turn_give(c, &turn);
    return rc;
}

enum sv_err sv_network_remove(struct sv_cloud *c, const struct sv_id *vpc, const struct sv_deadline *d,
                              struct sv_error *err)
{
    return remove_net(c, vpc, sv_db_write, d, err);
}

/* What has to be right before the guest of a VM speaks. */
struct vm_units {
    struct sv_id vm;
    struct sv_ids vpcs, groups, nics;
};

static void vm_units_free(struct vm_units *u)
{
    sv_ids_free(&u->vpcs);
    sv_ids_free(&u->groups);
    sv_ids_free(&u->nics);
}

static void add_nic(void *arg, const struct sv_nic *n)
{
    struct vm_units *u = arg;
    bool known = false;

    sv_ids_add(&u->nics, &n->id);
    for (size_t i = 0; i < u->vpcs.n; i++)
        known = known || sv_id_eq(&u->vpcs.v[i], &n->vpc);
    if (!known)
        sv_ids_add(&u->vpcs, &n->vpc);
}

static enum sv_err read_units(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct vm_units *u = arg;
    const enum sv_err rc = sv_nic_list_vm(tx, sv_scope_system(), &u->vm, add_nic, u, err);

    return rc ? rc : sv_secgroup_list_vm(tx, &u->vm, &u->groups, err);
}

static enum sv_err tell_each(struct sv_cloud *c, enum sv_net_unit kind, const struct sv_ids *ids,
                             const struct sv_deadline *d, struct sv_error *err)
{
    enum sv_err rc = SV_OK;

    for (size_t i = 0; !rc && i < ids->n; i++) {
        struct sv_told told;

        rc = sv_unit_tell(c, kind, &ids->v[i], true, d, &told, err);
    }
    return rc;
}

/* Groups before the filters that name them: what the engine refuses, no guest starts without. */
enum sv_err sv_network_apply_vm(struct sv_cloud *c, const struct sv_id *vm, const struct sv_deadline *d,
                                struct sv_error *err)
{
    SV_CLEANUP(vm_units_free) struct vm_units u = {.vm = *vm};
    enum sv_err rc = c->net->ops->books_only ? SV_OK : sv_db_read(c->db, read_units, &u, err);

    if (!rc)
        rc = tell_each(c, SV_UNIT_VPC, &u.vpcs, d, err);
    if (!rc)
        rc = tell_each(c, SV_UNIT_GROUP, &u.groups, d, err);
    return rc ? rc : tell_each(c, SV_UNIT_NIC, &u.nics, d, err);
}

/* --- start-up --------------------------------------------------------------------------------------- */

static void add_deleting(void *arg, const struct sv_vpc *v)
{
    sv_ids_add(arg, &v->id);
}

static enum sv_err read_deleting(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_vpc_list_deleting(tx, add_deleting, arg, err);
}

static void log_failure(const char *what, const struct sv_id *vpc, const struct sv_error *e)
{
    char text[256];

    sv_err_text(e, SV_LANG_EN, text, sizeof(text));
    sv_log(SV_LOG_ERROR, what, "vpc", vpc->s, "error", text, NULL);
}

enum sv_err sv_network_recover(struct sv_cloud *c, struct sv_error *err)
{
    SV_CLEANUP(sv_ids_free) struct sv_ids deleting = {0};
    enum sv_err rc = sv_db_read(c->db, read_deleting, &deleting, err);

    for (size_t i = 0; !rc && i < deleting.n; i++) {
        const struct sv_deadline d = sv_deadline_within(NULL, 30 * 1000);
        struct sv_error e;

        if (remove_net(c, &deleting.v[i], sv_db_try, &d, &e)) /* a start waits for no disk: its job does it again */
            log_failure("network.remove", &deleting.v[i], &e);
    }
    return rc;
}
