/* One HAProxy a router: a master that stays root, with next to no power, to read files and open sockets, and a worker
 * that is nobody. Weights, nodes and certificates are changed in the worker that runs; what cannot be is loaded anew,
 * by a new worker that takes over the sockets while the old one ends with its last connection. What is the case is
 * asked of the worker itself, never remembered, so that whatever is cut short is finished by the next call. */
#include "net/balance/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TAKES_OVER_MS = 8000 };

#define ALERT "[ALERT]" /* stands before what is wrong, in what HAProxy says */

/* In the order in which they go: where there is no text, there is nothing else of it. */
static const char *const files[] = {"haproxy.pid", "haproxy.state", "haproxy.sock", "haproxy.cfg"};

struct haproxy {
    const struct place *place;
    char *program, *cfg, *pid_file;
    struct sv_buf text;
    char shape[BALANCE_SHAPE_LEN + 1];
    bool differs; /* the text from the file that is there */
    struct certs certs;
    struct daemon daemon;
    struct running running;
};

static void haproxy_open(const struct place *p, struct haproxy *h)
{
    *h = (struct haproxy){.place = p, .daemon = {.program = "haproxy", .pidfd = -1}};
    h->cfg = place_file(p, "haproxy.cfg");
    h->pid_file = place_file(p, "haproxy.pid");
}

static void haproxy_close(struct haproxy *h)
{
    daemon_forget(&h->daemon);
    running_free(&h->running);
    certs_free(&h->certs);
    sv_buf_free(&h->text);
    free(h->program);
    free(h->cfg);
    free(h->pid_file);
}

static enum sv_err find(struct haproxy *h, struct sv_error *err)
{
    const struct daemon_mark mark = {"haproxy", h->pid_file};
    return daemon_find(&mark, h->pid_file, NULL, h->place->netns_fd, &h->daemon, err);
}

/* --- what is wanted --- */

static enum sv_err make_texts(struct haproxy *h, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf is = {0};
    enum sv_err rc = haproxy_text(&h->place->want, &h->text, h->shape, err);
    if (!rc)
        rc = file_read(h->cfg, &is, err);
    if (!rc)
        rc = certs_read(&h->place->want, h->place->dir, &h->certs, err);
    h->differs = !same_text(&is, &h->text);
    return rc;
}

/* In a directory of its own, so that a text that is refused has touched nothing. */
static enum sv_err try_in(const struct haproxy *h, const char *dir, struct sv_error *err)
{
    bool changed;
    SV_AUTOFREE char *cfg = sv_asprintf("%s/haproxy.cfg", dir);
    SV_AUTOFREE char *state = sv_asprintf("%s/haproxy.state", dir);
    const char *const argv[] = {h->program, "-c", "-C", dir, "-f", cfg, NULL};
    enum sv_err rc = certs_write(&h->certs, dir, err);
    if (!rc)
        rc = file_write(state, "1\n", 2, &changed, err);
    if (!rc)
        rc = file_write(cfg, h->text.p, h->text.n, &changed, err);
    return rc ? rc : place_run(h->place, argv, ALERT, err);
}

static enum sv_err try_gone(const struct place *p, struct sv_error *err)
{
    const struct certs none = {0};
    SV_AUTOFREE char *dir = place_file(p, "try");
    const struct place at = {.dir = dir};
    enum sv_err rc = certs_sweep(&none, dir, err);
    if (!rc)
        rc = place_forget(&at, files, sizeof(files) / sizeof(files[0]), err);
    if (!rc && rmdir(dir) != 0 && errno != ENOENT)
        rc = net_errno(err, "remove", dir);
    return rc;
}

static enum sv_err try_texts(const struct haproxy *h, struct sv_error *err)
{
    SV_AUTOFREE char *dir = place_file(h->place, "try");
    if (!h->differs && !h->certs.differs)
        return SV_OK;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return net_errno(err, "create", dir);
    const enum sv_err rc = try_in(h, dir, err);
    const enum sv_err gone = try_gone(h->place, rc ? NULL : err);
    return rc ? rc : gone;
}

static enum sv_err write_texts(const struct haproxy *h, struct sv_error *err)
{
    bool changed;
    enum sv_err rc = certs_write(&h->certs, h->place->dir, err);
    return rc ? rc : file_write(h->cfg, h->text.p, h->text.n, &changed, err);
}

/* --- what is --- */

/* Both in one answer: for a moment after a reload the worker that goes may still take what comes to the socket. */
static enum sv_err look(struct haproxy *h, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf said = {0};
    enum sv_err rc = haproxy_ask(&h->place->deadline, h->place->dir, "show info;show servers state", &said, err);
    running_free(&h->running);
    if (!rc && !running_read(&said, &h->running))
        rc = sv_fail(err, SV_E_NETWORK, SV_F_NONE, "haproxy does not answer");
    return rc;
}

/* One that does not answer is of no use to anybody, nor is one in a namespace that has gone, nor a worker whose master
 * was killed: it ends, too. */
static bool serves(struct haproxy *h)
{
    return h->daemon.pid && h->daemon.there && look(h, NULL) == SV_OK && h->running.pid != h->daemon.pid;
}

/* Of the worker that was looked at, and no other. */
static enum sv_err ask(const struct haproxy *h, const char *command, struct sv_buf *ret, struct sv_error *err)
{
    const struct sv_deadline limit = sv_deadline_within(&h->place->deadline, TAKES_OVER_MS);
    SV_AUTOFREE char *line = sv_asprintf("show info;%s", command);
    enum sv_err rc;
    do {
        ret->n = 0;
        rc = haproxy_ask(&limit, h->place->dir, line, ret, err);
    } while (!rc && running_pid(ret) != h->running.pid && place_wait(&limit));
    explicit_bzero(line, strlen(line));
    return rc;
}

/* The worker that serves the wanted shape, and is another than `before`. */
static enum sv_err wait_for_worker(struct haproxy *h, int64_t before, struct sv_error *err)
{
    const struct sv_deadline limit = sv_deadline_within(&h->place->deadline, TAKES_OVER_MS);
    do {
        if (look(h, NULL) == SV_OK && h->running.pid != before && strcmp(h->running.shape, h->shape) == 0)
            return SV_OK;
    } while (place_wait(&limit));
    return sv_fail(err, SV_E_NETWORK, SV_F_NONE, "haproxy does not take its configuration");
}

/* "SHA1 FingerPrint: 0A1B..." of the certificate that is shown to clients. */
static bool shows(const struct haproxy *h, const struct cert *c)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf said = {0};
    SV_AUTOFREE char *command = sv_asprintf("show ssl cert %s", c->name);
    return ask(h, command, &said, NULL) == SV_OK && said.p && strstr(said.p, c->sha1);
}

/* --- changes --- */

static void send_lines(const struct haproxy *h, const struct sv_buf *commands)
{
    for (const char *p = commands->p; p && *p;) {
        SV_CLEANUP(sv_buf_free) struct sv_buf said = {0};
        const size_t n = strcspn(p, "\n");
        SV_AUTOFREE char *line = sv_asprintf("%.*s", (int)n, p);
        ask(h, line, &said, NULL);
        p += n + (p[n] == '\n');
    }
}

static void send_cert(const struct haproxy *h, const struct cert *c)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf said = {0};
    SV_AUTOFREE char *commit = sv_asprintf("commit ssl cert %s", c->name);
    SV_AUTOFREE char *set = sv_asprintf("set ssl cert %s <<\n%s", c->name, c->pem.p);
    if (ask(h, set, &said, NULL) == SV_OK)
        ask(h, commit, &said, NULL);
    explicit_bzero(set, strlen(set));
}

static bool certs_shown(const struct haproxy *h)
{
    for (size_t i = 0; i < h->certs.n; i++)
        if (!shows(h, &h->certs.v[i]))
            return false;
    return true;
}

static bool nodes_run(const struct haproxy *h)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf commands = {0};
    running_changes(&h->running, &h->place->want, &commands);
    return commands.n == 0;
}

/* What HAProxy answers to commands are words for people: it is looked at instead. */
static bool change_running(struct haproxy *h)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf commands = {0};
    running_changes(&h->running, &h->place->want, &commands);
    send_lines(h, &commands);
    for (size_t i = 0; i < h->certs.n; i++)
        if (h->certs.v[i].differs || !shows(h, &h->certs.v[i]))
            send_cert(h, &h->certs.v[i]);
    return look(h, NULL) == SV_OK && nodes_run(h) && certs_shown(h);
}

/* After a start and a reload: what the state of before has brought along goes. */
static enum sv_err settle(struct haproxy *h, struct sv_error *err)
{
    if ((nodes_run(h) && certs_shown(h)) || change_running(h))
        return certs_sweep(&h->certs, h->place->dir, err);
    return sv_fail(err, SV_E_NETWORK, SV_F_NONE, "haproxy does not take its configuration");
}

static enum sv_err write_state(const struct haproxy *h, struct sv_error *err)
{
    bool changed;
    SV_CLEANUP(sv_buf_free) struct sv_buf state = {0};
    SV_AUTOFREE char *path = place_file(h->place, "haproxy.state");
    running_state(&h->running, &h->place->want, &state);
    return file_write(path, state.p, state.n, &changed, err);
}

static enum sv_err reload(struct haproxy *h, struct sv_error *err)
{
    const int64_t before = h->running.pid;
    enum sv_err rc = write_state(h, err);
    if (!rc)
        rc = write_texts(h, err);
    if (!rc && !daemon_signal(&h->daemon, SIGUSR2))
        rc = net_errno(err, "signal", "haproxy");
    if (!rc)
        rc = wait_for_worker(h, before, err);
    return rc ? rc : settle(h, err);
}

static enum sv_err start(struct haproxy *h, struct sv_error *err)
{
    const char *const argv[] = {h->program, "-W", "-D", "-C", h->place->dir, "-f", h->cfg, "-p", h->pid_file, NULL};
    running_free(&h->running);
    enum sv_err rc = place_stop(h->place, &h->daemon, err);
    if (!rc)
        rc = write_state(h, err);
    if (!rc)
        rc = write_texts(h, err);
    if (!rc)
        rc = place_start(h->place, argv, ALERT, err);
    if (!rc)
        rc = wait_for_worker(h, 0, err);
    return rc ? rc : settle(h, err);
}

static enum sv_err change(struct haproxy *h, struct sv_error *err)
{
    const bool same = !h->differs && !h->certs.differs;
    if (strcmp(h->running.shape, h->shape) == 0) {
        if (same && nodes_run(h) && certs_shown(h))
            return SV_OK;
        if (change_running(h))
            return write_texts(h, err);
    }
    return reload(h, err);
}

/* --- the whole --- */

static enum sv_err haproxy_remove(struct haproxy *h, struct sv_error *err)
{
    const struct certs none = {0};
    enum sv_err rc = place_stop(h->place, &h->daemon, err);
    if (!rc)
        rc = try_gone(h->place, err);
    if (!rc)
        rc = certs_sweep(&none, h->place->dir, err);
    return rc ? rc : place_forget(h->place, files, sizeof(files) / sizeof(files[0]), err);
}

enum sv_err haproxy_ensure(const struct place *p, struct sv_error *err)
{
    SV_CLEANUP(haproxy_close) struct haproxy h;
    haproxy_open(p, &h);
    if (p->want.n == 0 && access(h.cfg, F_OK) != 0)
        return SV_OK;
    enum sv_err rc = find(&h, err);
    if (!rc && p->want.n == 0)
        return haproxy_remove(&h, err);
    if (!rc)
        rc = place_program("haproxy", "haproxy", &h.program, err);
    if (!rc)
        rc = make_texts(&h, err);
    if (!rc)
        rc = try_texts(&h, err);
    if (rc)
        return rc;
    return serves(&h) ? change(&h, err) : start(&h, err);
}

enum sv_err haproxy_whole(const struct place *p, bool *ret, struct sv_error *err)
{
    SV_CLEANUP(haproxy_close) struct haproxy h;
    haproxy_open(p, &h);
    *ret = true;
    if (access(h.cfg, F_OK) != 0)
        return SV_OK;
    const enum sv_err rc = find(&h, err);
    *ret = !rc && serves(&h);
    return rc;
}
