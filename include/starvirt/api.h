/* The protocol toolkit: rows -> routing, parameters, replies, descriptions. Knows no rule and no SQL.
 *
 * A dialect is a list of route tables and a wire: how it speaks. From the rows come routing, 404/405 with Allow,
 * validation with an error that names the field and its range, OpenAPI and WADL, the reference page, the derived
 * negative tests, the command line's `call`, and --dump-routes. There is no second list. What differs between
 * dialects on the wire (bodies, envelope, tokens, error codes, the look of values) is struct sv_wire: const rows
 * and a few functions. Handlers see structs and never JSON. */
#ifndef STARVIRT_API_H
#define STARVIRT_API_H

#include <sys/types.h>

#include "starvirt/actor.h"
#include "starvirt/error.h"
#include "starvirt/id.h"
#include "starvirt/mem.h"
#include "starvirt/text.h"

struct sv_cloud; /* core's; handed through */
struct sv_tx;    /* db's; handed through */

struct sv_slice {
    const char *p; /* NULL = absent */
    size_t n;
};

/* --- parameter rows ----------------------------------------------------------------------------- */

enum sv_ptype {
    SV_T_STR,   /* const char *, NULL = absent */
    SV_T_ID,    /* const char *, any text, an id in lower case: one that does not exist is the core's to refuse */
    SV_T_INT,   /* struct sv_opt_int */
    SV_T_BOOL,  /* struct sv_opt_bool */
    SV_T_ENUM,  /* const char *: the row's own spelling */
    SV_T_IP,    /* const char *, dotted IPv4 */
    SV_T_IPS,   /* const char *, comma list of IP, CIDR or IP-IP; what they mean is the core's to judge */
    SV_T_PORTS, /* const char *, comma list of port or lo:hi */
    SV_T_TIME,  /* struct sv_opt_int [ms UTC] */
    SV_T_PEM,   /* const char * */
    SV_T_LIST,  /* struct sv_strs */
    SV_T_OBJ,   /* const void *: a struct of its own, filled from .sub; NULL = absent. Body only, as the next one */
    SV_T_OBJS,  /* struct sv_objs: a list of such */
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
struct sv_objs {
    const void *v; /* n structs of the row's sub_size, one after the other */
    size_t n;
};

/* One value of a row whose integers are codes. */
struct sv_code {
    int64_t v;
    const char *zh, *en; /* what it means; tables end with en == NULL */
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
    size_t offset;               /* into the input struct */
    int64_t min, max;            /* INT: value; STR, PEM: bytes; LIST, OBJS: elements (0 = the toolkit's own limit) */
    const char *const *values;   /* ENUM, NULL-terminated */
    unsigned our_values;         /* so many of its last ones are ours, not part of the document's contract */
    const struct sv_code *codes; /* INT: all there are; errors list them. NULL = any number */
    enum sv_field field;         /* the core field behind it, for errors from below */
    const char *unit;            /* "MB", NULL = none */
    const char *doc_zh, *doc_en;
    const char *unless;         /* REQUIRED: not where this BOOL row, which stands before it, was given as true */
    const struct sv_param *sub; /* OBJ, OBJS: the rows of the inner object; their offsets are into its own struct */
    size_t sub_count, sub_size;
};
/* Offset with a compile-time guard on the member's type. */
#define SV_OFF(type, st, m)         (offsetof(st, m) + 0 * sizeof(char[_Generic(((st *)0)->m, type : 1)]))
#define SV_OFF_STR(st, m)           SV_OFF(const char *, st, m)
#define SV_OFF_INT(st, m)           SV_OFF(struct sv_opt_int, st, m)
#define SV_OFF_BOOL(st, m)          SV_OFF(struct sv_opt_bool, st, m)
#define SV_OFF_LIST(st, m)          SV_OFF(struct sv_strs, st, m)
#define SV_OFF_OBJ(st, m, sub_type) SV_OFF(const sub_type *, st, m)
#define SV_OFF_OBJS(st, m)          SV_OFF(struct sv_objs, st, m)
#define SV_SUB(rows, sub_type)                                                                                         \
    .sub = (rows), .sub_count = sizeof(rows) / sizeof((rows)[0]), .sub_size = sizeof(sub_type)

/* --- reply rows --------------------------------------------------------------------------------- */

enum sv_otype {
    SV_O_TEXT,  /* a string */
    SV_O_INT,   /* sv_put_int(): a number where the wire has numbers, else its text */
    SV_O_NUM,   /* sv_put_num(): a number in every wire */
    SV_O_BOOL,  /* sv_put_bool() */
    SV_O_TIME,  /* sv_put_time() */
    SV_O_TEXTS, /* a list of strings */
    SV_O_OBJ,   /* an object; .sub NULL: of any keys */
    SV_O_OBJS,  /* a list of objects */
};
enum {
    SV_O_OURS = 1,    /* not the document's */
    SV_O_SECRET = 2,  /* never logged, and the reply is not kept for Idempotency-Key */
    SV_O_OPTIONAL = 4 /* may be left out */
};
/* One key of a reply's data, in the order in which it is written. Tables end with an empty row. */
struct sv_reply_row {
    const char *name;
    enum sv_otype type;
    unsigned flags;
    const struct sv_reply_row *sub; /* OBJ, OBJS */
    const char *unit, *doc_zh, *doc_en;
};
#define SV_TEXT(key, ...)                                                                                              \
    {                                                                                                                  \
        .name = (key), .type = SV_O_TEXT, ##__VA_ARGS__                                                                \
    }
#define SV_INT(key, ...)                                                                                               \
    {                                                                                                                  \
        .name = (key), .type = SV_O_INT, ##__VA_ARGS__                                                                 \
    }
#define SV_NUM(key, ...)                                                                                               \
    {                                                                                                                  \
        .name = (key), .type = SV_O_NUM, ##__VA_ARGS__                                                                 \
    }
#define SV_BOOL(key, ...)                                                                                              \
    {                                                                                                                  \
        .name = (key), .type = SV_O_BOOL, ##__VA_ARGS__                                                                \
    }
#define SV_TIME(key, ...)                                                                                              \
    {                                                                                                                  \
        .name = (key), .type = SV_O_TIME, ##__VA_ARGS__                                                                \
    }
#define SV_TEXTS(key, ...)                                                                                             \
    {                                                                                                                  \
        .name = (key), .type = SV_O_TEXTS, ##__VA_ARGS__                                                               \
    }
#define SV_OBJ(key, rows, ...)                                                                                         \
    {                                                                                                                  \
        .name = (key), .type = SV_O_OBJ, .sub = (rows), ##__VA_ARGS__                                                  \
    }
#define SV_OBJS(key, rows, ...)                                                                                        \
    {                                                                                                                  \
        .name = (key), .type = SV_O_OBJS, .sub = (rows), ##__VA_ARGS__                                                 \
    }

/* --- routes ------------------------------------------------------------------------------------- */

enum sv_kind { SV_SYNC, SV_ASYNC, SV_ASYNC_EACH };
/* Where the handler runs, and when the request is answered: over a read snapshot on the I/O thread; as one
 * write transaction on the writer, answered after its commit; or such a transaction that accepts a job, and the
 * answer is that job's end (WAIT); or one whose reply is held back until the network engine was told of it, or for 2 s
 * (TELL). None may block. */
enum sv_runs { SV_RUN_READ, SV_RUN_WRITE, SV_RUN_WAIT, SV_RUN_TELL };
enum sv_data { SV_DATA_NONE, SV_DATA_OBJ, SV_DATA_LIST };

/* Tells operations of one method and path apart: a key of the body's outermost object. */
struct sv_key {
    const char *name;
    const char *value; /* its text; NULL: it is enough that the key is there */
};

struct sv_call;
struct sv_reply;
typedef enum sv_err (*sv_handler)(struct sv_call *c, const void *in, struct sv_reply *out);

struct sv_route {
    const char *section; /* of the dialect's document, or the extension's group */
    const char *method;  /* "GET", "POST", "PUT", "DELETE", "PATCH"; HEAD and OPTIONS follow from the others */
    const char *path;    /* under the base URL; {name} stands for a segment, several times if need be; "" = the base */
    enum sv_kind kind;
    enum sv_runs runs;
    enum sv_role role;
    bool open;                 /* no token needed: c->actor is empty */
    const struct sv_key *keys; /* all must be met; ends with an empty row. Several routes share method and path then;
                                * the one with most keys wins, one without any takes the rest. NULL = none */
    const char *under;         /* the member of the body that holds the parameters; NULL = the body itself */
    const struct sv_param *params; /* NULL = none */
    size_t param_count;
    size_t in_size; /* of the input struct, which starts zeroed */
    enum sv_data data;
    const char *data_key;              /* key around the data, in place of the wire's; NULL = as the wire says */
    const struct sv_reply_row *fields; /* of data, or of each element */
    short ok;                          /* status of success; 0 = 200. 204 has no body */
    sv_handler handler;                /* NULL: not yet, answers NOT_IMPLEMENTED */
    /* WRITE, WAIT: runs before the handler, on a thread that may block on a disk, without a transaction, and leaves
     * what it found in c->prepared; its failure is the request's, unless an Idempotency-Key has a reply. NULL = none.
     */
    sv_handler prepare;
    /* WAIT: writes the reply once the job (c->job) is done, over a read snapshot; it may run again for a repeated
     * Idempotency-Key. NULL: the reply is what the handler wrote when it accepted the job. */
    sv_handler done;
    bool extension;  /* ours, not the document's */
    bool raw_body;   /* the body is a file, streamed to c->upload_path before the handler runs */
    bool gives_file; /* success is a stream (sv_reply_file, sv_reply_stream) and no JSON */
    const char *doc_zh, *doc_en;
};
#define SV_PARAMS(a) .params = (a), .param_count = sizeof(a) / sizeof((a)[0])
#define SV_FIELDS(...)                                                                                                 \
    .fields = (const struct sv_reply_row[])                                                                            \
    {                                                                                                                  \
        __VA_ARGS__,                                                                                                   \
        {                                                                                                              \
            0                                                                                                          \
        }                                                                                                              \
    }
#define SV_VALUES(...)                                                                                                 \
    .values = (const char *const[])                                                                                    \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }
#define SV_KEYS(...)                                                                                                   \
    .keys = (const struct sv_key[])                                                                                    \
    {                                                                                                                  \
        __VA_ARGS__,                                                                                                   \
        {                                                                                                              \
            0                                                                                                          \
        }                                                                                                              \
    }
struct sv_route_table {
    const struct sv_route *routes;
    size_t count;
};

/* --- a wire: how a dialect speaks ---------------------------------------------------------------- */

/* A header that carries the token. The first row whose header came counts. */
struct sv_token_row {
    const char *header;
    const char *scheme; /* "Bearer": what stands before it, with a blank; NULL = the value is the token */
};
/* What a dialect answers for one symbol. */
struct sv_err_row {
    int code;         /* its number, where the dialect has numbers */
    short status;     /* of HTTP */
    const char *word; /* its word, where the dialect has words; NULL = none */
};
/* A whole table, complete at compile time: ROWS(X) is X(SYMBOL, code, status[, word]) for every symbol of errors.def.
 * A new symbol without a row does not compile, nor does a row too many. */
#define SV_ERR_ROW_SEEN_(sym, ...) SV_ERR_ROW_SEEN_##sym,
#define SV_ERR_ROW_HERE_(sym, ...) [SV_E_##sym] = {__VA_ARGS__},
#define SV_ERR_TABLE(table, ROWS)                                                                                      \
    enum { ROWS(SV_ERR_ROW_SEEN_) table##_rows };                                                                      \
    _Static_assert((int)table##_rows == (int)SV_ERR_COUNT - 1, "a symbol of errors.def has no row in " #table);        \
    static const struct sv_err_row table[SV_ERR_COUNT] = {ROWS(SV_ERR_ROW_HERE_)}

/* What is let through that the types alone would not. */
enum {
    SV_TAKES_NUM_TEXT = 1,  /* "5" for a number, and 5 for a string */
    SV_TAKES_BOOL_TEXT = 2, /* "true" */
    SV_TAKES_STARS = 4,     /* "vm.id*" is "vm.id", blanks around keys do not count */
    SV_TAKES_BLANKS = 8,    /* blanks in literal segments of a path do not count */
    SV_TAKES_WIDE = 16,     /* "，" and "：" between members and elements, and a comma behind the last one */
};
enum { SV_GIVES_TEXT = 1 /* numbers and booleans of replies are strings; but for sv_put_num() */ };
enum sv_time_style {
    SV_TIME_LOCAL, /* "2026-01-02 03:04:05", local time; never is "" */
    SV_TIME_Z,     /* "2026-01-02T03:04:05Z"; never is null, also of the next */
    SV_TIME_UNIX,  /* 1767323045 */
};

struct sv_input {
    const char *content_type; /* NULL = none */
    const char *body;
    size_t body_len;
    const char *query; /* raw query string without '?', NULL = none */
};
/* A failure, ready to be written. */
struct sv_fault {
    const struct sv_error *e;
    const struct sv_err_row *row;
    const char *text;  /* the sentence, in the reader's language */
    const char *field; /* wire key at fault, "" = none */
    enum sv_lang lang;
};
/* A reason for which a body is malformed: as errors have it, and what readers of Chinese get. */
struct sv_phrase {
    const char *en, *zh;
};
struct sv_wire_doc;
/* Functions may be NULL where a default is named. */
struct sv_wire {
    const struct sv_token_row *tokens; /* ends with an empty row */
    const char *challenge;             /* WWW-Authenticate of status 401; NULL = none */
    unsigned takes, gives;
    enum sv_time_style time;
    const char *body_name;           /* what errors call the JSON: "KEY_PARAM", "the body" */
    const char *const *query_keys;   /* keys of the query that `read` looks at, no parameters; NULL = none */
    const struct sv_err_row *errors; /* of SV_ERR_TABLE */
    const char *type;                /* Content-Type of replies */
    const struct sv_phrase
        *phrases; /* the reasons of `read`, beside the toolkit's; ends with an empty row; NULL = none */
    /* The text of the JSON out of a body, *ret.p NULL = none. sv_json_read() takes it as it is. */
    enum sv_err (*read)(const struct sv_input *in, struct sv_arena *a, struct sv_slice *ret, struct sv_error *err);
    /* Replies. The outermost object or list that a handler makes stands under `data_key`, NULL: it is all there is.
     * With a key, begin() writes what stands before it, the opening brace included (NULL: the brace alone), and
     * finish() what stands behind (NULL: nothing); the toolkit closes the brace. */
    const char *data_key;
    void (*begin)(struct sv_reply *r);
    void (*finish)(struct sv_reply *r);
    void (*failure)(const struct sv_fault *f, struct sv_buf *json);
    /* Key beside the data for a sentence about keys that no row knows; NULL = the wire has no place for it. */
    const char *warning;
    /* What goes out for the JSON of a reply; NULL = it does itself. */
    void (*pack)(const struct sv_buf *json, struct sv_buf *out);
    /* The other side, for the command line. The JSON object of the parameters -> body (NULL = it is the body). */
    void (*client_pack)(const struct sv_buf *json, struct sv_buf *out);
    const char *client_type; /* Content-Type of that */
    /* Reply -> its JSON; false if it is none. NULL = it is JSON. */
    bool (*client_unpack)(const char *body, size_t n, struct sv_buf *json);
    /* Key and text that tell success: "result", "0". NULL: the status below 400 does. */
    const char *ok_key, *ok_value;
    const struct sv_wire_doc *doc; /* how descriptions show it; NULL = bare JSON */
};
/* `read` of bare JSON: an object, also without Content-Type; any type but JSON's is MEDIA_TYPE. */
enum sv_err sv_json_read(const struct sv_input *in, struct sv_arena *a, struct sv_slice *ret, struct sv_error *err);
/* Percent-decodes; '+' becomes a blank if asked. False on a '%' without two hex digits. For a wire with forms. */
bool sv_percent_decode(struct sv_slice in, bool plus_is_blank, struct sv_arena *a, struct sv_slice *ret);

struct sv_dialect {
    const char *name, *title;
    const char *base;     /* "/starvcenter/services/cloudresource/"; "/" with a listener of its own */
    const char *describe; /* its reference page, on the main listener; /openapi.json below it */
    /* Served on --<name> ADDRESS:PORT alone, off by default; nothing else is there. What --help says of it; NULL: on
     * the main listener. */
    const char *own_listener;
    const struct sv_wire *wire;
    const struct sv_route_table *const *tables; /* one a resource, NULL-terminated */
};

/* --- a call ------------------------------------------------------------------------------------- */

struct sv_call {
    struct sv_cloud *cloud;
    struct sv_tx *tx;
    struct sv_id job; /* WAIT: the job that was accepted, set by the handler; left empty: nothing to wait for */
    struct sv_actor actor;
    const struct sv_route *route;
    struct sv_arena *arena; /* lives until the reply is sent */
    enum sv_lang lang;
    const void *prepared;    /* by the route's `prepare` */
    int64_t upload_size;     /* [bytes] of it */
    const char *upload_path; /* raw_body: a private file; unlinked after the call unless upload_keep is set */
    bool upload_keep;
    struct sv_error *err;
    /* Long poll: a READ handler that finds nothing new sets `wait_key` ("job:<id>", "events") and
     * `wait_ms` and returns SV_OK without writing data: the call is parked and the handler runs again
     * on a change of that key, and once more when the time is over (then `wait_over` is set). */
    const char *wait_key;
    int64_t asked_us; /* when the request came [sv_mono_us()] */
    int64_t wait_ms;
    bool wait_over;
    /* The address of the page that shows this VM's screen, good for one use; NULL when the client did not say
     * how it reaches us. The server's. */
    const char *(*console_url)(const struct sv_call *c, const struct sv_id *tenant, const struct sv_id *vm,
                               const char *name);
    void *console_arg;
};

/* --- replies: streamed JSON inside the envelope --------------------------------------------------- */

#define SV_MAX_REPLY_HEADERS 4
struct sv_reply_header {
    const char *name, *value;
};
/* Keys of a request that no row knows, "nics[1].mak" where they stand inside. Printable. */
enum { SV_MAX_UNKNOWN = 8 };
struct sv_unknown {
    const char *list; /* comma list of all, cut at 512 bytes, for the log */
    struct {
        const char *name;
        const char *near; /* the row's name that it is like, NULL = none */
    } key[SV_MAX_UNKNOWN];
    unsigned n, more; /* `more`: how many have no place here */
};
/* A body that is made while it is sent. */
struct sv_stream {
    /* Up to `n` bytes at `at`; 0 = the end, -1 = it broke. On an I/O thread: must not wait for long. NULL with `fd`. */
    ssize_t (*read)(void *arg, uint64_t at, char *buf, size_t n);
    void (*close)(void *arg); /* once, sent or not; NULL = nothing to do */
    void *arg;
    int fd;           /* a file to be sent from its beginning, closed afterwards, when `read` is NULL */
    int64_t size;     /* [bytes] -1 = not known */
    const char *type; /* Content-Type */
};
struct sv_reply {
    struct sv_json j;
    const struct sv_wire *wire;
    const struct sv_route *route;
    struct sv_arena *arena;
    bool any; /* data was written */
    bool top; /* the data stands inside an object */
    struct sv_id startid;
    bool has_count;
    uint64_t count;
    const char *next;                 /* marker of the next page, for the wire's finish(); NULL = none */
    const struct sv_unknown *unknown; /* what the request had too much, said under the wire's `warning`; NULL = none */
    enum sv_lang lang;                /* of that */
    short status;                     /* 0 = the route's */
    struct sv_reply_header header[SV_MAX_REPLY_HEADERS];
    unsigned headers;
    bool streams;
    struct sv_stream stream;
};
/* data: {...} */
void sv_reply_obj(struct sv_reply *r);
void sv_reply_end_obj(struct sv_reply *r);
/* data: [...]; sv_reply_obj()/end inside makes its elements */
void sv_reply_list(struct sv_reply *r);
void sv_reply_end_list(struct sv_reply *r);
/* Ends the list of a page, whose total r->count says; gives `rc` back. */
enum sv_err sv_reply_end_page(struct sv_reply *r, enum sv_err rc);
/* "key": {...} and "key": [...] inside an object; ended as the others */
void sv_reply_obj_in(struct sv_reply *r, const char *key);
void sv_reply_list_in(struct sv_reply *r, const char *key);
/* key NULL: an element of a list */
void sv_put_str(struct sv_reply *r, const char *key, const char *v);
void sv_put_id(struct sv_reply *r, const char *key, const struct sv_id *v);
void sv_put_int(struct sv_reply *r, const char *key, int64_t v); /* 5, or "5" where the wire's values are strings */
void sv_put_num(struct sv_reply *r, const char *key, int64_t v); /* 5: the few the document calls long */
void sv_put_bool(struct sv_reply *r, const char *key, bool v);   /* true, or "true" */
void sv_put_time(struct sv_reply *r, const char *key, int64_t utc_ms);
void sv_put_ip(struct sv_reply *r, const char *key, uint32_t ip); /* 0 = "" */
void sv_put_null(struct sv_reply *r, const char *key);
/* Sent with success, and with its repetition under the same Idempotency-Key. Texts are copied; line ends in the
 * value become blanks. At most SV_MAX_REPLY_HEADERS. */
void sv_reply_header(struct sv_reply *r, const char *name, const char *value);
/* The body is a stream. Taken over in any case; only on routes with gives_file. */
void sv_reply_stream(struct sv_reply *r, const struct sv_stream *s);
/* The same for an open file. */
void sv_reply_file(struct sv_reply *r, int fd, int64_t size, const char *type);

/* --- paging --------------------------------------------------------------------------------------- */

/* An input struct embeds `struct sv_page_in page`; the row macros fill what the document has of it. */
struct sv_page_in {
    struct sv_opt_int at;   /* page number, or offset */
    struct sv_opt_int size; /* rows of a page */
    const char *marker;     /* id of the last row seen */
};
/* What to read: from `offset`, or behind `after`; limit 0 = all. */
struct sv_window {
    uint64_t offset;
    unsigned limit;
    const char *after; /* NULL = from the first */
};
/* Page numbers from `first` (0 or 1). Neither number nor size: all rows; one without the other: the first page, or
 * pages of `usual`. */
struct sv_window sv_page_by_number(const struct sv_page_in *in, int64_t first, unsigned usual);
/* From row `at`; without a size as many as `usual` (0 = all). */
struct sv_window sv_page_by_offset(const struct sv_page_in *in, unsigned usual);
/* Behind the row `marker`; without a size as many as `usual`. */
struct sv_window sv_page_by_marker(const struct sv_page_in *in, unsigned usual);
#define SV_PAGE_AT(key, st, ...)                                                                                       \
    {                                                                                                                  \
        .name = (key), .type = SV_T_INT, .offset = SV_OFF_INT(st, page.at), __VA_ARGS__                                \
    }
#define SV_PAGE_SIZE(key, st, ...)                                                                                     \
    {                                                                                                                  \
        .name = (key), .type = SV_T_INT, .offset = SV_OFF_INT(st, page.size), __VA_ARGS__                              \
    }
#define SV_PAGE_MARKER(key, st, ...)                                                                                   \
    {                                                                                                                  \
        .name = (key), .type = SV_T_ID, .offset = SV_OFF_STR(st, page.marker), __VA_ARGS__                             \
    }

/* --- the toolkit's own entry points (called by server/ and cli/) -------------------------------- */

struct sv_api;
/* `dialects`: NULL-terminated array. Checks the rows (duplicate routes, offsets past in_size, path
 * parameters without a row, ...) and fails loudly on a bad one. */
enum sv_err sv_api_new(const struct sv_dialect *const *dialects, struct sv_api **ret, struct sv_error *err);
void sv_api_free(struct sv_api *api);
const struct sv_dialect *const *sv_api_dialects(const struct sv_api *api);

enum { SV_MAX_PATH_VALUES = 6, SV_MAX_TOKEN_ROWS = 16 };
/* Every header that carries a token in some dialect, each once; NULL-terminated. */
const char *const *sv_api_token_headers(const struct sv_api *api);

struct sv_op;
struct sv_value;
struct sv_match {
    const struct sv_dialect *dialect; /* NULL: the path belongs to none */
    const struct sv_route *route;
    struct sv_slice path_value[SV_MAX_PATH_VALUES]; /* of the {name} segments, in order */
    unsigned path_values;
    char allow[64];              /* with METHOD_NOT_ALLOWED and OPTIONS */
    bool options;                /* the method was OPTIONS and no route has it: `allow` is the answer, route is NULL */
    const struct sv_op *choice;  /* several routes: sv_api_choose() finds the one; route is the first until then */
    const struct sv_value *body; /* read already; the toolkit's */
    bool body_read;
};
/* NOT_FOUND, METHOD_NOT_ALLOWED or SV_OK. `on`: the dialect on whose own listener the request came, NULL = the main
 * one. A trailing slash and a doubled slash are tolerated. Literal segments win over {name}. HEAD finds GET. */
enum sv_err sv_api_match(const struct sv_api *api, const struct sv_dialect *on, const char *method, const char *path,
                         struct sv_match *ret, struct sv_error *err);
/* The wire that answers: of the match, else of the listener, else of the first dialect. */
const struct sv_wire *sv_api_wire(const struct sv_api *api, const struct sv_dialect *on, const struct sv_match *m);

/* Where a body's key tells operations apart: the route. UNKNOWN_OPERATION, or what is wrong with the body. Does
 * nothing for others. Before anything asks m->route. */
enum sv_err sv_api_choose(struct sv_match *m, const struct sv_input *in, struct sv_arena *a, struct sv_error *err);
/* Path, query and body -> the route's input struct in the arena. Keys that no row knows come back in *ret_unknown
 * (arena, NULL = none); in the query of anything but GET they are PARAM_UNKNOWN. */
enum sv_err sv_api_bind(struct sv_match *m, const struct sv_input *in, struct sv_arena *a, void **ret_in,
                        const struct sv_unknown **ret_unknown, struct sv_error *err);

/* Envelope around a handler's reply: begin, handler, close; the JSON is whole then. finish packs it: `out` then holds
 * the body, empty for 204 and streams. */
void sv_reply_begin(struct sv_reply *r, const struct sv_wire *w, const struct sv_route *route, struct sv_arena *a,
                    struct sv_buf *json);
void sv_reply_close(struct sv_reply *r);
void sv_reply_finish(struct sv_reply *r, struct sv_buf *json, struct sv_buf *out);
/* Closes what the stream has open; it is empty afterwards. */
void sv_stream_close(struct sv_stream *s);
/* A stream that will not be sent. Does nothing without one. */
void sv_reply_drop(struct sv_reply *r);
int sv_reply_status(const struct sv_reply *r);
/* The failure envelope; `route` may be NULL, and so may `in`, what was bound for it. Maps err->field to the wire key
 * through the route's rows, and tells which value of `in` was meant. */
void sv_reply_failure(const struct sv_wire *w, const struct sv_error *e, const struct sv_route *route, const void *in,
                      enum sv_lang lang, struct sv_buf *out);
/* HTTP status of an error: its row's. */
int sv_wire_status(const struct sv_wire *w, enum sv_err code);
/* Holds a closed reply's JSON (before it is packed) against the route's rows: keys that no row knows, rows without
 * a key, values of another type. What it finds goes onto `out`, one a line: "data[3].vm.name: no such row". Slow, for
 * tests (--check-replies). False if something was found. */
bool sv_reply_check(const struct sv_reply *r, const struct sv_buf *json, struct sv_buf *out);
/* Does the route's reply carry a secret? */
bool sv_route_secret(const struct sv_route *route);

/* Descriptions, derived from the rows. */
void sv_describe_openapi(const struct sv_api *api, const struct sv_dialect *d, struct sv_buf *out); /* 3.1 JSON */
void sv_describe_wadl(const struct sv_api *api, const struct sv_dialect *d, struct sv_buf *out);
void sv_describe_html(const struct sv_api *api, const struct sv_dialect *d, enum sv_lang lang, struct sv_buf *out);
/* One line an operation, in the shape of tests/api-data/starvcenter.jsonl, plus "dialect", "role", "runs", "extension",
 * "served" and what else tests derive from. */
void sv_describe_dump(const struct sv_api *api, struct sv_buf *out);
/* Every route, in table order. */
void sv_api_each(const struct sv_api *api, void (*fn)(void *arg, const struct sv_dialect *d, const struct sv_route *r),
                 void *arg);

/* How a wire is described, where it is not bare JSON. */
struct sv_wire_doc {
    const char *info;                   /* of OpenAPI */
    const char *call[2], *reply[2];     /* paragraphs of the reference page: zh, en; NULL = none */
    const char *const *samples;         /* replies, NULL-terminated */
    const char *body_type, *body_field; /* a form's field with Base64 of the JSON; NULL: application/json */
    const char *reply_type;             /* of Base64 of the JSON; NULL: application/json */
    /* Members of the schema of success; NULL: the data under its key, or alone. */
    void (*success)(struct sv_json *j, const struct sv_wire *w, const struct sv_route *r);
    void (*failure)(struct sv_json *j); /* members of the schema of failure; NULL: any object */
};
/* For these: "key": the schema of the data; "key": {"type": type} */
void sv_schema_data(struct sv_json *j, const char *key, const struct sv_wire *w, const struct sv_route *r);
void sv_schema_type(struct sv_json *j, const char *key, const char *type);
void sv_schema_strings(struct sv_json *j, const char *key, const char *const *v); /* "key": [...] */

/* Client side (command line): key=value pairs -> body. */
void sv_client_body(const struct sv_wire *w, const struct sv_route *route, const char *const *pairs, size_t n,
                    struct sv_buf *out);
/* Reply -> pretty or compact JSON; false if it is none. *ret_ok: it tells of success. */
bool sv_client_reply(const struct sv_wire *w, int status, const char *body, size_t n, bool pretty, struct sv_buf *out,
                     bool *ret_ok);

#endif
