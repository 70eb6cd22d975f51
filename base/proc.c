#include "starvirt/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/spawn.h"

#define OUTPUT_KEPT (1024 * 1024) /* [bytes] of each stream */
#define POLL_MS     100           /* how soon a cancel is seen */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static enum sv_err fail_errno(struct sv_error *err, const char *what, int number)
{
    char text[SV_ERR_ARG_MAX];
    const char *reason = strerrordesc_np(number);
    const char *const args[SV_ERR_ARGS] = {what, reason ? reason : "unknown error"};
    sv_text_expand("{0}: {1}", "", args, text, sizeof(text));
    return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, text);
}

/* --- descriptors --- */

/* stdin comes from memory, not from a pipe: no writing, no SIGPIPE, no deadlock with a child that
 * fills its output before it reads. */
static int open_input(const struct sv_proc *p)
{
    if (!p->input)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fd = memfd_create("stdin", MFD_CLOEXEC);
    size_t done = 0;
    while (fd >= 0 && done < p->input_len) {
        ssize_t n = write(fd, p->input + done, p->input_len - done);
        if (n < 0 && errno != EINTR)
            close_fd(&fd);
        else if (n > 0)
            done += (size_t)n;
    }
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    return fd;
}

struct child {
    int in, out[2], err[2]; /* [0] ours, [1] the child's */
    pid_t pid;
    int pidfd;
    struct sv_buf *keep_out, *keep_err;
    const struct sv_proc *proc;
};

static bool open_streams(struct child *c)
{
    c->in = open_input(c->proc);
    return c->in >= 0 && pipe2(c->out, O_CLOEXEC) == 0 && pipe2(c->err, O_CLOEXEC) == 0 &&
           fcntl(c->out[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(c->err[0], F_SETFL, O_NONBLOCK) == 0;
}

static void close_streams(struct child *c)
{
    close_fd(&c->in);
    for (int i = 0; i < 2; i++) {
        close_fd(&c->out[i]);
        close_fd(&c->err[i]);
    }
    close_fd(&c->pidfd);
}

static void keep(struct sv_buf *b, const char *chunk, size_t n)
{
    if (!b)
        return;
    size_t room = b->n < OUTPUT_KEPT ? OUTPUT_KEPT - b->n : 0;
    sv_buf_add(b, chunk, n < room ? n : room);
}

/* Reads what is there now; false at the end of the stream. */
static bool drain(struct child *c, int fd, bool is_out)
{
    char chunk[16 * 1024];
    /* Bounded, so that a child that never stops talking cannot keep us from its deadline. */
    for (int i = 0; i < 64; i++) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n == 0)
            return false;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        keep(is_out ? c->keep_out : c->keep_err, chunk, (size_t)n);
        if (is_out && c->proc->on_output)
            c->proc->on_output(c->proc->arg, chunk, (size_t)n);
    }
    return true;
}

/* --- waiting --- */

static enum sv_err why_stop(const struct sv_proc *p, struct sv_error *err)
{
    if (sv_deadline_cancelled(p->deadline))
        return sv_fail(err, SV_E_JOB_CANCELLED, SV_F_NONE);
    if (sv_deadline_over(p->deadline))
        return sv_fail(err, SV_E_JOB_DEADLINE, SV_F_NONE, p->argv[0]);
    return SV_OK;
}

static int poll_time(const struct sv_proc *p)
{
    int64_t left = sv_deadline_left(p->deadline);
    bool watch = p->deadline && p->deadline->cancel;
    if (left == INT64_MAX && !watch)
        return -1;
    return left < POLL_MS ? (int)left : POLL_MS;
}

/* Until the child has ended, or must. Not until its streams are closed: a daemon it left behind may
 * hold them for ever. */
static enum sv_err wait_child(struct child *c, struct sv_error *err)
{
    for (;;) {
        enum sv_err rc = why_stop(c->proc, err);
        if (rc)
            return rc;
        struct pollfd fds[] = {{.fd = c->pidfd, .events = POLLIN},
                               {.fd = c->out[0], .events = POLLIN},
                               {.fd = c->err[0], .events = POLLIN}};
        if (poll(fds, 3, poll_time(c->proc)) < 0 && errno != EINTR)
            return fail_errno(err, "poll", errno);
        bool ended = fds[0].revents != 0;
        if (c->out[0] >= 0 && (ended || fds[1].revents) && !drain(c, c->out[0], true))
            close_fd(&c->out[0]);
        if (c->err[0] >= 0 && (ended || fds[2].revents) && !drain(c, c->err[0], false))
            close_fd(&c->err[0]);
        if (ended)
            return SV_OK;
    }
}

/* Only our own child: others of this process belong to other threads. */
static int reap(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 255;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static enum sv_err run_child(struct child *c, int *ret_status, struct sv_error *err)
{
    enum sv_err rc;
    c->pidfd = pidfd_open(c->pid, 0);
    if (c->pidfd < 0)
        rc = fail_errno(err, "pidfd_open", errno);
    else
        rc = wait_child(c, err);
    if (rc) {
        /* The child leads a group of its own; not reaped yet, so neither number can be another's. */
        kill(-c->pid, SIGKILL);
        kill(c->pid, SIGKILL);
    }
    int status = reap(c->pid);
    if (!rc)
        *ret_status = status;
    return rc;
}

enum sv_err sv_proc_run(const struct sv_proc *p, int *ret_status, struct sv_error *err)
{
    struct child c = {
        .in = -1, .out = {-1, -1}, .err = {-1, -1}, .pidfd = -1, .keep_out = p->out, .keep_err = p->err, .proc = p};
    enum sv_err rc = why_stop(p, err);
    if (rc)
        return rc;
    if (!open_streams(&c)) {
        rc = fail_errno(err, "pipe", errno);
        close_streams(&c);
        return rc;
    }
    struct sv_spawn s = {.argv = p->argv,
                         .stdio = {c.in, c.out[1], c.err[1]},
                         .netns_fd = p->netns_fd,
                         .cpu_s = p->cpu_s,
                         .memory_bytes = p->memory_bytes,
                         .file_bytes = p->file_bytes};
    int number = sv_spawn(&s, &c.pid);
    close_fd(&c.in);
    close_fd(&c.out[1]);
    close_fd(&c.err[1]);
    rc = number ? fail_errno(err, p->argv[0], number) : run_child(&c, ret_status, err);
    close_streams(&c);
    return rc;
}

/* --- what outlives us --- */

static int start(const char *const *argv, int in, pid_t *ret_pid)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const struct sv_spawn s = {.argv = argv, .stdio = {in, null, STDERR_FILENO}, .outlives = true};
    const int number = null < 0 ? errno : sv_spawn(&s, ret_pid);
    close_fd(&null);
    return number;
}

enum sv_err sv_proc_start(const char *const *argv, int *ret_stdin, pid_t *ret_pid, struct sv_error *err)
{
    int ends[2] = {-1, -1};
    int number = pipe2(ends, O_CLOEXEC) != 0 ? errno : 0;
    if (!number)
        number = start(argv, ends[0], ret_pid);
    close_fd(&ends[0]);
    if (number) {
        close_fd(&ends[1]);
        return fail_errno(err, argv[0], number);
    }
    *ret_stdin = ends[1];
    return SV_OK;
}
