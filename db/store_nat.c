/* Mappings of outer addresses, whole or by port, onto NICs. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_address.h"
#include "starvirt/store_router.h"
#include "starvirt/text.h"

#define SELECT                                                                                                         \
    "SELECT n.id, n.tenant_id, n.nic_id, i.vm_id, i.vpc_id, v.name, i.ip, coalesce(r.id, ''), n.proto, n.outer_ip,"    \
    " n.outer_port, n.inner_port, n.srcs, n.descr, n.created FROM nat n JOIN nic i ON i.id = n.nic_id JOIN vm v ON"    \
    " v.id = i.vm_id LEFT JOIN router r ON r.tenant_id = n.tenant_id "
/* UDP has ports of its own; what balancers speak besides is TCP */
#define SLB_PROTO "(CASE proto WHEN 1 THEN 2 ELSE 1 END)"

enum {
    INSERT,
    GET,
    LIST_ALL,
    LIST_TENANT,
    LIST_IDS,
    OF_NIC,
    LIST_NIC,
    AT,
    BLOCKER,
    DELETE,
};

static const char *const sql[] = {
    [INSERT] = "INSERT INTO nat(id, tenant_id, nic_id, outer_ip, proto, outer_port, inner_port, srcs, descr, created)"
               " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [GET] = SELECT "WHERE n.id = ?1 AND (?2 = '' OR n.tenant_id = ?2)",
    [LIST_ALL] = SELECT "WHERE ?1 = '' ORDER BY n.created, n.id",
    [LIST_TENANT] = SELECT "WHERE n.tenant_id = ?1 ORDER BY n.created, n.id",
    [LIST_IDS] = SELECT "WHERE n.tenant_id = ?1 ORDER BY n.id",
    [OF_NIC] = "SELECT id FROM nat WHERE nic_id = ?1 AND proto = 0",
    [LIST_NIC] = SELECT "WHERE n.nic_id = ?1",
    [AT] = "SELECT id, proto FROM nat WHERE outer_ip = ?1 AND (?3 = 0 OR proto = 0 OR (proto & ?2 AND outer_port = ?3))"
           " ORDER BY proto LIMIT 1",
    /* what stands in the way of a port, the whole address first */
    [BLOCKER] = ("SELECT 0, id FROM nat WHERE outer_ip = ?1 AND proto = 0"
                 " UNION ALL SELECT 1, id FROM slb WHERE ip = ?1 AND outside AND own"
                 " UNION ALL SELECT 2, id FROM nat WHERE outer_ip = ?1 AND outer_port = ?3 AND proto & ?2"
                 " UNION ALL SELECT 3, id FROM slb WHERE ip = ?1 AND outside AND port = ?3 AND " SLB_PROTO " & ?2"
                 " LIMIT 1"),
    [DELETE] = "DELETE FROM nat WHERE id = ?1",
};
SV_SQL_TABLE(sv_sql_nat, "nat", sql);

static void read_row(sqlite3_stmt *st, struct sv_nat *n)
{
    *n = (struct sv_nat){.id = sv_col_id(st, 0),
                         .tenant = sv_col_id(st, 1),
                         .nic = sv_col_id(st, 2),
                         .vm = sv_col_id(st, 3),
                         .vpc = sv_col_id(st, 4),
                         .vm_name = sv_col_text(st, 5),
                         .inner_ip = (uint32_t)sv_col_int(st, 6),
                         .router = sv_col_id(st, 7),
                         .proto = (enum sv_nat_proto)sv_col_int(st, 8),
                         .outer_ip = (uint32_t)sv_col_int(st, 9),
                         .outer_port = (unsigned)sv_col_int(st, 10),
                         .inner_port = (unsigned)sv_col_int(st, 11),
                         .sources = sv_col_text(st, 12),
                         .descr = sv_col_text(st, 13),
                         .created = sv_col_int(st, 14)};
}

static enum sv_err each(struct sv_tx *tx, sqlite3_stmt *st, sv_nat_fn *row, void *arg, struct sv_error *err)
{
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_nat n;

        read_row(st, &n);
        row(arg, &n);
    }
    return rc;
}

/* --- reading ----------------------------------------------------------------------------------------- */

enum sv_err sv_nat_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                       struct sv_nat *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_nat, GET);
    bool row;
    enum sv_err rc;

    sv_bind(st, "dd", id, &scope.tenant);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_NAT_NOT_FOUND, SV_F_NAT);
    read_row(st, ret);
    ret->vm_name = sv_arena_strdup(a, ret->vm_name);
    ret->sources = sv_arena_strdup(a, ret->sources);
    ret->descr = sv_arena_strdup(a, ret->descr);
    return SV_OK;
}

/* A search: rows that match are counted, those of the page handed on. */
struct search {
    const struct sv_nat_filter *f;
    const struct sv_page *page;
    struct sv_match vm_name, outer_part;
    uint64_t total;
    sv_nat_fn *row;
    void *arg;
};

static bool shows(const struct search *s, const struct sv_nat *n)
{
    const struct sv_nat_filter *f = s->f;
    char ip[SV_IP4_LEN];

    if ((f->kind == SV_NAT_WHOLE) != (n->proto == SV_NAT_IP) && f->kind != SV_NAT_EVERY)
        return false;
    if ((f->outer_ip && f->outer_ip != n->outer_ip) || (f->inner_ip && f->inner_ip != n->inner_ip))
        return false;
    if ((f->outer_port && f->outer_port != n->outer_port) || (f->inner_port && f->inner_port != n->inner_port))
        return false;
    if (!sv_id_empty(&f->router) && !sv_id_eq(&f->router, &n->router))
        return false;
    sv_ip4_format(n->outer_ip, ip);
    return sv_match_text(&s->vm_name, n->vm_name) && sv_match_text(&s->outer_part, ip);
}

static void see(void *arg, const struct sv_nat *n)
{
    struct search *s = arg;
    uint64_t at;

    if (!shows(s, n))
        return;
    at = s->total++;
    if (at >= s->page->offset && (s->page->limit == 0 || at - s->page->offset < s->page->limit))
        s->row(s->arg, n);
}

enum sv_err sv_nat_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_nat_filter *f, const struct sv_page *p,
                        sv_nat_fn *row, void *arg, uint64_t *ret_total, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_nat, sv_id_empty(&scope.tenant) ? LIST_ALL : LIST_TENANT);
    struct sv_nat_filter want = *f;
    struct search s = {.f = &want,
                       .page = p,
                       .vm_name = sv_match_of(tx, f->vm_name),
                       .outer_part = sv_match_of(tx, f->outer_part),
                       .row = row,
                       .arg = arg};
    struct sv_router r;
    struct sv_error why;
    enum sv_err rc;

    *ret_total = 0;
    if (!sv_id_empty(&f->router)) {
        rc = sv_router_get(tx, sv_scope_system(), &f->router, tx->arena, &r, &why);
        if (rc == SV_E_ROUTER_NOT_FOUND) /* nothing is mapped by what is not there */
            return SV_OK;
        if (rc && err)
            *err = why;
        if (rc)
            return rc;
        want.router = r.id;
    }
    sv_bind(st, "d", &scope.tenant);
    rc = each(tx, st, see, &s, err);
    if (!rc)
        *ret_total = s.total;
    return rc;
}

enum sv_err sv_nat_list_tenant(struct sv_tx *tx, const struct sv_id *tenant, sv_nat_fn *row, void *arg,
                               struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_nat, LIST_IDS);

    sv_bind(st, "d", tenant);
    return each(tx, st, row, arg, err);
}

enum sv_err sv_nat_of_nic(struct sv_tx *tx, const struct sv_id *nic, struct sv_id *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_nat, OF_NIC);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", nic);
    rc = sv_step(tx, st, &row, err);
    if (!rc)
        *ret = row ? sv_col_id(st, 0) : (struct sv_id){.s = ""};
    return rc;
}

enum sv_err sv_nat_at(struct sv_tx *tx, uint32_t ip, enum sv_nat_proto proto, unsigned port, struct sv_id *ret,
                      enum sv_nat_proto *ret_proto, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_nat, AT);
    bool row;
    enum sv_err rc;

    sv_bind(st, "iII", (int64_t)ip, (int)proto, (int)port);
    rc = sv_step(tx, st, &row, err);
    if (rc)
        return rc;
    *ret = row ? sv_col_id(st, 0) : (struct sv_id){.s = ""};
    *ret_proto = row ? (enum sv_nat_proto)sv_col_int(st, 1) : SV_NAT_IP;
    return SV_OK;
}

/* --- rules of rows ------------------------------------------------------------------------------------ */

enum sv_err sv_nat_check_port(struct sv_tx *tx, uint32_t ip, enum sv_nat_proto proto, unsigned port,
                              struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_nat, BLOCKER);
    char shown[SV_IP4_LEN];
    struct sv_id id;
    bool row;
    enum sv_err rc;

    sv_bind(st, "iII", (int64_t)ip, (int)proto, (int)port);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc;
    sv_ip4_format(ip, shown);
    id = sv_col_id(st, 1);
    switch (sv_col_int(st, 0)) {
    case 0:
        return sv_fail(err, SV_E_OUTER_IP_MAPPED, SV_F_OUTER_IP, shown, id.s);
    case 1:
        return sv_fail(err, SV_E_OUTER_IP_OWN, SV_F_OUTER_IP, shown, id.s);
    default:
        return sv_fail(err, SV_E_OUTER_PORT_TAKEN, SV_F_OUTER_PORT, shown, sv_dec(port).s, id.s);
    }
}

enum sv_err sv_nat_way(struct sv_tx *tx, const struct sv_nic *nic, struct sv_id *ret_router, bool *ret_leg,
                       struct sv_error *err)
{
    struct sv_router r;
    struct sv_leg leg;
    bool router = false, found = false;
    enum sv_err rc = sv_router_of_tenant(tx, &nic->tenant, tx->arena, &r, &router, err);

    router = router && r.state != SV_ROUTER_DELETING; /* leads nowhere any more */
    if (!rc && router)
        rc = sv_leg_of_vpc(tx, &nic->vpc, &leg, &found, err);
    if (rc)
        return rc;
    *ret_router = router ? r.id : (struct sv_id){.s = ""};
    *ret_leg = found && sv_id_eq(&leg.router, &r.id);
    return SV_OK;
}

/* --- changes ----------------------------------------------------------------------------------------- */

enum sv_err sv_nat_insert(struct sv_tx *tx, const struct sv_nat *n, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_nat, INSERT);

    assert(tx->writable && (n->proto == SV_NAT_IP) == (n->outer_port == 0));
    sv_bind(st, "dddiIIItti", &n->id, &n->tenant, &n->nic, (int64_t)n->outer_ip, (int)n->proto, (int)n->outer_port,
            (int)n->inner_port, n->sources, n->descr, n->created);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_nat_delete(struct sv_tx *tx, const struct sv_nat *n, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_nat, DELETE);
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "d", &n->id);
    rc = sv_exec(tx, st, NULL, err);
    return rc ? rc : sv_outer_ip_give(tx, n->outer_ip, err);
}

/* Without its texts. */
static enum sv_err first_of(struct sv_tx *tx, const struct sv_id *nic, struct sv_nat *ret, bool *ret_found,
                            struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_nat, LIST_NIC);
    enum sv_err rc;

    sv_bind(st, "d", nic);
    rc = sv_step(tx, st, ret_found, err);
    if (rc || !*ret_found)
        return rc;
    read_row(st, ret);
    ret->vm_name = ret->sources = ret->descr = NULL;
    return SV_OK;
}

/* One at a time: what is read is not changed under the reader. */
enum sv_err sv_nat_drop_nic(struct sv_tx *tx, const struct sv_id *nic, int64_t *ret, struct sv_error *err)
{
    struct sv_nat n;
    bool found = true;
    enum sv_err rc;

    *ret = 0;
    while (!(rc = first_of(tx, nic, &n, &found, err)) && found) {
        rc = sv_nat_delete(tx, &n, err);
        if (rc)
            return rc;
        ++*ret;
    }
    return rc;
}
