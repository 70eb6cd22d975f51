#include "api/internal.h"

#include <stdio.h>
#include <strings.h>

#include "starvirt/clock.h"
#include "starvirt/limits.h"

/* One value into one member, by the row's type. No error carries the value itself: it may be a secret. */

struct target {
    const struct sv_param *row;
    unsigned takes;
    struct sv_arena *arena;
    struct sv_error *err;
};
typedef enum sv_err (*put_fn)(const struct target *t, const struct sv_value *v, void *member);

enum sv_err sv_param_fail(struct sv_error *err, enum sv_err code, const struct sv_param *row, const char *arg)
{
    sv_fail(err, code, row->field, arg);
    if (err)
        SV_COPY(err->wire, row->name);
    return code;
}

static enum sv_err refuse(const struct target *t, enum sv_err code, const char *arg)
{
    return sv_param_fail(t->err, code, t->row, arg);
}

int64_t sv_param_limit(const struct sv_param *row)
{
    if (row->max > 0)
        return row->max;
    if (row->type == SV_T_PEM)
        return SV_MAX_PEM;
    return row->type == SV_T_LIST || row->type == SV_T_OBJS ? SV_MAX_LIST_ITEMS : SV_MAX_STR;
}

void sv_param_range(const struct sv_param *row, char *buf, size_t size)
{
    long long lo = row->min, hi = row->max;
    bool has_lo = sv_param_has_min(row), has_hi = sv_param_has_max(row);
    if (has_lo && has_hi)
        snprintf(buf, size, "%lld-%lld", lo, hi);
    else if (has_lo)
        snprintf(buf, size, ">=%lld", lo);
    else if (has_hi)
        snprintf(buf, size, "<=%lld", hi);
    else
        sv_copy(buf, size, "");
}

void sv_param_values(const struct sv_param *row, char *buf, size_t size)
{
    size_t n = 0;
    sv_copy(buf, size, "");
    for (size_t i = 0; row->values && row->values[i] && n < size; i++)
        n += (size_t)snprintf(buf + n, size - n, "%s%s", i ? ", " : "", row->values[i]);
}

static enum sv_err out_of_range(const struct target *t)
{
    char range[64];
    sv_param_range(t->row, range, sizeof(range));
    return refuse(t, SV_E_PARAM_RANGE, range[0] ? range : "-2^63 - 2^63-1");
}

/* --- text --------------------------------------------------------------------------------------- */

/* Descriptions, notes and keys may have lines; names may not. */
static bool allows_lines(const struct sv_param *row)
{
    return row->type == SV_T_PEM || (row->type == SV_T_STR && row->max > SV_MAX_NAME);
}

static bool is_control(unsigned char c, bool lines)
{
    if (c == '\n' || c == '\t')
        return !lines;
    return c < ' ' || c == 0x7f;
}

static enum sv_err check_chars(const struct target *t, struct sv_slice s)
{
    bool lines = allows_lines(t->row);
    if (!sv_utf8_valid(s.p, s.n))
        return refuse(t, SV_E_PARAM_CHARS, "not UTF-8");
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (is_control(c, lines) && !(c == '\r' && t->row->type == SV_T_PEM)) {
            char shown[16];
            snprintf(shown, sizeof(shown), "U+%04X", c);
            return refuse(t, SV_E_PARAM_CHARS, shown);
        }
    }
    return SV_OK;
}

static enum sv_err check_length(const struct target *t, size_t n)
{
    int64_t limit = sv_param_limit(t->row);
    if ((int64_t)n > limit)
        return refuse(t, SV_E_PARAM_LENGTH, sv_dec(limit).s);
    if (sv_param_has_min(t->row) && (int64_t)n < t->row->min) {
        char range[96];
        snprintf(range, sizeof(range), "%lld-%lld B", (long long)t->row->min, (long long)limit);
        return refuse(t, SV_E_PARAM_RANGE, range);
    }
    return SV_OK;
}

/* What comes in the URL is text, whatever the wire is strict about. */
static bool num_text(const struct target *t)
{
    return t->row->in != SV_IN_BODY || (t->takes & SV_TAKES_NUM_TEXT);
}

static bool is_text(const struct target *t, const struct sv_value *v)
{
    return v->kind == SV_V_TEXT || (num_text(t) && (v->kind == SV_V_INT || v->kind == SV_V_REAL));
}

/* Text or a number's text, of bounded length and without characters that do harm further on. */
static enum sv_err take_text(const struct target *t, const struct sv_value *v, struct sv_slice *ret)
{
    if (!is_text(t, v))
        return refuse(t, SV_E_PARAM_TYPE, "string");
    enum sv_err rc = check_length(t, v->text.n);
    if (!rc)
        rc = check_chars(t, v->text);
    if (!rc)
        *ret = v->text;
    return rc;
}

static enum sv_err put_str(const struct target *t, const struct sv_value *v, void *member)
{
    struct sv_slice s = {0};
    enum sv_err rc = take_text(t, v, &s);
    if (!rc)
        *(const char **)member = sv_arena_strndup(t->arena, s.p, s.n);
    return rc;
}

/* In one form from here on, however the client writes it. What is no id stays as it is: nothing is called that. */
static enum sv_err put_id(const struct target *t, const struct sv_value *v, void *member)
{
    struct sv_slice s = {0};
    struct sv_id id;
    enum sv_err rc = take_text(t, v, &s);
    if (!rc)
        *(const char **)member =
            sv_id_read(s.p, s.n, &id) ? sv_arena_strdup(t->arena, id.s) : sv_arena_strndup(t->arena, s.p, s.n);
    return rc;
}

static enum sv_err put_enum(const struct target *t, const struct sv_value *v, void *member)
{
    char allowed[SV_ERR_ARG_MAX];
    sv_param_values(t->row, allowed, sizeof(allowed));
    if (!is_text(t, v))
        return refuse(t, SV_E_PARAM_TYPE, "string");
    for (size_t i = 0; t->row->values[i]; i++) {
        const char *value = t->row->values[i];
        if (strlen(value) == v->text.n && strncasecmp(value, v->text.p, v->text.n) == 0) {
            *(const char **)member = value;
            return SV_OK;
        }
    }
    return refuse(t, SV_E_PARAM_ENUM, allowed);
}

static enum sv_err put_pem(const struct target *t, const struct sv_value *v, void *member)
{
    static const char begin[] = "-----BEGIN ", end[] = "-----END ";
    struct sv_slice s = {0};
    enum sv_err rc = v->kind == SV_V_TEXT ? take_text(t, v, &s) : refuse(t, SV_E_PARAM_TYPE, "string");
    if (rc)
        return rc;
    struct sv_slice body = sv_trim_key(s);
    if (body.n < sizeof(begin) || memcmp(body.p, begin, sizeof(begin) - 1) != 0 ||
        !memmem(body.p, body.n, end, sizeof(end) - 1))
        return refuse(t, SV_E_PARAM_FORMAT, "PEM (-----BEGIN ... -----END ...)");
    *(const char **)member = sv_arena_strndup(t->arena, s.p, s.n);
    return SV_OK;
}

/* --- numbers ------------------------------------------------------------------------------------ */

/* Digits that sv_parse_int() refuses only because they are too many. */
static bool is_integer(struct sv_slice s)
{
    size_t i = s.n > 0 && s.p[0] == '-';
    if (i == s.n)
        return false;
    for (; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

static bool is_code(const struct sv_param *row, int64_t v)
{
    const struct sv_code *c = row->codes;
    while (c && c->en && c->v != v)
        c++;
    return !c || c->en;
}

static enum sv_err put_int(const struct target *t, const struct sv_value *v, void *member)
{
    int64_t i = v->i;
    if (v->kind != SV_V_INT) {
        char text[32];
        if (v->kind != SV_V_TEXT || !num_text(t) || !is_integer(v->text))
            return refuse(t, SV_E_PARAM_TYPE, "integer");
        snprintf(text, sizeof(text), "%.*s", (int)(v->text.n < 31 ? v->text.n : 31), v->text.p);
        if (v->text.n > 30 || !sv_parse_int(text, &i))
            return out_of_range(t);
    }
    if ((sv_param_has_min(t->row) && i < t->row->min) || (sv_param_has_max(t->row) && i > t->row->max))
        return out_of_range(t);
    if (!is_code(t->row, i))
        return refuse(t, SV_E_PARAM_ENUM, "");
    *(struct sv_opt_int *)member = (struct sv_opt_int){.v = i, .set = true};
    return SV_OK;
}

static enum sv_err put_bool(const struct target *t, const struct sv_value *v, void *member)
{
    bool b = v->b, text = v->kind == SV_V_TEXT && (t->row->in != SV_IN_BODY || (t->takes & SV_TAKES_BOOL_TEXT));
    if (text && v->text.n == 4 && strncasecmp(v->text.p, "true", 4) == 0)
        b = true;
    else if (text && v->text.n == 5 && strncasecmp(v->text.p, "false", 5) == 0)
        b = false;
    else if (v->kind != SV_V_BOOL)
        return refuse(t, SV_E_PARAM_TYPE, "true, false");
    *(struct sv_opt_bool *)member = (struct sv_opt_bool){.v = b, .set = true};
    return SV_OK;
}

static enum sv_err put_time(const struct target *t, const struct sv_value *v, void *member)
{
    char text[SV_TIME_LEN + 1] = "";
    int64_t ms;
    if (v->kind != SV_V_TEXT)
        return refuse(t, SV_E_PARAM_TYPE, "YYYY-MM-DD HH:MM:SS");
    if (v->text.n == SV_TIME_LEN)
        memcpy(text, v->text.p, SV_TIME_LEN);
    if (!sv_time_parse(text, &ms))
        return refuse(t, SV_E_PARAM_FORMAT, "YYYY-MM-DD HH:MM:SS");
    *(struct sv_opt_int *)member = (struct sv_opt_int){.v = ms, .set = true};
    return SV_OK;
}

/* --- addresses and ports ------------------------------------------------------------------------ */

static bool small_number(const char *s, int64_t lo, int64_t hi)
{
    int64_t v;
    return strlen(s) <= 5 && s[0] != '-' && sv_parse_int(s, &v) && v >= lo && v <= hi;
}

static bool item_ip(char *item)
{
    uint32_t ip;
    return sv_ip4_parse(item, &ip);
}

/* An address, a network or, in our own replies, a range. */
static bool item_cidr(char *item)
{
    char *mark = strpbrk(item, "/-"), kind = mark ? *mark : '\0';
    if (!mark)
        return item_ip(item);
    *mark = '\0';
    bool ok = item_ip(item) && (kind == '/' ? small_number(mark + 1, 0, 32) : item_ip(mark + 1));
    *mark = kind;
    return ok;
}

static bool item_ports(char *item)
{
    char *colon = strchr(item, ':');
    if (!colon)
        return small_number(item, 1, 65535);
    *colon = '\0';
    int64_t lo = 0, hi = 0;
    bool ok = small_number(item, 1, 65535) && small_number(colon + 1, 1, 65535) && sv_parse_int(item, &lo) &&
              sv_parse_int(colon + 1, &hi) && lo <= hi;
    *colon = ':';
    return ok;
}

/* Every element must pass; blanks around commas are dropped. */
static bool each_item(char *list, bool (*ok)(char *item))
{
    char *to = list, *p = list;
    for (;;) {
        char *end = strchrnul(p, ','), *next = *end ? end + 1 : NULL;
        while (*p == ' ')
            p++;
        while (end > p && end[-1] == ' ')
            end--;
        size_t n = (size_t)(end - p);
        memmove(to, p, n);
        to[n] = '\0';
        if (n == 0 || !ok(to))
            return false;
        to += n;
        if (!next)
            return true;
        *to++ = ',';
        p = next;
    }
}

static enum sv_err put_items(const struct target *t, const struct sv_value *v, void *member, bool (*ok)(char *item),
                             const char *format)
{
    struct sv_slice s = {0};
    enum sv_err rc = take_text(t, v, &s);
    if (rc)
        return rc;
    char *list = sv_arena_strndup(t->arena, s.p, s.n);
    if (!each_item(list, ok))
        return refuse(t, SV_E_PARAM_FORMAT, format);
    *(const char **)member = list;
    return SV_OK;
}

static enum sv_err put_ip(const struct target *t, const struct sv_value *v, void *member)
{
    struct sv_slice s = {0};
    enum sv_err rc = take_text(t, v, &s);
    if (rc)
        return rc;
    char *ip = sv_arena_strndup(t->arena, s.p, s.n);
    if (!item_ip(ip))
        return refuse(t, SV_E_PARAM_FORMAT, "IPv4 (a.b.c.d)");
    *(const char **)member = ip;
    return SV_OK;
}

static enum sv_err put_ips(const struct target *t, const struct sv_value *v, void *member)
{
    return put_items(t, v, member, item_cidr, "a.b.c.d[/0-32],...");
}

static enum sv_err put_ports(const struct target *t, const struct sv_value *v, void *member)
{
    return put_items(t, v, member, item_ports, "1-65535[:1-65535],...");
}

/* --- lists -------------------------------------------------------------------------------------- */

static enum sv_err put_list(const struct target *t, const struct sv_value *v, void *member)
{
    int64_t limit = sv_param_limit(t->row);
    if (v->kind != SV_V_LIST)
        return refuse(t, SV_E_PARAM_TYPE, "list of strings");
    if ((int64_t)v->items > limit || (sv_param_has_min(t->row) && (int64_t)v->items < t->row->min)) {
        char range[64];
        snprintf(range, sizeof(range), "%lld-%lld", (long long)t->row->min, (long long)limit);
        return refuse(t, SV_E_PARAM_RANGE, range);
    }
    const char **texts = sv_arena_alloc(t->arena, v->items * sizeof(*texts));
    for (size_t i = 0; i < v->items; i++) {
        const struct sv_value *item = &v->item[i];
        if (!is_text(t, item) || item->text.n == 0)
            return refuse(t, SV_E_PARAM_TYPE, "list of strings");
        if (item->text.n > SV_MAX_STR)
            return refuse(t, SV_E_PARAM_LENGTH, sv_dec(SV_MAX_STR).s);
        enum sv_err rc = check_chars(t, item->text);
        if (rc)
            return rc;
        texts[i] = sv_arena_strndup(t->arena, item->text.p, item->text.n);
    }
    *(struct sv_strs *)member = (struct sv_strs){.v = texts, .n = v->items};
    return SV_OK;
}

/* --- by type ------------------------------------------------------------------------------------ */

static const struct {
    put_fn put;
    size_t size;
} types[] = {
    [SV_T_STR] = {put_str, sizeof(const char *)},        [SV_T_ID] = {put_id, sizeof(const char *)},
    [SV_T_INT] = {put_int, sizeof(struct sv_opt_int)},   [SV_T_BOOL] = {put_bool, sizeof(struct sv_opt_bool)},
    [SV_T_ENUM] = {put_enum, sizeof(const char *)},      [SV_T_IP] = {put_ip, sizeof(const char *)},
    [SV_T_IPS] = {put_ips, sizeof(const char *)},        [SV_T_PORTS] = {put_ports, sizeof(const char *)},
    [SV_T_TIME] = {put_time, sizeof(struct sv_opt_int)}, [SV_T_PEM] = {put_pem, sizeof(const char *)},
    [SV_T_LIST] = {put_list, sizeof(struct sv_strs)},    [SV_T_OBJ] = {NULL, sizeof(const void *)},
    [SV_T_OBJS] = {NULL, sizeof(struct sv_objs)},
};

size_t sv_param_size(enum sv_ptype type)
{
    return (size_t)type < sizeof(types) / sizeof(types[0]) ? types[type].size : 0;
}

static bool is_empty(const struct sv_value *v)
{
    return v->kind == SV_V_ABSENT || (v->kind == SV_V_TEXT && v->text.n == 0) ||
           (v->kind == SV_V_LIST && v->items == 0);
}

enum sv_err sv_param_set(const struct sv_param *row, const struct sv_value *v, unsigned takes, struct sv_arena *a,
                         void *in, bool *ret_set, struct sv_error *err)
{
    struct target t = {.row = row, .takes = takes, .arena = a, .err = err};
    if (is_empty(v)) {
        *ret_set = false;
        return SV_OK;
    }
    enum sv_err rc = types[row->type].put(&t, v, (char *)in + row->offset);
    if (!rc)
        *ret_set = true;
    return rc;
}
