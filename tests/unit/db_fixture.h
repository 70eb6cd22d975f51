/* A database in a directory of its own, for the tests of db/. */
#ifndef STARVIRT_TESTS_DB_FIXTURE_H
#define STARVIRT_TESTS_DB_FIXTURE_H

#include <dirent.h>
#include <unistd.h>

#include "check.h"
#include "db/internal.h"

struct fixture {
    char dir[64];
    struct sv_db *db;
};

static inline void fixture_dir(struct fixture *f)
{
    SV_COPY(f->dir, "/tmp/test_db.XXXXXX");
    CHECK(mkdtemp(f->dir) != NULL);
    f->db = NULL;
}

static inline void fixture_open(struct fixture *f)
{
    const struct sv_db_options opt = {.create = true};
    struct sv_error err;
    enum sv_err code = sv_db_open(f->dir, &opt, &f->db, &err);
    if (code != SV_OK)
        check_failed(__FILE__, __LINE__, "open: %s %s", sv_err_symbol(code), err.arg[0]);
}

static inline struct fixture fixture_new(void)
{
    struct fixture f;
    fixture_dir(&f);
    fixture_open(&f);
    return f;
}

static inline void fixture_close(struct fixture *f)
{
    sv_db_close(f->db);
    f->db = NULL;
}

static inline void fixture_remove(struct fixture *f)
{
    fixture_close(f);
    DIR *d = opendir(f->dir);
    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            CHECK_INT(unlinkat(dirfd(d), e->d_name, 0), 0);
    closedir(d);
    CHECK_INT(rmdir(f->dir), 0);
}

/* Closures of plain SQL. */
static inline enum sv_err run_script(struct sv_tx *tx, void *sql, struct sv_error *err)
{
    return sqlite3_exec(tx->conn->db, sql, NULL, NULL, NULL) == SQLITE_OK ? SV_OK : sv_db_failed(tx, err);
}

static inline void write_sql(struct fixture *f, const char *sql)
{
    struct sv_error err;
    SV_AUTOFREE char *script = sv_strdup(sql);
    if (sv_db_write(f->db, run_script, script, &err) != SV_OK)
        check_failed(__FILE__, __LINE__, "%s: %s", sql, err.arg[0]);
}

struct number_query {
    const char *sql;
    int64_t value;
};

static inline enum sv_err query_number(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct number_query *q = arg;
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(tx->conn->db, q->sql, -1, &st, NULL) != SQLITE_OK)
        return sv_db_failed(tx, err);
    q->value = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : -1;
    sqlite3_finalize(st);
    return SV_OK;
}

static inline int64_t read_number(struct fixture *f, const char *sql)
{
    struct number_query q = {.sql = sql};
    struct sv_error err;
    if (sv_db_read(f->db, query_number, &q, &err) != SV_OK)
        check_failed(__FILE__, __LINE__, "%s: %s", sql, err.arg[0]);
    return q.value;
}

#endif
