/* Shared by the files of this room only. */
#ifndef STARVIRT_API_INTERNAL_H
#define STARVIRT_API_INTERNAL_H

#include "starvirt/api.h"

struct sv_slice {
    const char *p; /* NULL = absent */
    size_t n;
};

/* --- router.c, tables.c ------------------------------------------------------------------------- */

enum sv_method { SV_GET, SV_POST, SV_PUT, SV_DELETE, SV_METHODS };

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
    const struct sv_route *by_method[SV_METHODS];
    bool any_route;
};

struct sv_op {
    const struct sv_dialect *dialect;
    const struct sv_route *route;
    char *id; /* operationId, unique */
};
struct sv_api {
    const struct sv_dialect *const *dialects;
    struct sv_node *root;
    struct sv_op *ops;
    size_t op_count;
};

#define SV_MAX_PARAMS 64 /* rows of one route: bind keeps a slot for each on the stack */

/* SV_METHODS if it is none of ours. */
enum sv_method sv_method_of(const char *method);
/* INTERNAL with the row named, or SV_OK. Everything that one route's rows can get wrong by themselves. */
enum sv_err sv_route_check(const struct sv_route *r, struct sv_error *err);
/* The next segment of a path at *p, without the slashes; false at the end. */
bool sv_next_segment(const char **p, struct sv_slice *ret);
bool sv_is_template(struct sv_slice segment);
/* Text of clients for an error: what is not printable UTF-8 becomes '?'. */
void sv_printable(char *dst, size_t size, const char *src, size_t n);

/* --- form.c, jsonscan.c, jsonin.c --------------------------------------------------------------- */

/* The text of KEY_PARAM out of the body, percent-decoded; ret->p NULL if there is none. */
enum sv_err sv_form_key_param(const struct sv_input *in, struct sv_arena *a, struct sv_slice *ret,
                              struct sv_error *err);
/* Percent-decodes; '+' becomes a blank if asked. False on a '%' without two hex digits. */
bool sv_percent_decode(struct sv_slice in, bool plus_is_blank, struct sv_arena *a, struct sv_slice *ret);

/* Grammar of RFC 8259 and what the tolerant parser behind it lets through: duplicate keys, lone surrogates,
 * NUL, depth, number of keys and values, integers past int64. A top-level value past int64 gives PARAM_RANGE
 * with err->wire set, the rest BAD_JSON. */
enum sv_err sv_json_check(const char *text, size_t n, struct sv_arena *a, struct sv_error *err);

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
};
/* One member of the KEY_PARAM object, in the client's order. */
struct sv_member {
    struct sv_slice key; /* trimmed of blanks and a trailing '*' */
    struct sv_value value;
};
/* Decoded KEY_PARAM -> members in the arena. */
enum sv_err sv_json_members(const char *text, size_t n, struct sv_arena *a, struct sv_member **ret, size_t *ret_n,
                            struct sv_error *err);
struct sv_slice sv_trim_key(struct sv_slice key);

/* Puts `v` into the row's member of `in`, or fails with the wire key in err. `*ret_set`: it was not empty. */
enum sv_err sv_param_set(const struct sv_param *row, const struct sv_value *v, struct sv_arena *a, void *in,
                         bool *ret_set, struct sv_error *err);
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
bool sv_phrase_zh(const char *arg, char *buf, size_t size);

/* --- describe.c --------------------------------------------------------------------------------- */

/* The names of --dump-routes. */
const char *sv_type_name(enum sv_ptype type);
const char *sv_kind_name(enum sv_kind kind);
const char *sv_data_name(enum sv_data data);
const char *sv_role_name(enum sv_role role);
const char *sv_runs_name(enum sv_runs runs);
/* A reply field without its mark; what the mark says in *ret_type: "string", "number" or "array". */
struct sv_slice sv_field_name(const char *field, const char **ret_type);
bool sv_has_params(const struct sv_route *r, enum sv_pin in);
/* The {name} of a path; p NULL = none. */
struct sv_slice sv_path_name(const struct sv_route *r);
/* Base and path, {name} being replaced by `name` if that is given. */
void sv_full_path(const struct sv_op *op, const char *name, struct sv_buf *out);
/* Same dialect and same path but for the spelling of {name}. */
bool sv_same_path(const struct sv_op *a, const struct sv_op *b);

#endif
