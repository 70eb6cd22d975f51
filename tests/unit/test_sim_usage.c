/* What simulated guests use: rates that were set, counted by the clock. */
#include "hv/sim/internal.h"

#include "tests/unit/sim.h"

struct seen {
    struct sv_hv_usage u;
    unsigned n;
};

static void take(void *arg, const struct sv_hv_usage *u)
{
    struct seen *s = arg;

    s->u = *u;
    s->n++;
}

/* With the bounds of the clock around the question. */
static struct seen ask(struct sv_hv_host *h, int64_t *before_us, int64_t *after_us)
{
    struct sv_hv_host_usage host;
    struct seen s = {.n = 0};

    *before_us = sv_mono_us();
    OK(SV_HV_CALL(h, usage, &host, take, &s, NULL));
    *after_us = sv_mono_us();
    return s;
}

static void load(struct sv_hv_host *h, unsigned n, const char *what)
{
    SV_AUTOFREE char *line = sv_asprintf("load=%s:%s", vm_id(n).s, what);
    OK(SV_HV_CALL(h, control, line));
}

static struct sv_hv *one_running(struct sv_hv_host **ret)
{
    struct sv_hv *hv = sim_open_plain("sim://?cpus=8&mem=64G");
    const struct sv_id id = vm_id(1);

    *ret = sv_hv_host_at(hv, 0);
    make_vm(*ret, 1);
    OK(SV_HV_CALL(*ret, start, &id, NULL));
    return hv;
}

/* No more than the rate allows for the time between, and no less. */
static void check_rate(int64_t grown, int64_t rate, int64_t least_us, int64_t most_us)
{
    CHECK(grown >= rate * least_us / 1000000 - 1);
    CHECK(grown <= rate * most_us / 1000000 + 1);
}

static void rates_are_what_was_set(void)
{
    struct sv_hv_host *h;
    struct sv_hv *hv = one_running(&h);
    int64_t a0, a1, b0, b1;

    load(h, 1, "cpu=50,mem=30,disk=10,read=1M,write=2M,rx=3M,tx=4M");
    const struct seen a = ask(h, &a0, &a1);
    while (sv_mono_us() < a1 + 20000) /* the clock is what counts */
        ;
    const struct seen b = ask(h, &b0, &b1);
    CHECK_INT(a.n, 1);
    CHECK(a.u.disk_count > 0 && strcmp(a.u.disks[0].target, "vda") == 0);
    CHECK_INT(a.u.disks[0].held, a.u.disks[0].size / 10);
    CHECK_INT(a.u.memory_used, a.u.memory * 30 / 100);
    check_rate(b.u.cpu_ns - a.u.cpu_ns, 500000000 * a.u.vcpus, b0 - a1, b1 - a0);
    check_rate(b.u.disks[0].read - a.u.disks[0].read, 1 << 20, b0 - a1, b1 - a0);
    check_rate(b.u.disks[0].written - a.u.disks[0].written, 2 << 20, b0 - a1, b1 - a0);
    check_rate(b.u.nics[0].received - a.u.nics[0].received, 3 << 20, b0 - a1, b1 - a0);
    check_rate(b.u.nics[0].sent - a.u.nics[0].sent, 4 << 20, b0 - a1, b1 - a0);
    sv_hv_close(hv);
}

static void counters_stand_while_it_is_paused(void)
{
    struct sv_hv_host *h;
    struct sv_hv *hv = one_running(&h);
    const struct sv_id id = vm_id(1);
    int64_t t;

    load(h, 1, "cpu=100");
    OK(SV_HV_CALL(h, suspend, &id, NULL));
    const struct seen a = ask(h, &t, &t);
    const struct seen b = ask(h, &t, &t);
    CHECK_INT(a.u.cpu_ns, b.u.cpu_ns);
    OK(SV_HV_CALL(h, resume, &id, NULL));
    CHECK(ask(h, &t, &t).u.cpu_ns >= b.u.cpu_ns);
    sv_hv_close(hv);
}

static void counters_begin_with_the_guest(void)
{
    struct sv_hv_host *h;
    struct sv_hv *hv = one_running(&h);
    const struct sv_id id = vm_id(1);
    int64_t t, began;

    load(h, 1, "cpu=100,write=1G");
    CHECK_INT(ask(h, &t, &t).n, 1);
    OK(SV_HV_CALL(h, destroy, &id, NULL));
    CHECK_INT(ask(h, &t, &t).n, 0);
    began = sv_mono_us();
    OK(SV_HV_CALL(h, start, &id, NULL));
    const struct seen s = ask(h, &t, &t);
    check_rate(s.u.cpu_ns, 50000000 * s.u.vcpus, 0, t - began); /* as idle guests do */
    sv_hv_close(hv);
}

static void what_cannot_be_set(void)
{
    static const char *const wrong[] = {"cpu=101", "cpu", "disc=1", "read=-1", "read=2T", "cpu=x"};
    struct sv_hv_host *h;
    struct sv_hv *hv = one_running(&h);
    const struct sv_id id = vm_id(1);

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        SV_AUTOFREE char *line = sv_asprintf("load=%s:%s", id.s, wrong[i]);
        FAILS(SV_HV_CALL(h, control, line), SV_E_CONFIG);
    }
    OK(SV_HV_CALL(h, destroy, &id, NULL));
    SV_AUTOFREE char *line = sv_asprintf("load=%s:cpu=1", id.s);
    FAILS(SV_HV_CALL(h, control, line), SV_E_CONFIG);
    sv_hv_close(hv);
}

CHECK_MAIN(T(rates_are_what_was_set), T(counters_stand_while_it_is_paused), T(counters_begin_with_the_guest),
           T(what_cannot_be_set))
