/* Tenants, their tokens and quotas (design section 3; StarVCenter 2.1, 2.10). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/internal.h"
#include "core/sync.h"
#include "starvirt/mem.h"
#include "starvirt/text.h"

enum { TOKEN_BYTES = 32 };
/* [ms] last use of a token is for people: a minute's precision keeps reads from writing. */
enum { TOUCH_EVERY_MS = 60 * 1000 };

static void token_make(char text[SV_TOKEN_TEXT], unsigned char hash[SV_SHA256_LEN])
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
    if (sv_tx_now(tx) - t.last_used > TOUCH_EVERY_MS)
        sv_sync_token_used(c, &t.id);
    *ret = (struct sv_actor){.role = t.role, .tenant = t.tenant, .token = t.id};
    return SV_OK;
}

enum sv_err sv_owner(struct sv_tx *tx, const struct sv_actor *who, const char *tenant, struct sv_id *ret,
                     struct sv_error *err)
{
    struct sv_tenant t;
    struct sv_id id;
    enum sv_err rc;

    if (!tenant) {
        *ret = who->tenant;
        return SV_OK;
    }
    rc = sv_check_id(tenant, SV_E_TENANT_NOT_FOUND, SV_F_TENANT, &id, err);
    if (!rc)
        rc = sv_tenant_get(tx, sv_scope_of(who), &id, sv_tx_arena(tx), &t, err);
    if (!rc)
        *ret = id;
    return rc;
}

struct quota_rule {
    enum sv_field field;
    size_t offset; /* into struct sv_amounts */
    int64_t unit;  /* wire unit in core units */
};
static const struct quota_rule quota_rules[] = {
    {SV_F_QUOTA_VCPUS, offsetof(struct sv_amounts, vcpus), 1},
    {SV_F_QUOTA_MEMORY, offsetof(struct sv_amounts, memory), SV_MIB},
    {SV_F_QUOTA_STORAGE, offsetof(struct sv_amounts, storage), SV_GIB},
    {SV_F_QUOTA_SUBNETS, offsetof(struct sv_amounts, subnets), 1},
    {SV_F_QUOTA_IPS, offsetof(struct sv_amounts, ips), 1},
};

static int64_t amount(const struct sv_amounts *a, const struct quota_rule *r)
{
    return *(const int64_t *)((const char *)a + r->offset);
}

/* A quota is -1 (unlimited) or not below what is in use. */
static enum sv_err check_quota(const struct sv_amounts *quota, const struct sv_amounts *used, struct sv_error *err)
{
    for (size_t i = 0; i < sizeof(quota_rules) / sizeof(quota_rules[0]); i++) {
        const struct quota_rule *r = &quota_rules[i];
        const int64_t q = amount(quota, r);
        const int64_t u = used ? amount(used, r) : 0;

        if (q == -1)
            continue;
        if (q < 0 || q / r->unit > SV_MAX_QUOTA) {
            char allowed[64];

            snprintf(allowed, sizeof(allowed), "-1 (unlimited), 0-%lld", SV_MAX_QUOTA);
            return sv_fail(err, SV_E_PARAM_RANGE, r->field, allowed);
        }
        if (q < u)
            return sv_fail(err, SV_E_QUOTA_BELOW_USE, r->field, sv_dec((u + r->unit - 1) / r->unit).s);
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
                                .quota = in->quota};
    struct sv_id token_id;
    enum sv_err rc = sv_check_name(in->name, SV_F_TENANT_NAME, err);

    if (!rc)
        rc = sv_check_descr(in->descr, SV_F_NONE, err);
    if (!rc)
        rc = check_quota(&in->quota, NULL, err);
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

enum sv_err sv_tenant_rename(struct sv_tx *tx, const struct sv_actor *who, const char *id, const char *name,
                             const char *descr, struct sv_error *err)
{
    struct sv_id tid;
    enum sv_err rc = sv_check_id(id, SV_E_TENANT_NOT_FOUND, SV_F_TENANT, &tid, err);

    if (!rc)
        rc = sv_check_name(name, SV_F_TENANT_NAME, err);
    if (!rc)
        rc = sv_check_descr(descr, SV_F_NONE, err);
    return rc ? rc : sv_tenant_update(tx, sv_scope_of(who), &tid, name, descr, err);
}

enum sv_err sv_tenant_remove(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_error *err)
{
    struct sv_id tid;
    enum sv_err rc = sv_check_id(id, SV_E_TENANT_NOT_FOUND, SV_F_TENANT, &tid, err);

    if (!rc)
        rc = sv_tenant_delete(tx, sv_scope_of(who), &tid, err);
    return rc ? rc : sv_cloud_event(tx, "tenant.delete", "tenant", &tid, &tid, "", err);
}

enum sv_err sv_tenant_quota(struct sv_tx *tx, const struct sv_actor *who, const char *id,
                            const struct sv_amounts *quota, struct sv_error *err)
{
    struct sv_tenant t;
    enum sv_err rc = sv_tenant_find(tx, who, id, sv_tx_arena(tx), &t, err);

    if (!rc)
        rc = check_quota(quota, &t.used, err);
    return rc ? rc : sv_tenant_set_quota(tx, sv_scope_of(who), &t.id, quota, err);
}

enum sv_err sv_token_issue(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *tenant,
                           enum sv_role role, int64_t expires, const char *descr, struct sv_id *ret,
                           char token[SV_TOKEN_TEXT], struct sv_error *err)
{
    unsigned char hash[SV_SHA256_LEN];
    struct sv_token t = {
        .id = sv_id_new(), .role = role, .descr = descr ? descr : "", .created = sv_tx_now(tx), .expires = expires};
    enum sv_err rc = sv_owner(tx, who, tenant, &t.tenant, err);

    (void)c;
    if (!rc)
        rc = sv_check_descr(descr, SV_F_NONE, err);
    if (!rc && expires && expires <= sv_tx_now(tx))
        rc = sv_fail(err, SV_E_PARAM_RANGE, SV_F_TOKEN_EXPIRY, "a time to come");
    if (rc)
        return rc;
    token_make(token, hash);
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

/* Without this an admin could lock everybody out; the file admin.token holds only the first one. */
enum sv_err sv_token_revoke(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_error *err)
{
    struct sv_id tid, none = {.s = ""};
    struct admin_tokens n = {.except = &tid, .now = sv_tx_now(tx)};
    const struct sv_page all = {0};
    uint64_t total;
    enum sv_err rc = sv_check_id(id, SV_E_TOKEN_NOT_FOUND, SV_F_TOKEN, &tid, err);

    if (!rc)
        rc = sv_token_list(tx, sv_scope_system(), &none, &all, count_admin, &n, &total, err);
    if (!rc && n.is_admin && n.others == 0)
        rc = sv_fail(err, SV_E_TOKEN_LAST_ADMIN, SV_F_TOKEN);
    return rc ? rc : sv_token_delete(tx, sv_scope_of(who), &tid, err);
}

/* --- first start ------------------------------------------------------------------------------------ */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static enum sv_err write_token_file(const char *dir, const char *text, struct sv_error *err)
{
    SV_AUTOFREE char *path = sv_asprintf("%s/admin.token", dir);
    SV_AUTOFREE char *temp = sv_asprintf("%s/admin.token.new", dir);
    SV_CLEANUP(close_fd) int fd = -1;

    unlink(temp); /* of a start that broke off, or planted: never written into */
    fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || dprintf(fd, "%s\n", text) < 0 || fsync(fd) < 0 || rename(temp, path) < 0)
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "admin.token", strerror(errno));
    return SV_OK;
}

struct admin_search {
    struct sv_id id; /* empty: there is none yet */
};

static void see_admin(void *arg, const struct sv_tenant *t)
{
    struct admin_search *s = arg;

    if (t->is_admin && sv_id_empty(&s->id))
        s->id = t->id;
}

/* The file is written before the commit: a crash between leaves a file that a next start replaces,
 * never an admin without a token. */
enum sv_err sv_tenant_first(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_cloud *c = arg;
    const struct sv_amounts unlimited = {-1, -1, -1, -1, -1};
    const struct sv_tenant t = {.id = sv_id_new(),
                                .name = "admin",
                                .descr = "",
                                .is_admin = true,
                                .created = sv_tx_now(tx),
                                .quota = unlimited};
    const struct sv_token k = {
        .id = sv_id_new(), .tenant = t.id, .role = SV_ROLE_ADMIN, .descr = "first start", .created = sv_tx_now(tx)};
    const struct sv_tenant_filter any = {.name = NULL};
    const struct sv_page all = {0};
    struct admin_search search = {.id = {.s = ""}};
    unsigned char hash[SV_SHA256_LEN];
    char text[SV_TOKEN_TEXT];
    uint64_t total;
    enum sv_err rc = sv_tenant_list(tx, sv_scope_system(), &any, &all, see_admin, &search, &total, err);

    c->admin = sv_id_empty(&search.id) ? t.id : search.id;
    if (rc || !sv_id_empty(&search.id))
        return rc;
    token_make(text, hash);
    rc = sv_tenant_insert(tx, &t, err);
    if (!rc)
        rc = sv_token_insert(tx, &k, hash, err);
    return rc ? rc : write_token_file(c->data_dir, text, err);
}
