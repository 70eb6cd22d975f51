/* Affinity groups of a tenant (ours). */
#include "core/place/place.h"

enum sv_err sv_affinity_create(struct sv_tx *tx, const struct sv_actor *who, const struct sv_affinity_new *in,
                               struct sv_id *ret, struct sv_error *err)
{
    struct sv_affinity g = {.id = sv_id_new(),
                            .name = in->name,
                            .descr = in->descr ? in->descr : "",
                            .apart = in->apart,
                            .strict = in->strict,
                            .created = sv_tx_now(tx)};
    int64_t n = 0;
    enum sv_err rc = sv_owner(tx, who, in->tenant, &g.tenant, err);

    if (!rc && !in->name)
        rc = sv_fail(err, SV_E_PARAM_MISSING, SV_F_AFFINITY_NAME);
    if (!rc)
        rc = sv_check_name(in->name, SV_F_AFFINITY_NAME, err);
    if (!rc)
        rc = sv_check_descr(in->descr, SV_F_AFFINITY_DESC, err);
    if (!rc)
        rc = sv_affinity_count_tenant(tx, &g.tenant, &n, err);
    if (!rc && n >= SV_MAX_AFFINITIES)
        rc = sv_fail(err, SV_E_AFFINITY_LIMIT, SV_F_NONE, sv_dec(SV_MAX_AFFINITIES).s);
    if (!rc)
        rc = sv_affinity_insert(tx, &g, err);
    if (!rc)
        rc = sv_cloud_event(tx, "affinity.create", "affinity", &g.id, &g.tenant, g.name, err);
    if (!rc)
        *ret = g.id;
    return rc;
}

enum sv_err sv_affinity_find(struct sv_tx *tx, struct sv_scope scope, const char *text, struct sv_affinity *ret,
                             struct sv_error *err)
{
    struct sv_id id;
    enum sv_err rc = sv_check_id(text, SV_E_AFFINITY_NOT_FOUND, SV_F_AFFINITY, &id, err);

    return rc ? rc : sv_affinity_get(tx, scope, &id, sv_tx_arena(tx), ret, err);
}

enum sv_err sv_affinity_remove(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_error *err)
{
    struct sv_affinity g;
    enum sv_err rc = sv_affinity_find(tx, sv_scope_of(who), id, &g, err);

    if (!rc)
        rc = sv_affinity_delete(tx, &g.id, err);
    return rc ? rc : sv_cloud_event(tx, "affinity.delete", "affinity", &g.id, &g.tenant, g.name, err);
}

enum sv_err sv_affinity_search(struct sv_tx *tx, const struct sv_actor *who, const char *name, const struct sv_page *p,
                               void (*row)(void *arg, const struct sv_affinity *g), void *arg, uint64_t *ret_total,
                               struct sv_error *err)
{
    return sv_affinity_list(tx, sv_scope_of(who), name, p, row, arg, ret_total, err);
}

enum sv_err sv_vm_affinities(struct sv_tx *tx, const struct sv_actor *who, const struct sv_vm *vm, struct sv_arena *a,
                             const char **ret, struct sv_error *err)
{
    if (who->role != SV_ROLE_ADMIN && !sv_id_eq(&who->tenant, &vm->tenant))
        return sv_fail(err, SV_E_VM_NOT_FOUND, SV_F_VM);
    return sv_affinity_of_vm(tx, &vm->id, a, ret, err);
}
