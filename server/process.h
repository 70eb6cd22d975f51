/* What the server needs of the process it is, and of who started it. */
#ifndef STARVIRT_SERVER_PROCESS_H
#define STARVIRT_SERVER_PROCESS_H

#include "starvirt/error.h"

#include <signal.h>
#include <stdint.h>

/* Before any thread is made: all of them inherit that the signals in *ret_ends, which are for the main thread to wait
 * for, are blocked. Also raises the limit of descriptors, and leaves no core files. */
void sv_process_prepare(sigset_t *ret_ends);
/* CONFIG for a TZ that names no time zone, which would silently be UTC; SYSTEM for too few descriptors. */
enum sv_err sv_process_check(struct sv_error *err);
/* Connections at a time: as many as wanted, or as there are descriptors for. */
unsigned sv_process_connections(int64_t wanted);

#endif
