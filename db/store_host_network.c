/* Rows of networks on a physical interface. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_network.h"

#define COLS "id, device, netns, vlan, ready, created"

enum { INSERT, EXISTS, GET, LIST, COUNT, SET_READY, DELETE };

static const char *const sql[] = {
    [INSERT] = "INSERT INTO host_network(" COLS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    /* what stands in the way: itself, its place, or one of the other type */
    [EXISTS] = "SELECT id, vlan FROM host_network WHERE id = ?1 UNION ALL SELECT id, vlan FROM host_network WHERE"
               " netns = ?2 AND device = ?3 AND (vlan = ?4 OR (vlan = 0) <> (?4 = 0)) LIMIT 1",
    [GET] = "SELECT " COLS " FROM host_network WHERE id = ?1",
    [LIST] = "SELECT " COLS " FROM host_network WHERE ready = 1 ORDER BY created, id LIMIT ?1 OFFSET ?2",
    [COUNT] = "SELECT count(*) FROM host_network WHERE ready = 1",
    [SET_READY] = "UPDATE host_network SET ready = ?2 WHERE id = ?1",
    [DELETE] = "DELETE FROM host_network WHERE id = ?1",
};
SV_SQL_TABLE(sv_sql_host_network, "host_network", sql);

static void read_row(sqlite3_stmt *st, struct sv_host_network *n)
{
    *n = (struct sv_host_network){.id = sv_col_id(st, 0),
                                  .device = sv_col_text(st, 1),
                                  .netns = sv_col_text(st, 2),
                                  .vlan = (unsigned)sv_col_int(st, 3),
                                  .ready = sv_col_int(st, 4) != 0,
                                  .created = sv_col_int(st, 5)};
}

static enum sv_err check_free(struct sv_tx *tx, const struct sv_host_network *n, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_host_network, EXISTS);
    bool row;
    enum sv_err rc;

    sv_bind(st, "dttI", &n->id, n->netns, n->device, (int)n->vlan);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc;
    const struct sv_id other = sv_col_id(st, 0);
    const bool flat = sv_col_int(st, 1) == 0;

    if (sv_id_eq(&other, &n->id) || flat == (n->vlan == 0))
        return sv_fail(err, SV_E_HOST_NETWORK_EXISTS, SV_F_NETWORK, other.s);
    return sv_fail(err, SV_E_HOST_NETWORK_CLASH, SV_F_NET_DEVICE, n->device, flat ? "flat" : "vlan");
}

enum sv_err sv_host_network_insert(struct sv_tx *tx, const struct sv_host_network *n, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_host_network, INSERT);
    enum sv_err rc = check_free(tx, n, err);

    assert(tx->writable);
    sv_bind(st, "dttIIi", &n->id, n->device, n->netns, (int)n->vlan, (int)n->ready, n->created);
    return rc ? rc : sv_exec(tx, st, NULL, err);
}

enum sv_err sv_host_network_get(struct sv_tx *tx, const struct sv_id *id, struct sv_arena *a,
                                struct sv_host_network *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_host_network, GET);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", id);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_HOST_NETWORK_NOT_FOUND, SV_F_NETWORK);
    read_row(st, ret);
    ret->device = sv_arena_strdup(a, ret->device);
    ret->netns = sv_arena_strdup(a, ret->netns);
    return SV_OK;
}

enum sv_err sv_host_network_list(struct sv_tx *tx, const struct sv_page *p,
                                 void (*row)(void *arg, const struct sv_host_network *n), void *arg,
                                 uint64_t *ret_total, struct sv_error *err)
{
    SV_STMT count = sv_stmt(tx, &sv_sql_host_network, COUNT);
    SV_STMT st = sv_stmt(tx, &sv_sql_host_network, LIST);
    bool more;
    enum sv_err rc = sv_step(tx, count, &more, err);

    if (rc)
        return rc;
    *ret_total = (uint64_t)sv_col_int(count, 0);
    sv_bind(st, "ii", sv_page_limit(p), (int64_t)p->offset);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_host_network n;

        read_row(st, &n);
        row(arg, &n);
    }
    return rc;
}

static enum sv_err change(struct sv_tx *tx, sqlite3_stmt *st, struct sv_error *err)
{
    int n = 0;
    enum sv_err rc = sv_exec(tx, st, &n, err);

    assert(tx->writable);
    return rc || n ? rc : sv_fail(err, SV_E_HOST_NETWORK_NOT_FOUND, SV_F_NETWORK);
}

enum sv_err sv_host_network_set_ready(struct sv_tx *tx, const struct sv_id *id, bool ready, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_host_network, SET_READY);

    sv_bind(st, "dI", id, (int)ready);
    return change(tx, st, err);
}

enum sv_err sv_host_network_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_host_network, DELETE);

    sv_bind(st, "d", id);
    return change(tx, st, err);
}
