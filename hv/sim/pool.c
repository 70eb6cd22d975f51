/* Storages of a host besides its image directory: as large as pool= says, and known only while connected, as
 * with real hypervisors. Volumes remember theirs; while it is not open nobody sees them. */
#include "hv/sim/internal.h"
#include "starvirt/text.h"

#include <stdlib.h>

/* Under the host's lock: what lies there. */
static int64_t used_of(const struct sim_host *h, const struct sim_key *pool)
{
    const struct sim_volume *v;
    int64_t used = 0;

    for (size_t pos = 0; (v = sim_table_next(&h->volumes, &pos));)
        used += sim_key_eq(&v->pool, pool) ? v->size : 0;
    return used;
}

static enum sv_err refused(struct sv_error *err, const char *why)
{
    return sv_fail(err, SV_E_STORAGE, SV_F_NONE, why);
}

/* What a real host would not take. */
static enum sv_err check(const struct sv_hv_pool *pool, struct sv_error *err)
{
    unsigned char raw[sizeof(pool->rbd_key)];
    size_t n = 0, bad;

    switch (pool->kind) {
    case SV_HV_POOL_DIR:
        return pool->path[0] == '/' ? SV_OK : refused(err, "a directory is named from the root");
    case SV_HV_POOL_NFS:
        return strstr(pool->path, ":/") ? SV_OK : refused(err, "NFS takes server:/export");
    case SV_HV_POOL_RBD:
        if (!pool->monitors[0] || !pool->rbd_pool[0] || !pool->rbd_user[0])
            return refused(err, "Ceph takes monitors, a pool and a user");
        if (!sv_b64_decode(pool->rbd_key, strlen(pool->rbd_key), raw, &n, &bad) || n == 0)
            return refused(err, "the key is not Base64");
        explicit_bzero(raw, sizeof(raw));
        return SV_OK;
    }
    return refused(err, "unknown kind of storage");
}

enum sv_err sim_pool_open(struct sv_hv_host *hh, const struct sv_hv_pool *pool, const struct sv_deadline *dl,
                          struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct sim_key k = {0};
    enum sv_err rc = sim_key_of(&pool->id, &k, err);

    if (!rc)
        rc = check(pool, err);
    if (!rc)
        rc = sim_enter(h, SIM_CALL_pool_open, dl, err);
    if (rc)
        return rc;
    if (!sim_table_get(&h->pools, &k)) {
        struct sim_pool *p = sv_alloc(sizeof(*p));

        *p = (struct sim_pool){.key = k, .kind = pool->kind, .used = used_of(h, &k)};
        sim_table_put(&h->pools, &p->key);
    }
    sim_leave(h);
    return SV_OK;
}

enum sv_err sim_pool_close(struct sv_hv_host *hh, const struct sv_id *pool, const struct sv_deadline *dl,
                           struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct sim_key k = {0};
    enum sv_err rc = sim_key_of(pool, &k, err);

    if (!rc)
        rc = sim_enter(h, SIM_CALL_pool_close, dl, err);
    if (rc)
        return rc;
    free(sim_table_take(&h->pools, &k));
    sim_leave(h);
    return SV_OK;
}

enum sv_err sim_pool_info(struct sv_hv_host *hh, const struct sv_id *pool, int64_t *ret_size, int64_t *ret_used,
                          const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct sim_key k = {0};
    enum sv_err rc = sim_key_of(pool, &k, err);

    if (!rc)
        rc = sim_enter(h, SIM_CALL_pool_info, dl, err);
    if (rc)
        return rc;
    const struct sim_pool *p = sim_table_get(&h->pools, &k);
    if (p) {
        *ret_size = h->sim->conf.pool;
        *ret_used = p->used;
    } else {
        rc = refused(err, "the storage is not open on this host");
    }
    sim_leave(h);
    return rc;
}

/* --- for volumes. All under the host's lock. --- */

void sim_pools_forget(struct sim_host *h)
{
    sim_table_free(&h->pools, free);
}

struct sim_volume *sim_volume_get(const struct sim_host *h, const struct sim_key *volume)
{
    struct sim_volume *v = sim_table_get(&h->volumes, volume);

    return v && (sim_key_empty(&v->pool) || sim_table_get(&h->pools, &v->pool)) ? v : NULL;
}

void sim_pool_charge(struct sim_host *h, const struct sim_key *pool, int64_t delta)
{
    struct sim_pool *p = sim_table_get(&h->pools, pool);

    if (sim_key_empty(pool))
        h->storage_used += delta;
    else if (p) /* else it is counted when it is opened */
        p->used += delta;
}

enum sv_err sim_pool_room(const struct sim_host *h, const struct sim_key *pool, int64_t bytes, struct sv_error *err)
{
    const struct sim_pool *p = sim_table_get(&h->pools, pool);
    int64_t room = h->sim->conf.storage - h->storage_used;

    if (!sim_key_empty(pool) && !p)
        return refused(err, "the storage is not open on this host");
    if (p)
        room = h->sim->conf.pool - p->used;
    return bytes > room ? sv_fail(err, SV_E_STORAGE_FULL, SV_F_NONE) : SV_OK;
}
