/* Jobs across the death of the process: a child runs them until it kills itself or is killed, then the
 * parent opens what is left and every accepted job must end, whole or undone. */
#include "jobs_toys.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS 3

struct story {
    const struct sv_job_kind *kind;
    const char *sarg, *crash_point;
    unsigned slots;
    bool requeue; /* at the second start */
};

struct accepting_all {
    struct toys *t;
    const struct story *s;
    struct sv_id ids[JOBS], objects[JOBS];
};

static enum sv_err accept_all_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct accepting_all *a = arg;
    for (unsigned i = 0; i < JOBS; i++) {
        struct sv_job_spec spec = {.kind = a->s->kind,
                                   .tenant = a->t->tenant,
                                   .object = a->objects[i],
                                   .object_type = "toy",
                                   .sarg = a->s->sarg};
        CHECK_INT(sv_jobs_accept(a->t->jobs, tx, &spec, &a->ids[i], err), SV_OK);
    }
    return SV_OK;
}

/* Accepts the jobs before its engine runs, so that the crash finds all of them on disk. */
static void child_accepts(struct accepting_all *a)
{
    struct sv_error err;
    CHECK_INT(sv_db_write(a->t->db, accept_all_tx, a, &err), SV_OK);
}

static void child_crashes(const struct story *s, struct toys *t, int ids_fd)
{
    struct sv_error err;
    struct accepting_all a = {.t = t, .s = s};
    struct sv_jobs_options opt = {.slots_per_host = s->slots, .requeue = true, .crash_point = s->crash_point};
    alarm(60);
    toys_open(t);
    toys_engine(t, &opt, toy_kinds);
    for (unsigned i = 0; i < JOBS; i++)
        a.objects[i] = sv_id_new();
    child_accepts(&a);
    CHECK(write(ids_fd, a.ids, sizeof(a.ids)) == sizeof(a.ids));
    CHECK_INT(sv_jobs_start(t->jobs, &err), SV_OK);
    for (unsigned i = 0; i < JOBS; i++)
        (void)toy_wait(t, &a.ids[i]);
    _exit(3); /* it never crashed */
}

/* A directory with a tenant; the threads that made it are gone, so that forking is safe. */
static void directory(struct toys *t)
{
    toys_make(t);
    toys_close(t);
    t->jobs = NULL;
}

static void crash(const struct story *s, struct toys *t, struct sv_id ids[JOBS])
{
    int fds[2], status;
    CHECK(pipe(fds) == 0);
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        child_crashes(s, t, fds[1]);
    close(fds[1]);
    CHECK(read(fds[0], ids, sizeof(struct sv_id) * JOBS) == sizeof(struct sv_id) * JOBS);
    close(fds[0]);
    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        check_failed(__FILE__, __LINE__, "%s: the child ended with status %x", s->crash_point, (unsigned)status);
}

static void start_again(struct toys *t, unsigned slots, bool requeue)
{
    struct sv_error err;
    toys_open(t);
    toys_engine(t, &(struct sv_jobs_options){.slots_per_host = slots, .requeue = requeue}, toy_kinds);
    CHECK_INT(sv_jobs_start(t->jobs, &err), SV_OK);
}

/* All or nothing, unlocked, ended exactly once. */
static void check_sound(struct toys *t, const struct sv_id *id, enum sv_job_result result)
{
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    struct sv_job job = toy_job(t, id, a);
    const struct sv_job_kind *kind = sv_jobs_kind(t->jobs, job.kind);
    for (unsigned k = 0; k < kind->step_count; k++)
        CHECK_INT(toy_effect(t, &job.object, kind->steps[k].name), result == SV_JOB_DONE);
    CHECK(!toy_locked(t, &job.object));
    CHECK_INT(toy_events(t, &job.object, "toy.end"), 1);
    CHECK_INT(toy_events(t, &job.object, "job.end"), 1);
    CHECK_INT(job.percent == 100, result == SV_JOB_DONE);
    (void)toy_log(t, id, a); /* checks the serials */
}

static void breach(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "breach: %s\n", line);
}

static void check_invariants(struct toys *t)
{
    struct sv_error err;
    unsigned n = 1;
    CHECK_INT(sv_db_fsck(t->db, breach, NULL, &n, &err), SV_OK);
    CHECK_INT(n, 0);
}

static void tell(const struct story *s, struct toys *t, unsigned counts[JOBS_RESULTS])
{
    struct sv_id ids[JOBS];
    directory(t);
    crash(s, t, ids);
    start_again(t, 2, s->requeue);
    memset(counts, 0, sizeof(counts[0]) * JOBS_RESULTS);
    for (unsigned i = 0; i < JOBS; i++) {
        enum sv_job_result result = toy_wait(t, &ids[i]);
        counts[result]++;
        check_sound(t, &ids[i], result);
    }
    check_invariants(t);
    toys_down(t);
}

static const char *const moments[] = {
    "a:before",   "a:after",  "a:recorded", "b:before",   "b:after",
    "b:recorded", "c:before", "c:after",    "c:recorded", "end:before",
};
#define MOMENTS (sizeof(moments) / sizeof(moments[0]))

static void tell_all(struct story s, void (*check)(const char *moment, const unsigned counts[JOBS_RESULTS]))
{
    for (size_t i = 0; i < MOMENTS; i++) {
        struct toys t;
        unsigned counts[JOBS_RESULTS];
        char point[64];
        snprintf(point, sizeof(point), "%s:%s", s.kind->name, moments[i]);
        s.crash_point = point;
        tell(&s, &t, counts);
        check(moments[i], counts);
    }
}

static void all_done(const char *moment, const unsigned counts[JOBS_RESULTS])
{
    (void)moment;
    CHECK_INT(counts[SV_JOB_DONE], JOBS);
}

static void resumes_after_each_moment(void)
{
    tell_all((struct story){.kind = &toy_three, .sarg = "", .slots = 1, .requeue = true}, all_done);
}

static void resumes_several_at_a_time(void)
{
    tell_all((struct story){.kind = &toy_three, .sarg = "", .slots = JOBS, .requeue = true}, all_done);
}

/* With one slot, the first job runs when the process dies and the others are queued. */
static void one_aborted(const char *moment, const unsigned counts[JOBS_RESULTS])
{
    (void)moment;
    CHECK_INT(counts[SV_JOB_ABORTED], 1);
    CHECK_INT(counts[SV_JOB_DONE], JOBS - 1);
}

static void undoes_what_cannot_be_resumed(void)
{
    tell_all((struct story){.kind = &toy_once, .sarg = "", .slots = 1, .requeue = true}, one_aborted);
}

static void one_aborted_others_lost(const char *moment, const unsigned counts[JOBS_RESULTS])
{
    (void)moment;
    CHECK_INT(counts[SV_JOB_ABORTED], 1);
    CHECK_INT(counts[SV_JOB_LOST], JOBS - 1);
}

static void without_requeue_nothing_goes_on(void)
{
    tell_all((struct story){.kind = &toy_three, .sarg = "", .slots = 1, .requeue = false}, one_aborted_others_lost);
}

static void what_has_ended_stays_ended(void)
{
    struct toys t;
    unsigned counts[JOBS_RESULTS];
    struct story s = {.kind = &toy_three, .sarg = "", .slots = 1, .crash_point = "toy.three:end:after"};
    tell(&s, &t, counts);
    CHECK_INT(counts[SV_JOB_DONE], 1);
    CHECK_INT(counts[SV_JOB_LOST], JOBS - 1);
}

static void goes_on_undoing(void)
{
    static const char *const points[] = {"c:undo-before", "c:undo-after", "b:undo-before", "b:undo-after",
                                         "a:undo-before", "a:undo-after", "end:before"};
    for (int requeue = 0; requeue <= 1; requeue++) {
        for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
            struct toys t;
            unsigned counts[JOBS_RESULTS];
            char point[64];
            snprintf(point, sizeof(point), "toy.three:%s", points[i]);
            struct story s = {
                .kind = &toy_three, .sarg = "fail:c;", .slots = 1, .crash_point = point, .requeue = requeue};
            tell(&s, &t, counts);
            CHECK_INT(counts[SV_JOB_FAILED], requeue ? JOBS : 1);
            CHECK_INT(counts[SV_JOB_LOST], requeue ? 0 : JOBS - 1);
        }
    }
}

/* What failed first is what the client reads, also when the server died while undoing it. */
static void remembers_why(void)
{
    struct toys t;
    struct sv_id ids[JOBS];
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    struct story s = {.kind = &toy_once, .sarg = "fail:b;", .slots = 1, .crash_point = "toy.once:a:undo-before"};
    directory(&t);
    crash(&s, &t, ids);
    start_again(&t, 2, true);
    CHECK_INT(toy_wait(&t, &ids[0]), SV_JOB_FAILED);
    struct sv_job job = toy_job(&t, &ids[0], a);
    CHECK_STR(job.error_symbol, "HYPERVISOR");
    CHECK_STR(job.error_args[0], "toy broke");
    toys_down(&t);
}

/* A step fails after the restart: what ran before it beyond the record is undone too. */
static void undoes_past_the_record(void)
{
    struct toys t;
    struct sv_id ids[JOBS];
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    struct story s = {.kind = &toy_three, .sarg = "gate:a;", .slots = 1, .crash_point = "toy.three:a:before"};
    directory(&t);
    crash(&s, &t, ids);
    toys_open(&t);
    struct sv_job job = toy_job(&t, &ids[0], a);
    char path[256];
    snprintf(path, sizeof(path), "%s/%s.c", t.dir, job.object.s);
    FILE *f = fopen(path, "w"); /* as if b and c had run and their records were lost */
    CHECK(f && fclose(f) == 0 && toy_effect(&t, &job.object, "c"));
    enum sv_job_result ret;
    struct sv_error err;
    toys_engine(&t, &(struct sv_jobs_options){.slots_per_host = 1, .requeue = true}, toy_kinds);
    CHECK_INT(sv_jobs_start(t.jobs, &err), SV_OK);
    toy_wait_gate(&t, 1);
    CHECK(strstr(toy_log(&t, &ids[0], a), "RESUMED:a STEP_BEGIN:a "));
    CHECK_INT(toy_cancel(&t, &ids[0], &ret), SV_OK);
    CHECK_INT(ret, SV_JOB_RUNNING);
    CHECK_INT(toy_wait(&t, &ids[0]), SV_JOB_CANCELLED);
    check_sound(&t, &ids[0], SV_JOB_CANCELLED);
    toy_open_gate(&t);
    CHECK_INT(toy_wait(&t, &ids[2]), SV_JOB_DONE);
    toys_down(&t);
}

/* Cancelled before the engine has started again. */
static void cancels_between_two_starts(void)
{
    struct toys t;
    struct sv_id ids[JOBS];
    struct sv_error err;
    enum sv_job_result ret;
    struct story s = {.kind = &toy_three, .sarg = "", .slots = 1, .crash_point = "toy.three:b:after"};
    directory(&t);
    crash(&s, &t, ids);
    toys_open(&t);
    toys_engine(&t, &(struct sv_jobs_options){.slots_per_host = 1, .requeue = true}, toy_kinds);
    CHECK_INT(toy_cancel(&t, &ids[0], &ret), SV_OK);
    CHECK_INT(ret, SV_JOB_RUNNING);
    CHECK_INT(toy_cancel(&t, &ids[1], &ret), SV_OK);
    CHECK_INT(ret, SV_JOB_CANCELLED);
    CHECK_INT(sv_jobs_start(t.jobs, &err), SV_OK);
    CHECK_INT(toy_wait(&t, &ids[0]), SV_JOB_CANCELLED);
    CHECK_INT(toy_wait(&t, &ids[2]), SV_JOB_DONE);
    check_sound(&t, &ids[0], SV_JOB_CANCELLED);
    check_sound(&t, &ids[1], SV_JOB_CANCELLED);
    toys_down(&t);
}

static void ends_jobs_of_an_unknown_kind(void)
{
    struct toys t;
    struct sv_id ids[JOBS];
    struct sv_error err;
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    struct story s = {.kind = &toy_three, .sarg = "", .slots = 1, .crash_point = "toy.three:b:before"};
    directory(&t);
    crash(&s, &t, ids);
    toys_open(&t);
    sv_log_level(SV_LOG_ERROR + 1);
    toys_engine(&t, &(struct sv_jobs_options){.slots_per_host = 1, .requeue = true}, toy_kinds_but_three);
    CHECK_INT(sv_jobs_start(t.jobs, &err), SV_OK);
    for (unsigned i = 0; i < JOBS; i++) {
        struct sv_job job = toy_job(&t, &ids[i], a);
        CHECK_INT(job.result, SV_JOB_ABORTED);
        CHECK_STR(job.error_symbol, "UNSUPPORTED");
        CHECK_STR(job.error_args[0], "toy.three");
        CHECK(!toy_locked(&t, &job.object));
    }
    toys_down(&t);
}

/* --- an orderly stop --- */

static void stop_is_no_cancellation(void)
{
    struct toys t;
    struct sv_jobs_stats s;
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    toys_up(&t, 1);
    struct sv_id id = toy_accept(&t, &toy_three, "", "gate:a;"), next = toy_accept(&t, &toy_three, "", "");
    struct sv_id once = toy_accept(&t, &toy_once, "01900000-0000-7000-8000-00000000000a", "gate:b;");
    toy_wait_gate(&t, 2);
    pthread_mutex_lock(&t.jobs->mutex);
    t.jobs->stopping = true; /* so that both steps end after the stop began */
    pthread_mutex_unlock(&t.jobs->mutex);
    toy_open_gate(&t);
    sv_jobs_stop(t.jobs, TOY_WAIT_MS);
    sv_jobs_stats(t.jobs, &s);
    CHECK_INT(s.running + s.workers, 0);
    toys_close(&t);
    toys_open(&t);
    struct sv_job job = toy_job(&t, &id, a);
    CHECK_INT(job.result, SV_JOB_RUNNING);
    CHECK(job.step == 1 && !job.cancel && !job.undoing);
    CHECK(toy_locked(&t, &job.object));
    CHECK_INT(toy_job(&t, &next, a).result, SV_JOB_QUEUED);
    CHECK_INT(toy_job(&t, &once, a).result, SV_JOB_DONE); /* it could not have gone on later */
    toys_close(&t);
    start_again(&t, 1, true);
    CHECK_INT(toy_wait(&t, &id), SV_JOB_DONE);
    CHECK_INT(toy_wait(&t, &next), SV_JOB_DONE);
    CHECK(strstr(toy_log(&t, &id, a), "STEP_DONE:a RESUMED:b STEP_BEGIN:b STEP_DONE:b "));
    CHECK_STR(t.trace.p, "+b +c +a +b +c ");
    toys_down(&t);
}

static void child_abandons(struct toys *t, int ids_fd)
{
    struct sv_error err;
    struct sv_jobs_stats s;
    alarm(60);
    toys_open(t);
    toys_engine(t, &(struct sv_jobs_options){.slots_per_host = 1, .requeue = true}, toy_kinds);
    CHECK_INT(sv_jobs_start(t->jobs, &err), SV_OK);
    struct sv_id id = toy_accept(t, &toy_once, "", "deaf:b;");
    CHECK(write(ids_fd, &id, sizeof(id)) == sizeof(id));
    toy_wait_gate(t, 1);
    sv_log_level(SV_LOG_ERROR);
    sv_jobs_stop(t->jobs, 30);
    sv_jobs_stats(t->jobs, &s);
    CHECK_INT(s.running, 1);
    sv_jobs_free(t->jobs);
    _exit(0);
}

static void a_step_that_hangs_does_not_hold_the_stop(void)
{
    struct toys t;
    struct sv_id id;
    int fds[2], status;
    directory(&t);
    CHECK(pipe(fds) == 0);
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        child_abandons(&t, fds[1]);
    close(fds[1]);
    CHECK(read(fds[0], &id, sizeof(id)) == sizeof(id));
    close(fds[0]);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
    start_again(&t, 2, true);
    CHECK_INT(toy_wait(&t, &id), SV_JOB_ABORTED);
    check_sound(&t, &id, SV_JOB_ABORTED);
    toys_down(&t);
}

/* --- killed from outside, anywhere --- */

#define MANY 60

static void child_is_killed(struct toys *t, int fd)
{
    struct sv_error err;
    alarm(60);
    toys_open(t);
    t->tell_fd = fd;
    toys_engine(t, &(struct sv_jobs_options){.slots_per_host = 4, .requeue = true}, toy_kinds);
    CHECK_INT(sv_jobs_start(t->jobs, &err), SV_OK);
    static const char *const sargs[] = {"", "fail:c;", "", "fail:b;"};
    for (unsigned i = 0; i < MANY; i++)
        (void)toy_accept(t, i % 2 ? &toy_three : &toy_once, i % 5 ? "" : "01900000-0000-7000-8000-00000000000a",
                         sargs[i % 4]);
    for (;;)
        pause();
}

static void add_id(void *arg, const struct sv_job *job)
{
    struct accepted {
        struct sv_id ids[MANY];
        unsigned n;
    } *all = arg;
    CHECK(all->n < MANY);
    all->ids[all->n++] = job->id;
}

static enum sv_err list_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    uint64_t total;
    struct sv_page all = {.limit = 0};
    return sv_job_list(tx, sv_scope_system(), &(struct sv_job_filter){.by_result = false}, &all, add_id, arg, &total,
                       err);
}

static void kill_after(unsigned effects)
{
    struct toys t;
    struct sv_error err;
    int fds[2], status;
    char byte;
    struct {
        struct sv_id ids[MANY];
        unsigned n;
    } all = {.n = 0};
    directory(&t);
    CHECK(pipe(fds) == 0);
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        child_is_killed(&t, fds[1]);
    close(fds[1]);
    for (unsigned i = 0; i < effects; i++)
        CHECK(read(fds[0], &byte, 1) == 1);
    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
    close(fds[0]);
    start_again(&t, 2, true);
    CHECK_INT(sv_db_read(t.db, list_tx, &all, &err), SV_OK);
    CHECK(all.n > 0);
    for (unsigned i = 0; i < all.n; i++) {
        enum sv_job_result result = toy_wait(&t, &all.ids[i]);
        CHECK(result == SV_JOB_DONE || result == SV_JOB_FAILED || result == SV_JOB_ABORTED);
        check_sound(&t, &all.ids[i], result);
    }
    check_invariants(&t);
    toys_down(&t);
}

static void survives_a_kill_anywhere(void)
{
    static const unsigned after[] = {1, 2, 5, 11, 23, 47, 71, 100};
    for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++)
        kill_after(after[i]);
}

CHECK_MAIN(T(resumes_after_each_moment), T(resumes_several_at_a_time), T(undoes_what_cannot_be_resumed),
           T(without_requeue_nothing_goes_on), T(what_has_ended_stays_ended), T(goes_on_undoing), T(remembers_why),
           T(undoes_past_the_record), T(cancels_between_two_starts), T(ends_jobs_of_an_unknown_kind),
           T(stop_is_no_cancellation), T(a_step_that_hangs_does_not_hold_the_stop), T(survives_a_kill_anywhere))
