/* keepalived and conntrackd, one of each an instance, in its namespace. They outlive the server. */
#include "net/linux/ha.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    LEADS_MS = 3000, /* an instance alone leads after 0.72 s */
    SETTLES_MS = 4000,
    WAIT_MS = 10,
    ARGS = 12
};

/* What one of them is started with, and known by. */
struct program {
    const struct router *router;
    const char *name, *caps;
    char *path, *conf, *pid_file; /* pid_file: of conntrackd none is there */
    const char *argv[ARGS];       /* of strings here */
    char *vrrp;
    struct sv_buf text; /* of the file conf */
    bool differs;       /* from what is in it */
    struct daemon daemon;
};

static void program_close(struct program *p)
{
    daemon_forget(&p->daemon);
    sv_buf_free(&p->text);
    sv_freep(&p->path);
    sv_freep(&p->conf);
    sv_freep(&p->pid_file);
    sv_freep(&p->vrrp);
}

static void program_open(struct program *p, const struct router *r, const char *name, const char *caps)
{
    SV_AUTOFREE char *conf = sv_asprintf("%s.conf", name);
    SV_AUTOFREE char *pid = sv_asprintf("%s.pid", name);
    SV_AUTOFREE char *found = tool_find(name);
    *p = (struct program){.router = r, .name = name, .caps = caps, .daemon = {.program = name, .pidfd = -1}};
    p->path = sv_strdup(found ? found : name);
    p->conf = ha_file(&r->want->id, conf, r->instance);
    p->pid_file = ha_file(&r->want->id, pid, r->instance);
}

static void keepalived_open(struct program *p, const struct router *r)
{
    program_open(p, r, "keepalived", "+kill,+net_admin,+net_raw,+setgid,+setuid,+sys_admin,+sys_nice");
    p->vrrp = ha_file(&r->want->id, "keepalived.vrrp", r->instance);
    const char *const argv[] = {p->path, "-P", "-f", p->conf, "-p", p->pid_file, "-r", p->vrrp, NULL};
    memcpy(p->argv, argv, sizeof(argv));
    ha_keepalived_text(&r->want->id, r->instance, r->outer, &p->text);
}

static void conntrackd_open(struct program *p, const struct router *r)
{
    program_open(p, r, "conntrackd", "+net_admin,+net_raw,+sys_nice");
    const char *const argv[] = {p->path, "-d", "-C", p->conf, NULL};
    memcpy(p->argv, argv, sizeof(argv));
    ha_conntrackd_text(&r->want->id, r->instance, &p->text);
}

/* --- running --- */

static enum sv_err find(struct program *p, struct sv_error *err)
{
    const struct daemon_mark mark = {p->name, p->conf};
    SV_CLEANUP(sv_buf_free) struct sv_buf is = {0};
    SV_AUTOFD int fd = netns_open(p->router->names.netns_path);
    enum sv_err rc = file_read(p->conf, &is, err);
    p->differs = !same_text(&is, &p->text);
    daemon_forget(&p->daemon);
    return rc ? rc : daemon_find(&mark, p->pid_file, p->argv, fd, &p->daemon, err);
}

static bool runs(const struct program *p)
{
    return p->daemon.pid && p->daemon.exact;
}

static enum sv_err run_there(const struct program *p, const char *const *argv, struct sv_error *err)
{
    SV_AUTOFD int fd = netns_open(p->router->names.netns_path);
    if (fd < 0) /* never on the machine's own network */
        return sv_fail(err, SV_E_NETWORK, SV_F_NONE, "the namespace of the router is gone");
    return tool_run(&p->router->work, argv, NULL, fd, err);
}

/* With no more power than it needs. */
static enum sv_err start(const struct program *p, struct sv_error *err)
{
    SV_AUTOFREE char *bounds = sv_asprintf("--bounding-set=-all,%s", p->caps);
    const char *argv[ARGS + 6] = {p->router->work.net->setpriv, "--no-new-privs", "--inh-caps=-all", bounds, "--"};
    memcpy(argv + 5, p->argv, sizeof(p->argv));
    return run_there(p, argv, err);
}

static enum sv_err forget(const struct router *r, const char *name, struct sv_error *err)
{
    SV_AUTOFREE char *path = ha_file(&r->want->id, name, r->instance);
    return file_remove(path, err);
}

/* --- keepalived --- */

/* A text that keepalived refuses is not put in place of the one that it has. */
static enum sv_err try_text(const struct program *p, struct sv_error *err)
{
    bool changed;
    SV_AUTOFREE char *path = ha_file(&p->router->want->id, "keepalived.try", p->router->instance);
    const char *const argv[] = {p->path, "-t", "-P", "-f", path, NULL};
    enum sv_err rc = file_write(path, p->text.p, p->text.n, &changed, err);
    if (!rc)
        rc = run_there(p, argv, err);
    const enum sv_err gone = file_remove(path, rc ? NULL : err);
    return rc ? rc : gone;
}

/* What one that was killed has left: by its pids the next would take it for running. */
static enum sv_err forget_keepalived(const struct router *r, struct sv_error *err)
{
    static const char *const names[] = {"keepalived.pid", "keepalived.vrrp", "state"};
    enum sv_err rc = SV_OK;
    for (size_t i = 0; !rc && i < sizeof(names) / sizeof(names[0]); i++)
        rc = forget(r, names[i], err);
    return rc;
}

static enum sv_err keepalived_start(struct program *p, struct sv_error *err)
{
    bool changed;
    enum sv_err rc = p->differs ? try_text(p, err) : SV_OK;
    if (!rc)
        rc = daemon_stop(&p->daemon, &p->router->work.deadline, err);
    if (!rc)
        rc = forget_keepalived(p->router, err);
    if (!rc)
        rc = ha_drop_token(p->router, err);
    if (!rc)
        rc = file_write(p->conf, p->text.p, p->text.n, &changed, err);
    return rc ? rc : start(p, err);
}

static enum sv_err keepalived_ensure(const struct router *r, struct sv_error *err)
{
    SV_CLEANUP(program_close) struct program p;
    keepalived_open(&p, r);
    const enum sv_err rc = find(&p, err);
    return rc || (runs(&p) && !p.differs) ? rc : keepalived_start(&p, err);
}

static bool keepalived_runs(const struct router *r)
{
    SV_CLEANUP(program_close) struct program p;
    keepalived_open(&p, r);
    return find(&p, NULL) == SV_OK && runs(&p) && !p.differs;
}

enum sv_err ha_keepalived_stop(const struct router *r, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    for (unsigned i = 0; !rc && i < ROUTER_INSTANCES; i++) {
        SV_CLEANUP(program_close) struct program p;
        keepalived_open(&p, &r[i]);
        rc = find(&p, err);
        if (!rc)
            rc = daemon_stop(&p.daemon, &r->work.deadline, err);
    }
    return rc;
}

/* --- conntrackd --- */

/* The file by another name than the daemon's: this is not what is looked for by that. */
static enum sv_err order(const struct program *p, const char *what, struct sv_error *err)
{
    SV_AUTOFREE char *conf = sv_asprintf("/%s", p->conf);
    const char *const argv[] = {p->path, "-C", conf, what, NULL};
    return run_there(p, argv, err);
}

/* A lock that is left over keeps it from starting. What each of the two knows the other is told. */
static enum sv_err conntrackd_start(struct program *p, struct sv_error *err)
{
    bool changed;
    enum sv_err rc = daemon_stop(&p->daemon, &p->router->work.deadline, err);
    if (!rc)
        rc = forget(p->router, "conntrackd.lock", err);
    if (!rc)
        rc = forget(p->router, "conntrackd.sock", err);
    if (!rc)
        rc = file_write(p->conf, p->text.p, p->text.n, &changed, err);
    if (!rc)
        rc = start(p, err);
    if (!rc)
        rc = order(p, "-n", err);
    return rc ? rc : order(p, "-B", err);
}

static enum sv_err conntrackd_ensure(const struct router *r, struct sv_error *err)
{
    SV_CLEANUP(program_close) struct program p;
    conntrackd_open(&p, r);
    const enum sv_err rc = find(&p, err);
    return rc || (runs(&p) && !p.differs) ? rc : conntrackd_start(&p, err);
}

static bool conntrackd_runs(const struct router *r)
{
    SV_CLEANUP(program_close) struct program p;
    conntrackd_open(&p, r);
    return find(&p, NULL) == SV_OK && runs(&p) && !p.differs;
}

enum sv_err ha_conntrackd_stop(const struct router *r, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    for (unsigned i = 0; !rc && i < ROUTER_INSTANCES; i++) {
        SV_CLEANUP(program_close) struct program p;
        conntrackd_open(&p, &r[i]);
        rc = find(&p, err);
        if (!rc)
            rc = daemon_stop(&p.daemon, &r->work.deadline, err);
    }
    return rc;
}

/* --- who leads --- */

/* As keepalived has told the script last. */
static bool is_in_state(const struct router *r, const char *state)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf is = {0};
    SV_AUTOFREE char *path = ha_file(&r->want->id, "state", r->instance);
    const size_t n = strlen(state);
    return file_read(path, &is, NULL) == SV_OK && is.n == n + 1 && memcmp(is.p, state, n) == 0;
}

/* One has the token and says so, the other stands by. */
static bool is_settled(const struct router *r, struct ha_roles *ret)
{
    if (ha_look_roles(r, ret, NULL) != SV_OK || ret->leads[0] == ret->leads[1])
        return false;
    const unsigned leader = ret->leads[1];
    return is_in_state(&r[leader], "MASTER") && is_in_state(&r[1 - leader], "BACKUP");
}

static bool wait_more(const struct sv_deadline *d)
{
    poll(NULL, 0, WAIT_MS);
    return !sv_deadline_over(d) && !sv_deadline_cancelled(d);
}

static bool settles(const struct router *r, struct ha_roles *ret)
{
    const struct sv_deadline limit = sv_deadline_within(&r->work.deadline, SETTLES_MS);
    do {
        if (is_settled(r, ret))
            return true;
    } while (wait_more(&limit));
    return false;
}

static void wait_for_leader(const struct router *r, unsigned who)
{
    struct ha_roles now;
    const struct sv_deadline limit = sv_deadline_within(&r->work.deadline, LEADS_MS);
    while ((ha_look_roles(r, &now, NULL) != SV_OK || !now.leads[who]) && wait_more(&limit)) {
    }
}

/* Who speaks is to lead: where neither runs it comes first. */
static enum sv_err start_pair(const struct router *r, unsigned active, bool anew, struct sv_error *err)
{
    const bool both = anew || (!keepalived_runs(&r[active]) && !keepalived_runs(&r[1 - active]));
    enum sv_err rc = anew ? ha_keepalived_stop(r, err) : SV_OK;
    if (!rc)
        rc = keepalived_ensure(&r[active], err);
    if (!rc && both)
        wait_for_leader(r, active);
    return rc ? rc : keepalived_ensure(&r[1 - active], err);
}

enum sv_err ha_daemons_ensure(const struct router *r, unsigned active, struct sv_error *err)
{
    struct ha_roles now = {.active = 0};
    bool settled = false;
    enum sv_err rc = conntrackd_ensure(&r[active], err);
    if (!rc)
        rc = conntrackd_ensure(&r[1 - active], err);
    /* One that never recovers from what was done to its devices is started anew. */
    for (unsigned round = 0; !rc && !settled && round < 2; round++) {
        rc = start_pair(r, active, round > 0, err);
        if (!rc)
            settled = settles(r, &now);
    }
    if (!rc && !settled)
        rc = sv_fail(err, SV_E_NETWORK, SV_F_NONE, "none of the router's two instances leads");
    const unsigned leader = now.leads[1];
    if (rc || (now.speaks[leader] && !now.speaks[1 - leader]))
        return rc;
    return ha_turn(r, leader, err);
}

bool ha_daemons_whole(const struct router *r)
{
    struct ha_roles now;
    bool whole = is_settled(r, &now);
    for (unsigned i = 0; whole && i < ROUTER_INSTANCES; i++)
        whole = keepalived_runs(&r[i]) && conntrackd_runs(&r[i]);
    return whole;
}
