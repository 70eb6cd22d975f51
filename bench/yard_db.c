#include "bench/yard_db.h"

#include <unistd.h>

#define COLUMNS "id,name,state,vcpus,ram_mb,disk_gb,ip,mac,os,host,owner,created,uptime"
static const struct {
    const char *name;
    bool number;
} columns[] = {{"id", false},     {"name", false},   {"state", false}, {"vcpus", true}, {"ram_mb", true},
               {"disk_gb", true}, {"ip", false},     {"mac", false},   {"os", false},   {"host", false},
               {"owner", false},  {"created", true}, {"uptime", true}};
enum { COLUMN_COUNT = sizeof(columns) / sizeof(columns[0]) };

static void vm_id(long vm, char id[40])
{
    snprintf(id, 40, "%08x-7b1c-4d2e-9f00-%012lx", (unsigned)vm * 2654435761U, (unsigned long)vm);
}

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        yard_die("%s: %s", sql, sqlite3_errmsg(db));
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL) != SQLITE_OK)
        yard_die("%s: %s", sql, sqlite3_errmsg(db));
    return st;
}

static void step(sqlite3_stmt *st)
{
    if (sqlite3_step(st) != SQLITE_DONE)
        yard_die("%s: %s", sqlite3_sql(st), sqlite3_errmsg(sqlite3_db_handle(st)));
    sqlite3_reset(st);
}

static sqlite3 *open_file(const char *path)
{
    sqlite3 *db;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        yard_die("%s: %s", path, sqlite3_errmsg(db));
    sqlite3_busy_timeout(db, 10000);
    run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    return db;
}

static void insert_vms(sqlite3 *db)
{
    sqlite3_stmt *st = prepare(db, "INSERT INTO vm VALUES(?,1,?,?,?,?,?,?,?,'debian-12-amd64',?,'tenant-1',?,?)");
    char text[64];

    for (long i = 0; i < YARD_VMS; i++) {
        int c = 1;
        vm_id(i, text);
        sqlite3_bind_text(st, c++, text, -1, SQLITE_TRANSIENT);
        snprintf(text, sizeof(text), "vm-%s-%05ld", i % 3 ? "web" : "database", i);
        sqlite3_bind_text(st, c++, text, -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(st, c++, i % 4 ? "running" : "stopped", -1, SQLITE_STATIC);
        sqlite3_bind_int64(st, c++, 1 + i % 8);
        sqlite3_bind_int64(st, c++, 1024 * (1 + i % 16));
        sqlite3_bind_int64(st, c++, 10 * (1 + i % 20));
        snprintf(text, sizeof(text), "10.0.%ld.%ld", i >> 8, i & 255);
        sqlite3_bind_text(st, c++, text, -1, SQLITE_TRANSIENT);
        snprintf(text, sizeof(text), "52:54:00:00:%02lx:%02lx", i >> 8, i & 255);
        sqlite3_bind_text(st, c++, text, -1, SQLITE_TRANSIENT);
        snprintf(text, sizeof(text), "host-%03ld", i % 100);
        sqlite3_bind_text(st, c++, text, -1, SQLITE_TRANSIENT);
        sqlite3_bind_int64(st, c++, 1700000000 + i * 60);
        sqlite3_bind_int64(st, c++, i * 37);
        step(st);
    }
    sqlite3_finalize(st);
}

void yard_db_seed(const char *path)
{
    sqlite3 *db = open_file(path);

    run(db, "DROP TABLE IF EXISTS vm; DROP TABLE IF EXISTS job; DROP TABLE IF EXISTS lock;"
            "CREATE TABLE vm(id TEXT PRIMARY KEY, tenant INT, name TEXT, state TEXT, vcpus INT, ram_mb INT,"
            " disk_gb INT, ip TEXT, mac TEXT, os TEXT, host TEXT, owner TEXT, created INT, uptime INT);"
            "CREATE INDEX vm_name ON vm(tenant, name);"
            "CREATE TABLE job(id INTEGER PRIMARY KEY, kind TEXT, vm TEXT, state INT, created INT);"
            "CREATE TABLE lock(vm TEXT PRIMARY KEY, job INT) WITHOUT ROWID; BEGIN");
    insert_vms(db);
    run(db, "COMMIT");
    sqlite3_close(db);
}

void yard_db_open(struct yard_db *d, const char *path)
{
    d->db = open_file(path);
    d->page = prepare(d->db, "SELECT " COLUMNS " FROM vm WHERE tenant = 1 ORDER BY name LIMIT 30 OFFSET ?");
    d->get = prepare(d->db, "SELECT " COLUMNS " FROM vm WHERE id = ?");
    d->begin = prepare(d->db, "BEGIN IMMEDIATE");
    d->job = prepare(d->db, "INSERT INTO job(kind, vm, state, created) VALUES('start', ?, 0, ?)");
    d->lock = prepare(d->db, "INSERT OR REPLACE INTO lock(vm, job) VALUES(?, ?)"); /* nobody releases it here */
    d->commit = prepare(d->db, "COMMIT");
}

static void put_row(struct yard_text *out, sqlite3_stmt *st)
{
    YARD_LIT(out, "{");
    for (int c = 0; c < COLUMN_COUNT; c++) {
        if (c)
            YARD_LIT(out, ",");
        YARD_LIT(out, "\"");
        yard_put(out, columns[c].name, strlen(columns[c].name));
        YARD_LIT(out, "\":");
        if (columns[c].number)
            yard_put_int(out, sqlite3_column_int64(st, c));
        else
            yard_put_str(out, (const char *)sqlite3_column_text(st, c), (size_t)sqlite3_column_bytes(st, c));
    }
    YARD_LIT(out, "}");
}

void yard_db_page(struct yard_db *d, long page, struct yard_text *out)
{
    bool first = true;

    YARD_LIT(out, "{\"result\":\"0\",\"data\":[");
    sqlite3_bind_int64(d->page, 1, (page - 1) * 30);
    while (sqlite3_step(d->page) == SQLITE_ROW) {
        if (!first)
            YARD_LIT(out, ",");
        first = false;
        put_row(out, d->page);
    }
    sqlite3_reset(d->page);
    YARD_LIT(out, "],\"dataCount\":1000}");
}

void yard_db_get(struct yard_db *d, long vm, struct yard_text *out)
{
    char id[40];

    vm_id(vm, id);
    sqlite3_bind_text(d->get, 1, id, -1, SQLITE_STATIC);
    YARD_LIT(out, "{\"result\":\"0\",\"data\":");
    if (sqlite3_step(d->get) != SQLITE_ROW)
        yard_die("no VM %ld", vm);
    put_row(out, d->get);
    sqlite3_reset(d->get);
    YARD_LIT(out, "}");
}

void yard_db_begin(struct yard_db *d)
{
    step(d->begin);
}

int64_t yard_db_accept(struct yard_db *d, long vm)
{
    char id[40];

    vm_id(vm, id);
    sqlite3_bind_text(d->job, 1, id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(d->job, 2, (int64_t)time(NULL));
    step(d->job);
    const int64_t job = sqlite3_last_insert_rowid(d->db);
    sqlite3_bind_text(d->lock, 1, id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(d->lock, 2, job);
    step(d->lock);
    return job;
}

void yard_db_commit(struct yard_db *d)
{
    step(d->commit);
}
