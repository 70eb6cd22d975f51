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

/* Numbers go as strings: the server's rows decide what they are. */
static void put_pair(struct sv_json *j, const struct sv_route *route, const char *pair)
{
    size_t n = strcspn(pair, "=");
    const char *text = pair[n] ? pair + n + 1 : pair + n;
    const struct sv_param *row = row_of(route, pair, n);
    char *key SV_AUTOFREE = sv_asprintf("%.*s", (int)n, pair);
    if (row && row->in != SV_IN_BODY)
        return;
    if (row && row->type == SV_T_LIST)
        put_list(j, key, text);
    else
        sv_json_str(j, key, text);
}

void sv_client_body(const struct sv_route *route, const char *const *pairs, size_t n, struct sv_buf *out)
{
    struct sv_buf json SV_CLEANUP(sv_buf_free) = {0}, base64 SV_CLEANUP(sv_buf_free) = {0};
    struct sv_json j;
    sv_json_init(&j, &json);
    sv_json_obj(&j, NULL);
    for (size_t i = 0; i < n; i++)
        put_pair(&j, route, pairs[i]);
    sv_json_end_obj(&j);
    sv_b64_encode(&base64, json.p, json.n);
    sv_buf_puts(out, "KEY_PARAM=");
    for (size_t i = 0; i < base64.n; i++) {
        char c = base64.p[i];
        if (c == '+' || c == '/' || c == '=')
            sv_buf_printf(out, "%%%02X", c);
        else
            sv_buf_putc(out, c);
    }
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

bool sv_client_reply(const char *body, size_t n, bool pretty, struct sv_buf *out, char ret_result[8])
{
    size_t len, bad;
    unsigned char *json SV_AUTOFREE = sv_alloc(n + 1);
    if (!sv_b64_decode(body, n, json, &len, &bad))
        return false;
    json_object *result, *root SV_CLEANUP(put_object) = parse((const char *)json, len);
    if (!root || !json_object_is_type(root, json_type_object) || !json_object_object_get_ex(root, "result", &result) ||
        !json_object_is_type(result, json_type_string) || json_object_get_string_len(result) > 7)
        return false;
    sv_copy(ret_result, 8, json_object_get_string(result));
    int style = pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : JSON_C_TO_STRING_PLAIN;
    sv_buf_puts(out, json_object_to_json_string_ext(root, style | JSON_C_TO_STRING_NOSLASHESCAPE));
    return true;
}
