/* Alarms and their thresholds. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_alarm.h"
#include "starvirt/store_unit.h"
#include "starvirt/store_vm.h"

#define COLS "id, type, level, object_type, object_id, object_name, tenant_id, args, created, relieved, way, over"

/* The statements name all of these by number. */
_Static_assert(SV_ALARM_OF_HOST == 0 && SV_ALARM_OF_VM == 1 && SV_ALARM_OF_STORAGE == 2 && SV_ALARM_OF_SLB == 3 &&
                   SV_ALARM_OF_VPC == 4 && SV_ALARM_OF_ROUTER == 5 && SV_ALARM_OF_GROUP == 6 && SV_ALARM_OF_NIC == 7 &&
                   SV_ALARM_OF_DISK == 8 && SV_ALARM_OF_TEMPLATE == 9 && SV_ALARM_OF_SERVER == 10,
               "kinds of objects");
_Static_assert(SV_ALARM_HOST_LOST == 0 && SV_ALARM_VM_CRASHED == 1 && SV_ALARM_CERTIFICATE == 8 &&
                   SV_ALARM_RULES == 9 && SV_ALARM_UNDO == 11,
               "types of alarms");
_Static_assert(SV_UNIT_KINDS == 4 && SV_UNIT_VPC == 0 && SV_UNIT_ROUTER == 1 && SV_UNIT_GROUP == 2, "kinds of units");
_Static_assert(SV_VM_RUNNING == 3, "LOOK names the state by number");

#define SUBJECT_OF(number, table, tenant) "SELECT " number ", name, " tenant " FROM " table " WHERE id = ?1 UNION ALL "

/* Each set has a page and a count; each has the form that its index needs. */
enum { SET_ALL, SET_TENANT, SET_OPEN, SET_OPEN_TENANT, SET_OBJECT, SET_COUNT };
#define FILTERS                                                                                                        \
    " AND (?4 < 0 OR level = ?4) AND (?5 < 0 OR object_type = ?5) AND (?6 < 0 OR way = ?6)"                            \
    " AND created BETWEEN ?2 AND ?3"
#define OF_ALL         " FROM alarm INDEXED BY alarm_order WHERE ?1 = ''" FILTERS
#define OF_TENANT      " FROM alarm INDEXED BY alarm_tenant WHERE tenant_id = ?1" FILTERS
#define OF_OPEN        " FROM alarm INDEXED BY alarm_open WHERE relieved = 0 AND ?1 = ''" FILTERS
#define OF_OPEN_TENANT " FROM alarm INDEXED BY alarm_open_tenant WHERE relieved = 0 AND tenant_id = ?1" FILTERS
#define OF_OBJECT      " FROM alarm WHERE object_id = ?7 AND (?1 = '' OR tenant_id = ?1)" FILTERS
#define SET(which, from_where)                                                                                         \
    [PAGE + which] = "SELECT " COLS from_where " ORDER BY created DESC, id DESC LIMIT ?8 OFFSET ?9",                   \
            [COUNT + which] = "SELECT count(*)" from_where

enum {
    SUBJECT,
    INSERT,
    GOING_ON,
    GET,
    UPDATE,
    PAGE,
    COUNT = PAGE + SET_COUNT,
    COUNT_EVERY = COUNT + SET_COUNT,
    COUNT_OPEN,
    LOOK,
    LIST_GOING_ON,
    DUE_RULES,
    DUE_UNDOS,
    EXPIRE,
    OLDEST_OF,
    THRESHOLD_PUT,
    THRESHOLD_LIST,
};

static const char *const sql[] = {
    [SUBJECT] = SUBJECT_OF("0", "host", "''") SUBJECT_OF("1", "vm", "tenant_id") SUBJECT_OF("2", "storage", "''")
        SUBJECT_OF("3", "slb", "tenant_id") SUBJECT_OF("4", "vpc", "tenant_id") SUBJECT_OF("5", "router", "tenant_id")
            SUBJECT_OF("6", "secgroup", "tenant_id") SUBJECT_OF("7", "nic", "tenant_id") SUBJECT_OF(
                "8", "disk", "tenant_id") "SELECT 9, name, coalesce(tenant_id, '') FROM template WHERE id = ?1",
    [INSERT] = "INSERT INTO alarm(" COLS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, 0)"
               " ON CONFLICT(type, object_id) WHERE over = 0 DO NOTHING",
    [GOING_ON] = "SELECT " COLS " FROM alarm WHERE type = ?1 AND object_id = ?2 AND over = 0",
    [GET] = "SELECT " COLS " FROM alarm WHERE id = ?1 AND (?2 = '' OR tenant_id = ?2)",
    [UPDATE] = "UPDATE alarm SET relieved = ?2, way = ?3, over = ?4 WHERE id = ?1",
    SET(SET_ALL, OF_ALL),
    SET(SET_TENANT, OF_TENANT),
    SET(SET_OPEN, OF_OPEN),
    SET(SET_OPEN_TENANT, OF_OPEN_TENANT),
    SET(SET_OBJECT, OF_OBJECT),
    [COUNT_EVERY] = "SELECT count(*) FROM alarm",
    [COUNT_OPEN] = "SELECT type, level, count(*) FROM alarm WHERE relieved = 0 GROUP BY type, level",
    [LOOK] = "SELECT type, object_id, CASE"
             " WHEN object_type = 10 THEN 0"
             " WHEN type = 0 THEN NOT EXISTS (SELECT 1 FROM host WHERE id = object_id AND NOT connected)"
             " WHEN type = 1 THEN NOT EXISTS (SELECT 1 FROM vm WHERE id = object_id AND state <> 3)"
             " WHEN type = 8 THEN NOT EXISTS (SELECT 1 FROM slb WHERE id = object_id AND cert_warned)"
             " WHEN type = 9 THEN NOT EXISTS (SELECT 1 FROM net_unit WHERE kind BETWEEN 0 AND 3 AND id = object_id AND"
             " failures > 0)"
             " WHEN type = 11 THEN NOT EXISTS (SELECT 1 FROM pending_undo WHERE pending_undo.object_id = a.object_id OR"
             " subject_id = a.object_id)"
             " WHEN object_type = 0 THEN NOT EXISTS (SELECT 1 FROM host WHERE id = object_id)"
             " WHEN object_type = 1 THEN NOT EXISTS (SELECT 1 FROM vm WHERE id = object_id)"
             " WHEN object_type = 2 THEN NOT EXISTS (SELECT 1 FROM storage WHERE id = object_id)"
             " ELSE 0 END"
             " FROM alarm a INDEXED BY alarm_going_on WHERE over = 0 AND (type, object_id) > (?1, ?2)"
             " ORDER BY type, object_id LIMIT ?3",
    [LIST_GOING_ON] = "SELECT type, object_id FROM alarm INDEXED BY alarm_going_on WHERE over = 0 AND type BETWEEN ?1"
                      " AND ?2",
    /* of objects that are there: what is to be taken away has nobody to tell */
    [DUE_RULES] = "SELECT id, error, error_args, since FROM net_unit u WHERE failures > 0 AND since < ?1 AND NOT EXISTS"
                  " (SELECT 1 FROM alarm WHERE type = 9 AND object_id = u.id AND over = 0) AND CASE kind"
                  " WHEN 0 THEN EXISTS (SELECT 1 FROM vpc WHERE id = u.id)"
                  " WHEN 1 THEN EXISTS (SELECT 1 FROM router WHERE id = u.id)"
                  " WHEN 2 THEN EXISTS (SELECT 1 FROM secgroup WHERE id = u.id)"
                  " ELSE EXISTS (SELECT 1 FROM nic WHERE id = u.id) END LIMIT ?2",
    [DUE_UNDOS] = "SELECT coalesce(nullif(object_id, ''), subject_id) AS of, min(job_id) FROM pending_undo p WHERE NOT"
                  " EXISTS (SELECT 1 FROM alarm WHERE type = 11 AND over = 0 AND alarm.object_id ="
                  " coalesce(nullif(p.object_id, ''), p.subject_id)) GROUP BY of LIMIT ?1",
    [EXPIRE] = "DELETE FROM alarm WHERE id IN (SELECT id FROM alarm a INDEXED BY alarm_over WHERE over = 1 AND relieved"
               " < ?1 AND NOT EXISTS (SELECT 1 FROM alarm_delivery WHERE alarm_id = a.id) ORDER BY relieved, id"
               " LIMIT ?2)",
    [OLDEST_OF] = "SELECT coalesce((SELECT relieved FROM alarm INDEXED BY alarm_over WHERE over = 1 ORDER BY relieved"
                  " DESC, id DESC LIMIT 1 OFFSET ?1), 0)",
    [THRESHOLD_PUT] = "INSERT OR REPLACE INTO alarm_threshold(type, value, minutes, level) VALUES(?1, ?2, ?3, ?4)",
    [THRESHOLD_LIST] = "SELECT type, value, minutes, level FROM alarm_threshold ORDER BY type",
};
SV_SQL_TABLE(sv_sql_alarm, "alarm", sql);

/* Numbers of a newer program are shown as the nearest that there is. */
static unsigned within(int64_t v, unsigned count)
{
    return v < 0 || v >= (int64_t)count ? count - 1 : (unsigned)v;
}

/* Texts are SQLite's, but for args, which are the transaction's. */
static void read_row(struct sv_tx *tx, sqlite3_stmt *st, struct sv_alarm *a)
{
    *a = (struct sv_alarm){.id = sv_col_id(st, 0),
                           .type = (enum sv_alarm_type)within(sv_col_int(st, 1), SV_ALARM_TYPES),
                           .level = (enum sv_alarm_level)within(sv_col_int(st, 2), SV_ALARM_LEVELS),
                           .object_type = (enum sv_alarm_object)within(sv_col_int(st, 3), SV_ALARM_OBJECTS),
                           .object = sv_col_id(st, 4),
                           .object_name = sv_col_text(st, 5),
                           .tenant = sv_col_id(st, 6),
                           .created = sv_col_int(st, 8),
                           .relieved = sv_col_int(st, 9),
                           .way = (enum sv_alarm_way)within(sv_col_int(st, 10), SV_ALARM_WAYS),
                           .over = sv_col_int(st, 11) != 0};
    sv_args_split(tx, sv_col_text(st, 7), a->args);
}

static enum sv_err one_row(struct sv_tx *tx, sqlite3_stmt *st, struct sv_alarm *ret, bool *ret_found,
                           struct sv_error *err)
{
    bool row;
    enum sv_err rc = sv_step(tx, st, &row, err);

    if (rc)
        return rc;
    *ret_found = row;
    if (row) {
        read_row(tx, st, ret);
        ret->object_name = sv_arena_strdup(tx->arena, ret->object_name);
    }
    return SV_OK;
}

/* --- one ------------------------------------------------------------------------------------------------ */

enum sv_err sv_alarm_subject(struct sv_tx *tx, const struct sv_id *object, struct sv_alarm *ret, bool *ret_found,
                             struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm, SUBJECT);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", object);
    rc = sv_step(tx, st, &row, err);
    if (rc)
        return rc;
    *ret_found = row;
    if (row) {
        ret->object = *object;
        ret->object_type = (enum sv_alarm_object)sv_col_int(st, 0);
        ret->object_name = sv_arena_strdup(tx->arena, sv_col_text(st, 1));
        ret->tenant = sv_col_id(st, 2);
    }
    return SV_OK;
}

enum sv_err sv_alarm_insert(struct sv_tx *tx, const struct sv_alarm *a, bool *ret_new, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm, INSERT);
    int n = 0;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "dIIIdtdti", &a->id, (int)a->type, (int)a->level, (int)a->object_type, &a->object, a->object_name,
            &a->tenant, sv_args_join(tx, a->args), a->created);
    rc = sv_exec(tx, st, &n, err);
    if (!rc)
        *ret_new = n > 0;
    return rc;
}

enum sv_err sv_alarm_going_on(struct sv_tx *tx, enum sv_alarm_type type, const struct sv_id *object,
                              struct sv_alarm *ret, bool *ret_found, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm, GOING_ON);

    sv_bind(st, "Id", (int)type, object);
    return one_row(tx, st, ret, ret_found, err);
}

enum sv_err sv_alarm_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_alarm *ret,
                         struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm, GET);
    bool found = false;
    enum sv_err rc;

    sv_bind(st, "dd", id, &scope.tenant);
    rc = one_row(tx, st, ret, &found, err);
    return rc || found ? rc : sv_fail(err, SV_E_ALARM_NOT_FOUND, SV_F_ALARM);
}

enum sv_err sv_alarm_update(struct sv_tx *tx, const struct sv_alarm *a, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm, UPDATE);

    assert(tx->writable);
    sv_bind(st, "diII", &a->id, a->relieved, (int)a->way, (int)a->over);
    return sv_exec(tx, st, NULL, err);
}

/* --- lists ---------------------------------------------------------------------------------------------- */

static unsigned set_of(struct sv_scope scope, const struct sv_alarm_filter *f)
{
    const bool all = sv_id_empty(&scope.tenant);

    if (!sv_id_empty(&f->object))
        return SET_OBJECT;
    if (f->way == SV_ALARM_OPEN)
        return all ? SET_OPEN : SET_OPEN_TENANT;
    return all ? SET_ALL : SET_TENANT;
}

static void bind_filter(sqlite3_stmt *st, const struct sv_scope *scope, const struct sv_alarm_filter *f)
{
    /* Only the form that asks for an object has a place for it. */
    sv_bind(st, sv_id_empty(&f->object) ? "diiIII" : "diiIIId", &scope->tenant, f->from, f->to ? f->to : INT64_MAX,
            f->level, f->object_type, f->way, &f->object);
}

/* SQLite counts a whole index without looking at its entries. */
static bool is_every(const struct sv_scope *scope, const struct sv_alarm_filter *f)
{
    return sv_id_empty(&scope->tenant) && sv_id_empty(&f->object) && f->level < 0 && f->object_type < 0 && f->way < 0 &&
           f->from <= 0 && f->to == 0;
}

static enum sv_err count(struct sv_tx *tx, struct sv_scope scope, const struct sv_alarm_filter *f, uint64_t *ret,
                         struct sv_error *err)
{
    const bool every = is_every(&scope, f);
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm, every ? COUNT_EVERY : COUNT + set_of(scope, f));
    bool row;
    enum sv_err rc;

    if (!every)
        bind_filter(st, &scope, f);
    rc = sv_step(tx, st, &row, err);
    if (!rc)
        *ret = (uint64_t)sv_col_int(st, 0);
    return rc;
}

enum sv_err sv_alarm_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_alarm_filter *f,
                          const struct sv_page *p, sv_alarm_fn *row, void *arg, uint64_t *ret_total,
                          struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm, PAGE + set_of(scope, f));
    uint64_t total = 0;
    bool more;
    enum sv_err rc = count(tx, scope, f, &total, err);

    if (rc)
        return rc;
    *ret_total = total;
    sv_bind(st, "diiIIIdii", &scope.tenant, f->from, f->to ? f->to : INT64_MAX, f->level, f->object_type, f->way,
            &f->object, sv_page_limit(p), (int64_t)p->offset);
    while (p->offset < total && !(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_alarm a;

        read_row(tx, st, &a);
        row(arg, &a);
    }
    return rc;
}

enum sv_err sv_alarm_count_open(struct sv_tx *tx,
                                void (*row)(void *arg, enum sv_alarm_type type, enum sv_alarm_level level, int64_t n),
                                void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm, COUNT_OPEN);
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more)
        row(arg, (enum sv_alarm_type)within(sv_col_int(st, 0), SV_ALARM_TYPES),
            (enum sv_alarm_level)within(sv_col_int(st, 1), SV_ALARM_LEVELS), sv_col_int(st, 2));
    return rc;
}

/* --- looking through what goes on ----------------------------------------------------------------------- */

static struct sv_alarm_key read_key(sqlite3_stmt *st)
{
    return (struct sv_alarm_key){(enum sv_alarm_type)sv_col_int(st, 0), sv_col_id(st, 1)};
}

enum sv_err sv_alarm_look(struct sv_tx *tx, struct sv_alarm_key *at, unsigned limit,
                          void (*row)(void *arg, const struct sv_alarm_key *over), void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm, LOOK);
    const struct sv_alarm_key from = *at;
    unsigned n = 0;
    bool more;
    enum sv_err rc;

    sv_bind(st, "IdI", (int)from.type, &from.object, (int)limit);
    for (; !(rc = sv_step(tx, st, &more, err)) && more; n++) {
        *at = read_key(st);
        if (sv_col_int(st, 2))
            row(arg, at);
    }
    if (!rc && n < limit)
        *at = (struct sv_alarm_key){.object = {.s = ""}};
    return rc;
}

enum sv_err sv_alarm_list_going_on(struct sv_tx *tx, enum sv_alarm_type first, enum sv_alarm_type last,
                                   void (*row)(void *arg, const struct sv_alarm_key *k), void *arg,
                                   struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm, LIST_GOING_ON);
    bool more;
    enum sv_err rc;

    sv_bind(st, "II", (int)first, (int)last);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_alarm_key k = read_key(st);

        row(arg, &k);
    }
    return rc;
}

static enum sv_err list_due_rules(struct sv_tx *tx, int64_t before, unsigned limit, sv_alarm_fn *row, void *arg,
                                  struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm, DUE_RULES);
    bool more;
    enum sv_err rc;

    sv_bind(st, "iI", before, (int)limit);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_alarm a = {.type = SV_ALARM_RULES, .object = sv_col_id(st, 0), .created = sv_col_int(st, 3)};

        sv_args_split(tx, sv_col_text(st, 2), a.args);
        a.args[1] = a.args[0]; /* the first says what it is about */
        a.args[0] = sv_arena_strdup(tx->arena, sv_col_text(st, 1));
        row(arg, &a);
    }
    return rc;
}

static enum sv_err list_due_undos(struct sv_tx *tx, unsigned limit, sv_alarm_fn *row, void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm, DUE_UNDOS);
    bool more;
    enum sv_err rc;

    sv_bind(st, "I", (int)limit);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_alarm a = {.type = SV_ALARM_UNDO, .object = sv_col_id(st, 0)};

        a.args[0] = sv_arena_strdup(tx->arena, sv_col_text(st, 1));
        row(arg, &a);
    }
    return rc;
}

enum sv_err sv_alarm_list_due(struct sv_tx *tx, int64_t before, unsigned limit, sv_alarm_fn *row, void *arg,
                              struct sv_error *err)
{
    enum sv_err rc = list_due_rules(tx, before, limit, row, arg, err);

    return rc ? rc : list_due_undos(tx, limit, row, arg, err);
}

enum sv_err sv_alarm_expire(struct sv_tx *tx, int64_t older_than, struct sv_error *err)
{
    return sv_expire(tx, &sv_sql_alarm, EXPIRE, older_than, sv_alarm_expire, err);
}

enum sv_err sv_alarm_oldest_of(struct sv_tx *tx, int64_t n, int64_t *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm, OLDEST_OF);
    bool row;
    enum sv_err rc;

    sv_bind(st, "i", n);
    rc = sv_step(tx, st, &row, err);
    if (!rc)
        *ret = sv_col_int(st, 0);
    return rc;
}

/* --- thresholds ----------------------------------------------------------------------------------------- */

enum sv_err sv_alarm_threshold_put(struct sv_tx *tx, const struct sv_alarm_threshold *t, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm, THRESHOLD_PUT);

    assert(tx->writable);
    sv_bind(st, "IIII", (int)t->type, t->value, (int)t->minutes, (int)t->level);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_alarm_threshold_list(struct sv_tx *tx, void (*row)(void *arg, const struct sv_alarm_threshold *t),
                                    void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm, THRESHOLD_LIST);
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_alarm_threshold t = {.type = (enum sv_alarm_type)sv_col_int(st, 0),
                                             .value = (int)sv_col_int(st, 1),
                                             .minutes = (unsigned)sv_col_int(st, 2),
                                             .level = (enum sv_alarm_level)within(sv_col_int(st, 3), SV_ALARM_LEVELS)};

        row(arg, &t);
    }
    return rc;
}
