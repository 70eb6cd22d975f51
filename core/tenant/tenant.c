/* Tenants, their tokens and quotas (StarVCenter 2.1, 2.10). */
#include "core/tenant/tenant.h"
#include "core/host/host.h"
#include "starvirt/mem.h"
#include "starvirt/text.h"

enum { TOKEN_BYTES = 32 };
/* [ms] last use of a token is for people: a minute's precision keeps reads from writing. */
enum { TOUCH_EVERY_MS = 60 * 1000 };

void sv_token_make(char text[SV_TOKEN_TEXT], unsigned char hash[SV_SHA256_LEN])
{
    unsigned char raw[TOKEN_BYTES];

    sv_random(raw, sizeof(raw));
    sv_hex(raw, sizeof(raw), text);
    sv_sha256(text, SV_TOKEN_TEXT - 1, hash);
}

enum sv_err sv_auth(struct sv_cloud *c, struct sv_tx *tx, const char *token, struct sv_actor *ret, struct sv_error *err)
{
    unsigned char hash[SV_SHA256_LEN];
    struct sv_token t;
    enum sv_err rc;

    if (!token || !token[0])
        return sv_fail(err, SV_E_TOKEN_MISSING, SV_F_NONE);
    sv_sha256(token, strlen(token), hash);
    rc = sv_token_find(tx, hash, &t, err);
    if (rc)
        return rc;
    if (llabs(sv_tx_now(tx) - t.last_used) > TOUCH_EVERY_MS) /* the clock may have been ahead then */
        sv_sync_token_used(c, &t.id);
    *ret = (struct sv_actor){.role = t.role, .tenant = t.tenant, .token = t.id, .expires = t.expires};
    return SV_OK;
}

enum sv_err sv_auth_again(struct sv_tx *tx, const struct sv_actor *who, struct sv_error *err)
{
    struct sv_token t;
    const enum sv_err rc = sv_token_get(tx, &who->token, &t, err);

    if (rc)
        return rc;
    return t.role == who->role && sv_id_eq(&t.tenant, &who->tenant) ? SV_OK
                                                                    : sv_fail(err, SV_E_TOKEN_INVALID, SV_F_NONE);
}

enum sv_err sv_login(struct sv_tx *tx, const struct sv_actor *who, const char *user, struct sv_arena *a,
                     struct sv_tenant *ret, struct sv_error *err)
{
    struct sv_tenant t;
    enum sv_err rc = sv_tenant_get(tx, sv_scope_tenant(&who->tenant), &who->tenant, a, &t, err);

    if (!rc && (!user || strcmp(user, t.name) != 0))
        rc = sv_fail(err, SV_E_LOGIN_USER, SV_F_TENANT_NAME);
    if (!rc)
        *ret = t;
    return rc;
}

struct quota_rule {
    enum sv_field field;
    size_t offset; /* into struct sv_amounts */
    int64_t max;
    bool bytes; /* counted otherwise */
    unsigned how;
    int64_t fallback; /* of a new tenant */
    bool passes;      /* what is in use ends by itself: the quota may be set below it */
};
static const struct quota_rule quota_rules[] = {
    {SV_F_QUOTA_VCPUS, offsetof(struct sv_amounts, vcpus), SV_MAX_QUOTA, false, 0, -1, false},
    {SV_F_QUOTA_MEMORY, offsetof(struct sv_amounts, memory), SV_MAX_QUOTA_MEMORY, true, 0, -1, false},
    {SV_F_QUOTA_STORAGE, offsetof(struct sv_amounts, storage), SV_MAX_QUOTA_STORAGE, true, SV_OF_DISK, -1, false},
    {SV_F_QUOTA_SUBNETS, offsetof(struct sv_amounts, subnets), SV_MAX_QUOTA, false, 0, -1, false},
    {SV_F_QUOTA_IPS, offsetof(struct sv_amounts, ips), SV_MAX_QUOTA, false, 0, -1, false},
    {SV_F_QUOTA_JOBS, offsetof(struct sv_amounts, jobs), SV_MAX_QUOTA, false, 0, SV_DEFAULT_OPEN_JOBS, true},
    {SV_F_QUOTA_IMAGES, offsetof(struct sv_amounts, images), SV_MAX_QUOTA_STORAGE, true, SV_OF_DISK,
     SV_QUOTA_AS_STORAGE, true},
};

static struct sv_dec shown(const struct quota_rule *r, int64_t v)
{
    return r->bytes ? sv_bytes(v, r->how) : sv_dec(v);
}

static int64_t amount(const struct sv_amounts *a, const struct quota_rule *r)
{
    return *(const int64_t *)((const char *)a + r->offset);
}

/* What is asked for, where it says nothing what is there; `had` NULL: the defaults. */
static struct sv_amounts whole_quota(const struct sv_amounts *asked, const struct sv_amounts *had)
{
    struct sv_amounts q = *asked;

    for (size_t i = 0; i < sizeof(quota_rules) / sizeof(quota_rules[0]); i++) {
        const struct quota_rule *r = &quota_rules[i];

        if (amount(asked, r) == SV_QUOTA_UNSAID)
            *(int64_t *)((char *)&q + r->offset) = had ? amount(had, r) : r->fallback;
    }
    return q;
}

/* A quota is -1 (unlimited) or not below what is in use. */
static enum sv_err check_quota(const struct sv_amounts *quota, const struct sv_amounts *used, struct sv_error *err)
{
    for (size_t i = 0; i < sizeof(quota_rules) / sizeof(quota_rules[0]); i++) {
        const struct quota_rule *r = &quota_rules[i];
        const int64_t q = amount(quota, r);
        const int64_t u = used ? amount(used, r) : 0;

        if (q == -1 || (q == r->fallback && q == SV_QUOTA_AS_STORAGE))
            continue;
        if (q < 0 || q > r->max)
            return sv_fail(err, SV_E_PARAM_RANGE, r->field, sv_dec(r->fallback < -1 ? r->fallback : -1).s,
                           shown(r, r->max).s);
        if (q < u && !r->passes)
            return sv_fail(err, SV_E_QUOTA_BELOW_USE, r->field, shown(r, u).s);
    }
    return SV_OK;
}

enum sv_err sv_tenant_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                             const struct sv_tenant_new *in, struct sv_id *ret, char token[SV_TOKEN_TEXT],
                             struct sv_error *err)
{
    const struct sv_tenant t = {.id = sv_id_new(),
                                .name = in->name,
                                .descr = in->descr ? in->descr : "",
                                .created = sv_tx_now(tx),
                                .quota = whole_quota(&in->quota, NULL)};
    struct sv_id token_id;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = sv_check_name(in->name, SV_F_TENANT_NAME, err);
    if (!rc)
        rc = sv_check_descr(in->descr, SV_F_NONE, err);
    if (!rc)
        rc = check_quota(&t.quota, NULL, err);
    if (!rc)
        rc = sv_tenant_insert(tx, &t, err);
    if (!rc)
        rc = sv_token_issue(c, tx, who, t.id.s, SV_ROLE_TENANT, 0, "", &token_id, token, err);
    if (!rc)
        rc = sv_cloud_event(tx, "tenant.create", "tenant", &t.id, &t.id, in->name, err);
    if (!rc)
        *ret = t.id;
    return rc;
}

enum sv_err sv_tenant_find(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_arena *a,
                           struct sv_tenant *ret, struct sv_error *err)
{
    struct sv_id tid;
    enum sv_err rc = sv_check_id(id, SV_E_TENANT_NOT_FOUND, SV_F_TENANT, &tid, err);

    return rc ? rc : sv_tenant_get(tx, sv_scope_of(who), &tid, a, ret, err);
}

enum sv_err sv_tenant_search(struct sv_tx *tx, const struct sv_actor *who, const struct sv_tenant_filter *f,
                             const struct sv_page *p, void (*row)(void *arg, const struct sv_tenant *t), void *arg,
                             uint64_t *ret_total, struct sv_error *err)
{
    const enum sv_err rc = sv_admin_only(who, err);

    return rc ? rc : sv_tenant_list(tx, sv_scope_of(who), f, p, row, arg, ret_total, err);
}

enum sv_err sv_tenant_rename(struct sv_tx *tx, const struct sv_actor *who, const char *id, const char *name,
                             const char *descr, struct sv_error *err)
{
    struct sv_id tid;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = sv_check_id(id, SV_E_TENANT_NOT_FOUND, SV_F_TENANT, &tid, err);
    if (!rc)
        rc = sv_check_name(name, SV_F_TENANT_NAME, err);
    if (!rc)
        rc = sv_check_descr(descr, SV_F_NONE, err);
    return rc ? rc : sv_tenant_update(tx, sv_scope_of(who), &tid, name, descr, err);
}

enum sv_err sv_tenant_remove(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_error *err)
{
    struct sv_id tid;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = sv_check_id(id, SV_E_TENANT_NOT_FOUND, SV_F_TENANT, &tid, err);
    if (!rc)
        rc = sv_tenant_delete(tx, sv_scope_of(who), &tid, err);
    return rc ? rc : sv_cloud_event(tx, "tenant.delete", "tenant", &tid, &tid, "", err);
}

enum sv_err sv_tenant_quota(struct sv_tx *tx, const struct sv_actor *who, const char *id,
                            const struct sv_amounts *quota, struct sv_error *err)
{
    struct sv_tenant t;
    struct sv_amounts q;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = sv_tenant_find(tx, who, id, sv_tx_arena(tx), &t, err);
    if (rc)
        return rc;
    q = whole_quota(quota, &t.quota);
    rc = check_quota(&q, &t.used, err);
    return rc ? rc : sv_tenant_set_quota(tx, sv_scope_of(who), &t.id, &q, err);
}

enum sv_err sv_token_issue(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *tenant,
                           enum sv_role role, int64_t expires, const char *descr, struct sv_id *ret,
                           char token[SV_TOKEN_TEXT], struct sv_error *err)
{
    unsigned char hash[SV_SHA256_LEN];
    struct sv_token t = {
        .id = sv_id_new(), .role = role, .descr = descr ? descr : "", .created = sv_tx_now(tx), .expires = expires};
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = sv_owner(tx, who, tenant, &t.tenant, err);
    (void)c;
    if (!rc)
        rc = sv_check_descr(descr, SV_F_NONE, err);
    if (!rc && role != SV_ROLE_TENANT && role != SV_ROLE_ADMIN)
        rc = sv_fail(err, SV_E_PARAM_ENUM, SV_F_TOKEN_ROLE);
    if (!rc && expires && expires <= sv_tx_now(tx))
        rc = sv_fail(err, SV_E_PARAM_RANGE, SV_F_TOKEN_EXPIRY, "a time to come");
    if (rc)
        return rc;
    sv_token_make(token, hash);
    rc = sv_token_insert(tx, &t, hash, err);
    if (!rc)
        *ret = t.id;
    return rc;
}

struct admin_tokens {
    const struct sv_id *except;
    int64_t now;
    unsigned others;
    bool is_admin;
};

static void count_admin(void *arg, const struct sv_token *t)
{
    struct admin_tokens *n = arg;

    if (t->role != SV_ROLE_ADMIN)
        return;
    if (sv_id_eq(&t->id, n->except))
        n->is_admin = true;
    else if (!t->expires || t->expires > n->now)
        n->others++;
}

/* Without this an admin could lock everybody out; the file admin.token holds only the program's own. */
enum sv_err sv_token_revoke(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_error *err)
{
    struct sv_id tid, none = {.s = ""};
    struct admin_tokens n = {.except = &tid, .now = sv_tx_now(tx)};
    const struct sv_page all = {0};
    uint64_t total;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = sv_check_id(id, SV_E_TOKEN_NOT_FOUND, SV_F_TOKEN, &tid, err);
    if (!rc)
        rc = sv_token_list(tx, sv_scope_system(), &none, &all, count_admin, &n, &total, err);
    if (!rc && n.is_admin && n.others == 0)
        rc = sv_fail(err, SV_E_TOKEN_LAST_ADMIN, SV_F_TOKEN);
    return rc ? rc : sv_token_delete(tx, sv_scope_of(who), &tid, err);
}

enum sv_err sv_token_search(struct sv_tx *tx, const struct sv_actor *who, const char *tenant, const struct sv_page *p,
                            void (*row)(void *arg, const struct sv_token *t), void *arg, uint64_t *ret_total,
                            struct sv_error *err)
{
    struct sv_id of = {.s = ""};
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc && tenant)
        rc = sv_owner(tx, who, tenant, &of, err);
    return rc ? rc : sv_token_list(tx, sv_scope_of(who), &of, p, row, arg, ret_total, err);
}
