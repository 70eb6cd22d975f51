#include "jobs_toys.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <unistd.h>

/* --- steps --- */

static bool told(const struct sv_run *r, const char *what, const char *step)
{
    char want[64];
    snprintf(want, sizeof(want), "%s:%s;", what, step);
    return strstr(sv_run_job(r)->sarg, want) != NULL;
}

static void effect_path(const struct toys *t, const struct sv_id *object, const char *step, char *buf, size_t size)
{
    snprintf(buf, size, "%s/%s.%s", t->dir, object->s, step);
}

static void trace(struct toys *t, char sign, const char *step, int running)
{
    pthread_mutex_lock(&t->mutex);
    if (sign)
        sv_buf_printf(&t->trace, "%c%s ", sign, step);
    t->running += (unsigned)running;
    if (t->running > t->most_running)
        t->most_running = t->running;
    pthread_mutex_unlock(&t->mutex);
}

/* A blocking call of the kind steps make: it looks at its deadline now and then. */
static enum sv_err at_gate(struct sv_run *r, bool deaf, struct sv_error *err)
{
    struct toys *t = sv_run_app(r);
    const struct sv_deadline *d = sv_run_deadline(r);
    enum sv_err rc = SV_OK;
    pthread_mutex_lock(&t->mutex);
    t->at_gate++;
    pthread_cond_broadcast(&t->cond);
    while (!t->gate_open && !rc) {
        bool over;
        jobs_cond_wait(&t->cond, &t->mutex, sv_mono_ms() + 10, &over);
        if (!deaf && sv_deadline_cancelled(d))
            rc = sv_fail(err, SV_E_JOB_CANCELLED, SV_F_NONE);
        else if (!deaf && sv_deadline_over(d))
            rc = sv_fail(err, SV_E_JOB_DEADLINE, SV_F_NONE, "gate");
    }
    t->at_gate--;
    pthread_mutex_unlock(&t->mutex);
    return rc;
}

static enum sv_err act(struct sv_run *r, const char *step, struct sv_error *err)
{
    if (told(r, "half", step)) {
        sv_run_progress(r, 1, 2);
        sv_run_note(r, SV_LOG_INFO, SV_N_FREE_TEXT, "half way", NULL);
    }
    if (told(r, "fail", step))
        return sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, "toy broke", step);
    if (told(r, "gate", step) || told(r, "deaf", step) || told(r, "half", step))
        return at_gate(r, told(r, "deaf", step), err);
    return SV_OK;
}

static enum sv_err toy_do(struct sv_run *r, const char *step, struct sv_error *err)
{
    struct toys *t = sv_run_app(r);
    char path[256];
    effect_path(t, &sv_run_job(r)->object, step, path, sizeof(path));
    CHECK(sv_arena_printf(sv_run_arena(r), "%s", path) != NULL);
    trace(t, '+', step, 1);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    close(fd);
    enum sv_err rc = act(r, step, err);
    if (t->tell_fd >= 0)
        CHECK(write(t->tell_fd, "+", 1) == 1);
    trace(t, 0, step, -1);
    return rc;
}

static enum sv_err toy_undo(struct sv_run *r, const char *step, struct sv_error *err)
{
    struct toys *t = sv_run_app(r);
    char path[256];
    CHECK(sv_run_deadline(r)->cancel == NULL && sv_deadline_left(sv_run_deadline(r)) > 1000);
    effect_path(t, &sv_run_job(r)->object, step, path, sizeof(path));
    trace(t, '-', step, 0);
    if (told(r, "hold", step))
        (void)at_gate(r, true, err);
    if (told(r, "stuck", step) && !t->unstuck)
        return sv_fail(err, SV_E_STORAGE, SV_F_NONE, "stuck");
    CHECK(unlink(path) == 0 || errno == ENOENT);
    return SV_OK;
}

#define TOY_STEP(s)                                                                                                    \
    static enum sv_err do_##s(struct sv_run *r, struct sv_error *err)                                                  \
    {                                                                                                                  \
        return toy_do(r, #s, err);                                                                                     \
    }                                                                                                                  \
    static enum sv_err undo_##s(struct sv_run *r, struct sv_error *err)                                                \
    {                                                                                                                  \
        return toy_undo(r, #s, err);                                                                                   \
    }
TOY_STEP(a)
TOY_STEP(b)
TOY_STEP(c)

/* A row of its own, so that a test sees that it happened exactly once and with the result. */
static enum sv_err toy_end(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                           struct sv_error *err)
{
    struct toys *t = app;
    char content[8];
    pthread_mutex_lock(&t->mutex);
    enum sv_err rc = t->end_fails;
    t->end_fails = SV_OK;
    pthread_mutex_unlock(&t->mutex);
    if (rc)
        return sv_fail(err, rc, SV_F_NONE, "toy end");
    snprintf(content, sizeof(content), "%d", (int)result);
    struct sv_event e = {.type = "toy.end",
                         .object_type = job->object_type,
                         .object = job->object,
                         .tenant = job->tenant,
                         .content = content};
    return sv_event_add(tx, &e, err);
}

static const struct sv_step steps[] = {
    {.name = "a", .title_zh = "甲", .title_en = "first", .weight = 1, .run = do_a, .undo = undo_a},
    {.name = "b", .title_zh = "乙", .title_en = "second", .weight = 2, .run = do_b, .undo = undo_b},
    {.name = "c", .title_zh = "丙", .title_en = "third", .weight = 7, .run = do_c, .undo = undo_c},
};
const struct sv_job_kind toy_three = {.name = "toy.three",
                                      .title_zh = "三步",
                                      .title_en = "three steps",
                                      .lock_code = 3,
                                      .resumable = true,
                                      .steps = steps,
                                      .step_count = 3,
                                      .end = toy_end};
const struct sv_job_kind toy_once = {.name = "toy.once",
                                     .title_zh = "不可续",
                                     .title_en = "not resumable",
                                     .lock_code = 4,
                                     .steps = steps,
                                     .step_count = 3,
                                     .end = toy_end};
const struct sv_job_kind toy_hasty = {.name = "toy.hasty",
                                      .title_zh = "急",
                                      .title_en = "hasty",
                                      .lock_code = 5,
                                      .deadline_ms = 150,
                                      .resumable = true,
                                      .steps = steps,
                                      .step_count = 3,
                                      .end = toy_end};
static bool all_of_it(const struct sv_job *job)
{
    return strstr(job->sarg, "all;") != NULL;
}

static const struct sv_step some_steps[] = {
    {.name = "a", .title_zh = "甲", .title_en = "first", .weight = 1, .run = do_a, .undo = undo_a},
    {.name = "b",
     .title_zh = "乙",
     .title_en = "second",
     .weight = 2,
     .run = do_b,
     .undo = undo_b,
     .needed = all_of_it},
    {.name = "c", .title_zh = "丙", .title_en = "third", .weight = 7, .run = do_c, .undo = undo_c, .needed = all_of_it},
};
const struct sv_job_kind toy_some = {.name = "toy.some",
                                     .title_zh = "或多或少",
                                     .title_en = "some steps or all",
                                     .lock_code = 8,
                                     .resumable = true,
                                     .steps = some_steps,
                                     .step_count = 3,
                                     .end = toy_end};
const struct sv_job_kind toy_one = {.name = "toy.one",
                                    .title_zh = "一步",
                                    .title_en = "one step",
                                    .lock_code = 6,
                                    .resumable = true,
                                    .steps = steps,
                                    .step_count = 1,
                                    .end = toy_end};
const struct sv_job_kind toy_grim = {.name = "toy.grim",
                                     .title_zh = "不可取消",
                                     .title_en = "no way back",
                                     .lock_code = 7,
                                     .resumable = true,
                                     .no_cancel = true,
                                     .steps = steps,
                                     .step_count = 3,
                                     .end = toy_end};
static const struct sv_step alone_steps[] = {
    {.name = "a", .title_zh = "甲", .title_en = "first", .run = do_a, .undo = undo_a, .undo_alone = true},
    {.name = "b", .title_zh = "乙", .title_en = "second", .run = do_b, .undo = undo_b},
    {.name = "c", .title_zh = "丙", .title_en = "third", .run = do_c, .undo = undo_c},
};
const struct sv_job_kind toy_alone = {.name = "toy.alone",
                                      .title_zh = "各自",
                                      .title_en = "each on its own",
                                      .lock_code = 9,
                                      SV_STEPS(alone_steps),
                                      .end = toy_end};
const struct sv_job_kind toy_none = {.name = "toy.none", .title_zh = "无", .title_en = "no step"};
const struct sv_job_kind *const toy_kinds[] = {&toy_three, &toy_once, &toy_hasty, &toy_one, &toy_grim,
                                               &toy_none,  &toy_some, &toy_alone, NULL};
const struct sv_job_kind *const toy_kinds_but_three[] = {&toy_once, NULL};

/* --- up and down --- */

static void changed(void *arg, const struct sv_id *job)
{
    struct toys *t = arg;
    (void)job;
    pthread_mutex_lock(&t->mutex);
    pthread_cond_broadcast(&t->cond);
    pthread_mutex_unlock(&t->mutex);
}

static void must(enum sv_err rc, const struct sv_error *err, const char *what)
{
    char text[256];
    if (rc == SV_OK)
        return;
    sv_err_text(err, SV_LANG_EN, text, sizeof(text));
    check_failed(__FILE__, __LINE__, "%s: %s", what, text);
}

void toys_open(struct toys *t)
{
    struct sv_error err;
    pthread_mutex_init(&t->mutex, NULL);
    sv_cond_init(&t->cond);
    must(sv_db_open(t->dir, &(struct sv_db_options){.create = true}, &t->db, &err), &err, "open");
    sv_db_on_change(t->db, changed, t);
}

static enum sv_err tenant_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct toys *t = arg;
    struct sv_amounts all = {-1, -1, -1, -1, -1, -1, -1};
    struct sv_tenant row = {.id = t->tenant, .name = "toys", .descr = "", .created = sv_tx_now(tx), .quota = all};
    return sv_tenant_insert(tx, &row, err);
}

void toys_make(struct toys *t)
{
    struct sv_error err;
    const char *tmp = getenv("TMPDIR");
    sv_log_level(SV_LOG_ERROR);
    memset(t, 0, sizeof(*t));
    t->tell_fd = -1;
    t->tenant = sv_id_new();
    snprintf(t->dir, sizeof(t->dir), "%s/starvirt-jobs-XXXXXX", tmp ? tmp : "/tmp");
    CHECK(mkdtemp(t->dir) != NULL);
    toys_open(t);
    must(sv_db_write(t->db, tenant_tx, t, &err), &err, "tenant");
}

void toys_engine(struct toys *t, const struct sv_jobs_options *opt, const struct sv_job_kind *const *kinds)
{
    struct sv_error err;
    must(sv_jobs_new(t->db, kinds, t, opt, &t->jobs, &err), &err, "engine");
    t->jobs->undo_wait_ms = 5;
}

void toys_close(struct toys *t)
{
    if (t->jobs) {
        sv_jobs_stop(t->jobs, TOY_WAIT_MS);
        sv_jobs_free(t->jobs);
    }
    t->jobs = NULL;
    sv_db_close(t->db);
    t->db = NULL;
    sv_buf_free(&t->trace);
    pthread_cond_destroy(&t->cond);
    pthread_mutex_destroy(&t->mutex);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void toys_remove(struct toys *t)
{
    CHECK(nftw(t->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

void toys_up(struct toys *t, unsigned slots)
{
    struct sv_error err;
    toys_make(t);
    toys_engine(t, &(struct sv_jobs_options){.slots_per_host = slots, .requeue = true}, toy_kinds);
    must(sv_jobs_start(t->jobs, &err), &err, "start");
}

void toys_down(struct toys *t)
{
    toys_close(t);
    toys_remove(t);
}

/* --- asking --- */

struct accepting {
    struct sv_jobs *jobs;
    struct sv_job_spec spec;
    struct sv_id id;
};

static enum sv_err accept_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct accepting *a = arg;
    return sv_jobs_accept(a->jobs, tx, &a->spec, &a->id, err);
}

enum sv_err toy_accept_on(struct toys *t, const struct sv_job_kind *kind, const struct sv_id *object, const char *host,
                          const char *sarg, struct sv_id *ret, struct sv_error *err)
{
    struct accepting a = {.jobs = t->jobs,
                          .spec = {.kind = kind,
                                   .tenant = t->tenant,
                                   .object = *object,
                                   .host = sv_id_from(host),
                                   .object_type = "toy",
                                   .object_name = "ball",
                                   .sarg = sarg}};
    enum sv_err rc = sv_db_write(t->db, accept_tx, &a, err);
    if (rc == SV_OK)
        *ret = a.id;
    return rc;
}

struct sv_id toy_accept(struct toys *t, const struct sv_job_kind *kind, const char *host, const char *sarg)
{
    struct sv_error err;
    struct sv_id object = sv_id_new(), id;
    must(toy_accept_on(t, kind, &object, host, sarg, &id, &err), &err, "accept");
    return id;
}

struct cancelling {
    struct sv_jobs *jobs;
    struct sv_id id;
    enum sv_job_result ret;
};

static enum sv_err cancel_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct cancelling *c = arg;
    return sv_jobs_cancel(c->jobs, tx, sv_scope_system(), &c->id, &c->ret, err);
}

enum sv_err toy_cancel(struct toys *t, const struct sv_id *id, enum sv_job_result *ret)
{
    struct sv_error err;
    struct cancelling c = {.jobs = t->jobs, .id = *id};
    enum sv_err rc = sv_db_write(t->db, cancel_tx, &c, &err);
    *ret = c.ret;
    return rc;
}

struct reading {
    struct sv_id id;
    struct sv_arena *arena;
    struct sv_job job;
};

static enum sv_err job_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct reading *g = arg;
    return sv_job_get(tx, sv_scope_system(), &g->id, g->arena, &g->job, err);
}

struct sv_job toy_job(struct toys *t, const struct sv_id *id, struct sv_arena *a)
{
    struct sv_error err;
    struct reading g = {.id = *id, .arena = a};
    must(sv_db_read(t->db, job_tx, &g, &err), &err, "get");
    return g.job;
}

/* A change between the look and the wait is not lost: the wait is short, the look comes again. */
static void wait_change(struct toys *t)
{
    bool over;
    pthread_mutex_lock(&t->mutex);
    jobs_cond_wait(&t->cond, &t->mutex, sv_mono_ms() + 5, &over);
    pthread_mutex_unlock(&t->mutex);
}

enum sv_job_result toy_wait(struct toys *t, const struct sv_id *id)
{
    int64_t until = sv_mono_ms() + TOY_WAIT_MS;
    struct sv_arena *a = sv_arena_new();
    enum sv_job_result result = SV_JOB_QUEUED;
    while (!sv_job_ended(result)) {
        result = toy_job(t, id, a).result;
        sv_arena_reset(a);
        CHECK(sv_mono_ms() < until);
        if (!sv_job_ended(result))
            wait_change(t);
    }
    sv_arena_free(a);
    return result;
}

void toy_wait_gate(struct toys *t, unsigned n)
{
    int64_t until = sv_mono_ms() + TOY_WAIT_MS;
    bool over = false;
    pthread_mutex_lock(&t->mutex);
    while (t->at_gate < n && !over)
        jobs_cond_wait(&t->cond, &t->mutex, until, &over);
    CHECK_INT(t->at_gate, n);
    pthread_mutex_unlock(&t->mutex);
}

void toy_open_gate(struct toys *t)
{
    pthread_mutex_lock(&t->mutex);
    t->gate_open = true;
    pthread_cond_broadcast(&t->cond);
    pthread_mutex_unlock(&t->mutex);
}

void toy_wait_state(struct toys *t, const struct sv_id *id, enum jobs_state state)
{
    int64_t until = sv_mono_ms() + TOY_WAIT_MS;
    for (bool there = false; !there;) {
        pthread_mutex_lock(&t->jobs->mutex);
        const struct jobs_item *item = jobs_item_find(t->jobs, id);
        there = item && item->state == state;
        pthread_mutex_unlock(&t->jobs->mutex);
        CHECK(sv_mono_ms() < until);
        if (!there)
            wait_change(t);
    }
}

bool toy_effect(struct toys *t, const struct sv_id *object, const char *step)
{
    char path[256];
    effect_path(t, object, step, path, sizeof(path));
    return access(path, F_OK) == 0;
}

/* --- log, locks, events --- */

struct log_reading {
    struct sv_id id;
    const struct sv_jobs *jobs; /* NULL: symbols */
    struct sv_job job;
    enum sv_lang lang;
    struct sv_buf out;
    int64_t serial;
};

static void log_row(void *arg, const struct sv_job_line *l)
{
    struct log_reading *g = arg;
    CHECK_INT(l->serial, ++g->serial);
    if (g->jobs) {
        char text[512];
        sv_jobs_note_text(g->jobs, &g->job, l, g->lang, text, sizeof(text));
        sv_buf_printf(&g->out, "%s\n", text);
    } else if (l->args[0] && l->args[0][0]) {
        sv_buf_printf(&g->out, "%s:%s ", sv_note_symbol(l->note), l->args[0]);
    } else {
        sv_buf_printf(&g->out, "%s ", sv_note_symbol(l->note));
    }
}

static enum sv_err log_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct log_reading *g = arg;
    return sv_joblog_list(tx, &g->id, 0, log_row, g, err);
}

static char *read_log(struct toys *t, struct log_reading *g, struct sv_arena *a)
{
    struct sv_error err;
    must(sv_db_read(t->db, log_tx, g, &err), &err, "log");
    char *s = sv_arena_strdup(a, g->out.p ? g->out.p : "");
    sv_buf_free(&g->out);
    return s;
}

char *toy_log(struct toys *t, const struct sv_id *id, struct sv_arena *a)
{
    struct log_reading g = {.id = *id};
    return read_log(t, &g, a);
}

char *toy_log_text(struct toys *t, const struct sv_id *id, enum sv_lang lang, struct sv_arena *a)
{
    struct log_reading g = {.id = *id, .jobs = t->jobs, .job = toy_job(t, id, a), .lang = lang};
    return read_log(t, &g, a);
}

struct object_reading {
    struct sv_id object;
    bool held;
    const char *type;
    unsigned n;
};

static enum sv_err lock_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct object_reading *g = arg;
    struct sv_lock lock;
    return sv_lock_get(tx, &g->object, &lock, &g->held, err);
}

bool toy_locked(struct toys *t, const struct sv_id *object)
{
    struct sv_error err;
    struct object_reading g = {.object = *object};
    must(sv_db_read(t->db, lock_tx, &g, &err), &err, "lock");
    return g.held;
}

static void event_row(void *arg, const struct sv_event *e)
{
    struct object_reading *g = arg;
    if (sv_id_eq(&e->object, &g->object) && strcmp(e->type, g->type) == 0)
        g->n++;
}

static enum sv_err event_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_event_list(tx, sv_scope_system(), 0, 1000000, event_row, arg, err);
}

unsigned toy_events(struct toys *t, const struct sv_id *object, const char *type)
{
    struct sv_error err;
    struct object_reading g = {.object = *object, .type = type};
    must(sv_db_read(t->db, event_tx, &g, &err), &err, "events");
    return g.n;
}

void toy_wait_running(struct toys *t, unsigned n, struct sv_jobs_stats *s)
{
    int64_t until = sv_mono_ms() + TOY_WAIT_MS;
    for (sv_jobs_stats(t->jobs, s); s->running > n; sv_jobs_stats(t->jobs, s)) {
        CHECK(sv_mono_ms() < until);
        CHECK(jobs_pause(t->jobs, 1));
    }
}
