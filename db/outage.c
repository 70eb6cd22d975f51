/* Outages: what an error of SQLite is to us, since when nothing can be written, and what a connection needs after it.
 */
#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "db/engine.h"
#include "starvirt/clock.h"
#include "starvirt/log.h"

bool sv_db_outage(enum sv_err code)
{
    return code == SV_E_DISK_FULL || code == SV_E_DB_IO || code == SV_E_DB_DAMAGED;
}

/* Not a block left; the reason that SQLite keeps may be of something else that it tried since. */
static bool is_full(const struct sv_conn *conn)
{
    const char *path = sqlite3_db_filename(conn->db, "main");
    struct statvfs fs;
    return path && statvfs(path, &fs) == 0 && fs.f_bavail == 0;
}

/* A full disk shows in several ways: the index of the log cannot grow, a file cannot be made. What was written and
 * then not confirmed by fsync is another matter: nobody knows what is on disk. */
static bool no_room(const struct sv_conn *conn, int rc)
{
    const int e = sqlite3_system_errno(conn->db);
    return rc != SQLITE_IOERR_FSYNC && rc != SQLITE_IOERR_DIR_FSYNC && (e == ENOSPC || e == EDQUOT || is_full(conn));
}

enum sv_err sv_conn_error(const struct sv_conn *conn)
{
    const int rc = sqlite3_extended_errcode(conn->db);
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return SV_E_DISK_FULL;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return no_room(conn, rc) ? SV_E_DISK_FULL : SV_E_DB_IO;
    case SQLITE_BUSY: /* somebody else holds it */
    case SQLITE_PROTOCOL:
    case SQLITE_NOMEM:
        return SV_E_DB_IO;
    case SQLITE_READONLY: /* on a connection for reading a fault of ours */
        return conn->read_only && rc == SQLITE_READONLY ? SV_E_DB : SV_E_DB_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return SV_E_DB_DAMAGED;
    default:
        return SV_E_DB;
    }
}

static void begins(struct sv_db *db, enum sv_err code, const char *detail)
{
    db->outage.since = sv_mono_ms();
    db->stats.outages++;
    sv_log(SV_LOG_ERROR, "db.outage", "reason", sv_err_symbol(code), "error", detail, NULL);
}

static void ends(struct sv_db *db)
{
    const int64_t ms = sv_mono_ms() - db->outage.since;
    db->outage.past_ms += ms;
    sv_log(SV_LOG_INFO, "db.writable", "after_ms", sv_dec(ms).s, NULL);
}

void sv_outage_note(struct sv_db *db, enum sv_err code, const char *detail)
{
    pthread_mutex_lock(&db->mutex);
    if (code)
        db->stats.failures++;
    if (code && !db->outage.code)
        begins(db, code, detail);
    else if (!code && db->outage.code)
        ends(db);
    db->outage.code = code;
    db->stats.outage = code;
    pthread_mutex_unlock(&db->mutex);
    atomic_store(&db->outage.works, code == SV_OK);
}

bool sv_db_writable(struct sv_db *db)
{
    return atomic_load(&db->outage.works);
}

int64_t sv_db_outage_ms(struct sv_db *db)
{
    pthread_mutex_lock(&db->mutex);
    int64_t ms = db->outage.past_ms;
    if (db->outage.code)
        ms += sv_mono_ms() - db->outage.since;
    pthread_mutex_unlock(&db->mutex);
    return ms;
}

void sv_db_hurry(struct sv_db *db)
{
    pthread_mutex_lock(&db->mutex);
    db->outage.hurry = true;
    pthread_cond_signal(&db->wake);
    pthread_mutex_unlock(&db->mutex);
}

void sv_outage_know_file(struct sv_db *db)
{
    struct stat st;
    if (stat(db->path, &st) != 0)
        return;
    db->file_dev = st.st_dev;
    db->file_ino = st.st_ino;
}

void sv_outage_reconnect(struct sv_db *db)
{
    struct sv_conn fresh;
    struct stat st;
    struct sv_error err;
    if (stat(db->path, &st) != 0 || st.st_dev != db->file_dev || st.st_ino != db->file_ino)
        return; /* what lies there now is not what we work on */
    if (sv_conn_open(db->path, false, &fresh, &err) != SV_OK)
        return;
    sv_conn_close(&db->conn);
    db->conn = fresh;
    sv_conn_moved(&db->conn);
}
