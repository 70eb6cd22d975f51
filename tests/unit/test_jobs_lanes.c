/* Lanes: who is next on a host, tenants in turn, slots. */
#include "jobs_toys.h"

static const char host_a[] = "01900000-0000-7000-8000-00000000000a";
static const char host_b[] = "01900000-0000-7000-8000-00000000000b";

static void a_lane_is_first_come_first_served(void)
{
    struct toys t;
    struct sv_id ids[20];
    SV_CLEANUP(sv_buf_free) struct sv_buf want = {0};
    toys_up(&t, 1);
    ids[0] = toy_accept(&t, &toy_one, host_a, "gate:a;");
    toy_wait_gate(&t, 1);
    sv_buf_puts(&want, "+a ");
    for (unsigned i = 1; i < 20; i++) {
        ids[i] = toy_accept(&t, i % 3 ? &toy_three : &toy_one, host_a, "");
        sv_buf_puts(&want, i % 3 ? "+a +b +c " : "+a ");
    }
    toy_open_gate(&t);
    for (unsigned i = 0; i < 20; i++)
        CHECK_INT(toy_wait(&t, &ids[i]), SV_JOB_DONE);
    CHECK_INT(t.most_running, 1);
    CHECK_STR(t.trace.p, want.p);
    toys_down(&t);
}

static void a_blocked_host_delays_nobody_else(void)
{
    struct toys t;
    struct sv_jobs_stats s;
    struct sv_id blocked[5];
    toys_up(&t, 2);
    for (unsigned i = 0; i < 5; i++)
        blocked[i] = toy_accept(&t, &toy_one, host_a, "deaf:a;");
    toy_wait_gate(&t, 2);
    for (unsigned i = 0; i < 30; i++) {
        struct sv_id id = toy_accept(&t, &toy_three, i % 3 ? host_b : "", "");
        CHECK_INT(toy_wait(&t, &id), SV_JOB_DONE);
    }
    toy_wait_running(&t, 2, &s);
    CHECK_INT(s.running, 2);
    CHECK_INT(s.queued, 3);
    CHECK(s.workers >= 2 && s.workers <= 6);
    toy_open_gate(&t);
    for (unsigned i = 0; i < 5; i++)
        CHECK_INT(toy_wait(&t, &blocked[i]), SV_JOB_DONE);
    toys_down(&t);
}

/* Accepts n jobs of the tenant; the last one's id. */
static struct sv_id accept_many(struct toys *t, const struct sv_id *tenant, unsigned n, const struct sv_job_kind *kind,
                                const char *sarg)
{
    struct sv_id last = {.s = ""};
    t->tenant = *tenant;
    for (unsigned i = 0; i < n; i++)
        last = toy_accept(t, kind, host_a, sarg);
    return last;
}

static unsigned shares(struct toys *t)
{
    unsigned n = 0;
    pthread_mutex_lock(&t->jobs->mutex);
    for (unsigned b = 0; b < JOBS_HASH; b++)
        for (const struct jobs_share *s = t->jobs->shares[b]; s; s = s->hash_next)
            n++;
    pthread_mutex_unlock(&t->jobs->mutex);
    return n;
}

/* The first has its turn behind it, so that each of the second comes before one of the first. Within a tenant the
 * order is that of acceptance: its last job is of another kind. */
static void tenants_take_turns(void)
{
    struct toys t;
    struct sv_jobs_stats s;
    const struct sv_id first = sv_id_new(), second = sv_id_new();
    toys_up(&t, 1);
    (void)accept_many(&t, &first, 1, &toy_one, "gate:a;");
    toy_wait_gate(&t, 1);
    (void)accept_many(&t, &first, 4, &toy_one, "");
    const struct sv_id end = accept_many(&t, &first, 1, &toy_some, "all;");
    (void)accept_many(&t, &second, 3, &toy_three, "fail:b;");
    CHECK_INT(shares(&t), 2);
    toy_open_gate(&t);
    CHECK_INT(toy_wait(&t, &end), SV_JOB_DONE);
    CHECK_STR(t.trace.p, "+a +a +b -b -a +a +a +b -b -a +a +a +b -b -a +a +a +a +b +c ");
    toy_wait_running(&t, 0, &s);
    CHECK_INT(shares(&t), 0);
    toys_down(&t);
}

/* Jobs that do not end fill their tenant's slots; a tenant that has none running gets one more at once, and only one.
 */
static void a_tenant_that_fills_a_lane_keeps_nobody_out(void)
{
    struct toys t;
    struct sv_jobs_stats s;
    enum sv_job_result ret;
    const struct sv_id first = sv_id_new(), second = sv_id_new(), third = sv_id_new();
    toys_up(&t, 4);
    const struct sv_id end = accept_many(&t, &first, 50, &toy_one, "gate:a;");
    toy_wait_gate(&t, 4);
    for (unsigned i = 0; i < 10; i++) {
        const struct sv_id id = accept_many(&t, i % 2 ? &second : &third, 1, &toy_three, "");
        CHECK_INT(toy_wait(&t, &id), SV_JOB_DONE);
    }
    const struct sv_id held = accept_many(&t, &second, 2, &toy_one, "gate:a;");
    toy_wait_gate(&t, 5);
    const struct sv_id late = accept_many(&t, &third, 1, &toy_one, "");
    toy_wait_running(&t, 5, &s);
    CHECK_INT(s.running, 5);
    CHECK_INT(s.queued, 46 + 1 + 1);
    CHECK_INT(toy_cancel(&t, &held, &ret), SV_OK); /* from the middle of nowhere: the lane stays in order */
    toy_open_gate(&t);
    CHECK_INT(toy_wait(&t, &late), SV_JOB_DONE);
    CHECK_INT(toy_wait(&t, &end), SV_JOB_DONE);
    CHECK_INT(t.most_running, 5);
    toy_wait_running(&t, 0, &s);
    CHECK_INT(shares(&t), 0);
    toys_down(&t);
}

static void a_lane_of_one_runs_one(void)
{
    struct toys t;
    struct sv_jobs_stats s;
    const struct sv_id first = sv_id_new(), second = sv_id_new();
    toys_up(&t, 1);
    (void)accept_many(&t, &first, 2, &toy_one, "gate:a;");
    toy_wait_gate(&t, 1);
    const struct sv_id id = accept_many(&t, &second, 1, &toy_one, "");
    sv_jobs_stats(t.jobs, &s);
    CHECK_INT(s.running, 1);
    CHECK_INT(s.queued, 2);
    toy_open_gate(&t);
    CHECK_INT(toy_wait(&t, &id), SV_JOB_DONE);
    CHECK_INT(t.most_running, 1);
    toys_down(&t);
}

/* A thousand were first on disk: the one of the other tenant is the second that runs, also after a start. */
static void turns_survive_a_restart(void)
{
    struct toys t;
    struct sv_error err;
    struct sv_jobs_options opt = {.slots_per_host = 1, .requeue = true};
    const struct sv_id first = sv_id_new(), second = sv_id_new();
    toys_make(&t);
    toys_engine(&t, &opt, toy_kinds);
    (void)accept_many(&t, &first, 1000, &toy_one, "");
    const struct sv_id id = accept_many(&t, &second, 1, &toy_three, "");
    toys_close(&t);
    toys_open(&t);
    toys_engine(&t, &opt, toy_kinds);
    CHECK_INT(sv_jobs_start(t.jobs, &err), SV_OK);
    CHECK_INT(toy_wait(&t, &id), SV_JOB_DONE);
    sv_jobs_stop(t.jobs, TOY_WAIT_MS); /* nobody writes the trace any more */
    CHECK(strncmp(t.trace.p, "+a +a +b +c ", 12) == 0);
    toys_down(&t);
}

static void uses_all_slots_of_all_hosts(void)
{
    struct toys t;
    struct sv_id ids[12];
    toys_up(&t, 3);
    for (unsigned i = 0; i < 12; i++)
        ids[i] = toy_accept(&t, &toy_one, i % 2 ? host_a : host_b, "gate:a;");
    toy_wait_gate(&t, 6);
    toy_open_gate(&t);
    for (unsigned i = 0; i < 12; i++)
        CHECK_INT(toy_wait(&t, &ids[i]), SV_JOB_DONE);
    CHECK_INT(t.most_running, 6);
    toys_down(&t);
}

CHECK_MAIN(T(a_lane_is_first_come_first_served), T(a_blocked_host_delays_nobody_else), T(tenants_take_turns),
           T(a_tenant_that_fills_a_lane_keeps_nobody_out), T(a_lane_of_one_runs_one), T(turns_survive_a_restart),
           T(uses_all_slots_of_all_hosts))
