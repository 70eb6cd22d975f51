/* What the simulator's tests share: a directory, a URI opened over it, a VM, and a recorder of events. */
#ifndef STARVIRT_TESTS_SIM_H
#define STARVIRT_TESTS_SIM_H

#include "starvirt/hv.h"
#include "starvirt/log.h"
#include "starvirt/mem.h"

#include "tests/unit/check.h"

#include <ftw.h>
#include <pthread.h>
#include <unistd.h>

enum { SIM_WAIT_S = 20 }; /* [s] nothing in these tests takes that long; past it they fail */

struct sim_seen {
    pthread_mutex_t lock;
    pthread_cond_t more;
    char lines[4096][64];
    unsigned n, read;
};
static struct sim_seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static inline void seen_forget(void)
{
    pthread_mutex_lock(&seen.lock);
    seen.n = seen.read = 0;
    pthread_mutex_unlock(&seen.lock);
}

static inline void seen_add(const char *fmt, const char *host, const char *what, int now)
{
    pthread_mutex_lock(&seen.lock);
    CHECK(seen.n < sizeof(seen.lines) / sizeof(seen.lines[0]));
    snprintf(seen.lines[seen.n], sizeof(seen.lines[0]), "%s %s %s %d", host, fmt, what, now);
    seen.n++;
    pthread_cond_broadcast(&seen.more);
    pthread_mutex_unlock(&seen.lock);
}

static inline void on_host(void *arg, struct sv_hv_host *h, bool connected, const char *why)
{
    (void)arg;
    CHECK(why && *why);
    seen_add("host", sv_hv_host_name(h), "-", connected);
}

/* A VM shows as the last two characters of its id. */
static inline void on_power(void *arg, struct sv_hv_host *h, const struct sv_id *vm, enum sv_hv_power now)
{
    (void)arg;
    seen_add("power", sv_hv_host_name(h), vm->s + SV_ID_LEN - 2, now);
}

static inline void on_agent(void *arg, struct sv_hv_host *h, const struct sv_id *vm, bool up)
{
    (void)arg;
    seen_add("agent", sv_hv_host_name(h), vm->s + SV_ID_LEN - 2, up);
}

/* The next event, whatever it is, must be `line`. */
static inline void expect_event(const char *line)
{
    struct timespec until;
    char got[64];

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += SIM_WAIT_S;
    pthread_mutex_lock(&seen.lock);
    while (seen.read == seen.n)
        if (pthread_cond_timedwait(&seen.more, &seen.lock, &until) != 0)
            check_failed(__FILE__, __LINE__, "no event, expected \"%s\"", line);
    memcpy(got, seen.lines[seen.read++], sizeof(got));
    pthread_mutex_unlock(&seen.lock);
    CHECK_STR(got, line);
}

static inline void expect_no_event(void)
{
    pthread_mutex_lock(&seen.lock);
    CHECK_INT(seen.n - seen.read, 0);
    pthread_mutex_unlock(&seen.lock);
}

#define SIM_DIR "/tmp/starvirt-sim-XXXXXX"

static inline int sim_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void sim_dir_remove(const char *dir)
{
    CHECK_INT(nftw(dir, sim_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static inline struct sv_hv *sim_open_for(const char *uri, const char *dir, int64_t call_limit_ms,
                                         const struct sv_hv_events *ev)
{
    const struct sv_hv_options opt = {.data_dir = dir, .call_limit_ms = call_limit_ms};
    struct sv_hv *hv = NULL;
    struct sv_error err = {0};
    char text[256];

    if (sv_hv_open(uri, &opt, ev, &hv, &err) != SV_OK) {
        sv_err_text(&err, SV_LANG_EN, text, sizeof(text));
        check_failed(__FILE__, __LINE__, "%s: %s", uri, text);
    }
    return hv;
}

static inline struct sv_hv *sim_open_with(const char *uri, const char *dir, int64_t call_limit_ms)
{
    const struct sv_hv_events ev = {.host = on_host, .power = on_power, .agent = on_agent};

    seen_forget();
    return sim_open_for(uri, dir, call_limit_ms, &ev);
}

/* Nobody listens: for tests that make more events than the recorder holds. */
static inline struct sv_hv *sim_open_deaf(const char *uri, const char *dir)
{
    const struct sv_hv_events none = {0};
    return sim_open_for(uri, dir, 0, &none);
}

/* In memory, its connection event taken. */
static inline struct sv_hv *sim_open_plain(const char *uri)
{
    struct sv_hv *hv = sim_open_with(uri, NULL, 0);
    expect_event("host1 host - 1");
    return hv;
}

static inline struct sv_id vm_id(unsigned n)
{
    struct sv_id id;
    snprintf(id.s, sizeof(id.s), "01890a5d-ac96-774b-bcce-%012x", n);
    return id;
}

static inline struct sv_id disk_id(unsigned n)
{
    struct sv_id id;
    snprintf(id.s, sizeof(id.s), "01890a5d-ac96-774b-8000-%012x", n);
    return id;
}

static inline struct sv_hv_domain vm_def(unsigned n)
{
    struct sv_hv_domain dom = {.id = vm_id(n),
                               .name = "web",
                               .vcpus = 2,
                               .vcpus_max = 4,
                               .memory = SV_GIB,
                               .memory_max = 4 * SV_GIB,
                               .disk_count = 1,
                               .nic_count = 1};
    dom.disks[0] = (struct sv_hv_disk){.id = disk_id(n), .target = "vda", .size = SV_GIB};
    dom.nics[0] = (struct sv_hv_nic){.id = disk_id(n + 0x100000), .tap = "tap0", .mac = {0x52, 0x54}};
    return dom;
}

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        struct sv_error err_ = {0}, *err = &err_;                                                                      \
        if ((call) != SV_OK)                                                                                           \
            check_failed(__FILE__, __LINE__, "%s: %s %s", #call, sv_err_symbol(err->code), err->arg[0]);               \
    } while (0)
#define FAILS(call, want)                                                                                              \
    do {                                                                                                               \
        struct sv_error err_ = {0}, *err = &err_;                                                                      \
        const enum sv_err got_ = (call);                                                                               \
        if (got_ != (want))                                                                                            \
            check_failed(__FILE__, __LINE__, "%s: %s, expected %s", #call, got_ ? sv_err_symbol(got_) : "OK",          \
                         sv_err_symbol(want));                                                                         \
        CHECK_INT(err->code, want);                                                                                    \
    } while (0)

/* Volume and definition of VM n, off. */
static inline void make_vm(struct sv_hv_host *h, unsigned n)
{
    const struct sv_hv_domain dom = vm_def(n);
    OK(SV_HV_CALL(h, volume_create, &dom.disks[0], NULL));
    OK(SV_HV_CALL(h, define, &dom, NULL));
}

static inline struct sv_hv_state state_of(struct sv_hv_host *h, unsigned n)
{
    const struct sv_id id = vm_id(n);
    struct sv_hv_state s = {0};
    OK(SV_HV_CALL(h, state, &id, &s, NULL));
    return s;
}

#endif
