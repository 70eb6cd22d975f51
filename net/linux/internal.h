/* The Linux engine, inside. One VPC is
 *
 *     guests' taps ── bridge svb… ── veth svl… ══ gw0 in namespace sv-… : gateway address, dnsmasq
 *
 * and files under DIR/net/<vpc id>/. The dots are the last twelve hex digits of the VPC's id: its random
 * part, short enough for a device name. The bridge carries the whole id as its alias, so that a device
 * of somebody else is never taken for ours. The machine itself has no address in a VPC.
 *
 * Nothing is remembered between calls: each looks at the kernel, the process and the files, and mends
 * what differs. */
#ifndef STARVIRT_NET_LINUX_INTERNAL_H
#define STARVIRT_NET_LINUX_INTERNAL_H

#include <sys/types.h>

#include "starvirt/mem.h"
#include "starvirt/net.h"
#include "starvirt/proc.h"

enum { NET_COMMAND_MS = 10000 }; /* one `ip` or one start of dnsmasq */
#define GATEWAY_DEV "gw0"

struct linux_net {
    struct sv_net head;
    char *dir;                    /* DIR/net, absolute */
    char *ip, *dnsmasq, *setpriv; /* absolute paths */
};

/* Everything that is derived from a VPC's id. */
struct names {
    char bridge[16], leg[16], netns[20], netns_path[40];
    char *dir; /* DIR/net/<id> */
};
void names_of(const struct linux_net *net, const struct sv_id *vpc, struct names *ret);
void names_free(struct names *n);
void tap_name(const struct sv_id *nic, char buf[16]);

/* A VPC during one call. */
struct vpc {
    const struct linux_net *net;
    const struct sv_net_vpc *want;
    struct names names;
    struct sv_deadline deadline; /* absent parts as in clock.h */
};

/* --- tools.c: programs, files, descriptors --- */
/* Runs argv; anything but exit code 0 is NETWORK with the program's own first line. */
enum sv_err tool_run(const struct vpc *v, const char *const *argv, const char *input, int netns_fd,
                     struct sv_error *err);
/* `ip [-n netns] -batch -`; nothing to do when `batch` is empty. */
enum sv_err ip_batch(const struct vpc *v, const char *netns, const struct sv_buf *batch, struct sv_error *err);
/* Absolute path of a program, NULL if there is none. Free with free(). */
char *tool_find(const char *name);
enum sv_err net_errno(struct sv_error *err, const char *what, const char *path);
/* A file that is not there is empty. */
enum sv_err file_read(const char *path, struct sv_buf *ret, struct sv_error *err);
/* Whole or not at all; not touched when it already says this. */
enum sv_err file_write(const char *path, const void *text, size_t n, bool *ret_changed, struct sv_error *err);
bool same_text(const struct sv_buf *a, const struct sv_buf *b);
enum sv_err file_remove(const char *path, struct sv_error *err);
void fd_closep(int *fd);
#define SV_AUTOFD SV_CLEANUP(fd_closep)

/* --- look.c: what the kernel holds --- */
struct device {
    int index;  /* 0 = there is none */
    int master; /* index of its bridge */
    bool up;
    char kind[16], alias[64];
};
enum sv_err device_look(const char *name, struct device *ret, struct sv_error *err);
/* Runs fn in the namespace, on a thread of its own: no other thread ever sees it. */
enum sv_err netns_call(int netns_fd, void (*fn)(void *arg), void *arg, struct sv_error *err);
/* The namespace, or -1 when there is none of that name (a left-over file is none). */
int netns_open(const char *path);
/* /proc/sys/net/ipv4/conf/DEV/KEY; a kernel without the key has nothing to switch off. */
bool sysctl_set(const char *family, const char *device, const char *key, const char *value);

/* --- link.c: bridge, namespace, veth, gateway address --- */
/* NICs of running guests are plugged into a bridge that had to be made again. */
enum sv_err link_ensure(const struct vpc *v, const struct sv_net_nic *nics, size_t n, struct sv_error *err);
enum sv_err link_remove(const struct vpc *v, struct sv_error *err);

/* --- dhcp.c: dnsmasq and its leases --- */
enum sv_err dhcp_ensure(const struct vpc *v, const struct sv_net_nic *nics, size_t n, struct sv_error *err);
enum sv_err dhcp_remove(const struct vpc *v, struct sv_error *err);

/* --- lease.c: the texts dnsmasq reads and writes --- */
/* The hosts file: one line a NIC, sorted by address. INTERNAL when a host name could break out of its line. */
enum sv_err hosts_text(const struct sv_net_nic *nics, size_t n, struct sv_buf *ret, struct sv_error *err);
/* True when every line of `old` is also in `text`: nothing was taken away or changed. */
bool hosts_only_added(const struct sv_buf *old, const struct sv_buf *text);
/* Keeps the leases that belong to one of the NICs; true when any other was dropped. */
bool leases_filter(const struct sv_buf *leases, const struct sv_net_nic *nics, size_t n, struct sv_buf *ret);

/* --- daemon.c: the dnsmasq process --- */
struct daemon {
    pid_t pid; /* 0 = not running */
    int pidfd;
    bool exact; /* runs with just this argv, in just this namespace */
};
/* By pid file, then by looking through all processes: whatever runs for this VPC. */
enum sv_err daemon_find(const char *pid_file, const char *const *argv, int netns_fd, struct daemon *ret,
                        struct sv_error *err);
enum sv_err daemon_stop(struct daemon *d, const struct sv_deadline *deadline, struct sv_error *err);
bool daemon_reload(const struct daemon *d);
void daemon_forget(struct daemon *d);

#endif
