/* The schema's versions: one script each, applied in order, each in a transaction of its own. */
#include "db/engine.h"
#include "starvirt/log.h"

static enum sv_err failed(struct sv_conn *conn, struct sv_error *err)
{
    enum sv_err code = sv_fail(err, sv_conn_error(conn), SV_F_NONE, sqlite3_errmsg(conn->db));
    if (!sqlite3_get_autocommit(conn->db))
        sqlite3_exec(conn->db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

/* First column of the first row; -1 without a row. */
static bool read_int(struct sv_conn *conn, const char *sql, int64_t *ret)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(conn->db, sql, -1, &st, NULL) != SQLITE_OK)
        return false;
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        *ret = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : -1;
    sqlite3_finalize(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

static enum sv_err apply(struct sv_conn *conn, int64_t version, struct sv_error *err)
{
    char stamp[64];
    int64_t broken;
    sqlite3_snprintf(sizeof(stamp), stamp, "PRAGMA user_version = %d", (int)version + 1);
    if (sqlite3_exec(conn->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(conn->db, sv_schema[version], NULL, NULL, NULL) != SQLITE_OK ||
        !read_int(conn, "SELECT count(*) FROM pragma_foreign_key_check", &broken) ||
        sqlite3_exec(conn->db, stamp, NULL, NULL, NULL) != SQLITE_OK)
        return failed(conn, err);
    if (broken) {
        sqlite3_exec(conn->db, "ROLLBACK", NULL, NULL, NULL);
        return sv_fail(err, SV_E_DB, SV_F_NONE, "the new schema leaves references without a target");
    }
    if (sqlite3_exec(conn->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        return failed(conn, err);
    sv_log(SV_LOG_INFO, "db.migrated", "version", sv_dec(version + 1).s, NULL);
    return SV_OK;
}

static int64_t known_versions(void)
{
    int64_t n = 0;
    while (sv_schema[n])
        n++;
    return n;
}

static enum sv_err apply_from(struct sv_conn *conn, int64_t version, int64_t known, struct sv_error *err)
{
    /* A script that rebuilds a table drops one that others refer to; apply() checks the references afterwards. */
    if (sqlite3_exec(conn->db, "PRAGMA foreign_keys = OFF", NULL, NULL, NULL) != SQLITE_OK)
        return failed(conn, err);
    for (; version < known; version++)
        if (apply(conn, version, err) != SV_OK)
            return err->code;
    if (sqlite3_exec(conn->db, "PRAGMA foreign_keys = ON", NULL, NULL, NULL) != SQLITE_OK)
        return failed(conn, err);
    return SV_OK;
}

enum sv_err sv_migrate(struct sv_conn *conn, struct sv_error *err)
{
    int64_t version, known = known_versions();
    if (!read_int(conn, "PRAGMA user_version", &version))
        return failed(conn, err);
    if (version > known)
        return sv_fail(err, SV_E_DB_NEWER, SV_F_NONE, sv_dec(version).s, sv_dec(known).s);
    if (version == known)
        return SV_OK;
    if (conn->read_only)
        return sv_fail(err, SV_E_DB, SV_F_NONE, "the file is of an older version: start the server once");
    return apply_from(conn, version, known, err);
}
