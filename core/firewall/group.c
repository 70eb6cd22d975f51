/* Security groups as rows (StarVCenter 2.17). */
#include "core/firewall/firewall.h"

enum sv_err sv_group_find(struct sv_tx *tx, const struct sv_actor *who, const char *text, struct sv_secgroup *ret,
                          struct sv_error *err)
{
    struct sv_id id;
    enum sv_err rc = sv_check_id(text, SV_E_GROUP_NOT_FOUND, SV_F_GROUP, &id, err);

    return rc ? rc : sv_secgroup_get(tx, sv_scope_of(who), &id, sv_tx_arena(tx), ret, err);
}

enum sv_err sv_group_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *tenant,
                            const char *name, const char *descr, struct sv_id *ret, struct sv_error *err)
{
    struct sv_secgroup g = {.id = sv_id_new(), .name = name, .descr = descr ? descr : "", .created = sv_tx_now(tx)};
    int64_t n = 0;
    enum sv_err rc = sv_owner(tx, who, tenant, &g.tenant, err);

    if (!rc && !name)
        rc = sv_fail(err, SV_E_PARAM_MISSING, SV_F_GROUP_NAME);
    if (!rc)
        rc = sv_check_name(name, SV_F_GROUP_NAME, err);
    if (!rc)
        rc = sv_check_descr(descr, SV_F_GROUP_DESC, err);
    if (!rc)
        rc = sv_secgroup_count_tenant(tx, &g.tenant, &n, err);
    if (!rc && n >= SV_MAX_GROUPS)
        rc = sv_fail(err, SV_E_GROUP_LIMIT, SV_F_NONE, sv_dec(SV_MAX_GROUPS).s);
    if (!rc)
        rc = sv_secgroup_insert(tx, &g, err);
    if (!rc)
        rc = sv_unit_touch(c, tx, SV_UNIT_GROUP, &g.id, err);
    if (!rc)
        rc = sv_cloud_event(tx, "group.create", "group", &g.id, &g.tenant, g.name, err);
    if (!rc)
        *ret = g.id;
    return rc;
}

enum sv_err sv_group_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                            struct sv_error *err)
{
    struct sv_secgroup g;
    enum sv_err rc = sv_group_find(tx, who, id, &g, err);

    if (!rc)
        rc = sv_unit_touch(c, tx, SV_UNIT_GROUP, &g.id, err);
    if (!rc)
        rc = sv_secgroup_delete(tx, &g.id, err);
    return rc ? rc : sv_cloud_event(tx, "group.delete", "group", &g.id, &g.tenant, g.name, err);
}

enum sv_err sv_group_search(struct sv_tx *tx, const struct sv_actor *who, const char *id, const char *name,
                            const struct sv_page *p, void (*row)(void *arg, const struct sv_secgroup *g), void *arg,
                            uint64_t *ret_total, struct sv_error *err)
{
    struct sv_secgroup_filter f = {.name = name};

    if (id && !sv_id_read(id, strlen(id), &f.id)) { /* nothing is called that */
        *ret_total = 0;
        return SV_OK;
    }
    return sv_secgroup_list(tx, sv_scope_of(who), &f, p, row, arg, ret_total, err);
}

/* --- members ------------------------------------------------------------------------------------------ */

static enum sv_err check_room(struct sv_tx *tx, const struct sv_id *nic, struct sv_error *err)
{
    SV_CLEANUP(sv_ids_free) struct sv_ids groups = {0};
    const enum sv_err rc = sv_secgroup_list_nic(tx, nic, &groups, err);

    return rc || groups.n <= SV_MAX_GROUPS_NIC
               ? rc
               : sv_fail(err, SV_E_NIC_GROUPS, SV_F_NIC, nic->s, sv_dec(SV_MAX_GROUPS_NIC).s);
}

static enum sv_err put_one(struct sv_cloud *c, struct sv_tx *tx, const struct sv_secgroup *g, const char *nic, bool in,
                           struct sv_error *err)
{
    bool changed = false;
    struct sv_nic n;
    struct sv_id id;
    enum sv_err rc = sv_check_id(nic, SV_E_NIC_NOT_FOUND, SV_F_NIC, &id, err);

    if (!rc) /* of the group's tenant, also when an administrator asks */
        rc = sv_nic_get(tx, sv_scope_tenant(&g->tenant), &id, sv_tx_arena(tx), &n, err);
    if (!rc)
        rc = (in ? sv_secgroup_bind : sv_secgroup_unbind)(tx, &g->id, &id, &changed, err);
    if (rc || !changed)
        return rc;
    if (in)
        rc = check_room(tx, &id, err);
    if (!rc)
        rc = sv_unit_touch(c, tx, SV_UNIT_NIC, &id, err);
    return rc ? rc : sv_cloud_event(tx, in ? "group.bind" : "group.unbind", "group", &g->id, &g->tenant, id.s, err);
}

enum sv_err sv_group_put(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *group,
                         const char *const *nics, size_t n, bool in, struct sv_error *err)
{
    struct sv_secgroup g;
    enum sv_err rc = sv_group_find(tx, who, group, &g, err);

    for (size_t i = 0; !rc && i < n; i++)
        rc = put_one(c, tx, &g, nics[i], in, err);
    return rc;
}

enum sv_err sv_group_nics(struct sv_tx *tx, const struct sv_actor *who, const char *group, uint32_t ip,
                          const struct sv_page *p, void (*row)(void *arg, const struct sv_nic *n), void *arg,
                          uint64_t *ret_total, struct sv_error *err)
{
    struct sv_secgroup g;
    enum sv_err rc = sv_group_find(tx, who, group, &g, err);

    return rc ? rc : sv_secgroup_nics(tx, &g.id, ip, p, row, arg, ret_total, err);
}
