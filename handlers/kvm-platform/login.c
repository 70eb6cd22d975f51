/* LoginHandler: ours, for the codes 10001 and 10002. The token stands in the header as for all operations: tried
 * tokens count against whoever tries them wherever they are tried. */
#include "handlers/kvm-platform/rows.h"

struct login_in {
    const char *user;
};
static const struct sv_param login_params[] = {
    STR("username", struct login_in, user, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_TENANT_NAME, DOC("用户名,即租户名称", "user: the name of the tenant")),
};

static enum sv_err login(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct login_in *in = input;
    struct sv_tenant t;
    enum sv_err rc = sv_login(c->tx, &c->actor, in->user, c->arena, &t, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "id", &t.id);
    sv_put_str(out, "username", t.name);
    sv_put_bool(out, "admin", c->actor.role == SV_ROLE_ADMIN);
    sv_reply_end_obj(out);
    return SV_OK;
}

static const struct sv_route routes[] = {
    {
        .section = "login",
        OPERATION("LoginHandler", "login"),
        .runs = SV_RUN_READ,
        .extension = true,
        SV_PARAMS(login_params),
        .in_size = sizeof(struct login_in),
        .data = SV_DATA_OBJ,
        SV_FIELDS(SV_TEXT("id"), SV_TEXT("username"), SV_BOOL("admin")),
        .handler = login,
        DOC("校验用户名和令牌", "check a token and the name of its tenant"),
    },
};
const struct sv_route_table sv_kvm_login = {routes, ROUTE_COUNT(routes)};
