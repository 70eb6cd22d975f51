/* The delicate half of sv_proc_run: starting a program from a process with many threads. */
#ifndef STARVIRT_BASE_SPAWN_H
#define STARVIRT_BASE_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sv_spawn {
    const char *const *argv;
    int stdio[3]; /* become 0, 1, 2; nothing else is inherited */
    int netns_fd; /* <= 0: stay */
    int64_t cpu_s, memory_bytes, file_bytes;
    bool outlives; /* in a session of its own, and goes on when we end */
};

/* 0 with *ret_pid once the program runs, else an errno (also of what failed in the child). The child
 * leads a process group of its own and dies with the calling thread, unless it outlives. */
int sv_spawn(const struct sv_spawn *s, pid_t *ret_pid);

#endif
