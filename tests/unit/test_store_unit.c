/* Units of networks that an engine has yet to be told of. */
#include "check.h"
#include "starvirt/store_unit.h"
#include "store_fixture.h"

static struct sv_vpc vpc;
static struct sv_id gone = {.s = "0195e2a0-0000-7000-8000-000000000001"};

struct seen {
    struct sv_unit v[8];
    unsigned n;
};

static void see(void *arg, const struct sv_unit *u)
{
    struct seen *s = arg;
    s->v[s->n++] = *u;
}

static struct sv_unit get(struct sv_tx *tx, enum sv_net_unit kind, const struct sv_id *id, bool *ret_found)
{
    struct sv_unit u = {.wish = 0};
    WORKS(sv_unit_get(tx, kind, id, &u, ret_found, &why));
    return u;
}

static enum sv_err touch(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_id tenant;
    bool found;
    (void)arg;
    (void)err;
    vpc = new_vpc(tx, &w.a, 24);
    WORKS(sv_vpc_insert(tx, &vpc, 0x0a800000, 9, &why));
    WORKS(sv_unit_due(tx, SV_UNIT_VPC, &vpc.id, &tenant, &why));
    CHECK(sv_id_eq(&tenant, &w.a));
    WORKS(sv_unit_due(tx, SV_UNIT_VPC, &vpc.id, &tenant, &why));
    WORKS(sv_unit_due(tx, SV_UNIT_NIC, &gone, &tenant, &why));
    CHECK(sv_id_empty(&tenant));
    const struct sv_unit u = get(tx, SV_UNIT_VPC, &vpc.id, &found);
    CHECK(found);
    CHECK_INT(u.wish, 2);
    CHECK_INT(u.failures, 0);
    CHECK_INT(u.error, SV_OK);
    return SV_OK;
}

static void fail_once(struct sv_tx *tx, const struct sv_unit *u)
{
    struct sv_error because;
    (void)sv_fail(&because, SV_E_NETWORK, SV_F_NONE, "no such luck");
    WORKS(sv_unit_failed(tx, u, &because, &why));
}

static enum sv_err fail(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_unit u = {.kind = SV_UNIT_VPC, .id = vpc.id, .tenant = w.a, .due = 5};
    const struct sv_unit other = {.kind = SV_UNIT_GROUP, .id = gone, .tenant = w.b, .due = 6};
    struct seen s = {.n = 0};
    (void)arg;
    (void)err;
    fail_once(tx, &u);
    fail_once(tx, &u);
    fail_once(tx, &other); /* one that had no row */
    WORKS(sv_unit_list(tx, see, &s, &why));
    CHECK_INT(s.n, 3);
    s.n = 0;
    WORKS(sv_unit_list_failed(tx, sv_scope_tenant(&w.a), see, &s, &why));
    CHECK_INT(s.n, 1);
    CHECK_INT(s.v[0].failures, 2);
    CHECK_INT(s.v[0].due, 5);
    CHECK_INT(s.v[0].error, SV_E_NETWORK);
    CHECK_STR(s.v[0].error_args[0], "no such luck");
    s.n = 0;
    WORKS(sv_unit_list_failed(tx, sv_scope_system(), see, &s, &why));
    CHECK_INT(s.n, 2);
    WORKS(sv_unit_hurry_failed(tx, sv_scope_tenant(&w.b), &why));
    s.n = 0;
    WORKS(sv_unit_list_failed(tx, sv_scope_system(), see, &s, &why));
    CHECK_INT(s.v[0].due, 5);
    CHECK_INT(s.v[1].due, 0);
    return SV_OK;
}

/* What was wished for meanwhile is not in force: its row stays, but it has not failed. */
static enum sv_err tell(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    bool found;
    (void)arg;
    (void)err;
    WORKS(sv_unit_told(tx, SV_UNIT_VPC, &vpc.id, 1, &why));
    const struct sv_unit u = get(tx, SV_UNIT_VPC, &vpc.id, &found);
    CHECK(found);
    CHECK_INT(u.wish, 2);
    CHECK_INT(u.failures, 0);
    WORKS(sv_unit_told(tx, SV_UNIT_VPC, &vpc.id, 2, &why));
    (void)get(tx, SV_UNIT_VPC, &vpc.id, &found);
    CHECK(!found);
    return SV_OK;
}

static unsigned objects;
static void see_object(void *arg, const struct sv_id *id, const struct sv_id *tenant)
{
    (void)arg;
    CHECK(sv_id_eq(id, &vpc.id));
    CHECK(sv_id_eq(tenant, &w.a));
    objects++;
}

static enum sv_err list_objects(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    (void)err;
    WORKS(sv_unit_objects(tx, SV_UNIT_VPC, see_object, NULL, &why));
    CHECK_INT(objects, 1);
    WORKS(sv_unit_objects(tx, SV_UNIT_ROUTER, see_object, NULL, &why));
    WORKS(sv_unit_objects(tx, SV_UNIT_GROUP, see_object, NULL, &why));
    WORKS(sv_unit_objects(tx, SV_UNIT_NIC, see_object, NULL, &why));
    CHECK_INT(objects, 1);
    return SV_OK;
}

static void rows(void)
{
    world_new();
    writing(touch, NULL);
    writing(fail, NULL);
    writing(tell, NULL);
    reading(list_objects, NULL);
    world_remove();
}

CHECK_MAIN(T(rows))
