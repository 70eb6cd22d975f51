/* Child processes: argv only, never a shell (threats 11, 12), bounded in time, memory and output. */
#ifndef STARVIRT_PROC_H
#define STARVIRT_PROC_H

#include "starvirt/clock.h"
#include "starvirt/error.h"
#include "starvirt/mem.h"

#include <sys/types.h>

struct sv_proc {
    const char *const *argv; /* argv[0] is looked up in PATH; NULL-terminated */
    const char *input;       /* stdin text or NULL (/dev/null) */
    size_t input_len;
    struct sv_buf *out;                 /* stdout, at most 1 MiB kept; NULL = discard */
    struct sv_buf *err;                 /* stderr, likewise */
    int64_t cpu_s, memory_bytes;        /* rlimits; 0 = none */
    int64_t file_bytes;                 /* likewise: no file grows past it */
    const struct sv_deadline *deadline; /* over or cancelled: SIGKILL to the child */
    int netns_fd;                       /* enter this network namespace first; <= 0 = stay */
    /* Called with each chunk of stdout as it comes (progress); may be NULL. */
    void (*on_output)(void *arg, const char *chunk, size_t n);
    void *arg;
};
/* Runs to the end. SV_OK with *ret_status = exit code (128+n for signal n), or SV_E_SYSTEM,
 * SV_E_JOB_DEADLINE, SV_E_JOB_CANCELLED. Descriptors above 2 are not inherited. */
enum sv_err sv_proc_run(const struct sv_proc *p, int *ret_status, struct sv_error *err);
/* Starts one that goes on when we end, even when we are killed: the pipe to its stdin then closes. Its stderr
 * is ours, its stdout goes nowhere. The caller closes and reaps. */
enum sv_err sv_proc_start(const char *const *argv, int *ret_stdin, pid_t *ret_pid, struct sv_error *err);

#endif
