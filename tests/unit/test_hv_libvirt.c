/* The libvirt driver against a real libvirt with QEMU, which the environment names:
 *
 *   STARVIRT_TEST_URI               e.g. qemu:///system of scripts/sandbox; without it all is skipped
 *   STARVIRT_TEST_LIBVIRTD_PIDFILE  the libvirtd behind it may be stopped, killed and started again
 *   STARVIRT_TEST_GUEST             image of scripts/guest-image: a guest that has an agent
 *
 * `meson test hv_libvirt` runs it in a sandbox of its own. */
#include "tests/unit/hv_libvirt.h"

/* --- tests --- */

static void tells_about_the_host(void)
{
    struct sv_hv_info i = {0};
    begin("qemu");
    OK(h, info, &i, NULL);
    CHECK(i.vcpus > 0 && i.memory > 0 && i.storage_size > i.storage_used && i.storage_used > 0);
    CHECK(i.virt_version[0] && i.os_version[0]);
    CHECK_STR(i.domain_type, "qemu");
    end();
}

static void power_is_idempotent(void)
{
    begin("qemu");
    struct sv_hv_domain d = guest();
    CHECK_INT(state_of(&d).power, SV_HV_ABSENT);
    for (int twice = 0; twice < 2; twice++)
        make(&d);
    CHECK_INT(state_of(&d).power, SV_HV_OFF);
    for (int twice = 0; twice < 2; twice++)
        OK(h, start, &d.id, NULL);
    struct sv_hv_state s = state_of(&d);
    CHECK_INT(s.power, SV_HV_RUNNING);
    CHECK_INT(s.vcpus, 1);
    CHECK_INT(s.memory, 128 * SV_MIB);
    CHECK(!s.agent);
    UNTIL(seen.power == SV_HV_RUNNING && sv_id_eq(&seen.vm, &d.id), 10);
    for (int twice = 0; twice < 2; twice++)
        OK(h, suspend, &d.id, NULL);
    CHECK_INT(state_of(&d).power, SV_HV_PAUSED);
    OK(h, wait_power, &d.id, SV_HV_PAUSED, NULL);
    for (int twice = 0; twice < 2; twice++)
        OK(h, resume, &d.id, NULL);
    OK(h, reset, &d.id, NULL);
    CHECK_INT(SV_HV_CALL(h, undefine, &d.id, NULL), SV_E_VM_STATE);
    for (int twice = 0; twice < 2; twice++)
        OK(h, destroy, &d.id, NULL);
    UNTIL(seen.power == SV_HV_OFF, 10);
    CHECK_INT(state_of(&d).power, SV_HV_OFF);
    for (int twice = 0; twice < 2; twice++)
        unmake(&d);
    CHECK_INT(state_of(&d).power, SV_HV_ABSENT);
    end();
}

struct poke {
    struct sv_id vm;
    enum sv_err rc;
};

static void *destroy_it(void *arg)
{
    struct poke *p = arg;
    struct sv_error mine = {0};
    p->rc = h->ops->destroy(h, &p->vm, NULL, &mine);
    return NULL;
}

/* A wait ends by the event of somebody else's doing. */
static void waits_for_events(void)
{
    begin("qemu");
    struct sv_hv_domain d = guest();
    struct poke p = {.vm = d.id};
    struct sv_deadline short_while = sv_deadline_within(NULL, 200);
    struct sv_deadline enough = sv_deadline_within(NULL, 60000);
    bool by_agent = true;
    pthread_t t;
    make(&d);
    OK(h, start, &d.id, NULL);
    CHECK_INT(SV_HV_CALL(h, wait_power, &d.id, SV_HV_OFF, &short_while), SV_E_JOB_DEADLINE);
    OK(h, reboot, &d.id, &by_agent, NULL);
    CHECK(!by_agent);
    short_while = sv_deadline_within(NULL, 200);
    CHECK_INT(SV_HV_CALL(h, wait_reboot, &d.id, &short_while), SV_E_JOB_DEADLINE); /* its firmware does not listen */
    OK(h, reboot, &d.id, &by_agent, NULL);
    OK(h, reset, &d.id, NULL);
    OK(h, wait_reboot, &d.id, &enough);
    CHECK_INT(pthread_create(&t, NULL, destroy_it, &p), 0);
    OK(h, wait_power, &d.id, SV_HV_OFF, &enough);
    CHECK_INT(pthread_join(t, NULL), 0);
    CHECK_INT(p.rc, SV_OK);
    unmake(&d);
    end();
}

static void grows_live(void)
{
    begin("qemu");
    struct sv_hv_domain d = guest();
    make(&d);
    CHECK_INT(SV_HV_CALL(h, set_vcpus, &d.id, 2, NULL), SV_E_UNSUPPORTED); /* it is off */
    OK(h, start, &d.id, NULL);
    for (int twice = 0; twice < 2; twice++)
        OK(h, set_vcpus, &d.id, 2, NULL);
    CHECK_INT(state_of(&d).vcpus, 2);
    CHECK_INT(SV_HV_CALL(h, set_vcpus, &d.id, 1, NULL), SV_E_UNSUPPORTED);
    CHECK_INT(SV_HV_CALL(h, set_vcpus, &d.id, 3, NULL), SV_E_UNSUPPORTED);
    for (int twice = 0; twice < 2; twice++)
        OK(h, set_memory, &d.id, 256 * SV_MIB, NULL);
    CHECK_INT(state_of(&d).memory, 256 * SV_MIB);
    CHECK_INT(SV_HV_CALL(h, set_memory, &d.id, 300 * SV_MIB, NULL), SV_E_UNSUPPORTED);
    CHECK_INT(SV_HV_CALL(h, set_memory, &d.id, 128 * SV_MIB, NULL), SV_E_UNSUPPORTED);
    CHECK_INT(SV_HV_CALL(h, set_memory, &d.id, 1024 * SV_MIB, NULL), SV_E_UNSUPPORTED);
    unmake(&d);
    end();
}

static void keeps_the_password(void)
{
    begin("qemu");
    struct sv_hv_domain d = guest();
    make(&d);
    SV_COPY(d.vnc_password, "");
    d.vcpus = 2;
    OK(h, define, &d, NULL);
    struct sv_buf xml = {0};
    const char *const argv[] = {"virsh", "-q", "-c", uri, "dumpxml", "--security-info", "--inactive", d.id.s, NULL};
    output_of(argv, &xml);
    CHECK(strstr(xml.p, "passwd='first123'"));
    CHECK(strstr(xml.p, "current='2'") || strstr(xml.p, ">2</vcpu>"));
    sv_buf_free(&xml);
    unmake(&d);
    end();
}

struct found {
    struct sv_id vm;
    unsigned ours, foreign;
    struct sv_hv_state state;
};

static void on_row(void *arg, const struct sv_id *vm, const char *name, const struct sv_hv_state *s)
{
    struct found *f = arg;
    if (sv_id_eq(vm, &f->vm)) {
        CHECK_STR(name, vm->s);
        f->state = *s;
        f->ours++;
    }
    f->foreign += sv_id_empty(vm);
}

/* A domain is ours by our mark; its looks are not enough. */
static void lists_by_mark(void)
{
    begin("qemu");
    struct sv_hv_domain d = guest();
    struct found f = {.vm = d.id};
    const struct sv_id other = sv_id_new();
    SV_AUTOFREE char *path = sv_asprintf("%s/foreign.xml", dir);
    FILE *xml = fopen(path, "w");
    fprintf(xml,
            "<domain type='qemu'><name>%s</name><uuid>%s</uuid><memory unit='MiB'>64</memory><os><type>hvm</type></os>"
            "</domain>",
            other.s, other.s);
    fclose(xml);
    const char *const define[] = {"virsh", "-q", "-c", uri, "define", path, NULL};
    const char *const undefine[] = {"virsh", "-q", "-c", uri, "undefine", other.s, NULL};
    output_of(define, NULL);
    make(&d);
    OK(h, start, &d.id, NULL);
    OK(h, list, on_row, &f, NULL);
    CHECK_INT(f.ours, 1);
    CHECK_INT(f.foreign, 1);
    CHECK_INT(f.state.power, SV_HV_RUNNING);
    CHECK_INT(f.state.vcpus, 1);
    CHECK_INT(f.state.memory, 128 * SV_MIB);
    output_of(undefine, NULL);
    unlink(path);
    unmake(&d);
    end();
}

static void count_volume(void *arg, const struct sv_id *volume, bool is_template, int64_t bytes)
{
    unsigned *n = arg;
    CHECK(!sv_id_empty(volume) && bytes > 0);
    n[is_template]++;
}

static void disks_stand_on_templates(void)
{
    begin("qemu");
    const struct sv_id tmpl = sv_id_new();
    int64_t size = 0, virtual_size = 0;
    unsigned n[2] = {0};
    SV_AUTOFREE char *raw = sv_asprintf("%s/source.raw", dir);
    FILE *f = fopen(raw, "w");
    CHECK_INT(fputs("data", f) >= 0 && ftruncate(fileno(f), SV_GIB) == 0, 1);
    fclose(f);
    OK(h, template_put, &tmpl, raw, "raw", &size, &virtual_size, NULL, NULL, NULL);
    CHECK_INT(virtual_size, SV_GIB);
    unlink(raw);
    size = virtual_size = 0;
    OK(h, template_put, &tmpl, raw, "raw", &size, &virtual_size, NULL, NULL, NULL); /* there already */
    CHECK(size > 0 && virtual_size == SV_GIB);
    struct sv_hv_domain d = guest();
    d.disks[0].template_id = tmpl;
    d.disks[0].size = SV_GIB / 2;
    CHECK_INT(SV_HV_CALL(h, volume_create, &d.disks[0], NULL), SV_E_PARAM_RANGE);
    d.disks[0].size = 2 * SV_GIB;
    make(&d);
    OK(h, start, &d.id, NULL); /* both files open */
    OK(h, list_volumes, count_volume, n, NULL);
    CHECK_INT(n[0], 1);
    CHECK_INT(n[1], 1);
    unmake(&d);
    for (int twice = 0; twice < 2; twice++)
        OK(h, template_delete, &tmpl, NULL);
    n[0] = n[1] = 0;
    OK(h, list_volumes, count_volume, n, NULL);
    CHECK_INT(n[0] + n[1], 0);
    end();
}

/* What libvirt says is not shown as it is (threat 24). */
static void errors_hide_the_host(void)
{
    begin("qemu");
    struct sv_hv_domain d = guest();
    OK(h, define, &d, NULL); /* without its disk */
    CHECK(SV_HV_CALL(h, start, &d.id, NULL) != SV_OK);
    CHECK(!strchr(err->arg[0], '/'));
    CHECK_INT(state_of(&d).power, SV_HV_OFF);
    OK(h, undefine, &d.id, NULL);
    end();
}

/* The other half of the proof: where code is executed, the program gets to its end. */
static void proof_runs_where_code_does(void)
{
    begin("qemu");
    struct lv_link link = LV_NO_LINK;
    virConnectPtr conn = lv_link_use(lv_host_of(h), &link);
    CHECK(conn);
    CHECK(lv_executes(lv_host_of(h), conn, "qemu"));
    CHECK(!lv_executes(lv_host_of(h), conn, "no-such-type"));
    lv_link_close(lv_host_of(h), &link);
    end();
}

/* A KVM that is there but executes nothing is not taken; one that executes is. */
static void auto_proves_kvm(void)
{
    struct sv_hv_info i = {0};
    struct sv_hv_domain d = guest();
    unsigned before = seen.powers;
    begin("auto");
    CHECK_INT(seen.powers, before); /* its guest is nobody's business */
    OK(h, info, &i, NULL);
    CHECK(strcmp(i.domain_type, "kvm") == 0 || strcmp(i.domain_type, "qemu") == 0);
    fprintf(stderr, "auto chose %s\n", i.domain_type);
    make(&d);
    OK(h, start, &d.id, NULL);
    unmake(&d);
    struct found f = {.vm = d.id};
    OK(h, list, on_row, &f, NULL);
    CHECK_INT(f.foreign, 0); /* nothing left of the proof */
    end();
}

/* --- a guest with an agent --- */

static void agent_guest(void)
{
    if (skip("agent_guest", "STARVIRT_TEST_GUEST"))
        return;
    const struct sv_id tmpl = sv_id_new();
    const struct sv_deadline long_time = sv_deadline_within(NULL, 240000);
    int64_t size = 0, virtual_size = 0;
    bool by_agent = false;
    begin("qemu");
    OK(h, template_put, &tmpl, getenv("STARVIRT_TEST_GUEST"), NULL, &size, &virtual_size, NULL, NULL, NULL);
    struct sv_hv_domain d = guest();
    d.disks[0].template_id = tmpl;
    d.disks[0].size = virtual_size;
    make(&d);
    unsigned agents = seen.agents;
    OK(h, start, &d.id, NULL);
    UNTIL(seen.agents > agents && seen.agent, 120);
    CHECK(state_of(&d).agent);
    OK(h, set_vcpus, &d.id, 2, NULL);
    OK(h, set_memory, &d.id, 256 * SV_MIB, NULL);
    OK(h, reboot, &d.id, &by_agent, NULL);
    CHECK(by_agent);
    OK(h, wait_reboot, &d.id, &long_time);
    UNTIL(!seen.agent, 60);
    UNTIL(seen.agent, 120);
    by_agent = false;
    OK(h, shutdown, &d.id, &by_agent, NULL);
    CHECK(by_agent);
    OK(h, wait_power, &d.id, SV_HV_OFF, &long_time);
    CHECK(!state_of(&d).agent);
    /* Asked while its firmware runs, which does not hear the button: it is pressed again. */
    OK(h, start, &d.id, NULL);
    by_agent = true;
    OK(h, shutdown, &d.id, &by_agent, NULL);
    CHECK(!by_agent);
    OK(h, wait_power, &d.id, SV_HV_OFF, &long_time);
    unmake(&d);
    OK(h, template_delete, &tmpl, NULL);
    end();
}

/* --- threat 31: libvirtd hangs, dies, comes back --- */

enum { LOSS_S = 25, BACK_S = 5 };

static unsigned calls_lost(void)
{
    struct lv_pool *p = &lv_host_of(h)->pool;
    pthread_mutex_lock(&p->mu);
    unsigned n = p->lost[LV_CALL_HOST] + p->lost[LV_CALL_GUEST];
    pthread_mutex_unlock(&p->mu);
    return n;
}

static void hung_libvirtd(void)
{
    if (skip("hung_libvirtd", "STARVIRT_TEST_LIBVIRTD_PIDFILE"))
        return;
    begin("qemu");
    struct sv_hv_domain d = guest();
    struct sv_hv_state s = {0};
    make(&d);
    OK(h, start, &d.id, NULL);
    unsigned downs = seen.downs;
    CHECK_INT(kill(daemon_pid(), SIGSTOP), 0);
    int64_t t0 = sv_mono_ms();
    const struct sv_deadline limit = sv_deadline_within(NULL, SHORT_LIMIT_MS);
    enum sv_err rc = SV_HV_CALL(h, state, &d.id, &s, &limit);
    int64_t took = sv_mono_ms() - t0;
    if (rc != SV_E_HOST_TIMEOUT || took > SHORT_LIMIT_MS + 1000)
        kill(daemon_pid(), SIGCONT);
    CHECK_INT(rc, SV_E_HOST_TIMEOUT);
    CHECK(took <= SHORT_LIMIT_MS + 1000);
    UNTIL(!seen.connected && seen.downs > downs, LOSS_S);
    CHECK_INT(SV_HV_CALL(h, state, &d.id, &s, NULL), SV_E_HOST_DOWN);
    UNTIL(calls_lost() == 0, LOSS_S); /* what hung was broken off: its thread is free */
    CHECK_INT(kill(daemon_pid(), SIGCONT), 0);
    UNTIL(seen.connected, BACK_S);
    CHECK_INT(state_of(&d).power, SV_HV_RUNNING);
    unmake(&d);
    end();
}

/* The machine's own tests must not wait for a hung host to stop the server. */
static void close_while_hung(void)
{
    if (skip("close_while_hung", "STARVIRT_TEST_LIBVIRTD_PIDFILE"))
        return;
    begin("qemu");
    struct sv_hv_state s = {0};
    const struct sv_id vm = sv_id_new();
    const struct sv_deadline limit = sv_deadline_within(NULL, 200);
    CHECK_INT(kill(daemon_pid(), SIGSTOP), 0);
    enum sv_err rc = SV_HV_CALL(h, state, &vm, &s, &limit);
    int64_t t0 = sv_mono_ms();
    end();
    int64_t took = sv_mono_ms() - t0;
    CHECK_INT(kill(daemon_pid(), SIGCONT), 0);
    CHECK_INT(rc, SV_E_HOST_TIMEOUT);
    CHECK(took < 4000);
}

static void restarted_libvirtd(void)
{
    if (skip("restarted_libvirtd", "STARVIRT_TEST_LIBVIRTD_PIDFILE"))
        return;
    begin("qemu");
    struct sv_hv_domain d = guest();
    const struct sv_deadline enough = sv_deadline_within(NULL, 120000);
    struct poke p = {.vm = d.id};
    pthread_t t;
    make(&d);
    OK(h, start, &d.id, NULL);
    unsigned downs = seen.downs;
    CHECK_INT(kill(daemon_pid(), SIGKILL), 0);
    UNTIL(seen.downs > downs, 30);
    const char *const start[] = {"libvirtd", "-d", NULL};
    output_of(start, NULL);
    UNTIL(seen.connected, 90);
    CHECK_INT(state_of(&d).power, SV_HV_RUNNING);
    /* Events of the new connection arrive too. */
    CHECK_INT(pthread_create(&t, NULL, destroy_it, &p), 0);
    OK(h, wait_power, &d.id, SV_HV_OFF, &enough);
    CHECK_INT(pthread_join(t, NULL), 0);
    unmake(&d);
    end();
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {
        T(tells_about_the_host),
        T(power_is_idempotent),
        T(waits_for_events),
        T(grows_live),
        T(keeps_the_password),
        T(lists_by_mark),
        T(disks_stand_on_templates),
        T(errors_hide_the_host),
        T(proof_runs_where_code_does),
        T(auto_proves_kvm),
        T(agent_guest),
        T(hung_libvirtd),
        T(close_while_hung),
        T(restarted_libvirtd),
    };
    return run_tests(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
