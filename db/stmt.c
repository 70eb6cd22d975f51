/* Connections and their cached statements. */
#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>

#include "db/engine.h"
#include "starvirt/log.h"

#define WRITER_CACHE_KB 4096
/* One a thread: the kernel's page cache holds the file anyway. */
#define READER_CACHE_KB 512

static const char *const engine_sql[SQL_ENGINE_COUNT] = {
    [SQL_BEGIN_READ] = "BEGIN",
    [SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_SAVEPOINT] = "SAVEPOINT closure",
    [SQL_ROLLBACK_TO] = "ROLLBACK TO closure",
    [SQL_RELEASE] = "RELEASE closure",
    [SQL_COUNT_COMMIT] = "UPDATE life SET commits = ?1 WHERE one = 1",
    [SQL_PROBE] = "UPDATE life SET commits = commits WHERE one = 1",
    [SQL_OPEN_SNAPSHOT] = "SELECT 1 FROM sqlite_schema LIMIT 1",
    [SQL_MARKS_ALL] = "SELECT created, id FROM vm ORDER BY created, id",
    [SQL_MARKS_TENANT] = "SELECT created, id FROM vm WHERE tenant_id = ?1 ORDER BY created, id",
};
SV_SQL_TABLE(sv_sql_engine, "engine", engine_sql);

struct sv_sql_table *const sv_sql_tables[] = {
    &sv_sql_engine,
    &sv_sql_tenant,
    &sv_sql_token,
    &sv_sql_idem,
    &sv_sql_vm,
    &sv_sql_disk,
    &sv_sql_nic,
    &sv_sql_vpc,
    &sv_sql_model,
    &sv_sql_template,
    &sv_sql_host,
    &sv_sql_host_network,
    &sv_sql_storage,
    &sv_sql_job,
    &sv_sql_joblog,
    &sv_sql_lock,
    &sv_sql_event,
    &sv_sql_leftover,
    &sv_sql_range,
    &sv_sql_snapshot,
    &sv_sql_backup,
    &sv_sql_secret,
    &sv_sql_pending,
    &sv_sql_unit,
    &sv_sql_pool,
    &sv_sql_outer_ip,
    &sv_sql_rule,
    &sv_sql_secgroup,
    &sv_sql_slb,
    &sv_sql_slb_node,
    &sv_sql_router,
    &sv_sql_nat,
    &sv_sql_place,
    &sv_sql_affinity,
    &sv_sql_fsck,
    &sv_sql_alarm,
    &sv_sql_alarm_delivery,
    NULL,
};

static unsigned statement_count;

static void number_tables(void)
{
    /* Without this every allocation of every connection takes one process-wide lock. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    for (struct sv_sql_table *const *t = sv_sql_tables; *t; t++) {
        (*t)->first = statement_count;
        statement_count += (*t)->count;
    }
}

void sv_stmt_tables_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, number_tables);
}

/* --- connections ---------------------------------------------------------------------------------------- */

static int note_wal_pages(void *arg, sqlite3 *db, const char *schema, int pages)
{
    struct sv_conn *conn = arg;
    (void)db;
    (void)schema;
    conn->wal_pages = pages;
    return SQLITE_OK;
}

static enum sv_err open_failed(struct sv_conn *conn, struct sv_error *err)
{
    enum sv_err code = conn->db ? sv_conn_error(conn) : SV_E_DB;
    sv_fail(err, code, SV_F_NONE, conn->db ? sqlite3_errmsg(conn->db) : "out of memory");
    sv_conn_close(conn);
    return code;
}

static bool configure(struct sv_conn *conn)
{
    char sql[512];
    sqlite3_extended_result_codes(conn->db, 1);
    sqlite3_busy_timeout(conn->db, SV_BUSY_MS);
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_snprintf(sizeof(sql), sql,
                     "%s PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;"
                     "PRAGMA cache_size = -%d; PRAGMA journal_size_limit = 67108864; PRAGMA query_only = %s",
                     conn->read_only ? "" : "PRAGMA journal_mode = WAL;",
                     conn->read_only ? READER_CACHE_KB : WRITER_CACHE_KB, conn->read_only ? "ON" : "OFF");
    if (sqlite3_exec(conn->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return false;
    sv_conn_moved(conn);
    return true;
}

void sv_conn_moved(struct sv_conn *conn)
{
    int yes = 1;
    if (conn->read_only)
        return;
    /* The log and its index stay when the last connection goes: to make them takes room. */
    sqlite3_file_control(conn->db, "main", SQLITE_FCNTL_PERSIST_WAL, &yes);
    sqlite3_wal_hook(conn->db, note_wal_pages, conn); /* also ends automatic checkpoints */
}

enum sv_err sv_conn_open(const char *path, bool read_only, struct sv_conn *ret, struct sv_error *err)
{
    sv_stmt_tables_init();
    *ret = (struct sv_conn){.read_only = read_only};
    int flags = SQLITE_OPEN_NOMUTEX | (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
    if (sqlite3_open_v2(path, &ret->db, flags, NULL) != SQLITE_OK || !configure(ret))
        return open_failed(ret, err);
    ret->stmt = sv_alloc(statement_count * sizeof(sqlite3_stmt *));
    return SV_OK;
}

void sv_conn_close(struct sv_conn *conn)
{
    for (unsigned i = 0; conn->stmt && i < statement_count; i++)
        sqlite3_finalize(conn->stmt[i]);
    free(conn->stmt);
    int rc = sqlite3_close(conn->db);
    assert(rc == SQLITE_OK);
    (void)rc;
    *conn = (struct sv_conn){0};
}

/* --- statements ----------------------------------------------------------------------------------------- */

static sqlite3_stmt *prepare(struct sv_conn *conn, const struct sv_sql_table *table, unsigned index)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v3(conn->db, table->sql[index], -1, SQLITE_PREPARE_PERSISTENT, &st, NULL) == SQLITE_OK && st)
        return st;
    const enum sv_err code = sv_conn_error(conn);
    if (sv_db_outage(code)) {
        conn->trouble = code;
        return NULL;
    }
    sv_log(SV_LOG_ERROR, "db.prepare", "store", table->name, "index", sv_dec(index).s, "error",
           sqlite3_errmsg(conn->db), NULL);
    abort();
}

sqlite3_stmt *sv_stmt(struct sv_tx *tx, const struct sv_sql_table *table, unsigned index)
{
    assert(index < table->count);
    sqlite3_stmt **slot = &tx->conn->stmt[table->first + index];
    if (!*slot)
        *slot = prepare(tx->conn, table, index);
    /* Busy: this very statement's rows are being read further up the stack. */
    assert(!*slot || !sqlite3_stmt_busy(*slot));
    return *slot;
}

void sv_stmt_done(sqlite3_stmt **st)
{
    if (!*st)
        return;
    sqlite3_reset(*st);
    sqlite3_clear_bindings(*st);
}

static int bind_text(sqlite3_stmt *st, int i, const char *s)
{
    return s ? sqlite3_bind_text(st, i, s, -1, SQLITE_STATIC) : sqlite3_bind_null(st, i);
}

static int bind_id(sqlite3_stmt *st, int i, const struct sv_id *id, bool empty_is_null)
{
    return bind_text(st, i, sv_id_empty(id) && empty_is_null ? NULL : id->s);
}

static int bind_one(sqlite3_stmt *st, int i, char kind, va_list *ap)
{
    const void *p;
    switch (kind) {
    case 't':
        p = va_arg(*ap, const char *);
        return bind_text(st, i, p ? p : "");
    case 'T':
        return bind_text(st, i, va_arg(*ap, const char *));
    case 'i':
        return sqlite3_bind_int64(st, i, va_arg(*ap, int64_t));
    case 'I':
        return sqlite3_bind_int(st, i, va_arg(*ap, int));
    case 'd':
        return bind_id(st, i, va_arg(*ap, const struct sv_id *), false);
    case 'D':
        return bind_id(st, i, va_arg(*ap, const struct sv_id *), true);
    case 'b':
        p = va_arg(*ap, const void *);
        return sqlite3_bind_blob(st, i, p, va_arg(*ap, int), SQLITE_STATIC);
    case 'n':
        return sqlite3_bind_null(st, i);
    default:
        return SQLITE_MISUSE;
    }
}

void sv_bind(sqlite3_stmt *st, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    for (int i = 0; st && fmt[i]; i++) {
        int rc = bind_one(st, i + 1, fmt[i], &ap);
        assert(rc == SQLITE_OK); /* more letters than parameters, or not reset */
        (void)rc;
    }
    va_end(ap);
}

/* Of one that could not be prepared. */
static enum sv_err unreadable(struct sv_tx *tx, struct sv_error *err)
{
    assert(tx->conn->trouble);
    tx->conn->last = SQLITE_IOERR;
    return sv_fail(err, tx->conn->trouble, SV_F_NONE, "a statement cannot be prepared");
}

enum sv_err sv_step(struct sv_tx *tx, sqlite3_stmt *st, bool *ret_row, struct sv_error *err)
{
    if (!st)
        return unreadable(tx, err);
    int rc = sqlite3_step(st);
    tx->conn->last = rc;
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
        *ret_row = rc == SQLITE_ROW;
        return SV_OK;
    }
    return sv_db_failed(tx, err);
}

enum sv_err sv_exec(struct sv_tx *tx, sqlite3_stmt *st, int *ret_changes, struct sv_error *err)
{
    if (!st)
        return unreadable(tx, err);
    int rc = sqlite3_step(st);
    tx->conn->last = rc;
    assert(rc != SQLITE_ROW);
    if (rc != SQLITE_DONE) {
        enum sv_err code = sv_db_failed(tx, err);
        sqlite3_reset(st);
        return code;
    }
    if (ret_changes)
        *ret_changes = sqlite3_changes(tx->conn->db);
    sqlite3_reset(st);
    return SV_OK;
}

enum sv_err sv_number_of(struct sv_tx *tx, const struct sv_sql_table *table, unsigned index, const struct sv_id *id,
                         int64_t *ret, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, table, index);
    bool row;
    enum sv_err rc;

    sv_bind(st, "d", id);
    rc = sv_step(tx, st, &row, err);
    if (!rc)
        *ret = sv_col_int(st, 0);
    return rc;
}

bool sv_is_conflict(struct sv_tx *tx)
{
    return (tx->conn->last & 0xff) == SQLITE_CONSTRAINT;
}

const char *sv_col_text(sqlite3_stmt *st, int col)
{
    const unsigned char *s = sqlite3_column_text(st, col);
    return s ? (const char *)s : "";
}

int64_t sv_col_int(sqlite3_stmt *st, int col)
{
    return sqlite3_column_int64(st, col);
}

struct sv_id sv_col_id(sqlite3_stmt *st, int col)
{
    struct sv_id id = {.s = ""};
    const unsigned char *s = sqlite3_column_text(st, col);
    if (s && sqlite3_column_bytes(st, col) == SV_ID_LEN)
        memcpy(id.s, s, SV_ID_LEN);
    return id;
}

enum sv_err sv_db_failed(struct sv_tx *tx, struct sv_error *err)
{
    const enum sv_err code = sv_conn_error(tx->conn);
    if (sv_db_outage(code))
        tx->conn->trouble = code;
    if (code == SV_E_DB_DAMAGED)
        sv_db_damaged(tx->db, sqlite3_errmsg(tx->conn->db));
    return sv_fail(err, code, SV_F_NONE, sqlite3_errmsg(tx->conn->db));
}

/* --- the unit test of all statements ---------------------------------------------------------------------- */

static enum sv_err check_one(struct sv_tx *tx, const struct sv_sql_table *table, unsigned index, struct sv_error *err)
{
    sqlite3_stmt *st = NULL;
    const char *sql = table->sql[index];
    if (sql && sqlite3_prepare_v3(tx->conn->db, sql, -1, 0, &st, NULL) == SQLITE_OK && st) {
        sqlite3_finalize(st);
        return SV_OK;
    }
    return sv_fail(err, SV_E_DB, SV_F_NONE,
                   sv_arena_printf(tx->arena, "%s statement %u: %s", table->name, index,
                                   sql ? sqlite3_errmsg(tx->conn->db) : "no text"));
}

static enum sv_err check_all(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    for (struct sv_sql_table *const *t = sv_sql_tables; *t; t++)
        for (unsigned i = 0; i < (*t)->count; i++)
            if (check_one(tx, *t, i, err) != SV_OK)
                return SV_E_DB;
    return SV_OK;
}

enum sv_err sv_db_check_statements(struct sv_db *db, struct sv_error *err)
{
    return sv_db_read(db, check_all, NULL, err);
}
