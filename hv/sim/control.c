/* The admin's switches, and the directory through which tests outside the process reach them. */
#include "hv/sim/internal.h"
#include "starvirt/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static enum sv_err bad(struct sv_error *err, const char *text)
{
    return sv_fail(err, SV_E_CONFIG, SV_F_NONE, text);
}

/* --- commands; each runs under the host's lock --- */

static enum sv_err parse_switch(const char *v, bool *ret, struct sv_error *err)
{
    if (strcmp(v, "0") != 0 && strcmp(v, "1") != 0)
        return bad(err, "simulator: the switch takes 0 or 1");
    *ret = v[0] == '1';
    return SV_OK;
}

static enum sv_err find_vm(struct sim_host *h, const char *text, struct sim_domain **ret, struct sv_error *err)
{
    struct sv_id id;
    struct sim_key k = {0};

    SV_COPY(id.s, text);
    const enum sv_err rc = sim_key_of(&id, &k, err);
    if (rc)
        return rc;
    struct sim_domain *d = sim_table_get(&h->domains, &k);
    if (!d)
        return sv_fail(err, SV_E_DOMAIN_MISSING, SV_F_NONE);
    *ret = d;
    return SV_OK;
}

static enum sv_err do_fail(struct sim_host *h, const char *v, struct sv_error *err)
{
    return sim_parse_fail(v, h->fail, err);
}

static enum sv_err do_lose(struct sim_host *h, const char *v, struct sv_error *err)
{
    static const char *const known[] = {"disk_attach:", "nic_attach:", "set_vnc_password:"};
    bool is = false;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        is = is || strncmp(v, known[i], strlen(known[i])) == 0;
    if (!is)
        return bad(err, "simulator: lose= knows disk_attach, nic_attach and set_vnc_password");
    return sim_parse_fail(v, h->lose, err);
}

static enum sv_err do_delay(struct sim_host *h, const char *v, struct sv_error *err)
{
    return sim_parse_time(v, &h->delay_us) ? SV_OK : bad(err, "simulator: delay= takes a time such as 20ms");
}

static enum sv_err do_hang(struct sim_host *h, const char *v, struct sv_error *err)
{
    bool on = false;
    const enum sv_err rc = parse_switch(v, &on, err);

    if (!rc)
        sim_hang(h, on);
    return rc;
}

static enum sv_err do_down(struct sim_host *h, const char *v, struct sv_error *err)
{
    const enum sv_err rc = parse_switch(v, &h->cut, err);

    if (!rc)
        sim_link(h, h->cut ? "the connection was lost" : "the connection is back");
    return rc;
}

static enum sv_err end_guest(struct sim_host *h, const char *v, enum sv_hv_power how, struct sv_error *err)
{
    struct sim_domain *d = NULL;
    const enum sv_err rc = find_vm(h, v, &d, err);

    if (rc)
        return rc;
    return sim_guest_runs(d) ? sim_guest_off(h, d, how, err) : SV_OK;
}

static enum sv_err do_crash(struct sim_host *h, const char *v, struct sv_error *err)
{
    return end_guest(h, v, SV_HV_CRASHED, err);
}

static enum sv_err do_stop(struct sim_host *h, const char *v, struct sv_error *err)
{
    return end_guest(h, v, SV_HV_OFF, err);
}

static enum sv_err do_agent(struct sim_host *h, const char *v, struct sv_error *err)
{
    struct sim_domain *d = NULL;
    char id[SV_ID_LEN + 1];
    bool on = false;

    if (strlen(v) != SV_ID_LEN + 2 || v[SV_ID_LEN] != ':')
        return bad(err, "simulator: agent= takes VM:0 or VM:1");
    enum sv_err rc = parse_switch(v + SV_ID_LEN + 1, &on, err);
    if (rc)
        return rc;
    memcpy(id, v, SV_ID_LEN);
    id[SV_ID_LEN] = '\0';
    rc = find_vm(h, id, &d, err);
    return rc ? rc : sim_guest_agent(h, d, on, err);
}

/* "VM:TIME": so far its clock is behind from now on. */
static enum sv_err do_clock(struct sim_host *h, const char *v, struct sv_error *err)
{
    struct sim_domain *d = NULL;
    char id[SV_ID_LEN + 1];
    int64_t us = 0;

    if (strlen(v) <= SV_ID_LEN || v[SV_ID_LEN] != ':' || !sim_parse_time(v + SV_ID_LEN + 1, &us))
        return bad(err, "simulator: clock= takes VM:TIME, such as 90s");
    memcpy(id, v, SV_ID_LEN);
    id[SV_ID_LEN] = '\0';
    const enum sv_err rc = find_vm(h, id, &d, err);
    if (!rc && d)
        d->behind = us / 1000;
    return rc;
}

/* "VM:ADDRESS", several by comma: what the guest says from now on. */
static enum sv_err do_address(struct sim_host *h, const char *v, struct sv_error *err)
{
    struct sim_domain *d = NULL;
    char id[SV_ID_LEN + 1];

    if (strlen(v) <= SV_ID_LEN || v[SV_ID_LEN] != ':')
        return bad(err, "simulator: address= takes VM:ADDRESS,ADDRESS");
    memcpy(id, v, SV_ID_LEN);
    id[SV_ID_LEN] = '\0';
    const enum sv_err rc = find_vm(h, id, &d, err);
    if (rc)
        return rc;
    SV_AUTOFREE char *list = sv_strdup(v + SV_ID_LEN + 1);
    for (char *p = list; *p; p++)
        *p = *p == ',' ? '\n' : *p;
    sim_guest_address(h, d, list);
    return SV_OK;
}

static enum sv_err do_write(struct sim_host *h, const char *v, struct sv_error *err)
{
    struct sim_key k = {0};
    struct sv_id id = {0};

    if (strlen(v) <= SV_ID_LEN || v[SV_ID_LEN] != ':')
        return bad(err, "simulator: write= takes DISK:TEXT or VM:TEXT");
    memcpy(id.s, v, SV_ID_LEN);
    const enum sv_err rc = sim_key_of(&id, &k, err);
    if (rc)
        return rc;
    struct sim_domain *d = sim_table_get(&h->domains, &k);
    return d ? sim_guest_write(h, d, v + SV_ID_LEN + 1, err) : sim_volume_write(h, &k, v + SV_ID_LEN + 1, err);
}

/* "VM:cpu=50,mem=30": what it uses from now on. */
static enum sv_err do_load(struct sim_host *h, const char *v, struct sv_error *err)
{
    struct sim_domain *d = NULL;
    char id[SV_ID_LEN + 1];

    if (strlen(v) <= SV_ID_LEN || v[SV_ID_LEN] != ':')
        return bad(err, "simulator: load= takes VM:cpu=50,mem=30,disk=40,read=1M,write=2M,rx=100K,tx=50K");
    memcpy(id, v, SV_ID_LEN);
    id[SV_ID_LEN] = '\0';
    const enum sv_err rc = find_vm(h, id, &d, err);
    return rc ? rc : sim_load_set(d, v + SV_ID_LEN + 1, err);
}

static const struct {
    const char *key;
    enum sv_err (*run)(struct sim_host *h, const char *value, struct sv_error *err);
} commands[] = {
    {.key = "fail=", .run = do_fail},   {.key = "lose=", .run = do_lose},       {.key = "delay=", .run = do_delay},
    {.key = "hang=", .run = do_hang},   {.key = "down=", .run = do_down},       {.key = "crash=", .run = do_crash},
    {.key = "stop=", .run = do_stop},   {.key = "clock=", .run = do_clock},     {.key = "agent=", .run = do_agent},
    {.key = "write=", .run = do_write}, {.key = "address=", .run = do_address}, {.key = "load=", .run = do_load},
};

enum sv_err sim_control(struct sv_hv_host *hh, const char *command, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        const size_t n = strlen(commands[i].key);
        if (strncmp(command, commands[i].key, n) != 0)
            continue;
        pthread_mutex_lock(&h->lock);
        const enum sv_err rc = commands[i].run(h, command + n, err);
        pthread_mutex_unlock(&h->lock);
        return rc;
    }
    return bad(
        err,
        "simulator: known commands: fail= lose= delay= hang= down= crash= stop= agent= write= address= clock= load=");
}

/* --- files of DIR/sim/control --- */

struct sim_watch {
    struct sim *sim;
    pthread_t thread;
    int dir, inotify, stop;
    bool started;
};

static struct sim_host *host_named(struct sim *s, const char *name)
{
    for (unsigned i = 0; i < s->base.host_count; i++)
        if (strcmp(s->base.hosts[i]->name, name) == 0)
            return sim_host_of(s->base.hosts[i]);
    return NULL;
}

static void run_line(struct sim *s, char *line)
{
    struct sv_error err = {0};
    char *command = strchr(line, ':');
    char text[256];

    line[strcspn(line, "\r\n")] = '\0';
    if (command)
        *command++ = '\0';
    struct sim_host *h = command ? host_named(s, line) : NULL;
    const enum sv_err rc = h ? sim_control(&h->base, command, &err) : bad(&err, "simulator: HOST:COMMAND expected");
    if (!rc)
        return;
    sv_err_text(&err, SV_LANG_EN, text, sizeof(text));
    sv_log(SV_LOG_WARN, "sim.control_refused", "host", line, "reason", text, NULL);
}

enum { CONTROL_MAX = 8192 }; /* [bytes] */

/* The file goes once its command took effect: that is how its writer knows. */
static void run_file(struct sim_watch *w, const char *name)
{
    char line[CONTROL_MAX];
    ssize_t n = -1;

    if (name[0] == '.')
        return;
    const int fd = openat(w->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) {
        n = read(fd, line, sizeof(line) - 1);
        close(fd);
    }
    if (n == (ssize_t)sizeof(line) - 1) {
        sv_log(SV_LOG_WARN, "sim.control_refused", "host", "-", "reason", "the command is too long", NULL);
    } else if (n > 0) {
        line[n] = '\0';
        run_line(w->sim, line);
    }
    if (n >= 0)
        unlinkat(w->dir, name, 0);
}

static void run_all(struct sim_watch *w)
{
    const int fd = openat(w->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;

    if (!dir)
        return;
    while ((e = readdir(dir)))
        run_file(w, e->d_name);
    closedir(dir);
}

static void *watch(void *arg)
{
    struct sim_watch *w = arg;
    struct pollfd fds[] = {{.fd = w->inotify, .events = POLLIN}, {.fd = w->stop, .events = POLLIN}};
    char events[4096] __attribute__((aligned(8)));

    for (;;) {
        run_all(w);
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[1].revents)
            return NULL;
        if (read(w->inotify, events, sizeof(events)) < 0 && errno != EAGAIN)
            return NULL;
    }
}

static enum sv_err open_watch(struct sim_watch *w, const char *path)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return SV_E_SYSTEM;
    w->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    w->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    w->stop = eventfd(0, EFD_CLOEXEC);
    if (w->dir < 0 || w->inotify < 0 || w->stop < 0)
        return SV_E_SYSTEM;
    return inotify_add_watch(w->inotify, path, IN_CLOSE_WRITE | IN_MOVED_TO) < 0 ? SV_E_SYSTEM : SV_OK;
}

enum sv_err sim_watch_start(struct sim *s, const char *data_dir, struct sv_error *err)
{
    if (!data_dir)
        return bad(err, "sim://: control=1 needs a data directory");
    SV_AUTOFREE char *path = sv_asprintf("%s/sim/control", data_dir);
    struct sim_watch *w = sv_alloc(sizeof(*w));

    *w = (struct sim_watch){.sim = s, .dir = -1, .inotify = -1, .stop = -1};
    s->watch = w;
    if (open_watch(w, path) || pthread_create(&w->thread, NULL, watch, w) != 0) {
        SV_AUTOFREE char *text = sv_asprintf("%s: %s", path, strerrordesc_np(errno));
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, text);
    }
    w->started = true;
    return SV_OK;
}

void sim_watch_stop(struct sim *s)
{
    struct sim_watch *w = s->watch;

    if (!w)
        return;
    if (w->started && eventfd_write(w->stop, 1) == 0)
        pthread_join(w->thread, NULL);
    const int fds[] = {w->dir, w->inotify, w->stop};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(w);
    s->watch = NULL;
}
