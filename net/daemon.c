/* Finding, stopping and waking processes that outlive the server. A pid may be another's by now: it is held by a pidfd,
 * looked at through /proc, and only then signalled. */
#include "net/tools.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STOP_MS = 3000 }; /* after that it is killed */

void daemon_forget(struct daemon *d)
{
    fd_closep(&d->pidfd);
    d->pid = 0;
}

/* --- is it ours? --- */

static void command_line(const char *const *argv, struct sv_buf *ret)
{
    for (; argv && *argv; argv++)
        sv_buf_add(ret, *argv, strlen(*argv) + 1);
}

static bool ends_word(char c)
{
    return c == '\0' || c == ' '; /* a blank where a program has written its own command line (nginx) */
}

/* With the mark as a whole argument: no path that only begins alike. */
static bool is_ours(const struct sv_buf *cmdline, const struct daemon_mark *mark)
{
    const size_t n = strlen(mark->arg);
    const char *hit = cmdline->p ? memmem(cmdline->p, cmdline->n, mark->arg, n) : NULL;
    return hit && hit > cmdline->p && ends_word(hit[-1]) && ends_word(hit[n]) && strstr(cmdline->p, mark->program);
}

static bool in_netns(pid_t pid, int netns_fd)
{
    struct stat a, b;
    SV_AUTOFREE char *path = sv_asprintf("/proc/%d/ns/net", (int)pid);
    return netns_fd >= 0 && stat(path, &a) == 0 && fstat(netns_fd, &b) == 0 && a.st_ino == b.st_ino;
}

/* Fills *ret when process `pid` has the mark. Any doubt means it has not. */
static bool examine(pid_t pid, const struct daemon_mark *mark, const char *const *argv, int netns_fd,
                    struct daemon *ret)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf is = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf want = {0};
    SV_AUTOFREE char *path = sv_asprintf("/proc/%d/cmdline", (int)pid);
    SV_AUTOFD int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0 || file_read(path, &is, NULL) != SV_OK || !is_ours(&is, mark))
        return false;
    command_line(argv, &want);
    *ret = (struct daemon){.program = mark->program, .pid = pid, .pidfd = pidfd};
    ret->there = in_netns(pid, netns_fd);
    ret->exact = ret->there && same_text(&is, &want);
    pidfd = -1;
    return true;
}

/* "pid (name) state parent ...": 0 if it has gone. */
static pid_t parent_of(pid_t pid)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    SV_AUTOFREE char *path = sv_asprintf("/proc/%d/stat", (int)pid);
    if (file_read(path, &b, NULL) != SV_OK || b.n == 0)
        return 0;
    char *end = strrchr(b.p, ')'); /* the name may hold anything */
    int64_t parent = 0;
    if (!end || strlen(end) < 5)
        return 0;
    end[4 + strcspn(end + 4, " ")] = '\0';
    return sv_parse_int(end + 4, &parent) ? (pid_t)parent : 0;
}

static bool began_by_another(pid_t pid, const struct daemon_mark *mark)
{
    struct daemon parent = {.pidfd = -1};
    const bool is = examine(parent_of(pid), mark, NULL, -1, &parent);
    daemon_forget(&parent);
    return is;
}

/* --- finding --- */

static pid_t recorded_pid(const char *pid_file)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    int64_t pid = 0;
    if (file_read(pid_file, &b, NULL) != SV_OK || b.n == 0)
        return 0;
    b.p[strcspn(b.p, "\n")] = '\0';
    return sv_parse_int(b.p, &pid) && pid > 1 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

static void closedirp(DIR **d)
{
    if (*d)
        closedir(*d);
}

/* Calls for each process until it says no more. */
static enum sv_err each_process(bool (*look)(void *arg, pid_t pid), void *arg, struct sv_error *err)
{
    SV_CLEANUP(closedirp) DIR *proc = opendir("/proc");
    if (!proc)
        return net_errno(err, "open", "/proc");
    for (const struct dirent *e; (e = readdir(proc)) != NULL;) {
        int64_t pid;
        if (isdigit((unsigned char)e->d_name[0]) && sv_parse_int(e->d_name, &pid) && pid > 1 && !look(arg, (pid_t)pid))
            return SV_OK;
    }
    return SV_OK;
}

struct search {
    const struct daemon_mark *mark;
    const char *const *argv;
    int netns_fd;
    struct daemon *ret;
};

static bool search_one(void *arg, pid_t pid)
{
    const struct search *s = arg;
    if (!examine(pid, s->mark, s->argv, s->netns_fd, s->ret))
        return true;
    if (!began_by_another(pid, s->mark))
        return false;
    daemon_forget(s->ret);
    return true;
}

/* The pid file may be gone while the process is not: two DHCP servers on one wire would answer the guests. */
enum sv_err daemon_find(const struct daemon_mark *mark, const char *pid_file, const char *const *argv, int netns_fd,
                        struct daemon *ret, struct sv_error *err)
{
    *ret = (struct daemon){.program = mark->program, .pidfd = -1};
    pid_t pid = recorded_pid(pid_file);
    if (pid && examine(pid, mark, argv, netns_fd, ret))
        return SV_OK;
    struct search s = {mark, argv, netns_fd, ret};
    return each_process(search_one, &s, err);
}

/* --- signals --- */

static bool ended_within(const struct daemon *d, const struct sv_deadline *deadline, int64_t ms)
{
    struct sv_deadline limit = sv_deadline_within(deadline, ms);
    struct pollfd p = {.fd = d->pidfd, .events = POLLIN};
    int n;
    do {
        n = poll(&p, 1, (int)sv_deadline_left(&limit));
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

static enum sv_err does_not_end(const char *program, struct sv_error *err)
{
    SV_AUTOFREE char *why = sv_asprintf("%s does not end", program);
    return sv_fail(err, SV_E_NETWORK, SV_F_NONE, why);
}

static bool kill_now(const struct daemon *d)
{
    pidfd_send_signal(d->pidfd, SIGKILL, NULL, 0);
    /* Not the caller's deadline: a killed process must be seen to be gone. */
    return ended_within(d, NULL, STOP_MS);
}

enum sv_err daemon_stop(struct daemon *d, const struct sv_deadline *deadline, struct sv_error *err)
{
    if (d->pid == 0)
        return SV_OK;
    const bool ended = (pidfd_send_signal(d->pidfd, SIGTERM, NULL, 0) != 0 && errno == ESRCH) ||
                       ended_within(d, deadline, STOP_MS) || kill_now(d);
    daemon_forget(d);
    return ended ? SV_OK : does_not_end(d->program, err);
}

bool daemon_signal(const struct daemon *d, int number)
{
    return pidfd_send_signal(d->pidfd, number, NULL, 0) == 0;
}

/* --- several --- */

struct all {
    const char *program;
    int netns_fd;
    const struct sv_deadline *deadline;
    struct sv_error *err;
    enum sv_err rc;
};

static bool is_named(pid_t pid, const char *program)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf name = {0};
    SV_AUTOFREE char *path = sv_asprintf("/proc/%d/comm", (int)pid);
    const size_t n = strlen(program);
    return file_read(path, &name, NULL) == SV_OK && name.n == n + 1 && memcmp(name.p, program, n) == 0;
}

static bool end_one(void *arg, pid_t pid)
{
    struct all *a = arg;
    struct daemon d = {.program = a->program, .pid = pid, .pidfd = pidfd_open(pid, 0)};
    if (d.pidfd >= 0 && is_named(pid, a->program) && in_netns(pid, a->netns_fd) && !kill_now(&d))
        a->rc = does_not_end(a->program, a->err);
    daemon_forget(&d);
    return !a->rc && !sv_deadline_over(a->deadline);
}

enum sv_err daemon_end_all(const char *program, int netns_fd, const struct sv_deadline *deadline, struct sv_error *err)
{
    struct all a = {program, netns_fd, deadline, err, SV_OK};
    const enum sv_err rc = netns_fd < 0 ? SV_OK : each_process(end_one, &a, err);
    return rc ? rc : a.rc;
}

struct children {
    pid_t parent;
    void (*child)(void *arg, pid_t pid);
    void *arg;
};

static bool child_one(void *arg, pid_t pid)
{
    const struct children *c = arg;
    if (parent_of(pid) == c->parent)
        c->child(c->arg, pid);
    return true;
}

enum sv_err daemon_children(pid_t parent, void (*child)(void *arg, pid_t pid), void *arg, struct sv_error *err)
{
    struct children c = {parent, child, arg};
    return each_process(child_one, &c, err);
}
