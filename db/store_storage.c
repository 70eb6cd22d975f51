/* Storage rows. */
#include <assert.h>
#include <stdio.h>

#include "db/internal.h"
#include "starvirt/store_catalog.h"

#define COLS                                                                                                           \
    "id, host_id, name, descr, type, location, use, shared, own, ready, monitors, pool, user, size, used, promised,"   \
    " created"

enum { INSERT, EXISTS, OWN, MOVE, GET, LIST, COUNT, LIST_HOST, OF_HOST, SET_USAGE, UPDATE, SET_READY, HOLDS, DELETE };

static const char *const sql[] = {
    [INSERT] = "INSERT INTO storage(id, host_id, name, descr, type, location, use, shared, own, ready, monitors, pool,"
               " user, size, used, created)"
               " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    /* a shared one is at this place of every host */
    [EXISTS] = "SELECT name FROM storage WHERE (location = ?1 AND type = ?2 AND (host_id = ?3 OR shared = 1 OR ?4))"
               " OR (host_id = ?3 AND location = ?1)"
               " OR (type = 'ceph' AND ?2 = 'ceph' AND monitors = ?5 AND pool = ?6) LIMIT 1",
    [OWN] = "SELECT id, location FROM storage WHERE host_id = ?1 AND own = 1 ORDER BY created, id LIMIT 1",
    [MOVE] = "UPDATE storage SET location = ?2 WHERE id = ?1",
    [GET] = "SELECT " COLS " FROM storage WHERE id = ?1",
    [LIST] = "SELECT " COLS " FROM storage WHERE ready = 1 ORDER BY created, id LIMIT ?1 OFFSET ?2",
    [COUNT] = "SELECT count(*) FROM storage WHERE ready = 1",
    [LIST_HOST] = "SELECT " COLS " FROM storage WHERE own = 0 AND (host_id = ?1 OR shared = 1) ORDER BY created, id",
    [OF_HOST] = "SELECT id FROM storage WHERE (host_id = ?1 OR shared = 1) AND use = 0 AND ready = 1"
                " AND type IN ('dir', 'nfs') ORDER BY size - max(used, promised) DESC, created, id LIMIT 1",
    [SET_USAGE] = "UPDATE storage SET size = ?2, used = ?3 WHERE id = ?1",
    [UPDATE] = "UPDATE storage SET name = coalesce(?2, name), descr = coalesce(?3, descr),"
               " use = iif(?4 < 0, use, ?4) WHERE id = ?1",
    [SET_READY] = "UPDATE storage SET ready = ?2 WHERE id = ?1",
    [HOLDS] = "SELECT (SELECT count(*) FROM disk WHERE storage_id = ?1),"
              " (SELECT count(*) FROM backup WHERE storage_id = ?1)",
    [DELETE] = "DELETE FROM storage WHERE id = ?1",
};
SV_SQL_TABLE(sv_sql_storage, "storage", sql);
_Static_assert(SV_STORAGE_MAIN == 0, "OF_HOST names the use by number");

static void read_row(sqlite3_stmt *st, struct sv_storage *s)
{
    *s = (struct sv_storage){.id = sv_col_id(st, 0),
                             .host = sv_col_id(st, 1),
                             .name = sv_col_text(st, 2),
                             .descr = sv_col_text(st, 3),
                             .type = sv_col_text(st, 4),
                             .location = sv_col_text(st, 5),
                             .use = (enum sv_storage_use)sv_col_int(st, 6),
                             .shared = sv_col_int(st, 7) != 0,
                             .own = sv_col_int(st, 8) != 0,
                             .ready = sv_col_int(st, 9) != 0,
                             .monitors = sv_col_text(st, 10),
                             .pool = sv_col_text(st, 11),
                             .user = sv_col_text(st, 12),
                             .size = sv_col_int(st, 13),
                             .used = sv_col_int(st, 14),
                             .promised = sv_col_int(st, 15),
                             .created = sv_col_int(st, 16)};
}

static enum sv_err insert(struct sv_tx *tx, const struct sv_storage *s, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_storage, INSERT);

    assert(tx->writable);
    sv_bind(st, "ddttttIIIItttiii", &s->id, &s->host, s->name, s->descr, s->type, s->location, (int)s->use,
            (int)s->shared, (int)s->own, (int)s->ready, s->monitors, s->pool, s->user, s->size, s->used, s->created);
    return sv_exec(tx, st, NULL, err);
}

static enum sv_err move(struct sv_tx *tx, const struct sv_id *id, const char *location, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_storage, MOVE);
    enum sv_err rc;

    sv_bind(st, "dt", id, location);
    rc = sv_exec(tx, st, NULL, err);
    return rc && sv_is_conflict(tx) ? sv_fail(err, SV_E_STORAGE_EXISTS, SV_F_STORAGE, location) : rc;
}

enum sv_err sv_storage_ensure(struct sv_tx *tx, const struct sv_storage *s, struct sv_id *ret_id, struct sv_error *err)
{
    SV_STMT own = sv_stmt(tx, &sv_sql_storage, OWN);
    struct sv_storage row = *s;
    enum sv_err rc;
    bool there;

    assert(tx->writable);
    sv_bind(own, "d", &s->host);
    rc = sv_step(tx, own, &there, err);
    if (!rc && there) {
        row.id = sv_col_id(own, 0);
        if (strcmp(sv_col_text(own, 1), s->location) != 0)
            rc = move(tx, &row.id, s->location, err);
    } else if (!rc) {
        row.own = row.ready = true;
        rc = insert(tx, &row, err);
    }
    if (!rc)
        *ret_id = row.id;
    return rc;
}

enum sv_err sv_storage_insert(struct sv_tx *tx, const struct sv_storage *s, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_storage, EXISTS);
    bool row;
    enum sv_err rc;

    sv_bind(st, "ttdItt", s->location, s->type, &s->host, (int)s->shared, s->monitors, s->pool);
    rc = sv_step(tx, st, &row, err);
    if (!rc && row)
        return sv_fail(err, SV_E_STORAGE_EXISTS, SV_F_STORAGE_LOCATION, sv_col_text(st, 0));
    return rc ? rc : insert(tx, s, err);
}

enum sv_err sv_storage_get(struct sv_tx *tx, const struct sv_id *id, struct sv_arena *a, struct sv_storage *ret,
                           struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_storage, GET);
    struct sv_storage s;
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", id);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_STORAGE_NOT_FOUND, SV_F_STORAGE);
    read_row(st, &s);
    s.name = sv_arena_strdup(a, s.name);
    s.descr = sv_arena_strdup(a, s.descr);
    s.type = sv_arena_strdup(a, s.type);
    s.location = sv_arena_strdup(a, s.location);
    s.monitors = sv_arena_strdup(a, s.monitors);
    s.pool = sv_arena_strdup(a, s.pool);
    s.user = sv_arena_strdup(a, s.user);
    *ret = s;
    return SV_OK;
}

typedef void (*row_fn)(void *arg, const struct sv_storage *s);

static enum sv_err each(struct sv_tx *tx, sqlite3_stmt *st, row_fn row, void *arg, struct sv_error *err)
{
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_storage s;

        read_row(st, &s);
        row(arg, &s);
    }
    return rc;
}

enum sv_err sv_storage_list(struct sv_tx *tx, const struct sv_page *p, row_fn row, void *arg, uint64_t *ret_total,
                            struct sv_error *err)
{
    SV_STMT count = sv_stmt(tx, &sv_sql_storage, COUNT);
    SV_STMT st = sv_stmt(tx, &sv_sql_storage, LIST);
    bool more;
    enum sv_err rc = sv_step(tx, count, &more, err);

    if (rc)
        return rc;
    *ret_total = (uint64_t)sv_col_int(count, 0);
    sv_bind(st, "ii", sv_page_limit(p), (int64_t)p->offset);
    return each(tx, st, row, arg, err);
}

enum sv_err sv_storage_list_host(struct sv_tx *tx, const struct sv_id *host, row_fn row, void *arg,
                                 struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_storage, LIST_HOST);

    sv_bind(st, "d", host);
    return each(tx, st, row, arg, err);
}

static enum sv_err one(struct sv_tx *tx, unsigned which, const struct sv_id *host, struct sv_id *ret,
                       struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_storage, which);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", host);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_STORAGE_NOT_FOUND, SV_F_STORAGE);
    *ret = sv_col_id(st, 0);
    return SV_OK;
}

enum sv_err sv_storage_own(struct sv_tx *tx, const struct sv_id *host, struct sv_id *ret, struct sv_error *err)
{
    return one(tx, OWN, host, ret, err);
}

enum sv_err sv_storage_of_host(struct sv_tx *tx, const struct sv_id *host, int64_t bytes, struct sv_id *ret,
                               struct sv_error *err)
{
    const enum sv_err rc = one(tx, OF_HOST, host, ret, err);
    char text[SV_ERR_ARG_MAX];

    if (rc != SV_E_STORAGE_NOT_FOUND)
        return rc;
    snprintf(text, sizeof(text), "a storage for disks of %s", sv_bytes(bytes, SV_OF_DISK).s);
    return sv_fail(err, SV_E_NO_CAPACITY, SV_F_NONE, text);
}

enum sv_err sv_storage_set_usage(struct sv_tx *tx, const struct sv_id *id, int64_t size, int64_t used,
                                 struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_storage, SET_USAGE);

    assert(tx->writable);
    sv_bind(st, "dii", id, size, used);
    return sv_exec(tx, st, NULL, err);
}

static enum sv_err found(enum sv_err rc, int changes, struct sv_error *err)
{
    return rc || changes ? rc : sv_fail(err, SV_E_STORAGE_NOT_FOUND, SV_F_STORAGE);
}

enum sv_err sv_storage_update(struct sv_tx *tx, const struct sv_id *id, const char *name, const char *descr,
                              const enum sv_storage_use *use, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_storage, UPDATE);
    int changes = 0;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "dTTI", id, name, descr, use ? (int)*use : -1);
    rc = sv_exec(tx, st, &changes, err);
    return found(rc, changes, err);
}

enum sv_err sv_storage_set_ready(struct sv_tx *tx, const struct sv_id *id, bool ready, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_storage, SET_READY);
    int changes = 0;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "dI", id, (int)ready);
    rc = sv_exec(tx, st, &changes, err);
    return found(rc, changes, err);
}

enum sv_err sv_storage_unused(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_storage, HOLDS);
    char text[64];
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", id);
    rc = sv_step(tx, st, &row, err);
    if (rc || (sv_col_int(st, 0) == 0 && sv_col_int(st, 1) == 0))
        return rc;
    snprintf(text, sizeof(text), "%lld disks, %lld backups", (long long)sv_col_int(st, 0),
             (long long)sv_col_int(st, 1));
    return sv_fail(err, SV_E_STORAGE_IN_USE, SV_F_STORAGE, text);
}

enum sv_err sv_storage_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_storage, DELETE);
    enum sv_err rc = sv_storage_unused(tx, id, err);

    assert(tx->writable);
    sv_bind(st, "d", id);
    return rc ? rc : sv_exec(tx, st, NULL, err);
}
