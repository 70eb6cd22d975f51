#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "starvirt/proc.h"

/* The shell is a convenient child here; the product never runs one. */
#define SH(script) ((const char *const[]){"sh", "-c", (script), NULL})

static enum sv_err run(struct sv_proc *p, int *status, struct sv_error *err)
{
    *status = -77;
    return sv_proc_run(p, status, err);
}

static void expect_output(const char *script, int want_status, const char *want_out, const char *want_err)
{
    struct sv_buf out = {0}, errs = {0};
    struct sv_proc p = {.argv = SH(script), .out = &out, .err = &errs};
    struct sv_error err;
    int status;
    CHECK_INT(run(&p, &status, &err), SV_OK);
    CHECK_INT(status, want_status);
    CHECK_STR(out.p ? out.p : "", want_out);
    CHECK_STR(errs.p ? errs.p : "", want_err);
    sv_buf_free(&out);
    sv_buf_free(&errs);
}

static void status_and_streams(void)
{
    expect_output("echo out; echo err >&2; exit 3", 3, "out\n", "err\n");
    expect_output("true", 0, "", "");
    expect_output("kill -9 $$", 137, "", "");
    expect_output("kill -15 $$", 143, "", "");
    expect_output("cat", 0, "", ""); /* stdin is empty */
}

static void no_shell(void)
{
    struct sv_buf out = {0};
    const char *const argv[] = {"echo", "$HOME; `id` | cat > x", "-n", NULL};
    struct sv_proc p = {.argv = argv, .out = &out};
    int status;
    CHECK_INT(run(&p, &status, NULL), SV_OK);
    CHECK_STR(out.p, "$HOME; `id` | cat > x -n\n");
    sv_buf_free(&out);
}

static void not_found(void)
{
    struct sv_error err;
    int status;
    const char *const nowhere[] = {"no-such-program-here", NULL};
    struct sv_proc p = {.argv = nowhere};
    CHECK_INT(run(&p, &status, &err), SV_E_SYSTEM);
    CHECK_STR(err.arg[0], "no-such-program-here: No such file or directory");
    CHECK_INT(status, -77);
    const char *const directory[] = {"/etc", NULL};
    p.argv = directory;
    CHECK_INT(run(&p, &status, &err), SV_E_SYSTEM);
    CHECK_STR(err.arg[0], "/etc: Permission denied");
}

/* More than a pipe holds, in and out at once. */
static void input_comes_back(void)
{
    struct sv_buf in = {0}, out = {0};
    for (int i = 0; i < 100000; i++)
        sv_buf_printf(&in, "%06d\n", i);
    const char *const cat[] = {"cat", NULL};
    struct sv_proc p = {.argv = cat, .input = in.p, .input_len = in.n, .out = &out};
    int status;
    CHECK_INT(run(&p, &status, NULL), SV_OK);
    CHECK_INT(out.n, in.n);
    CHECK_STR(out.p, in.p);
    sv_buf_free(&in);
    sv_buf_free(&out);
    /* A child that does not read its input is no error. */
    p.argv = (const char *const[]){"true", NULL};
    p.input = "ignored";
    p.input_len = 7;
    CHECK_INT(run(&p, &status, NULL), SV_OK);
    CHECK_INT(status, 0);
}

static void count_output(void *arg, const char *chunk, size_t n)
{
    size_t *sum = arg;
    CHECK(n == 0 || chunk[0] == '\0');
    *sum += n;
}

static void output_limit(void)
{
    struct sv_buf out = {0}, errs = {0};
    size_t seen = 0;
    struct sv_proc p = {.argv = SH("head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2"),
                        .out = &out,
                        .err = &errs,
                        .on_output = count_output,
                        .arg = &seen};
    int status;
    CHECK_INT(run(&p, &status, NULL), SV_OK);
    CHECK_INT(status, 0);
    CHECK_INT(seen, 3000000);
    CHECK_INT(out.n, 1024 * 1024);
    CHECK_INT(errs.n, 1024 * 1024);
    sv_buf_free(&out);
    sv_buf_free(&errs);
}

static void deadline(void)
{
    struct sv_deadline d = {.mono_ms = sv_mono_ms() + 200};
    struct sv_error err;
    struct sv_proc p = {.argv = SH("sleep 60 & sleep 60; echo never"), .deadline = &d};
    int status;
    int64_t before = sv_mono_ms();
    CHECK_INT(run(&p, &status, &err), SV_E_JOB_DEADLINE);
    int64_t took = sv_mono_ms() - before;
    CHECK(took >= 190 && took < 5000);
    CHECK_STR(err.arg[0], "sh");
    CHECK_INT(status, -77);
    /* Already over: the child is not even started. */
    const char *const nowhere[] = {"no-such-program-here", NULL};
    p.argv = nowhere;
    CHECK_INT(run(&p, &status, &err), SV_E_JOB_DEADLINE);
}

/* A child that floods its output cannot outlive its deadline. */
static void deadline_of_a_talker(void)
{
    struct sv_deadline d = {.mono_ms = sv_mono_ms() + 200};
    struct sv_proc p = {.argv = SH("cat /dev/zero"), .deadline = &d};
    int status;
    int64_t before = sv_mono_ms();
    CHECK_INT(run(&p, &status, NULL), SV_E_JOB_DEADLINE);
    CHECK(sv_mono_ms() - before < 5000);
}

static atomic_bool cancel_flag;

static void cancel_on_output(void *arg, const char *chunk, size_t n)
{
    (void)arg, (void)chunk, (void)n;
    atomic_store(&cancel_flag, true);
}

static void cancel(void)
{
    atomic_store(&cancel_flag, false);
    struct sv_deadline d = {.cancel = &cancel_flag};
    struct sv_proc p = {.argv = SH("echo ready; sleep 60"), .deadline = &d, .on_output = cancel_on_output};
    int status;
    int64_t before = sv_mono_ms();
    CHECK_INT(run(&p, &status, NULL), SV_E_JOB_CANCELLED);
    CHECK(sv_mono_ms() - before < 5000);
}

static void limits(void)
{
    struct sv_buf out = {0};
    struct sv_proc p = {
        .argv = SH("ulimit -t; ulimit -v; ulimit -c"), .out = &out, .cpu_s = 7, .memory_bytes = 64 << 20};
    int status;
    CHECK_INT(run(&p, &status, NULL), SV_OK);
    CHECK_STR(out.p, "7\n65536\n0\n");
    out.n = 0;
    /* And they hold: an endless loop is ended by the kernel, memory past the limit is refused. */
    p = (struct sv_proc){.argv = SH("while :; do :; done"), .cpu_s = 1};
    CHECK_INT(run(&p, &status, NULL), SV_OK);
    CHECK_INT(status, 128 + SIGKILL);
    p = (struct sv_proc){.argv = SH("dd if=/dev/zero of=/dev/null bs=128M count=1 2>/dev/null"),
                         .memory_bytes = 64 << 20};
    CHECK_INT(run(&p, &status, NULL), SV_OK);
    CHECK(status != 0);
    char file[] = "/tmp/starvirt-proc-XXXXXX";
    struct stat st;
    close(mkstemp(file));
    SV_AUTOFREE char *of = sv_asprintf("of=%s", file);
    p = (struct sv_proc){.argv = (const char *const[]){"dd", "if=/dev/zero", of, "bs=64K", "count=100", NULL},
                         .file_bytes = 1 << 20};
    CHECK_INT(run(&p, &status, NULL), SV_OK);
    CHECK_INT(status, 128 + SIGXFSZ);
    CHECK_INT(stat(file, &st), 0);
    CHECK_INT(st.st_size, 1 << 20);
    unlink(file);
    sv_buf_free(&out);
}

/* Only 0, 1 and 2 are open in the child (ls opens the directory itself, as 3). */
static void descriptors(void)
{
    int leak = open("/dev/null", O_RDONLY); /* without CLOEXEC on purpose */
    int high = fcntl(leak, F_DUPFD, 200);
    struct sv_buf out = {0};
    const char *const ls[] = {"ls", "/proc/self/fd", NULL};
    struct sv_proc p = {.argv = ls, .out = &out};
    int status;
    CHECK(high >= 200);
    CHECK_INT(run(&p, &status, NULL), SV_OK);
    CHECK_STR(out.p, "0\n1\n2\n3\n");
    close(leak);
    close(high);
    /* Nor does the parent keep any. */
    int before = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(before);
    for (int i = 0; i < 20; i++)
        CHECK_INT(run(&p, &status, NULL), SV_OK);
    int after = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(after);
    CHECK_INT(after, before);
    sv_buf_free(&out);
}

static void closed_stdio(void)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(0);
        close(1);
        struct sv_buf out = {0}, errs = {0};
        struct sv_proc p = {
            .argv = SH("cat; echo out; echo err >&2"), .input = "in\n", .input_len = 3, .out = &out, .err = &errs};
        int status;
        bool ok = run(&p, &status, NULL) == SV_OK && status == 0 && strcmp(out.p, "in\nout\n") == 0 &&
                  strcmp(errs.p, "err\n") == 0;
        sv_buf_free(&out);
        sv_buf_free(&errs);
        _exit(ok ? 0 : 1);
    }
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
}

static void on_signal(int number)
{
    (void)number;
}

/* The child starts with nothing blocked, ignored or handled, and ours are as before. */
static void signals(void)
{
    sigset_t block, now;
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &block, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_signal);
    struct sv_buf out = {0};
    const char *const sed[] = {"sed", "-n", "/^Sig[BIC]/p", "/proc/self/status", NULL};
    struct sv_proc p = {.argv = sed, .out = &out};
    int status;
    CHECK_INT(run(&p, &status, NULL), SV_OK);
    CHECK_STR(out.p, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n");
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    CHECK(sigismember(&now, SIGUSR1) == 1 && sigismember(&now, SIGTERM) == 0);
    CHECK(signal(SIGPIPE, SIG_DFL) == SIG_IGN);
    CHECK(signal(SIGTERM, SIG_DFL) == on_signal);
    sv_buf_free(&out);
}

static void c_locale(void)
{
    setenv("LANG", "zh_CN.UTF-8", 1);
    setenv("LC_MESSAGES", "zh_CN.UTF-8", 1);
    setenv("KEPT", "yes", 1);
    expect_output("echo \"$LC_ALL-$LANG-$LC_MESSAGES-$KEPT\"", 0, "C---yes\n", "");
}

/* A daemon that keeps the streams open does not hold the caller; it also survives. */
static void daemon_left_behind(void)
{
    struct sv_buf out = {0};
    struct sv_proc p = {.argv = SH("setsid sleep 30 & echo $!"), .out = &out};
    int status;
    int64_t before = sv_mono_ms(), pid = 0;
    CHECK_INT(run(&p, &status, NULL), SV_OK);
    CHECK(sv_mono_ms() - before < 10000);
    CHECK(out.n > 1);
    out.p[out.n - 1] = '\0';
    CHECK(sv_parse_int(out.p, &pid) && pid > 1);
    CHECK_INT(kill((pid_t)pid, SIGKILL), 0);
    sv_buf_free(&out);
}

/* Other children of the process are not ours to reap. */
static void reaps_only_its_own(void)
{
    pid_t other = fork();
    CHECK(other >= 0);
    if (other == 0)
        _exit(9);
    siginfo_t info;
    CHECK_INT(waitid(P_PID, (id_t)other, &info, WEXITED | WNOWAIT), 0);
    expect_output("exit 4", 4, "", "");
    int status;
    CHECK_INT(waitpid(other, &status, 0), other);
    CHECK_INT(WEXITSTATUS(status), 9);
}

static void *run_many(void *arg)
{
    for (int i = 0; i < 25; i++) {
        struct sv_buf out = {0};
        struct sv_proc p = {.argv = (const char *const[]){"echo", arg, NULL}, .out = &out};
        int status;
        CHECK_INT(run(&p, &status, NULL), SV_OK);
        CHECK_INT(status, 0);
        CHECK(strncmp(out.p, arg, strlen(arg)) == 0);
        sv_buf_free(&out);
    }
    return NULL;
}

static void many_threads(void)
{
    char names[4][8] = {"one", "two", "three", "four"};
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        CHECK_INT(pthread_create(&t[i], NULL, run_many, names[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
}

/* Needs root: a namespace of our own, seen by the child and not entered by us. */
static void network_namespace(void)
{
    int pipe_fd[2];
    CHECK_INT(pipe(pipe_fd), 0);
    pid_t holder = fork();
    CHECK(holder >= 0);
    if (holder == 0) {
        char ok = unshare(CLONE_NEWNET) == 0 ? 'y' : 'n';
        if (write(pipe_fd[1], &ok, 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    char ok = 'n';
    CHECK_INT(read(pipe_fd[0], &ok, 1), 1);
    if (ok == 'y') {
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)holder);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct sv_buf theirs = {0}, ours = {0};
        const char *const readlink_argv[] = {"readlink", "/proc/self/ns/net", NULL};
        struct sv_proc p = {.argv = readlink_argv, .out = &theirs, .netns_fd = fd};
        int status;
        CHECK(fd > 0);
        CHECK_INT(run(&p, &status, NULL), SV_OK);
        p.netns_fd = 0;
        p.out = &ours;
        CHECK_INT(run(&p, &status, NULL), SV_OK);
        CHECK(strcmp(theirs.p, ours.p) != 0);
        sv_buf_free(&theirs);
        sv_buf_free(&ours);
        close(fd);
    } else {
        fprintf(stderr, "  (skipped: may not make a network namespace)\n");
    }
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
}

/* Started by a thread that ends, it goes on; it hears when its pipe closes, and by what. */
struct outliving {
    int in;
    pid_t pid;
};

static void *start_it(void *arg)
{
    struct outliving *o = arg;
    struct sv_error err;
    CHECK_INT(sv_proc_start(SH("read x; [ \"$x\" = ok ]"), &o->in, &o->pid, &err), SV_OK);
    return NULL;
}

static void outlives(void)
{
    for (int tell = 0; tell < 2; tell++) {
        struct outliving o = {-1, -1};
        pthread_t t;
        int status = -1;
        CHECK_INT(pthread_create(&t, NULL, start_it, &o), 0);
        CHECK_INT(pthread_join(t, NULL), 0);
        CHECK_INT(getsid(o.pid), o.pid);
        CHECK_INT(waitpid(o.pid, &status, WNOHANG), 0);
        if (tell)
            CHECK_INT(write(o.in, "ok\n", 3), 3);
        close(o.in);
        CHECK_INT(waitpid(o.pid, &status, 0), o.pid);
        CHECK(WIFEXITED(status));
        CHECK_INT(WEXITSTATUS(status), tell ? 0 : 1);
    }
    const char *const none[] = {"/no/such/program", NULL};
    struct sv_error err;
    int in = -1;
    pid_t pid = -1;
    CHECK_INT(sv_proc_start(none, &in, &pid, &err), SV_E_SYSTEM);
    CHECK_INT(in, -1);
}

CHECK_MAIN(T(status_and_streams), T(no_shell), T(not_found), T(input_comes_back), T(output_limit), T(deadline),
           T(deadline_of_a_talker), T(cancel), T(limits), T(descriptors), T(closed_stdio), T(signals), T(c_locale),
           T(daemon_left_behind), T(outlives), T(reaps_only_its_own), T(many_threads), T(network_namespace))
