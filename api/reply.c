#include "api/internal.h"

#include <time.h>
#include <unistd.h>

#include "starvirt/clock.h"

/* The envelope, streamed: nothing is allocated but the growth of the two buffers. */

/* --- success ------------------------------------------------------------------------------------ */

void sv_reply_begin(struct sv_reply *r, const struct sv_wire *w, const struct sv_route *route, struct sv_arena *a,
                    struct sv_buf *json)
{
    *r = (struct sv_reply){.wire = w, .route = route, .arena = a, .top = w->data_key || route->data_key};
    sv_json_init(&r->j, json);
    if (!r->top)
        return;
    if (w->begin)
        w->begin(r);
    else
        sv_json_obj(&r->j, NULL);
}

/* The outermost object or list is the data; deeper ones without a key are elements. */
static const char *next_key(struct sv_reply *r)
{
    if (r->any)
        return NULL;
    r->any = true;
    return r->route->data_key ? r->route->data_key : r->wire->data_key;
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

enum sv_err sv_reply_end_page(struct sv_reply *r, enum sv_err rc)
{
    sv_reply_end_list(r);
    r->has_count = true;
    return rc;
}

void sv_reply_obj_in(struct sv_reply *r, const char *key)
{
    sv_json_obj(&r->j, key);
}

void sv_reply_list_in(struct sv_reply *r, const char *key)
{
    sv_json_arr(&r->j, key);
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
    if (r->wire->gives & SV_GIVES_TEXT)
        sv_json_intstr(&r->j, key, v);
    else
        sv_json_int(&r->j, key, v);
}

void sv_put_num(struct sv_reply *r, const char *key, int64_t v)
{
    sv_json_int(&r->j, key, v);
}

void sv_put_bool(struct sv_reply *r, const char *key, bool v)
{
    if (r->wire->gives & SV_GIVES_TEXT)
        sv_json_boolstr(&r->j, key, v);
    else
        sv_json_bool(&r->j, key, v);
}

void sv_put_null(struct sv_reply *r, const char *key)
{
    sv_json_null(&r->j, key);
}

static void put_zulu(struct sv_reply *r, const char *key, int64_t utc_ms)
{
    char text[32];
    const time_t s = (time_t)(utc_ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    sv_json_str(&r->j, key, text);
}

void sv_put_time(struct sv_reply *r, const char *key, int64_t utc_ms)
{
    char text[SV_TIME_LEN + 1];
    if (utc_ms == 0 && r->wire->time != SV_TIME_LOCAL) {
        sv_json_null(&r->j, key);
        return;
    }
    switch (r->wire->time) {
    case SV_TIME_LOCAL:
        sv_time_format(utc_ms, text);
        sv_json_str(&r->j, key, text);
        break;
    case SV_TIME_Z:
        put_zulu(r, key, utc_ms);
        break;
    case SV_TIME_UNIX:
        sv_json_int(&r->j, key, utc_ms / 1000);
        break;
    }
}

void sv_put_ip(struct sv_reply *r, const char *key, uint32_t ip)
{
    char text[SV_IP4_LEN] = "";
    if (ip != 0)
        sv_ip4_format(ip, text);
    sv_json_str(&r->j, key, text);
}

/* What the document shows where a handler wrote nothing. */
static void empty_data(struct sv_reply *r)
{
    const struct sv_route *route = r->route;
    bool no_fields = !route->fields || !route->fields->name;
    const char *key = next_key(r);
    if (route->data == SV_DATA_LIST) {
        sv_json_arr(&r->j, key);
        sv_json_end_arr(&r->j);
    } else if ((r->wire->gives & SV_GIVES_TEXT) && !(route->data == SV_DATA_OBJ && no_fields)) {
        sv_json_str(&r->j, key, "");
    } else {
        sv_json_obj(&r->j, key);
        sv_json_end_obj(&r->j);
    }
}

int sv_reply_status(const struct sv_reply *r)
{
    return r->status ? r->status : r->route->ok ? r->route->ok : 200;
}

/* What the request had and no row knows. */
static void warn(struct sv_reply *r)
{
    static const struct {
        const char *begin, *near, *near_end, *more, *more_end;
    } words[] = {[SV_LANG_ZH] = {"已忽略未知参数:", "(是否指 ", "?)", ",另有 ", " 个"},
                 [SV_LANG_EN] = {"ignored, no such parameter: ", " (did you mean ", "?)", " and ", " more"}};
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    const struct sv_unknown *u = r->unknown;
    sv_buf_puts(&text, words[r->lang].begin);
    for (unsigned i = 0; i < u->n; i++) {
        const char *near = u->key[i].near;
        sv_buf_printf(&text, "%s%s", i ? ", " : "", u->key[i].name);
        if (near)
            sv_buf_printf(&text, "%s%s%s", words[r->lang].near, near, words[r->lang].near_end);
    }
    if (u->more)
        sv_buf_printf(&text, "%s%u%s", words[r->lang].more, u->more, words[r->lang].more_end);
    sv_json_str(&r->j, r->wire->warning, text.p);
}

void sv_reply_close(struct sv_reply *r)
{
    if (r->streams || sv_reply_status(r) == 204)
        return;
    if (!r->any)
        empty_data(r);
    if (!r->top)
        return;
    if (r->wire->finish)
        r->wire->finish(r);
    if (r->wire->warning && r->unknown)
        warn(r);
    sv_json_end_obj(&r->j);
}

void sv_reply_finish(struct sv_reply *r, struct sv_buf *json, struct sv_buf *out)
{
    if (r->streams || sv_reply_status(r) == 204)
        return;
    if (r->wire->pack) {
        r->wire->pack(json, out);
        return;
    }
    sv_buf_free(out);
    *out = *json;
    *json = (struct sv_buf){0};
}

/* --- beside the body ------------------------------------------------------------------------------ */

void sv_reply_header(struct sv_reply *r, const char *name, const char *value)
{
    if (r->headers == SV_MAX_REPLY_HEADERS)
        return;
    char *copy = sv_arena_strdup(r->arena, value);
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    r->header[r->headers++] = (struct sv_reply_header){sv_arena_strdup(r->arena, name), copy};
}

void sv_reply_stream(struct sv_reply *r, const struct sv_stream *s)
{
    sv_reply_drop(r);
    r->streams = true;
    r->stream = *s;
    if (s->type)
        r->stream.type = sv_arena_strdup(r->arena, s->type);
}

void sv_reply_file(struct sv_reply *r, int fd, int64_t size, const char *type)
{
    const struct sv_stream s = {.fd = fd, .size = size, .type = type};
    sv_reply_stream(r, &s);
}

void sv_stream_close(struct sv_stream *s)
{
    if (!s->read && s->fd >= 0)
        close(s->fd);
    if (s->close)
        s->close(s->arg);
    *s = (struct sv_stream){.fd = -1};
}

void sv_reply_drop(struct sv_reply *r)
{
    if (r->streams)
        sv_stream_close(&r->stream);
    r->streams = false;
}

/* --- failure ------------------------------------------------------------------------------------ */

int sv_wire_status(const struct sv_wire *w, enum sv_err code)
{
    return (unsigned)code < SV_ERR_COUNT && w->errors[code].status ? w->errors[code].status : 200;
}

/* Of a value in a message. */
enum { SHOWN_CHARS = 64, SHOWN_BYTES = 7 * SHOWN_CHARS + 8 };

static const struct sv_param *row_in(const struct sv_param *rows, size_t n, enum sv_field field)
{
    for (size_t i = 0; field != SV_F_NONE && i < n; i++)
        if (rows[i].field == field)
            return &rows[i];
    return NULL;
}

static const struct sv_param *row_of(const struct sv_route *route, enum sv_field field)
{
    return row_in(route->params, route->param_count, field);
}

/* What the client wrote for a row whose member is text, for the message; "" = nothing, or nobody's business. */
static void show_value(const struct sv_param *row, const void *in, char *buf, size_t size)
{
    const char *value = NULL;
    if (in && !(row->flags & SV_P_SECRET) && (row->type == SV_T_ID || row->type == SV_T_STR))
        value = *(const char *const *)(const void *)((const char *)in + row->offset);
    sv_show(buf, size, value ? value : "", value ? strlen(value) : 0, SHOWN_CHARS);
}

static void name_wire(struct sv_error *e, const struct sv_param *row, const char *wire, const void *in,
                      char value[SHOWN_BYTES])
{
    SV_COPY(e->wire, wire);
    e->unit = row->unit;
    show_value(row, in, value, SHOWN_BYTES);
    e->value = value;
}

/* "nodes[1].port": of an element of a list. False where no list has such a row. */
static bool find_in_list(struct sv_error *e, const struct sv_route *route, const void *in, char value[SHOWN_BYTES])
{
    const size_t at = e->element - 1;
    for (size_t i = 0; i < route->param_count; i++) {
        const struct sv_param *list = &route->params[i];
        const struct sv_param *row = list->type == SV_T_OBJS ? row_in(list->sub, list->sub_count, e->field) : NULL;
        if (!row)
            continue;
        const struct sv_objs *objs = in ? (const void *)((const char *)in + list->offset) : NULL;
        const char *element = objs && at < objs->n ? (const char *)objs->v + at * list->sub_size : NULL;
        char *wire SV_AUTOFREE = sv_asprintf("%s[%s].%s", list->name, sv_dec((int64_t)at).s, row->name);
        name_wire(e, row, wire, element, value);
        return true;
    }
    return false;
}

/* The wire key at fault: set already, or that of the route's row for the core's field, and what came under it. Its
 * unit is how amounts are shown. Other fields among the arguments become their keys, too. */
static void find_wire(struct sv_error *e, const struct sv_route *route, const void *in, char value[SHOWN_BYTES])
{
    const struct sv_param *row = route ? row_of(route, e->field) : NULL;

    if (!e->wire[0] && !(route && e->element && find_in_list(e, route, in, value)) && row)
        name_wire(e, row, row->name, in, value);
    for (unsigned i = 0; route && i < SV_ERR_ARGS; i++) {
        row = row_of(route, sv_field_of_arg(e->arg[i]));
        if (row)
            SV_COPY(e->arg[i], row->name);
    }
}

/* Codes whose first argument is a reason of this room and not somebody's name. */
static bool gives_reason(enum sv_err code)
{
    return code == SV_E_BAD_REQUEST || code == SV_E_BAD_JSON || code == SV_E_PARAM_TYPE || code == SV_E_PARAM_CHARS ||
           code == SV_E_PARAM_CONFLICT;
}

/* "0 stopped, 1 running" instead of "integer", where a row's integers are codes. */
static void list_codes(struct sv_error *e, const struct sv_route *route, enum sv_lang lang)
{
    const bool asks = e->code == SV_E_PARAM_TYPE || e->code == SV_E_PARAM_ENUM || e->code == SV_E_PARAM_RANGE;
    struct sv_buf text SV_CLEANUP(sv_buf_free) = {0};
    for (size_t i = 0; asks && route && i < route->param_count; i++) {
        const struct sv_code *c = strcmp(route->params[i].name, e->wire) == 0 ? route->params[i].codes : NULL;
        for (; c && c->en; c++)
            sv_buf_printf(&text, "%s%lld %s", text.n ? ", " : "", (long long)c->v, lang == SV_LANG_ZH ? c->zh : c->en);
    }
    if (!text.n)
        return;
    SV_COPY(e->arg[0], text.p);
    e->arg[1][0] = '\0';
}

/* What the sentence calls the body, or the token's header, is the wire's to say. */
static void name_places(struct sv_error *e, const struct sv_wire *w)
{
    if (e->code == SV_E_BAD_JSON || e->code == SV_E_BAD_BASE64)
        SV_COPY(e->arg[1], w->body_name);
    if (e->code == SV_E_TOKEN_MISSING)
        SV_COPY(e->arg[0], w->tokens[0].header);
}

void sv_reply_failure(const struct sv_wire *w, const struct sv_error *e, const struct sv_route *route, const void *in,
                      enum sv_lang lang, struct sv_buf *out)
{
    struct sv_buf json SV_CLEANUP(sv_buf_free) = {0};
    struct sv_error mine = *e;
    char text[1024], value[SHOWN_BYTES];
    find_wire(&mine, route, in, value);
    if (lang == SV_LANG_ZH && gives_reason(mine.code) && !sv_field_of_arg(e->arg[0]))
        sv_phrase_zh(w, e->arg[0], mine.arg[0], sizeof(mine.arg[0]));
    list_codes(&mine, route, lang);
    name_places(&mine, w);
    sv_err_text(&mine, lang, text, sizeof(text));
    const struct sv_err_row *row = &w->errors[(unsigned)mine.code < SV_ERR_COUNT ? mine.code : SV_E_INTERNAL];
    const struct sv_fault fault = {.e = &mine, .row = row, .text = text, .field = mine.wire, .lang = lang};
    w->failure(&fault, w->pack ? &json : out);
    if (w->pack)
        w->pack(&json, out);
}
