/* Events: every state change, numbered. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_job.h"

#define COLS "seq, time, type, object_type, object_id, tenant_id, content"

enum { ADD, LIST_ALL, LIST_TENANT, LAST, EXPIRE };

static const char *const sql[] = {
    [ADD] = "INSERT INTO event(time, type, object_type, object_id, tenant_id, content) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [LIST_ALL] = "SELECT " COLS " FROM event WHERE seq > ?1 AND ?3 = '' ORDER BY seq LIMIT ?2",
    [LIST_TENANT] = "SELECT " COLS " FROM event WHERE tenant_id = ?3 AND seq > ?1 ORDER BY seq LIMIT ?2",
    [LAST] = "SELECT coalesce(max(seq), 0) FROM event",
    [EXPIRE] = ("DELETE FROM event WHERE seq IN (SELECT seq FROM (SELECT seq, time FROM event ORDER BY seq LIMIT ?2)"
                " WHERE time < ?1) AND seq < (SELECT max(seq) FROM event)"),
};
SV_SQL_TABLE(sv_sql_event, "event", sql);

enum sv_err sv_event_add(struct sv_tx *tx, const struct sv_event *e, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_event, ADD);

    assert(tx->writable);
    sv_bind(st, "ittddt", tx->now, e->type, e->object_type, &e->object, &e->tenant, e->content);
    sv_tx_events_added(tx);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_event_list(struct sv_tx *tx, struct sv_scope scope, int64_t after_seq, unsigned limit,
                          void (*row)(void *arg, const struct sv_event *e), void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_event, sv_id_empty(&scope.tenant) ? LIST_ALL : LIST_TENANT);
    bool more;
    enum sv_err rc;

    sv_bind(st, "iid", after_seq, limit ? (int64_t)limit : -1, &scope.tenant);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_event e = {.seq = sv_col_int(st, 0),
                                   .time = sv_col_int(st, 1),
                                   .type = sv_col_text(st, 2),
                                   .object_type = sv_col_text(st, 3),
                                   .object = sv_col_id(st, 4),
                                   .tenant = sv_col_id(st, 5),
                                   .content = sv_col_text(st, 6)};

        row(arg, &e);
    }
    return rc;
}

enum sv_err sv_event_last(struct sv_tx *tx, int64_t *ret_seq, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_event, LAST);
    bool row;
    enum sv_err rc = sv_step(tx, st, &row, err);

    if (!rc)
        *ret_seq = sv_col_int(st, 0);
    return rc;
}

enum sv_err sv_event_expire(struct sv_tx *tx, int64_t older_than, struct sv_error *err)
{
    return sv_expire(tx, &sv_sql_event, EXPIRE, older_than, sv_event_expire, err);
}
