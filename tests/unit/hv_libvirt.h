/* What the tests of the libvirt driver share: what the environment says of it, what events told, a host
 * opened over it, and guests. */
#ifndef STARVIRT_TESTS_HV_LIBVIRT_H
#define STARVIRT_TESTS_HV_LIBVIRT_H

#include "hv/libvirt/internal.h"
#include "starvirt/hv.h"
#include "starvirt/mem.h"
#include "starvirt/proc.h"

#include "tests/unit/check.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SKIPPED = 77, SHORT_LIMIT_MS = 2000 };

static const char *uri;
static char dir[] = "/var/tmp/starvirt-hv-XXXXXX";
static struct sv_error e, *const err = &e;

/* --- what events told --- */

static struct {
    pthread_mutex_t mu;
    pthread_cond_t changed;
    bool connected;
    unsigned downs;
    struct sv_id vm;
    enum sv_hv_power power;
    unsigned powers, agents;
    bool agent;
} seen = {.mu = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static inline void on_host(void *arg, struct sv_hv_host *h, bool connected, const char *why)
{
    (void)arg;
    (void)h;
    (void)why;
    pthread_mutex_lock(&seen.mu);
    seen.connected = connected;
    seen.downs += !connected;
    pthread_cond_broadcast(&seen.changed);
    pthread_mutex_unlock(&seen.mu);
}

static inline void on_power(void *arg, struct sv_hv_host *h, const struct sv_id *vm, enum sv_hv_power now)
{
    (void)arg;
    (void)h;
    pthread_mutex_lock(&seen.mu);
    seen.vm = *vm;
    seen.power = now;
    seen.powers++;
    pthread_cond_broadcast(&seen.changed);
    pthread_mutex_unlock(&seen.mu);
}

static inline void on_agent(void *arg, struct sv_hv_host *h, const struct sv_id *vm, bool up)
{
    (void)arg;
    (void)h;
    (void)vm;
    pthread_mutex_lock(&seen.mu);
    seen.agent = up;
    seen.agents++;
    pthread_cond_broadcast(&seen.changed);
    pthread_mutex_unlock(&seen.mu);
}

/* Waits for what events tell, at most `seconds`. */
#define UNTIL(cond, seconds)                                                                                           \
    do {                                                                                                               \
        struct timespec at;                                                                                            \
        clock_gettime(CLOCK_REALTIME, &at);                                                                            \
        at.tv_sec += (seconds);                                                                                        \
        pthread_mutex_lock(&seen.mu);                                                                                  \
        while (!(cond))                                                                                                \
            if (pthread_cond_timedwait(&seen.changed, &seen.mu, &at) == ETIMEDOUT)                                     \
                check_failed(__FILE__, __LINE__, "no event within %d s: %s", (seconds), #cond);                        \
        pthread_mutex_unlock(&seen.mu);                                                                                \
    } while (0)

/* --- fixtures --- */

static struct sv_hv *hv;
static struct sv_hv_host *h;

static inline void begin(const char *type)
{
    const struct sv_hv_options opt = {.data_dir = dir, .domain_type = type, .call_limit_ms = 30000};
    const struct sv_hv_events ev = {.host = on_host, .power = on_power, .agent = on_agent};
    seen.connected = false;
    CHECK_INT(sv_hv_open(uri, &opt, &ev, &hv, err), SV_OK);
    h = sv_hv_host_at(hv, 0);
    UNTIL(seen.connected, 60);
}

static inline void end(void)
{
    sv_hv_close(hv);
    hv = NULL;
}

static inline void ok(enum sv_err rc, const char *file, int line)
{
    char text[256] = "";
    if (rc)
        sv_err_text(err, SV_LANG_EN, text, sizeof(text));
    if (rc)
        check_failed(file, line, "%s: %s", sv_err_symbol(rc), text);
}
#define OK(...) ok(SV_HV_CALL(__VA_ARGS__), __FILE__, __LINE__)

static inline struct sv_hv_domain guest(void)
{
    struct sv_hv_domain d = {
        .id = sv_id_new(),
        .name = "a <b> & 'c'",
        .vcpus = 1,
        .vcpus_max = 2,
        .memory = 128 * SV_MIB,
        .memory_max = 512 * SV_MIB,
        .vnc_password = "first123",
        .disk_count = 1,
        .nic_count = 1,
        .disks = {{.id = sv_id_new(), .target = "vda", .size = SV_GIB}},
        .nics = {{.id = sv_id_new(), .kind = SV_HV_NIC_ISOLATED, .tap = "svtest0", .mac = {2, 0, 0, 0, 0, 1}}},
    };
    return d;
}

static inline void make(const struct sv_hv_domain *d)
{
    OK(h, volume_create, &d->disks[0], NULL);
    OK(h, define, d, NULL);
}

static inline void unmake(const struct sv_hv_domain *d)
{
    OK(h, destroy, &d->id, NULL);
    OK(h, undefine, &d->id, NULL);
    OK(h, volume_delete, &d->disks[0].id, NULL);
}

static inline struct sv_hv_state state_of(const struct sv_hv_domain *d)
{
    struct sv_hv_state s = {0};
    OK(h, state, &d->id, &s, NULL);
    return s;
}

static inline void output_of(const char *const *argv, struct sv_buf *out)
{
    int status = -1;
    struct sv_proc p = {.argv = argv, .out = out};
    CHECK_INT(sv_proc_run(&p, &status, err), SV_OK);
    CHECK_INT(status, 0);
}

/* --- libvirtd --- */

static inline pid_t daemon_pid(void)
{
    int64_t pid = 0;
    char text[32] = "";
    FILE *f = fopen(getenv("STARVIRT_TEST_LIBVIRTD_PIDFILE"), "r");
    CHECK(f && fgets(text, sizeof(text), f));
    text[strcspn(text, "\n")] = '\0';
    fclose(f);
    CHECK(sv_parse_int(text, &pid) && pid > 1);
    return (pid_t)pid;
}

/* --- the whole --- */

static inline bool skip(const char *what, const char *variable)
{
    if (getenv(variable))
        return false;
    fprintf(stderr, "SKIPPED: %s (%s is not set)\n", what, variable);
    return true;
}

static inline int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    (void)st;
    (void)kind;
    (void)f;
    return remove(path);
}

/* Runs the tests in a directory that QEMU may pass. */
static inline int run_tests(const struct check_test *tests, size_t n, int argc, char **argv)
{
    uri = getenv("STARVIRT_TEST_URI");
    if (!uri) {
        fprintf(stderr, "SKIPPED: %s (no libvirt: STARVIRT_TEST_URI is not set)\n", argv[0]);
        return SKIPPED;
    }
    CHECK(mkdtemp(dir) && chmod(dir, 0711) == 0);
    int rc = check_run(tests, n, argc, argv);
    CHECK_INT(nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
    return rc;
}

#endif
