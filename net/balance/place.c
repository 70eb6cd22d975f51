#include "net/balance/internal.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

enum { WAIT_MS = 10 };

char *place_file(const struct place *p, const char *name)
{
    return sv_asprintf("%s/%s", p->dir, name);
}

bool place_wait(const struct sv_deadline *d)
{
    poll(NULL, 0, WAIT_MS);
    return !sv_deadline_over(d) && !sv_deadline_cancelled(d);
}

/* --- namespaces --- */

/* An address is bound whether it is there or not: it may come later, or be with the other half of a router that has
 * two. In the namespace of the calling thread. */
static bool bind_any(void)
{
    SV_AUTOFD int fd = open("/proc/sys/net/ipv4/ip_nonlocal_bind", O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, "1", 1) == 1;
}

static void prepare(void *arg)
{
    bool *done = arg;
    *done = bind_any();
}

enum sv_err place_prepare(int netns_fd, struct sv_error *err)
{
    bool done = false;
    if (netns_fd < 0) /* never on the machine's own network */
        return sv_fail(err, SV_E_NETWORK, SV_F_NONE, "the namespace of the router is gone");
    const enum sv_err rc = netns_call(netns_fd, prepare, &done, err);
    return rc || done ? rc : net_errno(err, "write", "ip_nonlocal_bind");
}

static void leave(void *arg)
{
    int *fd = arg;
    if (unshare(CLONE_NEWNET) == 0 && bind_any())
        *fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

enum sv_err place_nowhere(const struct place *p, int *ret_netns_fd, struct sv_error *err)
{
    int fd = -1;
    const enum sv_err rc = netns_call(p->netns_fd, leave, &fd, err);
    if (rc)
        return rc;
    if (fd < 0)
        return net_errno(err, "create", "network namespace");
    *ret_netns_fd = fd;
    return SV_OK;
}

/* --- programs --- */

enum sv_err place_program(const char *program, const char *package, char **ret, struct sv_error *err)
{
    *ret = tool_find(program);
    if (*ret)
        return SV_OK;
    SV_AUTOFREE char *why = sv_asprintf("balancers need the program %s (package %s)", program, package);
    return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, why);
}

static enum sv_err failed(const char *program, const char *said, const char *mark, struct sv_error *err)
{
    const char *name = strrchr(program, '/');
    const char *at = strstr(said, mark);
    at = at ? at + strlen(mark) : said;
    at += strspn(at, " ");
    SV_AUTOFREE char *why =
        sv_asprintf("%s: %.*s", name ? name + 1 : program, (int)strcspn(at, "\n"), at[0] ? at : "no reason given");
    return sv_fail(err, SV_E_NETWORK, SV_F_NONE, why);
}

static enum sv_err run(const struct place *p, const char *const *argv, const char *program, const char *mark,
                       struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf said = {0};
    const struct sv_deadline limit = sv_deadline_within(&p->deadline, NET_COMMAND_MS);
    const struct sv_proc proc = {.argv = argv, .err = &said, .deadline = &limit, .netns_fd = p->netns_fd};
    int status = 0;
    enum sv_err rc = sv_proc_run(&proc, &status, err);
    if (!rc && status != 0)
        rc = failed(program, said.p ? said.p : "", mark, err);
    return rc;
}

enum sv_err place_run(const struct place *p, const char *const *argv, const char *mark, struct sv_error *err)
{
    return run(p, argv, argv[0], mark, err);
}

enum sv_err place_start(const struct place *p, const char *const *argv, const char *mark, struct sv_error *err)
{
    /* CAP_KILL: a master has to tell its worker, who is nobody, to end. */
    static const char *const less[] = {NULL, "--no-new-privs", "--inh-caps=-all",
                                       "--bounding-set=-all,+kill,+net_bind_service,+setgid,+setuid,+sys_chroot", "--"};
    const char *whole[32];
    size_t n = 0;
    SV_AUTOFREE char *setpriv = NULL;
    enum sv_err rc = place_program("setpriv", "util-linux", &setpriv, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < sizeof(less) / sizeof(less[0]); i++)
        whole[n++] = less[i];
    whole[0] = setpriv;
    for (size_t i = 0; argv[i] && n + 1 < sizeof(whole) / sizeof(whole[0]); i++)
        whole[n++] = argv[i];
    whole[n] = NULL;
    if (p->netns_fd < 0) /* never on the machine's own network */
        return sv_fail(err, SV_E_NETWORK, SV_F_NONE, "the namespace of the router is gone");
    return run(p, whole, argv[0], mark, err);
}

enum sv_err place_forget(const struct place *p, const char *const *names, size_t n, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    for (size_t i = 0; !rc && i < n; i++) {
        SV_AUTOFREE char *path = place_file(p, names[i]);
        SV_AUTOFREE char *half = sv_asprintf("%s.new", path);
        rc = file_remove(path, err);
        if (!rc)
            rc = file_remove(half, err);
    }
    return rc;
}

enum sv_err place_stop(const struct place *p, struct daemon *d, struct sv_error *err)
{
    const enum sv_err rc = daemon_stop(d, &p->deadline, err);
    return rc ? rc : daemon_end_all(d->program, p->netns_fd, &p->deadline, err);
}
