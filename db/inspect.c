/* Looks through the whole file once after a start, beside the work: a page that the disk has spoiled is found before
 * somebody needs it. A table at a time, so that no snapshot is held for long. */
#include <sys/resource.h>
#include <unistd.h>

#include "db/engine.h"
#include "starvirt/log.h"

enum { NICE = 10, LOOK_EVERY = 10000 /* instructions of SQLite's between looks whether to stop */ };

static int asked_to_stop(void *arg)
{
    const struct sv_db *db = arg;
    return atomic_load(&db->stop_inspector);
}

void sv_db_damaged(struct sv_db *db, const char *what)
{
    if (!atomic_exchange(&db->damaged, true))
        sv_log(SV_LOG_ERROR, "db.damaged", "found", what, NULL);
}

/* False: could not be finished. */
static bool check_table(struct sv_db *db, sqlite3 *conn, const char *table)
{
    sqlite3_stmt *st = NULL;
    char *sql = sqlite3_mprintf("PRAGMA quick_check(%Q)", table);
    int rc = sqlite3_prepare_v2(conn, sql, -1, &st, NULL);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(st);
        if (rc == SQLITE_ROW && strcmp(sv_col_text(st, 0), "ok") != 0)
            sv_db_damaged(db, sv_col_text(st, 0));
    }
    if ((rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB)
        sv_db_damaged(db, sqlite3_errmsg(conn));
    sqlite3_finalize(st);
    sqlite3_free(sql);
    return rc == SQLITE_DONE;
}

static bool check_tables(struct sv_db *db, sqlite3 *conn)
{
    sqlite3_stmt *st = NULL;
    char tables[64][32];
    unsigned n = 0;
    int rc = sqlite3_prepare_v2(
        conn, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'", -1, &st, NULL);
    while (rc == SQLITE_OK && n < sizeof(tables) / sizeof(tables[0]) && sqlite3_step(st) == SQLITE_ROW) {
        SV_COPY(tables[n], sv_col_text(st, 0));
        n++;
    }
    sqlite3_finalize(st);
    bool whole = n > 0;
    for (unsigned i = 0; whole && i < n; i++)
        whole = check_table(db, conn, tables[i]);
    return whole;
}

static void *inspector_main(void *arg)
{
    struct sv_db *db = arg;
    sqlite3_progress_handler(db->inspector_conn.db, LOOK_EVERY, asked_to_stop, db);
    pthread_setname_np(pthread_self(), "db-inspect");
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); /* of this thread only */
    if (check_tables(db, db->inspector_conn.db)) {
        atomic_store(&db->inspected, true);
        sv_log(SV_LOG_DEBUG, "db.inspected", NULL);
    }
    sv_conn_close(&db->inspector_conn);
    pthread_mutex_lock(&db->inspectors.mutex);
    sv_crew_leave(&db->inspectors, &db->inspecting);
    pthread_mutex_unlock(&db->inspectors.mutex);
    return NULL;
}

/* Never keeps a start from going on: what it finds is told by log, metrics and health. */
void sv_inspect_start(struct sv_db *db)
{
    struct sv_error err;
    if (sv_conn_open(db->path, true, &db->inspector_conn, &err) != SV_OK)
        return;
    sv_crew_init(&db->inspectors);
    db->has_inspectors = true;
    pthread_mutex_lock(&db->inspectors.mutex);
    const bool begun = sv_crew_wake(&db->inspectors, &db->inspecting, inspector_main, db);
    pthread_mutex_unlock(&db->inspectors.mutex);
    if (!begun)
        sv_conn_close(&db->inspector_conn);
}

void sv_inspect_stop(struct sv_db *db)
{
    if (!db->has_inspectors)
        return;
    atomic_store(&db->stop_inspector, true);
    sv_crew_stop(&db->inspectors);
    sv_crew_free(&db->inspectors);
    db->has_inspectors = false;
}
