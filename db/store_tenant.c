/* Tenants and their quota counters. */
#include <assert.h>
#include <stdio.h>

#include "db/internal.h"
#include "starvirt/limits.h"
#include "starvirt/store_tenant.h"

#define COLS                                                                                                           \
    "id, name, descr, is_admin, created, quota_vcpus, quota_memory, quota_storage, quota_subnets, quota_ips,"          \
    " used_vcpus, used_memory, used_storage, used_subnets, used_ips, vm_count, quota_jobs,"                            \
    " coalesce((SELECT open FROM job_count WHERE tenant_id = tenant.id), 0), quota_images, used_images"
#define QUOTA_IMAGES "(CASE quota_images WHEN -2 THEN quota_storage ELSE quota_images END)" /* SV_QUOTA_AS_STORAGE */

enum {
    INSERT,
    GET,
    GET_SCOPED,
    PAGE,
    COUNT,
    SCAN,
    UPDATE,
    SET_QUOTA,
    RESERVE,
    BOOK_IMAGES,
    OWNS,
    DELETE_TOKENS,
    DELETE_IDEM,
    DELETE_AFFINITIES,
    DELETE
};

static const char *const sql[] = {
    [INSERT] = "INSERT INTO tenant(id, name, descr, is_admin, created, quota_vcpus, quota_memory, quota_storage, "
               "quota_subnets,"
               " quota_ips, quota_jobs, quota_images) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    [GET] = "SELECT " COLS " FROM tenant WHERE id = ?1",
    [GET_SCOPED] = "SELECT " COLS " FROM tenant WHERE id = ?1 AND id = ?2",
    [PAGE] = "SELECT " COLS " FROM tenant ORDER BY created, id LIMIT ?1 OFFSET ?2",
    [COUNT] = "SELECT count(*) FROM tenant",
    [SCAN] = "SELECT id, name FROM tenant ORDER BY created, id",
    [UPDATE] = "UPDATE tenant SET name = coalesce(?2, name), descr = coalesce(?3, descr) WHERE id = ?1",
    [SET_QUOTA] =
        "UPDATE tenant SET quota_vcpus = ?2, quota_memory = ?3, quota_storage = ?4, quota_subnets = ?5, quota_ips = ?6,"
        " quota_jobs = ?7, quota_images = ?8 WHERE id = ?1",
    /* one statement decides and takes: what only gives back is never refused */
    [RESERVE] = "UPDATE tenant SET used_vcpus = used_vcpus + ?2, used_memory = used_memory + ?3, used_storage = "
                "used_storage + ?4,"
                " used_subnets = used_subnets + ?5, used_ips = used_ips + ?6, used_images = used_images + ?7"
                " WHERE id = ?1"
                " AND (?2 <= 0 OR quota_vcpus < 0 OR used_vcpus + ?2 <= quota_vcpus)"
                " AND (?3 <= 0 OR quota_memory < 0 OR used_memory + ?3 <= quota_memory)"
                " AND (?4 <= 0 OR quota_storage < 0 OR used_storage + ?4 <= quota_storage)"
                " AND (?5 <= 0 OR quota_subnets < 0 OR used_subnets + ?5 <= quota_subnets)"
                " AND (?6 <= 0 OR quota_ips < 0 OR used_ips + ?6 <= quota_ips)"
                " AND (?7 <= 0 OR " QUOTA_IMAGES " < 0 OR used_images + ?7 <= " QUOTA_IMAGES ")",
    [BOOK_IMAGES] = "UPDATE tenant SET used_images = used_images + ?2 WHERE id = ?1",
    [OWNS] = "SELECT (SELECT count(*) FROM vm WHERE tenant_id = ?1), (SELECT count(*) FROM vpc WHERE tenant_id = ?1),"
             " (SELECT count(*) FROM template WHERE tenant_id = ?1), (SELECT count(*) FROM disk WHERE tenant_id = ?1),"
             " (SELECT count(*) FROM backup WHERE tenant_id = ?1), (SELECT count(*) FROM router WHERE tenant_id = ?1)",
    [DELETE_AFFINITIES] = "DELETE FROM affinity WHERE tenant_id = ?1",
    [DELETE_TOKENS] = "DELETE FROM token WHERE tenant_id = ?1",
    [DELETE_IDEM] = "DELETE FROM idem WHERE tenant_id = ?1",
    [DELETE] = "DELETE FROM tenant WHERE id = ?1",
};
SV_SQL_TABLE(sv_sql_tenant, "tenant", sql);

static void read_row(sqlite3_stmt *st, struct sv_tenant *t)
{
    *t = (struct sv_tenant){.id = sv_col_id(st, 0),
                            .name = sv_col_text(st, 1),
                            .descr = sv_col_text(st, 2),
                            .is_admin = sv_col_int(st, 3) != 0,
                            .created = sv_col_int(st, 4),
                            .quota = {sv_col_int(st, 5), sv_col_int(st, 6), sv_col_int(st, 7), sv_col_int(st, 8),
                                      sv_col_int(st, 9), sv_col_int(st, 16), sv_col_int(st, 18)},
                            .used = {sv_col_int(st, 10), sv_col_int(st, 11), sv_col_int(st, 12), sv_col_int(st, 13),
                                     sv_col_int(st, 14), sv_col_int(st, 17), sv_col_int(st, 19)},
                            .vm_count = sv_col_int(st, 15)};
}

enum sv_err sv_tenant_insert(struct sv_tx *tx, const struct sv_tenant *t, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_tenant, INSERT);
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "dttIiiiiiiii", &t->id, t->name, t->descr, (int)t->is_admin, t->created, t->quota.vcpus,
            t->quota.memory, t->quota.storage, t->quota.subnets, t->quota.ips, t->quota.jobs, t->quota.images);
    rc = sv_exec(tx, st, NULL, err);
    return rc && sv_is_conflict(tx) ? sv_fail(err, SV_E_TENANT_NAME_TAKEN, SV_F_TENANT_NAME, t->name) : rc;
}

enum sv_err sv_tenant_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                          struct sv_tenant *ret, struct sv_error *err)
{
    const bool all = sv_id_empty(&scope.tenant);
    SV_STMT st = sv_stmt(tx, &sv_sql_tenant, all ? GET : GET_SCOPED);
    bool row;
    enum sv_err rc;

    sv_bind(st, all ? "d" : "dd", id, &scope.tenant);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_TENANT_NOT_FOUND, SV_F_TENANT);
    read_row(st, ret);
    ret->name = sv_arena_strdup(a, ret->name);
    ret->descr = sv_arena_strdup(a, ret->descr);
    return SV_OK;
}

/* --- lists ------------------------------------------------------------------------------------------ */

typedef void (*row_fn)(void *arg, const struct sv_tenant *t);

/* One tenant at most: a scope's own, or one that is named. */
static enum sv_err list_one(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id,
                            const struct sv_match *name, const struct sv_page *p, row_fn row, void *arg,
                            uint64_t *ret_total, struct sv_error *err)
{
    struct sv_tenant t = {.name = ""};
    struct sv_error why;
    enum sv_err rc = sv_tenant_get(tx, scope, id, tx->arena, &t, &why);

    if (rc && rc != SV_E_TENANT_NOT_FOUND) {
        if (err)
            *err = why;
        return rc;
    }
    *ret_total = !rc && sv_match_text(name, t.name);
    if (*ret_total && p->offset == 0)
        row(arg, &t);
    return SV_OK;
}

static enum sv_err list_page(struct sv_tx *tx, const struct sv_page *p, row_fn row, void *arg, uint64_t *ret_total,
                             struct sv_error *err)
{
    SV_STMT count = sv_stmt(tx, &sv_sql_tenant, COUNT);
    SV_STMT st = sv_stmt(tx, &sv_sql_tenant, PAGE);
    bool more;
    enum sv_err rc = sv_step(tx, count, &more, err);

    if (rc)
        return rc;
    *ret_total = (uint64_t)sv_col_int(count, 0);
    sv_bind(st, "ii", sv_page_limit(p), (int64_t)p->offset);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_tenant t;

        read_row(st, &t);
        row(arg, &t);
    }
    return rc;
}

static enum sv_err search(struct sv_tx *tx, const struct sv_match *name, const struct sv_page *p, row_fn row, void *arg,
                          uint64_t *ret_total, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_tenant, SCAN);
    uint64_t n = 0;
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_id id;
        struct sv_tenant t;

        if (!sv_match_col(name, st, 1) || !sv_on_page(p, n++))
            continue;
        id = sv_col_id(st, 0);
        rc = sv_tenant_get(tx, sv_scope_system(), &id, tx->arena, &t, err);
        if (rc)
            return rc;
        row(arg, &t);
    }
    if (!rc)
        *ret_total = n;
    return rc;
}

enum sv_err sv_tenant_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_tenant_filter *f,
                           const struct sv_page *p, row_fn row, void *arg, uint64_t *ret_total, struct sv_error *err)
{
    const struct sv_match name = sv_match_of(tx, f->name);

    if (!sv_id_empty(&f->id))
        return list_one(tx, scope, &f->id, &name, p, row, arg, ret_total, err);
    if (!sv_id_empty(&scope.tenant))
        return list_one(tx, scope, &scope.tenant, &name, p, row, arg, ret_total, err);
    if (name.n == 0)
        return list_page(tx, p, row, arg, ret_total, err);
    return search(tx, &name, p, row, arg, ret_total, err);
}

/* --- changes ---------------------------------------------------------------------------------------- */

/* A tenant outside the scope is not there. */
static bool outside(struct sv_scope scope, const struct sv_id *id)
{
    return !sv_id_empty(&scope.tenant) && !sv_id_eq(&scope.tenant, id);
}

static enum sv_err changed_one(struct sv_tx *tx, sqlite3_stmt *st, struct sv_error *err)
{
    int n;
    enum sv_err rc = sv_exec(tx, st, &n, err);

    return rc ? rc : n ? SV_OK : sv_fail(err, SV_E_TENANT_NOT_FOUND, SV_F_TENANT);
}

enum sv_err sv_tenant_update(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, const char *name,
                             const char *descr, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_tenant, UPDATE);
    enum sv_err rc;

    assert(tx->writable);
    if (outside(scope, id))
        return sv_fail(err, SV_E_TENANT_NOT_FOUND, SV_F_TENANT);
    sv_bind(st, "dTT", id, name, descr);
    rc = changed_one(tx, st, err);
    return rc == SV_E_DB && sv_is_conflict(tx) ? sv_fail(err, SV_E_TENANT_NAME_TAKEN, SV_F_TENANT_NAME, name) : rc;
}

enum sv_err sv_tenant_set_quota(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id,
                                const struct sv_amounts *quota, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_tenant, SET_QUOTA);

    assert(tx->writable);
    if (outside(scope, id))
        return sv_fail(err, SV_E_TENANT_NOT_FOUND, SV_F_TENANT);
    sv_bind(st, "diiiiiii", id, quota->vcpus, quota->memory, quota->storage, quota->subnets, quota->ips, quota->jobs,
            quota->images);
    return changed_one(tx, st, err);
}

struct quota_rule {
    size_t offset;
    bool bytes; /* else counted */
    unsigned how;
    enum sv_err code;
    enum sv_field field;
};
static const struct quota_rule rules[] = {
    {offsetof(struct sv_amounts, vcpus), false, 0, SV_E_QUOTA_VCPUS, SV_F_VCPUS},
    {offsetof(struct sv_amounts, memory), true, 0, SV_E_QUOTA_MEMORY, SV_F_MEMORY},
    {offsetof(struct sv_amounts, storage), true, SV_OF_DISK, SV_E_QUOTA_STORAGE, SV_F_DISK_SIZE},
    {offsetof(struct sv_amounts, images), true, 0, SV_E_QUOTA_IMAGES, SV_F_NONE},
    {offsetof(struct sv_amounts, subnets), false, 0, SV_E_QUOTA_SUBNETS, SV_F_NONE},
    {offsetof(struct sv_amounts, ips), false, 0, SV_E_QUOTA_IPS, SV_F_NONE},
};

static int64_t amount(const struct sv_amounts *a, const struct quota_rule *r)
{
    return *(const int64_t *)((const char *)a + r->offset);
}

static struct sv_dec shown(const struct quota_rule *r, int64_t v, unsigned round)
{
    return r->bytes ? sv_bytes(v, r->how | round) : sv_dec(v);
}

static enum sv_err refuse(const struct sv_tenant *t, const struct sv_amounts *delta, struct sv_error *err)
{
    struct sv_amounts all = t->quota;

    all.images = sv_quota_images(&all);
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        const struct quota_rule *r = &rules[i];
        const int64_t want = amount(delta, r), quota = amount(&all, r), left = quota - amount(&t->used, r);

        if (want > 0 && quota >= 0 && want > left)
            return sv_fail(err, r->code, r->field, shown(r, want, 0).s, shown(r, left > 0 ? left : 0, SV_ROUND_DOWN).s);
    }
    return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, "quota refused without a reason");
}

enum sv_err sv_tenant_reserve(struct sv_tx *tx, const struct sv_id *tenant, const struct sv_amounts *delta,
                              struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_tenant, RESERVE);
    struct sv_tenant t;
    int n;
    enum sv_err rc;

    assert(tx->writable && delta->jobs == 0);
    sv_bind(st, "diiiiii", tenant, delta->vcpus, delta->memory, delta->storage, delta->subnets, delta->ips,
            delta->images);
    rc = sv_exec(tx, st, &n, err);
    if (rc || n)
        return rc;
    rc = sv_tenant_get(tx, sv_scope_system(), tenant, tx->arena, &t, err);
    return rc ? rc : refuse(&t, delta, err);
}

enum sv_err sv_tenant_book_images(struct sv_tx *tx, const struct sv_id *tenant, int64_t bytes, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_tenant, BOOK_IMAGES);

    assert(tx->writable);
    sv_bind(st, "di", tenant, bytes);
    return changed_one(tx, st, err);
}

static enum sv_err check_owns_nothing(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    static const char *const what[] = {"VM", "VPC", "template", "disk", "backup", "router"};
    SV_STMT st = sv_stmt(tx, &sv_sql_tenant, OWNS);
    char text[SV_ERR_ARG_MAX] = "";
    size_t n = 0;
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", id);
    rc = sv_step(tx, st, &row, err);
    if (rc)
        return rc;
    for (int i = 0; i < (int)(sizeof(what) / sizeof(what[0])); i++) {
        const int64_t k = sv_col_int(st, i);

        if (k && n < sizeof(text))
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%lld %s%s", n ? ", " : "", (long long)k, what[i],
                                  k > 1 ? "s" : "");
    }
    return n ? sv_fail(err, SV_E_TENANT_IN_USE, SV_F_TENANT, text) : SV_OK;
}

static enum sv_err delete_from(struct sv_tx *tx, unsigned which, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_tenant, which);

    sv_bind(st, "d", id);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_tenant_delete(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_error *err)
{
    struct sv_tenant t = {.is_admin = false};
    enum sv_err rc = sv_tenant_get(tx, scope, id, tx->arena, &t, err);

    assert(tx->writable);
    if (!rc && t.is_admin)
        rc = sv_fail(err, SV_E_TENANT_IS_ADMIN, SV_F_TENANT);
    if (!rc)
        rc = check_owns_nothing(tx, id, err);
    if (!rc)
        rc = delete_from(tx, DELETE_TOKENS, id, err);
    sv_tx_tokens_gone(tx);
    if (!rc)
        rc = delete_from(tx, DELETE_IDEM, id, err);
    if (!rc)
        rc = delete_from(tx, DELETE_AFFINITIES, id, err);
    return rc ? rc : delete_from(tx, DELETE, id, err);
}
