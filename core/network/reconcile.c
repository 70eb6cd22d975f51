/* What the engine has, held against what rows say. What differs is told to the engine again, counted and logged once it
 * was mended. */
#include "core/network/keeper.h"
#include "starvirt/log.h"

struct object {
    struct sv_id id, tenant;
};

struct objects {
    struct object *v; /* in order of ids */
    size_t n, cap;
};

static void add_object(void *arg, const struct sv_id *id, const struct sv_id *tenant)
{
    struct objects *l = arg;

    l->v = sv_grow(l->v, l->n, &l->cap, sizeof(*l->v));
    l->v[l->n++] = (struct object){*id, *tenant};
}

static void free_objects(struct objects *l)
{
    free(l->v);
}

static bool has_object(const struct objects *l, const struct sv_id *id)
{
    size_t from = 0, to = l->n;

    while (from < to) {
        const size_t at = from + (to - from) / 2;
        const int diff = strcmp(l->v[at].id.s, id->s);

        if (diff == 0)
            return true;
        if (diff < 0)
            from = at + 1;
        else
            to = at;
    }
    return false;
}

struct reading {
    enum sv_net_unit kind;
    struct objects *objects;
};

static enum sv_err read_objects(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct reading *r = arg;

    return sv_unit_objects(tx, r->kind, add_object, r->objects, err);
}

static void add_id(void *arg, const struct sv_id *id)
{
    sv_ids_add(arg, id);
}

static enum sv_err list_engine(struct sv_net *net, enum sv_net_unit kind, struct sv_ids *ret, struct sv_error *err)
{
    enum sv_err rc = SV_OK;

    switch (kind) {
    case SV_UNIT_VPC:
        rc = net->ops->list(net, add_id, ret, err);
        break;
    case SV_UNIT_ROUTER:
        rc = net->ops->router_list(net, add_id, ret, err);
        break;
    case SV_UNIT_GROUP:
        rc = net->ops->group_list(net, add_id, ret, err);
        break;
    case SV_UNIT_NIC:
        rc = net->ops->filter_list(net, add_id, ret, err);
        break;
    case SV_UNIT_KINDS:
        break;
    }
    sv_ids_sort(ret);
    return rc;
}

/* All of it, as far as the engine can tell. */
static bool is_whole(struct sv_cloud *c, enum sv_net_unit kind, const struct sv_id *id)
{
    struct sv_net_router_facts facts;
    struct sv_error ignored;

    if (kind != SV_UNIT_ROUTER || c->net->ops->router_look(c->net, id, &facts, &ignored))
        return true;
    sv_set_online(c, id, facts.there);
    return facts.there;
}

static void wish(struct sv_keeper *k, enum sv_net_unit kind, const struct sv_id *id, const struct sv_id *tenant,
                 bool mends)
{
    struct sv_unit_wish w = {.kind = kind, .id = *id, .mends = mends};

    if (tenant)
        w.tenant = *tenant;
    sv_keeper_wish(k, &w);
}

/* The engine's list before the rows and after them: what came or went meanwhile is in one of them. */
static void compare(struct sv_keeper *k, enum sv_net_unit kind, const struct sv_ids *before, const struct objects *rows,
                    const struct sv_ids *after, bool first)
{
    for (size_t i = 0; i < rows->n; i++) {
        const struct object *o = &rows->v[i];
        const bool missing = !sv_ids_have(before, &o->id) && !sv_ids_have(after, &o->id);

        if (missing || first || !is_whole(k->cloud, kind, &o->id))
            wish(k, kind, &o->id, &o->tenant, missing || !first);
    }
    for (size_t i = 0; i < after->n; i++) {
        if (sv_ids_have(before, &after->v[i]) && !has_object(rows, &after->v[i]))
            wish(k, kind, &after->v[i], NULL, true);
    }
}

static enum sv_err compare_kind(struct sv_keeper *k, enum sv_net_unit kind, bool first, struct sv_error *err)
{
    SV_CLEANUP(sv_ids_free) struct sv_ids before = {0};
    SV_CLEANUP(sv_ids_free) struct sv_ids after = {0};
    SV_CLEANUP(free_objects) struct objects rows = {0};
    struct reading r = {kind, &rows};
    enum sv_err rc = list_engine(k->cloud->net, kind, &before, err);

    if (!rc)
        rc = sv_db_read(k->cloud->db, read_objects, &r, err);
    if (!rc)
        rc = list_engine(k->cloud->net, kind, &after, err);
    if (!rc)
        compare(k, kind, &before, &rows, &after, first);
    return rc;
}

void sv_keeper_compare(struct sv_keeper *k, bool first)
{
    char text[256];
    struct sv_error e;

    if (k->cloud->net->ops->books_only)
        return;
    for (enum sv_net_unit kind = 0; kind < SV_UNIT_KINDS; kind++) {
        if (!compare_kind(k, kind, first, &e))
            continue;
        sv_err_text(&e, SV_LANG_EN, text, sizeof(text));
        sv_log(SV_LOG_ERROR, "network.compare", "error", text, NULL);
    }
}
