/* One nginx a router, for udp: master and worker as HAProxy's. */
#include "net/balance/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TAKES_OVER_MS = 8000 };

#define EMERGENCY "[emerg]" /* stands before what is wrong, in what nginx says */
#define MODULE    "/usr/lib/nginx/modules/ngx_stream_module.so"

/* In the order in which they go: where there is no text, there is nothing else of it. `pending` is there from before
 * the text changes until nginx has taken it. */
static const char *const files[] = {"nginx.pid", "nginx.log", "nginx.pending", "nginx.conf"};

struct nginx {
    const struct place *place;
    char *program, *conf, *pid_file, *log, *pending;
    struct sv_buf text;
    bool differs;
    struct daemon daemon;
};

static void nginx_open(const struct place *p, struct nginx *g)
{
    *g = (struct nginx){.place = p, .daemon = {.program = "nginx", .pidfd = -1}};
    g->conf = place_file(p, "nginx.conf");
    g->pid_file = place_file(p, "nginx.pid");
    g->log = place_file(p, "nginx.log");
    g->pending = place_file(p, "nginx.pending");
}

static void nginx_close(struct nginx *g)
{
    daemon_forget(&g->daemon);
    sv_buf_free(&g->text);
    free(g->program);
    free(g->conf);
    free(g->pid_file);
    free(g->log);
    free(g->pending);
}

static enum sv_err find(struct nginx *g, struct sv_error *err)
{
    const struct daemon_mark mark = {"nginx", g->conf};
    return daemon_find(&mark, g->pid_file, NULL, g->place->netns_fd, &g->daemon, err);
}

static enum sv_err find_program(struct nginx *g, struct sv_error *err)
{
    const enum sv_err rc = place_program("nginx", "nginx-light", &g->program, err);
    if (!rc && access(MODULE, R_OK) != 0)
        return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE,
                       "balancers of udp need nginx's stream module (package libnginx-mod-stream)");
    return rc;
}

static enum sv_err make_text(struct nginx *g, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf is = {0};
    enum sv_err rc = nginx_text(&g->place->want, &g->text, err);
    if (!rc)
        rc = file_read(g->conf, &is, err);
    g->differs = !same_text(&is, &g->text);
    return rc;
}

/* --- trying --- */

static enum sv_err try_gone(const struct place *p, struct sv_error *err)
{
    SV_AUTOFREE char *dir = place_file(p, "try-udp");
    const struct place at = {.dir = dir};
    enum sv_err rc = place_forget(&at, files, sizeof(files) / sizeof(files[0]), err);
    if (!rc && rmdir(dir) != 0 && errno != ENOENT)
        rc = net_errno(err, "remove", dir);
    return rc;
}

/* nginx binds also when it only looks at a text: not where it would take datagrams from the one that serves. */
static enum sv_err try_in(const struct nginx *g, const char *dir, struct sv_error *err)
{
    bool changed;
    SV_AUTOFD int nowhere = -1;
    SV_AUTOFREE char *conf = sv_asprintf("%s/nginx.conf", dir);
    const char *const argv[] = {g->program, "-t", "-q", "-p", dir, "-e", "stderr", "-c", conf, NULL};
    enum sv_err rc = file_write(conf, g->text.p, g->text.n, &changed, err);
    if (!rc)
        rc = place_nowhere(g->place, &nowhere, err);
    struct place there = *g->place;
    there.netns_fd = nowhere;
    return rc ? rc : place_run(&there, argv, EMERGENCY, err);
}

static enum sv_err try_text(const struct nginx *g, struct sv_error *err)
{
    SV_AUTOFREE char *dir = place_file(g->place, "try-udp");
    if (!g->differs)
        return SV_OK;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return net_errno(err, "create", dir);
    const enum sv_err rc = try_in(g, dir, err);
    const enum sv_err gone = try_gone(g->place, rc ? NULL : err);
    return rc ? rc : gone;
}

/* --- running --- */

static enum sv_err write_text(const struct nginx *g, struct sv_error *err)
{
    bool changed;
    enum sv_err rc = file_write(g->pending, "", 0, &changed, err);
    return rc ? rc : file_write(g->conf, g->text.p, g->text.n, &changed, err);
}

struct workers {
    pid_t v[64];
    size_t n;
};

static void note_worker(void *arg, pid_t pid)
{
    struct workers *w = arg;
    if (w->n < sizeof(w->v) / sizeof(w->v[0]))
        w->v[w->n++] = pid;
}

static enum sv_err not_taken(const struct nginx *g, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf log = {0};
    const char *at = file_read(g->log, &log, NULL) == SV_OK && log.p ? strstr(log.p, EMERGENCY) : NULL;
    SV_AUTOFREE char *why = at ? sv_asprintf("nginx: %.*s", (int)strcspn(at, "\n"), at) : NULL;
    return sv_fail(err, SV_E_NETWORK, SV_F_NONE, why ? why : "nginx does not take its configuration");
}

/* The master goes into the background with its sockets open, and only then begins its worker. */
static enum sv_err wait_for_worker(struct nginx *g, struct sv_error *err)
{
    const struct sv_deadline limit = sv_deadline_within(&g->place->deadline, TAKES_OVER_MS);
    enum sv_err rc;
    do {
        struct workers now = {.n = 0};
        daemon_forget(&g->daemon);
        rc = find(g, err);
        if (!rc && g->daemon.pid)
            rc = daemon_children(g->daemon.pid, note_worker, &now, err);
        if (rc || now.n > 0)
            return rc;
    } while (place_wait(&limit));
    return not_taken(g, err);
}

static enum sv_err start(struct nginx *g, struct sv_error *err)
{
    const char *const argv[] = {g->program, "-p", g->place->dir, "-e", "stderr", "-c", g->conf, NULL};
    enum sv_err rc = place_stop(g->place, &g->daemon, err);
    if (!rc)
        rc = write_text(g, err);
    if (!rc)
        rc = place_start(g->place, argv, EMERGENCY, err);
    if (!rc)
        rc = wait_for_worker(g, err);
    return rc ? rc : file_remove(g->pending, err);
}

static bool is_among(const struct workers *w, pid_t pid)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->v[i] == pid)
            return true;
    return false;
}

/* nginx writes so over a worker's command line once it takes nothing new. */
static bool ends(pid_t pid)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf said = {0};
    SV_AUTOFREE char *path = sv_asprintf("/proc/%d/cmdline", (int)pid);
    return file_read(path, &said, NULL) != SV_OK || said.n == 0 || strstr(said.p, "shutting down");
}

/* There is a new worker, and the old ones leave the sockets to it. */
static bool taken_over(const struct workers *before, const struct workers *now)
{
    bool new = false;
    for (size_t i = 0; i < now->n; i++) {
        if (!is_among(before, now->v[i]))
            new = true;
        else if (!ends(now->v[i]))
            return false;
    }
    return new;
}

/* A new worker tells that the text was taken; nginx keeps the old ones otherwise, and says why in its log. */
static enum sv_err reload(struct nginx *g, struct sv_error *err)
{
    struct workers before = {.n = 0}, now;
    const struct sv_deadline limit = sv_deadline_within(&g->place->deadline, TAKES_OVER_MS);
    enum sv_err rc = write_text(g, err);
    if (!rc && truncate(g->log, 0) != 0 && errno != ENOENT)
        rc = net_errno(err, "write", g->log);
    if (!rc)
        rc = daemon_children(g->daemon.pid, note_worker, &before, err);
    if (!rc && !daemon_signal(&g->daemon, SIGHUP))
        rc = net_errno(err, "signal", "nginx");
    while (!rc) {
        now.n = 0;
        rc = daemon_children(g->daemon.pid, note_worker, &now, err);
        if (!rc && taken_over(&before, &now))
            return file_remove(g->pending, err);
        if (!rc && !place_wait(&limit))
            rc = not_taken(g, err);
    }
    return rc;
}

static enum sv_err nginx_remove(struct nginx *g, struct sv_error *err)
{
    enum sv_err rc = place_stop(g->place, &g->daemon, err);
    if (!rc)
        rc = try_gone(g->place, err);
    return rc ? rc : place_forget(g->place, files, sizeof(files) / sizeof(files[0]), err);
}

enum sv_err nginx_ensure(const struct place *p, struct sv_error *err)
{
    SV_CLEANUP(nginx_close) struct nginx g;
    nginx_open(p, &g);
    if (p->want.n == 0 && access(g.conf, F_OK) != 0)
        return SV_OK;
    enum sv_err rc = find(&g, err);
    if (!rc && p->want.n == 0)
        return nginx_remove(&g, err);
    if (!rc)
        rc = find_program(&g, err);
    if (!rc)
        rc = make_text(&g, err);
    if (!rc)
        rc = try_text(&g, err);
    if (rc)
        return rc;
    if (!g.daemon.pid || !g.daemon.there)
        return start(&g, err);
    return g.differs || access(g.pending, F_OK) == 0 ? reload(&g, err) : SV_OK;
}

enum sv_err nginx_whole(const struct place *p, bool *ret, struct sv_error *err)
{
    SV_CLEANUP(nginx_close) struct nginx g;
    struct workers now = {.n = 0};
    nginx_open(p, &g);
    *ret = true;
    if (access(g.conf, F_OK) != 0)
        return SV_OK;
    enum sv_err rc = find(&g, err);
    if (!rc && g.daemon.pid)
        rc = daemon_children(g.daemon.pid, note_worker, &now, err);
    *ret = !rc && g.daemon.pid && g.daemon.there && now.n > 0 && access(g.pending, F_OK) != 0;
    return rc;
}
