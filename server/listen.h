/* The listening socket: handed over by a service manager, or our own. */
#ifndef STARVIRT_SERVER_LISTEN_H
#define STARVIRT_SERVER_LISTEN_H

#include "starvirt/error.h"

/* `spec`: "127.0.0.1:18081", "[::1]:18081", ":18081" (all addresses). A socket of LISTEN_FDS/LISTEN_PID
 * (the first) wins. The socket listens and does not block. CONFIG for a `spec` that cannot be, SYSTEM for one that the
 * machine does not give; both name the option. */
enum sv_err sv_listen_open(const char *option, const char *spec, int *ret_fd, struct sv_error *err);
/* "127.0.0.1:18081" of what the socket is bound to. */
void sv_listen_name(int fd, char *buf, size_t size);
/* sd_notify: "READY=1", "STOPPING=1"; nothing happens without NOTIFY_SOCKET. */
void sv_notify(const char *state);

#endif
