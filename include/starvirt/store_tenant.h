/* Tenants, their quota counters and tokens (StarVCenter 2.1, 2.10). */
#ifndef STARVIRT_STORE_TENANT_H
#define STARVIRT_STORE_TENANT_H

#include "starvirt/store.h"

/* Amounts a tenant may hold and holds. In quotas -1 = unlimited. */
struct sv_amounts {
    int64_t vcpus;
    int64_t memory;  /* [bytes] */
    int64_t storage; /* [bytes] */
    int64_t subnets;
    int64_t ips;    /* outer addresses */
    int64_t jobs;   /* open: queued or running. Counted with their rows (store_job.h), never reserved */
    int64_t images; /* [bytes] of the files of templates and backups. As a quota also SV_QUOTA_AS_STORAGE */
};
#define SV_QUOTA_AS_STORAGE (-2) /* as large as the quota of storage, but counted for itself */
static inline int64_t sv_quota_images(const struct sv_amounts *quota)
{
    return quota->images == SV_QUOTA_AS_STORAGE ? quota->storage : quota->images;
}

struct sv_tenant {
    struct sv_id id;
    const char *name, *descr;
    bool is_admin; /* the tenant made at first start */
    int64_t created;
    struct sv_amounts quota, used;
    int64_t vm_count; /* kept, not counted */
};

enum sv_err sv_tenant_insert(struct sv_tx *tx, const struct sv_tenant *t, struct sv_error *err); /* TENANT_NAME_TAKEN */
enum sv_err sv_tenant_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                          struct sv_tenant *ret, struct sv_error *err);
struct sv_tenant_filter {
    struct sv_id id;
    const char *name; /* substring */
};
enum sv_err sv_tenant_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_tenant_filter *f,
                           const struct sv_page *p, void (*row)(void *arg, const struct sv_tenant *t), void *arg,
                           uint64_t *ret_total, struct sv_error *err);
/* name or descr NULL = unchanged */
enum sv_err sv_tenant_update(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, const char *name,
                             const char *descr, struct sv_error *err);
enum sv_err sv_tenant_set_quota(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id,
                                const struct sv_amounts *quota, struct sv_error *err);
/* Adds `delta` (any sign, without jobs) to what is used; refuses with QUOTA_* (arguments: needed, available) when a
 * positive delta would pass the quota, changing nothing. */
enum sv_err sv_tenant_reserve(struct sv_tx *tx, const struct sv_id *tenant, const struct sv_amounts *delta,
                              struct sv_error *err);
/* The same for images alone, refused by nothing: what is given back, and what takes the place of something. */
enum sv_err sv_tenant_book_images(struct sv_tx *tx, const struct sv_id *tenant, int64_t bytes, struct sv_error *err);
/* Deletes a tenant that owns nothing (TENANT_IN_USE names what), with its tokens. */
enum sv_err sv_tenant_delete(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_error *err);

struct sv_token {
    struct sv_id id, tenant;
    enum sv_role role;
    const char *descr;
    int64_t created, expires /* 0 = never */, last_used;
};
enum sv_err sv_token_insert(struct sv_tx *tx, const struct sv_token *t, const unsigned char hash[32],
                            struct sv_error *err);
/* By SHA-256 of the token text: TOKEN_INVALID or TOKEN_EXPIRED (against sv_tx_now). */
enum sv_err sv_token_find(struct sv_tx *tx, const unsigned char hash[32], struct sv_token *ret, struct sv_error *err);
/* What a token found before is by now, by its id: likewise. */
enum sv_err sv_token_get(struct sv_tx *tx, const struct sv_id *id, struct sv_token *ret, struct sv_error *err);
enum sv_err sv_token_list(struct sv_tx *tx, struct sv_scope scope,
                          const struct sv_id *tenant /* empty = all in scope */, const struct sv_page *p,
                          void (*row)(void *arg, const struct sv_token *t), void *arg, uint64_t *ret_total,
                          struct sv_error *err);
enum sv_err sv_token_delete(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_error *err);
/* Called on the writer thread after a commit that took tokens away; must not block. */
void sv_db_on_tokens(struct sv_db *db, void (*fn)(void *arg), void *arg);
enum sv_err sv_token_touch(struct sv_tx *tx, const struct sv_id *id, int64_t when, struct sv_error *err);

/* Replies kept for Idempotency-Key, scoped to the tenant. */
struct sv_idem {
    unsigned char hash[32]; /* of method, path and body */
    const char *reply;      /* as sent */
    struct sv_id job;       /* the reply counts once this job is done; empty = it counts */
};
/* *ret_found false when there is none or it is older than 24 h. */
enum sv_err sv_idem_find(struct sv_tx *tx, const struct sv_id *tenant, const char *key, struct sv_arena *a,
                         struct sv_idem *ret, bool *ret_found, struct sv_error *err);
enum sv_err sv_idem_insert(struct sv_tx *tx, const struct sv_id *tenant, const char *key, const struct sv_idem *i,
                           struct sv_error *err);
/* Of a job that failed: what it was kept for may be asked again. */
enum sv_err sv_idem_forget(struct sv_tx *tx, const struct sv_id *job, struct sv_error *err);
enum sv_err sv_idem_expire(struct sv_tx *tx, int64_t older_than, struct sv_error *err);

#endif
