/* Jobs from acceptance to their end: steps, undos, log, cancel, deadline. */
#include "jobs_toys.h"

static const char host_a[] = "01900000-0000-7000-8000-00000000000a";
static const char host_b[] = "01900000-0000-7000-8000-00000000000b";

/* --- forward --- */

static void runs_its_steps_in_order(void)
{
    struct toys t;
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    toys_up(&t, 2);
    struct sv_id id = toy_accept(&t, &toy_three, "", "");
    CHECK_INT(toy_wait(&t, &id), SV_JOB_DONE);
    CHECK_STR(t.trace.p, "+a +b +c ");
    CHECK_STR(toy_log(&t, &id, a), "ACCEPTED:toy.three STARTED STEP_BEGIN:a STEP_DONE:a STEP_BEGIN:b STEP_DONE:b "
                                   "STEP_BEGIN:c STEP_DONE:c DONE ");
    struct sv_job job = toy_job(&t, &id, a);
    CHECK_INT(job.percent, 100);
    CHECK_STR(job.error_symbol, "");
    CHECK(job.created && job.started >= job.created && job.ended >= job.started);
    CHECK(!toy_locked(&t, &job.object));
    CHECK_INT(toy_events(&t, &job.object, "job.accepted"), 1);
    CHECK_INT(toy_events(&t, &job.object, "job.end"), 1);
    CHECK_INT(toy_events(&t, &job.object, "toy.end"), 1);
    toys_down(&t);
}

static void runs_a_job_without_steps(void)
{
    struct toys t;
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    toys_up(&t, 1);
    struct sv_id id = toy_accept(&t, &toy_none, "", NULL);
    CHECK_INT(toy_wait(&t, &id), SV_JOB_DONE);
    CHECK_STR(toy_log(&t, &id, a), "ACCEPTED:toy.none STARTED DONE ");
    toys_down(&t);
}

static void leaves_out_last_steps_it_does_not_need(void)
{
    static const struct {
        const char *sarg, *log;
    } rows[] = {
        {"", "ACCEPTED:toy.some STARTED STEP_BEGIN:a STEP_DONE:a DONE "},
        {"all;", "ACCEPTED:toy.some STARTED STEP_BEGIN:a STEP_DONE:a STEP_BEGIN:b STEP_DONE:b STEP_BEGIN:c STEP_DONE:c "
                 "DONE "},
    };
    struct toys t;
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    toys_up(&t, 1);
    for (unsigned i = 0; i < 2; i++) {
        struct sv_id id = toy_accept(&t, &toy_some, "", rows[i].sarg);
        CHECK_INT(toy_wait(&t, &id), SV_JOB_DONE);
        CHECK_STR(toy_log(&t, &id, a), rows[i].log);
        struct sv_job job = toy_job(&t, &id, a);
        CHECK_INT(job.percent, 100);
        CHECK(toy_effect(&t, &job.object, "a"));
        CHECK_INT(toy_effect(&t, &job.object, "c"), i == 1);
    }
    toys_down(&t);
}

/* The share of what is left out is no share; nor is it undone. */
static void knows_its_last_step(void)
{
    struct toys t;
    enum sv_job_result ret;
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    toys_up(&t, 1);
    struct sv_id id = toy_accept(&t, &toy_some, "", "half:a;");
    toy_wait_gate(&t, 1);
    (void)toy_accept(&t, &toy_none, host_a, NULL);
    CHECK_INT(toy_job(&t, &id, a).percent, 50);
    CHECK_INT(toy_cancel(&t, &id, &ret), SV_OK);
    CHECK_INT(toy_wait(&t, &id), SV_JOB_CANCELLED);
    CHECK(!strstr(toy_log(&t, &id, a), "UNDO_BEGIN:b"));
    CHECK(strstr(toy_log(&t, &id, a), "UNDO_BEGIN:a"));
    toys_down(&t);
}

static void says_how_far_it_is(void)
{
    struct toys t;
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    toys_up(&t, 1);
    struct sv_id id = toy_accept(&t, &toy_three, "", "half:c;");
    toy_wait_gate(&t, 1);
    (void)toy_accept(&t, &toy_none, host_a, NULL); /* its write waits behind what the step wrote */
    CHECK_INT(toy_job(&t, &id, a).percent, 65);    /* 1 + 2 of 10, and half of 7 */
    CHECK_INT(toy_job(&t, &id, a).step, 2);
    toy_open_gate(&t);
    CHECK_INT(toy_wait(&t, &id), SV_JOB_DONE);
    CHECK_INT(toy_job(&t, &id, a).percent, 100);
    toys_down(&t);
}

static void speaks_two_languages(void)
{
    struct toys t;
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    toys_up(&t, 1);
    struct sv_id id = toy_accept(&t, &toy_three, "", "fail:b;");
    CHECK_INT(toy_wait(&t, &id), SV_JOB_FAILED);
    const char *en = toy_log_text(&t, &id, SV_LANG_EN, a), *zh = toy_log_text(&t, &id, SV_LANG_ZH, a);
    CHECK(strstr(en, "accepted: three steps\n"));
    CHECK(strstr(en, "first: done\n"));
    CHECK(strstr(en, "second: failed: hypervisor error: toy broke\n"));
    CHECK(strstr(en, "undoing: second\n"));
    CHECK(strstr(en, "job failed: hypervisor error: toy broke\n"));
    CHECK(strstr(zh, "三步\n"));
    CHECK(strstr(zh, "乙:失败:虚拟化层错误:“toy broke”\n"));
    CHECK(!strchr(en, '\x1e') && !strchr(zh, '\x1e'));
    toys_down(&t);
}

static void packs_errors(void)
{
    struct sv_error e = {.code = SV_OK}, back;
    char packed[640];
    (void)sv_fail(&e, SV_E_QUOTA_IPS, SV_F_NONE, "3", "", "x");
    jobs_error_pack(&e, packed, sizeof(packed));
    jobs_error_unpack(packed, &back);
    CHECK_INT(back.code, SV_E_QUOTA_IPS);
    CHECK_STR(back.arg[0], "3");
    CHECK_STR(back.arg[1], "");
    CHECK_STR(back.arg[2], "x");
    (void)sv_fail(&e, SV_E_HYPERVISOR, SV_F_NONE, "two\nlines\x1f");
    jobs_error_pack(&e, packed, sizeof(packed));
    jobs_error_unpack(packed, &back);
    CHECK_STR(back.arg[0], "two lines ");
    const struct sv_dec amount = sv_bytes(5LL << 30, SV_OF_DISK);
    (void)sv_fail(&e, SV_E_HYPERVISOR, SV_F_NONE, amount.s);
    jobs_error_pack(&e, packed, sizeof(packed));
    jobs_error_unpack(packed, &back);
    CHECK_STR(back.arg[0], amount.s);
    jobs_error_unpack("no such symbol", &back);
    CHECK_INT(back.code, SV_ERR_COUNT);
}

/* --- back --- */

static void undoes_from_the_failed_step(void)
{
    static const struct {
        const char *sarg, *trace, *log;
    } rows[] = {
        {"fail:a;", "+a -a ",
         "ACCEPTED:toy.three STARTED STEP_BEGIN:a STEP_FAILED:a UNDO_BEGIN:a FAILED:HYPERVISOR\x1etoy broke\x1e"
         "a "},
        {"fail:b;", "+a +b -b -a ",
         "ACCEPTED:toy.three STARTED STEP_BEGIN:a STEP_DONE:a STEP_BEGIN:b STEP_FAILED:b UNDO_BEGIN:b UNDO_BEGIN:a "
         "FAILED:HYPERVISOR\x1etoy broke\x1e"
         "b "},
        {"fail:c;", "+a +b +c -c -b -a ",
         "ACCEPTED:toy.three STARTED STEP_BEGIN:a STEP_DONE:a STEP_BEGIN:b STEP_DONE:b STEP_BEGIN:c STEP_FAILED:c "
         "UNDO_BEGIN:c UNDO_BEGIN:b UNDO_BEGIN:a FAILED:HYPERVISOR\x1etoy broke\x1e"
         "c "},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct toys t;
        SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
        toys_up(&t, 1);
        struct sv_id id = toy_accept(&t, &toy_three, "", rows[i].sarg);
        CHECK_INT(toy_wait(&t, &id), SV_JOB_FAILED);
        CHECK_STR(t.trace.p, rows[i].trace);
        CHECK_STR(toy_log(&t, &id, a), rows[i].log);
        struct sv_job job = toy_job(&t, &id, a);
        CHECK_STR(job.error_symbol, "HYPERVISOR");
        CHECK_STR(job.error_args[0], "toy broke");
        CHECK(job.percent < 100);
        CHECK(!toy_effect(&t, &job.object, "a") && !toy_effect(&t, &job.object, "b"));
        CHECK(!toy_effect(&t, &job.object, "c") && !toy_locked(&t, &job.object));
        CHECK_INT(toy_events(&t, &job.object, "toy.end"), 1);
        toys_down(&t);
    }
}

struct finishing {
    struct toys *t;
    struct sv_id job, startid;
    struct sv_pending pending;
    bool found;
};

static enum sv_err finish_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct finishing *f = arg;
    enum sv_err rc = sv_pending_get(tx, &f->job, &f->pending, &f->found, err);
    return rc || !f->found ? rc : sv_jobs_finish_undo(f->t->jobs, tx, &f->pending, &f->startid, err);
}

/* The result of a job that finishes what is pending for `job`. */
static enum sv_job_result finish(struct toys *t, struct finishing *f)
{
    struct sv_error err;
    CHECK_INT(sv_db_write(t->db, finish_tx, f, &err), SV_OK);
    CHECK(f->found);
    return toy_wait(t, &f->startid);
}

/* What the earlier steps made may be used by what could not be undone: it stays, and so does what end() would release,
 * until a later job has finished the undo. */
static void stops_where_an_undo_fails(void)
{
    struct toys t;
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    toys_up(&t, 1);
    struct sv_id id = toy_accept(&t, &toy_three, "", "fail:c;stuck:b;");
    struct finishing f = {.t = &t, .job = id};
    CHECK_INT(toy_wait(&t, &id), SV_JOB_FAILED);
    CHECK_STR(t.trace.p, "+a +b +c -c -b -b -b ");
    CHECK(strstr(toy_log(&t, &id, a), "UNDO_BEGIN:b UNDO_FAILED:b UNDO_PENDING "));
    CHECK(strstr(toy_log_text(&t, &id, SV_LANG_EN, a), "undo failed: second: storage error: stuck\n"));
    struct sv_job job = toy_job(&t, &id, a);
    CHECK(toy_effect(&t, &job.object, "a") && toy_effect(&t, &job.object, "b") && !toy_effect(&t, &job.object, "c"));
    CHECK(!toy_locked(&t, &job.object));
    CHECK_INT(toy_events(&t, &job.object, "toy.end"), 0);

    /* A try that fails, too: later than the first. */
    CHECK_INT(finish(&t, &f), SV_JOB_FAILED);
    CHECK_INT(f.pending.tries, 0);
    CHECK_INT(f.pending.step, 2);
    CHECK_INT(toy_events(&t, &job.object, "toy.end"), 0);
    enum sv_job_result result;
    CHECK_INT(toy_cancel(&t, &f.startid, &result), SV_E_JOB_TOO_LATE);

    const int64_t due = f.pending.due;
    t.unstuck = true;
    CHECK_INT(finish(&t, &f), SV_JOB_DONE);
    CHECK_INT(f.pending.tries, 1);
    CHECK(f.pending.due > due);
    CHECK(!toy_effect(&t, &job.object, "a") && !toy_effect(&t, &job.object, "b"));
    CHECK_INT(toy_events(&t, &job.object, "toy.end"), 1);
    CHECK(strstr(toy_log(&t, &id, a), "UNDO_FINISHED"));
    CHECK_INT(sv_db_write(t.db, finish_tx, &f, NULL), SV_OK);
    CHECK(!f.found && !toy_locked(&t, &job.object));
    toys_down(&t);
}

/* b is stuck; a's undo of this kind needs nothing of b's. */
static void goes_on_with_what_stands_alone(void)
{
    struct toys t;
    toys_up(&t, 1);
    struct sv_id id = toy_accept(&t, &toy_alone, "", "fail:c;stuck:b;");
    struct finishing f = {.t = &t, .job = id};
    CHECK_INT(toy_wait(&t, &id), SV_JOB_FAILED);
    CHECK_STR(t.trace.p, "+a +b +c -c -b -b -b -a ");
    t.unstuck = true;
    CHECK_INT(finish(&t, &f), SV_JOB_DONE);
    toys_down(&t);
}

static void keeps_its_deadline(void)
{
    struct toys t;
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    toys_up(&t, 1);
    struct sv_id id = toy_accept(&t, &toy_hasty, "", "gate:b;");
    CHECK_INT(toy_wait(&t, &id), SV_JOB_TIMEOUT);
    CHECK_STR(t.trace.p, "+a +b -b -a ");
    struct sv_job job = toy_job(&t, &id, a);
    CHECK_STR(job.error_symbol, "JOB_DEADLINE");
    CHECK_INT(job.deadline - job.started, 150);
    toys_down(&t);
}

/* --- cancel --- */

static void cancels_a_queued_job(void)
{
    struct toys t;
    enum sv_job_result ret;
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    toys_up(&t, 1);
    struct sv_id first = toy_accept(&t, &toy_three, "", "gate:b;");
    toy_wait_gate(&t, 1);
    struct sv_id second = toy_accept(&t, &toy_three, "", ""), third = toy_accept(&t, &toy_one, "", "");
    CHECK_INT(toy_cancel(&t, &second, &ret), SV_OK);
    CHECK_INT(ret, SV_JOB_CANCELLED);
    struct sv_job job = toy_job(&t, &second, a);
    CHECK_INT(job.result, SV_JOB_CANCELLED);
    CHECK_STR(toy_log(&t, &second, a), "ACCEPTED:toy.three CANCEL_ASKED CANCELLED ");
    CHECK(!toy_locked(&t, &job.object));
    CHECK_INT(toy_events(&t, &job.object, "toy.end"), 1);
    CHECK_INT(toy_cancel(&t, &second, &ret), SV_E_JOB_TOO_LATE);
    toy_open_gate(&t);
    CHECK_INT(toy_wait(&t, &first), SV_JOB_DONE);
    CHECK_INT(toy_wait(&t, &third), SV_JOB_DONE);
    CHECK_STR(t.trace.p, "+a +b +c +a ");
    struct sv_jobs_stats s;
    sv_jobs_stop(t.jobs, TOY_WAIT_MS); /* the count follows the commit */
    sv_jobs_stats(t.jobs, &s);
    CHECK_INT(s.ended[SV_JOB_DONE], 2);
    CHECK_INT(s.ended[SV_JOB_CANCELLED], 1);
    toys_down(&t);
}

static void cancel_running(const char *sarg, const char *trace)
{
    struct toys t;
    enum sv_job_result ret;
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    toys_up(&t, 1);
    struct sv_id id = toy_accept(&t, &toy_three, "", sarg);
    toy_wait_gate(&t, 1);
    CHECK_INT(toy_cancel(&t, &id, &ret), SV_OK);
    CHECK_INT(ret, SV_JOB_RUNNING);
    if (strstr(sarg, "deaf")) {
        CHECK_INT(toy_cancel(&t, &id, &ret), SV_OK); /* asking twice changes nothing */
        toy_open_gate(&t);
    }
    CHECK_INT(toy_wait(&t, &id), SV_JOB_CANCELLED);
    CHECK_STR(t.trace.p, trace);
    struct sv_job job = toy_job(&t, &id, a);
    CHECK_STR(job.error_symbol, "JOB_CANCELLED");
    const char *asked = strstr(toy_log(&t, &id, a), "CANCEL_ASKED ");
    CHECK(asked && !strstr(asked + 1, "CANCEL_ASKED "));
    CHECK(strstr(asked, " CANCELLED "));
    CHECK(!toy_locked(&t, &job.object) && !toy_effect(&t, &job.object, "a"));
    toys_down(&t);
}

static void cancels_a_running_job(void)
{
    cancel_running("gate:b;", "+a +b -b -a "); /* within the step */
    cancel_running("deaf:b;", "+a +b -b -a "); /* at the step's end: c never begins */
    cancel_running("deaf:c;", "+a +b +c -c -b -a ");
}

static void too_late_while_undoing(void)
{
    struct toys t;
    enum sv_job_result ret;
    toys_up(&t, 1);
    struct sv_id id = toy_accept(&t, &toy_three, "", "fail:b;hold:a;");
    toy_wait_gate(&t, 1);
    CHECK_INT(toy_cancel(&t, &id, &ret), SV_E_JOB_TOO_LATE);
    toy_open_gate(&t);
    CHECK_INT(toy_wait(&t, &id), SV_JOB_FAILED);
    toys_down(&t);
}

static void too_late_where_there_is_no_way_back(void)
{
    struct toys t;
    enum sv_job_result ret;
    toys_up(&t, 1);
    struct sv_id id = toy_accept(&t, &toy_grim, "", "gate:a;"), queued = toy_accept(&t, &toy_grim, "", "");
    toy_wait_gate(&t, 1);
    CHECK_INT(toy_cancel(&t, &id, &ret), SV_E_JOB_TOO_LATE);
    CHECK_INT(toy_cancel(&t, &queued, &ret), SV_OK); /* it has destroyed nothing yet */
    CHECK_INT(ret, SV_JOB_CANCELLED);
    toy_open_gate(&t);
    CHECK_INT(toy_wait(&t, &id), SV_JOB_DONE);
    toys_down(&t);
}

/* The two orders in which a cancellation and the last step's end can meet. Both run inside one closure,
 * which holds the writer, so the job's end waits behind it. */
struct meeting {
    struct toys *t;
    struct sv_id id;
    bool cancel_before;
    enum sv_err rc;
};

static enum sv_err meeting_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct meeting *m = arg;
    enum sv_job_result ret = SV_JOB_DONE;
    if (m->cancel_before)
        m->rc = sv_jobs_cancel(m->t->jobs, tx, sv_scope_system(), &m->id, &ret, err);
    toy_open_gate(m->t);
    toy_wait_state(m->t, &m->id, JOBS_PAST_LAST);
    if (!m->cancel_before)
        m->rc = sv_jobs_cancel(m->t->jobs, tx, sv_scope_system(), &m->id, &ret, err);
    return SV_OK;
}

static void cancel_meets_the_end(void)
{
    for (int before = 0; before <= 1; before++) {
        struct toys t;
        struct sv_error err;
        toys_up(&t, 1);
        struct sv_id id = toy_accept(&t, &toy_three, "", "deaf:c;");
        toy_wait_gate(&t, 1);
        struct meeting m = {.t = &t, .id = id, .cancel_before = before};
        CHECK_INT(sv_db_write(t.db, meeting_tx, &m, &err), SV_OK);
        CHECK_INT(m.rc, before ? SV_OK : SV_E_JOB_TOO_LATE);
        CHECK_INT(toy_wait(&t, &id), before ? SV_JOB_CANCELLED : SV_JOB_DONE);
        CHECK_STR(t.trace.p, before ? "+a +b +c -c -b -a " : "+a +b +c ");
        toys_down(&t);
    }
}

static void cancel_of_nobodys_job(void)
{
    struct toys t;
    enum sv_job_result ret;
    toys_up(&t, 1);
    struct sv_id id = sv_id_new();
    CHECK_INT(toy_cancel(&t, &id, &ret), SV_E_JOB_NOT_FOUND);
    toys_down(&t);
}

/* --- acceptance --- */

static void one_object_one_job(void)
{
    struct toys t;
    struct sv_error err;
    struct sv_id object = sv_id_new(), first, second;
    toys_up(&t, 4);
    CHECK_INT(toy_accept_on(&t, &toy_three, &object, "", "gate:a;", &first, &err), SV_OK);
    CHECK_INT(toy_accept_on(&t, &toy_one, &object, "", "", &second, &err), SV_E_OBJECT_LOCKED);
    CHECK_STR(err.arg[0], first.s);
    CHECK(toy_locked(&t, &object));
    toy_open_gate(&t);
    CHECK_INT(toy_wait(&t, &first), SV_JOB_DONE);
    CHECK_INT(toy_accept_on(&t, &toy_one, &object, "", "", &second, &err), SV_OK);
    CHECK_INT(toy_wait(&t, &second), SV_JOB_DONE);
    toys_down(&t);
}

struct rolled_back {
    struct toys *t;
    struct sv_id id;
};

static enum sv_err rolled_back_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct rolled_back *b = arg;
    struct sv_job_spec spec = {.kind = &toy_three, .tenant = b->t->tenant, .object = sv_id_new(), .object_type = "toy"};
    CHECK_INT(sv_jobs_accept(b->t->jobs, tx, &spec, &b->id, err), SV_OK);
    return sv_fail(err, SV_E_NO_CAPACITY, SV_F_NONE, "toys");
}

static void nothing_is_left_of_a_refusal(void)
{
    struct toys t;
    struct sv_error err;
    struct rolled_back b = {.t = &t};
    enum sv_job_result ret;
    struct sv_jobs_stats s;
    toys_up(&t, 1);
    CHECK_INT(sv_db_write(t.db, rolled_back_tx, &b, &err), SV_E_NO_CAPACITY);
    sv_jobs_stats(t.jobs, &s);
    CHECK_INT(s.queued + s.running, 0);
    CHECK_INT(toy_cancel(&t, &b.id, &ret), SV_E_JOB_NOT_FOUND);
    toys_down(&t);
}

/* Jobs accepted before the start wait for it; requeue=false does not mean them. */
static void takes_jobs_before_its_start(void)
{
    struct toys t;
    struct sv_error err;
    struct sv_jobs_stats s;
    toys_make(&t);
    toys_engine(&t, &(struct sv_jobs_options){.slots_per_host = 1, .requeue = false}, toy_kinds);
    struct sv_id id = toy_accept(&t, &toy_three, "", "");
    sv_jobs_stats(t.jobs, &s);
    CHECK_INT(s.queued, 1);
    CHECK_INT(sv_jobs_start(t.jobs, &err), SV_OK);
    CHECK_INT(toy_wait(&t, &id), SV_JOB_DONE);
    CHECK_STR(t.trace.p, "+a +b +c ");
    toys_down(&t);
}

static void refuses_a_bad_crash_point(void)
{
    struct toys t;
    struct sv_error err;
    struct sv_jobs *jobs = NULL;
    const char *bad[] = {"", "toy", "toy:", "toy:a", "toy:a:", "toy:a:before:", ":a:before"};
    toys_make(&t);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sv_jobs_options opt = {.crash_point = bad[i]};
        CHECK_INT(sv_jobs_new(t.db, toy_kinds, &t, &opt, &jobs, &err), SV_E_CONFIG);
    }
    CHECK(!jobs);
    toys_down(&t);
}

/* --- lanes --- */

static void idle_workers_leave(void)
{
    struct toys t;
    struct sv_error err;
    struct sv_jobs_stats s;
    struct sv_id ids[6];
    toys_make(&t);
    toys_engine(&t, &(struct sv_jobs_options){.slots_per_host = 3, .requeue = true}, toy_kinds);
    t.jobs->idle_ms = 10;
    CHECK_INT(sv_jobs_start(t.jobs, &err), SV_OK);
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 6; i++)
            ids[i] = toy_accept(&t, &toy_one, i % 2 ? host_a : host_b, round ? "" : "gate:a;");
        if (round == 0)
            toy_wait_gate(&t, 6);
        toy_open_gate(&t);
        for (unsigned i = 0; i < 6; i++)
            CHECK_INT(toy_wait(&t, &ids[i]), SV_JOB_DONE);
        int64_t until = sv_mono_ms() + TOY_WAIT_MS;
        for (sv_jobs_stats(t.jobs, &s); s.workers > 1; sv_jobs_stats(t.jobs, &s))
            CHECK(jobs_pause(t.jobs, 1) && sv_mono_ms() < until);
    }
    toys_down(&t);
}

static void forgets_old_jobs(void)
{
    struct toys t;
    struct sv_error err;
    enum sv_job_result ret;
    toys_make(&t);
    toys_engine(&t, &(struct sv_jobs_options){.slots_per_host = 1, .requeue = true, .keep_ms = 1}, toy_kinds);
    t.jobs->expire_first_ms = 300;
    CHECK_INT(sv_jobs_start(t.jobs, &err), SV_OK);
    struct sv_id id = toy_accept(&t, &toy_one, "", ""), open = toy_accept(&t, &toy_three, "", "gate:b;");
    toy_wait_gate(&t, 1); /* the first has ended */
    int64_t until = sv_mono_ms() + TOY_WAIT_MS;
    while (toy_cancel(&t, &id, &ret) != SV_E_JOB_NOT_FOUND)
        CHECK(jobs_pause(t.jobs, 5) && sv_mono_ms() < until);
    toy_open_gate(&t);
    CHECK_INT(toy_wait(&t, &open), SV_JOB_DONE);
    toys_down(&t);
}

/* --- trouble at the end --- */

static void writes_its_end_again_after_a_database_error(void)
{
    struct toys t;
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    toys_up(&t, 1);
    sv_log_level(SV_LOG_ERROR + 1);
    static const enum sv_err outages[] = {SV_E_DISK_FULL, SV_E_DB_IO, SV_E_DB_DAMAGED};
    for (unsigned i = 0; i < 3; i++) {
        t.end_fails = outages[i];
        struct sv_id id = toy_accept(&t, &toy_three, "", "");
        CHECK_INT(toy_wait(&t, &id), SV_JOB_DONE);
        struct sv_job job = toy_job(&t, &id, a);
        CHECK_INT(toy_events(&t, &job.object, "toy.end"), 1);
    }
    toys_down(&t);
}

static void leaves_an_end_that_is_refused_to_the_next_start(void)
{
    struct toys t;
    struct sv_error err;
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    toys_up(&t, 1);
    sv_log_level(SV_LOG_ERROR + 1);
    t.end_fails = SV_E_INTERNAL;
    struct sv_id id = toy_accept(&t, &toy_three, "", ""), next = toy_accept(&t, &toy_one, "", "");
    CHECK_INT(toy_wait(&t, &next), SV_JOB_DONE); /* its slot is free again */
    struct sv_job job = toy_job(&t, &id, a);
    CHECK_INT(job.result, SV_JOB_RUNNING);
    CHECK(toy_locked(&t, &job.object));
    sv_jobs_stop(t.jobs, TOY_WAIT_MS);
    sv_jobs_free(t.jobs);
    toys_engine(&t, &(struct sv_jobs_options){.slots_per_host = 1, .requeue = true}, toy_kinds);
    CHECK_INT(sv_jobs_start(t.jobs, &err), SV_OK);
    CHECK_INT(toy_wait(&t, &id), SV_JOB_DONE);
    CHECK(!toy_locked(&t, &job.object));
    toys_down(&t);
}

/* --- figures --- */

static void count_kind(void *arg, const char *kind, int result, uint64_t n)
{
    uint64_t *sum = arg;
    CHECK(strcmp(kind, "toy.one") == 0 || strcmp(kind, "toy.three") == 0);
    CHECK_INT(result, strcmp(kind, "toy.one") == 0 ? SV_JOB_DONE : SV_JOB_FAILED);
    *sum += n;
}

static void counts_by_kind_and_result(void)
{
    struct toys t;
    uint64_t sum = 0;
    toys_up(&t, 2);
    for (unsigned i = 0; i < 6; i++) {
        struct sv_id id = toy_accept(&t, i % 2 ? &toy_three : &toy_one, "", i % 2 ? "fail:a;" : "");
        CHECK_INT(toy_wait(&t, &id), i % 2 ? SV_JOB_FAILED : SV_JOB_DONE);
    }
    sv_jobs_stop(t.jobs, TOY_WAIT_MS); /* the count follows the commit */
    sv_jobs_stats_kinds(t.jobs, count_kind, &sum);
    CHECK_INT(sum, 6);
    toys_down(&t);
}

struct burst {
    struct toys *t;
    struct sv_id last;
    unsigned n;
};

static enum sv_err burst_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct burst *b = arg;
    struct sv_job_spec spec = {.kind = &toy_one, .tenant = b->t->tenant, .object_type = "toy", .sarg = ""};
    enum sv_err rc = SV_OK;
    for (unsigned i = 0; i < b->n && !rc; i++) {
        spec.object = sv_id_new();
        rc = sv_jobs_accept(b->t->jobs, tx, &spec, &b->last, err);
    }
    return rc;
}

static void prints_its_pace(void)
{
    struct toys t;
    struct sv_error err;
    struct burst b = {.t = &t, .n = 2000};
    struct sv_jobs_stats s;
    toys_up(&t, 8);
    int64_t from = sv_mono_us();
    CHECK_INT(sv_db_write(t.db, burst_tx, &b, &err), SV_OK);
    int64_t accepted = sv_mono_us();
    CHECK_INT(toy_wait(&t, &b.last), SV_JOB_DONE);
    toy_wait_running(&t, 0, &s);
    int64_t to = sv_mono_us();
    CHECK_INT(s.ended[SV_JOB_DONE], b.n);
    printf("%u jobs: accepted in %lld ms (one transaction), run at %lld jobs/s on one host with 8 slots\n", b.n,
           (long long)(accepted - from) / 1000, (long long)b.n * 1000000 / (long long)(to - accepted));
    struct sv_id id;
    from = sv_mono_us();
    for (unsigned i = 0; i < 50; i++) {
        id = toy_accept(&t, &toy_one, "", "");
        CHECK_INT(toy_wait(&t, &id), SV_JOB_DONE);
    }
    struct sv_db_stats d;
    sv_db_stats(t.db, &d);
    printf("one job after another: %lld us each, last commit %lld us\n", (long long)(sv_mono_us() - from) / 50,
           (long long)d.commit_us_last);
    toys_down(&t);
}

CHECK_MAIN(T(runs_its_steps_in_order), T(runs_a_job_without_steps), T(leaves_out_last_steps_it_does_not_need),
           T(knows_its_last_step), T(says_how_far_it_is), T(speaks_two_languages), T(packs_errors),
           T(undoes_from_the_failed_step), T(stops_where_an_undo_fails), T(goes_on_with_what_stands_alone),
           T(keeps_its_deadline), T(cancels_a_queued_job), T(cancels_a_running_job), T(too_late_while_undoing),
           T(too_late_where_there_is_no_way_back), T(cancel_meets_the_end), T(cancel_of_nobodys_job),
           T(one_object_one_job), T(nothing_is_left_of_a_refusal), T(takes_jobs_before_its_start),
           T(refuses_a_bad_crash_point), T(idle_workers_leave), T(forgets_old_jobs),
           T(writes_its_end_again_after_a_database_error), T(leaves_an_end_that_is_refused_to_the_next_start),
           T(counts_by_kind_and_result), T(prints_its_pace))
