/* Balancers, inside. Texts and what is read out of texts are pure functions; haproxy.c and nginx.c are what runs. */
#ifndef STARVIRT_NET_BALANCE_INTERNAL_H
#define STARVIRT_NET_BALANCE_INTERNAL_H

#include "net/balance.h"
#include "net/tools.h"
#include "starvirt/proc.h"

/* Those of the list that HAProxy serves, or that nginx does. */
struct balancers {
    const struct sv_net_balancer **v;
    size_t n;
};
#define BALANCE_SHAPE_LEN 16
#define BALANCE_NAME_MAX  (2 * SV_ID_LEN) /* of a server: "<node id>:<ip>:<port>" */

/* --- haproxy_text.c --- */
/* The whole configuration. Its paths are below the directory that HAProxy is started in. `shape` gets a digest of all
 * but the nodes and the certificates: what can only be changed by loading it anew. INTERNAL when something could break
 * out of its line (threat 15). */
enum sv_err haproxy_text(const struct balancers *b, struct sv_buf *ret, char shape[BALANCE_SHAPE_LEN + 1],
                         struct sv_error *err);
/* A server carries its address in its name: one that moves is another. */
void haproxy_server_name(const struct sv_net_node *node, char buf[BALANCE_NAME_MAX]);
unsigned haproxy_weight(const struct sv_net_balancer *b, const struct sv_net_node *node);
/* "check inter 5s fall 3 rise 2" */
void haproxy_check_words(const struct sv_net_balancer *b, struct sv_buf *ret);

/* --- nginx_text.c --- */
enum sv_err nginx_text(const struct balancers *b, struct sv_buf *ret, struct sv_error *err);

/* --- table.c: rows that HAProxy prints, below a line "# name name ..." --- */
enum { TABLE_COLUMNS = 8 };
struct table {
    const char *at, *end;
    char separator; /* ',' with quotes, or ' ' */
    size_t count;
    size_t column[TABLE_COLUMNS];
};
struct cell {
    const char *p;
    size_t n;
};
/* False when a column is missing. */
bool table_open(struct table *t, const struct sv_buf *text, char separator, const char *const *columns, size_t count);
/* The next row that has all of them: cells in the order asked for; false at the end. */
bool table_next(struct table *t, struct cell ret[TABLE_COLUMNS]);
bool cell_is(const struct cell *c, const char *text);
/* 0 for what is no number. */
uint64_t cell_number(const struct cell *c);

/* --- running.c: what HAProxy says of itself --- */
struct running_server {
    char backend[BALANCE_NAME_MAX], name[BALANCE_NAME_MAX];
    unsigned admin, weight;
    char *line; /* as HAProxy writes it down */
};
struct running {
    int64_t pid; /* of the worker that answers */
    char shape[BALANCE_SHAPE_LEN + 1];
    struct running_server *v;
    size_t n, cap;
};
/* Of `show info;show servers state`. False: not an answer. */
bool running_read(const struct sv_buf *said, struct running *ret);
/* Of `show info`: who says it, 0 for nobody. */
int64_t running_pid(const struct sv_buf *said);
void running_free(struct running *r);
/* Commands, a line each, that make the nodes that run those that are wanted; none: they are. */
void running_changes(const struct running *is, const struct balancers *want, struct sv_buf *ret);
/* What a worker that follows is to know of the nodes that both have: how they are. */
void running_state(const struct running *is, const struct balancers *want, struct sv_buf *ret);
/* Of `show stat`. */
void running_facts(const struct sv_buf *stat, sv_net_node_fn *row, void *arg);

/* --- ask.c --- */
/* One command to HAProxy's socket, its whole answer. */
enum sv_err haproxy_ask(const struct sv_deadline *d, const char *dir, const char *command, struct sv_buf *ret,
                        struct sv_error *err);

/* --- certs.c: the files of certificates --- */
struct certs {
    struct cert {
        char name[SV_ID_LEN + 5]; /* "<balancer>.pem" */
        struct sv_buf pem;
        char sha1[41];
        bool differs; /* from the file that is there */
    } * v;
    size_t n;
    bool differs;
};
enum sv_err certs_read(const struct balancers *b, const char *dir, struct certs *ret, struct sv_error *err);
enum sv_err certs_write(const struct certs *c, const char *dir, struct sv_error *err);
/* Files of certificates that are not among them. */
enum sv_err certs_sweep(const struct certs *c, const char *dir, struct sv_error *err);
void certs_free(struct certs *c);

/* --- place.c: what both programs share --- */
struct place {
    struct sv_deadline deadline; /* absent parts as in clock.h */
    int netns_fd;
    const char *dir;
    struct balancers want;
};
char *place_file(const struct place *p, const char *name);
/* Any address can be bound there from now on. */
enum sv_err place_prepare(int netns_fd, struct sv_error *err);
/* An empty namespace that is so, for a program that only tries. The caller closes it. */
enum sv_err place_nowhere(const struct place *p, int *ret_netns_fd, struct sv_error *err);
/* Runs argv in the namespace; what it says when it fails is the error, from `mark` on where that is found. */
enum sv_err place_run(const struct place *p, const char *const *argv, const char *mark, struct sv_error *err);
/* argv, without any power that a balancer does not need. */
enum sv_err place_start(const struct place *p, const char *const *argv, const char *mark, struct sv_error *err);
/* UNSUPPORTED, naming the package. */
enum sv_err place_program(const char *program, const char *package, char **ret, struct sv_error *err);
/* These files and what is half written of them. */
enum sv_err place_forget(const struct place *p, const char *const *names, size_t n, struct sv_error *err);
/* A while, for a condition to come; false when time is up. */
bool place_wait(const struct sv_deadline *d);
/* Stops what has this mark, and what is left of the program in the namespace. */
enum sv_err place_stop(const struct place *p, struct daemon *d, struct sv_error *err);

/* --- haproxy.c, nginx.c --- */
/* As p->want says; none: it ends and its files go. */
enum sv_err haproxy_ensure(const struct place *p, struct sv_error *err);
enum sv_err nginx_ensure(const struct place *p, struct sv_error *err);
/* True also where there is no text for it. */
enum sv_err haproxy_whole(const struct place *p, bool *ret, struct sv_error *err);
enum sv_err nginx_whole(const struct place *p, bool *ret, struct sv_error *err);

#endif
