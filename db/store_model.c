/* Models and model types. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_catalog.h"

#define MODEL_COLS "id, type, value, label, descr, template_id, sysdisk"

enum {
    INSERT_TYPE,
    INSERT,
    VALUE_USED,
    TYPE_THERE,
    GET,
    BIND,
    TYPES,
    MODELS,
    BY_ID,
    TYPE_BY_ID,
    VMS,
    MODELS_OF,
    DELETE,
    DELETE_TYPE
};

static const char *const sql[] = {
    [INSERT_TYPE] = "INSERT INTO model_type(id, value, label, descr) VALUES(?1, ?2, ?3, ?4)",
    [INSERT] = "INSERT INTO model(" MODEL_COLS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [VALUE_USED] = "SELECT 1 FROM model WHERE value = ?1 UNION ALL SELECT 1 FROM model_type WHERE value = ?1 LIMIT 1",
    [TYPE_THERE] = "SELECT 1 FROM model_type WHERE value = ?1",
    [GET] = "SELECT " MODEL_COLS " FROM model WHERE value = ?1",
    [BIND] = "UPDATE model SET template_id = ?2, sysdisk = ?3 WHERE value = ?1",
    [TYPES] = "SELECT id, value, label, descr FROM model_type ORDER BY seq",
    [MODELS] = "SELECT " MODEL_COLS " FROM model WHERE type = ?1 ORDER BY seq",
    [BY_ID] = "SELECT value FROM model WHERE id = ?1",
    [TYPE_BY_ID] = "SELECT value FROM model_type WHERE id = ?1",
    [VMS] = "SELECT count(*) FROM vm WHERE model = ?1 AND model <> '' AND state <> 6",
    [MODELS_OF] = "SELECT count(*) FROM model WHERE type = ?1",
    [DELETE] = "DELETE FROM model WHERE id = ?1",
    [DELETE_TYPE] = "DELETE FROM model_type WHERE id = ?1",
};
SV_SQL_TABLE(sv_sql_model, "model", sql);

static void read_model(sqlite3_stmt *st, struct sv_model *m)
{
    *m = (struct sv_model){.id = sv_col_id(st, 0),
                           .type = sv_col_text(st, 1),
                           .value = sv_col_text(st, 2),
                           .label = sv_col_text(st, 3),
                           .descr = sv_col_text(st, 4),
                           .template_id = sv_col_id(st, 5),
                           .sysdisk = sv_col_int(st, 6)};
}

/* One row or none for a single text; the column's integer or text is read by the caller before `st` ends. */
static enum sv_err ask(struct sv_tx *tx, sqlite3_stmt *st, const char *arg, bool *ret_row, struct sv_error *err)
{
    sv_bind(st, "t", arg);
    return sv_step(tx, st, ret_row, err);
}

static enum sv_err check_value_free(struct sv_tx *tx, const char *value, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_model, VALUE_USED);
    bool row;
    enum sv_err rc = ask(tx, st, value, &row, err);

    return rc ? rc : row ? sv_fail(err, SV_E_MODEL_EXISTS, SV_F_MODEL_VALUE, value) : SV_OK;
}

enum sv_err sv_model_type_insert(struct sv_tx *tx, const struct sv_model_type *t, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_model, INSERT_TYPE);
    enum sv_err rc = check_value_free(tx, t->value, err);

    assert(tx->writable);
    sv_bind(st, "dttt", &t->id, t->value, t->label, t->descr);
    return rc ? rc : sv_exec(tx, st, NULL, err);
}

enum sv_err sv_model_insert(struct sv_tx *tx, const struct sv_model *m, struct sv_error *err)
{
    SV_STMT type = sv_stmt(tx, &sv_sql_model, TYPE_THERE);
    SV_STMT st = sv_stmt(tx, &sv_sql_model, INSERT);
    bool row;
    enum sv_err rc = ask(tx, type, m->type, &row, err);

    assert(tx->writable);
    if (!rc && !row)
        rc = sv_fail(err, SV_E_MODEL_TYPE_NOT_FOUND, SV_F_MODEL_TYPE, m->type);
    if (!rc)
        rc = check_value_free(tx, m->value, err);
    sv_bind(st, "dttttDi", &m->id, m->type, m->value, m->label, m->descr, &m->template_id, m->sysdisk);
    return rc ? rc : sv_exec(tx, st, NULL, err);
}

enum sv_err sv_model_get(struct sv_tx *tx, const char *value, struct sv_arena *a, struct sv_model *ret,
                         struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_model, GET);
    bool row;
    enum sv_err rc = ask(tx, st, value, &row, err);

    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_MODEL_NOT_FOUND, SV_F_MODEL, value);
    read_model(st, ret);
    ret->type = sv_arena_strdup(a, ret->type);
    ret->value = sv_arena_strdup(a, ret->value);
    ret->label = sv_arena_strdup(a, ret->label);
    ret->descr = sv_arena_strdup(a, ret->descr);
    return SV_OK;
}

enum sv_err sv_model_bind(struct sv_tx *tx, const char *value, const struct sv_id *template_id, int64_t sysdisk,
                          struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_model, BIND);
    int n;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "tDi", value, template_id, sysdisk);
    rc = sv_exec(tx, st, &n, err);
    return rc ? rc : n ? SV_OK : sv_fail(err, SV_E_MODEL_NOT_FOUND, SV_F_MODEL, value);
}

enum sv_err sv_model_list(struct sv_tx *tx,
                          void (*row)(void *arg, const struct sv_model_type *t, const struct sv_model *m), void *arg,
                          struct sv_error *err)
{
    SV_STMT types = sv_stmt(tx, &sv_sql_model, TYPES);
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, types, &more, err)) && more) {
        const struct sv_model_type t = {.id = sv_col_id(types, 0),
                                        .value = sv_col_text(types, 1),
                                        .label = sv_col_text(types, 2),
                                        .descr = sv_col_text(types, 3)};
        SV_STMT models = sv_stmt(tx, &sv_sql_model, MODELS);
        bool one;

        row(arg, &t, NULL);
        sv_bind(models, "t", t.value);
        while (!(rc = sv_step(tx, models, &one, err)) && one) {
            struct sv_model m;

            read_model(models, &m);
            row(arg, &t, &m);
        }
        if (rc)
            return rc;
    }
    return rc;
}

/* Deletes by id from one of the two tables unless `users` counts any. */
static enum sv_err delete_unused(struct sv_tx *tx, unsigned by_id, unsigned users, unsigned delete,
                                 const struct sv_id *id, bool *ret_found, struct sv_error *err)
{
    SV_STMT find = sv_stmt(tx, &sv_sql_model, by_id);
    SV_STMT count = sv_stmt(tx, &sv_sql_model, users);
    SV_STMT st = sv_stmt(tx, &sv_sql_model, delete);
    const char *value;
    bool row;
    enum sv_err rc = ask(tx, find, id->s, ret_found, err);

    if (rc || !*ret_found)
        return rc;
    value = sv_arena_strdup(tx->arena, sv_col_text(find, 0));
    rc = ask(tx, count, value, &row, err);
    if (!rc && sv_col_int(count, 0))
        rc = sv_fail(err, SV_E_MODEL_IN_USE, SV_F_MODEL, value);
    sv_bind(st, "d", id);
    return rc ? rc : sv_exec(tx, st, NULL, err);
}

enum sv_err sv_model_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    bool found;
    enum sv_err rc;

    assert(tx->writable);
    rc = delete_unused(tx, BY_ID, VMS, DELETE, id, &found, err);
    if (!rc && !found)
        rc = delete_unused(tx, TYPE_BY_ID, MODELS_OF, DELETE_TYPE, id, &found, err);
    return rc ? rc : found ? SV_OK : sv_fail(err, SV_E_MODEL_NOT_FOUND, SV_F_MODEL, id->s);
}
