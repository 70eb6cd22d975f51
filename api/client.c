#include "api/internal.h"

#include <json-c/json.h>

/* The same envelope from the other side. */

static const struct sv_param *row_of(const struct sv_route *route, const char *key, size_t n)
{
    for (size_t i = 0; route && i < route->param_count; i++)
        if (strlen(route->params[i].name) == n && memcmp(route->params[i].name, key, n) == 0)
            return &route->params[i];
    return NULL;
}

/* "a,b,c" -> ["a","b","c"] */
static void put_list(struct sv_json *j, const char *key, const char *text)
{
    sv_json_arr(j, key);
    while (*text) {
        const char *end = strchrnul(text, ',');
        sv_json_strn(j, NULL, text, (size_t)(end - text));
        text = *end ? end + 1 : end;
    }
    sv_json_end_arr(j);
}

static bool put_json(struct sv_json *j, const char *key, const char *text)
{
    json_object *o = json_tokener_parse(text);
    if (o)
        sv_json_raw(j, key, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
    return o != NULL;
}

static bool put_typed(struct sv_json *j, const struct sv_wire *w, const struct sv_param *row, const char *key,
                      const char *text)
{
    int64_t v;
    if (row->type == SV_T_OBJ || row->type == SV_T_OBJS)
        return put_json(j, key, text);
    if (row->type == SV_T_INT && !(w->takes & SV_TAKES_NUM_TEXT) && sv_parse_int(text, &v)) {
        sv_json_int(j, key, v);
        return true;
    }
    bool yes = strcmp(text, "true") == 0;
    if (row->type != SV_T_BOOL || (w->takes & SV_TAKES_BOOL_TEXT) || (!yes && strcmp(text, "false") != 0))
        return false;
    sv_json_bool(j, key, yes);
    return true;
}

/* Text where the wire takes it for everything: the server's rows decide what it is. */
static void put_pair(struct sv_json *j, const struct sv_wire *w, const struct sv_route *route, const char *pair)
{
    size_t n = strcspn(pair, "=");
    const char *text = pair[n] ? pair + n + 1 : pair + n;
    const struct sv_param *row = row_of(route, pair, n);
    char *key SV_AUTOFREE = sv_asprintf("%.*s", (int)n, pair);
    if (row && row->in != SV_IN_BODY)
        return;
    if (row && row->type == SV_T_LIST)
        put_list(j, key, text);
    else if (!row || !put_typed(j, w, row, key, text))
        sv_json_str(j, key, text);
}

void sv_client_body(const struct sv_wire *w, const struct sv_route *route, const char *const *pairs, size_t n,
                    struct sv_buf *out)
{
    struct sv_buf json SV_CLEANUP(sv_buf_free) = {0};
    struct sv_json j;
    sv_json_init(&j, w->client_pack ? &json : out);
    sv_json_obj(&j, NULL);
    for (const struct sv_key *k = route->keys; k && k->name; k++)
        if (k->value)
            sv_json_str(&j, k->name, k->value);
    if (route->under)
        sv_json_obj(&j, route->under);
    for (size_t i = 0; i < n; i++)
        put_pair(&j, w, route, pairs[i]);
    if (route->under)
        sv_json_end_obj(&j);
    sv_json_end_obj(&j);
    if (w->client_pack)
        w->client_pack(&json, out);
}

static void put_object(json_object **o)
{
    if (*o)
        json_object_put(*o);
}

static json_object *parse(const char *text, size_t n)
{
    json_tokener *t = json_tokener_new();
    json_object *root = t && n <= INT32_MAX ? json_tokener_parse_ex(t, text, (int)n) : NULL;
    if (t)
        json_tokener_free(t);
    return root;
}

static bool tells_success(const struct sv_wire *w, json_object *root, int status)
{
    json_object *v;
    if (!w->ok_key)
        return status < 400;
    return json_object_object_get_ex(root, w->ok_key, &v) && strcmp(json_object_get_string(v), w->ok_value) == 0;
}

bool sv_client_reply(const struct sv_wire *w, int status, const char *body, size_t n, bool pretty, struct sv_buf *out,
                     bool *ret_ok)
{
    struct sv_buf json SV_CLEANUP(sv_buf_free) = {0};
    if (!w->client_unpack)
        sv_buf_add(&json, body, n);
    else if (!w->client_unpack(body, n, &json))
        return false;
    if (n == 0 && !w->ok_key) {
        *ret_ok = status < 400;
        sv_buf_puts(out, "{}");
        return true;
    }
    json_object *v, *root SV_CLEANUP(put_object) = parse(json.p ? json.p : "", json.n);
    bool object = root && json_object_is_type(root, json_type_object);
    if (!root || (!object && !json_object_is_type(root, json_type_array)) ||
        (w->ok_key && (!object || !json_object_object_get_ex(root, w->ok_key, &v))))
        return false;
    *ret_ok = tells_success(w, root, status);
    int style = pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : JSON_C_TO_STRING_PLAIN;
    sv_buf_puts(out, json_object_to_json_string_ext(root, style | JSON_C_TO_STRING_NOSLASHESCAPE));
    return true;
}
