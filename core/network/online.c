/* Which routers the engine has, as of when it was told or looked at last: what is shown of them waits for no engine. */
#include "core/network/network.h"

void sv_set_online(struct sv_cloud *c, const struct sv_id *router, bool online)
{
    struct sv_online *o = &c->online;
    size_t at = 0;

    pthread_mutex_lock(&o->mutex);
    while (at < o->ids.n && !sv_id_eq(&o->ids.v[at], router))
        at++;
    if (online && at == o->ids.n)
        sv_ids_add(&o->ids, router);
    else if (!online && at < o->ids.n)
        o->ids.v[at] = o->ids.v[--o->ids.n];
    pthread_mutex_unlock(&o->mutex);
}

bool sv_online(struct sv_cloud *c, const struct sv_id *router)
{
    struct sv_online *o = &c->online;
    bool found = false;

    pthread_mutex_lock(&o->mutex);
    for (size_t i = 0; i < o->ids.n && !found; i++)
        found = sv_id_eq(&o->ids.v[i], router);
    pthread_mutex_unlock(&o->mutex);
    return found;
}
