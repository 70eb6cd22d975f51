/* Opening, reading beside the writer, and what a kill leaves. */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "db_fixture.h"
#include "starvirt/limits.h"

static enum sv_err open_as(const struct fixture *f, struct sv_db_options opt, struct sv_db **ret, struct sv_error *err)
{
    return sv_db_open(f->dir, &opt, ret, err);
}

static unsigned mode_of(const struct fixture *f, const char *name)
{
    struct stat st;
    SV_AUTOFREE char *path = sv_asprintf("%s/%s", f->dir, name);
    CHECK_INT(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void makes_what_is_absent(void)
{
    struct fixture f;
    struct sv_db *db = NULL;
    struct sv_error err;
    fixture_dir(&f);
    CHECK_INT(rmdir(f.dir), 0);
    CHECK_INT(open_as(&f, (struct sv_db_options){.create = false}, &db, &err), SV_E_SYSTEM);
    mode_t mask = umask(077);
    fixture_open(&f);
    umask(mask);
    CHECK_INT(mode_of(&f, "."), 0711);
    CHECK_INT(mode_of(&f, "starvirt.db"), 0600);
    CHECK_INT(mode_of(&f, "starvirt.db-wal"), 0600);
    CHECK_INT(mode_of(&f, "lock"), 0600);
    fixture_close(&f);
    CHECK_INT(open_as(&f, (struct sv_db_options){.create = false}, &f.db, &err), SV_OK);
    fixture_remove(&f);
}

static void directory_belongs_to_one(void)
{
    struct fixture f = fixture_new();
    struct sv_db *other = NULL;
    struct sv_error err;
    CHECK_INT(open_as(&f, (struct sv_db_options){.create = true}, &other, &err), SV_E_DB_LOCKED);
    CHECK(other == NULL);
    /* Reading is for everybody, also while it is in use. */
    CHECK_INT(open_as(&f, (struct sv_db_options){.read_only = true}, &other, &err), SV_OK);
    struct fixture reading = {.db = other};
    write_sql(&f, "UPDATE counter SET value = 7");
    CHECK_INT(read_number(&reading, "SELECT value FROM counter"), 7);
    sv_db_close(other);
    fixture_close(&f);
    CHECK_INT(open_as(&f, (struct sv_db_options){.read_only = true}, &f.db, &err), SV_OK);
    CHECK_INT(read_number(&f, "SELECT value FROM counter"), 7);
    fixture_remove(&f);
}

static void newer_file_is_refused(void)
{
    struct fixture f = fixture_new();
    struct sv_db *db = NULL;
    struct sv_error err;
    write_sql(&f, "PRAGMA user_version = 4711");
    fixture_close(&f);
    CHECK_INT(open_as(&f, (struct sv_db_options){.create = true}, &db, &err), SV_E_DB_NEWER);
    CHECK_STR(err.arg[0], "4711");
    CHECK_INT(open_as(&f, (struct sv_db_options){.read_only = true}, &db, &err), SV_E_DB_NEWER);
    CHECK(db == NULL);
    fixture_remove(&f);
}

/* A file of version 2 with jobs in it: what is open is counted, and every tenant but the administrators' is bounded. */
static void counts_open_jobs_of_an_older_file(void)
{
    static const char rows[] =
        "INSERT INTO tenant(id, name, descr, is_admin, created, quota_vcpus, quota_memory, quota_storage, "
        "quota_subnets, quota_ips) VALUES('t1', 'a', '', 1, 1, -1, -1, -1, -1, -1), ('t2', 'b', '', 0, 1, -1, -1, -1, "
        "-1, -1);"
        "INSERT INTO job(id, tenant_id, object_id, host_id, kind, object_type, object_name, iarg0, iarg1, sarg, result,"
        " created, ended) VALUES('j1', 't1', '', '', 'k', '', '', 0, 0, '', 0, 1, 5),"
        " ('j2', 't2', '', '', 'k', '', '', 0, 0, '', 2, 1, 0), ('j3', 't2', '', '', 'k', '', '', 0, 0, '', 3, 1, 0),"
        " ('j4', 't2', '', '', 'k', '', '', 0, 0, '', 1, 1, 5);"
        "INSERT INTO job_count(tenant_id, jobs) VALUES('t1', 1), ('t2', 3); PRAGMA user_version = 2";
    struct fixture f;
    sqlite3 *old = NULL;
    fixture_dir(&f);
    SV_AUTOFREE char *path = sv_asprintf("%s/starvirt.db", f.dir);
    CHECK_INT(sqlite3_open(path, &old), SQLITE_OK);
    CHECK_INT(sqlite3_exec(old, sv_schema[0], NULL, NULL, NULL), SQLITE_OK);
    CHECK_INT(sqlite3_exec(old, sv_schema[1], NULL, NULL, NULL), SQLITE_OK);
    CHECK_INT(sqlite3_exec(old, rows, NULL, NULL, NULL), SQLITE_OK);
    CHECK_INT(sqlite3_close(old), SQLITE_OK);
    fixture_open(&f);
    CHECK_INT(read_number(&f, "SELECT open FROM job_count WHERE tenant_id = 't1'"), 0);
    CHECK_INT(read_number(&f, "SELECT open FROM job_count WHERE tenant_id = 't2'"), 2);
    CHECK_INT(read_number(&f, "SELECT quota_jobs FROM tenant WHERE id = 't1'"), -1);
    CHECK_INT(read_number(&f, "SELECT quota_jobs FROM tenant WHERE id = 't2'"), SV_DEFAULT_OPEN_JOBS);
    fixture_remove(&f);
}

static void spoiled_file_is_refused(void)
{
    struct fixture f;
    struct sv_db *db = NULL;
    struct sv_error err;
    fixture_dir(&f);
    SV_AUTOFREE char *path = sv_asprintf("%s/starvirt.db", f.dir);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is no database ", file);
    fclose(file);
    CHECK_INT(open_as(&f, (struct sv_db_options){.create = true}, &db, &err), SV_E_DB_DAMAGED);
    CHECK(err.arg[0][0] != '\0');
    fixture_remove(&f);
}

static void every_statement_prepares(void)
{
    struct fixture f = fixture_new();
    struct sv_error err;
    if (sv_db_check_statements(f.db, &err) != SV_OK)
        check_failed(__FILE__, __LINE__, "%s", err.arg[0]);
    fixture_remove(&f);
}

/* --- snapshots ------------------------------------------------------------------------------------------------ */

static void *write_meanwhile(void *arg)
{
    write_sql(arg, "UPDATE counter SET value = value + 1");
    return NULL;
}

static enum sv_err read_twice(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct number_query q = {.sql = "SELECT value FROM counter"};
    pthread_t writer;
    CHECK_INT(query_number(tx, &q, err), SV_OK);
    CHECK_INT(q.value, 0);
    CHECK_INT(pthread_create(&writer, NULL, write_meanwhile, arg), 0);
    pthread_join(writer, NULL);
    CHECK_INT(query_number(tx, &q, err), SV_OK);
    CHECK_INT(q.value, 0);
    return SV_E_VM_STATE; /* what a reader answers is handed on */
}

static void reader_sees_one_snapshot(void)
{
    struct fixture f = fixture_new();
    CHECK_INT(sv_db_read(f.db, read_twice, &f, NULL), SV_E_VM_STATE);
    CHECK_INT(read_number(&f, "SELECT value FROM counter"), 1);
    fixture_remove(&f);
}

static void reader_cannot_write(void)
{
    struct fixture f = fixture_new();
    struct sv_error err;
    CHECK_INT(sv_db_read(f.db, run_script, (char[]){"UPDATE counter SET value = 5"}, &err), SV_E_DB);
    CHECK_INT(read_number(&f, "SELECT value FROM counter"), 0);
    fixture_remove(&f);
}

static void *read_once(void *arg)
{
    read_number(arg, "SELECT value FROM counter");
    return NULL;
}

struct parked {
    struct fixture *f;
    sem_t has_read, may_end;
};

static void *read_and_outlive(void *arg)
{
    struct parked *p = arg;
    read_number(p->f, "SELECT value FROM counter");
    sem_post(&p->has_read);
    sem_wait(&p->may_end);
    return NULL;
}

/* Connections go with their thread or with the database, whichever is first: the leak checker looks on. */
static void connections_do_not_leak(void)
{
    struct fixture a = fixture_new(), b = fixture_new();
    struct parked p = {.f = &a};
    pthread_t threads[20], parked;
    sem_init(&p.has_read, 0, 0);
    sem_init(&p.may_end, 0, 0);
    CHECK_INT(pthread_create(&parked, NULL, read_and_outlive, &p), 0);
    sem_wait(&p.has_read);
    for (int i = 0; i < 20; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, read_once, i % 2 ? &a : &b), 0);
    for (int i = 0; i < 20; i++)
        pthread_join(threads[i], NULL);
    read_once(&a);
    read_once(&b);
    fixture_remove(&a);
    sem_post(&p.may_end);
    pthread_join(parked, NULL);
    a = fixture_new();
    read_once(&a);
    read_once(&b);
    fixture_remove(&b);
    fixture_remove(&a);
}

/* --- a process that ends in the middle -------------------------------------------------------------------------- */

struct child_writer {
    struct fixture *f;
    int fd, first;
};

/* Writes its numbers and tells each through the pipe once it is acknowledged. */
static void *write_and_tell(void *arg)
{
    const struct child_writer *w = arg;
    for (int i = w->first;; i += 8) {
        SV_AUTOFREE char *sql = sv_asprintf("INSERT INTO counter VALUES('n%d', %d)", i, i);
        write_sql(w->f, sql);
        if (write(w->fd, &i, sizeof(i)) != sizeof(i))
            return NULL;
    }
}

__attribute__((noreturn)) static void child_main(struct fixture *f, int fd)
{
    struct child_writer w[8];
    pthread_t threads[8];
    fixture_open(f);
    for (int i = 0; i < 8; i++) {
        w[i] = (struct child_writer){.f = f, .fd = fd, .first = i};
        CHECK_INT(pthread_create(&threads[i], NULL, write_and_tell, &w[i]), 0);
    }
    for (;;)
        pause();
}

static void kill_one_child(struct fixture *f, int enough)
{
    int fds[2], n, count = 0;
    SV_AUTOFREE int *told = sv_alloc(sizeof(int) * 100000);
    write_sql(f, "DELETE FROM counter WHERE name LIKE 'n%'");
    fixture_close(f);
    CHECK_INT(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0)
        child_main(f, fds[1]);
    close(fds[1]);
    while (count < enough && read(fds[0], &n, sizeof(n)) == sizeof(n))
        told[count++] = n;
    CHECK_INT(kill(child, SIGKILL), 0);
    while (count < 100000 && read(fds[0], &n, sizeof(n)) == sizeof(n))
        told[count++] = n;
    close(fds[0]);
    CHECK_INT(waitpid(child, NULL, 0), child);
    CHECK(count >= enough);
    fixture_open(f);
    for (int i = 0; i < count; i++) {
        SV_AUTOFREE char *sql = sv_asprintf("SELECT value FROM counter WHERE name = 'n%d'", told[i]);
        CHECK_INT(read_number(f, sql), told[i]);
    }
    CHECK_INT(read_number(f, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
}

static void acknowledged_survives_kill(void)
{
    struct fixture f = fixture_new();
    for (int round = 0; round < 5; round++)
        kill_one_child(&f, 37 + 211 * round);
    fixture_remove(&f);
}

/* --- what is refused ------------------------------------------------------------------------------------------------
 */

static enum sv_err read_again(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)tx;
    return sv_db_read(arg, run_script, NULL, err);
}

static enum sv_err write_again(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)tx;
    return sv_db_write(arg, run_script, NULL, err);
}

typedef enum sv_err (*entry_fn)(struct sv_db *db, sv_tx_fn fn, void *arg, struct sv_error *err);

/* In a process of its own, which must end by the assertion. */
static void check_aborts(entry_fn outer, sv_tx_fn inner)
{
    struct fixture f;
    int status;
    fixture_dir(&f);
    pid_t child = fork();
    if (child == 0) {
        CHECK(freopen("/dev/null", "w", stderr) != NULL);
        fixture_open(&f);
        outer(f.db, inner, f.db, NULL);
        _exit(0);
    }
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    fixture_remove(&f);
}

static void closures_do_not_nest(void)
{
    check_aborts(sv_db_read, read_again);
    check_aborts(sv_db_read, write_again);
    check_aborts(sv_db_write, read_again);
    check_aborts(sv_db_write, write_again);
}

CHECK_MAIN(T(makes_what_is_absent), T(directory_belongs_to_one), T(newer_file_is_refused),
           T(counts_open_jobs_of_an_older_file), T(spoiled_file_is_refused), T(every_statement_prepares),
           T(reader_sees_one_snapshot), T(reader_cannot_write), T(connections_do_not_leak),
           T(acknowledged_survives_kill), T(closures_do_not_nest))
