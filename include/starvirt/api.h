/* The protocol toolkit: rows -> routing, parameters, replies, descriptions. Knows no rule and no SQL.
 *
 * A dialect is a list of route tables. From the rows come routing, 404/405 with Allow, validation with
 * an error that names the field and its range, OpenAPI and WADL, the reference page, the derived
 * negative tests, the command line's `call`, and --dump-routes. There is no second list. */
#ifndef STARVIRT_API_H
#define STARVIRT_API_H

#include "starvirt/actor.h"
#include "starvirt/error.h"
#include "starvirt/mem.h"
#include "starvirt/text.h"

struct sv_cloud; /* core's; handed through */
struct sv_tx;    /* db's; handed through */

/* --- parameter rows ----------------------------------------------------------------------------- */

enum sv_ptype {
    SV_T_STR,   /* const char *, NULL = absent */
    SV_T_ID,    /* const char *, any text: an id that does not exist is the core's to refuse */
    SV_T_INT,   /* struct sv_opt_int */
    SV_T_BOOL,  /* struct sv_opt_bool */
    SV_T_ENUM,  /* const char *: the row's own spelling */
    SV_T_IP,    /* const char *, dotted IPv4 */
    SV_T_IPS,   /* const char *, comma list of IP or CIDR */
    SV_T_PORTS, /* const char *, comma list of port or lo:hi */
    SV_T_TIME,  /* struct sv_opt_int [ms UTC] */
    SV_T_PEM,   /* const char * */
    SV_T_LIST,  /* struct sv_strs */
};
struct sv_opt_int {
    int64_t v;
    bool set;
};
struct sv_opt_bool {
    bool v, set;
};
struct sv_strs {
    const char *const *v;
    size_t n;
};

enum sv_pin { SV_IN_BODY, SV_IN_PATH, SV_IN_QUERY };
enum {
    SV_P_REQUIRED = 1,
    SV_P_MIN = 2, /* .min is the document's */
    SV_P_MAX = 4,
    SV_P_OUR_MIN = 8, /* .min is ours: enforced and described, not part of the document's contract */
    SV_P_OUR_MAX = 16,
    SV_P_SECRET = 32,   /* never logged */
    SV_P_EXTENSION = 64 /* the whole parameter is ours (for example tenant.id for admins) */
};

struct sv_param {
    const char *name; /* wire key */
    enum sv_ptype type;
    enum sv_pin in;
    unsigned flags;
    size_t offset;             /* into the input struct */
    int64_t min, max;          /* INT: value; STR, PEM: bytes; LIST: elements (0 = the toolkit's own limit) */
    const char *const *values; /* ENUM, NULL-terminated */
    enum sv_field field;       /* the core field behind it, for errors from below */
    const char *unit;          /* "MB", NULL = none */
    const char *doc_zh, *doc_en;
};
/* Offset with a compile-time guard on the member's type. */
#define SV_OFF(type, st, m) (offsetof(st, m) + 0 * sizeof(char[_Generic(((st *)0)->m, type : 1)]))
#define SV_OFF_STR(st, m)   SV_OFF(const char *, st, m)
#define SV_OFF_INT(st, m)   SV_OFF(struct sv_opt_int, st, m)
#define SV_OFF_BOOL(st, m)  SV_OFF(struct sv_opt_bool, st, m)
#define SV_OFF_LIST(st, m)  SV_OFF(struct sv_strs, st, m)

/* --- routes ------------------------------------------------------------------------------------- */

enum sv_kind { SV_SYNC, SV_ASYNC, SV_ASYNC_EACH };
/* Where the handler runs: over a read snapshot on the I/O thread; as one write transaction on the
 * writer; or on a request worker, free to block, opening its own transactions. */
enum sv_runs { SV_RUN_READ, SV_RUN_WRITE, SV_RUN_BLOCK };
enum sv_data { SV_DATA_NONE, SV_DATA_OBJ, SV_DATA_LIST };

struct sv_call;
struct sv_reply;
typedef enum sv_err (*sv_handler)(struct sv_call *c, const void *in, struct sv_reply *out);

struct sv_route {
    const char *section; /* of the StarVCenter document, or the extension's group */
    const char *method;  /* "GET", "POST", "PUT", "DELETE" */
    const char *path;    /* under the base URL; one {name} per segment at most */
    enum sv_kind kind;
    enum sv_runs runs;
    enum sv_role role;
    const struct sv_param *params; /* NULL = none */
    size_t param_count;
    size_t in_size; /* of the input struct, which starts zeroed */
    enum sv_data data;
    /* Reply fields of data, NULL-terminated. Strings, but "name[]" is a list and "name#" a number, and "name+" is ours:
     * the mark is for the descriptions and no part of the name. */
    const char *const *fields;
    sv_handler handler; /* NULL: not yet, answers NOT_IMPLEMENTED */
    bool extension;     /* ours, not the document's */
    bool raw_body;      /* the body is a file, streamed to c->upload_path before the handler runs */
    const char *doc_zh, *doc_en;
};
#define SV_PARAMS(a) .params = (a), .param_count = sizeof(a) / sizeof((a)[0])
#define SV_FIELDS(...)                                                                                                 \
    .fields = (const char *const[])                                                                                    \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }
#define SV_VALUES(...)                                                                                                 \
    .values = (const char *const[])                                                                                    \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }

struct sv_route_table {
    const struct sv_route *routes;
    size_t count;
};
struct sv_dialect {
    const char *name, *title;
    const char *base;                           /* "/starvcenter/services/cloudresource/" */
    const char *describe;                       /* "/starvcenter/services" */
    const struct sv_route_table *const *tables; /* one a resource, NULL-terminated */
};

/* --- a call ------------------------------------------------------------------------------------- */

struct sv_call {
    struct sv_cloud *cloud;
    struct sv_tx *tx; /* READ and WRITE routes; NULL on BLOCK */
    struct sv_actor actor;
    const struct sv_route *route;
    struct sv_arena *arena; /* lives until the reply is sent */
    enum sv_lang lang;
    const char *upload_path; /* raw_body: a private file; unlinked after the call unless upload_keep is set */
    bool upload_keep;
    struct sv_error *err;
    /* Long poll: a READ handler that finds nothing new sets `wait_key` ("job:<id>", "events") and
     * `wait_ms` and returns SV_OK without writing data: the call is parked and the handler runs again
     * on a change of that key, and once more when the time is over (then `wait_over` is set). */
    const char *wait_key;
    int64_t wait_ms;
    bool wait_over;
    /* The address of the page that shows this VM's screen, good for one use; NULL when the client did not say
     * how it reaches us. The server's. */
    const char *(*console_url)(const struct sv_call *c, const struct sv_id *tenant, const struct sv_id *vm,
                               const char *name);
    void *console_arg;
};

/* --- replies: streamed JSON inside the envelope --------------------------------------------------- */

struct sv_reply {
    struct sv_json j;
    bool any; /* data was written */
    struct sv_id startid;
    bool has_count;
    uint64_t count;
};
/* data: {...} */
void sv_reply_obj(struct sv_reply *r);
void sv_reply_end_obj(struct sv_reply *r);
/* data: [...]; sv_reply_obj()/end inside makes its elements */
void sv_reply_list(struct sv_reply *r);
void sv_reply_end_list(struct sv_reply *r);
void sv_put_str(struct sv_reply *r, const char *key, const char *v);
void sv_put_id(struct sv_reply *r, const char *key, const struct sv_id *v);
void sv_put_int(struct sv_reply *r, const char *key, int64_t v); /* "5": values are strings */
void sv_put_num(struct sv_reply *r, const char *key, int64_t v); /* 5: the few the document calls long */
void sv_put_bool(struct sv_reply *r, const char *key, bool v);   /* "true" */
void sv_put_time(struct sv_reply *r, const char *key, int64_t utc_ms);
void sv_put_ip(struct sv_reply *r, const char *key, uint32_t ip); /* 0 = "" */

/* --- the toolkit's own entry points (called by server/ and cli/) -------------------------------- */

struct sv_api;
/* `dialects`: NULL-terminated array. Checks the rows (duplicate routes, offsets past in_size, path
 * parameters without a row, ...) and fails loudly on a bad one. */
enum sv_err sv_api_new(const struct sv_dialect *const *dialects, struct sv_api **ret, struct sv_error *err);
void sv_api_free(struct sv_api *api);

struct sv_match {
    const struct sv_dialect *dialect; /* NULL: the path belongs to none */
    const struct sv_route *route;
    struct {
        const char *p;
        size_t n;
    } path_value;   /* of the {name} segment */
    char allow[64]; /* with METHOD_NOT_ALLOWED */
};
/* NOT_FOUND, METHOD_NOT_ALLOWED or SV_OK. Blanks in a path, a trailing slash and a doubled slash are
 * tolerated as the document's own examples have them. Literal segments win over {name}. */
enum sv_err sv_api_match(const struct sv_api *api, const char *method, const char *path, struct sv_match *ret,
                         struct sv_error *err);

struct sv_input {
    const char *content_type; /* NULL = none */
    const char *body;
    size_t body_len;
    const char *query; /* raw query string without '?', NULL = none */
};
/* Form -> KEY_PARAM -> Base64 -> JSON -> the route's input struct in the arena. Unknown keys are listed
 * in *ret_unknown (arena, comma list, NULL = none) for the log. */
enum sv_err sv_api_bind(const struct sv_match *m, const struct sv_input *in, struct sv_arena *a, void **ret_in,
                        const char **ret_unknown, struct sv_error *err);

/* Envelope around a handler's reply. begin, handler, end; `out` then holds Base64 of the envelope. */
void sv_reply_begin(struct sv_reply *r, struct sv_buf *json);
void sv_reply_finish(struct sv_reply *r, const struct sv_route *route, struct sv_buf *json, struct sv_buf *out);
/* The failure envelope; `route` may be NULL. Maps err->field to the wire key through the route's rows.
 * result is "1003" for TOKEN_*, else "1". */
void sv_reply_failure(const struct sv_error *e, const struct sv_route *route, enum sv_lang lang, struct sv_buf *out);
/* HTTP status of an error: 200 for business results, 4xx/5xx for protocol faults. */
int sv_err_http_status(enum sv_err code);

/* Descriptions, derived from the rows. */
void sv_describe_openapi(const struct sv_api *api, struct sv_buf *out); /* 3.1 JSON */
void sv_describe_wadl(const struct sv_api *api, struct sv_buf *out);
void sv_describe_html(const struct sv_api *api, enum sv_lang lang, struct sv_buf *out);
/* One line an operation, in the shape of tests/api-data/starvcenter.jsonl, plus "role", "runs", "extension", "served".
 */
void sv_describe_dump(const struct sv_api *api, struct sv_buf *out);
/* Every route, in table order. */
void sv_api_each(const struct sv_api *api, void (*fn)(void *arg, const struct sv_dialect *d, const struct sv_route *r),
                 void *arg);

/* Client side of the same envelope (command line): key=value pairs -> KEY_PARAM form body. */
void sv_client_body(const struct sv_route *route, const char *const *pairs, size_t n, struct sv_buf *out);
/* Base64 envelope -> pretty or compact JSON; false if it is not one. *ret_result: "0", "1", "1003". */
bool sv_client_reply(const char *body, size_t n, bool pretty, struct sv_buf *out, char ret_result[8]);

#endif
