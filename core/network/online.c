/* Which routers the engine has, and which of their instances routes, as of when it was told or looked at last: what is
 * shown of them waits for no engine. */
#include "core/network/network.h"

#include "starvirt/log.h"

struct sv_router_seen {
    struct sv_id id;
    struct sv_net_router_facts facts;
};

static struct sv_router_seen *find(struct sv_online *o, const struct sv_id *router)
{
    for (size_t i = 0; i < o->n; i++)
        if (sv_id_eq(&o->v[i].id, router))
            return &o->v[i];
    return NULL;
}

/* The engine counts as long as there are these two instances. */
static uint64_t failovers_between(const struct sv_net_router_facts *was, const struct sv_net_router_facts *is)
{
    return is->failovers >= was->failovers ? is->failovers - was->failovers : is->failovers;
}

static uint64_t note(struct sv_online *o, const struct sv_id *router, const struct sv_net_router_facts *facts)
{
    struct sv_router_seen *seen = find(o, router);
    uint64_t n = 0;

    if (!facts) {
        if (seen)
            *seen = o->v[--o->n];
        return 0;
    }
    if (seen) {
        n = failovers_between(&seen->facts, facts);
        seen->facts = *facts;
    } else {
        o->v = sv_grow(o->v, o->n, &o->cap, sizeof(*o->v));
        o->v[o->n++] = (struct sv_router_seen){*router, *facts};
    }
    o->failovers += n;
    return n;
}

void sv_set_online(struct sv_cloud *c, const struct sv_id *router, const struct sv_net_router_facts *facts)
{
    struct sv_online *o = &c->online;
    uint64_t n;

    pthread_mutex_lock(&o->mutex);
    n = note(o, router, facts);
    pthread_mutex_unlock(&o->mutex);
    if (n)
        sv_log(SV_LOG_WARN, "router.failover", "router", router->s, "active", facts->active ? "1" : "0", NULL);
}

bool sv_online(struct sv_cloud *c, const struct sv_id *router, unsigned *ret_active)
{
    struct sv_online *o = &c->online;
    const struct sv_router_seen *seen;
    bool there;

    pthread_mutex_lock(&o->mutex);
    seen = find(o, router);
    there = seen && seen->facts.there;
    *ret_active = seen ? seen->facts.active : 0;
    pthread_mutex_unlock(&o->mutex);
    return there;
}

uint64_t sv_failovers(struct sv_cloud *c)
{
    uint64_t n;

    pthread_mutex_lock(&c->online.mutex);
    n = c->online.failovers;
    pthread_mutex_unlock(&c->online.mutex);
    return n;
}
