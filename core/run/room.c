/* Claims on room: of files that grow at the same time each is counted with what it was announced to become. */
#include "starvirt/room.h"
#include "core/run/run.h"

struct sv_claim {
    struct sv_cloud *cloud;
    char *dir;
    dev_t device;
    struct sv_id tenant; /* whose quota it counts in; empty: nobody's */
    int64_t announced, written;
    struct sv_claim *next, **link;
};

void sv_rooms_init(struct sv_cloud *c)
{
    pthread_mutex_init(&c->room_lock, NULL);
}

void sv_rooms_end(struct sv_cloud *c)
{
    pthread_mutex_destroy(&c->room_lock);
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Under the lock: what other files are still to take of this file system. */
static int64_t promised(const struct sv_cloud *c, const struct sv_claim *but, dev_t device)
{
    int64_t sum = 0;

    for (const struct sv_claim *k = c->claims; k; k = k->next)
        if (k != but && k->device == device)
            sum += most(k->announced - k->written, 0);
    return sum;
}

/* `more`: bytes that are to come. Under the lock. */
static enum sv_err check(const struct sv_cloud *c, const struct sv_claim *k, const struct sv_room *room, int64_t more,
                         struct sv_error *err)
{
    const int64_t left = most(room->left - promised(c, k, room->device), 0);

    if (more <= left)
        return SV_OK;
    return sv_fail(err, SV_E_NO_ROOM, SV_F_NONE, sv_bytes(more, 0).s, sv_bytes(left, SV_ROUND_DOWN).s);
}

enum sv_err sv_room_claim(struct sv_cloud *c, const char *dir, const struct sv_id *tenant, int64_t announced,
                          struct sv_claim **ret, struct sv_error *err)
{
    struct sv_room room;
    struct sv_claim *k;
    enum sv_err rc = sv_room_of(dir, &room, err);

    if (rc)
        return rc;
    pthread_mutex_lock(&c->room_lock);
    rc = check(c, NULL, &room, most(announced, 1), err);
    if (!rc) {
        k = sv_alloc(sizeof(*k));
        *k = (struct sv_claim){.cloud = c,
                               .dir = sv_strdup(dir),
                               .device = room.device,
                               .tenant = *tenant,
                               .announced = announced,
                               .next = c->claims,
                               .link = &c->claims};
        if (k->next)
            k->next->link = &k->next;
        c->claims = k;
        *ret = k;
    }
    pthread_mutex_unlock(&c->room_lock);
    return rc;
}

enum sv_err sv_room_grow(struct sv_claim *k, int64_t size, struct sv_error *err)
{
    struct sv_cloud *c = k->cloud;
    struct sv_room room;
    enum sv_err rc = sv_room_of(k->dir, &room, err);

    if (rc)
        return rc;
    pthread_mutex_lock(&c->room_lock);
    rc = check(c, k, &room, size - k->written, err);
    if (!rc)
        k->written = size;
    pthread_mutex_unlock(&c->room_lock);
    return rc;
}

int64_t sv_room_claimed(struct sv_cloud *c, const struct sv_id *tenant, const struct sv_claim *but)
{
    int64_t sum = 0;

    pthread_mutex_lock(&c->room_lock);
    for (const struct sv_claim *k = c->claims; k; k = k->next)
        if (k != but && sv_id_eq(&k->tenant, tenant))
            sum += most(k->announced, k->written);
    pthread_mutex_unlock(&c->room_lock);
    return sum;
}

void sv_room_release(struct sv_claim *k)
{
    if (!k)
        return;
    pthread_mutex_lock(&k->cloud->room_lock);
    *k->link = k->next;
    if (k->next)
        k->next->link = k->link;
    pthread_mutex_unlock(&k->cloud->room_lock);
    free(k->dir);
    free(k);
}
