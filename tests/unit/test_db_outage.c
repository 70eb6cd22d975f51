/* Outages: what waits, what fails, in which order, and that each write is done once. */
#include <pthread.h>
#include <semaphore.h>

#include "db_fixture.h"
#include "faulty_vfs.h"
#include "starvirt/clock.h"
#include "starvirt/log.h"

enum { PATIENCE_MS = 20000, MANY = 1200 /* more than a batch holds */ };
#define COUNT(name) "SELECT value FROM counter WHERE name = '" name "'"

struct fault_row {
    const char *name;
    int what, code;
    enum sv_err seen;
};
static const struct fault_row rows[] = {
    {"full", FAULT_WRITE, SQLITE_FULL, SV_E_DISK_FULL},
    {"write", FAULT_WRITE, SQLITE_IOERR_WRITE, SV_E_DB_IO},
    {"fsync", FAULT_SYNC, SQLITE_IOERR_FSYNC, SV_E_DB_IO},
    {"read-only", FAULT_WRITE, SQLITE_READONLY, SV_E_DB_IO},
    {"everything", FAULT_READ | FAULT_WRITE | FAULT_SYNC | FAULT_OPEN | FAULT_SHM, SQLITE_IOERR, SV_E_DB_IO},
};

static struct fixture up(void)
{
    static bool registered;
    sv_log_level(SV_LOG_ERROR + 1);
    if (!registered)
        faulty_vfs_register();
    registered = true;
    fault_set(0, 0, 0);
    struct fixture f = fixture_new();
    write_sql(&f, "CREATE TABLE done(at INTEGER PRIMARY KEY, number INTEGER)");
    return f;
}

/* --- writes that are posted: each appends its number --- */

struct numbered {
    struct sv_db_work work;
    struct fixture *f;
    int number;
    const char *sql; /* NULL: append the number */
    enum sv_err result;
    atomic_bool answered;
};

static enum sv_err append(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct numbered *n = arg;
    SV_AUTOFREE char *sql = n->sql ? sv_strdup(n->sql) : sv_asprintf("INSERT INTO done VALUES(NULL, %d)", n->number);
    return run_script(tx, sql, err);
}

static void answered(struct sv_db_work *w, enum sv_err result)
{
    struct numbered *n = (struct numbered *)w;
    n->result = result;
    atomic_store(&n->answered, true);
}

static void post(struct fixture *f, struct numbered *n, int number, bool at_once)
{
    n->number = number;
    n->work = (struct sv_db_work){.fn = append, .arg = n, .done = answered, .at_once = at_once};
    sv_db_post(f->db, &n->work);
}

static void wait_answer(const struct numbered *n)
{
    const int64_t until = sv_mono_ms() + PATIENCE_MS;
    while (!atomic_load(&n->answered)) {
        CHECK(sv_mono_ms() < until);
        sched_yield();
    }
}

static void wait_failures(struct fixture *f, uint64_t more)
{
    const int64_t until = sv_mono_ms() + PATIENCE_MS;
    struct sv_db_stats begin, now;
    sv_db_stats(f->db, &begin);
    do {
        CHECK(sv_mono_ms() < until);
        sched_yield();
        sv_db_stats(f->db, &now);
    } while (now.failures < begin.failures + more);
}

static void waits_and_is_done_once_in_order(const struct fault_row *row)
{
    struct fixture f = up();
    struct numbered n[MANY] = {0}, refused = {0};
    struct sv_db_stats s;
    fault_set(row->what, row->code, 0);
    for (int i = 0; i < MANY; i++)
        post(&f, &n[i], i, false);
    wait_failures(&f, 3);
    post(&f, &refused, 1000, true);
    wait_answer(&refused);
    CHECK_INT(refused.result, row->seen);
    CHECK(!sv_db_writable(f.db));
    sv_db_stats(f.db, &s);
    CHECK_INT(s.outage, row->seen);
    CHECK_INT(s.outages, 1);
    CHECK_INT(s.waiting, MANY);
    for (int i = 0; i < MANY; i++)
        CHECK(!atomic_load(&n[i].answered));
    fault_set(0, 0, 0);
    for (int i = 0; i < MANY; i++) {
        wait_answer(&n[i]);
        CHECK_INT(n[i].result, SV_OK);
    }
    CHECK_INT(read_number(&f, "SELECT count(*) FROM done WHERE number = at - 1"), MANY); /* in order */
    CHECK(sv_db_writable(f.db));
    fixture_close(&f);
    fixture_open(&f); /* and it is on disk */
    CHECK_INT(read_number(&f, "SELECT count(*) FROM done"), MANY);
    fixture_remove(&f);
}

static void writes_wait(void)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        waits_and_is_done_once_in_order(&rows[i]);
}

static void reading_goes_on(void)
{
    struct fixture f = up();
    struct numbered n = {0};
    read_number(&f, COUNT("vm"));
    fault_set(FAULT_WRITE, SQLITE_FULL, 0);
    post(&f, &n, 1, false);
    wait_failures(&f, 1);
    CHECK_INT(read_number(&f, COUNT("vm")), 0);
    fault_set(0, 0, 0);
    wait_answer(&n);
    fixture_remove(&f);
}

/* It waits, the others do not. */
static void who_meets_a_bad_page_waits_alone(void)
{
    struct fixture f = up();
    struct numbered bad = {.sql =
                               "UPDATE counter SET value = value + 1 WHERE name = (SELECT max('vm', max(a)) FROM big)"};
    struct numbered good[3] = {0};
    write_sql(&f,
              "CREATE TABLE big(a TEXT); INSERT INTO big WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM"
              " n WHERE i < 3000) SELECT printf('%1000d', i) FROM n");
    const int page = (int)read_number(&f, "SELECT max(pageno) FROM dbstat WHERE name = 'big'");
    fixture_close(&f);
    fixture_open(&f); /* nothing of it in a cache */
    fault_set(FAULT_READ, SQLITE_IOERR_READ, page > 0 ? page : 700);
    post(&f, &bad, 0, false);
    for (int i = 0; i < 3; i++)
        post(&f, &good[i], i, false);
    for (int i = 0; i < 3; i++) {
        wait_answer(&good[i]);
        CHECK_INT(good[i].result, SV_OK);
    }
    CHECK(!atomic_load(&bad.answered));
    CHECK(atomic_load(&fault.met) > 0);
    fault_set(0, 0, 0);
    wait_answer(&bad);
    CHECK_INT(bad.result, SV_OK);
    fixture_remove(&f);
}

/* A rule that takes an error for "not there" is not believed. */
static enum sv_err swallow(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    (void)err;
    tx->conn->trouble = SV_E_DB_IO; /* as a statement leaves it */
    return SV_OK;
}

static enum sv_err mistake(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    swallow(tx, arg, err);
    return sv_fail(err, SV_E_VM_NOT_FOUND, SV_F_VM);
}

static void errors_are_not_swallowed(void)
{
    struct fixture f = up();
    struct sv_error err;
    CHECK_INT(sv_db_try(f.db, swallow, NULL, &err), SV_E_DB_IO);
    CHECK_INT(err.code, SV_E_DB_IO);
    CHECK_INT(sv_db_try(f.db, mistake, NULL, &err), SV_E_DB_IO);
    CHECK_INT(err.code, SV_E_DB_IO);
    CHECK_INT(sv_db_read(f.db, swallow, NULL, &err), SV_E_DB_IO);
    CHECK_INT(sv_db_read(f.db, mistake, NULL, &err), SV_E_DB_IO);
    CHECK_INT(read_number(&f, COUNT("vm")), 0);
    fixture_remove(&f);
}

static void an_end_does_not_wait(void)
{
    struct fixture f = up();
    struct numbered n[3] = {0};
    fault_set(FAULT_WRITE, SQLITE_FULL, 0);
    for (int i = 0; i < 2; i++)
        post(&f, &n[i], i, false);
    wait_failures(&f, 2);
    sv_db_hurry(f.db);
    wait_answer(&n[0]);
    wait_answer(&n[1]);
    CHECK_INT(n[0].result, SV_E_DISK_FULL);
    post(&f, &n[2], 2, false); /* nor does what comes then */
    wait_answer(&n[2]);
    CHECK_INT(n[2].result, SV_E_DISK_FULL);
    fixture_close(&f);
    fault_set(0, 0, 0);
    fixture_open(&f);
    fixture_remove(&f);
}

/* On and off while many write. */
static void *produce(void *arg)
{
    struct fixture *f = arg;
    for (int i = 0; i < 60; i++)
        CHECK_INT(
            sv_db_write(f->db, run_script, (char[]){"UPDATE counter SET value = value + 1 WHERE name = 'vm'"}, NULL),
            SV_OK);
    return NULL;
}

static void many_outages_lose_nothing(void)
{
    struct fixture f = up();
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, produce, &f), 0);
    for (int i = 0; i < 20; i++) {
        const struct fault_row *row = &rows[i % (sizeof(rows) / sizeof(rows[0]))];
        const int met = atomic_load(&fault.met);
        const int64_t until = sv_mono_ms() + 100; /* they may have come to their end */
        fault_set(row->what, row->code, 0);
        while (atomic_load(&fault.met) < met + 3 && sv_mono_ms() < until)
            sched_yield();
        fault_set(0, 0, 0);
    }
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(read_number(&f, COUNT("vm")), 480);
    CHECK_INT(read_number(&f, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
    fixture_remove(&f);
}

CHECK_MAIN(T(writes_wait), T(reading_goes_on), T(who_meets_a_bad_page_waits_alone), T(errors_are_not_swallowed),
           T(an_end_does_not_wait), T(many_outages_lose_nothing))
