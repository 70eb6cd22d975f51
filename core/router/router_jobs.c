/* The jobs that make and remove a router. */
#include "core/router/router.h"
#include "starvirt/store_address.h"

enum { ROUTER_LIMIT_MS = 60 * 1000 };

static enum sv_err tell(struct sv_run *r, struct sv_error *err)
{
    struct sv_told told;

    return sv_unit_tell(sv_run_app(r), SV_UNIT_ROUTER, &sv_run_job(r)->object, false, sv_run_deadline(r), &told, err);
}

static enum sv_err take_down(struct sv_run *r, struct sv_error *err)
{
    return sv_unit_remove(sv_run_app(r), SV_UNIT_ROUTER, &sv_run_job(r)->object, sv_run_deadline(r), err);
}

struct parting {
    struct sv_cloud *c;
    struct sv_tx *tx;
    struct sv_error *err;
    enum sv_err rc;
};

static void touch_leg(void *arg, const struct sv_leg *l)
{
    struct parting *p = arg;

    if (!p->rc)
        p->rc = sv_unit_touch(p->c, p->tx, SV_UNIT_VPC, &l->vpc, p->err);
}

/* With its address and its legs; the VPCs hear that they have no way out any more. */
static enum sv_err forget(struct sv_cloud *c, struct sv_tx *tx, const struct sv_id *router, struct sv_error *err)
{
    struct parting p = {.c = c, .tx = tx, .err = err};
    enum sv_err rc = sv_leg_list(tx, router, touch_leg, &p, err);

    if (!rc)
        rc = p.rc;
    if (!rc)
        rc = sv_unit_touch(c, tx, SV_UNIT_ROUTER, router, err); /* what the keeper told meanwhile goes, too */
    if (!rc)
        rc = sv_outer_ip_give_router(tx, router, err);
    return rc ? rc : sv_router_delete(tx, router, err);
}

static enum sv_err end_create(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    enum sv_err rc;

    if (result != SV_JOB_DONE)
        return forget(app, tx, &job->object, err);
    rc = sv_router_set_state(tx, &job->object, SV_ROUTER_READY, err);
    return rc ? rc : sv_cloud_event(tx, "router.create", "router", &job->object, &job->tenant, job->object_name, err);
}

/* One that could not be removed is as it was. */
static enum sv_err end_delete(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    enum sv_err rc;

    if (result == SV_JOB_DONE) {
        rc = forget(app, tx, &job->object, err);
        return rc ? rc
                  : sv_cloud_event(tx, "router.delete", "router", &job->object, &job->tenant, job->object_name, err);
    }
    rc = sv_router_set_state(tx, &job->object, SV_ROUTER_READY, err);
    return rc ? rc : sv_unit_touch(app, tx, SV_UNIT_ROUTER, &job->object, err);
}

static const struct sv_step create_steps[] = {
    {.name = "router",
     .title_zh = "创建云路由",
     .title_en = "make the router",
     .weight = 1,
     .run = tell,
     .undo = take_down},
};
static const struct sv_step delete_steps[] = {
    {.name = "router", .title_zh = "移除云路由", .title_en = "remove the router", .weight = 1, .run = take_down},
};

const struct sv_job_kind sv_kind_router_create = {.name = "router.create",
                                                  .title_zh = "创建云路由",
                                                  .title_en = "create router",
                                                  .lock_code = SV_LOCK_INSTALLING,
                                                  .deadline_ms = ROUTER_LIMIT_MS,
                                                  .resumable = true,
                                                  SV_STEPS(create_steps),
                                                  .end = end_create};
const struct sv_job_kind sv_kind_router_delete = {.name = "router.delete",
                                                  .title_zh = "删除云路由",
                                                  .title_en = "delete router",
                                                  .lock_code = SV_LOCK_MOVING,
                                                  .deadline_ms = ROUTER_LIMIT_MS,
                                                  .resumable = true,
                                                  .frees = true,
                                                  .ends_object = true,
                                                  SV_STEPS(delete_steps),
                                                  .end = end_delete};
