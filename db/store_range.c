/* Free ranges of numbers, so that the lowest free subnet or address is found by a seek, however many are taken.
 *
 * A space is the id of a VPC (its host addresses) or empty (all of IPv4, for subnets). Ranges of a space
 * neither overlap nor touch, so that order by end is also order by beginning. */
#include <assert.h>

#include "db/internal.h"

enum { FIND, AT_OR_BEHIND, ADD, REMOVE, SET_BASE, DROP };

static const char *const sql[] = {
    /* the lowest aligned place for ?4 numbers within [?2, ?3] */
    [FIND] = ("SELECT (max(base, ?2) + ?4 - 1) / ?4 * ?4 FROM free_range WHERE space = ?1 AND last >= ?2 + ?4 - 1"
              " AND (max(base, ?2) + ?4 - 1) / ?4 * ?4 + ?4 - 1 <= min(last, ?3) ORDER BY last LIMIT 1"),
    [AT_OR_BEHIND] = "SELECT base, last FROM free_range WHERE space = ?1 AND last >= ?2 ORDER BY last LIMIT 1",
    [ADD] = "INSERT INTO free_range(space, base, last) VALUES(?1, ?2, ?3)",
    [REMOVE] = "DELETE FROM free_range WHERE space = ?1 AND last = ?2",
    [SET_BASE] = "UPDATE free_range SET base = ?2 WHERE space = ?1 AND last = ?3",
    [DROP] = "DELETE FROM free_range WHERE space = ?1",
};
SV_SQL_TABLE(sv_sql_range, "range", sql);

struct range {
    int64_t base, last;
};

enum sv_err sv_range_find(struct sv_tx *tx, const struct sv_id *space, int64_t from, int64_t to, int64_t size,
                          int64_t *ret, bool *ret_found, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_range, FIND);
    enum sv_err rc;

    sv_bind(st, "diii", space, from, to, size);
    rc = sv_step(tx, st, ret_found, err);
    if (!rc && *ret_found)
        *ret = sv_col_int(st, 0);
    return rc;
}

/* The first range that ends at `number` or behind it. */
static enum sv_err at_or_behind(struct sv_tx *tx, const struct sv_id *space, int64_t number, struct range *ret,
                                bool *ret_found, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_range, AT_OR_BEHIND);
    enum sv_err rc;

    sv_bind(st, "di", space, number);
    rc = sv_step(tx, st, ret_found, err);
    if (!rc && *ret_found)
        *ret = (struct range){.base = sv_col_int(st, 0), .last = sv_col_int(st, 1)};
    return rc;
}

static enum sv_err add(struct sv_tx *tx, const struct sv_id *space, struct range r, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_range, ADD);

    sv_bind(st, "dii", space, r.base, r.last);
    return sv_exec(tx, st, NULL, err);
}

static enum sv_err remove_one(struct sv_tx *tx, const struct sv_id *space, int64_t last, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_range, REMOVE);

    sv_bind(st, "di", space, last);
    return sv_exec(tx, st, NULL, err);
}

static enum sv_err set_base(struct sv_tx *tx, const struct sv_id *space, int64_t last, int64_t base,
                            struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_range, SET_BASE);

    sv_bind(st, "dii", space, base, last);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_range_take(struct sv_tx *tx, const struct sv_id *space, int64_t base, int64_t last, bool *ret_taken,
                          struct sv_error *err)
{
    struct range r = {0};
    bool found;
    enum sv_err rc = at_or_behind(tx, space, last, &r, &found, err);

    assert(tx->writable);
    if (rc)
        return rc;
    *ret_taken = found && r.base <= base;
    if (!*ret_taken)
        return SV_OK;
    rc = r.last > last ? set_base(tx, space, r.last, last + 1, err) : remove_one(tx, space, r.last, err);
    if (!rc && r.base < base)
        rc = add(tx, space, (struct range){.base = r.base, .last = base - 1}, err);
    return rc;
}

enum sv_err sv_range_give(struct sv_tx *tx, const struct sv_id *space, int64_t base, int64_t last, struct sv_error *err)
{
    struct range before = {0}, behind = {0};
    bool found;
    enum sv_err rc = at_or_behind(tx, space, base - 1, &before, &found, err);

    assert(tx->writable);
    if (!rc && found && before.last == base - 1) {
        base = before.base;
        rc = remove_one(tx, space, before.last, err);
    }
    if (!rc)
        rc = at_or_behind(tx, space, last, &behind, &found, err);
    if (rc)
        return rc;
    assert(!found || behind.base > last);
    if (found && behind.base == last + 1)
        return set_base(tx, space, behind.last, base, err);
    return add(tx, space, (struct range){.base = base, .last = last}, err);
}

enum sv_err sv_range_drop(struct sv_tx *tx, const struct sv_id *space, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_range, DROP);

    assert(tx->writable);
    sv_bind(st, "d", space);
    return sv_exec(tx, st, NULL, err);
}
