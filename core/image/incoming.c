/* Images on their way in: what a file may take while it grows, of the disk and of its tenant's quota. */
#include "core/image/image.h"

/* An administrator's template is nobody's. */
static struct sv_id owner_of(const struct sv_actor *who)
{
    return who->role == SV_ROLE_ADMIN ? (struct sv_id){.s = ""} : who->tenant;
}

struct asked {
    struct sv_cloud *c;
    struct sv_id owner;
    const struct sv_claim *claim; /* its own; NULL: none yet */
    int64_t bytes;
};

/* It is reserved when it is accepted; until then what comes in at the same time counts here. */
static enum sv_err check_quota(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct asked *a = arg;
    struct sv_tenant t;
    int64_t quota, left;
    enum sv_err rc;

    if (sv_id_empty(&a->owner))
        return SV_OK;
    rc = sv_tenant_get(tx, sv_scope_system(), &a->owner, sv_tx_arena(tx), &t, err);
    if (rc == SV_E_TENANT_NOT_FOUND) /* it went while the file came, and its tokens with it */
        return sv_fail(err, SV_E_TOKEN_INVALID, SV_F_NONE);
    if (rc)
        return rc;
    quota = sv_quota_images(&t.quota);
    left = quota - t.used.images - sv_room_claimed(a->c, &a->owner, a->claim);
    if (quota < 0 || a->bytes <= left)
        return SV_OK;
    return sv_fail(err, SV_E_QUOTA_IMAGES, SV_F_NONE, sv_bytes(a->bytes, 0).s,
                   sv_bytes(left > 0 ? left : 0, SV_ROUND_DOWN).s);
}

enum sv_err sv_incoming_begin(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *dir,
                              int64_t announced, struct sv_claim **ret, struct sv_error *err)
{
    struct asked a = {.c = c, .owner = owner_of(who), .bytes = announced > 0 ? announced : 1};
    enum sv_err rc = check_quota(tx, &a, err);

    return rc ? rc : sv_room_claim(c, dir, &a.owner, announced, ret, err);
}

enum sv_err sv_incoming_grow(struct sv_cloud *c, const struct sv_actor *who, struct sv_claim *k, int64_t size,
                             struct sv_error *err)
{
    struct asked a = {.c = c, .owner = owner_of(who), .claim = k, .bytes = size};
    enum sv_err rc = sv_db_read(c->db, check_quota, &a, err);

    return rc ? rc : sv_room_grow(k, size, err);
}

void sv_incoming_end(struct sv_claim *k)
{
    sv_room_release(k);
}
