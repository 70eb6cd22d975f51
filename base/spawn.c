#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "starvirt/mem.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Everything the child needs, made before it starts: between vfork and exec it may only make system
 * calls, since another thread may hold any lock of libc. */
struct plan {
    const struct sv_spawn *s;
    const char *file;
    char **env;
    int report; /* write end, closes itself at exec: an errno in it means failure */
    pid_t parent;
};

static char *find_program(const char *name)
{
    if (strchr(name, '/'))
        return sv_strdup(name);
    const char *path = getenv("PATH");
    if (!path || !*path)
        path = DEFAULT_PATH;
    for (;;) {
        size_t n = strcspn(path, ":");
        char *file = sv_asprintf("%.*s/%s", (int)n, path, name);
        /* An empty or relative entry would be the working directory: never. */
        if (path[0] == '/' && access(file, X_OK) == 0)
            return file;
        free(file);
        if (path[n] == '\0')
            return NULL;
        path += n + 1;
    }
}

/* Our environment in the C locale: what programs print gets parsed. */
static char **make_env(void)
{
    size_t n = 0, used = 0;
    while (environ[n])
        n++;
    char **env = sv_alloc((n + 2) * sizeof(*env));
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "LC_", 3) != 0 && strncmp(environ[i], "LANG", 4) != 0)
            env[used++] = environ[i];
    static char locale[] = "LC_ALL=C";
    env[used] = locale;
    return env;
}

/* --- in the child: system calls only --- */

static void reset_signals(void)
{
    struct sigaction sa = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int i = 1; i < NSIG; i++)
        if (i != SIGKILL && i != SIGSTOP)
            sigaction(i, &sa, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int limit(__rlimit_resource_t what, int64_t value)
{
    struct rlimit r = {.rlim_cur = (rlim_t)value, .rlim_max = (rlim_t)value};
    return setrlimit(what, &r);
}

static int apply_limits(const struct sv_spawn *s)
{
    if (limit(RLIMIT_CORE, 0) != 0) /* a core file could hold what the input held */
        return -1;
    if (s->cpu_s > 0 && limit(RLIMIT_CPU, s->cpu_s) != 0)
        return -1;
    if (s->memory_bytes > 0 && limit(RLIMIT_AS, s->memory_bytes) != 0)
        return -1;
    if (s->file_bytes > 0 && limit(RLIMIT_FSIZE, s->file_bytes) != 0)
        return -1;
    return 0;
}

/* A descriptor below 3 would be overwritten by its neighbour: all are raised first. */
static int place_stdio(const int stdio[3])
{
    int raised[3];
    for (int i = 0; i < 3; i++)
        if ((raised[i] = fcntl(stdio[i], F_DUPFD, 3)) < 0)
            return -1;
    for (int i = 0; i < 3; i++)
        if (dup2(raised[i], i) < 0)
            return -1;
    return 0;
}

/* The report pipe becomes descriptor 3 and all above it are closed. */
static int close_others(struct plan *p)
{
    if (p->report != 3) {
        if (dup3(p->report, 3, O_CLOEXEC) < 0)
            return -1;
        p->report = 3;
    }
    return close_range(4, UINT_MAX, 0);
}

static int bind_life(const struct plan *p)
{
    if (p->s->outlives)
        return setsid() < 0 ? -1 : 0;
    if (setpgid(0, 0) != 0)
        return -1;
    /* A killed server must not leave writers of images behind. The check covers the moment before. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return -1;
    if (getppid() != p->parent) {
        errno = ECHILD;
        return -1;
    }
    return 0;
}

static int prepare(struct plan *p)
{
    if (p->report < 3 && (p->report = fcntl(p->report, F_DUPFD_CLOEXEC, 3)) < 0)
        return -1;
    if (bind_life(p) != 0)
        return -1;
    if (p->s->netns_fd > 0 && setns(p->s->netns_fd, CLONE_NEWNET) != 0)
        return -1;
    if (place_stdio(p->s->stdio) != 0 || close_others(p) != 0)
        return -1;
    return apply_limits(p->s);
}

static _Noreturn void child(struct plan *p)
{
    reset_signals();
    if (prepare(p) == 0)
        execve(p->file, (char *const *)p->s->argv, p->env);
    int number = errno;
    ssize_t ignored = write(p->report, &number, sizeof(number));
    (void)ignored;
    _exit(127);
}

/* --- in the parent --- */

/* All signals wait while the child borrows our memory, so that none of our handlers runs in it. */
static pid_t start(struct plan *p)
{
    sigset_t all, before;
    struct plan childs = *p;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    /* Not fork: its copy of the page tables and the faults after it cost every thread of a large process.
     * Not posix_spawn: it knows neither limits nor namespaces. */
    pid_t pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */
    if (pid == 0)
        child(&childs); /* NOLINT(clang-analyzer-unix.Vfork): system calls only */
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return pid;
}

static int wait_report(int fd, pid_t pid)
{
    int number = 0;
    ssize_t n;
    do {
        n = read(fd, &number, sizeof(number));
    } while (n < 0 && errno == EINTR);
    if (n != sizeof(number))
        return 0;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return number ? number : EIO;
}

static int start_and_check(struct plan *p, pid_t *ret_pid)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0)
        return errno;
    p->report = report[1];
    pid_t pid = start(p);
    int number = pid < 0 ? errno : 0;
    close(report[1]);
    if (pid > 0)
        number = wait_report(report[0], pid);
    close(report[0]);
    if (number == 0)
        *ret_pid = pid;
    return number;
}

int sv_spawn(const struct sv_spawn *s, pid_t *ret_pid)
{
    SV_AUTOFREE char *file = find_program(s->argv[0]);
    if (!file)
        return ENOENT;
    SV_AUTOFREE char **env = make_env();
    struct plan p = {.s = s, .file = file, .env = env, .report = -1, .parent = getpid()};
    return start_and_check(&p, ret_pid);
}
