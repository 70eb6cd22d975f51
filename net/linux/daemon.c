/* Finding, stopping and waking one dnsmasq. It outlives the server, so its pid may be another's by now:
 * it is held by a pidfd, looked at through /proc, and only then signalled. */
#include "net/linux/internal.h"

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
    for (; *argv; argv++)
        sv_buf_add(ret, *argv, strlen(*argv) + 1);
}

/* Of this VPC, by the argument that names its pid file. */
static bool is_ours(const struct sv_buf *cmdline, const char *pid_file)
{
    SV_AUTOFREE char *mark = sv_asprintf("--pid-file=%s", pid_file);
    size_t n = strlen(mark) + 1; /* with its NUL: no path that only begins alike */
    const char *hit = cmdline->p ? memmem(cmdline->p, cmdline->n, mark, n) : NULL;
    return hit && hit > cmdline->p && hit[-1] == '\0' && strstr(cmdline->p, "dnsmasq");
}

static bool in_netns(pid_t pid, int netns_fd)
{
    struct stat a, b;
    SV_AUTOFREE char *path = sv_asprintf("/proc/%d/ns/net", (int)pid);
    return netns_fd >= 0 && stat(path, &a) == 0 && fstat(netns_fd, &b) == 0 && a.st_ino == b.st_ino;
}

/* Fills *ret when process `pid` serves this VPC. Any doubt means it does not. */
static bool examine(pid_t pid, const char *pid_file, const char *const *argv, int netns_fd, struct daemon *ret)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf is = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf want = {0};
    SV_AUTOFREE char *path = sv_asprintf("/proc/%d/cmdline", (int)pid);
    SV_AUTOFD int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0 || file_read(path, &is, NULL) != SV_OK || !is_ours(&is, pid_file))
        return false;
    command_line(argv, &want);
    *ret = (struct daemon){.pid = pid, .pidfd = pidfd};
    ret->exact = same_text(&is, &want) && in_netns(pid, netns_fd);
    pidfd = -1;
    return true;
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

/* The pid file may be gone while the process is not: two servers on one wire would answer the guests. */
static enum sv_err search(const char *pid_file, const char *const *argv, int netns_fd, struct daemon *ret,
                          struct sv_error *err)
{
    SV_CLEANUP(closedirp) DIR *proc = opendir("/proc");
    if (!proc)
        return net_errno(err, "open", "/proc");
    for (const struct dirent *e; (e = readdir(proc)) != NULL;) {
        int64_t pid;
        if (isdigit((unsigned char)e->d_name[0]) && sv_parse_int(e->d_name, &pid) && pid > 1 &&
            examine((pid_t)pid, pid_file, argv, netns_fd, ret))
            return SV_OK;
    }
    return SV_OK;
}

enum sv_err daemon_find(const char *pid_file, const char *const *argv, int netns_fd, struct daemon *ret,
                        struct sv_error *err)
{
    *ret = (struct daemon){.pidfd = -1};
    pid_t pid = recorded_pid(pid_file);
    if (pid && examine(pid, pid_file, argv, netns_fd, ret))
        return SV_OK;
    return search(pid_file, argv, netns_fd, ret, err);
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

enum sv_err daemon_stop(struct daemon *d, const struct sv_deadline *deadline, struct sv_error *err)
{
    if (d->pid == 0)
        return SV_OK;
    bool ended =
        (pidfd_send_signal(d->pidfd, SIGTERM, NULL, 0) != 0 && errno == ESRCH) || ended_within(d, deadline, STOP_MS);
    if (!ended) {
        pidfd_send_signal(d->pidfd, SIGKILL, NULL, 0);
        /* Not the caller's deadline: a killed process must be seen to be gone. */
        ended = ended_within(d, NULL, STOP_MS);
    }
    daemon_forget(d);
    return ended ? SV_OK : sv_fail(err, SV_E_NETWORK, SV_F_NONE, "dnsmasq does not end");
}

bool daemon_reload(const struct daemon *d)
{
    return pidfd_send_signal(d->pidfd, SIGHUP, NULL, 0) == 0;
}
