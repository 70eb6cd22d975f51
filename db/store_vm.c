/* VM rows and their lists. */
#include <assert.h>
#include <stdio.h>

#include "db/internal.h"
#include "starvirt/store_vm.h"
#include "starvirt/text.h"

#define COLS                                                                                                           \
    "v.id, v.tenant_id, v.host_id, v.template_id, v.name, v.descr, v.model, v.model_type, v.state, v.vcpus, v.memory," \
    " v.live_vcpus, v.live_memory, v.ip, v.nested, v.agent, v.created, coalesce(h.connected, 0)"
#define FROM " FROM vm v LEFT JOIN host h ON h.id = v.host_id "
/* What is seen: stopped, running, paused and saved are unknown while the host does not answer. */
#define SEEN "(CASE WHEN v.state IN (2, 3, 4, 5) AND coalesce(h.connected, 0) = 0 THEN 7 ELSE v.state END)"
_Static_assert(SV_VM_STOPPED == 2 && SV_VM_SAVED == 5 && SV_VM_UNKNOWN == 7, "SEEN names the states by number");

/* Filters that need only the covering index: name and id. */
#define MATCH_NAMES " (?2 = '' OR instr(lower(v.name), lower(?2))) AND (?3 = '' OR instr(v.id, lower(?3)))"
/* The rest needs the row: states ?4 ?5 (-1 = any), ip ?6 (-1 = any), host ?7. */
#define MATCH_ROW " AND (?4 < 0 OR " SEEN " IN (?4, ?5)) AND (?6 < 0 OR v.ip = ?6) AND (?7 = '' OR v.host_id = ?7)"

enum {
    INSERT,
    COUNT_TENANT,
    COUNT_ALL,
    GET,
    TOTAL_ALL,
    TOTAL_TENANT,
    PAGE_ALL,
    PAGE_TENANT,
    PAGE_ALL_AFTER,
    PAGE_TENANT_AFTER,
    NAMES_ALL,
    NAMES_TENANT,
    ROWS_ALL,
    ROWS_TENANT,
    RENAME,
    SET_STATE,
    SET_SIZE,
    SET_LIVE,
    SET_AGENT,
    SET_HOST,
    DELETE,
    LIST_HOST,
};

static const char *const sql[] = {
    [INSERT] = "INSERT INTO vm(id, tenant_id, host_id, template_id, name, descr, model, model_type, state, vcpus, "
               "memory, ip, nested,"
               " created) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [COUNT_TENANT] = "UPDATE tenant SET vm_count = vm_count + ?2 WHERE id = ?1",
    [COUNT_ALL] = "UPDATE counter SET value = value + ?1 WHERE name = 'vm'",
    [GET] = "SELECT " COLS FROM "WHERE v.id = ?1",
    [TOTAL_ALL] = "SELECT value FROM counter WHERE name = 'vm' AND ?1 = ''",
    [TOTAL_TENANT] = "SELECT vm_count FROM tenant WHERE id = ?1",
    [PAGE_ALL] = "SELECT " COLS FROM "WHERE ?1 = '' ORDER BY v.created, v.id LIMIT ?2 OFFSET ?3",
    [PAGE_TENANT] = "SELECT " COLS FROM "WHERE v.tenant_id = ?1 ORDER BY v.created, v.id LIMIT ?2 OFFSET ?3",
    [PAGE_ALL_AFTER] = "SELECT " COLS FROM
                       "WHERE ?1 = '' AND (v.created, v.id) > (?4, ?5) ORDER BY v.created, v.id LIMIT ?2 OFFSET ?3",
    [PAGE_TENANT_AFTER] =
        "SELECT " COLS FROM
        "WHERE v.tenant_id = ?1 AND (v.created, v.id) > (?4, ?5) ORDER BY v.created, v.id LIMIT ?2 OFFSET ?3",
    [NAMES_ALL] = "SELECT v.id FROM vm v WHERE ?1 = '' AND" MATCH_NAMES " ORDER BY v.created, v.id",
    [NAMES_TENANT] = "SELECT v.id FROM vm v WHERE v.tenant_id = ?1 AND" MATCH_NAMES " ORDER BY v.created, v.id",
    [ROWS_ALL] = "SELECT v.id" FROM "WHERE ?1 = '' AND" MATCH_NAMES MATCH_ROW " ORDER BY v.created, v.id",
    [ROWS_TENANT] = "SELECT v.id" FROM "WHERE v.tenant_id = ?1 AND" MATCH_NAMES MATCH_ROW " ORDER BY v.created, v.id",
    [RENAME] = "UPDATE vm SET name = coalesce(?3, name), descr = coalesce(?4, descr) WHERE id = ?1 AND (?2 = '' OR "
               "tenant_id = ?2)",
    [SET_STATE] =
        "UPDATE vm SET state = ?2, agent = CASE WHEN ?4 THEN agent ELSE 0 END,"
        " live_vcpus = CASE WHEN ?4 THEN live_vcpus ELSE 0 END, live_memory = CASE WHEN ?4 THEN live_memory ELSE 0 END"
        " WHERE id = ?1 AND ((1 << state) & ?3)",
    [SET_SIZE] = "UPDATE vm SET vcpus = ?2, memory = ?3 WHERE id = ?1",
    [SET_LIVE] = "UPDATE vm SET live_vcpus = ?2, live_memory = ?3 WHERE id = ?1",
    [SET_AGENT] = "UPDATE vm SET agent = ?2 WHERE id = ?1",
    [SET_HOST] = "UPDATE vm SET host_id = ?2 WHERE id = ?1",
    [DELETE] = "DELETE FROM vm WHERE id = ?1 RETURNING tenant_id, created",
    [LIST_HOST] = "SELECT " COLS FROM "WHERE v.host_id = ?1 AND v.state IN (2, 3, 4, 5) ORDER BY v.created, v.id",
};
SV_SQL_TABLE(sv_sql_vm, "vm", sql);

static void read_row(sqlite3_stmt *st, struct sv_vm *v)
{
    *v = (struct sv_vm){.id = sv_col_id(st, 0),
                        .tenant = sv_col_id(st, 1),
                        .host = sv_col_id(st, 2),
                        .template_id = sv_col_id(st, 3),
                        .name = sv_col_text(st, 4),
                        .descr = sv_col_text(st, 5),
                        .model = sv_col_text(st, 6),
                        .model_type = sv_col_text(st, 7),
                        .state = (enum sv_vm_state)sv_col_int(st, 8),
                        .vcpus = sv_col_int(st, 9),
                        .memory = sv_col_int(st, 10),
                        .live_vcpus = sv_col_int(st, 11),
                        .live_memory = sv_col_int(st, 12),
                        .ip = (uint32_t)sv_col_int(st, 13),
                        .nested = sv_col_int(st, 14) != 0,
                        .agent = sv_col_int(st, 15) != 0,
                        .created = sv_col_int(st, 16)};
    if (v->state >= SV_VM_STOPPED && v->state <= SV_VM_SAVED && !sv_col_int(st, 17))
        v->state = SV_VM_UNKNOWN;
}

static enum sv_err count(struct sv_tx *tx, const struct sv_id *tenant, int64_t delta, struct sv_error *err)
{
    SV_STMT one = sv_stmt(tx, &sv_sql_vm, COUNT_TENANT);
    SV_STMT all = sv_stmt(tx, &sv_sql_vm, COUNT_ALL);
    enum sv_err rc;

    sv_bind(one, "di", tenant, delta);
    rc = sv_exec(tx, one, NULL, err);
    sv_bind(all, "i", delta);
    return rc ? rc : sv_exec(tx, all, NULL, err);
}

enum sv_err sv_vm_insert(struct sv_tx *tx, const struct sv_vm *vm, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vm, INSERT);
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "ddDdttttIiiiIi", &vm->id, &vm->tenant, &vm->host, &vm->template_id, vm->name, vm->descr, vm->model,
            vm->model_type, (int)vm->state, vm->vcpus, vm->memory, (int64_t)vm->ip, (int)vm->nested, vm->created);
    rc = sv_exec(tx, st, NULL, err);
    if (!rc)
        rc = count(tx, &vm->tenant, 1, err);
    if (!rc)
        sv_marks_inserted(tx, &vm->tenant, vm->created, &vm->id);
    return rc;
}

static enum sv_err get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, sqlite3_stmt *st,
                       struct sv_vm *ret, struct sv_error *err)
{
    struct sv_vm v;
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", id);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_VM_NOT_FOUND, SV_F_VM);
    read_row(st, &v);
    if (!sv_id_empty(&scope.tenant) && !sv_id_eq(&scope.tenant, &v.tenant))
        return sv_fail(err, SV_E_VM_NOT_FOUND, SV_F_VM);
    *ret = v;
    return SV_OK;
}

enum sv_err sv_vm_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                      struct sv_vm *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vm, GET);
    enum sv_err rc = get(tx, scope, id, st, ret, err);

    if (rc)
        return rc;
    ret->name = sv_arena_strdup(a, ret->name);
    ret->descr = sv_arena_strdup(a, ret->descr);
    ret->model = sv_arena_strdup(a, ret->model);
    ret->model_type = sv_arena_strdup(a, ret->model_type);
    return SV_OK;
}

/* --- lists ------------------------------------------------------------------------------------------ */

typedef void (*row_fn)(void *arg, const struct sv_vm *vm);

static enum sv_err each(struct sv_tx *tx, sqlite3_stmt *st, row_fn row, void *arg, struct sv_error *err)
{
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_vm v;

        read_row(st, &v);
        row(arg, &v);
    }
    return rc;
}

/* The total is a kept counter, the page begins at a rank mark: neither costs the table. */
static enum sv_err list_plain(struct sv_tx *tx, const struct sv_id *tenant, const struct sv_page *p, row_fn row,
                              void *arg, uint64_t *ret_total, struct sv_error *err)
{
    const bool all = sv_id_empty(tenant);
    const int64_t limit = p->limit ? (int64_t)p->limit : -1;
    SV_STMT total = sv_stmt(tx, &sv_sql_vm, all ? TOTAL_ALL : TOTAL_TENANT);
    int64_t created = 0;
    uint64_t skip = p->offset;
    struct sv_id after;
    bool more, seek;
    enum sv_err rc;

    sv_bind(total, "d", tenant);
    rc = sv_step(tx, total, &more, err);
    if (rc)
        return rc;
    *ret_total = more ? (uint64_t)sv_col_int(total, 0) : 0;
    if (p->offset >= *ret_total)
        return SV_OK;
    seek = p->offset > 0 && sv_marks_seek(tx, tenant, p->offset, &created, &after, &skip);
    {
        SV_STMT st = sv_stmt(tx, &sv_sql_vm,
                             all ? (seek ? PAGE_ALL_AFTER : PAGE_ALL) : (seek ? PAGE_TENANT_AFTER : PAGE_TENANT));

        sv_bind(st, seek ? "diiid" : "dii", tenant, limit, (int64_t)skip, created, &after);
        return each(tx, st, row, arg, err);
    }
}

static bool needs_row(const struct sv_vm_filter *f)
{
    return f->by_state || f->ip || !sv_id_empty(&f->host);
}

/* First the ids of what matches, counted and cut to the page; then only the page's rows. */
static enum sv_err list_filtered(struct sv_tx *tx, const struct sv_id *tenant, const struct sv_vm_filter *f,
                                 const struct sv_page *p, row_fn row, void *arg, uint64_t *ret_total,
                                 struct sv_error *err)
{
    const bool all = sv_id_empty(tenant), rows = needs_row(f);
    SV_STMT ids = sv_stmt(tx, &sv_sql_vm, all ? (rows ? ROWS_ALL : NAMES_ALL) : (rows ? ROWS_TENANT : NAMES_TENANT));
    SV_STMT one = sv_stmt(tx, &sv_sql_vm, GET);
    uint32_t ip = 0;
    uint64_t n = 0;
    bool more;
    enum sv_err rc;

    *ret_total = 0;
    if (f->ip && !sv_ip4_parse(f->ip, &ip))
        return SV_OK;
    sv_bind(ids, rows ? "dttIIid" : "dtt", tenant, f->name, f->id, f->by_state ? (int)f->states[0] : -1,
            (int)f->states[1], f->ip ? (int64_t)ip : -1, &f->host);
    while (!(rc = sv_step(tx, ids, &more, err)) && more) {
        const bool wanted = n >= p->offset && (!p->limit || n < p->offset + p->limit);
        const struct sv_id id = sv_col_id(ids, 0);
        struct sv_vm v;

        n++;
        if (!wanted)
            continue;
        sqlite3_reset(one);
        rc = get(tx, sv_scope_system(), &id, one, &v, err);
        if (rc)
            return rc;
        row(arg, &v);
    }
    *ret_total = n;
    return rc;
}

enum sv_err sv_vm_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_vm_filter *f, const struct sv_page *p,
                       row_fn row, void *arg, uint64_t *ret_total, struct sv_error *err)
{
    const struct sv_id *tenant = sv_id_empty(&scope.tenant) ? &f->tenant : &scope.tenant;

    if (!sv_id_empty(&f->tenant) && !sv_id_eq(tenant, &f->tenant)) {
        *ret_total = 0;
        return SV_OK;
    }
    if (needs_row(f) || (f->name && f->name[0]) || (f->id && f->id[0]))
        return list_filtered(tx, tenant, f, p, row, arg, ret_total, err);
    return list_plain(tx, tenant, p, row, arg, ret_total, err);
}

enum sv_err sv_vm_list_host(struct sv_tx *tx, const struct sv_id *host, row_fn row, void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vm, LIST_HOST);

    sv_bind(st, "d", host);
    return each(tx, st, row, arg, err);
}

/* --- changes ---------------------------------------------------------------------------------------- */

static enum sv_err change(struct sv_tx *tx, sqlite3_stmt *st, struct sv_error *err)
{
    int n;
    enum sv_err rc;

    assert(tx->writable);
    rc = sv_exec(tx, st, &n, err);
    return rc ? rc : n ? SV_OK : sv_fail(err, SV_E_VM_NOT_FOUND, SV_F_VM);
}

enum sv_err sv_vm_rename(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, const char *name,
                         const char *descr, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vm, RENAME);

    sv_bind(st, "ddTT", id, &scope.tenant, name, descr);
    return change(tx, st, err);
}

enum sv_err sv_vm_set_state(struct sv_tx *tx, const struct sv_id *id, unsigned from_mask, enum sv_vm_state to,
                            struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vm, SET_STATE);
    int n;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "dIiI", id, (int)to, (int64_t)from_mask, (int)(to == SV_VM_RUNNING || to == SV_VM_PAUSED));
    rc = sv_exec(tx, st, &n, err);
    return rc ? rc : n ? SV_OK : sv_fail(err, SV_E_VM_STATE, SV_F_VM, id->s);
}

enum sv_err sv_vm_set_size(struct sv_tx *tx, const struct sv_id *id, int64_t vcpus, int64_t memory,
                           struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vm, SET_SIZE);

    sv_bind(st, "dii", id, vcpus, memory);
    return change(tx, st, err);
}

enum sv_err sv_vm_set_live(struct sv_tx *tx, const struct sv_id *id, int64_t vcpus, int64_t memory,
                           struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vm, SET_LIVE);

    sv_bind(st, "dii", id, vcpus, memory);
    return change(tx, st, err);
}

enum sv_err sv_vm_set_agent(struct sv_tx *tx, const struct sv_id *id, bool up, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vm, SET_AGENT);

    sv_bind(st, "dI", id, (int)up);
    return change(tx, st, err);
}

enum sv_err sv_vm_set_host(struct sv_tx *tx, const struct sv_id *id, const struct sv_id *host, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vm, SET_HOST);

    sv_bind(st, "dD", id, host);
    return change(tx, st, err);
}

enum sv_err sv_vm_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vm, DELETE);
    struct sv_id tenant;
    int64_t created;
    bool row;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "d", id);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_VM_NOT_FOUND, SV_F_VM);
    tenant = sv_col_id(st, 0);
    created = sv_col_int(st, 1);
    rc = sv_step(tx, st, &row, err); /* RETURNING: the statement ends with the next step */
    if (!rc)
        rc = count(tx, &tenant, -1, err);
    if (!rc)
        sv_marks_deleted(tx, &tenant, created, id);
    return rc;
}
