#include "api/internal.h"

#include <json-c/json.h>

#include "starvirt/limits.h"

/* The only place that knows how the tree parser represents a request: members leave it as values of ours,
 * copied into the arena. What it must not see has been refused by sv_json_check() before. */

static void put_object(json_object **o)
{
    if (*o)
        json_object_put(*o);
}

static void free_tokener(json_tokener **t)
{
    if (*t)
        json_tokener_free(*t);
}

static struct sv_slice copy(struct sv_arena *a, const char *p, size_t n)
{
    return (struct sv_slice){sv_arena_strndup(a, p, n), n};
}

static struct sv_slice copy_printed(struct sv_arena *a, json_object *o)
{
    const char *text = json_object_get_string(o);
    return copy(a, text, strlen(text));
}

static struct sv_value read_value(json_object *o, unsigned takes, struct sv_arena *a);

static struct sv_value read_list(json_object *o, unsigned takes, struct sv_arena *a)
{
    size_t n = json_object_array_length(o);
    struct sv_value *item = sv_arena_alloc(a, (n ? n : 1) * sizeof(*item));
    for (size_t i = 0; i < n; i++) {
        json_object *e = json_object_array_get_idx(o, i);
        /* A list inside a list is no parameter: its kind is enough to refuse it. */
        item[i] =
            json_object_is_type(e, json_type_array) ? (struct sv_value){.kind = SV_V_LIST} : read_value(e, takes, a);
    }
    return (struct sv_value){.kind = SV_V_LIST, .item = item, .items = n};
}

static struct sv_value read_object(json_object *o, unsigned takes, struct sv_arena *a)
{
    size_t n = (size_t)json_object_object_length(o), i = 0;
    struct sv_member *m = sv_arena_alloc(a, (n ? n : 1) * sizeof(*m));
    json_object_object_foreach(o, key, v)
    {
        m[i].key = copy(a, key, strlen(key));
        if (takes & SV_TAKES_STARS)
            m[i].key = sv_trim_key(m[i].key);
        m[i++].value = read_value(v, takes, a);
    }
    return (struct sv_value){.kind = SV_V_OBJ, .member = m, .members = i};
}

static struct sv_value read_value(json_object *o, unsigned takes, struct sv_arena *a)
{
    switch (json_object_get_type(o)) {
    case json_type_null:
        break;
    case json_type_boolean:
        return (struct sv_value){.kind = SV_V_BOOL, .b = json_object_get_boolean(o)};
    case json_type_int:
        return (struct sv_value){.kind = SV_V_INT, .i = json_object_get_int64(o), .text = copy_printed(a, o)};
    case json_type_double:
        return (struct sv_value){.kind = SV_V_REAL, .text = copy_printed(a, o)};
    case json_type_string:
        return (struct sv_value){
            .kind = SV_V_TEXT,
            .text = copy(a, json_object_get_string(o), (size_t)json_object_get_string_len(o)),
        };
    case json_type_array:
        return read_list(o, takes, a);
    case json_type_object:
        return read_object(o, takes, a);
    }
    return (struct sv_value){.kind = SV_V_ABSENT};
}

static json_object *parse(const char *text, size_t n)
{
    /* One level more than the limit: this parser counts the values inside the innermost object too. */
    json_tokener *t SV_CLEANUP(free_tokener) = json_tokener_new_ex(SV_MAX_JSON_DEPTH + 2);
    if (!t)
        return NULL;
    json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    return json_tokener_parse_ex(t, text, (int)n);
}

enum sv_err sv_json_tree(const char *text, size_t n, unsigned takes, struct sv_arena *a, struct sv_value *ret,
                         struct sv_error *err)
{
    enum sv_err rc = sv_json_check(&text, n, takes, a, err);
    if (rc)
        return rc;
    /* In its strict mode the parser objects to blanks after the object. */
    while (n > 0 && strchr(" \t\r\n", text[n - 1]))
        n--;
    json_object *root SV_CLEANUP(put_object) = parse(text, n);
    if (!root || !json_object_is_type(root, json_type_object))
        return sv_fail(err, SV_E_BAD_JSON, SV_F_NONE, "refused by the tree parser");
    *ret = read_object(root, takes, a);
    return SV_OK;
}

const struct sv_value *sv_member_of(const struct sv_value *obj, const char *key)
{
    for (size_t i = 0; obj && i < obj->members; i++)
        if (sv_slice_is(obj->member[i].key, key))
            return &obj->member[i].value;
    return NULL;
}
