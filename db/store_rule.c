/* Rules: of a group, of one NIC, of the boundary of a VPC. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_rule.h"
#include "starvirt/store_unit.h"

#define COLS                                                                                                           \
    "SELECT r.id, r.tenant_id, r.kind, r.nic_id, r.group_id, r.direction, r.proto, r.srcs, r.dsts, r.ports, r.descr,"  \
    " r.created"
#define PLAIN COLS " FROM rule r "

/* Searches: what both have in common is ?2..?7. */
#define LIKE                                                                                                           \
    "(?2 = '' OR r.id = ?2) AND (?3 < 0 OR r.proto = ?3) AND (?4 < 0 OR r.direction = ?4)"                             \
    " AND (?5 = '' OR instr(r.srcs, ?5) > 0) AND (?6 = '' OR instr(r.dsts, ?6) > 0) AND (?7 IS NULL OR r.ports = ?7)"
#define NIC_TABLES                                                                                                     \
    " FROM rule r JOIN nic n ON n.id = r.nic_id LEFT JOIN router_leg l ON l.vpc_id = n.vpc_id AND r.kind = 0"
#define NIC_LIKE                                                                                                       \
    LIKE " AND r.nic_id IS NOT NULL AND (?8 < 0 OR r.kind = ?8) AND (?9 = '' OR instr(n.vpc_id, lower(?9)) > 0)"       \
         " AND (?10 = '' OR l.router_id = ?10 OR l.router_id = (SELECT router_id FROM router_node WHERE id = ?10)) "
#define SEARCH_NICS                                                                                                    \
    COLS ", t.name, v.name, '', coalesce(o.name, ''), n.vpc_id, coalesce(o.id, '')" NIC_TABLES                         \
         " JOIN vm v ON v.id = n.vm_id JOIN tenant t ON t.id = r.tenant_id LEFT JOIN router o ON o.id = l.router_id"
#define NICS_PAGE "ORDER BY r.created, r.id LIMIT ?11 OFFSET ?12"

/* Of groups that failed; of NICs, their own and those of their groups; of the boundaries of routers. */
#define ISSUE  "SELECT u.id AS unit, r.id AS rule, n.vm_id AS vm, u.failures AS failures FROM net_unit u JOIN "
#define FAILED "WHERE u.failures > 0 AND (?1 = '' OR u.tenant_id = ?1) AND (?2 = '' OR n.vm_id = ?2) AND "
#define ISSUES                                                                                                         \
    "(" ISSUE                                                                                                          \
    "rule r ON r.group_id = u.id JOIN secgroup_nic m ON m.group_id = u.id JOIN nic n ON n.id = m.nic_id " FAILED       \
    "u.kind = 2 AND (?3 = '' OR r.group_id = ?3) UNION " ISSUE                                                         \
    "nic n ON n.id = u.id JOIN rule r ON r.nic_id = n.id AND r.kind = 1 " FAILED "u.kind = 3 AND ?3 = '' UNION " ISSUE \
    "nic n ON n.id = u.id JOIN secgroup_nic m ON m.nic_id = n.id JOIN rule r ON r.group_id = m.group_id " FAILED       \
    "u.kind = 3 AND (?3 = '' OR r.group_id = ?3) UNION " ISSUE                                                         \
    "router_leg l ON l.router_id = u.id JOIN nic n ON n.vpc_id = l.vpc_id JOIN rule r ON r.nic_id = n.id AND r.kind"   \
    " = 0 " FAILED "u.kind = 1 AND ?3 = '')"

/* How many, and the one that says the same as ?2..?6. */
#define AROUND                                                                                                         \
    "SELECT count(*), max(CASE WHEN r.direction = ?2 AND r.proto = ?3 AND r.srcs = ?4 AND r.dsts = ?5 AND r.ports ="   \
    " ?6 THEN r.id END) FROM "

enum {
    INSERT,
    GET,
    DELETE,
    AROUND_GATE,
    AROUND_NIC,
    AROUND_GROUP,
    COUNT_TENANT,
    LIST_NIC,
    LIST_GROUP,
    LIST_GATE,
    SEARCH_ALL,
    SEARCH_TENANT,
    FOUND_ALL,
    FOUND_TENANT,
    SEARCH_GROUP,
    FOUND_GROUP,
    ISSUES_PAGE,
    ISSUES_ALL,
    GATES,
    ROUTER,
    GATE_RULES,
    DROP_NIC,
    LEAVE_GROUPS,
};

static const char *const sql[] = {
    [INSERT] = "INSERT INTO rule(id, tenant_id, kind, nic_id, group_id, direction, proto, srcs, dsts, ports, descr,"
               " created) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    [GET] = PLAIN "WHERE r.id = ?1 AND (?2 = '' OR r.tenant_id = ?2) AND (r.group_id IS NOT NULL) = ?3",
    [DELETE] = "DELETE FROM rule WHERE id = ?1",
    [AROUND_GATE] = AROUND "nic n JOIN rule r ON r.nic_id = n.id WHERE n.vpc_id = (SELECT vpc_id FROM nic WHERE id ="
                           " ?1) AND r.kind = 0",
    [AROUND_NIC] = AROUND "rule r WHERE r.nic_id = ?1 AND r.kind = 1",
    [AROUND_GROUP] = AROUND "rule r WHERE r.group_id = ?1",
    [COUNT_TENANT] = "SELECT count(*) FROM rule WHERE tenant_id = ?1",
    [LIST_NIC] = PLAIN "WHERE r.nic_id = ?1 AND r.kind = 1 ORDER BY r.id",
    [LIST_GROUP] = PLAIN "WHERE r.group_id = ?1 ORDER BY r.id",
    [LIST_GATE] = COLS " FROM nic n JOIN rule r ON r.nic_id = n.id WHERE n.vpc_id = ?1 AND r.kind = 0 ORDER BY r.id",
    [SEARCH_ALL] = SEARCH_NICS " WHERE ?1 = '' AND " NIC_LIKE NICS_PAGE,
    [SEARCH_TENANT] = SEARCH_NICS " WHERE r.tenant_id = ?1 AND " NIC_LIKE NICS_PAGE,
    [FOUND_ALL] = "SELECT count(*)" NIC_TABLES " WHERE ?1 = '' AND " NIC_LIKE,
    [FOUND_TENANT] = "SELECT count(*)" NIC_TABLES " WHERE r.tenant_id = ?1 AND " NIC_LIKE,
    [SEARCH_GROUP] = COLS ", '', '', g.name, '', '', '' FROM rule r JOIN secgroup g ON g.id = r.group_id WHERE"
                          " r.group_id = ?1 AND " LIKE " ORDER BY r.id LIMIT ?8 OFFSET ?9",
    [FOUND_GROUP] = "SELECT count(*) FROM rule r WHERE r.group_id = ?1 AND " LIKE,
    [ISSUES_PAGE] = "SELECT unit, rule, vm, failures FROM " ISSUES " ORDER BY unit, rule, vm LIMIT ?4 OFFSET ?5",
    [ISSUES_ALL] = "SELECT count(*) FROM " ISSUES,
    [GATES] = "SELECT l.vpc_id, v.gate FROM router_leg l JOIN vpc v ON v.id = l.vpc_id WHERE l.router_id = ?1"
              " ORDER BY l.vpc_id",
    [ROUTER] = "SELECT router_id FROM router_leg WHERE vpc_id = ?1",
    [GATE_RULES] = "SELECT count(*) FROM rule WHERE nic_id = ?1 AND kind = 0",
    [DROP_NIC] = "DELETE FROM rule WHERE nic_id = ?1",
    [LEAVE_GROUPS] = "DELETE FROM secgroup_nic WHERE nic_id = ?1",
};
SV_SQL_TABLE(sv_sql_rule, "rule", sql);
_Static_assert(SV_RULE_GATE == 0 && SV_RULE_NIC == 1, "statements name kinds by number");
_Static_assert(SV_UNIT_ROUTER == 1 && SV_UNIT_GROUP == 2 && SV_UNIT_NIC == 3, "... also of units");

enum { SEARCH_COL = 12 }; /* the first of those that only searches have */

static void read_row(sqlite3_stmt *st, bool searched, struct sv_rule *r)
{
    *r = (struct sv_rule){.id = sv_col_id(st, 0),
                          .tenant = sv_col_id(st, 1),
                          .kind = (enum sv_rule_kind)sv_col_int(st, 2),
                          .nic = sv_col_id(st, 3),
                          .group = sv_col_id(st, 4),
                          .in = sv_col_int(st, 5) != 0,
                          .proto = (enum sv_rule_proto)sv_col_int(st, 6),
                          .srcs = sv_col_text(st, 7),
                          .dsts = sv_col_text(st, 8),
                          .ports = sv_col_text(st, 9),
                          .descr = sv_col_text(st, 10),
                          .created = sv_col_int(st, 11),
                          .tenant_name = "",
                          .vm_name = "",
                          .group_name = "",
                          .router_name = ""};
    if (!searched)
        return;
    r->tenant_name = sv_col_text(st, SEARCH_COL);
    r->vm_name = sv_col_text(st, SEARCH_COL + 1);
    r->group_name = sv_col_text(st, SEARCH_COL + 2);
    r->router_name = sv_col_text(st, SEARCH_COL + 3);
    r->vpc = sv_col_id(st, SEARCH_COL + 4);
    r->router = sv_col_id(st, SEARCH_COL + 5);
}

static enum sv_err each(struct sv_tx *tx, sqlite3_stmt *st, bool searched, sv_rule_fn *row, void *arg,
                        struct sv_error *err)
{
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_rule r;

        read_row(st, searched, &r);
        row(arg, &r);
    }
    return rc;
}

/* --- one -------------------------------------------------------------------------------------------- */

enum sv_err sv_rule_insert(struct sv_tx *tx, const struct sv_rule *r, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_rule, INSERT);

    assert(tx->writable && sv_id_empty(&r->nic) == (r->kind == SV_RULE_GROUP) &&
           sv_id_empty(&r->group) == (r->kind != SV_RULE_GROUP));
    sv_bind(st, "ddIDDIItttti", &r->id, &r->tenant, (int)r->kind, &r->nic, &r->group, (int)r->in, (int)r->proto,
            r->srcs, r->dsts, r->ports, r->descr, r->created);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_rule_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, bool of_group,
                        struct sv_arena *a, struct sv_rule *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_rule, GET);
    struct sv_rule r;
    bool row;
    enum sv_err rc;

    sv_bind(st, "ddI", id, &scope.tenant, (int)of_group);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_RULE_NOT_FOUND, SV_F_RULE);
    read_row(st, false, &r);
    r.srcs = sv_arena_strdup(a, r.srcs);
    r.dsts = sv_arena_strdup(a, r.dsts);
    r.ports = sv_arena_strdup(a, r.ports);
    r.descr = sv_arena_strdup(a, r.descr);
    *ret = r;
    return SV_OK;
}

enum sv_err sv_rule_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_rule, DELETE);

    assert(tx->writable);
    sv_bind(st, "d", id);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_rule_look_around(struct sv_tx *tx, const struct sv_rule *r, struct sv_rule_place *ret,
                                struct sv_error *err)
{
    static const unsigned around[] = {
        [SV_RULE_GATE] = AROUND_GATE, [SV_RULE_NIC] = AROUND_NIC, [SV_RULE_GROUP] = AROUND_GROUP};
    SV_STMT st = sv_stmt(tx, &sv_sql_rule, around[r->kind]);
    bool row;
    enum sv_err rc;

    sv_bind(st, "dIIttt", r->kind == SV_RULE_GROUP ? &r->group : &r->nic, (int)r->in, (int)r->proto, r->srcs, r->dsts,
            r->ports);
    rc = sv_step(tx, st, &row, err);
    if (!rc)
        *ret = (struct sv_rule_place){.count = sv_col_int(st, 0), .same = sv_col_id(st, 1)};
    return rc;
}

enum sv_err sv_rule_count_tenant(struct sv_tx *tx, const struct sv_id *tenant, int64_t *ret, struct sv_error *err)
{
    return sv_number_of(tx, &sv_sql_rule, COUNT_TENANT, tenant, ret, err);
}

/* --- for an engine ---------------------------------------------------------------------------------- */

static enum sv_err list(struct sv_tx *tx, unsigned which, const struct sv_id *of, sv_rule_fn *row, void *arg,
                        struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_rule, which);

    sv_bind(st, "d", of);
    return each(tx, st, false, row, arg, err);
}

enum sv_err sv_rule_list_nic(struct sv_tx *tx, const struct sv_id *nic, sv_rule_fn *row, void *arg,
                             struct sv_error *err)
{
    return list(tx, LIST_NIC, nic, row, arg, err);
}

enum sv_err sv_rule_list_group(struct sv_tx *tx, const struct sv_id *group, sv_rule_fn *row, void *arg,
                               struct sv_error *err)
{
    return list(tx, LIST_GROUP, group, row, arg, err);
}

enum sv_err sv_rule_list_gate(struct sv_tx *tx, const struct sv_id *vpc, sv_rule_fn *row, void *arg,
                              struct sv_error *err)
{
    return list(tx, LIST_GATE, vpc, row, arg, err);
}

enum sv_err sv_gate_list(struct sv_tx *tx, const struct sv_id *router, sv_gate_fn *row, void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_rule, GATES);
    bool more;
    enum sv_err rc;

    sv_bind(st, "d", router);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_id vpc = sv_col_id(st, 0);

        row(arg, &vpc, sv_col_int(st, 1) != 0);
    }
    return rc;
}

enum sv_err sv_gate_router(struct sv_tx *tx, const struct sv_id *vpc, struct sv_id *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_rule, ROUTER);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", vpc);
    rc = sv_step(tx, st, &row, err);
    if (!rc)
        *ret = row ? sv_col_id(st, 0) : (struct sv_id){.s = ""};
    return rc;
}

/* --- searches --------------------------------------------------------------------------------------- */

static void bind_like(sqlite3_stmt *st, const struct sv_id *of, const struct sv_rule_filter *f)
{
    sv_bind(st, "ddIIttT", of, &f->id, f->proto, f->in, f->src, f->dst, f->ports);
}

static void bind_nics(sqlite3_stmt *st, const struct sv_id *tenant, const struct sv_rule_filter *f)
{
    bind_like(st, tenant, f);
    sqlite3_bind_int(st, 8, f->kind);
    sqlite3_bind_text(st, 9, f->vpc ? f->vpc : "", -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 10, f->router.s, -1, SQLITE_STATIC);
}

static void bind_page(sqlite3_stmt *st, int at, const struct sv_page *p)
{
    sqlite3_bind_int64(st, at, sv_page_limit(p));
    sqlite3_bind_int64(st, at + 1, (int64_t)p->offset);
}

enum sv_err sv_rule_search(struct sv_tx *tx, struct sv_scope scope, const struct sv_rule_filter *f,
                           const struct sv_page *p, sv_rule_fn *row, void *arg, uint64_t *ret_total,
                           struct sv_error *err)
{
    const bool all = sv_id_empty(&scope.tenant);
    SV_STMT count = sv_stmt(tx, &sv_sql_rule, all ? FOUND_ALL : FOUND_TENANT);
    SV_STMT st = sv_stmt(tx, &sv_sql_rule, all ? SEARCH_ALL : SEARCH_TENANT);
    bool more;
    enum sv_err rc;

    bind_nics(count, &scope.tenant, f);
    rc = sv_step(tx, count, &more, err);
    if (rc)
        return rc;
    *ret_total = (uint64_t)sv_col_int(count, 0);
    bind_nics(st, &scope.tenant, f);
    bind_page(st, 11, p);
    return each(tx, st, true, row, arg, err);
}

/* Adds to *total; what `left` says of the page is still to be given. */
static enum sv_err search_group(struct sv_tx *tx, const struct sv_id *group, const struct sv_rule_filter *f,
                                struct sv_page *left, bool *full, sv_rule_fn *row, void *arg, uint64_t *total,
                                struct sv_error *err)
{
    SV_STMT count = sv_stmt(tx, &sv_sql_rule, FOUND_GROUP);
    SV_STMT st = sv_stmt(tx, &sv_sql_rule, SEARCH_GROUP);
    uint64_t n, given;
    bool more;
    enum sv_err rc;

    bind_like(count, group, f);
    rc = sv_step(tx, count, &more, err);
    if (rc)
        return rc;
    n = (uint64_t)sv_col_int(count, 0);
    *total += n;
    if (*full || n <= left->offset) {
        left->offset -= *full ? 0 : n;
        return SV_OK;
    }
    bind_like(st, group, f);
    bind_page(st, 8, left);
    given = n - left->offset;
    left->offset = 0;
    if (left->limit && given >= left->limit)
        *full = true;
    else if (left->limit)
        left->limit -= (unsigned)given;
    return each(tx, st, true, row, arg, err);
}

enum sv_err sv_rule_search_groups(struct sv_tx *tx, const struct sv_id *groups, size_t n,
                                  const struct sv_rule_filter *f, const struct sv_page *p, sv_rule_fn *row, void *arg,
                                  uint64_t *ret_total, struct sv_error *err)
{
    struct sv_page left = *p;
    uint64_t total = 0;
    bool full = false;
    enum sv_err rc = SV_OK;

    for (size_t i = 0; !rc && i < n; i++)
        rc = search_group(tx, &groups[i], f, &left, &full, row, arg, &total, err);
    if (!rc)
        *ret_total = total;
    return rc;
}

/* --- not in force ----------------------------------------------------------------------------------- */

enum sv_err sv_rule_issues(struct sv_tx *tx, struct sv_scope scope, const struct sv_rule_issue_filter *f,
                           const struct sv_page *p, void (*row)(void *arg, const struct sv_rule_issue *i), void *arg,
                           uint64_t *ret_total, struct sv_error *err)
{
    SV_STMT count = sv_stmt(tx, &sv_sql_rule, ISSUES_ALL);
    SV_STMT st = sv_stmt(tx, &sv_sql_rule, ISSUES_PAGE);
    bool more;
    enum sv_err rc;

    sv_bind(count, "ddd", &scope.tenant, &f->vm, &f->group);
    rc = sv_step(tx, count, &more, err);
    if (rc)
        return rc;
    *ret_total = (uint64_t)sv_col_int(count, 0);
    sv_bind(st, "ddd", &scope.tenant, &f->vm, &f->group);
    bind_page(st, 4, p);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        const struct sv_rule_issue i = {
            .unit = sv_col_id(st, 0), .rule = sv_col_id(st, 1), .vm = sv_col_id(st, 2), .failures = sv_col_int(st, 3)};

        row(arg, &i);
    }
    return rc;
}

/* --- a NIC goes ------------------------------------------------------------------------------------- */

enum sv_err sv_rule_drop_nic(struct sv_tx *tx, const struct sv_id *nic, bool *ret_gate, struct sv_error *err)
{
    SV_STMT rules = sv_stmt(tx, &sv_sql_rule, DROP_NIC);
    SV_STMT places = sv_stmt(tx, &sv_sql_rule, LEAVE_GROUPS);
    int64_t gates = 0;
    enum sv_err rc = sv_number_of(tx, &sv_sql_rule, GATE_RULES, nic, &gates, err);

    assert(tx->writable);
    sv_bind(rules, "d", nic);
    if (!rc)
        rc = sv_exec(tx, rules, NULL, err);
    sv_bind(places, "d", nic);
    if (!rc)
        rc = sv_exec(tx, places, NULL, err);
    if (!rc)
        *ret_gate = gates > 0;
    return rc;
}
