/* Group commit: what closures of a batch may do to each other, and the order of everything after it. */
#include <pthread.h>
#include <semaphore.h>

#include "db_fixture.h"
#include "starvirt/store_job.h"

#define COUNT(name) "SELECT value FROM counter WHERE name = '" name "'"

/* --- a gate: holds the writer inside a closure, so that what is posted meanwhile becomes one batch ---------- */

struct gate {
    struct sv_db_work work;
    sem_t entered, leave;
};

static enum sv_err stand_in_gate(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct gate *g = arg;
    (void)tx;
    (void)err;
    sem_post(&g->entered);
    sem_wait(&g->leave);
    return SV_OK;
}

static void gate_done(struct sv_db_work *w, enum sv_err result)
{
    (void)w;
    CHECK_INT(result, SV_OK);
}

static void gate_shut(struct gate *g, struct fixture *f)
{
    sem_init(&g->entered, 0, 0);
    sem_init(&g->leave, 0, 0);
    g->work = (struct sv_db_work){.fn = stand_in_gate, .arg = g, .done = gate_done};
    sv_db_post(f->db, &g->work);
    sem_wait(&g->entered);
}

static void gate_open(struct gate *g)
{
    sem_post(&g->leave);
}

/* --- a diary of what happened after the commit -------------------------------------------------------------- */

static struct sv_buf diary;

struct item {
    struct sv_db_work work;
    const char *name;
    const char *sql; /* NULL: none */
    enum sv_err fail_with;
    enum sv_err result;
    sem_t *last; /* told when done */
};

static void hook(void *arg)
{
    sv_buf_printf(&diary, "hook %s\n", (const char *)arg);
}

static enum sv_err run_item(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct item *i = arg;
    enum sv_err code = i->sql ? run_script(tx, (void *)(uintptr_t)i->sql, err) : SV_OK;
    if (code != SV_OK)
        return code;
    sv_tx_on_commit(tx, hook, (void *)(uintptr_t)i->name);
    return i->fail_with == SV_OK ? SV_OK : sv_fail(err, i->fail_with, SV_F_VM, i->name);
}

static void item_done(struct sv_db_work *w, enum sv_err result)
{
    struct item *i = (struct item *)w;
    i->result = result;
    sv_buf_printf(&diary, "done %s %s\n", i->name, result == SV_OK ? "ok" : sv_err_symbol(result));
    if (i->last)
        sem_post(i->last);
}

static void post_items(struct fixture *f, struct item *items, size_t n)
{
    struct gate g;
    sem_t last;
    sv_buf_free(&diary);
    sem_init(&last, 0, 0);
    items[n - 1].last = &last;
    gate_shut(&g, f);
    for (size_t i = 0; i < n; i++) {
        items[i].work = (struct sv_db_work){.fn = run_item, .arg = &items[i], .done = item_done};
        sv_db_post(f->db, &items[i].work);
    }
    gate_open(&g);
    sem_wait(&last);
}

static const char *diary_text(void)
{
    return diary.p ? diary.p : "";
}

/* --- tests --------------------------------------------------------------------------------------------------- */

static void batch_is_one_commit(void)
{
    struct fixture f = fixture_new();
    struct item items[100];
    struct sv_db_stats before, after;
    sv_db_stats(f.db, &before);
    for (int i = 0; i < 100; i++)
        items[i] = (struct item){.name = "x", .sql = "UPDATE counter SET value = value + 1"};
    post_items(&f, items, 100);
    sv_db_stats(f.db, &after);
    CHECK_INT(read_number(&f, COUNT("vm")), 100);
    CHECK_INT(after.writes - before.writes, 101); /* with the gate */
    CHECK_INT(after.commits - before.commits, 2);
    CHECK_INT(after.queue, 0);
    fixture_remove(&f);
}

static void failed_closure_rolls_back_alone(void)
{
    struct fixture f = fixture_new();
    struct item items[] = {
        {.name = "a", .sql = "INSERT INTO counter VALUES('a', 1)"},
        {.name = "b", .sql = "INSERT INTO counter VALUES('b', 1)", .fail_with = SV_E_VM_STATE},
        {.name = "c", .sql = "INSERT INTO counter VALUES('c', 1)"},
        {.name = "d", .sql = "INSERT INTO counter VALUES('c', 1)"}, /* a conflict */
        {.name = "e", .sql = "INSERT INTO counter VALUES('b', 2)"},
    };
    post_items(&f, items, 5);
    CHECK_INT(items[1].work.err.code, SV_E_VM_STATE);
    CHECK_STR(items[1].work.err.arg[0], "b");
    CHECK_INT(items[3].work.err.code, SV_E_DB);
    CHECK_INT(read_number(&f, COUNT("a")), 1);
    CHECK_INT(read_number(&f, COUNT("b")), 2);
    CHECK_INT(read_number(&f, COUNT("c")), 1);
    CHECK_STR(diary_text(), "hook a\nhook c\nhook e\n"
                            "done a ok\ndone b VM_STATE\ndone c ok\ndone d DB\ndone e ok\n");
    sv_buf_free(&diary);
    fixture_remove(&f);
}

/* A violation that only COMMIT finds. */
#define BREAKS_COMMIT                                                                                                  \
    "PRAGMA defer_foreign_keys = ON; INSERT INTO token(id, tenant_id, role, hash, descr, created, expires)"            \
    " VALUES('t', 'nobody', 0, x'00', '', 0, 0)"

static void failed_commit_fails_all(void)
{
    struct fixture f = fixture_new();
    struct item items[] = {
        {.name = "a", .sql = "INSERT INTO counter VALUES('a', 1)"},
        {.name = "b", .sql = BREAKS_COMMIT},
        {.name = "c", .fail_with = SV_E_VM_STATE},
    };
    post_items(&f, items, 3);
    CHECK_STR(diary_text(), "done a DB\ndone b DB\ndone c DB\n");
    CHECK(items[0].work.err.arg[0][0] != '\0');
    CHECK_INT(read_number(&f, COUNT("a")), -1);
    write_sql(&f, "INSERT INTO counter VALUES('a', 3)"); /* the writer goes on */
    CHECK_INT(read_number(&f, COUNT("a")), 3);
    sv_buf_free(&diary);
    fixture_remove(&f);
}

static void lost_transaction_fails_all(void)
{
    struct fixture f = fixture_new();
    struct item items[] = {
        {.name = "a", .sql = "INSERT INTO counter VALUES('a', 1)"},
        {.name = "b", .sql = "ROLLBACK", .fail_with = SV_E_DB}, /* as a full disk does it */
        {.name = "c", .sql = "INSERT INTO counter VALUES('c', 1)"},
    };
    post_items(&f, items, 3);
    CHECK_STR(diary_text(), "done a DB\ndone b DB\ndone c DB\n");
    CHECK_INT(read_number(&f, "SELECT count(*) FROM counter WHERE name IN ('a', 'c')"), 0);
    write_sql(&f, "INSERT INTO counter VALUES('a', 3)");
    sv_buf_free(&diary);
    fixture_remove(&f);
}

static enum sv_err fail_bare(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)tx;
    (void)arg;
    (void)err;
    return SV_E_VM_LOCKED;
}

static void bare_code_gets_an_error(void)
{
    struct fixture f = fixture_new();
    struct sv_error err = {.code = SV_E_DB, .arg = {"old"}};
    CHECK_INT(sv_db_write(f.db, fail_bare, NULL, &err), SV_E_VM_LOCKED);
    CHECK_INT(err.code, SV_E_VM_LOCKED);
    CHECK_STR(err.arg[0], "");
    CHECK_INT(sv_db_write(f.db, fail_bare, NULL, NULL), SV_E_VM_LOCKED);
    err = (struct sv_error){.code = SV_E_SYSTEM};
    CHECK_INT(sv_db_write(f.db, run_script, (char[]){"SELECT 1"}, &err), SV_OK);
    CHECK_INT(err.code, SV_E_SYSTEM); /* untouched on success */
    fixture_remove(&f);
}

/* --- order over several batches, posts from inside ------------------------------------------------------------ */

struct ordered {
    struct sv_db_work work;
    int n;
};
static int order_run, order_done;

static enum sv_err run_ordered(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct ordered *o = arg;
    (void)tx;
    (void)err;
    CHECK_INT(o->n, order_run++);
    return SV_OK;
}

static void done_ordered(struct sv_db_work *w, enum sv_err result)
{
    struct ordered *o = (struct ordered *)w;
    CHECK_INT(result, SV_OK);
    CHECK_INT(o->n, order_done++);
    free(o);
}

static void posts_keep_their_order(void)
{
    struct fixture f = fixture_new();
    const int n = 2000; /* more than a batch holds */
    order_run = order_done = 0;
    for (int i = 0; i < n; i++) {
        struct ordered *o = sv_alloc(sizeof(*o));
        *o = (struct ordered){.work = {.fn = run_ordered, .arg = o, .done = done_ordered}, .n = i};
        sv_db_post(f.db, &o->work);
    }
    fixture_close(&f); /* answers them all */
    CHECK_INT(order_done, n);
    fixture_remove(&f);
}

struct chain {
    struct sv_db *db;
    sem_t over;
    int left;
};

static enum sv_err post_the_next(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct chain *c = arg;
    (void)tx;
    (void)err;
    if (c->left-- == 0) {
        sem_post(&c->over);
        return SV_OK;
    }
    struct sv_db_work *w = sv_alloc(sizeof(*w)); /* the database frees it */
    w->fn = post_the_next;
    w->arg = c;
    sv_db_post(c->db, w);
    return SV_OK;
}

static void closures_may_post(void)
{
    struct fixture f = fixture_new();
    struct chain c = {.db = f.db, .left = 50};
    sem_init(&c.over, 0, 0);
    CHECK_INT(sv_db_write(f.db, post_the_next, &c, NULL), SV_OK);
    sem_wait(&c.over);
    CHECK_INT(c.left, -1);
    c.left = 1; /* the first runs in a reading closure */
    CHECK_INT(sv_db_read(f.db, post_the_next, &c, NULL), SV_OK);
    sem_wait(&c.over);
    fixture_remove(&f);
}

/* --- changes --------------------------------------------------------------------------------------------------- */

struct change_item {
    const char *jobs[4];
    bool events, fail;
};

static enum sv_err make_changes(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct change_item *c = arg;
    (void)err;
    for (int i = 0; c->jobs[i]; i++) {
        struct sv_id id;
        SV_COPY(id.s, c->jobs[i]);
        sv_tx_job_changed(tx, &id);
    }
    if (c->events)
        sv_tx_events_added(tx);
    return c->fail ? SV_E_VM_STATE : SV_OK;
}

static void note_change(void *arg, const struct sv_id *job)
{
    sv_buf_printf(arg, "%s ", job ? job->s : "events");
}

static void done_nothing(struct sv_db_work *w, enum sv_err result)
{
    (void)w;
    (void)result;
}

static void changes_are_told_once(void)
{
    struct fixture f = fixture_new();
    struct sv_buf told = {0};
    struct change_item items[] = {{.jobs = {"j1", "j2"}},
                                  {.jobs = {"j3"}, .events = true, .fail = true},
                                  {.jobs = {"j2", "j4", "j1"}},
                                  {.events = true}};
    struct sv_db_work works[4];
    struct gate g;
    sv_db_on_change(f.db, note_change, &told);
    gate_shut(&g, &f);
    for (int i = 0; i < 4; i++) {
        works[i] = (struct sv_db_work){.fn = make_changes, .arg = &items[i], .done = done_nothing};
        sv_db_post(f.db, &works[i]);
    }
    gate_open(&g);
    write_sql(&f, "SELECT 1");
    CHECK_STR(told.p, "j1 j2 j4 events ");
    sv_db_on_change(f.db, NULL, NULL);
    sv_buf_free(&told);
    fixture_remove(&f);
}

/* --- time, arena ----------------------------------------------------------------------------------------------- */

static enum sv_err rising_time(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    int64_t *last = arg;
    (void)err;
    CHECK(sv_tx_now(tx) >= *last);
    *last = sv_tx_now(tx);
    CHECK_INT(sv_tx_now(tx), *last);
    return SV_OK;
}

static void time_does_not_go_back(void)
{
    struct fixture f = fixture_new();
    int64_t last = 1600000000000;
    for (int i = 0; i < 100; i++) {
        CHECK_INT(sv_db_write(f.db, rising_time, &last, NULL), SV_OK);
        CHECK_INT(sv_db_read(f.db, rising_time, &last, NULL), SV_OK);
    }
    fixture_remove(&f);
}

static const char *kept_text;

static void use_kept_text(void *arg)
{
    CHECK_STR(arg, "kept");
    CHECK_STR(kept_text, "kept");
}

static enum sv_err keep_text(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    (void)err;
    kept_text = sv_arena_strdup(sv_tx_arena(tx), "kept");
    sv_tx_on_commit(tx, use_kept_text, (void *)(uintptr_t)kept_text);
    return SV_OK;
}

static void keep_text_done(struct sv_db_work *w, enum sv_err result)
{
    (void)w;
    CHECK_INT(result, SV_OK);
    CHECK_STR(kept_text, "kept");
}

static void arena_lives_through_the_answers(void)
{
    struct fixture f = fixture_new();
    struct sv_db_work w = {.fn = keep_text, .done = keep_text_done};
    sv_db_post(f.db, &w);
    write_sql(&f, "SELECT 1");
    fixture_remove(&f);
}

/* --- producers beside each other --------------------------------------------------------------------------------- */

static enum sv_err add_one(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    return run_script(tx, (char[]){"UPDATE counter SET value = value + 1 WHERE name = 'vm'"}, err);
}

static void *produce(void *arg)
{
    struct fixture *f = arg;
    for (int i = 0; i < 100; i++) {
        CHECK_INT(sv_db_write(f->db, add_one, NULL, NULL), SV_OK);
        CHECK(read_number(f, COUNT("vm")) > i); /* own writes are seen */
    }
    return NULL;
}

static void producers_lose_nothing(void)
{
    struct fixture f = fixture_new();
    pthread_t threads[16];
    for (int i = 0; i < 16; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, produce, &f), 0);
    for (int i = 0; i < 16; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(read_number(&f, COUNT("vm")), 1600);
    fixture_remove(&f);
}

CHECK_MAIN(T(batch_is_one_commit), T(failed_closure_rolls_back_alone), T(failed_commit_fails_all),
           T(lost_transaction_fails_all), T(bare_code_gets_an_error), T(posts_keep_their_order), T(closures_may_post),
           T(changes_are_told_once), T(time_does_not_go_back), T(arena_lives_through_the_answers),
           T(producers_lose_nothing))
