#include "api/internal.h"

#include "starvirt/clock.h"

/* The envelope, streamed: nothing is allocated but the growth of the two buffers. */

/* --- HTTP --------------------------------------------------------------------------------------- */

int sv_err_http_status(enum sv_err code)
{
    /* 200 for all others, INTERNAL included: clients of the original take another status for a fault of
     * the transport and never read the envelope. */
    static const short status[SV_ERR_COUNT] = {
        [SV_E_BAD_REQUEST] = 400,    [SV_E_NOT_FOUND] = 404,     [SV_E_METHOD_NOT_ALLOWED] = 405,
        [SV_E_BODY_TOO_LARGE] = 413, [SV_E_MEDIA_TYPE] = 415,    [SV_E_TOO_MANY_REQUESTS] = 429,
        [SV_E_OVERLOADED] = 503,     [SV_E_SHUTTING_DOWN] = 503,
    };
    return (unsigned)code < SV_ERR_COUNT && status[code] ? status[code] : 200;
}

/* --- success ------------------------------------------------------------------------------------ */

void sv_reply_begin(struct sv_reply *r, struct sv_buf *json)
{
    *r = (struct sv_reply){0};
    sv_json_init(&r->j, json);
    sv_json_obj(&r->j, NULL);
    sv_json_str(&r->j, "result", "0");
}

/* The outermost object or list is "data"; deeper ones are elements. */
static const char *next_key(struct sv_reply *r)
{
    if (r->any)
        return NULL;
    r->any = true;
    return "data";
}

void sv_reply_obj(struct sv_reply *r)
{
    sv_json_obj(&r->j, next_key(r));
}

void sv_reply_end_obj(struct sv_reply *r)
{
    sv_json_end_obj(&r->j);
}

void sv_reply_list(struct sv_reply *r)
{
    sv_json_arr(&r->j, next_key(r));
}

void sv_reply_end_list(struct sv_reply *r)
{
    sv_json_end_arr(&r->j);
}

void sv_put_str(struct sv_reply *r, const char *key, const char *v)
{
    sv_json_str(&r->j, key, v);
}

void sv_put_id(struct sv_reply *r, const char *key, const struct sv_id *v)
{
    sv_json_str(&r->j, key, v ? v->s : "");
}

void sv_put_int(struct sv_reply *r, const char *key, int64_t v)
{
    sv_json_intstr(&r->j, key, v);
}

void sv_put_num(struct sv_reply *r, const char *key, int64_t v)
{
    sv_json_int(&r->j, key, v);
}

void sv_put_bool(struct sv_reply *r, const char *key, bool v)
{
    sv_json_boolstr(&r->j, key, v);
}

void sv_put_time(struct sv_reply *r, const char *key, int64_t utc_ms)
{
    char text[SV_TIME_LEN + 1];
    sv_time_format(utc_ms, text);
    sv_json_str(&r->j, key, text);
}

void sv_put_ip(struct sv_reply *r, const char *key, uint32_t ip)
{
    char text[SV_IP4_LEN] = "";
    if (ip != 0)
        sv_ip4_format(ip, text);
    sv_json_str(&r->j, key, text);
}

/* What the document shows where a handler wrote nothing. */
static void empty_data(struct sv_reply *r, const struct sv_route *route)
{
    bool no_fields = !route->fields || !route->fields[0];
    if (route->data == SV_DATA_LIST) {
        sv_json_arr(&r->j, "data");
        sv_json_end_arr(&r->j);
    } else if (route->data == SV_DATA_OBJ && no_fields) {
        sv_json_obj(&r->j, "data");
        sv_json_end_obj(&r->j);
    } else {
        sv_json_str(&r->j, "data", "");
    }
}

void sv_reply_finish(struct sv_reply *r, const struct sv_route *route, struct sv_buf *json, struct sv_buf *out)
{
    if (!r->any)
        empty_data(r, route);
    if (route->kind != SV_SYNC && !sv_id_empty(&r->startid))
        sv_json_str(&r->j, "startid", r->startid.s);
    if (r->has_count)
        sv_json_int(&r->j, "dataCount", (int64_t)r->count);
    sv_json_end_obj(&r->j);
    sv_b64_encode(out, json->p, json->n);
}

/* --- failure ------------------------------------------------------------------------------------ */

static const char *result_of(enum sv_err code)
{
    bool token = code == SV_E_TOKEN_MISSING || code == SV_E_TOKEN_INVALID || code == SV_E_TOKEN_EXPIRED;
    return token ? "1003" : "1";
}

/* The wire key at fault: set already, or that of the route's row for the core's field. */
static void find_wire(struct sv_error *e, const struct sv_route *route)
{
    if (e->wire[0] || e->field == SV_F_NONE || !route)
        return;
    for (size_t i = 0; i < route->param_count; i++)
        if (route->params[i].field == e->field) {
            SV_COPY(e->wire, route->params[i].name);
            return;
        }
}

/* Codes whose first argument is a reason of this room and not somebody's name. */
static bool gives_reason(enum sv_err code)
{
    return code == SV_E_BAD_REQUEST || code == SV_E_BAD_JSON || code == SV_E_PARAM_TYPE || code == SV_E_PARAM_CHARS ||
           code == SV_E_PARAM_CONFLICT;
}

void sv_reply_failure(const struct sv_error *e, const struct sv_route *route, enum sv_lang lang, struct sv_buf *out)
{
    struct sv_buf json SV_CLEANUP(sv_buf_free) = {0};
    struct sv_error mine = *e;
    struct sv_json j;
    char text[1024];
    find_wire(&mine, route);
    if (lang == SV_LANG_ZH && gives_reason(mine.code))
        sv_phrase_zh(e->arg[0], mine.arg[0], sizeof(mine.arg[0]));
    sv_err_text(&mine, lang, text, sizeof(text));
    sv_json_init(&j, &json);
    sv_json_obj(&j, NULL);
    sv_json_str(&j, "result", result_of(mine.code));
    sv_json_str(&j, "resultinfo", text);
    sv_json_obj(&j, "error");
    sv_json_str(&j, "code", sv_err_symbol(mine.code));
    if (mine.wire[0])
        sv_json_str(&j, "field", mine.wire);
    sv_json_str(&j, "retry", sv_retry_name(sv_err_retry(mine.code)));
    sv_json_end_obj(&j);
    sv_json_end_obj(&j);
    sv_b64_encode(out, json.p, json.n);
}
