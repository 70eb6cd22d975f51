/* Host rows: connection, capacity, what is placed on them. */
#include <assert.h>
#include <stdio.h>

#include "db/internal.h"
#include "starvirt/limits.h"
#include "starvirt/store_catalog.h"

#define COLS                                                                                                           \
    "id, name, descr, uri, driver, idx, connected, maintenance, vcpus, memory, used_vcpus, used_memory, cpu_vendor,"   \
    " os_version, virt_version, created, added, labels, vcpu_overcommit, memory_overcommit, real_vcpus, real_memory,"  \
    " sockets, cpu_model"
/* of ?2 vCPUs and ?3 bytes that it has, ?4 percent unless its own are said */
#define PLACEABLE(vcpu_own, memory_own)                                                                                \
    "vcpus = ?2 * CASE " vcpu_own " WHEN 0 THEN ?4 ELSE " vcpu_own " END / 100, memory = ?3 * CASE " memory_own        \
    " WHEN 0 THEN 100 ELSE " memory_own " END / 100"

enum {
    INSERT,
    FIND,
    GET,
    LIST,
    SET_CONNECTED,
    SET_CAPACITY,
    UPDATE,
    SET_MAINTENANCE,
    HOLDS,
    DROP_LEFTOVERS,
    DROP_OWN,
    DELETE,
    RESERVE,
    FREE,
    TOTALS
};

static const char *const sql[] = {
    [INSERT] = "INSERT INTO host(id, name, descr, uri, driver, idx, created, added, labels, vcpu_overcommit, "
               "memory_overcommit)"
               " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [FIND] = "SELECT id FROM host WHERE uri = ?1 AND idx = ?2",
    [GET] = "SELECT " COLS " FROM host WHERE id = ?1",
    [LIST] = "SELECT " COLS " FROM host ORDER BY created, id",
    [SET_CONNECTED] = "UPDATE host SET connected = ?2 WHERE id = ?1 AND connected <> ?2",
    [SET_CAPACITY] = "UPDATE host SET real_vcpus = ?2, real_memory = ?3, " PLACEABLE(
        "vcpu_overcommit", "memory_overcommit") ", sockets = ?5, cpu_vendor = ?6, cpu_model = ?7, os_version = ?8,"
                                                " virt_version = ?9 WHERE id = ?1",
    [UPDATE] =
        "UPDATE host SET name = ?5, descr = ?6, labels = ?7, vcpu_overcommit = ?8, memory_overcommit = ?9, " PLACEABLE(
            "?8", "?9") " WHERE id = ?1",
    [SET_MAINTENANCE] = "UPDATE host SET maintenance = ?2 WHERE id = ?1",
    [HOLDS] =
        "SELECT (SELECT count(*) FROM vm WHERE host_id = ?1), (SELECT count(*) FROM storage WHERE host_id = ?1 AND"
        " id <> ?2), (SELECT count(*) FROM disk WHERE storage_id = ?2) + (SELECT count(*) FROM backup WHERE"
        " storage_id = ?2), (SELECT count(*) FROM job WHERE result IN (2, 3) AND ?1 IN (host_id, object_id)) + (SELECT "
        "count(*) "
        "FROM pending_undo WHERE host_id = ?1)",
    [DROP_LEFTOVERS] = "DELETE FROM leftover WHERE host_id = ?1",
    [DROP_OWN] = "DELETE FROM storage WHERE id = ?1",
    [DELETE] = "DELETE FROM host WHERE id = ?1",
    [RESERVE] = "UPDATE host SET used_vcpus = used_vcpus + ?2, used_memory = used_memory + ?3 WHERE id = ?1"
                " AND (?2 <= 0 OR used_vcpus + ?2 <= vcpus) AND (?3 <= 0 OR used_memory + ?3 <= memory)",
    [FREE] = "SELECT vcpus - used_vcpus, memory - used_memory FROM host WHERE id = ?1",
    [TOTALS] = "SELECT coalesce(sum(vcpus), 0), coalesce(sum(memory), 0), (SELECT coalesce(sum(size), 0) FROM storage),"
               " (SELECT coalesce(sum(last - first + 1), 0) FROM pool) FROM host",
};
SV_SQL_TABLE(sv_sql_host, "host", sql);

static void read_row(sqlite3_stmt *st, struct sv_host *h)
{
    *h = (struct sv_host){.id = sv_col_id(st, 0),
                          .name = sv_col_text(st, 1),
                          .descr = sv_col_text(st, 2),
                          .uri = sv_col_text(st, 3),
                          .driver = sv_col_text(st, 4),
                          .index = (int)sv_col_int(st, 5),
                          .connected = sv_col_int(st, 6) != 0,
                          .maintenance = sv_col_int(st, 7) != 0,
                          .vcpus = sv_col_int(st, 8),
                          .memory = sv_col_int(st, 9),
                          .used_vcpus = sv_col_int(st, 10),
                          .used_memory = sv_col_int(st, 11),
                          .cpu_vendor = sv_col_text(st, 12),
                          .os_version = sv_col_text(st, 13),
                          .virt_version = sv_col_text(st, 14),
                          .created = sv_col_int(st, 15),
                          .added = sv_col_int(st, 16) != 0,
                          .labels = sv_col_text(st, 17),
                          .vcpu_overcommit = sv_col_int(st, 18),
                          .memory_overcommit = sv_col_int(st, 19),
                          .real_vcpus = sv_col_int(st, 20),
                          .real_memory = sv_col_int(st, 21),
                          .sockets = sv_col_int(st, 22),
                          .cpu_model = sv_col_text(st, 23)};
}

static enum sv_err insert(struct sv_tx *tx, const struct sv_host *h, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_host, INSERT);

    assert(tx->writable);
    sv_bind(st, "dttttIiItii", &h->id, h->name, h->descr, h->uri, h->driver, h->index, h->created, (int)h->added,
            h->labels ? h->labels : "", h->vcpu_overcommit, h->memory_overcommit);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_host_ensure(struct sv_tx *tx, const struct sv_host *h, struct sv_id *ret_id, struct sv_error *err)
{
    SV_STMT find = sv_stmt(tx, &sv_sql_host, FIND);
    bool row;
    enum sv_err rc;

    sv_bind(find, "tI", h->uri, h->index);
    rc = sv_step(tx, find, &row, err);
    if (rc)
        return rc;
    if (row) {
        *ret_id = sv_col_id(find, 0);
        return SV_OK;
    }
    rc = insert(tx, h, err);
    if (!rc)
        *ret_id = h->id;
    return rc;
}

enum sv_err sv_host_insert(struct sv_tx *tx, const struct sv_host *h, struct sv_error *err)
{
    SV_STMT find = sv_stmt(tx, &sv_sql_host, FIND);
    bool row;
    enum sv_err rc;

    sv_bind(find, "tI", h->uri, h->index);
    rc = sv_step(tx, find, &row, err);
    if (!rc && row)
        rc = sv_fail(err, SV_E_HOST_EXISTS, SV_F_HOST_URI, sv_col_id(find, 0).s);
    return rc ? rc : insert(tx, h, err);
}

enum sv_err sv_host_get(struct sv_tx *tx, const struct sv_id *id, struct sv_arena *a, struct sv_host *ret,
                        struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_host, GET);
    struct sv_host h;
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", id);
    rc = sv_step(tx, st, &row, err);
    if (rc || !row)
        return rc ? rc : sv_fail(err, SV_E_HOST_NOT_FOUND, SV_F_HOST);
    read_row(st, &h);
    h.name = sv_arena_strdup(a, h.name);
    h.descr = sv_arena_strdup(a, h.descr);
    h.uri = sv_arena_strdup(a, h.uri);
    h.driver = sv_arena_strdup(a, h.driver);
    h.cpu_vendor = sv_arena_strdup(a, h.cpu_vendor);
    h.os_version = sv_arena_strdup(a, h.os_version);
    h.virt_version = sv_arena_strdup(a, h.virt_version);
    h.labels = sv_arena_strdup(a, h.labels);
    h.cpu_model = sv_arena_strdup(a, h.cpu_model);
    *ret = h;
    return SV_OK;
}

enum sv_err sv_host_list(struct sv_tx *tx, void (*row)(void *arg, const struct sv_host *h), void *arg,
                         struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_host, LIST);
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_host h;

        read_row(st, &h);
        row(arg, &h);
    }
    return rc;
}

enum sv_err sv_host_set_connected(struct sv_tx *tx, const struct sv_id *id, bool connected, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_host, SET_CONNECTED);

    assert(tx->writable);
    sv_bind(st, "dI", id, (int)connected);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_host_set_capacity(struct sv_tx *tx, const struct sv_id *id, const struct sv_host_capacity *has,
                                 int64_t vcpu_overcommit, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_host, SET_CAPACITY);

    assert(tx->writable);
    sv_bind(st, "diiiitttt", id, has->vcpus, has->memory, vcpu_overcommit, has->sockets, has->cpu_vendor,
            has->cpu_model, has->os_version, has->virt_version);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_host_update(struct sv_tx *tx, const struct sv_host *h, int64_t vcpu_overcommit, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_host, UPDATE);

    assert(tx->writable);
    sv_bind(st, "diiitttii", &h->id, h->real_vcpus, h->real_memory, vcpu_overcommit, h->name, h->descr, h->labels,
            h->vcpu_overcommit, h->memory_overcommit);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_host_set_maintenance(struct sv_tx *tx, const struct sv_id *id, bool on, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_host, SET_MAINTENANCE);

    assert(tx->writable);
    sv_bind(st, "dI", id, (int)on);
    return sv_exec(tx, st, NULL, err);
}

static enum sv_err check_unused(struct sv_tx *tx, const struct sv_id *id, const struct sv_id *own, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_host, HOLDS);
    int64_t n[4], all = 0;
    char text[96];
    bool row;
    enum sv_err rc;

    sv_bind(st, "dd", id, own);
    rc = sv_step(tx, st, &row, err);
    for (int i = 0; !rc && i < 4; i++)
        all += n[i] = sv_col_int(st, i);
    if (rc || all == 0)
        return rc;
    snprintf(text, sizeof(text), "%lld VMs, %lld storages, %lld disks and backups, %lld open jobs and undos",
             (long long)n[0], (long long)n[1], (long long)n[2], (long long)n[3]);
    return sv_fail(err, SV_E_HOST_IN_USE, SV_F_HOST, text);
}

static enum sv_err run(struct sv_tx *tx, int statement, const struct sv_id *id, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_host, statement);

    sv_bind(st, "d", id);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_host_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    struct sv_id own = {.s = ""};
    enum sv_err rc = sv_storage_own(tx, id, &own, err);

    assert(tx->writable);
    if (rc == SV_E_STORAGE_NOT_FOUND) /* it was never opened */
        rc = SV_OK;
    if (!rc)
        rc = check_unused(tx, id, &own, err);
    if (!rc)
        rc = run(tx, DROP_LEFTOVERS, id, err);
    if (!rc && !sv_id_empty(&own))
        rc = run(tx, DROP_OWN, &own, err);
    return rc ? rc : run(tx, DELETE, id, err);
}

/* What is short there. */
static enum sv_err no_capacity(struct sv_tx *tx, const struct sv_id *host, int64_t vcpus, int64_t memory,
                               struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_host, FREE);
    char text[SV_ERR_ARG_MAX] = "";
    size_t n = 0;
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", host);
    rc = sv_step(tx, st, &row, err);
    if (rc)
        return rc;
    const int64_t free_vcpus = row ? sv_col_int(st, 0) : 0, free_memory = row ? sv_col_int(st, 1) : 0;
    if (vcpus > 0 && vcpus > free_vcpus)
        n = (size_t)snprintf(text, sizeof(text), "vCPU %lld > %lld", (long long)vcpus,
                             (long long)(free_vcpus > 0 ? free_vcpus : 0));
    if (memory > 0 && memory > free_memory)
        snprintf(text + n, sizeof(text) - n, "%sRAM %s > %s", n ? ", " : "", sv_bytes(memory, 0).s,
                 sv_bytes(free_memory > 0 ? free_memory : 0, 0).s);
    return sv_fail(err, SV_E_NO_CAPACITY, SV_F_NONE, text);
}

enum sv_err sv_host_reserve(struct sv_tx *tx, const struct sv_id *id, int64_t vcpus, int64_t memory,
                            struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_host, RESERVE);
    int n;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "dii", id, vcpus, memory);
    rc = sv_exec(tx, st, &n, err);
    return rc ? rc : n ? SV_OK : no_capacity(tx, id, vcpus, memory, err);
}

enum sv_err sv_host_totals(struct sv_tx *tx, int64_t *ret_vcpus, int64_t *ret_memory, int64_t *ret_storage,
                           int64_t *ret_ips, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_host, TOTALS);
    bool row;
    enum sv_err rc = sv_step(tx, st, &row, err);

    if (rc)
        return rc;
    *ret_vcpus = sv_col_int(st, 0);
    *ret_memory = sv_col_int(st, 1);
    *ret_storage = sv_col_int(st, 2);
    *ret_ips = sv_col_int(st, 3);
    return SV_OK;
}
