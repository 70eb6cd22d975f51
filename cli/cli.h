/* starvirt, the command line: a client of the API that knows the operations from the same rows as the
 * server. A command is a row over an operation; there is no second list of parameters. */
#ifndef STARVIRT_CLI_CLI_H
#define STARVIRT_CLI_CLI_H

#include "starvirt/api.h"

#include <stdio.h>

enum { SV_EXIT_OK = 0, SV_EXIT_FAILED = 1, SV_EXIT_USAGE = 2 };

/* --- settings.c: flags, environment, ~/.config/starvirt/config, in this order ------------------------ */

struct sv_settings {
    const char *server, *token, *token_file, *cacert;
    const char *data, *connect, *image_dir; /* fsck */
    const char *file;                       /* the body of an upload */
    const char *idempotency_key;
    const char *lang; /* Accept-Language */
    bool json, wait, help, version;
    bool dot; /* net show */
    struct sv_arena *arena;
};
/* Takes the flags out of argv; the words left are in ret_words (arena). False: said why on stderr. */
bool sv_settings_flags(struct sv_settings *s, int argc, char *const *argv, const char ***ret_words, size_t *ret_n);
/* Environment and file, for what the flags left open. */
bool sv_settings_rest(struct sv_settings *s);
void sv_settings_help(void);

/* --- json.c: reads what sv_client_reply() wrote ------------------------------------------------------- */

enum sv_node_kind { SV_NODE_OBJ, SV_NODE_LIST, SV_NODE_STR, SV_NODE_OTHER };
struct sv_node {
    enum sv_node_kind kind;
    const char *key;  /* in an object */
    const char *text; /* STR: decoded; all others: as written */
    const struct sv_node *child, *next;
};
/* NULL if it is not JSON. */
const struct sv_node *sv_node_parse(const char *text, struct sv_arena *a);
const struct sv_node *sv_node_get(const struct sv_node *obj, const char *key); /* NULL = not there */
/* The text under key; "" if not there. */
const char *sv_node_text(const struct sv_node *obj, const char *key);

/* --- routes.c: words -> a route and its parameters ---------------------------------------------------- */

struct sv_target {
    const struct sv_dialect *dialect;
    const struct sv_route *route;
    const char **pairs; /* "key=value" */
    size_t n;
};
/* `operation`: path as in the document, or a path with its id filled in; method NULL = the only one there
 * is. Says on stderr what is wrong. */
bool sv_target_find(const struct sv_api *api, const char *method, const char *operation, struct sv_arena *a,
                    struct sv_target *ret);
/* "key=value", "key=@FILE" (its contents, "-" = stdin), "key=@@text" for a value that begins with '@'. */
bool sv_target_add(struct sv_target *t, const char *pair, struct sv_arena *a);
void sv_target_set(struct sv_target *t, const char *key, const char *value, struct sv_arena *a);
/* The URL below the server's, parameters of path and query filled in. False if a path one is missing. */
bool sv_target_url(const struct sv_target *t, struct sv_buf *out);
void sv_target_help(const struct sv_target *t);
bool sv_is_method(const char *word);

/* --- client.c: HTTP ----------------------------------------------------------------------------------- */

struct sv_answer {
    long status;
    const char *json;           /* compact; NULL = not an envelope */
    const struct sv_node *root; /* of json */
    const char *pretty;
    bool ok;         /* it tells of success */
    const char *raw; /* the body as it came */
};
/* False: not reached; said why on stderr unless `quiet`. */
bool sv_client_call(struct sv_settings *s, const struct sv_target *t, bool quiet, struct sv_answer *ret);

/* --- show.c: for people -------------------------------------------------------------------------------- */

/* Data as a table or as lines; columns NULL = the route's fields. */
void sv_show_answer(const struct sv_answer *a, const struct sv_route *route, const char *const *columns);
void sv_show_failure(const struct sv_answer *a);
/* What the reply says beside its data, on stderr. */
void sv_show_warning(const struct sv_answer *a, const struct sv_wire *w);
/* Text without what would steer a terminal. */
void sv_print_clean(FILE *f, const char *text);

/* --- call.c, follow.c ----------------------------------------------------------------------------------- */

/* Calls, prints, waits for its jobs with --wait. An exit code. */
int sv_run_target(struct sv_settings *s, const struct sv_api *api, const struct sv_target *t,
                  const char *const *columns);
/* Log lines and progress until the job ends; SV_EXIT_OK when it ended well. */
/* "[####....] 42% name" on standard error, over the one before. */
void sv_bar_show(int64_t percent, const char *name);
void sv_bar_clear(void);
int sv_follow(struct sv_settings *s, const struct sv_api *api, const char *startid);

/* --- commands.c, complete.c, fsck.c, net_show.c, token.c
 * ---------------------------------------------------------------------- */

enum { SV_MAX_WORDS = 5, SV_MAX_COLUMNS = 12 };
struct sv_command {
    const char *group, *verb;
    const char *method, *path;           /* the operation; NULL: `run` */
    const char *words[SV_MAX_WORDS + 1]; /* what its words mean, in order; "@" = --file */
    unsigned needed;                     /* how many of them */
    const char *columns[SV_MAX_COLUMNS + 1];
    int (*run)(struct sv_settings *s, const struct sv_api *api, const char **words, size_t n);
    const char *usage, *doc;
};
/* Ends with group == NULL. */
extern const struct sv_command sv_commands[];
int sv_complete(const struct sv_api *api, const char **words, size_t n);
int sv_run_token_reset(struct sv_settings *s, const struct sv_api *api, const char **words, size_t n);
int sv_run_net_show(struct sv_settings *s, const struct sv_api *api, const char **words, size_t n);
int sv_run_fsck(struct sv_settings *s, const struct sv_api *api, const char **words, size_t n);

#endif
