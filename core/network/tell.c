/* Telling the engine of one unit: what it should be, read over one snapshot, or that it should not be. */
#include "core/network/wanted.h"

struct telling {
    struct sv_cloud *c;
    struct sv_id id;
    struct sv_arena *arena;
    int64_t wish;
    bool there;
    union {
        struct sv_want_vpc vpc;
        struct sv_net_router router;
        struct sv_net_group group;
        struct sv_net_filter filter;
    } want;
};

/* --- a kind of unit: what it should be, what the engine is told ---------------------------------------- */

struct teller {
    enum sv_err (*want)(struct telling *t, struct sv_tx *tx, struct sv_error *err);
    enum sv_err (*apply)(struct telling *t, const struct sv_deadline *d, struct sv_error *err);
    enum sv_err (*remove)(struct telling *t, const struct sv_deadline *d, struct sv_error *err);
};

static enum sv_err want_vpc(struct telling *t, struct sv_tx *tx, struct sv_error *err)
{
    return sv_want_vpc(tx, &t->id, t->arena, &t->want.vpc, &t->there, err);
}

static enum sv_err apply_vpc(struct telling *t, const struct sv_deadline *d, struct sv_error *err)
{
    const struct sv_want_vpc *w = &t->want.vpc;

    return t->c->net->ops->vpc_apply(t->c->net, &w->net, w->nics, w->nic_count, d, err);
}

static enum sv_err remove_vpc(struct telling *t, const struct sv_deadline *d, struct sv_error *err)
{
    return t->c->net->ops->vpc_remove(t->c->net, &t->id, d, err);
}

static enum sv_err want_router(struct telling *t, struct sv_tx *tx, struct sv_error *err)
{
    return sv_want_router(t->c, tx, &t->id, t->arena, &t->want.router, &t->there, err);
}

static enum sv_err apply_router(struct telling *t, const struct sv_deadline *d, struct sv_error *err)
{
    const enum sv_err rc = t->c->net->ops->router_apply(t->c->net, &t->want.router, d, err);

    if (!rc)
        sv_set_online(t->c, &t->id, true);
    return rc;
}

static enum sv_err remove_router(struct telling *t, const struct sv_deadline *d, struct sv_error *err)
{
    const enum sv_err rc = t->c->net->ops->router_remove(t->c->net, &t->id, d, err);

    if (!rc)
        sv_set_online(t->c, &t->id, false);
    return rc;
}

static enum sv_err want_group(struct telling *t, struct sv_tx *tx, struct sv_error *err)
{
    return sv_want_group(tx, &t->id, t->arena, &t->want.group, &t->there, err);
}

static enum sv_err apply_group(struct telling *t, const struct sv_deadline *d, struct sv_error *err)
{
    return t->c->net->ops->group_apply(t->c->net, &t->want.group, d, err);
}

static enum sv_err remove_group(struct telling *t, const struct sv_deadline *d, struct sv_error *err)
{
    return t->c->net->ops->group_remove(t->c->net, &t->id, d, err);
}

static enum sv_err want_filter(struct telling *t, struct sv_tx *tx, struct sv_error *err)
{
    return sv_want_filter(tx, &t->id, t->arena, &t->want.filter, &t->there, err);
}

static enum sv_err apply_filter(struct telling *t, const struct sv_deadline *d, struct sv_error *err)
{
    return t->c->net->ops->filter_apply(t->c->net, &t->want.filter, d, err);
}

static enum sv_err remove_filter(struct telling *t, const struct sv_deadline *d, struct sv_error *err)
{
    return t->c->net->ops->filter_remove(t->c->net, &t->id, d, err);
}

static const struct teller tellers[SV_UNIT_KINDS] = {
    [SV_UNIT_VPC] = {want_vpc, apply_vpc, remove_vpc},
    [SV_UNIT_ROUTER] = {want_router, apply_router, remove_router},
    [SV_UNIT_GROUP] = {want_group, apply_group, remove_group},
    [SV_UNIT_NIC] = {want_filter, apply_filter, remove_filter},
};

/* --- telling ------------------------------------------------------------------------------------------- */

struct reading {
    struct telling *t;
    enum sv_net_unit kind;
};

static enum sv_err read_wish(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct reading *r = arg;
    struct sv_unit u = {.wish = 0};
    bool found = false;
    enum sv_err rc = sv_unit_get(tx, r->kind, &r->t->id, &u, &found, err);

    r->t->wish = found ? u.wish : 0;
    return rc ? rc : tellers[r->kind].want(r->t, tx, err);
}

enum sv_err sv_unit_tell(struct sv_cloud *c, enum sv_net_unit kind, const struct sv_id *id, bool spare,
                         const struct sv_deadline *d, struct sv_told *ret, struct sv_error *err)
{
    SV_CLEANUP(sv_arena_freep) struct sv_arena *arena = sv_arena_new();
    struct telling t = {.c = c, .id = *id, .arena = arena};
    struct reading r = {&t, kind};
    struct sv_turn turn;
    enum sv_err rc = sv_turn_take(c, id, d, &turn, err);

    if (rc)
        return rc;
    rc = sv_db_read(c->db, read_wish, &r, err);
    if (!rc)
        *ret = (struct sv_told){.wish = t.wish, .gone = !t.there};
    if (!rc && !c->net->ops->books_only && (t.there || !spare))
        rc = (t.there ? tellers[kind].apply : tellers[kind].remove)(&t, d, err);
    sv_turn_give(c, &turn);
    return rc;
}

enum sv_err sv_unit_remove(struct sv_cloud *c, enum sv_net_unit kind, const struct sv_id *id,
                           const struct sv_deadline *d, struct sv_error *err)
{
    struct telling t = {.c = c, .id = *id};
    struct sv_turn turn;
    enum sv_err rc = sv_turn_take(c, id, d, &turn, err);

    if (rc)
        return rc;
    if (!c->net->ops->books_only)
        rc = tellers[kind].remove(&t, d, err);
    sv_turn_give(c, &turn);
    return rc;
}
