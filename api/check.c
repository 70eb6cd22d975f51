#include "api/internal.h"

#include <json-c/json.h>
#include <stdio.h>

/* A finished reply against its rows: for tests, which see what a handler forgot to say in them. */

struct checking {
    const struct sv_wire *wire;
    struct sv_buf *out;
    bool good;
};

static void complain(struct checking *c, const char *path, const char *key, const char *what)
{
    sv_buf_printf(c->out, "%s%s%s: %s\n", path, key ? "." : "", key ? key : "", what);
    c->good = false;
}

static json_type wanted(const struct checking *c, enum sv_otype type)
{
    bool text = c->wire->gives & SV_GIVES_TEXT;
    switch (type) {
    case SV_O_TEXT:
        break;
    case SV_O_INT:
        return text ? json_type_string : json_type_int;
    case SV_O_NUM:
        return json_type_int;
    case SV_O_BOOL:
        return text ? json_type_string : json_type_boolean;
    case SV_O_TIME:
        return c->wire->time == SV_TIME_UNIX ? json_type_int : json_type_string;
    case SV_O_TEXTS:
    case SV_O_OBJS:
        return json_type_array;
    case SV_O_OBJ:
        return json_type_object;
    }
    return json_type_string;
}

static void check_object(struct checking *c, const char *path, json_object *o, const struct sv_reply_row *rows);

static void check_list(struct checking *c, const char *path, json_object *list, const struct sv_reply_row *rows)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        char *at SV_AUTOFREE = sv_asprintf("%s[%zu]", path, i);
        check_object(c, at, json_object_array_get_idx(list, i), rows);
    }
}

static void check_texts(struct checking *c, const char *path, const char *key, json_object *list)
{
    for (size_t i = 0; i < json_object_array_length(list); i++)
        if (!json_object_is_type(json_object_array_get_idx(list, i), json_type_string))
            complain(c, path, key, "an element is no string");
}

/* null stands for what is not there, whatever the type; not in a wire of strings. */
static void check_value(struct checking *c, const char *path, const struct sv_reply_row *row, json_object *v)
{
    if (!v && !(c->wire->gives & SV_GIVES_TEXT))
        return;
    if (!json_object_is_type(v, wanted(c, row->type))) {
        complain(c, path, row->name, json_type_to_name(json_object_get_type(v)));
        return;
    }
    char *inner SV_AUTOFREE = sv_asprintf("%s.%s", path, row->name);
    if (row->type == SV_O_TEXTS)
        check_texts(c, path, row->name, v);
    else if (row->type == SV_O_OBJ && row->sub)
        check_object(c, inner, v, row->sub);
    else if (row->type == SV_O_OBJS && row->sub)
        check_list(c, inner, v, row->sub);
}

static const struct sv_reply_row *row_of(const struct sv_reply_row *rows, const char *key)
{
    for (; rows && rows->name; rows++)
        if (strcmp(rows->name, key) == 0)
            return rows;
    return NULL;
}

static void check_object(struct checking *c, const char *path, json_object *o, const struct sv_reply_row *rows)
{
    if (!json_object_is_type(o, json_type_object)) {
        complain(c, path, NULL, "no object");
        return;
    }
    json_object_object_foreach(o, key, v)
    {
        const struct sv_reply_row *row = row_of(rows, key);
        if (row)
            check_value(c, path, row, v);
        else
            complain(c, path, key, "no such row");
    }
    for (; rows && rows->name; rows++)
        if (!(rows->flags & SV_O_OPTIONAL) && !json_object_object_get_ex(o, rows->name, NULL))
            complain(c, path, rows->name, "missing");
}

/* null, "" or {} */
static bool is_nothing(json_object *data)
{
    return !data || (json_object_is_type(data, json_type_string) && json_object_get_string_len(data) == 0) ||
           (json_object_is_type(data, json_type_object) && json_object_object_length(data) == 0);
}

static void check_data(struct checking *c, const struct sv_route *route, json_object *data)
{
    bool any = route->fields && route->fields->name;
    switch (route->data) {
    case SV_DATA_NONE:
        if (any && json_object_is_type(data, json_type_object))
            check_object(c, "data", data, route->fields);
        else if (!is_nothing(data))
            complain(c, "data", NULL, "there should be none");
        break;
    case SV_DATA_OBJ:
        check_object(c, "data", data, route->fields);
        break;
    case SV_DATA_LIST:
        if (json_object_is_type(data, json_type_array))
            check_list(c, "data", data, route->fields);
        else
            complain(c, "data", NULL, "no list");
        break;
    }
}

bool sv_reply_check(const struct sv_reply *r, const struct sv_buf *json, struct sv_buf *out)
{
    struct checking c = {.wire = r->wire, .out = out, .good = true};
    const char *key = r->route->data_key ? r->route->data_key : r->wire->data_key;
    if (r->streams != r->route->gives_file && sv_reply_status(r) != 204)
        complain(&c, "body", NULL, r->streams ? "a stream, and the route says nothing of it" : "no stream");
    if (r->streams || sv_reply_status(r) == 204)
        return c.good;
    json_object *root = json_tokener_parse(json->p ? json->p : ""), *data = root;
    if (!root || (key && !json_object_object_get_ex(root, key, &data)))
        complain(&c, key ? key : "body", NULL, "not there");
    else
        check_data(&c, r->route, data);
    json_object_put(root);
    return c.good;
}
