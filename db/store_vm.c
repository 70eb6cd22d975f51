/* VM rows and their lists. */
#include <assert.h>
#include <stdlib.h>

#include "db/internal.h"
#include "starvirt/store_vm.h"
#include "starvirt/text.h"

#define COLS                                                                                                           \
    "v.id, v.tenant_id, v.host_id, v.template_id, v.name, v.descr, v.model, v.model_type, v.state, v.vcpus, v.memory," \
    " v.live_vcpus, v.live_memory, v.ip, v.nested, v.agent, v.created,"                                                \
    " v.firewalled, v.guest_ips, EXISTS (SELECT 1 FROM lock l WHERE l.object_id = v.id),"                              \
    " (SELECT min(job_id) FROM pending_undo p WHERE p.object_id = v.id), v.labels"
/* What a search looks at: the first two are all in the index that gives the order. */
#define NAMES "v.id, v.name"
#define WHOLE NAMES ", v.state, v.host_id"

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
    BY_IP,
    DOWN,
    RENAME,
    SET_STATE,
    SET_SIZE,
    SET_LIVE,
    SET_AGENT,
    SET_FIREWALLED,
    SET_GUEST_IPS,
    SET_HOST,
    DELETE,
    LIST_HOST,
    EACH_ID,
};

static const char *const sql[] = {
    [INSERT] = "INSERT INTO vm(id, tenant_id, host_id, template_id, name, descr, model, model_type, state, vcpus, "
               "memory, ip, nested,"
               " created, labels) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    [COUNT_TENANT] = "UPDATE tenant SET vm_count = vm_count + ?2 WHERE id = ?1",
    [COUNT_ALL] = "UPDATE counter SET value = value + ?1 WHERE name = 'vm'",
    [GET] = "SELECT " COLS " FROM vm v WHERE v.id = ?1",
    [TOTAL_ALL] = "SELECT value FROM counter WHERE name = 'vm' AND ?1 = ''",
    [TOTAL_TENANT] = "SELECT vm_count FROM tenant WHERE id = ?1",
    [PAGE_ALL] = "SELECT " COLS " FROM vm v WHERE ?1 = '' ORDER BY v.created, v.id LIMIT ?2 OFFSET ?3",
    [PAGE_TENANT] = "SELECT " COLS " FROM vm v WHERE v.tenant_id = ?1 ORDER BY v.created, v.id LIMIT ?2 OFFSET ?3",
    [PAGE_ALL_AFTER] = "SELECT " COLS " FROM vm v WHERE ?1 = '' AND (v.created, v.id) > (?4, ?5)"
                       " ORDER BY v.created, v.id LIMIT ?2 OFFSET ?3",
    [PAGE_TENANT_AFTER] = "SELECT " COLS " FROM vm v WHERE v.tenant_id = ?1 AND (v.created, v.id) > (?4, ?5)"
                          " ORDER BY v.created, v.id LIMIT ?2 OFFSET ?3",
    [NAMES_ALL] = "SELECT " NAMES " FROM vm v WHERE ?1 = '' ORDER BY v.created, v.id",
    [NAMES_TENANT] = "SELECT " NAMES " FROM vm v WHERE v.tenant_id = ?1 ORDER BY v.created, v.id",
    [ROWS_ALL] = "SELECT " WHOLE " FROM vm v WHERE ?1 = '' ORDER BY v.created, v.id",
    [ROWS_TENANT] = "SELECT " WHOLE " FROM vm v WHERE v.tenant_id = ?1 ORDER BY v.created, v.id",
    /* subnets do not overlap: the last that begins at or before the address is the one it can be in */
    [BY_IP] = "SELECT " WHOLE " FROM nic n JOIN vm v ON v.id = n.vm_id WHERE n.vpc_id ="
              " (SELECT id FROM vpc WHERE base <= ?2 ORDER BY base DESC LIMIT 1) AND n.ip = ?2 AND v.ip = ?2"
              " AND (?1 = '' OR v.tenant_id = ?1)",
    [DOWN] = "SELECT id FROM host WHERE connected = 0 ORDER BY id",
    [RENAME] = "UPDATE vm SET name = coalesce(?3, name), descr = coalesce(?4, descr) WHERE id = ?1 AND (?2 = '' OR "
               "tenant_id = ?2)",
    [SET_STATE] =
        "UPDATE vm SET state = ?2, agent = CASE WHEN ?4 THEN agent ELSE 0 END,"
        " guest_ips = CASE WHEN ?4 THEN guest_ips ELSE '' END,"
        " live_vcpus = CASE WHEN ?4 THEN live_vcpus ELSE 0 END, live_memory = CASE WHEN ?4 THEN live_memory ELSE 0 END"
        " WHERE id = ?1 AND ((1 << state) & ?3)",
    [SET_SIZE] = "UPDATE vm SET vcpus = ?2, memory = ?3 WHERE id = ?1",
    [SET_LIVE] = "UPDATE vm SET live_vcpus = ?2, live_memory = ?3 WHERE id = ?1",
    [SET_AGENT] = "UPDATE vm SET agent = ?2 WHERE id = ?1",
    [SET_FIREWALLED] = "UPDATE vm SET firewalled = ?2 WHERE id = ?1",
    [SET_GUEST_IPS] = "UPDATE vm SET guest_ips = ?2 WHERE id = ?1 AND guest_ips <> ?2 AND state IN (0, 1, 3, 4)",
    [SET_HOST] = "UPDATE vm SET host_id = ?2 WHERE id = ?1",
    [DELETE] = "DELETE FROM vm WHERE id = ?1 RETURNING tenant_id, created",
    [LIST_HOST] = "SELECT " COLS " FROM vm v WHERE v.host_id = ?1 AND v.state IN (2, 3, 4, 5)",
    [EACH_ID] = "SELECT id FROM vm",
};
SV_SQL_TABLE(sv_sql_vm, "vm", sql);

_Static_assert(SV_VM_BUILDING == 0 && SV_VM_CLONING == 1 && SV_VM_STOPPED == 2 && SV_VM_RUNNING == 3 &&
                   SV_VM_PAUSED == 4 && SV_VM_SAVED == 5,
               "LIST_HOST and SET_GUEST_IPS name the states by number");

/* --- what is seen ----------------------------------------------------------------------------------- */

/* The hosts that do not answer, sorted: few or none, so that no row is joined to say that its host is there. */
struct down {
    const struct sv_id *hosts;
    size_t n;
};

static enum sv_err read_down(struct sv_tx *tx, struct down *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vm, DOWN);
    struct sv_id *hosts = NULL;
    size_t n = 0, cap = 0;
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        if (n == cap) {
            const struct sv_id *fewer = hosts;

            cap = cap ? cap * 2 : 16;
            hosts = sv_arena_alloc(tx->arena, cap * sizeof(*hosts));
            if (n)
                memcpy(hosts, fewer, n * sizeof(*hosts));
        }
        hosts[n++] = sv_col_id(st, 0);
    }
    if (!rc)
        *ret = (struct down){.hosts = hosts, .n = n};
    return rc;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct sv_id *)a)->s, ((const struct sv_id *)b)->s);
}

/* Stopped, running, paused and saved are unknown while the host does not answer. */
static enum sv_vm_state seen(const struct down *down, enum sv_vm_state stored, const struct sv_id *host)
{
    if (stored < SV_VM_STOPPED || stored > SV_VM_SAVED)
        return stored;
    if (sv_id_empty(host))
        return SV_VM_UNKNOWN;
    return down->n && bsearch(host, down->hosts, down->n, sizeof(*host), by_id) ? SV_VM_UNKNOWN : stored;
}

static void read_row(sqlite3_stmt *st, const struct down *down, struct sv_vm *v)
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
                        .created = sv_col_int(st, 16),
                        .firewalled = sv_col_int(st, 17) != 0,
                        .guest_ips = sv_col_text(st, 18),
                        .locked = sv_col_int(st, 19) != 0,
                        .undo = sv_col_id(st, 20),
                        .labels = sv_col_text(st, 21)};
    v->state = seen(down, v->state, &v->host);
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
    sv_bind(st, "ddDdttttIiiiIit", &vm->id, &vm->tenant, &vm->host, &vm->template_id, vm->name, vm->descr, vm->model,
            vm->model_type, (int)vm->state, vm->vcpus, vm->memory, (int64_t)vm->ip, (int)vm->nested, vm->created,
            vm->labels);
    rc = sv_exec(tx, st, NULL, err);
    if (!rc)
        rc = count(tx, &vm->tenant, 1, err);
    if (!rc)
        sv_marks_inserted(tx, &vm->tenant, vm->created, &vm->id);
    return rc;
}

static enum sv_err read_one(struct sv_tx *tx, sqlite3_stmt *st, const struct sv_id *id, const struct down *down,
                            struct sv_vm *ret, struct sv_error *err)
{
    bool row;
    enum sv_err rc;

    sqlite3_reset(st);
    sv_bind(st, "d", id);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_VM_NOT_FOUND, SV_F_VM);
    read_row(st, down, ret);
    return SV_OK;
}

enum sv_err sv_vm_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                      struct sv_vm *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vm, GET);
    struct down down = {.n = 0};
    struct sv_vm v = {.name = ""};
    enum sv_err rc = read_down(tx, &down, err);

    if (!rc)
        rc = read_one(tx, st, id, &down, &v, err);
    if (!rc && !sv_id_empty(&scope.tenant) && !sv_id_eq(&scope.tenant, &v.tenant))
        rc = sv_fail(err, SV_E_VM_NOT_FOUND, SV_F_VM);
    if (rc)
        return rc;
    v.name = sv_arena_strdup(a, v.name);
    v.descr = sv_arena_strdup(a, v.descr);
    v.model = sv_arena_strdup(a, v.model);
    v.model_type = sv_arena_strdup(a, v.model_type);
    v.labels = sv_arena_strdup(a, v.labels);
    v.guest_ips = sv_arena_strdup(a, v.guest_ips);
    *ret = v;
    return SV_OK;
}

/* --- lists ------------------------------------------------------------------------------------------ */

typedef void (*row_fn)(void *arg, const struct sv_vm *vm);

static enum sv_err each(struct sv_tx *tx, sqlite3_stmt *st, row_fn row, void *arg, struct sv_error *err)
{
    struct down down = {.n = 0};
    bool more;
    enum sv_err rc = read_down(tx, &down, err);

    while (!rc && !(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_vm v;

        read_row(st, &down, &v);
        row(arg, &v);
    }
    return rc;
}

static enum sv_err read_total(struct sv_tx *tx, const struct sv_id *tenant, uint64_t *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vm, sv_id_empty(tenant) ? TOTAL_ALL : TOTAL_TENANT);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", tenant);
    rc = sv_step(tx, st, &row, err);
    if (!rc)
        *ret = row ? (uint64_t)sv_col_int(st, 0) : 0;
    return rc;
}

/* The total is a kept counter, the page begins at a rank mark: neither costs the table. */
static enum sv_err list_plain(struct sv_tx *tx, const struct sv_id *tenant, const struct sv_page *p, row_fn row,
                              void *arg, uint64_t *ret_total, struct sv_error *err)
{
    static const unsigned pages[2][2] = {{PAGE_TENANT, PAGE_TENANT_AFTER}, {PAGE_ALL, PAGE_ALL_AFTER}};
    const int64_t limit = sv_page_limit(p);
    int64_t created = 0;
    uint64_t skip = p->offset;
    struct sv_id after;
    bool seek;
    enum sv_err rc = read_total(tx, tenant, ret_total, err);

    if (rc || p->offset >= *ret_total)
        return rc;
    seek = p->offset > 0 && sv_marks_seek(tx, tenant, p->offset, &created, &after, &skip);
    {
        SV_STMT st = sv_stmt(tx, &sv_sql_vm, pages[sv_id_empty(tenant)][seek]);

        sv_bind(st, seek ? "diiid" : "dii", tenant, limit, (int64_t)skip, created, &after);
        return each(tx, st, row, arg, err);
    }
}

struct search {
    const struct sv_vm_filter *filter;
    struct sv_match name, id;
    struct down down;
    bool whole; /* more than names and ids is asked for */
};

static bool matches(const struct search *s, sqlite3_stmt *st)
{
    const struct sv_vm_filter *f = s->filter;

    if (!sv_match_col(&s->name, st, 1) || !sv_match_col(&s->id, st, 0))
        return false;
    if (s->whole) {
        const struct sv_id host = sv_col_id(st, 3);
        const enum sv_vm_state now = seen(&s->down, (enum sv_vm_state)sv_col_int(st, 2), &host);

        if (f->by_state && now != f->states[0] && now != f->states[1])
            return false;
        return sv_id_empty(&f->host) || sv_id_eq(&f->host, &host);
    }
    return true;
}

/* Counts all that matches and hands on the rows of the page. */
static enum sv_err run_search(struct sv_tx *tx, sqlite3_stmt *st, const struct search *s, const struct sv_page *p,
                              row_fn row, void *arg, uint64_t *ret_total, struct sv_error *err)
{
    SV_STMT one = sv_stmt(tx, &sv_sql_vm, GET);
    uint64_t n = 0;
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_id id;
        struct sv_vm v;

        if (!matches(s, st) || !sv_on_page(p, n++))
            continue;
        id = sv_col_id(st, 0);
        rc = read_one(tx, one, &id, &s->down, &v, err);
        if (rc)
            return rc;
        row(arg, &v);
    }
    if (!rc)
        *ret_total = n;
    return rc;
}

static enum sv_err list_filtered(struct sv_tx *tx, const struct sv_id *tenant, const struct sv_vm_filter *f,
                                 const struct sv_page *p, row_fn row, void *arg, uint64_t *ret_total,
                                 struct sv_error *err)
{
    static const unsigned scans[2][2] = {{NAMES_TENANT, ROWS_TENANT}, {NAMES_ALL, ROWS_ALL}};
    struct search s = {.filter = f,
                       .name = sv_match_of(tx, f->name),
                       .id = sv_match_of(tx, f->id),
                       .whole = f->ip || f->by_state || !sv_id_empty(&f->host)};
    uint32_t ip = 0;
    enum sv_err rc;

    if (f->ip && (!sv_ip4_parse(f->ip, &ip) || ip == 0)) {
        *ret_total = 0;
        return SV_OK;
    }
    rc = read_down(tx, &s.down, err);
    if (rc)
        return rc;
    {
        SV_STMT st = sv_stmt(tx, &sv_sql_vm, f->ip ? BY_IP : scans[sv_id_empty(tenant)][s.whole]);

        sv_bind(st, f->ip ? "di" : "d", tenant, (int64_t)ip);
        return run_search(tx, st, &s, p, row, arg, ret_total, err);
    }
}

static bool filters(const struct sv_vm_filter *f)
{
    return f->by_state || f->ip || !sv_id_empty(&f->host) || (f->name && f->name[0]) || (f->id && f->id[0]);
}

enum sv_err sv_vm_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_vm_filter *f, const struct sv_page *p,
                       row_fn row, void *arg, uint64_t *ret_total, struct sv_error *err)
{
    const struct sv_id *tenant = sv_id_empty(&scope.tenant) ? &f->tenant : &scope.tenant;

    if (!sv_id_empty(&f->tenant) && !sv_id_eq(tenant, &f->tenant)) {
        *ret_total = 0;
        return SV_OK;
    }
    if (filters(f))
        return list_filtered(tx, tenant, f, p, row, arg, ret_total, err);
    return list_plain(tx, tenant, p, row, arg, ret_total, err);
}

enum sv_err sv_vm_list_host(struct sv_tx *tx, const struct sv_id *host, row_fn row, void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vm, LIST_HOST);

    sv_bind(st, "d", host);
    return each(tx, st, row, arg, err);
}

enum sv_err sv_vm_each_id(struct sv_tx *tx, void (*row)(void *arg, const struct sv_id *vm), void *arg,
                          struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vm, EACH_ID);
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_id id = sv_col_id(st, 0);

        row(arg, &id);
    }
    return rc;
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

enum sv_err sv_vm_set_firewalled(struct sv_tx *tx, const struct sv_id *id, bool on, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vm, SET_FIREWALLED);

    sv_bind(st, "dI", id, (int)on);
    return change(tx, st, err);
}

enum sv_err sv_vm_set_guest_ips(struct sv_tx *tx, const struct sv_id *id, const char *ips, bool *ret_changed,
                                struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_vm, SET_GUEST_IPS);
    int rows = 0;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "dt", id, ips);
    rc = sv_exec(tx, st, &rows, err);
    if (!rc)
        *ret_changed = rows > 0;
    return rc;
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
