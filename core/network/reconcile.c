/* What the engine has, held against what rows say. What differs is told to the engine again, counted and logged once it
 * was mended. */
#include "core/network/keeper.h"

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

struct comparison {
    struct sv_keeper *keeper;
    struct sv_keeper_check *check;
    enum sv_net_unit kind;
    bool first;
    struct sv_error *err;
    enum sv_err rc; /* the first unit that could not be looked at */
};

static void wish(const struct comparison *c, const struct sv_id *id, const struct sv_id *tenant, bool mends)
{
    struct sv_unit_wish w = {.kind = c->kind, .id = *id, .mends = mends};

    if (tenant)
        w.tenant = *tenant;
    sv_keeper_wish(c->keeper, &w, c->check);
}

static void unseen(struct comparison *c, const struct object *o, const struct sv_error *why)
{
    const struct sv_unit_wish w = {.kind = c->kind, .id = o->id, .tenant = o->tenant};

    sv_keeper_unseen(c->keeper, &w, c->check, why);
    if (!c->rc)
        *c->err = *why;
    c->rc = c->rc ? c->rc : why->code;
}

/* As far as can be seen. */
static bool is_whole(struct comparison *c, const struct object *o)
{
    struct sv_error why;
    bool whole = true;

    if (!sv_unit_look(c->keeper->cloud, c->kind, &o->id, &whole, &why))
        return whole;
    unseen(c, o, &why);
    return true;
}

/* The engine's list before the rows and after them: what came or went meanwhile is in one of them. */
static void compare(struct comparison *c, const struct sv_ids *before, const struct objects *rows,
                    const struct sv_ids *after)
{
    for (size_t i = 0; i < rows->n; i++) {
        const struct object *o = &rows->v[i];
        const bool missing = !sv_ids_have(before, &o->id) && !sv_ids_have(after, &o->id);

        if (missing || c->first || !is_whole(c, o))
            wish(c, &o->id, &o->tenant, missing || !c->first);
    }
    for (size_t i = 0; i < after->n; i++) {
        if (sv_ids_have(before, &after->v[i]) && !has_object(rows, &after->v[i]))
            wish(c, &after->v[i], NULL, true);
    }
}

static enum sv_err compare_kind(struct comparison *c, struct sv_error *err)
{
    SV_CLEANUP(sv_ids_free) struct sv_ids before = {0};
    SV_CLEANUP(sv_ids_free) struct sv_ids after = {0};
    SV_CLEANUP(free_objects) struct objects rows = {0};
    struct sv_cloud *cloud = c->keeper->cloud;
    struct reading r = {c->kind, &rows};
    enum sv_err rc = list_engine(cloud->net, c->kind, &before, err);

    if (!rc)
        rc = sv_db_read(cloud->db, read_objects, &r, err);
    if (!rc)
        rc = list_engine(cloud->net, c->kind, &after, err);
    if (!rc)
        compare(c, &before, &rows, &after);
    return rc ? rc : c->rc;
}

static void count(struct sv_keeper *k, int64_t began_us)
{
    pthread_mutex_lock(&k->crew.mutex);
    k->comparisons++;
    k->comparing_us += (uint64_t)(sv_mono_us() - began_us);
    pthread_mutex_unlock(&k->crew.mutex);
}

enum sv_err sv_keeper_compare(struct sv_keeper *k, bool first, struct sv_keeper_check *check, struct sv_error *err)
{
    const int64_t began = sv_mono_us();
    enum sv_err rc = SV_OK;

    if (k->cloud->net->ops->books_only)
        return SV_OK;
    for (enum sv_net_unit kind = 0; kind < SV_UNIT_KINDS; kind++) {
        struct sv_error e;
        struct comparison c = {.keeper = k, .check = check, .kind = kind, .first = first, .err = &e};
        const enum sv_err one = compare_kind(&c, &e);

        if (one && !rc) {
            rc = one;
            *err = e;
        }
    }
    count(k, began);
    return rc;
}
