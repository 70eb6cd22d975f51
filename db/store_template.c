/* Template rows. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_catalog.h"

#define COLS                                                                                                           \
    "t.id, t.tenant_id, t.name, t.descr, t.os, t.format, t.source, t.md5, t.sha256, t.size, t.virtual_size, t.state, " \
    "t.created, t.disks + (SELECT count(*) FROM model m WHERE m.template_id = t.id), t.held, t.error, t.error_args"

enum { INSERT, GET, SCAN_ALL, SCAN_TENANT, HOLD, SET_STATE, SET_SOURCE, SET_FORMAT, SET_FAILED, READY, DELETE };

static const char *const sql[] = {
    [INSERT] = ("INSERT INTO template(id, tenant_id, name, descr, os, format, source, md5, sha256, size, virtual_size, "
                "state, created, held)"
                " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"),
    /* a tenant sees its own and those offered to all */
    [GET] =
        ("SELECT " COLS " FROM template t WHERE t.id = ?1 AND (?2 = '' OR t.tenant_id = ?2 OR t.tenant_id IS NULL)"),
    [SCAN_ALL] = "SELECT id, name FROM template WHERE ?1 = '' ORDER BY created, id",
    [SCAN_TENANT] = ("SELECT id, name, created FROM template WHERE tenant_id = ?1"
                     " UNION ALL SELECT id, name, created FROM template WHERE tenant_id IS NULL ORDER BY created, id"),
    [HOLD] = "UPDATE template SET held = ?2 WHERE id = ?1",
    [SET_STATE] = "UPDATE template SET state = ?2 WHERE id = ?1",
    [SET_SOURCE] = "UPDATE template SET source = ?2 WHERE id = ?1",
    [SET_FORMAT] = "UPDATE template SET format = ?2 WHERE id = ?1",
    [SET_FAILED] = "UPDATE template SET state = 2, error = ?2, error_args = ?3 WHERE id = ?1",
    [READY] =
        "UPDATE template SET state = 1, source = '', size = ?2, virtual_size = ?3, md5 = ?4, sha256 = ?5 WHERE id = ?1",
    [DELETE] = "DELETE FROM template WHERE id = ?1",
};
SV_SQL_TABLE(sv_sql_template, "template", sql);
_Static_assert(SV_TEMPLATE_READY == 1 && SV_TEMPLATE_FAILED == 2, "READY and SET_FAILED name states by number");

static void read_row(struct sv_tx *tx, sqlite3_stmt *st, struct sv_template *t)
{
    *t = (struct sv_template){.id = sv_col_id(st, 0),
                              .tenant = sv_col_id(st, 1),
                              .name = sv_col_text(st, 2),
                              .descr = sv_col_text(st, 3),
                              .os = sv_col_text(st, 4),
                              .format = sv_col_text(st, 5),
                              .source = sv_col_text(st, 6),
                              .md5 = sv_col_text(st, 7),
                              .sha256 = sv_col_text(st, 8),
                              .size = sv_col_int(st, 9),
                              .virtual_size = sv_col_int(st, 10),
                              .state = (enum sv_template_state)sv_col_int(st, 11),
                              .created = sv_col_int(st, 12),
                              .uses = sv_col_int(st, 13),
                              .held = sv_col_int(st, 14),
                              .error_symbol = sv_col_text(st, 15)};
    sv_args_split(tx, sv_col_text(st, 16), t->error_args);
}

enum sv_err sv_template_insert(struct sv_tx *tx, const struct sv_template *t, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_template, INSERT);

    assert(tx->writable);
    sv_bind(st, "dDtttttttiiIii", &t->id, &t->tenant, t->name, t->descr, t->os, t->format, t->source, t->md5, t->sha256,
            t->size, t->virtual_size, (int)t->state, t->created, t->held);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_template_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                            struct sv_template *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_template, GET);
    struct sv_template t;
    bool row;
    enum sv_err rc;

    sv_bind(st, "dd", id, &scope.tenant);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_TEMPLATE_NOT_FOUND, SV_F_TEMPLATE);
    read_row(tx, st, &t);
    t.name = sv_arena_strdup(a, t.name);
    t.descr = sv_arena_strdup(a, t.descr);
    t.os = sv_arena_strdup(a, t.os);
    t.format = sv_arena_strdup(a, t.format);
    t.source = sv_arena_strdup(a, t.source);
    t.md5 = sv_arena_strdup(a, t.md5);
    t.sha256 = sv_arena_strdup(a, t.sha256);
    t.error_symbol = sv_arena_strdup(a, t.error_symbol);
    for (unsigned i = 0; i < SV_ERR_ARGS; i++)
        t.error_args[i] = sv_arena_strdup(a, t.error_args[i]);
    *ret = t;
    return SV_OK;
}

typedef void (*row_fn)(void *arg, const struct sv_template *t);

/* A row that is there goes to the page; ret_total counts it in any case. */
static enum sv_err hand_on(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, const struct sv_page *p,
                           row_fn row, void *arg, uint64_t *total, struct sv_error *err)
{
    struct sv_template t;
    const uint64_t at = (*total)++;
    enum sv_err rc;

    if (!sv_on_page(p, at))
        return SV_OK;
    rc = sv_template_get(tx, scope, id, tx->arena, &t, err);
    if (!rc)
        row(arg, &t);
    return rc;
}

static enum sv_err list_one(struct sv_tx *tx, struct sv_scope scope, const struct sv_template_filter *f,
                            const struct sv_page *p, row_fn row, void *arg, uint64_t *total, struct sv_error *err)
{
    const struct sv_match name = sv_match_of(tx, f->name);
    struct sv_template t = {.name = ""};
    struct sv_error why;
    enum sv_err rc = sv_template_get(tx, scope, &f->id, tx->arena, &t, &why);

    if (rc == SV_E_TEMPLATE_NOT_FOUND || (!rc && !sv_match_text(&name, t.name)))
        return SV_OK;
    if (!rc)
        return hand_on(tx, scope, &f->id, p, row, arg, total, err);
    if (err)
        *err = why;
    return rc;
}

static enum sv_err scan(struct sv_tx *tx, struct sv_scope scope, const struct sv_template_filter *f,
                        const struct sv_page *p, row_fn row, void *arg, uint64_t *total, struct sv_error *err)
{
    const struct sv_match name = sv_match_of(tx, f->name);
    SV_STMT st = sv_stmt(tx, &sv_sql_template, sv_id_empty(&scope.tenant) ? SCAN_ALL : SCAN_TENANT);
    bool more;
    enum sv_err rc;

    sv_bind(st, "d", &scope.tenant);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_id id = sv_col_id(st, 0);

        if (sv_match_col(&name, st, 1))
            rc = hand_on(tx, scope, &id, p, row, arg, total, err);
        if (rc)
            return rc;
    }
    return rc;
}

enum sv_err sv_template_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_template_filter *f,
                             const struct sv_page *p, row_fn row, void *arg, uint64_t *ret_total, struct sv_error *err)
{
    uint64_t total = 0;
    enum sv_err rc = (sv_id_empty(&f->id) ? scan : list_one)(tx, scope, f, p, row, arg, &total, err);

    if (!rc)
        *ret_total = total;
    return rc;
}

static enum sv_err change(struct sv_tx *tx, sqlite3_stmt *st, struct sv_error *err)
{
    int n;
    enum sv_err rc;

    assert(tx->writable);
    rc = sv_exec(tx, st, &n, err);
    return rc ? rc : n ? SV_OK : sv_fail(err, SV_E_TEMPLATE_NOT_FOUND, SV_F_TEMPLATE);
}

enum sv_err sv_template_hold(struct sv_tx *tx, const struct sv_id *id, int64_t bytes, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_template, HOLD);

    sv_bind(st, "di", id, bytes);
    return change(tx, st, err);
}

enum sv_err sv_template_set_state(struct sv_tx *tx, const struct sv_id *id, enum sv_template_state to,
                                  struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_template, SET_STATE);

    sv_bind(st, "dI", id, (int)to);
    return change(tx, st, err);
}

enum sv_err sv_template_set_source(struct sv_tx *tx, const struct sv_id *id, const char *source, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_template, SET_SOURCE);

    assert(tx->writable);
    sv_bind(st, "dt", id, source);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_template_set_format(struct sv_tx *tx, const struct sv_id *id, const char *format, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_template, SET_FORMAT);

    sv_bind(st, "dt", id, format);
    return change(tx, st, err);
}

enum sv_err sv_template_set_failed(struct sv_tx *tx, const struct sv_id *id, const char *symbol,
                                   const char *const args[SV_ERR_ARGS], struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_template, SET_FAILED);

    sv_bind(st, "dtt", id, symbol, sv_args_join(tx, args));
    return change(tx, st, err);
}

enum sv_err sv_template_ready(struct sv_tx *tx, const struct sv_id *id, int64_t size, int64_t virtual_size,
                              const char *md5, const char *sha256, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_template, READY);

    sv_bind(st, "diitt", id, size, virtual_size, md5, sha256);
    return change(tx, st, err);
}

enum sv_err sv_template_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_template, DELETE);

    sv_bind(st, "d", id);
    return change(tx, st, err);
}
