/* Shared by the files of this room only. */
#ifndef STARVIRT_API_INTERNAL_H
#define STARVIRT_API_INTERNAL_H

#include "starvirt/api.h"

/* --- words.c ------------------------------------------------------------------------------------ */

enum sv_method { SV_GET, SV_POST, SV_PUT, SV_DELETE, SV_PATCH, SV_METHODS };

/* SV_METHODS if no route can have it. */
enum sv_method sv_method_of(const char *method);
/* The next segment of a path at *p, without the slashes; false at the end. `blanks`: those around it do not count. */
bool sv_next_segment(const char **p, bool blanks, struct sv_slice *ret);
bool sv_blank(char c);
bool sv_is_template(struct sv_slice segment);
/* The `at`th {name} of a path, from 0; p NULL = none. */
struct sv_slice sv_path_name(const struct sv_route *r, unsigned at);
/* The row of that; NULL = the route has none. */
const struct sv_param *sv_path_row(const struct sv_route *r, unsigned at);
/* Without blanks around it and '*' behind it. */
struct sv_slice sv_trim_key(struct sv_slice key);
bool sv_slice_is(struct sv_slice s, const char *text);
/* Text of clients for an error: what is not printable UTF-8 becomes '?'. */
void sv_printable(char *dst, size_t size, const char *src, size_t n);

/* --- near.c ------------------------------------------------------------------------------------- */

/* The name most like `key` of those that were tried; name.p NULL = none is like it. */
struct sv_near {
    struct sv_slice key, name;
    unsigned distance;
    size_t begin;
};
void sv_near_try(struct sv_near *near, const char *name, size_t n);

/* --- router.c, tables.c ------------------------------------------------------------------------- */

struct sv_node;
struct sv_edge {
    const char *seg;
    size_t n;
    struct sv_node *node;
};
/* One node a segment: literal children sorted by (length, bytes), at most one {name} child. */
struct sv_node {
    struct sv_edge *edges;
    size_t edge_count;
    struct sv_node *wild;
    const struct sv_dialect *dialect; /* the node where a dialect's base ends */
    struct sv_op *by_method[SV_METHODS];
    bool any_route;
};

struct sv_op {
    const struct sv_dialect *dialect;
    const struct sv_route *route;
    char *id;           /* operationId, unique */
    struct sv_op *next; /* of the same method and path, told apart by keys of the body */
};
/* One listener: the main one, or a dialect's own. */
struct sv_tree {
    const struct sv_dialect *on; /* NULL = main */
    struct sv_node *root;
    bool blanks; /* some dialect here takes blanks in paths */
};
struct sv_api {
    const struct sv_dialect *const *dialects;
    struct sv_tree *trees; /* the first is the main one's */
    size_t tree_count;
    struct sv_op *ops;
    size_t op_count;
    const char *token_headers[SV_MAX_TOKEN_ROWS + 1];
};

#define SV_MAX_PARAMS 64 /* rows of one route: bind keeps a slot for each on the stack */

/* INTERNAL with the row named, or SV_OK. Everything that one route's rows can get wrong by themselves. */
enum sv_err sv_route_check(const struct sv_route *r, struct sv_error *err);
/* --- jsonscan.c, jsonin.c ----------------------------------------------------------------------- */

/* Grammar of RFC 8259 and what the tolerant parser behind it lets through: duplicate keys, lone surrogates,
 * NUL, depth, number of keys and values, integers past int64. A top-level value past int64 gives PARAM_RANGE
 * with err->wire set, the rest BAD_JSON. With SV_TAKES_WIDE *text may be replaced by one of the same length that is
 * JSON, in the arena. */
enum sv_err sv_json_check(const char **text, size_t n, unsigned takes, struct sv_arena *a, struct sv_error *err);

/* --- params.c, bind.c --------------------------------------------------------------------------- */

enum sv_vkind { SV_V_ABSENT, SV_V_TEXT, SV_V_INT, SV_V_REAL, SV_V_BOOL, SV_V_LIST, SV_V_OBJ };
/* A value as it came, before its row is asked. */
struct sv_value {
    enum sv_vkind kind;
    struct sv_slice text;        /* TEXT, INT, REAL: not yet checked for UTF-8 when it comes from the URL */
    int64_t i;                   /* INT */
    bool b;                      /* BOOL */
    const struct sv_value *item; /* LIST */
    size_t items;
    const struct sv_member *member; /* OBJ */
    size_t members;
};
/* One member of an object, in the client's order. */
struct sv_member {
    struct sv_slice key; /* trimmed where the wire takes stars */
    struct sv_value value;
};
/* Text -> an object in the arena. `takes`: the wire's. */
enum sv_err sv_json_tree(const char *text, size_t n, unsigned takes, struct sv_arena *a, struct sv_value *ret,
                         struct sv_error *err);
/* NULL = no such member; "given twice" is for those who mind. */
const struct sv_value *sv_member_of(const struct sv_value *obj, const char *key);

/* Puts `v` into the row's member of `in`, or fails with the wire key in err. `*ret_set`: it was not empty. Not for
 * OBJ and OBJS, which bind.c fills. */
enum sv_err sv_param_set(const struct sv_param *row, const struct sv_value *v, unsigned takes, struct sv_arena *a,
                         void *in, bool *ret_set, struct sv_error *err);
/* sv_fail with err->wire and err->field from the row. */
enum sv_err sv_param_fail(struct sv_error *err, enum sv_err code, const struct sv_param *row, const char *arg);
/* Size and alignment of the row's member. */
size_t sv_param_size(enum sv_ptype type);
/* Upper limit in bytes (strings) or elements (lists). */
int64_t sv_param_limit(const struct sv_param *row);
/* "1-30", ">=1", "<=30", "" */
void sv_param_range(const struct sv_param *row, char *buf, size_t size);
/* "a, b, c" */
void sv_param_values(const struct sv_param *row, char *buf, size_t size);
static inline bool sv_param_has_min(const struct sv_param *row)
{
    return (row->flags & (SV_P_MIN | SV_P_OUR_MIN)) != 0;
}
static inline bool sv_param_has_max(const struct sv_param *row)
{
    return (row->flags & (SV_P_MAX | SV_P_OUR_MAX)) != 0;
}

/* --- phrases.c ---------------------------------------------------------------------------------- */

/* A reason this room gave in English -> Chinese; false if it is none of ours. */
bool sv_phrase_zh(const struct sv_wire *w, const char *arg, char *buf, size_t size);

/* --- schema.c ----------------------------------------------------------------------------------- */

void sv_schema_param(struct sv_json *j, const char *key, const struct sv_param *p);
/* Members of the schema of an object with these rows (those of the body); true if one is required. */
bool sv_schema_rows(struct sv_json *j, const struct sv_param *p, size_t n);
/* "key": the JSON that a route takes; true if it needs one. */
bool sv_schema_body(struct sv_json *j, const char *key, const struct sv_route *r);

/* --- describe.c --------------------------------------------------------------------------------- */

/* The names of --dump-routes. */
const char *sv_type_name(enum sv_ptype type);
const char *sv_kind_name(enum sv_kind kind);
const char *sv_data_name(enum sv_data data);
const char *sv_role_name(enum sv_role role);
const char *sv_runs_name(enum sv_runs runs);
/* The JSON type of a reply field: "string", "integer", "boolean", "array", "object". */
const char *sv_field_type(const struct sv_wire *w, const struct sv_reply_row *field);
bool sv_has_params(const struct sv_route *r, enum sv_pin in);
/* The {name}s of a path as a description spells them. */
struct sv_path_names {
    char name[SV_MAX_PATH_VALUES][64];
    unsigned n;
};
/* Base and path, the {name}s spelled anew if `names` is given. */
void sv_full_path(const struct sv_op *op, const struct sv_path_names *names, struct sv_buf *out);
/* Same dialect and same path but for the spelling of {name}. */
bool sv_same_path(const struct sv_op *a, const struct sv_op *b);

#endif
