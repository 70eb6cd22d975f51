/* Leftovers of gone objects on hosts that could not be reached. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_leftover.h"

enum { ADD, LIST, DELETE };

static const char *const sql[] = {
    [ADD] = "INSERT INTO leftover(host_id, kind, object_id, vm_id) VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
    [LIST] = "SELECT kind, object_id, vm_id FROM leftover WHERE host_id = ?1 ORDER BY kind, object_id",
    [DELETE] = "DELETE FROM leftover WHERE host_id = ?1 AND kind = ?2 AND object_id = ?3",
};
SV_SQL_TABLE(sv_sql_leftover, "leftover", sql);

enum sv_err sv_leftover_add(struct sv_tx *tx, const struct sv_leftover *l, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_leftover, ADD);

    assert(tx->writable);
    sv_bind(st, "dIdd", &l->host, (int)l->kind, &l->object, &l->vm);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_leftover_delete(struct sv_tx *tx, const struct sv_leftover *l, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_leftover, DELETE);

    assert(tx->writable);
    sv_bind(st, "dId", &l->host, (int)l->kind, &l->object);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_leftover_list(struct sv_tx *tx, const struct sv_id *host,
                             void (*row)(void *arg, const struct sv_leftover *l), void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_leftover, LIST);
    bool more;
    enum sv_err rc;

    sv_bind(st, "d", host);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_leftover l = {.host = *host,
                                      .kind = (enum sv_leftover_kind)sv_col_int(st, 0),
                                      .object = sv_col_id(st, 1),
                                      .vm = sv_col_id(st, 2)};

        row(arg, &l);
    }
    return rc;
}
