/* Load balancers of one router, whatever engine made its namespace: HAProxy for tcp, http and https, nginx's stream
 * module for udp. Both run inside that namespace, without root's rights once they have their sockets; their files lie
 * in a directory of their own. What is given is the whole: apply makes it so and, called again, touches nothing.
 *
 * HAProxy asks each node as its balancer says. nginx cannot: of udp a node counts as down for `check_every` once
 * `retries` answers failed (an ICMP error: nobody listens, or nobody is there); one that merely keeps silent is not
 * told from one that has nothing to say. */
#ifndef STARVIRT_NET_BALANCE_H
#define STARVIRT_NET_BALANCE_H

#include <stdbool.h>

#include "starvirt/clock.h"
#include "starvirt/error.h"
#include "starvirt/net_wanted.h"

/* v: those that are on, in order of ids. `dir` is made when it is not there, its parent is there; only root may look
 * into it. Their addresses need not be on a device yet. Each text is tried first: one that HAProxy or nginx refuses
 * leaves that one as it is, while the other follows. NETWORK, UNSUPPORTED where a program is missing, INTERNAL for what
 * core should have refused. Counters of nodes begin anew with a configuration that had to be loaded. */
enum sv_err balance_apply(const struct sv_deadline *d, int netns_fd, const char *dir, const struct sv_net_balancer *v,
                          size_t n, struct sv_error *err);
/* Processes end, files and directory go; absent: success. Without the namespace (-1) by what the files say. */
enum sv_err balance_remove(const struct sv_deadline *d, int netns_fd, const char *dir, struct sv_error *err);
/* Does all run that the files in `dir` say: each master in the namespace, and a worker of its own that works? */
enum sv_err balance_whole(const struct sv_deadline *d, int netns_fd, const char *dir, bool *ret, struct sv_error *err);
/* How the nodes are, as HAProxy says now; those of udp balancers are not among them. Nothing where none runs. */
enum sv_err balance_nodes(const struct sv_deadline *d, const char *dir, sv_net_node_fn *row, void *arg,
                          struct sv_error *err);

#endif
