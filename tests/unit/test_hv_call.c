/* The bounded calls of a libvirt host, with a hypervisor (libvirt's own test driver, in this process) that
 * answers at once and calls that hang as long as the test wants. */
#include "hv/libvirt/internal.h"

#include "tests/unit/check.h"

#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/starvirt-hv-XXXXXX";

/* --- a gate that calls hang at --- */

static struct {
    pthread_mutex_t mu;
    pthread_cond_t moved;
    bool open;
    unsigned inside, passed;
} gate = {.mu = PTHREAD_MUTEX_INITIALIZER};

static void gate_set(bool open)
{
    pthread_mutex_lock(&gate.mu);
    gate.open = open;
    pthread_cond_broadcast(&gate.moved);
    pthread_mutex_unlock(&gate.mu);
}

static void gate_until(const unsigned *count, unsigned n)
{
    pthread_mutex_lock(&gate.mu);
    while (*count < n)
        pthread_cond_wait(&gate.moved, &gate.mu);
    pthread_mutex_unlock(&gate.mu);
}

static enum sv_err hang(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    (void)h;
    (void)conn;
    (void)err;
    pthread_mutex_lock(&gate.mu);
    gate.inside++;
    pthread_cond_broadcast(&gate.moved);
    while (!gate.open)
        pthread_cond_wait(&gate.moved, &gate.mu);
    gate.inside--;
    gate.passed++;
    pthread_cond_broadcast(&gate.moved);
    pthread_mutex_unlock(&gate.mu);
    op->value = 42; /* nobody may be looking any more */
    return SV_OK;
}

static enum sv_err answer(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    (void)h;
    (void)err;
    CHECK(virConnectIsAlive(conn) == 1);
    op->value++;
    return SV_OK;
}

static enum sv_err refuse(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    (void)h;
    (void)conn;
    (void)op;
    return sv_fail(err, SV_E_STORAGE, SV_F_NONE, "because");
}

/* --- a host --- */

struct up {
    pthread_mutex_t mu;
    pthread_cond_t changed;
    bool connected;
};

static void on_host(void *arg, struct sv_hv_host *h, bool connected, const char *why)
{
    struct up *up = arg;
    (void)h;
    (void)why;
    pthread_mutex_lock(&up->mu);
    up->connected = connected;
    pthread_cond_broadcast(&up->changed);
    pthread_mutex_unlock(&up->mu);
}

static struct sv_hv *open_host(unsigned threads, int64_t limit_ms)
{
    static struct up up = {.mu = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    const struct sv_hv_options opt = {.data_dir = dir, .threads_per_host = threads, .call_limit_ms = limit_ms};
    const struct sv_hv_events ev = {.arg = &up, .host = on_host};
    struct sv_hv *hv = NULL;
    struct sv_error err;
    up.connected = false;
    gate_set(false);
    gate.passed = 0;
    CHECK_INT(sv_hv_open("test:///default", &opt, &ev, &hv, &err), SV_OK);
    pthread_mutex_lock(&up.mu);
    while (!up.connected)
        pthread_cond_wait(&up.changed, &up.mu);
    pthread_mutex_unlock(&up.mu);
    return hv;
}

static struct lv_host *host_of(struct sv_hv *hv)
{
    return lv_host_of(sv_hv_host_at(hv, 0));
}

static enum sv_err call(struct lv_host *h, lv_fn fn, enum lv_kind kind, int64_t ms)
{
    const struct sv_deadline d = sv_deadline_within(NULL, ms);
    struct sv_error err = {0};
    LV_OP op = lv_op_new(NULL);
    enum sv_err rc = lv_call(h, op, fn, kind, ms ? &d : NULL, &err);
    CHECK_INT(rc, err.code);
    if (rc == SV_E_HOST_TIMEOUT)
        CHECK_STR(err.arg[0], "test");
    return rc;
}

/* --- the tests --- */

static void results_and_errors_come_back(void)
{
    struct sv_hv *hv = open_host(2, 0);
    struct sv_error err = {0};
    LV_OP op = lv_op_new(NULL);
    op->value = 6;
    CHECK_INT(lv_call(host_of(hv), op, answer, LV_CALL_HOST, NULL, &err), SV_OK);
    CHECK_INT(op->value, 7);
    CHECK_INT(lv_call(host_of(hv), op, refuse, LV_CALL_HOST, NULL, &err), SV_E_STORAGE);
    CHECK_STR(err.arg[0], "because");
    sv_hv_close(hv);
}

static void the_earlier_limit_counts(void)
{
    struct sv_hv *hv = open_host(4, 300);
    int64_t t0 = sv_mono_ms();
    CHECK_INT(call(host_of(hv), hang, LV_CALL_HOST, 0), SV_E_HOST_TIMEOUT);
    int64_t t1 = sv_mono_ms();
    CHECK(t1 - t0 >= 290 && t1 - t0 < 5000);
    CHECK_INT(call(host_of(hv), hang, LV_CALL_HOST, 50), SV_E_HOST_TIMEOUT);
    CHECK(sv_mono_ms() - t1 < 290);
    gate_set(true);
    gate_until(&gate.passed, 2);
    CHECK_INT(call(host_of(hv), answer, LV_CALL_HOST, 0), SV_OK);
    sv_hv_close(hv);
}

static void cancel_is_seen(void)
{
    struct sv_hv *hv = open_host(2, 60000);
    atomic_bool cancel = true;
    const struct sv_deadline d = {.cancel = &cancel};
    struct sv_error err;
    LV_OP op = lv_op_new(NULL);
    CHECK_INT(lv_call(host_of(hv), op, hang, LV_CALL_HOST, &d, &err), SV_E_JOB_CANCELLED);
    gate_set(true);
    sv_hv_close(hv);
}

/* With every thread hung a call costs nothing at all; when they come back, so does the host. */
static void stuck_host_fails_fast(void)
{
    struct sv_hv *hv = open_host(2, 60000);
    struct lv_host *h = host_of(hv);
    CHECK_INT(call(h, hang, LV_CALL_HOST, 20), SV_E_HOST_TIMEOUT);
    CHECK_INT(call(h, hang, LV_CALL_HOST, 20), SV_E_HOST_TIMEOUT);
    gate_until(&gate.inside, 2);
    int64_t t0 = sv_mono_ms();
    CHECK_INT(call(h, answer, LV_CALL_HOST, 0), SV_E_HOST_TIMEOUT);
    CHECK(sv_mono_ms() - t0 < 1000);
    gate_set(true);
    gate_until(&gate.passed, 2);
    while (call(h, answer, LV_CALL_HOST, 0) != SV_OK) /* until the two are counted as back */
        CHECK(sv_mono_ms() - t0 < 20000);
    sv_hv_close(hv);
}

/* Guests that do not answer take half of the threads and no more. */
static void guests_cannot_take_all(void)
{
    struct sv_hv *hv = open_host(4, 60000);
    struct lv_host *h = host_of(hv);
    CHECK_INT(call(h, hang, LV_CALL_GUEST, 20), SV_E_HOST_TIMEOUT);
    CHECK_INT(call(h, hang, LV_CALL_GUEST, 20), SV_E_HOST_TIMEOUT);
    gate_until(&gate.inside, 2);
    CHECK_INT(call(h, hang, LV_CALL_GUEST, 0), SV_E_HOST_TIMEOUT);
    CHECK_INT(call(h, answer, LV_CALL_HOST, 0), SV_OK);
    gate_set(true);
    sv_hv_close(hv);
}

struct waiter {
    struct lv_host *h;
    enum sv_err rc;
};

static void *wait_long(void *arg)
{
    struct waiter *w = arg;
    w->rc = call(w->h, hang, LV_CALL_HOST, 0);
    return NULL;
}

/* What nobody waits for any more is not begun either. */
static void left_in_the_queue_never_runs(void)
{
    struct sv_hv *hv = open_host(1, 60000);
    struct lv_host *h = host_of(hv);
    struct sv_error err;
    pthread_t t;
    struct waiter first = {.h = h};
    CHECK_INT(pthread_create(&t, NULL, wait_long, &first), 0);
    gate_until(&gate.inside, 1);
    LV_OP op = lv_op_new(NULL);
    const struct sv_deadline d = sv_deadline_within(NULL, 50);
    CHECK_INT(lv_call(h, op, answer, LV_CALL_HOST, &d, &err), SV_E_HOST_TIMEOUT);
    gate_set(true);
    CHECK_INT(pthread_join(t, NULL), 0);
    CHECK_INT(first.rc, SV_OK);
    CHECK_INT(call(h, answer, LV_CALL_HOST, 0), SV_OK);
    CHECK_INT(op->value, 0);
    sv_hv_close(hv);
}

/* Closing does not wait for what hangs, and what comes back later harms nobody. */
static void close_leaves_hung_calls(void)
{
    struct sv_hv *hv = open_host(2, 60000);
    CHECK_INT(call(host_of(hv), hang, LV_CALL_HOST, 20), SV_E_HOST_TIMEOUT);
    gate_until(&gate.inside, 1);
    int64_t t0 = sv_mono_ms();
    sv_hv_close(hv);
    CHECK(sv_mono_ms() - t0 < 10000);
    gate_set(true);
    gate_until(&gate.passed, 1);
}

static void *wait_for_ever(void *arg)
{
    struct waiter *w = arg;
    struct sv_error err = {0};
    const struct sv_id vm = sv_id_new();
    gate_set(false);
    pthread_mutex_lock(&gate.mu);
    gate.inside++;
    pthread_cond_broadcast(&gate.moved);
    pthread_mutex_unlock(&gate.mu);
    w->rc = lv_wait_power(&w->h->base, &vm, SV_HV_RUNNING, NULL, &err);
    return NULL;
}

/* Who waits when the host is closed is sent away, not left with memory that is gone. */
static void close_sends_waiters_away(void)
{
    struct sv_hv *hv = open_host(2, 60000);
    struct lv_host *h = host_of(hv);
    struct waiter call_waits = {.h = h}, power_waits = {.h = h};
    pthread_t t[2];
    gate.inside = 0;
    LV_HOLD(h); /* the second one may come too late to hold it itself */
    CHECK_INT(pthread_create(&t[0], NULL, wait_long, &call_waits), 0);
    CHECK_INT(pthread_create(&t[1], NULL, wait_for_ever, &power_waits), 0);
    gate_until(&gate.inside, 2);
    sv_hv_close(hv);
    CHECK_INT(pthread_join(t[0], NULL), 0);
    CHECK_INT(pthread_join(t[1], NULL), 0);
    CHECK_INT(call_waits.rc, SV_E_HOST_DOWN);
    CHECK_INT(power_waits.rc, SV_E_HOST_DOWN);
    gate_set(true);
    gate_until(&gate.passed, 1);
    gate.inside = 0;
}

static void uris(void)
{
    struct sv_hv *hv = NULL;
    struct sv_error err = {0};
    const struct sv_hv_options bad_type = {.data_dir = dir, .domain_type = "xen"};
    const struct sv_hv_options opt = {.data_dir = dir};
    const struct sv_hv_events ev = {0};
    CHECK_INT(sv_hv_open("xen:///", &opt, &ev, &hv, &err), SV_E_CONFIG);
    CHECK_INT(sv_hv_open("", &opt, &ev, &hv, &err), SV_E_CONFIG);
    CHECK_INT(sv_hv_open("test:///default", &bad_type, &ev, &hv, &err), SV_E_CONFIG);
    CHECK(!hv);
    CHECK_INT(sv_hv_open("qemu+tcp://user@10.255.255.1:1/system", &opt, &ev, &hv, &err), SV_OK);
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    CHECK_INT(sv_hv_host_count(hv), 1);
    CHECK(!sv_hv_host_at(hv, 1));
    CHECK_STR(sv_hv_host_name(h), "10.255.255.1");
    CHECK_STR(sv_hv_driver_name(h), "libvirt");
    CHECK(!sv_hv_connected(h));
    CHECK_INT(sv_hv_ready(h, true, &err), SV_E_HOST_DOWN);
    CHECK_STR(err.arg[0], "10.255.255.1");
    CHECK_INT(sv_hv_ready(h, false, &err), SV_E_UNSUPPORTED);
    CHECK_INT(h->ops->template_put(h, &(struct sv_id){.s = ""}, "/x", NULL, NULL, NULL, NULL, NULL, NULL, &err),
              SV_E_UNSUPPORTED);
    sv_hv_close(hv);
    sv_hv_close(NULL);
}

/* --- domains of the test driver: the same rows, no QEMU --- */

static void domain_rows(void)
{
    struct sv_hv *hv = open_host(2, 0);
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    struct sv_error e, *err = &e;
    struct sv_hv_state s = {0};
    bool by_agent = true;
    struct sv_hv_domain d = {.id = sv_id_new(), .name = "t", .vcpus = 2, .memory = 64 * SV_MIB};
    CHECK_INT(SV_HV_CALL(h, state, &d.id, &s, NULL), SV_OK);
    CHECK_INT(s.power, SV_HV_ABSENT);
    CHECK_INT(SV_HV_CALL(h, start, &d.id, NULL), SV_E_DOMAIN_MISSING);
    CHECK_INT(SV_HV_CALL(h, destroy, &d.id, NULL), SV_OK);
    CHECK_INT(SV_HV_CALL(h, undefine, &d.id, NULL), SV_OK);
    for (int twice = 0; twice < 2; twice++)
        CHECK_INT(SV_HV_CALL(h, define, &d, NULL), SV_OK);
    CHECK_INT(SV_HV_CALL(h, suspend, &d.id, NULL), SV_E_VM_STATE);
    for (int twice = 0; twice < 2; twice++)
        CHECK_INT(SV_HV_CALL(h, start, &d.id, NULL), SV_OK);
    CHECK_INT(SV_HV_CALL(h, state, &d.id, &s, NULL), SV_OK);
    CHECK_INT(s.power, SV_HV_RUNNING);
    CHECK_INT(s.vcpus, 2);
    CHECK_INT(s.memory, 64 * SV_MIB);
    for (int twice = 0; twice < 2; twice++)
        CHECK_INT(SV_HV_CALL(h, suspend, &d.id, NULL), SV_OK);
    CHECK_INT(SV_HV_CALL(h, shutdown, &d.id, &by_agent, NULL), SV_E_VM_STATE);
    for (int twice = 0; twice < 2; twice++)
        CHECK_INT(SV_HV_CALL(h, resume, &d.id, NULL), SV_OK);
    CHECK_INT(SV_HV_CALL(h, undefine, &d.id, NULL), SV_E_VM_STATE);
    CHECK_INT(SV_HV_CALL(h, shutdown, &d.id, &by_agent, NULL), SV_OK);
    CHECK(!by_agent);
    CHECK_INT(SV_HV_CALL(h, wait_power, &d.id, SV_HV_OFF, NULL), SV_OK);
    CHECK_INT(SV_HV_CALL(h, destroy, &d.id, NULL), SV_OK);
    for (int twice = 0; twice < 2; twice++)
        CHECK_INT(SV_HV_CALL(h, undefine, &d.id, NULL), SV_OK);
    CHECK_INT(SV_HV_CALL(h, control, "hang=1"), SV_E_UNSUPPORTED);
    sv_hv_close(hv);
}

static void count_row(void *arg, const struct sv_id *vm, const char *name, const struct sv_hv_state *s)
{
    unsigned *n = arg;
    (void)s;
    n[sv_id_empty(vm)]++;
    CHECK(name && name[0]);
}

/* The driver comes with a domain called "test", which is not ours. */
static void foreign_domains_have_no_id(void)
{
    struct sv_hv *hv = open_host(2, 0);
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    struct sv_error e, *err = &e;
    unsigned n[2] = {0};
    struct sv_hv_domain d = {.id = sv_id_new(), .vcpus = 1, .memory = 64 * SV_MIB};
    CHECK_INT(SV_HV_CALL(h, define, &d, NULL), SV_OK);
    CHECK_INT(SV_HV_CALL(h, list, count_row, n, NULL), SV_OK);
    CHECK_INT(n[0], 1);
    CHECK_INT(n[1], 1);
    CHECK_INT(SV_HV_CALL(h, undefine, &d.id, NULL), SV_OK);
    sv_hv_close(hv);
}

static void waits_end(void)
{
    struct sv_hv *hv = open_host(2, 0);
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    struct sv_error e, *err = &e;
    const struct sv_id vm = sv_id_new();
    struct sv_deadline d = sv_deadline_within(NULL, 50);
    CHECK_INT(SV_HV_CALL(h, wait_power, &vm, SV_HV_RUNNING, &d), SV_E_JOB_DEADLINE);
    CHECK_INT(SV_HV_CALL(h, wait_reboot, &vm, &d), SV_E_JOB_DEADLINE);
    atomic_bool cancel = true;
    d = (struct sv_deadline){.cancel = &cancel};
    CHECK_INT(SV_HV_CALL(h, wait_power, &vm, SV_HV_RUNNING, &d), SV_E_JOB_CANCELLED);
    CHECK_INT(SV_HV_CALL(h, wait_reboot, &vm, &d), SV_E_JOB_CANCELLED);
    sv_hv_close(hv);
}

static enum sv_err call_of(struct lv_host *h, const struct sv_id *vm, lv_fn fn, bool makes, bool settles)
{
    const struct sv_deadline d = sv_deadline_within(NULL, 200);
    struct sv_error err = {0};
    LV_OP op = lv_op_new(vm);
    op->makes = makes;
    op->settles = settles;
    enum sv_err rc = lv_call(h, op, fn, LV_CALL_HOST, &d, &err);
    CHECK_INT(op->value, !rc);
    return rc;
}

static void what_was_given_up_is_waited_for_by_who_undoes_it(void)
{
    struct sv_hv *hv = open_host(4, 0);
    struct lv_host *h = host_of(hv);
    const struct sv_id vm = sv_id_new(), other = sv_id_new();
    struct sv_error err = {0};
    bool waited = true;
    CHECK_INT(call_of(h, &other, hang, false, false), SV_E_HOST_TIMEOUT);
    CHECK_INT(call_of(h, &other, answer, false, true), SV_OK); /* it makes nothing */
    CHECK_INT(call_of(h, &vm, hang, true, false), SV_E_HOST_TIMEOUT);
    CHECK_INT(call_of(h, &vm, answer, false, false), SV_OK);
    CHECK_INT(call_of(h, &other, answer, false, true), SV_OK);
    CHECK_INT(call_of(h, &vm, answer, false, true), SV_E_HOST_TIMEOUT);
    CHECK_INT(lv_settle(h, &other, &waited, NULL, &err), SV_OK);
    CHECK(!waited);
    gate_set(true);
    CHECK_INT(lv_settle(h, &vm, NULL, NULL, &err), SV_OK);
    CHECK(gate.passed >= 1);
    CHECK_INT(call_of(h, &vm, answer, false, true), SV_OK);
    gate_until(&gate.passed, 2);
    sv_hv_close(hv);
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {
        T(results_and_errors_come_back),
        T(what_was_given_up_is_waited_for_by_who_undoes_it),
        T(the_earlier_limit_counts),
        T(cancel_is_seen),
        T(stuck_host_fails_fast),
        T(guests_cannot_take_all),
        T(left_in_the_queue_never_runs),
        T(close_leaves_hung_calls),
        T(close_sends_waiters_away),
        T(uris),
        T(domain_rows),
        T(foreign_domains_have_no_id),
        T(waits_end),
    };
    CHECK(mkdtemp(dir) && chmod(dir, 0711) == 0);
    int rc = check_run(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    SV_AUTOFREE char *images = sv_asprintf("%s/images", dir);
    CHECK_INT(rmdir(images), 0);
    CHECK_INT(rmdir(dir), 0);
    return rc;
}
