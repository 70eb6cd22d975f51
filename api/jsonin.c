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

static struct sv_value read_value(json_object *o, struct sv_arena *a);

static struct sv_value read_list(json_object *o, struct sv_arena *a)
{
    size_t n = json_object_array_length(o);
    struct sv_value *item = sv_arena_alloc(a, (n ? n : 1) * sizeof(*item));
    for (size_t i = 0; i < n; i++) {
        json_object *e = json_object_array_get_idx(o, i);
        /* A list inside a list is no parameter: its kind is enough to refuse it. */
        item[i] = json_object_is_type(e, json_type_array) ? (struct sv_value){.kind = SV_V_LIST} : read_value(e, a);
    }
    return (struct sv_value){.kind = SV_V_LIST, .item = item, .items = n};
}

static struct sv_value read_value(json_object *o, struct sv_arena *a)
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
        return read_list(o, a);
    case json_type_object:
        return (struct sv_value){.kind = SV_V_OBJ};
    }
    return (struct sv_value){.kind = SV_V_ABSENT};
}

struct sv_slice sv_trim_key(struct sv_slice key)
{
    while (key.n > 0 && strchr(" \t\r\n", key.p[0]))
        key.p++, key.n--;
    while (key.n > 0 && strchr(" \t\r\n*", key.p[key.n - 1]))
        key.n--;
    return key;
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

enum sv_err sv_json_members(const char *text, size_t n, struct sv_arena *a, struct sv_member **ret, size_t *ret_n,
                            struct sv_error *err)
{
    enum sv_err e = sv_json_check(text, n, a, err);
    if (e != SV_OK)
        return e;
    /* In its strict mode the parser objects to blanks after the object. */
    while (n > 0 && strchr(" \t\r\n", text[n - 1]))
        n--;
    json_object *root SV_CLEANUP(put_object) = parse(text, n);
    if (!root || !json_object_is_type(root, json_type_object))
        return sv_fail(err, SV_E_BAD_JSON, SV_F_NONE, "refused by the tree parser");
    size_t count = (size_t)json_object_object_length(root), i = 0;
    struct sv_member *m = sv_arena_alloc(a, (count ? count : 1) * sizeof(*m));
    json_object_object_foreach(root, key, v)
    {
        m[i].key = sv_trim_key(copy(a, key, strlen(key)));
        m[i++].value = read_value(v, a);
    }
    *ret = m;
    *ret_n = i;
    return SV_OK;
}
