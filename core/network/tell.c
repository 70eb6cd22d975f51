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
    bool (*can_look)(const struct sv_net_ops *ops);
    enum sv_err (*look)(struct telling *t, bool *ret_whole, struct sv_error *err);
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

static bool can_look_vpc(const struct sv_net_ops *ops)
{
    return ops->vpc_whole;
}

static enum sv_err look_vpc(struct telling *t, bool *ret_whole, struct sv_error *err)
{
    const struct sv_want_vpc *w = &t->want.vpc;

    return t->c->net->ops->vpc_whole(t->c->net, &w->net, w->nics, w->nic_count, ret_whole, err);
}

static enum sv_err want_router(struct telling *t, struct sv_tx *tx, struct sv_error *err)
{
    return sv_want_router(t->c, tx, &t->id, t->arena, &t->want.router, &t->there, err);
}

static enum sv_err apply_router(struct telling *t, const struct sv_deadline *d, struct sv_error *err)
{
    struct sv_net_router_facts facts = {.there = true};
    struct sv_error ignored;
    const enum sv_err rc = t->c->net->ops->router_apply(t->c->net, &t->want.router, d, err);

    if (rc)
        return rc;
    /* Of two instances either may route now; with one there is nothing to ask. */
    if (!t->want.router.ha || !t->c->net->ops->router_look(t->c->net, &t->id, &facts, &ignored)) {
        facts.there = true;
        sv_set_online(t->c, &t->id, &facts);
    }
    return SV_OK;
}

static enum sv_err remove_router(struct telling *t, const struct sv_deadline *d, struct sv_error *err)
{
    const enum sv_err rc = t->c->net->ops->router_remove(t->c->net, &t->id, d, err);

    if (!rc)
        sv_set_online(t->c, &t->id, NULL);
    return rc;
}

static bool can_look_router(const struct sv_net_ops *ops)
{
    return ops->router_whole;
}

static enum sv_err look_router(struct telling *t, bool *ret_whole, struct sv_error *err)
{
    struct sv_net_router_facts facts;
    struct sv_error ignored;
    const enum sv_err rc = t->c->net->ops->router_whole(t->c->net, &t->want.router, ret_whole, err);

    /* What is shown of routers is what was seen last. */
    if (!rc && !t->c->net->ops->router_look(t->c->net, &t->id, &facts, &ignored))
        sv_set_online(t->c, &t->id, &facts);
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

static bool can_look_group(const struct sv_net_ops *ops)
{
    return ops->group_whole;
}

static enum sv_err look_group(struct telling *t, bool *ret_whole, struct sv_error *err)
{
    return t->c->net->ops->group_whole(t->c->net, &t->want.group, ret_whole, err);
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

static bool can_look_filter(const struct sv_net_ops *ops)
{
    return ops->filter_whole;
}

static enum sv_err look_filter(struct telling *t, bool *ret_whole, struct sv_error *err)
{
    return t->c->net->ops->filter_whole(t->c->net, &t->want.filter, ret_whole, err);
}

static const struct teller tellers[SV_UNIT_KINDS] = {
    [SV_UNIT_VPC] = {want_vpc, apply_vpc, remove_vpc, can_look_vpc, look_vpc},
    [SV_UNIT_ROUTER] = {want_router, apply_router, remove_router, can_look_router, look_router},
    [SV_UNIT_GROUP] = {want_group, apply_group, remove_group, can_look_group, look_group},
    [SV_UNIT_NIC] = {want_filter, apply_filter, remove_filter, can_look_filter, look_filter},
};

const char *sv_unit_name(enum sv_net_unit kind)
{
    static const char *const names[] = {
        [SV_UNIT_VPC] = "vpc", [SV_UNIT_ROUTER] = "router", [SV_UNIT_GROUP] = "group", [SV_UNIT_NIC] = "nic"};

    return names[kind];
}

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

/* Whoever has the turn tells the engine just now: what is there then is nobody's fault. */
enum sv_err sv_unit_look(struct sv_cloud *c, enum sv_net_unit kind, const struct sv_id *id, bool *ret_whole,
                         struct sv_error *err)
{
    SV_CLEANUP(sv_arena_freep) struct sv_arena *arena = sv_arena_new();
    struct telling t = {.c = c, .id = *id, .arena = arena};
    struct reading r = {&t, kind};
    const struct sv_deadline now = {.mono_ms = sv_mono_ms()};
    struct sv_turn turn;
    struct sv_error ignored;
    enum sv_err rc;

    *ret_whole = true;
    if (!tellers[kind].can_look(c->net->ops) || sv_turn_take(c, id, &now, &turn, &ignored))
        return SV_OK;
    rc = sv_db_read(c->db, read_wish, &r, err);
    if (!rc && t.there)
        rc = tellers[kind].look(&t, ret_whole, err);
    sv_turn_give(c, &turn);
    return rc;
}
