/* Storage rows. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_catalog.h"

#define COLS "id, host_id, name, descr, type, location, size, used, created"

enum { INSERT, FIND, GET, OF_HOST, SET_USAGE };

static const char *const sql[] = {
    [INSERT] = "INSERT INTO storage(" COLS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [FIND] = "SELECT id FROM storage WHERE host_id = ?1 AND location = ?2",
    [GET] = "SELECT " COLS " FROM storage WHERE id = ?1",
    [OF_HOST] = "SELECT id FROM storage WHERE host_id = ?1 ORDER BY created, id LIMIT 1",
    [SET_USAGE] = "UPDATE storage SET size = ?2, used = ?3 WHERE id = ?1",
};
SV_SQL_TABLE(sv_sql_storage, "storage", sql);

enum sv_err sv_storage_ensure(struct sv_tx *tx, const struct sv_storage *s, struct sv_id *ret_id, struct sv_error *err)
{
    SV_STMT find = sv_stmt(tx, &sv_sql_storage, FIND);
    SV_STMT st = sv_stmt(tx, &sv_sql_storage, INSERT);
    bool row;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(find, "dt", &s->host, s->location);
    rc = sv_step(tx, find, &row, err);
    if (rc)
        return rc;
    if (row) {
        *ret_id = sv_col_id(find, 0);
        return SV_OK;
    }
    sv_bind(st, "ddttttiii", &s->id, &s->host, s->name, s->descr, s->type, s->location, s->size, s->used, s->created);
    rc = sv_exec(tx, st, NULL, err);
    if (!rc)
        *ret_id = s->id;
    return rc;
}

enum sv_err sv_storage_get(struct sv_tx *tx, const struct sv_id *id, struct sv_arena *a, struct sv_storage *ret,
                           struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_storage, GET);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", id);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_STORAGE_NOT_FOUND, SV_F_STORAGE);
    *ret = (struct sv_storage){.id = sv_col_id(st, 0),
                               .host = sv_col_id(st, 1),
                               .name = sv_arena_strdup(a, sv_col_text(st, 2)),
                               .descr = sv_arena_strdup(a, sv_col_text(st, 3)),
                               .type = sv_arena_strdup(a, sv_col_text(st, 4)),
                               .location = sv_arena_strdup(a, sv_col_text(st, 5)),
                               .size = sv_col_int(st, 6),
                               .used = sv_col_int(st, 7),
                               .created = sv_col_int(st, 8)};
    return SV_OK;
}

enum sv_err sv_storage_of_host(struct sv_tx *tx, const struct sv_id *host, struct sv_id *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_storage, OF_HOST);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", host);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_STORAGE_NOT_FOUND, SV_F_STORAGE);
    *ret = sv_col_id(st, 0);
    return SV_OK;
}

enum sv_err sv_storage_set_usage(struct sv_tx *tx, const struct sv_id *id, int64_t size, int64_t used,
                                 struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_storage, SET_USAGE);

    assert(tx->writable);
    sv_bind(st, "dii", id, size, used);
    return sv_exec(tx, st, NULL, err);
}
