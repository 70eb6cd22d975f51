/* Units of networks that an engine has yet to be told of. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_router.h"
#include "starvirt/store_unit.h"

#define COLS "kind, id, tenant_id, wish, failures, due, error, error_args, since"
/* The statements name the kinds by number. */
_Static_assert(SV_UNIT_VPC == 0 && SV_UNIT_ROUTER == 1 && SV_UNIT_GROUP == 2 && SV_UNIT_NIC == 3, "kinds of units");
_Static_assert(SV_ROUTER_DELETING == 2, "OBJECTS names the state by number");

/* OBJECTS has a statement a kind, in the order of enum sv_net_unit. */
enum { DUE, GET, TOLD, NOT_FAILED, FAILED, LIST, LIST_FAILED, HURRY, OBJECTS };

static const char *const sql[] = {
    [DUE] = "INSERT INTO net_unit(" COLS ") VALUES(?1, ?2, coalesce(CASE ?1"
            " WHEN 0 THEN (SELECT tenant_id FROM vpc WHERE id = ?2)"
            " WHEN 1 THEN (SELECT tenant_id FROM router WHERE id = ?2)"
            " WHEN 2 THEN (SELECT tenant_id FROM secgroup WHERE id = ?2)"
            " WHEN 3 THEN (SELECT tenant_id FROM nic WHERE id = ?2) END, ''), 1, 0, 0, '', '', ?3)"
            " ON CONFLICT(kind, id) DO UPDATE SET wish = wish + 1, due = 0 RETURNING tenant_id",
    [GET] = "SELECT " COLS " FROM net_unit WHERE kind = ?1 AND id = ?2",
    [TOLD] = "DELETE FROM net_unit WHERE kind = ?1 AND id = ?2 AND wish = ?3",
    [NOT_FAILED] = "UPDATE net_unit SET failures = 0, error = '', error_args = '' WHERE kind = ?1 AND id = ?2",
    [FAILED] = "INSERT INTO net_unit(" COLS ") VALUES(?1, ?2, ?3, 1, 1, ?4, ?5, ?6, ?7) ON CONFLICT(kind, id) DO UPDATE"
               " SET failures = failures + 1, due = ?4, error = ?5, error_args = ?6",
    [LIST] = "SELECT " COLS " FROM net_unit ORDER BY kind, id",
    [LIST_FAILED] = "SELECT " COLS " FROM net_unit WHERE (?1 = '' OR tenant_id = ?1) AND failures > 0 ORDER BY kind,"
                    " id",
    [HURRY] = "UPDATE net_unit SET due = 0 WHERE (?1 = '' OR tenant_id = ?1) AND failures > 0",
    [OBJECTS + SV_UNIT_VPC] = "SELECT id, tenant_id FROM vpc WHERE NOT deleting ORDER BY id",
    [OBJECTS + SV_UNIT_ROUTER] = "SELECT id, tenant_id FROM router WHERE state <> 2 ORDER BY id",
    [OBJECTS + SV_UNIT_GROUP] = "SELECT id, tenant_id FROM secgroup ORDER BY id",
    [OBJECTS + SV_UNIT_NIC] = "SELECT id, tenant_id FROM nic ORDER BY id",
};
SV_SQL_TABLE(sv_sql_unit, "unit", sql);

static void read_row(struct sv_tx *tx, sqlite3_stmt *st, struct sv_unit *u)
{
    const char *symbol = sv_col_text(st, 6);

    *u = (struct sv_unit){.kind = (enum sv_net_unit)sv_col_int(st, 0),
                          .id = sv_col_id(st, 1),
                          .tenant = sv_col_id(st, 2),
                          .wish = sv_col_int(st, 3),
                          .failures = (unsigned)sv_col_int(st, 4),
                          .due = sv_col_int(st, 5),
                          .error = symbol[0] ? sv_err_by_symbol(symbol) : SV_OK,
                          .since = sv_col_int(st, 8)};
    if (u->error == SV_ERR_COUNT) /* a newer program's */
        u->error = SV_E_INTERNAL;
    sv_args_split(tx, sv_col_text(st, 7), u->error_args);
}

enum sv_err sv_unit_due(struct sv_tx *tx, enum sv_net_unit kind, const struct sv_id *id, struct sv_id *ret_tenant,
                        struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_unit, DUE);
    bool row;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "Idi", (int)kind, id, sv_tx_now(tx));
    rc = sv_step(tx, st, &row, err);
    if (!rc)
        *ret_tenant = sv_col_id(st, 0);
    return rc;
}

enum sv_err sv_unit_get(struct sv_tx *tx, enum sv_net_unit kind, const struct sv_id *id, struct sv_unit *ret,
                        bool *ret_found, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_unit, GET);
    bool row;
    enum sv_err rc;

    sv_bind(st, "Id", (int)kind, id);
    rc = sv_step(tx, st, &row, err);
    if (rc)
        return rc;
    *ret_found = row;
    if (row)
        read_row(tx, st, ret);
    return SV_OK;
}

enum sv_err sv_unit_told(struct sv_tx *tx, enum sv_net_unit kind, const struct sv_id *id, int64_t wish,
                         struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_unit, TOLD);
    SV_STMT newer = sv_stmt(tx, &sv_sql_unit, NOT_FAILED);
    int n = 0;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "Idi", (int)kind, id, wish);
    rc = sv_exec(tx, st, &n, err);
    if (rc || n)
        return rc;
    sv_bind(newer, "Id", (int)kind, id);
    return sv_exec(tx, newer, NULL, err);
}

enum sv_err sv_unit_failed(struct sv_tx *tx, const struct sv_unit *u, const struct sv_error *why, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_unit, FAILED);
    const char *const args[SV_ERR_ARGS] = {why->arg[0], why->arg[1], why->arg[2]};

    assert(tx->writable);
    sv_bind(st, "Idditti", (int)u->kind, &u->id, &u->tenant, u->due, sv_err_symbol(why->code), sv_args_join(tx, args),
            sv_tx_now(tx));
    return sv_exec(tx, st, NULL, err);
}

static enum sv_err each(struct sv_tx *tx, sqlite3_stmt *st, sv_unit_fn *row, void *arg, struct sv_error *err)
{
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_unit u;

        read_row(tx, st, &u);
        row(arg, &u);
    }
    return rc;
}

enum sv_err sv_unit_list(struct sv_tx *tx, sv_unit_fn *row, void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_unit, LIST);

    return each(tx, st, row, arg, err);
}

enum sv_err sv_unit_list_failed(struct sv_tx *tx, struct sv_scope scope, sv_unit_fn *row, void *arg,
                                struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_unit, LIST_FAILED);

    sv_bind(st, "d", &scope.tenant);
    return each(tx, st, row, arg, err);
}

enum sv_err sv_unit_hurry_failed(struct sv_tx *tx, struct sv_scope scope, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_unit, HURRY);

    assert(tx->writable);
    sv_bind(st, "d", &scope.tenant);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_unit_objects(struct sv_tx *tx, enum sv_net_unit kind,
                            void (*row)(void *arg, const struct sv_id *id, const struct sv_id *tenant), void *arg,
                            struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_unit, OBJECTS + (unsigned)kind);
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_id id = sv_col_id(st, 0), tenant = sv_col_id(st, 1);

        row(arg, &id, &tenant);
    }
    return rc;
}
