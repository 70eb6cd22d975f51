/* Copying the write-ahead log back into the file. A thread with a connection of its own does it while the
 * writer goes on. Under an unbroken load it never catches up with the end of the log, so that the log
 * could not start over: then the writer copies the short rest itself. */
#include "db/engine.h"
#include "starvirt/log.h"

#define COPY_EVERY_PAGES 1000
/* 64 MB: rare enough not to be seen in the slowest hundredth of writes. */
#define REST_AT_PAGES 16000

static void copy_back(struct sv_conn *conn, int how)
{
    int rc = sqlite3_wal_checkpoint_v2(conn->db, NULL, how, NULL, NULL);
    if (rc == SQLITE_BUSY)
        return;
    /* What cannot be copied back stays in the log, which is tried again as it grows. */
    if (rc != SQLITE_OK && rc != conn->copy_rc)
        sv_log(sv_db_outage(sv_conn_error(conn)) ? SV_LOG_WARN : SV_LOG_ERROR, "db.checkpoint", "error",
               sqlite3_errmsg(conn->db), NULL);
    conn->copy_rc = rc;
}

static void checkpoint(struct sv_conn *conn)
{
    copy_back(conn, SQLITE_CHECKPOINT_PASSIVE);
}

/* What a server that was killed left in the log, while nobody else reads: else the log of one that is killed again and
 * again only grows. Not waited for, should somebody read after all. */
static void start_over(struct sv_conn *conn)
{
    sqlite3_busy_timeout(conn->db, 0);
    copy_back(conn, SQLITE_CHECKPOINT_TRUNCATE);
    sqlite3_busy_timeout(conn->db, SV_BUSY_MS);
}

static void *copier_main(void *arg)
{
    struct sv_db *db = arg;
    pthread_mutex_lock(&db->mutex);
    while (!db->stop_copier) {
        if (!db->copy_wanted) {
            pthread_cond_wait(&db->wake_copier, &db->mutex);
            continue;
        }
        db->copy_wanted = false;
        pthread_mutex_unlock(&db->mutex);
        checkpoint(&db->copier_conn);
        pthread_mutex_lock(&db->mutex);
    }
    pthread_mutex_unlock(&db->mutex);
    return NULL;
}

void sv_checkpoint_after(struct sv_db *db, int wal_pages)
{
    if (wal_pages / COPY_EVERY_PAGES == db->copied_at / COPY_EVERY_PAGES)
        return;
    db->copied_at = wal_pages;
    if (wal_pages >= REST_AT_PAGES) {
        checkpoint(&db->conn);
        return;
    }
    if (wal_pages < COPY_EVERY_PAGES)
        return;
    pthread_mutex_lock(&db->mutex);
    db->copy_wanted = true;
    pthread_mutex_unlock(&db->mutex);
    pthread_cond_signal(&db->wake_copier);
}

enum sv_err sv_checkpoint_start(struct sv_db *db, struct sv_error *err)
{
    enum sv_err code = sv_conn_open(db->path, false, &db->copier_conn, err);
    if (code != SV_OK)
        return code;
    start_over(&db->copier_conn);
    code = sv_db_thread(&db->copier, "db-checkpoint", copier_main, db, err);
    db->copier_runs = code == SV_OK;
    return code;
}

void sv_checkpoint_stop(struct sv_db *db)
{
    if (db->copier_runs) {
        pthread_mutex_lock(&db->mutex);
        db->stop_copier = true;
        pthread_cond_signal(&db->wake_copier);
        pthread_mutex_unlock(&db->mutex);
        pthread_join(db->copier, NULL);
        db->copier_runs = false;
    }
    sv_conn_close(&db->copier_conn);
}
