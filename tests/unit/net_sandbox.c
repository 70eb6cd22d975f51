#include "net_sandbox.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "starvirt/proc.h"

enum { SKIPPED = 77 };

struct sv_net *net;
struct sv_error err;
char work[] = "/tmp/test_net.XXXXXX";
const char *outer;
const char *net_engine = "linux";
const struct sv_net_options *net_options;

int run_argv(const char *const *argv, struct sv_buf *out)
{
    int status = -1;
    const struct sv_deadline limit = sv_deadline_within(NULL, 30000);
    const struct sv_proc p = {.argv = argv, .out = out, .deadline = &limit};
    OK(sv_proc_run(&p, &status, &err));
    return status;
}

void guest_plug(const char *netns, const char *tap, const char *bridge, const char *mac)
{
    CHECK_INT(RUN("ip", "netns", "add", netns), 0);
    CHECK_INT(RUN("ip", "link", "add", tap, "type", "veth", "peer", "name", "eth0", "address", mac, "netns", netns), 0);
    CHECK_INT(RUN("ip", "link", "set", tap, "master", bridge, "up"), 0);
    CHECK_INT(RUN("ip", "-n", netns, "link", "set", "eth0", "up"), 0);
}

void guest_unplug(const char *netns)
{
    CHECK_INT(RUN("ip", "-n", netns, "link", "del", "eth0"), 0);
    CHECK_INT(RUN("ip", "netns", "del", netns), 0);
}

bool ping(const char *netns, const char *address)
{
    return RUN("ip", "netns", "exec", netns, "busybox", "ping", "-c", "1", "-W", "1", address) == 0;
}

static void write_guest_script(void)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/udhcpc", work);
    FILE *f = fopen(path, "w");
    CHECK(f);
    fprintf(f,
            "#!/bin/sh\n[ \"$1\" = bound ] && echo \"$ip $mask $router $hostname\" >%s/bound\n"
            "[ \"$1\" = bound ] && ip addr replace $ip/$mask dev $interface && ip route replace default via $router\n"
            "exit 0\n",
            work);
    fclose(f);
    CHECK_INT(chmod(path, 0755), 0);
}

const char *guest_dhcp(const char *netns)
{
    static char got[256];
    char path[256], script[256];
    snprintf(path, sizeof(path), "%s/bound", work);
    snprintf(script, sizeof(script), "%s/udhcpc", work);
    write_guest_script();
    unlink(path);
    RUN("ip", "netns", "exec", netns, "busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "2", "-T", "1", "-O",
        "hostname", "-s", script);
    FILE *f = fopen(path, "r");
    if (!f)
        return NULL;
    got[fread(got, 1, sizeof(got) - 1, f)] = '\0';
    fclose(f);
    got[strcspn(got, "\n")] = '\0';
    return got;
}

static void skip(const char *why)
{
    printf("SKIP: %s\n", why);
    exit(SKIPPED);
}

static void need(const char *program)
{
    if (RUN("which", program) != 0)
        skip(program);
}

static int in_sandbox(const struct check_test *tests, size_t n, void (*prepare)(void), int argc, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    CHECK_INT(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    CHECK_INT(mount("proc", "/proc", "proc", 0, NULL), 0);
    CHECK_INT(mount("tmpfs", "/run", "tmpfs", 0, "mode=755"), 0);
    CHECK_INT(RUN("ip", "link", "set", "lo", "up"), 0);
    if (prepare)
        prepare();
    const struct sv_net_options usual = {.data_dir = work, .outer = outer};
    OK(sv_net_open(net_engine, net_options ? net_options : &usual, &net, &err));
    int status = check_run(tests, n, argc, argv);
    sv_net_close(net);
    return status;
}

/* The process that makes a PID namespace can start nothing more once that one has ended: not this one. */
static int make_sandbox(const struct check_test *tests, size_t n, void (*prepare)(void), int argc, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    CHECK_INT(unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID), 0);
    pid_t pid = fork();
    if (pid == 0)
        exit(in_sandbox(tests, n, prepare, argc, argv));
    int status = -1;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int net_sandbox(const struct check_test *tests, size_t n, void (*prepare)(void), int argc, char **argv)
{
    if (geteuid() != 0)
        skip("needs root");
    need("ip");
    need("dnsmasq");
    need("busybox");
    CHECK(mkdtemp(work));
    CHECK_INT(chmod(work, 0755), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(make_sandbox(tests, n, prepare, argc, argv));
    int status = -1;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    RUN("rm", "-rf", work);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
