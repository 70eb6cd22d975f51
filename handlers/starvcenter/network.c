/* What the network engine has, compared with what it should have: for administrators. */
#include "handlers/starvcenter/rows.h"

/* Before the transaction: the engine may take its time. */
static enum sv_err compare(struct sv_call *c, const void *input, struct sv_reply *out)
{
    struct sv_drifts *found = sv_arena_alloc(c->arena, sizeof(*found));
    const enum sv_err rc = sv_network_check(c->cloud, &c->actor, c->arena, found, c->err);

    (void)input, (void)out;
    c->prepared = found;
    return rc;
}

static void put_drift(struct sv_call *c, const struct sv_drift *d, struct sv_reply *out)
{
    static const char *const states[] = {[SV_DRIFT_OPEN] = "open",
                                         [SV_DRIFT_MENDED] = "mended",
                                         [SV_DRIFT_FAILED] = "failed",
                                         [SV_DRIFT_UNSEEN] = "unseen"};
    char why[256] = "";

    if (d->why.code)
        sv_err_text(&d->why, c->lang, why, sizeof(why));
    sv_reply_obj(out);
    sv_put_str(out, "unit.type", d->type);
    sv_put_id(out, "unit.id", &d->id);
    sv_put_id(out, "unit.appid", &d->tenant);
    sv_put_str(out, "unit.state", states[d->state]);
    sv_put_int(out, "unit.ms", d->ms);
    sv_put_str(out, "unit.reason", why);
    sv_reply_end_obj(out);
}

static enum sv_err check(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_drifts *found = c->prepared;

    (void)input;
    sv_reply_list(out);
    for (size_t i = 0; i < found->n; i++)
        put_drift(c, &found->v[i], out);
    out->count = found->n;
    return sv_reply_end_page(out, SV_OK);
}

static const struct sv_route routes[] = {
    {.section = "networks",
     .method = "PUT",
     .path = "cloudnetwork/check",
     .runs = SV_RUN_WRITE,
     .role = SV_ROLE_ADMIN,
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("unit.type",
                       DOC("类型(vpc、router、group、nic)", "vpc, router, group (security group) or nic (its filter)")),
               SV_TEXT("unit.id"),
               SV_TEXT("unit.appid", DOC("租户编号;空:无此对象,已清除",
                                         "id of the tenant; empty: there is no such thing, it was taken away")),
               SV_TEXT("unit.state",
                       DOC("mended:已修复;failed:修复失败,将重试;open:尚未完成;unseen:无法查看",
                           "mended; failed: is tried again; open: not done yet; unseen: could not be looked at")),
               SV_INT("unit.ms", .unit = "ms", DOC("修复用时", "from when it was found to that")),
               SV_TEXT("unit.reason")),
     .prepare = compare,
     .handler = check,
     .extension = true,
     DOC("核对网络并修复差异", "compare what networks are with what they should be, and mend what differs")},
};
const struct sv_route_table sv_table_network = {routes, ROUTE_COUNT(routes)};
