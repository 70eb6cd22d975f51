/* Jobs: their life as rows, lists against a model, logs, locks, events, expiry. */
#include "store_fixture.h"

#define JOBS 300

static uint32_t below(uint32_t n)
{
    static uint64_t state = 0xD1B54A32D192ED03ULL;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 24) % n;
}

static struct sv_job read_job(struct sv_tx *tx, const struct sv_id *id)
{
    struct sv_job j;
    WORKS(sv_job_get(tx, sv_scope_system(), id, sv_tx_arena(tx), &j, &why));
    return j;
}

/* --- one job -------------------------------------------------------------------------------------------------- */

static enum sv_err live(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id vm = sv_id_new(), unknown = sv_id_new();
    struct sv_job in = new_job(tx, &w.a, &vm), j;
    (void)arg;
    (void)err;
    in.iarg[0] = -5;
    in.iarg[1] = 1LL << 50;
    in.sarg = "what";
    WORKS(sv_job_insert(tx, &in, &why));
    j = read_job(tx, &in.id);
    CHECK(sv_id_eq(&j.tenant, &w.a) && sv_id_eq(&j.object, &vm) && sv_id_eq(&j.host, &w.host));
    CHECK_STR(j.kind, "vm.start");
    CHECK_STR(j.object_type, "vm");
    CHECK_STR(j.object_name, "vm-1");
    CHECK_STR(j.sarg, "what");
    CHECK_STR(j.error_symbol, "");
    CHECK_STR(j.error_args[2], "");
    CHECK_INT(j.iarg[0], -5);
    CHECK_INT(j.iarg[1], 1LL << 50);
    CHECK_INT(j.result, SV_JOB_QUEUED);
    CHECK(!j.undoing && !j.cancel && !j.started && !j.ended && !j.deadline && !j.step && !j.percent);

    WORKS(sv_job_start(tx, &in.id, 999, &why));
    FAILS(sv_job_start(tx, &in.id, 999, &why), SV_E_JOB_NOT_FOUND); /* once */
    WORKS(sv_job_step(tx, &in.id, 2, 40, &why));
    WORKS(sv_job_percent(tx, &in.id, 30, &why)); /* never back */
    j = read_job(tx, &in.id);
    CHECK_INT(j.result, SV_JOB_RUNNING);
    CHECK_INT(j.started, sv_tx_now(tx));
    CHECK_INT(j.deadline, 999);
    CHECK_INT(j.step, 2);
    CHECK_INT(j.percent, 40);
    WORKS(sv_job_percent(tx, &in.id, 55, &why));
    WORKS(sv_job_ask_cancel(tx, &in.id, &why));
    CHECK(read_job(tx, &in.id).cancel);
    WORKS(sv_job_end(tx, &in.id, SV_JOB_DONE, NULL, &why));
    j = read_job(tx, &in.id);
    CHECK_INT(j.result, SV_JOB_DONE);
    CHECK_INT(j.percent, 100);
    CHECK_INT(j.ended, sv_tx_now(tx));

    FAILS(sv_job_end(tx, &in.id, SV_JOB_FAILED, NULL, &why), SV_E_JOB_NOT_FOUND);
    FAILS(sv_job_step(tx, &in.id, 3, 1, &why), SV_E_JOB_NOT_FOUND);
    FAILS(sv_job_percent(tx, &in.id, 1, &why), SV_E_JOB_NOT_FOUND);
    FAILS(sv_job_undo(tx, &in.id, 1, SV_JOB_FAILED, NULL, &why), SV_E_JOB_NOT_FOUND);
    FAILS(sv_job_ask_cancel(tx, &in.id, &why), SV_E_JOB_NOT_FOUND);
    FAILS(sv_job_start(tx, &unknown, 1, &why), SV_E_JOB_NOT_FOUND);

    j.percent = 12;
    FAILS(sv_job_get(tx, sv_scope_tenant(&w.b), &in.id, sv_tx_arena(tx), &j, &why), SV_E_JOB_NOT_FOUND);
    const struct sv_error other = why;
    FAILS(sv_job_get(tx, sv_scope_tenant(&w.b), &unknown, sv_tx_arena(tx), &j, &why), SV_E_JOB_NOT_FOUND);
    CHECK(same_error(&other, &why));
    CHECK_INT(j.percent, 12);
    WORKS(sv_job_get(tx, sv_scope_tenant(&w.a), &in.id, sv_tx_arena(tx), &j, &why));
    return SV_OK;
}

static enum sv_err twice(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id vm = sv_id_new();
    const struct sv_job in = new_job(tx, &w.a, &vm);
    (void)arg;
    WORKS(sv_job_insert(tx, &in, &why));
    return sv_job_insert(tx, &in, err);
}

/* The quota counts what is open, of this tenant, however it was taken and however it ends. */
static enum sv_err bounded(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id vm = sv_id_new();
    struct sv_amounts quota = no_limit;
    struct sv_job jobs[4];
    struct sv_tenant t;
    (void)arg;
    (void)err;
    for (unsigned i = 0; i < 4; i++)
        jobs[i] = new_job(tx, &w.b, &vm);
    quota.jobs = 0;
    WORKS(sv_tenant_set_quota(tx, sv_scope_system(), &w.b, &quota, &why));
    FAILS(sv_job_insert_bounded(tx, &jobs[0], 0, &why), SV_E_QUOTA_JOBS); /* its first: it has no count yet */
    CHECK_STR(why.arg[0], "0");
    CHECK_STR(why.arg[1], "0");
    quota.jobs = 2;
    WORKS(sv_tenant_set_quota(tx, sv_scope_system(), &w.b, &quota, &why));
    WORKS(sv_job_insert_bounded(tx, &jobs[0], 0, &why));
    WORKS(sv_job_insert(tx, &jobs[1], &why));
    FAILS(sv_job_insert_bounded(tx, &jobs[2], 0, &why), SV_E_QUOTA_JOBS);
    CHECK_STR(why.arg[0], "2");
    CHECK_STR(why.arg[1], "2");
    FAILS(sv_job_get(tx, sv_scope_system(), &jobs[2].id, sv_tx_arena(tx), &jobs[3], &why), SV_E_JOB_NOT_FOUND);
    jobs[3] = new_job(tx, &w.b, &vm);
    WORKS(sv_job_insert(tx, &jobs[3], &why)); /* the program's own is over it */
    WORKS(sv_tenant_get(tx, sv_scope_system(), &w.b, sv_tx_arena(tx), &t, &why));
    CHECK_INT(t.used.jobs, 3);
    CHECK_INT(t.quota.jobs, 2);
    const struct sv_job other = new_job(tx, &w.a, &vm);
    WORKS(sv_job_insert_bounded(tx, &other, 0, &why)); /* another tenant's own affair */
    WORKS(sv_job_end(tx, &other.id, SV_JOB_DONE, NULL, &why));
    WORKS(sv_job_end(tx, &jobs[0].id, SV_JOB_CANCELLED, NULL, &why));
    FAILS(sv_job_end(tx, &jobs[0].id, SV_JOB_DONE, NULL, &why), SV_E_JOB_NOT_FOUND); /* counted once */
    FAILS(sv_job_insert_bounded(tx, &jobs[2], 0, &why), SV_E_QUOTA_JOBS);
    WORKS(sv_job_start(tx, &jobs[1].id, 0, &why)); /* running is open */
    WORKS(sv_job_end(tx, &jobs[3].id, SV_JOB_FAILED, NULL, &why));
    WORKS(sv_job_insert_bounded(tx, &jobs[2], 0, &why));
    WORKS(sv_tenant_get(tx, sv_scope_system(), &w.b, sv_tx_arena(tx), &t, &why));
    CHECK_INT(t.used.jobs, 2);
    WORKS(sv_job_end(tx, &jobs[1].id, SV_JOB_DONE, NULL, &why));
    WORKS(sv_job_end(tx, &jobs[2].id, SV_JOB_DONE, NULL, &why));
    WORKS(sv_tenant_set_quota(tx, sv_scope_system(), &w.b, &no_limit, &why));
    return SV_OK;
}

/* What made it fail stays, whatever the undoing meets. */
static enum sv_err undo(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id vm = sv_id_new();
    const struct sv_job in = new_job(tx, &w.a, &vm);
    struct sv_error cause = {0};
    struct sv_job j;
    (void)arg;
    (void)err;
    (void)sv_fail(&cause, SV_E_HYPERVISOR, SV_F_NONE, "no \"memory\"", "", "云");
    WORKS(sv_job_insert(tx, &in, &why));
    WORKS(sv_job_undo(tx, &in.id, 3, SV_JOB_TIMEOUT, &cause, &why)); /* also straight from the queue */
    j = read_job(tx, &in.id);
    CHECK(j.undoing && j.undo_result == SV_JOB_TIMEOUT && j.result == SV_JOB_RUNNING && j.started == sv_tx_now(tx));
    CHECK_INT(j.step, 3);
    CHECK_STR(j.error_symbol, "HYPERVISOR");
    CHECK_STR(j.error_args[0], "no \"memory\"");
    CHECK_STR(j.error_args[1], "");
    CHECK_STR(j.error_args[2], "云");
    WORKS(sv_job_step(tx, &in.id, 1, 0, &why)); /* downwards now */
    CHECK_INT(read_job(tx, &in.id).step, 1);
    WORKS(sv_job_end(tx, &in.id, SV_JOB_TIMEOUT, NULL, &why));
    j = read_job(tx, &in.id);
    CHECK(!j.undoing && j.result == SV_JOB_TIMEOUT);
    CHECK_STR(j.error_symbol, "HYPERVISOR");
    CHECK_STR(j.error_args[2], "云");

    const struct sv_job second = new_job(tx, &w.a, &vm);
    WORKS(sv_job_insert(tx, &second, &why));
    WORKS(sv_job_end(tx, &second.id, SV_JOB_CANCELLED, &cause, &why)); /* from the queue, with a reason */
    j = read_job(tx, &second.id);
    CHECK_STR(j.error_symbol, "HYPERVISOR");
    CHECK_INT(j.percent, 0);
    return SV_OK;
}

static void a_job(void)
{
    world_new();
    writing(live, NULL);
    CHECK_INT(sv_db_write(w.f.db, twice, NULL, &why), SV_E_DB); /* an id once */
    writing(undo, NULL);
    writing(bounded, NULL);
    world_sound();
    world_remove();
}

/* --- lists against a model -------------------------------------------------------------------------------------- */

struct known {
    struct sv_id id, tenant, object;
    enum sv_job_result result;
};
static struct known jobs[JOBS];
static unsigned job_count;
static struct sv_id objects[12];

static void insert_random(struct sv_tx *tx)
{
    static const enum sv_job_result ends[] = {SV_JOB_DONE,    SV_JOB_DONE,    SV_JOB_FAILED,   SV_JOB_LOST,
                                              SV_JOB_TIMEOUT, SV_JOB_ABORTED, SV_JOB_CANCELLED};
    struct known *k = &jobs[job_count++];
    const struct sv_job in = new_job(tx, below(3) ? &w.a : &w.b, &objects[below(12)]);
    *k = (struct known){.id = in.id, .tenant = in.tenant, .object = in.object, .result = SV_JOB_QUEUED};
    WORKS(sv_job_insert(tx, &in, &why));
    if (below(5) == 0)
        return;
    WORKS(sv_job_start(tx, &in.id, 0, &why));
    k->result = SV_JOB_RUNNING;
    if (below(5) == 0)
        return;
    k->result = ends[below(7)];
    WORKS(sv_job_end(tx, &in.id, k->result, NULL, &why));
}

static enum sv_err fill(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    (void)err;
    job_count = 0;
    for (int i = 0; i < 12; i++)
        objects[i] = sv_id_new();
    while (job_count < JOBS)
        insert_random(tx);
    return SV_OK;
}

struct page {
    unsigned n;
    struct sv_id ids[JOBS];
};

static void see_job(void *arg, const struct sv_job *j)
{
    struct page *p = arg;
    CHECK(p->n < JOBS);
    CHECK_STR(j->kind, "vm.start");
    CHECK_STR(j->object_name, "vm-1");
    p->ids[p->n++] = j->id;
}

static uint64_t compare(struct sv_tx *tx, const struct sv_id *tenant, const struct sv_job_filter *f, struct sv_page p)
{
    struct page want = {.n = 0}, got = {.n = 0};
    uint64_t total = 9999, at = 0;
    for (unsigned i = 0; i < job_count; i++) {
        const struct known *k = &jobs[i];
        if ((!sv_id_empty(tenant) && !sv_id_eq(tenant, &k->tenant)) ||
            (!sv_id_empty(&f->id) && !sv_id_eq(&f->id, &k->id)) ||
            (!sv_id_empty(&f->object) && !sv_id_eq(&f->object, &k->object)) || (f->by_result && f->result != k->result))
            continue;
        if (at >= p.offset && (!p.limit || at < p.offset + p.limit))
            want.ids[want.n++] = k->id;
        at++;
    }
    WORKS(sv_job_list(tx, sv_scope_tenant(tenant), f, &p, see_job, &got, &total, &why));
    CHECK_INT(total, at);
    CHECK_INT(got.n, want.n);
    for (unsigned i = 0; i < want.n; i++)
        CHECK(sv_id_eq(&got.ids[i], &want.ids[i]));
    return total;
}

static enum sv_err compare_many(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id *const tenants[] = {&w.a, &w.b, &no_id};
    unsigned found = 0, empty = 0;
    (void)arg;
    (void)err;
    for (int i = 0; i < 3000; i++) {
        struct sv_job_filter f = {.by_result = false};
        struct sv_page p = {.offset = below(3) ? below(JOBS + 10) : below(40), .limit = below(5) ? 1 + below(40) : 0};
        if (below(3) == 0)
            f.object = objects[below(12)];
        if (below(8) == 0)
            f.id = below(5) ? jobs[below(job_count)].id : sv_id_new();
        if (below(2)) {
            f.by_result = true;
            f.result = (enum sv_job_result)below(8);
        }
        *(compare(tx, tenants[below(3)], &f, p) ? &found : &empty) += 1;
    }
    CHECK(found > 1000 && empty > 100);
    return SV_OK;
}

static enum sv_err check_open(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct page got = {.n = 0};
    unsigned n = 0;
    (void)arg;
    (void)err;
    WORKS(sv_job_list_open(tx, see_job, &got, &why));
    for (unsigned i = 0; i < job_count; i++)
        if (!sv_job_ended(jobs[i].result))
            CHECK(n < got.n && sv_id_eq(&got.ids[n++], &jobs[i].id));
    CHECK_INT(got.n, n);
    CHECK(n > 20);
    return SV_OK;
}

static enum sv_err expire(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const int64_t *older_than = arg;
    return sv_job_expire(tx, *older_than, err);
}

/* Open jobs stay, however old. */
static void forget_ended(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < job_count; i++)
        if (!sv_job_ended(jobs[i].result))
            jobs[n++] = jobs[i];
    job_count = n;
}

static void lists(void)
{
    int64_t never = 0, all = INT64_MAX;
    world_new();
    writing(fill, NULL);
    reading(compare_many, NULL);
    reading(check_open, NULL);
    writing(expire, &never);
    reading(compare_many, NULL);
    writing(expire, &all);
    forget_ended();
    reading(check_open, NULL);
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM job"), job_count);
    CHECK_INT(read_number(&w.f, "SELECT sum(jobs) FROM job_count"), job_count);
    world_remove();
}

/* --- expiry ------------------------------------------------------------------------------------------------------- */

static enum sv_err add_ended(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const char *const args[SV_ERR_ARGS] = {"x"};
    const int64_t now = tx->now;
    (void)arg;
    (void)err;
    for (int i = 0; i < 3500; i++) {
        const struct sv_id object = sv_id_new();
        const struct sv_job in = new_job(tx, i % 2 ? &w.a : &w.b, &object);
        WORKS(sv_job_insert(tx, &in, &why));
        WORKS(sv_joblog_add(tx, &in.id, 1, SV_N_ACCEPTED, args, &why));
        if (i % 7 == 0)
            continue; /* stays open */
        tx->now = 1000 + i;
        WORKS(sv_job_end(tx, &in.id, SV_JOB_DONE, NULL, &why));
        tx->now = now;
    }
    return SV_OK;
}

/* More than one closure removes; the rest goes by itself, and only what is old. */
static void expiry(void)
{
    int64_t half = 1000 + 2500;
    world_new();
    writing(add_ended, NULL);
    writing(expire, &half);
    wait_for("SELECT count(*) FROM job WHERE ended > 0 AND ended < 3500", 0);
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM job WHERE ended >= 3500"), 858);
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM job WHERE ended = 0"), 500);
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM joblog"), 1358);
    CHECK_INT(read_number(&w.f, "SELECT sum(jobs) FROM job_count"), 1358);
    world_sound();
    world_remove();
}

/* Closing does not wait for a long expiry, and loses nothing. */
static void expiry_stops_with_the_database(void)
{
    int64_t all = INT64_MAX;
    world_new();
    writing(add_ended, NULL);
    writing(expire, &all);
    fixture_close(&w.f);
    fixture_open(&w.f);
    world_sound();
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM job WHERE ended = 0"), 500);
    writing(expire, &all);
    wait_for("SELECT count(*) FROM job", 500);
    world_remove();
}

/* --- logs ------------------------------------------------------------------------------------------------------- */

struct lines {
    unsigned n;
    struct sv_job_line last;
    char args[SV_ERR_ARGS][64];
    int64_t serials[64];
};

static void see_line(void *arg, const struct sv_job_line *l)
{
    struct lines *s = arg;
    s->serials[s->n++] = l->serial;
    s->last = *l;
    for (int i = 0; i < SV_ERR_ARGS; i++)
        SV_COPY(s->args[i], l->args[i]);
}

static enum sv_err write_logs(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id one = sv_id_new(), two = sv_id_new();
    const char *const full[SV_ERR_ARGS] = {"a b", "", "中文 %s"}, *const none[SV_ERR_ARGS] = {NULL};
    struct lines s = {.n = 0};
    (void)arg;
    (void)err;
    for (int i = 0; i < 20; i++) {
        WORKS(sv_joblog_add(tx, &one, i % 3, SV_N_ACCEPTED, i % 2 ? full : none, &why));
        if (i % 4 == 0)
            WORKS(sv_joblog_add(tx, &two, 1, SV_N_CANCEL_ASKED, none, &why));
    }
    WORKS(sv_joblog_list(tx, &one, 0, see_line, &s, &why));
    CHECK_INT(s.n, 20);
    for (unsigned i = 0; i < 20; i++)
        CHECK_INT(s.serials[i], i + 1); /* without gaps, each job its own */
    CHECK_INT(s.last.note, SV_N_ACCEPTED);
    CHECK_INT(s.last.level, 19 % 3);
    CHECK_INT(s.last.time, sv_tx_now(tx));
    CHECK_STR(s.args[0], "a b");
    CHECK_STR(s.args[1], "");
    CHECK_STR(s.args[2], "中文 %s");
    s.n = 0;
    WORKS(sv_joblog_list(tx, &one, 17, see_line, &s, &why));
    CHECK_INT(s.n, 3);
    CHECK_INT(s.serials[0], 18);
    s.n = 0;
    WORKS(sv_joblog_list(tx, &one, 20, see_line, &s, &why));
    CHECK_INT(s.n, 0);
    WORKS(sv_joblog_list(tx, &two, 0, see_line, &s, &why));
    CHECK_INT(s.n, 5);
    CHECK_INT(s.last.serial, 5);
    CHECK_INT(s.last.note, SV_N_CANCEL_ASKED);
    CHECK_STR(s.args[0], "");
    return SV_OK;
}

static enum sv_err read_newer(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_id any = {.s = ""};
    struct lines s = {.n = 0};
    bool row;
    sqlite3_stmt *st = NULL;
    (void)arg;
    CHECK_INT(sqlite3_prepare_v2(tx->conn->db, "SELECT job_id FROM joblog LIMIT 1", -1, &st, NULL), SQLITE_OK);
    WORKS(sv_step(tx, st, &row, err));
    any = sv_col_id(st, 0);
    sqlite3_finalize(st);
    WORKS(sv_joblog_list(tx, &any, 0, see_line, &s, &why));
    CHECK(s.n > 0 && s.last.note == SV_N_FREE_TEXT);
    CHECK_STR(s.args[0], "OF_A_NEWER_PROGRAM");
    return SV_OK;
}

static void logs(void)
{
    world_new();
    writing(write_logs, NULL);
    write_sql(&w.f, "UPDATE joblog SET note = 'OF_A_NEWER_PROGRAM'");
    reading(read_newer, NULL);
    world_remove();
}

/* --- locks ------------------------------------------------------------------------------------------------------ */

static enum sv_err use_locks(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id object = sv_id_new(), other = sv_id_new(), one = sv_id_new(), two = sv_id_new();
    struct sv_lock held = {.code = 77};
    bool taken = false, is_held = true;
    (void)arg;
    (void)err;
    WORKS(sv_lock_get(tx, &object, &held, &is_held, &why));
    CHECK(!is_held && held.code == 77);
    WORKS(sv_lock_take(tx, &object, &one, 7, &taken, &held, &why));
    CHECK(taken && held.code == 77);
    WORKS(sv_lock_take(tx, &object, &two, 8, &taken, &held, &why));
    CHECK(!taken && held.code == 7 && sv_id_eq(&held.job, &one));
    WORKS(sv_lock_take(tx, &object, &one, 9, &taken, &held, &why)); /* not again by itself either */
    CHECK(!taken && held.code == 7);
    WORKS(sv_lock_take(tx, &other, &one, 9, &taken, &held, &why));
    CHECK(taken);
    WORKS(sv_lock_release(tx, &object, &two, &why)); /* not its own */
    WORKS(sv_lock_get(tx, &object, &held, &is_held, &why));
    CHECK(is_held && held.code == 7);
    WORKS(sv_lock_release(tx, &object, &one, &why));
    WORKS(sv_lock_get(tx, &object, &held, &is_held, &why));
    CHECK(!is_held);
    WORKS(sv_lock_get(tx, &other, &held, &is_held, &why));
    CHECK(is_held && held.code == 9);
    WORKS(sv_lock_take(tx, &object, &two, 8, &taken, &held, &why));
    CHECK(taken);
    return SV_OK;
}

static void locks(void)
{
    world_new();
    writing(use_locks, NULL);
    world_remove();
}

/* --- events ------------------------------------------------------------------------------------------------------- */

struct events {
    unsigned n;
    int64_t seqs[64];
    struct sv_event last;
    char type[32], content[32];
};

static void see_event(void *arg, const struct sv_event *e)
{
    struct events *s = arg;
    CHECK(s->n == 0 || e->seq > s->seqs[s->n - 1]);
    s->seqs[s->n++] = e->seq;
    s->last = *e;
    SV_COPY(s->type, e->type);
    SV_COPY(s->content, e->content);
}

static struct events list_events(struct sv_tx *tx, struct sv_scope scope, int64_t after, unsigned limit)
{
    struct events s = {.n = 0};
    WORKS(sv_event_list(tx, scope, after, limit, see_event, &s, &why));
    return s;
}

static enum sv_err use_events(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_scope all = sv_scope_system(), of_a = sv_scope_tenant(&w.a);
    const struct sv_id *const tenants[] = {&w.a, &w.b, &no_id};
    const struct sv_id object = sv_id_new();
    int64_t seq = 77;
    (void)arg;
    (void)err;
    WORKS(sv_event_last(tx, &seq, &why));
    CHECK_INT(seq, 0);
    for (int i = 0; i < 30; i++) {
        const struct sv_event e = {.type = "vm.state",
                                   .object_type = "vm",
                                   .object = object,
                                   .tenant = *tenants[i % 3],
                                   .content = i == 27 ? "the last of a" : "running"};
        WORKS(sv_event_add(tx, &e, &why));
    }
    WORKS(sv_event_last(tx, &seq, &why));
    CHECK_INT(seq, 30);
    struct events s = list_events(tx, all, 0, 0);
    CHECK_INT(s.n, 30);
    CHECK_INT(s.last.time, sv_tx_now(tx));
    CHECK(sv_id_empty(&s.last.tenant) && sv_id_eq(&s.last.object, &object));
    s = list_events(tx, of_a, 0, 0);
    CHECK_INT(s.n, 10); /* neither the other tenant's nor those for admins */
    CHECK(sv_id_eq(&s.last.tenant, &w.a));
    CHECK_STR(s.content, "the last of a");
    CHECK_STR(s.type, "vm.state");
    s = list_events(tx, all, 12, 5);
    CHECK(s.n == 5 && s.seqs[0] == 13 && s.seqs[4] == 17);
    s = list_events(tx, of_a, 13, 2);
    CHECK(s.n == 2 && s.seqs[0] == 16 && s.seqs[1] == 19);
    CHECK_INT(list_events(tx, of_a, 28, 0).n, 0);
    CHECK_INT(list_events(tx, all, 30, 0).n, 0);
    return SV_OK;
}

static enum sv_err add_events(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_event e = {.type = "t", .object_type = "vm", .tenant = w.a, .content = ""};
    (void)arg;
    for (int i = 0; i < 5000; i++)
        WORKS(sv_event_add(tx, &e, err));
    return SV_OK;
}

static enum sv_err expire_events(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_event_expire(tx, tx->now + *(const int64_t *)arg, err);
}

/* Numbers are never given twice, though all that is old has gone. */
static void events(void)
{
    int64_t past = -3600 * 1000, future = 1000;
    world_new();
    writing(use_events, NULL);
    writing(add_events, NULL);
    writing(expire_events, &past);
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM event"), 5030);
    writing(expire_events, &future);
    wait_for("SELECT count(*) FROM event", 1);
    CHECK_INT(read_number(&w.f, "SELECT seq FROM event"), 5030);
    fixture_close(&w.f);
    fixture_open(&w.f);
    writing(add_events, NULL);
    CHECK_INT(read_number(&w.f, "SELECT max(seq) FROM event"), 10030);
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM event"), 5001);
    world_remove();
}

CHECK_MAIN(T(a_job), T(lists), T(expiry), T(expiry_stops_with_the_database), T(logs), T(locks), T(events))
