/* A network engine in namespaces of its own: nothing of the machine is touched, and all of it ends with the process. */
#ifndef NET_SANDBOX_H
#define NET_SANDBOX_H

#include "check.h"
#include "starvirt/mem.h"
#include "starvirt/net.h"

extern struct sv_net *net;  /* open while tests run */
extern struct sv_error err; /* of the last call */
extern char work[];         /* its data directory */
extern const char *outer;   /* bridge of the outer network that it is opened with, which `prepare` made; NULL = none */
/* Another engine than "linux", and all that it is opened with; for `prepare` to choose. */
extern const char *net_engine;
extern const struct sv_net_options *net_options;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != SV_OK)                                                                                           \
            check_failed(__FILE__, __LINE__, "%s: %s: %s %s", #call, sv_err_symbol(err.code), err.arg[0], err.arg[1]); \
    } while (0)

int run_argv(const char *const *argv, struct sv_buf *out);
#define RUN(...) run_argv((const char *const[]){__VA_ARGS__, NULL}, NULL)
/* A "guest": a namespace with one device on a bridge. */
void guest_plug(const char *netns, const char *tap, const char *bridge, const char *mac);
void guest_unplug(const char *netns);
/* Asks for a lease and configures it: "ip mask router hostname", or NULL when nobody answered. */
const char *guest_dhcp(const char *netns);
bool ping(const char *netns, const char *address);
/* main() of such a test: exit code 77 where it cannot run. `prepare` may be NULL. */
int net_sandbox(const struct check_test *tests, size_t n, void (*prepare)(void), int argc, char **argv);

#endif
