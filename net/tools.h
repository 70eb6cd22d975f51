/* What engines and balancers share: files, programs, namespaces, processes that outlive the server. */
#ifndef STARVIRT_NET_TOOLS_H
#define STARVIRT_NET_TOOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "starvirt/clock.h"
#include "starvirt/error.h"
#include "starvirt/mem.h"

enum { NET_COMMAND_MS = 10000 }; /* one `ip`, or one start of dnsmasq */

/* --- tools.c --- */
/* Absolute path of a program, NULL if there is none. Free with free(). */
char *tool_find(const char *name);
/* Runs argv, for NET_COMMAND_MS at most; anything but exit code 0 is NETWORK with the program's own first line. What it
 * prints is added to *out, at most 1 MiB. `input`, `out`: or NULL; netns_fd: 0 = here. */
enum sv_err program_run(const struct sv_deadline *d, const char *const *argv, const char *input, int netns_fd,
                        struct sv_buf *out, struct sv_error *err);
enum sv_err net_errno(struct sv_error *err, const char *what, const char *path);
/* A file that is not there is empty. */
enum sv_err file_read(const char *path, struct sv_buf *ret, struct sv_error *err);
/* Whole or not at all; not touched when it already says this. */
enum sv_err file_write(const char *path, const void *text, size_t n, bool *ret_changed, struct sv_error *err);
bool same_text(const struct sv_buf *a, const struct sv_buf *b);
enum sv_err file_remove(const char *path, struct sv_error *err);
void fd_closep(int *fd);
#define SV_AUTOFD SV_CLEANUP(fd_closep)

/* --- netns.c: network namespaces --- */
/* Runs fn in the namespace, on a thread of its own: no other thread ever sees it. */
enum sv_err netns_call(int netns_fd, void (*fn)(void *arg), void *arg, struct sv_error *err);
/* The namespace, or -1 when there is none of that name (a left-over file is none). */
int netns_open(const char *path);

/* --- daemon.c: processes that outlive the server --- */
/* How one is known again. */
struct daemon_mark {
    const char *program; /* "dnsmasq" */
    const char *arg;     /* of its command line, as no other has it: a path of its own files is in it */
};
struct daemon {
    const char *program; /* of its mark */
    pid_t pid;           /* 0 = not running */
    int pidfd;
    bool there; /* runs in just this namespace */
    bool exact; /* and with just this argv */
};
/* By pid file, then by looking through all processes: whatever runs with this mark; of several the one that began the
 * others. */
enum sv_err daemon_find(const struct daemon_mark *mark, const char *pid_file, const char *const *argv, int netns_fd,
                        struct daemon *ret, struct sv_error *err);
enum sv_err daemon_stop(struct daemon *d, const struct sv_deadline *deadline, struct sv_error *err);
bool daemon_signal(const struct daemon *d, int number);
void daemon_forget(struct daemon *d);
/* Kills what of this program is left in a namespace of ours: workers without their master. */
enum sv_err daemon_end_all(const char *program, int netns_fd, const struct sv_deadline *deadline, struct sv_error *err);
/* Calls for each process that `parent` began and that is there still. */
enum sv_err daemon_children(pid_t parent, void (*child)(void *arg, pid_t pid), void *arg, struct sv_error *err);

#endif
