/* Tenant networks as rows (StarVCenter 2.3.1-2.3.4); their data plane is core/network/network.c. */
#include <stdio.h>

#include "core/network/network.h"
#include "starvirt/store_address.h"
#include "starvirt/store_router.h"

/* The supernet may be another one since the start: it is not looked through for what pools leave of it. */
static enum sv_err check_apart(struct sv_tx *tx, const struct sv_vpc *v, struct sv_error *err)
{
    const uint32_t last = v->base + (uint32_t)((1ULL << (32 - v->prefix)) - 1);
    char base[SV_IP4_LEN], text[SV_IP4_LEN + 16];
    struct sv_pool pool;
    bool found;
    const enum sv_err rc = sv_pool_overlap(tx, v->base, last, sv_tx_arena(tx), &pool, &found, err);

    if (rc || !found)
        return rc;
    sv_ip4_format(v->base, base);
    snprintf(text, sizeof(text), "VPC %s/%u", base, v->prefix);
    return sv_fail(err, SV_E_POOL_OVERLAP, SV_F_NONE, text);
}

enum sv_err sv_vpc_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *tenant,
                          const char *name, const char *descr, struct sv_arena *a, struct sv_vpc *ret,
                          struct sv_error *err)
{
    const struct sv_amounts one = {.subnets = 1};
    struct sv_vpc v = {
        .id = sv_id_new(), .descr = descr ? descr : "", .prefix = c->vpc_prefix, .created = sv_tx_now(tx)};
    enum sv_err rc = sv_owner(tx, who, tenant, &v.tenant, err);

    if (!rc)
        rc = sv_check_name(name, SV_F_VPC_NAME, err);
    v.name = name ? name : sv_arena_printf(a, "vpc-%s", v.id.s + SV_ID_LEN - 8);
    if (!rc)
        rc = sv_check_descr(descr, SV_F_NONE, err);
    if (!rc)
        rc = sv_tenant_reserve(tx, &v.tenant, &one, err);
    if (!rc)
        rc = sv_vpc_insert(tx, &v, c->supernet, c->supernet_prefix, err);
    if (!rc)
        rc = check_apart(tx, &v, err);
    if (!rc)
        rc = sv_cloud_event(tx, "vpc.create", "vpc", &v.id, &v.tenant, v.name, err);
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

enum sv_err sv_vpc_search(struct sv_tx *tx, const struct sv_actor *who, const char *tenant, const struct sv_page *p,
                          void (*row)(void *arg, const struct sv_vpc *v), void *arg, uint64_t *ret_total,
                          struct sv_error *err)
{
    struct sv_scope scope = sv_scope_of(who);
    const enum sv_err rc = tenant ? sv_owner(tx, who, tenant, &scope.tenant, err) : SV_OK;

    return rc ? rc : sv_vpc_list(tx, scope, p, row, arg, ret_total, err);
}

/* Without NICs nothing is mapped into it; balancers may have an address there. The router leads there no longer. */
static enum sv_err drop_leg(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *vpc, struct sv_error *err)
{
    int64_t mappings = 0, balancers = 0;
    struct sv_leg leg;
    bool found = false;
    enum sv_err rc = sv_leg_of_vpc(tx, vpc, &leg, &found, err);

    if (rc || !found)
        return rc;
    rc = sv_leg_uses(tx, vpc, &mappings, &balancers, err);
    if (!rc && balancers) {
        SV_AUTOFREE char *text = sv_asprintf("%lld balancer%s", (long long)balancers, balancers > 1 ? "s" : "");

        rc = sv_fail(err, SV_E_ROUTER_IN_USE, SV_F_VPC, text);
    }
    if (!rc)
        rc = sv_leg_delete(tx, vpc, err);
    return rc ? rc : sv_unit_touch(c, tx, SV_UNIT_ROUTER, &leg.router, err);
}

/* Marked at once, so that no NIC can join; one that is being deleted is not there for anybody else. */
enum sv_err sv_vpc_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                          struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_vpc v;
    struct sv_id vid;
    enum sv_err rc = sv_check_id(id, SV_E_VPC_NOT_FOUND, SV_F_VPC, &vid, err);

    if (!rc)
        rc = sv_vpc_get(tx, sv_scope_of(who), &vid, sv_tx_arena(tx), &v, err);
    if (!rc)
        rc = sv_vpc_begin_delete(tx, sv_scope_of(who), &vid, err);
    if (!rc)
        rc = drop_leg(c, tx, &vid, err);
    if (rc)
        return rc;
    const struct sv_job_spec spec = {
        .kind = &sv_kind_vpc_delete, .tenant = v.tenant, .object = vid, .object_type = "vpc", .object_name = v.name};
    return sv_locked_as(sv_jobs_accept(c->jobs, tx, &spec, ret_startid, err), SV_E_VPC_NOT_FOUND, SV_F_VPC, err);
}

static enum sv_err take_down(struct sv_run *r, struct sv_error *err)
{
    return sv_network_remove(sv_run_app(r), &sv_run_job(r)->object, sv_run_deadline(r), err);
}

static enum sv_err end_delete(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    (void)app;
    return result == SV_JOB_DONE
               ? sv_cloud_event(tx, "vpc.delete", "vpc", &job->object, &job->tenant, job->object_name, err)
               : SV_OK; /* stays marked: asked for again, or finished at the next start */
}

static const struct sv_step delete_steps[] = {
    {.name = "network", .title_zh = "移除网络", .title_en = "take the network down", .weight = 1, .run = take_down},
};

const struct sv_job_kind sv_kind_vpc_delete = {.name = "vpc.delete",
                                               .title_zh = "删除租户私有网络",
                                               .title_en = "delete VPC",
                                               .lock_code = SV_LOCK_MOVING,
                                               .deadline_ms = 30 * 1000,
                                               .resumable = true,
                                               .no_cancel = true,
                                               .frees = true,
                                               SV_STEPS(delete_steps),
                                               .end = end_delete};
