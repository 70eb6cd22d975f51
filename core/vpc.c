/* Tenant networks as rows (StarVCenter 2.3.1-2.3.4); their data plane is core/network.c. */
#include <stdio.h>

#include "core/internal.h"

enum sv_err sv_vpc_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *owner, const char *name,
                          const char *descr, struct sv_arena *a, struct sv_vpc *ret, struct sv_error *err)
{
    const struct sv_amounts one = {.subnets = 1};
    struct sv_vpc v = {.id = sv_id_new(),
                       .tenant = *owner,
                       .descr = descr ? descr : "",
                       .prefix = c->vpc_prefix,
                       .created = sv_tx_now(tx)};
    enum sv_err rc = sv_check_name(name, SV_F_VPC_NAME, err);

    v.name = name ? name : sv_arena_printf(a, "vpc-%s", v.id.s + SV_ID_LEN - 8);
    if (!rc)
        rc = sv_check_descr(descr, SV_F_NONE, err);
    if (!rc)
        rc = sv_tenant_reserve(tx, owner, &one, err);
    if (!rc)
        rc = sv_vpc_insert(tx, &v, c->supernet, c->supernet_prefix, err);
    if (!rc)
        rc = sv_cloud_event(tx, "vpc.create", "vpc", &v.id, owner, v.name, err);
    if (!rc)
        *ret = v;
    return rc;
}

enum sv_err sv_vpc_rename(struct sv_tx *tx, const struct sv_actor *who, const char *id, const char *name,
                          const char *descr, struct sv_error *err)
{
    struct sv_id vid;
    enum sv_err rc = sv_check_id(id, SV_E_VPC_NOT_FOUND, SV_F_VPC, &vid, err);

    if (!rc)
        rc = sv_check_name(name, SV_F_VPC_NAME, err);
    if (!rc)
        rc = sv_check_descr(descr, SV_F_NONE, err);
    return rc ? rc : sv_vpc_update(tx, sv_scope_of(who), &vid, name, descr, err);
}

struct removal {
    const struct sv_actor *who;
    struct sv_id id;
};

static enum sv_err begin_removal(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct removal *r = arg;

    return sv_vpc_begin_delete(tx, sv_scope_of(r->who), &r->id, err);
}

/* Marked first, so that a crash in the middle is finished at the next start and no NIC can join. */
enum sv_err sv_vpc_remove(struct sv_cloud *c, const struct sv_actor *who, const char *id, struct sv_error *err)
{
    const struct sv_deadline d = sv_deadline_within(NULL, 30 * 1000);
    struct removal r = {.who = who};
    enum sv_err rc = sv_check_id(id, SV_E_VPC_NOT_FOUND, SV_F_VPC, &r.id, err);

    if (!rc)
        rc = sv_db_write(c->db, begin_removal, &r, err);
    return rc ? rc : sv_network_remove(c, &r.id, &d, err);
}
