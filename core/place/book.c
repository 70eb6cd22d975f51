/* Placement in a transaction: hosts are read once, and what is placed in it is kept in mind. */
#include <stdio.h>

#include "core/place/place.h"
#include "starvirt/store_catalog.h"

/* A group of the wish, and the hosts where it has VMs. */
struct group {
    bool apart, strict, any;
    bool *here; /* by host */
};

struct sv_place {
    struct group *groups;
    size_t group_count;
    struct sv_place_wish wish;
    struct sv_place_host *hosts;
    struct sv_place_verdict *verdicts;
    size_t n, cap;
    struct sv_arena *arena;
};

static void add_host(void *arg, const struct sv_host_room *h)
{
    struct sv_place *p = arg;

    p->hosts = sv_arena_grow(p->arena, p->hosts, p->n, &p->cap, sizeof(*p->hosts));
    p->hosts[p->n++] = (struct sv_place_host){.id = h->id,
                                              .labels = p->wish.labels[0] ? sv_arena_strdup(p->arena, h->labels) : "",
                                              .ready = h->connected,
                                              .maintenance = h->maintenance,
                                              .storage = h->storage,
                                              .vcpus = h->vcpus,
                                              .memory = h->memory};
}

/* So many VMs of the group are there. */
static void count_in(struct sv_place *p, struct group *g, struct sv_place_host *h, int64_t vms)
{
    bool *here = &g->here[h - p->hosts];

    if (!g->strict)
        h->liked += g->apart ? -vms : vms;
    else if (g->apart)
        h->apart += (unsigned)vms;
    else if (!*here)
        h->together++;
    if (g->strict && !g->apart && !g->any)
        p->wish.together++;
    g->any = *here = true;
}

struct counting {
    struct sv_place *place;
    struct group *group;
};

static void count_host(void *arg, const struct sv_id *host, int64_t vms)
{
    const struct counting *a = arg;
    struct sv_place *p = a->place;

    for (size_t i = 0; i < p->n; i++) {
        if (sv_id_eq(&p->hosts[i].id, host))
            count_in(p, a->group, &p->hosts[i], vms);
    }
}

static enum sv_err read_groups(struct sv_place *p, struct sv_tx *tx, const struct sv_place_order *o,
                               struct sv_error *err)
{
    enum sv_err rc = SV_OK;

    p->groups = sv_arena_alloc(p->arena, (o->group_count + 1) * sizeof(*p->groups));
    p->group_count = o->group_count;
    for (size_t i = 0; !rc && i < o->group_count; i++) {
        p->groups[i] = (struct group){.apart = o->groups[i].apart,
                                      .strict = o->groups[i].strict,
                                      .here = sv_arena_alloc(p->arena, (p->n + 1) * sizeof(bool))};
        rc = sv_affinity_hosts(tx, &o->groups[i].id, count_host, &(struct counting){p, &p->groups[i]}, err);
    }
    return rc;
}

enum sv_err sv_place_begin(struct sv_cloud *c, struct sv_tx *tx, const struct sv_place_order *o, struct sv_place **ret,
                           struct sv_error *err)
{
    struct sv_place *p = sv_arena_alloc(sv_tx_arena(tx), sizeof(*p));
    enum sv_err rc;

    *p = (struct sv_place){.wish = {.vcpus = o->vcpus,
                                    .memory = o->memory,
                                    .disks = o->disks,
                                    .labels = o->labels ? o->labels : "",
                                    .policy = c->placement},
                           .arena = sv_tx_arena(tx)};
    rc = sv_host_rooms(tx, add_host, p, err);
    if (!rc)
        rc = read_groups(p, tx, o, err);
    if (rc)
        return rc;
    p->verdicts = sv_arena_alloc(p->arena, (p->n + 1) * sizeof(*p->verdicts));
    *ret = p;
    return SV_OK;
}

static enum sv_err no_capacity(const struct sv_place *p, struct sv_error *err)
{
    char text[SV_ERR_ARG_MAX];
    const int n = snprintf(text, sizeof(text), "%zu host%s: ", p->n, p->n == 1 ? "" : "s");

    if (p->n == 0)
        return sv_fail(err, SV_E_NO_CAPACITY, SV_F_NONE, "no hosts");
    sv_place_against(p->verdicts, p->n, &p->wish, text + n, sizeof(text) - (size_t)n);
    return sv_fail(err, SV_E_NO_CAPACITY, SV_F_NONE, text);
}

enum sv_err sv_place_take(struct sv_place *p, struct sv_tx *tx, struct sv_placed *ret, struct sv_error *err)
{
    struct sv_placed placed = {.total = p->n};
    struct sv_place_host *best;
    enum sv_err rc;

    placed.fit = sv_place_rank(p->hosts, p->n, &p->wish, p->verdicts);
    if (placed.fit == 0)
        return no_capacity(p, err);
    best = &p->hosts[p->verdicts[0].host - p->hosts];
    placed.host = best->id;
    placed.why = p->verdicts[0].why;
    sv_place_against(p->verdicts + placed.fit, p->n - placed.fit, &p->wish, placed.against, sizeof(placed.against));
    rc = sv_host_reserve(tx, &best->id, p->wish.vcpus, p->wish.memory, err);
    if (rc)
        return rc;
    best->vcpus -= p->wish.vcpus;
    best->memory -= p->wish.memory;
    for (size_t i = 0; i < p->group_count; i++)
        count_in(p, &p->groups[i], best, 1);
    *ret = placed;
    return SV_OK;
}

enum sv_err sv_place_note(const struct sv_place *p, struct sv_tx *tx, const struct sv_id *job,
                          const struct sv_placed *placed, struct sv_error *err)
{
    const struct sv_dec fit = sv_dec((int64_t)placed->fit);
    struct sv_host h;
    enum sv_err rc = sv_host_get(tx, &placed->host, p->arena, &h, err);

    if (!rc)
        rc = sv_joblog_add(
            tx, job, SV_LOG_INFO, SV_N_CHOSEN,
            (const char *const[SV_ERR_ARGS]){h.name, sv_place_why(placed->why, p->wish.policy, placed->fit), fit.s},
            err);
    if (!rc && placed->against[0])
        rc =
            sv_joblog_add(tx, job, SV_LOG_INFO, SV_N_RULED_OUT, (const char *const[SV_ERR_ARGS]){placed->against}, err);
    return rc;
}
