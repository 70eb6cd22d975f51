/* A network that is books only, as a simulated host is: a file a unit, which says what the engine was given, and
 * switches that make it fail or hang. For tests and for trying. */
#ifndef NET_SIM_INTERNAL_H
#define NET_SIM_INTERNAL_H

#include "starvirt/mem.h"
#include "starvirt/net.h"

struct sim_net {
    struct sv_net base;
    char *dir; /* DIR/net/sim */
};

/* --- what a unit is, a line a thing, the words parted by blanks (net/sim/text.c) --- */
void sim_net_vpc_text(struct sv_buf *out, const struct sv_net_vpc *vpc, const struct sv_net_nic *nics, size_t n);
void sim_net_filter_text(struct sv_buf *out, const struct sv_net_filter *f);
void sim_net_group_text(struct sv_buf *out, const struct sv_net_group *g);
void sim_net_router_text(struct sv_buf *out, const struct sv_net_router *r);

/* --- DIR/net/sim/KIND/ID (net/sim/books.c) --- */
enum sim_net_kind { SIM_NET_VPC, SIM_NET_ROUTER, SIM_NET_GROUP, SIM_NET_FILTER, SIM_NET_HOST, SIM_NET_KINDS };
enum sv_err sim_net_books_open(const char *dir, struct sv_error *err);
enum sv_err sim_net_put(struct sim_net *net, enum sim_net_kind kind, const struct sv_id *id, const struct sv_buf *text,
                        struct sv_error *err);
enum sv_err sim_net_drop(struct sim_net *net, enum sim_net_kind kind, const struct sv_id *id, struct sv_error *err);
enum sv_err sim_net_list(struct sim_net *net, enum sim_net_kind kind, void (*row)(void *arg, const struct sv_id *id),
                         void *arg, struct sv_error *err);
/* Its text; *ret_there false: there is none. */
enum sv_err sim_net_get(struct sim_net *net, enum sim_net_kind kind, const struct sv_id *id, struct sv_buf *ret,
                        bool *ret_there, struct sv_error *err);
/* The switches: files in DIR/net/sim, words parted by white space: an operation ("router_apply"), an id, "all".
 * fail: NETWORK. hang: nothing happens until the word is gone; NETWORK at the deadline. die-before, die-after: the
 * program kills itself before the books are touched, or once they are. */
enum sv_err sim_net_switches(struct sim_net *net, const char *op, const struct sv_id *id, const struct sv_deadline *d,
                             struct sv_error *err);
void sim_net_dies(const struct sim_net *net, const char *name, const char *op, const struct sv_id *id);
/* The switch `second`: of this router of two the second instance has taken over. */
bool sim_net_second(const struct sim_net *net, const struct sv_id *router);

#endif
